/* SPDX-License-Identifier: MIT */
#include "actors/control/observed.h"

#include "wire/endpoint.h"

void lp2p_observed_init(struct lp2p_observed *observed)
{
    *observed = (struct lp2p_observed){.needed = LP2P_OBSERVED_NEEDED, .per_listen = LP2P_OBSERVED_PER_LISTEN};
}

/** What one party can be expected to hold: IPv4 /16, IPv6 /32. 0: no address that counts. */
static uint64_t group_of(const struct lp2p_multiaddr *observer)
{
    struct lp2p_endpoint end = lp2p_endpoint_of(observer);
    struct lp2p_ip_port ip;
    if (!lp2p_endpoint_ip(&end, &ip) || lp2p_multiaddr_scope(observer) != LP2P_SCOPE_PUBLIC) {
        return 0;
    }
    size_t len = ip.ip_len == 4 ? 2 : 4;
    uint64_t group = ip.ip_len;
    for (size_t i = 0; i < len; i++) {
        group = group << 8 | ip.ip[i];
    }
    return group;
}

static bool same_ip_port(const struct lp2p_ip_port *a, const struct lp2p_ip_port *b)
{
    return a->ip_len == b->ip_len && a->port == b->port && memcmp(a->ip, b->ip, a->ip_len) == 0;
}

/** The node listens there; with a transport: for that one. */
static bool listens(const struct lp2p_addrs *own, const struct lp2p_ip_port *local, enum lp2p_transport transport)
{
    for (uint32_t i = 0; own != NULL && i < own->len; i++) {
        struct lp2p_endpoint end = lp2p_endpoint_of(&own->items[i]);
        struct lp2p_ip_port ip;
        if (lp2p_endpoint_ip(&end, &ip) && same_ip_port(&ip, local) &&
            (transport == LP2P_TRANSPORT_NONE || end.transport == transport)) {
            return true;
        }
    }
    return false;
}

static void expire(struct lp2p_observed *observed, lp2p_time now)
{
    for (size_t i = 0; i < LP2P_OBSERVED_MAX; i++) {
        struct lp2p_observation *item = &observed->items[i];
        bool any = false;
        for (size_t j = 0; j < LP2P_OBSERVERS_MAX; j++) {
            struct lp2p_observer *observer = &item->observers[j];
            if (observer->group != 0 && observer->conn == 0 && observer->expires <= now) {
                *observer = (struct lp2p_observer){0};
            }
            any = any || observer->group != 0;
        }
        item->seen.len = any ? item->seen.len : 0;
    }
}

static unsigned support(const struct lp2p_observation *item)
{
    unsigned n = 0;
    for (size_t j = 0; j < LP2P_OBSERVERS_MAX; j++) {
        n += item->observers[j].group != 0;
    }
    return n;
}

static struct lp2p_observer *observer_in(struct lp2p_observation *item, uint64_t group)
{
    for (size_t j = 0; j < LP2P_OBSERVERS_MAX; j++) {
        if (item->observers[j].group == group) {
            return &item->observers[j];
        }
    }
    return NULL;
}

static struct lp2p_observation *find(struct lp2p_observed *observed, const struct lp2p_multiaddr *seen,
                                     const struct lp2p_ip_port *local)
{
    for (size_t i = 0; i < LP2P_OBSERVED_MAX; i++) {
        struct lp2p_observation *item = &observed->items[i];
        if (lp2p_multiaddr_eq(&item->seen, seen) && same_ip_port(&item->local, local)) {
            return item;
        }
    }
    return NULL;
}

/** A place for an address: a free one, or that of the least supported one that is not confirmed. */
static struct lp2p_observation *place(struct lp2p_observed *observed, const struct lp2p_multiaddr *seen,
                                      const struct lp2p_ip_port *local)
{
    struct lp2p_observation *best = NULL;
    unsigned least = observed->needed;
    for (size_t i = 0; i < LP2P_OBSERVED_MAX; i++) {
        struct lp2p_observation *item = &observed->items[i];
        if (support(item) < least) {
            least = support(item);
            best = item;
        }
    }
    if (best != NULL) {
        *best = (struct lp2p_observation){.seen = *seen, .local = *local};
    }
    return best;
}

