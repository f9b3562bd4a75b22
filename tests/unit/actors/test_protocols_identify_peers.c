/* SPDX-License-Identifier: MIT
 * Identify as a codec, what others send: merged, and bounded, filtered or refused where the peer lies or is careless. */
#include "identify_kit.h"

static void test_identify_merges_messages(void **state)
{
    (void)state;
    static struct bytes stream, a, b;
    struct lp2p_identify_info info;
    stream.len = a.len = b.len = 0;
    put_addr(&a, "/ip4/10.0.0.1/tcp/1");
    put_field(&a, 3, lp2p_span_str("/a"));
    put_field(&a, 6, lp2p_span_str("first"));
    put_addr(&b, "/ip4/10.0.0.2/tcp/1");
    put_field(&b, 3, lp2p_span_str("/b"));
    put_field(&b, 6, lp2p_span_str("second"));
    put_frame(&stream, &a);
    put_frame(&stream, &b);
    assert_int_equal(read_bytes(&stream, "/ip4/10.0.0.7/tcp/1", &info), LP2P_OK);
    const char *const both[] = {"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"};
    assert_addrs(&info, both, 2);
    assert_int_equal(info.protocols->len, 2);
    assert_string_equal(info.agent, "second");
    assert_false(info.certified);
    lp2p_identify_info_drop(&info);
}

static void test_identify_absent_parts_are_absent(void **state)
{
    (void)state;
    static struct bytes message;
    struct lp2p_identify_info info;
    message.len = 0;
    put_field(&message, 6, lp2p_span_str("x"));
    assert_int_equal(read_message(&message, "/ip4/10.0.0.7/tcp/1", &info), LP2P_OK);
    assert_null(info.addrs);
    assert_null(info.protocols);
    assert_int_equal(info.observed.len, 0);
    lp2p_identify_info_drop(&info);
    struct bytes *nothing = calloc(1, sizeof(*nothing));
    assert_int_equal(read_bytes(nothing, "/ip4/10.0.0.7/tcp/1", &info), LP2P_EEOF);
    put_length(nothing, 0); /* an empty message is one that says nothing */
    assert_int_equal(read_bytes(nothing, "/ip4/10.0.0.7/tcp/1", &info), LP2P_OK);
    assert_null(info.addrs);
    lp2p_identify_info_drop(&info);
    free(nothing);
}

static void test_AI1_oversize_identify(void **state)
{
    (void)state;
    static struct bytes stream, message, big;
    struct lp2p_identify_info info;
    stream.len = message.len = big.len = 0;
    put_field(&message, 6, lp2p_span_str("x"));
    for (int i = 0; i < LP2P_IDENTIFY_MESSAGES_MAX; i++) {
        put_frame(&stream, &message);
    }
    assert_int_equal(read_bytes(&stream, "/ip4/10.0.0.7/tcp/1", &info), LP2P_OK);
    lp2p_identify_info_drop(&info);
    put_frame(&stream, &message);
    assert_int_equal(read_bytes(&stream, "/ip4/10.0.0.7/tcp/1", &info), LP2P_EOVERSIZE);

    uint8_t filler[LP2P_IDENTIFY_MESSAGE_MAX] = {0};
    put_field(&big, 6, lp2p_span(filler, LP2P_IDENTIFY_MESSAGE_MAX - 3));
    assert_int_equal(big.len, LP2P_IDENTIFY_MESSAGE_MAX);
    stream.len = 0;
    for (int i = 0; i < 4; i++) {
        put_frame(&stream, &big);
    }
    assert_int_equal(read_bytes(&stream, "/ip4/10.0.0.7/tcp/1", &info), LP2P_OK);
    lp2p_identify_info_drop(&info);
    put_frame(&stream, &message);
    assert_int_equal(read_bytes(&stream, "/ip4/10.0.0.7/tcp/1", &info), LP2P_EOVERSIZE);
    stream.len = 0;
    put_length(&stream, LP2P_IDENTIFY_MESSAGE_MAX + 1);
    assert_int_equal(read_bytes(&stream, "/ip4/10.0.0.7/tcp/1", &info), LP2P_EOVERSIZE);
}

