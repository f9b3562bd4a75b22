/* SPDX-License-Identifier: MIT */
#include "runtime/spawn.h"

#include "runtime/control.h"
#include "runtime/driver.h"
#include "runtime/group.h"
#include "runtime/mailbox.h"
#include "runtime/registry.h"

#include <stdio.h>
#include <string.h>

void lp2p_slot_open(struct lp2p_slot *slot, struct lp2p_child_info *info, struct lp2p_ref sup)
{
    unsigned max = info->spec.mailbox_max == 0 ? LP2P_MAILBOX_DEFAULT : info->spec.mailbox_max;
    slot->info = lp2p_child_info_ref(info);
    __atomic_store_n(&slot->lane_max, LP2P_MIN(max, LP2P_MAILBOX_LIMIT), __ATOMIC_RELAXED);
    __atomic_store_n(&slot->sup, lp2p_ref_pack(sup), __ATOMIC_RELEASE);
    __atomic_store_n(&slot->open, 1, __ATOMIC_RELEASE);
}

enum lp2p_err lp2p_slot_prepare(struct lp2p_slot *slot)
{
    struct lp2p_notice *started = lp2p_notice_new(LP2P_NOTICE_STARTED);
    struct lp2p_notice *ended = lp2p_notice_new(LP2P_NOTICE_ENDED);
    if (started == NULL || ended == NULL) {
        struct lp2p_msg *msgs[] = {started == NULL ? NULL : &started->msg,
                                   ended == NULL ? NULL : &ended->msg};
        lp2p_msg_drop(&msgs[0]);
        lp2p_msg_drop(&msgs[1]);
        return LP2P_ENOMEM;
    }
    slot->started_msg = &started->msg;
    slot->ended_msg = &ended->msg;
    return LP2P_OK;
}

/* A notice that hands a new child to its supervisor; NULL when memory is short. */
static struct lp2p_msg *spawned_notice(struct lp2p_slot *slot, struct lp2p_child *child)
{
    struct lp2p_notice *notice = lp2p_notice_new(LP2P_NOTICE_SPAWNED);
    if (notice == NULL) {
        return NULL;
    }
    child->slot = slot;
    child->state = LP2P_CHILD_STARTING;
    child->gen = slot->gen;
    child->placed = true;
    notice->who = (struct lp2p_ref){slot->index, slot->gen};
    notice->child = child;
    return &notice->msg;
}

/* From here on an undelivered notice ends the child. */
static enum lp2p_err send_spawned(struct lp2p_rt *rt, struct lp2p_ref sup, struct lp2p_msg **spawned)
{
    struct lp2p_notice *notice = LP2P_MSG_AS(*spawned, &lp2p_notice_class, lp2p_notice);
    notice->rt = rt;
    enum lp2p_err err = lp2p_mail_send(rt, sup, spawned, NULL);
    if (err != LP2P_OK) {
        notice->rt = NULL;
    }
    return err;
}

static enum lp2p_err reserve_dynamic(struct lp2p_slot *sup)
{
    if (__atomic_load_n(&sup->spawn_open, __ATOMIC_ACQUIRE) == 0) {
        return LP2P_EGONE;
    }
    if (__atomic_fetch_add(&sup->dynamic_count, 1, __ATOMIC_RELAXED) >=
        __atomic_load_n(&sup->dynamic_max, __ATOMIC_RELAXED)) {
        __atomic_fetch_sub(&sup->dynamic_count, 1, __ATOMIC_RELAXED);
        return LP2P_ELIMIT;
    }
    return LP2P_OK;
}

static void undo_slot(struct lp2p_rt *rt, struct lp2p_slot *slot)
{
    if (slot->info != NULL) {
        __atomic_store_n(&slot->info->arg_taken, 1, __ATOMIC_RELAXED); /* nothing was taken */
    }
    lp2p_slot_vacate(rt, slot, LP2P_VACATE_FREE);
}

