/* SPDX-License-Identifier: MIT */
#include "actors/link/muxer.h"

#include <stdio.h>

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a: only ids of this node's own table are compared by it */
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    }
    return hash;
}

static int match(void *ctx, struct lp2p_span protocol)
{
    const struct lp2p_muxer *muxer = ctx;
    return lp2p_protocols_find(muxer->protocols, protocol);
}

/** The deadlines of all negotiations share one timer. */
static void arm(struct lp2p_actor *self, const struct lp2p_muxer *muxer)
{
    lp2p_timer_set(self, LP2P_MUXER_TIMER_NEGOTIATE, lp2p_heap_deadline(&muxer->negotiations));
}

/** Queues what the negotiation has to say. */
static enum lp2p_err say(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream)
{
    uint8_t bytes[1024];
    size_t n;
    while ((n = lp2p_mss_drain(stream->mss, bytes, sizeof(bytes), lp2p_now(self))) > 0) {
        struct lp2p_slice slice = lp2p_slice_copy(bytes, n);
        if (slice.buf == NULL) {
            return LP2P_ENOMEM;
        }
        enum lp2p_err err = muxer->ops->write(muxer->session, stream->handle, &slice);
        lp2p_slice_drop(&slice);
        if (err != LP2P_OK) {
            return err;
        }
        stream->negotiation_bytes += (uint32_t)n;
    }
    return LP2P_OK;
}

static void fail_open(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_m_stream_open *open,
                      enum lp2p_err reason)
{
    struct lp2p_m_stream_open_failed *m = LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
    if (m == NULL) {
        return; /* the op is finished when `open` is dropped */
    }
    char peer[LP2P_PEER_ID_TEXT_MAX];
    lp2p_peer_id_text(&muxer->arg->peer, peer);
    m->msg.tag = open->reply_tag;
    m->peer = muxer->arg->peer;
    m->reason = reason;
    m->op = open->op;
    open->op = NULL;
    unsigned more = open->protocols_len > 1 ? open->protocols_len - 1 : 0;
    (void)snprintf(m->text, sizeof(m->text), "stream %.80s%s to %.79s: %.60s", open->protocols[0],
                   more > 0 ? " (and others)" : "", peer, lp2p_strerror(reason));
    struct lp2p_ref to = open->resident >= 0 ? lp2p_resident(self, (unsigned)open->resident) : open->reply_to;
    struct lp2p_msg *msg = &m->msg;
    (void)lp2p_outbox_pass(self, &muxer->outbox, to, &msg);
}

/** The peer does not speak what was asked for: the swarm remembers it, if it wanted to know. */
static void tell_refusal(struct lp2p_actor *self, struct lp2p_muxer *muxer, const struct lp2p_m_stream_open *open,
                         enum lp2p_err reason)
{
    bool wanted = open->tell_refusal && reason == LP2P_ENEGOTIATION;
    struct lp2p_m_link_refused *m = wanted ? LP2P_NEW(LINK_REFUSED, link_refused) : NULL;
    if (m != NULL) {
        m->conn = muxer->arg->conn;
        m->told = open->told;
        memcpy(m->protocol, open->protocols[0], sizeof(m->protocol));
        struct lp2p_msg *msg = &m->msg;
        (void)lp2p_outbox_send(self, &muxer->outbox, lp2p_names(muxer->ctx)->swarm, &msg);
    }
}

void lp2p_muxer_refuse(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                       enum lp2p_err reason, bool reset, uint32_t code)
{
    if (reset) {
        (void)muxer->ops->reset(muxer->session, stream->handle, code);
    }
    if (stream->open != NULL) {
        tell_refusal(self, muxer, LP2P_AS(stream->open, STREAM_OPEN, stream_open), reason);
        fail_open(self, muxer, LP2P_AS(stream->open, STREAM_OPEN, stream_open), reason);
    } else {
        LP2P_COUNT(muxer->ctx, streams_refused, 1);
    }
    lp2p_streams_remove(muxer, stream);
    arm(self, muxer);
}

static enum lp2p_err begin(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                           lp2p_time deadline)
{
    enum lp2p_err err =
        stream->mss == NULL ? LP2P_ENOMEM : lp2p_heap_set(&muxer->negotiations, &stream->deadline, deadline);
    arm(self, muxer);
    return err;
}

void lp2p_muxer_accept(struct lp2p_actor *self, struct lp2p_muxer *muxer, uint64_t handle)
{
    struct lp2p_link_stream *stream = NULL;
    if (muxer->state == LP2P_MUXER_OPEN && muxer->negotiating_in < LP2P_NEGOTIATING_MAX) {
        stream = lp2p_streams_add(muxer, handle, LP2P_LINK_NEGOTIATING_IN);
    }
    if (stream == NULL) {
        LP2P_COUNT(muxer->ctx, streams_refused, 1);
        (void)muxer->ops->reset(muxer->session, handle, LP2P_CODE_LIMIT);
        return;
    }
    /* Our header waits for theirs: it then leaves in one frame with the first answer. */
    stream->mss = lp2p_mss_new_listener(match, muxer);
    if (stream->mss != NULL) {
        lp2p_mss_limit(stream->mss, muxer->ctx->negotiation);
    }
    enum lp2p_err err = begin(self, muxer, stream, lp2p_time_add(lp2p_now(self), LP2P_NEGOTIATION_NS));
    if (err != LP2P_OK) {
        lp2p_muxer_refuse(self, muxer, stream, err, true, LP2P_CODE_LIMIT);
    }
}

