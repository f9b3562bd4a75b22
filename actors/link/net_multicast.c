/* SPDX-License-Identifier: MIT
 * Multicast of the platform (actors/net.h): each datagram with the interface that it came through, and sent through the one that is
 * named, because a machine is on several networks and the same address may be on each. */
#include "actors/net.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOPS 255 /* RFC 6762 11: what comes from farther away shows it */

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};
/** Room for the one control message that is used, aligned as the kernel wants it. */
union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
};

static enum lp2p_err from_errno(int code)
{
    switch (code) {
    case EAGAIN:
    case EINTR:
        return LP2P_EAGAIN;
    case EADDRINUSE:
        return LP2P_EADDRINUSE;
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return LP2P_EUNSUPPORTED;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return LP2P_ELIMIT;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EACCES:
    case EPERM:
        return LP2P_EUNREACHABLE;
    case EADDRNOTAVAIL:
        return LP2P_EADDRNOTAVAIL;
    default:
        return LP2P_EIO;
    }
}

static socklen_t fill_address(const struct lp2p_ip_port *addr, unsigned interface, union address *out)
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
    out->in6.sin6_scope_id = interface;
    memcpy(&out->in6.sin6_addr, addr->ip, 16);
    return sizeof(out->in6);
}

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

static bool set_options(int fd, bool ip6)
{
    if (!set(fd, SOL_SOCKET, SO_REUSEADDR, 1)) {
        return false;
    }
    (void)set(fd, SOL_SOCKET, SO_REUSEPORT, 1); /* some responders share the port only with those who have it too */
    if (ip6) {
        (void)set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, HOPS);
        return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) && set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
    (void)set(fd, IPPROTO_IP, IP_MULTICAST_TTL, HOPS);
    return set(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

static enum lp2p_err multicast_open(void *ctx, const struct lp2p_ip_port *group, int *fd)
{
    (void)ctx;
    union address raw;
    bool ip6 = group->ip_len == 16;
    const struct lp2p_ip_port any = {.ip_len = group->ip_len, .port = group->port};
    *fd = socket(ip6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0) {
        return from_errno(errno);
    }
    socklen_t len = fill_address(&any, 0, &raw);
    if (set_options(*fd, ip6) && bind(*fd, &raw.any, len) == 0) {
        return LP2P_OK;
    }
    enum lp2p_err err = from_errno(errno);
    (void)close(*fd);
    *fd = -1;
    return err;
}

static bool join_on(int fd, const struct lp2p_ip_port *group, unsigned interface)
{
    if (group->ip_len == 4) {
        struct ip_mreqn request = {.imr_ifindex = (int)interface};
        memcpy(&request.imr_multiaddr, group->ip, 4);
        return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof(request)) == 0 || errno == EADDRINUSE;
    }
    struct ipv6_mreq request = {.ipv6mr_interface = interface};
    memcpy(&request.ipv6mr_multiaddr, group->ip, 16);
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof(request)) == 0 || errno == EADDRINUSE;
}

static bool has(const unsigned *items, size_t len, unsigned item)
{
    for (size_t i = 0; i < len; i++) {
        if (items[i] == item) {
            return true;
        }
    }
    return false;
}

static size_t multicast_join(void *ctx, int fd, const struct lp2p_ip_port *group, unsigned *interfaces, size_t cap)
{
    (void)ctx;
    const unsigned wanted = IFF_UP | IFF_MULTICAST;
    const int family = group->ip_len == 4 ? AF_INET : AF_INET6;
    struct ifaddrs *list = NULL;
    size_t len = 0;
    if (getifaddrs(&list) != 0) {
        return 0;
    }
    for (const struct ifaddrs *it = list; it != NULL && len < cap; it = it->ifa_next) {
        if (it->ifa_addr == NULL || it->ifa_addr->sa_family != family || (it->ifa_flags & wanted) != wanted) {
            continue;
        }
        unsigned interface = if_nametoindex(it->ifa_name);
        if (interface != 0 && !has(interfaces, len, interface) && join_on(fd, group, interface)) {
            interfaces[len++] = interface;
        }
    }
    freeifaddrs(list);
    return len;
}

