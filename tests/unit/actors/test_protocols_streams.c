/* SPDX-License-Identifier: MIT
 * The residents ping and serve, and with them the bookkeeping of streams that all protocol actors share. */
#include "actors/protocols/streams.h"
#include "protocols_stage.h"

#include "actors/protocols/ping.h"
#include "actors/protocols/serve.h"

#include <string.h>

#define CREDIT LP2P_STREAM_CREDIT

static struct stage *ping_stage(void)
{
    struct stage *stage = stage_new();
    stage_start(stage, &lp2p_ping_ops);
    struct lp2p_m_register *m = STAGE_TAKE(stage, REGISTER, register);
    assert_non_null(m);
    assert_string_equal(m->entry.id, LP2P_PING_PROTOCOL);
    assert_int_equal(m->entry.resident, LP2P_RESIDENT_PING);
    assert_true(lp2p_ref_eq(m->entry.actor, LP2P_REF_NONE));
    STAGE_DROP(m);
    return stage;
}

static void test_ping_echoes_and_closes(void **state)
{
    (void)state;
    struct stage *stage = ping_stage();
    uint8_t out[256];
    bool fin;
    stage_opened(stage, 1, LP2P_PING_PROTOCOL, false, 0, CREDIT, NULL);
    stage_data(stage, 1, "0123456789abcdef0123456789abcdefAB", 34);
    assert_int_equal(stage_written(stage, 1, out, sizeof(out), &fin), 32);
    assert_memory_equal(out, "0123456789abcdef0123456789abcdef", 32);
    assert_false(fin);
    stage_data(stage, 1, "0123456789abcdef0123456789abcd", 30);
    assert_int_equal(stage_written(stage, 1, out, sizeof(out), &fin), 32);
    assert_memory_equal(out, "AB0123", 6);
    assert_int_equal(stage_consumed(stage, 1), 0); /* not for so little */
    stage_eof(stage, 1);
    assert_int_equal(stage_written(stage, 1, out, sizeof(out), &fin), 0);
    assert_true(fin);
    assert_false(stage_aborted(stage, 1));
    stage_data(stage, 1, "late", 4); /* the stream is over: ignored */
    assert_int_equal(stage_consumed(stage, 1), 0);
    stage_free(stage);
}

/** Word of what was used goes to the muxer in steps: not for each ping, and long before the window is used
 * up. */
static void test_ping_grants_in_steps(void **state)
{
    (void)state;
    struct stage *stage = ping_stage();
    uint8_t block[1024] = {0}, out[2048];
    size_t granted = 0;
    bool fin;
    stage_opened(stage, 1, LP2P_PING_PROTOCOL, false, 0, CREDIT, NULL);
    for (size_t sent = sizeof(block); sent <= 64u * 1024; sent += sizeof(block)) {
        stage_data(stage, 1, block, sizeof(block));
        assert_int_equal(stage_written(stage, 1, out, sizeof(out), &fin), sizeof(block));
        granted += stage_consumed(stage, 1);
        assert_true(sent - granted < LP2P_CONSUMED_STEP);
        assert_true(granted % LP2P_CONSUMED_STEP == 0);
    }
    assert_int_equal(granted, 64u * 1024);
    stage_free(stage);
}

static void test_ping_cuts_off(void **state)
{
    (void)state;
    struct stage *stage = ping_stage();
    stage_opened(stage, 1, LP2P_PING_PROTOCOL, false, 0, CREDIT, NULL);
    stage_data(stage, 1, "half", 4);
    stage_eof(stage, 1);
    assert_true(stage_aborted(stage, 1));
    stage_opened(stage, 2, LP2P_PING_PROTOCOL, false, 0, CREDIT, NULL);
    stage_pass(stage, LP2P_SEC(59));
    assert_false(stage_aborted(stage, 2));
    stage_pass(stage, LP2P_SEC(2));
    assert_true(stage_aborted(stage, 2));
    /* Asks on and on, and never reads an answer. */
    stage_opened(stage, 3, LP2P_PING_PROTOCOL, false, 0, 1024, NULL);
    uint8_t block[512] = {0};
    stage_data(stage, 3, block, sizeof(block));
    assert_false(stage_aborted(stage, 3));
    stage_data(stage, 3, block, sizeof(block));
    assert_true(stage_aborted(stage, 3));
    stage_free(stage);
}

