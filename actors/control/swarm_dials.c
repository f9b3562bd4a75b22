/* SPDX-License-Identifier: MIT
 * Dials, and who waits for them. There is at most one dial to a peer at a time; everyone else who wants that peer waits for its
 * result. */
#include "actors/control/swarm.h"

/* ---- waiters */

static void waiter_free(struct lp2p_swarm *swarm, struct lp2p_waiter *waiter)
{
    lp2p_list_remove(&waiter->list);
    lp2p_heap_remove(&swarm->waiters, &waiter->deadline);
    lp2p_op_drop(&waiter->op);
    struct lp2p_msg *open = waiter->open != NULL ? &waiter->open->msg : NULL;
    lp2p_msg_drop(&open);
    free(waiter);
}

static void open_failed(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_peer_stream_open *open,
                        enum lp2p_err reason, const char *text)
{
    if (open->resident >= 0) {
        /* A resident has no address of its own here, and nothing but the op waits for this answer. */
        lp2p_op_finish(open->op, reason, "%s", text);
        return;
    }
    struct lp2p_m_stream_open_failed *failed = LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
    if (failed == NULL) {
        lp2p_op_finish(open->op, LP2P_ENOMEM, NULL);
        return;
    }
    failed->msg.tag = open->reply_tag;
    failed->peer = open->peer;
    failed->reason = reason;
    failed->op = open->op;
    open->op = NULL;
    lp2p_printable(lp2p_span_str(text), failed->text, sizeof(failed->text));
    struct lp2p_msg *msg = &failed->msg;
    (void)lp2p_outbox_pass(self, &swarm->outbox, open->reply_to, &msg);
}

static void waiter_fail(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_waiter *waiter,
                        enum lp2p_err reason, const char *text)
{
    if (waiter->open != NULL) {
        open_failed(self, swarm, waiter->open, reason, text);
    } else {
        lp2p_op_finish(waiter->op, reason, "%s", text);
    }
    waiter_free(swarm, waiter);
}

void lp2p_swarm_waiters_fail(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_list *waiters,
                             enum lp2p_err reason, const char *text)
{
    while (!lp2p_list_empty(waiters)) {
        waiter_fail(self, swarm, LP2P_LIST_ENTRY(waiters->next, struct lp2p_waiter, list), reason, text);
    }
}

bool lp2p_swarm_user_waits(const struct lp2p_peer_entry *entry)
{
    LP2P_LIST_FOREACH(it, &entry->waiters)
    {
        const struct lp2p_waiter *waiter = LP2P_LIST_ENTRY(it, struct lp2p_waiter, list);
        if (waiter->open == NULL || !waiter->open->internal) {
            return true;
        }
    }
    return false;
}

static void arm_waiters(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    lp2p_timer_set(self, LP2P_SWARM_WAITERS, lp2p_heap_deadline(&swarm->waiters));
}

void lp2p_swarm_waiters_expire(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    while (lp2p_heap_deadline(&swarm->waiters) <= lp2p_now(self)) {
        struct lp2p_heap_node *node = lp2p_heap_top(&swarm->waiters);
        struct lp2p_waiter *waiter = LP2P_CONTAINER_OF(node, struct lp2p_waiter, deadline);
        waiter_fail(self, swarm, waiter, LP2P_ETIMEDOUT, "no usable connection to the peer before the deadline");
    }
    arm_waiters(self, swarm);
}

/** Puts a waiter into the list; takes *op or *open (one of them is set). */
static enum lp2p_err waiter_add(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_list *waiters,
                                lp2p_time deadline, struct lp2p_op **op, struct lp2p_m_peer_stream_open **open)
{
    if (swarm->waiters.len >= LP2P_SWARM_WAITERS_MAX) {
        return LP2P_ELIMIT;
    }
    struct lp2p_waiter *waiter = calloc(1, sizeof(*waiter));
    if (waiter == NULL || lp2p_heap_set(&swarm->waiters, &waiter->deadline, deadline) != LP2P_OK) {
        free(waiter);
        return LP2P_ENOMEM;
    }
    if (op != NULL) {
        waiter->op = *op;
        *op = NULL;
    } else {
        waiter->open = *open;
        *open = NULL;
    }
    lp2p_list_push_back(waiters, &waiter->list);
    arm_waiters(self, swarm);
    return LP2P_OK;
}

/* ---- streams */

/** Whether a stream may be used before the peer has agreed to its protocol: it has told that it speaks it, and it is of a kind
 * that is known to lose nothing (js nodes can lose what comes in the flight of the negotiation). */
