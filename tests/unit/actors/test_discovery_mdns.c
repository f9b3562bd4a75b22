/* SPDX-License-Identifier: MIT
 * mDNS discovery without a network: packets as others send them and as nobody should, and what the machine makes of them. */
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

static struct lp2p_peer_id peer(unsigned n)
{
    return (struct lp2p_peer_id){.len = 34, .bytes = {0x12, 0x20, (uint8_t)n, (uint8_t)(n >> 8), 1}};
}

static struct lp2p_multiaddr addr_of(const char *text)
{
    struct lp2p_multiaddr addr;
    assert_int_equal(lp2p_multiaddr_from_text(text, &addr, NULL), LP2P_OK);
    return addr;
}

static struct lp2p_multiaddr with_peer(const char *text, unsigned n)
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

static void put(struct packet *packet, const void *bytes, size_t len)
{
    assert_true(packet->len + len <= sizeof(packet->bytes));
    memcpy(packet->bytes + packet->len, bytes, len);
    packet->len += len;
}

static void put16(struct packet *packet, unsigned value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(packet, bytes, 2);
}

static struct packet start(unsigned flags, unsigned questions, unsigned answers)
{
    struct packet packet = {0};
    const unsigned head[6] = {7, flags, questions, answers, 0, 0};
    for (size_t i = 0; i < 6; i++) {
        put16(&packet, head[i]);
    }
    return packet;
}

static void put_txt(struct packet *packet, const char *name, size_t name_len, unsigned ttl, const char *text)
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

static enum lp2p_err read_packet(const struct packet *packet)
{
    return lp2p_mdns_read(lp2p_span(packet->bytes, packet->len), "_p2p", &heard);
}

/* ---- codec */

static void test_mdns_answer_round_trip(void **state)
{
    (void)state;
    uint8_t out[LP2P_MDNS_SEND_MAX];
    struct lp2p_multiaddr addrs[40];
    size_t next = 0, total = 0, packets = 0, len;
    for (unsigned i = 0; i < LP2P_ARRAY_LEN(addrs); i++) {
        char text[40];
        (void)snprintf(text, sizeof(text), "/ip4/10.0.1.%u/tcp/4001", i);
        addrs[i] = with_peer(text, 1);
    }
    const struct lp2p_mdns_dress dress = {0};
    while ((len = lp2p_mdns_write_answer("_p2p", "abcdefghijabcdefghijabcdefghijab", &dress, addrs, LP2P_ARRAY_LEN(addrs), &next,
                                         out)) > 0) {
        assert_int_equal(lp2p_mdns_read(lp2p_span(out, len), "_p2p", &heard), LP2P_OK);
        assert_true(heard.response);
        for (size_t i = 0; i < heard.addrs_len; i++) {
            assert_true(lp2p_multiaddr_eq(&heard.addrs[i], &addrs[total + i]));
        }
        total += heard.addrs_len;
        packets++;
        assert_int_equal(lp2p_mdns_read(lp2p_span(out, len), "_p2p-00", &heard), LP2P_OK); /* another network's */
        assert_int_equal(heard.addrs_len, 0);
    }
    assert_int_equal(total, LP2P_ARRAY_LEN(addrs));
    assert_true(packets > 1);
}

static void test_mdns_queries(void **state)
{
    (void)state;
    uint8_t out[LP2P_MDNS_SEND_MAX];
    size_t len = lp2p_mdns_write_query("_p2p", out);
    assert_int_equal(lp2p_mdns_read(lp2p_span(out, len), "_p2p", &heard), LP2P_OK);
    assert_true(heard.asks_peers && !heard.response && !heard.asks_services && !heard.wants_unicast);
    struct packet packet = start(0, 2, 0);
    put(&packet, "\4_P2P\4_udp\5LOCAL", 17); /* names have no case */
    put16(&packet, 255);
    put16(&packet, 0x8001);
    put(&packet, "\11_services\7_dns-sd\4_udp\5local", 30);
    put16(&packet, 12);
    put16(&packet, 1);
    assert_int_equal(read_packet(&packet), LP2P_OK);
    assert_true(heard.asks_peers && heard.asks_services && heard.wants_unicast && heard.id == 7);
    packet = start(0, 1, 0);
    put(&packet, "\5_http\4_tcp\5local", 18);
    put16(&packet, 12);
    put16(&packet, 1);
    assert_int_equal(read_packet(&packet), LP2P_OK);
    assert_false(heard.asks_peers || heard.asks_services);
}

