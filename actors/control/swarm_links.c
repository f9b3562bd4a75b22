/* SPDX-License-Identifier: MIT
 * The table of connections: from an upgraded socket to a pair of actors, and until both are gone. */
#include "actors/control/swarm.h"
#include "wire/endpoint.h"

#include <stdio.h>
#include <unistd.h>

#define STOP_MS 1500 /* a peer that does not read must not hold up the end of the node */

struct lp2p_link *lp2p_swarm_link_find(struct lp2p_swarm *swarm, uint64_t conn)
{
    LP2P_LIST_FOREACH(it, &swarm->by_conn[conn % LP2P_SWARM_CONN_BUCKETS])
    {
        struct lp2p_link *link = LP2P_LIST_ENTRY(it, struct lp2p_link, by_conn);
        if (link->conn == conn) {
            return link;
        }
    }
    return NULL;
}

/** The connections whose muxers have such a slot: each that ends is looked for here, because word of an end overtakes its number. */
static struct lp2p_list *bucket_of(struct lp2p_swarm *swarm, struct lp2p_ref muxer)
{
    return &swarm->by_muxer[muxer.slot % LP2P_SWARM_CONN_BUCKETS];
}

static void count_links(struct lp2p_swarm *swarm)
{
    LP2P_GAUGE(swarm->ctx, connections, swarm->links_len);
    LP2P_GAUGE(swarm->ctx, inbound, swarm->links_in);
    LP2P_GAUGE(swarm->ctx, outbound, swarm->links_len - swarm->links_in);
    LP2P_GAUGE(swarm->ctx, known_peers, swarm->peers.len);
}

static size_t links_of(const struct lp2p_peer_entry *entry)
{
    size_t n = 0;
    LP2P_LIST_FOREACH(it, &entry->links)
    {
        n++;
    }
    return n;
}

/** Why a connection that was just authenticated is not taken; OK: it is. */
static enum lp2p_err judge(struct lp2p_swarm *swarm, const struct lp2p_m_upgraded *m, struct lp2p_peer_entry **entry)
{
    if (lp2p_peer_id_eq(&m->peer, &swarm->ctx->self)) {
        return LP2P_ESELF;
    }
    const struct lp2p_dial_job *job = m->outbound ? lp2p_swarm_dial_find(swarm, m->dial) : NULL;
    if (swarm->links_len >= lp2p_population_hard_max(&swarm->population) && (job == NULL || !job->user)) {
        return LP2P_ELIMIT;
    }
    *entry = lp2p_peers_add(&swarm->peers, &m->peer);
    if (*entry == NULL || links_of(*entry) >= LP2P_LINKS_PER_PEER_MAX) {
        return LP2P_ELIMIT;
    }
    return LP2P_OK;
}

static enum lp2p_err spawn_conn(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_upgraded *m,
                                struct lp2p_link *link)
{
    struct lp2p_conn_arg *arg = calloc(1, sizeof(*arg));
    if (arg == NULL) {
        return LP2P_ENOMEM;
    }
    *arg = (struct lp2p_conn_arg){swarm->ctx, link->conn, m->carrier, m->secure, m->leftover};
    char id[32];
    snprintf(id, sizeof(id), "conn-%llu", (unsigned long long)link->conn);
    const struct lp2p_child_spec spec = {.id = id, .ops = &lp2p_conn_ops, .arg = arg, .arg_drop = lp2p_conn_arg_drop,
                                         .restart = LP2P_TEMPORARY, .mailbox_max = 256, .shutdown_ms = STOP_MS,
                                         .placement = {.place = LP2P_PLACE_GROUP, .group = LP2P_GROUP_IO}};
    enum lp2p_err err = lp2p_spawn(self, lp2p_names(swarm->ctx)->links, &spec, &link->connection);
    if (err != LP2P_OK) {
        free(arg); /* the message still owns what was in it */
        return err;
    }
    m->carrier = NULL;
    m->secure = NULL;
    m->leftover = (struct lp2p_slice){0};
    return LP2P_OK;
}

