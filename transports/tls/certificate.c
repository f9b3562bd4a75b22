/* SPDX-License-Identifier: MIT */
#include "tls/certificate.h"

#include "base/check.h"
#include "tls/algorithm.h"
#include "tls/calendar.h"
#include "wire/der.h"

enum { TAG_BOOLEAN = 0x01, TAG_OCTET_STRING = 0x04, TAG_VERSION = 0xa0, TAG_EXTENSIONS = 0xa3 };

#define NAME_MAX_BYTES 1024
#define EXTENSIONS_MAX 32

static const uint8_t LIBP2P_OID[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01};
/* Critical ones that may be there and change nothing for us: key usage, alternative names, constraints,
 * extended usage. */
static const uint8_t HARMLESS_OIDS[][3] = {
    {0x55, 0x1d, 0x0f}, {0x55, 0x1d, 0x11}, {0x55, 0x1d, 0x13}, {0x55, 0x1d, 0x25}};

/** Takes an element and gives it with its tag and length. */
static enum lp2p_err take_whole(struct lp2p_span *in, uint8_t tag, struct lp2p_span *whole,
                                struct lp2p_span *content)
{
    const uint8_t *start = in->ptr;
    enum lp2p_err err = lp2p_der_take(in, tag, content);
    *whole = lp2p_span(start, err == LP2P_OK ? (size_t)(in->ptr - start) : 0);
    return err;
}

/** SEQUENCE { publicKey OCTET STRING, signature OCTET STRING } that fills `in` exactly. */
static enum lp2p_err read_signed_key(struct lp2p_span in, struct lp2p_tls_certificate *out)
{
    struct lp2p_span pair;
    if (lp2p_der_take(&in, LP2P_DER_SEQUENCE, &pair) != LP2P_OK || in.len != 0 ||
        lp2p_der_take(&pair, TAG_OCTET_STRING, &out->host_key) != LP2P_OK ||
        lp2p_der_take(&pair, TAG_OCTET_STRING, &out->host_signature) != LP2P_OK || pair.len != 0 ||
        out->host_key.len == 0) {
        return LP2P_EMALFORMED;
    }
    return LP2P_OK;
}

static bool is_harmless(struct lp2p_span oid)
{
    for (size_t i = 0; i < LP2P_ARRAY_LEN(HARMLESS_OIDS); i++) {
        if (lp2p_span_eq(oid, lp2p_span(HARMLESS_OIDS[i], sizeof(HARMLESS_OIDS[i])))) {
            return true;
        }
    }
    return false;
}

/** RFC 5280 section 4.2. The spec of libp2p: its extension once, others ignored unless they are critical. */
static enum lp2p_err read_extension(struct lp2p_span *list, struct lp2p_tls_certificate *out)
{
    struct lp2p_span extension, oid, flag, value;
    bool critical = false;
    if (lp2p_der_take(list, LP2P_DER_SEQUENCE, &extension) != LP2P_OK ||
        lp2p_der_take(&extension, LP2P_DER_OID, &oid) != LP2P_OK) {
        return LP2P_EMALFORMED;
    }
    if (extension.len > 0 && extension.ptr[0] == TAG_BOOLEAN) {
        if (lp2p_der_take(&extension, TAG_BOOLEAN, &flag) != LP2P_OK || flag.len != 1 ||
            flag.ptr[0] != 0xff) {
            return LP2P_EMALFORMED; /* DER: true is 0xff, and the default is not written */
        }
        critical = true;
    }
    if (lp2p_der_take(&extension, TAG_OCTET_STRING, &value) != LP2P_OK || extension.len != 0) {
        return LP2P_EMALFORMED;
    }
    if (lp2p_span_eq(oid, lp2p_span(LIBP2P_OID, sizeof(LIBP2P_OID)))) {
        return out->host_key.ptr == NULL ? read_signed_key(value, out) : LP2P_EPROTO;
    }
    return critical && !is_harmless(oid) ? LP2P_EPROTO : LP2P_OK;
}

static enum lp2p_err read_extensions(struct lp2p_span tagged, struct lp2p_tls_certificate *out)
{
    struct lp2p_span list;
    if (lp2p_der_take(&tagged, LP2P_DER_SEQUENCE, &list) != LP2P_OK || tagged.len != 0) {
        return LP2P_EMALFORMED;
    }
    for (unsigned n = 0; list.len > 0; n++) {
        enum lp2p_err err = n < EXTENSIONS_MAX ? read_extension(&list, out) : LP2P_EOVERSIZE;
        if (err != LP2P_OK) {
            return err;
        }
    }
    return out->host_key.ptr != NULL ? LP2P_OK : LP2P_EPROTO;
}

