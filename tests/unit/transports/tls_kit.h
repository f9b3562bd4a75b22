/* SPDX-License-Identifier: MIT
 * Two ends of TLS for tests: identities from seeds, bytes carried in pieces, both backends. */
#ifndef LP2P_TESTS_TLS_KIT_H
#define LP2P_TESTS_TLS_KIT_H

#include "base/check.h"
#include "tls/backend.h"
#include "tls/session.h"
#include "tls/tls.h"

#include <sodium.h>
#include <stdlib.h>

#define KIT_NOW ((int64_t)1795000000) /* some time in 2026 */

static const struct lp2p_tls_backend *const kit_backends[] = {
#ifdef LP2P_TEST_MBEDTLS
    &lp2p_tls_mbedtls,
#endif
#ifdef LP2P_TEST_OPENSSL
    &lp2p_tls_openssl,
#endif
};

static inline void kit_fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    randombytes_buf(out, len);
}

static const struct lp2p_rand kit_rand = {kit_fill, NULL};

/** A node: an Ed25519 identity and its TLS. */
struct kit_node {
    uint8_t pk[32], sk[64];
    struct lp2p_public_key key;
    struct lp2p_peer_id id;
    struct lp2p_tls_identity identity;
};

static inline enum lp2p_err kit_sign(void *ctx, struct lp2p_span message, uint8_t *out, size_t *len)
{
    const struct kit_node *node = ctx;
    crypto_sign_detached(out, NULL, message.ptr, message.len, node->sk);
    *len = 64;
    return LP2P_OK;
}

static inline void kit_node_keys(struct kit_node *node, uint8_t fill)
{
    uint8_t seed[32];
    memset(seed, fill, sizeof(seed));
    crypto_sign_seed_keypair(node->pk, node->sk, seed);
    LP2P_CHECK(lp2p_public_key_make(LP2P_KEY_ED25519, lp2p_span(node->pk, 32), &node->key) == LP2P_OK);
    lp2p_peer_id_from_key(&node->key, &node->id);
}

static inline void kit_node_init(struct kit_node *node, uint8_t fill, const struct lp2p_tls_backend *backend,
                                 const char *const *muxers, size_t muxers_len)
{
    kit_node_keys(node, fill);
    const struct lp2p_tls_identity_options options = {.backend = backend,
                                                      .public_key = lp2p_public_key_encoded(&node->key),
                                                      .sign = kit_sign,
                                                      .sign_ctx = node,
                                                      .muxers = muxers,
                                                      .muxers_len = muxers_len,
                                                      .rand = &kit_rand,
                                                      .wall_s = KIT_NOW};
    LP2P_CHECK(lp2p_tls_identity_init(&node->identity, &options) == LP2P_OK);
}

static inline struct lp2p_secure *kit_start_at(const struct kit_node *node, bool initiator,
                                               const struct lp2p_peer_id *expected, int64_t wall_s)
{
    const struct lp2p_secure_start start = {.identity = &node->identity,
                                            .initiator = initiator,
                                            .expected = expected,
                                            .rand = &kit_rand,
                                            .wall_s = wall_s};
    struct lp2p_secure *secure = lp2p_tls_secure.start(&start);
    LP2P_CHECK(secure != NULL);
    return secure;
}

static inline struct lp2p_secure *kit_start(const struct kit_node *node, bool initiator,
                                            const struct lp2p_peer_id *expected)
{
    return kit_start_at(node, initiator, expected, KIT_NOW);
}

/** Carries what `from` has to say to `to` in pieces of at most `piece` bytes; what `to` says of it. */
static inline enum lp2p_err kit_carry(struct lp2p_secure *from, struct lp2p_secure *to, size_t piece,
                                      bool *moved)
{
    uint8_t bytes[70000];
    size_t len = lp2p_tls_secure.drain(from, bytes, sizeof(bytes), 0), at = 0;
    enum lp2p_err err = LP2P_OK;
    *moved = len > 0;
    while (at < len && err == LP2P_OK) {
        size_t part = LP2P_MIN(piece, len - at), used = 0;
        /* In memory of exactly its size, so that the address sanitizer sees an over-read. */
        uint8_t *copy = malloc(part);
        memcpy(copy, bytes + at, part);
        err = lp2p_tls_secure.feed(to, lp2p_span(copy, part), 0, &used);
        free(copy);
        if (used == 0) {
            break;
        }
        at += used;
    }
    return err;
}

/** A whole handshake: the last verdicts of both sides. */
static inline void kit_shake(struct lp2p_secure *a, struct lp2p_secure *b, size_t piece, enum lp2p_err *err_a,
                             enum lp2p_err *err_b)
{
    bool forth = true, back = true;
    *err_a = *err_b = LP2P_OK;
    for (int round = 0; round < 20 && (forth || back); round++) {
        enum lp2p_err err = kit_carry(a, b, piece, &forth);
        *err_b = *err_b == LP2P_OK ? err : *err_b;
        err = kit_carry(b, a, piece, &back);
        *err_a = *err_a == LP2P_OK ? err : *err_a;
    }
}

static inline struct lp2p_secure_event kit_next(struct lp2p_secure *secure)
{
    struct lp2p_secure_event event;
    lp2p_tls_secure.next(secure, &event);
    return event;
}

#endif
