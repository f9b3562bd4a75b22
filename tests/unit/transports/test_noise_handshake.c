/* SPDX-License-Identifier: MIT
 * The symmetric part of Noise XX against the published vectors, and its AEAD with each library of ciphers. */
#include "base/check.h"
#include "noise/handshake.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pthread.h>
#include <sodium.h>

static void key_member(yyjson_val *vector, const char *name, uint8_t out[32])
{
    assert_int_equal(vectors_unhex(vectors_str(vector, name), out, 32), 32);
}

static void init_side(struct lp2p_xx *xx, yyjson_val *vector, bool initiator)
{
    uint8_t s_secret[32], s_public[32], e_secret[32];
    struct lp2p_span prologue = vectors_hex(vector, "prologue");
    key_member(vector, initiator ? "init_static" : "resp_static", s_secret);
    key_member(vector, initiator ? "init_ephemeral" : "resp_ephemeral", e_secret);
    crypto_scalarmult_curve25519_base(s_public, s_secret);
    lp2p_xx_init(xx, initiator, prologue, s_secret, s_public, e_secret);
    vectors_free(prologue);
}

/** One message of the vector from writer to reader, as handshake message or as transport message. */
static void pass_message(yyjson_val *message, size_t index, struct lp2p_xx sides[2],
                         struct lp2p_aead sealers[2], struct lp2p_aead openers[2])
{
    struct lp2p_span payload = vectors_hex(message, "payload"), expected = vectors_hex(message, "ciphertext");
    bool from_initiator = strcmp(vectors_str(message, "sender"), "initiator") == 0;
    int writer = from_initiator ? 0 : 1;
    uint8_t buffer[1024];
    struct lp2p_span read = {0};
    size_t len = 0;
    assert_true(expected.len <= sizeof(buffer));
    if (index < LP2P_XX_MESSAGES) {
        assert_int_equal(lp2p_xx_read(&sides[writer], buffer, sizeof(buffer), &read), LP2P_ESTATE);
        assert_int_equal(lp2p_xx_write(&sides[writer], payload, buffer, &len), LP2P_OK);
        assert_int_equal(len, payload.len + lp2p_xx_overhead((unsigned)index));
        assert_int_equal(len, expected.len);
        assert_memory_equal(buffer, expected.ptr, len);
        assert_int_equal(lp2p_xx_read(&sides[1 - writer], buffer, len, &read), LP2P_OK);
    } else {
        memcpy(buffer, payload.ptr, payload.len);
        assert_int_equal(lp2p_aead_seal(&sealers[writer], lp2p_span(NULL, 0), buffer, payload.len), LP2P_OK);
        len = payload.len + LP2P_AEAD_TAG;
        assert_int_equal(len, expected.len);
        assert_memory_equal(buffer, expected.ptr, len);
        assert_int_equal(lp2p_aead_open(&openers[1 - writer], lp2p_span(NULL, 0), buffer, payload.len),
                         LP2P_OK);
        read = lp2p_span(buffer, payload.len);
    }
    assert_true(lp2p_span_eq(read, payload));
    vectors_free(payload);
    vectors_free(expected);
}

static void check_split(yyjson_val *vector, struct lp2p_xx sides[2], struct lp2p_aead sealers[2],
                        struct lp2p_aead openers[2])
{
    uint8_t hash[32], forth[32], back[32];
    key_member(vector, "handshake_hash", hash);
    key_member(vector, "key_initiator_to_responder", forth);
    key_member(vector, "key_responder_to_initiator", back);
    for (int i = 0; i < 2; i++) {
        uint8_t send_key[32], recv_key[32];
        lp2p_xx_split(&sides[i], send_key, recv_key);
        assert_memory_equal(sides[i].h, hash, 32);
        assert_memory_equal(send_key, i == 0 ? forth : back, 32);
        assert_memory_equal(recv_key, i == 0 ? back : forth, 32);
        assert_memory_equal(sides[i].rs, sides[1 - i].s_public, 32);
        lp2p_aead_init(&sealers[i], send_key, true);
        lp2p_aead_init(&openers[i], recv_key, true);
    }
}

static const char *const ciphers[] = {"libgcrypt", "libcrypto", "libsodium"};

/** Makes keys use the library that the test is for. */
static void use_cipher(void **state)
{
    assert_int_equal(lp2p_noise_cipher(*state), LP2P_OK);
    assert_string_equal(lp2p_noise_cipher_name(), *state);
}

