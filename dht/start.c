/* SPDX-License-Identifier: MIT
 * The operations of the owner, each the beginning of a query. */
#include "dht/machine.h"

static bool key_fits(struct lp2p_span key, size_t max)
{
    return key.len >= 1 && key.len <= max;
}

uint64_t lp2p_kad_find_peer(struct lp2p_kad *kad, const struct lp2p_peer_id *target, lp2p_time now)
{
    lp2p_kad_release(kad);
    struct lp2p_kad_query *query =
        target->len == 0
            ? NULL
            : lp2p_kad_query_start(kad, LP2P_KAD_FIND_PEER, lp2p_peer_id_span(target), false, now);
    if (query == NULL) {
        return 0;
    }
    query->peer = *target;
    query->wanted = LP2P_KAD_AGREE;
    struct lp2p_kad_peer known = {.id = *target};
    lp2p_kad_complete_peer(kad, &known);
    if (known.addrs_len > 0 && lp2p_kad_query_find(query, &known)) {
        query->named = 1;
        const struct lp2p_kad_entry *entry = lp2p_kad_table_find(&kad->table, target);
        if (entry != NULL && entry->connected) {
            lp2p_kad_query_end(kad, query, LP2P_OK, now);
        }
    }
    return query->id;
}

uint64_t lp2p_kad_closest(struct lp2p_kad *kad, struct lp2p_span key, lp2p_time now)
{
    lp2p_kad_release(kad);
    struct lp2p_kad_query *query =
        key_fits(key, LP2P_KAD_KEY_MAX) ? lp2p_kad_query_start(kad, LP2P_KAD_CLOSEST, key, false, now) : NULL;
    return query == NULL ? 0 : query->id;
}

uint64_t lp2p_kad_get(struct lp2p_kad *kad, struct lp2p_span key, unsigned quorum, lp2p_time now,
                      uint64_t wall_ms)
{
    lp2p_kad_release(kad);
    struct lp2p_kad_query *query =
        key_fits(key, LP2P_KAD_KEY_MAX) ? lp2p_kad_query_start(kad, LP2P_KAD_GET, key, false, now) : NULL;
    if (query == NULL) {
        return 0;
    }
    query->wanted = quorum;
    query->wall_ms = wall_ms;
    const struct lp2p_kad_value *held = lp2p_kad_store_get(&kad->store, &query->target, now);
    /* "Validate on load": the rules may have become stricter, or the value may have expired by its own terms.
     */
    if (held != NULL && lp2p_kad_validate(&kad->rules, key, lp2p_span(held->bytes, held->len)) == LP2P_OK) {
        lp2p_kad_take_value(kad, query, NULL, lp2p_span(held->bytes, held->len), now);
    }
    return query->id;
}

/* What is wrong with putting this value; otherwise it is stored here. A full store does not keep it from the
 * others. */
static enum lp2p_err put_here(struct lp2p_kad *kad, const struct lp2p_kad_key *target, struct lp2p_span key,
                              struct lp2p_span value, lp2p_time now, uint64_t wall_ms)
{
    if (lp2p_kad_validate(&kad->rules, key, value) != LP2P_OK) {
        return LP2P_EBADRECORD;
    }
    const struct lp2p_kad_value *held = lp2p_kad_store_get(&kad->store, target, now);
    if (held != NULL && lp2p_kad_better(&kad->rules, key, lp2p_span(held->bytes, held->len), value)) {
        return LP2P_EEXIST;
    }
    enum lp2p_err err = lp2p_kad_store_put(&kad->store, target, NULL, value, now, wall_ms);
    return err == LP2P_ELIMIT ? LP2P_OK : err;
}

uint64_t lp2p_kad_put(struct lp2p_kad *kad, struct lp2p_span key, struct lp2p_span value, lp2p_time now,
                      uint64_t wall_ms)
{
    lp2p_kad_release(kad);
    struct lp2p_kad_query *query = key_fits(key, LP2P_KAD_KEY_MAX) && value.len <= LP2P_KAD_VALUE_MAX
                                       ? lp2p_kad_query_start(kad, LP2P_KAD_PUT, key, false, now)
                                       : NULL;
    if (query == NULL) {
        return 0;
    }
    query->wall_ms = wall_ms;
    enum lp2p_err err = lp2p_kad_query_set_value(query, value);
    if (err == LP2P_OK) {
        err = put_here(kad, &query->target, key, value, now, wall_ms);
    }
    if (err != LP2P_OK) {
        lp2p_kad_query_end(kad, query, err, now);
    }
    return query->id;
}

uint64_t lp2p_kad_provide(struct lp2p_kad *kad, struct lp2p_span key, const struct lp2p_kad_peer *self,
                          lp2p_time now)
{
    lp2p_kad_release(kad);
    struct lp2p_kad_query *query = key_fits(key, LP2P_KAD_PROVIDER_KEY_MAX)
                                       ? lp2p_kad_query_start(kad, LP2P_KAD_PROVIDE, key, false, now)
                                       : NULL;
    if (query == NULL) {
        return 0;
    }
    struct lp2p_kad_peer clean = *self;
    clean.id = kad->config.self;
    lp2p_kad_peer_clean(&clean, kad->config.public_only);
    enum lp2p_err err = clean.addrs_len == 0 ? LP2P_ENOADDR : LP2P_OK;
    if (err == LP2P_OK && !lp2p_kad_query_find(query, &clean)) {
        err = LP2P_ENOMEM;
    }
    if (err == LP2P_OK) {
        err = lp2p_kad_store_provide(&kad->store, &query->target, &clean, true, now);
        err = err == LP2P_ELIMIT ? LP2P_OK : err;
    }
    if (err != LP2P_OK) {
        lp2p_kad_query_end(kad, query, err, now);
    }
    return query->id;
}

uint64_t lp2p_kad_find_providers(struct lp2p_kad *kad, struct lp2p_span key, unsigned max, lp2p_time now)
{
    lp2p_kad_release(kad);
    struct lp2p_kad_query *query = key_fits(key, LP2P_KAD_PROVIDER_KEY_MAX)
                                       ? lp2p_kad_query_start(kad, LP2P_KAD_FIND_PROVIDERS, key, false, now)
                                       : NULL;
    if (query == NULL) {
        return 0;
    }
    query->wanted = LP2P_MIN(max == 0 ? kad->config.k : max, LP2P_KAD_FOUND_MAX);
    const struct lp2p_kad_contact *held[LP2P_KAD_PROVIDERS_IN_MAX];
    size_t len =
        lp2p_kad_store_providers(&kad->store, &query->target, now, &kad->rand, held, LP2P_ARRAY_LEN(held));
    for (size_t i = 0; i < len; i++) {
        struct lp2p_kad_peer peer;
        lp2p_kad_contact_unpack(held[i], &peer);
        lp2p_kad_take_provider(kad, query, &peer, now);
    }
    return query->id;
}

void lp2p_kad_cancel(struct lp2p_kad *kad, uint64_t id)
{
    lp2p_kad_release(kad);
    LP2P_LIST_FOREACH(it, &kad->queries)
    {
        struct lp2p_kad_query *query = LP2P_LIST_ENTRY(it, struct lp2p_kad_query, by_age);
        if (query->id == id && !query->internal) {
            /* Cancelation knows no time: only a get that ends well looks at it. */
            lp2p_kad_query_end(kad, query, LP2P_ECANCELED, 0);
            return;
        }
    }
}
