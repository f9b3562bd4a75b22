/* SPDX-License-Identifier: MIT
 * What all actors of one node share: immutable after start, except for the counters, which are relaxed atomics.
 * `struct lp2p_node` (node.c) embeds it; actors get a pointer to it in their child spec's arg. */
#ifndef LP2P_ACTORS_CONTEXT_H
#define LP2P_ACTORS_CONTEXT_H

#include "actors/config.h"
#include "actors/link/admission.h"
#include "actors/link/door.h"
#include "actors/net.h"
#include "actors/outbox.h"
#include "actors/messages.h"
#include "actors/link/rate.h"
#include "noise/noise.h"
#include "runtime/runtime.h"
#include "tls/session.h"
#include "tls/tls.h"

/** Groups of threads in the runtime's config. */
enum { LP2P_GROUP_IO, LP2P_GROUP_UPGRADE, LP2P_GROUP_SERVICE, LP2P_GROUPS };

/** Counters of the node: add with LP2P_COUNT, read relaxed; any thread. */
struct lp2p_counters {
    uint64_t bytes_in, bytes_out;
    uint64_t connections_opened, connections_closed, connections_trimmed, connections_refused;
    uint64_t dials, dials_failed, dials_limited, upgrades_failed, upgrades_pending; /* upgrades_pending goes up and down */
    uint64_t proxied_invalid;
    uint64_t messages_in, messages_out, messages_invalid, messages_duplicate, messages_dropped, messages_left_out;
    uint64_t streams_opened, streams_refused, streams_reset, streams_open; /* streams_open goes up and down */
    uint64_t dht_requests_in, dht_requests_refused, dht_records, dht_providers, dht_peers; /* the last three are gauges */
    uint64_t events_lost, notifications_dropped;
    uint64_t mdns_queries, mdns_answers, mdns_packets, mdns_invalid, mdns_limited, mdns_peers, mdns_gone, mdns_suppressed;
    uint64_t connections, inbound, outbound, known_peers, dials_pending; /* gauges kept by the swarm */
};
#define LP2P_COUNT(ctx, name, n) ((void)__atomic_fetch_add(&(ctx)->counters.name, (uint64_t)(n), __ATOMIC_RELAXED))
#define LP2P_GAUGE(ctx, name, v) __atomic_store_n(&(ctx)->counters.name, (uint64_t)(v), __ATOMIC_RELAXED)
#define LP2P_READ(ctx, name) __atomic_load_n(&(ctx)->counters.name, __ATOMIC_RELAXED)

/** Addresses (gen 0) of the node's named actors; set before any of them starts to work, constant afterwards. */
struct lp2p_names {
    struct lp2p_ref swarm, dialer, resolver, router, resources, messages, notifier, links, protocols, store;
};

/** A secure channel that is spoken, and what the node brings to its handshakes. */
struct lp2p_security {
    const struct lp2p_secure_ops *ops;
    const void *identity; /* of the kind that ops wants; its list of muxers is a beginning of the context's */
};
#define LP2P_SECURITY_MAX 2

struct lp2p_context {
    struct lp2p_config config; /* a copy */
    struct lp2p_private_key key;
    struct lp2p_public_key public_key;
    struct lp2p_peer_id self;
    char self_text[LP2P_PEER_ID_TEXT_MAX];
    struct lp2p_noise_identity noise;
    struct lp2p_tls_identity tls;
    struct lp2p_tls_web *web_client; /* of dialed wss; NULL: none is dialed */
    struct lp2p_security security[LP2P_SECURITY_MAX]; /* in order of preference */
    size_t security_len;
    const struct lp2p_mux_ops *muxers[2]; /* in order of preference */
    size_t muxers_len;
    const struct lp2p_net *net;
    const struct lp2p_mss_limits *negotiation; /* of inbound negotiations; NULL: the defaults */
    const struct lp2p_dial_limits *dial_limits; /* NULL: the defaults */
    struct lp2p_names names; /* written once by the swarm's first init, before the other actors start */
    bool names_known;
    struct lp2p_rt *rt;      /* for lp2p_post from foreign threads only */
    struct lp2p_node *node;  /* for callbacks */
    struct lp2p_swarm_heir *swarm_heir; /* the swarm's alone; freed by lp2p_swarm_heir_free after the runtime has stopped */
    struct lp2p_message_routes *message_routes; /* the messages actor's alone: who receives messages */
    struct lp2p_resource_cache *resource_cache; /* the resources actor's alone */
    struct lp2p_db *db;           /* what is kept on disk, while the node runs; the store actor's alone. NULL: nothing is kept */
    struct lp2p_slice store_last; /* the swarm's last batch, written when the runtime has stopped */
    uint64_t own_seq;             /* number of our newest signed record of earlier runs, as far as is known */
    struct lp2p_rate_shared push_rates;   /* of identify pushes, over all threads */
    struct lp2p_rate_shared verify_rates; /* of inbound handshakes that cost more than an Ed25519 signature */
    const struct lp2p_rate *verify_rate;  /* of one address there; NULL: LP2P_VERIFY_RATE */
    struct lp2p_counters counters;
};

