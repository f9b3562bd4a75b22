/* SPDX-License-Identifier: MIT
 * The order and the delays of a dial's addresses, and how long a failed one is left alone. Pure. */
#include "actors/link/dialer_backoff.h"
#include "actors/link/dialer_rank.h"
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define RELAY "/p2p/12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV/p2p-circuit"
#define NOT_TRIED UINT64_MAX

static struct lp2p_multiaddr addr_of(const char *text)
{
    struct lp2p_multiaddr addr;
    char why[LP2P_MULTIADDR_WHY_MAX];
    if (lp2p_multiaddr_from_text(text, &addr, why) != LP2P_OK) {
        fail_msg("%s: %s", text, why);
    }
    return addr;
}

struct row {
    const char *text;
    uint64_t delay_ms;
};

/** In every rotation: what an address gets does not depend on where it stands. */
static void check(const struct row *rows, size_t len)
{
    struct lp2p_multiaddr addrs[16];
    struct lp2p_rank ranks[16];
    for (size_t turn = 0; turn < len; turn++) {
        for (size_t i = 0; i < len; i++) {
            addrs[i] = addr_of(rows[(i + turn) % len].text);
        }
        lp2p_rank(addrs, len, ranks);
        for (size_t i = 0; i < len; i++) {
            const struct row *row = &rows[(i + turn) % len];
            uint64_t got = ranks[i].duplicate ? NOT_TRIED : ranks[i].delay_ns / 1000000;
            if (got != row->delay_ms) {
                fail_msg("turn %zu: %s: %llu ms, not %llu", turn, row->text, (unsigned long long)got,
                         (unsigned long long)row->delay_ms);
            }
        }
    }
}
#define CHECK(...)                                      \
    do {                                                \
        const struct row rows[] = {__VA_ARGS__};        \
        check(rows, LP2P_ARRAY_LEN(rows));              \
    } while (0)

static void test_rank_happy_eyeballs(void **state)
{
    (void)state;
    CHECK({"/ip6/2600::1/tcp/4001", 0}, {"/ip4/1.2.3.4/tcp/4001", 250}, {"/ip6/2600::2/tcp/4002", 500},
          {"/ip4/1.2.3.5/tcp/4009", 750});
    CHECK({"/ip4/1.2.3.4/tcp/4001", 0}, {"/ip4/1.2.3.4/tcp/4002", 250});
    CHECK({"/ip6/fd00::1/tcp/1", 0}, {"/ip4/10.0.0.1/tcp/1", 30}, {"/ip4/127.0.0.1/tcp/2", 60});
    CHECK({"/dns4/left.example/tcp/1", 0});
}

static void test_rank_groups_run_side_by_side(void **state)
{
    (void)state;
    CHECK({"/ip4/10.0.0.1/tcp/1", 0}, {"/ip4/10.0.0.2/tcp/2", 30}, {"/ip4/1.2.3.4/tcp/1", 0}, {"/ip4/1.2.3.4/tcp/2", 250},
          {"/ip4/1.2.3.9/tcp/1" RELAY, 500}, {"/ip4/1.2.3.9/tcp/2" RELAY, 750});
    CHECK({"/ip4/10.0.0.1/tcp/1", 0}, {"/ip4/1.2.3.9/tcp/1" RELAY, 0}); /* no direct public address to wait for */
}

static void test_rank_kinds(void **state)
{
    (void)state;
    CHECK({"/ip6/2600::1/udp/1/quic-v1", 0}, {"/ip4/1.2.3.4/udp/1/quic-v1", 250}, {"/ip6/2600::1/tcp/1", 500},
          {"/ip4/1.2.3.4/tcp/1", 750}, {"/ip4/1.2.3.4/tcp/2/ws", 1000});
    CHECK({"/ip4/1.2.3.4/tcp/1", 0}, {"/ip4/1.2.3.4/tcp/1/ws", NOT_TRIED}, {"/ip4/1.2.3.4/tcp/1/wss", NOT_TRIED},
          {"/ip4/1.2.3.5/tcp/1/ws", 250});
    CHECK({"/ip4/1.2.3.4/tcp/1/ws", 0}, {"/ip4/1.2.3.4/udp/1/webrtc-direct", 250});
}

