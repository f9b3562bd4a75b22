/* SPDX-License-Identifier: MIT
 * The resources actor: announce and discover over the DHT router, with a local cache in front. What no peer
 * has stored yet is tried again when a DHT peer appears, and our own announcements are put again before the
 * network forgets them. */
#include "actors/protocols/resource.h"
#include "actors/protocols/streams.h"

#include <stdio.h>
#include <stdlib.h>

#define PUT_NS LP2P_SEC(30)      /* one put */
#define DISCOVER_DEFAULT_MS 5000 /* as discoverResource of the TypeScript side */
#define ANSWER_SLACK_NS                                                                                      \
    LP2P_SEC(10)               /* beyond a request's own deadline: then the router is taken to have failed */
#define QUEUE_NS LP2P_SEC(300) /* an announcement that found no peer is tried for that long */
#define QUEUE_MAX 1000         /* announcements that wait so */
#define BATCH 10               /* puts of our own in one tick */
#define TICK_NS LP2P_SEC(2)    /* while something waits */
#define SWEEP_NS LP2P_SEC(60)  /* otherwise, while there is anything */
#define REPUBLISH_NS LP2P_SEC(22 * 3600) /* peers keep a record for 48 hours */
#define PENDING_MAX 1024                 /* requests at the router */

enum { TIMER_OUTBOX, TIMER_TICK };
enum kind { ANNOUNCE, AGAIN, DISCOVER };

/* One request at the router. */
struct pending {
    struct lp2p_list entry;
    uint64_t tag;
    enum kind kind;
    lp2p_time until;
    struct lp2p_op *op; /* may be NULL */
    char type[LP2P_RESOURCE_TYPE_MAX], id[LP2P_RESOURCE_ID_MAX], key[LP2P_RESOURCE_KEY_MAX];
};

struct resources {
    struct lp2p_actor *self;
    struct lp2p_context *ctx;
    struct lp2p_outbox outbox;
    struct lp2p_list pending;
    size_t pending_len;
    uint64_t next_tag;
    struct lp2p_resource_cache *cache;
};

static void arm(struct resources *state)
{
    uint64_t span = state->cache->queued > 0 || state->pending_len > 0 ? TICK_NS : SWEEP_NS;
    lp2p_time when = lp2p_time_add(lp2p_now(state->self), span);
    if (state->cache->len == 0 && state->pending_len == 0) {
        when = LP2P_NEVER;
    } else {
        when = lp2p_time_min(when, lp2p_timer_get(state->self, TIMER_TICK));
    }
    lp2p_timer_set(state->self, TIMER_TICK, when);
}

static void finish(struct lp2p_op **op, enum lp2p_err result, const char *detail)
{
    lp2p_op_finish(*op, result, "%s", detail);
    lp2p_op_drop(op);
}

/* ---- requests to the router */

static struct pending *find_pending(struct resources *state, uint64_t tag)
{
    LP2P_LIST_FOREACH(it, &state->pending)
    {
        struct pending *pending = LP2P_LIST_ENTRY(it, struct pending, entry);
        if (pending->tag == tag) {
            return pending;
        }
    }
    return NULL;
}

static void forget(struct resources *state, struct pending *pending)
{
    lp2p_list_remove(&pending->entry);
    state->pending_len--;
    lp2p_op_drop(&pending->op);
    free(pending);
}

static struct pending *new_pending(struct resources *state, enum kind kind, const char *type, const char *id,
                                   const char *key, uint64_t span_ns)
{
    struct pending *pending = state->pending_len < PENDING_MAX ? calloc(1, sizeof(*pending)) : NULL;
    if (pending == NULL) {
        return NULL;
    }
    pending->tag = ++state->next_tag;
    pending->kind = kind;
    pending->until = lp2p_time_add(lp2p_now(state->self), lp2p_time_add(span_ns, ANSWER_SLACK_NS));
    (void)snprintf(pending->type, sizeof(pending->type), "%s", type);
    (void)snprintf(pending->id, sizeof(pending->id), "%s", id);
    (void)snprintf(pending->key, sizeof(pending->key), "%s", key);
    lp2p_list_push_back(&state->pending, &pending->entry);
    state->pending_len++;
    return pending;
}

