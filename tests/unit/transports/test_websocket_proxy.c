/* SPDX-License-Identifier: MIT
 * PROXY protocol 1 and 2, and X-Forwarded-For: whom a trusted proxy speaks for, and nothing that it did not say. */
#include "websocket/proxy.h"

#include "base/check.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void assert_addr(const struct lp2p_ip_port *addr, const char *hex, uint16_t port)
{
    uint8_t want[16];
    size_t len = vectors_unhex(hex, want, sizeof(want));
    assert_int_equal(addr->ip_len, len);
    assert_memory_equal(addr->ip, want, len);
    assert_int_equal(addr->port, port);
}

/* Every beginning of a good header asks for more; then the whole of it is read, whatever follows. */
static void read_in_any_cutting(const void *bytes, size_t len, struct lp2p_proxy_header *header)
{
    for (size_t part = 0; part < len; part++) {
        struct lp2p_span in = vectors_copy(lp2p_span(bytes, part));
        assert_int_equal(lp2p_proxy_read(in, header), LP2P_OK);
        assert_int_equal(header->size, 0);
        vectors_free(in);
    }
    uint8_t more[700];
    memset(more, 0x13, sizeof(more));
    memcpy(more, bytes, len);
    assert_int_equal(lp2p_proxy_read(lp2p_span(more, sizeof(more)), header), LP2P_OK);
    assert_int_equal(header->size, len);
}

static void test_proxy_v1(void **state)
{
    (void)state;
    static const struct {
        const char *line, *source, *destination;
        uint16_t source_port, destination_port;
    } cases[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "c0000201", "c6336402", 56324, 443},
        {"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", "20010db8000000000000000000000001",
         "20010db8000000000000000000000002", 1, 65535},
        {"PROXY TCP6 ::ffff:192.0.2.1 ::1 0 2\r\n", "c0000201", "00000000000000000000000000000001", 0, 2},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "ffffffffffffffffffffffffffffffff", "ffffffffffffffffffffffffffffffff", 65535, 65535},
        {"PROXY UNKNOWN\r\n", NULL, NULL, 0, 0},
        {"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", NULL, NULL, 0, 0},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_proxy_header header;
        read_in_any_cutting(cases[i].line, strlen(cases[i].line), &header);
        assert_int_equal(header.has_addresses, cases[i].source != NULL);
        if (header.has_addresses) {
            assert_addr(&header.source, cases[i].source, cases[i].source_port);
            assert_addr(&header.destination, cases[i].destination, cases[i].destination_port);
        }
    }
}

static void test_proxy_v1_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 x\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.2 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 056 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.2 1 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.2 1 443\r\n",
        "PROXY TCP4 ::1 ::1 1 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 443\n",
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY UNKNOWN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "PROXI ",
        "GET / HTTP/1.1\r\n",
        "\x13/multistream/1.0.0\n",
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(lines); i++) {
        struct lp2p_proxy_header header;
        struct lp2p_span in = vectors_copy(lp2p_span_str(lines[i]));
        assert_int_equal(lp2p_proxy_read(in, &header), LP2P_EMALFORMED);
        assert_false(header.has_addresses);
        vectors_free(in);
    }
}

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2(bytes) SIGNATURE bytes, sizeof(SIGNATURE bytes) - 1

static void test_proxy_v2(void **state)
{
    (void)state;
    struct lp2p_proxy_header header;
    read_in_any_cutting(V2("\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"), &header);
    assert_true(header.has_addresses);
    assert_addr(&header.source, "c0000201", 0x1234);
    assert_addr(&header.destination, "c6336402", 443);
    /* with type-length-values behind the addresses */
    read_in_any_cutting(V2("\x21\x11\0\x10\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb\x04\0\x01x"), &header);
    assert_true(header.has_addresses);
    assert_addr(&header.source, "c0000201", 0x1234);
    read_in_any_cutting(V2("\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                           "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x02\x00\x01\x00\x02"),
                        &header);
    assert_addr(&header.source, "20010db8000000000000000000000001", 1);
    assert_addr(&header.destination, "c6336402", 2);
    /* LOCAL (health checks), no family, UDP, unix sockets: the connection's own addresses stand */
    read_in_any_cutting(V2("\x20\0\0\0"), &header);
    assert_false(header.has_addresses);
    read_in_any_cutting(V2("\x20\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"), &header);
    assert_false(header.has_addresses);
    read_in_any_cutting(V2("\x21\0\0\x03xyz"), &header);
    assert_false(header.has_addresses);
    read_in_any_cutting(V2("\x21\x12\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"), &header);
    assert_false(header.has_addresses);
    uint8_t unix_sockets[16 + 216] = SIGNATURE "\x21\x31\0\xd8";
    read_in_any_cutting(unix_sockets, sizeof(unix_sockets), &header);
    assert_false(header.has_addresses);
    /* the longest */
    uint8_t longest[LP2P_PROXY_BYTES_MAX] = SIGNATURE "\x20\0\x02\x08";
    read_in_any_cutting(longest, sizeof(longest), &header);
}

static void test_proxy_v2_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        enum lp2p_err err;
    } cases[] = {
        {V2("\x11"), LP2P_EVERSION},
        {V2("\x31\x11\0\0"), LP2P_EVERSION},
        {V2("\x22\x11\0\x0c"), LP2P_EMALFORMED},
        {V2("\x21\x41\0\x0c"), LP2P_EMALFORMED},
        {V2("\x21\x13\0\x0c"), LP2P_EMALFORMED},
        {V2("\x21\x11\0\x0b\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x34\x01"), LP2P_EMALFORMED},
        {V2("\x21\x21\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb"), LP2P_EMALFORMED},
        {V2("\x21\x11\x02\x09"), LP2P_EOVERSIZE},
        {V2("\x20\0\xff\xff"), LP2P_EOVERSIZE}, /* nobody waits for 64 KiB */
        {"\r\n\r\n\0\r\nQUIX", 11, LP2P_EMALFORMED},
        {"\r\nx", 3, LP2P_EMALFORMED},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_proxy_header header;
        struct lp2p_span in = vectors_copy(lp2p_span(cases[i].bytes, cases[i].len));
        assert_int_equal(lp2p_proxy_read(in, &header), cases[i].err);
        assert_false(header.has_addresses);
        vectors_free(in);
    }
}

