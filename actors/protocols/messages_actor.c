/* SPDX-License-Identifier: MIT
 * The messages actor: /lotus/message/1.0.0 in both directions, with a thread of its own. */
#include "actors/protocols/messages_private.h"

#include <stdlib.h>

static bool is_outbound(struct lp2p_pstream *stream)
{
    return LP2P_CONTAINER_OF(stream, struct lp2p_message_stream, stream)->outbound;
}

static void on_opened(void *ctx, struct lp2p_m_stream_opened *opened)
{
    if (opened->outbound) {
        lp2p_messages_out_opened(ctx, opened);
    } else {
        lp2p_messages_in_opened(ctx, opened);
    }
}

static void on_data(void *ctx, struct lp2p_pstream *stream, struct lp2p_slice *data)
{
    /* A receiver has nothing to say; without a grant of window it cannot say much. */
    if (!is_outbound(stream)) {
        lp2p_messages_in_data(ctx, stream, data);
    }
}

static void on_eof(void *ctx, struct lp2p_pstream *stream)
{
    /* Outbound with our end still to come: it waits for credit, and is over when that was used. */
    if (!is_outbound(stream)) {
        lp2p_messages_in_eof(ctx, stream);
    }
}

static void on_writable(void *ctx, struct lp2p_pstream *stream)
{
    if (is_outbound(stream)) {
        lp2p_messages_out_writable(ctx, stream);
    }
}

static void on_expired(void *ctx, struct lp2p_pstream *stream)
{
    struct lp2p_messages *state = ctx;
    if (is_outbound(stream)) {
        lp2p_messages_out_expired(state, stream);
    } else {
        lp2p_pstream_abort(&state->streams, stream, LP2P_ETIMEDOUT);
    }
}

static void on_ended(void *ctx, struct lp2p_pstream *stream, enum lp2p_err reason)
{
    if (is_outbound(stream)) {
        lp2p_messages_out_ended(ctx, stream, reason);
    } else {
        lp2p_messages_in_ended(ctx, stream);
    }
}

static const struct lp2p_pstream_ops stream_ops = {
    .opened = on_opened,
    .data = on_data,
    .eof = on_eof,
    .writable = on_writable,
    .expired = on_expired,
    .ended = on_ended,
};

static enum lp2p_verdict on_msg(struct lp2p_actor *self, void *opaque, struct lp2p_msg **msg)
{
    struct lp2p_messages *state = opaque;
    if (lp2p_pstreams_handle(&state->streams, *msg)) {
        /* done */
    } else if (LP2P_IS(*msg, MESSAGE_SEND)) {
        lp2p_messages_out_send(state, LP2P_AS(*msg, MESSAGE_SEND, message_send));
    } else if (LP2P_IS(*msg, STREAM_OPEN_FAILED)) {
        lp2p_messages_out_open_failed(state, LP2P_AS(*msg, STREAM_OPEN_FAILED, stream_open_failed));
    } else if (LP2P_IS(*msg, MESSAGE_ROUTE)) {
        lp2p_messages_route_change(state, LP2P_AS(*msg, MESSAGE_ROUTE, message_route));
    }
    lp2p_account_bytes(self, state->receiving_bytes + state->send_bytes);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict on_timer(struct lp2p_actor *self, void *opaque, unsigned timer)
{
    struct lp2p_messages *state = opaque;
    switch (timer) {
    case LP2P_MESSAGES_TIMER_OUTBOX:
        lp2p_outbox_retry(self, &state->outbox);
        break;
    case LP2P_MESSAGES_TIMER_STREAMS:
        lp2p_pstreams_tick(&state->streams);
        break;
    case LP2P_MESSAGES_TIMER_OPENING:
        lp2p_messages_out_tick(state);
        break;
    default:
        lp2p_messages_route_retry(state);
        break;
    }
    return LP2P_CONTINUE;
}

static enum lp2p_err init(struct lp2p_actor *self, void *opaque, const void *arg)
{
    struct lp2p_messages *state = opaque;
    state->self = self;
    state->ctx = (struct lp2p_context *)(uintptr_t)arg;
    state->routes = state->ctx->message_routes;
    lp2p_messages_out_init(state);
    lp2p_outbox_init(&state->outbox, LP2P_MESSAGES_TIMER_OUTBOX, LP2P_PROTOCOL_OUTBOX_MAX);
    lp2p_pstreams_init(&state->streams, &stream_ops, state, self, &state->outbox,
                       LP2P_MESSAGES_TIMER_STREAMS);
    return lp2p_protocol_offer(self, &state->outbox, state->ctx, LP2P_LOTUS_MESSAGE_PROTOCOL,
                               LP2P_RECEIVE_STREAMS_MAX);
}

static void fini(struct lp2p_actor *self, void *opaque, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    struct lp2p_messages *state = opaque;
    state->ending = true;
    lp2p_pstreams_fini(&state->streams);
    lp2p_messages_out_fini(state);
    lp2p_messages_route_fini(state);
    lp2p_lotus_seen_free(state->seen);
    lp2p_outbox_fini(&state->outbox);
}

const struct lp2p_actor_ops lp2p_messages_ops = {
    .name = "messages",
    .state_size = sizeof(struct lp2p_messages),
    .init = init,
    .on_msg = on_msg,
    .on_timer = on_timer,
    .fini = fini,
};
