/* SPDX-License-Identifier: MIT
 * WebSocket carriers on real sockets: two of ours against each other however the kernel cuts the bytes, slow peers, ends; a
 * server against a client made by hand, and against whoever knocks by mistake. */
#include "carrier_kit.h"

#include "actors/link/carrier_pnet.h"
#include "actors/link/carrier_ws.h"

#define REQUEST                                                                                               \
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                              \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define IDLE_MAX 1024 /* bytes that a connection may hold between messages */

static void dial_ws(struct end *end)
{
    struct lp2p_rand rand = kit_rand();
    struct lp2p_carrier *below = tcp_of(end);
    end->carrier = lp2p_carrier_ws(
        &below, &(struct lp2p_ws_start){.client = true, .rand = &rand, .host = "127.0.0.1:1", .path = NULL});
    assert_non_null(end->carrier);
    assert_null(below);
}

static void serve_ws(struct end *end, const void *preread, size_t len)
{
    struct lp2p_carrier *tcp = tcp_of(end), *below = lp2p_carrier_preread(&tcp, lp2p_span(preread, len));
    end->carrier = lp2p_carrier_ws(&below, &(struct lp2p_ws_start){.client = false});
    assert_non_null(end->carrier);
    assert_string_equal(end->carrier->ops->name, "ws");
}

static void ws_ends(struct end *a, struct end *b)
{
    connect_ends(a, b);
    dial_ws(a);
    serve_ws(b, NULL, 0);
}

static void test_carrier_ws_exchanges_in_any_cutting(void **state)
{
    (void)state;
    static const struct {
        size_t read_max, write_max, room;
        bool every_other;
        uint64_t total;
    } cases[] = {
        {0, 0, 200000, false, 20u << 20}, {1, 1, 100, false, 30000},        {1, 0, 3, true, 60000},
        {0, 1, 5000, true, 60000},        {7, 13, 1, false, 60000},         {1000, 70000, 65536, true, 1u << 20},
        {0, 0, 17, false, 400000},        {100000, 3, 200000, true, 90000},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct end a, b;
        ws_ends(&a, &b);
        struct end *ends[] = {&a, &b};
        for (int k = 0; k < 2; k++) {
            ends[k]->cut.read_max = cases[i].read_max;
            ends[k]->cut.write_max = cases[i].write_max;
            ends[k]->cut.every_other = cases[i].every_other;
        }
        set_up_ends(&a, &b);
        assert_int_equal(a.up, LP2P_OK);
        assert_int_equal(b.up, LP2P_OK);
        exchange(&a, &b, cases[i].total, cases[i].room);
        assert_true(a.carrier->memory_bytes < IDLE_MAX && b.carrier->memory_bytes < IDLE_MAX);
        assert_false(lp2p_carrier_wants_write(a.carrier) || lp2p_carrier_wants_write(b.carrier));
        close_ends(&a, &b);
    }
}

/* Either side closes: the other reads what was sent before, then the end. */
static void test_carrier_ws_close_is_an_end(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct end a, b;
        ws_ends(&a, &b);
        set_up_ends(&a, &b);
        struct end *closer = k == 0 ? &a : &b, *reader = k == 0 ? &b : &a;
        exchange(&a, &b, 100, 1000);
        assert_int_equal(send_some(closer, 300), LP2P_OK);
        lp2p_carrier_close(&closer->carrier);
        for (int i = 0; i < 1000 && !reader->eof; i++) {
            wait_readable(reader->carrier->fd);
            receive_some(reader, 1000);
        }
        assert_true(reader->eof && reader->got == 300);
        /* the end stays the end, and nothing can be said any more */
        size_t got = 9;
        uint8_t byte;
        assert_true(lp2p_carrier_holds_input(reader->carrier));
        assert_int_equal(reader->carrier->ops->read(reader->carrier, &byte, 1, &got), LP2P_OK);
        assert_int_equal(got, 0);
        assert_int_equal(send_some(reader, 400), LP2P_ECONNRESET);
        close_ends(&a, &b);
    }
}

