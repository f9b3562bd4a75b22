/* SPDX-License-Identifier: MIT
 * X25519 and Ed25519 by whichever library the build has, beside libsodium: the same results, the same verdicts, also where
 * implementations are known to differ (points of low order, encodings that are not reduced, S above the order, points with a
 * part of low order). With the control that the other library alone would differ. */
#include "wire/curve25519.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sodium.h>
#include <cmocka.h>
#ifdef LP2P_TEST_LIB25519
#include <lib25519.h>
#endif

typedef bool (*verify_fn)(const uint8_t key[32], struct lp2p_span message, const uint8_t signature[64]);

static bool by_sodium(const uint8_t key[32], struct lp2p_span message, const uint8_t signature[64])
{
    return crypto_sign_verify_detached(signature, message.ptr, message.len, key) == 0;
}

/* y of the points of low order, each in every encoding that 255 bits allow; the sign of x comes on top. */
static const uint8_t low[][32] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};
#define LOW (sizeof(low) / sizeof(low[0]))

static void low_point(size_t i, bool sign, uint8_t out[32])
{
    memcpy(out, low[i], 32);
    out[31] |= sign ? 0x80 : 0;
}

/* How the verdicts of `verify` compare to libsodium's. */
struct tally {
    size_t tried, accepted, differ;
};

static void compare(struct tally *tally, verify_fn verify, const uint8_t key[32], struct lp2p_span message,
                    const uint8_t signature[64])
{
    bool want = by_sodium(key, message, signature), have = verify(key, message, signature);
    tally->tried++;
    tally->accepted += want;
    tally->differ += want != have;
}

static uint8_t message_bytes[600];

static struct lp2p_span message_of(size_t len)
{
    return lp2p_span(message_bytes, len);
}

/* Honest signatures of every length around the copy's limit, and many with one bit changed. */
static struct tally honest(verify_fn verify)
{
    static const size_t lengths[] = {0, 1, 56, 255, 256, 257, 600};
    struct tally tally = {0};
    uint8_t pk[32], sk[64], signature[64], seed[32] = {9};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        seed[1] = (uint8_t)i;
        crypto_sign_seed_keypair(pk, sk, seed);
        struct lp2p_span message = message_of(lengths[i]);
        crypto_sign_detached(signature, NULL, message.ptr, message.len, sk);
        compare(&tally, verify, pk, message, signature);
        for (size_t bit = 0; bit < 512; bit += 5) {
            signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
            compare(&tally, verify, pk, message, signature);
            signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t bit = 0; bit < 256; bit += 3) {
            pk[bit / 8] ^= (uint8_t)(1u << bit % 8);
            compare(&tally, verify, pk, message, signature);
            pk[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t bit = 0; bit < message.len * 8; bit += 97) {
            message_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            compare(&tally, verify, pk, message, signature);
            message_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    return tally;
}

/* k, reduced: hash of R, key and message (RFC 8032 5.1.7). */
static void challenge(const uint8_t r[32], const uint8_t key[32], struct lp2p_span message, uint8_t k[32])
{
    uint8_t hash[64];
    crypto_hash_sha512_state state;
    crypto_hash_sha512_init(&state);
    crypto_hash_sha512_update(&state, r, 32);
    crypto_hash_sha512_update(&state, key, 32);
    crypto_hash_sha512_update(&state, message.ptr, message.len);
    crypto_hash_sha512_final(&state, hash);
    crypto_core_ed25519_scalar_reduce(k, hash);
}

/* A signature by the secret a under any key and any R that the equation is not asked about: S = r + k a. */
static void sign_as(const uint8_t a[32], const uint8_t r[32], const uint8_t key[32], const uint8_t point[32],
                    struct lp2p_span message, uint8_t signature[64])
{
    uint8_t k[32], ka[32];
    challenge(point, key, message, k);
    crypto_core_ed25519_scalar_mul(ka, k, a);
    memcpy(signature, point, 32);
    crypto_core_ed25519_scalar_add(signature + 32, r, ka);
}

/* Keys and Rs of low order, and honest ones with a part of low order added. */
static void low_orders(struct tally *tally, verify_fn verify)
{
    uint8_t a[32], r[32], honest_key[32], honest_r[32], key[32], point[32], signature[64], wide[64] = {7}, other[32];
    static const uint8_t zero[32];
    crypto_core_ed25519_scalar_reduce(a, wide);
    for (unsigned trial = 0; trial < 9; trial++) {
        wide[40] = (uint8_t)(trial + 1);
        crypto_core_ed25519_scalar_reduce(r, wide);
        assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(honest_key, a), 0);
        assert_int_equal(crypto_scalarmult_ed25519_base_noclamp(honest_r, r), 0);
        struct lp2p_span message = message_of(trial);
        for (size_t i = 0; i < LOW; i++) {
            for (int sign = 0; sign < 2; sign++) {
                low_point(i, sign != 0, other);
                for (size_t j = 0; j < LOW; j++) { /* both low: S = 0 solves the equation for some */
                    low_point(j, trial % 2 != 0, point);
                    sign_as(zero, zero, other, point, message, signature);
                    compare(tally, verify, other, message, signature);
                }
                sign_as(zero, r, other, honest_r, message, signature);
                compare(tally, verify, other, message, signature);
                sign_as(a, zero, honest_key, other, message, signature);
                compare(tally, verify, honest_key, message, signature);
                if (crypto_core_ed25519_add(key, honest_key, other) == 0) {
                    sign_as(a, r, key, honest_r, message, signature);
                    compare(tally, verify, key, message, signature);
                }
                if (crypto_core_ed25519_add(point, honest_r, other) == 0) {
                    sign_as(a, r, honest_key, point, message, signature);
                    compare(tally, verify, honest_key, message, signature);
                }
            }
        }
    }
}

/* Encodings beyond the field, as key and as R, and S with the order added as often as 256 bits allow. */
static void not_reduced(struct tally *tally, verify_fn verify)
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                      0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    uint8_t pk[32], sk[64], signature[64], edge[32], forged[64], seed[32] = {3};
    struct lp2p_span message = message_of(56);
    crypto_sign_seed_keypair(pk, sk, seed);
    crypto_sign_detached(signature, NULL, message.ptr, message.len, sk);
    for (unsigned y = 0; y < 512; y++) { /* the lowest and the highest 256, with both signs */
        for (int sign = 0; sign < 2; sign++) {
            memset(edge, y < 256 ? 0 : 0xff, sizeof(edge));
            edge[0] = (uint8_t)y;
            edge[31] = (uint8_t)((y < 256 ? 0 : 0x7f) | (sign ? 0x80 : 0));
            compare(tally, verify, edge, message, signature);
            memcpy(forged, edge, 32);
            memcpy(forged + 32, signature + 32, 32);
            compare(tally, verify, pk, message, forged);
        }
    }
    memcpy(forged, signature, sizeof(forged));
    for (int times = 0; times < 16; times++) {
        compare(tally, verify, pk, message, forged);
        sodium_add(forged + 32, order, sizeof(order));
    }
}

