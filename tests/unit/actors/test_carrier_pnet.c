/* SPDX-License-Identifier: MIT
 * The private network's carrier on real sockets, alone and inside WebSocket: both ways in any cutting, the nonce that leaves
 * at once, the wire as the specification has it, and what a wrong key or no key looks like. */
#include "carrier_kit.h"

#include "actors/link/carrier_pnet.h"
#include "actors/link/carrier_ws.h"

#include <sodium.h>

static const struct lp2p_pnet_key shared_key = {{1, 2, 3, 4, 5}}, other_key = {{1, 2, 3, 4, 6}};

static struct lp2p_carrier *pnet_on(struct lp2p_carrier *below, const struct lp2p_pnet_key *key)
{
    struct lp2p_rand rand = kit_rand();
    struct lp2p_carrier *pnet = lp2p_carrier_pnet(&below, key, &rand);
    assert_non_null(pnet);
    assert_null(below);
    assert_string_equal(pnet->ops->name, "pnet");
    return pnet;
}

static struct lp2p_carrier *ws_on(struct lp2p_carrier *below, bool client)
{
    struct lp2p_rand rand = kit_rand();
    struct lp2p_ws_start start = {.client = client, .rand = &rand, .host = "x"};
    struct lp2p_carrier *ws = lp2p_carrier_ws(&below, &start);
    assert_non_null(ws);
    return ws;
}

static void test_carrier_pnet_exchanges_in_any_cutting(void **state)
{
    (void)state;
    static const struct {
        size_t read_max, write_max, room;
        bool every_other;
        uint64_t total;
    } cases[] = {
        {0, 0, 200000, false, 20u << 20}, {1, 1, 100, false, 30000},   {1, 0, 3, true, 60000},
        {7, 13, 1, false, 60000},         {1000, 70000, 65536, true, 1u << 20},
    };
    for (size_t i = 0; i < 2 * LP2P_ARRAY_LEN(cases); i++) {
        struct end a, b;
        connect_ends(&a, &b);
        struct end *ends[] = {&a, &b};
        for (int k = 0; k < 2; k++) {
            ends[k]->cut.read_max = cases[i / 2].read_max;
            ends[k]->cut.write_max = cases[i / 2].write_max;
            ends[k]->cut.every_other = cases[i / 2].every_other;
            struct lp2p_carrier *below = tcp_of(ends[k]);
            ends[k]->carrier = pnet_on(i % 2 == 0 ? below : ws_on(below, k == 0), &shared_key);
        }
        set_up_ends(&a, &b);
        assert_int_equal(a.up, LP2P_OK);
        assert_int_equal(b.up, LP2P_OK);
        exchange(&a, &b, cases[i / 2].total, cases[i / 2].room);
        assert_true(a.carrier->memory_bytes < 1536 && b.carrier->memory_bytes < 1536);
        a.cut.every_other = false; /* the last words go as far as the kernel takes them at once */
        a.cut.write_max = 0;
        lp2p_carrier_close(&a.carrier);
        while (!b.eof && b.err == LP2P_OK) {
            receive_some(&b, 100);
        }
        assert_true(b.eof);
        close_ends(&a, &b);
    }
}

/* The nonce leaves before anything was heard, and the bytes are those of the specification. */
static void test_carrier_pnet_wire(void **state)
{
    (void)state;
    struct end a, b;
    uint8_t wire[64], plain[40], nonce[24], said[64];
    size_t got = 0;
    connect_ends(&a, &b);
    a.carrier = pnet_on(tcp_of(&a), &shared_key);
    assert_int_equal(a.carrier->ops->set_up(a.carrier, 0), LP2P_OK);
    wait_readable(b.fd);
    assert_int_equal(lp2p_net_posix.read(NULL, b.fd, wire, sizeof(wire), &got), LP2P_OK);
    assert_int_equal(got, 24);
    assert_int_equal(send_some(&a, 40), LP2P_OK);
    wait_readable(b.fd);
    assert_int_equal(lp2p_net_posix.read(NULL, b.fd, wire + 24, sizeof(wire) - 24, &got), LP2P_OK);
    assert_int_equal(got, 40);
    crypto_stream_xsalsa20_xor(plain, wire + 24, 40, wire, shared_key.bytes);
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(plain[i], pattern(i));
    }
    /* The other direction: the nonce and the first bytes in one segment, in two, or cut inside the nonce. */
    memset(nonce, 7, sizeof(nonce));
    memcpy(said, nonce, 24);
    for (size_t i = 0; i < 40; i++) {
        plain[i] = pattern(i);
    }
    crypto_stream_xsalsa20_xor(said + 24, plain, 40, nonce, shared_key.bytes);
    raw_say(&b, said, 10);
    wait_readable(a.carrier->fd);
    receive_some(&a, 100);
    assert_int_equal(a.got, 0);
    raw_say(&b, said + 10, 54);
    while (a.got < 40) {
        wait_readable(a.carrier->fd);
        receive_some(&a, 7);
    }
    close_ends(&a, &b);
}

