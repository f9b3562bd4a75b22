/* SPDX-License-Identifier: MIT */
#include "websocket/upgrade.h"

#include "base/check.h"

#include <sodium.h>
#ifdef LP2P_HAVE_LIBCRYPTO
#include <openssl/sha.h>
#else
#include <mbedtls/sha1.h>
#endif

#define KEY_MAX 64 /* a key is 24 characters */

void lp2p_ws_accept_value(struct lp2p_span key, char out[29])
{
    static const char constant[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t text[KEY_MAX + sizeof(constant)], digest[20];
    LP2P_CHECK(key.len <= KEY_MAX);
    if (key.len > 0) {
        memcpy(text, key.ptr, key.len);
    }
    memcpy(text + key.len, constant, sizeof(constant) - 1);
    size_t len = key.len + sizeof(constant) - 1;
    /* No secret is hashed here, and nothing depends on SHA-1 being strong: the value only shows that WebSocket is spoken. */
#ifdef LP2P_HAVE_LIBCRYPTO
    LP2P_CHECK(SHA1(text, len, digest) != NULL);
#else
    LP2P_CHECK(mbedtls_sha1(text, len, digest) == 0);
#endif
    LP2P_CHECK(sodium_bin2base64(out, 29, digest, sizeof(digest), sodium_base64_VARIANT_ORIGINAL) != NULL);
}
