/* SPDX-License-Identifier: MIT
 * libcrypto: setting a key costs more than a small text, so that each key has a context of its own (5 KiB),
 * made when the first large text comes. */
#include "noise/aead_library.h"

#include <openssl/evp.h>

static EVP_CIPHER_CTX *context(struct lp2p_aead *aead, bool sealing)
{
    EVP_CIPHER_CTX *ctx = (EVP_CIPHER_CTX *)aead->context;
    if (ctx != NULL) {
        return ctx;
    }
    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL || EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, aead->key, NULL, sealing) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        aead->library = NULL; /* not tried again */
        return NULL;
    }
    aead->context = ctx;
    return ctx;
}

/** The common part of both directions. The lengths fit an int: a text is one Noise frame. */
static bool pass(EVP_CIPHER_CTX *ctx, const struct lp2p_aead_text *text)
{
    int n = 0, last = 0;
    if (text->ad.len > 0 && EVP_CipherUpdate(ctx, NULL, &n, text->ad.ptr, (int)text->ad.len) != 1) {
        return false;
    }
    return EVP_CipherUpdate(ctx, text->bytes, &n, text->bytes, (int)text->len) == 1 &&
           EVP_CipherFinal_ex(ctx, text->bytes + n, &last) == 1;
}

static enum lp2p_err seal_text(struct lp2p_aead *aead, const struct lp2p_aead_text *text)
{
    EVP_CIPHER_CTX *ctx = context(aead, true);
    if (ctx == NULL || EVP_CipherInit_ex(ctx, NULL, NULL, NULL, text->nonce, 1) != 1) {
        return LP2P_ENOMEM;
    }
    bool good = pass(ctx, text) &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, LP2P_AEAD_TAG, text->bytes + text->len) == 1;
    return good ? LP2P_OK : LP2P_EFAILED;
}

static enum lp2p_err open_text(struct lp2p_aead *aead, const struct lp2p_aead_text *text)
{
    EVP_CIPHER_CTX *ctx = context(aead, false);
    if (ctx == NULL || EVP_CipherInit_ex(ctx, NULL, NULL, NULL, text->nonce, 0) != 1) {
        return LP2P_ENOMEM;
    }
    bool good =
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, LP2P_AEAD_TAG, text->bytes + text->len) == 1 &&
        pass(ctx, text);
    return good ? LP2P_OK : LP2P_EAUTH;
}

static void drop(struct lp2p_aead *aead)
{
    EVP_CIPHER_CTX_free((EVP_CIPHER_CTX *)aead->context); /* wipes it */
    aead->context = NULL;
}

static bool init(void)
{
    return true;
}

const struct lp2p_aead_library lp2p_aead_libcrypto = {.name = "libcrypto",
                                                      .len_min = LP2P_AEAD_LARGE,
                                                      .init = init,
                                                      .seal = seal_text,
                                                      .open = open_text,
                                                      .drop = drop};
