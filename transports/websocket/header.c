/* SPDX-License-Identifier: MIT */
#include "websocket/header.h"

#include "base/check.h"

#include <wslay/wslay.h>

struct reading {
    struct lp2p_span in;
};

static ssize_t give(uint8_t *buf, size_t len, int flags, void *user)
{
    (void)flags;
    struct reading *reading = user;
    size_t part = LP2P_MIN(len, reading->in.len);
    if (part == 0) {
        return -1; /* nothing there */
    }
    memcpy(buf, reading->in.ptr, part);
    reading->in = lp2p_span_skip(reading->in, part);
    return (ssize_t)part;
}

/** wslay refuses a length that is not in its shortest form, so the length tells the size. */
static size_t size_of(uint64_t len, bool masked)
{
    size_t size = 2;
    if (len > 0xffff) {
        size += 8;
    } else if (len > 125) {
        size += 2;
    }
    return size + (masked ? 4 : 0);
}

enum lp2p_err lp2p_ws_header_read(struct lp2p_span in, struct lp2p_ws_frame *frame)
{
    static const struct wslay_frame_callbacks callbacks = {.recv_callback = give};
    struct reading reading = {lp2p_span(in.ptr, LP2P_MIN(in.len, (size_t)LP2P_WS_HEADER_MAX + 1))};
    struct wslay_frame_iocb iocb = {0};
    wslay_frame_context_ptr context;
    if (wslay_frame_context_init(&context, &callbacks, &reading) != 0) {
        return LP2P_ENOMEM;
    }
    ssize_t result = wslay_frame_recv(context, &iocb);
    wslay_frame_context_free(context);
    *frame = (struct lp2p_ws_frame){0};
    if (result == WSLAY_ERR_WANT_READ) {
        return LP2P_OK;
    }
    if (result < 0) {
        return LP2P_EPROTO;
    }
    *frame = (struct lp2p_ws_frame){.fin = iocb.fin != 0,
                                    .masked = iocb.mask != 0,
                                    .rsv = iocb.rsv,
                                    .opcode = iocb.opcode,
                                    .len = iocb.payload_length,
                                    .size = size_of(iocb.payload_length, iocb.mask != 0)};
    LP2P_CHECK(frame->size <= in.len);
    if (frame->masked) {
        memcpy(frame->key, in.ptr + frame->size - sizeof(frame->key), sizeof(frame->key));
    }
    return LP2P_OK;
}

struct writing {
    const struct lp2p_ws_frame *frame;
    uint8_t *out;
    size_t len;
};

static ssize_t take(const uint8_t *data, size_t len, int flags, void *user)
{
    (void)flags;
    struct writing *writing = user;
    LP2P_CHECK(writing->len + len <= LP2P_WS_HEADER_MAX);
    memcpy(writing->out + writing->len, data, len);
    writing->len += len;
    return (ssize_t)len;
}

static int give_key(uint8_t *buf, size_t len, void *user)
{
    const struct writing *writing = user;
    LP2P_CHECK(len == sizeof(writing->frame->key));
    memcpy(buf, writing->frame->key, len);
    return 0;
}

size_t lp2p_ws_header_write(const struct lp2p_ws_frame *frame, uint8_t out[LP2P_WS_HEADER_MAX])
{
    static const struct wslay_frame_callbacks callbacks = {.send_callback = take,
                                                           .genmask_callback = give_key};
    struct writing writing = {frame, out, 0};
    /* Without data wslay writes the header and waits for the payload, which goes its own way. */
    struct wslay_frame_iocb iocb = {
        .fin = frame->fin, .opcode = frame->opcode, .payload_length = frame->len, .mask = frame->masked};
    wslay_frame_context_ptr context;
    if (wslay_frame_context_init(&context, &callbacks, &writing) != 0) {
        return 0;
    }
    ssize_t result = wslay_frame_send(context, &iocb);
    wslay_frame_context_free(context);
    LP2P_CHECK(result >= 0 && writing.len == size_of(frame->len, frame->masked));
    return writing.len;
}
