/* SPDX-License-Identifier: MIT */
#include "actors/link/muxer.h"
#include "runtime/pool.h"

#define SEAL_ROOM (LP2P_SECURE_HEAD_MAX + LP2P_SECURE_TAIL_MAX)
#define CONTROL_ROOM 512u /* for frames that the count of queued bytes does not know */
#define WASTE_PART 8      /* a slab filled to less than that part is exchanged for a small one */
#define CREDIT_STEP (LP2P_CONN_UNCONSUMED_MAX / 4) /* dealt with before the connection is told */
#define DRAIN_MIN 64u                              /* least room that a session's drain accepts */

void lp2p_muxer_wrote(struct lp2p_muxer *muxer, uint32_t bytes)
{
    while (muxer->ahead_len > 0 && muxer->ahead[muxer->ahead_at] <= bytes) {
        uint32_t size = muxer->ahead[muxer->ahead_at];
        bytes -= size;
        muxer->ahead_bytes -= size;
        muxer->ahead_at = (muxer->ahead_at + 1) % LP2P_WRITES_AHEAD_MESSAGES;
        muxer->ahead_len--;
    }
}

/** A slab for as much as may be wanted, at most one frame. */
static struct lp2p_buf *new_slab(const struct lp2p_muxer *muxer)
{
    struct lp2p_mux_stats stats;
    muxer->ops->stats(muxer->session, &stats);
    uint64_t plain = LP2P_MIN(stats.queued_bytes + CONTROL_ROOM, (uint64_t)muxer->arg->plain_max);
    return lp2p_pool_buf((size_t)plain + SEAL_ROOM);
}

/** Windows may let out less than is queued: what is nearly empty must not keep a large slab until the socket
 * takes it. */
static struct lp2p_buf *shrink(struct lp2p_buf *slab, size_t plain_len)
{
    if (plain_len + SEAL_ROOM >= slab->cap / WASTE_PART) {
        return slab;
    }
    struct lp2p_buf *small = lp2p_pool_buf(plain_len + SEAL_ROOM);
    if (small == NULL || small->cap >= slab->cap) {
        lp2p_buf_drop(&small);
        return slab;
    }
    memcpy(small->bytes + LP2P_SECURE_HEAD_MAX, slab->bytes + LP2P_SECURE_HEAD_MAX, plain_len);
    lp2p_buf_drop(&slab);
    return small;
}

/** Hands the message over: the plaintext lies in m->buf, but for its holes. */
static enum lp2p_err send_write(struct lp2p_actor *self, struct lp2p_muxer *muxer,
                                struct lp2p_m_conn_write *m, size_t plain_len, bool last)
{
    m->plain_len = (uint32_t)plain_len;
    m->msg.bytes = (uint32_t)plain_len;
    m->last = last;
    struct lp2p_msg *msg = &m->msg;
    enum lp2p_err err = lp2p_send(self, muxer->arg->connection, &msg);
    lp2p_msg_drop(&msg);
    if (err == LP2P_OK && !last) {
        muxer->ahead[(muxer->ahead_at + muxer->ahead_len) % LP2P_WRITES_AHEAD_MESSAGES] = (uint32_t)plain_len;
        muxer->ahead_len++;
        muxer->ahead_bytes += (uint32_t)plain_len;
    }
    return err;
}

/** Fills one frame. EAGAIN: nothing came out. */
static enum lp2p_err frame_one(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    struct lp2p_m_conn_write *m = LP2P_NEW(CONN_WRITE, conn_write);
    struct lp2p_msg *msg = m != NULL ? &m->msg : NULL;
    struct lp2p_buf *slab = m != NULL ? new_slab(muxer) : NULL;
    if (slab == NULL) {
        lp2p_msg_drop(&msg);
        return LP2P_ENOMEM;
    }
    size_t cap = LP2P_MIN((size_t)slab->cap - SEAL_ROOM, (size_t)muxer->arg->plain_max);
    LP2P_CHECK(cap >= DRAIN_MIN);
    const struct lp2p_mux_ops *ops = muxer->ops;
    uint8_t *out = slab->bytes + LP2P_SECURE_HEAD_MAX;
    size_t n = ops->drain_around != NULL
                   ? ops->drain_around(muxer->session, out, cap, lp2p_now(self), &m->holes)
                   : ops->drain(muxer->session, out, cap, lp2p_now(self));
    m->buf = n == 0 ? slab : shrink(slab, n);
    if (n == 0) {
        lp2p_msg_drop(&msg);
        return LP2P_EAGAIN;
    }
    return send_write(self, muxer, m, n, false);
}

