/* SPDX-License-Identifier: MIT
 * The Noise handshake of libp2p in both roles. The first byte chooses: raw bytes in pieces, or an end that
 * follows XX rightly and sends the input as its payload, so that the payload's grammar is reached behind the
 * encryption; and the same with a key and its true signature behind the input, so that what follows the
 * signature is reached. */
#include "noise_ends.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_event(struct lp2p_noise *noise, enum lp2p_err err)
{
    struct lp2p_noise_event event;
    lp2p_noise_next(noise, &event);
    LP2P_CHECK((event.kind == LP2P_NOISE_FAILED) == (err != LP2P_OK));
    LP2P_CHECK(event.kind !=
               LP2P_NOISE_ESTABLISHED); /* nobody here has the key of the identity it would prove */
    lp2p_noise_next(noise, &event);
    LP2P_CHECK(event.kind == LP2P_NOISE_NONE);
}

static void raw_bytes(struct noise_ends *ends, bool initiator, struct lp2p_span in)
{
    struct lp2p_noise *noise = lp2p_noise_new(&ends->identities[0], initiator, NULL, &ends->rand);
    uint8_t out[64];
    enum lp2p_err err = LP2P_OK;
    size_t step = 1;
    while (in.len > 0 && err == LP2P_OK) {
        size_t used = 0, part = LP2P_MIN(step, in.len);
        (void)lp2p_noise_drain(noise, out, sizeof(out), 0);
        err = lp2p_noise_feed(noise, lp2p_span(in.ptr, part), 0, &used);
        LP2P_CHECK(used <= part);
        check_event(noise, err);
        LP2P_CHECK(err == LP2P_OK || lp2p_noise_drain(noise, out, sizeof(out), 0) == 0);
        if (used < part) {
            break; /* it is our turn: nothing is taken */
        }
        in = lp2p_span_skip(in, used);
        step = step * 2 % 509;
    }
    lp2p_noise_free(noise);
}

/** Feeds one XX message as a frame; the verdict on it. */
static enum lp2p_err feed_message(struct lp2p_noise *noise, uint8_t *frame, size_t len)
{
    size_t used = 0;
    frame[0] = (uint8_t)(len >> 8);
    frame[1] = (uint8_t)len;
    enum lp2p_err err = lp2p_noise_feed(noise, lp2p_span(frame, len + LP2P_NOISE_PREFIX), 0, &used);
    LP2P_CHECK(err != LP2P_OK || used == len + LP2P_NOISE_PREFIX);
    return err;
}

/** The input, and behind it the identity's key and signature: the last of a field counts, if it is not inside of one of the input's. */
static struct lp2p_span add_proof(const struct lp2p_noise_identity *identity, struct lp2p_span in, uint8_t *out)
{
    struct lp2p_span key = lp2p_public_key_encoded(&identity->key->public_key);
    size_t len = in.len;
    LP2P_CHECK(key.len < 128 && identity->payload_signature_len < 128);
    memcpy(out, in.ptr, in.len);
    out[len++] = 0x0a;
    out[len++] = (uint8_t)key.len;
    memcpy(out + len, key.ptr, key.len);
    len += key.len;
    out[len++] = 0x12;
    out[len++] = (uint8_t)identity->payload_signature_len;
    memcpy(out + len, identity->payload_signature, identity->payload_signature_len);
    return lp2p_span(out, len + identity->payload_signature_len);
}

/** The verdict on a payload with a true proof: refused, or who it is, and a muxer that both have. */
static void check_proven(struct lp2p_noise *noise, const struct noise_ends *ends, enum lp2p_err err)
{
    struct lp2p_noise_event event;
    uint8_t out[512];
    (void)lp2p_noise_drain(noise, out, sizeof(out), 0);
    lp2p_noise_next(noise, &event);
    LP2P_CHECK(event.kind == (err == LP2P_OK ? LP2P_NOISE_ESTABLISHED : LP2P_NOISE_FAILED));
    if (err == LP2P_OK) {
        LP2P_CHECK(lp2p_peer_id_eq(&event.peer, &ends->ids[1]) && event.muxer >= -1 && event.muxer < 2);
    }
}

static void as_payload(struct noise_ends *ends, bool initiator, bool proven, struct lp2p_span payload)
{
    const struct lp2p_noise_identity *liar = &ends->identities[1];
    static uint8_t whole[9000 + 256];
    struct lp2p_noise *noise = lp2p_noise_new(&ends->identities[0], initiator, NULL, &ends->rand);
    struct lp2p_xx xx;
    struct lp2p_span ignored;
    if (proven) {
        payload = add_proof(liar, payload, whole);
    }
    uint8_t ephemeral[32] = {9}, *frame = malloc(payload.len + 400);
    size_t len = 0;
    lp2p_xx_init(&xx, !initiator, lp2p_span(NULL, 0), liar->static_secret, liar->static_public, ephemeral);
    if (!initiator) {
        LP2P_CHECK(lp2p_xx_write(&xx, lp2p_span(NULL, 0), frame + LP2P_NOISE_PREFIX, &len) == LP2P_OK);
        LP2P_CHECK(feed_message(noise, frame, len) == LP2P_OK);
    }
    len = lp2p_noise_drain(noise, frame, payload.len + 400, 0);
    LP2P_CHECK(lp2p_xx_read(&xx, frame + LP2P_NOISE_PREFIX, len - LP2P_NOISE_PREFIX, &ignored) == LP2P_OK);
    LP2P_CHECK(lp2p_xx_write(&xx, payload, frame + LP2P_NOISE_PREFIX, &len) == LP2P_OK);
    enum lp2p_err err = feed_message(noise, frame, len);
    if (proven) {
        check_proven(noise, ends, err);
    } else {
        LP2P_CHECK(err != LP2P_OK); /* a signature over the liar's static key cannot be found by chance */
        check_event(noise, err);
    }
    lp2p_xx_wipe(&xx);
    lp2p_noise_free(noise);
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct noise_ends *ends = noise_ends_get();
    if (size == 0 || size > 9000) {
        return 0;
    }
    bool initiator = (data[0] & 1) != 0;
    if ((data[0] & 2) != 0) {
        raw_bytes(ends, initiator, lp2p_span(data + 1, size - 1));
    } else {
        as_payload(ends, initiator, (data[0] & 4) != 0, lp2p_span(data + 1, size - 1));
    }
    return 0;
}
