/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t contract_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void contract_die(const char *what, const char *detail)
{
    (void)fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, detail != NULL ? detail : "");
    exit(1);
}

static void on_end(int number)
{
    _exit(128 + number);
}

void contract_signals(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTERM, on_end);
    (void)signal(SIGINT, on_end);
}

int contract_wait_end(uint64_t end_ns)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL); /* from here on they are taken below, not by on_end */
    for (uint64_t now = contract_now_ns(); now < end_ns; now = contract_now_ns()) {
        uint64_t left = end_ns - now;
        struct timespec limit = {.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
        int number = sigtimedwait(&ends, NULL, &limit);
        if (number > 0) {
            return 128 + number;
        }
    }
    return 0;
}

const char *contract_variable(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value == NULL || value[0] == '\0' || strcmp(value, "null") == 0 ? otherwise : value;
}

uint64_t contract_number(const char *name, uint64_t otherwise)
{
    const char *value = contract_variable(name, NULL);
    char *end = NULL;
    uint64_t n = value != NULL ? strtoull(value, &end, 10) : otherwise;
    if (value != NULL && (end == value || *end != '\0')) {
        contract_die(name, "expected a number");
    }
    return n;
}

/* ---- nodes */

static void on_log(void *user, enum lp2p_log_level level, const char *module, const char *text)
{
    (void)user;
    (void)level;
    (void)fprintf(stderr, "%s: %s\n", module, text);
}

struct lp2p_node *contract_start(const struct contract_setup *setup)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX] = "";
    if (config == NULL) {
        contract_die("start", "no memory");
    }
    enum lp2p_err err = setup->listen != NULL ? lp2p_config_listen(config, setup->listen) : LP2P_OK;
    err = err == LP2P_OK && setup->security != NULL ? lp2p_config_security(config, setup->security) : err;
    err = err == LP2P_OK && setup->muxers != NULL ? lp2p_config_muxers(config, setup->muxers) : err;
    err = err == LP2P_OK ? lp2p_config_dht(config, "off", NULL) : err;
    err = err == LP2P_OK && setup->serve != NULL ? lp2p_config_serve(config, setup->serve) : err;
    err = err == LP2P_OK && setup->key != NULL ? lp2p_config_key(config, setup->key, setup->key_len) : err;
    err = err == LP2P_OK && setup->log ? lp2p_config_log(config, LP2P_LOG_DEBUG, on_log, NULL) : err;
    if (err != LP2P_OK) {
        contract_die("options", lp2p_config_detail(config));
    }
    if (lp2p_node_new(config, &node, detail) != LP2P_OK || lp2p_node_start(node, detail) != LP2P_OK) {
        contract_die("start", detail);
    }
    lp2p_config_free(config);
    return node;
}

void contract_listen(const char *transport, const char *ip, char out[LP2P_ADDR_TEXT_MAX])
{
    static const char *const tails[][2] = {{"tcp", ""}, {"ws", "/ws"}, {"wss", "/tls/ws"}};
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        if (strcmp(transport, tails[i][0]) == 0) {
            const char *family = strchr(ip, ':') != NULL ? "ip6" : "ip4";
            (void)snprintf(out, LP2P_ADDR_TEXT_MAX, "/%s/%s/tcp/0%s", family, ip, tails[i][1]);
            return;
        }
    }
    contract_die("unsupported transport (expected tcp, ws or wss)", transport);
}

const char *contract_published(struct lp2p_node *node)
{
    static char addrs[16][LP2P_ADDR_TEXT_MAX];
    size_t len = lp2p_node_addrs(node, addrs, 16);
    for (size_t i = 0; i < len && i < 16; i++) {
        if (strncmp(addrs[i], "/ip4/127.", 9) != 0 && strncmp(addrs[i], "/ip6/::1/", 9) != 0) {
            return addrs[i];
        }
    }
    if (len == 0) {
        contract_die("listen", "no address");
    }
    return addrs[0];
}

struct lp2p_op *contract_finish(enum lp2p_err err, struct lp2p_op *op, const char *what, int timeout_ms)
{
    err = err == LP2P_OK ? lp2p_op_wait(op, timeout_ms) : err;
    err = err == LP2P_OK ? lp2p_op_result(op) : err;
    if (err != LP2P_OK) {
        (void)fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, lp2p_strerror(err));
        contract_die(what, op != NULL ? lp2p_op_detail(op) : NULL);
    }
    return op;
}

void contract_connect(struct lp2p_node *node, const char *addr, int timeout_ms, char peer[LP2P_PEER_TEXT_MAX])
{
    struct lp2p_op *op = NULL;
    size_t len = 0;
    enum lp2p_err err = lp2p_node_connect(node, addr, &op);
    op = contract_finish(err, op, addr, timeout_ms);
    const char *id = lp2p_op_bytes(op, &len);
    (void)snprintf(peer, LP2P_PEER_TEXT_MAX, "%.*s", (int)len, id != NULL ? id : "");
    lp2p_op_free(op);
}
