/* SPDX-License-Identifier: MIT
 * The routing table: one bucket of k peers for each common prefix length with ourselves. Owned by the kad
 * machine.
 *
 * Peers that have been there long stay: a full bucket takes a newcomer only in the place of an entry that was
 * marked as failing. A failing entry is out of the table for everybody who asks; it only waits to be
 * replaced, and is the last resort as a seed when nothing better is left (so that an outage of our own
 * network does not cost the whole table). */
#ifndef LP2P_DHT_TABLE_H
#define LP2P_DHT_TABLE_H

#include "dht/contact.h"

struct lp2p_kad_entry {
    struct lp2p_kad_contact *contact;
    bool connected;
    bool failing;
};

struct lp2p_kad_bucket {
    struct lp2p_kad_entry *entries; /* oldest first; allocated when first needed, k places */
    unsigned len;
};

struct lp2p_kad_table {
    struct lp2p_kad_key self;
    unsigned k;
    size_t size; /* entries that are not failing */
    struct lp2p_kad_bucket buckets[LP2P_KAD_KEY_BITS];
};

enum lp2p_kad_seen { LP2P_KAD_SEEN_NEW, LP2P_KAD_SEEN_KNOWN, LP2P_KAD_SEEN_REFUSED };

void lp2p_kad_table_init(struct lp2p_kad_table *table, const struct lp2p_kad_key *self, unsigned k);
void lp2p_kad_table_fini(struct lp2p_kad_table *table);
/** Takes the contact (it is freed when refused). A known peer gets the new addresses, if there are any, and
 * is no longer failing. Our own point is refused. */
enum lp2p_kad_seen lp2p_kad_table_add(struct lp2p_kad_table *table, struct lp2p_kad_contact *contact,
                                      bool connected);
/** The entry of a peer, failing or not; NULL. Valid until the table is changed. */
struct lp2p_kad_entry *lp2p_kad_table_find(struct lp2p_kad_table *table, const struct lp2p_peer_id *id);
/** The same by its hashed point. */
struct lp2p_kad_entry *lp2p_kad_table_at(struct lp2p_kad_table *table, const struct lp2p_kad_key *key);
void lp2p_kad_table_remove(struct lp2p_kad_table *table, const struct lp2p_peer_id *id);
/** The peer answered (failing false) or did not (true); unknown peers are ignored. */
void lp2p_kad_table_mark(struct lp2p_kad_table *table, const struct lp2p_peer_id *id, bool failing);
/** Up to max entries nearest to the point, nearest first; failing ones only when asked for. */
size_t lp2p_kad_table_nearest(const struct lp2p_kad_table *table, const struct lp2p_kad_key *target,
                              bool failing, const struct lp2p_kad_entry **out, size_t max);
/** The deepest bucket that holds a good entry; -1 for an empty table. */
int lp2p_kad_table_depth(const struct lp2p_kad_table *table);

#endif
