/* SPDX-License-Identifier: MIT */
#include "runtime/actor.h"

#include "runtime/child.h"
#include "runtime/control.h"
#include "runtime/group.h"
#include "runtime/mailbox.h"
#include "runtime/registry.h"

#include <time.h>

#define SIM_EPOCH_MS 1700000000000u /* wall clock of a simulated runtime at virtual time 0 */

struct lp2p_ref lp2p_self(const struct lp2p_actor *self)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    return self->ref;
}

struct lp2p_rt *lp2p_actor_rt(const struct lp2p_actor *self)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    return self->rt;
}

const char *lp2p_actor_id(const struct lp2p_actor *self)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    return self->info->id;
}

lp2p_time lp2p_now(const struct lp2p_actor *self)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    return self->driver->now;
}

uint64_t lp2p_wall_ms(const struct lp2p_actor *self)
{
    if (self->rt->config.simulated) {
        return SIM_EPOCH_MS + self->rt->sim_now / LP2P_MS(1);
    }
    struct timespec ts;
    LP2P_CHECK(clock_gettime(CLOCK_REALTIME, &ts) == 0);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

const struct lp2p_rand *lp2p_actor_rand(const struct lp2p_actor *self)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    return &self->driver->rand;
}

/* The counters are the slot's; a body whose seat was condemned must not touch its successor's. */
static bool condemned(const struct lp2p_actor *self)
{
    return __atomic_load_n(&self->seat->run, __ATOMIC_ACQUIRE) == LP2P_RUN_CONDEMNED;
}

enum lp2p_err lp2p_send(struct lp2p_actor *self, struct lp2p_ref to, struct lp2p_msg **msg)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    if (condemned(self)) {
        return LP2P_EGONE;
    }
    bool woke = false;
    (*msg)->from = self->ref;
    enum lp2p_err err = lp2p_mail_send(self->rt, to, msg, &woke);
    struct lp2p_slot_stats *stats = &self->slot->stats;
    if (err == LP2P_OK) {
        lp2p_count(&stats->msgs_out, 1);
        if (woke) {
            lp2p_count(&stats->wakeups, 1);
        }
    } else if (err == LP2P_EFULL) {
        lp2p_count(&stats->sends_refused, 1);
    }
    return err;
}

enum lp2p_err lp2p_reply(struct lp2p_actor *self, const struct lp2p_msg *request, struct lp2p_msg **msg)
{
    (*msg)->tag = request->tag;
    return lp2p_send(self, request->from, msg);
}

void lp2p_send_or_drop(struct lp2p_actor *self, struct lp2p_ref to, struct lp2p_msg **msg)
{
    if (lp2p_send(self, to, msg) != LP2P_OK) {
        lp2p_msg_drop(msg);
        lp2p_count(&self->slot->stats.sends_dropped, 1);
    }
}

void lp2p_unread(struct lp2p_actor *self, struct lp2p_msg **msg, enum lp2p_err why)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    lp2p_mail_unread(self->rt, msg, why);
}

static struct lp2p_ctl_monitor *monitor_msg(struct lp2p_actor *self, const struct lp2p_msg_class *cls,
                                            struct lp2p_ref other)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    struct lp2p_ctl_monitor *monitor = (struct lp2p_ctl_monitor *)(void *)lp2p_msg_new(cls);
    if (monitor == NULL) {
        self->broken = true; /* who cannot learn of an end must not go on as if it would */
        return NULL;
    }
    monitor->down.msg.from = self->ref;
    monitor->down.who = other;
    return monitor;
}

void lp2p_monitor(struct lp2p_actor *self, struct lp2p_ref other)
{
    struct lp2p_ctl_monitor *monitor = monitor_msg(self, &lp2p_monitor_class, other);
    if (monitor != NULL) {
        struct lp2p_msg *msg = &monitor->down.msg;
        if (lp2p_mail_send(self->rt, other, &msg, NULL) != LP2P_OK) {
            lp2p_monitor_fire(self->rt, monitor, LP2P_EGONE);
        }
    }
}

void lp2p_demonitor(struct lp2p_actor *self, struct lp2p_ref other)
{
    struct lp2p_ctl_monitor *monitor = monitor_msg(self, &lp2p_demonitor_class, other);
    if (monitor != NULL) {
        struct lp2p_msg *msg = &monitor->down.msg;
        if (lp2p_mail_send(self->rt, other, &msg, NULL) != LP2P_OK) {
            lp2p_msg_drop(&msg);
        }
    }
}

void lp2p_stop(struct lp2p_actor *self, struct lp2p_ref who)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    struct lp2p_slot *slot = lp2p_slot_get(self->rt, who.slot);
    if (slot == NULL || !lp2p_slot_accepts(slot, who.gen)) {
        return;
    }
    struct lp2p_ref sup = lp2p_ref_unpack(__atomic_load_n(&slot->sup, __ATOMIC_ACQUIRE));
    struct lp2p_notice *notice = lp2p_notice_new(LP2P_NOTICE_STOP_CHILD);
    if (notice == NULL) {
        self->broken = true;
        return;
    }
    notice->who = who;
    struct lp2p_msg *msg = &notice->msg;
    if (lp2p_mail_send(self->rt, sup, &msg, NULL) != LP2P_OK) {
        lp2p_msg_drop(&msg); /* its supervisor is ending, and it with it; or it is the root */
    }
}

struct lp2p_ref lp2p_resident(const struct lp2p_actor *self, unsigned index)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    if (index >= LP2P_RESIDENTS_MAX || self->group >= LP2P_GROUPS_MAX) {
        return LP2P_REF_NONE;
    }
    uint32_t slot = __atomic_load_n(&lp2p_residents_of(self->driver, self->group)[index], __ATOMIC_ACQUIRE);
    if (slot == 0 && !condemned(self)) {
        slot = lp2p_resident_make(self->rt, self->group, index, self->driver);
    }
    return (struct lp2p_ref){slot == LP2P_RESIDENT_ENDED ? 0 : slot, 0};
}

void lp2p_account_bytes(struct lp2p_actor *self, size_t bytes)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    if (!condemned(self)) {
        __atomic_store_n(&self->slot->stats.account_bytes, bytes, __ATOMIC_RELAXED);
    }
}
