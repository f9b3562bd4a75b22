/* SPDX-License-Identifier: MIT */
#include "actors/api/gate.h"
#include "actors/api/op_private.h"
#include "actors/api/stream.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct lp2p_gate *lp2p_gate_new(void)
{
    struct lp2p_gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL) {
        return NULL;
    }
    gate->refs = 1;
    pthread_mutex_init(&gate->lock, NULL);
    lp2p_list_init(&gate->ops);
    lp2p_list_init(&gate->completions);
    lp2p_list_init(&gate->streams);
    lp2p_list_init(&gate->stalled);
    lp2p_list_init(&gate->leaving);
    return gate;
}

struct lp2p_gate *lp2p_gate_ref(struct lp2p_gate *gate)
{
    __atomic_fetch_add(&gate->refs, 1, __ATOMIC_RELAXED);
    return gate;
}

void lp2p_gate_drop(struct lp2p_gate *gate)
{
    /* The release pairs with the acquire of whoever drops the last reference. */
    if (gate != NULL && __atomic_sub_fetch(&gate->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        pthread_mutex_destroy(&gate->lock);
        free(gate);
    }
}

void lp2p_gate_open(struct lp2p_gate *gate, struct lp2p_rt *rt, const struct lp2p_names *names,
                    struct lp2p_ref registrar)
{
    gate->names = *names; /* nobody looks: the gate is shut */
    gate->registrar = registrar;
    __atomic_store_n(&gate->rt, rt, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&gate->lock);
    gate->state = LP2P_GATE_OPEN;
    pthread_mutex_unlock(&gate->lock);
}

void lp2p_gate_shut(struct lp2p_gate *gate, enum lp2p_err reason)
{
    __atomic_store_n(&gate->rt, NULL, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&gate->inside, __ATOMIC_SEQ_CST) != 0) {
        sched_yield(); /* nobody gets in any more, and nobody waits inside */
    }
    pthread_mutex_lock(&gate->lock);
    gate->state = LP2P_GATE_CLOSING;
    pthread_mutex_unlock(&gate->lock);
    lp2p_ops_finish_all(gate, reason);
    lp2p_streams_end_all(gate, reason);
}

void lp2p_gate_closed(struct lp2p_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->state = LP2P_GATE_SHUT;
    pthread_mutex_unlock(&gate->lock);
    lp2p_ops_complete(gate);
}

struct lp2p_rt *lp2p_gate_enter(struct lp2p_gate *gate)
{
    /* Pairs with lp2p_gate_shut: either it sees us inside, or we see that there is no runtime. */
    __atomic_fetch_add(&gate->inside, 1, __ATOMIC_SEQ_CST);
    struct lp2p_rt *rt = __atomic_load_n(&gate->rt, __ATOMIC_SEQ_CST);
    if (rt == NULL) {
        lp2p_gate_leave(gate);
    }
    return rt;
}

void lp2p_gate_leave(struct lp2p_gate *gate)
{
    __atomic_fetch_sub(&gate->inside, 1, __ATOMIC_SEQ_CST);
}

static struct lp2p_ref address_of(const struct lp2p_gate *gate, enum lp2p_gate_to to)
{
    switch (to) {
    case LP2P_TO_SWARM:
        return gate->names.swarm;
    case LP2P_TO_ROUTER:
        return gate->names.router;
    case LP2P_TO_RESOURCES:
        return gate->names.resources;
    case LP2P_TO_MESSAGES:
        return gate->names.messages;
    case LP2P_TO_NOTIFIER:
        return gate->names.notifier;
    case LP2P_TO_REGISTRAR:
        return gate->registrar;
    }
    return LP2P_REF_NONE;
}

enum lp2p_err lp2p_gate_post(struct lp2p_gate *gate, enum lp2p_gate_to to, struct lp2p_msg *msg)
{
    enum lp2p_err err = LP2P_ESTATE;
    struct lp2p_rt *rt = lp2p_gate_enter(gate);
    if (rt != NULL) {
        err = lp2p_post_inside(rt, address_of(gate, to), &msg);
        lp2p_gate_leave(gate);
    }
    lp2p_msg_drop(&msg);
    return err;
}

enum lp2p_err lp2p_gate_post_ref(struct lp2p_gate *gate, struct lp2p_ref to, struct lp2p_msg **msg)
{
    enum lp2p_err err = LP2P_ESTATE;
    struct lp2p_rt *rt = lp2p_gate_enter(gate);
    if (rt != NULL) {
        err = lp2p_post_inside(rt, to, msg);
        lp2p_gate_leave(gate);
    }
    return err;
}

uint64_t lp2p_gate_clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return LP2P_SEC(ts.tv_sec) + (uint64_t)ts.tv_nsec;
}

uint64_t lp2p_gate_wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

void lp2p_mutex_init(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
#if defined(__GLIBC__)
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_mutex_init(mutex, &attr);
    pthread_mutexattr_destroy(&attr);
}

void lp2p_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

enum lp2p_err lp2p_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline)
{
    if (deadline == LP2P_NEVER) {
        pthread_cond_wait(cond, lock);
        return LP2P_OK;
    }
    struct timespec ts = {.tv_sec = (time_t)(deadline / LP2P_SEC(1)),
                          .tv_nsec = (long)(deadline % LP2P_SEC(1))};
    return pthread_cond_timedwait(cond, lock, &ts) == ETIMEDOUT ? LP2P_ETIMEDOUT : LP2P_OK;
}

enum lp2p_err lp2p_bell_wait(struct lp2p_bell *bell, pthread_mutex_t *lock, uint64_t deadline)
{
    struct timespec until = {.tv_sec = (time_t)(deadline / LP2P_SEC(1)),
                             .tv_nsec = (long)(deadline % LP2P_SEC(1))};
    uint32_t rings = __atomic_load_n(&bell->rings, __ATOMIC_RELAXED);
    bell->waited = true;
    pthread_mutex_unlock(lock);
    long err = syscall(SYS_futex, &bell->rings, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, rings,
                       deadline == LP2P_NEVER ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    bool late = err != 0 && errno == ETIMEDOUT;
    pthread_mutex_lock(lock);
    return late ? LP2P_ETIMEDOUT : LP2P_OK;
}

bool lp2p_bell_take(struct lp2p_bell *bell)
{
    if (!bell->due) {
        return false;
    }
    bell->due = bell->waited = false;
    __atomic_add_fetch(&bell->rings, 1, __ATOMIC_RELAXED);
    return true;
}

void lp2p_bell_wake(struct lp2p_bell *bell)
{
    syscall(SYS_futex, &bell->rings, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
}

uint64_t lp2p_deadline_after_ms(int timeout_ms)
{
    return timeout_ms < 0 ? LP2P_NEVER : lp2p_gate_clock_ns() + LP2P_MS(timeout_ms);
}

int lp2p_signal_fd_new(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void lp2p_signal_fd_set(int fd)
{
    if (fd >= 0) {
        /* Cannot fail but for a counter that is full, and then the descriptor is readable anyway. */
        (void)!write(fd, &(uint64_t){1}, sizeof(uint64_t));
    }
}

void lp2p_signal_fd_clear(int fd)
{
    uint64_t count;
    if (fd >= 0) {
        (void)!read(fd, &count, sizeof(count));
    }
}
