/* SPDX-License-Identifier: MIT */
#include "base/heap.h"

#include "base/check.h"

#include <stdlib.h>

#define CAP_FIRST 4u /* each connection has three or four heaps, with one or two entries */

void lp2p_heap_init(struct lp2p_heap *heap)
{
    *heap = (struct lp2p_heap){0};
}

void lp2p_heap_fini(struct lp2p_heap *heap)
{
    free(heap->nodes);
    *heap = (struct lp2p_heap){0};
}

static void put(struct lp2p_heap *heap, size_t index, struct lp2p_heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

static size_t sift_up(struct lp2p_heap *heap, size_t index)
{
    struct lp2p_heap_node *node = heap->nodes[index];
    while (index > 0 && node->when < heap->nodes[(index - 1) / 2]->when) {
        put(heap, index, heap->nodes[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    put(heap, index, node);
    return index;
}

static void sift_down(struct lp2p_heap *heap, size_t index)
{
    struct lp2p_heap_node *node = heap->nodes[index];
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->len) {
            break;
        }
        if (child + 1 < heap->len && heap->nodes[child + 1]->when < heap->nodes[child]->when) {
            child++;
        }
        if (node->when <= heap->nodes[child]->when) {
            break;
        }
        put(heap, index, heap->nodes[child]);
        index = child;
    }
    put(heap, index, node);
}

static enum lp2p_err grow(struct lp2p_heap *heap)
{
    size_t cap = heap->cap == 0 ? CAP_FIRST : heap->cap * 2;
    struct lp2p_heap_node **nodes = realloc(heap->nodes, cap * sizeof(*nodes));
    if (nodes == NULL) {
        return LP2P_ENOMEM;
    }
    heap->nodes = nodes;
    heap->cap = cap;
    return LP2P_OK;
}

enum lp2p_err lp2p_heap_set(struct lp2p_heap *heap, struct lp2p_heap_node *node, lp2p_time when)
{
    if (when == LP2P_NEVER) {
        lp2p_heap_remove(heap, node);
        return LP2P_OK;
    }
    if (node->place == 0) {
        if (heap->len == heap->cap && grow(heap) != LP2P_OK) {
            return LP2P_ENOMEM;
        }
        put(heap, heap->len++, node);
    }
    node->when = when;
    sift_down(heap, sift_up(heap, node->place - 1));
    return LP2P_OK;
}

void lp2p_heap_remove(struct lp2p_heap *heap, struct lp2p_heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    size_t index = node->place - 1;
    LP2P_CHECK(index < heap->len && heap->nodes[index] == node);
    node->place = 0;
    struct lp2p_heap_node *last = heap->nodes[--heap->len];
    if (last != node) {
        put(heap, index, last);
        sift_down(heap, sift_up(heap, index));
    }
}

struct lp2p_heap_node *lp2p_heap_top(const struct lp2p_heap *heap)
{
    return heap->len == 0 ? NULL : heap->nodes[0];
}

lp2p_time lp2p_heap_deadline(const struct lp2p_heap *heap)
{
    return heap->len == 0 ? LP2P_NEVER : heap->nodes[0]->when;
}
