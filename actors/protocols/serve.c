/* SPDX-License-Identifier: MIT */
#include "actors/protocols/serve.h"

#define NUMBER_BYTES 8

void lp2p_perf_feed(struct lp2p_perf *perf, struct lp2p_span in)
{
    while (in.len > 0 && perf->header_len < NUMBER_BYTES) {
        perf->download = perf->download << 8 | in.ptr[0];
        perf->header_len++;
        in = lp2p_span_skip(in, 1);
    }
    perf->uploaded += in.len;
}

enum lp2p_err lp2p_perf_eof(const struct lp2p_perf *perf)
{
    return perf->header_len == NUMBER_BYTES ? LP2P_OK : LP2P_ETRUNCATED;
}

size_t lp2p_perf_take(struct lp2p_perf *perf, size_t max)
{
    size_t n = perf->download < max ? (size_t)perf->download : max;
    perf->download -= n;
    return n;
}
