/* SPDX-License-Identifier: MIT
 * The user's stream handles. A handle is shared by the streams resident of its connection's thread, which
 * brings what the peer sends, and by the user's threads, which read and write. So a user's thread that blocks
 * in a read never holds up an actor.
 *
 * Order of locks: gate, then table, then handle. What a handle posts to its muxer is posted under the
 * handle's lock, which keeps the order between threads; posting never waits. Many bytes are copied outside of
 * the locks. What is written waits in the handle until the muxer fetches it: small writes that come faster
 * than it does share a slab and a message. */
#ifndef LP2P_API_STREAM_H
#define LP2P_API_STREAM_H

#include "actors/api/gate.h"

#define LP2P_STREAM_GRACE_NS                                                                                 \
    LP2P_SEC(5) /* a freed stream whose peer does not end its half is reset after this */

/** Streams of one resident by their id; shared with the handles, which leave it by themselves. */
struct lp2p_stream_table {
    uint32_t refs; /* atomic */
    pthread_mutex_t lock;
    struct lp2p_stream **buckets;
    size_t buckets_len, len;
};
struct lp2p_stream_table *lp2p_stream_table_new(void);
void lp2p_stream_table_drop(struct lp2p_stream_table *table);
/** The handle with a reference, or NULL. */
struct lp2p_stream *lp2p_stream_table_find(struct lp2p_stream_table *table, struct lp2p_stream_id id);
/** Ends all handles with the reason and empties the table. */
void lp2p_stream_table_end(struct lp2p_stream_table *table, enum lp2p_err reason);

struct lp2p_stream {
    uint32_t magic;
    uint32_t refs; /* atomic: user, table, lists of the gate */
    /* Constant. */
    struct lp2p_gate *gate;
    struct lp2p_stream_table *table;
    struct lp2p_stream_id id;
    char peer[LP2P_PEER_TEXT_MAX], protocol[LP2P_PROTOCOL_ID_MAX];
    /* Guarded by lock. */
    pthread_mutex_t lock;
    struct lp2p_bell readable, writable;
    struct lp2p_slice *queue; /* ring of what was received and not read */
    size_t queue_head, queue_len, queue_cap;
    uint32_t consumed;                          /* bytes read and not yet told to the muxer */
    uint32_t credit;                            /* bytes that may be written */
    struct lp2p_stream_source source;           /* constant */
    struct lp2p_slice written[LP2P_SLICES_MAX]; /* not yet fetched by the muxer; the last may have room */
    unsigned written_len;
    bool write_posted; /* a STREAM_WRITE that will fetch them is under way */
    bool eof;          /* the peer closed its half */
    bool ended;        /* reset, by either side, or the connection ended: end_reason */
    enum lp2p_err end_reason;
    bool local_reset; /* what is queued is not read any more */
    bool fin_wanted, fin_sent, abort_wanted, abort_sent;
    bool user_holds;
    bool blocked; /* the last write took less than it was given */
    bool retry;   /* something could not be posted: to be put on the gate's list */
    int fd;
    bool fd_set;             /* the descriptor is readable */
    bool edge;               /* writable again since the last write */
    bool eof_told, end_told; /* to the user, by a read */
    bool in_table;           /* guarded by the table's lock */
    struct lp2p_stream *table_next;
    /* Guarded by the gate's lock. */
    struct lp2p_list all, stalled, leaving;
    uint64_t leaving_until;
};

/** For the resident: a handle for a stream that was opened, in the table and with the user's reference.
 * ELIMIT, ENOMEM. */
enum lp2p_err lp2p_stream_new(struct lp2p_gate *gate, struct lp2p_stream_table *table,
                              const struct lp2p_m_stream_opened *m, struct lp2p_stream **out) LP2P_MUST_CHECK;
struct lp2p_stream *lp2p_stream_ref(struct lp2p_stream *stream);
void lp2p_stream_unref(struct lp2p_stream *stream);

/* What arrives; called by the resident. */
void lp2p_stream_arrived(struct lp2p_stream *stream, struct lp2p_m_stream_data *m); /* takes the slices */
void lp2p_stream_eof(struct lp2p_stream *stream);
void lp2p_stream_ended(struct lp2p_stream *stream, enum lp2p_err reason);
void lp2p_stream_credit(struct lp2p_stream *stream, uint32_t bytes);

/* For stream_user.c. */
void lp2p_stream_lock(struct lp2p_stream *stream);
/** The oldest bytes that wait, or an empty span; they stay valid while the caller is the only reader. */
struct lp2p_span lp2p_stream_front(const struct lp2p_stream *stream);
/** Posts a STREAM_WRITE if none is under way. EFULL, EGONE, ESTATE, ENOMEM. */
enum lp2p_err lp2p_stream_post_write(struct lp2p_stream *stream) LP2P_MUST_CHECK;
/** n bytes of the front were read. */
void lp2p_stream_advance(struct lp2p_stream *stream, size_t n);
/** Posts what is due, updates the descriptor, unlocks, wakes whom a bell was rung for, and leaves the table
 * when the stream is over. */
void lp2p_stream_settle(struct lp2p_stream *stream);

/* For the registrar, which has a clock and a thread that never blocks. */

/** Tries again what could not be posted, resets what was left too long. Returns when to call again;
 * LP2P_NEVER. */
uint64_t lp2p_streams_tend(struct lp2p_gate *gate);
/** When the gate is shut. */
void lp2p_streams_end_all(struct lp2p_gate *gate, enum lp2p_err reason);

#endif