static void test_carrier_pnet_ends(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        bool eof;
    } cases[] = {{0, true}, {10, false}, {24, true}};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct end a, b;
        uint8_t nonce[24] = {0};
        connect_ends(&a, &b);
        a.carrier = pnet_on(tcp_of(&a), &shared_key);
        assert_int_equal(a.carrier->ops->set_up(a.carrier, 0), LP2P_OK);
        /* b takes our nonce first: a close with unread bytes would be a reset */
        wait_readable(b.fd);
        size_t got;
        uint8_t drop[64];
        assert_int_equal(lp2p_net_posix.read(NULL, b.fd, drop, sizeof(drop), &got), LP2P_OK);
        if (cases[i].len > 0) {
            raw_say(&b, nonce, cases[i].len);
        }
        lp2p_net_posix.close(NULL, b.fd);
        b.fd = -1;
        while (!a.eof && a.err == LP2P_OK) {
            wait_readable(a.carrier->fd);
            receive_some(&a, 100);
        }
        assert_int_equal(a.eof, cases[i].eof);
        assert_int_equal(a.err, cases[i].eof ? LP2P_OK : LP2P_ETRUNCATED);
        close_ends(&a, &b);
    }
}

/* A wrong key, or no key at all on one side: nothing of what one says is what the other reads. */
static void test_carrier_pnet_strangers_read_garbage(void **state)
{
    (void)state;
    static const char header[] = "\x13/multistream/1.0.0\n";
    for (int keyless = 0; keyless < 2; keyless++) {
        struct end a, b;
        connect_ends(&a, &b);
        a.carrier = pnet_on(tcp_of(&a), &shared_key);
        b.carrier = keyless ? tcp_of(&b) : pnet_on(tcp_of(&b), &other_key);
        set_up_ends(&a, &b);
        struct end *ends[] = {&a, &b};
        for (int k = 0; k < 2; k++) {
            struct iovec iov = {(void *)(uintptr_t)header, sizeof(header) - 1};
            size_t put = 0;
            assert_int_equal(ends[k]->carrier->ops->writev(ends[k]->carrier, &iov, 1, &put), LP2P_OK);
        }
        for (int k = 0; k < 2; k++) {
            uint8_t heard[128];
            size_t len = 0, got = 0;
            /* with the keyless side's 20 bytes taken for a nonce, there is nothing at all to read */
            for (int i = 0; i < 100 && len < sizeof(header) - 1 && !(keyless && k == 0); i++) {
                wait_readable(ends[k]->carrier->fd);
                enum lp2p_err err = ends[k]->carrier->ops->read(ends[k]->carrier, heard + len, sizeof(heard) - len, &got);
                assert_true(err == LP2P_OK || err == LP2P_EAGAIN);
                len += got;
            }
            assert_true(len == 0 || memcmp(heard, header, sizeof(header) - 1) != 0);
        }
        close_ends(&a, &b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_carrier_pnet_exchanges_in_any_cutting),
        cmocka_unit_test(test_carrier_pnet_wire),
        cmocka_unit_test(test_carrier_pnet_ends),
        cmocka_unit_test(test_carrier_pnet_strangers_read_garbage),
    };
    return cmocka_run_group_tests_name("carrier pnet", tests, NULL, NULL);
}
