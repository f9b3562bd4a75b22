/* SPDX-License-Identifier: MIT
 * The identify resident: asks new links, answers, takes pushes within their rate, and pushes when the node
 * changes. */
#include "protocols_stage.h"

#include "actors/protocols/identify.h"
#include "wire/envelope.h"

#include <string.h>

#define CREDIT LP2P_STREAM_CREDIT
#define OUT_MAX 16384

static struct stage *identify_stage(void)
{
    struct stage *stage = stage_new();
    snprintf(stage->ctx.config.agent, sizeof(stage->ctx.config.agent), "test/1");
    stage_start(stage, &lp2p_identify_ops);
    assert_int_equal(stage_count(stage, &LP2P_M_REGISTER), 2);
    struct lp2p_m_subscribe *m = STAGE_TAKE(stage, SUBSCRIBE, subscribe);
    assert_int_equal(m->what, LP2P_SUB_SELF);
    assert_int_equal(m->who.slot, stage->actor.slot);
    assert_int_not_equal(m->who.gen, 0); /* the swarm finds out when this instance has ended */
    STAGE_DROP(m);
    return stage;
}

static void link_up(struct stage *stage, uint64_t conn)
{
    struct lp2p_m_link_up *m = LP2P_NEW(LINK_UP, link_up);
    m->conn = conn;
    m->muxer = stage->recorder;
    m->peer = stage->peer;
    STAGE_POST(stage, m);
}

/* Takes the request for a stream and returns its tag. */
static uint64_t asked_for(struct stage *stage, const char *protocol)
{
    struct lp2p_m_stream_open *m = STAGE_TAKE(stage, STREAM_OPEN, stream_open);
    assert_non_null(m);
    assert_int_equal(m->protocols_len, 1);
    assert_string_equal(m->protocols[0], protocol);
    assert_int_equal(m->reply_to.slot, stage->actor.slot);
    uint64_t tag = m->reply_tag;
    STAGE_DROP(m);
    return tag;
}

static void self_changed(struct stage *stage, uint64_t version)
{
    struct lp2p_m_self_changed *m = LP2P_NEW(SELF_CHANGED, self_changed);
    m->self = lp2p_self_info_new();
    m->self->version = version;
    assert_int_equal(lp2p_identify_encode(&stage->ctx, NULL, NULL, &m->self->message), LP2P_OK);
    STAGE_POST(stage, m);
}

static size_t peer_signs(const struct stage *stage, uint8_t *out, size_t cap)
{
    static struct lp2p_private_key key;
    static struct lp2p_peer_record record;
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 2); /* as the stage made the peer */
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    size_t len = 0;
    lp2p_private_key_generate(&rand, &key);
    record = (struct lp2p_peer_record){.peer = stage->peer, .seq = 6, .addrs_len = 1};
    assert_int_equal(lp2p_multiaddr_from_text("/ip4/127.0.0.1/tcp/7", &record.addrs[0], NULL), LP2P_OK);
    assert_int_equal(lp2p_peer_record_seal(&key, &record, out, cap, &len), LP2P_OK);
    return len;
}

/* What the remote peer says of itself, with or without the push protocol. */
static struct lp2p_slice peer_says(const struct stage *stage, bool push)
{
    struct lp2p_context peer = {.public_key = stage->peer_key};
    struct lp2p_span ids[] = {lp2p_span_str("/x/1"), lp2p_span_str(LP2P_IDENTIFY_PUSH_PROTOCOL)};
    struct lp2p_strings *protocols = lp2p_strings_new(ids, push ? 2 : 1);
    struct lp2p_multiaddr none = {0};
    struct lp2p_slice message, out;
    uint8_t record[512];
    size_t record_len = peer_signs(stage, record, sizeof(record));
    snprintf(peer.config.agent, sizeof(peer.config.agent), "peer/9");
    assert_int_equal(lp2p_identify_encode(&peer, NULL, protocols, &message), LP2P_OK);
    assert_int_equal(lp2p_identify_compose(lp2p_slice_span(&message), &none, lp2p_span(record, record_len), &out),
                     LP2P_OK);
    lp2p_slice_drop(&message);
    lp2p_strings_drop(&protocols);
    return out;
}

