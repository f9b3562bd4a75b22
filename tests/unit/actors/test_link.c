/* SPDX-License-Identifier: MIT
 * Two nodes from socket to stream, on threads and under virtual time: handshakes, echoes, half closes,
 * resets, limits, ends. */
#include "link_world.h"

#include "actors/link/limits.h"
#include "runtime/pool.h"

#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

struct pair {
    struct world *world;
    struct node *a, *b;
};

static struct pair connected(enum world_mode mode, const struct lp2p_mux_ops *mux)
{
    struct pair pair = {.world = world_new(mode)};
    pair.a = world_node(pair.world, mux);
    pair.b = world_node(pair.world, mux);
    node_connect(pair.a, pair.b);
    return pair;
}

static const enum world_mode modes[] = {WORLD_SIM, WORLD_THREADS, WORLD_SHARED_IO};
#define FOR_EACH_MODE(m) for (size_t m##_i = 0; m##_i < LP2P_ARRAY_LEN(modes); m##_i++)
#define MODE(m) modes[m##_i]

static void echo(struct pair pair, struct order order)
{
    struct record before = node_look(pair.a);
    node_order(pair.a, order);
    WAIT_FOR(pair.world, at_least_done, pair.a, before.done + order.streams);
    struct record after = node_look(pair.a);
    assert_int_equal(after.mismatches, 0);
    assert_int_equal(after.bytes_in - before.bytes_in, order.bytes * order.streams);
    assert_true(world_until(pair.world, no_stream_open, pair.a, NULL));
    assert_true(world_until(pair.world, no_stream_open, pair.b, NULL));
}

static void test_link_handshake_names_both_peers(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        struct pair pair = connected(MODE(mode), &lp2p_yamux_ops);
        struct record a = node_look(pair.a), b = node_look(pair.b);
        assert_true(lp2p_peer_id_eq(&a.peer, &node_ctx(pair.b)->self));
        assert_true(lp2p_peer_id_eq(&b.peer, &node_ctx(pair.a)->self));
        WAIT_FOR(pair.world, at_least_dials_ended, pair.a, 1);
        assert_int_equal(node_look(pair.a).dial_reason, LP2P_OK);
        assert_true(world_until(pair.world, no_upgrade_pending, pair.b, NULL));
        world_free(pair.world);
    }
}

static void test_link_muxer_inside_the_channel(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        struct world *world = world_new(MODE(mode));
        struct node *nodes[3];
        for (size_t i = 0; i < 3; i++) {
            nodes[i] = world_node(world, &lp2p_yamux_ops);
        }
        node_connect(nodes[0], nodes[2]); /* the third sends no list of muxers */
        echo((struct pair){world, nodes[0], nodes[2]},
             (struct order){{"/echo"}, .streams = 2, .bytes = 100000});
        node_connect(nodes[2], nodes[1]);
        echo((struct pair){world, nodes[2], nodes[1]},
             (struct order){{"/echo"}, .streams = 2, .bytes = 100000});
        world_free(world);
    }
}

static void test_link_echo(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        struct pair pair = connected(MODE(mode), &lp2p_yamux_ops);
        echo(pair, (struct order){{"/echo"}, .streams = 1, .bytes = 1 << 20});
        echo(pair, (struct order){{"/echo-resident"}, .streams = 1, .bytes = 1 << 20});
        echo(pair, (struct order){{"/echo"}, .streams = 1, .bytes = 0}); /* a half close and nothing else */
        echo(pair, (struct order){{"/echo"}, .streams = 1, .bytes = 5000, .piece = 1});
        echo(pair, (struct order){{"/unknown", "/echo"}, .streams = 1, .bytes = 100});
        echo(pair, (struct order){{"/echo"}, .streams = 100, .bytes = 30000});
        assert_int_equal(LP2P_READ(node_ctx(pair.a), streams_reset), 0);
        assert_int_equal(LP2P_READ(node_ctx(pair.a), streams_opened), 105);
        assert_int_equal(LP2P_READ(node_ctx(pair.b), streams_opened), 105);
        world_free(pair.world);
    }
}

