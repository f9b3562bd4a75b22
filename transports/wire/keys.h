/* SPDX-License-Identifier: MIT
 * Identity keys and their protobuf form (libp2p specs peer-ids/peer-ids.md). Pure functions; secrets are wiped by their
 * owner with lp2p_private_key_wipe. Public keys of all four types are parsed and verify; own identities are Ed25519. */
#ifndef LP2P_WIRE_KEYS_H
#define LP2P_WIRE_KEYS_H

#include "base/err.h"
#include "base/rand.h"
#include "base/span.h"

enum lp2p_key_type { LP2P_KEY_RSA = 0, LP2P_KEY_ED25519 = 1, LP2P_KEY_SECP256K1 = 2, LP2P_KEY_ECDSA = 3 };

#define LP2P_PUBLIC_KEY_MAX 1100 /* encoded bytes: RSA 8192 fits */
#define LP2P_SIGNATURE_MAX 1024  /* bytes: RSA 8192 */

/** A public key by value. `encoded` is the deterministic protobuf; `data` is the Data field inside of it. */
struct lp2p_public_key {
    enum lp2p_key_type type;
    uint16_t encoded_len, data_offset, data_len;
    uint8_t encoded[LP2P_PUBLIC_KEY_MAX];
};

/** An Ed25519 identity; secret. `ed25519` is seed then public key. */
struct lp2p_private_key {
    uint8_t ed25519[64];
};

/** Parses a PublicKey protobuf and checks that the key is usable (type known, length right, RSA 2048..8192 bits before any
 *  arithmetic). EMALFORMED, EBADKEY, EUNSUPPORTED (unknown type), EOVERSIZE. */
enum lp2p_err lp2p_public_key_parse(struct lp2p_span protobuf, struct lp2p_public_key *out) LP2P_MUST_CHECK;
/** Builds the encoded form from type and raw Data (checked as by parse). */
enum lp2p_err lp2p_public_key_make(enum lp2p_key_type type, struct lp2p_span data, struct lp2p_public_key *out) LP2P_MUST_CHECK;
static inline struct lp2p_span lp2p_public_key_encoded(const struct lp2p_public_key *key)
{
    return lp2p_span(key->encoded, key->encoded_len);
}
/** ESIGNATURE when the signature does not verify. EBADKEY when the key's point is not on its curve: parse does no
 *  arithmetic, so it shows only here. ENOMEM (not for Ed25519). */
enum lp2p_err lp2p_public_key_verify(const struct lp2p_public_key *key, struct lp2p_span message,
                                     struct lp2p_span signature) LP2P_MUST_CHECK;

void lp2p_private_key_generate(const struct lp2p_rand *rand, struct lp2p_private_key *out);
/** Reads the PrivateKey protobuf (Ed25519 only, 64 or old 96 byte Data). EUNSUPPORTED for the other types. */
enum lp2p_err lp2p_private_key_parse(struct lp2p_span protobuf, struct lp2p_private_key *out) LP2P_MUST_CHECK;
/** Writes the 68-byte PrivateKey protobuf. */
void lp2p_private_key_encode(const struct lp2p_private_key *key, uint8_t out[68]);
void lp2p_private_key_public(const struct lp2p_private_key *key, struct lp2p_public_key *out);
/** 64-byte Ed25519 signature. */
void lp2p_private_key_sign(const struct lp2p_private_key *key, struct lp2p_span message, uint8_t out[64]);
void lp2p_private_key_wipe(struct lp2p_private_key *key);

#endif
