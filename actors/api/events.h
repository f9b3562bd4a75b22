/* SPDX-License-Identifier: MIT
 * The user's events: a bounded queue with a descriptor, or a callback. Any thread; one mutex, held for a few
 * instructions. */
#ifndef LP2P_API_EVENTS_H
#define LP2P_API_EVENTS_H

#include "actors/messages.h"
#include "base/list.h"

#include <pthread.h>

#define LP2P_EVENTS_MAX 4096 /* in the queue */

struct lp2p_events {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lp2p_list queue; /* struct waiting_event */
    size_t len;
    uint64_t lost; /* dropped since the last LOST event was given out */
    int fd;
    bool ended; /* the node does not run: who waits gets NULL when the queue is empty */
    lp2p_event_fn fn;
    void *user;
};

/** What an event is made from; everything is copied or referenced. */
struct lp2p_event_source {
    enum lp2p_event_kind kind;
    struct lp2p_peer_info *info;     /* may be NULL */
    const struct lp2p_peer_id *peer; /* instead of info: only the id is known; may be NULL */
    const struct lp2p_slice *json;   /* MESSAGE */
    enum lp2p_err err;
    const char *detail; /* NULL: "" */
    uint64_t number, time_ms;
};

void lp2p_events_init(struct lp2p_events *events);
void lp2p_events_fini(struct lp2p_events *events);
/** Gives the event to the callback if there is one, else to the queue (the oldest make room; *lost counts
 * them). */
void lp2p_events_publish(struct lp2p_events *events, struct lp2p_node *node,
                         const struct lp2p_event_source *source, uint64_t *lost);
void lp2p_events_set_ended(struct lp2p_events *events, bool ended);

#endif
