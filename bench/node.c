/* SPDX-License-Identifier: MIT
 * Our node as a peer of the bench: JSON lines in and out, the same language as the go and rust peers.
 *
 *   bench_node OPTIONS      OPTIONS is one JSON object: listen [..], kad "server"|"client"|"off", connections_max,
 *                           io_threads (0: a thread for each connection), cipher "libgcrypt"|"libcrypto"|"libsodium",
 *                           muxer "apart", counters FILE, trim false (default: memory is given back after the start) */
#include "node.h"

#include "noise/aead.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t node_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void node_fail(struct node_result *result, const char *what, enum lp2p_err err, const char *detail)
{
    (void)snprintf(result->error, sizeof(result->error), "%s: %s %s", what, lp2p_strerror(err), detail != NULL ? detail : "");
}

_Noreturn static void die(const char *what, const char *detail)
{
    (void)fprintf(stderr, "bench_node: %s: %s\n", what, detail);
    exit(1);
}

static void print_doc(yyjson_mut_doc *doc)
{
    char *text = yyjson_mut_write(doc, 0, NULL);
    if (text != NULL) {
        (void)puts(text);
        (void)fflush(stdout);
    }
    free(text);
    yyjson_mut_doc_free(doc);
}

/** What is no option of a node, but of the program that it is in. */
static void set_parameters(yyjson_val *options)
{
    const char *cipher = yyjson_get_str(yyjson_obj_get(options, "cipher"));
    const char *muxer = yyjson_get_str(yyjson_obj_get(options, "muxer"));
    const char *counters = yyjson_get_str(yyjson_obj_get(options, "counters"));
    lp2p_noise_library_init();
    if (cipher != NULL && lp2p_noise_cipher(cipher) != LP2P_OK) {
        die("no such cipher", cipher);
    }
    if (muxer != NULL && strcmp(muxer, "apart") == 0) {
        node_muxer_apart();
    }
    if (counters != NULL) {
        (void)node_count_allocations(counters);
    }
}

static struct lp2p_node *node_start(yyjson_val *options)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX] = "";
    yyjson_val *listen = yyjson_obj_get(options, "listen"), *io = yyjson_obj_get(options, "io_threads");
    yyjson_val *max = yyjson_obj_get(options, "connections_max");
    const char *kad = yyjson_get_str(yyjson_obj_get(options, "kad"));
    enum lp2p_err err = config == NULL ? LP2P_ENOMEM : LP2P_OK;
    if (err == LP2P_OK && yyjson_arr_size(listen) == 0 && !yyjson_get_bool(yyjson_obj_get(options, "dial_only"))) {
        err = lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0");
    }
    for (size_t i = 0; err == LP2P_OK && i < yyjson_arr_size(listen); i++) {
        err = lp2p_config_listen(config, yyjson_get_str(yyjson_arr_get(listen, i)));
    }
    if (err != LP2P_OK || lp2p_config_dht(config, kad != NULL ? kad : "off", NULL) != LP2P_OK ||
        lp2p_config_connections(config, 1, max != NULL ? (unsigned)yyjson_get_uint(max) : 4000) != LP2P_OK ||
        (io != NULL && lp2p_config_io_threads(config, (unsigned)yyjson_get_uint(io)) != LP2P_OK) ||
        lp2p_config_serve(config, "echo,perf") != LP2P_OK) {
        die("options", config != NULL ? lp2p_config_detail(config) : "no memory");
    }
    if (lp2p_node_new(config, &node, detail) != LP2P_OK || node_serve_messages(node) != LP2P_OK ||
        lp2p_node_start(node, detail) != LP2P_OK) {
        die("start", detail);
    }
    lp2p_config_free(config);
    return node;
}

