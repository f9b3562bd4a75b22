/* SPDX-License-Identifier: MIT
 * WebSocket frames: every way of cutting them, what both roles say, and each rule of RFC 6455 broken by hand. wslay's own event
 * interface is the other side where one is needed that we did not write. */
#include "ws_kit.h"

#include <wslay/wslay.h>

static struct bytes in, out, said; /* too large for a stack */

static void reset(void)
{
    in.len = out.len = said.len = 0;
}

static void drain_ws(struct lp2p_ws *ws)
{
    uint8_t part[LP2P_WS_DRAIN_MAX];
    put(&said, part, lp2p_ws_drain(ws, part, sizeof(part), 0));
}

static void assert_event(struct lp2p_ws *ws, enum lp2p_ws_event_kind kind, enum lp2p_err reason, unsigned code)
{
    struct lp2p_ws_event event;
    lp2p_ws_next(ws, &event);
    assert_int_equal(event.kind, kind);
    assert_int_equal(event.reason, reason);
    assert_int_equal(event.code, code);
    lp2p_ws_next(ws, &event);
    assert_int_equal(event.kind, LP2P_WS_NONE); /* told once */
}

static void assert_counts_up(const struct bytes *bytes, size_t at, size_t len, uint8_t first)
{
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(bytes->at[at + i], (uint8_t)(first + i));
    }
}

/* Messages of every form of length, fragmented, with control frames between: one stream of bytes, however it is cut. */
static void test_websocket_frames_are_one_stream_in_any_cutting(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 3, 5, 7, 13, 14, 15, 16, 125, 1000, 65536, SIZE_MAX / 2};
    for (int client = 0; client < 2; client++) {
        bool peer_is_client = client == 0;
        for (size_t k = 0; k < 2 * LP2P_ARRAY_LEN(pieces); k++) {
            struct lp2p_ws ws;
            reset();
            init_ws(&ws, client);
            put_frame(&in, peer_is_client, (struct frame){.opcode = BINARY, .len = 1, .first = 1});
            put_frame(&in, peer_is_client, (struct frame){.opcode = BINARY, .len = 125, .first = 2});
            put_frame(&in, peer_is_client, (struct frame){.opcode = TEXT, .len = 126, .first = 3});
            put_frame(&in, peer_is_client, (struct frame){.opcode = BINARY}); /* empty */
            put_frame(&in, peer_is_client, (struct frame){.opcode = BINARY, .len = 300, .first = 4, .unfinished = true});
            put_frame(&in, peer_is_client, (struct frame){.opcode = PING, .len = 3, .text = "abc"});
            put_frame(&in, peer_is_client, (struct frame){.len = 0, .unfinished = true});
            put_frame(&in, peer_is_client, (struct frame){.opcode = PONG, .len = 125});
            put_frame(&in, peer_is_client, (struct frame){.len = 5, .first = 5});
            put_frame(&in, peer_is_client, (struct frame){.opcode = BINARY, .len = 70000, .first = 6});
            enum lp2p_err err = feed_ws(&ws, &in, pieces[k / 2], k % 2 == 0, &out);
            assert_int_equal(err, LP2P_OK);
            assert_int_equal(out.len, 1 + 125 + 126 + 300 + 5 + 70000);
            assert_counts_up(&out, 0, 1, 1);
            assert_counts_up(&out, 1, 125, 2);
            assert_counts_up(&out, 126, 126, 3);
            assert_counts_up(&out, 252, 300, 4);
            assert_counts_up(&out, 552, 5, 5);
            assert_counts_up(&out, 557, 70000, 6);
            assert_event(&ws, LP2P_WS_NONE, LP2P_OK, 0);
            assert_false(lp2p_ws_in_frame(&ws));
            drain_ws(&ws);
            assert_int_equal(said.len, client ? 2 + 4 + 3 : 2 + 3);
            assert_int_equal(said.at[0], 0x8a);
            assert_int_equal(said.at[1], client ? 0x83 : 3);
            if (!client) {
                assert_memory_equal(said.at + 2, "abc", 3);
            }
            assert_null(ws.control); /* between frames nothing is held */
            assert_null(ws.pong);
            lp2p_ws_fini(&ws);
        }
    }
}

