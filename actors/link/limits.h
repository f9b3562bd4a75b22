/* SPDX-License-Identifier: MIT
 * Every limit and timer of the way from an address to a stream, in one place. Each limit has a verdict (what
 * happens beyond it) and a counter; the words behind them say which. Values only. */
#ifndef LP2P_ACTORS_LINK_LIMITS_H
#define LP2P_ACTORS_LINK_LIMITS_H

#include "base/time.h"

/* ---- Listener */
#define LP2P_ACCEPT_BACKLOG 256
#define LP2P_ACCEPT_BATCH 16 /* accepts in one turn; the rest waits for the next one */
#define LP2P_PENDING_MAX                                                                                     \
    128 /* unfinished inbound upgrades of one listener; beyond: closed, connections_refused */
#define LP2P_PENDING_IP_MAX 8   /* the same from one IPv4 address or IPv6 /64, loopback exempt */
#define LP2P_PENDING_NET_MAX 32 /* the same from one IPv4 /24, or IPv6 /56 or /48, loopback exempt */
#define LP2P_ACCEPT_IP_MINUTE 300 /* new connections from one IPv4 address or IPv6 /64; beyond: closed, refused */
#define LP2P_ACCEPT_IP_BURST 60
#define LP2P_ACCEPT_NET_MINUTE 1500 /* the same from one IPv4 /24, or IPv6 /56 or /48 */
#define LP2P_ACCEPT_NET_BURST 300
#define LP2P_REFUSAL_LOG_NS LP2P_SEC(1) /* between two lines about refusals for one reason */
#define LP2P_WEB_CHECK_NS LP2P_SEC(2) /* between two looks at the files of the certificate */
#define LP2P_ACCEPT_PAUSE_MIN_NS                                                                             \
    LP2P_MS(50) /* without descriptors: look again after this, doubling up to .. */
#define LP2P_ACCEPT_PAUSE_MAX_NS LP2P_SEC(2)
#define LP2P_UPGRADE_IN_NS LP2P_SEC(10) /* a whole inbound upgrade, absolute; upgrades_failed */

/* ---- Dialer */
#define LP2P_DIAL_PARALLEL 8              /* attempts of one dial at one time */
#define LP2P_DIAL_ADDRS_MAX 100           /* addresses of one dial with those behind names; later ones are told as not tried */
#define LP2P_RESOLVING_MAX 256            /* names of all dials looked up at one time; beyond: told as not looked up */
#define LP2P_RESOLVING_RESERVED 64         /* of these: only for names that somebody asked for */
#define LP2P_DIAL_NAMES_MAX 16            /* names of one dial that others told; beyond: told as not looked up */
#define LP2P_REDIAL_SPREAD_NS LP2P_MS(250) /* before an address is tried again from another port: at random up to this */
#define LP2P_DIALS_PARALLEL 64            /* attempts of all dials at one time; beyond: they wait */
#define LP2P_DIALS_MAX 1024               /* dials that run or wait; beyond: ELIMIT at once */
/* Addresses that others told us (not the user or the configuration); beyond: told as not tried, dials_limited. To one host and
 * port, and to one IPv4 /24 or IPv6 /48; loopback exempt. */
#define LP2P_DIAL_TARGET_NS LP2P_SEC(20) /* between two attempts on average: with the burst 6 in any minute at the most */
#define LP2P_DIAL_TARGET_BURST 3
#define LP2P_DIAL_NET_NS LP2P_SEC(2)
#define LP2P_DIAL_NET_BURST 30
#define LP2P_DIALS_RESERVED 16           /* of LP2P_DIALS_PARALLEL: only for dials that somebody asked for */
#define LP2P_DIALER_HOLD_NS LP2P_MS(20)   /* while there is nobody yet to supervise attempts: until the next look */
#define LP2P_UPGRADE_OUT_NS LP2P_SEC(15)  /* one attempt, never beyond the dial's own deadline */

/* ---- Interfaces */
#define LP2P_INTERFACES_SETTLE_NS LP2P_MS(200) /* after a change: what comes within this is one change */
#define LP2P_INTERFACES_LOOK_NS LP2P_SEC(10)   /* where the kernel does not tell */

/* ---- Upgrade */
#define LP2P_UPGRADE_BUFFER_MAX                                                                              \
    65537u /* bytes received and not yet understood: one frame; beyond: EOVERSIZE */
#define LP2P_UPGRADE_READS_MAX 4 /* reads in one turn of what a carrier holds; the rest waits for the next one */

/* ---- Connection */
#define LP2P_CONN_UNCONSUMED_MAX                                                                             \
    (256u * 1024) /* plaintext that lies at the muxer; beyond: no reading until credit */
#define LP2P_CONN_SLAB_MIN 2048u
#define LP2P_CONN_READS_MAX 2           /* reads in one turn */
#define LP2P_CONN_IOV_MAX 16            /* sealed frames in one writev */
#define LP2P_CONN_STALL_NS LP2P_SEC(10) /* queued bytes and no progress: ETIMEDOUT */
#define LP2P_CONN_FLUSH_NS LP2P_SEC(2)  /* after the last write */

/* ---- Muxer */
#define LP2P_WRITES_AHEAD (4u * 65519u) /* plaintext that lies at the connection unsent */
#define LP2P_WRITES_AHEAD_MESSAGES 16   /* messages that do */
#define LP2P_CONTROL_AHEAD 16384u       /* above which not even control frames are added */
#define LP2P_NEGOTIATING_MAX                                                                                 \
    64 /* inbound streams that have not agreed on a protocol; beyond: reset, streams_refused */
#define LP2P_NEGOTIATION_NS LP2P_SEC(10) /* of one stream; upgrades of a stream beyond it are reset */
#define LP2P_EARLY_MAX 8192u             /* bytes of an unfinished negotiation kept */
#define LP2P_STATUS_NS LP2P_SEC(1)       /* least time between two LINK_STATUS */
#define LP2P_MUXER_OUTBOX_MAX 8192 /* messages that owners were too full for; beyond: the stream is reset */

/* Reset codes that newer go-libp2p shows to people (core/network/mux.go). */
#define LP2P_CODE_NEGOTIATION 0x1001u
#define LP2P_CODE_LIMIT 0x1002u
#define LP2P_CODE_SHUTDOWN 0x1007u

#endif