static struct tally odd(verify_fn verify)
{
    struct tally tally = {0};
    low_orders(&tally, verify);
    not_reduced(&tally, verify);
    return tally;
}

static void test_AH8_verdicts_on_honest_signatures(void **state)
{
    (void)state;
    struct tally tally = honest(lp2p_ed25519_verify);
    assert_int_equal(tally.accepted, 7);
    assert_true(tally.tried > 7 * 180);
    assert_int_equal(tally.differ, 0);
}

static void test_AH8_verdicts_where_libraries_differ(void **state)
{
    (void)state;
    struct tally tally = odd(lp2p_ed25519_verify);
    assert_true(tally.tried > 2000);
    assert_true(tally.accepted > 0);
    assert_int_equal(tally.differ, 0);
}

#ifdef LP2P_TEST_LIB25519
static bool by_lib25519(const uint8_t key[32], struct lp2p_span message, const uint8_t signature[64])
{
    uint8_t all[64 + sizeof(message_bytes)], opened[sizeof(all)];
    long long len = 0;
    memcpy(all, signature, 64);
    memcpy(all + 64, message.ptr, message.len);
    return lib25519_sign_open(opened, &len, all, (long long)(64 + message.len), key) == 0;
}

/* The control: what lib25519 says of these without a look at them before. */
static void test_AH8_the_other_library_alone_differs(void **state)
{
    (void)state;
    assert_int_equal(honest(by_lib25519).differ, 0);
    assert_true(odd(by_lib25519).differ > 0);
}
#endif

/* RFC 7748, 5.2 and 6.1. */
static void test_x25519_published(void **state)
{
    (void)state;
    uint8_t a[32], a_public[32], b_public[32], want[32], out[32];
    size_t len;
    struct {
        const char *hex;
        uint8_t *out;
    } texts[] = {
        {"77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a", NULL},
        {"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", NULL},
        {"de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f", NULL},
        {"4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742", NULL},
    };
    texts[0].out = a, texts[1].out = a_public, texts[2].out = b_public, texts[3].out = want;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(sodium_hex2bin(texts[i].out, 32, texts[i].hex, 64, NULL, &len, NULL), 0);
    }
    lp2p_x25519_public(a, out);
    assert_memory_equal(out, a_public, 32);
    assert_int_equal(lp2p_x25519(a, b_public, out), LP2P_OK);
    assert_memory_equal(out, want, 32);
}

