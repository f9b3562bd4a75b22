/* SPDX-License-Identifier: MIT
 * Queries seen from the owner: which events come, in which order, and that each query ends exactly once. */
#include "kit.h"

static struct lp2p_kad *kad;
static struct lp2p_kad_event event;
static lp2p_time now;
static uint8_t bytes[LP2P_KAD_REQUEST_MAX];

static void start(const struct lp2p_kad_config *wanted, unsigned peers)
{
    struct lp2p_kad_config config = *wanted;
    struct lp2p_rand rand = kit_rand(0, 1);
    config.self = kit_peer(0).id;
    config.refresh_interval_ns = config.refresh_interval_ns == 0 ? LP2P_NEVER : config.refresh_interval_ns;
    now = LP2P_SEC(1);
    kad = lp2p_kad_new(&config, &rand, now);
    assert_non_null(kad);
    for (unsigned i = 1; i <= peers; i++) {
        struct lp2p_kad_peer peer = kit_peer(i);
        lp2p_kad_peer_seen(kad, &peer, now);
    }
}

static int teardown(void **state)
{
    (void)state;
    lp2p_kad_free(kad);
    kad = NULL;
    return 0;
}

static enum lp2p_kad_event_kind next(void)
{
    lp2p_kad_next(kad, &event, now);
    return event.kind;
}

static void expect_done(uint64_t query, enum lp2p_err reason)
{
    assert_int_equal(next(), LP2P_KAD_QUERY_DONE);
    assert_true(event.query == query);
    assert_int_equal(event.reason, reason);
    const struct lp2p_kad_event done = event;
    assert_int_equal(next(), LP2P_KAD_NONE);
    event = done;
    event.peers = NULL;
}

/* Takes up to max SEND events; returns their number and keeps the requests. */
static size_t take_sends(uint64_t *requests, size_t max)
{
    size_t len = 0;
    while (len < max && next() == LP2P_KAD_SEND) {
        assert_true(event.peer.addrs_len > 0 && event.message.len > 0);
        requests[len++] = event.request;
    }
    return len;
}

static void feed(uint64_t request, enum lp2p_kad_type type, struct lp2p_span key, const struct lp2p_kad_record *record,
                 const struct lp2p_kad_peer *closer, size_t closer_len, const struct lp2p_kad_peer *providers,
                 size_t providers_len)
{
    size_t len = kit_message(bytes, sizeof(bytes), type, key, record, closer, closer_len, providers, providers_len);
    struct lp2p_span exact = vectors_copy(lp2p_span(bytes, len));
    lp2p_kad_feed(kad, request, exact, now, 0);
    vectors_free(exact);
}

static void feed_empty(uint64_t request, enum lp2p_kad_type type)
{
    feed(request, type, lp2p_span(NULL, 0), NULL, NULL, 0, NULL, 0);
}

static const struct lp2p_kad_config defaults = {.server = true};

static void test_query_empty_table(void **state)
{
    (void)state;
    start(&defaults, 0);
    expect_done(lp2p_kad_closest(kad, lp2p_span_str("k"), now), LP2P_ENOTFOUND);
    struct lp2p_peer_id peer = kit_peer(3).id;
    expect_done(lp2p_kad_find_peer(kad, &peer, now), LP2P_ENOTFOUND);
    expect_done(lp2p_kad_get(kad, lp2p_span_str("k"), 0, now, 0), LP2P_ENOTFOUND);
    expect_done(lp2p_kad_find_providers(kad, lp2p_span_str("k"), 0, now), LP2P_ENOTFOUND);
    expect_done(lp2p_kad_put(kad, lp2p_span_str("k"), lp2p_span_str("v"), now, 0), LP2P_OK);
    struct lp2p_kad_peer self = kit_peer(0);
    expect_done(lp2p_kad_provide(kad, lp2p_span_str("k"), &self, now), LP2P_OK);
    self.addrs_len = 0;
    expect_done(lp2p_kad_provide(kad, lp2p_span_str("k"), &self, now), LP2P_ENOADDR);
    expect_done(lp2p_kad_get(kad, lp2p_span_str("k"), 0, now, 0), LP2P_OK); /* from our own store */
    assert_int_equal(lp2p_kad_find_providers(kad, lp2p_span_str("k"), 0, now) == 0, 0);
    assert_int_equal(next(), LP2P_KAD_PROVIDER); /* ourselves */
    assert_true(lp2p_peer_id_eq(&event.peer.id, &self.id));
    assert_int_equal(next(), LP2P_KAD_QUERY_DONE);
    assert_int_equal(event.peers_len, 1);
    assert_int_equal(next(), LP2P_KAD_NONE);
    assert_true(lp2p_kad_deadline(kad) != LP2P_NEVER); /* the records' end */
}

