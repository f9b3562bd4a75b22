/* SPDX-License-Identifier: MIT */
#include "yamux/session.h"

/* A data frame that is cut short by the end of the buffer wastes its header: below this many bytes it waits for the next
 * drain, unless all that is queued fits. */
#define BODY_WORTH_A_FRAME 512u

/** A buffer being filled with whole frames. */
struct sink {
    uint8_t *at;
    size_t left;
};

static bool sendable(const struct lp2p_yamux_stream *stream)
{
    return stream->out.bytes > 0 && stream->credit_out > 0;
}

static bool fin_ready(const struct lp2p_yamux_stream *stream)
{
    return (stream->due & LP2P_YAMUX_DUE_FIN) != 0 && stream->out.bytes == 0;
}

/** SYN, ACK and FIN ride on data where there is some to send; credit needs a frame of its own. */
static bool needs_control(const struct lp2p_yamux_stream *stream)
{
    bool opening = (stream->due & (LP2P_YAMUX_DUE_SYN | LP2P_YAMUX_DUE_ACK)) != 0;
    return (stream->due & LP2P_YAMUX_DUE_CREDIT) != 0 || (!sendable(stream) && (opening || fin_ready(stream)));
}

static void place(struct lp2p_list *head, struct lp2p_list *entry, bool wanted)
{
    if (!wanted) {
        lp2p_list_remove(entry);
    } else if (!lp2p_list_linked(entry)) {
        lp2p_list_push_back(head, entry);
    }
}

void lp2p_yamux_schedule(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream)
{
    place(&session->control, &stream->control, needs_control(stream));
    place(&session->sending, &stream->sending, sendable(stream));
}

static void put_header(struct sink *sink, enum lp2p_yamux_type type, unsigned flags, uint32_t id, uint32_t length)
{
    LP2P_CHECK(sink->left >= LP2P_YAMUX_HEADER);
    struct lp2p_yamux_header header = {0, (uint8_t)type, (uint16_t)flags, id, length};
    lp2p_yamux_header_put(sink->at, &header);
    sink->at += LP2P_YAMUX_HEADER;
    sink->left -= LP2P_YAMUX_HEADER;
}

static bool room(const struct sink *sink)
{
    return sink->left >= LP2P_YAMUX_HEADER;
}

/** Frames of the session itself: go-away, answers to pings, our ping, resets. */
static void drain_session(struct lp2p_yamux *session, struct sink *sink)
{
    if (session->go_away_due && room(sink)) {
        session->go_away_due = false;
        put_header(sink, LP2P_YAMUX_GO_AWAY, 0, 0, session->go_away_code);
    }
    uint32_t pongs = 0;
    while (pongs < session->pongs_len && room(sink)) {
        put_header(sink, LP2P_YAMUX_PING, LP2P_YAMUX_ACK, 0, session->pongs[pongs++]);
    }
    session->pongs_len -= pongs;
    memmove(session->pongs, session->pongs + pongs, session->pongs_len * sizeof(session->pongs[0]));
    if (session->ping == LP2P_YAMUX_PING_DUE && room(sink)) {
        session->ping = LP2P_YAMUX_PING_SENT;
        session->ping_at = session->now;
        session->ping_value = (uint32_t)lp2p_rand_u64(&session->rand);
        put_header(sink, LP2P_YAMUX_PING, LP2P_YAMUX_SYN, 0, session->ping_value);
    }
    while (session->resets_len > 0 && room(sink)) {
        const struct lp2p_yamux_reset *reset = &session->resets[session->resets_head++];
        put_header(sink, LP2P_YAMUX_WINDOW_UPDATE, LP2P_YAMUX_RST, reset->id, reset->code);
        session->resets_len--;
    }
    if (session->resets_len == 0) {
        session->resets_head = 0;
    }
}

/** What the consumed bytes give back, and more when the window was used up faster than it could be refilled: a window
 *  that is emptied in less than four round trips limits the speed. Bounded for the stream and for the session. */
static uint32_t grant(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream)
{
    uint64_t grow = 0, rtt = session->stats.rtt_ns;
    if (rtt != 0 && lp2p_time_since(session->now, stream->granted_at) / 4 < rtt) {
        uint64_t total_left = session->config.windows_total_max_bytes > session->stats.window_bytes
                                  ? session->config.windows_total_max_bytes - session->stats.window_bytes
                                  : 0;
        grow = LP2P_MIN((uint64_t)stream->window, session->config.window_max_bytes - stream->window);
        grow = LP2P_MIN(grow, total_left);
    }
    uint32_t delta = stream->freed + (uint32_t)grow;
    stream->window += (uint32_t)grow;
    session->stats.window_bytes += grow;
    stream->credit_in += delta;
    stream->freed = 0;
    stream->granted_at = session->now;
    return delta;
}

