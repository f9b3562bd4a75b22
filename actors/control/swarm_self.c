/* SPDX-License-Identifier: MIT
 * What the node says of itself (addresses, protocols, signed record), the table of inbound protocols, and who is told of
 * changes. Changes are gathered for a moment, so that a burst of registrations is one identify push. */
#include "actors/control/swarm.h"
#include "actors/protocols/identify.h"
#include "wire/envelope.h"

#include <stdio.h>

/* ---- subscribers */

static void notify(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_ref who, struct lp2p_msg *msg)
{
    if (msg == NULL || lp2p_send(self, who, &msg) != LP2P_OK) {
        /* A subscriber that does not keep up loses notifications, never the node. */
        LP2P_COUNT(swarm->ctx, notifications_dropped, 1);
        lp2p_msg_drop(&msg);
    }
}

static void notify_peer(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_ref who,
                        const struct lp2p_msg_class *cls, struct lp2p_peer_info *info, enum lp2p_err reason)
{
    struct lp2p_m_peer *m = (struct lp2p_m_peer *)(void *)lp2p_msg_new(cls);
    if (m != NULL) {
        m->info = lp2p_peer_info_ref(info);
        m->reason = reason;
    }
    notify(self, swarm, who, m != NULL ? &m->msg : NULL);
}

void lp2p_swarm_publish_peer(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_msg_class *cls,
                             struct lp2p_peer_info *info, enum lp2p_err reason)
{
    for (unsigned i = 0; info != NULL && i < swarm->heir->subscribers_len; i++) {
        if (swarm->heir->subscribers[i].what & LP2P_SUB_PEERS) {
            notify_peer(self, swarm, swarm->heir->subscribers[i].who, cls, info, reason);
        }
    }
    lp2p_peer_info_drop(&info);
}

void lp2p_swarm_discovered(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_peer_entry *entry)
{
    if (!entry->discovered && (entry->addrs != NULL || !lp2p_list_empty(&entry->links))) {
        entry->discovered = true;
        lp2p_swarm_publish_peer(self, swarm, &LP2P_M_PEER_DISCOVERED, lp2p_swarm_peer_info(entry), LP2P_OK);
    }
}

static void notify_self(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_ref who)
{
    struct lp2p_m_self_changed *m = LP2P_NEW(SELF_CHANGED, self_changed);
    if (m != NULL) {
        m->self = lp2p_self_info_ref(swarm->self);
    }
    notify(self, swarm, who, m != NULL ? &m->msg : NULL);
}

static void notify_protocols(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_ref who)
{
    struct lp2p_m_protocols_changed *m = LP2P_NEW(PROTOCOLS_CHANGED, protocols_changed);
    if (m != NULL) {
        m->protocols = lp2p_protocols_ref(swarm->heir->protocols);
    }
    notify(self, swarm, who, m != NULL ? &m->msg : NULL);
}

void lp2p_swarm_unsubscribe(struct lp2p_swarm *swarm, struct lp2p_ref who)
{
    struct lp2p_swarm_heir *heir = swarm->heir;
    for (unsigned i = 0; i < heir->subscribers_len; i++) {
        if (lp2p_ref_eq(heir->subscribers[i].who, who)) {
            heir->subscribers[i] = heir->subscribers[--heir->subscribers_len];
            return;
        }
    }
}

static bool add_subscriber(struct lp2p_swarm_heir *heir, struct lp2p_subscriber subscriber)
{
    if (heir->subscribers_len == heir->subscribers_cap) {
        unsigned cap = LP2P_MIN(heir->subscribers_cap * 2 + 16, (unsigned)LP2P_SWARM_SUBSCRIBERS_MAX);
        struct lp2p_subscriber *grown =
            cap > heir->subscribers_cap ? realloc(heir->subscribers, cap * sizeof(*grown)) : NULL;
        if (grown == NULL) {
            return false;
        }
        heir->subscribers = grown;
        heir->subscribers_cap = cap;
    }
    heir->subscribers[heir->subscribers_len++] = subscriber;
    return true;
}

