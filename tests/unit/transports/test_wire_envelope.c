/* SPDX-License-Identifier: MIT
 * Signed envelopes and peer records: vectors opened and made again byte for byte, truncations, flipped bits,
 * limits. */
#include "wire/envelope.h"

#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* PrivateKey protobuf of a seed, by way of the public functions only: the source of randomness gives the
 * seed. */
static void fill_seed(void *ctx, void *out, size_t len)
{
    memcpy(out, ctx, len);
}

static struct lp2p_private_key key_of_seed(const char *hex)
{
    uint8_t seed[32];
    vectors_unhex(hex, seed, sizeof(seed));
    struct lp2p_rand rand = {.fill = fill_seed, .ctx = seed};
    struct lp2p_private_key key;
    lp2p_private_key_generate(&rand, &key);
    return key;
}

static void assert_made_again(yyjson_val *entry, const struct lp2p_peer_record *record, struct lp2p_span want)
{
    struct lp2p_private_key key = key_of_seed(vectors_str(entry, "ed25519_seed"));
    uint8_t out[4096];
    size_t len = 0;
    assert_int_equal(lp2p_peer_record_seal(&key, record, out, sizeof(out), &len), LP2P_OK);
    assert_true(lp2p_span_eq(lp2p_span(out, len), want));
    assert_int_equal(lp2p_peer_record_seal(&key, record, out, want.len, &len), LP2P_OK);
    assert_int_equal(lp2p_peer_record_seal(&key, record, out, want.len - 1, &len), LP2P_ELIMIT);
}

static void test_peer_record_vectors(void **state)
{
    (void)state;
    static struct lp2p_peer_record record;
    yyjson_doc *doc = vectors_load("signed-envelope.json");
    yyjson_val *entry;
    size_t i, max, refused = 0;
    yyjson_arr_foreach(vectors_array(doc, "peer_records"), i, max, entry)
    {
        struct lp2p_span bytes = vectors_hex(entry, "envelope");
        enum lp2p_err err = lp2p_peer_record_open(bytes, &record);
        if (!vectors_flag(entry, "valid")) {
            bool signature = !vectors_flag(entry, "signature_valid") &&
                             strstr(vectors_str(entry, "name"), "legacy") == NULL;
            assert_int_equal(err, signature ? LP2P_ESIGNATURE : LP2P_EBADRECORD);
            refused++;
        } else {
            assert_int_equal(err, LP2P_OK);
            assert_true(record.seq == vectors_u64(entry, "seq"));
            char text[LP2P_MULTIADDR_TEXT_MAX];
            lp2p_peer_id_text(&record.peer, text);
            assert_string_equal(text, vectors_str(entry, "peer_id"));
            yyjson_val *addrs = vectors_get(entry, "addresses");
            assert_int_equal(record.addrs_len, yyjson_arr_size(addrs));
            for (size_t k = 0; k < record.addrs_len; k++) {
                lp2p_multiaddr_text(&record.addrs[k], text);
                assert_string_equal(text, yyjson_get_str(yyjson_arr_get(addrs, k)));
            }
            assert_made_again(entry, &record, bytes);
        }
        vectors_free(bytes);
    }
    assert_true(refused >= 4);
    yyjson_doc_free(doc);
}

static void test_envelope_voucher_vector(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("signed-envelope.json");
    yyjson_val *entry = yyjson_arr_get_first(vectors_array(doc, "vouchers"));
    struct lp2p_span bytes = vectors_hex(entry, "envelope"), payload = vectors_hex(entry, "payload");
    struct lp2p_span type = vectors_hex(entry, "payload_type");
    const char *domain = vectors_str(entry, "domain");
    struct lp2p_envelope envelope;
    assert_int_equal(lp2p_envelope_open(bytes, domain, type, &envelope), LP2P_OK);
    assert_true(lp2p_span_eq(envelope.payload, payload));
    assert_true(envelope.payload.ptr > bytes.ptr &&
                envelope.payload.ptr < bytes.ptr + bytes.len); /* borrowed */
    assert_int_equal(lp2p_envelope_open(bytes, "another", type, &envelope), LP2P_ESIGNATURE);
    assert_int_equal(lp2p_envelope_open(bytes, domain, lp2p_span_str("x"), &envelope), LP2P_EBADRECORD);
    struct lp2p_private_key key = key_of_seed(vectors_str(entry, "relay_seed"));
    uint8_t out[1024];
    size_t len = 0;
    assert_int_equal(lp2p_envelope_seal(&key, domain, type, payload, out, sizeof(out), &len), LP2P_OK);
    assert_true(lp2p_span_eq(lp2p_span(out, len), bytes));
    assert_int_equal(lp2p_envelope_seal(&key, "", type, payload, out, sizeof(out), &len), LP2P_EINVAL);
    assert_int_equal(lp2p_envelope_seal(&key, domain, lp2p_span(NULL, 0), payload, out, sizeof(out), &len),
                     LP2P_EINVAL);
    vectors_free(type);
    vectors_free(payload);
    vectors_free(bytes);
    yyjson_doc_free(doc);
}

