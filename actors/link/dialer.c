/* SPDX-License-Identifier: MIT
 * The dialer: tries the addresses of a peer, staggered and a few at a time, until one gives an authenticated
 * connection. Each attempt is an upgrade actor; the first success ends the others. */
#include "actors/context.h"
#include "actors/link/limits.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMER_NEXT, TIMER_OUTBOX };

struct dial {
    struct lp2p_list link; /* oldest first */
    uint64_t number;
    struct lp2p_peer_id peer;
    struct lp2p_addrs *addrs;
    lp2p_time deadline, next_start;
    uint32_t next;    /* index of the next address to try */
    uint32_t running; /* attempts */
    uint32_t failed;
    enum lp2p_err reason; /* of the failure that tells most */
    char text[512];
    size_t text_len;
};

/** An upgrade actor that has not ended. */
struct attempt {
    struct lp2p_ref upgrade;
    uint64_t serial;   /* never 0 */
    struct dial *dial; /* NULL: its dial is over, it was asked to stop */
    uint32_t addr;     /* index in the dial's addresses */
};

struct dialer {
    struct lp2p_context *ctx;
    struct lp2p_list dials;
    size_t dials_len;
    uint64_t serial;
    struct lp2p_outbox outbox;
    size_t attempts_len;
    struct attempt attempts[LP2P_DIALS_PARALLEL];
};

static enum lp2p_err dialer_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    struct dialer *dialer = state;
    dialer->ctx = (struct lp2p_context *)(uintptr_t)arg;
    lp2p_list_init(&dialer->dials);
    lp2p_outbox_init(&dialer->outbox, TIMER_OUTBOX, 2 * LP2P_DIALS_MAX);
    return LP2P_OK;
}

/** Adds "address: stage: what" to the text of a dial; what does not fit is counted only. */
static void note(struct dial *dial, uint32_t addr, const char *stage, const char *what)
{
    char line[LP2P_MULTIADDR_TEXT_MAX + 192], name[LP2P_MULTIADDR_TEXT_MAX];
    lp2p_multiaddr_text(&dial->addrs->items[addr], name);
    int n = snprintf(line, sizeof(line), "%s%s: %s: %s", dial->text_len > 0 ? "; " : "", name, stage, what);
    size_t len = n < 0 ? 0 : LP2P_MIN((size_t)n, sizeof(line) - 1);
    const size_t ellipsis = 5; /* "; ..." */
    if (dial->text_len + len + ellipsis < sizeof(dial->text)) {
        memcpy(dial->text + dial->text_len, line, len + 1);
        dial->text_len += len;
    } else if (dial->text_len > 0 && dial->text[dial->text_len - 1] != '.') {
        memcpy(dial->text + dial->text_len, "; ...", ellipsis + 1);
        dial->text_len += ellipsis;
    }
}

/** Of several failures the one that says most of the peer is told: that it was someone else, rather than that
 * a port was closed. */
static void remember(struct dial *dial, enum lp2p_err reason)
{
    if (dial->reason == LP2P_OK ||
        (lp2p_err_fault(reason) == LP2P_FAULT_PEER && lp2p_err_fault(dial->reason) != LP2P_FAULT_PEER) ||
        dial->reason == LP2P_EUNSUPPORTED) {
        dial->reason = reason;
    }
    dial->failed++;
}

static void answer(struct lp2p_actor *self, struct dialer *dialer, uint64_t number,
                   const struct lp2p_peer_id *peer, enum lp2p_err reason, const char *text)
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
    (void)lp2p_outbox_send(self, &dialer->outbox, lp2p_names(dialer->ctx)->swarm, &msg);
}

/** Ends a dial: its attempts are stopped, and stay counted until they are gone. */
static void finish(struct lp2p_actor *self, struct dialer *dialer, struct dial *dial, enum lp2p_err reason)
{
    for (size_t i = 0; i < dialer->attempts_len; i++) {
        struct attempt *attempt = &dialer->attempts[i];
        if (attempt->dial == dial) {
            if (reason != LP2P_OK) {
                note(dial, attempt->addr, "still trying", lp2p_strerror(reason));
            }
            attempt->dial = NULL;
            lp2p_stop(self, attempt->upgrade);
        }
    }
    answer(self, dialer, dial->number, &dial->peer, reason, dial->text);
    lp2p_list_remove(&dial->link);
    dialer->dials_len--;
    lp2p_addrs_drop(&dial->addrs);
    free(dial);
}

