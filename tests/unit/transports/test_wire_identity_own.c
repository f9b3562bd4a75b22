/* SPDX-License-Identifier: MIT
 * Own identities of all four types: published vectors both ways, signing, reading what does not fit together,
 * a secret that is elsewhere. */
#include "wire/peer_id.h"

#include "base/rand.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct lp2p_rand_seeded gen;
static struct lp2p_rand source;

static int setup(void **state)
{
    (void)state;
    lp2p_rand_seeded_init(&gen, 7);
    source = lp2p_rand_seeded_source(&gen);
    return 0;
}

static void assert_encodes(const struct lp2p_private_key *key, struct lp2p_span want)
{
    static uint8_t out[LP2P_PRIVATE_KEY_MAX];
    size_t len = 0;
    assert_int_equal(lp2p_private_key_encode(key, out, sizeof(out), &len), LP2P_OK);
    assert_true(lp2p_span_eq(lp2p_span(out, len), want));
    assert_int_equal(lp2p_private_key_encode(key, out, len - 1, &len), LP2P_ELIMIT);
}

static void assert_signs(const struct lp2p_private_key *key, const char *text)
{
    uint8_t sig[LP2P_SIGNATURE_MAX];
    size_t len = lp2p_private_key_sign(key, lp2p_span_str(text), sig);
    assert_true(len > 0);
    assert_int_equal(lp2p_public_key_verify(&key->public_key, lp2p_span_str(text), lp2p_span(sig, len)),
                     LP2P_OK);
    assert_int_equal(lp2p_public_key_verify(&key->public_key, lp2p_span_str("another"), lp2p_span(sig, len)),
                     LP2P_ESIGNATURE);
}

static void test_own_keys_of_the_vectors(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("identity.json");
    yyjson_val *entry;
    size_t i, max;
    unsigned types = 0;
    yyjson_arr_foreach(vectors_array(doc, "keys"), i, max, entry)
    {
        struct lp2p_span secret = vectors_hex(entry, "private_pb"), encoded = vectors_hex(entry, "public_pb");
        struct lp2p_private_key key;
        struct lp2p_public_key public_key;
        struct lp2p_peer_id id;
        char text[LP2P_PEER_ID_TEXT_MAX];
        assert_int_equal(lp2p_private_key_parse(secret, &key), LP2P_OK);
        assert_encodes(&key, secret);
        lp2p_private_key_public(&key, &public_key);
        assert_true(lp2p_span_eq(lp2p_public_key_encoded(&public_key), encoded));
        lp2p_peer_id_from_key(&public_key, &id);
        lp2p_peer_id_text(&id, text);
        assert_string_equal(text, vectors_str(entry, "peer_id_b58"));
        assert_signs(&key, "message");
        types |= 1u << public_key.type;
        for (size_t cut = 0; cut < secret.len; cut++) {
            struct lp2p_span part = vectors_copy(lp2p_span(secret.ptr, cut));
            assert_int_not_equal(lp2p_private_key_parse(part, &key), LP2P_OK);
            vectors_free(part);
        }
        static const struct lp2p_private_key nothing;
        assert_memory_equal(&key, &nothing, sizeof(key)); /* what was half read is wiped */
        vectors_free(encoded);
        vectors_free(secret);
    }
    assert_int_equal(types, 0xf);
    yyjson_doc_free(doc);
}

/* Ed25519 and RSA signatures can only come out as published; secp256k1 too, by RFC 6979 and low-S as go makes
 * it. ECDSA's published one was made with a random number. */
