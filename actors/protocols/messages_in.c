/* SPDX-License-Identifier: MIT
 * Receiving: a stream is collected to its end, our side is closed (a Lotus sender then leaks nothing), and
 * the content goes through the checks in the order of the TypeScript receiver: size, emptiness, JSON, fields
 * and time, duplicates. */
#include "actors/protocols/messages_private.h"

#include <stdlib.h>

struct inbound {
    struct lp2p_message_stream head;
    uint8_t *bytes;
    size_t len, cap;
};

static struct inbound *inbound_of(struct lp2p_pstream *stream)
{
    return LP2P_CONTAINER_OF(stream, struct inbound, head.stream);
}

void lp2p_messages_in_opened(struct lp2p_messages *state, struct lp2p_m_stream_opened *opened)
{
    struct inbound *in = calloc(1, sizeof(*in));
    if (in == NULL) {
        lp2p_pstreams_refuse(&state->streams, opened->id, LP2P_ENOMEM);
        return;
    }
    lp2p_time deadline = lp2p_time_add(lp2p_now(state->self), LP2P_RECEIVE_NS);
    if (lp2p_pstreams_add(&state->streams, &in->head.stream, opened, deadline) != LP2P_OK) {
        free(in);
    }
}

/* Grows by doubling, so that memory follows what has arrived and never what was only announced. */
static enum lp2p_err append(struct lp2p_messages *state, struct inbound *in, struct lp2p_span data)
{
    if (data.len > LP2P_LOTUS_MESSAGE_MAX - in->len) {
        return LP2P_EOVERSIZE;
    }
    size_t need = in->len + data.len;
    if (need > in->cap) {
        size_t cap = LP2P_MIN(LP2P_MAX(need, in->cap * 2), (size_t)LP2P_LOTUS_MESSAGE_MAX);
        if (state->receiving_bytes + (cap - in->cap) > LP2P_RECEIVE_BYTES_MAX) {
            return LP2P_ELIMIT;
        }
        uint8_t *bytes = realloc(in->bytes, cap);
        if (bytes == NULL) {
            return LP2P_ENOMEM;
        }
        state->receiving_bytes += cap - in->cap;
        in->bytes = bytes;
        in->cap = cap;
    }
    if (data.len > 0) {
        memcpy(in->bytes + in->len, data.ptr, data.len);
    }
    in->len = need;
    return LP2P_OK;
}

/** Every peer can send what is not taken, as fast as the network carries it: the log gets a line now and then, with the number of
 *  those that it did not get. */
static void tell(struct lp2p_messages *state, struct lp2p_log_pace *pace, enum lp2p_log_level level,
                 const struct lp2p_peer_id *peer, const char *what, const char *why)
{
    lp2p_time now = lp2p_now(state->self);
    if (now < pace->next) {
        pace->unsaid++;
        return;
    }
    char text[LP2P_PEER_ID_TEXT_MAX];
    lp2p_peer_id_text(peer, text);
    lp2p_log(state->ctx, level, "messages", "message of %s %s: %s (more=%llu)", text, what, why,
             (unsigned long long)pace->unsaid);
    pace->unsaid = 0;
    pace->next = lp2p_time_add(now, LP2P_RECEIVE_LOG_NS);
}

void lp2p_messages_in_data(struct lp2p_messages *state, struct lp2p_pstream *stream, struct lp2p_slice *data)
{
    enum lp2p_err err = append(state, inbound_of(stream), lp2p_slice_span(data));
    if (err == LP2P_OK) {
        lp2p_pstream_consumed(&state->streams, stream, data->len);
        return;
    }
    if (err == LP2P_EOVERSIZE) {
        LP2P_COUNT(state->ctx, messages_invalid, 1);
    } else {
        LP2P_COUNT(state->ctx, messages_dropped, 1);
    }
    tell(state, &state->refused_log, LP2P_LOG_WARN, &stream->peer, "refused", lp2p_strerror(err));
    lp2p_pstream_abort(&state->streams, stream, err);
}

static bool is_new(struct lp2p_messages *state, const struct lp2p_lotus_message *message)
{
    if (state->seen == NULL) {
        state->seen = lp2p_lotus_seen_new(lp2p_actor_rand(state->self));
    }
    /* Without memory for the filter a message may come twice rather than not at all. */
    return state->seen == NULL || !lp2p_lotus_seen_add(state->seen, message->hash);
}

static void take_message(struct lp2p_messages *state, const struct lp2p_peer_id *peer,
                         struct lp2p_slice *json)
{
    struct lp2p_lotus_message message;
    const char *why = "";
    enum lp2p_err err =
        lp2p_lotus_message_parse(lp2p_slice_span(json), lp2p_wall_ms(state->self), &message, &why);
    if (err != LP2P_OK) {
        LP2P_COUNT(state->ctx, messages_invalid, 1);
        tell(state, &state->invalid_log, LP2P_LOG_INFO, peer, "is not valid", why);
        return;
    }
    if (is_new(state, &message)) {
        LP2P_COUNT(state->ctx, messages_in, 1);
        lp2p_messages_notify(state, peer, json);
        lp2p_messages_deliver(state, message.protocol, peer, json);
    } else {
        LP2P_COUNT(state->ctx, messages_duplicate, 1);
    }
    lp2p_lotus_message_fini(&message);
}

void lp2p_messages_in_eof(struct lp2p_messages *state, struct lp2p_pstream *stream)
{
    struct inbound *in = inbound_of(stream);
    struct lp2p_peer_id peer = stream->peer;
    bool empty = in->len == 0; /* ignored in silence, as the TypeScript side does */
    struct lp2p_slice json = empty ? (struct lp2p_slice){0} : lp2p_slice_copy(in->bytes, in->len);
    (void)lp2p_pstream_close(&state->streams, stream);
    if (json.buf != NULL) {
        take_message(state, &peer, &json);
        lp2p_slice_drop(&json);
    } else if (!empty) {
        LP2P_COUNT(state->ctx, messages_dropped, 1);
    }
}

void lp2p_messages_in_ended(struct lp2p_messages *state, struct lp2p_pstream *stream)
{
    struct inbound *in = inbound_of(stream);
    state->receiving_bytes -= in->cap;
    free(in->bytes);
    free(in);
}
