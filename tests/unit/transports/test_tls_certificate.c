/* SPDX-License-Identifier: MIT
 * Certificates of libp2p: the vectors of the spec, of js and of rust, and crafted ones with one fault each.
 */
#include "tls_craft.h"
#include "vectors.h"

#include "tls/algorithm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define SET_BACK ((int64_t)1640000000) /* December 2021: the certificates of rust are valid */

/* Vectors */

static void test_tls_certificate_vectors(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("tls-certificates.json");
    size_t i, max, good = 0, bad = 0;
    yyjson_val *one;
    yyjson_arr_foreach(vectors_array(doc, "certificates"), i, max, one)
    {
        struct lp2p_span der = vectors_hex(one, "certificate");
        struct lp2p_peer_id peer = {.len = 0};
        enum lp2p_err err = lp2p_tls_check_certificate(der, KIT_NOW, &peer);
        if (vectors_flag(one, "valid")) {
            char text[LP2P_PEER_ID_TEXT_MAX];
            assert_int_equal(err, LP2P_OK);
            lp2p_peer_id_text(&peer, text);
            assert_string_equal(text, vectors_str(one, "expected_peer_id"));
            good++;
        } else {
            assert_int_not_equal(err, LP2P_OK);
            bad++;
        }
        vectors_free(der);
    }
    assert_int_equal(good, 6);
    assert_int_equal(bad, 3);
    yyjson_doc_free(doc);
}

static void test_tls_certificate_other_schemes(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("tls-certificates.json");
    size_t i, max, read = 0;
    yyjson_val *one;
    yyjson_arr_foreach(vectors_array(doc, "other_signature_scheme_certificates"), i, max, one)
    {
        struct lp2p_span der = vectors_hex(one, "certificate");
        struct lp2p_tls_certificate certificate;
        struct lp2p_peer_id peer;
        const char *name = vectors_str(one, "name");
        enum lp2p_err err = lp2p_tls_certificate_read(der, &certificate);
        if (strcmp(name, "ed448.der") == 0) {
            assert_int_equal(err, LP2P_EUNSUPPORTED);
        } else if (strcmp(name, "nistp384_sha256.der") == 0) {
            assert_int_equal(err, LP2P_EBADKEY); /* the hash is not the curve's */
        } else {
            assert_int_equal(err, LP2P_OK);
            assert_int_equal(lp2p_tls_signature_check(certificate.scheme, certificate.public_key_info,
                                                      certificate.signed_part, certificate.signature),
                             LP2P_OK);
            /* The self-signature is right, but of eleven only one has a host key that signed. */
            assert_int_equal(lp2p_tls_check_certificate(der, SET_BACK, &peer),
                             vectors_flag(one, "valid") ? LP2P_OK : LP2P_ESIGNATURE);
            read++;
            uint8_t *wrong = malloc(certificate.signed_part.len);
            memcpy(wrong, certificate.signed_part.ptr, certificate.signed_part.len);
            wrong[20] ^= 1;
            assert_int_equal(lp2p_tls_signature_check(certificate.scheme, certificate.public_key_info,
                                                      lp2p_span(wrong, certificate.signed_part.len),
                                                      certificate.signature),
                             LP2P_ESIGNATURE);
            free(wrong);
        }
        vectors_free(der);
    }
    assert_int_equal(read, 9);
    yyjson_doc_free(doc);
}

