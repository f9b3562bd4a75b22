/* SPDX-License-Identifier: MIT
 * The identify resident: one on each I/O thread, for the links of that thread. It asks each new link who the
 * peer is, answers the same question from what the swarm last said of us, takes pushes, and pushes when that
 * changes. */
#include "actors/protocols/identify.h"
#include "actors/protocols/streams.h"

#include "base/list.h"
#include "runtime/pool.h"

#include <stdio.h>
#include <stdlib.h>

#define ASK_NS LP2P_SEC(5)     /* a whole exchange, from the request to open the stream */
#define CLOSE_NS LP2P_SEC(10)  /* for the peer's end after our answer */
#define SETTLE_NS LP2P_MS(300) /* changes of ourselves within that time are one push */
#define PUSHES_MAX 32          /* inbound and outbound pushes at one time on this thread, each */
#define PUSH_BURST 10          /* pushes that one link may send at once, and then one in PUSH_REFILL_NS */
#define PUSH_REFILL_NS LP2P_SEC(5)
#define BUCKETS_MIN 4u /* a thread for each connection has one link */
#define BUCKETS_MAX 4096u

enum { TIMER_OUTBOX, TIMER_STREAMS, TIMER_PUSH };
enum kind { ASK, ANSWER, PUSH_OUT, PUSH_IN };

struct link {
    struct lp2p_list entry; /* in its bucket */
    uint64_t conn;
    struct lp2p_ref muxer;
    struct lp2p_peer_id peer;
    lp2p_time ask_deadline;
    bool speaks_push, pushing;
    uint64_t told_version; /* of struct lp2p_self; 0: the peer knows nothing of us yet */
    unsigned push_tokens;
    lp2p_time push_refilled;
};

struct id_stream {
    struct lp2p_pstream stream;
    enum kind kind;
    bool reported;            /* ASK: the swarm has its answer */
    struct lp2p_list waiting; /* ANSWER: while we do not know ourselves */
    struct lp2p_multiaddr remote;
    struct lp2p_identify_reader reader;
};

struct id_state {
    struct lp2p_actor *self;
    struct lp2p_context *ctx;
    struct lp2p_outbox outbox;
    struct lp2p_pstreams streams;
    struct lp2p_list *links, waiting; /* links: by number of the connection, a power of two of buckets */
    size_t links_len, buckets_len;
    struct lp2p_self *self_info; /* NULL until the swarm has told us */
    unsigned pushes_in, pushes_out;
    bool ending; /* fini: nobody is told anything any more */
};

static struct id_stream *id_of(struct lp2p_pstream *stream)
{
    return LP2P_CONTAINER_OF(stream, struct id_stream, stream);
}

static struct lp2p_list *bucket_of(const struct id_state *state, uint64_t conn)
{
    return &state->links[conn & (state->buckets_len - 1)];
}

static struct link *find_link(struct id_state *state, uint64_t conn)
{
    LP2P_LIST_FOREACH(it, bucket_of(state, conn))
    {
        struct link *link = LP2P_LIST_ENTRY(it, struct link, entry);
        if (link->conn == conn) {
            return link;
        }
    }
    return NULL;
}

static struct lp2p_list *new_buckets(size_t len)
{
    struct lp2p_list *buckets = malloc(len * sizeof(*buckets));
    for (size_t i = 0; buckets != NULL && i < len; i++) {
        lp2p_list_init(&buckets[i]);
    }
    return buckets;
}

static void add_link(struct id_state *state, struct link *link)
{
    size_t old_len = state->buckets_len, len = LP2P_MIN(old_len * 4, (size_t)BUCKETS_MAX);
    struct lp2p_list *old = state->links, *grown;
    lp2p_list_push_back(bucket_of(state, link->conn), &link->entry);
    if (++state->links_len <= old_len * 2 || len == old_len || (grown = new_buckets(len)) == NULL) {
        return;
    }
    state->links = grown;
    state->buckets_len = len;
    for (size_t i = 0; i < old_len; i++) {
        struct lp2p_list *entry;
        while ((entry = lp2p_list_pop_front(&old[i])) != NULL) {
            lp2p_list_push_back(bucket_of(state, LP2P_LIST_ENTRY(entry, struct link, entry)->conn), entry);
        }
    }
    free(old);
}

