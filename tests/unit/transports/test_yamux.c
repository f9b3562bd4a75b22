/* SPDX-License-Identifier: MIT
 * The yamux machine: frames and verdicts by hand-written bytes, life of streams, go-away, limits against floods. */
#include "mux_end.h"
#include "yamux/session.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define GO_AWAY_1 "000300000000000000000001"

static const struct lp2p_mux_config no_pings = {.keepalive_ns = LP2P_NEVER};

static void start(struct mux_end *end, bool initiator)
{
    end_init(end, &lp2p_yamux_ops, &no_pings, initiator);
}

/* Vectors. */

static void feed_vector_frame(struct mux_end *end, yyjson_val *frame, const struct lp2p_yamux_header *header)
{
    struct lp2p_span bytes = vectors_hex(frame, "hex");
    static const uint8_t body[64];
    (void)end_feed(end, bytes.ptr, bytes.len);
    if (header->type == LP2P_YAMUX_DATA) {
        (void)end_feed(end, body, header->length);
    }
    vectors_free(bytes);
}

static void test_yamux_vector_frames(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("yamux-frames.json");
    size_t i, max;
    yyjson_val *frame;
    yyjson_arr_foreach(vectors_array(doc, "frames"), i, max, frame)
    {
        struct lp2p_span bytes = vectors_hex(frame, "hex");
        struct lp2p_yamux_header header;
        uint8_t again[LP2P_YAMUX_HEADER];
        assert_int_equal(bytes.len, LP2P_YAMUX_HEADER);
        lp2p_yamux_header_get(bytes.ptr, &header);
        lp2p_yamux_header_put(again, &header);
        assert_memory_equal(again, bytes.ptr, sizeof(again));
        bool valid = vectors_flag(frame, "valid");
        if (valid) {
            assert_int_equal(header.type, vectors_u64(frame, "type"));
            assert_int_equal(header.flags, vectors_u64(frame, "flags"));
            assert_int_equal(header.id, vectors_u64(frame, "stream_id"));
            assert_int_equal(header.length, vectors_u64(frame, "length"));
        }
        struct mux_end end;
        start(&end, header.id % 2 == 0); /* the side that may receive a SYN with this id */
        feed_vector_frame(&end, frame, &header);
        const char *events = end_events(&end, false);
        assert_int_equal(valid, strstr(events, "EVERSION") == NULL && strstr(events, "EPROTO") == NULL);
        end_fini(&end);
        vectors_free(bytes);
    }
    yyjson_doc_free(doc);
}

/** Feeds the transcript's frames of one side to a session of the other side. */
static void feed_transcript(struct mux_end *end, yyjson_doc *doc, const char *side)
{
    size_t i, max;
    yyjson_val *step;
    yyjson_arr_foreach(vectors_array(doc, "transcript"), i, max, step)
    {
        if (strcmp(vectors_str(step, "side"), side) == 0) {
            assert_int_equal(end_feed_hex(end, vectors_str(step, "hex")), LP2P_OK);
        }
    }
}

static void test_yamux_vector_transcript(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("yamux-frames.json");
    struct mux_end end;
    uint64_t stream;
    start(&end, false);
    feed_transcript(&end, doc, "dialer");
    assert_string_equal(end_events(&end, true), "opened 1; data 1 20; eof 1");
    assert_string_equal(end_output(&end), "000100020000000100000000");
    assert_int_equal(end.ops->close_write(end.mux, 1), LP2P_OK);
    assert_string_equal(end_output(&end), "000100040000000100000000");
    assert_string_equal(end_events(&end, true), "closed 1");
    end_fini(&end);

    start(&end, true);
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
    assert_string_equal(end_output(&end), "000100010000000100000000");
    feed_transcript(&end, doc, "listener");
    assert_string_equal(end_events(&end, true), "data 1 20; eof 1");
    end_fini(&end);
    yyjson_doc_free(doc);
}

/* The table of verdicts. Streams of the remote initiator are odd; the session under test is the responder. */

