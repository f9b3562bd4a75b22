/* SPDX-License-Identifier: MIT
 * The ping resident: one on each I/O thread, so that an answer costs no wake-up. Echoes inbound streams; on
 * outbound ones, which come with the operation of who asked, it measures one round trip. Always a fresh
 * stream: js-libp2p 1.x answers one ping each. */
#include "actors/protocols/ping.h"
#include "actors/protocols/streams.h"
#include "runtime/pool.h"

#include <stdlib.h>

#define IDLE_NS LP2P_SEC(60)   /* an inbound stream without a ping */
#define ANSWER_NS LP2P_SEC(10) /* for our own ping, and for the peer's end after it */

enum { TIMER_OUTBOX, TIMER_STREAMS };

struct ping_stream {
    struct lp2p_pstream stream;
    bool asking;
    struct lp2p_op *op; /* asking: NULL once it has its answer */
    lp2p_time sent;
    struct lp2p_ping_probe probe;
    struct lp2p_ping_echo echo;
};

struct ping_state {
    struct lp2p_actor *self;
    struct lp2p_outbox outbox;
    struct lp2p_pstreams streams;
};

static struct ping_stream *ping_of(struct lp2p_pstream *stream)
{
    return LP2P_CONTAINER_OF(stream, struct ping_stream, stream);
}

static void extend(struct ping_state *state, struct ping_stream *ping, uint64_t span_ns)
{
    lp2p_pstream_deadline(&state->streams, &ping->stream, lp2p_time_add(lp2p_now(state->self), span_ns));
}

static void ask(struct ping_state *state, struct ping_stream *ping)
{
    lp2p_ping_probe_init(&ping->probe, lp2p_actor_rand(state->self));
    struct lp2p_slice block = lp2p_slice_copy(ping->probe.sent, LP2P_PING_BYTES);
    ping->sent = lp2p_now(state->self);
    if (block.buf == NULL) {
        lp2p_pstream_abort(&state->streams, &ping->stream, LP2P_ENOMEM);
        return;
    }
    (void)lp2p_pstream_write(&state->streams, &ping->stream, &block);
}

static void on_opened(void *ctx, struct lp2p_m_stream_opened *m)
{
    struct ping_state *state = ctx;
    struct ping_stream *ping = calloc(1, sizeof(*ping));
    lp2p_time deadline = lp2p_time_add(lp2p_now(state->self), m->outbound ? ANSWER_NS : IDLE_NS);
    if (ping == NULL) {
        lp2p_pstreams_refuse(&state->streams, m->id, LP2P_ENOMEM);
        return; /* dropping the message ends the operation */
    }
    if (lp2p_pstreams_add(&state->streams, &ping->stream, m, deadline) != LP2P_OK) {
        free(ping);
        return;
    }
    if (m->outbound) {
        ping->asking = true;
        ping->op = m->op;
        m->op = NULL;
        ask(state, ping);
    }
}

static void on_answer(struct ping_state *state, struct ping_stream *ping, struct lp2p_span in)
{
    enum lp2p_err err = ping->op == NULL ? LP2P_EPROTO : lp2p_ping_probe_feed(&ping->probe, in);
    if (err == LP2P_EAGAIN) {
        return;
    }
    if (err != LP2P_OK) {
        lp2p_pstream_abort(&state->streams, &ping->stream, err);
        return;
    }
    lp2p_op_set_number(ping->op, lp2p_time_since(lp2p_now(state->self), ping->sent));
    lp2p_op_finish(ping->op, LP2P_OK, NULL);
    lp2p_op_drop(&ping->op);
    if (lp2p_pstream_close(&state->streams, &ping->stream)) {
        extend(state, ping, ANSWER_NS);
    }
}

static void on_question(struct ping_state *state, struct ping_stream *ping, struct lp2p_span in)
{
    /* A peer that asks without reading the answers would make us keep them. */
    if (!lp2p_pstream_flushed(&ping->stream) && ping->stream.credit < in.len + LP2P_PING_BYTES) {
        lp2p_pstream_abort(&state->streams, &ping->stream, LP2P_EFLOOD);
        return;
    }
    struct lp2p_buf *buf = lp2p_pool_buf(in.len + LP2P_PING_BYTES);
    if (buf == NULL) {
        lp2p_pstream_abort(&state->streams, &ping->stream, LP2P_ENOMEM);
        return;
    }
    size_t len = lp2p_ping_echo_feed(&ping->echo, in, buf->bytes);
    if (len > 0) {
        struct lp2p_slice blocks = lp2p_slice_of(buf, buf->bytes, len);
        extend(state, ping, IDLE_NS);
        (void)lp2p_pstream_write(&state->streams, &ping->stream, &blocks);
    }
    lp2p_buf_drop(&buf);
}

