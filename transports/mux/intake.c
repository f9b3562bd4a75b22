/* SPDX-License-Identifier: MIT
 * The way of the input: fed slices, headers by the protocol, bodies by reference to the owner, one event at a
 * time. */
#include "mux/core.h"

#include <stdlib.h>

static bool has_news(const struct lp2p_mux *mux)
{
    return !lp2p_list_empty(&mux->ready) || (mux->state != LP2P_MUX_SESSION_OPEN && !mux->end_told);
}

/** One step through the input: part of a header, or bytes to throw away. False: the next move is the owner's,
 * by next or by feed. */
static bool advance(struct lp2p_mux *mux)
{
    if (has_news(mux) || mux->in.bytes == 0) {
        return false;
    }
    if (mux->body_left == 0) {
        mux->kind->parse(mux);
        return true;
    }
    if (mux->body != NULL) {
        return false;
    }
    mux->body_left -= (uint32_t)lp2p_fifo_skip(&mux->in, mux->body_left);
    return true;
}

enum lp2p_err lp2p_mux_core_feed(struct lp2p_mux *mux, const struct lp2p_slice *in, lp2p_time now)
{
    LP2P_CHECK_MAGIC(mux, mux->kind->magic);
    mux->now = mux->heard_at = now;
    if (mux->state != LP2P_MUX_SESSION_OPEN) {
        return mux->state == LP2P_MUX_SESSION_FAILED ? mux->reason : LP2P_ECLOSED;
    }
    if (in->len > 0) {
        struct lp2p_slice own = lp2p_slice_of(in->buf, in->ptr, in->len);
        if (lp2p_fifo_push(&mux->in, &own) != LP2P_OK) {
            lp2p_slice_drop(&own);
            lp2p_mux_fail(mux, LP2P_ENOMEM, 0);
        }
    }
    while (advance(mux)) {
    }
    return mux->state == LP2P_MUX_SESSION_FAILED ? mux->reason : LP2P_OK;
}

/** The oldest thing that a stream has to tell, or none: then *news is 0 and the event is WRITABLE. */
static unsigned next_news(const struct lp2p_mux_stream *stream, struct lp2p_mux_event *event)
{
    if ((stream->news & LP2P_MUX_NEWS_OPENED) != 0) {
        event->kind = LP2P_MUX_STREAM_OPENED;
        return LP2P_MUX_NEWS_OPENED;
    }
    if (stream->framed > 0) {
        event->kind = LP2P_MUX_STREAM_WRITABLE;
        event->bytes = stream->framed;
        return 0;
    }
    if ((stream->news & LP2P_MUX_NEWS_EOF) != 0) {
        event->kind = LP2P_MUX_STREAM_EOF;
        return LP2P_MUX_NEWS_EOF;
    }
    if ((stream->news & LP2P_MUX_NEWS_RESET) != 0) {
        event->kind = LP2P_MUX_STREAM_RESET;
        event->code = stream->code;
        event->reason = stream->reason;
        return LP2P_MUX_NEWS_RESET;
    }
    LP2P_CHECK((stream->news & LP2P_MUX_NEWS_CLOSED) != 0);
    event->kind = LP2P_MUX_STREAM_CLOSED;
    return LP2P_MUX_NEWS_CLOSED;
}

/** Tells one thing of the first stream with news. An ended stream is freed with its last word. */
static void take_news(struct lp2p_mux *mux, struct lp2p_mux_event *event)
{
    struct lp2p_mux_stream *stream = LP2P_LIST_ENTRY(mux->ready.next, struct lp2p_mux_stream, ready);
    event->stream = stream->handle;
    unsigned taken = next_news(stream, event);
    if (event->kind == LP2P_MUX_STREAM_WRITABLE) {
        stream->framed = 0;
    }
    stream->news &= (uint8_t)~taken;
    if (stream->news != 0 || stream->framed > 0) {
        return;
    }
    lp2p_list_remove(&stream->ready);
    if (stream->state == LP2P_MUX_STREAM_ENDED) {
        LP2P_CHECK(stream->out.len == 0);
        free(stream);
    }
}

/** The bytes at the front are body of a live stream: what lies together goes to the owner without a copy. */
static void take_data(struct lp2p_mux *mux, struct lp2p_mux_event *event)
{
    struct lp2p_mux_stream *stream = mux->body;
    event->kind = LP2P_MUX_STREAM_DATA;
    event->stream = stream->handle;
    event->data = lp2p_fifo_cut(&mux->in, mux->body_left);
    event->bytes = event->data.len;
    stream->unread += event->data.len;
    mux->stats.bytes_in += event->data.len;
    mux->body_left -= event->data.len;
    if (mux->body_left == 0) {
        mux->body = NULL;
        if (mux->body_fin) {
            lp2p_mux_stream_on_fin(mux, stream);
        }
    }
}

void lp2p_mux_core_next(struct lp2p_mux *mux, struct lp2p_mux_event *event)
{
    LP2P_CHECK_MAGIC(mux, mux->kind->magic);
    *event = (struct lp2p_mux_event){.kind = LP2P_MUX_NONE};
    while (advance(mux)) {
    }
    if (!lp2p_list_empty(&mux->ready)) {
        take_news(mux, event);
    } else if (mux->state == LP2P_MUX_SESSION_FAILED && !mux->end_told) {
        mux->end_told = true;
        event->kind = LP2P_MUX_FAILED;
        event->reason = mux->reason;
    } else if (mux->state == LP2P_MUX_SESSION_GONE && !mux->end_told) {
        mux->end_told = true;
        event->kind = LP2P_MUX_GOAWAY;
        event->code = mux->code;
    } else if (mux->in.bytes > 0 && mux->body_left > 0) {
        take_data(mux, event);
    }
}
