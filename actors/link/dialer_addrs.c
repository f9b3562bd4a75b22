/* SPDX-License-Identifier: MIT */
#include "actors/link/dialer_private.h"

#include "actors/link/dialer_rank.h"
#include "wire/ip_text.h"

#include <stdio.h>
#include <stdlib.h>

#define STAGE_ADDRESS "address"

/* ---- what people are told */

static void ip_of(const struct lp2p_multiaddr *addr, char out[LP2P_IP6_TEXT_MAX])
{
    struct lp2p_endpoint end = lp2p_endpoint_of(addr);
    struct lp2p_ip_port ip;
    out[0] = '\0';
    if (lp2p_endpoint_ip(&end, &ip)) {
        (void)(ip.ip_len == 4 ? lp2p_ip4_to_text(ip.ip, out) : lp2p_ip6_to_text(ip.ip, out));
    }
}

void lp2p_dial_note(struct lp2p_dial *dial, const struct lp2p_multiaddr *shown, const struct lp2p_multiaddr *addr,
                    const char *stage, const char *what)
{
    char line[LP2P_MULTIADDR_TEXT_MAX + 320], name[LP2P_MULTIADDR_TEXT_MAX], ip[LP2P_IP6_TEXT_MAX] = "";
    lp2p_multiaddr_text(shown, name);
    struct lp2p_endpoint end = lp2p_endpoint_of(shown);
    if (addr != NULL && lp2p_endpoint_is_name(&end)) {
        ip_of(addr, ip);
    }
    int n = snprintf(line, sizeof(line), "%s%s%s%s%s: %s: %s", dial->text_len > 0 ? "; " : "", name, ip[0] != '\0' ? " (" : "", ip,
                     ip[0] != '\0' ? ")" : "", stage, what);
    size_t len = n < 0 ? 0 : LP2P_MIN((size_t)n, sizeof(line) - 1);
    const size_t ellipsis = 5; /* "; ..." */
    if (dial->text_len + len + ellipsis < sizeof(dial->text)) {
        memcpy(dial->text + dial->text_len, line, len + 1);
        dial->text_len += len;
    } else if (dial->text_len > 0 && dial->text[dial->text_len - 1] != '.') {
        memcpy(dial->text + dial->text_len, "; ...", ellipsis + 1);
        dial->text_len += ellipsis;
    }
}

void lp2p_dial_remember(struct lp2p_dial *dial, enum lp2p_err reason, bool tried)
{
    bool more = tried == dial->tried && lp2p_err_fault(reason) == LP2P_FAULT_PEER &&
                lp2p_err_fault(dial->reason) != LP2P_FAULT_PEER;
    bool vague = !dial->tried && dial->reason == LP2P_EUNSUPPORTED; /* what we cannot dial tells least */
    if (dial->reason == LP2P_OK || (tried && !dial->tried) || more || vague) {
        dial->reason = reason;
        dial->tried = tried;
    }
}

static void pass_over(struct lp2p_dial *dial, const struct lp2p_multiaddr *shown, const struct lp2p_multiaddr *addr,
                      enum lp2p_err reason, const char *why)
{
    lp2p_dial_note(dial, shown, addr, STAGE_ADDRESS, why);
    lp2p_dial_remember(dial, reason, false);
}

/* ---- which addresses */

/** The address cannot be tried at all: a text for people, or NULL when it can. */
static const char *unusable(const struct lp2p_multiaddr *addr, const struct lp2p_endpoint *end, const struct lp2p_peer_id *expected)
{
    struct lp2p_peer_id named;
    switch (end->transport) {
    case LP2P_TRANSPORT_TCP:
    case LP2P_TRANSPORT_WS:
    case LP2P_TRANSPORT_WSS:
        break;
    case LP2P_TRANSPORT_QUIC:
        return "QUIC is not spoken";
    case LP2P_TRANSPORT_WEBTRANSPORT:
        return "WebTransport is not spoken";
    case LP2P_TRANSPORT_WEBRTC:
        return "WebRTC is not spoken";
    case LP2P_TRANSPORT_RELAY:
        return "relays are not used";
    default:
        return "not an address of a known transport";
    }
    if (expected->len > 0 && lp2p_multiaddr_peer(addr, &named) == LP2P_OK && !lp2p_peer_id_eq(&named, expected)) {
        return "the address names another peer";
    }
    if (end->zoned) {
        return "an IPv6 zone cannot be dialed";
    }
    if (end->port == 0 || (!lp2p_endpoint_is_name(end) && lp2p_multiaddr_scope(addr) == LP2P_SCOPE_UNSPECIFIED)) {
        return "not an address that can be dialed";
    }
    return NULL;
}

