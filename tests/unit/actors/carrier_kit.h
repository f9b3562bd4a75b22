/* SPDX-License-Identifier: MIT
 * Two ends of a connection over loopback, driven by one thread, and a network between carrier and kernel that cuts reads and
 * writes as small as a test wants. Each file uses a part of it. */
#ifndef LP2P_TESTS_CARRIER_KIT_H
#define LP2P_TESTS_CARRIER_KIT_H

#include "actors/link/carrier.h"
#include "base/check.h"
#include "base/rand.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

/** Limits of one end's system calls; counts them too. */
struct cutter {
    size_t read_max, write_max; /* bytes of one call; 0: as they come */
    bool write_blocked;
    bool every_other; /* each second call says EAGAIN first */
    unsigned reads, writes;
    uint64_t written, taken; /* bytes */
    struct lp2p_net net;
};

struct end {
    struct cutter cut;
    struct lp2p_carrier *carrier;
    int fd; /* the bare descriptor while there is no carrier */
    enum lp2p_err up;   /* of set_up */
    bool eof;
    enum lp2p_err err;  /* of read */
    uint64_t sent, got; /* bytes of the pattern */
};

static inline enum lp2p_err cut_read(void *ctx, int fd, void *out, size_t len, size_t *got)
{
    struct cutter *cut = ctx;
    if (cut->every_other && ++cut->reads % 2 == 0) {
        *got = 0;
        return LP2P_EAGAIN;
    }
    enum lp2p_err err =
        lp2p_net_posix.read(NULL, fd, out, cut->read_max == 0 ? len : LP2P_MIN(len, cut->read_max), got);
    cut->taken += err == LP2P_OK ? *got : 0;
    return err;
}

static inline enum lp2p_err cut_writev(void *ctx, int fd, const struct iovec *iov, int iov_len, size_t *put)
{
    struct cutter *cut = ctx;
    *put = 0;
    if (cut->write_blocked || (cut->every_other && ++cut->writes % 2 == 0)) {
        return LP2P_EAGAIN;
    }
    struct iovec one;
    if (cut->write_max != 0) {
        int i = 0;
        while (i < iov_len && iov[i].iov_len == 0) {
            i++;
        }
        if (i == iov_len) {
            return LP2P_OK;
        }
        one = (struct iovec){iov[i].iov_base, LP2P_MIN(iov[i].iov_len, cut->write_max)};
        iov = &one;
        iov_len = 1;
    }
    enum lp2p_err err = lp2p_net_posix.writev(NULL, fd, iov, iov_len, put);
    cut->written += *put;
    return err;
}

static inline void cut_close(void *ctx, int fd)
{
    (void)ctx;
    lp2p_net_posix.close(NULL, fd);
}

static inline void end_init(struct end *end, int fd)
{
    *end = (struct end){.fd = fd, .up = LP2P_EAGAIN};
    end->cut.net = lp2p_net_posix;
    end->cut.net.ctx = &end->cut;
    end->cut.net.read = cut_read;
    end->cut.net.writev = cut_writev;
    end->cut.net.close = cut_close;
}

/** A connected pair of sockets: `a` dialed, `b` accepted. */
static inline void connect_ends(struct end *a, struct end *b)
{
    const struct lp2p_net *net = &lp2p_net_posix;
    struct lp2p_ip_port any = {.ip = {127, 0, 0, 1}, .ip_len = 4}, bound, remote, local;
    int listen_fd, fd, accepted;
    assert_int_equal(net->listen(net->ctx, &any, 4, &listen_fd, &bound), LP2P_OK);
    assert_int_equal(net->connect(net->ctx, &bound, NULL, &fd), LP2P_OK);
    struct pollfd wait = {listen_fd, POLLIN, 0};
    assert_int_equal(poll(&wait, 1, 10000), 1);
    assert_int_equal(net->accept(net->ctx, listen_fd, &accepted, &remote, &local), LP2P_OK);
    wait = (struct pollfd){fd, POLLOUT, 0};
    assert_int_equal(poll(&wait, 1, 10000), 1);
    assert_int_equal(net->connect_result(net->ctx, fd, &local), LP2P_OK);
    net->close(net->ctx, listen_fd);
    end_init(a, fd);
    end_init(b, accepted);
}

/** The bare socket of this end as a carrier, over its cutter. */
static inline struct lp2p_carrier *tcp_of(struct end *end)
{
    struct lp2p_carrier *tcp = lp2p_carrier_tcp(&end->cut.net, end->fd);
    assert_non_null(tcp);
    end->fd = -1;
    return tcp;
}

