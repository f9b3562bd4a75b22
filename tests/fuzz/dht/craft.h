/* SPDX-License-Identifier: MIT
 * Messages made out of fuzz input. nanopb is not instrumented, so a fuzzer does not find well-formed messages
 * by itself: here each byte of the input adds a field that is right or nearly right, and the rest may be raw.
 */
#ifndef LP2P_TESTS_FUZZ_DHT_CRAFT_H
#define LP2P_TESTS_FUZZ_DHT_CRAFT_H

#include "base/check.h"
#include "dht/codec.h"

static inline struct lp2p_kad_peer craft_peer(uint8_t number)
{
    struct lp2p_kad_peer peer = {.id = {.len = 38, .bytes = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20, number}},
                                 .addrs_len = 1};
    lp2p_multiaddr_from_ip_tcp((const uint8_t[]){9, 9, 9, number}, 4, 4001, &peer.addrs[0]);
    return peer;
}

static inline void craft_add_peer(struct lp2p_kad_writer *writer, uint8_t number, bool provider)
{
    struct lp2p_kad_peer peer = craft_peer(number);
    peer.addrs_len = number % 7 != 0;
    struct lp2p_kad_contact *contact = lp2p_kad_contact_new(&peer);
    LP2P_CHECK(contact != NULL);
    struct lp2p_kad_listed listed = {contact, number % 2 == 0, provider};
    lp2p_kad_write_peers(writer, &listed, 1);
    lp2p_kad_contact_free(contact);
}

/** What the messages are about. By default it is the key "k", whose values nobody checks. */
enum craft_about { CRAFT_PLAIN, CRAFT_PUBLIC_KEY, CRAFT_PEER, CRAFT_OTHER };
static struct lp2p_span craft_key = {(const uint8_t *)"k", 1}, craft_value;

/** A public key has to be the one that is named; peers and other keys are numbered. */
static inline void craft_about(enum craft_about about, uint8_t number)
{
    static const uint8_t named[] = "/pk/\0\x24\x08\x01\x12\x20"
                                   "a key of thirty-two bytes, really";
    static struct lp2p_kad_peer peer;
    static uint8_t other;
    peer = craft_peer(number);
    other = (uint8_t)('a' + number);
    craft_value = about == CRAFT_PUBLIC_KEY ? lp2p_span(named + 6, 36) : lp2p_span(NULL, 0);
    craft_key = about == CRAFT_PUBLIC_KEY ? lp2p_span(named, 4 + 38)
                : about == CRAFT_PEER     ? lp2p_peer_id_span(&peer.id)
                : about == CRAFT_OTHER    ? lp2p_span(&other, 1)
                                          : lp2p_span_str("k");
}

/** A message of this type about the key: pairs of bytes say what is added; an operation that is none
 * makes the rest raw. */
static inline struct lp2p_span craft_message(uint8_t *out, size_t cap, enum lp2p_kad_type type,
                                             struct lp2p_span in)
{
    struct lp2p_kad_writer writer = {out, cap, 0};
    struct lp2p_kad_record record = {.key = craft_key};
    if (in.len > 0 && in.ptr[0] % 4 != 0) {
        record.key = in.ptr[0] % 4 == 3 ? lp2p_span_str("x") : craft_key;
        record.value = in.ptr[0] % 3 == 0 ? craft_value : lp2p_span(in.ptr, in.ptr[0] % 3 % in.len);
    }
    bool has_record = in.len > 0 && in.ptr[0] % 4 != 0;
    LP2P_CHECK(lp2p_kad_write_head(&writer, type, craft_key, has_record ? &record : NULL) ==
               LP2P_OK);
    size_t at = 1;
    for (; at + 1 < in.len && in.ptr[at] < 128 && writer.len < cap / 2; at += 2) {
        craft_add_peer(&writer, in.ptr[at + 1], in.ptr[at] % 2 == 1);
    }
    if (at < in.len) {
        size_t raw = LP2P_MIN(in.len - at, cap - writer.len);
        memcpy(out + writer.len, in.ptr + at, raw);
        writer.len += raw;
    }
    return lp2p_span(out, writer.len);
}

#endif
