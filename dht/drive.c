/* SPDX-License-Identifier: MIT
 * From the state of the queries to the events that the owner takes: whom to ask next, what has become of a
 * query. */
#include "dht/machine.h"

#include <stdlib.h>

void lp2p_kad_query_wake(struct lp2p_kad *kad, struct lp2p_kad_query *query)
{
    if (!lp2p_list_linked(&query->by_ready)) {
        lp2p_list_push_back(&kad->ready, &query->by_ready);
    }
}

static void seed(struct lp2p_kad *kad, struct lp2p_kad_query *query)
{
    const struct lp2p_kad_entry *entries[LP2P_KAD_K_MAX];
    size_t len = lp2p_kad_table_nearest(&kad->table, &query->target, false, entries, kad->config.k);
    if (len == 0) { /* nobody good is left: those that failed may be back */
        len = lp2p_kad_table_nearest(&kad->table, &query->target, true, entries, kad->config.k);
    }
    for (size_t i = 0; i < len; i++) {
        struct lp2p_kad_contact *contact = lp2p_kad_contact_copy(entries[i]->contact);
        if (contact != NULL) {
            lp2p_kad_query_hear(query, contact);
        }
    }
}

/* A lookup that shall be followed by writing leaves time for it. */
static uint64_t lookup_time(const struct lp2p_kad *kad, enum lp2p_kad_query_kind kind)
{
    uint64_t whole = kad->config.query_timeout_ns;
    if (kind != LP2P_KAD_PUT && kind != LP2P_KAD_PROVIDE) {
        return whole;
    }
    return whole - LP2P_MIN(kad->config.request_timeout_ns, whole / 2);
}

struct lp2p_kad_query *lp2p_kad_query_start(struct lp2p_kad *kad, enum lp2p_kad_query_kind kind,
                                            struct lp2p_span key, bool internal, lp2p_time now)
{
    if (internal ? kad->internal_len >= LP2P_KAD_INTERNAL_MAX : kad->queries_len >= kad->config.queries_max) {
        return NULL;
    }
    struct lp2p_kad_query *query = lp2p_kad_query_new(kind, key, kad->config.k, kad->config.alpha);
    if (query == NULL) {
        return NULL;
    }
    query->started = now;
    query->deadline = lp2p_time_add(now, kad->config.query_timeout_ns);
    if (lp2p_heap_set(&kad->query_timers, &query->timer, lp2p_time_add(now, lookup_time(kad, kind))) !=
        LP2P_OK) {
        lp2p_kad_query_free(query);
        return NULL;
    }
    query->id = ++kad->query_serial;
    query->internal = internal;
    *(internal ? &kad->internal_len : &kad->queries_len) += 1;
    lp2p_list_push_back(&kad->queries, &query->by_age);
    if (kind != LP2P_KAD_CORRECT) {
        seed(kad, query);
    }
    lp2p_kad_query_wake(kad, query);
    return query;
}

/* Takes the query out of the machine; it is not freed. */
static void unlink_query(struct lp2p_kad *kad, struct lp2p_kad_query *query)
{
    lp2p_heap_remove(&kad->query_timers, &query->timer);
    lp2p_list_remove(&query->by_age);
    lp2p_list_remove(&query->by_ready);
    *(query->internal ? &kad->internal_len : &kad->queries_len) -= 1;
}

void lp2p_kad_query_drop(struct lp2p_kad *kad, struct lp2p_kad_query *query)
{
    unlink_query(kad, query);
    lp2p_kad_query_free(query);
}

void lp2p_kad_release(struct lp2p_kad *kad)
{
    if (kad->told != NULL) {
        lp2p_kad_query_free(kad->told);
        kad->told = NULL;
    }
    free(kad->told_peers);
    kad->told_peers = NULL;
}

static void give_up_requests(struct lp2p_kad *kad, struct lp2p_kad_query *query)
{
    while (!lp2p_list_empty(&query->requests)) {
        lp2p_kad_request_give_up(&kad->requests,
                                 LP2P_LIST_ENTRY(query->requests.next, struct lp2p_kad_request, link));
    }
}

