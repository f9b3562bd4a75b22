/* SPDX-License-Identifier: MIT
 * The kinds of values that components of a multiaddr have, text to bytes and back (the rules are those of
 * go-multiaddr transcoders.go). Private to the room: multiaddr.c walks, this file knows one value. Pure
 * functions. */
#ifndef LP2P_WIRE_MULTIADDR_VALUE_H
#define LP2P_WIRE_MULTIADDR_VALUE_H

#include "base/err.h"
#include "base/span.h"

enum lp2p_ma_kind {
    LP2P_MA_KIND_NONE,
    LP2P_MA_KIND_IP4,
    LP2P_MA_KIND_IP6,
    LP2P_MA_KIND_PORT,
    LP2P_MA_KIND_CIDR,
    LP2P_MA_KIND_NAME, /* not empty, no '/' */
    LP2P_MA_KIND_PATH, /* the rest of the address */
    LP2P_MA_KIND_PEER,
    LP2P_MA_KIND_ONION,
    LP2P_MA_KIND_ONION3,
    LP2P_MA_KIND_GARLIC64,
    LP2P_MA_KIND_GARLIC32,
    LP2P_MA_KIND_CERTHASH,
    LP2P_MA_KIND_HTTP_PATH,
    LP2P_MA_KIND_NUMBER64,
};

#define LP2P_MA_VARIABLE SIZE_MAX

/** Bytes of the value, or LP2P_MA_VARIABLE when it comes with its length. */
size_t lp2p_ma_value_size(enum lp2p_ma_kind kind);
/** What a text of this kind looks like, for messages to people: "a port number 0..65535". Static. */
const char *lp2p_ma_value_expected(enum lp2p_ma_kind kind);
/** True when the bytes (of the right size) are a value of this kind. */
bool lp2p_ma_value_check(enum lp2p_ma_kind kind, struct lp2p_span value);
/** EMALFORMED: not of this kind. ELIMIT: does not fit. */
enum lp2p_err lp2p_ma_value_from_text(enum lp2p_ma_kind kind, struct lp2p_span text, uint8_t *out, size_t cap,
                                      size_t *len) LP2P_MUST_CHECK;
/** Writes the text and NUL of a checked value. ELIMIT: does not fit. */
enum lp2p_err lp2p_ma_value_to_text(enum lp2p_ma_kind kind, struct lp2p_span value, char *out, size_t cap,
                                    size_t *len) LP2P_MUST_CHECK;

#endif
