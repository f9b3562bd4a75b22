/* SPDX-License-Identifier: MIT
 * The HTTP upgrade: what browsers and nodes send, what a person who looks gets, and what is refused; AH12: scanners. */
#include "websocket/first_bytes.h"
#include "websocket/upgrade.h"

#include "base/check.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUEST(fields) "GET / HTTP/1.1\r\nHost: node.example:4001\r\n" fields "\r\n"
#define GOOD                                                                                                  \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"            \
    "Sec-WebSocket-Version: 13\r\n"
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* RFC 6455, 1.3 */
#define ANSWER(fields) "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" fields "\r\n"

static char said[4096];
static size_t said_len;

static void drain_upgrade(struct lp2p_ws_upgrade *upgrade)
{
    size_t more;
    said_len = 0;
    while ((more = lp2p_ws_upgrade_drain(upgrade, (uint8_t *)said + said_len, 7, 0)) > 0) {
        said_len += more;
        assert_true(said_len < sizeof(said));
    }
    said[said_len] = '\0';
}

/* Feeds pieces from memory of their own; returns how many bytes were taken. */
static size_t feed_upgrade(struct lp2p_ws_upgrade *upgrade, struct lp2p_span in, size_t piece, enum lp2p_err *err)
{
    size_t at = 0, used = 0;
    *err = LP2P_OK;
    while (at < in.len && *err == LP2P_OK) {
        size_t size = LP2P_MIN(piece, in.len - at);
        struct lp2p_span part = vectors_copy(lp2p_span(in.ptr + at, size));
        *err = lp2p_ws_upgrade_feed(upgrade, part, 0, &used);
        vectors_free(part);
        at += used;
        if (used < size) {
            break;
        }
    }
    return at;
}

static void assert_upgrade_event(struct lp2p_ws_upgrade *upgrade, enum lp2p_ws_upgrade_event_kind kind,
                                 enum lp2p_err reason, unsigned status)
{
    struct lp2p_ws_upgrade_event event;
    lp2p_ws_upgrade_next(upgrade, &event);
    assert_int_equal(event.kind, kind);
    assert_int_equal(event.reason, reason);
    assert_int_equal(event.status, status);
    lp2p_ws_upgrade_next(upgrade, &event);
    assert_int_equal(event.kind, LP2P_WS_UPGRADE_NONE);
}

static void test_websocket_upgrade_is_granted(void **state)
{
    (void)state;
    static const char *const requests[] = {
        REQUEST(GOOD),
        /* a browser: any origin, extensions and subprotocols that are not answered, two tokens in Connection */
        REQUEST("Pragma: no-cache\r\nOrigin: https://anywhere.example\r\nconnection: keep-alive, UPGRADE\r\n"
                "upgrade: WebSocket\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                "Sec-WebSocket-Protocol: chat, mqtt\r\nsec-websocket-key:   dGhlIHNhbXBsZSBub25jZQ==  \r\n"
                "sec-websocket-version:13\r\nAccept-Encoding: gzip, deflate\r\n"),
        "GET /any/path?and=query HTTP/1.1\r\n" GOOD "\r\n",
        REQUEST("Connection: keep-alive\r\nConnection: x\r\n" GOOD "Content-Length: 0\r\n"),
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(requests); i++) {
        for (size_t piece = 1; piece < 1000; piece = piece * 3 + 1) {
            char text[2048];
            enum lp2p_err err;
            struct lp2p_ws_upgrade *upgrade = lp2p_ws_upgrade_server(NULL);
            (void)snprintf(text, sizeof(text), "%s\x82\x80", requests[i]); /* the first frame comes right behind it */
            size_t took = feed_upgrade(upgrade, lp2p_span_str(text), piece, &err);
            assert_int_equal(err, LP2P_OK);
            assert_int_equal(took, strlen(requests[i]));
            assert_upgrade_event(upgrade, LP2P_WS_UPGRADED, LP2P_OK, 101);
            drain_upgrade(upgrade);
            assert_string_equal(said, ANSWER("Sec-WebSocket-Accept: " ACCEPT "\r\n"));
            size_t used = 9;
            assert_int_equal(lp2p_ws_upgrade_feed(upgrade, lp2p_span("x", 1), 0, &used), LP2P_OK);
            assert_int_equal(used, 0);
            lp2p_ws_upgrade_free(upgrade);
        }
    }
}

