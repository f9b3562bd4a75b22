/* SPDX-License-Identifier: MIT
 * Who may come in, how often, and for how long: each test has the name of its row in the list of known attacks, and is run again
 * with that one limit lifted, where it has to show the harm. */
#include "link_scene.h"

#include "actors/link/limits.h"

#include <string.h>

#define BYTES(literal) literal, sizeof(literal) - 1

/** Connects `times` and leaves at once; a moment passes after each. */
static void knock(struct scene *scene, unsigned machine, unsigned machines, unsigned times)
{
    struct lp2p_ip_port to;
    assert_int_equal(lp2p_multiaddr_ip_tcp(node_addr(scene->node), &to), LP2P_OK);
    for (unsigned i = 0; i < times; i++) {
        const struct lp2p_net *net = world_machine(scene->world, machine + i % machines);
        int fd = -1;
        assert_int_equal(net->connect(net->ctx, &to, NULL, &fd), LP2P_OK);
        world_pass(scene->world, LP2P_MS(25));
        net->close(net->ctx, fd);
    }
    world_pass(scene->world, LP2P_MS(100));
}

/** A flood of connections from one address, and from the addresses of one network, is closed before any cryptography. */
static void test_AH1_connect_flood(void **state)
{
    (void)state;
    for (int lifted = 0; lifted < 2; lifted++) {
        struct scene one = {.limits = {.per_minute = {lifted ? LP2P_NO_LIMIT : 0}}};
        scene_begin(&one);
        knock(&one, MACHINES, 1, 120);
        if (lifted) {
            assert_int_equal(scene_refused(&one), 0);
        } else { /* 60 at once, and 5 in each of the 3 seconds */
            assert_in_range(scene_refused(&one), 120 - LP2P_ACCEPT_IP_BURST - 20, 120 - LP2P_ACCEPT_IP_BURST);
        }
        knock(&one, MACHINES + 256, 1, 1); /* another network is not touched */
        scene_end(&one);

        struct scene net = {.limits = {.per_minute = {0, lifted ? LP2P_NO_LIMIT : 60},
                                       .burst = {0, 40}}};
        scene_begin(&net);
        knock(&net, MACHINES, 20, 120); /* few from each address, many from their /24 */
        if (lifted) {
            assert_int_equal(scene_refused(&net), 0);
        } else {
            assert_in_range(scene_refused(&net), 120 - 40 - 5, 120 - 40);
        }
        scene_end(&net);
    }
}

/** As many addresses as one likes inside of one IPv6 network: the table does not grow, and the network counts. */
static void test_AH2_ipv6_rotation(void **state)
{
    (void)state;
    const uint8_t secret[16] = {7};
    for (int lifted = 0; lifted < 2; lifted++) {
        struct lp2p_inbound_limits limits, wanted = {0};
        if (lifted) {
            wanted.per_minute[LP2P_NET_SITE] = wanted.per_minute[LP2P_NET_REGION] = LP2P_NO_LIMIT;
        }
        lp2p_inbound_limits_fill(&wanted, &limits);
        for (int bits = 56; bits >= 48; bits -= 8) {
            struct lp2p_admission *admission = lp2p_admission_new(&limits, secret);
            struct lp2p_ip_port addr = {.ip = {0x20, 1, 0xd, 0xb8}, .ip_len = 16};
            enum lp2p_net_level level = LP2P_NET_LEVELS;
            unsigned admitted = 0;
            for (unsigned i = 0; i < 10000; i++) {
                addr.ip[bits == 56 ? 7 : 6] = (uint8_t)i;
                addr.ip[bits == 56 ? 8 : 7] = (uint8_t)(i >> 8);
                admitted += lp2p_admission_take(admission, &addr, LP2P_SEC(1), &level) == LP2P_OK;
            }
            if (lifted) {
                assert_true(admitted > 5000);
            } else {
                assert_int_equal(admitted, LP2P_ACCEPT_NET_BURST);
                assert_in_range(level, LP2P_NET_SITE, LP2P_NET_REGION);
            }
            addr.ip[0] = 0x24; /* somebody else */
            assert_int_equal(lp2p_admission_take(admission, &addr, LP2P_SEC(1), &level), LP2P_OK);
            lp2p_admission_free(admission);
        }
    }
    assert_true(lp2p_admission_memory_bytes() <= 128 * 1024);
}

