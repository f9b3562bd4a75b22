/* SPDX-License-Identifier: MIT
 * Round trips, counted in virtual time: from the wish to connect to a connection, and from there to the first bytes of an
 * application's stream. One way takes 10 to 12 ms here. */
#include "link_world.h"

#define LEAST_NS LP2P_MS(20) /* one round trip */
#define MOST_NS LP2P_MS(24)
#define SLACK_NS LP2P_MS(3) /* the test looks once in a millisecond */

static struct lp2p_secure_ops other_ops; /* Noise under another name */

struct plan {
    unsigned made; /* nodes so far */
    bool refuse;   /* the second node speaks only the other channel */
};

static void prepare(struct lp2p_context *ctx, struct lp2p_listener_arg *listener, void *arg)
{
    (void)listener;
    struct plan *plan = arg;
    const struct lp2p_security noise = {&lp2p_noise_secure, &ctx->noise}, other = {&other_ops, &ctx->noise};
    if (plan->refuse && plan->made == 1) {
        ctx->security[0] = other;
        ctx->security_len = 1;
    } else {
        ctx->security[0] = noise;
        ctx->security[1] = other;
        ctx->security_len = 2;
    }
    plan->made++;
}

static bool is_up(struct node *node, const void *arg)
{
    (void)arg;
    return node_look(node).links_up > 0;
}

static void assert_trips(uint64_t took_ns, unsigned trips)
{
    assert_in_range(took_ns, trips * LEAST_NS, trips * MOST_NS + SLACK_NS);
}

static struct world *new_world(struct plan *plan)
{
    struct world *world = world_new(WORLD_SIM);
    other_ops = lp2p_noise_secure;
    other_ops.protocol = "/other/1.0.0";
    world_prepare_nodes(world, prepare, plan);
    return world;
}

static uint64_t dial(struct world *world, struct node *from, struct node *to)
{
    lp2p_time since = world_now(world);
    (void)node_dial(from, node_addr(to), 1, &node_ctx(to)->self);
    assert_true(world_until(world, is_up, from, NULL));
    return world_now(world) - since;
}

/** TCP's own round trip, and one for everything else: the proposal and the first message of Noise leave together, and the muxer is
 * agreed inside of Noise. */
static void test_flights_of_a_dial(void **state)
{
    (void)state;
    struct plan plan = {0};
    struct world *world = new_world(&plan);
    struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
    assert_trips(dial(world, a, b), 2);
    world_free(world);
}

/** A side without the extension, as rust-libp2p: the muxer's negotiation takes one more. */
static void test_flights_without_early_muxer(void **state)
{
    (void)state;
    struct plan plan = {0};
    struct world *world = new_world(&plan);
    struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
    struct node *plain = world_node(world, &lp2p_yamux_ops);
    (void)b;
    assert_int_equal(node_ctx(plain)->noise.muxers_len, 0);
    assert_trips(dial(world, a, plain), 3);
    world_free(world);
}

/** Who refuses the first proposal takes what came with it for another one. The dialer finds the common channel all the same,
 * with a second connection. */
static void test_flights_of_a_refusal(void **state)
{
    (void)state;
    struct plan plan = {.refuse = true};
    struct world *world = new_world(&plan);
    struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
    unsigned done = 1;
    (void)dial(world, a, b);
    assert_int_equal(node_look(a).upgraded, 1);
    WAIT_FOR(world, at_least_failed_upgrades, b, 1);
    node_order(a, (struct order){{"/echo"}, .streams = 1, .bytes = 1000});
    assert_true(world_until(world, at_least_done, a, &done));
    world_free(world);
}

static bool has_bytes(struct node *node, const void *arg)
{
    (void)arg;
    return node_look(node).bytes_in > 0;
}

/** From the wish to connect to the first echoed byte, on a stream of a protocol that the peer is known to speak: one round trip
 * for TCP, one for Noise, one there and back. Without laziness the stream's own negotiation takes one more. */
static void test_flights_to_the_first_byte(void **state)
{
    (void)state;
    for (int lazy = 0; lazy < 2; lazy++) {
        struct plan plan = {0};
        struct world *world = new_world(&plan);
        struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
        unsigned done = 1;
        lp2p_time since = world_now(world);
        (void)dial(world, a, b);
        node_order(a, (struct order){{"/echo"}, .streams = 1, .bytes = 1000, .lazy = lazy});
        assert_true(world_until(world, has_bytes, a, NULL));
        assert_trips(world_now(world) - since, lazy ? 3 : 4);
        assert_true(world_until(world, at_least_done, a, &done)); /* the FIN that was held back came, too */
        assert_int_equal(node_look(a).mismatches, 0);
        world_free(world);
    }
}

/** What is not spoken after all ends as a reset, and only that stream. */
static void test_flights_of_a_lazy_stream_refused(void **state)
{
    (void)state;
    struct plan plan = {0};
    struct world *world = new_world(&plan);
    struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
    unsigned done = 1, resets = 3;
    (void)dial(world, a, b);
    node_order(a, (struct order){{"/nobody"}, .streams = 3, .bytes = 100000, .lazy = true});
    assert_true(world_until(world, at_least_resets, a, &resets));
    assert_int_equal(node_look(a).opened_out, 3);
    node_order(a, (struct order){{"/echo"}, .streams = 1, .bytes = 1000, .lazy = true});
    assert_true(world_until(world, at_least_done, a, &done));
    assert_true(world_until(world, no_stream_open, b, NULL));
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flights_of_a_dial),
        cmocka_unit_test(test_flights_without_early_muxer),
        cmocka_unit_test(test_flights_of_a_refusal),
        cmocka_unit_test(test_flights_to_the_first_byte),
        cmocka_unit_test(test_flights_of_a_lazy_stream_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
