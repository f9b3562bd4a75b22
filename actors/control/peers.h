/* SPDX-License-Identifier: MIT
 * The peer store in memory: what the node knows of other peers. Bounded; peers that are neither connected, protected, tagged,
 * waited for nor bootstrap peers make room, longest unseen first, and those that never answered a dial before those that did:
 * who floods us with names pushes out names. Pure; owned by the swarm. What is worth it is kept on disk by the
 * store (actors/store): `dirty` names the entries that it has to hear of. */
#ifndef LP2P_CONTROL_PEERS_H
#define LP2P_CONTROL_PEERS_H

#include "actors/shared.h"
#include "base/list.h"
#include "base/rand.h"
#include "base/time.h"

#define LP2P_PEERS_MAX 4096     /* peers */
#define LP2P_PEER_ADDRS_MAX 64  /* addresses kept for one peer */
#define LP2P_PEER_PROTOCOLS_GONE_MAX 20 /* protocols kept of a peer that is not connected */
#define LP2P_PEER_TAGS_MAX 8
#define LP2P_PEER_RECORD_MAX 2048 /* bytes of a signed record that is kept; of a larger one only what it says */
#define LP2P_TAG_NAME_MAX 32 /* bytes with its NUL */

/** Where an address comes from; the higher, the more it is trusted and the longer it is kept. */
enum lp2p_addr_source {
    LP2P_ADDR_HEARSAY,   /* the DHT, or another peer; 1 h */
    LP2P_ADDR_IDENTIFY,  /* the peer itself, unsigned; 1 h after it was last connected, as go and js */
    LP2P_ADDR_CERTIFIED, /* its signed record; 6 h */
    LP2P_ADDR_PROVEN,    /* it answered there; 7 days: what a node that was restarted begins with */
    LP2P_ADDR_MANUAL,    /* given by the user; stays */
};
struct lp2p_addr_note {
    uint32_t seen_s; /* wall clock: when it was last told, or the peer was last connected */
    uint8_t source;  /* enum lp2p_addr_source */
    bool local;      /* HEARSAY of the local network alone: void when the peer takes leave there */
};

struct lp2p_tag {
    char name[LP2P_TAG_NAME_MAX]; /* "": free */
    int32_t value;
};

struct lp2p_peer_entry {
    struct lp2p_peer_id id;
    struct lp2p_peer_entry *hash_next;
    struct lp2p_list lru;            /* all peers, longest unseen first */
    struct lp2p_list cheap;          /* in the list of those that make room first, if at all */
    struct lp2p_list links;          /* its connections (struct lp2p_link) */
    struct lp2p_list waiters;        /* who waits for a connection to it (struct lp2p_waiter) */
    struct lp2p_addrs *addrs;        /* NULL: none known */
    struct lp2p_addr_note notes[LP2P_PEER_ADDRS_MAX]; /* of addrs->items, in their order */
    struct lp2p_tag tags[LP2P_PEER_TAGS_MAX];
    struct lp2p_list dirty;          /* in the swarm's list of entries to be stored, if at all */
    bool storing;                    /* in the batch that the store has now */
    struct lp2p_strings *protocols;  /* NULL: identify has not run */
    uint32_t told;                   /* how often identify brought them */
    struct lp2p_multiaddr observed;
    char agent[128], protocol_version[64];
    uint64_t record_seq;             /* of the newest signed record; 0: none */
    uint32_t record_s;               /* when it was last told, or the peer was last connected */
    struct lp2p_slice record;        /* that record as it was signed; empty: too large, or not kept */
    struct lp2p_slice key;           /* PublicKey protobuf of a peer whose id is only its hash; empty: not known */
    uint64_t connected_ms, last_seen_ms, rtt_ns;
    unsigned protects, failures;
    lp2p_time backoff_until;
    uint64_t dial;                   /* dial under way; 0: none */
    bool bootstrap, discovered;      /* discovered: reported to subscribers */
    bool recalled;                   /* its protocols are what an earlier run was told */
};

struct lp2p_peers {
    struct lp2p_peer_entry **buckets;
    size_t buckets_len, len, max;
    struct lp2p_list lru, cheap;
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
/** Takes it out and frees it; nobody may be connected to it or wait for it. */
void lp2p_peers_remove(struct lp2p_peers *peers, struct lp2p_peer_entry *entry);
/** True when nothing speaks for keeping it: no connection, nobody who waits, no protection, no tag, no bootstrap peer. */
bool lp2p_peer_entry_idle(const struct lp2p_peer_entry *entry);
/** Merges addresses in front of the known ones: duplicates dropped, a final /p2p of this peer stripped, one of another peer
 *  skipped. CERTIFIED ones take the place of all that were only told. Beyond LP2P_PEER_ADDRS_MAX the least trusted ones go,
 *  of these the oldest. now_s: wall clock. True if anything changed. */
bool lp2p_peer_entry_learn(struct lp2p_peer_entry *entry, const struct lp2p_addrs *addrs, enum lp2p_addr_source source,
                           uint32_t now_s);
/** As learn for what was told on the local network (HEARSAY), and its end: what was told there alone is dropped. True if anything
 *  changed. */
bool lp2p_peer_entry_learn_local(struct lp2p_peer_entry *entry, const struct lp2p_addrs *addrs, uint32_t now_s);
bool lp2p_peer_entry_forget_local(struct lp2p_peer_entry *entry);
/** What a signed record says that the caller has verified: its addresses, unless a newer record of the peer is known. `sealed`,
 *  the record itself, is copied unless it is there already; may be empty. False: it is an old one. */
bool lp2p_peer_entry_certify(struct lp2p_peer_entry *entry, const struct lp2p_addrs *addrs, uint64_t seq, struct lp2p_span sealed,
                             uint32_t now_s);
/** Keeps a verified record in place of the one before, unless it is that one; nothing when it is empty or above
 *  LP2P_PEER_RECORD_MAX. */
void lp2p_peer_entry_keep_record(struct lp2p_peer_entry *entry, struct lp2p_span sealed);
/** Keeps a PublicKey protobuf when the peer's id is its hash; anything else, and a second one, is ignored. */
void lp2p_peer_entry_keep_key(struct lp2p_peer_entry *entry, struct lp2p_span protobuf);
/** As learn for addresses whose age is known, one note for each: what was stored. They never replace anything. */
bool lp2p_peer_entry_recall(struct lp2p_peer_entry *entry, const struct lp2p_multiaddr *items,
                            const struct lp2p_addr_note *notes, size_t len);
/** Drops the addresses whose time is over, and the signed record when that of its addresses is. True if anything changed. */
bool lp2p_peer_entry_expire(struct lp2p_peer_entry *entry, uint32_t now_s);
/** The last connection has ended: what the peer told counts from now on, and only its first protocols are kept. */
void lp2p_peer_entry_disconnected(struct lp2p_peer_entry *entry, uint32_t now_s);
/** Sets a tag, or takes it away with value 0. ELIMIT: no place for another. */
enum lp2p_err lp2p_peer_entry_tag(struct lp2p_peer_entry *entry, const char *name, int32_t value) LP2P_MUST_CHECK;
int lp2p_peer_entry_value(const struct lp2p_peer_entry *entry); /* the sum of its tags, within +-1,000,000 */
/** A snapshot for others; connection counts are the caller's to fill. NULL: no memory. */
struct lp2p_peer_info *lp2p_peer_entry_info(const struct lp2p_peer_entry *entry);

#endif
