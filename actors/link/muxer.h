/* SPDX-License-Identifier: MIT
 * The muxer actor from the inside: it drives one session of yamux or mplex, negotiates the protocol of each
 * stream, and passes bytes between its connection (an actor on the same thread) and the owners of streams
 * (actors anywhere). Owned by the actor.
 *
 *   muxer.c       life of the link              muxer_in.c         what the session tells; delivery to owners
 *   streams.c     the table of streams          muxer_negotiate.c  multistream-select on streams, both
 * directions muxer_out.c   from the session to the connection   muxer_owner.c   what owners ask for */
#ifndef LP2P_ACTORS_LINK_MUXER_H
#define LP2P_ACTORS_LINK_MUXER_H

#include "actors/context.h"
#include "actors/link/limits.h"
#include "base/heap.h"
#include "mux/map.h"
#include "multistream/multistream.h"

enum {
    LP2P_MUXER_TIMER_PUMP,    /* at the end of the turn: frames of several messages leave together */
    LP2P_MUXER_TIMER_SESSION, /* the session's own deadline */
    LP2P_MUXER_TIMER_OUTBOX,
    LP2P_MUXER_TIMER_NEGOTIATE, /* the next negotiation that takes too long */
    LP2P_MUXER_TIMER_STATUS,
    LP2P_MUXER_TIMER_CLOSE, /* the time for goodbyes is over */
};

enum lp2p_muxer_state {
    LP2P_MUXER_OPEN,
    LP2P_MUXER_DRAINING, /* we close: what owners had queued goes out first */
    LP2P_MUXER_LAST,     /* the last write is with the connection, which will end */
    LP2P_MUXER_ENDED,    /* only words to owners are left */
};

enum lp2p_link_stream_state { LP2P_LINK_NEGOTIATING_IN, LP2P_LINK_NEGOTIATING_OUT, LP2P_LINK_OPEN };

struct lp2p_link_stream {
    struct lp2p_list link; /* muxer->streams */
    uint64_t handle;
    enum lp2p_link_stream_state state;
    bool outbound;
    bool internal; /* identify's: no use of the connection */
    struct lp2p_ref owner;
    uint64_t protocol_hash; /* inbound streams of one protocol are limited */

    /* negotiation; `mss` of an OPEN stream: it was opened lazily, and the answer is still to come */
    struct lp2p_mss *mss;
    struct lp2p_msg *open;          /* outbound: STREAM_OPEN */
    const char *names[4];           /* into it */
    struct lp2p_heap_node deadline; /* muxer->negotiations */
    bool fin_held;              /* a lazy one's owner has closed its side: its FIN waits for the answer */
    uint32_t negotiation_bytes; /* of the negotiation, queued in the session in front of the owner's bytes */

    /* open */
    uint32_t queued_bytes,
        credit_bytes; /* of the owner: not yet framed; framed and not yet given back as credit */
    bool closing;     /* the owner has said its last */
    struct lp2p_m_stream_data *batch; /* under construction */
    struct lp2p_list batched;         /* muxer->batched */
    uint32_t tail_room_bytes;         /* behind the batch's last slice, when that slab is the batch's own */
};

/** An actor that owns streams, monitored once. */
struct lp2p_link_owner {
    struct lp2p_list link;
    struct lp2p_ref ref;
};

struct lp2p_muxer {
    struct lp2p_muxer_arg *arg;
    struct lp2p_context *ctx;
    const struct lp2p_mux_ops *ops;
    struct lp2p_mux *session;
    struct lp2p_protocols *protocols;
    enum lp2p_muxer_state state;
    bool reason_known, told; /* told: LINK_ENDED was sent */
    enum lp2p_err reason;

    struct lp2p_mux_map by_handle;
    struct lp2p_list streams, batched, owners;
    struct lp2p_link_stream *kept; /* among `batched`: its batch waits for the next read, at the latest .. */
    lp2p_time kept_until;
    struct lp2p_heap negotiations;
    uint32_t negotiating_in, open_len;
    struct lp2p_outbox outbox;

    struct lp2p_msg *held_first,
        *held_last;        /* from the connection, while owners are too full; linked by mailbox links */
    uint32_t credit_bytes; /* dealt with and not yet told to the connection */

    uint32_t ahead[LP2P_WRITES_AHEAD_MESSAGES], ahead_at, ahead_len,
        ahead_bytes; /* sizes of what is with the connection */

    lp2p_time status_at;
    bool status_due;
    uint64_t rtt_ns;
};

/* streams.c */

