/* SPDX-License-Identifier: MIT
 * The symmetric part of Noise XX against the published vectors, and its AEAD with and without libcrypto. */
#include "base/check.h"
#include "noise/handshake.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
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

static void test_noise_handshake_vectors(void **state)
{
    (void)state;
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

/** libcrypto's way and libsodium's way give the same bytes and open each other's, with and without additional
 * data. */
static void test_noise_aead_both_ways(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16, 1023, 1024, 1025, 16384, 65519};
    uint8_t key[32], *a = malloc(65536), *b = malloc(65536), *plain = malloc(65536);
    struct lp2p_aead large, small, opener;
    memset(key, 7, sizeof(key));
    lp2p_aead_init(&large, key, true);
    lp2p_aead_init(&small, key, false);
    lp2p_aead_init(&opener, key, true);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(sizes) * 2; i++) {
        size_t len = sizes[i / 2];
        struct lp2p_span ad = lp2p_span("header", i % 2 == 0 ? 0 : 6);
        for (size_t k = 0; k < len; k++) {
            plain[k] = a[k] = b[k] = (uint8_t)(k * 31 + i);
        }
        assert_int_equal(lp2p_aead_seal(&large, ad, a, len), LP2P_OK);
        assert_int_equal(lp2p_aead_seal(&small, ad, b, len), LP2P_OK);
        assert_memory_equal(a, b, len + LP2P_AEAD_TAG);
        assert_int_equal(lp2p_aead_open(&opener, ad, a, len), LP2P_OK);
        assert_memory_equal(a, plain, len);
    }
    assert_int_equal(large.nonce, LP2P_ARRAY_LEN(sizes) * 2);
    lp2p_aead_fini(&large);
    lp2p_aead_fini(&small);
    lp2p_aead_fini(&opener);
    lp2p_aead_fini(&opener); /* harmless */
    free(a);
    free(b);
    free(plain);
}

static void test_noise_aead_context_is_lazy(void **state)
{
    (void)state;
    uint8_t key[32] = {1}, text[LP2P_AEAD_LARGE + LP2P_AEAD_TAG] = {0};
    struct lp2p_aead aead;
    lp2p_aead_init(&aead, key, true);
    assert_int_equal(lp2p_aead_seal(&aead, lp2p_span(NULL, 0), text, LP2P_AEAD_LARGE - 1), LP2P_OK);
    assert_null(aead.evp);
    assert_int_equal(lp2p_aead_seal(&aead, lp2p_span(NULL, 0), text, LP2P_AEAD_LARGE), LP2P_OK);
#ifdef LP2P_HAVE_LIBCRYPTO
    assert_non_null(aead.evp);
#else
    assert_null(aead.evp);
#endif
    lp2p_aead_fini(&aead);
    assert_true(sodium_is_zero((const uint8_t *)&aead, sizeof(aead)));
}

/** The last counter is reserved, and a refused text does not move the counter (RUSTSEC-2024-0011,
 * CVE-2021-4239). */
static void test_noise_aead_counter(void **state)
{
    (void)state;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_handshake_vectors),
        cmocka_unit_test(test_noise_aead_both_ways),
        cmocka_unit_test(test_noise_aead_context_is_lazy),
        cmocka_unit_test(test_noise_aead_counter),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
