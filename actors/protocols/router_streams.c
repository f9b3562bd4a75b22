/* SPDX-License-Identifier: MIT
 * The messages of the DHT on streams (libp2p specs kad-dht/README.md, "RPC messages"): `uvarint length +
 * message`. Outbound, one stream for each request, closed after the answer; inbound, any number of requests
 * one after the other. */
#include "actors/protocols/router_private.h"

#include <stdio.h>
#include <stdlib.h>

#define PREFIX_MAX 9
#define NO_REPLY (UINT64_C(1) << 63) /* in a tag: the machine has no number for the request */

/* What both directions begin with. */
struct router_stream {
    struct lp2p_pstream stream;
    bool outbound;
    struct lp2p_frame_reader frames;
};

struct inbound {
    struct router_stream head;
    struct lp2p_fifo in; /* not read yet: an answer still waits for credit */
};

struct request {
    struct router_stream head;
    struct lp2p_list entry; /* in its bucket, from the question to the end of its stream */
    uint64_t tag;           /* the machine's number, or NO_REPLY | a number of ours */
    bool open;              /* the stream is in the set */
    bool told;              /* the machine needs to hear nothing more of it */
    struct lp2p_slice message;
};

static struct router_stream *head_of(struct lp2p_pstream *stream)
{
    return LP2P_CONTAINER_OF(stream, struct router_stream, stream);
}

static struct inbound *inbound_of(struct lp2p_pstream *stream)
{
    return LP2P_CONTAINER_OF(stream, struct inbound, head.stream);
}

static struct request *request_of(struct lp2p_pstream *stream)
{
    return LP2P_CONTAINER_OF(stream, struct request, head.stream);
}

void lp2p_router_streams_init(struct lp2p_router *router)
{
    for (unsigned i = 0; i < LP2P_ROUTER_BUCKETS; i++) {
        lp2p_list_init(&router->requests[i]);
    }
}

/* A message with its length in front, in a slab of its own. */
static struct lp2p_slice frame(struct lp2p_span message)
{
    struct lp2p_buf *buf = lp2p_buf_new(PREFIX_MAX + message.len);
    if (buf == NULL) {
        return (struct lp2p_slice){0};
    }
    size_t prefix = lp2p_frame_prefix(buf->bytes, message.len);
    if (message.len > 0) {
        memcpy(buf->bytes + prefix, message.ptr, message.len);
    }
    return (struct lp2p_slice){buf, buf->bytes, (uint32_t)(prefix + message.len)};
}

/* ---- outbound: before the stream is there */

/* Multiplied first: the machine keeps a slot number in the low bits. */
static struct lp2p_list *bucket_of(struct lp2p_router *router, uint64_t tag)
{
    return &router->requests[(tag * UINT64_C(0x9e3779b97f4a7c15) >> 32) % LP2P_ROUTER_BUCKETS];
}

static struct request *find_request(struct lp2p_router *router, uint64_t tag)
{
    LP2P_LIST_FOREACH(it, bucket_of(router, tag))
    {
        struct request *request = LP2P_LIST_ENTRY(it, struct request, entry);
        if (request->tag == tag) {
            return request;
        }
    }
    return NULL;
}

static void tell_failure(struct lp2p_router *router, struct request *request, enum lp2p_err reason)
{
    if (!request->told && !router->ending) {
        request->told = true;
        lp2p_kad_fail(router->kad, request->tag, reason, lp2p_now(router->self));
    }
}

static void free_request(struct lp2p_router *router, struct request *request)
{
    lp2p_list_remove(&request->entry);
    lp2p_frame_reader_fini(&request->head.frames);
    lp2p_slice_drop(&request->message);
    router->requests_len--;
    free(request);
}

static struct lp2p_addrs *hints_of(const struct lp2p_kad_peer *peer)
{
    return peer->addrs_len == 0 ? NULL : lp2p_addrs_new(peer->addrs, peer->addrs_len);
}

static bool ask_for_stream(struct lp2p_router *router, const struct request *request,
                           const struct lp2p_kad_peer *peer)
{
    struct lp2p_m_peer_stream_open *m = LP2P_NEW(PEER_STREAM_OPEN, peer_stream_open);
    if (m == NULL) {
        return false;
    }
    m->peer = peer->id;
    m->hints = hints_of(peer);
    m->internal = true;
    m->reply_to = lp2p_self(router->self);
    m->resident = LP2P_RESIDENT_NONE;
    m->reply_tag = request->tag;
    m->deadline = lp2p_time_add(lp2p_now(router->self), LP2P_ROUTER_ANSWER_NS);
    m->protocols_len = 1;
    (void)snprintf(m->protocols[0], sizeof(m->protocols[0]), "%s", router->ctx->config.dht_protocol);
    struct lp2p_msg *msg = &m->msg;
    return lp2p_outbox_send(router->self, &router->outbox, lp2p_names(router->ctx)->swarm, &msg) == LP2P_OK;
}

