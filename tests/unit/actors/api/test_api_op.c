/* SPDX-License-Identifier: MIT
 * Operations and the event queue without an actor that works: what is finished by hand. */
#include "kit.h"

#include "actors/api/node.h"
#include "actors/api/op_private.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct lp2p_node *node;

static int setup(void **state)
{
    (void)state;
    node = kit_node_of(kit_config());
    kit_start(node);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lp2p_node_free(node);
    return 0;
}

static bool readable(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    return poll(&pfd, 1, 0) == 1;
}

/* An operation of the user and the reference of a worker. */
static struct lp2p_op *begin(struct lp2p_op **worker)
{
    struct lp2p_op *op = lp2p_op_new(node);
    assert_non_null(op);
    *worker = lp2p_op_ref(op);
    return op;
}

static void test_op_wait_and_fd(void **state)
{
    (void)state;
    struct lp2p_op *worker, *op = begin(&worker);
    int fd = lp2p_op_fd(op);
    assert_true(fd >= 0);
    assert_int_equal(lp2p_op_fd(op), fd);
    assert_false(readable(fd));
    assert_int_equal(lp2p_op_wait(op, 0), LP2P_ETIMEDOUT);
    assert_int_equal(lp2p_op_wait(op, 5), LP2P_ETIMEDOUT);
    assert_int_equal(lp2p_op_result(op), LP2P_EAGAIN);
    assert_string_equal(lp2p_op_detail(op), "");
    lp2p_op_set_number(worker, 7);
    lp2p_op_set_bytes(worker, lp2p_span_str("value"));
    assert_null(lp2p_op_bytes(op, NULL)); /* not before it is done */
    lp2p_op_finish(worker, LP2P_OK, "as %s", "told");
    lp2p_op_finish(worker, LP2P_EIO, "too late");
    lp2p_op_set_number(worker, 8);
    lp2p_op_set_bytes(worker, lp2p_span_str("other"));
    lp2p_op_drop(&worker);
    assert_null(worker);
    assert_int_equal(lp2p_op_wait(op, 0), LP2P_OK);
    assert_true(readable(fd));
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    assert_string_equal(lp2p_op_detail(op), "as told");
    assert_int_equal(lp2p_op_number(op), 7);
    size_t len = 0;
    assert_memory_equal(lp2p_op_bytes(op, &len), "value", 5);
    assert_int_equal(len, 5);
    lp2p_op_free(op);
}

static void *finish_later(void *arg)
{
    struct lp2p_op *worker = arg;
    lp2p_op_finish(worker, LP2P_ENOTFOUND, NULL);
    lp2p_op_drop(&worker);
    return NULL;
}

static void test_op_wait_for_ever(void **state)
{
    (void)state;
    struct lp2p_op *worker, *op = begin(&worker);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, finish_later, worker), 0);
    assert_int_equal(lp2p_op_wait(op, -1), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_ENOTFOUND);
    assert_int_equal(pthread_join(thread, NULL), 0);
    lp2p_op_free(op);
}

struct told {
    struct kit_count count;
    enum lp2p_err result;
    pthread_t thread;
};

static void note(void *user, struct lp2p_op *op)
{
    struct told *told = user;
    told->result = lp2p_op_result(op);
    told->thread = pthread_self();
    kit_count_up(&told->count);
}

static void test_op_then(void **state)
{
    (void)state;
    struct told told = {{0}, LP2P_OK, pthread_self()};
    struct lp2p_op *worker, *op = begin(&worker);
    assert_int_equal(lp2p_op_then(op, note, &told), LP2P_OK);
    assert_int_equal(lp2p_op_then(op, note, &told), LP2P_EEXIST);
    lp2p_op_free(op); /* and be told */
    assert_int_equal(kit_count_get(&told.count), 0);
    lp2p_op_finish(worker, LP2P_ERESET, NULL);
    lp2p_op_drop(&worker);
    kit_count_wait(&told.count, 1, "the completion is called");
    assert_int_equal(told.result, LP2P_ERESET);
    assert_false(pthread_equal(told.thread, pthread_self())); /* on the notifier's thread */
    struct told late = {{0}, LP2P_OK, pthread_self()};
    op = begin(&worker);
    lp2p_op_finish(worker, LP2P_OK, NULL);
    lp2p_op_drop(&worker);
    assert_int_equal(lp2p_op_then(op, note, &late), LP2P_OK); /* done already */
    kit_count_wait(&late.count, 1, "the completion is called");
    lp2p_op_free(op);
}