struct verdict {
    const char *name, *hex, *events;
};

static const struct verdict verdicts[] = {
    /* Ends the session. */
    {"version 1", "010000000000000100000000", "EVERSION 0"},
    {"type 4", "000400000000000100000000", "EPROTO 0"},
    {"type 255", "00ff00000000000100000000", "EPROTO 0"},
    {"data with id 0", "000000000000000000000000", "EPROTO 0"},
    {"update with id 0", "000100010000000000000000", "EPROTO 0"},
    {"SYN of our parity", "000100010000000200000000", "EPROTO 0"},
    {"data SYN of our parity", "000000010000000400000000", "EPROTO 0"},
    {"SYN twice", "000100010000000100000000" "000100010000000100000000", "opened 1; EPROTO 0"},
    {"SYN of an open stream on data", "000100010000000100000000" "000000010000000100000000", "opened 1; EPROTO 0"},
    {"first data beyond the window", "000000010000000100040001", "ECREDIT 0"},
    {"data beyond the window", "000100010000000100000000" "000000000000000100040001", "opened 1; ECREDIT 0"},
    {"credit over 2^32-1", "000100010000000100000000" "0001000000000001fffc0000", "opened 1; EPROTO 0"},
    {"credit over 2^32-1 with SYN", "0001000100000001fffc0000", "EPROTO 0"},
    {"data for nobody, longer than any window", "000000000000000901000001", "ECREDIT 0"},
    /* Is no fault. */
    {"credit up to 2^32-1", "000100010000000100000000" "0001000000000001fffbffff", "opened 1"},
    {"SYN with credit", "0001000100000001fffbffff", "opened 1"},
    {"data for nobody", "000000000000000900000003" "616263" "000100010000000100000000", "opened 1"},
    {"update for nobody", "000100000000000900000003" "000100010000000100000000", "opened 1"},
    {"end and reset for nobody", "000100040000000900000000" "000100080000000900000000", ""},
    {"update for nobody of our parity", "000100000000000800000003", ""},
    {"reset: its length is a code and no credit", "000100010000000100000000" "0001000800000001ffffffff",
     "opened 1; reset 1 4294967295"},
    {"reset twice", "000100010000000100000000" "000100080000000100000000" "000100080000000100000000", "opened 1; reset 1 0"},
    {"reset on data, with a body", "000100010000000100000000" "000000080000000100000002" "6162" "000100010000000300000000",
     "opened 1; reset 1 0; opened 2"},
    {"SYN and RST at once", "000100090000000100000000" "000000090000000300000001" "61", ""},
    {"data with everything", "000000050000000100000002" "6162", "opened 1; data 1 2; eof 1"},
    {"end twice", "000100050000000100000000" "000100040000000100000000" "000000040000000100000000", "opened 1; eof 1"},
    {"data behind the end", "000100050000000100000000" "000000000000000100000002" "6162" "000100010000000300000000",
     "opened 1; eof 1; opened 2"},
    {"credit behind the end", "000100050000000100000000" "000100000000000100000002", "opened 1; eof 1"},
    {"unknown flag bits", "000180f10000000100000000", "opened 1"},
    {"empty data", "000100010000000100000000" "000000000000000100000000", "opened 1"},
    {"answer to no ping", "000200020000000000000007", ""},
    {"ping without a flag", "000200000000000000000007", ""},
    {"go-away", "000300000000000000000002" "000100010000000100000000", "goaway 2"},
    {"go-away with open streams", "000100010000000100000000" "000300000000000000000000" "000000000000000100000001" "61",
     "opened 1; goaway 0"},
};

static bool is_failure(const char *events)
{
    return strstr(events, "E") != NULL;
}

