/* SPDX-License-Identifier: MIT */
#include "actors/link/carrier_ws.h"

#include "actors/link/carrier_layer.h"
#include "base/check.h"
#include "websocket/websocket.h"

#include <stdlib.h>

#define SET_UP_READ 2048 /* bytes of one read during the upgrade */
#define READS_MAX 32     /* reads of one call that bring no payload: a flood of empty frames stops here and comes back later */
#define IDLE_BYTES_MAX (32u * 1024) /* bytes of such reads: some milliseconds' work */
#define IOV_MAX_BELOW 64

struct ws {
    struct lp2p_layer layer;
    struct lp2p_ws frames;
    struct lp2p_ws_upgrade *upgrade; /* NULL: frames have begun */
    bool below_ready, upgraded;
    enum lp2p_err ended; /* what read says when the peer is through; LP2P_OK: it is not */
    size_t owed;         /* server: bytes of our message under way that have yet to come from above */
    uint8_t *early;      /* frames that came with the upgrade; NULL: none */
    size_t early_at, early_len;
};

static struct ws *ws_of(struct lp2p_carrier *carrier)
{
    return LP2P_CONTAINER_OF(carrier, struct ws, layer.base);
}

static void account(struct ws *ws)
{
    size_t extra = ws->early == NULL ? 0 : ws->early_len;
    extra += ws->upgrade == NULL ? 0 : lp2p_ws_upgrade_memory_bytes();
    extra += ws->frames.control == NULL ? 0 : LP2P_WS_CONTROL_MAX;
    extra += ws->frames.pong == NULL ? 0 : sizeof(*ws->frames.pong);
    lp2p_layer_account(&ws->layer, extra);
}

/* ---- Set-up: the HTTP upgrade */

static enum lp2p_err hold_upgrade(struct ws *ws)
{
    uint8_t piece[512];
    size_t len;
    while ((len = lp2p_ws_upgrade_drain(ws->upgrade, piece, sizeof(piece), 0)) > 0) {
        uint8_t *out = lp2p_layer_hold(&ws->layer, len);
        if (out == NULL) {
            return LP2P_ENOMEM;
        }
        memcpy(out, piece, len);
        ws->layer.held_len += len;
    }
    return LP2P_OK;
}

static enum lp2p_err keep_early(struct ws *ws, struct lp2p_span rest)
{
    if (rest.len == 0) {
        return LP2P_OK;
    }
    ws->early = malloc(rest.len);
    if (ws->early == NULL) {
        return LP2P_ENOMEM;
    }
    memcpy(ws->early, rest.ptr, rest.len);
    ws->early_len = rest.len;
    return LP2P_OK;
}

/** One read, fed to the upgrade. */
static enum lp2p_err read_upgrade(struct ws *ws, lp2p_time now)
{
    uint8_t in[SET_UP_READ];
    size_t got = 0, used = 0;
    enum lp2p_err err = lp2p_layer_read_below(&ws->layer, in, sizeof(in), &got);
    if (err != LP2P_OK) {
        return err;
    }
    if (got == 0) {
        return LP2P_EEOF;
    }
    err = lp2p_ws_upgrade_feed(ws->upgrade, lp2p_span(in, got), now, &used);
    struct lp2p_ws_upgrade_event event;
    lp2p_ws_upgrade_next(ws->upgrade, &event);
    if (err == LP2P_OK && event.kind == LP2P_WS_UPGRADED) {
        ws->upgraded = true;
        err = keep_early(ws, lp2p_span(in + used, got - used));
    }
    enum lp2p_err said = hold_upgrade(ws);
    return err != LP2P_OK ? err : said;
}

static enum lp2p_err upgrade_step(struct ws *ws, lp2p_time now)
{
    if (!ws->below_ready) {
        enum lp2p_err err = ws->layer.below->ops->set_up(ws->layer.below, now);
        if (err != LP2P_OK) {
            return err;
        }
        ws->below_ready = true;
        err = hold_upgrade(ws); /* the client's request */
        if (err != LP2P_OK) {
            return err;
        }
    }
    enum lp2p_err flushed = lp2p_layer_flush(&ws->layer);
    if (flushed != LP2P_OK || ws->upgraded) {
        return flushed;
    }
    while (!ws->upgraded) {
        enum lp2p_err err = read_upgrade(ws, now);
        if (err != LP2P_OK) {
            (void)lp2p_layer_flush(&ws->layer); /* the answer that tells why not */
            return err;
        }
    }
    return lp2p_layer_flush(&ws->layer);
}

static enum lp2p_err ws_set_up(struct lp2p_carrier *carrier, lp2p_time now)
{
    struct ws *ws = ws_of(carrier);
    if (ws->upgrade == NULL) {
        return LP2P_OK;
    }
    enum lp2p_err err = upgrade_step(ws, now);
    account(ws);
    return err;
}

static void begin_frames(struct ws *ws)
{
    if (ws->upgrade != NULL) {
        LP2P_CHECK(ws->upgraded);
        lp2p_ws_upgrade_free(ws->upgrade);
        ws->upgrade = NULL;
    }
}

