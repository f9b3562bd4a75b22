/* SPDX-License-Identifier: MIT */
#include "wire/curve25519.h"

#include <sodium.h>

#ifdef LP2P_HAVE_LIB25519
#include <lib25519.h>

/* lib25519 copies the message behind the signature: long ones, which are rare, are not worth a copy. */
#define SHORT_MESSAGE 256u
/* Bytes of stack, more than it uses (1.6 KiB with AVX2): it leaves the secret there. */
#define LEFT_BEHIND 4096u

/** Whether all of p[1..30] have this value. */
static bool middle_is(const uint8_t p[32], uint8_t value)
{
    uint8_t differs = 0;
    for (int i = 1; i < 31; i++) {
        differs |= (uint8_t)(p[i] ^ value);
    }
    return differs == 0;
}

/** No encoding that implementations of Ed25519 judge in different ways: a y that is not reduced, a point whose order is 8 or
 * less. A few others, next to the ends of the field, are in the same bag. */
static bool plain_point(const uint8_t p[32])
{
    static const uint8_t order_8[2][32] = {
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
         0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
        {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
         0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    };
    uint8_t last = p[31] & 0x7f; /* the highest bit is the sign of x */
    for (int i = 0; i < 2; i++) {
        if (memcmp(p, order_8[i], 31) == 0 && last == order_8[i][31]) {
            return false;
        }
    }
    return !(last == 0 && middle_is(p, 0)) && !(last == 0x7f && middle_is(p, 0xff));
}

/** What is not plain, libsodium judges; so S may be below 2^252 here, which is below the order. */
static bool is_plain(const uint8_t key[32], const uint8_t signature[64])
{
    return (signature[63] & 0xf0) == 0 && plain_point(key) && plain_point(signature);
}

static void public_key(const uint8_t secret[32], uint8_t out[32])
{
    lib25519_nG_montgomery25519(out, secret);
    sodium_stackzero(LEFT_BEHIND);
}

/** False: the result is zero, which only a point of a low order gives. */
static bool share(const uint8_t secret[32], const uint8_t point[32], uint8_t out[32])
{
    lib25519_dh(out, point, secret);
    sodium_stackzero(LEFT_BEHIND);
    return sodium_is_zero(out, 32) == 0;
}

bool lp2p_ed25519_verify(const uint8_t key[LP2P_ED25519_KEY], struct lp2p_span message,
                         const uint8_t signature[LP2P_ED25519_SIGNATURE])
{
    if (message.len > SHORT_MESSAGE || !is_plain(key, signature)) {
        return crypto_sign_verify_detached(signature, message.ptr, message.len, key) == 0;
    }
    uint8_t signed_message[LP2P_ED25519_SIGNATURE + SHORT_MESSAGE], opened[sizeof(signed_message)];
    long long opened_len = 0;
    memcpy(signed_message, signature, LP2P_ED25519_SIGNATURE);
    if (message.len > 0) {
        memcpy(signed_message + LP2P_ED25519_SIGNATURE, message.ptr, message.len);
    }
    return lib25519_sign_open(opened, &opened_len, signed_message, (long long)(LP2P_ED25519_SIGNATURE + message.len), key) == 0;
}
#else
static void public_key(const uint8_t secret[32], uint8_t out[32])
{
    crypto_scalarmult_curve25519_base(out, secret);
}

static bool share(const uint8_t secret[32], const uint8_t point[32], uint8_t out[32])
{
    return crypto_scalarmult_curve25519(out, secret, point) == 0;
}

bool lp2p_ed25519_verify(const uint8_t key[LP2P_ED25519_KEY], struct lp2p_span message,
                         const uint8_t signature[LP2P_ED25519_SIGNATURE])
{
    return crypto_sign_verify_detached(signature, message.ptr, message.len, key) == 0;
}
#endif

void lp2p_x25519_public(const uint8_t secret[LP2P_X25519_BYTES], uint8_t out[LP2P_X25519_BYTES])
{
    public_key(secret, out);
}

enum lp2p_err lp2p_x25519(const uint8_t secret[LP2P_X25519_BYTES], const uint8_t point[LP2P_X25519_BYTES],
                          uint8_t out[LP2P_X25519_BYTES])
{
    if (!share(secret, point, out)) {
        sodium_memzero(out, LP2P_X25519_BYTES);
        return LP2P_EBADKEY;
    }
    return LP2P_OK;
}
