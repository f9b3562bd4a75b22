/* SPDX-License-Identifier: MIT */
#include "wire/keys.h"

#include "base/check.h"
#include "wire/keys_pk.h"
#include "wire/multihash.h"
#include "wire/pb.h"

#include "keys.pb.h"

#include <sodium.h>

static enum lp2p_err check_data(enum lp2p_key_type type, struct lp2p_span data)
{
    switch (type) {
    case LP2P_KEY_RSA:
        return lp2p_rsa_check(data);
    case LP2P_KEY_ED25519:
        return data.len == crypto_sign_PUBLICKEYBYTES ? LP2P_OK : LP2P_EBADKEY;
    case LP2P_KEY_SECP256K1:
        return lp2p_secp256k1_check(data);
    case LP2P_KEY_ECDSA:
        return lp2p_ecdsa_check(data);
    }
    return LP2P_EUNSUPPORTED; /* the number came from outside */
}

enum lp2p_err lp2p_public_key_make(enum lp2p_key_type type, struct lp2p_span data,
                                   struct lp2p_public_key *out)
{
    if (data.len > LP2P_PUBLIC_KEY_MAX) {
        return LP2P_EOVERSIZE;
    }
    enum lp2p_err err = check_data(type, data);
    if (err != LP2P_OK) {
        return err;
    }
    lp2p_keys_PublicKey message = {.Type = (lp2p_keys_KeyType)type, .Data = lp2p_pb_write_span(&data)};
    size_t len = 0;
    if (lp2p_pb_encode(lp2p_keys_PublicKey_fields, &message, out->encoded, sizeof(out->encoded), &len) !=
        LP2P_OK) {
        return LP2P_EOVERSIZE;
    }
    out->type = type;
    out->encoded_len = (uint16_t)len;
    out->data_len = (uint16_t)data.len;
    out->data_offset = (uint16_t)(len - data.len);
    return LP2P_OK;
}

enum lp2p_err lp2p_public_key_parse(struct lp2p_span protobuf, struct lp2p_public_key *out)
{
    if (protobuf.len > LP2P_PUBLIC_KEY_MAX) {
        return LP2P_EOVERSIZE;
    }
    struct lp2p_span data;
    lp2p_keys_PublicKey message = {.Data = lp2p_pb_read_span(&data)};
    enum lp2p_err err = lp2p_pb_decode(protobuf, lp2p_keys_PublicKey_fields, &message);
    if (err != LP2P_OK) {
        return err;
    }
    return lp2p_public_key_make((enum lp2p_key_type)message.Type, data, out);
}

enum lp2p_err lp2p_public_key_verify(const struct lp2p_public_key *key, struct lp2p_span message,
                                     struct lp2p_span signature)
{
    struct lp2p_span data = lp2p_span(key->encoded + key->data_offset, key->data_len);
    if (signature.len > LP2P_SIGNATURE_MAX) {
        return LP2P_ESIGNATURE;
    }
    if (key->type == LP2P_KEY_ED25519) {
        bool good = signature.len == crypto_sign_BYTES && data.len == crypto_sign_PUBLICKEYBYTES &&
                    crypto_sign_verify_detached(signature.ptr, message.ptr, message.len, data.ptr) == 0;
        return good ? LP2P_OK : LP2P_ESIGNATURE;
    }
    uint8_t hash[32];
    lp2p_sha256(message, hash);
    switch (key->type) {
    case LP2P_KEY_RSA:
        return lp2p_rsa_verify(data, hash, signature);
    case LP2P_KEY_SECP256K1:
        return lp2p_secp256k1_verify(data, hash, signature);
    case LP2P_KEY_ECDSA:
        return lp2p_ecdsa_verify(data, hash, signature);
    case LP2P_KEY_ED25519:
        break;
    }
    return LP2P_EUNSUPPORTED;
}

/* Own identities: Ed25519 */

static void expand_seed(const uint8_t seed[32], uint8_t pair[64])
{
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    crypto_sign_seed_keypair(public_key, pair, seed);
}

void lp2p_private_key_generate(const struct lp2p_rand *rand, struct lp2p_private_key *out)
{
    uint8_t seed[crypto_sign_SEEDBYTES];
    lp2p_rand_fill(rand, seed, sizeof(seed));
    expand_seed(seed, out->ed25519);
    sodium_memzero(seed, sizeof(seed));
}

enum lp2p_err lp2p_private_key_parse(struct lp2p_span protobuf, struct lp2p_private_key *out)
{
    struct lp2p_span data;
    lp2p_keys_PrivateKey message = {.Data = lp2p_pb_read_span(&data)};
    enum lp2p_err err = lp2p_pb_decode(protobuf, lp2p_keys_PrivateKey_fields, &message);
    if (err != LP2P_OK) {
        return err;
    }
    if (message.Type != lp2p_keys_KeyType_Ed25519) {
        return LP2P_EUNSUPPORTED;
    }
    /* 96 bytes: the old form with the public key twice (go-libp2p core/crypto/ed25519.go). */
    if (data.len != 64 && !(data.len == 96 && memcmp(data.ptr + 32, data.ptr + 64, 32) == 0)) {
        return LP2P_EBADKEY;
    }
    /* A public half that is not the seed's would make signatures that give the secret away. */
    expand_seed(data.ptr, out->ed25519);
    if (memcmp(out->ed25519, data.ptr, 64) != 0) {
        lp2p_private_key_wipe(out);
        return LP2P_EBADKEY;
    }
    return LP2P_OK;
}

void lp2p_private_key_encode(const struct lp2p_private_key *key, uint8_t out[68])
{
    struct lp2p_span data = lp2p_span(key->ed25519, sizeof(key->ed25519));
    lp2p_keys_PrivateKey message = {.Type = lp2p_keys_KeyType_Ed25519, .Data = lp2p_pb_write_span(&data)};
    size_t len = 0;
    enum lp2p_err err = lp2p_pb_encode(lp2p_keys_PrivateKey_fields, &message, out, 68, &len);
    LP2P_CHECK(err == LP2P_OK && len == 68);
}

void lp2p_private_key_public(const struct lp2p_private_key *key, struct lp2p_public_key *out)
{
    enum lp2p_err err = lp2p_public_key_make(LP2P_KEY_ED25519, lp2p_span(key->ed25519 + 32, 32), out);
    LP2P_CHECK(err == LP2P_OK);
}

void lp2p_private_key_sign(const struct lp2p_private_key *key, struct lp2p_span message, uint8_t out[64])
{
    crypto_sign_detached(out, NULL, message.ptr, message.len, key->ed25519);
}

void lp2p_private_key_wipe(struct lp2p_private_key *key)
{
    sodium_memzero(key, sizeof(*key));
}
