/* SPDX-License-Identifier: MIT
 * The packets of mDNS discovery, as others send them and as nobody should. */
#include "mdns_packets.h"

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
    size_t len = lp2p_mdns_write_query("_p2p", NULL, 0, out);
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

static void test_mdns_farewell_packets(void **state)
{
    (void)state;
    uint8_t out[LP2P_MDNS_SEND_MAX];
    size_t len = lp2p_mdns_write_farewell("_p2p", "abc", out);
    assert_int_equal(out[7], 1); /* one answer, and nothing behind it that js or rust would take for an address */
    assert_int_equal(out[9] + out[11], 0);
    assert_int_equal(lp2p_mdns_read(lp2p_span(out, len), "_p2p", &heard), LP2P_OK);
    assert_true(heard.response && heard.addrs_len == 0 && heard.instances_len == 1);
    assert_int_equal(heard.instances[0].ttl_s, 0);
    assert_memory_equal(heard.instances[0].label, "abc", 3);
    /* As go says it: the text first; the last word of the pointer is not needed. */
    for (unsigned ttl = 0; ttl <= 3200; ttl += 3200) {
        struct packet packet = start(0x8400, 0, 2);
        put_txt(&packet, INSTANCE, sizeof(INSTANCE), 0, "dnsaddr=" ADDR ID_A);
        put_ptr(&packet, SERVICE, sizeof(SERVICE), ttl, INSTANCE, sizeof(INSTANCE));
        assert_int_equal(read_packet(&packet), LP2P_OK);
        assert_true(heard.instances_len == 1 && heard.instances[0].ttl_s == 0 && heard.addrs_len == 0);
        packet.bytes[packet.len - sizeof(INSTANCE) - 1]--; /* the target is longer than its record */
        packet.len--;
        assert_int_equal(read_packet(&packet), LP2P_EMALFORMED);
    }
}

/* As rust-libp2p says it: the name of the instance is one label, without the service. Nobody has to believe such a text unless a
 * pointer of the service leads to it. */
static void test_mdns_bare_instance(void **state)
{
    (void)state;
    static const char bare[] = "\3Abc", wanted[] = "abc";
    for (unsigned pointed = 0; pointed < 2; pointed++) {
        struct packet packet = start(0x8400, 0, 1 + pointed);
        if (pointed == 1) {
            put_ptr(&packet, SERVICE, sizeof(SERVICE), 360, bare, sizeof(bare));
        }
        put_txt(&packet, bare, sizeof(bare), 360, "dnsaddr=" ADDR ID_A);
        assert_int_equal(read_packet(&packet), LP2P_OK);
        assert_int_equal(heard.addrs_len, pointed);
        assert_int_equal(heard.instances_len, pointed);
    }
    assert_true(heard.instances[0].bare && heard.instances[0].len == 3 && heard.instance_of[0] == 0);
    assert_memory_equal(heard.instances[0].label, wanted, 3);
    uint8_t out[LP2P_MDNS_SEND_MAX];
    const struct lp2p_mdns_instance known = heard.instances[0];
    size_t len = lp2p_mdns_write_query("_p2p", &known, 1, out);
    assert_int_equal(lp2p_mdns_read(lp2p_span(out, len), "_p2p", &heard), LP2P_OK);
    assert_true(heard.instances_len == 1 && heard.instances[0].bare && heard.instances[0].ttl_s == 360);
}

