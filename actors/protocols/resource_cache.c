/* SPDX-License-Identifier: MIT */
#include "actors/protocols/resource.h"

#include <stdio.h>
#include <stdlib.h>

static struct lp2p_list *bucket_of(struct lp2p_resource_cache *cache, const char *key)
{
    uint32_t hash = 2166136261u;
    for (; *key != '\0'; key++) {
        hash = (hash ^ (uint8_t)*key) * 16777619u;
    }
    return &cache->buckets[hash % LP2P_RESOURCE_BUCKETS];
}

static struct lp2p_resource *find(struct lp2p_resource_cache *cache, const char *key)
{
    LP2P_LIST_FOREACH(it, bucket_of(cache, key))
    {
        struct lp2p_resource *entry = LP2P_LIST_ENTRY(it, struct lp2p_resource, bucket);
        if (strcmp(entry->key, key) == 0) {
            return entry;
        }
    }
    return NULL;
}

static bool expired(const struct lp2p_resource *entry, uint64_t now_ms)
{
    return entry->expires_ms != 0 && entry->expires_ms < now_ms;
}

static void drop(struct lp2p_resource_cache *cache, struct lp2p_resource *entry)
{
    lp2p_list_remove(&entry->bucket);
    lp2p_list_remove(&entry->age);
    cache->len--;
    cache->queued -= entry->queued_until != 0;
    cache->bytes -= entry->json.len;
    lp2p_slice_drop(&entry->json);
    free(entry);
}

void lp2p_resource_cache_init(struct lp2p_resource_cache *cache)
{
    memset(cache, 0, sizeof(*cache));
    for (unsigned i = 0; i < LP2P_RESOURCE_BUCKETS; i++) {
        lp2p_list_init(&cache->buckets[i]);
    }
    lp2p_list_init(&cache->age);
}

void lp2p_resource_cache_fini(struct lp2p_resource_cache *cache)
{
    LP2P_LIST_FOREACH_SAFE(it, &cache->age)
    {
        drop(cache, LP2P_LIST_ENTRY(it, struct lp2p_resource, age));
    }
}

void lp2p_resource_cache_queue(struct lp2p_resource_cache *cache, struct lp2p_resource *entry,
                               lp2p_time until)
{
    cache->queued -= entry->queued_until != 0;
    cache->queued += until != 0;
    entry->queued_until = until;
}

size_t lp2p_resource_cache_expire(struct lp2p_resource_cache *cache, uint64_t now_ms)
{
    size_t dropped = 0;
    LP2P_LIST_FOREACH_SAFE(it, &cache->age)
    {
        struct lp2p_resource *entry = LP2P_LIST_ENTRY(it, struct lp2p_resource, age);
        if (expired(entry, now_ms)) {
            drop(cache, entry);
            dropped++;
        }
    }
    return dropped;
}

static bool full(const struct lp2p_resource_cache *cache, size_t bytes)
{
    return cache->len >= LP2P_RESOURCES_MAX || cache->bytes + bytes > LP2P_RESOURCES_BYTES_MAX;
}

static bool make_room(struct lp2p_resource_cache *cache, size_t bytes, uint64_t now_ms)
{
    if (full(cache, bytes)) {
        (void)lp2p_resource_cache_expire(cache, now_ms);
    }
    LP2P_LIST_FOREACH_SAFE(it, &cache->age)
    {
        struct lp2p_resource *entry = LP2P_LIST_ENTRY(it, struct lp2p_resource, age);
        if (!full(cache, bytes)) {
            return true;
        }
        if (!entry->own) {
            drop(cache, entry);
        }
    }
    return !full(cache, bytes);
}

static struct lp2p_resource *add(struct lp2p_resource_cache *cache, const char *type, const char *id,
                                 const char *key)
{
    struct lp2p_resource *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return NULL;
    }
    (void)snprintf(entry->type, sizeof(entry->type), "%s", type);
    (void)snprintf(entry->id, sizeof(entry->id), "%s", id);
    (void)snprintf(entry->key, sizeof(entry->key), "%s", key);
    entry->publish = LP2P_NEVER;
    lp2p_list_push_back(bucket_of(cache, key), &entry->bucket);
    lp2p_list_push_back(&cache->age, &entry->age);
    cache->len++;
    return entry;
}

enum lp2p_err lp2p_resource_cache_put(struct lp2p_resource_cache *cache, const char *type, const char *id,
                                      struct lp2p_slice *json, uint64_t expires_ms, bool own, uint64_t now_ms,
                                      struct lp2p_resource **out)
{
    char key[LP2P_RESOURCE_KEY_MAX];
    enum lp2p_err err = lp2p_resource_key(type, id, key, NULL);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_resource *entry = find(cache, key);
    if (entry == NULL) {
        if (!make_room(cache, json->len, now_ms)) {
            return LP2P_ELIMIT;
        }
        entry = add(cache, type, id, key);
        if (entry == NULL) {
            return LP2P_ENOMEM;
        }
    }
    cache->bytes += json->len;
    cache->bytes -= entry->json.len;
    lp2p_slice_drop(&entry->json);
    entry->json = *json;
    *json = (struct lp2p_slice){0};
    entry->expires_ms = expires_ms;
    entry->own = own;
    lp2p_list_remove(&entry->age);
    lp2p_list_push_back(&cache->age, &entry->age);
    if (out != NULL) {
        *out = entry;
    }
    return LP2P_OK;
}

struct lp2p_resource *lp2p_resource_cache_get(struct lp2p_resource_cache *cache, const char *key,
                                              uint64_t now_ms)
{
    struct lp2p_resource *entry = find(cache, key);
    return entry == NULL || expired(entry, now_ms) ? NULL : entry;
}