static enum lp2p_err spawn_child(struct lp2p_rt *rt, struct lp2p_slot *sup, struct lp2p_ref sup_ref,
                                 struct lp2p_child *child, struct lp2p_ref *out)
{
    pthread_mutex_lock(&rt->lock);
    struct lp2p_slot *slot = lp2p_slot_alloc_locked(rt);
    enum lp2p_err err = slot == NULL ? LP2P_ELIMIT : lp2p_slot_prepare(slot);
    if (err == LP2P_OK) {
        err = lp2p_place_locked(rt, &child->info->spec, sup, slot);
    }
    pthread_mutex_unlock(&rt->lock);
    struct lp2p_msg *spawned = NULL;
    if (err == LP2P_OK && (spawned = spawned_notice(slot, child)) == NULL) {
        err = LP2P_ENOMEM;
    }
    if (err == LP2P_OK) {
        lp2p_slot_open(slot, child->info, sup_ref);
        *out = (struct lp2p_ref){slot->index, child->info->spec.restart == LP2P_TEMPORARY ? slot->gen : 0};
        err = send_spawned(rt, sup_ref, &spawned);
    }
    if (err != LP2P_OK) {
        lp2p_msg_drop(&spawned);
        if (slot != NULL) {
            undo_slot(rt, slot);
        }
        return err == LP2P_ENOMEM ? LP2P_ELIMIT : err;
    }
    lp2p_slot_ask(slot, LP2P_CTL_START);
    return LP2P_OK;
}

static enum lp2p_err spawn_resident(struct lp2p_rt *rt, struct lp2p_ref sup, struct lp2p_child_info *info,
                                    struct lp2p_ref *out)
{
    unsigned made;
    *out = LP2P_REF_NONE; /* many instances: lp2p_resident finds the one of a thread */
    return info->spec.restart == LP2P_TEMPORARY ? LP2P_EINVAL
                                                : lp2p_resident_register(rt, info, sup, false, &made);
}

enum lp2p_err lp2p_spawn(struct lp2p_actor *self, struct lp2p_ref sup_ref, const struct lp2p_child_spec *spec,
                         struct lp2p_ref *out)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    struct lp2p_rt *rt = self->rt;
    struct lp2p_slot *sup = lp2p_slot_get(rt, sup_ref.slot);
    *out = LP2P_REF_NONE;
    if (sup == NULL || !lp2p_slot_accepts(sup, sup_ref.gen)) {
        return LP2P_EGONE;
    }
    sup_ref.gen = __atomic_load_n(&sup->gen, __ATOMIC_ACQUIRE);
    enum lp2p_err err = reserve_dynamic(sup);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_child_info *info = lp2p_child_info_new(spec, spec->id);
    struct lp2p_child *child = NULL;
    if (info == NULL) {
        err = LP2P_ELIMIT;
    } else if (spec->placement.place == LP2P_PLACE_RESIDENT) {
        err = spawn_resident(rt, sup_ref, info, out);
    } else {
        child = lp2p_child_new(lp2p_child_info_ref(info));
        err = child == NULL ? LP2P_ELIMIT : spawn_child(rt, sup, sup_ref, child, out);
    }
    if (err != LP2P_OK || child == NULL) {
        /* Not used, or a resident spec: these are bounded by their table. */
        __atomic_fetch_sub(&sup->dynamic_count, 1, __ATOMIC_RELAXED);
    }
    if (err != LP2P_OK) {
        if (info != NULL) {
            __atomic_store_n(&info->arg_taken, 1, __ATOMIC_RELAXED);
        }
        lp2p_child_free(child);
        *out = LP2P_REF_NONE;
    }
    lp2p_child_info_unref(&info);
    return err;
}

/** A resident that is being made. */
struct instance {
    struct lp2p_slot *slot;
    struct lp2p_child *child;
    struct lp2p_msg *spawned;
};

