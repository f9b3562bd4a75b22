/* SPDX-License-Identifier: MIT
 * Reading JSON that came from a peer or a user: bounded in size and depth before anything is allocated for
 * it, numbers kept as text (nothing is rounded when a part is written out again), and of equal keys the last
 * one counts, as in JavaScript. Pure functions; any thread. */
#ifndef LP2P_ACTORS_PROTOCOLS_JSON_H
#define LP2P_ACTORS_PROTOCOLS_JSON_H

#include "base/buf.h"
#include "base/err.h"

#include <yyjson.h>

#define LP2P_JSON_DEPTH_MAX 128 /* brackets open at one time */

/** Parses exactly one JSON value of at most max bytes. EOVERSIZE, EMALFORMED (also: too deep, bytes behind
 * it), ENOMEM. `why` (may be NULL) becomes a static text. Free with yyjson_doc_free. */
enum lp2p_err lp2p_json_read(struct lp2p_span text, size_t max, yyjson_doc **out,
                             const char **why) LP2P_MUST_CHECK;
/** The last member of that name; NULL when there is none or `object` is no object. */
yyjson_val *lp2p_json_get(yyjson_val *object, const char *key);
/** The bytes of a string, which may be empty or hold NULs; false for anything else. */
bool lp2p_json_string(yyjson_val *value, struct lp2p_span *out);
/** The value of a number; false for anything else. */
bool lp2p_json_number(yyjson_val *value, double *out);

/** Writes a document in the shortest form into a slice of its own. EINVAL: a text in it is not UTF-8; ELIMIT: longer than max
 * bytes, and `why` becomes `too_long`; ENOMEM. */
enum lp2p_err lp2p_json_write(yyjson_mut_doc *doc, size_t max, const char *too_long, struct lp2p_slice *json,
                              const char **why) LP2P_MUST_CHECK;
/** Returns err, and tells why (a static text; `why` may be NULL). */
enum lp2p_err lp2p_json_say(enum lp2p_err err, const char *text, const char **why);

#endif
