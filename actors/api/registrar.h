/* SPDX-License-Identifier: MIT
 * The registrar: an actor of its own that never blocks and works for the API. It starts and stops the actors
 * of the user's protocols (a foreign thread cannot spawn), and tends the user's streams (retries, streams
 * that were left).
 *
 * The registry is the list of registered protocols, shared by the API, the registrar and the protocol actors
 * under its lock. */
#ifndef LP2P_API_REGISTRAR_H
#define LP2P_API_REGISTRAR_H

#include "actors/context.h"
#include "base/list.h"

#include <pthread.h>

#define LP2P_USER_PROTOCOLS_MAX 128 /* registered at one time */
#define LP2P_REGISTRAR_ID "registrar"

struct lp2p_gate;

/** arg: struct lp2p_context *. A permanent child of the tree, placement own, with the id LP2P_REGISTRAR_ID,
 * started before anything that can be registered matters; it needs names->protocols, ->swarm and ->messages.
 */
extern const struct lp2p_actor_ops lp2p_registrar_ops;

enum lp2p_protocol_state {
    LP2P_PROTOCOL_IDLE,     /* registered; the node does not run */
    LP2P_PROTOCOL_STARTING, /* the registrar was asked to spawn it */
    LP2P_PROTOCOL_RUNNING,
    LP2P_PROTOCOL_REJECTED, /* could not be spawned, or its first on_start failed: start_err */
    LP2P_PROTOCOL_LEAVING,  /* the registrar was asked to stop it */
    LP2P_PROTOCOL_ENDED,
};

/** One registered protocol. */
struct lp2p_protocol {
    struct lp2p_protocol_arg arg; /* the first member: the child spec's arg */
    uint32_t magic;
    /* Guarded by the registry's lock. */
    uint32_t refs;
    struct lp2p_list link; /* in registry.active or registry.leaving */
    enum lp2p_protocol_state state;
    enum lp2p_err start_err;
    bool spawning;       /* the registrar is about to set ref */
    bool in_callback;    /* a callback of the handler runs */
    bool may_linger;     /* it did not end cleanly: its memory stays until the node is stopped */
    struct lp2p_ref ref; /* gen 0; the registrar's */
    /* The registrar's alone: */
    bool withdrawn;          /* the others were told that it leaves */
    struct lp2p_ref halted;  /* the registrar, of which generation, that waits for its end */
};

struct lp2p_registry {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a state or in_callback has changed */
    struct lp2p_list active, leaving;
    unsigned len;
};

void lp2p_user_protocols_init(struct lp2p_registry *registry);
void lp2p_user_protocols_fini(struct lp2p_registry *registry);
/** The node was started: asks for all registered protocols to be spawned, and waits until they are up or
 * refused. */
void lp2p_user_protocols_start(struct lp2p_node *node);
/** The node's threads have ended; `abandoned`: all but some that hang in callbacks. */
void lp2p_user_protocols_stopped(struct lp2p_registry *registry, bool abandoned);

/** With the lock held: its actor has ended. Forgets it if nobody waits for that. */
void lp2p_user_protocols_ended(struct lp2p_registry *registry, struct lp2p_protocol *protocol);

void lp2p_protocol_unref(struct lp2p_registry *registry, struct lp2p_protocol *protocol);
/** Of one that was unregistered meanwhile nothing but its end changes the state: who starts it does not know yet. */
void lp2p_protocol_set_state(struct lp2p_registry *registry, struct lp2p_protocol *protocol,
                             enum lp2p_protocol_state state, enum lp2p_err err);

/** With the lock held: true if it is to run and was not spawned; the registrar, who asks, spawns it then. */
bool lp2p_protocol_claim(struct lp2p_protocol *protocol);

/* What the registrar is asked to do. */
enum lp2p_err lp2p_registrar_spawn(struct lp2p_node *node, struct lp2p_protocol *protocol) LP2P_MUST_CHECK;
enum lp2p_err lp2p_registrar_stop(struct lp2p_node *node, struct lp2p_protocol *protocol) LP2P_MUST_CHECK;
/** There is something for lp2p_streams_tend. */
void lp2p_registrar_poke(struct lp2p_gate *gate);

#endif