/** The flags that leave with this frame; they are no longer due. */
static unsigned take_flags(struct lp2p_yamux_stream *stream)
{
    unsigned flags = 0;
    if ((stream->due & LP2P_YAMUX_DUE_SYN) != 0) {
        flags |= LP2P_YAMUX_SYN;
    }
    if ((stream->due & LP2P_YAMUX_DUE_ACK) != 0) {
        flags |= LP2P_YAMUX_ACK;
    }
    stream->due &= (uint8_t) ~(LP2P_YAMUX_DUE_SYN | LP2P_YAMUX_DUE_ACK);
    if (fin_ready(stream)) {
        flags |= LP2P_YAMUX_FIN;
        stream->due &= (uint8_t)~LP2P_YAMUX_DUE_FIN;
    }
    return flags;
}

static void after_frame(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream, unsigned flags)
{
    if ((flags & LP2P_YAMUX_FIN) != 0) {
        lp2p_yamux_stream_turn(session, stream, LP2P_YAMUX_FIN_SENT);
    }
    if (stream->state != LP2P_YAMUX_STREAM_ENDED) {
        lp2p_yamux_schedule(session, stream);
    }
}

static void drain_control(struct lp2p_yamux *session, struct sink *sink)
{
    while (!lp2p_list_empty(&session->control) && room(sink)) {
        struct lp2p_yamux_stream *stream = LP2P_LIST_ENTRY(session->control.next, struct lp2p_yamux_stream, control);
        uint32_t delta = 0;
        if ((stream->due & LP2P_YAMUX_DUE_CREDIT) != 0) {
            stream->due &= (uint8_t)~LP2P_YAMUX_DUE_CREDIT;
            /* Their FIN may have come since: nobody is left to use the credit. */
            delta = stream->state == LP2P_YAMUX_STREAM_REMOTE_CLOSED ? 0 : grant(session, stream);
        }
        unsigned flags = take_flags(stream);
        if (delta != 0 || flags != 0) {
            put_header(sink, LP2P_YAMUX_WINDOW_UPDATE, flags, stream->id, delta);
        }
        after_frame(session, stream, flags);
    }
}

/** One data frame of the stream at the front, which then goes to the back. False: no room that is worth a frame. `first`:
 *  nothing is before it in the buffer, so that waiting would not make the room larger. */
static bool drain_data(struct lp2p_yamux *session, struct sink *sink, bool first)
{
    struct lp2p_yamux_stream *stream = LP2P_LIST_ENTRY(session->sending.next, struct lp2p_yamux_stream, sending);
    uint64_t wanted = LP2P_MIN(stream->out.bytes, (uint64_t)stream->credit_out);
    wanted = LP2P_MIN(wanted, session->config.frame_max_bytes);
    size_t space = room(sink) ? sink->left - LP2P_YAMUX_HEADER : 0;
    if (space == 0 || (!first && space < LP2P_MIN(wanted, BODY_WORTH_A_FRAME))) {
        return false;
    }
    uint32_t len = (uint32_t)LP2P_MIN(wanted, (uint64_t)space);
    uint8_t *header = sink->at;
    sink->at += LP2P_YAMUX_HEADER;
    lp2p_fifo_copy(&stream->out, sink->at, len);
    unsigned flags = take_flags(stream);
    struct lp2p_yamux_header fields = {0, LP2P_YAMUX_DATA, (uint16_t)flags, stream->id, len};
    lp2p_yamux_header_put(header, &fields);
    sink->at += len;
    sink->left -= LP2P_YAMUX_HEADER + (size_t)len;
    stream->credit_out -= len;
    stream->framed += len;
    session->stats.queued_bytes -= len;
    session->stats.bytes_out += len;
    lp2p_list_remove(&stream->sending);
    lp2p_yamux_stream_news(session, stream, 0);
    after_frame(session, stream, flags);
    return true;
}

size_t lp2p_yamux_drain(struct lp2p_mux *mux, uint8_t *out, size_t cap, lp2p_time now)
{
    struct lp2p_yamux *session = lp2p_yamux_of(mux);
    struct sink sink = {out, cap};
    LP2P_CHECK(cap >= 64);
    session->now = now;
    if (session->state != LP2P_YAMUX_SESSION_OPEN) {
        if (session->state == LP2P_YAMUX_SESSION_FAILED && session->go_away_due) {
            session->go_away_due = false;
            put_header(&sink, LP2P_YAMUX_GO_AWAY, 0, 0, session->go_away_code);
        }
        return cap - sink.left;
    }
    drain_session(session, &sink);
    drain_control(session, &sink);
    while (!lp2p_list_empty(&session->sending) && drain_data(session, &sink, sink.left == cap)) {
    }
    return cap - sink.left;
}

bool lp2p_yamux_wants_write(const struct lp2p_mux *mux)
{
    const struct lp2p_yamux *session = lp2p_yamux_of_const(mux);
    if (session->state != LP2P_YAMUX_SESSION_OPEN) {
        return session->state == LP2P_YAMUX_SESSION_FAILED && session->go_away_due;
    }
    return session->go_away_due || session->pongs_len > 0 || session->resets_len > 0 ||
           session->ping == LP2P_YAMUX_PING_DUE || !lp2p_list_empty(&session->control) ||
           !lp2p_list_empty(&session->sending);
}