/* Any secret, any point: also those beyond the field and with the highest bit set, which is not looked at. */
static void test_x25519_is_libsodiums(void **state)
{
    (void)state;
    uint8_t secret[32], point[32], want[32], have[32], seed[32] = {1};
    size_t refused = 0;
    for (unsigned i = 0; i < 600; i++) {
        memcpy(seed + 1, &i, sizeof(i));
        crypto_hash_sha256(secret, seed, sizeof(seed));
        crypto_hash_sha256(point, secret, sizeof(secret));
        if (i < 256) { /* the edges of the field */
            memset(point, i < 128 ? 0 : 0xff, sizeof(point));
            point[0] = (uint8_t)(i < 64 ? i : i < 128 ? i + 128 : i);
            point[31] = (uint8_t)((i < 128 ? 0 : 0x7f) | (i % 2 != 0 ? 0x80 : 0));
        }
        crypto_scalarmult_curve25519_base(want, secret);
        lp2p_x25519_public(secret, have);
        assert_memory_equal(have, want, 32);
        bool good = crypto_scalarmult_curve25519(want, secret, point) == 0;
        assert_int_equal(lp2p_x25519(secret, point, have), good ? LP2P_OK : LP2P_EBADKEY);
        if (good) {
            assert_memory_equal(have, want, 32);
        } else {
            assert_true(sodium_is_zero(have, 32));
            refused++;
        }
    }
    assert_true(refused > 0);
}

/* Low orders on the curve and its twist, in all encodings: u of 0, 1, p - 1, the two of order 8, and what reduces to them. */
static void test_x25519_refuses_low_orders(void **state)
{
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t secret[32] = {5}, point[32], out[32];
    size_t len;
    for (size_t i = 0; i < 2 * sizeof(points) / sizeof(points[0]); i++) {
        assert_int_equal(sodium_hex2bin(point, 32, points[i / 2], 64, NULL, &len, NULL), 0);
        point[31] |= i % 2 != 0 ? 0x80 : 0;
        memset(out, 1, sizeof(out));
        assert_int_equal(lp2p_x25519(secret, point, out), LP2P_EBADKEY);
        assert_true(sodium_is_zero(out, 32));
    }
}

struct job {
    uint8_t secret[32], point[32], out[32];
    bool shares;
};

static void *compute(void *arg)
{
    struct job *job = arg;
    if (job->shares) {
        return lp2p_x25519(job->secret, job->point, job->out) == LP2P_OK ? job : NULL;
    }
    lp2p_x25519_public(job->secret, job->out);
    return job;
}

/** Whether a stack that nobody runs on any more still has a part of the secret (its ends change when it is clamped). */
static bool has_secret(const volatile uint8_t *stack, size_t len, const uint8_t secret[32])
{
    for (size_t at = 0; at + 16 <= len; at++) {
        size_t same = 0;
        while (same < 16 && stack[at + same] == secret[8 + same]) {
            same++;
        }
        if (same == 16) {
            return true;
        }
    }
    return false;
}

/* The libraries copy the secret to their stack. When they are done it is not there any more. */
static void test_x25519_leaves_no_secret_behind(void **state)
{
    (void)state;
    static _Alignas(4096) uint8_t stack[512 * 1024];
    for (int shares = 0; shares < 2; shares++) {
        struct job job = {.shares = shares != 0};
        pthread_t thread;
        pthread_attr_t attr;
        void *done = NULL;
        randombytes_buf(job.secret, sizeof(job.secret));
        job.point[0] = 9;
        assert_int_equal(pthread_attr_init(&attr), 0);
        assert_int_equal(pthread_attr_setstack(&attr, stack, sizeof(stack)), 0);
        assert_int_equal(pthread_create(&thread, &attr, compute, &job), 0);
        assert_int_equal(pthread_join(thread, &done), 0);
        assert_ptr_equal(done, &job);
        assert_int_equal(pthread_attr_destroy(&attr), 0);
        assert_false(has_secret(stack, sizeof(stack), job.secret));
        memcpy(stack + 100, job.secret, sizeof(job.secret));
        assert_true(has_secret(stack, sizeof(stack), job.secret)); /* it would have been found */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_AH8_verdicts_on_honest_signatures), cmocka_unit_test(test_AH8_verdicts_where_libraries_differ),
#ifdef LP2P_TEST_LIB25519
        cmocka_unit_test(test_AH8_the_other_library_alone_differs),
#endif
        cmocka_unit_test(test_x25519_published), cmocka_unit_test(test_x25519_is_libsodiums),
        cmocka_unit_test(test_x25519_refuses_low_orders), cmocka_unit_test(test_x25519_leaves_no_secret_behind),
    };
    if (sodium_init() < 0) {
        return 1;
    }
    for (size_t i = 0; i < sizeof(message_bytes); i++) {
        message_bytes[i] = (uint8_t)(i * 7 + 3);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
