/* SPDX-License-Identifier: MIT
 * Lookups in a simulated network: what they find is compared with what a god would see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net.h"

#include "base/check.h"

#define SERVERS 200u
#define K 20u

static struct net net;
static bool grown;

/* The big network is grown once and used by several tests; each leaves its own marks in the tables, as life
 * does. */
static void use_big_network(void)
{
    if (!grown) {
        net_init(&net, 1);
        net_grow(&net, SERVERS,
                 &(struct lp2p_kad_config){.server = true, .refresh_interval_ns = LP2P_SEC(3600)});
        grown = true;
    }
    for (unsigned i = 0; i < net.nodes_len; i++) {
        net.nodes[i].manner = NET_HONEST;
    }
    net.loss_percent = 0;
}

static void use_own_network(uint64_t seed)
{
    if (grown) {
        net_fini(&net);
        grown = false;
    }
    net_init(&net, seed);
}

static unsigned honest_node(void)
{
    for (;;) {
        unsigned node = (unsigned)lp2p_rand_below(&net.rand, SERVERS);
        if (net.nodes[node].manner == NET_HONEST) {
            return node;
        }
    }
}

static void random_key(uint8_t out[32])
{
    lp2p_rand_fill(&net.rand, out, 32);
}

static bool found_truth(const struct net_result *result, struct lp2p_span raw, unsigned asker)
{
    unsigned truth[K];
    size_t len = net_truth(&net, raw, asker, truth, K);
    return result->peers_len == len && memcmp(truth, result->peers, len * sizeof(*truth)) == 0;
}

static void test_closest_is_the_truth(void **state)
{
    (void)state;
    use_big_network();
    for (unsigned i = 0; i < 60; i++) {
        uint8_t raw[32];
        random_key(raw);
        unsigned asker = honest_node();
        struct lp2p_span key = lp2p_span(raw, sizeof(raw));
        const struct net_result *result =
            net_wait(&net, asker, lp2p_kad_closest(net.nodes[asker].kad, key, net.now));
        assert_int_equal(result->reason, LP2P_OK);
        assert_true(found_truth(result, key, asker));
        assert_true(result->sent <= 3 * K);
    }
}

/* With a constant latency the time that a lookup takes is the number of its rounds. */
static void test_closest_takes_few_rounds(void **state)
{
    (void)state;
    use_own_network(2);
    net.latency_min_ns = net.latency_max_ns = LP2P_MS(50);
    net_grow(&net, SERVERS, &(struct lp2p_kad_config){.server = true, .k = 8, .alpha = 3});
    for (unsigned i = 0; i < 50; i++) {
        uint8_t raw[32];
        random_key(raw);
        unsigned asker = honest_node();
        const struct net_result *result = net_wait(
            &net, asker, lp2p_kad_closest(net.nodes[asker].kad, lp2p_span(raw, sizeof(raw)), net.now));
        uint64_t rounds = (result->ended - result->started) / LP2P_MS(100);
        assert_in_range(rounds, 1, 9); /* log2(200) hops, and the k closest by threes */
        assert_true(result->sent <= 30);
    }
    net_fini(&net);
}

static void test_find_peer_servers_and_clients(void **state)
{
    (void)state;
    use_big_network();
    /* A client is in no table; it is known to the servers that it has asked, the closest ones to itself among
     * them. */
    unsigned client = net_add(&net, &(struct lp2p_kad_config){.server = false});
    net_introduce(&net, client, 5);
    lp2p_kad_bootstrap(net.nodes[client].kad, net.now);
    net_pump(&net, client);
    net_run(&net, LP2P_SEC(30));
    for (unsigned i = 0; i < 60; i++) {
        unsigned asker = honest_node();
        unsigned target = i % 4 == 0 ? client : honest_node();
        if (asker == target) {
            continue;
        }
        const struct net_result *result = net_wait(
            &net, asker, lp2p_kad_find_peer(net.nodes[asker].kad, &net.nodes[target].self.id, net.now));
        assert_int_equal(result->reason, LP2P_OK);
        assert_int_equal(result->peers_len, 1);
        assert_int_equal(result->peers[0], target);
    }
    for (unsigned i = 0; i < SERVERS; i++) { /* a client is nobody's candidate */
        struct lp2p_kad_peer nearest;
        size_t len = lp2p_kad_table_closest(net.nodes[i].kad, lp2p_peer_id_span(&net.nodes[client].self.id),
                                            &nearest, 1);
        assert_true(len == 0 || !lp2p_peer_id_eq(&nearest.id, &net.nodes[client].self.id));
    }
    struct lp2p_peer_id nobody = net.nodes[0].self.id;
    nobody.bytes[20] ^= 1;
    const struct net_result *result =
        net_wait(&net, 7, lp2p_kad_find_peer(net.nodes[7].kad, &nobody, net.now));
    assert_int_equal(result->reason, LP2P_ENOTFOUND);
    assert_int_equal(result->peers_len, 0);
}