static void test_websocket_broken_rules(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct frame before[1];
        bool has_before;
        struct frame frame;
    } cases[] = {
        {.what = "masking", .frame = {.opcode = BINARY, .len = 4, .unmasked_by_client = true}},
        {.what = "masking of control", .frame = {.opcode = PING, .unmasked_by_client = true}},
        {.what = "first reserved bit", .frame = {.opcode = BINARY, .len = 4, .rsv = 4}},
        {.what = "second reserved bit", .frame = {.opcode = BINARY, .len = 4, .rsv = 2}},
        {.what = "third reserved bit", .frame = {.opcode = BINARY, .len = 4, .rsv = 1}},
        {.what = "reserved opcode 3", .frame = {.opcode = 3, .len = 4}},
        {.what = "reserved opcode 7", .frame = {.opcode = 7}},
        {.what = "reserved opcode 11", .frame = {.opcode = 11}},
        {.what = "reserved opcode 15", .frame = {.opcode = 15, .len = 9}},
        {.what = "fragmented ping", .frame = {.opcode = PING, .len = 2, .unfinished = true}},
        {.what = "fragmented close", .frame = {.opcode = CLOSE, .unfinished = true}},
        {.what = "control frame of 126 bytes", .frame = {.opcode = PING, .len = 126}},
        {.what = "close frame of 1000 bytes", .frame = {.opcode = CLOSE, .len = 1000}},
        {.what = "continuation of nothing", .frame = {.opcode = 0, .len = 3}},
        {.what = "length not in its shortest form, 2", .frame = {.opcode = BINARY, .len = 5, .length_form = 2}},
        {.what = "length not in its shortest form, 8", .frame = {.opcode = BINARY, .len = 500, .length_form = 8}},
        {.what = "close code of one byte", .frame = {.opcode = CLOSE, .len = 1}},
        {.what = "close code 999", .frame = {.opcode = CLOSE, .len = 2, .text = "\x03\xe7"}},
        {.what = "close code 1005", .frame = {.opcode = CLOSE, .len = 2, .text = "\x03\xed"}},
        {.what = "close code 1006", .frame = {.opcode = CLOSE, .len = 2, .text = "\x03\xee"}},
        {.what = "close code 2999", .frame = {.opcode = CLOSE, .len = 2, .text = "\x0b\xb7"}},
        {.what = "close code 5000", .frame = {.opcode = CLOSE, .len = 2, .text = "\x13\x88"}},
        {.what = "a message inside a message",
         .has_before = true,
         .before = {{.opcode = BINARY, .len = 2, .first = 1, .unfinished = true}},
         .frame = {.opcode = TEXT, .len = 3}},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        for (int client = 0; client < 2; client++) {
            for (size_t piece = 1; piece < 2000; piece += 1999 / 3) {
                struct lp2p_ws ws;
                reset();
                init_ws(&ws, client);
                put_frame(&in, !client, (struct frame){.opcode = BINARY, .len = 6, .first = 10});
                if (cases[i].has_before) {
                    put_frame(&in, !client, cases[i].before[0]);
                }
                put_frame(&in, !client, cases[i].frame);
                put_frame(&in, !client, (struct frame){.opcode = BINARY, .len = 6, .first = 20});
                assert_int_equal(feed_ws(&ws, &in, piece, true, &out), LP2P_EPROTO);
                /* What came before counts, what follows does not. */
                assert_int_equal(out.len, cases[i].has_before ? 8 : 6);
                assert_counts_up(&out, 0, 6, 10);
                assert_event(&ws, LP2P_WS_FAILED, LP2P_EPROTO, 0);
                drain_ws(&ws);
                assert_int_equal(said.len, client ? 8 : 4); /* a close frame with 1002 */
                assert_int_equal(said.at[0], 0x88);
                if (!client) {
                    assert_memory_equal(said.at + 2, "\x03\xea", 2);
                }
                lp2p_ws_fini(&ws);
            }
        }
    }
}

