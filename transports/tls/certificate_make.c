/* SPDX-License-Identifier: MIT
 * Our own certificates. DER is written from its end to its beginning, so that each length is known when it is
 * due. */
#include "base/check.h"
#include "tls/algorithm.h"
#include "tls/calendar.h"
#include "tls/names.h"
#include "wire/multihash.h"

#include <mbedtls/ecdsa.h>
#include <mbedtls/ecp.h>
#include <sodium.h>

enum {
    TAG_BIT_STRING = 0x03,
    TAG_OCTET_STRING = 0x04,
    TAG_UTF8 = 0x0c,
    TAG_INTEGER = 0x02,
    TAG_OID = 0x06,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_VERSION = 0xa0,
    TAG_EXTENSIONS = 0xa3
};

/* SubjectPublicKeyInfo of P-256 up to the point (RFC 5480). */
static const uint8_t P256_INFO[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                    0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                    0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
static const uint8_t ECDSA_SHA256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                       0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};

/** What was written lies in bytes[at .. cap). */
struct writer {
    uint8_t *bytes;
    size_t at, cap;
    bool full;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
    if (len > w->at) {
        w->full = true;
        return;
    }
    w->at -= len;
    memcpy(w->bytes + w->at, bytes, len);
}

/** Puts tag and length in front of all that was written since `end` was where it began. */
static void wrap(struct writer *w, uint8_t tag, size_t end)
{
    size_t len = end - w->at;
    uint8_t head[4] = {tag, (uint8_t)len};
    size_t head_len = 2;
    if (len > 0xff) {
        head[1] = 0x82;
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
        head_len = 4;
    } else if (len > 0x7f) {
        head[1] = 0x81;
        head[2] = (uint8_t)len;
        head_len = 3;
    }
    put(w, head, head_len);
}

static void put_element(struct writer *w, uint8_t tag, const void *bytes, size_t len)
{
    size_t end = w->at;
    put(w, bytes, len);
    wrap(w, tag, end);
}

static int fill_random(void *ctx, unsigned char *out, size_t len)
{
    lp2p_rand_fill(ctx, out, len);
    return 0;
}

enum lp2p_err lp2p_tls_key_generate(const struct lp2p_rand *rand, struct lp2p_tls_key *out)
{
    struct lp2p_rand source = *rand; /* mbedTLS takes a pointer to what may change */
    mbedtls_ecp_keypair pair;
    size_t len = 0;
    mbedtls_ecp_keypair_init(&pair);
    int rc = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, &pair, fill_random, &source);
    rc = rc != 0 ? rc : mbedtls_ecp_write_key_ext(&pair, &len, out->secret, sizeof(out->secret));
    rc = rc != 0 ? rc
                 : mbedtls_ecp_write_public_key(&pair, MBEDTLS_ECP_PF_UNCOMPRESSED, &len, out->point,
                                                sizeof(out->point));
    mbedtls_ecp_keypair_free(&pair);
    return rc == 0 && len == sizeof(out->point) ? LP2P_OK : LP2P_ENOMEM;
}

size_t lp2p_tls_key_der(const struct lp2p_tls_key *key, uint8_t out[LP2P_TLS_KEY_DER_MAX])
{
    static const uint8_t front[] = {0x30, 0x77, 0x02, 0x01,
                                    0x01, 0x04, 0x20}; /* RFC 5915: version 1, the secret */
    static const uint8_t middle[] = {
        0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
        0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42, 0x00}; /* the curve, and the point as a bit string */
    uint8_t *at = out;
    memcpy(at, front, sizeof(front));
    memcpy(at += sizeof(front), key->secret, sizeof(key->secret));
    memcpy(at += sizeof(key->secret), middle, sizeof(middle));
    memcpy(at += sizeof(middle), key->point, sizeof(key->point));
    return (size_t)(at + sizeof(key->point) - out);
}

size_t lp2p_tls_key_statement(const struct lp2p_tls_key *key, uint8_t out[LP2P_TLS_KEY_DER_MAX])
{
    static const char prefix[] = LP2P_TLS_STATEMENT;
    uint8_t *at = out;
    memcpy(at, prefix, sizeof(prefix) - 1);
    memcpy(at += sizeof(prefix) - 1, P256_INFO, sizeof(P256_INFO));
    memcpy(at += sizeof(P256_INFO), key->point, sizeof(key->point));
    return (size_t)(at + sizeof(key->point) - out);
}

/** Signs what was written so far (the signed part) and returns the DER signature's bytes; 0: no memory. */
static size_t sign(const struct lp2p_tls_make *make, struct lp2p_span message,
                   uint8_t out[MBEDTLS_ECDSA_MAX_LEN])
{
    struct lp2p_rand source = *make->rand;
    uint8_t hash[32];
    size_t len = 0;
    mbedtls_ecdsa_context ecdsa;
    lp2p_sha256(message, hash);
    mbedtls_ecdsa_init(&ecdsa);
    int rc =
        mbedtls_ecp_read_key(MBEDTLS_ECP_DP_SECP256R1, &ecdsa, make->key->secret, sizeof(make->key->secret));
    rc = rc != 0 ? rc
                 : mbedtls_ecdsa_write_signature(&ecdsa, MBEDTLS_MD_SHA256, hash, sizeof(hash), out,
                                                 MBEDTLS_ECDSA_MAX_LEN, &len, fill_random, &source);
    mbedtls_ecdsa_free(&ecdsa);
    return rc == 0 ? len : 0;
}

