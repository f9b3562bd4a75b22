/* SPDX-License-Identifier: MIT */
#include "yamux/session.h"

static uint64_t handle_of(const struct lp2p_yamux_stream *stream)
{
    return (uint64_t)stream->serial << 32 | stream->id;
}

/** Counts a frame that changed nothing; too many of them end the session. */
static void count_noop(struct lp2p_yamux *session)
{
    if (!lp2p_budget_take(&session->noops, session->config.noop_frames_max, LP2P_SEC(1), session->now)) {
        lp2p_yamux_fail(session, LP2P_EFLOOD, LP2P_YAMUX_PROTOCOL_ERROR);
    }
}

static void on_ping(struct lp2p_yamux *session, const struct lp2p_yamux_header *header)
{
    /* Each answer costs us a frame, so that pings live within the budget of frames without effect. */
    count_noop(session);
    if ((header->flags & LP2P_YAMUX_SYN) != 0) {
        if (session->pongs_len < LP2P_YAMUX_PONGS_MAX) {
            session->pongs[session->pongs_len++] = header->length;
        }
        return;
    }
    bool answers = (header->flags & LP2P_YAMUX_ACK) != 0 && session->ping == LP2P_YAMUX_PING_SENT &&
                   header->length == session->ping_value;
    if (answers) {
        uint64_t rtt = lp2p_time_since(session->now, session->ping_at);
        session->stats.rtt_ns = rtt > 0 ? rtt : 1;
        session->ping = LP2P_YAMUX_PING_IDLE;
        session->ping_at = lp2p_time_add(session->now, session->config.keepalive_ns);
    }
}

static void on_go_away(struct lp2p_yamux *session, uint32_t code)
{
    session->state = LP2P_YAMUX_SESSION_GONE;
    session->code = code;
    lp2p_fifo_clear(&session->in);
}

/** A SYN that is legal: a new stream, or NULL when it is refused or the session has failed over it. */
static struct lp2p_yamux_stream *accept_stream(struct lp2p_yamux *session, uint32_t id)
{
    if (session->closing || session->stats.streams_in >= session->config.streams_in_max) {
        uint64_t refused_max = (uint64_t)session->config.streams_in_max * LP2P_YAMUX_REFUSED_FACTOR;
        session->stats.refused_in++;
        lp2p_yamux_send_reset(session, id, 0);
        if (!lp2p_budget_take(&session->refused, (uint32_t)LP2P_MIN(refused_max, UINT32_MAX), LP2P_YAMUX_FLOOD_PERIOD,
                              session->now)) {
            lp2p_yamux_fail(session, LP2P_EFLOOD, LP2P_YAMUX_PROTOCOL_ERROR);
        }
        return NULL;
    }
    struct lp2p_yamux_stream *stream = lp2p_yamux_stream_add(session, id, true);
    if (stream == NULL) {
        lp2p_yamux_send_reset(session, id, 0);
        return NULL;
    }
    /* rust opens no more than 256 streams without an ACK, so that it must not wait for data. */
    stream->due = LP2P_YAMUX_DUE_ACK;
    lp2p_yamux_schedule(session, stream);
    lp2p_yamux_stream_news(session, stream, LP2P_YAMUX_NEWS_OPENED);
    return stream;
}

static void on_reset(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream, uint32_t code)
{
    bool rapid = stream->inbound && lp2p_time_since(session->now, stream->granted_at) < LP2P_YAMUX_FRESH;
    stream->code = code;
    lp2p_yamux_stream_turn(session, stream, LP2P_YAMUX_RESET_RECEIVED);
    if (rapid && !lp2p_budget_take(&session->rapid_resets, LP2P_YAMUX_RAPID_RESETS_MAX, LP2P_YAMUX_FLOOD_PERIOD,
                                   session->now)) {
        lp2p_yamux_fail(session, LP2P_EFLOOD, LP2P_YAMUX_PROTOCOL_ERROR);
    }
}

static void on_window_update(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream, uint32_t delta)
{
    if (delta > UINT32_MAX - stream->credit_out) {
        lp2p_yamux_fail(session, LP2P_EPROTO, LP2P_YAMUX_PROTOCOL_ERROR);
        return;
    }
    stream->credit_out += delta;
    lp2p_yamux_schedule(session, stream);
}

static void on_fin(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream)
{
    if (stream->state == LP2P_YAMUX_STREAM_REMOTE_CLOSED) {
        count_noop(session);
    } else {
        lp2p_yamux_stream_turn(session, stream, LP2P_YAMUX_FIN_RECEIVED);
    }
}

