/* SPDX-License-Identifier: MIT
 * The record layer of TLS 1.3 behind the handshake: both suites, limits, changed records, new keys, tickets,
 * alerts. The other end is the same layer, and a hand that seals whatever it wants. */
#include "base/check.h"
#include "tls/aead.h"
#include "tls/record.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const enum lp2p_tls_suite SUITES[] = {LP2P_TLS_AES_128_GCM, LP2P_TLS_CHACHA20};

struct ends {
    struct lp2p_tls_records client, server;
};

static void ends_init(struct ends *ends, enum lp2p_tls_suite suite)
{
    struct lp2p_tls_secrets a = {.suite = suite}, b = {.suite = suite};
    randombytes_buf(a.send, sizeof(a.send));
    randombytes_buf(a.recv, sizeof(a.recv));
    memcpy(b.send, a.recv, sizeof(b.send));
    memcpy(b.recv, a.send, sizeof(b.recv));
    lp2p_tls_records_init(&ends->client, &a, true);
    lp2p_tls_records_init(&ends->server, &b, false);
}

static void ends_fini(struct ends *ends)
{
    lp2p_tls_records_fini(&ends->client);
    lp2p_tls_records_fini(&ends->server);
}

/** A record of any type and padding, sealed with the sender's next nonce. */
static size_t seal_any(struct lp2p_tls_records *from, uint8_t type, const void *content, size_t len,
                       size_t padding, uint8_t *out)
{
    uint8_t *inner = malloc(LP2P_TLS_HEAD + len + 1 + padding + LP2P_TLS_TAIL);
    uint64_t before = from->send.seq;
    size_t size = 0;
    /* A data record makes the cipher; then the same number is used for what the test wants. */
    assert_int_equal(lp2p_tls_records_seal(from, inner, 0, &size), LP2P_OK);
    from->send.seq = before + 1;
    uint8_t nonce[LP2P_TLS_NONCE];
    memcpy(nonce, from->send.iv, sizeof(nonce));
    for (unsigned i = 0; i < 8; i++) {
        nonce[11 - i] ^= (uint8_t)(before >> (8 * i));
    }
    size_t text = len + (type != 0) + padding;
    out[0] = 23, out[1] = 3, out[2] = 3, out[3] = (uint8_t)((text + 16) >> 8), out[4] = (uint8_t)(text + 16);
    if (len > 0) {
        memcpy(out + 5, content, len);
    }
    memset(out + 5 + len, 0, 1 + padding);
    if (type != 0) {
        out[5 + len] = type;
    }
    assert_int_equal(
        lp2p_tls_aead_seal(from->suite, from->send.cipher, nonce, lp2p_span(out, 5), out + 5, text), LP2P_OK);
    free(inner);
    return 5 + text + 16;
}

static void exchange(struct lp2p_tls_records *from, struct lp2p_tls_records *to, size_t len)
{
    uint8_t *frame = malloc(LP2P_TLS_HEAD + len + LP2P_TLS_TAIL);
    size_t size = 0, one = 0, got = 0;
    struct lp2p_span plain;
    memset(frame + LP2P_TLS_HEAD, 0x5a, len);
    assert_int_equal(lp2p_tls_records_seal(from, frame, len, &size), LP2P_OK);
    for (size_t at = 0; at < size; at += one) {
        assert_int_equal(lp2p_tls_record_size(lp2p_span(frame + at, size - at), &one), LP2P_OK);
        assert_int_equal(lp2p_tls_records_open(to, frame + at, one, &plain), LP2P_OK);
        for (size_t i = 0; i < plain.len; i++) {
            assert_int_equal(plain.ptr[i], 0x5a);
        }
        got += plain.len;
    }
    assert_int_equal(got, len);
    free(frame);
}

static void test_tls_record_sizes(void **state)
{
    (void)state;
    for (size_t s = 0; s < LP2P_ARRAY_LEN(SUITES); s++) {
        struct ends ends;
        uint8_t *out = malloc(20000), *zeros = calloc(1, 20000);
        struct lp2p_span plain;
        size_t size = 0;
        ends_init(&ends, SUITES[s]);
        for (size_t len = 0; len <= 16383; len += len < 40 ? 1 : len < 16000 ? 997 : 1) {
            exchange(&ends.client, &ends.server, len);
            exchange(&ends.server, &ends.client, 16383 - len);
        }
        assert_int_equal(lp2p_tls_records_seal(&ends.client, out, 16384, &size), LP2P_EINVAL);
        /* Others may fill a record to 2^14 bytes, and pad. */
        size = seal_any(&ends.client, 23, zeros, 16384, 0, out);
        assert_int_equal(lp2p_tls_records_open(&ends.server, out, size, &plain), LP2P_OK);
        assert_int_equal(plain.len, 16384);
        size = seal_any(&ends.client, 23, "ab", 2, 300, out);
        assert_int_equal(lp2p_tls_records_open(&ends.server, out, size, &plain), LP2P_OK);
        assert_true(lp2p_span_eq_str(plain, "ab"));
        size = seal_any(&ends.client, 23, zeros, 16385, 0, out);
        assert_int_equal(lp2p_tls_records_open(&ends.server, out, size, &plain), LP2P_EOVERSIZE);
        ends_fini(&ends);
        free(out);
        free(zeros);
    }
}

