/* SPDX-License-Identifier: MIT
 * The life of nodes in all orders, and many of them at once. */
#include "kit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_node_not_started(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node_of(kit_config());
    const struct lp2p_message message = {.type = "t"};
    struct lp2p_op *op = (struct lp2p_op *)&op;
    struct lp2p_peer *peers = NULL;
    size_t len = 0;
    char other[LP2P_PEER_TEXT_MAX];
    (void)snprintf(other, sizeof(other), "%s", lp2p_node_peer_id(node));
    assert_int_equal(strncmp(other, "12D3KooW", 8), 0); /* exists from here on */
    assert_int_equal(lp2p_node_connect(node, other, &op), LP2P_ESTATE);
    assert_null(op);
    assert_int_equal(lp2p_node_disconnect(node, other, &op), LP2P_ESTATE);
    assert_int_equal(lp2p_node_ping(node, other, &op), LP2P_ESTATE);
    assert_int_equal(lp2p_node_send_to(node, other, &message, NULL, NULL), LP2P_ESTATE);
    assert_int_equal(lp2p_node_broadcast(node, &message, NULL, &op), LP2P_ESTATE);
    assert_int_equal(lp2p_node_peers(node, false, &peers, &len), LP2P_ESTATE);
    assert_int_equal(lp2p_node_protect(node, other, true), LP2P_ESTATE);
    assert_int_equal(lp2p_node_announce(node, "t", "i", "1", 0, &op), LP2P_ESTATE);
    assert_int_equal(lp2p_dht_get(node, "k", 1, &op), LP2P_ESTATE);
    assert_false(lp2p_node_is_connected(node, other));
    assert_int_equal(lp2p_node_addrs(node, NULL, 0), 0);
    assert_int_equal(lp2p_node_actors(node, NULL, 0), 0);
    struct lp2p_stats stats;
    assert_int_equal(lp2p_node_stats(node, &stats), LP2P_OK);
    assert_string_equal(stats.peer_id, "not-started");
    assert_int_equal(stats.connections, 0);
    assert_null(lp2p_node_next_event(node, -1)); /* nothing will come */
    lp2p_node_free(node);
    lp2p_node_free(NULL);
}