/* As go and js write it: names end in pointers, other records stand between. */
static void test_mdns_compressed_answer(void **state)
{
    (void)state;
    struct packet packet = start(0x8400, 0, 3);
    put(&packet, SERVICE, sizeof(SERVICE)); /* at 12 */
    put16(&packet, 12);
    put16(&packet, 1);
    put(&packet, "\0\0\0\170\0\6\3abc\300\14", 12); /* "abc" and a pointer to 12; the name is at 39 */
    put(&packet, "\300\47", 2);
    put(&packet, "\0\41\200\1\0\0\0\170\0\7\0\0\0\0\17\241\0", 17); /* SRV */
    put_txt(&packet, "\300\47", 2, 120, "dnsaddr=" ADDR ID_A);
    assert_int_equal(read_packet(&packet), LP2P_OK);
    struct lp2p_multiaddr wanted = addr_of(ADDR ID_A);
    assert_int_equal(heard.addrs_len, 1);
    assert_true(lp2p_multiaddr_eq(&heard.addrs[0], &wanted));
    for (size_t cut = 0; cut < packet.len; cut++) {
        struct packet shorter = packet;
        shorter.len = cut;
        assert_int_equal(read_packet(&shorter), LP2P_EMALFORMED);
    }
}

static void test_mdns_strings_that_do_not_count(void **state)
{
    (void)state;
    struct packet packet = start(0x8400, 0, 6);
    put_txt(&packet, INSTANCE, sizeof(INSTANCE), 120, "other=thing");
    put_txt(&packet, INSTANCE, sizeof(INSTANCE), 120, "dnsaddr=/ip4/10.0.0.7/tcp/4001"); /* no peer */
    put_txt(&packet, INSTANCE, sizeof(INSTANCE), 120, "dnsaddr=/ip4/10.0.0.7/nothing" ID_A);
    put_txt(&packet, INSTANCE, sizeof(INSTANCE), 0, "dnsaddr=" ADDR ID_A); /* a farewell */
    put_txt(&packet, SERVICE, sizeof(SERVICE), 120, "dnsaddr=" ADDR ID_A); /* no instance */
    put_txt(&packet, "\3abc\5_http\4_tcp\5local", 22, 120, "dnsaddr=" ADDR ID_A);
    assert_int_equal(read_packet(&packet), LP2P_OK);
    assert_int_equal(heard.addrs_len, 0);
    assert_int_equal(heard.skipped, 2);
    packet = start(0x8403, 0, 1); /* an error */
    put_txt(&packet, INSTANCE, sizeof(INSTANCE), 120, "dnsaddr=" ADDR ID_A);
    assert_int_equal(read_packet(&packet), LP2P_EUNSUPPORTED);
    packet = start(0, 0, 1); /* what a query claims to know is nothing that we want to know */
    put_txt(&packet, INSTANCE, sizeof(INSTANCE), 120, "dnsaddr=" ADDR ID_A);
    assert_int_equal(read_packet(&packet), LP2P_OK);
    assert_int_equal(heard.addrs_len, 0);
}

