/* SPDX-License-Identifier: MIT
 * Protocols of the user: registering in all orders, callbacks on their own threads, handlers that block and
 * fail. */
#include "kit.h"

#include "actors/api/node.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct chat {
    struct kit_count messages, connected, disconnected, discovered, starts, unregistered;
    unsigned restarts;
    enum lp2p_err start_err, unregister_err;
    pthread_mutex_t gate; /* held by the test: the handler blocks */
    bool blocks, leaves;
    pthread_t thread;
};

static enum lp2p_err on_message(void *user, struct lp2p_node *node, const struct lp2p_message *message,
                                const char *peer)
{
    (void)message;
    (void)peer;
    struct chat *chat = user;
    chat->thread = pthread_self();
    if (chat->blocks) {
        pthread_mutex_lock(&chat->gate);
        pthread_mutex_unlock(&chat->gate);
    }
    if (chat->leaves) {
        chat->unregister_err = lp2p_node_unregister(node, "chat"); /* does not wait for itself */
        kit_count_up(&chat->unregistered);
    }
    kit_count_up(&chat->messages);
    return LP2P_EINVAL; /* a handler that fails ends nothing */
}

static void on_connected(void *user, struct lp2p_node *node, const struct lp2p_peer *peer)
{
    (void)node;
    if (peer->connected) {
        kit_count_up(&((struct chat *)user)->connected);
    }
}

static void on_disconnected(void *user, struct lp2p_node *node, const struct lp2p_peer *peer)
{
    (void)node;
    (void)peer;
    kit_count_up(&((struct chat *)user)->disconnected);
}

static void on_discovered(void *user, struct lp2p_node *node, const struct lp2p_peer *peer)
{
    (void)node;
    (void)peer;
    kit_count_up(&((struct chat *)user)->discovered);
}

static enum lp2p_err on_start(void *user, struct lp2p_node *node, unsigned restarts)
{
    (void)node;
    struct chat *chat = user;
    chat->restarts = restarts;
    enum lp2p_err err = chat->start_err;
    kit_count_up(&chat->starts);
    return err;
}

static struct lp2p_handler handler_of(struct chat *chat, const char *name)
{
    *chat = (struct chat){.gate = PTHREAD_MUTEX_INITIALIZER};
    return (struct lp2p_handler){.size = sizeof(struct lp2p_handler),
                                 .name = name,
                                 .user = chat,
                                 .handle_message = on_message,
                                 .on_peer_connected = on_connected,
                                 .on_peer_disconnected = on_disconnected,
                                 .on_peer_discovered = on_discovered,
                                 .on_start = on_start};
}

static void send(struct lp2p_node *from, struct lp2p_node *to, const char *protocol)
{
    const struct lp2p_message message = {.type = "t", .protocol = protocol};
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_send_to(from, lp2p_node_peer_id(to), &message, NULL, &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_OK);
}

static void no_stream(void *user, struct lp2p_node *node, struct lp2p_stream *stream)
{
    (void)user;
    (void)node;
    lp2p_stream_free(stream);
}

static void test_protocols_refused(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node();
    struct chat chat;
    struct lp2p_handler handler = handler_of(&chat, "chat"), other = handler;
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK);
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_EEXIST);
    other.name = "";
    assert_int_equal(lp2p_node_register(node, &other), LP2P_EINVAL);
    other.name = NULL;
    assert_int_equal(lp2p_node_register(node, &other), LP2P_EINVAL);
    other.name = "other";
    other.stream_protocol = "/x/1.0.0"; /* without handle_stream */
    assert_int_equal(lp2p_node_register(node, &other), LP2P_EINVAL);
    other.handle_stream = no_stream;
    other.stream_protocol = "/ipfs/ping/1.0.0";
    assert_int_equal(lp2p_node_register(node, &other), LP2P_EEXIST);
    other.stream_protocol = "/x/1.0.0";
    assert_int_equal(lp2p_node_register(node, &other), LP2P_OK);
    other.name = "third";
    assert_int_equal(lp2p_node_register(node, &other), LP2P_EEXIST); /* the stream protocol is taken */
    assert_int_equal(lp2p_node_register(node, NULL), LP2P_EINVAL);
    assert_int_equal(lp2p_node_unregister(node, "nobody"), LP2P_ENOTFOUND);
    assert_int_equal(lp2p_node_unregister(node, "chat"), LP2P_OK);
    assert_int_equal(lp2p_node_unregister(node, "chat"), LP2P_ENOTFOUND);
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK); /* the name is free again */
    chat.start_err = LP2P_EIO;
    assert_int_equal(lp2p_node_unregister(node, "chat"), LP2P_OK);
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_EIO); /* its on_start said no */
    assert_int_equal(lp2p_node_unregister(node, "chat"), LP2P_ENOTFOUND);
    lp2p_node_free(node);
}

