/* SPDX-License-Identifier: MIT */
#include "actors/link/muxer.h"
#include "runtime/pool.h"

/* A slice keeps its whole slab alive: one byte of each slab, left unread, could hold a thousand times what
 * the window allows. Data of less than an eighth of its slab is copied, and small pieces that come together
 * share a slab. */
#define SMALL_PART 8
#define SMALL_SLAB 4096u
/* Bulk is sent in runs of one stream. Where a read ends inside a run the owner hears of it when the next read has
 * brought the rest: one message and one wake-up instead of two. Only for that much, and only once. */
#define KEPT_MIN (32u * 1024)
#define KEPT_NS LP2P_MS(1) /* should the next read not come */

static enum lp2p_err post(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_ref owner,
                          struct lp2p_msg **msg)
{
    return lp2p_outbox_pass(self, &muxer->outbox, owner, msg);
}

static enum lp2p_err flush_batch(struct lp2p_actor *self, struct lp2p_muxer *muxer,
                                 struct lp2p_link_stream *stream)
{
    if (stream->batch == NULL) {
        return LP2P_OK;
    }
    struct lp2p_msg *msg = &stream->batch->msg;
    if (muxer->kept == stream) {
        muxer->kept = NULL;
    }
    stream->batch = NULL;
    stream->tail_room_bytes = 0;
    lp2p_list_remove(&stream->batched);
    return post(self, muxer, stream->owner, &msg);
}

/** The owner cannot be reached: it has ended, or it is so far behind that a message to it was lost. */
static void give_up(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                    enum lp2p_err why)
{
    (void)muxer->ops->reset(muxer->session, stream->handle, 0);
    LP2P_COUNT(muxer->ctx, streams_reset, 1);
    if (why != LP2P_EGONE) {
        struct lp2p_m_stream_reset *m = LP2P_NEW(STREAM_RESET_URGENT, stream_reset);
        if (m != NULL) {
            m->id = lp2p_streams_id(self, stream);
            m->reason = why;
            struct lp2p_msg *msg = &m->msg;
            lp2p_send_or_drop(self, stream->owner, &msg);
        }
    }
    lp2p_streams_remove(muxer, stream);
    lp2p_muxer_status_changed(self, muxer);
}

bool lp2p_muxer_tell(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                     struct lp2p_msg **msg)
{
    enum lp2p_err err = *msg == NULL ? LP2P_ENOMEM : flush_batch(self, muxer, stream);
    if (err == LP2P_OK) {
        err = post(self, muxer, stream->owner, msg);
    }
    lp2p_msg_drop(msg);
    if (err != LP2P_OK) {
        give_up(self, muxer, stream, err);
    }
    return err == LP2P_OK;
}

void lp2p_muxer_over(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                     uint32_t code, enum lp2p_err reason)
{
    (void)flush_batch(self, muxer, stream);
    struct lp2p_m_stream_reset *m = LP2P_NEW(STREAM_RESET, stream_reset);
    if (m != NULL) {
        m->id = lp2p_streams_id(self, stream);
        m->reason = reason;
        m->code = code;
        struct lp2p_msg *msg = &m->msg;
        (void)post(self, muxer, stream->owner, &msg);
    }
    lp2p_streams_remove(muxer, stream);
    lp2p_muxer_status_changed(self, muxer);
}

void lp2p_muxer_reset(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                      uint32_t code, enum lp2p_err reason)
{
    (void)muxer->ops->reset(muxer->session, stream->handle, code);
    LP2P_COUNT(muxer->ctx, streams_reset, 1);
    lp2p_muxer_over(self, muxer, stream, code, reason);
}

static bool is_small(const struct lp2p_slice *data)
{
    return data->len < data->buf->cap / SMALL_PART;
}

/** Puts a copy into the batch's own slab, or into a new one that becomes it. */
static enum lp2p_err add_copy(struct lp2p_link_stream *stream, const struct lp2p_slice *data)
{
    struct lp2p_m_stream_data *batch = stream->batch;
    if (stream->tail_room_bytes >= data->len) {
        struct lp2p_slice *tail = &batch->slices[batch->slices_len - 1];
        memcpy(tail->ptr + tail->len, data->ptr, data->len);
        tail->len += data->len;
        stream->tail_room_bytes -= data->len;
        return LP2P_OK;
    }
    /* Alone it gets what it needs; when a second one comes, more will. */
    uint32_t cap = batch->slices_len == 0 ? data->len : LP2P_MAX(data->len, SMALL_SLAB);
    struct lp2p_buf *slab = lp2p_pool_buf(cap);
    if (slab == NULL) {
        return LP2P_ENOMEM;
    }
    memcpy(slab->bytes, data->ptr, data->len);
    batch->slices[batch->slices_len++] = (struct lp2p_slice){slab, slab->bytes, data->len};
    stream->tail_room_bytes = slab->cap - data->len;
    return LP2P_OK;
}

