/* SPDX-License-Identifier: MIT */
#include "runtime/runtime.h"

#include "runtime/child.h"
#include "runtime/driver.h"
#include "runtime/group.h"
#include "runtime/mailbox.h"
#include "runtime/registry.h"
#include "runtime/root.h"
#include "runtime/spawn.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STUCK_GRACE_MS 200 /* how long lp2p_rt_stop waits for threads whose actors were abandoned */

void lp2p_root_notice(struct lp2p_rt *rt, const struct lp2p_notice *notice)
{
    bool failed = false;
    pthread_mutex_lock(&rt->lock);
    if (notice->kind == LP2P_NOTICE_STARTED) {
        rt->root_state = LP2P_ROOT_UP;
    } else {
        failed = rt->root_state == LP2P_ROOT_UP && !rt->stopping;
        rt->root_state = LP2P_ROOT_ENDED;
        rt->root_reason = notice->reason;
        if (notice->failed != NULL) {
            strncpy(rt->failed_id, notice->failed->id, sizeof(rt->failed_id) - 1);
        }
        __atomic_store_n(&rt->root->open, 0, __ATOMIC_RELEASE);
    }
    pthread_cond_broadcast(&rt->changed);
    pthread_mutex_unlock(&rt->lock);
    if (failed && rt->config.on_root_failed != NULL) {
        rt->config.on_root_failed(rt->config.user);
    }
}

