/* SPDX-License-Identifier: MIT
 * What the runtime's tests share: gates that a test waits on (real threads block, a simulated runtime is stepped), and a
 * log of what the supervisors did. */
#ifndef LP2P_TESTS_RUNTIME_FIXTURE_H
#define LP2P_TESTS_RUNTIME_FIXTURE_H

#include "runtime/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>

/** A counter that actors raise and the test waits for. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t raised;
    unsigned count;
};
#define GATE_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}
void gate_raise(struct gate *gate);
unsigned gate_count(struct gate *gate);
/** Waits until the gate was raised `count` times; a test that hangs here for a minute fails. */
void gate_wait(struct gate *gate, unsigned count);

#define EVENTS_MAX 4096
struct event {
    enum lp2p_sup_event_kind kind;
    char supervisor[24], child[24];
    struct lp2p_ref ref;
    enum lp2p_err reason;
    lp2p_time when;
};

/** A runtime under test with the log of its supervisors. */
struct fixture {
    struct lp2p_rt *rt;
    struct lp2p_rt_config config;
    struct lp2p_sup_spec sup;
    struct lp2p_child_spec root;
    pthread_mutex_t lock;
    struct event events[EVENTS_MAX];
    size_t events_len;
    struct gate event_gate, root_failed;
    char failed_id[64];
};

/** A root supervisor "root" over those children, 3 restarts in 5 s; fields may be changed before fixture_start. */
void fixture_init(struct fixture *fixture, const struct lp2p_child_spec *children, size_t children_len);
enum lp2p_err fixture_start(struct fixture *fixture);
/** Stops; returns the number of abandoned actors. */
unsigned fixture_stop(struct fixture *fixture);
/** Waits for the gate, stepping a simulated runtime. */
void fixture_wait(struct fixture *fixture, struct gate *gate, unsigned count);
/** Number of events of that kind about that child (NULL: any). */
unsigned fixture_events(struct fixture *fixture, enum lp2p_sup_event_kind kind, const char *child);
/** Waits until there are that many. */
void fixture_wait_event(struct fixture *fixture, enum lp2p_sup_event_kind kind, const char *child, unsigned count);
/** "root/a started, root/b started, ..." of all events, into out. */
void fixture_log(struct fixture *fixture, char *out, size_t cap);

/* A puppet: an actor whose every step is a function of the test, sent to it as a message. */
typedef enum lp2p_verdict (*puppet_fn)(struct lp2p_actor *self, void *arg);
struct puppet_do {
    struct lp2p_msg msg;
    puppet_fn fn;
    void *arg;
    struct gate *done; /* raised after fn; NULL: not */
};
extern const struct lp2p_msg_class PUPPET_DO, PUPPET_DO_URGENT;

/** The arg of a puppet's spec: what it does by itself and what it counts (atomics). NULL is allowed. */
struct puppet {
    unsigned fail_inits;      /* so many of the next inits fail */
    bool keeps_running;       /* on_stop answers CONTINUE; a later function ends it */
    unsigned inits, finis, stops, downs;
    enum lp2p_verdict fini_why;
    enum lp2p_err down_reason;
    struct lp2p_ref down_who;
    struct gate *gate; /* raised at each init, fini, stop and down; NULL: none */
    enum lp2p_verdict (*on_timer)(struct lp2p_actor *self, void *puppet, unsigned timer);
    enum lp2p_verdict (*on_fd)(struct lp2p_actor *self, void *puppet, int fd, unsigned ready);
};
extern const struct lp2p_actor_ops puppet_ops;

/** Makes an actor run fn(self, arg) and waits until it has. */
void fixture_do(struct fixture *fixture, struct lp2p_ref who, puppet_fn fn, void *arg);
/** As fixture_do without waiting; false when the actor has ended. */
bool fixture_post(struct fixture *fixture, struct lp2p_ref who, puppet_fn fn, void *arg, struct gate *done);
/** Functions for it. */
enum lp2p_verdict puppet_stop(struct lp2p_actor *self, void *arg);
enum lp2p_verdict puppet_fail(struct lp2p_actor *self, void *arg);
/** Waits in the handler until the gate *arg was raised once: a handler that blocks. */
enum lp2p_verdict puppet_block(struct lp2p_actor *self, void *arg);
/** arg is two gates: raises the first, then waits for the second. */
enum lp2p_verdict puppet_tell_and_block(struct lp2p_actor *self, void *arg);
/** lp2p_stop of the static child whose id is arg. */
enum lp2p_verdict puppet_stop_other(struct lp2p_actor *self, void *arg);
enum lp2p_verdict puppet_nothing(struct lp2p_actor *self, void *arg);

#endif