static void put_info(yyjson_mut_doc *doc, struct lp2p_node *node)
{
    static char addrs[16][LP2P_ADDR_TEXT_MAX];
    size_t len = lp2p_node_addrs(node, addrs, 16);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc), *list = yyjson_mut_arr(doc);
    for (size_t i = 0; i < len && i < 16; i++) {
        (void)yyjson_mut_arr_add_strcpy(doc, list, addrs[i]);
    }
    (void)yyjson_mut_obj_add_strcpy(doc, root, "peer", lp2p_node_peer_id(node));
    (void)yyjson_mut_obj_add_val(doc, root, "addrs", list);
    (void)yyjson_mut_obj_add_str(doc, root, "cipher", lp2p_noise_cipher_name());
}

static void put_result(yyjson_mut_doc *doc, struct node_result *r)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    if (r->error[0] != '\0') {
        yyjson_mut_val *error = yyjson_mut_obj(doc);
        (void)yyjson_mut_obj_add_strcpy(doc, error, "name", "Error");
        (void)yyjson_mut_obj_add_strcpy(doc, error, "text", r->error);
        (void)yyjson_mut_obj_add_val(doc, root, "error", error);
        return;
    }
    (void)yyjson_mut_obj_add_uint(doc, root, "count", r->count);
    (void)yyjson_mut_obj_add_uint(doc, root, "bytes", r->bytes);
    (void)yyjson_mut_obj_add_uint(doc, root, "failed", r->failed);
    (void)yyjson_mut_obj_add_real(doc, root, "seconds", r->seconds);
    (void)yyjson_mut_obj_add_real(doc, root, "p50_us", bench_samples_at(&r->latencies, 0.5) / 1e3);
    (void)yyjson_mut_obj_add_real(doc, root, "p99_us", bench_samples_at(&r->latencies, 0.99) / 1e3);
}

static unsigned number(yyjson_val *command, const char *name, unsigned otherwise)
{
    yyjson_val *value = yyjson_obj_get(command, name);
    return value != NULL ? (unsigned)yyjson_get_uint(value) : otherwise;
}

static void load(struct lp2p_node *node, yyjson_val *command, struct node_result *result)
{
    yyjson_val *seconds = yyjson_obj_get(command, "seconds");
    struct node_load l = {.node = node,
                          .kind = yyjson_get_str(yyjson_obj_get(command, "kind")),
                          .addr = yyjson_get_str(yyjson_obj_get(command, "addr")),
                          .seconds = seconds != NULL ? yyjson_get_num(seconds) : 2,
                          .parallel = number(command, "parallel", 1),
                          .count = number(command, "count", 100),
                          .size = number(command, "size", 128),
                          .depth = number(command, "depth", 256)};
    if (l.kind == NULL) {
        (void)snprintf(result->error, sizeof(result->error), "kind is missing");
        return;
    }
    const char *id = l.addr != NULL ? strrchr(l.addr, '/') : NULL;
    if (id != NULL) {
        (void)snprintf(l.peer, sizeof(l.peer), "%s", id + 1);
    }
    node_run_load(&l, result);
}

static void dial(struct lp2p_node *node, yyjson_val *command, struct node_result *result)
{
    const char *addr = yyjson_get_str(yyjson_obj_get(command, "addr"));
    struct lp2p_op *op = NULL, *done = NULL;
    enum lp2p_err err = lp2p_node_connect(node, addr != NULL ? addr : "", &op);
    err = err == LP2P_OK ? node_wait(op, &done) : err;
    if (err != LP2P_OK) {
        node_fail(result, "dial", err, done != NULL ? lp2p_op_detail(done) : "");
    }
    lp2p_op_free(done);
}

