/* SPDX-License-Identifier: MIT
 * Identities on elliptic curves: secp256k1 (a bare scalar) and ECDSA on P-256 (RFC 5915 ECPrivateKey). */
#include "base/check.h"
#include "wire/der.h"
#include "wire/keys_own.h"
#include "wire/multihash.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/ecp.h>
#include <sodium.h>

#define SCALAR 32 /* bytes, also of r, s and a coordinate */
#define POINT 65  /* bytes, uncompressed */

/* P-256 in a SubjectPublicKeyInfo, and in an ECPrivateKey before and behind its scalar. */
static const uint8_t public_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
static const uint8_t private_head[] = {0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20};
static const uint8_t private_mid[] = {0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                                      0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42, 0x00};
#define P256_SCALAR_AT sizeof(private_head)

int lp2p_rand_for_mbedtls(void *ctx, unsigned char *out, size_t len)
{
    lp2p_rand_fill((const struct lp2p_rand *)ctx, out, len);
    return 0;
}

void lp2p_blind_init(struct lp2p_blind *blind, struct lp2p_span secret, const uint8_t hash[32])
{
    static const char label[] = "lotus-p2p blinding";
    crypto_hash_sha256_state state;
    *blind = (struct lp2p_blind){.used = 0};
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)label, sizeof(label));
    crypto_hash_sha256_update(&state, secret.ptr, secret.len);
    crypto_hash_sha256_update(&state, hash, 32);
    crypto_hash_sha256_final(&state, blind->key);
}

int lp2p_blind_fill(void *ctx, unsigned char *out, size_t len)
{
    struct lp2p_blind *blind = ctx;
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    memcpy(nonce, &blind->used, sizeof(nonce));
    blind->used++;
    return crypto_stream_chacha20(out, len, nonce, blind->key);
}

/** A curve, a scalar and its point. */
struct pair {
    mbedtls_ecp_group group;
    mbedtls_mpi d;
    mbedtls_ecp_point q;
};

static int pair_init(struct pair *pair, enum lp2p_key_type type)
{
    mbedtls_ecp_group_init(&pair->group);
    mbedtls_mpi_init(&pair->d);
    mbedtls_ecp_point_init(&pair->q);
    return mbedtls_ecp_group_load(&pair->group, type == LP2P_KEY_SECP256K1 ? MBEDTLS_ECP_DP_SECP256K1
                                                                           : MBEDTLS_ECP_DP_SECP256R1);
}

static void pair_free(struct pair *pair)
{
    mbedtls_ecp_point_free(&pair->q);
    mbedtls_mpi_free(&pair->d);
    mbedtls_ecp_group_free(&pair->group);
}

/* Fills *out from scalar and point. */
static int write_key(struct pair *pair, enum lp2p_key_type type, struct lp2p_private_key *out)
{
    bool bitcoin = type == LP2P_KEY_SECP256K1;
    uint8_t data[sizeof(public_head) + POINT], *point = data + (bitcoin ? 0 : sizeof(public_head));
    size_t len = 0;
    memcpy(data, public_head, sizeof(public_head));
    int rc = mbedtls_ecp_point_write_binary(&pair->group, &pair->q,
                                            bitcoin ? MBEDTLS_ECP_PF_COMPRESSED : MBEDTLS_ECP_PF_UNCOMPRESSED,
                                            &len, point, POINT);
    rc =
        rc != 0 ? rc : mbedtls_mpi_write_binary(&pair->d, out->data + (bitcoin ? 0 : P256_SCALAR_AT), SCALAR);
    if (rc != 0) {
        return rc;
    }
    out->data_len = SCALAR;
    if (!bitcoin) {
        uint8_t *at = out->data + P256_SCALAR_AT + SCALAR;
        memcpy(out->data, private_head, sizeof(private_head));
        memcpy(at, private_mid, sizeof(private_mid));
        memcpy(at + sizeof(private_mid), point, POINT);
        out->data_len = sizeof(private_head) + SCALAR + sizeof(private_mid) + POINT;
    }
    struct lp2p_span encoded = lp2p_span(data, (size_t)(point - data) + len);
    return lp2p_public_key_make(type, encoded, &out->public_key) == LP2P_OK ? 0 : MBEDTLS_ERR_ECP_INVALID_KEY;
}

static enum lp2p_err verdict(int rc)
{
    return rc == 0                                                                    ? LP2P_OK
           : rc == MBEDTLS_ERR_MPI_ALLOC_FAILED || rc == MBEDTLS_ERR_ECP_ALLOC_FAILED ? LP2P_ENOMEM
                                                                                      : LP2P_EBADKEY;
}

enum lp2p_err lp2p_ec_own_generate(enum lp2p_key_type type, const struct lp2p_rand *rand,
                                   struct lp2p_private_key *out)
{
    struct pair pair;
    void *source = (void *)(uintptr_t)rand;
    int rc = pair_init(&pair, type);
    rc = rc != 0 ? rc : mbedtls_ecp_gen_keypair(&pair.group, &pair.d, &pair.q, lp2p_rand_for_mbedtls, source);
    rc = rc != 0 ? rc : write_key(&pair, type, out);
    pair_free(&pair);
    return verdict(rc);
}

/* The key of a scalar of 32 bytes. */
static enum lp2p_err read_scalar(enum lp2p_key_type type, struct lp2p_span scalar,
                                 struct lp2p_private_key *out)
{
    static const uint8_t no_hash[32];
    struct pair pair;
    struct lp2p_blind blind;
    lp2p_blind_init(&blind, scalar, no_hash);
    int rc = pair_init(&pair, type);
    rc = rc != 0 ? rc : mbedtls_mpi_read_binary(&pair.d, scalar.ptr, scalar.len);
    rc = rc != 0 ? rc : mbedtls_ecp_check_privkey(&pair.group, &pair.d);
    rc =
        rc != 0 ? rc : mbedtls_ecp_mul(&pair.group, &pair.q, &pair.d, &pair.group.G, lp2p_blind_fill, &blind);
    rc = rc != 0 ? rc : write_key(&pair, type, out);
    pair_free(&pair);
    sodium_memzero(&blind, sizeof(blind));
    return verdict(rc);
}

