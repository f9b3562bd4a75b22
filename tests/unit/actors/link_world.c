/* SPDX-License-Identifier: MIT */
#include "link_world.h"

#include "actors/control/tree.h"
#include "simnet.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <time.h>

#define NODES_MAX 8
#define PATIENCE_S 60
#define CHILDREN 8

struct node {
    struct world *world;
    struct lp2p_context ctx;
    struct lp2p_rt *rt;
    struct simhost *host;
    struct lp2p_net net;
    struct record record;
    struct lp2p_multiaddr addr; /* a copy for the test's thread */
    struct lp2p_protocols *protocols;
    struct lp2p_listener_arg listener;
    struct lp2p_child_spec children[CHILDREN], root;
    struct lp2p_sup_spec root_sup, links_sup;
    uint64_t dials;
};

struct world {
    enum world_mode mode;
    pthread_mutex_t lock;
    struct simnet *net;
    struct node *nodes[NODES_MAX];
    size_t nodes_len;
    unsigned strangers;
    world_prepare prepare;
    void *prepare_arg;
    bool resolves;
};

/* ---- the swarm of a few lines */

#define LINKS_MAX 64

struct swarm {
    struct node *node;
    uint64_t conns;
    struct {
        struct lp2p_ref muxer;
        unsigned ended;
    } links[LINKS_MAX];
    size_t links_len;
};

static enum lp2p_err swarm_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct swarm *swarm = state;
    swarm->node = (struct node *)(uintptr_t)arg;
    lp2p_tree_learn_names(&swarm->node->ctx, lp2p_actor_rt(self));
    struct lp2p_ref worker = lp2p_whereis(lp2p_actor_rt(self), "worker");
    struct lp2p_ref fragile = lp2p_whereis(lp2p_actor_rt(self), "fragile");
    static const char *const names[] = {"/echo", "/sink", "/stall",        "/abort",
                                        "/few",  "/fail", "/echo-resident"};
    struct lp2p_protocols *protocols = lp2p_protocols_new(LP2P_ARRAY_LEN(names));
    for (size_t i = 0; i < LP2P_ARRAY_LEN(names); i++) {
        struct lp2p_protocol_entry *entry = &protocols->items[i];
        snprintf(entry->id, sizeof(entry->id), "%s", names[i]);
        entry->resident = strcmp(names[i], "/echo-resident") == 0 ? LP2P_RESIDENT_SERVE : LP2P_RESIDENT_NONE;
        entry->actor = strcmp(names[i], "/fail") == 0 ? fragile : worker;
        entry->streams_in_max = strcmp(names[i], "/few") == 0 ? 2 : 1000;
    }
    lp2p_protocols_drop(&swarm->node->protocols);
    swarm->node->protocols = protocols;
    return LP2P_OK;
}

static void on_upgraded(struct lp2p_actor *self, struct swarm *swarm, struct lp2p_m_upgraded *m)
{
    struct node *node = swarm->node;
    struct lp2p_ref connection, muxer;
    char id[40];
    struct lp2p_conn_arg *conn = calloc(1, sizeof(*conn));
    *conn = (struct lp2p_conn_arg){&node->ctx, ++swarm->conns, m->carrier, m->secure, m->leftover};
    snprintf(id, sizeof(id), "conn-%u", (unsigned)swarm->conns);
    struct lp2p_child_spec spec = {.id = id,
                                   .ops = &lp2p_conn_ops,
                                   .arg = conn,
                                   .arg_drop = lp2p_conn_arg_drop,
                                   .restart = LP2P_TEMPORARY,
                                   .placement = {.place = LP2P_PLACE_GROUP, .group = LP2P_GROUP_IO}};
    if (lp2p_spawn(self, lp2p_names(&node->ctx)->links, &spec, &connection) != LP2P_OK) {
        free(conn); /* the node is stopping */
        return;
    }
    const uint32_t plain_max = m->secure->ops->plain_max;
    m->carrier = NULL;
    m->secure = NULL;
    m->leftover = (struct lp2p_slice){0};
    struct lp2p_muxer_arg *arg = calloc(1, sizeof(*arg));
    *arg = (struct lp2p_muxer_arg){.ctx = &node->ctx,
                                   .conn = swarm->conns,
                                   .connection = connection,
                                   .ops = m->mux,
                                   .plain_max = plain_max,
                                   .outbound = m->outbound,
                                   .peer = m->peer,
                                   .remote = m->remote,
                                   .protocols = lp2p_protocols_ref(node->protocols)};
    snprintf(id, sizeof(id), "muxer-%u", (unsigned)swarm->conns);
    spec = (struct lp2p_child_spec){.id = id,
                                    .ops = &lp2p_muxer_ops,
                                    .arg = arg,
                                    .arg_drop = lp2p_muxer_arg_drop,
                                    .restart = LP2P_TEMPORARY,
                                    .placement = {.place = LP2P_PLACE_WITH, .with = connection}};
    if (lp2p_spawn(self, lp2p_names(&node->ctx)->links, &spec, &muxer) != LP2P_OK) {
        lp2p_muxer_arg_drop(arg); /* the connection has ended already, and would soon without a muxer */
        lp2p_stop(self, connection);
        return;
    }
    LP2P_CHECK(swarm->links_len < LINKS_MAX);
    swarm->links[swarm->links_len].ended = 0;
    swarm->links[swarm->links_len++].muxer = muxer;
    lp2p_monitor(self, muxer);
    struct record *record = node_record_lock(node);
    record->upgraded++;
    record->connection = connection;
    node_record_unlock(node);
}

