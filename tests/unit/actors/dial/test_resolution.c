/* SPDX-License-Identifier: MIT
 * Names to addresses as a pure machine: what is asked, what becomes of the answers, what the bounds are; and the reading of TXT
 * answers from hostile bytes. */
#include "actors/resolver/dns_text.h"
#include "actors/resolver/resolution.h"
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define PEER "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV"
#define OTHER "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"

static struct lp2p_multiaddr addr_of(const char *text)
{
    struct lp2p_multiaddr addr;
    char why[LP2P_MULTIADDR_WHY_MAX];
    if (lp2p_multiaddr_from_text(text, &addr, why) != LP2P_OK) {
        fail_msg("%s: %s", text, why);
    }
    return addr;
}

static struct lp2p_resolution *begin(const char *text)
{
    struct lp2p_multiaddr addr = addr_of(text);
    struct lp2p_resolution *resolution = lp2p_resolution_new(&addr);
    assert_non_null(resolution);
    return resolution;
}

/** Expects that this is asked next, and answers with the addresses up to NULL. */
static void answer(struct lp2p_resolution *resolution, enum lp2p_dns_kind kind, const char *name, ...)
{
    struct lp2p_dns_question question;
    struct lp2p_multiaddr addrs[8];
    unsigned number;
    size_t len = 0;
    va_list args;
    assert_true(lp2p_resolution_next(resolution, &number, &question));
    assert_string_equal(question.name, name);
    assert_int_equal(question.kind, kind);
    va_start(args, name);
    for (const char *text; (text = va_arg(args, const char *)) != NULL; len++) {
        addrs[len] = addr_of(text);
    }
    va_end(args);
    struct lp2p_addrs *records = lp2p_addrs_new(addrs, len);
    lp2p_resolution_answer(resolution, number, LP2P_OK, records);
    lp2p_addrs_drop(&records);
}

static void answer_error(struct lp2p_resolution *resolution, enum lp2p_err err)
{
    struct lp2p_dns_question question;
    unsigned number;
    assert_true(lp2p_resolution_next(resolution, &number, &question));
    lp2p_resolution_answer(resolution, number, err, NULL);
}

/** Expects these results (address, name, ..., NULL) and nothing left to ask. */
static void finish(struct lp2p_resolution *resolution, ...)
{
    const struct lp2p_multiaddr *addrs, *names;
    const char *text, *want;
    size_t len, i = 0;
    struct lp2p_dns_question question;
    unsigned number;
    assert_false(lp2p_resolution_next(resolution, &number, &question));
    assert_true(lp2p_resolution_done(resolution));
    enum lp2p_err err = lp2p_resolution_result(resolution, &addrs, &names, &len, &text);
    assert_int_equal(err == LP2P_OK, len > 0);
    va_list args;
    va_start(args, resolution);
    for (; (want = va_arg(args, const char *)) != NULL; i++) {
        struct lp2p_multiaddr addr = addr_of(want), name = addr_of(va_arg(args, const char *));
        assert_true(i < len);
        char got[LP2P_MULTIADDR_TEXT_MAX];
        lp2p_multiaddr_text(&addrs[i], got);
        assert_true(lp2p_multiaddr_eq(&addr, &addrs[i]) || (print_message("%s\n", got), false));
        assert_true(lp2p_multiaddr_eq(&name, &names[i]));
    }
    va_end(args);
    assert_int_equal(len, i);
    lp2p_resolution_free(resolution);
}

static const char *failure(struct lp2p_resolution *resolution, enum lp2p_err *err)
{
    static char copy[LP2P_RESOLVE_TEXT_MAX];
    const struct lp2p_multiaddr *addrs, *names;
    const char *text;
    size_t len;
    assert_true(lp2p_resolution_done(resolution));
    *err = lp2p_resolution_result(resolution, &addrs, &names, &len, &text);
    (void)snprintf(copy, sizeof(copy), "%s", text);
    lp2p_resolution_free(resolution);
    return copy;
}