/* 64-bit lengths: the top bit is refused, anything below is a stream that nobody has to hold. */
static void test_websocket_huge_frames_stream(void **state)
{
    (void)state;
    struct lp2p_ws ws;
    uint8_t byte;
    size_t got;
    reset();
    init_ws(&ws, true);
    const uint8_t top_bit[] = {0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 'x'};
    assert_int_equal(lp2p_ws_feed(&ws, lp2p_span(top_bit, sizeof(top_bit)), out.at, &got, 0), LP2P_EPROTO);
    lp2p_ws_fini(&ws);
    init_ws(&ws, true);
    ws.message_max = UINT64_MAX;
    const uint8_t huge[] = {0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    assert_int_equal(lp2p_ws_feed(&ws, lp2p_span(huge, sizeof(huge)), out.at, &got, 0), LP2P_OK);
    for (int i = 0; i < 100000; i++) {
        uint8_t x = (uint8_t)i;
        assert_int_equal(lp2p_ws_feed(&ws, lp2p_span(&x, 1), &byte, &got, 0), LP2P_OK);
        assert_true(got == 1 && byte == x);
    }
    assert_true(lp2p_ws_in_frame(&ws));
    assert_null(ws.control);
    lp2p_ws_fini(&ws);
}

/* A thousand pings in one read: one answer, to the last. */
/* One byte more than a message may have, in one frame and in fragments; at the limit, and without it, the same is taken. */
static void test_websocket_message_size_is_bounded(void **state)
{
    (void)state;
    for (int fragments = 1; fragments <= 4; fragments += 3) {
        for (int excess = 0; excess < 3; excess++) {
            struct lp2p_ws ws;
            reset();
            init_ws(&ws, false);
            ws.message_max = excess == 2 ? UINT64_MAX : 4000;
            put_frame(&in, true, (struct frame){.opcode = BINARY, .len = 4000}); /* one before it does not count */
            for (int i = 0; i < fragments; i++) {
                size_t len = (size_t)4000 / (size_t)fragments + (i == fragments - 1 && excess > 0 ? 1 : 0);
                put_frame(&in, true, (struct frame){.opcode = i == 0 ? BINARY : 0, .len = len, .unfinished = i < fragments - 1});
            }
            enum lp2p_err err = feed_ws(&ws, &in, 1000, true, &out);
            assert_int_equal(err, excess == 1 ? LP2P_EOVERSIZE : LP2P_OK);
            drain_ws(&ws);
            if (excess == 1) {
                assert_event(&ws, LP2P_WS_FAILED, LP2P_EOVERSIZE, 0);
                assert_int_equal(said.len, 4);
                assert_int_equal(said.at[2] << 8 | said.at[3], LP2P_WS_TOO_BIG);
            }
            lp2p_ws_fini(&ws);
        }
    }
}

static void test_websocket_ping_flood_is_answered_once(void **state)
{
    (void)state;
    struct lp2p_ws ws;
    reset();
    init_ws(&ws, false);
    for (int i = 0; i < 1000; i++) {
        put_frame(&in, true, (struct frame){.opcode = PING, .len = 125, .first = (uint8_t)i});
    }
    assert_int_equal(feed_ws(&ws, &in, SIZE_MAX / 2, true, &out), LP2P_OK);
    assert_int_equal(out.len, 0);
    drain_ws(&ws);
    assert_int_equal(said.len, 127);
    assert_counts_up(&said, 2, 125, (uint8_t)999);
    drain_ws(&ws);
    assert_int_equal(said.len, 127);
    lp2p_ws_fini(&ws);
}

static void test_websocket_close_codes(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        size_t len;
        unsigned code;
        enum lp2p_err reason;
    } cases[] = {
        {"", 0, LP2P_WS_NO_STATUS, LP2P_EEOF},
        {"\x03\xe8", 2, 1000, LP2P_EEOF},
        {"\x03\xe8" "bye", 5, 1000, LP2P_EEOF},
        {"\x03\xe9", 2, 1001, LP2P_ECONNRESET},
        {"\x03\xea", 2, 1002, LP2P_ECONNRESET},
        {"\x03\xf3", 2, 1011, LP2P_ECONNRESET},
        {"\x0b\xb8", 2, 3000, LP2P_ECONNRESET},
        {"\x13\x87", 2, 4999, LP2P_ECONNRESET},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_ws ws;
        reset();
        init_ws(&ws, false);
        put_frame(&in, true, (struct frame){.opcode = BINARY, .len = 2, .text = "hi"});
        put_frame(&in, true, (struct frame){.opcode = CLOSE, .len = cases[i].len, .text = cases[i].payload});
        put_frame(&in, true, (struct frame){.opcode = BINARY, .len = 2, .text = "no"}); /* behind the end */
        assert_int_equal(feed_ws(&ws, &in, 3, true, &out), LP2P_OK);
        assert_int_equal(out.len, 2);
        assert_event(&ws, LP2P_WS_CLOSED, cases[i].reason, cases[i].code);
        drain_ws(&ws); /* the same code back */
        assert_int_equal(said.len, cases[i].len == 0 ? 2 : 4);
        assert_memory_equal(said.at + 2, cases[i].payload, said.len - 2);
        lp2p_ws_close(&ws, LP2P_WS_NORMAL); /* said already */
        drain_ws(&ws);
        assert_int_equal(said.len, cases[i].len == 0 ? 2 : 4);
        lp2p_ws_fini(&ws);
    }
    /* We close first: the peer's answer is not answered. */
    struct lp2p_ws ws;
    reset();
    init_ws(&ws, false);
    lp2p_ws_close(&ws, LP2P_WS_NORMAL);
    lp2p_ws_close(&ws, LP2P_WS_GOING_AWAY);
    drain_ws(&ws);
    assert_int_equal(said.len, 4);
    assert_memory_equal(said.at, "\x88\x02\x03\xe8", 4);
    put_frame(&in, true, (struct frame){.opcode = PING, .len = 2, .text = "yo"});
    put_frame(&in, true, (struct frame){.opcode = CLOSE, .len = 2, .text = "\x03\xe8"});
    assert_int_equal(feed_ws(&ws, &in, 1, true, &out), LP2P_OK);
    assert_event(&ws, LP2P_WS_CLOSED, LP2P_EEOF, 1000);
    drain_ws(&ws);
    assert_int_equal(said.len, 4);
    lp2p_ws_fini(&ws);
}

