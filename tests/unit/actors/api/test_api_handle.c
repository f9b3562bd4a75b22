/* SPDX-License-Identifier: MIT
 * One stream handle against a muxer that is only a mailbox of two places: what happens when it is full, what
 * is kept of small pieces, and what becomes of a stream that its user left. The runtime is simulated, so
 * nothing happens by itself. */
#include "kit.h"

#include "actors/api/stream.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* ---- a muxer that keeps what it is sent */

enum { KEPT_MAX = 64 };
static struct lp2p_msg *kept[KEPT_MAX];
static size_t kept_len;

static enum lp2p_err muxer_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self, (void)state, (void)arg;
    return LP2P_OK;
}

static enum lp2p_verdict muxer_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)self, (void)state;
    if (kept_len < KEPT_MAX) {
        kept[kept_len++] = *msg;
        *msg = NULL;
    }
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops MUXER_OPS = {
    .name = "muxer", .state_size = 1, .init = muxer_init, .on_msg = muxer_on_msg};
static const struct lp2p_child_spec CHILD = {
    .id = "muxer", .ops = &MUXER_OPS, .restart = LP2P_PERMANENT, .mailbox_max = 2};
static const struct lp2p_sup_spec SUP = {
    .restarts_max = 1, .period_ms = 1000, .children = &CHILD, .children_len = 1};
static const struct lp2p_child_spec ROOT = {
    .id = "root", .ops = &lp2p_supervisor_ops, .arg = &SUP, .restart = LP2P_PERMANENT};

static struct lp2p_rt *rt;
static struct lp2p_gate *gate;
static struct lp2p_stream_table *table;
static struct lp2p_stream_id id;
static struct lp2p_stream *stream;

static void run(void)
{
    lp2p_sim_run(rt, lp2p_sim_now(rt) + LP2P_MS(100));
}

static void forget_kept(void)
{
    while (kept_len > 0) {
        lp2p_msg_drop(&kept[--kept_len]);
    }
}

static int setup(void **state)
{
    (void)state;
    const struct lp2p_rt_config config = {.simulated = true, .seed = 1, .root = &ROOT};
    if (lp2p_rt_start(&config, &rt, NULL) != LP2P_OK) {
        return -1;
    }
    run();
    id = (struct lp2p_stream_id){.muxer = lp2p_whereis(rt, "muxer"), .stream = 7};
    gate = lp2p_gate_new();
    lp2p_gate_open(gate, rt, &(struct lp2p_names){0}, LP2P_REF_NONE);
    table = lp2p_stream_table_new();
    struct lp2p_m_stream_opened *m = LP2P_NEW(STREAM_OPENED, stream_opened);
    m->id = id;
    m->credit_bytes = 1000;
    (void)strcpy(m->protocol, "/x");
    enum lp2p_err err = lp2p_stream_new(gate, table, m, &stream);
    struct lp2p_msg *msg = &m->msg;
    lp2p_msg_drop(&msg);
    return err == LP2P_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    lp2p_stream_free(stream);
    forget_kept();
    lp2p_gate_shut(gate, LP2P_ECLOSED);
    lp2p_stream_table_end(table, LP2P_ECLOSED);
    (void)lp2p_rt_stop(&rt);
    lp2p_gate_closed(gate);
    forget_kept();
    bool clean = gate->streams_len == 0 && table->len == 0 && gate->refs == 1 && table->refs == 1;
    lp2p_stream_table_drop(table);
    lp2p_gate_drop(gate);
    return clean ? 0 : -1;
}

static enum lp2p_err put(const char *text, size_t *n)
{
    return lp2p_stream_write(stream, text, strlen(text), 0, n);
}

/* Two messages of others fill the mailbox. */
static void fill_mailbox(void)
{
    size_t n = 0;
    for (int i = 0; i < 2; i++) {
        struct lp2p_m_stream_mark *m = LP2P_NEW(STREAM_EOF, stream_mark);
        struct lp2p_msg *msg = &m->msg;
        assert_int_equal(lp2p_gate_post_ref(gate, id.muxer, &msg), LP2P_OK);
    }
    assert_int_equal(put("cd", &n), LP2P_EAGAIN);
    assert_int_equal(n, 0);
}

