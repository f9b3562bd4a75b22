/* SPDX-License-Identifier: MIT */
#include "simnet.h"

#include "base/list.h"

#include <stdlib.h>

#define SOCKS_MAX 4096
#define FIRST_FD 10000
#define BUFFER_MAX (256u * 1024) /* bytes under way in one direction */
#define SLOW_PIECE 512u /* of a slow line, at most so many bytes arrive at once */

enum kind { FREE, LISTENER, STREAM };

struct chunk {
    struct lp2p_list list;
    lp2p_time arrives;
    size_t len, at;
    uint8_t bytes[];
};

struct sock {
    enum kind kind;
    struct simhost *host;
    struct lp2p_ip_port local, remote;
    struct lp2p_list inbox;   /* STREAM: chunks on their way or waiting */
    size_t inbox_bytes;
    struct lp2p_list backlog; /* LISTENER: sockets to be accepted (struct sock.waiting) */
    struct lp2p_list waiting;
    lp2p_time arrives;        /* in a backlog: from when it can be accepted; a dialed one: when it is decided */
    lp2p_time last;           /* arrival of the newest chunk: order is kept */
    int peer;                 /* the other end, -1: none (any more) */
    lp2p_time eof_at;         /* when the other end's close is seen; LP2P_NEVER: not closed */
    bool refused, reset;
};

struct simnet {
    struct lp2p_rand_seeded gen;
    struct lp2p_rand rand;
    uint64_t latency_ns, jitter_ns, bytes_per_s;
    lp2p_time now;
    struct sock socks[SOCKS_MAX];
    size_t used; /* sockets from here on were never opened */
    struct simhost *hosts;
};

struct simhost {
    struct simnet *net;
    struct simhost *next;
    struct lp2p_net table;
    uint8_t ip[4], extra[4];
    bool has_extra;
    uint16_t next_port;
    bool unplugged;
};

static struct sock *sock_of(struct simnet *net, int fd)
{
    LP2P_CHECK(fd >= FIRST_FD && fd < FIRST_FD + SOCKS_MAX);
    struct sock *sock = &net->socks[fd - FIRST_FD];
    LP2P_CHECK(sock->kind != FREE);
    return sock;
}

static int fd_of(const struct simnet *net, const struct sock *sock)
{
    return FIRST_FD + (int)(sock - net->socks);
}

static struct sock *sock_new(struct simhost *host, enum kind kind)
{
    for (size_t i = 0; i < SOCKS_MAX; i++) {
        struct sock *sock = &host->net->socks[i];
        if (sock->kind == FREE) {
            host->net->used = LP2P_MAX(host->net->used, i + 1);
            *sock = (struct sock){.kind = kind, .host = host, .peer = -1, .eof_at = LP2P_NEVER};
            lp2p_list_init(&sock->inbox);
            lp2p_list_init(&sock->backlog);
            return sock;
        }
    }
    return NULL;
}

static lp2p_time arrival(struct simnet *net)
{
    return net->now + net->latency_ns + (net->jitter_ns > 0 ? lp2p_rand_below(&net->rand, net->jitter_ns) : 0);
}

static void name(struct simhost *host, struct lp2p_ip_port *out)
{
    *out = (struct lp2p_ip_port){.ip_len = 4, .port = host->next_port++};
    memcpy(out->ip, host->ip, 4);
}

static enum lp2p_err sim_listen(void *ctx, const struct lp2p_ip_port *addr, int backlog, int *fd, struct lp2p_ip_port *bound)
{
    (void)backlog;
    struct simhost *host = (struct simhost *)ctx;
    for (size_t i = 0; i < SOCKS_MAX; i++) {
        const struct sock *other = &host->net->socks[i];
        if (other->kind == LISTENER && other->host == host && addr->port != 0 && other->local.port == addr->port) {
            return LP2P_EADDRINUSE;
        }
    }
    struct sock *sock = sock_new(host, LISTENER);
    if (sock == NULL) {
        return LP2P_ELIMIT;
    }
    name(host, &sock->local);
    sock->local.port = addr->port != 0 ? addr->port : sock->local.port;
    *bound = sock->local;
    memcpy(bound->ip, addr->ip, sizeof(bound->ip)); /* a wildcard stays one, as with real sockets */
    *fd = fd_of(host->net, sock);
    return LP2P_OK;
}

