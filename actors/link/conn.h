/* SPDX-License-Identifier: MIT
 * The connection actor from the inside: what carries its bytes, and its cipher. It knows frames of
 * the secure channel and nothing of streams. Buffers belong to data in flight: an idle connection holds none. Owned by the actor; its muxer
 * runs on the same thread. */
#ifndef LP2P_ACTORS_LINK_CONN_H
#define LP2P_ACTORS_LINK_CONN_H

#include "actors/context.h"
#include "actors/link/limits.h"

enum {
    LP2P_CONN_TIMER_ATTACH, /* no muxer came */
    LP2P_CONN_TIMER_OUTBOX,
    LP2P_CONN_TIMER_CREDIT, /* CONN_WROTE found no place */
    LP2P_CONN_TIMER_WRITE,  /* at the end of the turn: several messages leave in one writev */
    LP2P_CONN_TIMER_STALL,  /* no progress, or the time to flush is over */
    LP2P_CONN_TIMER_READ,   /* what a socket that hung up, or a carrier, still holds */
};

enum lp2p_conn_state {
    LP2P_CONN_WAITING, /* for CONN_ATTACH */
    LP2P_CONN_OPEN,
    LP2P_CONN_FLUSHING, /* the muxer's last write is queued; nothing is read any more */
    LP2P_CONN_ENDED,    /* the carrier is closed; CONN_ENDED is on its way */
};

struct lp2p_conn {
    struct lp2p_conn_arg *arg;
    struct lp2p_context *ctx;
    struct lp2p_ref muxer;
    enum lp2p_conn_state state;
    struct lp2p_carrier *carrier; /* NULL: closed */
    struct lp2p_secure *secure;
    unsigned interest;
    bool hung_up; /* both directions are dead; what was received before is still in the kernel */
    struct lp2p_outbox outbox;

    /* reading: slab->bytes[at..len) is received and not yet opened */
    struct lp2p_buf *slab;
    size_t at, len, hint_bytes;
    struct lp2p_m_conn_bytes *batch;
    uint32_t unconsumed_bytes; /* plaintext that lies at the muxer */

    /* writing: sealed CONN_WRITE messages, linked by their mailbox links */
    struct lp2p_msg *first, *last;
    size_t first_at, queued_bytes;
    uint32_t wrote_bytes, wrote_len; /* plaintext, and messages, that went out and were not yet told */
    bool blocked;         /* the kernel takes no more, or the carrier has bytes for it */
};

/** Ends the connection: closes the carrier and tells the muxer. */
enum lp2p_verdict lp2p_conn_end(struct lp2p_actor *self, struct lp2p_conn *conn, enum lp2p_err reason);
/** Both directions are dead. What was received before still counts: data that came in front of the end must
 * reach its owners. */
enum lp2p_verdict lp2p_conn_hang_up(struct lp2p_actor *self, struct lp2p_conn *conn);
/** Sets the interest in the socket to what the state asks for. */
enum lp2p_verdict lp2p_conn_watch(struct lp2p_actor *self, struct lp2p_conn *conn);
static inline bool lp2p_conn_may_read(const struct lp2p_conn *conn)
{
    return conn->state == LP2P_CONN_OPEN && conn->unconsumed_bytes < LP2P_CONN_UNCONSUMED_MAX &&
           !lp2p_outbox_blocked(&conn->outbox);
}
/** After a read: a carrier may hold more input, or an answer of its own that the kernel has not. */
static inline enum lp2p_verdict lp2p_conn_see_carrier(struct lp2p_actor *self, struct lp2p_conn *conn)
{
    bool wants_write = lp2p_carrier_wants_write(conn->carrier);
    if (!wants_write && !lp2p_carrier_holds_input(conn->carrier)) {
        return LP2P_CONTINUE;
    }
    conn->blocked = conn->blocked || wants_write;
    return lp2p_conn_watch(self, conn);
}
void lp2p_conn_account(struct lp2p_actor *self, const struct lp2p_conn *conn);

/* conn_read.c */

/** Delivers what the upgrade had read already. */
enum lp2p_verdict lp2p_conn_read_leftover(struct lp2p_actor *self, struct lp2p_conn *conn);
/** Reads and opens frames, a bounded number of bytes. */
enum lp2p_verdict lp2p_conn_read(struct lp2p_actor *self, struct lp2p_conn *conn);

/* conn_write.c */

/** Seals and queues one message (taken). */
enum lp2p_verdict lp2p_conn_queue(struct lp2p_actor *self, struct lp2p_conn *conn, struct lp2p_msg **msg);
/** Writes what the kernel takes, gives credit, ends after the last byte of a flush. */
enum lp2p_verdict lp2p_conn_write(struct lp2p_actor *self, struct lp2p_conn *conn);
void lp2p_conn_give_credit(struct lp2p_actor *self, struct lp2p_conn *conn);
void lp2p_conn_drop_queue(struct lp2p_conn *conn);

#endif
