/* SPDX-License-Identifier: MIT
 * mDNS discovery without a network: what the machine makes of packets. */
#include "mdns_packets.h"

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
    return take(out, lp2p_mdns_write_query("_p2p", NULL, 0, out), from, now, dress);
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
    assert_true(lp2p_mdns_answer_due(&kit.mdns, NOW + LP2P_SEC(1)) && lp2p_mdns_answer_due(&kit.mdns, NOW + LP2P_SEC(2)));
    assert_int_equal(ask(&NEIGHBOUR, NOW, &dress), 0);
    assert_int_equal(kit.mdns.answer_at, LP2P_NEVER);
    (void)take(out, lp2p_mdns_write_query(kit.mdns.service, NULL, 0, out), &NEIGHBOUR, NOW, &dress);
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
    assert_true(lp2p_mdns_answer_due(&kit.mdns, now)); /* what was published is told unasked, twice */
    assert_false(lp2p_mdns_answer_due(&kit.mdns, now));
    assert_true(lp2p_mdns_answer_due(&kit.mdns, now += LP2P_MDNS_ANSWER_GAP_NS));
    assert_int_equal(kit.mdns.answer_at, LP2P_NEVER);
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

/* ---- farewells */

static void tell_as(const char *name, const struct lp2p_multiaddr *addr, lp2p_time now, bool wanted_news)
{
    uint8_t out[LP2P_MDNS_SEND_MAX];
    struct lp2p_mdns_dress dress = {0};
    struct lp2p_mdns_peer found;
    size_t next = 0, len = lp2p_mdns_write_answer("_p2p", name, &dress, addr, 1, &next, out);
    assert_int_equal(take(out, len, &NEIGHBOUR, now, &dress), 0);
    assert_int_equal(lp2p_mdns_next_peer(&kit.mdns, now, &found), wanted_news);
}

static void leave(const char *name, lp2p_time now)
{
    uint8_t out[LP2P_MDNS_SEND_MAX];
    struct lp2p_mdns_dress dress;
    assert_int_equal(take(out, lp2p_mdns_write_farewell("_p2p", name, out), &NEIGHBOUR, now, &dress), 0);
}

static void test_mdns_peer_takes_leave(void **state)
{
    (void)state;
    const struct lp2p_multiaddr addr = with_peer("/ip4/10.0.0.2/tcp/1", 1), other = with_peer("/ip4/10.0.0.3/tcp/1", 2);
    struct lp2p_peer_id gone, wanted = peer(1);
    lp2p_time now = NOW;
    start_machine(NULL);
    tell_as("one", &addr, now, true);
    tell_as("two", &other, now, true);
    leave("nobody", now);
    assert_int_equal(lp2p_mdns_cache_next(&kit.mdns.cache), LP2P_NEVER);
    leave("one", now);
    leave("one", now + LP2P_MS(500)); /* said again it does not last longer */
    assert_true(lp2p_mdns_cache_next(&kit.mdns.cache) == now + LP2P_MDNS_LEAVE_NS);
    assert_false(lp2p_mdns_next_gone(&kit.mdns, now + LP2P_MDNS_LEAVE_NS - 1, &gone));
    now += LP2P_MDNS_LEAVE_NS;
    assert_true(lp2p_mdns_next_gone(&kit.mdns, now, &gone));
    assert_true(lp2p_peer_id_eq(&gone, &wanted));
    assert_false(lp2p_mdns_next_gone(&kit.mdns, now, &gone));
    tell_as("one", &addr, now, true); /* and it is news when it comes back */
    tell_as("two", &other, now, false);
    /* Taken back within the second. */
    leave("one", now);
    tell_as("one", &addr, now + LP2P_MS(999), false);
    assert_false(lp2p_mdns_next_gone(&kit.mdns, now + LP2P_SEC(10), &gone));
}

