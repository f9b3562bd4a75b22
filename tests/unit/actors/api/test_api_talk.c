/* SPDX-License-Identifier: MIT
 * Nodes of one process that talk over loopback through the public API: connections, messages, events. */
#include "kit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct inbox {
    struct kit_count count;
    pthread_mutex_t lock;
    char type[64], payload[256], peer[LP2P_PEER_TEXT_MAX];
};

static enum lp2p_err keep(void *user, struct lp2p_node *node, const struct lp2p_message *message,
                          const char *peer)
{
    (void)node;
    struct inbox *inbox = user;
    pthread_mutex_lock(&inbox->lock);
    (void)snprintf(inbox->type, sizeof(inbox->type), "%s", message->type);
    (void)snprintf(inbox->payload, sizeof(inbox->payload), "%s",
                   message->payload == NULL ? "(none)" : message->payload);
    (void)snprintf(inbox->peer, sizeof(inbox->peer), "%s", peer);
    pthread_mutex_unlock(&inbox->lock);
    kit_count_up(&inbox->count);
    return LP2P_OK;
}

static void listen_for(struct lp2p_node *node, const char *name, struct inbox *inbox)
{
    *inbox = (struct inbox){.lock = PTHREAD_MUTEX_INITIALIZER};
    struct lp2p_handler handler = {
        .size = sizeof(handler), .name = name, .user = inbox, .handle_message = keep};
    assert_int_equal(lp2p_node_register(node, &handler), LP2P_OK);
}

static enum lp2p_err send_text(struct lp2p_node *from, struct lp2p_node *to, const char *protocol,
                               const char *payload)
{
    const struct lp2p_message message = {.type = "data-message", .protocol = protocol, .payload = payload};
    struct lp2p_op *op = NULL;
    enum lp2p_err err = lp2p_node_send_to(from, lp2p_node_peer_id(to), &message, NULL, &op);
    return err != LP2P_OK ? err : kit_finish(op);
}

static void test_talk_two(void **state)
{
    (void)state;
    struct lp2p_node *a = kit_node(), *b = kit_node();
    struct inbox inbox;
    listen_for(b, "chat", &inbox);
    kit_connect(a, b);
    assert_true(lp2p_node_is_connected(a, lp2p_node_peer_id(b)));
    assert_int_equal(send_text(a, b, "chat", "{\"text\":\"hello\"}"), LP2P_OK);
    kit_count_wait(&inbox.count, 1, "the message arrives");
    pthread_mutex_lock(&inbox.lock);
    assert_string_equal(inbox.type, "data-message");
    assert_string_equal(inbox.payload, "{\"text\":\"hello\"}");
    assert_string_equal(inbox.peer, lp2p_node_peer_id(a));
    pthread_mutex_unlock(&inbox.lock);
    lp2p_node_free(a);
    lp2p_node_free(b);
}

static void test_talk_many_messages(void **state)
{
    (void)state;
    struct lp2p_node *a = kit_node(), *b = kit_node();
    struct inbox inbox;
    listen_for(b, "chat", &inbox);
    kit_connect(a, b);
    struct lp2p_op *ops[200];
    const struct lp2p_message message = {.type = "t", .protocol = "chat"};
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(lp2p_node_send_to(a, lp2p_node_peer_id(b), &message, NULL, &ops[i]), LP2P_OK);
    }
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(kit_finish(ops[i]), LP2P_OK);
    }
    kit_count_wait(&inbox.count, 200, "200 messages arrive");
    struct lp2p_stats stats;
    assert_int_equal(lp2p_node_stats(b, &stats), LP2P_OK);
    assert_int_equal(stats.messages_in, 200);
    assert_int_equal(stats.connections, 1);
    lp2p_node_free(a);
    lp2p_node_free(b);
}

static void test_talk_ping(void **state)
{
    (void)state;
    struct lp2p_node *a = kit_node(), *b = kit_node();
    char addr[LP2P_ADDR_TEXT_MAX];
    kit_addr(b, addr);
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_ping(a, addr, &op), LP2P_OK); /* dials */
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    assert_true(lp2p_op_number(op) > 0);
    lp2p_op_free(op);
    lp2p_node_free(a);
    lp2p_node_free(b);
}

/* ---- five nodes */

#define MANY 5