static void test_node_wrong_arguments(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node_of(kit_config());
    kit_start(node);
    struct lp2p_op *op = NULL;
    const struct lp2p_message message = {.type = "t"}, no_type = {.payload = "1"},
                              no_json = {.type = "t", .payload = "{"};
    const char *me = lp2p_node_peer_id(node), *bad = "nonsense", *protocol = "no-slash";
    assert_int_equal(lp2p_node_connect(node, bad, &op), LP2P_EINVAL);
    assert_int_equal(lp2p_node_connect(node, NULL, &op), LP2P_EINVAL);
    assert_int_equal(lp2p_node_ping(node, bad, &op), LP2P_EINVAL);
    assert_int_equal(lp2p_node_send_to(node, bad, &message, NULL, &op), LP2P_EINVAL);
    assert_int_equal(lp2p_node_send_to(node, me, &no_type, NULL, &op), LP2P_EINVAL);
    assert_int_equal(lp2p_node_send_to(node, me, &no_json, NULL, &op), LP2P_EINVAL);
    assert_int_equal(lp2p_node_send_to(node, me, &message, "no-slash", &op), LP2P_EINVAL);
    assert_int_equal(lp2p_stream_open(node, me, &protocol, 1, &op), LP2P_EINVAL);
    assert_int_equal(lp2p_stream_open(node, me, &protocol, 0, &op), LP2P_EINVAL);
    protocol = "/x/1.0.0";
    assert_int_equal(lp2p_stream_open(node, me, &protocol, 1, NULL), LP2P_EINVAL);
    assert_int_equal(
        lp2p_node_broadcast(node, &message, &(struct lp2p_broadcast){.exclude = &bad, .exclude_len = 1}, &op),
        LP2P_EINVAL);
    assert_int_equal(lp2p_node_announce(node, "a/b", "c/d", "1", 0, &op), LP2P_EINVAL); /* js nodes drop it */
    assert_int_equal(lp2p_node_announce(node, "", "c", "1", 0, &op), LP2P_EINVAL);
    assert_null(op);
    assert_int_equal(lp2p_node_fail_actor(node, "nobody"), LP2P_ENOTFOUND);
    assert_int_equal(lp2p_dht_get(node, "k", 1, &op), LP2P_OK); /* the DHT is off: told by the result */
    assert_int_equal(kit_finish(op), LP2P_ESTATE);
    op = NULL;
    assert_int_equal(lp2p_node_ping(node, me, &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_ESELF);
    assert_int_equal(lp2p_node_disconnect(node, "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", &op),
                     LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_ENOCONN);
    lp2p_node_free(node);
}

static void test_node_orders(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node_of(kit_config());
    assert_int_equal(lp2p_node_stop(node), LP2P_OK); /* before start */
    kit_start(node);
    kit_start(node); /* twice */
    struct lp2p_stats stats;
    assert_int_equal(lp2p_node_stats(node, &stats), LP2P_OK);
    assert_string_equal(stats.peer_id, lp2p_node_peer_id(node));
    assert_true(stats.actors > 5 && stats.threads > 3);
    assert_int_equal(lp2p_node_stop(node), LP2P_OK);
    assert_int_equal(lp2p_node_stop(node), LP2P_OK);
    for (int i = 0; i < 3; i++) { /* again and again */
        kit_start(node);
        assert_int_equal(lp2p_node_stop(node), LP2P_OK);
    }
    kit_start(node);
    lp2p_node_free(node); /* running */
    assert_int_equal(lp2p_node_stop(NULL), LP2P_EINVAL);
    assert_int_equal(lp2p_node_start(NULL, NULL), LP2P_EINVAL);
}

static void test_node_address_in_use(void **state)
{
    (void)state;
    struct lp2p_node *first = kit_node(), *second = NULL;
    char addr[LP2P_ADDR_TEXT_MAX], detail[LP2P_DETAIL_MAX];
    kit_addr(first, addr);
    *strstr(addr, "/p2p/") = '\0';
    struct lp2p_config *config = kit_config();
    assert_int_equal(lp2p_config_listen(config, addr), LP2P_OK);
    second = kit_node_of(config);
    assert_int_equal(lp2p_node_start(second, detail), LP2P_EADDRINUSE);
    assert_non_null(strstr(detail, addr)); /* which one, why, and what to do */
    assert_non_null(strstr(detail, "in use"));
    assert_non_null(strstr(detail, "0 for any"));
    assert_int_equal(lp2p_node_start(second, NULL), LP2P_EADDRINUSE);
    lp2p_node_free(first);
    kit_start(second); /* now it is free */
    lp2p_node_free(second);
}

static void test_node_not_our_address(void **state)
{
    (void)state;
    char detail[LP2P_DETAIL_MAX];
    struct lp2p_config *config = kit_config();
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    assert_int_equal(lp2p_config_listen(config, "/ip4/192.0.2.1/tcp/0"), LP2P_OK);
    struct lp2p_node *node = kit_node_of(config);
    assert_int_equal(lp2p_node_start(node, detail), LP2P_EADDRNOTAVAIL);
    assert_non_null(strstr(detail, "192.0.2.1"));
    lp2p_node_free(node);
}

static void test_node_twenty(void **state)
{
    (void)state;
    enum { MANY = 20 };
    struct lp2p_node *nodes[MANY];
    for (int i = 0; i < MANY; i++) {
        nodes[i] = kit_node();
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(lp2p_node_peer_id(nodes[i]), lp2p_node_peer_id(nodes[j]));
        }
    }
    for (int i = 1; i < MANY; i++) {
        kit_connect(nodes[i], nodes[i - 1]);
    }
    for (int i = 0; i < MANY; i += 2) { /* half of them in the middle of it */
        lp2p_node_free(nodes[i]);
    }
    for (int i = 1; i < MANY; i += 2) {
        lp2p_node_free(nodes[i]);
    }
}

/* ---- from callbacks and from many threads */

struct attempt {
    struct kit_count done;
    enum lp2p_err stop, start;
};

static void try_to_stop(void *user, struct lp2p_node *node, const struct lp2p_event *event)
{
    (void)event;
    struct attempt *attempt = user;
    attempt->stop = lp2p_node_stop(node);
    attempt->start = lp2p_node_start(node, NULL);
    kit_count_up(&attempt->done);
}

static void test_node_stop_from_callback(void **state)
{
    (void)state;
    struct attempt attempt = {{0}, LP2P_OK, LP2P_OK};
    struct lp2p_config *config = kit_config();
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    struct lp2p_node *node = kit_node_of(config);
    assert_int_equal(lp2p_node_on_event(node, try_to_stop, &attempt), LP2P_OK);
    kit_start(node); /* LISTENING is an event */
    kit_count_wait(&attempt.done, 1, "an event");
    assert_int_equal(attempt.stop, LP2P_ESTATE);
    assert_int_equal(attempt.start, LP2P_ESTATE);
    lp2p_node_free(node);
}

