/* SPDX-License-Identifier: MIT
 * The session and the life of its streams; the way of the input is intake.c. */
#include "mux/core.h"

#include <stdlib.h>

#define STREAMS_MAX_DEFAULT 256
#define NOOP_FRAMES_DEFAULT 10000 /* per second */
#define CODE_PROTOCOL_ERROR 1
#define CODE_INTERNAL_ERROR 2

struct lp2p_mux *lp2p_mux_core_new(const struct lp2p_mux_kind *kind, const struct lp2p_mux_config *config,
                                   bool initiator, const struct lp2p_rand *rand, lp2p_time now)
{
    struct lp2p_mux *mux = calloc(1, kind->session_size);
    if (mux == NULL) {
        return NULL;
    }
    mux->magic = kind->magic;
    mux->kind = kind;
    mux->initiator = initiator;
    mux->now = mux->heard_at = now;
    mux->next_handle = 1;
    if (config != NULL) {
        mux->config = *config;
    }
    struct lp2p_mux_config *c = &mux->config;
    c->streams_in_max = c->streams_in_max == 0 ? STREAMS_MAX_DEFAULT : c->streams_in_max;
    c->streams_out_max = c->streams_out_max == 0 ? STREAMS_MAX_DEFAULT : c->streams_out_max;
    c->noop_frames_max = c->noop_frames_max == 0 ? NOOP_FRAMES_DEFAULT : c->noop_frames_max;
    lp2p_mux_map_init(&mux->by_handle, 0);
    lp2p_mux_map_init(&mux->by_key, lp2p_rand_u64(rand)); /* keys are chosen by the other side */
    lp2p_list_init(&mux->ready);
    lp2p_list_init(&mux->control);
    lp2p_list_init(&mux->sending);
    return mux;
}

static void stream_free(struct lp2p_mux_stream *stream)
{
    lp2p_list_remove(&stream->ready);
    lp2p_list_remove(&stream->control);
    lp2p_list_remove(&stream->sending);
    lp2p_fifo_clear(&stream->out);
    free(stream);
}

void lp2p_mux_core_free(struct lp2p_mux *mux)
{
    if (mux == NULL) {
        return;
    }
    LP2P_CHECK_MAGIC(mux, mux->kind->magic);
    for (uint32_t i = 0; i < mux->by_key.cap; i++) {
        if (mux->by_key.entries[i].value != NULL) {
            stream_free((struct lp2p_mux_stream *)mux->by_key.entries[i].value);
        }
    }
    /* What is still in `ready` has ended and is in no table. */
    while (!lp2p_list_empty(&mux->ready)) {
        stream_free(LP2P_LIST_ENTRY(mux->ready.next, struct lp2p_mux_stream, ready));
    }
    lp2p_mux_map_fini(&mux->by_key);
    lp2p_mux_map_fini(&mux->by_handle);
    lp2p_mux_resets_clear(&mux->resets);
    lp2p_fifo_clear(&mux->in);
    mux->magic = 0;
    free(mux);
}

void lp2p_mux_fail(struct lp2p_mux *mux, enum lp2p_err reason, uint32_t code)
{
    if (mux->state != LP2P_MUX_SESSION_OPEN) {
        return;
    }
    mux->state = LP2P_MUX_SESSION_FAILED;
    mux->reason = reason;
    mux->go_away_due = code != 0;
    mux->go_away_code = code;
    lp2p_fifo_clear(&mux->in);
}

void lp2p_mux_count_noop(struct lp2p_mux *mux)
{
    if (!lp2p_budget_take(&mux->noops, mux->config.noop_frames_max, LP2P_SEC(1), mux->now)) {
        lp2p_mux_fail(mux, LP2P_EFLOOD, CODE_PROTOCOL_ERROR);
    }
}

static void tell(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, unsigned news)
{
    stream->news |= (uint8_t)news;
    if (!lp2p_list_linked(&stream->ready)) {
        lp2p_list_push_back(&mux->ready, &stream->ready);
    }
}

struct lp2p_mux_stream *lp2p_mux_stream_by_key(const struct lp2p_mux *mux, uint64_t key)
{
    return (struct lp2p_mux_stream *)lp2p_mux_map_get(&mux->by_key, key);
}

