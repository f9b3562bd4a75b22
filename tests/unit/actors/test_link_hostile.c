/* SPDX-License-Identifier: MIT
 * Remote sides that lie, stop or flood, at each stage of the way: they lose their connection, and nothing
 * else happens. */
#include "link_raw.h"

#include "actors/link/limits.h"

#include <string.h>

#define BYTES(literal) literal, sizeof(literal) - 1

struct scene {
    struct world *world;
    struct node *node, *friend;
};

static struct scene scene_new(enum world_mode mode)
{
    struct scene scene = {.world = world_new(mode)};
    scene.node = world_node(scene.world, &lp2p_yamux_ops);
    scene.friend = world_node(scene.world, &lp2p_yamux_ops);
    return scene;
}

/** All slots are free again and the node serves an honest peer. */
static void scene_end(struct scene scene)
{
    unsigned done = node_look(scene.friend).done + 1;
    assert_true(world_until(scene.world, no_upgrade_pending, scene.node, NULL));
    node_connect(scene.friend, scene.node);
    node_order(scene.friend, (struct order){{"/echo"}, .streams = 1, .bytes = 1000});
    assert_true(world_until(scene.world, at_least_done, scene.friend, &done));
    world_free(scene.world);
}

static const enum world_mode both[] = {WORLD_SIM, WORLD_THREADS};

