/* SPDX-License-Identifier: MIT
 * Ping (libp2p specs ping/ping.md) as two small machines: the side that echoes and the side that asks. Pure;
 * no actor. */
#ifndef LP2P_ACTORS_PROTOCOLS_PING_H
#define LP2P_ACTORS_PROTOCOLS_PING_H

#include "base/err.h"
#include "base/rand.h"
#include "base/span.h"

#define LP2P_PING_PROTOCOL "/ipfs/ping/1.0.0"
#define LP2P_PING_BYTES 32 /* one block */

/** Echoes whole blocks. Zeroed is ready. */
struct lp2p_ping_echo {
    uint8_t part[LP2P_PING_BYTES];
    uint8_t part_len; /* 0: between blocks, an end here is a clean one */
};
/** Takes all of `in`; writes the blocks that are complete now to out, which has room for in.len +
 * LP2P_PING_BYTES - 1 bytes. Returns how many bytes it wrote, a multiple of LP2P_PING_BYTES. */
size_t lp2p_ping_echo_feed(struct lp2p_ping_echo *echo, struct lp2p_span in, uint8_t *out);

/** One question. */
struct lp2p_ping_probe {
    uint8_t sent[LP2P_PING_BYTES];
    uint8_t got;
};
/** Draws the block to send. */
void lp2p_ping_probe_init(struct lp2p_ping_probe *probe, const struct lp2p_rand *rand);
/** OK: the whole block came back. EAGAIN: more is needed. EPROTO: other bytes, or more of them. */
enum lp2p_err lp2p_ping_probe_feed(struct lp2p_ping_probe *probe, struct lp2p_span in) LP2P_MUST_CHECK;

#endif
