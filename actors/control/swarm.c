/* SPDX-License-Identifier: MIT */
#include "actors/control/swarm.h"

#include "actors/control/tree.h"
#include "actors/protocols/builtins.h"

#define MAGIC LP2P_MAGIC('s', 'w', 'r', 'm')
#define OUTBOX_MAX 65536

static enum lp2p_err learn_bootstrap(struct lp2p_swarm *swarm)
{
    const struct lp2p_config *config = &swarm->ctx->config;
    for (size_t i = 0; i < config->bootstrap_len; i++) {
        struct lp2p_peer_id id;
        if (lp2p_multiaddr_peer(&config->bootstrap[i], &id) != LP2P_OK || lp2p_peer_id_eq(&id, &swarm->ctx->self)) {
            continue;
        }
        struct lp2p_peer_entry *entry = lp2p_peers_add(&swarm->peers, &id);
        struct lp2p_addrs *addrs = lp2p_addrs_new(&config->bootstrap[i], 1);
        if (entry == NULL || addrs == NULL) {
            lp2p_addrs_drop(&addrs);
            return LP2P_ENOMEM;
        }
        entry->bootstrap = true;
        lp2p_peer_entry_learn(entry, addrs, LP2P_ADDR_MANUAL, 0);
        lp2p_addrs_drop(&addrs);
    }
    return LP2P_OK;
}

/** What the residents speak is known before the first of them lives: they come with the first I/O thread. */
static struct lp2p_protocols *first_table(const struct lp2p_config *config)
{
    struct lp2p_protocol_entry entries[LP2P_BUILTINS_MAX];
    size_t len = lp2p_builtin_protocols(config, LP2P_RESIDENT_NONE, entries);
    struct lp2p_protocols *table = lp2p_protocols_new(len);
    if (table != NULL) {
        memcpy(table->items, entries, len * sizeof(entries[0]));
    }
    return table;
}

static enum lp2p_err inherit(struct lp2p_swarm *swarm)
{
    struct lp2p_context *ctx = swarm->ctx;
    if (ctx->swarm_heir == NULL) {
        struct lp2p_swarm_heir *heir = calloc(1, sizeof(*heir));
        if (heir == NULL || (heir->protocols = first_table(&ctx->config)) == NULL) {
            free(heir);
            return LP2P_ENOMEM;
        }
        heir->next_conn = heir->next_dial = 1;
        heir->record_seq = ctx->own_seq;
        ctx->swarm_heir = heir;
    }
    swarm->heir = ctx->swarm_heir;
    return LP2P_OK;
}

void lp2p_swarm_heir_free(struct lp2p_context *ctx)
{
    struct lp2p_swarm_heir *heir = ctx->swarm_heir;
    ctx->swarm_heir = NULL;
    if (heir == NULL) {
        return;
    }
    lp2p_protocols_drop(&heir->protocols);
    free(heir->subscribers);
    for (size_t i = 0; i < LP2P_LISTEN_MAX; i++) {
        lp2p_addrs_drop(&heir->listening[i]);
    }
    free(heir);
}

static enum lp2p_err swarm_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct lp2p_swarm *swarm = (struct lp2p_swarm *)state;
    swarm->magic = MAGIC;
    swarm->ctx = (struct lp2p_context *)(uintptr_t)arg;
    swarm->rand = *lp2p_actor_rand(self);
    lp2p_tree_learn_names(swarm->ctx, lp2p_actor_rt(self));
    lp2p_outbox_init(&swarm->outbox, LP2P_SWARM_OUTBOX, OUTBOX_MAX);
    lp2p_list_init(&swarm->links);
    lp2p_list_init(&swarm->dials);
    for (size_t i = 0; i < LP2P_SWARM_CONN_BUCKETS; i++) {
        lp2p_list_init(&swarm->by_conn[i]);
        lp2p_list_init(&swarm->by_muxer[i]);
    }
    lp2p_heap_init(&swarm->waiters);
    lp2p_observed_init(&swarm->observed);
    swarm->population = (struct lp2p_population){swarm->ctx->config.connections_min,
                                                 swarm->ctx->config.connections_max,
                                                 LP2P_MS(swarm->ctx->config.trim_grace_ms)};
    enum lp2p_err err = inherit(swarm);
    if (err == LP2P_OK) {
        err = lp2p_peers_init(&swarm->peers, LP2P_PEERS_MAX, &swarm->rand);
    }
    if (err == LP2P_OK && (err = learn_bootstrap(swarm)) != LP2P_OK) {
        lp2p_peers_fini(&swarm->peers);
    }
    if (err != LP2P_OK) {
        return err;
    }
    /* With addresses to listen on, wait for them: the first peer shall not be told of a node without any. */
    uint64_t wait_ns = swarm->ctx->config.listen_len > 0 ? LP2P_SEC(1) : LP2P_SELF_DEBOUNCE_NS;
    lp2p_timer_set(self, LP2P_SWARM_SELF, lp2p_time_add(lp2p_now(self), wait_ns));
    lp2p_swarm_population_poke(self);
    lp2p_swarm_store_init(self, swarm);
    return LP2P_OK;
}

