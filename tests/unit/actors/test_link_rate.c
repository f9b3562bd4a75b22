/* SPDX-License-Identifier: MIT
 * Rates by address: bursts, refill, sources, a table that never grows; and what AH9 asks of them. */
#include "actors/link/rate.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct lp2p_rand_seeded gen;
static struct lp2p_rate_table table;

static void init(struct lp2p_rate rate, bool wide)
{
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    lp2p_rate_table_init(&table, rate, wide, &rand);
}

static struct lp2p_ip_port v4(uint32_t ip)
{
    return (struct lp2p_ip_port){
        .ip_len = 4, .ip = {(uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8), (uint8_t)ip}};
}

static unsigned taken(struct lp2p_ip_port from, unsigned tries, lp2p_time now)
{
    unsigned n = 0;
    for (unsigned i = 0; i < tries; i++) {
        n += lp2p_rate_take(&table, &from, now);
    }
    return n;
}

static void test_rate_burst_and_refill(void **state)
{
    (void)state;
    init((struct lp2p_rate){LP2P_SEC(5), 10}, false);
    lp2p_time now = LP2P_SEC(100);
    assert_int_equal(taken(v4(0x0a000001), 50, now), 10);
    assert_int_equal(taken(v4(0x0a000001), 50, now + LP2P_SEC(5)), 1);
    assert_int_equal(taken(v4(0x0a000001), 50, now + LP2P_SEC(20)), 3);
    assert_int_equal(taken(v4(0x0a000002), 50, now), 10); /* another address */
    assert_int_equal(taken(v4(0x0a000001), 50, now + LP2P_SEC(1000)), 10);
    init((struct lp2p_rate){0, 0}, false);
    assert_int_equal(taken(v4(0x0a000001), 50, now), 50); /* without a limit */
}

static void test_rate_sources(void **state)
{
    (void)state;
    init((struct lp2p_rate){LP2P_SEC(5), 10}, true);
    assert_int_equal(taken(v4(0x0a000001), 6, 0) + taken(v4(0x0a0000ff), 50, 0), 10); /* one /24 */
    assert_int_equal(taken(v4(0x0a000101), 50, 0), 10);
    struct lp2p_ip_port a = {.ip_len = 16, .ip = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 1}}, b = a;
    b.ip[7] = 9;
    b.ip[15] = 9;
    assert_int_equal(taken(a, 6, 0) + taken(b, 50, 0), 10); /* one /48 */
    init((struct lp2p_rate){LP2P_SEC(5), 10}, false);
    assert_int_equal(taken(a, 50, 0) + taken(b, 50, 0), 20); /* two /64 */
    b = a;
    b.ip[15] = 9;
    assert_int_equal(taken(b, 50, 0), 0);
}

/* A flood of other addresses does not free one that used up its share, unless it fills the set with busier
 * ones. */
static void test_rate_table_is_bounded(void **state)
{
    (void)state;
    init((struct lp2p_rate){LP2P_SEC(1), 4}, false);
    assert_int_equal(taken(v4(0x01020304), 50, LP2P_SEC(1)), 4);
    for (uint32_t i = 0; i < 100000; i++) {
        taken(v4(0x0a000000 + i), 1, LP2P_SEC(1));
    }
    assert_int_equal(taken(v4(0x01020304), 50, LP2P_SEC(1)), 0);
}

/* Handshakes from one address, each with an RSA key; how many of 1000 within a second cost a verification. */
static unsigned verified(struct lp2p_rate rate)
{
    struct lp2p_peer_id rsa = {.len = 34, .bytes = {0x12, 0x20}},
                        ed25519 = {.len = 38, .bytes = {0x00, 0x24}};
    assert_true(lp2p_verify_was_costly(&rsa, LP2P_OK));
    assert_false(lp2p_verify_was_costly(&ed25519, LP2P_OK));
    assert_true(lp2p_verify_was_costly(&(struct lp2p_peer_id){0}, LP2P_ESIGNATURE));
    assert_false(lp2p_verify_was_costly(&(struct lp2p_peer_id){0}, LP2P_ETIMEDOUT));
    struct lp2p_ip_port from = v4(0x05060708);
    unsigned n = 0;
    init(rate, false);
    for (unsigned i = 0; i < 1000; i++) {
        lp2p_time now = LP2P_MS(i);
        if (lp2p_rate_allows(&table, &from, now)) {
            n++;
            lp2p_rate_charge(&table, &from, now);
        }
    }
    return n;
}