void lp2p_swarm_subscribe(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_subscribe *m)
{
    lp2p_swarm_unsubscribe(swarm, m->who);
    if (m->what == 0) {
        return;
    }
    if (!add_subscriber(swarm->heir, (struct lp2p_subscriber){m->who, m->what})) {
        LP2P_COUNT(swarm->ctx, notifications_dropped, 1);
        return;
    }
    if (m->who.gen != 0) {
        lp2p_monitor(self, m->who); /* the residents of an io thread end with it: their places are needed again */
    }
    if (m->what & LP2P_SUB_PROTOCOLS) {
        notify_protocols(self, swarm, m->who);
    }
    if ((m->what & LP2P_SUB_SELF) && swarm->self != NULL) {
        notify_self(self, swarm, m->who);
    }
    LP2P_LIST_FOREACH(it, &swarm->peers.lru)
    {
        struct lp2p_peer_entry *entry = LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, lru);
        if ((m->what & LP2P_SUB_PEERS) && lp2p_swarm_best_link(entry) != NULL) {
            struct lp2p_peer_info *info = lp2p_swarm_peer_info(entry);
            if (info != NULL) {
                notify_peer(self, swarm, m->who, &LP2P_M_PEER_CONNECTED, info, LP2P_OK);
            }
            lp2p_peer_info_drop(&info);
        }
    }
}

/* ---- protocol table */

static bool same_entry(const struct lp2p_protocol_entry *a, const struct lp2p_protocol_entry *b)
{
    return a->resident == b->resident && lp2p_ref_eq(a->actor, b->actor);
}

/** The table with the entry added (or without it); NULL: no memory. */
static struct lp2p_protocols *changed_table(const struct lp2p_protocols *old, const struct lp2p_protocol_entry *entry,
                                            int at, bool remove)
{
    struct lp2p_protocols *table = lp2p_protocols_new(remove ? old->len - 1 : old->len + (at < 0 ? 1u : 0u));
    if (table == NULL) {
        return NULL;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < old->len; i++) {
        if ((int)i != at) {
            table->items[n++] = old->items[i];
        } else if (!remove) {
            table->items[n++] = *entry;
        }
    }
    if (at < 0) {
        table->items[n++] = *entry;
    }
    return table;
}

static enum lp2p_err change_protocols(struct lp2p_swarm *swarm, const struct lp2p_protocol_entry *entry, bool remove)
{
    const struct lp2p_protocols *old = swarm->heir->protocols;
    int at = lp2p_protocols_find(old, lp2p_span_str(entry->id));
    if (remove && at < 0) {
        return LP2P_ENOTFOUND;
    }
    if (!remove && at >= 0) {
        return same_entry(&old->items[at], entry) ? LP2P_EAGAIN : LP2P_EEXIST;
    }
    if (!remove && old->len >= LP2P_SWARM_PROTOCOLS_MAX) {
        return LP2P_ELIMIT;
    }
    struct lp2p_protocols *table = changed_table(old, entry, at, remove);
    if (table == NULL) {
        return LP2P_ENOMEM;
    }
    lp2p_protocols_drop(&swarm->heir->protocols);
    swarm->heir->protocols = table;
    return LP2P_OK;
}

static void spread_protocols(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    LP2P_LIST_FOREACH(it, &swarm->links)
    {
        struct lp2p_link *link = LP2P_LIST_ENTRY(it, struct lp2p_link, all);
        struct lp2p_m_protocols_changed *m = LP2P_NEW(PROTOCOLS_CHANGED, protocols_changed);
        if (m != NULL) {
            m->protocols = lp2p_protocols_ref(swarm->heir->protocols);
            struct lp2p_msg *msg = &m->msg;
            (void)lp2p_outbox_send(self, &swarm->outbox, link->muxer, &msg);
        }
    }
    for (unsigned i = 0; i < swarm->heir->subscribers_len; i++) {
        if (swarm->heir->subscribers[i].what & LP2P_SUB_PROTOCOLS) {
            notify_protocols(self, swarm, swarm->heir->subscribers[i].who);
        }
    }
    if (swarm->self != NULL) { /* before that, the first description waits for the listeners, and brings this too */
        lp2p_timer_set(self, LP2P_SWARM_SELF, lp2p_time_add(lp2p_now(self), LP2P_SELF_DEBOUNCE_NS));
    }
}

