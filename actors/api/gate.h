/* SPDX-License-Identifier: MIT
 * The boundary between the user's threads and the node's actors. A gate is shared by a node, its operations
 * and its stream handles, and outlives the node as long as one of them does, so that a handle freed late is
 * harmless.
 *
 * The runtime is used between lp2p_gate_enter and lp2p_gate_leave, which count who is inside; shutting the
 * gate waits until nobody is. `lock` guards the lists; the lock of an operation or a stream may be taken
 * under it, never the other way round. All are held for a few instructions only, so an actor that finishes an
 * operation is not kept waiting by a user's thread. */
#ifndef LP2P_API_GATE_H
#define LP2P_API_GATE_H

#include "actors/context.h"
#include "base/list.h"

#include <pthread.h>

#define LP2P_OPS_MAX 65536     /* operations that run at one time */
#define LP2P_STREAMS_MAX 16384 /* stream handles of the user at one time */

/** CLOSING: nothing gets in any more, the actors are still being stopped; what completes waits for the
 * stopping thread. */
enum lp2p_gate_state { LP2P_GATE_SHUT, LP2P_GATE_OPEN, LP2P_GATE_CLOSING };

struct lp2p_gate {
    uint32_t refs;      /* atomic */
    uint32_t inside;    /* atomic; who uses rt at the moment */
    struct lp2p_rt *rt; /* atomic; NULL: shut; nothing can be posted */
    pthread_mutex_t lock;
    enum lp2p_gate_state state;
    struct lp2p_list ops;         /* running operations (lp2p_op.running) */
    struct lp2p_list completions; /* finished ones whose callback is to be called (lp2p_op.completing) */
    struct lp2p_list streams;     /* all stream handles (lp2p_stream.all) */
    struct lp2p_list stalled;     /* handles with something to retry (lp2p_stream.stalled) */
    struct lp2p_list
        leaving; /* handles freed by the user while the peer's half is open (lp2p_stream.leaving) */
    unsigned ops_len, streams_len;
    struct lp2p_names names; /* of the runtime behind the gate */
    struct lp2p_ref registrar;
};

struct lp2p_gate *lp2p_gate_new(void);
struct lp2p_gate *lp2p_gate_ref(struct lp2p_gate *gate);
void lp2p_gate_drop(struct lp2p_gate *gate);

void lp2p_gate_open(struct lp2p_gate *gate, struct lp2p_rt *rt, const struct lp2p_names *names,
                    struct lp2p_ref registrar);
/** Afterwards no thread is inside the runtime through this gate, and none gets in. Finishes all running
 * operations and ends all streams with `reason`. The state is CLOSING until lp2p_gate_closed. Idempotent. */
void lp2p_gate_shut(struct lp2p_gate *gate, enum lp2p_err reason);
/** The actors are gone: calls the completions that are left, on this thread. */
void lp2p_gate_closed(struct lp2p_gate *gate);

/** The runtime, which stays until lp2p_gate_leave; NULL: the node is not running (and there is nothing to
 * leave). Whoever is inside must not wait. */
struct lp2p_rt *lp2p_gate_enter(struct lp2p_gate *gate);
void lp2p_gate_leave(struct lp2p_gate *gate);

/** Who a message is for: an address looked up while the gate is held, because a restarted node has other
 * addresses. */
enum lp2p_gate_to {
    LP2P_TO_SWARM,
    LP2P_TO_ROUTER,
    LP2P_TO_RESOURCES,
    LP2P_TO_MESSAGES,
    LP2P_TO_NOTIFIER,
    LP2P_TO_REGISTRAR
};
/** Posts and takes *msg in every case (dropped on failure). ESTATE: the node is not running. EFULL, EGONE. */
enum lp2p_err lp2p_gate_post(struct lp2p_gate *gate, enum lp2p_gate_to to,
                             struct lp2p_msg *msg) LP2P_MUST_CHECK;
/** The same to an exact address; on failure *msg is still the caller's. */
enum lp2p_err lp2p_gate_post_ref(struct lp2p_gate *gate, struct lp2p_ref to,
                                 struct lp2p_msg **msg) LP2P_MUST_CHECK;

/** Monotonic clock for waiting; the actors have their own. */
uint64_t lp2p_gate_clock_ns(void);
/** Milliseconds since 1970. */
uint64_t lp2p_gate_wall_ms(void);
/** A lock that is held for a few instructions at a time: who finds it taken looks again before it sleeps. */
void lp2p_mutex_init(pthread_mutex_t *mutex);
/** A condition that waits by that clock. */
void lp2p_cond_init(pthread_cond_t *cond);
/** Waits until signaled or until `deadline` (ns of that clock; LP2P_NEVER: no deadline). ETIMEDOUT when it
 * has passed. */
enum lp2p_err lp2p_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline);
/** now + timeout_ms; LP2P_NEVER for a negative one. */
uint64_t lp2p_deadline_after_ms(int timeout_ms);

/** What one kind of waiter sleeps on, guarded by a lock of its owner. A ring without a waiter costs nothing,
 * and the waker wakes when it has left the lock: a condition would let the woken thread run into it. Zeroed
 * is ready. */
struct lp2p_bell {
    uint32_t rings; /* atomic; the futex */
    bool waited;    /* someone waits */
    bool due;       /* rung: to be woken after the lock */
};
/** Gives the lock up until the bell rings or `deadline` (as lp2p_cond_wait_until). ETIMEDOUT; may return
 * early. */
enum lp2p_err lp2p_bell_wait(struct lp2p_bell *bell, pthread_mutex_t *lock, uint64_t deadline);
/** With the lock. */
static inline void lp2p_bell_ring(struct lp2p_bell *bell)
{
    bell->due = bell->due || bell->waited;
}
/** With the lock: true when lp2p_bell_wake has to follow without it. */
bool lp2p_bell_take(struct lp2p_bell *bell);
void lp2p_bell_wake(struct lp2p_bell *bell);

/* A descriptor that is readable while something is so (an eventfd). */
int lp2p_signal_fd_new(void); /* -1: none could be made */
void lp2p_signal_fd_set(int fd);
void lp2p_signal_fd_clear(int fd);

#endif