void lp2p_swarm_heir_free(struct lp2p_context *ctx);
/** What messages and resources keep over their restarts; after the runtime has stopped. */
void lp2p_protocols_heirs_free(struct lp2p_context *ctx);

/** The named actors; may be called from any actor of the node once the tree is up or starting. */
const struct lp2p_names *lp2p_names(const struct lp2p_context *ctx);

/** Logs if the level is wanted. Any thread. Never log secrets; text from peers is made harmless by lp2p_printable. */
void lp2p_log(const struct lp2p_context *ctx, enum lp2p_log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/** Copies hostile text for terminals and logs: control characters and invalid UTF-8 become '?'; NUL-terminated, cut at cap. */
void lp2p_printable(struct lp2p_span text, char *out, size_t cap);

/* The actors (ops tables); arg of each child spec is named beside it. */
extern const struct lp2p_actor_ops lp2p_swarm_ops;     /* arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_store_ops;     /* arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_dialer_ops;    /* arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_resolver_ops;  /* arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_interfaces_ops; /* arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_mdns_ops;       /* arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_listener_ops;  /* arg: struct lp2p_listener_arg * */
extern const struct lp2p_actor_ops lp2p_upgrade_ops;   /* arg: struct lp2p_upgrade_arg *, owned */
extern const struct lp2p_actor_ops lp2p_conn_ops;      /* arg: struct lp2p_conn_arg *, owned */
extern const struct lp2p_actor_ops lp2p_muxer_ops;     /* arg: struct lp2p_muxer_arg *, owned */
extern const struct lp2p_actor_ops lp2p_ping_ops;      /* resident; arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_identify_ops;  /* resident; arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_serve_ops;     /* resident: echo, perf; arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_streams_ops;   /* resident: user streams; arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_messages_ops;  /* arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_router_ops;    /* arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_resources_ops; /* arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_notifier_ops;  /* arg: struct lp2p_context * */
extern const struct lp2p_actor_ops lp2p_protocol_ops;  /* a user's protocol; arg: struct lp2p_protocol_arg * */

struct lp2p_listener_arg {
    struct lp2p_context *ctx;
    unsigned index; /* of config.listen */
    const struct lp2p_inbound_limits *limits; /* NULL: the defaults */
    bool was_bound; /* these two are the listener's own memory over restarts: it binds the same port again */
    struct lp2p_ip_port bound;
};
#define LP2P_HOST_MAX 256 /* bytes of a host name with its NUL */
/** One attempt at a connection: an accepted socket, or an address to connect to. */
struct lp2p_upgrade_arg {
    struct lp2p_context *ctx;
    bool outbound;
    int fd;                   /* inbound: accepted, owned; outbound: -1 */
    struct lp2p_multiaddr remote, local;
    lp2p_time deadline;       /* absolute, whole upgrade */
    /* outbound */
    uint64_t dial;
    struct lp2p_peer_id peer;      /* expected; len 0: any */
    struct lp2p_ip_port from;      /* our end, so that the peer sees where we listen; ip_len 0: any */
    char host[LP2P_HOST_MAX];      /* the name that led to the IP in `remote`, for SNI and Host; "": none */
    /* inbound */
    unsigned doors;           /* the kinds (lp2p_door_kind) that this socket serves */
    bool from_proxy;          /* the connection comes from a trusted proxy: it may say who is behind it */
    struct lp2p_ref listener;
    struct lp2p_tls_web *web; /* owned: one hold; NULL: no wss */
};
void lp2p_upgrade_arg_drop(void *arg);
struct lp2p_conn_arg {
    struct lp2p_context *ctx;
    uint64_t conn;
    struct lp2p_carrier *carrier; /* owned, as what follows */
    struct lp2p_secure *secure;
    struct lp2p_slice leftover;
};
void lp2p_conn_arg_drop(void *arg);
struct lp2p_muxer_arg {
    struct lp2p_context *ctx;
    uint64_t conn;
    struct lp2p_ref connection;
    const struct lp2p_mux_ops *ops;
    uint32_t plain_max; /* bytes in one frame of the secure channel */
    bool outbound;
    struct lp2p_peer_id peer;
    struct lp2p_multiaddr remote;
    struct lp2p_protocols *protocols; /* owned */
};
void lp2p_muxer_arg_drop(void *arg);
struct lp2p_protocol_arg {
    struct lp2p_context *ctx;
    struct lp2p_handler handler; /* texts copied */
    struct lp2p_op *unregistered; /* finished when the actor has ended for good */
    uint32_t starts;
};

#endif
