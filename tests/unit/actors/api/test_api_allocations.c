/* SPDX-License-Identifier: MIT
 * No allocation on the hot path: requests to the heap are counted in a process with two nodes, while bytes go
 * to and fro on streams that are open. Now and then a node does something else (a status, a timer's place),
 * so the quietest of some windows counts: what a message costs would be in each of them. */
#include "kit.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL "/test/echo/1.0.0"
#define WARM_UP 300
#define WINDOWS 12
#define EACH 40 /* round trips in a window */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static unsigned long requests; /* atomic */

static void request(void)
{
    __atomic_fetch_add(&requests, 1, __ATOMIC_RELAXED);
}

void *__wrap_malloc(size_t size)
{
    request();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    request();
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    request();
    return __real_realloc(ptr, size);
}

static struct lp2p_node *a, *b;
static bool careless; /* the handler of the test allocates for each message */

static void read_all(struct lp2p_stream *stream, void *out, size_t len)
{
    for (size_t have = 0, got = 0; have < len; have += got) {
        assert_int_equal(lp2p_stream_read(stream, (uint8_t *)out + have, len - have, KIT_WAIT_MS, &got),
                         LP2P_OK);
        assert_true(got > 0);
    }
}

static void *serve(void *arg)
{
    struct lp2p_stream *stream = arg;
    static uint8_t bytes[4096];
    size_t got = 0, put = 0;
    while (lp2p_stream_read(stream, bytes, sizeof(bytes), -1, &got) == LP2P_OK && got > 0) {
        if (__atomic_load_n(&careless, __ATOMIC_RELAXED)) {
            void *volatile wasted = malloc(got);
            free(wasted);
        }
        (void)lp2p_stream_write(stream, bytes, got, -1, &put);
    }
    lp2p_stream_free(stream);
    return NULL;
}

static void take(void *user, struct lp2p_node *node, struct lp2p_stream *stream)
{
    pthread_t thread;
    (void)user, (void)node;
    assert_int_equal(pthread_create(&thread, NULL, serve, stream), 0);
    (void)pthread_detach(thread);
}

static int setup(void **state)
{
    (void)state;
    struct lp2p_config *config = kit_config();
    if (lp2p_config_serve(config, "echo") != LP2P_OK ||
        lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0") != LP2P_OK) {
        return -1;
    }
    a = kit_node();
    b = kit_node_of(config);
    struct lp2p_handler handler = {
        .size = sizeof(handler), .name = "echo", .stream_protocol = PROTOCOL, .handle_stream = take};
    if (lp2p_node_register(b, &handler) != LP2P_OK) {
        return -1;
    }
    kit_start(b);
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

static void round_trips(struct lp2p_stream *stream, size_t size, unsigned count)
{
    static uint8_t out[65536], in[65536];
    size_t put = 0;
    assert_true(size <= sizeof(out));
    memset(out, 0x5a, size);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(lp2p_stream_write(stream, out, size, KIT_WAIT_MS, &put), LP2P_OK);
        assert_int_equal(put, size);
        read_all(stream, in, size);
        assert_memory_equal(in, out, size);
    }
}

/** Requests in the quietest window. */
static unsigned long quietest(const char *protocol, size_t size)
{
    struct lp2p_stream *stream = kit_open(a, b, protocol);
    unsigned long least = (unsigned long)-1;
    round_trips(stream, size, WARM_UP);
    for (int i = 0; i < WINDOWS; i++) {
        unsigned long before = __atomic_load_n(&requests, __ATOMIC_RELAXED);
        round_trips(stream, size, EACH);
        unsigned long taken = __atomic_load_n(&requests, __ATOMIC_RELAXED) - before;
        least = taken < least ? taken : least;
    }
    lp2p_stream_free(stream);
    return least;
}

static void test_allocations_ping(void **state)
{
    (void)state;
    assert_int_equal(quietest("/ipfs/ping/1.0.0", 32), 0);
}

static void test_allocations_echo_of_a_resident(void **state)
{
    (void)state;
    assert_int_equal(quietest("/echo/1.0.0", 128), 0);
}

static void test_allocations_full_frame(void **state)
{
    (void)state;
    assert_int_equal(quietest("/echo/1.0.0", 65000), 0);
}

static void test_allocations_protocol_on_its_thread(void **state)
{
    (void)state;
    assert_int_equal(quietest(PROTOCOL, 128), 0);
    __atomic_store_n(&careless, true, __ATOMIC_RELAXED); /* the count can see one */
    assert_true(quietest(PROTOCOL, 128) >= EACH);
    __atomic_store_n(&careless, false, __ATOMIC_RELAXED);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define POOLS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define POOLS 0
#endif
#endif
#ifndef POOLS
#define POOLS 1
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations_ping),
        cmocka_unit_test(test_allocations_echo_of_a_resident),
        cmocka_unit_test(test_allocations_full_frame),
        cmocka_unit_test(test_allocations_protocol_on_its_thread),
    };
    if (!POOLS) {
        puts("1..0 # SKIP the pools take all from the heap in this build");
        return 0;
    }
    return cmocka_run_group_tests_name("allocations", tests, setup, teardown);
}