static void note(struct node *node, struct lp2p_msg *msg)
{
    struct record *record = node_record_lock(node);
    if (LP2P_IS(msg, LINK_UP)) {
        record->links_up++;
        record->muxer = LP2P_AS(msg, LINK_UP, link_up)->muxer;
        record->peer = LP2P_AS(msg, LINK_UP, link_up)->peer;
    } else if (LP2P_IS(msg, LINK_ENDED)) {
        record->links_ended++;
        record->link_reason = LP2P_AS(msg, LINK_ENDED, link_ended)->reason;
    } else if (LP2P_IS(msg, LINK_STATUS)) {
        record->status_streams = LP2P_AS(msg, LINK_STATUS, link_status)->streams;
    } else if (LP2P_IS(msg, DIAL_ENDED)) {
        struct lp2p_m_dial_ended *m = LP2P_AS(msg, DIAL_ENDED, dial_ended);
        record->dials_ended++;
        record->dial_reason = m->reason;
        snprintf(record->dial_text, sizeof(record->dial_text), "%s", m->text);
    } else if (LP2P_IS(msg, LISTENING)) {
        record->listening++;
        record->addr = LP2P_AS(msg, LISTENING, listening)->addrs->items[0];
    }
    node_record_unlock(node);
}

/** Each muxer says once that its link has ended, and before it is gone itself. */
static void watch_end(struct swarm *swarm, struct lp2p_ref muxer, bool gone)
{
    bool wrong = false;
    for (size_t i = 0; i < swarm->links_len; i++) {
        if (lp2p_ref_eq(swarm->links[i].muxer, muxer)) {
            swarm->links[i].ended += !gone;
            wrong = swarm->links[i].ended != 1;
            if (gone) {
                swarm->links[i] = swarm->links[--swarm->links_len];
            }
        }
    }
    struct record *record = node_record_lock(swarm->node);
    record->wrong_ends += wrong;
    node_record_unlock(swarm->node);
}

static enum lp2p_verdict swarm_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct swarm *swarm = state;
    if (LP2P_IS(*msg, UPGRADED)) {
        on_upgraded(self, swarm, LP2P_AS(*msg, UPGRADED, upgraded));
    } else if ((*msg)->cls == &LP2P_MSG_DOWN) {
        watch_end(swarm, LP2P_MSG_AS(*msg, &LP2P_MSG_DOWN, lp2p_msg_down)->who, true);
    } else {
        if (LP2P_IS(*msg, LINK_ENDED)) {
            watch_end(swarm, LP2P_AS(*msg, LINK_ENDED, link_ended)->muxer, false);
        }
        note(swarm->node, *msg);
    }
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops swarm_ops = {
    .name = "swarm", .state_size = sizeof(struct swarm), .init = swarm_init, .on_msg = swarm_on_msg};

/* ---- a resolver that knows two machines */

static enum lp2p_err resolver_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self, (void)state, (void)arg;
    return LP2P_OK;
}

