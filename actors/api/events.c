/* SPDX-License-Identifier: MIT */
#include "actors/api/events.h"
#include "actors/api/node.h"
#include "actors/api/view.h"
#include "actors/protocols/lotus_message.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BOX_MAGIC LP2P_MAGIC('E', 'V', 'N', 'T')

/* An event as it waits: what it was made from. The texts are made when somebody takes it, because most nodes
 * have nobody who does. */
struct waiting_event {
    struct lp2p_list link;
    struct lp2p_event_source source; /* its pointers are our own references, or point into this struct */
    struct lp2p_peer_id peer;
    struct lp2p_slice json;
    char detail[];
};

/* An event with all that it points to. `event` is what the user holds. */
struct lp2p_event_box {
    struct lp2p_event event;
    uint32_t magic;
    struct lp2p_peer *peer;
    struct lp2p_slice json;
    struct lp2p_lotus_message message; /* valid if has_message */
    bool has_message;
    char detail[];
};

void lp2p_event_free(struct lp2p_event *event)
{
    if (event == NULL) {
        return;
    }
    struct lp2p_event_box *box = LP2P_CONTAINER_OF(event, struct lp2p_event_box, event);
    LP2P_CHECK_MAGIC(box, BOX_MAGIC);
    lp2p_peers_free(box->peer, 1);
    if (box->has_message) {
        lp2p_lotus_message_fini(&box->message);
    }
    lp2p_slice_drop(&box->json);
    box->magic = 0;
    free(box);
}

static struct lp2p_event_box *box_new(enum lp2p_event_kind kind, const char *detail)
{
    detail = detail == NULL ? "" : detail;
    size_t len = strlen(detail) + 1;
    struct lp2p_event_box *box = calloc(1, sizeof(*box) + len);
    if (box != NULL) {
        box->magic = BOX_MAGIC;
        box->event.kind = kind;
        memcpy(box->detail, detail, len);
        box->event.detail = box->detail;
    }
    return box;
}

static struct lp2p_event_box *box_from(const struct lp2p_event_source *source)
{
    struct lp2p_event_box *box = box_new(source->kind, source->detail);
    if (box == NULL) {
        return NULL;
    }
    box->event.err = source->err;
    box->event.number = source->number;
    box->event.time_ms = source->time_ms;
    struct lp2p_peer_info *info = lp2p_peer_info_ref(source->info);
    if (info == NULL && source->peer != NULL) {
        info = lp2p_peer_info_new();
        if (info != NULL) {
            info->id = *source->peer;
        }
    }
    bool ok = info != NULL || source->peer == NULL;
    if (info != NULL) {
        box->peer = lp2p_peers_view(&info, 1);
        ok = box->peer != NULL;
        lp2p_peer_info_drop(&info);
    }
    box->event.peer = box->peer;
    if (ok && source->json != NULL) {
        box->json = lp2p_slice_of(source->json->buf, source->json->ptr, source->json->len);
        ok = lp2p_lotus_message_parse(lp2p_slice_span(&box->json), 0, &box->message, NULL) == LP2P_OK;
        box->has_message = ok;
        box->event.message = ok ? &box->message.view : NULL;
    }
    if (!ok) {
        lp2p_event_free(&box->event);
        return NULL;
    }
    return box;
}

static struct waiting_event *waiting_new(const struct lp2p_event_source *source)
{
    const char *detail = source->detail == NULL ? "" : source->detail;
    size_t len = strlen(detail) + 1;
    struct waiting_event *waiting = malloc(sizeof(*waiting) + len);
    if (waiting == NULL) {
        return NULL;
    }
    *waiting = (struct waiting_event){.source = *source};
    memcpy(waiting->detail, detail, len);
    waiting->source.detail = waiting->detail;
    waiting->source.info = lp2p_peer_info_ref(source->info);
    if (source->peer != NULL) {
        waiting->peer = *source->peer;
        waiting->source.peer = &waiting->peer;
    }
    if (source->json != NULL) {
        waiting->json = lp2p_slice_of(source->json->buf, source->json->ptr, source->json->len);
        waiting->source.json = &waiting->json;
    }
    return waiting;
}

static void waiting_free(struct waiting_event *waiting)
{
    if (waiting != NULL) {
        lp2p_peer_info_drop(&waiting->source.info);
        lp2p_slice_drop(&waiting->json);
        free(waiting);
    }
}

void lp2p_events_init(struct lp2p_events *events)
{
    *events = (struct lp2p_events){.fd = -1, .ended = true};
    pthread_mutex_init(&events->lock, NULL);
    lp2p_cond_init(&events->changed);
    lp2p_list_init(&events->queue);
}

void lp2p_events_fini(struct lp2p_events *events)
{
    struct lp2p_list *first;
    while ((first = lp2p_list_pop_front(&events->queue)) != NULL) {
        waiting_free(LP2P_LIST_ENTRY(first, struct waiting_event, link));
    }
    if (events->fd >= 0) {
        (void)close(events->fd);
    }
    pthread_mutex_destroy(&events->lock);
    pthread_cond_destroy(&events->changed);
}

static void count_lost(struct lp2p_events *events, uint64_t *lost)
{
    events->lost++;
    __atomic_fetch_add(lost, 1, __ATOMIC_RELAXED);
}

/* With the lock held. Returns what had to make room, for the caller to free. */
static struct waiting_event *enqueue(struct lp2p_events *events, struct waiting_event *waiting, uint64_t *lost)
{
    struct lp2p_list *oldest = NULL;
    if (waiting == NULL) {
        count_lost(events, lost); /* no memory for it */
        return NULL;
    }
    if (events->len >= LP2P_EVENTS_MAX) {
        oldest = lp2p_list_pop_front(&events->queue);
        events->len--;
        count_lost(events, lost);
    }
    lp2p_list_push_back(&events->queue, &waiting->link);
    events->len++;
    lp2p_signal_fd_set(events->fd);
    pthread_cond_signal(&events->changed);
    return oldest == NULL ? NULL : LP2P_LIST_ENTRY(oldest, struct waiting_event, link);
}

