/* SPDX-License-Identifier: MIT */
#include "mux/map.h"

#include "base/check.h"

#include <stdlib.h>

#define MAP_CAP_MIN 8u

/** Finalizer of splitmix64 over the keyed number: every output bit depends on every input bit. */
static uint32_t place(const struct lp2p_mux_map *map, uint64_t key)
{
    uint64_t z = key ^ map->seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (uint32_t)z & (map->cap - 1);
}

void lp2p_mux_map_init(struct lp2p_mux_map *map, uint64_t seed)
{
    *map = (struct lp2p_mux_map){.seed = seed};
}

void lp2p_mux_map_fini(struct lp2p_mux_map *map)
{
    free(map->entries);
    map->entries = NULL;
    map->len = map->cap = 0;
}

/** The entry of the key, or the free place where it would go. The table is never full. */
static struct lp2p_mux_map_entry *find(const struct lp2p_mux_map *map, uint64_t key)
{
    uint32_t i = place(map, key);
    while (map->entries[i].value != NULL && map->entries[i].key != key) {
        i = (i + 1) & (map->cap - 1);
    }
    return &map->entries[i];
}

void *lp2p_mux_map_get(const struct lp2p_mux_map *map, uint64_t key)
{
    return map->len == 0 ? NULL : find(map, key)->value;
}

static enum lp2p_err grow(struct lp2p_mux_map *map)
{
    if (map->cap > UINT32_MAX / 4) {
        return LP2P_ENOMEM;
    }
    struct lp2p_mux_map bigger = *map;
    bigger.cap = map->cap == 0 ? MAP_CAP_MIN : map->cap * 2;
    bigger.entries = calloc(bigger.cap, sizeof(*bigger.entries));
    if (bigger.entries == NULL) {
        return LP2P_ENOMEM;
    }
    for (uint32_t i = 0; i < map->cap; i++) {
        if (map->entries[i].value != NULL) {
            *find(&bigger, map->entries[i].key) = map->entries[i];
        }
    }
    free(map->entries);
    *map = bigger;
    return LP2P_OK;
}

enum lp2p_err lp2p_mux_map_put(struct lp2p_mux_map *map, uint64_t key, void *value)
{
    LP2P_CHECK(value != NULL);
    if ((uint64_t)(map->len + 1) * 4 > (uint64_t)map->cap * 3) {
        enum lp2p_err err = grow(map);
        if (err != LP2P_OK) {
            return err;
        }
    }
    struct lp2p_mux_map_entry *entry = find(map, key);
    LP2P_CHECK(entry->value == NULL);
    *entry = (struct lp2p_mux_map_entry){key, value};
    map->len++;
    return LP2P_OK;
}

/** Closes the gap at `hole` by moving up entries that were displaced past it, so that no tombstones are
 * needed. */
static void close_gap(struct lp2p_mux_map *map, uint32_t hole)
{
    uint32_t mask = map->cap - 1;
    for (uint32_t i = (hole + 1) & mask; map->entries[i].value != NULL; i = (i + 1) & mask) {
        uint32_t home = place(map, map->entries[i].key);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->entries[hole] = map->entries[i];
            hole = i;
        }
    }
    map->entries[hole].value = NULL;
}

void *lp2p_mux_map_remove(struct lp2p_mux_map *map, uint64_t key)
{
    if (map->len == 0) {
        return NULL;
    }
    struct lp2p_mux_map_entry *entry = find(map, key);
    void *value = entry->value;
    if (value == NULL) {
        return NULL;
    }
    map->len--;
    if (map->len == 0) {
        lp2p_mux_map_fini(map);
    } else {
        close_gap(map, (uint32_t)(entry - map->entries));
    }
    return value;
}
