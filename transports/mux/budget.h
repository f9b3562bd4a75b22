/* SPDX-License-Identifier: MIT
 * A count of things per period, for what a remote side may do only so often. Value; owned by one machine. */
#ifndef LP2P_MUX_BUDGET_H
#define LP2P_MUX_BUDGET_H

#include "base/time.h"

#include <stdbool.h>

/** Zeroed is fresh. */
struct lp2p_budget {
    lp2p_time since; /* start of the period under way */
    uint32_t used;
};

/** Counts one; false when more than max were counted in the period of period_ns under way. */
static inline bool lp2p_budget_take(struct lp2p_budget *budget, uint32_t max, uint64_t period_ns,
                                    lp2p_time now)
{
    if (lp2p_time_since(now, budget->since) >= period_ns) {
        budget->since = now;
        budget->used = 0;
    }
    if (budget->used >= max) {
        return false;
    }
    budget->used++;
    return true;
}

#endif
