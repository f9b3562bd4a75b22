/* SPDX-License-Identifier: MIT
 * The life of a node: made, started, stopped, freed, in any order and as often as the caller likes. */
#include "actors/api/node.h"
#include "actors/api/config_private.h"
#include "actors/api/security.h"
#include "actors/api/system_rand.h"
#include "actors/control/tree.h"
#include "actors/link/web_files.h"
#include "actors/store/store.h"
#include "noise/aead.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- which callback this thread runs */

static _Thread_local struct lp2p_callback current;

struct lp2p_callback lp2p_callback_enter(const struct lp2p_node *node, const void *protocol)
{
    struct lp2p_callback before = current;
    current = (struct lp2p_callback){node, protocol};
    return before;
}

void lp2p_callback_leave(struct lp2p_callback before)
{
    current = before;
}

struct lp2p_callback lp2p_callback_current(void)
{
    return current;
}

/* ---- made and freed */

static void tell(char *detail, const char *text)
{
    if (detail != NULL) {
        (void)snprintf(detail, LP2P_DETAIL_MAX, "%s", text);
    }
}

/* Identity, muxers, and secure channels: what all connections of the node share. */
static enum lp2p_err fill_context(struct lp2p_context *ctx)
{
    static const struct lp2p_mux_ops *const known[] = {&lp2p_yamux_ops, &lp2p_mplex_ops};
    enum lp2p_err err = lp2p_config_own_identity(&ctx->config);
    if (err != LP2P_OK) {
        return err;
    }
    if (ctx->config.has_key) {
        ctx->key = ctx->config.key;
        lp2p_private_key_wipe(&ctx->config.key);
    } else {
        err = lp2p_private_key_generate_type(ctx->config.key_type, ctx->config.key_bits, &lp2p_system_rand,
                                             &ctx->key);
        if (err != LP2P_OK) {
            return err;
        }
    }
    lp2p_private_key_public(&ctx->key, &ctx->public_key);
    lp2p_peer_id_from_key(&ctx->public_key, &ctx->self);
    lp2p_peer_id_text(&ctx->self, ctx->self_text);
    for (size_t i = 0; i < ctx->config.muxers_len; i++) {
        for (size_t j = 0; j < LP2P_ARRAY_LEN(known); j++) {
            if (strcmp(ctx->config.muxers[i], known[j]->protocol) == 0) {
                ctx->muxers[ctx->muxers_len++] = known[j];
            }
        }
    }
    ctx->net = &lp2p_net_posix;
    lp2p_rand_fill(&lp2p_system_rand, ctx->push_rates.hash_key, sizeof(ctx->push_rates.hash_key));
    lp2p_rand_fill(&lp2p_system_rand, ctx->verify_rates.hash_key, sizeof(ctx->verify_rates.hash_key));
    return lp2p_security_init(ctx);
}

enum lp2p_err lp2p_node_new(const struct lp2p_config *config, struct lp2p_node **out, char *detail)
{
    tell(detail, "");
    if (config == NULL || out == NULL) {
        tell(detail, "a configuration and a place for the node are needed");
        return LP2P_EINVAL;
    }
    *out = NULL;
    if (sodium_init() < 0) {
        tell(detail, "libsodium found no random source");
        return LP2P_EIO;
    }
    lp2p_noise_library_init();
    struct lp2p_node *node = calloc(1, sizeof(*node));
    struct lp2p_gate *gate = lp2p_gate_new();
    if (node == NULL || gate == NULL) {
        free(node);
        lp2p_gate_drop(gate);
        tell(detail, "out of memory");
        return LP2P_ENOMEM;
    }
    node->gate = gate;
    node->ctx.config = *config;
    node->ctx.config.detail[0] = '\0';
    node->ctx.node = node;
    enum lp2p_err err = fill_context(&node->ctx);
    if (err != LP2P_OK) {
        const char *why = node->ctx.config.detail[0] != '\0' ? node->ctx.config.detail : "no identity could be made";
        tell(detail, node->ctx.key.sign != NULL ? "the signer gave no signature that its public key verifies" : why);
        lp2p_security_fini(&node->ctx);
        lp2p_private_key_wipe(&node->ctx.key);
        lp2p_private_key_wipe(&node->ctx.config.key);
        lp2p_gate_drop(gate);
        free(node);
        return err;
    }
    pthread_mutex_init(&node->life, NULL);
    pthread_mutex_init(&node->log_lock, NULL);
    lp2p_user_protocols_init(&node->registry);
    lp2p_events_init(&node->events);
    *out = node;
    return LP2P_OK;
}

