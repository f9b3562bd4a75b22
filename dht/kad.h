/* SPDX-License-Identifier: MIT
 * Kademlia DHT as one pure machine (libp2p specs kad-dht/README.md): routing table, server, iterative lookups.
 *
 * The owner (one actor) carries messages: it answers requests of remote peers with lp2p_kad_serve, sends the requests that
 * lp2p_kad_next asks for, and gives back answers or failures. No sockets, threads, clock or system randomness in here. */
#ifndef LP2P_DHT_KAD_H
#define LP2P_DHT_KAD_H

#include "base/rand.h"
#include "base/time.h"
#include "wire/envelope.h"

#define LP2P_KAD_KEY_MAX 512           /* bytes of a value or provider key */
#define LP2P_KAD_VALUE_MAX (16 * 1024) /* bytes of a stored value */
#define LP2P_KAD_ADDRS_MAX 8           /* addresses kept and sent for one peer */
#define LP2P_KAD_REQUEST_MAX (64 * 1024)          /* bytes of a request that we accept */
#define LP2P_KAD_RESPONSE_MAX (4u * 1024 * 1024)  /* bytes of a response that we accept */

/** A peer with addresses, by value. */
struct lp2p_kad_peer {
    struct lp2p_peer_id id;
    uint8_t addrs_len;
    bool connected;
    struct lp2p_multiaddr addrs[LP2P_KAD_ADDRS_MAX];
};

/** Verdict on a record of a namespace "/ns/...". Keys without namespace (fewer than three parts when split at '/') are
 *  accepted unvalidated, as js-libp2p does and Lotus resources need; unknown namespaces are refused. */
struct lp2p_kad_validator {
    const char *ns;
    enum lp2p_err (*validate)(void *ctx, struct lp2p_span key, struct lp2p_span value);
    /** True when `a` is better than `b`. */
    bool (*better)(void *ctx, struct lp2p_span key, struct lp2p_span a, struct lp2p_span b);
    void *ctx;
};

/** Zero means the default. */
struct lp2p_kad_config {
    struct lp2p_peer_id self;
    bool server;               /* informs what the owner advertises; a client refuses to serve */
    bool public_only;          /* drop peers without a public address from tables and answers */
    unsigned k;                /* default 20 */
    unsigned alpha;            /* requests in flight of one query; default 10 */
    uint64_t request_timeout_ns;  /* default 10 s */
    uint64_t query_timeout_ns;    /* default 60 s */
    uint64_t refresh_interval_ns; /* self lookup and bucket refresh; default 10 min; LP2P_NEVER: off */
    uint64_t record_ttl_ns;       /* default 48 h */
    uint64_t provider_ttl_ns;     /* default 48 h */
    unsigned records_max, providers_max, providers_per_key_max; /* default 8192, 250,000, 20 */
    unsigned queries_max;      /* concurrent; default 64 */
    const struct lp2p_kad_validator *validators; /* borrowed; "pk" is built in */
    size_t validators_len;
    /** Optional: addresses that the owner knows of a peer that is in no table (a client, or this node itself). False: none. */
    bool (*peer_addrs)(void *ctx, const struct lp2p_peer_id *peer, struct lp2p_kad_peer *out);
    void *peer_addrs_ctx;
};

struct lp2p_kad;

/** How far away the peer is whose bytes are given next: addresses that are narrower than that are not believed of it. Holds for
 *  all calls until it is changed; at first only what cannot be dialed by anybody is dropped. */
void lp2p_kad_source(struct lp2p_kad *kad, enum lp2p_ma_scope source);

struct lp2p_kad *lp2p_kad_new(const struct lp2p_kad_config *config, const struct lp2p_rand *rand, lp2p_time now);
void lp2p_kad_free(struct lp2p_kad *kad);

/* Peers. */

/** A peer that speaks the DHT protocol as a server was seen with these addresses: candidate for the routing table. */
void lp2p_kad_peer_seen(struct lp2p_kad *kad, const struct lp2p_kad_peer *peer, lp2p_time now);
/** The connection state changed; a table entry is kept when a peer disconnects. */
void lp2p_kad_peer_connected(struct lp2p_kad *kad, const struct lp2p_peer_id *peer, bool connected);
/** The peer stopped being a server or could not be reached: leaves the table. */
void lp2p_kad_peer_gone(struct lp2p_kad *kad, const struct lp2p_peer_id *peer);
size_t lp2p_kad_table_size(const struct lp2p_kad *kad);
/** Up to max peers of the table closest to the Kademlia id of `key`, nearest first. */
size_t lp2p_kad_table_closest(const struct lp2p_kad *kad, struct lp2p_span key, struct lp2p_kad_peer *out, size_t max);

/* Server. */

/** Handles one request of `from` (message without its length prefix). OK with *len > 0: send the response written to out.
 *  OK with *len == 0: no response (ADD_PROVIDER). Any error: reset the stream. cap should be LP2P_KAD_REQUEST_MAX at least;
 *  responses are trimmed to fit. wall_ms is the time of day. */
