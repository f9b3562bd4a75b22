/* SPDX-License-Identifier: MIT
 * A private network's cipher as a layer on any carrier (the socket, or WebSocket). Its set_up exchanges the nonces; ours
 * is sent at once. */
#ifndef LP2P_ACTORS_LINK_CARRIER_PNET_H
#define LP2P_ACTORS_LINK_CARRIER_PNET_H

#include "actors/link/carrier.h"
#include "base/rand.h"
#include "pnet/pnet.h"

/** Takes `*below` (and nulls it) when it succeeds; NULL: no memory, `*below` stays the caller's. `key` is copied and wiped with the
 *  carrier; `rand` makes the nonce, during the call. */
struct lp2p_carrier *lp2p_carrier_pnet(struct lp2p_carrier **below, const struct lp2p_pnet_key *key,
                                       const struct lp2p_rand *rand);

#endif
