/* SPDX-License-Identifier: MIT */
#include "link_world.h"

#include <string.h>

enum role { CLIENT, ECHO, SINK, STALL, ABORT, FAIL };

struct piece {
    struct lp2p_list link;
    struct lp2p_slice slice;
};

struct stream {
    struct lp2p_list link;
    struct lp2p_stream_id id;
    enum role role;
    uint32_t credit;
    bool fin_in, fin_out;
    struct lp2p_list queue; /* ECHO: to be written back */
    uint64_t held;          /* STALL: not consumed */
    /* CLIENT */
    struct order order;
    uint64_t seed, sent, received;
};

struct worker {
    struct node *node;
    struct lp2p_list streams;
    struct lp2p_outbox outbox;
    struct order order;
    uint64_t seed;
    bool released;
};

const struct lp2p_msg_class WORLD_ORDER = {"WORLD_ORDER", sizeof(struct world_order), LP2P_LANE_NORMAL, NULL, NULL};
const struct lp2p_msg_class WORLD_RELEASE = {"WORLD_RELEASE", sizeof(struct lp2p_msg), LP2P_LANE_NORMAL,
                                             NULL, NULL};

static uint8_t pattern(uint64_t seed, uint64_t at)
{
    return (uint8_t)(seed * 31 + at * 7 + (at >> 9));
}

static enum lp2p_err worker_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    struct worker *worker = state;
    worker->node = (struct node *)(uintptr_t)arg;
    lp2p_list_init(&worker->streams);
    lp2p_outbox_init(&worker->outbox, 0, 4096);
    return LP2P_OK;
}

static void send(struct lp2p_actor *self, struct worker *worker, const struct stream *stream,
                 struct lp2p_msg *msg)
{
    (void)lp2p_outbox_send(self, &worker->outbox, stream->id.muxer, &msg);
}

static void consumed(struct lp2p_actor *self, struct worker *worker, const struct stream *stream,
                     uint64_t bytes)
{
    struct lp2p_m_stream_bytes *m = LP2P_NEW(STREAM_CONSUMED, stream_bytes);
    m->id = stream->id;
    m->bytes = (uint32_t)bytes;
    if (bytes > 0) {
        send(self, worker, stream, &m->msg);
    } else {
        struct lp2p_msg *none = &m->msg;
        lp2p_msg_drop(&none);
    }
}

static void drop_queue(struct stream *stream)
{
    struct lp2p_list *it;
    while ((it = lp2p_list_pop_front(&stream->queue)) != NULL) {
        struct piece *piece = LP2P_LIST_ENTRY(it, struct piece, link);
        lp2p_slice_drop(&piece->slice);
        free(piece);
    }
}

static void forget(struct stream *stream)
{
    drop_queue(stream);
    lp2p_list_remove(&stream->link);
    free(stream);
}

static void maybe_over(struct worker *worker, struct stream *stream)
{
    if (!stream->fin_in || !stream->fin_out) {
        return;
    }
    bool complete = stream->role == CLIENT && stream->received == stream->order.bytes;
    struct record *record = node_record_lock(worker->node);
    record->done += complete;
    node_record_unlock(worker->node);
    forget(stream);
}

/** A client writes its pattern as far as the credit goes. */
static void client_write(struct lp2p_actor *self, struct worker *worker, struct stream *stream)
{
    const uint32_t piece = stream->order.piece != 0 ? stream->order.piece : 16384;
    while (!stream->fin_out) {
        uint64_t left = stream->order.bytes - stream->sent;
        struct lp2p_m_stream_write *m = LP2P_NEW(STREAM_WRITE, stream_write);
        m->id = stream->id;
        while (left > 0 && stream->credit > 0 && m->slices_len < LP2P_SLICES_MAX) {
            uint32_t n = (uint32_t)LP2P_MIN(LP2P_MIN(left, (uint64_t)piece), (uint64_t)stream->credit);
            struct lp2p_buf *buf = lp2p_buf_new(n);
            for (uint32_t i = 0; i < n; i++) {
                buf->bytes[i] = pattern(stream->seed, stream->sent + i);
            }
            m->slices[m->slices_len++] = (struct lp2p_slice){buf, buf->bytes, n};
            stream->sent += n;
            stream->credit -= n;
            left -= n;
            if (stream->order.piece != 0) {
                break;
            }
        }
        m->fin = left == 0 && !stream->order.hold_open;
        bool nothing = m->slices_len == 0 && !m->fin;
        stream->fin_out = m->fin;
        if (nothing) {
            struct lp2p_msg *none = &m->msg;
            lp2p_msg_drop(&none);
            return;
        }
        struct record *record = node_record_lock(worker->node);
        for (unsigned i = 0; i < m->slices_len; i++) {
            record->bytes_out += m->slices[i].len;
        }
        node_record_unlock(worker->node);
        send(self, worker, stream, &m->msg);
    }
}