static void test_yamux_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(verdicts); i++) {
        struct mux_end end;
        start(&end, false);
        (void)end_feed_hex(&end, verdicts[i].hex);
        const char *events = end_events(&end, false);
        if (strcmp(events, verdicts[i].events) != 0) {
            fail_msg("%s: %s", verdicts[i].name, events);
        }
        if (is_failure(verdicts[i].events)) {
            /* One go-away, and then silence for good. */
            uint64_t stream;
            assert_string_equal(end_output(&end), GO_AWAY_1);
            assert_string_equal(end_output(&end), "");
            assert_int_not_equal(end_feed_hex(&end, "000200010000000000000007"), LP2P_OK);
            assert_string_equal(end_events(&end, false), "");
            assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_ECLOSED);
            assert_int_equal(end.ops->deadline(end.mux), LP2P_NEVER);
        }
        end_fini(&end);
    }
}

/** However the bytes are cut, the same things happen; and every beginning of it does no harm. */
static void test_yamux_any_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(verdicts); i++) {
        struct lp2p_span bytes = vectors_hex_text(verdicts[i].hex);
        for (size_t cut = 0; cut <= bytes.len; cut++) {
            struct mux_end end;
            start(&end, false);
            (void)end_feed(&end, bytes.ptr, cut);
            char first[512];
            snprintf(first, sizeof(first), "%s", end_events(&end, false));
            assert_true(strlen(first) <= strlen(verdicts[i].events) + 12);
            end_fini(&end);
        }
        struct mux_end end;
        start(&end, false);
        for (size_t at = 0; at < bytes.len; at++) {
            (void)end_feed(&end, bytes.ptr + at, 1); /* without asking for events in between */
        }
        const char *expected = verdicts[i].events, *events = end_events(&end, false);
        if (strstr(expected, "data 1 2") != NULL) {
            expected = "opened 1; data 1 1; data 1 1; eof 1";
        }
        assert_string_equal(events, expected);
        end_fini(&end);
        vectors_free(bytes);
    }
}

static void test_yamux_pings_are_answered(void **state)
{
    (void)state;
    struct mux_end end;
    start(&end, true);
    assert_int_equal(end_feed_hex(&end, "000200010000000000000064"), LP2P_OK);
    assert_string_equal(end_output(&end), "000200020000000000000064");
    for (int i = 0; i < 40; i++) {
        assert_int_equal(end_feed_hex(&end, "0002000100000000000000aa"), LP2P_OK);
    }
    assert_int_equal(strlen(end_output(&end)), 2 * LP2P_YAMUX_HEADER * LP2P_YAMUX_PONGS_MAX);
    assert_string_equal(end_output(&end), "");
    end_fini(&end);
}

/* Streams. */

static void test_yamux_open_without_data(void **state)
{
    (void)state;
    struct mux_end end;
    uint64_t a, b;
    start(&end, false);
    assert_int_equal(end.ops->open(end.mux, end.now, &a), LP2P_OK);
    assert_int_equal(end.ops->open(end.mux, end.now, &b), LP2P_OK);
    assert_int_not_equal(a, b);
    assert_string_equal(end_output(&end), "000100010000000200000000" "000100010000000400000000");
    assert_string_equal(end_output(&end), "");
    end_fini(&end);
}