static void send(struct id_state *state, struct lp2p_ref to, struct lp2p_msg *msg)
{
    (void)lp2p_outbox_send(state->self, &state->outbox, to, &msg);
}

static uint64_t version_of(const struct id_state *state)
{
    return state->self_info == NULL ? 0 : state->self_info->version;
}

/* ---- telling the swarm */

static void report(struct id_state *state, uint64_t conn, const struct lp2p_peer_id *peer,
                   enum lp2p_err result, bool push, struct lp2p_identify_info *info)
{
    struct lp2p_m_identified *m = LP2P_NEW(IDENTIFIED, identified);
    if (m == NULL) {
        return;
    }
    m->conn = conn;
    m->peer = *peer;
    m->result = result;
    m->push = push;
    if (info != NULL) {
        m->addrs = info->addrs;
        m->protocols = info->protocols;
        info->addrs = NULL;
        info->protocols = NULL;
        m->addrs_certified = info->certified;
        m->record_seq = info->record_seq;
        m->record = info->record;
        m->key = info->key;
        info->record = info->key = (struct lp2p_slice){0};
        m->observed = info->observed;
        memcpy(m->agent, info->agent, sizeof(m->agent));
        memcpy(m->protocol_version, info->protocol_version, sizeof(m->protocol_version));
    }
    send(state, lp2p_names(state->ctx)->swarm, &m->msg);
}

/* ---- opening streams */

/* The tag of the answer says which link and which of the two protocols. */
static uint64_t tag_of(uint64_t conn, bool push)
{
    return conn << 1 | push;
}

static bool open_stream(struct id_state *state, const struct link *link, bool push, lp2p_time deadline)
{
    struct lp2p_m_stream_open *m = LP2P_NEW(STREAM_OPEN, stream_open);
    if (m == NULL) {
        return false;
    }
    m->reply_to = lp2p_self(state->self);
    m->resident = LP2P_RESIDENT_NONE;
    m->reply_tag = tag_of(link->conn, push);
    m->deadline = deadline;
    m->protocols_len = 1;
    (void)snprintf(m->protocols[0], sizeof(m->protocols[0]), "%s",
                   push ? LP2P_IDENTIFY_PUSH_PROTOCOL : LP2P_IDENTIFY_PROTOCOL);
    struct lp2p_msg *msg = &m->msg;
    return lp2p_outbox_send(state->self, &state->outbox, link->muxer, &msg) == LP2P_OK;
}

static void on_link_up(struct id_state *state, const struct lp2p_m_link_up *m)
{
    if (find_link(state, m->conn) != NULL) {
        return;
    }
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        report(state, m->conn, &m->peer, LP2P_ENOMEM, false, NULL);
        return;
    }
    link->conn = m->conn;
    link->muxer = m->muxer;
    link->peer = m->peer;
    link->push_tokens = PUSH_BURST;
    link->push_refilled = lp2p_now(state->self);
    link->ask_deadline = lp2p_time_add(lp2p_now(state->self), ASK_NS);
    add_link(state, link);
    if (!open_stream(state, link, false, link->ask_deadline)) {
        report(state, m->conn, &m->peer, LP2P_ENOCONN, false, NULL);
    }
}

static void drop_link(struct id_state *state, struct link *link)
{
    if (link->pushing) {
        state->pushes_out--;
    }
    lp2p_list_remove(&link->entry);
    state->links_len--;
    free(link);
}

/* ---- pushing */

static void arm_push(struct id_state *state, uint64_t span_ns)
{
    lp2p_time when = lp2p_time_add(lp2p_now(state->self), span_ns);
    lp2p_timer_set(state->self, TIMER_PUSH, lp2p_time_min(when, lp2p_timer_get(state->self, TIMER_PUSH)));
}

/* A peer that never asked will hear of us when it asks; pushing to it as well would only cross its question.
 */
static bool wants_push(const struct id_state *state, const struct link *link)
{
    return link->speaks_push && !link->pushing && link->told_version != 0 &&
           link->told_version < version_of(state);
}

static void push_all(struct id_state *state)
{
    for (size_t i = 0; i < state->buckets_len; i++) {
        LP2P_LIST_FOREACH(it, &state->links[i])
        {
            struct link *link = LP2P_LIST_ENTRY(it, struct link, entry);
            if (wants_push(state, link) && state->pushes_out < PUSHES_MAX) {
                lp2p_time deadline = lp2p_time_add(lp2p_now(state->self), ASK_NS);
                link->pushing = open_stream(state, link, true, deadline);
                link->speaks_push = link->pushing; /* no second try: the link is about to end */
                state->pushes_out += link->pushing;
            }
        }
    }
}