void lp2p_node_free(struct lp2p_node *node)
{
    if (node == NULL) {
        return;
    }
    if (lp2p_node_stop(node) == LP2P_ESTATE || node->abandoned) {
        /* Freed from one of its own callbacks, or a thread of it hangs in one: its memory is in use and
         * stays. */
        lp2p_log(&node->ctx, LP2P_LOG_ERROR, "node", "not freed: a callback of it has not returned");
        return;
    }
    lp2p_user_protocols_fini(&node->registry);
    lp2p_events_fini(&node->events);
    lp2p_swarm_heir_free(&node->ctx);
    lp2p_protocols_heirs_free(&node->ctx);
    lp2p_security_fini(&node->ctx);
    lp2p_private_key_wipe(&node->ctx.key);
    pthread_mutex_destroy(&node->life);
    pthread_mutex_destroy(&node->log_lock);
    lp2p_gate_drop(node->gate);
    free(node);
}

const char *lp2p_node_peer_id(const struct lp2p_node *node)
{
    return node == NULL ? "" : node->ctx.self_text;
}

/* ---- started */

static void publish_now(struct lp2p_node *node, enum lp2p_event_kind kind, enum lp2p_err err, uint64_t number,
                        const char *detail)
{
    struct lp2p_m_notify *m = LP2P_NEW(NOTIFY, notify);
    if (m != NULL) {
        m->kind = (int)kind;
        m->err = err;
        m->number = number;
        (void)snprintf(m->detail, sizeof(m->detail), "%s", detail);
        (void)!lp2p_gate_post(node->gate, LP2P_TO_NOTIFIER, &m->msg);
    }
}

/* A child that came or went as it should, and nobody reads of that: each connection has six of these. */
static bool is_unheard(const struct lp2p_node *node, const struct lp2p_sup_event *event)
{
    const struct lp2p_config *config = &node->ctx.config;
    bool ordinary = event->kind == LP2P_SUP_STARTED || event->kind == LP2P_SUP_STOPPING ||
                    (event->kind == LP2P_SUP_ENDED && event->reason == LP2P_OK);
    return ordinary && (config->log_fn == NULL || config->log_level < LP2P_LOG_DEBUG);
}

/* Connections, upgrades and their muxers come and go with their peers: only what is to stay is worth an
 * event. */
static void on_sup_event(void *user, const struct lp2p_sup_event *event)
{
    struct lp2p_node *node = user;
    char text[160];
    if (is_unheard(node, event)) {
        return;
    }
    const char *why = event->kind == LP2P_SUP_ABANDONED ? "it did not end in time" : lp2p_strerror(event->reason);
    (void)snprintf(text, sizeof(text), "%s: %s %s (%s)", event->supervisor, event->child,
                   lp2p_sup_event_name(event->kind), why);
    bool temporary = strcmp(event->supervisor, "links") == 0;
    if (event->kind == LP2P_SUP_RESTARTED) {
        lp2p_log(&node->ctx, LP2P_LOG_ERROR, "supervisor", "%s", text);
        publish_now(node, LP2P_EVENT_RESTART, LP2P_EFAILED, event->ref.gen, event->child);
    } else if (event->kind == LP2P_SUP_GAVE_UP || event->kind == LP2P_SUP_ABANDONED) {
        lp2p_log(&node->ctx, LP2P_LOG_ERROR, "supervisor", "%s", text);
        publish_now(node, LP2P_EVENT_ERROR, event->reason, 0, text);
    } else if (event->kind == LP2P_SUP_ENDED && event->reason != LP2P_OK) {
        lp2p_log(&node->ctx, temporary ? LP2P_LOG_WARN : LP2P_LOG_ERROR, "supervisor", "%s", text);
        if (temporary) {
            publish_now(node, LP2P_EVENT_ERROR, event->reason, 0, text);
        }
    } else {
        lp2p_log(&node->ctx, LP2P_LOG_DEBUG, "supervisor", "%s", text);
    }
}

