/* SPDX-License-Identifier: MIT */
#include "actors/link/conn.h"

#include <stdlib.h>

#define ATTACH_NS LP2P_SEC(10)
#define ENDED_NS LP2P_SEC(5) /* how long a muxer may be too full to hear of the end */
#define STOP_NS LP2P_SEC(3)  /* a muxer that is being stopped too has that long for its last write */
#define OUTBOX_MAX 8192      /* two reads of the smallest frames fit */
#define DISCARDS_MAX 8
#define HUNG_UP_READ_NS LP2P_MS(1) /* between reads of what a dead socket still holds */

void lp2p_conn_arg_drop(void *arg)
{
    struct lp2p_conn_arg *a = arg;
    lp2p_carrier_close(&a->carrier);
    lp2p_secure_free(a->secure);
    lp2p_slice_drop(&a->leftover);
    free(a);
}

static enum lp2p_err conn_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct lp2p_conn *conn = state;
    conn->arg = (struct lp2p_conn_arg *)(uintptr_t)arg; /* owned from here on */
    conn->ctx = conn->arg->ctx;
    /* Until the muxer is attached nothing is wanted of the socket, not even word of a hang-up: that is a matter of one turn. */
    conn->carrier = conn->arg->carrier;
    conn->secure = conn->arg->secure;
    conn->arg->carrier = NULL;
    conn->arg->secure = NULL;
    conn->hint_bytes = LP2P_CONN_SLAB_MIN;
    lp2p_outbox_init(&conn->outbox, LP2P_CONN_TIMER_OUTBOX, OUTBOX_MAX);
    lp2p_timer_set(self, LP2P_CONN_TIMER_ATTACH, lp2p_time_add(lp2p_now(self), ATTACH_NS));
    return LP2P_OK;
}

void lp2p_conn_account(struct lp2p_actor *self, const struct lp2p_conn *conn)
{
    size_t carried = conn->carrier != NULL ? conn->carrier->memory_bytes : 0;
    lp2p_account_bytes(self, conn->queued_bytes + carried + (conn->slab != NULL ? conn->slab->cap : 0));
}

/** A socket that is closed with unread bytes sends a reset, which can overtake our last words: read them away
 * first. */
static void discard_unread(const struct lp2p_conn *conn)
{
    const struct lp2p_net *net = conn->ctx->net;
    uint8_t bytes[4096];
    size_t got = 1;
    for (int i = 0; i < DISCARDS_MAX && got > 0; i++) {
        if (net->read(net->ctx, conn->carrier->fd, bytes, sizeof(bytes), &got) != LP2P_OK) {
            return;
        }
    }
}

static void close_carrier(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    if (conn->carrier != NULL) {
        lp2p_fd_unwatch(self, conn->carrier->fd);
        lp2p_carrier_close(&conn->carrier);
    }
}

enum lp2p_verdict lp2p_conn_end(struct lp2p_actor *self, struct lp2p_conn *conn, enum lp2p_err reason)
{
    if (conn->state == LP2P_CONN_ENDED) {
        return LP2P_CONTINUE;
    }
    if (reason == LP2P_OK) {
        discard_unread(conn);
    }
    conn->state = LP2P_CONN_ENDED;
    close_carrier(self, conn);
    lp2p_conn_drop_queue(conn);
    lp2p_buf_drop(&conn->slab);
    conn->at = conn->len = 0;
    lp2p_conn_account(self, conn);
    struct lp2p_m_conn_ended *m = LP2P_NEW(CONN_ENDED, conn_ended);
    if (m == NULL) {
        return LP2P_STOP; /* the muxer monitors us */
    }
    m->reason = reason;
    struct lp2p_msg *msg = &m->msg;
    (void)lp2p_outbox_send(self, &conn->outbox, conn->muxer, &msg);
    lp2p_timer_set(self, LP2P_CONN_TIMER_STALL, lp2p_time_add(lp2p_now(self), ENDED_NS));
    return lp2p_outbox_blocked(&conn->outbox) ? LP2P_CONTINUE : LP2P_STOP;
}