static void test_mdns_name_loops(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[6];
        size_t len;
    } names[] = {
        {{0xc0, 12}, 2},                /* itself */
        {{0xc0, 14, 0xc0, 12}, 4},      /* each other */
        {{1, 'a', 0xc0, 12}, 4},        /* its own beginning: grows without end */
        {{0xc0, 40}, 2},                /* forwards */
        {{0xc0, 0}, 2},                 /* into the header */
        {{0x40, 'a', 0}, 3},            /* a kind of label that does not exist */
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(names); i++) {
        struct packet packet = start(0, 1, 0);
        put(&packet, names[i].bytes, names[i].len);
packet.len += 100; /* zeros: enough for what a name may claim */
        assert_int_equal(read_packet(&packet), LP2P_EMALFORMED);
    }
    /* A chain of pointers, each to the one in front, may have that many and no more. */
    for (unsigned jumps = LP2P_MDNS_JUMPS_MAX; jumps <= LP2P_MDNS_JUMPS_MAX + 1; jumps++) {
        struct packet packet = start(0x8400, 0, 2);
        put(&packet, "\0\0\20\0\1\0\0\0\1", 9); /* root, TXT, IN, ttl; its data: the pointers */
        put16(&packet, 1 + 2 * (jumps - 1));
        put(&packet, "\0", 1); /* at 23 */
        for (unsigned i = 0; i + 1 < jumps; i++) {
            put16(&packet, 0xc000 | (i == 0 ? 23 : 24 + 2 * (i - 1)));
        }
        packet.bytes[13] = 0;
        packet.bytes[14] = 99; /* no TXT: its data are not read */
        put_txt(&packet, (const char[]){(char)0xc0, (char)(jumps == 1 ? 23 : 24 + 2 * (jumps - 2))}, 2, 120, "x");
        assert_int_equal(read_packet(&packet), jumps <= LP2P_MDNS_JUMPS_MAX ? LP2P_OK : LP2P_EMALFORMED);
    }
    /* Longer than a name can be. */
    struct packet packet = start(0, 1, 0);
    for (unsigned i = 0; i < 4; i++) {
        uint8_t label[64] = {63};
        put(&packet, label, sizeof(label));
    }
    put(&packet, "\0\0\14\0\1", 5);
    assert_int_equal(read_packet(&packet), LP2P_EMALFORMED);
}

static void test_mdns_too_many_answers(void **state)
{
    (void)state;
    struct packet packet = start(0x8400, 0, 10000);
    assert_int_equal(read_packet(&packet), LP2P_ELIMIT);
    for (unsigned count = LP2P_MDNS_RECORDS_MAX; count <= LP2P_MDNS_RECORDS_MAX + 1; count++) {
        packet = start(0x8400, 0, count);
        for (unsigned i = 0; i < count; i++) {
            put(&packet, "\0\0\1\0\1\0\0\0\1\0\0", 11);
        }
        assert_int_equal(read_packet(&packet), count <= LP2P_MDNS_RECORDS_MAX ? LP2P_OK : LP2P_ELIMIT);
    }
    /* One record with nothing but empty strings. */
    packet = start(0x8400, 0, 1);
    put(&packet, INSTANCE, sizeof(INSTANCE));
    put(&packet, "\0\20\0\1\0\0\0\1", 8);
    put16(&packet, 5000);
    packet.len += 5000;
    assert_int_equal(read_packet(&packet), LP2P_ELIMIT);
    /* More addresses than are taken. */
    packet = start(0x8400, 0, 100);
    for (unsigned i = 0; i < 100; i++) {
        put_txt(&packet, i == 0 ? INSTANCE : "\300\14", i == 0 ? sizeof(INSTANCE) : 2, 1,
                "dnsaddr=/tcp/1/p2p/QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt");
    }
    assert_int_equal(read_packet(&packet), LP2P_OK);
    assert_int_equal(heard.addrs_len, LP2P_MDNS_HEARD_MAX);
    assert_int_equal(heard.skipped, 100 - LP2P_MDNS_HEARD_MAX);
    packet.len = LP2P_MDNS_PACKET_MAX + 1;
    assert_int_equal(read_packet(&packet), LP2P_EMALFORMED);
}