/** An echo gives back what came, as far as the credit goes, and consumes it when it is gone. */
static void echo_write(struct lp2p_actor *self, struct worker *worker, struct stream *stream)
{
    for (;;) {
        struct lp2p_m_stream_write *m = LP2P_NEW(STREAM_WRITE, stream_write);
        uint64_t bytes = 0;
        m->id = stream->id;
        while (m->slices_len < LP2P_SLICES_MAX && stream->credit > 0 && !lp2p_list_empty(&stream->queue)) {
            struct piece *piece = LP2P_LIST_ENTRY(stream->queue.next, struct piece, link);
            uint32_t n = LP2P_MIN(piece->slice.len, stream->credit);
            m->slices[m->slices_len++] = lp2p_slice_of(piece->slice.buf, piece->slice.ptr, n);
            piece->slice.ptr += n;
            piece->slice.len -= n;
            stream->credit -= n;
            bytes += n;
            if (piece->slice.len == 0) {
                lp2p_list_remove(&piece->link);
                lp2p_slice_drop(&piece->slice);
                free(piece);
            }
        }
        m->fin = stream->fin_in && !stream->fin_out && lp2p_list_empty(&stream->queue);
        stream->fin_out |= m->fin;
        if (m->slices_len == 0 && !m->fin) {
            struct lp2p_msg *none = &m->msg;
            lp2p_msg_drop(&none);
            return;
        }
        send(self, worker, stream, &m->msg);
        consumed(self, worker, stream, bytes);
    }
}

static struct stream *find(struct worker *worker, struct lp2p_stream_id id)
{
    LP2P_LIST_FOREACH(it, &worker->streams)
    {
        struct stream *stream = LP2P_LIST_ENTRY(it, struct stream, link);
        if (lp2p_stream_id_eq(stream->id, id)) {
            return stream;
        }
    }
    return NULL;
}

static enum role role_of(const char *protocol)
{
    static const struct {
        const char *name;
        enum role role;
    } table[] = {{"/sink", SINK}, {"/stall", STALL}, {"/abort", ABORT}, {"/fail", FAIL}};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(table); i++) {
        if (strcmp(protocol, table[i].name) == 0) {
            return table[i].role;
        }
    }
    return ECHO;
}

static void on_opened(struct lp2p_actor *self, struct worker *worker, const struct lp2p_m_stream_opened *m)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    stream->id = m->id;
    stream->credit = m->credit_bytes;
    stream->role = m->outbound ? CLIENT : role_of(m->protocol);
    lp2p_list_init(&stream->queue);
    lp2p_list_push_back(&worker->streams, &stream->link);
    struct record *record = node_record_lock(worker->node);
    record->opened_in += !m->outbound;
    record->opened_out += m->outbound;
    node_record_unlock(worker->node);
    if (m->outbound) {
        stream->order = worker->order;
        stream->seed = worker->seed++;
        client_write(self, worker, stream);
    }
}

static void check_echo(struct worker *worker, struct stream *stream, const struct lp2p_slice *slice)
{
    uint64_t wrong = 0;
    for (uint32_t i = 0; i < slice->len; i++) {
        wrong += slice->ptr[i] != pattern(stream->seed, stream->received + i);
    }
    stream->received += slice->len;
    if (wrong > 0) {
        struct record *record = node_record_lock(worker->node);
        record->mismatches += wrong;
        node_record_unlock(worker->node);
    }
}

static enum lp2p_verdict on_data(struct lp2p_actor *self, struct worker *worker, struct lp2p_m_stream_data *m)
{
    struct stream *stream = find(worker, m->id);
    if (stream == NULL) {
        return LP2P_CONTINUE;
    }
    uint64_t bytes = 0;
    for (unsigned i = 0; i < m->slices_len; i++) {
        bytes += m->slices[i].len;
        if (stream->role == CLIENT) {
            check_echo(worker, stream, &m->slices[i]);
        } else if (stream->role == ECHO) {
            struct piece *piece = calloc(1, sizeof(*piece));
            piece->slice = m->slices[i];
            m->slices[i] = (struct lp2p_slice){0};
            lp2p_list_push_back(&stream->queue, &piece->link);
        }
    }
    struct record *record = node_record_lock(worker->node);
    record->bytes_in += bytes;
    node_record_unlock(worker->node);
    if (stream->role == FAIL) {
        return LP2P_FAIL;
    }
    if (stream->role == ABORT) {
        struct lp2p_m_stream_reset *abort_msg = LP2P_NEW(STREAM_ABORT, stream_reset);
        abort_msg->id = stream->id;
        abort_msg->code = 77;
        send(self, worker, stream, &abort_msg->msg);
        forget(stream);
    } else if (stream->role == ECHO) {
        echo_write(self, worker, stream);
    } else if (stream->role == STALL && !worker->released) {
        stream->held += bytes;
    } else {
        consumed(self, worker, stream, bytes);
    }
    return LP2P_CONTINUE;
}

static void on_eof(struct lp2p_actor *self, struct worker *worker, struct lp2p_stream_id id)
{
    struct stream *stream = find(worker, id);
    if (stream == NULL) {
        return;
    }
    stream->fin_in = true;
    struct record *record = node_record_lock(worker->node);
    record->eofs++;
    node_record_unlock(worker->node);
    if (stream->role == ECHO) {
        echo_write(self, worker, stream);
    } else if (stream->role != CLIENT && !stream->fin_out) {
        struct lp2p_m_stream_mark *m = LP2P_NEW(STREAM_CLOSE_WRITE, stream_mark);
        m->id = id;
        stream->fin_out = true;
        send(self, worker, stream, &m->msg);
    }
    maybe_over(worker, stream);
}

