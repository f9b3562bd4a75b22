/* SPDX-License-Identifier: MIT */
#include "dht/machine.h"

#define DRAWS_MAX 4096u /* hashes spent on finding ids in the buckets: enough for about 12 bits */
#define HASTE_AFTER LP2P_SEC(1)
#define HASTE_APART LP2P_SEC(30)

static void next_lookup(struct lp2p_kad *kad, lp2p_time now)
{
    struct lp2p_kad_refresh *refresh = &kad->refresh;
    while (refresh->query == 0 && refresh->pending != 0) {
        unsigned bit = (unsigned)__builtin_ctz(refresh->pending);
        refresh->pending &= refresh->pending - 1;
        struct lp2p_span key = bit == 0 ? lp2p_peer_id_span(&kad->config.self)
                                        : lp2p_span(refresh->keys[bit - 1], LP2P_KAD_REFRESH_KEY);
        struct lp2p_kad_query *query = lp2p_kad_query_start(kad, LP2P_KAD_CLOSEST, key, true, now);
        refresh->query = query == NULL ? 0 : query->id;
    }
}

/* Ids with a given common prefix can only be found by trying: each draw falls into bucket i with probability
 * 2^-(i+1). */
static uint32_t draw_keys(struct lp2p_kad *kad, unsigned buckets)
{
    uint32_t have = 0;
    uint32_t wanted = (uint32_t)((UINT64_C(1) << buckets) - 1);
    for (unsigned i = 0; i < DRAWS_MAX && have != wanted; i++) {
        uint8_t raw[LP2P_KAD_REFRESH_KEY] = {0x12, 0x20}; /* sha2-256, 32 bytes */
        lp2p_rand_fill(&kad->rand, raw + 2, sizeof(raw) - 2);
        struct lp2p_kad_key key = lp2p_kad_key_of(lp2p_span(raw, sizeof(raw)));
        unsigned cpl = lp2p_kad_key_cpl(&kad->self, &key);
        if (cpl < buckets && (have & UINT32_C(1) << cpl) == 0) {
            memcpy(kad->refresh.keys[cpl], raw, sizeof(raw));
            have |= UINT32_C(1) << cpl;
        }
    }
    return have;
}

void lp2p_kad_refresh_start(struct lp2p_kad *kad, lp2p_time now)
{
    struct lp2p_kad_refresh *refresh = &kad->refresh;
    refresh->last = now;
    refresh->due = lp2p_time_add(now, kad->config.refresh_interval_ns);
    if (kad->table.size > 0) {
        unsigned buckets =
            (unsigned)LP2P_MIN(lp2p_kad_table_depth(&kad->table) + 1, LP2P_KAD_REFRESH_BUCKETS);
        refresh->pending = draw_keys(kad, buckets) << 1 | 1u;
        next_lookup(kad, now);
    }
}

void lp2p_kad_refresh_ended(struct lp2p_kad *kad, uint64_t query, lp2p_time now)
{
    if (kad->refresh.query == query) {
        kad->refresh.query = 0;
        next_lookup(kad, now);
    }
}

void lp2p_kad_refresh_hasten(struct lp2p_kad *kad, lp2p_time now)
{
    if (kad->refresh.due != LP2P_NEVER) {
        lp2p_time soon =
            LP2P_MAX(lp2p_time_add(now, HASTE_AFTER), lp2p_time_add(kad->refresh.last, HASTE_APART));
        kad->refresh.due = lp2p_time_min(kad->refresh.due, soon);
    }
}