/* The first of two addresses fits in one string of a TXT record, and then, with a longer port, does not. */
static void test_mdns_string_of_255_bytes(void **state)
{
    (void)state;
    char text[400] = "/dns4/";
    uint8_t out[LP2P_MDNS_SEND_MAX];
    const struct lp2p_mdns_dress dress = {0};
    struct lp2p_multiaddr addrs[2] = {{0}, with_peer("/ip4/10.0.0.1/tcp/1", 1)};
    for (unsigned label = 0; label < 3; label++) {
        size_t len = strlen(text);
        memset(text + len, 'a' + (int)label, 60);
        text[len + 60] = label < 2 ? '.' : '\0';
    }
    for (unsigned extra = 0; extra < 2; extra++) {
        char whole[400];
        (void)snprintf(whole, sizeof(whole), "%s/tcp/%s", text, extra == 0 ? "1" : "65535");
        addrs[0] = with_peer(whole, 1);
        char as_text[LP2P_MULTIADDR_TEXT_MAX];
        lp2p_multiaddr_text(&addrs[0], as_text);
        size_t size = 8 + strlen(as_text), next = 0;
        size_t len = lp2p_mdns_write_answer("_p2p", "name", &dress, addrs, 2, &next, out);
        assert_int_equal(lp2p_mdns_read(lp2p_span(out, len), "_p2p", &heard), LP2P_OK);
        assert_int_equal(heard.addrs_len, size <= 255 ? 2 : 1);
        assert_int_equal(size <= 255, extra == 0);
        assert_int_equal(next, 2);
    }
}

/* ---- the machine */

struct kit {
    struct lp2p_mdns mdns;
    struct lp2p_rand_seeded seeded;
    struct lp2p_peer_id self;
};
static struct kit kit;
static const struct lp2p_ip_port NEIGHBOUR = {.ip = {10, 0, 0, 9}, .ip_len = 4, .port = LP2P_MDNS_PORT};

static void start_machine(const struct lp2p_mdns_limits *limits)
{
    lp2p_rand_seeded_init(&kit.seeded, 5);
    const struct lp2p_rand rand = lp2p_rand_seeded_source(&kit.seeded);
    kit.self = peer(0);
    lp2p_mdns_init(&kit.mdns, &kit.self, NULL, limits, &rand, NOW);
    const struct lp2p_multiaddr own = addr_of("/ip4/10.0.0.1/tcp/4001");
    lp2p_mdns_publish(&kit.mdns, &own, 1, NOW);
}

static unsigned take(const uint8_t *bytes, size_t len, const struct lp2p_ip_port *from, lp2p_time now,
                     struct lp2p_mdns_dress *dress)
{
    return lp2p_mdns_take(&kit.mdns, lp2p_span(bytes, len), from, now, dress);
}

static unsigned ask(const struct lp2p_ip_port *from, lp2p_time now, struct lp2p_mdns_dress *dress)
{
    uint8_t out[LP2P_MDNS_SEND_MAX];
    return take(out, lp2p_mdns_write_query("_p2p", out), from, now, dress);
}

/* What an answer with these addresses makes of it: how many peers are news, and their addresses in all. */
static size_t tell(const struct lp2p_multiaddr *addrs, size_t len, lp2p_time now, size_t *addrs_len)
{
    uint8_t out[LP2P_MDNS_SEND_MAX];
    struct lp2p_mdns_dress dress = {0};
    struct lp2p_mdns_peer found;
    size_t next = 0, peers = 0;
    size_t packet_len = lp2p_mdns_write_answer("_p2p", "name", &dress, addrs, len, &next, out);
    assert_int_equal(next, len);
    assert_int_equal(take(out, packet_len, &NEIGHBOUR, now, &dress), 0);
    *addrs_len = 0;
    for (; lp2p_mdns_next_peer(&kit.mdns, now, &found); peers++) {
        *addrs_len += found.addrs_len;
        for (size_t i = 0; i < found.addrs_len; i++) {
            struct lp2p_peer_id id;
            assert_int_equal(lp2p_multiaddr_peer(&found.addrs[i], &id), LP2P_ENOTFOUND);
        }
    }
    return peers;
}

