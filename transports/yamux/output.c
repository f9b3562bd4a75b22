/* SPDX-License-Identifier: MIT */
#include "yamux/session.h"

/* A data frame that is cut short by the end of the buffer wastes its header: below this many bytes it waits
 * for the next drain, unless all that is queued fits. */
#define BODY_WORTH_A_FRAME 512u

/** A buffer being filled with whole frames. */
struct sink {
    uint8_t *at;
    size_t left;
    const uint8_t *begin;
    struct lp2p_mux_holes *holes; /* NULL: everything is copied */
};

static bool room(const struct sink *sink)
{
    return sink->left >= LP2P_YAMUX_HEADER;
}

static void put_header(struct sink *sink, enum lp2p_yamux_type type, unsigned flags, uint64_t id,
                       uint32_t length)
{
    LP2P_CHECK(room(sink));
    struct lp2p_yamux_header header = {0, (uint8_t)type, (uint16_t)flags, (uint32_t)id, length};
    lp2p_yamux_header_put(sink->at, &header);
    sink->at += LP2P_YAMUX_HEADER;
    sink->left -= LP2P_YAMUX_HEADER;
}

static void drain_go_away(struct lp2p_mux *mux, struct sink *sink)
{
    if (mux->go_away_due && room(sink)) {
        mux->go_away_due = false;
        put_header(sink, LP2P_YAMUX_GO_AWAY, 0, 0, mux->go_away_code);
    }
}

/** Frames of the session itself: go-away, answers to pings, our ping, resets. */
static void drain_session(struct lp2p_yamux *session, struct sink *sink)
{
    struct lp2p_mux *mux = &session->base;
    drain_go_away(mux, sink);
    uint32_t pongs = 0;
    while (pongs < session->pongs_len && room(sink)) {
        put_header(sink, LP2P_YAMUX_PING, LP2P_YAMUX_ACK, 0, session->pongs[pongs++]);
    }
    session->pongs_len -= pongs;
    memmove(session->pongs, session->pongs + pongs, session->pongs_len * sizeof(session->pongs[0]));
    if (session->ping == LP2P_YAMUX_PING_DUE && room(sink)) {
        session->ping = LP2P_YAMUX_PING_SENT;
        session->ping_at = mux->now;
        session->ping_value = (uint32_t)lp2p_rand_u64(&session->rand);
        put_header(sink, LP2P_YAMUX_PING, LP2P_YAMUX_SYN, 0, session->ping_value);
    }
    while (mux->resets.len > 0 && room(sink)) {
        struct lp2p_mux_reset reset = lp2p_mux_resets_pop(&mux->resets);
        put_header(sink, LP2P_YAMUX_WINDOW_UPDATE, LP2P_YAMUX_RST, reset.key, reset.code);
    }
}

/** Room for a stream's window to grow by: doubled when it was used up in less than four round trips, because
 * then it limits the speed; bounded for the stream and for the session. */
static uint32_t growth(const struct lp2p_mux *mux, const struct lp2p_yamux_stream *stream)
{
    uint64_t rtt = mux->stats.rtt_ns;
    if (rtt == 0 || lp2p_time_since(mux->now, stream->granted_at) / 4 >= rtt) {
        return 0;
    }
    uint64_t total_max = mux->config.windows_total_max_bytes, total = mux->stats.window_bytes;
    uint64_t grow = LP2P_MIN(stream->window, mux->config.window_max_bytes - stream->window);
    return (uint32_t)LP2P_MIN(grow, total_max > total ? total_max - total : 0);
}

/** What the consumed bytes give back, and the growth. */
static uint32_t grant(struct lp2p_mux *mux, struct lp2p_yamux_stream *stream)
{
    uint32_t grow = growth(mux, stream), delta = stream->freed + grow;
    stream->window += grow;
    mux->stats.window_bytes += grow;
    stream->credit_in += delta;
    stream->freed = 0;
    stream->granted_at = mux->now;
    return delta;
}

/** The flags that leave with this frame; they are no longer due. FIN never rides on data, although that is
 * legal: js-libp2p's yamux closes the stream before it looks at the bytes of such a frame, and loses them. */
static unsigned take_flags(struct lp2p_mux_stream *stream, bool body)
{
    unsigned flags = 0;
    flags |= (stream->due & LP2P_MUX_DUE_OPEN) != 0 ? LP2P_YAMUX_SYN : 0;
    flags |= (stream->due & LP2P_MUX_DUE_ACK) != 0 ? LP2P_YAMUX_ACK : 0;
    flags |= !body && lp2p_mux_stream_fin_ready(stream) ? LP2P_YAMUX_FIN : 0;
    unsigned done =
        LP2P_MUX_DUE_OPEN | LP2P_MUX_DUE_ACK | ((flags & LP2P_YAMUX_FIN) != 0 ? LP2P_MUX_DUE_FIN : 0);
    stream->due &= (uint8_t)~done;
    return flags;
}

static void after_frame(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, unsigned flags)
{
    lp2p_mux_stream_schedule(mux, stream);
    if ((flags & LP2P_YAMUX_FIN) != 0) {
        lp2p_mux_stream_turn(mux, stream, LP2P_MUX_FIN_SENT);
    }
}

