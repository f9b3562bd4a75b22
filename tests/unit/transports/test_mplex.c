/* SPDX-License-Identifier: MIT
 * The mplex machine: vectors, verdicts by hand-written bytes, life of streams, limits. */
#include "mplex/session.h"
#include "mux_end.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void start(struct mux_end *end, bool initiator)
{
    end_init(end, &lp2p_mplex_ops, NULL, initiator);
}

/* Vectors. */

/** What a lone frame about a stream makes happen, when both streams of that number are open (1: theirs, 2: ours). */
static const char *event_of_flag(uint64_t flag, uint32_t body, char *out)
{
    const char *what[] = {"opened 3", "data 2 ", "data 1 ", "eof 2", "eof 1", "reset 2 0", "reset 1 0"};
    assert_true(flag < LP2P_ARRAY_LEN(what));
    bool data = flag == LP2P_MPLEX_MESSAGE_INITIATOR || flag == LP2P_MPLEX_MESSAGE_RECEIVER;
    if (data && body == 0) {
        return "";
    }
    sprintf(out, "%s", what[flag]);
    if (data) {
        sprintf(out + strlen(out), "%u", body);
    }
    return out;
}

/** Opens theirs and ours with the number, and then some, so that handles are 1 and 2. */
static void open_both(struct mux_end *end, uint64_t number)
{
    uint8_t frame[LP2P_MPLEX_HEADER_MAX];
    uint64_t stream;
    size_t len = lp2p_varint_put(frame, number << 3);
    frame[len++] = 0;
    (void)end_feed(end, frame, len);
    assert_string_equal(end_events(end, true), "opened 1");
    lp2p_mplex_of(end->mux)->next_number = number;
    assert_int_equal(end->ops->open(end->mux, end->now, &stream), LP2P_OK);
    (void)end_output(end);
}

static void test_mplex_vector_frames(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("mplex-frames.json");
    size_t i, max;
    yyjson_val *frame;
    yyjson_arr_foreach(vectors_array(doc, "frames"), i, max, frame)
    {
        struct mux_end end;
        char expected[64];
        uint64_t flag = vectors_u64(frame, "flag"), number = vectors_u64(frame, "id");
        const char *data = vectors_str(frame, "data_utf8");
        start(&end, false);
        open_both(&end, flag == LP2P_MPLEX_NEW_STREAM ? number + 1 : number);
        assert_int_equal(end_feed_hex(&end, vectors_str(frame, "hex")), LP2P_OK);
        assert_string_equal(end_events(&end, true), event_of_flag(flag, (uint32_t)strlen(data), expected));
        end_fini(&end);
    }
    yyjson_doc_free(doc);
}

/** What we write is what the vectors say. */
static void test_mplex_vector_output(void **state)
{
    (void)state;
    struct mux_end a, b;
    uint64_t stream;
    start(&a, true);
    start(&b, false);
    assert_int_equal(a.ops->open(a.mux, a.now, &stream), LP2P_OK);
    assert_string_equal(end_output(&a), "000130");
    assert_int_equal(end_feed_hex(&b, "000130"), LP2P_OK);
    assert_string_equal(end_events(&b, true), "opened 1");
    assert_int_equal(end_write(&a, stream, "hello", 5), LP2P_OK);
    assert_string_equal(end_output(&a), "020568656c6c6f");
    assert_int_equal(end_write(&b, 1, "world", 5), LP2P_OK);
    assert_string_equal(end_output(&b), "0105776f726c64");
    assert_int_equal(a.ops->close_write(a.mux, stream), LP2P_OK);
    assert_string_equal(end_output(&a), "0400");
    assert_int_equal(b.ops->close_write(b.mux, 1), LP2P_OK);
    assert_string_equal(end_output(&b), "0300");
    lp2p_mplex_of(a.mux)->next_number = 5;
    assert_int_equal(a.ops->open(a.mux, a.now, &stream), LP2P_OK);
    assert_string_equal(end_output(&a), "280135");
    assert_int_equal(a.ops->reset(a.mux, stream, 9), LP2P_OK);
    assert_string_equal(end_output(&a), "2e00");
    assert_int_equal(end_feed_hex(&b, "280135"), LP2P_OK);
    assert_string_equal(end_events(&b, true), "writable 1 5; opened 2");
    assert_int_equal(b.ops->reset(b.mux, 2, 9), LP2P_OK);
    assert_string_equal(end_output(&b), "2d00");
    end_fini(&a);
    end_fini(&b);
}

