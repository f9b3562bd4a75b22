/* SPDX-License-Identifier: MIT
 * Frames made by hand, so that a test can break each rule. Each file uses a part of it. */
#ifndef LP2P_TESTS_WS_KIT_H
#define LP2P_TESTS_WS_KIT_H

#include "websocket/websocket.h"

#include "base/check.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdlib.h>

struct bytes {
    size_t len;
    uint8_t at[400000];
};

struct frame {
    bool unfinished, unmasked_by_client;
    uint8_t rsv, opcode;
    size_t len; /* of the payload: bytes that count up from `first` */
    uint8_t first;
    const char *text; /* instead: this payload of len bytes */
    unsigned length_form; /* 0: the shortest; 2, 8: that many bytes of length although fewer would do */
};

enum { TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

static inline void put(struct bytes *out, const void *bytes, size_t len)
{
    assert_true(out->len + len <= sizeof(out->at));
    memcpy(out->at + out->len, bytes, len);
    out->len += len;
}

static inline void put_byte(struct bytes *out, unsigned byte)
{
    const uint8_t one = (uint8_t)byte;
    put(out, &one, 1);
}

static inline void put_length(struct bytes *out, uint64_t len, unsigned form, unsigned mask_bit)
{
    unsigned size = form != 0 ? form : len < 126 ? 0 : len < 65536 ? 2 : 8;
    put_byte(out, mask_bit | (size == 0 ? (unsigned)len : size == 2 ? 126u : 127u));
    for (unsigned i = 0; i < size; i++) {
        put_byte(out, (unsigned)(len >> 8 * (size - 1 - i)));
    }
}

/* The frame as the role sends it. */
static inline void put_frame(struct bytes *out, bool by_client, struct frame frame)
{
    static const uint8_t key[4] = {0x5a, 0xc3, 0x01, 0xff};
    bool masked = by_client != frame.unmasked_by_client;
    put_byte(out, (frame.unfinished ? 0 : 0x80u) | (unsigned)frame.rsv << 4 | frame.opcode);
    put_length(out, frame.len, frame.length_form, masked ? 0x80 : 0);
    if (masked) {
        put(out, key, sizeof(key));
    }
    for (size_t i = 0; i < frame.len; i++) {
        uint8_t byte = frame.text != NULL ? (uint8_t)frame.text[i] : (uint8_t)(frame.first + i);
        put_byte(out, masked ? byte ^ key[i % 4] : byte);
    }
}

/* Feeds in pieces, each from memory of exactly its size, and decodes in place or elsewhere. */
static inline enum lp2p_err feed_ws(struct lp2p_ws *ws, const struct bytes *in, size_t piece, bool in_place,
                                    struct bytes *out)
{
    enum lp2p_err err = LP2P_OK;
    for (size_t at = 0; at < in->len && err == LP2P_OK; at += piece) {
        size_t size = LP2P_MIN(piece, in->len - at), got = 0;
        uint8_t *from = malloc(size), *to = in_place ? from : malloc(size);
        memcpy(from, in->at + at, size);
        err = lp2p_ws_feed(ws, lp2p_span(from, size), to, &got, 0);
        assert_true(got <= size);
        put(out, to, got);
        if (to != from) {
            free(to);
        }
        free(from);
    }
    return err;
}

static inline void init_ws(struct lp2p_ws *ws, bool client)
{
    static struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 7);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    lp2p_ws_init(ws, client, &rand);
}

#endif
