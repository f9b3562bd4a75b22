/* SPDX-License-Identifier: MIT */
#include "actors/link/dialer_budget.h"

#include "base/check.h"
#include "wire/endpoint.h"
#include "wire/ip_text.h"

#include <sodium.h>

#define NET_LEN_IP4 3 /* bytes of the prefix */
#define NET_LEN_IP6 6

void lp2p_budget_init(struct lp2p_budget *budget, const struct lp2p_dial_limits *limits, const struct lp2p_rand *rand)
{
    *budget = (struct lp2p_budget){.target = limits->target, .net = limits->net};
    lp2p_rand_fill(rand, budget->hash_key, sizeof(budget->hash_key));
}

/** The bucket of a host and port (len: of the whole IP) or of a network; the least used one of its set is given away. */
static struct lp2p_bucket *bucket_of(struct lp2p_budget *budget, const struct lp2p_ip_port *to, size_t len)
{
    uint8_t bytes[1 + 16 + 2] = {(uint8_t)len};
    uint64_t key = 0;
    memcpy(bytes + 1, to->ip, len);
    if (len == to->ip_len) {
        bytes[17] = (uint8_t)(to->port >> 8);
        bytes[18] = (uint8_t)to->port;
    }
    crypto_shorthash((unsigned char *)&key, bytes, sizeof(bytes), budget->hash_key);
    key = key == 0 ? 1 : key;
    size_t set = (size_t)(key & (LP2P_BUDGET_SETS - 1)), chosen = 0;
    for (size_t i = 0; i < LP2P_BUDGET_WAYS; i++) {
        if (budget->slots[set][i].key == key) {
            return &budget->slots[set][i].bucket;
        }
        if (budget->slots[set][i].bucket.full_at < budget->slots[set][chosen].bucket.full_at) {
            chosen = i;
        }
    }
    budget->slots[set][chosen].key = key;
    budget->slots[set][chosen].bucket = (struct lp2p_bucket){0};
    return &budget->slots[set][chosen].bucket;
}

/** What an attempt hits; false: nothing that has a budget. The same machine has one, in whatever form its address is written. */
static bool target_of(const struct lp2p_multiaddr *addr, struct lp2p_ip_port *to)
{
    struct lp2p_endpoint end = lp2p_endpoint_of(addr);
    if (!lp2p_endpoint_ip(&end, to) || lp2p_multiaddr_scope(addr) == LP2P_SCOPE_LOOPBACK) {
        return false;
    }
    if (to->ip_len == 16 && lp2p_ip6_is_mapped(to->ip)) {
        memmove(to->ip, to->ip + 12, 4);
        to->ip_len = 4;
    }
    return true;
}

static size_t net_len(const struct lp2p_ip_port *to)
{
    return to->ip_len == 4 ? NET_LEN_IP4 : NET_LEN_IP6;
}

const char *lp2p_budget_take(struct lp2p_budget *budget, const struct lp2p_multiaddr *addr, lp2p_time now)
{
    struct lp2p_ip_port to;
    if (!target_of(addr, &to)) {
        return NULL;
    }
    if (!lp2p_bucket_allows(bucket_of(budget, &to, to.ip_len), &budget->target, now)) {
        return "not tried: others made us try this address too often";
    }
    if (!lp2p_bucket_take(bucket_of(budget, &to, net_len(&to)), &budget->net, now)) {
        return "not tried: others made us try this network too often";
    }
    lp2p_bucket_charge(bucket_of(budget, &to, to.ip_len), &budget->target, now);
    return NULL;
}

static void give_back(struct lp2p_bucket *bucket, const struct lp2p_rate *rate)
{
    bucket->full_at = lp2p_time_since(bucket->full_at, rate->interval_ns);
}

void lp2p_budget_worked(struct lp2p_budget *budget, const struct lp2p_multiaddr *addr)
{
    struct lp2p_ip_port to;
    if (target_of(addr, &to)) {
        give_back(bucket_of(budget, &to, to.ip_len), &budget->target);
        give_back(bucket_of(budget, &to, net_len(&to)), &budget->net);
    }
}
