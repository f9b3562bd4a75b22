/* SPDX-License-Identifier: MIT */
#include "actors/control/peers.h"

#include "base/check.h"
#include "wire/multihash.h"

#include <sodium.h>
#include <stdlib.h>

#define BUCKETS 1024 /* power of two */
#define LOOKS_MAX 64 /* entries that are looked at to make room for one */

enum lp2p_err lp2p_peers_init(struct lp2p_peers *peers, size_t max, const struct lp2p_rand *rand)
{
    *peers = (struct lp2p_peers){.max = max, .buckets_len = BUCKETS};
    lp2p_list_init(&peers->lru);
    lp2p_list_init(&peers->cheap);
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
    lp2p_slice_drop(&entry->record);
    lp2p_slice_drop(&entry->key);
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
    lp2p_list_init(&peers->cheap);
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

bool lp2p_peer_entry_idle(const struct lp2p_peer_entry *entry)
{
    bool tagged = false;
    for (size_t i = 0; i < LP2P_PEER_TAGS_MAX; i++) {
        tagged = tagged || entry->tags[i].name[0] != '\0';
    }
    return may_go(entry) && !tagged;
}

/** It answered where we dialed it, or the user gave its address: nobody becomes that by words alone. */
static bool proven(const struct lp2p_peer_entry *entry)
{
    bool any = false;
    for (size_t i = 0; entry->addrs != NULL && i < entry->addrs->len; i++) {
        any = any || entry->notes[i].source >= LP2P_ADDR_PROVEN;
    }
    return any;
}

static void unlink_entry(struct lp2p_peers *peers, struct lp2p_peer_entry *entry)
{
    struct lp2p_peer_entry **at = &peers->buckets[bucket_of(peers, &entry->id)];
    while (*at != entry) {
        at = &(*at)->hash_next;
    }
    *at = entry->hash_next;
    lp2p_list_remove(&entry->lru);
    lp2p_list_remove(&entry->cheap);
    lp2p_list_remove(&entry->dirty);
    peers->len--;
}

void lp2p_peers_remove(struct lp2p_peers *peers, struct lp2p_peer_entry *entry)
{
    unlink_entry(peers, entry);
    entry_free(entry);
}

static void evict(struct lp2p_peers *peers, struct lp2p_peer_entry *entry)
{
    lp2p_peers_remove(peers, entry);
    peers->evicted++;
}

/** Takes out one that never answered, if there is any. Who has answered since it was added leaves their list here. */
static bool evict_cheap(struct lp2p_peers *peers)
{
    size_t looked = 0;
    LP2P_LIST_FOREACH_SAFE(it, &peers->cheap)
    {
        struct lp2p_peer_entry *entry = LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, cheap);
        if (proven(entry)) {
            lp2p_list_remove(&entry->cheap);
        } else if (lp2p_peer_entry_idle(entry)) {
            evict(peers, entry);
            return true;
        } else if (++looked == LOOKS_MAX) {
            break;
        } else {
            lp2p_peers_touch(peers, entry); /* it stays: do not meet it first again next time */
        }
    }
    return false;
}

/** Makes room for one more; false when all must stay. Looks at the oldest ones only, so that the cost is bounded. */
static bool make_room(struct lp2p_peers *peers)
{
    size_t looked = 0;
    if (evict_cheap(peers)) {
        return true;
    }
    LP2P_LIST_FOREACH_SAFE(it, &peers->lru)
    {
        struct lp2p_peer_entry *entry = LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, lru);
        if (lp2p_peer_entry_idle(entry)) {
            evict(peers, entry);
            return true;
        }
        if (++looked == LOOKS_MAX) {
            break;
        }
        lp2p_peers_touch(peers, entry);
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
    lp2p_list_push_back(&peers->cheap, &entry->cheap);
    peers->len++;
    return entry;
}

void lp2p_peers_touch(struct lp2p_peers *peers, struct lp2p_peer_entry *entry)
{
    lp2p_list_remove(&entry->lru);
    lp2p_list_push_back(&peers->lru, &entry->lru);
    if (lp2p_list_linked(&entry->cheap)) {
        lp2p_list_remove(&entry->cheap);
        lp2p_list_push_back(&peers->cheap, &entry->cheap);
    }
}

/* ---- addresses */

/* What is known and what is told, before it is cut. */
struct merge {
    struct lp2p_multiaddr items[2 * LP2P_PEER_ADDRS_MAX];
    struct lp2p_addr_note notes[2 * LP2P_PEER_ADDRS_MAX];
    size_t len;
};

