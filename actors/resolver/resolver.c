/* SPDX-License-Identifier: MIT
 * The resolver: takes an address with names from the dialer and answers with addresses to dial. It has a thread of its own and
 * never blocks; each resolution has an absolute deadline, at which it answers with what it has. */
#include "actors/context.h"
#include "actors/resolver/dns.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMER_DNS, TIMER_DEADLINE, TIMER_OUTBOX };

#define JOBS_MAX 256    /* resolutions under way; beyond: ELIMIT */
#define JOBS_URGENT 64  /* of these: only for urgent ones */

struct job {
    struct lp2p_list link;
    struct lp2p_ref from;
    uint64_t tag;
    bool urgent;
    lp2p_time deadline;
    struct lp2p_resolution *resolution;
    struct lp2p_lookup *lookups[LP2P_RESOLVE_LOOKUPS_MAX]; /* by number of the question; NULL: not asked, or answered */
};

struct resolver {
    struct lp2p_context *ctx;
    struct lp2p_dns *dns;
    struct lp2p_list jobs;
    size_t jobs_len;
    struct lp2p_outbox outbox;
};

static enum lp2p_err resolver_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct resolver *resolver = state;
    resolver->ctx = (struct lp2p_context *)(uintptr_t)arg;
    resolver->dns = lp2p_dns_new(self, resolver->ctx->config.dns_servers, TIMER_DNS);
    lp2p_list_init(&resolver->jobs);
    lp2p_outbox_init(&resolver->outbox, TIMER_OUTBOX, 2 * JOBS_MAX);
    return resolver->dns == NULL ? LP2P_ENOMEM : LP2P_OK;
}

static void answer(struct lp2p_actor *self, struct resolver *resolver, struct lp2p_ref to, uint64_t tag,
                   const struct lp2p_resolution *resolution, enum lp2p_err err)
{
    struct lp2p_m_resolved *m = LP2P_NEW(RESOLVED, resolved);
    if (m == NULL) {
        return; /* who asked has a deadline of its own */
    }
    const struct lp2p_multiaddr *addrs = NULL, *names = NULL;
    const char *text = lp2p_strerror(err);
    size_t len = 0;
    if (resolution != NULL) {
        err = lp2p_resolution_result(resolution, &addrs, &names, &len, &text);
    }
    m->msg.tag = tag;
    m->addrs = lp2p_addrs_new(addrs, len);
    m->names = lp2p_addrs_new(names, len);
    m->reason = m->addrs == NULL || m->names == NULL ? LP2P_ENOMEM : err;
    lp2p_printable(lp2p_span_str(text[0] != '\0' ? text : lp2p_strerror(err)), m->text, sizeof(m->text));
    struct lp2p_msg *msg = &m->msg;
    (void)lp2p_outbox_pass(self, &resolver->outbox, to, &msg);
}

static void end_job(struct resolver *resolver, struct job *job)
{
    for (unsigned i = 0; i < LP2P_RESOLVE_LOOKUPS_MAX; i++) {
        if (job->lookups[i] != NULL) {
            lp2p_dns_release(resolver->dns, job->lookups[i]);
        }
    }
    lp2p_list_remove(&job->link);
    resolver->jobs_len--;
    lp2p_resolution_free(job->resolution);
    free(job);
}

/** Asks what is to be asked, tells what is answered, until neither gives more. */
static void advance(struct resolver *resolver, struct job *job)
{
    struct lp2p_dns_question question;
    unsigned number = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        while (lp2p_resolution_next(job->resolution, &number, &question)) {
            job->lookups[number] = lp2p_dns_ask(resolver->dns, &question, job->urgent);
            if (job->lookups[number] == NULL) {
                lp2p_resolution_answer(job->resolution, number, LP2P_ELIMIT, NULL);
            }
        }
        for (unsigned i = 0; i < LP2P_RESOLVE_LOOKUPS_MAX; i++) {
            const struct lp2p_addrs *records = NULL;
            enum lp2p_err err = job->lookups[i] == NULL ? LP2P_EAGAIN : lp2p_lookup_answer(job->lookups[i], &records);
            if (err != LP2P_EAGAIN) {
                lp2p_resolution_answer(job->resolution, i, err, records);
                lp2p_dns_release(resolver->dns, job->lookups[i]);
                job->lookups[i] = NULL;
                moved = true;
            }
        }
    }
}

