/* SPDX-License-Identifier: MIT
 * Multiaddrs over spans: every vector text to bytes and back, every truncation, the messages to people,
 * limits. */
#include "wire/multiaddr.h"

#include "base/rand.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static enum lp2p_err to_bytes(struct lp2p_span text, uint8_t out[LP2P_MULTIADDR_WIRE_MAX], size_t *len,
                              char *why)
{
    why[0] = '\0';
    return lp2p_ma_from_text(text, out, LP2P_MULTIADDR_WIRE_MAX, len, why);
}

static void test_multiaddr_vectors_both_ways(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("multiaddr.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "valid"), i, max, entry)
    {
        uint8_t bytes[LP2P_MULTIADDR_WIRE_MAX];
        char why[LP2P_MULTIADDR_WHY_MAX], text[4 * LP2P_MULTIADDR_WIRE_MAX];
        size_t len = 0;
        struct lp2p_span want = vectors_hex(entry, "bytes");
        if (to_bytes(vectors_text(entry, "string"), bytes, &len, why) != LP2P_OK) {
            fail_msg("%s: %s", vectors_str(entry, "string"), why);
        }
        assert_int_equal(len, want.len);
        assert_memory_equal(bytes, want.ptr, len);
        assert_int_equal(lp2p_ma_check(want), LP2P_OK);
        assert_int_equal(lp2p_ma_to_text(want, text, sizeof(text)), LP2P_OK);
        assert_string_equal(text, vectors_str(entry, "canonical"));
        for (size_t cap = 0; cap <= strlen(text); cap += 1 + cap / 8) {
            assert_int_equal(lp2p_ma_to_text(want, text, cap), LP2P_ELIMIT);
        }
        vectors_free(want);
    }
    yyjson_doc_free(doc);
}

static void test_multiaddr_refuses_bad_texts(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("multiaddr.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "invalid_strings"), i, max, entry)
    {
        uint8_t bytes[LP2P_MULTIADDR_WIRE_MAX];
        char why[LP2P_MULTIADDR_WHY_MAX];
        size_t len = 0;
        enum lp2p_err err = to_bytes(vectors_text(entry, "string"), bytes, &len, why);
        if (err != LP2P_EMALFORMED && err != LP2P_EUNSUPPORTED) {
            fail_msg("%s gave %s", vectors_str(entry, "string"), lp2p_errname(err));
        }
        assert_non_null(strstr(why, why[0] == 't' ? "the address is empty" : "expected") != NULL
                            ? why
                            : strstr(why, "is not a protocol name"));
    }
    yyjson_doc_free(doc);
}

static void test_multiaddr_refuses_bad_bytes(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("multiaddr.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "invalid_bytes"), i, max, entry)
    {
        struct lp2p_span bytes = vectors_hex(entry, "bytes");
        struct lp2p_multiaddr addr;
        char text[1024];
        if (lp2p_ma_check(bytes) == LP2P_OK) {
            fail_msg("accepted: %s", vectors_str(entry, "reason"));
        }
        assert_int_not_equal(lp2p_multiaddr_parse(bytes, &addr), LP2P_OK);
        assert_int_not_equal(lp2p_ma_to_text(bytes, text, sizeof(text)), LP2P_OK);
        vectors_free(bytes);
    }
    yyjson_doc_free(doc);
}

/* A cut address is either a shorter good one (cut between components) or refused, and is never read beyond
 * its end. */
static void test_multiaddr_every_truncation(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("multiaddr.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "valid"), i, max, entry)
    {
        struct lp2p_span bytes = vectors_hex(entry, "bytes"), walk = bytes;
        bool boundary[LP2P_MULTIADDR_WIRE_MAX] = {false};
        struct lp2p_ma_component component;
        while (lp2p_ma_next(&walk, &component) == LP2P_OK) {
            boundary[bytes.len - walk.len] = true;
        }
        assert_int_equal(walk.len, 0);
        for (size_t cut = 0; cut < bytes.len; cut++) {
            struct lp2p_span part = vectors_copy(lp2p_span(bytes.ptr, cut));
            assert_int_equal(lp2p_ma_check(part) == LP2P_OK, boundary[cut]);
            vectors_free(part);
        }
        vectors_free(bytes);
    }
    yyjson_doc_free(doc);
}

static void test_multiaddr_random_bytes_and_flips(void **state)
{
    (void)state;
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 7);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    static const uint8_t good[] = {4, 127, 0, 0, 1, 6, 15, 161, 0xdd, 3, 0x36, 3, 'a', '.', 'b'};
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[64];
        size_t len = 1 + lp2p_rand_below(&rand, sizeof(bytes) - 1);
        lp2p_rand_fill(&rand, bytes, len);
        if (round % 2 == 0) {
            len = sizeof(good);
            memcpy(bytes, good, len);
            bytes[lp2p_rand_below(&rand, len)] ^= (uint8_t)(1u << lp2p_rand_below(&rand, 8));
        }
        struct lp2p_span in = vectors_copy(lp2p_span(bytes, len));
        char text[512], why[LP2P_MULTIADDR_WHY_MAX];
        if (lp2p_ma_to_text(in, text, sizeof(text)) == LP2P_OK) {
            uint8_t back[LP2P_MULTIADDR_WIRE_MAX];
            size_t back_len = 0;
            assert_int_equal(to_bytes(lp2p_span_str(text), back, &back_len, why), LP2P_OK);
            assert_true(lp2p_span_eq(in, lp2p_span(back, back_len)));
        }
        vectors_free(in);
    }
}

static void test_multiaddr_tells_why(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"ip4/1.2.3.4",
         "\"ip4/1.2.3.4\" does not begin with '/', expected an address like /ip4/192.0.2.1/tcp/4001"},
        {"/", "the address is empty, expected one like /ip4/192.0.2.1/tcp/4001"},
        {"/ip4/1.2.3.4/tcp/70000", "component 2: \"70000\" after /tcp, expected a port number 0..65535"},
        {"/ip4/1.2.3.4/tcp", "component 2: nothing after /tcp, expected a port number 0..65535"},
        {"/ip4/01.2.3.4", "component 1: \"01.2.3.4\" after /ip4, expected an IPv4 address like 192.0.2.1"},
        {"/ip4/1.2.3.4//tcp/1", "component 2: \"\" is not a protocol name like ip4, dns or tcp"},
        {"/ip4/1.2.3.4/tpc/1", "component 2: \"tpc\" is not a protocol name like ip4, dns or tcp"},
        {"/dns/a\nb", "component 1: \"a?b\" after /dns, expected a name"},
        {"/p2p/12D3KooWrongwrongwrongwrongwrongwrongwrong",
         "component 1: \"12D3KooWrongwrongwrongwro..\" after /p2p, expected a peer id like 12D3KooW.., Qm.. "
         "or bafz.."},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[LP2P_MULTIADDR_WIRE_MAX];
        char why[LP2P_MULTIADDR_WHY_MAX];
        size_t len = 0;
        assert_int_not_equal(to_bytes(lp2p_span_str(cases[i].text), bytes, &len, why), LP2P_OK);
        assert_string_equal(why, cases[i].why);
        assert_int_not_equal(
            lp2p_ma_from_text(lp2p_span_str(cases[i].text), bytes, sizeof(bytes), &len, NULL), LP2P_OK);
    }
}

