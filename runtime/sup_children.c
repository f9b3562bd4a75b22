/* SPDX-License-Identifier: MIT */
#include "runtime/sup.h"

#include "runtime/group.h"
#include "runtime/registry.h"
#include "runtime/spawn.h"

#define CONDEMN_RETRY_MS 10u /* the seat was between two handlers: look again soon */

static enum lp2p_err start_resident_spec(struct lp2p_sup *sup, struct lp2p_child *child)
{
    unsigned made;
    enum lp2p_err err = lp2p_resident_register(sup->self->rt, child->info, sup->self->ref, true, &made);
    if (err == LP2P_OK) {
        child->waiting = made;
        child->state = made > 0 ? LP2P_CHILD_STARTING : LP2P_CHILD_UP;
    }
    return err;
}

static void watch_stalls(struct lp2p_sup *sup, const struct lp2p_child *child)
{
    unsigned ms = child->info->spec.stall_ms;
    if (ms == 0 || child->info->spec.placement.place != LP2P_PLACE_OWN || sup->self->rt->config.simulated) {
        return;
    }
    if (sup->stall_ms_min == 0 || ms < sup->stall_ms_min) {
        sup->stall_ms_min = ms;
        lp2p_time next = lp2p_time_add(lp2p_now(sup->self), LP2P_MS(ms) / 4 + 1);
        lp2p_timer_set(sup->self, LP2P_SUP_TIMER_STALL, next);
    }
}

enum lp2p_err lp2p_child_start(struct lp2p_sup *sup, struct lp2p_child *child)
{
    struct lp2p_rt *rt = sup->self->rt;
    struct lp2p_slot *slot = child->slot;
    if (slot == NULL) {
        return start_resident_spec(sup, child);
    }
    if (!child->placed) {
        pthread_mutex_lock(&rt->lock);
        enum lp2p_err err = lp2p_place_locked(rt, &child->info->spec, sup->self->slot, slot);
        pthread_mutex_unlock(&rt->lock);
        if (err != LP2P_OK) {
            return err;
        }
        child->placed = true;
    }
    enum lp2p_err err = lp2p_slot_prepare(slot);
    if (err != LP2P_OK) {
        return err;
    }
    child->gen = __atomic_load_n(&slot->gen, __ATOMIC_ACQUIRE);
    child->state = LP2P_CHILD_STARTING;
    watch_stalls(sup, child);
    lp2p_slot_ask(slot, LP2P_CTL_START);
    return LP2P_OK;
}

void lp2p_child_ask_stop(struct lp2p_sup *sup, struct lp2p_child *child)
{
    if (child->state != LP2P_CHILD_STARTING && child->state != LP2P_CHILD_UP) {
        return;
    }
    unsigned ms =
        child->info->spec.shutdown_ms == 0 ? LP2P_SHUTDOWN_MS_DEFAULT : child->info->spec.shutdown_ms;
    child->state = LP2P_CHILD_STOPPING;
    sup->stopping++;
    child->killed = false;
    /* A supervisor's children have deadlines; it has none of its own. */
    child->deadline =
        lp2p_is_supervisor(child->info) ? LP2P_NEVER : lp2p_time_add(lp2p_now(sup->self), LP2P_MS(ms));
    lp2p_sup_emit(sup, LP2P_SUP_STOPPING, child, LP2P_OK);
    if (child->deadline < lp2p_timer_get(sup->self, LP2P_SUP_TIMER_DEADLINE)) {
        lp2p_timer_set(sup->self, LP2P_SUP_TIMER_DEADLINE, child->deadline);
    }
    lp2p_slot_ask(child->slot, LP2P_CTL_STOP);
}

static struct lp2p_child *spec_of_resident(struct lp2p_sup *sup, const struct lp2p_child *instance)
{
    const struct lp2p_placement *wanted = &instance->info->spec.placement;
    LP2P_LIST_FOREACH (it, &sup->statics) {
        struct lp2p_child *child = LP2P_LIST_ENTRY(it, struct lp2p_child, link);
        const struct lp2p_placement *has = &child->info->spec.placement;
        if (child->slot == NULL && has->group == wanted->group && has->resident == wanted->resident) {
            return child;
        }
    }
    return NULL;
}

