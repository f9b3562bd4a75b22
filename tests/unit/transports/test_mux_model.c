/* SPDX-License-Identifier: MIT
 * Two ends of a muxer against a model, with seeded choices: what is written arrives whole, in order and once,
 * however the bytes between the ends are cut; credit is never exceeded; after all is closed nothing is left.
 * Both muxers. */
#include "mplex/session.h"
#include "mux_end.h"
#include "yamux/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define STREAMS 24
#define TAG_BYTES 4 /* a stream's first bytes tell its number in the model */

/** One direction of a stream. */
struct flow {
    uint32_t sent, received, writable; /* bytes */
    bool closed, ended;                /* close_write was called; the end arrived */
};

struct stream {
    uint64_t handle[2]; /* 0: not known yet */
    int opener;
    bool reset, gone[2];
    struct flow flow[2]; /* by the sending end */
    uint32_t unread[2];  /* by the receiving end */
};

struct model {
    struct mux_end ends[2];
    struct lp2p_rand rand;
    struct stream streams[STREAMS];
    int opened;
    /* Streams accepted whose tag is still to come: collected by handle. */
    struct {
        uint64_t handle;
        uint8_t tag[TAG_BYTES];
        uint32_t len;
    } strange[2][STREAMS];
};

static void take_events(struct model *model, int end);

static uint8_t pattern(int stream, int sender, uint32_t offset)
{
    if (offset < TAG_BYTES) {
        return (uint8_t)(stream >> (8 * offset));
    }
    return (uint8_t)(((uint32_t)stream * 131u + (uint32_t)sender * 17u + offset) ^ (offset >> 8));
}

static uint32_t below(struct model *model, uint32_t bound)
{
    return (uint32_t)lp2p_rand_below(&model->rand, bound);
}

static int index_of(struct model *model, int end, uint64_t handle)
{
    for (int i = 0; i < model->opened; i++) {
        if (model->streams[i].handle[end] == handle) {
            return i;
        }
    }
    return -1;
}

static void open_one(struct model *model, int end)
{
    struct stream *stream = &model->streams[model->opened];
    struct mux_end *from = &model->ends[end];
    if (model->opened == STREAMS) {
        return;
    }
    assert_int_equal(from->ops->open(from->mux, from->now, &stream->handle[end]), LP2P_OK);
    stream->opener = end;
    model->opened++;
}

static void write_some(struct model *model, int index, int end, uint32_t len)
{
    struct stream *stream = &model->streams[index];
    struct flow *flow = &stream->flow[end];
    struct mux_end *from = &model->ends[end];
    if (stream->handle[end] == 0 || stream->gone[end] || flow->closed || len == 0) {
        return;
    }
    struct lp2p_buf *buf = lp2p_buf_new(len);
    for (uint32_t i = 0; i < len; i++) {
        buf->bytes[i] = pattern(index, end, flow->sent + i);
    }
    struct lp2p_slice slice = {buf, buf->bytes, len};
    assert_int_equal(from->ops->write(from->mux, stream->handle[end], &slice), LP2P_OK);
    assert_null(slice.buf);
    flow->sent += len;
}

static void close_one(struct model *model, int index, int end)
{
    struct stream *stream = &model->streams[index];
    struct mux_end *from = &model->ends[end];
    if (stream->handle[end] != 0 && !stream->gone[end] && stream->flow[end].sent >= TAG_BYTES) {
        assert_int_equal(from->ops->close_write(from->mux, stream->handle[end]), LP2P_OK);
        stream->flow[end].closed = true;
    }
}

static void reset_one(struct model *model, int index, int end)
{
    struct stream *stream = &model->streams[index];
    struct mux_end *from = &model->ends[end];
    if (stream->handle[end] != 0 && !stream->gone[end]) {
        assert_int_equal(from->ops->reset(from->mux, stream->handle[end], 3), LP2P_OK);
        stream->reset = true;
        take_events(model, end); /* tells that it is gone */
    }
}

static void consume(struct model *model, int index, int end, uint32_t n)
{
    struct stream *stream = &model->streams[index];
    struct mux_end *at = &model->ends[end];
    n = LP2P_MIN(n, stream->unread[end]);
    if (n > 0 && !stream->gone[end]) {
        assert_int_equal(at->ops->consumed(at->mux, stream->handle[end], n, at->now), LP2P_OK);
        stream->unread[end] -= n;
    }
}

