/* SPDX-License-Identifier: MIT
 * One key of ChaCha20-Poly1305 with the counter of Noise, sealing and opening in place (Noise spec
 * section 5.1 and 12.3: the nonce is 4 zero bytes and the 8-byte little-endian counter). Small texts go
 * through libsodium; from LP2P_AEAD_LARGE bytes up libcrypto is twice as fast, and its context is made when
 * the first large text comes, so that an idle key is small. Owned by one actor; one object is used for one
 * direction only once `large` is set. */
#ifndef LP2P_NOISE_AEAD_H
#define LP2P_NOISE_AEAD_H

#include "base/err.h"
#include "base/span.h"

#define LP2P_AEAD_KEY 32
#define LP2P_AEAD_TAG 16
#define LP2P_AEAD_LARGE 1024 /* bytes of text from which libcrypto is the faster one */

struct lp2p_aead {
    uint8_t key[LP2P_AEAD_KEY];
    uint64_t nonce; /* of the next text; the last value is reserved */
    void *evp;      /* EVP_CIPHER_CTX with the key in place, or NULL */
    bool large;     /* libcrypto may be used */
};

/** Takes the key with counter 0. `large`: texts of one direction only will come, and libcrypto may be used
 * for them. */
void lp2p_aead_init(struct lp2p_aead *aead, const uint8_t key[LP2P_AEAD_KEY], bool large);
/** Wipes the key; harmless on a zeroed object and when repeated. */
void lp2p_aead_fini(struct lp2p_aead *aead);
/** Encrypts len bytes at text and writes the tag behind them. ELIMIT: the counter is used up. */
enum lp2p_err lp2p_aead_seal(struct lp2p_aead *aead, struct lp2p_span ad, uint8_t *text,
                             size_t len) LP2P_MUST_CHECK;
/** Checks the tag behind len bytes at text, then decrypts them. EAUTH: nothing useful is left at text, and
 * the counter did not move. ELIMIT: the counter is used up. */
enum lp2p_err lp2p_aead_open(struct lp2p_aead *aead, struct lp2p_span ad, uint8_t *text,
                             size_t len) LP2P_MUST_CHECK;

#endif
