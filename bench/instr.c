/* SPDX-License-Identifier: MIT
 * The hot paths as loops, for counting instructions: the pure machines without sockets and threads, and one message
 * through a simulated runtime. tools/check_instructions runs it under callgrind twice and takes the difference.
 *
 *   bench_instr CASE TIMES */
#include "actors/protocols/lotus_message.h"
#include "dht/kad.h"
#include "multistream/multistream.h"
#include "mux/mux.h"
#include "noise/aead.h"
#include "noise/noise.h"
#include "runtime/runtime.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct lp2p_rand_seeded seeded;
static struct lp2p_rand source;
static const char *const MUXERS[] = {"/yamux/1.0.0"};

_Noreturn static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_instr: %s\n", what);
    exit(1);
}

static void expect(bool is, const char *what)
{
    if (!is) {
        fail(what);
    }
}

/* ---- noise */

struct ends {
    struct lp2p_private_key keys[2];
    struct lp2p_noise_identity identities[2];
    struct lp2p_noise *noise[2];
};

static void ends_init(struct ends *ends)
{
    for (int i = 0; i < 2; i++) {
        lp2p_private_key_generate(&source, &ends->keys[i]);
        enum lp2p_err err =
            lp2p_noise_identity_init(&ends->identities[i], &ends->keys[i], MUXERS, 1, &source);
        LP2P_CHECK(err == LP2P_OK);
    }
}

/** A whole handshake of both sides. */
static void handshake(struct ends *ends)
{
    uint8_t wire[1024];
    struct lp2p_noise_event event;
    for (int i = 0; i < 2; i++) {
        ends->noise[i] = lp2p_noise_new(&ends->identities[i], i == 0, NULL, &source);
        expect(ends->noise[i] != NULL, "noise");
    }
    for (int turn = 0; turn < 3; turn++) {
        size_t used, len = lp2p_noise_drain(ends->noise[turn % 2], wire, sizeof(wire), 0);
        expect(lp2p_noise_feed(ends->noise[1 - turn % 2], lp2p_span(wire, len), 0, &used) == LP2P_OK && used == len, "handshake");
    }
    for (int i = 0; i < 2; i++) {
        lp2p_noise_next(ends->noise[i], &event);
        expect(event.kind == LP2P_NOISE_ESTABLISHED && event.muxer == 0, "established");
    }
}

static void ends_free(struct ends *ends)
{
    lp2p_noise_free(ends->noise[0]);
    lp2p_noise_free(ends->noise[1]);
}

static void run_handshake(unsigned times)
{
    static struct ends ends;
    ends_init(&ends);
    for (unsigned i = 0; i < times; i++) {
        handshake(&ends);
        ends_free(&ends);
    }
}

static void run_noise_frame(unsigned times, size_t plain_len)
{
    static struct ends ends;
    static uint8_t frame[LP2P_NOISE_PREFIX + LP2P_NOISE_FRAME_MAX];
    ends_init(&ends);
    handshake(&ends);
    for (unsigned i = 0; i < times; i++) {
        struct lp2p_span plain;
        size_t size = 0, whole = 0;
        expect(lp2p_noise_seal(ends.noise[0], frame, plain_len, &size) == LP2P_OK, "seal");
        expect(lp2p_noise_frame_size(lp2p_span(frame, size), &whole) == LP2P_OK && whole == size, "size");
        expect(lp2p_noise_open(ends.noise[1], frame, size, &plain) == LP2P_OK && plain.len == plain_len, "open");
    }
    ends_free(&ends);
}

/* ---- yamux */

/** Moves whatever one side has to send to the other; events of the receiver go to `on`. */
typedef void (*event_fn)(struct lp2p_mux *mux, const struct lp2p_mux_event *event);