/** No byte of a certificate may be missing, and no bit of it may be another. */
static void test_tls_certificate_every_bit(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("tls-certificates.json");
    struct lp2p_span der =
        vectors_hex(yyjson_arr_get_first(vectors_array(doc, "certificates")), "certificate");
    struct lp2p_peer_id peer;
    for (size_t len = 0; len < der.len; len++) {
        struct lp2p_span part = vectors_copy(lp2p_span(der.ptr, len));
        assert_int_equal(lp2p_tls_check_certificate(part, KIT_NOW, &peer), LP2P_EMALFORMED);
        vectors_free(part);
    }
    uint8_t *copy = malloc(der.len + 1);
    memcpy(copy, der.ptr, der.len);
    for (size_t bit = 0; bit < der.len * 8; bit++) {
        copy[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        assert_int_not_equal(lp2p_tls_check_certificate(lp2p_span(copy, der.len), KIT_NOW, &peer), LP2P_OK);
        copy[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    }
    copy[der.len] = 0; /* nothing may follow */
    assert_int_equal(lp2p_tls_check_certificate(lp2p_span(copy, der.len + 1), KIT_NOW, &peer),
                     LP2P_EMALFORMED);
    assert_int_equal(lp2p_tls_check_certificate(lp2p_span(copy, der.len), KIT_NOW, &peer), LP2P_OK);
    free(copy);
    vectors_free(der);
    yyjson_doc_free(doc);
}

/* One fault each */

struct workshop {
    struct kit_node node;
    struct lp2p_tls_key key;
    struct craft_bytes value, extensions, out;
};

static struct workshop *workshop_new(bool critical)
{
    struct workshop *shop = calloc(1, sizeof(*shop));
    kit_node_keys(&shop->node, 7);
    assert_int_equal(lp2p_tls_key_generate(&kit_rand, &shop->key), LP2P_OK);
    craft_signed_key(&shop->value, &shop->node, &shop->key);
    craft_extension(&shop->extensions, lp2p_span(CRAFT_LIBP2P, sizeof(CRAFT_LIBP2P)), critical,
                    lp2p_span(shop->value.bytes, shop->value.len));
    return shop;
}

static enum lp2p_err check(struct workshop *shop, const struct craft *craft, int64_t wall_s)
{
    struct craft whole = *craft;
    struct lp2p_peer_id peer = {.len = 0};
    whole.key = &shop->key;
    craft_make(&whole, &shop->out);
    struct lp2p_span exact = vectors_copy(lp2p_span(shop->out.bytes, shop->out.len));
    enum lp2p_err err = lp2p_tls_check_certificate(exact, wall_s, &peer);
    vectors_free(exact);
    assert_true(err != LP2P_OK || lp2p_peer_id_eq(&peer, &shop->node.id));
    return err;
}

static void test_tls_certificate_extensions(void **state)
{
    (void)state;
    static const uint8_t key_usage[] = {0x55, 0x1d, 0x0f};
    const struct lp2p_span libp2p = lp2p_span(CRAFT_LIBP2P, sizeof(CRAFT_LIBP2P)),
                           other = lp2p_span(CRAFT_OTHER, sizeof(CRAFT_OTHER));
    for (int critical = 0; critical < 2; critical++) {
        struct workshop *shop = workshop_new(critical != 0);
        struct lp2p_span value = lp2p_span(shop->value.bytes, shop->value.len);
        struct craft craft = {.extensions = lp2p_span(shop->extensions.bytes, shop->extensions.len)};
        assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_OK);
        craft.empty_names = true; /* as js and rust have them */
        assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_OK);
        /* An unknown one is passed over, unless it is critical; a known one may be. */
        craft_extension(&shop->extensions, other, false, value);
        craft.extensions.len = shop->extensions.len;
        assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_OK);
        craft_extension(&shop->extensions, lp2p_span(key_usage, sizeof(key_usage)), true,
                        lp2p_span("\x03\x02\x07\x80", 4));
        craft.extensions.len = shop->extensions.len;
        assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_OK);
        size_t before = shop->extensions.len;
        craft_extension(&shop->extensions, other, true, value);
        craft.extensions.len = shop->extensions.len;
        assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EPROTO);
        /* Twice is once too often. */
        shop->extensions.len = before;
        craft_extension(&shop->extensions, libp2p, critical != 0, value);
        craft.extensions.len = shop->extensions.len;
        assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EPROTO);
        /* None. */
        shop->extensions.len = 0;
        craft_extension(&shop->extensions, other, false, value);
        craft.extensions = lp2p_span(shop->extensions.bytes, shop->extensions.len);
        assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EPROTO);
        craft.extensions.len = 0;
        assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EPROTO);
        free(shop);
    }
}

