/* SPDX-License-Identifier: MIT
 * Loads of many connections: new ones, idle ones, slow readers. Each has a fresh identity. */
#include "load.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned open_links, ready_links, failed_links;
static bool done;

/** A connection counts when the peer's identify was read and ours was fetched: then both sides know each other. */
struct one {
    lp2p_time begun;
    bool asked, told; /* they have ours; we have theirs */
    size_t pong;      /* bytes of it, in a crowd */
};

static void check_identified(struct bench_link *link);

static void on_identify(struct bench_stream *stream, bool clean)
{
    struct one *one = stream->link->user;
    if (clean && stream->link->state == BENCH_LINK_OPEN) {
        one->told = true;
        check_identified(stream->link);
    }
}

static void on_identify_eof(struct bench_stream *stream)
{
    bench_stream_close_write(stream);
}

static void ask_identify(struct bench_link *link)
{
    static const struct bench_stream_ops ops = {.eof = on_identify_eof, .ended = on_identify};
    if (bench_stream_open(link, "/ipfs/id/1.0.0", &ops, NULL) == NULL) {
        load_fail("no stream for identify");
    }
}

static void on_asked(struct bench_link *link)
{
    struct one *one = link->user;
    one->asked = true;
    check_identified(link);
}

/* ---- new connections, one after the other in each of `parallel` places */

static void dial_next(void);

static void on_new_end(struct bench_link *link, const char *why)
{
    struct one *one = link->user;
    if (why[0] == '\0') {
        run.count++;
        bench_samples_add(&run.latencies, bench_now() - one->begun);
    } else {
        run.failed++;
    }
    free(one);
    open_links--;
    if (!load_over()) {
        dial_next();
    } else if (open_links == 0) {
        done = true;
    }
}

static const struct bench_link_ops NEW_OPS = {.ready = ask_identify, .ended = on_new_end, .identify_sent = on_asked};

static void dial_next(void)
{
    struct one *one = calloc(1, sizeof(*one));
    if (one == NULL) {
        load_fail("no memory");
    }
    open_links++;
    one->begun = bench_now();
    (void)bench_link_dial(&run.options->target, true, &NEW_OPS, one);
}

void load_connections(void)
{
    load_begin();
    for (unsigned i = 0; i < run.options->parallel; i++) {
        dial_next();
    }
    load_until(&done, "connections do not end");
    load_end();
}

/* ---- idle connections */

static void on_idle_end(struct bench_link *link, const char *why)
{
    (void)why;
    free(link->user);
    open_links--;
    failed_links++;
}

static const struct bench_link_ops IDLE_OPS = {.ready = ask_identify, .ended = on_idle_end, .identify_sent = on_asked};
static const struct bench_link_ops CROWD_OPS = {.ready = ask_identify, .ended = on_idle_end, .identify_sent = on_asked};
static void on_crowd_identified(struct bench_link *link);

static void check_identified(struct bench_link *link)
{
    struct one *one = link->user;
    if (!one->asked || !one->told) {
        return;
    }
    if (link->ops == &IDLE_OPS) {
        ready_links++;
    } else if (link->ops == &CROWD_OPS) {
        ready_links++;
        on_crowd_identified(link);
    } else {
        bench_link_close(link);
    }
}

/** One byte of standard input: 0 when there is none now, -1 at the end. */
static int input_byte(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char c;
    if (poll(&in, 1, 0) <= 0) {
        return 0;
    }
    return read(STDIN_FILENO, &c, 1) > 0 ? c : -1;
}

