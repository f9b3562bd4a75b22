/* SPDX-License-Identifier: MIT
 * Inside of the yamux machine: session and stream, shared by its files and by its tests, and by nobody else.
 *
 *   session.c  life of a session and of streams, the calls of the owner      input.c  what arrives: verdicts and events
 *   output.c   what leaves: control frames first, then streams in turn
 *
 * Input is parsed no further than the next event: what the owner has seen and what the machine believes is always the
 * same, and there is no queue of events to bound. */
#ifndef LP2P_YAMUX_SESSION_H
#define LP2P_YAMUX_SESSION_H

#include "base/list.h"
#include "mux/budget.h"
#include "mux/fifo.h"
#include "mux/map.h"
#include "mux/mux.h"
#include "yamux/frame.h"

#define LP2P_YAMUX_MAGIC LP2P_MAGIC('y', 'm', 'u', 'x')
#define LP2P_YAMUX_PONGS_MAX 32    /* answers waiting; go keeps as many and drops what is beyond */
#define LP2P_YAMUX_RESETS_MAX 4096 /* RST frames waiting to be drained before the session ends with EFLOOD */
#define LP2P_YAMUX_ID_MAX 0x7fffffffu

/** How often a remote side may do what costs us more than it costs them. */
#define LP2P_YAMUX_RAPID_RESETS_MAX 200     /* own fresh streams reset per flood period */
#define LP2P_YAMUX_REFUSED_FACTOR 4         /* times streams_in_max refused per flood period */
#define LP2P_YAMUX_FLOOD_PERIOD LP2P_SEC(10)
#define LP2P_YAMUX_FRESH LP2P_SEC(1)        /* a stream reset younger than this counts as rapid */

enum lp2p_yamux_stream_state {
    LP2P_YAMUX_STREAM_OPEN,
    LP2P_YAMUX_STREAM_LOCAL_CLOSED,  /* our FIN was framed */
    LP2P_YAMUX_STREAM_REMOTE_CLOSED, /* their FIN arrived */
    LP2P_YAMUX_STREAM_ENDED,         /* out of the table; lives until its last event was taken */
};
enum lp2p_yamux_stream_step { LP2P_YAMUX_FIN_SENT, LP2P_YAMUX_FIN_RECEIVED, LP2P_YAMUX_RESET_RECEIVED, LP2P_YAMUX_RESET_SENT };

/** Frames that a stream owes the other side. */
enum lp2p_yamux_due { LP2P_YAMUX_DUE_SYN = 1, LP2P_YAMUX_DUE_ACK = 2, LP2P_YAMUX_DUE_FIN = 4, LP2P_YAMUX_DUE_CREDIT = 8 };
/** Events that a stream owes the owner. */
enum lp2p_yamux_news { LP2P_YAMUX_NEWS_OPENED = 1, LP2P_YAMUX_NEWS_EOF = 2, LP2P_YAMUX_NEWS_RESET = 4, LP2P_YAMUX_NEWS_CLOSED = 8 };

struct lp2p_yamux_stream {
    uint32_t id, serial;       /* handle: serial << 32 | id */
    uint8_t state, due, news;  /* enum ..stream_state, bits of ..due, bits of ..news */
    bool inbound, write_closed; /* write_closed: close_write was called */
    uint32_t code;             /* of a reset by the remote side */
    uint32_t credit_out;       /* bytes that we may still send */
    uint32_t credit_in;        /* bytes that they may still send; credit_in + unread + freed is window */
    uint32_t window, freed;    /* receive window now; bytes consumed and not granted again yet */
    uint32_t framed;           /* bytes framed since the last WRITABLE */
    lp2p_time granted_at;      /* last window update, at first the opening */
    struct lp2p_fifo out;
    struct lp2p_list ready, control, sending; /* in the list of the session with the same name, or in none */
};

struct lp2p_yamux_reset {
    uint32_t id, code;
};

