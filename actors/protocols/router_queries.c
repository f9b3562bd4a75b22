/* SPDX-License-Identifier: MIT
 * DHT_REQUEST: each becomes one query of the machine, waits for a place if there are too many, and ends in
 * its operation and, when an actor asked, in a DHT_DONE. */
#include "actors/protocols/router_private.h"

#include "wire/cid.h"
#include "wire/multihash.h"

#include <stdlib.h>

struct job {
    struct lp2p_list entry;
    uint64_t query;
    lp2p_time deadline;   /* 0: the machine's own */
    bool late;            /* canceled by its deadline */
    struct lp2p_msg *msg; /* the DHT_REQUEST; owned */
};

static struct lp2p_m_dht_request *request_of(struct lp2p_msg *msg)
{
    return LP2P_AS(msg, DHT_REQUEST, dht_request);
}

void lp2p_router_queries_init(struct lp2p_router *router)
{
    lp2p_list_init(&router->jobs);
    router->waiting_last = &router->waiting;
}

/* ---- results */

static struct lp2p_peer_info *to_info(const struct lp2p_router *router, const struct lp2p_kad_peer *peer)
{
    struct lp2p_peer_info *info = lp2p_peer_info_new();
    if (info != NULL) {
        info->id = peer->id;
        info->muxer = "";
        info->connected = lp2p_router_known(router, &peer->id) != NULL;
        info->addrs = peer->addrs_len == 0 ? NULL : lp2p_addrs_new(peer->addrs, peer->addrs_len);
    }
    return info;
}

#define RESULT_PEERS_MAX 256

static void set_peers(const struct lp2p_router *router, struct lp2p_op *op, const struct lp2p_kad_peer *peers,
                      size_t peers_len)
{
    struct lp2p_peer_info *infos[RESULT_PEERS_MAX] = {NULL};
    size_t len = 0;
    for (size_t i = 0; op != NULL && i < peers_len && len < RESULT_PEERS_MAX; i++) {
        struct lp2p_peer_info *info = to_info(router, &peers[i]);
        if (info != NULL) {
            infos[len++] = info;
        }
    }
    if (op != NULL) {
        lp2p_op_set_peers(op, infos, len);
    }
    for (size_t i = 0; i < len; i++) {
        lp2p_peer_info_drop(&infos[i]);
    }
}

static const char *explain(const struct lp2p_router *router, enum lp2p_err result)
{
    if (result == LP2P_OK) {
        return "";
    }
    if (lp2p_kad_table_size(router->kad) == 0) {
        return "no DHT server is known: the routing table is empty";
    }
    switch (result) {
    case LP2P_EQUORUM:
        return "no peer took it";
    case LP2P_ENOTFOUND:
        return "no peer that was asked has it";
    case LP2P_ENOADDR:
        return "this node has no address to publish";
    case LP2P_EEXIST:
        return "a better value is known for this key";
    case LP2P_EBADRECORD:
        return "the value is not valid for its key's namespace";
    default:
        return "";
    }
}

static void send_done(struct lp2p_router *router, const struct lp2p_msg *msg, enum lp2p_err result,
                      struct lp2p_span value, size_t peers_len)
{
    if (lp2p_ref_eq(msg->from, LP2P_REF_NONE)) {
        return;
    }
    struct lp2p_m_dht_done *done = LP2P_NEW(DHT_DONE, dht_done);
    if (done == NULL) {
        return;
    }
    done->msg.tag = msg->tag;
    done->result = result;
    done->peers_len = peers_len;
    if (value.len > 0) {
        done->value = lp2p_slice_copy(value.ptr, value.len);
        done->msg.bytes = done->value.len;
    }
    struct lp2p_msg *out = &done->msg;
    (void)lp2p_outbox_pass(router->self, &router->outbox, msg->from, &out);
}

/* Ends a request; *msg is dropped. `detail` "" lets the result speak. */
static void finish(struct lp2p_router *router, struct lp2p_msg **msg, enum lp2p_err result,
                   const char *detail, struct lp2p_span value, const struct lp2p_kad_peer *peers,
                   size_t peers_len)
{
    struct lp2p_m_dht_request *m = request_of(*msg);
    switch (m->verb) {
    case LP2P_DHT_PUT:
    case LP2P_DHT_PROVIDE:
        lp2p_op_set_number(m->op, peers_len);
        break;
    case LP2P_DHT_GET:
        if (result == LP2P_OK) {
            lp2p_op_set_bytes(m->op, value);
        }
        break;
    case LP2P_DHT_FIND_PROVIDERS:
    case LP2P_DHT_FIND_PEER:
    case LP2P_DHT_CLOSEST:
        set_peers(router, m->op, peers, peers_len);
        break;
    }
    send_done(router, *msg, result, value, peers_len);
    lp2p_op_finish(m->op, result, "%s", detail);
    lp2p_op_drop(&m->op);
    lp2p_msg_drop(msg);
}

