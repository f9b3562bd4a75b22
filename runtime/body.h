/* SPDX-License-Identifier: MIT
 * The life of one generation of an actor on its thread: made at START, ended by a verdict, or disposed of when the
 * thread finds that the slot was taken away from it. Serving thread. */
#ifndef LP2P_RUNTIME_BODY_H
#define LP2P_RUNTIME_BODY_H

#include "runtime/control.h"

/** A turn in progress. */
struct lp2p_turn {
    struct lp2p_driver *driver;
    struct lp2p_seat *seat;
    struct lp2p_slot *slot;
    struct lp2p_actor *body;   /* NULL: none, or no more */
    struct lp2p_msg *ended; /* notice to send once the seat is left */
    bool condemned;            /* the seat is not ours any more: touch nothing of the slot */
};

/** Marks that a handler runs, and that it has returned. Leaving is false when the seat was condemned meanwhile: the
 *  body has then been disposed of. */
lp2p_time lp2p_handler_enter(struct lp2p_turn *turn);
bool lp2p_handler_leave(struct lp2p_turn *turn, lp2p_time entered);

/** Makes the body and runs init; reports STARTED, or ends with the reason of the failure. */
void lp2p_body_start(struct lp2p_turn *turn);
/** Runs fini (unless init never succeeded), frees everything, tells monitors, and leaves the notice in turn->ended. */
void lp2p_body_end(struct lp2p_turn *turn, enum lp2p_err reason, bool run_fini);
/** Frees the body of a condemned seat and lets the thread go. */
void lp2p_body_dispose(struct lp2p_driver *driver, struct lp2p_seat *seat);
/** Sends a STARTED or ENDED notice to who answers for the slot. */
void lp2p_body_report(struct lp2p_rt *rt, uint64_t sup, struct lp2p_msg **notice);
/** STARTED for a supervisor whose tree is up. */
void lp2p_body_report_started(struct lp2p_actor *body);

/** Descriptors of a body (watch.c). */
void lp2p_watches_fini(struct lp2p_actor *body);
bool lp2p_watches_next(struct lp2p_actor *body, int *fd, unsigned *ready);

#endif
