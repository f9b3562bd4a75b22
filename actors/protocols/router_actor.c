/* SPDX-License-Identifier: MIT
 * The DHT router: an actor with a thread of its own around the Kademlia machine. Not started when the DHT is
 * off. */
#include "actors/protocols/router_private.h"

#include <stdlib.h>

static void show(struct lp2p_router *router)
{
    struct lp2p_kad_stats stats;
    lp2p_kad_stats_get(router->kad, &stats);
    LP2P_GAUGE(router->ctx, dht_peers, stats.table_peers);
    LP2P_GAUGE(router->ctx, dht_records, stats.records);
    LP2P_GAUGE(router->ctx, dht_providers, stats.provider_records);
}

void lp2p_router_run(struct lp2p_router *router)
{
    struct lp2p_kad_event event;
    do {
        lp2p_kad_next(router->kad, &event, lp2p_now(router->self));
        switch (event.kind) {
        case LP2P_KAD_SEND:
            lp2p_router_request(router, &event);
            break;
        case LP2P_KAD_CANCELED:
            lp2p_router_request_canceled(router, event.request);
            break;
        case LP2P_KAD_PROVIDER:
            lp2p_router_found(router, &event.peer);
            break;
        case LP2P_KAD_QUERY_DONE:
            lp2p_router_query_done(router, &event);
            break;
        case LP2P_KAD_NONE:
            break;
        }
    } while (event.kind != LP2P_KAD_NONE);
    lp2p_timer_set(router->self, LP2P_ROUTER_TIMER_KAD, lp2p_kad_deadline(router->kad));
    show(router);
}

static enum lp2p_verdict on_msg(struct lp2p_actor *self, void *opaque, struct lp2p_msg **msg)
{
    (void)self;
    struct lp2p_router *router = opaque;
    if (lp2p_pstreams_handle(&router->streams, *msg)) {
        /* done */
    } else if (LP2P_IS(*msg, DHT_REQUEST)) {
        lp2p_router_ask(router, msg);
    } else if (LP2P_IS(*msg, STREAM_OPEN_FAILED)) {
        lp2p_router_open_failed(router, LP2P_AS(*msg, STREAM_OPEN_FAILED, stream_open_failed));
    } else if (LP2P_IS(*msg, PEER_CONNECTED)) {
        lp2p_router_peer_update(router, LP2P_AS(*msg, PEER_CONNECTED, peer)->info);
    } else if (LP2P_IS(*msg, PEER_UPDATED)) {
        lp2p_router_peer_update(router, LP2P_AS(*msg, PEER_UPDATED, peer)->info);
    } else if (LP2P_IS(*msg, PEER_DISCONNECTED)) {
        lp2p_router_peer_left(router, &LP2P_AS(*msg, PEER_DISCONNECTED, peer)->info->id);
    } else if (LP2P_IS(*msg, SELF_CHANGED)) {
        lp2p_router_self_changed(router, LP2P_AS(*msg, SELF_CHANGED, self_changed));
    }
    lp2p_router_run(router);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict on_timer(struct lp2p_actor *self, void *opaque, unsigned timer)
{
    struct lp2p_router *router = opaque;
    switch (timer) {
    case LP2P_ROUTER_TIMER_OUTBOX:
        lp2p_outbox_retry(self, &router->outbox);
        break;
    case LP2P_ROUTER_TIMER_STREAMS:
        lp2p_pstreams_tick(&router->streams);
        break;
    case LP2P_ROUTER_TIMER_JOBS:
        lp2p_router_queries_tick(router);
        break;
    default:
        lp2p_kad_tick(router->kad, lp2p_now(self), lp2p_wall_ms(self));
        break;
    }
    lp2p_router_run(router);
    return LP2P_CONTINUE;
}

/* As js-libp2p in a Lotus node: unless it was asked for, private addresses are kept out of the DHT only where every
 * listening address is a public one. */
static bool public_only(const struct lp2p_config *config)
{
    if (config->public_only) {
        return true;
    }
    for (size_t i = 0; i < config->listen_len; i++) {
        if (lp2p_multiaddr_scope(&config->listen[i]) != LP2P_SCOPE_PUBLIC) {
            return false;
        }
    }
    return config->listen_len > 0;
}

static void fini(struct lp2p_actor *self, void *opaque, enum lp2p_verdict why)
{
    (void)why;
    struct lp2p_router *router = opaque;
    router->ending = true;
    lp2p_pstreams_fini(&router->streams);
    lp2p_router_streams_fini(router);
    lp2p_router_queries_fini(router);
    lp2p_router_peers_fini(router);
    lp2p_outbox_end(self, &router->outbox);
    lp2p_kad_free(router->kad);
    free(router->answer);
    LP2P_GAUGE(router->ctx, dht_peers, 0);
    LP2P_GAUGE(router->ctx, dht_records, 0);
    LP2P_GAUGE(router->ctx, dht_providers, 0);
}

static enum lp2p_err join(struct lp2p_router *router)
{
    const struct lp2p_config *config = &router->ctx->config;
    const struct lp2p_kad_config kad = {
        .self = router->ctx->self,
        .server = config->dht_mode == LP2P_DHT_SERVER,
        .public_only = public_only(config),
        .k = config->dht_k,
        .alpha = config->dht_alpha,
        .peer_addrs = lp2p_router_peer_addrs,
        .peer_addrs_ctx = router,
    };
    router->kad = lp2p_kad_new(&kad, lp2p_actor_rand(router->self), lp2p_now(router->self));
    router->answer = malloc(LP2P_KAD_REQUEST_MAX);
    if (router->kad == NULL || router->answer == NULL) {
        return LP2P_ENOMEM;
    }
    enum lp2p_err err = LP2P_OK;
    if (kad.server) {
        err = lp2p_protocol_offer(router->self, &router->outbox, router->ctx, config->dht_protocol,
                                  LP2P_ROUTER_SERVE_STREAMS_MAX);
    }
    return err == LP2P_OK ? lp2p_protocol_subscribe(router->self, &router->outbox, router->ctx,
                                                    LP2P_SUB_PEERS | LP2P_SUB_SELF)
                          : err;
}

static enum lp2p_err init(struct lp2p_actor *self, void *opaque, const void *arg)
{
    struct lp2p_router *router = opaque;
    router->self = self;
    router->ctx = (struct lp2p_context *)(uintptr_t)arg;
    lp2p_outbox_init(&router->outbox, LP2P_ROUTER_TIMER_OUTBOX, LP2P_PROTOCOL_OUTBOX_MAX);
    lp2p_pstreams_init(&router->streams, &lp2p_router_stream_ops, router, self, &router->outbox,
                       LP2P_ROUTER_TIMER_STREAMS);
    lp2p_router_streams_init(router);
    lp2p_router_queries_init(router);
    lp2p_router_peers_init(router);
    enum lp2p_err err = join(router);
    if (err != LP2P_OK) {
        fini(self, router, LP2P_FAIL);
        return err;
    }
    lp2p_timer_set(self, LP2P_ROUTER_TIMER_KAD, lp2p_kad_deadline(router->kad));
    return LP2P_OK;
}

const struct lp2p_actor_ops lp2p_router_ops = {
    .name = "router",
    .state_size = sizeof(struct lp2p_router),
    .init = init,
    .on_msg = on_msg,
    .on_timer = on_timer,
    .fini = fini,
};
