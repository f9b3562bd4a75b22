/* SPDX-License-Identifier: MIT
 * Noise handshakes and frames without grammar, as a node on the network meets them: the tests have the name
 * of their row in the list of known attacks. Beside each runs its control, where all is done rightly and goes
 * on. */
#include "link_grammar.h"

#include "noise/handshake.h"
#include "noise/payload.h"
#include "wire/varint.h"

#include <sodium.h>

/* ---- AH6 */

struct hand {
    struct scene *scene;
    struct raw *raw;
    struct lp2p_xx xx;
    uint8_t payload[LP2P_NOISE_PAYLOAD_MAX + 100];
    size_t payload_len;
};

static void put_frame(struct raw *raw, const uint8_t *message, size_t len)
{
    static uint8_t frame[LP2P_NOISE_PREFIX + LP2P_NOISE_FRAME_MAX];
    frame[0] = (uint8_t)(len >> 8);
    frame[1] = (uint8_t)len;
    memcpy(frame + LP2P_NOISE_PREFIX, message, len);
    raw_send(raw, frame, LP2P_NOISE_PREFIX + len);
}

/** A handshake by hand, up to the choice of the channel. */
static void hand_begin(struct hand *hand, struct scene *scene)
{
    uint8_t ephemeral[LP2P_XX_DH];
    hand->scene = scene;
    hand->raw = raw_new(scene->world, scene->node);
    randombytes_buf(ephemeral, sizeof(ephemeral));
    const struct lp2p_noise_identity *identity = &hand->raw->identity;
    lp2p_xx_init(&hand->xx, true, lp2p_span(NULL, 0), identity->static_secret, identity->static_public,
                 ephemeral);
    assert_int_equal(
        lp2p_noise_payload_write(identity, hand->payload, sizeof(hand->payload), &hand->payload_len),
        LP2P_OK);
    raw_send(hand->raw, HEADER "\x07/noise\n", sizeof(HEADER) + 7);
    while (hand->raw->in_len < sizeof(HEADER) + 7) {
        assert_false(hand->raw->ended);
        raw_pause(hand->raw);
        raw_receive(hand->raw);
    }
    assert_int_equal(hand->raw->in_len, sizeof(HEADER) + 7);
    hand->raw->in_len = 0;
}

static void send_one(struct hand *hand)
{
    uint8_t message[LP2P_XX_DH];
    size_t len = 0;
    assert_int_equal(lp2p_xx_write(&hand->xx, lp2p_span(NULL, 0), message, &len), LP2P_OK);
    put_frame(hand->raw, message, len);
}

static void read_two(struct hand *hand)
{
    struct raw *raw = hand->raw;
    struct lp2p_span payload;
    size_t size = 0;
    while (size == 0 || raw->in_len < size) {
        assert_false(raw->ended);
        raw_pause(raw);
        raw_receive(raw);
        assert_int_equal(lp2p_noise_frame_size(lp2p_span(raw->in, raw->in_len), &size), LP2P_OK);
    }
    assert_int_equal(raw->in_len, size); /* nothing behind it */
    assert_int_equal(lp2p_xx_read(&hand->xx, raw->in + LP2P_NOISE_PREFIX, size - LP2P_NOISE_PREFIX, &payload),
                     LP2P_OK);
    raw->in_len = 0;
}

static size_t write_three(struct hand *hand, uint8_t *message)
{
    size_t len = 0;
    send_one(hand);
    read_two(hand);
    assert_int_equal(lp2p_xx_write(&hand->xx, lp2p_span(hand->payload, hand->payload_len), message, &len),
                     LP2P_OK);
    return len;
}

/** A field of bytes at the end of the payload: number 9 means nothing to anybody. */
static void pad_payload(struct hand *hand, size_t to)
{
    size_t fill = to - hand->payload_len - 3; /* a tag and a length of two bytes */
    hand->payload[hand->payload_len++] = 9 << 3 | 2;
    hand->payload_len += lp2p_varint_put(hand->payload + hand->payload_len, fill);
    memset(hand->payload + hand->payload_len, 'x', fill);
    hand->payload_len += fill;
    assert_int_equal(hand->payload_len, to);
}