static void test_tls_certificate_form(void **state)
{
    (void)state;
    static const uint8_t sha1[] = {0x30, 0x09, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01};
    static const uint8_t md5_rsa[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                      0xf7, 0x0d, 0x01, 0x01, 0x04, 0x05, 0x00};
    static const uint8_t sha1_rsa[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                       0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00};
    static const uint8_t rsa[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};
    static const uint8_t p384[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
    static const uint8_t unique_id[] = {0x81, 0x02, 0x00, 0x55};
    struct workshop *shop = workshop_new(true);
    const struct craft good = {.extensions = lp2p_span(shop->extensions.bytes, shop->extensions.len)};
    struct craft craft = good;
    assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_OK);
    craft.version = 2;
    assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EMALFORMED);
    craft = good, craft.before_extensions = lp2p_span(unique_id, sizeof(unique_id));
    assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EMALFORMED);
    craft = good, craft.outer = lp2p_span(p384, sizeof(p384)); /* not what the signed part says */
    assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EMALFORMED);
    const struct lp2p_span old[] = {lp2p_span(sha1, sizeof(sha1)), lp2p_span(md5_rsa, sizeof(md5_rsa)),
                                    lp2p_span(sha1_rsa, sizeof(sha1_rsa))};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(old); i++) {
        craft = good, craft.algorithm = old[i];
        assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EUNSUPPORTED);
    }
    craft = good, craft.algorithm = lp2p_span(rsa, sizeof(rsa)); /* another kind than the key */
    assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EBADKEY);
    craft.algorithm = lp2p_span(p384, sizeof(p384));
    assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EBADKEY);
    free(shop);
}

static void test_tls_certificate_dates(void **state)
{
    (void)state;
    static const struct {
        int64_t from, to, now;
        enum lp2p_err err;
    } cases[] = {
        {KIT_NOW, KIT_NOW, KIT_NOW, LP2P_OK},
        {KIT_NOW + 1, KIT_NOW + 9, KIT_NOW, LP2P_EEXPIRED},
        {KIT_NOW - 9, KIT_NOW - 1, KIT_NOW, LP2P_EEXPIRED},
        {-631152000 /* 1950 */, 2524607999 /* end of 2049 */, 0, LP2P_OK},
        {-631152001 /* 1949 */, 2524608000 /* 2050 */, 2524608000, LP2P_OK},
        {951782400 /* 29 February 2000 */, 951782400, 951782400, LP2P_OK},
        {-62135596800 /* 1 January 0001 */, 253402300799 /* end of 9999 */, 1, LP2P_OK},
    };
    struct workshop *shop = workshop_new(false);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        const struct craft craft = {.extensions = lp2p_span(shop->extensions.bytes, shop->extensions.len),
                                    .from_s = cases[i].from,
                                    .to_s = cases[i].to};
        assert_int_equal(check(shop, &craft, cases[i].now), cases[i].err);
    }
    free(shop);
    /* Back and forth over many days. */
    for (int64_t s = -62135596800; s < 253402300799; s += 86400 * 37 + 12345) {
        uint8_t date[LP2P_TLS_DATE_MAX];
        struct lp2p_span in = lp2p_span(date, lp2p_tls_calendar_put(s, date));
        int64_t back = 0;
        assert_int_equal(lp2p_tls_calendar_take(&in, &back), LP2P_OK);
        assert_int_equal(back, s);
    }
    static const char *const bad[] = {"\x17\x0d"
                                      "261301000000Z",
                                      "\x17\x0d"
                                      "260230000000Z",
                                      "\x17\x0d"
                                      "260101240000Z",
                                      "\x17\x0d"
                                      "260101000060Z",
                                      "\x17\x0d"
                                      "260101000000+",
                                      "\x17\x0b"
                                      "2601010000Z",
                                      "\x18\x0d"
                                      "260101000000Z",
                                      "\x18\x0f"
                                      "21000229000000Z"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(bad); i++) {
        struct lp2p_span in = lp2p_span_str(bad[i]);
        int64_t ignored;
        assert_int_equal(lp2p_tls_calendar_take(&in, &ignored), LP2P_EMALFORMED);
    }
}

/** The identity key is the certificate's own key: unusual, and no lie. */
static void test_tls_certificate_self_referential(void **state)
{
    (void)state;
    struct workshop *shop = workshop_new(false);
    struct lp2p_public_key host;
    uint8_t statement[LP2P_TLS_KEY_DER_MAX], signature[MBEDTLS_ECDSA_MAX_LEN];
    struct craft_bytes *info = calloc(1, sizeof(*info));
    craft_info(&shop->key, info);
    assert_int_equal(lp2p_public_key_make(LP2P_KEY_ECDSA, lp2p_span(info->bytes, info->len), &host), LP2P_OK);
    size_t len = craft_sign(&shop->key, lp2p_span(statement, lp2p_tls_key_statement(&shop->key, statement)),
                            signature);
    shop->value.len = shop->extensions.len = 0;
    craft_put(&shop->value, 0x04, host.encoded, host.encoded_len);
    craft_put(&shop->value, 0x04, signature, len);
    craft_wrap(&shop->value, 0, 0x30);
    craft_extension(&shop->extensions, lp2p_span(CRAFT_LIBP2P, sizeof(CRAFT_LIBP2P)), true,
                    lp2p_span(shop->value.bytes, shop->value.len));
    const struct craft craft = {.key = &shop->key,
                                .extensions = lp2p_span(shop->extensions.bytes, shop->extensions.len)};
    struct lp2p_peer_id peer, own;
    lp2p_peer_id_from_key(&host, &own);
    craft_make(&craft, &shop->out);
    assert_int_equal(lp2p_tls_check_certificate(lp2p_span(shop->out.bytes, shop->out.len), KIT_NOW, &peer),
                     LP2P_OK);
    assert_true(lp2p_peer_id_eq(&peer, &own));
    free(info);
    free(shop);
}

