/* SPDX-License-Identifier: MIT
 * The steps of an upgrade against a remote side that may say anything: raw bytes at first, or, behind an
 * honest Noise handshake, any plaintext in any frames where the muxer is negotiated. The first byte chooses;
 * the second how the input is cut. */
#include "actors/link/upgrade.h"

#include "actors/link/limits.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUTBOUND = 1, HONEST = 2, INLINED = 4 };

static struct lp2p_context node, other;
static struct lp2p_rand_seeded gen;
static struct lp2p_rand randomness;

static void make(struct lp2p_context *ctx)
{
    static const char *const muxers[] = {"/yamux/1.0.0"};
    lp2p_private_key_generate(&randomness, &ctx->key);
    lp2p_private_key_public(&ctx->key, &ctx->public_key);
    lp2p_peer_id_from_key(&ctx->public_key, &ctx->self);
    ctx->muxers[0] = &lp2p_yamux_ops;
    ctx->muxers[1] = &lp2p_mplex_ops;
    ctx->muxers_len = 2;
    ctx->net = &lp2p_net_posix;
    lp2p_noise_identity_init(&ctx->noise, &ctx->key, muxers, 1, &randomness);
    ctx->security[0] = (struct lp2p_security){&lp2p_noise_secure, &ctx->noise};
    ctx->security_len = 1;
}

static struct lp2p_upgrade *begin(struct lp2p_context *ctx, bool outbound)
{
    struct lp2p_upgrade *upgrade = calloc(1, sizeof(*upgrade));
    upgrade->arg = calloc(1, sizeof(*upgrade->arg));
    *upgrade->arg = (struct lp2p_upgrade_arg){.ctx = ctx, .outbound = outbound, .fd = -1};
    upgrade->ctx = ctx;
    upgrade->fd = upgrade->muxer = -1;
    upgrade->in = malloc(LP2P_UPGRADE_BUFFER_MAX);
    upgrade->in_cap = LP2P_UPGRADE_BUFFER_MAX;
    LP2P_CHECK(lp2p_upgrade_begin(upgrade, &randomness) == LP2P_OK);
    return upgrade;
}

static void end(struct lp2p_upgrade *upgrade)
{
    lp2p_mss_free(upgrade->mss);
    lp2p_secure_free(upgrade->secure);
    free(upgrade->in);
    lp2p_upgrade_arg_drop(upgrade->arg);
    free(upgrade);
}

static bool whole(const struct lp2p_upgrade *upgrade)
{
    return upgrade->in_at <= upgrade->in_len && upgrade->in_len <= upgrade->in_cap &&
           upgrade->out_at <= upgrade->out_len && upgrade->out_len <= sizeof(upgrade->out);
}

/** As the actor does: compacts, appends what fits, steps. False: the upgrade has failed or is done. */
static bool give(struct lp2p_upgrade *upgrade, const uint8_t *bytes, size_t len)
{
    size_t unread = upgrade->in_len - upgrade->in_at;
    memmove(upgrade->in, upgrade->in + upgrade->in_at, unread);
    upgrade->in_at = 0;
    len = LP2P_MIN(len, upgrade->in_cap - unread);
    if (len > 0) {
        memcpy(upgrade->in + unread, bytes, len);
    }
    upgrade->in_len = unread + len;
    enum lp2p_err err = lp2p_upgrade_advance(upgrade, &randomness, 0);
    LP2P_CHECK(whole(upgrade));
    return err == LP2P_OK && upgrade->stage != LP2P_UPGRADE_HANDOVER;
}

/** Carries bytes between two honest ends until both stand at the negotiation of the muxer. */
static void carry(struct lp2p_upgrade *a, struct lp2p_upgrade *b)
{
    for (int i = 0; i < 20 && (a->stage < LP2P_UPGRADE_MUXER || b->stage < LP2P_UPGRADE_MUXER); i++) {
        (void)give(a, NULL, 0);
        (void)give(b, a->out, a->out_len);
        a->out_len = 0;
        (void)give(a, b->out, b->out_len);
        b->out_len = 0;
    }
}

static void raw(struct lp2p_upgrade *upgrade, const uint8_t *data, size_t size, size_t cut)
{
    while (size > 0) {
        size_t n = LP2P_MIN(size, cut);
        if (!give(upgrade, data, n)) {
            return;
        }
        upgrade->out_len = 0;
        data += n;
        size -= n;
    }
}

static void sealed(struct lp2p_upgrade *upgrade, struct lp2p_secure *channel, const uint8_t *data, size_t size,
                   size_t cut)
{
    uint8_t frame[LP2P_NOISE_PREFIX + 255 + LP2P_NOISE_TAG];
    bool more = true;
    for (bool first = true; more && (size > 0 || first); first = false) {
        size_t n = LP2P_MIN(size, cut), len = 0;
        memcpy(frame + LP2P_NOISE_PREFIX, data, n);
        LP2P_CHECK(lp2p_noise_secure.seal(channel, frame, n, &len) == LP2P_OK);
        more = give(upgrade, frame, len);
        LP2P_CHECK(upgrade->plain.len <= n);
        upgrade->out_len = 0;
        data += n;
        size -= n;
    }
    LP2P_CHECK(upgrade->stage != LP2P_UPGRADE_HANDOVER || upgrade->mux != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (node.muxers_len == 0) {
        lp2p_rand_seeded_init(&gen, 1);
        randomness = lp2p_rand_seeded_source(&gen);
        make(&node);
        make(&other);
        other.muxers_len = 0; /* so that it says nothing of its own where the fuzzer is to speak */
    }
    if (size < 2) {
        return 0;
    }
    unsigned mode = data[0];
    size_t cut = data[1] == 0 ? 1 : data[1];
    node.noise.muxers_len = (mode & INLINED) != 0 ? 1 : 0;
    struct lp2p_upgrade *upgrade = begin(&node, (mode & OUTBOUND) != 0);
    if ((mode & HONEST) != 0) {
        struct lp2p_upgrade *remote = begin(&other, (mode & OUTBOUND) == 0);
        carry(upgrade, remote);
        LP2P_CHECK(upgrade->stage == ((mode & INLINED) != 0 ? LP2P_UPGRADE_HANDOVER : LP2P_UPGRADE_MUXER));
        LP2P_CHECK(lp2p_peer_id_eq(&upgrade->peer, &other.self));
        if (upgrade->stage == LP2P_UPGRADE_MUXER) {
            sealed(upgrade, remote->secure, data + 2, size - 2, cut);
        }
        end(remote);
    } else {
        raw(upgrade, data + 2, size - 2, cut);
        LP2P_CHECK(!upgrade->established);
    }
    end(upgrade);
    return 0;
}
