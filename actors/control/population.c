/* SPDX-License-Identifier: MIT */
#include "actors/control/population.h"

#include "base/check.h"

unsigned lp2p_population_missing(const struct lp2p_population *pop, unsigned connected, unsigned dialing)
{
    if (connected + dialing >= pop->min || dialing >= LP2P_GROW_AT_ONCE) {
        return 0;
    }
    return LP2P_MIN(pop->min - connected - dialing, LP2P_GROW_AT_ONCE - dialing);
}

unsigned lp2p_population_hard_max(const struct lp2p_population *pop)
{
    return pop->max + LP2P_MAX(pop->max / 4, 8u);
}

bool lp2p_population_less(const struct lp2p_link_value *a, const struct lp2p_link_value *b)
{
    if (a->tag != b->tag) {
        return a->tag < b->tag;
    }
    if (a->streams != b->streams) {
        return a->streams < b->streams;
    }
    if (a->outbound != b->outbound) {
        return !a->outbound;
    }
    return a->since > b->since;
}

static bool closable(const struct lp2p_population *pop, const struct lp2p_link_value *value, lp2p_time now,
                     lp2p_time *next)
{
    if (value->protected_ || value->busy) {
        return false;
    }
    lp2p_time free_at = lp2p_time_add(value->since, pop->grace_ns);
    if (free_at > now) {
        *next = lp2p_time_min(*next, free_at);
        return false;
    }
    return true;
}

/** Keeps out[0..len) sorted, least valuable first, and at most `keep` long. */
static size_t insert(const struct lp2p_link_value *values, size_t *out, size_t len, size_t keep, size_t index)
{
    size_t at = len;
    while (at > 0 && lp2p_population_less(&values[index], &values[out[at - 1]])) {
        at--;
    }
    if (at >= keep) {
        return len;
    }
    size_t end = LP2P_MIN(len, keep - 1);
    for (size_t i = end; i > at; i--) {
        out[i] = out[i - 1];
    }
    out[at] = index;
    return end + 1;
}

size_t lp2p_population_victims(const struct lp2p_population *pop, const struct lp2p_link_value *values, size_t count,
                               lp2p_time now, size_t *out, size_t cap, lp2p_time *next)
{
    *next = LP2P_NEVER;
    if (count <= pop->max) {
        return 0;
    }
    size_t keep = LP2P_MIN(count - pop->max, cap), len = 0;
    for (size_t i = 0; i < count && keep > 0; i++) {
        if (closable(pop, &values[i], now, next)) {
            len = insert(values, out, len, keep, i);
        }
    }
    if (count - len <= pop->max) {
        *next = LP2P_NEVER;
    }
    return len;
}

uint64_t lp2p_population_backoff(unsigned failures, const struct lp2p_rand *rand)
{
    uint64_t n = LP2P_MIN(failures, 32u);
    uint64_t base = LP2P_MIN(LP2P_SEC(5) + LP2P_SEC(1) * n * n, LP2P_SEC(300));
    uint64_t fifth = base / 5;
    return base - fifth + lp2p_rand_below(rand, 2 * fifth + 1);
}