static void test_identify_truncated(void **state)
{
    (void)state;
    struct lp2p_slice message = own_message(2, 2), out;
    struct lp2p_multiaddr observed = addr("/ip4/1.2.3.4/tcp/9");
    assert_int_equal(lp2p_identify_compose(lp2p_slice_span(&message), &observed, lp2p_span(NULL, 0), &out),
                     LP2P_OK);
    for (size_t len = 1; len < out.len; len++) {
        struct lp2p_identify_info info;
        assert_int_equal(read_stream(lp2p_span(out.ptr, len), 7, &ctx.self, "/ip4/127.0.0.1/tcp/1", &info),
                         LP2P_ETRUNCATED);
    }
    lp2p_slice_drop(&out);
    lp2p_slice_drop(&message);
}

static void test_AI7_key_differs_from_the_connection(void **state)
{
    (void)state;
    struct lp2p_slice message = own_message(1, 1), out;
    struct lp2p_multiaddr none = {0};
    struct lp2p_identify_info info;
    assert_int_equal(lp2p_identify_compose(lp2p_slice_span(&message), &none, lp2p_span(NULL, 0), &out),
                     LP2P_OK);
    assert_int_equal(read_stream(lp2p_slice_span(&out), 64, &other, "/ip4/127.0.0.1/tcp/1", &info),
                     LP2P_EWRONGPEER);
    assert_null(info.addrs);
    /* The control: the same bytes from the peer whose key is in them. */
    assert_int_equal(read_stream(lp2p_slice_span(&out), 64, &ctx.self, "/ip4/127.0.0.1/tcp/1", &info), LP2P_OK);
    assert_non_null(info.addrs);
    lp2p_identify_info_drop(&info);
    lp2p_slice_drop(&out);
    lp2p_slice_drop(&message);
    static struct bytes broken;
    broken.len = 0;
    put_field(&broken, 1, lp2p_span_str("no key"));
    assert_int_equal(read_message(&broken, "/ip4/127.0.0.1/tcp/1", &info), LP2P_EBADKEY);
}

/* A bad record is ignored and listenAddrs count; rust's records for example are always of another domain. */
static void test_AI4_bad_records_are_ignored(void **state)
{
    (void)state;
    static struct bytes message;
    struct lp2p_private_key key;
    struct lp2p_public_key pub;
    struct lp2p_peer_id id;
    make_key(2, &key, &pub, &id);
    const char *const listed[] = {"/ip4/10.0.0.1/tcp/1"}, *const certified[] = {"/ip4/10.0.0.2/tcp/1"};
    uint8_t record[1024];
    for (int kind = 0; kind < 6; kind++) {
        size_t len = 0;
        switch (kind) {
        case 0: /* of another peer */
            len = seal(&key, &id, 1, certified, 1, record, sizeof(record));
            break;
        case 1: /* the number that nothing follows */
            len = seal(&ctx.key, &ctx.self, UINT64_MAX, certified, 1, record, sizeof(record));
            break;
        case 2: /* no addresses */
            len = seal(&ctx.key, &ctx.self, 1, certified, 0, record, sizeof(record));
            break;
        case 3: /* a broken signature */
            len = seal(&ctx.key, &ctx.self, 1, certified, 1, record, sizeof(record));
            record[len - 1] ^= 1;
            break;
        case 4: /* of the domain that RFC 0003 names and nobody but old rust uses */
            assert_int_equal(lp2p_envelope_seal(&ctx.key, "libp2p-routing-state", lp2p_span("\x03\x01", 2),
                                                lp2p_span_str("x"), record, sizeof(record), &len),
                             LP2P_OK);
            break;
        default:
            memset(record, 0xff, len = 100);
            break;
        }
        message.len = 0;
        put_addr(&message, listed[0]);
        put_field(&message, 8, lp2p_span(record, len));
        struct lp2p_identify_info info;
        assert_int_equal(read_message(&message, "/ip4/10.0.0.7/tcp/1", &info), LP2P_OK);
        assert_false(info.certified);
        assert_addrs(&info, listed, 1);
        lp2p_identify_info_drop(&info);
    }
}

