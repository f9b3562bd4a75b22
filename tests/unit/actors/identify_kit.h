/* SPDX-License-Identifier: MIT
 * For the tests of identify as a codec: a node's own messages, messages made by hand, and a reader that gets them in pieces.
 * Single-threaded. */
#ifndef LP2P_TESTS_IDENTIFY_KIT_H
#define LP2P_TESTS_IDENTIFY_KIT_H

#include "actors/protocols/identify.h"
#include "wire/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

static struct lp2p_context ctx;
static struct lp2p_peer_id other;

static inline void make_key(uint64_t seed, struct lp2p_private_key *key, struct lp2p_public_key *pub,
                            struct lp2p_peer_id *id)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, seed);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    lp2p_private_key_generate(&rand, key);
    lp2p_private_key_public(key, pub);
    lp2p_peer_id_from_key(pub, id);
}

static inline int group_setup(void **state)
{
    (void)state;
    struct lp2p_private_key key;
    struct lp2p_public_key pub;
    if (sodium_init() < 0) {
        return -1;
    }
    make_key(1, &ctx.key, &ctx.public_key, &ctx.self);
    make_key(2, &key, &pub, &other);
    snprintf(ctx.config.agent, sizeof(ctx.config.agent), "test/1.0");
    return 0;
}

static inline struct lp2p_multiaddr addr(const char *text)
{
    struct lp2p_multiaddr out;
    assert_int_equal(lp2p_multiaddr_from_text(text, &out, NULL), LP2P_OK);
    return out;
}

/* ---- a hand-made message */

struct bytes {
    uint8_t data[LP2P_IDENTIFY_TOTAL_MAX * 2];
    size_t len;
};

static inline void put(struct bytes *b, const void *data, size_t len)
{
    assert_true(b->len + len <= sizeof(b->data));
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static inline void put_length(struct bytes *b, size_t len)
{
    uint8_t prefix[9];
    put(b, prefix, lp2p_frame_prefix(prefix, len));
}

static inline void put_field(struct bytes *b, unsigned field, struct lp2p_span value)
{
    uint8_t tag = (uint8_t)(field << 3 | 2);
    put(b, &tag, 1);
    put_length(b, value.len);
    put(b, value.ptr, value.len);
}

static inline void put_addr(struct bytes *b, const char *text)
{
    struct lp2p_multiaddr a = addr(text);
    put_field(b, 2, lp2p_multiaddr_span(&a));
}

static inline void put_frame(struct bytes *stream, const struct bytes *message)
{
    put_length(stream, message->len);
    put(stream, message->data, message->len);
}

/* Reads a stream that comes in pieces of `cut` bytes. */
static inline enum lp2p_err read_stream(struct lp2p_span stream, size_t cut, const struct lp2p_peer_id *peer,
                                        const char *remote, struct lp2p_identify_info *info)
{
    struct lp2p_identify_reader reader;
    struct lp2p_multiaddr from = addr(remote);
    lp2p_identify_reader_init(&reader);
    enum lp2p_err err = LP2P_OK;
    for (size_t at = 0; at < stream.len && err == LP2P_OK; at += cut) {
        err = lp2p_identify_reader_feed(&reader, lp2p_span(stream.ptr + at, LP2P_MIN(cut, stream.len - at)));
    }
    memset(info, 0, sizeof(*info));
    if (err == LP2P_OK) {
        err = lp2p_identify_reader_finish(&reader, peer, &from, info);
    }
    lp2p_identify_reader_fini(&reader);
    return err;
}

static inline enum lp2p_err read_bytes(const struct bytes *stream, const char *remote,
                                       struct lp2p_identify_info *info)
{
    return read_stream(lp2p_span(stream->data, stream->len), 1000, &ctx.self, remote, info);
}

static inline enum lp2p_err read_message(const struct bytes *message, const char *remote,
                                         struct lp2p_identify_info *info)
{
    static struct bytes stream;
    stream.len = 0;
    put_frame(&stream, message);
    return read_bytes(&stream, remote, info);
}

static inline void assert_addrs(const struct lp2p_identify_info *info, const char *const *texts, size_t len)
{
    assert_non_null(info->addrs);
    assert_int_equal(info->addrs->len, len);
    for (size_t i = 0; i < len; i++) {
        struct lp2p_multiaddr expected = addr(texts[i]);
        assert_true(lp2p_multiaddr_eq(&expected, &info->addrs->items[i]));
    }
}

static inline size_t seal(const struct lp2p_private_key *key, const struct lp2p_peer_id *peer, uint64_t seq,
                          const char *const *texts, size_t len, uint8_t *out, size_t cap)
{
    struct lp2p_peer_record *record = calloc(1, sizeof(*record));
    size_t sealed = 0;
    assert_non_null(record);
    record->peer = *peer;
    record->seq = seq;
    for (; record->addrs_len < len; record->addrs_len++) {
        record->addrs[record->addrs_len] = addr(texts[record->addrs_len]);
    }
    assert_int_equal(lp2p_peer_record_seal(key, record, out, cap, &sealed), LP2P_OK);
    free(record);
    return sealed;
}

static inline struct lp2p_slice own_message(size_t addrs_len, size_t protocols_len)
{
    struct lp2p_multiaddr addrs[LP2P_IDENTIFY_ADDRS_MAX];
    char ids[64][32];
    struct lp2p_span spans[64];
    for (size_t i = 0; i < addrs_len; i++) {
        char text[64];
        snprintf(text, sizeof(text), "/ip4/10.0.0.%u/tcp/%u", (unsigned)i + 1, 4000 + (unsigned)i);
        addrs[i] = addr(text);
    }
    for (size_t i = 0; i < protocols_len; i++) {
        snprintf(ids[i], sizeof(ids[i]), "/protocol/of/some/length/%zu", i);
        spans[i] = lp2p_span_str(ids[i]);
    }
    struct lp2p_addrs *list = lp2p_addrs_new(addrs, addrs_len);
    struct lp2p_strings *strings = lp2p_strings_new(spans, protocols_len);
    struct lp2p_slice message;
    assert_int_equal(lp2p_identify_encode(&ctx, list, strings, &message), LP2P_OK);
    lp2p_addrs_drop(&list);
    lp2p_strings_drop(&strings);
    return message;
}

#endif
