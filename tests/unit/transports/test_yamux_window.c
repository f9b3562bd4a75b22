/* SPDX-License-Identifier: MIT
 * Credit of yamux in virtual time: what may be sent, when it is given back, when a window grows; pings; turns
 * of streams; bodies that are left out of the buffer. */
#include "mux_end.h"
#include "yamux/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define WINDOW LP2P_YAMUX_WINDOW_INITIAL
#define FRAME_CAP 65519u

static const struct lp2p_mux_config no_pings = {.keepalive_ns = LP2P_NEVER};
static uint8_t zeros[1 << 20];

static struct lp2p_yamux_stream *stream_at(struct mux_end *end, uint64_t handle)
{
    struct lp2p_mux_stream *stream;
    assert_int_equal(lp2p_mux_stream_find(end->mux, handle, &stream), LP2P_OK);
    return lp2p_yamux_stream_of(stream);
}

/** Two ends with one stream from a to b, both told of it. */
static uint64_t pair_with_stream(struct mux_end *a, struct mux_end *b, const struct lp2p_mux_config *config)
{
    uint64_t stream;
    end_init(a, &lp2p_yamux_ops, config, true);
    end_init(b, &lp2p_yamux_ops, config, false);
    assert_int_equal(a->ops->open(a->mux, a->now, &stream), LP2P_OK);
    end_carry(a, b, FRAME_CAP);
    assert_string_equal(end_events(b, false), "opened 1");
    end_carry(b, a, FRAME_CAP);
    assert_string_equal(end_events(a, false), "");
    return stream;
}

/** Carries everything from a to b; b keeps its data unread. Returns the bytes carried. */
static size_t carry_all(struct mux_end *a, struct mux_end *b)
{
    size_t sum = 0, len;
    while ((len = end_carry(a, b, FRAME_CAP)) > 0) {
        sum += len;
        (void)end_events(a, false);
        (void)end_events(b, false);
    }
    return sum;
}

static void test_yamux_window_is_respected(void **state)
{
    (void)state;
    static struct mux_end a, b;
    uint64_t stream = pair_with_stream(&a, &b, &no_pings);
    assert_int_equal(end_write(&a, stream, zeros, 300000), LP2P_OK);
    assert_int_equal(a.ops->close_write(a.mux, stream), LP2P_OK);
    carry_all(&a, &b);
    assert_int_equal(end_stats(&a).bytes_out, WINDOW);
    assert_int_equal(end_stats(&b).bytes_in, WINDOW);
    assert_int_equal(end_stats(&a).queued_bytes, 300000 - WINDOW);
    assert_false(a.ops->wants_write(a.mux));
    /* Half of the window is given back at once, and not before. */
    assert_int_equal(b.ops->consumed(b.mux, 1, WINDOW / 2 - 1, b.now), LP2P_OK);
    assert_false(b.ops->wants_write(b.mux));
    assert_int_equal(b.ops->consumed(b.mux, 1, WINDOW / 2 + 2, b.now), LP2P_EINVAL);
    assert_int_equal(b.ops->consumed(b.mux, 1, 1, b.now), LP2P_OK);
    assert_string_equal(end_output(&b), "000100000000000100020000");
    assert_int_equal(end_feed_hex(&a, "000100000000000100020000"), LP2P_OK);
    assert_true(a.ops->wants_write(a.mux));
    carry_all(&a, &b);
    assert_int_equal(end_stats(&a).bytes_out, 300000);
    assert_int_equal(stream_at(&b, 1)->base.state, LP2P_MUX_STREAM_REMOTE_CLOSED);
    /* Nobody needs credit behind the end. */
    assert_int_equal(b.ops->consumed(b.mux, 1, 300000 - WINDOW / 2, b.now), LP2P_OK);
    assert_false(b.ops->wants_write(b.mux));
    end_fini(&a);
    end_fini(&b);
}

