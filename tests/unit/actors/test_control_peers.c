/* SPDX-License-Identifier: MIT
 * The peer store: bounds, who makes room, merging of addresses. */
#include "actors/control/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

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

static void learn(struct lp2p_peer_entry *entry, const struct lp2p_multiaddr *items, size_t len, enum lp2p_addr_source source,
                  uint32_t now_s, bool changed)
{
    struct lp2p_addrs *addrs = lp2p_addrs_new(items, len);
    assert_int_equal(lp2p_peer_entry_learn(entry, addrs, source, now_s), changed);
    lp2p_addrs_drop(&addrs);
}

static bool is_there(const struct lp2p_peers *peers, unsigned n)
{
    struct lp2p_peer_id id = peer(n);
    return lp2p_peers_find(peers, &id) != NULL;
}

/** Row AI8: peers that are only gossip push out neither those that answered once nor those that the user has marked. */
static void test_AI8_gossip_displaces_gossip(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 100);
    struct lp2p_multiaddr one = addr(1, 1);
    for (unsigned i = 0; i < 80; i++) {
        struct lp2p_peer_id id = peer(i);
        struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &id);
        learn(entry, &one, 1, i < 40 ? LP2P_ADDR_PROVEN : LP2P_ADDR_IDENTIFY, 1, true);
        if (i >= 75) {
            assert_int_equal(lp2p_peer_entry_tag(entry, "friend", 1), LP2P_OK);
        }
    }
    for (unsigned i = 1000; i < 11000; i++) {
        struct lp2p_peer_id id = peer(i);
        struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &id);
        assert_non_null(entry);
        learn(entry, &one, 1, LP2P_ADDR_HEARSAY, 2, true);
        assert_true(peers.len <= 100);
    }
    for (unsigned i = 0; i < 40; i++) {
        assert_true(is_there(&peers, i));
        assert_true(i < 35 || is_there(&peers, 40 + i));
    }
    assert_false(is_there(&peers, 40)); /* whom anybody could be by dialing us is worth no more than gossip */
    lp2p_peers_fini(&peers);
}

/** With proven peers only the one unseen for longest gives way: the store never closes itself to news. */
static void test_peers_full_of_proven_ones(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 100);
    struct lp2p_multiaddr one = addr(1, 1);
    for (unsigned i = 0; i < 300; i++) {
        struct lp2p_peer_id id = peer(i);
        struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &id);
        assert_non_null(entry);
        learn(entry, &one, 1, LP2P_ADDR_PROVEN, 1, true);
    }
    assert_int_equal(peers.len, 100);
    assert_true(is_there(&peers, 299));
    assert_false(is_there(&peers, 0));
    lp2p_peers_fini(&peers);
}

static void test_peers_merge_addrs(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1), other = peer(2);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    struct lp2p_multiaddr items[3] = {addr(1, 1), addr(2, 2), addr(1, 1)};
    learn(entry, items, 3, LP2P_ADDR_IDENTIFY, 1, true);
    assert_int_equal(entry->addrs->len, 2);
    learn(entry, items, 3, LP2P_ADDR_IDENTIFY, 1, false); /* nothing new */
    items[0] = addr(3, 3);
    assert_int_equal(lp2p_multiaddr_add_peer(&items[0], &me), LP2P_OK);
    items[1] = addr(4, 4);
    assert_int_equal(lp2p_multiaddr_add_peer(&items[1], &other), LP2P_OK); /* somebody else's address */
    learn(entry, items, 2, LP2P_ADDR_IDENTIFY, 1, true);
    assert_int_equal(entry->addrs->len, 3);
    struct lp2p_multiaddr plain = addr(3, 3);
    assert_true(lp2p_multiaddr_eq(&entry->addrs->items[0], &plain)); /* the newest first, without /p2p */
    learn(entry, &plain, 1, LP2P_ADDR_CERTIFIED, 1, true);
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
        learn(entry, &one, 1, LP2P_ADDR_IDENTIFY, 1, true);
        assert_true(lp2p_multiaddr_eq(&entry->addrs->items[0], &one));
        assert_in_range(entry->addrs->len, 1, LP2P_PEER_ADDRS_MAX);
    }
    assert_int_equal(entry->addrs->len, LP2P_PEER_ADDRS_MAX);
    lp2p_peers_fini(&peers);
}

