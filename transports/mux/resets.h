/* SPDX-License-Identifier: MIT
 * Reset frames that wait to be drained: their streams are gone already. Bounded, because a remote side that
 * opens streams beyond the limit and does not read would fill it. Owned by one machine. */
#ifndef LP2P_MUX_RESETS_H
#define LP2P_MUX_RESETS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define LP2P_MUX_RESETS_MAX 4096 /* entries */

struct lp2p_mux_reset {
    uint64_t key; /* of the stream in the table */
    uint32_t code;
};

/** Zeroed is empty and ready. */
struct lp2p_mux_resets {
    struct lp2p_mux_reset *entries; /* waiting: len entries from head on */
    uint32_t head, len, cap;
};

/** ELIMIT: the queue is full. ENOMEM. */
enum lp2p_err lp2p_mux_resets_push(struct lp2p_mux_resets *resets, uint64_t key,
                                   uint32_t code) LP2P_MUST_CHECK;
/** Takes the oldest; the queue must not be empty. The memory goes with the last one. */
struct lp2p_mux_reset lp2p_mux_resets_pop(struct lp2p_mux_resets *resets);
void lp2p_mux_resets_clear(struct lp2p_mux_resets *resets);

#endif
