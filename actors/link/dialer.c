/* SPDX-License-Identifier: MIT
 * The dialer: tries the addresses of a peer, staggered and a few at a time, until one gives an authenticated
 * connection. Each attempt is an upgrade actor; the first success ends the others. */
#include "actors/link/dialer_private.h"

#include "wire/endpoint.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMER_NEXT, TIMER_OUTBOX };

static enum lp2p_err dialer_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct lp2p_dialer *dialer = state;
    dialer->ctx = (struct lp2p_context *)(uintptr_t)arg;
    dialer->rand = *lp2p_actor_rand(self);
    lp2p_list_init(&dialer->dials);
    lp2p_backoffs_init(&dialer->backoffs, &dialer->rand);
    const struct lp2p_dial_limits defaults = {{LP2P_DIAL_TARGET_NS, LP2P_DIAL_TARGET_BURST},
                                              {LP2P_DIAL_NET_NS, LP2P_DIAL_NET_BURST},
                                              LP2P_DIALS_RESERVED};
    const struct lp2p_dial_limits *limits = dialer->ctx->dial_limits != NULL ? dialer->ctx->dial_limits : &defaults;
    lp2p_budget_init(&dialer->budget, limits, &dialer->rand);
    dialer->reserved = limits->reserved;
    lp2p_outbox_init(&dialer->outbox, TIMER_OUTBOX, 2 * LP2P_DIALS_MAX);
    return LP2P_OK;
}

static void answer(struct lp2p_actor *self, struct lp2p_dialer *dialer, uint64_t number, const struct lp2p_peer_id *peer,
                   enum lp2p_err reason, const char *text)
{
    if (reason != LP2P_OK) {
        LP2P_COUNT(dialer->ctx, dials_failed, 1);
    }
    struct lp2p_m_dial_ended *m = LP2P_NEW(DIAL_ENDED, dial_ended);
    if (m == NULL) {
        return; /* the swarm has deadlines of its own */
    }
    m->dial = number;
    m->peer = *peer;
    m->reason = reason;
    (void)snprintf(m->text, sizeof(m->text), "%s", text);
    struct lp2p_msg *msg = &m->msg;
    (void)lp2p_outbox_pass(self, &dialer->outbox, lp2p_names(dialer->ctx)->swarm, &msg);
}

static void dial_free(struct lp2p_dialer *dialer, struct lp2p_dial *dial)
{
    lp2p_dial_forget_names(dialer, dial);
    lp2p_list_remove(&dial->link);
    dialer->dials_len--;
    lp2p_addrs_drop(&dial->own);
    free(dial->candidates);
    free(dial);
}

/** Ends a dial: its attempts are stopped, and stay counted until they are gone. */
static void finish(struct lp2p_actor *self, struct lp2p_dialer *dialer, struct lp2p_dial *dial, enum lp2p_err reason)
{
    for (size_t i = 0; i < dialer->attempts_len; i++) {
        struct lp2p_attempt *attempt = &dialer->attempts[i];
        if (attempt->dial == dial) {
            if (reason != LP2P_OK) {
                const struct lp2p_candidate *candidate = &dial->candidates[attempt->candidate];
                lp2p_dial_note(dial, &candidate->shown, &candidate->addr, "still trying", lp2p_strerror(reason));
            }
            attempt->dial = NULL;
            lp2p_stop(self, attempt->upgrade);
        }
    }
    for (size_t i = 0; reason != LP2P_OK && i < dialer->resolving_len; i++) {
        if (dialer->resolving[i].dial == dial) {
            lp2p_dial_note(dial, &dialer->resolving[i].addr, NULL, "dns", "no answer in time");
        }
    }
    answer(self, dialer, dial->number, &dial->peer, reason, dial->text);
    dial_free(dialer, dial);
}

/* ---- attempts */

/** The name that the IP was found under. */
static void host_of(const struct lp2p_candidate *candidate, char out[LP2P_HOST_MAX])
{
    struct lp2p_endpoint end = lp2p_endpoint_of(&candidate->shown);
    if (lp2p_endpoint_is_name(&end) && end.host_code != LP2P_MA_DNSADDR && end.host.len < LP2P_HOST_MAX) {
        memcpy(out, end.host.ptr, end.host.len);
        out[end.host.len] = '\0';
    }
}

