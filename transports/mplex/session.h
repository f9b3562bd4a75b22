/* SPDX-License-Identifier: MIT
 * Inside of the mplex machine (libp2p specs mplex/README.md): what it adds to a muxer. Shared by its files
 * and its tests, and by nobody else.
 *
 *   | header uvarint: number << 3 | flag | length uvarint | length bytes |
 *
 * Each side numbers the streams that it opens; even flags (and NewStream) speak of a stream of the sender of
 * the frame, odd ones of a stream of its receiver. There is no flow control: a stream that is not read is
 * reset. */
#ifndef LP2P_MPLEX_SESSION_H
#define LP2P_MPLEX_SESSION_H

#include "mux/core.h"
#include "wire/varint.h"

#define LP2P_MPLEX_MAGIC LP2P_MAGIC('m', 'p', 'l', 'x')
#define LP2P_MPLEX_HEADER_MAX (2 * LP2P_VARINT_MAX) /* bytes */
#define LP2P_MPLEX_NUMBER_MAX ((UINT64_C(1) << 60) - 1)

enum lp2p_mplex_flag {
    LP2P_MPLEX_NEW_STREAM = 0,
    LP2P_MPLEX_MESSAGE_RECEIVER = 1,
    LP2P_MPLEX_MESSAGE_INITIATOR = 2,
    LP2P_MPLEX_CLOSE_RECEIVER = 3,
    LP2P_MPLEX_CLOSE_INITIATOR = 4,
    LP2P_MPLEX_RESET_RECEIVER = 5,
    LP2P_MPLEX_RESET_INITIATOR = 6,
};

struct lp2p_mplex {
    struct lp2p_mux base;
    uint64_t next_number;
    uint8_t header[LP2P_MPLEX_HEADER_MAX], header_len; /* under way */
    uint8_t varint_len, varints; /* bytes of the varint under way; whole ones before it */
};

/** The key of a stream in the table. */
static inline uint64_t lp2p_mplex_key(uint64_t number, bool ours)
{
    return number << 1 | (ours ? 1 : 0);
}

static inline struct lp2p_mplex *lp2p_mplex_of(struct lp2p_mux *mux)
{
    LP2P_CHECK_MAGIC(mux, LP2P_MPLEX_MAGIC);
    return LP2P_CONTAINER_OF(mux, struct lp2p_mplex, base);
}

/* input.c */
void lp2p_mplex_parse(struct lp2p_mux *mux);

/* output.c */
size_t lp2p_mplex_drain(struct lp2p_mux *mux, uint8_t *out, size_t cap, lp2p_time now);
bool lp2p_mplex_wants_write(const struct lp2p_mux *mux);

#endif
