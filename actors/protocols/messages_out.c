/* SPDX-License-Identifier: MIT
 * Sending: one stream for each message. Bytes and FIN go out only after the protocol was agreed (a Lotus node
 * loses a message whose FIN travels with a lazy negotiation). The operation is done when all bytes are
 * framed; the stream lives on until the peer closes its side, or is reset after a grace period, because Lotus
 * nodes never close theirs. */
#include "actors/protocols/messages_private.h"

#include <stdio.h>
#include <stdlib.h>

/* One MESSAGE_SEND: to one peer, or to many. */
struct job {
    struct lp2p_op *op;
    bool broadcast, deliver_local;
    size_t remaining, reached, left_out;
    enum lp2p_err result; /* of the only send; ignored in a broadcast */
    char detail[256];
    char protocol[LP2P_PROTOCOL_ID_MAX];
    struct lp2p_slice json;
};

/* Sends to one peer. */
struct peer {
    struct lp2p_list entry; /* in its bucket */
    struct lp2p_peer_id id;
    struct lp2p_list waiting, sent; /* sends; sent: all framed, oldest first */
    size_t waiting_len, unclosed;
    bool pumping;
};

struct send {
    struct lp2p_message_stream head;
    struct lp2p_list entry;  /* waiting, opening or sent */
    struct lp2p_list tagged; /* while opening: in its bucket */
    uint64_t tag;
    struct peer *peer;
    struct job *job; /* NULL: its result is known */
    lp2p_time since; /* opening: asked; sent: framed */
};

static struct send *send_of(struct lp2p_pstream *stream)
{
    return LP2P_CONTAINER_OF(stream, struct send, head.stream);
}

void lp2p_messages_out_init(struct lp2p_messages *state)
{
    for (unsigned i = 0; i < LP2P_SEND_BUCKETS; i++) {
        lp2p_list_init(&state->peers[i]);
        lp2p_list_init(&state->tags[i]);
    }
    lp2p_list_init(&state->opening);
}

/* ---- jobs and their results */

static void finish_job(struct lp2p_messages *state, struct job *job)
{
    if (job->broadcast) {
        lp2p_op_set_number(job->op, job->reached);
        lp2p_op_set_left_out(job->op, job->left_out);
        lp2p_op_finish(job->op, LP2P_OK, job->left_out > 0 ? "%zu left out: they do not speak %s" : NULL, job->left_out,
                       job->protocol);
    } else {
        lp2p_op_finish(job->op, job->result, "%s", job->detail);
    }
    lp2p_op_drop(&job->op);
    struct lp2p_lotus_message message;
    if (job->deliver_local && !state->ending &&
        lp2p_lotus_message_parse(lp2p_slice_span(&job->json), 0, &message, NULL) == LP2P_OK) {
        lp2p_messages_deliver(state, message.protocol, &state->ctx->self, &job->json);
        lp2p_lotus_message_fini(&message);
    }
    state->send_bytes -= job->json.len;
    lp2p_slice_drop(&job->json);
    free(job);
}

static void settle(struct lp2p_messages *state, struct send *send, enum lp2p_err result, const char *detail)
{
    struct job *job = send->job;
    if (job == NULL) {
        return;
    }
    send->job = NULL;
    if (result == LP2P_OK) {
        LP2P_COUNT(state->ctx, messages_out, 1);
        job->reached++;
    } else if (job->broadcast) {
        job->left_out += result == LP2P_EUNSUPPORTED || result == LP2P_ENEGOTIATION; /* known, or just told */
        LP2P_COUNT(state->ctx, messages_left_out, result == LP2P_EUNSUPPORTED);
        char peer[LP2P_PEER_ID_TEXT_MAX];
        lp2p_peer_id_text(&send->peer->id, peer);
        lp2p_log(state->ctx, LP2P_LOG_DEBUG, "messages", "broadcast to %s: %s %s", peer,
                 lp2p_strerror(result), detail);
    }
    job->result = result;
    (void)snprintf(job->detail, sizeof(job->detail), "%s", detail);
    if (--job->remaining == 0) {
        finish_job(state, job);
    }
}

/* ---- peers */

static struct lp2p_list *peer_bucket(struct lp2p_messages *state, const struct lp2p_peer_id *id)
{
    uint32_t hash = 2166136261u;
    for (unsigned i = 0; i < id->len; i++) {
        hash = (hash ^ id->bytes[i]) * 16777619u;
    }
    return &state->peers[hash % LP2P_SEND_BUCKETS];
}

