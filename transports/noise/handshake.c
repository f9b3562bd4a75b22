/* SPDX-License-Identifier: MIT */
#include "noise/handshake.h"

#include "base/check.h"
#include "noise/hash.h"
#include "wire/curve25519.h"

#include <sodium.h>

/* Exactly as long as a hash, so that it is the first h itself (Noise spec 5.2, InitializeSymmetric). */
static const char PROTOCOL[LP2P_XX_DH + 1] = "Noise_XX_25519_ChaChaPoly_SHA256";

static void mix_hash(struct lp2p_xx *xx, const uint8_t *data, size_t len)
{
    lp2p_noise_hash(lp2p_span(xx->h, sizeof(xx->h)), lp2p_span(data, len), xx->h);
}

/** HKDF with two outputs (Noise spec 4.3). The outputs may overwrite ck. */
static void hkdf(const uint8_t ck[32], const uint8_t *input, size_t len, uint8_t first[32],
                 uint8_t second[32])
{
    static const uint8_t one = 1, two = 2;
    const struct lp2p_span none = {0};
    uint8_t temp[32];
    lp2p_noise_hmac(ck, lp2p_span(input, len), none, temp);
    lp2p_noise_hmac(temp, none, lp2p_span(&one, 1), first);
    lp2p_noise_hmac(temp, lp2p_span(first, 32), lp2p_span(&two, 1), second);
    sodium_memzero(temp, sizeof(temp));
    lp2p_noise_hash_wipe();
}

/** MixKey(DH(secret, public)). The curve refuses a result of all zeros, which a point of low order would
 * give. */
static enum lp2p_err mix_dh(struct lp2p_xx *xx, const uint8_t secret[32], const uint8_t public[32])
{
    uint8_t shared[32], key[32];
    enum lp2p_err err = lp2p_x25519(secret, public, shared);
    if (err != LP2P_OK) {
        return err;
    }
    hkdf(xx->ck, shared, sizeof(shared), xx->ck, key);
    lp2p_aead_fini(&xx->cipher);
    lp2p_aead_init(&xx->cipher, key, false);
    xx->keyed = true;
    sodium_memzero(shared, sizeof(shared));
    sodium_memzero(key, sizeof(key));
    return LP2P_OK;
}

/** EncryptAndHash in place; *at moves past the result. */
static enum lp2p_err put_sealed(struct lp2p_xx *xx, uint8_t **at, struct lp2p_span text)
{
    if (text.len > 0) {
        memcpy(*at, text.ptr, text.len);
    }
    size_t len = text.len;
    if (xx->keyed) {
        enum lp2p_err err = lp2p_aead_seal(&xx->cipher, lp2p_span(xx->h, sizeof(xx->h)), *at, len);
        if (err != LP2P_OK) {
            return err;
        }
        len += LP2P_AEAD_TAG;
    }
    mix_hash(xx, *at, len);
    *at += len;
    return LP2P_OK;
}

/** DecryptAndHash in place of `len` bytes with their tag, if there is a key. The ciphertext is hashed. */
static enum lp2p_err open_hashed(struct lp2p_xx *xx, uint8_t *text, size_t len, size_t *plain_len)
{
    uint8_t ad[LP2P_XX_DH];
    memcpy(ad, xx->h, sizeof(ad));
    mix_hash(xx, text, len);
    *plain_len = len;
    if (!xx->keyed) {
        return LP2P_OK;
    }
    if (len < LP2P_AEAD_TAG) {
        return LP2P_EMALFORMED;
    }
    *plain_len = len - LP2P_AEAD_TAG;
    return lp2p_aead_open(&xx->cipher, lp2p_span(ad, sizeof(ad)), text, *plain_len);
}

void lp2p_xx_init(struct lp2p_xx *xx, bool initiator, struct lp2p_span prologue,
                  const uint8_t s_secret[LP2P_XX_DH], const uint8_t s_public[LP2P_XX_DH],
                  const uint8_t e_secret[LP2P_XX_DH])
{
    *xx = (struct lp2p_xx){.initiator = initiator};
    memcpy(xx->h, PROTOCOL, sizeof(xx->h));
    memcpy(xx->ck, PROTOCOL, sizeof(xx->ck));
    memcpy(xx->s_secret, s_secret, sizeof(xx->s_secret));
    memcpy(xx->s_public, s_public, sizeof(xx->s_public));
    memcpy(xx->e_secret, e_secret, sizeof(xx->e_secret));
    lp2p_x25519_public(xx->e_secret, xx->e_public);
    mix_hash(xx, prologue.ptr, prologue.len);
}

void lp2p_xx_wipe(struct lp2p_xx *xx)
{
    lp2p_aead_fini(&xx->cipher);
    sodium_memzero(xx, sizeof(*xx));
}

