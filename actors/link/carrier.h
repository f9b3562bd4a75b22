/* SPDX-License-Identifier: MIT
 * What carries a connection's bytes between the socket and its secure channel: the socket itself (tcp), or a layer on it
 * (WebSocket, secure WebSocket, private network). A carrier owns its descriptor, has the read and writev of
 * `struct lp2p_net`, and is handed over with the connection. Used by one actor at a time. */
#ifndef LP2P_ACTORS_LINK_CARRIER_H
#define LP2P_ACTORS_LINK_CARRIER_H

#include "actors/net.h"
#include "base/time.h"

struct lp2p_carrier;

struct lp2p_carrier_ops {
    const char *name; /* "tcp", "ws", "wss", "pnet"; stage of the upgrade in error texts */
    /** Set-up (HTTP upgrade, outer TLS, nonces), called when the socket is readable or writable. OK: done; EAGAIN: more has
     *  to come (ask `wants_write`). Other errors are final; what should still be said to the peer was written. */
    enum lp2p_err (*set_up)(struct lp2p_carrier *carrier, lp2p_time now);
    /** As lp2p_net's read and writev, of the carried bytes. writev may keep bytes that it took: see `wants_write`. */
    enum lp2p_err (*read)(struct lp2p_carrier *carrier, void *out, size_t len, size_t *got);
    enum lp2p_err (*writev)(struct lp2p_carrier *carrier, const struct iovec *iov, int iov_len, size_t *put);
    /** Bytes were taken that the kernel has not: watch for writable and call writev (also with iov_len 0). NULL: never. */
    bool (*wants_write)(const struct lp2p_carrier *carrier);
    /** Bytes lie inside that read gives without the socket becoming readable. NULL: never. */
    bool (*holds_input)(const struct lp2p_carrier *carrier);
    /** Says good-bye as far as the kernel takes it at once, closes the descriptor, frees. */
    void (*close)(struct lp2p_carrier *carrier);
};

/** Every carrier begins with this. */
struct lp2p_carrier {
    const struct lp2p_carrier_ops *ops;
    const struct lp2p_net *net;
    int fd;
    size_t memory_bytes; /* of the heap, for accounting; kept by the carrier */
    struct lp2p_carrier *bottom; /* the bare socket below all layers, or itself */
    uint64_t sent_bytes; /* of the bottom: what the kernel took, whether it is payload or not */
};

static inline bool lp2p_carrier_wants_write(const struct lp2p_carrier *carrier)
{
    return carrier->ops->wants_write != NULL && carrier->ops->wants_write(carrier);
}
static inline bool lp2p_carrier_holds_input(const struct lp2p_carrier *carrier)
{
    return carrier->ops->holds_input != NULL && carrier->ops->holds_input(carrier);
}
/** Bytes that the kernel took so far: moves on as long as the line does, also where layers hold what they were given. */
static inline uint64_t lp2p_carrier_sent_bytes(const struct lp2p_carrier *carrier)
{
    return carrier->bottom->sent_bytes;
}
static inline void lp2p_carrier_close(struct lp2p_carrier **carrier)
{
    if (*carrier != NULL) {
        (*carrier)->ops->close(*carrier);
        *carrier = NULL;
    }
}

/** The bare socket. NULL: no memory (the descriptor stays the caller's). */
struct lp2p_carrier *lp2p_carrier_tcp(const struct lp2p_net *net, int fd);

#endif
