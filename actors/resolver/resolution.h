/* SPDX-License-Identifier: MIT
 * From one address with names in it to addresses with IPs: /dns4, /dns6, /dns and /dnsaddr (multiformats/multiaddr DNSADDR.md),
 * recursive and bounded. Pure: it says what it wants to know and is told the answers, in any order. Owned by the resolver. */
#ifndef LP2P_RESOLVER_RESOLUTION_H
#define LP2P_RESOLVER_RESOLUTION_H

#include "actors/shared.h"

#define LP2P_RESOLVE_DEPTH_MAX 4     /* /dnsaddr that leads to /dnsaddr, as in go-libp2p; beyond: that branch is given up */
#define LP2P_RESOLVE_LOOKUPS_MAX 32  /* questions in all, as in rust-libp2p; beyond: what is left is given up */
#define LP2P_RESOLVE_ADDRS_MAX 100   /* addresses in all, as in go-libp2p; beyond: dropped */
#define LP2P_RESOLVE_NAME_MAX 256    /* bytes of a name with its NUL; RFC 1035 allows 253 characters */
#define LP2P_RESOLVE_TEXT_MAX 256

enum lp2p_dns_kind { LP2P_DNS_IP4, LP2P_DNS_IP6, LP2P_DNS_TEXT };

struct lp2p_dns_question {
    enum lp2p_dns_kind kind;
    char name[LP2P_RESOLVE_NAME_MAX]; /* lower case */
};

struct lp2p_resolution;

/** A resolution of `addr`; NULL: no memory. */
struct lp2p_resolution *lp2p_resolution_new(const struct lp2p_multiaddr *addr);
void lp2p_resolution_free(struct lp2p_resolution *resolution);
/** The next question to ask, if there is one: its number is for the answer. */
bool lp2p_resolution_next(struct lp2p_resolution *resolution, unsigned *number, struct lp2p_dns_question *out);
/** The answer: addresses (/ip4/.., /ip6/.. alone, or for TEXT whole ones), or an error, or OK with none. Each number once. */
void lp2p_resolution_answer(struct lp2p_resolution *resolution, unsigned number, enum lp2p_err err,
                            const struct lp2p_addrs *records);
/** Nothing is asked and nothing is left to ask. */
bool lp2p_resolution_done(const struct lp2p_resolution *resolution);
/** What was found: addresses with IPs, and beside each the address with the last name that led to it (for SNI, Host and texts).
 *  OK; or, without any, the reason of the failure. `text` says for each name that failed why. */
enum lp2p_err lp2p_resolution_result(const struct lp2p_resolution *resolution, const struct lp2p_multiaddr **addrs,
                                     const struct lp2p_multiaddr **names, size_t *len, const char **text) LP2P_MUST_CHECK;

#endif