static struct sock *ripe(struct simnet *net, struct sock *listener)
{
    LP2P_LIST_FOREACH(it, &listener->backlog)
    {
        struct sock *sock = LP2P_LIST_ENTRY(it, struct sock, waiting);
        if (sock->arrives <= net->now) {
            return sock;
        }
    }
    return NULL;
}

static enum lp2p_err sim_accept(void *ctx, int listen_fd, int *fd, struct lp2p_ip_port *remote, struct lp2p_ip_port *local)
{
    struct simhost *host = (struct simhost *)ctx;
    struct sock *sock = ripe(host->net, sock_of(host->net, listen_fd));
    if (sock == NULL) {
        return LP2P_EAGAIN;
    }
    lp2p_list_remove(&sock->waiting);
    *fd = fd_of(host->net, sock);
    *remote = sock->remote;
    if (local != NULL) {
        *local = sock->local;
    }
    return LP2P_OK;
}

static struct sock *find_listener(struct simnet *net, const struct lp2p_ip_port *addr)
{
    for (size_t i = 0; i < net->used; i++) {
        struct sock *sock = &net->socks[i];
        if (sock->kind == LISTENER && !sock->host->unplugged && addr->ip_len == 4 && sock->local.port == addr->port &&
            memcmp(sock->host->ip, addr->ip, 4) == 0) {
            return sock;
        }
    }
    return NULL;
}

/** The port to connect from: the wanted one, unless a connection between the two ends has it. */
static uint16_t port_for(struct simhost *host, const struct lp2p_ip_port *addr, uint16_t wanted)
{
    struct simnet *net = host->net;
    for (size_t i = 0; wanted != 0 && i < net->used; i++) {
        const struct sock *other = &net->socks[i];
        if (other->kind == STREAM && other->host == host && other->local.port == wanted && other->remote.port == addr->port &&
            memcmp(other->remote.ip, addr->ip, 4) == 0) {
            wanted = 0;
        }
    }
    return wanted != 0 ? wanted : host->next_port++;
}

static enum lp2p_err sim_connect(void *ctx, const struct lp2p_ip_port *addr, const struct lp2p_ip_port *from, int *fd)
{
    struct simhost *host = (struct simhost *)ctx;
    struct simnet *net = host->net;
    struct sock *listener = host->unplugged ? NULL : find_listener(net, addr), *sock = sock_new(host, STREAM);
    struct sock *other = listener != NULL && sock != NULL ? sock_new(listener->host, STREAM) : NULL;
    if (sock == NULL || (listener != NULL && other == NULL)) {
        return LP2P_ELIMIT;
    }
    sock->local = (struct lp2p_ip_port){.ip_len = 4, .port = port_for(host, addr, from != NULL ? from->port : 0)};
    memcpy(sock->local.ip, host->ip, 4);
    sock->remote = *addr;
    sock->refused = listener == NULL;
    lp2p_time there = arrival(net);
    sock->arrives = there + net->latency_ns;
    if (other != NULL) {
        other->local = *addr;
        other->remote = sock->local;
        other->arrives = there;
        other->peer = fd_of(net, sock);
        sock->peer = fd_of(net, other);
        lp2p_list_push_back(&listener->backlog, &other->waiting);
    }
    *fd = fd_of(net, sock);
    return LP2P_OK;
}

static enum lp2p_err sim_connect_result(void *ctx, int fd, struct lp2p_ip_port *local)
{
    struct simhost *host = (struct simhost *)ctx;
    struct sock *sock = sock_of(host->net, fd);
    if (sock->arrives > host->net->now) {
        return LP2P_EAGAIN;
    }
    *local = sock->local;
    return sock->refused ? LP2P_ECONNREFUSED : LP2P_OK;
}

static enum lp2p_err sim_read(void *ctx, int fd, void *out, size_t len, size_t *got)
{
    struct simhost *host = (struct simhost *)ctx;
    struct sock *sock = sock_of(host->net, fd);
    *got = 0;
    if (sock->reset) {
        return LP2P_ECONNRESET;
    }
    while (*got < len && !lp2p_list_empty(&sock->inbox)) {
        struct chunk *chunk = LP2P_LIST_ENTRY(sock->inbox.next, struct chunk, list);
        if (chunk->arrives > host->net->now) {
            break;
        }
        size_t n = LP2P_MIN(len - *got, chunk->len - chunk->at);
        memcpy((uint8_t *)out + *got, chunk->bytes + chunk->at, n);
        chunk->at += n;
        *got += n;
        sock->inbox_bytes -= n;
        if (chunk->at == chunk->len) {
            lp2p_list_remove(&chunk->list);
            free(chunk);
        }
    }
    bool ended = lp2p_list_empty(&sock->inbox) && sock->eof_at <= host->net->now;
    return *got > 0 || ended ? LP2P_OK : LP2P_EAGAIN;
}

