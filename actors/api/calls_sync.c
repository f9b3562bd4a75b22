/* SPDX-License-Identifier: MIT
 * The public calls that answer at once: peers, addresses, statistics. Those that ask an actor wait a bounded
 * time. */
#include "actors/api/node.h"
#include "actors/api/op_private.h"
#include "actors/api/view.h"

#include <stdio.h>
#include <stdlib.h>

static enum lp2p_err wait_for(struct lp2p_op **op)
{
    enum lp2p_err err = lp2p_op_wait(*op, LP2P_SYNC_WAIT_MS);
    err = err == LP2P_OK ? lp2p_op_result(*op) : err;
    if (err != LP2P_OK) {
        lp2p_op_free(*op);
        *op = NULL;
    }
    return err;
}

/* ---- peers */

enum lp2p_err lp2p_node_list_peers(struct lp2p_node *node, bool connected_only,
                                   const struct lp2p_peer_id *one, struct lp2p_op **out)
{
    struct lp2p_op *op;
    enum lp2p_err err = lp2p_node_op(node, out, &op);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_m_list_peers *m = LP2P_NEW(LIST_PEERS, list_peers);
    if (m == NULL) {
        lp2p_op_free(op);
        return LP2P_ENOMEM;
    }
    m->connected_only = connected_only;
    if (one != NULL) {
        m->peer = *one;
    }
    m->op = lp2p_op_ref(op);
    err = lp2p_node_submit(node, LP2P_TO_SWARM, &m->msg, op, out);
    return err == LP2P_OK ? wait_for(out) : err;
}

enum lp2p_err lp2p_node_peers(struct lp2p_node *node, bool connected_only, struct lp2p_peer **out,
                              size_t *len)
{
    if (out == NULL || len == NULL) {
        return LP2P_EINVAL;
    }
    *out = NULL;
    *len = 0;
    struct lp2p_op *op = NULL;
    enum lp2p_err err = lp2p_node_list_peers(node, connected_only, NULL, &op);
    if (err != LP2P_OK) {
        return err;
    }
    size_t count = 0;
    struct lp2p_peer_info *const *infos = lp2p_op_infos(op, &count);
    *out = lp2p_peers_view(infos, count);
    *len = *out == NULL ? 0 : count;
    lp2p_op_free(op);
    return *out == NULL ? LP2P_ENOMEM : LP2P_OK;
}

enum lp2p_err lp2p_node_peer(struct lp2p_node *node, const char *peer, struct lp2p_peer **out)
{
    struct lp2p_peer_id id;
    struct lp2p_op *op = NULL;
    if (out == NULL) {
        return LP2P_EINVAL;
    }
    *out = NULL;
    enum lp2p_err err = lp2p_parse_peer(peer, &id);
    if (err != LP2P_OK || (err = lp2p_node_list_peers(node, false, &id, &op)) != LP2P_OK) {
        return err;
    }
    size_t count = 0;
    struct lp2p_peer_info *const *infos = lp2p_op_infos(op, &count);
    if (count == 1) {
        *out = lp2p_peers_view(infos, 1);
        err = *out == NULL ? LP2P_ENOMEM : LP2P_OK;
    } else {
        err = LP2P_ENOTFOUND;
    }
    lp2p_op_free(op);
    return err;
}

bool lp2p_node_is_connected(struct lp2p_node *node, const char *peer)
{
    struct lp2p_peer_id id;
    struct lp2p_op *op = NULL;
    if (lp2p_parse_peer(peer, &id) != LP2P_OK || lp2p_node_list_peers(node, false, &id, &op) != LP2P_OK) {
        return false;
    }
    size_t count = 0;
    struct lp2p_peer_info *const *infos = lp2p_op_infos(op, &count);
    bool connected = count == 1 && infos[0]->connected;
    lp2p_op_free(op);
    return connected;
}