static void advance_all(struct lp2p_actor *self, struct resolver *resolver)
{
    lp2p_time next = LP2P_NEVER;
    LP2P_LIST_FOREACH_SAFE(it, &resolver->jobs)
    {
        struct job *job = LP2P_LIST_ENTRY(it, struct job, link);
        advance(resolver, job);
        if (lp2p_resolution_done(job->resolution) || job->deadline <= lp2p_now(self)) {
            answer(self, resolver, job->from, job->tag, job->resolution, LP2P_OK);
            end_job(resolver, job);
        } else {
            next = lp2p_time_min(next, job->deadline);
        }
    }
    lp2p_timer_set(self, TIMER_DEADLINE, next);
}

static void on_resolve(struct lp2p_actor *self, struct resolver *resolver, const struct lp2p_m_resolve *m)
{
    size_t max = JOBS_MAX - (m->urgent ? 0 : JOBS_URGENT);
    struct job *job = resolver->jobs_len < max ? calloc(1, sizeof(*job)) : NULL;
    struct lp2p_resolution *resolution = job != NULL ? lp2p_resolution_new(&m->addr) : NULL;
    if (resolution == NULL) {
        free(job);
        answer(self, resolver, m->msg.from, m->msg.tag, NULL, LP2P_ELIMIT);
        return;
    }
    *job = (struct job){.from = m->msg.from, .tag = m->msg.tag, .urgent = m->urgent, .deadline = m->deadline, .resolution = resolution};
    lp2p_list_push_back(&resolver->jobs, &job->link);
    resolver->jobs_len++;
}

static enum lp2p_verdict resolver_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct resolver *resolver = state;
    if (LP2P_IS(*msg, RESOLVE)) {
        on_resolve(self, resolver, LP2P_AS(*msg, RESOLVE, resolve));
    } else if (LP2P_IS(*msg, INTERFACES_CHANGED)) {
        lp2p_dns_renew(resolver->dns);
    }
    advance_all(self, resolver);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict resolver_on_fd(struct lp2p_actor *self, void *state, int fd, unsigned ready)
{
    struct resolver *resolver = state;
    lp2p_dns_on_fd(resolver->dns, fd, ready);
    advance_all(self, resolver);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict resolver_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct resolver *resolver = state;
    if (timer == TIMER_OUTBOX) {
        lp2p_outbox_retry(self, &resolver->outbox);
        return LP2P_CONTINUE;
    }
    if (timer == TIMER_DNS) {
        lp2p_dns_on_timer(resolver->dns);
    }
    advance_all(self, resolver);
    return LP2P_CONTINUE;
}

static void resolver_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    struct resolver *resolver = state;
    LP2P_LIST_FOREACH_SAFE(it, &resolver->jobs)
    {
        struct job *job = LP2P_LIST_ENTRY(it, struct job, link);
        if (why == LP2P_FAIL) {
            answer(self, resolver, job->from, job->tag, NULL, LP2P_EFAILED);
        }
        end_job(resolver, job);
    }
    lp2p_dns_free(resolver->dns);
    lp2p_outbox_end(self, &resolver->outbox);
}

const struct lp2p_actor_ops lp2p_resolver_ops = {
    .name = "resolver",
    .state_size = sizeof(struct resolver),
    .init = resolver_init,
    .on_msg = resolver_on_msg,
    .on_fd = resolver_on_fd,
    .on_timer = resolver_on_timer,
    .fini = resolver_fini,
};
