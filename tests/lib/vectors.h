/* SPDX-License-Identifier: MIT
 * Vector files for tests: JSON read from the directory named by the environment variable LP2P_VECTORS. A
 * missing file, a missing field or bad hex ends the test program with a message: a test must never pass
 * because its vectors were not there. */
#ifndef LP2P_TESTS_VECTORS_H
#define LP2P_TESTS_VECTORS_H

#include "base/span.h"

#include <yyjson.h>

/** Loads <LP2P_VECTORS>/<name>, e.g. "varint.json". The caller frees it with yyjson_doc_free. */
yyjson_doc *vectors_load(const char *name);
/** The array `key` of the root object; must exist and must not be empty. Walk it with yyjson_arr_foreach. */
yyjson_val *vectors_array(yyjson_doc *doc, const char *key);

/** A member that must exist. */
yyjson_val *vectors_get(yyjson_val *object, const char *key);
/** A string member that must exist. */
const char *vectors_str(yyjson_val *object, const char *key);
/** A string member with its length (it may hold NUL bytes), borrowed from the document. */
struct lp2p_span vectors_text(yyjson_val *object, const char *key);
/** A number, either a JSON integer or a decimal string. */
uint64_t vectors_u64(yyjson_val *object, const char *key);
/** True when the member exists and is true. */
bool vectors_flag(yyjson_val *object, const char *key);

/** Decodes hex into out (cap bytes); returns the number of bytes. */
size_t vectors_unhex(const char *hex, uint8_t *out, size_t cap);
/** A hex member decoded into memory of exactly its size (so that the address sanitizer sees an over-read);
 * free `ptr` with vectors_free. Empty hex gives len 0 and ptr not NULL. */
struct lp2p_span vectors_hex(yyjson_val *object, const char *key);
/** The same for a hex text. */
struct lp2p_span vectors_hex_text(const char *hex);
/** A copy of the bytes in memory of exactly their size; free with vectors_free. */
struct lp2p_span vectors_copy(struct lp2p_span bytes);
void vectors_free(struct lp2p_span bytes);

#endif