static void test_link_echo_over_mplex(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        struct pair pair = connected(MODE(mode), &lp2p_mplex_ops);
        echo(pair, (struct order){{"/echo"}, .streams = 1, .bytes = 1 << 20});
        echo(pair, (struct order){{"/echo"}, .streams = 20, .bytes = 30000});
        world_free(pair.world);
    }
}

static void test_link_unknown_protocol_fails_with_a_text(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        struct pair pair = connected(MODE(mode), &lp2p_yamux_ops);
        node_order(pair.a, (struct order){{"/unknown"}, .streams = 3, .bytes = 10});
        WAIT_FOR(pair.world, at_least_open_failed, pair.a, 3);
        struct record record = node_look(pair.a);
        assert_int_equal(record.open_reason, LP2P_ENEGOTIATION);
        assert_non_null(strstr(record.open_text, "/unknown"));
        echo(pair, (struct order){{"/echo"}, .streams = 1, .bytes = 10});
        world_free(pair.world);
    }
}

static void test_link_abort_resets_one_stream(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        struct pair pair = connected(MODE(mode), &lp2p_yamux_ops);
        node_order(pair.a, (struct order){{"/abort"}, .streams = 1, .bytes = 10, .hold_open = true});
        WAIT_FOR(pair.world, at_least_resets, pair.a, 1);
        assert_int_equal(node_look(pair.a).reset_reason, LP2P_ERESET);
        echo(pair, (struct order){{"/echo"}, .streams = 1, .bytes = 10});
        world_free(pair.world);
    }
}

/** Refused before or after the answer reached the dialer. */
static bool at_least_lost(struct node *node, const void *arg)
{
    struct record record = node_look(node);
    return record.resets + record.open_failed >= *(const unsigned *)arg;
}

static void test_link_limit_of_one_protocol(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        struct pair pair = connected(MODE(mode), &lp2p_yamux_ops);
        node_order(pair.a, (struct order){{"/few"}, .streams = 5, .bytes = 10, .hold_open = true});
        WAIT_FOR(pair.world, at_least_lost, pair.a, 3);
        assert_int_equal(node_look(pair.b).opened_in, 2);
        assert_int_equal(LP2P_READ(node_ctx(pair.b), streams_refused), 3);
        world_free(pair.world);
    }
}

static void test_link_failed_owner_loses_only_its_streams(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        struct pair pair = connected(MODE(mode), &lp2p_yamux_ops);
        node_order(pair.a, (struct order){{"/stall"}, .streams = 1, .bytes = 100, .hold_open = true});
        WAIT_FOR(pair.world, at_least_opened_in, pair.b, 1);
        node_order(pair.a, (struct order){{"/fail"}, .streams = 1, .bytes = 100, .hold_open = true});
        WAIT_FOR(pair.world, at_least_resets, pair.a, 1);
        node_order(pair.a, (struct order){{"/echo"}, .streams = 1, .bytes = 100});
        WAIT_FOR(pair.world, at_least_done, pair.a, 1);
        assert_int_equal(node_look(pair.a).resets, 1);
        /* Its successor serves the same protocol, until the next byte. */
        node_order(pair.a, (struct order){{"/fail"}, .streams = 1, .bytes = 100, .hold_open = true});
        WAIT_FOR(pair.world, at_least_resets, pair.a, 2);
        world_free(pair.world);
    }
}

/** A reader that stands still stops the writer within the windows and buffers on the way; when it goes on,
 * all arrives. */
