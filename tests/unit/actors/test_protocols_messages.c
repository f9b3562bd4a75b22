/* SPDX-License-Identifier: MIT
 * The messages actor, with the two traps of Lotus nodes: their side of a stream is never closed, and a FIN
 * must not travel with the negotiation. */
#include "protocols_stage.h"

#include "actors/protocols/messages_private.h"

#include <stdlib.h>
#include <string.h>

#define CREDIT LP2P_STREAM_CREDIT
#define PROTOCOL LP2P_LOTUS_MESSAGE_PROTOCOL

static uint64_t wall_ms; /* the timestamp of the messages here */

static struct stage *messages_stage(void)
{
    struct stage *stage = stage_new();
    stage_start(stage, &lp2p_messages_ops);
    wall_ms = stage->wall_ms;
    struct lp2p_m_register *m = STAGE_TAKE(stage, REGISTER, register);
    assert_string_equal(m->entry.id, PROTOCOL);
    assert_int_equal(m->entry.resident, LP2P_RESIDENT_NONE);
    assert_true(lp2p_ref_eq(m->entry.actor, stage->actor));
    assert_true(m->entry.streams_in_max >= 32);
    STAGE_DROP(m);
    return stage;
}

static struct lp2p_slice message_of(const char *id, const char *protocol)
{
    char text[512];
    int len = snprintf(text, sizeof(text),
                       "{\"type\":\"t\",\"from\":\"f\",\"timestamp\":%llu,\"messageId\":\"%s\"%s%s%s}",
                       (unsigned long long)wall_ms, id, protocol == NULL ? "" : ",\"protocol\":\"",
                       protocol == NULL ? "" : protocol, protocol == NULL ? "" : "\"");
    return lp2p_slice_copy(text, (size_t)len);
}

static struct lp2p_m_message_send *new_send(struct stage *stage, const char *id, struct lp2p_op *op)
{
    struct lp2p_m_message_send *m = LP2P_NEW(MESSAGE_SEND, message_send);
    assert_non_null(m);
    m->peer = stage->peer;
    m->json = message_of(id, NULL);
    m->op = lp2p_op_ref(op);
    return m;
}

static void send_message(struct stage *stage, const char *id, struct lp2p_op *op)
{
    struct lp2p_m_message_send *m = new_send(stage, id, op);
    STAGE_POST(stage, m);
}

static bool asked_if_spoken; /* the last request */

/* Takes a request for a stream; returns its tag, 0 when there is none. */
static uint64_t asked(struct stage *stage)
{
    struct lp2p_m_peer_stream_open *m = STAGE_TAKE(stage, PEER_STREAM_OPEN, peer_stream_open);
    if (m == NULL) {
        return 0;
    }
    uint64_t tag = m->reply_tag;
    asked_if_spoken = m->if_spoken;
    assert_string_equal(m->protocols[0], PROTOCOL);
    assert_int_equal(m->resident, LP2P_RESIDENT_NONE);
    assert_true(tag != 0);
    STAGE_DROP(m);
    return tag;
}

static size_t written(struct stage *stage, uint64_t number, bool *fin)
{
    static uint8_t out[LP2P_LOTUS_MESSAGE_MAX + 1];
    return stage_written(stage, number, out, sizeof(out), fin);
}

/* ---- sending */

static void test_messages_sends_one(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    struct lp2p_op *op = stage_op();
    bool fin;
    send_message(stage, "1", op);
    uint64_t tag = asked(stage);
    STAGE_NONE(stage, STREAM_WRITE); /* nothing before the protocol was agreed */
    stage_opened(stage, 1, PROTOCOL, true, tag, CREDIT, NULL);
    size_t len = written(stage, 1, &fin);
    struct lp2p_slice expected = message_of("1", NULL);
    assert_int_equal(len, expected.len);
    lp2p_slice_drop(&expected);
    assert_true(fin);
    assert_int_equal(lp2p_op_result(op), LP2P_EAGAIN); /* not framed yet */
    stage_credit(stage, 1, (uint32_t)len);
    stage_op_is(op, LP2P_OK);
    assert_int_equal(LP2P_READ(&stage->ctx, messages_out), 1);
    stage_eof(stage, 1); /* a peer of our kind closes */
    stage_pass(stage, LP2P_SEC(10));
    assert_false(stage_aborted(stage, 1));
    stage_free(stage);
}