static enum lp2p_err start_attempt(struct lp2p_actor *self, struct dialer *dialer, struct dial *dial)
{
    struct lp2p_upgrade_arg *arg = calloc(1, sizeof(*arg));
    if (arg == NULL) {
        return LP2P_ENOMEM;
    }
    arg->ctx = dialer->ctx;
    arg->outbound = true;
    arg->fd = -1;
    arg->remote = dial->addrs->items[dial->next];
    arg->dial = dial->number;
    arg->peer = dial->peer;
    if (arg->peer.len == 0 && lp2p_multiaddr_peer(&arg->remote, &arg->peer) != LP2P_OK) {
        arg->peer.len = 0; /* nobody is named: whoever answers */
    }
    lp2p_multiaddr_strip_peer(&arg->remote);
    arg->deadline = lp2p_time_min(dial->deadline, lp2p_time_add(lp2p_now(self), LP2P_UPGRADE_OUT_NS));
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
    struct attempt attempt = {.serial = dialer->serial, .dial = dial, .addr = dial->next};
    enum lp2p_err err = lp2p_spawn(self, lp2p_names(dialer->ctx)->links, &spec, &attempt.upgrade);
    if (err != LP2P_OK) {
        free(arg);
        return err;
    }
    dialer->attempts[dialer->attempts_len++] = attempt;
    dial->running++;
    lp2p_monitor(self, attempt.upgrade);
    return LP2P_OK;
}

/** The address cannot be tried at all: a text for people, or NULL when it can. */
static const char *unusable(const struct lp2p_multiaddr *addr, const struct lp2p_peer_id *expected)
{
    struct lp2p_ip_port to;
    struct lp2p_peer_id named;
    if (lp2p_multiaddr_ip_tcp(addr, &to) != LP2P_OK) {
        return "only TCP over IP can be dialed";
    }
    if (to.port == 0 || lp2p_multiaddr_scope(addr) == LP2P_SCOPE_UNSPECIFIED) {
        return "not an address that can be dialed";
    }
    if (expected->len > 0 && lp2p_multiaddr_peer(addr, &named) == LP2P_OK &&
        !lp2p_peer_id_eq(&named, expected)) {
        return "the address names another peer";
    }
    return NULL;
}

/** Starts what may be started of one dial, and ends it when nothing is left to hope for. True: the dial is
 * gone. */
static bool pump(struct lp2p_actor *self, struct dialer *dialer, struct dial *dial)
{
    while (dial->next < dial->addrs->len && dial->running < LP2P_DIAL_PARALLEL &&
           dialer->attempts_len < LP2P_DIALS_PARALLEL &&
           (dial->running == 0 || lp2p_now(self) >= dial->next_start)) {
        const char *why = dial->next < LP2P_DIAL_ADDRS_MAX
                              ? unusable(&dial->addrs->items[dial->next], &dial->peer)
                              : "not tried: too many addresses";
        enum lp2p_err err = LP2P_EUNSUPPORTED;
        if (why == NULL) {
            err = start_attempt(self, dialer, dial);
            why = lp2p_strerror(err);
            dial->next_start = lp2p_time_add(lp2p_now(self), LP2P_DIAL_STAGGER_NS);
        }
        if (err != LP2P_OK) {
            note(dial, dial->next, "address", why);
            remember(dial, err);
        }
        dial->next++;
    }
    if (dial->running == 0 && dial->next == dial->addrs->len) {
        if (dial->addrs->len == 0) {
            (void)snprintf(dial->text, sizeof(dial->text), "no address is known");
        }
        finish(self, dialer, dial, dial->reason == LP2P_OK ? LP2P_ENOADDR : dial->reason);
        return true;
    }
    return false;
}

/** Goes over all dials, oldest first, and sets the timer to the next moment at which one has something to do.
 */
static void pump_all(struct lp2p_actor *self, struct dialer *dialer)
{
    lp2p_time now = lp2p_now(self), next = LP2P_NEVER;
    LP2P_LIST_FOREACH_SAFE(it, &dialer->dials)
    {
        struct dial *dial = LP2P_LIST_ENTRY(it, struct dial, link);
        if (now >= dial->deadline) {
            finish(self, dialer, dial, LP2P_ETIMEDOUT);
            continue;
        }
        if (pump(self, dialer, dial)) {
            continue;
        }
        next = lp2p_time_min(next, dial->deadline);
        bool may_start = dial->next < dial->addrs->len && dial->running < LP2P_DIAL_PARALLEL &&
                         dialer->attempts_len < LP2P_DIALS_PARALLEL;
        if (may_start) {
            next = lp2p_time_min(next, dial->next_start);
        }
    }
    lp2p_timer_set(self, TIMER_NEXT, next);
}

