/* SPDX-License-Identifier: MIT
 * What an actor does with the verdict "full": keep the message, in order, and try again. One outbox belongs to one actor and
 * uses one of its timers. While an outbox is not empty its owner should stop taking in work (lp2p_outbox_blocked). */
#ifndef LP2P_ACTORS_OUTBOX_H
#define LP2P_ACTORS_OUTBOX_H

#include "base/list.h"
#include "runtime/actor.h"

struct lp2p_outbox {
    struct lp2p_msg *first, *last; /* waiting messages, oldest first; linked by their mailbox links */
    size_t len, max;
    unsigned timer;
    uint64_t wait_ns; /* until the next try; grows while nothing gets through */
    uint64_t dropped; /* beyond max */
};
/** `timer` is reserved for the outbox; when it fires call lp2p_outbox_retry. max: messages kept at the most. */
void lp2p_outbox_init(struct lp2p_outbox *outbox, unsigned timer, size_t max);
void lp2p_outbox_fini(struct lp2p_outbox *outbox); /* drops what waits */
/** The same for who passes on what others wait for: they get the answer of an unread request instead (runtime/message.h). */
void lp2p_outbox_end(struct lp2p_actor *self, struct lp2p_outbox *outbox);
/** Sends, or keeps the message if the receiver is full (or earlier ones to the same receiver wait). Takes *msg in every
 *  case; to a receiver that is gone it is dropped (EGONE). ELIMIT: the outbox is full, the message was dropped and counted.
 *  OK: it will be delivered; a request whose receiver ends first is answered as unread. */
enum lp2p_err lp2p_outbox_send(struct lp2p_actor *self, struct lp2p_outbox *outbox, struct lp2p_ref to, struct lp2p_msg **msg);
/** The same, but on failure too a request is answered as unread: for what somebody else waits for. */
enum lp2p_err lp2p_outbox_pass(struct lp2p_actor *self, struct lp2p_outbox *outbox, struct lp2p_ref to, struct lp2p_msg **msg);
/** Tries again what waits; order per receiver is kept. */
void lp2p_outbox_retry(struct lp2p_actor *self, struct lp2p_outbox *outbox);
static inline int lp2p_outbox_blocked(const struct lp2p_outbox *outbox)
{
    return outbox->len > 0;
}

#endif