static size_t index_of(const struct lp2p_multiaddr *items, size_t len, const struct lp2p_multiaddr *addr)
{
    size_t i = 0;
    while (i < len && !lp2p_multiaddr_eq(&items[i], addr)) {
        i++;
    }
    return i;
}

static void put(struct merge *merge, const struct lp2p_multiaddr *addr, struct lp2p_addr_note note)
{
    size_t i = index_of(merge->items, merge->len, addr);
    if (i < merge->len) {
        merge->notes[i].local &= note.local; /* who else tells it does not take leave */
        merge->notes[i].source = LP2P_MAX(merge->notes[i].source, note.source);
        merge->notes[i].seen_s = LP2P_MAX(merge->notes[i].seen_s, note.seen_s);
    } else if (merge->len < LP2P_ARRAY_LEN(merge->items)) {
        merge->items[merge->len] = *addr;
        merge->notes[merge->len++] = note;
    }
}

/* An address that is told of a peer, in the form that is kept: without its /p2p. False: it is another peer's, or none. */
static bool normal(const struct lp2p_peer_id *peer, struct lp2p_multiaddr *addr)
{
    struct lp2p_peer_id named;
    if (lp2p_multiaddr_peer(addr, &named) == LP2P_OK) {
        if (!lp2p_peer_id_eq(&named, peer)) {
            return false;
        }
        lp2p_multiaddr_strip_peer(addr);
    }
    return addr->len > 0;
}

static void put_known(struct merge *merge, const struct lp2p_peer_entry *entry, enum lp2p_addr_source least)
{
    for (size_t i = 0; entry->addrs != NULL && i < entry->addrs->len; i++) {
        bool again = index_of(merge->items, merge->len, &entry->addrs->items[i]) < merge->len;
        if (again || entry->notes[i].source >= least) {
            put(merge, &entry->addrs->items[i], entry->notes[i]);
        }
    }
}

/* Takes the least worthy one out: the least trusted, of these the oldest, of these the last. */
static void cut_one(struct merge *merge)
{
    size_t worst = 0;
    for (size_t i = 1; i < merge->len; i++) {
        const struct lp2p_addr_note *a = &merge->notes[i], *b = &merge->notes[worst];
        if (a->source < b->source || (a->source == b->source && a->seen_s <= b->seen_s)) {
            worst = i;
        }
    }
    merge->len--;
    memmove(&merge->items[worst], &merge->items[worst + 1], (merge->len - worst) * sizeof(merge->items[0]));
    memmove(&merge->notes[worst], &merge->notes[worst + 1], (merge->len - worst) * sizeof(merge->notes[0]));
}

/* The merged list becomes the entry's. True when other addresses are in it than before. */
static bool settle(struct lp2p_peer_entry *entry, struct merge *merge)
{
    while (merge->len > LP2P_PEER_ADDRS_MAX) {
        cut_one(merge);
    }
    size_t before = entry->addrs == NULL ? 0 : entry->addrs->len;
    bool same = before == merge->len;
    for (size_t i = 0; same && i < merge->len; i++) {
        same = index_of(entry->addrs->items, before, &merge->items[i]) < before;
    }
    struct lp2p_addrs *addrs = merge->len == 0 ? NULL : lp2p_addrs_new(merge->items, merge->len);
    if (addrs == NULL && merge->len > 0) {
        return false;
    }
    lp2p_addrs_drop(&entry->addrs);
    entry->addrs = addrs;
    memcpy(entry->notes, merge->notes, merge->len * sizeof(merge->notes[0]));
    return !same;
}

static bool learn(struct lp2p_peer_entry *entry, const struct lp2p_addrs *addrs, struct lp2p_addr_note note)
{
    struct merge *merge = malloc(sizeof(*merge));
    if (merge == NULL) {
        return false;
    }
    merge->len = 0;
    for (size_t i = 0; addrs != NULL && i < addrs->len && merge->len < LP2P_PEER_ADDRS_MAX; i++) {
        struct lp2p_multiaddr addr = addrs->items[i];
        if (normal(&entry->id, &addr)) {
            put(merge, &addr, note);
        }
    }
    bool changed = false;
    if (merge->len > 0) {
        put_known(merge, entry, note.source == LP2P_ADDR_CERTIFIED ? LP2P_ADDR_PROVEN : LP2P_ADDR_HEARSAY);
        changed = settle(entry, merge);
    }
    free(merge);
    return changed;
}

