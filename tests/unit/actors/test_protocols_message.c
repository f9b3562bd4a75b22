/* SPDX-License-Identifier: MIT
 * The Lotus message as a codec: what is built, what a receiver accepts and refuses, the hash of duplicates
 * with its vectors, and the set of hashes. */
#include "actors/protocols/json.h"
#include "actors/protocols/lotus_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define EXAMPLE                                                                                              \
    "{\"type\":\"data-message\",\"from\":\"12D3KooWExample\",\"payload\":{\"a\":1},\"timestamp\":"           \
    "1762300000000,"                                                                                         \
    "\"messageId\":\"mhl5abcd-0011223344556677\",\"protocol\":\"my-protocol\"}"
#define EXAMPLE_MS UINT64_C(1762300000000)

static struct lp2p_rand_seeded gen;

static struct lp2p_rand source(void)
{
    lp2p_rand_seeded_init(&gen, 7);
    return lp2p_rand_seeded_source(&gen);
}

static void assert_hash(const struct lp2p_lotus_message *message, const char *hex)
{
    char text[2 * LP2P_LOTUS_HASH_BYTES + 1];
    for (size_t i = 0; i < LP2P_LOTUS_HASH_BYTES; i++) {
        snprintf(text + 2 * i, 3, "%02x", message->hash[i]);
    }
    assert_string_equal(text, hex);
}

static enum lp2p_err parse(const char *json, uint64_t now_ms, struct lp2p_lotus_message *out)
{
    const char *why = NULL;
    enum lp2p_err err = lp2p_lotus_message_parse(lp2p_span_str(json), now_ms, out, &why);
    assert_non_null(why);
    return err;
}

static void assert_refused(const char *json, enum lp2p_err expected)
{
    struct lp2p_lotus_message message;
    enum lp2p_err err = parse(json, EXAMPLE_MS, &message);
    if (err != expected) {
        fail_msg("%s: %s instead of %s", json, lp2p_errname(err), lp2p_errname(expected));
    }
    assert_null(message.doc);
    assert_null(message.payload);
}

/* The vectors that were taken from the TypeScript implementation. */
static void test_message_hash_vectors(void **state)
{
    (void)state;
    struct lp2p_lotus_message message;
    assert_int_equal(parse(EXAMPLE, EXAMPLE_MS, &message), LP2P_OK);
    assert_hash(&message, "fc81af9ea48327b6ec5cbb2512fe312c850db25fb961f06b86ed85cf0b05a6fc");
    lp2p_lotus_message_fini(&message);
    const char *to = "{\"type\":\"data-message\",\"from\":\"12D3KooWExample\",\"to\":\"12D3KooWOther\","
                     "\"payload\":{\"a\":1},"
                     "\"timestamp\":1762300000000,\"messageId\":\"mhl5abcd-0011223344556677\"}";
    assert_int_equal(parse(to, EXAMPLE_MS, &message), LP2P_OK);
    assert_hash(&message, "195025480e6ab6dc419643ab8829692245e96ab84048e8040056c9168a8e53f9");
    assert_string_equal(message.view.to, "12D3KooWOther");
    assert_null(message.view.protocol);
    lp2p_lotus_message_fini(&message);
}

static void test_message_reads_fields(void **state)
{
    (void)state;
    struct lp2p_lotus_message message;
    assert_int_equal(parse(EXAMPLE, EXAMPLE_MS + 1000, &message), LP2P_OK);
    assert_string_equal(message.view.type, "data-message");
    assert_string_equal(message.view.from, "12D3KooWExample");
    assert_string_equal(message.view.message_id, "mhl5abcd-0011223344556677");
    assert_string_equal(message.view.protocol, "my-protocol");
    assert_string_equal(message.view.payload, "{\"a\":1}");
    assert_null(message.view.to);
    assert_int_equal(message.view.timestamp_ms, EXAMPLE_MS);
    assert_int_equal(message.view.json_len, strlen(EXAMPLE));
    lp2p_lotus_message_fini(&message);
}