static bool is_own(const struct lp2p_dial *dial, const struct lp2p_endpoint *end)
{
    for (uint32_t i = 0; dial->own != NULL && i < dial->own->len; i++) {
        struct lp2p_endpoint own = lp2p_endpoint_of(&dial->own->items[i]);
        if (own.host_code == end->host_code && own.port == end->port && lp2p_span_eq(own.host, end->host)) {
            return true;
        }
    }
    return false;
}

/** It is a candidate already. When somebody names it only now, it is not withheld any more. */
static bool is_known(struct lp2p_dial *dial, const struct lp2p_multiaddr *addr, bool named)
{
    for (size_t i = 0; i < dial->len; i++) {
        struct lp2p_candidate *candidate = &dial->candidates[i];
        if (lp2p_multiaddr_eq(&candidate->addr, addr)) {
            candidate->named = candidate->named || named;
            candidate->state = named && candidate->withheld ? LP2P_CANDIDATE_WAITING : candidate->state;
            candidate->withheld = candidate->withheld && !named;
            return true;
        }
    }
    return false;
}

static bool is_backed_off(const struct lp2p_actor *self, const struct lp2p_dialer *dialer, const struct lp2p_dial *dial,
                          const struct lp2p_multiaddr *addr)
{
    lp2p_time now = lp2p_now(self);
    struct lp2p_multiaddr bare = *addr;
    lp2p_multiaddr_strip_peer(&bare);
    return lp2p_backoff_until(&dialer->backoffs, &dial->peer, &bare, now) != 0 ||
           lp2p_backoff_until(&dialer->backoffs, NULL, &bare, now) != 0;
}

