/* SPDX-License-Identifier: MIT
 * A node behind a WebSocket door against slow, silent and confused clients, under virtual time and over loopback: they lose
 * their connection by the one deadline of an upgrade, and an honest peer is served all the while. */
#include "link_raw.h"

#include "actors/link/limits.h"

#include <sodium.h>
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

static void at_a_secure_door(struct lp2p_context *ctx, struct lp2p_listener_arg *listener, void *arg)
{
    char text[LP2P_MULTIADDR_TEXT_MAX + 4], why[128];
    lp2p_multiaddr_text(&ctx->config.listen[0], text);
    strcat(text, "/wss");
    assert_int_equal(lp2p_multiaddr_from_text(text, &ctx->config.listen[0], why), LP2P_OK);
    listener->limits = arg;
}

static void draw(void *ctx, void *out, size_t len)
{
    (void)ctx;
    randombytes_buf(out, len);
}

/** Sends what the session wants to send. */
static void send_records(struct raw *raw, struct lp2p_tls_session *session)
{
    static uint8_t bytes[65536];
    size_t len;
    while (!raw->ended && (len = lp2p_tls_session_drain(session, bytes, sizeof(bytes), 0)) > 0) {
        raw_send(raw, bytes, len);
    }
}

/** TLS and the HTTP upgrade; NULL: the deadline came first, on a machine that is busy. */
static struct lp2p_tls_session *secure_websocket(struct raw *raw, struct lp2p_tls_web *web,
                                                 const struct lp2p_rand *rand)
{
    struct lp2p_tls_session *session = lp2p_tls_session_new(web, NULL, rand, 0);
    size_t used = 0, put = 0;
    send_records(raw, session);
    while (!raw->ended && lp2p_tls_session_state(session) == LP2P_TLS_SESSION_HANDSHAKE) {
        raw_pause(raw);
        raw_receive(raw);
        assert_int_equal(lp2p_tls_session_feed(session, lp2p_span(raw->in, raw->in_len), 0, &used), LP2P_OK);
        assert_int_equal(used, raw->in_len);
        raw->in_len = 0;
        send_records(raw, session);
    }
    if (lp2p_tls_session_state(session) != LP2P_TLS_SESSION_HANDSHAKE) {
        assert_int_equal(lp2p_tls_session_write(session, lp2p_span_str(REQUEST), &put), LP2P_OK);
        send_records(raw, session);
    }
    while (!raw->ended && raw->in_len == 0) {
        raw_pause(raw);
        raw_receive(raw);
    }
    if (raw->in_len == 0) {
        lp2p_tls_session_free(session);
        return NULL;
    }
    return session;
}

enum { FLOOD_MAX = 60 << 20 }; /* bytes; many times what is read until a deadline of FLOOD_NS */
#define FLOOD_NS LP2P_MS(300)

/** Empty frames of a message that never ends, until the node hangs up. False: it has not. */
static bool flood_until_ended(struct raw *raw, struct lp2p_tls_session *session, uint64_t flood_max)
{
    static const uint8_t begin[] = {0x02, 0x80, 0, 0, 0, 0};
    static uint8_t flood[6 * 2730], burst[1 << 20]; /* in one piece, so that the reader never catches up */
    size_t put = 0, len = 0;
    for (size_t i = 0; i < sizeof(flood); i += 6) {
        flood[i + 1] = 0x80;
    }
    /* The short record first: then every round of reads ends inside of a record. */
    assert_int_equal(lp2p_tls_session_write(session, lp2p_span(begin, sizeof(begin)), &put), LP2P_OK);
    while (len + sizeof(flood) < sizeof(burst) - 1000) {
        assert_int_equal(lp2p_tls_session_write(session, lp2p_span(flood, sizeof(flood)), &put), LP2P_OK);
        len += lp2p_tls_session_drain(session, burst + len, sizeof(burst) - len, 0);
    }
    raw_send(raw, burst, len);
    while (!raw->ended && raw->sent < flood_max) {
        assert_int_equal(lp2p_tls_session_write(session, lp2p_span(flood, sizeof(flood)), &put), LP2P_OK);
        send_records(raw, session);
    }
    return raw->ended;
}

/** Four times a flood over an upgrade that may take that long; how many of them began. */
static unsigned floods_inside_of_tls(uint64_t upgrade_ns)
{
    struct lp2p_inbound_limits limits = {.upgrade_ns = upgrade_ns};
    const struct lp2p_rand rand = {draw, NULL};
    struct lp2p_tls_web *web = NULL;
    unsigned flooded = 0;
    assert_int_equal(lp2p_tls_web_client_unverified(NULL, &rand, &web), LP2P_OK);
    struct world *world = world_new(WORLD_THREADS);
    world_prepare_nodes(world, at_a_secure_door, &limits);
    struct node *node = world_node(world, &lp2p_yamux_ops);
    for (int i = 0; i < 4; i++) {
        struct raw *raw = raw_new(world, node);
        struct lp2p_tls_session *session = secure_websocket(raw, web, &rand);
        if (session != NULL) {
            assert_true(flood_until_ended(raw, session, FLOOD_MAX * (upgrade_ns / FLOOD_NS)));
            flooded++;
        }
        lp2p_tls_session_free(session);
        raw_free(raw);
    }
    assert_true(world_until(world, no_upgrade_pending, node, NULL));
    lp2p_tls_web_release(web);
    world_free(world);
    return flooded;
}

/* AH3: empty frames inside of TLS, faster than anybody can read them, and cut so that something always lies in the
 * carrier when a round of reads is over: still neither the deadline nor the thread is theirs. */
static void test_AH3_flood_inside_of_tls(void **state)
{
    (void)state;
    unsigned flooded = 0;
    /* Where not even the handshake is done in time, there is more of it. */
    for (uint64_t span_ns = FLOOD_NS; flooded < 4 && span_ns <= LP2P_SEC(60); span_ns *= 2) {
        flooded = floods_inside_of_tls(span_ns);
    }
    assert_int_equal(flooded, 4);
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
        cmocka_unit_test(test_AH3_flood_inside_of_tls),
        cmocka_unit_test(test_AH12_scanners_at_a_websocket_door),
    };
    return cmocka_run_group_tests_name("link websocket", tests, NULL, NULL);
}