static enum lp2p_err ask_router(struct resources *state, const struct pending *pending,
                                const struct lp2p_slice *value, uint64_t span_ns)
{
    struct lp2p_m_dht_request *m = LP2P_NEW(DHT_REQUEST, dht_request);
    if (m == NULL) {
        return LP2P_ENOMEM;
    }
    m->msg.tag = pending->tag;
    m->verb = value == NULL ? LP2P_DHT_GET : LP2P_DHT_PUT;
    m->max = value == NULL; /* a get is content with the first value, as the TypeScript side is */
    m->deadline = lp2p_time_add(lp2p_now(state->self), span_ns);
    m->key = lp2p_slice_copy(pending->key, strlen(pending->key));
    if (value != NULL) {
        m->value = lp2p_slice_of(value->buf, value->ptr, value->len);
    }
    struct lp2p_msg *msg = &m->msg;
    if (m->key.buf == NULL) {
        lp2p_msg_drop(&msg);
        return LP2P_ENOMEM;
    }
    return lp2p_outbox_send(state->self, &state->outbox, lp2p_names(state->ctx)->router, &msg);
}

/* ---- announcing */

/* Puts an entry of the cache into the DHT; op may be NULL and is taken on success. */
static enum lp2p_err put(struct resources *state, struct lp2p_resource *entry, enum kind kind,
                         struct lp2p_op **op)
{
    struct pending *pending = new_pending(state, kind, entry->type, entry->id, entry->key, PUT_NS);
    if (pending == NULL) {
        return LP2P_ELIMIT;
    }
    enum lp2p_err err = ask_router(state, pending, &entry->json, PUT_NS);
    if (err != LP2P_OK) {
        forget(state, pending);
        return err;
    }
    if (op != NULL) {
        pending->op = *op;
        *op = NULL;
    }
    entry->publish = LP2P_NEVER;
    return LP2P_OK;
}

/* Checks the request and puts it into the cache; NULL: the operation has ended. */
static struct lp2p_resource *admit(struct resources *state, struct lp2p_m_announce *m)
{
    char key[LP2P_RESOURCE_KEY_MAX];
    const char *why = "";
    uint64_t now_ms = lp2p_wall_ms(state->self), expires_ms = 0;
    struct lp2p_slice json = {0};
    struct lp2p_resource *entry = NULL;
    enum lp2p_err err = lp2p_resource_key(m->type, m->id, key, &why);
    if (err == LP2P_OK) {
        err = lp2p_resource_build(m->type, m->id, state->ctx->self_text, lp2p_slice_span(&m->json), now_ms,
                                  m->ttl_ms, &json, &why);
    }
    if (err == LP2P_OK) {
        err = lp2p_resource_check(lp2p_slice_span(&json), m->type, m->id, &expires_ms, &why);
    }
    if (err == LP2P_OK) {
        struct lp2p_resource *old = lp2p_resource_cache_get(state->cache, key, 0);
        if (old != NULL) {
            lp2p_resource_cache_queue(state->cache, old, 0);
        }
        err = lp2p_resource_cache_put(state->cache, m->type, m->id, &json, expires_ms, true, now_ms, &entry);
        why = err == LP2P_ELIMIT ? "too many resources are announced" : why;
    }
    lp2p_slice_drop(&json);
    if (err != LP2P_OK) {
        finish(&m->op, err, why);
        return NULL;
    }
    return entry;
}

static void on_announce(struct resources *state, struct lp2p_m_announce *m)
{
    struct lp2p_resource *entry = admit(state, m);
    if (entry == NULL) {
        return;
    }
    if (state->ctx->config.dht_mode == LP2P_DHT_OFF) {
        finish(&m->op, LP2P_ESTATE, "the DHT is off: the announcement is in the local cache only");
        return;
    }
    enum lp2p_err err = put(state, entry, ANNOUNCE, &m->op);
    if (err != LP2P_OK) {
        entry->publish = lp2p_time_add(lp2p_now(state->self), TICK_NS);
        finish(&m->op, err == LP2P_EGONE ? LP2P_EFAILED : err,
               "the DHT router cannot take it now; it is tried again");
    }
}

/* No peer has stored it: keep trying for a while. Returns what is said to the user. */
static const char *queue(struct resources *state, struct lp2p_resource *entry)
{
    if (entry->queued_until == 0) {
        if (state->cache->queued >= QUEUE_MAX) {
            return "no DHT peer stored it; it is in the local cache only (too many others wait)";
        }
        lp2p_resource_cache_queue(state->cache, entry, lp2p_time_add(lp2p_now(state->self), QUEUE_NS));
    }
    return "no DHT peer stored it; it is queued and put when one appears within 5 minutes";
}

