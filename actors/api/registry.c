/* SPDX-License-Identifier: MIT
 * Registering protocols: the public calls, and the list behind them. */
#include "actors/api/node.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROTOCOL_MAGIC LP2P_MAGIC('P', 'R', 'T', 'C')

void lp2p_user_protocols_init(struct lp2p_registry *registry)
{
    pthread_mutex_init(&registry->lock, NULL);
    lp2p_cond_init(&registry->changed);
    lp2p_list_init(&registry->active);
    lp2p_list_init(&registry->leaving);
    registry->len = 0;
}

static void destroy(struct lp2p_protocol *protocol)
{
    free((char *)(uintptr_t)protocol->arg.handler.name);
    free((char *)(uintptr_t)protocol->arg.handler.stream_protocol);
    protocol->magic = 0;
    free(protocol);
}

/* With the lock held: one reference less. */
static void unref_locked(struct lp2p_protocol *protocol)
{
    LP2P_CHECK_MAGIC(protocol, PROTOCOL_MAGIC);
    if (--protocol->refs == 0) {
        destroy(protocol);
    }
}

void lp2p_protocol_unref(struct lp2p_registry *registry, struct lp2p_protocol *protocol)
{
    pthread_mutex_lock(&registry->lock);
    unref_locked(protocol);
    pthread_mutex_unlock(&registry->lock);
}

void lp2p_protocol_set_state(struct lp2p_registry *registry, struct lp2p_protocol *protocol,
                             enum lp2p_protocol_state state, enum lp2p_err err)
{
    pthread_mutex_lock(&registry->lock);
    bool goes = protocol->state == LP2P_PROTOCOL_LEAVING || protocol->state == LP2P_PROTOCOL_ENDED;
    if (!goes || state == LP2P_PROTOCOL_ENDED) {
        protocol->state = state;
        protocol->start_err = err;
    }
    pthread_cond_broadcast(&registry->changed);
    pthread_mutex_unlock(&registry->lock);
}

bool lp2p_protocol_claim(struct lp2p_protocol *protocol)
{
    bool wanted = protocol->state == LP2P_PROTOCOL_STARTING || protocol->state == LP2P_PROTOCOL_RUNNING;
    protocol->spawning = protocol->spawning || (wanted && protocol->ref.slot == 0);
    return wanted && protocol->ref.slot == 0;
}

static void drop_all(struct lp2p_list *list)
{
    struct lp2p_list *first;
    while ((first = lp2p_list_pop_front(list)) != NULL) {
        unref_locked(LP2P_LIST_ENTRY(first, struct lp2p_protocol, link));
    }
}

void lp2p_user_protocols_fini(struct lp2p_registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    drop_all(&registry->active);
    drop_all(&registry->leaving);
    pthread_mutex_unlock(&registry->lock);
    pthread_mutex_destroy(&registry->lock);
    pthread_cond_destroy(&registry->changed);
}

/* ---- with the node's life */

/* With the lock held: waits until the registrar and the first on_start have decided. */
static void wait_started(struct lp2p_registry *registry, const struct lp2p_protocol *protocol,
                         uint64_t deadline)
{
    enum lp2p_err err = LP2P_OK;
    while (protocol->state == LP2P_PROTOCOL_STARTING && err == LP2P_OK) {
        err = lp2p_cond_wait_until(&registry->changed, &registry->lock, deadline);
    }
}

void lp2p_user_protocols_start(struct lp2p_node *node)
{
    struct lp2p_registry *registry = &node->registry;
    uint64_t deadline =
        lp2p_deadline_after_ms(LP2P_SYNC_WAIT_MS); /* an on_start that blocks stalls only its own protocol */
    for (;;) {
        struct lp2p_protocol *next = NULL;
        pthread_mutex_lock(&registry->lock);
        LP2P_LIST_FOREACH(it, &registry->active)
        {
            struct lp2p_protocol *protocol = LP2P_LIST_ENTRY(it, struct lp2p_protocol, link);
            next = next == NULL && protocol->state == LP2P_PROTOCOL_IDLE ? protocol : next;
        }
        if (next != NULL) {
            next->state = LP2P_PROTOCOL_STARTING;
            next->refs++;
        }
        pthread_mutex_unlock(&registry->lock);
        if (next == NULL) {
            return;
        }
        enum lp2p_err err = lp2p_registrar_spawn(node, next);
        if (err == LP2P_ESTATE) {
            lp2p_protocol_set_state(registry, next, LP2P_PROTOCOL_IDLE, LP2P_OK);
            lp2p_protocol_unref(registry, next);
            return;
        }
        if (err != LP2P_OK) {
            lp2p_protocol_set_state(registry, next, LP2P_PROTOCOL_REJECTED, err);
        }
        pthread_mutex_lock(&registry->lock);
        wait_started(registry, next, deadline);
        if (next->state == LP2P_PROTOCOL_REJECTED) {
            lp2p_log(&node->ctx, LP2P_LOG_ERROR, "protocols", "%s did not start: %s", next->arg.handler.name,
                     lp2p_strerror(next->start_err));
        }
        unref_locked(next);
        pthread_mutex_unlock(&registry->lock);
    }
}

