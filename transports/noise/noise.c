/* SPDX-License-Identifier: MIT */
#include "noise/noise.h"

#include "base/check.h"
#include "noise/handshake.h"
#include "noise/payload.h"
#include "wire/curve25519.h"

#include <sodium.h>
#include <stdlib.h>

enum noise_state { NOISE_HANDSHAKE, NOISE_ESTABLISHED, NOISE_FAILED };

/** Lives until the handshake is over, its last bytes were drained and its event was taken. */
struct handshake {
    struct lp2p_xx xx;
    const struct lp2p_noise_identity *identity;
    struct lp2p_peer_id expected; /* len 0: anyone */
    uint8_t prefix[LP2P_NOISE_PREFIX], prefix_len;
    uint8_t *in, *out; /* message under way, of in_size bytes; frame to be drained from out_at on */
    size_t in_len, in_size, out_at, out_len;
    struct lp2p_noise_event event; /* kind NONE: none waits */
};

struct lp2p_noise {
    struct lp2p_secure secure; /* first: the channel as the upgrade and the connection know it */
    enum noise_state state;
    bool recv_broken; /* a frame did not authenticate: nothing after it is believed */
    struct lp2p_aead send, recv;
    struct handshake *handshake;
};

enum lp2p_err lp2p_noise_identity_init(struct lp2p_noise_identity *identity,
                                       const struct lp2p_private_key *key, const char *const *muxers,
                                       size_t muxers_len, const struct lp2p_rand *rand)
{
    LP2P_CHECK(muxers_len <= LP2P_NOISE_MUXERS_MAX);
    *identity = (struct lp2p_noise_identity){.key = key, .muxers_len = muxers_len};
    for (size_t i = 0; i < muxers_len; i++) {
        identity->muxers[i] = muxers[i];
    }
    lp2p_rand_fill(rand, identity->static_secret, sizeof(identity->static_secret));
    lp2p_x25519_public(identity->static_secret, identity->static_public);
    size_t len = lp2p_noise_payload_sign(key, identity->static_public, identity->payload_signature);
    identity->payload_signature_len = (uint16_t)len;
    return len > 0 ? LP2P_OK : LP2P_ESIGNATURE;
}

void lp2p_noise_identity_wipe(struct lp2p_noise_identity *identity)
{
    sodium_memzero(identity, sizeof(*identity));
}

static void handshake_free(struct lp2p_noise *noise)
{
    struct handshake *hs = noise->handshake;
    if (hs == NULL) {
        return;
    }
    noise->handshake = NULL;
    lp2p_xx_wipe(&hs->xx);
    free(hs->in);
    free(hs->out);
    sodium_memzero(hs, sizeof(*hs));
    free(hs);
}

/** The next handshake message as a frame to be drained. */
static enum lp2p_err write_message(struct handshake *hs, struct lp2p_span payload)
{
    size_t size = lp2p_xx_overhead(hs->xx.messages) + payload.len, len = 0;
    uint8_t *frame = malloc(LP2P_NOISE_PREFIX + size);
    if (frame == NULL) {
        return LP2P_ENOMEM;
    }
    enum lp2p_err err = lp2p_xx_write(&hs->xx, payload, frame + LP2P_NOISE_PREFIX, &len);
    if (err != LP2P_OK) {
        free(frame);
        return err;
    }
    LP2P_CHECK(len == size && len <= LP2P_NOISE_FRAME_MAX);
    frame[0] = (uint8_t)(len >> 8);
    frame[1] = (uint8_t)len;
    free(hs->out);
    hs->out = frame;
    hs->out_at = 0;
    hs->out_len = LP2P_NOISE_PREFIX + len;
    return LP2P_OK;
}

