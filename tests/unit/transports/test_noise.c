/* SPDX-License-Identifier: MIT
 * The Noise channel of libp2p: whole handshakes of both roles, against the recorded ones and against ends
 * that lie. */
#include "noise_side.h"
#include "vectors.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const char *const YAMUX[] = {"/yamux/1.0.0"};
static const char *const BOTH[] = {"/yamux/1.0.0", "/mplex/6.7.0"};
static const char *const BOTH_TURNED[] = {"/mplex/6.7.0", "/yamux/1.0.0"};
static const char *const OTHER[] = {"/other/1"};

static struct lp2p_noise_event next_event(struct side *side)
{
    struct lp2p_noise_event event;
    lp2p_noise_next(side->noise, &event);
    return event;
}

/* Recorded handshakes. */

static size_t read_muxers(yyjson_val *transcript, const char *name, const char **out)
{
    size_t i, max, n = 0;
    yyjson_val *muxer;
    yyjson_arr_foreach(vectors_get(transcript, name), i, max, muxer)
    {
        out[n++] = yyjson_get_str(muxer);
    }
    return n;
}

static void side_from_transcript(struct side *side, yyjson_val *t, bool initiator)
{
    struct fixed_bytes seed, static_key;
    const char *muxers[LP2P_NOISE_MUXERS_MAX];
    size_t muxers_len = read_muxers(t, initiator ? "init_muxers" : "resp_muxers", muxers);
    struct lp2p_rand source = fixed_source(&static_key);
    vectors_unhex(vectors_str(t, initiator ? "init_identity_seed" : "resp_identity_seed"), seed.bytes, 32);
    vectors_unhex(vectors_str(t, initiator ? "init_static" : "resp_static"), static_key.bytes, 32);
    vectors_unhex(vectors_str(t, initiator ? "init_ephemeral" : "resp_ephemeral"), side->ephemeral.bytes, 32);
    lp2p_private_key_from_seed(seed.bytes, &side->key);
    lp2p_private_key_public(&side->key, &side->public_key);
    lp2p_peer_id_from_key(&side->public_key, &side->id);
    assert_int_equal(
        lp2p_noise_identity_init(&side->identity, &side->key, muxers, muxers_len, &source), LP2P_OK);
}

static void check_established(struct side *side, const struct side *other, yyjson_val *t)
{
    struct lp2p_noise_event event = next_event(side);
    assert_int_equal(event.kind, LP2P_NOISE_ESTABLISHED);
    assert_true(lp2p_peer_id_eq(&event.peer, &other->id));
    assert_true(
        lp2p_span_eq(lp2p_public_key_encoded(&event.key), lp2p_public_key_encoded(&other->public_key)));
    yyjson_val *selected = yyjson_obj_get(t, "selected_muxer");
    if (selected != NULL && yyjson_is_str(selected)) {
        assert_true(event.muxer >= 0);
        assert_string_equal(side->identity.muxers[event.muxer], yyjson_get_str(selected));
    } else {
        assert_int_equal(event.muxer, -1);
    }
}

static void transcript_message(yyjson_val *message, size_t index, struct side *writer, struct side *reader)
{
    struct lp2p_span frame = vectors_hex(message, "frame"), payload = vectors_hex(message, "payload"), plain;
    uint8_t buffer[1024];
    size_t len = 0, used = 0;
    if (index < LP2P_XX_MESSAGES) {
        len = lp2p_noise_drain(writer->noise, buffer, sizeof(buffer), 0);
        assert_int_equal(len, frame.len);
        assert_memory_equal(buffer, frame.ptr, len);
        assert_int_equal(lp2p_noise_feed(reader->noise, frame, 0, &used), LP2P_OK);
        assert_int_equal(used, frame.len);
    } else {
        memcpy(buffer + LP2P_NOISE_PREFIX, payload.ptr, payload.len);
        assert_int_equal(lp2p_noise_seal(writer->noise, buffer, payload.len, &len), LP2P_OK);
        assert_int_equal(len, frame.len);
        assert_memory_equal(buffer, frame.ptr, len);
        assert_int_equal(lp2p_noise_frame_size(lp2p_span(buffer, len), &used), LP2P_OK);
        assert_int_equal(used, len);
        assert_int_equal(lp2p_noise_open(reader->noise, buffer, len, &plain), LP2P_OK);
        assert_true(lp2p_span_eq(plain, payload));
    }
    vectors_free(frame);
    vectors_free(payload);
}

