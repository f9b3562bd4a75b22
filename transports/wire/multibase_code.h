/* SPDX-License-Identifier: MIT
 * The two kinds of codes under multibase: bases that are a power of two (groups of bits) and those that are
 * not (one big number). Private to the room: multibase and the onion and garlic addresses use them. Pure
 * functions. */
#ifndef LP2P_WIRE_MULTIBASE_CODE_H
#define LP2P_WIRE_MULTIBASE_CODE_H

#include "base/err.h"
#include "base/span.h"

/** One code. `lower` and `upper` differ only in case; a code with fold reads both. */
struct lp2p_base_code {
    const char *alphabet; /* 2^bits, or `radix` characters */
    uint8_t bits;         /* bits of a character; 0: not a power of two */
    uint8_t radix;        /* only when bits is 0 */
    bool fold;            /* letters are read in either case */
    bool pad;             /* '=' fills up the last group */
    bool lax;             /* unused bits of the last character are ignored instead of refused */
};

/* Numbers cost time that grows with the square of their length. */
#define LP2P_BASE_NUMBER_MAX 1024 /* characters of text, or bytes */

/** Writes text and NUL; ELIMIT when cap is too small. *len excludes the NUL. */
enum lp2p_err lp2p_base_encode(const struct lp2p_base_code *code, struct lp2p_span in, char *out, size_t cap,
                               size_t *len) LP2P_MUST_CHECK;
/** EMALFORMED: not of this code. ELIMIT: more than cap bytes. */
enum lp2p_err lp2p_base_decode(const struct lp2p_base_code *code, struct lp2p_span text, uint8_t *out,
                               size_t cap, size_t *len) LP2P_MUST_CHECK;

#endif
