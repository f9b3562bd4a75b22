/* SPDX-License-Identifier: MIT
 * The inside of the kad machine, shared by the files that make it up: kad.c (life, peers, time), serve.c
 * (requests of others), start.c (operations), drive.c (from query to event), response.c (answers), refresh.c.
 * Nobody outside dht/ includes this. */
#ifndef LP2P_DHT_MACHINE_H
#define LP2P_DHT_MACHINE_H

#include "dht/refresh.h"
#include "dht/request.h"
#include "dht/store.h"
#include "dht/table.h"

#define LP2P_KAD_PROVIDER_KEY_MAX 80 /* bytes of a multihash (go-libp2p-kad-dht handlers.go) */
#define LP2P_KAD_INTERNAL_MAX 16     /* refreshes and corrections at a time */
#define LP2P_KAD_AGREE 3             /* peers that shall have named the target of a find_peer */
#define LP2P_KAD_MESSAGE_OUT_MAX                                                                             \
    (LP2P_KAD_VALUE_MAX + 2 * LP2P_KAD_KEY_MAX + 4096) /* bytes of a request of ours */

struct lp2p_kad {
    struct lp2p_kad_config config; /* defaults filled in */
    struct lp2p_rand rand;
    enum lp2p_ma_scope source; /* of the bytes that are given next */
    struct lp2p_kad_key self;
    struct lp2p_kad_rules rules;
    struct lp2p_kad_table table;
    struct lp2p_kad_store store;
    struct lp2p_kad_requests requests;
    struct lp2p_kad_refresh refresh;
    struct lp2p_heap query_timers;
    struct lp2p_list queries, ready; /* ready: may have something to say */
    size_t queries_len, internal_len;
    uint64_t query_serial, request_serial;
    lp2p_time swept;
    struct lp2p_kad_query *told; /* its end was told by the last event, which borrows from it */
    struct lp2p_kad_peer *told_peers;
    struct lp2p_kad_stats stats;
    uint8_t out[LP2P_KAD_MESSAGE_OUT_MAX];
};

/* drive.c */

/** A query of ours in the machine, seeded from the table. NULL: no memory, or too many internal ones. */
struct lp2p_kad_query *lp2p_kad_query_start(struct lp2p_kad *kad, enum lp2p_kad_query_kind kind,
                                            struct lp2p_span key, bool internal, lp2p_time now);
/** Ends a query: its requests are given up, its end will be told. Ending an ended one does nothing. */
void lp2p_kad_query_end(struct lp2p_kad *kad, struct lp2p_kad_query *query, enum lp2p_err reason,
                        lp2p_time now);
void lp2p_kad_query_wake(struct lp2p_kad *kad, struct lp2p_kad_query *query);
/** The whole query's time is up. */
void lp2p_kad_query_late(struct lp2p_kad *kad, struct lp2p_kad_query *query, lp2p_time now);
void lp2p_kad_query_drop(struct lp2p_kad *kad, struct lp2p_kad_query *query);
/** Frees what the last event has lent out; every entry point begins with it. */
void lp2p_kad_release(struct lp2p_kad *kad);
/** Fills in addresses that the table or the owner's address book knows, when the peer has none. */
void lp2p_kad_complete_peer(struct lp2p_kad *kad, struct lp2p_kad_peer *peer);

/* response.c */

/** The request has failed: moves its candidate, judges the peer, and forgets the request. */
void lp2p_kad_request_fail(struct lp2p_kad *kad, struct lp2p_kad_request *request, enum lp2p_err reason,
                           bool tell);
/** Counts a valid value of a get, from a peer or (NULL) from our own store; ends the get when the quorum is
 * there. */
void lp2p_kad_take_value(struct lp2p_kad *kad, struct lp2p_kad_query *query, struct lp2p_kad_candidate *from,
                         struct lp2p_span value, lp2p_time now);
/** Takes a provider of a find_providers; ends it when there are enough. */
void lp2p_kad_take_provider(struct lp2p_kad *kad, struct lp2p_kad_query *query, struct lp2p_kad_peer *peer,
                            lp2p_time now);
/** After a get: our own copy and those of the closest peers that had none or another one are put right. */
void lp2p_kad_correct(struct lp2p_kad *kad, struct lp2p_kad_query *query, lp2p_time now);

/** One peer out of a message: decoded, and without addresses that its sender is not believed. EMALFORMED. */
enum lp2p_err lp2p_kad_hear(const struct lp2p_kad *kad, struct lp2p_span in, struct lp2p_kad_peer *out) LP2P_MUST_CHECK;

#endif