static void peer_found(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_peer_found *m)
{
    if (lp2p_peer_id_eq(&m->peer, &swarm->ctx->self)) {
        return;
    }
    struct lp2p_peer_entry *entry = lp2p_peers_add(&swarm->peers, &m->peer);
    if (entry == NULL) {
        return;
    }
    /* Hearsay adds nothing to what a connected peer says of itself; of one that has gone others may know where it went. */
    bool known = entry->discovered, changed = false;
    uint32_t now_s = (uint32_t)(lp2p_wall_ms(self) / 1000);
    if (entry->protocols == NULL || entry->recalled || lp2p_list_empty(&entry->links)) {
        changed = m->local ? lp2p_peer_entry_learn_local(entry, m->addrs, now_s)
                           : lp2p_peer_entry_learn(entry, m->addrs, LP2P_ADDR_HEARSAY, now_s);
    }
    if (changed) {
        lp2p_swarm_population_poke(self);
        if (known) {
            lp2p_swarm_publish_peer(self, swarm, &LP2P_M_PEER_UPDATED, lp2p_swarm_peer_info(entry), LP2P_OK);
        }
    }
    lp2p_swarm_discovered(self, swarm, entry);
}

static void peer_gone(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_peer_gone *m)
{
    struct lp2p_peer_entry *entry = lp2p_peers_find(&swarm->peers, &m->peer);
    if (entry != NULL && lp2p_peer_entry_forget_local(entry) && entry->discovered) {
        lp2p_swarm_publish_peer(self, swarm, &LP2P_M_PEER_UPDATED, lp2p_swarm_peer_info(entry), LP2P_OK);
    }
}

static void protect(struct lp2p_swarm *swarm, const struct lp2p_m_protect *m)
{
    struct lp2p_peer_entry *entry =
        m->protect ? lp2p_peers_add(&swarm->peers, &m->peer) : lp2p_peers_find(&swarm->peers, &m->peer);
    if (entry != NULL && m->protect) {
        entry->protects++;
    } else if (entry != NULL && entry->protects > 0) {
        entry->protects--;
    }
}

static bool on_link_msg(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_msg *msg)
{
    if (LP2P_IS(msg, UPGRADED)) {
        lp2p_swarm_upgraded(self, swarm, LP2P_AS(msg, UPGRADED, upgraded));
    } else if (LP2P_IS(msg, LINK_UP)) {
        lp2p_swarm_link_up(self, swarm, LP2P_AS(msg, LINK_UP, link_up));
    } else if (LP2P_IS(msg, LINK_ENDED)) {
        const struct lp2p_m_link_ended *m = LP2P_AS(msg, LINK_ENDED, link_ended);
        lp2p_swarm_link_ended(self, swarm, m->conn, m->reason);
    } else if (LP2P_IS(msg, LINK_STATUS)) {
        lp2p_swarm_link_status(swarm, LP2P_AS(msg, LINK_STATUS, link_status));
    } else if (LP2P_IS(msg, LINK_REFUSED)) {
        lp2p_swarm_link_refused(swarm, LP2P_AS(msg, LINK_REFUSED, link_refused), lp2p_now(self));
    } else if (LP2P_IS(msg, IDENTIFIED)) {
        lp2p_swarm_identified(self, swarm, LP2P_AS(msg, IDENTIFIED, identified));
    } else if (LP2P_IS(msg, DIAL_ENDED)) {
        lp2p_swarm_dial_ended(self, swarm, LP2P_AS(msg, DIAL_ENDED, dial_ended));
    } else if (LP2P_IS(msg, LISTENING)) {
        lp2p_swarm_listening(self, swarm, LP2P_AS(msg, LISTENING, listening));
    } else {
        return false;
    }
    return true;
}

static void on_store_msg(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_msg *msg)
{
    if (LP2P_IS(msg, STORE_LOADED)) {
        lp2p_swarm_store_loaded(self, swarm, LP2P_AS(msg, STORE_LOADED, store_batch));
    } else if (LP2P_IS(msg, STORE_WRITTEN)) {
        lp2p_swarm_store_written(self, swarm, LP2P_AS(msg, STORE_WRITTEN, store_mark));
    } else if (LP2P_IS(msg, TAG)) {
        lp2p_swarm_tag(self, swarm, LP2P_AS(msg, TAG, tag));
    } else if (LP2P_IS(msg, FORGET)) {
        lp2p_swarm_forget(self, swarm, LP2P_AS(msg, FORGET, tag));
    }
}

