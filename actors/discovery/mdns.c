/* SPDX-License-Identifier: MIT */
#include "actors/discovery/mdns.h"

#include "base/check.h"
#include "wire/endpoint.h"

#include <sodium.h>
#include <stdio.h>

/* RFC 6762 6: answers of several nodes to one question shall not collide. */
#define DELAY_MIN_NS LP2P_MS(20)
#define DELAY_SPAN_NS LP2P_MS(100)

const struct lp2p_mdns_limits LP2P_MDNS_LIMITS = {.packets_s = 200, .unicasts_s = 10, .peers_min = 60};

/* ---- tokens */

static struct lp2p_mdns_bucket bucket(unsigned max, uint64_t period_ns, lp2p_time now)
{
    return (struct lp2p_mdns_bucket){max, max == 0 ? 0 : period_ns / max, max, now};
}

static bool take_token(struct lp2p_mdns *mdns, struct lp2p_mdns_bucket *tokens, lp2p_time now)
{
    if (tokens->max == 0) {
        return true;
    }
    uint64_t refills = lp2p_time_since(now, tokens->refilled) / tokens->each_ns;
    tokens->refilled += refills * tokens->each_ns;
    tokens->tokens = LP2P_MIN(tokens->tokens + refills, tokens->max);
    if (tokens->tokens == 0) {
        mdns->limited++;
        return false;
    }
    tokens->tokens--;
    return true;
}

/* ---- beginning */

static lp2p_time soon(const struct lp2p_mdns *mdns, lp2p_time now)
{
    return lp2p_time_add(now, DELAY_MIN_NS + lp2p_rand_below(&mdns->rand, DELAY_SPAN_NS));
}

/** A name that tells nothing of the node, and is another one with each start. */
static void choose_name(struct lp2p_mdns *mdns)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    size_t len = LP2P_MDNS_NAME_MIN + lp2p_rand_below(&mdns->rand, LP2P_MDNS_NAME_MAX - LP2P_MDNS_NAME_MIN + 1);
    for (size_t i = 0; i < len; i++) {
        mdns->name[i] = letters[lp2p_rand_below(&mdns->rand, sizeof(letters) - 1)];
    }
    mdns->name[len] = '\0';
}

void lp2p_mdns_init(struct lp2p_mdns *mdns, const struct lp2p_peer_id *self, const uint8_t *fingerprint,
                    const struct lp2p_mdns_limits *limits, const struct lp2p_rand *rand, lp2p_time now)
{
    memset(mdns, 0, sizeof(*mdns));
    limits = limits == NULL ? &LP2P_MDNS_LIMITS : limits;
    mdns->self = *self;
    mdns->rand = *rand;
    int len = snprintf(mdns->service, sizeof(mdns->service), "_p2p%s", fingerprint == NULL ? "" : "-");
    for (size_t i = 0; fingerprint != NULL && i < 16; i++, len += 2) {
        (void)snprintf(mdns->service + len, sizeof(mdns->service) - (size_t)len, "%02x", fingerprint[i]);
    }
    choose_name(mdns);
    lp2p_rand_fill(rand, mdns->known_key, sizeof(mdns->known_key));
    mdns->packets = bucket(limits->packets_s, LP2P_SEC(1), now);
    mdns->unicasts = bucket(limits->unicasts_s, LP2P_SEC(1), now);
    mdns->peers = bucket(limits->peers_min, LP2P_SEC(60), now);
    mdns->answer_at = mdns->services_at = LP2P_NEVER;
    lp2p_mdns_renew(mdns, now);
}

static bool dialable_here(const struct lp2p_multiaddr *addr)
{
    const struct lp2p_endpoint endpoint = lp2p_endpoint_of(addr);
    enum lp2p_ma_scope scope = lp2p_multiaddr_scope(addr);
    return endpoint.transport == LP2P_TRANSPORT_TCP && !lp2p_endpoint_is_name(&endpoint) && !endpoint.zoned && endpoint.port != 0 &&
           (scope == LP2P_SCOPE_PRIVATE || scope == LP2P_SCOPE_PUBLIC);
}