/* AH12: whatever arrives is data; each gets the answer that tells most. */
static void test_AH12_what_is_no_upgrade_is_answered(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        enum lp2p_err err;
        unsigned status;
    } cases[] = {
        {REQUEST("User-Agent: Mozilla/5.0\r\n"), LP2P_ENEGOTIATION, 426}, /* a person with a browser */
        {"GET / HTTP/1.0\r\n\r\n", LP2P_ENEGOTIATION, 426},
        {"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", LP2P_ENEGOTIATION, 426},
        {"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nuser=", LP2P_ENEGOTIATION, 426},
        {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", LP2P_ENEGOTIATION, 426},
        {"CONNECT mail.example:25 HTTP/1.1\r\nHost: x\r\n\r\n", LP2P_ENEGOTIATION, 426},
        {"POST / HTTP/1.1\r\nHost: x\r\n" GOOD "\r\n", LP2P_ENEGOTIATION, 426},
        {REQUEST("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"), LP2P_ENEGOTIATION, 426},
        {REQUEST("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"), LP2P_ENEGOTIATION, 426},
        {REQUEST("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                 "Sec-WebSocket-Version: 8\r\n"),
         LP2P_EVERSION, 426},
        {REQUEST("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
         LP2P_EVERSION, 426},
        {REQUEST("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n"),
         LP2P_EMALFORMED, 400},
        {REQUEST("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: !!!!IHNhbXBsZSBub25jZQ==\r\n"
                 "Sec-WebSocket-Version: 13\r\n"),
         LP2P_EMALFORMED, 400},
        {REQUEST("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"), LP2P_EMALFORMED, 400},
        {"GET / HTTP/1.0\r\n" GOOD "\r\n", LP2P_EMALFORMED, 400},
        {"SSH-2.0-OpenSSH_9.6\r\n", LP2P_EMALFORMED, 400},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", LP2P_EMALFORMED, 400}, /* TLS where there is none */
        {"\x03\x00\x00\x13\x0e\xe0", LP2P_EMALFORMED, 400},                     /* remote desktop */
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", LP2P_EMALFORMED, 400},
        {"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n", LP2P_EMALFORMED, 400},
        {"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", LP2P_EMALFORMED, 400},
        {"GET  / HTTP/9.9\r\n\r\n", LP2P_EMALFORMED, 400},
        {"*1\r\n$4\r\nPING\r\n", LP2P_EMALFORMED, 400}, /* redis */
        {"\x13/multistream/1.0.0\n", LP2P_EMALFORMED, 400},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        for (size_t piece = 1; piece < 400; piece += 199) {
            enum lp2p_err err;
            char status[16];
            struct lp2p_ws_upgrade *upgrade = lp2p_ws_upgrade_server(NULL);
            feed_upgrade(upgrade, lp2p_span_str(cases[i].request), piece, &err);
            assert_int_equal(err, cases[i].err);
            assert_upgrade_event(upgrade, LP2P_WS_UPGRADE_FAILED, cases[i].err, cases[i].status);
            drain_upgrade(upgrade);
            (void)snprintf(status, sizeof(status), "HTTP/1.1 %u ", cases[i].status);
            assert_memory_equal(said, status, strlen(status));
            assert_non_null(strstr(said, cases[i].status == 426 ? "\r\nConnection: Upgrade, close\r\n" : "\r\nConnection: close\r\n"));
            assert_true((cases[i].status == 426) == (strstr(said, "\r\nSec-WebSocket-Version: 13\r\n") != NULL));
            bool head = strncmp(cases[i].request, "HEAD", 4) == 0;
            const char *page = strstr(said, "\r\n\r\n") + 4;
            const char *length = strstr(said, "Content-Length: ");
            assert_int_equal(strlen(page), head ? 0 : strtoul(length + 16, NULL, 10));
            size_t used;
            assert_int_equal(lp2p_ws_upgrade_feed(upgrade, lp2p_span("x", 1), 0, &used), LP2P_ESTATE);
            lp2p_ws_upgrade_free(upgrade);
        }
    }
}

/* Endless fields: refused at the limit; the same request without the limit goes on (the control). */
static enum lp2p_err feed_fields(const struct lp2p_ws_limits *limits, size_t fields, size_t value_len, size_t *taken)
{
    static char value[20000];
    struct lp2p_ws_upgrade *upgrade = lp2p_ws_upgrade_server(limits);
    enum lp2p_err err;
    char name[32];
    memset(value, 'v', sizeof(value));
    *taken = feed_upgrade(upgrade, lp2p_span_str("GET / HTTP/1.1\r\n"), 100, &err);
    for (size_t i = 0; i < fields && err == LP2P_OK; i++) {
        (void)snprintf(name, sizeof(name), "X-%zu: ", i);
        *taken += feed_upgrade(upgrade, lp2p_span_str(name), 100, &err);
        if (err == LP2P_OK) {
            *taken += feed_upgrade(upgrade, lp2p_span(value, value_len), 1000, &err);
        }
        if (err == LP2P_OK) {
            *taken += feed_upgrade(upgrade, lp2p_span_str("\r\n"), 100, &err);
        }
    }
    if (err == LP2P_EOVERSIZE) {
        assert_upgrade_event(upgrade, LP2P_WS_UPGRADE_FAILED, LP2P_EOVERSIZE, 431);
        drain_upgrade(upgrade);
        assert_memory_equal(said, "HTTP/1.1 431 ", 13);
    }
    lp2p_ws_upgrade_free(upgrade);
    return err;
}

static void test_websocket_upgrade_endless_headers(void **state)
{
    (void)state;
    static const struct lp2p_ws_limits lifted = {SIZE_MAX, SIZE_MAX};
    size_t taken;
    assert_int_equal(feed_fields(NULL, LP2P_WS_UPGRADE_FIELDS_MAX, 10, &taken), LP2P_OK);
    assert_int_equal(feed_fields(NULL, LP2P_WS_UPGRADE_FIELDS_MAX + 1, 10, &taken), LP2P_EOVERSIZE);
    assert_int_equal(feed_fields(NULL, 1, 7000, &taken), LP2P_OK);
    assert_int_equal(feed_fields(NULL, 1, 20000, &taken), LP2P_EOVERSIZE); /* one endless value */
    assert_int_equal(taken, LP2P_WS_UPGRADE_BYTES_MAX);
    assert_int_equal(feed_fields(&lifted, 5000, 10, &taken), LP2P_OK);
    assert_int_equal(feed_fields(&lifted, 1, 20000, &taken), LP2P_OK);
}

static struct lp2p_ws_upgrade *new_client(const char *host, const char *path)
{
    static struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 3);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    return lp2p_ws_upgrade_client(host, path, &rand, NULL);
}

static void test_websocket_upgrade_client_against_server(void **state)
{
    (void)state;
    struct lp2p_ws_upgrade *client = new_client("[::1]:443", "/libp2p?x=1"), *server = lp2p_ws_upgrade_server(NULL);
    enum lp2p_err err;
    char request[1024];
    drain_upgrade(client);
    memcpy(request, said, said_len + 1);
    assert_memory_equal(request, "GET /libp2p?x=1 HTTP/1.1\r\nHost: [::1]:443\r\n", 43);
    assert_null(strstr(request, "Extensions"));
    assert_int_equal(feed_upgrade(server, lp2p_span_str(request), 1, &err), strlen(request));
    assert_upgrade_event(server, LP2P_WS_UPGRADED, LP2P_OK, 101);
    drain_upgrade(server);
    assert_int_equal(feed_upgrade(client, lp2p_span(said, said_len), 3, &err), said_len);
    assert_int_equal(err, LP2P_OK);
    assert_upgrade_event(client, LP2P_WS_UPGRADED, LP2P_OK, 101);
    lp2p_ws_upgrade_free(client);
    lp2p_ws_upgrade_free(server);
}

/* The value that the server has to answer with. */
static void accept_for(struct lp2p_ws_upgrade *client, char out[29])
{
    drain_upgrade(client);
    const char *key = strstr(said, "Sec-WebSocket-Key: ") + 19;
    lp2p_ws_accept_value(lp2p_span(key, 24), out);
}

static void test_websocket_upgrade_client_wrong_answers(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after; /* the accept value goes between them */
        enum lp2p_err err;
        unsigned status;
    } cases[] = {
        {ANSWER(""), NULL, LP2P_EPROTO, 101}, /* none */
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x", "\r\n\r\n",
         LP2P_EPROTO, 101},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ", "\r\n\r\n", LP2P_EPROTO, 101},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ", "\r\n\r\n", LP2P_EPROTO, 101},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
         "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", LP2P_EPROTO, 101},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
         "\r\nSec-WebSocket-Protocol: chat\r\n\r\n", LP2P_EPROTO, 101},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", NULL, LP2P_ENEGOTIATION, 200},
        {"HTTP/1.1 302 Found\r\nLocation: ws://elsewhere.example/\r\n\r\n", NULL, LP2P_ENEGOTIATION, 302},
        {"HTTP/1.1 503 Service Unavailable\r\n\r\n", NULL, LP2P_ENEGOTIATION, 503},
        {"\x13/multistream/1.0.0\n", NULL, LP2P_EMALFORMED, 0},
        {"HTTP/1.1 one hundred\r\n\r\n", NULL, LP2P_EMALFORMED, 0},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_ws_upgrade *client = new_client("x", "/");
        enum lp2p_err err;
        char accept[29], text[1024];
        accept_for(client, accept);
        (void)snprintf(text, sizeof(text), "%s%s%s", cases[i].before, cases[i].after == NULL ? "" : accept,
                       cases[i].after == NULL ? "" : cases[i].after);
        feed_upgrade(client, lp2p_span_str(text), 11, &err);
        assert_int_equal(err, cases[i].err);
        assert_upgrade_event(client, LP2P_WS_UPGRADE_FAILED, cases[i].err, cases[i].status);
        lp2p_ws_upgrade_free(client);
    }
    /* An answer without end. */
    struct lp2p_ws_upgrade *client = new_client("x", "/");
    enum lp2p_err err = LP2P_OK;
    size_t used = 0, taken = 0;
    for (int i = 0; i < 10000 && err == LP2P_OK; i++) {
        const char *text = i == 0 ? "HTTP/1.1 101 X\r\n" : "A: bcdefghi\r\n";
        err = lp2p_ws_upgrade_feed(client, lp2p_span_str(text), 0, &used);
        taken += used;
    }
    assert_int_equal(err, LP2P_EOVERSIZE);
    assert_true(taken <= LP2P_WS_UPGRADE_BYTES_MAX);
    lp2p_ws_upgrade_free(client);
}

