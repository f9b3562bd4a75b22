/* SPDX-License-Identifier: MIT */
#include "net.h"

#include "base/check.h"

#include <stdlib.h>

#define DIAL_FAILS_AFTER LP2P_SEC(3)
#define SLOW_ANSWER LP2P_MS(9900)

enum flight_kind { FLIGHT_REQUEST, FLIGHT_RESPONSE, FLIGHT_FAILURE };

struct flight {
    struct lp2p_heap_node when;
    enum flight_kind kind;
    unsigned from, to; /* node indexes */
    uint64_t request;  /* of the node that asked; 0: no answer is expected */
    enum lp2p_err reason;
    size_t len;
    uint8_t bytes[];
};

uint64_t net_wall(const struct net *net)
{
    return NET_EPOCH_MS + net->now / 1000000;
}

void net_init(struct net *net, uint64_t seed)
{
    memset(net, 0, sizeof(*net));
    lp2p_rand_seeded_init(&net->gen, seed);
    net->rand = lp2p_rand_seeded_source(&net->gen);
    net->now = LP2P_SEC(1);
    net->latency_min_ns = LP2P_MS(10);
    net->latency_max_ns = LP2P_MS(150);
    lp2p_heap_init(&net->flying);
    lp2p_heap_init(&net->timers);
}

void net_fini(struct net *net)
{
    for (unsigned i = 0; i < net->nodes_len; i++) {
        lp2p_kad_free(net->nodes[i].kad);
    }
    struct lp2p_heap_node *node;
    while ((node = lp2p_heap_top(&net->flying)) != NULL) {
        lp2p_heap_remove(&net->flying, node);
        free(LP2P_CONTAINER_OF(node, struct flight, when));
    }
    lp2p_heap_fini(&net->flying);
    lp2p_heap_fini(&net->timers);
}

/* The index is written into the key inside of the peer id, so that a peer id leads back to its node. */
static void make_identity(struct net *net, struct net_node *node)
{
    static const uint8_t prefix[6] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
    node->self.id.len = 38;
    memcpy(node->self.id.bytes, prefix, sizeof(prefix));
    lp2p_rand_fill(&net->rand, node->self.id.bytes + 6, 32);
    node->self.id.bytes[36] = (uint8_t)(node->index >> 8);
    node->self.id.bytes[37] = (uint8_t)node->index;
    uint8_t ip[4] = {100, (uint8_t)(1 + node->index % 200), (uint8_t)(node->index >> 8),
                     (uint8_t)node->index};
    lp2p_multiaddr_from_ip_tcp(ip, 4, 4001, &node->self.addrs[0]);
    node->self.addrs_len = 1;
    node->key = lp2p_kad_key_of(lp2p_peer_id_span(&node->self.id));
}

static struct net_node *node_of(struct net *net, const struct lp2p_peer_id *id)
{
    unsigned index = id->len == 38 ? (unsigned)id->bytes[36] << 8 | id->bytes[37] : NET_NODES_MAX;
    return index < net->nodes_len && lp2p_peer_id_eq(&net->nodes[index].self.id, id) ? &net->nodes[index]
                                                                                     : NULL;
}

static bool address_book(void *ctx, const struct lp2p_peer_id *peer, struct lp2p_kad_peer *out)
{
    struct net_node *node = ctx;
    const struct net_node *other = node_of(node->net, peer);
    if (other == NULL || (node->met[other->index / 8] >> other->index % 8 & 1) == 0) {
        return false;
    }
    *out = other->self;
    return true;
}

unsigned net_add(struct net *net, const struct lp2p_kad_config *config)
{
    LP2P_CHECK(net->nodes_len < NET_NODES_MAX);
    struct net_node *node = &net->nodes[net->nodes_len];
    node->net = net;
    node->index = net->nodes_len++;
    make_identity(net, node);
    node->met[node->index / 8] |= (uint8_t)(1u << node->index % 8);
    struct lp2p_kad_config own = *config;
    own.self = node->self.id;
    own.peer_addrs = address_book;
    own.peer_addrs_ctx = node;
    node->server = own.server;
    node->kad = lp2p_kad_new(&own, &net->rand, net->now);
    LP2P_CHECK(node->kad != NULL);
    return node->index;
}

void net_introduce(struct net *net, unsigned node, unsigned other)
{
    struct net_node *to = &net->nodes[node];
    to->met[other / 8] |= (uint8_t)(1u << other % 8);
    if (net->nodes[other].server && node != other) {
        lp2p_kad_peer_seen(to->kad, &net->nodes[other].self, net->now);
    }
}

static uint64_t latency(struct net *net)
{
    uint64_t spread = net->latency_max_ns - net->latency_min_ns;
    return net->latency_min_ns + (spread == 0 ? 0 : lp2p_rand_below(&net->rand, spread));
}

