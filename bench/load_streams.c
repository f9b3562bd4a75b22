/* SPDX-License-Identifier: MIT
 * Loads on the streams of one connection: bulk, ping, pipelined messages, short streams. */
#include "load.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (64u * 1024)
#define QUEUED_MAX (4 * BLOCK_BYTES) /* of an upload: enough that frames are full */

static bool done;
static unsigned open_streams;

static void no_stream(void)
{
    load_fail("the peer takes no more streams");
}

/* ---- bulk */

static struct lp2p_buf *block;

static void upload(struct bench_stream *stream)
{
    if (stream->close_wanted) {
        return;
    }
    if (load_over()) {
        bench_stream_close_write(stream);
        return;
    }
    while (stream->queued < QUEUED_MAX) {
        bench_stream_write_shared(stream, block, BLOCK_BYTES);
        run.bytes += BLOCK_BYTES;
    }
}

static void on_download(struct bench_stream *stream, struct lp2p_span bytes)
{
    (void)stream;
    run.bytes += bytes.len;
    if (!done && load_over()) {
        done = true;
    }
}

static void on_bulk_end(struct bench_stream *stream, bool clean)
{
    (void)stream;
    if (!clean) {
        load_fail("a stream was reset");
    }
    if (--open_streams == 0) {
        done = true;
    }
}

void load_bulk(bool up)
{
    static const struct bench_stream_ops up_ops = {.writable = upload, .ended = on_bulk_end};
    static const struct bench_stream_ops down_ops = {.data = on_download, .ended = on_bulk_end};
    uint8_t head[8] = {0};
    struct bench_link *link = load_connect();
    block = lp2p_buf_new(BLOCK_BYTES);
    if (block == NULL) {
        load_fail("no memory");
    }
    memset(block->bytes, 0, BLOCK_BYTES);
    if (!up) {
        memset(head + 1, 0xff, 7);
        head[1] = 0x1f; /* 2^53 - 1 */
    }
    load_begin();
    for (unsigned i = 0; i < run.options->parallel; i++) {
        struct bench_stream *stream = bench_stream_open(link, "/perf/1.0.0", up ? &up_ops : &down_ops, NULL);
        if (stream == NULL) {
            no_stream();
        }
        open_streams++;
        bench_stream_write(stream, head, sizeof(head));
        if (up) {
            upload(stream);
        } else {
            bench_stream_close_write(stream);
        }
    }
    load_until(&done, "the transfer does not end");
    run.count = run.options->parallel;
    load_end();
}

/* ---- ping */

static uint8_t ping_bytes[32];
static size_t pong_bytes;
static lp2p_time ping_sent;

static void send_ping(struct bench_stream *stream)
{
    ping_bytes[0]++;
    pong_bytes = 0;
    ping_sent = bench_now();
    bench_stream_write(stream, ping_bytes, sizeof(ping_bytes));
}

static void on_pong(struct bench_stream *stream, struct lp2p_span bytes)
{
    pong_bytes += bytes.len;
    if (pong_bytes < sizeof(ping_bytes)) {
        return;
    }
    lp2p_time now = bench_now();
    bench_samples_add(&run.latencies, now - ping_sent);
    run.count++;
    if (now >= run.end_at) {
        done = true;
    } else {
        send_ping(stream);
    }
}

static void on_early_end(struct bench_stream *stream, bool clean)
{
    (void)stream;
    (void)clean;
    if (!done) {
        load_fail("the stream was ended by the peer");
    }
}

void load_ping(void)
{
    static const struct bench_stream_ops ops = {.data = on_pong, .ended = on_early_end};
    struct bench_link *link = load_connect();
    struct bench_stream *stream = bench_stream_open(link, run.options->protocol != NULL ? run.options->protocol : "/ipfs/ping/1.0.0",
                                                    &ops, NULL);
    if (stream == NULL) {
        no_stream();
    }
    load_begin();
    send_ping(stream);
    load_until(&done, "pings are not answered");
    load_end();
}