/* The root supervisor gave up: nothing of the runtime runs any more. Whoever waits for the node is told. */
static void on_root_failed(void *user)
{
    struct lp2p_node *node = user;
    lp2p_log(&node->ctx, LP2P_LOG_ERROR, "node",
             "the root supervisor gave up; the node does not run any more");
    lp2p_gate_shut(node->gate, LP2P_EFAILED);
    lp2p_user_protocols_stopped(&node->registry, true);
    const struct lp2p_event_source source = {
        .kind = LP2P_EVENT_ERROR,
        .err = LP2P_EFAILED,
        .time_ms = lp2p_gate_wall_ms(),
        .detail = "the root supervisor gave up; the node does not run any more"};
    lp2p_events_publish(&node->events, node, &source, &node->ctx.counters.events_lost);
    lp2p_events_set_ended(&node->events, true);
}

/* What the user can do about a listener that did not start. */
static void advise(const struct lp2p_config *config, enum lp2p_err err, char *out, size_t cap)
{
    switch (err) {
    case LP2P_EADDRINUSE:
        (void)snprintf(out, cap, "choose another port or 0 for any");
        break;
    case LP2P_EADDRNOTAVAIL:
        (void)snprintf(out, cap, "choose an address of an interface of this machine, or 0.0.0.0");
        break;
    case LP2P_EACCES:
        (void)snprintf(out, cap, "choose a port from 1024 up, or give the process the right to this one (CAP_NET_BIND_SERVICE)");
        break;
    default:
        lp2p_web_files_explain(config, err, out, cap);
    }
}

/* What a failed start was about: a listener's address, or another component. */
static void explain(const struct lp2p_node *node, enum lp2p_err err, const char *failed_id, char *detail)
{
    unsigned index = 0;
    char text[LP2P_DETAIL_MAX], addr[LP2P_MULTIADDR_TEXT_MAX], advice[256];
    if (sscanf(failed_id, "listener-%u", &index) == 1 && index < node->ctx.config.listen_len) {
        lp2p_multiaddr_text(&node->ctx.config.listen[index], addr);
        advise(&node->ctx.config, err, advice, sizeof(advice));
        (void)snprintf(text, sizeof(text), "listen on %.200s: %s%s%s", addr, lp2p_strerror(err), advice[0] == '\0' ? "" : "; ", advice);
    } else {
        (void)snprintf(text, sizeof(text), "%s did not start: %s",
                       failed_id[0] == '\0' ? "the runtime" : failed_id, lp2p_strerror(err));
    }
    tell(detail, text); /* the caller has it now: nothing for the log */
}

/** Names the private network by its key's fingerprint, which gives nothing of the key away. */
static void log_private_network(const struct lp2p_node *node)
{
    uint8_t print[16];
    char text[2 * sizeof(print) + 1];
    if (node->ctx.config.has_swarm_key) {
        lp2p_pnet_fingerprint(&node->ctx.config.swarm_key, print);
        (void)sodium_bin2hex(text, sizeof(text), print, sizeof(print));
        lp2p_log(&node->ctx, LP2P_LOG_INFO, "node", "private network %s", text);
    }
}

