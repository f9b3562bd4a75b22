/* SPDX-License-Identifier: MIT
 * RSA identities: PKCS#1 RSAPrivateKey (RFC 8017 appendix A.1.2). */
#include "base/check.h"
#include "wire/der.h"
#include "wire/keys_own.h"
#include "wire/keys_pk.h"

#include <mbedtls/md.h>
#include <mbedtls/rsa.h>
#include <sodium.h>

#define EXPONENT 65537

/* The numbers of an RSAPrivateKey behind its version, in their order. */
enum part { N, E, D, P, Q, DP, DQ, QINV, PARTS };

static enum lp2p_err split(struct lp2p_span data, struct lp2p_span parts[PARTS])
{
    struct lp2p_span numbers, version;
    if (lp2p_der_take(&data, LP2P_DER_SEQUENCE, &numbers) != LP2P_OK || data.len != 0 ||
        lp2p_der_take(&numbers, LP2P_DER_INTEGER, &version) != LP2P_OK || version.len != 1 ||
        version.ptr[0] != 0) {
        return LP2P_EMALFORMED; /* version 1 has more than two primes */
    }
    for (int i = 0; i < PARTS; i++) {
        if (lp2p_der_take_positive(&numbers, &parts[i]) != LP2P_OK) {
            return LP2P_EMALFORMED;
        }
    }
    return numbers.len == 0 ? LP2P_OK : LP2P_EMALFORMED;
}

static int import(mbedtls_rsa_context *rsa, const struct lp2p_span parts[PARTS])
{
    int rc = mbedtls_rsa_import_raw(rsa, parts[N].ptr, parts[N].len, parts[P].ptr, parts[P].len, parts[Q].ptr,
                                    parts[Q].len, parts[D].ptr, parts[D].len, parts[E].ptr, parts[E].len);
    return rc != 0 ? rc : mbedtls_rsa_complete(rsa);
}

static enum lp2p_err verdict(int rc)
{
    bool memory = (-rc & 0x7f) == -MBEDTLS_ERR_MPI_ALLOC_FAILED; /* the low half of a sum of two codes */
    return rc == 0 ? LP2P_OK : memory ? LP2P_ENOMEM : LP2P_EBADKEY;
}

/* The CRT numbers of the key are the ones that its primes give: others would make signatures that tell the
 * primes. */
static int check_crt(const mbedtls_rsa_context *rsa, const struct lp2p_span parts[PARTS])
{
    mbedtls_mpi have[3], given;
    mbedtls_mpi_init(&given);
    for (int i = 0; i < 3; i++) {
        mbedtls_mpi_init(&have[i]);
    }
    int rc = mbedtls_rsa_export_crt(rsa, &have[0], &have[1], &have[2]);
    for (int i = 0; rc == 0 && i < 3; i++) {
        rc = mbedtls_mpi_read_binary(&given, parts[DP + i].ptr, parts[DP + i].len);
        if (rc == 0 && mbedtls_mpi_cmp_mpi(&given, &have[i]) != 0) {
            rc = MBEDTLS_ERR_RSA_KEY_CHECK_FAILED;
        }
    }
    for (int i = 0; i < 3; i++) {
        mbedtls_mpi_free(&have[i]);
    }
    mbedtls_mpi_free(&given);
    return rc;
}

/** EBADKEY: numbers that no key of ours has; their exact bounds are lp2p_public_key_make's business. */
static enum lp2p_err make_public(struct lp2p_span n, struct lp2p_span e, struct lp2p_public_key *out)
{
    static const uint8_t algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    uint8_t der[LP2P_PUBLIC_KEY_MAX];
    struct lp2p_der_out at = {der, sizeof(der), sizeof(der)};
    if (n.len > LP2P_SIGNATURE_MAX || e.len > sizeof(uint64_t)) {
        return LP2P_EBADKEY; /* they come from a file: they have to fit into `der` */
    }
    lp2p_der_put_positive(&at, e);
    lp2p_der_put_positive(&at, n);
    lp2p_der_wrap(&at, LP2P_DER_SEQUENCE, sizeof(der));
    lp2p_der_put(&at, (const uint8_t[]){0}, 1); /* no unused bits */
    lp2p_der_wrap(&at, LP2P_DER_BIT_STRING, sizeof(der));
    lp2p_der_put(&at, algorithm, sizeof(algorithm));
    lp2p_der_wrap(&at, LP2P_DER_SEQUENCE, sizeof(der));
    return lp2p_public_key_make(LP2P_KEY_RSA, lp2p_der_out(&at), out);
}

