/* SPDX-License-Identifier: MIT
 * Memory that runs out at the n-th request, for every n: a machine refuses or ends with a reason, and nothing
 * is lost or used twice (the sanitizer lane sees that). The program is linked so that requests pass through
 * here. */
#include "mplex/session.h"
#include "mux_end.h"
#include "noise_side.h"
#include "yamux/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

/** Requests that still succeed; negative: all. Counts only while a machine is being called. */
static long left = -1;
static bool hit;

static bool fails(void)
{
    if (left < 0) {
        return false;
    }
    hit = hit || left == 0;
    return left-- == 0; /* only this one: the machine must live on with the hole */
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return fails() ? NULL : __real_realloc(ptr, size);
}

static void arm(long n)
{
    hit = false;
    left = n;
}

static long pause_counting(void)
{
    long was = left;
    left = -1;
    return was;
}

static void feed(const struct lp2p_mux_ops *ops, struct lp2p_mux *mux, const uint8_t *bytes, size_t len)
{
    long was = pause_counting();
    struct lp2p_slice slice = lp2p_slice_copy(bytes, len);
    left = was;
    enum lp2p_err err = ops->feed(mux, &slice, 0);
    assert_true(err == LP2P_OK || (hit && (err == LP2P_ENOMEM || err == LP2P_ECLOSED)));
    was = pause_counting();
    lp2p_slice_drop(&slice);
    left = was;
}

static void take_all(const struct lp2p_mux_ops *ops, struct lp2p_mux *mux, struct lp2p_mux *writer)
{
    struct lp2p_mux_event event;
    for (ops->next(mux, &event); event.kind != LP2P_MUX_NONE; ops->next(mux, &event)) {
        assert_true(event.kind != LP2P_MUX_FAILED || event.reason == LP2P_ENOMEM);
        lp2p_slice_drop(&event.data);
        if (event.kind == LP2P_MUX_STREAM_OPENED && writer == mux && event.stream % 3 == 0) {
            (void)ops->reset(mux, event.stream, 0);
        }
    }
}

static void mux_scenario(const struct lp2p_mux_ops *ops)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_mux *ends[2] = {ops->create(NULL, true, &rand, 0), ops->create(NULL, false, &rand, 0)};
    for (int i = 0; i < 12 && ends[0] != NULL && ends[1] != NULL; i++) {
        uint64_t stream;
        static uint8_t wire[4096];
        enum lp2p_err err = ops->open(ends[0], 0, &stream);
        for (int k = 0; k < 6 && err == LP2P_OK; k++) {
            long was = pause_counting();
            struct lp2p_slice slice = lp2p_slice_copy("hello", 5);
            left = was;
            (void)ops->write(ends[0], stream, &slice);
            lp2p_slice_drop(&slice); /* still ours when it was refused */
        }
        for (int from = 0; from < 2; from++) {
            size_t len = ops->drain(ends[from], wire, sizeof(wire), 0);
            feed(ops, ends[1 - from], wire, len);
            take_all(ops, ends[1 - from], ends[1]);
            take_all(ops, ends[from], ends[1]);
        }
    }
    pause_counting();
    ops->destroy(ends[0]);
    ops->destroy(ends[1]);
}

static void noise_scenario(struct side *a, struct side *b)
{
    uint8_t wire[512];
    struct side *sides[2] = {a, b};
    struct lp2p_rand ra = fixed_source(&a->ephemeral), rb = fixed_source(&b->ephemeral);
    a->noise = lp2p_noise_new(&a->identity, true, NULL, &ra);
    b->noise = lp2p_noise_new(&b->identity, false, NULL, &rb);
    for (int i = 0; i < 3 && a->noise != NULL && b->noise != NULL; i++) {
        size_t used, len = lp2p_noise_drain(sides[i % 2]->noise, wire, sizeof(wire), 0);
        enum lp2p_err err = lp2p_noise_feed(sides[1 - i % 2]->noise, lp2p_span(wire, len), 0, &used);
        assert_true(err == LP2P_OK || (hit && (err == LP2P_ENOMEM || err == LP2P_ESTATE)));
    }
    for (int i = 0; i < 2; i++) {
        struct lp2p_noise_event event = {0};
        if (sides[i]->noise != NULL) {
            lp2p_noise_next(sides[i]->noise, &event);
        }
        assert_true(hit || event.kind == LP2P_NOISE_ESTABLISHED);
        assert_true(event.kind != LP2P_NOISE_FAILED || event.reason == LP2P_ENOMEM);
    }
    pause_counting();
    lp2p_noise_free(a->noise);
    lp2p_noise_free(b->noise);
    a->noise = b->noise = NULL;
}

static void test_transports_nomem_mux(void **state)
{
    (void)state;
    const struct lp2p_mux_ops *all[] = {&lp2p_yamux_ops, &lp2p_mplex_ops};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(all); i++) {
        long n = 0;
        do {
            arm(n);
            mux_scenario(all[i]);
        } while (hit && n++ < 10000);
        assert_true(n > 40 && n < 10000);
    }
}

static void test_transports_nomem_noise(void **state)
{
    (void)state;
    static const char *const muxers[] = {"/yamux/1.0.0"};
    struct side a, b;
    side_init(&a, 1, muxers, 1);
    side_init(&b, 50, muxers, 1);
    long n = 0;
    do {
        arm(n);
        noise_scenario(&a, &b);
    } while (hit && n++ < 1000);
    assert_true(n > 8 && n < 1000);
    side_stop(&a);
    side_stop(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transports_nomem_mux),
        cmocka_unit_test(test_transports_nomem_noise),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