static bool move(struct lp2p_mux *from, struct lp2p_mux *to, event_fn on)
{
    struct lp2p_buf *buf = lp2p_buf_new(LP2P_NOISE_PLAIN_MAX);
    size_t len = lp2p_yamux_ops.drain(from, buf->bytes, buf->cap, 0);
    struct lp2p_slice slice = lp2p_slice_of(buf, buf->bytes, len);
    if (len > 0) {
        struct lp2p_mux_event event;
        expect(lp2p_yamux_ops.feed(to, &slice, 0) == LP2P_OK, "feed");
        for (lp2p_yamux_ops.next(to, &event); event.kind != LP2P_MUX_NONE; lp2p_yamux_ops.next(to, &event)) {
            on(to, &event);
            lp2p_slice_drop(&event.data);
        }
    }
    lp2p_slice_drop(&slice);
    lp2p_buf_drop(&buf);
    return len > 0;
}

static void pump_events(struct lp2p_mux *mux, event_fn on)
{
    struct lp2p_mux_event event;
    for (lp2p_yamux_ops.next(mux, &event); event.kind != LP2P_MUX_NONE; lp2p_yamux_ops.next(mux, &event)) {
        on(mux, &event);
        lp2p_slice_drop(&event.data);
    }
}

static void consume(struct lp2p_mux *mux, const struct lp2p_mux_event *event)
{
    if (event->kind == LP2P_MUX_STREAM_DATA) {
        (void)lp2p_yamux_ops.consumed(mux, event->stream, event->data.len, 0);
    } else if (event->kind == LP2P_MUX_STREAM_EOF) {
        (void)lp2p_yamux_ops.close_write(mux, event->stream);
    }
}

static void write_copy(struct lp2p_mux *mux, uint64_t stream, const void *bytes, size_t len)
{
    struct lp2p_slice slice = lp2p_slice_copy(bytes, len);
    expect(lp2p_yamux_ops.write(mux, stream, &slice) == LP2P_OK, "write");
}

static void muxers_new(struct lp2p_mux *mux[2])
{
    struct lp2p_mux_config config = {.keepalive_ns = LP2P_NEVER};
    mux[0] = lp2p_yamux_ops.create(&config, true, &source, 0);
    mux[1] = lp2p_yamux_ops.create(&config, false, &source, 0);
    expect(mux[0] != NULL && mux[1] != NULL, "muxers");
}

/** 128 bytes on an open stream, from write to consumed. */
static void run_yamux_message(unsigned times)
{
    static const uint8_t message[128];
    struct lp2p_mux *mux[2];
    uint64_t stream;
    muxers_new(mux);
    expect(lp2p_yamux_ops.open(mux[0], 0, &stream) == LP2P_OK, "open");
    for (unsigned i = 0; i < times; i++) {
        write_copy(mux[0], stream, message, sizeof(message));
        (void)move(mux[0], mux[1], consume);
        pump_events(mux[0], consume);
        (void)move(mux[1], mux[0], consume);
    }
    lp2p_yamux_ops.destroy(mux[0]);
    lp2p_yamux_ops.destroy(mux[1]);
}

/** A stream from open to closed on both sides, with 1 KiB one way. */
static void run_yamux_stream(unsigned times)
{
    static const uint8_t body[1024];
    struct lp2p_mux *mux[2];
    muxers_new(mux);
    for (unsigned i = 0; i < times; i++) {
        uint64_t stream;
        expect(lp2p_yamux_ops.open(mux[0], 0, &stream) == LP2P_OK, "open");
        write_copy(mux[0], stream, body, sizeof(body));
        (void)lp2p_yamux_ops.close_write(mux[0], stream);
        while ((int)move(mux[0], mux[1], consume) | (int)move(mux[1], mux[0], consume)) { /* both, always */
            pump_events(mux[0], consume);
            pump_events(mux[1], consume);
        }
    }
    lp2p_yamux_ops.destroy(mux[0]);
    lp2p_yamux_ops.destroy(mux[1]);
}

/* ---- multistream, both roles, lazy dialer */

static int match_any(void *ctx, struct lp2p_span protocol)
{
    (void)ctx;
    return lp2p_span_eq_str(protocol, "/echo/1.0.0") ? 0 : -1;
}

