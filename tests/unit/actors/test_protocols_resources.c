/* SPDX-License-Identifier: MIT
 * The resources actor: what it tells the router, its cache, and what it tries again on its own. */
#include "protocols_stage.h"

#include "actors/protocols/resource.h"

#include <string.h>

static struct stage *resources_stage(enum lp2p_dht_mode mode)
{
    struct stage *stage = stage_new();
    stage->ctx.config.dht_mode = mode;
    stage_start(stage, &lp2p_resources_ops);
    return stage;
}

static void announce(struct stage *stage, const char *id, const char *data, uint64_t ttl_ms,
                     struct lp2p_op *op)
{
    struct lp2p_m_announce *m = LP2P_NEW(ANNOUNCE, announce);
    snprintf(m->type, sizeof(m->type), "session");
    snprintf(m->id, sizeof(m->id), "%s", id);
    m->json = lp2p_slice_copy(data, strlen(data));
    m->ttl_ms = ttl_ms;
    m->op = lp2p_op_ref(op);
    STAGE_POST(stage, m);
}

static void discover(struct stage *stage, const char *id, bool local_only, struct lp2p_op *op)
{
    struct lp2p_m_discover *m = LP2P_NEW(DISCOVER, discover);
    snprintf(m->type, sizeof(m->type), "session");
    snprintf(m->id, sizeof(m->id), "%s", id);
    m->local_only = local_only;
    m->op = lp2p_op_ref(op);
    STAGE_POST(stage, m);
}

/* Takes the request at the router; fails the test when there is none. */
static uint64_t router_asked(struct stage *stage, enum lp2p_dht_verb verb, const char *key)
{
    struct lp2p_m_dht_request *m = STAGE_TAKE(stage, DHT_REQUEST, dht_request);
    assert_non_null(m);
    assert_int_equal(m->verb, verb);
    assert_int_equal(m->key.len, strlen(key));
    assert_memory_equal(m->key.ptr, key, m->key.len);
    assert_null(m->op);
    assert_true(m->deadline != 0);
    uint64_t tag = m->msg.tag;
    STAGE_DROP(m);
    return tag;
}

static void router_says(struct stage *stage, uint64_t tag, enum lp2p_err result, size_t peers,
                        const char *value)
{
    struct lp2p_m_dht_done *m = LP2P_NEW(DHT_DONE, dht_done);
    m->msg.tag = tag;
    m->result = result;
    m->peers_len = peers;
    if (value != NULL) {
        m->value = lp2p_slice_copy(value, strlen(value));
    }
    STAGE_POST(stage, m);
}

static void assert_bytes(struct lp2p_op *op, const char *text)
{
    size_t len;
    const void *bytes = lp2p_op_bytes(op, &len);
    assert_non_null(bytes);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, len);
}

static void test_resources_announce(void **state)
{
    (void)state;
    struct stage *stage = resources_stage(LP2P_DHT_CLIENT);
    struct lp2p_op *op = stage_op();
    announce(stage, "s-1", "{\"a\":1}", 1000, op);
    uint64_t tag = router_asked(stage, LP2P_DHT_PUT, "resource:session:s-1");
    router_says(stage, tag, LP2P_OK, 7, NULL);
    assert_int_equal(lp2p_op_number(op), 7);
    stage_op_is(op, LP2P_OK);
    op = stage_op();
    discover(stage, "s-1", false, op);
    STAGE_NONE(stage, DHT_REQUEST); /* from the cache */
    char expected[512];
    snprintf(expected, sizeof(expected),
             "{\"resourceId\":\"s-1\",\"resourceType\":\"session\",\"creatorPeerId\":\"%s\",\"data\":{\"a\":"
             "1},\"createdAt\":%llu,"
             "\"expiresAt\":%llu}",
             stage->ctx.self_text, (unsigned long long)stage->wall_ms,
             (unsigned long long)stage->wall_ms + 1000);
    assert_bytes(op, expected);
    stage_op_is(op, LP2P_OK);
    stage_pass(stage, LP2P_MS(1500)); /* expired now */
    op = stage_op();
    discover(stage, "s-1", true, op);
    stage_op_is(op, LP2P_ENOTFOUND);
    stage_free(stage);
}

static void test_resources_refuse(void **state)
{
    (void)state;
    struct stage *stage = resources_stage(LP2P_DHT_CLIENT);
    const char *const bad[][2] = {{"a/b/c", "1"}, {"", "1"}, {"s", "{"}, {"s", ""}};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(bad); i++) {
        struct lp2p_op *op = stage_op();
        announce(stage, bad[i][0], bad[i][1], 0, op);
        assert_true(strlen(lp2p_op_detail(op)) > 0);
        stage_op_is(op, LP2P_EINVAL);
    }
    STAGE_NONE(stage, DHT_REQUEST);
    stage_free(stage);
}

