/* SPDX-License-Identifier: MIT
 * Which addresses of ours other peers see, and which of them are believed: those that several observers report who have nothing
 * to do with each other. Bounded. Pure; owned by the swarm. */
#ifndef LP2P_CONTROL_OBSERVED_H
#define LP2P_CONTROL_OBSERVED_H

#include "actors/shared.h"
#include "base/time.h"

#define LP2P_OBSERVED_MAX 64            /* addresses that are thought about; beyond: the least supported goes */
#define LP2P_OBSERVERS_MAX 8            /* counted for one address; beyond: nothing is added by more */
#define LP2P_OBSERVED_NEEDED 4          /* observers in different groups (IPv4 /16, IPv6 /32) */
#define LP2P_OBSERVED_PER_LISTEN 3      /* confirmed addresses for one address that is listened on */
#define LP2P_OBSERVED_PER_GROUP 4       /* addresses that one group may support */
#define LP2P_OBSERVED_NS LP2P_SEC(1800) /* what an observer said counts on for so long after its connection has ended */

struct lp2p_observer {
    uint64_t group; /* 0: free */
    uint64_t conn;  /* 0: the connection has ended */
    lp2p_time expires;
};

struct lp2p_observation {
    struct lp2p_multiaddr seen;   /* len 0: free */
    struct lp2p_ip_port local;    /* the listen address behind it */
    struct lp2p_observer observers[LP2P_OBSERVERS_MAX];
};

struct lp2p_observed {
    unsigned needed, per_listen; /* the two limits above; tests lift them */
    struct lp2p_observation items[LP2P_OBSERVED_MAX];
};

void lp2p_observed_init(struct lp2p_observed *observed);
/**
 * A peer says that it sees us at `seen`. `observer` is its own address, `local` our end of the connection: only one that is in
 * `own` (where the node listens) says anything of how we can be reached. Only public observers and public addresses count.
 * True when what is confirmed may have changed.
 */
bool lp2p_observed_add(struct lp2p_observed *observed, uint64_t conn, const struct lp2p_multiaddr *observer,
                       const struct lp2p_multiaddr *local, const struct lp2p_multiaddr *seen, const struct lp2p_addrs *own,
                       lp2p_time now);
void lp2p_observed_gone(struct lp2p_observed *observed, uint64_t conn, lp2p_time now);
/** Copies the confirmed addresses, best supported first; returns how many. */
size_t lp2p_observed_confirmed(struct lp2p_observed *observed, lp2p_time now, struct lp2p_multiaddr *out, size_t cap);

#endif