void lp2p_kad_query_end(struct lp2p_kad *kad, struct lp2p_kad_query *query, enum lp2p_err reason,
                        lp2p_time now)
{
    if (query->stage == LP2P_KAD_ENDED) {
        return;
    }
    if (query->kind == LP2P_KAD_GET && reason == LP2P_OK) {
        lp2p_kad_correct(kad, query, now);
    }
    give_up_requests(kad, query);
    lp2p_heap_remove(&kad->query_timers, &query->timer);
    query->stage = LP2P_KAD_ENDED;
    query->reason = reason;
    lp2p_kad_query_wake(kad, query);
}

static bool has_result(const struct lp2p_kad_query *query)
{
    struct lp2p_kad_candidate *any;
    switch (query->kind) {
    case LP2P_KAD_FIND_PEER:
    case LP2P_KAD_FIND_PROVIDERS:
        return query->found_len > 0;
    case LP2P_KAD_GET:
        return query->answers.len > 0;
    case LP2P_KAD_CLOSEST:
    case LP2P_KAD_PUT:
    case LP2P_KAD_PROVIDE:
    case LP2P_KAD_CORRECT:
        break;
    }
    return lp2p_kad_query_answered(query, &any, 1) > 0;
}

/* Writing to nobody is a success only where nobody else is: at a server that knows no peer. */
static enum lp2p_err written_to_nobody(const struct lp2p_kad *kad)
{
    return kad->config.server && kad->table.size == 0 ? LP2P_OK : LP2P_EQUORUM;
}

static void begin_spread(struct lp2p_kad *kad, struct lp2p_kad_query *query, lp2p_time now)
{
    bool alone = query->candidates_len == 0;
    give_up_requests(kad, query);
    if (lp2p_kad_query_spread(query) == 0) {
        lp2p_kad_query_end(kad, query, alone ? written_to_nobody(kad) : LP2P_EQUORUM, now);
    } else if (lp2p_heap_set(&kad->query_timers, &query->timer, query->deadline) == LP2P_OK) {
        lp2p_kad_query_wake(kad, query);
    }
}

/* The stage has settled. */
static void advance(struct lp2p_kad *kad, struct lp2p_kad_query *query, lp2p_time now)
{
    bool writes = query->kind == LP2P_KAD_PUT || query->kind == LP2P_KAD_PROVIDE;
    if (writes && query->stage == LP2P_KAD_LOOKUP) {
        begin_spread(kad, query, now);
        return;
    }
    enum lp2p_err without = writes ? LP2P_EQUORUM : LP2P_ENOTFOUND;
    lp2p_kad_query_end(kad, query, has_result(query) ? LP2P_OK : without, now);
}

void lp2p_kad_query_late(struct lp2p_kad *kad, struct lp2p_kad_query *query, lp2p_time now)
{
    bool writes = query->kind == LP2P_KAD_PUT || query->kind == LP2P_KAD_PROVIDE;
    if (writes && query->stage == LP2P_KAD_LOOKUP) {
        begin_spread(kad, query, now);
    } else if (query->kind == LP2P_KAD_CLOSEST) {
        lp2p_kad_query_end(kad, query, LP2P_ETIMEDOUT, now); /* an unfinished list is told as such */
    } else {
        lp2p_kad_query_end(kad, query, has_result(query) ? LP2P_OK : LP2P_ETIMEDOUT, now);
    }
}

void lp2p_kad_complete_peer(struct lp2p_kad *kad, struct lp2p_kad_peer *peer)
{
    if (peer->addrs_len > 0) {
        return;
    }
    struct lp2p_peer_id id = peer->id;
    const struct lp2p_kad_entry *entry = lp2p_kad_table_find(&kad->table, &id);
    if (entry != NULL && entry->contact->addrs_len > 0) {
        lp2p_kad_contact_unpack(entry->contact, peer);
    } else if (kad->config.peer_addrs != NULL &&
               kad->config.peer_addrs(kad->config.peer_addrs_ctx, &id, peer)) {
        peer->id = id;
        lp2p_kad_peer_clean(peer, kad->config.public_only);
    } else {
        peer->addrs_len = 0;
    }
}

