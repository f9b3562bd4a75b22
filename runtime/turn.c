/* SPDX-License-Identifier: MIT */
#include "runtime/body.h"
#include "runtime/child.h"
#include "runtime/driver.h"
#include "runtime/mailbox.h"
#include "runtime/registry.h"
#include "runtime/sup.h"
#include "runtime/timer.h"

/* Carries out what a handler decided; false when the body has ended. */
static bool obey(struct lp2p_turn *turn, enum lp2p_verdict verdict)
{
    if (turn->body->broken) {
        verdict = LP2P_FAIL;
    }
    if (verdict == LP2P_CONTINUE) {
        return true;
    }
    lp2p_body_end(turn, verdict == LP2P_STOP ? LP2P_OK : LP2P_EFAILED, true);
    return false;
}

static bool handle_stop(struct lp2p_turn *turn)
{
    struct lp2p_actor *body = turn->body;
    enum lp2p_verdict verdict = LP2P_STOP;
    lp2p_time entered = lp2p_handler_enter(turn);
    if (body->ops->on_stop != NULL) {
        verdict = body->ops->on_stop(body, body->state);
    }
    return lp2p_handler_leave(turn, entered) && obey(turn, verdict);
}

/* A supervisor cannot just be dropped: it first ends its children, then itself. */
static bool handle_failure(struct lp2p_turn *turn)
{
    struct lp2p_actor *body = turn->body;
    enum lp2p_verdict verdict = LP2P_FAIL;
    lp2p_time entered = lp2p_handler_enter(turn);
    if (lp2p_is_supervisor(body->info)) {
        verdict = lp2p_sup_fail(body, body->state);
    }
    return lp2p_handler_leave(turn, entered) && obey(turn, verdict);
}

static bool handle_msg(struct lp2p_turn *turn, struct lp2p_msg *msg)
{
    struct lp2p_actor *body = turn->body;
    enum lp2p_verdict verdict = LP2P_CONTINUE;
    lp2p_count(&turn->slot->stats.msgs_in, 1);
    lp2p_time entered = lp2p_handler_enter(turn);
    if (body->ops->on_msg != NULL) {
        verdict = body->ops->on_msg(body, body->state, &msg);
    }
    lp2p_msg_drop(&msg);
    return lp2p_handler_leave(turn, entered) && obey(turn, verdict);
}

static bool handle_lane(struct lp2p_turn *turn, enum lp2p_lane lane, uint32_t max)
{
    uint32_t left = LP2P_MIN(turn->slot->lanes[lane].len, max);
    for (; left > 0; left--) {
        if (!handle_msg(turn, lp2p_lane_pop(turn->slot, lane))) {
            return false;
        }
    }
    return true;
}

static bool handle_fds(struct lp2p_turn *turn)
{
    struct lp2p_actor *body = turn->body;
    int fd;
    unsigned ready;
    for (unsigned left = body->fds_ready; left > 0 && lp2p_watches_next(body, &fd, &ready); left--) {
        if (ready == 0 || body->ops->on_fd == NULL) {
            continue;
        }
        lp2p_time entered = lp2p_handler_enter(turn);
        enum lp2p_verdict verdict = body->ops->on_fd(body, body->state, fd, ready);
        if (!lp2p_handler_leave(turn, entered) || !obey(turn, verdict)) {
            return false;
        }
    }
    return true;
}

static bool handle_timers(struct lp2p_turn *turn)
{
    struct lp2p_actor *body = turn->body;
    unsigned fired = 0; /* each timer at most once a turn, also when its handler sets it into the past */
    for (;;) {
        unsigned timer = lp2p_timers_due(body, turn->driver->now);
        if (timer == LP2P_TIMERS_MAX || (fired & 1u << timer) != 0) {
            return true;
        }
        fired |= 1u << timer;
        lp2p_timer_set(body, timer, LP2P_NEVER);
        lp2p_time entered = lp2p_handler_enter(turn);
        enum lp2p_verdict verdict = LP2P_CONTINUE;
        if (body->ops->on_timer != NULL) {
            verdict = body->ops->on_timer(body, body->state, timer);
        }
        if (!lp2p_handler_leave(turn, entered) || !obey(turn, verdict)) {
            return false;
        }
    }
}

static void monitor_arrived(struct lp2p_turn *turn, struct lp2p_ctl_monitor *monitor)
{
    struct lp2p_ref to = monitor->down.msg.to;
    if (turn->body == NULL || (to.gen != 0 && to.gen != turn->body->ref.gen)) {
        lp2p_monitor_fire(turn->driver->rt, monitor, LP2P_EGONE);
    } else {
        lp2p_list_push_back(&turn->slot->watchers, &monitor->link);
    }
}

static void demonitor_arrived(struct lp2p_turn *turn, struct lp2p_ctl_monitor *request)
{
    struct lp2p_msg *msg = &request->down.msg;
    LP2P_LIST_FOREACH_SAFE (it, &turn->slot->watchers) {
        struct lp2p_ctl_monitor *monitor = LP2P_LIST_ENTRY(it, struct lp2p_ctl_monitor, link);
        if (lp2p_ref_eq(monitor->down.msg.from, msg->from) &&
            lp2p_ref_eq(monitor->down.who, request->down.who)) {
            struct lp2p_msg *gone = &monitor->down.msg;
            lp2p_list_remove(it);
            lp2p_msg_drop(&gone);
            break;
        }
    }
    lp2p_msg_drop(&msg);
}