static void test_protocols_before_start(void **state)
{
    (void)state;
    struct lp2p_config *config = kit_config();
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    struct lp2p_node *node = kit_node_of(config), *other = kit_node();
    struct chat chat, gone;
    struct lp2p_handler handler = handler_of(&chat, "chat"), leaver = handler_of(&gone, "gone");
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK);
    assert_int_equal(lp2p_node_register(node, &leaver), LP2P_OK);
    assert_int_equal(lp2p_node_unregister(node, "gone"), LP2P_OK);
    assert_int_equal(kit_count_get(&chat.starts), 0);
    kit_start(node);
    assert_int_equal(kit_count_get(&chat.starts), 1); /* is up when start returns */
    kit_connect(other, node);
    kit_count_wait(&chat.connected, 1, "on_peer_connected");
    kit_count_wait(&chat.discovered, 1, "on_peer_discovered");
    send(other, node, "chat");
    kit_count_wait(&chat.messages, 1, "a message");
    lp2p_node_free(other);
    kit_count_wait(&chat.disconnected, 1, "on_peer_disconnected");
    assert_int_equal(lp2p_node_stop(node), LP2P_OK);
    kit_start(node); /* still registered */
    kit_count_wait(&chat.starts, 2, "it starts with the node");
    assert_int_equal(chat.restarts, 0);
    assert_int_equal(kit_count_get(&gone.starts), 0);
    lp2p_node_free(node);
}

static void test_protocols_block(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node(), *other = kit_node();
    struct chat slow, quick;
    struct lp2p_handler handlers[2] = {handler_of(&slow, "slow"), handler_of(&quick, "quick")};
    slow.blocks = true;
    assert_int_equal(lp2p_node_register(node, &handlers[0]), LP2P_OK);
    assert_int_equal(lp2p_node_register(node, &handlers[1]), LP2P_OK);
    kit_connect(other, node);
    pthread_mutex_lock(&slow.gate);
    send(other, node, "slow");
    send(other, node, "slow");
    for (int i = 0; i < 20; i++) {
        send(other, node, "quick");
    }
    kit_count_wait(&quick.messages, 20, "others are not stalled");
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_ping(other, lp2p_node_peer_id(node), &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_OK);
    assert_true(lp2p_node_is_connected(node, lp2p_node_peer_id(other)));
    assert_int_equal(kit_count_get(&slow.messages), 0);
    pthread_mutex_unlock(&slow.gate);
    kit_count_wait(&slow.messages, 2, "what waited is handled");
    assert_false(pthread_equal(slow.thread, quick.thread));
    lp2p_node_free(node);
    lp2p_node_free(other);
}

struct unregistering {
    struct lp2p_node *node;
    struct kit_count done;
};

static void *unregister(void *arg)
{
    struct unregistering *job = arg;
    (void)lp2p_node_unregister(job->node, "chat");
    kit_count_up(&job->done);
    return NULL;
}

/* The handler of node has a message from other, and waits at the gate, which is ours until we open it. */
static void hold_in_handler(struct chat *chat, struct lp2p_node *node, struct lp2p_node *other)
{
    struct lp2p_stats stats;
    kit_connect(other, node);
    pthread_mutex_lock(&chat->gate);
    send(other, node, "chat");
    do {
        assert_int_equal(lp2p_node_stats(node, &stats), LP2P_OK);
    } while (stats.messages_in < 1);
}

static void test_protocols_unregister_waits(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node(), *other = kit_node();
    struct chat chat;
    struct lp2p_handler handler = handler_of(&chat, "chat");
    chat.blocks = true;
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK);
    hold_in_handler(&chat, node, other);
    struct unregistering job = {.node = node};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, unregister, &job), 0);
    (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    bool waited = kit_count_get(&job.done) == 0 || kit_count_get(&chat.messages) == 0;
    pthread_mutex_unlock(&chat.gate);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(waited);
    int seen = kit_count_get(&chat.messages);
    send(other, node, "chat"); /* reaches nobody any more */
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_ping(other, lp2p_node_peer_id(node), &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_OK);
    assert_int_equal(kit_count_get(&chat.messages), seen);
    lp2p_node_free(node);
    lp2p_node_free(other);
}