/* ---- messages of one size, each answered by itself */

static uint64_t messages_sent;
static lp2p_time message_sent; /* latency is measured when only one is under way */

static void fill(struct bench_stream *stream)
{
    const struct load_options *o = run.options;
    uint64_t answered = run.bytes / o->size;
    if (load_over()) {
        if (!stream->close_wanted) {
            bench_stream_close_write(stream);
        }
        return;
    }
    while (messages_sent - answered < o->depth) {
        bench_stream_write_shared(stream, block, o->size);
        messages_sent++;
    }
    if (o->depth == 1) {
        message_sent = bench_now();
    }
}

static void on_answers(struct bench_stream *stream, struct lp2p_span bytes)
{
    run.bytes += bytes.len;
    if (run.options->depth == 1 && run.bytes % run.options->size == 0) {
        bench_samples_add(&run.latencies, bench_now() - message_sent);
    }
    fill(stream);
}

static void on_messages_end(struct bench_stream *stream, bool clean)
{
    (void)stream;
    if (!clean) {
        load_fail("the stream was reset");
    }
    done = true;
}

void load_messages(void)
{
    static const struct bench_stream_ops ops = {.data = on_answers, .ended = on_messages_end};
    const struct load_options *o = run.options;
    uint8_t head[4] = {(uint8_t)(o->size >> 24), (uint8_t)(o->size >> 16), (uint8_t)(o->size >> 8), (uint8_t)o->size};
    struct bench_link *link = load_connect();
    block = lp2p_buf_new(o->size);
    if (block == NULL || o->size == 0) {
        load_fail("no memory, or a size of 0");
    }
    memset(block->bytes, 0x5a, o->size);
    struct bench_stream *stream = bench_stream_open(link, "/bench/msg/1.0.0", &ops, NULL);
    if (stream == NULL) {
        no_stream();
    }
    bench_stream_write(stream, head, sizeof(head));
    load_begin();
    fill(stream);
    load_until(&done, "messages are not answered");
    run.count = run.bytes / o->size;
    if (run.count != messages_sent) {
        load_fail("answers are missing");
    }
    load_end();
}

/* ---- short streams */

static struct {
    struct bench_link *link;
    const char *protocol;
    const void *body;
    size_t body_len;
    bool answered; /* as many bytes come back as were sent */
} shorts;

struct short_stream {
    lp2p_time begun;
    size_t got;
};

static void short_open(void);

static void on_short_data(struct bench_stream *stream, struct lp2p_span bytes)
{
    ((struct short_stream *)stream->user)->got += bytes.len;
}

static void on_short_end(struct bench_stream *stream, bool clean)
{
    struct short_stream *one = stream->user;
    if (clean && one->got == (shorts.answered ? shorts.body_len : 0)) {
        run.count++;
        bench_samples_add(&run.latencies, bench_now() - one->begun);
    } else {
        run.failed++;
    }
    free(one);
    open_streams--;
    if (!load_over()) {
        short_open();
    } else if (open_streams == 0) {
        done = true;
    }
}

static void short_open(void)
{
    static const struct bench_stream_ops ops = {.data = on_short_data, .ended = on_short_end};
    struct short_stream *one = calloc(1, sizeof(*one));
    struct bench_stream *stream = bench_stream_open(shorts.link, shorts.protocol, &ops, one);
    if (stream == NULL || one == NULL) {
        no_stream();
    } else {
        one->begun = bench_now();
        open_streams++;
        bench_stream_write(stream, shorts.body, shorts.body_len);
        bench_stream_close_write(stream);
    }
}

void load_streams(const char *protocol, const void *body, size_t body_len, bool answered)
{
    shorts.link = load_connect();
    shorts.protocol = protocol;
    shorts.body = body;
    shorts.body_len = body_len;
    shorts.answered = answered;
    load_begin();
    for (unsigned i = 0; i < run.options->parallel; i++) {
        short_open();
    }
    load_until(&done, "streams do not end");
    load_end();
}
