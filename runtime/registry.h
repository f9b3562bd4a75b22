/* SPDX-License-Identifier: MIT
 * Slots: the table behind lp2p_ref. Memory is taken in chunks and stays until the runtime ends, so that a sender with a
 * stale address touches valid memory and gets a verdict. */
#ifndef LP2P_RUNTIME_REGISTRY_H
#define LP2P_RUNTIME_REGISTRY_H

#include "runtime/internal.h"

/** The slot with that index; NULL when there was never one. Any thread. */
struct lp2p_slot *lp2p_slot_get(struct lp2p_rt *rt, uint32_t index);

/** Whether a message to generation gen (0: any) would reach someone now. Any thread. */
static inline bool lp2p_slot_accepts(const struct lp2p_slot *slot, uint32_t gen)
{
    return __atomic_load_n(&slot->open, __ATOMIC_ACQUIRE) != 0 &&
           (gen == 0 || gen == __atomic_load_n(&slot->gen, __ATOMIC_ACQUIRE));
}

/** A closed slot, served by the janitor; NULL at actors_max or without memory. Under rt->lock. */
struct lp2p_slot *lp2p_slot_alloc_locked(struct lp2p_rt *rt);
/** Gives back a slot that lp2p_slot_alloc_locked made and nobody has opened yet. Under rt->lock. */
void lp2p_slot_free_locked(struct lp2p_rt *rt, struct lp2p_slot *slot);
/** The next generation: addresses of the present one are stale from here on. Serving thread. */
void lp2p_slot_next_gen(struct lp2p_slot *slot);

/** Has the slot's thread look at it; true when a sleeping thread had to be woken. Any thread. */
bool lp2p_slot_notify(struct lp2p_slot *slot);
/** Sets control bits and notifies. */
void lp2p_slot_ask(struct lp2p_slot *slot, uint32_t bits);

enum lp2p_vacate { LP2P_VACATE_PARK, LP2P_VACATE_FREE };
/** Takes a slot without a body off its thread and closes it. PARK: the address stays reserved for the next start under a
 *  restarted supervisor; FREE: the slot is given back, with the parked slots of a supervisor's children. Not under
 *  rt->lock. Any thread, but only one: the supervisor's, or who holds an undeliverable notice. */
void lp2p_slot_vacate(struct lp2p_rt *rt, struct lp2p_slot *slot, enum lp2p_vacate how);

/** Drops all that waits in the mailbox: messages as stale and unread, monitors with a DOWN. Serving thread. */
void lp2p_slot_drain(struct lp2p_rt *rt, struct lp2p_slot *slot);
/** Copies id, kind and thread name where the snapshot finds them. Serving thread. */
void lp2p_slot_label(struct lp2p_slot *slot, const char *id, const char *kind, const char *thread);

/** Names of static children. ENOMEM. */
enum lp2p_err lp2p_name_add(struct lp2p_rt *rt, const char *id, uint32_t slot);
void lp2p_name_remove(struct lp2p_rt *rt, uint32_t slot);

/** Frees all slots with what still waits in them. After the last thread. */
void lp2p_registry_fini(struct lp2p_rt *rt);

#endif
