/* SPDX-License-Identifier: MIT
 * The supervisor's state, shared by its two halves: supervisor.c (the actor and its states) and sup_children.c (what
 * happens to one child). Serving thread of the supervisor. */
#ifndef LP2P_RUNTIME_SUP_H
#define LP2P_RUNTIME_SUP_H

#include "runtime/child.h"
#include "runtime/control.h"

#define LP2P_SUP_MAGIC LP2P_MAGIC('s', 'u', 'p', 'v')
#define LP2P_RESTARTS_LIMIT 65535u /* of restarts_max */

enum lp2p_sup_state { LP2P_SUP_IS_STARTING, LP2P_SUP_IS_RUNNING, LP2P_SUP_IS_STOPPING };
enum { LP2P_SUP_TIMER_PUMP, LP2P_SUP_TIMER_DEADLINE, LP2P_SUP_TIMER_STALL };

struct lp2p_sup {
    uint32_t magic;
    enum lp2p_sup_state state;
    struct lp2p_actor *self;
    const struct lp2p_sup_spec *spec;
    struct lp2p_list statics, dynamics; /* struct lp2p_child, in start order */
    size_t plain_dynamics;              /* dynamics that belong to no static resident spec */
    struct lp2p_list *cursor;           /* STARTING: the static child that is next or starting */
    enum lp2p_verdict end_as;           /* STOPPING */
    lp2p_time *restarts;                /* ring of the last restarts_max + 1 restarts */
    size_t restarts_len, restarts_next;
    size_t stopping; /* children in CHILD_STOPPING; with none the deadline timer is off */
    unsigned stall_ms_min; /* of all children that have one; 0: none */
};

void lp2p_sup_emit(struct lp2p_sup *sup, enum lp2p_sup_event_kind kind, const struct lp2p_child *child, enum lp2p_err reason);
/** Leaves STARTING or RUNNING for STOPPING; dynamic children are asked to end at once. */
void lp2p_sup_begin_stop(struct lp2p_sup *sup, enum lp2p_verdict end_as);
/** The first start of a static child failed: the supervisor cannot come up, and reports why when it has ended. */
void lp2p_sup_cannot_start(struct lp2p_sup *sup, enum lp2p_err err, struct lp2p_child_info *failed);
/** An injected failure: STOPPING, to end with FAIL. */
enum lp2p_verdict lp2p_sup_fail(struct lp2p_actor *self, void *state);

/* sup_children.c */
/** Begins a start; the child is then STARTING. */
enum lp2p_err lp2p_child_start(struct lp2p_sup *sup, struct lp2p_child *child);
void lp2p_child_ask_stop(struct lp2p_sup *sup, struct lp2p_child *child);
void lp2p_child_adopt(struct lp2p_sup *sup, struct lp2p_child *child, bool initial);
void lp2p_child_started(struct lp2p_sup *sup, struct lp2p_child *child);
void lp2p_child_ended(struct lp2p_sup *sup, struct lp2p_child *child, const struct lp2p_notice *notice);
/** lp2p_stop: ends the child for good. */
void lp2p_child_forget(struct lp2p_sup *sup, struct lp2p_child *child);
/** Deadlines of children that were asked to end; stalled handlers. Set their timers anew. */
void lp2p_children_check_deadlines(struct lp2p_sup *sup);
void lp2p_children_check_stalls(struct lp2p_sup *sup);

/** Takes a slot away from a thread that does not come back from a handler (condemn.c): a new generation, a new seat, no
 *  body; who monitors is told. stall_ns 0: also when no handler runs. False: not now. Supervisor's thread. */
bool lp2p_slot_condemn(struct lp2p_rt *rt, struct lp2p_slot *slot, uint64_t stall_ns, lp2p_time now);

#endif