static enum lp2p_err spawn_muxer(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_upgraded *m,
                                 uint32_t plain_max, struct lp2p_link *link)
{
    struct lp2p_muxer_arg *arg = calloc(1, sizeof(*arg));
    if (arg == NULL) {
        return LP2P_ENOMEM;
    }
    *arg = (struct lp2p_muxer_arg){.ctx = swarm->ctx, .conn = link->conn, .connection = link->connection, .ops = m->mux,
                                   .plain_max = plain_max, .outbound = m->outbound, .peer = m->peer, .remote = m->remote,
                                   .protocols = lp2p_protocols_ref(swarm->heir->protocols)};
    char id[32];
    snprintf(id, sizeof(id), "muxer-%llu", (unsigned long long)link->conn);
    const struct lp2p_child_spec spec = {.id = id, .ops = &lp2p_muxer_ops, .arg = arg, .arg_drop = lp2p_muxer_arg_drop,
                                         .restart = LP2P_TEMPORARY, .mailbox_max = 1024, .shutdown_ms = STOP_MS,
                                         .placement = {.place = LP2P_PLACE_WITH, .with = link->connection}};
    enum lp2p_err err = lp2p_spawn(self, lp2p_names(swarm->ctx)->links, &spec, &link->muxer);
    if (err != LP2P_OK) {
        lp2p_muxer_arg_drop(arg);
    }
    return err;
}

static enum lp2p_err add_link(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_upgraded *m,
                              struct lp2p_peer_entry *entry)
{
    struct lp2p_link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        return LP2P_ENOMEM;
    }
    link->conn = swarm->heir->next_conn++;
    link->peer = entry;
    link->remote = m->remote;
    struct lp2p_endpoint local = lp2p_endpoint_of(&m->local);
    (void)lp2p_endpoint_ip(&local, &link->local);
    link->outbound = m->outbound;
    link->muxer_name = m->mux->protocol;
    link->security_name = m->secure->ops->protocol;
    uint32_t plain_max = m->secure->ops->plain_max;
    link->since = lp2p_now(self);
    link->since_ms = lp2p_wall_ms(self);
    enum lp2p_err err = spawn_conn(self, swarm, m, link);
    if (err != LP2P_OK) {
        free(link);
        return err;
    }
    err = spawn_muxer(self, swarm, m, plain_max, link);
    if (err != LP2P_OK) {
        lp2p_stop(self, link->connection);
        free(link);
        return err;
    }
    lp2p_monitor(self, link->muxer);
    lp2p_list_push_back(&swarm->links, &link->all);
    lp2p_list_push_back(&swarm->by_conn[link->conn % LP2P_SWARM_CONN_BUCKETS], &link->by_conn);
    lp2p_list_push_back(bucket_of(swarm, link->muxer), &link->by_muxer);
    lp2p_list_push_back(&entry->links, &link->of_peer);
    swarm->links_len++;
    swarm->links_in += link->outbound ? 0 : 1;
    LP2P_COUNT(swarm->ctx, connections_opened, 1);
    count_links(swarm);
    return LP2P_OK;
}

static void log_refused(const struct lp2p_swarm *swarm, const struct lp2p_m_upgraded *m, enum lp2p_err err)
{
    char peer[LP2P_PEER_ID_TEXT_MAX], remote[LP2P_MULTIADDR_TEXT_MAX];
    lp2p_peer_id_text(&m->peer, peer);
    lp2p_multiaddr_text(&m->remote, remote);
    lp2p_log(swarm->ctx, LP2P_LOG_INFO, "swarm", "connection of %s (%s) refused: %s", peer, remote, lp2p_strerror(err));
}

void lp2p_swarm_upgraded(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_upgraded *m)
{
    struct lp2p_peer_entry *entry = NULL;
    enum lp2p_err err = judge(swarm, m, &entry);
    if (err == LP2P_OK) {
        err = add_link(self, swarm, m, entry);
    }
    struct lp2p_dial_job *job = m->outbound ? lp2p_swarm_dial_find(swarm, m->dial) : NULL;
    if (err != LP2P_OK) {
        LP2P_COUNT(swarm->ctx, connections_refused, 1);
        log_refused(swarm, m, err);
        if (job != NULL) {
            struct lp2p_list *waiters = job->peer != NULL ? &job->peer->waiters : &job->waiters;
            lp2p_swarm_waiters_fail(self, swarm, waiters, err, lp2p_strerror(err));
        }
        return; /* the message closes the socket and wipes the keys when it is dropped */
    }
    if (job != NULL && job->peer == NULL) {
        lp2p_swarm_dial_answered(swarm, job, entry);
    }
    if (m->outbound) {
        struct lp2p_addrs *addrs = lp2p_addrs_new(&m->remote, 1);
        if (addrs != NULL) {
            lp2p_peer_entry_learn(entry, addrs, LP2P_ADDR_PROVEN, (uint32_t)(lp2p_wall_ms(self) / 1000));
            lp2p_addrs_drop(&addrs);
        }
        entry->backoff_until = 0;
    }
}