/** Allowances come back with time, to the burst and no further. */
static void test_admission_refills(void **state)
{
    (void)state;
    const uint8_t secret[16] = {9};
    const struct lp2p_inbound_limits wanted = {.per_minute = {60}, .burst = {3}};
    struct lp2p_inbound_limits limits;
    lp2p_inbound_limits_fill(&wanted, &limits);
    struct lp2p_admission *admission = lp2p_admission_new(&limits, secret);
    const struct lp2p_ip_port addr = {.ip = {192, 0, 2, 1}, .ip_len = 4};
    enum lp2p_net_level level;
    static const struct {
        uint64_t at_ms;
        unsigned admitted; /* of ten */
    } steps[] = {{1000, 3}, {1900, 0}, {2100, 1}, {60000, 3}, {60010, 0}, {61000, 1}};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(steps); i++) {
        unsigned admitted = 0;
        for (int k = 0; k < 10; k++) {
            admitted += lp2p_admission_take(admission, &addr, LP2P_MS(steps[i].at_ms), &level) == LP2P_OK;
        }
        assert_int_equal(admitted, steps[i].admitted);
    }
    lp2p_admission_free(admission);
}

/** A byte now and then does not buy time, in any stage. */
static void test_AH3_slowloris(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        unsigned doors;
    } stages[] = {
        {BYTES("\x13/multistream/1.0.0\n\x07/noise\n"), 0},
        {BYTES("GET / HTTP/1.1\r\nHost: a.example\r\nX-A: aaaaaaaaaaaaaaaaaaaaaa"), LP2P_DOOR_WS},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(stages) * 2; i++) {
        bool lifted = i % 2 == 1;
        struct scene scene = {.limits = {.upgrade_ns = lifted ? LP2P_SEC(3600) : 0}, .doors = stages[i / 2].doors};
        scene_begin(&scene);
        struct raw *raw = raw_new(scene.world, scene.node);
        lp2p_time since = world_now(scene.world);
        for (size_t at = 0; at < 20 && !raw->ended; at++) {
            raw_send(raw, stages[i / 2].bytes + at, 1);
            world_pass(scene.world, LP2P_SEC(1));
            raw_receive(raw);
        }
        assert_int_equal(raw->ended, !lifted);
        if (!lifted) {
            assert_in_range(world_now(scene.world) - since, LP2P_SEC(9), LP2P_SEC(12));
        }
        raw_free(raw);
        scene_end(&scene);
    }
}

/** The fewer places are left, the less time each gets. */
static void test_AH3_deadlines_shrink(void **state)
{
    (void)state;
    for (int lifted = 0; lifted < 2; lifted++) {
        struct scene scene = {.limits = {.pending_max = 40,
                                         .pending = {LP2P_NO_LIMIT, LP2P_NO_LIMIT},
                                         .constant_deadline = lifted}};
        scene_begin(&scene);
        struct raw *raws[40];
        for (size_t i = 0; i < LP2P_ARRAY_LEN(raws); i++) {
            raws[i] = raw_new(scene.world, scene.node);
        }
        world_pass(scene.world, LP2P_SEC(5));
        raw_receive(raws[0]);
        raw_receive(raws[39]);
        assert_false(raws[0]->ended); /* came when there was room */
        assert_int_equal(raws[39]->ended, !lifted);
        for (size_t i = 0; i < LP2P_ARRAY_LEN(raws); i++) {
            raw_free(raws[i]);
        }
        world_pass(scene.world, LP2P_SEC(1));
        scene_end(&scene);
    }
}

/** Whole handshakes, over and over: the rate of one address bounds what they cost, and the log names peer and address. */
static void test_AH4_churn(void **state)
{
    (void)state;
    for (int lifted = 0; lifted < 2; lifted++) {
        struct scene scene = {.limits = {.per_minute = {lifted ? LP2P_NO_LIMIT : 60}, .burst = {10}}};
        scene_begin(&scene);
        const struct lp2p_net *net = world_machine(scene.world, MACHINES);
        unsigned whole = 0;
        for (unsigned i = 0; i < 30; i++) {
            struct raw *raw = raw_new_from(scene.world, scene.node, net);
            whole += raw_handshake(raw);
            raw_free(raw);
            world_pass(scene.world, LP2P_MS(50));
        }
        if (lifted) {
            assert_int_equal(whole, 30);
            assert_int_equal(scene.lines, 0);
        } else {
            assert_in_range(whole, 10, 20);
            assert_true(scene.lines >= 1 && scene.lines < 10);
            assert_non_null(strstr(scene.log, "refused addr=10.0.7.208 peer=12D3Koo"));
            assert_non_null(strstr(scene.log, "reason=rate"));
        }
        world_pass(scene.world, LP2P_SEC(1));
        scene_end(&scene);
    }
}

