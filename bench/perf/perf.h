/* SPDX-License-Identifier: MIT
 * The perf program of the official interop suites, in both spellings: command line (old) and environment (unified). What its
 * files share. Standard output carries results only. */
#ifndef LP2P_BENCH_PERF_H
#define LP2P_BENCH_PERF_H

#include "actors/p2p.h"

#include <stdbool.h>
#include <stdint.h>

#define PERF_PROTOCOL "/perf/1.0.0"

uint64_t perf_now_ns(void);
/** Says why on standard error and ends the program with 1. */
_Noreturn void perf_die(const char *what, const char *detail);

/** What a node is started with; NULL: the default. */
struct perf_setup {
    const char *listen, *security, *muxers;
    bool fixed_key; /* the key of a seed of zeros, which go's clients expect of a server */
    bool log; /* what the node logs goes to standard error */
};
/** A node that serves /perf/1.0.0. */
struct lp2p_node *perf_start(const struct perf_setup *setup);
/** Connects; *peer has the id of who answered. Dies when nobody does. */
void perf_connect(struct lp2p_node *node, const char *addr, char peer[LP2P_PEER_TEXT_MAX]);

/** Called at least once a second while a transfer runs. */
typedef void (*perf_progress_fn)(uint64_t uploaded, uint64_t downloaded);
/** One transfer on a stream of its own: upload, then download. Dies when it fails. `progress` may be NULL. */
void perf_transfer(struct lp2p_node *node, const char *peer, uint64_t upload, uint64_t download, perf_progress_fn progress);

/** The command line of the old contract. */
int perf_old(int argc, char **argv);
/** The environment of the unified contract. */
int perf_unified(void);

/* The meeting place of the unified contract: a redis server, waited for. */

/** Dies when it is not there within timeout_s. addr: host:port. */
void perf_redis_set(const char *addr, const char *key, const char *value, unsigned timeout_s);
/** Polls until the key is there; the text is the caller's (free). */
char *perf_redis_get(const char *addr, const char *key, unsigned timeout_s);

#endif