static void test_link_hostile_first_bytes(void **state)
{
    (void)state;
    static char big[70000];
    memset(big, 'a', sizeof(big));
    const struct {
        const char *bytes;
        size_t len;
    } first[] = {
        {BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\nUser-Agent: a browser that says so much of itself\r\n")},
        {BYTES("SSH-2.0-OpenSSH_9.2 and a comment that makes the line as long as its first letter says, and "
               "more\r\n")},
        {BYTES("\0\0\0\0\0\0")},
        {BYTES("\x81\x08"
               "x")}, /* a token of 1,025 bytes */
        {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")},
        {BYTES("\x13/multistream/2.0.0\n")},
        {BYTES("\x13/multistream/1.0.0\n\x07/noise\n\0\0")},   /* a Noise message of no bytes */
        {BYTES("\x13/multistream/1.0.0\n\x07/noise\n\0\x20")}, /* one that does not come whole: see below */
        {big, sizeof(big)},
    };
    for (size_t m = 0; m < LP2P_ARRAY_LEN(both); m++) {
        struct scene scene = scene_new(both[m]);
        for (size_t i = 0; i < LP2P_ARRAY_LEN(first); i++) {
            struct raw *raw = raw_new(scene.world, scene.node);
            raw_send(raw, first[i].bytes, first[i].len);
            if (i == 7) {
                raw_close(raw);
            } else {
                assert_true(raw_until_ended(raw));
            }
            raw_free(raw);
            WAIT_FOR(scene.world, at_least_failed_upgrades, scene.node, (unsigned)i + 1);
        }
        scene_end(scene);
    }
}

/** A handshake cut at every few bytes: the dialer closes, and nothing of it stays. */
static void test_link_hostile_cut_handshake(void **state)
{
    (void)state;
    for (size_t m = 0; m < LP2P_ARRAY_LEN(both); m++) {
        struct scene scene = scene_new(both[m]);
        struct raw *whole = raw_new(scene.world, scene.node);
        assert_true(raw_handshake(whole));
        uint64_t total = whole->sent;
        raw_free(whole);
        WAIT_FOR(scene.world, at_least_links_ended, scene.node, 1);
        unsigned cut = 0;
        for (uint64_t budget = 0; budget < total; budget += 5) {
            struct raw *raw = raw_new(scene.world, scene.node);
            raw->budget = budget;
            assert_false(raw_handshake(raw));
            raw_free(raw);
            WAIT_FOR(scene.world, at_least_failed_upgrades, scene.node, ++cut);
        }
        assert_int_equal(node_look(scene.node).links_up, 1);
        assert_int_equal(LP2P_READ(node_ctx(scene.node), upgrades_failed), cut);
        scene_end(scene);
    }
}

/** Who sends a byte now and then does not live longer than the one deadline. */
static void test_link_hostile_slow_handshake(void **state)
{
    (void)state;
    struct scene scene = scene_new(WORLD_SIM);
    struct raw *raw = raw_new(scene.world, scene.node);
    lp2p_time since = world_now(scene.world);
    const char header[] = "\x13/multistream/1.0.0\n";
    for (size_t i = 0; i < 20 && !raw->ended; i++) {
        raw_send(raw, header + i, 1);
        world_pass(scene.world, LP2P_SEC(1));
        raw_receive(raw);
    }
    assert_true(raw->ended);
    assert_in_range(world_now(scene.world) - since, LP2P_SEC(10), LP2P_SEC(12));
    raw_free(raw);
    scene_end(scene);
}

/** More connections from one machine than may be pending are closed at once; the others keep their places. */
static void test_link_hostile_flood_from_one_machine(void **state)
{
    (void)state;
    struct scene scene = scene_new(WORLD_SIM);
    const struct lp2p_net *net = world_stranger(scene.world);
    struct lp2p_ip_port to;
    int fds[3 * LP2P_PENDING_IP_MAX];
    assert_int_equal(lp2p_multiaddr_ip_tcp(node_addr(scene.node), &to), LP2P_OK);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(fds); i++) {
        assert_int_equal(net->connect(net->ctx, &to, NULL, &fds[i]), LP2P_OK);
    }
    world_pass(scene.world, LP2P_SEC(1));
    assert_int_equal(LP2P_READ(node_ctx(scene.node), upgrades_pending), LP2P_PENDING_IP_MAX);
    assert_int_equal(LP2P_READ(node_ctx(scene.node), connections_refused), 2 * LP2P_PENDING_IP_MAX);
    node_connect(scene.friend, scene.node); /* from elsewhere there is room */
    for (size_t i = 0; i < LP2P_ARRAY_LEN(fds); i++) {
        net->close(net->ctx, fds[i]);
    }
    WAIT_FOR(scene.world, at_least_failed_upgrades, scene.node, LP2P_PENDING_IP_MAX);
    scene_end(scene);
}

struct after {
    const char *name;
    void (*act)(struct raw *raw);
    enum lp2p_err reason;
};

static void tampered(struct raw *raw)
{
    uint8_t frame[40] = {0, 38};
    raw_send(raw, frame, sizeof(frame));
}

static void too_short(struct raw *raw)
{
    uint8_t frame[17] = {0, 15};
    raw_send(raw, frame, sizeof(frame));
}

static void cut_frame(struct raw *raw)
{
    uint8_t frame[30] = {1, 0};
    raw_send(raw, frame, sizeof(frame));
    raw_close(raw);
}

static void clean_end(struct raw *raw)
{
    raw_close(raw);
}

static void bad_version(struct raw *raw)
{
    uint8_t yamux[12] = {9};
    raw_send_sealed(raw, yamux, sizeof(yamux));
}

static void empty_frames_then_bad_type(struct raw *raw)
{
    uint8_t yamux[12] = {0, 7};
    for (int i = 0; i < 100; i++) {
        raw_send_sealed(raw, yamux, 0);
    }
    raw_send_sealed(raw, yamux, sizeof(yamux));
}

static void goes_away(struct raw *raw)
{
    uint8_t yamux[12] = {0, 3};
    raw_send_sealed(raw, yamux, sizeof(yamux));
}

static void test_link_hostile_after_the_handshake(void **state)
{
    (void)state;
    const struct after afters[] = {
        {"tampered", tampered, LP2P_EAUTH},          {"too short", too_short, LP2P_EMALFORMED},
        {"cut frame", cut_frame, LP2P_ETRUNCATED},   {"clean end", clean_end, LP2P_EEOF},
        {"bad version", bad_version, LP2P_EVERSION}, {"bad type", empty_frames_then_bad_type, LP2P_EPROTO},
        {"goes away", goes_away, LP2P_EEOF},
    };
    for (size_t m = 0; m < LP2P_ARRAY_LEN(both); m++) {
        struct scene scene = scene_new(both[m]);
        for (size_t i = 0; i < LP2P_ARRAY_LEN(afters); i++) {
            struct raw *raw = raw_new(scene.world, scene.node);
            assert_true(raw_handshake(raw));
            WAIT_FOR(scene.world, at_least_links_up, scene.node, (unsigned)i + 1);
            afters[i].act(raw);
            WAIT_FOR(scene.world, at_least_links_ended, scene.node, (unsigned)i + 1);
            enum lp2p_err reason = node_look(scene.node).link_reason;
            bool closed = afters[i].act == cut_frame || afters[i].act == clean_end;
            /* Bytes of ours that it did not read make a reset of its close. */
            if (reason != afters[i].reason && !(closed && reason == LP2P_ECONNRESET)) {
                fail_msg("%s: ended with %s", afters[i].name, lp2p_errname(reason));
            }
            if (raw->fd >= 0) {
                assert_true(raw_until_ended(raw));
            }
            raw_free(raw);
        }
        scene_end(scene);
    }
}

static uint64_t open_stream(struct raw *raw, const char *bytes, size_t len, bool fin)
{
    uint64_t handle = 0;
    assert_int_equal(lp2p_yamux_ops.open(raw->mux, world_now(raw->world), &handle), LP2P_OK);
    struct lp2p_slice slice = lp2p_slice_copy(bytes, len);
    if (len > 0) {
        assert_int_equal(lp2p_yamux_ops.write(raw->mux, handle, &slice), LP2P_OK);
    }
    lp2p_slice_drop(&slice);
    if (fin) {
        assert_int_equal(lp2p_yamux_ops.close_write(raw->mux, handle), LP2P_OK);
    }
    return handle;
}

#define ECHO_NEGOTIATION "\x13/multistream/1.0.0\n\x06/echo\n"

/** Reads the echo of `flight`, with the answers of its negotiation in front, up to the end of the stream. */
static void expect_echo(struct raw *raw, uint64_t handle, const char *flight, size_t flight_len)
{
    char back[128] = "";
    size_t len = 0;
    for (bool eof = false; !eof;) {
        struct lp2p_mux_event event = raw_mux_event(raw);
        assert_int_not_equal(event.kind, LP2P_MUX_NONE);
        if (event.kind == LP2P_MUX_STREAM_DATA) {
            assert_true(len + event.data.len < sizeof(back));
            memcpy(back + len, event.data.ptr, event.data.len);
            len += event.data.len;
            lp2p_slice_drop(&event.data);
        }
        eof = event.kind == LP2P_MUX_STREAM_EOF && event.stream == handle;
    }
    assert_int_equal(len, flight_len);
    assert_memory_equal(back, flight, len);
}

static const char flight[] = ECHO_NEGOTIATION "hello";

/** Header, protocol, data and FIN in one segment, as go and rust send them: nothing of it is lost. */
static void test_link_all_in_one_flight(void **state)
{
    (void)state;
    for (size_t m = 0; m < LP2P_ARRAY_LEN(both); m++) {
        struct scene scene = scene_new(both[m]);
        struct raw *raw = raw_new(scene.world, scene.node);
        assert_true(raw_handshake(raw));
        assert_int_equal(raw->muxer, 0);
        uint64_t handle = open_stream(raw, flight, sizeof(flight) - 1, true);
        expect_echo(raw, handle, flight, sizeof(flight) - 1);
        assert_true(world_until(scene.world, no_stream_open, scene.node, NULL));
        raw_free(raw);
        scene_end(scene);
    }
}

/** A dialer that negotiates the muxer lazily: the session begins in the frame that proposes it, cut at any
 * place, and goes on in frames that arrive with it. */
static void test_link_lazy_muxer(void **state)
{
    (void)state;
    const char proposal[] = "\x13/multistream/1.0.0\n\x0d/yamux/1.0.0\n";
    const size_t proposal_len = sizeof(proposal) - 1;
    for (size_t cut = 0; cut < 45; cut += 5) {
        struct scene scene = scene_new(both[cut % 2]);
        struct raw *raw = raw_new(scene.world, scene.node);
        raw->identity.muxers_len = 0;
        assert_true(raw_handshake(raw));
        assert_int_equal(raw->muxer, -1);
        uint64_t handle = open_stream(raw, flight, sizeof(flight) - 1, true);
        uint8_t plain[512];
        memcpy(plain, proposal, proposal_len);
        size_t n = lp2p_yamux_ops.drain(raw->mux, plain + proposal_len, sizeof(plain) - proposal_len,
                                        world_now(scene.world));
        assert_true(n > cut);
        raw_send_sealed(raw, plain, proposal_len + cut);
        raw_send_sealed(raw, plain + proposal_len + cut, n - cut);
        raw->skip = proposal_len;
        expect_echo(raw, handle, flight, sizeof(flight) - 1);
        raw_free(raw);
        scene_end(scene);
    }
}

static unsigned count_resets(struct raw *raw, unsigned wanted, uint32_t code)
{
    unsigned resets = 0;
    while (resets < wanted) {
        struct lp2p_mux_event event = raw_mux_event(raw);
        if (event.kind == LP2P_MUX_NONE) {
            return resets;
        }
        lp2p_slice_drop(&event.data);
        resets += event.kind == LP2P_MUX_STREAM_RESET && (code == 0 || event.code == code);
    }
    return resets;
}

/** Streams that never name a protocol: so many may wait, for so long. */
static void test_link_hostile_silent_streams(void **state)
{
    (void)state;
    struct scene scene = scene_new(WORLD_SIM);
    struct raw *raw = raw_new(scene.world, scene.node);
    assert_true(raw_handshake(raw));
    for (int i = 0; i < LP2P_NEGOTIATING_MAX + 36; i++) {
        open_stream(raw, "\x13", i % 2, false);
    }
    lp2p_time since = world_now(scene.world);
    assert_int_equal(count_resets(raw, 36, LP2P_CODE_LIMIT), 36);
    assert_true(world_now(scene.world) - since < LP2P_SEC(1));
    assert_int_equal(count_resets(raw, LP2P_NEGOTIATING_MAX, LP2P_CODE_NEGOTIATION), LP2P_NEGOTIATING_MAX);
    assert_in_range(world_now(scene.world) - since, LP2P_SEC(9), LP2P_SEC(11));
    assert_int_equal(LP2P_READ(node_ctx(scene.node), streams_refused), LP2P_NEGOTIATING_MAX + 36);
    raw_free(raw);
    scene_end(scene);
}

static void test_link_hostile_negotiations(void **state)
{
    (void)state;
    static char many[2000] = "\x13/multistream/1.0.0\n";
    size_t len = 20;
    for (int i = 0; i < 70; i++) {
        memcpy(many + len, "\x09/nothing\n", 10);
        len += 10;
    }
    const struct {
        const char *bytes;
        size_t len;
        bool fin;
    } streams[] = {
        {many, len, false},
        {BYTES("\x13/multistream/9.9.9\n"), false},
        {BYTES("\x81\x08"), false},
        {BYTES("\0\0\0"), false},
        {BYTES("\x13/multistream/1.0.0\n\x09/nothing\n"), true}, /* nothing it wants is here, and it closes */
        {BYTES(""), true},
    };
    struct scene scene = scene_new(WORLD_SIM);
    struct raw *raw = raw_new(scene.world, scene.node);
    assert_true(raw_handshake(raw));
    for (size_t i = 0; i < LP2P_ARRAY_LEN(streams); i++) {
        open_stream(raw, streams[i].bytes, streams[i].len, streams[i].fin);
        assert_int_equal(count_resets(raw, 1, 0), 1);
        assert_int_equal(LP2P_READ(node_ctx(scene.node), streams_refused), i + 1);
    }
    assert_int_equal(node_look(scene.node).links_ended, 0);
    raw_free(raw);
    scene_end(scene);
}

/** A peer that asks and does not read: the answers stop at a bound, and its connection ends after the stall.
 */
static void test_link_hostile_peer_does_not_read(void **state)
{
    (void)state;
    struct scene scene = scene_new(WORLD_SIM);
    struct raw *raw = raw_new(scene.world, scene.node);
    assert_true(raw_handshake(raw));
    static char flood[200000];
    memcpy(flood, ECHO_NEGOTIATION, sizeof(ECHO_NEGOTIATION) - 1);
    for (int i = 0; i < 8; i++) {
        open_stream(raw, flood, sizeof(flood), false);
    }
    uint8_t out[16384];
    size_t n;
    while ((n = lp2p_yamux_ops.drain(raw->mux, out, sizeof(out), 0)) > 0) {
        raw_send_sealed(raw, out, n);
    }
    world_pass(scene.world, LP2P_SEC(9));
    assert_int_equal(node_look(scene.node).links_ended, 0);
    struct lp2p_actor_stats stats[64];
    uint64_t held = 0;
    size_t len = lp2p_rt_snapshot(node_rt(scene.node), stats, LP2P_ARRAY_LEN(stats));
    for (size_t i = 0; i < len; i++) {
        held +=
            strcmp(stats[i].kind, "conn") == 0 || strcmp(stats[i].kind, "muxer") == 0 ? stats[i].bytes : 0;
    }
    assert_in_range(held, 1, 8 * LP2P_STREAM_CREDIT + LP2P_WRITES_AHEAD + 65536);
    world_pass(scene.world, LP2P_SEC(6));
    assert_int_equal(node_look(scene.node).links_ended, 1);
    assert_int_equal(node_look(scene.node).link_reason, LP2P_ETIMEDOUT);
    raw_free(raw);
    scene_end(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link_hostile_first_bytes),
        cmocka_unit_test(test_link_hostile_cut_handshake),
        cmocka_unit_test(test_link_hostile_slow_handshake),
        cmocka_unit_test(test_link_hostile_flood_from_one_machine),
        cmocka_unit_test(test_link_hostile_after_the_handshake),
        cmocka_unit_test(test_link_all_in_one_flight),
        cmocka_unit_test(test_link_lazy_muxer),
        cmocka_unit_test(test_link_hostile_silent_streams),
        cmocka_unit_test(test_link_hostile_negotiations),
        cmocka_unit_test(test_link_hostile_peer_does_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
