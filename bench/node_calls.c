/* SPDX-License-Identifier: MIT
 * Loads of our own node, over its public interface, by operations: connections, messages, the DHT, resources. */
#include "node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNDER_WAY_MAX 256u

/** Operations that were started and not waited for yet, oldest first. */
struct pipeline {
    struct lp2p_op *ops[UNDER_WAY_MAX];
    uint64_t begun[UNDER_WAY_MAX];
    unsigned head, len, max;
};

static void finish_oldest(struct pipeline *p, struct node_result *result)
{
    struct lp2p_op *done = NULL;
    enum lp2p_err err = node_wait(p->ops[p->head], &done);
    if (err == LP2P_OK) {
        result->count++;
        bench_samples_add(&result->latencies, node_now_ns() - p->begun[p->head]);
    } else if (result->failed++ == 0 && result->count == 0) {
        node_fail(result, "operation", err, lp2p_op_detail(done));
    }
    lp2p_op_free(done);
    p->head = (p->head + 1) % UNDER_WAY_MAX;
    p->len--;
}

static enum lp2p_err start_one(const struct node_load *l, uint64_t turn, struct lp2p_op **op)
{
    char key[64], payload[64];
    (void)snprintf(key, sizeof(key), "resource:bench:%06u", (unsigned)(turn % l->count));
    (void)snprintf(payload, sizeof(payload), "{\"seq\":%llu}", (unsigned long long)turn);
    struct lp2p_message message = {.type = "data-message", .payload = payload};
    if (strcmp(l->kind, "send") == 0) {
        return lp2p_node_send_to(l->node, l->peer, &message, NULL, op);
    }
    if (strcmp(l->kind, "broadcast") == 0) {
        return lp2p_node_broadcast(l->node, &message, NULL, op);
    }
    if (strcmp(l->kind, "announce") == 0) {
        return lp2p_node_announce(l->node, "bench", key + 15, payload, 60000, op);
    }
    if (strcmp(l->kind, "discover") == 0) {
        return lp2p_node_discover(l->node, "bench", key + 15, 10000, op);
    }
    if (strcmp(l->kind, "put") == 0) {
        return lp2p_dht_put(l->node, key, strlen(key), payload, strlen(payload), op);
    }
    if (strcmp(l->kind, "get") == 0) {
        return lp2p_dht_get(l->node, key, strlen(key), op);
    }
    return lp2p_node_connect(l->node, l->addr, op);
}

void node_load_calls(const struct node_load *l, struct node_result *result)
{
    struct pipeline p = {.max = l->parallel < UNDER_WAY_MAX ? l->parallel : UNDER_WAY_MAX};
    uint64_t begun = node_now_ns(), end = begun + (uint64_t)(l->seconds * 1e9);
    for (uint64_t turn = 0; node_now_ns() < end && result->error[0] == '\0'; turn++) {
        if (p.len == p.max) {
            finish_oldest(&p, result);
        }
        unsigned at = (p.head + p.len) % UNDER_WAY_MAX;
        p.begun[at] = node_now_ns();
        enum lp2p_err err = start_one(l, turn, &p.ops[at]);
        if (err == LP2P_OK) {
            p.len++;
        } else if (p.len > 0) {
            finish_oldest(&p, result); /* the mailbox is full */
        } else {
            node_fail(result, l->kind, err, NULL);
        }
    }
    while (p.len > 0) {
        finish_oldest(&p, result);
    }
    result->seconds = (double)(node_now_ns() - begun) / 1e9;
}

/** New connections, each from a node of its own (made before the clock starts), with identify, then closed. */
static void connections(const struct node_load *l, struct node_result *result)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node **nodes = calloc(l->count, sizeof(*nodes));
    struct lp2p_op **ops = calloc(l->count, sizeof(struct lp2p_op *));
    enum lp2p_err err = config != NULL && nodes != NULL && ops != NULL ? LP2P_OK : LP2P_ENOMEM;
    unsigned made = 0;
    if (err == LP2P_OK) {
        (void)lp2p_config_dht(config, "off", NULL);
    }
    for (; err == LP2P_OK && made < l->count; made++) {
        err = lp2p_node_new(config, &nodes[made], NULL);
        err = err == LP2P_OK ? lp2p_node_start(nodes[made], NULL) : err;
    }
    uint64_t begun = node_now_ns();
    for (unsigned from = 0, to = 0; err == LP2P_OK && from < made; from++) {
        for (; to < made && to < from + l->parallel && err == LP2P_OK; to++) {
            err = lp2p_node_connect(nodes[to], l->addr, &ops[to]);
        }
        err = err == LP2P_OK ? node_wait(ops[from], NULL) : err;
        if (err == LP2P_OK) {
            result->count++;
            err = lp2p_node_disconnect(nodes[from], l->peer, NULL);
        }
    }
    result->seconds = (double)(node_now_ns() - begun) / 1e9;
    if (err != LP2P_OK) {
        node_fail(result, "connections", err, NULL);
    }
    for (unsigned i = 0; nodes != NULL && i < made; i++) {
        lp2p_node_free(nodes[i]);
    }
    lp2p_config_free(config);
    free(nodes);
    free(ops);
}

void node_run_load(const struct node_load *load, struct node_result *result)
{
    static const char *const on_streams[] = {"up", "down", "ping", "messages", "streams"};
    struct lp2p_op *op = NULL, *done = NULL;
    if (strcmp(load->kind, "connections") == 0) {
        connections(load, result);
        return;
    }
    if (load->addr != NULL) {
        enum lp2p_err err = lp2p_node_connect(load->node, load->addr, &op);
        err = err == LP2P_OK ? node_wait(op, &done) : err;
        if (err != LP2P_OK) {
            node_fail(result, "connect", err, done != NULL ? lp2p_op_detail(done) : NULL);
        }
        lp2p_op_free(done);
    }
    for (size_t i = 0; result->error[0] == '\0' && i < sizeof(on_streams) / sizeof(on_streams[0]); i++) {
        if (strcmp(load->kind, on_streams[i]) == 0) {
            node_load_streams(load, result);
            return;
        }
    }
    if (result->error[0] == '\0') {
        node_load_calls(load, result);
    }
}
