/* SPDX-License-Identifier: MIT
 * Negotiations without grammar, at each stage of the way to a stream: the tests have the name of their row in
 * the list of known attacks. Beside each runs its control: the limit lifted, or the right bytes, and then the
 * run goes on. */
#include "link_grammar.h"

#include "wire/varint.h"

#include <malloc.h>

#define SLACK 8192 /* bytes: a few reads, and what was under way */
#define ANSWERS_MAX (sizeof(HEADER) - 1 + (size_t)LP2P_MSS_REFUSALS_MAX * 4)

/** Where a protocol is negotiated: for the channel, for the muxer inside of it, and on each stream. */
enum stage { CHANNEL, MUXER, STREAM, STAGES };

static const char *const right[STAGES] = {"\x07/noise\n", "\x0d/yamux/1.0.0\n", "\x06/echo\n"};

struct talk {
    struct raw *raw;
    enum stage stage;
    uint64_t stream;
    bool over;
    uint8_t heard[8192];
    size_t heard_len;
};

static void talk_begin(struct talk *talk, struct scene *scene, enum stage stage)
{
    *talk = (struct talk){.raw = raw_new(scene->world, scene->node), .stage = stage};
    if (stage == MUXER) {
        talk->raw->identity.muxers_len = 0; /* so it is not agreed in the handshake */
    }
    if (stage != CHANNEL) {
        assert_true(raw_handshake(talk->raw));
        assert_int_equal(talk->raw->muxer, stage == MUXER ? -1 : 0);
    }
    if (stage == STREAM) {
        talk->stream = open_stream(talk->raw, NULL, 0);
    }
}

static void say(struct talk *talk, const void *bytes, size_t len)
{
    if (talk->stage == CHANNEL) {
        raw_send(talk->raw, bytes, len);
    } else if (talk->stage == MUXER) {
        raw_send_sealed(talk->raw, bytes, len);
    } else if (!talk->over) {
        struct lp2p_slice slice = lp2p_slice_copy(bytes, len);
        assert_int_equal(lp2p_yamux_ops.write(talk->raw->mux, talk->stream, &slice), LP2P_OK);
        lp2p_slice_drop(&slice);
    }
}

static void keep(struct talk *talk, const void *bytes, size_t len)
{
    assert_true(len <= sizeof(talk->heard) - talk->heard_len);
    memcpy(talk->heard + talk->heard_len, bytes, len);
    talk->heard_len += len;
}

static void listen_sealed(struct talk *talk)
{
    struct raw *raw = talk->raw;
    size_t size = 0, at = 0;
    while (lp2p_noise_frame_size(lp2p_span(raw->in + at, raw->in_len - at), &size) == LP2P_OK && size > 0 &&
           size <= raw->in_len - at) {
        struct lp2p_span plain;
        assert_int_equal(lp2p_noise_open(raw->noise, raw->in + at, size, &plain), LP2P_OK);
        keep(talk, plain.ptr, plain.len);
        at += size;
    }
    memmove(raw->in, raw->in + at, raw->in_len - at);
    raw->in_len -= at;
}

static void listen_stream(struct talk *talk)
{
    struct lp2p_mux_event event = {.kind = LP2P_MUX_NONE};
    raw_mux_turn(talk->raw);
    do {
        lp2p_yamux_ops.next(talk->raw->mux, &event);
        if (event.kind == LP2P_MUX_STREAM_DATA) {
            keep(talk, event.data.ptr, event.data.len);
        }
        lp2p_slice_drop(&event.data);
        talk->over = talk->over || event.kind == LP2P_MUX_STREAM_RESET;
    } while (event.kind != LP2P_MUX_NONE);
    assert_false(talk->raw->ended); /* one bad stream does not cost the others their connection */
}

