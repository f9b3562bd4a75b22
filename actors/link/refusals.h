/* SPDX-License-Identifier: MIT
 * The log of connections that a listener refuses: one line in one form, which tools that ban addresses can read, at most
 * one a second for each reason. Owned by the listener. */
#ifndef LP2P_ACTORS_LINK_REFUSALS_H
#define LP2P_ACTORS_LINK_REFUSALS_H

#include "actors/context.h"

enum lp2p_refusal {
    LP2P_REFUSED_FULL,    /* too many unfinished upgrades */
    LP2P_REFUSED_PENDING, /* too many of them from one network */
    LP2P_REFUSED_RATE,    /* too many new connections from one network */
    LP2P_REFUSED_HEADER,  /* a trusted proxy's word about where the connection comes from cannot be read */
    LP2P_REFUSALS
};

#define LP2P_REFUSALS_PEERS 64 /* addresses whose last peer is known */

struct lp2p_refusals {
    lp2p_time next[LP2P_REFUSALS]; /* no line before that */
    uint64_t unsaid[LP2P_REFUSALS];
    unsigned at;
    struct {
        struct lp2p_ip_port from;
        struct lp2p_peer_id peer;
    } known[LP2P_REFUSALS_PEERS];
};

/** Who came from an address. */
void lp2p_refusals_arrived(struct lp2p_refusals *refusals, const struct lp2p_m_arrived *m);
/** Says or counts a refusal. The line: `refused addr=IP peer=ID|? reason=full|pending|rate|header more=N`, N: refusals for this
 *  reason since the last line. A trusted proxy's address stands behind `proxy=`: no tool shall ban all who come by it. */
void lp2p_refusals_note(struct lp2p_refusals *refusals, const struct lp2p_context *ctx, enum lp2p_refusal why,
                        const struct lp2p_ip_port *from, lp2p_time now);

#endif
