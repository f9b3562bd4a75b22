/* SPDX-License-Identifier: MIT
 * root
 *  |- swarm        connections, peers, population        root thread
 *  |- notifier     the user's event callbacks            own thread: they may block
 *  |- dialer                                             root thread
 *  |- messages, resources                                service thread
 *  |- resolver     names, by c-ares                      service thread
 *  |- router       the DHT                               own thread
 *  |- interfaces   what addresses the machine has        service thread
 *  |- mdns         peers on the local network, if wanted service thread
 *  |- builtins     supervisor of ping, identify, serve, streams: resident, one of each on each io thread
 *  |- protocols    supervisor: one actor for each protocol that the user registers, own threads
 *  |- registrar    starts and ends those                 root thread
 *  |- links        supervisor: upgrades (upgrade threads), connections with their muxers (io threads)
 *  '- listeners    supervisor: one for each listening address, root thread
 * Supervisors share one thread with all that never blocks nor computes: what comes and goes with a connection (accept,
 * spawn, the swarm's table, the word of the end) passes between actors of one thread and costs no wake-up.
 * Started in this order and stopped in reverse: nobody is let in before everything else is up. */
#include "actors/control/tree.h"

#include "actors/api/registrar.h"
#include "actors/control/population.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUILTINS_MAX 4
#define ROOT_MAX 15
#define USER_PROTOCOLS_MAX 256
#define UPGRADES_MAX 1024 /* under way at one time, in and out: the listeners' and the dialer's own limits are lower */
#define IO_THREADS_DEFAULT_MAX 64 /* unless asked for: beyond that many threads, connections share them */

struct lp2p_tree {
    struct lp2p_child_spec root, children[ROOT_MAX], builtins[BUILTINS_MAX], listeners[LP2P_LISTEN_MAX];
    struct lp2p_sup_spec root_sup, builtins_sup, protocols_sup, links_sup, listeners_sup;
    size_t listeners_len;
    struct lp2p_listener_arg listener_args[LP2P_LISTEN_MAX];
    char listener_ids[LP2P_LISTEN_MAX][16];
};

static struct lp2p_child_spec own(const char *id, const struct lp2p_actor_ops *ops, const void *arg, unsigned mailbox_max)
{
    return (struct lp2p_child_spec){.id = id, .ops = ops, .arg = arg, .restart = LP2P_PERMANENT,
                                    .placement = {.place = LP2P_PLACE_OWN}, .mailbox_max = mailbox_max, .stack_kib = 128,
                                    .shutdown_ms = 3000};
}

/** On the thread of its supervisor, in the end that of the root. */
static struct lp2p_child_spec control(const char *id, const struct lp2p_actor_ops *ops, const void *arg, unsigned mailbox_max)
{
    struct lp2p_child_spec child = own(id, ops, arg, mailbox_max);
    child.placement = (struct lp2p_placement){.place = LP2P_PLACE_WITH};
    return child;
}

static struct lp2p_child_spec service(const char *id, const struct lp2p_actor_ops *ops, const void *arg, unsigned mailbox_max)
{
    struct lp2p_child_spec child = own(id, ops, arg, mailbox_max);
    child.placement = (struct lp2p_placement){.place = LP2P_PLACE_GROUP, .group = LP2P_GROUP_SERVICE};
    return child;
}

static struct lp2p_child_spec resident(const char *id, const struct lp2p_actor_ops *ops, const void *arg, unsigned index)
{
    return (struct lp2p_child_spec){
        .id = id, .ops = ops, .arg = arg, .restart = LP2P_PERMANENT, .mailbox_max = 4096,
        .placement = {.place = LP2P_PLACE_RESIDENT, .group = LP2P_GROUP_IO, .resident = index}};
}

static struct lp2p_child_spec supervisor(const char *id, const struct lp2p_sup_spec *spec)
{
    struct lp2p_child_spec child = control(id, &lp2p_supervisor_ops, spec, 8192);
    child.shutdown_ms = 0; /* as long as its children need */
    return child;
}