static void test_yamux_credit_in_small_parts(void **state)
{
    (void)state;
    static struct mux_end end;
    uint64_t stream;
    end_init(&end, &lp2p_yamux_ops, &no_pings, true);
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
    struct lp2p_yamux_stream *s = stream_at(&end, stream);
    s->credit_out = 0;
    s->base.blocked = true;
    assert_int_equal(end_write(&end, stream, "abc", 3), LP2P_OK);
    assert_int_equal(end.ops->close_write(end.mux, stream), LP2P_OK);
    /* Without credit the opening does not wait, the end does. */
    assert_string_equal(end_output(&end), "000100010000000100000000");
    assert_string_equal(end_output(&end), "");
    assert_int_equal(end_feed_hex(&end, "000100020000000100000001"), LP2P_OK);
    assert_string_equal(end_output(&end), "00000000000000010000000161");
    assert_string_equal(end_events(&end, false), "writable 1 1");
    assert_int_equal(end_feed_hex(&end, "000100000000000100000000"), LP2P_OK);
    assert_string_equal(end_output(&end), "");
    assert_int_equal(end_feed_hex(&end, "000100000000000100000002"), LP2P_OK);
    assert_string_equal(end_output(&end), "0000000000000001000000026263" "000100040000000100000000");
    assert_string_equal(end_events(&end, false), "writable 1 2");
    end_fini(&end);
}

/* Growth. */

/** Fills the window of b's stream and consumes all of it `elapsed` later; both ends' clocks move. */
static void use_up_window(struct mux_end *a, struct mux_end *b, uint64_t stream, uint64_t elapsed)
{
    uint32_t window = stream_at(b, 1)->window, sent = 0;
    while (sent < window) {
        uint32_t part = LP2P_MIN(window - sent, (uint32_t)sizeof(zeros));
        assert_int_equal(end_write(a, stream, zeros, part), LP2P_OK);
        sent += part;
    }
    carry_all(a, b);
    a->now += elapsed;
    b->now += elapsed;
    assert_int_equal(b->ops->consumed(b->mux, 1, window, b->now), LP2P_OK);
    end_carry(b, a, FRAME_CAP);
    (void)end_events(a, false);
}

static void test_yamux_window_grows(void **state)
{
    (void)state;
    static struct mux_end a, b;
    struct lp2p_mux_config config = {.keepalive_ns = LP2P_NEVER, .window_max_bytes = 3 * WINDOW};
    uint64_t stream = pair_with_stream(&a, &b, &config);
    /* The round trip is not known: no growth. */
    use_up_window(&a, &b, stream, 1);
    assert_int_equal(stream_at(&b, 1)->window, WINDOW);
    b.mux->stats.rtt_ns = LP2P_MS(10);
    use_up_window(&a, &b, stream, LP2P_MS(40));
    assert_int_equal(stream_at(&b, 1)->window, WINDOW);
    use_up_window(&a, &b, stream, LP2P_MS(39));
    assert_int_equal(stream_at(&b, 1)->window, 2 * WINDOW);
    assert_int_equal(stream_at(&b, 1)->credit_in, 2 * WINDOW);
    assert_int_equal(stream_at(&a, stream)->credit_out, 2 * WINDOW);
    /* Doubling stops at the maximum, and there the credit goes on. */
    use_up_window(&a, &b, stream, LP2P_MS(1));
    assert_int_equal(stream_at(&b, 1)->window, 3 * WINDOW);
    use_up_window(&a, &b, stream, LP2P_MS(1));
    assert_int_equal(stream_at(&b, 1)->window, 3 * WINDOW);
    assert_int_equal(stream_at(&a, stream)->credit_out, 3 * WINDOW);
    assert_int_equal(end_stats(&b).window_bytes, 3 * WINDOW);
    end_fini(&a);
    end_fini(&b);
}

