/* SPDX-License-Identifier: MIT */
#include "dht/table.h"

#include "base/check.h"
#include "dht/codec.h"

#include <stdlib.h>

void lp2p_kad_table_init(struct lp2p_kad_table *table, const struct lp2p_kad_key *self, unsigned k)
{
    *table = (struct lp2p_kad_table){.self = *self, .k = k};
}

void lp2p_kad_table_fini(struct lp2p_kad_table *table)
{
    for (unsigned b = 0; b < LP2P_KAD_KEY_BITS; b++) {
        for (unsigned i = 0; i < table->buckets[b].len; i++) {
            lp2p_kad_contact_free(table->buckets[b].entries[i].contact);
        }
        free(table->buckets[b].entries);
        table->buckets[b] = (struct lp2p_kad_bucket){0};
    }
    table->size = 0;
}

/* NULL for our own point, which has no bucket. */
static struct lp2p_kad_bucket *bucket_of(struct lp2p_kad_table *table, const struct lp2p_kad_key *key)
{
    unsigned cpl = lp2p_kad_key_cpl(&table->self, key);
    return cpl < LP2P_KAD_KEY_BITS ? &table->buckets[cpl] : NULL;
}

static struct lp2p_kad_entry *find_in(struct lp2p_kad_bucket *bucket, const struct lp2p_kad_key *key)
{
    for (unsigned i = 0; i < bucket->len; i++) {
        if (lp2p_kad_key_eq(&bucket->entries[i].contact->key, key)) {
            return &bucket->entries[i];
        }
    }
    return NULL;
}

static void set_failing(struct lp2p_kad_table *table, struct lp2p_kad_entry *entry, bool failing)
{
    if (entry->failing != failing) {
        entry->failing = failing;
        table->size += failing ? (size_t)-1 : 1;
    }
}

static void drop_entry(struct lp2p_kad_table *table, struct lp2p_kad_bucket *bucket,
                       struct lp2p_kad_entry *entry)
{
    set_failing(table, entry, true);
    lp2p_kad_contact_free(entry->contact);
    size_t index = (size_t)(entry - bucket->entries);
    memmove(entry, entry + 1, (bucket->len - index - 1) * sizeof(*entry));
    bucket->len--;
}

/* Room for one more: an entry that is failing gives way, the oldest such first. */
static bool make_room(struct lp2p_kad_table *table, struct lp2p_kad_bucket *bucket)
{
    if (bucket->entries == NULL) {
        bucket->entries = calloc(table->k, sizeof(*bucket->entries));
        return bucket->entries != NULL;
    }
    for (unsigned i = 0; bucket->len == table->k && i < bucket->len; i++) {
        if (bucket->entries[i].failing) {
            drop_entry(table, bucket, &bucket->entries[i]);
        }
    }
    return bucket->len < table->k;
}

enum lp2p_kad_seen lp2p_kad_table_add(struct lp2p_kad_table *table, struct lp2p_kad_contact *contact,
                                      bool connected)
{
    struct lp2p_kad_bucket *bucket = bucket_of(table, &contact->key);
    struct lp2p_kad_entry *entry = bucket == NULL ? NULL : find_in(bucket, &contact->key);
    if (entry != NULL) {
        if (contact->addrs_len > 0) {
            struct lp2p_kad_contact *old = entry->contact;
            entry->contact = contact;
            contact = old;
        }
        lp2p_kad_contact_free(contact);
        entry->connected = connected || entry->connected;
        bool was_failing = entry->failing;
        set_failing(table, entry, false);
        return was_failing ? LP2P_KAD_SEEN_NEW : LP2P_KAD_SEEN_KNOWN;
    }
    if (bucket == NULL || !make_room(table, bucket)) {
        lp2p_kad_contact_free(contact);
        return LP2P_KAD_SEEN_REFUSED;
    }
    bucket->entries[bucket->len++] = (struct lp2p_kad_entry){.contact = contact, .connected = connected};
    table->size++;
    return LP2P_KAD_SEEN_NEW;
}

struct lp2p_kad_entry *lp2p_kad_table_at(struct lp2p_kad_table *table, const struct lp2p_kad_key *key)
{
    struct lp2p_kad_bucket *bucket = bucket_of(table, key);
    return bucket == NULL ? NULL : find_in(bucket, key);
}

