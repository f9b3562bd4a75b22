/* SPDX-License-Identifier: MIT
 * The Noise channel of libp2p: whole handshakes of both roles, against the recorded ones and against ends that lie. */
#include "noise/payload.h"
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
    uint8_t pk[32];
    const char *muxers[LP2P_NOISE_MUXERS_MAX];
    size_t muxers_len = read_muxers(t, initiator ? "init_muxers" : "resp_muxers", muxers);
    struct lp2p_rand source = fixed_source(&static_key);
    vectors_unhex(vectors_str(t, initiator ? "init_identity_seed" : "resp_identity_seed"), seed.bytes, 32);
    vectors_unhex(vectors_str(t, initiator ? "init_static" : "resp_static"), static_key.bytes, 32);
    vectors_unhex(vectors_str(t, initiator ? "init_ephemeral" : "resp_ephemeral"), side->ephemeral.bytes, 32);
    crypto_sign_seed_keypair(pk, side->key.ed25519, seed.bytes);
    lp2p_private_key_public(&side->key, &side->public_key);
    lp2p_peer_id_from_key(&side->public_key, &side->id);
    lp2p_noise_identity_init(&side->identity, &side->key, muxers, muxers_len, &source);
}

static void check_established(struct side *side, const struct side *other, yyjson_val *t)
{
    struct lp2p_noise_event event = next_event(side);
    assert_int_equal(event.kind, LP2P_NOISE_ESTABLISHED);
    assert_true(lp2p_peer_id_eq(&event.peer, &other->id));
    assert_true(lp2p_span_eq(lp2p_public_key_encoded(&event.key), lp2p_public_key_encoded(&other->public_key)));
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

/** The dialer's first frame may come in one piece with its last handshake message: not a byte of it is taken. */
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
        {YAMUX, 1, YAMUX, 1, 0, 0},        {BOTH, 2, BOTH_TURNED, 2, 0, 1}, {BOTH_TURNED, 2, BOTH, 2, 0, 1},
        {BOTH, 2, YAMUX, 1, 0, 0},         {BOTH_TURNED, 2, YAMUX, 1, 1, 0}, {YAMUX, 1, BOTH_TURNED, 2, 0, 1},
        {NULL, 0, YAMUX, 1, -1, -1},       {YAMUX, 1, NULL, 0, -1, -1},      {NULL, 0, NULL, 0, -1, -1},
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

/* Handshakes that must not succeed. */

/** Runs a handshake by whole messages; message `index` (0..2) is passed through `spoil` first. */
struct spoiler {
    size_t at;      /* byte to be changed, counted from the prefix on */
    uint8_t flip;
    size_t cut;     /* the message ends after so many bytes; SIZE_MAX: it is whole */
};

static bool shake_spoiled(size_t index, const struct spoiler *spoil, size_t *message_len, enum lp2p_err *reason)
{
    struct side a, b;
    uint8_t wire[1024];
    bool established = true;
    side_init(&a, 1, YAMUX, 1);
    side_init(&b, 5, YAMUX, 1);
    side_start(&a, true, NULL);
    side_start(&b, false, NULL);
    *reason = LP2P_OK;
    for (size_t i = 0; i < LP2P_XX_MESSAGES; i++) {
        struct side *from = i % 2 == 0 ? &a : &b, *to = i % 2 == 0 ? &b : &a;
        enum lp2p_err err;
        size_t len = lp2p_noise_drain(from->noise, wire, sizeof(wire), 0);
        if (i == index && len > 0) {
            *message_len = len;
            wire[spoil->at] ^= spoil->flip;
            len = LP2P_MIN(len, spoil->cut);
        }
        feed_exact(to, wire, len, &err);
        struct lp2p_noise_event event = next_event(to);
        if (event.kind == LP2P_NOISE_FAILED) {
            assert_int_equal(event.reason, err);
            *reason = *reason == LP2P_OK ? err : *reason;
            /* Nothing is sent on a failure, and nothing more is taken. */
            assert_int_equal(lp2p_noise_drain(to->noise, wire, sizeof(wire), 0), 0);
            assert_int_equal(feed_exact(to, (const uint8_t *)"x", 1, &err), 0);
            assert_int_equal(err, LP2P_ESTATE);
            size_t size;
            assert_int_equal(lp2p_noise_seal(to->noise, wire, 0, &size), LP2P_ESTATE);
        }
        if (i > 0) {
            established = established && event.kind == LP2P_NOISE_ESTABLISHED;
        }
    }
    side_stop(&a);
    side_stop(&b);
    return established;
}

static void test_noise_every_truncation(void **state)
{
    (void)state;
    for (size_t index = 0; index < LP2P_XX_MESSAGES; index++) {
        size_t len = 1;
        for (size_t cut = 0; cut < len; cut++) {
            struct spoiler spoil = {0, 0, cut};
            enum lp2p_err reason;
            assert_false(shake_spoiled(index, &spoil, &len, &reason));
            assert_int_equal(reason, LP2P_OK); /* incomplete is no failure: the deadline of the upgrade is the owner's */
        }
        assert_true(len > 30);
    }
}

static void test_noise_every_flip(void **state)
{
    (void)state;
    for (size_t index = 0; index < LP2P_XX_MESSAGES; index++) {
        size_t len = 3;
        for (size_t at = 0; at < len; at++) {
            struct spoiler spoil = {at, (uint8_t)(1u << (at % 8)), SIZE_MAX};
            enum lp2p_err reason;
            /* The top bit of an X25519 key is ignored by the curve, but it is hashed. */
            assert_false(shake_spoiled(index, &spoil, &len, &reason));
            if (at >= LP2P_NOISE_PREFIX) {
                assert_int_equal(reason, LP2P_EAUTH);
            }
        }
    }
}

static void test_noise_bad_lengths(void **state)
{
    (void)state;
    static const struct {
        uint8_t prefix[2];
        enum lp2p_err err;
    } cases[] = {{{0, 0}, LP2P_EMALFORMED}, {{0, 1}, LP2P_EMALFORMED}, {{0, 31}, LP2P_EMALFORMED},
                 {{0xff, 0xff}, LP2P_EOVERSIZE}, {{0x20, 0x21}, LP2P_EOVERSIZE}, {{0x20, 0x20}, LP2P_OK}};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct side b;
        enum lp2p_err err;
        side_init(&b, 5, NULL, 0);
        side_start(&b, false, NULL);
        assert_int_equal(feed_exact(&b, cases[i].prefix, 2, &err), 2);
        assert_int_equal(err, cases[i].err);
        side_stop(&b);
    }
}