static void put_done(struct resources *state, struct pending *pending, const struct lp2p_m_dht_done *m)
{
    struct lp2p_resource *entry =
        lp2p_resource_cache_get(state->cache, pending->key, lp2p_wall_ms(state->self));
    bool stored = m->result == LP2P_OK && m->peers_len > 0;
    const char *detail = "";
    enum lp2p_err result = m->result == LP2P_OK && !stored ? LP2P_EQUORUM : m->result;
    if (entry != NULL && entry->own) {
        entry->publish = lp2p_time_add(lp2p_now(state->self), REPUBLISH_NS);
        if (stored) {
            lp2p_resource_cache_queue(state->cache, entry, 0);
        } else if (pending->kind == ANNOUNCE && (result == LP2P_EQUORUM || result == LP2P_ETIMEDOUT)) {
            detail = queue(state, entry);
        } else if (result == LP2P_EFAILED) {
            /* The router ended; the next one knows nothing of it. */
            entry->publish = lp2p_time_add(lp2p_now(state->self), ANSWER_SLACK_NS);
        }
    }
    lp2p_op_set_number(pending->op, m->peers_len);
    finish(&pending->op, result, detail);
}

/* ---- discovering */

static void on_discover(struct resources *state, struct lp2p_m_discover *m)
{
    char key[LP2P_RESOURCE_KEY_MAX];
    const char *why = "";
    enum lp2p_err err = lp2p_resource_key(m->type, m->id, key, &why);
    if (err != LP2P_OK) {
        finish(&m->op, err, why);
        return;
    }
    const struct lp2p_resource *entry = lp2p_resource_cache_get(state->cache, key, lp2p_wall_ms(state->self));
    if (entry != NULL) {
        lp2p_op_set_bytes(m->op, lp2p_slice_span(&entry->json));
        finish(&m->op, LP2P_OK, "");
        return;
    }
    if (m->local_only) {
        finish(&m->op, LP2P_ENOTFOUND, "not in the local cache");
        return;
    }
    if (state->ctx->config.dht_mode == LP2P_DHT_OFF) {
        finish(&m->op, LP2P_ESTATE, "the DHT is off");
        return;
    }
    uint64_t timeout_ms =
        LP2P_MIN(m->timeout_ms == 0 ? DISCOVER_DEFAULT_MS : m->timeout_ms, (uint64_t)3600 * 1000);
    struct pending *pending = new_pending(state, DISCOVER, m->type, m->id, key, LP2P_MS(timeout_ms));
    err = pending == NULL ? LP2P_ELIMIT : ask_router(state, pending, NULL, LP2P_MS(timeout_ms));
    if (err != LP2P_OK) {
        if (pending != NULL) {
            forget(state, pending);
        }
        finish(&m->op, err == LP2P_EGONE ? LP2P_EFAILED : err, "the DHT router cannot take the request now");
        return;
    }
    pending->op = m->op;
    m->op = NULL;
}

static void get_done(struct resources *state, struct pending *pending, struct lp2p_m_dht_done *m)
{
    uint64_t now_ms = lp2p_wall_ms(state->self), expires_ms = 0;
    const char *why = "";
    if (m->result == LP2P_EFAILED) {
        finish(&pending->op, m->result, "the DHT router failed meanwhile");
        return;
    }
    if (m->result != LP2P_OK) {
        bool alone = LP2P_READ(state->ctx, dht_peers) == 0;
        finish(&pending->op, m->result, alone ? "no DHT peer is connected" : "no DHT peer has it");
        return;
    }
    if (lp2p_resource_check(lp2p_slice_span(&m->value), pending->type, pending->id, &expires_ms, &why) !=
        LP2P_OK) {
        char detail[160];
        (void)snprintf(detail, sizeof(detail), "the value in the DHT is no valid announcement: %s", why);
        finish(&pending->op, LP2P_ENOTFOUND, detail);
        return;
    }
    if (expires_ms != 0 && expires_ms < now_ms) {
        finish(&pending->op, LP2P_ENOTFOUND, "the announcement in the DHT has expired");
        return;
    }
    lp2p_op_set_bytes(pending->op, lp2p_slice_span(&m->value));
    finish(&pending->op, LP2P_OK, "");
    const struct lp2p_resource *known = lp2p_resource_cache_get(state->cache, pending->key, now_ms);
    if (known == NULL || !known->own) {
        /* Without a place in the cache the next discovery asks the DHT again. */
        (void)!lp2p_resource_cache_put(state->cache, pending->type, pending->id, &m->value, expires_ms, false,
                                       now_ms, NULL);
    }
}

static void on_done(struct resources *state, struct lp2p_m_dht_done *m)
{
    struct pending *pending = find_pending(state, m->msg.tag);
    if (pending == NULL) {
        return;
    }
    if (pending->kind == DISCOVER) {
        get_done(state, pending, m);
    } else {
        put_done(state, pending, m);
    }
    forget(state, pending);
}

/* ---- time */

