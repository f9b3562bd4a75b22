/* SPDX-License-Identifier: MIT
 * Unsigned varint of multiformats (unsigned-varint README): little-endian groups of 7 bits, at most 9 bytes, minimal. */
#ifndef LP2P_WIRE_VARINT_H
#define LP2P_WIRE_VARINT_H

#include "base/err.h"
#include "base/span.h"

#define LP2P_VARINT_MAX 9 /* bytes */

/** Writes value (< 2^63) to out (LP2P_VARINT_MAX bytes); returns the number of bytes written. */
size_t lp2p_varint_put(uint8_t *out, uint64_t value);
size_t lp2p_varint_size(uint64_t value);
/** Reads one varint from the front of `in`; *used is its size. EAGAIN: `in` ends inside it. EMALFORMED: not minimal or
 *  longer than 9 bytes. */
enum lp2p_err lp2p_varint_get(struct lp2p_span in, uint64_t *value, size_t *used) LP2P_MUST_CHECK;

/** Takes one varint off the front of *in. ETRUNCATED instead of EAGAIN: for complete messages. */
enum lp2p_err lp2p_varint_take(struct lp2p_span *in, uint64_t *value) LP2P_MUST_CHECK;

#endif