/** An end that speaks XX rightly as responder with `s`, and sends the payload as message 2. The initiator's verdict. */
static enum lp2p_err verdict_on(struct side *a, const struct lp2p_peer_id *expected, const uint8_t s_secret[32],
                                const uint8_t s_public[32], struct lp2p_span payload)
{
    struct lp2p_xx xx;
    struct lp2p_span ignored;
    uint8_t ephemeral[32] = {9}, *wire = malloc(20000);
    size_t len;
    enum lp2p_err err;
    side_start(a, true, expected);
    lp2p_xx_init(&xx, false, lp2p_span(NULL, 0), s_secret, s_public, ephemeral);
    len = lp2p_noise_drain(a->noise, wire, 20000, 0);
    assert_int_equal(lp2p_xx_read(&xx, wire + 2, len - 2, &ignored), LP2P_OK);
    assert_int_equal(lp2p_xx_write(&xx, payload, wire + 2, &len), LP2P_OK);
    wire[0] = (uint8_t)(len >> 8);
    wire[1] = (uint8_t)len;
    feed_exact(a, wire, len + 2, &err);
    struct lp2p_noise_event event = next_event(a);
    assert_int_equal(event.kind, err == LP2P_OK ? LP2P_NOISE_ESTABLISHED : LP2P_NOISE_FAILED);
    assert_int_equal(lp2p_noise_drain(a->noise, wire, 20000, 0) > 0, err == LP2P_OK);
    lp2p_noise_free(a->noise);
    a->noise = NULL;
    lp2p_xx_wipe(&xx);
    free(wire);
    return err;
}