static void three(struct hand *hand)
{
    static uint8_t message[LP2P_NOISE_FRAME_MAX];
    size_t len = write_three(hand, message);
    put_frame(hand->raw, message, len);
}

static void empty(struct hand *hand, unsigned arg)
{
    (void)arg;
    raw_send(hand->raw, "\0\0", 2);
}

/** A message one whose length says `arg`; what follows is a point. */
static void one_of_length(struct hand *hand, unsigned arg)
{
    uint8_t frame[LP2P_NOISE_PREFIX + LP2P_XX_DH] = {(uint8_t)(arg >> 8), (uint8_t)arg, 9};
    raw_send(hand->raw, frame, LP2P_NOISE_PREFIX + LP2P_MIN(arg, (unsigned)LP2P_XX_DH));
}

static void three_of_length(struct hand *hand, unsigned arg)
{
    send_one(hand);
    read_two(hand);
    one_of_length(hand, arg);
}

static const uint8_t points[][LP2P_XX_DH] = {
    {0},
    {1},
    {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
     0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
    {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
     0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
};

static void low_order_ephemeral(struct hand *hand, unsigned arg)
{
    put_frame(hand->raw, points[arg], LP2P_XX_DH);
}

static void low_order_static(struct hand *hand, unsigned arg)
{
    memcpy(hand->xx.s_public, points[arg], LP2P_XX_DH);
    three(hand);
}

static void one_twice(struct hand *hand, unsigned arg)
{
    (void)arg;
    send_one(hand);
    read_two(hand);
    put_frame(hand->raw, hand->xx.e_public, LP2P_XX_DH);
}

/** Our static key and payload come first; they are taken for an ephemeral key, and then message one is no
 * message three. */
static void three_before_one(struct hand *hand, unsigned arg)
{
    uint8_t message[LP2P_XX_DH + 16 + 100];
    (void)arg;
    randombytes_buf(message, sizeof(message));
    put_frame(hand->raw, message, sizeof(message));
    while (hand->raw->in_len == 0) {
        raw_pause(hand->raw);
        raw_receive(hand->raw);
    }
    hand->raw->in_len = 0;
    send_one(hand);
}

static void frame_before_three(struct hand *hand, unsigned arg)
{
    uint8_t frame[200];
    (void)arg;
    send_one(hand);
    read_two(hand);
    randombytes_buf(frame, sizeof(frame));
    put_frame(hand->raw, frame, sizeof(frame));
}

/** One bit of message three, `arg` bytes from its begin. */
static void three_flipped(struct hand *hand, unsigned arg)
{
    static uint8_t message[LP2P_NOISE_FRAME_MAX];
    size_t len = write_three(hand, message);
    message[arg] ^= 4;
    put_frame(hand->raw, message, len);
}

/** A payload of `arg` bytes, all of them right. Its length alone decides: no more than the first bytes are
 * sent. */
static void payload_too_long(struct hand *hand, unsigned arg)
{
    static uint8_t message[LP2P_NOISE_FRAME_MAX];
    pad_payload(hand, arg);
    size_t len = write_three(hand, message);
    uint8_t frame[1000] = {(uint8_t)(len >> 8), (uint8_t)len};
    memcpy(frame + LP2P_NOISE_PREFIX, message, sizeof(frame) - LP2P_NOISE_PREFIX);
    raw_send(hand->raw, frame, sizeof(frame));
}

static void no_payload(struct hand *hand, unsigned arg)
{
    hand->payload_len = arg;
    three(hand);
}

/** One bit of the signature, which is near the end of what was signed by nobody else. */
static void wrong_signature(struct hand *hand, unsigned arg)
{
    const struct lp2p_noise_identity *identity = &hand->raw->identity;
    (void)arg;
    for (size_t i = 0; i + identity->payload_signature_len <= hand->payload_len; i++) {
        if (memcmp(hand->payload + i, identity->payload_signature, identity->payload_signature_len) == 0) {
            hand->payload[i] ^= 1;
        }
    }
    three(hand);
}

static void no_common_muxer(struct hand *hand, unsigned arg)
{
    static const char *const other[] = {"/other/1.0.0"};
    (void)arg;
    hand->raw->identity.muxers[0] = other[0];
    assert_int_equal(lp2p_noise_payload_write(&hand->raw->identity, hand->payload, sizeof(hand->payload),
                                              &hand->payload_len),
                     LP2P_OK);
    three(hand);
}

/** Message one or three, cut `arg` bytes before its end, and then nothing. */
static void one_cut(struct hand *hand, unsigned arg)
{
    hand->raw->budget = hand->raw->sent + LP2P_NOISE_PREFIX + LP2P_XX_DH - arg;
    send_one(hand);
}

static void three_cut(struct hand *hand, unsigned arg)
{
    static uint8_t message[LP2P_NOISE_FRAME_MAX];
    size_t len = write_three(hand, message);
    hand->raw->budget = hand->raw->sent + LP2P_NOISE_PREFIX + len - arg;
    put_frame(hand->raw, message, len);
}

static void whole(struct hand *hand, unsigned arg)
{
    if (arg > 0) {
        pad_payload(hand, arg);
    }
    three(hand);
}

/** What the other side sees from its last byte on. */
struct seen {
    uint8_t bytes[256];
    size_t len;
    bool ended;
    enum lp2p_err how; /* OK: in order; ECONNRESET */
    uint64_t after;
};

static void watch(struct hand *hand, uint64_t span, struct seen *seen)
{
    struct raw *raw = hand->raw;
    lp2p_time since = world_now(raw->world);
    assert_int_equal(raw->in_len, 0);
    *seen = (struct seen){0};
    while (!seen->ended && (seen->after = world_now(raw->world) - since) < span) {
        size_t got = 0;
        enum lp2p_err err = raw->net->read(raw->net->ctx, raw->fd, seen->bytes + seen->len,
                                           sizeof(seen->bytes) - seen->len, &got);
        seen->len += got;
        if (err == LP2P_EAGAIN) {
            raw_pause(raw);
        } else if (err != LP2P_OK || got == 0) {
            seen->ended = true;
            seen->how = err;
        }
    }
}

static struct seen run_hand(void (*act)(struct hand *hand, unsigned arg), unsigned arg, enum lp2p_err reason,
                            bool patient)
{
    struct scene scene = {.limits.upgrade_ns = patient ? LP2P_SEC(3600) : 0};
    static struct hand hand;
    struct seen seen;
    begin(&scene);
    hand_begin(&hand, &scene);
    act(&hand, arg);
    watch(&hand, act == whole ? LP2P_SEC(5) : LP2P_SEC(12),
          &seen); /* its session would be asked for a sign of life */
    if (reason != LP2P_OK) {
        assert_true(seen.ended);
        assert_int_equal(LP2P_READ(node_ctx(scene.node), upgrades_failed), 1);
        if (strstr(scene.log, lp2p_strerror(reason)) == NULL) {
            fail_msg("expected %s: %s", lp2p_errname(reason), scene.log);
        }
    }
    assert_int_equal(node_look(scene.node).links_up, act == whole);
    lp2p_xx_wipe(&hand.xx);
    raw_free(hand.raw);
    end(&scene);
    return seen;
}

/** Every way to break the handshake looks the same from outside, though the node knows why: silence, and the
 * end. */
static void test_AH6_noise_grammar(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*act)(struct hand *hand, unsigned arg);
        unsigned arg;
        enum lp2p_err reason;
    } cases[] = {
        {"length 0", empty, 0, LP2P_EMALFORMED},
        {"length 1", one_of_length, 1, LP2P_EMALFORMED},
        {"length 31", one_of_length, LP2P_XX_DH - 1, LP2P_EMALFORMED},
        {"length 65535", one_of_length, LP2P_NOISE_FRAME_MAX, LP2P_EOVERSIZE},
        {"one with too much", one_of_length, LP2P_XX_DH + LP2P_NOISE_PAYLOAD_MAX + 1, LP2P_EOVERSIZE},
        {"three of length 0", three_of_length, 0, LP2P_EMALFORMED},
        {"three of length 1", three_of_length, 1, LP2P_EMALFORMED},
        {"three of length 65535", three_of_length, LP2P_NOISE_FRAME_MAX, LP2P_EOVERSIZE},
        {"payload too long", payload_too_long, LP2P_NOISE_PAYLOAD_MAX + 1, LP2P_EOVERSIZE},
        {"ephemeral of low order", low_order_ephemeral, 0, LP2P_EBADKEY},
        {"ephemeral of low order", low_order_ephemeral, 1, LP2P_EBADKEY},
        {"ephemeral of low order", low_order_ephemeral, 2, LP2P_EBADKEY},
        {"ephemeral of low order", low_order_ephemeral, 3, LP2P_EBADKEY},
        {"static of low order", low_order_static, 0, LP2P_EBADKEY},
        {"static of low order", low_order_static, 3, LP2P_EBADKEY},
        {"one twice", one_twice, 0, LP2P_EMALFORMED},
        {"three before one", three_before_one, 0, LP2P_EMALFORMED},
        {"frame before three", frame_before_three, 0, LP2P_EAUTH},
        {"static changed", three_flipped, 3, LP2P_EAUTH},
        {"payload changed", three_flipped, LP2P_XX_DH + 16 + 5, LP2P_EAUTH},
        {"payload missing", no_payload, 0, LP2P_EMALFORMED},
        {"payload cut", no_payload, 20, LP2P_EMALFORMED},
        {"wrong signature", wrong_signature, 0, LP2P_ESIGNATURE},
        {"no common muxer", no_common_muxer, 0, LP2P_ENEGOTIATION},
        {"one cut", one_cut, 1, LP2P_ETIMEDOUT},
        {"one cut early", one_cut, LP2P_XX_DH + 1, LP2P_ETIMEDOUT},
        {"three cut", three_cut, 1, LP2P_ETIMEDOUT},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct seen seen = run_hand(cases[i].act, cases[i].arg, cases[i].reason, false);
        bool late = cases[i].reason == LP2P_ETIMEDOUT;
        if (!seen.ended || seen.how != LP2P_OK || seen.len > 0) {
            fail_msg("%s: %zu bytes seen, then %s", cases[i].name, seen.len, lp2p_errname(seen.how));
        }
        assert_in_range(seen.after, late ? LP2P_SEC(9) : 0, late ? LP2P_SEC(11) : LP2P_SEC(1));
    }
    /* The controls: done rightly it stays open, also with the largest payload; and without the deadline what
     * was cut does. */
    assert_false(run_hand(whole, 0, LP2P_OK, false).ended);
    assert_false(run_hand(whole, LP2P_NOISE_PAYLOAD_MAX, LP2P_OK, false).ended);
    assert_false(run_hand(one_cut, 1, LP2P_OK, true).ended);
    assert_false(run_hand(three_cut, 1, LP2P_OK, true).ended);
}

