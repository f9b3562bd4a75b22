/* SPDX-License-Identifier: MIT
 * The common load client of the bench: puts one kind of load on one server and prints what it got and what the server
 * paid, as one JSON line.
 *
 *   bench_load KIND --addr MULTIADDR [--pid SERVER] [--seconds S] [--parallel N] [--count N] [--size BYTES] [--depth N] */
#include "load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct load_run run;

static const char USAGE[] =
    "usage: bench_load KIND --addr MULTIADDR [options]\n"
    "  up, down      /perf/1.0.0 on --parallel streams for --seconds\n"
    "  ping          round trips, one after the other\n"
    "  messages      /bench/msg/1.0.0: messages of --size bytes, --depth of them under way\n"
    "  streams       /echo/1.0.0: open, 1 KiB, half-close, answer, close; --parallel at once\n"
    "  lotus         /lotus/message/1.0.0: a stream for each message of --size bytes, --parallel at once\n"
    "  connections   dial, upgrade, identify, close with a fresh identity; --parallel at once\n"
    "  idle          holds --count connections, each with a fresh identity, until standard input ends\n"
    "  crowd         as idle; then each line on standard input lets all of them ping for --seconds\n"
    "  slow          --count connections that ask for a download and do not read, until standard input ends\n"
    "  findnode, get, put   /lotus/kad/1.0.0: requests on --parallel streams; get and put use --count keys\n"
    "  --pid PID     the server's process: its CPU time and context switches are in the result\n"
    "  --counters F  the file in which the server counts its allocations: their number is in the result\n";

void load_fail(const char *what)
{
    (void)fprintf(stderr, "load: %s\n", what);
    exit(1);
}

void load_begin(void)
{
    run.allocs_before = bench_counted(run.options->counters);
    run.before = bench_cost_of(run.options->pid);
    run.begun = bench_now();
    run.end_at = run.begun + (lp2p_time)(run.options->seconds * 1e9);
    run.count = run.bytes = 0;
}

void load_end(void)
{
    double seconds = (double)(bench_now() - run.begun) / 1e9;
    struct bench_cost after = bench_cost_of(run.options->pid);
    uint64_t allocs = bench_counted(run.options->counters) - run.allocs_before;
    struct bench_cost own = bench_cost_of(getpid());
    bench_print("result", "seconds", seconds, "count", (double)run.count, "bytes", (double)run.bytes, "failed",
                (double)run.failed, "p50_us", bench_samples_at(&run.latencies, 0.5) / 1e3, "p99_us",
                bench_samples_at(&run.latencies, 0.99) / 1e3, "server_cpu_s",
                (double)(after.cpu_ns - run.before.cpu_ns) / 1e9, "server_switches",
                (double)after.switches - (double)run.before.switches, "server_wakes",
                (double)after.wakes - (double)run.before.wakes, "server_threads", (double)after.threads, "server_allocs",
                (double)allocs, "client_cpu_s", (double)own.cpu_ns / 1e9, NULL);
}

static void on_ready(struct bench_link *link)
{
    *(bool *)link->user = true;
}

static void on_ended(struct bench_link *link, const char *why)
{
    (void)link;
    load_fail(why);
}

struct bench_link *load_connect(void)
{
    static const struct bench_link_ops ops = {.ready = on_ready, .ended = on_ended};
    static bool ready;
    ready = false;
    struct bench_link *link = bench_link_dial(&run.options->target, false, &ops, &ready);
    load_until(&ready, "no connection within 30 s");
    return link;
}

void load_until(const bool *flag, const char *what)
{
    lp2p_time end = bench_now() + LP2P_SEC(30) + (lp2p_time)(run.options->seconds * 1e9);
    while (!*flag) {
        bench_loop_step(100);
        if (bench_now() > end) {
            load_fail(what);
        }
    }
}

static void parse(int argc, char **argv, struct load_options *options)
{
    static const struct option names[] = {
        {"addr", required_argument, NULL, 'a'}, {"pid", required_argument, NULL, 'p'}, {"seconds", required_argument, NULL, 's'},
        {"parallel", required_argument, NULL, 'n'}, {"count", required_argument, NULL, 'c'}, {"size", required_argument, NULL, 'b'},
        {"depth", required_argument, NULL, 'd'},
        {"counters", required_argument, NULL, 'C'},
        {"protocol", required_argument, NULL, 'P'}, {"help", no_argument, NULL, 'h'}, {0},
    };
    const char *addr = NULL;
    for (int c; (c = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
        switch (c) {
        case 'a': addr = optarg; break;
        case 'p': options->pid = (pid_t)strtol(optarg, NULL, 10); break;
        case 's': options->seconds = strtod(optarg, NULL); break;
        case 'n': options->parallel = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'c': options->count = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'b': options->size = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'd': options->depth = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'P': options->protocol = optarg; break;
        case 'C': options->counters = optarg; break;
        default: (void)fputs(USAGE, c == 'h' ? stdout : stderr); exit(c == 'h' ? 0 : 2);
        }
    }
    if (optind + 1 != argc || addr == NULL || options->parallel == 0) {
        (void)fputs(USAGE, stderr);
        exit(2);
    }
    options->kind = argv[optind];
    if (!bench_target_parse(addr, &options->target)) {
        exit(2);
    }
}

static void lotus(void)
{
    static char body[100000];
    size_t size = run.options->size < sizeof(body) ? run.options->size : sizeof(body);
    int len = snprintf(body, sizeof(body), "{\"type\":\"data-message\",\"from\":\"12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN\","
                       "\"timestamp\":1764000000000,\"messageId\":\"bench-1\",\"payload\":{\"seq\":1}}");
    if ((size_t)len < size) {
        memset(body + len, ' ', size - (size_t)len);
    } else {
        size = (size_t)len;
    }
    load_streams("/lotus/message/1.0.0", body, size, false);
}

int main(int argc, char **argv)
{
    static struct load_options options = {.seconds = 2, .parallel = 1, .count = 100, .size = 128, .depth = 256};
    static uint8_t kilobyte[1024];
    parse(argc, argv, &options);
    run.options = &options;
    bench_loop_init();
    if (strcmp(options.kind, "up") == 0 || strcmp(options.kind, "down") == 0) {
        load_bulk(options.kind[0] == 'u');
    } else if (strcmp(options.kind, "ping") == 0) {
        load_ping();
    } else if (strcmp(options.kind, "messages") == 0) {
        load_messages();
    } else if (strcmp(options.kind, "streams") == 0) {
        load_streams(options.protocol != NULL ? options.protocol : "/echo/1.0.0", kilobyte, sizeof(kilobyte), true);
    } else if (strcmp(options.kind, "lotus") == 0) {
        lotus();
    } else if (strcmp(options.kind, "connections") == 0) {
        load_connections();
    } else if (strcmp(options.kind, "idle") == 0) {
        load_idle();
    } else if (strcmp(options.kind, "crowd") == 0) {
        load_crowd();
    } else if (strcmp(options.kind, "slow") == 0) {
        load_slow();
    } else if (strcmp(options.kind, "findnode") == 0 || strcmp(options.kind, "get") == 0 || strcmp(options.kind, "put") == 0) {
        load_kad();
    } else {
        (void)fputs(USAGE, stderr);
        return 2;
    }
    return 0;
}