static void check_bytes(struct model *model, int index, int end, const uint8_t *bytes, uint32_t len)
{
    struct flow *flow = &model->streams[index].flow[1 - end];
    for (uint32_t i = 0; i < len; i++) {
        assert_int_equal(bytes[i], pattern(index, 1 - end, flow->received + i));
    }
    flow->received += len;
    assert_true(flow->received <= flow->sent);
    assert_false(flow->ended);
    model->streams[index].unread[end] += len;
}

/** Data of a stream whose number is not known yet: the first four bytes are it. */
static void on_strange_data(struct model *model, int end, const struct lp2p_mux_event *event)
{
    for (int k = 0; k < STREAMS; k++) {
        if (model->strange[end][k].handle != event->stream) {
            continue;
        }
        uint8_t *tag = model->strange[end][k].tag;
        uint32_t *len = &model->strange[end][k].len, i = 0;
        while (*len < TAG_BYTES && i < event->data.len) {
            tag[(*len)++] = event->data.ptr[i++];
        }
        if (*len < TAG_BYTES) {
            return;
        }
        int index = tag[0] | tag[1] << 8;
        assert_true(index < model->opened && model->streams[index].opener == 1 - end);
        assert_int_equal(model->streams[index].handle[end], 0);
        model->streams[index].handle[end] = event->stream;
        check_bytes(model, index, end, tag, TAG_BYTES);
        check_bytes(model, index, end, event->data.ptr + i, event->data.len - i);
        model->strange[end][k].handle = 0;
        return;
    }
    fail_msg("data of a stream that nobody opened");
}

static void on_opened(struct model *model, int end, uint64_t handle)
{
    for (int k = 0; k < STREAMS; k++) {
        if (model->strange[end][k].handle == 0) {
            model->strange[end][k].handle = handle;
            model->strange[end][k].len = 0;
            return;
        }
    }
    fail_msg("more streams than were opened");
}

static void on_event(struct model *model, int end, struct lp2p_mux_event *event)
{
    int index = index_of(model, end, event->stream);
    struct stream *stream = index >= 0 ? &model->streams[index] : NULL;
    switch (event->kind) {
    case LP2P_MUX_STREAM_OPENED:
        on_opened(model, end, event->stream);
        break;
    case LP2P_MUX_STREAM_DATA:
        assert_true(event->data.len > 0 && event->bytes == event->data.len);
        if (stream != NULL) {
            assert_false(stream->gone[end]);
            check_bytes(model, index, end, event->data.ptr, event->data.len);
        } else {
            on_strange_data(model, end, event);
        }
        lp2p_slice_drop(&event->data);
        break;
    case LP2P_MUX_STREAM_WRITABLE:
        assert_non_null(stream);
        stream->flow[end].writable += event->bytes;
        assert_true(stream->flow[end].writable <= stream->flow[end].sent);
        break;
    case LP2P_MUX_STREAM_EOF:
        assert_non_null(stream); /* ends are only sent behind the tag */
        assert_false(stream->flow[1 - end].ended);
        assert_true(stream->flow[1 - end].closed);
        assert_int_equal(stream->flow[1 - end].received, stream->flow[1 - end].sent);
        stream->flow[1 - end].ended = true;
        break;
    case LP2P_MUX_STREAM_RESET:
        if (stream != NULL) {
            assert_true(stream->reset);
            stream->gone[end] = true;
        }
        break;
    case LP2P_MUX_STREAM_CLOSED:
        assert_non_null(stream);
        assert_false(stream->gone[end]);
        stream->gone[end] = true;
        break;
    case LP2P_MUX_NONE:
    case LP2P_MUX_GOAWAY:
    case LP2P_MUX_FAILED:
        fail_msg("the session ended: %s", lp2p_errname(event->reason));
    }
}

static void take_events(struct model *model, int end)
{
    for (;;) {
        struct lp2p_mux_event event;
        model->ends[end].ops->next(model->ends[end].mux, &event);
        if (event.kind == LP2P_MUX_NONE) {
            return;
        }
        on_event(model, end, &event);
    }
}

/** One drain of the end, fed to the other in pieces; events are taken now and then in between. */
static bool carry(struct model *model, int from, uint32_t cap)
{
    static uint8_t wire[70000];
    size_t len = end_drain(&model->ends[from], wire, cap), at = 0;
    struct mux_end *to = &model->ends[1 - from];
    uint32_t piece_max = 1 + below(model, len < 3000 ? 16 : 70000);
    while (at < len) {
        size_t part = 1 + below(model, piece_max);
        part = LP2P_MIN(part, len - at);
        assert_int_equal(end_feed(to, wire + at, part), LP2P_OK);
        at += part;
        if (below(model, 4) != 0) {
            take_events(model, 1 - from);
        }
    }
    take_events(model, 1 - from);
    take_events(model, from);
    return len > 0;
}

