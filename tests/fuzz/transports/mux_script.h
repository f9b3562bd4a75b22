/* SPDX-License-Identifier: MIT
 * A fuzz input as a script for two ends of a muxer: calls of the owner, bytes carried between the ends, and
 * hostile bytes. After every step the books of both sessions must balance. */
#ifndef LP2P_FUZZ_MUX_SCRIPT_H
#define LP2P_FUZZ_MUX_SCRIPT_H

#include "mux/core.h"

#include <stdlib.h>

#define SCRIPT_STEPS_MAX 400
#define SCRIPT_WRITE_UNIT 97 /* bytes */

struct script {
    const struct lp2p_mux_ops *ops;
    void (*check)(struct lp2p_mux *mux, struct lp2p_mux_stream *stream, uint64_t *window_sum);
    struct lp2p_span in;
    struct lp2p_mux *ends[2];
    bool ended[2]; /* FAILED or GOAWAY was told */
    lp2p_time now;
};

static inline uint8_t script_byte(struct script *script)
{
    if (script->in.len == 0) {
        return 0;
    }
    uint8_t byte = script->in.ptr[0];
    script->in = lp2p_span_skip(script->in, 1);
    return byte;
}

/** Of a stream, perhaps: they count from 1. */
static inline uint64_t script_handle(struct script *script)
{
    return 1 + script_byte(script) % 16;
}

/** The books: every live stream is in both tables, and the sums are sums. */
static inline void script_check(struct script *script, int end)
{
    struct lp2p_mux *mux = script->ends[end];
    struct lp2p_mux_stats stats;
    uint64_t queued = 0, windows = 0;
    script->ops->stats(mux, &stats);
    LP2P_CHECK(mux->by_key.len == mux->by_handle.len);
    LP2P_CHECK(mux->by_key.len == stats.streams_in + stats.streams_out);
    LP2P_CHECK(stats.streams_in <= mux->config.streams_in_max &&
               stats.streams_out <= mux->config.streams_out_max);
    for (uint32_t i = 0; i < mux->by_key.cap; i++) {
        struct lp2p_mux_stream *stream = (struct lp2p_mux_stream *)mux->by_key.entries[i].value;
        if (stream == NULL) {
            continue;
        }
        LP2P_CHECK(stream->state != LP2P_MUX_STREAM_ENDED && stream->key == mux->by_key.entries[i].key);
        LP2P_CHECK(lp2p_mux_map_get(&mux->by_handle, stream->handle) == stream);
        LP2P_CHECK(lp2p_list_linked(&stream->sending) == (stream->out.bytes > 0 && !stream->blocked));
        queued += stream->out.bytes;
        script->check(mux, stream, &windows);
    }
    LP2P_CHECK(queued == stats.queued_bytes && windows == stats.window_bytes);
    LP2P_CHECK(mux->resets.len <= LP2P_MUX_RESETS_MAX);
}

static inline void script_events(struct script *script, int end, unsigned max)
{
    while (max-- > 0) {
        struct lp2p_mux_event event;
        script->ops->next(script->ends[end], &event);
        if (event.kind == LP2P_MUX_NONE) {
            return;
        }
        bool over = event.kind == LP2P_MUX_FAILED || event.kind == LP2P_MUX_GOAWAY;
        LP2P_CHECK(!script->ended[end]);
        LP2P_CHECK(event.kind != LP2P_MUX_STREAM_DATA || event.data.len > 0);
        script->ended[end] = over;
        for (uint32_t i = 0; i < event.data.len; i++) {
            ((volatile uint8_t *)event.data.ptr)[i]; /* reading it must be allowed */
        }
        lp2p_slice_drop(&event.data);
    }
}

static inline void script_feed(struct script *script, int end, const uint8_t *bytes, size_t len)
{
    struct lp2p_slice slice = lp2p_slice_copy(bytes, len);
    LP2P_CHECK(slice.buf != NULL);
    (void)script->ops->feed(script->ends[end], &slice, script->now);
    lp2p_slice_drop(&slice);
}

