/* SPDX-License-Identifier: MIT */
#include "actors/link/dialer_backoff.h"

#include "actors/control/population.h"
#include "base/check.h"

#include <sodium.h>

void lp2p_backoffs_init(struct lp2p_backoffs *backoffs, const struct lp2p_rand *rand)
{
    *backoffs = (struct lp2p_backoffs){0};
    lp2p_rand_fill(rand, backoffs->hash_key, sizeof(backoffs->hash_key));
}

static uint64_t key_of(const struct lp2p_backoffs *backoffs, const struct lp2p_peer_id *peer, const struct lp2p_multiaddr *addr)
{
    uint8_t bytes[LP2P_MULTIADDR_MAX + LP2P_PEER_ID_MAX + 1];
    uint64_t hash = 0;
    size_t len = 0;
    bytes[len++] = addr->len; /* keeps the two parts apart */
    memcpy(bytes + len, addr->bytes, addr->len);
    len += addr->len;
    if (peer != NULL) {
        memcpy(bytes + len, peer->bytes, peer->len);
        len += peer->len;
    }
    crypto_shorthash((unsigned char *)&hash, bytes, len, backoffs->hash_key);
    return hash == 0 ? 1 : hash;
}

static struct lp2p_backoff_entry *find(const struct lp2p_backoffs *backoffs, uint64_t key)
{
    for (size_t i = 0; i < backoffs->len; i++) {
        if (backoffs->entries[i].key == key) {
            return (struct lp2p_backoff_entry *)(uintptr_t)&backoffs->entries[i];
        }
    }
    return NULL;
}

lp2p_time lp2p_backoff_until(const struct lp2p_backoffs *backoffs, const struct lp2p_peer_id *peer,
                             const struct lp2p_multiaddr *addr, lp2p_time now)
{
    const struct lp2p_backoff_entry *entry = find(backoffs, key_of(backoffs, peer, addr));
    return entry != NULL && entry->until > now ? entry->until : 0;
}

/** A place for a new entry: a free one, or that of the one that ends first. */
static struct lp2p_backoff_entry *place(struct lp2p_backoffs *backoffs)
{
    if (backoffs->len < LP2P_BACKOFFS_MAX) {
        return &backoffs->entries[backoffs->len++];
    }
    struct lp2p_backoff_entry *first = &backoffs->entries[0];
    for (size_t i = 1; i < backoffs->len; i++) {
        first = backoffs->entries[i].until < first->until ? &backoffs->entries[i] : first;
    }
    return first;
}

void lp2p_backoff_failed(struct lp2p_backoffs *backoffs, const struct lp2p_peer_id *peer, const struct lp2p_multiaddr *addr,
                         lp2p_time now, const struct lp2p_rand *rand)
{
    uint64_t key = key_of(backoffs, peer, addr);
    struct lp2p_backoff_entry *entry = find(backoffs, key);
    if (entry == NULL) {
        entry = place(backoffs);
        *entry = (struct lp2p_backoff_entry){.key = key};
    } else if (lp2p_time_add(entry->until, LP2P_BACKOFF_FORGET_NS) < now) {
        entry->tries = 0;
    }
    entry->tries++;
    entry->until = lp2p_time_add(now, lp2p_population_backoff(entry->tries, rand));
}

void lp2p_backoff_worked(struct lp2p_backoffs *backoffs, const struct lp2p_peer_id *peer, const struct lp2p_multiaddr *addr)
{
    struct lp2p_backoff_entry *entry = find(backoffs, key_of(backoffs, peer, addr));
    if (entry != NULL) {
        *entry = backoffs->entries[--backoffs->len];
    }
}
