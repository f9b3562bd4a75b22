/* SPDX-License-Identifier: MIT */
#include "actors/link/admission.h"

#include "actors/link/limits.h"
#include "base/check.h"

#include <sodium.h>
#include <stdlib.h>

#define SETS 1024u
#define WAYS 4u
#define MILLI 1000u

/** The allowance of one network: full when nobody came from it for a while, and then as good as forgotten. */
struct allowance {
    uint64_t key; /* keyed hash of level and prefix; 0: free */
    uint32_t milli; /* connections left, in thousandths */
    uint32_t at_ms; /* when that was */
};

struct lp2p_admission {
    struct lp2p_inbound_limits limits;
    uint8_t secret[crypto_shorthash_KEYBYTES];
    struct allowance table[SETS][WAYS];
};

static const struct lp2p_inbound_limits DEFAULTS = {
    .pending_max = LP2P_PENDING_MAX,
    .pending = {LP2P_PENDING_IP_MAX, LP2P_PENDING_NET_MAX, LP2P_PENDING_NET_MAX},
    .per_minute = {LP2P_ACCEPT_IP_MINUTE, LP2P_ACCEPT_NET_MINUTE, LP2P_ACCEPT_NET_MINUTE},
    .burst = {LP2P_ACCEPT_IP_BURST, LP2P_ACCEPT_NET_BURST, LP2P_ACCEPT_NET_BURST},
    .upgrade_ns = LP2P_UPGRADE_IN_NS,
};

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value == 0 ? fallback : value;
}

void lp2p_inbound_limits_fill(const struct lp2p_inbound_limits *in, struct lp2p_inbound_limits *out)
{
    *out = DEFAULTS;
    if (in == NULL) {
        return;
    }
    out->pending_max = LP2P_MIN(or_default(in->pending_max, LP2P_PENDING_MAX), (uint32_t)LP2P_PENDING_MAX);
    for (int i = 0; i < LP2P_NET_LEVELS; i++) {
        out->pending[i] = or_default(in->pending[i], DEFAULTS.pending[i]);
        out->per_minute[i] = or_default(in->per_minute[i], DEFAULTS.per_minute[i]);
        out->burst[i] = or_default(in->burst[i], DEFAULTS.burst[i]);
    }
    out->upgrade_ns = in->upgrade_ns == 0 ? DEFAULTS.upgrade_ns : in->upgrade_ns;
    out->constant_deadline = in->constant_deadline;
    out->loopback_counts = in->loopback_counts;
}

size_t lp2p_net_prefix(const struct lp2p_ip_port *addr, enum lp2p_net_level level)
{
    static const uint8_t v4[LP2P_NET_LEVELS] = {4, 3, 0}, v6[LP2P_NET_LEVELS] = {8, 7, 6};
    return addr->ip_len == 4 ? v4[level] : v6[level];
}

bool lp2p_net_same(const struct lp2p_ip_port *a, const struct lp2p_ip_port *b, enum lp2p_net_level level)
{
    size_t len = lp2p_net_prefix(a, level);
    return len > 0 && a->ip_len == b->ip_len && memcmp(a->ip, b->ip, len) == 0;
}

struct lp2p_admission *lp2p_admission_new(const struct lp2p_inbound_limits *limits, const uint8_t secret[16])
{
    struct lp2p_admission *admission = calloc(1, sizeof(*admission));
    if (admission != NULL) {
        admission->limits = *limits;
        memcpy(admission->secret, secret, sizeof(admission->secret));
    }
    return admission;
}

void lp2p_admission_free(struct lp2p_admission *admission)
{
    free(admission);
}

size_t lp2p_admission_memory_bytes(void)
{
    return sizeof(struct lp2p_admission);
}

static uint64_t key_of(const struct lp2p_admission *admission, const struct lp2p_ip_port *addr,
                       enum lp2p_net_level level)
{
    uint8_t text[1 + 16], hash[crypto_shorthash_BYTES];
    uint64_t key = 0;
    size_t len = lp2p_net_prefix(addr, level);
    text[0] = (uint8_t)(addr->ip_len + level);
    memcpy(text + 1, addr->ip, len);
    crypto_shorthash(hash, text, 1 + len, admission->secret);
    memcpy(&key, hash, sizeof(key));
    return key == 0 ? 1 : key;
}

static uint32_t full(const struct lp2p_admission *admission, enum lp2p_net_level level)
{
    uint32_t burst = admission->limits.burst[level];
    return burst > UINT32_MAX / MILLI ? UINT32_MAX : burst * MILLI;
}

/** What the allowance has become by now. */
static void refill(const struct lp2p_admission *admission, struct allowance *it, enum lp2p_net_level level,
                   uint32_t now_ms)
{
    uint64_t gained = (uint64_t)(now_ms - it->at_ms) * admission->limits.per_minute[level] / 60;
    if (gained > 0) { /* else the time is kept, so that slow rates gain too */
        it->milli = (uint32_t)LP2P_MIN(it->milli + gained, (uint64_t)full(admission, level));
        it->at_ms = now_ms;
    }
}

/** The entry of this network; a new one takes a free place, or that of whoever has most left: forgetting that one does
 *  least harm. */
static struct allowance *entry(struct lp2p_admission *admission, const struct lp2p_ip_port *addr,
                               enum lp2p_net_level level, uint32_t now_ms)
{
    uint64_t key = key_of(admission, addr, level);
    struct allowance *set = admission->table[key % SETS], *best = &set[0];
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            refill(admission, &set[i], level, now_ms);
            return &set[i];
        }
        if (best->key != 0 && (set[i].key == 0 || set[i].milli > best->milli)) {
            best = &set[i];
        }
    }
    *best = (struct allowance){key, full(admission, level), now_ms};
    return best;
}

enum lp2p_err lp2p_admission_take(struct lp2p_admission *admission, const struct lp2p_ip_port *addr, lp2p_time now,
                                  enum lp2p_net_level *level)
{
    uint32_t now_ms = (uint32_t)(now / 1000000);
    for (int i = LP2P_NET_LEVELS - 1; i >= 0; i--) {
        if (lp2p_net_prefix(addr, (enum lp2p_net_level)i) > 0 &&
            admission->limits.per_minute[i] != LP2P_NO_LIMIT &&
            entry(admission, addr, (enum lp2p_net_level)i, now_ms)->milli < MILLI) {
            *level = (enum lp2p_net_level)i;
            return LP2P_ELIMIT;
        }
    }
    for (int i = LP2P_NET_LEVELS - 1; i >= 0; i--) {
        if (lp2p_net_prefix(addr, (enum lp2p_net_level)i) > 0 && admission->limits.per_minute[i] != LP2P_NO_LIMIT) {
            struct allowance *it = entry(admission, addr, (enum lp2p_net_level)i, now_ms);
            it->milli -= LP2P_MIN(it->milli, MILLI);
        }
    }
    return LP2P_OK;
}
