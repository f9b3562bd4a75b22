/* SPDX-License-Identifier: MIT */
#include "mplex/session.h"

/* As in yamux: a message cut short by the end of the buffer waits below this size. */
#define BODY_WORTH_A_FRAME 512u
#define NAME_MAX 20 /* decimal digits of a number */

struct sink {
    uint8_t *at;
    size_t left;
};

/** Bytes that the two varints of any frame take at most for bodies as large as we send. */
#define HEADER_ROOM LP2P_MPLEX_HEADER_MAX

static void put_header(struct sink *sink, uint64_t key, enum lp2p_mplex_flag flag, uint32_t length)
{
    LP2P_CHECK(sink->left >= HEADER_ROOM);
    size_t n = lp2p_varint_put(sink->at, (key >> 1) << 3 | flag);
    n += lp2p_varint_put(sink->at + n, length);
    sink->at += n;
    sink->left -= n;
}

/** The flag of our frames about a stream: who opened it decides. */
static enum lp2p_mplex_flag flag_for(uint64_t key, enum lp2p_mplex_flag if_ours,
                                     enum lp2p_mplex_flag if_theirs)
{
    return (key & 1) != 0 ? if_ours : if_theirs;
}

/** NewStream carries a name, for people; the number in decimal is what everyone sends. */
static void put_new_stream(struct sink *sink, uint64_t key)
{
    char digits[NAME_MAX];
    uint64_t number = key >> 1;
    uint32_t len = 0;
    do {
        digits[NAME_MAX - ++len] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put_header(sink, key, LP2P_MPLEX_NEW_STREAM, len);
    memcpy(sink->at, digits + NAME_MAX - len, len);
    sink->at += len;
    sink->left -= len;
}

static bool room(const struct sink *sink)
{
    return sink->left >= HEADER_ROOM + NAME_MAX;
}

static void drain_resets(struct lp2p_mux *mux, struct sink *sink)
{
    while (mux->resets.len > 0 && room(sink)) {
        uint64_t key = lp2p_mux_resets_pop(&mux->resets).key;
        put_header(sink, key, flag_for(key, LP2P_MPLEX_RESET_INITIATOR, LP2P_MPLEX_RESET_RECEIVER), 0);
    }
}

/** Openings and closings of streams whose data is all framed. */
static void drain_control(struct lp2p_mux *mux, struct sink *sink)
{
    while (!lp2p_list_empty(&mux->control) && room(sink)) {
        struct lp2p_mux_stream *stream = LP2P_LIST_ENTRY(mux->control.next, struct lp2p_mux_stream, control);
        bool fin = false;
        if ((stream->due & LP2P_MUX_DUE_OPEN) != 0) {
            stream->due &= (uint8_t)~LP2P_MUX_DUE_OPEN;
            put_new_stream(sink, stream->key);
        } else {
            LP2P_CHECK(lp2p_mux_stream_fin_ready(stream));
            fin = true;
            stream->due &= (uint8_t)~LP2P_MUX_DUE_FIN;
            put_header(sink, stream->key,
                       flag_for(stream->key, LP2P_MPLEX_CLOSE_INITIATOR, LP2P_MPLEX_CLOSE_RECEIVER), 0);
        }
        lp2p_mux_stream_schedule(mux, stream);
        if (fin) {
            lp2p_mux_stream_turn(mux, stream, LP2P_MUX_FIN_SENT);
        }
    }
}

/** One message of the stream at the front, which then goes to the back. False: no room worth a frame. */
static bool drain_data(struct lp2p_mux *mux, struct sink *sink, bool first)
{
    struct lp2p_mux_stream *stream = LP2P_LIST_ENTRY(mux->sending.next, struct lp2p_mux_stream, sending);
    uint64_t wanted = LP2P_MIN(stream->out.bytes, (uint64_t)mux->config.frame_max_bytes);
    size_t space = sink->left > HEADER_ROOM ? sink->left - HEADER_ROOM : 0;
    if (space == 0 || (!first && space < LP2P_MIN(wanted, BODY_WORTH_A_FRAME))) {
        return false;
    }
    uint32_t len = (uint32_t)LP2P_MIN(wanted, (uint64_t)space);
    put_header(sink, stream->key,
               flag_for(stream->key, LP2P_MPLEX_MESSAGE_INITIATOR, LP2P_MPLEX_MESSAGE_RECEIVER), len);
    lp2p_fifo_copy(&stream->out, sink->at, len);
    sink->at += len;
    sink->left -= len;
    lp2p_mux_stream_framed(mux, stream, len);
    lp2p_mux_stream_schedule(mux, stream);
    return true;
}

size_t lp2p_mplex_drain(struct lp2p_mux *mux, uint8_t *out, size_t cap, lp2p_time now)
{
    LP2P_CHECK_MAGIC(mux, LP2P_MPLEX_MAGIC);
    struct sink sink = {out, cap};
    LP2P_CHECK(cap >= 64);
    mux->now = now;
    if (mux->state != LP2P_MUX_SESSION_OPEN) {
        return 0;
    }
    drain_resets(mux, &sink);
    drain_control(mux, &sink);
    /* A stream whose NewStream found no room must not send data before it. */
    while (lp2p_list_empty(&mux->control) && !lp2p_list_empty(&mux->sending) &&
           drain_data(mux, &sink, sink.left == cap)) {
    }
    drain_control(mux, &sink);
    return cap - sink.left;
}

bool lp2p_mplex_wants_write(const struct lp2p_mux *mux)
{
    LP2P_CHECK_MAGIC(mux, LP2P_MPLEX_MAGIC);
    return mux->state == LP2P_MUX_SESSION_OPEN &&
           (mux->resets.len > 0 || !lp2p_list_empty(&mux->control) || !lp2p_list_empty(&mux->sending));
}
