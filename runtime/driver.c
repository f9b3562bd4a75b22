/* SPDX-License-Identifier: MIT */
#include "runtime/driver.h"

#include "runtime/body.h"
#include "runtime/poller.h"
#include "runtime/pool.h"

#include <sched.h>
#include <string.h>
#include <time.h>

#define POLL_PERIOD_NS LP2P_US(60) /* how often a busy thread looks at its descriptors */
#define IDLE_AFTER_NS LP2P_MS(100) /* a thread that slept so long gives its pooled memory back */
#define STACK_EVERY_NS LP2P_SEC(10) /* and not more often than this the pages of its stack, which come back by faults */

/* What a thread that has nothing to do has given back already. */
enum rest { REST_NONE, REST_POOLED, REST_ALL };

__thread struct lp2p_driver *lp2p_current_driver;

lp2p_time lp2p_driver_clock(const struct lp2p_driver *driver)
{
    if (driver->rt->config.simulated) {
        return driver->rt->sim_now;
    }
    struct timespec ts;
    LP2P_CHECK(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
    return LP2P_SEC(ts.tv_sec) + (uint64_t)ts.tv_nsec;
}

static void run_push(struct lp2p_driver *driver, struct lp2p_seat *seat)
{
    seat->ready_next = NULL;
    if (driver->run_tail == NULL) {
        driver->run_head = seat;
    } else {
        driver->run_tail->ready_next = seat;
    }
    driver->run_tail = seat;
    driver->run_len++;
}

static bool ready_push(struct lp2p_driver *driver, struct lp2p_seat *seat)
{
    struct lp2p_seat *head = __atomic_load_n(&driver->ready, __ATOMIC_RELAXED);
    do {
        if (head == LP2P_READY_CLOSED) {
            return false;
        }
        seat->ready_next = head;
    } while (
        !__atomic_compare_exchange_n(&driver->ready, &head, seat, true, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return true;
}

/* The caller owns the seat's place (scheduled is 1 through it). */
static bool route(struct lp2p_seat *seat)
{
    for (;;) {
        struct lp2p_driver *driver = __atomic_load_n(&seat->driver, __ATOMIC_ACQUIRE);
        if (driver == lp2p_current_driver) {
            run_push(driver, seat);
            return false;
        }
        if (ready_push(driver, seat)) {
            return lp2p_driver_wake(driver);
        }
        /* Its thread has ended: the seat is moving, or is a condemned one, or the runtime ends. */
        if (__atomic_load_n(&seat->run, __ATOMIC_ACQUIRE) == LP2P_RUN_CONDEMNED ||
            __atomic_load_n(&driver->rt->quitting, __ATOMIC_ACQUIRE) != 0) {
            return false;
        }
        sched_yield();
    }
}

bool lp2p_seat_schedule(struct lp2p_seat *seat)
{
    /* Pairs with the exchange in lp2p_seat_turn: who finds 1 has its message seen by the turn that is to
     * come. */
    if (__atomic_exchange_n(&seat->scheduled, 1, __ATOMIC_SEQ_CST) != 0) {
        return false;
    }
    return route(seat);
}

bool lp2p_driver_wake(struct lp2p_driver *driver)
{
    /* Pairs with the fence in lp2p_poller_sleep: either we see that it sleeps, or it sees what we pushed. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&driver->sleeping, __ATOMIC_SEQ_CST) == LP2P_AWAKE) {
        return false;
    }
    uint32_t slept = __atomic_exchange_n(&driver->sleeping, LP2P_AWAKE, __ATOMIC_SEQ_CST);
    if (slept != LP2P_AWAKE) {
        lp2p_poller_wake(driver, (enum lp2p_sleep)slept);
    }
    return slept != LP2P_AWAKE;
}

void lp2p_driver_quit(struct lp2p_driver *driver)
{
    __atomic_store_n(&driver->quit, 1, __ATOMIC_SEQ_CST);
    lp2p_driver_wake(driver);
}

void lp2p_driver_take_ready(struct lp2p_driver *driver)
{
    if (__atomic_load_n(&driver->ready, __ATOMIC_RELAXED) == NULL) {
        return;
    }
    struct lp2p_seat *seat = __atomic_exchange_n(&driver->ready, NULL, __ATOMIC_ACQ_REL), *oldest = NULL;
    while (seat != NULL) {
        struct lp2p_seat *next = seat->ready_next;
        seat->ready_next = oldest;
        oldest = seat;
        seat = next;
    }
    while (oldest != NULL) {
        struct lp2p_seat *next = oldest->ready_next;
        run_push(driver, oldest);
        oldest = next;
    }
}

struct lp2p_seat *lp2p_driver_pop(struct lp2p_driver *driver, size_t place)
{
    struct lp2p_seat *before = NULL, *seat = driver->run_head;
    for (; place > 0; place--) {
        before = seat;
        seat = seat->ready_next;
    }
    if (before == NULL) {
        driver->run_head = seat->ready_next;
    } else {
        before->ready_next = seat->ready_next;
    }
    if (driver->run_tail == seat) {
        driver->run_tail = before;
    }
    driver->run_len--;
    return seat;
}

void lp2p_driver_expire_timers(struct lp2p_driver *driver)
{
    while (lp2p_heap_deadline(&driver->timers) <= driver->tick) {
        struct lp2p_heap_node *node = lp2p_heap_top(&driver->timers);
        struct lp2p_actor *body = LP2P_CONTAINER_OF(node, struct lp2p_actor, timer_node);
        body->timers_dirty = true;
        /* Moving an entry needs no memory; the turn puts it back to the actor's next deadline. */
        LP2P_CHECK(lp2p_heap_set(&driver->timers, node, LP2P_TIMER_FAR) == LP2P_OK);
        lp2p_seat_schedule(body->seat);
    }
}

static void sleep_or_poll(struct lp2p_driver *driver, enum rest *rest)
{
    lp2p_time deadline = lp2p_heap_deadline(&driver->timers);
    if (*rest == REST_ALL) {
        lp2p_poller_sleep(driver, deadline);
        return;
    }
    lp2p_time nap = lp2p_time_add(driver->tick, IDLE_AFTER_NS);
    if (*rest == REST_POOLED) {
        nap = LP2P_MAX(nap, driver->stack_due);
    }
    lp2p_poller_sleep(driver, lp2p_time_min(nap, deadline));
    lp2p_time now = lp2p_driver_clock(driver);
    if (driver->run_len > 0 || __atomic_load_n(&driver->ready, __ATOMIC_RELAXED) != NULL || now < nap) {
        return;
    }
    lp2p_pool_thread_flush();
    *rest = REST_POOLED;
    if (now >= driver->stack_due) {
        lp2p_driver_trim_stack(driver);
        driver->stack_due = lp2p_time_add(now, STACK_EVERY_NS);
        *rest = REST_ALL;
    }
}

/* Seats that were taken from the thread while it was blocked, and that it has not come to yet. */
static void dispose_condemned(struct lp2p_driver *driver)
{
    lp2p_driver_take_ready(driver);
    for (struct lp2p_seat *seat = driver->run_head; seat != NULL; seat = seat->ready_next) {
        if (__atomic_load_n(&seat->run, __ATOMIC_ACQUIRE) == LP2P_RUN_CONDEMNED) {
            lp2p_body_dispose(driver, seat);
        }
    }
}

/* What others still put into the stack of an ending thread goes to whoever serves those seats now. */
static void pass_on(struct lp2p_driver *driver)
{
    dispose_condemned(driver);
    lp2p_current_driver = NULL;
    struct lp2p_seat *seat = __atomic_exchange_n(&driver->ready, LP2P_READY_CLOSED, __ATOMIC_SEQ_CST);
    while (seat != NULL) {
        struct lp2p_seat *next = seat->ready_next;
        route(seat);
        seat = next;
    }
    while (driver->run_len > 0) {
        route(lp2p_driver_pop(driver, 0));
    }
}

void lp2p_driver_loop(struct lp2p_driver *driver)
{
    enum rest rest = REST_NONE;
    bool fresh = false; /* a handler has just read the clock */
    lp2p_current_driver = driver;
    while (__atomic_load_n(&driver->quit, __ATOMIC_ACQUIRE) == 0) {
        driver->tick = fresh ? driver->tick : lp2p_driver_clock(driver);
        lp2p_driver_take_ready(driver);
        lp2p_driver_expire_timers(driver);
        if (driver->run_len == 0) {
            sleep_or_poll(driver, &rest);
            fresh = false;
            continue;
        }
        rest = REST_NONE;
        if (driver->poller.watches > 0 && lp2p_time_since(driver->tick, driver->polled) >= POLL_PERIOD_NS) {
            lp2p_poller_look(driver);
        }
        lp2p_time before = driver->tick;
        for (size_t n = driver->run_len; n > 0 && driver->run_len > 0; n--) {
            lp2p_seat_turn(driver, lp2p_driver_pop(driver, 0));
        }
        fresh = driver->tick != before;
    }
    pass_on(driver);
}
