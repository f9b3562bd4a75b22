/* SPDX-License-Identifier: MIT
 * The DHT router: requests over streams of their own, answers in order on inbound streams, users' queries to
 * their end. What the Kademlia machine decides is tested with the machine. */
#include "protocols_stage.h"

#include "dht/kad.h"
#include "wire/frame.h"
#include "wire/varint.h"

#include <stdlib.h>
#include <string.h>

#define CREDIT LP2P_STREAM_CREDIT
#define KAD "/lotus/kad/1.0.0"
enum { PUT_VALUE, GET_VALUE, ADD_PROVIDER, GET_PROVIDERS, FIND_NODE };

static struct stage *router_stage(enum lp2p_dht_mode mode)
{
    struct stage *stage = stage_new();
    stage->ctx.config.dht_mode = mode;
    snprintf(stage->ctx.config.dht_protocol, sizeof(stage->ctx.config.dht_protocol), KAD);
    stage_start(stage, &lp2p_router_ops);
    struct lp2p_m_register *m = STAGE_TAKE(stage, REGISTER, register);
    if (mode == LP2P_DHT_SERVER) {
        assert_non_null(m);
        assert_string_equal(m->entry.id, KAD);
        assert_int_equal(m->entry.streams_in_max, 32);
        STAGE_DROP(m);
    } else {
        assert_null(m);
    }
    struct lp2p_m_subscribe *sub = STAGE_TAKE(stage, SUBSCRIBE, subscribe);
    assert_int_equal(sub->what, LP2P_SUB_PEERS | LP2P_SUB_SELF);
    STAGE_DROP(sub);
    return stage;
}

/* ---- messages by hand */

static size_t put_varint_field(uint8_t *out, unsigned field, uint64_t value)
{
    out[0] = (uint8_t)(field << 3);
    return 1 + lp2p_varint_put(out + 1, value);
}

static size_t put_bytes_field(uint8_t *out, unsigned field, const void *bytes, size_t len)
{
    out[0] = (uint8_t)(field << 3 | 2);
    size_t at = 1 + lp2p_varint_put(out + 1, len);
    memcpy(out + at, bytes, len);
    return at + len;
}

/* A framed message of that type, key and (when value is not NULL) record; returns its length. */
static size_t frame_message(uint8_t *out, unsigned type, const char *key, const char *value)
{
    uint8_t body[2048], record[1024];
    size_t len = type == 0 ? 0 : put_varint_field(body, 1, type);
    len += put_bytes_field(body + len, 2, key, strlen(key));
    if (value != NULL) {
        size_t record_len = put_bytes_field(record, 1, key, strlen(key));
        record_len += put_bytes_field(record + record_len, 2, value, strlen(value));
        len += put_bytes_field(body + len, 3, record, record_len);
    }
    size_t prefix = lp2p_frame_prefix(out, len);
    memcpy(out + prefix, body, len);
    return prefix + len;
}

static bool contains(const uint8_t *bytes, size_t len, const char *text)
{
    return memmem(bytes, len, text, strlen(text)) != NULL;
}

static void peer_update(struct stage *stage, const struct lp2p_msg_class *cls, bool server)
{
    struct lp2p_m_peer *m = (struct lp2p_m_peer *)(void *)lp2p_msg_new(cls);
    struct lp2p_multiaddr addr;
    struct lp2p_span ids[] = {lp2p_span_str(server ? KAD : "/x")};
    assert_int_equal(lp2p_multiaddr_from_text("/ip4/10.1.2.3/tcp/4001", &addr, NULL), LP2P_OK);
    m->info = lp2p_peer_info_new();
    m->info->id = stage->peer;
    m->info->connected = cls != &LP2P_M_PEER_DISCONNECTED;
    m->info->muxer = "";
    m->info->addrs = lp2p_addrs_new(&addr, 1);
    m->info->protocols = lp2p_strings_new(ids, 1);
    STAGE_POST(stage, m);
}

