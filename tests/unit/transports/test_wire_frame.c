/* SPDX-License-Identifier: MIT
 * The frame reader: any cutting of the input gives the same messages; lengths are bounded before memory is
 * taken. */
#include "wire/frame.h"

#include "base/rand.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const size_t sizes[] = {0, 1, 127, 128, 3000, 0, 5, 20000, 2};
#define MESSAGES (sizeof(sizes) / sizeof(sizes[0]))

static size_t write_all(uint8_t *out)
{
    size_t at = 0;
    for (size_t i = 0; i < MESSAGES; i++) {
        at += lp2p_frame_prefix(out + at, sizes[i]);
        memset(out + at, (int)i + 1, sizes[i]);
        at += sizes[i];
    }
    return at;
}

static void assert_message(struct lp2p_span message, size_t i)
{
    assert_int_equal(message.len, sizes[i]);
    for (size_t k = 0; k < message.len; k++) {
        assert_int_equal(message.ptr[k], i + 1);
    }
}

/* Feeds the bytes in random pieces of at most `piece`; each piece lies in memory of its own, so that an
 * over-read is seen. */
static void read_in_pieces(const uint8_t *bytes, size_t len, size_t piece, struct lp2p_rand *rand)
{
    struct lp2p_frame_reader reader;
    lp2p_frame_reader_init(&reader, 20000);
    size_t at = 0, got = 0;
    while (at < len) {
        size_t size = 1 + lp2p_rand_below(rand, piece);
        size = size < len - at ? size : len - at;
        struct lp2p_span part = vectors_copy(lp2p_span(bytes + at, size)), rest = part, message;
        for (;;) {
            enum lp2p_err err = lp2p_frame_read(&reader, &rest, &message);
            if (err == LP2P_EAGAIN) {
                break;
            }
            assert_int_equal(err, LP2P_OK);
            assert_true(got < MESSAGES);
            assert_message(message, got++);
            assert_true(lp2p_frame_reader_idle(&reader));
        }
        assert_int_equal(rest.len, 0);
        at += size;
        vectors_free(part);
    }
    assert_int_equal(got, MESSAGES);
    assert_true(lp2p_frame_reader_idle(&reader));
    assert_null(reader.body);
    lp2p_frame_reader_fini(&reader);
}

static void test_frame_any_pieces(void **state)
{
    (void)state;
    static uint8_t bytes[32768];
    size_t len = write_all(bytes);
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 3);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    for (size_t piece = 1; piece <= len; piece = piece * 2 + 1) {
        read_in_pieces(bytes, len, piece, &rand);
    }
    read_in_pieces(bytes, len, len, &rand);
}

static void test_frame_whole_message_is_not_copied(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {3, 'a', 'b', 'c', 1, 'd'};
    struct lp2p_frame_reader reader;
    lp2p_frame_reader_init(&reader, 3);
    struct lp2p_span in = lp2p_span(bytes, sizeof(bytes)), message;
    assert_int_equal(lp2p_frame_read(&reader, &in, &message), LP2P_OK);
    assert_ptr_equal(message.ptr, bytes + 1);
    assert_int_equal(in.len, 2); /* the next message is left alone */
    assert_null(reader.body);
    lp2p_frame_reader_fini(&reader);
}

static void test_frame_limits(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum lp2p_err want;
    } cases[] = {
        {"81088000", LP2P_EOVERSIZE},
        {"ffffffffffffffff7f", LP2P_EOVERSIZE},
        {"ffffffffffffffffff01", LP2P_EMALFORMED},
        {"8000", LP2P_EMALFORMED},
        {"800800", LP2P_EAGAIN},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lp2p_frame_reader reader;
        lp2p_frame_reader_init(&reader, 1024);
        struct lp2p_span bytes = vectors_hex_text(cases[i].hex), in = bytes, message;
        assert_int_equal(lp2p_frame_read(&reader, &in, &message), cases[i].want);
        if (cases[i].want != LP2P_EAGAIN) { /* an error is final */
            in = lp2p_span_str("\x01x");
            assert_int_equal(lp2p_frame_read(&reader, &in, &message), cases[i].want);
            assert_false(lp2p_frame_reader_idle(&reader));
        }
        lp2p_frame_reader_fini(&reader);
        vectors_free(bytes);
    }
}

/* A peer that declares 1 MiB and sends one byte must not cost 1 MiB. */
static void test_frame_memory_follows_bytes(void **state)
{
    (void)state;
    struct lp2p_frame_reader reader;
    lp2p_frame_reader_init(&reader, 1 << 20);
    uint8_t prefix[9];
    struct lp2p_span in = lp2p_span(prefix, lp2p_frame_prefix(prefix, 1 << 20)), message;
    assert_int_equal(lp2p_frame_read(&reader, &in, &message), LP2P_EAGAIN);
    assert_null(reader.body);
    in = lp2p_span_str("x");
    assert_int_equal(lp2p_frame_read(&reader, &in, &message), LP2P_EAGAIN);
    assert_true(reader.body_cap <= 512);
    assert_false(lp2p_frame_reader_idle(&reader));
    lp2p_frame_reader_fini(&reader);
    in = lp2p_span_str("x");
    assert_int_equal(lp2p_frame_read(&reader, &in, &message), LP2P_ECLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_any_pieces),
        cmocka_unit_test(test_frame_whole_message_is_not_copied),
        cmocka_unit_test(test_frame_limits),
        cmocka_unit_test(test_frame_memory_follows_bytes),
    };
    return cmocka_run_group_tests_name("wire frame", tests, NULL, NULL);
}