static void push_ended(struct id_state *state, uint64_t conn)
{
    struct link *link = find_link(state, conn);
    if (link != NULL && link->pushing) {
        link->pushing = false;
        state->pushes_out--;
        arm_push(state, 0); /* others may have waited for a place */
    }
}

/* What a peer's own protocols say of whether it takes pushes. */
static void learn_push(struct id_state *state, uint64_t conn, const struct lp2p_strings *protocols)
{
    struct link *link = find_link(state, conn);
    if (link == NULL || protocols == NULL) {
        return;
    }
    link->speaks_push = false;
    for (uint32_t i = 0; i < protocols->len; i++) {
        link->speaks_push |= strcmp(protocols->items[i], LP2P_IDENTIFY_PUSH_PROTOCOL) == 0;
    }
    if (wants_push(state, link)) {
        arm_push(state, SETTLE_NS);
    }
}

static bool take_push_token(struct id_state *state, struct link *link)
{
    uint64_t refills = lp2p_time_since(lp2p_now(state->self), link->push_refilled) / PUSH_REFILL_NS;
    link->push_refilled += refills * PUSH_REFILL_NS;
    link->push_tokens = (unsigned)LP2P_MIN(link->push_tokens + refills, (uint64_t)PUSH_BURST);
    if (link->push_tokens == 0) {
        return false;
    }
    link->push_tokens--;
    return true;
}

/* ---- streams */

/* Writes what we are to the stream and half closes it. */
static void tell(struct id_state *state, struct id_stream *id)
{
    struct lp2p_slice out;
    if (lp2p_identify_compose(lp2p_slice_span(&state->self_info->message), &id->remote,
                              lp2p_slice_span(&state->self_info->record), &out) != LP2P_OK) {
        lp2p_pstream_abort(&state->streams, &id->stream, LP2P_ENOMEM);
        return;
    }
    struct link *link = find_link(state, id->stream.conn);
    if (link != NULL) {
        link->told_version = state->self_info->version;
    }
    lp2p_pstream_deadline(&state->streams, &id->stream, lp2p_time_add(lp2p_now(state->self), CLOSE_NS));
    (void)lp2p_pstream_write_last(&state->streams, &id->stream, &out);
}

static void on_self_changed(struct id_state *state, struct lp2p_m_self_changed *m)
{
    if (m->self == NULL || (state->self_info != NULL && m->self->version <= state->self_info->version)) {
        return;
    }
    lp2p_self_info_drop(&state->self_info);
    state->self_info = m->self;
    m->self = NULL;
    struct lp2p_list *entry;
    while ((entry = lp2p_list_pop_front(&state->waiting)) != NULL) {
        tell(state, LP2P_LIST_ENTRY(entry, struct id_stream, waiting));
    }
    arm_push(state, SETTLE_NS);
}

static enum kind kind_of(const struct lp2p_m_stream_opened *m)
{
    bool push = strcmp(m->protocol, LP2P_IDENTIFY_PUSH_PROTOCOL) == 0;
    return m->outbound ? (push ? PUSH_OUT : ASK) : (push ? PUSH_IN : ANSWER);
}

/* Whether an inbound push may go on. */
static bool admit_push(struct id_state *state, const struct lp2p_m_stream_opened *m)
{
    const struct lp2p_rate each = LP2P_PUSH_RATE, all = LP2P_PUSH_RATE_ALL;
    struct link *link = find_link(state, m->conn);
    if (link == NULL || state->pushes_in >= PUSHES_MAX || !take_push_token(state, link)) {
        return false;
    }
    struct lp2p_ip_port from;
    bool known = lp2p_rate_source(&m->remote, &from);
    return lp2p_rate_shared_take(&state->ctx->push_rates, &each, &all, known ? &from : NULL, lp2p_now(state->self));
}

/* From the pool, which keeps nothing for a connection's own thread, asleep when it has identified its peer. */
static struct id_stream *new_id_stream(void)
{
    struct id_stream *id = lp2p_pool_alloc(sizeof(*id));
    if (id != NULL) {
        *id = (struct id_stream){0};
    }
    return id;
}