static void test_query_refused(void **state)
{
    (void)state;
    start(&(struct lp2p_kad_config){.server = true, .queries_max = 2}, 3);
    static uint8_t large[LP2P_KAD_VALUE_MAX + 1];
    struct lp2p_kad_peer self = kit_peer(0);
    struct lp2p_peer_id none = {0};
    assert_true(lp2p_kad_closest(kad, lp2p_span(large, LP2P_KAD_KEY_MAX + 1), now) == 0);
    assert_true(lp2p_kad_closest(kad, lp2p_span(large, 0), now) == 0);
    assert_true(lp2p_kad_get(kad, lp2p_span(large, LP2P_KAD_KEY_MAX + 1), 0, now, 0) == 0);
    assert_true(lp2p_kad_put(kad, lp2p_span_str("k"), lp2p_span(large, sizeof(large)), now, 0) == 0);
    assert_true(lp2p_kad_provide(kad, lp2p_span(large, 81), &self, now) == 0);
    assert_true(lp2p_kad_find_providers(kad, lp2p_span(large, 81), 0, now) == 0);
    assert_true(lp2p_kad_find_peer(kad, &none, now) == 0);
    assert_true(lp2p_kad_closest(kad, lp2p_span(large, LP2P_KAD_KEY_MAX), now) != 0);
    uint64_t second = lp2p_kad_put(kad, lp2p_span(large, LP2P_KAD_KEY_MAX), lp2p_span(large, LP2P_KAD_VALUE_MAX), now, 0);
    assert_true(second != 0);
    assert_true(lp2p_kad_closest(kad, lp2p_span_str("k"), now) == 0); /* the third */
    lp2p_kad_cancel(kad, second);
    while (next() != LP2P_KAD_NONE) {
    }
    assert_true(lp2p_kad_closest(kad, lp2p_span_str("k"), now) != 0);
    struct lp2p_kad_stats stats;
    lp2p_kad_stats_get(kad, &stats);
    assert_int_equal(stats.queries, 2);
}

static void test_query_alpha_and_cancel(void **state)
{
    (void)state;
    start(&(struct lp2p_kad_config){.server = true, .alpha = 3}, 10);
    uint64_t requests[16];
    uint64_t query = lp2p_kad_closest(kad, lp2p_span_str("k"), now);
    assert_int_equal(take_sends(requests, 16), 3);
    feed_empty(requests[1], LP2P_KAD_FIND_NODE);
    assert_int_equal(take_sends(requests + 3, 13), 1);
    lp2p_kad_cancel(kad, query);
    lp2p_kad_cancel(kad, query);
    unsigned canceled = 0;
    while (next() == LP2P_KAD_CANCELED) {
        canceled++;
        assert_true(event.request == requests[0] || event.request == requests[2] || event.request == requests[3]);
    }
    assert_int_equal(canceled, 3);
    assert_int_equal(event.kind, LP2P_KAD_QUERY_DONE); /* after the requests were called back */
    assert_int_equal(event.reason, LP2P_ECANCELED);
    assert_int_equal(next(), LP2P_KAD_NONE);
    feed_empty(requests[0], LP2P_KAD_FIND_NODE); /* late answers fall to the ground */
    lp2p_kad_fail(kad, requests[2], LP2P_ERESET, now);
    lp2p_kad_fail(kad, 0, LP2P_ERESET, now);
    assert_int_equal(next(), LP2P_KAD_NONE);
    assert_int_equal(lp2p_kad_table_size(kad), 10);
}

