/* SPDX-License-Identifier: MIT
 * Values and provider records in memory, bounded and mortal. Owned by the kad machine.
 *
 * Keys are points: who has the raw key has hashed it already. Validation is the caller's duty and comes
 * first. */
#ifndef LP2P_DHT_STORE_H
#define LP2P_DHT_STORE_H

#include "dht/contact.h"
#include "dht/shelf.h"

#define LP2P_KAD_PROVIDER_ADDRS_BYTES 320 /* bytes of addresses kept in one provider record */

struct lp2p_kad_value {
    struct lp2p_kad_item item;
    uint64_t wall_ms; /* our time of day when it was stored: timeReceived */
    uint32_t len;
    uint8_t *bytes;
};

struct lp2p_kad_provider {
    struct lp2p_kad_item item;
    struct lp2p_kad_contact *contact;
};

struct lp2p_kad_store {
    struct lp2p_kad_shelf values, providers;
    size_t providers_per_key_max;
    uint64_t providers_refused; /* the key had enough providers already */
};

struct lp2p_kad_store_config {
    struct lp2p_kad_key self;
    size_t records_max, providers_max, providers_per_key_max;
    uint64_t record_ttl_ns, provider_ttl_ns;
};

void lp2p_kad_store_init(struct lp2p_kad_store *store, const struct lp2p_kad_store_config *config,
                         const struct lp2p_rand *rand);
void lp2p_kad_store_fini(struct lp2p_kad_store *store);

/** Stores a copy of the value in the place of what was there, and stamps it. `source` is the point of the
 * peer that sent it; NULL: ourselves. ELIMIT: no room for it, or longer than LP2P_KAD_VALUE_MAX; ENOMEM. What
 * was there stays then. */
enum lp2p_err lp2p_kad_store_put(struct lp2p_kad_store *store, const struct lp2p_kad_key *key,
                                 const struct lp2p_kad_key *source, struct lp2p_span value, lp2p_time now,
                                 uint64_t wall_ms) LP2P_MUST_CHECK;
/** The value at the point, or NULL when there is none that is young enough; valid until the store is changed.
 */
const struct lp2p_kad_value *lp2p_kad_store_get(const struct lp2p_kad_store *store,
                                                const struct lp2p_kad_key *key, lp2p_time now);

/** Adds or refreshes the record that `provider` has the content; its addresses replace the ones known, if it
 * has any. ELIMIT: no room, or the key has enough providers (the oldest gives way only after half of its
 * life). ENOMEM. */
enum lp2p_err lp2p_kad_store_provide(struct lp2p_kad_store *store, const struct lp2p_kad_key *key,
                                     const struct lp2p_kad_peer *provider, bool own,
                                     lp2p_time now) LP2P_MUST_CHECK;
/** Up to max providers in random order; borrowed until the store is changed. */
size_t lp2p_kad_store_providers(const struct lp2p_kad_store *store, const struct lp2p_kad_key *key,
                                lp2p_time now, const struct lp2p_rand *rand,
                                const struct lp2p_kad_contact **out, size_t max);

void lp2p_kad_store_expire(struct lp2p_kad_store *store, lp2p_time now);
/** When the oldest record ends; LP2P_NEVER. */
lp2p_time lp2p_kad_store_deadline(const struct lp2p_kad_store *store);

#endif
