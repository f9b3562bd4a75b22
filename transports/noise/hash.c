/* SPDX-License-Identifier: MIT */
#include "noise/hash.h"

#include "noise/aead_library.h"

#include <sodium.h>

#define BLOCK 64         /* of SHA-256 */
#define LEFT_BEHIND 2048 /* more stack than any of the libraries takes for a hash */

static void hash_parts(const struct lp2p_span *parts, size_t len, uint8_t out[LP2P_HASH_BYTES])
{
    const struct lp2p_aead_library *library = lp2p_aead_library_chosen();
    if (library != NULL && library->hash != NULL && library->hash(parts, len, out)) {
        return;
    }
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < len; i++) {
        if (parts[i].len > 0) {
            crypto_hash_sha256_update(&state, parts[i].ptr, parts[i].len);
        }
    }
    crypto_hash_sha256_final(&state, out);
}

void lp2p_noise_hash(struct lp2p_span a, struct lp2p_span b, uint8_t out[LP2P_HASH_BYTES])
{
    const struct lp2p_span parts[] = {a, b};
    hash_parts(parts, 2, out);
}

/** The key in a block of the pad's byte, in steps of a word. */
static void pad(const uint8_t key[LP2P_HASH_BYTES], uint8_t with, uint8_t out[BLOCK])
{
    const uint64_t pattern = 0x0101010101010101u * (uint64_t)with;
    for (int i = 0; i < BLOCK; i += 8) {
        uint64_t word = 0;
        if (i < LP2P_HASH_BYTES) {
            memcpy(&word, key + i, sizeof(word));
        }
        word ^= pattern;
        memcpy(out + i, &word, sizeof(word));
    }
}

void lp2p_noise_hmac(const uint8_t key[LP2P_HASH_BYTES], struct lp2p_span a, struct lp2p_span b,
                     uint8_t out[LP2P_HASH_BYTES])
{
    uint8_t inner_pad[BLOCK], outer_pad[BLOCK], inner[LP2P_HASH_BYTES];
    pad(key, 0x36, inner_pad);
    pad(key, 0x5c, outer_pad);
    const struct lp2p_span first[LP2P_AEAD_HASH_PARTS] = {lp2p_span(inner_pad, BLOCK), a, b};
    hash_parts(first, LP2P_AEAD_HASH_PARTS, inner);
    const struct lp2p_span second[] = {lp2p_span(outer_pad, BLOCK), lp2p_span(inner, sizeof(inner))};
    hash_parts(second, 2, out);
    sodium_memzero(inner_pad, sizeof(inner_pad));
    sodium_memzero(outer_pad, sizeof(outer_pad));
    sodium_memzero(inner, sizeof(inner));
}

void lp2p_noise_hash_wipe(void)
{
    sodium_stackzero(LEFT_BEHIND);
}
