/* SPDX-License-Identifier: MIT
 * What an upgrade had already read when it was done, as the `leftover` slice that travels from the upgrade
 * over the swarm to the connection: four bytes with the length of the plaintext that came in the same Noise
 * frame as the end of the muxer's negotiation (a lazy dialer sends its first streams there), that plaintext,
 * then whole and partial Noise frames. The swarm only carries it. An empty slice means that nothing was left.
 */
#ifndef LP2P_ACTORS_LINK_LEFTOVER_H
#define LP2P_ACTORS_LINK_LEFTOVER_H

#include "base/buf.h"
#include "base/err.h"

#define LP2P_LEFTOVER_HEAD 4u

/** Both parts copied into a slab of their own; *out is empty when both are. ENOMEM. */
static inline enum lp2p_err lp2p_leftover_pack(struct lp2p_span plain, struct lp2p_span frames,
                                               struct lp2p_slice *out)
{
    *out = (struct lp2p_slice){0};
    if (plain.len + frames.len == 0) {
        return LP2P_OK;
    }
    size_t len = LP2P_LEFTOVER_HEAD + plain.len + frames.len;
    struct lp2p_buf *buf = lp2p_buf_new(len);
    if (buf == NULL) {
        return LP2P_ENOMEM;
    }
    uint32_t plain_len = (uint32_t)plain.len;
    memcpy(buf->bytes, &plain_len, LP2P_LEFTOVER_HEAD);
    if (plain.len > 0) {
        memcpy(buf->bytes + LP2P_LEFTOVER_HEAD, plain.ptr, plain.len);
    }
    if (frames.len > 0) {
        memcpy(buf->bytes + LP2P_LEFTOVER_HEAD + plain.len, frames.ptr, frames.len);
    }
    *out = (struct lp2p_slice){buf, buf->bytes, (uint32_t)len};
    return LP2P_OK;
}

/** The parts of a slice made by pack; borrowed from it. */
static inline void lp2p_leftover_unpack(const struct lp2p_slice *in, struct lp2p_span *plain,
                                        struct lp2p_span *frames)
{
    *plain = *frames = lp2p_span(NULL, 0);
    if (in->len == 0) {
        return;
    }
    uint32_t plain_len = 0;
    LP2P_CHECK(in->len >= LP2P_LEFTOVER_HEAD);
    memcpy(&plain_len, in->ptr, LP2P_LEFTOVER_HEAD);
    LP2P_CHECK(plain_len <= in->len - LP2P_LEFTOVER_HEAD);
    *plain = lp2p_span(in->ptr + LP2P_LEFTOVER_HEAD, plain_len);
    *frames = lp2p_span_skip(lp2p_slice_span(in), LP2P_LEFTOVER_HEAD + plain_len);
}

#endif