static void run_negotiation(unsigned times)
{
    static const char *const proposals[] = {"/echo/1.0.0"};
    for (unsigned i = 0; i < times; i++) {
        uint8_t wire[256];
        size_t used, len;
        struct lp2p_mss_event event;
        struct lp2p_mss *dialer = lp2p_mss_new_dialer(proposals, 1, true), *listener = lp2p_mss_new_listener(match_any, NULL);
        lp2p_mss_next(dialer, &event);
        len = lp2p_mss_drain(dialer, wire, sizeof(wire), 0);
        expect(lp2p_mss_feed(listener, lp2p_span(wire, len), 0, &used) == LP2P_OK, "listener");
        lp2p_mss_next(listener, &event);
        len = lp2p_mss_drain(listener, wire, sizeof(wire), 0);
        expect(lp2p_mss_feed(dialer, lp2p_span(wire, len), 0, &used) == LP2P_OK && lp2p_mss_confirmed(dialer), "dialer");
        lp2p_mss_free(dialer);
        lp2p_mss_free(listener);
    }
}

/* ---- a Lotus message: built, read, looked up among those seen */

static void run_lotus_message(unsigned times)
{
    const struct lp2p_message message = {.type = "data-message", .protocol = "chat", .payload = "{\"text\":\"hello\",\"seq\":1}"};
    struct lp2p_lotus_seen *seen = lp2p_lotus_seen_new(&source);
    expect(seen != NULL, "seen");
    for (unsigned i = 0; i < times; i++) {
        struct lp2p_slice json = {0};
        struct lp2p_lotus_message read;
        expect(lp2p_lotus_message_build(&message, "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", 1764000000000u + i, &source,
                                        &json, NULL) == LP2P_OK, "build");
        expect(lp2p_lotus_message_parse(lp2p_slice_span(&json), 1764000000000u + i, &read, NULL) == LP2P_OK, "parse");
        (void)lp2p_lotus_seen_add(seen, read.hash);
        lp2p_lotus_message_fini(&read);
        lp2p_slice_drop(&json);
    }
    lp2p_lotus_seen_free(seen);
}

/* ---- FIND_NODE with 1,000 peers offered to the table */

static void random_peer(struct lp2p_peer_id *out)
{
    struct lp2p_private_key key;
    struct lp2p_public_key public;
    lp2p_private_key_generate(&source, &key);
    lp2p_private_key_public(&key, &public);
    lp2p_peer_id_from_key(&public, out);
}

static void run_find_node(unsigned times)
{
    static uint8_t out[LP2P_KAD_REQUEST_MAX];
    struct lp2p_kad_config config = {.server = true};
    struct lp2p_peer_id asker;
    uint8_t request[36] = {0x08, 4, 0x12, 32};
    random_peer(&config.self);
    random_peer(&asker);
    struct lp2p_kad *kad = lp2p_kad_new(&config, &source, 0);
    expect(kad != NULL, "kad");
    for (unsigned i = 0; i < 1000; i++) {
        struct lp2p_kad_peer peer = {.addrs_len = 1};
        random_peer(&peer.id);
        lp2p_multiaddr_from_ip_tcp((const uint8_t[]){127, 0, 0, 1}, 4, (uint16_t)(20000 + i), &peer.addrs[0]);
        lp2p_kad_peer_seen(kad, &peer, 0);
    }
    for (unsigned i = 0; i < times; i++) {
        size_t len = 0;
        lp2p_rand_fill(&source, request + 4, 32);
        expect(lp2p_kad_serve(kad, &asker, lp2p_span(request, sizeof(request)), 0, 0, out, sizeof(out), &len) == LP2P_OK && len > 0,
               "find node");
    }
    lp2p_kad_free(kad);
}

/* ---- a message from actor to actor and back, in the simulated runtime */

struct note {
    struct lp2p_msg msg;
};
static const struct lp2p_msg_class NOTE = {"NOTE", sizeof(struct note), LP2P_LANE_NORMAL, NULL, NULL};
static unsigned rounds_left;

static enum lp2p_err actor_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    (void)state;
    (void)arg;
    return LP2P_OK;
}

static enum lp2p_verdict ping_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)state;
    if (rounds_left == 0) {
        return LP2P_CONTINUE;
    }
    rounds_left--;
    return lp2p_send(self, lp2p_whereis(lp2p_actor_rt(self), "pong"), msg) == LP2P_OK ? LP2P_CONTINUE : LP2P_FAIL;
}

