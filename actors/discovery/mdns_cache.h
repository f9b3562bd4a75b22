/* SPDX-License-Identifier: MIT
 * The instances that a node has heard of: what it need not be told again (RFC 6762 7.1), and whose farewell it understands (10.1).
 * Bounded; pure; part of the machine in mdns.h. */
#ifndef LP2P_DISCOVERY_MDNS_CACHE_H
#define LP2P_DISCOVERY_MDNS_CACHE_H

#include "actors/discovery/mdns_packet.h"
#include "base/time.h"

#define LP2P_MDNS_CACHE_MAX 128          /* instances; beyond: the one that was heard longest ago is forgotten */
#define LP2P_MDNS_TTL_MAX_S 4500         /* RFC 6762 10: the usual life; longer ones are cut */
#define LP2P_MDNS_LEAVE_NS LP2P_SEC(1)   /* RFC 6762 10.1: so long a farewell can be taken back */

struct lp2p_mdns_cached {
    struct lp2p_mdns_instance instance; /* ttl_s: as it was told; 0: it has to be told again */
    struct lp2p_peer_id peer;           /* len 0: it told no address yet */
    lp2p_time heard;                    /* 0: a free place */
    lp2p_time leaves_at;                /* NEVER: it stays */
};

struct lp2p_mdns_cache {
    struct lp2p_mdns_cached items[LP2P_MDNS_CACHE_MAX];
};

/** An instance was told with a life of its own (ttl_s > 0); a farewell of the last second is taken back. `peer` NULL: with no address. */
void lp2p_mdns_cache_hear(struct lp2p_mdns_cache *cache, const struct lp2p_mdns_instance *instance, const struct lp2p_peer_id *peer,
                          lp2p_time now);
/** It took leave: it is gone in a second. Nothing happens if it is not known. */
void lp2p_mdns_cache_leave(struct lp2p_mdns_cache *cache, const struct lp2p_mdns_instance *instance, lp2p_time now);
/** What was told of that peer could not be used now: its instances are to be told again. */
void lp2p_mdns_cache_doubt(struct lp2p_mdns_cache *cache, const struct lp2p_peer_id *peer);
/** When the next one is gone; NEVER. */
lp2p_time lp2p_mdns_cache_next(const struct lp2p_mdns_cache *cache);
/** Takes out an instance that is gone; its peer. False: none. */
bool lp2p_mdns_cache_gone(struct lp2p_mdns_cache *cache, lp2p_time now, struct lp2p_peer_id *peer);
/** Copies the instances whose peer is known, and that have more than half of their life before them, with what is left of it. */
size_t lp2p_mdns_cache_known(const struct lp2p_mdns_cache *cache, lp2p_time now, struct lp2p_mdns_instance *out, size_t cap);

#endif