static enum lp2p_kad_type type_for(const struct lp2p_kad_query *query)
{
    bool spread = query->stage == LP2P_KAD_SPREAD;
    switch (query->kind) {
    case LP2P_KAD_GET:
        return LP2P_KAD_GET_VALUE;
    case LP2P_KAD_FIND_PROVIDERS:
        return LP2P_KAD_GET_PROVIDERS;
    case LP2P_KAD_PUT:
    case LP2P_KAD_CORRECT:
        return spread ? LP2P_KAD_PUT_VALUE : LP2P_KAD_FIND_NODE;
    case LP2P_KAD_PROVIDE:
        return spread ? LP2P_KAD_ADD_PROVIDER : LP2P_KAD_FIND_NODE;
    case LP2P_KAD_FIND_PEER:
    case LP2P_KAD_CLOSEST:
        break;
    }
    return LP2P_KAD_FIND_NODE;
}

static struct lp2p_span encode_request(struct lp2p_kad *kad, const struct lp2p_kad_query *query,
                                       enum lp2p_kad_type type)
{
    struct lp2p_kad_writer writer = {kad->out, sizeof(kad->out), 0};
    struct lp2p_span key = lp2p_kad_query_key(query);
    char time[LP2P_KAD_TIME_TEXT_MAX];
    struct lp2p_kad_record record = {.key = key, .value = {query->value, query->value_len}};
    if (query->kind ==
        LP2P_KAD_PUT) { /* go-libp2p sends the time with a put and leaves it out of corrections */
        lp2p_kad_time_text(query->wall_ms, time);
        record.time_text = lp2p_span_str(time);
    }
    /* Key and value were bounded when the query began: they fit. */
    LP2P_CHECK(lp2p_kad_write_head(&writer, type, key, type == LP2P_KAD_PUT_VALUE ? &record : NULL) ==
               LP2P_OK);
    if (type == LP2P_KAD_ADD_PROVIDER) {
        struct lp2p_kad_listed self = {.contact = query->found[0], .provider = true};
        lp2p_kad_write_peers(&writer, &self, 1);
    }
    return lp2p_span(kad->out, writer.len);
}

/* How long to wait for an answer: a lookup that has been held up for a whole time-out already (by slow peers,
 * which may be so on purpose) gives those that it still finds less time, so that slow peers in sequence do
 * not add up. */
static lp2p_time request_end(const struct lp2p_kad *kad, const struct lp2p_kad_query *query, lp2p_time now)
{
    uint64_t timeout = kad->config.request_timeout_ns;
    lp2p_time end = lp2p_time_add(now, timeout);
    if (query->stage == LP2P_KAD_LOOKUP) {
        lp2p_time soft =
            LP2P_MAX(lp2p_time_add(query->started, timeout + timeout / 4), lp2p_time_add(now, timeout / 4));
        end = lp2p_time_min(end, soft);
    }
    return end;
}

static bool tell_send(struct lp2p_kad *kad, struct lp2p_kad_query *query,
                      struct lp2p_kad_candidate *candidate, struct lp2p_kad_event *event, lp2p_time now)
{
    enum lp2p_kad_type type = type_for(query);
    event->no_reply = type == LP2P_KAD_ADD_PROVIDER;
    if (event->no_reply) {
        event->request = 0;
        lp2p_kad_query_move(query, candidate, LP2P_KAD_ANSWERED);
    } else {
        lp2p_time slow = lp2p_time_add(now, kad->config.request_timeout_ns / 8);
        lp2p_time end = request_end(kad, query, now);
        struct lp2p_kad_request *request = lp2p_kad_request_new(&kad->requests, query, candidate, slow, end);
        if (request == NULL) {
            lp2p_kad_query_move(query, candidate, LP2P_KAD_FAILED);
            return false;
        }
        request->type = type;
        request->cut_short = end < lp2p_time_add(now, kad->config.request_timeout_ns);
        event->request = request->id;
    }
    kad->stats.requests_out++;
    event->kind = LP2P_KAD_SEND;
    event->query = query->id;
    lp2p_kad_contact_unpack(candidate->contact, &event->peer);
    lp2p_kad_complete_peer(kad, &event->peer);
    const struct lp2p_kad_entry *entry = lp2p_kad_table_find(&kad->table, &candidate->contact->id);
    event->peer.connected = entry != NULL && entry->connected;
    event->message = encode_request(kad, query, type);
    return true;
}

static bool tell_provider(struct lp2p_kad_query *query, struct lp2p_kad_event *event)
{
    if (query->kind != LP2P_KAD_FIND_PROVIDERS || query->found_told == query->found_len) {
        return false;
    }
    event->kind = LP2P_KAD_PROVIDER;
    event->query = query->id;
    lp2p_kad_contact_unpack(query->found[query->found_told++], &event->peer);
    return true;
}

