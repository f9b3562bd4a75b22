/* SPDX-License-Identifier: MIT
 * A node behind a WebSocket door against slow, silent and confused clients, under virtual time and over loopback: they lose
 * their connection by the one deadline of an upgrade, and an honest peer is served all the while. */
#include "link_raw.h"

#include "actors/link/limits.h"

#include <string.h>

#define REQUEST                                                                                               \
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                              \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

struct scene {
    struct world *world;
    struct node *node, *friend;
};

/** All nodes of the scene listen for WebSocket; `arg`: limits. */
static void at_a_websocket_door(struct lp2p_context *ctx, struct lp2p_listener_arg *listener, void *arg)
{
    char text[LP2P_MULTIADDR_TEXT_MAX + 4], why[128];
    lp2p_multiaddr_text(&ctx->config.listen[0], text);
    strcat(text, "/ws");
    assert_int_equal(lp2p_multiaddr_from_text(text, &ctx->config.listen[0], why), LP2P_OK);
    listener->limits = arg;
}

static struct scene scene_new(enum world_mode mode, const struct lp2p_inbound_limits *limits)
{
    struct scene scene = {.world = world_new(mode)};
    world_prepare_nodes(scene.world, at_a_websocket_door, (void *)(uintptr_t)limits);
    scene.node = world_node(scene.world, &lp2p_yamux_ops);
    scene.friend = world_node(scene.world, &lp2p_yamux_ops);
    return scene;
}

/** The node serves an honest peer, through the same door. */
static void serve_friend(struct scene scene)
{
    unsigned done = node_look(scene.friend).done + 1;
    node_connect(scene.friend, scene.node);
    node_order(scene.friend, (struct order){{"/echo"}, .streams = 1, .bytes = 300000});
    assert_true(world_until(scene.world, at_least_done, scene.friend, &done));
}

static void scene_end(struct scene scene)
{
    assert_true(world_until(scene.world, no_upgrade_pending, scene.node, NULL));
    serve_friend(scene);
    world_free(scene.world);
}

static const enum world_mode both[] = {WORLD_SIM, WORLD_THREADS};

static void test_link_websocket_serves(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(both); i++) {
        scene_end(scene_new(both[i], NULL));
    }
}

static const struct lp2p_inbound_limits lifted = {.upgrade_ns = LP2P_SEC(3600)};

/* AH3: the upgrade is done at once, and what is inside the frames trickles: no new deadline begins. */
static void test_AH3_slowloris_inside_the_frames(void **state)
{
    (void)state;
    static const uint8_t header[] = {0x82, 0x80 | 20, 0, 0, 0, 0}; /* a mask of zeros */
    static const char inside[] = "\x13/multistream/1.0.0\n";
    for (int control = 0; control < 2; control++) {
        struct scene scene = scene_new(WORLD_SIM, control ? &lifted : NULL);
        struct raw *raw = raw_new(scene.world, scene.node);
        lp2p_time since = world_now(scene.world);
        raw_send(raw, REQUEST, sizeof(REQUEST) - 1);
        raw_send(raw, header, sizeof(header));
        for (size_t i = 0; i < 20 && !raw->ended; i++) {
            raw_send(raw, inside + i, 1);
            world_pass(scene.world, LP2P_SEC(1));
            raw_receive(raw);
        }
        assert_int_equal(raw->ended, !control);
        if (!control) {
            assert_in_range(world_now(scene.world) - since, LP2P_SEC(9), LP2P_SEC(12));
        }
        raw_free(raw);
        scene_end(scene);
    }
}

/* AH3: pings are no sign of life for an upgrade. */
static void test_AH3_pings_do_not_extend_the_deadline(void **state)
{
    (void)state;
    static const uint8_t ping[] = {0x89, 0x80, 0, 0, 0, 0};
    for (int control = 0; control < 2; control++) {
        struct scene scene = scene_new(WORLD_SIM, control ? &lifted : NULL);
        struct raw *raw = raw_new(scene.world, scene.node);
        raw_send(raw, REQUEST, sizeof(REQUEST) - 1);
        for (int i = 0; i < 130 && !raw->ended; i++) {
            raw_send(raw, ping, sizeof(ping));
            world_pass(scene.world, LP2P_MS(100));
            raw_receive(raw);
        }
        assert_int_equal(raw->ended, !control);
        assert_true(raw->in_len > 129 + 100); /* they were answered */
        raw_free(raw);
        scene_end(scene);
    }
}

/* AH12: scanners get an answer or nothing, and in any case the end. */
static void test_AH12_scanners_at_a_websocket_door(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        const char *bytes;
        bool at_once; /* else the deadline ends it */
    } cases[] = {
        {18, "GET / HTTP/1.1\r\n\r\n", true},     {21, "SSH-2.0-OpenSSH_9.6\r\n", true},
        {6, "\x16\x03\x01\x02\x00\x01", true},    {4, "\x00\x00\x00\x00", true},
        {28, "PROXY TCP4 1.1.1.1 2.2.2.2 1", true}, {20, "\x13/multistream/1.0.0\n", true},
        {2, "GE", false},                           {0, "", false},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct scene scene = scene_new(WORLD_SIM, NULL);
        struct raw *raw = raw_new(scene.world, scene.node);
        lp2p_time since = world_now(scene.world);
        raw_send(raw, cases[i].bytes, cases[i].len);
        assert_true(raw_until_ended(raw));
        uint64_t took = world_now(scene.world) - since;
        assert_true(cases[i].at_once ? took < LP2P_SEC(1) : took <= LP2P_UPGRADE_IN_NS + LP2P_SEC(1));
        raw_free(raw);
        scene_end(scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_websocket_serves),
        cmocka_unit_test(test_AH3_slowloris_inside_the_frames),
        cmocka_unit_test(test_AH3_pings_do_not_extend_the_deadline),
        cmocka_unit_test(test_AH12_scanners_at_a_websocket_door),
    };
    return cmocka_run_group_tests_name("link websocket", tests, NULL, NULL);
}
