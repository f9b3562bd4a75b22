/* SPDX-License-Identifier: MIT
 * Connections that come by a proxy which the node trusts: whose limits they fall under, and what a proxy that says nothing, or
 * nothing that can be read, is worth. */
#include "link_scene.h"

#include <string.h>

#define PROXY "10.0.7.208"
#define UPGRADE                                                                                                      \
    "GET / HTTP/1.1\r\nHost: node.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define FORWARDED(value) UPGRADE "X-Forwarded-For: " value "\r\n\r\n"
#define MULTISTREAM "\x13/multistream/1.0.0\n"

/** Behind a trusted proxy the real address counts; from anybody else its header is what it is: not ours. */
static void test_proxies_tell_the_client(void **state)
{
    (void)state;
    for (int trusted = 0; trusted < 2; trusted++) {
        for (int many = 0; many < 2; many++) {
            struct scene scene = {.proxy = trusted ? "10.0.7.0/24" : "10.0.9.1",
                                  .limits = {.pending = {2}}};
            scene_begin(&scene);
            const struct lp2p_net *proxy = world_machine(scene.world, MACHINES);
            struct raw *raws[6];
            unsigned open = 0;
            for (unsigned i = 0; i < LP2P_ARRAY_LEN(raws); i++) {
                char header[64];
                raws[i] = raw_new_from(scene.world, scene.node, proxy);
                int len = snprintf(header, sizeof(header), "PROXY TCP4 203.0.%u.7 10.0.0.1 5000 4001\r\n", many ? i : 0);
                raw_send(raws[i], header, (size_t)len);
                world_pass(scene.world, LP2P_MS(200));
            }
            world_pass(scene.world, trusted ? LP2P_MS(500) : LP2P_SEC(12)); /* it may be the begin of a long token */
            for (unsigned i = 0; i < LP2P_ARRAY_LEN(raws); i++) {
                raw_receive(raws[i]);
                open += !raws[i]->ended;
            }
            assert_int_equal(open, !trusted ? 0 : many ? 6 : 2);
            if (trusted) {
                assert_true(raw_handshake(raws[0]));
                assert_int_equal(scene_refused(&scene), many ? 0 : 4);
                assert_true(many || strstr(scene.log, "addr=203.0.0.7") != NULL);
            }
            for (unsigned i = 0; i < LP2P_ARRAY_LEN(raws); i++) {
                raw_free(raws[i]);
            }
            world_pass(scene.world, LP2P_SEC(1));
            scene_end(&scene);
        }
    }
}

/** Sends these first bytes from the proxy. */
static struct raw *by_proxy(struct scene *scene, const char *bytes)
{
    struct raw *raw = raw_new_from(scene->world, scene->node, world_machine(scene->world, MACHINES));
    raw_send(raw, bytes, strlen(bytes));
    world_pass(scene->world, LP2P_MS(200));
    raw_receive(raw);
    return raw;
}

static bool answered(const struct raw *raw, const char *status)
{
    return raw->in_len > strlen(status) && memcmp(raw->in, status, strlen(status)) == 0;
}

/** What a trusted proxy passes on and nobody can read is refused: taken for nothing, it would leave the connection with the
 * proxy's address. From a sender that is not trusted it is text like any other. */
static void test_proxies_malformed_is_refused(void **state)
{
    (void)state;
    static const char *const values[] = {FORWARDED("unknown"), FORWARDED("203.0.113.7, evil"), FORWARDED("203.0.113.7:99999"),
                                         FORWARDED("[::1"), FORWARDED("1.2.3.4.5"), FORWARDED("_hidden, " PROXY)};
    for (int trusted = 0; trusted < 2; trusted++) {
        struct scene scene = {.proxy = trusted ? PROXY : "10.0.9.1", .doors = LP2P_DOOR_WS};
        scene_begin(&scene);
        for (size_t i = 0; i < LP2P_ARRAY_LEN(values); i++) {
            struct raw *raw = by_proxy(&scene, values[i]);
            assert_true(answered(raw, trusted ? "HTTP/1.1 400 " : "HTTP/1.1 101 "));
            assert_int_equal(raw->ended, trusted);
            raw_free(raw);
        }
        assert_int_equal(LP2P_READ(node_ctx(scene.node), proxied_invalid), trusted ? LP2P_ARRAY_LEN(values) : 0);
        if (trusted) { /* six in 1.2 seconds: one line, or two; a tool that bans addresses must not ban the proxy */
            assert_in_range(scene.lines, 1, 2);
            assert_non_null(strstr(scene.log, "refused proxy=" PROXY));
            assert_non_null(strstr(scene.log, "reason=header"));
            assert_null(strstr(scene.log, "addr="));
        }
        scene_end(&scene);
    }
}

