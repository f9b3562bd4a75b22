/* SPDX-License-Identifier: MIT */
#include "mplex/session.h"

static void on_message(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, uint32_t length)
{
    if (length == 0 || stream->state == LP2P_MUX_STREAM_REMOTE_CLOSED) {
        lp2p_mux_count_noop(mux);
        return;
    }
    /* Nothing slows the sender down: whoever is not read in time loses the stream, so that the others live
     * on. */
    if (length >
        mux->config.stream_recv_max_bytes - LP2P_MIN(stream->unread, mux->config.stream_recv_max_bytes)) {
        lp2p_mux_stream_refuse(mux, stream, LP2P_ELIMIT);
        return;
    }
    mux->body = stream;
    mux->body_fin = false;
}

/** A frame that is legal in itself. Its body belongs to a message of a live stream or is thrown away. */
static void on_frame(struct lp2p_mux *mux, uint64_t number, enum lp2p_mplex_flag flag, uint32_t length)
{
    bool ours = flag % 2 == 1; /* odd flags speak of streams of the frame's receiver */
    uint64_t key = lp2p_mplex_key(number, ours);
    struct lp2p_mux_stream *stream = lp2p_mux_stream_by_key(mux, key);
    mux->body_left = length;
    mux->body = NULL;
    if (flag == LP2P_MPLEX_NEW_STREAM) {
        if (stream != NULL) {
            lp2p_mux_fail(mux, LP2P_EPROTO, 0);
        } else {
            (void)lp2p_mux_stream_accept(mux, key);
        }
        return;
    }
    if (stream == NULL) {
        lp2p_mux_count_noop(mux); /* late frames of a stream that we reset or forgot are normal */
        return;
    }
    switch (flag) {
    case LP2P_MPLEX_NEW_STREAM:
        break;
    case LP2P_MPLEX_MESSAGE_RECEIVER:
    case LP2P_MPLEX_MESSAGE_INITIATOR:
        on_message(mux, stream, length);
        break;
    case LP2P_MPLEX_CLOSE_RECEIVER:
    case LP2P_MPLEX_CLOSE_INITIATOR:
        lp2p_mux_stream_on_fin(mux, stream);
        break;
    case LP2P_MPLEX_RESET_RECEIVER:
    case LP2P_MPLEX_RESET_INITIATOR:
        lp2p_mux_stream_on_reset(mux, stream, 0);
        break;
    }
}

/** Both varints are in session->header. */
static void on_header(struct lp2p_mplex *session)
{
    struct lp2p_mux *mux = &session->base;
    struct lp2p_span in = lp2p_span(session->header, session->header_len);
    uint64_t head, length;
    if (lp2p_varint_take(&in, &head) != LP2P_OK || lp2p_varint_take(&in, &length) != LP2P_OK) {
        lp2p_mux_fail(mux, LP2P_EMALFORMED, 0);
    } else if (head % 8 > LP2P_MPLEX_RESET_INITIATOR) {
        lp2p_mux_fail(mux, LP2P_EPROTO, 0);
    } else if (length > mux->config.message_in_max_bytes) {
        lp2p_mux_fail(mux, LP2P_EOVERSIZE, 0);
    } else {
        on_frame(mux, head / 8, (enum lp2p_mplex_flag)(head % 8), (uint32_t)length);
    }
}

void lp2p_mplex_parse(struct lp2p_mux *mux)
{
    struct lp2p_mplex *session = lp2p_mplex_of(mux);
    uint8_t byte;
    lp2p_fifo_copy(&mux->in, &byte, 1);
    session->header[session->header_len++] = byte;
    session->varint_len++;
    if (byte >= 0x80) {
        if (session->varint_len == LP2P_VARINT_MAX) {
            lp2p_mux_fail(mux, LP2P_EMALFORMED, 0);
        }
        return;
    }
    session->varint_len = 0;
    if (++session->varints == 2) {
        on_header(session);
        session->header_len = session->varints = 0;
    }
}
