/* SPDX-License-Identifier: MIT */
#include "dht/query.h"

#include <stdlib.h>

#define IN_FLIGHT_FACTOR 3u /* slow ones included, alpha times this many requests at most */

struct lp2p_kad_query *lp2p_kad_query_new(enum lp2p_kad_query_kind kind, struct lp2p_span key, unsigned k,
                                          unsigned alpha)
{
    struct lp2p_kad_query *query = calloc(1, sizeof(*query) + key.len);
    if (query == NULL) {
        return NULL;
    }
    query->kind = kind;
    query->k = k;
    query->alpha = alpha;
    query->target = lp2p_kad_key_of(key);
    query->key_len = key.len;
    memcpy(query->key, key.ptr, key.len);
    lp2p_list_init(&query->requests);
    return query;
}

static void free_candidate(struct lp2p_kad_candidate *candidate)
{
    lp2p_kad_contact_free(candidate->contact);
    free(candidate);
}

void lp2p_kad_query_free(struct lp2p_kad_query *query)
{
    LP2P_CHECK(lp2p_list_empty(&query->requests) && query->timer.place == 0);
    for (size_t i = 0; i < query->candidates_len; i++) {
        free_candidate(query->candidates[i]);
    }
    for (size_t i = 0; i < query->found_len; i++) {
        lp2p_kad_contact_free(query->found[i]);
    }
    lp2p_kad_answers_fini(&query->answers);
    free(query->candidates);
    free(query->found);
    free(query->value);
    free(query);
}

enum lp2p_err lp2p_kad_query_set_value(struct lp2p_kad_query *query, struct lp2p_span value)
{
    query->value = malloc(LP2P_MAX(value.len, 1u));
    if (query->value == NULL) {
        return LP2P_ENOMEM;
    }
    if (value.len > 0) {
        memcpy(query->value, value.ptr, value.len);
    }
    query->value_len = value.len;
    return LP2P_OK;
}

static bool under_way(const struct lp2p_kad_candidate *candidate)
{
    return candidate->asked == LP2P_KAD_WAITING || candidate->asked == LP2P_KAD_SLOW;
}

/* Room for one more candidate at `at`: the list grows up to its maximum, then the farthest one is forgotten.
 */
static bool make_room(struct lp2p_kad_query *query, size_t at)
{
    if (query->candidates_len == LP2P_KAD_CANDIDATES_MAX) {
        struct lp2p_kad_candidate *last = query->candidates[query->candidates_len - 1];
        if (at == query->candidates_len || under_way(last)) {
            return false;
        }
        free_candidate(last);
        query->candidates_len--;
    }
    if (query->candidates_len == query->candidates_cap) {
        size_t cap = LP2P_MAX(query->candidates_cap * 2, 32u);
        struct lp2p_kad_candidate **candidates =
            realloc(query->candidates, cap * sizeof(struct lp2p_kad_candidate *));
        if (candidates == NULL) {
            return false;
        }
        query->candidates = candidates;
        query->candidates_cap = cap;
    }
    return true;
}

/* Where the point belongs in the order of distance; *known is set when the candidate there is this very
 * point. */
