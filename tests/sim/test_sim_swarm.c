/* SPDX-License-Identifier: MIT
 * The swarm among whole nodes in virtual time: who waits is served, who is rude is left alone for a while, what others tell
 * of a peer is heard when the peer itself is not there to tell, and a broadcast does not knock where nobody opens. */
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
#define SEEDS 64

struct world {
    struct simnet *net;
    struct simhost *hosts[HOSTS];
    struct lp2p_node *nodes[HOSTS];
    struct lp2p_tree *trees[HOSTS];
    struct lp2p_rt *rts[HOSTS];
};

static void start_node(struct world *world, unsigned i, struct lp2p_rand *rand, uint64_t seed, const char *bootstrap)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_private_key key;
    uint8_t bytes[68];
    char text[64], detail[LP2P_DETAIL_MAX] = "", failed[64] = "";
    lp2p_private_key_generate(rand, &key);
    size_t len = 0;
    assert_int_equal(lp2p_private_key_encode(&key, bytes, sizeof(bytes), &len), LP2P_OK);
    assert_int_equal(lp2p_config_key(config, bytes, sizeof(bytes)), LP2P_OK);
    (void)snprintf(text, sizeof(text), "/ip4/10.0.0.%u/tcp/%d", i + 1, PORT);
    assert_int_equal(lp2p_config_listen(config, text), LP2P_OK);
    assert_int_equal(lp2p_config_connections(config, bootstrap != NULL ? 1 : 0, 8), LP2P_OK);
    assert_int_equal(lp2p_config_dht(config, "off", NULL), LP2P_OK);
    if (bootstrap != NULL) {
        assert_int_equal(lp2p_config_bootstrap(config, bootstrap), LP2P_OK);
    }
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