static void test_link_slow_reader_stops_the_writer(void **state)
{
    (void)state;
    const uint64_t total = 8u << 20;
    struct pair pair = connected(WORLD_SIM, &lp2p_yamux_ops);
    node_order(pair.a, (struct order){{"/stall"}, .streams = 1, .bytes = total});
    world_pass(pair.world, LP2P_SEC(20));
    struct record a = node_look(pair.a), b = node_look(pair.b);
    assert_in_range(b.bytes_in, 200000, 262144);
    assert_in_range(a.bytes_out, b.bytes_in, b.bytes_in + LP2P_STREAM_CREDIT);
    node_release(pair.b);
    for (int i = 0; i < 60 && node_look(pair.b).bytes_in < total; i++) {
        world_pass(pair.world, LP2P_SEC(1));
    }
    assert_int_equal(node_look(pair.b).bytes_in, total);
    assert_true(world_until(pair.world, no_stream_open, pair.b, NULL));
    world_free(pair.world);
}

static void with_swarm_key(struct lp2p_context *ctx, struct lp2p_listener_arg *listener, void *arg)
{
    (void)listener, (void)arg;
    ctx->config.has_swarm_key = true;
    memset(ctx->config.swarm_key.bytes, 7, sizeof(ctx->config.swarm_key.bytes));
}

/** A layer on the socket holds more than a slow line carries within the time limit for a standstill: it moves, and stays. */
static void test_link_slow_line_is_no_standstill(void **state)
{
    (void)state;
    const uint64_t total = 600000;
    struct pair pair = {.world = world_new(WORLD_SIM)};
    world_prepare_nodes(pair.world, with_swarm_key, NULL);
    pair.a = world_node(pair.world, &lp2p_mplex_ops);
    pair.b = world_node(pair.world, &lp2p_mplex_ops);
    node_connect(pair.a, pair.b);
    world_slow(pair.world, 4000);
    node_order(pair.a, (struct order){{"/sink"}, .streams = 1, .bytes = total});
    for (int s = 0; s < 170 && node_look(pair.b).bytes_in < total; s++) {
        world_pass(pair.world, LP2P_SEC(1));
    }
    assert_int_equal(node_look(pair.a).links_ended, 0);
    assert_int_equal(node_look(pair.b).bytes_in, total);
    world_free(pair.world);
}

/** Each word of credit may wake a thread of the owner: while bytes of it still wait they are few. The last
 * bytes before an end, and an empty queue, are told at once. */
static void test_link_credit_comes_in_few_words(void **state)
{
    (void)state;
    const unsigned streams = 16;
    const uint64_t bytes = 2u << 20;
    struct pair pair = connected(WORLD_SIM, &lp2p_yamux_ops);
    echo(pair, (struct order){{"/echo"}, .streams = streams, .bytes = bytes});
    assert_in_range(node_look(pair.a).credits, streams, streams * (bytes / (100u * 1024) + 1));
    world_free(pair.world);
}

/** Runs of one stream are told in one word, also where a read ends inside them. */
static void test_link_data_comes_in_few_words(void **state)
{
    (void)state;
    const unsigned streams = 16;
    const uint64_t bytes = 2u << 20;
    struct pair pair = connected(WORLD_SIM, &lp2p_yamux_ops);
    node_order(pair.a, (struct order){{"/sink"}, .streams = streams, .bytes = bytes});
    for (int i = 0; i < 60 && node_look(pair.b).bytes_in < bytes * streams; i++) {
        world_pass(pair.world, LP2P_MS(100));
    }
    assert_int_equal(node_look(pair.b).bytes_in, bytes * streams);
    assert_in_range(node_look(pair.b).pieces, streams, streams * (bytes / (75u * 1024)));
    world_free(pair.world);
}

/** The socket of one node: it gives nothing until it can fill all reads of a turn, and says that nothing more is there after
 * them, until the test lets it go on. It counts the plaintext of the frames that it let through whole. */
