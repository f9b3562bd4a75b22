/* SPDX-License-Identifier: MIT */
#include "runtime/timer.h"

enum lp2p_err lp2p_timers_init(struct lp2p_actor *body)
{
    for (unsigned i = 0; i < LP2P_TIMERS_MAX; i++) {
        body->timers[i] = LP2P_NEVER;
    }
    return lp2p_heap_set(&body->driver->timers, &body->timer_node, LP2P_TIMER_FAR);
}

void lp2p_timers_fini(struct lp2p_actor *body)
{
    lp2p_heap_remove(&body->driver->timers, &body->timer_node);
}

unsigned lp2p_timers_due(const struct lp2p_actor *body, lp2p_time now)
{
    unsigned due = LP2P_TIMERS_MAX;
    for (unsigned i = 0; i < LP2P_TIMERS_MAX; i++) {
        if (body->timers[i] <= now && (due == LP2P_TIMERS_MAX || body->timers[i] < body->timers[due])) {
            due = i;
        }
    }
    return due;
}

void lp2p_timers_rearm(struct lp2p_actor *body)
{
    lp2p_time first = LP2P_TIMER_FAR;
    for (unsigned i = 0; i < LP2P_TIMERS_MAX; i++) {
        first = lp2p_time_min(first, body->timers[i]);
    }
    body->timers_dirty = false;
    if (first != body->timer_node.when) {
        LP2P_CHECK(lp2p_heap_set(&body->driver->timers, &body->timer_node, first) == LP2P_OK);
    }
}

void lp2p_timer_set(struct lp2p_actor *self, unsigned timer, lp2p_time when)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    LP2P_CHECK(timer < LP2P_TIMERS_MAX);
    self->timers[timer] = when;
    self->timers_dirty = true;
}

lp2p_time lp2p_timer_get(const struct lp2p_actor *self, unsigned timer)
{
    LP2P_CHECK(timer < LP2P_TIMERS_MAX);
    return self->timers[timer];
}