static struct peer *get_peer(struct lp2p_messages *state, const struct lp2p_peer_id *id)
{
    struct lp2p_list *bucket = peer_bucket(state, id);
    LP2P_LIST_FOREACH(it, bucket)
    {
        struct peer *peer = LP2P_LIST_ENTRY(it, struct peer, entry);
        if (lp2p_peer_id_eq(&peer->id, id)) {
            return peer;
        }
    }
    struct peer *peer = calloc(1, sizeof(*peer));
    if (peer != NULL) {
        peer->id = *id;
        lp2p_list_init(&peer->waiting);
        lp2p_list_init(&peer->sent);
        lp2p_list_push_back(bucket, &peer->entry);
    }
    return peer;
}

static void free_send(struct lp2p_messages *state, struct send *send)
{
    lp2p_list_remove(&send->entry);
    lp2p_list_remove(&send->tagged);
    state->sends--;
    free(send);
}

/* ---- one send on its way: opening, framing, sent */

static void arm_opening(struct lp2p_messages *state)
{
    lp2p_time when = LP2P_NEVER;
    if (!lp2p_list_empty(&state->opening)) {
        when =
            lp2p_time_add(LP2P_LIST_ENTRY(state->opening.next, struct send, entry)->since, LP2P_SEND_LOST_NS);
    }
    lp2p_timer_set(state->self, LP2P_MESSAGES_TIMER_OPENING, when);
}

static bool ask_for_stream(struct lp2p_messages *state, struct send *send)
{
    struct lp2p_m_peer_stream_open *m = LP2P_NEW(PEER_STREAM_OPEN, peer_stream_open);
    if (m == NULL) {
        return false;
    }
    m->peer = send->peer->id;
    m->no_dial = send->job->broadcast; /* a broadcast goes to who is connected, */
    m->if_spoken = send->job->broadcast; /* and must not knock where nobody opens */
    m->reply_to = lp2p_self(state->self);
    m->resident = LP2P_RESIDENT_NONE;
    m->reply_tag = send->tag;
    m->deadline = lp2p_time_add(lp2p_now(state->self), LP2P_SEND_OPEN_NS);
    m->protocols_len = 1;
    memcpy(m->protocols[0], send->job->protocol, sizeof(m->protocols[0]));
    struct lp2p_msg *msg = &m->msg;
    return lp2p_outbox_send(state->self, &state->outbox, lp2p_names(state->ctx)->swarm, &msg) == LP2P_OK;
}

/* The send has left the waiting list. */
static void start(struct lp2p_messages *state, struct send *send)
{
    struct peer *peer = send->peer;
    if (!send->job->broadcast && lp2p_op_done(send->job->op)) {
        settle(state, send, LP2P_ECANCELED, "");
        free_send(state, send);
        return;
    }
    send->tag = ++state->next_tag;
    send->since = lp2p_now(state->self);
    if (!ask_for_stream(state, send)) {
        settle(state, send, LP2P_EFULL, "the node is too busy to open a stream");
        free_send(state, send);
        return;
    }
    peer->unclosed++;
    lp2p_list_push_back(&state->opening, &send->entry);
    lp2p_list_push_back(&state->tags[send->tag % LP2P_SEND_BUCKETS], &send->tagged);
    arm_opening(state);
}

/* Makes room by cutting off the oldest stream that is only waiting for the peer's end, once it has had its
 * least grace; if it has not yet, its deadline is drawn in. False: no room now. */
static bool make_room(struct lp2p_messages *state, struct peer *peer)
{
    if (peer->unclosed < LP2P_SEND_UNCLOSED_MAX) {
        return true;
    }
    if (lp2p_list_empty(&peer->sent)) {
        return false;
    }
    struct send *oldest = LP2P_LIST_ENTRY(peer->sent.next, struct send, entry);
    lp2p_time ripe = lp2p_time_add(oldest->since, LP2P_SEND_GRACE_MIN_NS);
    if (ripe > lp2p_now(state->self)) {
        lp2p_pstream_deadline(&state->streams, &oldest->head.stream, ripe);
        return false;
    }
    lp2p_pstream_abort(&state->streams, &oldest->head.stream, LP2P_OK);
    return true;
}

