/* SPDX-License-Identifier: MIT */
#include "actors/control/peers.h"

#include <sodium.h>
#include <stdlib.h>

#define BUCKETS 1024 /* power of two */

enum lp2p_err lp2p_peers_init(struct lp2p_peers *peers, size_t max, const struct lp2p_rand *rand)
{
    *peers = (struct lp2p_peers){.max = max, .buckets_len = BUCKETS};
    lp2p_list_init(&peers->lru);
    lp2p_rand_fill(rand, peers->hash_key, sizeof(peers->hash_key));
    peers->buckets = calloc(BUCKETS, sizeof(struct lp2p_peer_entry *));
    return peers->buckets == NULL ? LP2P_ENOMEM : LP2P_OK;
}

/** Keyed: peer ids are chosen by strangers, who must not choose the bucket too. */
static size_t bucket_of(const struct lp2p_peers *peers, const struct lp2p_peer_id *id)
{
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, id->bytes, id->len, peers->hash_key);
    return (size_t)(hash & (peers->buckets_len - 1));
}

static void entry_free(struct lp2p_peer_entry *entry)
{
    lp2p_addrs_drop(&entry->addrs);
    lp2p_strings_drop(&entry->protocols);
    free(entry);
}

void lp2p_peers_fini(struct lp2p_peers *peers)
{
    LP2P_LIST_FOREACH_SAFE(it, &peers->lru)
    {
        entry_free(LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, lru));
    }
    free(peers->buckets);
    *peers = (struct lp2p_peers){0};
    lp2p_list_init(&peers->lru);
}

struct lp2p_peer_entry *lp2p_peers_find(const struct lp2p_peers *peers, const struct lp2p_peer_id *id)
{
    struct lp2p_peer_entry *entry = peers->buckets[bucket_of(peers, id)];
    while (entry != NULL && !lp2p_peer_id_eq(&entry->id, id)) {
        entry = entry->hash_next;
    }
    return entry;
}

static bool may_go(const struct lp2p_peer_entry *entry)
{
    return lp2p_list_empty(&entry->links) && lp2p_list_empty(&entry->waiters) && entry->protects == 0 &&
           entry->dial == 0 && !entry->bootstrap;
}

static void unlink_entry(struct lp2p_peers *peers, struct lp2p_peer_entry *entry)
{
    struct lp2p_peer_entry **at = &peers->buckets[bucket_of(peers, &entry->id)];
    while (*at != entry) {
        at = &(*at)->hash_next;
    }
    *at = entry->hash_next;
    lp2p_list_remove(&entry->lru);
    peers->len--;
}

/** Makes room for one more; false when all must stay. Looks at the oldest ones only, so that the cost is bounded. */
static bool make_room(struct lp2p_peers *peers)
{
    size_t looked = 0;
    LP2P_LIST_FOREACH_SAFE(it, &peers->lru)
    {
        struct lp2p_peer_entry *entry = LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, lru);
        if (may_go(entry)) {
            unlink_entry(peers, entry);
            entry_free(entry);
            peers->evicted++;
            return true;
        }
        if (++looked == 64) {
            break;
        }
        lp2p_peers_touch(peers, entry); /* it stays: do not meet it first again next time */
    }
    return false;
}

struct lp2p_peer_entry *lp2p_peers_add(struct lp2p_peers *peers, const struct lp2p_peer_id *id)
{
    struct lp2p_peer_entry *entry = lp2p_peers_find(peers, id);
    if (entry != NULL) {
        return entry;
    }
    if (peers->len >= peers->max && !make_room(peers)) {
        peers->refused++;
        return NULL;
    }
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        peers->refused++;
        return NULL;
    }
    entry->id = *id;
    lp2p_list_init(&entry->links);
    lp2p_list_init(&entry->waiters);
    size_t bucket = bucket_of(peers, id);
    entry->hash_next = peers->buckets[bucket];
    peers->buckets[bucket] = entry;
    lp2p_list_push_back(&peers->lru, &entry->lru);
    peers->len++;
    return entry;
}

void lp2p_peers_touch(struct lp2p_peers *peers, struct lp2p_peer_entry *entry)
{
    lp2p_list_remove(&entry->lru);
    lp2p_list_push_back(&peers->lru, &entry->lru);
}

static bool listed(const struct lp2p_multiaddr *items, size_t len, const struct lp2p_multiaddr *addr)
{
    for (size_t i = 0; i < len; i++) {
        if (lp2p_multiaddr_eq(&items[i], addr)) {
            return true;
        }
    }
    return false;
}

static size_t append(struct lp2p_multiaddr *items, size_t len, const struct lp2p_peer_id *peer,
                     const struct lp2p_addrs *addrs)
{
    for (size_t i = 0; addrs != NULL && i < addrs->len && len < LP2P_PEER_ADDRS_MAX; i++) {
        struct lp2p_multiaddr addr = addrs->items[i];
        struct lp2p_peer_id named;
        if (lp2p_multiaddr_peer(&addr, &named) == LP2P_OK) {
            if (!lp2p_peer_id_eq(&named, peer)) {
                continue;
            }
            lp2p_multiaddr_strip_peer(&addr);
        }
        if (addr.len > 0 && !listed(items, len, &addr)) {
            items[len++] = addr;
        }
    }
    return len;
}

bool lp2p_peer_entry_add_addrs(struct lp2p_peer_entry *entry, const struct lp2p_addrs *addrs, bool replace)
{
    struct lp2p_multiaddr items[LP2P_PEER_ADDRS_MAX];
    size_t len = append(items, 0, &entry->id, addrs);
    if (len == 0) {
        return false;
    }
    if (!replace) {
        len = append(items, len, &entry->id, entry->addrs);
    }
    bool same = entry->addrs != NULL && entry->addrs->len == len;
    for (size_t i = 0; same && i < len; i++) {
        same = listed(entry->addrs->items, len, &items[i]);
    }
    struct lp2p_addrs *merged = lp2p_addrs_new(items, len);
    if (merged == NULL) {
        return false;
    }
    lp2p_addrs_drop(&entry->addrs);
    entry->addrs = merged;
    return !same;
}

struct lp2p_peer_info *lp2p_peer_entry_info(const struct lp2p_peer_entry *entry)
{
    struct lp2p_peer_info *info = lp2p_peer_info_new();
    if (info == NULL) {
        return NULL;
    }
    info->id = entry->id;
    info->observed = entry->observed;
    memcpy(info->agent, entry->agent, sizeof(info->agent));
    memcpy(info->protocol_version, entry->protocol_version, sizeof(info->protocol_version));
    info->muxer = "";
    info->signed_record = entry->record_seq != 0;
    info->signed_record = entry->record_seq != 0;
    info->rtt_ns = entry->rtt_ns;
    info->connected_ms = entry->connected_ms;
    info->last_seen_ms = entry->last_seen_ms;
    info->addrs = lp2p_addrs_ref(entry->addrs);
    info->protocols = lp2p_strings_ref(entry->protocols);
    return info;
}
