/* SPDX-License-Identifier: MIT
 * Intrusive binary min-heap of deadlines. Grows by itself; owned by one thread at a time. */
#ifndef LP2P_BASE_HEAP_H
#define LP2P_BASE_HEAP_H

#include "base/err.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>

/** An entry of the heap, embedded in its owner; zero it before first use. */
struct lp2p_heap_node {
    lp2p_time when;
    size_t place; /* 1-based index in the heap; 0: not in a heap */
};

struct lp2p_heap {
    struct lp2p_heap_node **nodes;
    size_t len, cap;
};

void lp2p_heap_init(struct lp2p_heap *heap);
/** Frees the index only; entries belong to their owners and are left as they are. */
void lp2p_heap_fini(struct lp2p_heap *heap);
/** Inserts, moves, or (LP2P_NEVER) removes the entry. ENOMEM only on insertion; the entry is then not in the heap. */
enum lp2p_err lp2p_heap_set(struct lp2p_heap *heap, struct lp2p_heap_node *node, lp2p_time when) LP2P_MUST_CHECK;
void lp2p_heap_remove(struct lp2p_heap *heap, struct lp2p_heap_node *node);
/** The earliest entry, or NULL; it stays in the heap. */
struct lp2p_heap_node *lp2p_heap_top(const struct lp2p_heap *heap);
/** Deadline of the earliest entry, LP2P_NEVER when empty. */
lp2p_time lp2p_heap_deadline(const struct lp2p_heap *heap);

#endif
