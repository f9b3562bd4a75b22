/* SPDX-License-Identifier: MIT
 * Keys and peer ids: published vectors of all four key types, both forms of peer id text, truncations,
 * unusable keys. */
#include "wire/peer_id.h"

#include "base/rand.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void assert_id(const struct lp2p_peer_id *id, yyjson_val *entry, const char *hex, const char *b58,
                      const char *base32)
{
    struct lp2p_span want = vectors_hex(entry, hex);
    char text[LP2P_PEER_ID_TEXT_MAX];
    assert_true(lp2p_span_eq(lp2p_peer_id_span(id), want));
    vectors_free(want);
    lp2p_peer_id_text(id, text);
    assert_string_equal(text, vectors_str(entry, b58));
    lp2p_peer_id_cid_text(id, text);
    assert_string_equal(text, vectors_str(entry, base32));
}

static void assert_reads_as(yyjson_val *entry, const char *key, const struct lp2p_peer_id *want)
{
    struct lp2p_peer_id id;
    struct lp2p_span text = vectors_copy(vectors_text(entry, key));
    assert_int_equal(lp2p_peer_id_from_text(text, &id), LP2P_OK);
    assert_true(lp2p_peer_id_eq(&id, want));
    vectors_free(text);
}

static void test_identity_keys_and_their_ids(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("identity.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "keys"), i, max, entry)
    {
        struct lp2p_span encoded = vectors_hex(entry, "public_pb"), data = vectors_hex(entry, "public_data");
        struct lp2p_public_key key, made, inlined;
        struct lp2p_peer_id id;
        assert_int_equal(lp2p_public_key_parse(encoded, &key), LP2P_OK);
        assert_int_equal(key.type, vectors_u64(entry, "type_enum"));
        assert_true(lp2p_span_eq(lp2p_public_key_encoded(&key), encoded));
        assert_true(lp2p_span_eq(lp2p_span(key.encoded + key.data_offset, key.data_len), data));
        assert_int_equal(lp2p_public_key_make(key.type, data, &made), LP2P_OK);
        assert_true(lp2p_span_eq(lp2p_public_key_encoded(&made), encoded));

        lp2p_peer_id_from_key(&key, &id);
        assert_id(&id, entry, "peer_id", "peer_id_b58", "peer_id_cid_base32");
        assert_reads_as(entry, "peer_id_b58", &id);
        assert_reads_as(entry, "peer_id_cid_base32", &id);
        assert_reads_as(entry, "peer_id_cid_base36", &id);
        bool is_inlined = strcmp(vectors_str(entry, "multihash"), "identity") == 0;
        assert_int_equal(lp2p_peer_id_key(&id, &inlined), is_inlined ? LP2P_OK : LP2P_ENOTFOUND);
        if (is_inlined) {
            assert_true(lp2p_span_eq(lp2p_public_key_encoded(&inlined), encoded));
        }
        for (size_t cut = 0; cut < encoded.len; cut++) {
            struct lp2p_span part = vectors_copy(lp2p_span(encoded.ptr, cut));
            assert_int_not_equal(lp2p_public_key_parse(part, &key), LP2P_OK);
            vectors_free(part);
        }
        vectors_free(data);
        vectors_free(encoded);
    }
    yyjson_doc_free(doc);
}

static void test_identity_old_ed25519_private_keys(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("identity.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "ed25519_legacy_private"), i, max, entry)
    {
        struct lp2p_span secret = vectors_hex(entry, "private_pb");
        struct lp2p_private_key key;
        bool valid = vectors_flag(entry, "valid");
        assert_int_equal(lp2p_private_key_parse(secret, &key), valid ? LP2P_OK : LP2P_EBADKEY);
        if (valid) {
            struct lp2p_span want = vectors_hex(entry, "equivalent_private_pb");
            uint8_t out[68];
            size_t len = 0;
            assert_int_equal(lp2p_private_key_encode(&key, out, sizeof(out), &len), LP2P_OK);
            assert_true(lp2p_span_eq(lp2p_span(out, len), want));
            vectors_free(want);
        }
        vectors_free(secret);
    }
    yyjson_doc_free(doc);
}

/* A public half that does not belong to the seed must never be used for signing. */
static void test_identity_private_key_with_wrong_half(void **state)
{
    (void)state;
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_private_key key, other;
    lp2p_private_key_generate(&rand, &key);
    lp2p_private_key_generate(&rand, &other);
    assert_memory_not_equal(&key, &other, sizeof(key));
    uint8_t out[68];
    size_t len = 0;
    assert_int_equal(lp2p_private_key_encode(&key, out, sizeof(out), &len), LP2P_OK);
    memcpy(out + 36, other.data + 32, 32);
    assert_int_equal(lp2p_private_key_parse(lp2p_span(out, sizeof(out)), &key), LP2P_EBADKEY);
    lp2p_private_key_wipe(&other);
    for (size_t i = 0; i < sizeof(other.data); i++) {
        assert_int_equal(other.data[i], 0);
    }
}

static void test_identity_signatures(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("identity.json");
    yyjson_val *entry;
    size_t i, max;
    unsigned types = 0;
    yyjson_arr_foreach(vectors_array(doc, "signatures"), i, max, entry)
    {
        struct lp2p_span encoded = vectors_hex(entry, "public_pb"), message = vectors_hex(entry, "message");
        struct lp2p_span sig = vectors_hex(entry, "signature");
        struct lp2p_public_key key;
        struct lp2p_peer_id id;
        char text[LP2P_PEER_ID_TEXT_MAX];
        assert_int_equal(lp2p_public_key_parse(encoded, &key), LP2P_OK);
        types |= 1u << key.type;
        lp2p_peer_id_from_key(&key, &id);
        lp2p_peer_id_text(&id, text);
        assert_string_equal(text, vectors_str(entry, "peer_id_b58"));
        assert_int_equal(lp2p_public_key_verify(&key, message, sig), LP2P_OK);
        assert_int_equal(lp2p_public_key_verify(&key, lp2p_span(message.ptr, message.len - 1), sig),
                         LP2P_ESIGNATURE);
        for (size_t at = 0; at < sig.len; at += 1 + sig.len / 40) {
            struct lp2p_span cut = vectors_copy(lp2p_span(sig.ptr, at)), bad = vectors_copy(sig);
            assert_int_equal(lp2p_public_key_verify(&key, message, cut), LP2P_ESIGNATURE);
            ((uint8_t *)(uintptr_t)bad.ptr)[at] ^= 1;
            assert_int_equal(lp2p_public_key_verify(&key, message, bad), LP2P_ESIGNATURE);
            vectors_free(bad);
            vectors_free(cut);
        }
        vectors_free(sig);
        vectors_free(message);
        vectors_free(encoded);
    }
    assert_int_equal(types, 0xf); /* every type was there */
    yyjson_doc_free(doc);
}

static void test_identity_peer_id_text_vectors(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("identity.json");
    yyjson_val *entry;
    size_t i, max;
    struct lp2p_peer_id id;
    yyjson_arr_foreach(vectors_array(doc, "peer_id_text"), i, max, entry)
    {
        assert_int_equal(lp2p_peer_id_from_text(vectors_text(entry, "text"), &id), LP2P_OK);
        assert_id(&id, entry, "peer_id", "b58", "cid_base32");
        assert_reads_as(entry, "b58", &id);
        assert_reads_as(entry, "cid_base36", &id);
        struct lp2p_span text = vectors_text(entry, "text");
        for (size_t cut = 0; cut < text.len; cut++) {
            /* "16U" has the form of an id with one byte in it: such a cut text may pass, but it names no key.
             */
            struct lp2p_span part = vectors_copy(lp2p_span(text.ptr, cut));
            struct lp2p_public_key key;
            bool bad = lp2p_peer_id_from_text(part, &id) == LP2P_EMALFORMED;
            assert_true(bad || lp2p_peer_id_key(&id, &key) == LP2P_EBADKEY);
            vectors_free(part);
        }
    }
    yyjson_arr_foreach(vectors_array(doc, "peer_id_text_invalid"), i, max, entry)
    {
        if (lp2p_peer_id_from_text(vectors_text(entry, "text"), &id) != LP2P_EMALFORMED) {
            fail_msg("accepted: %s", vectors_str(entry, "reason"));
        }
    }
    yyjson_arr_foreach(vectors_array(doc, "peer_id_bytes_invalid"), i, max, entry)
    {
        struct lp2p_span bytes = vectors_hex(entry, "peer_id");
        if (lp2p_peer_id_parse(bytes, &id) != LP2P_EMALFORMED) {
            fail_msg("accepted: %s", vectors_str(entry, "reason"));
        }
        vectors_free(bytes);
    }
    yyjson_doc_free(doc);
}

static void assert_key(const char *hex, enum lp2p_err want)
{
    struct lp2p_public_key key;
    struct lp2p_span bytes = vectors_hex_text(hex);
    enum lp2p_err err = lp2p_public_key_parse(bytes, &key);
    if (err != want) {
        fail_msg("%.40s.. gave %s", hex, lp2p_errname(err));
    }
    vectors_free(bytes);
}

#define ZEROS_16 "00000000000000000000000000000000"

static void test_identity_unusable_keys(void **state)
{
    (void)state;
    assert_key("08041202aabb", LP2P_EUNSUPPORTED);         /* unknown type */
    assert_key("0801120101", LP2P_EBADKEY);                /* Ed25519 of one byte */
    assert_key("0801", LP2P_EMALFORMED);                   /* no Data */
    assert_key("1220" ZEROS_16 ZEROS_16, LP2P_EMALFORMED); /* no Type */
    assert_key("08011001", LP2P_EMALFORMED);               /* Data is a number */
    assert_key("08021221"
               "04" ZEROS_16 ZEROS_16,
               LP2P_EBADKEY); /* not a compressed point */
    assert_key("08021241"
               "04" ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16,
               LP2P_EBADKEY);
    assert_key("08001202"
               "3000",
               LP2P_EMALFORMED); /* RSA without anything */
    /* An RSA key of 1024 bits: SubjectPublicKeyInfo of 0x9f bytes. */
    assert_key("0800"
               "12a201"
               "30819f"
               "300d06092a864886f70d0101010500"
               "03818d00"
               "308189"
               "028181"
               "00ff" ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16
               "000000000000000000000000000001"
               "0203010001",
               LP2P_EBADKEY);
    /* The curve of Bitcoin does not come as an ECDSA key. */
    assert_key("0803"
               "1218"
               "3016"
               "3010"
               "06072a8648ce3d0201"
               "06052b8104000a"
               "030200"
               "04",
               LP2P_EUNSUPPORTED);
}

/* Sizes of RSA keys at both ends of what is allowed; nothing is computed with them. */
static void test_identity_rsa_sizes(void **state)
{
    (void)state;
    static const struct {
        size_t bits;
        enum lp2p_err want;
    } cases[] = {
        {2040, LP2P_EBADKEY}, {2048, LP2P_OK}, {4096, LP2P_OK}, {8192, LP2P_OK}, {8200, LP2P_EBADKEY}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t modulus = cases[i].bits / 8, numbers = 4 + 1 + modulus + 5, bits = 1 + 4 + numbers;
        uint8_t der[1200] = {0x30, 0x82}, *at = der + 2;
        static const uint8_t algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                            0xf7, 0x0d, 1,    1,    1,    5,    0};
        *at++ = (uint8_t)((sizeof(algorithm) + 4 + bits) >> 8);
        *at++ = (uint8_t)(sizeof(algorithm) + 4 + bits);
        memcpy(at, algorithm, sizeof(algorithm));
        at += sizeof(algorithm);
        const size_t lens[] = {bits, numbers, modulus + 1};
        const uint8_t tags[] = {0x03, 0x30, 0x02};
        for (size_t k = 0; k < 3; k++) {
            *at++ = tags[k];
            *at++ = 0x82;
            *at++ = (uint8_t)(lens[k] >> 8);
            *at++ = (uint8_t)lens[k];
            if (k != 1) {
                *at++ = 0; /* no unused bits; the sign of the modulus */
            }
        }
        memset(at, 0xff, modulus);
        at += modulus;
        memcpy(at, "\x02\x03\x01\x00\x01", 5);
        at += 5;
        struct lp2p_public_key key;
        assert_int_equal(lp2p_public_key_make(LP2P_KEY_RSA, lp2p_span(der, (size_t)(at - der)), &key),
                         cases[i].want);
        at[-1] = 2; /* an even exponent */
        assert_int_not_equal(lp2p_public_key_make(LP2P_KEY_RSA, lp2p_span(der, (size_t)(at - der)), &key),
                             LP2P_OK);
    }
    static uint8_t huge[LP2P_PUBLIC_KEY_MAX + 1];
    struct lp2p_public_key key;
    assert_int_equal(lp2p_public_key_make(LP2P_KEY_RSA, lp2p_span(huge, sizeof(huge)), &key), LP2P_EOVERSIZE);
    assert_int_equal(lp2p_public_key_parse(lp2p_span(huge, sizeof(huge)), &key), LP2P_EOVERSIZE);
}

/* x = 5 gives no point on secp256k1: the form is right, the key is none. */
static void test_identity_point_off_the_curve(void **state)
{
    (void)state;
    struct lp2p_span data = vectors_hex_text("02" ZEROS_16 "00000000000000000000000000000005");
    struct lp2p_span sig = vectors_hex_text("3006020101020101");
    struct lp2p_public_key key;
    assert_int_equal(lp2p_public_key_make(LP2P_KEY_SECP256K1, data, &key), LP2P_OK);
    assert_int_equal(lp2p_public_key_verify(&key, lp2p_span_str("x"), sig), LP2P_EBADKEY);
    vectors_free(sig);
    vectors_free(data);
}

/* Another encoding of the same key (a field more) inside of an id would be a second id of the same peer. */
static void test_identity_inlined_key_must_be_canonical(void **state)
{
    (void)state;
    struct lp2p_span bytes = vectors_hex_text("0028"
                                              "08011220" ZEROS_16 ZEROS_16 "18001800");
    struct lp2p_peer_id id;
    struct lp2p_public_key key;
    assert_int_equal(lp2p_peer_id_parse(bytes, &id), LP2P_OK);
    assert_int_equal(lp2p_peer_id_key(&id, &key), LP2P_EBADKEY);
    vectors_free(bytes);
    bytes = vectors_hex_text("0001ff");
    assert_int_equal(lp2p_peer_id_parse(bytes, &id), LP2P_OK);
    assert_int_equal(lp2p_peer_id_key(&id, &key), LP2P_EBADKEY);
    vectors_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_keys_and_their_ids),
        cmocka_unit_test(test_identity_old_ed25519_private_keys),
        cmocka_unit_test(test_identity_private_key_with_wrong_half),
        cmocka_unit_test(test_identity_signatures),
        cmocka_unit_test(test_identity_peer_id_text_vectors),
        cmocka_unit_test(test_identity_unusable_keys),
        cmocka_unit_test(test_identity_rsa_sizes),
        cmocka_unit_test(test_identity_point_off_the_curve),
        cmocka_unit_test(test_identity_inlined_key_must_be_canonical),
    };
    return cmocka_run_group_tests_name("wire identity", tests, NULL, NULL);
}