static enum lp2p_verdict resolver_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)state;
    struct lp2p_m_resolve *m = LP2P_IS(*msg, RESOLVE) ? LP2P_AS(*msg, RESOLVE, resolve) : NULL;
    struct lp2p_m_resolved *answer = m != NULL ? LP2P_NEW(RESOLVED, resolved) : NULL;
    if (answer != NULL) {
        char text[LP2P_MULTIADDR_TEXT_MAX], why[128];
        struct lp2p_multiaddr addr;
        lp2p_multiaddr_text(&m->addr, text);
        bool lan = strncmp(text, "/dns4/lan.", 10) == 0;
        assert_int_equal(lp2p_multiaddr_from_text(lan ? "/ip4/10.0.9.9/tcp/1" : "/ip4/8.8.8.8/tcp/1", &addr, why), LP2P_OK);
        answer->msg.tag = m->msg.tag;
        answer->addrs = lp2p_addrs_new(&addr, 1);
        answer->names = lp2p_addrs_new(&m->addr, 1);
        struct lp2p_msg *reply = &answer->msg;
        assert_int_equal(lp2p_reply(self, &m->msg, &reply), LP2P_OK);
    }
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops resolver_ops = {
    .name = "resolver", .state_size = 1, .init = resolver_init, .on_msg = resolver_on_msg};

/* ---- nodes */

static void fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    randombytes_buf(out, len);
}

static const struct lp2p_rand randomness = {fill, NULL};

static struct lp2p_child_spec own(const char *id, const struct lp2p_actor_ops *ops, const void *arg)
{
    return (struct lp2p_child_spec){.id = id,
                                    .ops = ops,
                                    .arg = arg,
                                    .restart = LP2P_PERMANENT,
                                    .placement = {.place = LP2P_PLACE_OWN},
                                    .mailbox_max = 4096};
}

static void make_context(struct node *node, const struct lp2p_mux_ops *mux, const char *listen)
{
    struct lp2p_context *ctx = &node->ctx;
    char why[128];
    assert_int_equal(lp2p_multiaddr_from_text(listen, &ctx->config.listen[0], why), LP2P_OK);
    ctx->config.listen_len = 1;
    lp2p_private_key_generate(&randomness, &ctx->key);
    lp2p_private_key_public(&ctx->key, &ctx->public_key);
    lp2p_peer_id_from_key(&ctx->public_key, &ctx->self);
    ctx->muxers[0] = mux;
    ctx->muxers_len = 1;
    /* Alternate nodes do without the extension, so that the muxer is negotiated inside the channel as with
     * rust peers. */
    const char *names[] = {mux->protocol};
    lp2p_noise_identity_init(&ctx->noise, &ctx->key, names, node->world->nodes_len % 3 == 2 ? 0 : 1,
                             &randomness);
    ctx->security[0] = (struct lp2p_security){&lp2p_noise_secure, &ctx->noise};
    ctx->security_len = 1;
}

static void make_tree(struct node *node)
{
    node->links_sup = (struct lp2p_sup_spec){.restarts_max = 100, .period_ms = 1000, .dynamic_max = 2000};
    node->listener = (struct lp2p_listener_arg){.ctx = &node->ctx};
    size_t n = 0;
    node->children[n++] = own("swarm", &swarm_ops, node);
    node->children[n++] = own("dialer", &lp2p_dialer_ops, &node->ctx);
    node->children[n++] = own("worker", &world_worker_ops, node);
    node->children[n++] = own("fragile", &world_worker_ops, node);
    node->children[n++] = (struct lp2p_child_spec){
        .id = "serve",
        .ops = &world_worker_ops,
        .arg = node,
        .restart = LP2P_PERMANENT,
        .placement = {.place = LP2P_PLACE_RESIDENT, .group = LP2P_GROUP_IO, .resident = LP2P_RESIDENT_SERVE}};
    node->children[n++] = (struct lp2p_child_spec){
        .id = "links", .ops = &lp2p_supervisor_ops, .arg = &node->links_sup, .restart = LP2P_PERMANENT};
    node->children[n++] = own("listener", &lp2p_listener_ops, &node->listener);
    if (node->world->resolves) {
        node->children[n++] = own("resolver", &resolver_ops, node);
    }
    LP2P_CHECK(n <= CHILDREN);
    node->root_sup = (struct lp2p_sup_spec){
        .restarts_max = 100, .period_ms = 1000, .children = node->children, .children_len = n};
    node->root = (struct lp2p_child_spec){.id = "root", .ops = &lp2p_supervisor_ops, .arg = &node->root_sup};
}

static bool listening(struct node *node, const void *arg)
{
    (void)arg;
    return node_look(node).listening > 0;
}

struct node *world_node(struct world *world, const struct lp2p_mux_ops *mux)
{
    return world_node_with(world, mux, NULL, NULL);
}

