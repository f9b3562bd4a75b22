/* SPDX-License-Identifier: MIT
 * Making children: the slot with everything that its supervisor and its thread will need, so that nothing can fail later. */
#ifndef LP2P_RUNTIME_SPAWN_H
#define LP2P_RUNTIME_SPAWN_H

#include "runtime/child.h"

/** Opens a slot for a child: info (one reference is taken), bounds, and who answers for it. */
void lp2p_slot_open(struct lp2p_slot *slot, struct lp2p_child_info *info, struct lp2p_ref sup);
/** Allocates the STARTED and ENDED notices of the next generation. ENOMEM. */
enum lp2p_err lp2p_slot_prepare(struct lp2p_slot *slot);

/** One more resident on a running thread, under rt->lock. ENOMEM, ELIMIT: nothing was made. */
enum lp2p_err lp2p_instance_add(struct lp2p_rt *rt, unsigned group, unsigned index, struct lp2p_driver *driver,
                                bool initial);

#endif