static struct lp2p_rt *new_rt(const struct lp2p_rt_config *config)
{
    struct lp2p_rt *rt = calloc(1, sizeof(*rt));
    if (rt == NULL) {
        return NULL;
    }
    rt->config = *config;
    rt->config.actors_max = config->actors_max == 0 ? LP2P_ACTORS_DEFAULT : config->actors_max;
    rt->chunks = calloc(rt->config.actors_max / LP2P_SLOTS_CHUNK + 1, sizeof(struct lp2p_slot *));
    if (rt->chunks == NULL) {
        free(rt);
        return NULL;
    }
    rt->slots_len = 1; /* slot 0 is no address */
    pthread_condattr_t attr;
    LP2P_CHECK(pthread_condattr_init(&attr) == 0 && pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    LP2P_CHECK(pthread_mutex_init(&rt->lock, NULL) == 0 && pthread_cond_init(&rt->changed, &attr) == 0);
    pthread_condattr_destroy(&attr);
    lp2p_list_init(&rt->drivers);
    lp2p_list_init(&rt->names);
    for (unsigned i = 0; i < config->groups_len; i++) {
        rt->groups[i].config = config->groups[i];
    }
    return rt;
}

void lp2p_rt_free(struct lp2p_rt *rt)
{
    lp2p_registry_fini(rt);
    while (!lp2p_list_empty(&rt->drivers)) {
        struct lp2p_driver *driver =
            LP2P_LIST_ENTRY(lp2p_list_pop_front(&rt->drivers), struct lp2p_driver, link);
        lp2p_driver_fini(driver);
        free(driver);
    }
    while (rt->extra_seats != NULL) {
        struct lp2p_seat *seat = rt->extra_seats;
        rt->extra_seats = seat->extra_next;
        free(seat);
    }
    pthread_cond_destroy(&rt->changed);
    pthread_mutex_destroy(&rt->lock);
    free(rt);
}

static enum lp2p_err open_root(struct lp2p_rt *rt)
{
    const struct lp2p_child_spec *spec = rt->config.root;
    struct lp2p_child_info *info = lp2p_child_info_new(spec, spec->id);
    if (info == NULL) {
        return LP2P_ENOMEM;
    }
    info->arg_taken = 1;
    pthread_mutex_lock(&rt->lock);
    rt->root = lp2p_slot_alloc_locked(rt);
    enum lp2p_err err = rt->root == NULL ? LP2P_ENOMEM : lp2p_slot_prepare(rt->root);
    if (err == LP2P_OK) {
        lp2p_attach_locked(rt->janitor, rt->root, LP2P_GROUP_NONE);
        lp2p_slot_open(rt->root, info, LP2P_REF_NONE);
    }
    pthread_mutex_unlock(&rt->lock);
    lp2p_child_info_unref(&info);
    return err == LP2P_OK ? lp2p_name_add(rt, spec->id, rt->root->index) : err;
}

static enum lp2p_err start_threads(struct lp2p_rt *rt)
{
    const struct lp2p_child_spec *root = rt->config.root;
    enum lp2p_err err = LP2P_ENOMEM;
    pthread_mutex_lock(&rt->lock);
    rt->janitor = rt->config.simulated ? lp2p_sim_driver_new(rt)
                                       : lp2p_driver_start_locked(rt, LP2P_DRIVER_SYSTEM, LP2P_GROUP_NONE, 0,
                                                                  root->id, root->stack_kib, &err);
    pthread_mutex_unlock(&rt->lock);
    if (rt->janitor == NULL) {
        return err;
    }
    return rt->config.simulated ? LP2P_OK : lp2p_groups_start(rt);
}

/* Tells all threads to end. Running ones are counted apart from those whose actors were abandoned: of the
 * latter the actors are counted. Under rt->lock. */
static unsigned quit_threads(struct lp2p_rt *rt, unsigned *stuck)
{
    unsigned running = 0;
    *stuck = 0;
    LP2P_LIST_FOREACH (it, &rt->drivers) {
        struct lp2p_driver *driver = LP2P_LIST_ENTRY(it, struct lp2p_driver, link);
        if (driver->state == LP2P_DRIVER_RUNNING && !rt->config.simulated) {
            unsigned condemned = __atomic_load_n(&driver->condemned, __ATOMIC_ACQUIRE);
            running += condemned == 0;
            *stuck += condemned;
            lp2p_driver_quit(driver);
        }
    }
    return running;
}

static void leave_behind(struct lp2p_rt *rt)
{
    rt->leaked = true;
    LP2P_LIST_FOREACH (it, &rt->drivers) {
        struct lp2p_driver *driver = LP2P_LIST_ENTRY(it, struct lp2p_driver, link);
        if (driver->state == LP2P_DRIVER_RUNNING) {
            LP2P_CHECK(pthread_detach(driver->thread) == 0);
        }
    }
}

/* The end of the chain of ended threads; the lock is given up meanwhile. */
static void join_zombie(struct lp2p_rt *rt)
{
    struct lp2p_driver *last = rt->zombie;
    rt->zombie = NULL;
    pthread_mutex_unlock(&rt->lock);
    LP2P_CHECK(pthread_join(last->thread, NULL) == 0);
    pthread_mutex_lock(&rt->lock);
}

/* Waits until no thread runs, but not long for blocked ones: returns how many abandoned actors these hold. */
static unsigned end_threads(struct lp2p_rt *rt)
{
    unsigned stuck;
    struct timespec until;
    LP2P_CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_nsec += STUCK_GRACE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&rt->lock);
    __atomic_store_n(&rt->quitting, 1, __ATOMIC_SEQ_CST);
    for (bool late = false;;) {
        unsigned running = quit_threads(rt, &stuck);
        if (running > 0) {
            pthread_cond_wait(&rt->changed, &rt->lock);
        } else if (rt->zombie != NULL) {
            join_zombie(rt);
        } else if (stuck > 0 && !late) {
            late = pthread_cond_timedwait(&rt->changed, &rt->lock, &until) == ETIMEDOUT;
        } else {
            break;
        }
    }
    if (stuck > 0) {
        leave_behind(rt);
    }
    pthread_mutex_unlock(&rt->lock);
    return stuck;
}

static unsigned end_rt(struct lp2p_rt *rt)
{
    __atomic_store_n(&rt->closed, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&rt->posters, __ATOMIC_SEQ_CST) != 0) {
        sched_yield();
    }
    unsigned stuck = end_threads(rt);
    if (stuck == 0) { /* otherwise a blocked thread may come back to this memory: the last one frees it */
        lp2p_rt_free(rt);
    }
    return stuck;
}

static void wait_for_root(struct lp2p_rt *rt, enum lp2p_root_state leaves)
{
    if (rt->config.simulated) {
        /* Without an end of the wait in sight the tree would hang in real time too: a bug of ours. */
        LP2P_CHECK(lp2p_sim_until_root_leaves(rt, leaves));
        return;
    }
    pthread_mutex_lock(&rt->lock);
    while (rt->root_state == leaves) {
        pthread_cond_wait(&rt->changed, &rt->lock);
    }
    pthread_mutex_unlock(&rt->lock);
}