/* Sorts what arrived into the lanes; the runtime's own messages take effect at once. */
static void sort_mail(struct lp2p_turn *turn)
{
    struct lp2p_slot *slot = turn->slot;
    struct lp2p_msg *msg;
    for (struct lp2p_msg *next = lp2p_mail_take(slot); (msg = next) != NULL;) {
        next = lp2p_mail_next(msg);
        if (msg->cls == &lp2p_monitor_class) {
            monitor_arrived(turn, (struct lp2p_ctl_monitor *)(void *)msg);
        } else if (msg->cls == &lp2p_demonitor_class) {
            demonitor_arrived(turn, (struct lp2p_ctl_monitor *)(void *)msg);
        } else if (lp2p_slot_accepts(slot, msg->to.gen)) {
            lp2p_lane_push(slot, msg);
        } else {
            lp2p_mail_uncount(slot, msg);
            __atomic_fetch_add(&turn->driver->rt->stale_msgs, 1, __ATOMIC_RELAXED);
            lp2p_mail_unread(turn->driver->rt, &msg, LP2P_EGONE);
        }
    }
    uint32_t depth = __atomic_load_n(&slot->depth[0], __ATOMIC_RELAXED) +
                     __atomic_load_n(&slot->depth[1], __ATOMIC_RELAXED);
    if (depth > __atomic_load_n(&slot->stats.depth_peak, __ATOMIC_RELAXED)) {
        __atomic_store_n(&slot->stats.depth_peak, depth, __ATOMIC_RELAXED);
    }
}

static void serve(struct lp2p_turn *turn, uint32_t ctl)
{
    struct lp2p_slot *slot = turn->slot;
    lp2p_count(&slot->stats.turns, 1);
    if ((ctl & LP2P_CTL_FAIL) != 0 &&
        __atomic_load_n(&slot->fail_gen, __ATOMIC_ACQUIRE) == turn->body->ref.gen && !handle_failure(turn)) {
        return;
    }
    if (((ctl & LP2P_CTL_STOP) != 0 && !handle_stop(turn)) ||
        ((ctl & LP2P_CTL_KILL) != 0 && !handle_failure(turn))) {
        return;
    }
    if (!handle_lane(turn, LP2P_LANE_URGENT, UINT32_MAX) ||
        !handle_lane(turn, LP2P_LANE_NORMAL, LP2P_BATCH_MAX) || !handle_fds(turn) || !handle_timers(turn)) {
        return;
    }
    if (turn->body->timers_dirty) {
        lp2p_timers_rearm(turn->body);
    }
    if (slot->lanes[LP2P_LANE_NORMAL].head != NULL || turn->body->fds_ready > 0) {
        lp2p_seat_schedule(turn->seat);
    }
}

/* Makes this thread the one that serves the seat; false when it is not for this thread to do now. */
static bool take_seat(struct lp2p_driver *driver, struct lp2p_seat *seat)
{
    /* Pairs with the exchange in lp2p_seat_schedule: what was pushed before a lost exchange is seen by this
     * turn. */
    __atomic_exchange_n(&seat->scheduled, 0, __ATOMIC_SEQ_CST);
    uint64_t idle = LP2P_RUN_IDLE;
    if (!__atomic_compare_exchange_n(&seat->run, &idle, LP2P_RUN_TURN, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        if (idle != LP2P_RUN_CONDEMNED) {
            lp2p_seat_schedule(seat); /* another thread is just leaving it */
        } else if (__atomic_load_n(&seat->driver, __ATOMIC_ACQUIRE) == driver) {
            lp2p_body_dispose(driver, seat);
        }
        return false;
    }
    if (__atomic_load_n(&seat->driver, __ATOMIC_ACQUIRE) != driver) {
        __atomic_store_n(&seat->run, LP2P_RUN_IDLE, __ATOMIC_RELEASE);
        lp2p_seat_schedule(seat); /* it has moved to another thread */
        return false;
    }
    return true;
}

void lp2p_seat_turn(struct lp2p_driver *driver, struct lp2p_seat *seat)
{
    if (!take_seat(driver, seat)) {
        return;
    }
    struct lp2p_turn turn = {.driver = driver, .seat = seat, .slot = seat->slot, .body = seat->body};
    driver->now = driver->tick;
    /* What was asked for before the seat was scheduled is seen: take_seat has acquired that. */
    uint32_t ctl = __atomic_load_n(&turn.slot->ctl, __ATOMIC_ACQUIRE);
    if (ctl != 0) {
        ctl = __atomic_exchange_n(&turn.slot->ctl, 0, __ATOMIC_SEQ_CST);
    }
    if ((ctl & LP2P_CTL_START) != 0) {
        lp2p_body_start(&turn);
    }
    if (!turn.condemned) {
        sort_mail(&turn);
    }
    if (turn.body != NULL) {
        serve(&turn, ctl);
    }
    if (!turn.condemned) {
        uint64_t sup = __atomic_load_n(&turn.slot->sup, __ATOMIC_ACQUIRE);
        __atomic_store_n(&seat->run, LP2P_RUN_IDLE, __ATOMIC_RELEASE);
        if (turn.ended != NULL) {
            lp2p_body_report(driver->rt, sup, &turn.ended);
        }
    }
}
