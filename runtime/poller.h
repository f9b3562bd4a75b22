/* SPDX-License-Identifier: MIT
 * What a thread sleeps on: a futex while it watches no descriptor, epoll with an eventfd from then on. The only place
 * of the runtime that waits. Functions are the driver's own thread's, except lp2p_poller_wake. */
#ifndef LP2P_RUNTIME_POLLER_H
#define LP2P_RUNTIME_POLLER_H

#include "runtime/internal.h"

void lp2p_poller_init(struct lp2p_poller *poller);
/** Closes both descriptors, after every promised wake-up has been read: a late writer must not hit another's fd. */
void lp2p_poller_fini(struct lp2p_poller *poller);

/** Sleeps until woken, a descriptor is ready or the deadline; seats of ready descriptors are then scheduled. */
void lp2p_poller_sleep(struct lp2p_driver *driver, lp2p_time deadline);
/** Looks at the descriptors without sleeping. */
void lp2p_poller_look(struct lp2p_driver *driver);
/** Ends the sleep that the caller has exchanged out of driver->sleeping. Any thread. */
void lp2p_poller_wake(struct lp2p_driver *driver, enum lp2p_sleep slept);

/** Registers, changes or removes (LP2P_EIO: refused by the kernel). A simulated driver only counts. */
enum lp2p_err lp2p_poller_add(struct lp2p_driver *driver, struct lp2p_watch *watch);
enum lp2p_err lp2p_poller_change(struct lp2p_driver *driver, struct lp2p_watch *watch);
void lp2p_poller_remove(struct lp2p_driver *driver, struct lp2p_watch *watch);

/** Notes readiness (masked by the interest) and schedules the actor. */
void lp2p_watch_ready(struct lp2p_watch *watch, unsigned ready);

#endif