/* Starts what may start, and forgets a peer that nothing is left of: `peer` must not be used afterwards. */
static void pump(struct lp2p_messages *state, struct peer *peer)
{
    if (peer->pumping || state->ending) {
        return; /* a stream that is cut off in here comes back to this point; the outer call goes on */
    }
    peer->pumping = true;
    while (peer->waiting_len > 0 && make_room(state, peer)) {
        struct send *send = LP2P_LIST_ENTRY(lp2p_list_pop_front(&peer->waiting), struct send, entry);
        peer->waiting_len--;
        start(state, send);
    }
    peer->pumping = false;
    if (peer->waiting_len == 0 && peer->unclosed == 0) {
        lp2p_list_remove(&peer->entry);
        free(peer);
    }
}

/* The stream could not be had: the send is in the opening list. */
static void open_failed(struct lp2p_messages *state, struct send *send, enum lp2p_err reason,
                        const char *detail)
{
    struct peer *peer = send->peer;
    peer->unclosed--;
    settle(state, send, reason, detail);
    free_send(state, send);
    arm_opening(state);
    pump(state, peer);
}

static struct send *find_opening(struct lp2p_messages *state, uint64_t tag)
{
    LP2P_LIST_FOREACH(it, &state->tags[tag % LP2P_SEND_BUCKETS])
    {
        struct send *send = LP2P_LIST_ENTRY(it, struct send, tagged);
        if (send->tag == tag) {
            return send;
        }
    }
    return NULL;
}

void lp2p_messages_out_open_failed(struct lp2p_messages *state, struct lp2p_m_stream_open_failed *m)
{
    struct send *send = find_opening(state, m->msg.tag);
    if (send != NULL) {
        open_failed(state, send, m->reason == LP2P_OK ? LP2P_EPROTO : m->reason, m->text);
    }
}

void lp2p_messages_out_opened(struct lp2p_messages *state, struct lp2p_m_stream_opened *opened)
{
    struct send *send = find_opening(state, opened->msg.tag);
    if (send == NULL) {
        lp2p_pstreams_refuse(&state->streams, opened->id, LP2P_ECANCELED);
        return;
    }
    if (!send->job->broadcast && lp2p_op_done(send->job->op)) {
        lp2p_pstreams_refuse(&state->streams, opened->id, LP2P_ECANCELED);
        open_failed(state, send, LP2P_ECANCELED, "");
        return;
    }
    lp2p_time deadline = lp2p_time_add(lp2p_now(state->self), LP2P_SEND_FRAME_NS);
    send->head.outbound = true;
    if (lp2p_pstreams_add(&state->streams, &send->head.stream, opened, deadline) != LP2P_OK) {
        open_failed(state, send, LP2P_ENOMEM, "");
        return;
    }
    lp2p_list_remove(&send->entry);
    lp2p_list_remove(&send->tagged);
    arm_opening(state);
    const struct lp2p_slice *json = &send->job->json;
    struct lp2p_slice data = lp2p_slice_of(json->buf, json->ptr, json->len);
    (void)lp2p_pstream_write_last(&state->streams, &send->head.stream, &data);
}

void lp2p_messages_out_writable(struct lp2p_messages *state, struct lp2p_pstream *stream)
{
    struct send *send = send_of(stream);
    if (send->job == NULL || !lp2p_pstream_flushed(stream)) {
        return;
    }
    settle(state, send, LP2P_OK, "");
    send->since = lp2p_now(state->self);
    lp2p_list_push_back(&send->peer->sent, &send->entry);
    lp2p_pstream_deadline(&state->streams, stream, lp2p_time_add(send->since, LP2P_SEND_GRACE_NS));
    pump(state, send->peer);
}

void lp2p_messages_out_expired(struct lp2p_messages *state, struct lp2p_pstream *stream)
{
    /* Of a stream that was sent this is the end of its grace, and no failure. */
    lp2p_pstream_abort(&state->streams, stream, send_of(stream)->job == NULL ? LP2P_OK : LP2P_ETIMEDOUT);
}

void lp2p_messages_out_ended(struct lp2p_messages *state, struct lp2p_pstream *stream, enum lp2p_err reason)
{
    struct send *send = send_of(stream);
    struct peer *peer = send->peer;
    /* Both sides closed before the credit came back: the peer has read to our end. */
    settle(state, send, reason,
           reason == LP2P_ERESET ? "the peer reset the stream before it had the message" : "");
    peer->unclosed--;
    free_send(state, send);
    pump(state, peer);
}

void lp2p_messages_out_tick(struct lp2p_messages *state)
{
    while (!lp2p_list_empty(&state->opening)) {
        struct send *send = LP2P_LIST_ENTRY(state->opening.next, struct send, entry);
        if (lp2p_time_add(send->since, LP2P_SEND_LOST_NS) > lp2p_now(state->self)) {
            break;
        }
        open_failed(state, send, LP2P_ETIMEDOUT, "no answer to the request for a stream");
    }
    arm_opening(state);
}

