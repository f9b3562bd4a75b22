/* SPDX-License-Identifier: MIT */
#include "runtime/child.h"
#include "runtime/driver.h"
#include "runtime/registry.h"
#include "runtime/root.h"

#include <string.h>
#include <time.h>

#define LABEL_TRIES 8

static uint64_t get(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void lp2p_rt_stats_get(struct lp2p_rt *rt, struct lp2p_rt_stats *out)
{
    *out = (struct lp2p_rt_stats){
        .actors = __atomic_load_n(&rt->actors, __ATOMIC_RELAXED),
        .actors_peak = __atomic_load_n(&rt->actors_peak, __ATOMIC_RELAXED),
        .actors_max = rt->config.actors_max,
        .threads = __atomic_load_n(&rt->threads, __ATOMIC_RELAXED),
        .restarts = get(&rt->restarts),
        .abandoned = get(&rt->abandoned),
        .stale_msgs = get(&rt->stale_msgs),
    };
}

/* The labels are words behind a sequence number: odd or changed means that they were being written. */
static bool copy_labels(const struct lp2p_slot *slot, struct lp2p_actor_stats *out)
{
    union {
        uint64_t words[LP2P_LABEL_WORDS];
        char text[LP2P_LABEL_WORDS * 8];
    } labels;
    for (int i = 0; i < LABEL_TRIES; i++) {
        uint32_t before = __atomic_load_n(&slot->label_seq, __ATOMIC_SEQ_CST);
        for (size_t word = 0; word < LP2P_LABEL_WORDS; word++) {
            labels.words[word] = __atomic_load_n(&slot->labels[word], __ATOMIC_SEQ_CST);
        }
        if ((before & 1) == 0 && __atomic_load_n(&slot->label_seq, __ATOMIC_SEQ_CST) == before) {
            memcpy(out->id, labels.text, sizeof(out->id));
            memcpy(out->kind, labels.text + 40, sizeof(out->kind));
            memcpy(out->thread, labels.text + 56, sizeof(out->thread));
            return true;
        }
    }
    return false;
}

static uint64_t running_since(const struct lp2p_slot *slot, lp2p_time now)
{
    const struct lp2p_seat *seat = __atomic_load_n(&slot->seat, __ATOMIC_ACQUIRE);
    uint64_t run = __atomic_load_n(&seat->run, __ATOMIC_RELAXED);
    bool in_handler = run != LP2P_RUN_IDLE && run != LP2P_RUN_TURN && run != LP2P_RUN_CONDEMNED;
    return in_handler ? LP2P_MAX(lp2p_time_since(now, run), 1u) : 0;
}

static bool copy_slot(const struct lp2p_slot *slot, lp2p_time now, struct lp2p_actor_stats *out)
{
    const struct lp2p_slot_stats *stats = &slot->stats;
    *out = (struct lp2p_actor_stats){
        .ref = {slot->index, __atomic_load_n(&slot->gen, __ATOMIC_ACQUIRE)},
        .restarts = __atomic_load_n(&stats->restarts, __ATOMIC_RELAXED),
        .msgs_in = get(&stats->msgs_in),
        .msgs_out = get(&stats->msgs_out),
        .sends_refused = get(&stats->sends_refused),
        .sends_dropped = get(&stats->sends_dropped),
        .turns = get(&stats->turns),
        .wakeups = get(&stats->wakeups),
        .busy_ns = get(&stats->busy_ns),
        .longest_ns = get(&stats->longest_ns),
        .running_ns = running_since(slot, now),
        .depth = __atomic_load_n(&slot->depth[0], __ATOMIC_RELAXED) +
                 __atomic_load_n(&slot->depth[1], __ATOMIC_RELAXED),
        .depth_peak = __atomic_load_n(&stats->depth_peak, __ATOMIC_RELAXED),
        .bytes = get(&stats->account_bytes) + get(&slot->waiting_bytes),
    };
    return copy_labels(slot, out) && __atomic_load_n(&slot->live, __ATOMIC_ACQUIRE) != 0;
}

size_t lp2p_rt_snapshot(struct lp2p_rt *rt, struct lp2p_actor_stats *out, size_t cap)
{
    size_t count = 0;
    if (!lp2p_rt_enter(rt)) {
        return 0;
    }
    lp2p_time now = lp2p_driver_clock(rt->janitor);
    uint32_t len = __atomic_load_n(&rt->slots_len, __ATOMIC_ACQUIRE);
    for (uint32_t index = 1; index < len; index++) {
        const struct lp2p_slot *slot = lp2p_slot_get(rt, index);
        struct lp2p_actor_stats one;
        if (__atomic_load_n(&slot->live, __ATOMIC_ACQUIRE) != 0 && copy_slot(slot, now, &one)) {
            if (count < cap) {
                out[count] = one;
            }
            count++;
        }
    }
    lp2p_rt_leave(rt);
    return count;
}