static bool may_be_lazy(const struct lp2p_peer_entry *entry, const char *protocol)
{
    static const char *const kinds[] = {"lotus-p2p/", "go-libp2p", "github.com/libp2p/go-libp2p", "kubo/", "rust-libp2p"};
    bool known = false;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kinds) && !known; i++) {
        known = strncmp(entry->agent, kinds[i], strlen(kinds[i])) == 0;
    }
    for (uint32_t i = 0; known && entry->protocols != NULL && i < entry->protocols->len; i++) {
        if (strcmp(entry->protocols->items[i], protocol) == 0) {
            return true;
        }
    }
    return false;
}

/** Hands an open request to the muxer of a link. */
static void forward(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_link *link,
                    struct lp2p_m_peer_stream_open *open)
{
    struct lp2p_m_stream_open *m = LP2P_NEW(STREAM_OPEN, stream_open);
    if (m == NULL) {
        open_failed(self, swarm, open, LP2P_ENOMEM, "out of memory");
        return;
    }
    m->reply_to = open->reply_to;
    m->resident = open->resident;
    m->reply_tag = open->reply_tag;
    m->op = open->op;
    open->op = NULL;
    m->deadline = open->deadline;
    m->protocols_len = open->protocols_len;
    memcpy(m->protocols, open->protocols, sizeof(m->protocols));
    m->lazy = m->protocols_len == 1 && may_be_lazy(link->peer, m->protocols[0]);
    m->tell_refusal = m->protocols_len == 1;
    m->told = link->peer->told;
    link->streams += open->internal ? 0 : 1; /* a guess until the muxer reports, so that a burst spreads over links */
    struct lp2p_msg *msg = &m->msg;
    (void)lp2p_outbox_pass(self, &swarm->outbox, link->muxer, &msg);
}

void lp2p_swarm_stream_open(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_msg **msg)
{
    struct lp2p_m_peer_stream_open *open = LP2P_AS(*msg, PEER_STREAM_OPEN, peer_stream_open);
    struct lp2p_peer_entry *entry = lp2p_peers_find(&swarm->peers, &open->peer);
    struct lp2p_link *link = entry != NULL ? lp2p_swarm_best_link(entry) : NULL;
    if (link != NULL && open->if_spoken && lp2p_swarm_is_unspoken(entry, link, open->protocols[0], lp2p_now(self))) {
        open_failed(self, swarm, open, LP2P_EUNSUPPORTED, "the peer does not speak this protocol");
        return;
    }
    if (link != NULL) {
        forward(self, swarm, link, open);
        return;
    }
    if (lp2p_peer_id_eq(&open->peer, &swarm->ctx->self)) {
        open_failed(self, swarm, open, LP2P_ESELF, "the peer id is this node's own");
        return;
    }
    if (open->no_dial) {
        open_failed(self, swarm, open, LP2P_ENOCONN, "not connected");
        return;
    }
    if (entry == NULL && (entry = lp2p_peers_add(&swarm->peers, &open->peer)) == NULL) {
        open_failed(self, swarm, open, LP2P_ELIMIT, "the peer store is full");
        return;
    }
    lp2p_peer_entry_learn(entry, open->hints, LP2P_ADDR_HEARSAY, (uint32_t)(lp2p_wall_ms(self) / 1000));
    if (open->internal && entry->backoff_until > lp2p_now(self) && lp2p_list_empty(&entry->links)) {
        open_failed(self, swarm, open, LP2P_EBACKOFF, "a dial of this peer failed a moment ago");
        return;
    }
    enum lp2p_dial_reason why = open->internal ? LP2P_DIAL_INTERNAL : LP2P_DIAL_USER;
    const struct lp2p_addrs *given = open->internal ? NULL : open->hints;
    enum lp2p_err err = lp2p_list_empty(&entry->links) ? lp2p_swarm_dial_peer(self, swarm, entry, given, why) : LP2P_OK;
    lp2p_time deadline = open->deadline != 0 ? open->deadline : lp2p_time_add(lp2p_now(self), LP2P_DIAL_TIMEOUT_NS);
    if (err == LP2P_OK) {
        err = waiter_add(self, swarm, &entry->waiters, deadline, NULL, &open);
    }
    if (err == LP2P_OK) {
        *msg = NULL; /* the waiter keeps it */
        return;
    }
    open_failed(self, swarm, open, err, err == LP2P_ENOADDR ? "no usable address of this peer is known" : lp2p_strerror(err));
}