/* Nobody there: told at once, queued, and put as soon as a DHT peer appears. */
static void test_resources_queue(void **state)
{
    (void)state;
    struct stage *stage = resources_stage(LP2P_DHT_SERVER);
    struct lp2p_op *op = stage_op();
    announce(stage, "s-1", "1", 0, op);
    router_says(stage, router_asked(stage, LP2P_DHT_PUT, "resource:session:s-1"), LP2P_OK, 0,
                NULL); /* a lone server: nobody stored it */
    assert_non_null(strstr(lp2p_op_detail(op), "queued"));
    stage_op_is(op, LP2P_EQUORUM);
    stage_pass(stage, LP2P_SEC(60));
    STAGE_NONE(stage, DHT_REQUEST);
    LP2P_GAUGE(&stage->ctx, dht_peers, 1);
    stage_pass(stage, LP2P_SEC(3));
    router_says(stage, router_asked(stage, LP2P_DHT_PUT, "resource:session:s-1"), LP2P_EQUORUM, 0, NULL);
    stage_pass(stage, LP2P_SEC(3));
    router_says(stage, router_asked(stage, LP2P_DHT_PUT, "resource:session:s-1"), LP2P_OK, 1, NULL);
    stage_pass(stage, LP2P_SEC(600));
    STAGE_NONE(stage, DHT_REQUEST);
    stage_free(stage);
}

static void test_resources_queue_ends(void **state)
{
    (void)state;
    struct stage *stage = resources_stage(LP2P_DHT_CLIENT);
    announce(stage, "s-1", "1", 0, NULL);
    router_says(stage, router_asked(stage, LP2P_DHT_PUT, "resource:session:s-1"), LP2P_EQUORUM, 0, NULL);
    stage_pass(stage, LP2P_SEC(310));
    LP2P_GAUGE(&stage->ctx, dht_peers, 1);
    stage_pass(stage, LP2P_SEC(60));
    STAGE_NONE(stage, DHT_REQUEST);
    stage_free(stage);
}

/* Peers forget after 48 hours: ours are put again after 22, as long as they have not expired. */
static void test_resources_republish(void **state)
{
    (void)state;
    struct stage *stage = resources_stage(LP2P_DHT_CLIENT);
    LP2P_GAUGE(&stage->ctx, dht_peers, 1);
    announce(stage, "stays", "1", 0, NULL);
    router_says(stage, router_asked(stage, LP2P_DHT_PUT, "resource:session:stays"), LP2P_OK, 1, NULL);
    announce(stage, "ends", "1", 3600 * 1000, NULL);
    router_says(stage, router_asked(stage, LP2P_DHT_PUT, "resource:session:ends"), LP2P_OK, 1, NULL);
    for (int round = 0; round < 3; round++) {
        stage_pass(stage, LP2P_SEC(21 * 3600));
        STAGE_NONE(stage, DHT_REQUEST);
        stage_pass(stage, LP2P_SEC(3590));
        for (int i = 0; i < 12 && stage_count(stage, &LP2P_M_DHT_REQUEST) == 0; i++) {
            stage_pass(stage, LP2P_SEC(10));
        }
        router_says(stage, router_asked(stage, LP2P_DHT_PUT, "resource:session:stays"), LP2P_OK, 1, NULL);
        STAGE_NONE(stage, DHT_REQUEST);
    }
    stage_free(stage);
}

#define FOUND                                                                                                \
    "{\"resourceId\":\"s-1\",\"resourceType\":\"session\",\"creatorPeerId\":\"p\",\"data\":5,\"createdAt\":" \
    "1%s}"