static void discard(struct lp2p_rt *rt, struct instance *instance)
{
    if (instance->slot != NULL) {
        lp2p_msg_drop(&instance->slot->started_msg);
        lp2p_msg_drop(&instance->slot->ended_msg);
        lp2p_msg_drop(&instance->slot->retire_msg);
        lp2p_slot_free_locked(rt, instance->slot);
    }
    lp2p_msg_drop(&instance->spawned);
    lp2p_child_free(instance->child);
    *instance = (struct instance){0};
}

static enum lp2p_err prepare(struct lp2p_rt *rt, const struct lp2p_resident_reg *reg, const char *thread,
                             bool initial, struct instance *out)
{
    char id[128];
    snprintf(id, sizeof(id), "%s@%s", reg->info->id, thread);
    struct lp2p_child_info *info = lp2p_child_info_new(&reg->info->spec, id);
    *out = (struct instance){.child = info == NULL ? NULL : lp2p_child_new(info)};
    out->slot = lp2p_slot_alloc_locked(rt);
    struct lp2p_notice *retire = lp2p_notice_new(LP2P_NOTICE_STOP_CHILD);
    enum lp2p_err err = out->slot == NULL ? LP2P_ELIMIT : lp2p_slot_prepare(out->slot);
    if (out->child == NULL || retire == NULL) {
        err = LP2P_ENOMEM;
    }
    if (err == LP2P_OK && (out->spawned = spawned_notice(out->slot, out->child)) == NULL) {
        err = LP2P_ENOMEM;
    }
    if (err != LP2P_OK) {
        struct lp2p_msg *msg = retire == NULL ? NULL : &retire->msg;
        lp2p_msg_drop(&msg);
        if (out->child == NULL) {
            lp2p_child_info_unref(&info);
        }
        discard(rt, out);
        return err;
    }
    retire->who = (struct lp2p_ref){out->slot->index, 0};
    out->slot->retire_msg = &retire->msg;
    LP2P_MSG_AS(out->spawned, &lp2p_notice_class, lp2p_notice)->initial = initial;
    return LP2P_OK;
}

static void commit(struct lp2p_rt *rt, unsigned group, unsigned index, struct lp2p_driver *driver,
                   struct instance *instance)
{
    struct lp2p_slot *slot = instance->slot;
    struct lp2p_ref sup = rt->groups[group].residents[index].sup;
    slot->resident = true;
    lp2p_attach_locked(driver, slot, group);
    lp2p_slot_open(slot, instance->child->info, sup);
    if (send_spawned(rt, sup, &instance->spawned) != LP2P_OK) {
        /* The supervisor has ended and is about to unregister: the thread goes without. */
        __atomic_store_n(&slot->open, 0, __ATOMIC_RELEASE);
        lp2p_slot_next_gen(slot);
        __atomic_store_n(&slot->seat->driver, rt->janitor, __ATOMIC_RELEASE);
        slot->attached = slot->resident = false;
        driver->attached--;
        lp2p_child_info_unref(&slot->info);
        discard(rt, instance);
        return;
    }
    __atomic_store_n(&lp2p_residents_of(driver, group)[index], slot->index, __ATOMIC_RELEASE);
    lp2p_slot_ask(slot, LP2P_CTL_START);
}

enum lp2p_err lp2p_instance_add(struct lp2p_rt *rt, unsigned group, unsigned index,
                                struct lp2p_driver *driver, bool initial)
{
    struct instance instance;
    char sim_name[32];
    const char *thread = driver->name;
    if (rt->config.simulated) {
        snprintf(sim_name, sizeof(sim_name), "%s-0", rt->groups[group].config.name);
        thread = sim_name;
    }
    enum lp2p_err err = prepare(rt, &rt->groups[group].residents[index], thread, initial, &instance);
    if (err == LP2P_OK) {
        commit(rt, group, index, driver, &instance);
    }
    return err;
}