void lp2p_swarm_waiters_serve(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_peer_entry *entry,
                              bool identified)
{
    struct lp2p_link *link = lp2p_swarm_best_link(entry);
    if (link == NULL) {
        return;
    }
    LP2P_LIST_FOREACH_SAFE(it, &entry->waiters)
    {
        struct lp2p_waiter *waiter = LP2P_LIST_ENTRY(it, struct lp2p_waiter, list);
        if (waiter->open != NULL) {
            forward(self, swarm, link, waiter->open);
            waiter_free(swarm, waiter);
        } else if (identified) {
            char text[LP2P_PEER_ID_TEXT_MAX];
            lp2p_peer_id_text(&entry->id, text);
            lp2p_op_set_bytes(waiter->op, lp2p_span_str(text));
            lp2p_op_finish(waiter->op, LP2P_OK, NULL);
            waiter_free(swarm, waiter);
        }
    }
    arm_waiters(self, swarm);
}

/* ---- dials */

struct lp2p_dial_job *lp2p_swarm_dial_find(struct lp2p_swarm *swarm, uint64_t id)
{
    LP2P_LIST_FOREACH(it, &swarm->dials)
    {
        struct lp2p_dial_job *job = LP2P_LIST_ENTRY(it, struct lp2p_dial_job, list);
        if (job->id == id) {
            return job;
        }
    }
    return NULL;
}

static void job_free(struct lp2p_swarm *swarm, struct lp2p_dial_job *job)
{
    if (job->peer != NULL && job->peer->dial == job->id) {
        job->peer->dial = 0;
    }
    lp2p_list_remove(&job->list);
    swarm->dials_len--;
    swarm->dials_population -= job->population ? 1 : 0;
    LP2P_GAUGE(swarm->ctx, dials_pending, swarm->dials_len);
    lp2p_addrs_drop(&job->told);
    free(job);
}

void lp2p_swarm_dials_sweep(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    LP2P_LIST_FOREACH_SAFE(it, &swarm->dials)
    {
        struct lp2p_dial_job *job = LP2P_LIST_ENTRY(it, struct lp2p_dial_job, list);
        if (job->lost_at <= lp2p_now(self)) {
            lp2p_swarm_waiters_fail(self, swarm, &job->waiters, LP2P_EFAILED, "the dialer failed and was restarted");
            job_free(swarm, job);
        }
    }
}

/** The addresses of a peer that the user gave just now, or the configuration; NULL: none. */
static struct lp2p_addrs *named_of(const struct lp2p_peer_entry *entry, const struct lp2p_addrs *given)
{
    struct lp2p_multiaddr named[2 * LP2P_PEER_ADDRS_MAX];
    size_t len = 0;
    for (uint32_t i = 0; given != NULL && i < given->len && len < LP2P_PEER_ADDRS_MAX; i++) {
        named[len++] = given->items[i];
    }
    for (uint32_t i = 0; entry != NULL && entry->addrs != NULL && i < entry->addrs->len; i++) {
        if (entry->notes[i].source == LP2P_ADDR_MANUAL && !lp2p_addrs_have(given, &entry->addrs->items[i])) {
            named[len++] = entry->addrs->items[i];
        }
    }
    return len > 0 ? lp2p_addrs_new(named, len) : NULL;
}

/** Asks the dialer; on failure there is no job. `given`: addresses that the user gave just now; may be NULL. */
static enum lp2p_err dial(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_peer_entry *entry,
                          const struct lp2p_addrs *given, enum lp2p_dial_reason why, struct lp2p_dial_job **out)
{
    lp2p_swarm_dials_sweep(self, swarm);
    bool full = swarm->links_len + swarm->dials_len >= lp2p_population_hard_max(&swarm->population);
    unsigned max = LP2P_SWARM_DIALS_MAX - (why == LP2P_DIAL_USER ? 0 : LP2P_SWARM_DIALS_RESERVED);
    if (swarm->dials_len >= max || (full && why != LP2P_DIAL_USER)) {
        return LP2P_ELIMIT;
    }
    struct lp2p_dial_job *job = calloc(1, sizeof(*job));
    struct lp2p_m_dial *m = LP2P_NEW(DIAL, dial);
    if (job == NULL || m == NULL) {
        struct lp2p_msg *msg = m != NULL ? &m->msg : NULL;
        lp2p_msg_drop(&msg);
        free(job);
        return LP2P_ENOMEM;
    }
    job->id = m->dial = swarm->heir->next_dial++;
    job->peer = entry;
    job->lost_at = lp2p_time_add(lp2p_now(self), 2 * LP2P_DIAL_TIMEOUT_NS);
    job->population = why == LP2P_DIAL_POPULATION;
    job->user = why == LP2P_DIAL_USER;
    lp2p_list_init(&job->waiters);
    if (entry != NULL) {
        m->peer = entry->id;
        entry->dial = job->id;
    }
    m->addrs = lp2p_addrs_ref(entry != NULL ? entry->addrs : NULL);
    job->told = lp2p_addrs_ref(m->addrs);
    m->named = named_of(entry, given);
    m->own = lp2p_swarm_own_addrs(swarm);
    m->user = job->user;
    m->deadline = lp2p_time_add(lp2p_now(self), LP2P_DIAL_TIMEOUT_NS);
    lp2p_list_push_back(&swarm->dials, &job->list);
    swarm->dials_len++;
    swarm->dials_population += job->population ? 1 : 0;
    LP2P_GAUGE(swarm->ctx, dials_pending, swarm->dials_len);
    struct lp2p_msg *msg = &m->msg;
    enum lp2p_err err = lp2p_outbox_send(self, &swarm->outbox, lp2p_names(swarm->ctx)->dialer, &msg);
    if (err != LP2P_OK) {
        job_free(swarm, job);
        return err;
    }
    *out = job;
    return LP2P_OK;
}

