/* SPDX-License-Identifier: MIT
 * Small nodes for tests of the link: real listener, dialer, upgrades, connections and muxers under a swarm of
 * a few lines, and a worker that owns streams of every temper. The same world runs on threads over loopback
 * and under virtual time.
 *
 * Protocols of each node: /echo (worker), /echo-resident, /sink, /stall (takes and never consumes, until
 * released), /abort (resets at the first byte), /fail (an actor of its own that fails at the first byte),
 * /few (an echo, two streams in a connection). */
#ifndef LP2P_TESTS_LINK_WORLD_H
#define LP2P_TESTS_LINK_WORLD_H

#include "actors/context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum world_mode {
    WORLD_THREADS,   /* a thread for each connection */
    WORLD_SHARED_IO, /* one io thread for all */
    WORLD_SIM,
};

/** What happened on one node; read it with world_look, under the world's lock. */
struct record {
    unsigned upgraded, links_up, links_ended, wrong_ends, dials_ended, listening;
    enum lp2p_err link_reason, dial_reason;
    char dial_text[512];
    struct lp2p_ref muxer, connection; /* of the newest link */
    struct lp2p_peer_id peer;
    struct lp2p_multiaddr addr; /* listened on */
    uint32_t status_streams;
    /* the worker */
    unsigned opened_in, opened_out, open_failed, done, eofs, resets;
    enum lp2p_err open_reason, reset_reason;
    char open_text[256];
    uint64_t bytes_in, bytes_out, mismatches, credits, pieces; /* credits and data: words of them */
};

struct world;
struct node;

struct world *world_new(enum world_mode mode);
/** Stops all nodes and checks that nothing is left: no upgrade pending, no stream open, no descriptor
 * (simulation). */
void world_free(struct world *world);
/** A node that listens; the world holds up to 8. */
struct node *world_node(struct world *world, const struct lp2p_mux_ops *mux);
/** The same with another table of the network, made from the one the node would have had. */
typedef void (*world_tamper)(struct lp2p_net *net, void *arg);
struct node *world_node_with(struct world *world, const struct lp2p_mux_ops *mux, world_tamper tamper,
                             void *arg);
/** Called for every node that is made from now on, before it starts. */
typedef void (*world_prepare)(struct lp2p_context *ctx, struct lp2p_listener_arg *listener, void *arg);
void world_prepare_nodes(struct world *world, world_prepare prepare, void *arg);
/** Nodes made from now on have a resolver: /dns4/lan.* leads to 10.0.9.9, every other name to 8.8.8.8, port 1. */
void world_resolve(struct world *world);
/** A certain machine without a node (simulation): 10.0.(n / 256).(n % 256). */
const struct lp2p_net *world_machine(struct world *world, unsigned n);
/** The network of a machine without a node. */
const struct lp2p_net *world_stranger(struct world *world);
lp2p_time world_now(struct world *world);
bool world_is_simulated(const struct world *world);

struct lp2p_context *node_ctx(struct node *node);
struct lp2p_rt *node_rt(struct node *node);
/** Its address, without /p2p. */
const struct lp2p_multiaddr *node_addr(struct node *node);
struct record node_look(struct node *node);

/** Waits until pred says so (a minute, real or virtual). */
bool world_until(struct world *world, bool (*pred)(struct node *node, const void *arg), struct node *node,
                 const void *arg);
/** Lets virtual time pass. */
void world_pass(struct world *world, uint64_t span_ns);
/** From now on each direction of a connection carries so many bytes in a second (simulation). */
void world_slow(struct world *world, uint64_t bytes_per_s);

/** Sends DIAL to the dialer; peer may be NULL. Returns the number of the dial. */
uint64_t node_dial(struct node *node, const struct lp2p_multiaddr *addrs, size_t len,
                   const struct lp2p_peer_id *peer);
/** Dials `to` and waits until both ends are up. */
void node_connect(struct node *from, struct node *to);

/** Streams that the worker opens on the newest link. */
struct order {
    const char *protocols[2];
    unsigned streams;
    uint64_t bytes; /* written on each, then half closed; echoed bytes are compared */
    bool hold_open; /* no half close */
    bool lazy;      /* opened before the other side has agreed */
    uint32_t piece; /* bytes in one write; 0: 16 KiB */
};
void node_order(struct node *node, struct order order);
/** Streams of /stall consume what they hold, and go on as /sink. */
void node_release(struct node *node);
void node_close_link(struct node *node, enum lp2p_err reason);
/** The same without insisting that the receiver is there. */
void node_try_order(struct node *node, struct order order);
void node_try_close_link(struct node *node, enum lp2p_err reason);
void node_fail(struct node *node, struct lp2p_ref who);

/* Predicates for world_until; arg points to an unsigned. */
bool at_least_links_up(struct node *node, const void *arg);
bool at_least_links_ended(struct node *node, const void *arg);
bool at_least_dials_ended(struct node *node, const void *arg);
bool at_least_done(struct node *node, const void *arg);
bool at_least_resets(struct node *node, const void *arg);
bool at_least_open_failed(struct node *node, const void *arg);
bool at_least_opened_in(struct node *node, const void *arg);
bool at_least_opened_out(struct node *node, const void *arg);
bool at_least_failed_upgrades(struct node *node, const void *arg);
bool no_upgrade_pending(struct node *node, const void *arg);
bool no_stream_open(struct node *node, const void *arg);
#define WAIT_FOR(world, pred, node, n) assert_true(world_until(world, pred, node, &(const unsigned){n}))

/* link_worker.c, for link_world.c only */
extern const struct lp2p_actor_ops world_worker_ops; /* arg: struct node * */
extern const struct lp2p_msg_class WORLD_ORDER, WORLD_RELEASE;
struct world_order {
    struct lp2p_msg msg;
    struct order order;
    struct lp2p_ref muxer;
};
/** The node's record, locked. */
struct record *node_record_lock(struct node *node);
void node_record_unlock(struct node *node);

#endif