static bool config_is_valid(const struct lp2p_rt_config *config)
{
    if (config->root == NULL || config->root->id == NULL || config->root->ops == NULL ||
        config->groups_len > LP2P_GROUPS_MAX || config->actors_max > UINT32_MAX / 2) {
        return false;
    }
    for (unsigned i = 0; i < config->groups_len; i++) {
        if (config->groups[i].name == NULL) {
            return false;
        }
    }
    return true;
}

enum lp2p_err lp2p_rt_start(const struct lp2p_rt_config *config, struct lp2p_rt **out, char *failed_id)
{
    *out = NULL;
    if (failed_id != NULL) {
        failed_id[0] = '\0';
    }
    if (!config_is_valid(config)) {
        return LP2P_EINVAL;
    }
    struct lp2p_rt *rt = new_rt(config);
    if (rt == NULL) {
        return LP2P_ENOMEM;
    }
    enum lp2p_err err = start_threads(rt);
    if (err == LP2P_OK) {
        err = open_root(rt);
    }
    if (err != LP2P_OK) {
        end_rt(rt);
        return err;
    }
    lp2p_slot_ask(rt->root, LP2P_CTL_START);
    wait_for_root(rt, LP2P_ROOT_STARTING);
    pthread_mutex_lock(&rt->lock);
    bool ended = rt->root_state == LP2P_ROOT_ENDED && rt->failed_id[0] != '\0';
    err = ended ? rt->root_reason : LP2P_OK;
    if (ended && failed_id != NULL) {
        memcpy(failed_id, rt->failed_id, sizeof(rt->failed_id));
    }
    pthread_mutex_unlock(&rt->lock);
    if (ended) {
        end_rt(rt);
        return err == LP2P_OK ? LP2P_EFAILED : err;
    }
    *out = rt;
    return LP2P_OK;
}

unsigned lp2p_rt_stop(struct lp2p_rt **ref)
{
    struct lp2p_rt *rt = *ref;
    *ref = NULL;
    if (rt == NULL) {
        return 0;
    }
    pthread_mutex_lock(&rt->lock);
    rt->stopping = true;
    bool ended = rt->root_state == LP2P_ROOT_ENDED;
    pthread_mutex_unlock(&rt->lock);
    if (!ended) {
        lp2p_slot_ask(rt->root, LP2P_CTL_STOP);
        wait_for_root(rt, LP2P_ROOT_UP);
    }
    return end_rt(rt);
}

bool lp2p_rt_enter(struct lp2p_rt *rt)
{
    __atomic_fetch_add(&rt->posters, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&rt->closed, __ATOMIC_SEQ_CST) == 0) {
        return true;
    }
    __atomic_fetch_sub(&rt->posters, 1, __ATOMIC_SEQ_CST);
    return false;
}

void lp2p_rt_leave(struct lp2p_rt *rt)
{
    __atomic_fetch_sub(&rt->posters, 1, __ATOMIC_SEQ_CST);
}

enum lp2p_err lp2p_post_inside(struct lp2p_rt *rt, struct lp2p_ref to, struct lp2p_msg **msg)
{
    (*msg)->from = LP2P_REF_NONE;
    return lp2p_mail_send(rt, to, msg, NULL);
}

enum lp2p_err lp2p_post(struct lp2p_rt *rt, struct lp2p_ref to, struct lp2p_msg **msg)
{
    if (!lp2p_rt_enter(rt)) {
        return LP2P_EGONE;
    }
    enum lp2p_err err = lp2p_post_inside(rt, to, msg);
    lp2p_rt_leave(rt);
    return err;
}

enum lp2p_err lp2p_rt_fail(struct lp2p_rt *rt, struct lp2p_ref who)
{
    enum lp2p_err err = LP2P_EGONE;
    if (!lp2p_rt_enter(rt)) {
        return err;
    }
    struct lp2p_slot *slot = lp2p_slot_get(rt, who.slot);
    if (slot != NULL && lp2p_slot_accepts(slot, who.gen) &&
        __atomic_load_n(&slot->live, __ATOMIC_ACQUIRE) != 0) {
        uint32_t gen = who.gen == 0 ? __atomic_load_n(&slot->gen, __ATOMIC_ACQUIRE) : who.gen;
        __atomic_store_n(&slot->fail_gen, gen, __ATOMIC_RELEASE);
        lp2p_slot_ask(slot, LP2P_CTL_FAIL);
        err = LP2P_OK;
    }
    lp2p_rt_leave(rt);
    return err;
}