/** Parts of a plaintext that lie elsewhere, also when new keys are announced in front: the record is the
 * same. */
static void test_tls_record_parts(void **state)
{
    (void)state;
    for (size_t s = 0; s < LP2P_ARRAY_LEN(SUITES); s++) {
        for (unsigned round = 0; round < 60; round++) {
            struct ends ends;
            uint8_t text[300], frame[LP2P_TLS_HEAD + 300 + LP2P_TLS_TAIL];
            size_t size = 0, one = 0, a = randombytes_uniform(100), b = 100 + randombytes_uniform(100);
            struct lp2p_span plain = {NULL, 0};
            ends_init(&ends, SUITES[s]);
            ends.client.update_after = round % 3; /* 0: with each record */
            randombytes_buf(text, sizeof(text));
            const struct lp2p_secure_part parts[] = {{a, lp2p_span(text + a, 100 - a)},
                                                     {b, lp2p_span(text + b, round)}};
            memset(frame, 0xee, sizeof(frame));
            memcpy(frame + LP2P_TLS_HEAD, text, a);
            memcpy(frame + LP2P_TLS_HEAD + 100, text + 100, b - 100);
            memcpy(frame + LP2P_TLS_HEAD + b + round, text + b + round, 300 - b - round);
            assert_int_equal(lp2p_tls_records_seal_parts(&ends.client, frame, 300, parts, 2, &size), LP2P_OK);
            assert_int_equal(size, 300 + 22 + (round % 3 == 0 ? 27 : 0));
            for (size_t at = 0; at < size; at += one) {
                assert_int_equal(lp2p_tls_record_size(lp2p_span(frame + at, size - at), &one), LP2P_OK);
                assert_int_equal(lp2p_tls_records_open(&ends.server, frame + at, one, &plain), LP2P_OK);
            }
            assert_true(lp2p_span_eq(plain, lp2p_span(text, 300)));
            ends_fini(&ends);
        }
    }
}

static void test_tls_record_heads(void **state)
{
    (void)state;
    static const struct {
        uint8_t head[5];
        enum lp2p_err err;
        size_t size;
    } cases[] = {
        {{23, 3, 3, 0, 17}, LP2P_OK, 22},
        {{23, 3, 1, 0x41, 0x00}, LP2P_OK, 16645},
        {{23, 3, 3, 0x41, 0x01}, LP2P_EOVERSIZE, 0},
        {{23, 3, 3, 0, 16}, LP2P_EMALFORMED, 0},
        {{22, 3, 3, 0, 30}, LP2P_EMALFORMED, 0},
        {{20, 3, 3, 0, 1}, LP2P_EMALFORMED, 0},
        {{21, 3, 3, 0, 2}, LP2P_EMALFORMED, 0},
        {{23, 2, 3, 0, 30}, LP2P_EMALFORMED, 0},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        size_t size = 1;
        assert_int_equal(lp2p_tls_record_size(lp2p_span(cases[i].head, 5), &size), cases[i].err);
        assert_int_equal(size, cases[i].size);
        assert_int_equal(lp2p_tls_record_size(lp2p_span(cases[i].head, 4), &size), LP2P_OK);
        assert_int_equal(size, 0);
    }
}

