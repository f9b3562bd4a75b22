/* SPDX-License-Identifier: MIT */
#include "dht/machine.h"

#include <stdlib.h>

#define SWEEP_APART                                                                                          \
    LP2P_SEC(60) /* expired records are never given out; they only wait this long to be freed */

static struct lp2p_kad_config with_defaults(const struct lp2p_kad_config *config)
{
    struct lp2p_kad_config c = *config;
    c.k = LP2P_MIN(c.k == 0 ? 20 : c.k, LP2P_KAD_K_MAX);
    c.alpha = c.alpha == 0 ? 10 : c.alpha;
    c.request_timeout_ns = c.request_timeout_ns == 0 ? LP2P_SEC(10) : c.request_timeout_ns;
    c.query_timeout_ns = c.query_timeout_ns == 0 ? LP2P_SEC(60) : c.query_timeout_ns;
    c.refresh_interval_ns = c.refresh_interval_ns == 0 ? LP2P_SEC(600) : c.refresh_interval_ns;
    c.record_ttl_ns = c.record_ttl_ns == 0 ? LP2P_SEC(48 * 3600) : c.record_ttl_ns;
    c.provider_ttl_ns = c.provider_ttl_ns == 0 ? LP2P_SEC(48 * 3600) : c.provider_ttl_ns;
    c.records_max = c.records_max == 0 ? 8192 : c.records_max;
    c.providers_max = c.providers_max == 0 ? 250000 : c.providers_max;
    c.providers_per_key_max = LP2P_MIN(c.providers_per_key_max == 0 ? 20 : c.providers_per_key_max, 128);
    c.queries_max = c.queries_max == 0 ? 64 : c.queries_max;
    return c;
}

struct lp2p_kad *lp2p_kad_new(const struct lp2p_kad_config *config, const struct lp2p_rand *rand,
                              lp2p_time now)
{
    struct lp2p_kad *kad = calloc(1, sizeof(*kad));
    if (kad == NULL) {
        return NULL;
    }
    kad->config = with_defaults(config);
    kad->rand = *rand;
    kad->self = lp2p_kad_key_of(lp2p_peer_id_span(&config->self));
    kad->rules = (struct lp2p_kad_rules){config->validators, config->validators_len};
    struct lp2p_kad_store_config store = {
        .self = kad->self,
        .records_max = kad->config.records_max,
        .providers_max = kad->config.providers_max,
        .providers_per_key_max = kad->config.providers_per_key_max,
        .record_ttl_ns = kad->config.record_ttl_ns,
        .provider_ttl_ns = kad->config.provider_ttl_ns,
    };
    lp2p_kad_store_init(&kad->store, &store, rand);
    lp2p_kad_table_init(&kad->table, &kad->self, kad->config.k);
    lp2p_kad_requests_init(&kad->requests);
    lp2p_heap_init(&kad->query_timers);
    lp2p_list_init(&kad->queries);
    lp2p_list_init(&kad->ready);
    kad->refresh.due = lp2p_time_add(now, kad->config.refresh_interval_ns);
    kad->swept = now;
    return kad;
}

void lp2p_kad_free(struct lp2p_kad *kad)
{
    if (kad == NULL) {
        return;
    }
    lp2p_kad_release(kad);
    lp2p_kad_requests_fini(&kad->requests);
    while (!lp2p_list_empty(&kad->queries)) {
        lp2p_kad_query_drop(kad, LP2P_LIST_ENTRY(kad->queries.next, struct lp2p_kad_query, by_age));
    }
    lp2p_heap_fini(&kad->query_timers);
    lp2p_kad_store_fini(&kad->store);
    lp2p_kad_table_fini(&kad->table);
    free(kad);
}

enum lp2p_err lp2p_kad_hear(const struct lp2p_kad *kad, struct lp2p_span in, struct lp2p_kad_peer *out)
{
    enum lp2p_err err = lp2p_kad_peer_decode(in, kad->config.public_only, out);
    if (err == LP2P_OK) {
        lp2p_kad_peer_filter(out, kad->source);
    }
    return err;
}

void lp2p_kad_source(struct lp2p_kad *kad, enum lp2p_ma_scope source)
{
    kad->source = source;
}

void lp2p_kad_peer_seen(struct lp2p_kad *kad, const struct lp2p_kad_peer *peer, lp2p_time now)
{
    lp2p_kad_release(kad);
    struct lp2p_kad_peer clean = *peer;
    lp2p_kad_peer_clean(&clean, kad->config.public_only);
    if (clean.id.len == 0 || (kad->config.public_only && clean.addrs_len == 0)) {
        return;
    }
    struct lp2p_kad_contact *contact = lp2p_kad_contact_new(&clean);
    if (contact != NULL && lp2p_kad_table_add(&kad->table, contact, peer->connected) == LP2P_KAD_SEEN_NEW &&
        kad->table.size <= kad->config.k) {
        lp2p_kad_refresh_hasten(kad, now);
    }
}

