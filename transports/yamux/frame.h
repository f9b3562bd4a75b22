/* SPDX-License-Identifier: MIT
 * The frame header of yamux (hashicorp/yamux spec.md): 12 bytes, big-endian.
 *
 *   | version u8 | type u8 | flags u16 | stream id u32 | length u32 |
 *
 * length: bytes of body (Data), credit (WindowUpdate; error code with RST), opaque (Ping), reason (GoAway).
 * Only Data has a body. Values: any thread. */
#ifndef LP2P_YAMUX_FRAME_H
#define LP2P_YAMUX_FRAME_H

#include <stdint.h>

#define LP2P_YAMUX_HEADER 12                   /* bytes */
#define LP2P_YAMUX_WINDOW_INITIAL (256 * 1024) /* bytes, each stream and direction; never negotiated */

enum lp2p_yamux_type {
    LP2P_YAMUX_DATA = 0,
    LP2P_YAMUX_WINDOW_UPDATE = 1,
    LP2P_YAMUX_PING = 2,
    LP2P_YAMUX_GO_AWAY = 3
};
enum lp2p_yamux_flag { LP2P_YAMUX_SYN = 1, LP2P_YAMUX_ACK = 2, LP2P_YAMUX_FIN = 4, LP2P_YAMUX_RST = 8 };
enum lp2p_yamux_code { LP2P_YAMUX_NORMAL = 0, LP2P_YAMUX_PROTOCOL_ERROR = 1, LP2P_YAMUX_INTERNAL_ERROR = 2 };

struct lp2p_yamux_header {
    uint8_t version, type;
    uint16_t flags;
    uint32_t id, length;
};

static inline void lp2p_yamux_header_put(uint8_t out[LP2P_YAMUX_HEADER],
                                         const struct lp2p_yamux_header *header)
{
    out[0] = header->version;
    out[1] = header->type;
    out[2] = (uint8_t)(header->flags >> 8);
    out[3] = (uint8_t)header->flags;
    for (int i = 0; i < 4; i++) {
        out[4 + i] = (uint8_t)(header->id >> (24 - 8 * i));
        out[8 + i] = (uint8_t)(header->length >> (24 - 8 * i));
    }
}

/** Any 12 bytes are a header; whether it is a legal one is for the session to say. */
static inline void lp2p_yamux_header_get(const uint8_t in[LP2P_YAMUX_HEADER],
                                         struct lp2p_yamux_header *header)
{
    header->version = in[0];
    header->type = in[1];
    header->flags = (uint16_t)(in[2] << 8 | in[3]);
    header->id = header->length = 0;
    for (int i = 0; i < 4; i++) {
        header->id = header->id << 8 | in[4 + i];
        header->length = header->length << 8 | in[8 + i];
    }
}

#endif
