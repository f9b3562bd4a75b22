/* SPDX-License-Identifier: MIT
 * The queue under a mailbox, by itself: concurrencykit's stack, taken whole and reversed (what the runtime does), beside its ring for
 * many producers and one consumer. Both spin and yield instead of sleeping, so that only the queue is measured. Nanoseconds of
 * wall time for each message. A case ends after two seconds at the latest: the ring can become very slow. */
#include "runtime_queues.h"

#include "figures.h"

#include <ck_ring.h>
#include <ck_stack.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CASE_NS_MAX 2000000000u
#define UNDER_WAY 4096u /* messages in the queue at most: the ring's size, and the stack's bound */

struct entry {
    ck_stack_entry_t link;
};

static struct {
    ck_stack_t stack;
    ck_ring_t ring;
    ck_ring_buffer_t slots[UNDER_WAY];
    unsigned depth; /* of the stack; atomic */
    bool over;      /* producers stop; atomic */
} queue;

struct producer {
    pthread_t thread;
    bool ring;
    uint64_t count;
    struct entry *entries; /* as many as count; each is pushed once */
};

static bool is_over(void)
{
    return __atomic_load_n(&queue.over, __ATOMIC_RELAXED);
}

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (uint64_t i = 0; i < p->count && !is_over(); i++) {
        if (p->ring) {
            while (!ck_ring_enqueue_mpsc(&queue.ring, queue.slots, &p->entries[i]) && !is_over()) {
                (void)sched_yield();
            }
            continue;
        }
        while (__atomic_add_fetch(&queue.depth, 1, __ATOMIC_RELAXED) > UNDER_WAY && !is_over()) {
            (void)__atomic_sub_fetch(&queue.depth, 1, __ATOMIC_RELAXED);
            (void)sched_yield();
        }
        ck_stack_push_upmc(&queue.stack, &p->entries[i].link);
    }
    return NULL;
}

static uint64_t take_stack(void)
{
    uint64_t n = 0;
    ck_stack_entry_t *oldest = NULL, *next, *entry = ck_stack_batch_pop_upmc(&queue.stack);
    for (; entry != NULL; entry = next, n++) {
        next = entry->next; /* the batch is newest first: reversed, as in a mailbox */
        entry->next = oldest;
        oldest = entry;
    }
    if (n > 0) {
        (void)__atomic_sub_fetch(&queue.depth, (unsigned)n, __ATOMIC_RELAXED);
    }
    return n;
}

static uint64_t take_ring(void)
{
    void *entry;
    uint64_t n = 0;
    while (n < UNDER_WAY && ck_ring_dequeue_mpsc(&queue.ring, queue.slots, &entry)) {
        n++;
    }
    return n;
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void bench_queue(bool ring, unsigned producers, uint64_t messages)
{
    struct producer all[BENCH_PRODUCERS_MAX];
    char name[32];
    uint64_t taken = 0, wanted = messages / producers * producers;
    ck_stack_init(&queue.stack);
    ck_ring_init(&queue.ring, UNDER_WAY);
    queue.depth = 0;
    queue.over = false;
    for (unsigned i = 0; i < producers; i++) {
        all[i] = (struct producer){.ring = ring, .count = messages / producers};
        all[i].entries = calloc(all[i].count, sizeof(struct entry));
        if (all[i].entries == NULL) {
            abort();
        }
    }
    uint64_t begun = now_ns();
    for (unsigned i = 0; i < producers; i++) {
        if (pthread_create(&all[i].thread, NULL, produce, &all[i]) != 0) {
            abort();
        }
    }
    while (taken < wanted && now_ns() - begun < CASE_NS_MAX) {
        uint64_t n = ring ? take_ring() : take_stack();
        taken += n;
        if (n == 0) {
            (void)sched_yield();
        }
    }
    double ns = (double)(now_ns() - begun) / (double)taken;
    __atomic_store_n(&queue.over, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < producers; i++) {
        (void)pthread_join(all[i].thread, NULL);
        free(all[i].entries);
    }
    (void)snprintf(name, sizeof(name), "%s-%u", ring ? "queue-ring" : "queue-stack", producers);
    bench_print(name, "ns", ns, NULL);
}