/* A Lotus node does not close: the stream is cut off after a grace, not before. */
static void test_messages_cuts_off_after_grace(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    bool fin;
    send_message(stage, "1", NULL);
    stage_opened(stage, 1, PROTOCOL, true, asked(stage), CREDIT, NULL);
    stage_credit(stage, 1, (uint32_t)written(stage, 1, &fin));
    stage_pass(stage, LP2P_MS(1900));
    assert_false(stage_aborted(stage, 1));
    stage_pass(stage, LP2P_MS(200));
    assert_true(stage_aborted(stage, 1));
    stage_free(stage);
}

static void test_messages_credit_in_parts(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    struct lp2p_op *op = stage_op();
    bool fin;
    send_message(stage, "1", op);
    stage_opened(stage, 1, PROTOCOL, true, asked(stage), 10, NULL);
    assert_int_equal(written(stage, 1, &fin), 10);
    assert_false(fin);
    stage_credit(stage, 1, 10);
    assert_int_equal(written(stage, 1, &fin), 10);
    stage_credit(stage, 1, 1000);
    size_t rest = written(stage, 1, &fin);
    assert_true(fin);
    assert_int_equal(lp2p_op_result(op), LP2P_EAGAIN);
    stage_credit(stage, 1, (uint32_t)rest);
    stage_op_is(op, LP2P_OK);
    stage_free(stage);
}

static void test_messages_send_failures(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    struct lp2p_op *op = stage_op();
    send_message(stage, "1", op);
    struct lp2p_m_stream_open_failed *m = LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
    m->msg.tag = asked(stage);
    m->reason = LP2P_ENEGOTIATION;
    snprintf(m->text, sizeof(m->text), "it does not speak that");
    STAGE_POST(stage, m);
    assert_string_equal(lp2p_op_detail(op), "it does not speak that");
    stage_op_is(op, LP2P_ENEGOTIATION);

    op = stage_op(); /* reset before it was framed: failed */
    send_message(stage, "2", op);
    stage_opened(stage, 2, PROTOCOL, true, asked(stage), CREDIT, NULL);
    stage_reset(stage, 2, LP2P_ERESET);
    stage_op_is(op, LP2P_ERESET);

    op = stage_op(); /* reset after it was framed: the protocol has no acknowledgement, it counts as sent */
    bool fin;
    send_message(stage, "3", op);
    stage_opened(stage, 3, PROTOCOL, true, asked(stage), CREDIT, NULL);
    stage_credit(stage, 3, (uint32_t)written(stage, 3, &fin));
    stage_reset(stage, 3, LP2P_ERESET);
    stage_op_is(op, LP2P_OK);

    op = stage_op(); /* the peer takes no bytes */
    send_message(stage, "4", op);
    stage_opened(stage, 4, PROTOCOL, true, asked(stage), 0, NULL);
    stage_pass(stage, LP2P_SEC(31));
    assert_true(stage_aborted(stage, 4));
    stage_op_is(op, LP2P_ETIMEDOUT);

    op = stage_op(); /* nobody answers the request */
    send_message(stage, "5", op);
    uint64_t tag = asked(stage);
    stage_pass(stage, LP2P_SEC(46));
    stage_op_is(op, LP2P_ETIMEDOUT);
    stage_opened(stage, 5, PROTOCOL, true, tag, CREDIT, NULL); /* and then it does */
    assert_true(stage_aborted(stage, 5));

    op = stage_op(); /* the user gives up */
    send_message(stage, "6", op);
    lp2p_op_cancel(op);
    stage_opened(stage, 6, PROTOCOL, true, asked(stage), CREDIT, NULL);
    assert_true(stage_aborted(stage, 6));
    stage_op_is(op, LP2P_ECANCELED);
    stage_free(stage);
}

