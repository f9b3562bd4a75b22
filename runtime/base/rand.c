/* SPDX-License-Identifier: MIT */
#include "base/rand.h"

#include <string.h>

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t seeded_next(struct lp2p_rand_seeded *gen)
{
    uint64_t *s = gen->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static void seeded_fill(void *ctx, void *out, size_t len)
{
    uint8_t *at = (uint8_t *)out;
    while (len > 0) {
        uint64_t value = seeded_next((struct lp2p_rand_seeded *)ctx);
        size_t n = len < sizeof(value) ? len : sizeof(value);
        memcpy(at, &value, n);
        at += n;
        len -= n;
    }
}

void lp2p_rand_seeded_init(struct lp2p_rand_seeded *gen, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        gen->s[i] = splitmix(&seed);
    }
}

struct lp2p_rand lp2p_rand_seeded_source(struct lp2p_rand_seeded *gen)
{
    return (struct lp2p_rand){seeded_fill, gen};
}
