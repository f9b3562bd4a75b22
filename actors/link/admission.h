/* SPDX-License-Identifier: MIT
 * Who may come in, decided before any cryptography: how often each address and each network around it may connect. A
 * table of fixed size, whatever addresses the other side has. Pure; owned by one listener. */
#ifndef LP2P_ACTORS_LINK_ADMISSION_H
#define LP2P_ACTORS_LINK_ADMISSION_H

#include "base/time.h"
#include "wire/multiaddr.h"

/** Networks around an address: IPv4 /32 and /24, IPv6 /64, /56 and /48. One of the first kind can be had by anybody. */
enum lp2p_net_level { LP2P_NET_HOST, LP2P_NET_SITE, LP2P_NET_REGION, LP2P_NET_LEVELS };

/** Limits of one listener. 0 stands for the default in limits.h; LP2P_NO_LIMIT lifts one (tests). */
struct lp2p_inbound_limits {
    uint32_t pending_max;                   /* unfinished upgrades */
    uint32_t pending[LP2P_NET_LEVELS];      /* the same from one network of each level */
    uint32_t per_minute[LP2P_NET_LEVELS];   /* new connections */
    uint32_t burst[LP2P_NET_LEVELS];        /* at once, after a pause */
    uint64_t upgrade_ns;                    /* a whole upgrade, when places are free */
    bool constant_deadline;                 /* it does not shrink when they are not */
    bool loopback_counts;                   /* loopback is not exempt */
};
#define LP2P_NO_LIMIT UINT32_MAX

/** Copies, with defaults in the place of 0. */
void lp2p_inbound_limits_fill(const struct lp2p_inbound_limits *in, struct lp2p_inbound_limits *out);

/** How many bytes of the address name its network of that level; 0: there is no such level for it. */
size_t lp2p_net_prefix(const struct lp2p_ip_port *addr, enum lp2p_net_level level);
bool lp2p_net_same(const struct lp2p_ip_port *a, const struct lp2p_ip_port *b, enum lp2p_net_level level);

struct lp2p_admission;
/** `secret` keys the table, so that nobody can aim at a place in it. NULL: no memory. */
struct lp2p_admission *lp2p_admission_new(const struct lp2p_inbound_limits *limits, const uint8_t secret[16]);
void lp2p_admission_free(struct lp2p_admission *admission); /* may be NULL */
/** Takes one connection from the allowance of the address and its networks. ELIMIT: one of them (*level) has none left; then
 *  nothing was taken. */
enum lp2p_err lp2p_admission_take(struct lp2p_admission *admission, const struct lp2p_ip_port *addr, lp2p_time now,
                                  enum lp2p_net_level *level) LP2P_MUST_CHECK;
/** Bytes that a table takes, whatever happens. */
size_t lp2p_admission_memory_bytes(void);

#endif