static inline struct lp2p_rand kit_rand(void)
{
    static struct lp2p_rand_seeded gen;
    static bool begun;
    if (!begun) {
        lp2p_rand_seeded_init(&gen, 99);
        begun = true;
    }
    return lp2p_rand_seeded_source(&gen);
}

/** Drives set_up of both until each has said something final. */
static inline void set_up_ends(struct end *a, struct end *b)
{
    for (int i = 0; i < 1000000 && (a->up == LP2P_EAGAIN || b->up == LP2P_EAGAIN); i++) {
        a->up = a->up == LP2P_EAGAIN ? a->carrier->ops->set_up(a->carrier, 0) : a->up;
        b->up = b->up == LP2P_EAGAIN ? b->carrier->ops->set_up(b->carrier, 0) : b->up;
    }
}

static inline uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) + (at >> 16));
}

/** Writes what goes of the pattern up to `total` bytes, in a vector of several parts. */
static inline enum lp2p_err send_some(struct end *end, uint64_t total)
{
    static uint8_t bytes[200000];
    size_t len = (size_t)LP2P_MIN(total - end->sent, total < 500000 ? 3000 : sizeof(bytes)), put = 0;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = pattern(end->sent + i);
    }
    size_t first = len / 7, second = len / 3;
    const struct iovec iov[] = {{bytes, first}, {bytes, 0}, {bytes + first, second}, {bytes + first + second, len - first - second}};
    enum lp2p_err err = end->carrier->ops->writev(end->carrier, iov, 4, &put);
    assert_true(put <= len && (err == LP2P_OK || put == 0));
    end->sent += put;
    return err;
}

static inline void flush_end(struct end *end)
{
    size_t put = 0;
    if (lp2p_carrier_wants_write(end->carrier)) {
        enum lp2p_err err = end->carrier->ops->writev(end->carrier, NULL, 0, &put);
        assert_true(err == LP2P_OK || err == LP2P_EAGAIN || err == LP2P_ECONNRESET);
        assert_int_equal(put, 0);
    }
}

/** Reads what is there, at most `room` bytes at once, and compares it with the pattern. */
static inline void receive_some(struct end *end, size_t room)
{
    static uint8_t bytes[200000];
    size_t got = 0;
    if (end->eof || end->err != LP2P_OK) {
        return;
    }
    enum lp2p_err err = end->carrier->ops->read(end->carrier, bytes, LP2P_MIN(room, sizeof(bytes)), &got);
    assert_true(got <= room && (err == LP2P_OK || got == 0));
    for (size_t i = 0; i < got; i++) {
        if (bytes[i] != pattern(end->got + i)) {
            fail_msg("byte %llu differs", (unsigned long long)(end->got + i));
        }
    }
    end->got += got;
    end->eof = err == LP2P_OK && got == 0;
    end->err = err == LP2P_EAGAIN ? LP2P_OK : err;
}

/** Both send `total` bytes and receive the other's. */
static inline void exchange(struct end *a, struct end *b, uint64_t total, size_t room)
{
    struct end *ends[] = {a, b};
    for (int i = 0; i < 20000000 && (a->got < total || b->got < total); i++) {
        for (int k = 0; k < 2; k++) {
            if (ends[k]->sent < total) {
                enum lp2p_err err = send_some(ends[k], total);
                assert_true(err == LP2P_OK || err == LP2P_EAGAIN);
            }
            flush_end(ends[k]);
            receive_some(ends[k], room);
            assert_false(ends[k]->eof);
            assert_int_equal(ends[k]->err, LP2P_OK);
        }
    }
    assert_true(a->got == total && b->got == total);
}

/** Waits until the descriptor is readable (a minute), for what is not polled. */
static inline void wait_readable(int fd)
{
    struct pollfd wait = {fd, POLLIN, 0};
    assert_int_equal(poll(&wait, 1, 60000), 1);
}

static inline void close_ends(struct end *a, struct end *b)
{
    struct end *ends[] = {a, b};
    for (int k = 0; k < 2; k++) {
        lp2p_carrier_close(&ends[k]->carrier);
        if (ends[k]->fd >= 0) {
            lp2p_net_posix.close(NULL, ends[k]->fd);
            ends[k]->fd = -1;
        }
    }
}

/** A bare socket sends all of it and is told what came back until the other side closed or `len` is full. */
static inline void raw_say(struct end *end, const void *bytes, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    size_t put = 0;
    assert_int_equal(lp2p_net_posix.writev(NULL, end->fd, &iov, 1, &put), LP2P_OK);
    assert_int_equal(put, len);
}

#endif
