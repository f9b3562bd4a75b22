/* SPDX-License-Identifier: MIT
 * The value record of the DHT and its time text (libp2p specs kad-dht/README.md, "Entry validation" and the
 * record message). Pure functions; spans borrow from the input. */
#ifndef LP2P_DHT_RECORD_H
#define LP2P_DHT_RECORD_H

#include "base/err.h"
#include "base/span.h"

#define LP2P_KAD_TIME_TEXT_MAX 32 /* bytes of "2022-04-03T01:04:08.078000000Z" with its NUL, and some room   \
                                   */

struct lp2p_kad_record {
    struct lp2p_span key, value;
    struct lp2p_span
        time_text; /* timeReceived as it came; the word of another clock, never used for expiry */
};

/** EMALFORMED. Fields that are absent have ptr NULL and len 0; removed and unknown fields are skipped. */
enum lp2p_err lp2p_kad_record_decode(struct lp2p_span in, struct lp2p_kad_record *out) LP2P_MUST_CHECK;
/** An absent time (ptr NULL) is left out. ELIMIT when cap is too small. */
enum lp2p_err lp2p_kad_record_encode(const struct lp2p_kad_record *record, uint8_t *out, size_t cap,
                                     size_t *len) LP2P_MUST_CHECK;

/** RFC 3339 with nine digits of fraction and Z, NUL-terminated. Times beyond the year 9999 become its last
 * millisecond. */
void lp2p_kad_time_text(uint64_t unix_ms, char out[LP2P_KAD_TIME_TEXT_MAX]);
/** Reads RFC 3339 in UTC with 0 .. 9 digits of fraction, from 1970 on. EMALFORMED. */
enum lp2p_err lp2p_kad_time_parse(struct lp2p_span text, uint64_t *unix_ms) LP2P_MUST_CHECK;

#endif
