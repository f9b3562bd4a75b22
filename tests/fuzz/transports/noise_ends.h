/* SPDX-License-Identifier: MIT
 * Fixed identities and a random source for the fuzz targets of Noise: one input is one run. */
#ifndef LP2P_FUZZ_NOISE_ENDS_H
#define LP2P_FUZZ_NOISE_ENDS_H

#include "base/check.h"
#include "noise/handshake.h"
#include "noise/noise.h"

#include <sodium.h>
#include <stdlib.h>

static const char *const noise_muxers[] = {"/yamux/1.0.0", "/mplex/6.7.0"};

struct noise_ends {
    struct lp2p_rand_seeded gen;
    struct lp2p_rand rand;
    struct lp2p_private_key keys[2];
    struct lp2p_peer_id ids[2];
    struct lp2p_noise_identity identities[2];
};

/** Made once: the signatures are the slow part. */
static inline struct noise_ends *noise_ends_get(void)
{
    static struct noise_ends ends;
    if (ends.rand.fill == NULL) {
        LP2P_CHECK(sodium_init() >= 0);
        ends.rand = lp2p_rand_seeded_source(&ends.gen);
        lp2p_rand_seeded_init(&ends.gen, 7);
        for (int i = 0; i < 2; i++) {
            struct lp2p_public_key key;
            lp2p_private_key_generate(&ends.rand, &ends.keys[i]);
            lp2p_private_key_public(&ends.keys[i], &key);
            lp2p_peer_id_from_key(&key, &ends.ids[i]);
            enum lp2p_err err = lp2p_noise_identity_init(&ends.identities[i], &ends.keys[i], noise_muxers, 2,
                                                         &ends.rand);
            LP2P_CHECK(err == LP2P_OK);
        }
    }
    lp2p_rand_seeded_init(&ends.gen, 8);
    return &ends;
}

#endif
