/* SPDX-License-Identifier: MIT
 * Messages of the runtime itself: notices to supervisors, and monitors. They are never refused for want of room. */
#ifndef LP2P_RUNTIME_CONTROL_H
#define LP2P_RUNTIME_CONTROL_H

#include "runtime/internal.h"

/** STARTED, ENDED: child -> its supervisor. SPAWNED: who spawned -> supervisor. STOP_CHILD: anyone -> supervisor. */
enum lp2p_notice_kind { LP2P_NOTICE_STARTED, LP2P_NOTICE_ENDED, LP2P_NOTICE_SPAWNED, LP2P_NOTICE_STOP_CHILD };

struct lp2p_notice {
    struct lp2p_msg msg;
    struct lp2p_rt *rt; /* set while an undelivered notice has consequences: its drop then acts */
    struct lp2p_ref who;
    enum lp2p_notice_kind kind;
    enum lp2p_err reason;
    bool never_started; /* ENDED: init failed, or the tree below never came up */
    bool initial;       /* SPAWNED: resident instance that the first start of its spec waits for */
    struct lp2p_child *child; /* SPAWNED: the record, given to the supervisor */
    struct lp2p_child_info *failed; /* ENDED with never_started: whose init failed; one reference */
};
/** Each slot holds one or two of them as long as its actor lives: they fit the smallest size of the pool. */
_Static_assert(sizeof(struct lp2p_notice) <= 96, "a notice is small");
extern const struct lp2p_msg_class lp2p_notice_class;

/** A monitor travels to the monitored slot, waits there, and comes back as the LP2P_MSG_DOWN: no memory is needed when
 *  an actor ends. */
struct lp2p_ctl_monitor {
    struct lp2p_msg_down down;
    struct lp2p_list link;
};
extern const struct lp2p_msg_class lp2p_monitor_class, lp2p_demonitor_class;

/** Whether messages of this class are neither counted nor bounded by the lanes. */
static inline bool lp2p_msg_unbounded(const struct lp2p_msg_class *cls)
{
    return cls == &LP2P_MSG_DOWN || cls == &lp2p_notice_class || cls == &lp2p_monitor_class || cls == &lp2p_demonitor_class;
}

/** NULL when memory is short. */
struct lp2p_notice *lp2p_notice_new(enum lp2p_notice_kind kind);

/** Turns a monitor into the DOWN it stands for and sends it; frees it when its watcher has ended. */
void lp2p_monitor_fire(struct lp2p_rt *rt, struct lp2p_ctl_monitor *monitor, enum lp2p_err reason);

#endif