static void stream_says(struct stage *stage, uint64_t number, bool push)
{
    struct lp2p_slice says = peer_says(stage, push);
    stage_data(stage, number, says.ptr, says.len);
    stage_eof(stage, number);
    lp2p_slice_drop(&says);
}

static void assert_identified(struct stage *stage, enum lp2p_err result, bool push)
{
    struct lp2p_m_identified *m = STAGE_TAKE(stage, IDENTIFIED, identified);
    assert_non_null(m);
    assert_int_equal(m->conn, 1);
    assert_int_equal(m->result, result);
    assert_int_equal(m->push, push);
    assert_true(lp2p_peer_id_eq(&m->peer, &stage->peer));
    if (result == LP2P_OK) {
        assert_string_equal(m->agent, "peer/9");
        assert_non_null(m->protocols);
        uint8_t record[512];
        size_t len = peer_signs(stage, record, sizeof(record));
        assert_true(m->addrs_certified && m->record_seq == 6);
        assert_true(lp2p_span_eq(lp2p_slice_span(&m->record), lp2p_span(record, len)));
        assert_int_equal(m->key.len, 0); /* it is in the id */
    }
    STAGE_DROP(m);
    STAGE_NONE(stage, IDENTIFIED);
}

/* Brings link 1 up and lets the peer answer the question. */
static void identify(struct stage *stage, bool push)
{
    link_up(stage, 1);
    uint64_t tag = asked_for(stage, LP2P_IDENTIFY_PROTOCOL);
    stage_opened(stage, 100, LP2P_IDENTIFY_PROTOCOL, true, tag, CREDIT, NULL);
    stream_says(stage, 100, push);
    assert_identified(stage, LP2P_OK, false);
}

static void test_identify_asks_a_new_link(void **state)
{
    (void)state;
    struct stage *stage = identify_stage();
    uint8_t out[OUT_MAX];
    bool fin;
    identify(stage, false);
    assert_int_equal(stage_written(stage, 100, out, sizeof(out), &fin), 0);
    assert_true(fin);
    assert_false(stage_aborted(stage, 100));
    stage_free(stage);
}

static void test_identify_reports_failures(void **state)
{
    (void)state;
    struct stage *stage = identify_stage();
    link_up(stage, 1);
    struct lp2p_m_stream_open_failed *failed = LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
    failed->msg.tag = asked_for(stage, LP2P_IDENTIFY_PROTOCOL);
    failed->reason = LP2P_ENEGOTIATION;
    STAGE_POST(stage, failed);
    assert_identified(stage, LP2P_ENEGOTIATION, false);

    for (int kind = 0; kind < 4; kind++) {
        struct lp2p_m_link_ended *ended = LP2P_NEW(LINK_ENDED, link_ended);
        ended->conn = 1;
        STAGE_POST(stage, ended);
        link_up(stage, 1);
        uint64_t number = 10 + (uint64_t)kind;
        stage_opened(stage, number, LP2P_IDENTIFY_PROTOCOL, true, asked_for(stage, LP2P_IDENTIFY_PROTOCOL),
                     CREDIT, NULL);
        switch (kind) {
        case 0: /* nothing comes for 5 s */
            stage_pass(stage, LP2P_SEC(4));
            STAGE_NONE(stage, IDENTIFIED);
            stage_pass(stage, LP2P_SEC(2));
            assert_true(stage_aborted(stage, number));
            assert_identified(stage, LP2P_ETIMEDOUT, false);
            break;
        case 1: /* too much is announced */
            stage_data(stage, number, "\xff\xff\x7f", 3);
            assert_true(stage_aborted(stage, number));
            assert_identified(stage, LP2P_EOVERSIZE, false);
            break;
        case 2: /* ends without a word */
            stage_eof(stage, number);
            assert_true(stage_aborted(stage, number));
            assert_identified(stage, LP2P_EEOF, false);
            break;
        default: /* the connection breaks */
            stage_reset(stage, number, LP2P_ECONNRESET);
            assert_identified(stage, LP2P_ECONNRESET, false);
            break;
        }
    }
    stage_free(stage);
}

