/* SPDX-License-Identifier: MIT
 * The peer store in memory: what the node knows of other peers. Bounded; peers that are neither connected, protected, waited
 * for nor bootstrap peers make room, longest unseen first. Pure; owned by the swarm. */
#ifndef LP2P_CONTROL_PEERS_H
#define LP2P_CONTROL_PEERS_H

#include "actors/shared.h"
#include "base/list.h"
#include "base/rand.h"
#include "base/time.h"

#define LP2P_PEERS_MAX 4096     /* peers */
#define LP2P_PEER_ADDRS_MAX 32  /* addresses kept for one peer */

struct lp2p_peer_entry {
    struct lp2p_peer_id id;
    struct lp2p_peer_entry *hash_next;
    struct lp2p_list lru;            /* all peers, longest unseen first */
    struct lp2p_list links;          /* its connections (struct lp2p_link) */
    struct lp2p_list waiters;        /* who waits for a connection to it (struct lp2p_waiter) */
    struct lp2p_addrs *addrs;        /* NULL: none known */
    struct lp2p_strings *protocols;  /* NULL: identify has not run */
    struct lp2p_multiaddr observed;
    char agent[128], protocol_version[64];
    uint64_t record_seq;             /* of the newest signed record; 0: none */
    uint64_t connected_ms, last_seen_ms, rtt_ns;
    unsigned protects, failures;
    lp2p_time backoff_until;
    uint64_t dial;                   /* dial under way; 0: none */
    bool bootstrap, discovered;      /* discovered: reported to subscribers */
};

struct lp2p_peers {
    struct lp2p_peer_entry **buckets;
    size_t buckets_len, len, max;
    struct lp2p_list lru;
    uint8_t hash_key[16];
    uint64_t evicted, refused;
};

enum lp2p_err lp2p_peers_init(struct lp2p_peers *peers, size_t max, const struct lp2p_rand *rand) LP2P_MUST_CHECK;
void lp2p_peers_fini(struct lp2p_peers *peers);
/** NULL when unknown. */
struct lp2p_peer_entry *lp2p_peers_find(const struct lp2p_peers *peers, const struct lp2p_peer_id *id);
/** Finds or adds. NULL: full of peers that must stay, or no memory (counted in refused). */
struct lp2p_peer_entry *lp2p_peers_add(struct lp2p_peers *peers, const struct lp2p_peer_id *id);
/** Moves it to the young end. */
void lp2p_peers_touch(struct lp2p_peers *peers, struct lp2p_peer_entry *entry);
/** Merges addresses in front of the known ones (duplicates dropped, a final /p2p of this peer stripped, one of another peer
 *  skipped, cut at LP2P_PEER_ADDRS_MAX); `replace`: forgets the others. True if anything changed. */
bool lp2p_peer_entry_add_addrs(struct lp2p_peer_entry *entry, const struct lp2p_addrs *addrs, bool replace);
/** A snapshot for others; connection counts are the caller's to fill. NULL: no memory. */
struct lp2p_peer_info *lp2p_peer_entry_info(const struct lp2p_peer_entry *entry);

#endif