/** Whatever the first bytes are, they are data. */
static void test_AH12_any_first_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } first[] = {
        {BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {BYTES("POST /x HTTP/1.0\r\n\r\n")},
        {BYTES("SSH-2.0-OpenSSH_9.2\r\n")},
        {BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
        {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n\x13/multistream/1.0.0\n")},
        {BYTES("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c")},
        {BYTES("\0")},
        {BYTES("\xff\xfe\xfd")},
        {BYTES("G")},
    };
    for (unsigned doors = 0; doors <= LP2P_DOOR_WS; doors += LP2P_DOOR_WS) {
        struct scene scene = {.doors = doors};
        scene_begin(&scene);
        for (size_t i = 0; i < LP2P_ARRAY_LEN(first); i++) {
            struct raw *raw = raw_new(scene.world, scene.node);
            raw_send(raw, first[i].bytes, first[i].len);
            for (int s = 0; s < 11 && !raw->ended; s++) {
                world_pass(scene.world, LP2P_SEC(1));
                raw_receive(raw);
            }
            assert_true(raw->ended);
            raw_free(raw);
        }
        assert_int_equal(LP2P_READ(node_ctx(scene.node), upgrades_failed), LP2P_ARRAY_LEN(first));
        scene_end(&scene);
    }
}

/** How many: each is a handful of system calls that are not there, but also a key exchange, which sanitizers make slow. */
static unsigned aborted_upgrades(void)
{
    const char *scale = getenv("LP2P_TIME_SCALE");
    unsigned long slower = scale == NULL ? 1 : strtoul(scale, NULL, 10);
    unsigned n = 100000 / (unsigned)LP2P_MIN(LP2P_MAX(slower, 1ul), 100ul);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    n = LP2P_MIN(n, 4000u);
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    n = LP2P_MIN(n, 4000u);
#endif
#endif
    print_message("# %u aborted upgrades\n", n);
    return n;
}

/** One upgrade that falls silent after so many bytes of this kind, and then hangs up. */
static void abort_upgrade(struct scene *scene, const char *front, uint64_t budget)
{
    struct raw *raw = raw_new_from(scene->world, scene->node, world_machine(scene->world, MACHINES));
    raw->budget = budget;
    if (front != NULL) {
        raw_send(raw, front, strlen(front));
        world_pass(scene->world, LP2P_MS(2));
    } else {
        (void)raw_handshake(raw);
    }
    raw_free(raw);
}

/** Upgrades that are cut after each number of bytes, in every stage from the first bytes to the muxer: every place comes back
 * once, neither none nor two. */
static void test_AH13_aborted_upgrades(void **state)
{
    (void)state;
    static const char http[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                               "X-Forwarded-For: 203.0.113.9\r\n\r\n",
                      header[] = "PROXY TCP4 203.0.113.7 10.0.0.1 5000 4001\r\n\x13/multistream/1.0.0\n";
    struct scene scene = {.proxy = "10.0.7.208",
                          .doors = LP2P_DOOR_WS,
                          .limits = {.pending_max = 8,
                                     .pending = {LP2P_NO_LIMIT, LP2P_NO_LIMIT},
                                     .per_minute = {LP2P_NO_LIMIT, LP2P_NO_LIMIT}}};
    scene_begin(&scene);
    struct raw *whole = raw_new_from(scene.world, scene.node, world_machine(scene.world, MACHINES));
    assert_true(raw_handshake(whole));
    uint64_t bytes = whole->sent;
    raw_free(whole);
    unsigned n = aborted_upgrades();
    for (unsigned i = 0; i < n; i++) {
        /* A handshake is cut anywhere, its last byte included; every fourth time it is what comes in front of one. */
        switch (i % 8) {
        case 3:
            abort_upgrade(&scene, http, i / 8 % sizeof(http));
            break;
        case 7:
            abort_upgrade(&scene, header, i / 8 % sizeof(header));
            break;
        default:
            abort_upgrade(&scene, NULL, i % (bytes + 1));
        }
    }
    const struct lp2p_net *net = world_machine(scene.world, MACHINES);
    assert_true(world_until(scene.world, no_upgrade_pending, scene.node, NULL));
    assert_int_equal(scene_refused(&scene), 0);
    /* The whole capacity is there, and not one more. */
    struct raw *raws[9];
    for (size_t i = 0; i < LP2P_ARRAY_LEN(raws); i++) {
        raws[i] = raw_new_from(scene.world, scene.node, net);
    }
    world_pass(scene.world, LP2P_SEC(1));
    assert_int_equal(LP2P_READ(node_ctx(scene.node), upgrades_pending), 8);
    assert_int_equal(scene_refused(&scene), 1);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(raws); i++) {
        raw_free(raws[i]);
    }
    world_pass(scene.world, LP2P_SEC(1));
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_AH1_connect_flood),
        cmocka_unit_test(test_AH2_ipv6_rotation),
        cmocka_unit_test(test_admission_refills),
        cmocka_unit_test(test_AH3_slowloris),
        cmocka_unit_test(test_AH3_deadlines_shrink),
        cmocka_unit_test(test_AH4_churn),
        cmocka_unit_test(test_AH12_any_first_bytes),
        cmocka_unit_test(test_AH13_aborted_upgrades),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
