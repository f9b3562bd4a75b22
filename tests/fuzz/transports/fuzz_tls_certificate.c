/* SPDX-License-Identifier: MIT
 * Certificates of libp2p from outside. The first byte chooses: the input as the whole certificate, or as one
 * part of a good one (the extension's value, the list of extensions, the algorithm, the public key), so that
 * each part's grammar is reached; or as the identity key and its word in a certificate whose own signature is right, which
 * stands before them. */
#include "base/check.h"
#include "tls/algorithm.h"
#include "tls/certificate.h"
#include "tls/names.h"
#include "tls/tls.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW ((int64_t)1795000000)

static size_t put(uint8_t *out, uint8_t tag, const void *content, size_t len)
{
    uint8_t *from = malloc(len + 1);
    memcpy(from, content, len);
    out[0] = tag;
    out[1] = 0x82;
    out[2] = (uint8_t)(len >> 8);
    out[3] = (uint8_t)len;
    size_t head = 4;
    if (len < 0x80) {
        out[1] = (uint8_t)len;
        head = 2;
    } else if (len < 0x100) {
        out[1] = 0x81;
        out[2] = (uint8_t)len;
        head = 3;
    }
    memcpy(out + head, from, len);
    free(from);
    return head + len;
}

static size_t put_extension(uint8_t *out, struct lp2p_span value)
{
    static const uint8_t oid[] = {0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01};
    uint8_t *inner = malloc(value.len + 64);
    memcpy(inner, oid, sizeof(oid));
    size_t len = sizeof(oid) + put(inner + sizeof(oid), 0x04, value.ptr, value.len);
    len = put(out, 0x30, inner, len);
    free(inner);
    return len;
}

/** A certificate with the parts of the input in place of good ones. */
static size_t build(uint8_t part, struct lp2p_span in, uint8_t *out)
{
    static const uint8_t front[] = {0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x01};
    static const uint8_t ecdsa[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    static const char names[] = "\x30\x00\x30\x20\x18\x0f"
                                "19700101000000Z"
                                "\x18\x0d"
                                "99991231235959Z"
                                "\x30\x00";
    static const uint8_t info[91] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                                     0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
                                     0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2};
    struct lp2p_span algorithm = part == 3 ? in : lp2p_span(ecdsa, sizeof(ecdsa));
    uint8_t *body = malloc(in.len * 2 + 600), *list = malloc(in.len + 200);
    size_t at = 0, list_len = 0;
    memcpy(body, front, sizeof(front));
    at += sizeof(front);
    memcpy(body + at, algorithm.ptr, algorithm.len);
    at += algorithm.len;
    /* The names with both dates in the long form. */
    memcpy(body + at, names, 2);
    at += 2;
    uint8_t dates[40];
    size_t dates_len = put(dates, 0x18, "19700101000000Z", 15);
    dates_len += put(dates + dates_len, 0x18, "99991231235959Z", 15);
    at += put(body + at, 0x30, dates, dates_len);
    memcpy(body + at, names, 2);
    at += 2;
    struct lp2p_span key = part == 4 ? in : lp2p_span(info, sizeof(info));
    memcpy(body + at, key.ptr, key.len);
    at += key.len;
    if (part == 2) {
        memcpy(list, in.ptr, in.len);
        list_len = in.len;
    } else {
        list_len = put_extension(list, part == 1 ? in : lp2p_span("\x30\x05\x04\x01x\x04\x00", 7));
    }
    list_len = put(list, 0x30, list, list_len);
    at += put(body + at, 0xa3, list, list_len);
    at = put(body, 0x30, body, at);
    memcpy(body + at, algorithm.ptr, algorithm.len);
    at += algorithm.len;
    at += put(body + at, 0x03, "\0\x30\x06\x02\x01\x01\x02\x01\x01", 9);
    at = put(out, 0x30, body, at);
    free(body);
    free(list);
    return at;
}

static bool within(struct lp2p_span part, const uint8_t *bytes, size_t len)
{
    return part.len == 0 || (part.ptr >= bytes && part.ptr + part.len <= bytes + len);
}

static void one(const uint8_t *bytes, size_t len)
{
    struct lp2p_tls_certificate certificate;
    struct lp2p_peer_id peer = {.len = 0};
    enum lp2p_err err = lp2p_tls_certificate_read(lp2p_span(bytes, len), &certificate);
    if (err == LP2P_OK) {
        LP2P_CHECK(within(certificate.signed_part, bytes, len) &&
                   within(certificate.public_key_info, bytes, len));
        LP2P_CHECK(within(certificate.host_key, bytes, len) && certificate.host_key.len > 0);
        LP2P_CHECK(certificate.public_key_info.len <= LP2P_PUBLIC_KEY_MAX);
    }
    enum lp2p_err verdict = lp2p_tls_check_certificate(lp2p_span(bytes, len), NOW, &peer);
    LP2P_CHECK((verdict == LP2P_OK) == (peer.len > 0));
    LP2P_CHECK(err == LP2P_OK || verdict == err);
}

/** A certificate made as ours are, but for what the extension says: the first byte is the host key's share of the input. An empty
 * signature is replaced by a true one of a known key, and then only the key can be wrong. */
static void made(struct lp2p_span in)
{
    static struct lp2p_rand_seeded gen;
    static struct lp2p_tls_key key;
    static struct lp2p_private_key host;
    const struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    uint8_t out[LP2P_TLS_OWN_MAX], statement[LP2P_TLS_KEY_DER_MAX], signature[LP2P_SIGNATURE_MAX];
    if (host.public_key.encoded_len == 0) {
        lp2p_rand_seeded_init(&gen, 3);
        LP2P_CHECK(lp2p_tls_key_generate(&rand, &key) == LP2P_OK);
        lp2p_private_key_generate(&rand, &host);
    }
    size_t share = in.len > 0 ? in.ptr[0] : 0, len = 0;
    in = in.len > 0 ? lp2p_span_skip(in, 1) : in;
    struct lp2p_tls_make make = {.key = &key, .host_key = lp2p_span(in.ptr, in.len * share / 255), .rand = &rand,
                                 .not_before_s = NOW - 1, .not_after_s = NOW + 1};
    make.host_signature = lp2p_span_skip(in, make.host_key.len);
    if (make.host_signature.len == 0) {
        size_t statement_len = lp2p_tls_key_statement(&key, statement);
        make.host_signature = lp2p_span(signature, lp2p_private_key_sign(&host, lp2p_span(statement, statement_len), signature));
    }
    if (make.host_key.len == 0) {
        make.host_key = lp2p_public_key_encoded(&host.public_key);
    }
    if (lp2p_tls_certificate_make(&make, out, &len) == LP2P_OK) {
        one(out, len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 20000) {
        return 0;
    }
    uint8_t part = data[0] % 7;
    struct lp2p_span in = lp2p_span(data + 1, size - 1);
    if (part == 0) {
        one(in.ptr, in.len);
    } else if (part == 6) {
        made(in);
    } else if (part == 5) {
        uint8_t der[300];
        size_t len = 0;
        while (lp2p_tls_pem_take(&in, "CERTIFICATE", der, sizeof(der), &len) != LP2P_ENOTFOUND) {
            LP2P_CHECK(len <= sizeof(der));
        }
    } else {
        uint8_t *out = malloc(in.len * 2 + 1000);
        size_t len = build(part, in, out);
        uint8_t *exact = malloc(len);
        memcpy(exact, out, len);
        one(exact, len);
        free(exact);
        free(out);
    }
    return 0;
}
