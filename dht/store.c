/* SPDX-License-Identifier: MIT */
#include "dht/store.h"

#include <stdlib.h>

static struct lp2p_kad_value *value_of(struct lp2p_kad_item *item)
{
    return item == NULL ? NULL : LP2P_CONTAINER_OF(item, struct lp2p_kad_value, item);
}

static struct lp2p_kad_provider *provider_of(struct lp2p_kad_item *item)
{
    return item == NULL ? NULL : LP2P_CONTAINER_OF(item, struct lp2p_kad_provider, item);
}

static void release_value(struct lp2p_kad_shelf *shelf, struct lp2p_kad_item *item)
{
    (void)shelf;
    struct lp2p_kad_value *value = value_of(item);
    free(value->bytes);
    free(value);
}

static void release_provider(struct lp2p_kad_shelf *shelf, struct lp2p_kad_item *item)
{
    (void)shelf;
    struct lp2p_kad_provider *provider = provider_of(item);
    lp2p_kad_contact_free(provider->contact);
    free(provider);
}

void lp2p_kad_store_init(struct lp2p_kad_store *store, const struct lp2p_kad_store_config *config,
                         const struct lp2p_rand *rand)
{
    *store = (struct lp2p_kad_store){.providers_per_key_max = config->providers_per_key_max};
    lp2p_kad_shelf_init(&store->values, &config->self, config->records_max, config->record_ttl_ns, rand);
    lp2p_kad_shelf_init(&store->providers, &config->self, config->providers_max, config->provider_ttl_ns,
                        rand);
    store->values.release = release_value;
    store->providers.release = release_provider;
}

void lp2p_kad_store_fini(struct lp2p_kad_store *store)
{
    lp2p_kad_shelf_fini(&store->values);
    lp2p_kad_shelf_fini(&store->providers);
}

static bool is_old(const struct lp2p_kad_item *item, uint64_t life_ns, lp2p_time now)
{
    return lp2p_time_add(item->refreshed, life_ns) <= now;
}

static enum lp2p_err add_value(struct lp2p_kad_store *store, struct lp2p_kad_value **out,
                               const struct lp2p_kad_key *key, const struct lp2p_kad_key *source,
                               lp2p_time now)
{
    enum lp2p_err err = lp2p_kad_shelf_room(&store->values, key, source);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_kad_value *value = calloc(1, sizeof(*value));
    if (value == NULL || lp2p_kad_shelf_put(&store->values, &value->item, key, source, now) != LP2P_OK) {
        free(value);
        return LP2P_ENOMEM;
    }
    *out = value;
    return LP2P_OK;
}

enum lp2p_err lp2p_kad_store_put(struct lp2p_kad_store *store, const struct lp2p_kad_key *key,
                                 const struct lp2p_kad_key *source, struct lp2p_span value, lp2p_time now,
                                 uint64_t wall_ms)
{
    if (value.len > LP2P_KAD_VALUE_MAX) {
        return LP2P_ELIMIT;
    }
    uint8_t *bytes = malloc(LP2P_MAX(value.len, 1u));
    if (bytes == NULL) {
        return LP2P_ENOMEM;
    }
    struct lp2p_kad_value *held = value_of(lp2p_kad_shelf_find(&store->values, key));
    if (held == NULL) {
        enum lp2p_err err = add_value(store, &held, key, source, now);
        if (err != LP2P_OK) {
            free(bytes);
            return err;
        }
    }
    if (value.len > 0) {
        memcpy(bytes, value.ptr, value.len);
    }
    free(held->bytes);
    held->bytes = bytes;
    held->len = (uint32_t)value.len;
    held->wall_ms = wall_ms;
    lp2p_kad_shelf_refresh(&store->values, &held->item, now);
    return LP2P_OK;
}

const struct lp2p_kad_value *lp2p_kad_store_get(const struct lp2p_kad_store *store,
                                                const struct lp2p_kad_key *key, lp2p_time now)
{
    struct lp2p_kad_item *item = lp2p_kad_shelf_find(&store->values, key);
    if (item == NULL || is_old(item, store->values.ttl_ns, now)) {
        return NULL;
    }
    return value_of(item);
}

/* The peer's contact without the addresses that exceed the record's share of memory. */
static struct lp2p_kad_contact *trimmed_contact(const struct lp2p_kad_peer *peer)
{
    struct lp2p_kad_peer kept = {.id = peer->id};
    size_t bytes = 0;
    for (size_t i = 0; i < peer->addrs_len; i++) {
        if (bytes + 1 + peer->addrs[i].len <= LP2P_KAD_PROVIDER_ADDRS_BYTES) {
            kept.addrs[kept.addrs_len++] = peer->addrs[i];
            bytes += 1u + peer->addrs[i].len;
        }
    }
    return lp2p_kad_contact_new(&kept);
}