static enum lp2p_err write_identity(struct handshake *hs)
{
    size_t len = 0, cap = lp2p_noise_payload_size(hs->identity);
    uint8_t *payload = cap > 0 && cap <= LP2P_NOISE_PAYLOAD_MAX ? malloc(cap) : NULL;
    if (payload == NULL) {
        return LP2P_ENOMEM;
    }
    enum lp2p_err err = lp2p_noise_payload_write(hs->identity, payload, cap, &len);
    if (err == LP2P_OK) {
        err = write_message(hs, lp2p_span(payload, len));
    }
    free(payload);
    return err;
}

struct lp2p_noise *lp2p_noise_new(const struct lp2p_noise_identity *identity, bool initiator,
                                  const struct lp2p_peer_id *expected, const struct lp2p_rand *rand)
{
    return lp2p_noise_new_with_prologue(identity, initiator, expected, lp2p_span(NULL, 0), rand);
}

struct lp2p_noise *lp2p_noise_new_with_prologue(const struct lp2p_noise_identity *identity, bool initiator,
                                                const struct lp2p_peer_id *expected,
                                                struct lp2p_span prologue, const struct lp2p_rand *rand)
{
    struct lp2p_noise *noise = calloc(1, sizeof(*noise));
    struct handshake *hs = calloc(1, sizeof(*hs));
    if (noise == NULL || hs == NULL) {
        free(noise);
        free(hs);
        return NULL;
    }
    noise->secure.ops = &lp2p_noise_secure;
    noise->handshake = hs;
    hs->identity = identity;
    if (expected != NULL) {
        hs->expected = *expected;
    }
    uint8_t ephemeral[LP2P_XX_DH];
    lp2p_rand_fill(rand, ephemeral, sizeof(ephemeral));
    lp2p_xx_init(&hs->xx, initiator, prologue, identity->static_secret, identity->static_public, ephemeral);
    sodium_memzero(ephemeral, sizeof(ephemeral));
    if (initiator && write_message(hs, lp2p_span(NULL, 0)) != LP2P_OK) {
        lp2p_noise_free(noise);
        return NULL;
    }
    return noise;
}

void lp2p_noise_free(struct lp2p_noise *noise)
{
    if (noise == NULL) {
        return;
    }
    handshake_free(noise);
    lp2p_aead_fini(&noise->send);
    lp2p_aead_fini(&noise->recv);
    free(noise);
}

/** All failures look the same on the wire: nothing more is sent. */
static void fail(struct lp2p_noise *noise, enum lp2p_err reason)
{
    struct handshake *hs = noise->handshake;
    noise->state = NOISE_FAILED;
    lp2p_xx_wipe(&hs->xx);
    hs->out_at = hs->out_len = 0;
    hs->event.kind = LP2P_NOISE_FAILED; /* after EWRONGPEER the event tells who it was */
    hs->event.reason = reason;
    hs->event.muxer = -1;
}

static void establish(struct lp2p_noise *noise)
{
    struct handshake *hs = noise->handshake;
    uint8_t send_key[LP2P_AEAD_KEY], recv_key[LP2P_AEAD_KEY];
    lp2p_xx_split(&hs->xx, send_key, recv_key);
    lp2p_aead_init(&noise->send, send_key, true);
    lp2p_aead_init(&noise->recv, recv_key, true);
    sodium_memzero(send_key, sizeof(send_key));
    sodium_memzero(recv_key, sizeof(recv_key));
    lp2p_xx_wipe(&hs->xx);
    noise->state = NOISE_ESTABLISHED;
    hs->event.kind = LP2P_NOISE_ESTABLISHED;
}

/** The payload of message 2 or 3: who is it, and is it who was wanted? */
static enum lp2p_err prove_peer(struct handshake *hs, struct lp2p_span payload)
{
    enum lp2p_err err =
        lp2p_noise_payload_read(hs->identity, hs->xx.initiator, payload, hs->xx.rs, &hs->event);
    if (err != LP2P_OK && err != LP2P_ENEGOTIATION) {
        return err;
    }
    if (hs->expected.len != 0 && !lp2p_peer_id_eq(&hs->expected, &hs->event.peer)) {
        return LP2P_EWRONGPEER;
    }
    return err;
}

