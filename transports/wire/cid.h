/* SPDX-License-Identifier: MIT
 * Content ids: CIDv0 and CIDv1 text and bytes to their multihash. Pure functions. */
#ifndef LP2P_WIRE_CID_H
#define LP2P_WIRE_CID_H

#include "base/err.h"
#include "base/span.h"

#define LP2P_CID_MAX 96 /* bytes */

struct lp2p_cid {
    uint8_t version; /* 0 or 1 */
    uint64_t codec;  /* 0x70 for version 0 */
    uint8_t multihash_len;
    uint8_t multihash[LP2P_CID_MAX];
};
/** Binary CID; a bare sha2-256 multihash is CIDv0. */
enum lp2p_err lp2p_cid_parse(struct lp2p_span bytes, struct lp2p_cid *out) LP2P_MUST_CHECK;
/** Qm.. (v0) or multibase text (v1). */
enum lp2p_err lp2p_cid_from_text(struct lp2p_span text, struct lp2p_cid *out) LP2P_MUST_CHECK;
/** Version 1 in the given multibase ('b' usual), version 0 as base58. NUL-terminated; ELIMIT. */
enum lp2p_err lp2p_cid_text(const struct lp2p_cid *cid, char base, char *out, size_t cap) LP2P_MUST_CHECK;

#endif
