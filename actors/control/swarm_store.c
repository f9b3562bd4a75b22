/* SPDX-License-Identifier: MIT
 * The swarm's side of the peer store on disk: which entries changed, batches of them, what comes back at the start, and the
 * expiry of addresses. One batch is under way at one time; what changes meanwhile goes with the next one. */
#include "actors/control/swarm.h"
#include "actors/store/db.h"
#include "actors/store/record.h"

#define FLUSH_NS LP2P_MS(500)    /* changes within that time are one batch */
#define PATIENCE_NS LP2P_SEC(30) /* for a store that hangs, and for an answer that there was no memory for */
#define SWEEP_NS LP2P_SEC(60)
#define BATCH_MAX (256u * 1024)
#define UNSEEN_MS (6ull * 3600 * 1000) /* a peer without any address is forgotten after that time, as in js */

static uint32_t wall_s(struct lp2p_actor *self)
{
    return (uint32_t)(lp2p_wall_ms(self) / 1000);
}

static void arm(struct lp2p_actor *self, uint64_t span_ns)
{
    lp2p_time when = lp2p_time_add(lp2p_now(self), span_ns);
    lp2p_timer_set(self, LP2P_SWARM_STORE, lp2p_time_min(lp2p_timer_get(self, LP2P_SWARM_STORE), when));
}

/* Hearsay is not worth a write: it would be stale by the time it is read. */
static bool worth_keeping(const struct lp2p_peer_entry *entry)
{
    bool worth = false;
    for (size_t i = 0; entry->addrs != NULL && i < entry->addrs->len; i++) {
        worth = worth || entry->notes[i].source >= LP2P_ADDR_IDENTIFY;
    }
    for (size_t i = 0; i < LP2P_PEER_TAGS_MAX; i++) {
        worth = worth || entry->tags[i].name[0] != '\0';
    }
    return worth;
}

void lp2p_swarm_changed(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_peer_entry *entry)
{
    if (swarm->ctx->db != NULL && !lp2p_list_linked(&entry->dirty) && worth_keeping(entry)) {
        lp2p_list_push_back(&swarm->dirty, &entry->dirty);
        swarm->dirty_len++;
        arm(self, FLUSH_NS);
    }
}

void lp2p_swarm_signed(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    if (swarm->ctx->db != NULL) {
        arm(self, FLUSH_NS); /* with whatever else has changed by then */
    }
}

static bool has_new_seq(const struct lp2p_swarm *swarm)
{
    return swarm->heir->record_seq > swarm->seq_kept;
}

static void forget_on_disk(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_peer_id *id)
{
    if (swarm->ctx->db != NULL && swarm->forgotten_len < LP2P_ARRAY_LEN(swarm->forgotten)) {
        swarm->forgotten[swarm->forgotten_len++] = *id;
        arm(self, FLUSH_NS);
    }
}

/* ---- batches */

static unsigned put_seq(struct lp2p_swarm *swarm, struct lp2p_buf *buf, size_t cap, size_t *len)
{
    uint8_t value[8];
    lp2p_db_own_seq_put(swarm->heir->record_seq, value);
    if (buf == NULL || !has_new_seq(swarm) ||
        lp2p_batch_put(buf->bytes, cap, len, lp2p_span_str(LP2P_DB_OWN_SEQ), lp2p_span(value, sizeof(value))) != LP2P_OK) {
        return 0;
    }
    swarm->seq_storing = swarm->heir->record_seq;
    return 1;
}

/* Takes from the dirty entries what fits; they are clean then. *count: how many changes it holds. */
static struct lp2p_buf *next_batch(struct lp2p_swarm *swarm, size_t *len, unsigned *count)
{
    size_t wanted = (swarm->dirty_len + 1) * (2048 + LP2P_PEER_RECORD_MAX) + swarm->forgotten_len * 64 + LP2P_STORE_PEER_MAX;
    size_t cap = LP2P_MIN((size_t)BATCH_MAX, wanted);
    struct lp2p_buf *buf = lp2p_buf_new(cap);
    uint8_t *scratch = malloc(LP2P_STORE_PEER_MAX);
    *len = 0;
    *count = put_seq(swarm, buf, cap, len);
    while (buf != NULL && scratch != NULL && swarm->forgotten_len > 0 &&
           lp2p_batch_put(buf->bytes, cap, len, lp2p_peer_id_span(&swarm->forgotten[swarm->forgotten_len - 1]),
                          lp2p_span(NULL, 0)) == LP2P_OK) {
        swarm->forgotten_len--;
        (*count)++;
    }
    LP2P_LIST_FOREACH_SAFE(it, &swarm->dirty)
    {
        struct lp2p_peer_entry *entry = LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, dirty);
        size_t size = 0;
        if (buf == NULL || scratch == NULL ||
            lp2p_stored_peer_write(entry, scratch, LP2P_STORE_PEER_MAX, &size) != LP2P_OK ||
            lp2p_batch_put(buf->bytes, cap, len, lp2p_peer_id_span(&entry->id), lp2p_span(scratch, size)) != LP2P_OK) {
            break;
        }
        lp2p_list_remove(&entry->dirty);
        entry->storing = true;
        (*count)++;
    }
    free(scratch);
    if (*count == 0) {
        lp2p_buf_drop(&buf);
    }
    return buf;
}