static void drain_control(struct lp2p_mux *mux, struct sink *sink)
{
    while (!lp2p_list_empty(&mux->control) && room(sink)) {
        struct lp2p_mux_stream *stream = LP2P_LIST_ENTRY(mux->control.next, struct lp2p_mux_stream, control);
        uint32_t delta = 0;
        if ((stream->due & LP2P_MUX_DUE_CREDIT) != 0) {
            stream->due &= (uint8_t)~LP2P_MUX_DUE_CREDIT;
            /* Their FIN may have come since: nobody is left to use the credit. */
            bool useless = stream->state == LP2P_MUX_STREAM_REMOTE_CLOSED;
            delta = useless ? 0 : grant(mux, lp2p_yamux_stream_of(stream));
        }
        unsigned flags = take_flags(stream, false);
        if (delta != 0 || flags != 0) {
            put_header(sink, LP2P_YAMUX_WINDOW_UPDATE, flags, stream->key, delta);
        }
        after_frame(mux, stream, flags);
    }
}

/** The body of a frame: copied, or left out where much of it lies together. */
static void put_body(struct sink *sink, struct lp2p_fifo *from, size_t len)
{
    struct lp2p_mux_holes *holes = sink->holes;
    sink->left -= len;
    while (len > 0) {
        size_t part = LP2P_MIN(lp2p_fifo_front(from).len, len);
        if (holes != NULL && part >= LP2P_MUX_HOLE_MIN && holes->len < LP2P_MUX_HOLES_MAX) {
            holes->of[holes->len++] =
                (struct lp2p_mux_hole){(uint32_t)(sink->at - sink->begin), lp2p_fifo_cut(from, part)};
        } else {
            lp2p_fifo_copy(from, sink->at, part);
        }
        sink->at += part;
        len -= part;
    }
}

/** One data frame of the stream at the front, which then goes to the back. False: no room that is worth a
 * frame. `first`: nothing is before it in the buffer, so that waiting would not make the room larger. */
static bool drain_data(struct lp2p_mux *mux, struct sink *sink, bool first)
{
    struct lp2p_mux_stream *base = LP2P_LIST_ENTRY(mux->sending.next, struct lp2p_mux_stream, sending);
    struct lp2p_yamux_stream *stream = lp2p_yamux_stream_of(base);
    uint64_t wanted = LP2P_MIN(base->out.bytes, (uint64_t)stream->credit_out);
    wanted = LP2P_MIN(wanted, mux->config.frame_max_bytes);
    size_t space = room(sink) ? sink->left - LP2P_YAMUX_HEADER : 0;
    if (space == 0 || (!first && space < LP2P_MIN(wanted, BODY_WORTH_A_FRAME))) {
        return false;
    }
    uint32_t len = (uint32_t)LP2P_MIN(wanted, (uint64_t)space);
    unsigned flags =
        take_flags(base, true); /* while the body is still queued: FIN waits for the next frame */
    put_header(sink, LP2P_YAMUX_DATA, flags, base->key, len);
    put_body(sink, &base->out, len);
    stream->credit_out -= len;
    base->blocked = stream->credit_out == 0;
    lp2p_mux_stream_framed(mux, base, len);
    after_frame(mux, base, flags);
    return true;
}

size_t lp2p_yamux_drain(struct lp2p_mux *mux, uint8_t *out, size_t cap, lp2p_time now)
{
    return lp2p_yamux_drain_around(mux, out, cap, now, NULL);
}

size_t lp2p_yamux_drain_around(struct lp2p_mux *mux, uint8_t *out, size_t cap, lp2p_time now,
                               struct lp2p_mux_holes *holes)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    struct sink sink = {out, cap, out, holes};
    LP2P_CHECK(cap >= 64);
    mux->now = now;
    if (mux->state == LP2P_MUX_SESSION_FAILED) {
        drain_go_away(mux, &sink);
    }
    if (mux->state != LP2P_MUX_SESSION_OPEN) {
        return cap - sink.left;
    }
    drain_session(session, &sink);
    drain_control(mux, &sink);
    while (!lp2p_list_empty(&mux->sending) && drain_data(mux, &sink, sink.left == cap)) {
    }
    drain_control(mux, &sink); /* FINs behind the data of just now */
    return cap - sink.left;
}

bool lp2p_yamux_wants_write(const struct lp2p_mux *mux)
{
    LP2P_CHECK_MAGIC(mux, LP2P_YAMUX_MAGIC);
    const struct lp2p_yamux *session = (const struct lp2p_yamux *)(const void *)mux;
    if (mux->state != LP2P_MUX_SESSION_OPEN) {
        return mux->state == LP2P_MUX_SESSION_FAILED && mux->go_away_due;
    }
    return mux->go_away_due || session->pongs_len > 0 || session->ping == LP2P_YAMUX_PING_DUE ||
           mux->resets.len > 0 || !lp2p_list_empty(&mux->control) || !lp2p_list_empty(&mux->sending);
}