/** Addresses that were learned since a dial began take part in it; for the user also those that were passed over. */
static void tell_more(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_dial_job *job,
                      const struct lp2p_peer_entry *entry, const struct lp2p_addrs *given, bool for_user)
{
    struct lp2p_multiaddr news[LP2P_PEER_ADDRS_MAX];
    size_t len = 0;
    for (uint32_t i = 0; entry->addrs != NULL && i < entry->addrs->len && len < LP2P_PEER_ADDRS_MAX; i++) {
        if ((for_user && !job->user) || !lp2p_addrs_have(job->told, &entry->addrs->items[i])) {
            news[len++] = entry->addrs->items[i];
        }
    }
    job->user = job->user || for_user; /* the dial that is under way now serves the user too */
    struct lp2p_m_dial *m = len > 0 || given != NULL ? LP2P_NEW(DIAL, dial) : NULL;
    if (m != NULL) {
        m->dial = job->id;
        m->more = true;
        m->peer = entry->id;
        m->addrs = lp2p_addrs_new(news, len);
        m->named = named_of(entry, given);
        m->user = job->user;
        struct lp2p_msg *msg = &m->msg;
        (void)lp2p_outbox_send(self, &swarm->outbox, lp2p_names(swarm->ctx)->dialer, &msg);
        lp2p_addrs_drop(&job->told);
        job->told = lp2p_addrs_ref(entry->addrs);
    }
}

enum lp2p_err lp2p_swarm_dial_peer(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_peer_entry *entry,
                                   const struct lp2p_addrs *given, enum lp2p_dial_reason why)
{
    lp2p_swarm_dials_sweep(self, swarm);
    struct lp2p_dial_job *job = entry->dial != 0 ? lp2p_swarm_dial_find(swarm, entry->dial) : NULL;
    if (job != NULL) {
        tell_more(self, swarm, job, entry, given, why == LP2P_DIAL_USER);
        return LP2P_OK;
    }
    return entry->addrs == NULL && given == NULL ? LP2P_ENOADDR : dial(self, swarm, entry, given, why, &job);
}

void lp2p_swarm_dial_answered(struct lp2p_swarm *swarm, struct lp2p_dial_job *job, struct lp2p_peer_entry *entry)
{
    (void)swarm;
    struct lp2p_list *it;
    while ((it = lp2p_list_pop_front(&job->waiters)) != NULL) {
        lp2p_list_push_back(&entry->waiters, it);
    }
}

static void connect_unknown(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_connect *m)
{
    struct lp2p_dial_job *job = NULL;
    enum lp2p_err err = m->addrs == NULL ? LP2P_ENOADDR : dial(self, swarm, NULL, m->addrs, LP2P_DIAL_USER, &job);
    if (err == LP2P_OK) {
        lp2p_time deadline = lp2p_time_add(lp2p_now(self), 2 * LP2P_DIAL_TIMEOUT_NS);
        err = waiter_add(self, swarm, &job->waiters, deadline, &m->op, NULL);
    }
    if (err != LP2P_OK) {
        lp2p_op_finish(m->op, err, "%s", lp2p_strerror(err));
    }
}