static void test_mdns_takes_leave(void **state)
{
    (void)state;
    uint8_t out[LP2P_MDNS_SEND_MAX];
    start_machine(NULL);
    assert_int_equal(lp2p_mdns_farewell(&kit.mdns, out), 0); /* nobody was told yet */
    lp2p_time now = NOW + LP2P_SEC(1);
    assert_true(lp2p_mdns_answer_due(&kit.mdns, now) && lp2p_mdns_answer_due(&kit.mdns, now + LP2P_SEC(1)));
    now += LP2P_SEC(1);
    leave(kit.mdns.name, now); /* a lie: all are told that we are here */
    assert_true(kit.mdns.answer_at >= now + LP2P_MDNS_ANSWER_GAP_NS && kit.mdns.answer_at != LP2P_NEVER);
    assert_true(lp2p_mdns_answer_due(&kit.mdns, now += LP2P_SEC(2)));
    assert_int_equal(kit.mdns.answer_at, LP2P_NEVER);
    lp2p_mdns_publish(&kit.mdns, NULL, 0, now); /* nothing is left to be dialed */
    assert_true(lp2p_mdns_answer_due(&kit.mdns, now += LP2P_SEC(1)));
    size_t len = lp2p_mdns_farewell(&kit.mdns, out);
    assert_true(len > 0);
    assert_int_equal(lp2p_mdns_farewell(&kit.mdns, out), 0);
    leave(kit.mdns.name, now); /* as we hear it ourselves: no answer, no end */
    assert_int_equal(kit.mdns.answer_at, LP2P_NEVER);
}

/* More instances than the table holds: the farewell of the one that was heard longest ago says nothing any more. */
static void test_mdns_cache_limit(void **state)
{
    (void)state;
    const struct lp2p_mdns_limits none = {0};
    struct lp2p_peer_id gone, wanted = peer(LP2P_MDNS_CACHE_MAX + 1);
    start_machine(&none);
    for (unsigned i = 1; i <= LP2P_MDNS_CACHE_MAX + 1; i++) {
        char name[8];
        struct lp2p_multiaddr addr = with_peer("/ip4/10.0.0.2/tcp/1", i);
        (void)snprintf(name, sizeof(name), "n%u", i);
        tell_as(name, &addr, NOW + i, true);
    }
    leave("n1", NOW + LP2P_SEC(1));
    assert_int_equal(lp2p_mdns_cache_next(&kit.mdns.cache), LP2P_NEVER);
    leave("n129", NOW + LP2P_SEC(1));
    assert_true(lp2p_mdns_next_gone(&kit.mdns, NOW + LP2P_SEC(2), &gone) && lp2p_peer_id_eq(&gone, &wanted));
}

/* ---- known answers */

static size_t known_to_us(lp2p_time now)
{
    uint8_t out[LP2P_MDNS_SEND_MAX];
    size_t len = lp2p_mdns_query(&kit.mdns, now, out);
    assert_int_equal(lp2p_mdns_read(lp2p_span(out, len), "_p2p", &heard), LP2P_OK);
    return heard.instances_len;
}

static void test_mdns_asks_with_known_answers(void **state)
{
    (void)state;
    const struct lp2p_multiaddr addr = with_peer("/ip4/10.0.0.2/tcp/1", 1), other = with_peer("/ip4/10.0.0.3/tcp/1", 2);
    struct lp2p_mdns_limits one = LP2P_MDNS_LIMITS;
    one.peers_min = 1;
    start_machine(&one);
    assert_int_equal(known_to_us(NOW), 0);
    tell_as("one", &addr, NOW, true);
    assert_int_equal(known_to_us(NOW + LP2P_SEC(59)), 1);
    assert_int_equal(heard.instances[0].ttl_s, LP2P_MDNS_TTL_S - 59);
    assert_int_equal(known_to_us(NOW + LP2P_SEC(60)), 0); /* half of its life is over */
    tell_as("two", &other, NOW, false); /* beyond the limit: it shall be told again */
    assert_int_equal(known_to_us(NOW), 1);
    leave("one", NOW);
    assert_int_equal(known_to_us(NOW), 0);
}

