/* SPDX-License-Identifier: MIT */
#include "wire/keys.h"

#include "base/check.h"
#include "wire/curve25519.h"
#include "wire/keys_pk.h"
#include "wire/multihash.h"
#include "wire/pb.h"

#include "keys.pb.h"

static enum lp2p_err check_data(enum lp2p_key_type type, struct lp2p_span data)
{
    switch (type) {
    case LP2P_KEY_RSA:
        return lp2p_rsa_check(data);
    case LP2P_KEY_ED25519:
        return data.len == LP2P_ED25519_KEY ? LP2P_OK : LP2P_EBADKEY;
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
        bool good = signature.len == LP2P_ED25519_SIGNATURE && data.len == LP2P_ED25519_KEY &&
                    lp2p_ed25519_verify(data.ptr, message, signature.ptr);
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

static const char *const type_names[] = {
    [LP2P_KEY_RSA] = "rsa",
    [LP2P_KEY_ED25519] = "ed25519",
    [LP2P_KEY_SECP256K1] = "secp256k1",
    [LP2P_KEY_ECDSA] = "ecdsa",
};

const char *lp2p_key_type_name(enum lp2p_key_type type)
{
    return (unsigned)type < LP2P_ARRAY_LEN(type_names) ? type_names[type] : NULL;
}

bool lp2p_key_type_of_name(const char *name, enum lp2p_key_type *out)
{
    for (size_t i = 0; i < LP2P_ARRAY_LEN(type_names); i++) {
        if (strcmp(name, type_names[i]) == 0) {
            *out = (enum lp2p_key_type)i;
            return true;
        }
    }
    return false;
}