/* What comes from an address must not become a second line of the request. */
static void test_websocket_upgrade_client_refuses_what_it_cannot_send(void **state)
{
    (void)state;
    char host[400], path[2000];
    memset(host, 'h', sizeof(host));
    memset(path, '/', sizeof(path));
    host[LP2P_WS_HOST_MAX + 1] = path[LP2P_WS_PATH_MAX + 1] = '\0';
    assert_null(new_client(host, "/"));
    assert_null(new_client("x", path));
    host[LP2P_WS_HOST_MAX] = path[LP2P_WS_PATH_MAX] = '\0';
    struct lp2p_ws_upgrade *longest = new_client(host, path);
    assert_non_null(longest);
    drain_upgrade(longest);
    assert_int_equal(memcmp(said + said_len - 4, "\r\n\r\n", 4), 0);
    lp2p_ws_upgrade_free(longest);
    static const char *const hosts[] = {"", "a b", "a\r\nX: y", "a\tb", "\x7f", "\xc3\xa4"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(hosts); i++) {
        assert_null(new_client(hosts[i], "/"));
    }
    static const char *const paths[] = {"", "x", "/a b", "/\r\n", "/\x01"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(paths); i++) {
        assert_null(new_client("x", paths[i]));
    }
}

static void test_websocket_upgrade_reports_forwarded(void **state)
{
    (void)state;
    struct lp2p_ws_upgrade *upgrade = lp2p_ws_upgrade_server(NULL);
    enum lp2p_err err;
    static const char one[] = REQUEST(GOOD "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\nx-forwarded-for: ::1\r\n");
    feed_upgrade(upgrade, lp2p_span_str(one), 1, &err);
    assert_string_equal(lp2p_ws_upgrade_forwarded(upgrade), "1.2.3.4, 5.6.7.8,::1");
    lp2p_ws_upgrade_free(upgrade);
    /* Of a long one the end is kept: that is what the nearest proxies wrote. */
    for (size_t piece = 1; piece < 500; piece += 249) {
        upgrade = lp2p_ws_upgrade_server(NULL);
        feed_upgrade(upgrade, lp2p_span_str("GET / HTTP/1.1\r\nX-Forwarded-For: "), piece, &err);
        for (int i = 0; i < 100; i++) {
            feed_upgrade(upgrade, lp2p_span_str("9.9.9.9, "), piece, &err);
        }
        feed_upgrade(upgrade, lp2p_span_str("1.2.3.4\r\n"), piece, &err);
        const char *text = lp2p_ws_upgrade_forwarded(upgrade);
        assert_in_range(strlen(text), LP2P_WS_FORWARDED_MAX - 9, LP2P_WS_FORWARDED_MAX);
        assert_string_equal(text + strlen(text) - 16, "9.9.9.9, 1.2.3.4");
        lp2p_ws_upgrade_free(upgrade);
    }
    upgrade = lp2p_ws_upgrade_server(NULL);
    assert_string_equal(lp2p_ws_upgrade_forwarded(upgrade), "");
    lp2p_ws_upgrade_free(upgrade);
    lp2p_ws_upgrade_free(NULL);
}