static enum lp2p_err add_to_batch(struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                                  struct lp2p_stream_id id, struct lp2p_slice *data)
{
    if (stream->batch == NULL) {
        stream->batch = LP2P_NEW(STREAM_DATA, stream_data);
        if (stream->batch == NULL) {
            return LP2P_ENOMEM;
        }
        stream->batch->id = id;
        lp2p_list_push_back(&muxer->batched, &stream->batched);
    }
    stream->batch->msg.bytes += data->len;
    if (is_small(data)) {
        return add_copy(stream, data);
    }
    stream->batch->slices[stream->batch->slices_len++] = *data;
    stream->tail_room_bytes = 0;
    *data = (struct lp2p_slice){0};
    return LP2P_OK;
}

void lp2p_muxer_deliver(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                        struct lp2p_slice *data)
{
    enum lp2p_err err = LP2P_OK;
    if (data->len > 0) {
        err = add_to_batch(muxer, stream, lp2p_streams_id(self, stream), data);
    }
    lp2p_slice_drop(data);
    if (err == LP2P_OK && stream->batch != NULL && stream->batch->slices_len == LP2P_SLICES_MAX) {
        err = flush_batch(self, muxer, stream);
    }
    if (err != LP2P_OK) {
        give_up(self, muxer, stream, err);
    }
}

static void on_data(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                    struct lp2p_slice *data)
{
    if (stream == NULL) {
        lp2p_slice_drop(data); /* reset by us a moment ago */
    } else if (stream->state == LP2P_LINK_OPEN && stream->mss == NULL) {
        lp2p_muxer_deliver(self, muxer, stream, data);
    } else if (stream->state == LP2P_LINK_OPEN) {
        lp2p_muxer_confirm(self, muxer, stream, data);
    } else {
        lp2p_muxer_negotiate(self, muxer, stream, data);
    }
}

static void on_eof(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream)
{
    if (stream->state != LP2P_LINK_OPEN) {
        /* README of multistream-select: who finds nothing it wants may just close. */
        lp2p_muxer_refuse(self, muxer, stream, LP2P_ENEGOTIATION, true, LP2P_CODE_NEGOTIATION);
        return;
    }
    if (stream->mss != NULL) {
        lp2p_muxer_reset(self, muxer, stream, LP2P_CODE_NEGOTIATION, LP2P_ENEGOTIATION);
        return;
    }
    struct lp2p_m_stream_mark *m = LP2P_NEW(STREAM_EOF, stream_mark);
    struct lp2p_msg *msg = m != NULL ? &m->msg : NULL;
    if (m != NULL) {
        m->id = lp2p_streams_id(self, stream);
    }
    (void)lp2p_muxer_tell(self, muxer, stream, &msg);
}

static void on_reset(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                     const struct lp2p_mux_event *event)
{
    enum lp2p_err reason = event->reason != LP2P_OK ? event->reason : LP2P_ERESET;
    if (stream->state != LP2P_LINK_OPEN) {
        lp2p_muxer_refuse(self, muxer, stream, reason, false, event->code);
        return;
    }
    LP2P_COUNT(muxer->ctx, streams_reset, 1);
    lp2p_muxer_over(self, muxer, stream, event->code, reason);
}

static void on_closed(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream)
{
    if (stream->state == LP2P_LINK_OPEN) {
        (void)flush_batch(self, muxer, stream);
        lp2p_streams_remove(muxer, stream);
        lp2p_muxer_status_changed(self, muxer);
    } else {
        lp2p_muxer_refuse(self, muxer, stream, LP2P_ECLOSED, false, 0);
    }
}