/** Takes what the node says for so long, or until it ends the talk. */
static void listen_for(struct talk *talk, uint64_t span)
{
    lp2p_time until = world_now(talk->raw->world) + span;
    do {
        if (talk->stage == STREAM) {
            listen_stream(talk);
            continue;
        }
        raw_receive(talk->raw);
        if (talk->stage == MUXER) {
            listen_sealed(talk);
        } else {
            keep(talk, talk->raw->in, talk->raw->in_len);
            talk->raw->in_len = 0;
        }
        talk->over = talk->raw->ended;
    } while (raw_pause(talk->raw), !talk->over && world_now(talk->raw->world) < until);
}

static bool heard(const struct talk *talk, const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i + len <= talk->heard_len; i++) {
        if (memcmp(talk->heard + i, text, len) == 0) {
            return true;
        }
    }
    return false;
}

struct variant {
    const char *name;
    uint8_t bytes[1100];
    size_t len;
    unsigned times;
    bool limited; /* it is the number or the size that is wrong: with larger limits it goes on */
    bool silent;  /* it is not wrong, but never whole */
};

static void token(struct variant *variant, const char *name, size_t len)
{
    *variant = (struct variant){.name = name, .times = 1, .limited = true};
    size_t prefix = lp2p_varint_put(variant->bytes, len);
    memset(variant->bytes + prefix, 'p', len - 1);
    variant->bytes[prefix + len - 1] = '\n';
    variant->len = prefix + len;
}

#define VARIANT(name, literal, ...) {name, literal, sizeof(literal) - 1, __VA_ARGS__}

static void say_right(struct talk *talk)
{
    say(talk, right[talk->stage], strlen(right[talk->stage]));
    listen_for(talk, LP2P_SEC(1));
    assert_true(heard(talk, right[talk->stage]));
    assert_false(talk->over);
}

static void run_variant(const struct variant *variant, enum stage stage, bool lifted)
{
    struct scene scene = {0};
    struct talk talk;
    if (lifted) {
        scene.negotiation = (struct lp2p_mss_limits){.token_max = 2000, .refusals_max = 1000};
        scene.limits.upgrade_ns = LP2P_SEC(3600);
    }
    begin(&scene);
    talk_begin(&talk, &scene, stage);
    uint64_t before = LP2P_READ(node_ctx(scene.node), bytes_in),
             refused = LP2P_READ(node_ctx(scene.node), streams_refused);
    lp2p_time since = world_now(scene.world);
    say(&talk, HEADER, sizeof(HEADER) - 1);
    for (unsigned i = 0; i < variant->times && !talk.over; i++) {
        say(&talk, variant->bytes, variant->len);
        listen_for(&talk, LP2P_MS(1)); /* one after the other, without waiting for answers */
    }
    listen_for(&talk, variant->silent ? LP2P_SEC(12) : LP2P_SEC(1));
    uint64_t took = world_now(scene.world) - since, came = LP2P_READ(node_ctx(scene.node), bytes_in) - before;
    if (talk.over == lifted) {
        fail_msg("%s, stage %d, limits %s: %s", variant->name, stage, lifted ? "lifted" : "on",
                 talk.over ? "ended" : "went on");
    }
    if (lifted) {
        assert_true(came >= variant->len * variant->times);
        if (!variant->silent) {
            say_right(&talk);
        }
    } else {
        assert_in_range(took, variant->silent ? LP2P_SEC(9) : 0,
                        variant->silent ? LP2P_SEC(11) : LP2P_SEC(1));
        assert_true(talk.heard_len <= ANSWERS_MAX);
        /* It stops to read: what is endless is not read to its end. */
        assert_true(came <=
                    LP2P_MIN(variant->times, LP2P_MSS_REFUSALS_MAX + 1u) * (variant->len + 18) + SLACK);
        assert_int_equal(LP2P_READ(node_ctx(scene.node), streams_refused) - refused, stage == STREAM);
    }
    raw_free(talk.raw);
    end(&scene);
}

/** Tokens, lengths and proposals of every wrong kind, in each negotiation: it ends within a second, or at its
 * deadline when nothing was wrong so far. */