static void test_noise_transcripts(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("noise-xx.json");
    size_t i, max;
    yyjson_val *t;
    yyjson_arr_foreach(vectors_array(doc, "libp2p_transcripts"), i, max, t)
    {
        struct side a, b;
        char text[LP2P_PEER_ID_TEXT_MAX];
        side_from_transcript(&a, t, true);
        side_from_transcript(&b, t, false);
        lp2p_peer_id_text(&a.id, text);
        assert_string_equal(text, vectors_str(t, "init_peer_id"));
        lp2p_peer_id_text(&b.id, text);
        assert_string_equal(text, vectors_str(t, "resp_peer_id"));
        struct lp2p_span prologue = vectors_hex(t, "prologue");
        struct lp2p_rand source_a = fixed_source(&a.ephemeral), source_b = fixed_source(&b.ephemeral);
        a.noise = lp2p_noise_new_with_prologue(&a.identity, true, &b.id, prologue, &source_a);
        b.noise = lp2p_noise_new_with_prologue(&b.identity, false, NULL, prologue, &source_b);
        vectors_free(prologue);
        size_t k, count;
        yyjson_val *message;
        yyjson_arr_foreach(vectors_get(t, "messages"), k, count, message)
        {
            bool forth = strcmp(vectors_str(message, "sender"), "initiator") == 0;
            transcript_message(message, k, forth ? &a : &b, forth ? &b : &a);
            if (k + 1 == LP2P_XX_MESSAGES) {
                check_established(&a, &b, t);
                check_established(&b, &a, t);
            }
        }
        assert_true(count >= LP2P_XX_MESSAGES);
        side_stop(&a);
        side_stop(&b);
    }
    yyjson_doc_free(doc);
}

/* Both roles against each other. */

static void test_noise_any_pieces(void **state)
{
    (void)state;
    struct lp2p_rand_seeded gen;
    for (uint64_t seed = 0; seed < 60; seed++) {
        lp2p_rand_seeded_init(&gen, seed);
        struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
        struct side a, b;
        side_init(&a, 10, YAMUX, 1);
        side_init(&b, 20, YAMUX, 1);
        side_start(&a, true, seed % 2 == 0 ? &b.id : NULL);
        side_start(&b, false, NULL);
        shake(&a, &b, &rand, 1 + seed * 8);
        struct lp2p_noise_event ea = next_event(&a), eb = next_event(&b);
        assert_int_equal(ea.kind, LP2P_NOISE_ESTABLISHED);
        assert_int_equal(eb.kind, LP2P_NOISE_ESTABLISHED);
        assert_true(lp2p_peer_id_eq(&ea.peer, &b.id) && lp2p_peer_id_eq(&eb.peer, &a.id));
        assert_int_equal(ea.muxer, 0);
        assert_int_equal(eb.muxer, 0);
        assert_int_equal(next_event(&a).kind, LP2P_NOISE_NONE);
        assert_int_equal(lp2p_noise_deadline(a.noise), LP2P_NEVER);
        side_stop(&a);
        side_stop(&b);
    }
}

/** The dialer's first frame may come in one piece with its last handshake message: not a byte of it is taken.
 */
static void test_noise_leaves_the_first_frame(void **state)
{
    (void)state;
    struct side a, b;
    uint8_t wire[2048];
    size_t used, size, len;
    enum lp2p_err err;
    struct lp2p_span plain;
    side_init(&a, 1, NULL, 0);
    side_init(&b, 5, NULL, 0);
    side_start(&a, true, NULL);
    side_start(&b, false, NULL);
    len = lp2p_noise_drain(a.noise, wire, sizeof(wire), 0);
    assert_int_equal(feed_exact(&b, wire, len, &err), len);
    len = lp2p_noise_drain(b.noise, wire, sizeof(wire), 0);
    assert_int_equal(feed_exact(&a, wire, len, &err), len);
    assert_int_equal(next_event(&a).kind, LP2P_NOISE_ESTABLISHED);
    size_t third = lp2p_noise_drain(a.noise, wire, sizeof(wire), 0);
    memcpy(wire + third + LP2P_NOISE_PREFIX, "early", 5);
    assert_int_equal(lp2p_noise_seal(a.noise, wire + third, 5, &size), LP2P_OK);
    assert_int_equal(next_event(&b).kind, LP2P_NOISE_NONE); /* not before message 3 is verified */
    used = feed_exact(&b, wire, third + size, &err);
    assert_int_equal(used, third);
    assert_int_equal(err, LP2P_OK);
    assert_int_equal(next_event(&b).kind, LP2P_NOISE_ESTABLISHED);
    assert_int_equal(lp2p_noise_open(b.noise, wire + third, size, &plain), LP2P_OK);
    assert_true(lp2p_span_eq_str(plain, "early"));
    side_stop(&a);
    side_stop(&b);
}

