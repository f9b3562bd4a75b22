/* SPDX-License-Identifier: MIT
 * Placement: which thread serves which slot. Functions named _locked are called under rt->lock. */
#ifndef LP2P_RUNTIME_GROUP_H
#define LP2P_RUNTIME_GROUP_H

#include "runtime/internal.h"

/** Chooses or starts the thread of a placement and attaches the slot to it; slot->group is set. `sup` is the slot of the
 *  supervisor: WITH an empty ref means its thread. EGONE: `with` has ended; EIO, ENOMEM: no thread. */
enum lp2p_err lp2p_place_locked(struct lp2p_rt *rt, const struct lp2p_child_spec *spec, const struct lp2p_slot *sup,
                                struct lp2p_slot *slot);
/** Attaches a slot to that driver. */
void lp2p_attach_locked(struct lp2p_driver *driver, struct lp2p_slot *slot, unsigned group);
/** One seat less on the driver; an ephemeral one ends its residents after the last user, and itself after the last seat.
 *  Any thread. */
void lp2p_driver_detach(struct lp2p_rt *rt, struct lp2p_driver *driver, uint32_t slot_index, bool resident);

/** Starts the threads of the groups that have a fixed number. */
enum lp2p_err lp2p_groups_start(struct lp2p_rt *rt);

/** Registers a resident spec (a reference to info is taken) and makes an instance on each thread of its group that stays or had
 *  one before; *made says how many. EEXIST: the index is taken; EINVAL: no such group or index. */
enum lp2p_err lp2p_resident_register(struct lp2p_rt *rt, struct lp2p_child_info *info, struct lp2p_ref sup, bool initial,
                                     unsigned *made);
/** The slot of the resident on the caller's own thread, made now if it is the first time; 0: no such spec, or no memory;
 *  LP2P_RESIDENT_ENDED: gone for good. */
uint32_t lp2p_resident_make(struct lp2p_rt *rt, unsigned group, unsigned index, struct lp2p_driver *driver);
/** Forgets all resident specs of that supervisor: later threads get no instance. */
void lp2p_residents_unregister(struct lp2p_rt *rt, struct lp2p_ref sup);

#endif
