/* SPDX-License-Identifier: MIT
 * Where a connection really comes from when proxies that we trust stand in front: the PROXY protocol, versions 1 and 2, and
 * X-Forwarded-For. Whom to trust is the caller's decision: from anyone else these bytes are lies. Pure; any thread. */
#ifndef LP2P_WEBSOCKET_PROXY_H
#define LP2P_WEBSOCKET_PROXY_H

#include "base/err.h"
#include "base/span.h"
#include "wire/multiaddr.h"

#define LP2P_PROXY_BYTES_MAX 536 /* of a whole header of either version; more: EOVERSIZE */

struct lp2p_proxy_header {
    size_t size;                /* bytes of the header; 0: it is not complete yet */
    bool has_addresses;         /* false: LOCAL, UNKNOWN or another family: the connection's own addresses stand */
    struct lp2p_ip_port source; /* the client */
    struct lp2p_ip_port destination;
};
/** Reads a PROXY header at the front of `in`. OK with size 0: more has to come. EMALFORMED, EOVERSIZE, EVERSION. */
enum lp2p_err lp2p_proxy_read(struct lp2p_span in, struct lp2p_proxy_header *header) LP2P_MUST_CHECK;

/** The client in an X-Forwarded-For value that a trusted proxy sent: hops are read from the right, as long as they are trusted,
 *  so that what a client made up on the left counts for nothing. Port 0 when none is named. ENOTFOUND: all are trusted, *client is
 *  the one on the left; or there are none, *client is untouched. EMALFORMED: an entry that had to be read is no IP address. */
enum lp2p_err lp2p_forwarded_client(struct lp2p_span value, bool (*trusted)(void *ctx, const struct lp2p_ip_port *hop),
                                    void *ctx, struct lp2p_ip_port *client) LP2P_MUST_CHECK;

#endif
