/* SPDX-License-Identifier: MIT
 * Signed envelopes and peer records. The input is read as an envelope, and, well signed, as the payload of
 * one: random bytes would never pass the signature. */
#include "base/check.h"
#include "wire/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill_ones(void *ctx, void *out, size_t len)
{
    (void)ctx;
    memset(out, 1, len);
}

static void check_record(const struct lp2p_private_key *key, const struct lp2p_peer_record *record)
{
    static struct lp2p_peer_record again;
    static uint8_t out[65536];
    size_t len = 0;
    LP2P_CHECK(record->addrs_len <= LP2P_RECORD_ADDRS_MAX);
    LP2P_CHECK(lp2p_peer_record_seal(key, record, out, sizeof(out), &len) == LP2P_OK);
    LP2P_CHECK(lp2p_peer_record_open(lp2p_span(out, len), &again) == LP2P_OK);
    LP2P_CHECK(again.seq == record->seq && again.addrs_len == record->addrs_len);
    for (size_t i = 0; i < again.addrs_len; i++) {
        LP2P_CHECK(lp2p_multiaddr_eq(&again.addrs[i], &record->addrs[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lp2p_peer_record record;
    static uint8_t sealed[65536 + 512];
    static const uint8_t type[] = {3, 1};
    struct lp2p_rand rand = {.fill = fill_ones};
    struct lp2p_private_key key;
    struct lp2p_span in = lp2p_span(data, size);
    struct lp2p_envelope envelope;
    size_t len = 0;
    lp2p_private_key_generate(&rand, &key);
    if (lp2p_envelope_open(in, "libp2p-peer-record", lp2p_span(type, 2), &envelope) == LP2P_OK) {
        LP2P_CHECK(envelope.payload.ptr == NULL ||
                   (envelope.payload.ptr >= data && envelope.payload.ptr <= data + size));
    }
    (void)!lp2p_peer_record_open(in, &record);
    if (size > 60000 || lp2p_envelope_seal(&key, "libp2p-peer-record", lp2p_span(type, 2), in, sealed,
                                           sizeof(sealed), &len) != LP2P_OK) {
        return 0;
    }
    in = lp2p_span(sealed, len);
    LP2P_CHECK(lp2p_envelope_open(in, "libp2p-peer-record", lp2p_span(type, 2), &envelope) == LP2P_OK);
    LP2P_CHECK(lp2p_span_eq(envelope.payload, lp2p_span(data, size)));
    if (lp2p_peer_record_open(in, &record) == LP2P_OK) {
        check_record(&key, &record);
    }
    return 0;
}
