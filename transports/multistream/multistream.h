/* SPDX-License-Identifier: MIT
 * multistream-select 1.0 as a machine, both roles (multiformats/multistream-select README). One per negotiation; owned by
 * one actor. Tokens of at most 1024 bytes, at most 64 refusals; the caller enforces the deadline. */
#ifndef LP2P_MULTISTREAM_H
#define LP2P_MULTISTREAM_H

#include "base/err.h"
#include "base/span.h"
#include "base/time.h"

#define LP2P_MSS_TOKEN_MAX 1024   /* bytes with the newline */
#define LP2P_MSS_PROTOCOL_MAX 256 /* bytes of a protocol id of ours, with its NUL */
#define LP2P_MSS_REFUSALS_MAX 64

enum lp2p_mss_role { LP2P_MSS_DIALER, LP2P_MSS_LISTENER };

/** A listener's question: do we speak this protocol? Returns a non-negative index of the caller's, or -1. */
typedef int (*lp2p_mss_match)(void *ctx, struct lp2p_span protocol);

enum lp2p_mss_event_kind {
    LP2P_MSS_NONE,     /* nothing happened: feed more or drain */
    LP2P_MSS_SELECTED, /* agreed; bytes after it belong to the application */
    LP2P_MSS_FAILED,   /* reason: ENEGOTIATION, EMALFORMED, EOVERSIZE, EPROTO, ELIMIT */
};
struct lp2p_mss_event {
    enum lp2p_mss_event_kind kind;
    int index; /* dialer: index of the proposal; listener: what match returned */
    enum lp2p_err reason;
};

/** What a negotiation may cost. 0 stands for the default above; a test lifts one to show what it is there for. */
struct lp2p_mss_limits {
    uint16_t token_max;    /* a prefix of two bytes says at most 16383 */
    uint16_t refusals_max; /* never more than there is room for, unsent */
};

struct lp2p_mss; /* opaque, about 1 KiB while it runs; freed when the negotiation is over */

/** Dialer: proposes protocols[0..n) in order (borrowed until free). `lazy`: with the last proposal SELECTED comes at once and
 *  the reply is checked when it arrives; a FAILED may still follow. The caller must not send its FIN in the flight of a lazy
 *  negotiation: lp2p_mss_confirmed says when it may. NULL when memory is short. */
struct lp2p_mss *lp2p_mss_new_dialer(const char *const *protocols, size_t n, bool lazy);
struct lp2p_mss *lp2p_mss_new_listener(lp2p_mss_match match, void *ctx);
void lp2p_mss_free(struct lp2p_mss *mss);
/** Other limits than the defaults, before anything is fed; copied. NULL: nothing changes. */
void lp2p_mss_limit(struct lp2p_mss *mss, const struct lp2p_mss_limits *limits);

/** Consumes bytes up to the end of the negotiation, never beyond; *used is how many. */
enum lp2p_err lp2p_mss_feed(struct lp2p_mss *mss, struct lp2p_span in, lp2p_time now, size_t *used) LP2P_MUST_CHECK;
/** The next event; kind NONE when there is none. */
void lp2p_mss_next(struct lp2p_mss *mss, struct lp2p_mss_event *event);
/** Moves bytes to be sent into out; returns how many. Drain also after SELECTED: the listener's acceptance is among them. */
size_t lp2p_mss_drain(struct lp2p_mss *mss, uint8_t *out, size_t cap, lp2p_time now);
/** True when the remote side's acceptance has arrived (dialer) or ours was drained (listener): the machine may be freed. */
bool lp2p_mss_confirmed(const struct lp2p_mss *mss);
/** Always LP2P_NEVER: the caller owns the deadline of a negotiation. */
lp2p_time lp2p_mss_deadline(const struct lp2p_mss *mss);

#endif
