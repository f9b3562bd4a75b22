/* SPDX-License-Identifier: MIT
 * Applies the population rule to the table of connections and the peer store. */
#include "actors/control/swarm.h"

#define RULE_INTERVAL_NS LP2P_SEC(1) /* while below min: how often to look for peers whose backoff ended */
#define POKE_DELAY_NS LP2P_MS(10)    /* one run for a burst of changes */
#define VICTIMS_AT_ONCE 64

void lp2p_swarm_population_poke(struct lp2p_actor *self)
{
    lp2p_time soon = lp2p_time_add(lp2p_now(self), POKE_DELAY_NS);
    lp2p_timer_set(self, LP2P_SWARM_POPULATION, lp2p_time_min(lp2p_timer_get(self, LP2P_SWARM_POPULATION), soon));
}

static bool may_dial(const struct lp2p_peer_entry *entry, lp2p_time now)
{
    return entry->addrs != NULL && entry->dial == 0 && lp2p_list_empty(&entry->links) && entry->backoff_until <= now;
}

/** One candidate: a bootstrap peer while there is no connection at all, otherwise a random known peer. Reservoir sampling over
 *  the peer store gives each candidate the same chance without a list of them. */
static struct lp2p_peer_entry *choose(struct lp2p_swarm *swarm, lp2p_time now, bool bootstrap_only)
{
    struct lp2p_peer_entry *chosen = NULL;
    uint64_t seen = 0;
    LP2P_LIST_FOREACH(it, &swarm->peers.lru)
    {
        struct lp2p_peer_entry *entry = LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, lru);
        if (may_dial(entry, now) && (entry->bootstrap || !bootstrap_only)) {
            seen++;
            if (lp2p_rand_below(&swarm->rand, seen) == 0) {
                chosen = entry;
            }
        }
    }
    return chosen;
}

static void grow(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    unsigned missing = lp2p_population_missing(&swarm->population, swarm->links_len, swarm->dials_population);
    for (; missing > 0; missing--) {
        struct lp2p_peer_entry *entry = swarm->links_len == 0 ? choose(swarm, lp2p_now(self), true) : NULL;
        if (entry == NULL) {
            entry = choose(swarm, lp2p_now(self), false);
        }
        if (entry == NULL || lp2p_swarm_dial_peer(self, swarm, entry, NULL, LP2P_DIAL_POPULATION) != LP2P_OK) {
            return;
        }
    }
}

static struct lp2p_link_value value_of(const struct lp2p_link *link)
{
    return (struct lp2p_link_value){
        .protected_ = link->peer->protects > 0,
        .busy = link->streams > 0 || link->closing || !link->up,
        /* 50: the weight that js-libp2p's bootstrap module gives. */
        .tag = (link->peer->bootstrap ? 50 : 0) + lp2p_peer_entry_value(link->peer),
        .streams = link->streams,
        .outbound = link->outbound,
        .since = link->since,
    };
}

/** Closes what is too much; returns when to look again. */
static lp2p_time cull(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    if (swarm->links_len <= swarm->population.max) {
        return LP2P_NEVER;
    }
    struct lp2p_link_value *values = calloc(swarm->links_len, sizeof(*values));
    struct lp2p_link **links = calloc(swarm->links_len, sizeof(struct lp2p_link *));
    size_t victims[VICTIMS_AT_ONCE], len = 0, count = 0;
    lp2p_time next = lp2p_time_add(lp2p_now(self), RULE_INTERVAL_NS);
    if (values != NULL && links != NULL) {
        LP2P_LIST_FOREACH(it, &swarm->links)
        {
            struct lp2p_link *link = LP2P_LIST_ENTRY(it, struct lp2p_link, all);
            if (link->closing) {
                continue;
            }
            links[count] = link;
            values[count++] = value_of(link);
        }
        len = lp2p_population_victims(&swarm->population, values, count, lp2p_now(self), victims, VICTIMS_AT_ONCE, &next);
        /* What is left over is protected, busy or young: look again when the grace ends, or at the usual interval. */
        if (count - len > swarm->population.max) {
            next = lp2p_time_min(next, lp2p_time_add(lp2p_now(self), RULE_INTERVAL_NS));
        }
        for (size_t i = 0; i < len; i++) {
            LP2P_COUNT(swarm->ctx, connections_trimmed, 1);
            lp2p_swarm_link_close(self, swarm, links[victims[i]], LP2P_ETRIMMED);
        }
    }
    free(values);
    free(links);
    return next;
}

void lp2p_swarm_population_run(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    lp2p_swarm_dials_sweep(self, swarm);
    grow(self, swarm);
    lp2p_time next = cull(self, swarm);
    if (swarm->links_len < swarm->population.min && swarm->peers.len > 0) {
        next = lp2p_time_min(next, lp2p_time_add(lp2p_now(self), RULE_INTERVAL_NS));
    }
    lp2p_timer_set(self, LP2P_SWARM_POPULATION, next);
}
