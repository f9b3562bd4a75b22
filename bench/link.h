/* SPDX-License-Identifier: MIT
 * A connection of the load client: the machines of transports/ on a socket, without actors, so that one thread can keep a
 * server busy. Dialer's side only; it answers identify and ping as any peer does. Everything here belongs to one thread.
 *
 * What a callback may do: open, write, close and reset streams, and close the link. Links and streams are freed by this
 * file, after their last callback (`ended`). */
#ifndef LP2P_BENCH_LINK_H
#define LP2P_BENCH_LINK_H

#include "mux/map.h"
#include "mux/mux.h"
#include "noise/noise.h"
#include "wire/multiaddr.h"

#include <stdbool.h>

struct bench_link;
struct bench_stream;

/** What the owner of a link hears; each may be NULL. */
struct bench_link_ops {
    void (*ready)(struct bench_link *link);                      /* upgraded: streams may be opened */
    void (*ended)(struct bench_link *link, const char *why);     /* "" when it was closed by us */
    void (*identify_sent)(struct bench_link *link);              /* the peer has asked us and has its answer */
};

/** What the owner of a stream hears; each may be NULL. */
struct bench_stream_ops {
    void (*data)(struct bench_stream *stream, struct lp2p_span bytes);
    void (*eof)(struct bench_stream *stream);
    void (*writable)(struct bench_stream *stream);               /* queued bytes were framed */
    void (*ended)(struct bench_stream *stream, bool clean);      /* closed on both sides, or reset; last callback */
};

struct bench_stream {
    struct bench_link *link;
    const struct bench_stream_ops *ops;
    void *user;
    uint64_t handle;
    struct lp2p_mss *mss; /* NULL: the negotiation is over */
    const char *proposal;
    int kind;             /* inbound: which of our protocols */
    bool close_wanted;    /* no FIN in the flight of a lazy negotiation */
    bool eof, paused;     /* paused: what arrives is not consumed, the window stays used up */
    uint32_t queued;      /* bytes written and not framed yet */
};

enum bench_link_state {
    BENCH_LINK_CONNECTING, BENCH_LINK_SECURITY, BENCH_LINK_HANDSHAKE, BENCH_LINK_MUXER, BENCH_LINK_OPEN, BENCH_LINK_ENDED,
};

struct bench_link {
    int fd;
    enum bench_link_state state;
    const struct bench_link_ops *ops;
    void *user;
    struct lp2p_noise_identity *identity; /* owned when it is not shared */
    bool identity_owned, blocked;         /* blocked: the socket takes no more */
    struct lp2p_mss *mss;
    struct lp2p_noise *noise;
    struct lp2p_mux *mux;
    struct lp2p_mux_map streams;  /* handle -> bench_stream */
    struct lp2p_buf *rx;          /* what was received and is not whole yet: rx_from .. rx_to */
    size_t rx_from, rx_to;
    uint8_t *tx;                  /* what the socket did not take */
    size_t tx_from, tx_to;
    struct bench_link *next, *previous; /* all links */
};

/** Where to; with the peer id if the address has one. */
struct bench_target {
    struct lp2p_ip_port at;
    struct lp2p_peer_id peer;
    bool has_peer;
};
/** False with a line on standard error when the address is not one that can be dialed. */
bool bench_target_parse(const char *multiaddr, struct bench_target *out);

void bench_loop_init(void);
/** Dials with a fresh identity (fresh) or the process's own. */
struct bench_link *bench_link_dial(const struct bench_target *target, bool fresh, const struct bench_link_ops *ops, void *user);
/** Closes the socket at once; `ended` follows from the loop. */
void bench_link_close(struct bench_link *link);
/** One round: waits up to timeout_ms for sockets, then does what they allow. */
void bench_loop_step(int timeout_ms);
/** Now, nanoseconds of the monotonic clock; read from the system. */
lp2p_time bench_now(void);

struct bench_stream *bench_stream_open(struct bench_link *link, const char *protocol, const struct bench_stream_ops *ops,
                                       void *user);
/** Queues a copy. */
void bench_stream_write(struct bench_stream *stream, const void *bytes, size_t len);
/** Queues bytes of a slab that are never changed, without copying. */
void bench_stream_write_shared(struct bench_stream *stream, struct lp2p_buf *buf, size_t len);
void bench_stream_close_write(struct bench_stream *stream);
void bench_stream_reset(struct bench_stream *stream);

#endif
