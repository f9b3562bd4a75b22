/* SPDX-License-Identifier: MIT
 * The notifier: the one thread on which event and completion callbacks of the user run. They may block; then
 * events wait in its mailbox, further ones are dropped by their senders and counted, and completions wait in
 * the gate's list, which loses none. */
#include "actors/api/node.h"
#include "actors/api/op_private.h"

#define STATE_MAGIC LP2P_MAGIC('N', 'T', 'F', 'R')
#define OUTBOX_MAX 4

enum { TIMER_OUTBOX, TIMER_COMPLETE };

struct notifier {
    uint32_t magic;
    struct lp2p_context *ctx;
    struct lp2p_node *node;
    struct lp2p_outbox outbox;
};

static enum lp2p_err notifier_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct notifier *notifier = state;
    notifier->magic = STATE_MAGIC;
    notifier->ctx = (struct lp2p_context *)(uintptr_t)arg; /* shared by all actors of the node */
    notifier->node = notifier->ctx->node;
    lp2p_outbox_init(&notifier->outbox, TIMER_OUTBOX, OUTBOX_MAX);
    struct lp2p_m_subscribe *m = LP2P_NEW(SUBSCRIBE, subscribe);
    if (m == NULL) {
        return LP2P_ENOMEM;
    }
    m->who = (struct lp2p_ref){lp2p_self(self).slot, 0};
    m->what = LP2P_SUB_PEERS;
    struct lp2p_msg *msg = &m->msg;
    (void)!lp2p_outbox_send(self, &notifier->outbox, lp2p_names(notifier->ctx)->swarm, &msg);
    lp2p_timer_set(self, TIMER_COMPLETE, lp2p_now(self)); /* what was left by an instance that failed */
    return LP2P_OK;
}

static void complete(struct notifier *notifier)
{
    struct lp2p_callback before = lp2p_callback_enter(notifier->node, NULL);
    lp2p_ops_complete(notifier->node->gate);
    lp2p_callback_leave(before);
}

static void publish(struct lp2p_actor *self, struct notifier *notifier, struct lp2p_event_source *source)
{
    source->time_ms = lp2p_wall_ms(self);
    struct lp2p_callback before = lp2p_callback_enter(notifier->node, NULL);
    lp2p_events_publish(&notifier->node->events, notifier->node, source,
                        &notifier->ctx->counters.events_lost);
    lp2p_callback_leave(before);
}

static void on_peer(struct lp2p_actor *self, struct notifier *notifier, const struct lp2p_msg *msg)
{
    const struct lp2p_m_peer *m = (const struct lp2p_m_peer *)(const void *)msg;
    struct lp2p_event_source source = {.info = m->info, .err = m->reason};
    source.kind = LP2P_IS(msg, PEER_CONNECTED)      ? LP2P_EVENT_CONNECT
                  : LP2P_IS(msg, PEER_DISCONNECTED) ? LP2P_EVENT_DISCONNECT
                  : LP2P_IS(msg, PEER_DISCOVERED)   ? LP2P_EVENT_DISCOVERY
                                                    : LP2P_EVENT_UPDATE;
    publish(self, notifier, &source);
}

static enum lp2p_verdict notifier_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct notifier *notifier = state;
    LP2P_CHECK_MAGIC(notifier, STATE_MAGIC);
    if (LP2P_IS(*msg, NOTIFY)) {
        struct lp2p_m_notify *m = LP2P_AS(*msg, NOTIFY, notify);
        if (m->kind >= 0) {
            struct lp2p_event_source source = {.kind = (enum lp2p_event_kind)m->kind,
                                               .info = m->info,
                                               .err = m->err,
                                               .json = m->json.buf == NULL ? NULL : &m->json,
                                               .number = m->number,
                                               .detail = m->detail};
            publish(self, notifier, &source);
        }
    } else if (LP2P_IS(*msg, MESSAGE)) {
        struct lp2p_m_message *m = LP2P_AS(*msg, MESSAGE, message);
        struct lp2p_event_source source = {.kind = LP2P_EVENT_MESSAGE, .peer = &m->peer, .json = &m->json};
        publish(self, notifier, &source);
    } else if (LP2P_IS(*msg, PEER_CONNECTED) || LP2P_IS(*msg, PEER_DISCONNECTED) ||
               LP2P_IS(*msg, PEER_DISCOVERED) || LP2P_IS(*msg, PEER_UPDATED)) {
        on_peer(self, notifier, *msg);
    }
    complete(notifier);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict notifier_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct notifier *notifier = state;
    if (timer == TIMER_OUTBOX) {
        lp2p_outbox_retry(self, &notifier->outbox);
    } else {
        complete(notifier);
    }
    return LP2P_CONTINUE;
}

static void notifier_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    lp2p_outbox_fini(&((struct notifier *)state)->outbox);
}

const struct lp2p_actor_ops lp2p_notifier_ops = {
    .name = "notifier",
    .state_size = sizeof(struct notifier),
    .init = notifier_init,
    .on_msg = notifier_on_msg,
    .on_timer = notifier_on_timer,
    .fini = notifier_fini,
};