static void test_own_signatures_of_the_vectors(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("identity.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "signatures"), i, max, entry)
    {
        struct lp2p_span secret = vectors_hex(entry, "private_pb"), message = vectors_hex(entry, "message");
        struct lp2p_span want = vectors_hex(entry, "signature");
        uint8_t sig[LP2P_SIGNATURE_MAX];
        struct lp2p_private_key key;
        assert_int_equal(lp2p_private_key_parse(secret, &key), LP2P_OK);
        size_t len = lp2p_private_key_sign(&key, message, sig);
        if (key.public_key.type == LP2P_KEY_ECDSA) {
            assert_int_equal(lp2p_public_key_verify(&key.public_key, message, lp2p_span(sig, len)), LP2P_OK);
        } else {
            assert_true(lp2p_span_eq(lp2p_span(sig, len), want));
        }
        vectors_free(want);
        vectors_free(message);
        vectors_free(secret);
    }
    yyjson_doc_free(doc);
}

static void test_own_keys_generated(void **state)
{
    (void)state;
    static const enum lp2p_key_type types[] = {LP2P_KEY_ED25519, LP2P_KEY_SECP256K1, LP2P_KEY_ECDSA,
                                               LP2P_KEY_RSA};
    static uint8_t out[LP2P_PRIVATE_KEY_MAX];
    for (size_t i = 0; i < 4; i++) {
        struct lp2p_private_key key, again, other;
        size_t len = 0;
        assert_int_equal(lp2p_private_key_generate_type(types[i], 0, &source, &key), LP2P_OK);
        assert_int_equal(key.public_key.type, types[i]);
        assert_signs(&key, "generated");
        assert_int_equal(lp2p_private_key_encode(&key, out, sizeof(out), &len), LP2P_OK);
        assert_int_equal(lp2p_private_key_parse(lp2p_span(out, len), &again), LP2P_OK);
        assert_memory_equal(&key, &again, sizeof(key));
        if (types[i] != LP2P_KEY_RSA) {
            assert_int_equal(lp2p_private_key_generate_type(types[i], 0, &source, &other), LP2P_OK);
            assert_memory_not_equal(&key, &other, sizeof(key));
        }
        enum lp2p_key_type named;
        assert_true(lp2p_key_type_of_name(lp2p_key_type_name(types[i]), &named));
        assert_int_equal(named, types[i]);
    }
    struct lp2p_private_key key;
    assert_int_equal(lp2p_private_key_generate_type(LP2P_KEY_RSA, 1024, &source, &key), LP2P_EINVAL);
    assert_int_equal(lp2p_private_key_generate_type(LP2P_KEY_RSA, 8192, &source, &key), LP2P_EINVAL);
    assert_int_equal(lp2p_private_key_generate_type((enum lp2p_key_type)9, 0, &source, &key), LP2P_EINVAL);
    assert_null(lp2p_key_type_name((enum lp2p_key_type)9));
    assert_false(lp2p_key_type_of_name("dsa", &(enum lp2p_key_type){0}));
}

/* Every signature of secp256k1 has its s in the lower half of the group; without lowering, half of them would
 * not. */
static void test_own_secp256k1_is_low_s(void **state)
{
    (void)state;
    static const uint8_t half[] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4,
                                   0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0};
    struct lp2p_private_key key;
    assert_int_equal(lp2p_private_key_generate_type(LP2P_KEY_SECP256K1, 0, &source, &key), LP2P_OK);
    for (int i = 0; i < 20; i++) {
        uint8_t sig[LP2P_SIGNATURE_MAX], again[LP2P_SIGNATURE_MAX];
        size_t len = lp2p_private_key_sign(&key, lp2p_span(&i, sizeof(i)), sig), r = sig[3];
        const uint8_t *s = sig + 4 + r + 2;
        size_t s_len = s[-1];
        assert_int_equal(lp2p_private_key_sign(&key, lp2p_span(&i, sizeof(i)), again), len);
        assert_memory_equal(sig, again, len);
        assert_true(s_len < 32 || (s_len == 32 && memcmp(s, half, 32) <= 0));
    }
}

/* One byte wrong anywhere in a private key must not leave a key that signs with it: it is refused, or it is
 * another key that still belongs together (another seed, another scalar). */
static void test_own_keys_with_a_wrong_byte(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("identity.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "keys"), i, max, entry)
    {
        struct lp2p_span secret = vectors_hex(entry, "private_pb");
        size_t step = secret.len > 300 ? 97 : 1;
        for (size_t at = 0; at < secret.len; at += step) {
            struct lp2p_span bad = vectors_copy(secret);
            struct lp2p_private_key key;
            ((uint8_t *)(uintptr_t)bad.ptr)[at] ^= 0x01;
            enum lp2p_err err = lp2p_private_key_parse(bad, &key);
            if (err == LP2P_OK) {
                assert_int_equal(key.public_key.type,
                                 LP2P_KEY_SECP256K1); /* a scalar says nothing of itself */
                assert_signs(&key, "message");
            }
            vectors_free(bad);
        }
        vectors_free(secret);
    }
    yyjson_doc_free(doc);
}

static enum lp2p_err parse_hex(const char *hex)
{
    struct lp2p_private_key key;
    struct lp2p_span bytes = vectors_hex_text(hex);
    enum lp2p_err err = lp2p_private_key_parse(bytes, &key);
    vectors_free(bytes);
    return err;
}

#define ZEROS_31 "00000000000000000000000000000000000000000000000000000000000000"
#define P256_OID "a00a06082a8648ce3d030107"

static void test_own_keys_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_hex("08021220" ZEROS_31 "00"),
                     LP2P_EBADKEY); /* secp256k1: 0, and the order of the group */
    assert_int_equal(parse_hex("08021220fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"),
                     LP2P_EBADKEY);
    assert_int_equal(parse_hex("0802121f" ZEROS_31), LP2P_EBADKEY);
    assert_int_equal(parse_hex("08021220" ZEROS_31 "01"), LP2P_OK);
    assert_int_equal(parse_hex("08031233"
                               "30310201010420" ZEROS_31 "01" P256_OID),
                     LP2P_OK); /* without its public half */
    assert_int_equal(parse_hex("08031233"
                               "30310201010420" ZEROS_31 "00" P256_OID),
                     LP2P_EBADKEY);
    assert_int_equal(parse_hex("08031233"
                               "30310201020420" ZEROS_31 "01" P256_OID),
                     LP2P_EMALFORMED); /* version 2 */
    assert_int_equal(parse_hex("08031230"
                               "302e0201010420" ZEROS_31 "01"
                               "a00706052b81040022"),
                     LP2P_EUNSUPPORTED); /* P-384 by name */
    assert_int_equal(parse_hex("08031227"
                               "30250201010420" ZEROS_31 "01"),
                     LP2P_EMALFORMED); /* no curve */
    assert_int_equal(parse_hex("08041201aa"), LP2P_EUNSUPPORTED);
    assert_int_equal(parse_hex("08001200"), LP2P_EMALFORMED);
    static uint8_t huge[LP2P_PRIVATE_KEY_MAX + 1];
    struct lp2p_private_key key;
    assert_int_equal(lp2p_private_key_parse(lp2p_span(huge, sizeof(huge)), &key), LP2P_EOVERSIZE);
}