static void actors(yyjson_mut_doc *doc, struct lp2p_node *node)
{
    static struct lp2p_actor_info infos[64];
    size_t len = lp2p_node_actors(node, infos, 64);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc), *list = yyjson_mut_arr(doc);
    for (size_t i = 0; i < len && i < 64; i++) {
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, list);
        (void)yyjson_mut_obj_add_strcpy(doc, one, "id", infos[i].id);
        (void)yyjson_mut_obj_add_strcpy(doc, one, "thread", infos[i].thread);
        (void)yyjson_mut_obj_add_uint(doc, one, "msgs_in", infos[i].msgs_in);
        (void)yyjson_mut_obj_add_uint(doc, one, "turns", infos[i].turns);
        (void)yyjson_mut_obj_add_uint(doc, one, "busy_ns", infos[i].busy_ns);
    }
    (void)yyjson_mut_obj_add_val(doc, root, "actors", list);
}

static void answer(struct lp2p_node *node, yyjson_val *command)
{
    struct node_result result = {0};
    struct lp2p_stats stats;
    const char *cmd = yyjson_get_str(yyjson_obj_get(command, "cmd"));
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    cmd = cmd != NULL ? cmd : "";
    if (strcmp(cmd, "info") == 0) {
        put_info(doc, node);
    } else if (strcmp(cmd, "count") == 0 && lp2p_node_stats(node, &stats) == LP2P_OK) {
        (void)yyjson_mut_obj_add_uint(doc, root, "messages", stats.messages_in);
        (void)yyjson_mut_obj_add_uint(doc, root, "connections", stats.connections);
        (void)yyjson_mut_obj_add_uint(doc, root, "dht_peers", stats.dht_peers);
        (void)yyjson_mut_obj_add_uint(doc, root, "threads", stats.threads);
    } else if (strcmp(cmd, "actors") == 0) {
        actors(doc, node);
    } else if (strcmp(cmd, "kad.fill") == 0) {
        enum lp2p_err err = node_fill_table(node, number(command, "count", 1000));
        if (err != LP2P_OK) {
            node_fail(&result, "fill", err, NULL);
        }
    } else if (strcmp(cmd, "dial") == 0) {
        dial(node, command, &result);
    } else if (strcmp(cmd, "load") == 0) {
        load(node, command, &result);
        put_result(doc, &result);
    } else if (strcmp(cmd, "quiet") != 0) {
        (void)snprintf(result.error, sizeof(result.error), "unknown command %.100s", cmd);
    }
    if (result.error[0] != '\0' && strcmp(cmd, "load") != 0) {
        put_result(doc, &result);
    }
    (void)yyjson_mut_obj_add_bool(doc, root, "ok", result.error[0] == '\0');
    (void)yyjson_mut_obj_add_val(doc, root, "id", yyjson_val_mut_copy(doc, yyjson_obj_get(command, "id")));
    free(result.latencies.values);
    print_doc(doc);
}

/** Events are taken and thrown away, as a user does who reads them. */
static void on_event(void *user, struct lp2p_node *node, const struct lp2p_event *event)
{
    (void)user;
    (void)node;
    (void)event;
}

int main(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : "{}";
    yyjson_doc *options = yyjson_read(text, strlen(text), 0);
    if (options == NULL) {
        (void)fprintf(stderr, "usage: bench_node OPTIONS (one JSON object)\n");
        return 2;
    }
    set_parameters(yyjson_doc_get_root(options));
    struct lp2p_node *node = node_start(yyjson_doc_get_root(options));
    (void)lp2p_node_on_event(node, on_event, NULL);
    yyjson_val *trim = yyjson_obj_get(yyjson_doc_get_root(options), "trim");
    if (trim == NULL || yyjson_get_bool(trim)) {
        lp2p_process_trim();
    }
    yyjson_mut_doc *ready = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(ready, yyjson_mut_obj(ready));
    (void)yyjson_mut_obj_add_str(ready, yyjson_mut_doc_get_root(ready), "event", "ready");
    put_info(ready, node);
    print_doc(ready);
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) > 0) {
        yyjson_doc *command = yyjson_read(line, strlen(line), 0);
        if (command != NULL) {
            answer(node, yyjson_doc_get_root(command));
        }
        yyjson_doc_free(command);
    }
    free(line);
    lp2p_node_free(node);
    yyjson_doc_free(options);
    return 0;
}
