/* SPDX-License-Identifier: MIT */
#include "actors/store/store.h"

#include "actors/store/db.h"

enum lp2p_err lp2p_store_open(struct lp2p_context *ctx, char *detail, size_t detail_cap)
{
    if (ctx->config.data_dir[0] == '\0') {
        return LP2P_OK;
    }
    enum lp2p_err err = lp2p_db_open(ctx->config.data_dir, &ctx->db, detail, detail_cap);
    if (err == LP2P_OK && detail[0] != '\0') {
        lp2p_log(ctx, LP2P_LOG_WARN, "store", "%s", detail);
    }
    if (err == LP2P_OK) {
        ctx->own_seq = LP2P_MAX(ctx->own_seq, lp2p_db_own_seq(ctx->db));
    }
    return err;
}

void lp2p_store_close(struct lp2p_context *ctx)
{
    if (ctx->db != NULL && ctx->store_last.len > 0) {
        enum lp2p_err err = lp2p_db_write(ctx->db, lp2p_span(ctx->store_last.ptr, ctx->store_last.len));
        if (err != LP2P_OK) {
            lp2p_log(ctx, LP2P_LOG_ERROR, "store", "the last changes could not be written: %s", lp2p_db_why(ctx->db));
        }
    }
    lp2p_slice_drop(&ctx->store_last);
    lp2p_db_close(ctx->db);
    ctx->db = NULL;
}