static void test_query_timeouts(void **state)
{
    (void)state;
    start(&defaults, 2);
    uint64_t requests[4];
    uint64_t query = lp2p_kad_closest(kad, lp2p_span_str("k"), now);
    assert_int_equal(take_sends(requests, 4), 2);
    feed_empty(requests[0], LP2P_KAD_FIND_NODE);
    assert_int_equal(next(), LP2P_KAD_NONE);
    assert_true(lp2p_kad_deadline(kad) <= now + LP2P_SEC(10));
    lp2p_time sent = now;
    unsigned ticks = 0;
    while (now < sent + LP2P_SEC(10)) {
        assert_int_equal(next(), LP2P_KAD_NONE);
        now = lp2p_kad_deadline(kad);
        lp2p_kad_tick(kad, now, 0);
        assert_true(++ticks < 5);
    }
    assert_true(now == sent + LP2P_SEC(10));
    assert_int_equal(next(), LP2P_KAD_CANCELED);
    assert_true(event.request == requests[1]);
    expect_done(query, LP2P_OK);
    assert_int_equal(event.peers_len, 1);
    assert_int_equal(lp2p_kad_table_size(kad), 1); /* who failed a query leaves the table */
    assert_true(lp2p_kad_deadline(kad) == LP2P_NEVER);
}

/* A peer that always names a nearer one would hold the query for ever. */
static void test_query_whole_deadline(void **state)
{
    (void)state;
    start(&(struct lp2p_kad_config){.server = true, .k = 2, .alpha = 1}, 1);
    lp2p_time began = now;
    uint64_t query = lp2p_kad_closest(kad, lp2p_span_str("k"), now);
    unsigned number = 1000;
    unsigned asked = 0;
    while (next() != LP2P_KAD_QUERY_DONE) {
        if (event.kind == LP2P_KAD_SEND) {
            struct lp2p_kad_peer closer[40];
            for (unsigned i = 0; i < 40; i++) {
                closer[i] = kit_peer(number++);
            }
            now += LP2P_MS(100);
            asked++;
            feed(event.request, LP2P_KAD_FIND_NODE, lp2p_span(NULL, 0), NULL, closer, 40, NULL, 0);
        }
        lp2p_kad_tick(kad, now, 0);
        if (event.kind == LP2P_KAD_NONE) {
            now = lp2p_kad_deadline(kad);
        }
    }
    assert_true(event.query == query);
    assert_true(now <= began + LP2P_SEC(61) && asked <= 601);
}

static void test_query_ignores_lies(void **state)
{
    (void)state;
    start(&(struct lp2p_kad_config){.server = true, .k = 3}, 1);
    uint64_t request = 0;
    uint64_t query = lp2p_kad_closest(kad, lp2p_span_str("k"), now);
    assert_int_equal(take_sends(&request, 1), 1);
    struct lp2p_kad_peer closer[30]; /* ourselves, the asked one itself, doubles, and more than 2k */
    for (unsigned i = 0; i < 30; i++) {
        closer[i] = kit_peer(i < 2 ? i : i < 4 ? 77 : 100 + i);
    }
    feed(request, LP2P_KAD_FIND_NODE, lp2p_span(NULL, 0), NULL, closer, 30, NULL, 0);
    size_t asked = 0;
    struct lp2p_peer_id self = kit_peer(0).id;
    while (next() == LP2P_KAD_SEND) {
        assert_false(lp2p_peer_id_eq(&event.peer.id, &self));
        unsigned number = event.peer.id.bytes[37];
        assert_true(number == 77 || number == 104 || number == 105); /* 2k = 6 entries were looked at */
        asked++;
        lp2p_kad_fail(kad, event.request, LP2P_EUNREACHABLE, now);
    }
    assert_int_equal(asked, 3);
    assert_int_equal(event.kind, LP2P_KAD_QUERY_DONE);
    assert_int_equal(event.peers_len, 1);
    assert_true(event.query == query);
}

static void test_query_malformed_answers(void **state)
{
    (void)state;
    start(&defaults, 3);
    uint64_t requests[4];
    uint64_t query = lp2p_kad_get(kad, lp2p_span_str("k"), 0, now, 0);
    assert_int_equal(take_sends(requests, 4), 3);
    static const uint8_t garbage[] = {0xff, 0xff, 0xff};
    lp2p_kad_feed(kad, requests[0], lp2p_span(garbage, sizeof(garbage)), now, 0);
    feed_empty(requests[1], LP2P_KAD_FIND_NODE); /* the answer to another question */
    uint8_t *huge = calloc(1, LP2P_KAD_RESPONSE_MAX + 1);
    lp2p_kad_feed(kad, requests[2], lp2p_span(huge, LP2P_KAD_RESPONSE_MAX + 1), now, 0);
    free(huge);
    expect_done(query, LP2P_ENOTFOUND);
    assert_int_equal(lp2p_kad_table_size(kad), 0);
    struct lp2p_kad_stats stats;
    lp2p_kad_stats_get(kad, &stats);
    assert_int_equal(stats.requests_failed, 3);
    assert_int_equal(stats.requests_out, 3);
}