/** Payload with the key of `key_of`, and a signature by `signer` over the static key. */
static struct lp2p_span payload_of(uint8_t *out, const struct side *key_of, const struct side *signer, const uint8_t s_public[32])
{
    uint8_t signature[64];
    size_t len = 0;
    lp2p_noise_payload_sign(&signer->key, s_public, signature);
    put_field(out, &len, 1, key_of->public_key.encoded, key_of->public_key.encoded_len);
    put_field(out, &len, 2, signature, sizeof(signature));
    return lp2p_span(out, len);
}

static void test_noise_identity_lies(void **state)
{
    (void)state;
    struct side a, b, c;
    uint8_t out[9000], raw[64];
    struct lp2p_span good;
    side_init(&a, 1, YAMUX, 1);
    side_init(&b, 50, YAMUX, 1);
    side_init(&c, 90, YAMUX, 1);
    const uint8_t *secret = b.identity.static_secret, *public = b.identity.static_public;

    good = payload_of(out, &b, &b, public);
    assert_int_equal(verdict_on(&a, &b.id, secret, public, good), LP2P_OK);
    assert_int_equal(verdict_on(&a, NULL, secret, public, good), LP2P_OK);
    assert_int_equal(verdict_on(&a, &c.id, secret, public, good), LP2P_EWRONGPEER);
    /* The key of one, the signature of another; a signature for another static key. */
    assert_int_equal(verdict_on(&a, &b.id, secret, public, payload_of(out, &b, &c, public)), LP2P_ESIGNATURE);
    assert_int_equal(verdict_on(&a, NULL, secret, public, payload_of(out, &c, &b, public)), LP2P_ESIGNATURE);
    assert_int_equal(verdict_on(&a, &b.id, secret, public, payload_of(out, &b, &b, c.identity.static_public)),
                     LP2P_ESIGNATURE);
    /* The static key signed without the prefix. */
    size_t len = 0;
    lp2p_private_key_sign(&b.key, lp2p_span(public, 32), raw);
    put_field(out, &len, 1, b.public_key.encoded, b.public_key.encoded_len);
    put_field(out, &len, 2, raw, 64);
    assert_int_equal(verdict_on(&a, &b.id, secret, public, lp2p_span(out, len)), LP2P_ESIGNATURE);
    /* Signatures of the right length and others. */
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    for (int i = 0; i < 300; i++) {
        lp2p_rand_fill(&rand, raw, sizeof(raw));
        len = 0;
        put_field(out, &len, 1, b.public_key.encoded, b.public_key.encoded_len);
        put_field(out, &len, 2, raw, i < 200 ? 64 : (size_t)i % 64);
        assert_int_equal(verdict_on(&a, &b.id, secret, public, lp2p_span(out, len)), LP2P_ESIGNATURE);
    }
    side_stop(&a);
    side_stop(&b);
    side_stop(&c);
}

