/* SPDX-License-Identifier: MIT */
#ifndef LP2P_BENCH_RUNTIME_QUEUES_H
#define LP2P_BENCH_RUNTIME_QUEUES_H

#include <stdbool.h>
#include <stdint.h>

#define BENCH_PRODUCERS_MAX 8u

/** Prints {"event":"queue-stack-N"|"queue-ring-N","ns":..}: what one message costs with N producers. */
void bench_queue(bool ring, unsigned producers, uint64_t messages);

#endif