static void test_query_get_values(void **state)
{
    (void)state;
    start(&defaults, 5);
    struct lp2p_span key = lp2p_span_str("k");
    uint64_t requests[8];
    uint64_t query = lp2p_kad_get(kad, key, 0, now, 0);
    assert_int_equal(take_sends(requests, 8), 5);
    static uint8_t large[LP2P_KAD_VALUE_MAX + 1];
    struct lp2p_kad_record good = {.key = key, .value = lp2p_span_str("good")};
    struct lp2p_kad_record rare = {.key = key, .value = lp2p_span_str("rare")};
    struct lp2p_kad_record other_key = {.key = lp2p_span_str("x"), .value = lp2p_span_str("good")};
    struct lp2p_kad_record too_long = {.key = key, .value = lp2p_span(large, sizeof(large))};
    feed(requests[0], LP2P_KAD_GET_VALUE, key, &rare, NULL, 0, NULL, 0);
    feed(requests[1], LP2P_KAD_GET_VALUE, key, &other_key, NULL, 0, NULL, 0);
    feed(requests[2], LP2P_KAD_GET_VALUE, key, &too_long, NULL, 0, NULL, 0);
    feed(requests[3], LP2P_KAD_GET_VALUE, key, &good, NULL, 0, NULL, 0);
    feed(requests[4], LP2P_KAD_GET_VALUE, key, &good, NULL, 0, NULL, 0);
    assert_int_equal(next(), LP2P_KAD_QUERY_DONE);
    assert_true(event.query == query);
    assert_true(lp2p_span_eq_str(event.value, "good")); /* unvalidated: what most say */
    unsigned corrections = 0;
    while (next() == LP2P_KAD_SEND) { /* to the three that had none or another one */
        struct lp2p_kad_message message;
        struct lp2p_kad_record record;
        assert_int_equal(lp2p_kad_message_decode(event.message, &message), LP2P_OK);
        assert_int_equal(message.type, LP2P_KAD_PUT_VALUE);
        assert_int_equal(lp2p_kad_record_decode(message.record, &record), LP2P_OK);
        assert_true(lp2p_span_eq_str(record.value, "good") && record.time_text.ptr == NULL);
        assert_true(event.query != query);
        requests[corrections++] = event.request;
    }
    assert_int_equal(corrections, 3);
    feed(requests[0], LP2P_KAD_PUT_VALUE, key, &good, NULL, 0, NULL, 0);
    feed(requests[1], LP2P_KAD_PUT_VALUE, key, &rare, NULL, 0, NULL, 0);
    lp2p_kad_fail(kad, requests[2], LP2P_ERESET, now);
    assert_int_equal(next(), LP2P_KAD_NONE); /* nobody is told of their end */
    assert_true(lp2p_kad_deadline(kad) == LP2P_NEVER);
    assert_int_equal(lp2p_kad_table_size(kad), 5);
}

static void test_query_get_quorum(void **state)
{
    (void)state;
    start(&defaults, 6);
    struct lp2p_span key = lp2p_span_str("k");
    struct lp2p_kad_record record = {.key = key, .value = lp2p_span_str("v")};
    uint64_t requests[8];
    uint64_t query = lp2p_kad_get(kad, key, 2, now, 0);
    assert_int_equal(take_sends(requests, 8), 6);
    feed_empty(requests[0], LP2P_KAD_GET_VALUE);
    feed(requests[1], LP2P_KAD_GET_VALUE, key, &record, NULL, 0, NULL, 0);
    assert_int_equal(next(), LP2P_KAD_NONE);
    feed(requests[2], LP2P_KAD_GET_VALUE, key, &record, NULL, 0, NULL, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(next(), LP2P_KAD_CANCELED);
    }
    expect_done(query, LP2P_OK); /* and no correction: who is closest is not known yet */
}

