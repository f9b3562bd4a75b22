/* SPDX-License-Identifier: MIT */
#include "wire/keys_pk.h"

#include "base/check.h"
#include "wire/der.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/ecp.h>
#include <mbedtls/md.h>
#include <mbedtls/rsa.h>

#define RSA_BITS_MIN 2048 /* go-libp2p core/crypto/rsa_common.go */
#define RSA_BITS_MAX 8192
#define RSA_EXPONENT_MAX                                                                                     \
    4                /* bytes, below 2^31 as Go's crypto/rsa: a longer one makes each verification slow */
#define ORDER_MAX 66 /* bytes of the group order of P-521, and so of r and s */

static bool is_oid(struct lp2p_span oid, const uint8_t *bytes, size_t len)
{
    return lp2p_span_eq(oid, lp2p_span(bytes, len));
}

/* RSA (RFC 8017 appendix A.1: SEQUENCE { modulus, publicExponent }, inside a SubjectPublicKeyInfo) */

static size_t bit_count(struct lp2p_span number)
{
    size_t bits = number.len * 8;
    for (uint8_t top = number.ptr[0]; top < 0x80; top = (uint8_t)(top << 1)) {
        bits--; /* the first byte of a positive number is not 0 */
    }
    return bits;
}

static enum lp2p_err split_rsa(struct lp2p_span data, struct lp2p_span *modulus, struct lp2p_span *exponent)
{
    static const uint8_t rsa_encryption[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    struct lp2p_span oid, params, key, numbers, null;
    enum lp2p_err err = lp2p_der_public_key_info(data, &oid, &params, &key);
    if (err != LP2P_OK) {
        return err;
    }
    if (!is_oid(oid, rsa_encryption, sizeof(rsa_encryption))) {
        return LP2P_EBADKEY;
    }
    if (lp2p_der_take(&params, LP2P_DER_NULL, &null) != LP2P_OK || null.len != 0 || params.len != 0 ||
        lp2p_der_take(&key, LP2P_DER_SEQUENCE, &numbers) != LP2P_OK || key.len != 0 ||
        lp2p_der_take_positive(&numbers, modulus) != LP2P_OK ||
        lp2p_der_take_positive(&numbers, exponent) != LP2P_OK || numbers.len != 0) {
        return LP2P_EMALFORMED;
    }
    return LP2P_OK;
}

enum lp2p_err lp2p_rsa_check_bits(struct lp2p_span data, size_t bits_min, size_t bits_max)
{
    struct lp2p_span modulus, exponent;
    enum lp2p_err err = split_rsa(data, &modulus, &exponent);
    if (err != LP2P_OK) {
        return err;
    }
    size_t bits = bit_count(modulus);
    if (bits < bits_min || bits > bits_max || modulus.ptr[modulus.len - 1] % 2 == 0) {
        return LP2P_EBADKEY;
    }
    size_t exponent_bits = bit_count(exponent);
    if (exponent.len > RSA_EXPONENT_MAX || exponent_bits > 31 || exponent_bits < 2 ||
        exponent.ptr[exponent.len - 1] % 2 == 0) {
        return LP2P_EBADKEY;
    }
    return LP2P_OK;
}

enum lp2p_err lp2p_rsa_check(struct lp2p_span data)
{
    return lp2p_rsa_check_bits(data, RSA_BITS_MIN, RSA_BITS_MAX);
}

#ifndef LP2P_HAVE_LIBCRYPTO
static enum lp2p_err verify_rsa(struct lp2p_span modulus, struct lp2p_span exponent, const uint8_t hash[32],
                                struct lp2p_span sig)
{
    enum lp2p_err err = LP2P_OK;
    mbedtls_rsa_context rsa;
    mbedtls_rsa_init(&rsa);
    int rc = mbedtls_rsa_import_raw(&rsa, modulus.ptr, modulus.len, NULL, 0, NULL, 0, NULL, 0, exponent.ptr,
                                    exponent.len);
    rc = rc != 0 ? rc : mbedtls_rsa_complete(&rsa);
    rc = rc != 0 ? rc : mbedtls_rsa_check_pubkey(&rsa);
    if (rc != 0) {
        err = LP2P_EBADKEY;
    } else if (mbedtls_rsa_pkcs1_verify(&rsa, MBEDTLS_MD_SHA256, 32, hash, sig.ptr) != 0) {
        err = LP2P_ESIGNATURE;
    }
    mbedtls_rsa_free(&rsa);
    return err;
}
#endif

enum lp2p_err lp2p_rsa_verify(struct lp2p_span data, const uint8_t hash[32], struct lp2p_span sig)
{
    struct lp2p_span modulus, exponent;
    enum lp2p_err err = lp2p_rsa_check(data);
    if (err == LP2P_OK) {
        err = split_rsa(data, &modulus, &exponent);
    }
    if (err != LP2P_OK) {
        return err;
    }
    if (sig.len != modulus.len) {
        return LP2P_ESIGNATURE;
    }
#ifdef LP2P_HAVE_LIBCRYPTO
    return lp2p_verify_fast(data, true, hash, sig);
#else
    return verify_rsa(modulus, exponent, hash, sig);
#endif
}
/* Elliptic curves */

struct curve {
    mbedtls_ecp_group_id id;
    uint8_t oid_len;
    uint8_t oid[8];
    uint8_t field_bytes;
};

/* The curves of Go's x509 package (RFC 5480 section 2.1.1.1). */
static const struct curve curves[] = {
    {MBEDTLS_ECP_DP_SECP256R1, 8, {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, 32},
    {MBEDTLS_ECP_DP_SECP384R1, 5, {0x2b, 0x81, 0x04, 0x00, 0x22}, 48},
    {MBEDTLS_ECP_DP_SECP521R1, 5, {0x2b, 0x81, 0x04, 0x00, 0x23}, 66},
    {MBEDTLS_ECP_DP_SECP224R1, 5, {0x2b, 0x81, 0x04, 0x00, 0x21}, 28},
};

static enum lp2p_err split_ecdsa(struct lp2p_span data, const struct curve **curve, struct lp2p_span *point)
{
    static const uint8_t ec_public_key[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
    struct lp2p_span oid, params, name;
    enum lp2p_err err = lp2p_der_public_key_info(data, &oid, &params, point);
    if (err != LP2P_OK) {
        return err;
    }
    if (!is_oid(oid, ec_public_key, sizeof(ec_public_key))) {
        return LP2P_EBADKEY;
    }
    if (lp2p_der_take(&params, LP2P_DER_OID, &name) != LP2P_OK || params.len != 0) {
        return LP2P_EMALFORMED;
    }
    for (size_t i = 0; i < LP2P_ARRAY_LEN(curves); i++) {
        if (is_oid(name, curves[i].oid, curves[i].oid_len)) {
            *curve = &curves[i];
            return LP2P_OK;
        }
    }
    return LP2P_EUNSUPPORTED;
}

enum lp2p_err lp2p_ecdsa_check(struct lp2p_span data)
{
    const struct curve *curve = NULL;
    struct lp2p_span point;
    enum lp2p_err err = split_ecdsa(data, &curve, &point);
    if (err != LP2P_OK) {
        return err;
    }
    /* SEC 1 section 2.3.3, uncompressed, as Go reads it. */
    return point.len == 1 + 2 * (size_t)curve->field_bytes && point.ptr[0] == 0x04 ? LP2P_OK : LP2P_EBADKEY;
}

enum lp2p_err lp2p_secp256k1_check(struct lp2p_span data)
{
    return data.len == 33 && (data.ptr[0] == 0x02 || data.ptr[0] == 0x03) ? LP2P_OK : LP2P_EBADKEY;
}

/* SEQUENCE { r, s }, both positive and at most as long as the group's order. */
static bool read_signature(struct lp2p_span sig, struct lp2p_span *r, struct lp2p_span *s)
{
    struct lp2p_span numbers;
    return lp2p_der_take(&sig, LP2P_DER_SEQUENCE, &numbers) == LP2P_OK && sig.len == 0 &&
           lp2p_der_take_positive(&numbers, r) == LP2P_OK && lp2p_der_take_positive(&numbers, s) == LP2P_OK &&
           numbers.len == 0 && r->len <= ORDER_MAX && s->len <= ORDER_MAX;
}

#ifndef LP2P_HAVE_LIBCRYPTO
static enum lp2p_err verify_on_curve(mbedtls_ecp_group_id id, struct lp2p_span point, const uint8_t hash[32],
                                     struct lp2p_span r_bytes, struct lp2p_span s_bytes)
{
    enum lp2p_err err = LP2P_OK;
    mbedtls_ecp_group group;
    mbedtls_ecp_point q;
    mbedtls_mpi r, s;
    mbedtls_ecp_group_init(&group);
    mbedtls_ecp_point_init(&q);
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    if (mbedtls_ecp_group_load(&group, id) != 0 ||
        mbedtls_mpi_read_binary(&r, r_bytes.ptr, r_bytes.len) != 0 ||
        mbedtls_mpi_read_binary(&s, s_bytes.ptr, s_bytes.len) != 0) {
        err = LP2P_ENOMEM;
    } else if (mbedtls_ecp_point_read_binary(&group, &q, point.ptr, point.len) != 0 ||
               mbedtls_ecp_check_pubkey(&group, &q) != 0) {
        err = LP2P_EBADKEY;
    } else if (mbedtls_ecdsa_verify(&group, hash, 32, &q, &r, &s) != 0) {
        err = LP2P_ESIGNATURE;
    }
    mbedtls_mpi_free(&s);
    mbedtls_mpi_free(&r);
    mbedtls_ecp_point_free(&q);
    mbedtls_ecp_group_free(&group);
    return err;
}
#endif

enum lp2p_err lp2p_ecdsa_verify(struct lp2p_span data, const uint8_t hash[32], struct lp2p_span sig)
{
    const struct curve *curve = NULL;
    struct lp2p_span point, r, s;
    enum lp2p_err err = lp2p_ecdsa_check(data);
    if (err == LP2P_OK) {
        err = split_ecdsa(data, &curve, &point);
    }
    if (err != LP2P_OK) {
        return err;
    }
    if (!read_signature(sig, &r, &s)) {
        return LP2P_ESIGNATURE;
    }
#ifdef LP2P_HAVE_LIBCRYPTO
    return lp2p_verify_fast(data, false, hash, sig);
#else
    return verify_on_curve(curve->id, point, hash, r, s);
#endif
}

enum lp2p_err lp2p_secp256k1_verify(struct lp2p_span data, const uint8_t hash[32], struct lp2p_span sig)
{
    struct lp2p_span r, s;
    enum lp2p_err err = lp2p_secp256k1_check(data);
    if (err != LP2P_OK) {
        return err;
    }
    if (!read_signature(sig, &r, &s)) {
        return LP2P_ESIGNATURE;
    }
#ifdef LP2P_HAVE_LIBCRYPTO
    static const uint8_t head[] = {0x30, 0x36, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                                   0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a, 0x03, 0x22, 0x00};
    uint8_t info[sizeof(head) + 33];
    memcpy(info, head, sizeof(head));
    memcpy(info + sizeof(head), data.ptr, data.len);
    return lp2p_verify_fast(lp2p_span(info, sizeof(info)), false, hash, sig);
#else
    return verify_on_curve(MBEDTLS_ECP_DP_SECP256K1, data, hash, r, s);
#endif
}
