/* SPDX-License-Identifier: MIT
 * Our node as a peer of the bench, over its public interface: what the files of this program share. Commands are run one
 * after the other by the main thread. */
#ifndef LP2P_BENCH_NODE_H
#define LP2P_BENCH_NODE_H

#include "actors/p2p.h"

#include "figures.h"

#include <stdbool.h>
#include <yyjson.h>

#define NODE_BLOCK_BYTES (64u * 1024)

/** A command's arguments; missing ones have the defaults. */
struct node_load {
    struct lp2p_node *node;
    const char *kind, *addr;
    char peer[LP2P_PEER_TEXT_MAX];
    double seconds;
    unsigned parallel, count, size, depth;
};

/** What a load gives; `error` is "" when it went well. */
struct node_result {
    uint64_t count, bytes, failed;
    double seconds;
    struct bench_samples latencies;
    char error[256];
};

uint64_t node_now_ns(void);
/** Sets result->error to "what: text of err". */
void node_fail(struct node_result *result, const char *what, enum lp2p_err err, const char *detail);

/** Waits for an operation (30 s) and frees it unless `keep`. */
enum lp2p_err node_wait(struct lp2p_op *op, struct lp2p_op **keep);
struct lp2p_stream *node_open(struct lp2p_node *node, const char *peer, const char *protocol, enum lp2p_err *err);
enum lp2p_err node_write_all(struct lp2p_stream *stream, const void *bytes, size_t len);
/** Exactly len bytes; ECLOSED at the end of the stream. */
enum lp2p_err node_read_all(struct lp2p_stream *stream, void *out, size_t len);

void node_run_load(const struct node_load *load, struct node_result *result);
void node_load_streams(const struct node_load *load, struct node_result *result);
void node_load_calls(const struct node_load *load, struct node_result *result);

/** Serves /bench/msg/1.0.0: a thread for each stream. */
enum lp2p_err node_serve_messages(struct lp2p_node *node);
/** Puts peers that do not exist into the routing table; the node's own actors are told as if the peers had connected. */
enum lp2p_err node_fill_table(struct lp2p_node *node, unsigned count);

/** Counts every allocation of the program from now on in the file at `path`. False: it cannot be counted here. */
bool node_count_allocations(const char *path);
/** Muxers get io threads of their own, apart from their connections. Before the node starts. */
void node_muxer_apart(void);

#endif