enum lp2p_verdict lp2p_conn_watch(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    if (conn->carrier == NULL || conn->hung_up) {
        return LP2P_CONTINUE;
    }
    bool may_read = lp2p_conn_may_read(conn);
    if (may_read && lp2p_carrier_holds_input(conn->carrier)) {
        lp2p_timer_set(self, LP2P_CONN_TIMER_READ, lp2p_now(self)); /* the socket will not call for these */
    }
    unsigned interest =
        (may_read ? LP2P_READABLE : 0u) | (conn->blocked ? LP2P_WRITABLE : 0u);
    if (interest == conn->interest) {
        return LP2P_CONTINUE;
    }
    conn->interest = interest;
    return lp2p_fd_watch(self, conn->carrier->fd, interest) == LP2P_OK ? LP2P_CONTINUE
                                                              : lp2p_conn_end(self, conn, LP2P_EIO);
}

enum lp2p_verdict lp2p_conn_hang_up(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    if (conn->state == LP2P_CONN_FLUSHING) {
        return lp2p_conn_end(self, conn, LP2P_ECONNRESET);
    }
    /* A dead socket is ready for ever: it is not watched any more, a timer reads what is left in it. */
    lp2p_fd_unwatch(self, conn->carrier->fd);
    conn->hung_up = true;
    lp2p_conn_drop_queue(conn);
    lp2p_timer_set(self, LP2P_CONN_TIMER_READ, lp2p_now(self));
    lp2p_timer_set(self, LP2P_CONN_TIMER_STALL, lp2p_time_add(lp2p_now(self), LP2P_CONN_STALL_NS));
    return LP2P_CONTINUE;
}

static enum lp2p_verdict conn_on_fd(struct lp2p_actor *self, void *state, int fd, unsigned ready)
{
    struct lp2p_conn *conn = state;
    enum lp2p_verdict verdict = LP2P_CONTINUE;
    if (conn->carrier == NULL || fd != conn->carrier->fd) {
        return LP2P_CONTINUE;
    }
    if ((ready & LP2P_HANGUP) != 0) {
        return lp2p_conn_hang_up(self, conn);
    }
    if ((ready & LP2P_WRITABLE) != 0) {
        verdict = lp2p_conn_write(self, conn);
    }
    if (verdict != LP2P_CONTINUE || (ready & LP2P_READABLE) == 0) {
        return verdict;
    }
    /* The interest is taken back only when the socket calls during a pause: most pauses are over before that,
     * and cost no system call this way. */
    return lp2p_conn_may_read(conn) ? lp2p_conn_read(self, conn) : lp2p_conn_watch(self, conn);
}

static enum lp2p_verdict on_attach(struct lp2p_actor *self, struct lp2p_conn *conn, struct lp2p_ref muxer)
{
    if (conn->state != LP2P_CONN_WAITING) {
        return LP2P_CONTINUE;
    }
    conn->muxer = muxer;
    conn->state = LP2P_CONN_OPEN;
    lp2p_monitor(self, muxer);
    lp2p_timer_set(self, LP2P_CONN_TIMER_ATTACH, LP2P_NEVER);
    enum lp2p_verdict verdict = lp2p_conn_read_leftover(self, conn);
    if (verdict != LP2P_CONTINUE || conn->carrier == NULL) {
        return verdict;
    }
    conn->interest = lp2p_conn_may_read(conn) ? LP2P_READABLE : 0;
    if (lp2p_fd_watch(self, conn->carrier->fd, conn->interest) != LP2P_OK) {
        return lp2p_conn_end(self, conn, LP2P_EIO);
    }
    return lp2p_conn_watch(self, conn);
}

