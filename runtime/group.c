/* SPDX-License-Identifier: MIT */
#include "runtime/group.h"

#include "runtime/driver.h"
#include "runtime/mailbox.h"
#include "runtime/registry.h"
#include "runtime/spawn.h"

#include <stdio.h>
#include <string.h>

void lp2p_attach_locked(struct lp2p_driver *driver, struct lp2p_slot *slot, unsigned group)
{
    driver->attached++;
    driver->users += !slot->resident;
    slot->group = group;
    slot->attached = true;
    __atomic_store_n(&slot->seat->driver, driver, __ATOMIC_RELEASE);
}

static struct lp2p_driver *least_loaded(struct lp2p_rt *rt, unsigned group, unsigned *count)
{
    struct lp2p_driver *best = NULL;
    *count = 0;
    LP2P_LIST_FOREACH (it, &rt->drivers) {
        struct lp2p_driver *driver = LP2P_LIST_ENTRY(it, struct lp2p_driver, link);
        if (driver->state == LP2P_DRIVER_RUNNING && driver->group == group && !driver->closing) {
            ++*count;
            if (best == NULL || driver->users < best->users) {
                best = driver;
            }
        }
    }
    return best;
}

static unsigned free_number(struct lp2p_rt *rt, unsigned group)
{
    for (unsigned number = 0;; number++) {
        bool used = false;
        LP2P_LIST_FOREACH (it, &rt->drivers) {
            struct lp2p_driver *driver = LP2P_LIST_ENTRY(it, struct lp2p_driver, link);
            used |=
                driver->state == LP2P_DRIVER_RUNNING && driver->group == group && driver->number == number;
        }
        if (!used) {
            return number;
        }
    }
}

/* Without residents: each comes when an actor of the thread asks for it. */
static enum lp2p_err start_group_thread(struct lp2p_rt *rt, unsigned group, enum lp2p_driver_kind kind,
                                        unsigned number, struct lp2p_driver **out)
{
    const struct lp2p_group_config *config = &rt->groups[group].config;
    char name[64];
    snprintf(name, sizeof(name), "%s-%u", config->name, number);
    enum lp2p_err err = LP2P_OK;
    *out = lp2p_driver_start_locked(rt, kind, group, number, name, config->stack_kib, &err);
    return err;
}

static enum lp2p_err place_in_group(struct lp2p_rt *rt, unsigned group, struct lp2p_driver **out)
{
    if (group >= rt->config.groups_len) {
        return LP2P_EINVAL;
    }
    const struct lp2p_group_config *config = &rt->groups[group].config;
    unsigned count;
    *out = least_loaded(rt, group, &count);
    if (config->threads > 0 || (*out != NULL && config->threads_max > 0 && count >= config->threads_max)) {
        return *out == NULL ? LP2P_EIO : LP2P_OK;
    }
    return start_group_thread(rt, group, LP2P_DRIVER_EPHEMERAL, free_number(rt, group), out);
}

static enum lp2p_err place_with(struct lp2p_rt *rt, struct lp2p_ref with, const struct lp2p_slot *sup,
                                struct lp2p_driver **out, unsigned *group)
{
    const struct lp2p_slot *other = with.slot == 0 ? sup : lp2p_slot_get(rt, with.slot);
    if (other == NULL || !other->attached || !lp2p_slot_accepts(other, with.slot == 0 ? 0 : with.gen)) {
        return LP2P_EGONE;
    }
    *out = __atomic_load_n(&other->seat->driver, __ATOMIC_ACQUIRE);
    *group = other->group;
    return (*out)->closing ? LP2P_EGONE : LP2P_OK;
}

enum lp2p_err lp2p_place_locked(struct lp2p_rt *rt, const struct lp2p_child_spec *spec,
                                const struct lp2p_slot *sup, struct lp2p_slot *slot)
{
    struct lp2p_driver *driver = rt->janitor; /* the only one of a simulated runtime */
    unsigned group = LP2P_GROUP_NONE;
    enum lp2p_err err = LP2P_OK;
    switch (spec->placement.place) {
    case LP2P_PLACE_OWN:
        if (!rt->config.simulated) {
            driver = lp2p_driver_start_locked(rt, LP2P_DRIVER_EPHEMERAL, group, 0, spec->id, spec->stack_kib,
                                              &err);
        }
        break;
    case LP2P_PLACE_GROUP:
        group = spec->placement.group;
        if (!rt->config.simulated || group >= rt->config.groups_len) {
            err = place_in_group(rt, group, &driver);
        }
        break;
    case LP2P_PLACE_WITH:
        err = place_with(rt, spec->placement.with, sup, &driver, &group);
        break;
    case LP2P_PLACE_RESIDENT:
        err = LP2P_EINVAL; /* instances are attached by spawn.c */
        break;
    }
    if (err == LP2P_OK) {
        lp2p_attach_locked(driver, slot, group);
    }
    return err;
}

/* Asks the supervisors of the residents of an ending thread to end them; the notices were allocated with the
 * slots. */
static size_t collect_residents(struct lp2p_rt *rt, struct lp2p_driver *driver, struct lp2p_msg **notices,
                                struct lp2p_ref *sups)
{
    size_t count = 0;
    for (unsigned i = 0; i < LP2P_RESIDENTS_MAX; i++) {
        uint32_t index = driver->group < LP2P_GROUPS_MAX ? driver->residents[i] : 0;
        struct lp2p_slot *slot = lp2p_slot_get(rt, index);
        if (slot != NULL && slot->retire_msg != NULL) {
            notices[count] = slot->retire_msg;
            sups[count++] = lp2p_ref_unpack(__atomic_load_n(&slot->sup, __ATOMIC_ACQUIRE));
            slot->retire_msg = NULL;
        }
    }
    return count;
}