size_t lp2p_xx_overhead(unsigned index)
{
    static const size_t overhead[LP2P_XX_MESSAGES] = {
        LP2P_XX_DH,
        2 * LP2P_XX_DH + 2 * LP2P_AEAD_TAG,
        LP2P_XX_DH + 2 * LP2P_AEAD_TAG,
    };
    LP2P_CHECK(index < LP2P_XX_MESSAGES);
    return overhead[index];
}

static bool our_turn(const struct lp2p_xx *xx)
{
    return xx->messages < LP2P_XX_MESSAGES && (xx->messages % 2 == 0) == xx->initiator;
}

static void put_e(struct lp2p_xx *xx, uint8_t **at)
{
    memcpy(*at, xx->e_public, LP2P_XX_DH);
    mix_hash(xx, xx->e_public, LP2P_XX_DH);
    *at += LP2P_XX_DH;
}

/** The tokens of the message as its writer; bodies are the tokens of the pattern. */
static enum lp2p_err write_tokens(struct lp2p_xx *xx, uint8_t **at)
{
    enum lp2p_err err = LP2P_OK;
    struct lp2p_span s = lp2p_span(xx->s_public, sizeof(xx->s_public));
    switch (xx->messages) {
    case 0:
        put_e(xx, at); /* e */
        break;
    case 1:
        put_e(xx, at);                                                 /* e */
        err = mix_dh(xx, xx->e_secret, xx->re);                        /* ee */
        err = err != LP2P_OK ? err : put_sealed(xx, at, s);            /* s */
        err = err != LP2P_OK ? err : mix_dh(xx, xx->s_secret, xx->re); /* es */
        break;
    case 2:
        err = put_sealed(xx, at, s);                                   /* s */
        err = err != LP2P_OK ? err : mix_dh(xx, xx->s_secret, xx->re); /* se */
        break;
    }
    return err;
}

static void get_e(struct lp2p_xx *xx, uint8_t **at)
{
    memcpy(xx->re, *at, LP2P_XX_DH);
    mix_hash(xx, xx->re, LP2P_XX_DH);
    *at += LP2P_XX_DH;
}

static enum lp2p_err get_s(struct lp2p_xx *xx, uint8_t **at)
{
    size_t len;
    enum lp2p_err err = open_hashed(xx, *at, LP2P_XX_DH + LP2P_AEAD_TAG, &len);
    memcpy(xx->rs, *at, LP2P_XX_DH);
    *at += LP2P_XX_DH + LP2P_AEAD_TAG;
    return err;
}

/** The tokens of the message as its reader. */
static enum lp2p_err read_tokens(struct lp2p_xx *xx, uint8_t **at)
{
    enum lp2p_err err = LP2P_OK;
    switch (xx->messages) {
    case 0:
        get_e(xx, at); /* e */
        break;
    case 1:
        get_e(xx, at);                                                 /* e */
        err = mix_dh(xx, xx->e_secret, xx->re);                        /* ee */
        err = err != LP2P_OK ? err : get_s(xx, at);                    /* s */
        err = err != LP2P_OK ? err : mix_dh(xx, xx->e_secret, xx->rs); /* es */
        break;
    case 2:
        err = get_s(xx, at);                                           /* s */
        err = err != LP2P_OK ? err : mix_dh(xx, xx->e_secret, xx->rs); /* se */
        break;
    }
    return err;
}

enum lp2p_err lp2p_xx_write(struct lp2p_xx *xx, struct lp2p_span payload, uint8_t *out, size_t *len)
{
    if (!our_turn(xx)) {
        return LP2P_ESTATE;
    }
    uint8_t *at = out;
    enum lp2p_err err = write_tokens(xx, &at);
    if (err == LP2P_OK) {
        err = put_sealed(xx, &at, payload);
    }
    xx->messages++;
    *len = (size_t)(at - out);
    return err;
}

enum lp2p_err lp2p_xx_read(struct lp2p_xx *xx, uint8_t *message, size_t len, struct lp2p_span *payload)
{
    if (our_turn(xx) || xx->messages >= LP2P_XX_MESSAGES) {
        return LP2P_ESTATE;
    }
    if (len < lp2p_xx_overhead(xx->messages)) {
        return LP2P_EMALFORMED;
    }
    uint8_t *at = message;
    size_t plain_len = 0;
    enum lp2p_err err = read_tokens(xx, &at);
    if (err == LP2P_OK) {
        err = open_hashed(xx, at, len - (size_t)(at - message), &plain_len);
    }
    xx->messages++;
    *payload = lp2p_span(at, plain_len);
    return err;
}

void lp2p_xx_split(const struct lp2p_xx *xx, uint8_t send_key[LP2P_AEAD_KEY], uint8_t recv_key[LP2P_AEAD_KEY])
{
    LP2P_CHECK(xx->messages == LP2P_XX_MESSAGES);
    /* The initiator sends with the first key, the responder with the second. */
    uint8_t *first = xx->initiator ? send_key : recv_key;
    uint8_t *second = xx->initiator ? recv_key : send_key;
    hkdf(xx->ck, NULL, 0, first, second);
}
