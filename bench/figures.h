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
};
struct bench_cost bench_cost_of(pid_t pid);

/** Prints {"name":..,...}; pairs of a name and a double, ended by NULL. One line, flushed. */
void bench_print(const char *event, ...);

#endif