static size_t count(const struct lp2p_msg_class *cls)
{
    size_t n = 0;
    for (size_t i = 0; i < kept_len; i++) {
        n += kept[i]->cls == cls;
    }
    return n;
}

static void test_handle_full_mailbox(void **state)
{
    (void)state;
    struct pollfd pfd = {.fd = lp2p_stream_fd(stream), .events = POLLIN};
    size_t n = 0;
    fill_mailbox();
    assert_int_equal(lp2p_stream_close_write(stream), LP2P_OK); /* has to wait as well */
    run();
    assert_int_equal(count(&LP2P_M_STREAM_WRITE), 0);
    assert_int_equal(count(&LP2P_M_STREAM_CLOSE_WRITE), 0);
    assert_int_equal(poll(&pfd, 1, 0), 0);
    assert_true(lp2p_streams_tend(gate) == LP2P_NEVER); /* now there is room: nothing is left to do */
    assert_int_equal(poll(&pfd, 1, 0), 1);              /* who polls is told */
    run();
    assert_int_equal(count(&LP2P_M_STREAM_CLOSE_WRITE), 1);
    assert_int_equal(put("x", &n), LP2P_ESTATE);
}

static void test_handle_retry_goes_on(void **state)
{
    (void)state;
    fill_mailbox();
    lp2p_stream_reset(stream);
    assert_true(lp2p_streams_tend(gate) != LP2P_NEVER); /* still full */
    assert_true(lp2p_streams_tend(gate) != LP2P_NEVER);
    run();
    assert_true(lp2p_streams_tend(gate) == LP2P_NEVER);
    run();
    assert_int_equal(count(&LP2P_M_STREAM_ABORT), 1);
    assert_null(lp2p_stream_table_find(table, id)); /* it is over for the resident too */
}

/* What a muxer does with a STREAM_WRITE. */
static struct lp2p_m_stream_write *fetch(size_t at)
{
    assert_true(at < kept_len);
    struct lp2p_m_stream_write *m = LP2P_AS(kept[at], STREAM_WRITE, stream_write);
    struct lp2p_stream_source *source = m->source;
    assert_non_null(source);
    m->source = NULL;
    source->fill(source, m);
    return m;
}

/* Writes that come before the muxer has fetched share a message and a slab; the end goes with them. */
static void test_handle_writes_share_a_message(void **state)
{
    (void)state;
    size_t n = 0;
    for (int i = 0; i < 30; i++) {
        assert_int_equal(put("0123456789", &n), LP2P_OK);
        assert_int_equal(n, 10);
    }
    run();
    assert_int_equal(kept_len, 1);
    const struct lp2p_m_stream_write *m = fetch(0);
    size_t bytes = 0;
    for (unsigned i = 0; i < m->slices_len; i++) {
        for (uint32_t k = 0; k < m->slices[i].len; k++, bytes++) {
            assert_int_equal(m->slices[i].ptr[k], '0' + bytes % 10);
        }
    }
    assert_int_equal(bytes, 300);
    assert_in_range(m->slices_len, 1, 3);
    assert_false(m->fin);
    assert_int_equal(put("abc", &n), LP2P_OK);
    assert_int_equal(lp2p_stream_close_write(stream), LP2P_OK);
    run();
    assert_int_equal(kept_len, 2);
    m = fetch(1);
    assert_int_equal(m->slices_len, 1);
    assert_memory_equal(m->slices[0].ptr, "abc", 3);
    assert_true(m->fin);
    run();
    assert_int_equal(kept_len, 2);
}

/* No place left although there is credit: the writer waits for the fetch, and who polls is told of it. */
static void test_handle_places_for_writes(void **state)
{
    (void)state;
    static char block[64 * 1024];
    struct pollfd pfd = {.fd = lp2p_stream_fd(stream), .events = POLLIN};
    size_t n = 0, total = 0;
    lp2p_stream_credit(stream, 2u << 20);
    while (lp2p_stream_write(stream, block, sizeof(block), 0, &n) == LP2P_OK && n == sizeof(block)) {
        total += n;
    }
    assert_int_equal(total, LP2P_SLICES_MAX * sizeof(block));
    assert_int_equal(poll(&pfd, 1, 0), 0);
    run();
    assert_int_equal(kept_len, 1);
    assert_int_equal(fetch(0)->slices_len, LP2P_SLICES_MAX);
    assert_int_equal(poll(&pfd, 1, 0), 1);
    assert_int_equal(lp2p_stream_write(stream, block, sizeof(block), 0, &n), LP2P_OK);
}

