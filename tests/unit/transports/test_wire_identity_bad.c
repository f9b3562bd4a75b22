/* SPDX-License-Identifier: MIT
 * What a hostile peer may send where a key or a signature is expected: any signature at all (AH8), RSA keys
 * made to cost time (AH9), a key that claims to be huge (AH10). Each with the control that the same run fails
 * without its check. */
#include "wire/peer_id.h"

#include "base/check.h"
#include "base/rand.h"
#include "vectors.h"
#include "wire/der.h"
#include "wire/keys_pk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct lp2p_rand_seeded gen;
static struct lp2p_rand source;

/* Two keys of each type; RSA takes its time. */
static struct lp2p_private_key keys[4], others[4];

static int setup(void **state)
{
    (void)state;
    lp2p_rand_seeded_init(&gen, 11);
    source = lp2p_rand_seeded_source(&gen);
    for (int type = 0; type < 4; type++) {
        if (lp2p_private_key_generate_type((enum lp2p_key_type)type, 0, &source, &keys[type]) != LP2P_OK ||
            lp2p_private_key_generate_type((enum lp2p_key_type)type, 0, &source, &others[type]) != LP2P_OK) {
            return -1;
        }
    }
    return 0;
}

/* ---- AH8 */

typedef enum lp2p_err (*verify_fn)(const struct lp2p_public_key *key, struct lp2p_span message,
                                   struct lp2p_span signature);

/* What RUSTSEC-2019-0004 amounts to: whatever has the length of a signature is one. */
static enum lp2p_err any_signature(const struct lp2p_public_key *key, struct lp2p_span message,
                                   struct lp2p_span signature)
{
    (void)message;
    return key->type != LP2P_KEY_ED25519 || signature.len == 64 ? LP2P_OK : LP2P_ESIGNATURE;
}

static unsigned long trials(void)
{
    const char *text = getenv("LP2P_AH8_TRIALS"); /* in all; 1,000,000 is the figure of the full run */
    return text == NULL ? 4000 : strtoul(text, NULL, 10);
}

/* How many of the forgeries are accepted: random bytes of the right length and form, and signatures of
 * another key. */
static unsigned long forgeries_accepted(verify_fn verify)
{
    unsigned long accepted = 0, each = trials() / 4;
    for (size_t t = 0; t < 4; t++) {
        for (unsigned long i = 0; i < each; i++) {
            uint8_t sig[LP2P_SIGNATURE_MAX], message[16];
            size_t len = t == LP2P_KEY_ED25519 ? 64 : t == LP2P_KEY_RSA ? 256 : 70;
            lp2p_rand_fill(&source, message, sizeof(message));
            lp2p_rand_fill(&source, sig, len);
            if (len == 70) { /* two numbers of 32 bytes in DER */
                memcpy(sig, "\x30\x44\x02\x20", 4);
                memcpy(sig + 36, "\x02\x20", 2);
                sig[4] = (uint8_t)((sig[4] & 0x7f) | 1);
                sig[38] = (uint8_t)((sig[38] & 0x7f) | 1);
            } else if (len == 256) {
                sig[0] &= 0x7f; /* below the modulus */
            }
            accepted += verify(&keys[t].public_key, lp2p_span(message, sizeof(message)),
                               lp2p_span(sig, len)) == LP2P_OK;
            if (i % 1000 == 0) {
                size_t theirs = lp2p_private_key_sign(&others[t], lp2p_span(message, sizeof(message)), sig);
                accepted += verify(&keys[t].public_key, lp2p_span(message, sizeof(message)),
                                   lp2p_span(sig, theirs)) == LP2P_OK;
            }
        }
    }
    return accepted;
}

static void test_AH8_no_forgery_is_accepted(void **state)
{
    (void)state;
    assert_int_equal(forgeries_accepted(lp2p_public_key_verify), 0);
    assert_true(forgeries_accepted(any_signature) >= trials()); /* the control */
}

