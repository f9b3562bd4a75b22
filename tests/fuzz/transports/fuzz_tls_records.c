/* SPDX-License-Identifier: MIT
 * The record layer of TLS behind the handshake: bytes of a stranger, and anything at all from a peer who has the
 * keys. */
#include "base/check.h"
#include "tls/aead.h"
#include "tls/record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** The record layer with keys that the input's author knows as little as anyone: lengths and order are his.
 */
static void records(struct lp2p_span in)
{
    struct lp2p_tls_records ours;
    struct lp2p_tls_secrets secrets = {.suite = in.len % 2 == 0 ? LP2P_TLS_AES_128_GCM : LP2P_TLS_CHACHA20};
    size_t size = 0;
    lp2p_tls_records_init(&ours, &secrets, true);
    while (lp2p_tls_record_size(in, &size) == LP2P_OK && size > 0 && size <= in.len) {
        struct lp2p_span plain;
        uint8_t *copy = malloc(size);
        memcpy(copy, in.ptr, size);
        enum lp2p_err err = lp2p_tls_records_open(&ours, copy, size, &plain);
        LP2P_CHECK(err == LP2P_EAUTH && plain.len == 0); /* nothing but chance opens it */
        free(copy);
        in = lp2p_span_skip(in, size);
    }
    lp2p_tls_records_fini(&ours);
}

/** Seals any content with the keys that `to` expects next. Returns the record's size. */
static size_t seal_for(const struct lp2p_tls_records *to, uint8_t type, struct lp2p_span content, size_t padding,
                       uint8_t *out)
{
    struct lp2p_tls_records from;
    struct lp2p_tls_secrets secrets = {.suite = to->suite};
    uint8_t nonce[LP2P_TLS_NONCE], empty[LP2P_TLS_HEAD + LP2P_TLS_TAIL];
    size_t size = 0, text = content.len + 1 + padding;
    memcpy(secrets.send, to->recv.secret, sizeof(secrets.send));
    lp2p_tls_records_init(&from, &secrets, !to->client);
    LP2P_CHECK(lp2p_tls_records_seal(&from, empty, 0, &size) == LP2P_OK); /* makes the cipher */
    memcpy(nonce, to->recv.iv, sizeof(nonce));
    for (unsigned i = 0; i < 8; i++) {
        nonce[11 - i] ^= (uint8_t)(to->recv.seq >> (8 * i));
    }
    const uint8_t head[LP2P_TLS_HEAD] = {23, 3, 3, (uint8_t)((text + 16) >> 8), (uint8_t)(text + 16)};
    memcpy(out, head, sizeof(head));
    memset(out + LP2P_TLS_HEAD, 0, text);
    if (content.len > 0) {
        memcpy(out + LP2P_TLS_HEAD, content.ptr, content.len);
    }
    out[LP2P_TLS_HEAD + content.len] = type;
    LP2P_CHECK(lp2p_tls_aead_seal(to->suite, from.send.cipher, nonce, lp2p_span(out, LP2P_TLS_HEAD),
                                  out + LP2P_TLS_HEAD, text) == LP2P_OK);
    lp2p_tls_records_fini(&from);
    return LP2P_TLS_HEAD + text + 16;
}

/** The record layer against a peer who has the keys: triples of type and padding, length, and content. */
static void honest_records(bool as_client, struct lp2p_span in)
{
    struct lp2p_tls_records ours;
    struct lp2p_tls_secrets secrets = {.suite = in.len % 2 == 0 ? LP2P_TLS_AES_128_GCM : LP2P_TLS_CHACHA20};
    lp2p_tls_records_init(&ours, &secrets, as_client);
    while (in.len >= 2) {
        uint8_t record[LP2P_TLS_HEAD + 255 + 1 + 7 + 16];
        uint8_t type = (uint8_t)(20 + in.ptr[0] % 5);
        size_t padding = in.ptr[0] >> 5, len = LP2P_MIN((size_t)in.ptr[1], in.len - 2);
        struct lp2p_span content = lp2p_span(in.ptr + 2, len), plain;
        size_t size = seal_for(&ours, type, content, padding, record);
        enum lp2p_err before = ours.end, err = lp2p_tls_records_open(&ours, record, size, &plain);
        LP2P_CHECK(before == LP2P_OK || (err == before && plain.len == 0)); /* an end is final */
        LP2P_CHECK(err != LP2P_EAUTH && err != LP2P_ENOMEM);
        LP2P_CHECK(plain.len == 0 || (err == LP2P_OK && type == 23 && lp2p_span_eq(plain, content)));
        if (ours.end == LP2P_OK) { /* what goes out next may have an answer in front of it */
            uint8_t own[LP2P_TLS_HEAD + 5 + LP2P_TLS_TAIL] = {0};
            LP2P_CHECK(lp2p_tls_records_seal(&ours, own, 5, &size) == LP2P_OK && size <= sizeof(own));
        }
        LP2P_CHECK(ours.empty <= ours.empty_max + 1 && ours.skip <= 65536 && ours.message_len < 5);
        in = lp2p_span_skip(in, 2 + len);
    }
    lp2p_tls_records_fini(&ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 40000) {
        return 0;
    }
    struct lp2p_span in = lp2p_span(data + 1, size - 1);
    if (data[0] % 4 < 2) {
        honest_records(data[0] % 2 != 0, in);
    } else {
        records(in);
    }
    return 0;
}
