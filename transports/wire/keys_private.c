/* SPDX-License-Identifier: MIT
 * Own identities: made, read, written, signing. What needs arithmetic beyond Ed25519 is in keys_own.c. */
#include "base/check.h"
#include "wire/keys_own.h"
#include "wire/multihash.h"
#include "wire/pb.h"

#include "keys.pb.h"

#include <sodium.h>

void lp2p_private_key_from_seed(const uint8_t seed[32], struct lp2p_private_key *out)
{
    *out = (struct lp2p_private_key){.data_len = crypto_sign_SECRETKEYBYTES};
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    crypto_sign_seed_keypair(public_key, out->data, seed);
    enum lp2p_err err =
        lp2p_public_key_make(LP2P_KEY_ED25519, lp2p_span(public_key, sizeof(public_key)), &out->public_key);
    LP2P_CHECK(err == LP2P_OK);
}

void lp2p_private_key_generate(const struct lp2p_rand *rand, struct lp2p_private_key *out)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    lp2p_rand_fill(rand, seed, sizeof(seed));
    lp2p_private_key_from_seed(seed, out);
    sodium_memzero(seed, sizeof(seed));
}

enum lp2p_err lp2p_private_key_generate_type(enum lp2p_key_type type, unsigned bits,
                                             const struct lp2p_rand *rand, struct lp2p_private_key *out)
{
    enum lp2p_err err = LP2P_OK;
    *out = (struct lp2p_private_key){.data_len = 0};
    switch (type) {
    case LP2P_KEY_ED25519:
        lp2p_private_key_generate(rand, out);
        return LP2P_OK;
    case LP2P_KEY_RSA:
        bits = bits == 0 ? LP2P_RSA_GENERATE_MIN : bits;
        err = bits < LP2P_RSA_GENERATE_MIN || bits > LP2P_RSA_GENERATE_MAX || bits % 8 != 0
                  ? LP2P_EINVAL
                  : lp2p_rsa_own_generate(bits, rand, out);
        break;
    case LP2P_KEY_SECP256K1:
    case LP2P_KEY_ECDSA:
        err = lp2p_ec_own_generate(type, rand, out);
        break;
    default:
        return LP2P_EINVAL;
    }
    if (err != LP2P_OK) {
        lp2p_private_key_wipe(out);
    }
    return err;
}

static enum lp2p_err read_ed25519(struct lp2p_span data, struct lp2p_private_key *out)
{
    /* 96 bytes: the old form with the public key twice (go-libp2p core/crypto/ed25519.go). */
    if (data.len != 64 && !(data.len == 96 && memcmp(data.ptr + 32, data.ptr + 64, 32) == 0)) {
        return LP2P_EBADKEY;
    }
    /* A public half that is not the seed's would make signatures that give the secret away. */
    lp2p_private_key_from_seed(data.ptr, out);
    return sodium_memcmp(out->data, data.ptr, 64) == 0 ? LP2P_OK : LP2P_EBADKEY;
}

static enum lp2p_err read_data(uint32_t type, struct lp2p_span data, struct lp2p_private_key *out)
{
    switch (type) {
    case LP2P_KEY_ED25519:
        return read_ed25519(data, out);
    case LP2P_KEY_RSA:
        return lp2p_rsa_own_read(data, out);
    case LP2P_KEY_SECP256K1:
        return lp2p_secp256k1_own_read(data, out);
    case LP2P_KEY_ECDSA:
        return lp2p_ecdsa_own_read(data, out);
    default:
        return LP2P_EUNSUPPORTED; /* the number came from outside */
    }
}

enum lp2p_err lp2p_private_key_parse(struct lp2p_span protobuf, struct lp2p_private_key *out)
{
    *out = (struct lp2p_private_key){.data_len = 0};
    if (protobuf.len > LP2P_PRIVATE_KEY_MAX) {
        return LP2P_EOVERSIZE;
    }
    struct lp2p_span data;
    lp2p_keys_PrivateKey message = {.Data = lp2p_pb_read_span(&data)};
    enum lp2p_err err = lp2p_pb_decode(protobuf, lp2p_keys_PrivateKey_fields, &message);
    if (err == LP2P_OK) {
        err = data.len > LP2P_PRIVATE_KEY_DATA_MAX ? LP2P_EOVERSIZE
                                                   : read_data((uint32_t)message.Type, data, out);
    }
    if (err != LP2P_OK) {
        lp2p_private_key_wipe(out);
    }
    return err;
}

void lp2p_private_key_outside(const struct lp2p_public_key *public_key, lp2p_key_sign_fn sign, void *user,
                              struct lp2p_private_key *out)
{
    *out = (struct lp2p_private_key){.public_key = *public_key, .sign = sign, .user = user};
}

enum lp2p_err lp2p_private_key_encode(const struct lp2p_private_key *key, uint8_t *out, size_t cap,
                                      size_t *len)
{
    if (key->sign != NULL) {
        return LP2P_ESTATE;
    }
    struct lp2p_span data = lp2p_span(key->data, key->data_len);
    lp2p_keys_PrivateKey message = {.Type = (lp2p_keys_KeyType)key->public_key.type,
                                    .Data = lp2p_pb_write_span(&data)};
    return lp2p_pb_encode(lp2p_keys_PrivateKey_fields, &message, out, cap, len);
}

void lp2p_private_key_public(const struct lp2p_private_key *key, struct lp2p_public_key *out)
{
    *out = key->public_key;
}

static size_t sign_outside(const struct lp2p_private_key *key, struct lp2p_span message,
                           uint8_t out[LP2P_SIGNATURE_MAX])
{
    size_t len = 0;
    if (key->sign(key->user, message.ptr, message.len, out, LP2P_SIGNATURE_MAX, &len) != LP2P_OK ||
        len > LP2P_SIGNATURE_MAX) {
        return 0;
    }
    /* A signature that does not verify would only show at the other side, as a peer that cannot be reached.
     */
    return lp2p_public_key_verify(&key->public_key, message, lp2p_span(out, len)) == LP2P_OK ? len : 0;
}

size_t lp2p_private_key_sign(const struct lp2p_private_key *key, struct lp2p_span message,
                             uint8_t out[LP2P_SIGNATURE_MAX])
{
    if (key->sign != NULL) {
        return sign_outside(key, message, out);
    }
    if (key->public_key.type == LP2P_KEY_ED25519) {
        crypto_sign_detached(out, NULL, message.ptr, message.len, key->data);
        return crypto_sign_BYTES;
    }
    uint8_t hash[32];
    lp2p_sha256(message, hash);
    return key->public_key.type == LP2P_KEY_RSA ? lp2p_rsa_own_sign(key, hash, out)
                                                : lp2p_ec_own_sign(key, hash, out);
}

void lp2p_private_key_wipe(struct lp2p_private_key *key)
{
    sodium_memzero(key, sizeof(*key));
}