static void test_noise_payload_grammar(void **state)
{
    (void)state;
    struct side a, b;
    static uint8_t out[16000];
    side_init(&a, 1, YAMUX, 1);
    side_init(&b, 50, YAMUX, 1);
    const uint8_t *secret = b.identity.static_secret, *public = b.identity.static_public;
    struct lp2p_span good = payload_of(out, &b, &b, public);
    /* Every truncation misses a field or cuts one. */
    for (size_t cut = 0; cut < good.len; cut++) {
        assert_int_equal(verdict_on(&a, NULL, secret, public, lp2p_span(out, cut)), LP2P_EMALFORMED);
    }
    /* Unknown fields and the old field 3 are skipped, up to the limit of a payload. */
    size_t len = good.len;
    static uint8_t filler[8192];
    put_field(out, &len, 3, filler, 4000);
    put_field(out, &len, 15, filler, LP2P_NOISE_PAYLOAD_MAX - len - 3);
    assert_int_equal(len, LP2P_NOISE_PAYLOAD_MAX);
    assert_int_equal(verdict_on(&a, &b.id, secret, public, lp2p_span(out, len)), LP2P_OK);
    assert_int_equal(verdict_on(&a, &b.id, secret, public, lp2p_span(out, len + 1)), LP2P_EOVERSIZE);
    /* A key that is none. */
    len = 0;
    put_field(out, &len, 1, "\x08\x01\x12\x02hi", 6);
    put_field(out, &len, 2, filler, 64);
    assert_int_equal(verdict_on(&a, NULL, secret, public, lp2p_span(out, len)), LP2P_EBADKEY);
    /* A list of muxers too long to be believed counts as none; one without ours ends it. */
    uint8_t list[2000];
    size_t list_len = 0;
    for (int i = 0; i <= LP2P_NOISE_MUXER_LIST_MAX; i++) {
        put_field(list, &list_len, 2, "/a/1", 4);
    }
    len = payload_of(out, &b, &b, public).len;
    put_field(out, &len, 4, list, list_len);
    assert_int_equal(verdict_on(&a, NULL, secret, public, lp2p_span(out, len)), LP2P_OK);
    len = good.len;
    put_field(out, &len, 4, list, list_len - 6);
    assert_int_equal(verdict_on(&a, NULL, secret, public, lp2p_span(out, len)), LP2P_ENEGOTIATION);
    side_stop(&a);
    side_stop(&b);
}

/** Points of low order as ephemeral and as static key: the shared secret would be known to everyone. */
static void test_noise_low_order_points(void **state)
{
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    struct side a, b;
    uint8_t wire[200] = {0, 32}, out[200];
    enum lp2p_err err;
    side_init(&a, 1, NULL, 0);
    side_init(&b, 50, NULL, 0);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(points); i++) {
        vectors_unhex(points[i], wire + 2, 32);
        side_start(&b, false, NULL);
        feed_exact(&b, wire, 34, &err);
        assert_int_equal(err, LP2P_EBADKEY);
        assert_int_equal(next_event(&b).reason, LP2P_EBADKEY);
        assert_int_equal(lp2p_noise_drain(b.noise, out, sizeof(out), 0), 0);
        lp2p_noise_free(b.noise);
        b.noise = NULL;
        /* As the static key of a responder that signs it properly. */
        uint8_t payload[300], *point = wire + 2;
        struct lp2p_span signed_point = payload_of(payload, &b, &b, point);
        assert_int_equal(verdict_on(&a, NULL, b.identity.static_secret, point, signed_point), LP2P_EBADKEY);
    }
    side_stop(&a);
    side_stop(&b);
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
            uint8_t first[3100], second[3100];
            size_t size;
            struct lp2p_span plain;
            established_pair(&a, &b);
            memset(first, 1, sizeof(first));
            memset(second, 2, sizeof(second));
            assert_int_equal(lp2p_noise_seal(a.noise, first, len, &size), LP2P_OK);
            assert_int_equal(lp2p_noise_seal(a.noise, second, len, &size), LP2P_OK);
            first[at] ^= 0x20;
            assert_int_equal(lp2p_noise_open(b.noise, first, size, &plain), LP2P_EAUTH);
            assert_null(plain.ptr);
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
        cmocka_unit_test(test_noise_every_truncation),
        cmocka_unit_test(test_noise_every_flip),
        cmocka_unit_test(test_noise_bad_lengths),
        cmocka_unit_test(test_noise_identity_lies),
        cmocka_unit_test(test_noise_payload_grammar),
        cmocka_unit_test(test_noise_low_order_points),
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
