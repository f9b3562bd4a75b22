/* SPDX-License-Identifier: MIT
 * Streams of the user: reading, writing, half close, reset, backpressure, descriptors, and what is left
 * behind. */
#include "kit.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL "/test/stream/1.0.0"

/* The side that takes streams: keeps each for the test. */
struct taker {
    struct kit_count taken;
    pthread_mutex_t lock;
    struct lp2p_stream *streams[2048];
};

static struct lp2p_node *a, *b;
static struct taker taker;

static void take(void *user, struct lp2p_node *node, struct lp2p_stream *stream)
{
    (void)node;
    struct taker *it = user;
    pthread_mutex_lock(&it->lock);
    it->streams[it->taken.value] = stream;
    pthread_mutex_unlock(&it->lock);
    kit_count_up(&it->taken);
}

static enum lp2p_err no_message(void *user, struct lp2p_node *node, const struct lp2p_message *message,
                                const char *peer)
{
    (void)user, (void)node, (void)message, (void)peer;
    return LP2P_OK;
}

static int setup(void **state)
{
    (void)state;
    taker = (struct taker){.lock = PTHREAD_MUTEX_INITIALIZER};
    a = kit_node();
    b = kit_node();
    struct lp2p_handler handler = {.size = sizeof(handler),
                                   .name = "streams",
                                   .stream_protocol = PROTOCOL,
                                   .user = &taker,
                                   .handle_message = no_message,
                                   .handle_stream = take};
    if (lp2p_node_register(b, &handler) != LP2P_OK) {
        return -1;
    }
    kit_connect(a, b);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lp2p_node_free(a);
    lp2p_node_free(b);
    return 0;
}

/* An open stream with both ends. */
static struct lp2p_stream *open_pair(struct lp2p_stream **other)
{
    int before = kit_count_get(&taker.taken);
    struct lp2p_stream *stream = kit_open(a, b, PROTOCOL);
    kit_count_wait(&taker.taken, before + 1, "the stream is handed over");
    pthread_mutex_lock(&taker.lock);
    *other = taker.streams[before];
    pthread_mutex_unlock(&taker.lock);
    return stream;
}

static void write_text(struct lp2p_stream *stream, const char *text)
{
    size_t put = 0;
    assert_int_equal(lp2p_stream_write(stream, text, strlen(text), KIT_WAIT_MS, &put), LP2P_OK);
    assert_int_equal(put, strlen(text));
}

static void read_text(struct lp2p_stream *stream, const char *expected)
{
    char text[256];
    size_t len = 0;
    while (len < strlen(expected)) {
        size_t got = 0;
        assert_int_equal(lp2p_stream_read(stream, text + len, strlen(expected) - len, KIT_WAIT_MS, &got),
                         LP2P_OK);
        assert_true(got > 0);
        len += got;
    }
    assert_memory_equal(text, expected, len);
}

static void read_end(struct lp2p_stream *stream)
{
    char byte;
    size_t got = 1;
    assert_int_equal(lp2p_stream_read(stream, &byte, 1, KIT_WAIT_MS, &got), LP2P_OK);
    assert_int_equal(got, 0);
}

static void test_streams_both_ways(void **state)
{
    (void)state;
    struct lp2p_stream *there, *here = open_pair(&there);
    assert_string_equal(lp2p_stream_peer(here), lp2p_node_peer_id(b));
    assert_string_equal(lp2p_stream_peer(there), lp2p_node_peer_id(a));
    assert_string_equal(lp2p_stream_protocol(there), PROTOCOL);
    write_text(here, "hello");
    read_text(there, "hello");
    write_text(there, "and back");
    read_text(here, "and back");
    assert_int_equal(lp2p_stream_close_write(here), LP2P_OK);
    assert_int_equal(lp2p_stream_close_write(here), LP2P_OK);
    size_t n = 0;
    assert_int_equal(lp2p_stream_write(here, "x", 1, 0, &n), LP2P_ESTATE);
    read_end(there);
    read_end(there); /* as often as one asks */
    write_text(there, "the other half is open");
    read_text(here, "the other half is open");
    assert_int_equal(lp2p_stream_close_write(there), LP2P_OK);
    read_end(here);
    lp2p_stream_free(here);
    lp2p_stream_free(there);
    lp2p_stream_free(NULL);
}