/* 200 messages in a row to a node that never closes its side and takes 32 streams at the most: all arrive. */
static void test_messages_never_more_than_28_unclosed(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    struct lp2p_op *ops[200];
    char id[16];
    uint64_t opened = 0, closed = 0;
    bool fin;
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof(id), "%d", i);
        ops[i] = stage_op();
        send_message(stage, id, ops[i]);
    }
    uint64_t began = lp2p_sim_now(stage->rt);
    while (opened < 200) {
        uint64_t tag;
        while ((tag = asked(stage)) != 0) {
            opened++;
            stage_opened(stage, opened, PROTOCOL, true, tag, CREDIT, NULL);
            stage_credit(stage, opened, (uint32_t)written(stage, opened, &fin));
            assert_true(fin);
        }
        assert_true(opened - closed <= LP2P_SEND_UNCLOSED_MAX);
        stage_pass(stage, LP2P_MS(20));
        for (uint64_t i = 1; i <= opened; i++) {
            closed += stage_aborted(stage, i);
        }
        assert_true(lp2p_sim_now(stage->rt) - began < LP2P_SEC(60));
    }
    /* With others waiting, half a second of grace is enough: 8 rounds of 28. */
    assert_true(lp2p_sim_now(stage->rt) - began <= LP2P_SEC(5));
    for (int i = 0; i < 200; i++) {
        stage_op_is(ops[i], LP2P_OK);
    }
    stage_pass(stage, LP2P_SEC(3));
    for (uint64_t i = 1; i <= opened; i++) {
        closed += stage_aborted(stage, i);
    }
    assert_int_equal(closed, 200);
    stage_free(stage);
}

static void test_messages_queue_is_bounded(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    for (int i = 0; i < LP2P_SEND_WAITING_MAX + LP2P_SEND_UNCLOSED_MAX; i++) {
        send_message(stage, "x", NULL);
    }
    assert_int_equal(stage_count(stage, &LP2P_M_PEER_STREAM_OPEN), LP2P_SEND_UNCLOSED_MAX);
    struct lp2p_op *op = stage_op();
    send_message(stage, "x", op);
    stage_op_is(op, LP2P_ELIMIT);
    assert_int_equal(LP2P_READ(&stage->ctx, messages_dropped), 1);
    op = stage_op(); /* other peers are not concerned */
    struct lp2p_m_message_send *m = new_send(stage, "y", op);
    m->peer = stage->ctx.self;
    STAGE_POST(stage, m);
    assert_int_equal(stage_count(stage, &LP2P_M_PEER_STREAM_OPEN), LP2P_SEND_UNCLOSED_MAX + 1);
    stage_free(stage);
    stage_op_is(op, LP2P_ECLOSED);
}

static void test_messages_refuses_oversize(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    struct lp2p_op *op = stage_op();
    struct lp2p_m_message_send *m = new_send(stage, "1", op);
    uint8_t *big = calloc(1, LP2P_LOTUS_MESSAGE_MAX + 1);
    lp2p_slice_drop(&m->json);
    m->json = lp2p_slice_copy(big, LP2P_LOTUS_MESSAGE_MAX + 1);
    free(big);
    STAGE_POST(stage, m);
    stage_op_is(op, LP2P_ELIMIT);
    STAGE_NONE(stage, PEER_STREAM_OPEN);
    stage_free(stage);
}

/* ---- broadcast */

static void route(struct stage *stage, const char *name, struct lp2p_ref who)
{
    struct lp2p_m_message_route *m = LP2P_NEW(MESSAGE_ROUTE, message_route);
    snprintf(m->name, sizeof(m->name), "%s", name);
    m->who = who;
    STAGE_POST(stage, m);
}

static void broadcast(struct stage *stage, size_t peers, const char *protocol, struct lp2p_op *op)
{
    struct lp2p_m_message_send *m = new_send(stage, "b", op);
    m->peer.len = 0;
    m->peers = calloc(peers + 1, sizeof(*m->peers));
    for (; m->peers_len < peers; m->peers_len++) {
        m->peers[m->peers_len] = lp2p_peer_info_new();
        m->peers[m->peers_len]->id = stage->peer;
        m->peers[m->peers_len]->id.bytes[20] ^= (uint8_t)m->peers_len;
    }
    lp2p_slice_drop(&m->json);
    m->json = message_of("b", protocol);
    m->deliver_local = true;
    STAGE_POST(stage, m);
}

