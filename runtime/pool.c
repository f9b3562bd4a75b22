/* SPDX-License-Identifier: MIT */
#include "runtime/pool.h"

#include <pthread.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PASS_THROUGH 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define PASS_THROUGH 1
#endif
#endif
#ifndef PASS_THROUGH
#define PASS_THROUGH 0
#endif

/* A free piece. The first one of a batch also carries the batch through the global stack. */
struct piece {
    struct piece *below; /* the next batch of the stack */
    struct piece *next;
    size_t count;
};

struct size_class {
    size_t size;
    unsigned cache_max;  /* pieces that a thread keeps; a batch is half of them, or what a resting thread had */
    unsigned pieces_max; /* that the global stack keeps */
};

/* Messages and small slabs, then large slabs (with their header): at most about 350 KiB in a thread, 20 MiB in the global
 * stacks. */
static const struct size_class classes[] = {
    {96, 128, 4096},   {128, 128, 4096},    {256, 128, 4096},
    {512, 64, 1024},   {1024, 16, 128},     {4096 + 64, 8, 128},
    {16384 + 64, 4, 128}, {LP2P_POOL_BUF_MAX + 64, 2, 128},
};
#define CLASSES_LEN LP2P_ARRAY_LEN(classes)
#define SMALL_CLASSES 5u /* sizes of messages */
#define RESTING_SHARE 4u /* of the places for slabs, resting threads fill one in so many: what is more goes to the heap */

struct cache {
    struct piece *head;
    unsigned count;
};
struct thread_caches {
    struct cache of[CLASSES_LEN];
    bool registered;
};

static __thread struct thread_caches caches;

/* The batch that came last leaves first: its memory is the most likely to be in a cache still. */
static struct global {
    char busy; /* atomic: somebody has the stack; nobody waits for that, because its thread may not be running */
    struct piece *top;
    uint32_t pieces; /* read without it, too: atomic */
} __attribute__((aligned(64))) global[CLASSES_LEN];
static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;

static void thread_exits(void *unused)
{
    (void)unused;
    lp2p_pool_thread_flush();
}

static void make_key(void)
{
    LP2P_CHECK(pthread_key_create(&exit_key, thread_exits) == 0);
}

static void free_chain(struct piece *piece)
{
    while (piece != NULL) {
        struct piece *next = piece->next;
        free(piece);
        piece = next;
    }
}

static bool enter(struct global *stack)
{
    return !__atomic_test_and_set(&stack->busy, __ATOMIC_ACQUIRE);
}

static void leave(struct global *stack)
{
    __atomic_clear(&stack->busy, __ATOMIC_RELEASE);
}

/* A short chain joins the batch on top: threads that rest bring a few pieces each, and who fetches wants a batch. */
static void spill(size_t class, struct piece *chain, struct piece *last, size_t count, size_t max)
{
    struct global *stack = &global[class];
    bool kept = false;
    if (enter(stack)) {
        kept = stack->pieces + count <= max;
        if (kept) {
            struct piece *top = stack->top;
            bool joins = top != NULL && top->count + count <= classes[class].cache_max / 2;
            last->next = joins ? top : NULL;
            chain->count = count + (joins ? top->count : 0);
            chain->below = joins ? top->below : top;
            stack->top = chain;
            __atomic_store_n(&stack->pieces, stack->pieces + (uint32_t)count, __ATOMIC_RELAXED);
        }
        leave(stack);
    }
    if (!kept) {
        free_chain(chain);
    }
}

static void refill(size_t class, struct cache *cache)
{
    struct global *stack = &global[class];
    if (__atomic_load_n(&stack->pieces, __ATOMIC_RELAXED) == 0 || !enter(stack)) {
        return;
    }
    struct piece *chain = stack->top;
    if (chain != NULL) {
        stack->top = chain->below;
        __atomic_store_n(&stack->pieces, stack->pieces - (uint32_t)chain->count, __ATOMIC_RELAXED);
        cache->head = chain;
        cache->count = (unsigned)chain->count;
    }
    leave(stack);
}

static void *take(size_t class)
{
    struct cache *cache = &caches.of[class];
    if (PASS_THROUGH) {
        return malloc(classes[class].size);
    }
    if (cache->head == NULL) {
        refill(class, cache);
    }
    struct piece *piece = cache->head;
    if (piece == NULL) {
        return malloc(classes[class].size);
    }
    cache->head = piece->next;
    cache->count--;
    return piece;
}

static void give(size_t class, void *ptr)
{
    if (PASS_THROUGH) {
        free(ptr);
        return;
    }
    if (!caches.registered) {
        caches.registered = true;
        pthread_once(&exit_once, make_key);
        pthread_setspecific(exit_key, &caches);
    }
    struct cache *cache = &caches.of[class];
    struct piece *piece = ptr;
    piece->next = cache->head;
    cache->head = piece;
    if (++cache->count < classes[class].cache_max) {
        return;
    }
    /* Full: the newest half travels, its last piece is found by walking. */
    size_t half = cache->count / 2;
    struct piece *last = piece;
    for (size_t i = 1; i < half; i++) {
        last = last->next;
    }
    cache->head = last->next;
    cache->count -= (unsigned)half;
    last->next = NULL;
    spill(class, piece, last, half, classes[class].pieces_max);
}

bool lp2p_pool_thread_holds(void)
{
    for (size_t i = 0; i < CLASSES_LEN; i++) {
        if (caches.of[i].head != NULL) {
            return true;
        }
    }
    return false;
}

void lp2p_pool_thread_flush(void)
{
    for (size_t i = 0; i < CLASSES_LEN; i++) {
        struct cache *cache = &caches.of[i];
        struct piece *chain = cache->head;
        size_t count = cache->count;
        *cache = (struct cache){0};
        if (chain != NULL) {
            struct piece *last = chain;
            while (last->next != NULL) {
                last = last->next;
            }
            size_t max = classes[i].pieces_max;
            spill(i, chain, last, count, i < SMALL_CLASSES ? max : max / RESTING_SHARE);
        }
    }
    caches.registered = false; /* a destructor that runs later than ours may still give something back */
}

static size_t class_of(size_t size)
{
    for (size_t i = 0; i < SMALL_CLASSES; i++) {
        if (size <= classes[i].size) {
            return i;
        }
    }
    return CLASSES_LEN;
}

void *lp2p_pool_alloc(size_t size)
{
    size_t class = class_of(size);
    return class == CLASSES_LEN ? malloc(size) : take(class);
}

void lp2p_pool_free(void *ptr, size_t size)
{
    size_t class = class_of(size);
    if (class == CLASSES_LEN) {
        free(ptr);
    } else {
        give(class, ptr);
    }
}

static void release_buf(struct lp2p_buf *buf)
{
    for (size_t i = 0; i < CLASSES_LEN; i++) {
        if (buf->cap == classes[i].size - sizeof(*buf)) {
            give(i, buf);
            return;
        }
    }
    lp2p_check_failed(__FILE__, __LINE__, "slab of the pool");
}

struct lp2p_buf *lp2p_pool_buf(size_t cap)
{
    for (size_t i = 0; i < CLASSES_LEN; i++) {
        if (cap <= classes[i].size - sizeof(struct lp2p_buf)) {
            struct lp2p_buf *buf = take(i);
            if (buf != NULL) {
                buf->refs = 1;
                buf->cap = (uint32_t)(classes[i].size - sizeof(*buf));
                buf->release = release_buf;
            }
            return buf;
        }
    }
    return lp2p_buf_new(cap);
}