/* A peer that does not read: what we hold of what we took stays below one message. */
static void test_carrier_ws_slow_reader(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct end a, b;
        ws_ends(&a, &b);
        set_up_ends(&a, &b);
        struct end *sender = k == 0 ? &a : &b, *reader = k == 0 ? &b : &a;
        const uint64_t total = 64u << 20;
        enum lp2p_err err = LP2P_OK;
        while (err == LP2P_OK && sender->sent < total) {
            err = send_some(sender, total);
            assert_true(sender->carrier->memory_bytes < (72u << 10) + IDLE_MAX);
        }
        assert_int_equal(err, LP2P_EAGAIN);
        for (int i = 0; i < 100; i++) { /* asking again fills the kernel's room at most */
            err = send_some(sender, total);
            assert_true(err == LP2P_OK || err == LP2P_EAGAIN);
            assert_true(sender->carrier->memory_bytes < (72u << 10) + IDLE_MAX);
        }
        assert_true(sender->sent < total / 2);
        for (uint64_t stop = sender->sent + (8u << 20); reader->got < stop;) { /* it begins to read: it goes on */
            err = send_some(sender, total);
            assert_true(err == LP2P_OK || err == LP2P_EAGAIN);
            receive_some(reader, 200000);
        }
        assert_int_equal(reader->err, LP2P_OK);
        close_ends(&a, &b);
    }
}

/* ---- A client made by hand */

static const uint8_t key[4] = {1, 2, 3, 4};

/* A short frame as a client sends it; the payload continues the pattern from `at`. */
static size_t frame(uint8_t *out, unsigned first, bool masked, const void *payload, size_t len)
{
    size_t size = 2;
    out[0] = (uint8_t)first;
    out[1] = (uint8_t)((masked ? 0x80u : 0) | len);
    if (masked) {
        memcpy(out + 2, key, 4);
        size += 4;
    }
    for (size_t i = 0; i < len; i++) {
        out[size + i] = ((const uint8_t *)payload)[i] ^ (masked ? key[i % 4] : 0);
    }
    return size + len;
}

/* Reads with the bare socket until it ends or `want` bytes are there. */
static size_t raw_hear(struct end *end, char *out, size_t cap, size_t want)
{
    size_t len = 0;
    while (len < want) {
        size_t got = 0;
        wait_readable(end->fd);
        enum lp2p_err err = lp2p_net_posix.read(NULL, end->fd, out + len, cap - 1 - len, &got);
        if (err != LP2P_OK || got == 0) {
            break;
        }
        len += got;
    }
    out[len] = '\0';
    return len;
}

static void until_up(struct end *end)
{
    while (end->up == LP2P_EAGAIN) {
        wait_readable(end->carrier->fd);
        end->up = end->carrier->ops->set_up(end->carrier, 0);
    }
}

/* Everything in one segment: request, fragments with a ping inside, text; part of it read before the carrier was chosen. */
static void test_carrier_ws_reads_what_came_with_the_upgrade(void **state)
{
    (void)state;
    uint8_t said[600], payload[80];
    char heard[512];
    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = pattern(i);
    }
    size_t len = sizeof(REQUEST) - 1;
    memcpy(said, REQUEST, len);
    len += frame(said + len, 0x02, true, payload, 20);      /* BINARY, to be continued */
    len += frame(said + len, 0x89, true, "hello", 5);       /* PING */
    len += frame(said + len, 0x80, true, payload + 20, 20); /* its end */
    len += frame(said + len, 0x81, true, payload + 40, 40); /* TEXT counts as data */
    for (size_t preread = 0; preread <= len; preread += 13) {
        for (size_t room = 1; room < 200; room += 66) {
            struct end a, b;
            connect_ends(&a, &b);
            serve_ws(&b, said, preread);
            if (preread < len) {
                raw_say(&a, said + preread, len - preread);
            }
            while (b.up == LP2P_EAGAIN) {
                b.up = b.carrier->ops->set_up(b.carrier, 0);
            }
            assert_int_equal(b.up, LP2P_OK);
            while (b.got < sizeof(payload)) {
                receive_some(&b, room);
                assert_int_equal(b.err, LP2P_OK);
            }
            raw_hear(&a, heard, sizeof(heard), 129 + 7);
            assert_memory_equal(heard, "HTTP/1.1 101 ", 13);
            assert_memory_equal(heard + 129, "\x8a\x05hello", 7); /* the pong */
            assert_true(b.carrier->memory_bytes < IDLE_MAX);
            close_ends(&a, &b);
        }
    }
}

