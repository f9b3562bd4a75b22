/* SPDX-License-Identifier: MIT
 * What becomes of streams with time, done by the registrar: what its muxer had no place for is posted again,
 * and what the user has left is reset when the peer does not end it. */
#include "actors/api/stream.h"

#define RETRY_NS LP2P_MS(2)
#define ROUND_MAX 256 /* streams of one round, so that the registrar's turn stays short */

static void retry_stalled(struct lp2p_gate *gate)
{
    struct lp2p_list round;
    lp2p_list_init(&round);
    pthread_mutex_lock(&gate->lock);
    for (unsigned i = 0; i < ROUND_MAX && !lp2p_list_empty(&gate->stalled); i++) {
        /* Taken one by one below: the entry is unlinked first, so that the stream can be listed again
         * meanwhile. */
        lp2p_list_push_back(&round, lp2p_list_pop_front(&gate->stalled));
    }
    pthread_mutex_unlock(&gate->lock);
    for (;;) {
        pthread_mutex_lock(&gate->lock);
        struct lp2p_list *first = lp2p_list_pop_front(&round);
        pthread_mutex_unlock(&gate->lock);
        if (first == NULL) {
            return;
        }
        struct lp2p_stream *stream = LP2P_LIST_ENTRY(first, struct lp2p_stream, stalled);
        lp2p_stream_lock(stream);
        stream->edge = stream->edge || stream->blocked;
        lp2p_bell_ring(&stream->writable);
        lp2p_stream_settle(stream);
        lp2p_stream_unref(stream);
    }
}

/* The list is in the order of its deadlines: all have the same grace. */
static void reset_left(struct lp2p_gate *gate, uint64_t now)
{
    for (unsigned i = 0; i < ROUND_MAX; i++) {
        struct lp2p_stream *stream = NULL;
        pthread_mutex_lock(&gate->lock);
        if (!lp2p_list_empty(&gate->leaving)) {
            stream = LP2P_LIST_ENTRY(gate->leaving.next, struct lp2p_stream, leaving);
            if (stream->leaving_until > now) {
                stream = NULL;
            } else {
                lp2p_list_remove(&stream->leaving);
            }
        }
        pthread_mutex_unlock(&gate->lock);
        if (stream == NULL) {
            return;
        }
        lp2p_stream_lock(stream);
        if (!stream->ended && !stream->eof) {
            stream->abort_wanted = true;
            stream->ended = true;
            stream->end_reason = LP2P_ETIMEDOUT;
        }
        lp2p_stream_settle(stream);
        lp2p_stream_unref(stream);
    }
}

uint64_t lp2p_streams_tend(struct lp2p_gate *gate)
{
    uint64_t now = lp2p_gate_clock_ns();
    retry_stalled(gate);
    reset_left(gate, now);
    uint64_t next = LP2P_NEVER;
    pthread_mutex_lock(&gate->lock);
    if (!lp2p_list_empty(&gate->leaving)) {
        uint64_t until = LP2P_LIST_ENTRY(gate->leaving.next, struct lp2p_stream, leaving)->leaving_until;
        next = LP2P_MAX(until, now + RETRY_NS);
    }
    if (!lp2p_list_empty(&gate->stalled)) {
        next = now + RETRY_NS;
    }
    pthread_mutex_unlock(&gate->lock);
    return next;
}

/* Entries are ended under the gate's lock, which every handle needs to be freed: so each of them is alive. */
void lp2p_streams_end_all(struct lp2p_gate *gate, enum lp2p_err reason)
{
    pthread_mutex_lock(&gate->lock);
    LP2P_LIST_FOREACH(it, &gate->streams)
    {
        struct lp2p_stream *stream = LP2P_LIST_ENTRY(it, struct lp2p_stream, all);
        pthread_mutex_lock(&stream->lock);
        if (!stream->ended) {
            stream->ended = true;
            stream->end_reason = reason;
            stream->abort_sent = stream->abort_wanted;
        }
        if (stream->fd >= 0 && !stream->fd_set) {
            lp2p_signal_fd_set(stream->fd);
            stream->fd_set = true;
        }
        lp2p_bell_ring(&stream->readable);
        lp2p_bell_ring(&stream->writable);
        bool wake_reader = lp2p_bell_take(&stream->readable), wake_writer = lp2p_bell_take(&stream->writable);
        pthread_mutex_unlock(&stream->lock);
        if (wake_reader) {
            lp2p_bell_wake(&stream->readable);
        }
        if (wake_writer) {
            lp2p_bell_wake(&stream->writable);
        }
    }
    pthread_mutex_unlock(&gate->lock);
    for (;;) { /* nobody tends these lists any more */
        pthread_mutex_lock(&gate->lock);
        struct lp2p_list *first = lp2p_list_pop_front(&gate->stalled);
        struct lp2p_stream *stream =
            first == NULL ? NULL : LP2P_LIST_ENTRY(first, struct lp2p_stream, stalled);
        if (stream == NULL) {
            first = lp2p_list_pop_front(&gate->leaving);
            stream = first == NULL ? NULL : LP2P_LIST_ENTRY(first, struct lp2p_stream, leaving);
        }
        pthread_mutex_unlock(&gate->lock);
        if (stream == NULL) {
            return;
        }
        lp2p_stream_unref(stream);
    }
}
