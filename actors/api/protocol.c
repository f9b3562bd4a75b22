/* SPDX-License-Identifier: MIT
 * The actor of one protocol of the user: a thread of its own on which the handler's callbacks run. They may
 * block; what comes meanwhile waits in the mailbox, and when that is full its senders know. */
#include "actors/api/node.h"
#include "actors/api/view.h"
#include "actors/protocols/lotus_message.h"

#include <stdio.h>

#define STATE_MAGIC LP2P_MAGIC('P', 'R', 'A', 'C')
#define OUTBOX_MAX 16

enum { TIMER_OUTBOX };

struct protocol_state {
    uint32_t magic;
    struct lp2p_protocol *protocol;
    struct lp2p_node *node;
    struct lp2p_outbox outbox;
    bool rejected; /* on_start refused at the first start: waits to be stopped */
};

/* ---- callbacks: marked, so that a call from inside that would wait for them is refused */

static struct lp2p_callback enter(struct protocol_state *state)
{
    struct lp2p_registry *registry = &state->node->registry;
    pthread_mutex_lock(&registry->lock);
    state->protocol->in_callback = true;
    pthread_mutex_unlock(&registry->lock);
    return lp2p_callback_enter(state->node, state->protocol);
}

static void leave(struct protocol_state *state, struct lp2p_callback before)
{
    struct lp2p_registry *registry = &state->node->registry;
    lp2p_callback_leave(before);
    pthread_mutex_lock(&registry->lock);
    state->protocol->in_callback = false;
    pthread_cond_broadcast(&registry->changed);
    pthread_mutex_unlock(&registry->lock);
}

static bool leaving(struct protocol_state *state)
{
    struct lp2p_registry *registry = &state->node->registry;
    pthread_mutex_lock(&registry->lock);
    bool is = state->protocol->state == LP2P_PROTOCOL_LEAVING;
    pthread_mutex_unlock(&registry->lock);
    return is;
}

/* ---- start */

static enum lp2p_err send_all(struct lp2p_actor *self, struct protocol_state *state, struct lp2p_ref to,
                              struct lp2p_msg *msg)
{
    return msg == NULL ? LP2P_ENOMEM : lp2p_outbox_send(self, &state->outbox, to, &msg);
}

/* Lets the others know: messages by our name come here, streams of our protocol too, and what happens to
 * peers. */
static enum lp2p_err announce(struct lp2p_actor *self, struct protocol_state *state)
{
    const struct lp2p_names *names = lp2p_names(state->protocol->arg.ctx);
    const struct lp2p_handler *handler = &state->protocol->arg.handler;
    const struct lp2p_ref me = {lp2p_self(self).slot, 0}; /* outlives restarts */
    struct lp2p_m_message_route *route = LP2P_NEW(MESSAGE_ROUTE, message_route);
    if (route != NULL) {
        (void)snprintf(route->name, sizeof(route->name), "%s", handler->name);
        route->who = me;
    }
    enum lp2p_err err = send_all(self, state, names->messages, route == NULL ? NULL : &route->msg);
    if (err == LP2P_OK && handler->handle_stream != NULL) {
        struct lp2p_m_register *m = LP2P_NEW(REGISTER, register);
        if (m != NULL) {
            (void)snprintf(m->entry.id, sizeof(m->entry.id), "%s", handler->stream_protocol);
            m->entry.resident = LP2P_RESIDENT_STREAMS;
            m->entry.actor = me;
            m->entry.streams_in_max = 128;
        }
        err = send_all(self, state, names->swarm, m == NULL ? NULL : &m->msg);
    }
    bool peers = handler->on_peer_discovered != NULL || handler->on_peer_connected != NULL ||
                 handler->on_peer_disconnected != NULL || handler->on_peer_updated != NULL;
    if (err == LP2P_OK && peers) {
        struct lp2p_m_subscribe *m = LP2P_NEW(SUBSCRIBE, subscribe);
        if (m != NULL) {
            m->who = me;
            m->what = LP2P_SUB_PEERS;
        }
        err = send_all(self, state, names->swarm, m == NULL ? NULL : &m->msg);
    }
    return err;
}

static enum lp2p_err protocol_init(struct lp2p_actor *self, void *memory, const void *arg)
{
    struct protocol_state *state = memory;
    state->magic = STATE_MAGIC;
    state->protocol = (struct lp2p_protocol *)(uintptr_t)arg;
    struct lp2p_protocol_arg *spec = &state->protocol->arg;
    state->node = spec->ctx->node;
    lp2p_outbox_init(&state->outbox, TIMER_OUTBOX, OUTBOX_MAX);
    unsigned starts = spec->starts++;
    enum lp2p_err err = LP2P_OK;
    if (spec->handler.on_start != NULL) {
        struct lp2p_callback before = enter(state);
        err = spec->handler.on_start(spec->handler.user, state->node, starts);
        leave(state, before);
    }
    if (err == LP2P_OK) {
        err = announce(self, state);
    }
    if (err != LP2P_OK && starts == 0) {
        /* Refused when it was registered: that is the answer of lp2p_node_register, not a failure to be
         * repeated. */
        state->rejected = true;
        lp2p_protocol_set_state(&state->node->registry, state->protocol, LP2P_PROTOCOL_REJECTED, err);
        return LP2P_OK;
    }
    if (err != LP2P_OK) {
        lp2p_outbox_fini(&state->outbox);
        return err;
    }
    lp2p_protocol_set_state(&state->node->registry, state->protocol, LP2P_PROTOCOL_RUNNING, LP2P_OK);
    return LP2P_OK;
}