static void assert_answer(struct stage *stage, uint64_t number)
{
    uint8_t out[OUT_MAX];
    bool fin;
    size_t len = stage_written(stage, number, out, sizeof(out), &fin);
    assert_true(fin);
    struct lp2p_identify_reader reader;
    struct lp2p_identify_info info;
    struct lp2p_multiaddr none = {0}, remote;
    lp2p_identify_reader_init(&reader);
    assert_int_equal(lp2p_identify_reader_feed(&reader, lp2p_span(out, len)), LP2P_OK);
    assert_int_equal(lp2p_identify_reader_finish(&reader, &stage->ctx.self, &none, &info), LP2P_OK);
    assert_int_equal(lp2p_multiaddr_from_text("/ip4/127.0.0.1/tcp/4001", &remote, NULL), LP2P_OK);
    assert_true(lp2p_multiaddr_eq(&info.observed, &remote)); /* how we see the peer */
    assert_string_equal(info.agent, "test/1");
    lp2p_identify_info_drop(&info);
    lp2p_identify_reader_fini(&reader);
}

/* The first peers may ask before the swarm has told us who we are. */
static void test_identify_answers(void **state)
{
    (void)state;
    struct stage *stage = identify_stage();
    uint8_t out[64];
    bool fin;
    stage_opened(stage, 1, LP2P_IDENTIFY_PROTOCOL, false, 0, CREDIT, NULL);
    stage_opened(stage, 2, LP2P_IDENTIFY_PROTOCOL, false, 0, CREDIT, NULL);
    stage_eof(stage, 2);
    assert_int_equal(stage_written(stage, 1, out, sizeof(out), &fin), 0);
    assert_false(fin);
    self_changed(stage, 1);
    assert_answer(stage, 1);
    assert_answer(stage, 2);
    stage_eof(stage, 1);
    stage_opened(stage, 3, LP2P_IDENTIFY_PROTOCOL, false, 0, CREDIT, NULL);
    assert_answer(stage, 3);
    stage_pass(stage, LP2P_SEC(11)); /* the peer never closes its side */
    assert_true(stage_aborted(stage, 3));
    assert_false(stage_aborted(stage, 1));
    assert_false(stage_aborted(stage, 2));
    STAGE_NONE(stage, IDENTIFIED);
    stage_free(stage);
}

static void test_identify_waits_not_for_ever(void **state)
{
    (void)state;
    struct stage *stage = identify_stage();
    stage_opened(stage, 1, LP2P_IDENTIFY_PROTOCOL, false, 0, CREDIT, NULL);
    stage_pass(stage, LP2P_SEC(6));
    assert_true(stage_aborted(stage, 1));
    self_changed(stage, 1);
    uint8_t out[64];
    bool fin;
    assert_int_equal(stage_written(stage, 1, out, sizeof(out), &fin), 0);
    stage_free(stage);
}

