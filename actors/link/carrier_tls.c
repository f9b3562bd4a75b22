/* SPDX-License-Identifier: MIT */
#include "actors/link/carrier_tls.h"

#include "actors/link/carrier_layer.h"
#include "base/check.h"

#include <stdlib.h>

#define DRAIN_MAX (32u * 1024) /* bytes of records that move from the session towards the socket at once */
#define RAW_MIN 2048u
#define RAW_MAX (68u * 1024) /* bytes of records of one read */

struct tls {
    struct lp2p_layer layer;
    struct lp2p_tls_session *session;
    bool below_ready;
    enum lp2p_err ended; /* what read says when all was read; LP2P_OK: not yet */
    uint8_t *raw;        /* records that the session did not take yet; NULL: none */
    size_t raw_at, raw_len, raw_cap;
};

static struct tls *tls_of(struct lp2p_carrier *carrier)
{
    return LP2P_CONTAINER_OF(carrier, struct tls, layer.base);
}

static void account(struct tls *tls)
{
    lp2p_layer_account(&tls->layer, lp2p_tls_session_memory_bytes(tls->session) + tls->raw_cap);
}

static void drop_raw(struct tls *tls)
{
    free(tls->raw);
    tls->raw = NULL;
    tls->raw_at = tls->raw_len = tls->raw_cap = 0;
}

/** Moves records down as far as they go. EAGAIN: some are left. */
static enum lp2p_err flush(struct tls *tls)
{
    for (;;) {
        enum lp2p_err err = lp2p_layer_flush(&tls->layer);
        if (err != LP2P_OK || !lp2p_tls_session_wants_drain(tls->session)) {
            return err;
        }
        uint8_t *out = lp2p_layer_hold(&tls->layer, DRAIN_MAX);
        if (out == NULL) {
            return LP2P_ENOMEM;
        }
        tls->layer.held_len += lp2p_tls_session_drain(tls->session, out, DRAIN_MAX, 0);
    }
}

/** Feeds the session: from what is there, else from one read of about `want` bytes. EEOF: nothing comes any more. */
static enum lp2p_err feed(struct tls *tls, size_t want, lp2p_time now)
{
    if (tls->raw == NULL) {
        size_t cap = LP2P_MIN(LP2P_MAX(want, (size_t)RAW_MIN), (size_t)RAW_MAX), got = 0;
        tls->raw = malloc(cap);
        if (tls->raw == NULL) {
            return LP2P_ENOMEM;
        }
        tls->raw_cap = cap;
        enum lp2p_err err = lp2p_layer_read_below(&tls->layer, tls->raw, cap, &got);
        if (err != LP2P_OK || got == 0) {
            drop_raw(tls);
            return err == LP2P_OK ? LP2P_EEOF : err;
        }
        tls->raw_len = got;
    }
    size_t used = 0;
    enum lp2p_err err = lp2p_tls_session_feed(
        tls->session, lp2p_span(tls->raw + tls->raw_at, tls->raw_len - tls->raw_at), now, &used);
    tls->raw_at += used;
    if (err != LP2P_OK || tls->raw_at == tls->raw_len) {
        drop_raw(tls);
    }
    return err;
}

static enum lp2p_err handshake_step(struct tls *tls, lp2p_time now)
{
    if (!tls->below_ready) {
        enum lp2p_err err = tls->layer.below->ops->set_up(tls->layer.below, now);
        if (err != LP2P_OK) {
            return err;
        }
        tls->below_ready = true;
    }
    for (;;) {
        enum lp2p_err err = flush(tls);
        enum lp2p_tls_session_state state = lp2p_tls_session_state(tls->session);
        if (err != LP2P_OK || state == LP2P_TLS_SESSION_OPEN) {
            return err;
        }
        if (state == LP2P_TLS_SESSION_ENDED) {
            return LP2P_EEOF; /* a good-bye came with the last of the handshake; it takes nothing any more */
        }
        err = feed(tls, RAW_MIN, now);
        if (err != LP2P_OK) {
            if (err != LP2P_EAGAIN) {
                (void)flush(tls); /* the alert that tells why not */
            }
            return err;
        }
    }
}

static enum lp2p_err tls_set_up(struct lp2p_carrier *carrier, lp2p_time now)
{
    struct tls *tls = tls_of(carrier);
    enum lp2p_err err = handshake_step(tls, now);
    account(tls);
    return err;
}

