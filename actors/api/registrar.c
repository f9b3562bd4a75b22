/* SPDX-License-Identifier: MIT */
#include "actors/api/node.h"
#include "actors/api/stream.h"
#include "actors/link/unread.h"

#include <stdio.h>

#define STATE_MAGIC LP2P_MAGIC('R', 'G', 'T', 'R')
#define OUTBOX_MAX 1024
#define RESPAWN_NS LP2P_MS(100)
#define PROTOCOL_STACK_KIB 512 /* the user's code runs on it */

enum { TIMER_OUTBOX, TIMER_TEND, TIMER_RESPAWN };

struct registrar {
    uint32_t magic;
    struct lp2p_context *ctx;
    struct lp2p_node *node;
    struct lp2p_outbox outbox;
    bool watching; /* the supervisor of the protocols is monitored */
};

/* ---- messages of this file; a registrar that failed leaves orders to the next one */

struct order {
    struct lp2p_msg msg;
    struct lp2p_node *node;
    struct lp2p_protocol *protocol; /* a reference; NULL in POKE */
};

static void drop_order(struct lp2p_msg *msg)
{
    struct order *order = (struct order *)(void *)msg;
    if (order->protocol != NULL) {
        lp2p_protocol_unref(&order->node->registry, order->protocol);
        order->protocol = NULL;
    }
}

static const struct lp2p_msg_class SPAWN = {"PROTOCOL_SPAWN", sizeof(struct order), LP2P_LANE_NORMAL,
                                            drop_order, lp2p_unread_again};
static const struct lp2p_msg_class HALT = {"PROTOCOL_STOP", sizeof(struct order), LP2P_LANE_NORMAL,
                                           drop_order, lp2p_unread_again};
static const struct lp2p_msg_class POKE = {"STREAMS_TEND", sizeof(struct order), LP2P_LANE_NORMAL, NULL, NULL};

static enum lp2p_err give_order(struct lp2p_node *node, const struct lp2p_msg_class *cls,
                                struct lp2p_protocol *protocol)
{
    struct order *order = (struct order *)(void *)lp2p_msg_new(cls);
    if (order == NULL) {
        return LP2P_ENOMEM;
    }
    order->node = node;
    order->protocol = protocol;
    pthread_mutex_lock(&node->registry.lock);
    protocol->refs++;
    pthread_mutex_unlock(&node->registry.lock);
    return lp2p_gate_post(node->gate, LP2P_TO_REGISTRAR, &order->msg);
}

enum lp2p_err lp2p_registrar_spawn(struct lp2p_node *node, struct lp2p_protocol *protocol)
{
    return give_order(node, &SPAWN, protocol);
}

enum lp2p_err lp2p_registrar_stop(struct lp2p_node *node, struct lp2p_protocol *protocol)
{
    return give_order(node, &HALT, protocol);
}

void lp2p_registrar_poke(struct lp2p_gate *gate)
{
    struct lp2p_msg *msg = lp2p_msg_new(&POKE);
    if (msg != NULL) {
        (void)!lp2p_gate_post(gate, LP2P_TO_REGISTRAR,
                              msg); /* full: then it is awake, and tends them anyway */
    }
}

/* ---- protocols */

/* Spawns what is to run and does not. EGONE: their supervisor is being restarted; tried again later. */
static void spawn_one(struct lp2p_actor *self, struct registrar *registrar, struct lp2p_protocol *protocol)
{
    char id[sizeof("proto:") + 128];
    (void)snprintf(id, sizeof(id), "proto:%s", protocol->arg.handler.name);
    const struct lp2p_child_spec spec = {
        .id = id,
        .ops = &lp2p_protocol_ops,
        .arg = &protocol->arg,
        .restart = LP2P_PERMANENT,
        .placement = {.place = LP2P_PLACE_OWN},
        .stack_kib = PROTOCOL_STACK_KIB,
    };
    struct lp2p_ref ref;
    enum lp2p_err err = lp2p_spawn(self, lp2p_names(registrar->ctx)->protocols, &spec, &ref);
    pthread_mutex_lock(&registrar->node->registry.lock);
    protocol->ref = err == LP2P_OK ? (struct lp2p_ref){ref.slot, 0} : protocol->ref;
    protocol->spawning = false;
    pthread_mutex_unlock(&registrar->node->registry.lock);
    if (err == LP2P_EGONE) {
        lp2p_timer_set(self, TIMER_RESPAWN, lp2p_now(self) + RESPAWN_NS);
    } else if (err != LP2P_OK) {
        lp2p_log(registrar->ctx, LP2P_LOG_ERROR, "registrar", "cannot start protocol %s: %s",
                 protocol->arg.handler.name, lp2p_strerror(err));
        lp2p_protocol_set_state(&registrar->node->registry, protocol, LP2P_PROTOCOL_REJECTED, err);
    }
}