/* ---- AH7 */

static const char flight[] = HEADER "\x06/echo\nhello";
#define HELLO 5u

/** What the session wants to say, sealed as one frame; bytes. */
static size_t sealed(struct raw *raw, uint8_t *frame, size_t cap)
{
    size_t size = 0;
    size_t n = lp2p_yamux_ops.drain(raw->mux, frame + LP2P_NOISE_PREFIX,
                                    cap - LP2P_NOISE_PREFIX - LP2P_NOISE_TAG, world_now(raw->world));
    assert_true(n > 0);
    assert_int_equal(lp2p_noise_seal(raw->noise, frame, n, &size), LP2P_OK);
    return size;
}

/** Sends five bytes on the stream as one frame, changed at `flip` (from its end; 0: not). */
static void send_hello(struct raw *raw, uint64_t stream, size_t flip)
{
    uint8_t frame[200];
    struct lp2p_slice slice = lp2p_slice_copy("hello", HELLO);
    assert_int_equal(lp2p_yamux_ops.write(raw->mux, stream, &slice), LP2P_OK);
    lp2p_slice_drop(&slice);
    size_t size = sealed(raw, frame, sizeof(frame));
    if (flip > 0) {
        frame[size - flip] ^= 0x40;
    }
    raw_send(raw, frame, size);
}