static void test_noise_handshake_vectors(void **state)
{
    use_cipher(state);
    yyjson_doc *doc = vectors_load("noise-xx.json");
    size_t i, max;
    yyjson_val *vector;
    yyjson_arr_foreach(vectors_array(doc, "vectors"), i, max, vector)
    {
        struct lp2p_xx sides[2];
        struct lp2p_aead sealers[2], openers[2];
        init_side(&sides[0], vector, true);
        init_side(&sides[1], vector, false);
        size_t k, count;
        yyjson_val *message;
        yyjson_arr_foreach(vectors_get(vector, "messages"), k, count, message)
        {
            if (k == LP2P_XX_MESSAGES) {
                check_split(vector, sides, sealers, openers);
            }
            pass_message(message, k, sides, sealers, openers);
        }
        assert_true(count > LP2P_XX_MESSAGES);
        for (int s = 0; s < 2; s++) {
            lp2p_aead_fini(&sealers[s]);
            lp2p_aead_fini(&openers[s]);
            lp2p_xx_wipe(&sides[s]);
            assert_true(sodium_is_zero((const uint8_t *)&sides[s], sizeof(sides[s])));
        }
    }
    yyjson_doc_free(doc);
}

static void key_with(struct lp2p_aead *aead, const char *cipher, uint8_t first)
{
    uint8_t key[32] = {first};
    assert_int_equal(lp2p_noise_cipher(cipher), LP2P_OK);
    lp2p_aead_init(aead, key, true);
}

/** Every library gives the same bytes and opens what the others sealed, with and without additional data. */
static void test_noise_aead_libraries_agree(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16, 63, 64, 65, 128, 1023, 1024, 1025, 16384, 65519};
    uint8_t *sealed = malloc(65536), *plain = malloc(65536), *text = malloc(65536), key[32] = {7};
    struct lp2p_aead reference, sealer, opener;
    for (size_t c = 0; c < LP2P_ARRAY_LEN(ciphers); c++) {
        if (lp2p_noise_cipher(ciphers[c]) != LP2P_OK) {
            print_message("%s is not there\n", ciphers[c]);
            continue;
        }
        lp2p_aead_init(&reference, key, false);
        lp2p_aead_init(&sealer, key, true);
        lp2p_aead_init(&opener, key, true);
        for (size_t i = 0; i < LP2P_ARRAY_LEN(sizes) * 2; i++) {
            size_t len = sizes[i / 2];
            struct lp2p_span ad = lp2p_span("header", i % 2 == 0 ? 0 : 6);
            for (size_t k = 0; k < len; k++) {
                plain[k] = text[k] = sealed[k] = (uint8_t)(k * 31 + i);
            }
            assert_int_equal(lp2p_aead_seal(&reference, ad, text, len), LP2P_OK);
            assert_int_equal(lp2p_aead_seal(&sealer, ad, sealed, len), LP2P_OK);
            assert_memory_equal(text, sealed, len + LP2P_AEAD_TAG);
            assert_int_equal(lp2p_aead_open(&opener, ad, text, len), LP2P_OK);
            assert_memory_equal(text, plain, len);
        }
        assert_int_equal(sealer.nonce, LP2P_ARRAY_LEN(sizes) * 2);
        lp2p_aead_fini(&reference);
        lp2p_aead_fini(&sealer);
        lp2p_aead_fini(&opener);
        lp2p_aead_fini(&opener); /* harmless */
        assert_true(sodium_is_zero((const uint8_t *)&sealer, sizeof(sealer)));
    }
    assert_int_equal(lp2p_noise_cipher("rot13"), LP2P_ENOTFOUND);
    assert_int_equal(lp2p_noise_cipher(NULL), LP2P_OK);
    free(sealed);
    free(plain);
    free(text);
}

