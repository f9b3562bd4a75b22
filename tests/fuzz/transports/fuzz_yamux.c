/* SPDX-License-Identifier: MIT
 * yamux: both roles, their owners' calls and hostile bytes in between; credit adds up at every step. */
#include "mux_script.h"
#include "yamux/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_stream(struct lp2p_mux *mux, struct lp2p_mux_stream *base, uint64_t *window_sum)
{
    const struct lp2p_yamux_stream *stream = lp2p_yamux_stream_of(base);
    LP2P_CHECK((uint64_t)stream->credit_in + stream->freed + base->unread <= stream->window);
    LP2P_CHECK(stream->window <= mux->config.window_max_bytes);
    LP2P_CHECK(base->blocked == (stream->credit_out == 0));
    *window_sum += stream->window;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {.ops = &lp2p_yamux_ops, .check = check_stream, .in = lp2p_span(data, size)};
    script_run(&script);
    return 0;
}
