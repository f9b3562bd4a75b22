/* SPDX-License-Identifier: MIT
 * WebSocket frames: both roles against hostile bytes. However the bytes are cut and wherever they are decoded, the outcome is
 * the same; and what another implementation (wslay's event interface) reads is what we read. */
#include "base/check.h"
#include "websocket/websocket.h"

#include <stdlib.h>
#include <wslay/wslay.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum lp2p_err err;
    struct lp2p_ws_event event;
    bool in_frame;
    size_t len, said_len;
    uint8_t *payload, said[LP2P_WS_DRAIN_MAX];
};

static void decode(bool client, struct lp2p_span in, size_t piece, bool in_place, struct outcome *out)
{
    struct lp2p_rand_seeded gen;
    struct lp2p_ws ws;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    lp2p_ws_init(&ws, client, &rand);
    ws.message_max = UINT64_MAX; /* wslay below has no limit either */
    *out = (struct outcome){.payload = malloc(in.len + 1)};
    for (size_t at = 0; at < in.len && out->err == LP2P_OK; at += piece) {
        size_t part = LP2P_MIN(piece, in.len - at), got = 0;
        uint8_t *from = malloc(part), *to = in_place ? from : malloc(part);
        memcpy(from, in.ptr + at, part);
        out->err = lp2p_ws_feed(&ws, lp2p_span(from, part), to, &got, 0);
        LP2P_CHECK(got <= part);
        memcpy(out->payload + out->len, to, got);
        out->len += got;
        if (to != from) {
            free(to);
        }
        free(from);
    }
    lp2p_ws_next(&ws, &out->event);
    LP2P_CHECK((out->event.kind == LP2P_WS_FAILED) == (out->err != LP2P_OK));
    LP2P_CHECK(out->err == LP2P_OK || (out->err == LP2P_EPROTO && out->event.reason == LP2P_EPROTO));
    out->in_frame = lp2p_ws_in_frame(&ws);
    out->said_len = lp2p_ws_drain(&ws, out->said, sizeof(out->said), 0);
    LP2P_CHECK(!lp2p_ws_has_control(&ws));
    LP2P_CHECK(out->err == LP2P_OK || out->said_len > 0); /* a broken rule is always told */
    lp2p_ws_fini(&ws);
}

static void same(const struct outcome *a, const struct outcome *b)
{
    LP2P_CHECK(a->err == b->err && a->event.kind == b->event.kind && a->event.reason == b->event.reason);
    LP2P_CHECK(a->event.code == b->event.code && a->in_frame == b->in_frame);
    LP2P_CHECK(lp2p_span_eq(lp2p_span(a->payload, a->len), lp2p_span(b->payload, b->len)));
    LP2P_CHECK(lp2p_span_eq(lp2p_span(a->said, a->said_len), lp2p_span(b->said, b->said_len)));
}

/* ---- wslay reads the same */

struct other {
    struct lp2p_span in;
    uint8_t *payload;
    size_t len;
    bool control;     /* the frame under way */
    bool text, close; /* were seen: wslay wants UTF-8 in both, libp2p does not care, and takes codes that we refuse */
};

static ssize_t give(wslay_event_context_ptr context, uint8_t *buf, size_t len, int flags, void *user)
{
    (void)flags;
    struct other *other = user;
    size_t part = LP2P_MIN(len, other->in.len);
    if (part == 0) {
        wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, other->in.ptr, part);
    other->in = lp2p_span_skip(other->in, part);
    return (ssize_t)part;
}

static void on_start(wslay_event_context_ptr context, const struct wslay_event_on_frame_recv_start_arg *arg, void *user)
{
    (void)context;
    struct other *other = user;
    other->control = (arg->opcode & 8) != 0;
    other->close = other->close || arg->opcode == WSLAY_CONNECTION_CLOSE;
    other->text = other->text || arg->opcode == WSLAY_TEXT_FRAME;
}

static void on_chunk(wslay_event_context_ptr context, const struct wslay_event_on_frame_recv_chunk_arg *arg, void *user)
{
    (void)context;
    struct other *other = user;
    if (!other->control) {
        memcpy(other->payload + other->len, arg->data, arg->data_length);
        other->len += arg->data_length;
    }
}

static void compare_with_wslay(bool client, struct lp2p_span in, const struct outcome *ours)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = give, .on_frame_recv_start_callback = on_start, .on_frame_recv_chunk_callback = on_chunk};
    struct other other = {.in = in, .payload = malloc(in.len + 1)};
    wslay_event_context_ptr context;
    int made = client ? wslay_event_context_client_init(&context, &callbacks, &other)
                      : wslay_event_context_server_init(&context, &callbacks, &other);
    LP2P_CHECK(made == 0);
    wslay_event_config_set_no_buffering(context, 1);
    wslay_event_config_set_max_recv_msg_length(context, UINT64_MAX >> 1); /* a stream has no largest message */
    (void)wslay_event_recv(context);
    if (!other.text) {
        LP2P_CHECK(lp2p_span_eq(lp2p_span(other.payload, other.len), lp2p_span(ours->payload, ours->len)));
        bool refused = !wslay_event_get_read_enabled(context) && !wslay_event_get_close_received(context);
        LP2P_CHECK(other.close || refused == (ours->err != LP2P_OK));
    }
    wslay_event_context_free(context);
    free(other.payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    bool client = (data[0] & 1) != 0;
    struct lp2p_span in = lp2p_span(data + 2, size - 2);
    struct outcome whole, cut;
    decode(client, in, SIZE_MAX / 2, (data[0] & 2) != 0, &whole);
    decode(client, in, 1u + data[1], (data[0] & 4) != 0, &cut);
    same(&whole, &cut);
    compare_with_wslay(client, in, &whole);
    free(whole.payload);
    free(cut.payload);
    return 0;
}
