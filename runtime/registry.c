/* SPDX-License-Identifier: MIT */
#include "runtime/registry.h"

#include "runtime/child.h"
#include "runtime/control.h"
#include "runtime/driver.h"
#include "runtime/group.h"
#include "runtime/mailbox.h"
#include "runtime/root.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

struct lp2p_slot *lp2p_slot_get(struct lp2p_rt *rt, uint32_t index)
{
    if (index == 0 || index >= __atomic_load_n(&rt->slots_len, __ATOMIC_ACQUIRE)) {
        return NULL;
    }
    struct lp2p_slot *chunk = __atomic_load_n(&rt->chunks[index / LP2P_SLOTS_CHUNK], __ATOMIC_ACQUIRE);
    return &chunk[index % LP2P_SLOTS_CHUNK];
}

static struct lp2p_slot *first_use_locked(struct lp2p_rt *rt)
{
    uint32_t index = rt->slots_len;
    if (index > rt->config.actors_max) {
        return NULL;
    }
    struct lp2p_slot *chunk = rt->chunks[index / LP2P_SLOTS_CHUNK];
    if (chunk == NULL) {
        chunk = calloc(LP2P_SLOTS_CHUNK, sizeof(*chunk));
        if (chunk == NULL) {
            return NULL;
        }
        __atomic_store_n(&rt->chunks[index / LP2P_SLOTS_CHUNK], chunk, __ATOMIC_RELEASE);
    }
    struct lp2p_slot *slot = &chunk[index % LP2P_SLOTS_CHUNK];
    slot->index = index;
    slot->gen = 1;
    slot->first_seat.slot = slot;
    slot->first_seat.driver = rt->janitor;
    slot->seat = &slot->first_seat;
    lp2p_list_init(&slot->watchers);
    /* Publishes the slot: pairs with the acquire in lp2p_slot_get. */
    __atomic_store_n(&rt->slots_len, index + 1, __ATOMIC_RELEASE);
    return slot;
}

struct lp2p_slot *lp2p_slot_alloc_locked(struct lp2p_rt *rt)
{
    struct lp2p_slot *slot = rt->free_slots;
    if (slot == NULL) {
        return first_use_locked(rt);
    }
    rt->free_slots = slot->free_next;
    if (rt->free_slots == NULL) {
        rt->free_slots_tail = NULL;
    }
    slot->free_next = NULL;
    __atomic_store_n(&slot->stats.restarts, 0, __ATOMIC_RELAXED);
    return slot;
}

void lp2p_slot_free_locked(struct lp2p_rt *rt, struct lp2p_slot *slot)
{
    /* First in, first out: a slot rests as long as possible before its number names someone else. */
    if (rt->free_slots_tail == NULL) {
        rt->free_slots = slot;
    } else {
        rt->free_slots_tail->free_next = slot;
    }
    rt->free_slots_tail = slot;
}

void lp2p_slot_next_gen(struct lp2p_slot *slot)
{
    uint32_t gen = __atomic_load_n(&slot->gen, __ATOMIC_RELAXED) + 1;
    __atomic_store_n(&slot->gen, gen == 0 ? 1 : gen, __ATOMIC_RELEASE);
}

bool lp2p_slot_notify(struct lp2p_slot *slot)
{
    bool woke = false;
    for (;;) {
        struct lp2p_seat *seat = __atomic_load_n(&slot->seat, __ATOMIC_SEQ_CST);
        woke |= lp2p_seat_schedule(seat);
        /* A slot may get a new seat meanwhile (condemn.c); who made it looks into the mailbox after
         * publishing it, so either that look sees our message or this second look sees the new seat. */
        if (__atomic_load_n(&slot->seat, __ATOMIC_SEQ_CST) == seat) {
            return woke;
        }
    }
}

void lp2p_slot_ask(struct lp2p_slot *slot, uint32_t bits)
{
    __atomic_fetch_or(&slot->ctl, bits, __ATOMIC_SEQ_CST);
    lp2p_slot_notify(slot);
}

static void drop_stale(struct lp2p_rt *rt, struct lp2p_msg *msg)
{
    if (!lp2p_msg_unbounded(msg->cls)) {
        __atomic_fetch_add(&rt->stale_msgs, 1, __ATOMIC_RELAXED);
    }
    lp2p_mail_unread(rt, &msg, LP2P_EGONE);
}

void lp2p_slot_drain(struct lp2p_rt *rt, struct lp2p_slot *slot)
{
    struct lp2p_msg *msg;
    /* All into the lanes first: requests that come back to wait for the next generation keep their order, and lie in the
     * inbox, where nothing of this call looks again. */
    for (struct lp2p_msg *next = lp2p_mail_take(slot); (msg = next) != NULL;) {
        next = lp2p_mail_next(msg);
        if (msg->cls == &lp2p_monitor_class) {
            lp2p_monitor_fire(rt, (struct lp2p_ctl_monitor *)(void *)msg, LP2P_EGONE);
        } else {
            lp2p_lane_push(slot, msg);
        }
    }
    for (int lane = LP2P_LANE_URGENT; lane >= LP2P_LANE_NORMAL; lane--) {
        while ((msg = lp2p_lane_pop(slot, (enum lp2p_lane)lane)) != NULL) {
            drop_stale(rt, msg);
        }
    }
}