/* Where a long value is cut, the rest of an address must not become another address. */
static void test_websocket_upgrade_forwards_whole_addresses(void **state)
{
    (void)state;
    for (size_t empty = 0; empty < 14; empty++) {
        struct lp2p_ws_upgrade *upgrade = lp2p_ws_upgrade_server(NULL);
        enum lp2p_err err;
        feed_upgrade(upgrade, lp2p_span_str("GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.77"), 100, &err);
        for (int i = 0; i < 40; i++) {
            feed_upgrade(upgrade, lp2p_span_str(",203.0.113.77"), 100, &err);
        }
        for (size_t i = 0; i < empty; i++) {
            feed_upgrade(upgrade, lp2p_span_str(","), 100, &err);
        }
        feed_upgrade(upgrade, lp2p_span_str("\r\n"), 100, &err);
        const char *text = lp2p_ws_upgrade_forwarded(upgrade);
        assert_int_equal(text[0], '?'); /* nobody takes the rest of the first one for an address */
        assert_true(strcspn(text, ",") <= sizeof("?203.0.113.77") - 1);
        assert_int_equal(strncmp(strchr(text, ','), ",203.0.113.77,", 14), 0);
        lp2p_ws_upgrade_free(upgrade);
    }
    struct lp2p_ws_upgrade *upgrade = lp2p_ws_upgrade_server(NULL);
    enum lp2p_err err;
    feed_upgrade(upgrade, lp2p_span_str("GET / HTTP/1.1\r\nX-Forwarded-For: "), 100, &err);
    for (int i = 0; i < 100; i++) {
        feed_upgrade(upgrade, lp2p_span_str("1.2.3.4."), 100, &err);
    }
    feed_upgrade(upgrade, lp2p_span_str("\r\n"), 100, &err);
    assert_int_equal(lp2p_ws_upgrade_forwarded(upgrade)[0], '?'); /* one entry, and it is not whole: that is not none */
    lp2p_ws_upgrade_free(upgrade);
}

