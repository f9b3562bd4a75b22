/* SPDX-License-Identifier: MIT
 * In which order the addresses of a peer are tried, and when (RFC 8305's happy eyeballs, with the groups and delays of
 * go-libp2p). Pure. */
#ifndef LP2P_ACTORS_LINK_DIALER_RANK_H
#define LP2P_ACTORS_LINK_DIALER_RANK_H

#include "base/time.h"
#include "wire/endpoint.h"

#define LP2P_RANK_GAP_PUBLIC_NS LP2P_MS(250) /* RFC 8305's connection attempt delay */
#define LP2P_RANK_GAP_PRIVATE_NS LP2P_MS(30)
#define LP2P_RANK_RELAY_NS LP2P_MS(500)      /* relays begin later when there is a direct public address */
#define LP2P_RANK_MAX 128                    /* addresses ranked at once */

struct lp2p_rank {
    uint64_t delay_ns; /* from the beginning of the dial */
    bool duplicate;    /* the same host and port as a better address: not to be tried */
};

/**
 * Private and public addresses and relays are three groups that run side by side. Within a group: QUIC before TCP before
 * WebSocket before the rest; of one kind the best IPv6 address, then the best IPv4 address, then the others (IPv6 first, lower
 * ports first); each starts a gap after the one in front of it. len is at most LP2P_RANK_MAX.
 */
void lp2p_rank(const struct lp2p_multiaddr *addrs, size_t len, struct lp2p_rank *out);

#endif