static void test_tls_record_changed(void **state)
{
    (void)state;
    for (size_t s = 0; s < LP2P_ARRAY_LEN(SUITES); s++) {
        for (size_t bit = 0; bit < 8 * (5 + 10 + 17); bit++) {
            struct ends ends;
            uint8_t frame[100] = {0}, good[100];
            size_t size = 0;
            struct lp2p_span plain;
            ends_init(&ends, SUITES[s]);
            assert_int_equal(lp2p_tls_records_seal(&ends.client, frame, 10, &size), LP2P_OK);
            assert_int_equal(size, 32);
            memcpy(good, frame, size);
            frame[bit / 8] ^= (uint8_t)(1 << (bit % 8));
            enum lp2p_err err = lp2p_tls_records_open(&ends.server, frame, size, &plain);
            assert_true(err == LP2P_EAUTH || (bit < 40 && (err == LP2P_EMALFORMED || err == LP2P_EOVERSIZE)));
            assert_int_equal(plain.len, 0);
            assert_int_equal(lp2p_tls_records_open(&ends.server, good, size, &plain), err); /* final */
            ends_fini(&ends);
        }
        /* The same record again, or one left out. */
        struct ends ends;
        uint8_t frame[100] = {0}, again[100];
        size_t size = 0;
        struct lp2p_span plain;
        ends_init(&ends, SUITES[s]);
        assert_int_equal(lp2p_tls_records_seal(&ends.client, frame, 10, &size), LP2P_OK);
        memcpy(again, frame, size);
        assert_int_equal(lp2p_tls_records_open(&ends.server, frame, size, &plain), LP2P_OK);
        assert_int_equal(lp2p_tls_records_open(&ends.server, again, size, &plain), LP2P_EAUTH);
        ends_fini(&ends);
    }
}

static void test_tls_record_new_keys(void **state)
{
    (void)state;
    static const uint8_t requested[] = {24, 0, 0, 1, 1}, plain_update[] = {24, 0, 0, 1, 0},
                         wrong[] = {24, 0, 0, 1, 2};
    for (size_t s = 0; s < LP2P_ARRAY_LEN(SUITES); s++) {
        struct ends ends;
        uint8_t out[100], old[LP2P_TLS_SECRET];
        struct lp2p_span plain;
        ends_init(&ends, SUITES[s]);
        /* Each side renews its own after so many records. */
        ends.client.update_after = ends.server.update_after = 3;
        memcpy(old, ends.client.send.secret, sizeof(old));
        for (int i = 0; i < 20; i++) {
            exchange(&ends.client, &ends.server, 16383);
            exchange(&ends.server, &ends.client, 1);
        }
        assert_memory_not_equal(old, ends.client.send.secret, sizeof(old));
        assert_memory_equal(ends.server.recv.secret, ends.client.send.secret, sizeof(old));
        assert_true(ends.client.send.seq <= 3);
        ends.client.update_after = ends.server.update_after = 1 << 20;
        /* The other side asks: our next record is announced with new keys. */
        size_t size = seal_any(&ends.client, 22, requested, 5, 0, out);
        assert_int_equal(lp2p_tls_records_open(&ends.server, out, size, &plain), LP2P_OK);
        assert_int_equal(plain.len, 0);
        assert_true(ends.server.update_due);
        memcpy(old, ends.server.send.secret, sizeof(old));
        exchange(&ends.server, &ends.client, 100);
        assert_memory_not_equal(old, ends.server.send.secret, sizeof(old));
        assert_false(ends.server.update_due);
        ends_fini(&ends);
        /* Nonsense. */
        ends_init(&ends, SUITES[s]);
        size = seal_any(&ends.client, 22, wrong, 5, 0, out);
        assert_int_equal(lp2p_tls_records_open(&ends.server, out, size, &plain), LP2P_EPROTO);
        ends_fini(&ends);
        ends_init(&ends, SUITES[s]);
        uint8_t two[10];
        memcpy(two, plain_update, 5);
        memcpy(two + 5, plain_update, 5);
        size = seal_any(&ends.client, 22, two, 10, 0, out); /* the second one is under an old key */
        assert_int_equal(lp2p_tls_records_open(&ends.server, out, size, &plain), LP2P_EPROTO);
        ends_fini(&ends);
    }
}

static void test_tls_record_tickets(void **state)
{
    (void)state;
    struct ends ends;
    uint8_t ticket[204] = {4, 0, 0, 200}, out[600], twice[408];
    struct lp2p_span plain;
    ends_init(&ends, LP2P_TLS_AES_128_GCM);
    /* A server's tickets are of no use here, whole, two in a record, or in pieces. */
    size_t size = seal_any(&ends.server, 22, ticket, 204, 0, out);
    assert_int_equal(lp2p_tls_records_open(&ends.client, out, size, &plain), LP2P_OK);
    assert_int_equal(plain.len, 0);
    memcpy(twice, ticket, 204);
    memcpy(twice + 204, ticket, 204);
    size = seal_any(&ends.server, 22, twice, 408, 0, out);
    assert_int_equal(lp2p_tls_records_open(&ends.client, out, size, &plain), LP2P_OK);
    size = seal_any(&ends.server, 22, ticket, 2, 0, out);
    assert_int_equal(lp2p_tls_records_open(&ends.client, out, size, &plain), LP2P_OK);
    size = seal_any(&ends.server, 22, ticket + 2, 100, 0, out);
    assert_int_equal(lp2p_tls_records_open(&ends.client, out, size, &plain), LP2P_OK);
    size = seal_any(&ends.server, 22, ticket + 102, 102, 0, out);
    assert_int_equal(lp2p_tls_records_open(&ends.client, out, size, &plain), LP2P_OK);
    exchange(&ends.server, &ends.client, 50);
    /* Data in the middle of one is a lie. */
    size = seal_any(&ends.server, 22, ticket, 100, 0, out);
    assert_int_equal(lp2p_tls_records_open(&ends.client, out, size, &plain), LP2P_OK);
    size = seal_any(&ends.server, 23, "x", 1, 0, out);
    assert_int_equal(lp2p_tls_records_open(&ends.client, out, size, &plain), LP2P_EPROTO);
    ends_fini(&ends);
    /* And a client has none to give. */
    ends_init(&ends, LP2P_TLS_AES_128_GCM);
    size = seal_any(&ends.client, 22, ticket, 204, 0, out);
    assert_int_equal(lp2p_tls_records_open(&ends.server, out, size, &plain), LP2P_EPROTO);
    ends_fini(&ends);
}

