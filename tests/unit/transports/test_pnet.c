/* SPDX-License-Identifier: MIT
 * Private networks: key files in every encoding, the published streams in any cutting, the fingerprint. */
#include "pnet/pnet.h"

#include "base/check.h"
#include "pnet/shake128.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define HEAD "/key/swarm/psk/1.0.0/\n"
#define HEX "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683"

static void read_key(const char *hex, struct lp2p_pnet_key *key)
{
    assert_int_equal(vectors_unhex(hex, key->bytes, sizeof(key->bytes)), sizeof(key->bytes));
}

static void test_pnet_key_file_vectors(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("pnet.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "key_files"), i, max, entry)
    {
        struct lp2p_pnet_key key, want;
        struct lp2p_span file = vectors_copy(vectors_text(entry, "text"));
        bool valid = vectors_flag(entry, "valid");
        assert_int_equal(lp2p_pnet_key_read(file, &key), valid ? LP2P_OK : LP2P_EMALFORMED);
        if (valid) {
            read_key(vectors_str(entry, "key"), &want);
            assert_memory_equal(&key, &want, sizeof(key));
        }
        vectors_free(file);
    }
    yyjson_doc_free(doc);
}

static void test_pnet_key_files(void **state)
{
    (void)state;
#define FILE_OF(good, text) {good, sizeof(text) - 1, text}
    static const struct {
        bool good;
        size_t len;
        const char *text;
    } cases[] = {
        FILE_OF(true, HEAD "/base16/\n" HEX),
        FILE_OF(true, HEAD "/base16/\n6189C5CF0B87FB800C1A9FEEDA73C6AB5E998DB48FB9E6A978575C770CEEF683\n"),
        FILE_OF(true, "/key/swarm/psk/1.0.0/\r\n/base16/\r\n" HEX "\r\n"),
        FILE_OF(true, HEAD "/base16/\n" HEX "\n\n"),
        FILE_OF(true, HEAD "/base64/\nYYnFzwuH+4AMGp/u2nPGq16ZjbSPueapeFdcdwzu9oM="),
        FILE_OF(true, HEAD "/bin/\n\x61\x89\xc5\xcf\x0b\x87\xfb\x80\x0c\x1a\x9f\xee\xda\x73\xc6\xab"
                           "\x5e\x99\x8d\xb4\x8f\xb9\xe6\xa9\x78\x57\x5c\x77\x0c\xee\xf6\x83"),
        FILE_OF(true, HEAD "/bin/\n\x61\x89\xc5\xcf\x0b\x87\xfb\x80\x0c\x1a\x9f\xee\xda\x73\xc6\xab"
                           "\x5e\x99\x8d\xb4\x8f\xb9\xe6\xa9\x78\x57\x5c\x77\x0c\xee\xf6\x83\n"),
        FILE_OF(false, ""),
        FILE_OF(false, HEAD),
        FILE_OF(false, HEAD "/base16/\n"),
        FILE_OF(false, HEAD "/base16/"),
        FILE_OF(false, HEAD "/base32/\n" HEX "\n"),
        FILE_OF(false, "/key/swarm/psk/2.0.0/\n/base16/\n" HEX "\n"),
        FILE_OF(false, HEAD "/base16/\n" HEX "00\n"),
        FILE_OF(false, HEAD "/base16/\n6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef68g\n"),
        FILE_OF(false, HEAD "/base16/\n " HEX "\n"),
        FILE_OF(false, HEAD "/base16/\n" HEX "\nmore\n"),
        FILE_OF(false, HEAD "/base64/\nYYnFzwuH+4AMGp/u2nPGq16ZjbSPueapeFdcdwzu9o\n"),
        FILE_OF(false, HEAD "/base64/\nYYnFzwuH+4AMGp/u2nPGq16ZjbSPueapeFdcdwzu9oM\n"),
        FILE_OF(false, HEAD "/bin/\n\x61\x89\xc5\xcf\x0b\x87\xfb\x80"),
        FILE_OF(false, HEAD "/bin/\n" HEX),
        FILE_OF(false, HEAD "/base16/\n" HEX HEX HEX HEX "\n"),
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_pnet_key key, want;
        struct lp2p_span file = vectors_copy(lp2p_span(cases[i].text, cases[i].len));
        memset(&key, 0xee, sizeof(key));
        assert_int_equal(lp2p_pnet_key_read(file, &key), cases[i].good ? LP2P_OK : LP2P_EMALFORMED);
        memset(&want, 0, sizeof(want)); /* nothing of a bad file stays */
        if (cases[i].good) {
            read_key(HEX, &want);
        }
        assert_memory_equal(&key, &want, sizeof(key));
        vectors_free(file);
    }
    /* A raw key may end in bytes that look like line ends. */
    uint8_t file[sizeof(HEAD "/bin/\n") - 1 + 32];
    struct lp2p_pnet_key key;
    memcpy(file, HEAD "/bin/\n", sizeof(file) - 32);
    memset(file + sizeof(file) - 32, '\n', 32);
    assert_int_equal(lp2p_pnet_key_read(lp2p_span(file, sizeof(file)), &key), LP2P_OK);
    assert_memory_equal(key.bytes, file + sizeof(file) - 32, 32);
}

static void test_pnet_fingerprint(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("pnet.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "fingerprint"), i, max, entry)
    {
        struct lp2p_pnet_key key;
        uint8_t got[16], want[16];
        read_key(vectors_str(entry, "key"), &key);
        vectors_unhex(vectors_str(entry, "fingerprint"), want, sizeof(want));
        lp2p_pnet_fingerprint(&key, got);
        assert_memory_equal(got, want, sizeof(got));
    }
    yyjson_doc_free(doc);
    /* SHAKE128 of nothing, from the standard's examples */
    uint8_t got[32], want[32];
    vectors_unhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26", want, sizeof(want));
    lp2p_shake128(NULL, 0, got, sizeof(got));
    assert_memory_equal(got, want, sizeof(got));
}

/* One entry: all its chunks as one key stream, cut anew into pieces, in place or not. */
static void play(yyjson_val *entry, size_t piece, bool in_place)
{
    struct lp2p_pnet_key key;
    struct lp2p_pnet_stream stream;
    uint8_t nonce[LP2P_PNET_NONCE_BYTES], plain[1024], cipher[1024], got[1024];
    size_t len = 0, i, max;
    yyjson_val *chunk;
    read_key(vectors_str(entry, "key"), &key);
    vectors_unhex(vectors_str(entry, "nonce"), nonce, sizeof(nonce));
    yyjson_arr_foreach(vectors_get(entry, "chunks"), i, max, chunk)
    {
        vectors_unhex(vectors_str(chunk, "plain"), plain + len, sizeof(plain) - len);
        len += vectors_unhex(vectors_str(chunk, "cipher"), cipher + len, sizeof(cipher) - len);
    }
    lp2p_pnet_stream_init(&stream, &key, nonce);
    memcpy(got, plain, len);
    for (size_t at = 0; at < len; at += piece) {
        size_t part = LP2P_MIN(piece, len - at);
        lp2p_pnet_stream_xor(&stream, in_place ? got + at : plain + at, got + at, part);
    }
    assert_memory_equal(got, cipher, len);
    lp2p_pnet_stream_wipe(&stream);
    static const struct lp2p_pnet_stream zero;
    assert_memory_equal(&stream, &zero, sizeof(stream));
}

static void test_pnet_streams_in_any_cutting(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("pnet.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "streams"), i, max, entry)
    {
        for (size_t piece = 1; piece < 260; piece++) {
            play(entry, piece, piece % 2 == 0);
        }
    }
    yyjson_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pnet_key_file_vectors),
        cmocka_unit_test(test_pnet_key_files),
        cmocka_unit_test(test_pnet_fingerprint),
        cmocka_unit_test(test_pnet_streams_in_any_cutting),
    };
    return cmocka_run_group_tests_name("pnet", tests, NULL, NULL);
}
