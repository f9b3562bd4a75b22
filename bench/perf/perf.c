/* SPDX-License-Identifier: MIT
 * perf: see perf.h. With arguments it follows the old contract, without them the unified one. */
#include "perf.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK_BYTES 65536u
#define WAIT_MS 30000
#define STEP_MS 250 /* a blocked write or read comes back so often that progress is told in time */

uint64_t perf_now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void perf_die(const char *what, const char *detail)
{
    (void)fprintf(stderr, "perf: %s: %s\n", what, detail != NULL ? detail : "");
    exit(1);
}

static void on_log(void *user, enum lp2p_log_level level, const char *module, const char *text)
{
    (void)user;
    (void)level;
    (void)fprintf(stderr, "%s: %s\n", module, text);
}

/** PrivateKey {type Ed25519, 64 bytes}: a seed of zeros and its public key. */
static enum lp2p_err set_fixed_key(struct lp2p_config *config)
{
    static const uint8_t public_key[32] = {
        0x3b, 0x6a, 0x27, 0xbc, 0xce, 0xb6, 0xa4, 0x2d, 0x62, 0xa3, 0xa8, 0xd0, 0x2a, 0x6f, 0x0d, 0x73,
        0x65, 0x32, 0x15, 0x77, 0x1d, 0xe2, 0x43, 0xa6, 0x3a, 0xc0, 0x48, 0xa1, 0x8b, 0x59, 0xda, 0x29};
    uint8_t key[4 + 64] = {0x08, 0x01, 0x12, 0x40};
    memcpy(key + 4 + 32, public_key, sizeof(public_key));
    return lp2p_config_key(config, key, sizeof(key));
}

struct lp2p_node *perf_start(const struct perf_setup *setup)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX] = "";
    if (config == NULL) {
        perf_die("start", "no memory");
    }
    enum lp2p_err err = setup->listen != NULL ? lp2p_config_listen(config, setup->listen) : LP2P_OK;
    err = err == LP2P_OK && setup->security != NULL ? lp2p_config_security(config, setup->security) : err;
    err = err == LP2P_OK && setup->muxers != NULL ? lp2p_config_muxers(config, setup->muxers) : err;
    err = err == LP2P_OK ? lp2p_config_dht(config, "off", NULL) : err;
    err = err == LP2P_OK ? lp2p_config_serve(config, "perf") : err;
    err = err == LP2P_OK && setup->fixed_key ? set_fixed_key(config) : err;
    err = err == LP2P_OK && setup->log ? lp2p_config_log(config, LP2P_LOG_DEBUG, on_log, NULL) : err;
    if (err != LP2P_OK) {
        perf_die("options", lp2p_config_detail(config));
    }
    if (lp2p_node_new(config, &node, detail) != LP2P_OK || lp2p_node_start(node, detail) != LP2P_OK) {
        perf_die("start", detail);
    }
    lp2p_config_free(config);
    return node;
}

/** The finished operation; dies when it failed. */
static struct lp2p_op *finish(enum lp2p_err err, struct lp2p_op *op, const char *what)
{
    err = err == LP2P_OK ? lp2p_op_wait(op, WAIT_MS) : err;
    err = err == LP2P_OK ? lp2p_op_result(op) : err;
    if (err != LP2P_OK) {
        (void)fprintf(stderr, "perf: %s: %s\n", what, lp2p_strerror(err));
        perf_die(what, op != NULL ? lp2p_op_detail(op) : NULL);
    }
    return op;
}

void perf_connect(struct lp2p_node *node, const char *addr, char peer[LP2P_PEER_TEXT_MAX])
{
    struct lp2p_op *op = NULL;
    size_t len = 0;
    enum lp2p_err err = lp2p_node_connect(node, addr, &op);
    op = finish(err, op, addr);
    const char *id = lp2p_op_bytes(op, &len);
    (void)snprintf(peer, LP2P_PEER_TEXT_MAX, "%.*s", (int)len, id != NULL ? id : "");
    lp2p_op_free(op);
}

static void write_all(struct lp2p_stream *stream, const uint8_t *bytes, size_t len, perf_progress_fn progress, uint64_t before)
{
    for (size_t done = 0; done < len;) {
        size_t put = 0;
        enum lp2p_err err = lp2p_stream_write(stream, bytes + done, len - done, STEP_MS, &put);
        if (err != LP2P_OK && err != LP2P_ETIMEDOUT) {
            perf_die("upload", lp2p_strerror(err));
        }
        done += put;
        if (progress != NULL) {
            progress(before + done, 0);
        }
    }
}

void perf_transfer(struct lp2p_node *node, const char *peer, uint64_t upload, uint64_t download, perf_progress_fn progress)
{
    static const uint8_t zeros[BLOCK_BYTES];
    static uint8_t block[BLOCK_BYTES];
    static const char *const protocols[] = {PERF_PROTOCOL};
    struct lp2p_op *op = NULL;
    uint8_t head[8];
    uint64_t got_all = 0;
    enum lp2p_err err = lp2p_stream_open(node, peer, protocols, 1, &op);
    op = finish(err, op, "stream");
    struct lp2p_stream *stream = lp2p_op_stream(op);
    lp2p_op_free(op);
    for (unsigned i = 0; i < 8; i++) {
        head[i] = (uint8_t)(download >> (56 - 8 * i));
    }
    write_all(stream, head, sizeof(head), NULL, 0);
    for (uint64_t sent = 0; sent < upload;) {
        size_t n = upload - sent < BLOCK_BYTES ? (size_t)(upload - sent) : BLOCK_BYTES;
        write_all(stream, zeros, n, progress, sent);
        sent += n;
    }
    err = lp2p_stream_close_write(stream);
    for (size_t got = 1; err == LP2P_OK && got > 0;) {
        err = lp2p_stream_read(stream, block, sizeof(block), STEP_MS, &got);
        if (err == LP2P_ETIMEDOUT) {
            err = LP2P_OK;
            got = 1; /* nothing yet; not the end */
        } else {
            got_all += err == LP2P_OK ? got : 0;
        }
        if (progress != NULL) {
            progress(upload, got_all);
        }
    }
    if (err != LP2P_OK || got_all != download) {
        perf_die("download", err != LP2P_OK ? lp2p_strerror(err) : "more or fewer bytes than were asked for");
    }
    lp2p_stream_free(stream);
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    return argc > 1 ? perf_old(argc, argv) : perf_unified();
}