static void test_mdns_name_and_service(void **state)
{
    (void)state;
    const uint8_t fingerprint[16] = {0xab, 1, [15] = 0xff};
    kit.self = peer(0);
    for (unsigned seed = 0; seed < 200; seed++) {
        lp2p_rand_seeded_init(&kit.seeded, seed);
        const struct lp2p_rand rand = lp2p_rand_seeded_source(&kit.seeded);
        lp2p_mdns_init(&kit.mdns, &kit.self, fingerprint, NULL, &rand, NOW);
        size_t len = strlen(kit.mdns.name);
        assert_true(len >= LP2P_MDNS_NAME_MIN && len <= LP2P_MDNS_NAME_MAX);
        assert_int_equal(strspn(kit.mdns.name, "abcdefghijklmnopqrstuvwxyz0123456789"), len);
    }
    assert_string_equal(kit.mdns.service, "_p2p-ab0100000000000000000000000000ff");
    /* Who asks for another network gets no answer. */
    const struct lp2p_multiaddr own = addr_of("/ip4/10.0.0.1/tcp/4001");
    struct lp2p_mdns_dress dress;
    uint8_t out[LP2P_MDNS_SEND_MAX];
    lp2p_mdns_publish(&kit.mdns, &own, 1, NOW);
    assert_true(lp2p_mdns_answer_due(&kit.mdns, NOW + LP2P_SEC(1)));
    assert_int_equal(ask(&NEIGHBOUR, NOW, &dress), 0);
    assert_int_equal(kit.mdns.answer_at, LP2P_NEVER);
    (void)take(out, lp2p_mdns_write_query(kit.mdns.service, out), &NEIGHBOUR, NOW, &dress);
    assert_int_not_equal(kit.mdns.answer_at, LP2P_NEVER);
}

static void test_mdns_only_lan_addresses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "/ip4/192.168.1.5/tcp/4001", "/ip6/fd00::5/tcp/4001", "/ip6/2001:db8::5/tcp/4001", /* these are told */
        "/ip4/127.0.0.1/tcp/4001", "/ip6/::1/tcp/4001", "/ip4/0.0.0.0/tcp/4001", "/ip6/fe80::1/tcp/4001", "/dns4/a.example/tcp/4001",
        "/ip4/192.168.1.5/tcp/4001/ws", "/ip4/192.168.1.5/udp/4001/quic-v1", "/ip4/192.168.1.5/tcp/0",
        "/ip4/192.168.1.5/tcp/4001/p2p/" ID_A "/p2p-circuit",
    };
    struct lp2p_multiaddr addrs[LP2P_ARRAY_LEN(texts)];
    for (size_t i = 0; i < LP2P_ARRAY_LEN(texts); i++) {
        addrs[i] = addr_of(texts[i]);
    }
    start_machine(NULL);
    lp2p_mdns_publish(&kit.mdns, addrs, LP2P_ARRAY_LEN(addrs), NOW);
    assert_int_equal(kit.mdns.own_len, 3);
    for (size_t i = 0; i < 3; i++) {
        struct lp2p_multiaddr wanted = with_peer(texts[i], 0);
        assert_true(lp2p_multiaddr_eq(&kit.mdns.own[i], &wanted));
    }
    lp2p_mdns_publish(&kit.mdns, NULL, 0, NOW); /* with nothing to say nobody is answered */
    kit.mdns.answer_at = LP2P_NEVER;
    struct lp2p_mdns_dress dress;
    assert_int_equal(ask(&NEIGHBOUR, NOW, &dress), 0);
    assert_int_equal(kit.mdns.answer_at, LP2P_NEVER);
}

