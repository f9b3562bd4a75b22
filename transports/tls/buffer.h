/* SPDX-License-Identifier: MIT
 * Bytes that wait to be sent: appended at the end, taken off the front, no memory while empty. Secrets never
 * lie in it (it holds what goes over the wire). Owned by one handshake or session. */
#ifndef LP2P_TLS_BUFFER_H
#define LP2P_TLS_BUFFER_H

#include "base/err.h"
#include "base/span.h"

struct lp2p_tls_buffer {
    uint8_t *bytes;
    size_t at, len, cap; /* waiting: bytes[at .. len) */
    size_t max;          /* limit of what waits; 0: none */
};

static inline size_t lp2p_tls_buffer_waiting(const struct lp2p_tls_buffer *buffer)
{
    return buffer->len - buffer->at;
}
/** Room for `len` more bytes at the end, to be written by the caller who then adds to `len`. NULL: no memory,
 * or over the limit. */
uint8_t *lp2p_tls_buffer_reserve(struct lp2p_tls_buffer *buffer, size_t len);
/** ENOMEM; ELIMIT. */
enum lp2p_err lp2p_tls_buffer_append(struct lp2p_tls_buffer *buffer, struct lp2p_span bytes) LP2P_MUST_CHECK;
/** Takes up to cap bytes off the front. */
size_t lp2p_tls_buffer_take(struct lp2p_tls_buffer *buffer, uint8_t *out, size_t cap);
void lp2p_tls_buffer_fini(struct lp2p_tls_buffer *buffer);

#endif
