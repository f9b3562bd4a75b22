/* SPDX-License-Identifier: MIT
 * What all muxers are made of: the table of streams, the life of a stream, what the owner is told, and the
 * way of the input. A protocol adds its frames: how one is parsed, what it means, and how one is written.
 * Internal to the muxer rooms.
 *
 * Input is parsed no further than the next event: what the owner has seen and what the machine believes is
 * always the same, and there is no queue of events to bound. */
#ifndef LP2P_MUX_CORE_H
#define LP2P_MUX_CORE_H

#include "base/list.h"
#include "mux/budget.h"
#include "mux/fifo.h"
#include "mux/map.h"
#include "mux/mux.h"
#include "mux/resets.h"

/* How often a remote side may do what costs us more than it. */
#define LP2P_MUX_RAPID_RESETS_MAX 200 /* own fresh streams reset per flood period */
#define LP2P_MUX_REFUSED_FACTOR 4     /* times streams_in_max refused per flood period */
#define LP2P_MUX_FLOOD_PERIOD LP2P_SEC(10)
/* A few bytes of a stream that had nothing queued go in front of bulk, so many times for each frame of bulk: nobody
 * starves. */
#define LP2P_MUX_PASS_BYTES 1024u
#define LP2P_MUX_PASSES 8u
#define LP2P_MUX_FRESH LP2P_SEC(1) /* a stream reset younger than this counts as rapid */

enum lp2p_mux_stream_state {
    LP2P_MUX_STREAM_LIVE,
    LP2P_MUX_STREAM_LOCAL_CLOSED,  /* our end was framed */
    LP2P_MUX_STREAM_REMOTE_CLOSED, /* their end arrived */
    LP2P_MUX_STREAM_ENDED,         /* out of the tables; lives until its last event was taken */
};
enum lp2p_mux_step { LP2P_MUX_FIN_SENT, LP2P_MUX_FIN_RECEIVED, LP2P_MUX_RESET_RECEIVED, LP2P_MUX_RESET_SENT };

/** What a stream owes the other side. */
enum lp2p_mux_due {
    LP2P_MUX_DUE_OPEN = 1,
    LP2P_MUX_DUE_ACK = 2,
    LP2P_MUX_DUE_FIN = 4,
    LP2P_MUX_DUE_CREDIT = 8
};
/** What a stream owes the owner, beside WRITABLE. */
enum lp2p_mux_news {
    LP2P_MUX_NEWS_OPENED = 1,
    LP2P_MUX_NEWS_EOF = 2,
    LP2P_MUX_NEWS_RESET = 4,
    LP2P_MUX_NEWS_CLOSED = 8
};

/** First member of a protocol's stream. */
struct lp2p_mux_stream {
    uint64_t handle, key;       /* the owner's name and the protocol's */
    uint8_t state, due, news;   /* enum ..stream_state, bits of ..due, bits of ..news */
    bool inbound, write_closed; /* write_closed: close_write was called */
    bool blocked;               /* the protocol may not send its data now */
    uint32_t unread;            /* bytes given to the owner and not consumed */
    uint32_t framed;            /* bytes framed since the last WRITABLE */
    uint32_t turn;              /* bytes framed since it came to the front of `sending` */
    uint32_t code;              /* of a reset that the owner is to be told */
    enum lp2p_err reason;       /* of the same */
    lp2p_time opened_at;
    struct lp2p_fifo out;
    struct lp2p_list ready, control, sending; /* in the session's list of that name, or in none */
};

enum lp2p_mux_state {
    LP2P_MUX_SESSION_OPEN,
    LP2P_MUX_SESSION_FAILED,
    LP2P_MUX_SESSION_GONE /* by their go-away */
};

/** What a protocol is; constant. */
struct lp2p_mux_kind {
    uint32_t magic;
    size_t session_size, stream_size;
    uint32_t turn_bytes; /* a stream at the front stays there until so many of its bytes were framed; 0: for one frame */
    bool flags_ride; /* opening, accepting and closing may ride on a data frame */
    /** The key of the next stream that we open. ELIMIT. */
    enum lp2p_err (*next_key)(struct lp2p_mux *mux, uint64_t *key);
    /** Takes bytes of a header off mux->in, which is not empty, and acts when it is whole. */
    void (*parse)(struct lp2p_mux *mux);
    void (*added)(struct lp2p_mux *mux, struct lp2p_mux_stream *stream);
    void (*ended)(struct lp2p_mux *mux, struct lp2p_mux_stream *stream);
};

