/* SPDX-License-Identifier: MIT
 * How often others may make us connect to one place. Addresses come from everybody: the DHT, identify, mDNS. Whoever plants a
 * victim's address under the names of many peers would have each node that hears of them knock there, so attempts are counted
 * by what they hit, and not by whom they are for: one host and port, and its network (IPv4 /24, IPv6 /48).
 *
 * A table of fixed size. What falls together into one set pushes out the least used: each forgotten bucket costs the one who
 * wants it forgotten several attempts at other places, which are counted too. Pure; owned by the dialer. */
#ifndef LP2P_ACTORS_LINK_DIALER_BUDGET_H
#define LP2P_ACTORS_LINK_DIALER_BUDGET_H

#include "actors/link/rate.h"
#include "base/rand.h"

#define LP2P_BUDGET_SETS 128 /* power of two */
#define LP2P_BUDGET_WAYS 8

/** What the dialer allows to addresses that nobody named on purpose; the defaults are in limits.h. */
struct lp2p_dial_limits {
    struct lp2p_rate target, net;
    unsigned reserved; /* attempts that are kept for who asked for a dial, of LP2P_DIALS_PARALLEL */
};

struct lp2p_budget {
    struct lp2p_rate target, net;
    uint8_t hash_key[16]; /* strangers choose addresses, but shall not choose places */
    struct {
        uint64_t key; /* 0: free */
        struct lp2p_bucket bucket;
    } slots[LP2P_BUDGET_SETS][LP2P_BUDGET_WAYS];
};

void lp2p_budget_init(struct lp2p_budget *budget, const struct lp2p_dial_limits *limits, const struct lp2p_rand *rand);
/** Takes one attempt from the budgets of an address with an IP in it, or from none. NULL: it may be tried; else a text for
 *  people. Loopback is nobody's victim: no budget. */
const char *lp2p_budget_take(struct lp2p_budget *budget, const struct lp2p_multiaddr *addr, lp2p_time now);
/** Gives an attempt back: the one who was expected answered there, so nobody was knocked at who did not want it. */
void lp2p_budget_worked(struct lp2p_budget *budget, const struct lp2p_multiaddr *addr);

#endif