size_t lp2p_node_addrs(struct lp2p_node *node, char (*out)[LP2P_ADDR_TEXT_MAX], size_t cap)
{
    struct lp2p_op *op = NULL;
    if (lp2p_node_op(node, &op, &op) != LP2P_OK) {
        return 0;
    }
    struct lp2p_m_list_addrs *m = LP2P_NEW(LIST_ADDRS, list_addrs);
    if (m == NULL) {
        lp2p_op_free(op);
        return 0;
    }
    m->op = lp2p_op_ref(op);
    if (lp2p_node_submit(node, LP2P_TO_SWARM, &m->msg, op, &op) != LP2P_OK || wait_for(&op) != LP2P_OK) {
        return 0;
    }
    size_t len = 0, count = 0;
    const char *text = lp2p_op_bytes(op, &len);
    for (size_t from = 0; from < len;) { /* one address a line */
        const char *end = memchr(text + from, '\n', len - from);
        size_t line = end == NULL ? len - from : (size_t)(end - text) - from;
        if (line > 0 && count++ < cap && out != NULL) {
            (void)snprintf(out[count - 1], LP2P_ADDR_TEXT_MAX, "%.*s", (int)line, text + from);
        }
        from += line + 1;
    }
    lp2p_op_free(op);
    return count;
}

/* ---- statistics */

static void fill_counters(const struct lp2p_context *ctx, struct lp2p_stats *out)
{
    out->connections = (unsigned)LP2P_READ(ctx, connections);
    out->inbound = (unsigned)LP2P_READ(ctx, inbound);
    out->outbound = (unsigned)LP2P_READ(ctx, outbound);
    out->streams = (unsigned)LP2P_READ(ctx, streams_open);
    out->known_peers = (unsigned)LP2P_READ(ctx, known_peers);
    out->dht_peers = (unsigned)LP2P_READ(ctx, dht_peers);
    out->upgrades_pending = (unsigned)LP2P_READ(ctx, upgrades_pending);
    out->dials_pending = (unsigned)LP2P_READ(ctx, dials_pending);
    out->connections_opened = LP2P_READ(ctx, connections_opened);
    out->connections_closed = LP2P_READ(ctx, connections_closed);
    out->connections_trimmed = LP2P_READ(ctx, connections_trimmed);
    out->connections_refused = LP2P_READ(ctx, connections_refused);
    out->dials = LP2P_READ(ctx, dials);
    out->dials_failed = LP2P_READ(ctx, dials_failed);
    out->dials_limited = LP2P_READ(ctx, dials_limited);
    out->upgrades_failed = LP2P_READ(ctx, upgrades_failed);
    out->proxied_invalid = LP2P_READ(ctx, proxied_invalid);
    out->bytes_in = LP2P_READ(ctx, bytes_in);
    out->bytes_out = LP2P_READ(ctx, bytes_out);
    out->messages_in = LP2P_READ(ctx, messages_in);
    out->messages_out = LP2P_READ(ctx, messages_out);
    out->messages_invalid = LP2P_READ(ctx, messages_invalid);
    out->messages_duplicate = LP2P_READ(ctx, messages_duplicate);
    out->messages_dropped = LP2P_READ(ctx, messages_dropped);
    out->messages_left_out = LP2P_READ(ctx, messages_left_out);
    out->streams_opened = LP2P_READ(ctx, streams_opened);
    out->streams_refused = LP2P_READ(ctx, streams_refused);
    out->streams_reset = LP2P_READ(ctx, streams_reset);
    out->dht_requests_in = LP2P_READ(ctx, dht_requests_in);
    out->dht_requests_refused = LP2P_READ(ctx, dht_requests_refused);
    out->dht_records = LP2P_READ(ctx, dht_records);
    out->dht_providers = LP2P_READ(ctx, dht_providers);
    out->mdns_queries = LP2P_READ(ctx, mdns_queries);
    out->mdns_answers = LP2P_READ(ctx, mdns_answers);
    out->mdns_packets = LP2P_READ(ctx, mdns_packets);
    out->mdns_invalid = LP2P_READ(ctx, mdns_invalid);
    out->mdns_limited = LP2P_READ(ctx, mdns_limited);
    out->mdns_peers = LP2P_READ(ctx, mdns_peers);
    out->mdns_gone = LP2P_READ(ctx, mdns_gone);
    out->mdns_suppressed = LP2P_READ(ctx, mdns_suppressed);
    out->events_lost = LP2P_READ(ctx, events_lost) + LP2P_READ(ctx, notifications_dropped);
}