void lp2p_swarm_register(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_register *m)
{
    enum lp2p_err err = change_protocols(swarm, &m->entry, m->remove);
    if (err == LP2P_OK) {
        spread_protocols(self, swarm);
    } else if (err == LP2P_EAGAIN) {
        err = LP2P_OK; /* another instance of the same handler was first */
    }
    lp2p_op_finish(m->op, err, err == LP2P_EEXIST ? "protocol %s has a handler already" : NULL, m->entry.id);
    struct lp2p_m_registered *reply = LP2P_NEW(REGISTERED, registered);
    if (reply != NULL) {
        reply->result = err;
        struct lp2p_msg *msg = &reply->msg;
        if (lp2p_reply(self, &m->msg, &msg) != LP2P_OK) {
            lp2p_msg_drop(&msg); /* a foreign thread asked: its op was finished above */
        }
    }
}

/* ---- self */

static size_t listed(const struct lp2p_swarm *swarm, bool published, struct lp2p_multiaddr *out, size_t cap)
{
    const struct lp2p_config *config = &swarm->ctx->config;
    size_t len = 0;
    if (published && config->announce_len > 0) {
        for (size_t i = 0; i < config->announce_len && len < cap; i++) {
            out[len] = config->announce[i];
            lp2p_multiaddr_strip_peer(&out[len++]);
        }
        return len;
    }
    for (size_t i = 0; i < LP2P_LISTEN_MAX; i++) {
        for (uint32_t j = 0; swarm->heir->listening[i] != NULL && j < swarm->heir->listening[i]->len && len < cap; j++) {
            out[len++] = swarm->heir->listening[i]->items[j];
        }
    }
    return len;
}

static bool in(const struct lp2p_multiaddr *items, size_t len, const struct lp2p_multiaddr *addr)
{
    for (size_t i = 0; i < len; i++) {
        if (lp2p_multiaddr_eq(&items[i], addr)) {
            return true;
        }
    }
    return false;
}

/** Leaves the public ones of the first *len addresses. */
static void keep_public(struct lp2p_multiaddr *items, size_t *len)
{
    size_t kept = 0;
    for (size_t i = 0; i < *len; i++) {
        if (lp2p_multiaddr_scope(&items[i]) == LP2P_SCOPE_PUBLIC) {
            items[kept++] = items[i];
        }
    }
    *len = kept;
}

/** What is listened on; for publishing `announce` in its place if that is given, else with what peers see of us, and then
 *  what is to be announced besides. */
static size_t collect_addrs(struct lp2p_actor *self, struct lp2p_swarm *swarm, bool published, struct lp2p_multiaddr *out,
                            size_t cap)
{
    const struct lp2p_config *config = &swarm->ctx->config;
    struct lp2p_multiaddr seen[LP2P_OBSERVED_MAX];
    size_t len = listed(swarm, published, out, cap);
    size_t seen_len = published && config->announce_len == 0
                          ? lp2p_observed_confirmed(&swarm->observed, lp2p_now(self), seen, LP2P_OBSERVED_MAX)
                          : 0;
    for (size_t i = 0; i < seen_len && len < cap; i++) {
        if (!in(out, len, &seen[i])) {
            out[len++] = seen[i];
        }
    }
    if (published && config->public_only && config->announce_len == 0) {
        keep_public(out, &len);
    }
    for (size_t i = 0; published && i < config->append_announce_len && len < cap; i++) {
        if (!in(out, len, &config->append_announce[i])) {
            out[len++] = config->append_announce[i];
        }
    }
    return len;
}

/** The confirmed addresses are not those that are published. */
static bool news(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    struct lp2p_multiaddr items[LP2P_RECORD_ADDRS_MAX];
    size_t len = collect_addrs(self, swarm, true, items, LP2P_RECORD_ADDRS_MAX);
    for (size_t i = 0; i < len; i++) {
        if (!lp2p_addrs_have(swarm->self->addrs, &items[i])) {
            return true;
        }
    }
    return len != swarm->self->addrs->len;
}

