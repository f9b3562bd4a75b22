/* SPDX-License-Identifier: MIT */
#include "kit.h"

static yyjson_doc *doc;
static struct lp2p_kad_message message;

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

static void check_hex(yyjson_val *fields, const char *name, struct lp2p_span actual)
{
    if (yyjson_obj_get(fields, name) == NULL) {
        assert_null(actual.ptr);
        return;
    }
    struct lp2p_span expected = vectors_hex(fields, name);
    assert_true(lp2p_span_eq(expected, actual));
    vectors_free(expected);
}

static void check_providers(yyjson_val *fields)
{
    yyjson_val *peers = yyjson_obj_get(fields, "providerPeers");
    assert_int_equal(message.providers_len, yyjson_arr_size(peers));
    for (size_t i = 0; i < message.providers_len; i++) {
        yyjson_val *expected = yyjson_arr_get(peers, i);
        struct lp2p_kad_peer peer;
        assert_int_equal(lp2p_kad_peer_decode(message.providers[i], false, &peer), LP2P_OK);
        check_hex(expected, "id", lp2p_peer_id_span(&peer.id));
        yyjson_val *addrs = vectors_get(expected, "addrs_hex");
        assert_int_equal(peer.addrs_len, yyjson_arr_size(addrs));
        for (size_t a = 0; a < peer.addrs_len; a++) {
            struct lp2p_span addr = vectors_hex_text(yyjson_get_str(yyjson_arr_get(addrs, a)));
            assert_true(lp2p_span_eq(addr, lp2p_multiaddr_span(&peer.addrs[a])));
            vectors_free(addr);
        }
    }
}

/* Writes the message again from what was read. go and old js add field 10, which we leave out, and go writes
 * type 0. */
static void check_write(yyjson_val *fields, struct lp2p_span original)
{
    static uint8_t out[4096];
    struct lp2p_kad_record record;
    if (message.record.ptr != NULL) {
        assert_int_equal(lp2p_kad_record_decode(message.record, &record), LP2P_OK);
    }
    struct lp2p_kad_peer providers[4];
    for (size_t i = 0; i < message.providers_len; i++) {
        assert_int_equal(lp2p_kad_peer_decode(message.providers[i], false, &providers[i]), LP2P_OK);
    }
    size_t len =
        kit_message(out, sizeof(out), message.type, message.key, message.record.ptr == NULL ? NULL : &record,
                    NULL, 0, providers, message.providers_len);
    bool other_fields = yyjson_obj_get(yyjson_obj_get(fields, "record"), "author_legacy") != NULL;
    if (yyjson_obj_get(fields, "clusterLevelRaw") != NULL) {
        original.len -= 2;
    }
    if (!other_fields) {
        assert_true(lp2p_span_eq(original, lp2p_span(out, len)));
    }
}

static void check_message(yyjson_val *it)
{
    struct lp2p_span bytes = vectors_hex(it, "hex");
    yyjson_val *fields = vectors_get(it, "decoded");
    assert_int_equal(lp2p_kad_message_decode(bytes, &message), LP2P_OK);
    yyjson_val *type = yyjson_obj_get(fields, "type");
    assert_int_equal(message.type,
                     type == NULL ? 0 : yyjson_get_uint(type)); /* no type on the wire is PUT_VALUE */
    check_hex(fields, "key", message.key);
    check_hex(fields, "record_hex", message.record);
    if (message.record.ptr != NULL) {
        struct lp2p_kad_record record;
        assert_int_equal(lp2p_kad_record_decode(message.record, &record), LP2P_OK);
        check_hex(vectors_get(fields, "record"), "key", record.key);
        check_hex(vectors_get(fields, "record"), "value", record.value);
    }
    check_providers(fields);
    check_write(fields, bytes);
    vectors_free(bytes);
}

static void test_codec_vectors(void **state)
{
    (void)state;
    size_t index, max;
    yyjson_val *it;
    yyjson_arr_foreach(vectors_array(doc, "messages"), index, max, it)
    {
        check_message(it);
    }
    yyjson_arr_foreach(vectors_array(doc, "generated_messages"), index, max, it)
    {
        check_message(it);
    }
}

