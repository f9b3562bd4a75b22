/* SPDX-License-Identifier: MIT */
#include "actors/protocols/streams.h"

#include "actors/protocols/builtins.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS_MIN 16u

void lp2p_pstreams_init(struct lp2p_pstreams *set, const struct lp2p_pstream_ops *ops, void *ctx,
                        struct lp2p_actor *self, struct lp2p_outbox *outbox, unsigned timer)
{
    *set = (struct lp2p_pstreams){.ops = ops, .ctx = ctx, .self = self, .outbox = outbox, .timer = timer};
    lp2p_heap_init(&set->deadlines);
}

void lp2p_pstreams_fini(struct lp2p_pstreams *set)
{
    for (size_t i = 0; i < set->buckets_len; i++) {
        for (struct lp2p_pstream *it = set->buckets[i], *next; it != NULL; it = next) {
            next = it->next;
            lp2p_fifo_clear(&it->out);
            set->ops->ended(set->ctx, it, LP2P_ECLOSED);
        }
    }
    lp2p_heap_fini(&set->deadlines);
    free(set->buckets);
    set->buckets = NULL;
    set->buckets_len = set->len = 0;
}

/* ---- the table. Handles are given in order by our own muxers, so that no remote side chooses a bucket. */

static struct lp2p_pstream **bucket_of(struct lp2p_pstreams *set, struct lp2p_stream_id id)
{
    uint64_t mix = (id.stream + (uint64_t)id.muxer.slot * 31u + id.muxer.gen) * UINT64_C(0x9e3779b97f4a7c15);
    return &set->buckets[(mix >> 32) & (set->buckets_len - 1)];
}

static bool grow(struct lp2p_pstreams *set)
{
    size_t old_len = set->buckets_len, len = old_len == 0 ? BUCKETS_MIN : old_len * 2;
    struct lp2p_pstream **old = set->buckets, **buckets = calloc(len, sizeof(*buckets));
    if (buckets == NULL) {
        return old_len > 0; /* longer chains do for a while */
    }
    set->buckets = buckets;
    set->buckets_len = len;
    for (size_t i = 0; i < old_len; i++) {
        for (struct lp2p_pstream *it = old[i], *next; it != NULL; it = next) {
            next = it->next;
            struct lp2p_pstream **bucket = bucket_of(set, it->id);
            it->next = *bucket;
            *bucket = it;
        }
    }
    free(old);
    return true;
}

struct lp2p_pstream *lp2p_pstreams_find(struct lp2p_pstreams *set, struct lp2p_stream_id id)
{
    if (set->len == 0) {
        return NULL;
    }
    struct lp2p_pstream *it = *bucket_of(set, id);
    while (it != NULL && !lp2p_stream_id_eq(it->id, id)) {
        it = it->next;
    }
    return it;
}

static void arm(struct lp2p_pstreams *set)
{
    lp2p_timer_set(set->self, set->timer, lp2p_heap_deadline(&set->deadlines));
}

enum lp2p_err lp2p_pstreams_add(struct lp2p_pstreams *set, struct lp2p_pstream *stream,
                                const struct lp2p_m_stream_opened *opened, lp2p_time deadline)
{
    if ((set->len >= set->buckets_len && !grow(set)) ||
        lp2p_heap_set(&set->deadlines, &stream->timer, deadline) != LP2P_OK) {
        lp2p_pstreams_refuse(set, opened->id, LP2P_ENOMEM);
        return LP2P_ENOMEM;
    }
    stream->id = opened->id;
    stream->peer = opened->peer;
    stream->conn = opened->conn;
    stream->credit = opened->credit_bytes;
    struct lp2p_pstream **bucket = bucket_of(set, stream->id);
    stream->next = *bucket;
    *bucket = stream;
    set->len++;
    arm(set);
    return LP2P_OK;
}

static void end(struct lp2p_pstreams *set, struct lp2p_pstream *stream, enum lp2p_err reason)
{
    struct lp2p_pstream **at = bucket_of(set, stream->id);
    while (*at != stream) {
        at = &(*at)->next;
    }
    *at = stream->next;
    set->len--;
    lp2p_heap_remove(&set->deadlines, &stream->timer);
    lp2p_fifo_clear(&stream->out);
    arm(set);
    set->ops->ended(set->ctx, stream, reason);
}

void lp2p_pstream_deadline(struct lp2p_pstreams *set, struct lp2p_pstream *stream, lp2p_time when)
{
    /* The heap has had a place for this entry since it was added, so that this cannot fail for want of
     * memory. */
    if (lp2p_heap_set(&set->deadlines, &stream->timer, when) == LP2P_OK) {
        arm(set);
    }
}

void lp2p_pstreams_tick(struct lp2p_pstreams *set)
{
    struct lp2p_heap_node *top;
    while ((top = lp2p_heap_top(&set->deadlines)) != NULL && top->when <= lp2p_now(set->self)) {
        lp2p_heap_remove(&set->deadlines, top);
        set->ops->expired(set->ctx, LP2P_CONTAINER_OF(top, struct lp2p_pstream, timer));
    }
    arm(set);
}

