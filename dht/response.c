/* SPDX-License-Identifier: MIT
 * Answers to our requests, and what is learnt from them. Everything in an answer is the word of a stranger.
 */
#include "dht/machine.h"

static bool is_self(const struct lp2p_kad *kad, const struct lp2p_peer_id *id)
{
    return lp2p_peer_id_eq(&kad->config.self, id);
}

/* Peers that fail a query leave the table. Not so: when we are the cause, or when an awake peer has refused
 * one value or one key, which it shows by a reset, as the protocol has no error answer. */
static bool blames_peer(const struct lp2p_kad_request *request, enum lp2p_err reason)
{
    bool refused = reason == LP2P_ERESET || reason == LP2P_EEOF;
    enum lp2p_fault fault = lp2p_err_fault(reason);
    if (request->cut_short && reason == LP2P_ETIMEDOUT) {
        return false;
    }
    if (request->query->stage == LP2P_KAD_SPREAD || (refused && request->type != LP2P_KAD_FIND_NODE)) {
        return false;
    }
    return fault == LP2P_FAULT_NET || fault == LP2P_FAULT_PEER || reason == LP2P_EUNSUPPORTED;
}

void lp2p_kad_request_fail(struct lp2p_kad *kad, struct lp2p_kad_request *request, enum lp2p_err reason,
                           bool tell)
{
    kad->stats.requests_failed++;
    if (blames_peer(request, reason)) {
        lp2p_kad_table_mark(&kad->table, &request->candidate->contact->id, true);
    }
    lp2p_kad_query_wake(kad, request->query);
    if (tell) {
        lp2p_kad_request_give_up(&kad->requests, request);
    } else {
        lp2p_kad_request_end(&kad->requests, request, LP2P_KAD_FAILED);
    }
}

void lp2p_kad_fail(struct lp2p_kad *kad, uint64_t id, enum lp2p_err reason, lp2p_time now)
{
    (void)now;
    lp2p_kad_release(kad);
    struct lp2p_kad_request *request = lp2p_kad_request_find(&kad->requests, id);
    if (request == NULL) {
        return;
    }
    if (request->query == NULL) { /* given up meanwhile: the owner knows already */
        lp2p_kad_request_end(&kad->requests, request, LP2P_KAD_FAILED);
        return;
    }
    lp2p_kad_request_fail(kad, request, reason, false);
}

/* One more peer has told addresses of the target of a find_peer. One alone may lie or be out of date, so the
 * addresses of a few are joined. */
static void take_target(struct lp2p_kad_query *query, const struct lp2p_kad_peer *peer)
{
    if (peer->addrs_len == 0) {
        return;
    }
    query->named++;
    if (lp2p_kad_query_find(query, peer)) {
        return;
    }
    struct lp2p_kad_peer joined;
    if (query->found_len == 0) {
        return;
    }
    lp2p_kad_contact_unpack(query->found[0], &joined);
    for (size_t i = 0; i < peer->addrs_len; i++) {
        lp2p_kad_peer_add(&joined, &peer->addrs[i], false);
    }
    struct lp2p_kad_contact *contact = lp2p_kad_contact_new(&joined);
    if (contact != NULL) {
        lp2p_kad_contact_free(query->found[0]);
        query->found[0] = contact;
    }
}

/* "go uses at most 2k closerPeers": what is more is not looked at. */
static void take_closer(struct lp2p_kad *kad, struct lp2p_kad_query *query,
                        const struct lp2p_kad_message *message)
{
    size_t len = LP2P_MIN(message->closer_len, 2 * (size_t)query->k);
    for (size_t i = 0; i < len; i++) {
        struct lp2p_kad_peer peer;
        if (lp2p_kad_hear(kad, message->closer[i], &peer) != LP2P_OK ||
            is_self(kad, &peer.id)) {
            continue;
        }
        if (query->kind == LP2P_KAD_FIND_PEER && lp2p_peer_id_eq(&query->peer, &peer.id)) {
            take_target(query,
                        &peer); /* not asked itself: it may be a client, and the owner is going to dial it */
            continue;
        }
        if (kad->config.public_only && peer.addrs_len == 0) {
            continue;
        }
        struct lp2p_kad_contact *contact = lp2p_kad_contact_new(&peer);
        if (contact != NULL) {
            lp2p_kad_query_hear(query, contact);
        }
    }
}

