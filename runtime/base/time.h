/* SPDX-License-Identifier: MIT
 * Time as a value: nanoseconds of a monotonic clock that the caller passes in. Nothing here reads a clock. */
#ifndef LP2P_BASE_TIME_H
#define LP2P_BASE_TIME_H

#include <stdint.h>

typedef uint64_t lp2p_time;

#define LP2P_NEVER UINT64_MAX
#define LP2P_US(n) ((uint64_t)(n)*1000u)
#define LP2P_MS(n) ((uint64_t)(n)*1000000u)
#define LP2P_SEC(n) ((uint64_t)(n)*1000000000u)

/** when + span_ns, saturating at LP2P_NEVER. */
static inline lp2p_time lp2p_time_add(lp2p_time when, uint64_t span_ns)
{
    return span_ns >= LP2P_NEVER - when ? LP2P_NEVER : when + span_ns;
}

static inline lp2p_time lp2p_time_min(lp2p_time a, lp2p_time b)
{
    return a < b ? a : b;
}

/** later - earlier, 0 when the order is reversed. */
static inline uint64_t lp2p_time_since(lp2p_time later, lp2p_time earlier)
{
    return later > earlier ? later - earlier : 0;
}

#endif