static bool knows(const struct lp2p_peer_entry *entry, uint8_t last, enum lp2p_addr_source source)
{
    struct lp2p_multiaddr wanted = addr(last, 1);
    for (size_t i = 0; entry->addrs != NULL && i < entry->addrs->len; i++) {
        if (lp2p_multiaddr_eq(&entry->addrs->items[i], &wanted)) {
            return entry->notes[i].source == source;
        }
    }
    return false;
}

/* What is trusted more stays when there is no room, and is not talked down. */
static void test_peers_addrs_by_confidence(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    struct lp2p_multiaddr manual = addr(1, 1), proven = addr(2, 1), old = addr(3, 1), told = addr(4, 1), fresh = addr(5, 1);
    learn(entry, &manual, 1, LP2P_ADDR_MANUAL, 0, true);
    learn(entry, &proven, 1, LP2P_ADDR_PROVEN, 10, true);
    learn(entry, &proven, 1, LP2P_ADDR_HEARSAY, 11, false);
    assert_true(knows(entry, 2, LP2P_ADDR_PROVEN));
    learn(entry, &old, 1, LP2P_ADDR_CERTIFIED, 12, true);
    learn(entry, &told, 1, LP2P_ADDR_HEARSAY, 13, true);
    learn(entry, &fresh, 1, LP2P_ADDR_CERTIFIED, 14, true); /* AI4: a newer record */
    assert_true(knows(entry, 1, LP2P_ADDR_MANUAL) && knows(entry, 2, LP2P_ADDR_PROVEN) && knows(entry, 5, LP2P_ADDR_CERTIFIED));
    assert_int_equal(entry->addrs->len, 3);
    for (unsigned i = 0; i < 300; i++) {
        struct lp2p_multiaddr one = addr((uint8_t)i, 77);
        learn(entry, &one, 1, LP2P_ADDR_HEARSAY, 20 + i, true);
    }
    assert_int_equal(entry->addrs->len, LP2P_PEER_ADDRS_MAX);
    assert_true(knows(entry, 1, LP2P_ADDR_MANUAL) && knows(entry, 2, LP2P_ADDR_PROVEN) && knows(entry, 5, LP2P_ADDR_CERTIFIED));
    lp2p_peers_fini(&peers);
}

/* What was told on the local network is void when the peer takes leave there, but not what others say, or what was proven. */
static void test_peers_take_leave(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    const struct lp2p_multiaddr items[] = {addr(1, 1), addr(2, 1), addr(3, 1), addr(4, 1)};
    assert_false(lp2p_peer_entry_forget_local(entry));
    learn(entry, &items[1], 1, LP2P_ADDR_HEARSAY, 10, true); /* before and after */
    struct lp2p_addrs *addrs = lp2p_addrs_new(items, 4);
    assert_true(lp2p_peer_entry_learn_local(entry, addrs, 11));
    learn(entry, &items[2], 1, LP2P_ADDR_HEARSAY, 12, false);
    learn(entry, &items[3], 1, LP2P_ADDR_PROVEN, 13, false);
    assert_false(lp2p_peer_entry_learn_local(entry, addrs, 14));
    assert_true(lp2p_peer_entry_forget_local(entry));
    assert_int_equal(entry->addrs->len, 3);
    assert_true(knows(entry, 2, LP2P_ADDR_HEARSAY) && knows(entry, 3, LP2P_ADDR_HEARSAY) && knows(entry, 4, LP2P_ADDR_PROVEN));
    assert_false(lp2p_peer_entry_forget_local(entry));
    lp2p_addrs_drop(&addrs);
    lp2p_peers_fini(&peers);
}