/** SYN and ACK ride on data; FIN does not, because js-libp2p loses the bytes of a frame with FIN. */
static void test_yamux_flags_ride(void **state)
{
    (void)state;
    struct mux_end end;
    uint64_t stream;
    start(&end, true);
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
    assert_int_equal(end_write(&end, stream, "hello", 5), LP2P_OK);
    assert_int_equal(end_write(&end, stream, " there", 6), LP2P_OK);
    assert_int_equal(end_stats(&end).queued_bytes, 11);
    assert_int_equal(end.ops->close_write(end.mux, stream), LP2P_OK);
    assert_int_equal(end.ops->close_write(end.mux, stream), LP2P_OK);
    assert_int_equal(end_write(&end, stream, "x", 1), LP2P_ESTATE);
    assert_string_equal(end_output(&end), "00000001000000010000000b" "68656c6c6f207468657265"
                                          "000100040000000100000000");
    assert_string_equal(end_events(&end, true), "writable 1 11");
    assert_int_equal(end_stats(&end).queued_bytes, 0);
    assert_int_equal(end_feed_hex(&end, "000000060000000100000001" "61"), LP2P_OK);
    assert_string_equal(end_events(&end, true), "data 1 1; eof 1; closed 1");
    assert_int_equal(end.ops->reset(end.mux, stream, 0), LP2P_ENOTFOUND);
    assert_int_equal(end.ops->consumed(end.mux, stream, 1, end.now), LP2P_ENOTFOUND);
    end_fini(&end);

    start(&end, false);
    assert_int_equal(end_feed_hex(&end, "000000010000000100000001" "61"), LP2P_OK);
    assert_string_equal(end_events(&end, true), "opened 1; data 1 1");
    assert_int_equal(end_write(&end, 1, "b", 1), LP2P_OK);
    assert_string_equal(end_output(&end), "000000020000000100000001" "62");
    end_fini(&end);
}

static void test_yamux_half_close(void **state)
{
    (void)state;
    struct mux_end a, b;
    uint64_t stream;
    start(&a, true);
    start(&b, false);
    assert_int_equal(a.ops->open(a.mux, a.now, &stream), LP2P_OK);
    assert_int_equal(a.ops->close_write(a.mux, stream), LP2P_OK);
    assert_int_equal(end_carry(&a, &b, 1000), LP2P_YAMUX_HEADER);
    assert_string_equal(end_events(&b, true), "opened 1; eof 1");
    assert_int_equal(end_write(&b, 1, "answer", 6), LP2P_OK);
    end_carry(&b, &a, 1000);
    assert_string_equal(end_events(&a, true), "data 1 6");
    assert_int_equal(b.ops->close_write(b.mux, 1), LP2P_OK);
    end_carry(&b, &a, 1000);
    assert_string_equal(end_events(&a, true), "eof 1; closed 1");
    assert_string_equal(end_events(&b, true), "writable 1 6; closed 1");
    assert_int_equal(end_stats(&a).streams_out + end_stats(&b).streams_in, 0);
    assert_int_equal(end_stats(&a).window_bytes + end_stats(&b).window_bytes, 0);
    end_fini(&a);
    end_fini(&b);
}

static void test_yamux_local_reset(void **state)
{
    (void)state;
    struct mux_end end;
    uint64_t stream;
    start(&end, true);
    /* Never announced: nothing to take back. */
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
    assert_int_equal(end.ops->reset(end.mux, stream, 7), LP2P_OK);
    assert_string_equal(end_events(&end, true), "closed 1");
    assert_string_equal(end_output(&end), "");
    /* In the middle of a body and with data queued: both are dropped, and late frames are no fault. */
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
    assert_string_equal(end_output(&end), "000100010000000300000000");
    assert_int_equal(end_write(&end, stream, "lost", 4), LP2P_OK);
    assert_int_equal(end_feed_hex(&end, "000000020000000300000004" "6162"), LP2P_OK);
    assert_string_equal(end_events(&end, true), "data 2 2");
    assert_int_equal(end.ops->reset(end.mux, stream, 0x1001), LP2P_OK);
    assert_int_equal(end.ops->reset(end.mux, stream, 0x1001), LP2P_ENOTFOUND);
    assert_int_equal(end_stats(&end).queued_bytes, 0);
    assert_string_equal(end_output(&end), "000100080000000300001001");
    assert_int_equal(end_feed_hex(&end, "6364" "000000000000000300000001" "65" "000100040000000300000000"), LP2P_OK);
    assert_string_equal(end_events(&end, true), "closed 2");
    assert_int_equal(end_stats(&end).resets_out, 2);
    end_fini(&end);
}

