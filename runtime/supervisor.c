/* SPDX-License-Identifier: MIT */
#include "runtime/supervisor.h"

#include "runtime/body.h"
#include "runtime/group.h"
#include "runtime/registry.h"
#include "runtime/spawn.h"
#include "runtime/sup.h"

#include <stdlib.h>
#include <string.h>

const char *lp2p_sup_event_name(enum lp2p_sup_event_kind kind)
{
    switch (kind) {
    case LP2P_SUP_STARTED:
        return "started";
    case LP2P_SUP_START_FAILED:
        return "start failed";
    case LP2P_SUP_ENDED:
        return "ended";
    case LP2P_SUP_RESTARTED:
        return "restarted";
    case LP2P_SUP_GAVE_UP:
        return "gave up";
    case LP2P_SUP_STOPPING:
        return "stopping";
    case LP2P_SUP_ABANDONED:
        return "abandoned";
    }
    return "unknown";
}

void lp2p_sup_emit(struct lp2p_sup *sup, enum lp2p_sup_event_kind kind, const struct lp2p_child *child,
                   enum lp2p_err reason)
{
    const struct lp2p_rt_config *config = &sup->self->rt->config;
    if (config->on_sup_event != NULL) {
        struct lp2p_sup_event event = {.kind = kind,
                                       .when = lp2p_now(sup->self),
                                       .supervisor = lp2p_actor_id(sup->self),
                                       .child = child->info->id,
                                       .reason = reason,
                                       .ref = {child->slot == NULL ? 0 : child->slot->index, child->gen}};
        config->on_sup_event(config->user, &event);
    }
}

void lp2p_sup_begin_stop(struct lp2p_sup *sup, enum lp2p_verdict end_as)
{
    if (sup->state == LP2P_SUP_IS_STOPPING) {
        sup->end_as = end_as == LP2P_FAIL ? LP2P_FAIL : sup->end_as;
        return;
    }
    sup->state = LP2P_SUP_IS_STOPPING;
    sup->end_as = end_as;
    __atomic_store_n(&sup->self->slot->spawn_open, 0, __ATOMIC_RELEASE);
    lp2p_residents_unregister(sup->self->rt, sup->self->ref);
    for (struct lp2p_list *it = sup->dynamics.prev; it != &sup->dynamics; it = it->prev) {
        struct lp2p_child *child = LP2P_LIST_ENTRY(it, struct lp2p_child, link);
        if (child->resident_spec == NULL) {
            lp2p_child_ask_stop(sup, child);
        }
    }
}

void lp2p_sup_cannot_start(struct lp2p_sup *sup, enum lp2p_err err, struct lp2p_child_info *failed)
{
    struct lp2p_notice *notice = LP2P_MSG_AS(sup->self->slot->ended_msg, &lp2p_notice_class, lp2p_notice);
    notice->reason = err;
    if (failed != NULL) {
        lp2p_child_info_unref(&notice->failed);
        notice->failed = lp2p_child_info_ref(failed);
    }
    lp2p_sup_begin_stop(sup, LP2P_FAIL);
}

static void start_next(struct lp2p_sup *sup)
{
    while (sup->state == LP2P_SUP_IS_STARTING && sup->cursor != &sup->statics) {
        struct lp2p_child *child = LP2P_LIST_ENTRY(sup->cursor, struct lp2p_child, link);
        if (child->state == LP2P_CHILD_IDLE && !child->forget) {
            enum lp2p_err err = lp2p_child_start(sup, child);
            if (err != LP2P_OK) {
                lp2p_sup_emit(sup, LP2P_SUP_START_FAILED, child, err);
                lp2p_sup_cannot_start(sup, err, child->info);
                return;
            }
        }
        if (child->state == LP2P_CHILD_STARTING) {
            return;
        }
        sup->cursor = sup->cursor->next;
    }
    if (sup->state == LP2P_SUP_IS_STARTING) {
        sup->state = LP2P_SUP_IS_RUNNING;
        lp2p_body_report_started(sup->self);
    }
}

/* Asks the instances of a static resident spec to end; true when none is left. */
static bool stop_instances(struct lp2p_sup *sup, const struct lp2p_child *spec)
{
    bool none = true;
    for (struct lp2p_list *it = sup->dynamics.prev; it != &sup->dynamics; it = it->prev) {
        struct lp2p_child *child = LP2P_LIST_ENTRY(it, struct lp2p_child, link);
        if (child->resident_spec == spec) {
            none = false;
            lp2p_child_ask_stop(sup, child);
        }
    }
    return none;
}

