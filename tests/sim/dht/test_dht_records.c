/* SPDX-License-Identifier: MIT
 * Values and provider records in a simulated network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "net.h"

#include "base/check.h"

#define SERVERS 120u
#define K 20u
#define HOUR LP2P_SEC(3600)

static struct net net;

/* Values "N" are numbers; the larger one is better. */
static enum lp2p_err validate_number(void *ctx, struct lp2p_span key, struct lp2p_span value)
{
    (void)ctx;
    (void)key;
    return value.len == 1 && value.ptr[0] >= '0' && value.ptr[0] <= '9' ? LP2P_OK : LP2P_EBADRECORD;
}

static bool better_number(void *ctx, struct lp2p_span key, struct lp2p_span a, struct lp2p_span b)
{
    (void)ctx;
    (void)key;
    return a.ptr[0] > b.ptr[0];
}

static const struct lp2p_kad_validator number = {"number", validate_number, better_number, NULL};

/* The shortest refresh that the tests need is none: time may then jump over days. */
static const struct lp2p_kad_config server = {
    .server = true, .refresh_interval_ns = LP2P_NEVER, .validators = &number, .validators_len = 1};
static const struct lp2p_kad_config client = {
    .refresh_interval_ns = LP2P_NEVER, .validators = &number, .validators_len = 1};

static int setup(void **state)
{
    (void)state;
    net_init(&net, 9);
    net_grow(&net, SERVERS, &server);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    net_fini(&net);
    return 0;
}

static const struct net_result *put(unsigned node, const char *key, const char *value)
{
    return net_wait(
        &net, node,
        lp2p_kad_put(net.nodes[node].kad, lp2p_span_str(key), lp2p_span_str(value), net.now, net_wall(&net)));
}

static const struct net_result *get(unsigned node, const char *key, unsigned quorum)
{
    return net_wait(&net, node,
                    lp2p_kad_get(net.nodes[node].kad, lp2p_span_str(key), quorum, net.now, net_wall(&net)));
}

static void assert_value(const struct net_result *result, const char *value)
{
    assert_int_equal(result->reason, LP2P_OK);
    assert_int_equal(result->value_len, strlen(value));
    assert_memory_equal(result->value, value, strlen(value));
}

static size_t holders(void)
{
    size_t count = 0;
    for (unsigned i = 0; i < net.nodes_len; i++) {
        struct lp2p_kad_stats stats;
        lp2p_kad_stats_get(net.nodes[i].kad, &stats);
        count += stats.records;
    }
    return count;
}

static void test_put_then_get_elsewhere(void **state)
{
    (void)state;
    const struct net_result *result = put(3, "resource:session:one", "{\"a\":1}");
    assert_int_equal(result->reason, LP2P_OK);
    assert_int_equal(result->peers_len, K);
    unsigned truth[K];
    net_truth(&net, lp2p_span_str("resource:session:one"), 3, truth, K);
    assert_memory_equal(result->peers, truth,
                        sizeof(truth)); /* stored at the k closest, and told in that order */
    assert_int_equal(holders(), K + 1);
    assert_value(get(77, "resource:session:one", 0), "{\"a\":1}");
    net.nodes[3].manner = NET_DEAD; /* its copy is not needed */
    assert_value(get(50, "resource:session:one", 1), "{\"a\":1}");
    assert_value(get(51, "resource:session:one", 3), "{\"a\":1}");
    result = get(52, "resource:session:two", 0);
    assert_int_equal(result->reason, LP2P_ENOTFOUND);
    assert_int_equal(result->value_len, 0);
}

static void test_value_lives_48_hours(void **state)
{
    (void)state;
    put(3, "note", "hello");
    net_run(&net, 47 * HOUR);
    assert_value(get(60, "note", 1), "hello");
    net_run(&net, HOUR);
    assert_int_equal(get(61, "note", 0)->reason, LP2P_ENOTFOUND);
    net_run(&net, LP2P_SEC(120));
    assert_int_equal(holders(), 0);
}

/* A peer that returned no value or a worse one gets the best one after the get. */
static void test_get_corrects_the_others(void **state)
{
    (void)state;
    put(4, "/number/x", "3");
    unsigned truth[K];
    net_truth(&net, lp2p_span_str("/number/x"), NET_NODES_MAX, truth, K);
    uint64_t alone = lp2p_kad_put(net.nodes[truth[2]].kad, lp2p_span_str("/number/x"), lp2p_span_str("7"),
                                  net.now, net_wall(&net)); /* stays at this one node: */
    lp2p_kad_cancel(net.nodes[truth[2]].kad, alone);
    net_pump(&net, truth[2]);
    unsigned asker = 0;
    while (asker == 4 || asker == truth[2]) {
        asker++;
    }
    assert_value(get(asker, "/number/x", 0), "7");
    net_run(&net, LP2P_SEC(20));
    net.nodes[truth[2]].manner = NET_DEAD;
    unsigned seven = 0;
    for (unsigned i = 0; i < K; i++) {
        uint64_t query = lp2p_kad_get(net.nodes[truth[i]].kad, lp2p_span_str("/number/x"), 1, net.now, 0);
        const struct net_result *result = net_wait(&net, truth[i], query); /* from its own store */
        seven += result->sent == 0 && result->value_len == 1 && result->value[0] == '7';
    }
    assert_true(seven >= K - 1);
}