static enum lp2p_verdict swarm_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct lp2p_swarm *swarm = (struct lp2p_swarm *)state;
    LP2P_CHECK_MAGIC(swarm, MAGIC);
    if ((*msg)->cls == &LP2P_MSG_DOWN) {
        lp2p_swarm_down(self, swarm, LP2P_MSG_AS(*msg, &LP2P_MSG_DOWN, lp2p_msg_down));
    } else if (on_link_msg(self, swarm, *msg)) {
        return LP2P_CONTINUE;
    } else if (LP2P_IS(*msg, PEER_STREAM_OPEN)) {
        lp2p_swarm_stream_open(self, swarm, msg);
    } else if (LP2P_IS(*msg, CONNECT)) {
        lp2p_swarm_connect(self, swarm, LP2P_AS(*msg, CONNECT, connect));
    } else if (LP2P_IS(*msg, DISCONNECT)) {
        lp2p_swarm_disconnect(self, swarm, LP2P_AS(*msg, DISCONNECT, disconnect));
    } else if (LP2P_IS(*msg, PROTECT)) {
        protect(swarm, LP2P_AS(*msg, PROTECT, protect));
    } else if (LP2P_IS(*msg, REGISTER)) {
        lp2p_swarm_register(self, swarm, LP2P_AS(*msg, REGISTER, register));
    } else if (LP2P_IS(*msg, SUBSCRIBE)) {
        lp2p_swarm_subscribe(self, swarm, LP2P_AS(*msg, SUBSCRIBE, subscribe));
    } else if (LP2P_IS(*msg, PEER_FOUND)) {
        peer_found(self, swarm, LP2P_AS(*msg, PEER_FOUND, peer_found));
    } else if (LP2P_IS(*msg, PEER_GONE)) {
        peer_gone(self, swarm, LP2P_AS(*msg, PEER_GONE, peer_gone));
    } else if (LP2P_IS(*msg, LIST_PEERS)) {
        lp2p_swarm_list_peers(swarm, LP2P_AS(*msg, LIST_PEERS, list_peers));
    } else if (LP2P_IS(*msg, LIST_ADDRS)) {
        lp2p_swarm_list_addrs(swarm, LP2P_AS(*msg, LIST_ADDRS, list_addrs));
    } else {
        on_store_msg(self, swarm, *msg);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict swarm_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct lp2p_swarm *swarm = (struct lp2p_swarm *)state;
    switch ((enum lp2p_swarm_timer)timer) {
    case LP2P_SWARM_OUTBOX:
        lp2p_outbox_retry(self, &swarm->outbox);
        break;
    case LP2P_SWARM_SELF:
        lp2p_swarm_self_rebuild(self, swarm);
        break;
    case LP2P_SWARM_POPULATION:
        lp2p_swarm_population_run(self, swarm);
        break;
    case LP2P_SWARM_WAITERS:
        lp2p_swarm_waiters_expire(self, swarm);
        break;
    case LP2P_SWARM_STORE:
        lp2p_swarm_store_tick(self, swarm);
        break;
    }
    return LP2P_CONTINUE;
}

static void swarm_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    struct lp2p_swarm *swarm = (struct lp2p_swarm *)state;
    lp2p_swarm_store_fini(swarm);
    LP2P_LIST_FOREACH_SAFE(it, &swarm->links)
    {
        struct lp2p_link *link = LP2P_LIST_ENTRY(it, struct lp2p_link, all);
        /* A swarm that failed starts again with an empty table: connections that it cannot know must not live on. */
        if (why == LP2P_FAIL) {
            lp2p_stop(self, link->muxer);
            link->closing = true;
            if (link->up && lp2p_swarm_best_link(link->peer) == NULL) {
                lp2p_swarm_publish_peer(self, swarm, &LP2P_M_PEER_DISCONNECTED, lp2p_swarm_peer_info(link->peer), LP2P_EFAILED);
            }
        }
        lp2p_list_remove(&link->all);
        lp2p_list_remove(&link->of_peer);
        lp2p_list_remove(&link->by_conn);
        lp2p_list_remove(&link->by_muxer);
        free(link->refusals);
        free(link);
    }
    lp2p_swarm_dials_fini(self, swarm);
    lp2p_heap_fini(&swarm->waiters);
    lp2p_peers_fini(&swarm->peers);
    lp2p_self_info_drop(&swarm->self);
    lp2p_outbox_end(self, &swarm->outbox);
}

const struct lp2p_actor_ops lp2p_swarm_ops = {
    .name = "swarm",
    .state_size = sizeof(struct lp2p_swarm),
    .init = swarm_init,
    .on_msg = swarm_on_msg,
    .on_timer = swarm_on_timer,
    .fini = swarm_fini,
};