static bool only_link_up(const struct lp2p_peer_entry *entry, const struct lp2p_link *link)
{
    LP2P_LIST_FOREACH(it, &entry->links)
    {
        const struct lp2p_link *other = LP2P_LIST_ENTRY(it, struct lp2p_link, of_peer);
        if (other != link && other->up) {
            return false;
        }
    }
    return true;
}

void lp2p_swarm_link_up(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_link_up *m)
{
    struct lp2p_link *link = lp2p_swarm_link_find(swarm, m->conn);
    if (link == NULL || link->up) {
        return;
    }
    struct lp2p_peer_entry *entry = link->peer;
    bool first = only_link_up(entry, link);
    link->up = true;
    if (entry->recalled) {
        lp2p_strings_drop(&entry->protocols); /* what it speaks now, identify will tell */
        entry->recalled = false;
    }
    entry->connected_ms = entry->last_seen_ms = lp2p_wall_ms(self);
    lp2p_peers_touch(&swarm->peers, entry);
    lp2p_swarm_changed(self, swarm, entry);
    if (first) {
        lp2p_swarm_publish_peer(self, swarm, &LP2P_M_PEER_CONNECTED, lp2p_swarm_peer_info(entry), LP2P_OK);
        lp2p_swarm_discovered(self, swarm, entry);
    }
    lp2p_swarm_waiters_serve(self, swarm, entry, false);
    lp2p_swarm_population_poke(self);
}

/** A peer that takes connections and hangs up (it may be full) would be dialed as fast as it can say no. The first time may be
 *  chance, and a connection that served for a while may be renewed at once. */
static void judge_end(struct lp2p_swarm *swarm, struct lp2p_peer_entry *entry, const struct lp2p_link *link, lp2p_time now)
{
    if (lp2p_time_since(now, link->since) >= LP2P_LINK_GOOD_NS) {
        entry->failures = 0;
    } else if (link->outbound && !link->closing && entry->failures++ > 0) {
        lp2p_time until = lp2p_time_add(now, lp2p_population_backoff(entry->failures - 1, &swarm->rand));
        entry->backoff_until = LP2P_MAX(entry->backoff_until, until);
    }
}

void lp2p_swarm_link_ended(struct lp2p_actor *self, struct lp2p_swarm *swarm, uint64_t conn, enum lp2p_err reason)
{
    struct lp2p_link *link = lp2p_swarm_link_find(swarm, conn);
    if (link == NULL) {
        return;
    }
    struct lp2p_peer_entry *entry = link->peer;
    bool was_last = link->up && only_link_up(entry, link), we_closed = link->closing;
    judge_end(swarm, entry, link, lp2p_now(self));
    lp2p_observed_gone(&swarm->observed, conn, lp2p_now(self));
    lp2p_demonitor(self, link->muxer);
    lp2p_list_remove(&link->all);
    lp2p_list_remove(&link->of_peer);
    lp2p_list_remove(&link->by_conn);
    lp2p_list_remove(&link->by_muxer);
    swarm->links_len--;
    swarm->links_in -= link->outbound ? 0 : 1;
    LP2P_COUNT(swarm->ctx, connections_closed, 1);
    if (link->up) {
        entry->last_seen_ms = lp2p_wall_ms(self);
    }
    free(link->refusals);
    free(link);
    count_links(swarm);
    if (was_last) {
        lp2p_peer_entry_disconnected(entry, (uint32_t)(lp2p_wall_ms(self) / 1000));
        lp2p_swarm_changed(self, swarm, entry);
        lp2p_swarm_publish_peer(self, swarm, &LP2P_M_PEER_DISCONNECTED, lp2p_swarm_peer_info(entry), reason);
    }
    lp2p_swarm_waiters_serve(self, swarm, entry, lp2p_swarm_is_identified(entry)); /* by another link, if there is one */
    /* A user who asked for the peer while we were closing gets a fresh connection. */
    bool wanted = lp2p_list_empty(&entry->links) && !lp2p_list_empty(&entry->waiters);
    bool again = we_closed && lp2p_swarm_user_waits(entry);
    if (wanted && entry->dial == 0 && !(again && lp2p_swarm_dial_peer(self, swarm, entry, NULL, LP2P_DIAL_USER) == LP2P_OK)) {
        enum lp2p_err told = reason == LP2P_OK ? LP2P_ECLOSED : reason;
        lp2p_swarm_waiters_fail(self, swarm, &entry->waiters, told, "the connection ended before it could be used");
    }
    lp2p_swarm_population_poke(self);
}