/* ---- new work */

static bool enqueue(struct lp2p_messages *state, struct job *job, const struct lp2p_peer_id *id,
                    const char **why)
{
    struct peer *peer = get_peer(state, id);
    struct send *send = peer == NULL ? NULL : calloc(1, sizeof(*send));
    *why = "out of memory";
    if (send != NULL && state->sends < LP2P_SEND_TOTAL_MAX && peer->waiting_len < LP2P_SEND_WAITING_MAX) {
        send->peer = peer;
        send->job = job;
        state->sends++;
        peer->waiting_len++;
        lp2p_list_push_back(&peer->waiting, &send->entry);
        pump(state, peer);
        return true;
    }
    if (send != NULL) {
        *why = "too many messages are waiting to be sent";
    }
    free(send);
    if (peer != NULL) {
        pump(state, peer);
    }
    return false;
}

static struct job *new_job(struct lp2p_messages *state, struct lp2p_m_message_send *m)
{
    struct job *job = calloc(1, sizeof(*job));
    if (job == NULL) {
        return NULL;
    }
    job->broadcast = m->peer.len == 0;
    job->deliver_local = m->deliver_local;
    job->op = m->op;
    m->op = NULL;
    job->json = m->json;
    m->json = (struct lp2p_slice){0};
    state->send_bytes += job->json.len;
    (void)snprintf(job->protocol, sizeof(job->protocol), "%.*s", LP2P_PROTOCOL_ID_MAX - 1,
                   m->stream_protocol[0] != '\0' ? m->stream_protocol : LP2P_LOTUS_MESSAGE_PROTOCOL);
    job->remaining = 1; /* held until all sends are in */
    return job;
}

static void refuse(struct lp2p_messages *state, struct job *job, const char *why)
{
    if (!job->broadcast) {
        job->result = LP2P_ELIMIT;
        (void)snprintf(job->detail, sizeof(job->detail), "%s", why);
    }
    LP2P_COUNT(state->ctx, messages_dropped, 1);
    job->remaining--;
}

static void send_to(struct lp2p_messages *state, struct job *job, const struct lp2p_peer_id *peer)
{
    const char *why;
    job->remaining++;
    if (!enqueue(state, job, peer, &why)) {
        refuse(state, job, why);
    }
}

void lp2p_messages_out_send(struct lp2p_messages *state, struct lp2p_m_message_send *m)
{
    if (m->json.len > LP2P_LOTUS_MESSAGE_MAX || state->send_bytes + m->json.len > LP2P_SEND_BYTES_MAX) {
        LP2P_COUNT(state->ctx, messages_dropped, 1);
        lp2p_op_finish(m->op, LP2P_ELIMIT, "%s",
                       m->json.len > LP2P_LOTUS_MESSAGE_MAX
                           ? "the message is larger than the 100,000 bytes that receivers accept"
                           : "too many bytes of messages are waiting to be sent");
        return;
    }
    struct job *job = new_job(state, m);
    if (job == NULL) {
        lp2p_op_finish(m->op, LP2P_ENOMEM, NULL);
        return;
    }
    if (!job->broadcast) {
        send_to(state, job, &m->peer);
    }
    for (size_t i = 0; job->broadcast && i < m->peers_len; i++) {
        send_to(state, job, &m->peers[i]->id);
    }
    if (--job->remaining == 0) {
        finish_job(state, job);
    }
}

/* ---- the end */

static void end_list(struct lp2p_messages *state, struct lp2p_list *list)
{
    struct lp2p_list *entry;
    while ((entry = lp2p_list_pop_front(list)) != NULL) {
        struct send *send = LP2P_LIST_ENTRY(entry, struct send, entry);
        settle(state, send, LP2P_ECLOSED, "the node is stopping");
        free_send(state, send);
    }
}

void lp2p_messages_out_fini(struct lp2p_messages *state)
{
    end_list(state, &state->opening);
    for (unsigned i = 0; i < LP2P_SEND_BUCKETS; i++) {
        struct lp2p_list *entry;
        while ((entry = lp2p_list_pop_front(&state->peers[i])) != NULL) {
            struct peer *peer = LP2P_LIST_ENTRY(entry, struct peer, entry);
            end_list(state, &peer->waiting);
            free(peer);
        }
    }
}
