/* SPDX-License-Identifier: MIT */
#include "runtime/poller.h"

#include "runtime/driver.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 64

void lp2p_poller_init(struct lp2p_poller *poller)
{
    *poller = (struct lp2p_poller){.epoll_fd = -1, .event_fd = -1};
}

/* The descriptor of the wake-ups is watched for edges, so that a wake-up costs no read: it is read here only.
 */
static void read_wakes(struct lp2p_poller *poller)
{
    uint64_t count = 0;
    if (read(poller->event_fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
        LP2P_CHECK(count <= poller->owed);
        poller->owed -= count;
    }
}

void lp2p_poller_fini(struct lp2p_poller *poller)
{
    while (poller->owed > 0) {
        struct pollfd wait = {.fd = poller->event_fd, .events = POLLIN};
        poll(&wait, 1, -1);
        read_wakes(poller);
    }
    if (poller->epoll_fd >= 0) {
        close(poller->epoll_fd);
        close(poller->event_fd);
    }
    lp2p_poller_init(poller);
}

void lp2p_poller_wake(struct lp2p_driver *driver, enum lp2p_sleep slept)
{
    if (slept == LP2P_SLEEP_FUTEX) {
        syscall(SYS_futex, &driver->sleeping, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
    } else {
        uint64_t one = 1;
        int fd = __atomic_load_n(&driver->poller.event_fd, __ATOMIC_ACQUIRE);
        LP2P_CHECK(write(fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
    }
}

void lp2p_watch_ready(struct lp2p_watch *watch, unsigned ready)
{
    ready &= watch->interest | LP2P_HANGUP;
    if (ready != 0) {
        watch->body->fds_ready += watch->ready == 0;
        watch->ready = ready;
        lp2p_seat_schedule(watch->body->seat);
    }
}

/* Handlers run only after the whole batch was noted, so that no entry of it can name a watch that is gone. */
static void note_events(const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        struct lp2p_watch *watch = events[i].data.ptr;
        if (watch == NULL) {
            continue; /* a wake-up */
        }
        uint32_t got = events[i].events;
        unsigned ready = (got & EPOLLIN ? LP2P_READABLE : 0u) | (got & EPOLLOUT ? LP2P_WRITABLE : 0u) |
                         (got & (EPOLLHUP | EPOLLERR) ? LP2P_HANGUP : 0u);
        lp2p_watch_ready(watch, ready);
    }
}

void lp2p_poller_look(struct lp2p_driver *driver)
{
    struct epoll_event events[EVENTS_MAX];
    driver->polled = driver->tick;
    note_events(events, epoll_wait(driver->poller.epoll_fd, events, EVENTS_MAX, 0));
}

/* Announces the sleep, looks again, and says whether it may begin. */
static bool announce(struct lp2p_driver *driver, enum lp2p_sleep how)
{
    __atomic_store_n(&driver->sleeping, how, __ATOMIC_SEQ_CST);
    /* Pairs with the fence in lp2p_driver_wake. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return __atomic_load_n(&driver->ready, __ATOMIC_SEQ_CST) == NULL &&
           __atomic_load_n(&driver->quit, __ATOMIC_SEQ_CST) == 0;
}

static void sleep_on_futex(struct lp2p_driver *driver, lp2p_time deadline)
{
    if (announce(driver, LP2P_SLEEP_FUTEX)) {
        struct timespec until = {.tv_sec = (time_t)(deadline / LP2P_SEC(1)),
                                 .tv_nsec = (long)(deadline % LP2P_SEC(1))};
        syscall(SYS_futex, &driver->sleeping, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, LP2P_SLEEP_FUTEX,
                deadline >= LP2P_TIMER_FAR ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    }
    /* A waker that was faster may still wake the futex: of memory that stays, and spuriously. */
    __atomic_exchange_n(&driver->sleeping, LP2P_AWAKE, __ATOMIC_SEQ_CST);
}

static int timeout_ms(const struct lp2p_driver *driver, lp2p_time deadline)
{
    if (deadline >= LP2P_TIMER_FAR) {
        return -1;
    }
    uint64_t ms = (lp2p_time_since(deadline, driver->tick) + LP2P_MS(1) - 1) / LP2P_MS(1);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

void lp2p_poller_sleep(struct lp2p_driver *driver, lp2p_time deadline)
{
    if (driver->poller.watches == 0) {
        sleep_on_futex(driver, deadline);
        return;
    }
    struct epoll_event events[EVENTS_MAX];
    int count = 0;
    if (announce(driver, LP2P_SLEEP_EPOLL)) {
        count = epoll_wait(driver->poller.epoll_fd, events, EVENTS_MAX, timeout_ms(driver, deadline));
    }
    if (__atomic_exchange_n(&driver->sleeping, LP2P_AWAKE, __ATOMIC_SEQ_CST) == LP2P_AWAKE) {
        driver->poller.owed++; /* who exchanged it first has written, or will */
    }
    driver->tick = driver->polled = lp2p_driver_clock(driver);
    note_events(events, count);
}

static enum lp2p_err open_fds(struct lp2p_poller *poller)
{
    struct epoll_event wake = {.events = EPOLLIN | (uint32_t)EPOLLET, .data.ptr = NULL};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll_fd < 0 || event_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &wake) != 0) {
        if (epoll_fd >= 0) {
            close(epoll_fd);
        }
        if (event_fd >= 0) {
            close(event_fd);
        }
        return LP2P_EIO;
    }
    poller->epoll_fd = epoll_fd;
    __atomic_store_n(&poller->event_fd, event_fd, __ATOMIC_RELEASE);
    return LP2P_OK;
}

static enum lp2p_err control(struct lp2p_driver *driver, int op, struct lp2p_watch *watch)
{
    struct epoll_event event = {.data.ptr = watch,
                                .events = (watch->interest & LP2P_READABLE ? (uint32_t)EPOLLIN : 0u) |
                                          (watch->interest & LP2P_WRITABLE ? (uint32_t)EPOLLOUT : 0u)};
    return epoll_ctl(driver->poller.epoll_fd, op, watch->fd, &event) == 0 ? LP2P_OK : LP2P_EIO;
}

enum lp2p_err lp2p_poller_add(struct lp2p_driver *driver, struct lp2p_watch *watch)
{
    if (!driver->rt->config.simulated) {
        if (driver->poller.epoll_fd < 0 && open_fds(&driver->poller) != LP2P_OK) {
            return LP2P_EIO;
        }
        if (control(driver, EPOLL_CTL_ADD, watch) != LP2P_OK) {
            return LP2P_EIO;
        }
    }
    driver->poller.watches++;
    return LP2P_OK;
}

enum lp2p_err lp2p_poller_change(struct lp2p_driver *driver, struct lp2p_watch *watch)
{
    return driver->rt->config.simulated ? LP2P_OK : control(driver, EPOLL_CTL_MOD, watch);
}

void lp2p_poller_remove(struct lp2p_driver *driver, struct lp2p_watch *watch)
{
    if (!driver->rt->config.simulated) {
        /* Fails when the descriptor was closed first: the kernel has then forgotten it already. */
        epoll_ctl(driver->poller.epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    }
    driver->poller.watches--;
}