static bool in(const struct lp2p_multiaddr *items, size_t len, const struct lp2p_multiaddr *addr)
{
    for (size_t i = 0; i < len; i++) {
        if (lp2p_multiaddr_eq(&items[i], addr)) {
            return true;
        }
    }
    return false;
}

/** An answer to all: soon, but not too soon after the last one. */
static void plan(const struct lp2p_mdns *mdns, lp2p_time *at, lp2p_time last, lp2p_time now)
{
    lp2p_time earliest = last == 0 ? 0 : lp2p_time_add(last, LP2P_MDNS_ANSWER_GAP_NS);
    lp2p_time when = soon(mdns, now);
    *at = lp2p_time_min(*at, LP2P_MAX(when, earliest));
}

static void announce(struct lp2p_mdns *mdns, lp2p_time now)
{
    mdns->announces = LP2P_MDNS_ANNOUNCES;
    mdns->waited.ip_len = 0;
    plan(mdns, &mdns->answer_at, mdns->answered, now);
}

void lp2p_mdns_publish(struct lp2p_mdns *mdns, const struct lp2p_multiaddr *addrs, size_t len, lp2p_time now)
{
    struct lp2p_multiaddr own[LP2P_MDNS_OWN_MAX];
    size_t own_len = 0;
    for (size_t i = 0; i < len && own_len < LP2P_MDNS_OWN_MAX; i++) {
        struct lp2p_multiaddr addr = addrs[i];
        lp2p_multiaddr_strip_peer(&addr);
        if (dialable_here(&addr) && lp2p_multiaddr_add_peer(&addr, &mdns->self) == LP2P_OK && !in(own, own_len, &addr)) {
            own[own_len++] = addr;
        }
    }
    bool changed = own_len != mdns->own_len;
    for (size_t i = 0; i < own_len && !changed; i++) {
        changed = !in(mdns->own, mdns->own_len, &own[i]);
    }
    memcpy(mdns->own, own, own_len * sizeof(own[0]));
    mdns->own_len = own_len;
    if (changed && (own_len > 0 || mdns->told)) {
        announce(mdns, now);
    }
}

void lp2p_mdns_renew(struct lp2p_mdns *mdns, lp2p_time now)
{
    mdns->query_at = soon(mdns, now);
    mdns->pause_ns = LP2P_MDNS_QUERY_FIRST_NS;
    if (mdns->own_len > 0) {
        announce(mdns, now);
    }
}

/* ---- packets */

static bool is_own(const struct lp2p_mdns *mdns, const struct lp2p_mdns_instance *instance)
{
    return !instance->bare && instance->len == strlen(mdns->name) && memcmp(instance->label, mdns->name, instance->len) == 0;
}

/** RFC 6762 7.1: with at least half of its life before it. */
static bool knows_us(const struct lp2p_mdns *mdns)
{
    for (size_t i = 0; i < mdns->heard.instances_len; i++) {
        if (is_own(mdns, &mdns->heard.instances[i])) {
            return mdns->heard.instances[i].ttl_s >= LP2P_MDNS_TTL_S / 2;
        }
    }
    return false;
}

static bool same_host(const struct lp2p_ip_port *a, const struct lp2p_ip_port *b)
{
    return a->ip_len == b->ip_len && memcmp(a->ip, b->ip, a->ip_len) == 0;
}

/** An answer to all. RFC 6762 7.2: for who says that more of what it knows follows there is more time, unless somebody else waits. */
static void plan_answer(struct lp2p_mdns *mdns, const struct lp2p_ip_port *from, lp2p_time now)
{
    if (!mdns->heard.truncated) {
        mdns->waited.ip_len = 0;
        plan(mdns, &mdns->answer_at, mdns->answered, now);
    } else if (mdns->answer_at == LP2P_NEVER) {
        mdns->waited = *from;
        lp2p_time more = lp2p_time_add(now, LP2P_MDNS_MORE_MIN_NS + lp2p_rand_below(&mdns->rand, LP2P_MDNS_MORE_SPAN_NS));
        lp2p_time earliest = mdns->answered == 0 ? 0 : lp2p_time_add(mdns->answered, LP2P_MDNS_ANSWER_GAP_NS);
        mdns->answer_at = LP2P_MAX(more, earliest);
    }
}