/* A key that has all its providers: the oldest gives way, but only after half of its life, so that a crowd of
 * newcomers does not push out those that are there and announce themselves again in time. */
static enum lp2p_err make_room_at_key(struct lp2p_kad_store *store, const struct lp2p_kad_key *key,
                                      lp2p_time now)
{
    size_t len = 0;
    struct lp2p_kad_item *oldest = NULL;
    for (struct lp2p_kad_item *item = lp2p_kad_shelf_find(&store->providers, key); item != NULL;
         item = lp2p_kad_shelf_more(item)) {
        oldest = oldest == NULL || item->refreshed < oldest->refreshed ? item : oldest;
        len++;
    }
    if (len < store->providers_per_key_max) {
        return LP2P_OK;
    }
    if (!is_old(oldest, store->providers.ttl_ns / 2, now)) {
        store->providers_refused++;
        return LP2P_ELIMIT;
    }
    store->providers.evicted++;
    lp2p_kad_shelf_remove(&store->providers, oldest);
    return LP2P_OK;
}

static void renew(struct lp2p_kad_store *store, struct lp2p_kad_provider *held,
                  struct lp2p_kad_contact *contact, lp2p_time now)
{
    if (contact->addrs_len > 0) {
        lp2p_kad_contact_free(held->contact);
        held->contact = contact;
    } else {
        lp2p_kad_contact_free(contact);
    }
    lp2p_kad_shelf_refresh(&store->providers, &held->item, now);
}

enum lp2p_err lp2p_kad_store_provide(struct lp2p_kad_store *store, const struct lp2p_kad_key *key,
                                     const struct lp2p_kad_peer *provider, bool own, lp2p_time now)
{
    struct lp2p_kad_contact *contact = trimmed_contact(provider);
    if (contact == NULL) {
        return LP2P_ENOMEM;
    }
    for (struct lp2p_kad_item *item = lp2p_kad_shelf_find(&store->providers, key); item != NULL;
         item = lp2p_kad_shelf_more(item)) {
        if (lp2p_peer_id_eq(&provider_of(item)->contact->id, &provider->id)) {
            renew(store, provider_of(item), contact, now);
            return LP2P_OK;
        }
    }
    const struct lp2p_kad_key *source = own ? NULL : &contact->key;
    enum lp2p_err err = own ? LP2P_OK : make_room_at_key(store, key, now);
    if (err == LP2P_OK) {
        err = lp2p_kad_shelf_room(&store->providers, key, source);
    }
    struct lp2p_kad_provider *held = err == LP2P_OK ? calloc(1, sizeof(*held)) : NULL;
    if (held == NULL || lp2p_kad_shelf_put(&store->providers, &held->item, key, source, now) != LP2P_OK) {
        free(held);
        lp2p_kad_contact_free(contact);
        return err == LP2P_OK ? LP2P_ENOMEM : err;
    }
    held->contact = contact;
    return LP2P_OK;
}

size_t lp2p_kad_store_providers(const struct lp2p_kad_store *store, const struct lp2p_kad_key *key,
                                lp2p_time now, const struct lp2p_rand *rand,
                                const struct lp2p_kad_contact **out, size_t max)
{
    size_t seen = 0;
    for (struct lp2p_kad_item *item = lp2p_kad_shelf_find(&store->providers, key); item != NULL && max > 0;
         item = lp2p_kad_shelf_more(item)) {
        if (is_old(item, store->providers.ttl_ns, now)) {
            continue;
        }
        /* Shuffle while collecting; beyond max each one replaces a random one, so that all have the same
         * chance. */
        size_t at = (size_t)lp2p_rand_below(rand, ++seen);
        if (seen <= max) {
            out[seen - 1] = out[at];
        }
        if (at < max) {
            out[at] = provider_of(item)->contact;
        }
    }
    return LP2P_MIN(seen, max);
}

void lp2p_kad_store_expire(struct lp2p_kad_store *store, lp2p_time now)
{
    lp2p_kad_shelf_expire(&store->values, now);
    lp2p_kad_shelf_expire(&store->providers, now);
}

lp2p_time lp2p_kad_store_deadline(const struct lp2p_kad_store *store)
{
    return lp2p_time_min(lp2p_kad_shelf_deadline(&store->values), lp2p_kad_shelf_deadline(&store->providers));
}
