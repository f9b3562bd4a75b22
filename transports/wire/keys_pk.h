/* SPDX-License-Identifier: MIT
 * The key types that Ed25519 is not: form and verification of RSA, secp256k1 and ECDSA keys. Private to the
 * room. Pure functions; libcrypto where there is one, else
 * mbedTLS without random numbers, global state or PSA. */
#ifndef LP2P_WIRE_KEYS_PK_H
#define LP2P_WIRE_KEYS_PK_H

#include "base/err.h"
#include "base/span.h"

/** Form of the Data field: structure, sizes, known curve; no arithmetic. EMALFORMED, EBADKEY, EUNSUPPORTED (a
 * curve). */
enum lp2p_err lp2p_rsa_check(struct lp2p_span data) LP2P_MUST_CHECK;
/** The check of an RSA key with other bounds than 2048..8192 bits. */
enum lp2p_err lp2p_rsa_check_bits(struct lp2p_span data, size_t bits_min, size_t bits_max) LP2P_MUST_CHECK;
enum lp2p_err lp2p_secp256k1_check(struct lp2p_span data) LP2P_MUST_CHECK;
enum lp2p_err lp2p_ecdsa_check(struct lp2p_span data) LP2P_MUST_CHECK;

/** Verify a signature over the SHA-256 of the message. ESIGNATURE; EBADKEY when the arithmetic shows that the
 * key is none (a point that is not on its curve); ENOMEM. */
enum lp2p_err lp2p_rsa_verify(struct lp2p_span data, const uint8_t hash[32],
                              struct lp2p_span sig) LP2P_MUST_CHECK;
enum lp2p_err lp2p_secp256k1_verify(struct lp2p_span data, const uint8_t hash[32],
                                    struct lp2p_span sig) LP2P_MUST_CHECK;
enum lp2p_err lp2p_ecdsa_verify(struct lp2p_span data, const uint8_t hash[32],
                                struct lp2p_span sig) LP2P_MUST_CHECK;

#ifdef LP2P_HAVE_LIBCRYPTO
/** The same by libcrypto, for a SubjectPublicKeyInfo whose form was checked. */
enum lp2p_err lp2p_verify_fast(struct lp2p_span info, bool rsa, const uint8_t hash[32],
                               struct lp2p_span sig) LP2P_MUST_CHECK;
#endif

#endif