/* A message that is lost lets the handle go (teardown counts), and one that is fetched late brings nothing.
 */
static void test_handle_write_lost_or_late(void **state)
{
    (void)state;
    size_t n = 0;
    assert_int_equal(put("abc", &n), LP2P_OK);
    run();
    forget_kept();
    assert_int_equal(put("def", &n), LP2P_OK);
    lp2p_stream_ended(stream, LP2P_ERESET);
    run();
    assert_int_equal(fetch(0)->slices_len, 0);
}

static void test_handle_credit(void **state)
{
    (void)state;
    char block[1500] = {0};
    size_t n = 0;
    struct pollfd pfd = {.fd = lp2p_stream_fd(stream), .events = POLLIN};
    assert_int_equal(lp2p_stream_write(stream, block, sizeof(block), 0, &n), LP2P_OK);
    assert_int_equal(n, 1000); /* what there was credit for */
    assert_int_equal(lp2p_stream_write(stream, block, 1, 0, &n), LP2P_EAGAIN);
    assert_int_equal(lp2p_stream_write(stream, block, 1, 5, &n), LP2P_ETIMEDOUT);
    assert_int_equal(poll(&pfd, 1, 0), 0);
    lp2p_stream_credit(stream, 3);
    assert_int_equal(poll(&pfd, 1, 0), 1);
    assert_int_equal(lp2p_stream_write(stream, block, 10, 0, &n), LP2P_OK);
    assert_int_equal(n, 3);
}

/* ---- receiving */

static int slabs_alive;

static void slab_release(struct lp2p_buf *buf)
{
    slabs_alive--;
    free(buf);
}

static struct lp2p_buf *slab_new(void)
{
    struct lp2p_buf *buf = malloc(sizeof(*buf) + 65536);
    *buf = (struct lp2p_buf){.refs = 1, .cap = 65536, .release = slab_release};
    slabs_alive++;
    return buf;
}

static void arrive(const uint8_t *bytes, size_t len)
{
    struct lp2p_m_stream_data m = {.id = id, .slices_len = 1};
    struct lp2p_buf *slab = slab_new();
    memcpy(slab->bytes, bytes, len);
    m.slices[0] = (struct lp2p_slice){slab, slab->bytes, (uint32_t)len};
    lp2p_stream_arrived(stream, &m);
    lp2p_slice_drop(&m.slices[0]);
}

static void test_handle_small_pieces(void **state)
{
    (void)state;
    static uint8_t large[60000], got_bytes[70000];
    for (unsigned i = 0; i < 9000; i++) { /* each in a slab of 64 KiB */
        uint8_t byte = (uint8_t)(i * 3);
        arrive(&byte, 1);
    }
    assert_int_equal(slabs_alive, 0); /* none is kept for one byte */
    assert_true(stream->queue_len <= 4);
    memset(large, 0xAA, sizeof(large));
    arrive(large, sizeof(large));
    assert_int_equal(slabs_alive, 1); /* a large piece is not copied */
    size_t got = 0;
    assert_int_equal(lp2p_stream_read(stream, got_bytes, sizeof(got_bytes), 0, &got), LP2P_OK);
    assert_int_equal(got, 69000);
    for (unsigned i = 0; i < 9000; i++) {
        assert_int_equal(got_bytes[i], (uint8_t)(i * 3));
    }
    assert_memory_equal(got_bytes + 9000, large, sizeof(large));
    assert_int_equal(slabs_alive, 0);
    run();
    assert_int_equal(count(&LP2P_M_STREAM_CONSUMED), 1); /* what was read gives credit, once */
    assert_int_equal(((struct lp2p_m_stream_bytes *)(void *)kept[0])->bytes, 69000);
}

static void test_handle_consumed_in_steps(void **state)
{
    (void)state;
    static uint8_t bytes[60000];
    uint8_t out[1000];
    size_t got = 0;
    arrive(bytes, sizeof(bytes));
    for (int i = 0; i < 32; i++) {
        assert_int_equal(lp2p_stream_read(stream, out, sizeof(out), 0, &got), LP2P_OK);
    }
    run();
    assert_int_equal(kept_len, 0); /* 32,000 bytes of a queue that is not empty */
    assert_int_equal(lp2p_stream_read(stream, out, sizeof(out), 0, &got), LP2P_OK);
    run();
    assert_int_equal(count(&LP2P_M_STREAM_CONSUMED), 1);
}