/** The rules that end a session, checked before a frame has any effect. */
static bool violates(struct lp2p_yamux *session, const struct lp2p_yamux_header *header, const struct lp2p_yamux_stream *stream)
{
    enum lp2p_err reason = LP2P_OK;
    bool syn = (header->flags & LP2P_YAMUX_SYN) != 0;
    bool ours = (header->id % 2 == 1) == session->initiator;
    if (header->id == 0 || (syn && (ours || stream != NULL))) {
        reason = LP2P_EPROTO;
    } else if (header->type == LP2P_YAMUX_DATA) {
        /* A stream that has ended had never more than the largest window; nothing may be longer. */
        uint32_t credit = session->config.window_max_bytes;
        if (stream != NULL) {
            credit = stream->credit_in;
        } else if (syn) {
            credit = LP2P_YAMUX_WINDOW_INITIAL;
        }
        reason = header->length > credit ? LP2P_ECREDIT : LP2P_OK;
    }
    if (reason != LP2P_OK) {
        lp2p_yamux_fail(session, reason, LP2P_YAMUX_PROTOCOL_ERROR);
    }
    return reason != LP2P_OK;
}

/** Data or WindowUpdate: flags first, then credit or body. */
static void on_stream_frame(struct lp2p_yamux *session, const struct lp2p_yamux_header *header)
{
    struct lp2p_yamux_stream *stream = (struct lp2p_yamux_stream *)lp2p_mux_map_get(&session->streams, header->id);
    bool data = header->type == LP2P_YAMUX_DATA;
    bool syn = (header->flags & LP2P_YAMUX_SYN) != 0, rst = (header->flags & LP2P_YAMUX_RST) != 0;
    if (violates(session, header, stream)) {
        return;
    }
    session->body_left = data ? header->length : 0;
    session->body_id = 0;
    if (syn && !rst) {
        stream = accept_stream(session, header->id);
        if (stream == NULL) {
            return;
        }
    }
    if (stream == NULL) {
        /* Late frames of a stream that we reset or forgot are normal: no answer, the body is thrown away. */
        count_noop(session);
        return;
    }
    if (rst) {
        on_reset(session, stream, data ? 0 : header->length);
        return;
    }
    bool effect = header->length > 0 || (header->flags & (LP2P_YAMUX_SYN | LP2P_YAMUX_ACK | LP2P_YAMUX_FIN)) != 0;
    bool ended = data && header->length > 0 && stream->state == LP2P_YAMUX_STREAM_REMOTE_CLOSED;
    if (!effect || ended) {
        count_noop(session);
    }
    if (!data) {
        on_window_update(session, stream, header->length);
    } else {
        stream->credit_in -= header->length;
        session->body_id = ended ? 0 : header->id;
    }
    bool fin = (header->flags & LP2P_YAMUX_FIN) != 0;
    session->body_fin = fin && session->body_left > 0;
    if (fin && session->body_left == 0) {
        on_fin(session, stream);
    }
}

static void on_header(struct lp2p_yamux *session)
{
    struct lp2p_yamux_header header;
    lp2p_yamux_header_get(session->header, &header);
    session->header_len = 0;
    if (header.version != 0) {
        lp2p_yamux_fail(session, LP2P_EVERSION, LP2P_YAMUX_PROTOCOL_ERROR);
        return;
    }
    switch (header.type) {
    case LP2P_YAMUX_DATA:
    case LP2P_YAMUX_WINDOW_UPDATE:
        on_stream_frame(session, &header);
        return;
    case LP2P_YAMUX_PING:
        on_ping(session, &header);
        return;
    case LP2P_YAMUX_GO_AWAY:
        on_go_away(session, header.length);
        return;
    }
    lp2p_yamux_fail(session, LP2P_EPROTO, LP2P_YAMUX_PROTOCOL_ERROR);
}

static bool has_news(const struct lp2p_yamux *session)
{
    return !lp2p_list_empty(&session->ready) || (session->state != LP2P_YAMUX_SESSION_OPEN && !session->end_told);
}

/** One step through the input: a header or bytes to throw away. False: the next move is the owner's, by next or by feed. */
static bool advance(struct lp2p_yamux *session)
{
    if (has_news(session) || session->in.bytes == 0 || (session->body_left > 0 && session->body_id != 0)) {
        return false;
    }
    if (session->body_left > 0) {
        session->body_left -= (uint32_t)lp2p_fifo_skip(&session->in, session->body_left);
        return true;
    }
    size_t want = (size_t)(LP2P_YAMUX_HEADER - session->header_len);
    size_t part = (size_t)LP2P_MIN((uint64_t)want, session->in.bytes);
    lp2p_fifo_copy(&session->in, session->header + session->header_len, part);
    session->header_len += (uint8_t)part;
    if (part == want) {
        on_header(session);
    }
    return true;
}

