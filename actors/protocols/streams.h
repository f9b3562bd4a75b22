/* SPDX-License-Identifier: MIT
 * The streams that one protocol actor holds: found by their id, each with a deadline, a queue of bytes to
 * send, and the bookkeeping of the contract at the top of actors/messages.h. Owned by that actor; every call
 * is made from its handlers.
 *
 * An actor's own struct for a stream has a `struct lp2p_pstream` as its first member. However a stream ends,
 * `ended` is called for it exactly once, after it has left the set, and frees it. Functions that return bool
 * return false when the stream has ended within the call: the caller must not touch it any more. */
#ifndef LP2P_ACTORS_PROTOCOLS_STREAMS_H
#define LP2P_ACTORS_PROTOCOLS_STREAMS_H

#include "actors/context.h"
#include "base/heap.h"
#include "mux/fifo.h"

#define LP2P_CONSUMED_STEP (32u * 1024) /* bytes */
#define LP2P_PROTOCOL_OUTBOX_MAX 1024   /* messages that a protocol actor keeps for full receivers */

/** One stream; zero it before it is added. */
struct lp2p_pstream {
    struct lp2p_stream_id id;
    struct lp2p_pstream *next; /* in its bucket */
    struct lp2p_heap_node timer;
    struct lp2p_peer_id peer;
    uint64_t conn;
    struct lp2p_fifo out; /* not yet given to the muxer: there is no credit */
    uint64_t unframed;    /* given to the muxer and not yet framed */
    uint32_t credit;      /* bytes that the muxer would take now */
    uint32_t consumed;    /* and not yet told to the muxer */
    bool fin_wanted, fin_sent, eof;
};

/** What the actor does with its streams; ctx is the actor's state. Only opened, data, expired and ended are
 * required. */
struct lp2p_pstream_ops {
    /** STREAM_OPENED: add the stream, or refuse it. */
    void (*opened)(void *ctx, struct lp2p_m_stream_opened *opened);
    /** Bytes from the peer; take the slice by emptying it. Grant window with lp2p_pstream_consumed when they
     * are used. */
    void (*data)(void *ctx, struct lp2p_pstream *stream, struct lp2p_slice *data);
    /** All slices of one message were handed to `data`; may be NULL. */
    void (*drained)(void *ctx, struct lp2p_pstream *stream);
    /** The peer sends no more (stream->eof is set). NULL: our side is closed too. */
    void (*eof)(void *ctx, struct lp2p_pstream *stream);
    /** Credit came and was used for what waited; the actor may write more. */
    void (*writable)(void *ctx, struct lp2p_pstream *stream);
    /** The deadline passed; there is none from now on. Set a new one or abort. */
    void (*expired)(void *ctx, struct lp2p_pstream *stream);
    /** It has left the set: free it. OK: both sides closed; ECLOSED: the actor ends; otherwise why it was cut
     * off. */
    void (*ended)(void *ctx, struct lp2p_pstream *stream, enum lp2p_err reason);
};

struct lp2p_pstreams {
    const struct lp2p_pstream_ops *ops;
    void *ctx;
    struct lp2p_actor *self;
    struct lp2p_outbox *outbox;
    unsigned timer; /* the actor's timer that this set uses for all deadlines */
    struct lp2p_pstream **buckets;
    size_t buckets_len, len; /* buckets_len is 0 or a power of two */
    struct lp2p_heap deadlines;
};

void lp2p_pstreams_init(struct lp2p_pstreams *set, const struct lp2p_pstream_ops *ops, void *ctx,
                        struct lp2p_actor *self, struct lp2p_outbox *outbox, unsigned timer);
/** Ends all streams with ECLOSED and sends nothing: a muxer resets a stream whose owner is gone. */
void lp2p_pstreams_fini(struct lp2p_pstreams *set);
/** Deals with STREAM_OPENED, _DATA, _EOF, _CREDIT and _RESET; false: the message is none of these. */
bool lp2p_pstreams_handle(struct lp2p_pstreams *set, struct lp2p_msg *msg);
/** The set's timer has fired. */
void lp2p_pstreams_tick(struct lp2p_pstreams *set);

/** Adds a stream that was opened, with its first deadline. ENOMEM: it was not added and has been reset. */
enum lp2p_err lp2p_pstreams_add(struct lp2p_pstreams *set, struct lp2p_pstream *stream,
                                const struct lp2p_m_stream_opened *opened,
                                lp2p_time deadline) LP2P_MUST_CHECK;
struct lp2p_pstream *lp2p_pstreams_find(struct lp2p_pstreams *set, struct lp2p_stream_id id);
/** Resets a stream that is not in the set. */
void lp2p_pstreams_refuse(struct lp2p_pstreams *set, struct lp2p_stream_id id, enum lp2p_err reason);

void lp2p_pstream_deadline(struct lp2p_pstreams *set, struct lp2p_pstream *stream, lp2p_time when);
/** Queues bytes (*data is emptied) and sends as far as credit goes. */
bool lp2p_pstream_write(struct lp2p_pstreams *set, struct lp2p_pstream *stream,
                        struct lp2p_slice *data) LP2P_MUST_CHECK;
/** As write, but sends nothing yet: for several slices before one lp2p_pstream_push. False: ENOMEM, and the
 * stream has ended. */
bool lp2p_pstream_queue(struct lp2p_pstreams *set, struct lp2p_pstream *stream,
                        struct lp2p_slice *data) LP2P_MUST_CHECK;
bool lp2p_pstream_push(struct lp2p_pstreams *set, struct lp2p_pstream *stream) LP2P_MUST_CHECK;
/** As write, with our end (FIN) behind the bytes, in the same message when credit allows. */
bool lp2p_pstream_write_last(struct lp2p_pstreams *set, struct lp2p_pstream *stream,
                             struct lp2p_slice *data) LP2P_MUST_CHECK;
/** Half close behind what is queued; idempotent. */
bool lp2p_pstream_close(struct lp2p_pstreams *set, struct lp2p_pstream *stream) LP2P_MUST_CHECK;
/** The protocol has used bytes of STREAM_DATA: grants the peer window. The muxer is told in steps of
 * LP2P_CONSUMED_STEP, far below any window. */
void lp2p_pstream_consumed(struct lp2p_pstreams *set, struct lp2p_pstream *stream, size_t bytes);
/** Resets the stream and ends it with that reason. */
void lp2p_pstream_abort(struct lp2p_pstreams *set, struct lp2p_pstream *stream, enum lp2p_err reason);
/** Every byte that was written has been framed. */
static inline bool lp2p_pstream_flushed(const struct lp2p_pstream *stream)
{
    return stream->out.bytes == 0 && stream->unframed == 0;
}

/** Tells the swarm that this actor speaks a protocol. ENOMEM. */
enum lp2p_err lp2p_protocol_offer(struct lp2p_actor *self, struct lp2p_outbox *outbox,
                                  const struct lp2p_context *ctx, const char *protocol,
                                  unsigned streams_in_max) LP2P_MUST_CHECK;
/** The same for a resident: all that builtins.h lists for that index. ENOMEM. */
enum lp2p_err lp2p_protocol_offer_resident(struct lp2p_actor *self, struct lp2p_outbox *outbox,
                                           const struct lp2p_context *ctx, int resident) LP2P_MUST_CHECK;
/** Asks the swarm for notifications (LP2P_SUB_...). ENOMEM. */
enum lp2p_err lp2p_protocol_subscribe(struct lp2p_actor *self, struct lp2p_outbox *outbox,
                                      const struct lp2p_context *ctx, unsigned what) LP2P_MUST_CHECK;

#endif