static void test_mplex_vector_buffers(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("mplex-frames.json");
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(vectors_array(doc, "buffers"), i, max, item)
    {
        struct mux_end end;
        start(&end, true);
        assert_int_equal(end_feed_hex(&end, vectors_str(item, "hex")), LP2P_OK);
        assert_string_equal(end_events(&end, true), "opened 1; opened 2; opened 3");
        size_t k, count;
        yyjson_val *message;
        yyjson_arr_foreach(vectors_get(item, "messages"), k, count, message)
        {
            assert_non_null(lp2p_mux_stream_by_key(end.mux, lp2p_mplex_key(vectors_u64(message, "id"), false)));
        }
        assert_int_equal(count, 3);
        end_fini(&end);
    }
    yyjson_arr_foreach(vectors_array(doc, "invalid"), i, max, item)
    {
        struct mux_end end;
        start(&end, true);
        assert_int_not_equal(end_feed_hex(&end, vectors_str(item, "hex")), LP2P_OK);
        const char *events = end_events(&end, true);
        assert_true(strcmp(events, "EOVERSIZE 0") == 0 || strcmp(events, "EPROTO 0") == 0);
        end_fini(&end);
    }
    yyjson_doc_free(doc);
}

/* Verdicts. */

static const struct {
    const char *name, *hex, *events;
} verdicts[] = {
    {"flag 7", "0700", "EPROTO 0"},
    {"message over 1 MiB", "02818040", "EOVERSIZE 0"},
    {"name over 1 MiB", "00818040", "EOVERSIZE 0"},
    {"message of 1 MiB to nobody", "02808040", ""},
    {"header varint too long", "808080808080808080", "EMALFORMED 0"},
    {"header varint not minimal", "820000", "EMALFORMED 0"},
    {"length varint too long", "02808080808080808080", "EMALFORMED 0"},
    {"length varint not minimal", "028000", "EMALFORMED 0"},
    {"largest number", "f8ffffffffffffff7f00", "opened 1"},
    {"new stream twice", "000130" "000130", "opened 1; EPROTO 0"},
    {"new stream again after a reset", "000130" "0600" "000130", "opened 1; reset 1 0; opened 2"},
    {"everything for nobody", "0101ff" "0201ff" "0300" "0400" "0500" "0600" "000130", "opened 1"},
    {"their flags do not reach our number space", "000130" "010161" "0300" "0500" "020161", "opened 1; data 1 1"},
    {"data behind the end", "000130" "0400" "020161" "080131", "opened 1; eof 1; opened 2"},
    {"end twice", "000130" "0400" "0400", "opened 1; eof 1"},
    {"empty message", "000130" "0200" "020161", "opened 1; data 1 1"},
    {"end and reset with a body", "000130" "04026162" "06026162" "080131", "opened 1; eof 1; reset 1 0; opened 2"},
    {"name that is no number", "0004c0ffee00" "020161", "opened 1; data 1 1"},
};

