/* SPDX-License-Identifier: MIT */
#include "runtime/driver.h"
#include "runtime/poller.h"
#include "runtime/registry.h"
#include "runtime/root.h"

#include <stdlib.h>
#include <string.h>

#define SIM_START LP2P_SEC(1) /* virtual time begins here: never 0 */

struct lp2p_driver *lp2p_sim_driver_new(struct lp2p_rt *rt)
{
    struct lp2p_driver *driver = calloc(1, sizeof(*driver));
    if (driver == NULL) {
        return NULL;
    }
    rt->sim_now = SIM_START;
    lp2p_rand_seeded_init(&rt->sim_choice, rt->config.seed);
    lp2p_rand_seeded_init(&rt->sim_rand, rt->config.seed ^ 0x9e3779b97f4a7c15u);
    lp2p_driver_init(driver, rt);
    driver->rand = lp2p_rand_seeded_source(&rt->sim_rand);
    driver->kind = LP2P_DRIVER_SYSTEM;
    driver->state = LP2P_DRIVER_RUNNING;
    memcpy(driver->name, "simulated", sizeof("simulated"));
    lp2p_list_push_back(&rt->drivers, &driver->link);
    return driver;
}

static void note_ready_fds(struct lp2p_rt *rt, struct lp2p_driver *driver)
{
    if (driver->poller.watches == 0 || rt->config.sim_io.ready == NULL) {
        return;
    }
    LP2P_LIST_FOREACH (body_it, &driver->bodies) {
        struct lp2p_actor *body = LP2P_LIST_ENTRY(body_it, struct lp2p_actor, link);
        LP2P_LIST_FOREACH (it, &body->watches) {
            struct lp2p_watch *watch = LP2P_LIST_ENTRY(it, struct lp2p_watch, link);
            if (watch->ready == 0) {
                lp2p_watch_ready(watch, rt->config.sim_io.ready(rt->config.sim_io.ctx, watch->fd));
            }
        }
    }
}

static void move_clock(struct lp2p_rt *rt, lp2p_time now)
{
    rt->sim_now = now;
    if (rt->config.sim_io.advance != NULL) {
        rt->config.sim_io.advance(rt->config.sim_io.ctx, now);
    }
}

/* When something happens although no actor can run now. */
static lp2p_time next_event(struct lp2p_rt *rt, struct lp2p_driver *driver)
{
    lp2p_time next = lp2p_heap_deadline(&driver->timers);
    if (next >= LP2P_TIMER_FAR) {
        next = LP2P_NEVER;
    }
    if (rt->config.sim_io.next != NULL) {
        next = lp2p_time_min(next, rt->config.sim_io.next(rt->config.sim_io.ctx));
    }
    return next == LP2P_NEVER ? next : LP2P_MAX(next, rt->sim_now + 1);
}

static bool step(struct lp2p_rt *rt, struct lp2p_driver *driver, lp2p_time until)
{
    driver->tick = rt->sim_now;
    lp2p_driver_take_ready(driver);
    lp2p_driver_expire_timers(driver);
    note_ready_fds(rt, driver);
    if (driver->run_len > 0) {
        struct lp2p_rand choice = lp2p_rand_seeded_source(&rt->sim_choice);
        size_t place = (size_t)lp2p_rand_below(&choice, driver->run_len);
        lp2p_seat_turn(driver, lp2p_driver_pop(driver, place));
        return true;
    }
    lp2p_time next = next_event(rt, driver);
    if (next > until || next == LP2P_NEVER) {
        if (until != LP2P_NEVER && until > rt->sim_now) {
            move_clock(rt, until);
        }
        return false;
    }
    move_clock(rt, next);
    return true;
}

bool lp2p_sim_step(struct lp2p_rt *rt, lp2p_time until)
{
    LP2P_CHECK(rt->config.simulated);
    struct lp2p_driver *outer = lp2p_current_driver;
    lp2p_current_driver = rt->janitor;
    bool more = step(rt, rt->janitor, until);
    lp2p_current_driver = outer;
    return more;
}

void lp2p_sim_run(struct lp2p_rt *rt, lp2p_time until)
{
    while (lp2p_sim_step(rt, until)) {
    }
}

lp2p_time lp2p_sim_now(struct lp2p_rt *rt)
{
    LP2P_CHECK(rt->config.simulated);
    return rt->sim_now;
}

bool lp2p_sim_until_root_leaves(struct lp2p_rt *rt, enum lp2p_root_state state)
{
    while (rt->root_state == state) {
        if (!lp2p_sim_step(rt, LP2P_NEVER)) {
            return false;
        }
    }
    return true;
}