static inline bool script_carry(struct script *script, int from, size_t cap)
{
    uint8_t *wire = malloc(cap);
    bool wanted = script->ops->wants_write(script->ends[from]);
    size_t len = script->ops->drain(script->ends[from], wire, cap, script->now);
    LP2P_CHECK(len <= cap && (len == 0 || wanted));
    script_feed(script, 1 - from, wire, len);
    free(wire);
    return len > 0;
}

static inline void script_write(struct script *script, int end, uint64_t handle, size_t len)
{
    struct lp2p_buf *buf = lp2p_buf_new(len + 1);
    memset(buf->bytes, 'w', len);
    struct lp2p_slice slice = {buf, buf->bytes, (uint32_t)len};
    enum lp2p_err err = script->ops->write(script->ends[end], handle, &slice);
    LP2P_CHECK((err == LP2P_OK) == (slice.buf == NULL));
    lp2p_slice_drop(&slice);
}

static inline void script_hostile(struct script *script, int end)
{
    size_t len = script_byte(script) % 64;
    len = LP2P_MIN(len, script->in.len);
    script_feed(script, end, script->in.ptr, len);
    script->in = lp2p_span_skip(script->in, len);
}

static inline void script_step(struct script *script)
{
    uint8_t what = script_byte(script);
    int end = what & 1;
    struct lp2p_mux *mux = script->ends[end];
    uint64_t handle;
    switch (what >> 1 & 15) {
    case 0:
    case 1:
        (void)script->ops->open(mux, script->now, &handle);
        break;
    case 2:
    case 3:
        handle = script_handle(script);
        script_write(script, end, handle, script_byte(script) * (size_t)SCRIPT_WRITE_UNIT);
        break;
    case 4:
        (void)script->ops->close_write(mux, script_handle(script));
        break;
    case 5:
        (void)script->ops->reset(mux, script_handle(script), what);
        break;
    case 6:
        handle = script_handle(script);
        (void)script->ops->consumed(mux, handle, script_byte(script) * 1024u, script->now);
        break;
    case 7:
    case 8:
        (void)script_carry(script, end, 64 + script_byte(script) * 256u);
        break;
    case 9:
    case 10:
        script_hostile(script, end);
        break;
    case 11:
        script->now += LP2P_MS(script_byte(script) * 100u);
        script->ops->tick(mux, script->now);
        break;
    case 12:
        if (script_byte(script) % 16 == 0) {
            script->ops->go_away(mux, what);
        }
        break;
    default:
        script_events(script, end, script_byte(script));
        break;
    }
}

/** Runs the input; nothing may be left that could still be sent or told, and nothing of it in memory
 * afterwards. */
static inline void script_run(struct script *script)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_mux_config config = {.streams_in_max = 8,
                                     .streams_out_max = 8,
                                     .noop_frames_max = 50,
                                     .window_max_bytes = 1u << 20,
                                     .windows_total_max_bytes = 3u << 20,
                                     .stream_recv_max_bytes = 5000};
    script->now = LP2P_SEC(1);
    for (int end = 0; end < 2; end++) {
        script->ends[end] = script->ops->create(&config, end == 0, &rand, script->now);
        LP2P_CHECK(script->ends[end] != NULL);
    }
    for (int steps = 0; steps < SCRIPT_STEPS_MAX && script->in.len > 0; steps++) {
        script_step(script);
        script_check(script, 0);
        script_check(script, 1);
    }
    for (bool busy = true; busy;) {
        busy = script_carry(script, 0, 65519);
        busy = script_carry(script, 1, 65519) || busy;
        script_events(script, 0, UINT32_MAX);
        script_events(script, 1, UINT32_MAX);
        /* What was parsed behind an event may ask for an answer. */
        busy = busy || script->ops->wants_write(script->ends[0]) || script->ops->wants_write(script->ends[1]);
    }
    for (int end = 0; end < 2; end++) {
        script_check(script, end);
        LP2P_CHECK(!script->ops->wants_write(script->ends[end]));
        script->ops->destroy(script->ends[end]);
    }
}

#endif
