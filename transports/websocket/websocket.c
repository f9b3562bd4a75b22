/* SPDX-License-Identifier: MIT */
#include "websocket/websocket.h"

#include "base/check.h"
#include "websocket/header.h"

#include <stdlib.h>

enum { OP_CONTINUATION = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

static bool is_control(uint8_t opcode)
{
    return (opcode & 8) != 0;
}

void lp2p_ws_init(struct lp2p_ws *ws, bool client, const struct lp2p_rand *rand)
{
    *ws = (struct lp2p_ws){.client = client, .message_max = LP2P_WS_MESSAGE_IN_MAX};
    if (client) {
        lp2p_rand_seeded_init(&ws->masks, lp2p_rand_u64(rand));
    }
}

/** What is held for a frame under way and for answers that will not be given any more. */
static void release(struct lp2p_ws *ws)
{
    free(ws->control);
    free(ws->pong);
    ws->control = NULL;
    ws->pong = NULL;
}

void lp2p_ws_fini(struct lp2p_ws *ws)
{
    release(ws);
    ws->state = LP2P_WS_ENDED;
    ws->close_code = 0;
}

static void end(struct lp2p_ws *ws, enum lp2p_ws_event_kind kind, enum lp2p_err reason, unsigned code)
{
    release(ws);
    ws->state = LP2P_WS_ENDED;
    ws->in_frame = ws->in_message = false;
    ws->head_len = 0;
    ws->event = (struct lp2p_ws_event){kind, reason, code};
}

/** Codes that may be on the wire (RFC 6455, 7.4; the registry has gone on to 1014). */
static bool code_is_valid(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

/** The peer's last frame. Ours answers it, unless it was the first. */
static enum lp2p_err on_close(struct lp2p_ws *ws)
{
    unsigned code = LP2P_WS_NO_STATUS;
    if (ws->at == 1) {
        return LP2P_EPROTO;
    }
    if (ws->at >= 2) {
        code = (unsigned)ws->control[0] << 8 | ws->control[1];
        if (!code_is_valid(code)) {
            return LP2P_EPROTO;
        }
    }
    if (ws->state == LP2P_WS_OPEN) {
        ws->close_code = code;
    }
    bool regular = code == LP2P_WS_NORMAL || code == LP2P_WS_NO_STATUS;
    end(ws, LP2P_WS_CLOSED, regular ? LP2P_EEOF : LP2P_ECONNRESET, code);
    return LP2P_OK;
}

static enum lp2p_err on_ping(struct lp2p_ws *ws)
{
    if (ws->state != LP2P_WS_OPEN) {
        return LP2P_OK; /* behind our close frame nothing may follow */
    }
    if (ws->pong == NULL) {
        ws->pong = malloc(sizeof(*ws->pong));
        if (ws->pong == NULL) {
            return LP2P_ENOMEM;
        }
    }
    ws->pong->len = (uint8_t)ws->at;
    if (ws->at > 0) {
        memcpy(ws->pong->payload, ws->control, ws->at);
    }
    return LP2P_OK;
}

/** All of the payload is there. */
static enum lp2p_err on_frame_end(struct lp2p_ws *ws)
{
    enum lp2p_err err = LP2P_OK;
    ws->in_frame = false;
    if (!is_control(ws->opcode)) {
        ws->in_message = !ws->fin;
        return LP2P_OK;
    }
    if (ws->opcode == OP_CLOSE) {
        err = on_close(ws);
    } else if (ws->opcode == OP_PING) {
        err = on_ping(ws);
    }
    free(ws->control);
    ws->control = NULL;
    return err;
}

/** The rules that wslay leaves to its user. */
static enum lp2p_err check_frame(const struct lp2p_ws *ws, const struct lp2p_ws_frame *frame)
{
    bool known = frame->opcode <= OP_BINARY || (frame->opcode >= OP_CLOSE && frame->opcode <= OP_PONG);
    if (!known || frame->rsv != 0 || frame->masked == ws->client) {
        return LP2P_EPROTO;
    }
    bool begins = frame->opcode == OP_TEXT || frame->opcode == OP_BINARY;
    bool continues = frame->opcode == OP_CONTINUATION;
    return (begins && ws->in_message) || (continues && !ws->in_message) ? LP2P_EPROTO : LP2P_OK;
}

static enum lp2p_err begin_frame(struct lp2p_ws *ws, const struct lp2p_ws_frame *frame)
{
    enum lp2p_err err = check_frame(ws, frame);
    if (err != LP2P_OK) {
        return err;
    }
    if (!is_control(frame->opcode)) {
        ws->message_len = frame->opcode == OP_CONTINUATION ? ws->message_len : 0;
        if (frame->len > ws->message_max - ws->message_len) {
            return LP2P_EOVERSIZE;
        }
        ws->message_len += frame->len;
    }
    ws->in_frame = true;
    ws->fin = frame->fin;
    ws->masked = frame->masked;
    ws->opcode = frame->opcode;
    memcpy(ws->key, frame->key, sizeof(ws->key));
    ws->at = 0;
    ws->left = frame->len;
    if (frame->len == 0) {
        return on_frame_end(ws);
    }
    if (is_control(frame->opcode)) {
        ws->control = malloc(LP2P_WS_CONTROL_MAX);
        return ws->control == NULL ? LP2P_ENOMEM : LP2P_OK;
    }
    return LP2P_OK;
}

/** A header that was cut: its beginning waits in `head`. The few bytes too many that are looked at stay in *in. */
static enum lp2p_err read_cut_header(struct lp2p_ws *ws, struct lp2p_span *in, struct lp2p_ws_frame *frame)
{
    size_t old = ws->head_len, more = LP2P_MIN(sizeof(ws->head) - old, in->len);
    memcpy(ws->head + old, in->ptr, more);
    enum lp2p_err err = lp2p_ws_header_read(lp2p_span(ws->head, old + more), frame);
    if (err != LP2P_OK) {
        return err;
    }
    if (frame->size == 0) {
        ws->head_len = (uint8_t)(old + more);
        *in = lp2p_span_skip(*in, more);
        return LP2P_OK;
    }
    LP2P_CHECK(frame->size >= old); /* a complete header would have been seen earlier */
    ws->head_len = 0;
    *in = lp2p_span_skip(*in, frame->size - old);
    return LP2P_OK;
}

static enum lp2p_err read_header(struct lp2p_ws *ws, struct lp2p_span *in)
{
    struct lp2p_ws_frame frame;
    enum lp2p_err err;
    if (ws->head_len > 0) {
        err = read_cut_header(ws, in, &frame);
    } else {
        err = lp2p_ws_header_read(*in, &frame);
        if (err == LP2P_OK && frame.size == 0) {
            LP2P_CHECK(in->len <= LP2P_WS_HEADER_MAX);
            memcpy(ws->head, in->ptr, in->len);
            ws->head_len = (uint8_t)in->len;
        }
        *in = lp2p_span_skip(*in, err == LP2P_OK && frame.size > 0 ? frame.size : in->len);
    }
    return err == LP2P_OK && frame.size > 0 ? begin_frame(ws, &frame) : err;
}

static enum lp2p_err read_payload(struct lp2p_ws *ws, struct lp2p_span *in, uint8_t *out, size_t *got)
{
    size_t part = ws->left < in->len ? (size_t)ws->left : in->len;
    bool control = is_control(ws->opcode);
    uint8_t *to = control ? ws->control + ws->at : out + *got;
    if (ws->masked) {
        lp2p_ws_mask(ws->key, ws->at, in->ptr, to, part);
    } else if (to != in->ptr) {
        memmove(to, in->ptr, part);
    }
    *got += control ? 0 : part;
    *in = lp2p_span_skip(*in, part);
    ws->at += part;
    ws->left -= part;
    return ws->left == 0 ? on_frame_end(ws) : LP2P_OK;
}

static unsigned close_code_of(enum lp2p_err err)
{
    return err == LP2P_EPROTO      ? LP2P_WS_PROTOCOL_ERROR
           : err == LP2P_EOVERSIZE ? LP2P_WS_TOO_BIG
                                   : LP2P_WS_GOING_AWAY;
}

enum lp2p_err lp2p_ws_feed(struct lp2p_ws *ws, struct lp2p_span in, uint8_t *out, size_t *got, lp2p_time now)
{
    (void)now;
    *got = 0;
    while (in.len > 0 && ws->state != LP2P_WS_ENDED) {
        enum lp2p_err err = ws->in_frame ? read_payload(ws, &in, out, got) : read_header(ws, &in);
        if (err != LP2P_OK) {
            if (ws->state == LP2P_WS_OPEN) {
                ws->close_code = close_code_of(err);
            }
            end(ws, LP2P_WS_FAILED, err, 0);
            return err;
        }
    }
    return LP2P_OK;
}

void lp2p_ws_next(struct lp2p_ws *ws, struct lp2p_ws_event *event)
{
    *event = ws->event;
    ws->event = (struct lp2p_ws_event){0};
}

static void new_key(struct lp2p_ws *ws, uint8_t key[4])
{
    struct lp2p_rand source = lp2p_rand_seeded_source(&ws->masks);
    lp2p_rand_fill(&source, key, 4);
}

/** One whole control frame; 0: it does not fit, or memory is short. */
static size_t write_control(struct lp2p_ws *ws, uint8_t opcode, struct lp2p_span payload, uint8_t *out,
                            size_t cap)
{
    struct lp2p_ws_frame frame = {.fin = true, .masked = ws->client, .opcode = opcode, .len = payload.len};
    uint8_t header[LP2P_WS_HEADER_MAX];
    if (ws->client) {
        new_key(ws, frame.key);
    }
    size_t size = lp2p_ws_header_write(&frame, header);
    if (size == 0 || size + payload.len > cap) {
        return 0;
    }
    memcpy(out, header, size);
    lp2p_ws_mask(frame.key, 0, payload.ptr, out + size, payload.len); /* a server's key is all zero */
    return size + payload.len;
}

size_t lp2p_ws_drain(struct lp2p_ws *ws, uint8_t *out, size_t cap, lp2p_time now)
{
    (void)now;
    size_t len = 0;
    if (ws->pong != NULL) {
        len = write_control(ws, OP_PONG, lp2p_span(ws->pong->payload, ws->pong->len), out, cap);
        if (len == 0) {
            return 0;
        }
        free(ws->pong);
        ws->pong = NULL;
    }
    if (ws->close_code != 0) {
        const uint8_t code[2] = {(uint8_t)(ws->close_code >> 8), (uint8_t)ws->close_code};
        struct lp2p_span payload = lp2p_span(code, ws->close_code == LP2P_WS_NO_STATUS ? 0 : sizeof(code));
        size_t size = write_control(ws, OP_CLOSE, payload, out + len, cap - len);
        len += size;
        ws->close_code = size > 0 ? 0 : ws->close_code;
    }
    return len;
}

lp2p_time lp2p_ws_deadline(const struct lp2p_ws *ws)
{
    (void)ws;
    return LP2P_NEVER;
}

bool lp2p_ws_in_frame(const struct lp2p_ws *ws)
{
    return ws->in_frame || ws->in_message || ws->head_len > 0;
}

size_t lp2p_ws_header(struct lp2p_ws *ws, size_t len, uint8_t out[LP2P_WS_HEADER_MAX], uint8_t key[4])
{
    LP2P_CHECK(len > 0 && len <= LP2P_WS_MESSAGE_MAX);
    struct lp2p_ws_frame frame = {.fin = true, .masked = ws->client, .opcode = OP_BINARY, .len = len};
    if (ws->client) {
        new_key(ws, frame.key);
        memcpy(key, frame.key, sizeof(frame.key));
    }
    return lp2p_ws_header_write(&frame, out);
}

void lp2p_ws_mask(const uint8_t key[4], uint64_t at, const uint8_t *in, uint8_t *out, size_t len)
{
    uint8_t turned[8];
    uint64_t mask;
    for (size_t i = 0; i < sizeof(turned); i++) {
        turned[i] = key[(at + i) % 4];
    }
    memcpy(&mask, turned, sizeof(mask));
    size_t i = 0;
    /* Each word is loaded before any byte of it can be overwritten: `out` is never behind `in`. */
    for (; i + sizeof(mask) <= len; i += sizeof(mask)) {
        uint64_t word;
        memcpy(&word, in + i, sizeof(word));
        word ^= mask;
        memcpy(out + i, &word, sizeof(word));
    }
    for (; i < len; i++) {
        out[i] = in[i] ^ turned[i % 8];
    }
}

void lp2p_ws_close(struct lp2p_ws *ws, enum lp2p_ws_code code)
{
    if (ws->state == LP2P_WS_OPEN) {
        ws->state = LP2P_WS_CLOSING;
        ws->close_code = code;
    }
}
