/* SPDX-License-Identifier: MIT
 * Multihash, multibase and CID: published vectors both ways, truncations, limits. */
#include "wire/cid.h"
#include "wire/multibase.h"
#include "wire/multihash.h"
#include "wire/varint.h"

#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_multihash_vectors(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("multihash.json");
    yyjson_val *entry;
    size_t i, max, sha256_seen = 0;
    yyjson_arr_foreach(vectors_array(doc, "valid"), i, max, entry)
    {
        struct lp2p_span bytes = vectors_hex(entry, "multihash"), input = vectors_hex(entry, "input");
        struct lp2p_multihash hash;
        assert_int_equal(lp2p_multihash_parse(bytes, &hash), LP2P_OK);
        assert_int_equal(hash.code, vectors_u64(entry, "code"));
        assert_int_equal(hash.digest.len * 8, vectors_u64(entry, "bits"));
        if (hash.code == LP2P_MH_SHA2_256) {
            uint8_t digest[32];
            lp2p_sha256(input, digest);
            assert_memory_equal(digest, hash.digest.ptr, hash.digest.len);
            sha256_seen++;
        }
        for (size_t cut = 0; cut < bytes.len; cut++) {
            struct lp2p_span part = vectors_copy(lp2p_span(bytes.ptr, cut));
            assert_int_equal(lp2p_multihash_parse(part, &hash), LP2P_ETRUNCATED);
            vectors_free(part);
        }
        vectors_free(input);
        vectors_free(bytes);
    }
    assert_true(sha256_seen > 0);
    yyjson_arr_foreach(vectors_array(doc, "invalid"), i, max, entry)
    {
        struct lp2p_span bytes = vectors_hex(entry, "multihash");
        struct lp2p_multihash hash;
        assert_int_not_equal(lp2p_multihash_parse(bytes, &hash), LP2P_OK);
        vectors_free(bytes);
    }
    yyjson_doc_free(doc);
}

/* FIPS 180-4's example of a million 'a', and sizes around the point where another library takes over. */
static void test_sha256_large(void **state)
{
    (void)state;
    uint8_t *input = malloc(1000000), digest[32], want[32];
    assert_non_null(input);
    memset(input, 'a', 1000000);
    lp2p_sha256(lp2p_span(input, 1000000), digest);
    vectors_unhex("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", want, sizeof(want));
    assert_memory_equal(digest, want, sizeof(want));
    lp2p_sha256(lp2p_span(NULL, 0), digest);
    vectors_unhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", want, sizeof(want));
    assert_memory_equal(digest, want, sizeof(want));
    lp2p_sha256(lp2p_span(input, 255), digest);
    lp2p_sha256(lp2p_span(input, 256), want);
    assert_memory_not_equal(digest, want, sizeof(want));
    free(input);
}

static void test_multibase_vectors_both_ways(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("multibase.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "vectors"), i, max, entry)
    {
        struct lp2p_span data = vectors_hex(entry, "data"), text = vectors_copy(vectors_text(entry, "text"));
        uint8_t bytes[256];
        size_t len = 0;
        assert_int_equal(lp2p_multibase_decode(text, bytes, sizeof(bytes), &len), LP2P_OK);
        assert_true(lp2p_span_eq(lp2p_span(bytes, len), data));
        assert_int_equal(lp2p_multibase_decode(text, bytes, data.len - 1, &len), LP2P_ELIMIT);
        if (vectors_flag(entry, "canonical")) {
            char out[256];
            char prefix = vectors_str(entry, "prefix")[0];
            assert_int_equal(lp2p_multibase_encode(prefix, data, out, sizeof(out), &len), LP2P_OK);
            assert_string_equal(out, vectors_str(entry, "text"));
            assert_int_equal(len, text.len);
            for (size_t cap = 0; cap <= len; cap++) {
                assert_int_equal(lp2p_multibase_encode(prefix, data, out, cap, NULL), LP2P_ELIMIT);
            }
        }
        vectors_free(text);
        vectors_free(data);
    }
    yyjson_doc_free(doc);
}

static void test_multibase_round_trips_every_length(void **state)
{
    (void)state;
    uint8_t bytes[80], back[80];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(i * 151 + 3);
    }
    memset(bytes, 0, 2);
    for (const char *base = "zbBkKfFuUmM"; *base != '\0'; base++) {
        for (size_t len = 0; len <= sizeof(bytes); len++) {
            char text[256];
            size_t text_len = 0, back_len = 0;
            assert_int_equal(
                lp2p_multibase_encode(*base, lp2p_span(bytes, len), text, sizeof(text), &text_len), LP2P_OK);
            assert_int_equal(text_len, strlen(text));
            assert_int_equal(lp2p_multibase_decode(lp2p_span(text, text_len), back, sizeof(back), &back_len),
                             LP2P_OK);
            assert_true(lp2p_span_eq(lp2p_span(bytes, len), lp2p_span(back, back_len)));
        }
    }
}

static void test_multibase_refuses(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",    "z0",  "zl",   "zI",  "zO",   "b1",    "baa=", "ba", "bab", "baaa",   "f1",    "fg0",   "k-",
        "u+A", "m-A", "uAA=", "UAA", "UAA=", "U====", "MAAA", "uA", "uAB", "mAAAAA", "b\x80", "fF\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t bytes[64];
        size_t len = 0;
        if (lp2p_multibase_decode(lp2p_span_str(bad[i]), bytes, sizeof(bytes), &len) != LP2P_EMALFORMED) {
            fail_msg("\"%s\" was not refused", bad[i]);
        }
    }
    uint8_t bytes[8];
    size_t len = 0;
    char text[16];
    assert_int_equal(lp2p_multibase_decode(lp2p_span_str("xyz"), bytes, sizeof(bytes), &len),
                     LP2P_EUNSUPPORTED);
    assert_int_equal(lp2p_multibase_encode('x', lp2p_span_str("a"), text, sizeof(text), &len),
                     LP2P_EUNSUPPORTED);
}