/** Dials up to `count` links, at most 16 at once, and reports; then stays until standard input ends. `on_line` may be NULL. */
static void hold(const struct bench_link_ops *ops, void (*on_line)(void))
{
    unsigned dialed = 0, count = run.options->count;
    lp2p_time end = bench_now() + LP2P_SEC(60);
    load_begin();
    while (ready_links + failed_links < count && bench_now() < end) {
        while (dialed < count && dialed - ready_links - failed_links < 16) {
            struct one *one = calloc(1, sizeof(*one));
            if (one == NULL) {
                load_fail("no memory");
            }
            dialed++;
            open_links++;
            (void)bench_link_dial(&run.options->target, true, ops, one);
        }
        bench_loop_step(100);
    }
    bench_print("held", "count", (double)ready_links, "failed", (double)failed_links, NULL);
    for (int c; (c = input_byte()) >= 0;) {
        if (c == '\n' && on_line != NULL) {
            on_line();
        }
        bench_loop_step(c == 0 ? 100 : 0);
    }
    run.count = open_links;
    load_end();
}

void load_idle(void)
{
    hold(&IDLE_OPS, NULL);
}

/* ---- a crowd: the same, each with a ping under way */

static struct bench_link **crowd;
static struct bench_stream **crowd_streams; /* opened when they are first used: until then the links are idle */
static unsigned crowd_len, crowd_waiting;

static void crowd_ping(struct bench_stream *stream)
{
    static const uint8_t bytes[32];
    struct one *one = stream->link->user;
    one->begun = bench_now();
    one->pong = 0;
    crowd_waiting++;
    bench_stream_write(stream, bytes, sizeof(bytes));
}

static void on_crowd_pong(struct bench_stream *stream, struct lp2p_span bytes)
{
    struct one *one = stream->link->user;
    one->pong += bytes.len;
    if (one->pong < 32) {
        return;
    }
    bench_samples_add(&run.latencies, bench_now() - one->begun);
    run.count++;
    crowd_waiting--;
    if (!load_over()) {
        crowd_ping(stream);
    } else if (crowd_waiting == 0) {
        done = true;
    }
}

static void on_crowd_lost(struct bench_stream *stream, bool clean)
{
    (void)stream;
    (void)clean;
    load_fail("a stream of a crowd was ended by the peer");
}

static struct bench_stream *crowd_stream(unsigned i)
{
    static const struct bench_stream_ops ops = {.data = on_crowd_pong, .ended = on_crowd_lost};
    if (crowd_streams[i] == NULL) {
        crowd_streams[i] = bench_stream_open(crowd[i], "/ipfs/ping/1.0.0", &ops, NULL);
    }
    if (crowd_streams[i] == NULL) {
        load_fail("no stream for a ping");
    }
    return crowd_streams[i];
}

static void crowd_goes(void)
{
    done = false;
    run.latencies.len = 0;
    load_begin();
    for (unsigned i = 0; i < crowd_len; i++) {
        crowd_ping(crowd_stream(i));
    }
    load_until(&done, "pings of a crowd are not answered");
    load_end();
}

static void on_crowd_identified(struct bench_link *link)
{
    crowd[crowd_len++] = link;
}

void load_crowd(void)
{
    crowd = calloc(run.options->count, sizeof(struct bench_link *));
    crowd_streams = calloc(run.options->count, sizeof(struct bench_stream *));
    if (crowd == NULL || crowd_streams == NULL) {
        load_fail("no memory");
    }
    hold(&CROWD_OPS, crowd_goes);
}

/* ---- slow readers: each asks for more than any window and reads nothing */

static void on_slow_ready(struct bench_link *link)
{
    static const struct bench_stream_ops ops = {0};
    static const uint8_t head[8] = {0, 0, 0, 0, 0x40, 0, 0, 0}; /* 1 GiB */
    struct bench_stream *stream = bench_stream_open(link, "/perf/1.0.0", &ops, NULL);
    if (stream == NULL) {
        load_fail("no stream");
    } else {
        bench_stream_write(stream, head, sizeof(head));
        bench_stream_close_write(stream);
        stream->paused = true;
        ready_links++;
    }
}

void load_slow(void)
{
    static const struct bench_link_ops ops = {.ready = on_slow_ready, .ended = on_idle_end};
    hold(&ops, NULL);
}