static struct flight *launch(struct net *net, enum flight_kind kind, unsigned from, unsigned to,
                             uint64_t after, struct lp2p_span bytes)
{
    struct flight *flight = calloc(1, sizeof(*flight) + bytes.len);
    LP2P_CHECK(flight != NULL);
    flight->kind = kind;
    flight->from = from;
    flight->to = to;
    flight->len = bytes.len;
    if (bytes.len > 0) {
        memcpy(flight->bytes, bytes.ptr, bytes.len);
    }
    LP2P_CHECK(lp2p_heap_set(&net->flying, &flight->when, net->now + after) == LP2P_OK);
    return flight;
}

static void send_request(struct net *net, struct net_node *node, const struct lp2p_kad_event *event)
{
    const struct net_node *to = node_of(net, &event->peer.id);
    if (to == NULL || to->manner == NET_DEAD || event->peer.addrs_len == 0) {
        struct flight *flight =
            launch(net, FLIGHT_FAILURE, node->index, node->index, DIAL_FAILS_AFTER, lp2p_span(NULL, 0));
        flight->request = event->request;
        flight->reason = event->peer.addrs_len == 0 ? LP2P_ENOADDR : LP2P_EUNREACHABLE;
    } else if (lp2p_rand_below(&net->rand, 100) >= net->loss_percent) {
        struct flight *flight =
            launch(net, FLIGHT_REQUEST, node->index, to->index, latency(net), event->message);
        flight->request = event->no_reply ? 0 : event->request;
    }
}

static void record_end(struct net *net, const struct lp2p_kad_event *event)
{
    struct net_result *result = &net->result;
    result->done++;
    result->reason = event->reason;
    result->ended = net->now;
    for (size_t i = 0; i < event->peers_len; i++) {
        const struct net_node *peer = node_of(net, &event->peers[i].id);
        result->peers[result->peers_len++] = peer == NULL ? NET_NODES_MAX : peer->index;
    }
    result->value_len = event->value.len;
    if (event->value.len > 0) {
        memcpy(result->value, event->value.ptr, event->value.len);
    }
}

static void set_timer(struct net *net, struct net_node *node)
{
    lp2p_time when = node->manner == NET_DEAD ? LP2P_NEVER : lp2p_kad_deadline(node->kad);
    LP2P_CHECK(lp2p_heap_set(&net->timers, &node->timer, when) == LP2P_OK);
}

void net_pump(struct net *net, unsigned index)
{
    static struct lp2p_kad_event event;
    struct net_node *node = &net->nodes[index];
    for (;;) {
        lp2p_kad_next(node->kad, &event, net->now);
        bool watched = index == net->watched_node && event.query != 0 && event.query == net->watched_query;
        switch (event.kind) {
        case LP2P_KAD_NONE:
            set_timer(net, node);
            return;
        case LP2P_KAD_SEND:
            net->result.sent += watched;
            send_request(net, node, &event);
            break;
        case LP2P_KAD_CANCELED:
            break; /* what arrives later is fed all the same: the machine has to cope with it */
        case LP2P_KAD_PROVIDER:
            if (watched) {
                const struct net_node *peer = node_of(net, &event.peer.id);
                net->result.providers[net->result.providers_len++] =
                    peer == NULL ? NET_NODES_MAX : peer->index;
            }
            break;
        case LP2P_KAD_QUERY_DONE:
            if (watched) {
                record_end(net, &event);
            }
            break;
        }
    }
}

static void answer(struct net *net, const struct flight *request, struct lp2p_span bytes, bool reset,
                   uint64_t after)
{
    if (request->request == 0 || lp2p_rand_below(&net->rand, 100) < net->loss_percent) {
        return;
    }
    struct flight *flight = launch(net, reset ? FLIGHT_FAILURE : FLIGHT_RESPONSE, request->to, request->from,
                                   after + latency(net), bytes);
    flight->request = request->request;
    flight->reason = LP2P_ERESET;
}

static void deliver_request(struct net *net, const struct flight *flight)
{
    static uint8_t out[LP2P_KAD_REQUEST_MAX];
    struct net_node *node = &net->nodes[flight->to];
    struct net_node *from = &net->nodes[flight->from];
    node->served++;
    if (node->manner == NET_GARBAGE) {
        lp2p_rand_fill(&net->rand, out, 200);
        answer(net, flight, lp2p_span(out, lp2p_rand_below(&net->rand, 200)), false, 0);
        return;
    }
    if (node->manner == NET_MUTE || node->manner == NET_DEAD) {
        return;
    }
    net_introduce(net, flight->to, flight->from);
    size_t len = 0;
    enum lp2p_err err = lp2p_kad_serve(node->kad, &from->self.id, lp2p_span(flight->bytes, flight->len),
                                       net->now, net_wall(net), out, sizeof(out), &len);
    answer(net, flight, lp2p_span(out, len), err != LP2P_OK, node->manner == NET_SLOW ? SLOW_ANSWER : 0);
    net_pump(net, flight->to);
}