void lp2p_swarm_down(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_msg_down *m)
{
    lp2p_swarm_unsubscribe(swarm, m->who);
    LP2P_LIST_FOREACH(it, bucket_of(swarm, m->who))
    {
        struct lp2p_link *link = LP2P_LIST_ENTRY(it, struct lp2p_link, by_muxer);
        if (lp2p_ref_eq(link->muxer, m->who)) {
            lp2p_stop(self, link->connection);
            lp2p_swarm_link_ended(self, swarm, link->conn, m->reason == LP2P_OK ? LP2P_ECLOSED : LP2P_EFAILED);
            return;
        }
    }
}

void lp2p_swarm_link_status(struct lp2p_swarm *swarm, const struct lp2p_m_link_status *m)
{
    struct lp2p_link *link = lp2p_swarm_link_find(swarm, m->conn);
    if (link != NULL) {
        link->streams = m->streams;
        link->rtt_ns = m->rtt_ns;
        link->peer->rtt_ns = m->rtt_ns != 0 ? m->rtt_ns : link->peer->rtt_ns;
    }
}

static void learn_identity(struct lp2p_link *link, struct lp2p_m_identified *m, uint32_t now_s)
{
    struct lp2p_peer_entry *entry = link->peer;
    if (m->addrs != NULL && m->addrs_certified) {
        (void)lp2p_peer_entry_certify(entry, m->addrs, m->record_seq, lp2p_slice_span(&m->record), now_s);
    } else if (m->addrs != NULL) {
        lp2p_peer_entry_learn(entry, m->addrs, LP2P_ADDR_IDENTIFY, now_s);
    }
    lp2p_peer_entry_keep_key(entry, lp2p_slice_span(&m->key));
    if (m->protocols != NULL) {
        lp2p_strings_drop(&entry->protocols);
        entry->protocols = m->protocols;
        m->protocols = NULL;
        lp2p_swarm_told(entry, link);
    }
    if (m->observed.len > 0) {
        entry->observed = m->observed;
    }
    if (m->agent[0] != '\0') {
        memcpy(entry->agent, m->agent, sizeof(entry->agent));
    }
    if (m->protocol_version[0] != '\0') {
        memcpy(entry->protocol_version, m->protocol_version, sizeof(entry->protocol_version));
    }
}

void lp2p_swarm_identified(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_identified *m)
{
    struct lp2p_link *link = lp2p_swarm_link_find(swarm, m->conn);
    if (link == NULL || !lp2p_peer_id_eq(&link->peer->id, &m->peer)) {
        return;
    }
    if (m->result == LP2P_OK) {
        lp2p_addrs_filter(&m->addrs, lp2p_multiaddr_scope(&link->remote));
        lp2p_swarm_observe(self, swarm, link, &m->observed);
        learn_identity(link, m, (uint32_t)(lp2p_wall_ms(self) / 1000));
        lp2p_swarm_changed(self, swarm, link->peer);
    }
    if (!m->push) {
        link->identified = true;
    }
    if (m->result == LP2P_OK && link->up) {
        lp2p_swarm_publish_peer(self, swarm, &LP2P_M_PEER_UPDATED, lp2p_swarm_peer_info(link->peer), LP2P_OK);
    }
    lp2p_swarm_waiters_serve(self, swarm, link->peer, true);
}

