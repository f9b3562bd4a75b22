/* SPDX-License-Identifier: MIT
 * Addresses that others tell: which of our own are believed (AI6), and which of other peers (AI8). */
#include "actors/control/observed.h"
#include "base/check.h"
#include "wire/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct lp2p_multiaddr addr_of(const char *text)
{
    struct lp2p_multiaddr addr;
    char why[LP2P_MULTIADDR_WHY_MAX];
    if (lp2p_multiaddr_from_text(text, &addr, why) != LP2P_OK) {
        fail_msg("%s: %s", text, why);
    }
    return addr;
}

static struct lp2p_addrs *own_addrs(void)
{
    const struct lp2p_multiaddr own[] = {addr_of("/ip4/10.0.0.5/tcp/4001"), addr_of("/ip4/127.0.0.1/tcp/4001"),
                                         addr_of("/ip4/10.0.0.5/tcp/4002/ws")};
    return lp2p_addrs_new(own, LP2P_ARRAY_LEN(own));
}

static const char local_text[] = "/ip4/10.0.0.5/tcp/4001";

static bool tell(struct lp2p_observed *observed, uint64_t conn, const char *observer, const char *local, const char *seen, lp2p_time now)
{
    struct lp2p_addrs *own = own_addrs();
    struct lp2p_multiaddr from = addr_of(observer), our = addr_of(local), what = addr_of(seen);
    bool changed = lp2p_observed_add(observed, conn, &from, &our, &what, own, now);
    lp2p_addrs_drop(&own);
    return changed;
}

static size_t confirmed(struct lp2p_observed *observed, lp2p_time now, struct lp2p_multiaddr out[LP2P_OBSERVED_MAX])
{
    return lp2p_observed_confirmed(observed, now, out, LP2P_OBSERVED_MAX);
}

static unsigned thought_about(const struct lp2p_observed *observed)
{
    unsigned n = 0;
    for (size_t i = 0; i < LP2P_OBSERVED_MAX; i++) {
        n += observed->items[i].seen.len > 0 && observed->items[i].observers[0].group != 0;
    }
    return n;
}

/** A group that has said enough takes no place from what others said. */
static void test_AI6_no_place_for_more_of_one_group(void **state)
{
    (void)state;
    static struct lp2p_observed observed;
    char observer[64], seen[64];
    lp2p_observed_init(&observed);
    for (unsigned i = 0; i < LP2P_OBSERVED_MAX; i++) {
        (void)snprintf(observer, sizeof(observer), "/ip4/1.%u.3.4/tcp/999", i / LP2P_OBSERVED_PER_GROUP);
        (void)snprintf(seen, sizeof(seen), "/ip4/5.6.7.%u/tcp/4001", i + 1);
        (void)tell(&observed, i + 1, observer, local_text, seen, 0);
    }
    assert_int_equal(thought_about(&observed), LP2P_OBSERVED_MAX);
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(seen, sizeof(seen), "/ip4/9.6.7.%u/tcp/4001", i + 1);
        assert_false(tell(&observed, 1000 + i, "/ip4/1.0.3.4/tcp/999", local_text, seen, 0));
    }
    assert_int_equal(thought_about(&observed), LP2P_OBSERVED_MAX);
    assert_true(tell(&observed, 2000, "/ip4/2.2.3.4/tcp/999", local_text, seen, 0)); /* the control: another group does */
    lp2p_observed_init(&observed);
}

static void test_observed_by_several_groups(void **state)
{
    (void)state;
    static struct lp2p_observed observed;
    struct lp2p_multiaddr out[LP2P_OBSERVED_MAX], want = addr_of("/ip4/5.6.7.8/tcp/4001");
    char observer[64];
    lp2p_observed_init(&observed);
    for (unsigned i = 1; i <= LP2P_OBSERVED_NEEDED; i++) {
        assert_int_equal(confirmed(&observed, 0, out), 0);
        (void)snprintf(observer, sizeof(observer), "/ip4/1.%u.3.4/tcp/999", i);
        assert_true(tell(&observed, i, observer, local_text, "/ip4/5.6.7.8/tcp/4001", 0));
    }
    assert_int_equal(confirmed(&observed, 0, out), 1);
    assert_true(lp2p_multiaddr_eq(&out[0], &want));
    /* It lasts while their connections do, and for a while afterwards. */
    assert_int_equal(confirmed(&observed, LP2P_SEC(100000), out), 1);
    lp2p_observed_gone(&observed, 1, LP2P_SEC(100000));
    assert_int_equal(confirmed(&observed, LP2P_SEC(100000) + LP2P_OBSERVED_NS - 1, out), 1);
    assert_int_equal(confirmed(&observed, LP2P_SEC(100000) + LP2P_OBSERVED_NS, out), 0);
}