static void test_mdns_query_pauses(void **state)
{
    (void)state;
    static const unsigned pauses[] = {10, 20, 40, 80, 160, 300, 300};
    start_machine(NULL);
    lp2p_time at = kit.mdns.query_at;
    assert_true(at > NOW && at <= NOW + LP2P_MS(120));
    for (size_t i = 0; i < LP2P_ARRAY_LEN(pauses); i++) {
        assert_false(lp2p_mdns_query_due(&kit.mdns, at - 1));
        assert_true(lp2p_mdns_query_due(&kit.mdns, at));
        assert_false(lp2p_mdns_query_due(&kit.mdns, at));
        at += LP2P_SEC(pauses[i]);
        assert_int_equal(kit.mdns.query_at, at);
    }
    lp2p_mdns_renew(&kit.mdns, at);
    assert_true(kit.mdns.query_at <= at + LP2P_MS(120));
}

static void test_mdns_answers(void **state)
{
    (void)state;
    struct lp2p_mdns_dress dress = {0};
    start_machine(NULL);
    lp2p_time now = lp2p_mdns_next(&kit.mdns) + LP2P_SEC(1);
    assert_true(lp2p_mdns_answer_due(&kit.mdns, now)); /* what was published is told unasked, once */
    assert_false(lp2p_mdns_answer_due(&kit.mdns, now));
    assert_int_equal(ask(&NEIGHBOUR, now, &dress), 0); /* all are answered, not one alone */
    assert_false(lp2p_mdns_answer_due(&kit.mdns, now + LP2P_MDNS_ANSWER_GAP_NS - 1));
    assert_true(lp2p_mdns_answer_due(&kit.mdns, now + LP2P_MDNS_ANSWER_GAP_NS));
    struct lp2p_ip_port legacy = NEIGHBOUR;
    legacy.port = 40000;
    assert_int_equal(ask(&legacy, now, &dress), LP2P_MDNS_UNICAST_PEERS);
    assert_true(dress.legacy);
    uint8_t out[LP2P_MDNS_SEND_MAX];
    dress.id = 0x1234;
    size_t next = 0, len = lp2p_mdns_write_answer("_p2p", kit.mdns.name, &dress, kit.mdns.own, kit.mdns.own_len, &next, out);
    assert_true(len > 0 && out[0] == 0x12 && out[1] == 0x34 && out[5] == 1); /* id and question come back */
    const struct lp2p_ip_port far = {.ip = {8, 8, 8, 8}, .ip_len = 4, .port = 40000};
    assert_int_equal(ask(&far, now, &dress), 0); /* a forged source gets nothing */
}

/* A flood of questions in the name of a neighbour; without the limit all of them would be answered. */
static void test_mdns_unicast_limit(void **state)
{
    (void)state;
    struct lp2p_mdns_limits none = LP2P_MDNS_LIMITS;
    none.unicasts_s = 0;
    const struct lp2p_ip_port legacy = {.ip = {10, 0, 0, 9}, .ip_len = 4, .port = 40000};
    for (unsigned limited = 0; limited < 2; limited++) {
        unsigned answered = 0;
        start_machine(limited ? NULL : &none);
        for (unsigned i = 0; i < 100; i++) {
            struct lp2p_mdns_dress dress;
            answered += ask(&legacy, NOW, &dress) != 0;
        }
        assert_int_equal(answered, limited ? LP2P_MDNS_LIMITS.unicasts_s : 100);
        assert_int_equal(kit.mdns.limited, 100 - answered);
    }
}

static void test_mdns_packet_limit(void **state)
{
    (void)state;
    struct lp2p_mdns_limits none = LP2P_MDNS_LIMITS;
    none.packets_s = 0;
    for (unsigned limited = 0; limited < 2; limited++) {
        struct lp2p_mdns_dress dress;
        start_machine(limited ? NULL : &none);
        for (unsigned i = 0; i < 1000; i++) {
            (void)take((const uint8_t *)"x", 1, &NEIGHBOUR, NOW, &dress);
        }
        assert_int_equal(kit.mdns.invalid, limited ? LP2P_MDNS_LIMITS.packets_s : 1000);
    }
}

