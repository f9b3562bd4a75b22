/* SPDX-License-Identifier: MIT
 * One key of ChaCha20-Poly1305 with the counter of Noise, sealing and opening in place (Noise spec
 * section 5.1 and 12.3: the nonce is 4 zero bytes and the 8-byte little-endian counter). Behind it is one of
 * three libraries (README); an idle key costs what this struct takes. Owned by one actor; once `frames` is
 * set one object is used for one direction only. */
#ifndef LP2P_NOISE_AEAD_H
#define LP2P_NOISE_AEAD_H

#include "base/err.h"
#include "base/span.h"
#include "secure/secure.h"

#define LP2P_AEAD_KEY 32
#define LP2P_AEAD_TAG 16
#define LP2P_AEAD_LARGE 1024 /* bytes of text from which libcrypto is faster than libsodium */

struct lp2p_aead_library;

struct lp2p_aead {
    uint8_t key[LP2P_AEAD_KEY];
    uint64_t nonce;                          /* of the next text; the last value is reserved */
    const struct lp2p_aead_library *library; /* NULL: libsodium */
    void *context;                           /* the library's, with the key in place, or NULL */
    uint64_t id; /* names this key to a library that shares its contexts; 0: none yet */
};

/** Gets the libraries ready, once for the process and before its threads use keys; repeated calls are
 * harmless. Before it the keys use libsodium and libcrypto. */
void lp2p_noise_library_init(void);
/** Which library seals frames from now on, in the whole process: "libgcrypt", "libcrypto", "libsodium", or
 * NULL for the fastest that is there. Keys that exist keep theirs. ENOTFOUND: not compiled in, or it refuses
 * to work. For tests and the bench (option --cipher), before a node is started. */
enum lp2p_err lp2p_noise_cipher(const char *name) LP2P_MUST_CHECK;
/** The name of that library. */
const char *lp2p_noise_cipher_name(void);

/** Takes the key with counter 0. `frames`: many texts will come, all of one direction; the library for frames
 * may be used. Otherwise libsodium does it. */
void lp2p_aead_init(struct lp2p_aead *aead, const uint8_t key[LP2P_AEAD_KEY], bool frames);
/** Wipes the key; harmless on a zeroed object and when repeated. */
void lp2p_aead_fini(struct lp2p_aead *aead);
/** Encrypts len bytes at text and writes the tag behind them. ELIMIT: the counter is used up. */
enum lp2p_err lp2p_aead_seal(struct lp2p_aead *aead, struct lp2p_span ad, uint8_t *text,
                             size_t len) LP2P_MUST_CHECK;
/** As seal without additional data, for a text parts of which still lie elsewhere. */
enum lp2p_err lp2p_aead_seal_parts(struct lp2p_aead *aead, uint8_t *text, size_t len,
                                   const struct lp2p_secure_part *parts, size_t parts_len) LP2P_MUST_CHECK;
/** Checks the tag behind len bytes at text and decrypts them. EAUTH: the bytes at text are wiped, and the
 * counter did not move. ELIMIT: the counter is used up. */
enum lp2p_err lp2p_aead_open(struct lp2p_aead *aead, struct lp2p_span ad, uint8_t *text,
                             size_t len) LP2P_MUST_CHECK;

#endif