void lp2p_user_protocols_stopped(struct lp2p_registry *registry, bool abandoned)
{
    pthread_mutex_lock(&registry->lock);
    LP2P_LIST_FOREACH(it, &registry->active)
    {
        struct lp2p_protocol *protocol = LP2P_LIST_ENTRY(it, struct lp2p_protocol, link);
        protocol->start_err = protocol->state == LP2P_PROTOCOL_STARTING ? LP2P_ECLOSED : protocol->start_err;
        protocol->state = LP2P_PROTOCOL_IDLE;
        protocol->ref = LP2P_REF_NONE;
        protocol->arg.starts = 0;
    }
    LP2P_LIST_FOREACH_SAFE(it, &registry->leaving)
    {
        struct lp2p_protocol *protocol = LP2P_LIST_ENTRY(it, struct lp2p_protocol, link);
        protocol->state = LP2P_PROTOCOL_ENDED;
        if (!abandoned) { /* otherwise its thread may still be in a callback, and use it */
            lp2p_list_remove(&protocol->link);
            unref_locked(protocol);
        }
    }
    pthread_cond_broadcast(&registry->changed);
    pthread_mutex_unlock(&registry->lock);
}

void lp2p_user_protocols_ended(struct lp2p_registry *registry, struct lp2p_protocol *protocol)
{
    protocol->state = LP2P_PROTOCOL_ENDED;
    pthread_cond_broadcast(&registry->changed);
    if (protocol->refs == 1 && !protocol->may_linger && !protocol->in_callback) {
        lp2p_list_remove(&protocol->link);
        unref_locked(protocol);
    }
}

/* ---- the public calls */

static bool known_to_node(const struct lp2p_config *config, const char *id)
{
    return strcmp(id, "/ipfs/ping/1.0.0") == 0 || strcmp(id, "/ipfs/id/1.0.0") == 0 ||
           strcmp(id, "/ipfs/id/push/1.0.0") == 0 || strcmp(id, "/lotus/message/1.0.0") == 0 ||
           (config->dht_mode == LP2P_DHT_SERVER && strcmp(id, config->dht_protocol) == 0) ||
           (config->serve_echo && strcmp(id, "/echo/1.0.0") == 0) ||
           (config->serve_perf && strcmp(id, "/perf/1.0.0") == 0);
}

static enum lp2p_err check(const struct lp2p_node *node, const struct lp2p_handler *handler)
{
    /* A caller with an older header has a smaller struct; the members up to on_start have always been there.
     */
    if (node == NULL || handler == NULL || handler->size < sizeof(struct lp2p_handler) ||
        handler->name == NULL || handler->name[0] == '\0' || strlen(handler->name) >= 128) {
        return LP2P_EINVAL;
    }
    if ((handler->handle_stream == NULL) != (handler->stream_protocol == NULL)) {
        return LP2P_EINVAL;
    }
    if (handler->stream_protocol != NULL) {
        if (handler->stream_protocol[0] != '/' || strlen(handler->stream_protocol) >= LP2P_PROTOCOL_ID_MAX) {
            return LP2P_EINVAL;
        }
        if (known_to_node(&node->ctx.config, handler->stream_protocol)) {
            return LP2P_EEXIST;
        }
    }
    return LP2P_OK;
}

static struct lp2p_protocol *protocol_new(struct lp2p_node *node, const struct lp2p_handler *handler)
{
    struct lp2p_protocol *protocol = calloc(1, sizeof(*protocol));
    if (protocol == NULL) {
        return NULL;
    }
    protocol->magic = PROTOCOL_MAGIC;
    protocol->refs = 2; /* the list's and the caller's */
    protocol->arg.ctx = &node->ctx;
    protocol->arg.handler = *handler;
    protocol->arg.handler.name = strdup(handler->name);
    protocol->arg.handler.stream_protocol =
        handler->stream_protocol == NULL ? NULL : strdup(handler->stream_protocol);
    if (protocol->arg.handler.name == NULL ||
        (handler->stream_protocol != NULL && protocol->arg.handler.stream_protocol == NULL)) {
        destroy(protocol);
        return NULL;
    }
    return protocol;
}

