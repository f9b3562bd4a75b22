/* SPDX-License-Identifier: MIT
 * The store over the life of a node: opened before its actors start, closed when all of them have ended. */
#ifndef LP2P_STORE_STORE_H
#define LP2P_STORE_STORE_H

#include "actors/context.h"

/** Opens what the data directory of the config holds, as ctx->db; nothing without one. Errors and `detail` as lp2p_db_open. */
enum lp2p_err lp2p_store_open(struct lp2p_context *ctx, char *detail, size_t detail_cap) LP2P_MUST_CHECK;
/** Writes the swarm's last batch, and closes. Idempotent. */
void lp2p_store_close(struct lp2p_context *ctx);

#endif
