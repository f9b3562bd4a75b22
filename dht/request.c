/* SPDX-License-Identifier: MIT */
#include "dht/request.h"

#include <stdlib.h>

#define SLOT_BITS 16u
#define SLOTS_MAX 0xffffu

void lp2p_kad_requests_init(struct lp2p_kad_requests *requests)
{
    *requests = (struct lp2p_kad_requests){0};
    lp2p_heap_init(&requests->timers);
    lp2p_list_init(&requests->given_up);
}

static void forget(struct lp2p_kad_requests *requests, struct lp2p_kad_request *request)
{
    lp2p_heap_remove(&requests->timers, &request->timer);
    lp2p_list_remove(&request->link);
    requests->slots[request->id & SLOTS_MAX] = NULL;
    requests->slots_len--;
    free(request);
}

void lp2p_kad_requests_fini(struct lp2p_kad_requests *requests)
{
    for (uint32_t i = 0; i < requests->slots_cap; i++) {
        if (requests->slots[i] != NULL) {
            forget(requests, requests->slots[i]);
        }
    }
    free(requests->slots);
    lp2p_heap_fini(&requests->timers);
}

/* The first free slot from where the last one was given out; SLOTS_MAX when there is none. */
static uint32_t free_slot(struct lp2p_kad_requests *requests)
{
    if (requests->slots_len == requests->slots_cap) {
        uint32_t cap = LP2P_MIN(LP2P_MAX(requests->slots_cap * 2, 32u), SLOTS_MAX);
        struct lp2p_kad_request **slots =
            cap == requests->slots_cap ? NULL
                                       : realloc(requests->slots, cap * sizeof(struct lp2p_kad_request *));
        if (slots == NULL) {
            return SLOTS_MAX;
        }
        for (uint32_t i = requests->slots_cap; i < cap; i++) {
            slots[i] = NULL;
        }
        requests->slots = slots;
        requests->slots_cap = cap;
    }
    uint32_t slot = (uint32_t)(requests->serial % requests->slots_cap);
    while (requests->slots[slot] != NULL) {
        slot = (slot + 1) % requests->slots_cap;
    }
    return slot;
}

struct lp2p_kad_request *lp2p_kad_request_new(struct lp2p_kad_requests *requests,
                                              struct lp2p_kad_query *query,
                                              struct lp2p_kad_candidate *candidate, lp2p_time slow,
                                              lp2p_time end)
{
    uint32_t slot = free_slot(requests);
    struct lp2p_kad_request *request = slot == SLOTS_MAX ? NULL : calloc(1, sizeof(*request));
    if (request == NULL) {
        return NULL;
    }
    if (lp2p_heap_set(&requests->timers, &request->timer, lp2p_time_min(slow, end)) != LP2P_OK) {
        free(request);
        return NULL;
    }
    request->id = ++requests->serial << SLOT_BITS | slot;
    request->query = query;
    request->candidate = candidate;
    request->end = end;
    requests->slots[slot] = request;
    requests->slots_len++;
    lp2p_list_push_back(&query->requests, &request->link);
    lp2p_kad_query_move(query, candidate, LP2P_KAD_WAITING);
    return request;
}

struct lp2p_kad_request *lp2p_kad_request_find(const struct lp2p_kad_requests *requests, uint64_t id)
{
    uint32_t slot = (uint32_t)(id & SLOTS_MAX);
    if (slot >= requests->slots_cap || requests->slots[slot] == NULL || requests->slots[slot]->id != id) {
        return NULL;
    }
    return requests->slots[slot];
}

void lp2p_kad_request_end(struct lp2p_kad_requests *requests, struct lp2p_kad_request *request,
                          enum lp2p_kad_asked asked)
{
    if (request->query != NULL) {
        lp2p_kad_query_move(request->query, request->candidate, asked);
    }
    forget(requests, request);
}

void lp2p_kad_request_give_up(struct lp2p_kad_requests *requests, struct lp2p_kad_request *request)
{
    lp2p_kad_query_move(request->query, request->candidate, LP2P_KAD_FAILED);
    request->query = NULL;
    request->candidate = NULL;
    lp2p_heap_remove(&requests->timers, &request->timer);
    lp2p_list_remove(&request->link);
    lp2p_list_push_back(&requests->given_up, &request->link);
}