static void test_streams_not_ready(void **state)
{
    (void)state;
    struct lp2p_stream *there, *here = open_pair(&there);
    char byte;
    size_t got = 7;
    assert_int_equal(lp2p_stream_read(here, &byte, 1, 0, &got), LP2P_EAGAIN);
    assert_int_equal(got, 0);
    assert_int_equal(lp2p_stream_read(here, &byte, 1, 20, &got), LP2P_ETIMEDOUT);
    assert_int_equal(lp2p_stream_read(here, &byte, 0, 0, &got), LP2P_EINVAL);
    assert_int_equal(lp2p_stream_read(NULL, &byte, 1, 0, &got), LP2P_EINVAL);
    assert_int_equal(lp2p_stream_write(here, "", 0, 0, &got), LP2P_OK);
    lp2p_stream_free(here);
    lp2p_stream_free(there);
}

static void test_streams_no_protocol(void **state)
{
    (void)state;
    const char *none = "/nobody/1.0.0", *two[] = {"/nobody/1.0.0", PROTOCOL};
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_stream_open(a, lp2p_node_peer_id(b), &none, 1, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_ENEGOTIATION);
    assert_non_null(strstr(lp2p_op_detail(op), none));
    assert_null(lp2p_op_stream(op));
    lp2p_op_free(op);
    assert_int_equal(lp2p_stream_open(a, lp2p_node_peer_id(b), two, 2, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    struct lp2p_stream *stream = lp2p_op_stream(op);
    assert_non_null(stream);
    assert_string_equal(lp2p_stream_protocol(stream), PROTOCOL); /* the first that the peer speaks */
    lp2p_op_free(op);
    lp2p_stream_free(stream);
    assert_int_equal(lp2p_stream_open(a, lp2p_node_peer_id(b), two, 2, &op), LP2P_OK);
    lp2p_op_free(op); /* nobody fetches the stream: it is reset */
    kit_count_wait(&taker.taken, 2, "both streams");
    char byte;
    size_t got = 0;
    assert_int_equal(lp2p_stream_read(taker.streams[1], &byte, 1, KIT_WAIT_MS, &got), LP2P_ERESET);
    lp2p_stream_free(taker.streams[0]);
    lp2p_stream_free(taker.streams[1]);
}

/* Until nothing is taken for a while: what the peer does not read is not taken for ever. */
static size_t fill(struct lp2p_stream *stream, size_t least)
{
    static uint8_t block[65536];
    size_t total = 0;
    for (;;) {
        size_t put = 0;
        enum lp2p_err err = lp2p_stream_write(stream, block, sizeof(block), 300, &put);
        total += put;
        assert_true(total < 16u << 20);
        if (err == LP2P_ETIMEDOUT && put == 0 && total >= least) {
            return total;
        }
        assert_true(err == LP2P_OK || err == LP2P_ETIMEDOUT);
    }
}

static void test_streams_backpressure(void **state)
{
    (void)state;
    struct lp2p_stream *there, *here = open_pair(&there);
    size_t total = fill(here, 256 * 1024 /* a window; more lies on the way */), got = 0, put = 0;
    struct pollfd pfd = {.fd = lp2p_stream_fd(here), .events = POLLIN};
    enum lp2p_err err;
    /* On a busy machine room may come after the while. */
    while ((err = lp2p_stream_write(here, "x", 1, 0, &put)) == LP2P_OK || poll(&pfd, 1, 0) != 0) {
        assert_true(err == LP2P_OK || err == LP2P_EAGAIN);
        total += put + fill(here, 0);
        assert_true(total < 16u << 20);
    }
    assert_int_equal(err, LP2P_EAGAIN);
    assert_int_equal(put, 0);
    size_t read = 0;
    uint8_t *block = malloc(65536);
    while (read < total) { /* reading gives credit */
        assert_int_equal(lp2p_stream_read(there, block, 65536, KIT_WAIT_MS, &got), LP2P_OK);
        assert_true(got > 0);
        read += got;
    }
    free(block);
    assert_int_equal(poll(&pfd, 1, KIT_WAIT_MS), 1); /* writable again */
    write_text(here, "more");
    read_text(there, "more");
    struct lp2p_op *op = NULL; /* another stream was never held up */
    assert_int_equal(lp2p_node_ping(a, lp2p_node_peer_id(b), &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_OK);
    lp2p_stream_free(here);
    lp2p_stream_free(there);
}

static void test_streams_fd(void **state)
{
    (void)state;
    struct lp2p_stream *there, *here = open_pair(&there);
    struct pollfd pfd = {.fd = lp2p_stream_fd(there), .events = POLLIN};
    char text[16];
    size_t got = 0;
    assert_int_equal(poll(&pfd, 1, 0), 0);
    write_text(here, "ab");
    assert_int_equal(poll(&pfd, 1, KIT_WAIT_MS), 1);
    assert_int_equal(lp2p_stream_read(there, text, 1, 0, &got), LP2P_OK);
    assert_int_equal(poll(&pfd, 1, 0), 1); /* one byte is left */
    assert_int_equal(lp2p_stream_read(there, text, 1, 0, &got), LP2P_OK);
    assert_int_equal(poll(&pfd, 1, 0), 0);
    assert_int_equal(lp2p_stream_close_write(here), LP2P_OK);
    assert_int_equal(poll(&pfd, 1, KIT_WAIT_MS), 1);
    read_end(there);
    assert_int_equal(poll(&pfd, 1, 0), 0);
    lp2p_stream_reset(here);
    assert_int_equal(poll(&pfd, 1, KIT_WAIT_MS), 1);
    lp2p_stream_free(here);
    lp2p_stream_free(there);
}

static void test_streams_reset(void **state)
{
    (void)state;
    struct lp2p_stream *there, *here = open_pair(&there);
    write_text(here, "lost, perhaps");
    lp2p_stream_reset(here);
    lp2p_stream_reset(here);
    char byte;
    size_t n = 0;
    assert_int_equal(lp2p_stream_read(here, &byte, 1, 0, &n), LP2P_ECLOSED);
    assert_int_equal(lp2p_stream_write(here, "x", 1, 0, &n), LP2P_ECLOSED);
    enum lp2p_err err;
    do { /* what had arrived may be read first */
        err = lp2p_stream_read(there, &byte, 1, KIT_WAIT_MS, &n);
    } while (err == LP2P_OK && n > 0);
    assert_int_equal(err, LP2P_ERESET);
    assert_int_equal(lp2p_stream_write(there, "x", 1, 0, &n), LP2P_ERESET);
    lp2p_stream_free(here);
    lp2p_stream_free(there);
}

static void test_streams_freed_with_data(void **state)
{
    (void)state;
    struct lp2p_stream *there, *here = open_pair(&there);
    write_text(here, "never read");
    struct pollfd pfd = {.fd = lp2p_stream_fd(there), .events = POLLIN};
    assert_int_equal(poll(&pfd, 1, KIT_WAIT_MS), 1);
    lp2p_stream_free(there);
    char byte;
    size_t got = 0;
    assert_int_equal(lp2p_stream_read(here, &byte, 1, KIT_WAIT_MS, &got), LP2P_ERESET); /* the peer is told */
    lp2p_stream_free(here);
    here = open_pair(&there);
    lp2p_stream_free(there); /* nothing was lost so far */
    read_end(here);
    write_text(here, "thrown away");
    assert_int_equal(lp2p_stream_read(here, &byte, 1, 0, &got), LP2P_OK);
    lp2p_stream_free(here);
}

static void *blocked_read(void *arg)
{
    char byte;
    size_t got = 0;
    enum lp2p_err *err = arg;
    struct lp2p_stream *stream = taker.streams[0];
    *err = lp2p_stream_read(stream, &byte, 1, -1, &got);
    return NULL;
}

static void test_streams_node_stops(void **state)
{
    (void)state;
    struct lp2p_stream *there, *here = open_pair(&there);
    enum lp2p_err err = LP2P_OK;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, blocked_read, &err), 0);
    assert_int_equal(lp2p_node_stop(b), LP2P_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(err, LP2P_ECLOSED);
    char byte;
    size_t got = 0;
    assert_int_not_equal(lp2p_stream_read(here, &byte, 1, KIT_WAIT_MS, &got),
                         LP2P_ETIMEDOUT); /* the connection is gone */
    lp2p_node_free(b);
    b = NULL;
    lp2p_stream_free(there); /* after its node, and harmless */
    lp2p_stream_free(here);
}

/* ---- a handler that reads and writes in its callback: the data comes although the protocol's actor is busy
 */

static void echo(void *user, struct lp2p_node *node, struct lp2p_stream *stream)
{
    (void)user;
    (void)node;
    uint8_t block[8192];
    size_t got = 0, put = 0;
    while (lp2p_stream_read(stream, block, sizeof(block), -1, &got) == LP2P_OK && got > 0 &&
           lp2p_stream_write(stream, block, got, -1, &put) == LP2P_OK) {
    }
    (void)lp2p_stream_close_write(stream);
    lp2p_stream_free(stream);
}

static void *write_all(void *arg)
{
    struct lp2p_stream *stream = arg;
    uint8_t block[1000];
    for (unsigned i = 0; i < 3000; i++) {
        size_t put = 0;
        memset(block, (int)(i & 0xff), sizeof(block));
        if (lp2p_stream_write(stream, block, sizeof(block), -1, &put) != LP2P_OK) {
            return NULL;
        }
    }
    (void)lp2p_stream_close_write(stream);
    return NULL;
}

static void test_streams_blocking_handler(void **state)
{
    (void)state;
    struct lp2p_handler handler = {.size = sizeof(handler),
                                   .name = "echo",
                                   .stream_protocol = "/test/echo/1.0.0",
                                   .handle_message = no_message,
                                   .handle_stream = echo};
    assert_int_equal(lp2p_node_register(b, &handler), LP2P_OK);
    for (int round = 0; round < 3; round++) {
        struct lp2p_stream *stream = kit_open(a, b, "/test/echo/1.0.0");
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, write_all, stream), 0);
        size_t total = 0, got = 0;
        uint8_t block[3000];
        do {
            assert_int_equal(lp2p_stream_read(stream, block, sizeof(block), KIT_WAIT_MS, &got), LP2P_OK);
            for (size_t i = 0; i < got; i++) {
                assert_int_equal(block[i], (total + i) / 1000 & 0xff);
            }
            total += got;
        } while (got > 0);
        assert_int_equal(total, 3000000);
        assert_int_equal(pthread_join(thread, NULL), 0);
        lp2p_stream_free(stream);
    }
}

