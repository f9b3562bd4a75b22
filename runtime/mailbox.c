/* SPDX-License-Identifier: MIT */
#include "runtime/mailbox.h"

#include "runtime/control.h"
#include "runtime/driver.h"
#include "runtime/registry.h"

#if defined(LP2P_TSAN)
/* ThreadSanitizer does not see concurrencykit's assembly: the same two operations on the same struct. */
static void push(ck_stack_t *stack, ck_stack_entry_t *entry)
{
    ck_stack_entry_t *head = __atomic_load_n(&stack->head, __ATOMIC_RELAXED);
    do {
        entry->next = head;
    } while (!__atomic_compare_exchange_n(&stack->head, &head, entry, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static ck_stack_entry_t *take_all(ck_stack_t *stack)
{
    return __atomic_exchange_n(&stack->head, NULL, __ATOMIC_ACQUIRE);
}
#else
static void push(ck_stack_t *stack, ck_stack_entry_t *entry)
{
    ck_stack_push_upmc(stack, entry);
}

static ck_stack_entry_t *take_all(ck_stack_t *stack)
{
    return ck_stack_batch_pop_upmc(stack);
}
#endif

static enum lp2p_err reserve_place(struct lp2p_slot *slot, const struct lp2p_msg *msg)
{
    uint32_t *depth = &slot->depth[msg->cls->lane];
    if (__atomic_fetch_add(depth, 1, __ATOMIC_RELAXED) >=
        __atomic_load_n(&slot->lane_max, __ATOMIC_RELAXED)) {
        __atomic_fetch_sub(depth, 1, __ATOMIC_RELAXED);
        return LP2P_EFULL;
    }
    if (msg->bytes > 0) {
        __atomic_fetch_add(&slot->waiting_bytes, msg->bytes, __ATOMIC_RELAXED);
    }
    return LP2P_OK;
}

enum lp2p_err lp2p_mail_send(struct lp2p_rt *rt, struct lp2p_ref to, struct lp2p_msg **msg, bool *woke)
{
    struct lp2p_slot *slot = lp2p_slot_get(rt, to.slot);
    /* An actor may end between this look and the push: the message then meets another generation and is
     * dropped. */
    if (slot == NULL || !lp2p_slot_accepts(slot, to.gen)) {
        return LP2P_EGONE;
    }
    if (!lp2p_msg_unbounded((*msg)->cls)) {
        enum lp2p_err err = reserve_place(slot, *msg);
        if (err != LP2P_OK) {
            return err;
        }
    }
    struct lp2p_msg *taken = *msg;
    *msg = NULL;
    taken->to = to;
    push(&slot->inbox, &taken->link);
    bool paid = lp2p_slot_notify(slot);
    if (woke != NULL) {
        *woke = paid;
    }
    return LP2P_OK;
}

/* Sends without asking for a place: there is one such message for each request at the most, and requests had places. */
static void deliver_anyway(struct lp2p_rt *rt, struct lp2p_msg **msg)
{
    struct lp2p_msg *answer = *msg;
    struct lp2p_slot *slot = lp2p_slot_get(rt, answer->to.slot);
    if (slot == NULL || !lp2p_slot_accepts(slot, answer->to.gen)) {
        lp2p_msg_drop(msg);
        return;
    }
    *msg = NULL;
    if (!lp2p_msg_unbounded(answer->cls)) {
        __atomic_fetch_add(&slot->depth[answer->cls->lane], 1, __ATOMIC_RELAXED);
        if (answer->bytes > 0) {
            __atomic_fetch_add(&slot->waiting_bytes, answer->bytes, __ATOMIC_RELAXED);
        }
    }
    push(&slot->inbox, &answer->link);
    lp2p_slot_notify(slot);
}

void lp2p_mail_unread(struct lp2p_rt *rt, struct lp2p_msg **msg, enum lp2p_err why)
{
    struct lp2p_msg *answer = (*msg)->cls->unread == NULL ? NULL : (*msg)->cls->unread(msg, why);
    lp2p_msg_drop(msg);
    if (answer != NULL) {
        deliver_anyway(rt, &answer);
    }
}

struct lp2p_msg *lp2p_mail_take(struct lp2p_slot *slot)
{
    ck_stack_entry_t *entry = NULL, *oldest = NULL;
    if (__atomic_load_n(&slot->inbox.head, __ATOMIC_RELAXED) != NULL) {
        entry = take_all(&slot->inbox);
    }
    while (entry != NULL) {
        ck_stack_entry_t *next = entry->next;
        entry->next = oldest;
        oldest = entry;
        entry = next;
    }
    return (struct lp2p_msg *)(void *)oldest;
}

void lp2p_mail_uncount(struct lp2p_slot *slot, const struct lp2p_msg *msg)
{
    if (!lp2p_msg_unbounded(msg->cls)) {
        __atomic_fetch_sub(&slot->depth[msg->cls->lane], 1, __ATOMIC_RELAXED);
        if (msg->bytes > 0) {
            __atomic_fetch_sub(&slot->waiting_bytes, msg->bytes, __ATOMIC_RELAXED);
        }
    }
}

void lp2p_lane_push(struct lp2p_slot *slot, struct lp2p_msg *msg)
{
    struct lp2p_lane_queue *lane = &slot->lanes[msg->cls->lane];
    msg->link.next = NULL;
    if (lane->tail == NULL) {
        lane->head = msg;
    } else {
        lane->tail->link.next = &msg->link;
    }
    lane->tail = msg;
    lane->len++;
}

struct lp2p_msg *lp2p_lane_pop(struct lp2p_slot *slot, enum lp2p_lane which)
{
    struct lp2p_lane_queue *lane = &slot->lanes[which];
    struct lp2p_msg *msg = lane->head;
    if (msg != NULL) {
        lane->head = lp2p_mail_next(msg);
        lane->len--;
        if (lane->head == NULL) {
            lane->tail = NULL;
        }
        lp2p_mail_uncount(slot, msg);
    }
    return msg;
}
