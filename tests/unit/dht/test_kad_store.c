/* SPDX-License-Identifier: MIT
 * Limits, eviction and expiry of values and provider records. */
#include "kit.h"

#define HOUR LP2P_SEC(3600)

static struct lp2p_rand rnd;
static const struct lp2p_kad_key self = {{0, 0, 0, 0}};

static void init_store(struct lp2p_kad_store *store, size_t records_max, size_t providers_max,
                       size_t per_key_max)
{
    struct lp2p_kad_store_config config = {self,        records_max, providers_max,
                                           per_key_max, 48 * HOUR,   48 * HOUR};
    rnd = kit_rand(2, 42);
    lp2p_kad_store_init(store, &config, &rnd);
}

static enum lp2p_err put(struct lp2p_kad_store *store, const struct lp2p_kad_key *key, unsigned source,
                         const char *value, lp2p_time now)
{
    struct lp2p_kad_key from = {{source, 0, 0, source}};
    return lp2p_kad_store_put(store, key, source == 0 ? NULL : &from, lp2p_span_str(value), now, 7);
}

static bool holds(const struct lp2p_kad_store *store, const struct lp2p_kad_key *key, const char *value,
                  lp2p_time now)
{
    const struct lp2p_kad_value *held = lp2p_kad_store_get(store, key, now);
    return held != NULL && lp2p_span_eq_str(lp2p_span(held->bytes, held->len), value);
}

static void test_store_put_get_replace(void **state)
{
    (void)state;
    static struct lp2p_kad_store store;
    init_store(&store, 10, 10, 10);
    struct lp2p_kad_key key = kit_key(&rnd, 1);
    struct lp2p_kad_key other = kit_key(&rnd, 2);
    assert_int_equal(put(&store, &key, 1, "one", 5), LP2P_OK);
    assert_true(holds(&store, &key, "one", 5));
    assert_null(lp2p_kad_store_get(&store, &other, 5));
    assert_int_equal(put(&store, &key, 2, "", 6), LP2P_OK);
    assert_true(holds(&store, &key, "", 6));
    assert_int_equal(store.values.len, 1);
    static uint8_t large[LP2P_KAD_VALUE_MAX + 1];
    assert_int_equal(lp2p_kad_store_put(&store, &key, NULL, lp2p_span(large, sizeof(large)), 7, 0),
                     LP2P_ELIMIT);
    assert_true(holds(&store, &key, "", 7)); /* what was there stays */
    assert_int_equal(lp2p_kad_store_put(&store, &key, NULL, lp2p_span(large, sizeof(large) - 1), 7, 0),
                     LP2P_OK);
    lp2p_kad_store_fini(&store);
}

static void test_store_expiry(void **state)
{
    (void)state;
    static struct lp2p_kad_store store;
    init_store(&store, 10, 10, 10);
    struct lp2p_kad_key a = kit_key(&rnd, 1);
    struct lp2p_kad_key b = kit_key(&rnd, 2);
    assert_true(lp2p_kad_store_deadline(&store) == LP2P_NEVER);
    assert_int_equal(put(&store, &a, 1, "a", 0), LP2P_OK);
    assert_int_equal(put(&store, &b, 1, "b", HOUR), LP2P_OK);
    assert_true(lp2p_kad_store_deadline(&store) == 48 * HOUR);
    assert_true(holds(&store, &a, "a", 48 * HOUR - 1));
    assert_false(holds(&store, &a, "a", 48 * HOUR)); /* even before the sweep */
    assert_int_equal(put(&store, &a, 1, "a2", 40 * HOUR), LP2P_OK);
    assert_true(lp2p_kad_store_deadline(&store) == 49 * HOUR);
    lp2p_kad_store_expire(&store, 49 * HOUR);
    assert_int_equal(store.values.len, 1);
    assert_true(holds(&store, &a, "a2", 49 * HOUR));
    lp2p_kad_store_expire(&store, 88 * HOUR);
    assert_int_equal(store.values.len, 0);
    assert_int_equal(store.values.sources_len, 0);
    assert_int_equal(store.values.evicted, 0);
    lp2p_kad_store_fini(&store);
}

