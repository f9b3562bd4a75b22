/* SPDX-License-Identifier: MIT
 * The set of message hashes: a ring in order of arrival, and an open-addressed index into it that is rebuilt
 * when the oldest ones leave (once in a thousand additions). */
#include "actors/protocols/lotus_message.h"

#include <sodium.h>
#include <stdlib.h>

#define RING (LP2P_LOTUS_SEEN_MAX + 1)
#define SLOTS 32768u /* power of two, a third of it in use at the most */
#define FREE_SLOT UINT16_MAX

struct lp2p_lotus_seen {
    uint8_t seed[crypto_shorthash_KEYBYTES];
    size_t first, len;
    uint16_t slots[SLOTS]; /* place in the ring */
    uint8_t ring[RING][LP2P_LOTUS_HASH_BYTES];
};

struct lp2p_lotus_seen *lp2p_lotus_seen_new(const struct lp2p_rand *rand)
{
    struct lp2p_lotus_seen *seen = malloc(sizeof(*seen));
    if (seen == NULL) {
        return NULL;
    }
    lp2p_rand_fill(rand, seen->seed, sizeof(seen->seed));
    seen->first = seen->len = 0;
    memset(seen->slots, 0xff, sizeof(seen->slots));
    return seen;
}

void lp2p_lotus_seen_free(struct lp2p_lotus_seen *seen)
{
    free(seen);
}

size_t lp2p_lotus_seen_len(const struct lp2p_lotus_seen *seen)
{
    return seen->len;
}

/* The slot that holds the hash, or the free one where it belongs. */
static uint16_t *find_slot(struct lp2p_lotus_seen *seen, const uint8_t *hash)
{
    uint8_t digest[crypto_shorthash_BYTES];
    crypto_shorthash(digest, hash, LP2P_LOTUS_HASH_BYTES, seen->seed);
    uint64_t at;
    memcpy(&at, digest, sizeof(at));
    for (;;) {
        uint16_t *slot = &seen->slots[at++ % SLOTS];
        if (*slot == FREE_SLOT || memcmp(seen->ring[*slot], hash, LP2P_LOTUS_HASH_BYTES) == 0) {
            return slot;
        }
    }
}

static void drop_oldest(struct lp2p_lotus_seen *seen)
{
    seen->first = (seen->first + LP2P_LOTUS_SEEN_DROP) % RING;
    seen->len -= LP2P_LOTUS_SEEN_DROP;
    memset(seen->slots, 0xff, sizeof(seen->slots));
    for (size_t i = 0; i < seen->len; i++) {
        size_t place = (seen->first + i) % RING;
        *find_slot(seen, seen->ring[place]) = (uint16_t)place;
    }
}

bool lp2p_lotus_seen_add(struct lp2p_lotus_seen *seen, const uint8_t hash[LP2P_LOTUS_HASH_BYTES])
{
    uint16_t *slot = find_slot(seen, hash);
    if (*slot != FREE_SLOT) {
        return true;
    }
    size_t place = (seen->first + seen->len) % RING;
    memcpy(seen->ring[place], hash, LP2P_LOTUS_HASH_BYTES);
    *slot = (uint16_t)place;
    seen->len++;
    if (seen->len > LP2P_LOTUS_SEEN_MAX) {
        drop_oldest(seen);
    }
    return false;
}
