/* SPDX-License-Identifier: MIT
 * The node from the inside: life cycle, registry of the user's protocols, event queue. Only actors/api sees
 * this struct; actors know the context. */
#ifndef LP2P_API_NODE_H
#define LP2P_API_NODE_H

#include "actors/api/events.h"
#include "actors/api/gate.h"
#include "actors/api/registrar.h"

#define LP2P_SYNC_WAIT_MS 5000 /* calls that only ask the node's own actors wait at most this long */

struct lp2p_node {
    struct lp2p_context ctx; /* the first member: actors hold pointers to it */
    struct lp2p_gate *gate;
    pthread_mutex_t life; /* start, stop: one at a time; held while threads are started and joined */
    /* Guarded by life. */
    struct lp2p_rt *rt;
    struct lp2p_tree *tree;
    bool abandoned;      /* a thread did not end: its memory must stay, the node cannot start again */
    uint64_t started_ns; /* atomic; 0: not running */
    pthread_mutex_t log_lock;
    struct lp2p_registry registry;
    struct lp2p_events events;
};

/* Which callback this thread runs, so that a call that would wait for that very callback is refused instead
 * of hanging. */
struct lp2p_callback {
    const struct lp2p_node *node;
    const void *protocol; /* struct lp2p_protocol *, or NULL on the notifier */
};
/** Marks this thread; returns what was marked before, for lp2p_callback_leave. */
struct lp2p_callback lp2p_callback_enter(const struct lp2p_node *node, const void *protocol);
void lp2p_callback_leave(struct lp2p_callback before);
struct lp2p_callback lp2p_callback_current(void);

/** Posts a message that carries `op` (already put into the message with a reference of its own), and hands
 * the op to the caller; on failure the op is freed and nothing was started. */
enum lp2p_err lp2p_node_submit(struct lp2p_node *node, enum lp2p_gate_to to, struct lp2p_msg *msg,
                               struct lp2p_op *op, struct lp2p_op **out) LP2P_MUST_CHECK;
/** An operation for a call whose caller may not want one: *op stays NULL when out is NULL. */
enum lp2p_err lp2p_node_op(struct lp2p_node *node, struct lp2p_op **out, struct lp2p_op **op) LP2P_MUST_CHECK;
/** Peer id from its text, or from a multiaddr that ends in /p2p/ID. EINVAL. */
enum lp2p_err lp2p_parse_peer(const char *text, struct lp2p_peer_id *out) LP2P_MUST_CHECK;
/** The infos of all connected peers in a finished operation, which the caller frees. */
enum lp2p_err lp2p_node_list_peers(struct lp2p_node *node, bool connected_only,
                                   const struct lp2p_peer_id *one, struct lp2p_op **op) LP2P_MUST_CHECK;

#endif
