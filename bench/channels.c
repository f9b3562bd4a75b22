/* SPDX-License-Identifier: MIT
 * The secure channels alone, both ends in one thread and in memory: what a handshake, a megabyte and a channel that rests cost,
 * for Noise and for TLS with each of its libraries. One JSON line for each.
 *
 *   bench_channels [SECONDS]     SECONDS: how long each case runs, about */
#include "figures.h"

#include "noise/aead.h"
#include "noise/noise.h"
#include "tls/tls.h"

#include <malloc.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RESTING 64 /* channels that are held to see what one takes */

extern const struct lp2p_tls_backend lp2p_tls_mbedtls, lp2p_tls_openssl;

struct kind {
    const char *name;
    const struct lp2p_secure_ops *ops;
    const void *identities[2];
};

static void random_bytes(void *ctx, void *out, size_t len)
{
    (void)ctx;
    randombytes_buf(out, len);
}
static const struct lp2p_rand source = {random_bytes, NULL};

_Noreturn static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_channels: %s\n", what);
    exit(1);
}

static double now_s(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/** Frames of the handshake may be followed by frames of the channel (a session ticket): those are opened. */
static void take_rest(struct lp2p_secure *end, uint8_t *bytes, size_t len)
{
    while (len > 0) {
        size_t size = 0;
        struct lp2p_span plain;
        if (end->ops->frame_size(lp2p_span(bytes, len), &size) != LP2P_OK || size == 0 || size > len ||
            end->ops->open(end, bytes, size, &plain) != LP2P_OK) {
            fail("what follows a handshake cannot be read");
        }
        bytes += size;
        len -= size;
    }
}

static bool established(struct lp2p_secure *end)
{
    struct lp2p_secure_event event;
    end->ops->next(end, &event);
    if (event.kind == LP2P_SECURE_FAILED) {
        fail(lp2p_strerror(event.reason));
    }
    return event.kind == LP2P_SECURE_ESTABLISHED;
}

static void handshake(const struct kind *kind, struct lp2p_secure *ends[2])
{
    uint8_t wire[16384];
    bool done[2] = {false, false};
    for (int i = 0; i < 2; i++) {
        const struct lp2p_secure_start start = {
            .identity = kind->identities[i], .initiator = i == 0, .rand = &source, .wall_s = (int64_t)time(NULL)};
        ends[i] = kind->ops->start(&start);
        if (ends[i] == NULL) {
            fail("no memory");
        }
    }
    for (int turn = 0; turn < 64; turn++) {
        int from = turn % 2, to = 1 - from;
        size_t used = 0, len = kind->ops->drain(ends[from], wire, sizeof(wire), 0);
        done[from] = done[from] || established(ends[from]);
        if (len > 0 && !done[to]) {
            if (kind->ops->feed(ends[to], lp2p_span(wire, len), 0, &used) != LP2P_OK) {
                fail("a handshake failed");
            }
            done[to] = done[to] || established(ends[to]);
        }
        take_rest(ends[to], wire + used, len - used);
        if (done[0] && done[1] && len == 0) {
            return;
        }
    }
    fail("a handshake does not end");
}

static void drop(struct lp2p_secure *ends[2])
{
    lp2p_secure_free(ends[0]);
    lp2p_secure_free(ends[1]);
}

static double handshake_us(const struct kind *kind, double seconds)
{
    struct lp2p_secure *ends[2];
    double begin = now_s(), took = 0;
    unsigned times = 0;
    while (took < seconds) {
        handshake(kind, ends);
        drop(ends);
        times++;
        took = now_s() - begin;
    }
    return took / times * 1e6;
}

/** Sealed by one end and opened by the other. */
static double bulk_mb_per_s(const struct kind *kind, double seconds)
{
    struct lp2p_secure *ends[2];
    size_t plain_len = kind->ops->plain_max, bytes = 0;
    uint8_t *frame = calloc(1, plain_len + LP2P_SECURE_HEAD_MAX + LP2P_SECURE_TAIL_MAX);
    if (frame == NULL) {
        fail("no memory");
    }
    handshake(kind, ends);
    double begin = now_s(), took = 0;
    while (took < seconds) {
        for (int i = 0; i < 64; i++) {
            struct lp2p_span plain;
            size_t size = 0;
            if (kind->ops->seal(ends[0], frame, plain_len, &size) != LP2P_OK ||
                kind->ops->open(ends[1], frame, size, &plain) != LP2P_OK || plain.len != plain_len) {
                fail("a frame did not arrive");
            }
            bytes += plain_len;
        }
        took = now_s() - begin;
    }
    drop(ends);
    free(frame);
    return (double)bytes / took / 1e6;
}

static double resting_bytes(const struct kind *kind)
{
    static struct lp2p_secure *ends[RESTING][2];
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < RESTING; i++) {
        handshake(kind, ends[i]);
    }
    size_t after = mallinfo2().uordblks;
    for (int i = 0; i < RESTING; i++) {
        drop(ends[i]);
    }
    return after > before ? (double)(after - before) / (2 * RESTING) : 0;
}