/** A whole message is in hs->in. */
static enum lp2p_err on_message(struct lp2p_noise *noise)
{
    struct handshake *hs = noise->handshake;
    struct lp2p_span payload;
    enum lp2p_err err = lp2p_xx_read(&hs->xx, hs->in, hs->in_size, &payload);
    if (err != LP2P_OK) {
        return err;
    }
    if (hs->xx.messages == 1) {
        return write_identity(
            hs); /* the payload of message 1 is empty by the spec; go ignores its content, and so do we */
    }
    err = prove_peer(hs, payload);
    if (err == LP2P_OK && hs->xx.initiator) {
        err = write_identity(hs);
    }
    if (err == LP2P_OK) {
        establish(noise);
    }
    return err;
}

/** The length of the next message is known. */
static enum lp2p_err begin_message(struct handshake *hs)
{
    size_t size = (size_t)hs->prefix[0] << 8 | hs->prefix[1];
    size_t overhead = lp2p_xx_overhead(hs->xx.messages);
    if (size < overhead) {
        return LP2P_EMALFORMED;
    }
    if (size > overhead + LP2P_NOISE_PAYLOAD_MAX) {
        return LP2P_EOVERSIZE;
    }
    hs->in = malloc(size);
    hs->in_len = 0;
    hs->in_size = size;
    return hs->in == NULL ? LP2P_ENOMEM : LP2P_OK;
}

/** Takes what is missing of `want` bytes off the front of *in. */
static size_t fill(uint8_t *to, size_t have, size_t want, struct lp2p_span *in)
{
    size_t part = LP2P_MIN(want - have, in->len);
    if (part > 0) {
        memcpy(to + have, in->ptr, part);
        *in = lp2p_span_skip(*in, part);
    }
    return have + part;
}

/** True when it is the other side's turn in the handshake. */
static bool reading(const struct lp2p_noise *noise)
{
    return noise->state == NOISE_HANDSHAKE &&
           (noise->handshake->xx.messages % 2 == 1) == noise->handshake->xx.initiator;
}

static enum lp2p_err feed_once(struct lp2p_noise *noise, struct lp2p_span *in)
{
    struct handshake *hs = noise->handshake;
    enum lp2p_err err = LP2P_OK;
    if (hs->in == NULL) {
        hs->prefix_len = (uint8_t)fill(hs->prefix, hs->prefix_len, LP2P_NOISE_PREFIX, in);
        return hs->prefix_len == LP2P_NOISE_PREFIX ? begin_message(hs) : LP2P_OK;
    }
    hs->in_len = fill(hs->in, hs->in_len, hs->in_size, in);
    if (hs->in_len == hs->in_size) {
        err = on_message(noise);
        free(hs->in);
        hs->in = NULL;
        hs->prefix_len = 0;
    }
    return err;
}

enum lp2p_err lp2p_noise_feed(struct lp2p_noise *noise, struct lp2p_span in, lp2p_time now, size_t *used)
{
    (void)now;
    size_t given = in.len;
    while (in.len > 0 && reading(noise)) {
        enum lp2p_err err = feed_once(noise, &in);
        if (err != LP2P_OK) {
            fail(noise, err);
            *used = given - in.len;
            return err;
        }
    }
    *used = given - in.len;
    return noise->state == NOISE_FAILED ? LP2P_ESTATE : LP2P_OK;
}

/** An established connection keeps two keys and nothing else. */
static void release_handshake(struct lp2p_noise *noise)
{
    const struct handshake *hs = noise->handshake;
    if (hs != NULL && noise->state != NOISE_HANDSHAKE && hs->event.kind == LP2P_NOISE_NONE &&
        hs->out_at == hs->out_len) {
        handshake_free(noise);
    }
}

