/* SPDX-License-Identifier: MIT
 * The perf program of the official interop suites, in both spellings: command line (old) and environment
 * (unified). What its files share; what it shares with other suites is in tests/contract. */
#ifndef LP2P_BENCH_PERF_H
#define LP2P_BENCH_PERF_H

#include "contract.h"

#define PERF_PROTOCOL "/perf/1.0.0"
#define PERF_WAIT_MS 30000 /* for a connection, or for a stream on it */

/** Called at least once a second while a transfer runs. */
typedef void (*perf_progress_fn)(uint64_t uploaded, uint64_t downloaded);
/** One transfer on a stream of its own: upload, then download. Dies when it fails. `progress` may be NULL. */
void perf_transfer(struct lp2p_node *node, const char *peer, uint64_t upload, uint64_t download,
                   perf_progress_fn progress);

/** The command line of the old contract. */
int perf_old(int argc, char **argv);
/** The environment of the unified contract. */
int perf_unified(void);

#endif