static void test_query_put(void **state)
{
    (void)state;
    start(&defaults, 3);
    struct lp2p_span key = lp2p_span_str("k");
    struct lp2p_kad_record record = {.key = key, .value = lp2p_span_str("v")};
    struct lp2p_kad_record wrong = {.key = key, .value = lp2p_span_str("w")};
    uint64_t requests[8];
    for (unsigned round = 0; round < 2; round++) {
        uint64_t query = lp2p_kad_put(kad, key, record.value, now, UINT64_C(1648947848078));
        assert_int_equal(take_sends(requests, 8), 3);
        for (unsigned i = 0; i < 3; i++) {
            feed_empty(requests[i], LP2P_KAD_FIND_NODE);
        }
        assert_int_equal(next(), LP2P_KAD_SEND);
        struct lp2p_kad_message message;
        struct lp2p_kad_record sent;
        assert_int_equal(lp2p_kad_message_decode(event.message, &message), LP2P_OK);
        assert_int_equal(lp2p_kad_record_decode(message.record, &sent), LP2P_OK);
        assert_true(lp2p_span_eq(sent.key, key) && lp2p_span_eq(sent.value, record.value));
        assert_true(lp2p_span_eq_str(sent.time_text, "2022-04-03T01:04:08.078000000Z"));
        requests[0] = event.request;
        assert_int_equal(take_sends(requests + 1, 7), 2);
        feed(requests[0], LP2P_KAD_PUT_VALUE, key, &wrong, NULL, 0, NULL, 0);
        lp2p_kad_fail(kad, requests[1], LP2P_ERESET, now);
        if (round == 0) {
            feed(requests[2], LP2P_KAD_PUT_VALUE, key, &record, NULL, 0, NULL, 0);
            expect_done(query, LP2P_OK);
            assert_int_equal(event.peers_len, 1);
        } else {
            feed_empty(requests[2], LP2P_KAD_PUT_VALUE);
            expect_done(query, LP2P_EQUORUM);
            assert_int_equal(event.peers_len, 0);
        }
    }
    assert_int_equal(lp2p_kad_table_size(kad), 3);
}

static void test_query_provide(void **state)
{
    (void)state;
    start(&defaults, 4);
    struct lp2p_kad_peer self = kit_peer(0);
    uint64_t requests[8];
    uint64_t query = lp2p_kad_provide(kad, lp2p_span_str("\x12\x01k"), &self, now);
    assert_int_equal(take_sends(requests, 8), 4);
    for (unsigned i = 0; i < 4; i++) {
        if (i == 0) {
            lp2p_kad_fail(kad, requests[i], LP2P_EUNREACHABLE, now);
        } else {
            feed_empty(requests[i], LP2P_KAD_FIND_NODE);
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(next(), LP2P_KAD_SEND);
        assert_true(event.no_reply);
        struct lp2p_kad_message message;
        struct lp2p_kad_peer peer;
        assert_int_equal(lp2p_kad_message_decode(event.message, &message), LP2P_OK);
        assert_int_equal(message.type, LP2P_KAD_ADD_PROVIDER);
        assert_int_equal(message.providers_len, 1);
        assert_int_equal(lp2p_kad_peer_decode(message.providers[0], false, &peer), LP2P_OK);
        assert_true(lp2p_peer_id_eq(&peer.id, &self.id) && peer.addrs_len == 1);
    }
    expect_done(query, LP2P_OK);
    assert_int_equal(event.peers_len, 3);
}

static void test_query_find_providers_stops(void **state)
{
    (void)state;
    start(&defaults, 4);
    uint64_t requests[8];
    struct lp2p_span key = lp2p_span_str("\x12\x01k");
    uint64_t query = lp2p_kad_find_providers(kad, key, 3, now);
    assert_int_equal(take_sends(requests, 8), 4);
    struct lp2p_kad_peer list[5] = {kit_peer(50), kit_peer(50), kit_peer(0), kit_peer(51), kit_peer(2)};
    list[4].addrs_len = 0; /* its address is in our table */
    feed(requests[0], LP2P_KAD_GET_PROVIDERS, key, NULL, NULL, 0, list, 4);
    assert_int_equal(next(), LP2P_KAD_PROVIDER);
    assert_true(event.query == query && lp2p_peer_id_eq(&event.peer.id, &list[0].id));
    assert_int_equal(next(), LP2P_KAD_PROVIDER);
    assert_true(lp2p_peer_id_eq(&event.peer.id, &list[3].id));
    assert_int_equal(next(), LP2P_KAD_NONE);
    feed(requests[1], LP2P_KAD_GET_PROVIDERS, key, NULL, NULL, 0, list + 3, 2);
    unsigned canceled = 0;
    while (next() == LP2P_KAD_CANCELED) {
        canceled++;
    }
    assert_int_equal(canceled, 2);
    assert_int_equal(event.kind, LP2P_KAD_PROVIDER);
    assert_int_equal(event.peer.addrs_len, 1);
    expect_done(query, LP2P_OK);
    assert_int_equal(event.peers_len, 3);
}

static void test_query_find_peer_joins_addresses(void **state)
{
    (void)state;
    start(&defaults, 5);
    uint64_t requests[8];
    struct lp2p_kad_peer target = kit_peer(77);
    uint64_t query = lp2p_kad_find_peer(kad, &target.id, now);
    assert_int_equal(take_sends(requests, 8), 5);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(next(), LP2P_KAD_NONE);
        target.addrs[0].bytes[3] = (uint8_t)(200 + i / 2); /* two say the same, the third something else */
        feed(requests[i], LP2P_KAD_FIND_NODE, lp2p_span(NULL, 0), NULL, &target, 1, NULL, 0);
    }
    assert_int_equal(next(), LP2P_KAD_CANCELED);
    assert_int_equal(next(), LP2P_KAD_CANCELED);
    assert_int_equal(next(), LP2P_KAD_QUERY_DONE);
    assert_true(event.query == query);
    assert_int_equal(event.peers_len, 1);
    assert_true(lp2p_peer_id_eq(&event.peers[0].id, &target.id));
    assert_int_equal(event.peers[0].addrs_len, 2);
    struct lp2p_kad_peer near = kit_peer(1);
    lp2p_kad_peer_connected(kad, &near.id, true);
    expect_done(lp2p_kad_find_peer(kad, &near.id, now), LP2P_OK); /* connected: nothing to ask */
}