struct asked {
    unsigned times;
    enum lp2p_err verdict;
    char forwarded[64];
};

static enum lp2p_err ask_judge(void *ctx, const char *forwarded)
{
    struct asked *asked = ctx;
    asked->times++;
    (void)snprintf(asked->forwarded, sizeof(asked->forwarded), "%s", forwarded);
    return asked->verdict;
}

/* Who said where a request comes from is judged before 101 is said, and only for requests that would get it. */
static void test_websocket_upgrade_judges_forwarded(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        enum lp2p_err verdict;
        unsigned times, status;
        const char *forwarded;
    } cases[] = {
        {REQUEST(GOOD "X-Forwarded-For: 1.2.3.4\r\n"), LP2P_OK, 1, 101, "1.2.3.4"},
        {REQUEST(GOOD), LP2P_OK, 1, 101, ""},
        {REQUEST(GOOD "X-Forwarded-For: x\r\n"), LP2P_EMALFORMED, 1, 400, "x"},
        {REQUEST("X-Forwarded-For: x\r\n"), LP2P_EMALFORMED, 0, 426, ""},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_ws_upgrade *upgrade = lp2p_ws_upgrade_server(NULL);
        struct asked asked = {.verdict = cases[i].verdict};
        enum lp2p_err err;
        char status[16];
        lp2p_ws_upgrade_judge(upgrade, ask_judge, &asked);
        feed_upgrade(upgrade, lp2p_span_str(cases[i].request), 7, &err);
        assert_int_equal(err == LP2P_OK, cases[i].status == 101);
        drain_upgrade(upgrade);
        (void)snprintf(status, sizeof(status), "HTTP/1.1 %u ", cases[i].status);
        assert_int_equal(strncmp(said, status, strlen(status)), 0);
        assert_int_equal(asked.times, cases[i].times);
        assert_string_equal(asked.forwarded, cases[i].forwarded);
        lp2p_ws_upgrade_free(upgrade);
    }
}