static void test_ping_measures(void **state)
{
    (void)state;
    struct stage *stage = ping_stage();
    struct lp2p_op *op = stage_op();
    uint8_t out[64];
    bool fin;
    stage_opened(stage, 5, LP2P_PING_PROTOCOL, true, 9, CREDIT, op);
    assert_int_equal(stage_written(stage, 5, out, sizeof(out), &fin), 32);
    assert_false(fin);
    stage_pass(stage, LP2P_MS(5));
    stage_data(stage, 5, out, 10);
    assert_int_equal(lp2p_op_result(op), LP2P_EAGAIN);
    stage_data(stage, 5, out + 10, 22);
    assert_int_equal(lp2p_op_number(op), LP2P_MS(5));
    stage_op_is(op, LP2P_OK);
    assert_int_equal(stage_written(stage, 5, out, sizeof(out), &fin), 0);
    assert_true(fin);
    stage_eof(stage, 5);
    stage_pass(stage, LP2P_SEC(60));
    assert_false(stage_aborted(stage, 5));
    stage_free(stage);
}

static void test_ping_failures(void **state)
{
    (void)state;
    struct stage *stage = ping_stage();
    struct lp2p_op *op = stage_op();
    uint8_t wrong[32] = {0};
    stage_opened(stage, 1, LP2P_PING_PROTOCOL, true, 0, CREDIT, op);
    stage_data(stage, 1, wrong, sizeof(wrong));
    assert_true(stage_aborted(stage, 1));
    stage_op_is(op, LP2P_EPROTO);
    op = stage_op();
    stage_opened(stage, 2, LP2P_PING_PROTOCOL, true, 0, CREDIT, op);
    stage_pass(stage, LP2P_SEC(11));
    assert_true(stage_aborted(stage, 2));
    stage_op_is(op, LP2P_ETIMEDOUT);
    op = stage_op();
    stage_opened(stage, 3, LP2P_PING_PROTOCOL, true, 0, CREDIT, op);
    stage_eof(stage, 3);
    assert_true(stage_aborted(stage, 3));
    stage_op_is(op, LP2P_EEOF);
    op = stage_op();
    stage_opened(stage, 4, LP2P_PING_PROTOCOL, true, 0, CREDIT, op);
    stage_reset(stage, 4, LP2P_ERESET);
    assert_false(stage_aborted(stage, 4)); /* the muxer knows */
    stage_op_is(op, LP2P_ERESET);
    op = stage_op();
    struct lp2p_m_stream_open_failed *m = LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
    m->reason = LP2P_ENEGOTIATION;
    snprintf(m->text, sizeof(m->text), "no ping there");
    m->op = lp2p_op_ref(op);
    STAGE_POST(stage, m);
    assert_string_equal(lp2p_op_detail(op), "no ping there");
    stage_op_is(op, LP2P_ENEGOTIATION);
    op = stage_op();
    stage_opened(stage, 6, LP2P_PING_PROTOCOL, true, 0, CREDIT, op);
    stage_free(stage); /* the node stops meanwhile */
    stage_op_is(op, LP2P_ECLOSED);
}

/* ---- echo and perf */

static struct stage *serve_stage(void)
{
    struct stage *stage = stage_new();
    stage->ctx.config.serve_echo = stage->ctx.config.serve_perf = true;
    stage_start(stage, &lp2p_serve_ops);
    assert_int_equal(stage_count(stage, &LP2P_M_REGISTER), 2);
    return stage;
}

static void test_serve_offers_what_is_configured(void **state)
{
    (void)state;
    struct stage *stage = stage_new();
    stage_start(stage, &lp2p_serve_ops);
    STAGE_NONE(stage, REGISTER);
    stage_free(stage);
    stage = stage_new();
    stage->ctx.config.serve_echo = true;
    stage_start(stage, &lp2p_serve_ops);
    struct lp2p_m_register *m = STAGE_TAKE(stage, REGISTER, register);
    assert_string_equal(m->entry.id, LP2P_ECHO_PROTOCOL);
    STAGE_DROP(m);
    STAGE_NONE(stage, REGISTER);
    stage_free(stage);
}