static void test_AH9_rsa_verifications_by_address(void **state)
{
    (void)state;
    assert_in_range(verified(LP2P_VERIFY_RATE), 20, 23);
    assert_int_equal(verified((struct lp2p_rate){0, 0}), 1000); /* the control: without the limit */
}

/* The same over threads, as the upgrades use it: a source that used up its share is not allowed another,
 * others are. */
static void test_AH9_shared_by_all_upgrades(void **state)
{
    (void)state;
    static struct lp2p_rate_shared shared;
    const struct lp2p_rate rate = LP2P_VERIFY_RATE, none = {0, 0};
    struct lp2p_ip_port from = v4(0x05060708), other = v4(0x09060708);
    for (int i = 0; i < 100; i++) {
        lp2p_rate_shared_charge(&shared, &rate, &from, LP2P_SEC(1));
    }
    assert_false(lp2p_rate_shared_allows(&shared, &rate, &from, LP2P_SEC(1)));
    assert_true(lp2p_rate_shared_allows(&shared, &rate, &other, LP2P_SEC(1)));
    assert_true(lp2p_rate_shared_allows(&shared, &none, &from, LP2P_SEC(1))); /* the control */
    assert_false(lp2p_rate_shared_allows(&shared, &rate, &from, LP2P_SEC(10)));
    assert_true(
        lp2p_rate_shared_allows(&shared, &rate, &from, LP2P_SEC(12))); /* its debt is one burst at the most */
}

/* Who comes by WebSocket is the same source as over bare TCP: an address does not escape its limits by another
 * carrier. */
static void test_AH9_source_of_every_carrier(void **state)
{
    (void)state;
    static const char *const remotes[] = {"/ip4/5.6.7.8/tcp/9", "/ip4/5.6.7.8/tcp/9/ws", "/ip4/5.6.7.8/tcp/9/tls/ws",
                                          "/ip4/5.6.7.8/tcp/0/wss"};
    struct lp2p_multiaddr remote;
    struct lp2p_ip_port from;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(remotes); i++) {
        assert_int_equal(lp2p_multiaddr_from_text(remotes[i], &remote, NULL), LP2P_OK);
        from = (struct lp2p_ip_port){0};
        assert_true(lp2p_rate_source(&remote, &from));
        assert_int_equal(from.ip_len, 4);
        assert_memory_equal(from.ip, "\x05\x06\x07\x08", 4);
    }
    static const char *const exempt[] = {"/ip4/127.0.0.1/tcp/9/ws", "/ip6/::1/tcp/9", "/dns4/example.org/tcp/9/ws"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(exempt); i++) {
        assert_int_equal(lp2p_multiaddr_from_text(exempt[i], &remote, NULL), LP2P_OK);
        assert_false(lp2p_rate_source(&remote, &from));
    }
}

/* 64 peers push 1000 times a second each, for 10 s, from 64 networks or from one; how many are taken. */
static unsigned pushes_taken(struct lp2p_rate each, struct lp2p_rate all, bool one_net)
{
    static struct lp2p_rate_shared shared;
    memset(&shared, 0, sizeof(shared));
    unsigned n = 0;
    for (unsigned ms = 0; ms < 10000; ms++) {
        for (uint32_t peer = 0; peer < 64; peer++) {
            struct lp2p_ip_port from = v4(one_net ? 0x0a000000 + peer : 0x0a000000 + (peer << 8));
            n += lp2p_rate_shared_take(&shared, &each, &all, &from, LP2P_MS(ms));
        }
    }
    return n;
}

static void test_AI5_push_storm(void **state)
{
    (void)state;
    const struct lp2p_rate none = {0, 0};
    assert_in_range(pushes_taken(LP2P_PUSH_RATE, LP2P_PUSH_RATE_ALL, true), 10, 13);
    assert_in_range(pushes_taken(LP2P_PUSH_RATE, LP2P_PUSH_RATE_ALL, false), 300, 64 * 13);
    assert_in_range(pushes_taken(none, LP2P_PUSH_RATE_ALL, false), 19000, 20400); /* 2000/s of all */
    assert_int_equal(pushes_taken(none, none, true), 640000);                     /* the control */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate_burst_and_refill),
        cmocka_unit_test(test_rate_sources),
        cmocka_unit_test(test_rate_table_is_bounded),
        cmocka_unit_test(test_AH9_rsa_verifications_by_address),
        cmocka_unit_test(test_AH9_shared_by_all_upgrades),
        cmocka_unit_test(test_AH9_source_of_every_carrier),
        cmocka_unit_test(test_AI5_push_storm),
    };
    return cmocka_run_group_tests_name("link rate", tests, NULL, NULL);
}