/** A text whose parts lie elsewhere is sealed as the same text in one place. */
static void test_noise_aead_parts(void **state)
{
    use_cipher(state);
    enum { LEN = 20000 };
    static uint8_t plain[LEN], whole[LEN + LP2P_AEAD_TAG], text[LEN + LP2P_AEAD_TAG];
    static const size_t cuts[][4] = {{0, LEN, LEN, LEN},     {12, LEN, LEN, LEN},       {0, 1, 1, 2},
                                     {12, 4096, 4097, 9000}, {12, 30, 64, LEN - 1},     {63, 64, 65, LEN - 7},
                                     {500, 500, 500, 501},   {1, LEN - 1, LEN - 1, LEN}};
    struct lp2p_aead sealer, reference;
    for (size_t i = 0; i < LEN; i++) {
        plain[i] = (uint8_t)(i * 13);
    }
    key_with(&sealer, *state, 5);
    lp2p_aead_init(&reference, sealer.key, false);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cuts); i++) {
        const size_t *cut = cuts[i];
        struct lp2p_secure_part parts[] = {{cut[0], lp2p_span(plain + cut[0], cut[1] - cut[0])},
                                           {cut[2], lp2p_span(plain + cut[2], cut[3] - cut[2])}};
        memcpy(whole, plain, LEN);
        memcpy(text, plain, LEN);
        for (size_t k = 0; k < LP2P_ARRAY_LEN(parts); k++) {
            memset(text + parts[k].at, 0xee, parts[k].bytes.len); /* is not looked at */
        }
        assert_int_equal(lp2p_aead_seal(&reference, lp2p_span(NULL, 0), whole, LEN), LP2P_OK);
        assert_int_equal(lp2p_aead_seal_parts(&sealer, text, LEN, parts, 2), LP2P_OK);
        assert_memory_equal(text, whole, sizeof(whole));
    }
    lp2p_aead_fini(&sealer);
    lp2p_aead_fini(&reference);
}

/** A key that only small texts were sealed with holds no context of libcrypto, and one of libgcrypt never. */
static void test_noise_aead_idle_key_is_small(void **state)
{
    use_cipher(state);
    uint8_t text[LP2P_AEAD_LARGE + LP2P_AEAD_TAG] = {0};
    bool libcrypto = strcmp(*state, "libcrypto") == 0;
    struct lp2p_aead aead;
    key_with(&aead, *state, 1);
    assert_int_equal(lp2p_aead_seal(&aead, lp2p_span(NULL, 0), text, LP2P_AEAD_LARGE - 1), LP2P_OK);
    assert_null(aead.context);
    assert_int_equal(lp2p_aead_seal(&aead, lp2p_span(NULL, 0), text, LP2P_AEAD_LARGE), LP2P_OK);
    assert_true((aead.context != NULL) == libcrypto);
    lp2p_aead_fini(&aead);
}

/** A flipped bit anywhere: EAUTH, the bytes are gone, and the right text is still accepted afterwards. */
static void test_noise_aead_tampered(void **state)
{
    use_cipher(state);
    static const size_t sizes[] = {1, 100, 5000};
    uint8_t good[5016], bad[5016];
    struct lp2p_aead sealer, opener;
    key_with(&sealer, *state, 3);
    key_with(&opener, *state, 3);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(sizes); i++) {
        size_t len = sizes[i];
        memset(good, 0x5a, len);
        assert_int_equal(lp2p_aead_seal(&sealer, lp2p_span(NULL, 0), good, len), LP2P_OK);
        for (size_t k = 0; k < len + LP2P_AEAD_TAG; k += len / 64 + 1) {
            memcpy(bad, good, len + LP2P_AEAD_TAG);
            bad[k] ^= 1;
            assert_int_equal(lp2p_aead_open(&opener, lp2p_span(NULL, 0), bad, len), LP2P_EAUTH);
            assert_true(sodium_is_zero(bad, len));
        }
        assert_int_equal(lp2p_aead_open(&opener, lp2p_span(NULL, 0), good, len), LP2P_OK);
        assert_true(good[0] == 0x5a && good[len - 1] == 0x5a);
    }
    lp2p_aead_fini(&sealer);
    lp2p_aead_fini(&opener);
}

#define CROWD 200 /* keys: several share a place of libgcrypt's contexts */

/** Seals and opens with many keys in turn; keys come and go. What each gives is what libsodium gives. */
static void *crowd(void *cipher)
{
    static const uint8_t zeroes[64];
    struct lp2p_aead keys[CROWD], openers[CROWD];
    for (size_t i = 0; i < CROWD; i++) {
        uint8_t key[32] = {(uint8_t)i, 1};
        lp2p_aead_init(&keys[i], key, true);
        lp2p_aead_init(&openers[i], key, true);
    }
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 0; i < CROWD; i++) {
            uint8_t text[64 + LP2P_AEAD_TAG] = {0}, expected[64 + LP2P_AEAD_TAG] = {0},
                              key[32] = {(uint8_t)i, 1};
            struct lp2p_aead reference;
            lp2p_aead_init(&reference, key, false);
            reference.nonce = keys[i].nonce;
            LP2P_CHECK(lp2p_aead_seal(&reference, lp2p_span(NULL, 0), expected, 64) == LP2P_OK);
            lp2p_aead_fini(&reference);
            LP2P_CHECK(lp2p_aead_seal(&keys[i], lp2p_span(NULL, 0), text, 64) == LP2P_OK);
            LP2P_CHECK(memcmp(text, expected, sizeof(text)) == 0);
            LP2P_CHECK(lp2p_aead_open(&openers[i], lp2p_span(NULL, 0), text, 64) == LP2P_OK);
            LP2P_CHECK(memcmp(text, zeroes, 64) == 0);
            if (i % 7 == round) { /* a new connection */
                lp2p_aead_fini(&keys[i]);
                lp2p_aead_fini(&openers[i]);
                lp2p_aead_init(&keys[i], key, true);
                lp2p_aead_init(&openers[i], key, true);
            }
        }
    }
    for (size_t i = 0; i < CROWD; i++) {
        lp2p_aead_fini(&keys[i]);
        lp2p_aead_fini(&openers[i]);
    }
    return cipher;
}