static void test_AH5_negotiation_variants(void **state)
{
    (void)state;
    static struct variant variants[] = {
        {0},
        {0},
        VARIANT("length of 10 bytes", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1, false, false),
        VARIANT("length of 11 bytes", "\x87\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00/noise\n", 1, false,
                false),
        VARIANT("length that is not minimal", "\x87\x00/noise\n", 1, false, false),
        VARIANT("the same for a muxer", "\x8d\x00/yamux/1.0.0\n", 1, false, false),
        VARIANT("the same on a stream", "\x86\x00/echo\n", 1, false, false),
        VARIANT("no newline", "\x07/noise.", 1, false, false),
        VARIANT("no newline of a muxer", "\x0d/yamux/1.0.0.", 1, false, false),
        VARIANT("no newline on a stream", "\x06/echo.", 1, false, false),
        VARIANT("no byte at all", "\x00", 1, false, false),
        VARIANT("newline that does not come", "\x64/no", 1, false, true),
        VARIANT("ls, and again", "\x03ls\n", 500, true, false),
        VARIANT("unknown proposals", "\x3c/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 500,
                true, false),
    };
    token(&variants[0], "token of 1,025 bytes", LP2P_MSS_TOKEN_MAX + 1);
    token(&variants[1], "tokens of 1,024 bytes", LP2P_MSS_TOKEN_MAX);
    variants[1].times = LP2P_MSS_REFUSALS_MAX + 1;
    for (int stage = 0; stage < STAGES; stage++) {
        for (size_t i = 0; i < LP2P_ARRAY_LEN(variants); i++) {
            run_variant(&variants[i], (enum stage)stage, false);
            if (variants[i].limited || (variants[i].silent && stage != STREAM)) {
                run_variant(&variants[i], (enum stage)stage, true);
            }
        }
    }
}

/** The control of what has no limit to lift: the right token in the same place is answered, as is one "ls"
 * before it. */
static void test_AH5_right_negotiation(void **state)
{
    (void)state;
    for (int stage = 0; stage < STAGES; stage++) {
        struct scene scene = {0};
        struct talk talk;
        begin(&scene);
        talk_begin(&talk, &scene, (enum stage)stage);
        say(&talk, HEADER "\x03ls\n", sizeof(HEADER) - 1 + 4);
        listen_for(&talk, LP2P_SEC(1));
        assert_true(heard(&talk, HEADER "\x03na\n"));
        say_right(&talk);
        raw_free(talk.raw);
        end(&scene);
    }
}

/** What a negotiation holds that never ends: the memory of the whole process is watched, the attacker's own
 * with it. (mallinfo2 sees nothing under a sanitizer's allocator.) */
static void test_AH5_bytes_held(void **state)
{
    (void)state;
    struct scene scene = {0};
    struct variant variant;
    begin(&scene);
    struct raw *raw = raw_new(scene.world, scene.node);
    assert_true(raw_handshake(raw));
    token(&variant, "", LP2P_MSS_TOKEN_MAX);
    size_t before = 0;
    for (unsigned i = 0; i < 60; i++) {
        uint64_t handle = open_stream(raw, HEADER, sizeof(HEADER) - 1);
        struct lp2p_slice slice = lp2p_slice_copy(variant.bytes, variant.len - 1);
        assert_int_equal(lp2p_yamux_ops.write(raw->mux, handle, &slice), LP2P_OK);
        lp2p_slice_drop(&slice);
        for (int k = 0; k < 50; k++) {
            raw_mux_turn(raw);
            raw_pause(raw);
        }
        if (i == 9) { /* tables and caches have their size by now */
            before = mallinfo2().uordblks;
        }
    }
    assert_int_equal(LP2P_READ(node_ctx(scene.node), streams_refused), 0);
    size_t after = mallinfo2().uordblks;
    assert_true(after <= before || (after - before) / 50 <= 2048);
    raw_free(raw);
    end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_AH5_negotiation_variants),
        cmocka_unit_test(test_AH5_right_negotiation),
        cmocka_unit_test(test_AH5_bytes_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