/* One step of the ordered end: the dynamics together, then the statics one by one in reverse. True when all
 * have ended. */
static bool stop_next(struct lp2p_sup *sup)
{
    if (sup->plain_dynamics > 0) {
        return false;
    }
    for (struct lp2p_list *it = sup->statics.prev; it != &sup->statics; it = it->prev) {
        struct lp2p_child *child = LP2P_LIST_ENTRY(it, struct lp2p_child, link);
        if (child->slot == NULL) {
            if (!stop_instances(sup, child)) {
                return false;
            }
        } else if (child->state != LP2P_CHILD_IDLE) {
            lp2p_child_ask_stop(sup, child);
            return false;
        }
    }
    return true;
}

static enum lp2p_verdict pump(struct lp2p_sup *sup)
{
    if (sup->state == LP2P_SUP_IS_STARTING) {
        start_next(sup);
    }
    if (sup->state == LP2P_SUP_IS_STOPPING && stop_next(sup)) {
        return sup->end_as;
    }
    return LP2P_CONTINUE;
}

enum lp2p_verdict lp2p_sup_fail(struct lp2p_actor *self, void *state)
{
    struct lp2p_sup *sup = state;
    LP2P_CHECK_MAGIC(sup, LP2P_SUP_MAGIC);
    LP2P_CHECK(sup->self == self);
    lp2p_sup_begin_stop(sup, LP2P_FAIL);
    return pump(sup);
}

static void free_children(struct lp2p_list *list)
{
    while (!lp2p_list_empty(list)) {
        lp2p_child_free(LP2P_LIST_ENTRY(list->next, struct lp2p_child, link));
    }
}

static void release(struct lp2p_sup *sup)
{
    __atomic_store_n(&sup->self->slot->spawn_open, 0, __ATOMIC_RELEASE);
    free_children(&sup->dynamics);
    free_children(&sup->statics);
    free(sup->restarts);
}

/* A static child keeps its slot over restarts of its supervisor: the first generation takes it, later ones
 * reopen it. */
static enum lp2p_err open_static(struct lp2p_sup *sup, struct lp2p_child *child, uint32_t *kept)
{
    struct lp2p_rt *rt = sup->self->rt;
    if (*kept == 0) {
        pthread_mutex_lock(&rt->lock);
        struct lp2p_slot *slot = lp2p_slot_alloc_locked(rt);
        pthread_mutex_unlock(&rt->lock);
        if (slot == NULL) {
            return LP2P_ELIMIT;
        }
        *kept = slot->index;
        if (lp2p_name_add(rt, child->info->id, slot->index) != LP2P_OK) {
            return LP2P_ENOMEM;
        }
    }
    child->slot = lp2p_slot_get(rt, *kept);
    lp2p_child_info_unref(&child->slot->info);
    child->slot->child = child;
    lp2p_slot_open(child->slot, child->info, sup->self->ref);
    return LP2P_OK;
}

static enum lp2p_err add_static(struct lp2p_sup *sup, const struct lp2p_child_spec *spec, uint32_t *kept)
{
    if (spec->id == NULL || spec->ops == NULL ||
        (spec->restart == LP2P_TEMPORARY && spec->placement.place == LP2P_PLACE_RESIDENT)) {
        return LP2P_EINVAL;
    }
    struct lp2p_child_info *info = lp2p_child_info_new(spec, spec->id);
    struct lp2p_child *child = info == NULL ? NULL : lp2p_child_new(info);
    if (child == NULL) {
        lp2p_child_info_unref(&info);
        return LP2P_ENOMEM;
    }
    info->arg_taken = 1; /* the arg of a static child is borrowed, whatever its restart type */
    child->is_static = true;
    lp2p_list_push_back(&sup->statics, &child->link);
    return spec->placement.place == LP2P_PLACE_RESIDENT ? LP2P_OK : open_static(sup, child, kept);
}