void lp2p_router_request(struct lp2p_router *router, const struct lp2p_kad_event *event)
{
    struct request *request =
        router->requests_len < LP2P_ROUTER_REQUESTS_MAX ? calloc(1, sizeof(*request)) : NULL;
    if (request == NULL) {
        if (!event->no_reply) {
            lp2p_kad_fail(router->kad, event->request, LP2P_ELIMIT, lp2p_now(router->self));
        }
        return;
    }
    request->head.outbound = true;
    request->tag = event->no_reply ? NO_REPLY | ++router->next_tag : event->request;
    request->told = event->no_reply;
    request->message = frame(event->message);
    lp2p_frame_reader_init(&request->head.frames, LP2P_KAD_RESPONSE_MAX);
    lp2p_list_push_back(bucket_of(router, request->tag), &request->entry);
    router->requests_len++;
    struct lp2p_kad_peer peer = event->peer; /* the event does not outlive the next call into the machine */
    if (request->message.buf == NULL || !ask_for_stream(router, request, &peer)) {
        tell_failure(router, request, LP2P_EFULL);
        free_request(router, request);
    }
}

void lp2p_router_request_canceled(struct lp2p_router *router, uint64_t tag)
{
    struct request *request = find_request(router, tag);
    if (request == NULL) {
        return;
    }
    bool answered = request->told;
    request->told = true;
    if (!request->open) {
        free_request(router, request); /* the stream is refused if it still comes */
    } else if (!answered) {
        lp2p_pstream_abort(&router->streams, &request->head.stream, LP2P_ECANCELED);
    }
}

void lp2p_router_open_failed(struct lp2p_router *router, const struct lp2p_m_stream_open_failed *m)
{
    struct request *request = find_request(router, m->msg.tag);
    if (request == NULL || request->open) {
        return;
    }
    if (m->reason == LP2P_ENEGOTIATION) {
        lp2p_kad_peer_gone(router->kad, &m->peer); /* no server, or not of this network */
    }
    tell_failure(router, request, m->reason == LP2P_OK ? LP2P_EPROTO : m->reason);
    free_request(router, request);
}

/* ---- outbound: on the stream */

static void request_opened(struct lp2p_router *router, struct lp2p_m_stream_opened *opened)
{
    struct request *request = find_request(router, opened->msg.tag);
    if (request == NULL || request->open) {
        lp2p_pstreams_refuse(&router->streams, opened->id, LP2P_ECANCELED);
        return;
    }
    lp2p_time deadline = lp2p_time_add(lp2p_now(router->self), LP2P_ROUTER_ANSWER_NS);
    if (lp2p_pstreams_add(&router->streams, &request->head.stream, opened, deadline) != LP2P_OK) {
        tell_failure(router, request, LP2P_ENOMEM);
        free_request(router, request);
        return;
    }
    request->open = true;
    struct lp2p_slice message = request->message;
    request->message = (struct lp2p_slice){0};
    if ((request->tag & NO_REPLY) != 0) {
        (void)lp2p_pstream_write_last(&router->streams, &request->head.stream, &message);
    } else {
        (void)lp2p_pstream_write(&router->streams, &request->head.stream, &message);
    }
}

static void request_data(struct lp2p_router *router, struct request *request, struct lp2p_span in)
{
    if (request->told) {
        return; /* more than the one answer: not read, and no window is granted for it */
    }
    size_t len = in.len;
    struct lp2p_span message;
    enum lp2p_err err = lp2p_frame_read(&request->head.frames, &in, &message);
    if (err == LP2P_EAGAIN) {
        lp2p_pstream_consumed(&router->streams, &request->head.stream, len);
        return;
    }
    if (err != LP2P_OK) {
        lp2p_pstream_abort(&router->streams, &request->head.stream, err);
        return;
    }
    request->told = true;
    lp2p_router_source(router, &request->head.stream.peer);
    lp2p_kad_feed(router->kad, request->tag, message, lp2p_now(router->self), lp2p_wall_ms(router->self));
    if (lp2p_pstream_close(&router->streams, &request->head.stream)) {
        lp2p_pstream_deadline(&router->streams, &request->head.stream,
                              lp2p_time_add(lp2p_now(router->self), LP2P_ROUTER_CLOSE_NS));
    }
}

/* ---- inbound */

static void serve_opened(struct lp2p_router *router, struct lp2p_m_stream_opened *opened)
{
    struct inbound *serve = router->serving < LP2P_ROUTER_SERVE_TOTAL_MAX ? calloc(1, sizeof(*serve)) : NULL;
    if (serve == NULL) {
        LP2P_COUNT(router->ctx, dht_requests_refused, 1);
        lp2p_pstreams_refuse(&router->streams, opened->id, LP2P_ELIMIT);
        return;
    }
    lp2p_time deadline = lp2p_time_add(lp2p_now(router->self), LP2P_ROUTER_IDLE_NS);
    if (lp2p_pstreams_add(&router->streams, &serve->head.stream, opened, deadline) != LP2P_OK) {
        free(serve);
        return;
    }
    router->serving++;
    lp2p_frame_reader_init(&serve->head.frames, LP2P_KAD_REQUEST_MAX);
}