/** What concerns the whole session. */
static void on_session_event(struct lp2p_actor *self, struct lp2p_muxer *muxer,
                             const struct lp2p_mux_event *event)
{
    char peer[LP2P_PEER_ID_TEXT_MAX];
    lp2p_peer_id_text(&muxer->arg->peer, peer);
    if (event->kind == LP2P_MUX_GOAWAY) {
        lp2p_log(muxer->ctx, LP2P_LOG_DEBUG, "muxer", "%s goes away, code %u", peer, event->code);
        lp2p_muxer_end(self, muxer, event->code == 0 ? LP2P_EEOF : LP2P_ECONNRESET);
    } else {
        lp2p_log(muxer->ctx, LP2P_LOG_INFO, "muxer", "session with %s failed: %s", peer,
                 lp2p_strerror(event->reason));
        lp2p_muxer_end(self, muxer, event->reason != LP2P_OK ? event->reason : LP2P_EPROTO);
    }
}

static void on_event(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_mux_event *event)
{
    struct lp2p_link_stream *stream = lp2p_streams_find(muxer, event->stream);
    switch (event->kind) {
    case LP2P_MUX_NONE:
        return;
    case LP2P_MUX_STREAM_OPENED:
        lp2p_muxer_accept(self, muxer, event->stream);
        return;
    case LP2P_MUX_STREAM_DATA:
        on_data(self, muxer, stream, &event->data);
        return;
    case LP2P_MUX_STREAM_EOF:
        if (stream != NULL) {
            on_eof(self, muxer, stream);
        }
        return;
    case LP2P_MUX_STREAM_RESET:
        if (stream != NULL) {
            on_reset(self, muxer, stream, event);
        }
        return;
    case LP2P_MUX_STREAM_WRITABLE:
        if (stream != NULL) {
            lp2p_muxer_framed(self, muxer, stream, event->bytes);
        }
        return;
    case LP2P_MUX_STREAM_CLOSED:
        if (stream != NULL) {
            on_closed(self, muxer, stream);
        }
        return;
    case LP2P_MUX_GOAWAY:
    case LP2P_MUX_FAILED:
        on_session_event(self, muxer, event);
        return;
    }
}

static void flush_batches(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    LP2P_LIST_FOREACH_SAFE(it, &muxer->batched)
    {
        struct lp2p_link_stream *stream = LP2P_LIST_ENTRY(it, struct lp2p_link_stream, batched);
        if (stream == muxer->kept && lp2p_now(self) < muxer->kept_until) {
            continue;
        }
        enum lp2p_err err = flush_batch(self, muxer, stream);
        if (err != LP2P_OK) {
            give_up(self, muxer, stream, err);
        }
    }
}

static void take_events(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    for (;;) {
        struct lp2p_mux_event event = {.kind = LP2P_MUX_NONE};
        muxer->ops->next(muxer->session, &event);
        if (event.kind == LP2P_MUX_NONE) {
            return;
        }
        on_event(self, muxer, &event);
    }
}

void lp2p_muxer_events(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    take_events(self, muxer);
    flush_batches(self, muxer);
}

/** Chooses the batch that waits for the next read, if any: the last one, which that read may go on with. */
static void keep_last(struct lp2p_actor *self, struct lp2p_muxer *muxer, bool more)
{
    const struct lp2p_link_stream *before = muxer->kept;
    muxer->kept = NULL;
    if (!more || muxer->state != LP2P_MUXER_OPEN || lp2p_list_empty(&muxer->batched)) {
        return;
    }
    struct lp2p_link_stream *last = LP2P_LIST_ENTRY(muxer->batched.prev, struct lp2p_link_stream, batched);
    if (last != before && last->batch->msg.bytes >= KEPT_MIN) {
        muxer->kept = last;
        muxer->kept_until = lp2p_time_add(lp2p_now(self), KEPT_NS);
    }
}

void lp2p_muxer_feed(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_m_conn_bytes *bytes)
{
    for (unsigned i = 0; i < bytes->slices_len; i++) {
        muxer->credit_bytes += bytes->slices[i].len;
        if (muxer->state != LP2P_MUXER_OPEN && muxer->state != LP2P_MUXER_DRAINING) {
            continue; /* over already: what else came is not looked at */
        }
        (void)muxer->ops->feed(muxer->session, &bytes->slices[i],
                               lp2p_now(self)); /* its verdict is among the events */
        take_events(self, muxer);
    }
    keep_last(self, muxer, bytes->more);
    flush_batches(self, muxer);
}
