/* SPDX-License-Identifier: MIT
 * Multihash (multiformats/multihash): uvarint code, uvarint length, digest. Pure functions. */
#ifndef LP2P_WIRE_MULTIHASH_H
#define LP2P_WIRE_MULTIHASH_H

#include "base/err.h"
#include "base/span.h"

enum { LP2P_MH_IDENTITY = 0x00, LP2P_MH_SHA1 = 0x11, LP2P_MH_SHA2_256 = 0x12, LP2P_MH_SHA2_512 = 0x13 };

struct lp2p_multihash {
    uint64_t code;
    struct lp2p_span digest; /* borrowed from the input */
};

/** Parses a multihash that fills `in` exactly. ETRUNCATED, EMALFORMED (bytes after the digest, bad varint). */
enum lp2p_err lp2p_multihash_parse(struct lp2p_span in, struct lp2p_multihash *out) LP2P_MUST_CHECK;
/** SHA-256 of the bytes, 32 bytes. */
void lp2p_sha256(struct lp2p_span in, uint8_t out[32]);

#endif