void lp2p_noise_next(struct lp2p_noise *noise, struct lp2p_noise_event *event)
{
    if (noise->handshake == NULL || noise->handshake->event.kind == LP2P_NOISE_NONE) {
        *event = (struct lp2p_noise_event){.kind = LP2P_NOISE_NONE, .muxer = -1};
        return;
    }
    *event = noise->handshake->event;
    noise->handshake->event.kind = LP2P_NOISE_NONE;
    release_handshake(noise);
}

size_t lp2p_noise_drain(struct lp2p_noise *noise, uint8_t *out, size_t cap, lp2p_time now)
{
    (void)now;
    struct handshake *hs = noise->handshake;
    if (hs == NULL || hs->out_at == hs->out_len) {
        return 0;
    }
    size_t part = LP2P_MIN(cap, hs->out_len - hs->out_at);
    memcpy(out, hs->out + hs->out_at, part);
    hs->out_at += part;
    release_handshake(noise);
    return part;
}

lp2p_time lp2p_noise_deadline(const struct lp2p_noise *noise)
{
    (void)noise;
    return LP2P_NEVER;
}

struct lp2p_aead *lp2p_noise_key(struct lp2p_noise *noise, bool receiving)
{
    if (noise->state != NOISE_ESTABLISHED) {
        return NULL;
    }
    return receiving ? &noise->recv : &noise->send;
}

enum lp2p_err lp2p_noise_frame_size(struct lp2p_span in, size_t *size)
{
    *size = 0;
    if (in.len < LP2P_NOISE_PREFIX) {
        return LP2P_OK;
    }
    size_t len = (size_t)in.ptr[0] << 8 | in.ptr[1];
    if (len < LP2P_NOISE_TAG) {
        return LP2P_EMALFORMED;
    }
    *size = LP2P_NOISE_PREFIX + len;
    return LP2P_OK;
}

enum lp2p_err lp2p_noise_open(struct lp2p_noise *noise, uint8_t *frame, size_t size, struct lp2p_span *plain)
{
    size_t framed = 0;
    *plain = lp2p_span(NULL, 0);
    if (noise->state != NOISE_ESTABLISHED) {
        return LP2P_ESTATE;
    }
    if (noise->recv_broken) {
        return LP2P_EAUTH;
    }
    enum lp2p_err err = lp2p_noise_frame_size(lp2p_span(frame, size), &framed);
    if (err != LP2P_OK || framed == 0 || framed != size) {
        return LP2P_EMALFORMED;
    }
    size_t len = size - LP2P_NOISE_PREFIX - LP2P_NOISE_TAG;
    err = lp2p_aead_open(&noise->recv, lp2p_span(NULL, 0), frame + LP2P_NOISE_PREFIX, len);
    if (err != LP2P_OK) {
        noise->recv_broken = true;
        return err;
    }
    *plain = lp2p_span(frame + LP2P_NOISE_PREFIX, len);
    return LP2P_OK;
}

enum lp2p_err lp2p_noise_seal(struct lp2p_noise *noise, uint8_t *frame, size_t plain_len, size_t *size)
{
    return lp2p_noise_seal_parts(noise, frame, plain_len, NULL, 0, size);
}

enum lp2p_err lp2p_noise_seal_parts(struct lp2p_noise *noise, uint8_t *frame, size_t plain_len,
                                    const struct lp2p_secure_part *parts, size_t parts_len, size_t *size)
{
    *size = 0;
    if (noise->state != NOISE_ESTABLISHED) {
        return LP2P_ESTATE;
    }
    if (plain_len > LP2P_NOISE_PLAIN_MAX) {
        return LP2P_EINVAL;
    }
    enum lp2p_err err = lp2p_aead_seal_parts(&noise->send, frame + LP2P_NOISE_PREFIX, plain_len, parts, parts_len);
    if (err != LP2P_OK) {
        return err;
    }
    size_t len = plain_len + LP2P_NOISE_TAG;
    frame[0] = (uint8_t)(len >> 8);
    frame[1] = (uint8_t)len;
    *size = LP2P_NOISE_PREFIX + len;
    return LP2P_OK;
}
