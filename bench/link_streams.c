/* SPDX-License-Identifier: MIT */
#include "link_io.h"

#include "multistream/multistream.h"

#include <stdlib.h>

enum { OURS_IDENTIFY, OURS_PING, OURS_MESSAGE, OURS_LEN };
static const char *const OURS[OURS_LEN] = {"/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/lotus/message/1.0.0"};
static const struct bench_stream_ops NO_OPS = {0};

static struct bench_stream *stream_new(struct bench_link *link, uint64_t handle, const struct bench_stream_ops *ops, void *user)
{
    struct bench_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL || lp2p_mux_map_put(&link->streams, handle, stream) != LP2P_OK) {
        bench_fatal("memory");
    }
    stream->link = link;
    stream->handle = handle;
    stream->ops = ops;
    stream->user = user;
    return stream;
}

void bench_stream_write(struct bench_stream *stream, const void *bytes, size_t len)
{
    struct lp2p_slice slice = lp2p_slice_copy(bytes, len);
    if (slice.buf == NULL) {
        bench_fatal("memory");
    }
    if (lp2p_yamux_ops.write(stream->link->mux, stream->handle, &slice) == LP2P_OK) {
        stream->queued += (uint32_t)len;
    }
    lp2p_slice_drop(&slice);
}

void bench_stream_write_shared(struct bench_stream *stream, struct lp2p_buf *buf, size_t len)
{
    struct lp2p_slice slice = lp2p_slice_of(buf, buf->bytes, len);
    if (lp2p_yamux_ops.write(stream->link->mux, stream->handle, &slice) == LP2P_OK) {
        stream->queued += (uint32_t)len;
    }
    lp2p_slice_drop(&slice);
}

/** What the negotiation of a stream has to send. */
static void send_mss(struct bench_stream *stream)
{
    uint8_t out[LP2P_MSS_TOKEN_MAX];
    size_t len = lp2p_mss_drain(stream->mss, out, sizeof(out), bench_loop_now());
    if (len > 0) {
        bench_stream_write(stream, out, len);
    }
}

struct bench_stream *bench_stream_open(struct bench_link *link, const char *protocol, const struct bench_stream_ops *ops,
                                       void *user)
{
    uint64_t handle;
    if (lp2p_yamux_ops.open(link->mux, bench_loop_now(), &handle) != LP2P_OK) {
        return NULL;
    }
    struct bench_stream *stream = stream_new(link, handle, ops, user);
    stream->proposal = protocol;
    stream->mss = lp2p_mss_new_dialer(&stream->proposal, 1, true);
    if (stream->mss == NULL) {
        bench_fatal("memory");
    }
    struct lp2p_mss_event event;
    lp2p_mss_next(stream->mss, &event);
    send_mss(stream);
    return stream;
}

void bench_stream_close_write(struct bench_stream *stream)
{
    stream->close_wanted = true;
    if (stream->mss == NULL) {
        (void)lp2p_yamux_ops.close_write(stream->link->mux, stream->handle);
    }
}

void bench_stream_reset(struct bench_stream *stream)
{
    (void)lp2p_yamux_ops.reset(stream->link->mux, stream->handle, 0);
}

static int match(void *ctx, struct lp2p_span protocol)
{
    (void)ctx;
    for (int i = 0; i < OURS_LEN; i++) {
        if (lp2p_span_eq_str(protocol, OURS[i])) {
            return i;
        }
    }
    return -1;
}

/** identify: publicKey 1, protocols 3, protocolVersion 5, agentVersion 6; length first. */
static void answer_identify(struct bench_stream *stream)
{
    struct lp2p_public_key key;
    uint8_t out[256];
    size_t len = 1;
    lp2p_private_key_public(stream->link->identity->key, &key);
    const struct { uint8_t tag; struct lp2p_span value; } fields[] = {
        {0x0a, lp2p_public_key_encoded(&key)}, {0x1a, lp2p_span_str(OURS[0])}, {0x1a, lp2p_span_str(OURS[1])},
        {0x1a, lp2p_span_str(OURS[2])},
        {0x2a, lp2p_span_str("bench/1.0.0")}, {0x32, lp2p_span_str("lotus-p2p-load")},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        out[len++] = fields[i].tag;
        out[len++] = (uint8_t)fields[i].value.len;
        memcpy(out + len, fields[i].value.ptr, fields[i].value.len);
        len += fields[i].value.len;
    }
    LP2P_CHECK(len - 1 < 128);
    out[0] = (uint8_t)(len - 1);
    bench_stream_write(stream, out, len);
    bench_stream_close_write(stream);
    if (stream->link->ops->identify_sent != NULL) {
        stream->link->ops->identify_sent(stream->link);
    }
}