static struct {
    struct lp2p_net real;
    pthread_mutex_t lock;
    bool armed, shut;
    unsigned full;
    uint8_t head[2];
    size_t head_len, body_left, frame;
    uint64_t plain_bytes;
} valve = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void valve_count(const uint8_t *at, size_t len)
{
    while (len > 0) {
        if (valve.body_left == 0) {
            valve.head[valve.head_len++] = *at++;
            len--;
            if (valve.head_len == 2) {
                valve.head_len = 0;
                valve.body_left = (size_t)valve.head[0] << 8 | valve.head[1];
                valve.frame = valve.body_left - 16;
            }
            continue;
        }
        size_t part = LP2P_MIN(len, valve.body_left);
        at += part;
        len -= part;
        valve.body_left -= part;
        valve.plain_bytes += valve.body_left == 0 ? valve.frame : 0;
    }
}

/** The kernel has what a whole turn reads. Its buffer is made large enough for that. */
static bool valve_may_open(int fd)
{
    const int room = 512 * 1024;
    int there = 0;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
    assert_int_equal(ioctl(fd, FIONREAD, &there), 0);
    return (size_t)there >= (size_t)LP2P_CONN_READS_MAX * LP2P_POOL_BUF_MAX;
}

static enum lp2p_err valve_read(void *ctx, int fd, void *out, size_t len, size_t *got)
{
    pthread_mutex_lock(&valve.lock);
    enum lp2p_err err = LP2P_EAGAIN;
    *got = 0;
    if (!valve.shut && (!valve.armed || valve.full > 0 || valve_may_open(fd))) {
        err = valve.real.read(ctx, fd, out, len, got);
    }
    if (err == LP2P_OK && valve.armed) {
        valve_count(out, *got);
        valve.full = *got == len ? valve.full + 1 : 0;
        valve.shut = valve.full == LP2P_CONN_READS_MAX;
    }
    pthread_mutex_unlock(&valve.lock);
    return err;
}

static void add_valve(struct lp2p_net *net, void *arg)
{
    (void)arg;
    valve.real = *net;
    net->read = valve_read;
}

static void valve_turn(bool armed, bool shut)
{
    pthread_mutex_lock(&valve.lock);
    valve.armed = armed;
    valve.shut = shut;
    valve.full = 0;
    pthread_mutex_unlock(&valve.lock);
}

static bool valve_is_shut(struct node *node, const void *arg)
{
    (void)node, (void)arg;
    pthread_mutex_lock(&valve.lock);
    bool shut = valve.shut;
    pthread_mutex_unlock(&valve.lock);
    return shut;
}

static bool at_least_bytes(struct node *node, const void *arg)
{
    return node_look(node).bytes_in >= *(const uint64_t *)arg;
}

/** What waits for the next read of bulk does not wait for ever: a whole read may have been the last. */
static void test_link_data_does_not_wait_for_a_read(void **state)
{
    (void)state;
    const uint64_t bytes = 4u << 20, total = 2 * bytes; /* two windows hold more than a turn reads, one may not */
    struct pair pair = {.world = world_new(WORLD_SHARED_IO)};
    pair.a = world_node(pair.world, &lp2p_yamux_ops);
    pair.b = world_node_with(pair.world, &lp2p_yamux_ops, add_valve, NULL);
    node_connect(pair.a, pair.b);
    valve_turn(true, true);
    node_order(pair.a, (struct order){{"/sink"}, .streams = 2, .bytes = bytes, .lazy = true});
    for (int i = 0; i < 8; i++) {
        valve_turn(true, false);
        assert_true(world_until(pair.world, valve_is_shut, pair.b, NULL));
        pthread_mutex_lock(&valve.lock);
        uint64_t expected = valve.plain_bytes - LP2P_MIN(valve.plain_bytes, (uint64_t)4096); /* headers */
        pthread_mutex_unlock(&valve.lock);
        assert_true(world_until(pair.world, at_least_bytes, pair.b, &expected));
    }
    valve_turn(false, false);
    assert_true(world_until(pair.world, at_least_bytes, pair.b, &total));
    world_free(pair.world);
}

