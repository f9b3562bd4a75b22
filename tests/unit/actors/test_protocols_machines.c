/* SPDX-License-Identifier: MIT
 * The small machines: ping in both roles, perf, and the codec and the cache of resources. */
#include "actors/protocols/ping.h"
#include "actors/protocols/resource.h"
#include "actors/protocols/serve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* However the input is cut, the same bytes come back as far as blocks are complete. */
static void test_ping_echo_any_cut(void **state)
{
    (void)state;
    uint8_t in[4 * LP2P_PING_BYTES + 5], out[sizeof(in) + LP2P_PING_BYTES];
    for (size_t i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t)(i * 7 + 1);
    }
    for (size_t cut = 1; cut <= sizeof(in); cut++) {
        struct lp2p_ping_echo echo = {0};
        size_t len = 0;
        for (size_t at = 0; at < sizeof(in); at += cut) {
            size_t n = LP2P_MIN(cut, sizeof(in) - at);
            size_t wrote = lp2p_ping_echo_feed(&echo, lp2p_span(in + at, n), out + len);
            assert_int_equal(wrote % LP2P_PING_BYTES, 0);
            len += wrote;
        }
        assert_int_equal(len, 4 * LP2P_PING_BYTES);
        assert_memory_equal(in, out, len);
        assert_int_equal(echo.part_len, 5);
    }
}

static void test_ping_probe(void **state)
{
    (void)state;
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_ping_probe probe;
    lp2p_ping_probe_init(&probe, &rand);
    uint8_t answer[LP2P_PING_BYTES + 1];
    memcpy(answer, probe.sent, LP2P_PING_BYTES);
    assert_int_equal(lp2p_ping_probe_feed(&probe, lp2p_span(answer, 1)), LP2P_EAGAIN);
    assert_int_equal(lp2p_ping_probe_feed(&probe, lp2p_span(answer + 1, LP2P_PING_BYTES - 1)), LP2P_OK);
    lp2p_ping_probe_init(&probe, &rand);
    assert_memory_not_equal(probe.sent, answer, LP2P_PING_BYTES);
    assert_int_equal(lp2p_ping_probe_feed(&probe, lp2p_span(answer, LP2P_PING_BYTES)), LP2P_EPROTO);
    assert_int_equal(lp2p_ping_probe_feed(&probe, lp2p_span(answer, LP2P_PING_BYTES + 1)), LP2P_EPROTO);
}

static void test_perf(void **state)
{
    (void)state;
    const uint8_t in[] = {0, 0, 0, 0, 0, 1, 0, 2, 9, 9, 9};
    for (size_t cut = 1; cut <= sizeof(in); cut++) {
        struct lp2p_perf perf = {0};
        for (size_t at = 0; at < sizeof(in); at += cut) {
            lp2p_perf_feed(&perf, lp2p_span(in + at, LP2P_MIN(cut, sizeof(in) - at)));
        }
        assert_int_equal(lp2p_perf_eof(&perf), LP2P_OK);
        assert_int_equal(perf.uploaded, 3);
        assert_int_equal(lp2p_perf_take(&perf, 65536), 65536);
        assert_int_equal(lp2p_perf_take(&perf, 65536), 2);
        assert_int_equal(lp2p_perf_take(&perf, 65536), 0);
    }
    struct lp2p_perf perf = {0};
    lp2p_perf_feed(&perf, lp2p_span(in, 7));
    assert_int_equal(lp2p_perf_eof(&perf), LP2P_ETRUNCATED);
}

/* ---- resources */

static void test_resource_key(void **state)
{
    (void)state;
    char key[LP2P_RESOURCE_KEY_MAX], long_text[LP2P_RESOURCE_ID_MAX + 1];
    const char *why = NULL;
    assert_int_equal(lp2p_resource_key("session", "session-123", key, &why), LP2P_OK);
    assert_string_equal(key, "resource:session:session-123");
    assert_int_equal(lp2p_resource_key("a/b", "c", key, &why), LP2P_OK);
    assert_int_equal(lp2p_resource_key("a", "b/c", key, &why), LP2P_OK);
    assert_int_equal(lp2p_resource_key("a/b", "c/d", key, &why), LP2P_EINVAL);
    assert_int_equal(lp2p_resource_key("a", "/c/d", key, &why), LP2P_EINVAL);
    assert_int_equal(lp2p_resource_key("", "c", key, &why), LP2P_EINVAL);
    assert_int_equal(lp2p_resource_key("a", "", key, NULL), LP2P_EINVAL);
    memset(long_text, 'x', sizeof(long_text));
    long_text[LP2P_RESOURCE_ID_MAX] = '\0';
    assert_int_equal(lp2p_resource_key("a", long_text, key, &why), LP2P_EINVAL);
    long_text[LP2P_RESOURCE_ID_MAX - 1] = '\0';
    assert_int_equal(lp2p_resource_key("a", long_text, key, &why), LP2P_OK);
    assert_int_equal(strlen(key), strlen("resource:a:") + LP2P_RESOURCE_ID_MAX - 1);
}

