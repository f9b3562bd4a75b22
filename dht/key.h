/* SPDX-License-Identifier: MIT
 * Points of the Kademlia key space and the XOR metric (libp2p specs kad-dht/README.md, "Distance"). Values:
 * any thread.
 *
 * A point is the SHA-256 of a peer id, a value key or a multihash; it is hashed once and then carried along.
 */
#ifndef LP2P_DHT_KEY_H
#define LP2P_DHT_KEY_H

#include "base/span.h"

#define LP2P_KAD_KEY_BITS 256

/** 256 bits as four words, the most significant first, so that a distance compares word by word. */
struct lp2p_kad_key {
    uint64_t w[4];
};

/** The point of raw key bytes: their SHA-256. */
struct lp2p_kad_key lp2p_kad_key_of(struct lp2p_span raw);
/** The point whose 32 bytes are these, without hashing. */
struct lp2p_kad_key lp2p_kad_key_load(const uint8_t bytes[32]);
void lp2p_kad_key_store(const struct lp2p_kad_key *key, uint8_t bytes[32]);

struct lp2p_kad_key lp2p_kad_key_distance(const struct lp2p_kad_key *a, const struct lp2p_kad_key *b);
/** Negative when `a` is nearer to `target` than `b`, 0 when they are the same point, positive otherwise. */
int lp2p_kad_key_compare(const struct lp2p_kad_key *target, const struct lp2p_kad_key *a,
                         const struct lp2p_kad_key *b);
/** Common prefix length in bits, 0 .. 256. */
unsigned lp2p_kad_key_cpl(const struct lp2p_kad_key *a, const struct lp2p_kad_key *b);

static inline bool lp2p_kad_key_eq(const struct lp2p_kad_key *a, const struct lp2p_kad_key *b)
{
    return memcmp(a->w, b->w, sizeof(a->w)) == 0;
}

#endif
