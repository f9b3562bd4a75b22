/* SPDX-License-Identifier: MIT
 * The two ciphers of the record layer, in place, with their key kept: libcrypto where the build has it, else
 * libsodium (ChaCha20-Poly1305) and mbedTLS (AES-128-GCM). Private to the room. Owned by one actor. */
#ifndef LP2P_TLS_AEAD_H
#define LP2P_TLS_AEAD_H

#include "secure/secure.h"
#include "tls/backend.h"

#define LP2P_TLS_TAG 16
#define LP2P_TLS_NONCE 12

static inline size_t lp2p_tls_aead_key_size(enum lp2p_tls_suite suite)
{
    return suite == LP2P_TLS_AES_128_GCM ? 16 : 32;
}
/** A cipher with its key, for one direction. NULL: no memory. */
void *lp2p_tls_aead_new(enum lp2p_tls_suite suite, const uint8_t *key, bool seals);
void lp2p_tls_aead_free(enum lp2p_tls_suite suite, void *cipher);
/** Encrypts in place and writes the tag behind. ENOMEM. */
enum lp2p_err lp2p_tls_aead_seal(enum lp2p_tls_suite suite, void *cipher, const uint8_t nonce[LP2P_TLS_NONCE],
                                 struct lp2p_span ad, uint8_t *text, size_t len) LP2P_MUST_CHECK;
/** The same when parts of the plaintext lie elsewhere. */
enum lp2p_err lp2p_tls_aead_seal_parts(enum lp2p_tls_suite suite, void *cipher,
                                       const uint8_t nonce[LP2P_TLS_NONCE], struct lp2p_span ad,
                                       uint8_t *text, size_t len, const struct lp2p_secure_part *parts,
                                       size_t parts_len) LP2P_MUST_CHECK;
/** Checks the tag behind the text and decrypts in place. EAUTH: nothing useful is left at text. */
enum lp2p_err lp2p_tls_aead_open(enum lp2p_tls_suite suite, void *cipher, const uint8_t nonce[LP2P_TLS_NONCE],
                                 struct lp2p_span ad, uint8_t *text, size_t len) LP2P_MUST_CHECK;
/** About what a cipher takes of the heap. */
size_t lp2p_tls_aead_memory_bytes(enum lp2p_tls_suite suite);

#endif
