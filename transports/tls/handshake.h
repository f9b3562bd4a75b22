/* SPDX-License-Identifier: MIT
 * One handshake of whatever kind: bytes are cut into records and given to the backend one by one, so that not
 * a byte behind the handshake is taken; sizes and totals are limited here, for all backends alike. Private to
 * the room; owned by one actor. */
#ifndef LP2P_TLS_HANDSHAKE_H
#define LP2P_TLS_HANDSHAKE_H

#include "tls/backend.h"
#include "tls/record.h"

struct lp2p_tls_handshake {
    const struct lp2p_tls_backend *backend;
    struct lp2p_tls_engine *engine;
    struct lp2p_tls_buffer in; /* a record that is not complete */
    struct lp2p_tls_buffer out;
    size_t taken, taken_max; /* bytes of the other side in all, and their limit */
    bool server, done;
    enum lp2p_err err;
};

/** Starts; a client has its first message in `out` then. task->out is ignored. ENOMEM. */
enum lp2p_err lp2p_tls_handshake_init(struct lp2p_tls_handshake *handshake,
                                      const struct lp2p_tls_backend *backend,
                                      const struct lp2p_tls_task *task, size_t taken_max) LP2P_MUST_CHECK;
void lp2p_tls_handshake_fini(struct lp2p_tls_handshake *handshake);
/** Takes bytes until the handshake is done or failed. OK: done, or more has to come (see `done`). Errors are
 * final. */
enum lp2p_err lp2p_tls_handshake_feed(struct lp2p_tls_handshake *handshake, struct lp2p_span in,
                                      size_t *used) LP2P_MUST_CHECK;
/** After `done`: the record layer, and the index of what was agreed by ALPN, or -1. Ends the engine; `out`
 * stays. */
void lp2p_tls_handshake_finish(struct lp2p_tls_handshake *handshake, struct lp2p_tls_records *records,
                               int *alpn);

#endif
