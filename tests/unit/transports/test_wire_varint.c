/* SPDX-License-Identifier: MIT
 * Varints: the published vectors both ways, every truncation, the edges of the range. */
#include "wire/varint.h"

#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_varint_vectors_both_ways(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("varint.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "valid"), i, max, entry)
    {
        uint64_t want = vectors_u64(entry, "value"), value = 0;
        struct lp2p_span bytes = vectors_hex(entry, "bytes");
        size_t used = 0;
        assert_int_equal(lp2p_varint_get(bytes, &value, &used), LP2P_OK);
        assert_true(value == want && used == bytes.len);
        uint8_t out[LP2P_VARINT_MAX];
        assert_int_equal(lp2p_varint_put(out, want), bytes.len);
        assert_memory_equal(out, bytes.ptr, bytes.len);
        assert_int_equal(lp2p_varint_size(want), bytes.len);
        for (size_t cut = 0; cut < bytes.len; cut++) {
            struct lp2p_span part = vectors_copy(lp2p_span(bytes.ptr, cut)), rest = part;
            assert_int_equal(lp2p_varint_get(part, &value, &used), LP2P_EAGAIN);
            assert_int_equal(lp2p_varint_take(&rest, &value), LP2P_ETRUNCATED);
            assert_int_equal(rest.len, cut);
            vectors_free(part);
        }
        vectors_free(bytes);
    }
    yyjson_doc_free(doc);
}

static void test_varint_refuses_bad_vectors(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("varint.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "invalid"), i, max, entry)
    {
        struct lp2p_span bytes = vectors_hex(entry, "bytes"), rest = bytes;
        uint64_t value = 0;
        bool short_one = strstr(vectors_str(entry, "reason"), "truncated") != NULL || bytes.len == 0;
        assert_int_equal(lp2p_varint_take(&rest, &value), short_one ? LP2P_ETRUNCATED : LP2P_EMALFORMED);
        assert_ptr_equal(rest.ptr, bytes.ptr);
        vectors_free(bytes);
    }
    yyjson_doc_free(doc);
}

static void test_varint_leaves_what_follows(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0xac, 0x02, 0x00, 0x7f};
    struct lp2p_span in = lp2p_span(bytes, sizeof(bytes));
    uint64_t value = 0;
    assert_int_equal(lp2p_varint_take(&in, &value), LP2P_OK);
    assert_int_equal(value, 300);
    assert_int_equal(lp2p_varint_take(&in, &value), LP2P_OK);
    assert_int_equal(value, 0);
    assert_int_equal(in.len, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varint_vectors_both_ways),
        cmocka_unit_test(test_varint_refuses_bad_vectors),
        cmocka_unit_test(test_varint_leaves_what_follows),
    };
    return cmocka_run_group_tests_name("wire varint", tests, NULL, NULL);
}