void lp2p_kad_peer_connected(struct lp2p_kad *kad, const struct lp2p_peer_id *peer, bool connected)
{
    lp2p_kad_release(kad);
    struct lp2p_kad_entry *entry = lp2p_kad_table_find(&kad->table, peer);
    if (entry != NULL) {
        entry->connected = connected;
    }
}

void lp2p_kad_peer_gone(struct lp2p_kad *kad, const struct lp2p_peer_id *peer)
{
    lp2p_kad_release(kad);
    lp2p_kad_table_remove(&kad->table, peer);
}

size_t lp2p_kad_table_size(const struct lp2p_kad *kad)
{
    return kad->table.size;
}

size_t lp2p_kad_table_closest(const struct lp2p_kad *kad, struct lp2p_span key, struct lp2p_kad_peer *out,
                              size_t max)
{
    const struct lp2p_kad_entry *entries[LP2P_KAD_CLOSER_MAX];
    struct lp2p_kad_key target = lp2p_kad_key_of(key);
    size_t len =
        lp2p_kad_table_nearest(&kad->table, &target, false, entries, LP2P_MIN(max, LP2P_KAD_CLOSER_MAX));
    for (size_t i = 0; i < len; i++) {
        lp2p_kad_contact_unpack(entries[i]->contact, &out[i]);
        out[i].connected = entries[i]->connected;
    }
    return len;
}

void lp2p_kad_bootstrap(struct lp2p_kad *kad, lp2p_time now)
{
    lp2p_kad_release(kad);
    lp2p_kad_refresh_start(kad, now);
}

static lp2p_time sweep_time(const struct lp2p_kad *kad)
{
    lp2p_time expiry = lp2p_kad_store_deadline(&kad->store);
    return expiry == LP2P_NEVER ? LP2P_NEVER : LP2P_MAX(expiry, lp2p_time_add(kad->swept, SWEEP_APART));
}

lp2p_time lp2p_kad_deadline(const struct lp2p_kad *kad)
{
    lp2p_time when =
        lp2p_time_min(lp2p_heap_deadline(&kad->requests.timers), lp2p_heap_deadline(&kad->query_timers));
    return lp2p_time_min(when, lp2p_time_min(sweep_time(kad), kad->refresh.due));
}

/* A request is late in two steps: first it no longer holds up its query, then it is given up. */
static void request_late(struct lp2p_kad *kad, struct lp2p_kad_request *request, lp2p_time now)
{
    struct lp2p_kad_query *query = request->query;
    if (request->end > now &&
        lp2p_heap_set(&kad->requests.timers, &request->timer, request->end) == LP2P_OK) {
        lp2p_kad_query_move(query, request->candidate, LP2P_KAD_SLOW);
    } else {
        lp2p_kad_request_fail(kad, request, LP2P_ETIMEDOUT, true);
    }
    lp2p_kad_query_wake(kad, query);
}

void lp2p_kad_tick(struct lp2p_kad *kad, lp2p_time now, uint64_t wall_ms)
{
    (void)wall_ms; /* nothing that expires does so by the time of day */
    lp2p_kad_release(kad);
    while (lp2p_heap_deadline(&kad->requests.timers) <= now && kad->requests.timers.len > 0) {
        struct lp2p_heap_node *node = lp2p_heap_top(&kad->requests.timers);
        request_late(kad, LP2P_CONTAINER_OF(node, struct lp2p_kad_request, timer), now);
    }
    while (lp2p_heap_deadline(&kad->query_timers) <= now && kad->query_timers.len > 0) {
        struct lp2p_heap_node *node = lp2p_heap_top(&kad->query_timers);
        lp2p_kad_query_late(kad, LP2P_CONTAINER_OF(node, struct lp2p_kad_query, timer), now);
    }
    if (sweep_time(kad) <= now) {
        kad->swept = now;
        lp2p_kad_store_expire(&kad->store, now);
    }
    if (kad->refresh.due <= now) {
        lp2p_kad_refresh_start(kad, now);
    }
}

void lp2p_kad_stats_get(const struct lp2p_kad *kad, struct lp2p_kad_stats *out)
{
    *out = kad->stats;
    out->table_peers = kad->table.size;
    out->records = kad->store.values.len;
    out->provider_records = kad->store.providers.len;
    out->queries = kad->queries_len;
    out->evicted = kad->store.values.evicted + kad->store.providers.evicted;
    out->store_refused =
        kad->store.values.refused + kad->store.providers.refused + kad->store.providers_refused;
}
