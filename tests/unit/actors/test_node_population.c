/* SPDX-License-Identifier: MIT
 * The population rule with real nodes on loopback that come and go: below min the node dials whom it knows, above max it closes
 * whom it can spare. (Its arithmetic is tested in test_control_population, its timing under virtual time in tests/sim.) */
#include "actors/p2p.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define PATIENCE_S 30

struct wish {
    struct lp2p_node *node;
    unsigned connections;
    const char *peer; /* or: is this peer connected */
    bool connected;
};

static bool granted(const struct wish *wish)
{
    if (wish->peer != NULL) {
        return lp2p_node_is_connected(wish->node, wish->peer) == wish->connected;
    }
    struct lp2p_stats stats;
    return lp2p_node_stats(wish->node, &stats) == LP2P_OK && stats.connections == wish->connections;
}

/** Looks again and again until the wish holds or patience ends. */
static bool until(struct wish wish)
{
    const struct timespec step = {0, 5000000};
    for (int i = 0; i < PATIENCE_S * 200; i++) {
        if (granted(&wish)) {
            return true;
        }
        nanosleep(&step, NULL);
    }
    return false;
}

struct plan {
    const char *listen, *bootstrap;
    unsigned min, max, grace_ms;
    const uint8_t *key;
};

static struct lp2p_node *start(struct plan plan)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX] = "";
    assert_non_null(config);
    assert_int_equal(lp2p_config_connections(config, plan.min, plan.max), LP2P_OK);
    assert_int_equal(lp2p_config_trim_grace(config, plan.grace_ms), LP2P_OK);
    assert_int_equal(lp2p_config_dht(config, "off", NULL), LP2P_OK);
    assert_int_equal(lp2p_config_io_threads(config, 1), LP2P_OK);
    if (plan.listen != NULL) {
        assert_int_equal(lp2p_config_listen(config, plan.listen), LP2P_OK);
    }
    if (plan.bootstrap != NULL) {
        assert_int_equal(lp2p_config_bootstrap(config, plan.bootstrap), LP2P_OK);
    }
    if (plan.key != NULL) {
        assert_int_equal(lp2p_config_key(config, plan.key, 68), LP2P_OK);
    }
    assert_int_equal(lp2p_node_new(config, &node, detail), LP2P_OK);
    if (lp2p_node_start(node, detail) != LP2P_OK) {
        fail_msg("start: %s", detail);
    }
    lp2p_config_free(config);
    return node;
}

static void address(struct lp2p_node *node, char out[LP2P_ADDR_TEXT_MAX])
{
    char addrs[1][LP2P_ADDR_TEXT_MAX];
    assert_int_equal(lp2p_node_addrs(node, addrs, 1), 1);
    snprintf(out, LP2P_ADDR_TEXT_MAX, "%s", addrs[0]);
}

static void connect_ok(struct lp2p_node *node, const char *addr)
{
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_connect(node, addr, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, PATIENCE_S * 1000), LP2P_OK);
    if (lp2p_op_result(op) != LP2P_OK) {
        fail_msg("connect: %s: %s", lp2p_strerror(lp2p_op_result(op)), lp2p_op_detail(op));
    }
    lp2p_op_free(op);
}

/** Above max: the surplus is closed once the grace is over, a protected connection stays. */
static void test_population_trims_above_max(void **state)
{
    (void)state;
    enum { GUESTS = 6 };
    struct lp2p_node *hub = start((struct plan){.listen = "/ip4/127.0.0.1/tcp/0", .max = 3, .grace_ms = 300});
    struct lp2p_node *guests[GUESTS];
    char addr[LP2P_ADDR_TEXT_MAX];
    address(hub, addr);
    for (int i = 0; i < GUESTS; i++) {
        guests[i] = start((struct plan){.max = 8});
    }
    assert_int_equal(lp2p_node_protect(hub, lp2p_node_peer_id(guests[5]), true), LP2P_OK);
    for (int i = 0; i < GUESTS; i++) {
        connect_ok(guests[i], addr);
    }
    assert_true(until((struct wish){.node = hub, .connections = 3}));
    assert_true(lp2p_node_is_connected(hub, lp2p_node_peer_id(guests[5]))); /* the newest, and yet it stays */
    struct lp2p_stats stats;
    assert_int_equal(lp2p_node_stats(hub, &stats), LP2P_OK);
    assert_int_equal(stats.connections_trimmed, GUESTS - 3);
    for (int i = 0; i < GUESTS; i++) {
        lp2p_node_free(guests[i]);
    }
    assert_true(until((struct wish){.node = hub, .connections = 0}));
    lp2p_node_free(hub);
}

/** Below min: the bootstrap peer is dialed at start, and again when it has gone and come back under the same name. */
static void test_population_dials_below_min(void **state)
{
    (void)state;
    uint8_t key[68];
    assert_int_equal(lp2p_key_generate(key), LP2P_OK);
    struct lp2p_node *hub = start((struct plan){.listen = "/ip4/127.0.0.1/tcp/0", .max = 8, .key = key});
    char addr[LP2P_ADDR_TEXT_MAX], listen[LP2P_ADDR_TEXT_MAX], id[LP2P_PEER_TEXT_MAX];
    address(hub, addr);
    snprintf(id, sizeof(id), "%s", lp2p_node_peer_id(hub));
    struct lp2p_node *node = start((struct plan){.bootstrap = addr, .min = 1, .max = 8});
    assert_true(until((struct wish){.node = node, .peer = id, .connected = true}));
    lp2p_node_free(hub);
    assert_true(until((struct wish){.node = node, .peer = id, .connected = false}));
    snprintf(listen, sizeof(listen), "%.*s", (int)(strstr(addr, "/p2p/") - addr), addr);
    hub = start((struct plan){.listen = listen, .max = 8, .key = key});
    assert_true(until((struct wish){.node = node, .peer = id, .connected = true}));
    lp2p_node_free(node);
    lp2p_node_free(hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_population_trims_above_max),
        cmocka_unit_test(test_population_dials_below_min),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
