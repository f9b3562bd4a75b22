/* SPDX-License-Identifier: MIT
 * A bounded set of entries that live for a fixed time, found by their point: what values and provider records
 * have in common. Owned by the kad machine; entries are embedded in what they stand for.
 *
 * Who has to go when the shelf is full: the entry that we are least responsible for (the shortest common
 * prefix with our own point; within that the oldest), and never for a newcomer that we are even less
 * responsible for. From half full on one source may hold a sixteenth of the shelf; beyond that its own oldest
 * entry goes first. What we stored ourselves is not evicted. */
#ifndef LP2P_DHT_SHELF_H
#define LP2P_DHT_SHELF_H

#include "base/err.h"
#include "base/list.h"
#include "base/rand.h"
#include "base/time.h"
#include "dht/key.h"

struct lp2p_kad_source;

struct lp2p_kad_item {
    struct lp2p_kad_item *chain;    /* next in the hash bucket */
    struct lp2p_list by_age;        /* all, oldest refresh first */
    struct lp2p_list by_cpl;        /* those that may be evicted, oldest refresh first */
    struct lp2p_list by_source;     /* oldest refresh first */
    struct lp2p_kad_source *source; /* NULL: our own */
    struct lp2p_kad_key key;
    lp2p_time refreshed;
    uint16_t cpl;
};

struct lp2p_kad_shelf {
    struct lp2p_kad_key self;
    size_t len, max;
    uint64_t ttl_ns, evicted, refused;
    uint64_t seed[2]; /* so that nobody outside can aim at one hash bucket */
    struct lp2p_kad_item **index;
    struct lp2p_kad_source **sources;
    size_t index_cap, sources_len, sources_cap;
    struct lp2p_list by_age;
    struct lp2p_list by_cpl[LP2P_KAD_KEY_BITS + 1];
    /** Frees the object that embeds the item, which was taken off already. */
    void (*release)(struct lp2p_kad_shelf *shelf, struct lp2p_kad_item *item);
};

void lp2p_kad_shelf_init(struct lp2p_kad_shelf *shelf, const struct lp2p_kad_key *self, size_t max,
                         uint64_t ttl_ns, const struct lp2p_rand *rand);
void lp2p_kad_shelf_fini(struct lp2p_kad_shelf *shelf); /* releases all */

/** Makes room for an entry at this point from this source (NULL: ourselves). ELIMIT: refused, and counted. */
enum lp2p_err lp2p_kad_shelf_room(struct lp2p_kad_shelf *shelf, const struct lp2p_kad_key *key,
                                  const struct lp2p_kad_key *source) LP2P_MUST_CHECK;
/** Puts a zeroed item on the shelf after a room call that was OK. ENOMEM: it is not on the shelf. */
enum lp2p_err lp2p_kad_shelf_put(struct lp2p_kad_shelf *shelf, struct lp2p_kad_item *item,
                                 const struct lp2p_kad_key *key, const struct lp2p_kad_key *source,
                                 lp2p_time now) LP2P_MUST_CHECK;
/** The entry gets a new life; its source stays. */
void lp2p_kad_shelf_refresh(struct lp2p_kad_shelf *shelf, struct lp2p_kad_item *item, lp2p_time now);
/** Takes the item off and releases it. */
void lp2p_kad_shelf_remove(struct lp2p_kad_shelf *shelf, struct lp2p_kad_item *item);
/** First item at the point; go on with lp2p_kad_shelf_more. NULL at the end. */
struct lp2p_kad_item *lp2p_kad_shelf_find(const struct lp2p_kad_shelf *shelf, const struct lp2p_kad_key *key);
struct lp2p_kad_item *lp2p_kad_shelf_more(const struct lp2p_kad_item *item);
/** Removes what is older than the time to live. */
void lp2p_kad_shelf_expire(struct lp2p_kad_shelf *shelf, lp2p_time now);
/** When the oldest entry ends; LP2P_NEVER when there is none. */
lp2p_time lp2p_kad_shelf_deadline(const struct lp2p_kad_shelf *shelf);

#endif