void lp2p_slot_label(struct lp2p_slot *slot, const char *id, const char *kind, const char *thread)
{
    union {
        uint64_t words[LP2P_LABEL_WORDS];
        char text[LP2P_LABEL_WORDS * 8];
    } labels = {{0}};
    memcpy(labels.text, id, strnlen(id, 39));
    memcpy(labels.text + 40, kind, strnlen(kind, 15));
    memcpy(labels.text + 56, thread, strnlen(thread, 15));
    uint32_t seq = __atomic_load_n(&slot->label_seq, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->label_seq, seq + 1, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < LP2P_LABEL_WORDS; i++) {
        __atomic_store_n(&slot->labels[i], labels.words[i], __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(&slot->label_seq, seq + 2, __ATOMIC_SEQ_CST);
}

/* Makes the caller the only one who serves the seat. The other side is in the tail of a turn. */
static void hold_seat(struct lp2p_seat *seat)
{
    uint64_t idle = LP2P_RUN_IDLE;
    while (!__atomic_compare_exchange_n(&seat->run, &idle, LP2P_RUN_TURN, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
        LP2P_CHECK(idle != LP2P_RUN_CONDEMNED);
        idle = LP2P_RUN_IDLE;
        sched_yield();
    }
}

static void forget_statics(struct lp2p_rt *rt, struct lp2p_slot *slot)
{
    for (size_t i = 0; i < slot->statics_len; i++) {
        if (slot->statics[i] != 0) {
            lp2p_slot_vacate(rt, lp2p_slot_get(rt, slot->statics[i]), LP2P_VACATE_FREE);
        }
    }
    free(slot->statics);
    slot->statics = NULL;
    slot->statics_len = 0;
}

void lp2p_slot_vacate(struct lp2p_rt *rt, struct lp2p_slot *slot, enum lp2p_vacate how)
{
    struct lp2p_seat *seat = __atomic_load_n(&slot->seat, __ATOMIC_ACQUIRE);
    hold_seat(seat);
    LP2P_CHECK(seat->body == NULL);
    __atomic_store_n(&slot->open, 0, __ATOMIC_RELEASE);
    lp2p_slot_next_gen(slot);
    lp2p_slot_drain(rt, slot);
    __atomic_store_n(&slot->ctl, 0, __ATOMIC_RELEASE);
    lp2p_msg_drop(&slot->started_msg);
    lp2p_msg_drop(&slot->ended_msg);
    lp2p_msg_drop(&slot->retire_msg);
    bool resident = slot->resident;
    if (how == LP2P_VACATE_FREE) {
        forget_statics(rt, slot);
        lp2p_name_remove(rt, slot->index);
        lp2p_child_info_unref(&slot->info);
        __atomic_store_n(&slot->sup, 0, __ATOMIC_RELEASE);
        slot->child = NULL;
        slot->resident = false;
    }
    pthread_mutex_lock(&rt->lock);
    struct lp2p_driver *left = slot->attached ? seat->driver : NULL;
    slot->attached = false;
    __atomic_store_n(&seat->driver, rt->janitor, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&rt->lock);
    __atomic_store_n(&seat->run, LP2P_RUN_IDLE, __ATOMIC_RELEASE);
    if (left != NULL) {
        lp2p_driver_detach(rt, left, slot->index, resident);
    }
    if (how == LP2P_VACATE_FREE) {
        pthread_mutex_lock(&rt->lock);
        lp2p_slot_free_locked(rt, slot);
        pthread_mutex_unlock(&rt->lock);
    }
}

enum lp2p_err lp2p_name_add(struct lp2p_rt *rt, const char *id, uint32_t slot)
{
    size_t len = strlen(id) + 1;
    struct lp2p_name *name = calloc(1, sizeof(*name) + len);
    if (name == NULL) {
        return LP2P_ENOMEM;
    }
    memcpy(name->id, id, len);
    name->slot = slot;
    pthread_mutex_lock(&rt->lock);
    lp2p_list_push_back(&rt->names, &name->link);
    pthread_mutex_unlock(&rt->lock);
    return LP2P_OK;
}

void lp2p_name_remove(struct lp2p_rt *rt, uint32_t slot)
{
    pthread_mutex_lock(&rt->lock);
    LP2P_LIST_FOREACH_SAFE (it, &rt->names) {
        struct lp2p_name *name = LP2P_LIST_ENTRY(it, struct lp2p_name, link);
        if (name->slot == slot) {
            lp2p_list_remove(it);
            free(name);
        }
    }
    pthread_mutex_unlock(&rt->lock);
}

struct lp2p_ref lp2p_whereis(struct lp2p_rt *rt, const char *id)
{
    struct lp2p_ref found = LP2P_REF_NONE;
    if (!lp2p_rt_enter(rt)) {
        return found;
    }
    pthread_mutex_lock(&rt->lock);
    LP2P_LIST_FOREACH (it, &rt->names) {
        struct lp2p_name *name = LP2P_LIST_ENTRY(it, struct lp2p_name, link);
        if (strcmp(name->id, id) == 0) {
            found.slot = name->slot;
            break;
        }
    }
    pthread_mutex_unlock(&rt->lock);
    lp2p_rt_leave(rt);
    return found;
}

void lp2p_registry_fini(struct lp2p_rt *rt)
{
    for (uint32_t index = 1; index < rt->slots_len; index++) {
        struct lp2p_slot *slot = lp2p_slot_get(rt, index);
        slot->open = 0;
        lp2p_slot_drain(rt, slot);
        lp2p_msg_drop(&slot->started_msg);
        lp2p_msg_drop(&slot->ended_msg);
        lp2p_msg_drop(&slot->retire_msg);
        lp2p_child_info_unref(&slot->info);
        free(slot->statics);
        slot->statics = NULL;
    }
    while (!lp2p_list_empty(&rt->names)) {
        free(LP2P_LIST_ENTRY(lp2p_list_pop_front(&rt->names), struct lp2p_name, link));
    }
    for (uint32_t i = 0; i <= rt->config.actors_max / LP2P_SLOTS_CHUNK; i++) {
        free(rt->chunks[i]);
    }
    free(rt->chunks);
}
