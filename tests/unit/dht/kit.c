/* SPDX-License-Identifier: MIT */
#include "kit.h"

struct lp2p_rand kit_rand(unsigned slot, uint64_t seed)
{
    static struct lp2p_rand_seeded gens[4];
    lp2p_rand_seeded_init(&gens[slot], seed);
    return lp2p_rand_seeded_source(&gens[slot]);
}

struct lp2p_kad_peer kit_peer(unsigned number)
{
    static const uint8_t prefix[6] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
    struct lp2p_kad_peer peer = {.id = {.len = 38}};
    memcpy(peer.id.bytes, prefix, sizeof(prefix));
    memset(peer.id.bytes + 6, 0x5a, 32);
    peer.id.bytes[34] = (uint8_t)(number >> 24);
    peer.id.bytes[35] = (uint8_t)(number >> 16);
    peer.id.bytes[36] = (uint8_t)(number >> 8);
    peer.id.bytes[37] = (uint8_t)number;
    uint8_t ip[4] = {99, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};
    lp2p_multiaddr_from_ip_tcp(ip, 4, 4001, &peer.addrs[0]);
    peer.addrs_len = 1;
    return peer;
}

struct lp2p_multiaddr kit_addr(const char *text)
{
    struct lp2p_multiaddr addr;
    char why[128];
    LP2P_CHECK(lp2p_multiaddr_from_text(text, &addr, why) == LP2P_OK);
    return addr;
}

struct lp2p_kad_key kit_key(const struct lp2p_rand *rand, unsigned first_byte)
{
    uint8_t bytes[32];
    lp2p_rand_fill(rand, bytes, sizeof(bytes));
    bytes[0] = (uint8_t)first_byte;
    return lp2p_kad_key_load(bytes);
}

struct lp2p_kad *kit_server(void)
{
    struct lp2p_kad_config config = {
        .self = kit_peer(0).id, .server = true, .refresh_interval_ns = LP2P_NEVER};
    struct lp2p_rand rand = kit_rand(0, 1);
    struct lp2p_kad *kad = lp2p_kad_new(&config, &rand, LP2P_SEC(1));
    LP2P_CHECK(kad != NULL);
    return kad;
}

size_t kit_message(uint8_t *out, size_t cap, enum lp2p_kad_type type, struct lp2p_span key,
                   const struct lp2p_kad_record *record, const struct lp2p_kad_peer *closer,
                   size_t closer_len, const struct lp2p_kad_peer *providers, size_t providers_len)
{
    struct lp2p_kad_writer writer = {out, cap, 0};
    LP2P_CHECK(lp2p_kad_write_head(&writer, type, key, record) == LP2P_OK);
    for (size_t i = 0; i < closer_len + providers_len; i++) {
        bool provider = i >= closer_len;
        struct lp2p_kad_contact *contact =
            lp2p_kad_contact_new(provider ? &providers[i - closer_len] : &closer[i]);
        LP2P_CHECK(contact != NULL);
        struct lp2p_kad_listed listed = {.contact = contact, .provider = provider};
        lp2p_kad_write_peers(&writer, &listed, 1);
        lp2p_kad_contact_free(contact);
    }
    return writer.len;
}