/* An RSA key whose modulus is longer than any public key that we can write is refused like any other: it comes
 * from a file, and must not end the process. */
static void test_own_rsa_modulus_too_long(void **state)
{
    (void)state;
    enum { MODULUS = 2000, NUMBERS = 3 + 4 + MODULUS + 7 * 3, FRONT = 2 + 3 + 4 };
    static const uint8_t version[] = {0x02, 0x01, 0x00}, small[] = {0x02, 0x01, 0x03};
    static uint8_t file[FRONT + NUMBERS];
    uint8_t *at = file;
    struct lp2p_private_key key;
    const uint8_t front[FRONT] = {0x08, 0x00, 0x12, 0x80 | ((NUMBERS + 4) & 0x7f), (NUMBERS + 4) >> 7,
                                  0x30, 0x82, NUMBERS >> 8, NUMBERS & 0xff};
    const uint8_t modulus[] = {0x02, 0x82, MODULUS >> 8, MODULUS & 0xff};
    memcpy(at, front, sizeof(front));
    memcpy(at += sizeof(front), version, sizeof(version));
    memcpy(at += sizeof(version), modulus, sizeof(modulus));
    memset(at += sizeof(modulus), 0x7f, MODULUS);
    at += MODULUS;
    for (int i = 0; i < 7; i++) {
        memcpy(at, small, sizeof(small));
        at += sizeof(small);
    }
    assert_int_equal(at - file, sizeof(file));
    assert_int_equal(lp2p_private_key_parse(lp2p_span(file, sizeof(file)), &key), LP2P_EBADKEY);
}

/* ---- a secret that is elsewhere */

struct outside {
    struct lp2p_private_key key;
    enum { SIGN, REFUSE, WRONG, LIE_OF_LENGTH } mode;
    unsigned calls;
};

static enum lp2p_err sign_outside(void *user, const void *message, size_t message_len, uint8_t *out,
                                  size_t cap, size_t *len)
{
    struct outside *outside = user;
    outside->calls++;
    assert_int_equal(cap, LP2P_SIGNATURE_MAX);
    *len = lp2p_private_key_sign(&outside->key, lp2p_span(message, message_len), out);
    out[10] ^= outside->mode == WRONG;
    *len = outside->mode == LIE_OF_LENGTH ? cap + 1 : *len;
    return outside->mode == REFUSE ? LP2P_EIO : LP2P_OK;
}

static void test_own_key_outside(void **state)
{
    (void)state;
    struct outside outside = {.mode = SIGN};
    struct lp2p_private_key key;
    uint8_t sig[LP2P_SIGNATURE_MAX], encoded[LP2P_PRIVATE_KEY_MAX];
    size_t len = 0;
    assert_int_equal(lp2p_private_key_generate_type(LP2P_KEY_ECDSA, 0, &source, &outside.key), LP2P_OK);
    lp2p_private_key_outside(&outside.key.public_key, sign_outside, &outside, &key);
    assert_signs(&key, "message");
    assert_int_equal(outside.calls, 1);
    assert_int_equal(lp2p_private_key_encode(&key, encoded, sizeof(encoded), &len), LP2P_ESTATE);
    for (outside.mode = REFUSE; outside.mode <= LIE_OF_LENGTH; outside.mode++) {
        assert_int_equal(lp2p_private_key_sign(&key, lp2p_span_str("x"), sig), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_keys_of_the_vectors),
        cmocka_unit_test(test_own_signatures_of_the_vectors),
        cmocka_unit_test(test_own_keys_generated),
        cmocka_unit_test(test_own_secp256k1_is_low_s),
        cmocka_unit_test(test_own_keys_with_a_wrong_byte),
        cmocka_unit_test(test_own_keys_refused),
        cmocka_unit_test(test_own_rsa_modulus_too_long),
        cmocka_unit_test(test_own_key_outside),
    };
    return cmocka_run_group_tests_name("wire identity own", tests, setup, NULL);
}