/* Numbers of a payload keep their digits, whatever a double could hold. */
static void test_message_keeps_numbers_of_the_payload(void **state)
{
    (void)state;
    struct lp2p_lotus_message message;
    assert_int_equal(parse("{\"type\":\"t\",\"from\":\"f\",\"messageId\":\"m\",\"timestamp\":1.7623e12,"
                           "\"payload\":[12345678901234567890123,1.0,1e400]}",
                           EXAMPLE_MS, &message),
                     LP2P_OK);
    assert_string_equal(message.view.payload, "[12345678901234567890123,1.0,1e400]");
    assert_int_equal(message.view.timestamp_ms, EXAMPLE_MS);
    lp2p_lotus_message_fini(&message);
}

static void test_message_last_of_equal_members_counts(void **state)
{
    (void)state;
    struct lp2p_lotus_message message;
    assert_int_equal(
        parse(
            "{\"type\":\"a\",\"type\":\"b\",\"from\":\"f\",\"messageId\":\"m\",\"timestamp\":1762300000000}",
            EXAMPLE_MS, &message),
        LP2P_OK);
    assert_string_equal(message.view.type, "b");
    lp2p_lotus_message_fini(&message);
}

static void test_message_refuses(void **state)
{
    (void)state;
    assert_refused("", LP2P_EMALFORMED);
    assert_refused("{", LP2P_EMALFORMED);
    assert_refused("{} x", LP2P_EMALFORMED);
    assert_refused("{\"type\":\"a\xff\"}", LP2P_EMALFORMED);
    assert_refused("[]", LP2P_EPROTO);
    assert_refused("null", LP2P_EPROTO);
    assert_refused("{}", LP2P_EPROTO);
    assert_refused("{\"type\":\"\",\"from\":\"f\",\"messageId\":\"m\",\"timestamp\":1762300000000}",
                   LP2P_EPROTO);
    assert_refused("{\"type\":1,\"from\":\"f\",\"messageId\":\"m\",\"timestamp\":1762300000000}",
                   LP2P_EPROTO);
    assert_refused("{\"type\":\"t\",\"messageId\":\"m\",\"timestamp\":1762300000000}", LP2P_EPROTO);
    assert_refused("{\"type\":\"t\",\"from\":\"f\",\"messageId\":\"\",\"timestamp\":1762300000000}",
                   LP2P_EPROTO);
    assert_refused("{\"type\":\"t\",\"from\":\"f\",\"messageId\":\"m\",\"timestamp\":0}", LP2P_EPROTO);
    assert_refused("{\"type\":\"t\",\"from\":\"f\",\"messageId\":\"m\",\"timestamp\":\"1762300000000\"}",
                   LP2P_EPROTO);
    assert_refused("{\"type\":\"t\",\"from\":\"f\",\"messageId\":\"m\",\"timestamp\":1e999}", LP2P_EPROTO);
    assert_refused("{\"type\":\"t\",\"from\":\"f\",\"messageId\":\"m\",\"timestamp\":-1762300000000}",
                   LP2P_EEXPIRED);
}

/* 300,000 ms either way are accepted, one more is not. */
static void test_message_clock(void **state)
{
    (void)state;
    struct lp2p_lotus_message message;
    const uint64_t good[] = {EXAMPLE_MS, EXAMPLE_MS + LP2P_LOTUS_SKEW_MS, EXAMPLE_MS - LP2P_LOTUS_SKEW_MS, 0};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(good); i++) {
        assert_int_equal(parse(EXAMPLE, good[i], &message), LP2P_OK);
        lp2p_lotus_message_fini(&message);
    }
    assert_int_equal(parse(EXAMPLE, EXAMPLE_MS + LP2P_LOTUS_SKEW_MS + 1, &message), LP2P_EEXPIRED);
    assert_int_equal(parse(EXAMPLE, EXAMPLE_MS - LP2P_LOTUS_SKEW_MS - 1, &message), LP2P_EEXPIRED);
}