enum lp2p_err lp2p_kad_serve(struct lp2p_kad *kad, const struct lp2p_peer_id *from, struct lp2p_span request, lp2p_time now,
                             uint64_t wall_ms, uint8_t *out, size_t cap, size_t *len) LP2P_MUST_CHECK;

/* Queries. Each returns an id (never 0) and ends with exactly one QUERY_DONE. 0: refused (too many under way, the key empty or
 * longer than LP2P_KAD_KEY_MAX (provide, find_providers: 80), the value longer than LP2P_KAD_VALUE_MAX, or no memory).
 * What the machine asks for on its own (refresh, corrections after a get) shows as SEND and CANCELED under ids of its own, and
 * never as QUERY_DONE. */

uint64_t lp2p_kad_find_peer(struct lp2p_kad *kad, const struct lp2p_peer_id *target, lp2p_time now);
uint64_t lp2p_kad_closest(struct lp2p_kad *kad, struct lp2p_span key, lp2p_time now);
/** quorum: stop after that many equal answers; 0: run to the end and take the best. */
uint64_t lp2p_kad_get(struct lp2p_kad *kad, struct lp2p_span key, unsigned quorum, lp2p_time now, uint64_t wall_ms);
/** Stores locally and at the k closest peers. QUERY_DONE: OK when at least one peer stored it and returned the equal value, and
 *  for a server whose table is empty (it is the whole network then); EQUORUM when nobody did; EBADRECORD when no validator
 *  accepts the value, EEXIST when we hold a better one: nothing was sent then. The local copy stays in all other cases. */
uint64_t lp2p_kad_put(struct lp2p_kad *kad, struct lp2p_span key, struct lp2p_span value, lp2p_time now, uint64_t wall_ms);
/** key is a multihash. `self` are our addresses as they shall be published (its id is not looked at). Nobody acknowledges a
 *  provider record: OK means that it was handed over for at least one peer, or that a server's table is empty; EQUORUM that
 *  nobody was found; ENOADDR that `self` has no address fit for publishing. */
uint64_t lp2p_kad_provide(struct lp2p_kad *kad, struct lp2p_span key, const struct lp2p_kad_peer *self, lp2p_time now);
/** max: enough providers; 0: k. */
uint64_t lp2p_kad_find_providers(struct lp2p_kad *kad, struct lp2p_span key, unsigned max, lp2p_time now);
void lp2p_kad_cancel(struct lp2p_kad *kad, uint64_t query);
/** Self lookup at once (after bootstrap peers were connected). */
void lp2p_kad_bootstrap(struct lp2p_kad *kad, lp2p_time now);

/* The four verbs of a query: what to send comes out of next, what came back goes in by feed. */

enum lp2p_kad_event_kind {
    LP2P_KAD_NONE,
    LP2P_KAD_SEND,       /* send `message` (without prefix) to `peer`; unless no_reply, feed or fail follows, with `request` */
    LP2P_KAD_CANCELED,   /* the answer to `request` is not wanted any more */
    LP2P_KAD_PROVIDER,   /* a provider was found: peer */
    LP2P_KAD_QUERY_DONE, /* query; reason OK, ETIMEDOUT, ENOTFOUND, EQUORUM, ECANCELED, and those named at the operations */
};
struct lp2p_kad_event {
    enum lp2p_kad_event_kind kind;
    uint64_t query, request;
    struct lp2p_kad_peer peer; /* SEND: with addresses for dialing */
    bool no_reply;
    struct lp2p_span message; /* SEND: valid until the next call into the machine */
    enum lp2p_err reason;
    struct lp2p_span value;            /* QUERY_DONE of get: the best value; valid until the next call */
    const struct lp2p_kad_peer *peers; /* QUERY_DONE: closest peers that answered (closest), the target (find_peer),
                                          providers, or where it was stored; valid until the next call */
    size_t peers_len;
};
/** A response to `request` (message without prefix). A malformed one counts as a failure of that peer. */
void lp2p_kad_feed(struct lp2p_kad *kad, uint64_t request, struct lp2p_span response, lp2p_time now, uint64_t wall_ms);
/** The request could not be sent or answered. */
void lp2p_kad_fail(struct lp2p_kad *kad, uint64_t request, enum lp2p_err reason, lp2p_time now);
void lp2p_kad_next(struct lp2p_kad *kad, struct lp2p_kad_event *event, lp2p_time now);
/** When to call lp2p_kad_tick. After each call into the machine first take events with next until there is none. */
lp2p_time lp2p_kad_deadline(const struct lp2p_kad *kad);
/** Time-outs, expiry, refresh. */
void lp2p_kad_tick(struct lp2p_kad *kad, lp2p_time now, uint64_t wall_ms);

struct lp2p_kad_stats {
    size_t table_peers, records, provider_records, queries;
    uint64_t requests_in[6], requests_refused, requests_out, requests_failed, evicted, store_refused;
};
void lp2p_kad_stats_get(const struct lp2p_kad *kad, struct lp2p_kad_stats *out);

#endif