static void act(struct model *model, bool resets)
{
    int end = (int)below(model, 2);
    int index = model->opened > 0 ? (int)below(model, (uint32_t)model->opened) : 0;
    switch (below(model, 16)) {
    case 0:
        open_one(model, end);
        break;
    case 1:
    case 2:
    case 3:
        write_some(model, index, end, 1 + below(model, 100));
        break;
    case 4:
        write_some(model, index, end, below(model, below(model, 4) == 0 ? 300000 : 3000));
        break;
    case 5:
        if (below(model, 4) == 0) {
            close_one(model, index, end);
        }
        break;
    case 6:
        if (resets && below(model, 20) == 0) {
            reset_one(model, index, end);
        }
        break;
    case 7:
    case 8:
    case 9:
        consume(model, index, end, 1 + below(model, 400000));
        break;
    default:
        (void)carry(model, end, below(model, 3) == 0 ? 64 + below(model, 2000) : 65519);
        model->ends[0].now += below(model, 1000000);
        model->ends[1].now = model->ends[0].now;
        break;
    }
}

/** Everything is written, closed, read and carried until both ends are silent. */
static void finish(struct model *model)
{
    bool busy = true;
    while (busy) {
        busy = false;
        for (int i = 0; i < model->opened; i++) {
            for (int end = 0; end < 2; end++) {
                if (model->streams[i].flow[end].sent < TAG_BYTES) {
                    write_some(model, i, end, TAG_BYTES);
                }
                close_one(model, i, end);
                consume(model, i, end, UINT32_MAX);
            }
        }
        for (int end = 0; end < 2; end++) {
            while (carry(model, end, 65519)) {
                busy = true;
            }
        }
    }
}

static void check_all_done(struct model *model)
{
    for (int i = 0; i < model->opened; i++) {
        const struct stream *stream = &model->streams[i];
        for (int end = 0; end < 2 && !stream->reset; end++) {
            assert_true(stream->gone[end]);
            assert_true(stream->flow[end].ended);
            assert_int_equal(stream->flow[end].received, stream->flow[end].sent);
            assert_int_equal(stream->flow[end].writable, stream->flow[end].sent);
        }
    }
    for (int end = 0; end < 2; end++) {
        struct lp2p_mux_stats stats = end_stats(&model->ends[end]);
        assert_int_equal(stats.streams_in + stats.streams_out, 0);
        assert_int_equal(stats.queued_bytes, 0);
        assert_int_equal(stats.window_bytes, 0);
        assert_false(model->ends[end].ops->wants_write(model->ends[end].mux));
    }
}

static void run(const struct lp2p_mux_ops *ops, const struct lp2p_mux_config *config, uint64_t seed)
{
    static struct model model;
    struct lp2p_rand_seeded gen;
    memset(&model, 0, sizeof(model));
    lp2p_rand_seeded_init(&gen, seed);
    model.rand = lp2p_rand_seeded_source(&gen);
    for (int end = 0; end < 2; end++) {
        end_init(&model.ends[end], ops, config, end == 0);
    }
    for (int i = 0; i < 1000; i++) {
        act(&model, seed % 3 == 0);
    }
    finish(&model);
    check_all_done(&model);
    assert_true(model.opened > STREAMS / 2);
    for (int end = 0; end < 2; end++) {
        end_fini(&model.ends[end]);
    }
}

static void test_mux_model_yamux(void **state)
{
    (void)state;
    /* Pings run (the round trip lets windows grow) and streams have room to grow against the total. */
    struct lp2p_mux_config config = {.windows_total_max_bytes = 10u << 20};
    for (uint64_t seed = 1; seed <= 24; seed++) {
        run(&lp2p_yamux_ops, &config, seed);
    }
}

static void test_mux_model_yamux_small_frames(void **state)
{
    (void)state;
    struct lp2p_mux_config config = {.frame_max_bytes = 999, .keepalive_ns = LP2P_NEVER};
    for (uint64_t seed = 100; seed <= 106; seed++) {
        run(&lp2p_yamux_ops, &config, seed);
    }
}

static void test_mux_model_mplex(void **state)
{
    (void)state;
    struct lp2p_mux_config config = {.stream_recv_max_bytes = UINT32_MAX};
    for (uint64_t seed = 1; seed <= 24; seed++) {
        run(&lp2p_mplex_ops, &config, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mux_model_yamux),
        cmocka_unit_test(test_mux_model_yamux_small_frames),
        cmocka_unit_test(test_mux_model_mplex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