static void fail(struct lp2p_router *router, struct lp2p_msg **msg, enum lp2p_err result, const char *detail)
{
    finish(router, msg, result, detail, (struct lp2p_span){0}, NULL, 0);
}

/* ---- starting */

/* A provider key is a multihash; the text or the bytes of a CID are read too. */
static bool multihash_of(struct lp2p_span key, struct lp2p_cid *cid, struct lp2p_span *out)
{
    struct lp2p_multihash hash;
    *out = key;
    if (lp2p_multihash_parse(key, &hash) == LP2P_OK) {
        return true;
    }
    if (lp2p_cid_from_text(key, cid) != LP2P_OK && lp2p_cid_parse(key, cid) != LP2P_OK) {
        return false;
    }
    *out = lp2p_span(cid->multihash, cid->multihash_len);
    return true;
}

/* Finds a peer that we are connected to without asking anybody. */
static bool find_connected(struct lp2p_router *router, struct lp2p_msg **msg)
{
    struct lp2p_peer_id id;
    struct lp2p_kad_peer peer;
    if (request_of(*msg)->verb != LP2P_DHT_FIND_PEER ||
        lp2p_peer_id_parse(lp2p_slice_span(&request_of(*msg)->key), &id) != LP2P_OK ||
        lp2p_router_known(router, &id) == NULL || !lp2p_router_peer_addrs(router, &id, &peer)) {
        return false;
    }
    finish(router, msg, LP2P_OK, "", (struct lp2p_span){0}, &peer, 1);
    return true;
}

/* The machine's number, or 0 with the reason. */
static uint64_t start_query(struct lp2p_router *router, const struct lp2p_m_dht_request *m,
                            enum lp2p_err *err, const char **why)
{
    struct lp2p_kad *kad = router->kad;
    struct lp2p_span key = lp2p_slice_span(&m->key), hash;
    lp2p_time now = lp2p_now(router->self);
    uint64_t wall_ms = lp2p_wall_ms(router->self);
    struct lp2p_peer_id peer;
    struct lp2p_kad_peer self_peer;
    struct lp2p_cid cid;
    *err = LP2P_ELIMIT;
    *why = "the key or the value is too long, or too many queries are under way";
    switch (m->verb) {
    case LP2P_DHT_PUT:
        return lp2p_kad_put(kad, key, lp2p_slice_span(&m->value), now, wall_ms);
    case LP2P_DHT_GET:
        return lp2p_kad_get(kad, key, m->max, now, wall_ms);
    case LP2P_DHT_CLOSEST:
        return lp2p_kad_closest(kad, key, now);
    case LP2P_DHT_FIND_PEER:
        if (lp2p_peer_id_parse(key, &peer) == LP2P_OK) {
            return lp2p_kad_find_peer(kad, &peer, now);
        }
        *err = LP2P_EINVAL;
        *why = "the key is no peer id";
        return 0;
    case LP2P_DHT_PROVIDE:
    case LP2P_DHT_FIND_PROVIDERS:
        if (!multihash_of(key, &cid, &hash)) {
            *err = LP2P_EINVAL;
            *why = "the key is neither a multihash nor a CID";
            return 0;
        }
        if (m->verb == LP2P_DHT_FIND_PROVIDERS) {
            return lp2p_kad_find_providers(kad, hash, m->max, now);
        }
        lp2p_router_self_peer(router, &self_peer);
        return lp2p_kad_provide(kad, hash, &self_peer, now);
    }
    return 0;
}

