/* SPDX-License-Identifier: MIT */
#include "tls/aead.h"

#ifdef LP2P_HAVE_LIBCRYPTO
#include <openssl/evp.h>

size_t lp2p_tls_aead_memory_bytes(enum lp2p_tls_suite suite)
{
    return suite == LP2P_TLS_AES_128_GCM ? 1024 : 768; /* measured with OpenSSL 3.0 */
}

void *lp2p_tls_aead_new(enum lp2p_tls_suite suite, const uint8_t *key, bool seals)
{
    EVP_CIPHER_CTX *evp = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *cipher = suite == LP2P_TLS_AES_128_GCM ? EVP_aes_128_gcm() : EVP_chacha20_poly1305();
    if (evp != NULL && EVP_CipherInit_ex(evp, cipher, NULL, key, NULL, seals) != 1) {
        EVP_CIPHER_CTX_free(evp);
        return NULL;
    }
    return evp;
}

void lp2p_tls_aead_free(enum lp2p_tls_suite suite, void *cipher)
{
    (void)suite;
    EVP_CIPHER_CTX_free(cipher);
}

static bool update(EVP_CIPHER_CTX *evp, uint8_t *out, const uint8_t *in, size_t len)
{
    int n = 0;
    return len == 0 || EVP_CipherUpdate(evp, out, &n, in, (int)len) == 1;
}

static bool begin(EVP_CIPHER_CTX *evp, const uint8_t *nonce, struct lp2p_span ad)
{
    return EVP_CipherInit_ex(evp, NULL, NULL, NULL, nonce, -1) == 1 && update(evp, NULL, ad.ptr, ad.len);
}

static bool finish_seal(EVP_CIPHER_CTX *evp, uint8_t *tag)
{
    int n = 0;
    return EVP_CipherFinal_ex(evp, tag, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_GET_TAG, LP2P_TLS_TAG, tag) == 1;
}

enum lp2p_err lp2p_tls_aead_seal(enum lp2p_tls_suite suite, void *cipher, const uint8_t nonce[LP2P_TLS_NONCE],
                                 struct lp2p_span ad, uint8_t *text, size_t len)
{
    return lp2p_tls_aead_seal_parts(suite, cipher, nonce, ad, text, len, NULL, 0);
}

enum lp2p_err lp2p_tls_aead_seal_parts(enum lp2p_tls_suite suite, void *cipher,
                                       const uint8_t nonce[LP2P_TLS_NONCE], struct lp2p_span ad,
                                       uint8_t *text, size_t len, const struct lp2p_secure_part *parts,
                                       size_t parts_len)
{
    (void)suite;
    size_t at = 0;
    bool good = begin(cipher, nonce, ad);
    for (size_t i = 0; i < parts_len && good; i++) {
        good = update(cipher, text + at, text + at, parts[i].at - at) &&
               update(cipher, text + parts[i].at, parts[i].bytes.ptr, parts[i].bytes.len);
        at = parts[i].at + parts[i].bytes.len;
    }
    good = good && update(cipher, text + at, text + at, len - at) && finish_seal(cipher, text + len);
    return good ? LP2P_OK : LP2P_ENOMEM;
}

enum lp2p_err lp2p_tls_aead_open(enum lp2p_tls_suite suite, void *cipher, const uint8_t nonce[LP2P_TLS_NONCE],
                                 struct lp2p_span ad, uint8_t *text, size_t len)
{
    (void)suite;
    int n = 0;
    uint8_t none[LP2P_TLS_TAG];
    bool good = begin(cipher, nonce, ad) && update(cipher, text, text, len) &&
                EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, LP2P_TLS_TAG, text + len) == 1 &&
                EVP_CipherFinal_ex(cipher, none, &n) == 1;
    return good ? LP2P_OK : LP2P_EAUTH;
}

#else
#include <mbedtls/gcm.h>
#include <sodium.h>

#include <stdlib.h>

/* One of the two, by the suite. */
union cipher {
    mbedtls_gcm_context gcm;
    uint8_t key[crypto_aead_chacha20poly1305_IETF_KEYBYTES];
};

size_t lp2p_tls_aead_memory_bytes(enum lp2p_tls_suite suite)
{
    return suite == LP2P_TLS_AES_128_GCM ? sizeof(union cipher) + 320 : sizeof(union cipher);
}

void *lp2p_tls_aead_new(enum lp2p_tls_suite suite, const uint8_t *key, bool seals)
{
    (void)seals;
    union cipher *cipher = calloc(1, sizeof(*cipher));
    if (cipher == NULL) {
        return NULL;
    }
    if (suite == LP2P_TLS_CHACHA20) {
        memcpy(cipher->key, key, sizeof(cipher->key));
        return cipher;
    }
    mbedtls_gcm_init(&cipher->gcm);
    if (mbedtls_gcm_setkey(&cipher->gcm, MBEDTLS_CIPHER_ID_AES, key, 128) != 0) {
        lp2p_tls_aead_free(suite, cipher);
        return NULL;
    }
    return cipher;
}

void lp2p_tls_aead_free(enum lp2p_tls_suite suite, void *cipher)
{
    union cipher *used = cipher;
    if (used != NULL && suite == LP2P_TLS_AES_128_GCM) {
        mbedtls_gcm_free(&used->gcm);
    }
    if (used != NULL) {
        sodium_memzero(used, sizeof(*used));
    }
    free(used);
}

enum lp2p_err lp2p_tls_aead_seal(enum lp2p_tls_suite suite, void *cipher, const uint8_t nonce[LP2P_TLS_NONCE],
                                 struct lp2p_span ad, uint8_t *text, size_t len)
{
    union cipher *used = cipher;
    if (suite == LP2P_TLS_AES_128_GCM) {
        return mbedtls_gcm_crypt_and_tag(&used->gcm, MBEDTLS_GCM_ENCRYPT, len, nonce, LP2P_TLS_NONCE, ad.ptr,
                                         ad.len, text, text, LP2P_TLS_TAG, text + len) == 0
                   ? LP2P_OK
                   : LP2P_ENOMEM;
    }
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(text, text + len, NULL, text, len, ad.ptr, ad.len,
                                                       NULL, nonce, used->key);
    return LP2P_OK;
}

enum lp2p_err lp2p_tls_aead_seal_parts(enum lp2p_tls_suite suite, void *cipher,
                                       const uint8_t nonce[LP2P_TLS_NONCE], struct lp2p_span ad,
                                       uint8_t *text, size_t len, const struct lp2p_secure_part *parts,
                                       size_t parts_len)
{
    for (size_t i = 0; i < parts_len; i++) {
        memcpy(text + parts[i].at, parts[i].bytes.ptr, parts[i].bytes.len);
    }
    return lp2p_tls_aead_seal(suite, cipher, nonce, ad, text, len);
}

enum lp2p_err lp2p_tls_aead_open(enum lp2p_tls_suite suite, void *cipher, const uint8_t nonce[LP2P_TLS_NONCE],
                                 struct lp2p_span ad, uint8_t *text, size_t len)
{
    union cipher *used = cipher;
    int rc = suite == LP2P_TLS_AES_128_GCM
                 ? mbedtls_gcm_auth_decrypt(&used->gcm, len, nonce, LP2P_TLS_NONCE, ad.ptr, ad.len,
                                            text + len, LP2P_TLS_TAG, text, text)
                 : crypto_aead_chacha20poly1305_ietf_decrypt_detached(text, NULL, text, len, text + len,
                                                                      ad.ptr, ad.len, nonce, used->key);
    return rc == 0 ? LP2P_OK : LP2P_EAUTH;
}
#endif
