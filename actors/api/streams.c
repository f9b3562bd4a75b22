/* SPDX-License-Identifier: MIT
 * The resident that carries streams between the muxers of its thread and the user's handles. It never blocks
 * and holds no bytes itself: what arrives is put into the handle, what the user writes is posted by the
 * user's thread. */
#include "actors/api/node.h"
#include "actors/api/stream.h"

#define STATE_MAGIC LP2P_MAGIC('S', 'T', 'R', 'S')

struct streams {
    uint32_t magic;
    struct lp2p_context *ctx;
    struct lp2p_stream_table *table;
};

static enum lp2p_err streams_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    struct streams *streams = state;
    streams->magic = STATE_MAGIC;
    streams->ctx = (struct lp2p_context *)(uintptr_t)arg; /* shared by all actors of the node */
    streams->table = lp2p_stream_table_new();
    return streams->table == NULL ? LP2P_ENOMEM : LP2P_OK;
}

/* The muxer is told to end a stream that nobody can take. */
static void refuse(struct lp2p_actor *self, struct streams *streams, struct lp2p_stream_id id)
{
    LP2P_COUNT(streams->ctx, streams_refused, 1);
    struct lp2p_m_stream_reset *m = LP2P_NEW(STREAM_ABORT, stream_reset);
    if (m != NULL) {
        m->id = id;
        m->reason = LP2P_ELIMIT;
        struct lp2p_msg *msg = &m->msg;
        lp2p_send_or_drop(self, id.muxer, &msg);
    }
}

static void opened(struct lp2p_actor *self, struct streams *streams, struct lp2p_m_stream_opened *m)
{
    if (m->outbound && (m->op == NULL || lp2p_op_done(m->op))) { /* given up meanwhile */
        refuse(self, streams, m->id);
        return;
    }
    struct lp2p_stream *stream = NULL;
    enum lp2p_err err = lp2p_stream_new(streams->ctx->node->gate, streams->table, m, &stream);
    if (err != LP2P_OK) {
        refuse(self, streams, m->id);
        lp2p_op_finish(m->op, err, "no room for another stream handle (at most %u)",
                       (unsigned)LP2P_STREAMS_MAX);
        return;
    }
    if (m->outbound) {
        lp2p_op_set_stream(m->op, stream);
        lp2p_op_finish(m->op, LP2P_OK, NULL);
        return;
    }
    struct lp2p_m_user_stream *told = LP2P_NEW(USER_STREAM, user_stream);
    if (told == NULL) {
        lp2p_stream_reset(stream);
        lp2p_stream_free(stream);
        return;
    }
    told->stream = stream;
    struct lp2p_msg *msg = &told->msg;
    if (lp2p_send(self, m->actor, &msg) != LP2P_OK) {
        /* The protocol's actor is behind by a full mailbox, or gone. */
        LP2P_COUNT(streams->ctx, streams_refused, 1);
        lp2p_stream_reset(stream);
        lp2p_msg_drop(&msg); /* frees the handle */
    }
}

static void open_failed(struct lp2p_m_stream_open_failed *m)
{
    lp2p_op_finish(m->op, m->reason == LP2P_OK ? LP2P_EFAILED : m->reason, "%s", m->text);
}

static struct lp2p_stream *find(struct streams *streams, struct lp2p_stream_id id)
{
    return lp2p_stream_table_find(streams->table, id);
}

static enum lp2p_verdict streams_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct streams *streams = state;
    LP2P_CHECK_MAGIC(streams, STATE_MAGIC);
    struct lp2p_stream *stream = NULL;
    if (LP2P_IS(*msg, STREAM_DATA)) {
        struct lp2p_m_stream_data *m = LP2P_AS(*msg, STREAM_DATA, stream_data);
        stream = find(streams, m->id);
        if (stream != NULL) {
            lp2p_stream_arrived(stream, m);
        }
    } else if (LP2P_IS(*msg, STREAM_CREDIT)) {
        struct lp2p_m_stream_bytes *m = LP2P_AS(*msg, STREAM_CREDIT, stream_bytes);
        stream = find(streams, m->id);
        if (stream != NULL) {
            lp2p_stream_credit(stream, m->bytes);
        }
    } else if (LP2P_IS(*msg, STREAM_EOF)) {
        stream = find(streams, LP2P_AS(*msg, STREAM_EOF, stream_mark)->id);
        if (stream != NULL) {
            lp2p_stream_eof(stream);
        }
    } else if (LP2P_IS(*msg, STREAM_RESET) || LP2P_IS(*msg, STREAM_RESET_URGENT)) {
        struct lp2p_m_stream_reset *m = (struct lp2p_m_stream_reset *)(void *)*msg;
        stream = find(streams, m->id);
        if (stream != NULL) {
            lp2p_stream_ended(stream, m->reason == LP2P_OK ? LP2P_ECLOSED : m->reason);
        }
    } else if (LP2P_IS(*msg, STREAM_OPENED)) {
        opened(self, streams, LP2P_AS(*msg, STREAM_OPENED, stream_opened));
    } else if (LP2P_IS(*msg, STREAM_OPEN_FAILED)) {
        open_failed(LP2P_AS(*msg, STREAM_OPEN_FAILED, stream_open_failed));
    }
    if (stream != NULL) {
        lp2p_stream_unref(stream);
    }
    return LP2P_CONTINUE;
}

static void streams_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)self;
    struct streams *streams = state;
    lp2p_stream_table_end(streams->table, why == LP2P_FAIL ? LP2P_EFAILED : LP2P_ECLOSED);
    lp2p_stream_table_drop(streams->table);
}

const struct lp2p_actor_ops lp2p_streams_ops = {
    .name = "streams",
    .state_size = sizeof(struct streams),
    .init = streams_init,
    .on_msg = streams_on_msg,
    .fini = streams_fini,
};