static void test_multiaddr_limits(void **state)
{
    (void)state;
    char text[LP2P_MULTIADDR_WIRE_MAX + 64], why[LP2P_MULTIADDR_WHY_MAX];
    uint8_t bytes[LP2P_MULTIADDR_WIRE_MAX];
    size_t len = 0, at = 0;
    for (size_t i = 0; i < LP2P_MULTIADDR_COMPONENTS_MAX; i++) {
        at += (size_t)sprintf(text + at, "/ws");
    }
    assert_int_equal(to_bytes(lp2p_span_str(text), bytes, &len, why), LP2P_OK);
    assert_int_equal(lp2p_ma_check(lp2p_span(bytes, len)), LP2P_OK);
    memcpy(bytes + len, bytes, 2);
    assert_int_equal(lp2p_ma_check(lp2p_span(bytes, len + 2)), LP2P_EOVERSIZE);
    strcpy(text + at, "/ws");
    assert_int_equal(to_bytes(lp2p_span_str(text), bytes, &len, why), LP2P_ELIMIT);
    assert_string_equal(why, "the address is too long");

    /* A name that fills the largest address exactly: one byte of code, two of length. */
    strcpy(text, "/dns/");
    memset(text + 5, 'a', LP2P_MULTIADDR_WIRE_MAX - 3);
    text[5 + LP2P_MULTIADDR_WIRE_MAX - 3] = '\0';
    assert_int_equal(to_bytes(lp2p_span_str(text), bytes, &len, why), LP2P_OK);
    assert_int_equal(len, LP2P_MULTIADDR_WIRE_MAX);
    assert_int_equal(lp2p_ma_from_text(lp2p_span_str(text), bytes, sizeof(bytes) - 1, &len, why),
                     LP2P_ELIMIT);
    strcat(text, "a");
    assert_int_equal(to_bytes(lp2p_span_str(text), bytes, &len, why), LP2P_ELIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multiaddr_vectors_both_ways),
        cmocka_unit_test(test_multiaddr_refuses_bad_texts),
        cmocka_unit_test(test_multiaddr_refuses_bad_bytes),
        cmocka_unit_test(test_multiaddr_every_truncation),
        cmocka_unit_test(test_multiaddr_random_bytes_and_flips),
        cmocka_unit_test(test_multiaddr_tells_why),
        cmocka_unit_test(test_multiaddr_limits),
    };
    return cmocka_run_group_tests_name("wire multiaddr", tests, NULL, NULL);
}
