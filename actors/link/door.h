/* SPDX-License-Identifier: MIT
 * At which door an address knocks: TCP over IP, bare or below WebSocket, bare or below TLS. Pure functions on addresses;
 * any thread. */
#ifndef LP2P_ACTORS_LINK_DOOR_H
#define LP2P_ACTORS_LINK_DOOR_H

#include "actors/config.h"

/** Bits, so that several doors of one port are one number. */
enum lp2p_door_kind { LP2P_DOOR_TCP = 1, LP2P_DOOR_WS = 2, LP2P_DOOR_WSS = 4 };

#define LP2P_DOOR_NAME_MAX 254 /* bytes of a DNS name with its NUL */

struct lp2p_door {
    struct lp2p_ip_port at;
    enum lp2p_door_kind kind;
    char name[LP2P_DOOR_NAME_MAX]; /* of /sni; "" if none */
};

/** Reads /ip4|ip6/IP/tcp/PORT, then nothing, /ws, /wss, /tls/ws or /tls/sni/NAME/ws, then at most a /p2p/ID. EUNSUPPORTED: any
 *  other address. */
enum lp2p_err lp2p_door_read(const struct lp2p_multiaddr *addr, struct lp2p_door *out) LP2P_MUST_CHECK;
/** The address of this door on another IP address and port: the parts behind the port are those of `like`. */
void lp2p_door_move(const struct lp2p_multiaddr *like, const struct lp2p_ip_port *at, struct lp2p_multiaddr *out);
/** The address of a remote side that came in by a door of this kind. */
void lp2p_door_address(enum lp2p_door_kind kind, const struct lp2p_ip_port *at, struct lp2p_multiaddr *out);

/** Doors of listen addresses: those with the same IP address and port (not 0) share one socket, which the first of them
 *  opens. True: address `index` is served by an earlier one. */
bool lp2p_door_shares(const struct lp2p_config *config, size_t index);
/** Whether address `index` is served by the socket of address `first`. */
bool lp2p_door_served_by(const struct lp2p_config *config, size_t index, size_t first);

/** Whether this address is that of a proxy whose word counts. */
bool lp2p_door_trusted(const struct lp2p_config *config, const struct lp2p_ip_port *from);

#endif