/** Fills what the connection may hold. While the socket is busy that is a few messages, so that full ones
 * form meanwhile. */
static void frame_all(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    while (muxer->ahead_bytes < LP2P_WRITES_AHEAD && muxer->ahead_len < LP2P_WRITES_AHEAD_MESSAGES &&
           muxer->ops->wants_write(muxer->session)) {
        enum lp2p_err err = frame_one(self, muxer);
        if (err == LP2P_EAGAIN) {
            return;
        }
        if (err != LP2P_OK) {
            lp2p_muxer_end(self, muxer, err == LP2P_EGONE ? LP2P_ECONNRESET : err);
            return;
        }
    }
}

static void give_credit(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    if (muxer->credit_bytes < CREDIT_STEP || muxer->held_first != NULL) {
        return;
    }
    struct lp2p_m_conn_credit *m = LP2P_NEW(CONN_CREDIT, conn_credit);
    if (m == NULL) {
        lp2p_timer_set(self, LP2P_MUXER_TIMER_PUMP, lp2p_time_add(lp2p_now(self), LP2P_MS(1)));
        return;
    }
    m->bytes = muxer->credit_bytes;
    struct lp2p_msg *msg = &m->msg;
    enum lp2p_err err = lp2p_send(self, muxer->arg->connection, &msg);
    lp2p_msg_drop(&msg);
    if (err == LP2P_EFULL) {
        lp2p_timer_set(self, LP2P_MUXER_TIMER_PUMP, lp2p_time_add(lp2p_now(self), LP2P_MS(1)));
    } else {
        muxer->credit_bytes = 0;
    }
}

static void note_round_trip(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    struct lp2p_mux_stats stats;
    muxer->ops->stats(muxer->session, &stats);
    lp2p_account_bytes(self, stats.queued_bytes);
    if (stats.rtt_ns != muxer->rtt_ns) {
        muxer->rtt_ns = stats.rtt_ns;
        lp2p_muxer_status_changed(self, muxer);
    }
}

void lp2p_muxer_pump(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    give_credit(self, muxer);
    if (muxer->state != LP2P_MUXER_OPEN && muxer->state != LP2P_MUXER_DRAINING) {
        return;
    }
    frame_all(self, muxer);
    lp2p_muxer_events(self, muxer); /* what was framed is credit for owners */
    if (muxer->state == LP2P_MUXER_OPEN && muxer->ops->wants_write(muxer->session)) {
        frame_all(self,
                  muxer); /* an event may have ended with a reset, and nothing else need come to carry it */
        lp2p_muxer_events(self, muxer);
    }
    if (muxer->state == LP2P_MUXER_DRAINING && !muxer->ops->wants_write(muxer->session)) {
        /* The connection writes what it has before it ends. */
        muxer->ops->go_away(muxer->session, 0);
        lp2p_muxer_write_last(self, muxer);
    }
    if (muxer->state == LP2P_MUXER_OPEN || muxer->state == LP2P_MUXER_DRAINING) {
        lp2p_timer_set(self, LP2P_MUXER_TIMER_SESSION, muxer->ops->deadline(muxer->session));
        note_round_trip(self, muxer);
    }
}

void lp2p_muxer_write_last(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    struct lp2p_m_conn_write *m = LP2P_NEW(CONN_WRITE, conn_write);
    size_t n = 0;
    muxer->state = LP2P_MUXER_LAST;
    if (m == NULL) {
        return; /* the connection ends with us, when the time for this is over */
    }
    m->buf = muxer->ops->wants_write(muxer->session) ? lp2p_pool_buf(CONTROL_ROOM) : NULL;
    if (m->buf != NULL) {
        n = muxer->ops->drain(muxer->session, m->buf->bytes + LP2P_SECURE_HEAD_MAX, m->buf->cap - SEAL_ROOM,
                              lp2p_now(self));
        if (n == 0) {
            lp2p_buf_drop(&m->buf);
        }
    }
    (void)send_write(self, muxer, m, n, true); /* a connection that is gone needs no order */
}