static void test_peer_record_truncated_and_flipped(void **state)
{
    (void)state;
    static struct lp2p_peer_record record;
    yyjson_doc *doc = vectors_load("signed-envelope.json");
    struct lp2p_span bytes = vectors_hex(yyjson_arr_get(vectors_array(doc, "peer_records"), 1), "envelope");
    for (size_t cut = 0; cut < bytes.len; cut++) {
        struct lp2p_span part = vectors_copy(lp2p_span(bytes.ptr, cut));
        assert_int_not_equal(lp2p_peer_record_open(part, &record), LP2P_OK);
        vectors_free(part);
        struct lp2p_span bad = vectors_copy(bytes);
        for (unsigned bit = 0; bit < 8; bit++) {
            ((uint8_t *)(uintptr_t)bad.ptr)[cut] ^= (uint8_t)(1u << bit);
            assert_int_not_equal(lp2p_peer_record_open(bad, &record), LP2P_OK);
            ((uint8_t *)(uintptr_t)bad.ptr)[cut] ^= (uint8_t)(1u << bit);
        }
        vectors_free(bad);
    }
    vectors_free(bytes);
    yyjson_doc_free(doc);
}

/* A field of bytes that comes as a number must not leave a span into memory that is gone. */
static void test_envelope_wrong_wire_type(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x08, 0x01, 0x10, 0x01, 0x18, 0x01, 0x28, 0x01};
    struct lp2p_envelope envelope;
    assert_int_equal(
        lp2p_envelope_open(lp2p_span(bytes, sizeof(bytes)), "d", lp2p_span_str("\x01"), &envelope),
        LP2P_EMALFORMED);
}

/* Seals a hand-made payload, so that the record's own reader is what decides. */
static enum lp2p_err open_payload(struct lp2p_span payload, struct lp2p_peer_record *record)
{
    static uint8_t out[80000];
    size_t len = 0;
    struct lp2p_private_key key =
        key_of_seed("0101010101010101010101010101010101010101010101010101010101010101");
    static const uint8_t type[] = {3, 1};
    assert_int_equal(
        lp2p_envelope_seal(&key, "libp2p-peer-record", lp2p_span(type, 2), payload, out, sizeof(out), &len),
        LP2P_OK);
    return lp2p_peer_record_open(lp2p_span(out, len), record);
}

static void test_peer_record_skips_bad_addresses_and_bounds_them(void **state)
{
    (void)state;
    static struct lp2p_peer_record record;
    static uint8_t payload[4096];
    struct lp2p_private_key key =
        key_of_seed("0101010101010101010101010101010101010101010101010101010101010101");
    struct lp2p_public_key public_key;
    struct lp2p_peer_id id;
    lp2p_private_key_public(&key, &public_key);
    lp2p_peer_id_from_key(&public_key, &id);
    payload[0] = 0x0a;
    payload[1] = id.len;
    memcpy(payload + 2, id.bytes, id.len);
    size_t at = 2u + id.len;
    static const uint8_t bad[] = {0x1a, 0x03, 0x0a, 0x01, 0x01},
                         good[] = {0x1a, 0x05, 0x0a, 0x03, 0x06, 0x00, 0x50};
    for (size_t i = 0; i < LP2P_RECORD_ADDRS_MAX + 6; i++) {
        memcpy(payload + at, bad, sizeof(bad));
        memcpy(payload + at + sizeof(bad), good, sizeof(good));
        at += sizeof(bad) + sizeof(good);
    }
    assert_int_equal(open_payload(lp2p_span(payload, at), &record), LP2P_OK);
    assert_int_equal(record.addrs_len, LP2P_RECORD_ADDRS_MAX);
    assert_int_equal(record.addrs[LP2P_RECORD_ADDRS_MAX - 1].len, 3);
    assert_true(lp2p_peer_id_eq(&record.peer, &id));
    payload[1 + 5]++; /* somebody else's id, well signed */
    assert_int_equal(open_payload(lp2p_span(payload, at), &record), LP2P_EBADRECORD);
    assert_int_equal(open_payload(lp2p_span_str("\xff"), &record), LP2P_EMALFORMED);
    static uint8_t huge[66000];
    assert_int_equal(lp2p_peer_record_open(lp2p_span(huge, sizeof(huge)), &record), LP2P_EOVERSIZE);
}

static void test_peer_record_largest_round_trip(void **state)
{
    (void)state;
    static struct lp2p_peer_record record, back;
    static uint8_t out[32768];
    struct lp2p_private_key key =
        key_of_seed("0202020202020202020202020202020202020202020202020202020202020202");
    struct lp2p_public_key public_key;
    lp2p_private_key_public(&key, &public_key);
    lp2p_peer_id_from_key(&public_key, &record.peer);
    char text[300] = "/dns/";
    memset(text + 5, 'a', 252);
    record.seq = UINT64_MAX;
    record.addrs_len = LP2P_RECORD_ADDRS_MAX;
    for (size_t i = 0; i < record.addrs_len; i++) {
        assert_int_equal(lp2p_multiaddr_from_text(text, &record.addrs[i], NULL), LP2P_OK);
    }
    size_t len = 0;
    assert_int_equal(lp2p_peer_record_seal(&key, &record, out, sizeof(out), &len), LP2P_OK);
    assert_int_equal(lp2p_peer_record_open(lp2p_span(out, len), &back), LP2P_OK);
    assert_true(back.seq == UINT64_MAX && back.addrs_len == record.addrs_len);
    assert_memory_equal(back.addrs, record.addrs, sizeof(record.addrs));
    record.addrs_len++;
    assert_int_equal(lp2p_peer_record_seal(&key, &record, out, sizeof(out), &len), LP2P_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_record_vectors),
        cmocka_unit_test(test_envelope_voucher_vector),
        cmocka_unit_test(test_peer_record_truncated_and_flipped),
        cmocka_unit_test(test_envelope_wrong_wire_type),
        cmocka_unit_test(test_peer_record_skips_bad_addresses_and_bounds_them),
        cmocka_unit_test(test_peer_record_largest_round_trip),
    };
    return cmocka_run_group_tests_name("wire envelope", tests, NULL, NULL);
}