static void test_observed_what_does_not_count(void **state)
{
    (void)state;
    static struct lp2p_observed observed;
    lp2p_observed_init(&observed);
    static const struct {
        const char *observer, *local, *seen;
    } rows[] = {
        {"/ip4/192.168.1.1/tcp/1", local_text, "/ip4/5.6.7.8/tcp/4001"},              /* a neighbour */
        {"/ip4/1.2.3.4/tcp/1", "/ip4/10.0.0.5/tcp/51234", "/ip4/5.6.7.8/tcp/51234"},  /* dialed from any port */
        {"/ip4/1.2.3.4/tcp/1", local_text, "/ip4/10.9.9.9/tcp/4001"},                 /* private */
        {"/ip4/1.2.3.4/tcp/1", local_text, "/ip4/127.0.0.1/tcp/4001"},
        {"/ip4/1.2.3.4/tcp/1", local_text, "/ip4/5.6.7.8/tcp/0"},
        {"/ip4/1.2.3.4/tcp/1", local_text, "/ip4/5.6.7.8/tcp/4001/ws"},               /* nothing of ours there speaks that */
        {"/ip4/1.2.3.4/tcp/1", local_text, "/dns4/evil.example/tcp/4001"},
        {"/dns4/name.example/tcp/1", local_text, "/ip4/5.6.7.8/tcp/4001"},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(rows); i++) {
        if (tell(&observed, i + 1, rows[i].observer, rows[i].local, rows[i].seen, 0)) {
            fail_msg("%s %s %s", rows[i].observer, rows[i].local, rows[i].seen);
        }
    }
    assert_true(tell(&observed, 100, "/ip4/1.2.3.4/tcp/1", "/ip4/10.0.0.5/tcp/4002", "/ip4/5.6.7.8/tcp/80/ws", 0));
}

/** A thousand Sybils on three networks report a false address, and then many of them. */
static size_t sybils(struct lp2p_observed *observed, struct lp2p_multiaddr out[LP2P_OBSERVED_MAX])
{
    char observer[64], seen[64];
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(observer, sizeof(observer), "/ip4/6.%u.%u.%u/tcp/1", i % 3, i >> 8 & 255, i & 255);
        tell(observed, 1000 + i, observer, local_text, "/ip4/66.66.66.66/tcp/4001", 0);
    }
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(observer, sizeof(observer), "/ip4/6.%u.%u.%u/tcp/1", i % 3, i >> 8 & 255, i & 255);
        (void)snprintf(seen, sizeof(seen), "/ip4/66.66.%u.%u/tcp/4001", i >> 8 & 255, i & 255);
        tell(observed, 5000 + i, observer, local_text, seen, 0);
    }
    return confirmed(observed, 0, out);
}

static void test_AI6_observed_address_poisoning(void **state)
{
    (void)state;
    static struct lp2p_observed observed;
    struct lp2p_multiaddr out[LP2P_OBSERVED_MAX], truth = addr_of("/ip4/5.6.7.8/tcp/4001");
    char observer[64], seen[64];
    lp2p_observed_init(&observed);
    assert_int_equal(sybils(&observed, out), 0);
    /* They do not keep the true one out. */
    for (unsigned i = 1; i <= LP2P_OBSERVED_NEEDED; i++) {
        (void)snprintf(observer, sizeof(observer), "/ip6/2600:%x::1/tcp/1", i);
        tell(&observed, i, observer, local_text, "/ip4/5.6.7.8/tcp/4001", 0);
    }
    assert_int_equal(sybils(&observed, out), 1);
    assert_true(lp2p_multiaddr_eq(&out[0], &truth));
    /* Even who has many networks brings in three at the most. */
    lp2p_observed_init(&observed);
    for (unsigned i = 0; i < 80; i++) {
        (void)snprintf(observer, sizeof(observer), "/ip4/7.%u.1.1/tcp/1", i);
        (void)snprintf(seen, sizeof(seen), "/ip4/66.66.66.%u/tcp/4001", i / 5);
        tell(&observed, i + 1, observer, local_text, seen, 0);
    }
    assert_int_equal(confirmed(&observed, 0, out), LP2P_OBSERVED_PER_LISTEN);
    /* Control: with the limits lifted the same Sybils are believed. */
    lp2p_observed_init(&observed);
    observed.needed = 1;
    observed.per_listen = LP2P_OBSERVED_MAX;
    assert_true(sybils(&observed, out) > LP2P_OBSERVED_PER_LISTEN);
}

static size_t accepted(enum lp2p_ma_scope source)
{
    struct lp2p_multiaddr items[64];
    char text[64];
    size_t n = 0;
    for (unsigned i = 0; i < 16; i++) {
        (void)snprintf(text, sizeof(text), "/ip4/192.168.1.%u/tcp/22", i);
        items[n++] = addr_of(text);
        (void)snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u", 1000 + i);
        items[n++] = addr_of(text);
        (void)snprintf(text, sizeof(text), "/ip4/1.2.3.%u/tcp/0", i);
        items[n++] = addr_of(text);
    }
    items[n++] = addr_of("/ip4/1.2.3.4/tcp/4001");
    struct lp2p_addrs *addrs = lp2p_addrs_new(items, n);
    lp2p_addrs_filter(&addrs, source);
    assert_non_null(addrs);
    n = addrs->len;
    lp2p_addrs_drop(&addrs);
    return n;
}

/** What a stranger on the internet says of others' addresses never leads into our own network. */
static void test_AI8_addresses_by_source(void **state)
{
    (void)state;
    assert_int_equal(accepted(LP2P_SCOPE_PUBLIC), 1);
    assert_int_equal(accepted(LP2P_SCOPE_PRIVATE), 17);
    /* Control: with the filter as wide as for our own machine they come in; port 0 never. */
    assert_int_equal(accepted(LP2P_SCOPE_LOOPBACK), 33);
    struct lp2p_addrs *none = NULL;
    lp2p_addrs_filter(&none, LP2P_SCOPE_PUBLIC);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_AI6_no_place_for_more_of_one_group),
        cmocka_unit_test(test_observed_by_several_groups),
        cmocka_unit_test(test_observed_what_does_not_count),
        cmocka_unit_test(test_AI6_observed_address_poisoning),
        cmocka_unit_test(test_AI8_addresses_by_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