static void assert_built(const char *data, uint64_t created_ms, uint64_t ttl_ms, const char *expected)
{
    struct lp2p_slice json;
    const char *why = NULL;
    assert_int_equal(
        lp2p_resource_build("session", "s-1", "12D3", lp2p_span_str(data), created_ms, ttl_ms, &json, &why),
        LP2P_OK);
    char text[512];
    snprintf(text, sizeof(text), "%.*s", (int)json.len, (const char *)json.ptr);
    assert_string_equal(text, expected);
    uint64_t expires = 1;
    assert_int_equal(lp2p_resource_check(lp2p_slice_span(&json), "session", "s-1", &expires, &why), LP2P_OK);
    assert_true((expires == 0) == (ttl_ms == 0));
    lp2p_slice_drop(&json);
}

static void test_resource_build(void **state)
{
    (void)state;
    assert_built("{\"x\":[1.0,null]}", 1762300000000, 0,
                 "{\"resourceId\":\"s-1\",\"resourceType\":\"session\",\"creatorPeerId\":\"12D3\",\"data\":{"
                 "\"x\":[1.0,null]},"
                 "\"createdAt\":1762300000000}");
    assert_built("7", 1762300000000, 3600000,
                 "{\"resourceId\":\"s-1\",\"resourceType\":\"session\",\"creatorPeerId\":\"12D3\",\"data\":7,"
                 "\"createdAt\":1762300000000,\"expiresAt\":1762303600000}");
    assert_built(
        "\"\"", 1, UINT64_MAX,
        "{\"resourceId\":\"s-1\",\"resourceType\":\"session\",\"creatorPeerId\":\"12D3\",\"data\":\"\","
        "\"createdAt\":1,\"expiresAt\":9007199254740991}");
    struct lp2p_slice json;
    const char *why = NULL;
    assert_int_equal(lp2p_resource_build("a", "b", "c", lp2p_span_str("{"), 1, 0, &json, &why), LP2P_EINVAL);
    assert_int_equal(lp2p_resource_build("a", "b", "c", lp2p_span_str(""), 1, 0, &json, &why), LP2P_EINVAL);
    assert_int_equal(lp2p_resource_build("a\xff", "b", "c", lp2p_span_str("1"), 1, 0, &json, &why),
                     LP2P_EINVAL);
    char big[LP2P_RESOURCE_VALUE_MAX];
    memset(big, '1', sizeof(big));
    assert_int_equal(lp2p_resource_build("a", "b", "c", lp2p_span(big, sizeof(big)), 1, 0, &json, &why),
                     LP2P_ELIMIT);
    assert_null(json.buf);
}

static enum lp2p_err check(const char *json, uint64_t *expires)
{
    const char *why = NULL;
    return lp2p_resource_check(lp2p_span_str(json), "t", "i", expires, &why);
}

static void test_resource_check(void **state)
{
    (void)state;
    uint64_t expires;
#define HEAD "{\"resourceId\":\"i\",\"resourceType\":\"t\",\"creatorPeerId\":\"p\",\"createdAt\":5"
    assert_int_equal(check(HEAD "}", &expires), LP2P_OK);
    assert_int_equal(expires, 0);
    assert_int_equal(check(HEAD ",\"expiresAt\":null}", &expires), LP2P_OK);
    assert_int_equal(expires, 0);
    assert_int_equal(check(HEAD ",\"expiresAt\":12.5,\"more\":[]}", &expires), LP2P_OK);
    assert_int_equal(expires, 12);
    assert_int_equal(check(HEAD ",\"expiresAt\":-4}", &expires), LP2P_OK);
    assert_int_equal(expires, 1);
    assert_int_equal(check(HEAD ",\"expiresAt\":1e300}", &expires), LP2P_OK);
    assert_int_equal(expires, UINT64_C(9007199254740991));
    assert_int_equal(check(HEAD ",\"expiresAt\":\"12\"}", &expires), LP2P_EPROTO);
    assert_int_equal(
        check("{\"resourceId\":\"x\",\"resourceType\":\"t\",\"creatorPeerId\":\"p\",\"createdAt\":5}",
              &expires),
        LP2P_EPROTO);
    assert_int_equal(check("{\"resourceId\":\"i\",\"resourceType\":\"t\",\"createdAt\":5}", &expires),
                     LP2P_EPROTO);
    assert_int_equal(check("[]", &expires), LP2P_EPROTO);
    assert_int_equal(check("", &expires), LP2P_EMALFORMED);
}