static void send_chunk(struct simnet *net, struct sock *to, const uint8_t *bytes, size_t len)
{
    struct chunk *chunk = malloc(sizeof(*chunk) + len);
    LP2P_CHECK(chunk != NULL);
    lp2p_time behind = to->last + (net->bytes_per_s > 0 ? len * LP2P_SEC(1) / net->bytes_per_s : 0);
    *chunk = (struct chunk){.arrives = LP2P_MAX(arrival(net), behind), .len = len};
    memcpy(chunk->bytes, bytes, len);
    to->last = chunk->arrives;
    to->inbox_bytes += len;
    lp2p_list_push_back(&to->inbox, &chunk->list);
}

static enum lp2p_err sim_writev(void *ctx, int fd, const struct iovec *iov, int iov_len, size_t *put)
{
    struct simhost *host = (struct simhost *)ctx;
    struct sock *sock = sock_of(host->net, fd);
    *put = 0;
    if (sock->reset || sock->peer < 0) {
        return LP2P_ECONNRESET;
    }
    struct sock *other = sock_of(host->net, sock->peer);
    for (int i = 0; i < iov_len; i++) {
        const uint8_t *bytes = iov[i].iov_base;
        for (size_t at = 0, n; at < iov[i].iov_len && other->inbox_bytes < BUFFER_MAX; at += n, *put += n) {
            n = LP2P_MIN(iov[i].iov_len - at, BUFFER_MAX - other->inbox_bytes);
            n = host->net->bytes_per_s > 0 ? LP2P_MIN(n, (size_t)SLOW_PIECE) : n;
            send_chunk(host->net, other, bytes + at, n);
        }
    }
    return *put > 0 ? LP2P_OK : LP2P_EAGAIN;
}

static void drop_inbox(struct sock *sock)
{
    struct lp2p_list *it;
    while ((it = lp2p_list_pop_front(&sock->inbox)) != NULL) {
        free(LP2P_LIST_ENTRY(it, struct chunk, list));
    }
    sock->inbox_bytes = 0;
}

static void sim_close(void *ctx, int fd)
{
    struct simhost *host = (struct simhost *)ctx;
    struct sock *sock = sock_of(host->net, fd);
    if (sock->peer >= 0) {
        struct sock *other = sock_of(host->net, sock->peer);
        other->eof_at = LP2P_MAX(arrival(host->net), other->last);
        other->peer = -1;
    }
    LP2P_LIST_FOREACH_SAFE(it, &sock->backlog)
    {
        struct sock *waiting = LP2P_LIST_ENTRY(it, struct sock, waiting);
        lp2p_list_remove(&waiting->waiting);
        sim_close(ctx, fd_of(host->net, waiting));
    }
    lp2p_list_remove(&sock->waiting);
    drop_inbox(sock);
    sock->kind = FREE;
}

static size_t sim_interfaces(void *ctx, struct lp2p_ip_port *out, size_t cap)
{
    const struct simhost *host = ctx;
    size_t len = LP2P_MIN(host->has_extra ? (size_t)2 : 1, cap);
    for (size_t i = 0; i < len; i++) {
        out[i] = (struct lp2p_ip_port){.ip_len = 4};
        memcpy(out[i].ip, i == 0 ? host->ip : host->extra, 4);
    }
    return len;
}

static unsigned sim_ready(void *ctx, int fd)
{
    struct simnet *net = ((struct simhost *)ctx)->net;
    struct sock *sock = sock_of(net, fd);
    if (sock->kind == LISTENER) {
        return ripe(net, sock) != NULL ? LP2P_READABLE : 0;
    }
    if (sock->arrives > net->now) {
        return 0; /* still connecting */
    }
    unsigned ready = sock->reset ? LP2P_READABLE | LP2P_WRITABLE | LP2P_HANGUP : 0;
    bool data = !lp2p_list_empty(&sock->inbox) && LP2P_LIST_ENTRY(sock->inbox.next, struct chunk, list)->arrives <= net->now;
    bool ended = lp2p_list_empty(&sock->inbox) && sock->eof_at <= net->now;
    bool room = sock->peer < 0 || sock_of(net, sock->peer)->inbox_bytes < BUFFER_MAX;
    return ready | (data || ended ? LP2P_READABLE : 0) | (room ? LP2P_WRITABLE : 0);
}