static void test_noise_aead_many_keys_and_threads(void **state)
{
    use_cipher(state);
    pthread_t threads[4];
    for (size_t i = 0; i < LP2P_ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, crowd, *state), 0);
    }
    for (size_t i = 0; i < LP2P_ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

/** The last counter is reserved, and a refused text does not move the counter (RUSTSEC-2024-0011,
 * CVE-2021-4239). */
static void test_noise_aead_counter(void **state)
{
    use_cipher(state);
    uint8_t key[32] = {2}, text[2000] = {0};
    struct lp2p_aead sealer, opener;
    for (size_t len = 20; len < 2000; len += 1500) {
        lp2p_aead_init(&sealer, key, true);
        lp2p_aead_init(&opener, key, true);
        sealer.nonce = opener.nonce = UINT64_MAX - 1;
        assert_int_equal(lp2p_aead_seal(&sealer, lp2p_span(NULL, 0), text, len), LP2P_OK);
        text[3] ^= 1;
        assert_int_equal(lp2p_aead_open(&opener, lp2p_span(NULL, 0), text, len), LP2P_EAUTH);
        assert_true(opener.nonce == UINT64_MAX - 1);
        lp2p_aead_fini(&sealer);
        lp2p_aead_init(&sealer, key, true);
        sealer.nonce = UINT64_MAX - 1;
        memset(text, 0, sizeof(text));
        assert_int_equal(lp2p_aead_seal(&sealer, lp2p_span(NULL, 0), text, len), LP2P_OK);
        assert_int_equal(lp2p_aead_open(&opener, lp2p_span(NULL, 0), text, len), LP2P_OK);
        assert_int_equal(lp2p_aead_seal(&sealer, lp2p_span(NULL, 0), text, len), LP2P_ELIMIT);
        assert_int_equal(lp2p_aead_open(&opener, lp2p_span(NULL, 0), text, len), LP2P_ELIMIT);
        assert_true(sealer.nonce == UINT64_MAX && opener.nonce == UINT64_MAX);
        lp2p_aead_fini(&sealer);
        lp2p_aead_fini(&opener);
    }
}

/** The same test with each library of ciphers. */
#define WITH_CIPHER(test, cipher) {#test "_" cipher, test, NULL, NULL, (void *)(uintptr_t)cipher}
#define EACH_CIPHER(test)                                                                                    \
    WITH_CIPHER(test, "libgcrypt"), WITH_CIPHER(test, "libcrypto"), WITH_CIPHER(test, "libsodium")

int main(void)
{
    const struct CMUnitTest all[] = {
        EACH_CIPHER(test_noise_handshake_vectors),
        EACH_CIPHER(test_noise_aead_idle_key_is_small),
        EACH_CIPHER(test_noise_aead_parts),
        EACH_CIPHER(test_noise_aead_tampered),
        EACH_CIPHER(test_noise_aead_counter),
        EACH_CIPHER(test_noise_aead_many_keys_and_threads),
        cmocka_unit_test(test_noise_aead_libraries_agree),
    };
    struct CMUnitTest tests[LP2P_ARRAY_LEN(all)];
    size_t len = 0;
    if (sodium_init() < 0) {
        return 1;
    }
    for (size_t i = 0; i < LP2P_ARRAY_LEN(all); i++) { /* without those whose library is not compiled in */
        if (lp2p_noise_cipher(all[i].initial_state) == LP2P_OK) {
            tests[len++] = all[i];
        }
    }
    return _cmocka_run_group_tests("tests", tests, len, NULL, NULL);
}