static char *of_size(size_t size)
{
    const char *head =
        "{\"type\":\"t\",\"from\":\"f\",\"messageId\":\"m\",\"timestamp\":1762300000000,\"payload\":\"";
    char *json = malloc(size + 1);
    assert_non_null(json);
    memset(json, 'x', size);
    memcpy(json, head, strlen(head));
    memcpy(json + size - 2, "\"}", 3);
    return json;
}

static void test_message_size(void **state)
{
    (void)state;
    struct lp2p_lotus_message message;
    char *json = of_size(LP2P_LOTUS_MESSAGE_MAX);
    assert_int_equal(parse(json, EXAMPLE_MS, &message), LP2P_OK);
    lp2p_lotus_message_fini(&message);
    free(json);
    json = of_size(LP2P_LOTUS_MESSAGE_MAX + 1);
    assert_int_equal(parse(json, EXAMPLE_MS, &message), LP2P_EOVERSIZE);
    free(json);
}

static void test_json_depth(void **state)
{
    (void)state;
    char text[2 * LP2P_JSON_DEPTH_MAX + 3];
    yyjson_doc *doc;
    memset(text, '[', LP2P_JSON_DEPTH_MAX);
    memset(text + LP2P_JSON_DEPTH_MAX, ']', LP2P_JSON_DEPTH_MAX);
    assert_int_equal(lp2p_json_read(lp2p_span(text, 2 * LP2P_JSON_DEPTH_MAX), 1000, &doc, NULL), LP2P_OK);
    yyjson_doc_free(doc);
    memset(text, '[', LP2P_JSON_DEPTH_MAX + 1);
    memset(text + LP2P_JSON_DEPTH_MAX + 1, ']', LP2P_JSON_DEPTH_MAX + 1);
    assert_int_equal(lp2p_json_read(lp2p_span(text, 2 * LP2P_JSON_DEPTH_MAX + 2), 1000, &doc, NULL),
                     LP2P_EMALFORMED);
    assert_null(doc);
    /* Brackets inside of a string are text. */
    memset(text, '[', sizeof(text));
    text[0] = text[sizeof(text) - 1] = '"';
    memcpy(text + 1, "\\\"", 2);
    assert_int_equal(lp2p_json_read(lp2p_span(text, sizeof(text)), 1000, &doc, NULL), LP2P_OK);
    yyjson_doc_free(doc);
}

static void test_message_build(void **state)
{
    (void)state;
    struct lp2p_rand rand = source();
    struct lp2p_message message = {
        .type = "data-message", .protocol = "my \"protocol\"", .payload = " {\"n\":1.0} ", .to = "12D3"};
    struct lp2p_slice json;
    const char *why = NULL;
    assert_int_equal(lp2p_lotus_message_build(&message, "12D3KooWMe", EXAMPLE_MS, &rand, &json, &why),
                     LP2P_OK);
    char text[512];
    snprintf(text, sizeof(text), "%.*s", (int)json.len, (const char *)json.ptr);
    const char *id = strstr(text, "\"messageId\":\"");
    assert_non_null(id);
    id += strlen("\"messageId\":\"");
    /* base36 of the time, then 16 hex digits */
    char *dash = strchr(id, '-');
    assert_non_null(dash);
    char *end = NULL;
    assert_int_equal(strtoull(id, &end, 36), EXAMPLE_MS);
    assert_ptr_equal(end, dash);
    assert_int_equal(strspn(dash + 1, "0123456789abcdef"), 16);
    char expected[512];
    snprintf(expected, sizeof(expected),
             "{\"type\":\"data-message\",\"from\":\"12D3KooWMe\",\"to\":\"12D3\",\"payload\": {\"n\":1.0} "
             ",\"timestamp\":1762300000000,"
             "\"messageId\":\"%.*s\",\"protocol\":\"my \\\"protocol\\\"\"}",
             (int)(dash + 17 - id), id);
    assert_string_equal(text, expected);
    struct lp2p_lotus_message parsed;
    assert_int_equal(lp2p_lotus_message_parse(lp2p_slice_span(&json), EXAMPLE_MS, &parsed, NULL), LP2P_OK);
    assert_string_equal(parsed.view.protocol, message.protocol);
    lp2p_lotus_message_fini(&parsed);
    lp2p_slice_drop(&json);
}

