/* SPDX-License-Identifier: MIT */
#include "runtime/control.h"

#include "runtime/child.h"
#include "runtime/mailbox.h"
#include "runtime/registry.h"

/* What a notice holds, and what it does when its supervisor has ended before it read it: the child is an orphan. SPAWNED: end
 * it; its ENDED will not find the supervisor either. ENDED: give its slot back. */
static void notice_undelivered(struct lp2p_msg *msg)
{
    struct lp2p_notice *notice = (struct lp2p_notice *)(void *)msg;
    struct lp2p_rt *rt = notice->rt;
    lp2p_child_info_unref(&notice->failed);
    if (rt == NULL) {
        return;
    }
    notice->rt = NULL;
    struct lp2p_slot *slot = lp2p_slot_get(rt, notice->who.slot);
    if (notice->kind == LP2P_NOTICE_SPAWNED) {
        lp2p_child_free(notice->child);
        struct lp2p_slot *sup = lp2p_slot_get(rt, msg->to.slot);
        if (sup != NULL && !slot->resident) {
            __atomic_fetch_sub(&sup->dynamic_count, 1, __ATOMIC_RELAXED);
        }
        lp2p_slot_ask(slot, LP2P_CTL_KILL);
    } else if (notice->kind == LP2P_NOTICE_ENDED && __atomic_load_n(&rt->quitting, __ATOMIC_ACQUIRE) == 0) {
        lp2p_slot_vacate(rt, slot, LP2P_VACATE_FREE);
    }
}

const struct lp2p_msg_class lp2p_notice_class = {"NOTICE", sizeof(struct lp2p_notice), LP2P_LANE_URGENT,
                                                 notice_undelivered, NULL};
const struct lp2p_msg_class lp2p_monitor_class = {"MONITOR", sizeof(struct lp2p_ctl_monitor),
                                                  LP2P_LANE_URGENT, NULL, NULL};
const struct lp2p_msg_class lp2p_demonitor_class = {"DEMONITOR", sizeof(struct lp2p_ctl_monitor),
                                                    LP2P_LANE_URGENT, NULL, NULL};

struct lp2p_notice *lp2p_notice_new(enum lp2p_notice_kind kind)
{
    struct lp2p_notice *notice = (struct lp2p_notice *)(void *)lp2p_msg_new(&lp2p_notice_class);
    if (notice != NULL) {
        notice->kind = kind;
    }
    return notice;
}

void lp2p_monitor_fire(struct lp2p_rt *rt, struct lp2p_ctl_monitor *monitor, enum lp2p_err reason)
{
    struct lp2p_msg *msg = &monitor->down.msg;
    struct lp2p_ref watcher = msg->from;
    lp2p_list_remove(&monitor->link);
    /* The memory is that of the larger monitor; DOWN is its beginning and comes from the same size of the
     * pool. */
    msg->cls = &LP2P_MSG_DOWN;
    msg->from = LP2P_REF_NONE;
    monitor->down.reason = reason;
    if (lp2p_mail_send(rt, watcher, &msg, NULL) != LP2P_OK) {
        lp2p_msg_drop(&msg);
    }
}
