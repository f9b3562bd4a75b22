/* SPDX-License-Identifier: MIT
 * Messages: the only way in which actors touch each other.
 *
 * A message is a struct whose first member is `struct lp2p_msg`. It is owned by exactly one holder at a time: who made
 * it, the mailbox it lies in, or the handler it was given to. A call that takes `struct lp2p_msg **` nulls the pointer
 * when it took the message; otherwise the message is still the caller's. Nobody frees what another can still see. */
#ifndef LP2P_RUNTIME_MESSAGE_H
#define LP2P_RUNTIME_MESSAGE_H

#include "base/check.h"
#include "base/err.h"

#include <ck_stack.h>
#include <stdint.h>

/** Weak address of an actor, by value. A stale one is refused (LP2P_EGONE). gen 0 means "whoever holds this slot now":
 *  the address of a named (permanent or transient) child, which outlives restarts. {0,0} is no address. */
struct lp2p_ref {
    uint32_t slot, gen;
};
#define LP2P_REF_NONE ((struct lp2p_ref){0, 0})

static inline int lp2p_ref_eq(struct lp2p_ref a, struct lp2p_ref b)
{
    return a.slot == b.slot && a.gen == b.gen;
}

/** Two bounded lanes in each mailbox: urgent is served first and keeps a reserve of places, so that replies and credits
 *  get through when the normal lane is full (cycles of senders cannot deadlock). Order holds per sender and lane. */
enum lp2p_lane { LP2P_LANE_NORMAL, LP2P_LANE_URGENT };

struct lp2p_msg;

/** One constant object for each kind of message; its address is the identity of the kind. */
struct lp2p_msg_class {
    const char *name; /* "STREAM_DATA": commands imperative, events past tense */
    uint32_t size;    /* sizeof the whole message struct, at most LP2P_MSG_SIZE_MAX */
    enum lp2p_lane lane;
    void (*drop)(struct lp2p_msg *msg); /* releases what the message holds (not itself); NULL: holds nothing */
    /** For requests, whose sender waits: what is sent in place of one that its receiver will not read, because it has ended
     *  (why: EGONE) or because the message could not even be kept for it (another error). Either an answer, with `to` and
     *  `tag` set, or, by nulling *msg, the message itself: to a named address it then waits for the next generation. NULL:
     *  nothing (also without memory). The runtime delivers it whatever waits in the receiver's lanes, drops it when that
     *  one has ended too, and drops what is left in *msg. Called on any thread: it may use nothing but the message. */
    struct lp2p_msg *(*unread)(struct lp2p_msg **msg, enum lp2p_err why);
};
#define LP2P_MSG_SIZE_MAX 1024

struct lp2p_msg {
    ck_stack_entry_t link; /* the mailbox's */
    const struct lp2p_msg_class *cls;
    struct lp2p_ref to, from; /* set by send; from is LP2P_REF_NONE when a foreign thread posted it */
    uint64_t tag;             /* the sender's; a reply carries the tag of its request */
    uint32_t bytes;           /* payload bytes that the message keeps alive, for accounting; 0 if none */
};

/** A zeroed message of the class from the calling thread's pool; any thread. NULL when memory is short. */
struct lp2p_msg *lp2p_msg_new(const struct lp2p_msg_class *cls);
/** Drops what *msg holds and returns it to the pool; nulls *msg, which may be NULL. Any thread. */
void lp2p_msg_drop(struct lp2p_msg **msg);

/** Checked cast: the message as `struct type *`; a wrong class is a bug and ends the process. */
#define LP2P_MSG_AS(msg, cls_ptr, type) (LP2P_CHECK_CLASS(msg, cls_ptr), (struct type *)(void *)(msg))
#define LP2P_CHECK_CLASS(msg, cls_ptr) \
    ((msg)->cls == (cls_ptr) ? (void)0 : lp2p_check_failed(__FILE__, __LINE__, "message class is " #cls_ptr))

/** Sent by the runtime to who monitors an actor, when that actor has ended. */
struct lp2p_msg_down {
    struct lp2p_msg msg;
    struct lp2p_ref who; /* the ref that was monitored, as given to lp2p_monitor */
    enum lp2p_err reason; /* OK: stopped normally; EFAILED: failed; EGONE: was gone already */
};
extern const struct lp2p_msg_class LP2P_MSG_DOWN;

#endif
