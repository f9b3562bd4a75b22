/* SPDX-License-Identifier: MIT
 * The reader of identify, fed in pieces: what comes out is within its limits, and cutting the stream
 * elsewhere changes nothing. The peer is the holder of a key whose seed is 01 01 .., or one that the input names; and a part of
 * the input may come well sealed as its record, which no fuzzer finds by itself. */
#include "actors/protocols/identify.h"
#include "wire/envelope.h"
#include "wire/varint.h"

#include <stdlib.h>
#include <string.h>

enum { SEALED = 1, NAMED = 2 }; /* in the second byte of the input */

static struct lp2p_private_key key;
static struct lp2p_peer_id peer;
static uint8_t sealed_stream[65536];

/** The stream, and behind it a message with the record, sealed with the peer's key. */
static struct lp2p_span add_record(struct lp2p_span stream, struct lp2p_span record)
{
    static const uint8_t type[] = {3, 1};
    uint8_t envelope[1024], head[2 * LP2P_VARINT_MAX], *out = sealed_stream;
    size_t len = 0, head_len = 1;
    if (stream.len > sizeof(sealed_stream) - sizeof(envelope) - 32 ||
        lp2p_envelope_seal(&key, "libp2p-peer-record", lp2p_span(type, 2), record, envelope, sizeof(envelope), &len) != LP2P_OK) {
        return stream;
    }
    memcpy(out, stream.ptr, stream.len);
    out += stream.len;
    head[0] = 0x42; /* field 8, bytes */
    head_len += lp2p_varint_put(head + 1, len);
    out += lp2p_varint_put(out, head_len + len);
    memcpy(out, head, head_len);
    memcpy(out + head_len, envelope, len);
    return lp2p_span(sealed_stream, (size_t)(out - sealed_stream) + head_len + len);
}

/** Takes from the input who the peer is and what is sealed; the rest is the stream. */
static struct lp2p_span prepare(unsigned how, struct lp2p_span in)
{
    const uint8_t seed[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    lp2p_private_key_from_seed(seed, &key);
    lp2p_peer_id_from_key(&key.public_key, &peer);
    if ((how & NAMED) != 0 && in.len >= 34 && lp2p_peer_id_parse(lp2p_span(in.ptr, 34), &peer) == LP2P_OK) {
        in = lp2p_span_skip(in, 34);
    }
    if ((how & SEALED) != 0 && in.len > 1) {
        size_t len = LP2P_MIN((size_t)in.ptr[0], in.len - 1);
        in = add_record(lp2p_span_skip(in, 1 + len), lp2p_span(in.ptr + 1, len));
    }
    return in;
}

static enum lp2p_err read_all(struct lp2p_span stream, size_t cut, struct lp2p_identify_info *info)
{
    struct lp2p_identify_reader reader;
    struct lp2p_multiaddr remote = {.len = 8, .bytes = {4, 127, 0, 0, 1, 6, 0, 1}};
    enum lp2p_err err = LP2P_OK;
    lp2p_identify_reader_init(&reader);
    memset(info, 0, sizeof(*info));
    while (err == LP2P_OK && stream.len > 0) {
        size_t n = LP2P_MIN(cut, stream.len);
        /* A copy of exactly that size shows an over-read. */
        uint8_t *piece = malloc(n);
        LP2P_CHECK(piece != NULL);
        memcpy(piece, stream.ptr, n);
        err = lp2p_identify_reader_feed(&reader, lp2p_span(piece, n));
        free(piece);
        stream = lp2p_span_skip(stream, n);
    }
    LP2P_CHECK(reader.len <= LP2P_IDENTIFY_TOTAL_MAX && reader.messages <= LP2P_IDENTIFY_MESSAGES_MAX);
    if (err == LP2P_OK) {
        err = lp2p_identify_reader_finish(&reader, &peer, &remote, info);
    }
    lp2p_identify_reader_fini(&reader);
    return err;
}

static bool harmless(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((uint8_t)*text < 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static void check_info(const struct lp2p_identify_info *info)
{
    LP2P_CHECK(harmless(info->agent) && harmless(info->protocol_version));
    for (uint32_t i = 0; info->addrs != NULL && i < info->addrs->len; i++) {
        LP2P_CHECK(lp2p_ma_check(lp2p_multiaddr_span(&info->addrs->items[i])) == LP2P_OK);
    }
    LP2P_CHECK(info->addrs == NULL || info->addrs->len <= LP2P_IDENTIFY_ADDRS_MAX);
    for (uint32_t i = 0; info->protocols != NULL && i < info->protocols->len; i++) {
        size_t len = strlen(info->protocols->items[i]);
        LP2P_CHECK(len > 0 && len < LP2P_PROTOCOL_ID_MAX && harmless(info->protocols->items[i]));
    }
    LP2P_CHECK(info->protocols == NULL || info->protocols->len <= LP2P_IDENTIFY_PROTOCOLS_MAX);
}

static void check_same(const struct lp2p_identify_info *a, const struct lp2p_identify_info *b)
{
    LP2P_CHECK(strcmp(a->agent, b->agent) == 0 && a->certified == b->certified &&
               a->record_seq == b->record_seq);
    LP2P_CHECK((a->addrs == NULL) == (b->addrs == NULL) && (a->protocols == NULL) == (b->protocols == NULL));
    LP2P_CHECK(a->addrs == NULL || a->addrs->len == b->addrs->len);
    LP2P_CHECK(a->protocols == NULL || a->protocols->len == b->protocols->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct lp2p_identify_info whole, pieces;
    struct lp2p_span stream = prepare(data[1], lp2p_span(data + 2, size - 2));
    enum lp2p_err err = read_all(stream, stream.len + 1, &whole);
    enum lp2p_err again = read_all(stream, (size_t)data[0] + 1, &pieces);
    LP2P_CHECK(err == again);
    if (err == LP2P_OK) {
        check_info(&whole);
        check_same(&whole, &pieces);
    }
    lp2p_identify_info_drop(&whole);
    lp2p_identify_info_drop(&pieces);
    return 0;
}
