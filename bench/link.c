/* SPDX-License-Identifier: MIT */
#include "link.h"

#include "link_io.h"
#include "multistream/multistream.h"
#include "noise/aead.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char *const PROPOSE_NOISE[] = {"/noise"};
static const char *const PROPOSE_YAMUX[] = {"/yamux/1.0.0"};

static void system_fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    randombytes_buf(out, len);
}
static const struct lp2p_rand SYSTEM_RAND = {system_fill, NULL};

static struct {
    int epoll;
    lp2p_time now;
    struct lp2p_noise_identity shared;
    struct bench_link *all, *dead;
} loop;

lp2p_time bench_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (lp2p_time)ts.tv_sec * 1000000000u + (lp2p_time)ts.tv_nsec;
}

lp2p_time bench_loop_now(void)
{
    return loop.now;
}

void bench_fatal(const char *what)
{
    (void)fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

bool bench_target_parse(const char *multiaddr, struct bench_target *out)
{
    struct lp2p_multiaddr addr;
    char why[LP2P_MULTIADDR_WHY_MAX] = "";
    if (lp2p_multiaddr_from_text(multiaddr, &addr, why) != LP2P_OK || lp2p_multiaddr_ip_tcp(&addr, &out->at) != LP2P_OK) {
        (void)fprintf(stderr, "load: %s: not an address of TCP over IP %s\n", multiaddr, why);
        return false;
    }
    out->has_peer = lp2p_multiaddr_peer(&addr, &out->peer) == LP2P_OK;
    return true;
}

static struct lp2p_noise_identity *identity_new(struct lp2p_noise_identity *in_place)
{
    struct lp2p_private_key *key = malloc(sizeof(*key));
    struct lp2p_noise_identity *identity = in_place != NULL ? in_place : malloc(sizeof(*identity));
    if (key == NULL || identity == NULL) {
        bench_fatal("memory");
    }
    lp2p_private_key_generate(&SYSTEM_RAND, key);
    lp2p_noise_identity_init(identity, key, PROPOSE_YAMUX, 1, &SYSTEM_RAND);
    return identity;
}

void bench_loop_init(void)
{
    if (sodium_init() < 0) {
        bench_fatal("libsodium");
    }
    lp2p_noise_library_init(); /* the fastest cipher that is there */
    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop.epoll < 0) {
        bench_fatal("epoll");
    }
    loop.now = bench_now();
    (void)identity_new(&loop.shared);
}

static void set_interest(struct bench_link *link, bool write)
{
    struct epoll_event event = {.events = EPOLLIN | (write ? (uint32_t)EPOLLOUT : 0u), .data.ptr = link};
    if (epoll_ctl(loop.epoll, EPOLL_CTL_MOD, link->fd, &event) != 0) {
        bench_fatal("epoll_ctl");
    }
}

void bench_link_blocked(struct bench_link *link, bool blocked)
{
    if (link->blocked != blocked) {
        link->blocked = blocked;
        set_interest(link, blocked);
    }
}

static int connect_to(const struct lp2p_ip_port *at)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(at->port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(at->port)};
    bool is_six = at->ip_len == 16;
    memcpy(is_six ? (void *)&six.sin6_addr : (void *)&four.sin_addr, at->ip, at->ip_len);
    int fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        bench_fatal("socket");
    }
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    /* A close without waiting: thousands of connections must not use up the ports. */
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    int err = is_six ? connect(fd, (struct sockaddr *)&six, sizeof(six)) : connect(fd, (struct sockaddr *)&four, sizeof(four));
    if (err != 0 && errno != EINPROGRESS) {
        bench_fatal("connect");
    }
    return fd;
}

