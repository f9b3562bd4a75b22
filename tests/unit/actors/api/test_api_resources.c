/* SPDX-License-Identifier: MIT
 * Resources and the DHT through the public API: a server in the middle, two nodes that know only it. */
#include "kit.h"

#include <stdlib.h>
#include <string.h>

static struct lp2p_node *server, *alice, *bob;

static struct lp2p_node *dht_node(const char *mode)
{
    struct lp2p_config *config = kit_config();
    assert_int_equal(lp2p_config_dht(config, mode, NULL), LP2P_OK);
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    struct lp2p_node *node = kit_node_of(config);
    kit_start(node);
    return node;
}

static bool has_table(void *arg)
{
    struct lp2p_stats stats;
    return lp2p_node_stats(arg, &stats) == LP2P_OK && stats.dht_peers > 0;
}

static int setup(void **state)
{
    (void)state;
    server = dht_node("server");
    alice = dht_node("client");
    bob = dht_node("client");
    kit_connect(alice, server);
    kit_connect(bob, server);
    kit_until(has_table, alice, "the server is in Alice's routing table");
    kit_until(has_table, bob, "the server is in Bob's routing table");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lp2p_node_free(alice);
    lp2p_node_free(bob);
    lp2p_node_free(server);
    return 0;
}

static void test_resources_announce(void **state)
{
    (void)state;
    struct lp2p_op *op = NULL;
    char *json = NULL;
    assert_int_equal(lp2p_node_resource(alice, "session", "s/1", &json), LP2P_ENOTFOUND);
    assert_null(json);
    assert_int_equal(lp2p_node_announce(alice, "session", "s/1", "{\"open\":true}", 60000, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    assert_int_equal(lp2p_op_number(op), 1); /* the server stored it */
    lp2p_op_free(op);
    assert_int_equal(lp2p_node_resource(alice, "session", "s/1", &json), LP2P_OK);
    assert_non_null(strstr(json, "\"data\":{\"open\":true}"));
    assert_int_equal(lp2p_node_discover(bob, "session", "s/1", KIT_WAIT_MS, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    size_t len = 0;
    const char *found = lp2p_op_bytes(op, &len);
    assert_int_equal(len, strlen(json));
    assert_memory_equal(found, json, len);
    lp2p_op_free(op);
    lp2p_free(json);
    assert_int_equal(lp2p_node_resource(bob, "session", "s/1", &json), LP2P_OK); /* cached */
    lp2p_free(json);
    assert_int_equal(lp2p_node_discover(bob, "session", "nobody", KIT_WAIT_MS, &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_ENOTFOUND);
}

static void test_resources_values(void **state)
{
    (void)state;
    struct lp2p_op *op = NULL;
    const uint8_t value[] = {0, 1, 0xff};
    assert_int_equal(lp2p_dht_put(alice, "key\0x", 5, value, sizeof(value), &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    assert_int_equal(lp2p_op_number(op), 1);
    lp2p_op_free(op);
    assert_int_equal(lp2p_dht_get(bob, "key\0x", 5, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    size_t len = 0;
    const void *found = lp2p_op_bytes(op, &len);
    assert_int_equal(len, sizeof(value));
    assert_memory_equal(found, value, len);
    lp2p_op_free(op);
    assert_int_equal(lp2p_dht_get(bob, "key", 3, &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_ENOTFOUND);
    assert_int_equal(lp2p_dht_get(bob, "", 0, &op), LP2P_EINVAL);
    assert_int_equal(lp2p_dht_put(bob, "k", 1, NULL, 1, &op), LP2P_EINVAL);
    char *large = calloc(1, 17000);
    assert_int_equal(lp2p_dht_put(bob, "k", 1, large, 17000, &op), LP2P_ELIMIT);
    assert_int_equal(lp2p_dht_get(bob, large, 17000, &op), LP2P_EINVAL);
    free(large);
}

static enum lp2p_err provide(struct lp2p_node *node, const char *cid)
{
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_dht_provide(node, cid, strlen(cid), &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    enum lp2p_err err = lp2p_op_result(op);
    lp2p_op_free(op);
    return err;
}

struct search {
    const char *cid, *provider;
};

static bool is_found(void *arg)
{
    struct search *search = arg;
    struct lp2p_op *op = NULL;
    bool found = false;
    size_t len = 0;
    assert_int_equal(lp2p_dht_find_providers(bob, search->cid, strlen(search->cid), 20, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    const struct lp2p_peer *peers = lp2p_op_peers(op, &len);
    for (size_t i = 0; i < len; i++) {
        found = found || (strcmp(peers[i].id, search->provider) == 0 && peers[i].addrs_len > 0);
    }
    lp2p_op_free(op);
    return found;
}

static bool has_provided(void *arg)
{
    return provide(alice, arg) == LP2P_OK; /* its addresses are published a moment after the start */
}

static void test_resources_providers(void **state)
{
    (void)state;
    char cid[] = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    kit_until(has_provided, cid, "Alice provides");
    struct search search = {cid, lp2p_node_peer_id(alice)};
    kit_until(is_found, &search, "Bob finds the provider"); /* ADD_PROVIDER has no reply */
}

static void test_resources_peers(void **state)
{
    (void)state;
    struct lp2p_op *op = NULL;
    size_t len = 0;
    const char *wanted = lp2p_node_peer_id(server);
    assert_int_equal(lp2p_dht_find_peer(bob, wanted, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    const struct lp2p_peer *peers = lp2p_op_peers(op, &len);
    assert_int_equal(len, 1);
    assert_string_equal(peers[0].id, wanted);
    assert_true(peers[0].addrs_len > 0);
    lp2p_op_free(op);
    assert_int_equal(lp2p_dht_closest(bob, wanted, strlen(wanted), &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    peers = lp2p_op_peers(op, &len);
    assert_int_equal(len, 1); /* clients are in nobody's table */
    assert_string_equal(peers[0].id, wanted);
    lp2p_op_free(op);
    assert_int_equal(lp2p_dht_find_peer(bob, "nonsense", &op), LP2P_EINVAL);
}

static void test_resources_nobody_there(void **state)
{
    (void)state;
    struct lp2p_node *alone = dht_node("client");
    struct lp2p_op *op = NULL;
    char *json = NULL;
    assert_int_equal(lp2p_node_announce(alone, "t", "i", "1", 0, &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_EQUORUM);
    assert_int_equal(lp2p_node_resource(alone, "t", "i", &json), LP2P_OK); /* kept for ourselves */
    lp2p_free(json);
    assert_int_equal(lp2p_dht_get(alone, "k", 1, &op), LP2P_OK);
    assert_int_not_equal(kit_finish(op), LP2P_OK);
    lp2p_node_free(alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resources_announce),     cmocka_unit_test(test_resources_values),
        cmocka_unit_test(test_resources_providers),    cmocka_unit_test(test_resources_peers),
        cmocka_unit_test(test_resources_nobody_there),
    };
    return cmocka_run_group_tests_name("api_resources", tests, setup, teardown);
}
