/* SPDX-License-Identifier: MIT */
#include "mplex/session.h"

static enum lp2p_err next_key(struct lp2p_mux *mux, uint64_t *key)
{
    struct lp2p_mplex *session = lp2p_mplex_of(mux);
    if (session->next_number > LP2P_MPLEX_NUMBER_MAX) {
        return LP2P_ELIMIT;
    }
    *key = lp2p_mplex_key(session->next_number++, true);
    return LP2P_OK;
}

static void nothing(struct lp2p_mux *mux, struct lp2p_mux_stream *stream)
{
    (void)mux, (void)stream;
}

static const struct lp2p_mux_kind mplex_kind = {
    .magic = LP2P_MPLEX_MAGIC,
    .session_size = sizeof(struct lp2p_mplex),
    .stream_size = sizeof(struct lp2p_mux_stream),
    .flags_ride = false,
    .next_key = next_key,
    .parse = lp2p_mplex_parse,
    .added = nothing,
    .ended = nothing,
};

static struct lp2p_mux *create(const struct lp2p_mux_config *config, bool initiator,
                               const struct lp2p_rand *rand, lp2p_time now)
{
    struct lp2p_mux *mux = lp2p_mux_core_new(&mplex_kind, config, initiator, rand, now);
    if (mux == NULL) {
        return NULL;
    }
    struct lp2p_mux_config *c = &mux->config;
    c->frame_max_bytes = c->frame_max_bytes == 0 ? 16u << 10 : c->frame_max_bytes;
    c->message_in_max_bytes = c->message_in_max_bytes == 0 ? 1u << 20 : c->message_in_max_bytes;
    c->stream_recv_max_bytes = c->stream_recv_max_bytes == 0 ? 1u << 20 : c->stream_recv_max_bytes;
    return mux;
}

static enum lp2p_err consumed(struct lp2p_mux *mux, uint64_t handle, uint32_t n, lp2p_time now)
{
    struct lp2p_mux_stream *stream;
    mux->now = now;
    return lp2p_mux_stream_consumed(mux, handle, n, &stream);
}

static lp2p_time deadline(const struct lp2p_mux *mux)
{
    (void)mux; /* no ping, no timer */
    return LP2P_NEVER;
}

static void tick(struct lp2p_mux *mux, lp2p_time now)
{
    mux->now = now;
}

const struct lp2p_mux_ops lp2p_mplex_ops = {
    .protocol = "/mplex/6.7.0",
    .create = create,
    .destroy = lp2p_mux_core_free,
    .feed = lp2p_mux_core_feed,
    .next = lp2p_mux_core_next,
    .drain = lp2p_mplex_drain,
    .deadline = deadline,
    .tick = tick,
    .open = lp2p_mux_core_open,
    .write = lp2p_mux_core_write,
    .close_write = lp2p_mux_core_close_write,
    .reset = lp2p_mux_core_reset,
    .consumed = consumed,
    .go_away = lp2p_mux_core_go_away,
    .wants_write = lp2p_mplex_wants_write,
    .stats = lp2p_mux_core_stats,
};