static struct lp2p_mux_stream *add(struct lp2p_mux *mux, uint64_t key, bool inbound)
{
    struct lp2p_mux_stream *stream = calloc(1, mux->kind->stream_size);
    if (stream == NULL || lp2p_mux_map_put(&mux->by_key, key, stream) != LP2P_OK) {
        free(stream);
        return NULL;
    }
    if (lp2p_mux_map_put(&mux->by_handle, mux->next_handle, stream) != LP2P_OK) {
        lp2p_mux_map_remove(&mux->by_key, key);
        free(stream);
        return NULL;
    }
    stream->handle = mux->next_handle++;
    stream->key = key;
    stream->inbound = inbound;
    stream->opened_at = mux->now;
    uint32_t *open = inbound ? &mux->stats.streams_in : &mux->stats.streams_out;
    uint64_t *opened = inbound ? &mux->stats.opened_in : &mux->stats.opened_out;
    *open += 1;
    *opened += 1;
    mux->kind->added(mux, stream);
    return stream;
}

static void queue_reset(struct lp2p_mux *mux, uint64_t key, uint32_t code)
{
    enum lp2p_err err = lp2p_mux_resets_push(&mux->resets, key, code);
    if (err == LP2P_ENOMEM) {
        lp2p_mux_fail(mux, LP2P_ENOMEM, CODE_INTERNAL_ERROR);
    } else if (err != LP2P_OK) {
        lp2p_mux_fail(mux, LP2P_EFLOOD, CODE_PROTOCOL_ERROR);
    }
}

struct lp2p_mux_stream *lp2p_mux_stream_accept(struct lp2p_mux *mux, uint64_t key)
{
    struct lp2p_mux_stream *stream = NULL;
    if (!mux->closing && mux->stats.streams_in < mux->config.streams_in_max) {
        stream = add(mux, key, true);
    }
    if (stream != NULL) {
        tell(mux, stream, LP2P_MUX_NEWS_OPENED);
        return stream;
    }
    uint64_t max = (uint64_t)mux->config.streams_in_max * LP2P_MUX_REFUSED_FACTOR;
    mux->stats.refused_in++;
    queue_reset(mux, key, 0);
    if (!lp2p_budget_take(&mux->refused, (uint32_t)LP2P_MIN(max, UINT32_MAX), LP2P_MUX_FLOOD_PERIOD,
                          mux->now)) {
        lp2p_mux_fail(mux, LP2P_EFLOOD, CODE_PROTOCOL_ERROR);
    }
    return NULL;
}

/** Out of the tables; what waits to be sent is dropped. The owner is told, and then the memory goes. */
static void end(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, unsigned news)
{
    stream->state = LP2P_MUX_STREAM_ENDED;
    lp2p_mux_map_remove(&mux->by_key, stream->key);
    lp2p_mux_map_remove(&mux->by_handle, stream->handle);
    uint32_t *open = stream->inbound ? &mux->stats.streams_in : &mux->stats.streams_out;
    *open -= 1;
    mux->stats.queued_bytes -= stream->out.bytes;
    lp2p_fifo_clear(&stream->out);
    lp2p_list_remove(&stream->control);
    lp2p_list_remove(&stream->sending);
    if (mux->body == stream) {
        mux->body = NULL;
    }
    mux->kind->ended(mux, stream);
    tell(mux, stream, news);
}

void lp2p_mux_stream_turn(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, enum lp2p_mux_step step)
{
    LP2P_CHECK(stream->state != LP2P_MUX_STREAM_ENDED);
    switch (step) {
    case LP2P_MUX_FIN_SENT:
        if (stream->state == LP2P_MUX_STREAM_REMOTE_CLOSED) {
            end(mux, stream, LP2P_MUX_NEWS_CLOSED);
        } else {
            stream->state = LP2P_MUX_STREAM_LOCAL_CLOSED;
        }
        break;
    case LP2P_MUX_FIN_RECEIVED:
        if (stream->state == LP2P_MUX_STREAM_LOCAL_CLOSED) {
            end(mux, stream, LP2P_MUX_NEWS_EOF | LP2P_MUX_NEWS_CLOSED);
        } else {
            stream->state = LP2P_MUX_STREAM_REMOTE_CLOSED;
            tell(mux, stream, LP2P_MUX_NEWS_EOF);
        }
        break;
    case LP2P_MUX_RESET_RECEIVED:
        stream->framed = 0;
        end(mux, stream, LP2P_MUX_NEWS_RESET);
        break;
    case LP2P_MUX_RESET_SENT:
        mux->stats.resets_out++;
        stream->framed = 0;
        stream->news = 0; /* the owner has given up: it hears no more than that it is done */
        end(mux, stream, LP2P_MUX_NEWS_CLOSED);
        break;
    }
}