static void test_mplex_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(verdicts); i++) {
        struct lp2p_span bytes = vectors_hex_text(verdicts[i].hex);
        for (int by_byte = 0; by_byte < 2; by_byte++) {
            struct mux_end end;
            start(&end, false);
            for (size_t at = 0; at < bytes.len; at += by_byte != 0 ? 1 : bytes.len) {
                (void)end_feed(&end, bytes.ptr + at, by_byte != 0 ? 1 : bytes.len);
            }
            const char *events = end_events(&end, false);
            if (strcmp(events, verdicts[i].events) != 0) {
                fail_msg("%s: %s", verdicts[i].name, events);
            }
            if (strstr(events, "E") != NULL) {
                assert_string_equal(end_output(&end), ""); /* mplex has no way to say it */
                assert_int_not_equal(end_feed_hex(&end, "000130"), LP2P_OK);
            }
            end_fini(&end);
        }
        vectors_free(bytes);
    }
}

/* Streams and limits. */

static void test_mplex_close_follows_data(void **state)
{
    (void)state;
    struct mux_end end;
    uint64_t stream;
    start(&end, true);
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
    assert_int_equal(end_write(&end, stream, "a", 1), LP2P_OK);
    assert_int_equal(end_write(&end, stream, "b", 1), LP2P_OK);
    assert_int_equal(end.ops->close_write(end.mux, stream), LP2P_OK);
    assert_string_equal(end_output(&end), "000130" "02026162" "0400");
    assert_string_equal(end_events(&end, true), "writable 1 2");
    assert_int_equal(end_feed_hex(&end, "0300"), LP2P_OK);
    assert_string_equal(end_events(&end, true), "eof 1; closed 1");
    assert_int_equal(end.ops->deadline(end.mux), LP2P_NEVER);
    end_fini(&end);
}

/** A stream never sends data before its opening, even when the opening found no room. */
static void test_mplex_opening_comes_first(void **state)
{
    (void)state;
    struct mux_end a, b;
    start(&a, true);
    start(&b, false);
    for (int i = 0; i < 40; i++) {
        uint64_t stream;
        assert_int_equal(a.ops->open(a.mux, a.now, &stream), LP2P_OK);
        assert_int_equal(end_write(&a, stream, "payload", 7), LP2P_OK);
    }
    while (end_carry(&a, &b, 64) > 0) {
        (void)end_events(&a, true);
        (void)end_events(&b, true);
    }
    assert_int_equal(end_stats(&b).opened_in, 40);
    assert_int_equal(end_stats(&b).bytes_in, 40 * 7);
    end_fini(&a);
    end_fini(&b);
}

/** Who is not read loses the stream, and only it. */
static void test_mplex_slow_reader(void **state)
{
    (void)state;
    struct mux_end end;
    struct lp2p_mux_config config = {.stream_recv_max_bytes = 10};
    struct lp2p_mux_event event;
    end_init(&end, &lp2p_mplex_ops, &config, false);
    assert_int_equal(end_feed_hex(&end, "000130" "080131" "020661626364656" "6"), LP2P_OK);
    assert_string_equal(end_events(&end, false), "opened 1; opened 2; data 1 6");
    assert_int_equal(end.ops->consumed(end.mux, 1, 7, end.now), LP2P_EINVAL);
    assert_int_equal(end.ops->consumed(end.mux, 1, 1, end.now), LP2P_OK);
    assert_int_equal(end_feed_hex(&end, "02056162636465"), LP2P_OK);
    assert_string_equal(end_events(&end, false), "data 1 5");
    for (end.ops->next(end.mux, &event); event.kind == LP2P_MUX_NONE; end.ops->next(end.mux, &event)) {
        assert_int_equal(end_feed_hex(&end, "020161"), LP2P_OK);
    }
    assert_int_equal(event.kind, LP2P_MUX_STREAM_RESET);
    assert_int_equal(event.stream, 1);
    assert_int_equal(event.reason, LP2P_ELIMIT);
    assert_string_equal(end_output(&end), "0500");
    assert_int_equal(end_feed_hex(&end, "020161" "0a0162"), LP2P_OK);
    assert_string_equal(end_events(&end, true), "data 2 1");
    end_fini(&end);
}