void lp2p_swarm_observe(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_link *link,
                        const struct lp2p_multiaddr *seen)
{
    struct lp2p_multiaddr local;
    if (seen->len == 0 || link->local.ip_len == 0) {
        return;
    }
    lp2p_multiaddr_from_ip_tcp(link->local.ip, link->local.ip_len, link->local.port, &local);
    struct lp2p_addrs *own = lp2p_swarm_own_addrs(swarm);
    if (lp2p_observed_add(&swarm->observed, link->conn, &link->remote, &local, seen, own, lp2p_now(self)) &&
        swarm->self != NULL && swarm->ctx->config.announce_len == 0 && news(self, swarm)) {
        lp2p_timer_set(self, LP2P_SWARM_SELF, lp2p_time_add(lp2p_now(self), LP2P_SELF_DEBOUNCE_NS));
    }
    lp2p_addrs_drop(&own);
}

struct lp2p_addrs *lp2p_swarm_own_addrs(const struct lp2p_swarm *swarm)
{
    struct lp2p_multiaddr items[LP2P_RECORD_ADDRS_MAX];
    size_t len = listed(swarm, false, items, LP2P_RECORD_ADDRS_MAX);
    return len > 0 ? lp2p_addrs_new(items, len) : NULL;
}

static struct lp2p_strings *protocol_names(const struct lp2p_protocols *table)
{
    struct lp2p_span names[LP2P_SWARM_PROTOCOLS_MAX];
    for (uint32_t i = 0; i < table->len; i++) {
        names[i] = lp2p_span_str(table->items[i].id);
    }
    return lp2p_strings_new(names, table->len);
}

/** Signs the addresses. The sequence is Unix time in nanoseconds, as go-libp2p counts, and always rises, also over restarts after
 * which the clock shows an earlier time: peers ignore a record with a number below the one that they have. */
static enum lp2p_err sign_record(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_addrs *addrs,
                                 struct lp2p_slice *out)
{
    struct lp2p_peer_record *record = calloc(1, sizeof(*record));
    size_t cap = (size_t)addrs->len * (LP2P_MULTIADDR_MAX + 16) + LP2P_PUBLIC_KEY_MAX + LP2P_SIGNATURE_MAX + 256, len = 0;
    struct lp2p_buf *buf = lp2p_buf_new(cap);
    enum lp2p_err err = record == NULL || buf == NULL ? LP2P_ENOMEM : LP2P_OK;
    if (err == LP2P_OK) {
        record->peer = swarm->ctx->self;
        record->seq = swarm->heir->record_seq = LP2P_MAX(swarm->heir->record_seq + 1, LP2P_MS(lp2p_wall_ms(self)));
        record->addrs_len = LP2P_MIN(addrs->len, LP2P_RECORD_ADDRS_MAX);
        memcpy(record->addrs, addrs->items, record->addrs_len * sizeof(record->addrs[0]));
        err = lp2p_peer_record_seal(&swarm->ctx->key, record, buf->bytes, cap, &len);
    }
    if (err == LP2P_OK) {
        *out = (struct lp2p_slice){buf, buf->bytes, (uint32_t)len};
        lp2p_swarm_signed(self, swarm);
    } else {
        lp2p_buf_drop(&buf);
    }
    free(record);
    return err;
}

static struct lp2p_self *build_self(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    struct lp2p_multiaddr *items = calloc(LP2P_RECORD_ADDRS_MAX, sizeof(*items));
    struct lp2p_self *info = lp2p_self_info_new();
    if (items == NULL || info == NULL) {
        free(items);
        lp2p_self_info_drop(&info);
        return NULL;
    }
    info->version = ++swarm->heir->self_version;
    info->addrs = lp2p_addrs_new(items, collect_addrs(self, swarm, true, items, LP2P_RECORD_ADDRS_MAX));
    info->listening = lp2p_swarm_own_addrs(swarm);
    info->protocols = protocol_names(swarm->heir->protocols);
    free(items);
    enum lp2p_err err = info->addrs == NULL || info->protocols == NULL ? LP2P_ENOMEM : LP2P_OK;
    if (err == LP2P_OK) {
        err = lp2p_identify_encode(swarm->ctx, info->addrs, info->protocols, &info->message);
    }
    if (err == LP2P_OK) {
        err = sign_record(self, swarm, info->addrs, &info->record);
    }
    if (err != LP2P_OK) {
        lp2p_log(swarm->ctx, LP2P_LOG_ERROR, "swarm", "cannot describe this node: %s", lp2p_strerror(err));
        lp2p_self_info_drop(&info);
    }
    return info;
}

