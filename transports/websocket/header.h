/* SPDX-License-Identifier: MIT
 * The header of one frame, read and written by wslay. Payload never goes through wslay: it unmasks a quarter as fast as
 * Noise deciphers, and its context holds 4 KiB, so a context lives for one header. Pure; any thread. */
#ifndef LP2P_WEBSOCKET_HEADER_H
#define LP2P_WEBSOCKET_HEADER_H

#include "websocket/websocket.h"

struct lp2p_ws_frame {
    bool fin, masked;
    uint8_t rsv, opcode;
    uint8_t key[4]; /* if masked */
    uint64_t len;   /* bytes of payload */
    size_t size;    /* bytes of the header; 0: it is not complete */
};

/** Reads the header at the front of `in`. It is complete only when a byte of its payload, if it has one, is there too: with
 *  LP2P_WS_HEADER_MAX + 1 bytes always. EPROTO: a length not in its shortest form or beyond 63 bits, a control frame that is
 *  fragmented or too long. ENOMEM. */
enum lp2p_err lp2p_ws_header_read(struct lp2p_span in, struct lp2p_ws_frame *frame) LP2P_MUST_CHECK;
/** Writes the header that `frame` describes; returns its size, 0: no memory. */
size_t lp2p_ws_header_write(const struct lp2p_ws_frame *frame, uint8_t out[LP2P_WS_HEADER_MAX]);

#endif
