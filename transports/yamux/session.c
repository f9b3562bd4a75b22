/* SPDX-License-Identifier: MIT */
#include "yamux/session.h"

#include <stdlib.h>

static void set_default(uint32_t *value, uint32_t otherwise)
{
    if (*value == 0) {
        *value = otherwise;
    }
}

static struct lp2p_mux_config config_of(const struct lp2p_mux_config *given)
{
    struct lp2p_mux_config config = given != NULL ? *given : (struct lp2p_mux_config){0};
    set_default(&config.streams_in_max, 256);
    set_default(&config.streams_out_max, 256);
    set_default(&config.window_max_bytes, 16u << 20);
    set_default(&config.windows_total_max_bytes, 64u << 20);
    set_default(&config.frame_max_bytes, 65519 - LP2P_YAMUX_HEADER);
    set_default(&config.noop_frames_max, 10000);
    config.window_max_bytes = LP2P_MAX(config.window_max_bytes, LP2P_YAMUX_WINDOW_INITIAL);
    if (config.keepalive_ns == 0) {
        config.keepalive_ns = LP2P_SEC(30);
    }
    if (config.pong_timeout_ns == 0) {
        config.pong_timeout_ns = LP2P_SEC(10);
    }
    return config;
}

static struct lp2p_mux *create(const struct lp2p_mux_config *config, bool initiator, const struct lp2p_rand *rand,
                               lp2p_time now)
{
    struct lp2p_yamux *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        return NULL;
    }
    session->magic = LP2P_YAMUX_MAGIC;
    session->initiator = initiator;
    session->config = config_of(config);
    session->rand = *rand;
    session->now = session->heard_at = now;
    session->next_id = initiator ? 1 : 2;
    lp2p_mux_map_init(&session->streams, lp2p_rand_u64(rand));
    lp2p_list_init(&session->ready);
    lp2p_list_init(&session->control);
    lp2p_list_init(&session->sending);
    bool pings = session->config.keepalive_ns != LP2P_NEVER;
    session->ping = pings ? LP2P_YAMUX_PING_DUE : LP2P_YAMUX_PING_IDLE;
    session->ping_at = LP2P_NEVER;
    return (struct lp2p_mux *)(void *)session;
}

void lp2p_yamux_stream_free(struct lp2p_yamux_stream *stream)
{
    lp2p_list_remove(&stream->ready);
    lp2p_list_remove(&stream->control);
    lp2p_list_remove(&stream->sending);
    lp2p_fifo_clear(&stream->out);
    free(stream);
}

static void destroy(struct lp2p_mux *mux)
{
    if (mux == NULL) {
        return;
    }
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    for (uint32_t i = 0; i < session->streams.cap; i++) {
        if (session->streams.entries[i].value != NULL) {
            lp2p_yamux_stream_free((struct lp2p_yamux_stream *)session->streams.entries[i].value);
        }
    }
    /* What is still in `ready` has ended and is in no table. */
    while (!lp2p_list_empty(&session->ready)) {
        lp2p_yamux_stream_free(LP2P_LIST_ENTRY(session->ready.next, struct lp2p_yamux_stream, ready));
    }
    lp2p_mux_map_fini(&session->streams);
    lp2p_fifo_clear(&session->in);
    free(session->resets);
    session->magic = 0;
    free(session);
}

void lp2p_yamux_fail(struct lp2p_yamux *session, enum lp2p_err reason, uint32_t code)
{
    if (session->state != LP2P_YAMUX_SESSION_OPEN) {
        return;
    }
    session->state = LP2P_YAMUX_SESSION_FAILED;
    session->reason = reason;
    /* A peer that does not answer or a failure of ours needs no accusation. */
    session->go_away_due = code != LP2P_YAMUX_NORMAL;
    session->go_away_code = code;
    lp2p_fifo_clear(&session->in);
}

struct lp2p_yamux_stream *lp2p_yamux_stream_add(struct lp2p_yamux *session, uint32_t id, bool inbound)
{
    struct lp2p_yamux_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL || lp2p_mux_map_put(&session->streams, id, stream) != LP2P_OK) {
        free(stream);
        return NULL;
    }
    stream->id = id;
    stream->serial = session->next_serial++;
    stream->inbound = inbound;
    stream->credit_in = stream->credit_out = stream->window = LP2P_YAMUX_WINDOW_INITIAL;
    stream->granted_at = session->now;
    session->stats.window_bytes += stream->window;
    uint32_t *open = inbound ? &session->stats.streams_in : &session->stats.streams_out;
    uint64_t *opened = inbound ? &session->stats.opened_in : &session->stats.opened_out;
    *open += 1;
    *opened += 1;
    return stream;
}

void lp2p_yamux_stream_news(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream, unsigned news)
{
    stream->news |= (uint8_t)news;
    if (!lp2p_list_linked(&stream->ready)) {
        lp2p_list_push_back(&session->ready, &stream->ready);
    }
}