/** Bodies are handed over as parts of the slab that was fed. */
static void test_yamux_no_copy(void **state)
{
    (void)state;
    static const uint8_t wire[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 'a', 'b', 'c', 'd'};
    struct mux_end end;
    struct lp2p_mux_event event;
    start(&end, false);
    struct lp2p_slice slab = lp2p_slice_copy(wire, sizeof(wire));
    assert_int_equal(end.ops->feed(end.mux, &slab, end.now), LP2P_OK);
    end.ops->next(end.mux, &event);
    assert_int_equal(event.kind, LP2P_MUX_STREAM_OPENED);
    end.ops->next(end.mux, &event);
    assert_int_equal(event.kind, LP2P_MUX_STREAM_DATA);
    assert_ptr_equal(event.data.buf, slab.buf);
    assert_ptr_equal(event.data.ptr, slab.ptr + LP2P_YAMUX_HEADER);
    lp2p_slice_drop(&event.data);
    assert_true(lp2p_buf_alone(slab.buf)); /* the session holds nothing back */
    lp2p_slice_drop(&slab);
    end_fini(&end);
}

static void test_yamux_go_away(void **state)
{
    (void)state;
    struct mux_end a, b;
    uint64_t stream;
    start(&a, true);
    start(&b, false);
    assert_int_equal(a.ops->open(a.mux, a.now, &stream), LP2P_OK);
    assert_int_equal(end_feed_hex(&a, "000100010000000200000000"), LP2P_OK);
    assert_string_equal(end_events(&a, true), "opened 2");
    a.ops->go_away(a.mux, 0);
    a.ops->go_away(a.mux, 5); /* the first stands */
    assert_int_equal(a.ops->open(a.mux, a.now, &stream), LP2P_ECLOSED);
    assert_int_equal(end_feed_hex(&a, "000100010000000400000000"), LP2P_OK);
    assert_string_equal(end_output(&a), "000300000000000000000000" "000100080000000400000000"
                                        "000100010000000100000000" "000100020000000200000000");
    assert_int_equal(end_feed_hex(&b, "000300000000000000000000"), LP2P_OK);
    assert_string_equal(end_events(&b, true), "goaway 0");
    assert_string_equal(end_output(&b), "");
    assert_int_equal(b.ops->open(b.mux, b.now, &stream), LP2P_ECLOSED);
    end_fini(&a);
    end_fini(&b);
}

static void test_yamux_ids_end(void **state)
{
    (void)state;
    struct mux_end end;
    uint64_t stream;
    start(&end, true);
    lp2p_yamux_of(end.mux)->next_id = LP2P_YAMUX_ID_MAX;
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
    assert_string_equal(end_output(&end), "000100017fffffff00000000");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_ELIMIT);
    }
    assert_string_equal(end_output(&end), "");
    end_fini(&end);
}

/* Floods. */

static void feed_frame(struct mux_end *end, unsigned type, unsigned flags, uint32_t id, uint32_t length)
{
    uint8_t bytes[LP2P_YAMUX_HEADER];
    struct lp2p_yamux_header header = {0, (uint8_t)type, (uint16_t)flags, id, length};
    lp2p_yamux_header_put(bytes, &header);
    (void)end_feed(end, bytes, sizeof(bytes));
}

