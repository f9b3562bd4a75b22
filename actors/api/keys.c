/* SPDX-License-Identifier: MIT
 * Keys and peer ids for tools. */
#include "actors/api/config_private.h"
#include "actors/api/system_rand.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void system_fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    randombytes_buf(out, len);
}

const struct lp2p_rand lp2p_system_rand = {system_fill, NULL};

const char *lp2p_version(void)
{
    return LP2P_VERSION_STRING;
}

void lp2p_free(void *ptr)
{
    free(ptr);
}

bool lp2p_key_type_parse(const char *text, enum lp2p_key_type *type, unsigned *bits)
{
    static const struct {
        const char *text;
        unsigned bits;
    } rsa[] = {{"rsa-2048", 2048}, {"rsa-3072", 3072}, {"rsa-4096", 4096}};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(rsa); i++) {
        if (strcmp(text, rsa[i].text) == 0) {
            *type = LP2P_KEY_RSA;
            *bits = rsa[i].bits;
            return true;
        }
    }
    *bits = 0;
    return lp2p_key_type_of_name(text, type);
}

enum lp2p_err lp2p_key_make(enum lp2p_key_type type, unsigned bits, uint8_t *out, size_t cap, size_t *len)
{
    if (sodium_init() < 0) {
        return LP2P_EIO;
    }
    struct lp2p_private_key key;
    enum lp2p_err err = lp2p_private_key_generate_type(type, bits, &lp2p_system_rand, &key);
    if (err == LP2P_OK) {
        err = lp2p_private_key_encode(&key, out, cap, len);
    }
    lp2p_private_key_wipe(&key);
    return err;
}

enum lp2p_err lp2p_key_generate(uint8_t out[68])
{
    size_t len = 0;
    return out == NULL ? LP2P_EINVAL : lp2p_key_make(LP2P_KEY_ED25519, 0, out, 68, &len);
}

enum lp2p_err lp2p_key_generate_type(const char *type, uint8_t *out, size_t cap, size_t *len)
{
    enum lp2p_key_type number;
    unsigned bits;
    if (type == NULL || out == NULL || len == NULL || !lp2p_key_type_parse(type, &number, &bits)) {
        return LP2P_EINVAL;
    }
    return lp2p_key_make(number, bits, out, cap, len);
}

static enum lp2p_err read_key(const void *protobuf, size_t len, struct lp2p_private_key *key)
{
    enum lp2p_err err = sodium_init() < 0 ? LP2P_EIO : lp2p_private_key_parse(lp2p_span(protobuf, len), key);
    return err == LP2P_OK || err == LP2P_EUNSUPPORTED || err == LP2P_ENOMEM ? err : LP2P_EINVAL;
}

enum lp2p_err lp2p_key_peer_id(const void *protobuf, size_t len, char out[LP2P_PEER_TEXT_MAX])
{
    struct lp2p_private_key key;
    struct lp2p_peer_id id;
    enum lp2p_err err = protobuf == NULL || out == NULL ? LP2P_EINVAL : read_key(protobuf, len, &key);
    if (err == LP2P_OK) {
        lp2p_peer_id_from_key(&key.public_key, &id);
        lp2p_private_key_wipe(&key);
        lp2p_peer_id_text(&id, out);
    }
    return err;
}

static enum lp2p_err copy_key(const struct lp2p_public_key *key, uint8_t *out, size_t cap, size_t *len)
{
    if (key->encoded_len > cap) {
        return LP2P_ELIMIT;
    }
    memcpy(out, key->encoded, key->encoded_len);
    *len = key->encoded_len;
    return LP2P_OK;
}

enum lp2p_err lp2p_key_public(const void *protobuf, size_t len, uint8_t *out, size_t cap, size_t *out_len,
                              const char **type)
{
    struct lp2p_private_key key;
    enum lp2p_err err =
        protobuf == NULL || out == NULL || out_len == NULL ? LP2P_EINVAL : read_key(protobuf, len, &key);
    if (err == LP2P_OK) {
        err = copy_key(&key.public_key, out, cap, out_len);
        if (type != NULL) {
            *type = lp2p_key_type_name(key.public_key.type);
        }
        lp2p_private_key_wipe(&key);
    }
    return err;
}

enum lp2p_err lp2p_key_sign(const void *protobuf, size_t len, const void *message, size_t message_len,
                            uint8_t *out, size_t cap, size_t *out_len)
{
    struct lp2p_private_key key;
    uint8_t signature[LP2P_SIGNATURE_MAX];
    if (protobuf == NULL || (message == NULL && message_len > 0) || out == NULL || out_len == NULL) {
        return LP2P_EINVAL;
    }
    enum lp2p_err err = read_key(protobuf, len, &key);
    if (err != LP2P_OK) {
        return err;
    }
    *out_len = lp2p_private_key_sign(&key, lp2p_span(message, message_len), signature);
    lp2p_private_key_wipe(&key);
    if (*out_len == 0 || *out_len > cap) {
        return *out_len == 0 ? LP2P_ENOMEM : LP2P_ELIMIT;
    }
    memcpy(out, signature, *out_len);
    return LP2P_OK;
}

enum lp2p_err lp2p_peer_public_key(const char *peer, uint8_t *out, size_t cap, size_t *len)
{
    struct lp2p_peer_id id;
    struct lp2p_public_key key;
    if (peer == NULL || out == NULL || len == NULL ||
        lp2p_peer_id_from_text(lp2p_span_str(peer), &id) != LP2P_OK) {
        return LP2P_EINVAL;
    }
    enum lp2p_err err = lp2p_peer_id_key(&id, &key);
    if (err != LP2P_OK) {
        return err;
    }
    return copy_key(&key, out, cap, len);
}

enum lp2p_err lp2p_peer_texts(const char *peer, char base58[LP2P_PEER_TEXT_MAX], char cid[LP2P_PEER_TEXT_MAX])
{
    struct lp2p_peer_id id;
    if (peer == NULL || lp2p_peer_id_from_text(lp2p_span_str(peer), &id) != LP2P_OK) {
        return LP2P_EINVAL;
    }
    if (base58 != NULL) {
        lp2p_peer_id_text(&id, base58);
    }
    if (cid != NULL) {
        lp2p_peer_id_cid_text(&id, cid);
    }
    return LP2P_OK;
}
