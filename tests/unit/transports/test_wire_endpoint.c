/* SPDX-License-Identifier: MIT
 * What an address means to a dialer, and which addresses are believed of whom. */
#include "wire/endpoint.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define PEER "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV"

static struct lp2p_multiaddr addr_of(const char *text)
{
    struct lp2p_multiaddr addr;
    char why[LP2P_MULTIADDR_WHY_MAX];
    if (lp2p_multiaddr_from_text(text, &addr, why) != LP2P_OK) {
        fail_msg("%s: %s", text, why);
    }
    return addr;
}

static void test_endpoint_transports(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum lp2p_transport transport;
        unsigned port;
        const char *sni;
    } rows[] = {
        {"/ip4/192.0.2.1/tcp/4001", LP2P_TRANSPORT_TCP, 4001, ""},
        {"/ip6/2001:db8::1/tcp/4001/p2p/" PEER, LP2P_TRANSPORT_TCP, 4001, ""},
        {"/dns4/example.org/tcp/80/ws", LP2P_TRANSPORT_WS, 80, ""},
        {"/dns/example.org/tcp/443/wss/p2p/" PEER, LP2P_TRANSPORT_WSS, 443, ""},
        {"/ip4/192.0.2.1/tcp/443/tls/ws", LP2P_TRANSPORT_WSS, 443, ""},
        {"/ip4/192.0.2.1/tcp/443/tls/sni/example.org/ws", LP2P_TRANSPORT_WSS, 443, "example.org"},
        {"/ip4/192.0.2.1/tcp/443/tls", LP2P_TRANSPORT_NONE, 443, ""},
        {"/ip4/192.0.2.1/tcp/443/sni/example.org/ws", LP2P_TRANSPORT_NONE, 443, "example.org"},
        {"/ip4/192.0.2.1/udp/4001/quic-v1", LP2P_TRANSPORT_QUIC, 4001, ""},
        {"/ip4/192.0.2.1/udp/4001", LP2P_TRANSPORT_NONE, 4001, ""},
        {"/ip4/192.0.2.1/udp/4001/quic-v1/webtransport/certhash/uEiAkH5a4DPGKUuOBjYw0CgwjvcJCJMD2K_1aluKR_tpevQ",
         LP2P_TRANSPORT_WEBTRANSPORT, 4001, ""},
        {"/ip4/192.0.2.1/udp/4001/webrtc-direct", LP2P_TRANSPORT_WEBRTC, 4001, ""},
        {"/ip4/192.0.2.1/tcp/4001/p2p/" PEER "/p2p-circuit", LP2P_TRANSPORT_RELAY, 4001, ""},
        {"/ip4/192.0.2.1/tcp/4001/p2p/" PEER "/p2p-circuit/webrtc", LP2P_TRANSPORT_RELAY, 4001, ""},
        {"/dnsaddr/bootstrap.libp2p.io/p2p/" PEER, LP2P_TRANSPORT_NAME, 0, ""},
        {"/ip4/192.0.2.1", LP2P_TRANSPORT_NONE, 0, ""},
        {"/p2p/" PEER, LP2P_TRANSPORT_NONE, 0, ""},
        {"/unix/a/b", LP2P_TRANSPORT_NONE, 0, ""},
        {"/ip4/192.0.2.1/tcp/4001/http", LP2P_TRANSPORT_NONE, 4001, ""},
        {"/ip4/192.0.2.1/tcp/4001/ws/ws", LP2P_TRANSPORT_NONE, 4001, ""},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(rows); i++) {
        struct lp2p_multiaddr addr = addr_of(rows[i].text);
        struct lp2p_endpoint end = lp2p_endpoint_of(&addr);
        if (end.transport != rows[i].transport || end.port != rows[i].port || !lp2p_span_eq_str(end.sni, rows[i].sni)) {
            fail_msg("%s: %s, port %u", rows[i].text, lp2p_transport_name(end.transport), end.port);
        }
    }
    struct lp2p_multiaddr addr = addr_of("/ip6zone/eth0/ip6/fe80::1/tcp/1");
    assert_true(lp2p_endpoint_of(&addr).zoned);
}

static void test_endpoint_ip(void **state)
{
    (void)state;
    struct lp2p_multiaddr addr = addr_of("/ip4/192.0.2.1/tcp/4001/ws"), name = addr_of("/dns4/a/tcp/1");
    struct lp2p_endpoint end = lp2p_endpoint_of(&addr);
    struct lp2p_ip_port ip;
    assert_true(lp2p_endpoint_ip(&end, &ip));
    assert_int_equal(ip.ip_len, 4);
    assert_int_equal(ip.port, 4001);
    assert_memory_equal(ip.ip, "\xc0\x00\x02\x01", 4);
    end = lp2p_endpoint_of(&name);
    assert_false(lp2p_endpoint_ip(&end, &ip));
    assert_true(lp2p_endpoint_is_name(&end));
}

static void test_endpoint_plausible(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool loopback, private, public; /* believed when it comes from there */
    } rows[] = {
        {"/ip4/1.2.3.4/tcp/4001", true, true, true},
        {"/ip4/192.168.1.5/tcp/4001", true, true, false},
        {"/ip4/100.64.0.1/tcp/4001", true, true, false},
        {"/ip6/fd00::1/tcp/4001", true, true, false},
        {"/ip4/127.0.0.1/tcp/4001", true, false, false},
        {"/ip6/::1/tcp/4001", true, false, false},
        {"/ip6/::ffff:10.0.0.1/tcp/4001", true, true, false},
        {"/ip4/0.0.0.0/tcp/4001", false, false, false},
        {"/ip4/224.0.0.1/tcp/4001", false, false, false},
        {"/ip4/169.254.1.1/tcp/4001", false, false, false},
        {"/ip6/fe80::1/tcp/4001", false, false, false},
        {"/ip4/1.2.3.4/tcp/0", false, false, false},
        {"/ip4/1.2.3.4/udp/0/quic-v1", false, false, false},
        {"/dns4/example.org/tcp/443/wss", true, true, true},
        {"/dns4/example.org/tcp/0", false, false, false},
        {"/dnsaddr/example.org", true, true, true},
        {"/p2p/" PEER, false, false, false},
        {"/ip4/10.0.0.1/tcp/1/p2p/" PEER "/p2p-circuit", true, true, false},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(rows); i++) {
        struct lp2p_multiaddr addr = addr_of(rows[i].text);
        if (lp2p_addr_plausible(&addr, LP2P_SCOPE_LOOPBACK) != rows[i].loopback ||
            lp2p_addr_plausible(&addr, LP2P_SCOPE_PRIVATE) != rows[i].private ||
            lp2p_addr_plausible(&addr, LP2P_SCOPE_PUBLIC) != rows[i].public) {
            fail_msg("%s", rows[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoint_transports),
        cmocka_unit_test(test_endpoint_ip),
        cmocka_unit_test(test_endpoint_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