void lp2p_child_adopt(struct lp2p_sup *sup, struct lp2p_child *child, bool initial)
{
    child->slot->child = child;
    child->initial = initial;
    if (child->slot->resident) {
        child->resident_spec = spec_of_resident(sup, child);
    }
    sup->plain_dynamics += child->resident_spec == NULL;
    lp2p_list_push_back(&sup->dynamics, &child->link);
    watch_stalls(sup, child);
    if (sup->state == LP2P_SUP_IS_STOPPING) {
        lp2p_child_ask_stop(sup, child);
    }
}

/* The first start of a spec of residents does not wait for this instance any more: it is up, or it will never be. */
static void settle_initial(struct lp2p_child *child)
{
    if (child->initial) {
        child->initial = false;
        if (child->resident_spec != NULL && --child->resident_spec->waiting == 0) {
            child->resident_spec->state = LP2P_CHILD_UP;
        }
    }
}

void lp2p_child_started(struct lp2p_sup *sup, struct lp2p_child *child)
{
    if (child->state == LP2P_CHILD_STARTING) {
        child->state = LP2P_CHILD_UP;
    }
    lp2p_sup_emit(sup, child->was_up ? LP2P_SUP_RESTARTED : LP2P_SUP_STARTED, child, LP2P_OK);
    child->was_up = true;
    settle_initial(child);
}

/* The child has ended and will not be started again by this supervisor. */
static void retire(struct lp2p_sup *sup, struct lp2p_child *child)
{
    struct lp2p_rt *rt = sup->self->rt;
    struct lp2p_slot *slot = child->slot;
    child->placed = false;
    settle_initial(child);
    if (child->is_static && !child->forget) {
        lp2p_slot_vacate(rt, slot, LP2P_VACATE_PARK);
        return;
    }
    if (child->is_static) {
        uint32_t *statics = sup->self->slot->statics;
        for (size_t i = 0; i < sup->self->slot->statics_len; i++) {
            statics[i] = statics[i] == slot->index ? 0 : statics[i];
        }
        if (sup->cursor == &child->link) {
            sup->cursor = child->link.next;
        }
    } else {
        sup->plain_dynamics -= child->resident_spec == NULL;
        if (!slot->resident) {
            __atomic_fetch_sub(&sup->self->slot->dynamic_count, 1, __ATOMIC_RELAXED);
        }
    }
    lp2p_slot_vacate(rt, slot, LP2P_VACATE_FREE);
    lp2p_child_free(child);
}

/* OTP's rule: more than restarts_max restarts within the period are too many. */
static bool may_restart(struct lp2p_sup *sup)
{
    lp2p_time now = lp2p_now(sup->self);
    size_t max = sup->spec->restarts_max, recent = 0;
    sup->restarts[sup->restarts_next] = now;
    sup->restarts_next = (sup->restarts_next + 1) % (max + 1);
    sup->restarts_len = LP2P_MIN(sup->restarts_len + 1, max + 1);
    for (size_t i = 0; i < sup->restarts_len; i++) {
        recent += lp2p_time_since(now, sup->restarts[i]) <= LP2P_MS(sup->spec->period_ms);
    }
    return recent <= max;
}

static void restart(struct lp2p_sup *sup, struct lp2p_child *child)
{
    enum lp2p_err err;
    do {
        if (!may_restart(sup)) {
            lp2p_sup_emit(sup, LP2P_SUP_GAVE_UP, child, LP2P_EFAILED);
            lp2p_sup_begin_stop(sup, LP2P_FAIL);
            retire(sup, child);
            return;
        }
        __atomic_fetch_add(&sup->self->rt->restarts, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&child->slot->stats.restarts, 1, __ATOMIC_RELAXED);
        err = lp2p_child_start(sup, child);
        if (err != LP2P_OK) {
            lp2p_sup_emit(sup, LP2P_SUP_START_FAILED, child, err);
        }
    } while (err != LP2P_OK);
}

/* Decides what follows an end; the events of the end itself have been told. */
static void after_end(struct lp2p_sup *sup, struct lp2p_child *child, enum lp2p_err reason, bool asked,
                      bool first_start, struct lp2p_child_info *failed)
{
    enum lp2p_restart rule = child->info->spec.restart;
    if (sup->state == LP2P_SUP_IS_STOPPING || asked) {
        retire(sup, child);
    } else if (first_start && (child->is_static || child->initial)) {
        lp2p_sup_cannot_start(sup, reason, failed);
        retire(sup, child);
    } else if (first_start && !child->slot->resident) {
        retire(sup, child); /* as in OTP: a child that never was is not kept */
    } else if (rule == LP2P_PERMANENT || (rule == LP2P_TRANSIENT && reason != LP2P_OK)) {
        restart(sup, child);
    } else {
        retire(sup, child);
    }
}