/* ---- sending */

static void send(struct lp2p_pstreams *set, struct lp2p_stream_id id, struct lp2p_msg *msg)
{
    /* EGONE: the link has ended, STREAM_RESET is under way or the deadline ends the stream. ELIMIT is counted
     * by the outbox. */
    (void)lp2p_outbox_send(set->self, set->outbox, id.muxer, &msg);
}

void lp2p_pstreams_refuse(struct lp2p_pstreams *set, struct lp2p_stream_id id, enum lp2p_err reason)
{
    struct lp2p_m_stream_reset *m = LP2P_NEW(STREAM_ABORT, stream_reset);
    if (m != NULL) {
        m->id = id;
        m->reason = reason;
        send(set, id, &m->msg);
    }
}

void lp2p_pstream_abort(struct lp2p_pstreams *set, struct lp2p_pstream *stream, enum lp2p_err reason)
{
    lp2p_pstreams_refuse(set, stream->id, reason);
    end(set, stream, reason);
}

static bool send_some(struct lp2p_pstreams *set, struct lp2p_pstream *stream)
{
    struct lp2p_m_stream_write *m = LP2P_NEW(STREAM_WRITE, stream_write);
    if (m == NULL) {
        return false;
    }
    m->id = stream->id;
    while (m->slices_len < LP2P_SLICES_MAX && stream->out.bytes > 0 && stream->credit > 0) {
        struct lp2p_slice slice = lp2p_fifo_cut(&stream->out, stream->credit);
        stream->credit -= slice.len;
        stream->unframed += slice.len;
        m->msg.bytes += slice.len;
        m->slices[m->slices_len++] = slice;
    }
    m->fin = stream->fin_wanted && stream->out.bytes == 0;
    stream->fin_sent = m->fin;
    send(set, stream->id, &m->msg);
    return true;
}

static bool send_fin(struct lp2p_pstreams *set, struct lp2p_pstream *stream)
{
    struct lp2p_m_stream_mark *m = LP2P_NEW(STREAM_CLOSE_WRITE, stream_mark);
    if (m == NULL) {
        return false;
    }
    m->id = stream->id;
    stream->fin_sent = true;
    send(set, stream->id, &m->msg);
    return true;
}

/* Sends what credit allows; ends the stream when it is over on both sides or when memory is short. */
static bool pump(struct lp2p_pstreams *set, struct lp2p_pstream *stream)
{
    bool ok = true;
    while (ok && stream->out.bytes > 0 && stream->credit > 0) {
        ok = send_some(set, stream);
    }
    if (ok && stream->fin_wanted && !stream->fin_sent && stream->out.bytes == 0) {
        ok = send_fin(set, stream);
    }
    if (!ok) {
        lp2p_pstream_abort(set, stream, LP2P_ENOMEM);
        return false;
    }
    if (stream->fin_sent && stream->eof) {
        end(set, stream, LP2P_OK);
        return false;
    }
    return true;
}

bool lp2p_pstream_queue(struct lp2p_pstreams *set, struct lp2p_pstream *stream, struct lp2p_slice *data)
{
    if (lp2p_fifo_push(&stream->out, data) == LP2P_OK) {
        return true;
    }
    lp2p_slice_drop(data);
    lp2p_pstream_abort(set, stream, LP2P_ENOMEM);
    return false;
}

bool lp2p_pstream_push(struct lp2p_pstreams *set, struct lp2p_pstream *stream)
{
    return pump(set, stream);
}

bool lp2p_pstream_write(struct lp2p_pstreams *set, struct lp2p_pstream *stream, struct lp2p_slice *data)
{
    return lp2p_pstream_queue(set, stream, data) && pump(set, stream);
}

bool lp2p_pstream_write_last(struct lp2p_pstreams *set, struct lp2p_pstream *stream, struct lp2p_slice *data)
{
    stream->fin_wanted = true;
    return lp2p_pstream_write(set, stream, data);
}

bool lp2p_pstream_close(struct lp2p_pstreams *set, struct lp2p_pstream *stream)
{
    stream->fin_wanted = true;
    return pump(set, stream);
}

void lp2p_pstream_consumed(struct lp2p_pstreams *set, struct lp2p_pstream *stream, size_t bytes)
{
    stream->consumed += (uint32_t)bytes;
    /* After the peer's end there is no window left to grant. */
    struct lp2p_m_stream_bytes *m =
        stream->consumed < LP2P_CONSUMED_STEP || stream->eof ? NULL : LP2P_NEW(STREAM_CONSUMED, stream_bytes);
    if (m != NULL) {
        m->id = stream->id;
        m->bytes = stream->consumed;
        stream->consumed = 0;
        send(set, stream->id, &m->msg);
    }
}

/* ---- receiving */