static void ask_from(struct stage *stage, enum lp2p_dht_verb verb, const void *key, size_t key_len,
                     const char *value, lp2p_time deadline, struct lp2p_op *op)
{
    struct lp2p_m_dht_request *m = LP2P_NEW(DHT_REQUEST, dht_request);
    m->verb = verb;
    m->key = lp2p_slice_copy(key, key_len);
    m->max = verb == LP2P_DHT_GET;
    if (value != NULL) {
        m->value = lp2p_slice_copy(value, strlen(value));
    }
    m->deadline = deadline;
    m->op = lp2p_op_ref(op);
    STAGE_POST(stage, m);
}

static void ask(struct stage *stage, enum lp2p_dht_verb verb, const char *key, const char *value,
                struct lp2p_op *op)
{
    ask_from(stage, verb, key, strlen(key), value, 0, op);
}

static uint64_t next_stream = 1000;

/* Opens the stream that the router asks for and returns its number, with the request in out. 0: it asks for
 * none. */
static uint64_t open_request(struct stage *stage, uint8_t *out, size_t cap, size_t *len)
{
    struct lp2p_m_peer_stream_open *m = STAGE_TAKE(stage, PEER_STREAM_OPEN, peer_stream_open);
    if (m == NULL) {
        return 0;
    }
    bool fin;
    assert_true(m->internal);
    assert_string_equal(m->protocols[0], KAD);
    assert_true(lp2p_peer_id_eq(&m->peer, &stage->peer));
    stage_opened(stage, ++next_stream, KAD, true, m->reply_tag, CREDIT, NULL);
    STAGE_DROP(m);
    *len = stage_written(stage, next_stream, out, cap, &fin);
    assert_true(*len > 0);
    assert_false(fin); /* the answer is awaited with our side open */
    return next_stream;
}

/* ---- tests */

static void test_router_gets_a_value(void **state)
{
    (void)state;
    struct stage *stage = router_stage(LP2P_DHT_CLIENT);
    uint8_t out[4096], in[4096];
    size_t len;
    bool fin;
    peer_update(stage, &LP2P_M_PEER_UPDATED, true);
    assert_int_equal(LP2P_READ(&stage->ctx, dht_peers), 1);
    struct lp2p_op *op = stage_op();
    ask(stage, LP2P_DHT_GET, "resource:a:b", NULL, op);
    uint64_t stream = open_request(stage, out, sizeof(out), &len);
    assert_int_not_equal(stream, 0);
    assert_true(contains(out, len, "resource:a:b"));
    len = frame_message(in, GET_VALUE, "resource:a:b", "the value");
    stage_data(stage, stream, in, 5); /* in parts */
    stage_data(stage, stream, in + 5, len - 5);
    assert_int_equal(stage_written(stage, stream, out, sizeof(out), &fin), 0);
    assert_true(fin);
    assert_memory_equal(lp2p_op_bytes(op, &len), "the value", 9);
    assert_int_equal(len, 9);
    stage_op_is(op, LP2P_OK);
    stage_pass(stage, LP2P_SEC(3)); /* the peer does not close */
    assert_true(stage_aborted(stage, stream));
    stage_free(stage);
}

static void test_router_failures_end_the_query(void **state)
{
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        struct stage *stage = router_stage(LP2P_DHT_CLIENT);
        uint8_t out[4096];
        size_t len;
        struct lp2p_op *op = stage_op();
        peer_update(stage, &LP2P_M_PEER_UPDATED, true);
        ask(stage, LP2P_DHT_GET, "resource:a:b", NULL, op);
        if (kind == 0) {
            struct lp2p_m_peer_stream_open *m = STAGE_TAKE(stage, PEER_STREAM_OPEN, peer_stream_open);
            struct lp2p_m_stream_open_failed *failed = LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
            failed->msg.tag = m->reply_tag;
            failed->peer = stage->peer;
            failed->reason = LP2P_ENEGOTIATION;
            STAGE_DROP(m);
            STAGE_POST(stage, failed);
            assert_int_equal(LP2P_READ(&stage->ctx, dht_peers), 0); /* no server */
        } else {
            uint64_t stream = open_request(stage, out, sizeof(out), &len);
            if (kind == 1) {
                stage_eof(stage, stream);
                assert_true(stage_aborted(stage, stream));
            } else if (kind == 2) {
                stage_reset(stage, stream, LP2P_ERESET);
            } else if (kind == 3) {
                stage_data(stage, stream, "\xff\xff\xff\xff\x0f", 5); /* longer than any answer may be */
                assert_true(stage_aborted(stage, stream));
            } else {
                stage_pass(stage, LP2P_SEC(61));
                assert_true(stage_aborted(stage, stream));
            }
        }
        stage_pass(stage, LP2P_SEC(61));
        assert_int_not_equal(lp2p_op_result(op), LP2P_EAGAIN);
        assert_int_not_equal(lp2p_op_result(op), LP2P_OK);
        lp2p_op_free(op);
        stage_free(stage);
    }
}

