/* SPDX-License-Identifier: MIT */
#include "noise/aead.h"

#include <sodium.h>

#define NONCE_BYTES 12

static void nonce_bytes(uint64_t nonce, uint8_t out[NONCE_BYTES])
{
    memset(out, 0, 4);
    for (int i = 0; i < 8; i++) {
        out[4 + i] = (uint8_t)(nonce >> (8 * i));
    }
}

#ifdef LP2P_HAVE_LIBCRYPTO
#include <openssl/evp.h>

/** The context with the key scheduled, made at first use. NULL when libcrypto has none to give: libsodium
 * does it then. */
static EVP_CIPHER_CTX *context(struct lp2p_aead *aead, bool sealing)
{
    EVP_CIPHER_CTX *ctx = (EVP_CIPHER_CTX *)aead->evp;
    if (ctx != NULL || !aead->large) {
        return ctx;
    }
    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL || EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, aead->key, NULL, sealing) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        aead->large = false;
        return NULL;
    }
    aead->evp = ctx;
    return ctx;
}

/** The common part of both directions: 1 when the text was processed. The lengths fit an int: a text is one
 * Noise frame. */
static int pass(EVP_CIPHER_CTX *ctx, struct lp2p_span ad, uint8_t *text, size_t len)
{
    int n = 0, last = 0;
    if (ad.len > 0 && EVP_CipherUpdate(ctx, NULL, &n, ad.ptr, (int)ad.len) != 1) {
        return 0;
    }
    return EVP_CipherUpdate(ctx, text, &n, text, (int)len) == 1 &&
           EVP_CipherFinal_ex(ctx, text + n, &last) == 1;
}

static bool seal_large(struct lp2p_aead *aead, const uint8_t *nonce, struct lp2p_span ad, uint8_t *text,
                       size_t len)
{
    EVP_CIPHER_CTX *ctx = context(aead, true);
    return EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, 1) == 1 && pass(ctx, ad, text, len) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, LP2P_AEAD_TAG, text + len) == 1;
}

static bool open_large(struct lp2p_aead *aead, const uint8_t *nonce, struct lp2p_span ad, uint8_t *text,
                       size_t len)
{
    EVP_CIPHER_CTX *ctx = context(aead, false);
    return EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, 0) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, LP2P_AEAD_TAG, text + len) == 1 &&
           pass(ctx, ad, text, len) == 1;
}

static bool is_large(struct lp2p_aead *aead, size_t len, bool sealing)
{
    return len >= LP2P_AEAD_LARGE && context(aead, sealing) != NULL;
}

static void drop_context(struct lp2p_aead *aead)
{
    EVP_CIPHER_CTX_free((EVP_CIPHER_CTX *)aead->evp);
    aead->evp = NULL;
}
#else
static bool seal_large(struct lp2p_aead *aead, const uint8_t *nonce, struct lp2p_span ad, uint8_t *text,
                       size_t len)
{
    (void)aead, (void)nonce, (void)ad, (void)text, (void)len;
    return false;
}

static bool open_large(struct lp2p_aead *aead, const uint8_t *nonce, struct lp2p_span ad, uint8_t *text,
                       size_t len)
{
    (void)aead, (void)nonce, (void)ad, (void)text, (void)len;
    return false;
}

static bool is_large(struct lp2p_aead *aead, size_t len, bool sealing)
{
    (void)aead, (void)len, (void)sealing;
    return false;
}

static void drop_context(struct lp2p_aead *aead)
{
    (void)aead;
}
#endif

void lp2p_aead_init(struct lp2p_aead *aead, const uint8_t key[LP2P_AEAD_KEY], bool large)
{
    memcpy(aead->key, key, LP2P_AEAD_KEY);
    aead->nonce = 0;
    aead->evp = NULL;
    aead->large = large;
}

void lp2p_aead_fini(struct lp2p_aead *aead)
{
    drop_context(aead);
    sodium_memzero(aead, sizeof(*aead));
}

enum lp2p_err lp2p_aead_seal(struct lp2p_aead *aead, struct lp2p_span ad, uint8_t *text, size_t len)
{
    uint8_t nonce[NONCE_BYTES];
    if (aead->nonce == UINT64_MAX) {
        return LP2P_ELIMIT;
    }
    nonce_bytes(aead->nonce++, nonce);
    if (is_large(aead, len, true)) {
        return seal_large(aead, nonce, ad, text, len) ? LP2P_OK : LP2P_ENOMEM;
    }
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(text, text + len, NULL, text, len, ad.ptr, ad.len,
                                                       NULL, nonce, aead->key);
    return LP2P_OK;
}

enum lp2p_err lp2p_aead_open(struct lp2p_aead *aead, struct lp2p_span ad, uint8_t *text, size_t len)
{
    uint8_t nonce[NONCE_BYTES];
    if (aead->nonce == UINT64_MAX) {
        return LP2P_ELIMIT;
    }
    nonce_bytes(aead->nonce, nonce);
    bool good;
    if (is_large(aead, len, false)) {
        good = open_large(aead, nonce, ad, text, len);
    } else {
        good = crypto_aead_chacha20poly1305_ietf_decrypt_detached(text, NULL, text, len, text + len, ad.ptr,
                                                                  ad.len, nonce, aead->key) == 0;
    }
    if (!good) {
        return LP2P_EAUTH;
    }
    aead->nonce++;
    return LP2P_OK;
}