/** Why the request cannot even be tried. */
static enum lp2p_err check_open(const struct lp2p_muxer *muxer, const struct lp2p_m_stream_open *open)
{
    if (muxer->state != LP2P_MUXER_OPEN) {
        return LP2P_ENOCONN;
    }
    if (lp2p_op_done(open->op)) {
        return LP2P_ECANCELED;
    }
    if (open->protocols_len == 0 || open->protocols_len > LP2P_ARRAY_LEN(open->protocols)) {
        return LP2P_EINVAL;
    }
    for (unsigned i = 0; i < open->protocols_len; i++) {
        if (memchr(open->protocols[i], '\0', LP2P_PROTOCOL_ID_MAX) == NULL || open->protocols[i][0] == '\0') {
            return LP2P_EINVAL;
        }
    }
    return LP2P_OK;
}

static struct lp2p_m_stream_opened *new_opened(struct lp2p_actor *self, struct lp2p_muxer *muxer,
                                               const struct lp2p_link_stream *stream, const char *protocol)
{
    struct lp2p_m_stream_opened *m = LP2P_NEW(STREAM_OPENED, stream_opened);
    if (m != NULL) {
        m->id = lp2p_streams_id(self, stream);
        m->outbound = stream->outbound;
        m->conn = muxer->arg->conn;
        m->peer = muxer->arg->peer;
        m->remote = muxer->arg->remote;
        m->credit_bytes = LP2P_STREAM_CREDIT;
        (void)snprintf(m->protocol, sizeof(m->protocol), "%s", protocol);
    }
    return m;
}

/** Makes the stream its owner's. False: the stream is gone. */
static bool hand_to_owner(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                          struct lp2p_ref owner, bool internal, struct lp2p_m_stream_opened *m)
{
    stream->internal = internal;
    lp2p_streams_opened(muxer, stream);
    arm(self, muxer);
    lp2p_muxer_own(self, muxer, stream, owner);
    lp2p_muxer_status_changed(self, muxer);
    struct lp2p_msg *msg = m != NULL ? &m->msg : NULL;
    return lp2p_muxer_tell(self, muxer, stream, &msg);
}

static bool selected_in(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                        int index)
{
    const struct lp2p_protocol_entry *entry = &muxer->protocols->items[index];
    struct lp2p_ref owner =
        entry->resident >= 0 ? lp2p_resident(self, (unsigned)entry->resident) : entry->actor;
    stream->protocol_hash = hash_of(entry->id);
    if (entry->streams_in_max > 0 &&
        lp2p_streams_count(muxer, stream->protocol_hash) >= entry->streams_in_max) {
        lp2p_muxer_refuse(self, muxer, stream, LP2P_ELIMIT, true, LP2P_CODE_LIMIT);
        return false;
    }
    struct lp2p_m_stream_opened *m = new_opened(self, muxer, stream, entry->id);
    if (m != NULL) {
        m->actor = entry->actor;
    }
    return hand_to_owner(self, muxer, stream, owner, entry->resident == LP2P_RESIDENT_IDENTIFY, m);
}

static bool selected_out(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                         int index)
{
    struct lp2p_m_stream_open *open = LP2P_AS(stream->open, STREAM_OPEN, stream_open);
    struct lp2p_ref owner =
        open->resident >= 0 ? lp2p_resident(self, (unsigned)open->resident) : open->reply_to;
    struct lp2p_m_stream_opened *m = new_opened(self, muxer, stream, stream->names[index]);
    if (m != NULL) {
        m->msg.tag = open->reply_tag;
        m->op = open->op;
        open->op = NULL;
    }
    return hand_to_owner(self, muxer, stream, owner, open->resident == LP2P_RESIDENT_IDENTIFY, m);
}

/** Acts on the outcome, if there is one. True: the stream is still there and OPEN. */
static bool conclude(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream)
{
    struct lp2p_mss_event event;
    lp2p_mss_next(stream->mss, &event);
    switch (event.kind) {
    case LP2P_MSS_NONE:
        return false;
    case LP2P_MSS_SELECTED:
        return stream->outbound ? selected_out(self, muxer, stream, event.index)
                                : selected_in(self, muxer, stream, event.index);
    case LP2P_MSS_FAILED:
        lp2p_muxer_refuse(self, muxer, stream, event.reason != LP2P_OK ? event.reason : LP2P_ENEGOTIATION,
                          true, LP2P_CODE_NEGOTIATION);
        return false;
    }
    return false;
}