static bool read_info(struct msghdr *message, struct lp2p_datagram_end *from)
{
    for (struct cmsghdr *it = CMSG_FIRSTHDR(message); it != NULL; it = CMSG_NXTHDR(message, it)) {
        if (it->cmsg_level == IPPROTO_IP && it->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(it), sizeof(info));
            from->interface = (unsigned)info.ipi_ifindex;
            from->to_group = IN_MULTICAST(ntohl(info.ipi_addr.s_addr));
            return true;
        }
        if (it->cmsg_level == IPPROTO_IPV6 && it->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(it), sizeof(info));
            from->interface = info.ipi6_ifindex;
            from->to_group = IN6_IS_ADDR_MULTICAST(&info.ipi6_addr);
            return true;
        }
    }
    return false;
}

static enum lp2p_err multicast_receive(void *ctx, int fd, void *out, size_t len, size_t *got, struct lp2p_datagram_end *from)
{
    (void)ctx;
    union address raw = {0};
    union control control;
    struct iovec iov = {out, len};
    struct msghdr message = {.msg_name = &raw, .msg_namelen = sizeof(raw), .msg_iov = &iov, .msg_iovlen = 1,
                             .msg_control = &control, .msg_controllen = sizeof(control)};
    *got = 0;
    *from = (struct lp2p_datagram_end){0};
    ssize_t n = recvmsg(fd, &message, 0);
    if (n < 0) {
        return from_errno(errno);
    }
    if (raw.any.sa_family == AF_INET) {
        from->addr = (struct lp2p_ip_port){.ip_len = 4, .port = ntohs(raw.in.sin_port)};
        memcpy(from->addr.ip, &raw.in.sin_addr, 4);
    } else if (raw.any.sa_family == AF_INET6) {
        from->addr = (struct lp2p_ip_port){.ip_len = 16, .port = ntohs(raw.in6.sin6_port)};
        memcpy(from->addr.ip, &raw.in6.sin6_addr, 16);
    }
    if ((message.msg_flags & MSG_TRUNC) != 0) {
        return LP2P_EOVERSIZE;
    }
    *got = (size_t)n;
    return from->addr.ip_len != 0 && read_info(&message, from) ? LP2P_OK : LP2P_EIO;
}

static enum lp2p_err multicast_send(void *ctx, int fd, const void *bytes, size_t len, const struct lp2p_datagram_end *to)
{
    (void)ctx;
    union address raw;
    union control control;
    memset(&control, 0, sizeof(control));
    struct iovec iov = {(void *)(uintptr_t)bytes, len}; /* only read */
    struct msghdr message = {.msg_name = &raw, .msg_namelen = fill_address(&to->addr, to->interface, &raw), .msg_iov = &iov,
                             .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (to->addr.ip_len == 4) {
        struct in_pktinfo info = {.ipi_ifindex = (int)to->interface};
        head->cmsg_level = IPPROTO_IP;
        head->cmsg_type = IP_PKTINFO;
        head->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(head), &info, sizeof(info));
        message.msg_controllen = CMSG_SPACE(sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = to->interface};
        head->cmsg_level = IPPROTO_IPV6;
        head->cmsg_type = IPV6_PKTINFO;
        head->cmsg_len = CMSG_LEN(sizeof(info));
        memcpy(CMSG_DATA(head), &info, sizeof(info));
        message.msg_controllen = CMSG_SPACE(sizeof(info));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? from_errno(errno) : LP2P_OK;
}

const struct lp2p_multicast lp2p_multicast_posix = {
    .open = multicast_open,
    .join = multicast_join,
    .receive = multicast_receive,
    .send = multicast_send,
};