static void spawn_missing(struct lp2p_actor *self, struct registrar *registrar)
{
    struct lp2p_registry *registry = &registrar->node->registry;
    for (unsigned round = 0; round < LP2P_USER_PROTOCOLS_MAX; round++) {
        struct lp2p_protocol *found = NULL;
        pthread_mutex_lock(&registry->lock);
        LP2P_LIST_FOREACH(it, &registry->active)
        {
            struct lp2p_protocol *protocol = LP2P_LIST_ENTRY(it, struct lp2p_protocol, link);
            if (found == NULL && lp2p_protocol_claim(protocol)) {
                found = protocol;
                found->refs++;
            }
        }
        pthread_mutex_unlock(&registry->lock);
        if (found == NULL) {
            return;
        }
        spawn_one(self, registrar, found);
        bool later = found->ref.slot == 0 && lp2p_timer_get(self, TIMER_RESPAWN) != LP2P_NEVER;
        lp2p_protocol_unref(registry, found);
        if (later) {
            return;
        }
    }
}

/* Tells the others before the actor ends, so that nothing is sent to a place where nobody is. */
static void withdraw(struct lp2p_actor *self, struct registrar *registrar, struct lp2p_protocol *protocol)
{
    const struct lp2p_names *names = lp2p_names(registrar->ctx);
    const struct lp2p_handler *handler = &protocol->arg.handler;
    struct lp2p_m_message_route *route = LP2P_NEW(MESSAGE_ROUTE, message_route);
    if (route != NULL) {
        (void)snprintf(route->name, sizeof(route->name), "%s", handler->name);
        struct lp2p_msg *msg = &route->msg;
        (void)!lp2p_outbox_send(self, &registrar->outbox, names->messages, &msg);
    }
    struct lp2p_m_register *entry = handler->stream_protocol == NULL ? NULL : LP2P_NEW(REGISTER, register);
    if (entry != NULL) {
        entry->remove = true;
        (void)snprintf(entry->entry.id, sizeof(entry->entry.id), "%s", handler->stream_protocol);
        entry->entry.resident = LP2P_RESIDENT_STREAMS;
        entry->entry.actor = protocol->ref;
        struct lp2p_msg *msg = &entry->msg;
        (void)!lp2p_outbox_send(self, &registrar->outbox, names->swarm, &msg);
    }
    struct lp2p_m_subscribe *subscription = LP2P_NEW(SUBSCRIBE, subscribe);
    if (subscription != NULL) {
        subscription->who = protocol->ref;
        struct lp2p_msg *msg = &subscription->msg;
        (void)!lp2p_outbox_send(self, &registrar->outbox, names->swarm, &msg);
    }
}

static void halt(struct lp2p_actor *self, struct registrar *registrar, struct lp2p_protocol *protocol)
{
    if (protocol->ref.slot == 0) { /* was never spawned */
        lp2p_protocol_set_state(&registrar->node->registry, protocol, LP2P_PROTOCOL_ENDED, LP2P_OK);
        return;
    }
    if (lp2p_ref_eq(protocol->halted, lp2p_self(self))) {
        return;
    }
    if (!protocol->withdrawn) {
        protocol->withdrawn = true;
        withdraw(self, registrar, protocol);
    }
    protocol->halted = lp2p_self(self);
    lp2p_monitor(self, protocol->ref);
    lp2p_stop(self, protocol->ref);
}

/* Orders to stop, and word of an end, that a registrar before this one did not get any more. */
static void halt_leaving(struct lp2p_actor *self, struct registrar *registrar)
{
    struct lp2p_registry *registry = &registrar->node->registry;
    struct lp2p_protocol *found;
    do {
        found = NULL;
        pthread_mutex_lock(&registry->lock);
        LP2P_LIST_FOREACH(it, &registry->leaving)
        {
            struct lp2p_protocol *protocol = LP2P_LIST_ENTRY(it, struct lp2p_protocol, link);
            bool open = protocol->state == LP2P_PROTOCOL_LEAVING && !lp2p_ref_eq(protocol->halted, lp2p_self(self));
            found = found == NULL && open ? protocol : found;
        }
        if (found != NULL) {
            found->refs++;
        }
        pthread_mutex_unlock(&registry->lock);
        if (found != NULL) {
            halt(self, registrar, found);
            lp2p_protocol_unref(registry, found);
        }
    } while (found != NULL);
}

