/* SPDX-License-Identifier: MIT */
#include "dht/shelf.h"

#include "base/err.h"

#include <stdlib.h>

#define INDEX_MIN 64u
#define SOURCE_SHARE 16u /* one source may hold max / SOURCE_SHARE, once the shelf is half full */

struct lp2p_kad_source {
    struct lp2p_kad_source *chain;
    struct lp2p_kad_key key;
    size_t len;
    struct lp2p_list items;
};

static size_t slot_of(const struct lp2p_kad_shelf *shelf, const struct lp2p_kad_key *key, size_t cap)
{
    uint64_t mixed = (key->w[1] ^ shelf->seed[0]) * (key->w[2] | 1u);
    mixed = (mixed ^ key->w[3] ^ shelf->seed[1]) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 32) & (cap - 1);
}

void lp2p_kad_shelf_init(struct lp2p_kad_shelf *shelf, const struct lp2p_kad_key *self, size_t max,
                         uint64_t ttl_ns, const struct lp2p_rand *rand)
{
    *shelf = (struct lp2p_kad_shelf){.self = *self, .max = max, .ttl_ns = ttl_ns};
    lp2p_rand_fill(rand, shelf->seed, sizeof(shelf->seed));
    lp2p_list_init(&shelf->by_age);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(shelf->by_cpl); i++) {
        lp2p_list_init(&shelf->by_cpl[i]);
    }
}

void lp2p_kad_shelf_fini(struct lp2p_kad_shelf *shelf)
{
    while (!lp2p_list_empty(&shelf->by_age)) {
        lp2p_kad_shelf_remove(shelf, LP2P_LIST_ENTRY(shelf->by_age.next, struct lp2p_kad_item, by_age));
    }
    free(shelf->index);
    free(shelf->sources);
    shelf->index = NULL;
    shelf->sources = NULL;
}

static struct lp2p_kad_source *find_source(const struct lp2p_kad_shelf *shelf, const struct lp2p_kad_key *key)
{
    struct lp2p_kad_source *source = NULL;
    if (shelf->sources_cap > 0) {
        source = shelf->sources[slot_of(shelf, key, shelf->sources_cap)];
    }
    while (source != NULL && !lp2p_kad_key_eq(&source->key, key)) {
        source = source->chain;
    }
    return source;
}

/* Both indexes double when they are as full as they have buckets; without memory for it they go on with
 * longer chains. */
static enum lp2p_err grow_index(struct lp2p_kad_shelf *shelf)
{
    if (shelf->len < shelf->index_cap) {
        return LP2P_OK;
    }
    size_t cap = LP2P_MAX(shelf->index_cap * 2, INDEX_MIN);
    struct lp2p_kad_item **index = calloc(cap, sizeof(struct lp2p_kad_item *));
    if (index == NULL) {
        return shelf->index_cap > 0 ? LP2P_OK : LP2P_ENOMEM;
    }
    for (size_t i = 0; i < shelf->index_cap; i++) {
        for (struct lp2p_kad_item *item = shelf->index[i], *next; item != NULL; item = next) {
            next = item->chain;
            size_t slot = slot_of(shelf, &item->key, cap);
            item->chain = index[slot];
            index[slot] = item;
        }
    }
    free(shelf->index);
    shelf->index = index;
    shelf->index_cap = cap;
    return LP2P_OK;
}

static enum lp2p_err grow_sources(struct lp2p_kad_shelf *shelf)
{
    if (shelf->sources_len < shelf->sources_cap) {
        return LP2P_OK;
    }
    size_t cap = LP2P_MAX(shelf->sources_cap * 2, INDEX_MIN);
    struct lp2p_kad_source **sources = calloc(cap, sizeof(struct lp2p_kad_source *));
    if (sources == NULL) {
        return shelf->sources_cap > 0 ? LP2P_OK : LP2P_ENOMEM;
    }
    for (size_t i = 0; i < shelf->sources_cap; i++) {
        for (struct lp2p_kad_source *source = shelf->sources[i], *next; source != NULL; source = next) {
            next = source->chain;
            size_t slot = slot_of(shelf, &source->key, cap);
            source->chain = sources[slot];
            sources[slot] = source;
        }
    }
    free(shelf->sources);
    shelf->sources = sources;
    shelf->sources_cap = cap;
    return LP2P_OK;
}

static struct lp2p_kad_source *make_source(struct lp2p_kad_shelf *shelf, const struct lp2p_kad_key *key)
{
    struct lp2p_kad_source *source = find_source(shelf, key);
    if (source != NULL || grow_sources(shelf) != LP2P_OK) {
        return source;
    }
    source = calloc(1, sizeof(*source));
    if (source != NULL) {
        source->key = *key;
        lp2p_list_init(&source->items);
        size_t slot = slot_of(shelf, key, shelf->sources_cap);
        source->chain = shelf->sources[slot];
        shelf->sources[slot] = source;
        shelf->sources_len++;
    }
    return source;
}

static void drop_source(struct lp2p_kad_shelf *shelf, struct lp2p_kad_source *source)
{
    struct lp2p_kad_source **link = &shelf->sources[slot_of(shelf, &source->key, shelf->sources_cap)];
    while (*link != source) {
        link = &(*link)->chain;
    }
    *link = source->chain;
    shelf->sources_len--;
    free(source);
}

