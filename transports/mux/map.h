/* SPDX-License-Identifier: MIT
 * Open-addressing hash map from a 64-bit number to a pointer: the stream table of a muxer. Keys are chosen by
 * the remote side, so the hash is keyed. Owned by one machine; the values belong to it. */
#ifndef LP2P_MUX_MAP_H
#define LP2P_MUX_MAP_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct lp2p_mux_map_entry {
    uint64_t key;
    void *value; /* NULL: a free place */
};

struct lp2p_mux_map {
    struct lp2p_mux_map_entry *entries;
    uint32_t len, cap; /* cap is 0 or a power of two, at least 4/3 of len */
    uint64_t seed;
};

/** An empty map without memory. */
void lp2p_mux_map_init(struct lp2p_mux_map *map, uint64_t seed);
/** Gives the table back; values are left alone. */
void lp2p_mux_map_fini(struct lp2p_mux_map *map);
/** NULL when there is no such key. */
void *lp2p_mux_map_get(const struct lp2p_mux_map *map, uint64_t key);
/** Inserts; the key must not be there and value must not be NULL. */
enum lp2p_err lp2p_mux_map_put(struct lp2p_mux_map *map, uint64_t key, void *value) LP2P_MUST_CHECK;
/** Removes and returns the value, NULL when there is no such key. The table is given back with the last
 * entry. */
void *lp2p_mux_map_remove(struct lp2p_mux_map *map, uint64_t key);

#endif
