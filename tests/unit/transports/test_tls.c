/* SPDX-License-Identifier: MIT
 * The TLS channel of libp2p: handshakes of both roles and of all pairs of backends, and the frames after them. */
#include "tls_kit.h"

#include "tls/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const char *const YAMUX[] = {"/yamux/1.0.0"};
static const char *const BOTH[] = {"/yamux/1.0.0", "/mplex/6.7.0"};
static const char *const MPLEX[] = {"/mplex/6.7.0"};
static const char *const OTHER[] = {"/other/1"};

struct pair {
    struct kit_node a, b; /* dialer, listener */
    struct lp2p_secure *sa, *sb;
    enum lp2p_err err_a, err_b;
    struct lp2p_secure_event ea, eb;
};

static void pair_init(struct pair *pair, size_t i, size_t j, const char *const *muxers_a, size_t len_a, const char *const *muxers_b,
                      size_t len_b)
{
    *pair = (struct pair){.sa = NULL};
    kit_node_init(&pair->a, 1, kit_backends[i], muxers_a, len_a);
    kit_node_init(&pair->b, 2, kit_backends[j], muxers_b, len_b);
}

static void pair_start(struct pair *pair, const struct lp2p_peer_id *expected)
{
    pair->sa = kit_start(&pair->a, true, expected);
    pair->sb = kit_start(&pair->b, false, NULL);
}

static void pair_shake(struct pair *pair, size_t piece)
{
    kit_shake(pair->sa, pair->sb, piece, &pair->err_a, &pair->err_b);
    pair->ea = kit_next(pair->sa);
    pair->eb = kit_next(pair->sb);
}

static void pair_fini(struct pair *pair)
{
    lp2p_secure_free(pair->sa);
    lp2p_secure_free(pair->sb);
    lp2p_tls_identity_wipe(&pair->a.identity);
    lp2p_tls_identity_wipe(&pair->b.identity);
}

#define FOR_PAIRS(i, j)                                             \
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++)       \
        for (size_t j = 0; j < LP2P_ARRAY_LEN(kit_backends); j++)

/** One frame from one end to the other. */
static void say(struct lp2p_secure *from, struct lp2p_secure *to, size_t len)
{
    const struct lp2p_secure_ops *ops = &lp2p_tls_secure;
    uint8_t *frame = malloc(ops->head + len + ops->tail), *said = malloc(len + 1);
    struct lp2p_span plain;
    size_t size = 0, at = 0, got = 0;
    randombytes_buf(said, len);
    memcpy(frame + ops->head, said, len);
    assert_int_equal(ops->seal(from, frame, len, &size), LP2P_OK);
    assert_true(size <= ops->head + len + ops->tail);
    while (at < size) { /* an announcement of keys may go ahead */
        size_t one = 0;
        assert_int_equal(ops->frame_size(lp2p_span(frame + at, size - at), &one), LP2P_OK);
        assert_true(one > 0 && one <= size - at);
        assert_int_equal(ops->open(to, frame + at, one, &plain), LP2P_OK);
        if (plain.len > 0) {
            assert_memory_equal(plain.ptr, said, len);
            got = plain.len;
        }
        at += one;
    }
    assert_int_equal(got, len);
    free(frame);
    free(said);
}

static void test_tls_handshake_of_all_pairs(void **state)
{
    (void)state;
    FOR_PAIRS(i, j)
    {
        for (size_t piece = 1; piece <= 100000; piece = piece * 9 + 3) {
            struct pair pair;
            pair_init(&pair, i, j, YAMUX, 1, YAMUX, 1);
            pair_start(&pair, piece % 2 == 0 ? &pair.b.id : NULL);
            pair_shake(&pair, piece);
            assert_int_equal(pair.err_a, LP2P_OK);
            assert_int_equal(pair.err_b, LP2P_OK);
            assert_int_equal(pair.ea.kind, LP2P_SECURE_ESTABLISHED);
            assert_int_equal(pair.eb.kind, LP2P_SECURE_ESTABLISHED);
            assert_true(lp2p_peer_id_eq(&pair.ea.peer, &pair.b.id) && lp2p_peer_id_eq(&pair.eb.peer, &pair.a.id));
            assert_int_equal(pair.ea.muxer, 0);
            assert_int_equal(pair.eb.muxer, 0);
            assert_int_equal(kit_next(pair.sa).kind, LP2P_SECURE_NONE);
            say(pair.sa, pair.sb, 5);
            say(pair.sb, pair.sa, 16383);
            say(pair.sb, pair.sa, 1);
            say(pair.sa, pair.sb, 16383);
            pair_fini(&pair);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_handshake_of_all_pairs),
    };
    (void)OTHER;
    (void)MPLEX;
    (void)BOTH;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
