/* SPDX-License-Identifier: MIT
 * Nodes that connect, talk, close and fail in a seeded order, on threads and under virtual time: afterwards
 * every slot, stream and descriptor is free again, and an honest pair still talks. */
#include "link_world.h"

#include "base/rand.h"

#define NODES 4

/** The newest link of a node may have ended: orders to it are lost then, as in life. */
static void disturb(struct world *world, struct node **nodes, const struct lp2p_rand *rand)
{
    struct node *node = nodes[lp2p_rand_below(rand, NODES)], *other = nodes[lp2p_rand_below(rand, NODES)];
    struct record record = node_look(node);
    bool linked = record.links_up > record.links_ended;
    static const char *const names[] = {"/echo",  "/echo-resident", "/sink", "/stall",
                                        "/abort", "/fail",          "/few",  "/unknown"};
    switch (lp2p_rand_below(rand, 12)) {
    case 0:
    case 1:
    case 2:
        node_dial(node, node_addr(other), 1, node == other ? NULL : &node_ctx(other)->self);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        if (linked) {
            node_try_order(node,
                           (struct order){.protocols = {names[lp2p_rand_below(rand, LP2P_ARRAY_LEN(names))]},
                                          .streams = 1 + (unsigned)lp2p_rand_below(rand, 20),
                                          .bytes = lp2p_rand_below(rand, 100000),
                                          .hold_open = lp2p_rand_below(rand, 4) == 0});
        }
        break;
    case 7:
        if (linked) {
            node_try_close_link(node, LP2P_ECLOSED);
        }
        break;
    case 8:
        (void)lp2p_rt_fail(node_rt(node), lp2p_rand_below(rand, 2) == 0 ? record.connection : record.muxer);
        break;
    case 9:
        (void)lp2p_rt_fail(node_rt(node), lp2p_whereis(node_rt(node), "listener"));
        break;
    case 10:
        (void)lp2p_rt_fail(node_rt(node), lp2p_whereis(node_rt(node), "dialer"));
        break;
    default:
        (void)lp2p_rt_fail(node_rt(node), lp2p_whereis(node_rt(node), "worker"));
        break;
    }
    if (world_is_simulated(world)) {
        world_pass(world, LP2P_MS(lp2p_rand_below(rand, 60)));
    }
}

static void settle(struct world *world, struct node **nodes)
{
    for (int i = 0; i < NODES; i++) {
        assert_true(world_until(world, no_upgrade_pending, nodes[i], NULL));
    }
}

static void churn(enum world_mode mode, uint64_t seed, int rounds)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, seed);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct world *world = world_new(mode);
    struct node *nodes[NODES];
    for (int i = 0; i < NODES; i++) {
        nodes[i] = world_node(world, i == 3 ? &lp2p_mplex_ops : &lp2p_yamux_ops);
    }
    for (int i = 0; i < rounds; i++) {
        disturb(world, nodes, &rand);
        if (!world_is_simulated(world) && i % 5 == 0) {
            settle(world, nodes); /* so that there are links to disturb */
        }
    }
    if (world_is_simulated(world)) {
        world_pass(world, LP2P_SEC(2));
        node_connect(nodes[0], nodes[1]);
        unsigned done = node_look(nodes[0]).done + 1;
        node_order(nodes[0], (struct order){.protocols = {"/echo"}, .streams = 1, .bytes = 100000});
        assert_true(world_until(world, at_least_done, nodes[0], &done));
    }
    settle(world, nodes);
    for (int i = 0; i < NODES; i++) {
        assert_int_equal(node_look(nodes[i]).mismatches, 0);
    }
    world_free(world); /* and there everything is counted */
}

static void test_link_churn_simulated(void **state)
{
    (void)state;
    const char *first = getenv("LP2P_SEED");
    uint64_t from = first != NULL ? strtoull(first, NULL, 10) : 1;
    for (uint64_t seed = from; seed < from + 25; seed++) {
        churn(WORLD_SIM, seed, 200);
    }
}

static void test_link_churn_threads(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        churn(seed % 2 == 0 ? WORLD_THREADS : WORLD_SHARED_IO, seed, 300);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_churn_simulated),
        cmocka_unit_test(test_link_churn_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