/** What others answer: who is there, who leaves, and what they have said in our place. */
static void take_response(struct lp2p_mdns *mdns, lp2p_time now)
{
    const struct lp2p_mdns_heard *heard = &mdns->heard;
    if (heard->services_ttl_s >= LP2P_MDNS_TTL_S && mdns->services_at != LP2P_NEVER) {
        mdns->services_at = LP2P_NEVER; /* RFC 6762 7.4: all nodes give the same answer, one is enough */
        mdns->services_answered = LP2P_MAX(now, (lp2p_time)1);
        mdns->suppressed++;
    }
    for (size_t i = 0; i < heard->instances_len; i++) {
        const struct lp2p_mdns_instance *instance = &heard->instances[i];
        struct lp2p_peer_id peer;
        const struct lp2p_peer_id *told = NULL;
        if (is_own(mdns, instance)) {
            if (instance->ttl_s == 0 && mdns->own_len > 0) {
                mdns->waited.ip_len = 0; /* somebody else's word, and nobody's to take back: we are here */
                plan(mdns, &mdns->answer_at, mdns->answered, now);
            }
            continue;
        }
        if (instance->ttl_s == 0) {
            lp2p_mdns_cache_leave(&mdns->cache, instance, now);
            continue;
        }
        for (size_t k = 0; k < heard->addrs_len && told == NULL; k++) {
            told = heard->instance_of[k] == i && lp2p_multiaddr_peer(&heard->addrs[k], &peer) == LP2P_OK ? &peer : NULL;
        }
        lp2p_mdns_cache_hear(&mdns->cache, instance, told, now);
    }
}

unsigned lp2p_mdns_take(struct lp2p_mdns *mdns, struct lp2p_span packet, const struct lp2p_ip_port *from, lp2p_time now,
                        struct lp2p_mdns_dress *dress)
{
    mdns->heard_next = 0;
    mdns->heard.addrs_len = 0;
    if (!take_token(mdns, &mdns->packets, now)) {
        return 0;
    }
    enum lp2p_err err = lp2p_mdns_read(packet, mdns->service, &mdns->heard);
    if (err != LP2P_OK) {
        mdns->invalid += err != LP2P_EUNSUPPORTED; /* other people's business is no fault */
        mdns->heard.addrs_len = 0;
        return 0;
    }
    if (mdns->heard.response) {
        take_response(mdns, now);
        return 0;
    }
    if (mdns->own_len == 0) {
        return 0;
    }
    bool peers = mdns->heard.asks_peers, services = mdns->heard.asks_services, known = knows_us(mdns);
    if (!peers && known && mdns->waited.ip_len != 0 && same_host(&mdns->waited, from)) {
        mdns->answer_at = LP2P_NEVER; /* the rest of what it knows */
        mdns->waited.ip_len = 0;
        mdns->suppressed++;
        return 0;
    }
    mdns->suppressed += (peers && known) + (services && mdns->heard.services_ttl_s >= LP2P_MDNS_TTL_S / 2);
    peers = peers && !known;
    services = services && mdns->heard.services_ttl_s < LP2P_MDNS_TTL_S / 2;
    if (!peers && !services) {
        return 0;
    }
    /* Everybody gets it too: rust-libp2p asks from one port and hears on another. */
    if (peers) {
        plan_answer(mdns, from, now);
    }
    if (services) {
        plan(mdns, &mdns->services_at, mdns->services_answered, now);
    }
    *dress = (struct lp2p_mdns_dress){.legacy = from->port != LP2P_MDNS_PORT, .id = mdns->heard.id};
    struct lp2p_multiaddr source;
    lp2p_multiaddr_from_ip_tcp(from->ip, from->ip_len, from->port, &source);
    enum lp2p_ma_scope scope = lp2p_multiaddr_scope(&source);
    bool near = scope == LP2P_SCOPE_LINK_LOCAL || scope == LP2P_SCOPE_PRIVATE || scope == LP2P_SCOPE_LOOPBACK;
    /* A source can be forged: nothing is sent to where our network does not end. */
    if ((!dress->legacy && !mdns->heard.wants_unicast) || !near || !take_token(mdns, &mdns->unicasts, now)) {
        return 0;
    }
    return (peers ? LP2P_MDNS_UNICAST_PEERS : 0u) | (services ? LP2P_MDNS_UNICAST_SERVICES : 0u);
}

