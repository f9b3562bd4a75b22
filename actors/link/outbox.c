/* SPDX-License-Identifier: MIT */
#include "actors/outbox.h"

#define RETRY_MIN_NS LP2P_MS(1)
#define RETRY_MAX_NS LP2P_MS(50)
#define BLOCKED_MAX 16 /* receivers told apart in one pass; beyond that all later ones wait for the next */

static struct lp2p_msg *next_of(const struct lp2p_msg *msg)
{
    /* `link` is the first member of every message, so the entry is the message. */
    return (struct lp2p_msg *)(void *)msg->link.next;
}

static void append(struct lp2p_outbox *outbox, struct lp2p_msg *msg)
{
    msg->link.next = NULL;
    if (outbox->last == NULL) {
        outbox->first = msg;
    } else {
        outbox->last->link.next = &msg->link;
    }
    outbox->last = msg;
    outbox->len++;
}

/** Order is kept for each receiver and lane, as a mailbox keeps it for each sender and lane. */
static bool same_way(const struct lp2p_msg *a, struct lp2p_ref to, const struct lp2p_msg_class *cls)
{
    return lp2p_ref_eq(a->to, to) && a->cls->lane == cls->lane;
}

static bool waits_behind(const struct lp2p_outbox *outbox, struct lp2p_ref to,
                         const struct lp2p_msg_class *cls)
{
    for (const struct lp2p_msg *it = outbox->first; it != NULL; it = next_of(it)) {
        if (same_way(it, to, cls)) {
            return true;
        }
    }
    return false;
}

void lp2p_outbox_init(struct lp2p_outbox *outbox, unsigned timer, size_t max)
{
    LP2P_CHECK(timer < LP2P_TIMERS_MAX);
    *outbox = (struct lp2p_outbox){.timer = timer, .max = max, .wait_ns = RETRY_MIN_NS};
}

void lp2p_outbox_fini(struct lp2p_outbox *outbox)
{
    while (outbox->first != NULL) {
        struct lp2p_msg *msg = outbox->first;
        outbox->first = next_of(msg);
        lp2p_msg_drop(&msg);
    }
    outbox->last = NULL;
    outbox->len = 0;
}

void lp2p_outbox_end(struct lp2p_actor *self, struct lp2p_outbox *outbox)
{
    while (outbox->first != NULL) {
        struct lp2p_msg *msg = outbox->first;
        outbox->first = next_of(msg);
        lp2p_unread(self, &msg, LP2P_ECLOSED);
    }
    lp2p_outbox_fini(outbox);
}

static void arm(struct lp2p_actor *self, struct lp2p_outbox *outbox)
{
    lp2p_timer_set(self, outbox->timer,
                   outbox->len == 0 ? LP2P_NEVER : lp2p_time_add(lp2p_now(self), outbox->wait_ns));
}

/** Sends or keeps; on failure the message is still the caller's. */
static enum lp2p_err send_or_keep(struct lp2p_actor *self, struct lp2p_outbox *outbox, struct lp2p_ref to,
                                  struct lp2p_msg **msg)
{
    if (outbox->len == 0 || !waits_behind(outbox, to, (*msg)->cls)) {
        enum lp2p_err err = lp2p_send(self, to, msg);
        if (err == LP2P_OK) {
            return LP2P_OK;
        }
        if (err != LP2P_EFULL) {
            return LP2P_EGONE;
        }
    }
    (*msg)->from = lp2p_self(self); /* who is answered, should it never be sent */
    (*msg)->to = to;
    if (outbox->len >= outbox->max) {
        outbox->dropped++;
        return LP2P_ELIMIT;
    }
    append(outbox, *msg);
    *msg = NULL;
    if (outbox->len == 1) {
        outbox->wait_ns = RETRY_MIN_NS;
        arm(self, outbox);
    }
    return LP2P_OK;
}

enum lp2p_err lp2p_outbox_send(struct lp2p_actor *self, struct lp2p_outbox *outbox, struct lp2p_ref to,
                               struct lp2p_msg **msg)
{
    enum lp2p_err err = send_or_keep(self, outbox, to, msg);
    lp2p_msg_drop(msg);
    return err;
}

enum lp2p_err lp2p_outbox_pass(struct lp2p_actor *self, struct lp2p_outbox *outbox, struct lp2p_ref to,
                               struct lp2p_msg **msg)
{
    enum lp2p_err err = send_or_keep(self, outbox, to, msg);
    if (err != LP2P_OK) {
        (*msg)->to = to;
        lp2p_unread(self, msg, err);
    }
    return err;
}

/** The ways that were found full in one pass over the waiting messages. */
struct blocked {
    const struct lp2p_msg *ways[BLOCKED_MAX];
    unsigned len;
};

static bool is_blocked(const struct blocked *blocked, const struct lp2p_msg *msg)
{
    for (unsigned i = 0; i < blocked->len; i++) {
        if (same_way(blocked->ways[i], msg->to, msg->cls)) {
            return true;
        }
    }
    return blocked->len == BLOCKED_MAX;
}

void lp2p_outbox_retry(struct lp2p_actor *self, struct lp2p_outbox *outbox)
{
    struct blocked blocked = {.len = 0};
    struct lp2p_msg *it = outbox->first;
    size_t before = outbox->len;
    outbox->first = outbox->last = NULL;
    outbox->len = 0;
    while (it != NULL) {
        struct lp2p_msg *msg = it;
        struct lp2p_ref to = msg->to;
        it = next_of(msg);
        if (!is_blocked(&blocked, msg)) {
            enum lp2p_err err = lp2p_send(self, to, &msg);
            if (err == LP2P_OK) {
                continue;
            }
            if (err != LP2P_EFULL) {
                lp2p_unread(self, &msg, LP2P_EGONE);
                continue;
            }
            msg->to = to;
            blocked.ways[blocked.len++] = msg;
        }
        append(outbox, msg);
    }
    /* A receiver whose handler blocks for minutes must not cost a thousand tries each second. */
    outbox->wait_ns = outbox->len < before ? RETRY_MIN_NS : LP2P_MIN(outbox->wait_ns * 2, RETRY_MAX_NS);
    arm(self, outbox);
}
