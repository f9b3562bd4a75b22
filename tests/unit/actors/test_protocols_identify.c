/* SPDX-License-Identifier: MIT
 * Identify as a codec: what is sent reads back, and what a lying or careless peer sends is bounded, filtered
 * or refused. */
#include "actors/protocols/identify.h"
#include "wire/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sodium.h>

static struct lp2p_context ctx;
static struct lp2p_peer_id other;

static void make_key(uint64_t seed, struct lp2p_private_key *key, struct lp2p_public_key *pub,
                     struct lp2p_peer_id *id)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, seed);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    lp2p_private_key_generate(&rand, key);
    lp2p_private_key_public(key, pub);
    lp2p_peer_id_from_key(pub, id);
}

static int group_setup(void **state)
{
    (void)state;
    struct lp2p_private_key key;
    struct lp2p_public_key pub;
    if (sodium_init() < 0) {
        return -1;
    }
    make_key(1, &ctx.key, &ctx.public_key, &ctx.self);
    make_key(2, &key, &pub, &other);
    snprintf(ctx.config.agent, sizeof(ctx.config.agent), "test/1.0");
    return 0;
}

static struct lp2p_multiaddr addr(const char *text)
{
    struct lp2p_multiaddr out;
    assert_int_equal(lp2p_multiaddr_from_text(text, &out, NULL), LP2P_OK);
    return out;
}

/* ---- a hand-made message */

struct bytes {
    uint8_t data[LP2P_IDENTIFY_TOTAL_MAX * 2];
    size_t len;
};

static void put(struct bytes *b, const void *data, size_t len)
{
    assert_true(b->len + len <= sizeof(b->data));
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void put_length(struct bytes *b, size_t len)
{
    uint8_t prefix[9];
    put(b, prefix, lp2p_frame_prefix(prefix, len));
}

static void put_field(struct bytes *b, unsigned field, struct lp2p_span value)
{
    uint8_t tag = (uint8_t)(field << 3 | 2);
    put(b, &tag, 1);
    put_length(b, value.len);
    put(b, value.ptr, value.len);
}

static void put_addr(struct bytes *b, const char *text)
{
    struct lp2p_multiaddr a = addr(text);
    put_field(b, 2, lp2p_multiaddr_span(&a));
}

static void put_frame(struct bytes *stream, const struct bytes *message)
{
    put_length(stream, message->len);
    put(stream, message->data, message->len);
}

/* Reads a stream that comes in pieces of `cut` bytes. */
static enum lp2p_err read_stream(struct lp2p_span stream, size_t cut, const struct lp2p_peer_id *peer,
                                 const char *remote, struct lp2p_identify_info *info)
{
    struct lp2p_identify_reader reader;
    struct lp2p_multiaddr from = addr(remote);
    lp2p_identify_reader_init(&reader);
    enum lp2p_err err = LP2P_OK;
    for (size_t at = 0; at < stream.len && err == LP2P_OK; at += cut) {
        err = lp2p_identify_reader_feed(&reader, lp2p_span(stream.ptr + at, LP2P_MIN(cut, stream.len - at)));
    }
    memset(info, 0, sizeof(*info));
    if (err == LP2P_OK) {
        err = lp2p_identify_reader_finish(&reader, peer, &from, info);
    }
    lp2p_identify_reader_fini(&reader);
    return err;
}

static enum lp2p_err read_bytes(const struct bytes *stream, const char *remote,
                                struct lp2p_identify_info *info)
{
    return read_stream(lp2p_span(stream->data, stream->len), 1000, &ctx.self, remote, info);
}

static enum lp2p_err read_message(const struct bytes *message, const char *remote,
                                  struct lp2p_identify_info *info)
{
    static struct bytes stream;
    stream.len = 0;
    put_frame(&stream, message);
    return read_bytes(&stream, remote, info);
}

static void assert_addrs(const struct lp2p_identify_info *info, const char *const *texts, size_t len)
{
    assert_non_null(info->addrs);
    assert_int_equal(info->addrs->len, len);
    for (size_t i = 0; i < len; i++) {
        struct lp2p_multiaddr expected = addr(texts[i]);
        assert_true(lp2p_multiaddr_eq(&expected, &info->addrs->items[i]));
    }
}

/* ---- our own messages */

static size_t seal(const struct lp2p_private_key *key, const struct lp2p_peer_id *peer, uint64_t seq,
                   const char *const *texts, size_t len, uint8_t *out, size_t cap)
{
    struct lp2p_peer_record *record = calloc(1, sizeof(*record));
    size_t sealed = 0;
    assert_non_null(record);
    record->peer = *peer;
    record->seq = seq;
    for (; record->addrs_len < len; record->addrs_len++) {
        record->addrs[record->addrs_len] = addr(texts[record->addrs_len]);
    }
    assert_int_equal(lp2p_peer_record_seal(key, record, out, cap, &sealed), LP2P_OK);
    free(record);
    return sealed;
}

static struct lp2p_slice own_message(size_t addrs_len, size_t protocols_len)
{
    struct lp2p_multiaddr addrs[LP2P_IDENTIFY_ADDRS_MAX];
    char ids[64][32];
    struct lp2p_span spans[64];
    for (size_t i = 0; i < addrs_len; i++) {
        char text[64];
        snprintf(text, sizeof(text), "/ip4/10.0.0.%u/tcp/%u", (unsigned)i + 1, 4000 + (unsigned)i);
        addrs[i] = addr(text);
    }
    for (size_t i = 0; i < protocols_len; i++) {
        snprintf(ids[i], sizeof(ids[i]), "/protocol/of/some/length/%zu", i);
        spans[i] = lp2p_span_str(ids[i]);
    }
    struct lp2p_addrs *list = lp2p_addrs_new(addrs, addrs_len);
    struct lp2p_strings *strings = lp2p_strings_new(spans, protocols_len);
    struct lp2p_slice message;
    assert_int_equal(lp2p_identify_encode(&ctx, list, strings, &message), LP2P_OK);
    lp2p_addrs_drop(&list);
    lp2p_strings_drop(&strings);
    return message;
}

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

/* ---- what others send */

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
        cmocka_unit_test(test_identify_round_trip),
        cmocka_unit_test(test_identify_hashed_key),
        cmocka_unit_test(test_identify_two_messages),
        cmocka_unit_test(test_identify_encode_stays_small),
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