struct node *world_node_with(struct world *world, const struct lp2p_mux_ops *mux, world_tamper tamper,
                             void *arg)
{
    struct node *node = calloc(1, sizeof(*node));
    assert_non_null(node);
    assert_true(world->nodes_len < NODES_MAX);
    node->world = world;
    char listen[64] = "/ip4/127.0.0.1/tcp/0";
    node->ctx.net = &lp2p_net_posix;
    struct lp2p_rt_config config = {
        .groups = {{.name = "io", .threads = world->mode == WORLD_THREADS ? 0 : 1, .threads_max = 64},
                   {.name = "upgrade", .threads = 2}},
        .groups_len = 2,
        .root = &node->root};
    if (world->mode == WORLD_SIM) {
        unsigned number = (unsigned)world->nodes_len + 1;
        node->host = simnet_host(world->net, number);
        node->ctx.net = simhost_net(node->host);
        config.simulated = true;
        config.seed = number;
        config.sim_io = simhost_io(node->host);
        snprintf(listen, sizeof(listen), "/ip4/10.0.0.%u/tcp/4001", number);
    }
    if (tamper != NULL) {
        node->net = *node->ctx.net;
        tamper(&node->net, arg);
        node->ctx.net = &node->net;
    }
    make_context(node, mux, listen);
    make_tree(node);
    if (world->prepare != NULL) {
        world->prepare(&node->ctx, &node->listener, world->prepare_arg);
    }
    world->nodes[world->nodes_len++] = node;
    char failed[64] = "";
    if (lp2p_rt_start(&config, &node->rt, failed) != LP2P_OK) {
        fail_msg("start failed at %s", failed);
    }
    node->ctx.rt = node->rt;
    assert_true(world_until(world, listening, node, NULL));
    return node;
}

struct world *world_new(enum world_mode mode)
{
    assert_true(sodium_init() >= 0);
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->mode = mode;
    pthread_mutex_init(&world->lock, NULL);
    world->net = simnet_new(7, LP2P_MS(10), LP2P_MS(2));
    return world;
}

void world_free(struct world *world)
{
    for (size_t i = 0; i < world->nodes_len; i++) {
        struct node *node = world->nodes[i];
        assert_int_equal(lp2p_rt_stop(&node->rt), 0);
        assert_int_equal(LP2P_READ(&node->ctx, upgrades_pending), 0);
        assert_int_equal(LP2P_READ(&node->ctx, streams_open), 0);
        assert_int_equal(node->record.wrong_ends, 0);
        if (node->host != NULL) {
            assert_int_equal(simhost_fds(node->host), 0);
        }
        lp2p_protocols_drop(&node->protocols);
        lp2p_noise_identity_wipe(&node->ctx.noise);
        lp2p_tls_identity_wipe(&node->ctx.tls);
        free(node);
    }
    simnet_free(world->net);
    pthread_mutex_destroy(&world->lock);
    free(world);
}

struct lp2p_context *node_ctx(struct node *node)
{
    return &node->ctx;
}

struct lp2p_rt *node_rt(struct node *node)
{
    return node->rt;
}

const struct lp2p_multiaddr *node_addr(struct node *node)
{
    node->addr = node_look(node).addr;
    return &node->addr;
}

struct record *node_record_lock(struct node *node)
{
    pthread_mutex_lock(&node->world->lock);
    return &node->record;
}

void node_record_unlock(struct node *node)
{
    pthread_mutex_unlock(&node->world->lock);
}

struct record node_look(struct node *node)
{
    struct record copy = *node_record_lock(node);
    node_record_unlock(node);
    return copy;
}

void world_prepare_nodes(struct world *world, world_prepare prepare, void *arg)
{
    world->prepare = prepare;
    world->prepare_arg = arg;
}

void world_resolve(struct world *world)
{
    world->resolves = true;
}

const struct lp2p_net *world_machine(struct world *world, unsigned n)
{
    return simhost_net(simnet_host(world->net, n));
}

const struct lp2p_net *world_stranger(struct world *world)
{
    return world->mode == WORLD_SIM ? simhost_net(simnet_host(world->net, 1000 + ++world->strangers))
                                    : &lp2p_net_posix;
}

bool world_is_simulated(const struct world *world)
{
    return world->mode == WORLD_SIM;
}

lp2p_time world_now(struct world *world)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return world->mode == WORLD_SIM ? lp2p_sim_now(world->nodes[0]->rt)
                                    : LP2P_SEC(ts.tv_sec) + (uint64_t)ts.tv_nsec;
}

void world_pass(struct world *world, uint64_t span_ns)
{
    struct lp2p_rt *rts[NODES_MAX];
    size_t len = 0;
    LP2P_CHECK(world->mode == WORLD_SIM);
    for (size_t i = 0; i < world->nodes_len; i++) {
        if (world->nodes[i]->rt != NULL) {
            rts[len++] = world->nodes[i]->rt;
        }
    }
    simnet_run(world->net, rts, len, lp2p_time_add(lp2p_sim_now(rts[0]), span_ns));
}

