/* SPDX-License-Identifier: MIT */
#include "actors/link/conn.h"

/** Where the frame begins: its plaintext lies behind the largest head that a channel has. */
static uint8_t *frame_of(const struct lp2p_conn *conn, const struct lp2p_m_conn_write *m)
{
    return m->buf->bytes + LP2P_SECURE_HEAD_MAX - conn->secure->ops->head;
}

/* What is written before the muxer hears of it: a quarter of what it may have here, in bytes and in messages.
 */
#define WROTE_STEP (LP2P_WRITES_AHEAD / 4)
#define WROTE_MESSAGES (LP2P_WRITES_AHEAD_MESSAGES / 4)

static struct lp2p_m_conn_write *as_write(struct lp2p_msg *msg)
{
    return LP2P_AS(msg, CONN_WRITE, conn_write);
}

static struct lp2p_msg *next_of(const struct lp2p_msg *msg)
{
    return (struct lp2p_msg *)(void *)msg->link.next; /* `link` is the first member */
}

static void append(struct lp2p_conn *conn, struct lp2p_msg *msg)
{
    msg->link.next = NULL;
    if (conn->last == NULL) {
        conn->first = msg;
    } else {
        conn->last->link.next = &msg->link;
    }
    conn->last = msg;
}

static void drop_first(struct lp2p_conn *conn)
{
    struct lp2p_msg *msg = conn->first;
    conn->first = next_of(msg);
    if (conn->first == NULL) {
        conn->last = NULL;
    }
    conn->first_at = 0;
    lp2p_msg_drop(&msg);
}

void lp2p_conn_drop_queue(struct lp2p_conn *conn)
{
    while (conn->first != NULL) {
        drop_first(conn);
    }
    conn->queued_bytes = 0;
}

/** Seals the frame; the bytes that were left out come from where they lie. */
static enum lp2p_err seal(struct lp2p_conn *conn, struct lp2p_m_conn_write *m, size_t *size)
{
    const struct lp2p_secure_ops *ops = conn->secure->ops;
    struct lp2p_secure_part parts[LP2P_MUX_HOLES_MAX];
    uint8_t *frame = frame_of(conn, m);
    for (unsigned i = 0; i < m->holes.len; i++) {
        const struct lp2p_mux_hole *hole = &m->holes.of[i];
        parts[i] = (struct lp2p_secure_part){hole->at, lp2p_slice_span(&hole->data)};
        if (ops->seal_parts == NULL) {
            memcpy(frame + ops->head + hole->at, hole->data.ptr, hole->data.len);
        }
    }
    enum lp2p_err err = ops->seal_parts == NULL
                            ? ops->seal(conn->secure, frame, m->plain_len, size)
                            : ops->seal_parts(conn->secure, frame, m->plain_len, parts, m->holes.len, size);
    while (m->holes.len > 0) {
        lp2p_slice_drop(&m->holes.of[--m->holes.len].data);
    }
    return err;
}

enum lp2p_verdict lp2p_conn_queue(struct lp2p_actor *self, struct lp2p_conn *conn, struct lp2p_msg **msg)
{
    struct lp2p_m_conn_write *m = as_write(*msg);
    if (conn->state != LP2P_CONN_OPEN) {
        return LP2P_CONTINUE;
    }
    if (conn->hung_up) {
        return m->last ? lp2p_conn_end(self, conn, LP2P_ECONNRESET) : LP2P_CONTINUE;
    }
    if (m->last) {
        conn->state = LP2P_CONN_FLUSHING;
        lp2p_timer_set(self, LP2P_CONN_TIMER_STALL, lp2p_time_add(lp2p_now(self), LP2P_CONN_FLUSH_NS));
    }
    if (m->buf != NULL) {
        const struct lp2p_secure_ops *ops = conn->secure->ops;
        LP2P_CHECK(m->plain_len <= ops->plain_max &&
                   m->plain_len + LP2P_SECURE_HEAD_MAX + LP2P_SECURE_TAIL_MAX <= m->buf->cap);
        size_t size = 0;
        enum lp2p_err err = seal(conn, m, &size);
        if (err != LP2P_OK) {
            return lp2p_conn_end(self, conn, err);
        }
        if (conn->first == NULL && conn->state == LP2P_CONN_OPEN) {
            lp2p_timer_set(self, LP2P_CONN_TIMER_STALL, lp2p_time_add(lp2p_now(self), LP2P_CONN_STALL_NS));
        }
        m->sealed_len = (uint32_t)size;
        conn->queued_bytes += size;
        append(conn, *msg);
        *msg = NULL;
    }
    if (!conn->blocked) {
        lp2p_timer_set(self, LP2P_CONN_TIMER_WRITE, lp2p_now(self));
    }
    return LP2P_CONTINUE;
}