enum lp2p_err lp2p_secp256k1_own_read(struct lp2p_span data, struct lp2p_private_key *out)
{
    return data.len == SCALAR ? read_scalar(LP2P_KEY_SECP256K1, data, out) : LP2P_EBADKEY;
}

/* ECPrivateKey { version 1, scalar, [0] curve, [1] public key }; the last may be missing. */
enum lp2p_err lp2p_ecdsa_own_read(struct lp2p_span data, struct lp2p_private_key *out)
{
    struct lp2p_span key, version, scalar, params, curve, wrapped, bits = {NULL, 0};
    if (lp2p_der_take(&data, LP2P_DER_SEQUENCE, &key) != LP2P_OK || data.len != 0 ||
        lp2p_der_take(&key, LP2P_DER_INTEGER, &version) != LP2P_OK || version.len != 1 ||
        version.ptr[0] != 1 || lp2p_der_take(&key, LP2P_DER_OCTET_STRING, &scalar) != LP2P_OK ||
        lp2p_der_take(&key, LP2P_DER_CONTEXT_0, &params) != LP2P_OK ||
        lp2p_der_take(&params, LP2P_DER_OID, &curve) != LP2P_OK || params.len != 0) {
        return LP2P_EMALFORMED;
    }
    if (key.len > 0 && (lp2p_der_take(&key, LP2P_DER_CONTEXT_1, &wrapped) != LP2P_OK || key.len != 0 ||
                        lp2p_der_take(&wrapped, LP2P_DER_BIT_STRING, &bits) != LP2P_OK || wrapped.len != 0)) {
        return LP2P_EMALFORMED;
    }
    if (!lp2p_span_eq(curve, lp2p_span(private_mid + 4, 8))) {
        return LP2P_EUNSUPPORTED;
    }
    enum lp2p_err err = scalar.len == SCALAR ? read_scalar(LP2P_KEY_ECDSA, scalar, out) : LP2P_EBADKEY;
    if (err == LP2P_OK && bits.ptr != NULL) {
        /* The bit string of a SubjectPublicKeyInfo and this one are the same bytes. */
        const uint8_t *have = out->data + P256_SCALAR_AT + SCALAR + sizeof(private_mid) - 1;
        err = lp2p_span_eq(bits, lp2p_span(have, 1 + POINT)) ? LP2P_OK : LP2P_EBADKEY;
    }
    return err;
}

/* s and n - s are both right; the smaller one is what Bitcoin's libraries take. */
static int lower(const mbedtls_ecp_group *group, mbedtls_mpi *s)
{
    mbedtls_mpi other;
    mbedtls_mpi_init(&other);
    int rc = mbedtls_mpi_sub_mpi(&other, &group->N, s);
    if (rc == 0 && mbedtls_mpi_cmp_mpi(&other, s) < 0) {
        rc = mbedtls_mpi_copy(s, &other);
    }
    mbedtls_mpi_free(&other);
    return rc;
}

static int write_signature(const mbedtls_mpi *r, const mbedtls_mpi *s, uint8_t *out, size_t *len)
{
    uint8_t der[2 * (SCALAR + 3) + 2], number[SCALAR];
    struct lp2p_der_out at = {der, sizeof(der), sizeof(der)};
    const mbedtls_mpi *numbers[] = {s, r};
    for (int i = 0; i < 2; i++) {
        size_t size = mbedtls_mpi_size(numbers[i]);
        int rc = mbedtls_mpi_write_binary(numbers[i], number, size);
        if (rc != 0) {
            return rc;
        }
        lp2p_der_put_positive(&at, lp2p_span(number, size));
    }
    lp2p_der_wrap(&at, LP2P_DER_SEQUENCE, sizeof(der));
    struct lp2p_span made = lp2p_der_out(&at);
    memcpy(out, made.ptr, made.len);
    *len = made.len;
    return 0;
}

size_t lp2p_ec_own_sign(const struct lp2p_private_key *key, const uint8_t hash[32],
                        uint8_t out[LP2P_SIGNATURE_MAX])
{
    enum lp2p_key_type type = key->public_key.type;
    const uint8_t *scalar = key->data + (type == LP2P_KEY_SECP256K1 ? 0 : P256_SCALAR_AT);
    struct pair pair;
    struct lp2p_blind blind;
    mbedtls_mpi r, s;
    size_t len = 0;
    mbedtls_mpi_init(&r);
    mbedtls_mpi_init(&s);
    lp2p_blind_init(&blind, lp2p_span(scalar, SCALAR), hash);
    int rc = pair_init(&pair, type);
    rc = rc != 0 ? rc : mbedtls_mpi_read_binary(&pair.d, scalar, SCALAR);
    rc = rc != 0 ? rc
                 : mbedtls_ecdsa_sign_det_ext(&pair.group, &r, &s, &pair.d, hash, 32, MBEDTLS_MD_SHA256,
                                              lp2p_blind_fill, &blind);
    rc = rc != 0 || type != LP2P_KEY_SECP256K1 ? rc : lower(&pair.group, &s);
    rc = rc != 0 ? rc : write_signature(&r, &s, out, &len);
    pair_free(&pair);
    mbedtls_mpi_free(&r);
    mbedtls_mpi_free(&s);
    sodium_memzero(&blind, sizeof(blind));
    return rc == 0 ? len : 0;
}