struct bench_link *bench_link_dial(const struct bench_target *target, bool fresh, const struct bench_link_ops *ops, void *user)
{
    struct bench_link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        bench_fatal("memory");
    }
    link->ops = ops;
    link->user = user;
    link->identity = fresh ? identity_new(NULL) : &loop.shared;
    link->identity_owned = fresh;
    link->noise = lp2p_noise_new(link->identity, true, target->has_peer ? &target->peer : NULL, &SYSTEM_RAND);
    link->mss = lp2p_mss_new_dialer(PROPOSE_NOISE, 1, true);
    if (link->noise == NULL || link->mss == NULL) {
        bench_fatal("memory");
    }
    lp2p_mux_map_init(&link->streams, 1);
    link->fd = connect_to(&target->at);
    link->next = loop.all;
    if (loop.all != NULL) {
        loop.all->previous = link;
    }
    loop.all = link;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = link};
    link->blocked = true; /* until the connection is there */
    if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, link->fd, &event) != 0) {
        bench_fatal("epoll_ctl");
    }
    return link;
}

static void link_free(struct bench_link *link)
{
    struct bench_stream *stream;
    for (uint32_t i = 0; i < link->streams.cap; i++) {
        stream = link->streams.entries[i].value;
        if (stream != NULL) {
            lp2p_mss_free(stream->mss);
            free(stream);
        }
    }
    lp2p_mux_map_fini(&link->streams);
    if (link->mux != NULL) {
        lp2p_yamux_ops.destroy(link->mux);
    }
    lp2p_noise_free(link->noise);
    lp2p_mss_free(link->mss);
    lp2p_buf_drop(&link->rx);
    if (link->identity_owned) {
        free((void *)(uintptr_t)link->identity->key);
        free(link->identity);
    }
    free(link->tx);
    free(link);
}

void bench_link_end(struct bench_link *link, const char *why)
{
    if (link->state == BENCH_LINK_ENDED) {
        return;
    }
    link->state = BENCH_LINK_ENDED;
    (void)close(link->fd);
    *(link->previous != NULL ? &link->previous->next : &loop.all) = link->next;
    if (link->next != NULL) {
        link->next->previous = link->previous;
    }
    link->next = loop.dead;
    loop.dead = link;
    if (link->ops->ended != NULL) {
        link->ops->ended(link, why);
    }
}

void bench_link_close(struct bench_link *link)
{
    bench_link_end(link, "");
}

static void mux_start(struct bench_link *link)
{
    static const struct lp2p_mux_config config = {.streams_in_max = 4096, .streams_out_max = 4096};
    link->mux = lp2p_yamux_ops.create(&config, true, &SYSTEM_RAND, loop.now);
    if (link->mux == NULL) {
        bench_fatal("memory");
    }
    link->state = BENCH_LINK_OPEN;
    if (link->ops->ready != NULL) {
        link->ops->ready(link);
    }
}

/** The security protocol or the muxer is being negotiated. */
static size_t feed_mss(struct bench_link *link, struct lp2p_span in)
{
    size_t used = 0;
    struct lp2p_mss_event event = {.kind = LP2P_MSS_NONE};
    enum lp2p_err err = lp2p_mss_feed(link->mss, in, loop.now, &used);
    lp2p_mss_next(link->mss, &event);
    if (err != LP2P_OK || event.kind == LP2P_MSS_FAILED) {
        bench_link_end(link, "the negotiation failed");
        return in.len;
    }
    if (lp2p_mss_confirmed(link->mss)) {
        lp2p_mss_free(link->mss);
        link->mss = NULL;
        if (link->state == BENCH_LINK_SECURITY) {
            link->state = BENCH_LINK_HANDSHAKE;
        } else {
            mux_start(link);
        }
    }
    return used;
}

