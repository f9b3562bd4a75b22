/* SPDX-License-Identifier: MIT
 * Whole nodes in virtual time: both sides dial at once, many want the same peer, the machine's addresses change. */
#include "actors/api/node.h"
#include "actors/api/op_private.h"
#include "actors/control/tree.h"
#include "simnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOSTS 2
#define PORT 4001

struct world {
    struct simnet *net;
    struct simhost *hosts[HOSTS];
    struct lp2p_node *nodes[HOSTS];
    struct lp2p_tree *trees[HOSTS];
    struct lp2p_rt *rts[HOSTS];
};

static void start_node(struct world *world, unsigned i, struct lp2p_rand *rand, uint64_t seed)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_private_key key;
    uint8_t bytes[68];
    char text[64], detail[LP2P_DETAIL_MAX] = "", failed[64] = "";
    lp2p_private_key_generate(rand, &key);
    size_t len = 0;
    assert_int_equal(lp2p_private_key_encode(&key, bytes, sizeof(bytes), &len), LP2P_OK);
    assert_int_equal(lp2p_config_key(config, bytes, sizeof(bytes)), LP2P_OK);
    (void)snprintf(text, sizeof(text), "/ip4/0.0.0.0/tcp/%d", PORT);
    assert_int_equal(lp2p_config_listen(config, text), LP2P_OK);
    assert_int_equal(lp2p_config_connections(config, 0, 8), LP2P_OK);
    assert_int_equal(lp2p_config_dht(config, "off", NULL), LP2P_OK);
    assert_int_equal(lp2p_config_append_announce(config, "/dns4/extra.example/tcp/1"), LP2P_OK);
    assert_int_equal(lp2p_node_new(config, &world->nodes[i], detail), LP2P_OK);
    lp2p_config_free(config);
    world->hosts[i] = simnet_host(world->net, i + 1);
    struct lp2p_context *ctx = &world->nodes[i]->ctx;
    ctx->net = simhost_net(world->hosts[i]);
    struct lp2p_rt_config rt = {.simulated = true, .seed = seed + i, .sim_io = simhost_io(world->hosts[i])};
    world->trees[i] = lp2p_tree_new(ctx, &rt);
    assert_non_null(world->trees[i]);
    if (lp2p_rt_start(&rt, &world->rts[i], failed) != LP2P_OK) {
        fail_msg("node %u: %s did not start", i, failed);
    }
}

static void run_ms(struct world *world, uint64_t ms)
{
    simnet_run(world->net, world->rts, HOSTS, lp2p_sim_now(world->rts[0]) + LP2P_MS(ms));
}

static struct world *world_start(uint64_t seed)
{
    struct world *world = calloc(1, sizeof(*world));
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, seed);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    world->net = simnet_new(seed, LP2P_MS(20), LP2P_MS(10));
    for (unsigned i = 0; i < HOSTS; i++) {
        start_node(world, i, &rand, seed);
    }
    run_ms(world, 2000);
    return world;
}

static void world_stop(struct world *world)
{
    for (unsigned i = 0; i < HOSTS; i++) {
        assert_int_equal(lp2p_rt_stop(&world->rts[i]), 0);
        lp2p_swarm_heir_free(&world->nodes[i]->ctx);
        lp2p_tree_free(world->trees[i]);
        assert_int_equal(simhost_fds(world->hosts[i]), 0);
        world->nodes[i]->ctx.names_known = false;
        lp2p_node_free(world->nodes[i]);
    }
    simnet_free(world->net);
    free(world);
}

static void post(struct world *world, unsigned i, struct lp2p_msg *msg)
{
    assert_int_equal(lp2p_post(world->rts[i], lp2p_names(&world->nodes[i]->ctx)->swarm, &msg), LP2P_OK);
}

static struct lp2p_op *connect_to(struct world *world, unsigned from, unsigned to)
{
    struct lp2p_m_connect *m = LP2P_NEW(CONNECT, connect);
    const uint8_t ip[4] = {10, 0, 0, (uint8_t)(to + 1)};
    struct lp2p_multiaddr addr;
    struct lp2p_op *op = lp2p_op_new(NULL);
    lp2p_multiaddr_from_ip_tcp(ip, 4, PORT, &addr);
    m->peer = world->nodes[to]->ctx.self;
    m->addrs = lp2p_addrs_new(&addr, 1);
    m->op = lp2p_op_ref(op);
    post(world, from, &m->msg);
    return op;
}

