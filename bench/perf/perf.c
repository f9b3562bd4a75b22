/* SPDX-License-Identifier: MIT
 * perf: see perf.h. With arguments it follows the old contract, without them the unified one. */
#include "perf.h"

#include <string.h>

#define BLOCK_BYTES 65536u
#define STEP_MS 250 /* a blocked write or read comes back so often that progress is told in time */

static void write_all(struct lp2p_stream *stream, const uint8_t *bytes, size_t len, perf_progress_fn progress,
                      uint64_t before)
{
    for (size_t done = 0; done < len;) {
        size_t put = 0;
        enum lp2p_err err = lp2p_stream_write(stream, bytes + done, len - done, STEP_MS, &put);
        if (err != LP2P_OK && err != LP2P_ETIMEDOUT) {
            contract_die("upload", lp2p_strerror(err));
        }
        done += put;
        if (progress != NULL) {
            progress(before + done, 0);
        }
    }
}

void perf_transfer(struct lp2p_node *node, const char *peer, uint64_t upload, uint64_t download,
                   perf_progress_fn progress)
{
    static const uint8_t zeros[BLOCK_BYTES];
    static uint8_t block[BLOCK_BYTES];
    static const char *const protocols[] = {PERF_PROTOCOL};
    struct lp2p_op *op = NULL;
    uint8_t head[8];
    uint64_t got_all = 0;
    enum lp2p_err err = lp2p_stream_open(node, peer, protocols, 1, &op);
    op = contract_finish(err, op, "stream", PERF_WAIT_MS);
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
        contract_die("download",
                     err != LP2P_OK ? lp2p_strerror(err) : "more or fewer bytes than were asked for");
    }
    lp2p_stream_free(stream);
}

int main(int argc, char **argv)
{
    contract_signals();
    return argc > 1 ? perf_old(argc, argv) : perf_unified();
}
