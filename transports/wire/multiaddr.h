/* SPDX-License-Identifier: MIT
 * Multiaddrs by value: binary form, text form, and the questions that the node asks of them (multiformats/multiaddr). */
#ifndef LP2P_WIRE_MULTIADDR_H
#define LP2P_WIRE_MULTIADDR_H

#include "wire/peer_id.h"

/* Codes of the protocols that the code itself names; the table in multiaddr.c has all of them. */
enum {
    LP2P_MA_IP4 = 4, LP2P_MA_TCP = 6, LP2P_MA_IP6 = 41, LP2P_MA_IP6ZONE = 42, LP2P_MA_DNS = 53, LP2P_MA_DNS4 = 54,
    LP2P_MA_DNS6 = 55, LP2P_MA_DNSADDR = 56, LP2P_MA_UDP = 273, LP2P_MA_CIRCUIT = 290, LP2P_MA_P2P = 421,
    LP2P_MA_TLS = 448, LP2P_MA_SNI = 449, LP2P_MA_QUIC_V1 = 461, LP2P_MA_WS = 477, LP2P_MA_WSS = 478,
};

#define LP2P_MULTIADDR_MAX 255       /* bytes kept by value: what the node stores, dials and publishes */
#define LP2P_MULTIADDR_TEXT_MAX 512  /* text of such an address with its NUL */
#define LP2P_MULTIADDR_WIRE_MAX 4096 /* bytes accepted by the codec functions that work on spans */
#define LP2P_MULTIADDR_COMPONENTS_MAX 32
#define LP2P_MULTIADDR_WHY_MAX 128 /* bytes of a message to people, with its NUL */

struct lp2p_multiaddr {
    uint8_t len; /* 0: empty */
    uint8_t bytes[LP2P_MULTIADDR_MAX];
};

/** One component of an address while walking over it. */
struct lp2p_ma_component {
    uint32_t code;
    const char *name;       /* static */
    struct lp2p_span value; /* without length prefix; borrowed */
};

/* Codec over spans, for addresses of any size up to LP2P_MULTIADDR_WIRE_MAX. */

/** Takes the next component off the front of *rest. ENOTFOUND at the end; EMALFORMED, ETRUNCATED, EUNSUPPORTED (unknown code). */
enum lp2p_err lp2p_ma_next(struct lp2p_span *rest, struct lp2p_ma_component *out) LP2P_MUST_CHECK;
/** Checks the whole binary address, every component and value; empty is EMALFORMED. EOVERSIZE beyond the limits above. On
 *  top of go-multiaddr's rules: no control characters in names and paths, nothing behind a unix path. */
enum lp2p_err lp2p_ma_check(struct lp2p_span bytes) LP2P_MUST_CHECK;
/** Binary to text. ELIMIT when cap is too small. */
enum lp2p_err lp2p_ma_to_text(struct lp2p_span bytes, char *out, size_t cap) LP2P_MUST_CHECK;
/** Text to binary; go-multiaddr's rules (trailing slashes trimmed, empty refused). On EMALFORMED or EUNSUPPORTED `why`
 *  (may be NULL, at least 128 bytes) tells in words which component was wrong and what was expected. */
enum lp2p_err lp2p_ma_from_text(struct lp2p_span text, uint8_t *out, size_t cap, size_t *len, char *why) LP2P_MUST_CHECK;

/* Addresses by value. */

/** As lp2p_ma_check; ELIMIT when the bytes, or their text, do not fit in an address by value. */
enum lp2p_err lp2p_multiaddr_parse(struct lp2p_span bytes, struct lp2p_multiaddr *out) LP2P_MUST_CHECK;
enum lp2p_err lp2p_multiaddr_from_text(const char *text, struct lp2p_multiaddr *out, char *why) LP2P_MUST_CHECK;
void lp2p_multiaddr_text(const struct lp2p_multiaddr *addr, char out[LP2P_MULTIADDR_TEXT_MAX]);
static inline bool lp2p_multiaddr_eq(const struct lp2p_multiaddr *a, const struct lp2p_multiaddr *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
static inline struct lp2p_span lp2p_multiaddr_span(const struct lp2p_multiaddr *addr)
{
    return lp2p_span(addr->bytes, addr->len);
}

/** The value of the first component with that code; ENOTFOUND. */
enum lp2p_err lp2p_multiaddr_find(const struct lp2p_multiaddr *addr, uint32_t code, struct lp2p_span *value) LP2P_MUST_CHECK;
/** The peer id of a final /p2p component; ENOTFOUND. */
enum lp2p_err lp2p_multiaddr_peer(const struct lp2p_multiaddr *addr, struct lp2p_peer_id *out) LP2P_MUST_CHECK;
/** Removes a final /p2p component, if there is one. */
void lp2p_multiaddr_strip_peer(struct lp2p_multiaddr *addr);
/** Appends /p2p/<id>; ELIMIT when it does not fit. */
enum lp2p_err lp2p_multiaddr_add_peer(struct lp2p_multiaddr *addr, const struct lp2p_peer_id *id) LP2P_MUST_CHECK;
/** Builds /ip4|ip6/<ip>/tcp/<port>; ip_len is 4 or 16, network order. A v4-mapped IPv6 address becomes ip4. */
void lp2p_multiaddr_from_ip_tcp(const uint8_t *ip, size_t ip_len, uint16_t port, struct lp2p_multiaddr *out);

/** What the node can dial today: /ip4|ip6/../tcp/..[/p2p/..]. */
struct lp2p_ip_port {
    uint8_t ip[16];
    uint8_t ip_len; /* 4 or 16 */
    uint16_t port;
};
/** EUNSUPPORTED when the address is anything but plain TCP over IP (a final /p2p is ignored). */
enum lp2p_err lp2p_multiaddr_ip_tcp(const struct lp2p_multiaddr *addr, struct lp2p_ip_port *out) LP2P_MUST_CHECK;

enum lp2p_ma_scope { LP2P_SCOPE_LOOPBACK, LP2P_SCOPE_UNSPECIFIED, LP2P_SCOPE_LINK_LOCAL, LP2P_SCOPE_PRIVATE, LP2P_SCOPE_PUBLIC };
/** Scope of the leading IP; names (dns..) count as public, multicast and reserved addresses as unspecified. */
enum lp2p_ma_scope lp2p_multiaddr_scope(const struct lp2p_multiaddr *addr);

#endif
