/* SPDX-License-Identifier: MIT
 * Nodes that meet at every door: TCP, WebSocket and secure WebSocket, under Noise and TLS, each on a port of its own and all on
 * one; certificates from files that change; private networks. */
#include "kit.h"

#include "actors/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct lp2p_node *listening(const char *const *addrs, size_t len, const char *security, const char *psk)
{
    struct lp2p_config *config = kit_config();
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(lp2p_config_listen(config, addrs[i]), LP2P_OK);
    }
    assert_int_equal(lp2p_config_security(config, security), LP2P_OK);
    if (psk != NULL) {
        config->has_swarm_key = true;
        memset(config->swarm_key.bytes, *psk, sizeof(config->swarm_key.bytes));
    }
    struct lp2p_node *node = kit_node_of(config);
    kit_start(node);
    return node;
}

static enum lp2p_err dial(struct lp2p_node *from, const char *addr)
{
    struct lp2p_op *op = NULL;
    enum lp2p_err err = lp2p_node_connect(from, addr, &op);
    return err != LP2P_OK ? err : kit_finish(op);
}

static enum lp2p_err take(void *user, struct lp2p_node *node, const struct lp2p_message *message, const char *peer)
{
    (void)node, (void)peer;
    if (message->payload != NULL && strlen(message->payload) > 40000) {
        kit_count_up(user);
    }
    return LP2P_OK;
}

/** One large message over the connection that there is, and what both sides say of it. */
static void exchange(struct lp2p_node *from, struct lp2p_node *to, const char *security, const char *part)
{
    struct kit_count got = {0};
    static char payload[50000];
    memset(payload, 'x', sizeof(payload) - 1);
    payload[0] = payload[sizeof(payload) - 2] = '"';
    struct lp2p_handler handler = {.size = sizeof(handler), .name = "door", .user = &got, .handle_message = take};
    assert_int_equal(lp2p_node_register(to, &handler), LP2P_OK);
    const struct lp2p_message message = {.type = "t", .protocol = "door", .payload = payload};
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_send_to(from, lp2p_node_peer_id(to), &message, NULL, &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_OK);
    kit_count_wait(&got, 1, "the message arrives");
    struct lp2p_peer *peer = NULL;
    assert_int_equal(lp2p_node_peer(from, lp2p_node_peer_id(to), &peer), LP2P_OK);
    assert_string_equal(peer->security, security);
    assert_non_null(strstr(peer->remote_addr, part));
    lp2p_peers_free(peer, 1);
    assert_int_equal(lp2p_node_peer(to, lp2p_node_peer_id(from), &peer), LP2P_OK);
    assert_string_equal(peer->security, security);
    lp2p_peers_free(peer, 1);
}

static void test_doors_each(void **state)
{
    (void)state;
    static const char *const addrs[] = {"/ip4/127.0.0.1/tcp/0",        "/ip4/127.0.0.1/tcp/0/ws",
                                        "/ip6/::1/tcp/0/ws",           "/ip4/127.0.0.1/tcp/0/wss",
                                        "/ip4/127.0.0.1/tcp/0/tls/ws", "/ip4/127.0.0.1/tcp/0/tls/sni/example.org/ws"};
    for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        const char *security = i % 2 == 0 ? "noise" : "tls";
        char addr[LP2P_ADDR_TEXT_MAX];
        struct lp2p_node *a = listening(NULL, 0, "noise,tls", NULL), *b = listening(&addrs[i], 1, security, NULL);
        kit_addr(b, addr);
        assert_int_equal(dial(a, addr), LP2P_OK);
        exchange(a, b, i % 2 == 0 ? "/noise" : "/tls/1.0.0", strstr(addrs[i], "/tcp/0") + 6);
        lp2p_node_free(a);
        lp2p_node_free(b);
    }
}

static unsigned free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    close(fd);
    return ntohs(addr.sin_port);
}

static void test_doors_one_port(void **state)
{
    (void)state;
    static const char *const kinds[] = {"", "/ws", "/wss"};
    char texts[3][64];
    const char *addrs[3];
    unsigned port = free_port();
    for (int i = 0; i < 3; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "/ip4/127.0.0.1/tcp/%u%s", port, kinds[i]);
        addrs[i] = texts[i];
    }
    struct lp2p_node *b = listening(addrs, 3, "noise,tls", NULL);
    for (int i = 0; i < 3; i++) {
        char addr[LP2P_ADDR_TEXT_MAX];
        struct lp2p_node *a = listening(NULL, 0, "noise", NULL);
        (void)snprintf(addr, sizeof(addr), "%s/p2p/%s", texts[i], lp2p_node_peer_id(b));
        assert_int_equal(dial(a, addr), LP2P_OK);
        exchange(a, b, "/noise", texts[i]);
        assert_int_equal(lp2p_node_unregister(b, "door"), LP2P_OK);
        lp2p_node_free(a);
    }
    lp2p_node_free(b);
}

static void test_doors_private_network(void **state)
{
    (void)state;
    static const char *const addrs[] = {"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"};
    for (int i = 0; i < 2; i++) {
        char addr[LP2P_ADDR_TEXT_MAX];
        struct lp2p_node *a = listening(NULL, 0, "noise", "a"), *b = listening(&addrs[i], 1, "noise", "a");
        struct lp2p_node *none = listening(NULL, 0, "noise", NULL), *wrong = listening(NULL, 0, "noise", "b");
        kit_addr(b, addr);
        assert_int_equal(dial(a, addr), LP2P_OK);
        exchange(a, b, "/noise", i == 0 ? "/tcp/" : "/ws");
        assert_int_not_equal(dial(none, addr), LP2P_OK);
        assert_int_not_equal(dial(wrong, addr), LP2P_OK);
        lp2p_node_free(a);
        lp2p_node_free(b);
        lp2p_node_free(none);
        lp2p_node_free(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doors_each),
        cmocka_unit_test(test_doors_one_port),
        cmocka_unit_test(test_doors_private_network),
    };
    return cmocka_run_group_tests_name("api_doors", tests, NULL, NULL);
}