static void expect_ok(struct lp2p_op *op)
{
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    lp2p_op_drop(&op);
}

static void test_sim_simultaneous_connects(void **state)
{
    (void)state;
    unsigned doubles = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world *world = world_start(seed);
        struct lp2p_op *a = connect_to(world, 0, 1), *b = connect_to(world, 1, 0);
        run_ms(world, 5000);
        expect_ok(a);
        expect_ok(b);
        uint64_t at_a = LP2P_READ(&world->nodes[0]->ctx, connections), at_b = LP2P_READ(&world->nodes[1]->ctx, connections);
        assert_in_range(at_a, 1, 2);
        assert_int_equal(at_a, at_b);
        doubles += at_a == 2;
        run_ms(world, 60000); /* and nobody closes the one that the other keeps */
        assert_int_equal(LP2P_READ(&world->nodes[0]->ctx, connections), LP2P_READ(&world->nodes[1]->ctx, connections));
        assert_true(LP2P_READ(&world->nodes[0]->ctx, connections) >= 1);
        world_stop(world);
    }
    assert_true(doubles > 0); /* that is what this test is about */
}

static void test_sim_many_wait_for_one_dial(void **state)
{
    (void)state;
    struct world *world = world_start(5);
    struct lp2p_op *ops[10];
    for (size_t i = 0; i < LP2P_ARRAY_LEN(ops); i++) {
        ops[i] = connect_to(world, 0, 1);
    }
    run_ms(world, 3000);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(ops); i++) {
        expect_ok(ops[i]);
    }
    assert_int_equal(LP2P_READ(&world->nodes[0]->ctx, dials), 1);
    assert_int_equal(LP2P_READ(&world->nodes[0]->ctx, connections), 1);
    world_stop(world);
}

static bool listens_on(struct world *world, const char *text)
{
    struct lp2p_m_list_addrs *m = LP2P_NEW(LIST_ADDRS, list_addrs);
    struct lp2p_op *op = lp2p_op_new(NULL);
    size_t len = 0;
    m->op = lp2p_op_ref(op);
    post(world, 0, &m->msg);
    run_ms(world, 100);
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    const void *bytes = lp2p_op_bytes(op, &len);
    bool found = memmem(bytes, len, text, strlen(text)) != NULL;
    lp2p_op_drop(&op);
    return found;
}

/** What the other side was told by identify. */
static bool told(struct world *world, const char *text)
{
    struct lp2p_m_list_peers *m = LP2P_NEW(LIST_PEERS, list_peers);
    struct lp2p_op *op = lp2p_op_new(NULL);
    size_t len = 0;
    bool found = false;
    m->peer = world->nodes[0]->ctx.self;
    m->op = lp2p_op_ref(op);
    post(world, 1, &m->msg);
    run_ms(world, 100);
    struct lp2p_peer_info *const *infos = lp2p_op_infos(op, &len);
    for (size_t i = 0; i < len; i++) {
        for (uint32_t j = 0; infos[i]->addrs != NULL && j < infos[i]->addrs->len; j++) {
            char addr[LP2P_MULTIADDR_TEXT_MAX];
            lp2p_multiaddr_text(&infos[i]->addrs->items[j], addr);
            found = found || strcmp(addr, text) == 0;
        }
    }
    lp2p_op_drop(&op);
    return found;
}

/** A wildcard means what the machine has now; peers hear of it by identify's push, and of what is announced besides. */
static void test_sim_interfaces_change(void **state)
{
    (void)state;
    const uint8_t fresh[4] = {10, 77, 0, 1};
    static const char text[] = "/ip4/10.77.0.1/tcp/4001";
    struct world *world = world_start(9);
    struct lp2p_op *op = connect_to(world, 1, 0);
    run_ms(world, 5000);
    expect_ok(op);
    assert_true(told(world, "/ip4/10.0.0.1/tcp/4001"));
    assert_true(told(world, "/dns4/extra.example/tcp/1"));
    assert_false(listens_on(world, text) || told(world, text));
    simhost_interface(world->hosts[0], fresh);
    run_ms(world, 30000);
    assert_true(listens_on(world, text));
    assert_true(told(world, text));
    assert_true(told(world, "/ip4/10.0.0.1/tcp/4001"));
    simhost_interface(world->hosts[0], NULL);
    run_ms(world, 30000);
    assert_false(listens_on(world, text));
    world_stop(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sim_simultaneous_connects),
        cmocka_unit_test(test_sim_many_wait_for_one_dial),
        cmocka_unit_test(test_sim_interfaces_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