/* ---- left by the user */

static void test_handle_left(void **state)
{
    (void)state;
    lp2p_stream_free(stream);
    stream = NULL;
    run();
    assert_int_equal(count(&LP2P_M_STREAM_CLOSE_WRITE), 1);
    struct lp2p_stream *left = lp2p_stream_table_find(table, id);
    assert_non_null(left); /* until the peer ends its half, or the grace is over */
    uint64_t next = lp2p_streams_tend(gate);
    assert_true(next != LP2P_NEVER && next > lp2p_gate_clock_ns());
    run();
    assert_int_equal(count(&LP2P_M_STREAM_ABORT), 0);
    pthread_mutex_lock(&gate->lock);
    left->leaving_until = 0; /* as if it were over */
    pthread_mutex_unlock(&gate->lock);
    lp2p_stream_unref(left);
    assert_true(lp2p_streams_tend(gate) == LP2P_NEVER);
    run();
    assert_int_equal(count(&LP2P_M_STREAM_ABORT), 1);
    assert_null(lp2p_stream_table_find(table, id));
}

static void test_handle_left_and_ended(void **state)
{
    (void)state;
    lp2p_stream_free(stream);
    stream = NULL;
    struct lp2p_stream *left = lp2p_stream_table_find(table, id);
    lp2p_stream_eof(left);
    lp2p_stream_unref(left);
    assert_null(lp2p_stream_table_find(table, id)); /* both halves are closed */
    assert_true(lp2p_streams_tend(gate) == LP2P_NEVER);
    run();
    assert_int_equal(count(&LP2P_M_STREAM_ABORT), 0);
}

static void test_handle_left_and_sent_to(void **state)
{
    (void)state;
    lp2p_stream_free(stream);
    stream = lp2p_stream_table_find(table, id);
    arrive((const uint8_t *)"late", 4);
    lp2p_stream_unref(stream);
    stream = NULL;
    run();
    assert_int_equal(count(&LP2P_M_STREAM_ABORT), 1); /* the peer must not believe that it was read */
    assert_int_equal(slabs_alive, 0);
}

static void test_handle_limit(void **state)
{
    (void)state;
    struct lp2p_m_stream_opened m = {.id = id};
    struct lp2p_stream *other = NULL;
    m.id.stream = 8;
    pthread_mutex_lock(&gate->lock);
    gate->streams_len += LP2P_STREAMS_MAX - 1; /* as if so many were open */
    pthread_mutex_unlock(&gate->lock);
    assert_int_equal(lp2p_stream_new(gate, table, &m, &other), LP2P_ELIMIT);
    pthread_mutex_lock(&gate->lock);
    gate->streams_len -= LP2P_STREAMS_MAX - 1;
    pthread_mutex_unlock(&gate->lock);
    assert_null(other);
}

static void test_handle_many_in_table(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    struct lp2p_stream *many[MANY];
    struct lp2p_m_stream_opened m = {.id = id};
    for (uint64_t i = 0; i < MANY; i++) {
        m.id.stream = 100 + i;
        assert_int_equal(lp2p_stream_new(gate, table, &m, &many[i]), LP2P_OK);
    }
    for (uint64_t i = 0; i < MANY; i++) {
        m.id.stream = 100 + i;
        struct lp2p_stream *found = lp2p_stream_table_find(table, m.id);
        assert_ptr_equal(found, many[i]);
        lp2p_stream_unref(found);
    }
    lp2p_stream_table_end(table, LP2P_EFAILED); /* the resident failed */
    assert_int_equal(table->len, 0);
    char byte;
    size_t got = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(lp2p_stream_read(many[i], &byte, 1, -1, &got), LP2P_EFAILED);
        lp2p_stream_free(many[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_handle_full_mailbox, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_retry_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_writes_share_a_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_places_for_writes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_write_lost_or_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_credit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_small_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_consumed_in_steps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_left_and_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_left_and_sent_to, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handle_many_in_table, setup, teardown),
    };
    return cmocka_run_group_tests_name("api_handle", tests, NULL, NULL);
}