/** Node 1 knows nobody; node 0 has it as its bootstrap peer, if that is wanted. */
static struct world *world_start(uint64_t seed, bool bootstrap)
{
    struct world *world = calloc(1, sizeof(*world));
    struct lp2p_rand_seeded gen;
    char text[LP2P_ADDR_TEXT_MAX];
    lp2p_rand_seeded_init(&gen, seed);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    world->net = simnet_new(seed, LP2P_MS(20), LP2P_MS(10));
    start_node(world, 1, &rand, seed, NULL);
    (void)snprintf(text, sizeof(text), "/ip4/10.0.0.2/tcp/%d/p2p/%s", PORT, lp2p_node_peer_id(world->nodes[1]));
    start_node(world, 0, &rand, seed, bootstrap ? text : NULL);
    if (!bootstrap) {
        run_ms(world, 2000);
    }
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

static struct lp2p_multiaddr address(uint8_t c, uint8_t d)
{
    const uint8_t ip[4] = {10, 0, c, d};
    struct lp2p_multiaddr addr;
    lp2p_multiaddr_from_ip_tcp(ip, 4, PORT, &addr);
    return addr;
}

static struct lp2p_op *connect_to(struct world *world, unsigned from, unsigned to)
{
    struct lp2p_m_connect *m = LP2P_NEW(CONNECT, connect);
    struct lp2p_multiaddr addr = address(0, (uint8_t)(to + 1));
    struct lp2p_op *op = lp2p_op_new(NULL);
    m->peer = world->nodes[to]->ctx.self;
    m->addrs = lp2p_addrs_new(&addr, 1);
    m->op = lp2p_op_ref(op);
    post(world, from, &m->msg);
    return op;
}

static void disconnect(struct world *world, unsigned from, unsigned to)
{
    struct lp2p_m_disconnect *m = LP2P_NEW(DISCONNECT, disconnect);
    m->peer = world->nodes[to]->ctx.self;
    m->op = lp2p_op_new(NULL);
    post(world, from, &m->msg);
}

static void expect_ok(struct lp2p_op *op)
{
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    lp2p_op_drop(&op);
}

static unsigned connections(const struct world *world, unsigned i)
{
    return (unsigned)LP2P_READ(&world->nodes[i]->ctx, connections);
}

/** Whether node 0 knows that address of node 1. */
static bool knows(struct world *world, const struct lp2p_multiaddr *addr)
{
    struct lp2p_m_list_peers *m = LP2P_NEW(LIST_PEERS, list_peers);
    struct lp2p_op *op = lp2p_op_new(NULL);
    size_t len = 0;
    bool found = false;
    m->peer = world->nodes[1]->ctx.self;
    m->op = lp2p_op_ref(op);
    post(world, 0, &m->msg);
    run_ms(world, 10);
    struct lp2p_peer_info *const *infos = lp2p_op_infos(op, &len);
    for (size_t i = 0; i < len; i++) {
        found = found || lp2p_addrs_have(infos[i]->addrs, addr);
    }
    lp2p_op_drop(&op);
    return found;
}

static void gossip(struct world *world, const struct lp2p_multiaddr *addr)
{
    struct lp2p_m_peer_found *m = LP2P_NEW(PEER_FOUND, peer_found);
    m->peer = world->nodes[1]->ctx.self;
    m->addrs = lp2p_addrs_new(addr, 1);
    post(world, 0, &m->msg);
    run_ms(world, 10);
}

/** A connected peer speaks for itself; of one that has gone others may know where it is now. */
static void test_sim_swarm_hears_of_a_peer_that_moved(void **state)
{
    (void)state;
    struct world *world = world_start(3, false);
    struct lp2p_multiaddr lie = address(9, 1), moved = address(9, 2);
    struct lp2p_op *op = connect_to(world, 0, 1);
    run_ms(world, 3000);
    expect_ok(op);
    gossip(world, &lie);
    assert_false(knows(world, &lie));
    disconnect(world, 0, 1);
    run_ms(world, 3000);
    assert_int_equal(connections(world, 0), 0);
    gossip(world, &moved);
    assert_true(knows(world, &moved));
    world_stop(world);
}

/** A peer that takes each connection and ends it at once is not knocked at without a pause. */
static void test_sim_swarm_leaves_alone_who_hangs_up(void **state)
{
    (void)state;
    struct world *world = world_start(4, true);
    for (int i = 0; i < 1200; i++) { /* two minutes */
        run_ms(world, 100);
        disconnect(world, 1, 0);
    }
    assert_in_range(LP2P_READ(&world->nodes[0]->ctx, dials), 4, 12);
    run_ms(world, 400000); /* and is a peer again when it has come to its senses */
    assert_int_equal(connections(world, 0), 1);
    world_stop(world);
}

/** A connection that served for a while may be renewed at once. */
static void test_sim_swarm_renews_what_was_good(void **state)
{
    (void)state;
    struct world *world = world_start(5, true);
    for (int i = 0; i < 5; i++) {
        run_ms(world, 120000);
        assert_int_equal(connections(world, 0), 1);
        disconnect(world, 1, 0);
        run_ms(world, 3000);
        assert_int_equal(connections(world, 0), 1);
    }
    world_stop(world);
}

static void open_internally(struct world *world, bool internal)
{
    struct lp2p_m_peer_stream_open *m = LP2P_NEW(PEER_STREAM_OPEN, peer_stream_open);
    m->peer = world->nodes[1]->ctx.self;
    m->internal = internal;
    m->resident = LP2P_RESIDENT_STREAMS;
    m->op = lp2p_op_new(NULL);
    m->protocols_len = 1;
    (void)snprintf(m->protocols[0], sizeof(m->protocols[0]), "/nothing");
    post(world, 0, &m->msg);
}

/** Who wants to be rid of a peer is rid of it, whatever the DHT would like to ask it at that moment; unless the user does. */
static void test_sim_swarm_disconnect_is_for_good(void **state)
{
    (void)state;
    for (int user = 0; user < 2; user++) {
        struct world *world = world_start(6, false);
        struct lp2p_op *op = connect_to(world, 0, 1);
        run_ms(world, 3000);
        expect_ok(op);
        disconnect(world, 0, 1);
        open_internally(world, user == 0);
        run_ms(world, 5000);
        assert_int_equal(connections(world, 0), user);
        world_stop(world);
    }
}

static void link_status(struct world *world, uint64_t conn, unsigned streams)
{
    struct lp2p_m_link_status *m = LP2P_NEW(LINK_STATUS, link_status);
    m->conn = conn;
    m->streams = streams;
    post(world, 0, &m->msg);
}

static void link_ended(struct world *world, uint64_t conn)
{
    struct lp2p_m_link_ended *m = LP2P_NEW(LINK_ENDED, link_ended);
    m->conn = conn;
    m->reason = LP2P_ECONNRESET;
    post(world, 0, &m->msg);
}

/** Two connections to one peer: who asks while the second is being identified, and sees it end, has the first one. */
static bool served_beside_another(uint64_t seed, unsigned after_ms)
{
    struct world *world = world_start(seed, false);
    struct lp2p_op *a = connect_to(world, 0, 1), *b = connect_to(world, 1, 0), *late = NULL;
    bool twice = false;
    for (int i = 0; i < 500 && !twice; i++) {
        run_ms(world, 1);
        twice = connections(world, 0) == 2;
    }
    if (twice) {
        run_ms(world, after_ms);
        link_status(world, 1, 5); /* busy: the second one is preferred */
        late = connect_to(world, 0, 1);
        run_ms(world, 1); /* the end travels on the faster lane */
        link_ended(world, 2);
        run_ms(world, 3000);
        expect_ok(late);
    }
    run_ms(world, 5000);
    expect_ok(a);
    expect_ok(b);
    world_stop(world);
    return twice;
}

static void test_sim_swarm_serves_by_another_link(void **state)
{
    (void)state;
    unsigned doubles = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        for (unsigned ms = 0; ms < 160; ms += 5) {
            doubles += served_beside_another(seed, ms);
        }
    }
    assert_true(doubles > 20);
}

