/* SPDX-License-Identifier: MIT
 * Packets of mDNS put together by hand, for the tests of the codec and of the machine. */
#ifndef LP2P_TEST_MDNS_PACKETS_H
#define LP2P_TEST_MDNS_PACKETS_H

#include "actors/discovery/mdns.h"
#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define NOW LP2P_SEC(100)
#define SERVICE "\4_p2p\4_udp\5local"
#define ID_A "12D3KooWGRUfJ3GBh6hWv4Ym6hsh9E5dPzVAnyxGXvCHbWXQRKTV"
#define ADDR "/ip4/10.0.0.7/tcp/4001/p2p/"

static inline struct lp2p_peer_id peer(unsigned n)
{
    return (struct lp2p_peer_id){.len = 34, .bytes = {0x12, 0x20, (uint8_t)n, (uint8_t)(n >> 8), 1}};
}

static inline struct lp2p_multiaddr addr_of(const char *text)
{
    struct lp2p_multiaddr addr;
    assert_int_equal(lp2p_multiaddr_from_text(text, &addr, NULL), LP2P_OK);
    return addr;
}

static inline struct lp2p_multiaddr with_peer(const char *text, unsigned n)
{
    struct lp2p_multiaddr addr = addr_of(text);
    struct lp2p_peer_id id = peer(n);
    assert_int_equal(lp2p_multiaddr_add_peer(&addr, &id), LP2P_OK);
    return addr;
}

/* ---- packets by hand */

struct packet {
    size_t len;
    uint8_t bytes[LP2P_MDNS_PACKET_MAX + 100];
};

static inline void put(struct packet *packet, const void *bytes, size_t len)
{
    assert_true(packet->len + len <= sizeof(packet->bytes));
    memcpy(packet->bytes + packet->len, bytes, len);
    packet->len += len;
}

static inline void put16(struct packet *packet, unsigned value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(packet, bytes, 2);
}

static inline struct packet start(unsigned flags, unsigned questions, unsigned answers)
{
    struct packet packet = {0};
    const unsigned head[6] = {7, flags, questions, answers, 0, 0};
    for (size_t i = 0; i < 6; i++) {
        put16(&packet, head[i]);
    }
    return packet;
}

/* Owner and target with their roots. */
static inline void put_ptr(struct packet *packet, const char *name, size_t name_len, unsigned ttl, const char *target, size_t target_len)
{
    put(packet, name, name_len);
    put16(packet, 12);
    put16(packet, 1);
    put16(packet, 0);
    put16(packet, ttl);
    put16(packet, (unsigned)target_len);
    put(packet, target, target_len);
}

static inline void put_txt(struct packet *packet, const char *name, size_t name_len, unsigned ttl, const char *text)
{
    put(packet, name, name_len);
    put16(packet, 16);
    put16(packet, 0x8001);
    put16(packet, 0);
    put16(packet, ttl);
    size_t len = strlen(text);
    const uint8_t count = (uint8_t)len;
    put16(packet, (unsigned)len + 1);
    put(packet, &count, 1);
    put(packet, text, len);
}
#define INSTANCE "\3abc" SERVICE /* sizeof counts the NUL, which is the root */

static struct lp2p_mdns_heard heard; /* large */

static inline enum lp2p_err read_packet(const struct packet *packet)
{
    return lp2p_mdns_read(lp2p_span(packet->bytes, packet->len), "_p2p", &heard);
}

#endif
