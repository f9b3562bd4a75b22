/* SPDX-License-Identifier: MIT
 * A node that answers each message to its protocol "chat" with one of its own, on a stream that it opens: the partner of peers
 * that cannot be dialed, such as a browser. `answer LISTEN...` listens there, serves the DHT, prints JSON lines, and ends when its
 * standard input does. A line `broadcast` there sends one to all peers by CROWD, and tells what became of it. */
#include "actors/p2p.h"

#include <stdio.h>
#include <string.h>

#define CROWD "/crowd/1.0.0"

static enum lp2p_err on_chat(void *user, struct lp2p_node *node, const struct lp2p_message *message, const char *peer)
{
    (void)user;
    char payload[4096];
    (void)snprintf(payload, sizeof(payload), "{\"answer_to\":%s}", message->payload != NULL ? message->payload : "null");
    const struct lp2p_message answer = {.type = "data-message", .protocol = "chat", .payload = payload};
    struct lp2p_op *op = NULL;
    enum lp2p_err err = lp2p_node_send_to(node, peer, &answer, NULL, &op);
    if (err == LP2P_OK) {
        err = lp2p_op_wait(op, 10000);
        err = err == LP2P_OK ? lp2p_op_result(op) : err;
        lp2p_op_free(op);
    }
    printf("{\"event\":\"answered\",\"peer\":\"%s\",\"result\":%d,\"payload\":%s}\n", peer, err, payload);
    return err;
}

/* What a peer has told of itself. */
static void on_updated(void *user, struct lp2p_node *node, const struct lp2p_peer *peer)
{
    (void)user;
    (void)node;
    bool speaks = false;
    for (size_t i = 0; i < peer->protocols_len; i++) {
        speaks = speaks || strcmp(peer->protocols[i], CROWD) == 0;
    }
    printf("{\"event\":\"update\",\"peer\":\"%s\",\"protocols\":%zu,\"crowd\":%s}\n", peer->id, peer->protocols_len,
           speaks ? "true" : "false");
}

static void broadcast(struct lp2p_node *node)
{
    const struct lp2p_message message = {.type = "data-broadcast", .payload = "\"to all\""};
    const struct lp2p_broadcast options = {.stream_protocol = CROWD};
    struct lp2p_op *op = NULL;
    struct lp2p_stats stats = {0};
    enum lp2p_err err = lp2p_node_broadcast(node, &message, &options, &op);
    err = err != LP2P_OK ? err : lp2p_op_wait(op, -1);
    (void)lp2p_node_stats(node, &stats);
    printf("{\"event\":\"broadcast\",\"result\":%d,\"reached\":%llu,\"left_out\":%llu,\"not_asked\":%llu}\n", err,
           (unsigned long long)(err == LP2P_OK ? lp2p_op_number(op) : 0),
           (unsigned long long)(err == LP2P_OK ? lp2p_op_left_out(op) : 0), (unsigned long long)stats.messages_left_out);
    lp2p_op_free(op);
}

static int fail(const char *what, enum lp2p_err err, const char *detail)
{
    fprintf(stderr, "answer: %s: %s %s\n", what, lp2p_strerror(err), detail);
    return 1;
}

static int run(struct lp2p_node *node)
{
    const struct lp2p_handler chat = {.size = sizeof(chat), .name = "chat", .handle_message = on_chat, .on_peer_updated = on_updated};
    char detail[LP2P_DETAIL_MAX] = "", addrs[8][LP2P_ADDR_TEXT_MAX];
    enum lp2p_err err = lp2p_node_register(node, &chat);
    if (err == LP2P_OK) {
        err = lp2p_node_start(node, detail);
    }
    if (err != LP2P_OK) {
        return fail("start", err, detail);
    }
    size_t len = lp2p_node_addrs(node, addrs, 8);
    printf("{\"event\":\"ready\",\"peer\":\"%s\",\"addrs\":[", lp2p_node_peer_id(node));
    for (size_t i = 0; i < len && i < 8; i++) {
        printf("%s\"%s\"", i > 0 ? "," : "", addrs[i]);
    }
    printf("]}\n");
    char line[64];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strcmp(line, "broadcast\n") == 0) {
            broadcast(node);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX] = "";
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    enum lp2p_err err = config == NULL ? LP2P_ENOMEM : lp2p_config_dht(config, "server", NULL);
    for (int i = 1; i < argc && err == LP2P_OK; i++) {
        err = lp2p_config_listen(config, argv[i]);
    }
    if (err == LP2P_OK) {
        err = lp2p_node_new(config, &node, detail);
    }
    lp2p_config_free(config);
    if (err != LP2P_OK) {
        return fail("configuration", err, detail);
    }
    int code = run(node);
    lp2p_node_free(node);
    return code;
}
