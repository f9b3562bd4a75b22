/* SPDX-License-Identifier: MIT */
#include "runtime/control.h"
#include "runtime/driver.h"
#include "runtime/registry.h"
#include "runtime/sup.h"

#include <stdlib.h>

static struct lp2p_seat *new_seat(struct lp2p_rt *rt, struct lp2p_slot *slot)
{
    struct lp2p_seat *seat = calloc(1, sizeof(*seat));
    if (seat != NULL) {
        seat->slot = slot;
        seat->driver = rt->janitor;
        seat->run = LP2P_RUN_TURN; /* held by us until the slot is in order */
    }
    return seat;
}

static bool seize(struct lp2p_seat *seat, uint64_t stall_ns, lp2p_time now)
{
    uint64_t run = __atomic_load_n(&seat->run, __ATOMIC_ACQUIRE);
    if (run == LP2P_RUN_TURN || run == LP2P_RUN_CONDEMNED) {
        return false;
    }
    if (stall_ns > 0 && (run == LP2P_RUN_IDLE || lp2p_time_since(now, run) < stall_ns)) {
        return false;
    }
    /* Acquire: pairs with the release in lp2p_handler_enter and at the end of a turn: the slot is ours. */
    return __atomic_compare_exchange_n(&seat->run, &run, LP2P_RUN_CONDEMNED, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

bool lp2p_slot_condemn(struct lp2p_rt *rt, struct lp2p_slot *slot, uint64_t stall_ns, lp2p_time now)
{
    struct lp2p_seat *old = __atomic_load_n(&slot->seat, __ATOMIC_ACQUIRE);
    struct lp2p_seat *seat = new_seat(rt, slot);
    if (seat == NULL || !seize(old, stall_ns, now)) {
        free(seat);
        return false;
    }
    pthread_mutex_lock(&rt->lock);
    struct lp2p_driver *stuck = old->driver;
    seat->extra_next = rt->extra_seats;
    rt->extra_seats = seat;
    old->resident = slot->resident;
    slot->attached = false; /* the old thread still counts the old seat, until it finds out */
    __atomic_fetch_add(&stuck->condemned, 1, __ATOMIC_ACQ_REL);
    pthread_mutex_unlock(&rt->lock);
    __atomic_fetch_add(&rt->abandoned, 1, __ATOMIC_RELAXED);
    if (__atomic_exchange_n(&slot->live, 0, __ATOMIC_ACQ_REL) != 0) {
        __atomic_fetch_sub(&rt->actors, 1, __ATOMIC_RELAXED);
    }
    lp2p_slot_next_gen(slot);
    __atomic_store_n(&slot->ctl, 0, __ATOMIC_SEQ_CST);
    lp2p_msg_drop(&slot->started_msg);
    lp2p_msg_drop(&slot->ended_msg);
    /* Pairs with the second look in lp2p_slot_notify. */
    __atomic_store_n(&slot->seat, seat, __ATOMIC_SEQ_CST);
    lp2p_slot_drain(rt, slot);
    while (!lp2p_list_empty(&slot->watchers)) {
        lp2p_monitor_fire(rt, LP2P_LIST_ENTRY(slot->watchers.next, struct lp2p_ctl_monitor, link),
                          LP2P_EFAILED);
    }
    __atomic_store_n(&seat->run, LP2P_RUN_IDLE, __ATOMIC_SEQ_CST);
    lp2p_slot_notify(slot);  /* for what was pushed while senders still saw the old seat */
    lp2p_seat_schedule(old); /* its thread finds out when it comes back */
    return true;
}