static void test_query_refresh(void **state)
{
    (void)state;
    start(&(struct lp2p_kad_config){.server = true, .refresh_interval_ns = LP2P_SEC(600)}, 0);
    lp2p_kad_bootstrap(kad, now); /* nobody there: nothing to do */
    assert_int_equal(next(), LP2P_KAD_NONE);
    struct lp2p_kad_peer peer = kit_peer(1);
    lp2p_kad_peer_seen(kad, &peer, now);
    lp2p_kad_bootstrap(kad, now);
    unsigned lookups = 0;
    struct lp2p_peer_id self = kit_peer(0).id;
    while (next() == LP2P_KAD_SEND) {
        struct lp2p_kad_message message;
        assert_int_equal(lp2p_kad_message_decode(event.message, &message), LP2P_OK);
        struct lp2p_peer_id id;
        assert_int_equal(lp2p_peer_id_parse(message.key, &id), LP2P_OK); /* everybody takes it for a peer */
        if (lookups++ == 0) {
            assert_true(lp2p_peer_id_eq(&id, &self)); /* first ourselves */
        }
        feed_empty(event.request, LP2P_KAD_FIND_NODE);
    }
    assert_int_equal(event.kind, LP2P_KAD_NONE);
    assert_in_range(lookups, 2, 1 + LP2P_KAD_REFRESH_BUCKETS);
    peer = kit_peer(2);
    lp2p_kad_peer_seen(kad, &peer, now); /* a small table hastens */
    assert_true(lp2p_kad_deadline(kad) <= now + LP2P_SEC(31));
    now = lp2p_kad_deadline(kad);
    lp2p_kad_tick(kad, now, 0);
    assert_int_equal(next(), LP2P_KAD_SEND);
}

#define STEPS 60000u