static void on_data(struct lp2p_pstreams *set, struct lp2p_m_stream_data *m)
{
    for (unsigned i = 0; i < m->slices_len; i++) {
        /* Looked up each time: the last slice may have ended the stream. */
        struct lp2p_pstream *stream = lp2p_pstreams_find(set, m->id);
        if (stream == NULL) {
            return;
        }
        set->ops->data(set->ctx, stream, &m->slices[i]);
    }
    struct lp2p_pstream *stream = set->ops->drained == NULL ? NULL : lp2p_pstreams_find(set, m->id);
    if (stream != NULL) {
        set->ops->drained(set->ctx, stream);
    }
}

static void on_eof(struct lp2p_pstreams *set, struct lp2p_pstream *stream)
{
    stream->eof = true;
    if (stream->fin_sent) {
        end(set, stream, LP2P_OK);
    } else if (set->ops->eof != NULL) {
        set->ops->eof(set->ctx, stream);
    } else {
        (void)lp2p_pstream_close(set, stream);
    }
}

static void on_credit(struct lp2p_pstreams *set, struct lp2p_pstream *stream, uint32_t bytes)
{
    stream->credit += bytes;
    stream->unframed -= LP2P_MIN(stream->unframed, bytes);
    if (pump(set, stream) && set->ops->writable != NULL) {
        set->ops->writable(set->ctx, stream);
    }
}

bool lp2p_pstreams_handle(struct lp2p_pstreams *set, struct lp2p_msg *msg)
{
    struct lp2p_pstream *stream;
    if (LP2P_IS(msg, STREAM_OPENED)) {
        set->ops->opened(set->ctx, LP2P_AS(msg, STREAM_OPENED, stream_opened));
    } else if (LP2P_IS(msg, STREAM_DATA)) {
        on_data(set, LP2P_AS(msg, STREAM_DATA, stream_data));
    } else if (LP2P_IS(msg, STREAM_EOF)) {
        stream = lp2p_pstreams_find(set, LP2P_AS(msg, STREAM_EOF, stream_mark)->id);
        if (stream != NULL) {
            on_eof(set, stream);
        }
    } else if (LP2P_IS(msg, STREAM_CREDIT)) {
        const struct lp2p_m_stream_bytes *m = LP2P_AS(msg, STREAM_CREDIT, stream_bytes);
        stream = lp2p_pstreams_find(set, m->id);
        if (stream != NULL) {
            on_credit(set, stream, m->bytes);
        }
    } else if (LP2P_IS(msg, STREAM_RESET) || LP2P_IS(msg, STREAM_RESET_URGENT)) {
        const struct lp2p_m_stream_reset *m = (const struct lp2p_m_stream_reset *)(const void *)msg;
        stream = lp2p_pstreams_find(set, m->id);
        if (stream != NULL) {
            end(set, stream, m->reason == LP2P_OK ? LP2P_ECLOSED : m->reason);
        }
    } else {
        return false;
    }
    return true;
}

/* ---- the swarm */

static enum lp2p_err offer(struct lp2p_actor *self, struct lp2p_outbox *outbox,
                           const struct lp2p_context *ctx, const struct lp2p_protocol_entry *entry)
{
    struct lp2p_m_register *m = LP2P_NEW(REGISTER, register);
    if (m == NULL) {
        return LP2P_ENOMEM;
    }
    m->entry = *entry;
    struct lp2p_msg *msg = &m->msg;
    (void)lp2p_outbox_send(self, outbox, lp2p_names(ctx)->swarm, &msg);
    return LP2P_OK;
}

enum lp2p_err lp2p_protocol_offer(struct lp2p_actor *self, struct lp2p_outbox *outbox,
                                  const struct lp2p_context *ctx, const char *protocol,
                                  unsigned streams_in_max)
{
    struct lp2p_protocol_entry entry = {
        .resident = LP2P_RESIDENT_NONE, .actor = {lp2p_self(self).slot, 0}, .streams_in_max = streams_in_max};
    (void)snprintf(entry.id, sizeof(entry.id), "%s", protocol);
    return offer(self, outbox, ctx, &entry);
}

enum lp2p_err lp2p_protocol_offer_resident(struct lp2p_actor *self, struct lp2p_outbox *outbox,
                                           const struct lp2p_context *ctx, int resident)
{
    struct lp2p_protocol_entry entries[LP2P_BUILTINS_MAX];
    size_t len = lp2p_builtin_protocols(&ctx->config, resident, entries);
    enum lp2p_err err = LP2P_OK;
    for (size_t i = 0; i < len && err == LP2P_OK; i++) {
        err = offer(self, outbox, ctx, &entries[i]);
    }
    return err;
}

enum lp2p_err lp2p_protocol_subscribe(struct lp2p_actor *self, struct lp2p_outbox *outbox,
                                      const struct lp2p_context *ctx, unsigned what)
{
    struct lp2p_m_subscribe *m = LP2P_NEW(SUBSCRIBE, subscribe);
    if (m == NULL) {
        return LP2P_ENOMEM;
    }
    m->who = lp2p_self(self); /* with its generation: the next one asks for itself */
    m->what = what;
    struct lp2p_msg *msg = &m->msg;
    (void)lp2p_outbox_send(self, outbox, lp2p_names(ctx)->swarm, &msg);
    return LP2P_OK;
}
