/* SPDX-License-Identifier: MIT
 * Addresses by value: what fits, the final peer id, IP and port, scope. */
#include "wire/multiaddr.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define PEER "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV"
#define OTHER "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"

static struct lp2p_multiaddr addr_of(const char *text)
{
    struct lp2p_multiaddr addr;
    char why[LP2P_MULTIADDR_WHY_MAX];
    if (lp2p_multiaddr_from_text(text, &addr, why) != LP2P_OK) {
        fail_msg("%s: %s", text, why);
    }
    return addr;
}

static void assert_text(const struct lp2p_multiaddr *addr, const char *want)
{
    char text[LP2P_MULTIADDR_TEXT_MAX];
    lp2p_multiaddr_text(addr, text);
    assert_string_equal(text, want);
}

static void test_multiaddr_peer_added_found_and_stripped(void **state)
{
    (void)state;
    struct lp2p_multiaddr addr = addr_of("/ip4/192.0.2.1/tcp/4001"), bare = addr;
    struct lp2p_peer_id id, found;
    assert_int_equal(lp2p_peer_id_from_text(lp2p_span_str(PEER), &id), LP2P_OK);
    assert_int_equal(lp2p_multiaddr_peer(&addr, &found), LP2P_ENOTFOUND);
    assert_int_equal(lp2p_multiaddr_add_peer(&addr, &id), LP2P_OK);
    assert_text(&addr, "/ip4/192.0.2.1/tcp/4001/p2p/" PEER);
    assert_int_equal(lp2p_multiaddr_peer(&addr, &found), LP2P_OK);
    assert_true(lp2p_peer_id_eq(&id, &found));
    lp2p_multiaddr_strip_peer(&addr);
    assert_true(lp2p_multiaddr_eq(&addr, &bare));
    lp2p_multiaddr_strip_peer(&addr);
    assert_true(lp2p_multiaddr_eq(&addr, &bare));
}

static void test_multiaddr_peer_only_when_final(void **state)
{
    (void)state;
    struct lp2p_multiaddr relayed = addr_of("/ip4/192.0.2.1/tcp/4001/p2p/" PEER "/p2p-circuit");
    struct lp2p_peer_id found;
    struct lp2p_span value;
    assert_int_equal(lp2p_multiaddr_peer(&relayed, &found), LP2P_ENOTFOUND);
    assert_int_equal(lp2p_multiaddr_find(&relayed, LP2P_MA_P2P, &value), LP2P_OK);
    assert_int_equal(value.len, 38);
    assert_int_equal(lp2p_multiaddr_find(&relayed, LP2P_MA_WS, &value), LP2P_ENOTFOUND);
    struct lp2p_multiaddr full = addr_of("/ip4/192.0.2.1/tcp/4001/p2p/" PEER "/p2p-circuit/p2p/" OTHER);
    assert_int_equal(lp2p_multiaddr_peer(&full, &found), LP2P_OK);
    char text[LP2P_PEER_ID_TEXT_MAX];
    lp2p_peer_id_text(&found, text);
    assert_string_equal(text, OTHER);
    lp2p_multiaddr_strip_peer(&full);
    assert_true(lp2p_multiaddr_eq(&full, &relayed));
}

static void test_multiaddr_add_peer_that_does_not_fit(void **state)
{
    (void)state;
    char text[300] = "/dns/";
    memset(text + 5, 'a', 220);
    struct lp2p_multiaddr addr = addr_of(text), before = addr;
    struct lp2p_peer_id id;
    assert_int_equal(lp2p_peer_id_from_text(lp2p_span_str(PEER), &id), LP2P_OK);
    assert_int_equal(lp2p_multiaddr_add_peer(&addr, &id), LP2P_ELIMIT);
    assert_true(lp2p_multiaddr_eq(&addr, &before));
}

