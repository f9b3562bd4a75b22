/* SPDX-License-Identifier: MIT */
#include "runtime/body.h"

#include "runtime/child.h"
#include "runtime/driver.h"
#include "runtime/group.h"
#include "runtime/mailbox.h"
#include "runtime/registry.h"
#include "runtime/root.h"
#include "runtime/timer.h"

#include <stdlib.h>
#include <string.h>

lp2p_time lp2p_handler_enter(struct lp2p_turn *turn)
{
    lp2p_time entered = turn->driver->tick;
    /* Release: who condemns the seat from here on owns what we wrote to the slot. */
    __atomic_store_n(&turn->seat->run, entered, __ATOMIC_RELEASE);
    return entered;
}

bool lp2p_handler_leave(struct lp2p_turn *turn, lp2p_time entered)
{
    uint64_t expected = entered;
    struct lp2p_driver *driver = turn->driver;
    driver->tick = lp2p_driver_clock(driver);
    if (!__atomic_compare_exchange_n(&turn->seat->run, &expected, LP2P_RUN_TURN, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        LP2P_CHECK(expected == LP2P_RUN_CONDEMNED);
        turn->condemned = true;
        turn->body = NULL;
        lp2p_body_dispose(driver, turn->seat);
        return false;
    }
    struct lp2p_slot_stats *stats = &turn->slot->stats;
    uint64_t took = lp2p_time_since(driver->tick, entered);
    lp2p_count(&stats->busy_ns, took);
    if (took > __atomic_load_n(&stats->longest_ns, __ATOMIC_RELAXED)) {
        __atomic_store_n(&stats->longest_ns, took, __ATOMIC_RELAXED);
    }
    return true;
}

static void reset_stats(struct lp2p_slot_stats *stats)
{
    uint64_t *const counters[] = {&stats->msgs_in,       &stats->msgs_out,   &stats->sends_refused,
                                  &stats->sends_dropped, &stats->turns,      &stats->wakeups,
                                  &stats->busy_ns,       &stats->longest_ns, &stats->account_bytes};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(counters); i++) {
        __atomic_store_n(counters[i], 0, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&stats->depth_peak, 0, __ATOMIC_RELAXED);
}

/* Everything but the slot: also for bodies whose slot belongs to another thread by now. */
static void free_body(struct lp2p_actor *body)
{
    lp2p_watches_fini(body);
    lp2p_timers_fini(body);
    lp2p_list_remove(&body->link);
    explicit_bzero(body->state, body->ops->state_size);
    free(body->state);
    lp2p_child_info_unref(&body->info);
    body->magic = 0;
    free(body);
}

static struct lp2p_actor *new_body(struct lp2p_turn *turn)
{
    struct lp2p_slot *slot = turn->slot;
    const struct lp2p_actor_ops *ops = slot->info->spec.ops;
    struct lp2p_actor *body = calloc(1, sizeof(*body));
    void *state = calloc(1, ops->state_size == 0 ? 1 : ops->state_size);
    if (body == NULL || state == NULL) {
        free(state);
        free(body);
        return NULL;
    }
    *body = (struct lp2p_actor){.magic = LP2P_ACTOR_MAGIC,
                                .rt = turn->driver->rt,
                                .slot = slot,
                                .seat = turn->seat,
                                .driver = turn->driver,
                                .ref = {slot->index, __atomic_load_n(&slot->gen, __ATOMIC_RELAXED)},
                                .ops = ops,
                                .state = state,
                                .group = slot->group};
    lp2p_list_init(&body->watches);
    if (lp2p_timers_init(body) != LP2P_OK) {
        free(state);
        free(body);
        return NULL;
    }
    body->info = lp2p_child_info_ref(slot->info);
    lp2p_list_push_back(&turn->driver->bodies, &body->link);
    return body;
}

static void count_actor(struct lp2p_rt *rt)
{
    uint32_t now = __atomic_add_fetch(&rt->actors, 1, __ATOMIC_RELAXED);
    uint32_t peak = __atomic_load_n(&rt->actors_peak, __ATOMIC_RELAXED);
    while (now > peak && !__atomic_compare_exchange_n(&rt->actors_peak, &peak, now, true, __ATOMIC_RELAXED,
                                                      __ATOMIC_RELAXED)) {
    }
}

void lp2p_body_report(struct lp2p_rt *rt, uint64_t sup, struct lp2p_msg **msg)
{
    struct lp2p_notice *notice = LP2P_MSG_AS(*msg, &lp2p_notice_class, lp2p_notice);
    notice->rt = rt;
    if (sup == 0) {
        lp2p_root_notice(rt, notice);
        notice->rt = NULL;
        lp2p_msg_drop(msg);
    } else if (lp2p_mail_send(rt, lp2p_ref_unpack(sup), msg, NULL) != LP2P_OK) {
        lp2p_msg_drop(msg);
    }
}

void lp2p_body_report_started(struct lp2p_actor *body)
{
    struct lp2p_slot *slot = body->slot;
    if (slot->started_msg != NULL) {
        struct lp2p_msg *msg = slot->started_msg;
        slot->started_msg = NULL;
        LP2P_MSG_AS(msg, &lp2p_notice_class, lp2p_notice)->who = body->ref;
        lp2p_body_report(body->rt, __atomic_load_n(&slot->sup, __ATOMIC_ACQUIRE), &msg);
    }
}

void lp2p_body_start(struct lp2p_turn *turn)
{
    struct lp2p_slot *slot = turn->slot;
    LP2P_CHECK(turn->seat->body == NULL && slot->info != NULL);
    reset_stats(&slot->stats);
    struct lp2p_actor *body = new_body(turn);
    turn->body = turn->seat->body = body;
    if (body == NULL) {
        lp2p_body_end(turn, LP2P_ENOMEM, false);
        return;
    }
    lp2p_slot_label(slot, body->info->id, body->ops->name, turn->driver->name);
    __atomic_store_n(&slot->live, 1, __ATOMIC_RELEASE);
    count_actor(body->rt);
    lp2p_time entered = lp2p_handler_enter(turn);
    __atomic_store_n(&body->info->arg_taken, 1, __ATOMIC_RELAXED);
    body->fini_done = true; /* a failed init has nothing to finish */
    enum lp2p_err err = body->ops->init(body, body->state, body->info->spec.arg);
    body->fini_done = err != LP2P_OK;
    if (!lp2p_handler_leave(turn, entered)) {
        return;
    }
    if (err != LP2P_OK) {
        lp2p_body_end(turn, err, false);
    } else if (body->broken) {
        lp2p_body_end(turn, LP2P_ENOMEM, true);
    } else if (!lp2p_is_supervisor(body->info)) {
        lp2p_body_report_started(body);
    }
}

static void fire_watchers(struct lp2p_rt *rt, struct lp2p_slot *slot, enum lp2p_err reason)
{
    while (!lp2p_list_empty(&slot->watchers)) {
        lp2p_monitor_fire(rt, LP2P_LIST_ENTRY(slot->watchers.next, struct lp2p_ctl_monitor, link), reason);
    }
}

void lp2p_body_end(struct lp2p_turn *turn, enum lp2p_err reason, bool run_fini)
{
    struct lp2p_slot *slot = turn->slot;
    struct lp2p_rt *rt = turn->driver->rt;
    struct lp2p_actor *body = turn->body;
    struct lp2p_notice *notice = LP2P_MSG_AS(slot->ended_msg, &lp2p_notice_class, lp2p_notice);
    notice->who = (struct lp2p_ref){slot->index, __atomic_load_n(&slot->gen, __ATOMIC_RELAXED)};
    if (body != NULL) {
        lp2p_watches_fini(body); /* before fini closes the descriptors */
    }
    if (run_fini && body->ops->fini != NULL) {
        lp2p_time entered = lp2p_handler_enter(turn);
        body->fini_done = true;
        body->ops->fini(body, body->state, reason == LP2P_OK ? LP2P_STOP : LP2P_FAIL);
        if (!lp2p_handler_leave(turn, entered)) {
            return;
        }
    }
    notice->never_started = slot->started_msg != NULL;
    if (!notice->never_started || notice->reason == LP2P_OK) {
        notice->reason = reason; /* a supervisor has noted already why its tree did not come up */
    }
    if (notice->never_started && notice->failed == NULL) {
        notice->failed = lp2p_child_info_ref(slot->info);
    }
    turn->ended = slot->ended_msg;
    slot->ended_msg = NULL;
    lp2p_msg_drop(&slot->started_msg);
    turn->body = turn->seat->body = NULL;
    if (body != NULL) {
        __atomic_store_n(&slot->live, 0, __ATOMIC_RELEASE);
        __atomic_fetch_sub(&rt->actors, 1, __ATOMIC_RELAXED);
        free_body(body);
    }
    /* From here on old addresses are stale; what is in the mailbox belonged to the old generation. */
    lp2p_slot_next_gen(slot);
    __atomic_fetch_and(&slot->ctl, ~(uint32_t)(LP2P_CTL_FAIL | LP2P_CTL_STOP | LP2P_CTL_KILL),
                       __ATOMIC_SEQ_CST);
    lp2p_slot_drain(rt, slot);
    fire_watchers(rt, slot, reason == LP2P_OK ? LP2P_OK : LP2P_EFAILED);
}

void lp2p_body_dispose(struct lp2p_driver *driver, struct lp2p_seat *seat)
{
    struct lp2p_actor *body = seat->body;
    if (seat->noticed) {
        return;
    }
    seat->noticed = true;
    if (body != NULL) {
        lp2p_watches_fini(body);
        if (!body->fini_done && body->ops->fini != NULL) {
            body->fini_done = true;
            body->ops->fini(body, body->state, LP2P_FAIL);
        }
        seat->body = NULL;
        free_body(body);
    }
    lp2p_driver_detach(driver->rt, driver, seat->slot->index, seat->resident);
    __atomic_fetch_sub(&driver->condemned, 1, __ATOMIC_ACQ_REL);
}