/* Every truncation and every flipped bit of every vector, in memory of exactly that size. */
static void test_codec_truncations_and_flips(void **state)
{
    (void)state;
    size_t index, max;
    yyjson_val *it;
    size_t refused = 0;
    yyjson_arr_foreach(vectors_array(doc, "generated_messages"), index, max, it)
    {
        struct lp2p_span bytes = vectors_hex(it, "hex");
        for (size_t cut = 0; cut <= bytes.len; cut++) {
            struct lp2p_span part = vectors_copy(lp2p_span(bytes.ptr, cut));
            refused += lp2p_kad_message_decode(part, &message) != LP2P_OK;
            vectors_free(part);
        }
        struct lp2p_span copy = vectors_copy(bytes);
        for (size_t bit = 0; bit < bytes.len * 8; bit++) {
            uint8_t *byte = (uint8_t *)(uintptr_t)copy.ptr + bit / 8;
            *byte ^= (uint8_t)(1u << bit % 8);
            if (lp2p_kad_message_decode(copy, &message) == LP2P_OK) {
                struct lp2p_kad_peer peer;
                for (size_t i = 0; i < message.providers_len; i++) {
                    refused += lp2p_kad_peer_decode(message.providers[i], false, &peer) != LP2P_OK;
                }
            }
            *byte ^= (uint8_t)(1u << bit % 8);
        }
        vectors_free(copy);
        vectors_free(bytes);
    }
    assert_true(refused > 100);
}