static void test_yamux_windows_total(void **state)
{
    (void)state;
    static struct mux_end a, b;
    struct lp2p_mux_config config = {.keepalive_ns = LP2P_NEVER,
                                     .windows_total_max_bytes = 3 * WINDOW + 1000};
    uint64_t stream = pair_with_stream(&a, &b, &config), other;
    assert_int_equal(a.ops->open(a.mux, a.now, &other), LP2P_OK);
    end_carry(&a, &b, FRAME_CAP);
    (void)end_events(&b, false);
    b.mux->stats.rtt_ns = LP2P_MS(10);
    use_up_window(&a, &b, stream, 1);
    assert_int_equal(stream_at(&b, 1)->window, 2 * WINDOW);
    use_up_window(&a, &b, stream, 1);
    assert_int_equal(stream_at(&b, 1)->window, 2 * WINDOW + 1000);
    use_up_window(&a, &b, stream, 1);
    assert_int_equal(stream_at(&b, 1)->window, 2 * WINDOW + 1000);
    assert_int_equal(end_stats(&b).window_bytes, 3 * WINDOW + 1000);
    /* A stream that ends gives its share back. */
    assert_int_equal(b.ops->reset(b.mux, 2, 0), LP2P_OK);
    use_up_window(&a, &b, stream, 1);
    assert_int_equal(stream_at(&b, 1)->window, 3 * WINDOW + 1000);
    end_fini(&a);
    end_fini(&b);
}

/** More than the window that was granted ends the session, also when the window has grown. */
static void test_yamux_grown_window_is_enforced(void **state)
{
    (void)state;
    static struct mux_end a, b;
    uint64_t stream = pair_with_stream(&a, &b, &no_pings);
    b.mux->stats.rtt_ns = LP2P_MS(10);
    use_up_window(&a, &b, stream, 1);
    stream_at(&a, stream)->credit_out += 1; /* a cheats */
    assert_int_equal(end_write(&a, stream, zeros, 2 * WINDOW + 1), LP2P_OK);
    while (end_carry(&a, &b, FRAME_CAP) > 0 && strstr(end_events(&b, false), "ECREDIT") == NULL) {
        (void)end_events(&a, false);
    }
    assert_int_equal(b.mux->reason, LP2P_ECREDIT);
    assert_true(end_stats(&b).bytes_in < 3 * WINDOW + 1);
    end_fini(&a);
    end_fini(&b);
}

/* Pings. */

static void ping_answer(struct mux_end *end, char *out)
{
    const char *ping = end_output(end);
    assert_int_equal(strlen(ping), 2 * LP2P_YAMUX_HEADER);
    assert_memory_equal(ping, "0002000100000000", 16);
    sprintf(out, "0002000200000000%s", ping + 16);
}

static void test_yamux_keepalive(void **state)
{
    (void)state;
    static struct mux_end end;
    char answer[64];
    struct lp2p_mux_config defaults = {0};
    end_init(&end, &lp2p_yamux_ops, &defaults, true);
    assert_true(end.ops->wants_write(end.mux)); /* the first ping leaves at once */
    ping_answer(&end, answer);
    assert_true(end.ops->deadline(end.mux) == end.now + LP2P_SEC(10));
    end.now += LP2P_MS(25);
    assert_int_equal(end_feed_hex(&end, "000200020000000000000001"), LP2P_OK); /* another's answer */
    assert_int_equal(end_stats(&end).rtt_ns, 0);
    assert_int_equal(end_feed_hex(&end, answer), LP2P_OK);
    assert_true(end_stats(&end).rtt_ns == LP2P_MS(25));
    assert_int_equal(end_feed_hex(&end, answer), LP2P_OK); /* twice is no fault */
    assert_true(end.ops->deadline(end.mux) == end.now + LP2P_SEC(30));
    end.ops->tick(end.mux, end.now + LP2P_SEC(30) - 1);
    assert_false(end.ops->wants_write(end.mux));
    end.now += LP2P_SEC(30);
    end.ops->tick(end.mux, end.now);
    assert_true(end.ops->wants_write(end.mux));
    assert_true(end.ops->deadline(end.mux) == LP2P_NEVER); /* the answer's time runs from when it leaves */
    ping_answer(&end, answer);
    /* Whoever still sends is alive. */
    end.now += LP2P_SEC(6);
    assert_int_equal(end_feed_hex(&end, "000200020000000000000001"), LP2P_OK);
    assert_true(end.ops->deadline(end.mux) == end.now + LP2P_SEC(10));
    end.now += LP2P_SEC(10) - 1;
    end.ops->tick(end.mux, end.now);
    assert_string_equal(end_events(&end, true), "");
    end.now += 1;
    end.ops->tick(end.mux, end.now);
    assert_string_equal(end_events(&end, true), "ETIMEDOUT 0");
    assert_string_equal(end_output(&end), "");
    assert_true(end.ops->deadline(end.mux) == LP2P_NEVER);
    end_fini(&end);

    end_init(&end, &lp2p_yamux_ops, &no_pings, true);
    assert_false(end.ops->wants_write(end.mux));
    assert_true(end.ops->deadline(end.mux) == LP2P_NEVER);
    end_fini(&end);
}

