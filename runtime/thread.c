/* SPDX-License-Identifier: MIT */
#include "runtime/driver.h"

#include "runtime/poller.h"
#include "runtime/pool.h"
#include "runtime/root.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_FACTOR 4u /* sanitizers make frames larger */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define STACK_FACTOR 4u
#endif
#endif
#ifndef STACK_FACTOR
#define STACK_FACTOR 1u
#endif
#define STACK_MARGIN 1024u /* bytes below a frame that it may be using */

static void fill_buffer(struct lp2p_driver *driver)
{
    size_t have = 0;
    while (have < sizeof(driver->rand_bytes)) {
        ssize_t got = getrandom(driver->rand_bytes + have, sizeof(driver->rand_bytes) - have, 0);
        LP2P_CHECK(got > 0 || errno == EINTR); /* without randomness no key is safe: nothing may go on */
        have += got > 0 ? (size_t)got : 0;
    }
    driver->rand_left = sizeof(driver->rand_bytes);
}

/* The kernel's randomness, read 64 bytes at a time; what was given out is wiped here. */
static void fill_random(void *ctx, void *out, size_t len)
{
    struct lp2p_driver *driver = ctx;
    uint8_t *to = out;
    while (len > 0) {
        if (driver->rand_left == 0) {
            fill_buffer(driver);
        }
        size_t n = LP2P_MIN(len, driver->rand_left);
        uint8_t *from = driver->rand_bytes + sizeof(driver->rand_bytes) - driver->rand_left;
        memcpy(to, from, n);
        explicit_bzero(from, n);
        driver->rand_left -= n;
        to += n;
        len -= n;
    }
}

void lp2p_driver_init(struct lp2p_driver *driver, struct lp2p_rt *rt)
{
    *driver = (struct lp2p_driver){.rt = rt, .group = LP2P_GROUP_NONE};
    driver->rand = (struct lp2p_rand){fill_random, driver};
    lp2p_heap_init(&driver->timers);
    lp2p_poller_init(&driver->poller);
    lp2p_list_init(&driver->bodies);
}

void lp2p_driver_fini(struct lp2p_driver *driver)
{
    lp2p_poller_fini(&driver->poller);
    lp2p_heap_fini(&driver->timers);
    explicit_bzero(driver->rand_bytes, sizeof(driver->rand_bytes));
    driver->rand_left = 0;
}

/* Ends of threads form a chain: each joins the one that ended before it, lp2p_rt_stop joins the last. So a
 * thread that has ended holds its memory no longer than until the next one ends. */
static void leave_chain(struct lp2p_driver *driver)
{
    struct lp2p_rt *rt = driver->rt;
    struct lp2p_driver *before = NULL;
    pthread_mutex_lock(&rt->lock);
    driver->state = LP2P_DRIVER_EXITED;
    unsigned left = __atomic_sub_fetch(&rt->threads, 1, __ATOMIC_RELAXED);
    bool left_behind = rt->leaked;
    if (!left_behind) {
        before = rt->zombie;
        rt->zombie = driver;
        pthread_cond_broadcast(&rt->changed);
    }
    pthread_mutex_unlock(&rt->lock);
    if (left_behind && left == 0) {
        lp2p_rt_free(rt); /* lp2p_rt_stop has returned long ago */
        lp2p_pool_thread_flush();
    }
    if (before != NULL) {
        LP2P_CHECK(pthread_join(before->thread, NULL) == 0);
        pthread_mutex_lock(&rt->lock);
        before->state = LP2P_DRIVER_FREE;
        pthread_mutex_unlock(&rt->lock);
    }
}

static uintptr_t lowest_of_stack(void)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        (void)pthread_attr_getstack(&attr, &low, &size);
        pthread_attr_destroy(&attr);
    }
    return (uintptr_t)low;
}