/** A PROXY header that cannot be read is told of in the same way. */
static void test_proxies_malformed_header_is_told(void **state)
{
    (void)state;
    struct scene scene = {.proxy = PROXY};
    scene_begin(&scene);
    struct raw *raw = by_proxy(&scene, "PROXY TCP4 203.0.113.300 10.0.0.1 5000 4001\r\n" MULTISTREAM);
    assert_true(raw->ended);
    assert_int_equal(LP2P_READ(node_ctx(scene.node), proxied_invalid), 1);
    assert_non_null(strstr(scene.log, "refused proxy=" PROXY));
    raw_free(raw);
    scene_end(&scene);
}

/** Connections that say this to a node that allows two from one address; how many stay. */
static unsigned stay(struct scene *scene, const char *const *bytes, size_t len)
{
    struct raw *raws[8];
    unsigned open = 0;
    assert_true(len <= LP2P_ARRAY_LEN(raws));
    for (size_t i = 0; i < len; i++) {
        raws[i] = by_proxy(scene, bytes[i]);
    }
    world_pass(scene->world, LP2P_MS(500));
    for (size_t i = 0; i < len; i++) {
        raw_receive(raws[i]);
        open += !raws[i]->ended;
        raw_free(raws[i]);
    }
    world_pass(scene->world, LP2P_SEC(1));
    return open;
}

/** A proxy that does not say for whom it speaks has the limits of one address, though it is trusted: with every way of saying
 * nothing. Control: with other limits they all stay. */
static void test_proxies_silence_has_limits(void **state)
{
    (void)state;
    static const char *const silent[] = {
        UPGRADE "\r\n",
        FORWARDED(" , "),
        FORWARDED(PROXY ", " PROXY),
        "PROXY UNKNOWN\r\n" UPGRADE "\r\n",
        "PROXY UNKNOWN\r\n" MULTISTREAM,
        "PROXY TCP4 " PROXY " 10.0.0.1 5000 4001\r\n" MULTISTREAM,
        MULTISTREAM,
    };
    for (int lifted = 0; lifted < 2; lifted++) {
        struct scene scene = {
            .proxy = PROXY, .doors = LP2P_DOOR_WS, .limits = {.pending = {lifted ? LP2P_NO_LIMIT : 2}}};
        scene_begin(&scene);
        assert_int_equal(stay(&scene, silent, LP2P_ARRAY_LEN(silent)), lifted ? LP2P_ARRAY_LEN(silent) : 2);
        assert_int_equal(scene_refused(&scene), lifted ? 0 : LP2P_ARRAY_LEN(silent) - 2);
        assert_true(lifted || strstr(scene.log, "refused proxy=" PROXY " peer=? reason=pending") != NULL);
        scene_end(&scene);
    }
}

/** Loopback and proxies are exempt for what they connect themselves, not for what a proxy tells. */
static void test_proxies_tell_nobody_exempt(void **state)
{
    (void)state;
    static const char *const told[] = {FORWARDED("127.0.0.1"), FORWARDED("127.0.0.1, " PROXY), FORWARDED("127.0.0.1"),
                                       ("PROXY TCP4 127.0.0.1 10.0.0.1 5000 4001\r\n" MULTISTREAM)};
    static const char *const chain[] = {"PROXY TCP4 " PROXY " 10.0.0.1 5000 4001\r\n" FORWARDED("203.0.113.1"),
                                        "PROXY TCP4 " PROXY " 10.0.0.1 5000 4001\r\n" FORWARDED("203.0.113.2"),
                                        "PROXY TCP4 " PROXY " 10.0.0.1 5000 4001\r\n" FORWARDED("203.0.113.3")};
    struct scene scene = {.proxy = PROXY, .doors = LP2P_DOOR_WS, .limits = {.pending = {2}}};
    scene_begin(&scene);
    assert_int_equal(stay(&scene, told, LP2P_ARRAY_LEN(told)), 2);
    assert_int_equal(stay(&scene, chain, LP2P_ARRAY_LEN(chain)), LP2P_ARRAY_LEN(chain)); /* one proxy before the other */
    scene_end(&scene);
}

/** A proxy asks for its own sake whether the node lives: it gets its page, nothing is counted against it, however often. */
static void test_proxies_health_checks_pass(void **state)
{
    (void)state;
    struct scene scene = {.proxy = PROXY, .doors = LP2P_DOOR_WS, .limits = {.pending = {1}, .per_minute = {1}, .burst = {1}}};
    scene_begin(&scene);
    for (int i = 0; i < 20; i++) {
        struct raw *raw = by_proxy(&scene, i % 2 == 0 ? "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
                                                      : "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: unknown\r\n\r\n");
        assert_true(answered(raw, "HTTP/1.1 426 "));
        assert_true(raw->ended);
        raw_free(raw);
    }
    assert_int_equal(scene_refused(&scene), 0);
    assert_int_equal(LP2P_READ(node_ctx(scene.node), proxied_invalid), 0);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxies_tell_the_client),       cmocka_unit_test(test_proxies_malformed_is_refused),
        cmocka_unit_test(test_proxies_malformed_header_is_told), cmocka_unit_test(test_proxies_silence_has_limits),
        cmocka_unit_test(test_proxies_tell_nobody_exempt),    cmocka_unit_test(test_proxies_health_checks_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
