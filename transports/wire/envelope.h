/* SPDX-License-Identifier: MIT
 * Signed envelopes and peer records (libp2p specs RFC/0002, RFC/0003; domain and type as go and js use them). */
#ifndef LP2P_WIRE_ENVELOPE_H
#define LP2P_WIRE_ENVELOPE_H

#include "wire/multiaddr.h"

/** A parsed and verified envelope; spans are borrowed from the input. */
struct lp2p_envelope {
    struct lp2p_public_key key;
    struct lp2p_span payload_type, payload;
};

/** Parses, checks the payload type, and verifies the signature before anything reads the payload.
 *  EMALFORMED, EBADRECORD (other type), ESIGNATURE, EBADKEY. */
enum lp2p_err lp2p_envelope_open(struct lp2p_span in, const char *domain, struct lp2p_span payload_type,
                                 struct lp2p_envelope *out) LP2P_MUST_CHECK;
/** Signs and encodes; *len is what was written. EINVAL: empty domain or type. ELIMIT: cap too small. ESIGNATURE: the
 *  key did not sign. */
enum lp2p_err lp2p_envelope_seal(const struct lp2p_private_key *key, const char *domain, struct lp2p_span payload_type,
                                 struct lp2p_span payload, uint8_t *out, size_t cap, size_t *len) LP2P_MUST_CHECK;

#define LP2P_RECORD_ADDRS_MAX 64

struct lp2p_peer_record {
    struct lp2p_peer_id peer;
    uint64_t seq;
    size_t addrs_len;
    struct lp2p_multiaddr addrs[LP2P_RECORD_ADDRS_MAX]; /* those that parse and fit; the rest is skipped */
};

/** Opens a signed peer record; the record's peer must be the signer's (EBADRECORD otherwise). */
enum lp2p_err lp2p_peer_record_open(struct lp2p_span envelope, struct lp2p_peer_record *out) LP2P_MUST_CHECK;
enum lp2p_err lp2p_peer_record_seal(const struct lp2p_private_key *key, const struct lp2p_peer_record *record,
                                    uint8_t *out, size_t cap, size_t *len) LP2P_MUST_CHECK;

#endif