bool lp2p_peer_entry_learn(struct lp2p_peer_entry *entry, const struct lp2p_addrs *addrs, enum lp2p_addr_source source,
                           uint32_t now_s)
{
    return learn(entry, addrs, (struct lp2p_addr_note){.seen_s = now_s, .source = (uint8_t)source});
}

bool lp2p_peer_entry_learn_local(struct lp2p_peer_entry *entry, const struct lp2p_addrs *addrs, uint32_t now_s)
{
    return learn(entry, addrs, (struct lp2p_addr_note){.seen_s = now_s, .source = LP2P_ADDR_HEARSAY, .local = true});
}

bool lp2p_peer_entry_forget_local(struct lp2p_peer_entry *entry)
{
    struct merge *merge = entry->addrs == NULL ? NULL : malloc(sizeof(*merge));
    if (merge == NULL) {
        return false;
    }
    merge->len = 0;
    for (size_t i = 0; i < entry->addrs->len; i++) {
        if (!entry->notes[i].local || entry->notes[i].source != LP2P_ADDR_HEARSAY) {
            put(merge, &entry->addrs->items[i], entry->notes[i]);
        }
    }
    bool changed = settle(entry, merge);
    free(merge);
    return changed;
}

void lp2p_peer_entry_keep_record(struct lp2p_peer_entry *entry, struct lp2p_span sealed)
{
    if (lp2p_span_eq(lp2p_slice_span(&entry->record), sealed)) {
        return;
    }
    lp2p_slice_drop(&entry->record); /* also without memory for the new one: an old one beside its number would be a lie */
    if (sealed.len > 0 && sealed.len <= LP2P_PEER_RECORD_MAX) {
        entry->record = lp2p_slice_copy(sealed.ptr, sealed.len);
    }
}

void lp2p_peer_entry_keep_key(struct lp2p_peer_entry *entry, struct lp2p_span protobuf)
{
    struct lp2p_public_key key;
    struct lp2p_peer_id id;
    bool wanted = protobuf.len > 0 && entry->key.len == 0 && entry->id.bytes[0] != LP2P_MH_IDENTITY;
    if (!wanted || lp2p_public_key_parse(protobuf, &key) != LP2P_OK) {
        return;
    }
    lp2p_peer_id_from_key(&key, &id);
    if (lp2p_peer_id_eq(&id, &entry->id)) {
        entry->key = lp2p_slice_copy(key.encoded, key.encoded_len);
    }
}

bool lp2p_peer_entry_certify(struct lp2p_peer_entry *entry, const struct lp2p_addrs *addrs, uint64_t seq, struct lp2p_span sealed,
                             uint32_t now_s)
{
    if (seq < entry->record_seq) {
        return false;
    }
    entry->record_seq = seq;
    entry->record_s = now_s;
    lp2p_peer_entry_keep_record(entry, sealed);
    lp2p_peer_entry_learn(entry, addrs, LP2P_ADDR_CERTIFIED, now_s);
    return true;
}

bool lp2p_peer_entry_recall(struct lp2p_peer_entry *entry, const struct lp2p_multiaddr *items,
                            const struct lp2p_addr_note *notes, size_t len)
{
    struct merge *merge = malloc(sizeof(*merge));
    if (merge == NULL) {
        return false;
    }
    merge->len = 0;
    put_known(merge, entry, LP2P_ADDR_HEARSAY);
    for (size_t i = 0; i < len; i++) {
        struct lp2p_multiaddr addr = items[i];
        if (normal(&entry->id, &addr)) {
            put(merge, &addr, notes[i]);
        }
    }
    bool changed = settle(entry, merge);
    free(merge);
    return changed;
}

/* Seconds that an address is kept after it was last told (go-libp2p core/peerstore, js peer store; the last two are ours). */
static uint32_t kept_s(enum lp2p_addr_source source)
{
    switch (source) {
    case LP2P_ADDR_HEARSAY:
    case LP2P_ADDR_IDENTIFY:
        return 3600;
    case LP2P_ADDR_CERTIFIED:
        return 6 * 3600;
    case LP2P_ADDR_PROVEN:
        return 7 * 24 * 3600;
    case LP2P_ADDR_MANUAL:
        break;
    }
    return UINT32_MAX;
}