/* Nothing above the frame minus the margin is touched: there lie the frames of this call and of what it calls. */
void __attribute__((noinline)) lp2p_driver_trim_stack(struct lp2p_driver *driver)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - STACK_MARGIN) & ~(page - 1);
    if (driver->stack_low == 0) {
        driver->stack_low = lowest_of_stack();
    }
    if (driver->stack_low != 0 && driver->stack_low < end) {
        (void)madvise((void *)driver->stack_low, end - driver->stack_low, MADV_DONTNEED); // NOLINT: an address
    }
}

static void *thread_main(void *arg)
{
    struct lp2p_driver *driver = arg;
    /* The lock is held until the driver is complete. */
    pthread_mutex_lock(&driver->rt->lock);
    pthread_setname_np(pthread_self(), driver->name);
    pthread_mutex_unlock(&driver->rt->lock);
    lp2p_driver_loop(driver);
    lp2p_driver_fini(driver);
    lp2p_pool_thread_flush();
    leave_chain(driver);
    return NULL;
}

static int create_thread(struct lp2p_driver *driver, unsigned stack_kib)
{
    pthread_attr_t attr;
    sigset_t all, before;
    size_t stack = (size_t)(stack_kib == 0 ? LP2P_STACK_KIB_DEFAULT : stack_kib) * 1024 * STACK_FACTOR;
    int err = pthread_attr_init(&attr);
    if (err != 0) {
        return err;
    }
    err = pthread_attr_setstacksize(&attr, LP2P_MAX(stack, (size_t)PTHREAD_STACK_MIN));
    if (err == 0) {
        /* The runtime's threads take no signals: the new thread inherits a full mask. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        err = pthread_create(&driver->thread, &attr, thread_main, driver);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attr);
    return err;
}

static struct lp2p_driver *take_free(struct lp2p_rt *rt)
{
    LP2P_LIST_FOREACH (it, &rt->drivers) {
        struct lp2p_driver *driver = LP2P_LIST_ENTRY(it, struct lp2p_driver, link);
        if (driver->state == LP2P_DRIVER_FREE) {
            return driver;
        }
    }
    struct lp2p_driver *driver = calloc(1, sizeof(*driver));
    if (driver != NULL) {
        lp2p_driver_init(driver, rt);
        driver->ready = LP2P_READY_CLOSED;
        lp2p_list_push_back(&rt->drivers, &driver->link);
    }
    return driver;
}

struct lp2p_driver *lp2p_driver_start_locked(struct lp2p_rt *rt, enum lp2p_driver_kind kind, unsigned group,
                                             unsigned number, const char *name, unsigned stack_kib,
                                             enum lp2p_err *err)
{
    struct lp2p_driver *driver = take_free(rt);
    if (driver == NULL) {
        *err = LP2P_ENOMEM;
        return NULL;
    }
    /* Atomics one by one: a sender with an old address may look at a recycled driver at any time. */
    driver->kind = kind;
    driver->group = group;
    driver->number = number;
    driver->attached = driver->users = 0;
    driver->closing = false;
    for (unsigned i = 0; i < LP2P_RESIDENTS_MAX; i++) {
        __atomic_store_n(&driver->residents[i], 0, __ATOMIC_RELEASE);
    }
    driver->stack_due = 0;
    driver->stack_low = 0;
    driver->state = LP2P_DRIVER_RUNNING;
    memset(driver->name, 0, sizeof(driver->name));
    memcpy(driver->name, name, strnlen(name, sizeof(driver->name) - 1));
    __atomic_store_n(&driver->quit, 0, __ATOMIC_RELEASE);
    if (create_thread(driver, stack_kib) != 0) {
        driver->state = LP2P_DRIVER_FREE;
        *err = LP2P_EIO;
        return NULL;
    }
    /* Only now, while the thread waits for the lock: what a sender with an old address puts there must find somebody. */
    __atomic_store_n(&driver->ready, NULL, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&rt->threads, 1, __ATOMIC_RELAXED);
    return driver;
}