static void test_carrier_ws_hostile_frames(void **state)
{
    (void)state;
    static const struct {
        unsigned first;
        bool unmasked;
        size_t len;
        const char *payload;
        enum lp2p_err err;
        unsigned code; /* of the close frame that the client gets */
    } cases[] = {
        {0x82, true, 3, "abc", LP2P_EPROTO, 1002},  {0xc2, false, 3, "abc", LP2P_EPROTO, 1002},
        {0x83, false, 3, "abc", LP2P_EPROTO, 1002}, {0x09, false, 1, "x", LP2P_EPROTO, 1002},
        {0x80, false, 1, "x", LP2P_EPROTO, 1002},   {0x88, false, 1, "x", LP2P_EPROTO, 1002},
        {0x88, false, 2, "\x03\xe9", LP2P_ECONNRESET, 1001},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct end a, b;
        uint8_t said[32];
        char heard[512];
        connect_ends(&a, &b);
        serve_ws(&b, NULL, 0);
        raw_say(&a, REQUEST, sizeof(REQUEST) - 1);
        until_up(&b);
        assert_int_equal(raw_hear(&a, heard, sizeof(heard), 129), 129);
        raw_say(&a, said, frame(said, cases[i].first, !cases[i].unmasked, cases[i].payload, cases[i].len));
        while (b.err == LP2P_OK && !b.eof) {
            wait_readable(b.carrier->fd);
            receive_some(&b, 100);
        }
        assert_int_equal(b.err, cases[i].err);
        lp2p_carrier_close(&b.carrier);
        assert_int_equal(raw_hear(&a, heard, sizeof(heard), 400), 4); /* that, and the end */
        assert_int_equal((uint8_t)heard[0], 0x88);
        assert_int_equal((uint8_t)heard[2] << 8 | (uint8_t)heard[3], cases[i].code);
        close_ends(&a, &b);
    }
}

/* The connection ends without a close frame. */
static void test_carrier_ws_cut_off(void **state)
{
    (void)state;
    for (int inside = 0; inside < 2; inside++) {
        struct end a, b;
        uint8_t said[32];
        connect_ends(&a, &b);
        serve_ws(&b, NULL, 0);
        raw_say(&a, REQUEST, sizeof(REQUEST) - 1);
        until_up(&b);
        uint8_t payload[] = {pattern(0), pattern(1), pattern(2)};
        raw_say(&a, said, frame(said, 0x82, true, payload, 3) - (size_t)inside);
        lp2p_net_posix.close(NULL, a.fd);
        a.fd = -1;
        while (b.err == LP2P_OK && !b.eof) {
            wait_readable(b.carrier->fd);
            receive_some(&b, 100);
        }
        assert_int_equal(b.got, 3 - inside);
        assert_true(b.err == LP2P_ECONNRESET || (inside && b.err == LP2P_ETRUNCATED));
        close_ends(&a, &b);
    }
}

/* A flood of pings: little is said, little is held, and each call of read comes back. */
static void test_carrier_ws_ping_flood(void **state)
{
    (void)state;
    static uint8_t said[6 * 10000], room[65536];
    struct end a, b;
    char heard[512];
    connect_ends(&a, &b);
    serve_ws(&b, NULL, 0);
    raw_say(&a, REQUEST, sizeof(REQUEST) - 1);
    until_up(&b);
    assert_int_equal(raw_hear(&a, heard, sizeof(heard), 129), 129);
    b.cut.written = 0;
    for (size_t len = 0; len < sizeof(said);) {
        len += frame(said + len, 0x89, true, NULL, 0);
    }
    for (int round = 0; round < 50; round++) {
        raw_say(&a, said, sizeof(said));
        size_t got = 9, before = 0;
        for (int i = 0; i < 1000 && before < sizeof(said); i++) {
            struct pollfd wait = {b.carrier->fd, POLLIN, 0};
            if (poll(&wait, 1, 0) == 0) {
                break;
            }
            assert_int_equal(b.carrier->ops->read(b.carrier, room, sizeof(room), &got), LP2P_EAGAIN);
            assert_true(got == 0 && b.carrier->memory_bytes < IDLE_MAX);
        }
    }
    assert_true(b.cut.written < 50 * 1000 * 2 && b.cut.written > 0);
    close_ends(&a, &b);
}

/* AM8: frames without payload, as many as there are: one call of read goes through a bounded number of their bytes, so that
 * the thread is back with its other connections soon. */