/* With the lock held. */
static struct lp2p_protocol *find(struct lp2p_registry *registry, const char *name,
                                  const char *stream_protocol)
{
    LP2P_LIST_FOREACH(it, &registry->active)
    {
        struct lp2p_protocol *protocol = LP2P_LIST_ENTRY(it, struct lp2p_protocol, link);
        const struct lp2p_handler *handler = &protocol->arg.handler;
        if (strcmp(handler->name, name) == 0 ||
            (stream_protocol != NULL && handler->stream_protocol != NULL &&
             strcmp(handler->stream_protocol, stream_protocol) == 0)) {
            return protocol;
        }
    }
    return NULL;
}

/* Takes it off the active list, has its actor stopped if there is one, and waits for it if that is wanted.
 * With the caller's reference, which is given up. */
static void retire(struct lp2p_node *node, struct lp2p_protocol *protocol, bool wait)
{
    struct lp2p_registry *registry = &node->registry;
    enum lp2p_err err;
    while ((err = lp2p_registrar_stop(node, protocol)) != LP2P_OK && err != LP2P_ESTATE) {
        /* Its mailbox is full, or it is being restarted. */
        (void)nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    if (err != LP2P_OK) {
        /* The node does not run (or is being stopped, which ends the actor too and then clears the list of
         * the leaving). */
        pthread_mutex_lock(&registry->lock);
        if (protocol->ref.slot == 0 && !protocol->spawning) {
            protocol->state = LP2P_PROTOCOL_ENDED;
        }
        pthread_mutex_unlock(&registry->lock);
    }
    pthread_mutex_lock(&registry->lock);
    while (wait && (protocol->state != LP2P_PROTOCOL_ENDED || protocol->in_callback)) {
        pthread_cond_wait(&registry->changed, &registry->lock);
    }
    if (protocol->state == LP2P_PROTOCOL_ENDED && !protocol->may_linger &&
        lp2p_list_linked(&protocol->link)) {
        lp2p_list_remove(&protocol->link);
        unref_locked(protocol);
    }
    unref_locked(protocol);
    pthread_mutex_unlock(&registry->lock);
}

enum lp2p_err lp2p_node_register(struct lp2p_node *node, const struct lp2p_handler *handler)
{
    enum lp2p_err err = check(node, handler);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_protocol *protocol = protocol_new(node, handler);
    if (protocol == NULL) {
        return LP2P_ENOMEM;
    }
    struct lp2p_registry *registry = &node->registry;
    pthread_mutex_lock(&registry->lock);
    err = find(registry, handler->name, handler->stream_protocol) != NULL ? LP2P_EEXIST
          : registry->len >= LP2P_USER_PROTOCOLS_MAX                      ? LP2P_ELIMIT
                                                                          : LP2P_OK;
    if (err == LP2P_OK) {
        registry->len++;
        protocol->state = LP2P_PROTOCOL_STARTING;
        lp2p_list_push_back(&registry->active, &protocol->link);
    }
    pthread_mutex_unlock(&registry->lock);
    if (err != LP2P_OK) {
        destroy(protocol);
        return err;
    }
    err = lp2p_registrar_spawn(node, protocol);
    if (err == LP2P_ESTATE) { /* not running: lp2p_node_start will see to it */
        lp2p_protocol_set_state(registry, protocol, LP2P_PROTOCOL_IDLE, LP2P_OK);
        lp2p_user_protocols_start(node); /* in case it has just been through there */
    } else if (err != LP2P_OK) {
        lp2p_protocol_set_state(registry, protocol, LP2P_PROTOCOL_REJECTED, err);
    }
    pthread_mutex_lock(&registry->lock);
    wait_started(registry, protocol, LP2P_NEVER);
    bool rejected = protocol->state == LP2P_PROTOCOL_REJECTED;
    err = rejected ? protocol->start_err : LP2P_OK;
    if (rejected) {
        lp2p_list_remove(&protocol->link);
        lp2p_list_push_back(&registry->leaving, &protocol->link);
        protocol->state = LP2P_PROTOCOL_LEAVING;
        registry->len--;
    } else {
        unref_locked(protocol);
    }
    pthread_mutex_unlock(&registry->lock);
    if (rejected) {
        retire(node, protocol, true);
    }
    return err;
}

enum lp2p_err lp2p_node_unregister(struct lp2p_node *node, const char *name)
{
    if (node == NULL || name == NULL) {
        return LP2P_EINVAL;
    }
    struct lp2p_registry *registry = &node->registry;
    pthread_mutex_lock(&registry->lock);
    struct lp2p_protocol *protocol = find(registry, name, NULL);
    if (protocol != NULL) {
        protocol->refs++;
        protocol->state = LP2P_PROTOCOL_LEAVING;
        lp2p_list_remove(&protocol->link);
        lp2p_list_push_back(&registry->leaving, &protocol->link);
        registry->len--;
    }
    pthread_mutex_unlock(&registry->lock);
    if (protocol == NULL) {
        return LP2P_ENOTFOUND;
    }
    retire(node, protocol, lp2p_callback_current().protocol != protocol);
    return LP2P_OK;
}