/* Keys of a wrong size (row AH9) and lengths that lie (row AH10) */

static void rsa_info(struct craft_bytes *out, size_t bits, uint32_t exponent, bool even)
{
    static const uint8_t oid[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                  0x0d, 0x01, 0x01, 0x01, 0x05, 0x00};
    uint8_t modulus[8193 + 1] = {0}, number[5];
    size_t len = bits / 8;
    randombytes_buf(modulus + 1, len);
    modulus[1] |= 0x80;
    modulus[len] = even ? modulus[len] & 0xfe : modulus[len] | 1;
    size_t number_len = 0;
    if (exponent >= 0x80000000u) {
        number[number_len++] = 0;
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        uint8_t byte = (uint8_t)(exponent >> shift);
        if (number_len > 0 || byte != 0) {
            number[number_len++] = byte;
        }
    }
    out->len = 0;
    craft_add(out, oid, sizeof(oid));
    craft_wrap(out, 0, 0x30);
    size_t start = out->len;
    craft_put(out, 0x02, modulus, len + 1);
    craft_put(out, 0x02, number, number_len);
    craft_wrap(out, start, 0x30);
    struct craft_bytes *bits_string = calloc(1, sizeof(*bits_string));
    craft_add(bits_string, "\0", 1);
    craft_add(bits_string, out->bytes + start, out->len - start);
    out->len = start;
    craft_put(out, 0x03, bits_string->bytes, bits_string->len);
    craft_wrap(out, 0, 0x30);
    free(bits_string);
}

static void test_AH9_tls_huge_keys(void **state)
{
    (void)state;
    static const uint8_t rsa[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                  0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};
    static const struct {
        size_t bits;
        uint32_t exponent;
        bool even;
        enum lp2p_err err;
    } cases[] = {
        {2048, 65537, false, LP2P_ESIGNATURE},
        {8192, 65537, false, LP2P_ESIGNATURE}, /* sizes that are looked at */
        {512, 65537, false, LP2P_EBADKEY},
        {1024, 65537, false, LP2P_EBADKEY},
        {2040, 65537, false, LP2P_EBADKEY},
        {8200, 65537, false, LP2P_EOVERSIZE},
        {16384, 65537, false, LP2P_EOVERSIZE},
        {65536, 65537, false, LP2P_EOVERSIZE},
        {2048, 65536, false, LP2P_EBADKEY},
        {2048, 1, false, LP2P_EBADKEY},
        {2048, 0xffffffff, false, LP2P_EBADKEY},
        {2048, 65537, true, LP2P_EBADKEY},
    };
    struct workshop *shop = workshop_new(false);
    struct craft_bytes *info = calloc(1, sizeof(*info));
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        rsa_info(info, cases[i].bits, cases[i].exponent, cases[i].even);
        struct craft craft = {.extensions = lp2p_span(shop->extensions.bytes, shop->extensions.len),
                              .algorithm = lp2p_span(rsa, sizeof(rsa)),
                              .public_key_info = lp2p_span(info->bytes, info->len)};
        enum lp2p_err err = check(shop, &craft, KIT_NOW);
        assert_true(err == cases[i].err || (cases[i].err == LP2P_EOVERSIZE && err == LP2P_EBADKEY));
        /* The negative control: without the look at the size, the arithmetic is done, and says something
         * else. */
        if (cases[i].bits > 8192 && cases[i].bits <= 16384) {
            uint8_t signature[16384 / 8] = {1};
            err = lp2p_tls_signature_check(LP2P_TLS_RSA_PKCS1_SHA256, craft.public_key_info,
                                           lp2p_span("x", 1), lp2p_span(signature, cases[i].bits / 8));
            assert_true(err == LP2P_ESIGNATURE || err == LP2P_EBADKEY);
        }
    }
    free(info);
    free(shop);
}