static void test_messages_broadcast(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    struct lp2p_op *op = stage_op();
    bool fin;
    route(stage, "chat", stage->recorder);
    broadcast(stage, 3, "chat", op);
    assert_int_equal(stage_count(stage, &LP2P_M_PEER_STREAM_OPEN), 3);
    for (uint64_t i = 1; i <= 2; i++) {
        stage_opened(stage, i, PROTOCOL, true, asked(stage), CREDIT, NULL);
        stage_credit(stage, i, (uint32_t)written(stage, i, &fin));
    }
    assert_int_equal(lp2p_op_result(op), LP2P_EAGAIN);
    STAGE_NONE(stage, MESSAGE); /* our own handler comes last */
    struct lp2p_m_stream_open_failed *failed = LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
    failed->msg.tag = asked(stage);
    failed->reason = LP2P_ENOCONN;
    STAGE_POST(stage, failed);
    assert_int_equal(lp2p_op_number(op), 2);
    stage_op_is(op, LP2P_OK);
    struct lp2p_m_message *m = STAGE_TAKE(stage, MESSAGE, message);
    assert_non_null(m);
    assert_true(lp2p_peer_id_eq(&m->peer, &stage->ctx.self));
    STAGE_DROP(m);
    STAGE_NONE(stage, NOTIFY); /* no event for what is our own */
    op = stage_op();
    broadcast(stage, 0, "chat", op);
    assert_int_equal(lp2p_op_number(op), 0);
    stage_op_is(op, LP2P_OK);
    STAGE_EXPECT(stage, MESSAGE);
    stage_free(stage);
}

static void not_spoken(struct stage *stage, enum lp2p_err reason)
{
    struct lp2p_m_stream_open_failed *failed = LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
    failed->msg.tag = asked(stage);
    failed->reason = reason;
    STAGE_POST(stage, failed);
}

/* Known not to speak it, refused just now, and lost for another reason: the result tells them apart. */
static void test_messages_broadcast_left_out(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    struct lp2p_op *op = stage_op();
    bool fin;
    broadcast(stage, 5, NULL, op);
    stage_opened(stage, 1, PROTOCOL, true, asked(stage), CREDIT, NULL);
    stage_credit(stage, 1, (uint32_t)written(stage, 1, &fin));
    not_spoken(stage, LP2P_EUNSUPPORTED);
    assert_true(asked_if_spoken);
    not_spoken(stage, LP2P_EUNSUPPORTED);
    not_spoken(stage, LP2P_ENEGOTIATION);
    assert_int_equal(lp2p_op_left_out(op), 0); /* not done yet */
    not_spoken(stage, LP2P_ENOCONN);
    assert_int_equal(lp2p_op_number(op), 1);
    assert_int_equal(lp2p_op_left_out(op), 3);
    assert_string_equal(lp2p_op_detail(op), "3 left out: they do not speak " PROTOCOL);
    stage_op_is(op, LP2P_OK);
    assert_int_equal(LP2P_READ(&stage->ctx, messages_left_out), 2);
    op = stage_op(); /* who names one peer wants it asked */
    send_message(stage, "1", op);
    not_spoken(stage, LP2P_ENEGOTIATION);
    assert_false(asked_if_spoken);
    stage_op_is(op, LP2P_ENEGOTIATION);
    assert_int_equal(LP2P_READ(&stage->ctx, messages_left_out), 2);
    stage_free(stage);
}

/* ---- receiving */

static void receive(struct stage *stage, uint64_t number, const void *bytes, size_t len)
{
    stage_opened(stage, number, PROTOCOL, false, 0, CREDIT, NULL);
    for (size_t at = 0; at < len; at += 30000) {
        stage_data(stage, number, (const uint8_t *)bytes + at, LP2P_MIN(len - at, (size_t)30000));
    }
    if (!stage_aborted(stage, number)) {
        stage_eof(stage, number);
        bool fin;
        assert_int_equal(written(stage, number, &fin), 0);
        assert_true(fin); /* our side is closed, too */
    }
}

static void receive_message(struct stage *stage, uint64_t number, const char *id, const char *protocol)
{
    struct lp2p_slice json = message_of(id, protocol);
    receive(stage, number, json.ptr, json.len);
    lp2p_slice_drop(&json);
}

