/* SPDX-License-Identifier: MIT */
#include "yamux/session.h"

static void violation(struct lp2p_mux *mux, enum lp2p_err reason)
{
    lp2p_mux_fail(mux, reason, LP2P_YAMUX_PROTOCOL_ERROR);
}

static void on_ping(struct lp2p_yamux *session, const struct lp2p_yamux_header *header)
{
    struct lp2p_mux *mux = &session->base;
    /* Each answer costs us a frame, so that pings live within the budget of frames without effect. */
    lp2p_mux_count_noop(mux);
    if ((header->flags & LP2P_YAMUX_SYN) != 0) {
        if (session->pongs_len < LP2P_YAMUX_PONGS_MAX) {
            session->pongs[session->pongs_len++] = header->length;
        }
        return;
    }
    bool answers = (header->flags & LP2P_YAMUX_ACK) != 0 && session->ping == LP2P_YAMUX_PING_SENT &&
                   header->length == session->ping_value;
    if (answers) {
        uint64_t rtt = lp2p_time_since(mux->now, session->ping_at);
        mux->stats.rtt_ns = LP2P_MAX(rtt, (uint64_t)1); /* 0 means unknown */
        session->ping = LP2P_YAMUX_PING_IDLE;
        session->ping_at = lp2p_time_add(mux->now, mux->config.keepalive_ns);
    }
}

static void on_go_away(struct lp2p_mux *mux, uint32_t code)
{
    mux->state = LP2P_MUX_SESSION_GONE;
    mux->code = code;
    lp2p_fifo_clear(&mux->in);
}

/** The rules that end a session, checked before a frame has any effect. */
static enum lp2p_err judge(struct lp2p_mux *mux, const struct lp2p_yamux_header *header,
                           const struct lp2p_yamux_stream *stream)
{
    bool syn = (header->flags & LP2P_YAMUX_SYN) != 0;
    bool ours = (header->id % 2 == 1) == mux->initiator;
    if (header->id == 0 || (syn && (ours || stream != NULL))) {
        return LP2P_EPROTO;
    }
    if (header->type != LP2P_YAMUX_DATA) {
        bool credit = stream != NULL && (header->flags & LP2P_YAMUX_RST) == 0;
        uint32_t have = credit ? stream->credit_out : syn ? LP2P_YAMUX_WINDOW_INITIAL : 0;
        return header->length > UINT32_MAX - have && (header->flags & LP2P_YAMUX_RST) == 0 ? LP2P_EPROTO
                                                                                           : LP2P_OK;
    }
    uint32_t credit =
        mux->config.window_max_bytes; /* a stream that has ended had never more than the largest window */
    if (stream != NULL) {
        credit = stream->credit_in;
    } else if (syn) {
        credit = LP2P_YAMUX_WINDOW_INITIAL;
    }
    return header->length > credit ? LP2P_ECREDIT : LP2P_OK;
}

static struct lp2p_yamux_stream *on_syn(struct lp2p_mux *mux, uint32_t id)
{
    struct lp2p_mux_stream *stream = lp2p_mux_stream_accept(mux, id);
    if (stream != NULL) {
        /* rust opens no more than 256 streams without an ACK, so that it must not wait for data of ours. */
        stream->due = LP2P_MUX_DUE_ACK;
        lp2p_mux_stream_schedule(mux, stream);
    }
    return lp2p_yamux_stream_of(stream);
}

/** A legal frame of a live stream: credit or body, then the end. */
static void on_live_frame(struct lp2p_mux *mux, struct lp2p_yamux_stream *stream,
                          const struct lp2p_yamux_header *header)
{
    struct lp2p_mux_stream *base = &stream->base;
    bool fin = (header->flags & LP2P_YAMUX_FIN) != 0;
    bool late =
        mux->body_left > 0 && base->state == LP2P_MUX_STREAM_REMOTE_CLOSED; /* data behind their own FIN */
    if (late || (header->length == 0 && header->flags == 0)) {
        lp2p_mux_count_noop(mux);
    }
    if (header->type == LP2P_YAMUX_DATA) {
        stream->credit_in -= header->length;
        mux->body = late || header->length == 0 ? NULL : base;
    } else if (header->length > 0) {
        stream->credit_out += header->length;
        base->blocked = false;
        lp2p_mux_stream_schedule(mux, base);
    }
    mux->body_fin = fin && mux->body != NULL;
    if (fin && mux->body == NULL) {
        lp2p_mux_stream_on_fin(mux, base);
    }
}

/** Data or WindowUpdate. */
static void on_stream_frame(struct lp2p_mux *mux, const struct lp2p_yamux_header *header)
{
    struct lp2p_yamux_stream *stream = lp2p_yamux_stream_of(lp2p_mux_stream_by_key(mux, header->id));
    bool data = header->type == LP2P_YAMUX_DATA, rst = (header->flags & LP2P_YAMUX_RST) != 0;
    enum lp2p_err verdict = judge(mux, header, stream);
    if (verdict != LP2P_OK) {
        violation(mux, verdict);
        return;
    }
    mux->body_left = data ? header->length : 0;
    mux->body = NULL;
    if ((header->flags & LP2P_YAMUX_SYN) != 0 && !rst) {
        stream = on_syn(mux, header->id);
        if (stream == NULL) {
            return;
        }
    }
    if (stream == NULL) {
        /* Late frames of a stream that we reset or forgot are normal: no answer, and the body is thrown away.
         */
        lp2p_mux_count_noop(mux);
    } else if (rst) {
        /* The length of a WindowUpdate with RST is an error code and no credit (go-yamux stream.go). */
        lp2p_mux_stream_on_reset(mux, &stream->base, data ? 0 : header->length);
    } else {
        on_live_frame(mux, stream, header);
    }
}

static void on_header(struct lp2p_yamux *session)
{
    struct lp2p_mux *mux = &session->base;
    struct lp2p_yamux_header header;
    lp2p_yamux_header_get(session->header, &header);
    if (header.version != 0) {
        violation(mux, LP2P_EVERSION);
        return;
    }
    switch (header.type) {
    case LP2P_YAMUX_DATA:
    case LP2P_YAMUX_WINDOW_UPDATE:
        on_stream_frame(mux, &header);
        return;
    case LP2P_YAMUX_PING:
        on_ping(session, &header);
        return;
    case LP2P_YAMUX_GO_AWAY:
        on_go_away(mux, header.length);
        return;
    }
    violation(mux, LP2P_EPROTO);
}

void lp2p_yamux_parse(struct lp2p_mux *mux)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    uint64_t want = (uint64_t)(LP2P_YAMUX_HEADER - session->header_len);
    size_t part = (size_t)LP2P_MIN(want, mux->in.bytes);
    lp2p_fifo_copy(&mux->in, session->header + session->header_len, part);
    session->header_len += (uint8_t)part;
    if (part == want) {
        session->header_len = 0;
        on_header(session);
    }
}
