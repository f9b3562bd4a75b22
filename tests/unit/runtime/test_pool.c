/* SPDX-License-Identifier: MIT
 * Pools: what comes out is whole and alone, also after a long way through other threads; caches are bounded.
 */
#include "fixture.h"

#include "runtime/pool.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

struct filled {
    struct lp2p_msg msg;
    uint8_t bytes[900];
};
static const struct lp2p_msg_class BIG = {"BIG", sizeof(struct filled), LP2P_LANE_NORMAL, NULL, NULL};
static const struct lp2p_msg_class SMALL = {"SMALL", sizeof(struct lp2p_msg), LP2P_LANE_NORMAL, NULL, NULL};

static void test_pool_messages_are_zeroed(void **state)
{
    (void)state;
    static const struct filled zero;
    for (int i = 0; i < 1000; i++) {
        struct lp2p_msg *msg = lp2p_msg_new(&BIG);
        assert_non_null(msg);
        assert_ptr_equal(msg->cls, &BIG);
        assert_memory_equal(((struct filled *)(void *)msg)->bytes, zero.bytes, sizeof(zero.bytes));
        memset(((struct filled *)(void *)msg)->bytes, 0xa5, sizeof(zero.bytes));
        lp2p_msg_drop(&msg);
        assert_null(msg);
    }
    struct lp2p_msg *none = NULL;
    lp2p_msg_drop(&none);
}

static void test_pool_slabs(void **state)
{
    (void)state;
    const size_t caps[] = {
        1, 512, 513, 4096, 4097, 16384, 16385, LP2P_POOL_BUF_MAX, LP2P_POOL_BUF_MAX + 1, 1 << 20};
    for (int round = 0; round < 3; round++) {
        struct lp2p_buf *bufs[LP2P_ARRAY_LEN(caps)][8];
        for (size_t i = 0; i < LP2P_ARRAY_LEN(caps); i++) {
            for (size_t n = 0; n < 8; n++) {
                bufs[i][n] = lp2p_pool_buf(caps[i]);
                assert_non_null(bufs[i][n]);
                assert_true(bufs[i][n]->cap >= caps[i] && lp2p_buf_alone(bufs[i][n]));
                memset(bufs[i][n]->bytes, (int)(i * 8 + n), bufs[i][n]->cap);
            }
        }
        for (size_t i = 0; i < LP2P_ARRAY_LEN(caps); i++) {
            for (size_t n = 0; n < 8; n++) {
                for (size_t at = 0; at < bufs[i][n]->cap; at += 97) {
                    assert_int_equal(bufs[i][n]->bytes[at], i * 8 + n); /* nobody else wrote here */
                }
                lp2p_buf_drop(&bufs[i][n]);
            }
        }
    }
}

#define RING 64
struct ring {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lp2p_msg *of[RING];
    unsigned put, got, total;
};

static void *make(void *arg)
{
    struct ring *ring = arg;
    for (unsigned i = 0; i < ring->total; i++) {
        struct lp2p_msg *msg = lp2p_msg_new(i % 5 == 0 ? &BIG : &SMALL);
        msg->tag = i;
        pthread_mutex_lock(&ring->lock);
        while (ring->put - ring->got == RING) {
            pthread_cond_wait(&ring->changed, &ring->lock);
        }
        ring->of[ring->put++ % RING] = msg;
        pthread_cond_signal(&ring->changed);
        pthread_mutex_unlock(&ring->lock);
    }
    return NULL;
}

/* Made on one thread, dropped on another: the memory finds its way back in batches, and the caches stay
 * bounded. */
static void test_pool_between_threads(void **state)
{
    (void)state;
    struct ring ring = {
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .total = 200000};
    pthread_t maker;
    struct mallinfo2 before = mallinfo2();
    assert_int_equal(pthread_create(&maker, NULL, make, &ring), 0);
    for (unsigned i = 0; i < ring.total; i++) {
        pthread_mutex_lock(&ring.lock);
        while (ring.put == ring.got) {
            pthread_cond_wait(&ring.changed, &ring.lock);
        }
        struct lp2p_msg *msg = ring.of[ring.got++ % RING];
        pthread_cond_signal(&ring.changed);
        pthread_mutex_unlock(&ring.lock);
        assert_int_equal(msg->tag, i);
        lp2p_msg_drop(&msg);
    }
    pthread_join(maker, NULL);
    lp2p_pool_thread_flush();
    assert_false(lp2p_pool_thread_holds());
    assert_true(mallinfo2().uordblks < before.uordblks + (8u << 20));
}

static void test_pool_one_owner(void **state)
{
    (void)state;
    /* After a flush through the global stack no piece comes out twice. */
    enum { COUNT = 2000 };
    struct lp2p_msg *msgs[COUNT];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            msgs[i] = lp2p_msg_new(&SMALL);
            assert_int_equal(msgs[i]->tag, 0);
            msgs[i]->tag = 1;
        }
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(msgs[i]->tag, 1);
            msgs[i]->tag = 2;
        }
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(msgs[i]->tag, 2);
            msgs[i]->tag = 3;
            lp2p_msg_drop(&msgs[i]);
        }
        lp2p_pool_thread_flush();
    }
}

