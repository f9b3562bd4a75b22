/* SPDX-License-Identifier: MIT
 * Keeps the routing table filled (libp2p specs kad-dht/README.md, "Bootstrap process"): a lookup of our own
 * id, then one of a random id in each bucket, one after the other. Part of the kad machine. */
#ifndef LP2P_DHT_REFRESH_H
#define LP2P_DHT_REFRESH_H

#include "dht/kad.h"

#define LP2P_KAD_REFRESH_BUCKETS                                                                             \
    16 /* common prefix lengths 0 .. 15; the deeper buckets are met by the self lookup */
#define LP2P_KAD_REFRESH_KEY 34 /* bytes: a sha2-256 multihash, so that everybody takes it for a peer id */

struct lp2p_kad_refresh {
    lp2p_time due;
    lp2p_time last;   /* when the last one was started */
    uint64_t query;   /* the one under way, 0: none */
    uint32_t pending; /* bit 0: ourselves; bit i+1: bucket i */
    uint8_t keys[LP2P_KAD_REFRESH_BUCKETS][LP2P_KAD_REFRESH_KEY];
};

void lp2p_kad_refresh_start(struct lp2p_kad *kad, lp2p_time now);
/** The refresh query with this id has ended; others are ignored. */
void lp2p_kad_refresh_ended(struct lp2p_kad *kad, uint64_t query, lp2p_time now);
/** A small table got a new peer: do not wait for the whole interval. */
void lp2p_kad_refresh_hasten(struct lp2p_kad *kad, lp2p_time now);

#endif