/** Out of the table; what waits to be sent is dropped. The owner is told, and then the memory goes. */
static void end(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream, unsigned news)
{
    stream->state = LP2P_YAMUX_STREAM_ENDED;
    lp2p_mux_map_remove(&session->streams, stream->id);
    uint32_t *open = stream->inbound ? &session->stats.streams_in : &session->stats.streams_out;
    *open -= 1;
    session->stats.window_bytes -= stream->window;
    session->stats.queued_bytes -= stream->out.bytes;
    lp2p_fifo_clear(&stream->out);
    lp2p_list_remove(&stream->control);
    lp2p_list_remove(&stream->sending);
    if (session->body_id == stream->id) {
        session->body_id = 0;
    }
    lp2p_yamux_stream_news(session, stream, news);
}

void lp2p_yamux_stream_turn(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream, enum lp2p_yamux_stream_step step)
{
    LP2P_CHECK(stream->state != LP2P_YAMUX_STREAM_ENDED);
    switch (step) {
    case LP2P_YAMUX_FIN_SENT:
        if (stream->state == LP2P_YAMUX_STREAM_REMOTE_CLOSED) {
            end(session, stream, LP2P_YAMUX_NEWS_CLOSED);
        } else {
            stream->state = LP2P_YAMUX_STREAM_LOCAL_CLOSED;
        }
        break;
    case LP2P_YAMUX_FIN_RECEIVED:
        if (stream->state == LP2P_YAMUX_STREAM_LOCAL_CLOSED) {
            end(session, stream, LP2P_YAMUX_NEWS_EOF | LP2P_YAMUX_NEWS_CLOSED);
        } else {
            stream->state = LP2P_YAMUX_STREAM_REMOTE_CLOSED;
            lp2p_yamux_stream_news(session, stream, LP2P_YAMUX_NEWS_EOF);
        }
        break;
    case LP2P_YAMUX_RESET_RECEIVED:
        session->stats.resets_in++;
        stream->framed = 0;
        end(session, stream, LP2P_YAMUX_NEWS_RESET);
        break;
    case LP2P_YAMUX_RESET_SENT:
        session->stats.resets_out++;
        stream->framed = 0;
        stream->news &= (uint8_t)~LP2P_YAMUX_NEWS_EOF;
        end(session, stream, LP2P_YAMUX_NEWS_CLOSED);
        break;
    }
}

void lp2p_yamux_send_reset(struct lp2p_yamux *session, uint32_t id, uint32_t code)
{
    if (session->resets_len == LP2P_YAMUX_RESETS_MAX) {
        lp2p_yamux_fail(session, LP2P_EFLOOD, LP2P_YAMUX_PROTOCOL_ERROR);
        return;
    }
    if (session->resets_head + session->resets_len == session->resets_cap) {
        if (session->resets_head > 0) {
            memmove(session->resets, session->resets + session->resets_head, session->resets_len * sizeof(*session->resets));
            session->resets_head = 0;
        } else {
            uint32_t cap = session->resets_cap == 0 ? 8 : session->resets_cap * 2;
            struct lp2p_yamux_reset *bigger = realloc(session->resets, cap * sizeof(*bigger));
            if (bigger == NULL) {
                lp2p_yamux_fail(session, LP2P_ENOMEM, LP2P_YAMUX_INTERNAL_ERROR);
                return;
            }
            session->resets = bigger;
            session->resets_cap = cap;
        }
    }
    session->resets[session->resets_head + session->resets_len++] = (struct lp2p_yamux_reset){id, code};
}

/** The live stream of a handle. */
static enum lp2p_err find(struct lp2p_yamux *session, uint64_t handle, struct lp2p_yamux_stream **stream)
{
    *stream = (struct lp2p_yamux_stream *)lp2p_mux_map_get(&session->streams, (uint32_t)handle);
    if (*stream == NULL || (*stream)->serial != (uint32_t)(handle >> 32)) {
        return LP2P_ENOTFOUND;
    }
    return session->state == LP2P_YAMUX_SESSION_OPEN ? LP2P_OK : LP2P_ECLOSED;
}

static enum lp2p_err open_stream(struct lp2p_mux *mux, lp2p_time now, uint64_t *handle)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    session->now = now;
    if (session->state != LP2P_YAMUX_SESSION_OPEN || session->closing) {
        return LP2P_ECLOSED;
    }
    if (session->stats.streams_out >= session->config.streams_out_max || session->next_id > LP2P_YAMUX_ID_MAX) {
        return LP2P_ELIMIT;
    }
    struct lp2p_yamux_stream *stream = lp2p_yamux_stream_add(session, session->next_id, false);
    if (stream == NULL) {
        return LP2P_ENOMEM;
    }
    session->next_id += 2;
    stream->due = LP2P_YAMUX_DUE_SYN;
    lp2p_yamux_schedule(session, stream);
    *handle = (uint64_t)stream->serial << 32 | stream->id;
    return LP2P_OK;
}