struct caller {
    struct lp2p_node *node;
    struct kit_count stop, calls, hung;
};

static void *call_all_the_time(void *arg)
{
    struct caller *caller = arg;
    const struct lp2p_message message = {.type = "t"};
    while (kit_count_get(&caller->stop) == 0) {
        struct lp2p_op *op = NULL;
        struct lp2p_stats stats;
        if (lp2p_node_broadcast(caller->node, &message, NULL, &op) == LP2P_OK) {
            if (lp2p_op_wait(op, KIT_WAIT_MS) != LP2P_OK) { /* also when the node stops meanwhile */
                kit_count_up(&caller->hung);
            }
            lp2p_op_free(op);
        }
        (void)lp2p_node_stats(caller->node, &stats);
        (void)lp2p_node_actors(caller->node, NULL, 0);
        (void)lp2p_node_is_connected(caller->node, lp2p_node_peer_id(caller->node));
        (void)lp2p_node_send_to(caller->node, lp2p_node_peer_id(caller->node), &message, NULL, NULL);
        kit_count_up(&caller->calls);
    }
    return NULL;
}

static void test_node_calls_while_stopping(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct caller caller = {.node = kit_node_of(kit_config())};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, call_all_the_time, &caller), 0);
    }
    for (int round = 1; round <= 10; round++) {
        kit_start(caller.node);
        kit_count_wait(&caller.calls, kit_count_get(&caller.calls) + 20, "calls go on");
        assert_int_equal(lp2p_node_stop(caller.node), LP2P_OK);
    }
    kit_count_up(&caller.stop);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(kit_count_get(&caller.hung), 0);
    lp2p_node_free(caller.node);
}

/* ---- components that fail */

static void test_node_components_fail(void **state)
{
    (void)state;
    struct lp2p_node *a = kit_node(), *b = kit_node();
    kit_connect(a, b);
    for (const char *const *id =
             (const char *const[]){"messages", "notifier", "registrar", "listener-0", NULL};
         *id != NULL; id++) {
        assert_int_equal(lp2p_node_fail_actor(b, *id), LP2P_OK);
        struct lp2p_event *event;
        bool restarted = false;
        while (!restarted && (event = lp2p_node_next_event(b, KIT_WAIT_MS)) != NULL) {
            restarted = event->kind == LP2P_EVENT_RESTART && strcmp(event->detail, *id) == 0;
            lp2p_event_free(event);
        }
        if (!restarted) {
            fail_msg("%s was not restarted", *id);
        }
    }
    assert_true(lp2p_node_is_connected(b, lp2p_node_peer_id(a))); /* nobody else noticed */
    const struct lp2p_message message = {.type = "t"};
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_send_to(b, lp2p_node_peer_id(a), &message, NULL, &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_OK);
    struct lp2p_stats stats;
    assert_int_equal(lp2p_node_stats(b, &stats), LP2P_OK);
    assert_int_equal(stats.restarts, 4);
    lp2p_node_free(a);
    lp2p_node_free(b);
}

static void test_node_actor_list(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node();
    struct lp2p_actor_info infos[64];
    size_t len = lp2p_node_actors(node, infos, 64);
    assert_true(len > 8 && len <= 64);
    bool found = false;
    for (size_t i = 0; i < len; i++) {
        found = found || (strcmp(infos[i].id, "swarm") == 0 && strcmp(infos[i].kind, "swarm") == 0);
    }
    assert_true(found);
    assert_int_equal(lp2p_node_actors(node, infos, 1), len);
    lp2p_node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_not_started),
        cmocka_unit_test(test_node_wrong_arguments),
        cmocka_unit_test(test_node_orders),
        cmocka_unit_test(test_node_address_in_use),
        cmocka_unit_test(test_node_not_our_address),
        cmocka_unit_test(test_node_twenty),
        cmocka_unit_test(test_node_stop_from_callback),
        cmocka_unit_test(test_node_calls_while_stopping),
        cmocka_unit_test(test_node_components_fail),
        cmocka_unit_test(test_node_actor_list),
    };
    return cmocka_run_group_tests_name("api_node", tests, NULL, NULL);
}
