/* SPDX-License-Identifier: MIT */
#include "actors/discovery/mdns_cache.h"

#include "base/check.h"

static bool same(const struct lp2p_mdns_instance *a, const struct lp2p_mdns_instance *b)
{
    return a->bare == b->bare && a->len == b->len && memcmp(a->label, b->label, a->len) == 0;
}

/** Its place; NULL when it is not known. */
static struct lp2p_mdns_cached *find(struct lp2p_mdns_cache *cache, const struct lp2p_mdns_instance *instance)
{
    for (size_t i = 0; i < LP2P_MDNS_CACHE_MAX; i++) {
        if (cache->items[i].heard != 0 && same(&cache->items[i].instance, instance)) {
            return &cache->items[i];
        }
    }
    return NULL;
}

static struct lp2p_mdns_cached *oldest(struct lp2p_mdns_cache *cache)
{
    struct lp2p_mdns_cached *found = &cache->items[0];
    for (size_t i = 1; i < LP2P_MDNS_CACHE_MAX; i++) {
        found = cache->items[i].heard < found->heard ? &cache->items[i] : found;
    }
    return found;
}

void lp2p_mdns_cache_hear(struct lp2p_mdns_cache *cache, const struct lp2p_mdns_instance *instance, const struct lp2p_peer_id *peer,
                          lp2p_time now)
{
    struct lp2p_mdns_cached *it = find(cache, instance);
    if (it == NULL) {
        it = oldest(cache);
        *it = (struct lp2p_mdns_cached){.instance = *instance};
    }
    it->instance.ttl_s = LP2P_MIN(instance->ttl_s, LP2P_MDNS_TTL_MAX_S);
    it->heard = LP2P_MAX(now, (lp2p_time)1);
    it->leaves_at = LP2P_NEVER;
    if (peer != NULL) {
        it->peer = *peer;
    }
}

void lp2p_mdns_cache_leave(struct lp2p_mdns_cache *cache, const struct lp2p_mdns_instance *instance, lp2p_time now)
{
    struct lp2p_mdns_cached *it = find(cache, instance);
    if (it != NULL) {
        it->leaves_at = lp2p_time_min(it->leaves_at, lp2p_time_add(now, LP2P_MDNS_LEAVE_NS));
    }
}

void lp2p_mdns_cache_doubt(struct lp2p_mdns_cache *cache, const struct lp2p_peer_id *peer)
{
    for (size_t i = 0; i < LP2P_MDNS_CACHE_MAX; i++) {
        if (cache->items[i].heard != 0 && lp2p_peer_id_eq(&cache->items[i].peer, peer)) {
            cache->items[i].instance.ttl_s = 0;
        }
    }
}

lp2p_time lp2p_mdns_cache_next(const struct lp2p_mdns_cache *cache)
{
    lp2p_time next = LP2P_NEVER;
    for (size_t i = 0; i < LP2P_MDNS_CACHE_MAX; i++) {
        next = cache->items[i].heard != 0 ? lp2p_time_min(next, cache->items[i].leaves_at) : next;
    }
    return next;
}

bool lp2p_mdns_cache_gone(struct lp2p_mdns_cache *cache, lp2p_time now, struct lp2p_peer_id *peer)
{
    for (size_t i = 0; i < LP2P_MDNS_CACHE_MAX; i++) {
        struct lp2p_mdns_cached *it = &cache->items[i];
        if (it->heard == 0 || now < it->leaves_at) {
            continue;
        }
        *peer = it->peer;
        *it = (struct lp2p_mdns_cached){0};
        if (peer->len > 0) {
            return true;
        }
    }
    return false;
}

size_t lp2p_mdns_cache_known(const struct lp2p_mdns_cache *cache, lp2p_time now, struct lp2p_mdns_instance *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = 0; i < LP2P_MDNS_CACHE_MAX && len < cap; i++) {
        const struct lp2p_mdns_cached *it = &cache->items[i];
        uint64_t age_s = lp2p_time_since(now, it->heard) / LP2P_SEC(1);
        bool found = it->heard != 0 && it->peer.len > 0; /* a pointer alone does not say where */
        if (found && it->leaves_at == LP2P_NEVER && age_s * 2 < it->instance.ttl_s) {
            out[len] = it->instance;
            out[len++].ttl_s -= (uint32_t)age_s;
        }
    }
    return len;
}