/* One request; false when the stream has ended. */
static bool serve_one(struct lp2p_router *router, struct inbound *serve, struct lp2p_span request)
{
    struct lp2p_pstream *stream = &serve->head.stream;
    size_t len = 0;
    lp2p_pstream_deadline(&router->streams, stream,
                          lp2p_time_add(lp2p_now(router->self), LP2P_ROUTER_IDLE_NS));
    LP2P_COUNT(router->ctx, dht_requests_in, 1);
    lp2p_router_source(router, &stream->peer);
    enum lp2p_err err =
        lp2p_kad_serve(router->kad, &stream->peer, request, lp2p_now(router->self),
                       lp2p_wall_ms(router->self), router->answer, LP2P_KAD_REQUEST_MAX, &len);
    if (err != LP2P_OK) {
        LP2P_COUNT(router->ctx, dht_requests_refused, 1);
        lp2p_pstream_abort(&router->streams, stream, err);
        return false;
    }
    if (len == 0) {
        return true; /* ADD_PROVIDER has no answer */
    }
    struct lp2p_slice answer = frame(lp2p_span(router->answer, len));
    if (answer.buf == NULL) {
        lp2p_pstream_abort(&router->streams, stream, LP2P_ENOMEM);
        return false;
    }
    return lp2p_pstream_write(&router->streams, stream, &answer);
}

/* Reads requests while the answers go out: a peer that does not read its answers is not asked for more
 * requests. */
static void serve_on(struct lp2p_router *router, struct inbound *serve)
{
    struct lp2p_pstream *stream = &serve->head.stream;
    while (serve->in.bytes > 0 && stream->out.bytes == 0) {
        struct lp2p_span rest = lp2p_fifo_front(&serve->in), request;
        size_t before = rest.len;
        enum lp2p_err err = lp2p_frame_read(&serve->head.frames, &rest, &request);
        if (err != LP2P_OK && err != LP2P_EAGAIN) {
            LP2P_COUNT(router->ctx, dht_requests_refused, 1);
            lp2p_pstream_abort(&router->streams, stream, err);
            return;
        }
        if (err == LP2P_OK && !serve_one(router, serve, request)) {
            return;
        }
        lp2p_pstream_consumed(&router->streams, stream, before - rest.len);
        (void)lp2p_fifo_skip(&serve->in, before - rest.len);
    }
    if (!stream->eof || serve->in.bytes > 0) {
        return;
    }
    if (lp2p_frame_reader_idle(&serve->head.frames)) {
        (void)lp2p_pstream_close(&router->streams, stream);
    } else {
        lp2p_pstream_abort(&router->streams, stream, LP2P_ETRUNCATED);
    }
}

/* ---- what the set calls */

static void on_opened(void *ctx, struct lp2p_m_stream_opened *opened)
{
    if (opened->outbound) {
        request_opened(ctx, opened);
    } else {
        serve_opened(ctx, opened);
    }
}

static void on_data(void *ctx, struct lp2p_pstream *stream, struct lp2p_slice *data)
{
    struct lp2p_router *router = ctx;
    if (head_of(stream)->outbound) {
        request_data(router, request_of(stream), lp2p_slice_span(data));
    } else if (lp2p_fifo_push(&inbound_of(stream)->in, data) != LP2P_OK) {
        lp2p_pstream_abort(&router->streams, stream, LP2P_ENOMEM);
    }
}

static void serve_more(void *ctx, struct lp2p_pstream *stream)
{
    if (!head_of(stream)->outbound) {
        serve_on(ctx, inbound_of(stream));
    }
}

static void on_eof(void *ctx, struct lp2p_pstream *stream)
{
    struct lp2p_router *router = ctx;
    if (!head_of(stream)->outbound) {
        serve_on(router, inbound_of(stream));
    } else if (!request_of(stream)->told) {
        lp2p_pstream_abort(&router->streams, stream, LP2P_EEOF);
    }
}

static void on_expired(void *ctx, struct lp2p_pstream *stream)
{
    lp2p_pstream_abort(&((struct lp2p_router *)ctx)->streams, stream, LP2P_ETIMEDOUT);
}

static void on_ended(void *ctx, struct lp2p_pstream *stream, enum lp2p_err reason)
{
    struct lp2p_router *router = ctx;
    if (head_of(stream)->outbound) {
        tell_failure(router, request_of(stream), reason == LP2P_OK ? LP2P_EEOF : reason);
        free_request(router, request_of(stream));
        return;
    }
    struct inbound *serve = inbound_of(stream);
    router->serving--;
    lp2p_frame_reader_fini(&serve->head.frames);
    lp2p_fifo_clear(&serve->in);
    free(serve);
}

const struct lp2p_pstream_ops lp2p_router_stream_ops = {
    .opened = on_opened,
    .data = on_data,
    .drained = serve_more,
    .eof = on_eof,
    .writable = serve_more,
    .expired = on_expired,
    .ended = on_ended,
};

void lp2p_router_streams_fini(struct lp2p_router *router)
{
    for (unsigned i = 0; i < LP2P_ROUTER_BUCKETS; i++) {
        LP2P_LIST_FOREACH_SAFE(it, &router->requests[i])
        {
            free_request(router, LP2P_LIST_ENTRY(it, struct request, entry));
        }
    }
}