/** Where the address was told before, or the place of the oldest. */
static size_t place_of(const struct lp2p_mdns *mdns, uint64_t hash)
{
    size_t oldest = 0;
    for (size_t i = 0; i < LP2P_MDNS_KNOWN_MAX; i++) {
        if (mdns->known[i].told != 0 && mdns->known[i].hash == hash) {
            return i;
        }
        oldest = mdns->known[i].told < mdns->known[oldest].told ? i : oldest;
    }
    return oldest;
}

static uint64_t hash_of(const struct lp2p_mdns *mdns, const uint8_t *data, size_t len)
{
    uint8_t bytes[crypto_shorthash_BYTES];
    uint64_t hash = 0;
    crypto_shorthash(bytes, data, len, mdns->known_key);
    memcpy(&hash, bytes, sizeof(hash));
    return hash;
}

static bool is_news(const struct lp2p_mdns *mdns, const struct lp2p_multiaddr *addr, lp2p_time now)
{
    uint64_t hash = hash_of(mdns, addr->bytes, addr->len);
    size_t at = place_of(mdns, hash);
    return mdns->known[at].told == 0 || mdns->known[at].hash != hash ||
           lp2p_time_since(now, mdns->known[at].told) >= LP2P_MDNS_AGAIN_NS;
}

static uint32_t tag_of(const struct lp2p_mdns *mdns, const struct lp2p_peer_id *peer)
{
    return (uint32_t)hash_of(mdns, peer->bytes, peer->len);
}

static void remember(struct lp2p_mdns *mdns, const struct lp2p_multiaddr *addr, uint32_t peer, lp2p_time now)
{
    uint64_t hash = hash_of(mdns, addr->bytes, addr->len);
    size_t at = place_of(mdns, hash);
    mdns->known[at].hash = hash;
    mdns->known[at].peer = peer;
    mdns->known[at].told = LP2P_MAX(now, (lp2p_time)1);
}

/** Peers of this network may name private addresses, but none of this machine alone, and no names: those would be looked up. */
static bool believable(const struct lp2p_multiaddr *addr)
{
    const struct lp2p_endpoint endpoint = lp2p_endpoint_of(addr);
    return endpoint.transport >= LP2P_TRANSPORT_TCP && endpoint.transport <= LP2P_TRANSPORT_WSS && !lp2p_endpoint_is_name(&endpoint) &&
           lp2p_addr_plausible(addr, LP2P_SCOPE_PRIVATE);
}

/** All that the packet says of one peer, taken out of it; what is news goes to *out. */
static void gather(struct lp2p_mdns *mdns, lp2p_time now, struct lp2p_mdns_peer *out)
{
    out->addrs_len = 0;
    for (size_t i = mdns->heard_next; i < mdns->heard.addrs_len; i++) {
        struct lp2p_multiaddr *addr = &mdns->heard.addrs[i];
        struct lp2p_peer_id id;
        if (addr->len == 0 || lp2p_multiaddr_peer(addr, &id) != LP2P_OK || !lp2p_peer_id_eq(&id, &out->id)) {
            continue;
        }
        if (out->addrs_len < LP2P_MDNS_PEER_ADDRS_MAX && believable(addr) && is_news(mdns, addr, now)) {
            out->addrs[out->addrs_len++] = *addr;
        }
        addr->len = 0;
    }
    if (out->addrs_len == 0 || lp2p_peer_id_eq(&out->id, &mdns->self)) {
        out->addrs_len = 0;
        return;
    }
    if (!take_token(mdns, &mdns->peers, now)) {
        lp2p_mdns_cache_doubt(&mdns->cache, &out->id);
        out->addrs_len = 0;
        return;
    }
    for (size_t i = 0; i < out->addrs_len; i++) {
        remember(mdns, &out->addrs[i], tag_of(mdns, &out->id), now);
        lp2p_multiaddr_strip_peer(&out->addrs[i]);
    }
}