/* Verdicts that differ from the published ones. */
static size_t wrong_verdicts(verify_fn verify, size_t *seen)
{
    yyjson_doc *doc = vectors_load("wycheproof-signatures.json");
    yyjson_val *group, *entry;
    size_t i, max, j, tests, wrong = 0;
    yyjson_arr_foreach(vectors_array(doc, "groups"), i, max, group)
    {
        struct lp2p_span data = vectors_hex(group, "data");
        struct lp2p_public_key key;
        assert_int_equal(lp2p_public_key_make((enum lp2p_key_type)vectors_u64(group, "type"), data, &key),
                         LP2P_OK);
        yyjson_arr_foreach(yyjson_obj_get(group, "tests"), j, tests, entry)
        {
            struct lp2p_span message = vectors_hex_text(yyjson_get_str(yyjson_arr_get(entry, 0)));
            struct lp2p_span sig = vectors_hex_text(yyjson_get_str(yyjson_arr_get(entry, 1)));
            bool valid = yyjson_get_int(yyjson_arr_get(entry, 2)) == 1;
            wrong += (verify(&key, message, sig) == LP2P_OK) != valid;
            (*seen)++;
            vectors_free(sig);
            vectors_free(message);
        }
        vectors_free(data);
    }
    yyjson_doc_free(doc);
    return wrong;
}

static void test_AH8_wycheproof_verdicts(void **state)
{
    (void)state;
    size_t seen = 0;
    assert_int_equal(wrong_verdicts(lp2p_public_key_verify, &seen), 0);
    assert_true(seen > 1300);
    assert_true(wrong_verdicts(any_signature, &seen) > 500); /* the control */
}

/* The peer id comes from the key that verified, and a dialed id matches only its own key. */
static void test_AH8_ids_name_one_key(void **state)
{
    (void)state;
    struct lp2p_peer_id a, b;
    for (int type = 0; type < 4; type++) {
        lp2p_peer_id_from_key(&keys[type].public_key, &a);
        lp2p_peer_id_from_key(&others[type].public_key, &b);
        assert_false(lp2p_peer_id_eq(&a, &b));
        lp2p_peer_id_from_key(&keys[(type + 1) % 4].public_key, &b);
        assert_false(lp2p_peer_id_eq(&a, &b));
    }
}

/* ---- AH9 */

/* A SubjectPublicKeyInfo of RSA with a modulus of `bits` bits and this exponent; `low` is the modulus' last
 * byte. */
static struct lp2p_span rsa_key(size_t bits, struct lp2p_span exponent, uint8_t low)
{
    static const uint8_t algorithm[] = {0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 1,    1,    1,    5,    0};
    static uint8_t der[9000], modulus[8200];
    struct lp2p_der_out out = {der, sizeof(der), sizeof(der)};
    memset(modulus, 0xff, bits / 8);
    modulus[bits / 8 - 1] = low;
    lp2p_der_put(&out, exponent.ptr, exponent.len);
    lp2p_der_wrap(&out, LP2P_DER_INTEGER, sizeof(der));
    lp2p_der_put_positive(&out, lp2p_span(modulus, bits / 8));
    lp2p_der_wrap(&out, LP2P_DER_SEQUENCE, sizeof(der));
    lp2p_der_put(&out, (const uint8_t[]){0}, 1);
    lp2p_der_wrap(&out, LP2P_DER_BIT_STRING, sizeof(der));
    lp2p_der_put(&out, algorithm, sizeof(algorithm));
    lp2p_der_wrap(&out, LP2P_DER_SEQUENCE, sizeof(der));
    return lp2p_der_out(&out);
}

static void test_AH9_rsa_made_to_cost(void **state)
{
    (void)state;
    const struct lp2p_span f4 = lp2p_span("\x01\x00\x01", 3), even = lp2p_span("\x01\x00\x02", 3),
                           one = lp2p_span("\x01", 1), large = lp2p_span("\x00\xff\xff\xff\xff", 5),
                           zero = lp2p_span("\x00", 1);
    uint8_t long_exponent[100];
    memset(long_exponent, 0x7f, sizeof(long_exponent));
    const struct {
        size_t bits;
        struct lp2p_span exponent;
        uint8_t low;
    } cases[] = {
        {512, f4, 0xff},     {1024, f4, 0xff},  {2040, f4, 0xff},
        {8200, f4, 0xff},    {16384, f4, 0xff}, {65536, f4, 0xff},
        {2048, even, 0xff},  {2048, one, 0xff}, {2048, zero, 0xff},
        {2048, large, 0xff}, {4096, f4, 0xfe},  {2048, lp2p_span(long_exponent, sizeof(long_exponent)), 0xff},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_span data = rsa_key(cases[i].bits, cases[i].exponent, cases[i].low);
        struct lp2p_public_key key;
        assert_int_not_equal(lp2p_public_key_make(LP2P_KEY_RSA, data, &key), LP2P_OK);
        /* The control: sizes alone are at fault where the wider bounds let the key pass. */
        bool by_size = cases[i].low == 0xff && lp2p_span_eq(cases[i].exponent, f4);
        assert_int_equal(lp2p_rsa_check_bits(data, 512, 65536) == LP2P_OK, by_size);
    }
    struct lp2p_span data = rsa_key(8192, f4, 0xff);
    struct lp2p_public_key key;
    assert_int_equal(lp2p_public_key_make(LP2P_KEY_RSA, data, &key), LP2P_OK);
    /* A signature of another length costs no arithmetic. */
    assert_int_equal(lp2p_public_key_verify(&key, lp2p_span_str("x"), lp2p_span(data.ptr, 512)),
                     LP2P_ESIGNATURE);
}

