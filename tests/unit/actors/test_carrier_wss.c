/* SPDX-License-Identifier: MIT
 * Secure WebSocket on real sockets: TLS alone and WebSocket inside it, both ways in any cutting, ends, certificates that do not
 * fit, and who knocks by mistake. */
#include "carrier_kit.h"

#include "actors/link/carrier_tls.h"
#include "actors/link/carrier_ws.h"

#include <unistd.h>

#define NOW_S 1800000000 /* wall clock of both ends */

static struct lp2p_tls_web *server_web, *client_web;
static struct lp2p_rand source; /* outlives all handshakes */

static int make_credentials(void **state)
{
    (void)state;
    static const char *const names[] = {"node.example"};
    static char pem[8192];
    source = kit_rand();
    assert_int_equal(lp2p_tls_web_self_made(NULL, names, 1, &source, NOW_S, &server_web), LP2P_OK);
    size_t len = lp2p_tls_web_certificate_pem(server_web, pem, sizeof(pem));
    assert_true(len > 0);
    assert_int_equal(lp2p_tls_web_client(NULL, lp2p_span(pem, len), &source, &client_web), LP2P_OK);
    return 0;
}

static int release_credentials(void **state)
{
    (void)state;
    lp2p_tls_web_release(server_web);
    lp2p_tls_web_release(client_web);
    return 0;
}

static struct lp2p_carrier *tls_on(struct lp2p_carrier *below, struct lp2p_tls_web *web, const char *name)
{
    struct lp2p_tls_session *session = lp2p_tls_session_new(web, name, &source, NOW_S);
    assert_non_null(session);
    struct lp2p_carrier *tls = lp2p_carrier_tls(&below, &session);
    assert_non_null(tls);
    assert_null(session);
    return tls;
}

static struct lp2p_carrier *wss_on(struct lp2p_carrier *tls, bool client)
{
    struct lp2p_ws_start start = {.client = client, .rand = &source, .host = "node.example:443"};
    struct lp2p_carrier *ws = lp2p_carrier_ws(&tls, &start);
    assert_non_null(ws);
    assert_string_equal(ws->ops->name, "wss");
    return ws;
}

static void wss_ends(struct end *a, struct end *b, bool inside)
{
    connect_ends(a, b);
    a->carrier = tls_on(tcp_of(a), client_web, "node.example");
    b->carrier = tls_on(tcp_of(b), server_web, NULL);
    if (inside) {
        a->carrier = wss_on(a->carrier, true);
        b->carrier = wss_on(b->carrier, false);
    }
}

static void test_carrier_wss_exchanges_in_any_cutting(void **state)
{
    (void)state;
    static const struct {
        size_t read_max, write_max, room;
        bool every_other;
        uint64_t total;
    } cases[] = {
        {0, 0, 200000, false, 8u << 20}, {1, 1, 100, false, 5000},        {1, 0, 3, true, 20000},
        {7, 13, 1, false, 20000},        {1000, 70000, 65536, true, 1u << 20}, {0, 5000, 777, true, 400000},
    };
    for (size_t i = 0; i < 2 * LP2P_ARRAY_LEN(cases); i++) {
        struct end a, b;
        wss_ends(&a, &b, i % 2 == 1);
        struct end *ends[] = {&a, &b};
        for (int k = 0; k < 2; k++) {
            ends[k]->cut.read_max = cases[i / 2].read_max;
            ends[k]->cut.write_max = cases[i / 2].write_max;
            ends[k]->cut.every_other = cases[i / 2].every_other;
        }
        set_up_ends(&a, &b);
        assert_int_equal(a.up, LP2P_OK);
        assert_int_equal(b.up, LP2P_OK);
        exchange(&a, &b, cases[i / 2].total, cases[i / 2].room);
        assert_false(lp2p_carrier_wants_write(a.carrier) || lp2p_carrier_wants_write(b.carrier));
        assert_true(a.carrier->memory_bytes < 3072 && b.carrier->memory_bytes < 3072);
        for (int k = 0; k < 2; k++) {
            ends[k]->cut.every_other = false;
            ends[k]->cut.write_max = 0;
        }
        lp2p_carrier_close(&a.carrier);
        while (!b.eof && b.err == LP2P_OK) {
            receive_some(&b, 1000);
        }
        assert_true(b.eof);
        close_ends(&a, &b);
    }
}

/* A peer that does not read: what we hold of what we took is bounded. */
static void test_carrier_wss_slow_reader(void **state)
{
    (void)state;
    struct end a, b;
    const uint64_t total = 64u << 20;
    enum lp2p_err err = LP2P_OK;
    wss_ends(&a, &b, true);
    set_up_ends(&a, &b);
    while (err == LP2P_OK && a.sent < total) {
        err = send_some(&a, total);
        assert_true(a.carrier->memory_bytes < 256u << 10);
    }
    assert_int_equal(err, LP2P_EAGAIN);
    for (uint64_t stop = a.sent + (4u << 20); b.got < stop;) {
        err = send_some(&a, total);
        assert_true(err == LP2P_OK || err == LP2P_EAGAIN);
        receive_some(&b, 200000);
        assert_int_equal(b.err, LP2P_OK);
    }
    close_ends(&a, &b);
}

