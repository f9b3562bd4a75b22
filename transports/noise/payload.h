/* SPDX-License-Identifier: MIT
 * What libp2p puts into Noise messages 2 and 3: the identity key, its signature over the static key, and the
 * list of muxers (libp2p specs noise/README.md). Pure functions; internal to the room and its tests. */
#ifndef LP2P_NOISE_PAYLOAD_H
#define LP2P_NOISE_PAYLOAD_H

#include "noise/noise.h"

#define LP2P_NOISE_MUXER_LIST_MAX 100 /* entries; a longer list counts as none, as in go */
#define LP2P_NOISE_PAYLOAD_MAX 8192   /* bytes */

/** Signs "noise-libp2p-static-key:" + the static key; bytes of the signature, 0: the key did not sign. */
size_t lp2p_noise_payload_sign(const struct lp2p_private_key *key, const uint8_t static_public[32],
                               uint8_t signature[LP2P_SIGNATURE_MAX]) LP2P_MUST_CHECK;
/** Bytes of our payload. */
size_t lp2p_noise_payload_size(const struct lp2p_noise_identity *identity);
/** Writes our payload. ELIMIT: cap is too small. */
enum lp2p_err lp2p_noise_payload_write(const struct lp2p_noise_identity *identity, uint8_t *out, size_t cap,
                                       size_t *len) LP2P_MUST_CHECK;
/** Reads the other side's payload, proves that its key signed remote_static, and agrees on a muxer. Fills
 * key, peer and muxer of the event. EMALFORMED, EBADKEY, ESIGNATURE, ENEGOTIATION. */
enum lp2p_err lp2p_noise_payload_read(const struct lp2p_noise_identity *identity, bool initiator,
                                      struct lp2p_span payload, const uint8_t remote_static[32],
                                      struct lp2p_noise_event *event) LP2P_MUST_CHECK;

#endif