/** Version 3, serial number, the algorithm (again), issuer, validity, subject. */
static enum lp2p_err read_front(struct lp2p_span *in, struct lp2p_span algorithm,
                                struct lp2p_tls_certificate *out)
{
    struct lp2p_span version, number, whole, content, issuer, validity, subject;
    if (lp2p_der_take(in, TAG_VERSION, &version) != LP2P_OK ||
        lp2p_der_take_positive(&version, &number) != LP2P_OK || version.len != 0 || number.len != 1 ||
        number.ptr[0] != 2 || lp2p_der_take(in, LP2P_DER_INTEGER, &number) != LP2P_OK || number.len == 0 ||
        take_whole(in, LP2P_DER_SEQUENCE, &whole, &content) != LP2P_OK || !lp2p_span_eq(whole, algorithm) ||
        lp2p_der_take(in, LP2P_DER_SEQUENCE, &issuer) != LP2P_OK || issuer.len > NAME_MAX_BYTES ||
        lp2p_der_take(in, LP2P_DER_SEQUENCE, &validity) != LP2P_OK ||
        lp2p_tls_calendar_take(&validity, &out->not_before_s) != LP2P_OK ||
        lp2p_tls_calendar_take(&validity, &out->not_after_s) != LP2P_OK || validity.len != 0 ||
        lp2p_der_take(in, LP2P_DER_SEQUENCE, &subject) != LP2P_OK || subject.len > NAME_MAX_BYTES) {
        return LP2P_EMALFORMED;
    }
    return LP2P_OK;
}

static enum lp2p_err read_signed_part(struct lp2p_span in, struct lp2p_span algorithm,
                                      struct lp2p_tls_certificate *out)
{
    struct lp2p_span ignored, extensions;
    enum lp2p_err err = read_front(&in, algorithm, out);
    if (err == LP2P_OK) {
        err = take_whole(&in, LP2P_DER_SEQUENCE, &out->public_key_info, &ignored);
    }
    if (err == LP2P_OK) {
        err = lp2p_tls_algorithm_read(algorithm, &out->scheme);
    }
    if (err == LP2P_OK) {
        err = lp2p_tls_algorithm_fits(out->scheme, out->public_key_info);
    }
    if (err != LP2P_OK) {
        return err;
    }
    if (in.len == 0) {
        return LP2P_EPROTO; /* no extension at all */
    }
    /* Unique ids, which the spec forbids, would stand here. */
    if (lp2p_der_take(&in, TAG_EXTENSIONS, &extensions) != LP2P_OK || in.len != 0) {
        return LP2P_EMALFORMED;
    }
    return read_extensions(extensions, out);
}

enum lp2p_err lp2p_tls_certificate_read(struct lp2p_span der, struct lp2p_tls_certificate *out)
{
    struct lp2p_span certificate, content, algorithm, ignored, bits;
    *out = (struct lp2p_tls_certificate){.host_key = {NULL, 0}};
    if (lp2p_der_take(&der, LP2P_DER_SEQUENCE, &certificate) != LP2P_OK || der.len != 0 ||
        take_whole(&certificate, LP2P_DER_SEQUENCE, &out->signed_part, &content) != LP2P_OK ||
        take_whole(&certificate, LP2P_DER_SEQUENCE, &algorithm, &ignored) != LP2P_OK ||
        lp2p_der_take(&certificate, LP2P_DER_BIT_STRING, &bits) != LP2P_OK || certificate.len != 0 ||
        bits.len < 2 || bits.ptr[0] != 0) {
        return LP2P_EMALFORMED;
    }
    out->signature = lp2p_span_skip(bits, 1);
    return read_signed_part(content, algorithm, out);
}

/** The identity key's word for the certificate's key, over the bytes as they came. */
static enum lp2p_err check_host(const struct lp2p_tls_certificate *certificate, struct lp2p_peer_id *peer)
{
    static const char prefix[] = LP2P_TLS_STATEMENT;
    uint8_t statement[LP2P_PUBLIC_KEY_MAX + sizeof(prefix)];
    struct lp2p_public_key key;
    struct lp2p_span info = certificate->public_key_info;
    if (info.len > LP2P_PUBLIC_KEY_MAX) {
        return LP2P_EOVERSIZE;
    }
    enum lp2p_err err = lp2p_public_key_parse(certificate->host_key, &key);
    if (err != LP2P_OK) {
        return err;
    }
    memcpy(statement, prefix, sizeof(prefix) - 1);
    memcpy(statement + sizeof(prefix) - 1, info.ptr, info.len);
    err = lp2p_public_key_verify(&key, lp2p_span(statement, sizeof(prefix) - 1 + info.len),
                                 certificate->host_signature);
    if (err == LP2P_OK) {
        lp2p_peer_id_from_key(&key, peer);
    }
    return err;
}

bool lp2p_tls_scheme_is_costly(enum lp2p_tls_scheme scheme)
{
    return scheme != LP2P_TLS_ECDSA_P256_SHA256 && scheme != LP2P_TLS_ED25519;
}

enum lp2p_err lp2p_tls_certificate_check(const struct lp2p_tls_certificate *certificate, int64_t wall_s,
                                         struct lp2p_peer_id *peer)
{
    if (wall_s < certificate->not_before_s || wall_s > certificate->not_after_s) {
        return LP2P_EEXPIRED;
    }
    enum lp2p_err err = lp2p_tls_signature_check(certificate->scheme, certificate->public_key_info,
                                                 certificate->signed_part, certificate->signature);
    return err == LP2P_OK ? check_host(certificate, peer) : err;
}
