/* SPDX-License-Identifier: MIT
 * What every stream muxer (yamux, mplex) offers, as one interface over pure machines. Owned by one actor.
 *
 * Streams are named by a handle that the muxer gives and never reuses within a session. Data travels by slices: an inbound
 * slice references the slab that was fed; an outbound slice is kept until it has been framed by drain. */
#ifndef LP2P_MUX_H
#define LP2P_MUX_H

#include "base/buf.h"
#include "base/err.h"
#include "base/rand.h"
#include "base/time.h"

struct lp2p_mux;

enum lp2p_mux_event_kind {
    LP2P_MUX_NONE,
    LP2P_MUX_STREAM_OPENED,   /* by the remote side */
    LP2P_MUX_STREAM_DATA,     /* `data` is the caller's to drop; its bytes count against the window until mux_consumed */
    LP2P_MUX_STREAM_EOF,      /* the remote side closed its writing half; after all its data */
    LP2P_MUX_STREAM_RESET,    /* by the remote side; the stream is gone. code: its error code or 0 */
    LP2P_MUX_STREAM_WRITABLE, /* queued bytes were framed: `bytes` of the stream's send queue are free again */
    LP2P_MUX_STREAM_CLOSED,   /* both halves are closed (or we reset it): the handle is forgotten */
    LP2P_MUX_GOAWAY,          /* the remote side ends the session; code */
    LP2P_MUX_FAILED,          /* session over; reason. Drain once more: a go-away may be waiting */
};
struct lp2p_mux_event {
    enum lp2p_mux_event_kind kind;
    uint64_t stream;
    struct lp2p_slice data;
    uint32_t bytes, code;
    enum lp2p_err reason;
};

/** Limits and timers of a session; zero means the default. */
struct lp2p_mux_config {
    uint32_t streams_in_max, streams_out_max; /* simultaneously open; default 256 each; beyond: inbound reset, outbound ELIMIT */
    uint32_t window_max_bytes;                /* receive window of one stream may grow to this; default 16 MiB */
    uint32_t windows_total_max_bytes;         /* sum of grown windows of a session; default 64 MiB */
    uint32_t frame_max_bytes;                 /* data body in one frame sent; default 65,519 - 12 (yamux), 16 KiB (mplex) */
    uint32_t message_in_max_bytes;            /* mplex: largest body accepted; default 1 MiB */
    uint32_t stream_recv_max_bytes;           /* mplex: unread bytes of a stream before it is reset; default 1 MiB */
    uint64_t keepalive_ns;                    /* yamux ping interval; default 30 s; LP2P_NEVER: off */
    uint64_t pong_timeout_ns;                 /* default 10 s: no answer ends the session (ETIMEDOUT) */
    uint32_t noop_frames_max;                 /* frames without effect per second before EFLOOD; default 10,000 */
};

struct lp2p_mux_stats {
    uint32_t streams_in, streams_out; /* open now */
    uint64_t opened_in, opened_out, refused_in, resets_in, resets_out;
    uint64_t bytes_in, bytes_out; /* stream data */
    uint64_t rtt_ns;              /* last measured; 0: unknown */
    uint64_t queued_bytes;        /* in send queues */
    uint64_t window_bytes;        /* sum of receive windows */
};

/** Places in a drained buffer whose bytes still lie in a slab of their own: who seals takes them from there, and saves a copy.
 *  In the order of the buffer; the slices are the caller's to drop. */
#define LP2P_MUX_HOLES_MAX 4
#define LP2P_MUX_HOLE_MIN 4096u /* less is copied */
struct lp2p_mux_holes {
    unsigned len;
    struct lp2p_mux_hole {
        uint32_t at; /* in the buffer */
        struct lp2p_slice data;
    } of[LP2P_MUX_HOLES_MAX];
};

struct lp2p_mux_ops {
    const char *protocol; /* "/yamux/1.0.0" */
    /** `initiator`: this side was the initiator of the upgrade. NULL when memory is short. */
    struct lp2p_mux *(*create)(const struct lp2p_mux_config *config, bool initiator, const struct lp2p_rand *rand, lp2p_time now);
    void (*destroy)(struct lp2p_mux *mux);

    /* The four verbs. */
    /** Consumes the whole slice (a reference is taken for what is kept; the caller keeps and drops its own). */
    enum lp2p_err (*feed)(struct lp2p_mux *mux, const struct lp2p_slice *in, lp2p_time now);
    void (*next)(struct lp2p_mux *mux, struct lp2p_mux_event *event); /* kind NONE: nothing more */
    /** Writes whole frames to out, control frames first, streams in turn; returns the bytes written (0: nothing to send).
     *  cap must be at least 64. */
    size_t (*drain)(struct lp2p_mux *mux, uint8_t *out, size_t cap, lp2p_time now);
    /** The same, leaving holes for large bodies; *holes is empty before. NULL: there are none. */
    size_t (*drain_around)(struct lp2p_mux *mux, uint8_t *out, size_t cap, lp2p_time now, struct lp2p_mux_holes *holes);
    lp2p_time (*deadline)(const struct lp2p_mux *mux); /* when to call `tick` */
    void (*tick)(struct lp2p_mux *mux, lp2p_time now); /* timers: keepalive */

    /* Streams. Unknown or ended handles are ENOTFOUND and harmless: events may be under way. */
    enum lp2p_err (*open)(struct lp2p_mux *mux, lp2p_time now, uint64_t *stream);
    /** Queues a slice (ownership moves: *data is emptied). Never refuses for size: the caller keeps its own credit. */
    enum lp2p_err (*write)(struct lp2p_mux *mux, uint64_t stream, struct lp2p_slice *data);
    enum lp2p_err (*close_write)(struct lp2p_mux *mux, uint64_t stream); /* FIN after what is queued */
    enum lp2p_err (*reset)(struct lp2p_mux *mux, uint64_t stream, uint32_t code);
    /** The application has consumed n bytes: credit may be granted again. */
    enum lp2p_err (*consumed)(struct lp2p_mux *mux, uint64_t stream, uint32_t n, lp2p_time now);
    void (*go_away)(struct lp2p_mux *mux, uint32_t code); /* to be drained; no new streams after it */
    bool (*wants_write)(const struct lp2p_mux *mux); /* drain would give something */
    void (*stats)(const struct lp2p_mux *mux, struct lp2p_mux_stats *out);
};

extern const struct lp2p_mux_ops lp2p_yamux_ops; /* libp2p specs yamux/README.md */
extern const struct lp2p_mux_ops lp2p_mplex_ops; /* libp2p specs mplex/README.md; deprecated, no flow control */

#endif