static void count_dirty(struct lp2p_swarm *swarm)
{
    swarm->dirty_len = 0;
    LP2P_LIST_FOREACH(it, &swarm->dirty)
    {
        swarm->dirty_len++;
    }
}

/* The store did not write, or nobody knows: all of the batch is dirty again. */
static void batch_lost(struct lp2p_swarm *swarm)
{
    LP2P_LIST_FOREACH(it, &swarm->peers.lru)
    {
        struct lp2p_peer_entry *entry = LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, lru);
        if (entry->storing && !lp2p_list_linked(&entry->dirty)) {
            lp2p_list_push_back(&swarm->dirty, &entry->dirty);
        }
        entry->storing = false;
    }
    swarm->storing = false;
    count_dirty(swarm);
}

static void flush(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    count_dirty(swarm); /* entries leave the list also when they make room for others */
    if (swarm->storing || (swarm->dirty_len == 0 && swarm->forgotten_len == 0 && !has_new_seq(swarm))) {
        return;
    }
    struct lp2p_m_store_batch *m = LP2P_NEW(STORE_WRITE, store_batch);
    size_t len = 0;
    struct lp2p_msg *msg = m == NULL ? NULL : &m->msg;
    if (m != NULL) {
        m->buf = next_batch(swarm, &len, &m->count);
        m->len = (uint32_t)len;
    }
    swarm->storing = true;
    swarm->storing_until = lp2p_time_add(lp2p_now(self), PATIENCE_NS);
    if (m == NULL || m->buf == NULL || lp2p_send(self, lp2p_names(swarm->ctx)->store, &msg) != LP2P_OK) {
        batch_lost(swarm);
    }
    lp2p_msg_drop(&msg);
    count_dirty(swarm);
}

void lp2p_swarm_store_written(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_store_mark *m)
{
    if (!swarm->storing) {
        return;
    }
    if (m->result != LP2P_OK) {
        batch_lost(swarm);
        arm(self, 4 * FLUSH_NS);
        return;
    }
    swarm->storing = false;
    swarm->seq_kept = swarm->seq_storing;
    LP2P_LIST_FOREACH(it, &swarm->peers.lru)
    {
        LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, lru)->storing = false;
    }
    if (!lp2p_list_empty(&swarm->dirty) || swarm->forgotten_len > 0 || has_new_seq(swarm)) {
        arm(self, FLUSH_NS);
    }
}

/* ---- expiry */

static void sweep(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    uint32_t now_s = wall_s(self);
    uint64_t now_ms = lp2p_wall_ms(self);
    LP2P_LIST_FOREACH_SAFE(it, &swarm->peers.lru)
    {
        struct lp2p_peer_entry *entry = LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, lru);
        bool changed = lp2p_peer_entry_expire(entry, now_s);
        bool gone = entry->addrs == NULL && lp2p_peer_entry_idle(entry) &&
                    lp2p_time_since(now_ms, entry->last_seen_ms) > UNSEEN_MS && entry->discovered;
        if (gone) {
            forget_on_disk(self, swarm, &entry->id);
            lp2p_peers_remove(&swarm->peers, entry);
        } else if (changed) {
            lp2p_swarm_changed(self, swarm, entry);
        }
    }
    LP2P_GAUGE(swarm->ctx, known_peers, swarm->peers.len);
}

void lp2p_swarm_store_tick(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    if (swarm->sweep_at <= lp2p_now(self)) {
        swarm->sweep_at = lp2p_time_add(lp2p_now(self), SWEEP_NS);
        sweep(self, swarm);
    }
    if (swarm->ctx->db != NULL) {
        if (swarm->storing && swarm->storing_until <= lp2p_now(self)) {
            batch_lost(swarm);
        }
        flush(self, swarm);
    }
    arm(self, LP2P_MAX(lp2p_time_since(swarm->sweep_at, lp2p_now(self)), LP2P_MS(100)));
}