/* A protocol that was stopped has ended, or the supervisor of the protocols has: then all of them are gone
 * with it. */
static void down(struct lp2p_actor *self, struct registrar *registrar, const struct lp2p_msg_down *m)
{
    struct lp2p_registry *registry = &registrar->node->registry;
    if (m->who.slot == lp2p_names(registrar->ctx)->protocols.slot) {
        registrar->watching = false;
        pthread_mutex_lock(&registry->lock);
        LP2P_LIST_FOREACH(it, &registry->active)
        {
            LP2P_LIST_ENTRY(it, struct lp2p_protocol, link)->ref = LP2P_REF_NONE;
        }
        pthread_mutex_unlock(&registry->lock);
        lp2p_timer_set(self, TIMER_RESPAWN, lp2p_now(self) + RESPAWN_NS);
    }
    pthread_mutex_lock(&registry->lock);
    LP2P_LIST_FOREACH_SAFE(it, &registry->leaving)
    {
        struct lp2p_protocol *protocol = LP2P_LIST_ENTRY(it, struct lp2p_protocol, link);
        if (protocol->ref.slot == m->who.slot && protocol->state == LP2P_PROTOCOL_LEAVING) {
            protocol->may_linger = m->reason != LP2P_OK;
            lp2p_user_protocols_ended(registry, protocol);
        }
    }
    pthread_mutex_unlock(&registry->lock);
}

/* ---- the actor */

static void tend(struct lp2p_actor *self, struct registrar *registrar)
{
    uint64_t now = lp2p_gate_clock_ns(), next = lp2p_streams_tend(registrar->node->gate);
    lp2p_timer_set(self, TIMER_TEND, next == LP2P_NEVER ? next : lp2p_now(self) + lp2p_time_since(next, now));
}

static enum lp2p_err registrar_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct registrar *registrar = state;
    registrar->magic = STATE_MAGIC;
    registrar->ctx = (struct lp2p_context *)(uintptr_t)arg; /* shared by all actors of the node */
    registrar->node = registrar->ctx->node;
    lp2p_outbox_init(&registrar->outbox, TIMER_OUTBOX, OUTBOX_MAX);
    /* After a restart orders may have been lost; at the first start the protocols' supervisor may not be up
     * yet. */
    lp2p_timer_set(self, TIMER_RESPAWN, lp2p_now(self) + RESPAWN_NS);
    lp2p_timer_set(self, TIMER_TEND, lp2p_now(self) + RESPAWN_NS);
    return LP2P_OK;
}

static enum lp2p_verdict registrar_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct registrar *registrar = state;
    LP2P_CHECK_MAGIC(registrar, STATE_MAGIC);
    if ((*msg)->cls == &SPAWN) {
        struct lp2p_registry *registry = &registrar->node->registry;
        struct lp2p_protocol *protocol = LP2P_MSG_AS(*msg, &SPAWN, order)->protocol;
        pthread_mutex_lock(&registry->lock);
        bool wanted = lp2p_protocol_claim(protocol); /* the order to stop it may have overtaken this one */
        pthread_mutex_unlock(&registry->lock);
        if (wanted) {
            spawn_one(self, registrar, protocol);
        }
    } else if ((*msg)->cls == &HALT) {
        halt(self, registrar, LP2P_MSG_AS(*msg, &HALT, order)->protocol);
    } else if ((*msg)->cls == &LP2P_MSG_DOWN) {
        down(self, registrar, LP2P_MSG_AS(*msg, &LP2P_MSG_DOWN, lp2p_msg_down));
    }
    tend(self, registrar);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict registrar_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct registrar *registrar = state;
    if (timer == TIMER_OUTBOX) {
        lp2p_outbox_retry(self, &registrar->outbox);
    } else if (timer == TIMER_TEND) {
        tend(self, registrar);
    } else {
        if (!registrar->watching) {
            registrar->watching = true;
            lp2p_monitor(self, lp2p_names(registrar->ctx)->protocols);
        }
        spawn_missing(self, registrar);
        halt_leaving(self, registrar);
    }
    return LP2P_CONTINUE;
}

static void registrar_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    struct registrar *registrar = state;
    lp2p_outbox_fini(&registrar->outbox);
}

const struct lp2p_actor_ops lp2p_registrar_ops = {
    .name = "registrar",
    .state_size = sizeof(struct registrar),
    .init = registrar_init,
    .on_msg = registrar_on_msg,
    .on_timer = registrar_on_timer,
    .fini = registrar_fini,
};
