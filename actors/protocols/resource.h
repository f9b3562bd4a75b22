/* SPDX-License-Identifier: MIT
 * Resources: the announcement as JSON (what Lotus nodes store in the DHT under "resource:<type>:<id>") and
 * the local cache of announcements. Pure; no actor. */
#ifndef LP2P_ACTORS_PROTOCOLS_RESOURCE_H
#define LP2P_ACTORS_PROTOCOLS_RESOURCE_H

#include "base/buf.h"
#include "base/list.h"
#include "dht/kad.h"

#define LP2P_RESOURCE_TYPE_MAX 128 /* bytes with NUL */
#define LP2P_RESOURCE_ID_MAX 256
#define LP2P_RESOURCE_KEY_MAX (9 + LP2P_RESOURCE_TYPE_MAX + LP2P_RESOURCE_ID_MAX)
#define LP2P_RESOURCE_VALUE_MAX LP2P_KAD_VALUE_MAX /* bytes of an announcement */

/** Writes the key, NUL-terminated. EINVAL: an empty part, one that is too long, or more than one '/' in both
 * together (receivers of the TypeScript side would take such a key for one of a namespace and drop the
 * record). `why` (may be NULL): static text. */
enum lp2p_err lp2p_resource_key(const char *type, const char *id, char out[LP2P_RESOURCE_KEY_MAX],
                                const char **why) LP2P_MUST_CHECK;

/** Builds the announcement. `data` is JSON text and goes in byte for byte; ttl_ms 0: no expiry. EINVAL: data
 * that is not JSON, text that is not UTF-8; ELIMIT: larger than LP2P_RESOURCE_VALUE_MAX; ENOMEM. */
enum lp2p_err lp2p_resource_build(const char *type, const char *id, const char *creator,
                                  struct lp2p_span data, uint64_t created_ms, uint64_t ttl_ms,
                                  struct lp2p_slice *json, const char **why) LP2P_MUST_CHECK;

/** Checks an announcement that came from the DHT: an object for this type and id, with a time of creation.
 * *expires_ms 0: it does not expire. EOVERSIZE, EMALFORMED (not JSON), EPROTO (a member is missing or of the
 * wrong type). creatorPeerId is a claim that nobody can check. */
enum lp2p_err lp2p_resource_check(struct lp2p_span json, const char *type, const char *id,
                                  uint64_t *expires_ms, const char **why) LP2P_MUST_CHECK;

/* The cache: announcements by key. When it is full the oldest that are not ours go; ours are never displaced.
 */

#define LP2P_RESOURCES_MAX 4096
#define LP2P_RESOURCES_BYTES_MAX (32u << 20)
#define LP2P_RESOURCE_BUCKETS 1024u

struct lp2p_resource {
    struct lp2p_list bucket, age; /* age: in the cache's list, oldest first */
    struct lp2p_slice json;
    uint64_t expires_ms; /* 0: never */
    bool own;
    lp2p_time publish;      /* own: when it is due to be put again; LP2P_NEVER while a put is under way */
    lp2p_time queued_until; /* own: no peer has stored it yet; 0: some have, or nobody tries any more */
    char type[LP2P_RESOURCE_TYPE_MAX], id[LP2P_RESOURCE_ID_MAX], key[LP2P_RESOURCE_KEY_MAX];
};
struct lp2p_resource_cache {
    struct lp2p_list buckets[LP2P_RESOURCE_BUCKETS], age;
    size_t len, bytes;
    size_t queued; /* entries with queued_until set */
};
void lp2p_resource_cache_init(struct lp2p_resource_cache *cache);
void lp2p_resource_cache_fini(struct lp2p_resource_cache *cache);
/** Stores or replaces; *json is taken (emptied) on success. Type and id must have passed lp2p_resource_key.
 * What is expired goes first, then the oldest that are not ours. ELIMIT: only our own are left; ENOMEM. *out
 * (may be NULL) is valid until the next put or expire. */
enum lp2p_err lp2p_resource_cache_put(struct lp2p_resource_cache *cache, const char *type, const char *id,
                                      struct lp2p_slice *json, uint64_t expires_ms, bool own, uint64_t now_ms,
                                      struct lp2p_resource **out) LP2P_MUST_CHECK;
/** The entry, unless it has expired; NULL. */
struct lp2p_resource *lp2p_resource_cache_get(struct lp2p_resource_cache *cache, const char *key,
                                              uint64_t now_ms);
/** Sets queued_until, 0 to clear it. */
void lp2p_resource_cache_queue(struct lp2p_resource_cache *cache, struct lp2p_resource *entry,
                               lp2p_time until);
/** Drops what has expired; returns how many. */
size_t lp2p_resource_cache_expire(struct lp2p_resource_cache *cache, uint64_t now_ms);

#endif
