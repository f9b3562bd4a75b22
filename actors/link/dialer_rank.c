/* SPDX-License-Identifier: MIT */
#include "actors/link/dialer_rank.h"

#include "base/check.h"

enum group { PRIVATE, PUBLIC, RELAY, GROUPS };

struct entry {
    size_t index;
    struct lp2p_endpoint end;
    enum group group;
    unsigned kind; /* lower is tried earlier */
};

static enum group group_of(const struct lp2p_endpoint *end, const struct lp2p_multiaddr *addr)
{
    if (end->transport == LP2P_TRANSPORT_RELAY) {
        return RELAY;
    }
    enum lp2p_ma_scope scope = lp2p_multiaddr_scope(addr);
    return scope == LP2P_SCOPE_PUBLIC ? PUBLIC : PRIVATE;
}

static unsigned kind_of(enum lp2p_transport transport)
{
    switch (transport) {
    case LP2P_TRANSPORT_QUIC:
        return 0;
    case LP2P_TRANSPORT_TCP:
        return 1;
    case LP2P_TRANSPORT_WS:
    case LP2P_TRANSPORT_WSS:
        return 2;
    case LP2P_TRANSPORT_WEBTRANSPORT:
        return 4;
    default:
        return 3;
    }
}

static bool before(const struct entry *a, const struct entry *b)
{
    if (a->group != b->group) {
        return a->group < b->group;
    }
    if (a->kind != b->kind) {
        return a->kind < b->kind;
    }
    bool a6 = a->end.host_code == LP2P_MA_IP6, b6 = b->end.host_code == LP2P_MA_IP6;
    if (a6 != b6) {
        return a6;
    }
    return a->end.port != b->end.port ? a->end.port < b->end.port : a->index < b->index;
}

static void sort(struct entry *entries, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        struct entry moved = entries[i];
        size_t at = i;
        for (; at > 0 && before(&moved, &entries[at - 1]); at--) {
            entries[at] = entries[at - 1];
        }
        entries[at] = moved;
    }
}

/** Of one kind in one group: the best IPv4 address goes to the second place behind the best IPv6 address. */
static void interleave(struct entry *entries, size_t len)
{
    for (size_t i = 1; len > 0 && entries[0].end.host_code == LP2P_MA_IP6 && i < len; i++) {
        if (entries[i].end.host_code != LP2P_MA_IP6) {
            struct entry moved = entries[i];
            memmove(&entries[2], &entries[1], (i - 1) * sizeof(entries[0]));
            entries[1] = moved;
            return;
        }
    }
}

static bool same_host(const struct lp2p_endpoint *a, const struct lp2p_endpoint *b)
{
    return a->host_code == b->host_code && a->port == b->port && lp2p_span_eq(a->host, b->host);
}

/** A WebSocket address whose port also takes plain TCP is the same door with a longer way through it. */
static bool is_duplicate(const struct entry *entry, const struct entry *entries, size_t len)
{
    for (size_t i = 0; entry->kind == 2 && i < len; i++) {
        if (entries[i].end.transport == LP2P_TRANSPORT_TCP && same_host(&entries[i].end, &entry->end)) {
            return true;
        }
    }
    return false;
}

void lp2p_rank(const struct lp2p_multiaddr *addrs, size_t len, struct lp2p_rank *out)
{
    struct entry entries[LP2P_RANK_MAX];
    size_t kept = 0;
    bool has_public = false;
    LP2P_CHECK(len <= LP2P_RANK_MAX);
    for (size_t i = 0; i < len; i++) {
        struct entry *entry = &entries[i];
        *entry = (struct entry){.index = i, .end = lp2p_endpoint_of(&addrs[i])};
        entry->group = group_of(&entry->end, &addrs[i]);
        entry->kind = kind_of(entry->end.transport);
        has_public = has_public || entry->group == PUBLIC;
    }
    for (size_t i = 0; i < len; i++) {
        out[i] = (struct lp2p_rank){.duplicate = is_duplicate(&entries[i], entries, len)};
    }
    for (size_t i = 0; i < len; i++) {
        if (!out[i].duplicate) {
            entries[kept++] = entries[i];
        }
    }
    sort(entries, kept);
    for (size_t from = 0, to = 0; from < kept; from = to) {
        while (to < kept && entries[to].group == entries[from].group && entries[to].kind == entries[from].kind) {
            to++;
        }
        interleave(&entries[from], to - from);
    }
    uint64_t next[GROUPS] = {[RELAY] = has_public ? LP2P_RANK_RELAY_NS : 0};
    for (size_t i = 0; i < kept; i++) {
        enum group group = entries[i].group;
        out[entries[i].index].delay_ns = next[group];
        next[group] += group == PRIVATE ? LP2P_RANK_GAP_PRIVATE_NS : LP2P_RANK_GAP_PUBLIC_NS;
    }
}
