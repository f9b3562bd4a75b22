/* SPDX-License-Identifier: MIT
 * Whole nodes on loopback: dialed by name, from the port that they listen on, and both at the same moment. */
#include "kit.h"

#include "dns_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lp2p_node *node_with(const char *servers, bool reuse)
{
    struct lp2p_config *config = kit_config();
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    assert_int_equal(lp2p_config_dns_servers(config, servers), LP2P_OK);
    assert_int_equal(lp2p_config_port_reuse(config, reuse), LP2P_OK);
    struct lp2p_node *node = kit_node_of(config);
    kit_start(node);
    return node;
}

static unsigned port_of(struct lp2p_node *node)
{
    char addr[LP2P_ADDR_TEXT_MAX];
    unsigned port = 0;
    kit_addr(node, addr);
    assert_int_equal(sscanf(addr, "/ip4/127.0.0.1/tcp/%u", &port), 1);
    return port;
}

static enum lp2p_err connect_to(struct lp2p_node *node, const char *addr, char detail[LP2P_DETAIL_MAX])
{
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_connect(node, addr, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    enum lp2p_err err = lp2p_op_result(op);
    (void)snprintf(detail, LP2P_DETAIL_MAX, "%s", lp2p_op_detail(op));
    lp2p_op_free(op);
    return err;
}

static void disconnect(struct lp2p_node *node, struct lp2p_node *from)
{
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_disconnect(node, lp2p_node_peer_id(from), &op), LP2P_OK);
    (void)kit_finish(op);
}

struct pair {
    struct lp2p_node *a, *b;
};

static unsigned connections(struct lp2p_node *node)
{
    struct lp2p_stats stats;
    assert_int_equal(lp2p_node_stats(node, &stats), LP2P_OK);
    return (unsigned)stats.connections;
}

static bool apart(void *arg)
{
    const struct pair *pair = arg;
    return connections(pair->a) == 0 && connections(pair->b) == 0;
}

/** The second of two crossing connections may come up after the first was closed: it is closed too. */
static bool parted(void *arg)
{
    const struct pair *pair = arg;
    if (!apart(arg)) {
        disconnect(pair->a, pair->b);
    }
    return apart(arg);
}

static bool agreed(void *arg)
{
    const struct pair *pair = arg;
    return connections(pair->a) > 0 && connections(pair->a) == connections(pair->b);
}

static void test_dial_by_name(void **state)
{
    (void)state;
    struct dns_server *server = dns_server_new();
    char addr[LP2P_ADDR_TEXT_MAX], text[LP2P_ADDR_TEXT_MAX], detail[LP2P_DETAIL_MAX];
    struct pair pair = {node_with(dns_server_text(server), true), node_with("", true)};
    const char *id = lp2p_node_peer_id(pair.b);
    dns_server_a(server, "b.example", "127.0.0.1", 60);
    (void)snprintf(text, sizeof(text), "dnsaddr=/dns4/b.example/tcp/%u/p2p/%s", port_of(pair.b), id);
    dns_server_txt(server, "_dnsaddr.net.example", text, 60);
    dns_server_txt(server, "_dnsaddr.net.example", "dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC", 60);
    (void)snprintf(addr, sizeof(addr), "/dns4/b.example/tcp/%u/p2p/%s", port_of(pair.b), id);
    assert_int_equal(connect_to(pair.a, addr, detail), LP2P_OK);
    disconnect(pair.a, pair.b);
    kit_until(apart, &pair, "the end of the connection");
    lp2p_node_free(pair.a);
    pair.a = node_with(dns_server_text(server), true); /* one that knows nothing but the name of the net */
    (void)snprintf(addr, sizeof(addr), "/dnsaddr/net.example/p2p/%s", id);
    assert_int_equal(connect_to(pair.a, addr, detail), LP2P_OK);
    (void)snprintf(addr, sizeof(addr), "/dns4/none.example/tcp/1/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC");
    assert_int_equal(connect_to(pair.a, addr, detail), LP2P_ENOTFOUND);
    assert_non_null(strstr(detail, "/dns4/none.example/tcp/1"));
    assert_non_null(strstr(detail, "dns: none.example: the name does not exist"));
    lp2p_node_free(pair.a);
    lp2p_node_free(pair.b);
    dns_server_free(server);
}

