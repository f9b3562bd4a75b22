/* SPDX-License-Identifier: MIT
 * Drivers: a thread and its loop. Seats that have something to do stand in the driver's run queue; others put them
 * there through a stack and wake the thread only when it sleeps. */
#ifndef LP2P_RUNTIME_DRIVER_H
#define LP2P_RUNTIME_DRIVER_H

#include "runtime/internal.h"

/** The ready stack of a driver whose thread has ended: senders look again where the seat is served now. */
#define LP2P_READY_CLOSED ((struct lp2p_seat *)(void *)1)

/** Has the seat's driver serve it soon; true when its thread slept and had to be woken. Any thread. */
bool lp2p_seat_schedule(struct lp2p_seat *seat);

/** Wakes the thread if it sleeps. */
bool lp2p_driver_wake(struct lp2p_driver *driver);
/** Ends the thread after its present iteration. Any thread. */
void lp2p_driver_quit(struct lp2p_driver *driver);

/** Reads the driver's clock: monotonic, or the virtual one. */
lp2p_time lp2p_driver_clock(const struct lp2p_driver *driver);

/* The pieces of an iteration, shared by the threads' loop and the simulator. Driver's thread. */
void lp2p_driver_take_ready(struct lp2p_driver *driver);
void lp2p_driver_expire_timers(struct lp2p_driver *driver);
struct lp2p_seat *lp2p_driver_pop(struct lp2p_driver *driver, size_t place);
/** Runs until lp2p_driver_quit; then passes on what others still put into its stack, and closes it. */
void lp2p_driver_loop(struct lp2p_driver *driver);

void lp2p_driver_init(struct lp2p_driver *driver, struct lp2p_rt *rt);
/** Releases what a driver holds beside its own memory. */
void lp2p_driver_fini(struct lp2p_driver *driver);

/** A running thread, attached to rt->drivers; NULL with *err ENOMEM or EIO. Under rt->lock. */
struct lp2p_driver *lp2p_driver_start_locked(struct lp2p_rt *rt, enum lp2p_driver_kind kind, unsigned group,
                                             unsigned number, const char *name, unsigned stack_kib,
                                             enum lp2p_err *err);

/** Gives back the pages of the calling driver's stack that lie below the present frame: what handlers once touched and a
 *  sleeping thread does not need. */
void lp2p_driver_trim_stack(struct lp2p_driver *driver);

/** One turn of one actor (turn.c): control bits, mail, descriptors, timers. */
void lp2p_seat_turn(struct lp2p_driver *driver, struct lp2p_seat *seat);

#endif
