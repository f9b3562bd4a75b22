/* SPDX-License-Identifier: MIT
 * Requests of /lotus/kad/1.0.0: on each stream one after the other, each with its answer. */
#include "load.h"

#include "dht/codec.h"
#include "wire/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX 512

struct kad_stream {
    struct lp2p_frame_reader reader;
    lp2p_time sent;
    uint64_t turn;
};

static enum lp2p_kad_type type;
static struct lp2p_rand_seeded random_state;
static unsigned open_streams;
static bool done;

static size_t record_of(const char *key, uint8_t *out)
{
    /* Record: key 1, value 2. */
    size_t len = 0, key_len = strlen(key);
    out[len++] = 0x0a;
    out[len++] = (uint8_t)key_len;
    memcpy(out + len, key, key_len);
    len += key_len;
    out[len++] = 0x12;
    out[len++] = 100;
    memset(out + len, 'v', 100);
    return len + 100;
}

/** Message: type 1, key 2, record 3; with its length. */
static size_t request_of(uint64_t turn, uint8_t *out)
{
    uint8_t body[REQUEST_MAX], record[256];
    char key[64];
    size_t len = 0, key_len = 32;
    if (type == LP2P_KAD_FIND_NODE) {
        struct lp2p_rand source = lp2p_rand_seeded_source(&random_state);
        lp2p_rand_fill(&source, key, key_len);
    } else {
        key_len = (size_t)snprintf(key, sizeof(key), "resource:bench:%06u", (unsigned)(turn % run.options->count));
    }
    if (type != LP2P_KAD_PUT_VALUE) {
        body[len++] = 0x08;
        body[len++] = (uint8_t)type;
    }
    body[len++] = 0x12;
    body[len++] = (uint8_t)key_len;
    memcpy(body + len, key, key_len);
    len += key_len;
    if (type == LP2P_KAD_PUT_VALUE) {
        size_t record_len = record_of(key, record);
        body[len++] = 0x1a;
        body[len++] = (uint8_t)record_len; /* below 128: one byte */
        LP2P_CHECK(record_len < 128);
        memcpy(body + len, record, record_len);
        len += record_len;
    }
    size_t prefix = lp2p_frame_prefix(out, len);
    memcpy(out + prefix, body, len);
    return prefix + len;
}

static void ask(struct bench_stream *stream)
{
    struct kad_stream *kad = stream->user;
    uint8_t out[REQUEST_MAX + 9];
    size_t len = request_of(kad->turn++, out);
    kad->sent = bench_now();
    bench_stream_write(stream, out, len);
}

static bool answer_is_good(struct lp2p_span message)
{
    static struct lp2p_kad_message decoded;
    if (lp2p_kad_message_decode(message, &decoded) != LP2P_OK || decoded.type != type) {
        return false;
    }
    if (type == LP2P_KAD_FIND_NODE) {
        run.bytes += message.len;
        return decoded.closer_len > 0;
    }
    return decoded.record.ptr != NULL;
}

static void on_answer(struct bench_stream *stream, struct lp2p_span bytes)
{
    struct kad_stream *kad = stream->user;
    struct lp2p_span message;
    while (lp2p_frame_read(&kad->reader, &bytes, &message) == LP2P_OK) {
        bench_samples_add(&run.latencies, bench_now() - kad->sent);
        run.count++;
        if (!answer_is_good(message)) {
            run.failed++;
        }
        if (load_over()) {
            bench_stream_close_write(stream);
            return;
        }
        ask(stream);
    }
}

static void on_end(struct bench_stream *stream, bool clean)
{
    struct kad_stream *kad = stream->user;
    if (!clean && !load_over()) {
        load_fail("a stream of kad was ended by the peer");
    }
    lp2p_frame_reader_fini(&kad->reader);
    free(kad);
    if (--open_streams == 0) {
        done = true;
    }
}

void load_kad(void)
{
    static const struct bench_stream_ops ops = {.data = on_answer, .ended = on_end};
    const char *kind = run.options->kind;
    type = kind[0] == 'f' ? LP2P_KAD_FIND_NODE : kind[0] == 'g' ? LP2P_KAD_GET_VALUE : LP2P_KAD_PUT_VALUE;
    lp2p_rand_seeded_init(&random_state, 1);
    struct bench_link *link = load_connect();
    load_begin();
    for (unsigned i = 0; i < run.options->parallel; i++) {
        struct kad_stream *kad = calloc(1, sizeof(*kad));
        struct bench_stream *stream =
            bench_stream_open(link, run.options->protocol != NULL ? run.options->protocol : "/lotus/kad/1.0.0", &ops, kad);
        if (kad == NULL || stream == NULL) {
            load_fail("no stream for kad");
        } else {
            open_streams++;
            kad->turn = i * 7919u;
            lp2p_frame_reader_init(&kad->reader, 64 * 1024);
            ask(stream);
        }
    }
    load_until(&done, "requests are not answered");
    load_end();
}