/* Everything at random: each query ends exactly once, each request once, and nothing is left behind. */
static void test_query_random_owner(void **state)
{
    (void)state;
    struct lp2p_rand rand = kit_rand(3, 11);
    start(&(struct lp2p_kad_config){.server = true, .queries_max = 8, .k = 5, .alpha = 2}, 30);
    static uint64_t open[256];
    size_t open_len = 0;
    uint64_t started = 0;
    uint64_t done = 0;
    uint64_t value = 0;
    struct lp2p_kad_peer self = kit_peer(0);
    for (unsigned step = 0; step < STEPS || open_len > 0; step++) {
        uint64_t key = lp2p_rand_below(&rand, 50);
        struct lp2p_span k = lp2p_span(&key, sizeof(key));
        struct lp2p_kad_peer peer = kit_peer((unsigned)lp2p_rand_below(&rand, 200));
        uint64_t choice = step < STEPS ? lp2p_rand_below(&rand, 14) : 7;
        size_t pick = open_len == 0 ? 0 : (size_t)lp2p_rand_below(&rand, open_len);
        switch (choice) {
        case 0: started += lp2p_kad_closest(kad, k, now) != 0; break;
        case 1: started += lp2p_kad_get(kad, k, (unsigned)key % 3, now, 0) != 0; break;
        case 2: started += lp2p_kad_put(kad, k, lp2p_span(&value, 8), now, ++value) != 0; break;
        case 3: started += lp2p_kad_provide(kad, k, &self, now) != 0; break;
        case 4: started += lp2p_kad_find_providers(kad, k, 3, now) != 0; break;
        case 5: started += lp2p_kad_find_peer(kad, &peer.id, now) != 0; break;
        case 6: lp2p_kad_cancel(kad, lp2p_rand_below(&rand, kad->query_serial + 1)); break;
        case 7: now = LP2P_MIN(lp2p_kad_deadline(kad), now + LP2P_SEC(1)); lp2p_kad_tick(kad, now, 0); break;
        case 8: lp2p_kad_peer_seen(kad, &peer, now); break;
        case 9: lp2p_kad_peer_gone(kad, &peer.id); break;
        case 10: lp2p_kad_fail(kad, open_len == 0 ? 1 : open[pick], LP2P_ERESET, now); break;
        default: {
            struct lp2p_kad_record record = {.key = k, .value = lp2p_span(&key, 1)};
            const struct lp2p_kad_request *request =
                lp2p_kad_request_find(&kad->requests, open_len == 0 ? 1 : open[pick]);
            enum lp2p_kad_type type = request == NULL ? LP2P_KAD_PING : request->type;
            feed(open_len == 0 ? 1 : open[pick], type, k, &record, &peer, 1, &peer, 1);
            break;
        }
        }
        if (choice >= 10 && open_len > 0) {
            open[pick] = open[--open_len];
        }
        while (lp2p_rand_below(&rand, 4) > 0 && next() != LP2P_KAD_NONE) {
            if (event.kind == LP2P_KAD_SEND && !event.no_reply) {
                assert_true(open_len < 256);
                open[open_len++] = event.request;
            } else if (event.kind == LP2P_KAD_CANCELED) {
                for (size_t i = 0; i < open_len; i++) {
                    if (open[i] == event.request) {
                        open[i] = open[--open_len];
                    }
                }
            } else if (event.kind == LP2P_KAD_QUERY_DONE) {
                done++;
            }
        }
    }
    while (next() != LP2P_KAD_NONE || kad->queries_len > 0) {
        done += event.kind == LP2P_KAD_QUERY_DONE;
        if (event.kind == LP2P_KAD_NONE) {
            now += LP2P_SEC(1);
            lp2p_kad_tick(kad, now, 0);
        }
    }
    assert_true(started > 1000);
    assert_true(done == started);
    assert_int_equal(kad->queries_len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_query_empty_table, teardown),
        cmocka_unit_test_teardown(test_query_refused, teardown),
        cmocka_unit_test_teardown(test_query_alpha_and_cancel, teardown),
        cmocka_unit_test_teardown(test_query_timeouts, teardown),
        cmocka_unit_test_teardown(test_query_whole_deadline, teardown),
        cmocka_unit_test_teardown(test_query_ignores_lies, teardown),
        cmocka_unit_test_teardown(test_query_malformed_answers, teardown),
        cmocka_unit_test_teardown(test_query_get_values, teardown),
        cmocka_unit_test_teardown(test_query_get_quorum, teardown),
        cmocka_unit_test_teardown(test_query_put, teardown),
        cmocka_unit_test_teardown(test_query_provide, teardown),
        cmocka_unit_test_teardown(test_query_find_providers_stops, teardown),
        cmocka_unit_test_teardown(test_query_find_peer_joins_addresses, teardown),
        cmocka_unit_test_teardown(test_query_refresh, teardown),
        cmocka_unit_test_teardown(test_query_random_owner, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
