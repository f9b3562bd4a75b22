/* SPDX-License-Identifier: MIT
 * Randomness as a parameter: machines draw from what they are given, so that one seed is one run. */
#ifndef LP2P_BASE_RAND_H
#define LP2P_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/** A source of random bytes. The owner decides whether it is safe for keys; `fill` never fails. */
struct lp2p_rand {
    void (*fill)(void *ctx, void *out, size_t len);
    void *ctx;
};

static inline void lp2p_rand_fill(const struct lp2p_rand *rand, void *out, size_t len)
{
    rand->fill(rand->ctx, out, len);
}

static inline uint64_t lp2p_rand_u64(const struct lp2p_rand *rand)
{
    uint64_t value;
    rand->fill(rand->ctx, &value, sizeof(value));
    return value;
}

/** Uniform in 0 .. bound-1; bound must not be 0. The bias is below bound / 2^64. */
static inline uint64_t lp2p_rand_below(const struct lp2p_rand *rand, uint64_t bound)
{
    return lp2p_rand_u64(rand) % bound;
}

/** A seeded generator (xoshiro256**) for simulation, jitter and tests; never for keys. */
struct lp2p_rand_seeded {
    uint64_t s[4];
};
void lp2p_rand_seeded_init(struct lp2p_rand_seeded *gen, uint64_t seed);
/** The generator as a source; `gen` must outlive it and be used by one thread. */
struct lp2p_rand lp2p_rand_seeded_source(struct lp2p_rand_seeded *gen);

#endif