static size_t place_of(const struct lp2p_kad_query *query, const struct lp2p_kad_key *key, bool *known)
{
    size_t low = 0;
    size_t high = query->candidates_len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = lp2p_kad_key_compare(&query->target, &query->candidates[middle]->contact->key, key);
        if (order == 0) {
            *known = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *known = false;
    return low;
}

void lp2p_kad_query_hear(struct lp2p_kad_query *query, struct lp2p_kad_contact *contact)
{
    bool known;
    size_t at = place_of(query, &contact->key, &known);
    if (known) {
        struct lp2p_kad_candidate *candidate = query->candidates[at];
        if (candidate->asked == LP2P_KAD_HEARD && candidate->contact->addrs_len == 0) {
            lp2p_kad_contact_free(candidate->contact);
            candidate->contact = contact;
        } else {
            lp2p_kad_contact_free(contact);
        }
        return;
    }
    struct lp2p_kad_candidate *candidate = make_room(query, at) ? calloc(1, sizeof(*candidate)) : NULL;
    if (candidate == NULL) {
        lp2p_kad_contact_free(contact);
        return;
    }
    candidate->contact = contact;
    memmove(&query->candidates[at + 1], &query->candidates[at],
            (query->candidates_len - at) * sizeof(struct lp2p_kad_candidate *));
    query->candidates[at] = candidate;
    query->candidates_len++;
}

struct lp2p_kad_candidate *lp2p_kad_query_pick(const struct lp2p_kad_query *query)
{
    if (query->waiting >= query->alpha || query->waiting + query->slow >= query->alpha * IN_FLIGHT_FACTOR) {
        return NULL;
    }
    unsigned near = 0;
    for (size_t i = 0; i < query->candidates_len && near < query->k; i++) {
        struct lp2p_kad_candidate *candidate = query->candidates[i];
        if (candidate->asked == LP2P_KAD_HEARD) {
            return candidate;
        }
        /* A slow one may well fail in the end: whoever would then take its place is asked at once, not one
         * time-out later. */
        near += candidate->asked != LP2P_KAD_FAILED && candidate->asked != LP2P_KAD_SLOW;
    }
    return NULL;
}

void lp2p_kad_query_move(struct lp2p_kad_query *query, struct lp2p_kad_candidate *candidate,
                         enum lp2p_kad_asked asked)
{
    query->waiting -= candidate->asked == LP2P_KAD_WAITING;
    query->slow -= candidate->asked == LP2P_KAD_SLOW;
    candidate->asked = asked;
    query->waiting += asked == LP2P_KAD_WAITING;
    query->slow += asked == LP2P_KAD_SLOW;
}

bool lp2p_kad_query_settled(const struct lp2p_kad_query *query)
{
    unsigned near = 0;
    for (size_t i = 0; i < query->candidates_len && near < query->k; i++) {
        const struct lp2p_kad_candidate *candidate = query->candidates[i];
        if (candidate->asked == LP2P_KAD_HEARD || under_way(candidate)) {
            return false;
        }
        near += candidate->asked != LP2P_KAD_FAILED;
    }
    return true;
}

size_t lp2p_kad_query_answered(const struct lp2p_kad_query *query, struct lp2p_kad_candidate **out,
                               size_t max)
{
    size_t len = 0;
    for (size_t i = 0; i < query->candidates_len && len < max; i++) {
        if (query->candidates[i]->asked == LP2P_KAD_ANSWERED) {
            out[len++] = query->candidates[i];
        }
    }
    return len;
}

size_t lp2p_kad_query_spread(struct lp2p_kad_query *query)
{
    LP2P_CHECK(query->waiting == 0 && query->slow == 0);
    size_t kept = 0;
    for (size_t i = 0; i < query->candidates_len; i++) {
        struct lp2p_kad_candidate *candidate = query->candidates[i];
        if (candidate->asked == LP2P_KAD_ANSWERED && kept < query->k) {
            lp2p_kad_query_move(query, candidate, LP2P_KAD_HEARD);
            query->candidates[kept++] = candidate;
        } else {
            free_candidate(candidate);
        }
    }
    query->candidates_len = kept;
    query->stage = LP2P_KAD_SPREAD;
    return kept;
}

bool lp2p_kad_query_find(struct lp2p_kad_query *query, const struct lp2p_kad_peer *peer)
{
    size_t at = 0;
    while (at < query->found_len && !lp2p_peer_id_eq(&query->found[at]->id, &peer->id)) {
        at++;
    }
    if (at == LP2P_KAD_FOUND_MAX ||
        (at < query->found_len && (query->found[at]->addrs_len > 0 || peer->addrs_len == 0))) {
        return false;
    }
    if (at == query->found_cap) {
        size_t cap = LP2P_MAX(query->found_cap * 2, 8u);
        struct lp2p_kad_contact **found = realloc(query->found, cap * sizeof(struct lp2p_kad_contact *));
        if (found == NULL) {
            return false;
        }
        query->found = found;
        query->found_cap = cap;
    }
    struct lp2p_kad_contact *contact = lp2p_kad_contact_new(peer);
    if (contact == NULL) {
        return false;
    }
    if (at < query->found_len) {
        lp2p_kad_contact_free(query->found[at]);
        query->found[at] = contact;
        return false;
    }
    query->found[query->found_len++] = contact;
    return true;
}