static void test_router_deadline(void **state)
{
    (void)state;
    struct stage *stage = router_stage(LP2P_DHT_CLIENT);
    uint8_t out[4096];
    size_t len;
    struct lp2p_op *op = stage_op();
    peer_update(stage, &LP2P_M_PEER_UPDATED, true);
    ask_from(stage, LP2P_DHT_GET, "k", 1, NULL, lp2p_time_add(lp2p_sim_now(stage->rt), LP2P_SEC(5)), op);
    uint64_t stream = open_request(stage, out, sizeof(out), &len);
    stage_pass(stage, LP2P_MS(4900));
    assert_int_equal(lp2p_op_result(op), LP2P_EAGAIN);
    stage_pass(stage, LP2P_MS(200));
    stage_op_is(op, LP2P_ETIMEDOUT);
    assert_true(stage_aborted(stage, stream)); /* the answer is not wanted any more */
    stage_free(stage);
}

static void test_router_alone(void **state)
{
    (void)state;
    struct stage *stage = router_stage(LP2P_DHT_CLIENT);
    struct lp2p_op *op = stage_op();
    ask(stage, LP2P_DHT_PUT, "resource:a:b", "v", op);
    assert_int_equal(lp2p_op_number(op), 0);
    assert_non_null(strstr(lp2p_op_detail(op), "no DHT server"));
    stage_op_is(op, LP2P_EQUORUM);
    op = stage_op();
    ask(stage, LP2P_DHT_PROVIDE, "not a multihash", NULL, op);
    stage_op_is(op, LP2P_EINVAL);
    op = stage_op();
    ask(stage, LP2P_DHT_FIND_PEER, "not a peer id", NULL, op);
    stage_op_is(op, LP2P_EINVAL);
    op = stage_op();
    ask(stage, LP2P_DHT_GET, "", NULL, op);
    stage_op_is(op, LP2P_ELIMIT);
    stage_free(stage);
}

static void test_router_finds_who_is_connected(void **state)
{
    (void)state;
    struct stage *stage = router_stage(LP2P_DHT_CLIENT);
    struct lp2p_op *op = stage_op();
    peer_update(stage, &LP2P_M_PEER_CONNECTED, false); /* a client: in no table */
    assert_int_equal(LP2P_READ(&stage->ctx, dht_peers), 0);
    ask_from(stage, LP2P_DHT_FIND_PEER, stage->peer.bytes, stage->peer.len, NULL, 0, op);
    size_t len = 0;
    const struct lp2p_peer *peers = lp2p_op_peers(op, &len);
    assert_int_equal(len, 1);
    assert_string_equal(peers[0].addrs[0], "/ip4/10.1.2.3/tcp/4001");
    stage_op_is(op, LP2P_OK);
    STAGE_NONE(stage, PEER_STREAM_OPEN);
    peer_update(stage, &LP2P_M_PEER_DISCONNECTED, false);
    op = stage_op();
    ask_from(stage, LP2P_DHT_FIND_PEER, stage->peer.bytes, stage->peer.len, NULL, 0, op);
    stage_op_is(op, LP2P_ENOTFOUND);
    stage_free(stage);
}

