/* SPDX-License-Identifier: MIT
 * Multibase text (multiformats/multibase): base16, base32, base36, base58btc, base64 (url, padded or not). Pure functions. */
#ifndef LP2P_WIRE_MULTIBASE_H
#define LP2P_WIRE_MULTIBASE_H

#include "base/err.h"
#include "base/span.h"

/** Base58btc without prefix. Writes a NUL-terminated text; ELIMIT when cap is too small.
 *  *len (may be NULL) excludes the NUL. */
enum lp2p_err lp2p_base58_encode(struct lp2p_span in, char *out, size_t cap, size_t *len) LP2P_MUST_CHECK;
/** Decodes at most cap bytes. EMALFORMED: a character outside of the alphabet; ELIMIT: does not fit. */
enum lp2p_err lp2p_base58_decode(struct lp2p_span text, uint8_t *out, size_t cap, size_t *len) LP2P_MUST_CHECK;

/* Base58 and base36 take time that grows with the square of the length: ELIMIT above 1024 characters or bytes. */

/** `base` is the multibase prefix: one of z b B k K f F u U m M. The prefix is written first. */
enum lp2p_err lp2p_multibase_encode(char base, struct lp2p_span in, char *out, size_t cap, size_t *len) LP2P_MUST_CHECK;
/** Decodes text with its prefix; hex, base32 and base36 in either case; unused bits must be zero. EUNSUPPORTED: unknown
 *  prefix; EMALFORMED; ELIMIT. */
enum lp2p_err lp2p_multibase_decode(struct lp2p_span text, uint8_t *out, size_t cap, size_t *len) LP2P_MUST_CHECK;

#endif