static void test_protocols_unregister_itself(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node(), *other = kit_node();
    struct chat chat;
    struct lp2p_handler handler = handler_of(&chat, "chat");
    chat.leaves = true;
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK);
    kit_connect(other, node);
    send(other, node, "chat");
    kit_count_wait(&chat.messages, 1, "the handler leaves");
    assert_int_equal(chat.unregister_err, LP2P_OK);
    assert_int_equal(lp2p_node_unregister(node, "chat"), LP2P_ENOTFOUND);
    chat.leaves = false;
    enum lp2p_err err;
    do { /* the old actor may still be ending */
        err = lp2p_node_register(node, &handler);
    } while (err == LP2P_EEXIST);
    assert_int_equal(err, LP2P_OK);
    send(other, node, "chat");
    kit_count_wait(&chat.messages, 2, "it is back");
    lp2p_node_free(node);
    lp2p_node_free(other);
}

static void test_protocols_fail_and_restart(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node(), *other = kit_node();
    struct chat chat;
    struct lp2p_handler handler = handler_of(&chat, "chat");
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK);
    kit_connect(other, node);
    assert_int_equal(lp2p_node_fail_actor(node, "proto:chat"), LP2P_OK);
    kit_count_wait(&chat.starts, 2, "it is started again");
    assert_int_equal(chat.restarts, 1);
    send(other, node, "chat");
    kit_count_wait(&chat.messages, 1, "messages find it");
    assert_true(lp2p_node_is_connected(node, lp2p_node_peer_id(other)));
    lp2p_node_free(node);
    lp2p_node_free(other);
}

static void test_protocols_many(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node();
    struct chat chat;
    for (int i = 0; i < 100; i++) { /* comes and goes; nothing is left behind */
        struct lp2p_handler handler = handler_of(&chat, "chat");
        assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK);
        assert_int_equal(kit_count_get(&chat.starts), 1);
        assert_int_equal(lp2p_node_unregister(node, "chat"), LP2P_OK);
    }
    struct chat chats[130];
    int registered = 0;
    for (int i = 0; i < 130; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "p%d", i);
        struct lp2p_handler handler = handler_of(&chats[i], name);
        enum lp2p_err err = lp2p_node_register(node, &handler);
        assert_true(err == LP2P_OK || (err == LP2P_ELIMIT && i >= 128));
        registered += err == LP2P_OK;
    }
    assert_int_equal(registered, 128);
    lp2p_node_free(node);
}

static void test_protocols_stop_while_blocked(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node(), *other = kit_node();
    struct chat chat;
    struct lp2p_handler handler = handler_of(&chat, "chat");
    chat.blocks = true;
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK);
    kit_connect(other, node);
    pthread_mutex_lock(&chat.gate);
    send(other, node, "chat");
    struct lp2p_stats stats;
    do {
        assert_int_equal(lp2p_node_stats(node, &stats), LP2P_OK);
    } while (stats.messages_in < 1);
    (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    pthread_mutex_unlock(&chat.gate); /* returns while the node is being stopped */
    assert_int_equal(lp2p_node_stop(node), LP2P_OK);
    lp2p_node_free(node);
    lp2p_node_free(other);
}

static bool none_is_active(void *arg)
{
    struct lp2p_registry *registry = &((struct lp2p_node *)arg)->registry;
    pthread_mutex_lock(&registry->lock);
    bool none = lp2p_list_empty(&registry->active);
    pthread_mutex_unlock(&registry->lock);
    return none;
}

static bool registrar_is_new(void *arg)
{
    struct lp2p_stats stats;
    return lp2p_node_stats(arg, &stats) == LP2P_OK && stats.restarts >= 1;
}

static bool is_done(void *arg)
{
    return kit_count_get(&((struct unregistering *)arg)->done) > 0;
}

/* Who was told of the end of a protocol fails before it comes: its successor sees to it. */
static void test_protocols_unregister_survives_the_registrar(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node(), *other = kit_node();
    struct chat chat, again;
    struct lp2p_handler handler = handler_of(&chat, "chat"), next = handler_of(&again, "chat");
    chat.blocks = true;
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK);
    hold_in_handler(&chat, node, other);
    struct unregistering job = {.node = node};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, unregister, &job), 0);
    kit_until(none_is_active, node, "it leaves");
    assert_int_equal(lp2p_node_fail_actor(node, "registrar"), LP2P_OK);
    kit_until(registrar_is_new, node, "the registrar's restart");
    pthread_mutex_unlock(&chat.gate);
    kit_until(is_done, &job, "the end of the protocol");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(lp2p_node_register(node, &next), LP2P_OK);
    send(other, node, "chat");
    kit_count_wait(&again.messages, 1, "a message to the new one");
    lp2p_node_free(node);
    lp2p_node_free(other);
}