static size_t fill_builtins(struct lp2p_tree *tree, struct lp2p_context *ctx)
{
    size_t n = 0;
    tree->builtins[n++] = resident("ping", &lp2p_ping_ops, ctx, LP2P_RESIDENT_PING);
    tree->builtins[n++] = resident("identify", &lp2p_identify_ops, ctx, LP2P_RESIDENT_IDENTIFY);
    tree->builtins[n++] = resident("serve", &lp2p_serve_ops, ctx, LP2P_RESIDENT_SERVE);
    tree->builtins[n++] = resident("streams", &lp2p_streams_ops, ctx, LP2P_RESIDENT_STREAMS);
    LP2P_CHECK(n <= BUILTINS_MAX);
    return n;
}

/** Such a listener reads certificates from files: that may block. */
static bool serves_wss(const struct lp2p_config *config, size_t first)
{
    struct lp2p_door door;
    for (size_t i = first; i < config->listen_len; i++) {
        if (lp2p_door_served_by(config, i, first) && lp2p_door_read(&config->listen[i], &door) == LP2P_OK &&
            door.kind == LP2P_DOOR_WSS) {
            return true;
        }
    }
    return false;
}

static void fill_listeners(struct lp2p_tree *tree, struct lp2p_context *ctx)
{
    for (unsigned i = 0; i < ctx->config.listen_len; i++) {
        if (lp2p_door_shares(&ctx->config, i)) {
            continue; /* an earlier one's socket serves this address too */
        }
        tree->listener_args[i] = (struct lp2p_listener_arg){.ctx = ctx, .index = i};
        snprintf(tree->listener_ids[i], sizeof(tree->listener_ids[i]), "listener-%u", i);
        tree->listeners[tree->listeners_len++] =
            serves_wss(&ctx->config, i) ? own(tree->listener_ids[i], &lp2p_listener_ops, &tree->listener_args[i], 4096)
                                        : control(tree->listener_ids[i], &lp2p_listener_ops, &tree->listener_args[i], 4096);
    }
}

static unsigned hard_max(const struct lp2p_config *config)
{
    const struct lp2p_population pop = {.max = config->connections_max};
    return lp2p_population_hard_max(&pop);
}

static void fill_supervisors(struct lp2p_tree *tree, struct lp2p_context *ctx)
{
    tree->builtins_sup = (struct lp2p_sup_spec){.restarts_max = 10, .period_ms = 10000, .children = tree->builtins,
                                                .children_len = fill_builtins(tree, ctx)};
    tree->protocols_sup = (struct lp2p_sup_spec){.restarts_max = 10, .period_ms = 10000, .dynamic_max = USER_PROTOCOLS_MAX};
    tree->links_sup = (struct lp2p_sup_spec){.restarts_max = 1, .period_ms = 1000,
                                             .dynamic_max = 2 * (hard_max(&ctx->config) + 256) + UPGRADES_MAX};
    tree->listeners_sup = (struct lp2p_sup_spec){.restarts_max = 10, .period_ms = 10000, .children = tree->listeners,
                                                 .children_len = tree->listeners_len};
    size_t n = 0;
    if (ctx->db != NULL) {
        tree->children[n++] = own("store", &lp2p_store_ops, ctx, 256);
    }
    tree->children[n++] = control("swarm", &lp2p_swarm_ops, ctx, 16384);
    tree->children[n++] = own("notifier", &lp2p_notifier_ops, ctx, 8192);
    tree->children[n++] = service("resolver", &lp2p_resolver_ops, ctx, 2048);
    tree->children[n++] = control("dialer", &lp2p_dialer_ops, ctx, 4096);
    tree->children[n++] = service("messages", &lp2p_messages_ops, ctx, 16384);
    if (ctx->config.dht_mode != LP2P_DHT_OFF) {
        tree->children[n] = own("router", &lp2p_router_ops, ctx, 8192);
        tree->children[n++].stack_kib = 256;
    }
    tree->children[n++] = service("resources", &lp2p_resources_ops, ctx, 4096);
    tree->children[n++] = supervisor("builtins", &tree->builtins_sup);
    tree->children[n++] = supervisor("protocols", &tree->protocols_sup);
    tree->children[n++] = control("registrar", &lp2p_registrar_ops, ctx, 1024);
    tree->children[n++] = supervisor("links", &tree->links_sup);
    tree->children[n++] = supervisor("listeners", &tree->listeners_sup);
    tree->children[n++] = service("interfaces", &lp2p_interfaces_ops, ctx, 8);
    if (ctx->config.mdns) {
        tree->children[n++] = service("mdns", &lp2p_mdns_ops, ctx, 64);
    }
    LP2P_CHECK(n <= ROOT_MAX);
    tree->root_sup = (struct lp2p_sup_spec){.restarts_max = 5, .period_ms = 10000, .children = tree->children, .children_len = n};
    tree->root = supervisor("root", &tree->root_sup);
}

