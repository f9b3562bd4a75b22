/* SPDX-License-Identifier: MIT
 * The peer store: bounds, who makes room, merging of addresses. */
#include "actors/control/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct lp2p_rand_seeded gen;
static struct lp2p_rand rand_source;

static struct lp2p_peer_id peer(unsigned n)
{
    struct lp2p_peer_id id = {.len = 34, .bytes = {0x12, 0x20, (uint8_t)n, (uint8_t)(n >> 8)}};
    return id;
}

static struct lp2p_multiaddr addr(uint8_t last, uint16_t port)
{
    struct lp2p_multiaddr out;
    uint8_t ip[4] = {10, 0, 0, last};
    lp2p_multiaddr_from_ip_tcp(ip, 4, port, &out);
    return out;
}

static void setup_peers(struct lp2p_peers *peers, size_t max)
{
    lp2p_rand_seeded_init(&gen, 3);
    rand_source = lp2p_rand_seeded_source(&gen);
    assert_int_equal(lp2p_peers_init(peers, max, &rand_source), LP2P_OK);
}

static void test_peers_find_and_add(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 5000);
    for (unsigned i = 0; i < 3000; i++) {
        struct lp2p_peer_id id = peer(i);
        assert_null(lp2p_peers_find(&peers, &id));
        struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &id);
        assert_non_null(entry);
        assert_ptr_equal(lp2p_peers_add(&peers, &id), entry);
        assert_ptr_equal(lp2p_peers_find(&peers, &id), entry);
    }
    assert_int_equal(peers.len, 3000);
    lp2p_peers_fini(&peers);
}

static void test_peers_longest_unseen_makes_room(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id a = peer(1), b = peer(2), c = peer(3), d = peer(4);
    struct lp2p_peer_entry *first = lp2p_peers_add(&peers, &a);
    lp2p_peers_add(&peers, &b);
    lp2p_peers_add(&peers, &c);
    lp2p_peers_touch(&peers, first);
    assert_non_null(lp2p_peers_add(&peers, &d));
    assert_null(lp2p_peers_find(&peers, &b));
    assert_ptr_equal(lp2p_peers_find(&peers, &a), first);
    assert_int_equal(peers.evicted, 1);
    lp2p_peers_fini(&peers);
}

static void test_peers_those_in_use_stay(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id ids[4] = {peer(1), peer(2), peer(3), peer(4)};
    lp2p_peers_add(&peers, &ids[0])->protects = 1;
    lp2p_peers_add(&peers, &ids[1])->bootstrap = true;
    lp2p_peers_add(&peers, &ids[2])->dial = 9;
    assert_null(lp2p_peers_add(&peers, &ids[3])); /* a verdict, not an eviction of who is needed */
    assert_int_equal(peers.refused, 1);
    lp2p_peers_find(&peers, &ids[2])->dial = 0;
    assert_non_null(lp2p_peers_add(&peers, &ids[3]));
    assert_null(lp2p_peers_find(&peers, &ids[2]));
    lp2p_peers_fini(&peers);
}

static void add(struct lp2p_peer_entry *entry, const struct lp2p_multiaddr *items, size_t len, bool replace, bool changed)
{
    struct lp2p_addrs *addrs = lp2p_addrs_new(items, len);
    assert_int_equal(lp2p_peer_entry_add_addrs(entry, addrs, replace), changed);
    lp2p_addrs_drop(&addrs);
}

static void test_peers_merge_addrs(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1), other = peer(2);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    struct lp2p_multiaddr items[3] = {addr(1, 1), addr(2, 2), addr(1, 1)};
    add(entry, items, 3, false, true);
    assert_int_equal(entry->addrs->len, 2);
    add(entry, items, 3, false, false); /* nothing new */
    items[0] = addr(3, 3);
    assert_int_equal(lp2p_multiaddr_add_peer(&items[0], &me), LP2P_OK);
    items[1] = addr(4, 4);
    assert_int_equal(lp2p_multiaddr_add_peer(&items[1], &other), LP2P_OK); /* somebody else's address */
    add(entry, items, 2, false, true);
    assert_int_equal(entry->addrs->len, 3);
    struct lp2p_multiaddr plain = addr(3, 3);
    assert_true(lp2p_multiaddr_eq(&entry->addrs->items[0], &plain)); /* the newest first, without /p2p */
    add(entry, &plain, 1, true, true);
    assert_int_equal(entry->addrs->len, 1);
    lp2p_peers_fini(&peers);
}

static void test_peers_addrs_are_bounded(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    for (unsigned i = 0; i < 200; i++) {
        struct lp2p_multiaddr one = addr((uint8_t)i, 1);
        add(entry, &one, 1, false, true);
        assert_true(lp2p_multiaddr_eq(&entry->addrs->items[0], &one));
        assert_in_range(entry->addrs->len, 1, LP2P_PEER_ADDRS_MAX);
    }
    assert_int_equal(entry->addrs->len, LP2P_PEER_ADDRS_MAX);
    lp2p_peers_fini(&peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peers_find_and_add),
        cmocka_unit_test(test_peers_longest_unseen_makes_room),
        cmocka_unit_test(test_peers_those_in_use_stay),
        cmocka_unit_test(test_peers_merge_addrs),
        cmocka_unit_test(test_peers_addrs_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
