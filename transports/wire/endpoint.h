/* SPDX-License-Identifier: MIT
 * What an address means to somebody who wants to dial it: the host, the port and the transport behind them. Pure; the spans
 * point into the address. */
#ifndef LP2P_WIRE_ENDPOINT_H
#define LP2P_WIRE_ENDPOINT_H

#include "wire/multiaddr.h"

enum lp2p_transport {
    LP2P_TRANSPORT_NONE,   /* no host, or components that nobody knows how to dial */
    LP2P_TRANSPORT_NAME,   /* /dnsaddr: what is behind it tells the name service */
    LP2P_TRANSPORT_TCP,
    LP2P_TRANSPORT_WS,
    LP2P_TRANSPORT_WSS,    /* /wss, /tls/ws, /tls/sni/NAME/ws */
    LP2P_TRANSPORT_QUIC,
    LP2P_TRANSPORT_WEBTRANSPORT,
    LP2P_TRANSPORT_WEBRTC, /* webrtc-direct, webrtc */
    LP2P_TRANSPORT_RELAY,  /* any address with /p2p-circuit */
};

struct lp2p_endpoint {
    enum lp2p_transport transport;
    uint32_t host_code;    /* LP2P_MA_IP4, IP6, DNS, DNS4, DNS6 or DNSADDR; 0: none */
    struct lp2p_span host; /* 4 or 16 bytes, or a name */
    uint16_t port;         /* of TCP or UDP; 0: none, or really 0 */
    struct lp2p_span sni;  /* of /sni/NAME; len 0: none */
    bool zoned;            /* the host is an IPv6 address with a zone */
};

/** Reads an address; what cannot be understood is transport NONE. A final /p2p/ID is of no account. */
struct lp2p_endpoint lp2p_endpoint_of(const struct lp2p_multiaddr *addr);
/** "tcp", "ws", "wss", "quic-v1", ... for people. */
const char *lp2p_transport_name(enum lp2p_transport transport);
static inline bool lp2p_endpoint_is_name(const struct lp2p_endpoint *endpoint)
{
    return endpoint->host_code >= LP2P_MA_DNS && endpoint->host_code <= LP2P_MA_DNSADDR;
}
/** The IP and the port; false when the host is a name or there is none. */
bool lp2p_endpoint_ip(const struct lp2p_endpoint *endpoint, struct lp2p_ip_port *out);
/** May an address that was heard from a source of that scope be believed (AI8)? A stranger on the internet has nothing to say
 *  about our private network: an address must not be narrower than where the word of it came from. Names pass. False also for
 *  port 0, unspecified and link-local addresses and those without a host, whoever names them. */
bool lp2p_addr_plausible(const struct lp2p_multiaddr *addr, enum lp2p_ma_scope source);

#endif