static void test_AM8_empty_frames_are_read_in_turns(void **state)
{
    (void)state;
    static uint8_t said[6 * 50000], room[65536];
    struct end a, b;
    char heard[512];
    size_t got = 0, put = 0;
    connect_ends(&a, &b);
    serve_ws(&b, NULL, 0);
    raw_say(&a, REQUEST, sizeof(REQUEST) - 1);
    until_up(&b);
    assert_int_equal(raw_hear(&a, heard, sizeof(heard), 129), 129);
    for (size_t len = 0; len < sizeof(said);) {
        len += frame(said + len, len == 0 ? 0x02 : 0x00, true, NULL, 0);
    }
    struct iovec iov = {said, sizeof(said)};
    assert_int_equal(lp2p_net_posix.writev(NULL, a.fd, &iov, 1, &put), LP2P_OK);
    assert_true(put > 2 * sizeof(room));
    wait_readable(b.carrier->fd);
    b.cut.taken = 0;
    assert_int_equal(b.carrier->ops->read(b.carrier, room, sizeof(room), &got), LP2P_EAGAIN);
    assert_in_range(b.cut.taken, 1, sizeof(room));
    while (b.cut.taken < put) {
        wait_readable(b.carrier->fd);
        assert_int_equal(b.carrier->ops->read(b.carrier, room, sizeof(room), &got), LP2P_EAGAIN);
    }
    close_ends(&a, &b);
}

/* AH12: who knocks by mistake gets a word and the end. */
static void test_AH12_knocks_at_a_websocket_port(void **state)
{
    (void)state;
    static const struct {
        const char *said;
        enum lp2p_err err;
        const char *answer;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: Mozilla/5.0\r\n\r\n", LP2P_ENEGOTIATION, "HTTP/1.1 426 "},
        {"SSH-2.0-OpenSSH_9.6\r\n", LP2P_EMALFORMED, "HTTP/1.1 400 "},
        {"\x16\x03\x01\x02\x00\x01", LP2P_EMALFORMED, "HTTP/1.1 400 "},
        {"\x13/multistream/1.0.0\n", LP2P_EMALFORMED, "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct end a, b;
        char heard[2048];
        connect_ends(&a, &b);
        serve_ws(&b, NULL, 0);
        raw_say(&a, cases[i].said, strlen(cases[i].said));
        until_up(&b);
        assert_int_equal(b.up, cases[i].err);
        lp2p_carrier_close(&b.carrier);
        size_t len = raw_hear(&a, heard, sizeof(heard), sizeof(heard) - 1);
        assert_true(len > 0 && strncmp(heard, cases[i].answer, strlen(cases[i].answer)) == 0);
        close_ends(&a, &b);
    }
    /* It hangs up instead. */
    struct end a, b;
    connect_ends(&a, &b);
    serve_ws(&b, NULL, 0);
    raw_say(&a, "GET / HT", 8);
    lp2p_net_posix.close(NULL, a.fd);
    a.fd = -1;
    until_up(&b);
    assert_int_equal(b.up, LP2P_EEOF);
    close_ends(&a, &b);
}

/* A client against what is no WebSocket server. */
static void test_carrier_ws_client_of_something_else(void **state)
{
    (void)state;
    struct end a, b;
    char heard[512];
    connect_ends(&a, &b);
    dial_ws(&a);
    a.up = a.carrier->ops->set_up(a.carrier, 0);
    assert_int_equal(a.up, LP2P_EAGAIN);
    assert_true(raw_hear(&b, heard, sizeof(heard), 100) >= 100);
    assert_memory_equal(heard, "GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n", 35);
    static const char redirect[] = "HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:2/\r\n\r\n";
    raw_say(&b, redirect, sizeof(redirect) - 1);
    until_up(&a);
    assert_int_equal(a.up, LP2P_ENEGOTIATION);
    close_ends(&a, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_carrier_ws_exchanges_in_any_cutting),
        cmocka_unit_test(test_carrier_ws_close_is_an_end),
        cmocka_unit_test(test_carrier_ws_slow_reader),
        cmocka_unit_test(test_carrier_ws_reads_what_came_with_the_upgrade),
        cmocka_unit_test(test_carrier_ws_hostile_frames),
        cmocka_unit_test(test_carrier_ws_cut_off),
        cmocka_unit_test(test_carrier_ws_ping_flood),
        cmocka_unit_test(test_AM8_empty_frames_are_read_in_turns),
        cmocka_unit_test(test_AH12_knocks_at_a_websocket_port),
        cmocka_unit_test(test_carrier_ws_client_of_something_else),
    };
    return cmocka_run_group_tests_name("carrier ws", tests, NULL, NULL);
}