static void test_link_close_says_goodbye(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        struct pair pair = connected(MODE(mode), &lp2p_yamux_ops);
        node_order(pair.a, (struct order){{"/stall"}, .streams = 4, .bytes = 10, .hold_open = true});
        WAIT_FOR(pair.world, at_least_opened_out, pair.a, 4);
        node_close_link(pair.a, LP2P_ETRIMMED);
        WAIT_FOR(pair.world, at_least_links_ended, pair.a, 1);
        WAIT_FOR(pair.world, at_least_links_ended, pair.b, 1);
        WAIT_FOR(pair.world, at_least_resets, pair.a, 4);
        WAIT_FOR(pair.world, at_least_resets, pair.b, 4);
        assert_int_equal(node_look(pair.a).link_reason, LP2P_ETRIMMED);
        assert_int_equal(node_look(pair.b).link_reason, LP2P_EEOF); /* a go-away, not a broken socket */
        assert_int_equal(node_look(pair.a).reset_reason, LP2P_ETRIMMED);
        world_free(pair.world);
    }
}

static void test_link_failed_connection_ends_the_pair(void **state)
{
    (void)state;
    FOR_EACH_MODE(mode)
    {
        for (int which = 0; which < 2; which++) {
            struct pair pair = connected(MODE(mode), &lp2p_yamux_ops);
            node_order(pair.a, (struct order){{"/stall"}, .streams = 2, .bytes = 10, .hold_open = true});
            WAIT_FOR(pair.world, at_least_opened_out, pair.a, 2);
            struct record a = node_look(pair.a);
            node_fail(pair.a, which == 0 ? a.connection : a.muxer);
            WAIT_FOR(pair.world, at_least_links_ended, pair.a, 1);
            WAIT_FOR(pair.world, at_least_links_ended, pair.b, 1);
            WAIT_FOR(pair.world, at_least_resets, pair.a, 2);
            WAIT_FOR(pair.world, at_least_resets, pair.b, 2);
            node_connect(pair.a, pair.b);
            echo(pair, (struct order){{"/echo"}, .streams = 1, .bytes = 1000});
            world_free(pair.world);
        }
    }
}

static void test_link_status_counts_streams(void **state)
{
    (void)state;
    struct pair pair = connected(WORLD_SIM, &lp2p_yamux_ops);
    node_order(pair.a, (struct order){{"/stall"}, .streams = 3, .bytes = 10, .hold_open = true});
    world_pass(pair.world, LP2P_SEC(3));
    assert_int_equal(node_look(pair.a).status_streams, 3);
    assert_int_equal(node_look(pair.b).status_streams, 3);
    node_order(pair.a, (struct order){{"/echo"}, .streams = 1, .bytes = 10});
    world_pass(pair.world, LP2P_SEC(3));
    assert_int_equal(node_look(pair.a).status_streams, 3);
    world_free(pair.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_handshake_names_both_peers),
        cmocka_unit_test(test_link_muxer_inside_the_channel),
        cmocka_unit_test(test_link_echo),
        cmocka_unit_test(test_link_echo_over_mplex),
        cmocka_unit_test(test_link_unknown_protocol_fails_with_a_text),
        cmocka_unit_test(test_link_abort_resets_one_stream),
        cmocka_unit_test(test_link_limit_of_one_protocol),
        cmocka_unit_test(test_link_failed_owner_loses_only_its_streams),
        cmocka_unit_test(test_link_slow_reader_stops_the_writer),
        cmocka_unit_test(test_link_slow_line_is_no_standstill),
        cmocka_unit_test(test_link_credit_comes_in_few_words),
        cmocka_unit_test(test_link_data_comes_in_few_words),
        cmocka_unit_test(test_link_data_does_not_wait_for_a_read),
        cmocka_unit_test(test_link_close_says_goodbye),
        cmocka_unit_test(test_link_failed_connection_ends_the_pair),
        cmocka_unit_test(test_link_status_counts_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
