/* SPDX-License-Identifier: MIT
 * A peer as it is kept on disk, and the batches that carry it: what reads is within the bounds, and written
 * again it reads the same. */
#include "actors/store/db.h"
#include "actors/store/record.h"

#include "base/check.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_batch(struct lp2p_span in)
{
    struct lp2p_span key, value;
    uint8_t out[4096];
    size_t len = 0;
    while (in.len > 0 && lp2p_batch_take(&in, &key, &value) == LP2P_OK) {
        LP2P_CHECK(key.len >= 1 && key.len <= LP2P_DB_KEY_MAX);
        if (lp2p_batch_put(out, sizeof(out), &len, key, value) == LP2P_OK) {
            struct lp2p_span again = lp2p_span(out, len), k, v;
            LP2P_CHECK(lp2p_batch_take(&again, &k, &v) == LP2P_OK && lp2p_span_eq(k, key) &&
                       lp2p_span_eq(v, value));
            len = 0;
        }
    }
}

/* Into an entry, as the swarm does it. */
static void recall(const struct lp2p_stored_peer *stored, struct lp2p_peer_entry *entry)
{
    entry->id = stored->id;
    entry->record_seq = stored->record_seq;
    entry->last_seen_ms = stored->last_seen_ms;
    lp2p_peer_entry_recall(entry, stored->addrs, stored->notes, stored->addrs_len);
    entry->protocols = lp2p_strings_new(stored->protocols, stored->protocols_len);
    lp2p_peer_entry_keep_record(entry, stored->record);
    lp2p_peer_entry_keep_key(entry, stored->key);
    for (size_t i = 0; i < stored->tags_len; i++) {
        (void)!lp2p_peer_entry_tag(entry, stored->tags[i].name, stored->tags[i].value);
    }
}

static void forget(struct lp2p_peer_entry *entry)
{
    lp2p_addrs_drop(&entry->addrs);
    lp2p_strings_drop(&entry->protocols);
    lp2p_slice_drop(&entry->record);
    lp2p_slice_drop(&entry->key);
}

/* A record that proves nothing takes the certified addresses with it; one that does is this peer's. */
static void check_record(struct lp2p_stored_peer *stored)
{
    static struct lp2p_peer_record record;
    if (lp2p_stored_peer_genuine(stored, &record)) {
        LP2P_CHECK(stored->record.len == 0 || lp2p_peer_id_eq(&record.peer, &stored->id));
        return;
    }
    lp2p_stored_peer_distrust(stored);
    for (size_t i = 0; i < stored->addrs_len; i++) {
        LP2P_CHECK(stored->notes[i].source != LP2P_ADDR_CERTIFIED);
    }
    LP2P_CHECK(stored->record.len == 0 && stored->record_seq == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lp2p_stored_peer stored, again;
    static uint8_t out[LP2P_STORE_PEER_MAX], twice[LP2P_STORE_PEER_MAX];
    check_batch(lp2p_span(data, size));
    if (lp2p_stored_peer_read(lp2p_span(data, size), &stored) != LP2P_OK) {
        return 0;
    }
    LP2P_CHECK(lp2p_stored_peer_seen(lp2p_span(data, size)) == stored.last_seen_ms);
    LP2P_CHECK(stored.record.len <= LP2P_PEER_RECORD_MAX && stored.key.len <= LP2P_PUBLIC_KEY_MAX);
    struct lp2p_peer_entry entry = {.rtt_ns = 1}, other = {.rtt_ns = 1};
    lp2p_list_init(&entry.links);
    lp2p_list_init(&other.links);
    recall(&stored, &entry);
    size_t len = 0, len_twice = 0;
    LP2P_CHECK(lp2p_stored_peer_write(&entry, out, sizeof(out), &len) == LP2P_OK);
    LP2P_CHECK(lp2p_stored_peer_read(lp2p_span(out, len), &again) == LP2P_OK);
    recall(&again, &other);
    LP2P_CHECK(lp2p_stored_peer_write(&other, twice, sizeof(twice), &len_twice) == LP2P_OK);
    LP2P_CHECK(lp2p_span_eq(lp2p_span(out, len), lp2p_span(twice, len_twice)));
    check_record(&again);
    forget(&entry);
    forget(&other);
    return 0;
}