static void forget_resident(struct lp2p_driver *driver, uint32_t slot_index)
{
    unsigned groups = driver->rt->config.simulated ? LP2P_GROUPS_MAX : 1;
    for (unsigned group = 0; group < groups; group++) {
        uint32_t *residents = lp2p_residents_of(driver, group);
        for (unsigned i = 0; i < LP2P_RESIDENTS_MAX; i++) {
            if (residents[i] == slot_index) {
                __atomic_store_n(&residents[i], LP2P_RESIDENT_ENDED, __ATOMIC_RELEASE);
            }
        }
    }
}

void lp2p_driver_detach(struct lp2p_rt *rt, struct lp2p_driver *driver, uint32_t slot_index, bool resident)
{
    struct lp2p_msg *notices[LP2P_RESIDENTS_MAX];
    struct lp2p_ref sups[LP2P_RESIDENTS_MAX];
    size_t count = 0;
    pthread_mutex_lock(&rt->lock);
    driver->attached--;
    driver->users -= !resident;
    if (resident) {
        forget_resident(driver, slot_index);
    }
    if (driver->kind == LP2P_DRIVER_EPHEMERAL && driver->users == 0) {
        if (!driver->closing) {
            driver->closing = true;
            count = collect_residents(rt, driver, notices, sups);
        }
        if (driver->attached == 0) {
            lp2p_driver_quit(driver);
        }
    }
    pthread_mutex_unlock(&rt->lock);
    for (size_t i = 0; i < count; i++) {
        if (lp2p_mail_send(rt, sups[i], &notices[i], NULL) != LP2P_OK) {
            lp2p_msg_drop(&notices[i]); /* that supervisor is ending, and its children with it */
        }
    }
}

enum lp2p_err lp2p_groups_start(struct lp2p_rt *rt)
{
    enum lp2p_err err = LP2P_OK;
    pthread_mutex_lock(&rt->lock);
    for (unsigned group = 0; group < rt->config.groups_len; group++) {
        for (unsigned i = 0; err == LP2P_OK && i < rt->groups[group].config.threads; i++) {
            struct lp2p_driver *driver;
            err = start_group_thread(rt, group, LP2P_DRIVER_FIXED, i, &driver);
        }
    }
    pthread_mutex_unlock(&rt->lock);
    return err;
}

/* Whether that thread gets its instance of a spec that is registered now: one that stays, or had one of an earlier registration
 * (which has ended or is about to, and then does not find its number here any more). Others wait until it is asked for. */
static bool wants_instance(const struct lp2p_rt *rt, struct lp2p_driver *driver, unsigned group, unsigned index)
{
    if (rt->config.simulated) {
        return true;
    }
    return driver->state == LP2P_DRIVER_RUNNING && !driver->closing && driver->group == group &&
           (driver->kind == LP2P_DRIVER_FIXED || driver->residents[index] != 0);
}

static enum lp2p_err add_everywhere_locked(struct lp2p_rt *rt, unsigned group, unsigned index, bool initial,
                                           unsigned *made)
{
    LP2P_LIST_FOREACH (it, &rt->drivers) {
        struct lp2p_driver *driver = LP2P_LIST_ENTRY(it, struct lp2p_driver, link);
        if (wants_instance(rt, driver, group, index)) {
            enum lp2p_err err = lp2p_instance_add(rt, group, index, driver, initial);
            if (err != LP2P_OK) {
                return err;
            }
            ++*made;
        }
    }
    return LP2P_OK;
}

uint32_t lp2p_resident_make(struct lp2p_rt *rt, unsigned group, unsigned index, struct lp2p_driver *driver)
{
    pthread_mutex_lock(&rt->lock);
    uint32_t *place = &lp2p_residents_of(driver, group)[index];
    if (*place == 0 && rt->groups[group].residents[index].info != NULL && !driver->closing) {
        /* When it fails, there is none now, and who asks again may have one. */
        (void)lp2p_instance_add(rt, group, index, driver, false);
    }
    uint32_t slot = *place;
    pthread_mutex_unlock(&rt->lock);
    return slot;
}

enum lp2p_err lp2p_resident_register(struct lp2p_rt *rt, struct lp2p_child_info *info, struct lp2p_ref sup,
                                     bool initial, unsigned *made)
{
    unsigned group = info->spec.placement.group, index = info->spec.placement.resident;
    *made = 0;
    if (group >= rt->config.groups_len || index >= LP2P_RESIDENTS_MAX) {
        return LP2P_EINVAL;
    }
    pthread_mutex_lock(&rt->lock);
    struct lp2p_resident_reg *reg = &rt->groups[group].residents[index];
    enum lp2p_err err = reg->info != NULL ? LP2P_EEXIST : LP2P_OK;
    if (err == LP2P_OK) {
        *reg = (struct lp2p_resident_reg){lp2p_child_info_ref(info), sup};
        err = add_everywhere_locked(rt, group, index, initial, made);
        if (err != LP2P_OK) {
            lp2p_child_info_unref(&reg->info);
        }
    }
    pthread_mutex_unlock(&rt->lock);
    return err;
}

void lp2p_residents_unregister(struct lp2p_rt *rt, struct lp2p_ref sup)
{
    pthread_mutex_lock(&rt->lock);
    for (unsigned group = 0; group < LP2P_GROUPS_MAX; group++) {
        for (unsigned i = 0; i < LP2P_RESIDENTS_MAX; i++) {
            struct lp2p_resident_reg *reg = &rt->groups[group].residents[i];
            if (reg->info != NULL && lp2p_ref_eq(reg->sup, sup)) {
                lp2p_child_info_unref(&reg->info);
            }
        }
    }
    pthread_mutex_unlock(&rt->lock);
}