static void free_id_stream(struct id_stream *id)
{
    if (id != NULL) {
        lp2p_pool_free(id, sizeof(*id));
    }
}

static void begin(struct id_state *state, struct id_stream *id)
{
    switch (id->kind) {
    case ASK:
        break; /* nothing is sent; our side is closed when the answer is there */
    case PUSH_IN:
        state->pushes_in++;
        break;
    case ANSWER:
    case PUSH_OUT:
        if (state->self_info != NULL) {
            tell(state, id);
        } else {
            lp2p_list_push_back(&state->waiting, &id->waiting);
        }
        break;
    }
}

static void on_opened(void *ctx, struct lp2p_m_stream_opened *m)
{
    struct id_state *state = ctx;
    enum kind kind = kind_of(m);
    if (kind == PUSH_IN && !admit_push(state, m)) {
        LP2P_COUNT(state->ctx, streams_refused, 1);
        lp2p_pstreams_refuse(&state->streams, m->id, LP2P_EFLOOD);
        return;
    }
    struct link *link = find_link(state, m->conn);
    lp2p_time deadline = lp2p_time_add(lp2p_now(state->self), ASK_NS);
    if (kind == ASK && link != NULL) {
        deadline = link->ask_deadline;
    }
    struct id_stream *id = new_id_stream();
    if (id == NULL) {
        lp2p_pstreams_refuse(&state->streams, m->id, LP2P_ENOMEM);
    } else if (lp2p_pstreams_add(&state->streams, &id->stream, m, deadline) == LP2P_OK) {
        id->kind = kind;
        id->remote = m->remote;
        lp2p_identify_reader_init(&id->reader);
        begin(state, id);
        return;
    }
    free_id_stream(id);
    if (kind == ASK) {
        report(state, m->conn, &m->peer, LP2P_ENOMEM, false, NULL);
    } else if (kind == PUSH_OUT) {
        push_ended(state, m->conn);
    }
}

static void on_data(void *ctx, struct lp2p_pstream *stream, struct lp2p_slice *data)
{
    struct id_state *state = ctx;
    struct id_stream *id = id_of(stream);
    if (id->kind == ANSWER || id->kind == PUSH_OUT) {
        return; /* nothing is expected; without a grant of window there can be little of it */
    }
    enum lp2p_err err = lp2p_identify_reader_feed(&id->reader, lp2p_slice_span(data));
    if (err != LP2P_OK) {
        lp2p_pstream_abort(&state->streams, stream, err);
        return;
    }
    lp2p_pstream_consumed(&state->streams, stream, data->len);
}

static void on_eof(void *ctx, struct lp2p_pstream *stream)
{
    struct id_state *state = ctx;
    struct id_stream *id = id_of(stream);
    if (id->kind == ANSWER || id->kind == PUSH_OUT) {
        return; /* our own end is still to come: it waits for credit, or for what the swarm says of us */
    }
    struct lp2p_identify_info info;
    enum lp2p_err err = lp2p_identify_reader_finish(&id->reader, &stream->peer, &id->remote, &info);
    if (err != LP2P_OK) {
        lp2p_pstream_abort(&state->streams, stream, err);
        return;
    }
    learn_push(state, stream->conn, info.protocols);
    id->reported = true;
    report(state, stream->conn, &stream->peer, LP2P_OK, id->kind == PUSH_IN, &info);
    lp2p_identify_info_drop(&info);
    (void)lp2p_pstream_close(&state->streams, stream);
}

static void on_expired(void *ctx, struct lp2p_pstream *stream)
{
    lp2p_pstream_abort(&((struct id_state *)ctx)->streams, stream, LP2P_ETIMEDOUT);
}

static void on_ended(void *ctx, struct lp2p_pstream *stream, enum lp2p_err reason)
{
    struct id_state *state = ctx;
    struct id_stream *id = id_of(stream);
    lp2p_list_remove(&id->waiting);
    lp2p_identify_reader_fini(&id->reader);
    if (state->ending) {
        /* nothing to tell */
    } else if (id->kind == ASK && !id->reported) {
        report(state, stream->conn, &stream->peer, reason == LP2P_OK ? LP2P_EEOF : reason, false, NULL);
    } else if (id->kind == PUSH_IN) {
        state->pushes_in--;
    } else if (id->kind == PUSH_OUT) {
        push_ended(state, stream->conn);
    }
    free_id_stream(id);
}

