/* SPDX-License-Identifier: MIT
 * A network of kad machines in virtual time: latency, loss, dead, slow and lying nodes, all from one seed. It
 * plays the part of the owner of each machine: carries messages, tells of peers seen, keeps an address book,
 * and ticks. */
#ifndef LP2P_TESTS_SIM_DHT_NET_H
#define LP2P_TESTS_SIM_DHT_NET_H

#include "base/heap.h"
#include "dht/kad.h"
#include "dht/key.h"

#define NET_NODES_MAX 1024
#define NET_EPOCH_MS UINT64_C(1700000000000)

enum net_manner {
    NET_HONEST,
    NET_DEAD,    /* does not answer a dial */
    NET_GARBAGE, /* answers with random bytes */
    NET_SLOW,    /* answers after 9.9 s */
    NET_MUTE,    /* takes requests and never answers */
};

struct net_node {
    struct net *net;
    unsigned index;
    enum net_manner manner;
    bool server;
    struct lp2p_kad *kad;
    struct lp2p_kad_peer self;
    struct lp2p_kad_key key;
    uint8_t met[NET_NODES_MAX / 8]; /* the address book: whose addresses this node knows */
    size_t served;
    struct lp2p_heap_node timer; /* among the network's timers */
};

/** How a query has ended. */
struct net_result {
    unsigned done; /* QUERY_DONE seen: must be 1 at last */
    enum lp2p_err reason;
    lp2p_time started, ended;
    size_t peers_len, providers_len, sent;
    unsigned peers[512];     /* node indexes */
    unsigned providers[512]; /* from PROVIDER events */
    size_t value_len;
    uint8_t value[LP2P_KAD_VALUE_MAX];
};

struct net {
    struct lp2p_rand_seeded gen;
    struct lp2p_rand rand;
    lp2p_time now;
    uint64_t latency_min_ns, latency_max_ns;
    unsigned loss_percent;
    unsigned nodes_len;
    struct net_node nodes[NET_NODES_MAX];
    struct lp2p_heap flying; /* struct flight */
    struct lp2p_heap timers; /* struct net_node */
    uint64_t trace;          /* hash over everything that was delivered: equal for equal seeds */
    size_t delivered;
    unsigned watched_node; /* the query under observation */
    uint64_t watched_query;
    struct net_result result;
};

void net_init(struct net *net, uint64_t seed);
void net_fini(struct net *net);
/** A node with the given configuration (self is filled in); returns its index. */
unsigned net_add(struct net *net, const struct lp2p_kad_config *config);
/** `servers` default servers, each of which knows a few of the earlier ones and then bootstraps; runs until
 * they have settled. */
void net_grow(struct net *net, unsigned servers, const struct lp2p_kad_config *config);
void net_run(struct net *net, uint64_t span_ns);
/** Runs until the query of the node has ended (fails the test after ten minutes) and returns how it ended. */
const struct net_result *net_wait(struct net *net, unsigned node, uint64_t query);
/** The node learns of the other one as its owner would from identify. */
void net_introduce(struct net *net, unsigned node, unsigned other);
/** Takes the events of a node, after a call into its machine. */
void net_pump(struct net *net, unsigned node);
uint64_t net_wall(const struct net *net);
/** True indexes of the max servers nearest to the raw key that answer honestly, without `except`. */
size_t net_truth(const struct net *net, struct lp2p_span raw, unsigned except, unsigned *out, size_t max);

#endif
