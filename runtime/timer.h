/* SPDX-License-Identifier: MIT
 * The named timers of an actor. All of an actor's timers share one entry of its driver's heap, made with the actor, so
 * that setting a timer cannot fail. Serving thread. */
#ifndef LP2P_RUNTIME_TIMER_H
#define LP2P_RUNTIME_TIMER_H

#include "runtime/internal.h"

/** Clears all timers and takes the actor's place in its driver's heap. ENOMEM. */
enum lp2p_err lp2p_timers_init(struct lp2p_actor *body);
void lp2p_timers_fini(struct lp2p_actor *body);
/** Puts the entry in the heap to the earliest timer. */
void lp2p_timers_rearm(struct lp2p_actor *body);
/** The timer with the earliest deadline that is at most `now`, or LP2P_TIMERS_MAX. */
unsigned lp2p_timers_due(const struct lp2p_actor *body, lp2p_time now);

#endif
