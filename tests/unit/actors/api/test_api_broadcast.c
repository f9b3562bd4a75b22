/* SPDX-License-Identifier: MIT
 * A broadcast to a crowd of which some do not speak the protocol: these are left out without a question, and get the next one
 * when they have told that they speak it now. */
#include "kit.h"

#include <stdio.h>
#include <string.h>

#define PROTOCOL "/crowd/1.0.0"
#define CROWD 6 /* the even ones speak the protocol from the beginning */
#define ROUNDS 300

struct member {
    struct lp2p_node *node;
    struct kit_count got;
};

/* One message is one stream. */
static void take(void *user, struct lp2p_node *node, struct lp2p_stream *stream)
{
    (void)node;
    struct member *member = user;
    char bytes[1024];
    size_t len = 0;
    while (lp2p_stream_read(stream, bytes, sizeof(bytes), KIT_WAIT_MS, &len) == LP2P_OK && len > 0) {
    }
    lp2p_stream_free(stream);
    kit_count_up(&member->got);
}

static void speak(struct member *member)
{
    struct lp2p_handler handler = {
        .size = sizeof(handler), .name = "crowd", .stream_protocol = PROTOCOL, .user = member, .handle_stream = take};
    assert_int_equal(lp2p_node_register(member->node, &handler), LP2P_OK);
}

static bool has_told(const struct lp2p_node *node, const char *peer)
{
    struct lp2p_peer *view = NULL;
    bool told = false;
    if (lp2p_node_peer((struct lp2p_node *)(uintptr_t)node, peer, &view) == LP2P_OK) {
        for (size_t i = 0; i < view->protocols_len; i++) {
            told = told || strcmp(view->protocols[i], PROTOCOL) == 0;
        }
        lp2p_peers_free(view, 1);
    }
    return told;
}

struct news {
    const struct lp2p_node *node;
    const char *peer;
    bool speaks;
};

static bool news_came(void *arg)
{
    const struct news *news = arg;
    return has_told(news->node, news->peer) == news->speaks;
}

static void wait_for_news(struct member *from, struct member *of, bool speaks)
{
    struct news news = {from->node, lp2p_node_peer_id(of->node), speaks};
    kit_until(news_came, &news, "the push arrives");
}

static void crowd_start(struct member *sender, struct member crowd[CROWD])
{
    *sender = (struct member){.node = kit_node()};
    for (size_t i = 0; i < CROWD; i++) {
        crowd[i] = (struct member){.node = kit_node()};
        if (i % 2 == 0) {
            speak(&crowd[i]);
        }
        kit_connect(sender->node, crowd[i].node);
        wait_for_news(sender, &crowd[i], i % 2 == 0);
    }
}

static void crowd_stop(struct member *sender, struct member crowd[CROWD])
{
    lp2p_node_free(sender->node);
    for (size_t i = 0; i < CROWD; i++) {
        lp2p_node_free(crowd[i].node);
    }
}

static void broadcast(struct member *sender, uint64_t reached, uint64_t left_out)
{
    const struct lp2p_message message = {.type = "data-broadcast", .payload = "[1]"};
    const struct lp2p_broadcast options = {.stream_protocol = PROTOCOL};
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_broadcast(sender->node, &message, &options, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    assert_int_equal(lp2p_op_number(op), reached);
    assert_int_equal(lp2p_op_left_out(op), left_out);
    assert_int_equal(strstr(lp2p_op_detail(op), PROTOCOL) != NULL, left_out > 0);
    lp2p_op_free(op);
}

static struct lp2p_stats stats_of(const struct member *member)
{
    struct lp2p_stats stats;
    assert_int_equal(lp2p_node_stats(member->node, &stats), LP2P_OK);
    return stats;
}

struct refusals {
    const struct member *member;
    uint64_t at_least;
};

static bool refused(void *arg)
{
    const struct refusals *refusals = arg;
    return stats_of(refusals->member).streams_refused >= refusals->at_least;
}

static void test_broadcast_leaves_out_who_does_not_speak(void **state)
{
    (void)state;
    struct member sender, crowd[CROWD];
    crowd_start(&sender, crowd);
    for (int i = 0; i < ROUNDS; i++) {
        broadcast(&sender, CROWD / 2, CROWD / 2);
    }
    assert_int_equal(stats_of(&sender).messages_left_out, ROUNDS * (CROWD / 2));
    assert_int_equal(stats_of(&sender).messages_out, ROUNDS * (CROWD / 2));
    for (size_t i = 0; i < CROWD; i++) {
        assert_true(lp2p_node_is_connected(sender.node, lp2p_node_peer_id(crowd[i].node)));
        if (i % 2 == 0) {
            kit_count_wait(&crowd[i].got, ROUNDS, "who speaks it gets all of it");
        } else {
            assert_int_equal(stats_of(&crowd[i]).streams_refused, 0); /* nobody knocked */
        }
    }
    /* The control: a message to one peer asks it, each time. */
    const struct lp2p_message message = {.type = "data-message"};
    for (uint64_t i = 1; i <= 3; i++) {
        struct lp2p_op *op = NULL;
        const char *peer = lp2p_node_peer_id(crowd[1].node);
        assert_int_equal(lp2p_node_send_to(sender.node, peer, &message, PROTOCOL, &op), LP2P_OK);
        assert_int_equal(kit_finish(op), LP2P_ENEGOTIATION);
        struct refusals refusals = {&crowd[1], i};
        kit_until(refused, &refusals, "the peer counts the question");
    }
    crowd_stop(&sender, crowd);
}

static void test_broadcast_reaches_who_speaks_later(void **state)
{
    (void)state;
    struct member sender, crowd[CROWD];
    crowd_start(&sender, crowd);
    broadcast(&sender, 3, 3);
    speak(&crowd[1]);
    wait_for_news(&sender, &crowd[1], true);
    broadcast(&sender, 4, 2);
    kit_count_wait(&crowd[1].got, 1, "the next broadcast arrives");
    assert_int_equal(lp2p_node_unregister(crowd[1].node, "crowd"), LP2P_OK);
    wait_for_news(&sender, &crowd[1], false);
    broadcast(&sender, 3, 3);
    for (size_t i = 1; i < CROWD; i += 2) {
        assert_int_equal(stats_of(&crowd[i]).streams_refused, 0);
    }
    crowd_stop(&sender, crowd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broadcast_leaves_out_who_does_not_speak),
        cmocka_unit_test(test_broadcast_reaches_who_speaks_later),
    };
    return cmocka_run_group_tests_name("api_broadcast", tests, NULL, NULL);
}
