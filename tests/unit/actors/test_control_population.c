/* SPDX-License-Identifier: MIT
 * The population rule: how many to dial, whom to close, how long to wait. */
#include "actors/control/population.h"
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct lp2p_population rule = {.min = 10, .max = 50, .grace_ns = LP2P_SEC(20)};

static void test_population_missing(void **state)
{
    (void)state;
    assert_int_equal(lp2p_population_missing(&rule, 0, 0), 8);  /* never more than its own share at once */
    assert_int_equal(lp2p_population_missing(&rule, 0, 8), 0);
    assert_int_equal(lp2p_population_missing(&rule, 7, 1), 2);
    assert_int_equal(lp2p_population_missing(&rule, 10, 0), 0);
    assert_int_equal(lp2p_population_missing(&rule, 60, 0), 0);
}

static void test_population_hard_max(void **state)
{
    (void)state;
    assert_int_equal(lp2p_population_hard_max(&rule), 62);
    const struct lp2p_population small = {.max = 4};
    assert_int_equal(lp2p_population_hard_max(&small), 12);
}

static struct lp2p_link_value old_link(void)
{
    return (struct lp2p_link_value){.since = LP2P_SEC(1), .outbound = true};
}

static void test_population_order(void **state)
{
    (void)state;
    struct lp2p_link_value a = old_link(), b = old_link();
    b.tag = 50;
    a.streams = 9;
    assert_true(lp2p_population_less(&a, &b)); /* the tag counts before all else */
    a = b = old_link();
    b.streams = 1;
    assert_true(lp2p_population_less(&a, &b));
    a = b = old_link();
    a.outbound = false;
    assert_true(lp2p_population_less(&a, &b));
    a = b = old_link();
    a.since = LP2P_SEC(2);
    assert_true(lp2p_population_less(&a, &b)); /* newest first */
    assert_false(lp2p_population_less(&b, &a));
}

static void test_population_nobody_below_max(void **state)
{
    (void)state;
    struct lp2p_link_value values[50];
    for (size_t i = 0; i < 50; i++) {
        values[i] = old_link();
    }
    size_t out[50];
    lp2p_time next;
    assert_int_equal(lp2p_population_victims(&rule, values, 50, LP2P_SEC(100), out, 50, &next), 0);
    assert_true(next == LP2P_NEVER);
}

static void test_population_spares_protected_busy_young(void **state)
{
    (void)state;
    const struct lp2p_population one = {.max = 1, .grace_ns = LP2P_SEC(20)};
    struct lp2p_link_value values[4] = {old_link(), old_link(), old_link(), old_link()};
    values[0].protected_ = true;
    values[1].busy = true;
    values[2].since = LP2P_SEC(95);
    size_t out[4];
    lp2p_time next;
    size_t n = lp2p_population_victims(&one, values, 4, LP2P_SEC(100), out, 4, &next);
    assert_int_equal(n, 1);
    assert_int_equal(out[0], 3);
    assert_true(next == LP2P_SEC(115)); /* the young one's turn */
    n = lp2p_population_victims(&one, values, 4, LP2P_SEC(115), out, 4, &next);
    assert_int_equal(n, 2);
    assert_true(next == LP2P_NEVER);
}

/** Against a model: the victims are the k least of the closable ones, in order. */
static void test_population_victims_match_model(void **state)
{
    (void)state;
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 7);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    for (int round = 0; round < 2000; round++) {
        struct lp2p_population pop = {.max = (unsigned)lp2p_rand_below(&rand, 20), .grace_ns = 10};
        struct lp2p_link_value values[32];
        size_t count = lp2p_rand_below(&rand, 33), out[32];
        for (size_t i = 0; i < count; i++) {
            values[i] = (struct lp2p_link_value){.protected_ = lp2p_rand_below(&rand, 5) == 0,
                                                 .busy = lp2p_rand_below(&rand, 5) == 0,
                                                 .tag = (int)lp2p_rand_below(&rand, 3),
                                                 .streams = (unsigned)lp2p_rand_below(&rand, 3),
                                                 .outbound = lp2p_rand_below(&rand, 2) == 0,
                                                 .since = lp2p_rand_below(&rand, 20)};
        }
        lp2p_time next;
        size_t n = lp2p_population_victims(&pop, values, count, 20, out, 32, &next);
        size_t closable = 0;
        for (size_t i = 0; i < count; i++) {
            closable += !values[i].protected_ && !values[i].busy && values[i].since <= 10;
        }
        size_t surplus = count > pop.max ? count - pop.max : 0;
        assert_int_equal(n, LP2P_MIN(closable, surplus));
        for (size_t i = 0; i < n; i++) {
            assert_false(values[out[i]].protected_ || values[out[i]].busy || values[out[i]].since > 10);
            assert_false(i > 0 && lp2p_population_less(&values[out[i]], &values[out[i - 1]]));
            size_t less = 0; /* closable ones that are worth less than this victim must all be victims */
            for (size_t j = 0; j < count; j++) {
                less += !values[j].protected_ && !values[j].busy && values[j].since <= 10 &&
                        lp2p_population_less(&values[j], &values[out[i]]);
            }
            assert_true(less <= i);
        }
    }
}

static void test_population_backoff(void **state)
{
    (void)state;
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    for (unsigned failures = 0; failures < 100; failures++) {
        uint64_t wait = lp2p_population_backoff(failures, &rand);
        uint64_t base = LP2P_MIN(LP2P_SEC(5) + LP2P_SEC(1) * failures * failures, LP2P_SEC(300));
        assert_in_range(wait, base - base / 5, base + base / 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_population_missing),
        cmocka_unit_test(test_population_hard_max),
        cmocka_unit_test(test_population_order),
        cmocka_unit_test(test_population_nobody_below_max),
        cmocka_unit_test(test_population_spares_protected_busy_young),
        cmocka_unit_test(test_population_victims_match_model),
        cmocka_unit_test(test_population_backoff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