/* Whatever parse lets in must have a text that fits. */
static void test_multiaddr_text_always_fits(void **state)
{
    (void)state;
    struct lp2p_multiaddr addr;
    uint8_t bytes[LP2P_MULTIADDR_MAX];
    char text[LP2P_MULTIADDR_TEXT_MAX];
    size_t accepted = 0;
    for (size_t count = 1; count <= LP2P_MULTIADDR_COMPONENTS_MAX; count++) {
        bytes[2 * count - 2] = 0xdf; /* /p2p-websocket-star, 19 characters */
        bytes[2 * count - 1] = 0x03;
        enum lp2p_err err = lp2p_multiaddr_parse(lp2p_span(bytes, 2 * count), &addr);
        assert_int_equal(err, 19 * count < sizeof(text) ? LP2P_OK : LP2P_ELIMIT);
        if (err == LP2P_OK) {
            lp2p_multiaddr_text(&addr, text);
            assert_int_equal(strlen(text), 19 * count);
            accepted++;
        }
    }
    assert_int_equal(accepted, (sizeof(text) - 1) / 19);
    for (size_t len = 1; len <= 200; len++) {
        bytes[0] = 0xe1; /* /http-path of spaces: three characters for each byte */
        bytes[1] = 0x03;
        size_t head = len < 128 ? 3 : 4;
        bytes[2] = (uint8_t)(len < 128 ? len : (len & 0x7f) | 0x80);
        bytes[3] = (uint8_t)(len >> 7);
        memset(bytes + head, ' ', len);
        enum lp2p_err err = lp2p_multiaddr_parse(lp2p_span(bytes, head + len), &addr);
        assert_int_equal(err, 11 + 3 * len < sizeof(text) ? LP2P_OK : LP2P_ELIMIT);
    }
    char why[LP2P_MULTIADDR_WHY_MAX], long_name[400] = "/dns/";
    memset(long_name + 5, 'a', 260);
    assert_int_equal(lp2p_multiaddr_from_text(long_name, &addr, why), LP2P_ELIMIT);
    assert_non_null(strstr(why, "too long"));
}

static void test_multiaddr_ip_tcp(void **state)
{
    (void)state;
    static const uint8_t v4[] = {192, 0, 2, 1},
                         mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};
    struct lp2p_multiaddr addr;
    struct lp2p_ip_port got;
    lp2p_multiaddr_from_ip_tcp(v4, 4, 4001, &addr);
    assert_text(&addr, "/ip4/192.0.2.1/tcp/4001");
    assert_int_equal(lp2p_multiaddr_ip_tcp(&addr, &got), LP2P_OK);
    assert_int_equal(got.ip_len, 4);
    assert_int_equal(got.port, 4001);
    assert_memory_equal(got.ip, v4, 4);
    lp2p_multiaddr_from_ip_tcp(mapped, 16, 65535, &addr);
    assert_text(&addr, "/ip4/192.0.2.1/tcp/65535");
    addr = addr_of("/ip6/2001:db8::1/tcp/1/p2p/" PEER);
    assert_int_equal(lp2p_multiaddr_ip_tcp(&addr, &got), LP2P_OK);
    assert_int_equal(got.ip_len, 16);
    lp2p_multiaddr_from_ip_tcp(got.ip, 16, got.port, &addr);
    assert_text(&addr, "/ip6/2001:db8::1/tcp/1");

    static const char *const others[] = {
        "/ip4/1.2.3.4",
        "/ip4/1.2.3.4/udp/1",
        "/ip4/1.2.3.4/tcp/1/ws",
        "/dns4/a.example/tcp/1",
        "/ip6zone/x/ip6/fe80::1/tcp/1",
        "/ip4/1.2.3.4/tcp/1/p2p/" PEER "/p2p-circuit",
        "/tcp/1",
        "/unix/a/b",
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(others); i++) {
        addr = addr_of(others[i]);
        assert_int_equal(lp2p_multiaddr_ip_tcp(&addr, &got), LP2P_EUNSUPPORTED);
    }
}