static void test_identify_takes_pushes(void **state)
{
    (void)state;
    struct stage *stage = identify_stage();
    stage_opened(stage, 1, LP2P_IDENTIFY_PUSH_PROTOCOL, false, 0, CREDIT, NULL);
    assert_true(stage_aborted(stage, 1)); /* from no link that is known */
    link_up(stage, 1);
    for (uint64_t i = 0; i < 10; i++) {
        stage_opened(stage, 10 + i, LP2P_IDENTIFY_PUSH_PROTOCOL, false, 0, CREDIT, NULL);
        stream_says(stage, 10 + i, false);
        assert_identified(stage, LP2P_OK, true);
    }
    stage_opened(stage, 20, LP2P_IDENTIFY_PUSH_PROTOCOL, false, 0, CREDIT, NULL);
    assert_true(stage_aborted(stage, 20)); /* the burst is used up */
    assert_int_equal(LP2P_READ(&stage->ctx, streams_refused), 2);
    stage_pass(stage, LP2P_SEC(5));
    stage_opened(stage, 21, LP2P_IDENTIFY_PUSH_PROTOCOL, false, 0, CREDIT, NULL);
    stream_says(stage, 21, false);
    assert_identified(stage, LP2P_OK, true);
    stage_opened(stage, 22, LP2P_IDENTIFY_PUSH_PROTOCOL, false, 0, CREDIT, NULL);
    assert_true(stage_aborted(stage, 22));
    stage_free(stage);
}

/* Pushed to who speaks it and was told something older; not to others, and once for changes in quick
 * succession. */
static void test_identify_pushes_changes(void **state)
{
    (void)state;
    struct stage *stage = identify_stage();
    self_changed(stage, 1);
    identify(stage, true);
    stage_pass(stage, LP2P_SEC(1));
    STAGE_NONE(stage, STREAM_OPEN); /* the peer has not asked yet: it will hear when it does */
    stage_opened(stage, 1, LP2P_IDENTIFY_PROTOCOL, false, 0, CREDIT, NULL);
    assert_answer(stage, 1);
    stage_pass(stage, LP2P_SEC(1));
    STAGE_NONE(stage, STREAM_OPEN);
    self_changed(stage, 2);
    self_changed(stage, 3);
    self_changed(stage, 3);
    STAGE_NONE(stage, STREAM_OPEN);
    stage_pass(stage, LP2P_SEC(1));
    uint64_t tag = asked_for(stage, LP2P_IDENTIFY_PUSH_PROTOCOL);
    STAGE_NONE(stage, STREAM_OPEN);
    stage_opened(stage, 2, LP2P_IDENTIFY_PUSH_PROTOCOL, true, tag, CREDIT, NULL);
    assert_answer(stage, 2);
    stage_eof(stage, 2);
    stage_pass(stage, LP2P_SEC(5));
    STAGE_NONE(stage, STREAM_OPEN);
    self_changed(stage, 4);
    stage_pass(stage, LP2P_SEC(1));
    struct lp2p_m_stream_open_failed *failed = LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
    failed->msg.tag = asked_for(stage, LP2P_IDENTIFY_PUSH_PROTOCOL);
    failed->reason = LP2P_ENEGOTIATION;
    STAGE_POST(stage, failed);
    self_changed(stage, 5);
    stage_pass(stage, LP2P_SEC(5));
    STAGE_NONE(stage, STREAM_OPEN); /* it does not speak it after all */
    STAGE_NONE(stage, IDENTIFIED);
    stage_free(stage);
}

static void test_identify_pushes_not_to_others(void **state)
{
    (void)state;
    struct stage *stage = identify_stage();
    self_changed(stage, 1);
    identify(stage, false);
    stage_opened(stage, 1, LP2P_IDENTIFY_PROTOCOL, false, 0, CREDIT, NULL);
    self_changed(stage, 2);
    stage_pass(stage, LP2P_SEC(5));
    STAGE_NONE(stage, STREAM_OPEN);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identify_asks_a_new_link),
        cmocka_unit_test(test_identify_reports_failures),
        cmocka_unit_test(test_identify_answers),
        cmocka_unit_test(test_identify_waits_not_for_ever),
        cmocka_unit_test(test_identify_takes_pushes),
        cmocka_unit_test(test_identify_pushes_changes),
        cmocka_unit_test(test_identify_pushes_not_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
