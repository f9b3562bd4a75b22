/* SPDX-License-Identifier: MIT */
#include "yamux/session.h"

#define TURN_BYTES (96u * 1024) /* two of the largest frames */

static enum lp2p_err next_key(struct lp2p_mux *mux, uint64_t *key)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    if (session->next_id > LP2P_YAMUX_ID_MAX) {
        return LP2P_ELIMIT;
    }
    *key = session->next_id;
    session->next_id += 2;
    return LP2P_OK;
}

static void added(struct lp2p_mux *mux, struct lp2p_mux_stream *base)
{
    struct lp2p_yamux_stream *stream = lp2p_yamux_stream_of(base);
    stream->credit_in = stream->credit_out = stream->window = LP2P_YAMUX_WINDOW_INITIAL;
    stream->granted_at = mux->now;
    mux->stats.window_bytes += stream->window;
}

static void ended(struct lp2p_mux *mux, struct lp2p_mux_stream *base)
{
    mux->stats.window_bytes -= lp2p_yamux_stream_of(base)->window;
}

static const struct lp2p_mux_kind yamux_kind = {
    .magic = LP2P_YAMUX_MAGIC,
    .session_size = sizeof(struct lp2p_yamux),
    .stream_size = sizeof(struct lp2p_yamux_stream),
    .turn_bytes = TURN_BYTES,
    .flags_ride = true,
    .next_key = next_key,
    .parse = lp2p_yamux_parse,
    .added = added,
    .ended = ended,
};

static void set_defaults(struct lp2p_mux_config *config)
{
    if (config->window_max_bytes == 0) {
        config->window_max_bytes = 16u << 20;
    }
    if (config->windows_total_max_bytes == 0) {
        config->windows_total_max_bytes = 64u << 20;
    }
    if (config->frame_max_bytes == 0) {
        config->frame_max_bytes = 65519 - LP2P_YAMUX_HEADER;
    }
    if (config->keepalive_ns == 0) {
        config->keepalive_ns = LP2P_SEC(30);
    }
    if (config->pong_timeout_ns == 0) {
        config->pong_timeout_ns = LP2P_SEC(10);
    }
    config->window_max_bytes = LP2P_MAX(config->window_max_bytes, (uint32_t)LP2P_YAMUX_WINDOW_INITIAL);
}

static struct lp2p_mux *create(const struct lp2p_mux_config *config, bool initiator,
                               const struct lp2p_rand *rand, lp2p_time now)
{
    struct lp2p_mux *mux = lp2p_mux_core_new(&yamux_kind, config, initiator, rand, now);
    if (mux == NULL) {
        return NULL;
    }
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    set_defaults(&mux->config);
    session->rand = *rand;
    session->next_id = initiator ? 1 : 2;
    /* The first ping leaves at once: windows grow only when the round trip is known. */
    bool pings = mux->config.keepalive_ns != LP2P_NEVER;
    session->ping = pings ? LP2P_YAMUX_PING_DUE : LP2P_YAMUX_PING_IDLE;
    session->ping_at = LP2P_NEVER;
    return mux;
}

static enum lp2p_err consumed(struct lp2p_mux *mux, uint64_t handle, uint32_t n, lp2p_time now)
{
    struct lp2p_mux_stream *base;
    mux->now = now;
    enum lp2p_err err = lp2p_mux_stream_consumed(mux, handle, n, &base);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_yamux_stream *stream = lp2p_yamux_stream_of(base);
    stream->freed += n;
    if (stream->freed >= stream->window / 2 && base->state != LP2P_MUX_STREAM_REMOTE_CLOSED) {
        base->due |= LP2P_MUX_DUE_CREDIT;
        lp2p_mux_stream_schedule(mux, base);
    }
    return LP2P_OK;
}

static lp2p_time deadline(const struct lp2p_mux *mux)
{
    LP2P_CHECK_MAGIC(mux, LP2P_YAMUX_MAGIC);
    const struct lp2p_yamux *session = (const struct lp2p_yamux *)(const void *)mux;
    if (mux->state != LP2P_MUX_SESSION_OPEN) {
        return LP2P_NEVER;
    }
    switch (session->ping) {
    case LP2P_YAMUX_PING_IDLE:
        return session->ping_at;
    case LP2P_YAMUX_PING_SENT:
        /* Whoever still sends is alive, and its answer may stand behind megabytes on a slow line. */
        return lp2p_time_add(LP2P_MAX(session->ping_at, mux->heard_at), mux->config.pong_timeout_ns);
    case LP2P_YAMUX_PING_DUE:
        break; /* it leaves with the next drain; a stalled writer is the owner's to notice */
    }
    return LP2P_NEVER;
}

static void tick(struct lp2p_mux *mux, lp2p_time now)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    mux->now = now;
    if (deadline(mux) == LP2P_NEVER || now < deadline(mux)) {
        return;
    }
    if (session->ping == LP2P_YAMUX_PING_IDLE) {
        session->ping = LP2P_YAMUX_PING_DUE;
    } else {
        lp2p_mux_fail(mux, LP2P_ETIMEDOUT, LP2P_YAMUX_NORMAL);
    }
}

const struct lp2p_mux_ops lp2p_yamux_ops = {
    .protocol = "/yamux/1.0.0",
    .create = create,
    .destroy = lp2p_mux_core_free,
    .feed = lp2p_mux_core_feed,
    .next = lp2p_mux_core_next,
    .drain = lp2p_yamux_drain,
    .drain_around = lp2p_yamux_drain_around,
    .deadline = deadline,
    .tick = tick,
    .open = lp2p_mux_core_open,
    .write = lp2p_mux_core_write,
    .close_write = lp2p_mux_core_close_write,
    .reset = lp2p_mux_core_reset,
    .consumed = consumed,
    .go_away = lp2p_mux_core_go_away,
    .wants_write = lp2p_yamux_wants_write,
    .stats = lp2p_mux_core_stats,
};
