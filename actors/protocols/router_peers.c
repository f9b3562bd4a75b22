/* SPDX-License-Identifier: MIT
 * Who is connected, as the swarm tells it: servers of our DHT go to the routing table, and the addresses of
 * everybody else are at hand when the machine is asked for them. In the other direction, what lookups find
 * goes to the swarm. */
#include "actors/protocols/router_private.h"

#include <stdlib.h>

struct known {
    struct lp2p_list entry;
    struct lp2p_peer_info *info; /* one reference */
};

static struct lp2p_list *bucket_of(const struct lp2p_router *router, const struct lp2p_peer_id *peer)
{
    uint32_t hash = 2166136261u;
    for (unsigned i = 0; i < peer->len; i++) {
        hash = (hash ^ peer->bytes[i]) * 16777619u;
    }
    return (struct lp2p_list *)(uintptr_t)&router->known[hash % LP2P_ROUTER_BUCKETS];
}

static struct known *find(const struct lp2p_router *router, const struct lp2p_peer_id *peer)
{
    LP2P_LIST_FOREACH(it, bucket_of(router, peer))
    {
        struct known *known = LP2P_LIST_ENTRY(it, struct known, entry);
        if (lp2p_peer_id_eq(&known->info->id, peer)) {
            return known;
        }
    }
    return NULL;
}

static void forget(struct known *known)
{
    lp2p_list_remove(&known->entry);
    lp2p_peer_info_drop(&known->info);
    free(known);
}

void lp2p_router_peers_init(struct lp2p_router *router)
{
    for (unsigned i = 0; i < LP2P_ROUTER_BUCKETS; i++) {
        lp2p_list_init(&router->known[i]);
    }
    router->found_tokens = LP2P_ROUTER_FOUND_BURST;
    router->found_refilled = lp2p_now(router->self);
}

void lp2p_router_peers_fini(struct lp2p_router *router)
{
    for (unsigned i = 0; i < LP2P_ROUTER_BUCKETS; i++) {
        LP2P_LIST_FOREACH_SAFE(it, &router->known[i])
        {
            forget(LP2P_LIST_ENTRY(it, struct known, entry));
        }
    }
    lp2p_self_info_drop(&router->self_info);
}

struct lp2p_peer_info *lp2p_router_known(const struct lp2p_router *router, const struct lp2p_peer_id *peer)
{
    struct known *known = find(router, peer);
    return known == NULL ? NULL : known->info;
}

static void copy_addrs(const struct lp2p_addrs *addrs, struct lp2p_kad_peer *out)
{
    for (uint32_t i = 0; addrs != NULL && i < addrs->len && out->addrs_len < LP2P_KAD_ADDRS_MAX; i++) {
        out->addrs[out->addrs_len++] = addrs->items[i];
    }
}

static void to_kad_peer(const struct lp2p_peer_info *info, struct lp2p_kad_peer *out)
{
    *out = (struct lp2p_kad_peer){.id = info->id, .connected = true};
    copy_addrs(info->addrs, out);
    /* An address that we dialed works; the remote end of an inbound connection is no listening address. */
    if (out->addrs_len == 0 && info->outbound && info->remote.len > 0) {
        out->addrs[out->addrs_len++] = info->remote;
    }
}

void lp2p_router_peer_update(struct lp2p_router *router, struct lp2p_peer_info *info)
{
    struct known *known = find(router, &info->id);
    if (!info->connected) {
        return; /* PEER_DISCONNECTED tells */
    }
    if (known == NULL) {
        known = calloc(1, sizeof(*known));
        if (known == NULL) {
            return;
        }
        lp2p_list_push_back(bucket_of(router, &info->id), &known->entry);
    }
    lp2p_peer_info_drop(&known->info);
    known->info = lp2p_peer_info_ref(info);
    if (info->protocols == NULL) {
        return; /* identify has not run */
    }
    if (lp2p_peer_info_speaks(info, router->ctx->config.dht_protocol)) {
        struct lp2p_kad_peer peer;
        to_kad_peer(info, &peer);
        lp2p_kad_peer_seen(router->kad, &peer, lp2p_now(router->self));
    } else {
        lp2p_kad_peer_gone(router->kad, &info->id);
    }
}

void lp2p_router_source(struct lp2p_router *router, const struct lp2p_peer_id *peer)
{
    const struct lp2p_peer_info *info = lp2p_router_known(router, peer);
    /* Of somebody whose connection has not been heard of yet nothing private is believed. */
    lp2p_kad_source(router->kad, info == NULL || info->remote.len == 0 ? LP2P_SCOPE_PUBLIC : lp2p_multiaddr_scope(&info->remote));
}

void lp2p_router_peer_left(struct lp2p_router *router, const struct lp2p_peer_id *peer)
{
    struct known *known = find(router, peer);
    lp2p_kad_peer_connected(router->kad, peer, false);
    if (known != NULL) {
        forget(known);
    }
}

void lp2p_router_self_changed(struct lp2p_router *router, struct lp2p_m_self_changed *m)
{
    lp2p_self_info_drop(&router->self_info);
    router->self_info = m->self;
    m->self = NULL;
}

void lp2p_router_self_peer(const struct lp2p_router *router, struct lp2p_kad_peer *out)
{
    *out = (struct lp2p_kad_peer){.id = router->ctx->self, .connected = true};
    if (router->self_info != NULL) {
        copy_addrs(router->self_info->addrs, out);
    }
}

bool lp2p_router_peer_addrs(void *ctx, const struct lp2p_peer_id *peer, struct lp2p_kad_peer *out)
{
    const struct lp2p_router *router = ctx;
    if (lp2p_peer_id_eq(peer, &router->ctx->self)) {
        lp2p_router_self_peer(router, out);
        return out->addrs_len > 0;
    }
    const struct lp2p_peer_info *info = lp2p_router_known(router, peer);
    if (info == NULL) {
        return false;
    }
    to_kad_peer(info, out);
    return out->addrs_len > 0;
}

static bool take_token(struct lp2p_router *router)
{
    uint64_t refills =
        lp2p_time_since(lp2p_now(router->self), router->found_refilled) / LP2P_ROUTER_FOUND_REFILL_NS;
    router->found_refilled += refills * LP2P_ROUTER_FOUND_REFILL_NS;
    router->found_tokens =
        (unsigned)LP2P_MIN(router->found_tokens + refills, (uint64_t)LP2P_ROUTER_FOUND_BURST);
    if (router->found_tokens == 0) {
        return false;
    }
    router->found_tokens--;
    return true;
}

void lp2p_router_found(struct lp2p_router *router, const struct lp2p_kad_peer *peer)
{
    if (peer->addrs_len == 0 || lp2p_peer_id_eq(&peer->id, &router->ctx->self) || !take_token(router)) {
        return;
    }
    struct lp2p_m_peer_found *m = LP2P_NEW(PEER_FOUND, peer_found);
    if (m == NULL) {
        return;
    }
    m->peer = peer->id;
    m->addrs = lp2p_addrs_new(peer->addrs, peer->addrs_len);
    struct lp2p_msg *msg = &m->msg;
    if (m->addrs == NULL) {
        lp2p_msg_drop(&msg);
        return;
    }
    lp2p_send_or_drop(router->self, lp2p_names(router->ctx)->swarm, &msg); /* the swarm can lose a hint */
}