static void test_messages_receives(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    route(stage, "chat", stage->recorder);
    receive_message(stage, 1, "1", "chat");
    struct lp2p_m_notify *event = STAGE_TAKE(stage, NOTIFY, notify);
    assert_non_null(event);
    assert_int_equal(event->kind, LP2P_EVENT_MESSAGE);
    assert_true(lp2p_peer_id_eq(&event->info->id, &stage->peer));
    struct lp2p_m_message *m = STAGE_TAKE(stage, MESSAGE, message);
    assert_non_null(m);
    assert_true(lp2p_peer_id_eq(&m->peer, &stage->peer));
    assert_int_equal(m->json.len, event->json.len);
    assert_memory_equal(m->json.ptr, event->json.ptr, m->json.len);
    STAGE_DROP(m);
    STAGE_DROP(event);
    assert_int_equal(LP2P_READ(&stage->ctx, messages_in), 1);

    receive_message(stage, 2, "1", "chat"); /* again */
    STAGE_NONE(stage, MESSAGE);
    STAGE_NONE(stage, NOTIFY);
    assert_int_equal(LP2P_READ(&stage->ctx, messages_duplicate), 1);

    receive_message(stage, 3, "2", "other"); /* for nobody here: the event only */
    STAGE_NONE(stage, MESSAGE);
    STAGE_EXPECT(stage, NOTIFY);
    route(stage, "chat", LP2P_REF_NONE);
    receive_message(stage, 4, "3", "chat");
    STAGE_NONE(stage, MESSAGE);
    STAGE_EXPECT(stage, NOTIFY);
    stage_free(stage);
}

static void test_messages_refuses(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    receive(stage, 1, "", 0); /* empty: ignored in silence */
    assert_int_equal(LP2P_READ(&stage->ctx, messages_invalid), 0);
    receive(stage, 2, "{", 1);
    receive(stage, 3, "{}", 2);
    assert_int_equal(LP2P_READ(&stage->ctx, messages_invalid), 2);
    wall_ms += LP2P_LOTUS_SKEW_MS + 1000;
    receive_message(stage, 4, "1", NULL);
    wall_ms -= LP2P_LOTUS_SKEW_MS + 1000;
    assert_int_equal(LP2P_READ(&stage->ctx, messages_invalid), 3);
    STAGE_NONE(stage, NOTIFY);
    stage_opened(stage, 5, PROTOCOL, false, 0, CREDIT, NULL);
    stage_data(stage, 5, "{", 1);
    stage_pass(stage, LP2P_SEC(61)); /* never ends */
    assert_true(stage_aborted(stage, 5));
    stage_free(stage);
}

/* The actor fails and is restarted: what was under way ends, and who receives messages is still known. */
static void test_messages_restart(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    struct lp2p_op *waiting = stage_op(), *framing = stage_op();
    bool fin;
    route(stage, "chat", stage->recorder);
    send_message(stage, "1", framing);
    stage_opened(stage, 1, PROTOCOL, true, asked(stage), 0, NULL);
    send_message(stage, "2", waiting);
    uint64_t tag = asked(stage);
    stage_opened(stage, 2, PROTOCOL, false, 0, CREDIT, NULL);
    stage_data(stage, 2, "{", 1);
    stage_fail(stage);
    stage_op_is(waiting, LP2P_ECLOSED);
    stage_op_is(framing, LP2P_ECLOSED);
    STAGE_EXPECT(stage, REGISTER); /* it is there again */
    stage_opened(stage, 3, PROTOCOL, true, tag, CREDIT, NULL);
    assert_true(stage_aborted(stage, 3)); /* asked for in its former life */
    stage_data(stage, 2, "}", 1);
    stage_eof(stage, 2);
    assert_int_equal(written(stage, 2, &fin), 0);
    assert_false(fin);
    receive_message(stage, 4, "3", "chat");
    STAGE_EXPECT(stage, MESSAGE);
    stage_free(stage);
}

static void test_messages_size_limit(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    uint8_t *bytes = malloc(LP2P_LOTUS_MESSAGE_MAX + 1);
    struct lp2p_slice head = message_of("1", NULL);
    memset(bytes, ' ', LP2P_LOTUS_MESSAGE_MAX + 1);
    memcpy(bytes, head.ptr, head.len);
    lp2p_slice_drop(&head);
    receive(stage, 1, bytes, LP2P_LOTUS_MESSAGE_MAX);
    STAGE_EXPECT(stage, NOTIFY);
    assert_int_equal(LP2P_READ(&stage->ctx, messages_invalid), 0);
    stage_opened(stage, 2, PROTOCOL, false, 0, CREDIT, NULL);
    stage_data(stage, 2, bytes, LP2P_LOTUS_MESSAGE_MAX + 1);
    assert_true(stage_aborted(stage, 2));
    assert_int_equal(LP2P_READ(&stage->ctx, messages_invalid), 1);
    free(bytes);
    stage_free(stage);
}

