/* SPDX-License-Identifier: MIT
 * Loads of our own node, over its public interface, on streams. */
#include "node.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** One of several threads that do the same. */
struct worker {
    const struct node_load *load;
    uint64_t begun, end_at;
    pthread_t thread;
    struct node_result result;
};

static bool over(const struct worker *w)
{
    return node_now_ns() >= w->end_at;
}

static void bulk(struct worker *w)
{
    static const uint8_t zeros[NODE_BLOCK_BYTES];
    uint8_t head[8] = {0}, *block = malloc(NODE_BLOCK_BYTES);
    bool up = strcmp(w->load->kind, "up") == 0;
    enum lp2p_err err;
    struct lp2p_stream *stream = node_open(w->load->node, w->load->peer, "/perf/1.0.0", &err);
    if (!up) {
        memset(head + 1, 0xff, 7);
        head[1] = 0x1f; /* 2^53 - 1 */
    }
    if (stream != NULL) {
        err = node_write_all(stream, head, sizeof(head));
    }
    while (up && err == LP2P_OK && !over(w)) {
        err = node_write_all(stream, zeros, sizeof(zeros));
        w->result.bytes += sizeof(zeros);
    }
    err = err == LP2P_OK ? lp2p_stream_close_write(stream) : err;
    for (size_t got = 1; block != NULL && err == LP2P_OK && got > 0 && (up || !over(w));) {
        err = lp2p_stream_read(stream, block, NODE_BLOCK_BYTES, 30000, &got);
        w->result.bytes += err == LP2P_OK ? got : 0;
    }
    if (err != LP2P_OK) {
        node_fail(&w->result, "bulk", err, NULL);
    }
    if (stream != NULL && !up) {
        lp2p_stream_reset(stream);
    }
    w->result.count = 1;
    lp2p_stream_free(stream);
    free(block);
}

static void ping(struct worker *w)
{
    uint8_t sent[32] = {0}, back[32];
    enum lp2p_err err;
    struct lp2p_stream *stream = node_open(w->load->node, w->load->peer, "/ipfs/ping/1.0.0", &err);
    while (err == LP2P_OK && !over(w)) {
        uint64_t start = node_now_ns();
        sent[0]++;
        err = node_write_all(stream, sent, sizeof(sent));
        err = err == LP2P_OK ? node_read_all(stream, back, sizeof(back)) : err;
        bench_samples_add(&w->result.latencies, node_now_ns() - start);
        w->result.count++;
    }
    if (err != LP2P_OK) {
        node_fail(&w->result, "ping", err, NULL);
    }
    lp2p_stream_free(stream);
}

struct sender {
    struct worker *w;
    struct lp2p_stream *stream;
    uint64_t sent, answered; /* messages; atomic */
};

/** Sends while fewer than `depth` messages are under way; the reader wakes nobody, so this thread polls by yielding. */
static void *send_messages(void *arg)
{
    struct sender *s = arg;
    const struct node_load *l = s->w->load;
    uint8_t *message = calloc(1, l->size);
    enum lp2p_err err = message != NULL ? LP2P_OK : LP2P_ENOMEM;
    while (err == LP2P_OK && !over(s->w)) {
        if (s->sent - __atomic_load_n(&s->answered, __ATOMIC_ACQUIRE) >= l->depth) {
            (void)sched_yield();
            continue;
        }
        err = node_write_all(s->stream, message, l->size);
        s->sent++;
    }
    (void)lp2p_stream_close_write(s->stream);
    free(message);
    return NULL;
}

static void messages(struct worker *w)
{
    const struct node_load *l = w->load;
    uint8_t head[4] = {(uint8_t)(l->size >> 24), (uint8_t)(l->size >> 16), (uint8_t)(l->size >> 8), (uint8_t)l->size};
    uint8_t *block = malloc(NODE_BLOCK_BYTES);
    enum lp2p_err err;
    struct sender s = {.w = w, .stream = node_open(l->node, l->peer, "/bench/msg/1.0.0", &err)};
    pthread_t thread;
    size_t got = 1;
    err = s.stream != NULL ? node_write_all(s.stream, head, sizeof(head)) : err;
    if (block == NULL || err != LP2P_OK || pthread_create(&thread, NULL, send_messages, &s) != 0) {
        node_fail(&w->result, "messages", err, NULL);
        free(block);
        return;
    }
    while (err == LP2P_OK && got > 0) {
        err = lp2p_stream_read(s.stream, block, NODE_BLOCK_BYTES, 30000, &got);
        w->result.bytes += err == LP2P_OK ? got : 0;
        __atomic_store_n(&s.answered, w->result.bytes / l->size, __ATOMIC_RELEASE);
    }
    (void)pthread_join(thread, NULL);
    w->result.count = w->result.bytes / l->size;
    if (err != LP2P_OK) {
        node_fail(&w->result, "messages", err, NULL);
    }
    lp2p_stream_free(s.stream);
    free(block);
}

static void short_streams(struct worker *w)
{
    uint8_t kilobyte[1024] = {0}, back[1024];
    while (!over(w) && w->result.error[0] == '\0') {
        enum lp2p_err err;
        size_t got = 0;
        struct lp2p_stream *stream = node_open(w->load->node, w->load->peer, "/echo/1.0.0", &err);
        err = stream != NULL ? node_write_all(stream, kilobyte, sizeof(kilobyte)) : err;
        err = err == LP2P_OK ? lp2p_stream_close_write(stream) : err;
        err = err == LP2P_OK ? node_read_all(stream, back, sizeof(back)) : err;
        err = err == LP2P_OK ? lp2p_stream_read(stream, back, sizeof(back), 30000, &got) : err;
        if (err != LP2P_OK) {
            node_fail(&w->result, "stream", err, NULL);
        }
        lp2p_stream_free(stream);
        w->result.count++;
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    const char *kind = w->load->kind;
    if (strcmp(kind, "ping") == 0) {
        ping(w);
    } else if (strcmp(kind, "messages") == 0) {
        messages(w);
    } else if (strcmp(kind, "streams") == 0) {
        short_streams(w);
    } else {
        bulk(w);
    }
    return NULL;
}

void node_load_streams(const struct node_load *load, struct node_result *result)
{
    unsigned n = load->parallel > 0 && load->parallel <= 256 ? load->parallel : 1;
    struct worker *workers = calloc(n, sizeof(*workers));
    if (workers == NULL) {
        node_fail(result, "load", LP2P_ENOMEM, NULL);
        return;
    }
    uint64_t begun = node_now_ns();
    for (unsigned i = 0; i < n; i++) {
        workers[i].load = load;
        workers[i].begun = begun;
        workers[i].end_at = begun + (uint64_t)(load->seconds * 1e9);
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            node_fail(result, "thread", LP2P_EIO, NULL);
            n = i;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        struct node_result *one = &workers[i].result;
        (void)pthread_join(workers[i].thread, NULL);
        result->count += one->count;
        result->bytes += one->bytes;
        for (size_t k = 0; k < one->latencies.len; k++) {
            bench_samples_add(&result->latencies, one->latencies.values[k]);
        }
        free(one->latencies.values);
        if (one->error[0] != '\0') {
            (void)memcpy(result->error, one->error, sizeof(result->error));
        }
    }
    result->seconds = (double)(node_now_ns() - begun) / 1e9;
    free(workers);
}