static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 64 ? 64 : (unsigned)n;
}

unsigned lp2p_config_io_threads_of(const struct lp2p_config *config)
{
    if (config->io_threads_set) {
        return config->io_threads;
    }
    return config->connections_max <= IO_THREADS_DEFAULT_MAX ? 0 : cores();
}

static unsigned io_threads_max(const struct lp2p_config *config)
{
    return config->io_threads_set ? LP2P_MAX(config->io_threads, hard_max(config)) : IO_THREADS_DEFAULT_MAX;
}

struct lp2p_tree *lp2p_tree_new(struct lp2p_context *ctx, struct lp2p_rt_config *config)
{
    struct lp2p_tree *tree = calloc(1, sizeof(*tree));
    if (tree == NULL) {
        return NULL;
    }
    fill_listeners(tree, ctx);
    fill_supervisors(tree, ctx);
    config->root = &tree->root;
    config->groups[LP2P_GROUP_IO] = (struct lp2p_group_config){
        .name = "io", .threads = lp2p_config_io_threads_of(&ctx->config), .threads_max = io_threads_max(&ctx->config), .stack_kib = 128};
    config->groups[LP2P_GROUP_UPGRADE] = (struct lp2p_group_config){
        .name = "upgrade", .threads = LP2P_MIN(cores(), 4u), .threads_max = 4, .stack_kib = 128};
    config->groups[LP2P_GROUP_SERVICE] = (struct lp2p_group_config){.name = "service", .threads = 1, .stack_kib = 128};
    config->groups_len = LP2P_GROUPS;
    config->actors_max = tree->links_sup.dynamic_max + USER_PROTOCOLS_MAX + 64 + BUILTINS_MAX * (io_threads_max(&ctx->config) + 8);
    return tree;
}

void lp2p_tree_free(struct lp2p_tree *tree)
{
    free(tree);
}

void lp2p_tree_learn_names(struct lp2p_context *ctx, struct lp2p_rt *rt)
{
    if (ctx->names_known) {
        return;
    }
    ctx->names = (struct lp2p_names){
        .swarm = lp2p_whereis(rt, "swarm"), .dialer = lp2p_whereis(rt, "dialer"),
        .resolver = lp2p_whereis(rt, "resolver"), .router = lp2p_whereis(rt, "router"),
        .resources = lp2p_whereis(rt, "resources"), .messages = lp2p_whereis(rt, "messages"),
        .notifier = lp2p_whereis(rt, "notifier"), .links = lp2p_whereis(rt, "links"),
        .protocols = lp2p_whereis(rt, "protocols"), .store = lp2p_whereis(rt, "store")};
    ctx->names_known = true;
}

const struct lp2p_names *lp2p_names(const struct lp2p_context *ctx)
{
    return &ctx->names;
}