static void test_mdns_peer_limit(void **state)
{
    (void)state;
    struct lp2p_mdns_limits none = LP2P_MDNS_LIMITS;
    none.peers_min = 0;
    for (unsigned limited = 0; limited < 2; limited++) {
        size_t told = 0, len = 0;
        start_machine(limited ? NULL : &none);
        for (unsigned i = 1; i <= 150; i++) {
            struct lp2p_multiaddr addr = with_peer("/ip4/10.0.0.2/tcp/1", i);
            told += tell(&addr, 1, NOW, &len);
        }
        assert_int_equal(told, limited ? LP2P_MDNS_LIMITS.peers_min : 150);
        struct lp2p_multiaddr addr = with_peer("/ip4/10.0.0.2/tcp/1", 150); /* who had to wait is news later */
        assert_int_equal(tell(&addr, 1, NOW + LP2P_SEC(60), &len), limited ? 1 : 0);
    }
}

static void test_mdns_news_only(void **state)
{
    (void)state;
    size_t len = 0;
    struct lp2p_multiaddr addrs[6] = {with_peer("/ip4/10.0.0.2/tcp/1", 1), with_peer("/ip4/10.0.0.3/tcp/1", 2),
                                      with_peer("/ip4/10.0.0.4/tcp/1", 1), with_peer("/ip4/10.0.0.1/tcp/1", 0) /* ourselves */,
                                      with_peer("/ip4/127.0.0.1/tcp/1", 1), with_peer("/dns4/a.example/tcp/1", 3)};
    start_machine(NULL);
    assert_int_equal(tell(addrs, 6, NOW, &len), 2);
    assert_int_equal(len, 3);
    assert_int_equal(tell(addrs, 6, NOW + LP2P_SEC(1), &len), 0);
    addrs[1] = with_peer("/ip4/10.0.0.5/tcp/1", 2); /* it moved */
    assert_int_equal(tell(addrs, 6, NOW + LP2P_SEC(2), &len), 1);
    assert_int_equal(len, 1);
    assert_int_equal(tell(addrs, 6, NOW + LP2P_SEC(2) + LP2P_MDNS_AGAIN_NS, &len), 2);
    assert_int_equal(len, 3);
}

/* More addresses than the table holds: the oldest is news again, the newest is not. */
static void test_mdns_table_limit(void **state)
{
    (void)state;
    struct lp2p_mdns_limits none = {0};
    size_t len = 0;
    start_machine(&none);
    for (unsigned i = 1; i <= LP2P_MDNS_KNOWN_MAX + 1; i++) {
        struct lp2p_multiaddr addr = with_peer("/ip4/10.0.0.2/tcp/1", i);
        assert_int_equal(tell(&addr, 1, NOW + i, &len), 1);
    }
    struct lp2p_multiaddr last = with_peer("/ip4/10.0.0.2/tcp/1", LP2P_MDNS_KNOWN_MAX + 1), first = with_peer("/ip4/10.0.0.2/tcp/1", 1);
    assert_int_equal(tell(&last, 1, NOW + 10000, &len), 0);
    assert_int_equal(tell(&first, 1, NOW + 10000, &len), 1);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mdns_answer_round_trip),
        cmocka_unit_test(test_mdns_queries),
        cmocka_unit_test(test_mdns_compressed_answer),
        cmocka_unit_test(test_mdns_strings_that_do_not_count),
        cmocka_unit_test(test_mdns_name_loops),
        cmocka_unit_test(test_mdns_too_many_answers),
        cmocka_unit_test(test_mdns_string_of_255_bytes),
        cmocka_unit_test(test_mdns_name_and_service),
        cmocka_unit_test(test_mdns_only_lan_addresses),
        cmocka_unit_test(test_mdns_query_pauses),
        cmocka_unit_test(test_mdns_answers),
        cmocka_unit_test(test_mdns_unicast_limit),
        cmocka_unit_test(test_mdns_packet_limit),
        cmocka_unit_test(test_mdns_peer_limit),
        cmocka_unit_test(test_mdns_news_only),
        cmocka_unit_test(test_mdns_table_limit),
    };
    return cmocka_run_group_tests_name("discovery_mdns", tests, NULL, NULL);
}
