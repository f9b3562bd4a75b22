/* SPDX-License-Identifier: MIT
 * The foundation: errors, spans, lists, the deadline heap, slabs, the seeded generator, arithmetic of time.
 */
#include "base/buf.h"
#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/rand.h"
#include "base/span.h"
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_err_table(void **state)
{
    (void)state;
    static const struct {
        enum lp2p_err err;
        const char *name;
        enum lp2p_fault fault;
        const char *text;
    } rows[] = {
#define LP2P_ERR(name, code, fault, text) {LP2P_##name, #name, LP2P_FAULT_##fault, text},
#include "base/err.def"
#undef LP2P_ERR
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(rows); i++) {
        assert_string_equal(lp2p_errname(rows[i].err), rows[i].name);
        assert_string_equal(lp2p_strerror(rows[i].err), rows[i].text);
        assert_int_equal(lp2p_err_fault(rows[i].err), rows[i].fault);
        /* The peer's faults have a range of their own, and no code is used twice. */
        assert_int_equal(rows[i].err <= -100, rows[i].fault == LP2P_FAULT_PEER);
        for (size_t k = 0; k < i; k++) {
            assert_true(rows[i].err != rows[k].err);
        }
    }
    assert_int_equal(LP2P_OK, 0);
    assert_string_equal(lp2p_errname((enum lp2p_err) - 9999), "EUNKNOWN");
    assert_non_null(lp2p_strerror((enum lp2p_err) - 9999));
}

static void test_span_ops(void **state)
{
    (void)state;
    struct lp2p_span abc = lp2p_span_str("abc"), empty = lp2p_span(NULL, 0);
    assert_true(lp2p_span_eq_str(abc, "abc"));
    assert_false(lp2p_span_eq_str(abc, "abd"));
    assert_false(lp2p_span_eq_str(abc, "ab"));
    assert_true(lp2p_span_eq(empty, lp2p_span("x", 0)));
    assert_true(lp2p_span_eq_str(lp2p_span_skip(abc, 1), "bc"));
    assert_int_equal(lp2p_span_skip(abc, 3).len, 0);
    assert_null(lp2p_span_skip(empty, 0).ptr);
}

struct item {
    int value;
    struct lp2p_list link;
    struct lp2p_heap_node node;
};

static void test_list_ops(void **state)
{
    (void)state;
    struct lp2p_list head;
    struct item items[5] = {{0}};
    lp2p_list_init(&head);
    assert_true(lp2p_list_empty(&head));
    assert_null(lp2p_list_pop_front(&head));
    for (int i = 0; i < 5; i++) {
        items[i].value = i;
    }
    lp2p_list_push_back(&head, &items[2].link);
    lp2p_list_push_back(&head, &items[3].link);
    lp2p_list_push_front(&head, &items[0].link);
    lp2p_list_insert_before(&items[2].link, &items[1].link);
    lp2p_list_push_back(&head, &items[4].link);
    int expected = 0;
    LP2P_LIST_FOREACH (it, &head) {
        assert_int_equal(LP2P_LIST_ENTRY(it, struct item, link)->value, expected++);
    }
    assert_int_equal(expected, 5);
    assert_true(lp2p_list_linked(&items[4].link));
    LP2P_LIST_FOREACH_SAFE (it, &head) {
        if (LP2P_LIST_ENTRY(it, struct item, link)->value % 2 == 0) {
            lp2p_list_remove(it);
        }
    }
    assert_false(lp2p_list_linked(&items[4].link));
    lp2p_list_remove(&items[4].link); /* harmless */
    assert_ptr_equal(lp2p_list_pop_front(&head), &items[1].link);
    assert_ptr_equal(lp2p_list_pop_front(&head), &items[3].link);
    assert_true(lp2p_list_empty(&head));
}