/** First member of a protocol's session. */
struct lp2p_mux {
    uint32_t magic;
    const struct lp2p_mux_kind *kind;
    enum lp2p_mux_state state;
    bool initiator, closing;     /* closing: go_away was called */
    bool end_told, go_away_due;  /* end_told: the owner took FAILED or GOAWAY */
    enum lp2p_err reason;        /* of FAILED */
    uint32_t code, go_away_code; /* theirs, ours */
    struct lp2p_mux_config config;
    lp2p_time now, heard_at; /* of the latest call that told; of the last input */
    struct lp2p_mux_map by_handle, by_key;
    uint64_t next_handle;
    /* Streams with news, with a frame of control due, with data that may go. */
    struct lp2p_list ready, control, sending;
    uint32_t passes; /* streams that may still go in front of `sending` */
    struct lp2p_mux_resets resets;

    struct lp2p_fifo in;          /* fed, not parsed */
    uint32_t body_left;           /* bytes that belong to the frame under way */
    struct lp2p_mux_stream *body; /* whose they are; NULL: thrown away */
    bool body_fin;                /* an end follows the body */

    struct lp2p_budget noops, rapid_resets, refused;
    struct lp2p_mux_stats stats;
};

/** A session without streams; NULL when memory is short. Zero limits get the defaults of all protocols. */
struct lp2p_mux *lp2p_mux_core_new(const struct lp2p_mux_kind *kind, const struct lp2p_mux_config *config,
                                   bool initiator, const struct lp2p_rand *rand, lp2p_time now);
void lp2p_mux_core_free(struct lp2p_mux *mux);
/** Ends the session: FAILED is told next. A code other than 0 makes a go-away due. The first reason stays. */
void lp2p_mux_fail(struct lp2p_mux *mux, enum lp2p_err reason, uint32_t code);
/** Counts a frame that changed nothing; too many of them end the session. */
void lp2p_mux_count_noop(struct lp2p_mux *mux);

/* Streams, for the protocol. */

struct lp2p_mux_stream *lp2p_mux_stream_by_key(const struct lp2p_mux *mux, uint64_t key);
/** The other side opens a stream whose key is free: the stream, or NULL when it is refused (a reset is
 * queued) or the session has failed. */
struct lp2p_mux_stream *lp2p_mux_stream_accept(struct lp2p_mux *mux, uint64_t key);
/** The only function that changes a stream's state. */
void lp2p_mux_stream_turn(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, enum lp2p_mux_step step);
/** The other side resets the stream: counted, told, ended. */
void lp2p_mux_stream_on_reset(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, uint32_t code);
/** The other side closes its half. */
void lp2p_mux_stream_on_fin(struct lp2p_mux *mux, struct lp2p_mux_stream *stream);
/** We end the stream for a fault of the other side: a reset is queued, the owner is told RESET with the
 * reason. */
void lp2p_mux_stream_refuse(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, enum lp2p_err reason);
/** Puts the stream into the lists of those with something to send, or takes it out of them. */
void lp2p_mux_stream_schedule(struct lp2p_mux *mux, struct lp2p_mux_stream *stream);
/** Data of the stream was framed: it goes to the back when its turn is over, the owner will be told. */
void lp2p_mux_stream_framed(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, uint32_t bytes);
bool lp2p_mux_stream_fin_ready(const struct lp2p_mux_stream *stream);
/** The live stream of a handle. ENOTFOUND; ECLOSED: the session is over. */
enum lp2p_err lp2p_mux_stream_find(struct lp2p_mux *mux, uint64_t handle,
                                   struct lp2p_mux_stream **stream) LP2P_MUST_CHECK;
/** Takes n bytes off what is unread. EINVAL: more than that. */
enum lp2p_err lp2p_mux_stream_consumed(struct lp2p_mux *mux, uint64_t handle, uint32_t n,
                                       struct lp2p_mux_stream **stream) LP2P_MUST_CHECK;

/* Members of lp2p_mux_ops that all protocols share. */
enum lp2p_err lp2p_mux_core_feed(struct lp2p_mux *mux, const struct lp2p_slice *in, lp2p_time now);
void lp2p_mux_core_next(struct lp2p_mux *mux, struct lp2p_mux_event *event);
enum lp2p_err lp2p_mux_core_open(struct lp2p_mux *mux, lp2p_time now, uint64_t *handle);
enum lp2p_err lp2p_mux_core_write(struct lp2p_mux *mux, uint64_t handle, struct lp2p_slice *data);
enum lp2p_err lp2p_mux_core_close_write(struct lp2p_mux *mux, uint64_t handle);
enum lp2p_err lp2p_mux_core_reset(struct lp2p_mux *mux, uint64_t handle, uint32_t code);
void lp2p_mux_core_go_away(struct lp2p_mux *mux, uint32_t code);
void lp2p_mux_core_stats(const struct lp2p_mux *mux, struct lp2p_mux_stats *out);

#endif