static void test_tls_record_alerts(void **state)
{
    (void)state;
    static const struct {
        uint8_t alert[3], len;
        enum lp2p_err err;
    } cases[] = {
        {{1, 0}, 2, LP2P_EEOF},
        {{2, 42}, 2, LP2P_ECERTREFUSED},
        {{2, 116}, 2, LP2P_ECERTREFUSED},
        {{2, 80}, 2, LP2P_ECONNRESET},
        {{1, 90}, 2, LP2P_OK},
        {{2, 120}, 2, LP2P_ENEGOTIATION},
        {{2}, 1, LP2P_EMALFORMED},
        {{2, 42, 0}, 3, LP2P_EMALFORMED},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct ends ends;
        uint8_t out[100];
        struct lp2p_span plain;
        ends_init(&ends, LP2P_TLS_CHACHA20);
        size_t size = seal_any(&ends.client, 21, cases[i].alert, cases[i].len, 0, out);
        assert_int_equal(lp2p_tls_records_open(&ends.server, out, size, &plain), cases[i].err);
        ends_fini(&ends);
    }
    struct ends ends;
    uint8_t out[100];
    struct lp2p_span plain;
    size_t ignored;
    ends_init(&ends, LP2P_TLS_CHACHA20);
    size_t size = lp2p_tls_records_close(&ends.client, out);
    assert_int_equal(size, LP2P_TLS_CLOSE_SIZE);
    assert_int_equal(lp2p_tls_records_open(&ends.server, out, size, &plain), LP2P_EEOF);
    assert_int_equal(lp2p_tls_records_close(&ends.client, out), 0);
    assert_int_equal(lp2p_tls_records_seal(&ends.client, out, 1, &ignored), LP2P_ECLOSED);
    exchange(&ends.server, &ends.client, 10);           /* the other direction goes on */
    size = seal_any(&ends.server, 0, NULL, 0, 40, out); /* only padding, no type */
    assert_int_equal(lp2p_tls_records_open(&ends.client, out, size, &plain), LP2P_EPROTO);
    ends_fini(&ends);
}

/** Records without data cost us and say nothing: so many in a row and no more. */
static void test_tls_record_empty_flood(void **state)
{
    (void)state;
    for (int limited = 1; limited >= 0; limited--) {
        struct ends ends;
        uint8_t out[100];
        struct lp2p_span plain;
        enum lp2p_err err = LP2P_OK;
        unsigned taken = 0;
        ends_init(&ends, LP2P_TLS_AES_128_GCM);
        if (!limited) {
            ends.server.empty_max = UINT32_MAX; /* the control: without the limit it goes on for ever */
        }
        for (unsigned i = 0; i < 1000 && err == LP2P_OK; i++) {
            size_t size = seal_any(&ends.client, 23, NULL, 0, 0, out);
            err = lp2p_tls_records_open(&ends.server, out, size, &plain);
            taken += err == LP2P_OK;
        }
        assert_int_equal(err, limited ? LP2P_EFLOOD : LP2P_OK);
        assert_int_equal(taken, limited ? 32 : 1000);
        ends_fini(&ends);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_record_sizes),    cmocka_unit_test(test_tls_record_parts),
        cmocka_unit_test(test_tls_record_heads),    cmocka_unit_test(test_tls_record_changed),
        cmocka_unit_test(test_tls_record_new_keys), cmocka_unit_test(test_tls_record_tickets),
        cmocka_unit_test(test_tls_record_alerts),   cmocka_unit_test(test_tls_record_empty_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
