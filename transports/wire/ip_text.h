/* SPDX-License-Identifier: MIT
 * Text of IP addresses, without the C library's network functions. For the rooms of transports/ alone. Pure functions. */
#ifndef LP2P_WIRE_IP_TEXT_H
#define LP2P_WIRE_IP_TEXT_H

#include "base/span.h"

#define LP2P_IP4_TEXT_MAX 16 /* with NUL */
#define LP2P_IP6_TEXT_MAX 46

/** Dotted quad, each number 0..255 without leading zeros. */
bool lp2p_ip4_from_text(struct lp2p_span text, uint8_t out[4]);
/** RFC 4291 section 2.2, with "::" and an embedded dotted quad; no zone. */
bool lp2p_ip6_from_text(struct lp2p_span text, uint8_t out[16]);
/** Write the text and NUL; return its length. IPv6 as RFC 5952, v4-mapped addresses as ::ffff:a.b.c.d. */
size_t lp2p_ip4_to_text(const uint8_t ip[4], char out[LP2P_IP4_TEXT_MAX]);
size_t lp2p_ip6_to_text(const uint8_t ip[16], char out[LP2P_IP6_TEXT_MAX]);
/** True for ::ffff:0:0/96. */
bool lp2p_ip6_is_mapped(const uint8_t ip[16]);

#endif