static void test_streams_one_byte_at_a_time(void **state)
{
    (void)state;
    struct lp2p_stream *there, *here = open_pair(&there);
    for (unsigned i = 0; i < 20000; i++) { /* more messages than a mailbox holds */
        size_t put = 0;
        uint8_t byte = (uint8_t)(i * 7);
        assert_int_equal(lp2p_stream_write(here, &byte, 1, KIT_WAIT_MS, &put), LP2P_OK);
    }
    assert_int_equal(lp2p_stream_close_write(here), LP2P_OK);
    size_t total = 0, got = 0;
    uint8_t block[777];
    do {
        assert_int_equal(lp2p_stream_read(there, block, sizeof(block), KIT_WAIT_MS, &got), LP2P_OK);
        for (size_t i = 0; i < got; i++) {
            assert_int_equal(block[i], (uint8_t)((total + i) * 7));
        }
        total += got;
    } while (got > 0);
    assert_int_equal(total, 20000);
    lp2p_stream_free(here);
    lp2p_stream_free(there);
}

static bool none_left(void *arg)
{
    struct lp2p_stats stats;
    return lp2p_node_stats(arg, &stats) == LP2P_OK && stats.streams == 0;
}

static void test_streams_a_thousand(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) { /* one after the other: none leaks */
        struct lp2p_stream *there, *here = open_pair(&there);
        write_text(here, "x");
        read_text(there, "x");
        lp2p_stream_free(here);
        lp2p_stream_free(there);
    }
    kit_until(none_left, a, "no stream is left open at the dialer");
    kit_until(none_left, b, "no stream is left open at the listener");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_streams_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_not_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_no_protocol, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_backpressure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_fd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_freed_with_data, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_node_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_blocking_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_one_byte_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams_a_thousand, setup, teardown),
    };
    return cmocka_run_group_tests_name("api_streams", tests, NULL, NULL);
}
