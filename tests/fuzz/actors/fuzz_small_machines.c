/* SPDX-License-Identifier: MIT
 * Ping and perf, fed in pieces whose sizes come from the input: the echo is what was fed, perf counts right.
 */
#include "actors/protocols/ping.h"
#include "actors/protocols/serve.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

static size_t feed_echo(struct lp2p_ping_echo *echo, struct lp2p_span piece, uint8_t *out)
{
    uint8_t *in = malloc(piece.len + 1), *room = malloc(piece.len + LP2P_PING_BYTES - 1);
    LP2P_CHECK(in != NULL && room != NULL);
    memcpy(in, piece.ptr, piece.len);
    size_t len = lp2p_ping_echo_feed(echo, lp2p_span(in, piece.len), room);
    memcpy(out, room, len);
    free(in);
    free(room);
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *out = malloc(size + LP2P_PING_BYTES), *fed = malloc(size + 1);
    struct lp2p_ping_echo echo = {0};
    struct lp2p_perf perf = {0};
    struct lp2p_ping_probe probe = {0};
    enum lp2p_err probed = LP2P_EAGAIN;
    size_t out_len = 0, fed_len = 0;
    LP2P_CHECK(out != NULL && fed != NULL);
    struct lp2p_span rest = lp2p_span(data, size);
    while (rest.len > 1) {
        size_t n = LP2P_MIN((size_t)rest.ptr[0], rest.len - 1);
        struct lp2p_span piece = lp2p_span(rest.ptr + 1, n);
        rest = lp2p_span_skip(rest, 1 + n);
        out_len += feed_echo(&echo, piece, out + out_len);
        lp2p_perf_feed(&perf, piece);
        if (probed == LP2P_EAGAIN) {
            probed = lp2p_ping_probe_feed(&probe, piece);
        }
        memcpy(fed + fed_len, piece.ptr, n);
        fed_len += n;
    }
    LP2P_CHECK(out_len % LP2P_PING_BYTES == 0 && out_len + echo.part_len == fed_len);
    LP2P_CHECK(memcmp(out, fed, out_len) == 0 && memcmp(echo.part, fed + out_len, echo.part_len) == 0);
    LP2P_CHECK((lp2p_perf_eof(&perf) == LP2P_OK) == (fed_len >= 8));
    LP2P_CHECK(perf.uploaded == (fed_len > 8 ? fed_len - 8 : 0));
    uint64_t before = perf.download;
    size_t taken = lp2p_perf_take(&perf, 1000);
    LP2P_CHECK(taken <= 1000 && perf.download == before - taken && (taken == 1000 || perf.download == 0));
    if (probed == LP2P_OK) { /* a probe of zeroes: only zeroes are its answer */
        for (size_t i = 0; i < LP2P_PING_BYTES; i++) {
            LP2P_CHECK(fed[i] == 0);
        }
    }
    free(out);
    free(fed);
    return 0;
}
