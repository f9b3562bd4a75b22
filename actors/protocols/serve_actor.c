/* SPDX-License-Identifier: MIT
 * The resident of the test services: /echo/1.0.0 and /perf/1.0.0, each only when the configuration asks for
 * it. Payload is never copied: an echo sends the slices that came in, a download sends one slab of zeroes by
 * reference. */
#include "actors/protocols/serve.h"
#include "actors/protocols/streams.h"

#include <stdlib.h>
#include <string.h>

#define IDLE_NS LP2P_SEC(600) /* nothing moved in either direction */
#define ZEROES_BYTES (64u * 1024)

enum { TIMER_OUTBOX, TIMER_STREAMS };

struct serve_stream {
    struct lp2p_pstream stream;
    bool perf;
    size_t unused;             /* bytes received for which no window was granted yet */
    struct lp2p_perf transfer; /* perf */
};

struct serve_state {
    struct lp2p_actor *self;
    struct lp2p_outbox outbox;
    struct lp2p_pstreams streams;
    struct lp2p_buf *zeroes; /* what downloads consist of; made for the first, kept while there are streams */
};

static struct serve_stream *serve_of(struct lp2p_pstream *stream)
{
    return LP2P_CONTAINER_OF(stream, struct serve_stream, stream);
}

static void extend(struct serve_state *state, struct lp2p_pstream *stream)
{
    lp2p_pstream_deadline(&state->streams, stream, lp2p_time_add(lp2p_now(state->self), IDLE_NS));
}

static void on_opened(void *ctx, struct lp2p_m_stream_opened *m)
{
    struct serve_state *state = ctx;
    struct serve_stream *serve = calloc(1, sizeof(*serve));
    if (serve == NULL) {
        lp2p_pstreams_refuse(&state->streams, m->id, LP2P_ENOMEM);
        return;
    }
    serve->perf = strcmp(m->protocol, LP2P_PERF_PROTOCOL) == 0;
    lp2p_time deadline = lp2p_time_add(lp2p_now(state->self), IDLE_NS);
    if (lp2p_pstreams_add(&state->streams, &serve->stream, m, deadline) != LP2P_OK) {
        free(serve);
    }
}

/* Grants window only for what the muxer has taken of an echo, so that what we hold stays within the peer's
 * window. */
static void grant(struct serve_state *state, struct serve_stream *serve)
{
    size_t held = serve->perf ? 0 : (size_t)serve->stream.out.bytes;
    lp2p_pstream_consumed(&state->streams, &serve->stream, serve->unused - held);
    serve->unused = held;
}

static bool have_zeroes(struct serve_state *state)
{
    if (state->zeroes == NULL && (state->zeroes = lp2p_buf_new(ZEROES_BYTES)) != NULL) {
        memset(state->zeroes->bytes, 0, ZEROES_BYTES);
    }
    return state->zeroes != NULL;
}

static bool download_on(struct serve_state *state, struct serve_stream *serve)
{
    struct lp2p_pstream *stream = &serve->stream;
    while (stream->credit > 0) {
        size_t n = lp2p_perf_take(&serve->transfer, LP2P_MIN(stream->credit, ZEROES_BYTES));
        if (n == 0) {
            return lp2p_pstream_close(&state->streams, stream);
        }
        if (!have_zeroes(state)) {
            lp2p_pstream_abort(&state->streams, stream, LP2P_ENOMEM);
            return false;
        }
        struct lp2p_slice slice = lp2p_slice_of(state->zeroes, state->zeroes->bytes, n);
        if (!lp2p_pstream_write(&state->streams, stream, &slice)) {
            return false;
        }
    }
    return true;
}

static void on_data(void *ctx, struct lp2p_pstream *stream, struct lp2p_slice *data)
{
    struct serve_state *state = ctx;
    struct serve_stream *serve = serve_of(stream);
    serve->unused += data->len;
    if (serve->perf) {
        lp2p_perf_feed(&serve->transfer, lp2p_slice_span(data));
    } else {
        (void)lp2p_pstream_queue(&state->streams, stream, data);
    }
}

static void on_drained(void *ctx, struct lp2p_pstream *stream)
{
    struct serve_state *state = ctx;
    extend(state, stream);
    if (lp2p_pstream_push(&state->streams, stream)) {
        grant(state, serve_of(stream));
    }
}

static void on_eof(void *ctx, struct lp2p_pstream *stream)
{
    struct serve_state *state = ctx;
    struct serve_stream *serve = serve_of(stream);
    enum lp2p_err err = serve->perf ? lp2p_perf_eof(&serve->transfer) : LP2P_OK;
    if (err != LP2P_OK) {
        lp2p_pstream_abort(&state->streams, stream, err);
    } else if (serve->perf) {
        (void)download_on(state, serve);
    } else {
        (void)lp2p_pstream_close(&state->streams, stream);
    }
}

static void on_writable(void *ctx, struct lp2p_pstream *stream)
{
    struct serve_state *state = ctx;
    struct serve_stream *serve = serve_of(stream);
    extend(state, stream);
    if (!serve->perf) {
        grant(state, serve);
    } else if (stream->eof) {
        (void)download_on(state, serve);
    }
}

static void on_expired(void *ctx, struct lp2p_pstream *stream)
{
    lp2p_pstream_abort(&((struct serve_state *)ctx)->streams, stream, LP2P_ETIMEDOUT);
}

static void on_ended(void *ctx, struct lp2p_pstream *stream, enum lp2p_err reason)
{
    (void)reason;
    struct serve_state *state = ctx;
    free(serve_of(stream));
    if (state->streams.len == 0) {
        lp2p_buf_drop(&state->zeroes); /* an idle thread holds no buffer */
    }
}

static const struct lp2p_pstream_ops stream_ops = {
    .opened = on_opened,
    .data = on_data,
    .drained = on_drained,
    .eof = on_eof,
    .writable = on_writable,
    .expired = on_expired,
    .ended = on_ended,
};

static enum lp2p_verdict on_msg(struct lp2p_actor *self, void *opaque, struct lp2p_msg **msg)
{
    (void)self;
    (void)lp2p_pstreams_handle(&((struct serve_state *)opaque)->streams, *msg);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict on_timer(struct lp2p_actor *self, void *opaque, unsigned timer)
{
    struct serve_state *state = opaque;
    if (timer == TIMER_OUTBOX) {
        lp2p_outbox_retry(self, &state->outbox);
    } else {
        lp2p_pstreams_tick(&state->streams);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_err init(struct lp2p_actor *self, void *opaque, const void *arg)
{
    struct serve_state *state = opaque;
    const struct lp2p_context *ctx = arg;
    state->self = self;
    lp2p_outbox_init(&state->outbox, TIMER_OUTBOX, LP2P_PROTOCOL_OUTBOX_MAX);
    lp2p_pstreams_init(&state->streams, &stream_ops, state, self, &state->outbox, TIMER_STREAMS);
    return lp2p_protocol_offer_resident(self, &state->outbox, ctx, LP2P_RESIDENT_SERVE);
}

static void fini(struct lp2p_actor *self, void *opaque, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    struct serve_state *state = opaque;
    lp2p_pstreams_fini(&state->streams);
    lp2p_outbox_fini(&state->outbox);
    lp2p_buf_drop(&state->zeroes);
}

const struct lp2p_actor_ops lp2p_serve_ops = {
    .name = "serve",
    .state_size = sizeof(struct serve_state),
    .init = init,
    .on_msg = on_msg,
    .on_timer = on_timer,
    .fini = fini,
};
