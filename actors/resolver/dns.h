/* SPDX-License-Identifier: MIT
 * The name service: questions in, answers out, with a bounded cache and a bounded number of questions under way. c-ares does the
 * talking; its sockets are watched by the actor that owns this, so nothing blocks. /etc/hosts is honoured. One actor. */
#ifndef LP2P_RESOLVER_DNS_H
#define LP2P_RESOLVER_DNS_H

#include "actors/context.h"
#include "actors/resolver/resolution.h"

#define LP2P_DNS_CACHE_MAX 256                 /* answers kept; beyond: the longest unused goes */
#define LP2P_DNS_RUNNING_MAX 16                /* questions under way; beyond: they wait */
#define LP2P_DNS_RUNNING_URGENT 4              /* of these: only for urgent ones */
#define LP2P_DNS_WAITING_MAX 1024              /* questions that wait; beyond: ELIMIT */
#define LP2P_DNS_WAITING_URGENT 256            /* room for urgent ones besides */
#define LP2P_DNS_RECORDS_MAX LP2P_RESOLVE_ADDRS_MAX /* of one answer; beyond: dropped */
#define LP2P_DNS_TTL_MIN_NS LP2P_SEC(5)
#define LP2P_DNS_TTL_MAX_NS LP2P_SEC(3600)
#define LP2P_DNS_FAILED_NS LP2P_SEC(5)         /* a failure is remembered that long */
#define LP2P_DNS_TRY_MS 1500                   /* until a server is taken for dead the first time */
#define LP2P_DNS_TRIES 2

struct lp2p_dns;
/** A question that was asked, and its answer. Belongs to the service; held by who asked until lp2p_dns_release. */
struct lp2p_lookup;

/** `servers`: "ADDRESS[:PORT],..." or "": the system's. NULL: no memory. */
struct lp2p_dns *lp2p_dns_new(struct lp2p_actor *self, const char *servers, unsigned timer);
void lp2p_dns_free(struct lp2p_dns *dns);
/** Asks, or finds the answer in the cache; an urgent question goes in front of those that wait. NULL: too many wait, or no
 *  memory. */
struct lp2p_lookup *lp2p_dns_ask(struct lp2p_dns *dns, const struct lp2p_dns_question *question, bool urgent);
void lp2p_dns_release(struct lp2p_dns *dns, struct lp2p_lookup *lookup);
/** EAGAIN: not answered yet. Else the answer: OK with records (borrowed), or why there are none. */
enum lp2p_err lp2p_lookup_answer(const struct lp2p_lookup *lookup, const struct lp2p_addrs **records);
/** A socket is ready, or the timer fired: goes on; afterwards some lookups may be answered. */
void lp2p_dns_on_fd(struct lp2p_dns *dns, int fd, unsigned ready);
void lp2p_dns_on_timer(struct lp2p_dns *dns);
/** The machine's network has changed: answers are forgotten, and the system's servers are looked up anew. */
void lp2p_dns_renew(struct lp2p_dns *dns);
size_t lp2p_dns_cached(const struct lp2p_dns *dns);

#endif
