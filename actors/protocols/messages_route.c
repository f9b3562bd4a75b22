/* SPDX-License-Identifier: MIT
 * Delivery: a protocol of the user may block for as long as it likes, so what it cannot take waits here in a
 * short queue of its own, and beyond that is dropped and counted. Other protocols do not notice. */
#include "actors/protocols/messages_private.h"

#include <stdio.h>
#include <stdlib.h>

static struct lp2p_message_route *find(struct lp2p_messages *state, struct lp2p_span name)
{
    for (size_t i = 0; state->routes != NULL && i < state->routes->len; i++) {
        if (lp2p_span_eq_str(name, state->routes->items[i].name)) {
            return &state->routes->items[i];
        }
    }
    return NULL;
}

static void clear(struct lp2p_messages *state, struct lp2p_message_route *route)
{
    LP2P_COUNT(state->ctx, messages_dropped, route->len);
    for (; route->len > 0; route->len--) {
        lp2p_msg_drop(&route->queue[route->first]);
        route->first = (route->first + 1) % LP2P_ROUTE_QUEUE_MAX;
    }
    free(route->queue);
    route->queue = NULL;
    route->first = route->bytes = 0;
}

/* A free place, or NULL. */
static struct lp2p_message_route *add(struct lp2p_messages *state)
{
    if (state->routes == NULL) {
        state->routes = state->ctx->message_routes = calloc(1, sizeof(*state->routes));
    }
    if (state->routes == NULL || state->routes->len == LP2P_ROUTES_MAX) {
        lp2p_log(state->ctx, LP2P_LOG_ERROR, "messages",
                 "no place for another protocol that receives messages");
        return NULL;
    }
    struct lp2p_message_route *route = &state->routes->items[state->routes->len++];
    *route = (struct lp2p_message_route){0};
    return route;
}

void lp2p_messages_route_change(struct lp2p_messages *state, const struct lp2p_m_message_route *m)
{
    struct lp2p_span name = lp2p_span(m->name, strnlen(m->name, sizeof(m->name) - 1));
    struct lp2p_message_route *route = find(state, name);
    if (lp2p_ref_eq(m->who, LP2P_REF_NONE)) {
        if (route != NULL) {
            clear(state, route);
            *route = state->routes->items[--state->routes->len];
        }
        return;
    }
    if (route == NULL) {
        route = add(state);
    }
    if (route != NULL) {
        (void)snprintf(route->name, sizeof(route->name), "%.*s", (int)name.len, (const char *)name.ptr);
        route->who = m->who;
    }
}

static void keep(struct lp2p_messages *state, struct lp2p_message_route *route, struct lp2p_msg **msg)
{
    if (route->queue == NULL) {
        route->queue = calloc(LP2P_ROUTE_QUEUE_MAX, sizeof(struct lp2p_msg *));
    }
    if (route->queue == NULL || route->len == LP2P_ROUTE_QUEUE_MAX ||
        route->bytes + (*msg)->bytes > LP2P_ROUTE_BYTES_MAX) {
        LP2P_COUNT(state->ctx, messages_dropped, 1);
        lp2p_msg_drop(msg);
        return;
    }
    route->bytes += (*msg)->bytes;
    route->queue[(route->first + route->len++) % LP2P_ROUTE_QUEUE_MAX] = *msg;
    *msg = NULL;
    if (lp2p_timer_get(state->self, LP2P_MESSAGES_TIMER_ROUTES) == LP2P_NEVER) {
        lp2p_timer_set(state->self, LP2P_MESSAGES_TIMER_ROUTES,
                       lp2p_time_add(lp2p_now(state->self), LP2P_ROUTE_RETRY_NS));
    }
}

/* Sends or drops; false: the receiver is full and the message is still ours. */
static bool hand_over(struct lp2p_messages *state, const struct lp2p_message_route *route,
                      struct lp2p_msg **msg)
{
    enum lp2p_err err = lp2p_send(state->self, route->who, msg);
    if (err == LP2P_EFULL) {
        return false;
    }
    if (err != LP2P_OK) {
        LP2P_COUNT(state->ctx, messages_dropped, 1);
        lp2p_msg_drop(msg);
    }
    return true;
}

void lp2p_messages_deliver(struct lp2p_messages *state, struct lp2p_span protocol,
                           const struct lp2p_peer_id *peer, const struct lp2p_slice *json)
{
    struct lp2p_message_route *route = protocol.len == 0 ? NULL : find(state, protocol);
    struct lp2p_m_message *m = route == NULL ? NULL : LP2P_NEW(MESSAGE, message);
    if (m == NULL) {
        return;
    }
    m->peer = *peer;
    m->json = lp2p_slice_of(json->buf, json->ptr, json->len);
    m->msg.bytes = json->len;
    struct lp2p_msg *msg = &m->msg;
    if (route->len > 0 || !hand_over(state, route, &msg)) {
        keep(state, route, &msg);
    }
}

void lp2p_messages_notify(struct lp2p_messages *state, const struct lp2p_peer_id *peer,
                          const struct lp2p_slice *json)
{
    struct lp2p_m_notify *m = LP2P_NEW(NOTIFY, notify);
    if (m == NULL) {
        return;
    }
    m->kind = LP2P_EVENT_MESSAGE;
    m->info = lp2p_peer_info_new();
    if (m->info != NULL) {
        m->info->id = *peer;
        m->info->last_seen_ms = lp2p_wall_ms(state->self);
        m->info->muxer = "";
    }
    m->json = lp2p_slice_of(json->buf, json->ptr, json->len);
    m->msg.bytes = json->len;
    struct lp2p_msg *msg = &m->msg;
    if (m->info == NULL || lp2p_send(state->self, lp2p_names(state->ctx)->notifier, &msg) != LP2P_OK) {
        LP2P_COUNT(state->ctx, notifications_dropped, 1);
        lp2p_msg_drop(&msg);
    }
}

void lp2p_messages_route_retry(struct lp2p_messages *state)
{
    size_t waiting = 0;
    for (size_t i = 0; state->routes != NULL && i < state->routes->len; i++) {
        struct lp2p_message_route *route = &state->routes->items[i];
        while (route->len > 0) {
            struct lp2p_msg **msg = &route->queue[route->first];
            size_t bytes = (*msg)->bytes;
            if (!hand_over(state, route, msg)) {
                break;
            }
            route->bytes -= bytes;
            route->first = (route->first + 1) % LP2P_ROUTE_QUEUE_MAX;
            route->len--;
        }
        waiting += route->len;
    }
    if (waiting > 0) {
        lp2p_timer_set(state->self, LP2P_MESSAGES_TIMER_ROUTES,
                       lp2p_time_add(lp2p_now(state->self), LP2P_ROUTE_RETRY_NS));
    }
}

void lp2p_messages_route_fini(struct lp2p_messages *state)
{
    for (size_t i = 0; state->routes != NULL && i < state->routes->len; i++) {
        clear(state, &state->routes->items[i]);
    }
}