static void test_put_is_validated(void **state)
{
    (void)state;
    assert_int_equal(put(4, "/number/x", "none")->reason, LP2P_EBADRECORD);
    assert_int_equal(put(4, "/unheard/x", "1")->reason, LP2P_EBADRECORD);
    assert_int_equal(holders(), 0);
    assert_int_equal(put(4, "/number/x", "5")->reason, LP2P_OK);
    assert_int_equal(put(4, "/number/x", "4")->reason, LP2P_EEXIST);
    /* Another node does not know of the 5; the servers do, and refuse. */
    unsigned other = 9;
    unsigned truth[K];
    net_truth(&net, lp2p_span_str("/number/x"), 4, truth, K);
    for (unsigned i = 0; i < K; i++) {
        other += truth[i] == other || other == 4;
    }
    struct lp2p_kad_stats before;
    lp2p_kad_stats_get(net.nodes[other].kad, &before);
    if (before.records == 0) {
        const struct net_result *result = put(other, "/number/x", "4");
        assert_int_equal(result->reason, LP2P_EQUORUM);
        assert_int_equal(result->peers_len, 0);
        struct lp2p_kad_stats after;
        lp2p_kad_stats_get(net.nodes[other].kad, &after);
        assert_int_equal(after.table_peers,
                         before.table_peers); /* refusing a value is no failure of the peer */
    }
}

static void test_provide_then_find(void **state)
{
    (void)state;
    uint8_t key[34] = {0x12, 0x20, 1, 2, 3};
    struct lp2p_span multihash = lp2p_span(key, sizeof(key));
    for (unsigned node = 10; node < 15; node++) {
        const struct net_result *result = net_wait(
            &net, node, lp2p_kad_provide(net.nodes[node].kad, multihash, &net.nodes[node].self, net.now));
        assert_int_equal(result->reason, LP2P_OK);
        assert_int_equal(result->peers_len, K);
    }
    net_run(&net, LP2P_SEC(2));
    const struct net_result *result =
        net_wait(&net, 99, lp2p_kad_find_providers(net.nodes[99].kad, multihash, 0, net.now));
    assert_int_equal(result->reason, LP2P_OK);
    assert_int_equal(result->peers_len, 5);
    assert_int_equal(result->providers_len, 5);
    unsigned seen = 0;
    for (unsigned i = 0; i < 5; i++) {
        assert_in_range(result->peers[i], 10, 14);
        seen |= 1u << (result->peers[i] - 10);
    }
    assert_int_equal(seen, 31);
    result = net_wait(&net, 98, lp2p_kad_find_providers(net.nodes[98].kad, multihash, 2, net.now));
    assert_int_equal(result->peers_len, 2);
    net_run(&net, 48 * HOUR);
    result = net_wait(&net, 97, lp2p_kad_find_providers(net.nodes[97].kad, multihash, 0, net.now));
    assert_int_equal(result->reason, LP2P_ENOTFOUND);
    assert_int_equal(result->peers_len, 0);
}

/* A client asks and stores like anybody, but serves nobody and comes into no table. */
static void test_client_mode(void **state)
{
    (void)state;
    unsigned me = net_add(&net, &client);
    for (unsigned i = 0; i < 3; i++) {
        net_introduce(&net, me, i);
    }
    assert_int_equal(put(me, "from a client", "v")->reason, LP2P_OK);
    assert_value(get(33, "from a client", 0), "v");
    uint8_t out[1024];
    size_t len = 1;
    static const uint8_t ping[] = {0x08, 0x05};
    assert_int_equal(lp2p_kad_serve(net.nodes[me].kad, &net.nodes[0].self.id, lp2p_span(ping, sizeof(ping)),
                                    net.now, 0, out, sizeof(out), &len),
                     LP2P_EUNSUPPORTED);
    assert_int_equal(len, 0);
    assert_int_equal(net.nodes[me].served, 0);
    unsigned lonely = net_add(&net, &client);
    const struct net_result *result = put(lonely, "k", "v");
    assert_int_equal(result->reason, LP2P_EQUORUM);
    unsigned only = net_add(&net, &server);
    result = put(only, "k", "v");
    assert_int_equal(result->reason, LP2P_OK); /* a server that knows nobody is the whole network */
    assert_int_equal(result->peers_len, 0);
    assert_value(get(only, "k", 0), "v");
}

/* Under loss and with bad nodes every query still ends once, and nearly all find what is there. */
static void test_records_survive_a_bad_network(void **state)
{
    (void)state;
    for (unsigned i = 10; i < SERVERS; i++) {
        unsigned roll = (unsigned)lp2p_rand_below(&net.rand, 100);
        net.nodes[i].manner = roll < 15   ? NET_DEAD
                              : roll < 20 ? NET_GARBAGE
                              : roll < 25 ? NET_MUTE
                                          : NET_HONEST;
    }
    net.loss_percent = 3;
    unsigned found = 0;
    for (unsigned i = 0; i < 20; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key %u", i);
        assert_int_equal(put(i % 10, key, key)->reason, LP2P_OK);
        const struct net_result *result = get((i + 3) % 10, key, 0);
        found += result->reason == LP2P_OK && result->value_len == strlen(key) &&
                 memcmp(result->value, key, strlen(key)) == 0;
    }
    assert_int_equal(found, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_then_get_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_value_lives_48_hours, setup, teardown),
        cmocka_unit_test_setup_teardown(test_get_corrects_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_is_validated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_provide_then_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records_survive_a_bad_network, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