/* ---- Writing */

/** Pongs and close frames, between frames of ours. */
static enum lp2p_err flush_control(struct ws *ws)
{
    enum lp2p_err err = lp2p_layer_flush(&ws->layer);
    if (err != LP2P_OK || ws->owed > 0 || !lp2p_ws_has_control(&ws->frames)) {
        return err;
    }
    uint8_t *out = lp2p_layer_hold(&ws->layer, LP2P_WS_DRAIN_MAX);
    if (out == NULL) {
        return LP2P_ENOMEM;
    }
    ws->layer.held_len += lp2p_ws_drain(&ws->frames, out, LP2P_WS_DRAIN_MAX, 0);
    return lp2p_layer_flush(&ws->layer);
}

/** Client: one message, masked on its way into a buffer of ours. */
static enum lp2p_err write_masked(struct ws *ws, struct lp2p_iov_at *place, size_t *put)
{
    uint8_t header[LP2P_WS_HEADER_MAX], key[4];
    size_t len = LP2P_MIN(lp2p_iov_bytes(place), (size_t)LP2P_WS_MESSAGE_MAX);
    size_t size = lp2p_ws_header(&ws->frames, len, header, key);
    uint8_t *out = size == 0 ? NULL : lp2p_layer_hold(&ws->layer, size + len);
    if (out == NULL) {
        return LP2P_ENOMEM;
    }
    memcpy(out, header, size);
    for (size_t done = 0; done < len;) {
        struct iovec part;
        int n = lp2p_iov_peek(place, len - done, &part, 1);
        LP2P_CHECK(n == 1);
        lp2p_ws_mask(key, done, part.iov_base, out + size + done, part.iov_len);
        lp2p_iov_skip(place, part.iov_len);
        done += part.iov_len;
    }
    ws->layer.held_len += size + len;
    *put += len;
    return lp2p_layer_flush(&ws->layer);
}

/** What the carrier below did not take of a header on the stack. */
static enum lp2p_err hold_rest(struct ws *ws, const uint8_t *bytes, size_t len)
{
    uint8_t *out = lp2p_layer_hold(&ws->layer, len);
    if (out == NULL) {
        return LP2P_ENOMEM;
    }
    memcpy(out, bytes, len);
    ws->layer.held_len += len;
    return LP2P_EAGAIN;
}

/** Server: one message, or the rest of one, without a copy. Its header promises as many bytes as wait above; they stay there and
 *  are the first to come the next time. EAGAIN: the carrier below takes no more. */
static enum lp2p_err write_plain(struct ws *ws, struct lp2p_iov_at *place, size_t *put)
{
    uint8_t header[LP2P_WS_HEADER_MAX], key[4];
    struct iovec iov[IOV_MAX_BELOW];
    size_t size = 0, done = 0, offered = 0;
    int n = 0;
    if (ws->owed == 0) {
        size_t len = LP2P_MIN(lp2p_iov_bytes(place), (size_t)LP2P_WS_MESSAGE_MAX);
        size = lp2p_ws_header(&ws->frames, len, header, key);
        if (size == 0) {
            return LP2P_ENOMEM;
        }
        ws->owed = len;
        iov[n++] = (struct iovec){header, size};
    }
    n += lp2p_iov_peek(place, ws->owed, iov + n, IOV_MAX_BELOW - n);
    for (int i = 0; i < n; i++) {
        offered += iov[i].iov_len;
    }
    enum lp2p_err err = ws->layer.below->ops->writev(ws->layer.below, iov, n, &done);
    if (err != LP2P_OK && err != LP2P_EAGAIN) {
        return err;
    }
    if (done < size) {
        return hold_rest(ws, header + done, size - done);
    }
    size_t payload = done - size;
    lp2p_iov_skip(place, payload);
    ws->owed -= payload;
    *put += payload;
    return done < offered ? LP2P_EAGAIN : err;
}

static enum lp2p_err ws_writev(struct lp2p_carrier *carrier, const struct iovec *iov, int iov_len, size_t *put)
{
    struct ws *ws = ws_of(carrier);
    struct lp2p_iov_at place = {iov, iov_len, 0};
    *put = 0;
    begin_frames(ws);
    enum lp2p_err err = flush_control(ws);
    if (err == LP2P_OK && ws->frames.state == LP2P_WS_ENDED && lp2p_iov_bytes(&place) > 0) {
        err = LP2P_ECONNRESET; /* behind the close frames nothing can be said */
    }
    while (err == LP2P_OK && lp2p_iov_bytes(&place) > 0) {
        err = ws->frames.client ? write_masked(ws, &place, put) : write_plain(ws, &place, put);
        if (err == LP2P_OK) {
            err = flush_control(ws);
        }
    }
    account(ws);
    return err == LP2P_EAGAIN && *put > 0 ? LP2P_OK : err;
}

static bool ws_wants_write(const struct lp2p_carrier *carrier)
{
    const struct ws *ws = LP2P_CONTAINER_OF(carrier, const struct ws, layer.base);
    return lp2p_layer_wants_write(&ws->layer) ||
           (ws->upgrade == NULL && ws->owed == 0 && lp2p_ws_has_control(&ws->frames));
}