/* Window is granted for what was passed on, and never more is passed on than there is credit for. */
static void test_echo_backpressure(void **state)
{
    (void)state;
    struct stage *stage = serve_stage();
    static uint8_t in[300000], out[400000];
    bool fin;
    for (size_t i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t)(i * 31);
    }
    stage_opened(stage, 1, LP2P_ECHO_PROTOCOL, false, 0, 100000, NULL);
    stage_data(stage, 1, in, 60000);
    stage_data(stage, 1, in + 60000, 240000);
    size_t len = stage_written(stage, 1, out, sizeof(out), &fin);
    assert_int_equal(len, 100000);
    assert_int_equal(stage_consumed(stage, 1), 100000);
    stage_credit(stage, 1, 50000);
    len += stage_written(stage, 1, out + len, sizeof(out) - len, &fin);
    assert_int_equal(len, 150000);
    assert_int_equal(stage_consumed(stage, 1), 50000);
    stage_eof(stage, 1);
    assert_int_equal(stage_written(stage, 1, out + len, sizeof(out) - len, &fin), 0);
    assert_false(fin);
    stage_credit(stage, 1, 100000);
    stage_credit(stage, 1, 100000);
    len += stage_written(stage, 1, out + len, sizeof(out) - len, &fin);
    assert_true(fin);
    assert_int_equal(len, sizeof(in));
    assert_memory_equal(in, out, sizeof(in));
    assert_false(stage_aborted(stage, 1));
    stage_free(stage);
}

static void test_echo_resets(void **state)
{
    (void)state;
    struct stage *stage = serve_stage();
    stage_opened(stage, 1, LP2P_ECHO_PROTOCOL, false, 0, 0, NULL);
    stage_data(stage, 1, "abc", 3);
    stage_reset(stage, 1, LP2P_ERESET);
    stage_credit(stage, 1, 100);
    uint8_t out[16];
    bool fin;
    assert_int_equal(stage_written(stage, 1, out, sizeof(out), &fin), 0);
    stage_opened(stage, 2, LP2P_ECHO_PROTOCOL, false, 0, 0, NULL);
    stage_pass(stage, LP2P_SEC(601));
    assert_true(stage_aborted(stage, 2));
    stage_free(stage);
}

static void test_perf_sends_what_was_asked(void **state)
{
    (void)state;
    struct stage *stage = serve_stage();
    static uint8_t out[300000];
    const uint8_t number[8] = {0, 0, 0, 0, 0, 3, 0xd0, 0x90}; /* 250,000 */
    bool fin;
    stage_opened(stage, 1, LP2P_PERF_PROTOCOL, false, 0, CREDIT, NULL);
    stage_data(stage, 1, number, 8);
    stage_data(stage, 1, out, 100000);
    assert_int_equal(stage_consumed(stage, 1), 100008);
    assert_int_equal(stage_written(stage, 1, out, sizeof(out), &fin), 0);
    stage_eof(stage, 1);
    size_t len = stage_written(stage, 1, out, sizeof(out), &fin);
    assert_int_equal(len, CREDIT);
    assert_false(fin);
    stage_credit(stage, 1, CREDIT);
    len += stage_written(stage, 1, out, sizeof(out), &fin);
    assert_int_equal(len, 250000);
    assert_true(fin);
    stage_opened(stage, 2, LP2P_PERF_PROTOCOL, false, 0, CREDIT, NULL);
    stage_data(stage, 2, number, 7);
    stage_eof(stage, 2);
    assert_true(stage_aborted(stage, 2));
    const uint8_t nothing[8] = {0};
    stage_opened(stage, 3, LP2P_PERF_PROTOCOL, false, 0, CREDIT, NULL);
    stage_data(stage, 3, nothing, 8);
    stage_eof(stage, 3);
    assert_int_equal(stage_written(stage, 3, out, sizeof(out), &fin), 0);
    assert_true(fin);
    stage_free(stage);
}

/* Many streams at once, in an order of ends that the table must survive. */
static void test_streams_many(void **state)
{
    (void)state;
    struct stage *stage = serve_stage();
    uint8_t out[16];
    bool fin;
    for (uint64_t i = 0; i < 1000; i++) {
        stage_opened(stage, i, LP2P_ECHO_PROTOCOL, false, 0, 64, NULL);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t at = i * 7 % 1000;
        stage_data(stage, at, &at, sizeof(at));
        stage_eof(stage, at);
        assert_int_equal(stage_written(stage, at, out, sizeof(out), &fin), sizeof(at));
        assert_memory_equal(out, &at, sizeof(at));
        assert_true(fin);
    }
    STAGE_NONE(stage, STREAM_ABORT);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping_echoes_and_closes),
        cmocka_unit_test(test_ping_grants_in_steps),
        cmocka_unit_test(test_ping_cuts_off),
        cmocka_unit_test(test_ping_measures),
        cmocka_unit_test(test_ping_failures),
        cmocka_unit_test(test_serve_offers_what_is_configured),
        cmocka_unit_test(test_echo_backpressure),
        cmocka_unit_test(test_echo_resets),
        cmocka_unit_test(test_perf_sends_what_was_asked),
        cmocka_unit_test(test_streams_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