void lp2p_mux_stream_on_reset(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, uint32_t code)
{
    bool rapid = stream->inbound && lp2p_time_since(mux->now, stream->opened_at) < LP2P_MUX_FRESH;
    stream->code = code;
    stream->reason = LP2P_ERESET;
    mux->stats.resets_in++;
    lp2p_mux_stream_turn(mux, stream, LP2P_MUX_RESET_RECEIVED);
    if (rapid &&
        !lp2p_budget_take(&mux->rapid_resets, LP2P_MUX_RAPID_RESETS_MAX, LP2P_MUX_FLOOD_PERIOD, mux->now)) {
        lp2p_mux_fail(mux, LP2P_EFLOOD, CODE_PROTOCOL_ERROR);
    }
}

void lp2p_mux_stream_on_fin(struct lp2p_mux *mux, struct lp2p_mux_stream *stream)
{
    if (stream->state == LP2P_MUX_STREAM_REMOTE_CLOSED) {
        lp2p_mux_count_noop(mux);
    } else {
        lp2p_mux_stream_turn(mux, stream, LP2P_MUX_FIN_RECEIVED);
    }
}

void lp2p_mux_stream_refuse(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, enum lp2p_err reason)
{
    queue_reset(mux, stream->key, 0);
    mux->stats.resets_out++;
    stream->reason = reason;
    lp2p_mux_stream_turn(mux, stream, LP2P_MUX_RESET_RECEIVED);
}

static bool sendable(const struct lp2p_mux_stream *stream)
{
    return stream->out.bytes > 0 && !stream->blocked;
}

bool lp2p_mux_stream_fin_ready(const struct lp2p_mux_stream *stream)
{
    return (stream->due & LP2P_MUX_DUE_FIN) != 0 && stream->out.bytes == 0;
}

static void place(struct lp2p_list *head, struct lp2p_list *entry, bool wanted)
{
    if (!wanted) {
        lp2p_list_remove(entry);
    } else if (!lp2p_list_linked(entry)) {
        lp2p_list_push_back(head, entry);
    }
}

void lp2p_mux_stream_schedule(struct lp2p_mux *mux, struct lp2p_mux_stream *stream)
{
    bool data = sendable(stream);
    bool opening =
        (stream->due & (LP2P_MUX_DUE_OPEN | LP2P_MUX_DUE_ACK)) != 0 && !(mux->kind->flags_ride && data);
    bool control = opening || (stream->due & LP2P_MUX_DUE_CREDIT) != 0 || lp2p_mux_stream_fin_ready(stream);
    place(&mux->control, &stream->control, control);
    place(&mux->sending, &stream->sending, data);
}

void lp2p_mux_stream_framed(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, uint32_t bytes)
{
    stream->framed += bytes;
    mux->stats.queued_bytes -= bytes;
    mux->stats.bytes_out += bytes;
    mux->passes = bytes > LP2P_MUX_PASS_BYTES ? LP2P_MUX_PASSES : mux->passes;
    stream->turn += bytes;
    if (stream->turn >= mux->kind->turn_bytes || !sendable(stream)) {
        stream->turn = 0;
        lp2p_list_remove(&stream->sending);
    }
    tell(mux, stream, 0);
}

enum lp2p_err lp2p_mux_stream_find(struct lp2p_mux *mux, uint64_t handle, struct lp2p_mux_stream **stream)
{
    *stream = (struct lp2p_mux_stream *)lp2p_mux_map_get(&mux->by_handle, handle);
    if (*stream == NULL) {
        return LP2P_ENOTFOUND;
    }
    return mux->state == LP2P_MUX_SESSION_OPEN ? LP2P_OK : LP2P_ECLOSED;
}

