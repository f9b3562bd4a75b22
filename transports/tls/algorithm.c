/* SPDX-License-Identifier: MIT */
#include "tls/algorithm.h"

#include "base/check.h"
#include "wire/der.h"

struct algorithm {
    enum lp2p_tls_scheme scheme;
    uint8_t len;
    uint8_t bytes[67]; /* the whole AlgorithmIdentifier: there is one DER form of each */
};

/* RFC 4055 section 3.1: hash, mask generation with the same hash, and a salt as long as the hash. */
#define PSS(hash, salt)                                                                                      \
    {0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f,   \
     0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05, 0x00, 0xa1, 0x1c,   \
     0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,   \
     0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, salt}
#define PKCS1(hash) {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, hash, 0x05, 0x00}
#define ECDSA(hash) {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, hash}

static const struct algorithm algorithms[] = {
    {LP2P_TLS_ECDSA_P256_SHA256, 12, ECDSA(0x02)},
    {LP2P_TLS_ECDSA_P384_SHA384, 12, ECDSA(0x03)},
    {LP2P_TLS_ECDSA_P521_SHA512, 12, ECDSA(0x04)},
    {LP2P_TLS_RSA_PKCS1_SHA256, 15, PKCS1(0x0b)},
    {LP2P_TLS_RSA_PKCS1_SHA384, 15, PKCS1(0x0c)},
    {LP2P_TLS_RSA_PKCS1_SHA512, 15, PKCS1(0x0d)},
    {LP2P_TLS_RSA_PSS_SHA256, 67, PSS(0x01, 0x20)},
    {LP2P_TLS_RSA_PSS_SHA384, 67, PSS(0x02, 0x30)},
    {LP2P_TLS_RSA_PSS_SHA512, 67, PSS(0x03, 0x40)},
    {LP2P_TLS_ED25519, 7, {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70}},
};

enum lp2p_err lp2p_tls_algorithm_read(struct lp2p_span algorithm, enum lp2p_tls_scheme *out)
{
    for (size_t i = 0; i < LP2P_ARRAY_LEN(algorithms); i++) {
        if (lp2p_span_eq(algorithm, lp2p_span(algorithms[i].bytes, algorithms[i].len))) {
            *out = algorithms[i].scheme;
            return LP2P_OK;
        }
    }
    return LP2P_EUNSUPPORTED;
}

/** The front of a SubjectPublicKeyInfo's algorithm names the curve: the key's own bytes are checked by
 * lp2p_public_key_make. */
static bool on_curve(struct lp2p_span params, const uint8_t *curve, size_t len)
{
    struct lp2p_span name;
    return lp2p_der_take(&params, LP2P_DER_OID, &name) == LP2P_OK &&
           lp2p_span_eq(name, lp2p_span(curve, len));
}

static enum lp2p_err fits_curve(struct lp2p_span info, struct lp2p_span params, const uint8_t *curve,
                                size_t len)
{
    struct lp2p_public_key key;
    enum lp2p_err err = lp2p_public_key_make(LP2P_KEY_ECDSA, info, &key);
    return err != LP2P_OK ? err : on_curve(params, curve, len) ? LP2P_OK : LP2P_EBADKEY;
}

enum lp2p_err lp2p_tls_algorithm_fits(enum lp2p_tls_scheme scheme, struct lp2p_span public_key_info)
{
    static const uint8_t p256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07},
                         p384[] = {0x2b, 0x81, 0x04, 0x00, 0x22}, p521[] = {0x2b, 0x81, 0x04, 0x00, 0x23},
                         ed25519[] = {0x2b, 0x65, 0x70};
    struct lp2p_span oid, params, bits;
    struct lp2p_public_key key;
    enum lp2p_err err = lp2p_der_public_key_info(public_key_info, &oid, &params, &bits);
    if (err != LP2P_OK) {
        return err;
    }
    switch (scheme) {
    case LP2P_TLS_ECDSA_P256_SHA256:
        return fits_curve(public_key_info, params, p256, sizeof(p256));
    case LP2P_TLS_ECDSA_P384_SHA384:
        return fits_curve(public_key_info, params, p384, sizeof(p384));
    case LP2P_TLS_ECDSA_P521_SHA512:
        return fits_curve(public_key_info, params, p521, sizeof(p521));
    case LP2P_TLS_ED25519:
        return lp2p_span_eq(oid, lp2p_span(ed25519, sizeof(ed25519))) && params.len == 0 && bits.len == 32
                   ? LP2P_OK
                   : LP2P_EBADKEY;
    default:
        return lp2p_public_key_make(LP2P_KEY_RSA, public_key_info, &key);
    }
}