static void test_yamux_streams_in_limit(void **state)
{
    (void)state;
    struct mux_end end;
    struct lp2p_mux_config config = {.keepalive_ns = LP2P_NEVER, .streams_in_max = 3, .streams_out_max = 2};
    uint64_t stream;
    end_init(&end, &lp2p_yamux_ops, &config, false);
    for (uint32_t id = 1; id <= 9; id += 2) {
        feed_frame(&end, LP2P_YAMUX_WINDOW_UPDATE, LP2P_YAMUX_SYN, id, 0);
    }
    /* A refused first data frame: its body is thrown away. */
    assert_int_equal(end_feed_hex(&end, "000000010000000b00000002" "6162"), LP2P_OK);
    assert_string_equal(end_events(&end, true), "opened 1; opened 2; opened 3");
    assert_string_equal(end_output(&end), "000100080000000700000000" "000100080000000900000000" "000100080000000b00000000"
                                          "000100020000000100000000" "000100020000000300000000" "000100020000000500000000");
    assert_int_equal(end_stats(&end).refused_in, 3);
    assert_int_equal(end_stats(&end).streams_in, 3);
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_OK);
    assert_int_equal(end.ops->open(end.mux, end.now, &stream), LP2P_ELIMIT);
    /* Nine more fill the budget of twelve; the thirteenth is a flood. Time forgives. */
    for (uint32_t id = 21; id < 21 + 18; id += 2) {
        feed_frame(&end, LP2P_YAMUX_WINDOW_UPDATE, LP2P_YAMUX_SYN, id, 0);
    }
    assert_string_equal(end_events(&end, true), "");
    end.now += LP2P_SEC(10);
    for (uint32_t id = 101; id < 101 + 24; id += 2) {
        feed_frame(&end, LP2P_YAMUX_WINDOW_UPDATE, LP2P_YAMUX_SYN, id, 0);
    }
    assert_string_equal(end_events(&end, true), "");
    feed_frame(&end, LP2P_YAMUX_WINDOW_UPDATE, LP2P_YAMUX_SYN, 201, 0);
    assert_string_equal(end_events(&end, true), "EFLOOD 0");
    assert_string_equal(end_output(&end), GO_AWAY_1);
    end_fini(&end);
}

static void test_yamux_rapid_reset(void **state)
{
    (void)state;
    struct mux_end end;
    for (int slow = 0; slow < 2; slow++) {
        uint32_t id = 1;
        bool failed = false;
        start(&end, false);
        for (int i = 0; i < 1000 && !failed; i++, id += 2) {
            feed_frame(&end, LP2P_YAMUX_WINDOW_UPDATE, LP2P_YAMUX_SYN, id, 0);
            end.now += slow != 0 ? LP2P_SEC(1) : 0;
            feed_frame(&end, LP2P_YAMUX_WINDOW_UPDATE, LP2P_YAMUX_RST, id, 0);
            failed = strstr(end_events(&end, true), "EFLOOD") != NULL;
        }
        assert_int_equal(failed, slow == 0);
        assert_int_equal(end_stats(&end).resets_in, slow != 0 ? 1000 : LP2P_MUX_RAPID_RESETS_MAX + 1);
        assert_int_equal(end_stats(&end).streams_in, 0);
        end_fini(&end);
    }
}

static void test_yamux_frames_without_effect(void **state)
{
    (void)state;
    static const struct {
        unsigned type, flags;
        uint32_t id;
    } kinds[] = {{LP2P_YAMUX_WINDOW_UPDATE, 0, 1}, {LP2P_YAMUX_DATA, 0, 1}, {LP2P_YAMUX_DATA, 0, 9},
                 {LP2P_YAMUX_WINDOW_UPDATE, 8, 9}, {LP2P_YAMUX_PING, 1, 0}, {LP2P_YAMUX_PING, 2, 0}};
    struct lp2p_mux_config config = {.keepalive_ns = LP2P_NEVER, .noop_frames_max = 100};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kinds); i++) {
        struct mux_end end;
        end_init(&end, &lp2p_yamux_ops, &config, false);
        feed_frame(&end, LP2P_YAMUX_WINDOW_UPDATE, LP2P_YAMUX_SYN, 1, 0);
        (void)end_events(&end, true);
        for (int k = 0; k < 200; k++) {
            end.now += k == 100 ? LP2P_SEC(1) : 0;
            feed_frame(&end, kinds[i].type, kinds[i].flags, kinds[i].id, 0);
        }
        assert_string_equal(end_events(&end, true), "");
        feed_frame(&end, kinds[i].type, kinds[i].flags, kinds[i].id, 0);
        assert_string_equal(end_events(&end, true), "EFLOOD 0");
        end_fini(&end);
    }
}