static unsigned supported_by(struct lp2p_observed *observed, uint64_t group)
{
    unsigned n = 0;
    for (size_t i = 0; i < LP2P_OBSERVED_MAX; i++) {
        n += observed->items[i].seen.len > 0 && observer_in(&observed->items[i], group) != NULL;
    }
    return n;
}

/** A connection vouches for one address at a time. */
static bool take_back(struct lp2p_observed *observed, uint64_t conn, const struct lp2p_multiaddr *unless)
{
    bool changed = false;
    for (size_t i = 0; i < LP2P_OBSERVED_MAX; i++) {
        struct lp2p_observation *item = &observed->items[i];
        for (size_t j = 0; j < LP2P_OBSERVERS_MAX && !lp2p_multiaddr_eq(&item->seen, unless); j++) {
            if (item->observers[j].group != 0 && item->observers[j].conn == conn) {
                item->observers[j] = (struct lp2p_observer){0};
                changed = true;
            }
        }
    }
    return changed;
}

bool lp2p_observed_add(struct lp2p_observed *observed, uint64_t conn, const struct lp2p_multiaddr *observer,
                       const struct lp2p_multiaddr *local, const struct lp2p_multiaddr *seen, const struct lp2p_addrs *own,
                       lp2p_time now)
{
    struct lp2p_endpoint local_end = lp2p_endpoint_of(local), seen_end = lp2p_endpoint_of(seen);
    struct lp2p_ip_port local_ip, seen_ip;
    uint64_t group = group_of(observer);
    if (group == 0 || !lp2p_endpoint_ip(&local_end, &local_ip) || !lp2p_endpoint_ip(&seen_end, &seen_ip) ||
        !listens(own, &local_ip, seen_end.transport) || !lp2p_addr_plausible(seen, LP2P_SCOPE_PUBLIC) ||
        listens(own, &seen_ip, LP2P_TRANSPORT_NONE)) {
        return false;
    }
    struct lp2p_multiaddr bare = *seen;
    lp2p_multiaddr_strip_peer(&bare);
    expire(observed, now);
    bool changed = take_back(observed, conn, &bare);
    struct lp2p_observation *item = find(observed, &bare, &local_ip);
    struct lp2p_observer *known = item != NULL ? observer_in(item, group) : NULL;
    if (known == NULL && supported_by(observed, group) >= LP2P_OBSERVED_PER_GROUP) {
        return changed; /* before anything else has to make room */
    }
    item = item != NULL ? item : place(observed, &bare, &local_ip);
    if (item == NULL) {
        return changed;
    }
    known = known != NULL ? known : observer_in(item, 0);
    if (known == NULL) {
        return changed;
    }
    changed = changed || known->group == 0;
    *known = (struct lp2p_observer){group, conn, LP2P_NEVER};
    return changed;
}

void lp2p_observed_gone(struct lp2p_observed *observed, uint64_t conn, lp2p_time now)
{
    for (size_t i = 0; i < LP2P_OBSERVED_MAX; i++) {
        if (observed->items[i].seen.len == 0) {
            continue; /* a free place has no observers, and most are free */
        }
        for (size_t j = 0; j < LP2P_OBSERVERS_MAX; j++) {
            struct lp2p_observer *observer = &observed->items[i].observers[j];
            if (observer->group != 0 && observer->conn == conn) {
                observer->conn = 0;
                observer->expires = lp2p_time_add(now, LP2P_OBSERVED_NS);
            }
        }
    }
}

static size_t of_same_listener(const struct lp2p_observation *const *chosen, size_t len, const struct lp2p_observation *item)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        n += same_ip_port(&chosen[i]->local, &item->local);
    }
    return n;
}

size_t lp2p_observed_confirmed(struct lp2p_observed *observed, lp2p_time now, struct lp2p_multiaddr *out, size_t cap)
{
    const struct lp2p_observation *chosen[LP2P_OBSERVED_MAX];
    size_t len = 0;
    expire(observed, now);
    for (unsigned votes = LP2P_OBSERVERS_MAX; votes >= observed->needed && votes > 0; votes--) {
        for (size_t i = 0; i < LP2P_OBSERVED_MAX && len < cap; i++) {
            const struct lp2p_observation *item = &observed->items[i];
            if (item->seen.len > 0 && support(item) == votes && of_same_listener(chosen, len, item) < observed->per_listen) {
                out[len] = item->seen;
                chosen[len++] = item;
            }
        }
    }
    return len;
}