void lp2p_muxer_open(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_msg **msg)
{
    struct lp2p_m_stream_open *open = LP2P_AS(*msg, STREAM_OPEN, stream_open);
    lp2p_time now = lp2p_now(self);
    uint64_t handle = 0;
    enum lp2p_err err = check_open(muxer, open);
    if (err == LP2P_OK) {
        err = muxer->ops->open(muxer->session, now, &handle);
    }
    struct lp2p_link_stream *stream = NULL;
    if (err == LP2P_OK) {
        stream = lp2p_streams_add(muxer, handle, LP2P_LINK_NEGOTIATING_OUT);
        if (stream == NULL) {
            (void)muxer->ops->reset(muxer->session, handle, 0);
            err = LP2P_ENOMEM;
        }
    }
    if (err != LP2P_OK) {
        fail_open(self, muxer, open, err == LP2P_ECLOSED ? LP2P_ENOCONN : err);
        return;
    }
    stream->open = *msg;
    *msg = NULL;
    for (unsigned i = 0; i < open->protocols_len; i++) {
        stream->names[i] = open->protocols[i];
    }
    /* Lazy only where the swarm says so: js nodes can lose what comes in the flight of the negotiation, and a protocol that
     * is not spoken should be known before the owner has written anything. */
    stream->mss = lp2p_mss_new_dialer(stream->names, open->protocols_len, open->lazy);
    err = begin(self, muxer, stream,
                open->deadline != 0 ? open->deadline : lp2p_time_add(now, LP2P_NEGOTIATION_NS));
    if (err == LP2P_OK) {
        err = say(self, muxer, stream);
    }
    if (err != LP2P_OK) {
        lp2p_muxer_refuse(self, muxer, stream, err, true, 0);
    } else {
        (void)conclude(self, muxer, stream); /* of a lazy one */
    }
}

void lp2p_muxer_negotiate(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                          struct lp2p_slice *data)
{
    size_t used = 0;
    lp2p_time now = lp2p_now(self);
    enum lp2p_err fed = lp2p_mss_feed(stream->mss, lp2p_slice_span(data), now, &used);
    (void)muxer->ops->consumed(muxer->session, stream->handle, (uint32_t)used, now);
    enum lp2p_err err = say(self, muxer, stream);
    if (err != LP2P_OK || fed != LP2P_OK) {
        lp2p_muxer_refuse(self, muxer, stream, err != LP2P_OK ? err : fed, true, LP2P_CODE_NEGOTIATION);
    } else if (conclude(self, muxer, stream)) {
        data->ptr += used;
        data->len -= (uint32_t)used;
        lp2p_muxer_deliver(self, muxer, stream, data);
        return;
    }
    lp2p_slice_drop(data);
}

void lp2p_muxer_confirm(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                        struct lp2p_slice *data)
{
    size_t used = 0;
    lp2p_time now = lp2p_now(self);
    struct lp2p_mss_event event = {.kind = LP2P_MSS_NONE};
    enum lp2p_err err = lp2p_mss_feed(stream->mss, lp2p_slice_span(data), now, &used);
    (void)muxer->ops->consumed(muxer->session, stream->handle, (uint32_t)used, now);
    lp2p_mss_next(stream->mss, &event);
    if (err != LP2P_OK || event.kind == LP2P_MSS_FAILED) {
        tell_refusal(self, muxer, LP2P_AS(stream->open, STREAM_OPEN, stream_open), err != LP2P_OK ? err : LP2P_ENEGOTIATION);
        lp2p_muxer_reset(self, muxer, stream, LP2P_CODE_NEGOTIATION, err != LP2P_OK ? err : LP2P_ENEGOTIATION);
        lp2p_slice_drop(data);
        return;
    }
    if (lp2p_mss_confirmed(stream->mss)) {
        lp2p_streams_end_negotiation(muxer, stream);
        arm(self, muxer);
        if (stream->fin_held) {
            stream->fin_held = false;
            (void)muxer->ops->close_write(muxer->session, stream->handle);
        }
    }
    data->ptr += used;
    data->len -= (uint32_t)used;
    lp2p_muxer_deliver(self, muxer, stream, data);
}

void lp2p_muxer_negotiations_late(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    lp2p_time now = lp2p_now(self);
    while (lp2p_heap_deadline(&muxer->negotiations) <= now) {
        struct lp2p_heap_node *node = lp2p_heap_top(&muxer->negotiations);
        struct lp2p_link_stream *stream = LP2P_CONTAINER_OF(node, struct lp2p_link_stream, deadline);
        if (stream->state == LP2P_LINK_OPEN) {
            lp2p_muxer_reset(self, muxer, stream, LP2P_CODE_NEGOTIATION, LP2P_ETIMEDOUT);
        } else {
            lp2p_muxer_refuse(self, muxer, stream, LP2P_ETIMEDOUT, true, LP2P_CODE_NEGOTIATION);
        }
    }
    arm(self, muxer);
}
