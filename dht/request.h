/* SPDX-License-Identifier: MIT
 * The requests that are under way: found by their id, ended by their deadline. Owned by the kad machine. */
#ifndef LP2P_DHT_REQUEST_H
#define LP2P_DHT_REQUEST_H

#include "dht/codec.h"
#include "dht/query.h"

struct lp2p_kad_request {
    uint64_t id;
    enum lp2p_kad_type type;
    struct lp2p_kad_query *query; /* NULL: given up; only the owner has still to be told */
    struct lp2p_kad_candidate *candidate;
    struct lp2p_heap_node timer; /* first when it counts as slow, then its end */
    lp2p_time end;
    bool cut_short;        /* has less than the whole time-out: not to answer in it proves nothing */
    struct lp2p_list link; /* in its query's list, or among the given up */
};

struct lp2p_kad_requests {
    struct lp2p_kad_request **slots; /* an id carries its slot in the low 16 bits */
    uint32_t slots_len, slots_cap;
    uint64_t serial;
    struct lp2p_heap timers;
    struct lp2p_list given_up;
};

void lp2p_kad_requests_init(struct lp2p_kad_requests *requests);
void lp2p_kad_requests_fini(struct lp2p_kad_requests *requests);
/** Starts a request; the candidate is waiting now. NULL when memory is short or 65,535 are under way. */
struct lp2p_kad_request *lp2p_kad_request_new(struct lp2p_kad_requests *requests,
                                              struct lp2p_kad_query *query,
                                              struct lp2p_kad_candidate *candidate, lp2p_time slow,
                                              lp2p_time end);
/** NULL for an id that is not (or no longer) under way. */
struct lp2p_kad_request *lp2p_kad_request_find(const struct lp2p_kad_requests *requests, uint64_t id);
/** Forgets the request; its candidate goes into the given state. */
void lp2p_kad_request_end(struct lp2p_kad_requests *requests, struct lp2p_kad_request *request,
                          enum lp2p_kad_asked asked);
/** Like end, but the id stays among the given up until the owner was told. */
void lp2p_kad_request_give_up(struct lp2p_kad_requests *requests, struct lp2p_kad_request *request);

#endif
