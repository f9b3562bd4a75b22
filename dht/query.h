/* SPDX-License-Identifier: MIT
 * One query machine for every operation: an iterative lookup towards a point, and then, for those that write,
 * one message to each of the peers found. Knows no messages and no network: who is to be asked next comes
 * out, what became of it goes in.
 *
 * Lookup (libp2p specs kad-dht/README.md, "Peer routing"): candidates are kept in order of distance; among
 * the k closest that did not fail, those not asked yet are asked, at most alpha at a time; it has settled
 * when all of these k have answered. A request that takes long gives its place in alpha free, so that slow
 * peers do not stop the search (but three times alpha requests are the most at any time). Owned by the kad
 * machine. */
#ifndef LP2P_DHT_QUERY_H
#define LP2P_DHT_QUERY_H

#include "base/heap.h"
#include "base/list.h"
#include "dht/answers.h"
#include "dht/contact.h"

#define LP2P_KAD_CANDIDATES_MAX 512 /* of one query; the farthest ones are forgotten */
#define LP2P_KAD_FOUND_MAX 256      /* providers of one query */

enum lp2p_kad_query_kind {
    LP2P_KAD_FIND_PEER,
    LP2P_KAD_CLOSEST,
    LP2P_KAD_GET,
    LP2P_KAD_PUT,
    LP2P_KAD_PROVIDE,
    LP2P_KAD_FIND_PROVIDERS,
    LP2P_KAD_CORRECT, /* internal: puts right what a get has found to be missing or worse; has no lookup */
};

enum lp2p_kad_stage {
    LP2P_KAD_LOOKUP,
    LP2P_KAD_SPREAD, /* the candidates are now those that get the message */
    LP2P_KAD_ENDED,
};

enum lp2p_kad_asked {
    LP2P_KAD_HEARD, /* not asked yet */
    LP2P_KAD_WAITING,
    LP2P_KAD_SLOW, /* still waiting, but not counted in alpha any more */
    LP2P_KAD_ANSWERED,
    LP2P_KAD_FAILED,
};

struct lp2p_kad_candidate {
    struct lp2p_kad_contact *contact;
    enum lp2p_kad_asked asked;
    uint32_t answer; /* get: serial of the value it gave */
};

struct lp2p_kad_query {
    uint64_t id;
    enum lp2p_kad_query_kind kind;
    enum lp2p_kad_stage stage;
    bool internal; /* its end is not told to the owner */
    enum lp2p_err reason;
    struct lp2p_kad_key target;
    struct lp2p_peer_id peer; /* find_peer */
    unsigned k, alpha;
    unsigned wanted; /* get: quorum; find_providers: how many; find_peer: how many peers shall have named the
                        target */
    unsigned named;  /* find_peer: how many have */
    uint64_t wall_ms;
    lp2p_time started, deadline;
    struct lp2p_heap_node timer;
    struct lp2p_list by_age, by_ready, requests;

    struct lp2p_kad_candidate **candidates; /* nearest first */
    size_t candidates_len, candidates_cap;
    unsigned waiting, slow;

    struct lp2p_kad_answers answers;
    struct lp2p_kad_contact **found; /* providers, the target of find_peer, or ourselves (provide) */
    size_t found_len, found_cap, found_told;

    size_t key_len, value_len;
    uint8_t *value; /* put, correct; owned */
    uint8_t key[];
};

/** A query at its first stage, without candidates; NULL when memory is short. */
struct lp2p_kad_query *lp2p_kad_query_new(enum lp2p_kad_query_kind kind, struct lp2p_span key, unsigned k,
                                          unsigned alpha);
void lp2p_kad_query_free(struct lp2p_kad_query *query);
/** Keeps a copy of the value. ENOMEM. */
enum lp2p_err lp2p_kad_query_set_value(struct lp2p_kad_query *query, struct lp2p_span value) LP2P_MUST_CHECK;

/** Takes the contact as a candidate; frees it when it is known already, too far away, or memory is short. */
void lp2p_kad_query_hear(struct lp2p_kad_query *query, struct lp2p_kad_contact *contact);
/** The next one to ask; NULL when there is none now. */
struct lp2p_kad_candidate *lp2p_kad_query_pick(const struct lp2p_kad_query *query);
/** The only place where a candidate changes its state. */
void lp2p_kad_query_move(struct lp2p_kad_query *query, struct lp2p_kad_candidate *candidate,
                         enum lp2p_kad_asked asked);
/** True when nobody among the k closest is left to ask or to wait for. */
bool lp2p_kad_query_settled(const struct lp2p_kad_query *query);
/** Up to max candidates that answered, nearest first; borrowed. */
size_t lp2p_kad_query_answered(const struct lp2p_kad_query *query, struct lp2p_kad_candidate **out,
                               size_t max);
/** From lookup to spread: the k closest that answered become the only candidates, nobody asked yet. There
 * must be no request under way. Returns how many there are. */
size_t lp2p_kad_query_spread(struct lp2p_kad_query *query);
/** Remembers a peer in `found`; a known one only gains addresses when it had none. False: known already, or
 * no room. */
bool lp2p_kad_query_find(struct lp2p_kad_query *query, const struct lp2p_kad_peer *peer);

static inline struct lp2p_span lp2p_kad_query_key(const struct lp2p_kad_query *query)
{
    return lp2p_span(query->key, query->key_len);
}

#endif
