/* SPDX-License-Identifier: MIT
 * What the user sees of peers, made from what the actors share. Pure functions. */
#ifndef LP2P_API_VIEW_H
#define LP2P_API_VIEW_H

#include "actors/p2p.h"
#include "actors/shared.h"

/** An array of len peers for lp2p_peers_free; NULL: no memory. */
struct lp2p_peer *lp2p_peers_view(struct lp2p_peer_info *const *infos, size_t len);

#endif