static void test_carrier_wss_certificate_of_another_name(void **state)
{
    (void)state;
    struct end a, b;
    connect_ends(&a, &b);
    a.carrier = wss_on(tls_on(tcp_of(&a), client_web, "other.example"), true);
    b.carrier = wss_on(tls_on(tcp_of(&b), server_web, NULL), false);
    set_up_ends(&a, &b);
    assert_int_equal(a.up, LP2P_EWRONGPEER);
    assert_true(b.up != LP2P_OK && b.up != LP2P_EAGAIN);
    close_ends(&a, &b);
}

/* Who does not speak TLS, and who stops in the middle of it. */
static void test_AH12_knocks_at_a_secure_websocket_port(void **state)
{
    (void)state;
    static const char *const said[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x13/multistream/1.0.0\n", "\x16\x03\x01\x7f\x7fzz"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(said); i++) {
        for (int hangs_up = 0; hangs_up < 2; hangs_up++) {
            struct end a, b;
            connect_ends(&a, &b);
            b.carrier = wss_on(tls_on(tcp_of(&b), server_web, NULL), false);
            raw_say(&a, said[i], hangs_up ? 4 : strlen(said[i]));
            if (hangs_up) {
                lp2p_net_posix.close(NULL, a.fd);
                a.fd = -1;
            }
            while (b.up == LP2P_EAGAIN) {
                wait_readable(b.carrier->fd);
                b.up = b.carrier->ops->set_up(b.carrier, 0);
            }
            assert_int_not_equal(b.up, LP2P_OK);
            close_ends(&a, &b);
        }
    }
}

/* The socket ends without a word inside. */
static void test_carrier_wss_cut_off(void **state)
{
    (void)state;
    struct end a, b;
    wss_ends(&a, &b, false);
    set_up_ends(&a, &b);
    exchange(&a, &b, 1000, 1000);
    a.cut.write_blocked = true; /* no close-notify */
    lp2p_carrier_close(&a.carrier);
    while (!b.eof && b.err == LP2P_OK) {
        wait_readable(b.carrier->fd);
        receive_some(&b, 1000);
    }
    assert_false(b.eof);
    assert_true(b.err == LP2P_ETRUNCATED || b.err == LP2P_ECONNRESET);
    assert_true(lp2p_carrier_holds_input(b.carrier)); /* the end can be read again */
    close_ends(&a, &b);
}

/** Bytes that the session wants to send, behind what is in `out`. */
static size_t drain_all(struct lp2p_tls_session *session, uint8_t *out, size_t at, size_t cap)
{
    size_t part;
    while ((part = lp2p_tls_session_drain(session, out + at, cap - at, 0)) > 0) {
        at += part;
    }
    return at;
}

/* A client ends its handshake, says good-bye and goes on talking, all in one piece: the set-up is over, whatever
 * lies behind. (It once went round for ever.) */
static void test_carrier_wss_good_bye_with_the_handshake(void **state)
{
    (void)state;
    for (unsigned junk = 0; junk < 2; junk++) {
        struct end a, b;
        uint8_t bytes[20000] = {0};
        size_t len = 0, used = 0, got = 0;
        connect_ends(&a, &b);
        b.carrier = tls_on(tcp_of(&b), server_web, NULL);
        struct lp2p_tls_session *client = lp2p_tls_session_new(client_web, "node.example", &source, NOW_S);
        len = drain_all(client, bytes, 0, sizeof(bytes));
        raw_say(&a, bytes, len);
        wait_readable(b.carrier->fd);
        assert_int_equal(b.carrier->ops->set_up(b.carrier, 0), LP2P_EAGAIN);
        while (lp2p_tls_session_state(client) == LP2P_TLS_SESSION_HANDSHAKE) {
            wait_readable(a.fd);
            assert_int_equal(lp2p_net_posix.read(NULL, a.fd, bytes, sizeof(bytes), &got), LP2P_OK);
            assert_int_equal(lp2p_tls_session_feed(client, lp2p_span(bytes, got), 0, &used), LP2P_OK);
        }
        len = drain_all(client, bytes, 0, sizeof(bytes));
        lp2p_tls_session_close(client);
        len = drain_all(client, bytes, len, sizeof(bytes));
        memset(bytes + len, 0, 100);
        raw_say(&a, bytes, len + 100 * junk);
        wait_readable(b.carrier->fd);
        alarm(5); /* ends the test, not the loop */
        while (b.up == LP2P_EAGAIN) {
            b.up = b.carrier->ops->set_up(b.carrier, 0);
        }
        alarm(0);
        assert_int_equal(b.up, LP2P_EEOF);
        lp2p_tls_session_free(client);
        close_ends(&a, &b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_carrier_wss_exchanges_in_any_cutting),
        cmocka_unit_test(test_carrier_wss_slow_reader),
        cmocka_unit_test(test_carrier_wss_certificate_of_another_name),
        cmocka_unit_test(test_AH12_knocks_at_a_secure_websocket_port),
        cmocka_unit_test(test_carrier_wss_cut_off),
        cmocka_unit_test(test_carrier_wss_good_bye_with_the_handshake),
    };
    return cmocka_run_group_tests_name("carrier wss", tests, make_credentials, release_credentials);
}
