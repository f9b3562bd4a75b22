/* SPDX-License-Identifier: MIT
 * Identify as a codec, what this node sends: it reads back, in one message or in two, within the limits. */
#include "identify_kit.h"

static void test_identify_round_trip(void **state)
{
    (void)state;
    struct lp2p_slice message = own_message(2, 3), out;
    struct lp2p_multiaddr observed = addr("/ip4/1.2.3.4/tcp/9");
    uint8_t record[1024];
    const char *const certified[] = {"/ip4/10.0.0.9/tcp/1"};
    size_t record_len = seal(&ctx.key, &ctx.self, 42, certified, 1, record, sizeof(record));
    assert_int_equal(
        lp2p_identify_compose(lp2p_slice_span(&message), &observed, lp2p_span(record, record_len), &out),
        LP2P_OK);
    for (size_t cut = 1; cut <= out.len; cut += 13) {
        struct lp2p_identify_info info;
        assert_int_equal(read_stream(lp2p_slice_span(&out), cut, &ctx.self, "/ip4/127.0.0.1/tcp/1", &info),
                         LP2P_OK);
        assert_true(info.certified && info.record_seq == 42);
        assert_true(lp2p_span_eq(lp2p_slice_span(&info.record), lp2p_span(record, record_len)) && info.key.len == 0);
        assert_addrs(&info, certified, 1);
        assert_int_equal(info.protocols->len, 3);
        assert_string_equal(info.protocols->items[2], "/protocol/of/some/length/2");
        assert_string_equal(info.agent, "test/1.0");
        assert_string_equal(info.protocol_version, "ipfs/0.1.0");
        assert_true(lp2p_multiaddr_eq(&info.observed, &observed));
        lp2p_identify_info_drop(&info);
    }
    lp2p_slice_drop(&out);
    lp2p_slice_drop(&message);
}

/* The key of a peer whose id is only its hash is handed on; a record that is not good is not. */
static void test_identify_hashed_key(void **state)
{
    (void)state;
    static struct lp2p_private_key key;
    static struct bytes message, stream;
    struct lp2p_identify_info info;
    struct lp2p_rand_seeded gen;
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_peer_id id;
    uint8_t record[1024];
    lp2p_rand_seeded_init(&gen, 4);
    assert_int_equal(lp2p_private_key_generate_type(LP2P_KEY_ECDSA, 0, &rand, &key), LP2P_OK);
    lp2p_peer_id_from_key(&key.public_key, &id);
    size_t len = seal(&key, &id, 3, (const char *const[]){"/ip4/10.0.0.9/tcp/1"}, 1, record, sizeof(record));
    for (int good = 1; good >= 0; good--) {
        message.len = stream.len = 0;
        record[len - 1] ^= good == 0;
        put_field(&message, 1, lp2p_public_key_encoded(&key.public_key));
        put_field(&message, 8, lp2p_span(record, len));
        put_frame(&stream, &message);
        assert_int_equal(read_stream(lp2p_span(stream.data, stream.len), 100, &id, "/ip4/127.0.0.1/tcp/1", &info), LP2P_OK);
        assert_true(lp2p_span_eq(lp2p_slice_span(&info.key), lp2p_public_key_encoded(&key.public_key)));
        assert_int_equal(info.record.len, good * len);
        lp2p_identify_info_drop(&info);
    }
}

/* One message while the sum is below 2048 bytes; a second one for the record otherwise, and the first always
 * below 4096. */
static void test_identify_two_messages(void **state)
{
    (void)state;
    struct lp2p_multiaddr observed = addr("/ip4/1.2.3.4/tcp/9");
    uint8_t record[1024];
    const char *const certified[] = {"/ip4/10.0.0.9/tcp/1"};
    size_t record_len = seal(&ctx.key, &ctx.self, 1, certified, 1, record, sizeof(record));
    const size_t protocols[] = {1, 64};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(protocols); i++) {
        struct lp2p_slice message = own_message(64, protocols[i]), out;
        assert_true(message.len <= LP2P_IDENTIFY_BASE_MAX);
        bool together = message.len + observed.len + record_len < LP2P_IDENTIFY_ONE_MAX;
        assert_int_equal(together, i == 0);
        assert_int_equal(
            lp2p_identify_compose(lp2p_slice_span(&message), &observed, lp2p_span(record, record_len), &out),
            LP2P_OK);
        struct lp2p_frame_reader frames;
        lp2p_frame_reader_init(&frames, 4096);
        struct lp2p_span rest = lp2p_slice_span(&out), frame;
        unsigned n = 0;
        while (lp2p_frame_read(&frames, &rest, &frame) == LP2P_OK) {
            n++;
        }
        assert_true(lp2p_frame_reader_idle(&frames));
        lp2p_frame_reader_fini(&frames);
        assert_int_equal(n, i == 0 ? 1 : 2);
        struct lp2p_identify_info info;
        assert_int_equal(read_stream(lp2p_slice_span(&out), 100000, &ctx.self, "/ip4/127.0.0.1/tcp/1", &info),
                         LP2P_OK);
        assert_true(info.certified);
        lp2p_identify_info_drop(&info);
        lp2p_slice_drop(&out);
        lp2p_slice_drop(&message);
    }
}

static void test_identify_encode_stays_small(void **state)
{
    (void)state;
    struct lp2p_multiaddr many[LP2P_IDENTIFY_ADDRS_MAX];
    char label[200];
    memset(label, 'x', sizeof(label));
    for (size_t i = 0; i < LP2P_ARRAY_LEN(many); i++) {
        char text[300];
        snprintf(text, sizeof(text), "/dns4/%.190s%03u/tcp/1", label, (unsigned)i);
        many[i] = addr(text);
    }
    struct lp2p_addrs *list = lp2p_addrs_new(many, LP2P_ARRAY_LEN(many));
    struct lp2p_slice message;
    assert_int_equal(lp2p_identify_encode(&ctx, list, NULL, &message), LP2P_OK);
    assert_in_range(message.len, LP2P_IDENTIFY_BASE_MAX - 250, LP2P_IDENTIFY_BASE_MAX);
    lp2p_slice_drop(&message);
    lp2p_addrs_drop(&list);
    assert_int_equal(lp2p_identify_encode(&ctx, NULL, NULL, &message), LP2P_OK);
    lp2p_slice_drop(&message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identify_round_trip),
        cmocka_unit_test(test_identify_hashed_key),
        cmocka_unit_test(test_identify_two_messages),
        cmocka_unit_test(test_identify_encode_stays_small),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