/* Turns. */

static void test_yamux_streams_take_turns(void **state)
{
    (void)state;
    static struct mux_end end;
    uint64_t streams[3];
    static uint8_t out[FRAME_CAP];
    uint32_t turns[3] = {0};
    end_init(&end, &lp2p_yamux_ops, &no_pings, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(end.ops->open(end.mux, end.now, &streams[i]), LP2P_OK);
        assert_int_equal(end_write(&end, streams[i], zeros, WINDOW), LP2P_OK);
    }
    for (int turn = 0; turn < 12; turn++) {
        /* Two full frames each. */
        struct lp2p_yamux_header header;
        assert_int_equal(end_drain(&end, out, sizeof(out)), FRAME_CAP);
        lp2p_yamux_header_get(out, &header);
        assert_int_equal(header.length, FRAME_CAP - LP2P_YAMUX_HEADER);
        assert_int_equal(header.id, 1 + 2 * (turn / 2 % 3));
        assert_int_equal(header.flags, turn < 6 && turn % 2 == 0 ? LP2P_YAMUX_SYN : 0);
        turns[turn / 2 % 3]++;
        if (turn == 5) {
            /* Control does not wait behind the queues. */
            (void)end_events(&end, false);
            assert_int_equal(end_feed_hex(&end, "000200010000000000000064"), LP2P_OK);
            assert_int_equal(end_drain(&end, out, 64), LP2P_YAMUX_HEADER);
            assert_memory_equal(out, "\x00\x02\x00\x02\x00\x00\x00\x00\x00\x00\x00\x64", 12);
        }
    }
    assert_int_equal(turns[0], 4);
    end_fini(&end);
}

static uint64_t queued(struct mux_end *end, const uint64_t *streams, size_t len)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < len; i++) {
        bytes += stream_at(end, streams[i])->base.out.bytes;
    }
    return bytes;
}

/** A few bytes do not wait behind the bulk of other streams; and however many of them come, the bulk goes on. */
static void test_yamux_few_bytes_pass(void **state)
{
    (void)state;
    static struct mux_end end;
    static uint8_t out[FRAME_CAP];
    enum { BULK = 4, FEW = 40 };
    uint64_t bulk[BULK], few[FEW];
    end_init(&end, &lp2p_yamux_ops, &no_pings, true);
    for (int i = 0; i < BULK; i++) {
        assert_int_equal(end.ops->open(end.mux, end.now, &bulk[i]), LP2P_OK);
        assert_int_equal(end_write(&end, bulk[i], zeros, WINDOW), LP2P_OK);
    }
    for (int i = 0; i < FEW; i++) {
        assert_int_equal(end.ops->open(end.mux, end.now, &few[i]), LP2P_OK);
    }
    assert_int_equal(end_drain(&end, out, sizeof(out)), FRAME_CAP); /* with their SYNs */
    assert_int_equal(end_write(&end, few[0], zeros, 100), LP2P_OK);
    assert_int_equal(end_drain(&end, out, sizeof(out)), FRAME_CAP);
    struct lp2p_yamux_header header;
    lp2p_yamux_header_get(out, &header);
    assert_int_equal(header.id, 1 + 2 * BULK);
    assert_int_equal(header.length, 100);

    uint64_t before = queued(&end, bulk, BULK);
    for (int round = 0; round < 8; round++) {
        for (int i = 0; i < FEW; i++) {
            assert_int_equal(end_write(&end, few[i], zeros, 1000), LP2P_OK);
        }
        assert_int_equal(end_drain(&end, out, sizeof(out)), FRAME_CAP);
    }
    assert_in_range(before - queued(&end, bulk, BULK), 8 * FRAME_CAP / 2, 8 * FRAME_CAP);
    end_fini(&end);
}