static void test_router_forgets_who_is_no_server(void **state)
{
    (void)state;
    struct stage *stage = router_stage(LP2P_DHT_CLIENT);
    peer_update(stage, &LP2P_M_PEER_CONNECTED, true);
    assert_int_equal(LP2P_READ(&stage->ctx, dht_peers), 1);
    peer_update(stage, &LP2P_M_PEER_UPDATED, false);
    assert_int_equal(LP2P_READ(&stage->ctx, dht_peers), 0);
    stage_free(stage);
}

/* ---- serving */

static void test_router_serves_in_order(void **state)
{
    (void)state;
    struct stage *stage = router_stage(LP2P_DHT_SERVER);
    uint8_t in[8192], out[8192];
    bool fin;
    stage_opened(stage, 1, KAD, false, 0, CREDIT, NULL);
    size_t len = frame_message(in, PUT_VALUE, "resource:a:1", "one");
    len += frame_message(in + len, PUT_VALUE, "resource:a:2", "two");
    len += frame_message(in + len, GET_VALUE, "resource:a:1", NULL);
    stage_data(stage, 1, in, len - 3);
    stage_data(stage, 1, in + len - 3, 3);
    size_t got = stage_written(stage, 1, out, sizeof(out), &fin);
    assert_false(fin);
    struct lp2p_frame_reader frames;
    struct lp2p_span rest = lp2p_span(out, got), frame;
    const char *const values[] = {"one", "two", "one"};
    lp2p_frame_reader_init(&frames, LP2P_KAD_REQUEST_MAX);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(values); i++) {
        assert_int_equal(lp2p_frame_read(&frames, &rest, &frame), LP2P_OK);
        assert_true(contains(frame.ptr, frame.len, values[i]));
    }
    assert_int_equal(rest.len, 0);
    lp2p_frame_reader_fini(&frames);
    stage_eof(stage, 1);
    assert_int_equal(stage_written(stage, 1, out, sizeof(out), &fin), 0);
    assert_true(fin);
    assert_int_equal(LP2P_READ(&stage->ctx, dht_requests_in), 3);
    assert_int_equal(LP2P_READ(&stage->ctx, dht_records), 2);
    assert_int_equal(LP2P_READ(&stage->ctx, dht_requests_refused), 0);
    stage_free(stage);
}

/* A peer that does not read its answers is not served on, and loses nothing once it does. */
static void test_router_serves_at_the_pace_of_the_peer(void **state)
{
    (void)state;
    struct stage *stage = router_stage(LP2P_DHT_SERVER);
    uint8_t in[16384], out[32768];
    bool fin;
    size_t len = frame_message(in, PUT_VALUE, "resource:a:1", "one"), one;
    stage_opened(stage, 1, KAD, false, 0, 10, NULL);
    for (int i = 0; i < 50; i++) {
        one = frame_message(in + len, GET_VALUE, "resource:a:1", NULL);
        len += one;
    }
    stage_data(stage, 1, in, len);
    stage_eof(stage, 1);
    assert_int_equal(LP2P_READ(&stage->ctx, dht_requests_in), 1);
    size_t got = stage_written(stage, 1, out, sizeof(out), &fin);
    assert_int_equal(got, 10);
    for (int i = 0; i < 10000 && !fin; i++) {
        stage_credit(stage, 1, 7);
        got += stage_written(stage, 1, out + got, sizeof(out) - got, &fin);
    }
    assert_true(fin);
    assert_int_equal(LP2P_READ(&stage->ctx, dht_requests_in), 51);
    struct lp2p_frame_reader frames;
    struct lp2p_span rest = lp2p_span(out, got), frame;
    unsigned answers = 0;
    lp2p_frame_reader_init(&frames, LP2P_KAD_REQUEST_MAX);
    while (lp2p_frame_read(&frames, &rest, &frame) == LP2P_OK) {
        answers++;
    }
    assert_true(lp2p_frame_reader_idle(&frames));
    lp2p_frame_reader_fini(&frames);
    assert_int_equal(answers, 51);
    stage_free(stage);
}