static lp2p_time later(lp2p_time now, lp2p_time when, lp2p_time best)
{
    return when > now ? lp2p_time_min(when, best) : best;
}

static lp2p_time sim_next(void *ctx)
{
    struct simhost *host = (struct simhost *)ctx;
    struct simnet *net = host->net;
    lp2p_time best = LP2P_NEVER;
    for (size_t i = 0; i < net->used; i++) {
        const struct sock *sock = &net->socks[i];
        if (sock->kind != STREAM || sock->host != host) {
            continue;
        }
        best = later(net->now, sock->arrives, best);
        if (!lp2p_list_empty(&sock->inbox)) {
            best = later(net->now, LP2P_LIST_ENTRY(sock->inbox.next, struct chunk, list)->arrives, best);
        } else if (sock->eof_at != LP2P_NEVER) {
            best = later(net->now, sock->eof_at, best);
        }
    }
    return best;
}

static void sim_advance(void *ctx, lp2p_time now)
{
    struct simnet *net = ((struct simhost *)ctx)->net;
    net->now = LP2P_MAX(net->now, now);
}

struct simnet *simnet_new(uint64_t seed, uint64_t latency_ns, uint64_t jitter_ns)
{
    struct simnet *net = calloc(1, sizeof(*net));
    LP2P_CHECK(net != NULL);
    lp2p_rand_seeded_init(&net->gen, seed);
    net->rand = lp2p_rand_seeded_source(&net->gen);
    net->latency_ns = latency_ns;
    net->jitter_ns = jitter_ns;
    return net;
}

void simnet_slow(struct simnet *net, uint64_t bytes_per_s)
{
    net->bytes_per_s = bytes_per_s;
}

void simnet_free(struct simnet *net)
{
    for (size_t i = 0; i < SOCKS_MAX; i++) {
        if (net->socks[i].kind != FREE) {
            drop_inbox(&net->socks[i]);
        }
    }
    while (net->hosts != NULL) {
        struct simhost *host = net->hosts;
        net->hosts = host->next;
        free(host);
    }
    free(net);
}

struct simhost *simnet_host(struct simnet *net, unsigned n)
{
    struct simhost *host = calloc(1, sizeof(*host));
    LP2P_CHECK(host != NULL);
    *host = (struct simhost){.net = net, .next = net->hosts, .ip = {10, 0, (uint8_t)(n >> 8), (uint8_t)n}, .next_port = 20000};
    host->table = (struct lp2p_net){host, sim_listen, sim_accept, sim_connect, sim_connect_result, sim_read, sim_writev,
                                    sim_close, sim_interfaces, NULL, NULL, NULL};
    net->hosts = host;
    return host;
}

const struct lp2p_net *simhost_net(struct simhost *host)
{
    return &host->table;
}

struct lp2p_sim_io simhost_io(struct simhost *host)
{
    return (struct lp2p_sim_io){host, sim_ready, sim_next, sim_advance};
}

void simhost_unplug(struct simhost *host, bool unplugged)
{
    host->unplugged = unplugged;
    for (size_t i = 0; unplugged && i < SOCKS_MAX; i++) {
        struct sock *sock = &host->net->socks[i];
        if (sock->kind == STREAM && sock->host == host) {
            sock->reset = true;
            if (sock->peer >= 0) {
                sock_of(host->net, sock->peer)->reset = true;
            }
        }
    }
}

void simhost_interface(struct simhost *host, const uint8_t ip[4])
{
    host->has_extra = ip != NULL;
    if (ip != NULL) {
        memcpy(host->extra, ip, 4);
    }
}

size_t simhost_fds(const struct simhost *host)
{
    size_t n = 0;
    for (size_t i = 0; i < SOCKS_MAX; i++) {
        n += host->net->socks[i].kind != FREE && host->net->socks[i].host == host;
    }
    return n;
}

void simnet_run(struct simnet *net, struct lp2p_rt *const *rts, size_t len, lp2p_time until)
{
    uint64_t slice = LP2P_MAX(net->latency_ns / 2, LP2P_US(100));
    lp2p_time now = len > 0 ? lp2p_sim_now(rts[0]) : until;
    while (now < until) {
        now = lp2p_time_min(now + slice, until);
        for (size_t i = 0; i < len; i++) {
            lp2p_sim_run(rts[i], now);
        }
    }
}