static struct lp2p_upgrade_arg *upgrade_arg(struct lp2p_actor *self, struct lp2p_dialer *dialer, const struct lp2p_dial *dial,
                                            const struct lp2p_candidate *candidate)
{
    struct lp2p_upgrade_arg *arg = calloc(1, sizeof(*arg));
    if (arg == NULL) {
        return NULL;
    }
    arg->ctx = dialer->ctx;
    arg->outbound = true;
    arg->fd = -1;
    arg->remote = candidate->addr;
    arg->dial = dial->number;
    arg->peer = dial->peer;
    if (arg->peer.len == 0 && lp2p_multiaddr_peer(&arg->remote, &arg->peer) != LP2P_OK) {
        arg->peer.len = 0; /* nobody is named: whoever answers */
    }
    lp2p_multiaddr_strip_peer(&arg->remote);
    host_of(candidate, arg->host);
    if (!dialer->ctx->config.no_port_reuse) {
        arg->from = lp2p_dial_from(dial, candidate);
    }
    arg->deadline = lp2p_time_min(dial->deadline, lp2p_time_add(lp2p_now(self), LP2P_UPGRADE_OUT_NS));
    return arg;
}

static enum lp2p_err start_attempt(struct lp2p_actor *self, struct lp2p_dialer *dialer, struct lp2p_dial *dial,
                                   struct lp2p_candidate *candidate)
{
    struct lp2p_upgrade_arg *arg = upgrade_arg(self, dialer, dial, candidate);
    if (arg == NULL) {
        return LP2P_ENOMEM;
    }
    char id[40];
    (void)snprintf(id, sizeof(id), "upgrade-out-%llu", (unsigned long long)++dialer->serial);
    const struct lp2p_child_spec spec = {
        .id = id,
        .ops = &lp2p_upgrade_ops,
        .arg = arg,
        .arg_drop = lp2p_upgrade_arg_drop,
        .restart = LP2P_TEMPORARY,
        .placement = {.place = LP2P_PLACE_GROUP, .group = LP2P_GROUP_UPGRADE},
        .mailbox_max = 8,
        .shutdown_ms = 1000,
    };
    struct lp2p_attempt attempt = {.serial = dialer->serial, .dial = dial, .reused_port = arg->from.ip_len > 0,
                                   .candidate = (size_t)(candidate - dial->candidates)};
    enum lp2p_err err = lp2p_spawn(self, lp2p_names(dialer->ctx)->links, &spec, &attempt.upgrade);
    if (err != LP2P_OK) {
        free(arg);
        return err;
    }
    dialer->attempts[dialer->attempts_len++] = attempt;
    candidate->state = LP2P_CANDIDATE_RUNNING;
    dial->running++;
    lp2p_monitor(self, attempt.upgrade);
    return LP2P_OK;
}

/** Peers that nobody answers for, told by strangers, must not take the places of a dial that somebody waits for. */
static bool may_start(const struct lp2p_dialer *dialer, const struct lp2p_dial *dial)
{
    size_t places = LP2P_DIALS_PARALLEL - (dial->user ? 0 : dialer->reserved);
    return dial->running < LP2P_DIAL_PARALLEL && dialer->attempts_len < places;
}

/** A candidate's turn has come, but not at the cost of whom it leads to. */
static bool is_withheld(struct lp2p_actor *self, struct lp2p_dialer *dialer, struct lp2p_dial *dial,
                        struct lp2p_candidate *candidate)
{
    const char *why = candidate->named ? NULL : lp2p_budget_take(&dialer->budget, &candidate->addr, lp2p_now(self));
    if (why == NULL) {
        return false;
    }
    LP2P_COUNT(dialer->ctx, dials_limited, 1);
    candidate->state = LP2P_CANDIDATE_OVER;
    candidate->withheld = true;
    lp2p_dial_note(dial, &candidate->shown, &candidate->addr, "address", why);
    lp2p_dial_remember(dial, LP2P_EBACKOFF, false);
    return true;
}