void lp2p_kad_take_value(struct lp2p_kad *kad, struct lp2p_kad_query *query, struct lp2p_kad_candidate *from,
                         struct lp2p_span value, lp2p_time now)
{
    struct lp2p_span key = lp2p_kad_query_key(query);
    uint32_t serial = lp2p_kad_answers_add(&query->answers, &kad->rules, key, value);
    if (from != NULL) {
        from->answer = serial;
    }
    const struct lp2p_kad_answer *best = lp2p_kad_answers_best(&query->answers, &kad->rules, key);
    if (query->wanted > 0 && best != NULL && best->count >= query->wanted) {
        lp2p_kad_query_end(kad, query, LP2P_OK, now);
    }
}

/* A record that is not for this key, too long or not valid is as good as none; the peers beside it are still
 * used. */
static void take_record(struct lp2p_kad *kad, struct lp2p_kad_query *query,
                        struct lp2p_kad_candidate *candidate, struct lp2p_span encoded, lp2p_time now)
{
    struct lp2p_kad_record record;
    struct lp2p_span key = lp2p_kad_query_key(query);
    if (encoded.ptr != NULL && lp2p_kad_record_decode(encoded, &record) == LP2P_OK &&
        lp2p_span_eq(record.key, key) && record.value.len <= LP2P_KAD_VALUE_MAX &&
        lp2p_kad_validate(&kad->rules, key, record.value) == LP2P_OK) {
        lp2p_kad_take_value(kad, query, candidate, record.value, now);
    }
}

void lp2p_kad_take_provider(struct lp2p_kad *kad, struct lp2p_kad_query *query, struct lp2p_kad_peer *peer,
                            lp2p_time now)
{
    if (query->found_len >= query->wanted) {
        return;
    }
    lp2p_kad_complete_peer(kad, peer);
    lp2p_kad_query_find(query, peer);
    if (query->found_len >= query->wanted) {
        lp2p_kad_query_end(kad, query, LP2P_OK, now);
    }
}

static void take_providers(struct lp2p_kad *kad, struct lp2p_kad_query *query,
                           const struct lp2p_kad_message *message, lp2p_time now)
{
    for (size_t i = 0; i < message->providers_len; i++) {
        struct lp2p_kad_peer peer;
        if (lp2p_kad_hear(kad, message->providers[i], &peer) == LP2P_OK &&
            !is_self(kad, &peer.id)) {
            lp2p_kad_take_provider(kad, query, &peer, now);
        }
    }
}

static void take_answer(struct lp2p_kad *kad, struct lp2p_kad_query *query,
                        struct lp2p_kad_candidate *candidate, const struct lp2p_kad_message *message,
                        lp2p_time now)
{
    take_closer(kad, query, message);
    switch (query->kind) {
    case LP2P_KAD_FIND_PEER:
        if (query->named >= query->wanted && query->found_len > 0) {
            lp2p_kad_query_end(kad, query, LP2P_OK, now);
        }
        break;
    case LP2P_KAD_GET:
        take_record(kad, query, candidate, message->record, now);
        break;
    case LP2P_KAD_FIND_PROVIDERS:
        take_providers(kad, query, message, now);
        break;
    case LP2P_KAD_CLOSEST:
    case LP2P_KAD_PUT:
    case LP2P_KAD_PROVIDE:
    case LP2P_KAD_CORRECT:
        break;
    }
}

/* The echo of a PUT_VALUE proves that the value was stored: it has to carry the equal value. */
static bool echoes(const struct lp2p_kad_query *query, const struct lp2p_kad_message *message)
{
    struct lp2p_kad_record record;
    return message->record.ptr != NULL && lp2p_kad_record_decode(message->record, &record) == LP2P_OK &&
           lp2p_span_eq(record.value, lp2p_span(query->value, query->value_len));
}

