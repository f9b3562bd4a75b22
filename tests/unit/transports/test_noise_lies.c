/* SPDX-License-Identifier: MIT
 * Noise handshakes that must not succeed: cut and changed messages, false identities, payloads without
 * grammar, keys without order. */
#include "noise/payload.h"
#include "noise_side.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const char *const YAMUX[] = {"/yamux/1.0.0"};

static struct lp2p_noise_event next_event(struct side *side)
{
    struct lp2p_noise_event event;
    lp2p_noise_next(side->noise, &event);
    return event;
}

/** Runs a handshake by whole messages; message `index` (0..2) is passed through `spoil` first. */
struct spoiler {
    size_t at; /* byte to be changed, counted from the prefix on */
    uint8_t flip;
    size_t cut; /* the message ends after so many bytes; SIZE_MAX: it is whole */
};

static bool shake_spoiled(size_t index, const struct spoiler *spoil, size_t *message_len,
                          enum lp2p_err *reason)
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

static void test_noise_lies_every_truncation(void **state)
{
    (void)state;
    for (size_t index = 0; index < LP2P_XX_MESSAGES; index++) {
        size_t len = 1;
        for (size_t cut = 0; cut < len; cut++) {
            struct spoiler spoil = {0, 0, cut};
            enum lp2p_err reason;
            assert_false(shake_spoiled(index, &spoil, &len, &reason));
            assert_int_equal(
                reason, LP2P_OK); /* incomplete is no failure: the deadline of the upgrade is the owner's */
        }
        assert_true(len > 30);
    }
}

static void test_noise_lies_every_flip(void **state)
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

static void test_noise_lies_bad_lengths(void **state)
{
    (void)state;
    static const struct {
        uint8_t prefix[2];
        enum lp2p_err err;
    } cases[] = {{{0, 0}, LP2P_EMALFORMED},      {{0, 1}, LP2P_EMALFORMED},      {{0, 31}, LP2P_EMALFORMED},
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

/** An end that speaks XX rightly as responder with `s`, and sends the payload as message 2. The initiator's
 * verdict. */
static enum lp2p_err verdict_on(struct side *a, const struct lp2p_peer_id *expected,
                                const uint8_t s_secret[32], const uint8_t s_public[32],
                                struct lp2p_span payload)
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
static struct lp2p_span payload_of(uint8_t *out, const struct side *key_of, const struct side *signer,
                                   const uint8_t s_public[32])
{
    uint8_t signature[LP2P_SIGNATURE_MAX];
    size_t len = 0, signature_len = lp2p_noise_payload_sign(&signer->key, s_public, signature);
    put_field(out, &len, 1, key_of->public_key.encoded, key_of->public_key.encoded_len);
    put_field(out, &len, 2, signature, signature_len);
    return lp2p_span(out, len);
}

static void test_noise_lies_identity_lies(void **state)
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
    uint8_t bare[LP2P_SIGNATURE_MAX];
    size_t bare_len = lp2p_private_key_sign(&b.key, lp2p_span(public, 32), bare);
    put_field(out, &len, 1, b.public_key.encoded, b.public_key.encoded_len);
    put_field(out, &len, 2, bare, bare_len);
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

static void test_noise_lies_payload_grammar(void **state)
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
static void test_noise_lies_low_order_points(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_lies_every_truncation),
        cmocka_unit_test(test_noise_lies_every_flip),
        cmocka_unit_test(test_noise_lies_bad_lengths),
        cmocka_unit_test(test_noise_lies_identity_lies),
        cmocka_unit_test(test_noise_lies_payload_grammar),
        cmocka_unit_test(test_noise_lies_low_order_points),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