static void spoil(enum net_manner manner, unsigned percent)
{
    for (unsigned i = 8; i < net.nodes_len; i++) {
        if (lp2p_rand_below(&net.rand, 100) < percent) {
            net.nodes[i].manner = manner;
        }
    }
}

static void test_closest_with_loss_and_dead_nodes(void **state)
{
    (void)state;
    use_big_network();
    spoil(NET_DEAD, 15);
    spoil(NET_GARBAGE, 5);
    spoil(NET_MUTE, 5);
    net.loss_percent = 2;
    unsigned overlap = 0;
    for (unsigned i = 0; i < 50; i++) {
        uint8_t raw[32];
        random_key(raw);
        unsigned asker = honest_node();
        struct lp2p_span key = lp2p_span(raw, sizeof(raw));
        const struct net_result *result =
            net_wait(&net, asker, lp2p_kad_closest(net.nodes[asker].kad, key, net.now));
        assert_int_equal(result->reason, LP2P_OK);
        assert_true(result->ended - result->started <= LP2P_SEC(61));
        unsigned truth[K];
        size_t len = net_truth(&net, key, asker, truth, K);
        for (size_t t = 0; t < len; t++) {
            for (size_t p = 0; p < result->peers_len; p++) {
                overlap += truth[t] == result->peers[p];
            }
        }
    }
    assert_true(overlap >= 50 * K * 90 / 100); /* a lost message makes a live peer look dead */
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* A third of the peers answer just before the time-out. A few slow ones in sequence must not add up. */
static void test_closest_with_slow_liars(void **state)
{
    (void)state;
    use_big_network();
    spoil(NET_SLOW, 30);
    uint64_t took[50];
    for (unsigned i = 0; i < 50; i++) {
        uint8_t raw[32];
        random_key(raw);
        unsigned asker = honest_node();
        const struct net_result *result = net_wait(
            &net, asker, lp2p_kad_closest(net.nodes[asker].kad, lp2p_span(raw, sizeof(raw)), net.now));
        assert_int_equal(result->reason, LP2P_OK);
        took[i] = result->ended - result->started;
    }
    qsort(took, 50, sizeof(*took), by_time);
    assert_true(took[49] <= LP2P_SEC(15));
}

static void run_once(uint64_t seed, uint64_t *trace, size_t *delivered)
{
    use_own_network(seed);
    net.loss_percent = 5;
    net_grow(&net, 60, &(struct lp2p_kad_config){.server = true});
    *trace = net.trace;
    *delivered = net.delivered;
    net_fini(&net);
}

static void test_one_seed_is_one_run(void **state)
{
    (void)state;
    uint64_t trace[3];
    size_t delivered[3];
    run_once(77, &trace[0], &delivered[0]);
    run_once(77, &trace[1], &delivered[1]);
    run_once(78, &trace[2], &delivered[2]);
    assert_true(delivered[0] > 1000);
    assert_int_equal(delivered[0], delivered[1]);
    assert_true(trace[0] == trace[1]);
    assert_true(trace[0] != trace[2]);
}

/* Everybody else goes away and comes back: the table is not lost by it. */
static void test_outage_is_survived(void **state)
{
    (void)state;
    use_own_network(6);
    net_grow(&net, 50, &(struct lp2p_kad_config){.server = true});
    for (unsigned i = 1; i < 50; i++) {
        net.nodes[i].manner = NET_DEAD;
    }
    uint8_t raw[32];
    random_key(raw);
    struct lp2p_span key = lp2p_span(raw, sizeof(raw));
    const struct net_result *result = net_wait(&net, 0, lp2p_kad_closest(net.nodes[0].kad, key, net.now));
    assert_int_equal(result->peers_len, 0);
    assert_int_equal(result->reason, LP2P_ENOTFOUND);
    for (unsigned i = 0; i < 5; i++) {
        net_wait(&net, 0, lp2p_kad_closest(net.nodes[0].kad, key, net.now));
        random_key(raw);
    }
    for (unsigned i = 1; i < 50; i++) {
        net.nodes[i].manner = NET_HONEST;
    }
    result = net_wait(&net, 0, lp2p_kad_closest(net.nodes[0].kad, key, net.now));
    assert_int_equal(result->reason, LP2P_OK);
    assert_true(found_truth(result, key, 0));
    net_fini(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closest_is_the_truth),
        cmocka_unit_test(test_find_peer_servers_and_clients),
        cmocka_unit_test(test_closest_with_loss_and_dead_nodes),
        cmocka_unit_test(test_closest_with_slow_liars),
        cmocka_unit_test(test_closest_takes_few_rounds),
        cmocka_unit_test(test_outage_is_survived),
        cmocka_unit_test(test_one_seed_is_one_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
