/* SPDX-License-Identifier: MIT
 * What speaks on a fresh inbound connection, told by its first bytes, so that one port serves raw libp2p, WebSocket and
 * secure WebSocket. Not for private networks: there the first bytes are a random nonce. Pure; any thread. */
#ifndef LP2P_WEBSOCKET_FIRST_BYTES_H
#define LP2P_WEBSOCKET_FIRST_BYTES_H

#include "base/span.h"

enum lp2p_first_bytes {
    LP2P_FIRST_MORE,        /* cannot be told yet */
    LP2P_FIRST_MULTISTREAM, /* raw libp2p */
    LP2P_FIRST_HTTP,        /* a request line of any method: the upgrade answers it */
    LP2P_FIRST_TLS,         /* a TLS handshake record */
    LP2P_FIRST_PROXY_V1,    /* PROXY protocol; only meant for trusted proxies */
    LP2P_FIRST_PROXY_V2,
    LP2P_FIRST_UNKNOWN, /* nothing that this port serves */
};
#define LP2P_FIRST_BYTES_MAX 20 /* with so many bytes the answer is never MORE */

enum lp2p_first_bytes lp2p_first_bytes_of(struct lp2p_span in);

#endif