static struct lp2p_candidate *new_candidate(struct lp2p_dial *dial)
{
    if (dial->len == dial->cap) {
        size_t cap = dial->cap == 0 ? 4 : LP2P_MIN(dial->cap * 2, (size_t)LP2P_DIAL_ADDRS_MAX);
        struct lp2p_candidate *grown = realloc(dial->candidates, cap * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        dial->candidates = grown;
        dial->cap = cap;
    }
    return &dial->candidates[dial->len++];
}

static void consider(struct lp2p_actor *self, const struct lp2p_dialer *dialer, struct lp2p_dial *dial,
                     const struct lp2p_multiaddr *addr, const struct lp2p_multiaddr *shown, bool named)
{
    struct lp2p_endpoint end = lp2p_endpoint_of(addr);
    const char *why = unusable(addr, &end, &dial->peer);
    if (why != NULL) {
        pass_over(dial, shown, addr, LP2P_EUNSUPPORTED, why);
        return;
    }
    struct lp2p_multiaddr bare = *addr;
    if (dial->peer.len > 0) {
        lp2p_multiaddr_strip_peer(&bare); /* so that the same address is met once */
    }
    if (is_known(dial, &bare, named)) {
        return;
    }
    if (is_own(dial, &end)) {
        pass_over(dial, shown, addr, LP2P_ENOADDR, "this node listens there itself");
        return;
    }
    if (!dial->user && is_backed_off(self, dialer, dial, addr)) {
        pass_over(dial, shown, addr, LP2P_EBACKOFF, lp2p_strerror(LP2P_EBACKOFF));
        return;
    }
    struct lp2p_candidate *candidate = dial->len < LP2P_DIAL_ADDRS_MAX ? new_candidate(dial) : NULL;
    if (candidate == NULL) {
        pass_over(dial, shown, addr, LP2P_ELIMIT, "not tried: too many addresses");
        return;
    }
    *candidate = (struct lp2p_candidate){.addr = bare, .shown = *shown, .named = named};
}

/* ---- whose turn */

/** Gives those that have none a turn. Newcomers are placed among those that wait, but nobody is put off by them. */
static void rank(struct lp2p_actor *self, struct lp2p_dial *dial)
{
    struct lp2p_multiaddr *addrs = calloc(LP2P_RANK_MAX, sizeof(*addrs));
    struct lp2p_rank ranks[LP2P_RANK_MAX];
    size_t which[LP2P_RANK_MAX], len = 0;
    lp2p_time now = lp2p_now(self);
    for (size_t i = 0; addrs != NULL && i < dial->len && len < LP2P_RANK_MAX; i++) {
        if (dial->candidates[i].state == LP2P_CANDIDATE_WAITING) {
            which[len] = i;
            addrs[len++] = dial->candidates[i].addr;
        }
    }
    if (len > 0) {
        lp2p_rank(addrs, len, ranks);
    }
    for (size_t i = 0; i < len; i++) {
        struct lp2p_candidate *candidate = &dial->candidates[which[i]];
        lp2p_time start = lp2p_time_add(now, ranks[i].delay_ns);
        if (ranks[i].duplicate) {
            candidate->state = LP2P_CANDIDATE_OVER;
            continue;
        }
        candidate->start = candidate->ranked ? lp2p_time_min(candidate->start, start) : start;
        candidate->ranked = true;
    }
    free(addrs);
}

struct lp2p_candidate *lp2p_dial_next(const struct lp2p_dial *dial)
{
    struct lp2p_candidate *next = NULL;
    for (size_t i = 0; i < dial->len; i++) {
        struct lp2p_candidate *candidate = &dial->candidates[i];
        if (candidate->state == LP2P_CANDIDATE_WAITING && (next == NULL || candidate->start < next->start)) {
            next = candidate;
        }
    }
    return next;
}

/* ---- names */

/** The name is looked up for this dial already, and not too late for who asks now. */
static bool is_asked(struct lp2p_dialer *dialer, const struct lp2p_dial *dial, const struct lp2p_multiaddr *addr, bool named)
{
    for (size_t i = 0; i < dialer->resolving_len; i++) {
        struct lp2p_resolving *it = &dialer->resolving[i];
        if (it->dial == dial && lp2p_multiaddr_eq(&it->addr, addr)) {
            it->named = it->named || named;
            if (it->urgent || !(named || dial->user)) {
                return true;
            }
        }
    }
    return false;
}

static void ask(struct lp2p_actor *self, struct lp2p_dialer *dialer, struct lp2p_dial *dial, const struct lp2p_multiaddr *addr,
                bool named)
{
    size_t max = LP2P_RESOLVING_MAX - (named || dial->user ? 0 : LP2P_RESOLVING_RESERVED);
    bool room = dialer->resolving_len < max && (named || dial->names < LP2P_DIAL_NAMES_MAX);
    struct lp2p_m_resolve *m = room ? LP2P_NEW(RESOLVE, resolve) : NULL;
    struct lp2p_peer_id meant;
    if (m == NULL) {
        pass_over(dial, addr, NULL, LP2P_ELIMIT, "too many names are looked up at this time");
        return;
    }
    const uint64_t tag = ++dialer->serial;
    m->msg.tag = tag;
    m->addr = *addr;
    const bool urgent = m->urgent = named || dial->user;
    m->deadline = dial->deadline;
    /* The records of a /dnsaddr are chosen by the peer id at its end, which is not kept with a known peer's addresses. */
    if (dial->peer.len > 0 && lp2p_endpoint_of(addr).transport == LP2P_TRANSPORT_NAME &&
        lp2p_multiaddr_peer(addr, &meant) != LP2P_OK && lp2p_multiaddr_add_peer(&m->addr, &dial->peer) != LP2P_OK) {
        m->addr = *addr;
    }
    struct lp2p_msg *msg = &m->msg;
    enum lp2p_err err = lp2p_outbox_send(self, &dialer->outbox, lp2p_names(dialer->ctx)->resolver, &msg);
    if (err != LP2P_OK) {
        pass_over(dial, addr, NULL, LP2P_EUNSUPPORTED, "names are not looked up");
        return;
    }
    dialer->resolving[dialer->resolving_len++] = (struct lp2p_resolving){tag, dial, *addr, named, urgent};
    dial->resolving++;
    dial->names += named ? 0 : 1;
}

static void take_in(struct lp2p_actor *self, struct lp2p_dialer *dialer, struct lp2p_dial *dial, const struct lp2p_addrs *addrs,
                    const struct lp2p_addrs *except, bool named)
{
    for (uint32_t i = 0; addrs != NULL && i < addrs->len; i++) {
        const struct lp2p_multiaddr *addr = &addrs->items[i];
        if (lp2p_addrs_have(except, addr)) {
            continue;
        }
        struct lp2p_endpoint end = lp2p_endpoint_of(addr);
        bool known_kind = end.transport == LP2P_TRANSPORT_NAME || unusable(addr, &end, &dial->peer) == NULL;
        if (lp2p_endpoint_is_name(&end) && known_kind) {
            if (!is_asked(dialer, dial, addr, named)) {
                ask(self, dialer, dial, addr, named);
            }
        } else {
            consider(self, dialer, dial, addr, addr, named);
        }
    }
}

void lp2p_dial_add(struct lp2p_actor *self, struct lp2p_dialer *dialer, struct lp2p_dial *dial, const struct lp2p_m_dial *m)
{
    take_in(self, dialer, dial, m->named, NULL, true);
    take_in(self, dialer, dial, m->addrs, m->named, false);
    rank(self, dial);
}

static void forget_name(struct lp2p_dialer *dialer, size_t at)
{
    dialer->resolving[at] = dialer->resolving[--dialer->resolving_len];
}

void lp2p_dial_resolved(struct lp2p_actor *self, struct lp2p_dialer *dialer, const struct lp2p_m_resolved *m)
{
    size_t at = 0;
    while (at < dialer->resolving_len && dialer->resolving[at].tag != m->msg.tag) {
        at++;
    }
    if (at == dialer->resolving_len) {
        return; /* its dial is over */
    }
    struct lp2p_dial *dial = dialer->resolving[at].dial;
    const struct lp2p_multiaddr asked = dialer->resolving[at].addr;
    const bool named = dialer->resolving[at].named;
    forget_name(dialer, at);
    dial->resolving--;
    if (m->reason != LP2P_OK) {
        lp2p_dial_note(dial, &asked, NULL, "dns", m->text);
        lp2p_dial_remember(dial, m->reason, true);
        return;
    }
    for (uint32_t i = 0; i < m->addrs->len && i < m->names->len; i++) {
        /* Whoever told the name decides where it leads: into our own network only if that was us. */
        if (named || lp2p_multiaddr_scope(&m->addrs->items[i]) == LP2P_SCOPE_PUBLIC) {
            consider(self, dialer, dial, &m->addrs->items[i], &m->names->items[i], named);
        } else {
            pass_over(dial, &m->names->items[i], &m->addrs->items[i], LP2P_EUNSUPPORTED,
                      "a name that was learned leads to an address that is not public");
        }
    }
    rank(self, dial);
}

void lp2p_dial_forget_names(struct lp2p_dialer *dialer, const struct lp2p_dial *dial)
{
    for (size_t i = dialer->resolving_len; i > 0; i--) {
        if (dialer->resolving[i - 1].dial == dial) {
            forget_name(dialer, i - 1);
        }
    }
}

/* ---- the port to dial from */

static enum lp2p_ma_scope scope_of(const struct lp2p_endpoint *end)
{
    struct lp2p_multiaddr addr;
    lp2p_multiaddr_from_ip_tcp(end->host.ptr, end->host.len, end->port, &addr);
    return lp2p_multiaddr_scope(&addr);
}

struct lp2p_ip_port lp2p_dial_from(const struct lp2p_dial *dial, const struct lp2p_candidate *candidate)
{
    struct lp2p_endpoint to = lp2p_endpoint_of(&candidate->addr);
    struct lp2p_ip_port from = {0};
    for (uint32_t i = 0; !candidate->any_port && dial->own != NULL && i < dial->own->len; i++) {
        struct lp2p_endpoint own = lp2p_endpoint_of(&dial->own->items[i]);
        /* A listener on loopback alone says nothing of what the world can reach, and the other way round. */
        if (own.host_code == to.host_code && own.port != 0 && own.host.len > 0 &&
            (scope_of(&own) == LP2P_SCOPE_LOOPBACK) == (scope_of(&to) == LP2P_SCOPE_LOOPBACK)) {
            from.ip_len = (uint8_t)own.host.len; /* the address itself is left to the routing table */
            from.port = own.port;
            return from;
        }
    }
    return from;
}
