/* SPDX-License-Identifier: MIT
 * Certificates with whatever a test wants in them, signed where a signature matters. */
#ifndef LP2P_TESTS_TLS_CRAFT_H
#define LP2P_TESTS_TLS_CRAFT_H

#include "tls_kit.h"

#include "tls/calendar.h"
#include "tls/certificate.h"
#include "wire/multihash.h"

#include <mbedtls/ecdsa.h>

#define CRAFT_MAX 70000

/** Bytes that grow; a test ends when they do not fit. */
struct craft_bytes {
    size_t len;
    uint8_t bytes[CRAFT_MAX];
};

static inline void craft_add(struct craft_bytes *to, const void *bytes, size_t len)
{
    LP2P_CHECK(len <= sizeof(to->bytes) - to->len);
    if (len > 0) {
        memcpy(to->bytes + to->len, bytes, len);
    }
    to->len += len;
}

/** Wraps what lies from `start` on. */
static inline void craft_wrap(struct craft_bytes *to, size_t start, uint8_t tag)
{
    size_t len = to->len - start;
    uint8_t head[5] = {tag, (uint8_t)len};
    size_t head_len = 2;
    if (len > 0xffff) {
        head[1] = 0x83, head[2] = (uint8_t)(len >> 16), head[3] = (uint8_t)(len >> 8), head[4] = (uint8_t)len,
        head_len = 5;
    } else if (len > 0xff) {
        head[1] = 0x82, head[2] = (uint8_t)(len >> 8), head[3] = (uint8_t)len, head_len = 4;
    } else if (len > 0x7f) {
        head[1] = 0x81, head[2] = (uint8_t)len, head_len = 3;
    }
    LP2P_CHECK(head_len <= sizeof(to->bytes) - to->len);
    memmove(to->bytes + start + head_len, to->bytes + start, len);
    memcpy(to->bytes + start, head, head_len);
    to->len += head_len;
}

static inline void craft_put(struct craft_bytes *to, uint8_t tag, const void *bytes, size_t len)
{
    size_t start = to->len;
    craft_add(to, bytes, len);
    craft_wrap(to, start, tag);
}

static const uint8_t CRAFT_LIBP2P[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x01};
static const uint8_t CRAFT_OTHER[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xa2, 0x5a, 0x01, 0x02};
static const uint8_t CRAFT_ECDSA[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};

/** One extension. */
static inline void craft_extension(struct craft_bytes *to, struct lp2p_span oid, bool critical,
                                   struct lp2p_span value)
{
    size_t start = to->len;
    craft_put(to, 0x06, oid.ptr, oid.len);
    if (critical) {
        craft_put(to, 0x01, "\xff", 1);
    }
    craft_put(to, 0x04, value.ptr, value.len);
    craft_wrap(to, start, 0x30);
}

/** The value of the extension of libp2p: this node vouches for this key. */
static inline void craft_signed_key(struct craft_bytes *to, const struct kit_node *node,
                                    const struct lp2p_tls_key *key)
{
    uint8_t statement[LP2P_TLS_KEY_DER_MAX], signature[64];
    size_t len = lp2p_tls_key_statement(key, statement), start = to->len;
    crypto_sign_detached(signature, NULL, statement, len, node->sk);
    craft_put(to, 0x04, node->key.encoded, node->key.encoded_len);
    craft_put(to, 0x04, signature, sizeof(signature));
    craft_wrap(to, start, 0x30);
}

struct craft {
    const struct lp2p_tls_key *key;     /* signs */
    struct lp2p_span algorithm, outer;  /* AlgorithmIdentifier; empty: ECDSA with SHA-256 */
    struct lp2p_span public_key_info;   /* empty: of the key */
    struct lp2p_span before_extensions; /* unique ids */
    struct lp2p_span extensions;        /* the list's elements; empty: none at all */
    uint8_t version;                    /* 0: 3 */
    int64_t from_s, to_s;               /* both 0: around KIT_NOW */
    bool empty_names;
};