static void measure(const struct kind *kind, double seconds)
{
    struct lp2p_secure *ends[2];
    handshake(kind, ends); /* what is made once for a process is not a channel's */
    drop(ends);
    double resting = resting_bytes(kind);
    bench_print(kind->name, "cpu_us", handshake_us(kind, seconds), "rate", bulk_mb_per_s(kind, seconds), "heap_bytes", resting, NULL);
}

static enum lp2p_err sign(void *ctx, struct lp2p_span message, uint8_t *out, size_t *len)
{
    *len = lp2p_private_key_sign(ctx, message, out);
    return *len > 0 ? LP2P_OK : LP2P_EINVAL;
}

static void measure_tls(const char *name, const struct lp2p_tls_backend *backend, struct lp2p_private_key *key, double seconds)
{
    static const char *const muxers[] = {"/yamux/1.0.0"};
    struct lp2p_public_key public_key;
    struct lp2p_tls_identity identity;
    lp2p_private_key_public(key, &public_key);
    const struct lp2p_tls_identity_options options = {.backend = backend, .public_key = lp2p_public_key_encoded(&public_key),
        .sign = sign, .sign_ctx = key, .muxers = muxers, .muxers_len = 1, .rand = &source, .wall_s = (int64_t)time(NULL)};
    if (lp2p_tls_identity_init(&identity, &options) != LP2P_OK) {
        fail("no identity for TLS");
    }
    const struct kind kind = {name, &lp2p_tls_secure, {&identity, &identity}};
    measure(&kind, seconds);
    lp2p_tls_identity_wipe(&identity);
}

int main(int argc, char **argv)
{
    static const char *const muxers[] = {"/yamux/1.0.0"};
    double seconds = argc > 1 ? atof(argv[1]) : 1.0;
    struct lp2p_private_key key;
    struct lp2p_noise_identity noise;
    if (sodium_init() < 0) {
        fail("no libsodium");
    }
    lp2p_noise_library_init();
    lp2p_private_key_generate(&source, &key);
    if (lp2p_noise_identity_init(&noise, &key, muxers, 1, &source) != LP2P_OK) {
        fail("no identity for Noise");
    }
    const struct kind kind = {"noise", &lp2p_noise_secure, {&noise, &noise}};
    measure(&kind, seconds);
#ifdef BENCH_TLS_MBEDTLS
    measure_tls("tls-mbedtls", &lp2p_tls_mbedtls, &key, seconds);
#endif
#ifdef BENCH_TLS_OPENSSL
    measure_tls("tls-openssl", &lp2p_tls_openssl, &key, seconds);
#endif
    bench_print("end", NULL);
    lp2p_noise_identity_wipe(&noise);
    lp2p_private_key_wipe(&key);
    return 0;
}
