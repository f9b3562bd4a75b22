/* SPDX-License-Identifier: MIT */
#include "tls/tls.h"

#include "base/check.h"
#include "tls/certificate.h"
#include "tls/handshake.h"

#include <sodium.h>

#include <stdlib.h>

#define HANDSHAKE_BYTES_MAX 32768        /* of the other side; real handshakes have 1 to 3 KiB */
#define CERTIFICATE_BYTES_MAX 8192       /* one with RSA 8192 for both keys is below 4 KiB */
#define BEFORE_S 3600                    /* clocks differ */
#define AFTER_S ((int64_t)36525 * 86400) /* a hundred years */

/* The identity */

/** The word of the identity key for the certificate's key. */
static enum lp2p_err check_signer(const struct lp2p_tls_identity_options *options, struct lp2p_span statement,
                                  struct lp2p_span signature)
{
    struct lp2p_public_key host;
    return lp2p_public_key_parse(options->public_key, &host) == LP2P_OK &&
                   lp2p_public_key_verify(&host, statement, signature) == LP2P_OK
               ? LP2P_OK
               : LP2P_EINVAL;
}

/** The certificate and everything about its key; the key leaves this function only into the credentials. */
static enum lp2p_err make_certificate(const struct lp2p_tls_identity_options *options,
                                      const struct lp2p_tls_key *key, uint8_t *out, size_t *len)
{
    uint8_t statement[LP2P_TLS_KEY_DER_MAX], signature[LP2P_SIGNATURE_MAX];
    size_t statement_len = lp2p_tls_key_statement(key, statement), signature_len = 0;
    enum lp2p_err err =
        options->sign(options->sign_ctx, lp2p_span(statement, statement_len), signature, &signature_len);
    if (err != LP2P_OK || signature_len > sizeof(signature)) {
        return err != LP2P_OK ? err : LP2P_EINVAL;
    }
    const struct lp2p_tls_make make = {.key = key,
                                       .host_key = options->public_key,
                                       .host_signature = lp2p_span(signature, signature_len),
                                       .not_before_s = options->wall_s - BEFORE_S,
                                       .not_after_s = options->wall_s + AFTER_S,
                                       .rand = options->rand};
    err = lp2p_tls_certificate_make(&make, out, len);
    /* What signs for the identity may be outside of the process: it is not believed. The certificate's own
     * signature was made right here; to verify it would wake a library that a node without TLS peers never
     * needs. */
    return err != LP2P_OK ? err : check_signer(options, lp2p_span(statement, statement_len), make.host_signature);
}

enum lp2p_err lp2p_tls_identity_init(struct lp2p_tls_identity *identity,
                                     const struct lp2p_tls_identity_options *options)
{
    uint8_t der[LP2P_TLS_OWN_MAX], key_der[LP2P_TLS_KEY_DER_MAX];
    size_t len = 0;
    struct lp2p_tls_key key;
    *identity = (struct lp2p_tls_identity){.backend = options->backend,
                                           .handshake_bytes_max = HANDSHAKE_BYTES_MAX,
                                           .certificate_bytes_max = CERTIFICATE_BYTES_MAX};
    if (options->muxers_len > LP2P_TLS_MUXERS_MAX || options->public_key.len == 0) {
        return LP2P_EINVAL;
    }
    if (identity->backend == NULL) {
        identity->backend = lp2p_tls_backend_default();
    }
    for (size_t i = 0; i < options->muxers_len; i++) {
        identity->alpn[i] = options->muxers[i];
    }
    identity->alpn[options->muxers_len] = "libp2p";
    identity->muxers_len = options->muxers_len;
    enum lp2p_err err = lp2p_tls_key_generate(options->rand, &key);
    err = err != LP2P_OK ? err : make_certificate(options, &key, der, &len);
    if (err == LP2P_OK) {
        struct lp2p_span chain = lp2p_span(der, len);
        const struct lp2p_tls_material material = {
            .chain = &chain, .chain_len = 1, .key = lp2p_span(key_der, lp2p_tls_key_der(&key, key_der))};
        err = identity->backend->credentials_new(&material, options->rand, &identity->credentials);
    }
    sodium_memzero(&key, sizeof(key));
    sodium_memzero(key_der, sizeof(key_der));
    return err;
}

void lp2p_tls_identity_wipe(struct lp2p_tls_identity *identity)
{
    if (identity->credentials != NULL) {
        identity->backend->credentials_free(identity->credentials);
    }
    *identity = (struct lp2p_tls_identity){.backend = NULL};
}

