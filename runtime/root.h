/* SPDX-License-Identifier: MIT
 * The end of the line of supervision: what the root supervisor reports goes to the runtime itself. */
#ifndef LP2P_RUNTIME_ROOT_H
#define LP2P_RUNTIME_ROOT_H

#include "runtime/control.h"

/** The root has come up or ended. Thread of the root supervisor. */
void lp2p_root_notice(struct lp2p_rt *rt, const struct lp2p_notice *notice);

/** Every call from outside is counted, so that lp2p_rt_stop can wait for the last one; false: too late. Any thread. */
bool lp2p_rt_enter(struct lp2p_rt *rt);
void lp2p_rt_leave(struct lp2p_rt *rt);

/** Frees everything; after the last thread. */
void lp2p_rt_free(struct lp2p_rt *rt);

/** Simulation (sim.c): makes the one driver; steps until the root has left the state. False: nothing more happens. */
struct lp2p_driver *lp2p_sim_driver_new(struct lp2p_rt *rt);
bool lp2p_sim_until_root_leaves(struct lp2p_rt *rt, enum lp2p_root_state state);

#endif