void lp2p_kad_shelf_remove(struct lp2p_kad_shelf *shelf, struct lp2p_kad_item *item)
{
    struct lp2p_kad_item **link = &shelf->index[slot_of(shelf, &item->key, shelf->index_cap)];
    while (*link != item) {
        link = &(*link)->chain;
    }
    *link = item->chain;
    lp2p_list_remove(&item->by_age);
    lp2p_list_remove(&item->by_cpl);
    lp2p_list_remove(&item->by_source);
    shelf->len--;
    if (item->source != NULL && --item->source->len == 0) {
        drop_source(shelf, item->source);
    }
    shelf->release(shelf, item);
}

static void evict(struct lp2p_kad_shelf *shelf, struct lp2p_kad_item *item)
{
    shelf->evicted++;
    lp2p_kad_shelf_remove(shelf, item);
}

enum lp2p_err lp2p_kad_shelf_room(struct lp2p_kad_shelf *shelf, const struct lp2p_kad_key *key,
                                  const struct lp2p_kad_key *source_key)
{
    struct lp2p_kad_source *source = source_key == NULL ? NULL : find_source(shelf, source_key);
    if (source != NULL && shelf->len >= shelf->max / 2 &&
        source->len >= LP2P_MAX(shelf->max / SOURCE_SHARE, 1u)) {
        evict(shelf, LP2P_LIST_ENTRY(source->items.next, struct lp2p_kad_item, by_source));
    }
    if (shelf->len < shelf->max) {
        return LP2P_OK;
    }
    unsigned cpl = source_key == NULL ? LP2P_KAD_KEY_BITS : lp2p_kad_key_cpl(&shelf->self, key);
    for (unsigned i = 0; i <= cpl; i++) {
        if (!lp2p_list_empty(&shelf->by_cpl[i])) {
            evict(shelf, LP2P_LIST_ENTRY(shelf->by_cpl[i].next, struct lp2p_kad_item, by_cpl));
            return LP2P_OK;
        }
    }
    shelf->refused++;
    return LP2P_ELIMIT;
}

enum lp2p_err lp2p_kad_shelf_put(struct lp2p_kad_shelf *shelf, struct lp2p_kad_item *item,
                                 const struct lp2p_kad_key *key, const struct lp2p_kad_key *source_key,
                                 lp2p_time now)
{
    if (grow_index(shelf) != LP2P_OK) {
        return LP2P_ENOMEM;
    }
    item->key = *key;
    item->cpl = (uint16_t)lp2p_kad_key_cpl(&shelf->self, key);
    item->refreshed = now;
    if (source_key != NULL) {
        item->source = make_source(shelf, source_key);
        if (item->source == NULL) {
            return LP2P_ENOMEM;
        }
        item->source->len++;
        lp2p_list_push_back(&item->source->items, &item->by_source);
        lp2p_list_push_back(&shelf->by_cpl[item->cpl], &item->by_cpl);
    }
    lp2p_list_push_back(&shelf->by_age, &item->by_age);
    size_t slot = slot_of(shelf, key, shelf->index_cap);
    item->chain = shelf->index[slot];
    shelf->index[slot] = item;
    shelf->len++;
    return LP2P_OK;
}

void lp2p_kad_shelf_refresh(struct lp2p_kad_shelf *shelf, struct lp2p_kad_item *item, lp2p_time now)
{
    item->refreshed = now;
    lp2p_list_remove(&item->by_age);
    lp2p_list_push_back(&shelf->by_age, &item->by_age);
    if (item->source != NULL) {
        lp2p_list_remove(&item->by_cpl);
        lp2p_list_push_back(&shelf->by_cpl[item->cpl], &item->by_cpl);
        lp2p_list_remove(&item->by_source);
        lp2p_list_push_back(&item->source->items, &item->by_source);
    }
}

static struct lp2p_kad_item *match(struct lp2p_kad_item *item, const struct lp2p_kad_key *key)
{
    while (item != NULL && !lp2p_kad_key_eq(&item->key, key)) {
        item = item->chain;
    }
    return item;
}

struct lp2p_kad_item *lp2p_kad_shelf_find(const struct lp2p_kad_shelf *shelf, const struct lp2p_kad_key *key)
{
    return shelf->index_cap == 0 ? NULL : match(shelf->index[slot_of(shelf, key, shelf->index_cap)], key);
}

struct lp2p_kad_item *lp2p_kad_shelf_more(const struct lp2p_kad_item *item)
{
    return match(item->chain, &item->key);
}

void lp2p_kad_shelf_expire(struct lp2p_kad_shelf *shelf, lp2p_time now)
{
    while (!lp2p_list_empty(&shelf->by_age)) {
        struct lp2p_kad_item *item = LP2P_LIST_ENTRY(shelf->by_age.next, struct lp2p_kad_item, by_age);
        if (lp2p_time_add(item->refreshed, shelf->ttl_ns) > now) {
            return;
        }
        lp2p_kad_shelf_remove(shelf, item);
    }
}

lp2p_time lp2p_kad_shelf_deadline(const struct lp2p_kad_shelf *shelf)
{
    if (lp2p_list_empty(&shelf->by_age)) {
        return LP2P_NEVER;
    }
    const struct lp2p_kad_item *item = LP2P_LIST_ENTRY(shelf->by_age.next, struct lp2p_kad_item, by_age);
    return lp2p_time_add(item->refreshed, shelf->ttl_ns);
}
