/* SPDX-License-Identifier: MIT
 * Inside of the yamux machine (hashicorp/yamux spec.md, libp2p specs yamux/README.md): what it adds to a
 * muxer. Shared by its files and its tests, and by nobody else.
 *
 *   yamux.c   windows, pings, the table of calls      input.c  what arrives: the verdicts
 *   output.c  what leaves: control frames first, then streams in turn */
#ifndef LP2P_YAMUX_SESSION_H
#define LP2P_YAMUX_SESSION_H

#include "mux/core.h"
#include "yamux/frame.h"

#define LP2P_YAMUX_MAGIC LP2P_MAGIC('y', 'm', 'u', 'x')
#define LP2P_YAMUX_PONGS_MAX 32       /* answers waiting; go keeps as many and drops what is beyond */
#define LP2P_YAMUX_ID_MAX 0x7fffffffu /* a session that used them up opens no more streams */

struct lp2p_yamux_stream {
    struct lp2p_mux_stream base; /* key: stream id */
    uint32_t credit_out;         /* bytes that we may still send */
    uint32_t credit_in;          /* bytes that they may still send */
    uint32_t window, freed;      /* receive window now; bytes consumed and not granted again yet */
    lp2p_time granted_at;        /* last window update, at first the opening */
};

enum lp2p_yamux_ping_state { LP2P_YAMUX_PING_IDLE, LP2P_YAMUX_PING_DUE, LP2P_YAMUX_PING_SENT };

struct lp2p_yamux {
    struct lp2p_mux base;
    struct lp2p_rand rand;
    uint32_t next_id;
    uint8_t header[LP2P_YAMUX_HEADER], header_len; /* under way */
    uint32_t pongs[LP2P_YAMUX_PONGS_MAX], pongs_len;
    enum lp2p_yamux_ping_state ping;
    uint32_t ping_value;
    lp2p_time ping_at; /* IDLE: when the next is due; SENT: when it left */
};

static inline struct lp2p_yamux *lp2p_yamux_of(struct lp2p_mux *mux)
{
    LP2P_CHECK_MAGIC(mux, LP2P_YAMUX_MAGIC);
    return LP2P_CONTAINER_OF(mux, struct lp2p_yamux, base);
}

static inline struct lp2p_yamux_stream *lp2p_yamux_stream_of(struct lp2p_mux_stream *stream)
{
    return stream == NULL ? NULL : LP2P_CONTAINER_OF(stream, struct lp2p_yamux_stream, base);
}

/* input.c */
void lp2p_yamux_parse(struct lp2p_mux *mux);

/* output.c */
size_t lp2p_yamux_drain(struct lp2p_mux *mux, uint8_t *out, size_t cap, lp2p_time now);
size_t lp2p_yamux_drain_around(struct lp2p_mux *mux, uint8_t *out, size_t cap, lp2p_time now,
                               struct lp2p_mux_holes *holes);
bool lp2p_yamux_wants_write(const struct lp2p_mux *mux);

#endif