static void test_resolution_of_hosts(void **state)
{
    (void)state;
    struct lp2p_resolution *it = begin("/dns4/Example.ORG/tcp/443/wss/p2p/" PEER);
    answer(it, LP2P_DNS_IP4, "example.org", "/ip4/192.0.2.1", "/ip4/192.0.2.2", NULL);
    finish(it, "/ip4/192.0.2.1/tcp/443/wss/p2p/" PEER, "/dns4/Example.ORG/tcp/443/wss/p2p/" PEER,
           "/ip4/192.0.2.2/tcp/443/wss/p2p/" PEER, "/dns4/Example.ORG/tcp/443/wss/p2p/" PEER, NULL);
    it = begin("/dns6/a/tcp/1");
    answer(it, LP2P_DNS_IP6, "a", "/ip6/2001:db8::1", NULL);
    finish(it, "/ip6/2001:db8::1/tcp/1", "/dns6/a/tcp/1", NULL);
    it = begin("/dns/a/tcp/1");
    answer(it, LP2P_DNS_IP6, "a", "/ip6/2001:db8::1", NULL);
    answer(it, LP2P_DNS_IP4, "a", "/ip4/192.0.2.1", NULL);
    finish(it, "/ip6/2001:db8::1/tcp/1", "/dns/a/tcp/1", "/ip4/192.0.2.1/tcp/1", "/dns/a/tcp/1", NULL);
    it = begin("/dns/a/tcp/1"); /* one family is enough */
    answer_error(it, LP2P_ETIMEDOUT);
    answer(it, LP2P_DNS_IP4, "a", "/ip4/192.0.2.1", NULL);
    finish(it, "/ip4/192.0.2.1/tcp/1", "/dns/a/tcp/1", NULL);
    it = begin("/ip4/192.0.2.1/tcp/1"); /* nothing to ask */
    finish(it, "/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1/tcp/1", NULL);
}

static void test_resolution_of_dnsaddr(void **state)
{
    (void)state;
    struct lp2p_resolution *it = begin("/dnsaddr/net.example/p2p/" PEER);
    answer(it, LP2P_DNS_TEXT, "_dnsaddr.net.example", "/ip4/192.0.2.1/tcp/1/p2p/" OTHER, "/ip4/192.0.2.2/tcp/2/p2p/" PEER,
           "/dnsaddr/sub.example/p2p/" PEER, "/dns4/host.example/tcp/443/wss/p2p/" PEER, "/ip4/192.0.2.3/tcp/1", NULL);
    answer(it, LP2P_DNS_TEXT, "_dnsaddr.sub.example", "/ip4/192.0.2.4/tcp/4/p2p/" PEER, NULL);
    answer(it, LP2P_DNS_IP4, "host.example", "/ip4/192.0.2.5", NULL);
    finish(it, "/ip4/192.0.2.2/tcp/2/p2p/" PEER, "/dnsaddr/net.example/p2p/" PEER, "/ip4/192.0.2.4/tcp/4/p2p/" PEER,
           "/dnsaddr/sub.example/p2p/" PEER, "/ip4/192.0.2.5/tcp/443/wss/p2p/" PEER,
           "/dns4/host.example/tcp/443/wss/p2p/" PEER, NULL);
    it = begin("/dnsaddr/net.example"); /* without an end all are meant */
    answer(it, LP2P_DNS_TEXT, "_dnsaddr.net.example", "/ip4/192.0.2.1/tcp/1/p2p/" OTHER, "/ip4/192.0.2.2/tcp/2", NULL);
    finish(it, "/ip4/192.0.2.1/tcp/1/p2p/" OTHER, "/dnsaddr/net.example", "/ip4/192.0.2.2/tcp/2", "/dnsaddr/net.example", NULL);
    it = begin("/ip4/192.0.2.9/tcp/9/p2p/" OTHER "/p2p-circuit/dnsaddr/net.example/p2p/" PEER); /* what stands before is kept */
    answer(it, LP2P_DNS_TEXT, "_dnsaddr.net.example", "/ip4/192.0.2.2/tcp/2/p2p/" PEER, NULL);
    finish(it, "/ip4/192.0.2.9/tcp/9/p2p/" OTHER "/p2p-circuit/ip4/192.0.2.2/tcp/2/p2p/" PEER,
           "/ip4/192.0.2.9/tcp/9/p2p/" OTHER "/p2p-circuit/dnsaddr/net.example/p2p/" PEER, NULL);
}