/** Whoever asks for one peer again and again asks for its name once: the names of others still find room. */
static void test_dial_asks_once_for_a_name(void **state)
{
    (void)state;
    struct dns_server *server = dns_server_new();
    char addr[LP2P_ADDR_TEXT_MAX], detail[LP2P_DETAIL_MAX];
    enum { OPS = 400 };
    struct lp2p_op *ops[OPS];
    struct lp2p_node *a = node_with(dns_server_text(server), true), *b = node_with("", true);
    dns_server_a(server, "b.example", "127.0.0.1", 60);
    dns_server_behave(server, "b.example", DNS_RECORDS);
    dns_server_behave(server, "*", DNS_SILENCE);
    for (size_t i = 0; i < OPS; i++) {
        static const char silent[] = "/dns4/silent.example/tcp/1/p2p/QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC";
        assert_int_equal(lp2p_node_connect(a, silent, &ops[i]), LP2P_OK);
    }
    (void)snprintf(addr, sizeof(addr), "/dns4/b.example/tcp/%u/p2p/%s", port_of(b), lp2p_node_peer_id(b));
    assert_int_equal(connect_to(a, addr, detail), LP2P_OK);
    for (size_t i = 0; i < OPS; i++) {
        lp2p_op_free(ops[i]);
    }
    lp2p_node_free(a);
    lp2p_node_free(b);
    dns_server_free(server);
}

static unsigned remote_port(struct lp2p_node *at, struct lp2p_node *of)
{
    struct lp2p_peer *peer = NULL;
    unsigned port = 0;
    assert_int_equal(lp2p_node_peer(at, lp2p_node_peer_id(of), &peer), LP2P_OK);
    assert_int_equal(sscanf(peer->remote_addr, "/ip4/127.0.0.1/tcp/%u", &port), 1);
    lp2p_peers_free(peer, 1);
    return port;
}

static void test_dial_from_the_listening_port(void **state)
{
    (void)state;
    for (int reuse = 0; reuse < 2; reuse++) {
        struct pair pair = {node_with("", reuse == 1), node_with("", true)};
        for (int round = 0; round < 3; round++) { /* also while the kernel remembers the last connection between the two ports */
            kit_connect(pair.a, pair.b);
            if (round == 0) {
                assert_int_equal(remote_port(pair.b, pair.a) == port_of(pair.a), reuse == 1);
            }
            disconnect(pair.a, pair.b);
            kit_until(apart, &pair, "the end of the connection");
        }
        lp2p_node_free(pair.a);
        lp2p_node_free(pair.b);
    }
}

/** A second node on the same port is refused as ever, although the first one's socket lets dials come from its port. */
static void test_listening_port_is_not_shared(void **state)
{
    (void)state;
    struct lp2p_node *a = node_with("", true), *b = NULL;
    struct lp2p_config *config = kit_config();
    char text[64], detail[LP2P_DETAIL_MAX] = "";
    (void)snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u", port_of(a));
    assert_int_equal(lp2p_config_listen(config, text), LP2P_OK);
    b = kit_node_of(config);
    assert_int_equal(lp2p_node_start(b, detail), LP2P_EADDRINUSE);
    lp2p_node_free(b);
    lp2p_node_free(a);
}

/** Both dial at once, again and again: both succeed, both see as many connections, and both can use them. */
static void test_simultaneous_connects(void **state)
{
    (void)state;
    struct pair pair = {node_with("", true), node_with("", true)};
    char at_a[LP2P_ADDR_TEXT_MAX], at_b[LP2P_ADDR_TEXT_MAX];
    kit_addr(pair.a, at_a);
    kit_addr(pair.b, at_b);
    for (int round = 0; round < 20; round++) {
        struct lp2p_op *ops[2], *pings[2];
        assert_int_equal(lp2p_node_connect(pair.a, at_b, &ops[0]), LP2P_OK);
        assert_int_equal(lp2p_node_connect(pair.b, at_a, &ops[1]), LP2P_OK);
        assert_int_equal(kit_finish(ops[0]), LP2P_OK);
        assert_int_equal(kit_finish(ops[1]), LP2P_OK);
        kit_until(agreed, &pair, "the same number of connections on both sides");
        assert_in_range(connections(pair.a), 1, 2);
        assert_int_equal(lp2p_node_ping(pair.a, lp2p_node_peer_id(pair.b), &pings[0]), LP2P_OK);
        assert_int_equal(lp2p_node_ping(pair.b, lp2p_node_peer_id(pair.a), &pings[1]), LP2P_OK);
        assert_int_equal(kit_finish(pings[0]), LP2P_OK);
        assert_int_equal(kit_finish(pings[1]), LP2P_OK);
        kit_until(parted, &pair, "the end of the connections");
    }
    lp2p_node_free(pair.a);
    lp2p_node_free(pair.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dial_by_name),
        cmocka_unit_test(test_dial_asks_once_for_a_name),
        cmocka_unit_test(test_dial_from_the_listening_port),
        cmocka_unit_test(test_listening_port_is_not_shared),
        cmocka_unit_test(test_simultaneous_connects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