static void deliver(struct net *net, const struct flight *flight)
{
    struct net_node *node = &net->nodes[flight->to];
    net->delivered++;
    net->trace =
        (net->trace ^ net->now ^ flight->from * 31u ^ flight->to * 17u ^ flight->len) * 0x100000001b3u;
    switch (flight->kind) {
    case FLIGHT_REQUEST:
        deliver_request(net, flight);
        return;
    case FLIGHT_RESPONSE:
        if (net->nodes[flight->from].manner == NET_HONEST) {
            net_introduce(net, flight->to, flight->from);
        }
        lp2p_kad_feed(node->kad, flight->request, lp2p_span(flight->bytes, flight->len), net->now,
                      net_wall(net));
        break;
    case FLIGHT_FAILURE:
        lp2p_kad_fail(node->kad, flight->request, flight->reason, net->now);
        break;
    }
    net_pump(net, flight->to);
}

/* One step: the next delivery or the next tick. False when nothing happens before `until`. */
static bool step(struct net *net, lp2p_time until)
{
    lp2p_time tick = lp2p_heap_deadline(&net->timers);
    lp2p_time when = lp2p_time_min(tick, lp2p_heap_deadline(&net->flying));
    if (when > until) {
        net->now = LP2P_MAX(net->now, until);
        return false;
    }
    net->now = LP2P_MAX(net->now, when);
    if (tick == when) {
        struct net_node *node = LP2P_CONTAINER_OF(lp2p_heap_top(&net->timers), struct net_node, timer);
        lp2p_kad_tick(node->kad, net->now, net_wall(net));
        net_pump(net, node->index);
        LP2P_CHECK(node->timer.place == 0 || node->timer.when > net->now); /* or the owner would spin */
        return true;
    }
    struct lp2p_heap_node *top = lp2p_heap_top(&net->flying);
    struct flight *flight = LP2P_CONTAINER_OF(top, struct flight, when);
    lp2p_heap_remove(&net->flying, top);
    deliver(net, flight);
    free(flight);
    return true;
}

void net_run(struct net *net, uint64_t span_ns)
{
    lp2p_time until = net->now + span_ns;
    while (step(net, until)) {
    }
}

const struct net_result *net_wait(struct net *net, unsigned node, uint64_t query)
{
    LP2P_CHECK(query != 0);
    memset(&net->result, 0, offsetof(struct net_result, value));
    net->result.started = net->now;
    net->watched_node = node;
    net->watched_query = query;
    net_pump(net, node);
    lp2p_time until = net->now + LP2P_SEC(600);
    while (net->result.done == 0 && step(net, until)) {
    }
    LP2P_CHECK(net->result.done == 1);
    return &net->result;
}

void net_grow(struct net *net, unsigned servers, const struct lp2p_kad_config *config)
{
    for (unsigned i = 0; i < servers; i++) {
        unsigned node = net_add(net, config);
        for (unsigned known = 0; known < 3 && node > 0; known++) {
            unsigned other = (unsigned)lp2p_rand_below(&net->rand, LP2P_MIN(node, 8u));
            net_introduce(net, node, other);
            net_introduce(net, other, node);
        }
        lp2p_kad_bootstrap(net->nodes[node].kad, net->now);
        net_pump(net, node);
        net_run(net, LP2P_MS(50));
    }
    net_run(net, LP2P_SEC(120));
}

size_t net_truth(const struct net *net, struct lp2p_span raw, unsigned except, unsigned *out, size_t max)
{
    struct lp2p_kad_key target = lp2p_kad_key_of(raw);
    size_t len = 0;
    for (unsigned i = 0; i < net->nodes_len; i++) {
        if (i == except || !net->nodes[i].server || net->nodes[i].manner != NET_HONEST) {
            continue;
        }
        size_t at = LP2P_MIN(len, max - 1);
        if (len == max && lp2p_kad_key_compare(&target, &net->nodes[i].key, &net->nodes[out[at]].key) >= 0) {
            continue;
        }
        while (at > 0 &&
               lp2p_kad_key_compare(&target, &net->nodes[i].key, &net->nodes[out[at - 1]].key) < 0) {
            out[at] = out[at - 1];
            at--;
        }
        out[at] = i;
        len = LP2P_MIN(len + 1, max);
    }
    return len;
}
