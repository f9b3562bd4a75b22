/* SPDX-License-Identifier: MIT
 * The unified contract: everything in the environment; listener and dialer meet through redis; the dialer
 * prints three blocks of YAML: upload and download in Gbps, latency in ms. */
#include "perf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REDIS_WAIT_NS 60000000000u

/* ---- statistics of a block */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, size_t n, double p)
{
    double at = p * (double)(n - 1);
    size_t low = (size_t)at, high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (sorted[high] - sorted[low]) * (at - (double)low);
}

static void print_list(const char *name, const double *values, size_t n, int decimals)
{
    (void)printf("  %s: [", name);
    for (size_t i = 0; i < n; i++) {
        (void)printf("%s%.*f", i > 0 ? ", " : "", decimals, values[i]);
    }
    (void)printf("]\n");
}

static void print_block(const char *name, const double *samples, size_t n, int decimals, const char *unit)
{
    double *sorted = calloc(n, sizeof(double)), *outliers = calloc(n, sizeof(double));
    size_t outliers_len = 0;
    if (sorted == NULL || outliers == NULL) {
        contract_die("results", "no memory");
    }
    memcpy(sorted, samples, n * sizeof(double));
    qsort(sorted, n, sizeof(double), by_size);
    double q1 = percentile(sorted, n, 0.25), median = percentile(sorted, n, 0.5),
           q3 = percentile(sorted, n, 0.75);
    double low = q1 - 1.5 * (q3 - q1), high = q3 + 1.5 * (q3 - q1), min = sorted[n - 1], max = sorted[0];
    for (size_t i = 0; i < n; i++) {
        if (sorted[i] < low || sorted[i] > high) {
            outliers[outliers_len++] = sorted[i];
        } else {
            min = sorted[i] < min ? sorted[i] : min;
            max = sorted[i] > max ? sorted[i] : max;
        }
    }
    (void)printf("%s:\n  iterations: %zu\n  min: %.*f\n  q1: %.*f\n  median: %.*f\n  q3: %.*f\n  max: %.*f\n",
                 name, n, decimals, min, decimals, q1, decimals, median, decimals, q3, decimals, max);
    print_list("outliers", outliers, outliers_len, decimals);
    print_list("samples", samples, n, decimals);
    (void)printf("  unit: %s\n", unit);
    (void)fflush(stdout);
    free(sorted);
    free(outliers);
}

/** `iterations` transfers of the same size; throughput in Gbps, or the time in ms for a latency. */
static void block(struct lp2p_node *node, const char *peer, const char *name, uint64_t up, uint64_t down,
                  uint64_t iterations, bool latency)
{
    double *samples = calloc(iterations, sizeof(double));
    if (samples == NULL || iterations == 0) {
        contract_die(name, "no iterations, or no memory");
    }
    for (uint64_t i = 0; i < iterations; i++) {
        uint64_t begun = contract_now_ns();
        perf_transfer(node, peer, up, down, NULL);
        double ns = (double)(contract_now_ns() - begun);
        samples[i] = latency ? ns / 1e6 : (double)(up > down ? up : down) * 8 / ns;
    }
    print_block(name, samples, iterations, latency ? 3 : 2, latency ? "ms" : "Gbps");
    free(samples);
}

/* ---- both roles */

int perf_unified(void)
{
    const char *dialer = contract_variable("IS_DIALER", NULL),
               *redis = contract_variable("REDIS_ADDR", "redis:6379");
    const char *test = contract_variable("TEST_KEY", NULL),
               *security = contract_variable("SECURE_CHANNEL", NULL);
    const char *muxer = contract_variable("MUXER", NULL), *transport = contract_variable("TRANSPORT", "tcp");
    bool log = strcmp(contract_variable("DEBUG", "false"), "true") == 0;
    char key[128], listen[LP2P_ADDR_TEXT_MAX], peer[LP2P_PEER_TEXT_MAX];
    if (dialer == NULL || test == NULL) {
        contract_die("environment", "IS_DIALER and TEST_KEY are needed (perf --help for the other contract)");
    }
    (void)snprintf(key, sizeof(key), "%s_listener_multiaddr", test);
    contract_listen(transport, contract_variable("LISTENER_IP", "0.0.0.0"), listen);
    if (strcmp(dialer, "true") != 0) {
        struct lp2p_node *node = contract_start(&(struct contract_setup){
            .listen = listen, .security = security, .muxers = muxer, .serve = "perf", .log = log});
        contract_redis_set(redis, key, contract_published(node), contract_now_ns() + REDIS_WAIT_NS);
        int code = contract_wait_end(UINT64_MAX); /* the harness ends it */
        lp2p_node_free(node);
        return code;
    }
    struct lp2p_node *node =
        contract_start(&(struct contract_setup){.security = security, .muxers = muxer, .log = log});
    char *addr = contract_redis_get(redis, key, contract_now_ns() + REDIS_WAIT_NS);
    contract_connect(node, addr, PERF_WAIT_MS, peer);
    free(addr);
    block(node, peer, "upload", contract_number("UPLOAD_BYTES", 1073741824), 0,
          contract_number("UPLOAD_ITERATIONS", 10), false);
    block(node, peer, "download", 0, contract_number("DOWNLOAD_BYTES", 1073741824),
          contract_number("DOWNLOAD_ITERATIONS", 10), false);
    block(node, peer, "latency", 1, 1, contract_number("LATENCY_ITERATIONS", 100), true);
    lp2p_node_free(node);
    return 0;
}