struct muxer_case {
    const char *const *init;
    size_t init_len;
    const char *const *resp;
    size_t resp_len;
    int init_muxer, resp_muxer; /* -2: fails */
};

static void test_noise_muxer_choice(void **state)
{
    (void)state;
    static const struct muxer_case cases[] = {
        {YAMUX, 1, YAMUX, 1, 0, 0},   {BOTH, 2, BOTH_TURNED, 2, 0, 1},  {BOTH_TURNED, 2, BOTH, 2, 0, 1},
        {BOTH, 2, YAMUX, 1, 0, 0},    {BOTH_TURNED, 2, YAMUX, 1, 1, 0}, {YAMUX, 1, BOTH_TURNED, 2, 0, 1},
        {NULL, 0, YAMUX, 1, -1, -1},  {YAMUX, 1, NULL, 0, -1, -1},      {NULL, 0, NULL, 0, -1, -1},
        {YAMUX, 1, OTHER, 1, -2, -2},
    };
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 4);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct side a, b;
        side_init(&a, 1, cases[i].init, cases[i].init_len);
        side_init(&b, 5, cases[i].resp, cases[i].resp_len);
        side_start(&a, true, NULL);
        side_start(&b, false, NULL);
        shake(&a, &b, &rand, 300);
        struct lp2p_noise_event ea = next_event(&a), eb = next_event(&b);
        if (cases[i].init_muxer == -2) {
            assert_int_equal(ea.kind, LP2P_NOISE_FAILED);
            assert_int_equal(ea.reason, LP2P_ENEGOTIATION);
            assert_int_equal(eb.kind, LP2P_NOISE_NONE); /* it waits for a message that does not come */
        } else {
            assert_int_equal(ea.kind, LP2P_NOISE_ESTABLISHED);
            assert_int_equal(eb.kind, LP2P_NOISE_ESTABLISHED);
            assert_int_equal(ea.muxer, cases[i].init_muxer);
            assert_int_equal(eb.muxer, cases[i].resp_muxer);
        }
        side_stop(&a);
        side_stop(&b);
    }
}

/* Transport. */

static void established_pair(struct side *a, struct side *b)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 9);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    side_init(a, 1, YAMUX, 1);
    side_init(b, 50, YAMUX, 1);
    side_start(a, true, NULL);
    side_start(b, false, NULL);
    shake(a, b, &rand, 400);
    assert_int_equal(next_event(a).kind, LP2P_NOISE_ESTABLISHED);
    assert_int_equal(next_event(b).kind, LP2P_NOISE_ESTABLISHED);
}

static void test_noise_frames_of_all_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 1023, 1024, 1025, 5000, LP2P_NOISE_PLAIN_MAX};
    struct side a, b;
    uint8_t *frame = malloc(LP2P_NOISE_PREFIX + LP2P_NOISE_FRAME_MAX);
    established_pair(&a, &b);
    for (size_t i = 0; i < 4 * LP2P_ARRAY_LEN(sizes); i++) {
        struct side *from = i % 2 == 0 ? &a : &b, *to = i % 2 == 0 ? &b : &a;
        size_t len = sizes[i / 4], size = 0, framed = 0;
        struct lp2p_span plain;
        for (size_t k = 0; k < len; k++) {
            frame[LP2P_NOISE_PREFIX + k] = (uint8_t)(k ^ i);
        }
        assert_int_equal(lp2p_noise_seal(from->noise, frame, len, &size), LP2P_OK);
        assert_int_equal(size, len + LP2P_NOISE_PREFIX + LP2P_NOISE_TAG);
        assert_int_equal(lp2p_noise_frame_size(lp2p_span(frame, 1), &framed), LP2P_OK);
        assert_int_equal(framed, 0);
        assert_int_equal(lp2p_noise_frame_size(lp2p_span(frame, 2), &framed), LP2P_OK);
        assert_int_equal(framed, size);
        assert_int_equal(lp2p_noise_open(to->noise, frame, size, &plain), LP2P_OK);
        assert_int_equal(plain.len, len);
        assert_ptr_equal(plain.ptr, frame + LP2P_NOISE_PREFIX);
        for (size_t k = 0; k < len; k++) {
            assert_int_equal(plain.ptr[k], (uint8_t)(k ^ i));
        }
    }
    size_t size;
    assert_int_equal(lp2p_noise_seal(a.noise, frame, LP2P_NOISE_PLAIN_MAX + 1, &size), LP2P_EINVAL);
    assert_int_equal(lp2p_noise_frame_size(lp2p_span("\x00\x0f", 2), &size), LP2P_EMALFORMED);
    free(frame);
    side_stop(&a);
    side_stop(&b);
}