static void start(struct lp2p_router *router, struct lp2p_msg **msg)
{
    struct lp2p_m_dht_request *m = request_of(*msg);
    if (lp2p_op_done(m->op)) {
        fail(router, msg, LP2P_ECANCELED, "");
        return;
    }
    if (m->deadline != 0 && m->deadline <= lp2p_now(router->self)) {
        fail(router, msg, LP2P_ETIMEDOUT, "");
        return;
    }
    if (find_connected(router, msg)) {
        return;
    }
    struct job *job = calloc(1, sizeof(*job));
    enum lp2p_err err = LP2P_ENOMEM;
    const char *why = "";
    uint64_t query = job == NULL ? 0 : start_query(router, m, &err, &why);
    if (query == 0) {
        free(job);
        fail(router, msg, err, why);
        return;
    }
    job->query = query;
    job->deadline = m->deadline;
    job->msg = *msg;
    *msg = NULL;
    lp2p_list_push_back(&router->jobs, &job->entry);
    router->jobs_len++;
}

static void arm(struct lp2p_router *router)
{
    lp2p_time when = LP2P_NEVER;
    LP2P_LIST_FOREACH(it, &router->jobs)
    {
        const struct job *job = LP2P_LIST_ENTRY(it, struct job, entry);
        if (job->deadline != 0 && !job->late) {
            when = lp2p_time_min(when, job->deadline);
        }
    }
    lp2p_timer_set(router->self, LP2P_ROUTER_TIMER_JOBS, when);
}

static void start_waiting(struct lp2p_router *router)
{
    while (router->waiting != NULL && router->jobs_len < LP2P_ROUTER_JOBS_MAX) {
        struct lp2p_msg *msg = router->waiting;
        router->waiting = (struct lp2p_msg *)(void *)msg->link.next;
        router->waiting_len--;
        if (router->waiting == NULL) {
            router->waiting_last = &router->waiting;
        }
        start(router, &msg);
    }
    arm(router);
}

void lp2p_router_ask(struct lp2p_router *router, struct lp2p_msg **msg)
{
    if (router->waiting_len == LP2P_ROUTER_WAITING_MAX) {
        fail(router, msg, LP2P_ELIMIT, "too many DHT queries are waiting");
        return;
    }
    (*msg)->link.next = NULL;
    *router->waiting_last = *msg;
    router->waiting_last = (struct lp2p_msg **)(void *)&(*msg)->link.next;
    router->waiting_len++;
    *msg = NULL;
    start_waiting(router);
}

/* ---- ending */

static struct job *find_job(struct lp2p_router *router, uint64_t query)
{
    LP2P_LIST_FOREACH(it, &router->jobs)
    {
        struct job *job = LP2P_LIST_ENTRY(it, struct job, entry);
        if (job->query == query) {
            return job;
        }
    }
    return NULL;
}

void lp2p_router_query_done(struct lp2p_router *router, const struct lp2p_kad_event *event)
{
    struct job *job = find_job(router, event->query);
    if (job == NULL) {
        return;
    }
    enum lp2p_err result = job->late && event->reason == LP2P_ECANCELED ? LP2P_ETIMEDOUT : event->reason;
    for (size_t i = 0; i < event->peers_len; i++) {
        lp2p_router_found(router, &event->peers[i]);
    }
    finish(router, &job->msg, result, explain(router, result), event->value, event->peers, event->peers_len);
    lp2p_list_remove(&job->entry);
    router->jobs_len--;
    free(job);
    start_waiting(router);
}

void lp2p_router_queries_tick(struct lp2p_router *router)
{
    lp2p_time now = lp2p_now(router->self);
    LP2P_LIST_FOREACH(it, &router->jobs)
    {
        struct job *job = LP2P_LIST_ENTRY(it, struct job, entry);
        if (job->deadline != 0 && !job->late && job->deadline <= now) {
            job->late = true;
            lp2p_kad_cancel(router->kad, job->query); /* QUERY_DONE follows */
        }
    }
    arm(router);
}

void lp2p_router_queries_fini(struct lp2p_router *router)
{
    struct lp2p_list *entry;
    /* All as if they had not been read: ends the operations and tells actors. */
    while ((entry = lp2p_list_pop_front(&router->jobs)) != NULL) {
        struct job *job = LP2P_LIST_ENTRY(entry, struct job, entry);
        if (job->msg != NULL) {
            lp2p_unread(router->self, &job->msg, LP2P_EGONE);
        }
        free(job);
    }
    while (router->waiting != NULL) {
        struct lp2p_msg *msg = router->waiting;
        router->waiting = (struct lp2p_msg *)(void *)msg->link.next;
        lp2p_unread(router->self, &msg, LP2P_EGONE);
    }
}
