/* SPDX-License-Identifier: MIT
 * Peer ids by value (libp2p specs peer-ids/peer-ids.md). Strict: identity multihash of at most 42 bytes, or sha2-256. */
#ifndef LP2P_WIRE_PEER_ID_H
#define LP2P_WIRE_PEER_ID_H

#include "wire/keys.h"

#define LP2P_PEER_ID_MAX 44      /* bytes of the multihash */
#define LP2P_PEER_ID_TEXT_MAX 80 /* base58 or CIDv1 text with its NUL */

struct lp2p_peer_id {
    uint8_t len; /* 0: no peer id */
    uint8_t bytes[LP2P_PEER_ID_MAX];
};

static inline bool lp2p_peer_id_eq(const struct lp2p_peer_id *a, const struct lp2p_peer_id *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
static inline struct lp2p_span lp2p_peer_id_span(const struct lp2p_peer_id *id)
{
    return lp2p_span(id->bytes, id->len);
}
/** EMALFORMED unless the bytes are exactly one allowed multihash (an identity multihash of no bytes is none). */
enum lp2p_err lp2p_peer_id_parse(struct lp2p_span bytes, struct lp2p_peer_id *out) LP2P_MUST_CHECK;
void lp2p_peer_id_from_key(const struct lp2p_public_key *key, struct lp2p_peer_id *out);
/** The key inside an identity-hashed peer id. ENOTFOUND for a hashed id; EBADKEY when the inlined key is not usable. */
enum lp2p_err lp2p_peer_id_key(const struct lp2p_peer_id *id, struct lp2p_public_key *out) LP2P_MUST_CHECK;
/** Reads base58 (Qm.., 1..) or multibase CIDv1 with codec libp2p-key. */
enum lp2p_err lp2p_peer_id_from_text(struct lp2p_span text, struct lp2p_peer_id *out) LP2P_MUST_CHECK;
/** Base58 text, NUL-terminated. */
void lp2p_peer_id_text(const struct lp2p_peer_id *id, char out[LP2P_PEER_ID_TEXT_MAX]);
/** CIDv1 base32 text ("bafz.."), NUL-terminated. */
void lp2p_peer_id_cid_text(const struct lp2p_peer_id *id, char out[LP2P_PEER_ID_TEXT_MAX]);

#endif