/** A frame that was changed, repeated, left out or cut is final: nothing after it is believed. */
static void test_noise_tampered_frames(void **state)
{
    (void)state;
    static const size_t sizes[] = {10, 3000};
    for (size_t which = 0; which < 2; which++) {
        size_t len = sizes[which], total = len + LP2P_NOISE_PREFIX + LP2P_NOISE_TAG;
        for (size_t at = LP2P_NOISE_PREFIX; at < total; at += which == 0 ? 1 : 149) {
            struct side a, b;
            uint8_t first[3100], second[3100], whole[3100];
            size_t size;
            struct lp2p_span plain;
            established_pair(&a, &b);
            memset(first, 1, sizeof(first));
            memset(second, 2, sizeof(second));
            assert_int_equal(lp2p_noise_seal(a.noise, first, len, &size), LP2P_OK);
            assert_int_equal(lp2p_noise_seal(a.noise, second, len, &size), LP2P_OK);
            memcpy(whole, first, size);
            first[at] ^= 0x20;
            assert_int_equal(lp2p_noise_open(b.noise, first, size, &plain), LP2P_EAUTH);
            assert_null(plain.ptr);
            assert_int_equal(lp2p_noise_open(b.noise, whole, size, &plain), LP2P_EAUTH); /* the right one, too late */
            assert_int_equal(lp2p_noise_open(b.noise, second, size, &plain), LP2P_EAUTH);
            side_stop(&a);
            side_stop(&b);
        }
    }
}

static void test_noise_replayed_and_cut_frames(void **state)
{
    (void)state;
    struct side a, b;
    uint8_t frame[100] = {0}, copy[100];
    size_t size;
    struct lp2p_span plain;
    established_pair(&a, &b);
    assert_int_equal(lp2p_noise_seal(a.noise, frame, 40, &size), LP2P_OK);
    memcpy(copy, frame, size);
    /* Wrong sizes are refused before anything is decrypted, and cost no counter. */
    assert_int_equal(lp2p_noise_open(b.noise, frame, size - 1, &plain), LP2P_EMALFORMED);
    assert_int_equal(lp2p_noise_open(b.noise, frame, 1, &plain), LP2P_EMALFORMED);
    assert_int_equal(lp2p_noise_open(b.noise, frame, 0, &plain), LP2P_EMALFORMED);
    assert_int_equal(lp2p_noise_open(b.noise, frame, size, &plain), LP2P_OK);
    assert_int_equal(lp2p_noise_open(b.noise, copy, size, &plain), LP2P_EAUTH);
    side_stop(&a);
    side_stop(&b);
}

/** An idle channel keeps its keys and little more. mallinfo2 sees nothing under a sanitizer's allocator. */
static void test_noise_idle_is_small(void **state)
{
    (void)state;
    struct side a, b;
    side_init(&a, 1, YAMUX, 1);
    side_init(&b, 50, YAMUX, 1);
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 9);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    size_t before = 0;
    for (int round = 0; round < 2; round++) { /* the first warms the allocator's own caches */
        lp2p_noise_free(a.noise);
        lp2p_noise_free(b.noise);
        before = mallinfo2().uordblks;
        side_start(&a, true, NULL);
        side_start(&b, false, NULL);
        shake(&a, &b, &rand, 400);
    }
    size_t during = mallinfo2().uordblks;
    next_event(&a);
    next_event(&b);
    size_t after = mallinfo2().uordblks;
    assert_true(after - before <= 2 * 256);
    assert_true(during == after || during - before > 2 * 1024);
    side_stop(&a);
    side_stop(&b);
    assert_true(mallinfo2().uordblks <= after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_transcripts),
        cmocka_unit_test(test_noise_any_pieces),
        cmocka_unit_test(test_noise_leaves_the_first_frame),
        cmocka_unit_test(test_noise_muxer_choice),
        cmocka_unit_test(test_noise_frames_of_all_sizes),
        cmocka_unit_test(test_noise_tampered_frames),
        cmocka_unit_test(test_noise_replayed_and_cut_frames),
        cmocka_unit_test(test_noise_idle_is_small),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