/* AI3: valid records of others say nothing of the peer that sends them, and nothing of them is kept. */
static void test_AI3_records_of_others(void **state)
{
    (void)state;
    static struct bytes message;
    const char *const certified[] = {"/ip4/10.0.0.2/tcp/1"};
    uint8_t record[1024];
    struct lp2p_identify_info info;
    for (unsigned i = 0; i < 300; i++) {
        struct lp2p_private_key key;
        struct lp2p_public_key pub;
        struct lp2p_peer_id id;
        make_key(100 + i, &key, &pub, &id);
        message.len = 0;
        put_field(&message, 8, lp2p_span(record, seal(&key, &id, 1, certified, 1, record, sizeof(record))));
        assert_int_equal(read_message(&message, "/ip4/10.0.0.7/tcp/1", &info), LP2P_OK);
        assert_true(!info.certified && info.addrs == NULL);
        lp2p_identify_info_drop(&info);
    }
    /* The control: the sender's own record is taken. */
    message.len = 0;
    put_field(&message, 8, lp2p_span(record, seal(&ctx.key, &ctx.self, 1, certified, 1, record, sizeof(record))));
    assert_int_equal(read_message(&message, "/ip4/10.0.0.7/tcp/1", &info), LP2P_OK);
    assert_true(info.certified);
    assert_addrs(&info, certified, 1);
    lp2p_identify_info_drop(&info);
}

static void test_identify_addresses(void **state)
{
    (void)state;
    static struct bytes message;
    struct lp2p_identify_info info;
    char self[LP2P_PEER_ID_TEXT_MAX], foreign[LP2P_PEER_ID_TEXT_MAX], text[256];
    lp2p_peer_id_text(&ctx.self, self);
    lp2p_peer_id_text(&other, foreign);
    message.len = 0;
    put_addr(&message, "/ip4/10.0.0.1/tcp/1");
    put_addr(&message, "/ip4/10.0.0.1/tcp/1"); /* twice */
    snprintf(text, sizeof(text), "/ip4/10.0.0.2/tcp/1/p2p/%s", self);
    put_addr(&message, text); /* our suffix is stripped */
    snprintf(text, sizeof(text), "/ip4/10.0.0.3/tcp/1/p2p/%s", foreign);
    put_addr(&message, text); /* another's: dropped */
    snprintf(text, sizeof(text), "/p2p/%s", self);
    put_addr(&message, text);                         /* nothing is left */
    put_field(&message, 2, lp2p_span_str("garbage")); /* not an address */
    put_addr(&message, "/ip4/127.0.0.1/tcp/1");
    put_addr(&message, "/ip4/0.0.0.0/tcp/1");
    put_addr(&message, "/ip4/8.8.8.8/tcp/1");
    const struct {
        const char *remote;
        const char *kept[4];
        size_t len;
    } cases[] = {
        {"/ip4/127.0.0.1/tcp/9",
         {"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1"},
         4},
        {"/ip4/192.168.1.1/tcp/9", {"/ip4/10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1", "/ip4/8.8.8.8/tcp/1"}, 3},
        {"/ip4/9.9.9.9/tcp/9", {"/ip4/8.8.8.8/tcp/1"}, 1},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        assert_int_equal(read_message(&message, cases[i].remote, &info), LP2P_OK);
        assert_addrs(&info, cases[i].kept, cases[i].len);
        lp2p_identify_info_drop(&info);
    }
}