struct lp2p_kad_entry *lp2p_kad_table_find(struct lp2p_kad_table *table, const struct lp2p_peer_id *id)
{
    struct lp2p_kad_key key = lp2p_kad_key_of(lp2p_peer_id_span(id));
    return lp2p_kad_table_at(table, &key);
}

void lp2p_kad_table_remove(struct lp2p_kad_table *table, const struct lp2p_peer_id *id)
{
    struct lp2p_kad_entry *entry = lp2p_kad_table_find(table, id);
    if (entry != NULL) {
        drop_entry(table, bucket_of(table, &entry->contact->key), entry);
    }
}

void lp2p_kad_table_mark(struct lp2p_kad_table *table, const struct lp2p_peer_id *id, bool failing)
{
    struct lp2p_kad_entry *entry = lp2p_kad_table_find(table, id);
    if (entry != NULL) {
        set_failing(table, entry, failing);
    }
}

#define NEAREST_MAX LP2P_KAD_CLOSER_MAX /* nobody lists more */

struct nearest {
    const struct lp2p_kad_key *target;
    const struct lp2p_kad_entry **out;
    size_t len, max;
    bool failing;
    uint64_t distances[NEAREST_MAX]; /* the first 64 bits of each: they nearly always decide, and lie side by side */
};

/* Whether a contact at that distance comes before the one at that place. */
static bool nearer(const struct nearest *nearest, const struct lp2p_kad_contact *contact, uint64_t distance, size_t place)
{
    if (distance != nearest->distances[place]) {
        return distance < nearest->distances[place];
    }
    return lp2p_kad_key_compare(nearest->target, &contact->key, &nearest->out[place]->contact->key) < 0;
}

static void offer_bucket(struct nearest *nearest, const struct lp2p_kad_bucket *bucket)
{
    for (unsigned i = 0; i < bucket->len; i++) {
        const struct lp2p_kad_entry *entry = &bucket->entries[i];
        if (entry->failing && !nearest->failing) {
            continue;
        }
        uint64_t distance = entry->contact->key.w[0] ^ nearest->target->w[0];
        size_t at = nearest->len;
        while (at > 0 && nearer(nearest, entry->contact, distance, at - 1)) {
            at--;
        }
        if (at == nearest->max) {
            continue;
        }
        size_t moved = LP2P_MIN(nearest->len, nearest->max - 1) - at;
        memmove(&nearest->out[at + 1], &nearest->out[at], moved * sizeof(*nearest->out));
        memmove(&nearest->distances[at + 1], &nearest->distances[at], moved * sizeof(nearest->distances[0]));
        nearest->out[at] = entry;
        nearest->distances[at] = distance;
        nearest->len = LP2P_MIN(nearest->len + 1, nearest->max);
    }
}

size_t lp2p_kad_table_nearest(const struct lp2p_kad_table *table, const struct lp2p_kad_key *target,
                              bool failing, const struct lp2p_kad_entry **out, size_t max)
{
    struct nearest nearest;
    nearest.target = target;
    nearest.out = out;
    nearest.len = 0;
    nearest.max = max = LP2P_MIN(max, (size_t)NEAREST_MAX);
    nearest.failing = failing;
    unsigned cpl = LP2P_MIN(lp2p_kad_key_cpl(&table->self, target), LP2P_KAD_KEY_BITS - 1u);
    /* Bucket `cpl` shares more than cpl bits with the target, all deeper ones exactly cpl bits, and each
     * shallower bucket exactly its own number: so whole groups come in order of distance and the rest need
     * not be looked at. */
    offer_bucket(&nearest, &table->buckets[cpl]);
    if (nearest.len < max) {
        for (unsigned b = cpl + 1; b < LP2P_KAD_KEY_BITS; b++) {
            offer_bucket(&nearest, &table->buckets[b]);
        }
    }
    for (unsigned b = cpl; b > 0 && nearest.len < max; b--) {
        offer_bucket(&nearest, &table->buckets[b - 1]);
    }
    return nearest.len;
}

int lp2p_kad_table_depth(const struct lp2p_kad_table *table)
{
    for (int b = LP2P_KAD_KEY_BITS - 1; b >= 0; b--) {
        for (unsigned i = 0; i < table->buckets[b].len; i++) {
            if (!table->buckets[b].entries[i].failing) {
                return b;
            }
        }
    }
    return -1;
}