static void lend_peers(struct lp2p_kad *kad, const struct lp2p_kad_query *query, struct lp2p_kad_event *event)
{
    struct lp2p_kad_candidate *answered[LP2P_KAD_K_MAX];
    bool found = query->kind == LP2P_KAD_FIND_PEER || query->kind == LP2P_KAD_FIND_PROVIDERS;
    size_t len = query->found_len;
    if (!found) {
        len = query->kind == LP2P_KAD_GET ? 0 : lp2p_kad_query_answered(query, answered, query->k);
    }
    kad->told_peers = len == 0 ? NULL : calloc(len, sizeof(*kad->told_peers));
    if (kad->told_peers == NULL) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        lp2p_kad_contact_unpack(found ? query->found[i] : answered[i]->contact, &kad->told_peers[i]);
    }
    event->peers = kad->told_peers;
    event->peers_len = len;
}

/* The end of a query: for the owner, or only for ourselves. */
static bool tell_end(struct lp2p_kad *kad, struct lp2p_kad_query *query, struct lp2p_kad_event *event,
                     lp2p_time now)
{
    unlink_query(kad, query);
    kad->told = query; /* freed by the next call */
    if (query->internal) {
        uint64_t id = query->id;
        lp2p_kad_release(kad);
        lp2p_kad_refresh_ended(kad, id, now);
        return false;
    }
    event->kind = LP2P_KAD_QUERY_DONE;
    event->query = query->id;
    event->reason = query->reason;
    if (query->kind == LP2P_KAD_GET && query->reason == LP2P_OK) {
        event->value = lp2p_kad_answer_span(
            lp2p_kad_answers_best(&query->answers, &kad->rules, lp2p_kad_query_key(query)));
    }
    lend_peers(kad, query, event);
    return true;
}

/* True: an event. False: the query has nothing to say for now, or is gone. */
static bool tell(struct lp2p_kad *kad, struct lp2p_kad_query *query, struct lp2p_kad_event *event,
                 lp2p_time now)
{
    if (tell_provider(query, event)) {
        return true;
    }
    while (query->stage != LP2P_KAD_ENDED) {
        struct lp2p_kad_candidate *candidate = lp2p_kad_query_pick(query);
        if (candidate != NULL) {
            if (tell_send(kad, query, candidate, event, now)) {
                return true;
            }
        } else if (lp2p_kad_query_settled(query)) {
            advance(kad, query, now);
        } else {
            lp2p_list_remove(&query->by_ready);
            return false;
        }
    }
    return lp2p_list_empty(&kad->requests.given_up) && tell_end(kad, query, event, now);
}

static bool tell_given_up(struct lp2p_kad *kad, struct lp2p_kad_event *event)
{
    if (lp2p_list_empty(&kad->requests.given_up)) {
        return false;
    }
    struct lp2p_kad_request *request =
        LP2P_LIST_ENTRY(kad->requests.given_up.next, struct lp2p_kad_request, link);
    event->kind = LP2P_KAD_CANCELED;
    event->request = request->id;
    lp2p_kad_request_end(&kad->requests, request, LP2P_KAD_FAILED);
    return true;
}

void lp2p_kad_next(struct lp2p_kad *kad, struct lp2p_kad_event *event, lp2p_time now)
{
    lp2p_kad_release(kad);
    memset(event, 0, offsetof(struct lp2p_kad_event, peer));
    event->peer.id.len = event->peer.addrs_len = 0;
    event->no_reply = false;
    event->message = event->value = lp2p_span(NULL, 0);
    event->reason = LP2P_OK;
    event->peers = NULL;
    event->peers_len = 0;
    while (!tell_given_up(kad, event) && !lp2p_list_empty(&kad->ready)) {
        struct lp2p_kad_query *query = LP2P_LIST_ENTRY(kad->ready.next, struct lp2p_kad_query, by_ready);
        if (tell(kad, query, event, now)) {
            if (kad->told != query) { /* others have their turn first */
                lp2p_list_remove(&query->by_ready);
                lp2p_list_push_back(&kad->ready, &query->by_ready);
            }
            return;
        }
    }
}
