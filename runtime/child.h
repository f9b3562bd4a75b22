/* SPDX-License-Identifier: MIT
 * A child as its supervisor sees it, and the copy of its spec. Records belong to the supervisor's thread once its
 * SPAWNED notice has arrived; infos are counted and constant. */
#ifndef LP2P_RUNTIME_CHILD_H
#define LP2P_RUNTIME_CHILD_H

#include "runtime/internal.h"

/** A copy of the spec under the id; NULL when memory is short. */
struct lp2p_child_info *lp2p_child_info_new(const struct lp2p_child_spec *spec, const char *id);
/** Drops the reference in *info and nulls it; with the last one a TEMPORARY child's untaken arg is released. */
void lp2p_child_info_unref(struct lp2p_child_info **info);
static inline struct lp2p_child_info *lp2p_child_info_ref(struct lp2p_child_info *info)
{
    __atomic_fetch_add(&info->refs, 1, __ATOMIC_RELAXED);
    return info;
}

static inline bool lp2p_is_supervisor(const struct lp2p_child_info *info)
{
    return info->spec.ops == &lp2p_supervisor_ops;
}

enum lp2p_child_state {
    LP2P_CHILD_IDLE,     /* no body: not started yet, or ended for good */
    LP2P_CHILD_STARTING, /* init has not answered */
    LP2P_CHILD_UP,
    LP2P_CHILD_STOPPING, /* asked to end */
};

struct lp2p_child {
    struct lp2p_list link; /* of the supervisor: statics in start order, or dynamics */
    struct lp2p_child_info *info;
    struct lp2p_slot *slot; /* NULL: a static resident spec, whose instances are among the dynamics */
    enum lp2p_child_state state;
    uint32_t gen;          /* of the last start */
    lp2p_time deadline;    /* STOPPING */
    unsigned waiting;      /* resident spec: instances of the first start that are not up */
    bool is_static, placed; /* placed: attached to a thread */
    bool was_up;           /* since this supervisor started it */
    bool initial;          /* instance that a resident spec's first start waits for */
    bool forget;           /* asked to end for good (lp2p_stop) */
    bool killed;           /* the deadline has passed once */
    struct lp2p_child *resident_spec; /* instance of a static resident spec */
};

/** A record with its info (one reference taken over); NULL when memory is short. */
struct lp2p_child *lp2p_child_new(struct lp2p_child_info *info);
/** Frees the record and drops its reference to the info. */
void lp2p_child_free(struct lp2p_child *child);

#endif
