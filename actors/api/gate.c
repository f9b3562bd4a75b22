/* SPDX-License-Identifier: MIT */
#include "actors/api/gate.h"
#include "actors/api/op_private.h"
#include "actors/api/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct lp2p_gate *lp2p_gate_new(void)
{
    struct lp2p_gate *gate = calloc(1, sizeof(*gate));
    if (gate == NULL) {
        return NULL;
    }
    gate->refs = 1;
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
#if defined(__GLIBC__)
    /* Otherwise threads that post all the time could keep stop waiting for ever. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
    pthread_rwlock_init(&gate->rt_lock, &attr);
    pthread_rwlockattr_destroy(&attr);
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
        pthread_rwlock_destroy(&gate->rt_lock);
        pthread_mutex_destroy(&gate->lock);
        free(gate);
    }
}

void lp2p_gate_open(struct lp2p_gate *gate, struct lp2p_rt *rt, const struct lp2p_names *names,
                    struct lp2p_ref registrar)
{
    pthread_rwlock_wrlock(&gate->rt_lock);
    gate->names = *names;
    gate->registrar = registrar;
    gate->rt = rt;
    pthread_rwlock_unlock(&gate->rt_lock);
    pthread_mutex_lock(&gate->lock);
    gate->state = LP2P_GATE_OPEN;
    pthread_mutex_unlock(&gate->lock);
}

void lp2p_gate_shut(struct lp2p_gate *gate, enum lp2p_err reason)
{
    pthread_rwlock_wrlock(&gate->rt_lock);
    gate->rt = NULL;
    pthread_rwlock_unlock(&gate->rt_lock);
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
    pthread_rwlock_rdlock(&gate->rt_lock);
    if (gate->rt != NULL) {
        err = lp2p_post(gate->rt, address_of(gate, to), &msg);
    }
    pthread_rwlock_unlock(&gate->rt_lock);
    lp2p_msg_drop(&msg);
    return err;
}

enum lp2p_err lp2p_gate_post_ref(struct lp2p_gate *gate, struct lp2p_ref to, struct lp2p_msg **msg)
{
    enum lp2p_err err = LP2P_ESTATE;
    pthread_rwlock_rdlock(&gate->rt_lock);
    if (gate->rt != NULL) {
        err = lp2p_post(gate->rt, to, msg);
    }
    pthread_rwlock_unlock(&gate->rt_lock);
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
