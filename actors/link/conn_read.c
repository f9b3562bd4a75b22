/* SPDX-License-Identifier: MIT */
#include "actors/link/conn.h"
#include "actors/link/leftover.h"
#include "runtime/pool.h"

/** Hands the batch under construction to the muxer. */
static void flush_batch(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    if (conn->batch != NULL) {
        struct lp2p_msg *msg = &conn->batch->msg;
        conn->batch = NULL;
        (void)lp2p_outbox_send(self, &conn->outbox, conn->muxer, &msg);
    }
}

/** Adds plaintext to the batch; takes a reference of its own to the slab. */
static enum lp2p_err deliver(struct lp2p_actor *self, struct lp2p_conn *conn, struct lp2p_buf *slab,
                             struct lp2p_span plain)
{
    if (conn->batch == NULL) {
        conn->batch = LP2P_NEW(CONN_BYTES, conn_bytes);
        if (conn->batch == NULL) {
            return LP2P_ENOMEM;
        }
    }
    struct lp2p_m_conn_bytes *m = conn->batch;
    uint8_t *bytes = slab->bytes + (plain.ptr - slab->bytes);
    m->slices[m->slices_len++] = lp2p_slice_of(slab, bytes, plain.len);
    m->msg.bytes += (uint32_t)plain.len;
    conn->unconsumed_bytes += (uint32_t)plain.len;
    if (m->slices_len == LP2P_SLICES_MAX) {
        flush_batch(self, conn);
    }
    return LP2P_OK;
}

/** Opens every whole frame in the slab. *want: bytes that the frame behind them still lacks, 0 if its size is
 * not known. */
static enum lp2p_err open_frames(struct lp2p_actor *self, struct lp2p_conn *conn, size_t *want)
{
    *want = 0;
    while (conn->at < conn->len) {
        uint8_t *frame = conn->slab->bytes + conn->at;
        size_t here = conn->len - conn->at, size = 0;
        enum lp2p_err err = conn->secure->ops->frame_size(lp2p_span(frame, here), &size);
        if (err != LP2P_OK) {
            return err;
        }
        if (size == 0 || size > here) {
            *want = size == 0 ? 0 : size - here;
            return LP2P_OK;
        }
        struct lp2p_span plain;
        err = conn->secure->ops->open(conn->secure, frame, size, &plain);
        if (err != LP2P_OK) {
            return err;
        }
        conn->at += size;
        if (plain.len > 0) { /* an empty frame is legal and means nothing */
            err = deliver(self, conn, conn->slab, plain);
            if (err != LP2P_OK) {
                return err;
            }
        }
    }
    return LP2P_OK;
}

/** Makes room for the next read: `want` bytes at least, and as many as reads gave lately. What is unread
 * moves along. */
static enum lp2p_err make_room(struct lp2p_conn *conn, size_t want)
{
    size_t unread = conn->len - conn->at;
    if (conn->slab != NULL && unread == 0 && lp2p_buf_alone(conn->slab)) {
        conn->at = conn->len = 0;
    }
    /* A whole frame of the largest size and the beginning of the next always fit into one slab of the pool.
     */
    size_t read = LP2P_MAX(want, conn->hint_bytes);
    read = LP2P_MIN(read, LP2P_POOL_BUF_MAX - unread);
    if (conn->slab != NULL &&
        conn->slab->cap - conn->len >= LP2P_MIN(read, LP2P_MAX(want, conn->hint_bytes / 4))) {
        return LP2P_OK;
    }
    struct lp2p_buf *slab = lp2p_pool_buf(unread + read);
    if (slab == NULL) {
        return LP2P_ENOMEM;
    }
    if (unread > 0) {
        memcpy(slab->bytes, conn->slab->bytes + conn->at, unread);
    }
    lp2p_buf_drop(&conn->slab);
    conn->slab = slab;
    conn->at = 0;
    conn->len = unread;
    return LP2P_OK;
}

/** Bulk needs large slabs, an echo of 32 bytes a small one: the next read expects a little more than the last
 * one gave. */
static void adapt(struct lp2p_conn *conn, size_t room, size_t got)
{
    conn->hint_bytes = got == room ? LP2P_POOL_BUF_MAX : LP2P_MAX(got * 2, (size_t)LP2P_CONN_SLAB_MIN);
}

static void release_slab(struct lp2p_conn *conn)
{
    if (conn->at == conn->len) {
        lp2p_buf_drop(&conn->slab);
        conn->at = conn->len = 0;
    }
}

/** One read. EAGAIN: nothing is there any more; EEOF, ETRUNCATED: the end of the stream, between frames or
 * inside one. */
static enum lp2p_err read_once(struct lp2p_actor *self, struct lp2p_conn *conn, size_t *want)
{
    enum lp2p_err err = make_room(conn, *want);
    if (err != LP2P_OK) {
        return err;
    }
    size_t room = conn->slab->cap - conn->len, got = 0;
    err = conn->carrier->ops->read(conn->carrier, conn->slab->bytes + conn->len, room, &got);
    if (err != LP2P_OK) {
        return err;
    }
    if (got == 0) {
        return conn->at == conn->len ? LP2P_EEOF : LP2P_ETRUNCATED;
    }
    LP2P_COUNT(conn->ctx, bytes_in, got);
    conn->len += got;
    adapt(conn, room, got);
    err = open_frames(self, conn, want);
    /* A short read says that there is no more; behind the rest of a dead socket comes how it ended. */
    return err == LP2P_OK && got < room && !conn->hung_up ? LP2P_EAGAIN : err;
}

enum lp2p_verdict lp2p_conn_read(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    enum lp2p_err err = LP2P_OK;
    size_t want = 0;
    if (conn->at < conn->len) {
        err = open_frames(self, conn, &want); /* how much the frame under way lacks */
    }
    for (int i = 0; i < LP2P_CONN_READS_MAX && err == LP2P_OK && lp2p_conn_may_read(conn); i++) {
        err = read_once(self, conn, &want);
    }
    if (conn->batch != NULL) {
        conn->batch->more = err == LP2P_OK && lp2p_conn_may_read(conn); /* every read was full */
    }
    flush_batch(self, conn);
    if (err != LP2P_OK && err != LP2P_EAGAIN) {
        return lp2p_conn_end(self, conn, err);
    }
    release_slab(conn);
    lp2p_conn_account(self, conn);
    return lp2p_conn_see_carrier(self, conn);
}

enum lp2p_verdict lp2p_conn_read_leftover(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    struct lp2p_slice *leftover = &conn->arg->leftover;
    struct lp2p_span plain, frames;
    enum lp2p_err err = LP2P_OK;
    size_t want = 0;
    lp2p_leftover_unpack(leftover, &plain, &frames);
    if (plain.len > 0) {
        err = deliver(self, conn, leftover->buf, plain);
    }
    if (err == LP2P_OK && frames.len > 0) {
        /* The upgrade's slab becomes ours: its frames are opened in place like those that we read. */
        conn->slab = lp2p_buf_ref(leftover->buf);
        conn->at = (size_t)(frames.ptr - leftover->buf->bytes);
        conn->len = conn->at + frames.len;
        err = open_frames(self, conn, &want);
    }
    lp2p_slice_drop(leftover);
    flush_batch(self, conn);
    if (err != LP2P_OK) {
        return lp2p_conn_end(self, conn, err);
    }
    release_slab(conn);
    return LP2P_CONTINUE;
}
