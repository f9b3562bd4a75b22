/* SPDX-License-Identifier: MIT */
#include "kit.h"

static yyjson_doc *doc;

static int load(void **state)
{
    (void)state;
    doc = vectors_load("kad.json");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    yyjson_doc_free(doc);
    return 0;
}

static struct lp2p_kad_key key_of_hex(const char *hex)
{
    uint8_t bytes[32];
    assert_int_equal(vectors_unhex(hex, bytes, sizeof(bytes)), 32);
    return lp2p_kad_key_load(bytes);
}

static void test_key_cpl_vectors(void **state)
{
    (void)state;
    size_t index, max;
    yyjson_val *it;
    yyjson_arr_foreach(vectors_array(doc, "zero_prefix_len"), index, max, it)
    {
        /* The vectors are shorter than a key: ones behind them stop the count at their end. */
        uint8_t bytes[32];
        memset(bytes, 0xff, sizeof(bytes));
        vectors_unhex(vectors_str(it, "hex"), bytes, sizeof(bytes));
        struct lp2p_kad_key zero = {{0}};
        struct lp2p_kad_key key = lp2p_kad_key_load(bytes);
        assert_int_equal(lp2p_kad_key_cpl(&key, &zero), vectors_u64(it, "bits"));
        assert_int_equal(lp2p_kad_key_cpl(&key, &key), 256);
    }
}

static void test_key_distance_and_order_vectors(void **state)
{
    (void)state;
    yyjson_val *sort = vectors_get(yyjson_doc_get_root(doc), "xor_sort");
    yyjson_val *ids = vectors_get(sort, "ids");
    yyjson_val *order = vectors_get(sort, "order");
    yyjson_val *distances = vectors_get(sort, "distances");
    struct lp2p_kad_key center =
        key_of_hex(yyjson_get_str(yyjson_arr_get(ids, vectors_u64(sort, "center_index"))));
    size_t len = yyjson_arr_size(ids);
    assert_true(len > 2 && yyjson_arr_size(distances) == len && yyjson_arr_size(order) == len);
    for (size_t i = 0; i < len; i++) {
        struct lp2p_kad_key key = key_of_hex(yyjson_get_str(yyjson_arr_get(ids, i)));
        struct lp2p_kad_key distance = lp2p_kad_key_distance(&center, &key);
        struct lp2p_kad_key expected = key_of_hex(yyjson_get_str(yyjson_arr_get(distances, i)));
        assert_true(lp2p_kad_key_eq(&distance, &expected));
    }
    for (size_t i = 1; i < len; i++) {
        struct lp2p_kad_key a =
            key_of_hex(yyjson_get_str(yyjson_arr_get(ids, yyjson_get_uint(yyjson_arr_get(order, i - 1)))));
        struct lp2p_kad_key b =
            key_of_hex(yyjson_get_str(yyjson_arr_get(ids, yyjson_get_uint(yyjson_arr_get(order, i)))));
        assert_true(lp2p_kad_key_compare(&center, &a, &b) <= 0);
        assert_true(lp2p_kad_key_eq(&a, &b) == (lp2p_kad_key_compare(&center, &a, &b) == 0));
    }
}

static void test_key_hash_vectors(void **state)
{
    (void)state;
    size_t index, max;
    yyjson_val *it;
    yyjson_arr_foreach(vectors_array(doc, "key_hash"), index, max, it)
    {
        struct lp2p_kad_key expected = key_of_hex(vectors_str(it, "sha256"));
        struct lp2p_kad_key key;
        if (yyjson_obj_get(it, "input_utf8") != NULL) {
            key = lp2p_kad_key_of(vectors_text(it, "input_utf8"));
        } else {
            struct lp2p_peer_id id; /* a peer is placed by its bytes, never by its text */
            assert_int_equal(lp2p_peer_id_from_text(vectors_text(it, "input_peer_id"), &id), LP2P_OK);
            key = lp2p_kad_key_of(lp2p_peer_id_span(&id));
        }
        assert_true(lp2p_kad_key_eq(&key, &expected));
        uint8_t stored[32];
        lp2p_kad_key_store(&key, stored);
        struct lp2p_kad_key again = lp2p_kad_key_load(stored);
        assert_true(lp2p_kad_key_eq(&key, &again));
    }
    struct lp2p_kad_key resource = lp2p_kad_key_of(lp2p_span_str("resource:session:session-123"));
    struct lp2p_kad_key expected =
        key_of_hex("97912aa0f453e0d8ee506821383061e19f30fb032c92871507f1e4d423d5603c");
    assert_true(lp2p_kad_key_eq(&resource, &expected));
}

/* The order of real peer ids around a target, by the table that has to give it out. */
static void test_key_nearest_vectors(void **state)
{
    (void)state;
    yyjson_val *nearest = vectors_get(yyjson_doc_get_root(doc), "nearest");
    struct lp2p_kad_key target = key_of_hex(vectors_str(nearest, "target_hex"));
    yyjson_val *order = vectors_get(nearest, "order");
    yyjson_val *cpl = vectors_get(nearest, "cpl");
    struct lp2p_kad_key self = {{1, 2, 3, 4}};
    struct lp2p_kad_table table;
    lp2p_kad_table_init(&table, &self, 20);
    size_t len = yyjson_arr_size(order);
    struct lp2p_peer_id ids[16];
    for (size_t i = 0; i < len; i++) {
        struct lp2p_kad_peer peer = {.addrs_len = 0};
        assert_int_equal(
            lp2p_peer_id_from_text(lp2p_span_str(yyjson_get_str(yyjson_arr_get(order, i))), &peer.id),
            LP2P_OK);
        ids[i] = peer.id;
        struct lp2p_kad_contact *contact = lp2p_kad_contact_new(&peer);
        assert_int_equal(lp2p_kad_key_cpl(&contact->key, &target), yyjson_get_uint(yyjson_arr_get(cpl, i)));
        assert_int_equal(lp2p_kad_table_add(&table, contact, false), LP2P_KAD_SEEN_NEW);
    }
    const struct lp2p_kad_entry *out[16];
    assert_int_equal(lp2p_kad_table_nearest(&table, &target, false, out, 16), len);
    for (size_t i = 0; i < len; i++) {
        assert_true(lp2p_peer_id_eq(&out[i]->contact->id, &ids[i]));
    }
    lp2p_kad_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_cpl_vectors),
        cmocka_unit_test(test_key_distance_and_order_vectors),
        cmocka_unit_test(test_key_hash_vectors),
        cmocka_unit_test(test_key_nearest_vectors),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
