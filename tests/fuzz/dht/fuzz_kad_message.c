/* SPDX-License-Identifier: MIT
 * Decoders of messages, peers, records and times: what was read borrows from the input only, and reads back
 * the same after being written. */
#include "craft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lp2p_kad_message message, again;
static uint8_t out[1 << 20];

static void check_inside(struct lp2p_span part, struct lp2p_span whole)
{
    LP2P_CHECK(part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void check_peer(struct lp2p_span in, bool provider, struct lp2p_kad_writer *writer)
{
    struct lp2p_kad_peer peer;
    if (lp2p_kad_peer_decode(in, false, &peer) != LP2P_OK) {
        return;
    }
    LP2P_CHECK(peer.id.len > 0 && peer.addrs_len <= LP2P_KAD_ADDRS_MAX);
    struct lp2p_kad_contact *contact = lp2p_kad_contact_new(&peer);
    LP2P_CHECK(contact != NULL);
    struct lp2p_kad_listed listed = {contact, peer.connected, provider};
    lp2p_kad_write_peers(writer, &listed, 1);
    lp2p_kad_contact_free(contact);
}

static void check_record(struct lp2p_span in)
{
    struct lp2p_kad_record record, read;
    size_t len = 0;
    if (in.ptr == NULL || lp2p_kad_record_decode(in, &record) != LP2P_OK) {
        return;
    }
    check_inside(record.key, in);
    check_inside(record.value, in);
    check_inside(record.time_text, in);
    LP2P_CHECK(lp2p_kad_record_encode(&record, out, sizeof(out), &len) == LP2P_OK);
    LP2P_CHECK(lp2p_kad_record_decode(lp2p_span(out, len), &read) == LP2P_OK);
    LP2P_CHECK(lp2p_span_eq(read.key, record.key) && lp2p_span_eq(read.value, record.value));
    uint64_t ms, ms_again;
    if (lp2p_kad_time_parse(record.time_text, &ms) == LP2P_OK) {
        char text[LP2P_KAD_TIME_TEXT_MAX];
        lp2p_kad_time_text(ms, text);
        LP2P_CHECK(lp2p_kad_time_parse(lp2p_span_str(text), &ms_again) == LP2P_OK);
        LP2P_CHECK(ms == ms_again || ms > UINT64_C(253402300799999));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t crafted[1 << 16];
    struct lp2p_span in = lp2p_span(data, size);
    check_record(in);
    struct lp2p_kad_writer unused = {crafted, sizeof(crafted), 0};
    check_peer(in, false, &unused);
    if (size > 1 && data[0] % 8 < LP2P_KAD_TYPES) {
        in = craft_message(crafted, sizeof(crafted), (enum lp2p_kad_type)(data[0] % 8),
                           lp2p_span(data + 1, size - 1));
    }
    if (size > sizeof(out) / 4 || lp2p_kad_message_decode(in, &message) != LP2P_OK) {
        return 0;
    }
    LP2P_CHECK(message.closer_len <= LP2P_KAD_CLOSER_MAX &&
               message.providers_len <= LP2P_KAD_PROVIDERS_IN_MAX);
    check_inside(message.key, in);
    check_inside(message.record, in);
    check_record(message.record);
    struct lp2p_kad_writer writer = {out, sizeof(out), 0};
    LP2P_CHECK(lp2p_kad_write_head(&writer, message.type, message.key, NULL) == LP2P_OK);
    for (size_t i = 0; i < message.closer_len; i++) {
        check_inside(message.closer[i], in);
        check_peer(message.closer[i], false, &writer);
    }
    for (size_t i = 0; i < message.providers_len; i++) {
        check_inside(message.providers[i], in);
        check_peer(message.providers[i], true, &writer);
    }
    LP2P_CHECK(lp2p_kad_message_decode(lp2p_span(out, writer.len), &again) == LP2P_OK);
    LP2P_CHECK(again.type == message.type && lp2p_span_eq(again.key, message.key));
    LP2P_CHECK(again.closer_len <= message.closer_len && again.providers_len <= message.providers_len);
    return 0;
}