static void test_mdns_known_answers_of_a_query(void **state)
{
    (void)state;
    uint8_t out[LP2P_MDNS_SEND_MAX];
    struct lp2p_mdns_instance known[100];
    for (unsigned i = 0; i < LP2P_ARRAY_LEN(known); i++) {
        known[i] = (struct lp2p_mdns_instance){.len = 40, .ttl_s = 100 + i};
        memset(known[i].label, 'a' + (int)i % 26, 40);
        known[i].label[0] = (char)('a' + i / 26);
    }
    size_t len = lp2p_mdns_write_query("_p2p", known, LP2P_ARRAY_LEN(known), out);
    assert_int_equal(lp2p_mdns_read(lp2p_span(out, len), "_p2p", &heard), LP2P_OK);
    assert_true(heard.asks_peers && heard.addrs_len == 0 && heard.instances_len > 20 && heard.instances_len < 30);
    for (unsigned i = 0; i < heard.instances_len; i++) {
        assert_true(heard.instances[i].len == 40 && heard.instances[i].ttl_s == known[i].ttl_s);
        assert_memory_equal(heard.instances[i].label, known[i].label, 40);
    }
    struct packet packet = start(0x8400, 0, LP2P_MDNS_INSTANCES_HEARD_MAX + 1);
    for (unsigned i = 0; i <= LP2P_MDNS_INSTANCES_HEARD_MAX; i++) {
        char target[] = "\1?" SERVICE;
        target[1] = (char)(128 + i);
        put_ptr(&packet, SERVICE, sizeof(SERVICE), 1, target, sizeof(target));
    }
    assert_int_equal(read_packet(&packet), LP2P_OK);
    assert_true(heard.instances_len == LP2P_MDNS_INSTANCES_HEARD_MAX && heard.skipped == 1);
}

/* What go-libp2p's library wants before it tells of an instance: SRV, and an address of its target. */
static void test_mdns_answer_has_a_host(void **state)
{
    (void)state;
    const struct lp2p_multiaddr addrs[] = {with_peer("/ip4/10.0.0.7/tcp/4001", 1), with_peer("/ip4/10.0.0.7/tcp/4002", 1),
                                           with_peer("/ip6/fd00::7/tcp/4001", 1)};
    for (unsigned legacy = 0; legacy < 2; legacy++) {
        const struct lp2p_mdns_dress dress = {.legacy = legacy == 1};
        const unsigned class = legacy == 1 ? 1 : 0x8001, ttl = legacy == 1 ? LP2P_MDNS_TTL_LEGACY_S : LP2P_MDNS_TTL_S;
        uint8_t out[LP2P_MDNS_SEND_MAX];
        size_t next = 0, len = lp2p_mdns_write_answer("_p2p", "abc", &dress, addrs, LP2P_ARRAY_LEN(addrs), &next, out);
        struct packet front = start(0x8400, legacy, 1);
        memset(front.bytes, 0, 2); /* the id */
        front.bytes[11] = 4;
        put(&front, SERVICE, sizeof(SERVICE)); /* at 12 */
        if (legacy == 1) {
            put(&front, "\0\14\0\1\300\14", 6); /* the question, and the pointer to its name */
        }
        put(&front, "\0\14\0\1\0\0\0", 7);
        put(&front, (const uint8_t[]){(uint8_t)ttl, 0, 6}, 3);
        unsigned instance_at = (unsigned)front.len;
        put(&front, "\3abc\300\14", 6);
        put16(&front, 0xc000 | instance_at);
        put16(&front, 33);
        put16(&front, class);
        put(&front, (const uint8_t[]){0, 0, 0, (uint8_t)ttl, 0, 17, 0, 0, 0, 0, 4001 >> 8, 4001 & 0xff}, 12);
        unsigned host_at = (unsigned)front.len;
        put(&front, "\3abc\5local", 11);
        for (unsigned ip = 0; ip < 2; ip++) {
            put16(&front, 0xc000 | host_at);
            put16(&front, ip == 0 ? 1 : 28);
            put16(&front, class);
            put(&front, (const uint8_t[]){0, 0, 0, (uint8_t)ttl, 0, ip == 0 ? 4 : 16}, 6);
            put(&front, ip == 0 ? "\12\0\0\7" : "\375\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7", ip == 0 ? 4 : 16);
        }
        assert_true(len > front.len);
        assert_memory_equal(out, front.bytes, front.len);
        assert_int_equal(lp2p_mdns_read(lp2p_span(out, len), "_p2p", &heard), LP2P_OK);
        assert_int_equal(heard.addrs_len, 3);
    }
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
        cmocka_unit_test(test_mdns_farewell_packets),
        cmocka_unit_test(test_mdns_bare_instance),
        cmocka_unit_test(test_mdns_known_answers_of_a_query),
        cmocka_unit_test(test_mdns_answer_has_a_host),
    };
    return cmocka_run_group_tests_name("discovery_mdns_packet", tests, NULL, NULL);
}