/** Starts what may be started of one dial, and ends it when nothing is left to hope for. True: the dial is gone. */
static bool pump(struct lp2p_actor *self, struct lp2p_dialer *dialer, struct lp2p_dial *dial)
{
    struct lp2p_candidate *next;
    while (may_start(dialer, dial) && (next = lp2p_dial_next(dial)) != NULL) {
        /* While nothing runs there is nothing to wait for, but for an address that is tried a second time. */
        bool turn = next->start <= lp2p_now(self) || dial->hurry || (dial->running == 0 && !next->any_port);
        if (!turn) {
            break;
        }
        if (is_withheld(self, dialer, dial, next)) {
            continue;
        }
        dial->hurry = false;
        enum lp2p_err err = start_attempt(self, dialer, dial, next);
        if (err == LP2P_EGONE) {
            /* The supervisor of attempts is not up yet, or not up again. */
            dialer->held_until = lp2p_time_add(lp2p_now(self), LP2P_DIALER_HOLD_NS);
            return false;
        }
        if (err != LP2P_OK) {
            next->state = LP2P_CANDIDATE_OVER;
            lp2p_dial_note(dial, &next->shown, &next->addr, "address", lp2p_strerror(err));
            lp2p_dial_remember(dial, err, true);
        }
    }
    if (dial->running > 0 || dial->resolving > 0 || lp2p_dial_next(dial) != NULL) {
        return false;
    }
    if (dial->reason == LP2P_OK) {
        (void)snprintf(dial->text, sizeof(dial->text), "no address is known");
    }
    finish(self, dialer, dial, dial->reason == LP2P_OK ? LP2P_ENOADDR : dial->reason);
    return true;
}

/** Goes over all dials, oldest first, and sets the timer to the next moment at which one has something to do. */
static void pump_all(struct lp2p_actor *self, struct lp2p_dialer *dialer)
{
    lp2p_time now = lp2p_now(self), next = LP2P_NEVER;
    LP2P_LIST_FOREACH_SAFE(it, &dialer->dials)
    {
        struct lp2p_dial *dial = LP2P_LIST_ENTRY(it, struct lp2p_dial, link);
        if (now >= dial->deadline) {
            finish(self, dialer, dial, LP2P_ETIMEDOUT);
            continue;
        }
        if (now >= dialer->held_until && pump(self, dialer, dial)) {
            continue;
        }
        next = lp2p_time_min(next, dial->deadline);
        if (now < dialer->held_until) {
            next = lp2p_time_min(next, dialer->held_until);
            continue;
        }
        const struct lp2p_candidate *candidate = may_start(dialer, dial) ? lp2p_dial_next(dial) : NULL;
        if (candidate != NULL) {
            next = lp2p_time_min(next, candidate->start);
        }
    }
    lp2p_timer_set(self, TIMER_NEXT, next);
}

/* ---- dials */

static struct lp2p_dial *find_dial(struct lp2p_dialer *dialer, uint64_t number)
{
    LP2P_LIST_FOREACH(it, &dialer->dials)
    {
        struct lp2p_dial *dial = LP2P_LIST_ENTRY(it, struct lp2p_dial, link);
        if (dial->number == number) {
            return dial;
        }
    }
    return NULL;
}

static void on_dial(struct lp2p_actor *self, struct lp2p_dialer *dialer, struct lp2p_m_dial *m)
{
    struct lp2p_dial *dial = NULL;
    if (m->more) {
        dial = find_dial(dialer, m->dial);
        if (dial != NULL) {
            dial->user = dial->user || m->user;
            lp2p_dial_add(self, dialer, dial, m);
        }
        return;
    }
    LP2P_COUNT(dialer->ctx, dials, 1);
    if (m->peer.len > 0 && lp2p_peer_id_eq(&m->peer, &dialer->ctx->self)) {
        answer(self, dialer, m->dial, &m->peer, LP2P_ESELF, "a node does not dial itself");
        return;
    }
    dial = dialer->dials_len < LP2P_DIALS_MAX ? calloc(1, sizeof(*dial)) : NULL;
    if (dial == NULL) {
        answer(self, dialer, m->dial, &m->peer, LP2P_ELIMIT, "too many dials at one time");
        return;
    }
    dial->number = m->dial;
    dial->peer = m->peer;
    dial->user = m->user;
    dial->own = m->own;
    m->own = NULL;
    dial->deadline = m->deadline != 0 ? m->deadline : lp2p_time_add(lp2p_now(self), LP2P_UPGRADE_OUT_NS);
    lp2p_list_push_back(&dialer->dials, &dial->link);
    dialer->dials_len++;
    lp2p_dial_add(self, dialer, dial, m);
}