enum lp2p_err lp2p_tls_check_certificate(struct lp2p_span certificate, int64_t wall_s,
                                         struct lp2p_peer_id *peer)
{
    struct lp2p_tls_certificate read;
    enum lp2p_err err = lp2p_tls_certificate_read(certificate, &read);
    return err == LP2P_OK ? lp2p_tls_certificate_check(&read, wall_s, peer) : err;
}

/* The channel */

/** What is needed until the handshake's last byte was drained and its event taken. */
struct pending {
    struct lp2p_tls_handshake handshake;
    const struct lp2p_tls_identity *identity;
    struct lp2p_rand rand;
    struct lp2p_peer_id expected;
    int64_t wall_s;
    enum lp2p_err (*costly)(void *ctx, lp2p_time now);
    void *costly_ctx;
    lp2p_time now; /* of the feed under way */
    struct lp2p_secure_event event;
};

enum channel_state { CHANNEL_HANDSHAKE, CHANNEL_ESTABLISHED, CHANNEL_FAILED };

struct channel {
    struct lp2p_secure base;
    enum channel_state state;
    struct lp2p_tls_records records;
    struct pending *pending; /* NULL: the handshake is behind us */
};

static struct channel *channel_of(struct lp2p_secure *secure)
{
    return LP2P_CONTAINER_OF(secure, struct channel, base);
}

static void pending_free(struct channel *channel)
{
    if (channel->pending != NULL) {
        lp2p_tls_handshake_fini(&channel->pending->handshake);
        sodium_memzero(channel->pending, sizeof(*channel->pending));
        free(channel->pending);
        channel->pending = NULL;
    }
}

/** An established connection keeps two secrets and nothing else. */
static void release(struct channel *channel)
{
    const struct pending *pending = channel->pending;
    if (pending != NULL && channel->state != CHANNEL_HANDSHAKE && pending->event.kind == LP2P_SECURE_NONE &&
        lp2p_tls_buffer_waiting(&pending->handshake.out) == 0) {
        pending_free(channel);
    }
}

/** The backend has a certificate of the other side: is it one, and whose? */
static enum lp2p_err judge(void *ctx, struct lp2p_span certificate)
{
    struct pending *pending = ctx;
    struct lp2p_tls_certificate read;
    if (certificate.len > pending->identity->certificate_bytes_max) {
        return LP2P_EOVERSIZE;
    }
    enum lp2p_err err = lp2p_tls_certificate_read(certificate, &read);
    if (err == LP2P_OK && pending->costly != NULL && lp2p_tls_scheme_is_costly(read.scheme)) {
        err = pending->costly(pending->costly_ctx, pending->now);
    }
    if (err == LP2P_OK) {
        err = lp2p_tls_certificate_check(&read, pending->wall_s, &pending->event.peer);
    }
    if (err == LP2P_OK && pending->expected.len != 0 &&
        !lp2p_peer_id_eq(&pending->expected, &pending->event.peer)) {
        return LP2P_EWRONGPEER;
    }
    return err;
}

static void channel_free(struct lp2p_secure *secure)
{
    struct channel *channel = channel_of(secure);
    pending_free(channel);
    lp2p_tls_records_fini(&channel->records);
    free(channel);
}

static struct lp2p_secure *channel_start(const struct lp2p_secure_start *start)
{
    struct channel *channel = calloc(1, sizeof(*channel));
    struct pending *pending = calloc(1, sizeof(*pending));
    if (channel == NULL || pending == NULL) {
        free(channel);
        free(pending);
        return NULL;
    }
    channel->base.ops = &lp2p_tls_secure;
    channel->pending = pending;
    pending->identity = start->identity;
    pending->rand = *start->rand;
    pending->wall_s = start->wall_s;
    pending->costly = start->costly;
    pending->costly_ctx = start->costly_ctx;
    pending->event.muxer = -1;
    if (start->expected != NULL) {
        pending->expected = *start->expected;
    }
    const struct lp2p_tls_task task = {.credentials = pending->identity->credentials,
                                       .server = !start->initiator,
                                       .peer = LP2P_TLS_PEER_ASKED,
                                       .alpn = pending->identity->alpn,
                                       .rand = &pending->rand,
                                       .wall_s = start->wall_s,
                                       .judge = judge,
                                       .judge_ctx = pending};
    if (lp2p_tls_handshake_init(&pending->handshake, pending->identity->backend, &task,
                                pending->identity->handshake_bytes_max) != LP2P_OK) {
        channel_free(&channel->base);
        return NULL;
    }
    return &channel->base;
}

