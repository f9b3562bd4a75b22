/* SPDX-License-Identifier: MIT */
#include "actors/link/rate.h"

#include "base/check.h"
#include "wire/endpoint.h"
#include "wire/multihash.h"

#include <sodium.h>

bool lp2p_bucket_allows(const struct lp2p_bucket *bucket, const struct lp2p_rate *rate, lp2p_time now)
{
    return rate->interval_ns == 0 || bucket->full_at < lp2p_time_add(now, rate->interval_ns * rate->burst);
}

void lp2p_bucket_charge(struct lp2p_bucket *bucket, const struct lp2p_rate *rate, lp2p_time now)
{
    lp2p_time from = LP2P_MAX(bucket->full_at, now),
              most = lp2p_time_add(now, 2 * rate->interval_ns * rate->burst);
    bucket->full_at = LP2P_MIN(lp2p_time_add(from, rate->interval_ns), most);
}

bool lp2p_bucket_take(struct lp2p_bucket *bucket, const struct lp2p_rate *rate, lp2p_time now)
{
    bool allowed = lp2p_bucket_allows(bucket, rate, now);
    if (allowed) {
        lp2p_bucket_charge(bucket, rate, now);
    }
    return allowed;
}

void lp2p_rate_table_init(struct lp2p_rate_table *table, struct lp2p_rate rate, bool wide,
                          const struct lp2p_rand *rand)
{
    *table = (struct lp2p_rate_table){.rate = rate, .wide = wide};
    lp2p_rand_fill(rand, table->hash_key, sizeof(table->hash_key));
}

/* Length and prefix of a source. */
static void source_of(const struct lp2p_ip_port *from, bool wide, uint8_t source[9])
{
    size_t len = from->ip_len == 4 ? (wide ? 3 : 4) : (wide ? 6 : 8);
    memset(source, 0, 9);
    source[0] = (uint8_t)len;
    memcpy(source + 1, from->ip, len);
}

/* The bucket of a source; the least used one of its set is given away if need be. */
static struct lp2p_bucket *bucket_of(struct lp2p_rate_table *table, const struct lp2p_ip_port *from)
{
    uint8_t source[9];
    uint64_t hash;
    source_of(from, table->wide, source);
    crypto_shorthash((unsigned char *)&hash, source, sizeof(source), table->hash_key);
    size_t set = (size_t)(hash & (LP2P_RATE_SETS - 1)), chosen = 0;
    for (size_t i = 0; i < LP2P_RATE_WAYS; i++) {
        if (memcmp(table->slots[set][i].source, source, sizeof(source)) == 0) {
            return &table->slots[set][i].bucket;
        }
        if (table->slots[set][i].bucket.full_at < table->slots[set][chosen].bucket.full_at) {
            chosen = i;
        }
    }
    memcpy(table->slots[set][chosen].source, source, sizeof(source));
    table->slots[set][chosen].bucket = (struct lp2p_bucket){0};
    return &table->slots[set][chosen].bucket;
}

bool lp2p_rate_allows(struct lp2p_rate_table *table, const struct lp2p_ip_port *from, lp2p_time now)
{
    return lp2p_bucket_allows(bucket_of(table, from), &table->rate, now);
}

void lp2p_rate_charge(struct lp2p_rate_table *table, const struct lp2p_ip_port *from, lp2p_time now)
{
    lp2p_bucket_charge(bucket_of(table, from), &table->rate, now);
}

bool lp2p_rate_take(struct lp2p_rate_table *table, const struct lp2p_ip_port *from, lp2p_time now)
{
    return lp2p_bucket_take(bucket_of(table, from), &table->rate, now);
}

/* Others take at the same time: what was read must still be there when it is written. */
static bool take_shared(uint64_t *full_at, const struct lp2p_rate *rate, lp2p_time now)
{
    uint64_t before = __atomic_load_n(full_at, __ATOMIC_RELAXED);
    for (;;) {
        struct lp2p_bucket bucket = {before};
        if (!lp2p_bucket_take(&bucket, rate, now)) {
            return false;
        }
        if (__atomic_compare_exchange_n(full_at, &before, bucket.full_at, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            return true;
        }
    }
}

static uint64_t *shared_bucket(struct lp2p_rate_shared *shared, const struct lp2p_ip_port *from)
{
    uint8_t source[9];
    uint64_t hash;
    source_of(from, true, source);
    crypto_shorthash((unsigned char *)&hash, source, sizeof(source), shared->hash_key);
    return &shared->full_at[hash & (LP2P_RATE_SHARED - 1)];
}

bool lp2p_rate_shared_allows(struct lp2p_rate_shared *shared, const struct lp2p_rate *each,
                             const struct lp2p_ip_port *from, lp2p_time now)
{
    struct lp2p_bucket bucket = {__atomic_load_n(shared_bucket(shared, from), __ATOMIC_RELAXED)};
    return lp2p_bucket_allows(&bucket, each, now);
}

void lp2p_rate_shared_charge(struct lp2p_rate_shared *shared, const struct lp2p_rate *each,
                             const struct lp2p_ip_port *from, lp2p_time now)
{
    uint64_t *full_at = shared_bucket(shared, from), before = __atomic_load_n(full_at, __ATOMIC_RELAXED);
    struct lp2p_bucket bucket;
    do {
        bucket = (struct lp2p_bucket){before};
        lp2p_bucket_charge(&bucket, each, now);
    } while (!__atomic_compare_exchange_n(full_at, &before, bucket.full_at, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
}

bool lp2p_rate_shared_take(struct lp2p_rate_shared *shared, const struct lp2p_rate *each,
                           const struct lp2p_rate *all, const struct lp2p_ip_port *from, lp2p_time now)
{
    struct lp2p_bucket total = {__atomic_load_n(&shared->all, __ATOMIC_RELAXED)};
    if (!lp2p_bucket_allows(&total, all, now)) {
        return false; /* before the source pays for it */
    }
    if (from != NULL && !take_shared(shared_bucket(shared, from), each, now)) {
        return false;
    }
    return take_shared(&shared->all, all, now);
}

bool lp2p_rate_source(const struct lp2p_multiaddr *remote, struct lp2p_ip_port *from)
{
    const struct lp2p_endpoint end = lp2p_endpoint_of(remote);
    return lp2p_multiaddr_scope(remote) != LP2P_SCOPE_LOOPBACK && end.transport != LP2P_TRANSPORT_RELAY &&
           lp2p_endpoint_ip(&end, from);
}

bool lp2p_verify_was_costly(const struct lp2p_peer_id *peer, enum lp2p_err reason)
{
    bool hashed = peer->len > 0 && peer->bytes[0] == LP2P_MH_SHA2_256;
    return hashed || reason == LP2P_ESIGNATURE || reason == LP2P_EBADKEY;
}