/** A message from node 0 to node 1 by a protocol that node 1 does not speak. */
static void send_in_vain(struct world *world, bool broadcast)
{
    static const char json[] = "{\"type\":\"t\",\"from\":\"f\",\"timestamp\":1,\"messageId\":\"1\"}";
    struct lp2p_context *ctx = &world->nodes[0]->ctx;
    struct lp2p_m_message_send *m = LP2P_NEW(MESSAGE_SEND, message_send);
    m->json = lp2p_slice_copy(json, sizeof(json) - 1);
    m->op = lp2p_op_new(NULL);
    (void)snprintf(m->stream_protocol, sizeof(m->stream_protocol), "/nothing/1.0.0");
    if (broadcast) {
        m->peers = calloc(1, sizeof(*m->peers));
        m->peers[m->peers_len++] = lp2p_peer_info_new();
        m->peers[0]->id = world->nodes[1]->ctx.self;
    } else {
        m->peer = world->nodes[1]->ctx.self;
    }
    struct lp2p_msg *msg = &m->msg;
    assert_int_equal(lp2p_post(world->rts[0], lp2p_names(ctx)->messages, &msg), LP2P_OK);
}

/** Node 1 hangs up on who opens hundreds of streams in vain; a broadcast leaves it out. The control: messages that ask it. */
static void test_sim_swarm_broadcasts_do_not_knock_in_vain(void **state)
{
    (void)state;
    for (int broadcast = 0; broadcast < 2; broadcast++) {
        struct world *world = world_start(7, false);
        struct lp2p_op *op = connect_to(world, 0, 1);
        run_ms(world, 3000);
        expect_ok(op);
        for (int i = 0; i < 400; i++) {
            send_in_vain(world, broadcast);
        }
        run_ms(world, 3000);
        assert_int_equal(LP2P_READ(&world->nodes[1]->ctx, connections_closed) > 0, !broadcast);
        assert_int_equal(LP2P_READ(&world->nodes[1]->ctx, streams_refused) > 0, !broadcast);
        assert_int_equal(LP2P_READ(&world->nodes[0]->ctx, messages_left_out), broadcast ? 400 : 0);
        world_stop(world);
    }
}