static void call_back(struct lp2p_events *events, struct lp2p_node *node, lp2p_event_fn fn, void *user,
                      const struct lp2p_event_source *source, uint64_t *lost)
{
    struct lp2p_event_box *box = box_from(source);
    if (box == NULL) {
        pthread_mutex_lock(&events->lock);
        count_lost(events, lost);
        pthread_mutex_unlock(&events->lock);
        return;
    }
    fn(user, node, &box->event);
    lp2p_event_free(&box->event);
}

void lp2p_events_publish(struct lp2p_events *events, struct lp2p_node *node,
                         const struct lp2p_event_source *source, uint64_t *lost)
{
    struct waiting_event *waiting = waiting_new(source), *rest;
    pthread_mutex_lock(&events->lock);
    lp2p_event_fn fn = events->fn;
    void *user = events->user;
    rest = fn == NULL ? enqueue(events, waiting, lost) : waiting;
    pthread_mutex_unlock(&events->lock);
    waiting_free(rest);
    if (fn != NULL) {
        call_back(events, node, fn, user, source, lost);
    }
}

void lp2p_events_set_ended(struct lp2p_events *events, bool ended)
{
    pthread_mutex_lock(&events->lock);
    events->ended = ended;
    pthread_cond_broadcast(&events->changed);
    pthread_mutex_unlock(&events->lock);
}

/* ---- the user's side */

static const char *const EVENT_NAMES[] = {
    [LP2P_EVENT_CONNECT] = "peer:connect",
    [LP2P_EVENT_DISCONNECT] = "peer:disconnect",
    [LP2P_EVENT_DISCOVERY] = "peer:discovery",
    [LP2P_EVENT_UPDATE] = "peer:update",
    [LP2P_EVENT_MESSAGE] = "message",
    [LP2P_EVENT_ERROR] = "error",
    [LP2P_EVENT_RESTART] = "restart",
    [LP2P_EVENT_LISTENING] = "listening",
    [LP2P_EVENT_LOST] = "lost",
};

const char *lp2p_event_name(enum lp2p_event_kind kind)
{
    return (unsigned)kind < LP2P_ARRAY_LEN(EVENT_NAMES) ? EVENT_NAMES[kind] : "unknown";
}

enum lp2p_err lp2p_node_on_event(struct lp2p_node *node, lp2p_event_fn fn, void *user)
{
    if (node == NULL) {
        return LP2P_EINVAL;
    }
    pthread_mutex_lock(&node->events.lock);
    node->events.fn = fn;
    node->events.user = user;
    pthread_mutex_unlock(&node->events.lock);
    return LP2P_OK;
}

int lp2p_node_event_fd(struct lp2p_node *node)
{
    if (node == NULL) {
        return -1;
    }
    struct lp2p_events *events = &node->events;
    pthread_mutex_lock(&events->lock);
    if (events->fd < 0) {
        events->fd = lp2p_signal_fd_new();
        if (events->len > 0 || events->lost > 0) {
            lp2p_signal_fd_set(events->fd);
        }
    }
    int fd = events->fd;
    pthread_mutex_unlock(&events->lock);
    return fd;
}

/* With the lock held: the next one, or NULL. What was lost is told before what came after it. */
static struct lp2p_event_box *take_lost(struct lp2p_events *events)
{
    struct lp2p_event_box *box =
        events->lost == 0 ? NULL : box_new(LP2P_EVENT_LOST, "events were not fetched in time");
    if (box != NULL) {
        box->event.number = events->lost;
        box->event.time_ms = lp2p_gate_wall_ms();
        events->lost = 0;
    }
    return box;
}

/* With the lock held. */
static struct waiting_event *take_waiting(struct lp2p_events *events)
{
    struct lp2p_list *first = lp2p_list_pop_front(&events->queue);
    events->len -= first != NULL;
    return first == NULL ? NULL : LP2P_LIST_ENTRY(first, struct waiting_event, link);
}

/* With the lock held, which is given up while the texts are made. */
static struct lp2p_event *take(struct lp2p_events *events, uint64_t *lost)
{
    struct lp2p_event_box *box = take_lost(events);
    struct waiting_event *waiting;
    while (box == NULL && (waiting = take_waiting(events)) != NULL) {
        pthread_mutex_unlock(&events->lock);
        box = box_from(&waiting->source);
        waiting_free(waiting);
        pthread_mutex_lock(&events->lock);
        if (box == NULL) {
            count_lost(events, lost);
        }
    }
    if (events->len == 0 && events->lost == 0) {
        lp2p_signal_fd_clear(events->fd);
    }
    return box == NULL ? NULL : &box->event;
}

struct lp2p_event *lp2p_node_next_event(struct lp2p_node *node, int timeout_ms)
{
    if (node == NULL) {
        return NULL;
    }
    struct lp2p_events *events = &node->events;
    uint64_t *lost = &node->ctx.counters.events_lost;
    uint64_t deadline = lp2p_deadline_after_ms(timeout_ms);
    enum lp2p_err err = LP2P_OK;
    pthread_mutex_lock(&events->lock);
    struct lp2p_event *event = take(events, lost);
    while (event == NULL && err == LP2P_OK && timeout_ms != 0 && !events->ended) {
        err = lp2p_cond_wait_until(&events->changed, &events->lock, deadline);
        event = take(events, lost);
    }
    pthread_mutex_unlock(&events->lock);
    return event;
}
