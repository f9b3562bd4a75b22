/* SPDX-License-Identifier: MIT
 * What outlives a restart: a user registers a protocol or announces a resource once, and must not have to
 * know that an actor was restarted meanwhile. Everything else of an actor is fresh after a restart. */
#include "actors/protocols/messages_private.h"
#include "actors/protocols/resource.h"

#include <stdlib.h>

void lp2p_protocols_heirs_free(struct lp2p_context *ctx)
{
    free(ctx->message_routes); /* its queues are dropped with the actor */
    ctx->message_routes = NULL;
    if (ctx->resource_cache != NULL) {
        lp2p_resource_cache_fini(ctx->resource_cache);
        free(ctx->resource_cache);
        ctx->resource_cache = NULL;
    }
}
