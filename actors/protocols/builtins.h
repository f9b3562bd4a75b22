/* SPDX-License-Identifier: MIT
 * The protocol ids that the residents speak, as one table. The swarm starts with it, because residents come
 * to life with the first I/O thread: the first peer must not meet a node that does not know ping yet.
 * Residents register the same entries again. */
#ifndef LP2P_ACTORS_PROTOCOLS_BUILTINS_H
#define LP2P_ACTORS_PROTOCOLS_BUILTINS_H

#include "actors/context.h"

#define LP2P_BUILTINS_MAX 8

/** Fills `out` with the entries that this configuration asks for; returns how many. `resident`: only those of
 * that index, or LP2P_RESIDENT_NONE for all. */
size_t lp2p_builtin_protocols(const struct lp2p_config *config, int resident,
                              struct lp2p_protocol_entry out[LP2P_BUILTINS_MAX]);

#endif
