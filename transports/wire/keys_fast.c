/* SPDX-License-Identifier: MIT
 * Verification by libcrypto, an order of magnitude faster than mbedTLS's. The form of keys and signatures was
 * checked before, so that both backends give the same verdicts. Empty without the option `libcrypto`. */
#include "wire/keys_pk.h"

#ifdef LP2P_HAVE_LIBCRYPTO
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

enum lp2p_err lp2p_verify_fast(struct lp2p_span info, bool rsa, const uint8_t hash[32], struct lp2p_span sig)
{
    const uint8_t *at = info.ptr;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)info.len);
    EVP_PKEY_CTX *ctx = key == NULL ? NULL : EVP_PKEY_CTX_new(key, NULL);
    enum lp2p_err err = key == NULL ? LP2P_EBADKEY : LP2P_ENOMEM;
    if (ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
        (!rsa || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1) &&
        EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1) {
        err = EVP_PKEY_verify(ctx, sig.ptr, sig.len, hash, 32) == 1 ? LP2P_OK : LP2P_ESIGNATURE;
    }
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    ERR_clear_error(); /* libcrypto's queue of this thread, which nobody else reads */
    return err;
}
#else
typedef int lp2p_no_libcrypto;
#endif