static size_t feed_handshake(struct bench_link *link, struct lp2p_span in)
{
    size_t used = 0;
    struct lp2p_noise_event event = {.kind = LP2P_NOISE_NONE};
    enum lp2p_err err = lp2p_noise_feed(link->noise, in, loop.now, &used);
    bench_send_handshake(link);
    lp2p_noise_next(link->noise, &event);
    if (err != LP2P_OK || event.kind == LP2P_NOISE_FAILED) {
        bench_link_end(link, "the handshake failed");
        return in.len;
    }
    if (event.kind == LP2P_NOISE_ESTABLISHED && event.muxer >= 0) {
        mux_start(link);
    } else if (event.kind == LP2P_NOISE_ESTABLISHED) {
        link->mss = lp2p_mss_new_dialer(PROPOSE_YAMUX, 1, true);
        link->state = BENCH_LINK_MUXER;
        lp2p_mss_next(link->mss, &(struct lp2p_mss_event){0});
        bench_send_sealed_mss(link);
    }
    return used;
}

/** Plain bytes, or frames: what is at the front of the received bytes is used up; false when more is needed. */
bool bench_link_input(struct bench_link *link)
{
    struct lp2p_span in = lp2p_span(link->rx->bytes + link->rx_from, link->rx_to - link->rx_from);
    if (in.len == 0 || link->state == BENCH_LINK_ENDED) {
        return false;
    }
    if (link->state == BENCH_LINK_SECURITY) {
        link->rx_from += feed_mss(link, in);
        return true;
    }
    if (link->state == BENCH_LINK_HANDSHAKE) {
        size_t used = feed_handshake(link, in);
        link->rx_from += used;
        return used > 0;
    }
    size_t size = 0;
    struct lp2p_span plain;
    if (lp2p_noise_frame_size(in, &size) != LP2P_OK || (size != 0 && size <= in.len &&
            lp2p_noise_open(link->noise, link->rx->bytes + link->rx_from, size, &plain) != LP2P_OK)) {
        bench_link_end(link, "a bad frame");
        return false;
    }
    if (size == 0 || size > in.len) {
        return false;
    }
    link->rx_from += size;
    if (link->state == BENCH_LINK_MUXER) {
        plain = lp2p_span_skip(plain, feed_mss(link, plain));
    }
    if (plain.len > 0 && link->state == BENCH_LINK_OPEN) {
        struct lp2p_slice slice = lp2p_slice_of(link->rx, link->rx->bytes + (plain.ptr - link->rx->bytes), plain.len);
        enum lp2p_err err = lp2p_yamux_ops.feed(link->mux, &slice, loop.now);
        lp2p_slice_drop(&slice);
        if (err != LP2P_OK) {
            bench_link_end(link, "a bad yamux frame");
        } else {
            bench_streams_pump(link);
        }
    }
    return true;
}

static void connected(struct bench_link *link)
{
    int err = 0;
    socklen_t len = sizeof(err);
    (void)getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err != 0) {
        bench_link_end(link, strerror(err));
        return;
    }
    link->state = BENCH_LINK_SECURITY;
    bench_link_blocked(link, false);
    bench_send_handshake(link); /* the proposal, and the first message of the handshake with it */
}

void bench_loop_step(int timeout_ms)
{
    struct epoll_event events[256];
    /* What was written since the last round leaves first. */
    for (struct bench_link *link = loop.all, *next; link != NULL; link = next) {
        next = link->next;
        if (link->state == BENCH_LINK_OPEN && !link->blocked) {
            bench_link_flush(link);
        }
    }
    int n = epoll_wait(loop.epoll, events, 256, timeout_ms);
    loop.now = bench_now();
    for (int i = 0; i < n; i++) {
        struct bench_link *link = events[i].data.ptr;
        if (link->state == BENCH_LINK_CONNECTING) {
            connected(link);
        }
        if ((events[i].events & EPOLLOUT) != 0 && link->state != BENCH_LINK_ENDED) {
            bench_link_flush(link);
        }
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && link->state != BENCH_LINK_ENDED) {
            bench_link_receive(link);
        }
        if (link->state == BENCH_LINK_OPEN && !link->blocked) {
            bench_link_flush(link);
        }
    }
    while (loop.dead != NULL) {
        struct bench_link *link = loop.dead;
        loop.dead = link->next;
        link_free(link);
    }
}