static void test_multiaddr_scope(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum lp2p_ma_scope scope;
    } cases[] = {
        {"/ip4/127.0.0.1/tcp/1", LP2P_SCOPE_LOOPBACK},
        {"/ip4/0.0.0.0/tcp/1", LP2P_SCOPE_UNSPECIFIED},
        {"/ip4/169.254.1.1/tcp/1", LP2P_SCOPE_LINK_LOCAL},
        {"/ip4/10.1.2.3/tcp/1", LP2P_SCOPE_PRIVATE},
        {"/ip4/172.16.0.1/tcp/1", LP2P_SCOPE_PRIVATE},
        {"/ip4/172.31.255.1/tcp/1", LP2P_SCOPE_PRIVATE},
        {"/ip4/172.32.0.1/tcp/1", LP2P_SCOPE_PUBLIC},
        {"/ip4/192.168.9.9/tcp/1", LP2P_SCOPE_PRIVATE},
        {"/ip4/100.64.0.1/tcp/1", LP2P_SCOPE_PRIVATE},
        {"/ip4/100.128.0.1/tcp/1", LP2P_SCOPE_PUBLIC},
        {"/ip4/8.8.8.8/tcp/1", LP2P_SCOPE_PUBLIC},
        {"/ip4/224.0.0.251/udp/1", LP2P_SCOPE_UNSPECIFIED},
        {"/ip6/::1/tcp/1", LP2P_SCOPE_LOOPBACK},
        {"/ip6/::/tcp/1", LP2P_SCOPE_UNSPECIFIED},
        {"/ip6/fe80::1/tcp/1", LP2P_SCOPE_LINK_LOCAL},
        {"/ip6/fd00::1/tcp/1", LP2P_SCOPE_PRIVATE},
        {"/ip6/2001:db8::1/tcp/1", LP2P_SCOPE_PUBLIC},
        {"/ip6/::ffff:10.0.0.1/tcp/1", LP2P_SCOPE_PRIVATE},
        {"/ip6/64:ff9b::7f00:1/tcp/1", LP2P_SCOPE_LOOPBACK}, /* translated (RFC 6052) and tunneled (RFC 3056): as inside */
        {"/ip6/64:ff9b::a00:1/tcp/1", LP2P_SCOPE_PRIVATE},
        {"/ip6/64:ff9b::808:808/tcp/1", LP2P_SCOPE_PUBLIC},
        {"/ip6/64:ff9b:1::1/tcp/1", LP2P_SCOPE_PRIVATE}, /* RFC 8215: for use inside of a network */
        {"/ip6/2002:a00:1::1/tcp/1", LP2P_SCOPE_PRIVATE},
        {"/ip6/2002:808:808::1/tcp/1", LP2P_SCOPE_PUBLIC},
        {"/ip6/::8.8.8.8/tcp/1", LP2P_SCOPE_UNSPECIFIED}, /* RFC 4291 2.5.5.1: not in use any more */
        {"/ip6/fec0::1/tcp/1", LP2P_SCOPE_PRIVATE},
        {"/ip6/ff02::1/udp/1", LP2P_SCOPE_UNSPECIFIED},
        {"/ip6zone/eth0/ip6/fe80::1/tcp/1", LP2P_SCOPE_LINK_LOCAL},
        {"/dns4/a.example/tcp/1", LP2P_SCOPE_PUBLIC},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_multiaddr addr = addr_of(cases[i].text);
        if (lp2p_multiaddr_scope(&addr) != cases[i].scope) {
            fail_msg("%s", cases[i].text);
        }
    }
}

static void test_multiaddr_ip6_text(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"/ip6/0:0:0:0:0:0:0:0", "/ip6/::"},
        {"/ip6/1::", "/ip6/1::"},
        {"/ip6/::1:0:0", "/ip6/::1:0:0"},
        {"/ip6/1:0:0:2:0:0:0:3", "/ip6/1:0:0:2::3"},
        {"/ip6/1:0:0:2:3:0:0:4", "/ip6/1::2:3:0:0:4"},
        {"/ip6/1:0:2:3:4:5:6:7", "/ip6/1:0:2:3:4:5:6:7"},
        {"/ip6/1:2:3:4:5:6:7::", "/ip6/1:2:3:4:5:6:7:0"},
        {"/ip6/::1.2.3.4", "/ip6/::102:304"},
        {"/ip6/1:2:3:4:5:6:1.2.3.4", "/ip6/1:2:3:4:5:6:102:304"},
        {"/ip6/ABCD::EF", "/ip6/abcd::ef"},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(pairs); i++) {
        struct lp2p_multiaddr addr = addr_of(pairs[i][0]);
        assert_text(&addr, pairs[i][1]);
    }
    static const char *const bad[] = {
        "/ip6/:",
        "/ip6/:::",
        "/ip6/1",
        "/ip6/1:2:3:4:5:6:7",
        "/ip6/1:2:3:4:5:6:7:8:9",
        "/ip6/1::2::3",
        "/ip6/12345::",
        "/ip6/1:",
        "/ip6/:1",
        "/ip6/1:2:3:4:5:6:7:8::",
        "/ip6/::1:2:3:4:5:6:7:8",
        "/ip6/fe80::1%eth0",
        "/ip6/::1.2.3",
        "/ip6/::1.2.3.4:5",
        "/ip6/1:2:3:4:5:6:7:1.2.3.4",
        "/ip6/1.2.3.4",
        "/ip6/::01.2.3.4",
        "/ip6/g::",
        "/ip6/1::2:",
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(bad); i++) {
        struct lp2p_multiaddr addr;
        if (lp2p_multiaddr_from_text(bad[i], &addr, NULL) == LP2P_OK) {
            fail_msg("accepted %s", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multiaddr_peer_added_found_and_stripped),
        cmocka_unit_test(test_multiaddr_peer_only_when_final),
        cmocka_unit_test(test_multiaddr_add_peer_that_does_not_fit),
        cmocka_unit_test(test_multiaddr_text_always_fits),
        cmocka_unit_test(test_multiaddr_ip_tcp),
        cmocka_unit_test(test_multiaddr_scope),
        cmocka_unit_test(test_multiaddr_ip6_text),
    };
    return cmocka_run_group_tests_name("wire multiaddr by value", tests, NULL, NULL);
}