enum lp2p_err lp2p_rsa_own_read(struct lp2p_span data, struct lp2p_private_key *out)
{
    struct lp2p_span parts[PARTS];
    enum lp2p_err err = split(data, parts);
    if (err == LP2P_OK) {
        err = make_public(parts[N], parts[E], &out->public_key); /* sizes are checked before any arithmetic */
    }
    for (int i = D; err == LP2P_OK && i < PARTS; i++) {
        err = parts[i].len <= (i == D ? parts[N].len : parts[N].len / 2 + 8) ? LP2P_OK : LP2P_EBADKEY;
    }
    if (err != LP2P_OK) {
        return err;
    }
    mbedtls_rsa_context rsa;
    mbedtls_rsa_init(&rsa);
    int rc = import(&rsa, parts);
    rc = rc != 0 ? rc : mbedtls_rsa_check_privkey(&rsa);
    rc = rc != 0 ? rc : check_crt(&rsa, parts);
    mbedtls_rsa_free(&rsa);
    if (rc == 0) {
        memcpy(out->data, data.ptr, data.len);
        out->data_len = (uint16_t)data.len;
    }
    return verdict(rc);
}

/* Writes PKCS#1 from a complete context, from the last number to the first. */
static int write_key(const mbedtls_rsa_context *rsa, struct lp2p_private_key *out)
{
    mbedtls_mpi parts[PARTS];
    uint8_t der[LP2P_PRIVATE_KEY_DATA_MAX], number[LP2P_SIGNATURE_MAX];
    struct lp2p_der_out at = {der, sizeof(der), sizeof(der)};
    for (int i = 0; i < PARTS; i++) {
        mbedtls_mpi_init(&parts[i]);
    }
    int rc = mbedtls_rsa_export(rsa, &parts[N], &parts[P], &parts[Q], &parts[D], &parts[E]);
    rc = rc != 0 ? rc : mbedtls_rsa_export_crt(rsa, &parts[DP], &parts[DQ], &parts[QINV]);
    for (int i = PARTS; rc == 0 && i-- > 0;) {
        size_t len = mbedtls_mpi_size(&parts[i]);
        rc = mbedtls_mpi_write_binary(&parts[i], number, len);
        lp2p_der_put_positive(&at, lp2p_span(number, len));
    }
    lp2p_der_put(&at, (const uint8_t[]){LP2P_DER_INTEGER, 1, 0}, 3);
    lp2p_der_wrap(&at, LP2P_DER_SEQUENCE, sizeof(der));
    struct lp2p_span made = lp2p_der_out(&at);
    if (rc == 0) {
        memcpy(out->data, made.ptr, made.len);
        out->data_len = (uint16_t)made.len;
    }
    sodium_memzero(der, sizeof(der));
    sodium_memzero(number, sizeof(number));
    for (int i = 0; i < PARTS; i++) {
        mbedtls_mpi_free(&parts[i]);
    }
    return rc;
}

enum lp2p_err lp2p_rsa_own_generate(unsigned bits, const struct lp2p_rand *rand, struct lp2p_private_key *out)
{
    mbedtls_rsa_context rsa;
    mbedtls_rsa_init(&rsa);
    int rc = mbedtls_rsa_gen_key(&rsa, lp2p_rand_for_mbedtls, (void *)(uintptr_t)rand, bits, EXPONENT);
    rc = rc != 0 ? rc : write_key(&rsa, out);
    mbedtls_rsa_free(&rsa);
    if (rc != 0) {
        return LP2P_ENOMEM;
    }
    struct lp2p_span parts[PARTS];
    enum lp2p_err err = split(lp2p_span(out->data, out->data_len), parts);
    return err != LP2P_OK ? err : make_public(parts[N], parts[E], &out->public_key);
}

size_t lp2p_rsa_own_sign(const struct lp2p_private_key *key, const uint8_t hash[32],
                         uint8_t out[LP2P_SIGNATURE_MAX])
{
    struct lp2p_span parts[PARTS], data = lp2p_span(key->data, key->data_len);
    enum lp2p_err err = split(data, parts);
    LP2P_CHECK(err == LP2P_OK);
    struct lp2p_blind blind;
    lp2p_blind_init(&blind, data, hash);
    mbedtls_rsa_context rsa;
    mbedtls_rsa_init(&rsa);
    int rc = import(&rsa, parts);
    rc = rc != 0 ? rc
                 : mbedtls_rsa_pkcs1_sign(&rsa, lp2p_blind_fill, &blind, MBEDTLS_MD_SHA256, 32, hash, out);
    mbedtls_rsa_free(&rsa);
    sodium_memzero(&blind, sizeof(blind));
    return rc == 0 ? parts[N].len : 0;
}