/* ---- the beginning and the end */

/* What a swarm that failed had not handed over yet: written before anything is read. */
static void write_heritage(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    struct lp2p_slice *last = &swarm->ctx->store_last;
    struct lp2p_m_store_batch *m = last->len > 0 ? LP2P_NEW(STORE_WRITE, store_batch) : NULL;
    if (m != NULL) {
        m->buf = last->buf;
        m->len = last->len;
        *last = (struct lp2p_slice){0};
        struct lp2p_msg *msg = &m->msg;
        (void)lp2p_outbox_send(self, &swarm->outbox, lp2p_names(swarm->ctx)->store, &msg);
    }
}

void lp2p_swarm_store_init(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    lp2p_list_init(&swarm->dirty);
    swarm->sweep_at = lp2p_time_add(lp2p_now(self), SWEEP_NS);
    arm(self, SWEEP_NS);
    if (swarm->ctx->db == NULL) {
        return;
    }
    write_heritage(self, swarm);
    struct lp2p_m_store_mark *m = LP2P_NEW(STORE_LOAD, store_mark);
    if (m != NULL) {
        struct lp2p_msg *msg = &m->msg;
        (void)lp2p_outbox_send(self, &swarm->outbox, lp2p_names(swarm->ctx)->store, &msg);
    }
}

static void recall_texts(struct lp2p_peer_entry *entry, const struct lp2p_stored_peer *stored)
{
    if (entry->protocols == NULL && stored->protocols_len > 0) {
        entry->protocols = lp2p_strings_new(stored->protocols, stored->protocols_len);
        entry->recalled = entry->protocols != NULL;
    }
    if (entry->agent[0] == '\0') {
        lp2p_printable(stored->agent, entry->agent, sizeof(entry->agent));
        lp2p_printable(stored->protocol_version, entry->protocol_version, sizeof(entry->protocol_version));
    }
    lp2p_peer_entry_keep_key(entry, stored->key);
    for (size_t i = 0; i < stored->tags_len; i++) {
        (void)!lp2p_peer_entry_tag(entry, stored->tags[i].name, stored->tags[i].value);
    }
}

/* The record comes back unless this run has seen a newer one. Without the record itself nothing proves its addresses any more. */
static void recall_record(struct lp2p_peer_entry *entry, struct lp2p_stored_peer *stored, uint32_t now_s)
{
    if (stored->record_seq < entry->record_seq) {
        lp2p_stored_peer_distrust(stored);
    } else if (stored->record_seq > entry->record_seq || entry->record.len == 0) {
        entry->record_seq = stored->record_seq;
        entry->record_s = LP2P_MAX(entry->record_s, (uint32_t)LP2P_MIN(stored->last_seen_ms / 1000, (uint64_t)now_s));
        lp2p_peer_entry_keep_record(entry, stored->record);
    }
    for (size_t i = 0; i < stored->addrs_len && stored->record.len == 0; i++) {
        stored->notes[i].source = stored->notes[i].source == LP2P_ADDR_CERTIFIED ? LP2P_ADDR_IDENTIFY : stored->notes[i].source;
    }
}

/* Takes what was kept of one peer; what this run has learned already counts more. */
static void recall(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_stored_peer *stored)
{
    uint32_t now_s = wall_s(self);
    uint64_t now_ms = lp2p_wall_ms(self);
    if (lp2p_peer_id_eq(&stored->id, &swarm->ctx->self)) {
        return;
    }
    struct lp2p_peer_entry *entry = lp2p_peers_find(&swarm->peers, &stored->id);
    bool known = entry != NULL;
    if (!known && (swarm->peers.len >= swarm->peers.max || (entry = lp2p_peers_add(&swarm->peers, &stored->id)) == NULL)) {
        return;
    }
    for (size_t i = 0; i < stored->addrs_len; i++) {
        stored->notes[i].seen_s = LP2P_MIN(stored->notes[i].seen_s, now_s); /* the clock was ahead */
    }
    recall_record(entry, stored, now_s);
    lp2p_peer_entry_recall(entry, stored->addrs, stored->notes, stored->addrs_len);
    entry->last_seen_ms = LP2P_MAX(entry->last_seen_ms, LP2P_MIN(stored->last_seen_ms, now_ms));
    recall_texts(entry, stored);
    if (!known) {
        entry->connected_ms = LP2P_MIN(stored->connected_ms, now_ms);
        entry->rtt_ns = stored->rtt_ns;
        entry->discovered = true; /* by an earlier run */
    }
    (void)lp2p_peer_entry_expire(entry, now_s);
    bool nothing = entry->addrs == NULL && lp2p_peer_entry_idle(entry) && !known;
    if (nothing && lp2p_time_since(now_ms, entry->last_seen_ms) > UNSEEN_MS) {
        forget_on_disk(self, swarm, &entry->id);
        lp2p_peers_remove(&swarm->peers, entry);
    }
}

