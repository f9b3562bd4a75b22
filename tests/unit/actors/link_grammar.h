/* SPDX-License-Identifier: MIT
 * A listening node for tests of bytes without grammar: its limits can be lifted, the reason of its last
 * failed upgrade is known, and so is the channel that was begun last. */
#ifndef LP2P_TESTS_LINK_GRAMMAR_H
#define LP2P_TESTS_LINK_GRAMMAR_H

#include "link_raw.h"

#include "actors/link/limits.h"
#include "multistream/multistream.h"

#include <string.h>

#define HEADER "\x13/multistream/1.0.0\n"

struct scene {
    struct world *world;
    struct node *node;
    struct lp2p_inbound_limits limits;
    struct lp2p_mss_limits negotiation;
    char log[512]; /* why the last upgrade ended */
};

static struct lp2p_secure *newest; /* the channel that a node began last */

static inline struct lp2p_secure *remember(const struct lp2p_secure_start *start)
{
    newest = lp2p_noise_secure.start(start);
    return newest;
}

static struct lp2p_secure_ops remembering;

static inline void keep_line(void *user, enum lp2p_log_level level, const char *module, const char *text)
{
    struct scene *scene = user;
    (void)level;
    if (strcmp(module, "upgrade") == 0) {
        snprintf(scene->log, sizeof(scene->log), "%s", text);
    }
}

static inline void prepare(struct lp2p_context *ctx, struct lp2p_listener_arg *listener, void *arg)
{
    struct scene *scene = arg;
    listener->limits = &scene->limits;
    ctx->negotiation = &scene->negotiation;
    ctx->security[0].ops = &remembering;
    ctx->config.log_fn = keep_line;
    ctx->config.log_user = scene;
    ctx->config.log_level = LP2P_LOG_DEBUG;
}

static inline void begin(struct scene *scene)
{
    remembering = lp2p_noise_secure;
    remembering.start = remember;
    scene->world = world_new(WORLD_SIM);
    world_prepare_nodes(scene->world, prepare, scene);
    scene->node = world_node(scene->world, &lp2p_yamux_ops);
}

/** Nothing is left of it, and an honest peer is served. */
static inline void end(struct scene *scene)
{
    unsigned done = 1;
    assert_true(world_until(scene->world, no_upgrade_pending, scene->node, NULL));
    struct node *friend = world_node(scene->world, &lp2p_yamux_ops);
    node_connect(friend, scene->node);
    node_order(friend, (struct order){{"/echo"}, .streams = 1, .bytes = 1000});
    assert_true(world_until(scene->world, at_least_done, friend, &done));
    world_free(scene->world);
}

static inline uint64_t open_stream(struct raw *raw, const void *bytes, size_t len)
{
    uint64_t handle = 0;
    assert_int_equal(lp2p_yamux_ops.open(raw->mux, world_now(raw->world), &handle), LP2P_OK);
    struct lp2p_slice slice = lp2p_slice_copy(bytes, len);
    if (len > 0) {
        assert_int_equal(lp2p_yamux_ops.write(raw->mux, handle, &slice), LP2P_OK);
    }
    lp2p_slice_drop(&slice);
    return handle;
}

#endif
