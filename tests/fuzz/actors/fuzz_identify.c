/* SPDX-License-Identifier: MIT
 * The reader of identify, fed in pieces: what comes out is within its limits, and cutting the stream
 * elsewhere changes nothing. */
#include "actors/protocols/identify.h"

#include <stdlib.h>
#include <string.h>

static enum lp2p_err read_all(struct lp2p_span stream, size_t cut, struct lp2p_identify_info *info)
{
    struct lp2p_identify_reader reader;
    const struct lp2p_peer_id peer = {.len = 4, .bytes = {0, 2, 8, 1}};
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
    if (size < 1) {
        return 0;
    }
    struct lp2p_identify_info whole, pieces;
    struct lp2p_span stream = lp2p_span(data + 1, size - 1);
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
