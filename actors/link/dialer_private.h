/* SPDX-License-Identifier: MIT
 * The dialer from the inside: dials, the addresses of each, and the attempts under way. All of it is the dialer's own.
 * dialer.c has the actor and the attempts, dialer_addrs.c what is known of each address and when it is its turn. */
#ifndef LP2P_ACTORS_LINK_DIALER_PRIVATE_H
#define LP2P_ACTORS_LINK_DIALER_PRIVATE_H

#include "actors/context.h"
#include "actors/link/dialer_backoff.h"
#include "actors/link/dialer_budget.h"
#include "actors/link/limits.h"

enum lp2p_candidate_state { LP2P_CANDIDATE_WAITING, LP2P_CANDIDATE_RUNNING, LP2P_CANDIDATE_OVER };

/** One address of a dial, with an IP in it. */
struct lp2p_candidate {
    struct lp2p_multiaddr addr;  /* may end in /p2p/ID */
    struct lp2p_multiaddr shown; /* what people know it by: with the name that led to it */
    enum lp2p_candidate_state state;
    bool ranked;
    bool named;    /* the user or the configuration gave it, or the name that led to it: no budget */
    bool withheld; /* over, because others wanted it tried too often */
    bool any_port; /* not from the port that we listen on: that was tried */
    lp2p_time start; /* its turn */
};

struct lp2p_dial {
    struct lp2p_list link; /* oldest first */
    uint64_t number;
    struct lp2p_peer_id peer; /* len 0: whoever answers */
    struct lp2p_addrs *own;
    bool user; /* as in DIAL */
    bool hurry;         /* an attempt failed, the next one need not wait for its turn */
    lp2p_time deadline;
    struct lp2p_candidate *candidates;
    size_t len, cap;
    unsigned running, resolving;
    unsigned names; /* that others told, and that were looked up */
    enum lp2p_err reason; /* of the failure that tells most */
    bool tried;           /* the reason is that of an attempt, and not of an address that was passed over */
    char text[512];
    size_t text_len;
};

/** An upgrade actor that has not ended. */
struct lp2p_attempt {
    struct lp2p_ref upgrade;
    uint64_t serial;         /* never 0 */
    struct lp2p_dial *dial;  /* NULL: its dial is over, it was asked to stop */
    size_t candidate;        /* index in the dial */
    bool reused_port;
};

/** A name that the resolver is asked about. */
struct lp2p_resolving {
    uint64_t tag;
    struct lp2p_dial *dial;
    struct lp2p_multiaddr addr;
    bool named;  /* as of a candidate */
    bool urgent; /* the resolver was told so */
};

struct lp2p_dialer {
    struct lp2p_context *ctx;
    struct lp2p_list dials;
    size_t dials_len;
    uint64_t serial;
    lp2p_time held_until; /* no attempt begins before that */
    struct lp2p_outbox outbox;
    struct lp2p_rand rand;
    struct lp2p_backoffs backoffs;
    struct lp2p_budget budget;
    unsigned reserved; /* attempts that only dials with `user` may make */
    size_t attempts_len, resolving_len;
    struct lp2p_attempt attempts[LP2P_DIALS_PARALLEL];
    struct lp2p_resolving resolving[LP2P_RESOLVING_MAX];
};

/* dialer_addrs.c */

/** Adds "address: stage: what" to the text of a dial; what does not fit is counted only. */
void lp2p_dial_note(struct lp2p_dial *dial, const struct lp2p_multiaddr *shown, const struct lp2p_multiaddr *addr,
                    const char *stage, const char *what);
/** Of several failures the one that says most is told: an attempt's before an address's, and of attempts that the peer was
 *  someone else rather than that a port was closed. */
void lp2p_dial_remember(struct lp2p_dial *dial, enum lp2p_err reason, bool tried);
/** Takes in the addresses: those that cannot be dialed are noted, names go to the resolver, the rest gets its turn. */
void lp2p_dial_add(struct lp2p_actor *self, struct lp2p_dialer *dialer, struct lp2p_dial *dial, const struct lp2p_m_dial *m);
void lp2p_dial_resolved(struct lp2p_actor *self, struct lp2p_dialer *dialer, const struct lp2p_m_resolved *m);
/** The names that a dial asked for are of no interest any more. */
void lp2p_dial_forget_names(struct lp2p_dialer *dialer, const struct lp2p_dial *dial);
/** The candidate whose turn comes first, NULL: none waits. */
struct lp2p_candidate *lp2p_dial_next(const struct lp2p_dial *dial);
/** The port to dial from, so that the peer sees an address of ours that others can use: ip_len 0: any. */
struct lp2p_ip_port lp2p_dial_from(const struct lp2p_dial *dial, const struct lp2p_candidate *candidate);

#endif