static uint64_t bytes_in(const struct scene *scene)
{
    return node_look(scene->node).bytes_in;
}

/** An echo stream that works. */
static uint64_t greet(struct scene *scene, struct raw *raw)
{
    uint8_t frame[200];
    assert_true(raw_handshake(raw));
    uint64_t stream = open_stream(raw, flight, sizeof(flight) - 1);
    raw_send(raw, frame, sealed(raw, frame, sizeof(frame)));
    for (int i = 0; i < 1000; i++) {
        raw_mux_turn(raw);
        raw_pause(raw);
    }
    assert_int_equal(bytes_in(scene), HELLO);
    return stream;
}

/** Lets a second pass, and takes what comes in it. */
static void pass(struct raw *raw)
{
    for (int i = 0; i < 1000 && !raw->ended; i++) {
        raw_mux_turn(raw);
        raw_pause(raw);
    }
}

/** One changed bit ends the connection, and neither that frame's text nor any text behind it is delivered. */
static void test_AH7_tampered_frame(void **state)
{
    (void)state;
    static const size_t flips[] = {
        0, 1, LP2P_NOISE_TAG, LP2P_NOISE_TAG + 1, LP2P_NOISE_TAG + HELLO, LP2P_NOISE_TAG + 17};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(flips); i++) {
        struct scene scene = {0};
        begin(&scene);
        struct raw *raw = raw_new(scene.world, scene.node);
        uint64_t stream = greet(&scene, raw);
        send_hello(raw, stream, flips[i]);
        send_hello(raw, stream, 0);
        pass(raw);
        assert_int_equal(raw->ended, flips[i] > 0);
        assert_int_equal(bytes_in(&scene), flips[i] > 0 ? HELLO : 3 * HELLO);
        assert_int_equal(node_look(scene.node).links_ended, flips[i] > 0);
        assert_int_equal(node_look(scene.node).link_reason, flips[i] > 0 ? LP2P_EAUTH : LP2P_OK);
        raw_free(raw);
        end(&scene);
    }
}