/* ---- who ends with unread mail */

/** Node 0's actor of that kind, its generation included, and how much waits in its mailbox; slot 0: there is none. */
static struct lp2p_ref find_kind(struct world *world, const char *kind, unsigned *depth)
{
    struct lp2p_actor_stats stats[64];
    size_t len = LP2P_MIN(lp2p_rt_snapshot(world->rts[0], stats, LP2P_ARRAY_LEN(stats)), LP2P_ARRAY_LEN(stats));
    for (size_t i = 0; i < len; i++) {
        if (strcmp(stats[i].kind, kind) == 0) {
            *depth = stats[i].depth;
            return stats[i].ref;
        }
    }
    *depth = 0;
    return LP2P_REF_NONE;
}

static struct lp2p_op *send_message(struct world *world)
{
    struct lp2p_m_message_send *m = LP2P_NEW(MESSAGE_SEND, message_send);
    struct lp2p_op *op = lp2p_op_new(NULL);
    m->peer = world->nodes[1]->ctx.self;
    m->json = lp2p_slice_copy("{}", 2);
    m->op = lp2p_op_ref(op);
    struct lp2p_msg *msg = &m->msg;
    assert_int_equal(lp2p_post(world->rts[0], lp2p_names(&world->nodes[0]->ctx)->messages, &msg), LP2P_OK);
    return op;
}

/** Lets one actor of node 0 fail as soon as it has mail: it reads none of it any more. */
static void fail_with_mail(struct world *world, const char *kind)
{
    unsigned depth = 0;
    struct lp2p_ref who = find_kind(world, kind, &depth);
    for (unsigned step = 0; depth == 0; step++) {
        assert_true(step < 1000);
        if (!lp2p_sim_step(world->rts[0], lp2p_sim_now(world->rts[0]))) {
            run_ms(world, 1);
        }
        who = find_kind(world, kind, &depth);
    }
    assert_int_equal(lp2p_rt_fail(world->rts[0], who), LP2P_OK);
}

struct dead {
    const char *kind;
    bool connected;       /* before the message is sent */
    enum lp2p_err result; /* what who sent it is told, unless it went well */
    const char *text;
};

/** A message is sent, and an actor on its way ends with the request for its stream in the mailbox. */
static void send_through(struct world *world, const struct dead *dead, unsigned *told)
{
    struct lp2p_op *op = connect_to(world, 0, 1);
    run_ms(world, 12000); /* and failures before are forgotten */
    expect_ok(op);
    if (!dead->connected) {
        disconnect(world, 0, 1);
        run_ms(world, 3000);
    }
    op = send_message(world);
    fail_with_mail(world, dead->kind);
    run_ms(world, 3000);
    assert_true(lp2p_op_done(op)); /* not after the 45 seconds of somebody's patience */
    if (lp2p_op_result(op) == dead->result) {
        assert_non_null(strstr(lp2p_op_detail(op), dead->text));
        (*told)++;
    } else {
        assert_int_equal(lp2p_op_result(op), LP2P_OK); /* other mail was there first */
    }
    lp2p_op_drop(&op);
}

static void test_sim_swarm_tells_of_what_the_dead_left_unread(void **state)
{
    (void)state;
    static const struct dead dead[] = {
        {"muxer", true, LP2P_ENOCONN, "the connection ended before the stream was opened"},
        {"swarm", true, LP2P_ECLOSED, "the swarm ended"},
        {"dialer", false, LP2P_EFAILED, "the dialer ended"},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(dead); i++) {
        unsigned told = 0;
        struct world *world = world_start(20 + i, false);
        for (unsigned round = 0; round < 8; round++) {
            send_through(world, &dead[i], &told);
        }
        assert_true(told > 0);
        world_stop(world);
    }
}

