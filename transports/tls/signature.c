/* SPDX-License-Identifier: MIT
 * Verification of a certificate's signature: libcrypto where the build has it (16 times as fast for P-256),
 * else mbedTLS, and libsodium for Ed25519. The key was read and its size looked at before. */
#include "tls/certificate.h"
#include "wire/der.h"

#ifdef LP2P_HAVE_LIBCRYPTO
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static const EVP_MD *hash_of(enum lp2p_tls_scheme scheme)
{
    switch (scheme) {
    case LP2P_TLS_ED25519:
        return NULL;
    case LP2P_TLS_ECDSA_P384_SHA384:
    case LP2P_TLS_RSA_PKCS1_SHA384:
    case LP2P_TLS_RSA_PSS_SHA384:
        return EVP_sha384();
    case LP2P_TLS_ECDSA_P521_SHA512:
    case LP2P_TLS_RSA_PKCS1_SHA512:
    case LP2P_TLS_RSA_PSS_SHA512:
        return EVP_sha512();
    default:
        return EVP_sha256();
    }
}

static bool is_pss(enum lp2p_tls_scheme scheme)
{
    return scheme == LP2P_TLS_RSA_PSS_SHA256 || scheme == LP2P_TLS_RSA_PSS_SHA384 ||
           scheme == LP2P_TLS_RSA_PSS_SHA512;
}

static const char *curve_of(enum lp2p_tls_scheme scheme)
{
    return scheme == LP2P_TLS_ECDSA_P256_SHA256   ? "P-256"
           : scheme == LP2P_TLS_ECDSA_P384_SHA384 ? "P-384"
           : scheme == LP2P_TLS_ECDSA_P521_SHA512 ? "P-521"
                                                  : NULL;
}

/** The key out of its parts; OpenSSL 3's reader of DER takes longer than the verification. */
static EVP_PKEY *curve_key(const char *curve, struct lp2p_span info)
{
    struct lp2p_span oid, params, point;
    EVP_PKEY *key = NULL;
    if (lp2p_der_public_key_info(info, &oid, &params, &point) != LP2P_OK) {
        return NULL;
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM parts[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)curve, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point.ptr, point.len),
        OSSL_PARAM_construct_end(),
    };
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, parts) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *read_key(enum lp2p_tls_scheme scheme, struct lp2p_span info)
{
    const uint8_t *at = info.ptr;
    const char *curve = curve_of(scheme);
    return curve != NULL ? curve_key(curve, info) : d2i_PUBKEY(NULL, &at, (long)info.len);
}

enum lp2p_err lp2p_tls_signature_check(enum lp2p_tls_scheme scheme, struct lp2p_span public_key_info,
                                       struct lp2p_span message, struct lp2p_span signature)
{
    enum lp2p_err err = LP2P_ESIGNATURE;
    EVP_PKEY_CTX *options = NULL; /* belongs to the digest's context */
    EVP_PKEY *key = read_key(scheme, public_key_info);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (key == NULL) {
        err = LP2P_EBADKEY;
    } else if (md == NULL || EVP_DigestVerifyInit(md, &options, hash_of(scheme), NULL, key) != 1 ||
               (is_pss(scheme) && (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
                                   EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1))) {
        err = LP2P_ENOMEM;
    } else if (EVP_DigestVerify(md, signature.ptr, signature.len, message.ptr, message.len) == 1) {
        err = LP2P_OK;
    }
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return err;
}

#else
#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <mbedtls/rsa.h>
#include <sodium.h>

struct method {
    enum lp2p_tls_scheme scheme;
    mbedtls_md_type_t hash;
    mbedtls_pk_type_t key;
    bool pss;
};

static const struct method methods[] = {
    {LP2P_TLS_ECDSA_P256_SHA256, MBEDTLS_MD_SHA256, MBEDTLS_PK_ECDSA, false},
    {LP2P_TLS_ECDSA_P384_SHA384, MBEDTLS_MD_SHA384, MBEDTLS_PK_ECDSA, false},
    {LP2P_TLS_ECDSA_P521_SHA512, MBEDTLS_MD_SHA512, MBEDTLS_PK_ECDSA, false},
    {LP2P_TLS_RSA_PKCS1_SHA256, MBEDTLS_MD_SHA256, MBEDTLS_PK_RSA, false},
    {LP2P_TLS_RSA_PKCS1_SHA384, MBEDTLS_MD_SHA384, MBEDTLS_PK_RSA, false},
    {LP2P_TLS_RSA_PKCS1_SHA512, MBEDTLS_MD_SHA512, MBEDTLS_PK_RSA, false},
    {LP2P_TLS_RSA_PSS_SHA256, MBEDTLS_MD_SHA256, MBEDTLS_PK_RSASSA_PSS, true},
    {LP2P_TLS_RSA_PSS_SHA384, MBEDTLS_MD_SHA384, MBEDTLS_PK_RSASSA_PSS, true},
    {LP2P_TLS_RSA_PSS_SHA512, MBEDTLS_MD_SHA512, MBEDTLS_PK_RSASSA_PSS, true},
};

static enum lp2p_err check_ed25519(struct lp2p_span info, struct lp2p_span message,
                                   struct lp2p_span signature)
{
    struct lp2p_span oid, params, key;
    enum lp2p_err err = lp2p_der_public_key_info(info, &oid, &params, &key);
    if (err != LP2P_OK) {
        return err;
    }
    bool good = key.len == crypto_sign_PUBLICKEYBYTES && signature.len == crypto_sign_BYTES &&
                crypto_sign_verify_detached(signature.ptr, message.ptr, message.len, key.ptr) == 0;
    return good ? LP2P_OK : LP2P_ESIGNATURE;
}

static enum lp2p_err check_with(const struct method *method, struct lp2p_span info, struct lp2p_span message,
                                struct lp2p_span signature)
{
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(method->hash);
    mbedtls_pk_rsassa_pss_options options = {method->hash, mbedtls_md_get_size(md)};
    uint8_t hash[MBEDTLS_MD_MAX_SIZE];
    unsigned char *at = (unsigned char *)(uintptr_t)info.ptr; /* only read */
    enum lp2p_err err = LP2P_OK;
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    if (mbedtls_md(md, message.ptr, message.len, hash) != 0) {
        err = LP2P_ENOMEM;
    } else if (mbedtls_pk_parse_subpubkey(&at, info.ptr + info.len, &key) != 0) {
        err = LP2P_EBADKEY;
    } else if (mbedtls_pk_verify_ext(method->key, method->pss ? &options : NULL, &key, method->hash, hash,
                                     mbedtls_md_get_size(md), signature.ptr, signature.len) != 0) {
        err = LP2P_ESIGNATURE;
    }
    mbedtls_pk_free(&key);
    return err;
}

enum lp2p_err lp2p_tls_signature_check(enum lp2p_tls_scheme scheme, struct lp2p_span public_key_info,
                                       struct lp2p_span message, struct lp2p_span signature)
{
    if (scheme == LP2P_TLS_ED25519) {
        return check_ed25519(public_key_info, message, signature);
    }
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (methods[i].scheme == scheme) {
            return check_with(&methods[i], public_key_info, message, signature);
        }
    }
    return LP2P_EUNSUPPORTED;
}
#endif