static void test_resolution_failures_have_words(void **state)
{
    (void)state;
    enum lp2p_err err;
    struct lp2p_resolution *it = begin("/dns4/none.example/tcp/1");
    answer_error(it, LP2P_ENOTFOUND);
    assert_string_equal(failure(it, &err), "none.example: the name does not exist");
    assert_int_equal(err, LP2P_ENOTFOUND);
    it = begin("/dns/slow.example/tcp/1");
    answer_error(it, LP2P_ETIMEDOUT);
    answer_error(it, LP2P_ETIMEDOUT);
    assert_string_equal(failure(it, &err), "slow.example: no name server answered in time");
    assert_int_equal(err, LP2P_ETIMEDOUT);
    it = begin("/dnsaddr/net.example/p2p/" PEER);
    answer(it, LP2P_DNS_TEXT, "_dnsaddr.net.example", "/ip4/192.0.2.1/tcp/1/p2p/" OTHER, NULL);
    assert_string_equal(failure(it, &err), "_dnsaddr.net.example: no record for this peer");
    assert_int_equal(err, LP2P_ENOTFOUND);
}

static void test_resolution_is_bounded(void **state)
{
    (void)state;
    enum lp2p_err err;
    struct lp2p_resolution *it = begin("/dnsaddr/c0.chain");
    char name[64], next[64];
    struct lp2p_dns_question question;
    unsigned number, asked = 0;
    for (; asked < LP2P_RESOLVE_DEPTH_MAX; asked++) { /* a chain without end */
        (void)snprintf(name, sizeof(name), "_dnsaddr.c%u.chain", asked);
        (void)snprintf(next, sizeof(next), "/dnsaddr/c%u.chain", asked + 1);
        answer(it, LP2P_DNS_TEXT, name, next, NULL);
    }
    assert_false(lp2p_resolution_next(it, &number, &question));
    assert_non_null(strstr(failure(it, &err), "too many names that lead to names"));
    assert_int_equal(err, LP2P_ELIMIT);
    it = begin("/dnsaddr/loop.example");
    answer(it, LP2P_DNS_TEXT, "_dnsaddr.loop.example", "/dnsaddr/loop.example", NULL);
    assert_false(lp2p_resolution_next(it, &number, &question)); /* itself again: not asked again */
    lp2p_resolution_free(it);

    /* A tree: every answer has seven more names. */
    it = begin("/dnsaddr/tree.example");
    unsigned total = 0;
    while (lp2p_resolution_next(it, &number, &question)) {
        struct lp2p_multiaddr addrs[7];
        for (unsigned i = 0; i < 7; i++) {
            (void)snprintf(next, sizeof(next), "/dnsaddr/n%u-%u.example", total, i);
            addrs[i] = addr_of(next);
        }
        struct lp2p_addrs *records = lp2p_addrs_new(addrs, 7);
        lp2p_resolution_answer(it, number, LP2P_OK, records);
        lp2p_addrs_drop(&records);
        total++;
    }
    assert_int_equal(total, LP2P_RESOLVE_LOOKUPS_MAX);
    lp2p_resolution_free(it);

    /* Ten thousand addresses. */
    it = begin("/dnsaddr/flood.example");
    assert_true(lp2p_resolution_next(it, &number, &question));
    struct lp2p_multiaddr *many = calloc(10000, sizeof(*many));
    for (unsigned i = 0; i < 10000; i++) {
        const uint8_t ip[4] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};
        lp2p_multiaddr_from_ip_tcp(ip, 4, 1, &many[i]);
    }
    struct lp2p_addrs *records = lp2p_addrs_new(many, 10000);
    lp2p_resolution_answer(it, number, LP2P_OK, records);
    lp2p_addrs_drop(&records);
    free(many);
    const struct lp2p_multiaddr *addrs, *names;
    const char *text;
    size_t len;
    assert_int_equal(lp2p_resolution_result(it, &addrs, &names, &len, &text), LP2P_OK);
    assert_int_equal(len, LP2P_RESOLVE_ADDRS_MAX);
    lp2p_resolution_free(it);
}

/* ---- TXT answers */