static void test_resources_discover(void **state)
{
    (void)state;
    struct stage *stage = resources_stage(LP2P_DHT_CLIENT);
    struct lp2p_op *op = stage_op();
    discover(stage, "s-1", true, op);
    stage_op_is(op, LP2P_ENOTFOUND);
    op = stage_op();
    char value[256], expires[64];
    snprintf(value, sizeof(value), FOUND, "");
    discover(stage, "s-1", false, op);
    router_says(stage, router_asked(stage, LP2P_DHT_GET, "resource:session:s-1"), LP2P_OK, 1, value);
    assert_bytes(op, value);
    stage_op_is(op, LP2P_OK);
    op = stage_op();
    discover(stage, "s-1", true, op); /* cached now */
    assert_bytes(op, value);
    stage_op_is(op, LP2P_OK);
    const char *const bad[] = {"not json", "{}", FOUND, NULL};
    for (int i = 0; i < 4; i++) {
        op = stage_op();
        if (i == 2) {
            snprintf(expires, sizeof(expires), ",\"expiresAt\":%llu", (unsigned long long)stage->wall_ms - 1);
            snprintf(value, sizeof(value), FOUND, expires);
        }
        discover(stage, "other", false, op);
        router_says(stage, router_asked(stage, LP2P_DHT_GET, "resource:session:other"),
                    bad[i] == NULL ? LP2P_ENOTFOUND : LP2P_OK, 1, i == 2 ? value : bad[i]);
        assert_true(strlen(lp2p_op_detail(op)) > 0);
        stage_op_is(op, LP2P_ENOTFOUND);
    }
    stage_free(stage);
}

static void test_resources_skip_what_has_expired(void **state)
{
    (void)state;
    struct stage *stage = resources_stage(LP2P_DHT_CLIENT);
    struct lp2p_op *op = stage_op();
    char value[256], expires[64];
    snprintf(expires, sizeof(expires), ",\"expiresAt\":%llu", (unsigned long long)stage->wall_ms - 1);
    snprintf(value, sizeof(value), FOUND, expires);
    discover(stage, "s-1", false, op);
    router_says(stage, router_asked(stage, LP2P_DHT_GET, "resource:session:s-1"), LP2P_OK, 1, value);
    assert_non_null(strstr(lp2p_op_detail(op), "expired"));
    stage_op_is(op, LP2P_ENOTFOUND);
    stage_free(stage);
}

/* The router was restarted meanwhile: its silence ends, and what was to be put is put again. */
static void test_resources_router_falls_silent(void **state)
{
    (void)state;
    struct stage *stage = resources_stage(LP2P_DHT_CLIENT);
    struct lp2p_op *get = stage_op(), *put = stage_op();
    discover(stage, "s-1", false, get);
    announce(stage, "s-2", "1", 0, put);
    (void)router_asked(stage, LP2P_DHT_GET, "resource:session:s-1");
    (void)router_asked(stage, LP2P_DHT_PUT, "resource:session:s-2");
    stage_pass(stage, LP2P_SEC(60));
    stage_op_is(get, LP2P_EFAILED);
    stage_op_is(put, LP2P_EFAILED);
    (void)router_asked(stage, LP2P_DHT_PUT, "resource:session:s-2");
    stage_free(stage);
}

static void test_resources_restart(void **state)
{
    (void)state;
    struct stage *stage = resources_stage(LP2P_DHT_CLIENT);
    struct lp2p_op *op = stage_op();
    announce(stage, "s-1", "1", 0, op);
    (void)router_asked(stage, LP2P_DHT_PUT, "resource:session:s-1");
    stage_fail(stage);
    stage_op_is(op, LP2P_ECLOSED);
    op = stage_op();
    discover(stage, "s-1", true, op); /* kept */
    stage_op_is(op, LP2P_OK);
    stage_pass(stage, LP2P_SEC(61));
    (void)router_asked(stage, LP2P_DHT_PUT,
                       "resource:session:s-1"); /* and put again: nobody knows how far it came */
    stage_free(stage);
}

static void test_resources_without_dht(void **state)
{
    (void)state;
    struct stage *stage = resources_stage(LP2P_DHT_OFF);
    struct lp2p_op *op = stage_op();
    announce(stage, "s-1", "1", 0, op);
    stage_op_is(op, LP2P_ESTATE);
    op = stage_op();
    discover(stage, "s-1", false, op); /* the local cache works */
    stage_op_is(op, LP2P_OK);
    op = stage_op();
    discover(stage, "s-2", false, op);
    stage_op_is(op, LP2P_ESTATE);
    STAGE_NONE(stage, DHT_REQUEST);
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resources_announce),
        cmocka_unit_test(test_resources_refuse),
        cmocka_unit_test(test_resources_queue),
        cmocka_unit_test(test_resources_queue_ends),
        cmocka_unit_test(test_resources_republish),
        cmocka_unit_test(test_resources_discover),
        cmocka_unit_test(test_resources_skip_what_has_expired),
        cmocka_unit_test(test_resources_router_falls_silent),
        cmocka_unit_test(test_resources_restart),
        cmocka_unit_test(test_resources_without_dht),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
