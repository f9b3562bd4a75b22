/* SPDX-License-Identifier: MIT
 * mDNS discovery as a machine: when to ask, whom to answer and how often, which of the peers that are heard of are news. Pure: time
 * and randomness are parameters, packets come and go as bytes. Owned by one actor. */
#ifndef LP2P_DISCOVERY_MDNS_H
#define LP2P_DISCOVERY_MDNS_H

#include "actors/discovery/mdns_cache.h"
#include "base/rand.h"
#include "base/time.h"

#define LP2P_MDNS_OWN_MAX 64   /* addresses of ours that are told; beyond: left out */
#define LP2P_MDNS_KNOWN_MAX 512 /* addresses that were heard and told; beyond: the oldest is forgotten, and news again */
#define LP2P_MDNS_PEER_ADDRS_MAX 16 /* of one peer in one packet; beyond: skipped */
#define LP2P_MDNS_QUERY_FIRST_NS LP2P_SEC(10) /* between the first two queries; each later pause is twice as long, */
#define LP2P_MDNS_QUERY_MAX_NS LP2P_SEC(300)  /* up to this */
#define LP2P_MDNS_ANSWER_GAP_NS LP2P_SEC(1)   /* RFC 6762 6: between two answers to all */
#define LP2P_MDNS_ANNOUNCES 2                 /* RFC 6762 8.3: news are told so often */
#define LP2P_MDNS_MORE_MIN_NS LP2P_MS(400)    /* RFC 6762 7.2: after a question whose known answers go on in another packet */
#define LP2P_MDNS_MORE_SPAN_NS LP2P_MS(100)
#define LP2P_MDNS_AGAIN_NS LP2P_SEC(600)      /* an address is news again after that long: the swarm forgets hearsay within an hour */

/** What a network full of strangers may cost; a field of 0: without that limit, for tests. */
struct lp2p_mdns_limits {
    unsigned packets_s;  /* read in one second; beyond: dropped */
    unsigned unicasts_s; /* answers to one asker alone in one second; beyond: none (an answer to all still follows) */
    unsigned peers_min;  /* peers that are news in one minute; beyond: not told, and news later */
};
extern const struct lp2p_mdns_limits LP2P_MDNS_LIMITS;

/** Tokens: `max` at once, refilled evenly. */
struct lp2p_mdns_bucket {
    uint64_t max, each_ns; /* max 0: no limit */
    uint64_t tokens;
    lp2p_time refilled;
};

struct lp2p_mdns {
    char service[LP2P_MDNS_SERVICE_MAX], name[LP2P_MDNS_NAME_MAX + 1];
    struct lp2p_peer_id self;
    struct lp2p_rand rand;
    struct lp2p_multiaddr own[LP2P_MDNS_OWN_MAX]; /* each with /p2p/ID */
    size_t own_len;
    lp2p_time query_at, answer_at, services_at, answered, services_answered; /* *_at: NEVER: nothing is due */
    uint64_t pause_ns;                   /* after the next query */
    struct lp2p_mdns_bucket packets, unicasts, peers;
    unsigned announces;         /* unasked answers that are still to follow */
    bool told;                  /* to all: there is something to take back */
    struct lp2p_ip_port waited; /* for whose known answers alone the next answer waits; ip_len 0: nobody's */
    struct { uint64_t hash; uint32_t peer; lp2p_time told; } known[LP2P_MDNS_KNOWN_MAX]; /* peer: part of a hash */
    struct lp2p_mdns_cache cache;
    uint8_t known_key[16];
    struct lp2p_mdns_heard heard; /* of the last packet; what was handed out has length 0 */
    size_t heard_next;
    uint64_t suppressed;       /* answers that the asker, or all, knew already */
    uint64_t invalid, limited; /* packets; packets, unicasts and peers beyond their limits */
};

/** `fingerprint`: of the private network's key, 16 bytes; NULL: none. `limits` NULL: the usual ones. The first query is due soon. */
void lp2p_mdns_init(struct lp2p_mdns *mdns, const struct lp2p_peer_id *self, const uint8_t *fingerprint,
                    const struct lp2p_mdns_limits *limits, const struct lp2p_rand *rand, lp2p_time now);
/** What this node listens on; kept is what a peer on the same network can dial. A change is told soon. */
void lp2p_mdns_publish(struct lp2p_mdns *mdns, const struct lp2p_multiaddr *addrs, size_t len, lp2p_time now);
/** The network has changed: asks and answers as in the beginning. */
void lp2p_mdns_renew(struct lp2p_mdns *mdns, lp2p_time now);

/** What to send to the asker alone, at once. */
enum { LP2P_MDNS_UNICAST_PEERS = 1, LP2P_MDNS_UNICAST_SERVICES = 2 };
/** A packet that was sent to the group. Returns what the asker gets (LP2P_MDNS_UNICAST_..), dressed as *dress says. */
unsigned lp2p_mdns_take(struct lp2p_mdns *mdns, struct lp2p_span packet, const struct lp2p_ip_port *from, lp2p_time now,
                        struct lp2p_mdns_dress *dress);
/** A peer of that packet with addresses that are news, without /p2p; false: no more. */
struct lp2p_mdns_peer {
    struct lp2p_peer_id id;
    size_t addrs_len;
    struct lp2p_multiaddr addrs[LP2P_MDNS_PEER_ADDRS_MAX];
};
bool lp2p_mdns_next_peer(struct lp2p_mdns *mdns, lp2p_time now, struct lp2p_mdns_peer *out);

/** A peer that took leave and did not come back within a second: what was told of it is void, and news when it is told again. */
bool lp2p_mdns_next_gone(struct lp2p_mdns *mdns, lp2p_time now, struct lp2p_peer_id *out);
/** The question for the group, with what need not be answered; `out` has room for LP2P_MDNS_SEND_MAX bytes. */
size_t lp2p_mdns_query(const struct lp2p_mdns *mdns, lp2p_time now, uint8_t *out);
/** The farewell for the group; 0: nothing of this node was told that is not taken back. */
size_t lp2p_mdns_farewell(struct lp2p_mdns *mdns, uint8_t *out);

/** When something is due to be sent to the group, or a peer is gone. */
lp2p_time lp2p_mdns_next(const struct lp2p_mdns *mdns);
/** True, once: it is due now. */
bool lp2p_mdns_query_due(struct lp2p_mdns *mdns, lp2p_time now);
bool lp2p_mdns_answer_due(struct lp2p_mdns *mdns, lp2p_time now); /* without addresses: the farewell */
bool lp2p_mdns_services_due(struct lp2p_mdns *mdns, lp2p_time now);

#endif