static struct lp2p_attempt *find_attempt(struct lp2p_dialer *dialer, struct lp2p_ref upgrade)
{
    for (size_t i = 0; i < dialer->attempts_len; i++) {
        if (lp2p_ref_eq(dialer->attempts[i].upgrade, upgrade)) {
            return &dialer->attempts[i];
        }
    }
    return NULL;
}

static void forget_attempt(struct lp2p_dialer *dialer, struct lp2p_attempt *attempt)
{
    *attempt = dialer->attempts[--dialer->attempts_len];
}

/** From the port that it listens on a node may meet a peer that dials it at the same moment from its own: TCP makes one
 *  connection of the two (RFC 9293 3.5), and both sides think that they dialed. Their handshakes do not fit together. */
static bool maybe_crossed(const struct lp2p_attempt *attempt, enum lp2p_err reason, const char *stage)
{
    bool talked = strcmp(stage, "connect") != 0;
    return attempt->reused_port && talked &&
           (reason == LP2P_EMALFORMED || reason == LP2P_EAUTH || reason == LP2P_EPROTO || reason == LP2P_ENEGOTIATION ||
            reason == LP2P_EBADKEY || reason == LP2P_ESIGNATURE || reason == LP2P_EEOF || reason == LP2P_ECONNRESET);
}

/** Failures of our own say nothing of the address. */
static void learn_failure(struct lp2p_actor *self, struct lp2p_dialer *dialer, const struct lp2p_dial *dial,
                          const struct lp2p_candidate *candidate, enum lp2p_err reason, const char *stage)
{
    enum lp2p_fault fault = lp2p_err_fault(reason);
    if (fault != LP2P_FAULT_NET && fault != LP2P_FAULT_PEER) {
        return;
    }
    struct lp2p_multiaddr bare = candidate->addr;
    lp2p_multiaddr_strip_peer(&bare);
    lp2p_backoff_failed(&dialer->backoffs, &dial->peer, &bare, lp2p_now(self), &dialer->rand);
    if (strcmp(stage, "connect") == 0) {
        /* Nobody was there: whichever peer is said to be, so that a gossiped address cannot be knocked at without end. */
        lp2p_backoff_failed(&dialer->backoffs, NULL, &bare, lp2p_now(self), &dialer->rand);
    }
}

static void attempt_over(struct lp2p_actor *self, struct lp2p_dialer *dialer, struct lp2p_attempt *attempt,
                         enum lp2p_err reason, const char *stage, const char *text)
{
    const struct lp2p_attempt over = *attempt;
    struct lp2p_dial *dial = over.dial;
    forget_attempt(dialer, attempt);
    if (dial == NULL) {
        return;
    }
    struct lp2p_candidate *candidate = &dial->candidates[over.candidate];
    dial->running--;
    if (reason == LP2P_OK) {
        struct lp2p_multiaddr bare = candidate->addr;
        lp2p_multiaddr_strip_peer(&bare);
        lp2p_backoff_worked(&dialer->backoffs, &dial->peer, &bare);
        lp2p_backoff_worked(&dialer->backoffs, NULL, &bare);
        if (!candidate->named && dial->peer.len > 0) {
            lp2p_budget_worked(&dialer->budget, &bare);
        }
        finish(self, dialer, dial, LP2P_OK);
        return;
    }
    if (maybe_crossed(&over, reason, stage)) {
        candidate->state = LP2P_CANDIDATE_WAITING;
        candidate->any_port = true;
        candidate->start = lp2p_time_add(lp2p_now(self), lp2p_rand_below(&dialer->rand, LP2P_REDIAL_SPREAD_NS));
        return;
    }
    candidate->state = LP2P_CANDIDATE_OVER;
    lp2p_dial_note(dial, &candidate->shown, &candidate->addr, stage, text);
    lp2p_dial_remember(dial, reason, true);
    learn_failure(self, dialer, dial, candidate, reason, stage);
    dial->hurry = true;
}