/* ---- work */

static void on_message(struct protocol_state *state, const struct lp2p_m_message *m)
{
    const struct lp2p_handler *handler = &state->protocol->arg.handler;
    struct lp2p_lotus_message message;
    if (handler->handle_message == NULL ||
        lp2p_lotus_message_parse(lp2p_slice_span(&m->json), 0, &message, NULL) != LP2P_OK) {
        return; /* was checked by who sent it here */
    }
    char peer[LP2P_PEER_TEXT_MAX];
    lp2p_peer_id_text(&m->peer, peer);
    struct lp2p_callback before = enter(state);
    enum lp2p_err err = handler->handle_message(handler->user, state->node, &message.view, peer);
    leave(state, before);
    if (err != LP2P_OK) {
        char type[64];
        lp2p_printable(message.type, type, sizeof(type));
        lp2p_log(state->protocol->arg.ctx, LP2P_LOG_WARN, "protocols",
                 "%s: the handler of a message of type %s from %s failed: %s", handler->name, type, peer,
                 lp2p_strerror(err));
    }
    lp2p_lotus_message_fini(&message);
}

static void on_peer(struct protocol_state *state, const struct lp2p_m_peer *m)
{
    const struct lp2p_handler *handler = &state->protocol->arg.handler;
    void (*fn)(void *, struct lp2p_node *, const struct lp2p_peer *) =
        LP2P_IS(&m->msg, PEER_DISCOVERED)     ? handler->on_peer_discovered
        : LP2P_IS(&m->msg, PEER_CONNECTED)    ? handler->on_peer_connected
        : LP2P_IS(&m->msg, PEER_DISCONNECTED) ? handler->on_peer_disconnected
                                              : handler->on_peer_updated;
    struct lp2p_peer *peer = fn == NULL || m->info == NULL ? NULL : lp2p_peers_view(&m->info, 1);
    if (peer != NULL) {
        struct lp2p_callback before = enter(state);
        fn(handler->user, state->node, peer);
        leave(state, before);
        lp2p_peers_free(peer, 1);
    }
}

static void on_stream(struct protocol_state *state, struct lp2p_m_user_stream *m)
{
    const struct lp2p_handler *handler = &state->protocol->arg.handler;
    if (handler->handle_stream != NULL) {
        struct lp2p_stream *stream = m->stream;
        m->stream = NULL; /* the user's from here on */
        struct lp2p_callback before = enter(state);
        handler->handle_stream(handler->user, state->node, stream);
        leave(state, before);
    }
}

static enum lp2p_verdict protocol_on_msg(struct lp2p_actor *self, void *memory, struct lp2p_msg **msg)
{
    (void)self;
    struct protocol_state *state = memory;
    LP2P_CHECK_MAGIC(state, STATE_MAGIC);
    if (state->rejected || leaving(state)) {
        return LP2P_CONTINUE; /* nothing is called any more once unregister has begun */
    }
    if (LP2P_IS(*msg, MESSAGE)) {
        on_message(state, LP2P_AS(*msg, MESSAGE, message));
    } else if (LP2P_IS(*msg, USER_STREAM)) {
        on_stream(state, LP2P_AS(*msg, USER_STREAM, user_stream));
    } else if (LP2P_IS(*msg, PEER_CONNECTED) || LP2P_IS(*msg, PEER_DISCONNECTED) ||
               LP2P_IS(*msg, PEER_DISCOVERED) || LP2P_IS(*msg, PEER_UPDATED)) {
        on_peer(state, (const struct lp2p_m_peer *)(const void *)*msg);
    } else if (LP2P_IS(*msg, REGISTERED)) {
        enum lp2p_err result = LP2P_AS(*msg, REGISTERED, registered)->result;
        if (result != LP2P_OK) {
            lp2p_log(state->protocol->arg.ctx, LP2P_LOG_ERROR, "protocols",
                     "%s: stream protocol %s was refused: %s", state->protocol->arg.handler.name,
                     state->protocol->arg.handler.stream_protocol, lp2p_strerror(result));
        }
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict protocol_on_timer(struct lp2p_actor *self, void *memory, unsigned timer)
{
    (void)timer;
    lp2p_outbox_retry(self, &((struct protocol_state *)memory)->outbox);
    return LP2P_CONTINUE;
}

static void protocol_fini(struct lp2p_actor *self, void *memory, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    lp2p_outbox_fini(&((struct protocol_state *)memory)->outbox);
}

const struct lp2p_actor_ops lp2p_protocol_ops = {
    .name = "protocol",
    .state_size = sizeof(struct protocol_state),
    .init = protocol_init,
    .on_msg = protocol_on_msg,
    .on_timer = protocol_on_timer,
    .fini = protocol_fini,
};