void lp2p_swarm_connect(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_connect *m)
{
    if (m->peer.len == 0) {
        connect_unknown(self, swarm, m);
        return;
    }
    if (lp2p_peer_id_eq(&m->peer, &swarm->ctx->self)) {
        lp2p_op_finish(m->op, LP2P_ESELF, "the peer id is this node's own");
        return;
    }
    struct lp2p_peer_entry *entry = lp2p_peers_add(&swarm->peers, &m->peer);
    if (entry == NULL) {
        lp2p_op_finish(m->op, LP2P_ELIMIT, "the peer store is full");
        return;
    }
    lp2p_peer_entry_learn(entry, m->addrs, LP2P_ADDR_IDENTIFY, (uint32_t)(lp2p_wall_ms(self) / 1000));
    struct lp2p_link *link = lp2p_swarm_best_link(entry);
    /* Links that are not up are just coming or just closing; when a closing one has ended, who waits gets a new dial. */
    bool none = link == NULL && lp2p_list_empty(&entry->links);
    enum lp2p_err err = none ? lp2p_swarm_dial_peer(self, swarm, entry, m->addrs, LP2P_DIAL_USER) : LP2P_OK;
    if (err == LP2P_OK && m->op != NULL) {
        lp2p_time deadline = lp2p_time_add(lp2p_now(self), 2 * LP2P_DIAL_TIMEOUT_NS);
        err = waiter_add(self, swarm, &entry->waiters, deadline, &m->op, NULL);
        if (err == LP2P_OK && link != NULL) {
            lp2p_swarm_waiters_serve(self, swarm, entry, lp2p_swarm_is_identified(entry));
        }
    }
    if (err != LP2P_OK) {
        lp2p_op_finish(m->op, err, "%s", err == LP2P_ENOADDR ? "no address of this peer is known: give one" : lp2p_strerror(err));
    }
}

/** An operator has to learn that a bootstrap peer does not answer, but not each time: at the 1st, 2nd, 4th, 8th .. failure. */
static void tell_bootstrap(const struct lp2p_swarm *swarm, const struct lp2p_peer_entry *entry, const char *why, uint64_t wait_ns)
{
    char peer[LP2P_PEER_ID_TEXT_MAX], text[LP2P_DETAIL_MAX];
    if (entry->bootstrap && (entry->failures & (entry->failures - 1)) == 0 && lp2p_list_empty(&entry->links)) {
        lp2p_peer_id_text(&entry->id, peer);
        lp2p_printable(lp2p_span_str(why), text, sizeof(text));
        lp2p_log(swarm->ctx, LP2P_LOG_WARN, "swarm", "bootstrap peer %s cannot be reached (failure %u, next try in %llu s): %s",
                 peer, entry->failures, (unsigned long long)(wait_ns / LP2P_SEC(1)), text);
    }
}

void lp2p_swarm_dial_ended(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_dial_ended *m)
{
    struct lp2p_dial_job *job = lp2p_swarm_dial_find(swarm, m->dial);
    if (job == NULL) {
        return;
    }
    struct lp2p_peer_entry *entry = job->peer;
    if (m->reason != LP2P_OK) {
        if (entry != NULL) {
            entry->failures++;
            uint64_t wait_ns = lp2p_population_backoff(entry->failures, &swarm->rand);
            entry->backoff_until = lp2p_time_add(lp2p_now(self), wait_ns);
            tell_bootstrap(swarm, entry, m->text, wait_ns);
        }
        struct lp2p_list *waiters = entry != NULL ? &entry->waiters : &job->waiters;
        /* A connection from the other side may be coming up meanwhile; then its end decides. */
        if (entry == NULL || lp2p_list_empty(&entry->links)) {
            lp2p_swarm_waiters_fail(self, swarm, waiters, m->reason, m->text);
        }
    }
    lp2p_swarm_waiters_fail(self, swarm, &job->waiters, LP2P_ENOCONN, "the connection was refused by this node");
    job_free(swarm, job);
    lp2p_swarm_population_poke(self);
}

void lp2p_swarm_dials_fini(struct lp2p_actor *self, struct lp2p_swarm *swarm)
{
    LP2P_LIST_FOREACH_SAFE(it, &swarm->dials)
    {
        struct lp2p_dial_job *job = LP2P_LIST_ENTRY(it, struct lp2p_dial_job, list);
        lp2p_swarm_waiters_fail(self, swarm, &job->waiters, LP2P_ECLOSED, "the node stops");
        job_free(swarm, job);
    }
    LP2P_LIST_FOREACH_SAFE(it, &swarm->peers.lru)
    {
        struct lp2p_peer_entry *entry = LP2P_LIST_ENTRY(it, struct lp2p_peer_entry, lru);
        lp2p_swarm_waiters_fail(self, swarm, &entry->waiters, LP2P_ECLOSED, "the node stops");
    }
}