/* A pointer alone says not where the peer is: who is named as known for it would never be told of again. */
static void test_mdns_pointer_alone_is_not_known(void **state)
{
    (void)state;
    static const char target[] = "\3one" SERVICE;
    const struct lp2p_multiaddr addr = with_peer("/ip4/10.0.0.2/tcp/1", 1);
    struct packet packet = start(0x8400, 0, 1);
    struct lp2p_mdns_dress dress;
    start_machine(NULL);
    put_ptr(&packet, SERVICE, sizeof(SERVICE), LP2P_MDNS_TTL_S, target, sizeof(target));
    assert_int_equal(take(packet.bytes, packet.len, &NEIGHBOUR, NOW, &dress), 0);
    assert_int_equal(kit.mdns.invalid, 0);
    assert_int_equal(known_to_us(NOW), 0);
    tell_as("one", &addr, NOW, true);
    assert_int_equal(known_to_us(NOW), 1);
}

/* The machine after its announcements, with nothing to say. */
static lp2p_time start_silent(void)
{
    start_machine(NULL);
    assert_true(lp2p_mdns_answer_due(&kit.mdns, NOW + LP2P_SEC(1)) && lp2p_mdns_answer_due(&kit.mdns, NOW + LP2P_SEC(2)));
    assert_int_equal(kit.mdns.answer_at, LP2P_NEVER);
    return NOW + LP2P_SEC(10);
}

/* A question, or the rest of one, of somebody who knows us for so long. */
static void ask_knowing(unsigned flags, bool asks, unsigned ttl, const struct lp2p_ip_port *from, lp2p_time now)
{
    struct packet packet = start(flags, asks, ttl > 0);
    struct lp2p_mdns_dress dress;
    char target[80];
    size_t len = strlen(kit.mdns.name);
    target[0] = (char)len;
    memcpy(target + 1, kit.mdns.name, len);
    memcpy(target + 1 + len, SERVICE, sizeof(SERVICE) - 1);
    memcpy(target + 1 + len + sizeof(SERVICE) - 1, "", 1);
    if (asks) {
        put(&packet, SERVICE, sizeof(SERVICE));
        put(&packet, "\0\14\0\1", 4);
    }
    if (ttl > 0) {
        put_ptr(&packet, SERVICE, sizeof(SERVICE), ttl, target, 1 + len + sizeof(SERVICE));
    }
    assert_int_equal(take(packet.bytes, packet.len, from, now, &dress), 0);
    assert_int_equal(kit.mdns.invalid, 0);
}

static void test_mdns_known_answer_suppression(void **state)
{
    (void)state;
    lp2p_time now = start_silent();
    ask_knowing(0, true, LP2P_MDNS_TTL_S / 2, &NEIGHBOUR, now);
    assert_int_equal(kit.mdns.answer_at, LP2P_NEVER);
    assert_int_equal(kit.mdns.suppressed, 1);
    ask_knowing(0, true, LP2P_MDNS_TTL_S / 2 - 1, &NEIGHBOUR, now);
    assert_int_not_equal(kit.mdns.answer_at, LP2P_NEVER);
    assert_int_equal(kit.mdns.suppressed, 1);
}

/* RFC 6762 7.2: what is known goes on in another packet. */
static void test_mdns_known_answers_in_two_packets(void **state)
{
    (void)state;
    struct lp2p_ip_port other = NEIGHBOUR;
    other.ip[3] = 77;
    lp2p_time now = start_silent();
    ask_knowing(0x0200, true, 0, &NEIGHBOUR, now);
    assert_true(kit.mdns.answer_at >= now + LP2P_MS(400) && kit.mdns.answer_at <= now + LP2P_MS(500));
    ask_knowing(0, false, LP2P_MDNS_TTL_S, &other, now); /* somebody else's word */
    assert_int_not_equal(kit.mdns.answer_at, LP2P_NEVER);
    ask_knowing(0, false, LP2P_MDNS_TTL_S, &NEIGHBOUR, now);
    assert_int_equal(kit.mdns.answer_at, LP2P_NEVER);
    ask_knowing(0x0200, true, 0, &NEIGHBOUR, now);
    ask_knowing(0, true, 0, &other, now); /* who wants an answer gets it, and soon */
    assert_true(kit.mdns.answer_at <= now + LP2P_MS(120));
    ask_knowing(0, false, LP2P_MDNS_TTL_S, &NEIGHBOUR, now);
    assert_int_not_equal(kit.mdns.answer_at, LP2P_NEVER);
}

