/* SPDX-License-Identifier: MIT
 * The platform boundary of sockets: the only calls that touch the network. The product uses lp2p_net_posix, simulations
 * bring their own table over the same signatures. All descriptors are non-blocking. Stateless: any thread. */
#ifndef LP2P_ACTORS_NET_H
#define LP2P_ACTORS_NET_H

#include "base/err.h"
#include "base/span.h"
#include "wire/multiaddr.h"

#include <sys/uio.h>

/** One end of a datagram, with the machine's interface that it came or goes through. */
struct lp2p_datagram_end {
    struct lp2p_ip_port addr;
    unsigned interface; /* number of the kernel's; never 0 */
    bool to_group;      /* received: it was sent to a multicast address, so the sender is on our network */
};

/** Datagrams to and from a group on the networks that the machine is on; the descriptors are closed by lp2p_net.close. */
struct lp2p_multicast {
    /** Opens a socket on the group's port, beside those of other programs. EADDRINUSE, EUNSUPPORTED, ELIMIT, EIO... */
    enum lp2p_err (*open)(void *ctx, const struct lp2p_ip_port *group, int *fd);
    /** Joins the group on all interfaces that are up (again: on those that are new). Copies their numbers, at most cap of them, and
     *  returns how many. */
    size_t (*join)(void *ctx, int fd, const struct lp2p_ip_port *group, unsigned *interfaces, size_t cap);
    /** Takes one datagram of at most `len` bytes; EOVERSIZE: it was longer, and is lost. EAGAIN: none waits. EIO. */
    enum lp2p_err (*receive)(void *ctx, int fd, void *out, size_t len, size_t *got, struct lp2p_datagram_end *from);
    /** Sends one datagram, to the group or to one machine, or fails: it does not wait. */
    enum lp2p_err (*send)(void *ctx, int fd, const void *bytes, size_t len, const struct lp2p_datagram_end *to);
};

struct lp2p_net {
    void *ctx;
    /** Listens on a TCP address (port 0: any); *fd and the bound address come back. EADDRINUSE, EADDRNOTAVAIL, EACCES, EIO... */
    enum lp2p_err (*listen)(void *ctx, const struct lp2p_ip_port *addr, int backlog, int *fd, struct lp2p_ip_port *bound);
    /** Accepts one connection: *fd, remote and local address (NULL: not asked for). EAGAIN: none waits; ELIMIT: out of descriptors; EIO. */
    enum lp2p_err (*accept)(void *ctx, int listen_fd, int *fd, struct lp2p_ip_port *remote, struct lp2p_ip_port *local);
    /** Starts connecting; the descriptor becomes writable when it is decided (ask connect_result). `from` (may be NULL) is a port
     *  of ours to connect from, its address left to the system; if that is not possible (taken, or a connection between these two
     *  ends exists), from any port. */
    enum lp2p_err (*connect)(void *ctx, const struct lp2p_ip_port *addr, const struct lp2p_ip_port *from, int *fd);
    /** OK: connected (*local is our end); EAGAIN: not yet; ECONNREFUSED, EUNREACHABLE, ETIMEDOUT, ... */
    enum lp2p_err (*connect_result)(void *ctx, int fd, struct lp2p_ip_port *local);
    /** Reads up to len bytes. *got 0 with OK: end of stream. EAGAIN, ECONNRESET. */
    enum lp2p_err (*read)(void *ctx, int fd, void *out, size_t len, size_t *got);
    /** Writes; *put bytes were taken (may be fewer). EAGAIN: none. ECONNRESET. */
    enum lp2p_err (*writev)(void *ctx, int fd, const struct iovec *iov, int iov_len, size_t *put);
    void (*close)(void *ctx, int fd);
    /** Addresses of the machine's interfaces that are up: for expanding a wildcard. Copies up to cap, returns the number. */
    size_t (*interfaces)(void *ctx, struct lp2p_ip_port *out, size_t cap);
    /** Opens a descriptor that becomes readable when addresses of the machine come or go. NULL, or EUNSUPPORTED: there is none,
     *  look at `interfaces` from time to time. */
    enum lp2p_err (*watch_interfaces)(void *ctx, int *fd);
    /** Takes what lies in that descriptor. */
    void (*drain_interfaces)(void *ctx, int fd);
    /** NULL: there is none. */
    const struct lp2p_multicast *multicast;
};

extern const struct lp2p_net lp2p_net_posix;
extern const struct lp2p_multicast lp2p_multicast_posix;

#endif