/* Full: the records nearest to us stay, whatever is thrown at the shelf, and our own always. */
static void test_store_eviction_prefers_what_is_ours_to_keep(void **state)
{
    (void)state;
    static struct lp2p_kad_store store;
    init_store(&store, 64, 10, 10);
    struct lp2p_kad_key near[32];
    struct lp2p_kad_key own = kit_key(&rnd, 0x80);
    assert_int_equal(put(&store, &own, 0, "own", 1), LP2P_OK);
    for (unsigned i = 0; i < 32; i++) {
        near[i] = kit_key(&rnd, 0x00);
        assert_int_equal(put(&store, &near[i], 1000 + i, "near", 1), LP2P_OK);
    }
    for (unsigned i = 0; i < 5000; i++) { /* each from another source */
        struct lp2p_kad_key far = kit_key(&rnd, 0x40 + i % 64);
        assert_int_equal(put(&store, &far, 5000 + i, "flood", 2), LP2P_OK);
        assert_true(store.values.len <= 64);
    }
    struct lp2p_kad_key farther = kit_key(&rnd, 0xff);
    assert_int_equal(put(&store, &farther, 1, "x", 3), LP2P_ELIMIT); /* all others are nearer */
    assert_int_equal(store.values.refused, 1);
    assert_int_equal(store.values.evicted, 5000 - 31);
    for (unsigned i = 0; i < 32; i++) {
        assert_true(holds(&store, &near[i], "near", 3));
    }
    assert_true(holds(&store, &own, "own", 3));
    lp2p_kad_store_fini(&store);
}

static void test_store_one_source_has_a_share(void **state)
{
    (void)state;
    static struct lp2p_kad_store store;
    init_store(&store, 64, 10, 10);
    struct lp2p_kad_key honest[8];
    for (unsigned i = 0; i < 8; i++) {
        honest[i] = kit_key(&rnd, 0x80);
        assert_int_equal(put(&store, &honest[i], 1 + i, "honest", 1), LP2P_OK);
    }
    struct lp2p_kad_key last = {{0}};
    for (unsigned i = 0; i < 1000; i++) { /* nearer to us than all the honest ones, yet from one source */
        last = kit_key(&rnd, 0x01);
        assert_int_equal(put(&store, &last, 999, "flood", 2), LP2P_OK);
    }
    assert_int_equal(store.values.len, 32); /* half of it, and not one more */
    for (unsigned i = 0; i < 8; i++) {
        assert_true(holds(&store, &honest[i], "honest", 3));
    }
    assert_true(holds(&store, &last, "flood", 3));
    lp2p_kad_store_fini(&store);
}

