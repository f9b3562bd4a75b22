/* SPDX-License-Identifier: MIT
 * The system's random source for what happens outside of actors (which have lp2p_actor_rand). Any thread,
 * after sodium_init. */
#ifndef LP2P_API_SYSTEM_RAND_H
#define LP2P_API_SYSTEM_RAND_H

#include "base/rand.h"

extern const struct lp2p_rand lp2p_system_rand;

#endif
