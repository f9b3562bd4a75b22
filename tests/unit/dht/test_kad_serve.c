/* SPDX-License-Identifier: MIT
 * The server, request by request. */
#include "kit.h"

#define WALL UINT64_C(1648947848078) /* 2022-04-03T01:04:08.078Z */

static struct lp2p_kad *kad;
static uint8_t request[LP2P_KAD_REQUEST_MAX + 64], response[LP2P_KAD_REQUEST_MAX];
static size_t response_len;
static struct lp2p_kad_message answer;
static const struct lp2p_span no_key = {NULL, 0};

static int setup(void **state)
{
    (void)state;
    kad = kit_server();
    for (unsigned i = 1; i <= 40; i++) {
        struct lp2p_kad_peer peer = kit_peer(i);
        peer.connected = i == 5;
        lp2p_kad_peer_seen(kad, &peer, LP2P_SEC(1));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lp2p_kad_free(kad);
    return 0;
}

static enum lp2p_err serve_bytes(unsigned from, size_t len)
{
    struct lp2p_peer_id id = kit_peer(from).id;
    struct lp2p_span exact = vectors_copy(lp2p_span(request, len));
    enum lp2p_err err =
        lp2p_kad_serve(kad, &id, exact, LP2P_SEC(2), WALL, response, sizeof(response), &response_len);
    vectors_free(exact);
    if (err == LP2P_OK && response_len > 0) {
        assert_int_equal(lp2p_kad_message_decode(lp2p_span(response, response_len), &answer), LP2P_OK);
    }
    if (err != LP2P_OK) {
        assert_int_equal(response_len, 0);
    }
    return err;
}

static enum lp2p_err serve(unsigned from, enum lp2p_kad_type type, struct lp2p_span key,
                           const struct lp2p_kad_record *record)
{
    return serve_bytes(from, kit_message(request, sizeof(request), type, key, record, NULL, 0, NULL, 0));
}

static struct lp2p_kad_peer closer(size_t index)
{
    struct lp2p_kad_peer peer;
    assert_int_equal(lp2p_kad_peer_decode(answer.closer[index], false, &peer), LP2P_OK);
    return peer;
}

static bool first_is(const struct lp2p_peer_id *id)
{
    struct lp2p_kad_peer first = closer(0);
    return lp2p_peer_id_eq(&first.id, id);
}

/* What must hold for the closer peers of every answer: the nearest of the table in order, neither requester
 * nor ourselves. */
static void check_closer(unsigned from, struct lp2p_span key, size_t skip)
{
    struct lp2p_kad_peer expected[64];
    size_t len = lp2p_kad_table_closest(kad, key, expected, 64);
    size_t at = skip;
    struct lp2p_peer_id requester = kit_peer(from).id;
    struct lp2p_peer_id me = kit_peer(0).id;
    for (size_t i = 0; i < len && at < answer.closer_len; i++) {
        if (lp2p_peer_id_eq(&expected[i].id, &requester) ||
            lp2p_span_eq(lp2p_peer_id_span(&expected[i].id), key)) {
            continue;
        }
        struct lp2p_kad_peer peer = closer(at++);
        assert_true(lp2p_peer_id_eq(&peer.id, &expected[i].id));
        assert_false(lp2p_peer_id_eq(&peer.id, &me));
    }
    assert_int_equal(answer.closer_len, 20 + skip);
}

static void test_serve_ping(void **state)
{
    (void)state;
    assert_int_equal(serve(1, LP2P_KAD_PING, no_key, NULL), LP2P_OK);
    static const uint8_t pong[] = {0x08, 0x05};
    assert_int_equal(response_len, 2);
    assert_memory_equal(response, pong, 2);
    struct lp2p_kad_peer peer = kit_peer(9); /* nothing that came along is echoed */
    struct lp2p_kad_record record = {.key = lp2p_span_str("k"), .value = lp2p_span_str("v")};
    serve_bytes(
        1, kit_message(request, sizeof(request), LP2P_KAD_PING, record.key, &record, &peer, 1, &peer, 1));
    assert_int_equal(response_len, 2);
}

static void test_serve_find_node(void **state)
{
    (void)state;
    assert_int_equal(serve(3, LP2P_KAD_FIND_NODE, lp2p_span_str("some key"), NULL), LP2P_OK);
    assert_int_equal(answer.type, LP2P_KAD_FIND_NODE);
    assert_null(answer.key.ptr);
    check_closer(3, lp2p_span_str("some key"), 0);
    struct lp2p_peer_id target = kit_peer(5).id;
    assert_int_equal(serve(3, LP2P_KAD_FIND_NODE, lp2p_peer_id_span(&target), NULL), LP2P_OK);
    assert_true(first_is(&target));
    assert_true(closer(0).connected && closer(0).addrs_len == 1);
    check_closer(3, lp2p_peer_id_span(&target), 1);
    target = kit_peer(3).id; /* asks for itself: it is told what we know of it, once */
    assert_int_equal(serve(3, LP2P_KAD_FIND_NODE, lp2p_peer_id_span(&target), NULL), LP2P_OK);
    assert_true(first_is(&target));
    check_closer(3, lp2p_peer_id_span(&target), 1);
    target = kit_peer(0).id; /* our own addresses are in no book here */
    assert_int_equal(serve(3, LP2P_KAD_FIND_NODE, lp2p_peer_id_span(&target), NULL), LP2P_OK);
    check_closer(3, lp2p_peer_id_span(&target), 0);
}

static void test_serve_value(void **state)
{
    (void)state;
    struct lp2p_kad_record record = {.key = lp2p_span_str("resource:a:b"),
                                     .value = lp2p_span_str("{}"),
                                     .time_text = lp2p_span_str("1999-01-01T00:00:00Z")};
    assert_int_equal(serve(1, LP2P_KAD_GET_VALUE, record.key, NULL), LP2P_OK);
    assert_null(answer.record.ptr);
    check_closer(1, record.key, 0);
    assert_int_equal(serve(2, LP2P_KAD_PUT_VALUE, record.key, &record), LP2P_OK);
    struct lp2p_kad_record read;
    assert_int_equal(answer.type, LP2P_KAD_PUT_VALUE); /* the echo */
    assert_true(lp2p_span_eq(answer.key, record.key));
    assert_int_equal(lp2p_kad_record_decode(answer.record, &read), LP2P_OK);
    assert_true(lp2p_span_eq(read.value, record.value) && lp2p_span_eq(read.key, record.key));
    assert_int_equal(serve(1, LP2P_KAD_GET_VALUE, record.key, NULL), LP2P_OK);
    assert_int_equal(answer.type, LP2P_KAD_GET_VALUE);
    assert_int_equal(lp2p_kad_record_decode(answer.record, &read), LP2P_OK);
    assert_true(lp2p_span_eq(read.value, record.value) && lp2p_span_eq(read.key, record.key));
    assert_true(
        lp2p_span_eq_str(read.time_text, "2022-04-03T01:04:08.078000000Z")); /* our clock, not the sender's */
    check_closer(1, record.key, 0);                                          /* also beside a record */
    record.value = lp2p_span_str("[]");
    assert_int_equal(serve(7, LP2P_KAD_PUT_VALUE, record.key, &record),
                     LP2P_OK); /* without validator the last one wins */
    assert_int_equal(serve(1, LP2P_KAD_GET_VALUE, record.key, NULL), LP2P_OK);
    assert_int_equal(lp2p_kad_record_decode(answer.record, &read), LP2P_OK);
    assert_true(lp2p_span_eq(read.value, record.value));
}

static void test_serve_put_refusals(void **state)
{
    (void)state;
    static uint8_t large[LP2P_KAD_VALUE_MAX + 1];
    struct lp2p_kad_record record = {.key = lp2p_span_str("k"), .value = lp2p_span_str("v")};
    assert_int_equal(serve(1, LP2P_KAD_PUT_VALUE, lp2p_span_str("other"), &record), LP2P_EBADRECORD);
    assert_int_equal(serve(1, LP2P_KAD_PUT_VALUE, record.key, NULL), LP2P_EMALFORMED);
    assert_int_equal(serve(1, LP2P_KAD_PUT_VALUE, no_key, &record), LP2P_EMALFORMED);
    record.value = lp2p_span(large, sizeof(large));
    assert_int_equal(serve(1, LP2P_KAD_PUT_VALUE, record.key, &record), LP2P_EOVERSIZE);
    record.value.len--;
    assert_int_equal(serve(1, LP2P_KAD_PUT_VALUE, record.key, &record), LP2P_OK);
    record.key = lp2p_span_str("/unknown/key");
    assert_int_equal(serve(1, LP2P_KAD_PUT_VALUE, record.key, &record), LP2P_EUNSUPPORTED);
    record.key = lp2p_span_str("/pk/key");
    assert_int_equal(serve(1, LP2P_KAD_PUT_VALUE, record.key, &record), LP2P_EBADRECORD);
    record.key = lp2p_span(large, LP2P_KAD_KEY_MAX + 1);
    record.value = lp2p_span_str("v");
    assert_int_equal(serve(1, LP2P_KAD_PUT_VALUE, record.key, &record), LP2P_EMALFORMED);
    record.key.len--;
    assert_int_equal(serve(1, LP2P_KAD_PUT_VALUE, record.key, &record), LP2P_OK);
    struct lp2p_kad_stats stats;
    lp2p_kad_stats_get(kad, &stats);
    assert_int_equal(stats.records, 2);
    assert_int_equal(stats.requests_refused, 7);
    assert_int_equal(stats.requests_in[LP2P_KAD_PUT_VALUE], 9);
}

static size_t providers_of(struct lp2p_span key)
{
    assert_int_equal(serve(30, LP2P_KAD_GET_PROVIDERS, key, NULL), LP2P_OK);
    assert_true(lp2p_span_eq(answer.key, key));
    check_closer(30, key, 0);
    return answer.providers_len;
}

static void test_serve_providers(void **state)
{
    (void)state;
    struct lp2p_span key = lp2p_span_str("\x12\x03"
                                         "abc");
    struct lp2p_kad_peer list[3] = {kit_peer(8), kit_peer(7), kit_peer(9)};
    size_t len = kit_message(request, sizeof(request), LP2P_KAD_ADD_PROVIDER, key, NULL, NULL, 0, list, 3);
    response_len = 1;
    assert_int_equal(serve_bytes(7, len), LP2P_OK);
    assert_int_equal(response_len, 0);      /* "ADD_PROVIDER has no reply" */
    assert_int_equal(providers_of(key), 1); /* of three entries only the sender's own */
    struct lp2p_kad_peer read;
    assert_int_equal(lp2p_kad_peer_decode(answer.providers[0], false, &read), LP2P_OK);
    assert_true(lp2p_peer_id_eq(&read.id, &list[1].id));
    assert_int_equal(read.addrs_len, 1);
    list[0].addrs_len = 0; /* without an address: not stored, and no offence */
    len = kit_message(request, sizeof(request), LP2P_KAD_ADD_PROVIDER, key, NULL, NULL, 0, list, 1);
    assert_int_equal(serve_bytes(8, len), LP2P_OK);
    assert_int_equal(providers_of(key), 1);
    for (unsigned i = 0; i < 40; i++) {
        struct lp2p_kad_peer peer = kit_peer(100 + i);
        len = kit_message(request, sizeof(request), LP2P_KAD_ADD_PROVIDER, key, NULL, NULL, 0, &peer, 1);
        assert_int_equal(serve_bytes(100 + i, len), LP2P_OK);
    }
    assert_int_equal(providers_of(key), 20);
    static uint8_t long_key[81];
    assert_int_equal(serve(1, LP2P_KAD_GET_PROVIDERS, lp2p_span(long_key, 81), NULL), LP2P_EMALFORMED);
    assert_int_equal(serve(1, LP2P_KAD_GET_PROVIDERS, lp2p_span(long_key, 80), NULL), LP2P_OK);
    assert_int_equal(serve(1, LP2P_KAD_ADD_PROVIDER, lp2p_span(long_key, 81), NULL), LP2P_EMALFORMED);
    assert_int_equal(serve(1, LP2P_KAD_GET_PROVIDERS, no_key, NULL), LP2P_EMALFORMED);
}

static void test_serve_oversize_and_garbage(void **state)
{
    (void)state;
    memset(request, 0, sizeof(request));
    assert_int_equal(serve_bytes(1, LP2P_KAD_REQUEST_MAX + 1), LP2P_EOVERSIZE);
    struct lp2p_rand rand = kit_rand(1, 5);
    unsigned refused = 0;
    for (unsigned i = 0; i < 20000; i++) {
        size_t len = (size_t)lp2p_rand_below(&rand, 120);
        lp2p_rand_fill(&rand, request, len);
        if (i % 2 == 0 && len > 4) { /* at least begin like a message */
            request[0] = 0x08;
            request[1] %= 6;
            request[2] = 0x12;
            request[3] = (uint8_t)(request[3] % len);
        }
        refused += serve_bytes(1, len) != LP2P_OK;
    }
    assert_true(refused > 10000);
}

static void test_serve_every_truncation(void **state)
{
    (void)state;
    struct lp2p_kad_record record = {.key = lp2p_span_str("k"), .value = lp2p_span_str("a value")};
    struct lp2p_kad_peer peer = kit_peer(4);
    for (int type = 0; type < LP2P_KAD_TYPES; type++) {
        size_t len = kit_message(request, sizeof(request), (enum lp2p_kad_type)type, record.key, &record,
                                 &peer, 1, &peer, 1);
        for (size_t cut = 0; cut < len; cut++) {
            enum lp2p_err err = serve_bytes(4, cut);
            assert_true(err <= LP2P_OK);
        }
        assert_int_equal(serve_bytes(4, len), LP2P_OK);
    }
}

static void test_serve_public_only(void **state)
{
    (void)state;
    struct lp2p_kad_config config = {.self = kit_peer(0).id, .server = true, .public_only = true};
    struct lp2p_rand rand = kit_rand(0, 1);
    lp2p_kad_free(kad);
    kad = lp2p_kad_new(&config, &rand, 0);
    struct lp2p_kad_peer home = kit_peer(1);
    home.addrs[0] = kit_addr("/ip4/192.168.1.2/tcp/4001");
    struct lp2p_kad_peer both = kit_peer(2);
    both.addrs[1] = home.addrs[0];
    both.addrs_len = 2;
    lp2p_kad_peer_seen(kad, &home, 0);
    lp2p_kad_peer_seen(kad, &both, 0);
    assert_int_equal(lp2p_kad_table_size(kad), 1);
    assert_int_equal(serve(3, LP2P_KAD_FIND_NODE, lp2p_span_str("k"), NULL), LP2P_OK);
    assert_int_equal(answer.closer_len, 1);
    assert_int_equal(closer(0).addrs_len, 1);
    struct lp2p_span key = lp2p_span_str("\x12\x01"
                                         "a");
    home.addrs[0] = kit_addr("/ip4/127.0.0.1/tcp/4001");
    size_t len = kit_message(request, sizeof(request), LP2P_KAD_ADD_PROVIDER, key, NULL, NULL, 0, &home, 1);
    assert_int_equal(serve_bytes(1, len), LP2P_OK);
    struct lp2p_kad_stats stats;
    lp2p_kad_stats_get(kad, &stats);
    assert_int_equal(stats.provider_records, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_serve_ping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serve_find_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serve_value, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serve_put_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serve_providers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serve_oversize_and_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serve_every_truncation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_serve_public_only, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