/** Bytes that belong to the negotiation are taken off; the rest is the application's. */
static struct lp2p_span negotiate(struct bench_stream *stream, struct lp2p_span in)
{
    size_t used = 0;
    struct lp2p_mss_event event = {.kind = LP2P_MSS_NONE};
    enum lp2p_err err = lp2p_mss_feed(stream->mss, in, bench_loop_now(), &used);
    lp2p_mss_next(stream->mss, &event);
    send_mss(stream);
    if (err != LP2P_OK || event.kind == LP2P_MSS_FAILED) {
        bench_stream_reset(stream);
        return lp2p_span(NULL, 0);
    }
    if (lp2p_mss_confirmed(stream->mss)) {
        lp2p_mss_free(stream->mss);
        stream->mss = NULL;
        if (event.kind == LP2P_MSS_SELECTED) {
            stream->kind = event.index;
        }
        if (stream->ops == &NO_OPS && stream->kind == OURS_IDENTIFY) {
            answer_identify(stream);
        } else if (stream->close_wanted) {
            (void)lp2p_yamux_ops.close_write(stream->link->mux, stream->handle);
        }
    }
    return lp2p_span_skip(in, used);
}

static void on_data(struct bench_stream *stream, const struct lp2p_slice *slice)
{
    struct lp2p_span data = lp2p_slice_span(slice);
    struct bench_link *link = stream->link;
    uint64_t handle = stream->handle;
    bool paused = stream->paused;
    if (stream->mss != NULL) {
        data = negotiate(stream, data);
    }
    if (data.len > 0 && stream->ops == &NO_OPS && stream->kind == OURS_PING) {
        bench_stream_write(stream, data.ptr, data.len);
    } else if (data.len > 0 && stream->ops->data != NULL) {
        stream->ops->data(stream, data);
    }
    if (!paused && link->state == BENCH_LINK_OPEN) {
        (void)lp2p_yamux_ops.consumed(link->mux, handle, slice->len, bench_loop_now());
    }
}

static void stream_end(struct bench_link *link, uint64_t handle, bool clean)
{
    struct bench_stream *stream = lp2p_mux_map_remove(&link->streams, handle);
    if (stream == NULL) {
        return;
    }
    if (stream->ops->ended != NULL) {
        stream->ops->ended(stream, clean);
    }
    lp2p_mss_free(stream->mss);
    free(stream);
}

static void on_event(struct bench_link *link, struct lp2p_mux_event *event)
{
    struct bench_stream *stream = lp2p_mux_map_get(&link->streams, event->stream);
    switch (event->kind) {
    case LP2P_MUX_STREAM_OPENED:
        stream = stream_new(link, event->stream, &NO_OPS, NULL);
        stream->kind = -1;
        stream->mss = lp2p_mss_new_listener(match, NULL);
        break;
    case LP2P_MUX_STREAM_DATA:
        if (stream != NULL) {
            on_data(stream, &event->data);
        }
        break;
    case LP2P_MUX_STREAM_EOF:
        if (stream != NULL) {
            stream->eof = true;
            if (stream->ops == &NO_OPS) {
                bench_stream_close_write(stream);
            } else if (stream->ops->eof != NULL) {
                stream->ops->eof(stream);
            }
        }
        break;
    case LP2P_MUX_STREAM_WRITABLE:
        if (stream != NULL) {
            stream->queued -= event->bytes;
            if (stream->ops->writable != NULL) {
                stream->ops->writable(stream);
            }
        }
        break;
    case LP2P_MUX_STREAM_RESET:
    case LP2P_MUX_STREAM_CLOSED:
        stream_end(link, event->stream, event->kind == LP2P_MUX_STREAM_CLOSED && (stream == NULL || stream->eof));
        break;
    case LP2P_MUX_GOAWAY:
    case LP2P_MUX_FAILED:
        bench_link_end(link, "the session has ended");
        break;
    case LP2P_MUX_NONE:
        break;
    }
}

void bench_streams_pump(struct bench_link *link)
{
    while (link->state == BENCH_LINK_OPEN) {
        struct lp2p_mux_event event = {.kind = LP2P_MUX_NONE};
        lp2p_yamux_ops.next(link->mux, &event);
        if (event.kind == LP2P_MUX_NONE) {
            return;
        }
        on_event(link, &event);
        lp2p_slice_drop(&event.data);
    }
}
