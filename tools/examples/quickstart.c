/* SPDX-License-Identifier: MIT */
#include <lotus/p2p.h>
#include <stdio.h>

/* Alice's protocol "chat": runs on a thread of its own, may block, and here it answers. */
static enum lp2p_err on_chat(void *user, struct lp2p_node *node, const struct lp2p_message *message, const char *peer)
{
    const struct lp2p_message answer = {.type = "data-message", .payload = "{\"text\":\"hello, Bob\"}"};
    (void)user, printf("Alice got %s from %s\n", message->payload, peer);
    return lp2p_node_send_to(node, peer, &answer, NULL, NULL); /* the last NULL: nobody waits for it */
}

int main(void)
{
    char detail[LP2P_DETAIL_MAX] = "", addr[1][LP2P_ADDR_TEXT_MAX];
    struct lp2p_node *alice = NULL, *bob = NULL;
    struct lp2p_event *event = NULL;
    struct lp2p_handler chat = {.size = sizeof(chat), .name = "chat", .handle_message = on_chat};
    const struct lp2p_message hello = {.type = "data-message", .protocol = "chat", .payload = "{\"text\":\"hello, Alice\"}"};
    struct lp2p_config *config = lp2p_config_new(); /* noise and tls, yamux, a new identity for each node */
    lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0");
    int bad = lp2p_node_new(config, &alice, detail) || lp2p_node_new(config, &bob, detail) || lp2p_node_register(alice, &chat) ||
              lp2p_node_start(alice, detail) || lp2p_node_start(bob, detail) || lp2p_node_addrs(alice, addr, 1) == 0;
    struct lp2p_op *op = NULL; /* what takes time gives an operation: wait, poll its descriptor, or be called back */
    bad = bad || lp2p_node_connect(bob, addr[0], &op) || lp2p_op_wait(op, 30000) || lp2p_op_result(op);
    bad = bad || lp2p_node_send_to(bob, lp2p_node_peer_id(alice), &hello, NULL, NULL);
    while (!bad && (event = lp2p_node_next_event(bob, 30000)) != NULL && event->kind != LP2P_EVENT_MESSAGE) {
        lp2p_event_free(event);
    }
    bad = event == NULL;
    printf("%s %s\n", bad ? "no answer:" : "Bob got", !bad ? event->message->payload : op != NULL ? lp2p_op_detail(op) : detail);
    lp2p_event_free(event), lp2p_op_free(op), lp2p_config_free(config), lp2p_node_free(bob), lp2p_node_free(alice);
    return bad;
}