static void test_peers_addrs_expire(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    for (uint8_t source = LP2P_ADDR_HEARSAY; source <= LP2P_ADDR_MANUAL; source++) {
        struct lp2p_multiaddr one = addr((uint8_t)(source + 1), 1);
        learn(entry, &one, 1, (enum lp2p_addr_source)source, 1000, true);
    }
    assert_int_equal(entry->addrs->len, 3); /* the record took the place of what was told before it */
    struct lp2p_multiaddr one = addr(1, 1), two = addr(2, 1);
    learn(entry, &one, 1, LP2P_ADDR_HEARSAY, 1000, true);
    learn(entry, &two, 1, LP2P_ADDR_IDENTIFY, 1000, true);
    assert_false(lp2p_peer_entry_expire(entry, 1000 + 3600));
    struct lp2p_list link = {NULL, NULL};
    lp2p_list_push_back(&entry->links, &link);
    assert_false(lp2p_peer_entry_expire(entry, 1000 + 3601)); /* not while it is connected */
    lp2p_list_remove(&link);
    lp2p_peer_entry_disconnected(entry, 1000 + 3601);
    assert_true(lp2p_peer_entry_expire(entry, 1000 + 3601));
    assert_false(knows(entry, 1, LP2P_ADDR_HEARSAY)); /* hearsay does not live from a connection */
    assert_true(knows(entry, 2, LP2P_ADDR_IDENTIFY));
    assert_true(lp2p_peer_entry_expire(entry, 1000 + 2 * 3601));
    assert_false(knows(entry, 2, LP2P_ADDR_IDENTIFY));
    assert_false(lp2p_peer_entry_expire(entry, 1000 + 3601 + 6 * 3600));
    assert_true(lp2p_peer_entry_expire(entry, 1000 + 3602 + 6 * 3600)); /* the certified one */
    assert_int_equal(entry->addrs->len, 2);
    assert_false(lp2p_peer_entry_expire(entry, 1000 + 3601 + 7 * 24 * 3600));
    assert_true(lp2p_peer_entry_expire(entry, 1000 + 3602 + 7 * 24 * 3600));
    assert_true(knows(entry, 5, LP2P_ADDR_MANUAL));
    assert_int_equal(entry->addrs->len, 1);
    lp2p_peers_fini(&peers);
}

/* A clock that was ahead and was set back leaves no address that lives until then. */
static void test_peers_addrs_expire_after_the_clock_went_back(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    struct lp2p_multiaddr one = addr(1, 1);
    learn(entry, &one, 1, LP2P_ADDR_HEARSAY, 1900000000, true);
    assert_false(lp2p_peer_entry_expire(entry, 1000));
    assert_false(lp2p_peer_entry_expire(entry, 1000 + 3600));
    assert_true(lp2p_peer_entry_expire(entry, 1000 + 3601));
    assert_null(entry->addrs);
    lp2p_peers_fini(&peers);
}

static bool certify(struct lp2p_peer_entry *entry, uint64_t seq, uint32_t now_s)
{
    static const uint8_t sealed[] = {1, 2, 3};
    struct lp2p_multiaddr one = addr((uint8_t)seq, 1);
    struct lp2p_addrs *addrs = lp2p_addrs_new(&one, 1);
    bool taken = lp2p_peer_entry_certify(entry, addrs, seq, lp2p_span(sealed, sizeof(sealed)), now_s);
    lp2p_addrs_drop(&addrs);
    return taken;
}

/* AI4: a record counts as long as the addresses in it. A peer whose clock was ahead once could never tell us of itself again. */
static void test_AI4_the_number_goes_with_the_record(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    assert_true(certify(entry, 1000, 50000));
    struct lp2p_multiaddr one = addr((uint8_t)1000, 1);
    learn(entry, &one, 1, LP2P_ADDR_PROVEN, 50000, false); /* that it is proven too is no reason to forget the record earlier */
    assert_false(lp2p_peer_entry_expire(entry, 50000 + 6 * 3600));
    assert_false(certify(entry, 7, 50000 + 6 * 3600));
    struct lp2p_list link = {NULL, NULL};
    lp2p_list_push_back(&entry->links, &link);
    assert_false(lp2p_peer_entry_expire(entry, 50001 + 6 * 3600)); /* not while it is connected */
    lp2p_list_remove(&link);
    lp2p_peer_entry_disconnected(entry, 60000 + 6 * 3600);
    assert_false(lp2p_peer_entry_expire(entry, 60000 + 12 * 3600));
    assert_true(lp2p_peer_entry_expire(entry, 60001 + 12 * 3600));
    assert_true(entry->record_seq == 0 && entry->record.len == 0);
    assert_true(certify(entry, 7, 60002 + 12 * 3600));
    lp2p_peers_fini(&peers);
}