/** Small writes of many streams share a buffer; a tiny rest of it is not filled with a stump. */
static void test_yamux_buffer_is_filled(void **state)
{
    (void)state;
    static struct mux_end end;
    static uint8_t out[4096];
    end_init(&end, &lp2p_yamux_ops, &no_pings, true);
    for (int i = 0; i < 10; i++) {
        uint64_t stream;
        assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
        assert_int_equal(end_write(&end, stream, zeros, 88), LP2P_OK);
        assert_int_equal(end_write(&end, stream, zeros, i == 9 ? 5000 : 0), LP2P_OK);
    }
    assert_int_equal(end_drain(&end, out, 1100), 900);
    assert_int_equal(end_drain(&end, out, sizeof(out)), sizeof(out));
    assert_int_equal(end_drain(&end, out, 64), 64); /* alone in a small buffer it makes the best of it */
    end_fini(&end);
}

/** A buffer with holes is, filled in, the buffer that is drained without them; small bodies leave none. */
static void test_yamux_drains_around_bodies(void **state)
{
    (void)state;
    static uint8_t body[100000], around[3][65507], plain[3][65507];
    static const size_t sizes[] = {50, LP2P_MUX_HOLE_MIN - 1, LP2P_MUX_HOLE_MIN, 5000, 30000, 6000, 7000, 8000, 9000, 100};
    struct mux_end ends[2];
    size_t holes_seen = 0;
    for (size_t i = 0; i < sizeof(body); i++) {
        body[i] = (uint8_t)(i * 7 + i / 256);
    }
    for (int e = 0; e < 2; e++) {
        uint64_t streams[2];
        end_init(&ends[e], &lp2p_yamux_ops, &no_pings, true);
        for (size_t s = 0; s < 2; s++) {
            assert_int_equal(ends[e].ops->open(ends[e].mux, ends[e].now, &streams[s]), LP2P_OK);
        }
        for (size_t i = 0; i < LP2P_ARRAY_LEN(sizes); i++) {
            struct lp2p_slice slice = lp2p_slice_copy(body + i, sizes[i]);
            assert_int_equal(ends[e].ops->write(ends[e].mux, streams[i % 2], &slice), LP2P_OK);
        }
        assert_int_equal(ends[e].ops->close_write(ends[e].mux, streams[0]), LP2P_OK);
    }
    for (size_t i = 0; i < LP2P_ARRAY_LEN(plain); i++) {
        struct lp2p_mux_holes holes = {0};
        size_t cap = i == 0 ? 20000 : sizeof(plain[i]);
        size_t len = ends[0].ops->drain_around(ends[0].mux, around[i], cap, ends[0].now, &holes);
        assert_int_equal(ends[1].ops->drain(ends[1].mux, plain[i], cap, ends[1].now), len);
        holes_seen += holes.len;
        for (unsigned k = 0; k < holes.len; k++) {
            assert_true(holes.of[k].data.len >= LP2P_MUX_HOLE_MIN && holes.of[k].at + holes.of[k].data.len <= len);
            memcpy(around[i] + holes.of[k].at, holes.of[k].data.ptr, holes.of[k].data.len);
            lp2p_slice_drop(&holes.of[k].data);
        }
        assert_memory_equal(around[i], plain[i], len);
    }
    assert_in_range(holes_seen, 5, 8);
    assert_false(ends[0].ops->wants_write(ends[0].mux));
    end_fini(&ends[0]);
    end_fini(&ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yamux_window_is_respected),
        cmocka_unit_test(test_yamux_credit_in_small_parts),
        cmocka_unit_test(test_yamux_window_grows),
        cmocka_unit_test(test_yamux_windows_total),
        cmocka_unit_test(test_yamux_grown_window_is_enforced),
        cmocka_unit_test(test_yamux_keepalive),
        cmocka_unit_test(test_yamux_streams_take_turns),
        cmocka_unit_test(test_yamux_few_bytes_pass),
        cmocka_unit_test(test_yamux_buffer_is_filled),
        cmocka_unit_test(test_yamux_drains_around_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