enum lp2p_err lp2p_yamux_feed(struct lp2p_mux *mux, const struct lp2p_slice *in, lp2p_time now)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    session->now = session->heard_at = now;
    if (session->state != LP2P_YAMUX_SESSION_OPEN) {
        return session->state == LP2P_YAMUX_SESSION_FAILED ? session->reason : LP2P_ECLOSED;
    }
    if (in->len > 0) {
        struct lp2p_slice own = lp2p_slice_of(in->buf, in->ptr, in->len);
        if (lp2p_fifo_push(&session->in, &own) != LP2P_OK) {
            lp2p_slice_drop(&own);
            lp2p_yamux_fail(session, LP2P_ENOMEM, LP2P_YAMUX_INTERNAL_ERROR);
        }
    }
    while (advance(session)) {
    }
    return session->state == LP2P_YAMUX_SESSION_FAILED ? session->reason : LP2P_OK;
}

/** The oldest thing that a stream has to tell; the stream is freed with its last word. */
static void take_news(struct lp2p_yamux *session, struct lp2p_mux_event *event)
{
    struct lp2p_yamux_stream *stream = LP2P_LIST_ENTRY(session->ready.next, struct lp2p_yamux_stream, ready);
    event->stream = handle_of(stream);
    unsigned taken = 0;
    if ((stream->news & LP2P_YAMUX_NEWS_OPENED) != 0) {
        event->kind = LP2P_MUX_STREAM_OPENED;
        taken = LP2P_YAMUX_NEWS_OPENED;
    } else if (stream->framed > 0) {
        event->kind = LP2P_MUX_STREAM_WRITABLE;
        event->bytes = stream->framed;
        stream->framed = 0;
    } else if ((stream->news & LP2P_YAMUX_NEWS_EOF) != 0) {
        event->kind = LP2P_MUX_STREAM_EOF;
        taken = LP2P_YAMUX_NEWS_EOF;
    } else if ((stream->news & LP2P_YAMUX_NEWS_RESET) != 0) {
        event->kind = LP2P_MUX_STREAM_RESET;
        event->code = stream->code;
        event->reason = LP2P_ERESET;
        taken = LP2P_YAMUX_NEWS_RESET;
    } else {
        LP2P_CHECK((stream->news & LP2P_YAMUX_NEWS_CLOSED) != 0);
        event->kind = LP2P_MUX_STREAM_CLOSED;
        taken = LP2P_YAMUX_NEWS_CLOSED;
    }
    stream->news &= (uint8_t)~taken;
    if (stream->news != 0 || stream->framed > 0) {
        return;
    }
    lp2p_list_remove(&stream->ready);
    if (stream->state == LP2P_YAMUX_STREAM_ENDED) {
        lp2p_yamux_stream_free(stream);
    }
}

/** The bytes at the front are body of a live stream: as many as lie together go to the owner without a copy. */
static void take_data(struct lp2p_yamux *session, struct lp2p_mux_event *event)
{
    struct lp2p_yamux_stream *stream = (struct lp2p_yamux_stream *)lp2p_mux_map_get(&session->streams, session->body_id);
    LP2P_CHECK(stream != NULL);
    event->kind = LP2P_MUX_STREAM_DATA;
    event->stream = handle_of(stream);
    event->data = lp2p_fifo_cut(&session->in, session->body_left);
    event->bytes = event->data.len;
    session->stats.bytes_in += event->data.len;
    session->body_left -= event->data.len;
    if (session->body_left == 0) {
        session->body_id = 0;
        if (session->body_fin) {
            on_fin(session, stream);
        }
    }
}

void lp2p_yamux_next(struct lp2p_mux *mux, struct lp2p_mux_event *event)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    *event = (struct lp2p_mux_event){.kind = LP2P_MUX_NONE};
    while (advance(session)) {
    }
    if (!lp2p_list_empty(&session->ready)) {
        take_news(session, event);
    } else if (session->state == LP2P_YAMUX_SESSION_FAILED && !session->end_told) {
        session->end_told = true;
        event->kind = LP2P_MUX_FAILED;
        event->reason = session->reason;
    } else if (session->state == LP2P_YAMUX_SESSION_GONE && !session->end_told) {
        session->end_told = true;
        event->kind = LP2P_MUX_GOAWAY;
        event->code = session->code;
    } else if (session->in.bytes > 0 && session->body_left > 0) {
        take_data(session, event);
    }
}
