/* SPDX-License-Identifier: MIT */
#include "link_scene.h"

#include <string.h>

static void keep_line(void *user, enum lp2p_log_level level, const char *module, const char *text)
{
    struct scene *scene = user;
    (void)level;
    if (strcmp(module, "listener") == 0 && strncmp(text, "refused", 7) == 0) {
        scene->lines++;
        snprintf(scene->log, sizeof(scene->log), "%s", text);
    }
}

static void prepare(struct lp2p_context *ctx, struct lp2p_listener_arg *listener, void *arg)
{
    struct scene *scene = arg;
    listener->limits = &scene->limits;
    ctx->config.log_fn = keep_line;
    ctx->config.log_user = scene;
    ctx->config.log_level = LP2P_LOG_WARN;
    if (scene->proxy != NULL) {
        assert_int_equal(lp2p_config_trusted_proxies(&ctx->config, scene->proxy), LP2P_OK);
    }
    if ((scene->doors & LP2P_DOOR_WS) != 0) {
        char text[LP2P_MULTIADDR_TEXT_MAX];
        lp2p_multiaddr_text(&ctx->config.listen[0], text);
        strcat(text, "/ws");
        assert_int_equal(lp2p_multiaddr_from_text(text, &ctx->config.listen[1], NULL), LP2P_OK);
        ctx->config.listen_len = 2;
    }
    if (scene->also != NULL) {
        scene->also(ctx, listener, arg);
    }
}

void scene_begin(struct scene *scene)
{
    scene->world = world_new(WORLD_SIM);
    world_prepare_nodes(scene->world, prepare, scene);
    scene->node = world_node(scene->world, &lp2p_yamux_ops);
}

void scene_end(struct scene *scene)
{
    unsigned done = 1;
    assert_true(world_until(scene->world, no_upgrade_pending, scene->node, NULL));
    struct node *friend = world_node(scene->world, &lp2p_yamux_ops);
    node_connect(friend, scene->node);
    node_order(friend, (struct order){{"/echo"}, .streams = 1, .bytes = 1000});
    assert_true(world_until(scene->world, at_least_done, friend, &done));
    world_free(scene->world);
}

uint64_t scene_refused(const struct scene *scene)
{
    return LP2P_READ(node_ctx(scene->node), connections_refused);
}
