/* SPDX-License-Identifier: MIT
 * WebSocket as a layer on any carrier below it: on the socket for ws, on an outer TLS carrier for wss. Carriers are stacked from
 * the socket upwards, each owns the one below:
 *     tcp [-> preread] -> ws            tcp [-> preread] -> tls -> ws             tcp [-> preread] -> [ws ->] pnet
 * A constructor takes `*below` (and nulls it) when it succeeds; NULL: no memory, `*below` stays the caller's. */
#ifndef LP2P_ACTORS_LINK_CARRIER_WS_H
#define LP2P_ACTORS_LINK_CARRIER_WS_H

#include "actors/link/carrier.h"
#include "base/rand.h"
#include "websocket/upgrade.h"

/** Bytes that were read before the carrier was chosen (first bytes, what lay behind a PROXY header); copied. Above it everything
 *  sees one stream. Empty bytes: gives *below itself back. */
struct lp2p_carrier *lp2p_carrier_preread(struct lp2p_carrier **below, struct lp2p_span bytes);

struct lp2p_ws_start {
    bool client;
    const struct lp2p_rand *rand; /* client: key and masks; read during the call. Server: NULL */
    const char *host; /* client: value of Host, "name:port"; a literal IPv6 address in brackets. Copied. */
    const char *path; /* client: begins with '/'; NULL: "/" */
    lp2p_ws_judge judge; /* server: of X-Forwarded-For, called during set_up; NULL: any is good */
    void *judge_ctx;
};
/** "ws", or "wss" on a TLS carrier. Also NULL when host or path cannot be sent (blanks, control characters, too long). */
struct lp2p_carrier *lp2p_carrier_ws(struct lp2p_carrier **below, const struct lp2p_ws_start *start);

#endif