static void set_counters(struct raw *raw, bool to_node, uint64_t value)
{
    struct lp2p_noise *node = (struct lp2p_noise *)(void *)newest;
    lp2p_noise_key(node, to_node)->nonce = value;
    lp2p_noise_key(raw->noise, !to_node)->nonce = value;
}

/** The last counter but one opens a last frame; what comes then ends the connection, even sealed with a
 * counter again. */
static void test_AH7_counter_in(void **state)
{
    (void)state;
    for (unsigned lead = 1; lead <= 2; lead++) {
        struct scene scene = {0};
        begin(&scene);
        struct raw *raw = raw_new(scene.world, scene.node);
        uint64_t stream = greet(&scene, raw);
        set_counters(raw, true, UINT64_MAX - lead);
        send_hello(raw, stream, 0);
        pass(raw);
        assert_false(raw->ended);
        assert_int_equal(bytes_in(&scene), 2 * HELLO);
        lp2p_noise_key(raw->noise, false)->nonce =
            UINT64_MAX - 1; /* with lead 2 it is the next; with 1 it was used */
        send_hello(raw, stream, 0);
        pass(raw);
        assert_int_equal(raw->ended, lead == 1);
        assert_int_equal(bytes_in(&scene), (1 + lead) * HELLO);
        assert_int_equal(node_look(scene.node).link_reason, lead == 1 ? LP2P_ELIMIT : LP2P_OK);
        raw_free(raw);
        end(&scene);
    }
}

/** The node seals as many frames as it has counters, each once, and then ends the connection. */
static void test_AH7_counter_out(void **state)
{
    (void)state;
    for (unsigned lead = 1; lead <= 3; lead++) {
        struct scene scene = {0};
        begin(&scene);
        struct raw *raw = raw_new(scene.world, scene.node);
        uint64_t stream = greet(&scene, raw);
        set_counters(raw, false, UINT64_MAX - lead);
        unsigned asked = 0;
        while (!raw->ended && asked < 10) {
            send_hello(raw, stream, 0);
            asked++;
            pass(raw); /* and opens what comes: a counter that was used would not */
        }
        assert_true(raw->ended);
        assert_int_equal(asked, lead + 1);
        assert_true(lp2p_noise_key(raw->noise, true)->nonce == UINT64_MAX);
        assert_int_equal(node_look(scene.node).link_reason, LP2P_ELIMIT);
        raw_free(raw);
        end(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_AH6_noise_grammar),
        cmocka_unit_test(test_AH7_tampered_frame),
        cmocka_unit_test(test_AH7_counter_in),
        cmocka_unit_test(test_AH7_counter_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
