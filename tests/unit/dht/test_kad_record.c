/* SPDX-License-Identifier: MIT
 * Records, their time text, and the rules on which values are accepted. */
#include "kit.h"

static yyjson_doc *doc;

static int load(void **state)
{
    (void)state;
    doc = vectors_load("kad.json");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    yyjson_doc_free(doc);
    return 0;
}

static void test_record_time_vectors(void **state)
{
    (void)state;
    size_t index, max;
    yyjson_val *it;
    yyjson_arr_foreach(vectors_array(doc, "record_time"), index, max, it)
    {
        uint64_t ms = 0;
        assert_int_equal(lp2p_kad_time_parse(vectors_text(it, "text"), &ms), LP2P_OK);
        assert_int_equal(ms, vectors_u64(it, "unix_ms"));
        char text[LP2P_KAD_TIME_TEXT_MAX];
        lp2p_kad_time_text(ms, text);
        assert_string_equal(text, vectors_str(it, "text"));
    }
}

static void test_record_time_every_day(void **state)
{
    (void)state;
    char text[LP2P_KAD_TIME_TEXT_MAX];
    uint64_t ms;
    for (uint64_t day = 0; day < 200 * 366; day++) {
        uint64_t when = day * 86400000u + day * 1237 % 86400000u;
        lp2p_kad_time_text(when, text);
        assert_int_equal(lp2p_kad_time_parse(lp2p_span_str(text), &ms), LP2P_OK);
        assert_true(ms == when);
    }
    lp2p_kad_time_text(UINT64_C(951782400000), text);
    assert_string_equal(text, "2000-02-29T00:00:00.000000000Z");
    lp2p_kad_time_text(UINT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999000000Z");
}

static void test_record_time_digits_and_errors(void **state)
{
    (void)state;
    static const char *const good[] = {"2016-01-01T08:22:33Z", "2016-01-01T08:22:33.0Z",
                                       "2016-01-01T08:22:33.000000001Z"};
    uint64_t ms = 0;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(good); i++) {
        assert_int_equal(lp2p_kad_time_parse(lp2p_span_str(good[i]), &ms), LP2P_OK);
        assert_true(ms == UINT64_C(1451636553000));
    }
    assert_int_equal(lp2p_kad_time_parse(lp2p_span_str("2016-01-01T08:22:33.3925Z"), &ms), LP2P_OK);
    assert_true(ms == UINT64_C(1451636553392));
    static const char *const bad[] = {"",
                                      "Z",
                                      "2016-01-01T08:22:33",
                                      "2016-01-01T08:22:33.Z",
                                      "2016-01-01 08:22:33Z",
                                      "2016-01-01T08:22:33.0000000000Z",
                                      "2016-13-01T08:22:33Z",
                                      "2016-00-01T08:22:33Z",
                                      "2015-02-29T08:22:33Z",
                                      "2016-01-01T24:22:33Z",
                                      "2016-01-01T08:60:33Z",
                                      "1969-12-31T23:59:59Z",
                                      "2016-01-01T08:22:33ZZ",
                                      "2016-01-01T08:22:33+00:00",
                                      "-016-01-01T08:22:33Z"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(bad); i++) {
        assert_int_equal(lp2p_kad_time_parse(lp2p_span_str(bad[i]), &ms), LP2P_EMALFORMED);
    }
}

static void test_record_vectors(void **state)
{
    (void)state;
    size_t index, max;
    yyjson_val *it;
    yyjson_arr_foreach(vectors_array(doc, "records"), index, max, it)
    {
        struct lp2p_span bytes = vectors_hex(it, "hex");
        struct lp2p_kad_record record;
        assert_int_equal(lp2p_kad_record_decode(bytes, &record), LP2P_OK);
        assert_true(lp2p_span_eq_str(record.key, vectors_str(it, "key")));
        assert_true(lp2p_span_eq_str(record.value, vectors_str(it, "value")));
        if (yyjson_obj_get(it, "timeReceived") != NULL) {
            assert_true(lp2p_span_eq_str(record.time_text, vectors_str(it, "timeReceived")));
            uint8_t out[256];
            size_t len = 0;
            assert_int_equal(lp2p_kad_record_encode(&record, out, sizeof(out), &len), LP2P_OK);
            assert_true(lp2p_span_eq(lp2p_span(out, len), bytes));
            assert_int_equal(lp2p_kad_record_encode(&record, out, len - 1, &len), LP2P_ELIMIT);
        } else {
            assert_null(record.time_text.ptr);
        }
        vectors_free(bytes);
    }
}