/* ---- unregistered by one thread while another one starts it */

static enum lp2p_err slow_start(void *user, struct lp2p_node *node, unsigned restarts)
{
    (void)node;
    (void)restarts;
    struct chat *chat = user;
    kit_count_up(&chat->starts);
    pthread_mutex_lock(&chat->gate);
    pthread_mutex_unlock(&chat->gate);
    return LP2P_EIO;
}

struct registering {
    struct lp2p_node *node;
    const struct lp2p_handler *handler;
};

static void *register_it(void *arg)
{
    const struct registering *job = arg;
    (void)!lp2p_node_register(job->node, job->handler);
    return NULL;
}

/* Its first start fails after it was unregistered: it is gone once, and others find room. */
static void test_protocols_unregister_a_start_that_fails(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node();
    struct chat chat, other;
    struct lp2p_handler handler = handler_of(&chat, "chat"), next = handler_of(&other, "other");
    handler.on_start = slow_start;
    struct registering job = {node, &handler};
    struct unregistering end = {.node = node};
    pthread_t threads[2];
    pthread_mutex_lock(&chat.gate);
    assert_int_equal(pthread_create(&threads[0], NULL, register_it, &job), 0);
    kit_count_wait(&chat.starts, 1, "the start");
    assert_int_equal(pthread_create(&threads[1], NULL, unregister, &end), 0);
    kit_until(none_is_active, node, "it leaves");
    pthread_mutex_unlock(&chat.gate);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(lp2p_node_register(node, &next), LP2P_OK);
    assert_int_equal(node->registry.len, 1);
    lp2p_node_free(node);
}

/* The order to start it comes when it has been unregistered: nobody starts what nobody holds any more. */
static void test_protocols_start_that_comes_too_late(void **state)
{
    (void)state;
    struct lp2p_node *node = kit_node();
    struct chat chat, other;
    struct lp2p_handler handler = handler_of(&chat, "chat"), next = handler_of(&other, "other");
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK);
    struct lp2p_registry *registry = &node->registry;
    pthread_mutex_lock(&registry->lock);
    struct lp2p_protocol *protocol = LP2P_LIST_ENTRY(registry->active.next, struct lp2p_protocol, link);
    protocol->refs++; /* as lp2p_node_start holds one */
    pthread_mutex_unlock(&registry->lock);
    assert_int_equal(lp2p_node_unregister(node, "chat"), LP2P_OK);
    pthread_mutex_lock(&registry->lock);
    protocol->ref = LP2P_REF_NONE; /* it was not started yet */
    pthread_mutex_unlock(&registry->lock);
    assert_int_equal(lp2p_registrar_spawn(node, protocol), LP2P_OK);
    assert_int_equal(lp2p_node_register(node, &next), LP2P_OK); /* the next order */
    pthread_mutex_lock(&registry->lock);
    assert_int_equal(protocol->ref.slot, 0);
    pthread_mutex_unlock(&registry->lock);
    assert_int_equal(kit_count_get(&chat.starts), 1);
    /* Nor is it said to run again. */
    lp2p_protocol_set_state(registry, protocol, LP2P_PROTOCOL_RUNNING, LP2P_OK);
    assert_int_equal(protocol->state, LP2P_PROTOCOL_ENDED);
    lp2p_protocol_unref(registry, protocol);
    lp2p_node_free(node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocols_refused),
        cmocka_unit_test(test_protocols_before_start),
        cmocka_unit_test(test_protocols_block),
        cmocka_unit_test(test_protocols_unregister_waits),
        cmocka_unit_test(test_protocols_unregister_itself),
        cmocka_unit_test(test_protocols_fail_and_restart),
        cmocka_unit_test(test_protocols_many),
        cmocka_unit_test(test_protocols_stop_while_blocked),
        cmocka_unit_test(test_protocols_unregister_survives_the_registrar),
        cmocka_unit_test(test_protocols_unregister_a_start_that_fails),
        cmocka_unit_test(test_protocols_start_that_comes_too_late),
    };
    return cmocka_run_group_tests_name("api_protocols", tests, NULL, NULL);
}