static void on_attempt_ended(struct lp2p_actor *self, struct lp2p_dialer *dialer, const struct lp2p_m_attempt_ended *m)
{
    struct lp2p_attempt *attempt = NULL;
    for (size_t i = 0; i < dialer->attempts_len && m->msg.tag != 0; i++) {
        if (dialer->attempts[i].serial == m->msg.tag) {
            attempt = &dialer->attempts[i];
        }
    }
    attempt = attempt != NULL ? attempt : find_attempt(dialer, m->msg.from);
    if (attempt != NULL) {
        lp2p_demonitor(self, attempt->upgrade);
        attempt_over(self, dialer, attempt, m->reason, m->stage, m->text);
    }
}

/** An attempt has ended. Its own word, if it sent one, lies in the slower lane in front of a word that we send to ourselves now. */
static void on_down(struct lp2p_actor *self, struct lp2p_dialer *dialer, const struct lp2p_msg_down *down)
{
    struct lp2p_attempt *attempt = find_attempt(dialer, down->who);
    if (attempt == NULL) {
        return;
    }
    if (attempt->dial == NULL) {
        forget_attempt(dialer, attempt);
        return;
    }
    struct lp2p_m_attempt_ended *m = LP2P_NEW(ATTEMPT_ENDED, attempt_ended);
    if (m != NULL) {
        m->msg.tag = attempt->serial;
        m->reason = LP2P_EFAILED;
        (void)snprintf(m->stage, sizeof(m->stage), "upgrade");
        (void)snprintf(m->text, sizeof(m->text), "%s", lp2p_strerror(LP2P_EFAILED));
        struct lp2p_msg *msg = &m->msg;
        if (lp2p_send(self, lp2p_self(self), &msg) == LP2P_OK) {
            return;
        }
        lp2p_msg_drop(&msg);
    }
    attempt_over(self, dialer, attempt, LP2P_EFAILED, "upgrade", lp2p_strerror(LP2P_EFAILED));
}

static void on_cancel(struct lp2p_actor *self, struct lp2p_dialer *dialer, uint64_t number)
{
    struct lp2p_dial *dial = find_dial(dialer, number);
    if (dial != NULL) {
        finish(self, dialer, dial, LP2P_ECANCELED);
    }
}

static enum lp2p_verdict dialer_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct lp2p_dialer *dialer = state;
    if (LP2P_IS(*msg, DIAL)) {
        on_dial(self, dialer, LP2P_AS(*msg, DIAL, dial));
    } else if (LP2P_IS(*msg, ATTEMPT_ENDED)) {
        on_attempt_ended(self, dialer, LP2P_AS(*msg, ATTEMPT_ENDED, attempt_ended));
    } else if (LP2P_IS(*msg, RESOLVED)) {
        lp2p_dial_resolved(self, dialer, LP2P_AS(*msg, RESOLVED, resolved));
    } else if (LP2P_IS(*msg, DIAL_CANCEL)) {
        on_cancel(self, dialer, LP2P_AS(*msg, DIAL_CANCEL, dial_cancel)->dial);
    } else if ((*msg)->cls == &LP2P_MSG_DOWN) {
        on_down(self, dialer, LP2P_MSG_AS(*msg, &LP2P_MSG_DOWN, lp2p_msg_down));
    }
    pump_all(self, dialer);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict dialer_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct lp2p_dialer *dialer = state;
    if (timer == TIMER_OUTBOX) {
        lp2p_outbox_retry(self, &dialer->outbox);
    } else {
        pump_all(self, dialer);
    }
    return LP2P_CONTINUE;
}

static void dialer_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)why;
    struct lp2p_dialer *dialer = state;
    /* A successor knows nothing of these dials: end them here, and their attempts, which would only disturb
     * it. */
    for (size_t i = 0; i < dialer->attempts_len; i++) {
        lp2p_stop(self, dialer->attempts[i].upgrade);
    }
    LP2P_LIST_FOREACH_SAFE(it, &dialer->dials)
    {
        struct lp2p_dial *dial = LP2P_LIST_ENTRY(it, struct lp2p_dial, link);
        answer(self, dialer, dial->number, &dial->peer, LP2P_EFAILED, "the dialer ended");
        dial_free(dialer, dial);
    }
    lp2p_outbox_end(self, &dialer->outbox);
}

const struct lp2p_actor_ops lp2p_dialer_ops = {
    .name = "dialer",
    .state_size = sizeof(struct lp2p_dialer),
    .init = dialer_init,
    .on_msg = dialer_on_msg,
    .on_timer = dialer_on_timer,
    .fini = dialer_fini,
};
