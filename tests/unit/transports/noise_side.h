/* SPDX-License-Identifier: MIT
 * Two ends of a Noise handshake for tests: fixed keys, bytes carried in pieces, and an end that follows XX
 * but puts whatever a test wants into its payload. */
#ifndef LP2P_TESTS_NOISE_SIDE_H
#define LP2P_TESTS_NOISE_SIDE_H

#include "base/check.h"
#include "noise/handshake.h"
#include "noise/noise.h"

#include <sodium.h>
#include <stdlib.h>

/** A random source that gives the same 32 bytes again and again. */
struct fixed_bytes {
    uint8_t bytes[32];
};

static inline void fixed_fill(void *ctx, void *out, size_t len)
{
    const struct fixed_bytes *fixed = (const struct fixed_bytes *)ctx;
    LP2P_CHECK(len <= sizeof(fixed->bytes));
    memcpy(out, fixed->bytes, len);
}

static inline struct lp2p_rand fixed_source(struct fixed_bytes *fixed)
{
    return (struct lp2p_rand){fixed_fill, fixed};
}

static inline void private_key_of_seed(uint8_t fill, struct lp2p_private_key *key)
{
    uint8_t seed[32];
    memset(seed, fill, sizeof(seed));
    lp2p_private_key_from_seed(seed, key);
}

/** An identity with everything behind it. */
struct side {
    struct lp2p_private_key key;
    struct lp2p_public_key public_key;
    struct lp2p_peer_id id;
    struct lp2p_noise_identity identity;
    struct fixed_bytes ephemeral;
    struct lp2p_noise *noise;
};

static inline void side_init(struct side *side, uint8_t fill, const char *const *muxers, size_t muxers_len)
{
    struct fixed_bytes static_key;
    struct lp2p_rand source = fixed_source(&static_key);
    memset(static_key.bytes, fill + 1, 32);
    memset(side->ephemeral.bytes, fill + 2, 32);
    private_key_of_seed(fill, &side->key);
    lp2p_private_key_public(&side->key, &side->public_key);
    lp2p_peer_id_from_key(&side->public_key, &side->id);
    enum lp2p_err err =
        lp2p_noise_identity_init(&side->identity, &side->key, muxers, muxers_len, &source);
    LP2P_CHECK(err == LP2P_OK);
    side->noise = NULL;
}

static inline void side_start(struct side *side, bool initiator, const struct lp2p_peer_id *expected)
{
    struct lp2p_rand source = fixed_source(&side->ephemeral);
    side->noise = lp2p_noise_new(&side->identity, initiator, expected, &source);
    LP2P_CHECK(side->noise != NULL);
}

static inline void side_stop(struct side *side)
{
    lp2p_noise_free(side->noise);
    side->noise = NULL;
    lp2p_noise_identity_wipe(&side->identity);
}

/** Feeds a copy of the bytes in memory of exactly their size. Returns the bytes used. */
static inline size_t feed_exact(struct side *side, const uint8_t *bytes, size_t len, enum lp2p_err *err)
{
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    size_t used = 0;
    memcpy(copy, bytes, len);
    *err = lp2p_noise_feed(side->noise, lp2p_span(copy, len), 0, &used);
    free(copy);
    return used;
}

/** Runs the handshake of two sides to its end, with pieces of 1..piece_max bytes. */
static inline void shake(struct side *a, struct side *b, struct lp2p_rand *rand, size_t piece_max)
{
    struct side *sides[2] = {a, b};
    for (int quiet = 0; quiet < 64;) {
        int from = (int)lp2p_rand_below(rand, 2);
        uint8_t piece[512];
        size_t cap = 1 + (size_t)lp2p_rand_below(rand, piece_max);
        size_t len = lp2p_noise_drain(sides[from]->noise, piece, cap, 0);
        enum lp2p_err err;
        if (len > 0 && feed_exact(sides[1 - from], piece, len, &err) == len) {
            quiet = 0;
        } else {
            quiet++;
        }
    }
}

/** Appends a length-delimited protobuf field. */
static inline void put_field(uint8_t *out, size_t *at, unsigned number, const void *bytes, size_t len)
{
    out[(*at)++] = (uint8_t)(number << 3 | 2);
    if (len >= 0x80) {
        out[(*at)++] = (uint8_t)(len | 0x80);
        LP2P_CHECK(len < 0x4000);
        out[(*at)++] = (uint8_t)(len >> 7);
    } else {
        out[(*at)++] = (uint8_t)len;
    }
    memcpy(out + *at, bytes, len);
    *at += len;
}

#endif