static enum lp2p_verdict pong_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)state;
    struct lp2p_ref back = (*msg)->from;
    return lp2p_send(self, back, msg) == LP2P_OK ? LP2P_CONTINUE : LP2P_FAIL;
}

static void run_mailbox(unsigned times)
{
    static const struct lp2p_actor_ops ping = {.name = "ping", .state_size = 1, .init = actor_init, .on_msg = ping_on_msg};
    static const struct lp2p_actor_ops pong = {.name = "pong", .state_size = 1, .init = actor_init, .on_msg = pong_on_msg};
    static const struct lp2p_child_spec children[] = {{.id = "ping", .ops = &ping, .restart = LP2P_PERMANENT},
                                                      {.id = "pong", .ops = &pong, .restart = LP2P_PERMANENT}};
    const struct lp2p_sup_spec sup = {.restarts_max = 1, .period_ms = 1000, .children = children, .children_len = 2};
    const struct lp2p_child_spec root = {.id = "root", .ops = &lp2p_supervisor_ops, .restart = LP2P_PERMANENT, .arg = &sup};
    const struct lp2p_rt_config config = {.root = &root, .simulated = true, .seed = 1};
    struct lp2p_rt *rt = NULL;
    struct lp2p_msg *msg = lp2p_msg_new(&NOTE);
    expect(msg != NULL && lp2p_rt_start(&config, &rt, NULL) == LP2P_OK, "runtime");
    rounds_left = times;
    expect(lp2p_post(rt, lp2p_whereis(rt, "ping"), &msg) == LP2P_OK, "post");
    while (rounds_left > 0 && lp2p_sim_step(rt, LP2P_NEVER)) {
    }
    (void)lp2p_rt_stop(&rt);
}

/** Which library seals frames must not depend on the processor: our part of the work differs a little between them. */
static void fix_cipher(void)
{
    static const char *const names[] = {"libgcrypt", "libcrypto", "libsodium"};
    lp2p_noise_library_init();
    for (size_t i = 0; i < 3 && lp2p_noise_cipher(names[i]) != LP2P_OK; i++) {
    }
}

/** What the counts depend on: the compiler, the architecture, and the library for frames. */
static void print_compiler(void)
{
#ifdef __clang__
    (void)printf("clang %d", __clang_major__);
#else
    (void)printf("gcc %d", __GNUC__);
#endif
#ifdef __x86_64__
    (void)printf(" x86_64");
#elif defined(__aarch64__)
    (void)printf(" aarch64");
#else
    (void)printf(" other");
#endif
    (void)printf(" %s\n", lp2p_noise_cipher_name());
}

int main(int argc, char **argv)
{
    unsigned times = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    const char *name = argc > 1 ? argv[1] : "";
    lp2p_rand_seeded_init(&seeded, 1);
    source = lp2p_rand_seeded_source(&seeded);
    expect(sodium_init() >= 0, "libsodium");
    fix_cipher();
    if (strcmp(name, "compiler") == 0) {
        print_compiler();
    } else if (strcmp(name, "handshake") == 0) {
        run_handshake(times);
    } else if (strcmp(name, "noise-frame-128") == 0) {
        run_noise_frame(times, 128);
    } else if (strcmp(name, "noise-frame-full") == 0) {
        run_noise_frame(times, LP2P_NOISE_PLAIN_MAX);
    } else if (strcmp(name, "yamux-message") == 0) {
        run_yamux_message(times);
    } else if (strcmp(name, "yamux-stream") == 0) {
        run_yamux_stream(times);
    } else if (strcmp(name, "negotiation") == 0) {
        run_negotiation(times);
    } else if (strcmp(name, "lotus-message") == 0) {
        run_lotus_message(times);
    } else if (strcmp(name, "find-node") == 0) {
        run_find_node(times);
    } else if (strcmp(name, "mailbox") == 0) {
        run_mailbox(times);
    } else {
        (void)fprintf(stderr, "usage: bench_instr compiler|handshake|noise-frame-128|noise-frame-full|yamux-message|"
                              "yamux-stream|negotiation|lotus-message|find-node|mailbox TIMES\n");
        return 2;
    }
    return 0;
}