void world_slow(struct world *world, uint64_t bytes_per_s)
{
    simnet_slow(world->net, bytes_per_s);
}

bool world_until(struct world *world, bool (*pred)(struct node *node, const void *arg), struct node *node,
                 const void *arg)
{
    const struct timespec step = {0, 1000000};
    for (int i = 0; i < PATIENCE_S * 1000; i++) {
        if (pred(node, arg)) {
            return true;
        }
        if (world->mode == WORLD_SIM) {
            world_pass(world, LP2P_MS(1));
        } else {
            nanosleep(&step, NULL);
        }
    }
    return false;
}

/* ---- orders */

static enum lp2p_err try_post(struct node *node, struct lp2p_ref to, struct lp2p_msg *msg)
{
    enum lp2p_err err = lp2p_post(node->rt, to, &msg);
    lp2p_msg_drop(&msg);
    return err;
}

static void post(struct node *node, struct lp2p_ref to, struct lp2p_msg *msg)
{
    assert_int_equal(try_post(node, to, msg), LP2P_OK);
}

uint64_t node_dial(struct node *node, const struct lp2p_multiaddr *addrs, size_t len,
                   const struct lp2p_peer_id *peer)
{
    struct lp2p_m_dial *m = LP2P_NEW(DIAL, dial);
    m->dial = ++node->dials;
    m->named = lp2p_addrs_new(addrs, len);
    m->deadline = world_now(node->world) + LP2P_SEC(20);
    m->user = true;
    if (peer != NULL) {
        m->peer = *peer;
    }
    (void)try_post(node, lp2p_names(&node->ctx)->dialer, &m->msg); /* it may be failing just now */
    return node->dials;
}

void node_connect(struct node *from, struct node *to)
{
    unsigned here = node_look(from).links_up + 1, there = node_look(to).links_up + 1;
    node_dial(from, node_addr(to), 1, &to->ctx.self);
    assert_true(world_until(from->world, at_least_links_up, from, &here));
    assert_true(world_until(from->world, at_least_links_up, to, &there));
}

static struct lp2p_msg *order_msg(struct node *node, struct order order)
{
    struct world_order *m = (struct world_order *)(void *)lp2p_msg_new(&WORLD_ORDER);
    m->order = order;
    m->muxer = node_look(node).muxer;
    return &m->msg;
}

void node_order(struct node *node, struct order order)
{
    post(node, lp2p_whereis(node->rt, "worker"), order_msg(node, order));
}

void node_try_order(struct node *node, struct order order)
{
    (void)try_post(node, lp2p_whereis(node->rt, "worker"), order_msg(node, order));
}

void node_release(struct node *node)
{
    post(node, lp2p_whereis(node->rt, "worker"), lp2p_msg_new(&WORLD_RELEASE));
}

static struct lp2p_msg *close_msg(enum lp2p_err reason)
{
    struct lp2p_m_link_close *m = LP2P_NEW(LINK_CLOSE, link_close);
    m->reason = reason;
    return &m->msg;
}

void node_close_link(struct node *node, enum lp2p_err reason)
{
    post(node, node_look(node).muxer, close_msg(reason));
}

void node_try_close_link(struct node *node, enum lp2p_err reason)
{
    (void)try_post(node, node_look(node).muxer, close_msg(reason));
}

void node_fail(struct node *node, struct lp2p_ref who)
{
    assert_int_equal(lp2p_rt_fail(node->rt, who), LP2P_OK);
}

/* ---- predicates */

static unsigned number(const void *arg)
{
    return *(const unsigned *)arg;
}

#define AT_LEAST(field)                                                                                      \
    bool at_least_##field(struct node *node, const void *arg)                                                \
    {                                                                                                        \
        return node_look(node).field >= number(arg);                                                         \
    }
AT_LEAST(links_up)
AT_LEAST(links_ended)
AT_LEAST(dials_ended)
AT_LEAST(done)
AT_LEAST(resets)
AT_LEAST(open_failed)
AT_LEAST(opened_in)
AT_LEAST(opened_out)

bool at_least_failed_upgrades(struct node *node, const void *arg)
{
    return LP2P_READ(&node->ctx, upgrades_failed) >= number(arg);
}

bool no_upgrade_pending(struct node *node, const void *arg)
{
    (void)arg;
    return LP2P_READ(&node->ctx, upgrades_pending) == 0;
}

bool no_stream_open(struct node *node, const void *arg)
{
    (void)arg;
    return LP2P_READ(&node->ctx, streams_open) == 0;
}
