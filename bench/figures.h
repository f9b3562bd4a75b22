/* SPDX-License-Identifier: MIT
 * What a program of the bench measures: the time, latencies, what another process has cost, and one JSON line of it. */
#ifndef LP2P_BENCH_FIGURES_H
#define LP2P_BENCH_FIGURES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Nanoseconds, kept to be sorted. */
struct bench_samples {
    uint64_t *values;
    size_t len, cap;
};
void bench_samples_add(struct bench_samples *samples, uint64_t ns);
/** Sorts; the value at 0..1 of the way, interpolated; 0 when there is none. */
double bench_samples_at(struct bench_samples *samples, double part);

/** What a process has used since its start; zeros for pid 0. */
struct bench_cost {
    uint64_t cpu_ns;
    uint64_t switches; /* voluntary and not, of the threads that live now */
    uint64_t wakes;    /* voluntary ones only: a thread had slept and was woken */
    uint64_t threads;
};
struct bench_cost bench_cost_of(pid_t pid);

/** Allocations of a node that counts them in a file (node_alloc.c): cells of 64 bytes, one for each of its threads. */
#define BENCH_CELLS 1024u
#define BENCH_CELL_WORDS 8u
#define BENCH_COUNTERS_BYTES (BENCH_CELLS * BENCH_CELL_WORDS * sizeof(uint64_t))
/** Their sum; 0 when path is NULL or there is no such file. */
uint64_t bench_counted(const char *path);

/** Prints {"name":..,...}; pairs of a name and a double, ended by NULL. One line, flushed. */
void bench_print(const char *event, ...);

#endif
