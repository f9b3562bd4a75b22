/* SPDX-License-Identifier: MIT
 * mplex: both roles, their owners' calls and hostile bytes in between; unread bytes stay within their bound.
 */
#include "mplex/session.h"
#include "mux_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_stream(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, uint64_t *window_sum)
{
    LP2P_CHECK(stream->unread <= mux->config.stream_recv_max_bytes);
    LP2P_CHECK(!stream->blocked);
    *window_sum += 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {.ops = &lp2p_mplex_ops, .check = check_stream, .in = lp2p_span(data, size)};
    script_run(&script);
    return 0;
}