/* ---- wslay as the other side */

static size_t wslay_at;
static struct bytes wslay_got;

static ssize_t wslay_recv(wslay_event_context_ptr context, uint8_t *buf, size_t len, int flags, void *user)
{
    (void)flags, (void)user;
    size_t part = LP2P_MIN(len, said.len - wslay_at);
    if (part == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, said.at + wslay_at, part);
    wslay_at += part;
    return (ssize_t)part;
}

static void wslay_message(wslay_event_context_ptr context, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    (void)context, (void)user;
    if (arg->opcode == WSLAY_BINARY_FRAME) {
        put(&wslay_got, arg->msg, arg->msg_length);
    }
}

static void test_websocket_another_implementation_reads_what_we_say(void **state)
{
    (void)state;
    static const struct wslay_event_callbacks callbacks = {.recv_callback = wslay_recv,
                                                           .on_msg_recv_callback = wslay_message};
    static const size_t sizes[] = {1, 125, 126, 65535, LP2P_WS_MESSAGE_MAX};
    static uint8_t payload[LP2P_WS_MESSAGE_MAX];
    for (int client = 0; client < 2; client++) {
        struct lp2p_ws ws;
        uint8_t header[LP2P_WS_HEADER_MAX], key[4] = {0}, last_key[4] = {0};
        size_t total = 0;
        reset();
        wslay_got.len = wslay_at = 0;
        init_ws(&ws, client);
        for (size_t i = 0; i < LP2P_ARRAY_LEN(sizes); i++) {
            for (size_t k = 0; k < sizes[i]; k++) {
                payload[k] = (uint8_t)(total + k);
            }
            put(&said, header, lp2p_ws_header(&ws, sizes[i], header, key));
            assert_true(!client || memcmp(key, last_key, 4) != 0); /* each message has a mask of its own */
            memcpy(last_key, key, 4);
            lp2p_ws_mask(key, 0, payload, payload, sizes[i]);
            put(&said, payload, sizes[i]);
            total += sizes[i];
        }
        lp2p_ws_close(&ws, LP2P_WS_NORMAL);
        drain_ws(&ws);
        wslay_event_context_ptr peer;
        int made = client ? wslay_event_context_server_init(&peer, &callbacks, NULL)
                          : wslay_event_context_client_init(&peer, &callbacks, NULL);
        assert_int_equal(made, 0);
        assert_int_equal(wslay_event_recv(peer), 0);
        assert_int_equal(wslay_event_get_status_code_received(peer), 1000);
        assert_int_equal(wslay_got.len, total);
        assert_counts_up(&wslay_got, 0, total, 0);
        wslay_event_context_free(peer);
        lp2p_ws_fini(&ws);
    }
}

/* Masking at every place of the key and alignment, apart and in place, also when the parts overlap as in a read. */
static void test_websocket_mask(void **state)
{
    (void)state;
    static const uint8_t key[4] = {1, 2, 3, 4};
    uint8_t from[96], to[96];
    for (size_t len = 0; len < 40; len++) {
        for (size_t shift = 0; shift < 20; shift++) {
            for (size_t at = 0; at < 4; at++) {
                for (size_t i = 0; i < sizeof(from); i++) {
                    from[i] = to[i] = (uint8_t)(i * 7);
                }
                lp2p_ws_mask(key, at, to + shift, to, len); /* moves down by `shift` */
                for (size_t i = 0; i < len; i++) {
                    assert_int_equal(to[i], from[i + shift] ^ key[(at + i) % 4]);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_websocket_frames_are_one_stream_in_any_cutting),
        cmocka_unit_test(test_websocket_broken_rules),
        cmocka_unit_test(test_websocket_huge_frames_stream),
        cmocka_unit_test(test_websocket_message_size_is_bounded),
        cmocka_unit_test(test_websocket_ping_flood_is_answered_once),
        cmocka_unit_test(test_websocket_close_codes),
        cmocka_unit_test(test_websocket_another_implementation_reads_what_we_say),
        cmocka_unit_test(test_websocket_mask),
    };
    return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