void lp2p_swarm_store_loaded(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_store_batch *m)
{
    struct lp2p_stored_peer *stored = malloc(sizeof(*stored));
    struct lp2p_span rest = lp2p_span(m->buf->bytes, m->len), key, value;
    unsigned bad = 0;
    bool distrusted = false;
    while (stored != NULL && rest.len > 0 && lp2p_batch_take(&rest, &key, &value) == LP2P_OK) {
        if (value.len == 0) {
            distrusted = true; /* the next one */
            continue;
        }
        enum lp2p_err err = lp2p_stored_peer_read(value, stored);
        if (err == LP2P_OK && lp2p_span_eq(key, lp2p_peer_id_span(&stored->id))) {
            if (distrusted) {
                lp2p_stored_peer_distrust(stored);
            }
            recall(self, swarm, stored);
        } else {
            bad++;
        }
        distrusted = false;
    }
    free(stored);
    if (bad > 0) {
        lp2p_log(swarm->ctx, LP2P_LOG_WARN, "store", "%u peers on disk could not be read", bad);
    }
    LP2P_GAUGE(swarm->ctx, known_peers, swarm->peers.len);
    lp2p_swarm_population_poke(self);
}

void lp2p_swarm_store_fini(struct lp2p_swarm *swarm)
{
    if (swarm->ctx->db == NULL) {
        return;
    }
    if (swarm->storing) {
        batch_lost(swarm); /* the store may not have come to it */
    }
    count_dirty(swarm);
    size_t len = 0;
    unsigned count = 0;
    struct lp2p_buf *buf = next_batch(swarm, &len, &count);
    lp2p_slice_drop(&swarm->ctx->store_last);
    if (buf != NULL) {
        swarm->ctx->store_last = (struct lp2p_slice){buf, buf->bytes, (uint32_t)len};
    }
}

/* ---- what the user asks for */

void lp2p_swarm_tag(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_tag *m)
{
    struct lp2p_peer_entry *entry = m->value != 0 ? lp2p_peers_add(&swarm->peers, &m->peer) : lp2p_peers_find(&swarm->peers, &m->peer);
    enum lp2p_err err = entry == NULL ? (m->value != 0 ? LP2P_ELIMIT : LP2P_OK) : lp2p_peer_entry_tag(entry, m->name, m->value);
    if (entry != NULL && err == LP2P_OK) {
        lp2p_swarm_changed(self, swarm, entry);
        lp2p_swarm_publish_peer(self, swarm, &LP2P_M_PEER_UPDATED, lp2p_swarm_peer_info(entry), LP2P_OK);
        lp2p_swarm_population_poke(self);
    }
    if (m->op != NULL) {
        lp2p_op_finish(m->op, err, err == LP2P_ELIMIT ? "a peer has at most 8 tags" : NULL);
    }
}

void lp2p_swarm_forget(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_tag *m)
{
    struct lp2p_peer_entry *entry = lp2p_peers_find(&swarm->peers, &m->peer);
    enum lp2p_err err = entry == NULL ? LP2P_ENOTFOUND : LP2P_OK;
    if (entry != NULL && (!lp2p_list_empty(&entry->links) || !lp2p_list_empty(&entry->waiters) || entry->dial != 0)) {
        err = LP2P_ESTATE;
    }
    if (err != LP2P_ESTATE) {
        forget_on_disk(self, swarm, &m->peer);
    }
    if (err == LP2P_OK) {
        lp2p_peers_remove(&swarm->peers, entry);
        LP2P_GAUGE(swarm->ctx, known_peers, swarm->peers.len);
    }
    if (m->op != NULL) {
        lp2p_op_finish(m->op, err, err == LP2P_ESTATE ? "disconnect it first" : err == LP2P_ENOTFOUND ? "this peer is not known" : NULL);
    }
}
