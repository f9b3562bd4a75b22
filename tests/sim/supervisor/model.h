/* SPDX-License-Identifier: MIT
 * What supervisors ought to do, written down a second time: synchronous, recursive, without messages, slots or threads.
 * The test compares the event log of the runtime with the one that this model produces. */
#ifndef LP2P_TESTS_SIM_SUPERVISOR_MODEL_H
#define LP2P_TESTS_SIM_SUPERVISOR_MODEL_H

#include "fixture.h"

#define NODES_MAX 64
#define CHILDREN_MAX 5

struct node {
    char id[16];
    struct node *parent; /* NULL: the root */
    enum lp2p_restart restart;
    bool supervisor, dynamic;
    bool up, was_up; /* was_up: since its supervisor has started it */
    bool gone;       /* dynamic: ended for good; static: until its supervisor starts again */
    /* a supervisor's */
    unsigned restarts_max, period_ms, dynamic_max;
    struct node *children[CHILDREN_MAX];
    size_t children_len;
    lp2p_time restarts[256];
    size_t restarts_len;
    /* an actor's */
    bool stubborn; /* does not end when asked to */
    unsigned shutdown_ms;
    struct puppet puppet; /* the runtime's actor; its fail_inits is not the model's */
    unsigned fail_inits;
    struct lp2p_ref ref; /* dynamic: its address in the runtime */
};

struct model {
    struct node nodes[NODES_MAX]; /* nodes[0] is the root; dynamic ones behind the static ones, in the order of their start */
    size_t nodes_len;
    lp2p_time now;
    bool root_failed;
    struct event events[EVENTS_MAX];
    size_t events_len;
};

/** The first start of everything; false when it fails (and everything has ended again). */
bool model_start(struct model *model);
/** An actor ends by itself; or an actor or supervisor is made to fail. */
void model_end(struct model *model, struct node *node, enum lp2p_err reason);
void model_fail_supervisor(struct model *model, struct node *node);
/** lp2p_stop. */
void model_forget(struct model *model, struct node *node);
/** A dynamic child has been added behind the others: starts it. */
void model_spawn(struct model *model, struct node *node);
/** lp2p_rt_stop. */
void model_stop(struct model *model);
unsigned model_dynamics(const struct model *model, const struct node *sup);

#endif
