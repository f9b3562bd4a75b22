/* SPDX-License-Identifier: MIT */
#include "actors/api/security.h"

#include "actors/api/system_rand.h"

#include <sodium.h>
#include <time.h>

static enum lp2p_err sign(void *ctx, struct lp2p_span message, uint8_t *out, size_t *len)
{
    *len = lp2p_private_key_sign(ctx, message, out);
    return *len > 0 ? LP2P_OK : LP2P_ESIGNATURE;
}

static enum lp2p_err init_tls(struct lp2p_context *ctx, const char *const *muxers)
{
    const struct lp2p_tls_identity_options options = {
        .public_key = lp2p_public_key_encoded(&ctx->public_key),
        .sign = sign,
        .sign_ctx = &ctx->key,
        .muxers = muxers,
        .muxers_len = ctx->muxers_len,
        .rand = &lp2p_system_rand,
        .wall_s = (int64_t)time(NULL),
    };
    return lp2p_tls_identity_init(&ctx->tls, &options);
}

static enum lp2p_err add(struct lp2p_context *ctx, const char *name)
{
    const char *muxers[LP2P_ARRAY_LEN(ctx->muxers)];
    enum lp2p_err err = LP2P_OK;
    for (size_t i = 0; i < ctx->muxers_len; i++) {
        muxers[i] = ctx->muxers[i]->protocol;
    }
    struct lp2p_security *security = &ctx->security[ctx->security_len++];
    if (strcmp(name, "noise") == 0) {
        err = lp2p_noise_identity_init(&ctx->noise, &ctx->key, muxers, ctx->muxers_len, &lp2p_system_rand);
        *security = (struct lp2p_security){&lp2p_noise_secure, &ctx->noise};
    } else {
        err = init_tls(ctx, muxers);
        *security = (struct lp2p_security){&lp2p_tls_secure, &ctx->tls};
    }
    return err;
}

enum lp2p_err lp2p_security_init(struct lp2p_context *ctx)
{
    static const char *const both[] = {"noise", "tls"};
    enum lp2p_err err = LP2P_OK;
    size_t len = ctx->config.security_len;
    for (size_t i = 0; i < (len == 0 ? LP2P_ARRAY_LEN(both) : len) && err == LP2P_OK; i++) {
        err = add(ctx, len == 0 ? both[i] : ctx->config.security[i]);
    }
    return err != LP2P_OK ? err : lp2p_tls_web_client_unverified(NULL, &lp2p_system_rand, &ctx->web_client);
}

void lp2p_security_fini(struct lp2p_context *ctx)
{
    lp2p_noise_identity_wipe(&ctx->noise);
    lp2p_tls_identity_wipe(&ctx->tls);
    lp2p_tls_web_release(ctx->web_client);
    ctx->web_client = NULL;
    lp2p_pnet_key_wipe(&ctx->config.swarm_key);
}