/* ---- AH10 */

/* DER lengths that claim more than is there, in every place and in every form, and what stands behind the
 * end. Nothing of it takes memory: keys are values, and the parser works on the input. The address sanitizer
 * sees any read beyond it. */
static void test_AH10_lengths_that_lie(void **state)
{
    (void)state;
    static const uint8_t lies[][6] = {
        {0x84, 0xff, 0xff, 0xff, 0xff, 5}, {0x83, 0xff, 0xff, 0xff, 0, 4}, {0x82, 0xff, 0xff, 0, 0, 3},
        {0x81, 0xff, 0, 0, 0, 2},          {0x80, 0, 0, 0, 0, 1},          {0x7f, 0, 0, 0, 0, 1},
    };
    yyjson_doc *doc = vectors_load("identity.json");
    yyjson_val *entry;
    size_t i, max, refused = 0;
    yyjson_arr_foreach(vectors_array(doc, "keys"), i, max, entry)
    {
        struct lp2p_span data = vectors_hex(entry, "public_data"), secret = vectors_hex(entry, "private_pb");
        enum lp2p_key_type type = (enum lp2p_key_type)vectors_u64(entry, "type_enum");
        bool der = type == LP2P_KEY_RSA || type == LP2P_KEY_ECDSA;
        for (size_t at = 1; der && at < LP2P_MIN(data.len, 40); at++) {
            for (size_t k = 0; k < LP2P_ARRAY_LEN(lies); k++) {
                size_t len = LP2P_MIN(at + lies[k][5], data.len);
                uint8_t *bytes = malloc(len); /* the lie is the last that there is */
                memcpy(bytes, data.ptr, at);
                memcpy(bytes + at, lies[k], len - at);
                struct lp2p_public_key key;
                assert_int_not_equal(lp2p_public_key_make(type, lp2p_span(bytes, len), &key), LP2P_OK);
                free(bytes);
                refused++;
            }
        }
        /* One byte more behind the key. The control: without it the same bytes are a key. */
        uint8_t *more = calloc(1, data.len + 1);
        struct lp2p_public_key key;
        memcpy(more, data.ptr, data.len);
        assert_int_equal(lp2p_public_key_make(type, lp2p_span(more, data.len), &key), LP2P_OK);
        assert_int_not_equal(lp2p_public_key_make(type, lp2p_span(more, data.len + 1), &key), LP2P_OK);
        free(more);
        vectors_free(secret);
        vectors_free(data);
    }
    assert_true(refused > 400);
    yyjson_doc_free(doc);
    /* The whole of the advisory: a blob of a few bytes. */
    static const uint8_t blob[] = {0x08, 0x00, 0x12, 0x06, 0x30, 0x84, 0xff, 0xff, 0xff, 0xff};
    struct lp2p_public_key key;
    assert_int_equal(lp2p_public_key_parse(lp2p_span(blob, sizeof(blob)), &key), LP2P_EMALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_AH8_no_forgery_is_accepted), cmocka_unit_test(test_AH8_wycheproof_verdicts),
        cmocka_unit_test(test_AH8_ids_name_one_key),       cmocka_unit_test(test_AH9_rsa_made_to_cost),
        cmocka_unit_test(test_AH10_lengths_that_lie),
    };
    return cmocka_run_group_tests_name("wire identity bad", tests, setup, NULL);
}