/* ---- Reading */

/** Frames from `in`, which may lie in `out` itself. Remembers the end. */
static void decode(struct ws *ws, struct lp2p_span in, uint8_t *out, size_t *got)
{
    enum lp2p_err err = lp2p_ws_feed(&ws->frames, in, out, got, 0);
    struct lp2p_ws_event event;
    lp2p_ws_next(&ws->frames, &event);
    if (err != LP2P_OK || event.kind != LP2P_WS_NONE) {
        ws->ended = event.reason;
    }
    if (lp2p_ws_has_control(&ws->frames)) {
        err = flush_control(ws); /* what cannot go now is what wants_write tells; what cannot ever shows in a write */
        (void)err;
    }
}

/** As many of the early bytes as fit: payload is never longer than its frames. */
static void decode_early(struct ws *ws, uint8_t *out, size_t len, size_t *got)
{
    size_t part = LP2P_MIN(len, ws->early_len - ws->early_at);
    decode(ws, lp2p_span(ws->early + ws->early_at, part), out, got);
    ws->early_at += part;
    if (ws->early_at == ws->early_len) {
        free(ws->early);
        ws->early = NULL;
    }
}

static enum lp2p_err read_frames(struct ws *ws, uint8_t *out, size_t len, size_t *got)
{
    size_t idle = 0;
    for (int i = 0; i < READS_MAX && idle < IDLE_BYTES_MAX && *got == 0 && ws->ended == LP2P_OK; i++) {
        if (ws->early != NULL) {
            decode_early(ws, out, len, got);
            continue;
        }
        /* Straight into the reader's memory, where payload then moves over the headers in front of it. */
        size_t raw = 0;
        enum lp2p_err err = lp2p_layer_read_below(&ws->layer, out, len, &raw);
        if (err != LP2P_OK) {
            return err;
        }
        if (raw == 0) { /* no close frame came */
            ws->ended = lp2p_ws_in_frame(&ws->frames) ? LP2P_ETRUNCATED : LP2P_ECONNRESET;
            break;
        }
        decode(ws, lp2p_span(out, raw), out, got);
        idle += raw;
    }
    if (*got > 0) {
        return LP2P_OK;
    }
    if (ws->ended == LP2P_OK) {
        return LP2P_EAGAIN;
    }
    return ws->ended == LP2P_EEOF ? LP2P_OK : ws->ended;
}

static enum lp2p_err ws_read(struct lp2p_carrier *carrier, void *out, size_t len, size_t *got)
{
    struct ws *ws = ws_of(carrier);
    *got = 0;
    begin_frames(ws);
    enum lp2p_err err = read_frames(ws, out, len, got);
    account(ws);
    return err;
}

static bool ws_holds_input(const struct lp2p_carrier *carrier)
{
    const struct ws *ws = LP2P_CONTAINER_OF(carrier, const struct ws, layer.base);
    return ws->early != NULL || ws->ended != LP2P_OK || lp2p_carrier_holds_input(ws->layer.below);
}

/* ---- The end */

static void ws_close(struct lp2p_carrier *carrier)
{
    struct ws *ws = ws_of(carrier);
    if (ws->upgraded) {
        lp2p_ws_close(&ws->frames, LP2P_WS_NORMAL);
        enum lp2p_err err = flush_control(ws);
        (void)err; /* as far as it goes at once */
    }
    lp2p_layer_fini(&ws->layer);
    lp2p_ws_fini(&ws->frames);
    lp2p_ws_upgrade_free(ws->upgrade);
    free(ws->early);
    free(ws);
}

#define WS_OPS(text)                                                                                                \
    {                                                                                                               \
        .name = (text), .set_up = ws_set_up, .read = ws_read, .writev = ws_writev, .wants_write = ws_wants_write,    \
        .holds_input = ws_holds_input, .close = ws_close,                                                           \
    }
static const struct lp2p_carrier_ops ws_ops = WS_OPS("ws"), wss_ops = WS_OPS("wss");

struct lp2p_carrier *lp2p_carrier_ws(struct lp2p_carrier **below, const struct lp2p_ws_start *start)
{
    struct ws *ws = calloc(1, sizeof(*ws));
    struct lp2p_ws_upgrade *upgrade =
        start->client ? lp2p_ws_upgrade_client(start->host, start->path == NULL ? "/" : start->path, start->rand, NULL)
                      : lp2p_ws_upgrade_server(NULL);
    if (ws == NULL || upgrade == NULL) {
        free(ws);
        lp2p_ws_upgrade_free(upgrade);
        return NULL;
    }
    lp2p_ws_upgrade_judge(upgrade, start->judge, start->judge_ctx);
    bool secure = strcmp((*below)->ops->name, "tls") == 0;
    lp2p_layer_init(&ws->layer, secure ? &wss_ops : &ws_ops, below, sizeof(*ws));
    lp2p_ws_init(&ws->frames, start->client, start->rand);
    ws->upgrade = upgrade;
    account(ws);
    return &ws->layer.base;
}
