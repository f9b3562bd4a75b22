/* SPDX-License-Identifier: MIT
 * The load client: what all its kinds of load share. One thread. */
#ifndef LP2P_BENCH_LOAD_H
#define LP2P_BENCH_LOAD_H

#include "figures.h"
#include "link.h"

struct load_options {
    struct bench_target target;
    const char *kind, *protocol, *counters; /* counters: the server's count of allocations, or NULL */
    double seconds;
    unsigned parallel, count, size, depth;
    pid_t pid; /* of the server, whose cost is measured; 0: unknown */
};

/** A run: from load_begin to load_end the server's cost and the time are measured. */
struct load_run {
    const struct load_options *options;
    lp2p_time begun, end_at; /* end_at: when to stop asking for more */
    struct bench_cost before;
    uint64_t allocs_before;
    uint64_t count, bytes, failed;
    struct bench_samples latencies;
};
extern struct load_run run;

void load_begin(void);
/** Prints the result line. */
void load_end(void);
static inline bool load_over(void)
{
    return bench_now() >= run.end_at;
}
_Noreturn void load_fail(const char *what);

/** One upgraded link that ends the program when it ends by itself. */
struct bench_link *load_connect(void);
/** Turns the loop until *flag is true, or fails after 30 s with `what`. */
void load_until(const bool *flag, const char *what);

void load_bulk(bool up);
void load_ping(void);
void load_messages(void);
void load_streams(const char *protocol, const void *body, size_t body_len, bool answered);
void load_connections(void);
void load_idle(void);
void load_crowd(void);
void load_slow(void);
void load_kad(void);

#endif