static const struct lp2p_pstream_ops stream_ops = {
    .opened = on_opened,
    .data = on_data,
    .eof = on_eof,
    .expired = on_expired,
    .ended = on_ended,
};

/* ---- the actor */

static void on_open_failed(struct id_state *state, const struct lp2p_m_stream_open_failed *m)
{
    struct link *link = find_link(state, m->msg.tag >> 1);
    if (link == NULL) {
        return;
    }
    if (m->msg.tag == tag_of(link->conn, true)) {
        link->speaks_push = false;
        push_ended(state, link->conn);
    } else {
        report(state, link->conn, &link->peer, m->reason == LP2P_OK ? LP2P_EPROTO : m->reason, false, NULL);
    }
}

static enum lp2p_verdict on_msg(struct lp2p_actor *self, void *opaque, struct lp2p_msg **msg)
{
    (void)self;
    struct id_state *state = opaque;
    if (lp2p_pstreams_handle(&state->streams, *msg)) {
        return LP2P_CONTINUE;
    }
    if (LP2P_IS(*msg, LINK_UP)) {
        on_link_up(state, LP2P_AS(*msg, LINK_UP, link_up));
    } else if (LP2P_IS(*msg, LINK_ENDED)) {
        struct link *link = find_link(state, LP2P_AS(*msg, LINK_ENDED, link_ended)->conn);
        if (link != NULL) {
            drop_link(state, link);
        }
    } else if (LP2P_IS(*msg, STREAM_OPEN_FAILED)) {
        on_open_failed(state, LP2P_AS(*msg, STREAM_OPEN_FAILED, stream_open_failed));
    } else if (LP2P_IS(*msg, SELF_CHANGED)) {
        on_self_changed(state, LP2P_AS(*msg, SELF_CHANGED, self_changed));
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict on_timer(struct lp2p_actor *self, void *opaque, unsigned timer)
{
    struct id_state *state = opaque;
    switch (timer) {
    case TIMER_OUTBOX:
        lp2p_outbox_retry(self, &state->outbox);
        break;
    case TIMER_STREAMS:
        lp2p_pstreams_tick(&state->streams);
        break;
    default:
        push_all(state);
        break;
    }
    return LP2P_CONTINUE;
}

static enum lp2p_err init(struct lp2p_actor *self, void *opaque, const void *arg)
{
    struct id_state *state = opaque;
    state->self = self;
    state->ctx = (struct lp2p_context *)(uintptr_t)arg;
    state->links = new_buckets(BUCKETS_MIN);
    if (state->links == NULL) {
        return LP2P_ENOMEM;
    }
    state->buckets_len = BUCKETS_MIN;
    lp2p_list_init(&state->waiting);
    lp2p_outbox_init(&state->outbox, TIMER_OUTBOX, LP2P_PROTOCOL_OUTBOX_MAX);
    lp2p_pstreams_init(&state->streams, &stream_ops, state, self, &state->outbox, TIMER_STREAMS);
    enum lp2p_err err =
        lp2p_protocol_offer_resident(self, &state->outbox, state->ctx, LP2P_RESIDENT_IDENTIFY);
    if (err == LP2P_OK) {
        err = lp2p_protocol_subscribe(self, &state->outbox, state->ctx, LP2P_SUB_SELF);
    }
    if (err != LP2P_OK) {
        lp2p_outbox_fini(&state->outbox);
        free(state->links);
    }
    return err;
}

static void fini(struct lp2p_actor *self, void *opaque, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    struct id_state *state = opaque;
    state->ending = true;
    lp2p_pstreams_fini(&state->streams);
    for (size_t i = 0; i < state->buckets_len; i++) {
        LP2P_LIST_FOREACH_SAFE(it, &state->links[i])
        {
            drop_link(state, LP2P_LIST_ENTRY(it, struct link, entry));
        }
    }
    free(state->links);
    lp2p_self_info_drop(&state->self_info);
    lp2p_outbox_fini(&state->outbox);
}

const struct lp2p_actor_ops lp2p_identify_ops = {
    .name = "identify",
    .state_size = sizeof(struct id_state),
    .init = init,
    .on_msg = on_msg,
    .on_timer = on_timer,
    .fini = fini,
};