/** Fills `out` from the session and from one read of the socket: a second read is made only while there is nothing. */
static void read_records(struct tls *tls, uint8_t *out, size_t len, size_t *got)
{
    enum lp2p_err err = LP2P_OK;
    while (*got < len && err == LP2P_OK) {
        size_t part = 0;
        err = lp2p_tls_session_read(tls->session, out + *got, len - *got, &part);
        *got += part;
        if (err != LP2P_EAGAIN || (*got > 0 && tls->raw == NULL)) {
            continue; /* more of it, the end, or enough for one call */
        }
        err = feed(tls, len - *got, 0);
        if (err == LP2P_EEOF) {
            err = LP2P_ETRUNCATED; /* the socket ended, and nobody said so inside */
        }
    }
    if (err != LP2P_OK && err != LP2P_EAGAIN) {
        tls->ended = err;
    }
}

static enum lp2p_err tls_read(struct lp2p_carrier *carrier, void *out, size_t len, size_t *got)
{
    struct tls *tls = tls_of(carrier);
    *got = 0;
    if (tls->ended == LP2P_OK) {
        read_records(tls, out, len, got);
        if (lp2p_tls_session_wants_drain(tls->session)) {
            enum lp2p_err err = flush(tls); /* an alert, a key update; what cannot go now is what wants_write tells */
            (void)err;
        }
    }
    account(tls);
    if (*got > 0) {
        return LP2P_OK;
    }
    if (tls->ended == LP2P_OK) {
        return LP2P_EAGAIN;
    }
    return tls->ended == LP2P_EEOF ? LP2P_OK : tls->ended;
}

/** Seals what the session takes of one part. */
static enum lp2p_err write_part(struct tls *tls, struct lp2p_span part, size_t *put)
{
    while (part.len > 0) {
        size_t taken = 0;
        enum lp2p_err err = lp2p_tls_session_write(tls->session, part, &taken);
        *put += taken;
        part = lp2p_span_skip(part, taken);
        if (err == LP2P_EAGAIN) {
            err = flush(tls);
        }
        if (err != LP2P_OK) {
            return err;
        }
    }
    return LP2P_OK;
}

static enum lp2p_err tls_writev(struct lp2p_carrier *carrier, const struct iovec *iov, int iov_len, size_t *put)
{
    struct tls *tls = tls_of(carrier);
    *put = 0;
    enum lp2p_err err = flush(tls);
    for (int i = 0; i < iov_len && err == LP2P_OK; i++) {
        err = write_part(tls, lp2p_span(iov[i].iov_base, iov[i].iov_len), put);
    }
    if (err == LP2P_OK) {
        err = flush(tls);
    }
    account(tls);
    return err == LP2P_EAGAIN && *put > 0 ? LP2P_OK : err;
}

static bool tls_wants_write(const struct lp2p_carrier *carrier)
{
    const struct tls *tls = LP2P_CONTAINER_OF(carrier, const struct tls, layer.base);
    return lp2p_layer_wants_write(&tls->layer) || lp2p_tls_session_wants_drain(tls->session);
}

static bool tls_holds_input(const struct lp2p_carrier *carrier)
{
    const struct tls *tls = LP2P_CONTAINER_OF(carrier, const struct tls, layer.base);
    return tls->raw != NULL || tls->ended != LP2P_OK || lp2p_tls_session_holds_input(tls->session) ||
           lp2p_carrier_holds_input(tls->layer.below);
}

static void tls_close(struct lp2p_carrier *carrier)
{
    struct tls *tls = tls_of(carrier);
    if (tls->below_ready) {
        lp2p_tls_session_close(tls->session);
        enum lp2p_err err = flush(tls);
        (void)err; /* as far as it goes at once */
    }
    lp2p_layer_fini(&tls->layer);
    lp2p_tls_session_free(tls->session);
    free(tls->raw);
    free(tls);
}

static const struct lp2p_carrier_ops tls_ops = {
    .name = "tls",
    .set_up = tls_set_up,
    .read = tls_read,
    .writev = tls_writev,
    .wants_write = tls_wants_write,
    .holds_input = tls_holds_input,
    .close = tls_close,
};

struct lp2p_carrier *lp2p_carrier_tls(struct lp2p_carrier **below, struct lp2p_tls_session **session)
{
    struct tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return NULL;
    }
    lp2p_layer_init(&tls->layer, &tls_ops, below, sizeof(*tls));
    tls->session = *session;
    *session = NULL;
    account(tls);
    return &tls->layer.base;
}
