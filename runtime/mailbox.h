/* SPDX-License-Identifier: MIT
 * The mailbox of a slot: a multi-producer stack that the serving thread takes whole, reverses, and sorts into two
 * bounded FIFO lanes. Senders never wait; the depth counters of the lanes are the bound. */
#ifndef LP2P_RUNTIME_MAILBOX_H
#define LP2P_RUNTIME_MAILBOX_H

#include "runtime/internal.h"

/** Puts *msg into the mailbox of `to` and has its thread look at it; nulls *msg. EGONE, EFULL: *msg stays the caller's.
 *  *woke (may be NULL) is set when a sleeping thread had to be woken. Any thread. */
enum lp2p_err lp2p_mail_send(struct lp2p_rt *rt, struct lp2p_ref to, struct lp2p_msg **msg, bool *woke);
/** Drops a message that its receiver will not read, and sends what its class has for who waits. Nulls *msg. Any thread. */
void lp2p_mail_unread(struct lp2p_rt *rt, struct lp2p_msg **msg, enum lp2p_err why);

/** Everything that arrived since the last call, oldest first, linked through msg->link. Serving thread. */
struct lp2p_msg *lp2p_mail_take(struct lp2p_slot *slot);
static inline struct lp2p_msg *lp2p_mail_next(const struct lp2p_msg *msg)
{
    return (struct lp2p_msg *)(void *)msg->link.next;
}

/** Appends to the message's lane; the oldest of a lane or NULL (its place is then free again). Serving thread. */
void lp2p_lane_push(struct lp2p_slot *slot, struct lp2p_msg *msg);
struct lp2p_msg *lp2p_lane_pop(struct lp2p_slot *slot, enum lp2p_lane lane);
/** Gives the place of a message back that was taken out of the inbox without going through a lane. */
void lp2p_mail_uncount(struct lp2p_slot *slot, const struct lp2p_msg *msg);

#endif