/* AI4: the number of a peer's records only rises; a newer record takes the place of what older ones said. */
static void test_AI4_newer_records_replace_older(void **state)
{
    (void)state;
    static const struct {
        uint64_t seq;
        uint8_t last;
        bool taken;
    } rows[] = {{5, 1, true}, {4, 2, false}, {5, 3, true}, {6, 4, true}, {0, 5, false}, {6, 6, true}, {1764100000000000000u, 7, true},
                {1764100000000u, 8, false} /* moved from go to js */, {UINT64_MAX - 1, 9, true}, {7, 10, false}};
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    uint8_t expected = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lp2p_multiaddr one = addr(rows[i].last, 1);
        struct lp2p_addrs *addrs = lp2p_addrs_new(&one, 1);
        assert_int_equal(lp2p_peer_entry_certify(entry, addrs, rows[i].seq, lp2p_span(NULL, 0), (uint32_t)i), rows[i].taken);
        lp2p_addrs_drop(&addrs);
        expected = rows[i].taken ? rows[i].last : expected;
        assert_int_equal(entry->addrs->len, 1);
        assert_true(knows(entry, expected, LP2P_ADDR_CERTIFIED));
    }
    /* The control: without the number, the old record would have been taken. */
    struct lp2p_multiaddr old = addr(11, 1);
    learn(entry, &old, 1, LP2P_ADDR_CERTIFIED, 99, true);
    assert_true(knows(entry, 11, LP2P_ADDR_CERTIFIED));
    lp2p_peers_fini(&peers);
}

/* The newest record is kept as it came; told again, it is not copied again. */
static void test_peers_records(void **state)
{
    (void)state;
    static const uint8_t bytes[LP2P_PEER_RECORD_MAX + 1] = {1, 2, 3};
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    struct lp2p_multiaddr one = addr(1, 1);
    struct lp2p_addrs *addrs = lp2p_addrs_new(&one, 1);
    assert_true(lp2p_peer_entry_certify(entry, addrs, 5, lp2p_span(bytes, 100), 1));
    assert_true(lp2p_span_eq(lp2p_slice_span(&entry->record), lp2p_span(bytes, 100)));
    struct lp2p_slice first = lp2p_slice_of(entry->record.buf, entry->record.ptr, 100); /* no other can come to its place */
    assert_ptr_not_equal(first.ptr, bytes);
    assert_true(lp2p_peer_entry_certify(entry, addrs, 5, lp2p_span(bytes, 100), 2));
    assert_ptr_equal(entry->record.ptr, first.ptr);
    lp2p_slice_drop(&first);
    assert_false(lp2p_peer_entry_certify(entry, addrs, 4, lp2p_span(bytes, 70), 3)); /* an older one */
    assert_int_equal(entry->record.len, 100);
    assert_true(lp2p_peer_entry_certify(entry, addrs, 6, lp2p_span(bytes, LP2P_PEER_RECORD_MAX), 4));
    assert_int_equal(entry->record.len, LP2P_PEER_RECORD_MAX);
    assert_true(lp2p_peer_entry_certify(entry, addrs, 7, lp2p_span(bytes, LP2P_PEER_RECORD_MAX + 1), 5));
    assert_int_equal(entry->record.len, 0); /* too large; and the old one is no longer the newest */
    assert_int_equal(entry->record_seq, 7);
    assert_true(lp2p_peer_entry_certify(entry, addrs, 8, lp2p_span(bytes, 9), 6)); /* freed with the entry */
    lp2p_addrs_drop(&addrs);
    lp2p_peers_fini(&peers);
}

/* A key is kept when the id is its hash, and only then. */
static void test_peers_keys(void **state)
{
    (void)state;
    static struct lp2p_private_key keys[3];
    static const enum lp2p_key_type types[] = {LP2P_KEY_ECDSA, LP2P_KEY_ECDSA, LP2P_KEY_ED25519};
    struct lp2p_peer_id ids[3];
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lp2p_private_key_generate_type(types[i], 0, &rand_source, &keys[i]), LP2P_OK);
        lp2p_peer_id_from_key(&keys[i].public_key, &ids[i]);
    }
    struct lp2p_span right = lp2p_public_key_encoded(&keys[0].public_key), inlined = lp2p_public_key_encoded(&keys[2].public_key);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &ids[0]), *other = lp2p_peers_add(&peers, &ids[2]);
    lp2p_peer_entry_keep_key(entry, lp2p_public_key_encoded(&keys[1].public_key));
    lp2p_peer_entry_keep_key(entry, lp2p_span(right.ptr, right.len - 1));
    lp2p_peer_entry_keep_key(entry, lp2p_span(NULL, 0));
    assert_int_equal(entry->key.len, 0);
    lp2p_peer_entry_keep_key(entry, right);
    assert_true(lp2p_span_eq(lp2p_slice_span(&entry->key), right));
    const uint8_t *kept = entry->key.ptr;
    lp2p_peer_entry_keep_key(entry, right);
    assert_ptr_equal(entry->key.ptr, kept);
    lp2p_peer_entry_keep_key(other, inlined); /* it is in the id */
    assert_int_equal(other->key.len, 0);
    lp2p_peers_fini(&peers);
}