static uint64_t broadcast(struct lp2p_node *node, const struct lp2p_broadcast *options)
{
    const struct lp2p_message message = {.type = "data-broadcast", .protocol = "chat", .payload = "[1]"};
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_broadcast(node, &message, options, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    uint64_t reached = lp2p_op_number(op);
    lp2p_op_free(op);
    return reached;
}

static void test_talk_broadcast(void **state)
{
    (void)state;
    struct lp2p_node *nodes[MANY];
    struct inbox inboxes[MANY];
    for (int i = 0; i < MANY; i++) {
        nodes[i] = kit_node();
        listen_for(nodes[i], "chat", &inboxes[i]);
        if (i > 0) {
            kit_connect(nodes[0], nodes[i]);
        }
    }
    assert_int_equal(broadcast(nodes[0], NULL), 4);
    for (int i = 0; i < MANY; i++) {
        kit_count_wait(&inboxes[i].count, 1, "everyone gets it, the sender too");
    }
    const char *one = lp2p_node_peer_id(nodes[1]),
               *two[] = {lp2p_node_peer_id(nodes[2]), lp2p_node_peer_id(nodes[3])};
    assert_int_equal(broadcast(nodes[0], &(struct lp2p_broadcast){.exclude = &one, .exclude_len = 1}), 3);
    for (int i = 2; i < MANY; i++) {
        kit_count_wait(&inboxes[i].count, 2, "all but the excluded get it");
    }
    assert_int_equal(
        broadcast(nodes[0], &(struct lp2p_broadcast){.include_only = two, .include_only_len = 2}), 2);
    kit_count_wait(&inboxes[2].count, 3, "who is included gets it");
    kit_count_wait(&inboxes[3].count, 3, "who is included gets it");
    kit_count_wait(&inboxes[0].count, 3, "the sender's own handler");
    assert_int_equal(kit_count_get(&inboxes[1].count), 1);
    assert_int_equal(kit_count_get(&inboxes[4].count), 2);
    for (int i = 0; i < MANY; i++) {
        lp2p_node_free(nodes[i]);
    }
}

/* ---- events */

static struct lp2p_event *next_of(struct lp2p_node *node, enum lp2p_event_kind kind)
{
    for (;;) {
        struct lp2p_event *event = lp2p_node_next_event(node, KIT_WAIT_MS);
        if (event == NULL) {
            fail_msg("no event %s", lp2p_event_name(kind));
        }
        if (event->kind == kind) {
            return event;
        }
        lp2p_event_free(event);
    }
}

static void test_talk_events(void **state)
{
    (void)state;
    struct lp2p_node *a = kit_node(), *b = kit_node();
    struct lp2p_event *event = next_of(b, LP2P_EVENT_LISTENING);
    assert_non_null(strstr(event->detail, lp2p_node_peer_id(b)));
    lp2p_event_free(event);
    kit_connect(a, b);
    event = next_of(b, LP2P_EVENT_CONNECT);
    assert_string_equal(event->peer->id, lp2p_node_peer_id(a));
    assert_int_equal(event->peer->direction, LP2P_INBOUND);
    assert_string_equal(event->peer->muxer, "/yamux/1.0.0");
    lp2p_event_free(event);
    assert_int_equal(send_text(a, b, NULL, "1"), LP2P_OK);
    event = next_of(b, LP2P_EVENT_MESSAGE);
    assert_string_equal(event->message->type, "data-message");
    assert_string_equal(event->message->payload, "1");
    assert_string_equal(event->peer->id, lp2p_node_peer_id(a));
    assert_true(event->time_ms > 0);
    lp2p_event_free(event);
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_disconnect(a, lp2p_node_peer_id(b), &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_OK);
    event = next_of(b, LP2P_EVENT_DISCONNECT);
    assert_string_equal(event->peer->id, lp2p_node_peer_id(a));
    lp2p_event_free(event);
    lp2p_node_free(a);
    lp2p_node_free(b);
}

static void test_talk_peer_view(void **state)
{
    (void)state;
    struct lp2p_node *a = kit_node(), *b = kit_node();
    kit_connect(a, b);
    struct lp2p_peer *peer = NULL;
    assert_int_equal(lp2p_node_peer(a, lp2p_node_peer_id(b), &peer), LP2P_OK);
    assert_true(peer->connected);
    assert_int_equal(peer->direction, LP2P_OUTBOUND);
    assert_int_equal(peer->connections, 1);
    assert_non_null(strstr(peer->agent, "lotus-p2p/"));
    assert_string_equal(peer->security, "/noise");
    assert_true(peer->signed_record);
    assert_true(peer->addrs_len >= 1);
    bool speaks = false;
    for (size_t i = 0; i < peer->protocols_len; i++) {
        speaks = speaks || strcmp(peer->protocols[i], "/lotus/message/1.0.0") == 0;
    }
    assert_true(speaks);
    lp2p_peers_free(peer, 1);
    struct lp2p_peer *peers = NULL;
    size_t len = 0;
    assert_int_equal(lp2p_node_peers(a, true, &peers, &len), LP2P_OK);
    assert_int_equal(len, 1);
    lp2p_peers_free(peers, len);
    assert_int_equal(lp2p_node_peer(a, "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN", &peer),
                     LP2P_ENOTFOUND);
    assert_int_equal(lp2p_node_peer(a, "nonsense", &peer), LP2P_EINVAL);
    lp2p_node_free(a);
    lp2p_node_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_talk_two),    cmocka_unit_test(test_talk_many_messages),
        cmocka_unit_test(test_talk_ping),   cmocka_unit_test(test_talk_broadcast),
        cmocka_unit_test(test_talk_events), cmocka_unit_test(test_talk_peer_view),
    };
    return cmocka_run_group_tests_name("api_talk", tests, NULL, NULL);
}