static pthread_barrier_t all_there;

/** Fewer under a sanitizer, where all comes from the heap, slowly: the runner says that time is stretched. */
static unsigned rounds_of_marks(void)
{
    const char *scale = getenv("LP2P_TIME_SCALE");
    return scale != NULL && strtod(scale, NULL) > 1 ? 1000 : 20000;
}

/** Takes more of each size than a thread keeps, marks them as its own, and gives them back. */
static void *mark_and_give(void *arg)
{
    static const size_t caps[] = {900, 4000, 16000, 60000}; /* those of which a thread keeps few */
    enum { EACH = 20 };
    const uint8_t mark = *(const uint8_t *)arg;
    const unsigned rounds = rounds_of_marks();
    (void)pthread_barrier_wait(&all_there);
    for (unsigned round = 0; round < rounds; round++) {
        struct lp2p_buf *bufs[LP2P_ARRAY_LEN(caps) * EACH];
        for (size_t i = 0; i < LP2P_ARRAY_LEN(bufs); i++) {
            bufs[i] = lp2p_pool_buf(caps[i % LP2P_ARRAY_LEN(caps)]);
            LP2P_CHECK(bufs[i] != NULL);
            bufs[i]->bytes[0] = bufs[i]->bytes[caps[i % LP2P_ARRAY_LEN(caps)] - 1] = mark;
        }
        for (size_t i = 0; i < LP2P_ARRAY_LEN(bufs); i++) {
            if (bufs[i]->bytes[0] != mark || bufs[i]->bytes[caps[i % LP2P_ARRAY_LEN(caps)] - 1] != mark) {
                return bufs[i]; /* another thread has it as well */
            }
            lp2p_buf_drop(&bufs[i]);
        }
    }
    return NULL;
}

static void test_pool_one_owner_among_threads(void **state)
{
    (void)state;
    pthread_t threads[6];
    uint8_t marks[LP2P_ARRAY_LEN(threads)];
    assert_int_equal(pthread_barrier_init(&all_there, NULL, LP2P_ARRAY_LEN(threads)), 0);
    for (unsigned i = 0; i < LP2P_ARRAY_LEN(threads); i++) {
        marks[i] = (uint8_t)(i + 1);
        assert_int_equal(pthread_create(&threads[i], NULL, mark_and_give, &marks[i]), 0);
    }
    for (unsigned i = 0; i < LP2P_ARRAY_LEN(threads); i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    pthread_barrier_destroy(&all_there);
}

enum { RESTING = 200, FEW = 3 };
struct resting {
    pthread_t thread;
    struct lp2p_msg *msgs[FEW];
};

static void *drop_few_and_stay(void *arg)
{
    struct resting *resting = arg;
    for (unsigned i = 0; i < FEW; i++) {
        lp2p_msg_drop(&resting->msgs[i]);
    }
    lp2p_pool_thread_flush();
    (void)pthread_barrier_wait(&all_there); /* all have given back what they had */
    (void)pthread_barrier_wait(&all_there);
    return NULL;
}

/* Many threads that rest with a few pieces each: who needs memory then gets theirs, not the heap's. */
static void test_pool_collects_from_resting_threads(void **state)
{
    (void)state;
    static struct resting resting[RESTING];
    static struct lp2p_msg *again[RESTING * FEW];
    assert_int_equal(pthread_barrier_init(&all_there, NULL, RESTING + 1), 0);
    for (unsigned i = 0; i < RESTING; i++) {
        for (unsigned k = 0; k < FEW; k++) {
            resting[i].msgs[k] = lp2p_msg_new(&SMALL);
        }
    }
    lp2p_pool_thread_flush();
    for (unsigned i = 0; i < RESTING; i++) {
        assert_int_equal(pthread_create(&resting[i].thread, NULL, drop_few_and_stay, &resting[i]), 0);
    }
    (void)pthread_barrier_wait(&all_there);
    size_t before = mallinfo2().uordblks;
    for (unsigned i = 0; i < LP2P_ARRAY_LEN(again); i++) {
        again[i] = lp2p_msg_new(&SMALL);
    }
    size_t grown = mallinfo2().uordblks - before;
    (void)pthread_barrier_wait(&all_there);
    for (unsigned i = 0; i < RESTING; i++) {
        pthread_join(resting[i].thread, NULL);
    }
    for (unsigned i = 0; i < LP2P_ARRAY_LEN(again); i++) {
        lp2p_msg_drop(&again[i]);
    }
    pthread_barrier_destroy(&all_there);
    assert_true(grown < LP2P_ARRAY_LEN(again) * 128 / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_collects_from_resting_threads), /* first: the pool is empty */
        cmocka_unit_test(test_pool_messages_are_zeroed),
        cmocka_unit_test(test_pool_slabs),
        cmocka_unit_test(test_pool_between_threads),
        cmocka_unit_test(test_pool_one_owner),
        cmocka_unit_test(test_pool_one_owner_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