static void test_router_refuses(void **state)
{
    (void)state;
    struct stage *stage = router_stage(LP2P_DHT_SERVER);
    stage_opened(stage, 1, KAD, false, 0, CREDIT, NULL);
    stage_data(stage, 1, "\xff\xff\xff\x7f", 4); /* a request of 256 MiB is announced */
    assert_true(stage_aborted(stage, 1));
    stage_opened(stage, 2, KAD, false, 0, CREDIT, NULL);
    stage_data(stage, 2, "\x03\xff\xff\xff", 4); /* no message */
    assert_true(stage_aborted(stage, 2));
    stage_opened(stage, 3, KAD, false, 0, CREDIT, NULL);
    stage_data(stage, 3, "\x10\x08", 2);
    stage_eof(stage, 3);
    assert_true(stage_aborted(stage, 3)); /* ended inside of a request */
    assert_int_equal(LP2P_READ(&stage->ctx, dht_requests_refused), 2);
    stage_opened(stage, 4, KAD, false, 0, CREDIT, NULL);
    stage_pass(stage, LP2P_SEC(61));
    assert_true(stage_aborted(stage, 4)); /* idle */
    stage_free(stage);
}

/* More queries of users than places: all come to their end, and the surplus is told at once. */
static void test_router_many_queries(void **state)
{
    (void)state;
    enum { MANY = 200 };
    struct stage *stage = router_stage(LP2P_DHT_CLIENT);
    struct lp2p_op *ops[MANY];
    uint8_t out[4096], in[4096];
    size_t len, done = 0;
    char key[32];
    peer_update(stage, &LP2P_M_PEER_UPDATED, true);
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof(key), "resource:a:%d", i);
        ops[i] = stage_op();
        ask(stage, LP2P_DHT_GET, key, NULL, ops[i]);
    }
    uint64_t stream;
    while ((stream = open_request(stage, out, sizeof(out), &len)) != 0) {
        char *at = memmem(out, len, "resource:a:", 11);
        assert_non_null(at);
        snprintf(key, sizeof(key), "resource:a:%d", atoi(at + 11));
        len = frame_message(in, GET_VALUE, key, "v");
        stage_data(stage, stream, in, len);
        stage_eof(stage, stream);
        done++;
    }
    assert_int_equal(done, MANY);
    for (int i = 0; i < MANY; i++) {
        stage_op_is(ops[i], LP2P_OK);
    }
    stage_free(stage);
}

static void test_router_restart(void **state)
{
    (void)state;
    struct stage *stage = router_stage(LP2P_DHT_SERVER);
    struct lp2p_op *op = stage_op();
    uint8_t out[4096];
    size_t len;
    peer_update(stage, &LP2P_M_PEER_UPDATED, true);
    ask(stage, LP2P_DHT_GET, "resource:a:b", NULL, op);
    assert_int_not_equal(open_request(stage, out, sizeof(out), &len), 0);
    ask(stage, LP2P_DHT_GET, "resource:a:c", NULL, NULL);
    stage_fail(stage);
    stage_op_is(op, LP2P_ECLOSED);
    STAGE_EXPECT(stage, REGISTER);
    STAGE_EXPECT(stage, SUBSCRIBE); /* who is connected comes by this again */
    assert_int_equal(LP2P_READ(&stage->ctx, dht_peers), 0);
    peer_update(stage, &LP2P_M_PEER_CONNECTED, true);
    assert_int_equal(LP2P_READ(&stage->ctx, dht_peers), 1);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_router_gets_a_value),
        cmocka_unit_test(test_router_failures_end_the_query),
        cmocka_unit_test(test_router_deadline),
        cmocka_unit_test(test_router_alone),
        cmocka_unit_test(test_router_finds_who_is_connected),
        cmocka_unit_test(test_router_forgets_who_is_no_server),
        cmocka_unit_test(test_router_serves_in_order),
        cmocka_unit_test(test_router_serves_at_the_pace_of_the_peer),
        cmocka_unit_test(test_router_refuses),
        cmocka_unit_test(test_router_many_queries),
        cmocka_unit_test(test_router_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
