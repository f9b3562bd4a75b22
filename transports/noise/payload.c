/* SPDX-License-Identifier: MIT */
#include "noise/payload.h"

#include "noise.pb.h"
#include "wire/pb.h"

static const char DOMAIN[] = "noise-libp2p-static-key:";
#define SIGNED_BYTES (sizeof(DOMAIN) - 1 + 32)

static void signed_bytes(const uint8_t static_public[32], uint8_t out[SIGNED_BYTES])
{
    memcpy(out, DOMAIN, sizeof(DOMAIN) - 1);
    memcpy(out + sizeof(DOMAIN) - 1, static_public, 32);
}

size_t lp2p_noise_payload_sign(const struct lp2p_private_key *key, const uint8_t static_public[32],
                               uint8_t signature[LP2P_SIGNATURE_MAX])
{
    uint8_t message[SIGNED_BYTES];
    signed_bytes(static_public, message);
    return lp2p_private_key_sign(key, lp2p_span(message, sizeof(message)), signature);
}

/** Our message as nanopb wants it, with what its callbacks point to. */
struct own_payload {
    struct lp2p_span key_span, signature, muxers[LP2P_NOISE_MUXERS_MAX];
    struct lp2p_pb_spans muxer_list;
    lp2p_noise_Payload message;
};

static void own_payload_init(struct own_payload *own, const struct lp2p_noise_identity *identity)
{
    *own = (struct own_payload){0};
    own->key_span = lp2p_public_key_encoded(&identity->key->public_key);
    own->signature = lp2p_span(identity->payload_signature, identity->payload_signature_len);
    for (size_t i = 0; i < identity->muxers_len; i++) {
        own->muxers[i] = lp2p_span_str(identity->muxers[i]);
    }
    own->muxer_list = (struct lp2p_pb_spans){own->muxers, identity->muxers_len, LP2P_NOISE_MUXERS_MAX, 0};
    own->message.identity_key = lp2p_pb_write_span(&own->key_span);
    own->message.identity_sig = lp2p_pb_write_span(&own->signature);
    own->message.has_extensions = identity->muxers_len > 0;
    own->message.extensions.stream_muxers = lp2p_pb_write_spans(&own->muxer_list);
}

size_t lp2p_noise_payload_size(const struct lp2p_noise_identity *identity)
{
    struct own_payload own;
    own_payload_init(&own, identity);
    return lp2p_pb_size(lp2p_noise_Payload_fields, &own.message);
}

enum lp2p_err lp2p_noise_payload_write(const struct lp2p_noise_identity *identity, uint8_t *out, size_t cap,
                                       size_t *len)
{
    struct own_payload own;
    own_payload_init(&own, identity);
    return lp2p_pb_encode(lp2p_noise_Payload_fields, &own.message, out, cap, len);
}

/** Our index of the muxer, -1 when we have none of that name. */
static int own_muxer(const struct lp2p_noise_identity *identity, struct lp2p_span name)
{
    for (size_t i = 0; i < identity->muxers_len; i++) {
        if (lp2p_span_eq_str(name, identity->muxers[i])) {
            return (int)i;
        }
    }
    return -1;
}

/** The first entry of the initiator's list that is in the responder's (libp2p specs
 * connections/inlined-muxer-negotiation.md). */
static enum lp2p_err agree_on_muxer(const struct lp2p_noise_identity *identity, bool initiator,
                                    const struct lp2p_pb_spans *theirs, int *muxer)
{
    *muxer = -1;
    if (identity->muxers_len == 0 || theirs->len == 0 || theirs->dropped > 0) {
        return LP2P_OK;
    }
    int best = -1;
    for (size_t i = 0; i < theirs->len; i++) {
        int index = own_muxer(identity, theirs->items[i]);
        if (index >= 0 && (best < 0 || (initiator && index < best))) {
            best = index;
        }
    }
    *muxer = best;
    return best < 0 ? LP2P_ENEGOTIATION : LP2P_OK;
}

enum lp2p_err lp2p_noise_payload_read(const struct lp2p_noise_identity *identity, bool initiator,
                                      struct lp2p_span payload, const uint8_t remote_static[32],
                                      struct lp2p_noise_event *event)
{
    struct lp2p_span key, signature, muxers[LP2P_NOISE_MUXER_LIST_MAX];
    struct lp2p_pb_spans list = {muxers, 0, LP2P_NOISE_MUXER_LIST_MAX, 0};
    lp2p_noise_Payload message = lp2p_noise_Payload_init_zero;
    message.identity_key = lp2p_pb_read_span(&key);
    message.identity_sig = lp2p_pb_read_span(&signature);
    message.extensions.stream_muxers = lp2p_pb_read_spans(&list);
    enum lp2p_err err = lp2p_pb_decode(payload, lp2p_noise_Payload_fields, &message);
    if (err != LP2P_OK || key.ptr == NULL || signature.ptr == NULL) {
        return LP2P_EMALFORMED;
    }
    err = lp2p_public_key_parse(key, &event->key);
    if (err != LP2P_OK) {
        return err == LP2P_EMALFORMED ? err : LP2P_EBADKEY;
    }
    uint8_t signed_message[SIGNED_BYTES];
    signed_bytes(remote_static, signed_message);
    err = lp2p_public_key_verify(&event->key, lp2p_span(signed_message, sizeof(signed_message)), signature);
    if (err != LP2P_OK) {
        return LP2P_ESIGNATURE;
    }
    lp2p_peer_id_from_key(&event->key, &event->peer);
    return agree_on_muxer(identity, initiator, &list, &event->muxer);
}