static void give_up_lost(struct resources *state)
{
    LP2P_LIST_FOREACH_SAFE(it, &state->pending)
    {
        struct pending *pending = LP2P_LIST_ENTRY(it, struct pending, entry);
        if (pending->until <= lp2p_now(state->self)) {
            struct lp2p_resource *entry = lp2p_resource_cache_get(state->cache, pending->key, 0);
            if (pending->kind != DISCOVER && entry != NULL) {
                entry->publish = lp2p_now(state->self);
            }
            finish(&pending->op, LP2P_EFAILED, "the DHT router failed meanwhile");
            forget(state, pending);
        }
    }
}

/* Puts again what is due: what waits for a first peer, as soon as there is one, and the rest once in a long
 * while. */
static void publish_due(struct resources *state)
{
    lp2p_time now = lp2p_now(state->self);
    bool peers = LP2P_READ(state->ctx, dht_peers) > 0;
    unsigned batch = 0;
    LP2P_LIST_FOREACH(it, &state->cache->age)
    {
        struct lp2p_resource *entry = LP2P_LIST_ENTRY(it, struct lp2p_resource, age);
        if (entry->queued_until != 0 && entry->queued_until <= now) {
            lp2p_resource_cache_queue(state->cache, entry, 0);
        }
        bool under_way = entry->publish == LP2P_NEVER;
        bool due = entry->queued_until != 0 ? peers : entry->publish <= now;
        if (entry->own && !under_way && due && batch < BATCH) {
            batch++;
            if (put(state, entry, AGAIN, NULL) != LP2P_OK) {
                return;
            }
        }
    }
}

static void on_tick(struct resources *state)
{
    give_up_lost(state);
    (void)lp2p_resource_cache_expire(state->cache, lp2p_wall_ms(state->self));
    if (state->ctx->config.dht_mode != LP2P_DHT_OFF) {
        publish_due(state);
    }
}

/* ---- the actor */

static enum lp2p_verdict on_msg(struct lp2p_actor *self, void *opaque, struct lp2p_msg **msg)
{
    struct resources *state = opaque;
    if (LP2P_IS(*msg, ANNOUNCE)) {
        on_announce(state, LP2P_AS(*msg, ANNOUNCE, announce));
    } else if (LP2P_IS(*msg, DISCOVER)) {
        on_discover(state, LP2P_AS(*msg, DISCOVER, discover));
    } else if (LP2P_IS(*msg, DHT_DONE)) {
        on_done(state, LP2P_AS(*msg, DHT_DONE, dht_done));
    }
    arm(state);
    lp2p_account_bytes(self, state->cache->bytes);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict on_timer(struct lp2p_actor *self, void *opaque, unsigned timer)
{
    struct resources *state = opaque;
    if (timer == TIMER_OUTBOX) {
        lp2p_outbox_retry(self, &state->outbox);
    } else {
        on_tick(state);
        arm(state);
    }
    return LP2P_CONTINUE;
}

/* The cache of before a restart, or a new one. What was on its way to the router then is due again. */
static bool inherit(struct resources *state)
{
    if (state->ctx->resource_cache == NULL) {
        state->ctx->resource_cache = malloc(sizeof(*state->cache));
        if (state->ctx->resource_cache == NULL) {
            return false;
        }
        lp2p_resource_cache_init(state->ctx->resource_cache);
    }
    state->cache = state->ctx->resource_cache;
    LP2P_LIST_FOREACH(it, &state->cache->age)
    {
        struct lp2p_resource *entry = LP2P_LIST_ENTRY(it, struct lp2p_resource, age);
        if (entry->own && entry->publish == LP2P_NEVER) {
            entry->publish = lp2p_now(state->self);
        }
    }
    return true;
}

static enum lp2p_err init(struct lp2p_actor *self, void *opaque, const void *arg)
{
    struct resources *state = opaque;
    state->self = self;
    state->ctx = (struct lp2p_context *)(uintptr_t)arg;
    if (!inherit(state)) {
        return LP2P_ENOMEM;
    }
    lp2p_list_init(&state->pending);
    lp2p_outbox_init(&state->outbox, TIMER_OUTBOX, LP2P_PROTOCOL_OUTBOX_MAX);
    arm(state);
    return LP2P_OK;
}

static void fini(struct lp2p_actor *self, void *opaque, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    struct resources *state = opaque;
    LP2P_LIST_FOREACH_SAFE(it, &state->pending)
    {
        struct pending *pending = LP2P_LIST_ENTRY(it, struct pending, entry);
        finish(&pending->op, LP2P_ECLOSED, "the node is stopping");
        forget(state, pending);
    }
    lp2p_outbox_fini(&state->outbox);
}

const struct lp2p_actor_ops lp2p_resources_ops = {
    .name = "resources",
    .state_size = sizeof(struct resources),
    .init = init,
    .on_msg = on_msg,
    .on_timer = on_timer,
    .fini = fini,
};
