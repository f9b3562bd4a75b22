/* SPDX-License-Identifier: MIT
 * Supervision with OTP semantics: child specs, one_for_one, restart intensity within a period, escalation.
 *
 * A supervisor is itself an actor. It starts its children in order and stops them in reverse, each within its deadline.
 * A restarted child keeps its slot (address with gen 0) and gets a new generation, a new mailbox and fresh state. */
#ifndef LP2P_RUNTIME_SUPERVISOR_H
#define LP2P_RUNTIME_SUPERVISOR_H

#include "runtime/actor.h"

#include <stdbool.h>

/** PERMANENT: restarted whenever it ends. TRANSIENT: only when it failed. TEMPORARY: never; forgotten when it ends. */
enum lp2p_restart { LP2P_PERMANENT, LP2P_TRANSIENT, LP2P_TEMPORARY };

/** Where an actor runs. In a simulated runtime every placement is the one simulated thread. */
enum lp2p_place {
    LP2P_PLACE_OWN,      /* a pthread for this actor alone */
    LP2P_PLACE_GROUP,    /* one of the threads of `group`, the least loaded (or a new one: see lp2p_group_config) */
    LP2P_PLACE_WITH,     /* the thread of the actor `with`; with a group placement this is how pairs stay together */
    LP2P_PLACE_RESIDENT, /* one instance on each thread of `group`; on threads that start later, when it is first asked for */
};

struct lp2p_placement {
    enum lp2p_place place;
    unsigned group;       /* index of the group in lp2p_rt_config; GROUP and RESIDENT */
    struct lp2p_ref with; /* WITH */
    unsigned resident;    /* RESIDENT: index by which lp2p_resident finds the instance, below LP2P_RESIDENTS_MAX */
};
#define LP2P_RESIDENTS_MAX 16

struct lp2p_child_spec {
    const char *id; /* unique under its supervisor; copied */
    const struct lp2p_actor_ops *ops;
    const void *arg; /* passed to every init. PERMANENT and TRANSIENT: borrowed, must outlive the child.
                        TEMPORARY: owned by the spec once spawned; init may take it over, and if init never ran
                        arg_drop is called (NULL: nothing to release) */
    void (*arg_drop)(void *arg);
    enum lp2p_restart restart;
    struct lp2p_placement placement;
    unsigned mailbox_max; /* places in the normal lane; 0: 1024. The urgent lane has as many again */
    unsigned stack_kib;   /* OWN: 0: 128 */
    unsigned shutdown_ms; /* 0: 5000; for a supervisor: no limit of its own */
    unsigned stall_ms;    /* a handler that runs longer is a failure (OWN only); 0: never */
};

struct lp2p_sup_spec {
    unsigned restarts_max; /* more than this many restarts within period_ms: stop all children and fail, upwards */
    unsigned period_ms;
    const struct lp2p_child_spec *children; /* static children, in start order; borrowed */
    size_t children_len;
    unsigned dynamic_max; /* children by lp2p_spawn at one time; 0: none */
};

/** The ops of every supervisor; arg of the child spec is a `const struct lp2p_sup_spec *`. */
extern const struct lp2p_actor_ops lp2p_supervisor_ops;

/** What supervisors do, as one log: for operators, and for the tests that compare it with a model. */
enum lp2p_sup_event_kind {
    LP2P_SUP_STARTED,   /* child is up */
    LP2P_SUP_START_FAILED, /* its init failed */
    LP2P_SUP_ENDED,     /* child ended; reason OK or EFAILED */
    LP2P_SUP_RESTARTED, /* child is up again, generation is new */
    LP2P_SUP_GAVE_UP,   /* intensity exceeded: this supervisor stops its children and fails */
    LP2P_SUP_STOPPING,  /* child was asked to end */
    LP2P_SUP_ABANDONED, /* child did not end by its deadline, or stalled: its slot is condemned and counted */
};
struct lp2p_sup_event {
    enum lp2p_sup_event_kind kind;
    lp2p_time when;
    const char *supervisor, *child; /* ids; valid during the call */
    struct lp2p_ref ref;            /* the child, with generation */
    enum lp2p_err reason;
};
const char *lp2p_sup_event_name(enum lp2p_sup_event_kind kind);

#endif