/** CN = 16 random hexadecimal digits, as subject and as issuer: verifiers exist that refuse an empty name. */
static void put_name(struct writer *w, const char text[16])
{
    static const uint8_t common_name[] = {0x55, 0x04, 0x03};
    size_t end = w->at;
    put_element(w, TAG_UTF8, text, 16);
    put_element(w, TAG_OID, common_name, sizeof(common_name));
    wrap(w, TAG_SEQUENCE, end);
    wrap(w, TAG_SET, end);
    wrap(w, TAG_SEQUENCE, end);
}

static void put_libp2p_extension(struct writer *w, const struct lp2p_tls_make *make)
{
    static const uint8_t oid[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01};
    size_t end = w->at;
    put_element(w, TAG_OCTET_STRING, make->host_signature.ptr, make->host_signature.len);
    put_element(w, TAG_OCTET_STRING, make->host_key.ptr, make->host_key.len);
    wrap(w, TAG_SEQUENCE, end);
    wrap(w, TAG_OCTET_STRING, end);
    put_element(w, TAG_OID, oid, sizeof(oid)); /* not critical, as go writes it: more verifiers take it so */
    wrap(w, TAG_SEQUENCE, end);
}

/** subjectAltName (RFC 5280 section 4.2.1.6). False: a name that is none. */
static bool put_names_extension(struct writer *w, const struct lp2p_tls_make *make)
{
    static const uint8_t oid[] = {0x55, 0x1d, 0x11};
    size_t end = w->at;
    for (size_t i = make->names_len; i-- > 0;) {
        uint8_t address[16];
        size_t len = lp2p_tls_name_address(make->names[i], address);
        size_t name_len = strlen(make->names[i]);
        if (len > 0) {
            put_element(w, 0x87, address, len);
        } else if (name_len > 0 && name_len <= LP2P_TLS_NAME_MAX) {
            put_element(w, 0x82, make->names[i], name_len);
        } else {
            return false;
        }
    }
    wrap(w, TAG_SEQUENCE, end);
    wrap(w, TAG_OCTET_STRING, end);
    put_element(w, TAG_OID, oid, sizeof(oid));
    wrap(w, TAG_SEQUENCE, end);
    return true;
}

static void put_validity(struct writer *w, const struct lp2p_tls_make *make)
{
    uint8_t date[LP2P_TLS_DATE_MAX];
    size_t end = w->at;
    put(w, date, lp2p_tls_calendar_put(make->not_after_s, date));
    put(w, date, lp2p_tls_calendar_put(make->not_before_s, date));
    wrap(w, TAG_SEQUENCE, end);
}

static bool put_signed_part(struct writer *w, const struct lp2p_tls_make *make)
{
    static const uint8_t version3[] = {TAG_INTEGER, 1, 2};
    uint8_t random[16];
    char name[17];
    size_t end = w->at;
    lp2p_rand_fill(make->rand, random, sizeof(random));
    (void)sodium_bin2hex(name, sizeof(name), random, 8);
    random[8] = (random[8] & 0x3f) | 0x40; /* a positive serial number in its shortest form */
    if (make->names_len > 0 && !put_names_extension(w, make)) {
        return false;
    }
    if (make->host_key.len > 0) {
        put_libp2p_extension(w, make); /* lands in front: js looks at the first extension only */
    }
    wrap(w, TAG_SEQUENCE, end);
    wrap(w, TAG_EXTENSIONS, end);
    put(w, make->key->point, sizeof(make->key->point));
    put(w, P256_INFO, sizeof(P256_INFO));
    put_name(w, name);
    put_validity(w, make);
    put_name(w, name);
    put(w, ECDSA_SHA256, sizeof(ECDSA_SHA256));
    put_element(w, TAG_INTEGER, random + 8, 8);
    put_element(w, TAG_VERSION, version3, sizeof(version3));
    wrap(w, TAG_SEQUENCE, end);
    return true;
}

enum lp2p_err lp2p_tls_certificate_make(const struct lp2p_tls_make *make, uint8_t out[LP2P_TLS_OWN_MAX],
                                        size_t *len)
{
    uint8_t signed_part[LP2P_TLS_OWN_MAX], signature[1 + MBEDTLS_ECDSA_MAX_LEN] = {0}; /* no unused bits */
    struct writer part = {signed_part, sizeof(signed_part), sizeof(signed_part), false};
    struct writer w = {out, LP2P_TLS_OWN_MAX, LP2P_TLS_OWN_MAX, false};
    if (!put_signed_part(&part, make)) {
        return LP2P_EINVAL;
    }
    if (part.full) {
        return LP2P_ELIMIT;
    }
    struct lp2p_span message = lp2p_span(signed_part + part.at, part.cap - part.at);
    size_t signature_len = sign(make, message, signature + 1);
    if (signature_len == 0) {
        return LP2P_ENOMEM;
    }
    put_element(&w, TAG_BIT_STRING, signature, 1 + signature_len);
    put(&w, ECDSA_SHA256, sizeof(ECDSA_SHA256));
    put(&w, message.ptr, message.len);
    wrap(&w, TAG_SEQUENCE, w.cap);
    *len = w.cap - w.at;
    memmove(out, out + w.at, *len);
    return w.full ? LP2P_ELIMIT : LP2P_OK;
}