bool lp2p_mdns_next_peer(struct lp2p_mdns *mdns, lp2p_time now, struct lp2p_mdns_peer *out)
{
    for (; mdns->heard_next < mdns->heard.addrs_len; mdns->heard_next++) {
        const struct lp2p_multiaddr *addr = &mdns->heard.addrs[mdns->heard_next];
        if (addr->len > 0 && lp2p_multiaddr_peer(addr, &out->id) == LP2P_OK) {
            gather(mdns, now, out);
            if (out->addrs_len > 0) {
                return true;
            }
        }
    }
    return false;
}

bool lp2p_mdns_next_gone(struct lp2p_mdns *mdns, lp2p_time now, struct lp2p_peer_id *out)
{
    if (!lp2p_mdns_cache_gone(&mdns->cache, now, out)) {
        return false;
    }
    uint32_t peer = tag_of(mdns, out);
    for (size_t i = 0; i < LP2P_MDNS_KNOWN_MAX; i++) {
        if (mdns->known[i].peer == peer) {
            mdns->known[i].told = 0;
        }
    }
    return true;
}

/* ---- what is due */

size_t lp2p_mdns_query(const struct lp2p_mdns *mdns, lp2p_time now, uint8_t *out)
{
    struct lp2p_mdns_instance known[LP2P_MDNS_CACHE_MAX];
    size_t len = lp2p_mdns_cache_known(&mdns->cache, now, known, LP2P_MDNS_CACHE_MAX);
    return lp2p_mdns_write_query(mdns->service, known, len, out);
}

size_t lp2p_mdns_farewell(struct lp2p_mdns *mdns, uint8_t *out)
{
    if (!mdns->told) {
        return 0;
    }
    mdns->told = false;
    return lp2p_mdns_write_farewell(mdns->service, mdns->name, out);
}

lp2p_time lp2p_mdns_next(const struct lp2p_mdns *mdns)
{
    lp2p_time said = lp2p_time_min(mdns->query_at, lp2p_time_min(mdns->answer_at, mdns->services_at));
    return lp2p_time_min(said, lp2p_mdns_cache_next(&mdns->cache));
}

bool lp2p_mdns_query_due(struct lp2p_mdns *mdns, lp2p_time now)
{
    if (now < mdns->query_at) {
        return false;
    }
    mdns->query_at = lp2p_time_add(now, mdns->pause_ns);
    mdns->pause_ns = LP2P_MIN(mdns->pause_ns * 2, LP2P_MDNS_QUERY_MAX_NS);
    return true;
}

static bool due(lp2p_time *at, lp2p_time *last, lp2p_time now)
{
    if (now < *at) {
        return false;
    }
    *at = LP2P_NEVER;
    *last = LP2P_MAX(now, (lp2p_time)1);
    return true;
}

bool lp2p_mdns_answer_due(struct lp2p_mdns *mdns, lp2p_time now)
{
    if (!due(&mdns->answer_at, &mdns->answered, now)) {
        return false;
    }
    mdns->waited.ip_len = 0;
    mdns->announces -= mdns->announces > 0;
    if (mdns->own_len == 0) {
        mdns->announces = 0;
    } else {
        mdns->told = true;
    }
    if (mdns->announces > 0) {
        mdns->answer_at = lp2p_time_add(now, LP2P_MDNS_ANSWER_GAP_NS);
    }
    return true;
}

bool lp2p_mdns_services_due(struct lp2p_mdns *mdns, lp2p_time now)
{
    return due(&mdns->services_at, &mdns->services_answered, now);
}
