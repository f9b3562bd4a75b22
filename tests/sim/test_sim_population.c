/* SPDX-License-Identifier: MIT
 * Whole nodes on a simulated network, in virtual time: hosts come and go for minutes, and every node keeps its number of
 * connections between min and max. The same seed is the same run. */
#include "actors/api/node.h"
#include "actors/control/tree.h"
#include "simnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOSTS 9
#define MIN 3
#define MAX 5
#define GRACE_S 20
#define PORT 4001

struct world {
    struct simnet *net;
    struct simhost *hosts[HOSTS];
    struct lp2p_node *nodes[HOSTS];
    struct lp2p_tree *trees[HOSTS];
    struct lp2p_rt *rts[HOSTS];
    bool unplugged[HOSTS];
    uint64_t trace; /* of all samples: equal runs have equal traces */
};

static void mix(struct world *world, uint64_t value)
{
    world->trace = (world->trace ^ value) * 0x100000001b3u;
}

/** Identities come from the seed, so that a run can be repeated. */
static void set_key(struct lp2p_config *config, struct lp2p_rand *rand)
{
    struct lp2p_private_key key;
    uint8_t bytes[68];
    lp2p_private_key_generate(rand, &key);
    size_t len = 0;
    assert_int_equal(lp2p_private_key_encode(&key, bytes, sizeof(bytes), &len), LP2P_OK);
    assert_int_equal(lp2p_config_key(config, bytes, sizeof(bytes)), LP2P_OK);
}

static struct lp2p_node *make_node(unsigned i, struct lp2p_rand *rand, const char *bootstrap)
{
    char text[128], detail[LP2P_DETAIL_MAX] = "";
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    set_key(config, rand);
    snprintf(text, sizeof(text), "/ip4/10.0.0.%u/tcp/%d", i + 1, PORT);
    assert_int_equal(lp2p_config_listen(config, text), LP2P_OK);
    assert_int_equal(lp2p_config_connections(config, MIN, MAX), LP2P_OK);
    assert_int_equal(lp2p_config_trim_grace(config, GRACE_S * 1000), LP2P_OK);
    assert_int_equal(lp2p_config_dht(config, "server", NULL), LP2P_OK);
    if (bootstrap != NULL) {
        assert_int_equal(lp2p_config_bootstrap(config, bootstrap), LP2P_OK);
    }
    assert_int_equal(lp2p_node_new(config, &node, detail), LP2P_OK);
    lp2p_config_free(config);
    return node;
}

static void start_world(struct world *world, uint64_t seed)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, seed);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    char bootstrap[LP2P_ADDR_TEXT_MAX] = "";
    *world = (struct world){.net = simnet_new(seed, LP2P_MS(20), LP2P_MS(10)), .trace = 0xcbf29ce484222325u};
    for (unsigned i = 0; i < HOSTS; i++) {
        world->hosts[i] = simnet_host(world->net, i + 1);
        world->nodes[i] = make_node(i, &rand, i > 0 ? bootstrap : NULL);
        if (i == 0) {
            snprintf(bootstrap, sizeof(bootstrap), "/ip4/10.0.0.1/tcp/%d/p2p/%s", PORT, lp2p_node_peer_id(world->nodes[0]));
        }
        struct lp2p_context *ctx = &world->nodes[i]->ctx;
        ctx->net = simhost_net(world->hosts[i]);
        struct lp2p_rt_config config = {.simulated = true, .seed = seed + i, .sim_io = simhost_io(world->hosts[i])};
        world->trees[i] = lp2p_tree_new(ctx, &config);
        assert_non_null(world->trees[i]);
        char failed[64] = "";
        if (lp2p_rt_start(&config, &world->rts[i], failed) != LP2P_OK) {
            fail_msg("node %u: %s did not start", i, failed);
        }
    }
}

static void stop_world(struct world *world)
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
}

static unsigned connections(const struct world *world, unsigned i)
{
    return (unsigned)LP2P_READ(&world->nodes[i]->ctx, connections);
}

static void run_s(struct world *world, unsigned seconds)
{
    for (unsigned s = 0; s < seconds; s++) {
        simnet_run(world->net, world->rts, HOSTS, lp2p_sim_now(world->rts[0]) + LP2P_SEC(1));
        for (unsigned i = 0; i < HOSTS; i++) {
            mix(world, connections(world, i));
            /* Never above the hard limit, whoever comes. */
            assert_in_range(connections(world, i), 0, MAX + 8);
        }
    }
}

static bool settled(const struct world *world)
{
    for (unsigned i = 0; i < HOSTS; i++) {
        unsigned n = connections(world, i);
        if (world->unplugged[i] ? n != 0 : n < MIN || n > MAX) {
            return false;
        }
    }
    return true;
}

/** Lookups of the DHT use more connections for a moment, and busy ones are not closed: but soon all are within the bounds. */
static void expect_settled(struct world *world)
{
    for (int s = 0; s < 180 && !settled(world); s++) {
        run_s(world, 1);
    }
    for (unsigned i = 0; i < HOSTS; i++) {
        assert_in_range(connections(world, i), world->unplugged[i] ? 0 : MIN, world->unplugged[i] ? 0 : MAX);
    }
}

static uint64_t churn(uint64_t seed, bool check)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    start_world(world, seed);
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, seed ^ 0xabcdef);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    run_s(world, 120);
    if (check) {
        expect_settled(world);
    }
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 1; i < HOSTS; i++) { /* a third of them goes */
            world->unplugged[i] = lp2p_rand_below(&rand, 3) == 0;
            simhost_unplug(world->hosts[i], world->unplugged[i]);
        }
        run_s(world, 120);
        for (unsigned i = 1; i < HOSTS; i++) { /* and comes back */
            world->unplugged[i] = false;
            simhost_unplug(world->hosts[i], false);
        }
        run_s(world, 400); /* a backoff may last 5 minutes and a fifth */
        if (check) {
            expect_settled(world);
        }
    }
    uint64_t trace = world->trace;
    stop_world(world);
    free(world);
    return trace;
}

static void test_sim_population_survives_churn(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        churn(seed, true);
    }
}

static void test_sim_population_is_repeatable(void **state)
{
    (void)state;
    assert_true(churn(11, false) == churn(11, false));
    assert_true(churn(11, false) != churn(12, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sim_population_survives_churn),
        cmocka_unit_test(test_sim_population_is_repeatable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
