/* SPDX-License-Identifier: MIT */
#include "link_raw.h"

#include "multistream/multistream.h"

#include <sodium.h>
#include <string.h>
#include <time.h>

#define PATIENCE 60000 /* pauses of a millisecond */

static void fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    randombytes_buf(out, len);
}

static const struct lp2p_rand randomness = {fill, NULL};
static const char *const muxers[] = {"/yamux/1.0.0"};

void raw_pause(struct raw *raw)
{
    const struct timespec step = {0, 1000000};
    if (world_is_simulated(raw->world)) {
        world_pass(raw->world, LP2P_MS(1));
    } else {
        nanosleep(&step, NULL);
    }
}

struct raw *raw_new(struct world *world, struct node *node)
{
    return raw_new_from(world, node, world_stranger(world));
}

struct raw *raw_new_from(struct world *world, struct node *node, const struct lp2p_net *net)
{
    struct raw *raw = calloc(1, sizeof(*raw));
    struct lp2p_ip_port local;
    struct lp2p_door door;
    raw->world = world;
    raw->net = net;
    raw->budget = UINT64_MAX;
    lp2p_private_key_generate(&randomness, &raw->key);
    lp2p_noise_identity_init(&raw->identity, &raw->key, muxers, 1, &randomness);
    assert_int_equal(lp2p_door_read(node_addr(node), &door), LP2P_OK);
    assert_int_equal(raw->net->connect(raw->net->ctx, &door.at, NULL, &raw->fd), LP2P_OK);
    enum lp2p_err err = LP2P_EAGAIN;
    for (int i = 0;
         i < PATIENCE && (err = raw->net->connect_result(raw->net->ctx, raw->fd, &local)) == LP2P_EAGAIN;
         i++) {
        raw_pause(raw);
    }
    assert_int_equal(err, LP2P_OK);
    return raw;
}

void raw_close(struct raw *raw)
{
    if (raw->fd >= 0) {
        raw->net->close(raw->net->ctx, raw->fd);
        raw->fd = -1;
    }
}

void raw_free(struct raw *raw)
{
    raw_close(raw);
    lp2p_noise_free(raw->noise);
    lp2p_noise_identity_wipe(&raw->identity);
    if (raw->mux != NULL) {
        lp2p_yamux_ops.destroy(raw->mux);
    }
    free(raw);
}

void raw_send(struct raw *raw, const void *bytes, size_t len)
{
    len = (size_t)LP2P_MIN((uint64_t)len, raw->budget - raw->sent);
    for (size_t at = 0; at < len && !raw->ended;) {
        struct iovec iov = {(void *)((uintptr_t)bytes + at), len - at};
        size_t put = 0;
        enum lp2p_err err = raw->net->writev(raw->net->ctx, raw->fd, &iov, 1, &put);
        if (err == LP2P_EAGAIN) {
            raw_pause(raw);
            continue;
        }
        raw->ended = err != LP2P_OK;
        at += put;
        raw->sent += put;
    }
}

void raw_receive(struct raw *raw)
{
    while (!raw->ended && raw->in_len < sizeof(raw->in)) {
        size_t got = 0;
        enum lp2p_err err = raw->net->read(raw->net->ctx, raw->fd, raw->in + raw->in_len,
                                           sizeof(raw->in) - raw->in_len, &got);
        if (err == LP2P_EAGAIN) {
            return;
        }
        raw->ended = err != LP2P_OK || got == 0;
        raw->in_len += got;
    }
}

bool raw_until_ended(struct raw *raw)
{
    for (int i = 0; i < PATIENCE && !raw->ended; i++) {
        raw_receive(raw);
        raw->in_len = 0;
        if (!raw->ended) {
            raw_pause(raw);
        }
    }
    return raw->ended;
}

static void take(struct raw *raw, size_t used)
{
    memmove(raw->in, raw->in + used, raw->in_len - used);
    raw->in_len -= used;
}

/** True when there is no use in going on. */
static bool stuck(const struct raw *raw)
{
    return raw->ended || raw->sent >= raw->budget;
}