enum lp2p_yamux_state { LP2P_YAMUX_SESSION_OPEN, LP2P_YAMUX_SESSION_FAILED, LP2P_YAMUX_SESSION_GONE /* by their go-away */ };
enum lp2p_yamux_ping_state { LP2P_YAMUX_PING_IDLE, LP2P_YAMUX_PING_DUE, LP2P_YAMUX_PING_SENT };

struct lp2p_yamux {
    uint32_t magic;
    enum lp2p_yamux_state state;
    bool initiator, closing;     /* closing: our go-away was asked for, no new streams */
    bool end_told, go_away_due;  /* end_told: the owner took FAILED or GOAWAY */
    enum lp2p_err reason;        /* of FAILED */
    uint32_t code, go_away_code; /* theirs, ours */
    struct lp2p_mux_config config;
    struct lp2p_rand rand;
    lp2p_time now; /* of the latest call that told */
    struct lp2p_mux_map streams;
    uint32_t next_id, next_serial;
    struct lp2p_list ready, control, sending;

    /* Input: bytes fed, the header under way, and the body of a Data frame. */
    struct lp2p_fifo in;
    uint8_t header[LP2P_YAMUX_HEADER], header_len;
    bool body_fin;         /* a FIN follows the body */
    uint32_t body_left;    /* bytes */
    uint32_t body_id;      /* 0: the body is discarded */
    lp2p_time heard_at;    /* last input */

    /* Output of the session itself. */
    struct lp2p_yamux_reset *resets; /* waiting from resets_head on */
    uint32_t resets_head, resets_len, resets_cap;
    uint32_t pongs[LP2P_YAMUX_PONGS_MAX], pongs_len;
    enum lp2p_yamux_ping_state ping;
    uint32_t ping_value;
    lp2p_time ping_at; /* IDLE: when the next is due; SENT: when it left */

    struct lp2p_budget noops, rapid_resets, refused;
    struct lp2p_mux_stats stats;
};

static inline struct lp2p_yamux *lp2p_yamux_of(struct lp2p_mux *mux)
{
    struct lp2p_yamux *session = (struct lp2p_yamux *)(void *)mux;
    LP2P_CHECK_MAGIC(session, LP2P_YAMUX_MAGIC);
    return session;
}

static inline const struct lp2p_yamux *lp2p_yamux_of_const(const struct lp2p_mux *mux)
{
    const struct lp2p_yamux *session = (const struct lp2p_yamux *)(const void *)mux;
    LP2P_CHECK_MAGIC(session, LP2P_YAMUX_MAGIC);
    return session;
}

/* session.c */

/** Ends the session: FAILED is told next, a go-away with the code may still be drained. The first reason stays. */
void lp2p_yamux_fail(struct lp2p_yamux *session, enum lp2p_err reason, uint32_t code);
/** A stream in the table with full initial windows; NULL when memory is short. */
struct lp2p_yamux_stream *lp2p_yamux_stream_add(struct lp2p_yamux *session, uint32_t id, bool inbound);
/** The only function that changes a stream's state. The stream may be in no list but `ready` afterwards. */
void lp2p_yamux_stream_turn(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream, enum lp2p_yamux_stream_step step);
/** The owner is told more about the stream. */
void lp2p_yamux_stream_news(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream, unsigned news);
void lp2p_yamux_stream_free(struct lp2p_yamux_stream *stream);
/** Queues an RST frame; a full queue ends the session. */
void lp2p_yamux_send_reset(struct lp2p_yamux *session, uint32_t id, uint32_t code);

/* input.c */
enum lp2p_err lp2p_yamux_feed(struct lp2p_mux *mux, const struct lp2p_slice *in, lp2p_time now);
void lp2p_yamux_next(struct lp2p_mux *mux, struct lp2p_mux_event *event);

/* output.c */
size_t lp2p_yamux_drain(struct lp2p_mux *mux, uint8_t *out, size_t cap, lp2p_time now);
bool lp2p_yamux_wants_write(const struct lp2p_mux *mux);
/** Puts the stream into the lists of those with something to send, or takes it out of them. */
void lp2p_yamux_schedule(struct lp2p_yamux *session, struct lp2p_yamux_stream *stream);

#endif