static void test_op_cancel(void **state)
{
    (void)state;
    struct lp2p_op *worker, *op = begin(&worker);
    assert_false(lp2p_op_done(worker));
    lp2p_op_cancel(op);
    assert_true(lp2p_op_done(worker)); /* the worker may give up */
    lp2p_op_finish(worker, LP2P_OK, NULL);
    lp2p_op_drop(&worker);
    assert_int_equal(lp2p_op_result(op), LP2P_ECANCELED);
    lp2p_op_free(op);
    lp2p_op_finish(NULL, LP2P_OK, NULL); /* fire and forget has no op */
    assert_false(lp2p_op_done(NULL));
    assert_null(lp2p_op_ref(NULL));
    lp2p_op_free(NULL);
}

static void test_op_orphan(void **state)
{
    (void)state;
    struct told told = {{0}, LP2P_OK, pthread_self()};
    struct lp2p_op *worker, *op = begin(&worker);
    lp2p_op_drop(&worker); /* its worker failed without a word */
    assert_int_equal(lp2p_op_wait(op, 0), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_EFAILED);
    lp2p_op_free(op);
    op = begin(&worker);
    assert_int_equal(lp2p_op_then(op, note, &told), LP2P_OK);
    lp2p_op_free(op);
    lp2p_op_drop(&worker);
    kit_count_wait(&told.count, 1, "the completion is called");
    assert_int_equal(told.result, LP2P_EFAILED);
}

static void test_op_stop(void **state)
{
    (void)state;
    struct told told = {{0}, LP2P_OK, pthread_self()};
    struct lp2p_op *worker, *op = begin(&worker), *other, *second = begin(&other);
    assert_int_equal(lp2p_op_then(second, note, &told), LP2P_OK);
    assert_int_equal(lp2p_node_stop(node), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_ECLOSED);
    assert_int_equal(kit_count_get(&told.count), 1); /* no completion is left behind */
    assert_int_equal(told.result, LP2P_ECLOSED);
    assert_null(lp2p_op_new(node));
    lp2p_op_drop(&worker);
    lp2p_op_drop(&other);
    lp2p_op_free(second);
    struct told late = {{0}, LP2P_OK, pthread_self()};
    assert_int_equal(lp2p_op_then(op, note, &late), LP2P_OK);
    assert_int_equal(kit_count_get(&late.count), 1); /* at once: there is no notifier */
    lp2p_op_free(op);
    struct lp2p_op *kept_worker;
    kit_start(node);
    struct lp2p_op *kept = begin(&kept_worker);
    lp2p_node_free(node); /* against the contract, and yet harmless */
    assert_int_equal(lp2p_op_result(kept), LP2P_ECLOSED);
    lp2p_op_drop(&kept_worker);
    lp2p_op_free(kept);
    node = NULL;
}

static void test_op_limit(void **state)
{
    (void)state;
    enum { SOME = 2000 };
    struct lp2p_op *ops[SOME], *op = NULL;
    for (int i = 0; i < SOME; i++) {
        assert_int_equal(lp2p_op_make(node->gate, &ops[i]), LP2P_OK);
    }
    pthread_mutex_lock(&node->gate->lock);
    unsigned running = node->gate->ops_len;
    node->gate->ops_len = LP2P_OPS_MAX; /* as if so many ran */
    pthread_mutex_unlock(&node->gate->lock);
    assert_int_equal(running, SOME);
    assert_int_equal(lp2p_op_make(node->gate, &op), LP2P_ELIMIT);
    pthread_mutex_lock(&node->gate->lock);
    node->gate->ops_len = running;
    pthread_mutex_unlock(&node->gate->lock);
    for (int i = 0; i < SOME; i++) {
        lp2p_op_free(ops[i]);
    }
    pthread_mutex_lock(&node->gate->lock);
    assert_int_equal(node->gate->ops_len, 0);
    pthread_mutex_unlock(&node->gate->lock);
}