/* With `life` held. */
static enum lp2p_err start(struct lp2p_node *node, char *detail)
{
    struct lp2p_rt_config config = {
        .on_sup_event = on_sup_event, .on_root_failed = on_root_failed, .user = node};
    char failed_id[64] = "";
    log_private_network(node);
    node->ctx.names_known = false;
    char text[LP2P_DETAIL_MAX];
    enum lp2p_err err = lp2p_store_open(&node->ctx, text, sizeof(text));
    if (err != LP2P_OK) {
        tell(detail, text);
        return err;
    }
    struct lp2p_tree *tree = lp2p_tree_new(&node->ctx, &config);
    if (tree == NULL) {
        lp2p_store_close(&node->ctx);
        tell(detail, "out of memory");
        return LP2P_ENOMEM;
    }
    lp2p_events_set_ended(&node->events, false);
    struct lp2p_rt *rt = NULL;
    err = lp2p_rt_start(&config, &rt, failed_id);
    if (err != LP2P_OK) {
        lp2p_tree_free(tree);
        lp2p_store_close(&node->ctx);
        lp2p_events_set_ended(&node->events, true);
        explain(node, err, failed_id, detail);
        return err;
    }
    node->rt = node->ctx.rt = rt;
    node->tree = tree;
    __atomic_store_n(&node->started_ns, lp2p_gate_clock_ns(), __ATOMIC_RELAXED);
    lp2p_gate_open(node->gate, rt, lp2p_names(&node->ctx), lp2p_whereis(rt, LP2P_REGISTRAR_ID));
    return LP2P_OK;
}

enum lp2p_err lp2p_node_start(struct lp2p_node *node, char *detail)
{
    tell(detail, "");
    if (node == NULL) {
        tell(detail, "there is no node");
        return LP2P_EINVAL;
    }
    if (current.node == node) {
        tell(detail, "a node cannot be started from one of its own callbacks");
        return LP2P_ESTATE;
    }
    pthread_mutex_lock(&node->life);
    enum lp2p_err err = LP2P_OK;
    if (node->abandoned) {
        tell(detail, "a callback has not returned since the last stop; its thread still uses the node");
        err = LP2P_ESTATE;
    } else if (node->rt == NULL) {
        err = start(node, detail);
    }
    pthread_mutex_unlock(&node->life);
    if (err == LP2P_OK) {
        lp2p_user_protocols_start(node);
    }
    return err;
}

/* ---- stopped */

/* With `life` held. */
static enum lp2p_err stop(struct lp2p_node *node)
{
    lp2p_gate_shut(node->gate, LP2P_ECLOSED);
    lp2p_events_set_ended(&node->events, true);
    unsigned abandoned = lp2p_rt_stop(&node->rt);
    node->ctx.rt = node->rt = NULL;
    node->abandoned = abandoned > 0;
    __atomic_store_n(&node->started_ns, 0, __ATOMIC_RELAXED);
    lp2p_user_protocols_stopped(&node->registry, node->abandoned);
    if (!node->abandoned) {
        lp2p_tree_free(node->tree);
        lp2p_store_close(&node->ctx);
    }
    node->tree = NULL;
    struct lp2p_callback before = lp2p_callback_enter(node, NULL);
    lp2p_gate_closed(node->gate);
    lp2p_callback_leave(before);
    return node->abandoned ? LP2P_ETIMEDOUT : LP2P_OK;
}

enum lp2p_err lp2p_node_stop(struct lp2p_node *node)
{
    if (node == NULL) {
        return LP2P_EINVAL;
    }
    if (current.node == node) {
        return LP2P_ESTATE; /* it would wait for its own return */
    }
    pthread_mutex_lock(&node->life);
    enum lp2p_err err = node->rt == NULL ? LP2P_OK : stop(node);
    pthread_mutex_unlock(&node->life);
    return err;
}