static enum lp2p_err sup_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct lp2p_sup *sup = state;
    struct lp2p_slot *slot = self->slot;
    const struct lp2p_sup_spec *spec = arg;
    if (spec == NULL || spec->restarts_max > LP2P_RESTARTS_LIMIT ||
        spec->children_len > self->rt->config.actors_max) {
        return LP2P_EINVAL;
    }
    *sup = (struct lp2p_sup){.magic = LP2P_SUP_MAGIC, .self = self, .spec = spec, .end_as = LP2P_STOP};
    lp2p_list_init(&sup->statics);
    lp2p_list_init(&sup->dynamics);
    sup->restarts = calloc(spec->restarts_max + 1, sizeof(*sup->restarts));
    if (slot->statics == NULL && spec->children_len > 0) {
        slot->statics = calloc(spec->children_len, sizeof(*slot->statics));
        slot->statics_len = slot->statics == NULL ? 0 : spec->children_len;
    }
    if (sup->restarts == NULL || slot->statics_len != spec->children_len) {
        release(sup);
        return LP2P_ENOMEM;
    }
    for (size_t i = 0; i < spec->children_len; i++) {
        enum lp2p_err err = add_static(sup, &spec->children[i], &slot->statics[i]);
        if (err != LP2P_OK) {
            release(sup);
            return err;
        }
    }
    sup->cursor = sup->statics.next;
    __atomic_store_n(&slot->dynamic_max, spec->dynamic_max, __ATOMIC_RELAXED);
    __atomic_store_n(&slot->spawn_open, 1, __ATOMIC_RELEASE);
    lp2p_timer_set(self, LP2P_SUP_TIMER_PUMP, lp2p_now(self));
    return LP2P_OK;
}

/* The child that a notice is about; NULL when it is not ours, or was of an earlier generation. */
static struct lp2p_child *child_of(struct lp2p_sup *sup, struct lp2p_ref who)
{
    struct lp2p_slot *slot = lp2p_slot_get(sup->self->rt, who.slot);
    if (slot == NULL || __atomic_load_n(&slot->sup, __ATOMIC_ACQUIRE) != lp2p_ref_pack(sup->self->ref)) {
        return NULL;
    }
    struct lp2p_child *child = slot->child;
    return child != NULL && (who.gen == 0 || child->gen == who.gen) ? child : NULL;
}

static enum lp2p_verdict sup_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct lp2p_sup *sup = state;
    LP2P_CHECK_MAGIC(sup, LP2P_SUP_MAGIC);
    if ((*msg)->cls != &lp2p_notice_class) {
        return LP2P_CONTINUE; /* supervisors understand nothing else */
    }
    struct lp2p_notice *notice = LP2P_MSG_AS(*msg, &lp2p_notice_class, lp2p_notice);
    LP2P_CHECK(sup->self == self);
    notice->rt = NULL; /* delivered: dropping it has no consequence any more */
    if (notice->kind == LP2P_NOTICE_SPAWNED) {
        lp2p_child_adopt(sup, notice->child, notice->initial);
        return pump(sup);
    }
    struct lp2p_child *child = child_of(sup, notice->who);
    if (child != NULL) {
        switch (notice->kind) {
        case LP2P_NOTICE_STARTED:
            lp2p_child_started(sup, child);
            break;
        case LP2P_NOTICE_ENDED:
            lp2p_child_ended(sup, child, notice);
            break;
        case LP2P_NOTICE_STOP_CHILD:
            lp2p_child_forget(sup, child);
            break;
        case LP2P_NOTICE_SPAWNED:
            break;
        }
    }
    return pump(sup);
}

static enum lp2p_verdict sup_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct lp2p_sup *sup = state;
    LP2P_CHECK_MAGIC(sup, LP2P_SUP_MAGIC);
    LP2P_CHECK(sup->self == self);
    if (timer == LP2P_SUP_TIMER_DEADLINE) {
        lp2p_children_check_deadlines(sup);
    } else if (timer == LP2P_SUP_TIMER_STALL) {
        lp2p_children_check_stalls(sup);
    }
    return pump(sup);
}

static enum lp2p_verdict sup_on_stop(struct lp2p_actor *self, void *state)
{
    struct lp2p_sup *sup = state;
    LP2P_CHECK_MAGIC(sup, LP2P_SUP_MAGIC);
    LP2P_CHECK(sup->self == self);
    lp2p_sup_begin_stop(sup, LP2P_STOP);
    return pump(sup);
}

static void sup_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    release(state);
}

const struct lp2p_actor_ops lp2p_supervisor_ops = {
    .name = "supervisor",
    .state_size = sizeof(struct lp2p_sup),
    .init = sup_init,
    .on_msg = sup_on_msg,
    .on_timer = sup_on_timer,
    .on_stop = sup_on_stop,
    .fini = sup_fini,
};