void lp2p_swarm_self_rebuild(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    struct lp2p_self *info = build_self(self, swarm);
    if (info == NULL) {
        lp2p_timer_set(self, LP2P_SWARM_SELF, lp2p_time_add(lp2p_now(self), LP2P_SEC(1)));
        return;
    }
    lp2p_self_info_drop(&swarm->self);
    swarm->self = info;
    for (unsigned i = 0; i < swarm->heir->subscribers_len; i++) {
        if (swarm->heir->subscribers[i].what & LP2P_SUB_SELF) {
            notify_self(self, swarm, swarm->heir->subscribers[i].who);
        }
    }
}

/* ---- addresses */

static void announce_address(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_multiaddr *addr)
{
    struct lp2p_multiaddr full = *addr;
    struct lp2p_m_notify *m = LP2P_NEW(NOTIFY, notify);
    if (m == NULL || lp2p_multiaddr_add_peer(&full, &swarm->ctx->self) != LP2P_OK) {
        struct lp2p_msg *gone = m != NULL ? &m->msg : NULL;
        lp2p_msg_drop(&gone);
        return;
    }
    m->kind = LP2P_EVENT_LISTENING;
    lp2p_multiaddr_text(&full, m->detail);
    struct lp2p_msg *msg = &m->msg;
    (void)lp2p_outbox_send(self, &swarm->outbox, lp2p_names(swarm->ctx)->notifier, &msg);
}

void lp2p_swarm_listening(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_listening *m)
{
    if (m->index >= LP2P_LISTEN_MAX) {
        return;
    }
    struct lp2p_addrs *before = swarm->heir->listening[m->index];
    swarm->heir->listening[m->index] = m->addrs;
    for (uint32_t i = 0; m->addrs != NULL && i < m->addrs->len; i++) {
        if (!lp2p_addrs_have(before, &m->addrs->items[i])) {
            announce_address(self, swarm, &m->addrs->items[i]);
        }
    }
    m->addrs = NULL;
    lp2p_addrs_drop(&before);
    bool all = true;
    for (size_t i = 0; i < swarm->ctx->config.listen_len; i++) {
        all = all && swarm->heir->listening[i] != NULL;
    }
    lp2p_timer_set(self, LP2P_SWARM_SELF, lp2p_time_add(lp2p_now(self), all ? 0 : LP2P_SELF_DEBOUNCE_NS));
}

void lp2p_swarm_list_addrs(struct lp2p_swarm *swarm, struct lp2p_m_list_addrs *m)
{
    struct lp2p_multiaddr *items = calloc(LP2P_RECORD_ADDRS_MAX, sizeof(*items));
    char *text = malloc(LP2P_RECORD_ADDRS_MAX * LP2P_MULTIADDR_TEXT_MAX);
    if (items == NULL || text == NULL) {
        lp2p_op_finish(m->op, LP2P_ENOMEM, NULL);
    } else {
        size_t n = listed(swarm, false, items, LP2P_RECORD_ADDRS_MAX), len = 0;
        for (size_t i = 0; i < n; i++) {
            if (lp2p_multiaddr_add_peer(&items[i], &swarm->ctx->self) == LP2P_OK) {
                lp2p_multiaddr_text(&items[i], text + len);
                len += strlen(text + len);
                text[len++] = '\n';
            }
        }
        lp2p_op_set_bytes(m->op, lp2p_span(text, len));
        lp2p_op_finish(m->op, LP2P_OK, NULL);
    }
    free(items);
    free(text);
}
