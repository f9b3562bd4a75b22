/* SPDX-License-Identifier: MIT
 * The answers to a TXT question of /dnsaddr, read from a whole DNS message (RFC 1035). The bytes come from whoever answers on the
 * network: nothing in them is believed. Pure. */
#ifndef LP2P_RESOLVER_DNS_TEXT_H
#define LP2P_RESOLVER_DNS_TEXT_H

#include "wire/multiaddr.h"

#define LP2P_DNS_TEXT_MAX 1024 /* bytes of one TXT record, its strings joined; longer ones are skipped */

struct lp2p_dns_text {
    size_t len;     /* addresses that were read */
    size_t skipped; /* TXT records that are no dnsaddr, or no address that we can read, or beyond the room */
    uint32_t ttl_s; /* of the shortest-lived record; 0 when there is none */
};

/** Copies the addresses of all `dnsaddr=` records into out, at most cap of them. ENOTFOUND: the name does not exist; EMALFORMED:
 *  not a DNS answer, or cut off; EUNREACHABLE: the name server could not (its code is neither success nor "no such name"). */
enum lp2p_err lp2p_dns_text_read(struct lp2p_span message, struct lp2p_multiaddr *out, size_t cap,
                                 struct lp2p_dns_text *result) LP2P_MUST_CHECK;

#endif