static enum lp2p_err accept_all(void *ctx, struct lp2p_span key, struct lp2p_span value)
{
    (void)ctx;
    (void)key;
    (void)value;
    return LP2P_OK;
}

static void test_validator_namespaces(void **state)
{
    (void)state;
    const struct lp2p_kad_validator mine = {.ns = "mine", .validate = accept_all};
    struct lp2p_kad_rules rules = {&mine, 1};
    static const char *const plain[] = {"resource:session:session-123", "a", "a/b", "/a", "/", "/v"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(plain); i++) {
        assert_int_equal(lp2p_kad_validate(&rules, lp2p_span_str(plain[i]), lp2p_span_str("v")), LP2P_OK);
        assert_false(
            lp2p_kad_better(&rules, lp2p_span_str(plain[i]), lp2p_span_str("v"), lp2p_span_str("a")));
    }
    assert_int_equal(lp2p_kad_validate(&rules, lp2p_span_str("/mine/a"), lp2p_span_str("v")), LP2P_OK);
    assert_int_equal(lp2p_kad_validate(&rules, lp2p_span_str("/mine/a/b/c"), lp2p_span_str("v")), LP2P_OK);
    assert_int_equal(lp2p_kad_validate(&rules, lp2p_span_str("/mine/"), lp2p_span_str("v")), LP2P_OK);
    static const char *const refused[] = {"/other/a", "resource:a/b/c", "//a",    "a/b/c",
                                          "//",       "/Mine/a",        "/min/a", "/pk"};
    for (size_t i = 0; i + 1 < LP2P_ARRAY_LEN(refused); i++) {
        assert_int_equal(lp2p_kad_validate(&rules, lp2p_span_str(refused[i]), lp2p_span_str("v")),
                         LP2P_EUNSUPPORTED);
    }
}

static void test_validator_pk(void **state)
{
    (void)state;
    struct lp2p_kad_rules rules = {NULL, 0};
    size_t index, max;
    yyjson_val *it;
    bool seen = false;
    yyjson_arr_foreach(vectors_array(doc, "generated_messages"), index, max, it)
    {
        if (strcmp(vectors_str(it, "name"), "PUT_VALUE /pk/") != 0) {
            continue;
        }
        seen = true;
        yyjson_val *fields = vectors_get(vectors_get(it, "decoded"), "record");
        struct lp2p_span key = vectors_hex(fields, "key");
        struct lp2p_span value = vectors_hex(fields, "value");
        assert_int_equal(lp2p_kad_validate(&rules, key, value), LP2P_OK);
        for (size_t cut = 0; cut < value.len; cut++) {
            assert_int_equal(lp2p_kad_validate(&rules, key, lp2p_span(value.ptr, cut)), LP2P_EBADRECORD);
        }
        for (size_t cut = 4; cut < key.len; cut++) {
            assert_int_equal(lp2p_kad_validate(&rules, lp2p_span(key.ptr, cut), value), LP2P_EBADRECORD);
        }
        ((uint8_t *)(uintptr_t)value.ptr)[value.len - 1] ^= 1;
        assert_int_equal(lp2p_kad_validate(&rules, key, value), LP2P_EBADRECORD);
        assert_false(lp2p_kad_better(&rules, key, value, value));
        vectors_free(key);
        vectors_free(value);
    }
    assert_true(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_time_vectors),           cmocka_unit_test(test_record_time_every_day),
        cmocka_unit_test(test_record_time_digits_and_errors), cmocka_unit_test(test_record_vectors),
        cmocka_unit_test(test_validator_namespaces),          cmocka_unit_test(test_validator_pk),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