void lp2p_kad_feed(struct lp2p_kad *kad, uint64_t id, struct lp2p_span response, lp2p_time now,
                   uint64_t wall_ms)
{
    lp2p_kad_release(kad);
    struct lp2p_kad_request *request = lp2p_kad_request_find(&kad->requests, id);
    if (request == NULL || request->query == NULL) {
        lp2p_kad_fail(kad, id, LP2P_ECANCELED, now);
        return;
    }
    struct lp2p_kad_message message;
    if (response.len > LP2P_KAD_RESPONSE_MAX || lp2p_kad_message_decode(response, &message) != LP2P_OK ||
        message.type != request->type) {
        lp2p_kad_request_fail(kad, request, LP2P_EMALFORMED, false);
        return;
    }
    struct lp2p_kad_query *query = request->query;
    struct lp2p_kad_candidate *candidate = request->candidate;
    query->wall_ms = query->kind == LP2P_KAD_GET ? wall_ms : query->wall_ms;
    lp2p_kad_table_mark(&kad->table, &candidate->contact->id, false);
    bool stored = query->stage == LP2P_KAD_SPREAD && echoes(query, &message);
    bool refused = query->stage == LP2P_KAD_SPREAD && !stored;
    lp2p_kad_request_end(&kad->requests, request, refused ? LP2P_KAD_FAILED : LP2P_KAD_ANSWERED);
    lp2p_kad_query_wake(kad, query);
    if (query->stage == LP2P_KAD_LOOKUP) {
        take_answer(kad, query, candidate, &message, now);
    }
}

static void correct_peers(struct lp2p_kad *kad, struct lp2p_kad_query *query,
                          const struct lp2p_kad_answer *best, lp2p_time now)
{
    struct lp2p_kad_candidate *answered[LP2P_KAD_K_MAX];
    size_t len = lp2p_kad_query_answered(query, answered, query->k);
    bool whole = lp2p_kad_query_settled(query);
    struct lp2p_kad_query *fix = NULL;
    for (size_t i = 0; i < len; i++) {
        /* Cut short by its quorum, the search does not know yet who is closest: then only other values are
         * put right. */
        if (answered[i]->answer == best->serial || (answered[i]->answer == LP2P_KAD_ANSWER_NONE && !whole)) {
            continue;
        }
        if (fix == NULL) {
            fix = lp2p_kad_query_start(kad, LP2P_KAD_CORRECT, lp2p_kad_query_key(query), true, now);
            if (fix == NULL) {
                return;
            }
            fix->stage = LP2P_KAD_SPREAD;
            if (lp2p_kad_query_set_value(fix, lp2p_kad_answer_span(best)) != LP2P_OK) {
                lp2p_kad_query_end(kad, fix, LP2P_ENOMEM, now);
                return;
            }
        }
        struct lp2p_kad_contact *contact = lp2p_kad_contact_copy(answered[i]->contact);
        if (contact != NULL) {
            lp2p_kad_query_hear(fix, contact);
        }
    }
}

/* What we put ourselves gives way to a better value only, what others put here also to what most peers say.
 */
static void correct_here(struct lp2p_kad *kad, struct lp2p_kad_query *query, struct lp2p_span best,
                         lp2p_time now)
{
    const struct lp2p_kad_value *held = lp2p_kad_store_get(&kad->store, &query->target, now);
    if (held == NULL || lp2p_span_eq(lp2p_span(held->bytes, held->len), best)) {
        return;
    }
    if (held->item.source != NULL ||
        lp2p_kad_better(&kad->rules, lp2p_kad_query_key(query), best, lp2p_span(held->bytes, held->len))) {
        enum lp2p_err err = lp2p_kad_store_put(&kad->store, &query->target, NULL, best, now, query->wall_ms);
        (void)err; /* without memory the old copy stays */
    }
}

void lp2p_kad_correct(struct lp2p_kad *kad, struct lp2p_kad_query *query, lp2p_time now)
{
    const struct lp2p_kad_answer *best =
        lp2p_kad_answers_best(&query->answers, &kad->rules, lp2p_kad_query_key(query));
    if (best == NULL) {
        return;
    }
    correct_here(kad, query, lp2p_kad_answer_span(best), now);
    correct_peers(kad, query, best, now);
}