static enum lp2p_err build(const char *type, const char *payload, struct lp2p_slice *json)
{
    struct lp2p_rand rand = source();
    const char *why = NULL;
    struct lp2p_message message = {.type = type, .payload = payload};
    enum lp2p_err err = lp2p_lotus_message_build(&message, "me", EXAMPLE_MS, &rand, json, &why);
    assert_true(err == LP2P_OK || (why != NULL && why[0] != '\0'));
    return err;
}

static void test_message_build_refuses(void **state)
{
    (void)state;
    struct lp2p_slice json;
    assert_int_equal(build(NULL, NULL, &json), LP2P_EINVAL);
    assert_int_equal(build("", NULL, &json), LP2P_EINVAL);
    assert_int_equal(build("t", "", &json), LP2P_EINVAL);
    assert_int_equal(build("t", "{a:1}", &json), LP2P_EINVAL);
    assert_int_equal(build("t", "1,2", &json), LP2P_EINVAL);
    assert_int_equal(build("t\xff", "1", &json), LP2P_EINVAL);
    assert_int_equal(build("t", "null", &json), LP2P_OK);
    lp2p_slice_drop(&json);
    char *payload = malloc(LP2P_LOTUS_MESSAGE_MAX);
    assert_non_null(payload);
    memset(payload, '1', LP2P_LOTUS_MESSAGE_MAX - 1);
    payload[LP2P_LOTUS_MESSAGE_MAX - 1] = '\0';
    assert_int_equal(build("t", payload, &json), LP2P_ELIMIT);
    assert_null(json.buf);
    free(payload);
}

static void number_hash(unsigned n, uint8_t out[LP2P_LOTUS_HASH_BYTES])
{
    memset(out, 0, LP2P_LOTUS_HASH_BYTES);
    memcpy(out, &n, sizeof(n));
}

/* 10,000 are kept; the next one drops the oldest 1,000, and only those. */
static void test_seen_forgets_the_oldest(void **state)
{
    (void)state;
    struct lp2p_rand rand = source();
    struct lp2p_lotus_seen *seen = lp2p_lotus_seen_new(&rand);
    uint8_t hash[LP2P_LOTUS_HASH_BYTES];
    assert_non_null(seen);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = round * 20000; i < (round + 1) * 20000; i++) {
            number_hash(i, hash);
            assert_false(lp2p_lotus_seen_add(seen, hash));
            assert_true(lp2p_lotus_seen_add(seen, hash));
            assert_true(lp2p_lotus_seen_len(seen) <= LP2P_LOTUS_SEEN_MAX);
        }
    }
    lp2p_lotus_seen_free(seen);
    seen = lp2p_lotus_seen_new(&rand);
    for (unsigned i = 0; i <= LP2P_LOTUS_SEEN_MAX; i++) {
        number_hash(i, hash);
        assert_false(lp2p_lotus_seen_add(seen, hash));
    }
    assert_int_equal(lp2p_lotus_seen_len(seen), LP2P_LOTUS_SEEN_MAX + 1 - LP2P_LOTUS_SEEN_DROP);
    number_hash(LP2P_LOTUS_SEEN_DROP, hash);
    assert_true(lp2p_lotus_seen_add(seen, hash));
    number_hash(LP2P_LOTUS_SEEN_DROP - 1, hash);
    assert_false(lp2p_lotus_seen_add(seen, hash));
    lp2p_lotus_seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_hash_vectors),
        cmocka_unit_test(test_message_reads_fields),
        cmocka_unit_test(test_message_keeps_numbers_of_the_payload),
        cmocka_unit_test(test_message_last_of_equal_members_counts),
        cmocka_unit_test(test_message_refuses),
        cmocka_unit_test(test_message_clock),
        cmocka_unit_test(test_message_size),
        cmocka_unit_test(test_json_depth),
        cmocka_unit_test(test_message_build),
        cmocka_unit_test(test_message_build_refuses),
        cmocka_unit_test(test_seen_forgets_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
