/* SPDX-License-Identifier: MIT */
#include "actors/link/muxer.h"

#include <stdlib.h>

static struct lp2p_link_owner *find_owner(const struct lp2p_muxer *muxer, struct lp2p_ref ref)
{
    LP2P_LIST_FOREACH(it, &muxer->owners)
    {
        struct lp2p_link_owner *owner = LP2P_LIST_ENTRY(it, struct lp2p_link_owner, link);
        if (lp2p_ref_eq(owner->ref, ref)) {
            return owner;
        }
    }
    return NULL;
}

void lp2p_muxer_own(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                    struct lp2p_ref owner)
{
    stream->owner = owner;
    if (lp2p_ref_eq(owner, LP2P_REF_NONE) || find_owner(muxer, owner) != NULL) {
        return;
    }
    struct lp2p_link_owner *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        stream->owner = LP2P_REF_NONE; /* an owner whose end we would not learn of must have no streams */
        return;
    }
    entry->ref = owner;
    lp2p_list_push_back(&muxer->owners, &entry->link);
    lp2p_monitor(self, owner);
}

void lp2p_muxer_owner_gone(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_ref owner)
{
    struct lp2p_link_owner *entry = find_owner(muxer, owner);
    if (entry == NULL) {
        return;
    }
    lp2p_list_remove(&entry->link);
    free(entry);
    LP2P_LIST_FOREACH_SAFE(it, &muxer->streams)
    {
        struct lp2p_link_stream *stream = LP2P_LIST_ENTRY(it, struct lp2p_link_stream, link);
        if (stream->state == LP2P_LINK_OPEN && lp2p_ref_eq(stream->owner, owner)) {
            (void)muxer->ops->reset(muxer->session, stream->handle, 0);
            LP2P_COUNT(muxer->ctx, streams_reset, 1);
            lp2p_streams_remove(muxer, stream);
        }
    }
    lp2p_muxer_status_changed(self, muxer);
}

/** The stream an owner means, if it is still there. */
static struct lp2p_link_stream *open_stream(const struct lp2p_actor *self, const struct lp2p_muxer *muxer,
                                            struct lp2p_stream_id id)
{
    struct lp2p_link_stream *stream = lp2p_streams_find(muxer, id.stream);
    bool ours = stream != NULL && stream->state == LP2P_LINK_OPEN && lp2p_ref_eq(id.muxer, lp2p_self(self));
    return ours ? stream : NULL;
}

/** An owner that breaks its contract loses that stream, not the connection. */
static void broke_contract(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                           enum lp2p_err reason)
{
    lp2p_log(muxer->ctx, LP2P_LOG_ERROR, "muxer", "owner of stream %llu: %s",
             (unsigned long long)stream->handle, lp2p_strerror(reason));
    lp2p_muxer_reset(self, muxer, stream, 0, reason);
}

/** The FIN of a stream that was opened lazily waits for the answer: it must not come in the flight of the negotiation. */
static enum lp2p_err close_write(const struct lp2p_muxer *muxer, struct lp2p_link_stream *stream)
{
    stream->closing = true;
    stream->fin_held = stream->mss != NULL;
    return stream->fin_held ? LP2P_OK : muxer->ops->close_write(muxer->session, stream->handle);
}

static void on_write(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_m_stream_write *m)
{
    struct lp2p_link_stream *stream = open_stream(self, muxer, m->id);
    if (stream == NULL) {
        return;
    }
    if (m->source != NULL) {
        struct lp2p_stream_source *source = m->source;
        m->source = NULL;
        source->fill(source, m);
    }
    uint64_t bytes = 0;
    for (unsigned i = 0; i < m->slices_len; i++) {
        bytes += m->slices[i].len;
    }
    if (bytes + stream->queued_bytes + stream->credit_bytes > LP2P_STREAM_CREDIT) {
        broke_contract(self, muxer, stream, LP2P_ECREDIT);
        return;
    }
    enum lp2p_err err = LP2P_OK;
    for (unsigned i = 0; i < m->slices_len && err == LP2P_OK; i++) {
        uint32_t len = m->slices[i].len;
        err = len > 0 ? muxer->ops->write(muxer->session, stream->handle, &m->slices[i]) : LP2P_OK;
        stream->queued_bytes += err == LP2P_OK ? len : 0;
    }
    if (err == LP2P_OK && m->fin) {
        err = close_write(muxer, stream);
    }
    if (err == LP2P_ESTATE || err == LP2P_ENOMEM) {
        broke_contract(self, muxer, stream, err);
    }
}

