/* SPDX-License-Identifier: MIT
 * Own identities of the key types that Ed25519 is not: generating, reading, signing. Private to the room. Pure functions;
 * mbedTLS with the caller's random numbers, and with blinding that is derived from secret and message where there are none. */
#ifndef LP2P_WIRE_KEYS_OWN_H
#define LP2P_WIRE_KEYS_OWN_H

#include "wire/keys.h"

/** Each fills data and public_key of *out; what it wrote is wiped by the caller when it fails. EBADKEY: the parts do not
 *  belong together. EMALFORMED, EUNSUPPORTED (another curve), ENOMEM. */
enum lp2p_err lp2p_rsa_own_read(struct lp2p_span data, struct lp2p_private_key *out) LP2P_MUST_CHECK;
enum lp2p_err lp2p_secp256k1_own_read(struct lp2p_span data, struct lp2p_private_key *out) LP2P_MUST_CHECK;
enum lp2p_err lp2p_ecdsa_own_read(struct lp2p_span data, struct lp2p_private_key *out) LP2P_MUST_CHECK;
enum lp2p_err lp2p_rsa_own_generate(unsigned bits, const struct lp2p_rand *rand,
                                    struct lp2p_private_key *out) LP2P_MUST_CHECK;
/** secp256k1 or ECDSA (P-256). */
enum lp2p_err lp2p_ec_own_generate(enum lp2p_key_type type, const struct lp2p_rand *rand,
                                   struct lp2p_private_key *out) LP2P_MUST_CHECK;

/** Signs the SHA-256 of a message; bytes of the signature, 0: no memory. */
size_t lp2p_rsa_own_sign(const struct lp2p_private_key *key, const uint8_t hash[32], uint8_t out[LP2P_SIGNATURE_MAX]);
size_t lp2p_ec_own_sign(const struct lp2p_private_key *key, const uint8_t hash[32], uint8_t out[LP2P_SIGNATURE_MAX]);

/** Random numbers for blinding, a stream of their own for each secret and hash. */
struct lp2p_blind {
    uint8_t key[32];
    uint64_t used;
};
void lp2p_blind_init(struct lp2p_blind *blind, struct lp2p_span secret, const uint8_t hash[32]);
/** As mbedTLS's f_rng; ctx: a struct lp2p_blind. */
int lp2p_blind_fill(void *ctx, unsigned char *out, size_t len);
/** As mbedTLS's f_rng; ctx: a const struct lp2p_rand. */
int lp2p_rand_for_mbedtls(void *ctx, unsigned char *out, size_t len);

#endif