static void on_reset(struct worker *worker, const struct lp2p_m_stream_reset *m)
{
    struct stream *stream = find(worker, m->id);
    if (stream == NULL) {
        return;
    }
    struct record *record = node_record_lock(worker->node);
    record->resets++;
    record->reset_reason = m->reason;
    node_record_unlock(worker->node);
    forget(stream);
}

static void on_credit(struct lp2p_actor *self, struct worker *worker, const struct lp2p_m_stream_bytes *m)
{
    struct stream *stream = find(worker, m->id);
    if (stream == NULL) {
        return;
    }
    stream->credit += m->bytes;
    node_record_lock(worker->node)->credits++;
    node_record_unlock(worker->node);
    if (stream->role == CLIENT) {
        client_write(self, worker, stream);
    } else if (stream->role == ECHO) {
        echo_write(self, worker, stream);
    }
    maybe_over(worker, stream);
}

static void on_order(struct lp2p_actor *self, struct worker *worker, const struct world_order *m)
{
    worker->order = m->order;
    for (unsigned i = 0; i < m->order.streams; i++) {
        struct lp2p_m_stream_open *open = LP2P_NEW(STREAM_OPEN, stream_open);
        open->reply_to = lp2p_self(self);
        open->resident = -1;
        open->reply_tag = 1000 + i;
        open->lazy = m->order.lazy;
        for (size_t p = 0; p < 2 && m->order.protocols[p] != NULL; p++) {
            snprintf(open->protocols[open->protocols_len++], LP2P_PROTOCOL_ID_MAX, "%s",
                     m->order.protocols[p]);
        }
        struct lp2p_msg *msg = &open->msg;
        (void)lp2p_outbox_send(self, &worker->outbox, m->muxer, &msg);
    }
}

static void on_open_failed(struct worker *worker, const struct lp2p_m_stream_open_failed *m)
{
    struct record *record = node_record_lock(worker->node);
    record->open_failed++;
    record->open_reason = m->reason;
    snprintf(record->open_text, sizeof(record->open_text), "%s", m->text);
    node_record_unlock(worker->node);
}

static void on_release(struct lp2p_actor *self, struct worker *worker)
{
    worker->released = true;
    LP2P_LIST_FOREACH(it, &worker->streams)
    {
        struct stream *stream = LP2P_LIST_ENTRY(it, struct stream, link);
        consumed(self, worker, stream, stream->held);
        stream->held = 0;
    }
}

static enum lp2p_verdict worker_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct worker *worker = state;
    if (LP2P_IS(*msg, STREAM_DATA)) {
        node_record_lock(worker->node)->pieces++;
        node_record_unlock(worker->node);
        return on_data(self, worker, LP2P_AS(*msg, STREAM_DATA, stream_data));
    }
    if (LP2P_IS(*msg, STREAM_OPENED)) {
        on_opened(self, worker, LP2P_AS(*msg, STREAM_OPENED, stream_opened));
    } else if (LP2P_IS(*msg, STREAM_OPEN_FAILED)) {
        on_open_failed(worker, LP2P_AS(*msg, STREAM_OPEN_FAILED, stream_open_failed));
    } else if (LP2P_IS(*msg, STREAM_EOF)) {
        on_eof(self, worker, LP2P_AS(*msg, STREAM_EOF, stream_mark)->id);
    } else if (LP2P_IS(*msg, STREAM_RESET)) {
        on_reset(worker, LP2P_AS(*msg, STREAM_RESET, stream_reset));
    } else if (LP2P_IS(*msg, STREAM_RESET_URGENT)) {
        on_reset(worker, LP2P_AS(*msg, STREAM_RESET_URGENT, stream_reset));
    } else if (LP2P_IS(*msg, STREAM_CREDIT)) {
        on_credit(self, worker, LP2P_AS(*msg, STREAM_CREDIT, stream_bytes));
    } else if ((*msg)->cls == &WORLD_ORDER) {
        on_order(self, worker, LP2P_MSG_AS(*msg, &WORLD_ORDER, world_order));
    } else if ((*msg)->cls == &WORLD_RELEASE) {
        on_release(self, worker);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict worker_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    (void)timer;
    lp2p_outbox_retry(self, &((struct worker *)state)->outbox);
    return LP2P_CONTINUE;
}

static void worker_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    struct worker *worker = state;
    LP2P_LIST_FOREACH_SAFE(it, &worker->streams)
    {
        forget(LP2P_LIST_ENTRY(it, struct stream, link));
    }
    lp2p_outbox_fini(&worker->outbox);
}

const struct lp2p_actor_ops world_worker_ops = {
    .name = "worker",
    .state_size = sizeof(struct worker),
    .init = worker_init,
    .on_msg = worker_on_msg,
    .on_timer = worker_on_timer,
    .fini = worker_fini,
};
