/* SPDX-License-Identifier: MIT
 * Identity keys of all four types and their protobuf form (libp2p specs peer-ids/peer-ids.md). Pure functions; secrets are
 * wiped by their owner with lp2p_private_key_wipe. An own identity may also be a public key with a function that signs. */
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

/** Signs outside of this process or library. The signature has the form of the key's type; *len: its bytes. */
typedef enum lp2p_err (*lp2p_key_sign_fn)(void *user, const void *message, size_t message_len, uint8_t *out, size_t cap,
                                          size_t *len);

#define LP2P_PRIVATE_KEY_DATA_MAX 4700                            /* bytes: the PKCS#1 of RSA 8192 */
#define LP2P_PRIVATE_KEY_MAX (LP2P_PRIVATE_KEY_DATA_MAX + 8)      /* bytes of the protobuf */

/** An identity by value; secret. `data` is the Data field of its protobuf: seed and public key (Ed25519), scalar (secp256k1),
 *  SEC1 ECPrivateKey (ECDSA P-256), PKCS#1 RSAPrivateKey (RSA). */
struct lp2p_private_key {
    struct lp2p_public_key public_key;
    lp2p_key_sign_fn sign; /* not NULL: the secret is elsewhere, and data is empty */
    void *user;
    uint16_t data_len;
    uint8_t data[LP2P_PRIVATE_KEY_DATA_MAX];
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
/** "rsa", "ed25519", "secp256k1", "ecdsa"; NULL for another number. */
const char *lp2p_key_type_name(enum lp2p_key_type type);
/** False when no type has that name. */
bool lp2p_key_type_of_name(const char *name, enum lp2p_key_type *out);
/** ESIGNATURE when the signature does not verify. EBADKEY when the key's point is not on its curve: parse does no
 *  arithmetic, so it shows only here. ENOMEM (not for Ed25519). */
enum lp2p_err lp2p_public_key_verify(const struct lp2p_public_key *key, struct lp2p_span message,
                                     struct lp2p_span signature) LP2P_MUST_CHECK;

/** A new Ed25519 identity. */
void lp2p_private_key_generate(const struct lp2p_rand *rand, struct lp2p_private_key *out);
/** The Ed25519 identity of a seed. */
void lp2p_private_key_from_seed(const uint8_t seed[32], struct lp2p_private_key *out);

#define LP2P_RSA_GENERATE_MIN 2048 /* bits; larger keys up to 8192 are read */
#define LP2P_RSA_GENERATE_MAX 4096

/** A new identity of any type; `bits` counts for RSA only (0: 2048) and takes seconds with 4096. EINVAL: type or bits. ENOMEM. */
enum lp2p_err lp2p_private_key_generate_type(enum lp2p_key_type type, unsigned bits, const struct lp2p_rand *rand,
                                             struct lp2p_private_key *out) LP2P_MUST_CHECK;
/** Reads the PrivateKey protobuf and proves by arithmetic that its parts belong together. Ed25519 in 64 or old 96 bytes, RSA
 *  2048..8192, ECDSA P-256. EMALFORMED, EBADKEY, EUNSUPPORTED, EOVERSIZE, ENOMEM. */
enum lp2p_err lp2p_private_key_parse(struct lp2p_span protobuf, struct lp2p_private_key *out) LP2P_MUST_CHECK;
/** An identity whose secret is elsewhere. Each signature is checked against the public key before it is used. */
void lp2p_private_key_outside(const struct lp2p_public_key *public_key, lp2p_key_sign_fn sign, void *user,
                              struct lp2p_private_key *out);
/** Writes the PrivateKey protobuf. ELIMIT: cap is too small. ESTATE: the secret is elsewhere. */
enum lp2p_err lp2p_private_key_encode(const struct lp2p_private_key *key, uint8_t *out, size_t cap, size_t *len) LP2P_MUST_CHECK;
void lp2p_private_key_public(const struct lp2p_private_key *key, struct lp2p_public_key *out);
/** Signs as the key's type demands; the bytes of the signature, 0 when there is none (memory, or the outside signer). ECDSA is
 *  deterministic (RFC 6979), and low-S on secp256k1. RSA takes milliseconds: sign once and keep it. */
size_t lp2p_private_key_sign(const struct lp2p_private_key *key, struct lp2p_span message,
                             uint8_t out[LP2P_SIGNATURE_MAX]) LP2P_MUST_CHECK;
void lp2p_private_key_wipe(struct lp2p_private_key *key);

#endif