static void test_AH12_first_bytes(void **state)
{
    (void)state;
#define CASE(kind, bytes) {LP2P_FIRST_##kind, sizeof(bytes) - 1, bytes}
    static const struct {
        enum lp2p_first_bytes kind;
        size_t len;
        const char *bytes;
    } cases[] = {
        CASE(MULTISTREAM, "\x13/multistream/1.0.0\n"),
        CASE(HTTP, "GET "),
        CASE(HTTP, "HEAD "),
        CASE(HTTP, "POST "),
        CASE(HTTP, "PUT "),
        CASE(HTTP, "DELETE "),
        CASE(HTTP, "OPTIONS "),
        CASE(HTTP, "CONNECT "),
        CASE(HTTP, "TRACE "),
        CASE(HTTP, "PATCH "),
        CASE(HTTP, "PRI * "),
        CASE(TLS, "\x16\x03"),
        CASE(PROXY_V1, "PROXY "),
        CASE(PROXY_V2, "\r\n\r\n\0\r\nQUIT\n"),
        CASE(UNKNOWN, "S"),            /* SSH-2.0-... */
        CASE(UNKNOWN, "\x13/m\x01"),
        CASE(UNKNOWN, "\x16\x02"),
        CASE(UNKNOWN, "GETX"),
        CASE(UNKNOWN, "g"),
        CASE(UNKNOWN, "\x03"),         /* remote desktop */
        CASE(UNKNOWN, "\0"),
        CASE(UNKNOWN, "\xff"),
        CASE(UNKNOWN, "\r\n\r\nA"),
        CASE(UNKNOWN, "PROXX"),
        CASE(UNKNOWN, "PRO "),
    };
    assert_int_equal(lp2p_first_bytes_of(lp2p_span(NULL, 0)), LP2P_FIRST_MORE);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        for (size_t len = 1; len <= cases[i].len + 10; len++) {
            uint8_t text[64] = {0};
            memset(text, 'z', sizeof(text));
            memcpy(text, cases[i].bytes, cases[i].len);
            struct lp2p_span in = vectors_copy(lp2p_span(text, len));
            enum lp2p_first_bytes kind = lp2p_first_bytes_of(in);
            assert_int_equal(kind, len < cases[i].len ? LP2P_FIRST_MORE : cases[i].kind);
            assert_true(len < LP2P_FIRST_BYTES_MAX || kind != LP2P_FIRST_MORE);
            vectors_free(in);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_websocket_upgrade_is_granted),
        cmocka_unit_test(test_AH12_what_is_no_upgrade_is_answered),
        cmocka_unit_test(test_websocket_upgrade_endless_headers),
        cmocka_unit_test(test_websocket_upgrade_client_against_server),
        cmocka_unit_test(test_websocket_upgrade_client_wrong_answers),
        cmocka_unit_test(test_websocket_upgrade_client_refuses_what_it_cannot_send),
        cmocka_unit_test(test_websocket_upgrade_reports_forwarded),
        cmocka_unit_test(test_websocket_upgrade_judges_forwarded),
        cmocka_unit_test(test_websocket_upgrade_forwards_whole_addresses),
        cmocka_unit_test(test_AH12_first_bytes),
    };
    return cmocka_run_group_tests_name("websocket upgrade", tests, NULL, NULL);
}