static inline void craft_info(const struct lp2p_tls_key *key, struct craft_bytes *to)
{
    uint8_t statement[LP2P_TLS_KEY_DER_MAX];
    size_t len = lp2p_tls_key_statement(key, statement);
    craft_add(to, statement + 21, len - 21); /* behind the prefix */
}

static inline void craft_signed_part(const struct craft *craft, struct craft_bytes *out)
{
    static const uint8_t name[] = {0x30, 0x0c, 0x31, 0x0a, 0x30, 0x08, 0x06,
                                   0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, 'x'};
    uint8_t version = craft->version != 0 ? (uint8_t)(craft->version - 1) : 2, date[LP2P_TLS_DATE_MAX];
    size_t start = out->len, at;
    at = out->len;
    craft_put(out, 0x02, &version, 1);
    craft_wrap(out, at, 0xa0);
    craft_put(out, 0x02, "\x11", 1);
    struct lp2p_span algorithm =
        craft->algorithm.len > 0 ? craft->algorithm : lp2p_span(CRAFT_ECDSA, sizeof(CRAFT_ECDSA));
    craft_add(out, algorithm.ptr, algorithm.len);
    craft_add(out, craft->empty_names ? (const uint8_t *)"\x30" : name,
              craft->empty_names ? 2 : sizeof(name));
    at = out->len;
    bool dates = craft->from_s != 0 || craft->to_s != 0;
    craft_add(out, date, lp2p_tls_calendar_put(dates ? craft->from_s : KIT_NOW - 1000, date));
    craft_add(out, date, lp2p_tls_calendar_put(dates ? craft->to_s : KIT_NOW + 1000, date));
    craft_wrap(out, at, 0x30);
    craft_add(out, craft->empty_names ? (const uint8_t *)"\x30" : name,
              craft->empty_names ? 2 : sizeof(name));
    if (craft->public_key_info.len > 0) {
        craft_add(out, craft->public_key_info.ptr, craft->public_key_info.len);
    } else {
        craft_info(craft->key, out);
    }
    craft_add(out, craft->before_extensions.ptr, craft->before_extensions.len);
    if (craft->extensions.len > 0) {
        at = out->len;
        craft_add(out, craft->extensions.ptr, craft->extensions.len);
        craft_wrap(out, at, 0x30);
        craft_wrap(out, at, 0xa3);
    }
    craft_wrap(out, start, 0x30);
}

static inline int craft_random(void *ctx, unsigned char *out, size_t len)
{
    (void)ctx;
    randombytes_buf(out, len);
    return 0;
}

/** A signature by the key over the SHA-256 of the message, DER. */
static inline size_t craft_sign(const struct lp2p_tls_key *key, struct lp2p_span message, uint8_t *out)
{
    uint8_t hash[32];
    size_t len = 0;
    mbedtls_ecdsa_context ecdsa;
    lp2p_sha256(message, hash);
    mbedtls_ecdsa_init(&ecdsa);
    LP2P_CHECK(mbedtls_ecp_read_key(MBEDTLS_ECP_DP_SECP256R1, &ecdsa, key->secret, 32) == 0);
    LP2P_CHECK(mbedtls_ecdsa_write_signature(&ecdsa, MBEDTLS_MD_SHA256, hash, 32, out, MBEDTLS_ECDSA_MAX_LEN,
                                             &len, craft_random, NULL) == 0);
    mbedtls_ecdsa_free(&ecdsa);
    return len;
}

/** A whole certificate. */
static inline void craft_make(const struct craft *craft, struct craft_bytes *out)
{
    uint8_t bits[1 + MBEDTLS_ECDSA_MAX_LEN] = {0};
    out->len = 0;
    craft_signed_part(craft, out);
    size_t len = craft_sign(craft->key, lp2p_span(out->bytes, out->len), bits + 1);
    struct lp2p_span outer = craft->outer.len > 0       ? craft->outer
                             : craft->algorithm.len > 0 ? craft->algorithm
                                                        : lp2p_span(CRAFT_ECDSA, sizeof(CRAFT_ECDSA));
    craft_add(out, outer.ptr, outer.len);
    craft_put(out, 0x03, bits, 1 + len);
    craft_wrap(out, 0, 0x30);
}

#endif
