/* SPDX-License-Identifier: MIT
 * The population rule as pure functions: keep the number of connections between min and max.
 * Below min: how many to dial now. Above max: which connections to close, least valuable first. Owned by the swarm. */
#ifndef LP2P_CONTROL_POPULATION_H
#define LP2P_CONTROL_POPULATION_H

#include "base/rand.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>

#define LP2P_GROW_AT_ONCE 8 /* dials that the rule itself keeps under way */

struct lp2p_population {
    unsigned min, max;
    uint64_t grace_ns; /* younger connections are not closed */
};

/** What a connection is worth. Protected and busy ones are never closed by the rule. */
struct lp2p_link_value {
    bool protected_, busy; /* busy: streams of an application are open */
    int tag;               /* given by the node: bootstrap, DHT server, ... */
    unsigned streams;
    bool outbound;
    lp2p_time since;
};

/** How many more dials to start, given what is connected and what is being dialed. */
unsigned lp2p_population_missing(const struct lp2p_population *pop, unsigned connected, unsigned dialing);
/** Connections beyond which inbound ones are refused at once: max and a quarter more (at least 8), the room for the grace period. */
unsigned lp2p_population_hard_max(const struct lp2p_population *pop);
/** True when `a` should be closed before `b`: lower tag, fewer streams, inbound first, newest first. */
bool lp2p_population_less(const struct lp2p_link_value *a, const struct lp2p_link_value *b);
/** Chooses at most (count - max) closable connections, least valuable first; writes their indices, returns how many. *next
 *  is when a younger one leaves its grace period while still too many are left (LP2P_NEVER: nothing to wait for). */
size_t lp2p_population_victims(const struct lp2p_population *pop, const struct lp2p_link_value *values, size_t count,
                               lp2p_time now, size_t *out, size_t cap, lp2p_time *next);
/** Wait before the next dial of a peer after `failures` failures: 5 s + 1 s * n^2, at most 5 min, jitter of +-20 %. */
uint64_t lp2p_population_backoff(unsigned failures, const struct lp2p_rand *rand);

#endif