static bool negotiate(struct raw *raw)
{
    const char *const names[] = {"/noise"};
    struct lp2p_mss *mss = lp2p_mss_new_dialer(names, 1, false);
    struct lp2p_mss_event event = {.kind = LP2P_MSS_NONE};
    for (int i = 0; i < PATIENCE && !stuck(raw); i++) {
        uint8_t out[1024];
        size_t used = 0;
        raw_send(raw, out, lp2p_mss_drain(mss, out, sizeof(out), 0));
        raw_receive(raw);
        assert_int_equal(lp2p_mss_feed(mss, lp2p_span(raw->in, raw->in_len), 0, &used), LP2P_OK);
        take(raw, used);
        lp2p_mss_next(mss, &event);
        if (event.kind != LP2P_MSS_NONE) {
            break;
        }
        raw_pause(raw);
    }
    lp2p_mss_free(mss);
    return event.kind == LP2P_MSS_SELECTED;
}

bool raw_handshake(struct raw *raw)
{
    if (!negotiate(raw)) {
        return false;
    }
    raw->noise = lp2p_noise_new(&raw->identity, true, NULL, &randomness);
    bool established = false;
    for (int i = 0; i < PATIENCE && !stuck(raw) && !established; i++) {
        uint8_t out[2048];
        size_t used = 0, n;
        raw_receive(raw);
        assert_int_equal(lp2p_noise_feed(raw->noise, lp2p_span(raw->in, raw->in_len), 0, &used), LP2P_OK);
        take(raw, used);
        while ((n = lp2p_noise_drain(raw->noise, out, sizeof(out), 0)) > 0) {
            raw_send(raw, out, n);
        }
        struct lp2p_noise_event event;
        lp2p_noise_next(raw->noise, &event);
        established = event.kind == LP2P_NOISE_ESTABLISHED;
        assert_int_not_equal(event.kind, LP2P_NOISE_FAILED);
        if (established) {
            raw->muxer = event.muxer;
        } else {
            raw_pause(raw);
        }
    }
    raw->mux = lp2p_yamux_ops.create(&(struct lp2p_mux_config){0}, true, &randomness, world_now(raw->world));
    return established && !stuck(raw);
}

void raw_send_sealed(struct raw *raw, const void *plain, size_t len)
{
    uint8_t *frame = malloc(len + LP2P_NOISE_PREFIX + LP2P_NOISE_TAG);
    size_t size = 0;
    memcpy(frame + LP2P_NOISE_PREFIX, plain, len);
    assert_int_equal(lp2p_noise_seal(raw->noise, frame, len, &size), LP2P_OK);
    raw_send(raw, frame, size);
    free(frame);
}

static void feed_frames(struct raw *raw)
{
    size_t size = 0;
    while (lp2p_noise_frame_size(lp2p_span(raw->in, raw->in_len), &size) == LP2P_OK && size > 0 &&
           size <= raw->in_len) {
        struct lp2p_span plain;
        assert_int_equal(lp2p_noise_open(raw->noise, raw->in, size, &plain), LP2P_OK);
        size_t skip = LP2P_MIN(raw->skip, plain.len);
        raw->skip -= skip;
        struct lp2p_slice slice = lp2p_slice_copy(plain.ptr + skip, plain.len - skip);
        if (slice.len > 0) {
            (void)lp2p_yamux_ops.feed(raw->mux, &slice, world_now(raw->world));
        }
        lp2p_slice_drop(&slice);
        take(raw, size);
    }
}

void raw_mux_turn(struct raw *raw)
{
    uint8_t out[16384];
    size_t n;
    while (!raw->ended && (n = lp2p_yamux_ops.drain(raw->mux, out, sizeof(out), world_now(raw->world))) > 0) {
        raw_send_sealed(raw, out, n);
    }
    raw_receive(raw);
    feed_frames(raw);
}

struct lp2p_mux_event raw_mux_event(struct raw *raw)
{
    struct lp2p_mux_event event = {.kind = LP2P_MUX_NONE};
    for (int i = 0; i < PATIENCE; i++) {
        bool ended = raw->ended;
        raw_mux_turn(raw);
        lp2p_yamux_ops.next(raw->mux, &event);
        if (event.kind != LP2P_MUX_NONE || ended) {
            break;
        }
        raw_pause(raw);
    }
    return event;
}