static enum lp2p_err write_stream(struct lp2p_mux *mux, uint64_t handle, struct lp2p_slice *data)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    struct lp2p_yamux_stream *stream;
    enum lp2p_err err = find(session, handle, &stream);
    if (err != LP2P_OK) {
        return err;
    }
    if (stream->write_closed) {
        return LP2P_ESTATE;
    }
    uint32_t len = data->len;
    err = lp2p_fifo_push(&stream->out, data);
    if (err == LP2P_OK) {
        session->stats.queued_bytes += len;
        lp2p_yamux_schedule(session, stream);
    }
    return err;
}

static enum lp2p_err close_write(struct lp2p_mux *mux, uint64_t handle)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    struct lp2p_yamux_stream *stream;
    enum lp2p_err err = find(session, handle, &stream);
    if (err != LP2P_OK || stream->write_closed) {
        return err;
    }
    stream->write_closed = true;
    stream->due |= LP2P_YAMUX_DUE_FIN;
    lp2p_yamux_schedule(session, stream);
    return LP2P_OK;
}

static enum lp2p_err reset_stream(struct lp2p_mux *mux, uint64_t handle, uint32_t code)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    struct lp2p_yamux_stream *stream;
    enum lp2p_err err = find(session, handle, &stream);
    if (err != LP2P_OK) {
        return err;
    }
    /* A stream whose SYN never left does not exist for the other side. */
    if ((stream->due & LP2P_YAMUX_DUE_SYN) == 0) {
        lp2p_yamux_send_reset(session, stream->id, code);
    }
    lp2p_yamux_stream_turn(session, stream, LP2P_YAMUX_RESET_SENT);
    return LP2P_OK;
}

static enum lp2p_err consumed(struct lp2p_mux *mux, uint64_t handle, uint32_t n, lp2p_time now)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    struct lp2p_yamux_stream *stream;
    session->now = now;
    enum lp2p_err err = find(session, handle, &stream);
    if (err != LP2P_OK) {
        return err;
    }
    if (n > stream->window - stream->credit_in - stream->freed) {
        return LP2P_EINVAL;
    }
    stream->freed += n;
    if (stream->freed >= stream->window / 2 && stream->state != LP2P_YAMUX_STREAM_REMOTE_CLOSED) {
        stream->due |= LP2P_YAMUX_DUE_CREDIT;
        lp2p_yamux_schedule(session, stream);
    }
    return LP2P_OK;
}

static void go_away(struct lp2p_mux *mux, uint32_t code)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    if (session->state == LP2P_YAMUX_SESSION_OPEN && !session->closing) {
        session->closing = session->go_away_due = true;
        session->go_away_code = code;
    }
}

static lp2p_time deadline(const struct lp2p_mux *mux)
{
    const struct lp2p_yamux *session = lp2p_yamux_of_const(mux);
    if (session->state != LP2P_YAMUX_SESSION_OPEN) {
        return LP2P_NEVER;
    }
    switch (session->ping) {
    case LP2P_YAMUX_PING_IDLE:
        return session->ping_at;
    case LP2P_YAMUX_PING_SENT:
        return lp2p_time_add(LP2P_MAX(session->ping_at, session->heard_at), session->config.pong_timeout_ns);
    case LP2P_YAMUX_PING_DUE:
        break; /* it leaves with the next drain; a stalled writer has a deadline of its own */
    }
    return LP2P_NEVER;
}

static void tick(struct lp2p_mux *mux, lp2p_time now)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    session->now = now;
    if (now < deadline(mux)) {
        return;
    }
    if (session->ping == LP2P_YAMUX_PING_IDLE) {
        session->ping = LP2P_YAMUX_PING_DUE;
    } else {
        lp2p_yamux_fail(session, LP2P_ETIMEDOUT, LP2P_YAMUX_NORMAL);
    }
}

static void stats(const struct lp2p_mux *mux, struct lp2p_mux_stats *out)
{
    *out = lp2p_yamux_of_const(mux)->stats;
}

const struct lp2p_mux_ops lp2p_yamux_ops = {
    .protocol = "/yamux/1.0.0",
    .create = create,
    .destroy = destroy,
    .feed = lp2p_yamux_feed,
    .next = lp2p_yamux_next,
    .drain = lp2p_yamux_drain,
    .deadline = deadline,
    .tick = tick,
    .open = open_stream,
    .write = write_stream,
    .close_write = close_write,
    .reset = reset_stream,
    .consumed = consumed,
    .go_away = go_away,
    .wants_write = lp2p_yamux_wants_write,
    .stats = stats,
};
