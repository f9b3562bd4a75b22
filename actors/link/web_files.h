/* SPDX-License-Identifier: MIT
 * The certificate of wss: read from the configured files, and again when they change; connections that are under way keep the
 * one that they began with. Without files one of our own making. Reads files: only for actors with a thread of their own.
 * Owned by one listener. */
#ifndef LP2P_ACTORS_LINK_WEB_FILES_H
#define LP2P_ACTORS_LINK_WEB_FILES_H

#include "actors/context.h"

struct lp2p_web_files {
    struct lp2p_tls_web *web; /* NULL: no wss here */
    uint64_t mark;            /* of the files' sizes, times and places when they were read */
    enum lp2p_web_date { LP2P_WEB_DATE_GOOD, LP2P_WEB_DATE_EARLY, LP2P_WEB_DATE_OVER } said; /* what was told last of its dates */
};

/** EIO: a file cannot be read; EMALFORMED, EBADKEY, ... as of lp2p_tls_web_server. What was wrong is logged. */
enum lp2p_err lp2p_web_files_load(struct lp2p_web_files *files, const struct lp2p_context *ctx, const struct lp2p_rand *rand,
                                  int64_t wall_s) LP2P_MUST_CHECK;
/** Reads the files again if they have changed. Files that are no good leave everything as it is, with a line in the log. A
 *  certificate that is not valid (yet, any more) is shown all the same, and told of once: when it is read, or when its time ends. */
void lp2p_web_files_refresh(struct lp2p_web_files *files, const struct lp2p_context *ctx, const struct lp2p_rand *rand, int64_t wall_s);
/** A hold for one connection, or NULL. */
struct lp2p_tls_web *lp2p_web_files_hold(const struct lp2p_web_files *files);
/** Why the configured files were refused with `err`: which file, what is wrong with it, what was expected. "": no files are
 *  configured, or it was not about them. Reads them again. */
void lp2p_web_files_explain(const struct lp2p_config *config, enum lp2p_err err, char *out, size_t cap);
void lp2p_web_files_drop(struct lp2p_web_files *files);

#endif