/* Incomplete messages of all streams together have a bound; what is complete frees its place. */
static void test_messages_incomplete_are_bounded(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    uint8_t *bytes = calloc(1, LP2P_LOTUS_MESSAGE_MAX);
    unsigned streams = LP2P_RECEIVE_BYTES_MAX / LP2P_LOTUS_MESSAGE_MAX, refused = 0;
    for (uint64_t i = 0; i < streams + 20; i++) {
        stage_opened(stage, i, PROTOCOL, false, 0, CREDIT, NULL);
        stage_data(stage, i, bytes, LP2P_LOTUS_MESSAGE_MAX);
        refused += stage_aborted(stage, i);
    }
    assert_int_equal(refused, 20);
    assert_int_equal(LP2P_READ(&stage->ctx, messages_dropped), 20);
    stage_reset(stage, 0, LP2P_ERESET);
    stage_opened(stage, 9999, PROTOCOL, false, 0, CREDIT, NULL);
    stage_data(stage, 9999, bytes, LP2P_LOTUS_MESSAGE_MAX);
    assert_false(stage_aborted(stage, 9999));
    free(bytes);
    stage_free(stage);
}

static uint64_t sends_refused(struct stage *stage)
{
    struct lp2p_actor_stats stats[8];
    size_t len = lp2p_rt_snapshot(stage->rt, stats, LP2P_ARRAY_LEN(stats));
    for (size_t i = 0; i < len; i++) {
        if (strcmp(stats[i].id, "actor") == 0) {
            return stats[i].sends_refused;
        }
    }
    fail_msg("the actor is not there");
    return 0;
}

/* A protocol that cannot take more has a short queue here; nothing of it is lost below the bound, and order
 * is kept. */
static void test_messages_wait_for_a_slow_protocol(void **state)
{
    (void)state;
    struct stage *stage = messages_stage();
    enum { BURST = 200 };
    char id[16];
    route(stage, "slow", stage->slow);
    for (uint64_t i = 0; i < BURST; i++) {
        struct lp2p_m_stream_opened *opened = LP2P_NEW(STREAM_OPENED, stream_opened);
        opened->id = stage_stream(stage, i);
        opened->peer = stage->peer;
        stage_queue(stage, &opened->msg);
        struct lp2p_m_stream_data *data = LP2P_NEW(STREAM_DATA, stream_data);
        data->id = stage_stream(stage, i);
        snprintf(id, sizeof(id), "id-%03d", (int)i);
        data->slices[data->slices_len++] = message_of(id, "slow");
        stage_queue(stage, &data->msg);
        struct lp2p_m_stream_mark *eof = LP2P_NEW(STREAM_EOF, stream_mark);
        eof->id = stage_stream(stage, i);
        stage_queue(stage, &eof->msg);
    }
    stage_run(stage);
    stage_pass(stage, LP2P_SEC(1));
    assert_true(sends_refused(stage) > 0); /* or this would test nothing */
    assert_int_equal(stage_count(stage, &LP2P_M_MESSAGE), BURST);
    for (int i = 0; i < BURST; i++) {
        struct lp2p_m_message *m = STAGE_TAKE(stage, MESSAGE, message);
        char text[512];
        snprintf(text, sizeof(text), "%.*s", (int)m->json.len, (const char *)m->json.ptr);
        snprintf(id, sizeof(id), "id-%03d", i);
        assert_non_null(strstr(text, id));
        STAGE_DROP(m);
    }
    assert_int_equal(LP2P_READ(&stage->ctx, messages_dropped), 0);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_sends_one),
        cmocka_unit_test(test_messages_cuts_off_after_grace),
        cmocka_unit_test(test_messages_credit_in_parts),
        cmocka_unit_test(test_messages_send_failures),
        cmocka_unit_test(test_messages_never_more_than_28_unclosed),
        cmocka_unit_test(test_messages_queue_is_bounded),
        cmocka_unit_test(test_messages_refuses_oversize),
        cmocka_unit_test(test_messages_broadcast),
        cmocka_unit_test(test_messages_broadcast_left_out),
        cmocka_unit_test(test_messages_receives),
        cmocka_unit_test(test_messages_refuses),
        cmocka_unit_test(test_messages_restart),
        cmocka_unit_test(test_messages_size_limit),
        cmocka_unit_test(test_messages_incomplete_are_bounded),
        cmocka_unit_test(test_messages_wait_for_a_slow_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