/** What names the parts of a node to each other is not lost with the swarm that did not read it. */
static void test_sim_swarm_hears_what_its_predecessor_did_not(void **state)
{
    (void)state;
    struct world *world = world_start(30, false);
    struct lp2p_m_register *m = LP2P_NEW(REGISTER, register);
    struct lp2p_op *op = lp2p_op_new(NULL);
    (void)snprintf(m->entry.id, sizeof(m->entry.id), "/late/1");
    m->entry.resident = LP2P_RESIDENT_STREAMS;
    m->op = lp2p_op_ref(op);
    assert_int_equal(lp2p_rt_fail(world->rts[0], lp2p_names(&world->nodes[0]->ctx)->swarm), LP2P_OK);
    post(world, 0, &m->msg);
    run_ms(world, 1000);
    expect_ok(op);
    world_stop(world);
}

static bool is_up(struct lp2p_rt *rt, const char *id, struct lp2p_ref *ref)
{
    struct lp2p_actor_stats all[32];
    size_t len = LP2P_MIN(lp2p_rt_snapshot(rt, all, 32), (size_t)32);
    for (size_t i = 0; i < len; i++) {
        if (strcmp(all[i].id, id) == 0) {
            *ref = all[i].ref;
            return true;
        }
    }
    return false;
}

/* A dial may come before the supervisor of connections is up (at the start of a busy machine) or is up again: that says nothing of
 * the peer, and the dial waits. */
static void test_sim_swarm_dials_before_everything_is_up(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct world *world = world_start(seed, false);
        struct lp2p_ref links;
        assert_true(is_up(world->rts[0], "links", &links));
        assert_int_equal(lp2p_rt_fail(world->rts[0], links), LP2P_OK);
        lp2p_time until = lp2p_sim_now(world->rts[0]) + LP2P_SEC(1);
        while (is_up(world->rts[0], "links", &links) && lp2p_sim_step(world->rts[0], until)) {
        }
        assert_true(lp2p_sim_now(world->rts[0]) < until);
        struct lp2p_op *op = connect_to(world, 0, 1);
        run_ms(world, 3000);
        if (lp2p_op_result(op) != LP2P_OK) {
            fail_msg("seed %llu: %s: %s", (unsigned long long)seed, lp2p_strerror(lp2p_op_result(op)), lp2p_op_detail(op));
        }
        lp2p_op_drop(&op);
        assert_int_equal(LP2P_READ(&world->nodes[0]->ctx, dials_failed), 0);
        world_stop(world);
    }
}

static void expect_balance(const struct world *world, unsigned i)
{
    const struct lp2p_context *ctx = &world->nodes[i]->ctx;
    assert_int_equal(LP2P_READ(ctx, connections_opened) - LP2P_READ(ctx, connections_closed), LP2P_READ(ctx, connections));
}

/* What was opened and not closed is there, in every moment. */
static void test_sim_swarm_counts_every_connection(void **state)
{
    (void)state;
    struct world *world = world_start(7, true);
    for (unsigned ms = 0; ms < 6000; ms++) {
        for (unsigned i = 0; i < HOSTS; i++) {
            while (lp2p_sim_step(world->rts[i], LP2P_MS(ms))) {
                expect_balance(world, i);
            }
        }
        if (ms % 2000 == 1999) {
            disconnect(world, 1, 0);
        }
    }
    assert_in_range(LP2P_READ(&world->nodes[0]->ctx, connections_opened), 2, 6);
    world_stop(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sim_swarm_hears_of_a_peer_that_moved),
        cmocka_unit_test(test_sim_swarm_leaves_alone_who_hangs_up),
        cmocka_unit_test(test_sim_swarm_renews_what_was_good),
        cmocka_unit_test(test_sim_swarm_disconnect_is_for_good),
        cmocka_unit_test(test_sim_swarm_serves_by_another_link),
        cmocka_unit_test(test_sim_swarm_broadcasts_do_not_knock_in_vain),
        cmocka_unit_test(test_sim_swarm_tells_of_what_the_dead_left_unread),
        cmocka_unit_test(test_sim_swarm_hears_what_its_predecessor_did_not),
        cmocka_unit_test(test_sim_swarm_dials_before_everything_is_up),
        cmocka_unit_test(test_sim_swarm_counts_every_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
