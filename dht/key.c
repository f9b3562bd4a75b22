/* SPDX-License-Identifier: MIT */
#include "dht/key.h"

#include "wire/multihash.h"

struct lp2p_kad_key lp2p_kad_key_of(struct lp2p_span raw)
{
    uint8_t digest[32];
    lp2p_sha256(raw, digest);
    return lp2p_kad_key_load(digest);
}

struct lp2p_kad_key lp2p_kad_key_load(const uint8_t bytes[32])
{
    struct lp2p_kad_key key = {{0}};
    for (unsigned i = 0; i < 32; i++) {
        key.w[i / 8] = key.w[i / 8] << 8 | bytes[i];
    }
    return key;
}

void lp2p_kad_key_store(const struct lp2p_kad_key *key, uint8_t bytes[32])
{
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)(key->w[i / 8] >> (56 - 8 * (i % 8)));
    }
}

struct lp2p_kad_key lp2p_kad_key_distance(const struct lp2p_kad_key *a, const struct lp2p_kad_key *b)
{
    struct lp2p_kad_key out;
    for (unsigned i = 0; i < 4; i++) {
        out.w[i] = a->w[i] ^ b->w[i];
    }
    return out;
}

int lp2p_kad_key_compare(const struct lp2p_kad_key *target, const struct lp2p_kad_key *a,
                         const struct lp2p_kad_key *b)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t da = a->w[i] ^ target->w[i];
        uint64_t db = b->w[i] ^ target->w[i];
        if (da != db) {
            return da < db ? -1 : 1;
        }
    }
    return 0;
}

unsigned lp2p_kad_key_cpl(const struct lp2p_kad_key *a, const struct lp2p_kad_key *b)
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t differs = a->w[i] ^ b->w[i];
        if (differs != 0) {
            return 64 * i + (unsigned)__builtin_clzll(differs);
        }
    }
    return LP2P_KAD_KEY_BITS;
}