static void on_data(void *ctx, struct lp2p_pstream *stream, struct lp2p_slice *data)
{
    struct ping_state *state = ctx;
    lp2p_pstream_consumed(&state->streams, stream, data->len);
    if (ping_of(stream)->asking) {
        on_answer(state, ping_of(stream), lp2p_slice_span(data));
    } else {
        on_question(state, ping_of(stream), lp2p_slice_span(data));
    }
}

static void on_eof(void *ctx, struct lp2p_pstream *stream)
{
    struct ping_state *state = ctx;
    if (ping_of(stream)->op != NULL) {
        lp2p_pstream_abort(&state->streams, stream, LP2P_EEOF);
    } else if (ping_of(stream)->echo.part_len > 0) {
        lp2p_pstream_abort(&state->streams, stream, LP2P_ETRUNCATED);
    } else {
        (void)lp2p_pstream_close(&state->streams, stream);
    }
}

static void on_expired(void *ctx, struct lp2p_pstream *stream)
{
    lp2p_pstream_abort(&((struct ping_state *)ctx)->streams, stream, LP2P_ETIMEDOUT);
}

static const char *explain(enum lp2p_err reason)
{
    switch (reason) {
    case LP2P_ETIMEDOUT:
        return "no answer to the ping within 10 s";
    case LP2P_EPROTO:
        return "the answer to the ping is not what was sent";
    case LP2P_EEOF:
        return "the peer closed the stream without an answer to the ping";
    case LP2P_ECLOSED:
        return "the connection ended before the answer to the ping";
    default:
        return "the stream ended before the answer to the ping";
    }
}

static void on_ended(void *ctx, struct lp2p_pstream *stream, enum lp2p_err reason)
{
    (void)ctx;
    struct ping_stream *ping = ping_of(stream);
    if (ping->op != NULL) {
        lp2p_op_finish(ping->op, reason == LP2P_OK ? LP2P_EEOF : reason, "%s", explain(reason));
        lp2p_op_drop(&ping->op);
    }
    free(ping);
}

static const struct lp2p_pstream_ops stream_ops = {
    .opened = on_opened,
    .data = on_data,
    .eof = on_eof,
    .expired = on_expired,
    .ended = on_ended,
};

static enum lp2p_verdict on_msg(struct lp2p_actor *self, void *opaque, struct lp2p_msg **msg)
{
    (void)self;
    struct ping_state *state = opaque;
    /* A STREAM_OPEN_FAILED ends its operation when it is dropped; REGISTERED says nothing new. */
    (void)lp2p_pstreams_handle(&state->streams, *msg);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict on_timer(struct lp2p_actor *self, void *opaque, unsigned timer)
{
    struct ping_state *state = opaque;
    if (timer == TIMER_OUTBOX) {
        lp2p_outbox_retry(self, &state->outbox);
    } else {
        lp2p_pstreams_tick(&state->streams);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_err init(struct lp2p_actor *self, void *opaque, const void *arg)
{
    struct ping_state *state = opaque;
    state->self = self;
    lp2p_outbox_init(&state->outbox, TIMER_OUTBOX, LP2P_PROTOCOL_OUTBOX_MAX);
    lp2p_pstreams_init(&state->streams, &stream_ops, state, self, &state->outbox, TIMER_STREAMS);
    return lp2p_protocol_offer_resident(self, &state->outbox, arg, LP2P_RESIDENT_PING);
}

static void fini(struct lp2p_actor *self, void *opaque, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    struct ping_state *state = opaque;
    lp2p_pstreams_fini(&state->streams);
    lp2p_outbox_fini(&state->outbox);
}

const struct lp2p_actor_ops lp2p_ping_ops = {
    .name = "ping",
    .state_size = sizeof(struct ping_state),
    .init = init,
    .on_msg = on_msg,
    .on_timer = on_timer,
    .fini = fini,
};