static void test_AI2_chunks_of_protocols_and_addresses(void **state)
{
    (void)state;
    static struct bytes stream, message;
    struct lp2p_identify_info info;
    stream.len = message.len = 0;
    for (unsigned i = 0; i < 200; i++) {
        char text[64];
        snprintf(text, sizeof(text), "/ip4/10.0.%u.1/tcp/1", i);
        put_addr(&message, text);
    }
    put_frame(&stream, &message);
    for (unsigned part = 0; part < 3; part++) {
        message.len = 0;
        for (unsigned i = 0; i < 600; i++) {
            char text[64];
            snprintf(text, sizeof(text), "/p/%u", part * 200 + i); /* each part repeats most of the last */
            put_field(&message, 3, lp2p_span_str(text));
        }
        put_frame(&stream, &message);
    }
    assert_int_equal(read_bytes(&stream, "/ip4/10.0.0.7/tcp/1", &info), LP2P_OK);
    assert_int_equal(info.addrs->len, LP2P_IDENTIFY_ADDRS_MAX);
    assert_int_equal(info.protocols->len, LP2P_IDENTIFY_PROTOCOLS_MAX);
    assert_string_equal(info.protocols->items[LP2P_IDENTIFY_PROTOCOLS_MAX - 1], "/p/255");
    lp2p_identify_info_drop(&info);
}

static void test_identify_hostile_texts(void **state)
{
    (void)state;
    static struct bytes message;
    struct lp2p_identify_info info;
    char long_id[LP2P_PROTOCOL_ID_MAX + 1];
    memset(long_id, 'p', sizeof(long_id));
    message.len = 0;
    put_field(&message, 3, lp2p_span_str("/good/1"));
    put_field(&message, 3, lp2p_span_str("/bell\x07"));
    put_field(&message, 3, lp2p_span_str("/space here"));
    put_field(&message, 3, lp2p_span("/nul\0x", 6));
    put_field(&message, 3, lp2p_span_str(""));
    put_field(&message, 3, lp2p_span_str("/bad\xff utf8"));
    put_field(&message, 3, lp2p_span(long_id, LP2P_PROTOCOL_ID_MAX));
    put_field(&message, 3, lp2p_span(long_id, LP2P_PROTOCOL_ID_MAX - 1));
    put_field(&message, 5, lp2p_span_str("v\n"));
    put_field(&message, 6, lp2p_span_str("agent\x1b[2J"));
    put_field(&message, 4, lp2p_span_str("not an address"));
    assert_int_equal(read_message(&message, "/ip4/10.0.0.7/tcp/1", &info), LP2P_OK);
    assert_int_equal(info.protocols->len, 2);
    assert_string_equal(info.protocols->items[0], "/good/1");
    assert_int_equal(strlen(info.protocols->items[1]), LP2P_PROTOCOL_ID_MAX - 1);
    assert_string_equal(info.agent, "agent?[2J");
    assert_string_equal(info.protocol_version, "v?");
    assert_int_equal(info.observed.len, 0);
    lp2p_identify_info_drop(&info);
    message.len = 0;
    put(&message, "\x0a\xff", 2); /* a length beyond the message */
    assert_int_equal(read_message(&message, "/ip4/10.0.0.7/tcp/1", &info), LP2P_EMALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identify_merges_messages),
        cmocka_unit_test(test_identify_absent_parts_are_absent),
        cmocka_unit_test(test_AI1_oversize_identify),
        cmocka_unit_test(test_identify_truncated),
        cmocka_unit_test(test_AI7_key_differs_from_the_connection),
        cmocka_unit_test(test_AI4_bad_records_are_ignored),
        cmocka_unit_test(test_AI3_records_of_others),
        cmocka_unit_test(test_identify_addresses),
        cmocka_unit_test(test_AI2_chunks_of_protocols_and_addresses),
        cmocka_unit_test(test_identify_hostile_texts),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