static void establish(struct channel *channel)
{
    struct pending *pending = channel->pending;
    int alpn = -1;
    lp2p_tls_handshake_finish(&pending->handshake, &channel->records, &alpn);
    channel->state = CHANNEL_ESTABLISHED;
    pending->event.kind = LP2P_SECURE_ESTABLISHED;
    pending->event.muxer = alpn >= 0 && (size_t)alpn < pending->identity->muxers_len ? alpn : -1;
}

static enum lp2p_err channel_feed(struct lp2p_secure *secure, struct lp2p_span in, lp2p_time now,
                                  size_t *used)
{
    struct channel *channel = channel_of(secure);
    *used = 0;
    if (channel->state != CHANNEL_HANDSHAKE) {
        return channel->state == CHANNEL_FAILED ? LP2P_ESTATE : LP2P_OK;
    }
    struct pending *pending = channel->pending;
    pending->now = now;
    enum lp2p_err err = lp2p_tls_handshake_feed(&pending->handshake, in, used);
    if (err != LP2P_OK) {
        channel->state = CHANNEL_FAILED;
        pending->event.kind = LP2P_SECURE_FAILED;
        pending->event.reason = err;
    } else if (pending->handshake.done) {
        establish(channel);
    }
    return err;
}

static void channel_next(struct lp2p_secure *secure, struct lp2p_secure_event *event)
{
    struct channel *channel = channel_of(secure);
    if (channel->pending == NULL || channel->pending->event.kind == LP2P_SECURE_NONE) {
        *event = (struct lp2p_secure_event){.kind = LP2P_SECURE_NONE, .muxer = -1};
        return;
    }
    *event = channel->pending->event;
    channel->pending->event.kind = LP2P_SECURE_NONE;
    release(channel);
}

static size_t channel_drain(struct lp2p_secure *secure, uint8_t *out, size_t cap, lp2p_time now)
{
    struct channel *channel = channel_of(secure);
    (void)now;
    if (channel->pending == NULL) {
        return 0;
    }
    size_t part = lp2p_tls_buffer_take(&channel->pending->handshake.out, out, cap);
    release(channel);
    return part;
}

static enum lp2p_err channel_open(struct lp2p_secure *secure, uint8_t *frame, size_t size,
                                  struct lp2p_span *plain)
{
    struct channel *channel = channel_of(secure);
    *plain = lp2p_span(NULL, 0);
    return channel->state == CHANNEL_ESTABLISHED
               ? lp2p_tls_records_open(&channel->records, frame, size, plain)
               : LP2P_ESTATE;
}

static enum lp2p_err channel_seal(struct lp2p_secure *secure, uint8_t *frame, size_t plain_len, size_t *size)
{
    struct channel *channel = channel_of(secure);
    *size = 0;
    return channel->state == CHANNEL_ESTABLISHED
               ? lp2p_tls_records_seal(&channel->records, frame, plain_len, size)
               : LP2P_ESTATE;
}

static enum lp2p_err channel_seal_parts(struct lp2p_secure *secure, uint8_t *frame, size_t plain_len,
                                        const struct lp2p_secure_part *parts, size_t parts_len, size_t *size)
{
    struct channel *channel = channel_of(secure);
    *size = 0;
    return channel->state == CHANNEL_ESTABLISHED
               ? lp2p_tls_records_seal_parts(&channel->records, frame, plain_len, parts, parts_len, size)
               : LP2P_ESTATE;
}

static size_t channel_finish(struct lp2p_secure *secure, uint8_t *out)
{
    struct channel *channel = channel_of(secure);
    return channel->state == CHANNEL_ESTABLISHED ? lp2p_tls_records_close(&channel->records, out) : 0;
}

const struct lp2p_secure_ops lp2p_tls_secure = {
    .protocol = "/tls/1.0.0",
    .head = LP2P_TLS_HEAD,
    .tail = LP2P_TLS_TAIL,
    .plain_max = LP2P_TLS_PLAIN_MAX,
    .start = channel_start,
    .free = channel_free,
    .feed = channel_feed,
    .next = channel_next,
    .drain = channel_drain,
    .frame_size = lp2p_tls_record_size,
    .open = channel_open,
    .seal = channel_seal,
    .seal_parts = channel_seal_parts,
    .finish = channel_finish,
};