/** A record does not outlive what it says. Its number goes too: a peer whose clock was ahead would never be heard again. */
static bool expire_record(struct lp2p_peer_entry *entry, uint32_t now_s)
{
    entry->record_s = LP2P_MIN(entry->record_s, now_s); /* our own clock was ahead */
    if (entry->record_seq == 0 || !lp2p_list_empty(&entry->links) ||
        lp2p_time_since(now_s, entry->record_s) <= kept_s(LP2P_ADDR_CERTIFIED)) {
        return false;
    }
    entry->record_seq = 0;
    lp2p_slice_drop(&entry->record);
    return true;
}

static bool expire_addrs(struct lp2p_peer_entry *entry, uint32_t now_s)
{
    bool over = false;
    for (size_t i = 0; entry->addrs != NULL && i < entry->addrs->len; i++) {
        entry->notes[i].seen_s = LP2P_MIN(entry->notes[i].seen_s, now_s); /* the clock was ahead */
        over = over || lp2p_time_since(now_s, entry->notes[i].seen_s) > kept_s((enum lp2p_addr_source)entry->notes[i].source);
    }
    struct merge *merge = over && lp2p_list_empty(&entry->links) ? malloc(sizeof(*merge)) : NULL;
    if (merge == NULL) {
        return false;
    }
    merge->len = 0;
    for (size_t i = 0; i < entry->addrs->len; i++) {
        if (lp2p_time_since(now_s, entry->notes[i].seen_s) <= kept_s((enum lp2p_addr_source)entry->notes[i].source)) {
            put(merge, &entry->addrs->items[i], entry->notes[i]);
        }
    }
    bool changed = settle(entry, merge);
    free(merge);
    return changed;
}

bool lp2p_peer_entry_expire(struct lp2p_peer_entry *entry, uint32_t now_s)
{
    bool changed = expire_record(entry, now_s);
    return expire_addrs(entry, now_s) || changed;
}

void lp2p_peer_entry_disconnected(struct lp2p_peer_entry *entry, uint32_t now_s)
{
    entry->record_s = now_s;
    for (size_t i = 0; entry->addrs != NULL && i < entry->addrs->len; i++) {
        if (entry->notes[i].source >= LP2P_ADDR_IDENTIFY) {
            entry->notes[i].seen_s = now_s;
        }
    }
    if (entry->protocols == NULL || entry->protocols->len <= LP2P_PEER_PROTOCOLS_GONE_MAX) {
        return;
    }
    struct lp2p_span first[LP2P_PEER_PROTOCOLS_GONE_MAX];
    for (size_t i = 0; i < LP2P_PEER_PROTOCOLS_GONE_MAX; i++) {
        first[i] = lp2p_span_str(entry->protocols->items[i]);
    }
    struct lp2p_strings *fewer = lp2p_strings_new(first, LP2P_PEER_PROTOCOLS_GONE_MAX);
    if (fewer != NULL) {
        lp2p_strings_drop(&entry->protocols);
        entry->protocols = fewer;
    }
}

/* ---- tags */

enum lp2p_err lp2p_peer_entry_tag(struct lp2p_peer_entry *entry, const char *name, int32_t value)
{
    struct lp2p_tag *place = NULL;
    for (size_t i = 0; i < LP2P_PEER_TAGS_MAX; i++) {
        struct lp2p_tag *tag = &entry->tags[i];
        if (strcmp(tag->name, name) == 0) {
            place = tag;
            break;
        }
        place = place == NULL && tag->name[0] == '\0' ? tag : place;
    }
    if (value == 0) {
        if (place != NULL && strcmp(place->name, name) == 0) {
            *place = (struct lp2p_tag){0};
        }
        return LP2P_OK;
    }
    if (place == NULL) {
        return LP2P_ELIMIT;
    }
    size_t len = strnlen(name, LP2P_TAG_NAME_MAX - 1);
    *place = (struct lp2p_tag){.value = value};
    memcpy(place->name, name, len);
    return LP2P_OK;
}

int lp2p_peer_entry_value(const struct lp2p_peer_entry *entry)
{
    int64_t sum = 0;
    for (size_t i = 0; i < LP2P_PEER_TAGS_MAX; i++) {
        sum += entry->tags[i].value;
    }
    return sum > 1000000 ? 1000000 : sum < -1000000 ? -1000000 : (int)sum;
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
    info->rtt_ns = entry->rtt_ns;
    info->connected_ms = entry->connected_ms;
    info->last_seen_ms = entry->last_seen_ms;
    info->addrs = lp2p_addrs_ref(entry->addrs);
    info->protocols = lp2p_strings_ref(entry->protocols);
    return info;
}