enum lp2p_err lp2p_mux_stream_consumed(struct lp2p_mux *mux, uint64_t handle, uint32_t n,
                                       struct lp2p_mux_stream **stream)
{
    enum lp2p_err err = lp2p_mux_stream_find(mux, handle, stream);
    if (err != LP2P_OK) {
        return err;
    }
    if (n > (*stream)->unread) {
        return LP2P_EINVAL;
    }
    (*stream)->unread -= n;
    return LP2P_OK;
}

enum lp2p_err lp2p_mux_core_open(struct lp2p_mux *mux, lp2p_time now, uint64_t *handle)
{
    mux->now = now;
    if (mux->state != LP2P_MUX_SESSION_OPEN || mux->closing) {
        return LP2P_ECLOSED;
    }
    uint64_t key;
    if (mux->stats.streams_out >= mux->config.streams_out_max) {
        return LP2P_ELIMIT;
    }
    enum lp2p_err err = mux->kind->next_key(mux, &key);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_mux_stream *stream = add(mux, key, false);
    if (stream == NULL) {
        return LP2P_ENOMEM;
    }
    stream->due = LP2P_MUX_DUE_OPEN;
    lp2p_mux_stream_schedule(mux, stream);
    *handle = stream->handle;
    return LP2P_OK;
}

/** What was just queued on an empty stream goes in front of bulk, if it is little and others do not do so all the time. */
static void pass(struct lp2p_mux *mux, struct lp2p_mux_stream *stream)
{
    if (mux->passes > 0 && sendable(stream) && stream->out.bytes <= LP2P_MUX_PASS_BYTES) {
        mux->passes--;
        lp2p_list_push_front(&mux->sending, &stream->sending);
    }
}

enum lp2p_err lp2p_mux_core_write(struct lp2p_mux *mux, uint64_t handle, struct lp2p_slice *data)
{
    struct lp2p_mux_stream *stream;
    enum lp2p_err err = lp2p_mux_stream_find(mux, handle, &stream);
    if (err != LP2P_OK) {
        return err;
    }
    if (stream->write_closed) {
        return LP2P_ESTATE;
    }
    uint32_t len = data->len;
    bool alone = stream->out.bytes == 0;
    err = lp2p_fifo_push(&stream->out, data);
    if (err == LP2P_OK) {
        mux->stats.queued_bytes += len;
        if (alone) {
            pass(mux, stream);
        }
        lp2p_mux_stream_schedule(mux, stream);
    }
    return err;
}

enum lp2p_err lp2p_mux_core_close_write(struct lp2p_mux *mux, uint64_t handle)
{
    struct lp2p_mux_stream *stream;
    enum lp2p_err err = lp2p_mux_stream_find(mux, handle, &stream);
    if (err != LP2P_OK || stream->write_closed) {
        return err;
    }
    stream->write_closed = true;
    stream->due |= LP2P_MUX_DUE_FIN;
    lp2p_mux_stream_schedule(mux, stream);
    return LP2P_OK;
}

enum lp2p_err lp2p_mux_core_reset(struct lp2p_mux *mux, uint64_t handle, uint32_t code)
{
    struct lp2p_mux_stream *stream;
    enum lp2p_err err = lp2p_mux_stream_find(mux, handle, &stream);
    if (err != LP2P_OK) {
        return err;
    }
    /* A stream whose opening never left does not exist for the other side. */
    if ((stream->due & LP2P_MUX_DUE_OPEN) == 0) {
        queue_reset(mux, stream->key, code);
    }
    lp2p_mux_stream_turn(mux, stream, LP2P_MUX_RESET_SENT);
    return LP2P_OK;
}

void lp2p_mux_core_go_away(struct lp2p_mux *mux, uint32_t code)
{
    if (mux->state == LP2P_MUX_SESSION_OPEN && !mux->closing) {
        mux->closing = mux->go_away_due = true;
        mux->go_away_code = code;
    }
}

void lp2p_mux_core_stats(const struct lp2p_mux *mux, struct lp2p_mux_stats *out)
{
    *out = mux->stats;
}