/* Big numbers cost quadratic time: their size is bounded, whatever room the caller offers. */
static void test_multibase_bounds_numbers(void **state)
{
    (void)state;
    static char text[4096];
    static uint8_t bytes[4096];
    size_t len = 0;
    memset(text, '2', sizeof(text));
    text[0] = 'z';
    assert_int_equal(lp2p_multibase_decode(lp2p_span(text, 1025), bytes, sizeof(bytes), &len), LP2P_OK);
    assert_int_equal(lp2p_multibase_decode(lp2p_span(text, 1026), bytes, sizeof(bytes), &len), LP2P_ELIMIT);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(lp2p_multibase_encode('k', lp2p_span(bytes, 1024), text, sizeof(text), &len), LP2P_OK);
    assert_int_equal(lp2p_multibase_encode('k', lp2p_span(bytes, 1025), text, sizeof(text), &len),
                     LP2P_ELIMIT);
}

static void test_cid_version_0(void **state)
{
    (void)state;
    static const char text[] = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
    struct lp2p_cid cid, again;
    char out[128];
    assert_int_equal(lp2p_cid_from_text(lp2p_span_str(text), &cid), LP2P_OK);
    assert_int_equal(cid.version, 0);
    assert_int_equal(cid.codec, 0x70);
    assert_int_equal(cid.multihash_len, 34);
    assert_int_equal(lp2p_cid_text(&cid, 'b', out, sizeof(out)), LP2P_OK);
    assert_string_equal(out, text);
    assert_int_equal(lp2p_cid_parse(lp2p_span(cid.multihash, 34), &again), LP2P_OK);
    assert_memory_equal(&cid, &again, sizeof(cid));
    /* The same bytes behind a multibase prefix are no CID. */
    assert_int_equal(lp2p_multibase_encode('z', lp2p_span(cid.multihash, 34), out, sizeof(out), NULL),
                     LP2P_OK);
    assert_int_equal(lp2p_cid_from_text(lp2p_span_str(out), &again), LP2P_EMALFORMED);
}

static void test_cid_version_1(void **state)
{
    (void)state;
    static const char text[] = "bafkreie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe";
    struct lp2p_cid cid;
    char out[128];
    assert_int_equal(lp2p_cid_from_text(lp2p_span_str(text), &cid), LP2P_OK);
    assert_int_equal(cid.version, 1);
    assert_int_equal(cid.codec, 0x55);
    assert_int_equal(lp2p_cid_text(&cid, 'b', out, sizeof(out)), LP2P_OK);
    assert_string_equal(out, text);
    assert_int_equal(lp2p_cid_text(&cid, 'b', out, sizeof(text) - 1), LP2P_ELIMIT);
    assert_int_equal(lp2p_cid_text(&cid, 'x', out, sizeof(out)), LP2P_EUNSUPPORTED);

    uint8_t bytes[64];
    size_t len = 0;
    assert_int_equal(lp2p_multibase_decode(lp2p_span_str(text), bytes, sizeof(bytes), &len), LP2P_OK);
    for (size_t cut = 0; cut < len; cut++) {
        struct lp2p_span part = vectors_copy(lp2p_span(bytes, cut));
        assert_int_not_equal(lp2p_cid_parse(part, &cid), LP2P_OK);
        vectors_free(part);
    }
    bytes[0] = 2;
    assert_int_equal(lp2p_cid_parse(lp2p_span(bytes, len), &cid), LP2P_EUNSUPPORTED);
}

static void test_cid_limit(void **state)
{
    (void)state;
    uint8_t bytes[LP2P_CID_MAX + 8] = {1, 0x55, LP2P_MH_IDENTITY, LP2P_CID_MAX - 2};
    struct lp2p_cid cid;
    assert_int_equal(lp2p_cid_parse(lp2p_span(bytes, 2 + LP2P_CID_MAX), &cid), LP2P_OK);
    char text[512];
    assert_int_equal(lp2p_cid_text(&cid, 'k', text, sizeof(text)), LP2P_OK);
    assert_int_equal(lp2p_cid_from_text(lp2p_span_str(text), &cid), LP2P_OK);
    assert_int_equal(cid.multihash_len, LP2P_CID_MAX);
    bytes[3]++;
    assert_int_equal(lp2p_cid_parse(lp2p_span(bytes, 3 + LP2P_CID_MAX), &cid), LP2P_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multihash_vectors),
        cmocka_unit_test(test_sha256_large),
        cmocka_unit_test(test_multibase_vectors_both_ways),
        cmocka_unit_test(test_multibase_round_trips_every_length),
        cmocka_unit_test(test_multibase_refuses),
        cmocka_unit_test(test_multibase_bounds_numbers),
        cmocka_unit_test(test_cid_version_0),
        cmocka_unit_test(test_cid_version_1),
        cmocka_unit_test(test_cid_limit),
    };
    return cmocka_run_group_tests_name("wire multiformats", tests, NULL, NULL);
}