static struct lp2p_peer_id peer_of(uint8_t n)
{
    struct lp2p_peer_id id = {.len = 38};
    memset(id.bytes, n, id.len);
    return id;
}

static void test_backoff_grows_and_is_cleared(void **state)
{
    (void)state;
    static struct lp2p_backoffs backoffs;
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_peer_id a = peer_of(1), b = peer_of(2);
    struct lp2p_multiaddr addr = addr_of("/ip4/1.2.3.4/tcp/1"), other = addr_of("/ip4/1.2.3.4/tcp/2");
    lp2p_time now = LP2P_SEC(1000);
    lp2p_backoffs_init(&backoffs, &rand);
    assert_int_equal(lp2p_backoff_until(&backoffs, &a, &addr, now), 0);
    for (uint64_t tries = 1; tries < 30; tries++) {
        lp2p_backoff_failed(&backoffs, &a, &addr, now, &rand);
        uint64_t base = LP2P_MIN(LP2P_SEC(5) + LP2P_SEC(1) * tries * tries, LP2P_SEC(300));
        lp2p_time until = lp2p_backoff_until(&backoffs, &a, &addr, now);
        assert_in_range(until - now, base - base / 5, base + base / 5);
        assert_int_equal(lp2p_backoff_until(&backoffs, &a, &addr, until), 0);
        now = until;
    }
    assert_int_equal(lp2p_backoff_until(&backoffs, &b, &addr, 0), 0); /* one peer and one address each */
    assert_int_equal(lp2p_backoff_until(&backoffs, &a, &other, 0), 0);
    assert_int_equal(lp2p_backoff_until(&backoffs, NULL, &addr, 0), 0);
    /* Long afterwards it counts from the beginning. */
    now += LP2P_BACKOFF_FORGET_NS + LP2P_SEC(1);
    lp2p_backoff_failed(&backoffs, &a, &addr, now, &rand);
    assert_true(lp2p_backoff_until(&backoffs, &a, &addr, now) <= now + LP2P_SEC(8));
    lp2p_backoff_worked(&backoffs, &a, &addr);
    assert_int_equal(lp2p_backoff_until(&backoffs, &a, &addr, now), 0);
    assert_int_equal(backoffs.len, 0);
}

static void test_backoff_table_is_bounded(void **state)
{
    (void)state;
    static struct lp2p_backoffs backoffs;
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 2);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_peer_id peer = peer_of(3);
    const uint8_t ip[4] = {1, 2, 3, 4};
    struct lp2p_multiaddr addr;
    lp2p_backoffs_init(&backoffs, &rand);
    for (unsigned port = 1; port <= 3 * LP2P_BACKOFFS_MAX; port++) {
        lp2p_multiaddr_from_ip_tcp(ip, 4, (uint16_t)port, &addr);
        lp2p_backoff_failed(&backoffs, &peer, &addr, LP2P_SEC(port), &rand);
        assert_true(lp2p_backoff_until(&backoffs, &peer, &addr, LP2P_SEC(port)) > 0); /* the newest is always in it */
    }
    assert_int_equal(backoffs.len, LP2P_BACKOFFS_MAX);
    lp2p_multiaddr_from_ip_tcp(ip, 4, 1, &addr);
    assert_int_equal(lp2p_backoff_until(&backoffs, &peer, &addr, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rank_happy_eyeballs),
        cmocka_unit_test(test_rank_groups_run_side_by_side),
        cmocka_unit_test(test_rank_kinds),
        cmocka_unit_test(test_backoff_grows_and_is_cleared),
        cmocka_unit_test(test_backoff_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