enum lp2p_err lp2p_node_stats(struct lp2p_node *node, struct lp2p_stats *out)
{
    if (node == NULL || out == NULL) {
        return LP2P_EINVAL;
    }
    *out = (struct lp2p_stats){.peer_id = "not-started"};
    uint64_t started = __atomic_load_n(&node->started_ns, __ATOMIC_RELAXED);
    if (started == 0) {
        return LP2P_OK;
    }
    (void)snprintf(out->peer_id, sizeof(out->peer_id), "%s", node->ctx.self_text);
    out->uptime_ms = lp2p_time_since(lp2p_gate_clock_ns(), started) / LP2P_MS(1);
    out->connections_min = node->ctx.config.connections_min;
    out->connections_max = node->ctx.config.connections_max;
    fill_counters(&node->ctx, out);
    struct lp2p_rt_stats rt = {0};
    struct lp2p_rt *running = lp2p_gate_enter(node->gate);
    if (running != NULL) {
        lp2p_rt_stats_get(running, &rt);
        lp2p_gate_leave(node->gate);
    }
    out->restarts = rt.restarts;
    out->actors = rt.actors;
    out->threads = rt.threads;
    return LP2P_OK;
}

/* The accounting of all actors in an array that the caller frees; more may start between counting and
 * copying. */
static struct lp2p_actor_stats *snapshot(struct lp2p_node *node, size_t *len)
{
    struct lp2p_actor_stats *all = NULL;
    *len = 0;
    struct lp2p_rt *rt = lp2p_gate_enter(node->gate);
    if (rt != NULL) {
        size_t cap = lp2p_rt_snapshot(rt, NULL, 0) + 64;
        all = calloc(cap, sizeof(*all));
        if (all != NULL) {
            *len = LP2P_MIN(lp2p_rt_snapshot(rt, all, cap), cap);
        }
        lp2p_gate_leave(node->gate);
    }
    return all;
}

size_t lp2p_node_actors(struct lp2p_node *node, struct lp2p_actor_info *out, size_t cap)
{
    if (node == NULL) {
        return 0;
    }
    size_t len = 0;
    struct lp2p_actor_stats *all = snapshot(node, &len);
    for (size_t i = 0; i < len && i < cap && out != NULL; i++) {
        struct lp2p_actor_info *info = &out[i];
        const struct lp2p_actor_stats *stats = &all[i];
        *info = (struct lp2p_actor_info){.restarts = stats->restarts,
                                         .msgs_in = stats->msgs_in,
                                         .msgs_out = stats->msgs_out,
                                         .sends_refused = stats->sends_refused,
                                         .busy_ns = stats->busy_ns,
                                         .longest_ns = stats->longest_ns,
                                         .turns = stats->turns,
                                         .bytes = stats->bytes,
                                         .depth = stats->depth,
                                         .depth_peak = stats->depth_peak};
        (void)snprintf(info->id, sizeof(info->id), "%s", stats->id);
        (void)snprintf(info->kind, sizeof(info->kind), "%s", stats->kind);
        (void)snprintf(info->thread, sizeof(info->thread), "%s", stats->thread);
    }
    free(all);
    return len;
}

enum lp2p_err lp2p_node_fail_actor(struct lp2p_node *node, const char *id)
{
    if (node == NULL || id == NULL) {
        return LP2P_EINVAL;
    }
    size_t len = 0;
    struct lp2p_actor_stats *all = snapshot(node, &len);
    enum lp2p_err err = LP2P_ENOTFOUND;
    for (size_t i = 0; i < len && err == LP2P_ENOTFOUND; i++) {
        if (strcmp(all[i].id, id) == 0) {
            struct lp2p_rt *rt = lp2p_gate_enter(node->gate);
            err = LP2P_ESTATE;
            if (rt != NULL) {
                err = lp2p_rt_fail(rt, all[i].ref);
                lp2p_gate_leave(node->gate);
            }
        }
    }
    free(all);
    return err;
}