/* AI2: 256 protocols while it is connected, 20 afterwards. `keep` is the bound that is put to the test. */
static void test_AI2_protocols_after_disconnect(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    char texts[256][16];
    struct lp2p_span spans[256];
    for (int i = 0; i < 256; i++) {
        snprintf(texts[i], sizeof(texts[i]), "/p/%d", i);
        spans[i] = lp2p_span_str(texts[i]);
    }
    entry->protocols = lp2p_strings_new(spans, 256);
    assert_int_equal(entry->protocols->len, 256); /* the control: as long as it is connected */
    lp2p_peer_entry_disconnected(entry, 1);
    assert_int_equal(entry->protocols->len, LP2P_PEER_PROTOCOLS_GONE_MAX);
    assert_string_equal(entry->protocols->items[19], "/p/19");
    lp2p_peers_fini(&peers);
}

static void test_peers_tags(void **state)
{
    (void)state;
    struct lp2p_peers peers;
    setup_peers(&peers, 3);
    struct lp2p_peer_id me = peer(1);
    struct lp2p_peer_entry *entry = lp2p_peers_add(&peers, &me);
    assert_true(lp2p_peer_entry_idle(entry));
    assert_int_equal(lp2p_peer_entry_tag(entry, "a", 7), LP2P_OK);
    assert_int_equal(lp2p_peer_entry_tag(entry, "b", -2), LP2P_OK);
    assert_int_equal(lp2p_peer_entry_value(entry), 5);
    assert_int_equal(lp2p_peer_entry_tag(entry, "a", 1), LP2P_OK);
    assert_int_equal(lp2p_peer_entry_value(entry), -1);
    assert_false(lp2p_peer_entry_idle(entry));
    assert_int_equal(lp2p_peer_entry_tag(entry, "never", 0), LP2P_OK);
    for (char name[2] = "c"; name[0] < 'i'; name[0]++) {
        assert_int_equal(lp2p_peer_entry_tag(entry, name, INT32_MAX), LP2P_OK);
    }
    assert_int_equal(lp2p_peer_entry_tag(entry, "z", 1), LP2P_ELIMIT);
    assert_int_equal(lp2p_peer_entry_value(entry), 1000000);
    for (char name[2] = "a"; name[0] < 'i'; name[0]++) {
        assert_int_equal(lp2p_peer_entry_tag(entry, name, 0), LP2P_OK);
    }
    assert_true(lp2p_peer_entry_idle(entry));
    lp2p_peers_fini(&peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peers_find_and_add),
        cmocka_unit_test(test_peers_longest_unseen_makes_room),
        cmocka_unit_test(test_peers_those_in_use_stay),
        cmocka_unit_test(test_AI8_gossip_displaces_gossip),
        cmocka_unit_test(test_peers_full_of_proven_ones),
        cmocka_unit_test(test_peers_merge_addrs),
        cmocka_unit_test(test_peers_addrs_are_bounded),
        cmocka_unit_test(test_peers_addrs_by_confidence),
        cmocka_unit_test(test_peers_take_leave),
        cmocka_unit_test(test_peers_addrs_expire),
        cmocka_unit_test(test_peers_addrs_expire_after_the_clock_went_back),
        cmocka_unit_test(test_AI4_the_number_goes_with_the_record),
        cmocka_unit_test(test_AI2_protocols_after_disconnect),
        cmocka_unit_test(test_AI4_newer_records_replace_older),
        cmocka_unit_test(test_peers_records),
        cmocka_unit_test(test_peers_keys),
        cmocka_unit_test(test_peers_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
