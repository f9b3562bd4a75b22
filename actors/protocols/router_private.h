/* SPDX-License-Identifier: MIT
 * The DHT router from the inside: the Kademlia machine (dht/kad.h) and what carries its messages.
 * router_streams.c moves requests and answers over streams, router_queries.c serves DHT_REQUEST,
 * router_peers.c knows who is connected and tells the swarm of peers that were found, router_actor.c is the
 * actor. All of it runs on the actor's own thread. */
#ifndef LP2P_ACTORS_PROTOCOLS_ROUTER_PRIVATE_H
#define LP2P_ACTORS_PROTOCOLS_ROUTER_PRIVATE_H

#include "actors/protocols/streams.h"
#include "dht/kad.h"
#include "wire/frame.h"

#define LP2P_ROUTER_SERVE_STREAMS_MAX 32   /* inbound, on one connection (as rust and js) */
#define LP2P_ROUTER_SERVE_TOTAL_MAX 2048   /* inbound streams of the whole node */
#define LP2P_ROUTER_REQUESTS_MAX 1024      /* outbound requests under way */
#define LP2P_ROUTER_IDLE_NS LP2P_SEC(60)   /* an inbound stream between requests */
#define LP2P_ROUTER_ANSWER_NS LP2P_SEC(20) /* an outbound one; the machine gives a request up before that */
#define LP2P_ROUTER_CLOSE_NS LP2P_SEC(2)   /* for the peer's end after its answer */
#define LP2P_ROUTER_JOBS_MAX 48 /* queries of users at one time: the machine's 64 with room for its own */
#define LP2P_ROUTER_WAITING_MAX 1024 /* queries of users that wait for a place */
#define LP2P_ROUTER_FOUND_BURST 128  /* PEER_FOUND to the swarm at once, and then one in FOUND_REFILL_NS */
#define LP2P_ROUTER_FOUND_REFILL_NS LP2P_MS(20)
#define LP2P_ROUTER_BUCKETS 256u

enum { LP2P_ROUTER_TIMER_OUTBOX, LP2P_ROUTER_TIMER_STREAMS, LP2P_ROUTER_TIMER_KAD, LP2P_ROUTER_TIMER_JOBS };

struct lp2p_router {
    struct lp2p_actor *self;
    struct lp2p_context *ctx;
    struct lp2p_outbox outbox;
    struct lp2p_pstreams streams;
    struct lp2p_kad *kad;
    bool ending; /* fini */
    /* streams */
    struct lp2p_list requests[LP2P_ROUTER_BUCKETS];
    size_t requests_len, serving;
    uint64_t next_tag;
    uint8_t *answer; /* room for one response */
    /* queries */
    struct lp2p_list jobs;
    size_t jobs_len, waiting_len;
    struct lp2p_msg *waiting, **waiting_last;
    /* peers */
    struct lp2p_list known[LP2P_ROUTER_BUCKETS]; /* connected ones */
    struct lp2p_self *self_info;                 /* NULL until the swarm has told us */
    unsigned found_tokens;
    lp2p_time found_refilled;
};

/** Takes the machine's events until there is none and sets its timer: to be called after anything that went
 * into it. */
void lp2p_router_run(struct lp2p_router *router);

/* router_streams.c */
extern const struct lp2p_pstream_ops lp2p_router_stream_ops;
void lp2p_router_streams_init(struct lp2p_router *router);
/** The machine wants a request to be sent. */
void lp2p_router_request(struct lp2p_router *router, const struct lp2p_kad_event *event);
/** The machine does not want the answer any more. */
void lp2p_router_request_canceled(struct lp2p_router *router, uint64_t request);
void lp2p_router_open_failed(struct lp2p_router *router, const struct lp2p_m_stream_open_failed *m);
/** After the streams are gone: what was never opened. */
void lp2p_router_streams_fini(struct lp2p_router *router);

/* router_queries.c */
void lp2p_router_queries_init(struct lp2p_router *router);
/** Takes the DHT_REQUEST over (*msg is nulled). */
void lp2p_router_ask(struct lp2p_router *router, struct lp2p_msg **msg);
void lp2p_router_query_done(struct lp2p_router *router, const struct lp2p_kad_event *event);
/** Deadlines of queries. */
void lp2p_router_queries_tick(struct lp2p_router *router);
void lp2p_router_queries_fini(struct lp2p_router *router);

/* router_peers.c */
void lp2p_router_peers_init(struct lp2p_router *router);
void lp2p_router_peer_update(struct lp2p_router *router, struct lp2p_peer_info *info);
void lp2p_router_peer_left(struct lp2p_router *router, const struct lp2p_peer_id *peer);
void lp2p_router_self_changed(struct lp2p_router *router, struct lp2p_m_self_changed *m);
/** What is known of a connected peer, or NULL. */
struct lp2p_peer_info *lp2p_router_known(const struct lp2p_router *router, const struct lp2p_peer_id *peer);
/** Our own addresses as they are published. */
/** Tells the machine how far away the peer is whose bytes come next. */
void lp2p_router_source(struct lp2p_router *router, const struct lp2p_peer_id *peer);
void lp2p_router_self_peer(const struct lp2p_router *router, struct lp2p_kad_peer *out);
/** The machine's question for addresses (lp2p_kad_config). */
bool lp2p_router_peer_addrs(void *ctx, const struct lp2p_peer_id *peer, struct lp2p_kad_peer *out);
/** Tells the swarm, as far as the rate allows. */
void lp2p_router_found(struct lp2p_router *router, const struct lp2p_kad_peer *peer);
void lp2p_router_peers_fini(struct lp2p_router *router);

#endif