static void test_mplex_limits(void **state)
{
    (void)state;
    struct mux_end end;
    struct lp2p_mux_config config = {.streams_in_max = 2, .streams_out_max = 1, .noop_frames_max = 50};
    uint64_t stream;
    end_init(&end, &lp2p_mplex_ops, &config, false);
    assert_int_equal(end_feed_hex(&end, "0000" "0800" "1000"), LP2P_OK);
    assert_string_equal(end_events(&end, true), "opened 1; opened 2");
    assert_string_equal(end_output(&end), "1500");
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_ELIMIT);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(end_feed_hex(&end, "1000"), LP2P_OK);
    }
    assert_int_equal(end_feed_hex(&end, "1000"), LP2P_EFLOOD);
    assert_string_equal(end_events(&end, true), "EFLOOD 0");
    end_fini(&end);

    end_init(&end, &lp2p_mplex_ops, &config, false);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(end_feed_hex(&end, "0600"), LP2P_OK);
    }
    assert_int_equal(end_feed_hex(&end, "0600"), LP2P_EFLOOD);
    end_fini(&end);

    start(&end, false);
    bool failed = false;
    for (int i = 0; i < 300 && !failed; i++) {
        (void)end_feed_hex(&end, "0000" "0600");
        failed = strstr(end_events(&end, true), "EFLOOD") != NULL;
    }
    assert_true(failed);
    assert_int_equal(end_stats(&end).resets_in, LP2P_MUX_RAPID_RESETS_MAX + 1);
    end_fini(&end);
}

static void test_mplex_go_away_is_silent(void **state)
{
    (void)state;
    struct mux_end end;
    uint64_t stream;
    start(&end, true);
    end.ops->go_away(end.mux, 0);
    assert_string_equal(end_output(&end), "");
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_ECLOSED);
    assert_int_equal(end_feed_hex(&end, "0000"), LP2P_OK);
    assert_string_equal(end_events(&end, true), "");
    assert_string_equal(end_output(&end), "0500");
    end_fini(&end);
}

static void test_mplex_thousand_streams_leave_nothing(void **state)
{
    (void)state;
    static struct mux_end a, b;
    start(&a, true);
    start(&b, false);
    size_t before = 0;
    for (uint64_t i = 1; i <= 1000; i++) {
        uint64_t stream;
        before = i == 100 ? mallinfo2().uordblks : before; /* the allocator's own caches are warm */
        assert_int_equal(a.ops->open(a.mux, a.now, &stream), LP2P_OK);
        assert_int_equal(end_write(&a, stream, "ping", 4), LP2P_OK);
        assert_int_equal(a.ops->close_write(a.mux, stream), LP2P_OK);
        end_carry(&a, &b, 1000);
        (void)end_events(&b, true);
        if (i % 5 == 0) {
            assert_int_equal(b.ops->reset(b.mux, i, 0), LP2P_OK);
        } else {
            assert_int_equal(end_write(&b, i, "pong", 4), LP2P_OK);
            assert_int_equal(b.ops->close_write(b.mux, i), LP2P_OK);
        }
        end_carry(&b, &a, 1000);
        (void)end_events(&a, true);
        (void)end_events(&b, true);
        assert_int_equal(end_stats(&a).streams_out + end_stats(&b).streams_in, 0);
    }
    assert_null(a.mux->by_key.entries);
    assert_null(b.mux->by_handle.entries);
    assert_true(mallinfo2().uordblks <= before); /* 0 under a sanitizer's allocator */
    end_fini(&a);
    end_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mplex_vector_frames),
        cmocka_unit_test(test_mplex_vector_output),
        cmocka_unit_test(test_mplex_vector_buffers),
        cmocka_unit_test(test_mplex_verdicts),
        cmocka_unit_test(test_mplex_close_follows_data),
        cmocka_unit_test(test_mplex_opening_comes_first),
        cmocka_unit_test(test_mplex_slow_reader),
        cmocka_unit_test(test_mplex_limits),
        cmocka_unit_test(test_mplex_go_away_is_silent),
        cmocka_unit_test(test_mplex_thousand_streams_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
