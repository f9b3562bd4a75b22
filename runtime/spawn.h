/* SPDX-License-Identifier: MIT
 * Making children: the slot with everything that its supervisor and its thread will need, so that nothing can fail later. */
#ifndef LP2P_RUNTIME_SPAWN_H
#define LP2P_RUNTIME_SPAWN_H

#include "runtime/child.h"

/** Opens a slot for a child: info (one reference is taken), bounds, and who answers for it. */
void lp2p_slot_open(struct lp2p_slot *slot, struct lp2p_child_info *info, struct lp2p_ref sup);
/** Allocates the STARTED and ENDED notices of the next generation. ENOMEM. */
enum lp2p_err lp2p_slot_prepare(struct lp2p_slot *slot);

/** Residents prepared for a thread that is about to start. */
struct lp2p_instance {
    struct lp2p_slot *slot;
    struct lp2p_child *child;
    struct lp2p_msg *spawned;
};
struct lp2p_instances {
    struct lp2p_instance of[LP2P_RESIDENTS_MAX];
};
/* All under rt->lock. ENOMEM, ELIMIT: nothing was prepared. */
enum lp2p_err lp2p_instances_prepare(struct lp2p_rt *rt, unsigned group, const char *thread, struct lp2p_instances *out);
void lp2p_instances_discard(struct lp2p_rt *rt, struct lp2p_instances *instances);
void lp2p_instances_commit(struct lp2p_rt *rt, unsigned group, struct lp2p_driver *driver,
                           struct lp2p_instances *instances);
/** One more resident on a running thread. */
enum lp2p_err lp2p_instance_add(struct lp2p_rt *rt, unsigned group, unsigned index, struct lp2p_driver *driver,
                                bool initial);

#endif
