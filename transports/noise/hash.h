/* SPDX-License-Identifier: MIT
 * SHA-256 and HMAC of the handshake's few short texts: by libgcrypt when it seals the frames (it uses the processor's own
 * instructions), else by libsodium. Internal to the room. Any thread. */
#ifndef LP2P_NOISE_HASH_H
#define LP2P_NOISE_HASH_H

#include "base/span.h"

#define LP2P_HASH_BYTES 32

/** SHA-256 of both, one behind the other; out may lie in either. */
void lp2p_noise_hash(struct lp2p_span a, struct lp2p_span b, uint8_t out[LP2P_HASH_BYTES]);
/** HMAC-SHA256 of both, one behind the other; out may lie in either, or be the key. */
void lp2p_noise_hmac(const uint8_t key[LP2P_HASH_BYTES], struct lp2p_span a, struct lp2p_span b,
                     uint8_t out[LP2P_HASH_BYTES]);
/** Wipes what hashes of secrets have left on the stack of this thread, below the caller. */
void lp2p_noise_hash_wipe(void);

#endif