static enum lp2p_verdict conn_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct lp2p_conn *conn = state;
    if (LP2P_IS(*msg, CONN_WRITE)) {
        return lp2p_conn_queue(self, conn, msg);
    }
    if (LP2P_IS(*msg, CONN_CREDIT)) {
        uint32_t bytes = LP2P_AS(*msg, CONN_CREDIT, conn_credit)->bytes;
        conn->unconsumed_bytes -= LP2P_MIN(bytes, conn->unconsumed_bytes);
        return lp2p_conn_watch(self, conn);
    }
    if (LP2P_IS(*msg, CONN_ATTACH)) {
        return on_attach(self, conn, LP2P_AS(*msg, CONN_ATTACH, conn_attach)->muxer);
    }
    if ((*msg)->cls == &LP2P_MSG_DOWN) {
        return LP2P_STOP; /* the muxer: nobody is there to read or write for */
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict conn_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct lp2p_conn *conn = state;
    switch (timer) {
    case LP2P_CONN_TIMER_ATTACH:
        return LP2P_STOP;
    case LP2P_CONN_TIMER_OUTBOX:
        lp2p_outbox_retry(self, &conn->outbox);
        if (lp2p_outbox_blocked(&conn->outbox)) {
            return LP2P_CONTINUE;
        }
        return conn->state == LP2P_CONN_ENDED ? LP2P_STOP : lp2p_conn_watch(self, conn);
    case LP2P_CONN_TIMER_CREDIT:
        lp2p_conn_give_credit(self, conn);
        return LP2P_CONTINUE;
    case LP2P_CONN_TIMER_WRITE:
        return conn->carrier != NULL && !conn->blocked ? lp2p_conn_write(self, conn) : LP2P_CONTINUE;
    case LP2P_CONN_TIMER_STALL:
        if (conn->state == LP2P_CONN_ENDED) {
            return LP2P_STOP;
        }
        return lp2p_conn_end(self, conn, conn->hung_up ? LP2P_ECONNRESET : LP2P_ETIMEDOUT);
    case LP2P_CONN_TIMER_READ:
        if (conn->state == LP2P_CONN_ENDED) {
            return LP2P_CONTINUE;
        }
        if (conn->hung_up) {
            lp2p_timer_set(self, LP2P_CONN_TIMER_READ, lp2p_time_add(lp2p_now(self), HUNG_UP_READ_NS));
        }
        return lp2p_conn_may_read(conn) ? lp2p_conn_read(self, conn) : LP2P_CONTINUE;
    default:
        return LP2P_CONTINUE;
    }
}

/** The muxer is stopped by the same supervisor and says goodbye through us; without one there is nothing to
 * wait for. */
static enum lp2p_verdict conn_on_stop(struct lp2p_actor *self, void *state)
{
    struct lp2p_conn *conn = state;
    if (conn->state == LP2P_CONN_WAITING) {
        return LP2P_STOP;
    }
    lp2p_timer_set(self, LP2P_CONN_TIMER_ATTACH, lp2p_time_add(lp2p_now(self), STOP_NS));
    return LP2P_CONTINUE;
}

static void conn_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)why;
    struct lp2p_conn *conn = state;
    close_carrier(self, conn);
    lp2p_conn_drop_queue(conn);
    lp2p_buf_drop(&conn->slab);
    if (conn->batch != NULL) {
        struct lp2p_msg *msg = &conn->batch->msg;
        conn->batch = NULL;
        lp2p_msg_drop(&msg);
    }
    lp2p_outbox_fini(&conn->outbox);
    lp2p_secure_free(conn->secure);
    lp2p_conn_arg_drop(conn->arg);
}

const struct lp2p_actor_ops lp2p_conn_ops = {
    .name = "conn",
    .state_size = sizeof(struct lp2p_conn),
    .init = conn_init,
    .on_msg = conn_on_msg,
    .on_fd = conn_on_fd,
    .on_timer = conn_on_timer,
    .on_stop = conn_on_stop,
    .fini = conn_fini,
};