/* 10.0.0.0/8 and ::1 are ours. */
static bool ours(void *ctx, const struct lp2p_ip_port *hop)
{
    (void)ctx;
    static const uint8_t loopback[16] = {[15] = 1};
    return hop->ip_len == 4 ? hop->ip[0] == 10 : memcmp(hop->ip, loopback, 16) == 0;
}

static void test_forwarded_client(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum lp2p_err err;
        const char *hex;
        uint16_t port;
    } cases[] = {
        {"192.0.2.1", LP2P_OK, "c0000201", 0},
        {" 192.0.2.1 ", LP2P_OK, "c0000201", 0},
        {"192.0.2.1:4711", LP2P_OK, "c0000201", 4711},
        {"2001:db8::1", LP2P_OK, "20010db8000000000000000000000001", 0},
        {"[2001:db8::1]", LP2P_OK, "20010db8000000000000000000000001", 0},
        {"[2001:db8::1]:80", LP2P_OK, "20010db8000000000000000000000001", 80},
        {"::ffff:192.0.2.1", LP2P_OK, "c0000201", 0},
        {"192.0.2.1, 10.0.0.1, 10.0.0.2", LP2P_OK, "c0000201", 0},
        {"192.0.2.1,,10.0.0.1,[::1]:1,", LP2P_OK, "c0000201", 0},
        /* what the client made up itself on the left counts for nothing, good or bad */
        {"6.6.6.6, 192.0.2.1, 10.0.0.1", LP2P_OK, "c0000201", 0},
        {"unknown, <script>, 192.0.2.1", LP2P_OK, "c0000201", 0},
        {"", LP2P_ENOTFOUND, "c6336463", 9}, /* what was there before */
        {" , ,", LP2P_ENOTFOUND, "c6336463", 9},
        {"10.1.1.1, 10.0.0.1", LP2P_ENOTFOUND, "0a010101", 0},
        {"192.0.2.1, unknown", LP2P_EMALFORMED, NULL, 0},
        {"192.0.2.1, unknown, 10.0.0.1", LP2P_EMALFORMED, NULL, 0},
        {"192.0.2.1:", LP2P_EMALFORMED, NULL, 0},
        {"192.0.2.1:65536", LP2P_EMALFORMED, NULL, 0},
        {"192.0.2.1:1:2", LP2P_EMALFORMED, NULL, 0},
        {"[::2", LP2P_EMALFORMED, NULL, 0},
        {"[]", LP2P_EMALFORMED, NULL, 0},
        {"[::2]x", LP2P_EMALFORMED, NULL, 0},
        {"[192.0.2.1]", LP2P_EMALFORMED, NULL, 0},
        {":", LP2P_EMALFORMED, NULL, 0},
        {"fe80::1%eth0", LP2P_EMALFORMED, NULL, 0},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_ip_port client = {.ip = {198, 51, 100, 99}, .ip_len = 4, .port = 9};
        struct lp2p_span in = vectors_copy(lp2p_span_str(cases[i].value));
        assert_int_equal(lp2p_forwarded_client(in, ours, NULL, &client), cases[i].err);
        if (cases[i].hex != NULL) {
            assert_addr(&client, cases[i].hex, cases[i].port);
        }
        vectors_free(in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_v1),         cmocka_unit_test(test_proxy_v1_refused), cmocka_unit_test(test_proxy_v2),
        cmocka_unit_test(test_proxy_v2_refused), cmocka_unit_test(test_forwarded_client),
    };
    return cmocka_run_group_tests_name("proxy", tests, NULL, NULL);
}
