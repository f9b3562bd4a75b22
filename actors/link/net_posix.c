/* SPDX-License-Identifier: MIT
 * The only file of the node that calls sockets, with net_multicast.c. */
#include "actors/net.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define USER_TIMEOUT_MS 30000 /* sent bytes that nobody acknowledges end the connection after this */
#define KEEPALIVE_IDLE_S 30   /* a silent peer is asked by the kernel; go-libp2p does the same */

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage room;
};

static enum lp2p_err from_errno(int code)
{
    switch (code) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
    case EINTR:
    case EINPROGRESS:
    case EALREADY:
        return LP2P_EAGAIN;
    case ECONNREFUSED:
        return LP2P_ECONNREFUSED;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
        return LP2P_ECONNRESET;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EACCES: /* a firewall of this machine said no */
    case EPERM:
        return LP2P_EUNREACHABLE;
    case ETIMEDOUT:
        return LP2P_ETIMEDOUT;
    case EADDRINUSE:
        return LP2P_EADDRINUSE;
    case EADDRNOTAVAIL:
        return LP2P_EADDRNOTAVAIL;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return LP2P_EUNSUPPORTED;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return LP2P_ELIMIT;
    default:
        return LP2P_EIO;
    }
}

static socklen_t to_sockaddr(const struct lp2p_ip_port *addr, union address *out)
{
    memset(out, 0, sizeof(*out));
    if (addr->ip_len == 4) {
        out->in.sin_family = AF_INET;
        out->in.sin_port = htons(addr->port);
        memcpy(&out->in.sin_addr, addr->ip, 4);
        return sizeof(out->in);
    }
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = htons(addr->port);
    memcpy(&out->in6.sin6_addr, addr->ip, 16);
    return sizeof(out->in6);
}

static bool from_sockaddr(const union address *addr, struct lp2p_ip_port *out)
{
    memset(out, 0, sizeof(*out));
    if (addr->any.sa_family == AF_INET) {
        out->ip_len = 4;
        out->port = ntohs(addr->in.sin_port);
        memcpy(out->ip, &addr->in.sin_addr, 4);
        return true;
    }
    if (addr->any.sa_family == AF_INET6) {
        out->ip_len = 16;
        out->port = ntohs(addr->in6.sin6_port);
        memcpy(out->ip, &addr->in6.sin6_addr, 16);
        return true;
    }
    return false;
}

static void local_of(int fd, struct lp2p_ip_port *out)
{
    union address addr = {0};
    socklen_t len = sizeof(addr);
    if (getsockname(fd, &addr.any, &len) != 0 || !from_sockaddr(&addr, out)) {
        memset(out, 0, sizeof(*out));
        out->ip_len = 4;
    }
}

/* The options improve a connection; one that the kernel does not know is not a reason to do without the
 * connection. */