/** Tells the owner what was framed, in steps: each word of it is a message, and perhaps a wake-up. While more of it
 * waits to be framed nobody misses its next bytes, and the step is nearly all that it may have. */
static void give_credit(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream)
{
    bool last = stream->closing && stream->queued_bytes == 0 && stream->credit_bytes > 0;
    if (!last && stream->credit_bytes < LP2P_STREAM_CREDIT / 4) {
        return;
    }
    if (stream->queued_bytes > 0 && stream->credit_bytes < LP2P_STREAM_CREDIT / 8 * 7) {
        return; /* what is framed next asks again */
    }
    struct lp2p_m_stream_bytes *m = LP2P_NEW(STREAM_CREDIT, stream_bytes);
    struct lp2p_msg *msg = m != NULL ? &m->msg : NULL;
    if (m == NULL || lp2p_ref_eq(stream->owner, LP2P_REF_NONE)) {
        lp2p_msg_drop(&msg);
        lp2p_muxer_reset(self, muxer, stream, 0,
                         LP2P_ENOMEM); /* an owner that never gets its credit back waits for ever */
        return;
    }
    m->id = lp2p_streams_id(self, stream);
    m->bytes = stream->credit_bytes;
    stream->credit_bytes = 0;
    (void)lp2p_outbox_send(self, &muxer->outbox, stream->owner, &msg); /* its end arrives as DOWN */
}

static void on_close_write(struct lp2p_actor *self, struct lp2p_muxer *muxer,
                           const struct lp2p_m_stream_mark *m)
{
    struct lp2p_link_stream *stream = open_stream(self, muxer, m->id);
    if (stream != NULL) {
        (void)close_write(muxer, stream);
        give_credit(self, muxer, stream);
    }
}

static void on_abort(struct lp2p_actor *self, struct lp2p_muxer *muxer, const struct lp2p_m_stream_reset *m)
{
    struct lp2p_link_stream *stream = open_stream(self, muxer, m->id);
    if (stream != NULL) {
        (void)muxer->ops->reset(muxer->session, stream->handle, m->code);
        LP2P_COUNT(muxer->ctx, streams_reset, 1);
        lp2p_streams_remove(muxer, stream);
        lp2p_muxer_status_changed(self, muxer);
    }
}

bool lp2p_muxer_on_owner_msg(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_msg *msg)
{
    if (LP2P_IS(msg, STREAM_WRITE)) {
        on_write(self, muxer, LP2P_AS(msg, STREAM_WRITE, stream_write));
    } else if (LP2P_IS(msg, STREAM_CONSUMED)) {
        const struct lp2p_m_stream_bytes *m = LP2P_AS(msg, STREAM_CONSUMED, stream_bytes);
        if (open_stream(self, muxer, m->id) != NULL) {
            (void)muxer->ops->consumed(muxer->session, m->id.stream, m->bytes, lp2p_now(self));
        }
    } else if (LP2P_IS(msg, STREAM_CLOSE_WRITE)) {
        on_close_write(self, muxer, LP2P_AS(msg, STREAM_CLOSE_WRITE, stream_mark));
    } else if (LP2P_IS(msg, STREAM_ABORT)) {
        on_abort(self, muxer, LP2P_AS(msg, STREAM_ABORT, stream_reset));
    } else {
        return false;
    }
    return true;
}

void lp2p_muxer_framed(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                       uint32_t bytes)
{
    uint32_t of_negotiation = LP2P_MIN(bytes, stream->negotiation_bytes); /* it was queued first */
    stream->negotiation_bytes -= of_negotiation;
    bytes -= of_negotiation;
    if (stream->state != LP2P_LINK_OPEN || bytes == 0) {
        return;
    }
    LP2P_CHECK(bytes <= stream->queued_bytes);
    stream->queued_bytes -= bytes;
    stream->credit_bytes += bytes;
    give_credit(self, muxer, stream);
}