static void test_codec_unknown_fields_and_types(void **state)
{
    (void)state;
    /* rust-libp2p puts publisher (666) and ttl (777) into records, old peers clusterLevelRaw (10, here -1)
     * into messages. */
    static const uint8_t with_level[] = {0x08, 0x04, 0x12, 0x01, 'k',  0x50, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    assert_int_equal(lp2p_kad_message_decode(lp2p_span(with_level, sizeof(with_level)), &message), LP2P_OK);
    assert_int_equal(message.type, LP2P_KAD_FIND_NODE);
    static const uint8_t rust_record[] = {0x0a, 0x01, 'k', 0x12, 0x01, 'v', 0xd2,
                                          0x29, 0x01, 'p', 0xc8, 0x30, 0x05};
    struct lp2p_kad_record record;
    assert_int_equal(lp2p_kad_record_decode(lp2p_span(rust_record, sizeof(rust_record)), &record), LP2P_OK);
    assert_true(lp2p_span_eq_str(record.value, "v"));
    static const uint8_t type_6[] = {0x08, 0x06};
    assert_int_equal(lp2p_kad_message_decode(lp2p_span(type_6, sizeof(type_6)), &message), LP2P_EUNSUPPORTED);
    static const uint8_t huge_type[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0x0f};
    assert_int_not_equal(lp2p_kad_message_decode(lp2p_span(huge_type, sizeof(huge_type)), &message), LP2P_OK);
    static const uint8_t key_as_number[] = {0x08, 0x04, 0x10, 0x01};
    assert_int_equal(lp2p_kad_message_decode(lp2p_span(key_as_number, sizeof(key_as_number)), &message),
                     LP2P_EMALFORMED);
    assert_int_equal(lp2p_kad_message_decode(lp2p_span(NULL, 0), &message), LP2P_OK);
    assert_int_equal(message.type, LP2P_KAD_PUT_VALUE);
}

/* Far more peers than wanted: only the first ones are looked at. */
static void test_codec_many_peers(void **state)
{
    (void)state;
    size_t cap = 4u << 20;
    uint8_t *out = malloc(cap);
    assert_non_null(out);
    struct lp2p_kad_peer peer = kit_peer(1);
    size_t one = kit_message(out, cap, LP2P_KAD_PUT_VALUE, lp2p_span(NULL, 0), NULL, &peer, 1, NULL, 0);
    size_t len = one;
    while (len + one <= cap) {
        memcpy(out + len, out, one);
        len += one;
    }
    assert_true(len / one > 50000);
    assert_int_equal(lp2p_kad_message_decode(lp2p_span(out, len), &message), LP2P_OK);
    assert_int_equal(message.closer_len, LP2P_KAD_CLOSER_MAX);
    assert_int_equal(message.providers_len, 0);
    free(out);
}

static size_t write_crowd(uint8_t *out, size_t cap, unsigned peers_len, size_t value_len,
                          unsigned *addrs_least, size_t *peers_read)
{
    static uint8_t value[LP2P_KAD_VALUE_MAX];
    struct lp2p_kad_listed listed[64];
    for (unsigned i = 0; i < peers_len; i++) {
        struct lp2p_kad_peer peer = kit_peer(i + 1);
        for (unsigned a = 1; a < LP2P_KAD_ADDRS_MAX; a++) {
            peer.addrs[a] = kit_addr(
                "/dns4/a-rather-long-name-that-takes-some-place.in-the-message.example.com/tcp/4001");
            peer.addrs[a].bytes[10] = (uint8_t)('a' + a);
        }
        peer.addrs_len = LP2P_KAD_ADDRS_MAX;
        listed[i] = (struct lp2p_kad_listed){.contact = lp2p_kad_contact_new(&peer), .connected = i % 2 == 0};
    }
    struct lp2p_kad_writer writer = {out, cap, 0};
    struct lp2p_kad_record record = {.key = lp2p_span_str("k"), .value = lp2p_span(value, value_len)};
    assert_int_equal(
        lp2p_kad_write_head(&writer, LP2P_KAD_GET_VALUE, record.key, value_len == 0 ? NULL : &record),
        LP2P_OK);
    lp2p_kad_write_peers(&writer, listed, peers_len);
    assert_int_equal(lp2p_kad_message_decode(lp2p_span(out, writer.len), &message), LP2P_OK);
    *addrs_least = LP2P_KAD_ADDRS_MAX;
    *peers_read = message.closer_len;
    for (size_t i = 0; i < message.closer_len; i++) {
        struct lp2p_kad_peer peer;
        assert_int_equal(lp2p_kad_peer_decode(message.closer[i], false, &peer), LP2P_OK);
        assert_int_equal(peer.connected, i % 2 == 0);
        *addrs_least = LP2P_MIN(*addrs_least, (unsigned)peer.addrs_len);
    }
    for (unsigned i = 0; i < peers_len; i++) {
        lp2p_kad_contact_free((struct lp2p_kad_contact *)(uintptr_t)listed[i].contact);
    }
    return writer.len;
}

static void test_codec_trims_to_16_kib(void **state)
{
    (void)state;
    static uint8_t out[LP2P_KAD_REQUEST_MAX];
    unsigned addrs;
    size_t peers;
    assert_true(write_crowd(out, sizeof(out), 20, 0, &addrs, &peers) <= LP2P_KAD_SOFT_MAX);
    assert_int_equal(peers, 20);
    assert_in_range(addrs, 4, 8);
    assert_true(write_crowd(out, sizeof(out), 60, 0, &addrs, &peers) <= LP2P_KAD_SOFT_MAX);
    assert_int_equal(peers, 60);
    assert_in_range(addrs, 1, 2);
    size_t len = write_crowd(out, sizeof(out), 20, LP2P_KAD_VALUE_MAX, &addrs, &peers);
    assert_in_range(len, LP2P_KAD_SOFT_MAX,
                    LP2P_KAD_SOFT_MAX + 2500); /* the value alone is that long: one address each */
    assert_int_equal(peers, 20);
    assert_int_equal(addrs, 1);
    len = write_crowd(out, 1000, 20, 0, &addrs, &peers);
    assert_true(len <= 1000 && peers > 5 && peers < 20);
}

static void test_codec_peer_limits(void **state)
{
    (void)state;
    struct lp2p_kad_peer peer = kit_peer(3);
    uint8_t out[8192];
    size_t len = 0;
    out[len++] = 0x0a;
    out[len++] = peer.id.len;
    memcpy(out + len, peer.id.bytes, peer.id.len);
    len += peer.id.len;
    for (unsigned i = 0; i < 100;
         i++) { /* ten bytes each: tag, length, address; every third one is rubbish */
        static const uint8_t addr[] = {0x12, 8, 4, 9, 9, 9, 0, 6, 0x0f, 0xa1};
        memcpy(out + len, addr, sizeof(addr));
        out[len + 6] = (uint8_t)i;
        out[len + 2] = i % 3 == 0 ? 0x7f : 4;
        len += sizeof(addr);
    }
    struct lp2p_kad_peer read;
    assert_int_equal(lp2p_kad_peer_decode(lp2p_span(out, len), true, &read), LP2P_OK);
    assert_int_equal(read.addrs_len, LP2P_KAD_ADDRS_MAX);
    assert_int_equal(read.addrs[0].bytes[4], 1);
    assert_int_equal(read.addrs[1].bytes[4], 2);
    assert_int_equal(read.addrs[2].bytes[4], 4);
    out[1] = 0; /* no id: what follows is then no field */
    assert_int_equal(lp2p_kad_peer_decode(lp2p_span(out, 2), true, &read), LP2P_EMALFORMED);
    assert_int_equal(lp2p_kad_peer_decode(lp2p_span(NULL, 0), true, &read), LP2P_EMALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_vectors),
        cmocka_unit_test(test_codec_truncations_and_flips),
        cmocka_unit_test(test_codec_unknown_fields_and_types),
        cmocka_unit_test(test_codec_many_peers),
        cmocka_unit_test(test_codec_trims_to_16_kib),
        cmocka_unit_test(test_codec_peer_limits),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