static void set_stream_options(int fd)
{
    const int on = 1, idle = KEEPALIVE_IDLE_S;
    const unsigned timeout = USER_TIMEOUT_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

static enum lp2p_err new_socket(const struct lp2p_ip_port *addr, int *fd)
{
    if (addr->ip_len != 4 && addr->ip_len != 16) {
        return LP2P_EUNSUPPORTED;
    }
    *fd = socket(addr->ip_len == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return *fd >= 0 ? LP2P_OK : from_errno(errno);
}

static enum lp2p_err fail_close(int *fd, int code)
{
    (void)close(*fd);
    *fd = -1;
    enum lp2p_err err = from_errno(code);
    return err == LP2P_EAGAIN ? LP2P_EIO : err;
}

static enum lp2p_err net_listen(void *ctx, const struct lp2p_ip_port *addr, int backlog, int *fd,
                                struct lp2p_ip_port *bound)
{
    (void)ctx;
    union address raw;
    socklen_t len = to_sockaddr(addr, &raw);
    enum lp2p_err err = new_socket(addr, fd);
    if (err != LP2P_OK) {
        return err;
    }
    const int on = 1;
    if (setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (addr->ip_len == 16 && setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
        bind(*fd, &raw.any, len) != 0 || listen(*fd, backlog) != 0) {
        err = errno == EACCES || errno == EPERM ? LP2P_EACCES : LP2P_OK; /* a port below 1024 */
        enum lp2p_err other = fail_close(fd, errno);
        return err != LP2P_OK ? err : other;
    }
    /* Only now: no second listener gets in beside this one (it binds without the option), but what we dial may come from here. */
    (void)setsockopt(*fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    set_stream_options(*fd); /* for what is accepted from it */
    local_of(*fd, bound);
    return LP2P_OK;
}

static enum lp2p_err net_accept(void *ctx, int listen_fd, int *fd, struct lp2p_ip_port *remote,
                                struct lp2p_ip_port *local)
{
    (void)ctx;
    union address raw = {0};
    socklen_t len = sizeof(raw);
    *fd = accept4(listen_fd, &raw.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (*fd < 0) {
        enum lp2p_err err = from_errno(errno);
        /* accept(2): errors of a connection that ended while it waited are to be treated like EAGAIN. */
        bool of_peer = err == LP2P_ECONNRESET || err == LP2P_EUNREACHABLE || err == LP2P_ETIMEDOUT ||
                       errno == EPROTO || errno == ENOPROTOOPT || errno == ENONET || errno == EOPNOTSUPP;
        return of_peer ? LP2P_EAGAIN : err;
    }
    if (!from_sockaddr(&raw, remote)) {
        (void)close(*fd);
        *fd = -1;
        return LP2P_EIO;
    }
#ifndef __linux__
    set_stream_options(*fd); /* Linux: inherited from the listening socket, tcp(7) */
#endif
    if (local != NULL) {
        local_of(*fd, local);
    }
    return LP2P_OK;
}

/** Binds to a port that a listener of ours may have. */
static bool bind_from(int fd, const struct lp2p_ip_port *from)
{
    const int on = 1;
    union address raw;
    struct lp2p_ip_port any = {.ip_len = from->ip_len, .port = from->port};
    socklen_t len = to_sockaddr(&any, &raw);
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 &&
           (from->ip_len == 4 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) && bind(fd, &raw.any, len) == 0;
}

/** OK: connecting. EADDRINUSE: not from there. Otherwise the descriptor is closed, as on every failure. */
static enum lp2p_err try_connect(const struct lp2p_ip_port *addr, const struct lp2p_ip_port *from, int *fd)
{
    union address raw;
    socklen_t len = to_sockaddr(addr, &raw);
    enum lp2p_err err = new_socket(addr, fd);
    if (err != LP2P_OK) {
        return err;
    }
    set_stream_options(*fd);
    if (from != NULL && !bind_from(*fd, from)) {
        (void)fail_close(fd, errno);
        return LP2P_EADDRINUSE;
    }
    if (connect(*fd, &raw.any, len) == 0 || errno == EINPROGRESS || errno == EINTR) {
        return LP2P_OK;
    }
    bool taken = errno == EADDRNOTAVAIL || errno == EADDRINUSE;
    err = fail_close(fd, errno);
    return from != NULL && taken ? LP2P_EADDRINUSE : err;
}

static enum lp2p_err net_connect(void *ctx, const struct lp2p_ip_port *addr, const struct lp2p_ip_port *from, int *fd)
{
    (void)ctx;
    bool usable = from != NULL && from->ip_len == addr->ip_len && from->port != 0;
    enum lp2p_err err = usable ? try_connect(addr, from, fd) : LP2P_EADDRINUSE;
    return err == LP2P_EADDRINUSE ? try_connect(addr, NULL, fd) : err;
}

static enum lp2p_err net_connect_result(void *ctx, int fd, struct lp2p_ip_port *local)
{
    (void)ctx;
    int code = 0;
    socklen_t len = sizeof(code);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) != 0) {
        return LP2P_EIO;
    }
    if (code != 0) {
        enum lp2p_err err = from_errno(code);
        return err == LP2P_EAGAIN ? LP2P_EIO : err;
    }
    union address raw = {0};
    len = sizeof(raw);
    if (getpeername(fd, &raw.any, &len) != 0) {
        return errno == ENOTCONN ? LP2P_EAGAIN : LP2P_EIO;
    }
    local_of(fd, local);
    return LP2P_OK;
}

static enum lp2p_err net_read(void *ctx, int fd, void *out, size_t len, size_t *got)
{
    (void)ctx;
    ssize_t n = recv(fd, out, len, 0);
    if (n < 0) {
        *got = 0;
        return from_errno(errno);
    }
    *got = (size_t)n;
    return LP2P_OK;
}

static enum lp2p_err net_writev(void *ctx, int fd, const struct iovec *iov, int iov_len, size_t *put)
{
    (void)ctx;
    /* sendmsg does not write through the vector, its interface only lacks the const. */
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)iov_len};
    ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n < 0) {
        *put = 0;
        return from_errno(errno);
    }
    *put = (size_t)n;
    return LP2P_OK;
}

static void net_close(void *ctx, int fd)
{
    (void)ctx;
    (void)close(fd);
}

static size_t net_interfaces(void *ctx, struct lp2p_ip_port *out, size_t cap)
{
    (void)ctx;
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0) {
        return 0;
    }
    size_t len = 0;
    for (const struct ifaddrs *it = list; it != NULL && len < cap; it = it->ifa_next) {
        union address addr = {0};
        if (it->ifa_addr == NULL || (it->ifa_flags & IFF_UP) == 0) {
            continue;
        }
        if (it->ifa_addr->sa_family == AF_INET) {
            memcpy(&addr.in, it->ifa_addr, sizeof(addr.in));
        } else if (it->ifa_addr->sa_family == AF_INET6) {
            memcpy(&addr.in6, it->ifa_addr, sizeof(addr.in6));
            if (IN6_IS_ADDR_LINKLOCAL(&addr.in6.sin6_addr)) {
                continue; /* means nothing without its zone, which other machines do not know */
            }
        } else {
            continue;
        }
        if (from_sockaddr(&addr, &out[len])) {
            out[len].port = 0;
            len++;
        }
    }
    freeifaddrs(list);
    return len;
}

static enum lp2p_err net_watch_interfaces(void *ctx, int *fd)
{
    (void)ctx;
    struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    *fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (*fd < 0) {
        return LP2P_EUNSUPPORTED; /* a sandbox without netlink */
    }
    if (bind(*fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        (void)close(*fd);
        *fd = -1;
        return LP2P_EUNSUPPORTED;
    }
    return LP2P_OK;
}

static void net_drain_interfaces(void *ctx, int fd)
{
    (void)ctx;
    char bytes[4096]; /* what exactly changed is not of interest: who hears of it looks at everything anew */
    for (int i = 0; i < 256 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC) > 0; i++) {
    }
}

const struct lp2p_net lp2p_net_posix = {
    .listen = net_listen,
    .accept = net_accept,
    .connect = net_connect,
    .connect_result = net_connect_result,
    .read = net_read,
    .writev = net_writev,
    .close = net_close,
    .interfaces = net_interfaces,
    .watch_interfaces = net_watch_interfaces,
    .drain_interfaces = net_drain_interfaces,
    .multicast = &lp2p_multicast_posix,
};