/* Somebody says in our name that we are gone, and then that it knows us: all the others have to hear that we are here. */
static void test_mdns_false_farewell_is_not_hushed_up(void **state)
{
    (void)state;
    lp2p_time now = start_silent();
    ask_knowing(0x0200, true, 0, &NEIGHBOUR, now);
    leave(kit.mdns.name, now);
    ask_knowing(0, false, LP2P_MDNS_TTL_S, &NEIGHBOUR, now);
    assert_true(kit.mdns.answer_at <= now + LP2P_MS(120));
}

/* All nodes give the same answer to who asks for services: RFC 6762 7.4, and 7.1. */
static void test_mdns_services_once(void **state)
{
    (void)state;
    static const char services[] = "\11_services\7_dns-sd\4_udp\5local";
    struct lp2p_mdns_dress dress;
    lp2p_time now = start_silent();
    for (unsigned ttl = 0; ttl <= LP2P_MDNS_TTL_S; ttl += LP2P_MDNS_TTL_S) {
        struct packet packet = start(0, 1, ttl > 0);
        put(&packet, services, sizeof(services));
        put(&packet, "\0\14\0\1", 4);
        if (ttl > 0) {
            put_ptr(&packet, services, sizeof(services), ttl, SERVICE, sizeof(SERVICE));
        }
        kit.mdns.services_at = LP2P_NEVER;
        (void)take(packet.bytes, packet.len, &NEIGHBOUR, now, &dress);
        assert_int_equal(kit.mdns.services_at == LP2P_NEVER, ttl > 0);
    }
    for (unsigned ttl = LP2P_MDNS_TTL_S - 1; ttl <= LP2P_MDNS_TTL_S; ttl++) {
        struct packet packet = start(0x8400, 0, 1);
        put_ptr(&packet, services, sizeof(services), ttl, SERVICE, sizeof(SERVICE));
        kit.mdns.services_at = now + 1;
        (void)take(packet.bytes, packet.len, &NEIGHBOUR, now, &dress);
        assert_int_equal(kit.mdns.services_at == LP2P_NEVER, ttl == LP2P_MDNS_TTL_S);
    }
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mdns_name_and_service),
        cmocka_unit_test(test_mdns_only_lan_addresses),
        cmocka_unit_test(test_mdns_query_pauses),
        cmocka_unit_test(test_mdns_answers),
        cmocka_unit_test(test_mdns_unicast_limit),
        cmocka_unit_test(test_mdns_packet_limit),
        cmocka_unit_test(test_mdns_peer_limit),
        cmocka_unit_test(test_mdns_news_only),
        cmocka_unit_test(test_mdns_table_limit),
        cmocka_unit_test(test_mdns_peer_takes_leave),
        cmocka_unit_test(test_mdns_takes_leave),
        cmocka_unit_test(test_mdns_cache_limit),
        cmocka_unit_test(test_mdns_asks_with_known_answers),
        cmocka_unit_test(test_mdns_known_answer_suppression),
        cmocka_unit_test(test_mdns_known_answers_in_two_packets),
        cmocka_unit_test(test_mdns_pointer_alone_is_not_known),
        cmocka_unit_test(test_mdns_false_farewell_is_not_hushed_up),
        cmocka_unit_test(test_mdns_services_once),
    };
    return cmocka_run_group_tests_name("discovery_mdns", tests, NULL, NULL);
}