static void test_store_providers_of_one_key(void **state)
{
    (void)state;
    static struct lp2p_kad_store store;
    init_store(&store, 10, 100, 3);
    struct lp2p_kad_key key = kit_key(&rnd, 1);
    struct lp2p_kad_peer peers[5];
    for (unsigned i = 0; i < 5; i++) {
        peers[i] = kit_peer(i + 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(lp2p_kad_store_provide(&store, &key, &peers[i], false, i), LP2P_OK);
    }
    assert_int_equal(lp2p_kad_store_provide(&store, &key, &peers[3], false, HOUR), LP2P_ELIMIT);
    assert_int_equal(store.providers_refused, 1);
    assert_int_equal(lp2p_kad_store_provide(&store, &key, &peers[0], false, HOUR),
                     LP2P_OK); /* refreshed, not doubled */
    assert_int_equal(store.providers.len, 3);
    assert_int_equal(lp2p_kad_store_provide(&store, &key, &peers[3], false, 24 * HOUR + 1),
                     LP2P_OK); /* for the oldest */
    assert_int_equal(lp2p_kad_store_provide(&store, &key, &peers[4], true, 24 * HOUR + 1),
                     LP2P_OK); /* we ourselves */
    const struct lp2p_kad_contact *out[8];
    size_t len = lp2p_kad_store_providers(&store, &key, 25 * HOUR, &rnd, out, 8);
    assert_int_equal(len, 4);
    unsigned seen = 0;
    for (size_t i = 0; i < len; i++) {
        seen |= 1u << out[i]->id.bytes[37];
    }
    assert_int_equal(seen, 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5);
    assert_int_equal(lp2p_kad_store_providers(&store, &key, 25 * HOUR, &rnd, out, 2), 2);
    assert_int_equal(lp2p_kad_store_providers(&store, &key, 49 * HOUR, &rnd, out, 8), 2);
    assert_int_equal(lp2p_kad_store_providers(&store, &key, 73 * HOUR, &rnd, out, 8), 0);
    lp2p_kad_store_expire(&store, 73 * HOUR);
    assert_int_equal(store.providers.len, 0);
    lp2p_kad_store_fini(&store);
}

static void test_store_providers_come_in_random_order(void **state)
{
    (void)state;
    static struct lp2p_kad_store store;
    init_store(&store, 10, 100, 20);
    struct lp2p_kad_key key = kit_key(&rnd, 1);
    for (unsigned i = 0; i < 10; i++) {
        struct lp2p_kad_peer peer = kit_peer(i);
        assert_int_equal(lp2p_kad_store_provide(&store, &key, &peer, false, 1), LP2P_OK);
    }
    unsigned first[10] = {0};
    for (unsigned i = 0; i < 2000; i++) {
        const struct lp2p_kad_contact *out[3];
        assert_int_equal(lp2p_kad_store_providers(&store, &key, 2, &rnd, out, 3), 3);
        for (unsigned o = 0; o < 3; o++) {
            first[out[o]->id.bytes[37]]++;
        }
    }
    for (unsigned i = 0; i < 10; i++) {
        assert_in_range(first[i], 450, 750); /* 600 expected */
    }
    lp2p_kad_store_fini(&store);
}

/* The whole of the default limit, from many peers; memory stays bounded by the addresses kept. */
static void test_store_many_providers(void **state)
{
    (void)state;
    static struct lp2p_kad_store store;
    init_store(&store, 10, 250000, 20);
    struct lp2p_kad_peer peer = kit_peer(0);
    for (unsigned a = 1; a < LP2P_KAD_ADDRS_MAX; a++) {
        peer.addrs[a] =
            kit_addr("/dns4/a-rather-long-name-that-takes-some-place.in-the-message.example.com/tcp/4001");
        peer.addrs[a].bytes[10] = (uint8_t)('a' + a);
    }
    peer.addrs_len = LP2P_KAD_ADDRS_MAX;
    for (unsigned i = 0; i < 260000; i++) {
        peer.id = kit_peer(i % 1000).id;
        struct lp2p_kad_key key = kit_key(&rnd, i % 256);
        enum lp2p_err err = lp2p_kad_store_provide(&store, &key, &peer, false, i);
        assert_true(err == LP2P_OK || err == LP2P_ELIMIT);
    }
    assert_int_equal(store.providers.len, 250000);
    assert_int_equal(store.providers.evicted + store.providers.refused, 10000);
    struct lp2p_kad_item *item = LP2P_LIST_ENTRY(store.providers.by_age.next, struct lp2p_kad_item, by_age);
    const struct lp2p_kad_contact *out[1];
    assert_int_equal(lp2p_kad_store_providers(&store, &item->key, 1, &rnd, out, 1), 1);
    assert_true(out[0]->packed_len <= LP2P_KAD_PROVIDER_ADDRS_BYTES && out[0]->addrs_len >= 3);
    lp2p_kad_store_fini(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_put_get_replace),
        cmocka_unit_test(test_store_expiry),
        cmocka_unit_test(test_store_eviction_prefers_what_is_ours_to_keep),
        cmocka_unit_test(test_store_one_source_has_a_share),
        cmocka_unit_test(test_store_providers_of_one_key),
        cmocka_unit_test(test_store_providers_come_in_random_order),
        cmocka_unit_test(test_store_many_providers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