void lp2p_swarm_link_close(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_link *link,
                           enum lp2p_err reason)
{
    if (link->closing) {
        return;
    }
    link->closing = true;
    struct lp2p_m_link_close *close = LP2P_NEW(LINK_CLOSE, link_close);
    if (close == NULL) {
        lp2p_stop(self, link->muxer);
        return;
    }
    close->reason = reason;
    struct lp2p_msg *msg = &close->msg;
    (void)lp2p_outbox_send(self, &swarm->outbox, link->muxer, &msg);
}

void lp2p_swarm_disconnect(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_disconnect *m)
{
    struct lp2p_peer_entry *entry = lp2p_peers_find(&swarm->peers, &m->peer);
    if (entry == NULL || lp2p_list_empty(&entry->links)) {
        lp2p_op_finish(m->op, LP2P_ENOCONN, "there is no connection to this peer");
        return;
    }
    LP2P_LIST_FOREACH(it, &entry->links)
    {
        lp2p_swarm_link_close(self, swarm, LP2P_LIST_ENTRY(it, struct lp2p_link, of_peer), LP2P_OK);
    }
    /* Whoever asked to be rid of a peer does not want the population rule to dial it again at once. */
    entry->backoff_until = lp2p_time_add(lp2p_now(self), LP2P_SEC(60));
    lp2p_op_finish(m->op, LP2P_OK, NULL);
}

struct lp2p_link *lp2p_swarm_best_link(const struct lp2p_peer_entry *entry)
{
    struct lp2p_link *best = NULL;
    LP2P_LIST_FOREACH(it, &entry->links)
    {
        struct lp2p_link *link = LP2P_LIST_ENTRY(it, struct lp2p_link, of_peer);
        if (link->up && !link->closing && (best == NULL || link->streams < best->streams)) {
            best = link;
        }
    }
    return best;
}

bool lp2p_swarm_is_identified(const struct lp2p_peer_entry *entry)
{
    LP2P_LIST_FOREACH(it, &entry->links)
    {
        const struct lp2p_link *link = LP2P_LIST_ENTRY(it, struct lp2p_link, of_peer);
        if (link->up && !link->closing && link->identified) {
            return true;
        }
    }
    return false;
}

struct lp2p_peer_info *lp2p_swarm_peer_info(const struct lp2p_peer_entry *entry)
{
    struct lp2p_peer_info *info = lp2p_peer_entry_info(entry);
    if (info == NULL) {
        return NULL;
    }
    LP2P_LIST_FOREACH(it, &entry->links)
    {
        const struct lp2p_link *link = LP2P_LIST_ENTRY(it, struct lp2p_link, of_peer);
        if (!link->up || link->closing) {
            continue;
        }
        if (info->connections++ == 0) {
            info->connected = true;
            info->outbound = link->outbound;
            info->remote = link->remote;
            info->muxer = link->muxer_name;
            info->security = link->security_name;
            info->connected_ms = link->since_ms;
        }
        info->streams += link->streams;
    }
    return info;
}

void lp2p_swarm_list_peers(struct lp2p_swarm *swarm, struct lp2p_m_list_peers *m)
{
    struct lp2p_peer_info **infos = calloc(swarm->peers.len + 1, sizeof(struct lp2p_peer_info *));
    if (infos == NULL) {
        lp2p_op_finish(m->op, LP2P_ENOMEM, NULL);
        return;
    }
    size_t len = 0;
    LP2P_LIST_FOREACH(it, &swarm->peers.lru)
    {
        struct lp2p_peer_entry *entry = LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, lru);
        bool wanted = m->peer.len > 0 ? lp2p_peer_id_eq(&m->peer, &entry->id)
                                      : !m->connected_only || lp2p_swarm_best_link(entry) != NULL;
        if (wanted) {
            infos[len] = lp2p_swarm_peer_info(entry);
            len += infos[len] != NULL ? 1 : 0;
        }
    }
    lp2p_op_set_peers(m->op, infos, len);
    bool missing = m->peer.len > 0 && len == 0;
    lp2p_op_finish(m->op, missing ? LP2P_ENOTFOUND : LP2P_OK, missing ? "this peer is not known" : NULL);
    for (size_t i = 0; i < len; i++) {
        lp2p_peer_info_drop(&infos[i]);
    }
    free(infos);
}