static void on_dial(struct lp2p_actor *self, struct dialer *dialer, struct lp2p_m_dial *m)
{
    LP2P_COUNT(dialer->ctx, dials, 1);
    if (m->peer.len > 0 && lp2p_peer_id_eq(&m->peer, &dialer->ctx->self)) {
        answer(self, dialer, m->dial, &m->peer, LP2P_ESELF, "a node does not dial itself");
        return;
    }
    struct dial *dial = dialer->dials_len < LP2P_DIALS_MAX ? calloc(1, sizeof(*dial)) : NULL;
    if (dial == NULL) {
        answer(self, dialer, m->dial, &m->peer, LP2P_ELIMIT, "too many dials at one time");
        return;
    }
    dial->addrs = m->addrs != NULL ? lp2p_addrs_ref(m->addrs) : lp2p_addrs_new(NULL, 0);
    if (dial->addrs == NULL) {
        free(dial);
        answer(self, dialer, m->dial, &m->peer, LP2P_ENOMEM, "");
        return;
    }
    dial->number = m->dial;
    dial->peer = m->peer;
    dial->deadline = m->deadline != 0 ? m->deadline : lp2p_time_add(lp2p_now(self), LP2P_UPGRADE_OUT_NS);
    lp2p_list_push_back(&dialer->dials, &dial->link);
    dialer->dials_len++;
}

static struct attempt *find_attempt(struct dialer *dialer, struct lp2p_ref upgrade)
{
    for (size_t i = 0; i < dialer->attempts_len; i++) {
        if (lp2p_ref_eq(dialer->attempts[i].upgrade, upgrade)) {
            return &dialer->attempts[i];
        }
    }
    return NULL;
}

static void forget_attempt(struct dialer *dialer, struct attempt *attempt)
{
    *attempt = dialer->attempts[--dialer->attempts_len];
}

static void attempt_over(struct lp2p_actor *self, struct dialer *dialer, struct attempt *attempt,
                         enum lp2p_err reason, const char *stage, const char *text)
{
    struct dial *dial = attempt->dial;
    uint32_t addr = attempt->addr;
    forget_attempt(dialer, attempt);
    if (dial == NULL) {
        return;
    }
    dial->running--;
    if (reason == LP2P_OK) {
        finish(self, dialer, dial, LP2P_OK);
        return;
    }
    note(dial, addr, stage, text);
    remember(dial, reason);
    dial->next_start = lp2p_now(self); /* the next address at once */
}

static void on_attempt_ended(struct lp2p_actor *self, struct dialer *dialer,
                             const struct lp2p_m_attempt_ended *m)
{
    struct attempt *attempt = NULL;
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

/** An attempt has ended. Its own word, if it sent one, lies in the slower lane in front of a word that we
 * send to ourselves now. */
static void on_down(struct lp2p_actor *self, struct dialer *dialer, const struct lp2p_msg_down *down)
{
    struct attempt *attempt = find_attempt(dialer, down->who);
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

static void on_cancel(struct lp2p_actor *self, struct dialer *dialer, uint64_t number)
{
    LP2P_LIST_FOREACH_SAFE(it, &dialer->dials)
    {
        struct dial *dial = LP2P_LIST_ENTRY(it, struct dial, link);
        if (dial->number == number) {
            finish(self, dialer, dial, LP2P_ECANCELED);
        }
    }
}

static enum lp2p_verdict dialer_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct dialer *dialer = state;
    if (LP2P_IS(*msg, DIAL)) {
        on_dial(self, dialer, LP2P_AS(*msg, DIAL, dial));
    } else if (LP2P_IS(*msg, ATTEMPT_ENDED)) {
        on_attempt_ended(self, dialer, LP2P_AS(*msg, ATTEMPT_ENDED, attempt_ended));
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
    struct dialer *dialer = state;
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
    struct dialer *dialer = state;
    struct lp2p_list *it;
    /* A successor knows nothing of these dials: end them here, and their attempts, which would only disturb
     * it. */
    for (size_t i = 0; i < dialer->attempts_len; i++) {
        lp2p_stop(self, dialer->attempts[i].upgrade);
    }
    while ((it = lp2p_list_pop_front(&dialer->dials)) != NULL) {
        struct dial *dial = LP2P_LIST_ENTRY(it, struct dial, link);
        answer(self, dialer, dial->number, &dial->peer, LP2P_EFAILED, "the dialer ended");
        lp2p_addrs_drop(&dial->addrs);
        free(dial);
    }
    lp2p_outbox_fini(&dialer->outbox);
}

const struct lp2p_actor_ops lp2p_dialer_ops = {
    .name = "dialer",
    .state_size = sizeof(struct dialer),
    .init = dialer_init,
    .on_msg = dialer_on_msg,
    .on_timer = dialer_on_timer,
    .fini = dialer_fini,
};