struct lp2p_link_stream *lp2p_streams_find(const struct lp2p_muxer *muxer, uint64_t handle);
/** A new entry; NULL: no memory. */
struct lp2p_link_stream *lp2p_streams_add(struct lp2p_muxer *muxer, uint64_t handle,
                                          enum lp2p_link_stream_state state);
/** The one way from negotiation to OPEN: counts. */
void lp2p_streams_opened(struct lp2p_muxer *muxer, struct lp2p_link_stream *stream);
/** Forgets the entry and frees what it holds; tells nobody. */
void lp2p_streams_remove(struct lp2p_muxer *muxer, struct lp2p_link_stream *stream);
void lp2p_streams_end_negotiation(struct lp2p_muxer *muxer, struct lp2p_link_stream *stream);
struct lp2p_stream_id lp2p_streams_id(const struct lp2p_actor *self, const struct lp2p_link_stream *stream);
/** Open inbound streams of one protocol. */
unsigned lp2p_streams_count(const struct lp2p_muxer *muxer, uint64_t protocol_hash);

/* muxer.c */

/** The link ends: the reason that is named first stays. Go-away has been queued or is useless: the connection
 * writes what is left. */
void lp2p_muxer_end(struct lp2p_actor *self, struct lp2p_muxer *muxer, enum lp2p_err reason);
/** Ends every stream: owners hear STREAM_RESET, who waits for one to open hears STREAM_OPEN_FAILED. */
void lp2p_muxer_reset_all(struct lp2p_actor *self, struct lp2p_muxer *muxer, enum lp2p_err reason);
void lp2p_muxer_status_changed(struct lp2p_actor *self, struct lp2p_muxer *muxer);

/* muxer_in.c */

/** Takes all that the session has to tell. */
void lp2p_muxer_events(struct lp2p_actor *self, struct lp2p_muxer *muxer);
/** Feeds the session; the message stays the caller's. */
void lp2p_muxer_feed(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_m_conn_bytes *bytes);
/** Adds data for the owner (taken). */
void lp2p_muxer_deliver(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                        struct lp2p_slice *data);
/** Sends to the stream's owner, after the data that came before. False: the owner cannot be reached, the
 * stream is gone. */
bool lp2p_muxer_tell(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                     struct lp2p_msg **msg);
/** Ends one stream with a reset to the other side, and tells its owner if it is OPEN. */
void lp2p_muxer_reset(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                      uint32_t code, enum lp2p_err reason);
/** Tells the owner that its stream is over and forgets it; nothing is sent to the other side. */
void lp2p_muxer_over(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                     uint32_t code, enum lp2p_err reason);

/* muxer_negotiate.c */

void lp2p_muxer_accept(struct lp2p_actor *self, struct lp2p_muxer *muxer, uint64_t handle);
/** STREAM_OPEN (taken). */
void lp2p_muxer_open(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_msg **msg);
/** Bytes of a stream that is being negotiated (taken). */
void lp2p_muxer_negotiate(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                          struct lp2p_slice *data);
/** Bytes of a stream that was opened lazily and has no answer yet (taken). */
void lp2p_muxer_confirm(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                        struct lp2p_slice *data);
/** A negotiation is over without success: resets (if `reset`), tells who waits, forgets. */
void lp2p_muxer_refuse(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                       enum lp2p_err reason, bool reset, uint32_t code);
void lp2p_muxer_negotiations_late(struct lp2p_actor *self, struct lp2p_muxer *muxer);

/* muxer_out.c */

/** Frames what the session wants to send, as far as the connection takes it, and tells the connection what
 * was dealt with. */
void lp2p_muxer_pump(struct lp2p_actor *self, struct lp2p_muxer *muxer);
void lp2p_muxer_wrote(struct lp2p_muxer *muxer, uint32_t bytes);
/** Sends what is left and the order to end. */
void lp2p_muxer_write_last(struct lp2p_actor *self, struct lp2p_muxer *muxer);

/* muxer_owner.c */

void lp2p_muxer_own(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                    struct lp2p_ref owner);
void lp2p_muxer_owner_gone(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_ref owner);
/** STREAM_WRITE, STREAM_CLOSE_WRITE, STREAM_ABORT, STREAM_CONSUMED; false: another kind. */
bool lp2p_muxer_on_owner_msg(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_msg *msg);
/** Bytes of the stream were framed: credit for the owner, in steps, or when the owner has
 * closed its side and waits for the last to leave. */
void lp2p_muxer_framed(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_link_stream *stream,
                       uint32_t bytes);

#endif