/* The child has no body any more; true when it had been asked to end. */
static bool settle_end(struct lp2p_sup *sup, struct lp2p_child *child)
{
    bool asked = child->state == LP2P_CHILD_STOPPING;
    child->state = LP2P_CHILD_IDLE;
    child->deadline = LP2P_NEVER;
    if (asked && --sup->stopping == 0) {
        lp2p_timer_set(sup->self, LP2P_SUP_TIMER_DEADLINE, LP2P_NEVER);
    }
    return asked;
}

void lp2p_child_ended(struct lp2p_sup *sup, struct lp2p_child *child, const struct lp2p_notice *notice)
{
    bool asked = settle_end(sup, child);
    bool start_failed = notice->never_started && !asked;
    lp2p_sup_emit(sup, start_failed ? LP2P_SUP_START_FAILED : LP2P_SUP_ENDED, child, notice->reason);
    after_end(sup, child, notice->reason, asked, start_failed && !child->was_up, notice->failed);
}

void lp2p_child_forget(struct lp2p_sup *sup, struct lp2p_child *child)
{
    child->forget = true;
    if (child->state == LP2P_CHILD_IDLE) {
        retire(sup, child);
    } else {
        lp2p_child_ask_stop(sup, child);
    }
}

static bool abandon(struct lp2p_sup *sup, struct lp2p_child *child, uint64_t stall_ns)
{
    if (!lp2p_slot_condemn(sup->self->rt, child->slot, stall_ns, lp2p_now(sup->self))) {
        return false;
    }
    bool asked = settle_end(sup, child);
    child->placed = false;
    lp2p_sup_emit(sup, LP2P_SUP_ABANDONED, child, LP2P_EFAILED);
    after_end(sup, child, LP2P_EFAILED, asked, !asked && !child->was_up, child->info);
    return true;
}

static void check_deadline(struct lp2p_sup *sup, struct lp2p_child *child, lp2p_time *next)
{
    lp2p_time now = lp2p_now(sup->self);
    if (child->deadline <= now) {
        if (!child->killed) {
            child->killed = true;
            child->deadline = lp2p_time_add(now, LP2P_MS(LP2P_KILL_GRACE_MS));
            lp2p_slot_ask(child->slot, LP2P_CTL_KILL);
        } else if (abandon(sup, child, 0)) {
            return; /* the record may be gone */
        } else {
            child->deadline = lp2p_time_add(now, LP2P_MS(CONDEMN_RETRY_MS));
        }
    }
    *next = lp2p_time_min(*next, child->deadline);
}

void lp2p_children_check_deadlines(struct lp2p_sup *sup)
{
    lp2p_time next = LP2P_NEVER;
    LP2P_LIST_FOREACH_SAFE (it, &sup->dynamics) {
        check_deadline(sup, LP2P_LIST_ENTRY(it, struct lp2p_child, link), &next);
    }
    LP2P_LIST_FOREACH_SAFE (it, &sup->statics) {
        check_deadline(sup, LP2P_LIST_ENTRY(it, struct lp2p_child, link), &next);
    }
    lp2p_timer_set(sup->self, LP2P_SUP_TIMER_DEADLINE, next);
}

static void check_stall(struct lp2p_sup *sup, struct lp2p_child *child)
{
    const struct lp2p_child_spec *spec = &child->info->spec;
    if (child->slot != NULL && spec->stall_ms > 0 && spec->placement.place == LP2P_PLACE_OWN &&
        (child->state == LP2P_CHILD_UP || child->state == LP2P_CHILD_STARTING)) {
        abandon(sup, child, LP2P_MS(spec->stall_ms));
    }
}

void lp2p_children_check_stalls(struct lp2p_sup *sup)
{
    LP2P_LIST_FOREACH_SAFE (it, &sup->statics) {
        check_stall(sup, LP2P_LIST_ENTRY(it, struct lp2p_child, link));
    }
    LP2P_LIST_FOREACH_SAFE (it, &sup->dynamics) {
        check_stall(sup, LP2P_LIST_ENTRY(it, struct lp2p_child, link));
    }
    lp2p_timer_set(sup->self, LP2P_SUP_TIMER_STALL,
                   lp2p_time_add(lp2p_now(sup->self), LP2P_MS(sup->stall_ms_min) / 4 + 1));
}
