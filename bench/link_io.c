/* SPDX-License-Identifier: MIT */
#include "link_io.h"

#include "multistream/multistream.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static uint8_t scratch[4 * BENCH_FRAME_BYTES]; /* frames of one write; one thread */
static struct lp2p_buf *spare;                 /* a slab that nobody uses now */

/** Sends from the scratch; what the socket does not take is kept with the link. */
static void send_scratch(struct bench_link *link, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        ssize_t n = send(link->fd, scratch + sent, len - sent, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            bench_link_end(link, strerror(errno));
            return;
        }
    }
    if (sent == len) {
        return;
    }
    if (link->tx == NULL && (link->tx = malloc(sizeof(scratch))) == NULL) {
        bench_fatal("memory");
    }
    memcpy(link->tx, scratch + sent, len - sent);
    link->tx_from = 0;
    link->tx_to = len - sent;
    bench_link_blocked(link, true);
}

void bench_send_handshake(struct bench_link *link)
{
    size_t len = 0;
    if (link->mss != NULL) {
        struct lp2p_mss_event event;
        lp2p_mss_next(link->mss, &event);
        len += lp2p_mss_drain(link->mss, scratch, sizeof(scratch), bench_loop_now());
    }
    len += lp2p_noise_drain(link->noise, scratch + len, sizeof(scratch) - len, bench_loop_now());
    send_scratch(link, len);
}

void bench_send_sealed_mss(struct bench_link *link)
{
    size_t size = 0;
    size_t len = lp2p_mss_drain(link->mss, scratch + LP2P_NOISE_PREFIX, LP2P_NOISE_PLAIN_MAX, bench_loop_now());
    if (len > 0 && lp2p_noise_seal(link->noise, scratch, len, &size) == LP2P_OK) {
        send_scratch(link, size);
    }
}

/** The rest of an earlier write; false when the socket does not take all of it. */
static bool send_rest(struct bench_link *link)
{
    while (link->tx_from < link->tx_to) {
        ssize_t n = send(link->fd, link->tx + link->tx_from, link->tx_to - link->tx_from, MSG_NOSIGNAL);
        if (n > 0) {
            link->tx_from += (size_t)n;
        } else if (errno == EAGAIN) {
            return false;
        } else if (errno != EINTR) {
            bench_link_end(link, strerror(errno));
            return false;
        }
    }
    bench_link_blocked(link, false);
    return true;
}

void bench_link_flush(struct bench_link *link)
{
    if (!send_rest(link) || link->state != BENCH_LINK_OPEN) {
        return;
    }
    while (!link->blocked && link->state == BENCH_LINK_OPEN && lp2p_yamux_ops.wants_write(link->mux)) {
        size_t len = 0;
        while (sizeof(scratch) - len >= BENCH_FRAME_BYTES) {
            size_t plain = lp2p_yamux_ops.drain(link->mux, scratch + len + LP2P_NOISE_PREFIX, LP2P_NOISE_PLAIN_MAX,
                                                bench_loop_now());
            size_t size = 0;
            if (plain == 0) {
                break;
            }
            if (lp2p_noise_seal(link->noise, scratch + len, plain, &size) != LP2P_OK) {
                bench_link_end(link, "the cipher is used up");
                return;
            }
            len += size;
        }
        if (len == 0) {
            return;
        }
        send_scratch(link, len);
        bench_streams_pump(link); /* what was framed makes room: more may be written at once */
    }
}

/** Room for at least one whole frame behind what is there. */
static void make_room(struct bench_link *link)
{
    if (link->rx != NULL && link->rx_from == link->rx_to && lp2p_buf_alone(link->rx)) {
        link->rx_from = link->rx_to = 0;
    }
    if (link->rx != NULL && link->rx->cap - link->rx_to >= BENCH_FRAME_BYTES) {
        return;
    }
    struct lp2p_buf *fresh = spare != NULL ? spare : lp2p_buf_new(BENCH_READ_BYTES);
    spare = NULL;
    if (fresh == NULL) {
        bench_fatal("memory");
    }
    size_t rest = link->rx_to - link->rx_from;
    if (rest > 0) {
        memcpy(fresh->bytes, link->rx->bytes + link->rx_from, rest);
    }
    lp2p_buf_drop(&link->rx);
    link->rx = fresh;
    link->rx_from = 0;
    link->rx_to = rest;
}

/** An idle link holds no slab. */
static void give_back(struct bench_link *link)
{
    if (link->rx_from != link->rx_to) {
        return;
    }
    if (spare == NULL && lp2p_buf_alone(link->rx)) {
        spare = link->rx;
        link->rx = NULL;
    } else {
        lp2p_buf_drop(&link->rx);
    }
    link->rx_from = link->rx_to = 0;
}

void bench_link_receive(struct bench_link *link)
{
    make_room(link);
    ssize_t n = recv(link->fd, link->rx->bytes + link->rx_to, link->rx->cap - link->rx_to, 0);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            bench_link_end(link, n == 0 ? "the peer has closed the connection" : strerror(errno));
        }
        return;
    }
    link->rx_to += (size_t)n;
    while (bench_link_input(link)) {
    }
    give_back(link);
}