/* Random insertions, moves and removals against a plain array. */
static void test_heap_random(void **state)
{
    (void)state;
    enum { COUNT = 200, STEPS = 20000 };
    struct lp2p_rand_seeded gen;
    struct lp2p_heap heap;
    static struct item items[COUNT];
    memset(items, 0, sizeof(items));
    lp2p_rand_seeded_init(&gen, 42);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    lp2p_heap_init(&heap);
    assert_null(lp2p_heap_top(&heap));
    assert_true(lp2p_heap_deadline(&heap) == LP2P_NEVER);
    for (int step = 0; step < STEPS; step++) {
        struct item *item = &items[lp2p_rand_below(&rand, COUNT)];
        if (lp2p_rand_below(&rand, 4) == 0) {
            lp2p_heap_remove(&heap, &item->node);
            assert_int_equal(item->node.place, 0);
        } else {
            bool never = lp2p_rand_below(&rand, 10) == 0;
            assert_int_equal(
                lp2p_heap_set(&heap, &item->node, never ? LP2P_NEVER : lp2p_rand_below(&rand, 1000)),
                LP2P_OK);
        }
        lp2p_time first = LP2P_NEVER;
        size_t len = 0;
        for (int i = 0; i < COUNT; i++) {
            if (items[i].node.place != 0) {
                first = lp2p_time_min(first, items[i].node.when);
                len++;
            }
        }
        assert_true(lp2p_heap_deadline(&heap) == first);
        assert_int_equal(heap.len, len);
    }
    lp2p_time last = 0;
    while (lp2p_heap_top(&heap) != NULL) {
        assert_true(lp2p_heap_deadline(&heap) >= last);
        last = lp2p_heap_deadline(&heap);
        lp2p_heap_remove(&heap, lp2p_heap_top(&heap));
    }
    lp2p_heap_fini(&heap);
}

static unsigned releases;
static void count_release(struct lp2p_buf *buf)
{
    releases++;
    free(buf);
}

static void test_buf_references(void **state)
{
    (void)state;
    struct lp2p_buf *buf = lp2p_buf_new(100);
    assert_non_null(buf);
    assert_int_equal(buf->cap, 100);
    buf->release = count_release;
    memcpy(buf->bytes, "0123456789", 10);
    assert_true(lp2p_buf_alone(buf));
    struct lp2p_slice a = lp2p_slice_of(buf, buf->bytes, 4), b = lp2p_slice_of(buf, buf->bytes + 4, 6);
    assert_false(lp2p_buf_alone(buf));
    assert_true(lp2p_span_eq_str(lp2p_slice_span(&a), "0123"));
    assert_true(lp2p_span_eq_str(lp2p_slice_span(&b), "456789"));
    lp2p_buf_drop(&buf);
    assert_null(buf);
    lp2p_slice_drop(&a);
    assert_int_equal(releases, 0);
    assert_true(lp2p_buf_alone(b.buf));
    lp2p_slice_drop(&b);
    assert_int_equal(releases, 1);
    assert_null(b.buf);
    lp2p_slice_drop(&b); /* the empty slice */
    struct lp2p_slice copy = lp2p_slice_copy("hello", 5), none = lp2p_slice_copy(NULL, 0);
    assert_true(lp2p_span_eq_str(lp2p_slice_span(&copy), "hello"));
    assert_int_equal(none.len, 0);
    lp2p_slice_drop(&copy);
    lp2p_slice_drop(&none);
}

static void test_rand_seeded(void **state)
{
    (void)state;
    struct lp2p_rand_seeded gens[3];
    uint8_t bytes[3][37];
    for (int i = 0; i < 3; i++) {
        lp2p_rand_seeded_init(&gens[i], i == 2 ? 8 : 7);
        struct lp2p_rand rand = lp2p_rand_seeded_source(&gens[i]);
        lp2p_rand_fill(&rand, bytes[i], sizeof(bytes[i]));
    }
    assert_memory_equal(bytes[0], bytes[1], sizeof(bytes[0]));
    assert_memory_not_equal(bytes[0], bytes[2], sizeof(bytes[0]));
    /* Uniform enough to schedule by: each of ten values comes up about a tenth of the time. */
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gens[0]);
    unsigned counts[10] = {0};
    for (int i = 0; i < 100000; i++) {
        counts[lp2p_rand_below(&rand, 10)]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(counts[i], 9500, 10500);
    }
}

static void test_time_saturates(void **state)
{
    (void)state;
    assert_true(lp2p_time_add(5, LP2P_MS(1)) == 1000005);
    assert_true(lp2p_time_add(LP2P_NEVER - 1, 5) == LP2P_NEVER);
    assert_true(lp2p_time_add(5, LP2P_NEVER) == LP2P_NEVER);
    assert_true(lp2p_time_since(10, 3) == 7);
    assert_true(lp2p_time_since(3, 10) == 0);
    assert_true(lp2p_time_min(3, 10) == 3);
    assert_true(LP2P_SEC(1) == LP2P_MS(1000) && LP2P_MS(1) == LP2P_US(1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_table),      cmocka_unit_test(test_span_ops),
        cmocka_unit_test(test_list_ops),       cmocka_unit_test(test_heap_random),
        cmocka_unit_test(test_buf_references), cmocka_unit_test(test_rand_seeded),
        cmocka_unit_test(test_time_saturates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