#define HEAD(rcode, answers) "\x12\x34\x84" rcode "\0\1\0" answers "\0\0\0\0" "\1a\0\0\x10\0\1"
#define RECORD(ttl, len) "\xc0\x0c\0\x10\0\1" ttl "\0" len
#define BYTES(text) lp2p_span(text, sizeof(text) - 1)

static void test_dns_text_reads_records(void **state)
{
    (void)state;
    struct lp2p_multiaddr out[2];
    struct lp2p_dns_text result;
    /* Two records, the second one in two strings, and one that is no dnsaddr. */
    static const char first[] = "dnsaddr=/ip4/1.2.3.4/tcp/1", one[] = "dnsaddr=/ip4/5.6.7.8/", two[] = "tcp/99";
    uint8_t bytes[512];
    size_t len = 0;
#define PUT(text) (memcpy(bytes + len, text, sizeof(text) - 1), len += sizeof(text) - 1)
    PUT(HEAD("\x80", "\3"));
    PUT(RECORD("\0\0\0\x3c", ""));
    bytes[len++] = sizeof(first);
    bytes[len++] = sizeof(first) - 1;
    PUT(first);
    PUT(RECORD("\0\0\0\x1e", ""));
    bytes[len++] = sizeof(one) + sizeof(two);
    bytes[len++] = sizeof(one) - 1;
    PUT(one);
    bytes[len++] = sizeof(two) - 1;
    PUT(two);
    PUT(RECORD("\0\0\0\x01", "\x06") "\x05" "hello");
    assert_int_equal(lp2p_dns_text_read(lp2p_span(bytes, len), out, 2, &result), LP2P_OK);
    assert_int_equal(result.len, 2);
    assert_int_equal(result.skipped, 1);
    assert_int_equal(result.ttl_s, 30);
    struct lp2p_multiaddr want = addr_of("/ip4/5.6.7.8/tcp/99");
    assert_true(lp2p_multiaddr_eq(&out[1], &want));
    assert_int_equal(lp2p_dns_text_read(lp2p_span(bytes, len), out, 1, &result), LP2P_OK); /* room for one */
    assert_int_equal(result.len, 1);
    assert_int_equal(result.skipped, 2);
    for (size_t cut = 0; cut < len; cut++) { /* any part of it is no message */
        assert_int_equal(lp2p_dns_text_read(lp2p_span(bytes, cut), out, 2, &result), LP2P_EMALFORMED);
    }
#undef PUT
}

static void test_dns_text_refuses(void **state)
{
    (void)state;
    struct lp2p_multiaddr out[2];
    struct lp2p_dns_text result;
    assert_int_equal(lp2p_dns_text_read(BYTES(HEAD("\x83", "\0")), out, 2, &result), LP2P_ENOTFOUND);
    assert_int_equal(lp2p_dns_text_read(BYTES(HEAD("\x82", "\0")), out, 2, &result), LP2P_EUNREACHABLE);
    assert_int_equal(lp2p_dns_text_read(BYTES("\x12\x34\x01\0\0\1\0\0\0\0\0\0\1a\0\0\x10\0\1"), out, 2, &result),
                     LP2P_EMALFORMED); /* a question */
    assert_int_equal(lp2p_dns_text_read(BYTES(HEAD("\x80", "\x01") "\x7f"), out, 2, &result), LP2P_EMALFORMED);
    /* A string that is longer than its record, and an address that is none: skipped. */
    assert_int_equal(lp2p_dns_text_read(BYTES(HEAD("\x80", "\1") RECORD("\0\0\0\1", "\3") "\x09" "ab"), out, 2, &result), LP2P_OK);
    assert_int_equal(result.len, 0);
    assert_int_equal(result.skipped, 1);
    assert_int_equal(lp2p_dns_text_read(BYTES(HEAD("\x80", "\1") RECORD("\0\0\0\1", "\x0b") "\x0a" "dnsaddr=/x"), out, 2, &result),
                     LP2P_OK);
    assert_int_equal(result.skipped, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolution_of_hosts),
        cmocka_unit_test(test_resolution_of_dnsaddr),
        cmocka_unit_test(test_resolution_failures_have_words),
        cmocka_unit_test(test_resolution_is_bounded),
        cmocka_unit_test(test_dns_text_reads_records),
        cmocka_unit_test(test_dns_text_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