static void test_op_peers(void **state)
{
    (void)state;
    struct lp2p_op *worker, *op = begin(&worker);
    struct lp2p_peer_info *info = lp2p_peer_info_new();
    struct lp2p_multiaddr addr;
    assert_int_equal(lp2p_multiaddr_from_text("/ip4/1.2.3.4/tcp/5", &addr, NULL), LP2P_OK);
    info->id = node->ctx.self;
    info->addrs = lp2p_addrs_new(&addr, 1);
    lp2p_op_set_peers(worker, &info, 1);
    lp2p_peer_info_drop(&info);
    lp2p_op_finish(worker, LP2P_OK, NULL);
    lp2p_op_drop(&worker);
    size_t len = 0;
    const struct lp2p_peer *peers = lp2p_op_peers(op, &len);
    assert_int_equal(len, 1);
    assert_string_equal(peers[0].id, lp2p_node_peer_id(node));
    assert_int_equal(peers[0].addrs_len, 1);
    assert_string_equal(peers[0].addrs[0], "/ip4/1.2.3.4/tcp/5");
    assert_int_equal(peers[0].protocols_len, 0);
    assert_ptr_equal(lp2p_op_peers(op, &len), peers);
    lp2p_op_free(op);
}

/* ---- events */

static void publish(uint64_t number, uint64_t *lost)
{
    const struct lp2p_event_source source = {.kind = LP2P_EVENT_ERROR, .number = number, .detail = "text"};
    lp2p_events_publish(&node->events, node, &source, lost);
}

static void test_events_overflow(void **state)
{
    (void)state;
    uint64_t lost = 0;
    int fd = lp2p_node_event_fd(node);
    assert_false(readable(fd));
    assert_null(lp2p_node_next_event(node, 0));
    assert_null(lp2p_node_next_event(node, 5));
    for (uint64_t i = 0; i < LP2P_EVENTS_MAX + 10; i++) {
        publish(i, &lost);
    }
    assert_int_equal(lost, 10);
    assert_true(readable(fd));
    struct lp2p_event *event = lp2p_node_next_event(node, 0);
    assert_int_equal(event->kind, LP2P_EVENT_LOST);
    assert_int_equal(event->number, 10);
    lp2p_event_free(event);
    for (uint64_t i = 10; i < LP2P_EVENTS_MAX + 10; i++) {
        event = lp2p_node_next_event(node, 0);
        assert_int_equal(event->kind, LP2P_EVENT_ERROR);
        assert_int_equal(event->number, i); /* the oldest were dropped */
        assert_string_equal(event->detail, "text");
        lp2p_event_free(event);
    }
    assert_null(lp2p_node_next_event(node, 0));
    assert_false(readable(fd));
    publish(0, &lost); /* left in the queue: freed with the node */
}

static void on_event(void *user, struct lp2p_node *of, const struct lp2p_event *event)
{
    assert_ptr_equal(of, node);
    assert_string_equal(lp2p_event_name(event->kind), "error");
    kit_count_up(user);
}

static void test_events_callback(void **state)
{
    (void)state;
    struct kit_count count = {0};
    uint64_t lost = 0;
    assert_int_equal(lp2p_node_on_event(node, on_event, &count), LP2P_OK);
    publish(1, &lost);
    assert_int_equal(kit_count_get(&count), 1);
    assert_null(lp2p_node_next_event(node, 0));
    assert_int_equal(lp2p_node_on_event(node, NULL, NULL), LP2P_OK); /* back to the queue */
    publish(2, &lost);
    assert_int_equal(kit_count_get(&count), 1);
    struct lp2p_event *event = lp2p_node_next_event(node, 0);
    assert_int_equal(event->number, 2);
    lp2p_event_free(event);
    lp2p_event_free(NULL);
}

static void *wait_for_event(void *arg)
{
    *(struct lp2p_event **)arg = lp2p_node_next_event(node, -1);
    return NULL;
}

static void test_events_stop_wakes(void **state)
{
    (void)state;
    struct lp2p_event *event = (struct lp2p_event *)&event;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_event, &event), 0);
    assert_int_equal(lp2p_node_stop(node), LP2P_OK);
    assert_int_equal(pthread_join(thread, NULL), 0); /* it does not wait for ever */
    assert_null(event);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_op_wait_and_fd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_op_wait_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(test_op_then, setup, teardown),
        cmocka_unit_test_setup_teardown(test_op_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_op_orphan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_op_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_op_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_op_peers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events_overflow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events_stop_wakes, setup, teardown),
    };
    return cmocka_run_group_tests_name("api_op", tests, NULL, NULL);
}