static void test_AH10_tls_lengths_that_lie(void **state)
{
    (void)state;
    static const uint8_t lies[][8] = {
        {0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x04, 0x00}, /* 4 GiB */
        {0x30, 0x82, 0x7f, 0xff, 0x04, 0x82, 0x7f, 0x00}, /* 32 KiB */
        {0x30, 0x80, 0x04, 0x00, 0x04, 0x00, 0x00, 0x00}, /* no length */
        {0x30, 0x06, 0x04, 0x81, 0x01, 0x00, 0x04, 0x00}, /* not the shortest */
        {0x30, 0x06, 0x04, 0x02, 0x08, 0x01, 0x04, 0x01}, /* one byte too many */
        {0x30, 0x04, 0x04, 0x00, 0x04, 0x00, 0x05, 0x00}, /* trailing bytes */
        {0x30, 0x06, 0x04, 0x02, 0x08, 0x01, 0x05, 0x00}, /* another type */
        {0x31, 0x06, 0x04, 0x02, 0x08, 0x01, 0x04, 0x00}};
    struct workshop *shop = workshop_new(false);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(lies); i++) {
        shop->extensions.len = 0;
        craft_extension(&shop->extensions, lp2p_span(CRAFT_LIBP2P, sizeof(CRAFT_LIBP2P)), false,
                        lp2p_span(lies[i], 8));
        const struct craft craft = {.extensions = lp2p_span(shop->extensions.bytes, shop->extensions.len)};
        assert_int_equal(check(shop, &craft, KIT_NOW), LP2P_EMALFORMED);
    }
    free(shop);
}

/* Our own */

static void test_tls_certificate_made(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        struct kit_node node;
        struct lp2p_tls_key key;
        struct lp2p_peer_id peer;
        uint8_t der[LP2P_TLS_OWN_MAX], statement[LP2P_TLS_KEY_DER_MAX], signature[64];
        size_t len = 0;
        kit_node_keys(&node, (uint8_t)round);
        assert_int_equal(lp2p_tls_key_generate(&kit_rand, &key), LP2P_OK);
        crypto_sign_detached(signature, NULL, statement, lp2p_tls_key_statement(&key, statement), node.sk);
        struct lp2p_tls_make make = {.key = &key,
                                     .host_key = lp2p_public_key_encoded(&node.key),
                                     .host_signature = lp2p_span(signature, 64),
                                     .not_before_s = KIT_NOW - 3600,
                                     .not_after_s = KIT_NOW + (int64_t)36525 * 86400,
                                     .rand = &kit_rand};
        assert_int_equal(lp2p_tls_certificate_make(&make, der, &len), LP2P_OK);
        assert_int_equal(lp2p_tls_check_certificate(lp2p_span(der, len), KIT_NOW, &peer), LP2P_OK);
        assert_true(lp2p_peer_id_eq(&peer, &node.id));
        /* js looks at the first extension only, and another is not there. */
        struct lp2p_tls_certificate read;
        assert_int_equal(lp2p_tls_certificate_read(lp2p_span(der, len), &read), LP2P_OK);
        assert_true(read.host_key.ptr > read.public_key_info.ptr);
        /* Another node's word for this key is not this node's. */
        kit_node_keys(&node, (uint8_t)(round + 1));
        make.host_key = lp2p_public_key_encoded(&node.key);
        assert_int_equal(lp2p_tls_certificate_make(&make, der, &len), LP2P_OK);
        assert_int_equal(lp2p_tls_check_certificate(lp2p_span(der, len), KIT_NOW, &peer), LP2P_ESIGNATURE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_certificate_vectors),
        cmocka_unit_test(test_tls_certificate_other_schemes),
        cmocka_unit_test(test_tls_certificate_every_bit),
        cmocka_unit_test(test_tls_certificate_extensions),
        cmocka_unit_test(test_tls_certificate_form),
        cmocka_unit_test(test_tls_certificate_dates),
        cmocka_unit_test(test_tls_certificate_self_referential),
        cmocka_unit_test(test_AH9_tls_huge_keys),
        cmocka_unit_test(test_AH10_tls_lengths_that_lie),
        cmocka_unit_test(test_tls_certificate_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