static struct lp2p_slice text_slice(size_t len)
{
    uint8_t bytes[LP2P_RESOURCE_VALUE_MAX] = {0};
    return lp2p_slice_copy(bytes, len);
}

static enum lp2p_err cache_put(struct lp2p_resource_cache *cache, unsigned id, size_t len,
                               uint64_t expires_ms, bool own, uint64_t now_ms)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", id);
    struct lp2p_slice json = text_slice(len);
    enum lp2p_err err = lp2p_resource_cache_put(cache, "t", text, &json, expires_ms, own, now_ms, NULL);
    lp2p_slice_drop(&json);
    return err;
}

static bool cached(struct lp2p_resource_cache *cache, unsigned id, uint64_t now_ms)
{
    char key[32];
    snprintf(key, sizeof(key), "resource:t:%u", id);
    return lp2p_resource_cache_get(cache, key, now_ms) != NULL;
}

static void test_resource_cache_bounds(void **state)
{
    (void)state;
    static struct lp2p_resource_cache cache;
    lp2p_resource_cache_init(&cache);
    assert_int_equal(cache_put(&cache, 0, 10, 0, true, 1), LP2P_OK);
    assert_int_equal(cache_put(&cache, 1, 10, 50, false, 1), LP2P_OK);
    for (unsigned i = 2; i < LP2P_RESOURCES_MAX; i++) {
        assert_int_equal(cache_put(&cache, i, 10, 0, false, 1), LP2P_OK);
    }
    assert_int_equal(cache.len, LP2P_RESOURCES_MAX);
    assert_true(cached(&cache, 1, 50));
    assert_false(cached(&cache, 1, 51));
    /* The expired one makes room before the oldest; then the oldest that is not ours. */
    assert_int_equal(cache_put(&cache, 10000, 10, 0, false, 60), LP2P_OK);
    assert_true(cached(&cache, 2, 60));
    assert_int_equal(cache_put(&cache, 10001, 10, 0, false, 60), LP2P_OK);
    assert_false(cached(&cache, 2, 60));
    assert_true(cached(&cache, 0, 60));
    assert_int_equal(cache.len, LP2P_RESOURCES_MAX);
    for (unsigned i = 0; i < LP2P_RESOURCES_MAX; i++) {
        assert_int_equal(cache_put(&cache, i, 10, 0, true, 60), LP2P_OK);
    }
    assert_int_equal(cache_put(&cache, 20000, 10, 0, true, 60), LP2P_ELIMIT);
    assert_int_equal(cache_put(&cache, 5, 1000, 0, true, 60), LP2P_OK);
    assert_int_equal(cache.bytes, (LP2P_RESOURCES_MAX - 1) * 10 + 1000);
    lp2p_resource_cache_fini(&cache);
    assert_int_equal(cache.len, 0);
    assert_int_equal(cache.bytes, 0);
    for (unsigned i = 0; i < LP2P_RESOURCES_MAX; i++) {
        assert_int_equal(cache_put(&cache, i, LP2P_RESOURCE_VALUE_MAX, 0, false, 60), LP2P_OK);
        assert_true(cache.bytes <= LP2P_RESOURCES_BYTES_MAX);
    }
    lp2p_resource_cache_fini(&cache);
}

static void test_resource_cache_queue_follows_entries(void **state)
{
    (void)state;
    static struct lp2p_resource_cache cache;
    lp2p_resource_cache_init(&cache);
    struct lp2p_slice json = text_slice(3);
    struct lp2p_resource *entry = NULL;
    assert_int_equal(lp2p_resource_cache_put(&cache, "t", "1", &json, 100, true, 1, &entry), LP2P_OK);
    assert_null(json.buf);
    lp2p_resource_cache_queue(&cache, entry, 77);
    lp2p_resource_cache_queue(&cache, entry, 78);
    assert_int_equal(cache.queued, 1);
    assert_int_equal(lp2p_resource_cache_expire(&cache, 100), 0);
    assert_int_equal(lp2p_resource_cache_expire(&cache, 101), 1);
    assert_int_equal(cache.queued, 0);
    lp2p_resource_cache_fini(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ping_echo_any_cut),
        cmocka_unit_test(test_ping_probe),
        cmocka_unit_test(test_perf),
        cmocka_unit_test(test_resource_key),
        cmocka_unit_test(test_resource_build),
        cmocka_unit_test(test_resource_check),
        cmocka_unit_test(test_resource_cache_bounds),
        cmocka_unit_test(test_resource_cache_queue_follows_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