/** Resets that nobody drains do not pile up without end. */
static void test_yamux_reset_queue_is_bounded(void **state)
{
    (void)state;
    struct mux_end end;
    uint32_t id = 1;
    bool failed = false;
    start(&end, false);
    for (int i = 0; i < 2 * LP2P_MUX_RESETS_MAX && !failed; i++, id += 2) {
        struct lp2p_mux_event event;
        feed_frame(&end, LP2P_YAMUX_WINDOW_UPDATE, LP2P_YAMUX_SYN, id, 0);
        end.ops->next(end.mux, &event);
        failed = event.kind == LP2P_MUX_FAILED;
        if (!failed) {
            assert_int_equal(end.ops->reset(end.mux, event.stream, 0), LP2P_OK);
            failed = strstr(end_events(&end, true), "EFLOOD") != NULL;
        }
    }
    assert_true(failed);
    assert_int_equal(end.mux->resets.len, LP2P_MUX_RESETS_MAX);
    end_fini(&end);
}

/* Memory. mallinfo2 sees nothing under a sanitizer's allocator; leaks are seen there instead. */

static void test_yamux_thousand_streams_leave_nothing(void **state)
{
    (void)state;
    static struct mux_end a, b;
    start(&a, true);
    start(&b, false);
    size_t before = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t stream;
        before = i == 100 ? mallinfo2().uordblks : before; /* the allocator's own caches are warm */
        assert_int_equal(a.ops->open(a.mux, a.now, &stream), LP2P_OK);
        assert_int_equal(end_write(&a, stream, "ping", 4), LP2P_OK);
        assert_int_equal(a.ops->close_write(a.mux, stream), LP2P_OK);
        end_carry(&a, &b, 1000);
        (void)end_events(&b, true);
        uint64_t theirs = (uint64_t)i + 1;
        if (i % 5 == 0) {
            assert_int_equal(b.ops->reset(b.mux, theirs, 0), LP2P_OK);
        } else {
            assert_int_equal(end_write(&b, theirs, "pong", 4), LP2P_OK);
            assert_int_equal(b.ops->close_write(b.mux, theirs), LP2P_OK);
        }
        end_carry(&b, &a, 1000);
        (void)end_events(&a, true);
        (void)end_events(&b, true);
        assert_int_equal(end_stats(&a).streams_out + end_stats(&b).streams_in, 0);
    }
    assert_int_equal(end_stats(&a).opened_out, 1000);
    assert_int_equal(end_stats(&b).opened_in, 1000);
    assert_null(a.mux->by_key.entries);
    assert_null(b.mux->by_handle.entries);
    assert_int_equal(a.mux->in.cap + b.mux->in.cap, 0);
    assert_true(mallinfo2().uordblks <= before);
    end_fini(&a);
    end_fini(&b);
}

static void test_yamux_idle_stream_is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct lp2p_yamux_stream) <= 248);
    assert_true(sizeof(struct lp2p_yamux) <= 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yamux_vector_frames),
        cmocka_unit_test(test_yamux_vector_transcript),
        cmocka_unit_test(test_yamux_verdicts),
        cmocka_unit_test(test_yamux_any_cut),
        cmocka_unit_test(test_yamux_pings_are_answered),
        cmocka_unit_test(test_yamux_open_without_data),
        cmocka_unit_test(test_yamux_flags_ride),
        cmocka_unit_test(test_yamux_half_close),
        cmocka_unit_test(test_yamux_local_reset),
        cmocka_unit_test(test_yamux_no_copy),
        cmocka_unit_test(test_yamux_go_away),
        cmocka_unit_test(test_yamux_ids_end),
        cmocka_unit_test(test_yamux_streams_in_limit),
        cmocka_unit_test(test_yamux_rapid_reset),
        cmocka_unit_test(test_yamux_frames_without_effect),
        cmocka_unit_test(test_yamux_reset_queue_is_bounded),
        cmocka_unit_test(test_yamux_thousand_streams_leave_nothing),
        cmocka_unit_test(test_yamux_idle_stream_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