void lp2p_conn_give_credit(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    if (conn->wrote_bytes < WROTE_STEP && conn->wrote_len < WROTE_MESSAGES) {
        return;
    }
    struct lp2p_m_conn_wrote *m = LP2P_NEW(CONN_WROTE, conn_wrote);
    enum lp2p_err err = LP2P_ENOMEM;
    if (m != NULL) {
        struct lp2p_msg *msg = &m->msg;
        m->bytes = conn->wrote_bytes;
        err = lp2p_send(self, conn->muxer, &msg);
        lp2p_msg_drop(&msg);
    }
    if (err == LP2P_EFULL || err == LP2P_ENOMEM) {
        lp2p_timer_set(self, LP2P_CONN_TIMER_CREDIT, lp2p_time_add(lp2p_now(self), LP2P_MS(1)));
        return;
    }
    conn->wrote_bytes = conn->wrote_len = 0;
}

static int gather(const struct lp2p_conn *conn, struct iovec *iov)
{
    int len = 0;
    size_t at = conn->first_at;
    for (struct lp2p_msg *it = conn->first; it != NULL && len < LP2P_CONN_IOV_MAX; it = next_of(it)) {
        struct lp2p_m_conn_write *m = as_write(it);
        iov[len++] = (struct iovec){frame_of(conn, m) + at, m->sealed_len - at};
        at = 0;
    }
    return len;
}

/** Takes `put` written bytes off the front of the queue. */
static void advance(struct lp2p_conn *conn, size_t put)
{
    conn->queued_bytes -= put;
    while (put > 0) {
        struct lp2p_m_conn_write *m = as_write(conn->first);
        size_t left = m->sealed_len - conn->first_at;
        if (put < left) {
            conn->first_at += put;
            return;
        }
        put -= left;
        conn->wrote_bytes += m->plain_len;
        conn->wrote_len++;
        drop_first(conn);
    }
}

/** The line moves, or has nothing to move. Bytes that a layer took do not count for ever: it holds a bounded number. */
static void on_progress(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    bool left = conn->first != NULL || lp2p_carrier_wants_write(conn->carrier);
    if (conn->state == LP2P_CONN_OPEN) {
        lp2p_time stall = lp2p_time_add(lp2p_now(self), LP2P_CONN_STALL_NS);
        lp2p_timer_set(self, LP2P_CONN_TIMER_STALL, left ? stall : LP2P_NEVER);
    }
}

static enum lp2p_err write_some(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    struct lp2p_carrier *carrier = conn->carrier;
    while (conn->first != NULL || lp2p_carrier_wants_write(carrier)) {
        struct iovec iov[LP2P_CONN_IOV_MAX];
        size_t put = 0;
        uint64_t sent = lp2p_carrier_sent_bytes(carrier);
        enum lp2p_err err = carrier->ops->writev(carrier, iov, gather(conn, iov), &put);
        if (err == LP2P_EAGAIN) {
            conn->blocked = true;
            if (lp2p_carrier_sent_bytes(carrier) != sent) {
                on_progress(self, conn);
            }
            return LP2P_OK;
        }
        if (err != LP2P_OK) {
            return err;
        }
        LP2P_COUNT(conn->ctx, bytes_out, put);
        advance(conn, put);
        on_progress(self, conn);
        if (put == 0 && lp2p_carrier_wants_write(carrier)) {
            conn->blocked = true;
            return LP2P_OK;
        }
    }
    conn->blocked = false;
    return LP2P_OK;
}

enum lp2p_verdict lp2p_conn_write(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    if (write_some(self, conn) != LP2P_OK) {
        return lp2p_conn_hang_up(self, conn);
    }
    lp2p_conn_give_credit(self, conn);
    lp2p_conn_account(self, conn);
    if (conn->first == NULL && !conn->blocked && conn->state == LP2P_CONN_FLUSHING) {
        return lp2p_conn_end(self, conn, LP2P_OK);
    }
    return lp2p_conn_watch(self, conn);
}
