/* SPDX-License-Identifier: MIT */
#include "actors/link/muxer.h"

#include <stdlib.h>

#define HOLD_AT 256u         /* messages in the outbox: beyond, nothing more is taken from the connection */
#define FIRST_WORDS_NS LP2P_MS(5) /* for identify's question, so that the session's own first frames leave with it */
#define DRAIN_NS LP2P_SEC(2) /* for what owners had queued when we close */
#define LAST_NS LP2P_SEC(3)  /* for the connection to write its last; it has a shorter limit of its own */
#define ENDED_NS LP2P_SEC(5) /* for owners to make room for the word of the end */

void lp2p_muxer_arg_drop(void *arg)
{
    struct lp2p_muxer_arg *a = arg;
    lp2p_protocols_drop(&a->protocols);
    free(a);
}

static void say_ended(struct lp2p_actor *self, const struct lp2p_muxer_arg *arg, struct lp2p_outbox *outbox,
                      enum lp2p_err reason)
{
    struct lp2p_ref to[] = {lp2p_names(arg->ctx)->swarm, lp2p_resident(self, LP2P_RESIDENT_IDENTIFY)};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(to); i++) {
        struct lp2p_m_link_ended *m = LP2P_NEW(LINK_ENDED, link_ended);
        if (m == NULL) {
            continue; /* the swarm monitors us as well */
        }
        m->conn = arg->conn;
        m->muxer = lp2p_self(self);
        m->peer = arg->peer;
        m->reason = reason;
        struct lp2p_msg *msg = &m->msg;
        (void)lp2p_outbox_send(self, outbox, to[i], &msg);
    }
}

static void say_up(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    const struct lp2p_muxer_arg *arg = muxer->arg;
    struct lp2p_ref to[] = {lp2p_names(arg->ctx)->swarm, lp2p_resident(self, LP2P_RESIDENT_IDENTIFY)};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(to); i++) {
        struct lp2p_m_link_up *m = LP2P_NEW(LINK_UP, link_up);
        if (m == NULL) {
            continue;
        }
        m->conn = arg->conn;
        m->muxer = lp2p_self(self);
        m->peer = arg->peer;
        m->remote = arg->remote;
        m->outbound = arg->outbound;
        struct lp2p_msg *msg = &m->msg;
        (void)lp2p_outbox_send(self, &muxer->outbox, to[i], &msg);
    }
}

static enum lp2p_err attach(struct lp2p_actor *self, const struct lp2p_muxer *muxer)
{
    struct lp2p_m_conn_attach *m = LP2P_NEW(CONN_ATTACH, conn_attach);
    if (m == NULL) {
        return LP2P_ENOMEM;
    }
    m->muxer = lp2p_self(self);
    struct lp2p_msg *msg = &m->msg;
    enum lp2p_err err = lp2p_send(self, muxer->arg->connection, &msg);
    lp2p_msg_drop(&msg);
    return err;
}

static enum lp2p_err muxer_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct lp2p_muxer *muxer = state;
    muxer->arg = (struct lp2p_muxer_arg *)(uintptr_t)arg; /* owned from here on */
    muxer->ctx = muxer->arg->ctx;
    muxer->ops = muxer->arg->ops;
    muxer->protocols = muxer->arg->protocols;
    muxer->arg->protocols = NULL;
    lp2p_mux_map_init(&muxer->by_handle, 0); /* handles are the session's own, not the remote side's */
    lp2p_list_init(&muxer->streams);
    lp2p_list_init(&muxer->batched);
    lp2p_list_init(&muxer->owners);
    lp2p_heap_init(&muxer->negotiations);
    lp2p_outbox_init(&muxer->outbox, LP2P_MUXER_TIMER_OUTBOX, LP2P_MUXER_OUTBOX_MAX);
    const struct lp2p_mux_config config = {0};
    muxer->session = muxer->ops->create(&config, muxer->arg->outbound, lp2p_actor_rand(self), lp2p_now(self));
    enum lp2p_err err = muxer->session != NULL ? attach(self, muxer) : LP2P_ENOMEM;
    if (err != LP2P_OK) {
        say_ended(self, muxer->arg, &muxer->outbox, err == LP2P_EGONE ? LP2P_ECONNRESET : err);
        lp2p_outbox_fini(&muxer->outbox);
        if (muxer->session != NULL) {
            muxer->ops->destroy(muxer->session);
        }
        lp2p_protocols_drop(&muxer->protocols);
        lp2p_muxer_arg_drop(muxer->arg);
        return err;
    }
    lp2p_monitor(self, muxer->arg->connection);
    say_up(self, muxer);
    lp2p_timer_set(self, LP2P_MUXER_TIMER_PUMP, lp2p_time_add(lp2p_now(self), FIRST_WORDS_NS));
    return LP2P_OK;
}

void lp2p_muxer_status_changed(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    if (!muxer->status_due && muxer->state == LP2P_MUXER_OPEN) {
        muxer->status_due = true;
        lp2p_timer_set(self, LP2P_MUXER_TIMER_STATUS, muxer->status_at);
    }
}

static void say_status(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    struct lp2p_m_link_status *m = LP2P_NEW(LINK_STATUS, link_status);
    muxer->status_due = false;
    muxer->status_at = lp2p_time_add(lp2p_now(self), LP2P_STATUS_NS);
    if (m == NULL || muxer->state != LP2P_MUXER_OPEN) {
        struct lp2p_msg *none = m != NULL ? &m->msg : NULL;
        lp2p_msg_drop(&none);
        return;
    }
    m->conn = muxer->arg->conn;
    m->streams = muxer->open_len;
    m->rtt_ns = muxer->rtt_ns;
    struct lp2p_msg *msg = &m->msg;
    (void)lp2p_outbox_send(self, &muxer->outbox, lp2p_names(muxer->ctx)->swarm, &msg);
}

void lp2p_muxer_reset_all(struct lp2p_actor *self, struct lp2p_muxer *muxer, enum lp2p_err reason)
{
    reason = reason == LP2P_OK ? LP2P_ECLOSED : reason;
    LP2P_LIST_FOREACH_SAFE(it, &muxer->streams)
    {
        struct lp2p_link_stream *stream = LP2P_LIST_ENTRY(it, struct lp2p_link_stream, link);
        if (stream->state == LP2P_LINK_OPEN) {
            lp2p_muxer_over(self, muxer, stream, 0, reason);
        } else {
            lp2p_muxer_refuse(self, muxer, stream, reason, false, 0);
        }
    }
}

static void set_reason(struct lp2p_muxer *muxer, enum lp2p_err reason)
{
    if (!muxer->reason_known) {
        muxer->reason_known = true;
        muxer->reason = reason;
    }
}

void lp2p_muxer_end(struct lp2p_actor *self, struct lp2p_muxer *muxer, enum lp2p_err reason)
{
    set_reason(muxer, reason);
    if (muxer->state == LP2P_MUXER_OPEN || muxer->state == LP2P_MUXER_DRAINING) {
        lp2p_muxer_reset_all(self, muxer, reason);
        lp2p_muxer_write_last(self, muxer);
        lp2p_timer_set(self, LP2P_MUXER_TIMER_CLOSE, lp2p_time_add(lp2p_now(self), LAST_NS));
    }
}

/** We close: owners hear of it now, what they had queued still goes out. */
static void begin_close(struct lp2p_actor *self, struct lp2p_muxer *muxer, enum lp2p_err reason)
{
    if (muxer->state != LP2P_MUXER_OPEN) {
        return;
    }
    set_reason(muxer, reason);
    lp2p_muxer_reset_all(self, muxer, reason);
    muxer->state = LP2P_MUXER_DRAINING;
    lp2p_timer_set(self, LP2P_MUXER_TIMER_CLOSE, lp2p_time_add(lp2p_now(self), DRAIN_NS));
}

/** The connection is gone: the last words, and the end when they are said. */
static enum lp2p_verdict finish(struct lp2p_actor *self, struct lp2p_muxer *muxer, enum lp2p_err reason)
{
    set_reason(muxer, reason);
    lp2p_muxer_reset_all(self, muxer, muxer->reason);
    if (!muxer->told) {
        muxer->told = true;
        say_ended(self, muxer->arg, &muxer->outbox, muxer->reason);
    }
    muxer->state = LP2P_MUXER_ENDED;
    lp2p_timer_set(self, LP2P_MUXER_TIMER_CLOSE, lp2p_time_add(lp2p_now(self), ENDED_NS));
    return lp2p_outbox_blocked(&muxer->outbox) ? LP2P_CONTINUE : LP2P_STOP;
}

static enum lp2p_verdict from_connection(struct lp2p_actor *self, struct lp2p_muxer *muxer,
                                         struct lp2p_msg *msg)
{
    if (LP2P_IS(msg, CONN_BYTES)) {
        lp2p_muxer_feed(self, muxer, LP2P_AS(msg, CONN_BYTES, conn_bytes));
        return LP2P_CONTINUE;
    }
    enum lp2p_err reason = LP2P_AS(msg, CONN_ENDED, conn_ended)->reason;
    return muxer->state == LP2P_MUXER_ENDED ? LP2P_CONTINUE : finish(self, muxer, reason);
}

static struct lp2p_msg *next_of(const struct lp2p_msg *msg)
{
    return (struct lp2p_msg *)(void *)msg->link.next; /* `link` is the first member */
}

static void hold(struct lp2p_muxer *muxer, struct lp2p_msg **msg)
{
    (*msg)->link.next = NULL;
    if (muxer->held_last == NULL) {
        muxer->held_first = *msg;
    } else {
        muxer->held_last->link.next = &(*msg)->link;
    }
    muxer->held_last = *msg;
    *msg = NULL;
}

static struct lp2p_msg *unhold(struct lp2p_muxer *muxer)
{
    struct lp2p_msg *msg = muxer->held_first;
    if (msg != NULL) {
        muxer->held_first = next_of(msg);
        if (muxer->held_first == NULL) {
            muxer->held_last = NULL;
        }
    }
    return msg;
}

/** Owners take what they can; the connection's messages that waited for that follow. */
static enum lp2p_verdict retry(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    enum lp2p_verdict verdict = LP2P_CONTINUE;
    lp2p_outbox_retry(self, &muxer->outbox);
    while (verdict == LP2P_CONTINUE && muxer->outbox.len < HOLD_AT && muxer->held_first != NULL) {
        struct lp2p_msg *msg = unhold(muxer);
        verdict = from_connection(self, muxer, msg);
        lp2p_msg_drop(&msg);
    }
    if (verdict == LP2P_CONTINUE && muxer->state == LP2P_MUXER_ENDED &&
        !lp2p_outbox_blocked(&muxer->outbox)) {
        return LP2P_STOP;
    }
    return verdict;
}

/** The connection has ended without a word, or its word and its last bytes are still in the slower lane: get
 * behind them. */
static enum lp2p_verdict on_connection_down(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    struct lp2p_m_conn_ended *m = LP2P_NEW(CONN_ENDED, conn_ended);
    if (m != NULL) {
        m->reason = LP2P_ECONNRESET;
        struct lp2p_msg *msg = &m->msg;
        enum lp2p_err err = lp2p_send(self, lp2p_self(self), &msg);
        lp2p_msg_drop(&msg);
        if (err == LP2P_OK) {
            return LP2P_CONTINUE;
        }
    }
    return muxer->state == LP2P_MUXER_ENDED ? LP2P_CONTINUE : finish(self, muxer, LP2P_ECONNRESET);
}

static enum lp2p_verdict on_down(struct lp2p_actor *self, struct lp2p_muxer *muxer,
                                 const struct lp2p_msg_down *down)
{
    if (lp2p_ref_eq(down->who, muxer->arg->connection)) {
        return on_connection_down(self, muxer);
    }
    lp2p_muxer_owner_gone(self, muxer, down->who);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict dispatch(struct lp2p_actor *self, struct lp2p_muxer *muxer, struct lp2p_msg **msg)
{
    if (LP2P_IS(*msg, CONN_BYTES) || LP2P_IS(*msg, CONN_ENDED)) {
        if (muxer->held_first != NULL || muxer->outbox.len >= HOLD_AT) {
            hold(muxer, msg);
            return LP2P_CONTINUE;
        }
        return from_connection(self, muxer, *msg);
    }
    if (LP2P_IS(*msg, CONN_WROTE)) {
        lp2p_muxer_wrote(muxer, LP2P_AS(*msg, CONN_WROTE, conn_wrote)->bytes);
    } else if (LP2P_IS(*msg, STREAM_OPEN)) {
        lp2p_muxer_open(self, muxer, msg);
    } else if (LP2P_IS(*msg, LINK_CLOSE)) {
        begin_close(self, muxer, LP2P_AS(*msg, LINK_CLOSE, link_close)->reason);
    } else if (LP2P_IS(*msg, PROTOCOLS_CHANGED)) {
        struct lp2p_m_protocols_changed *m = LP2P_AS(*msg, PROTOCOLS_CHANGED, protocols_changed);
        lp2p_protocols_drop(&muxer->protocols);
        muxer->protocols = m->protocols;
        m->protocols = NULL;
    } else if ((*msg)->cls == &LP2P_MSG_DOWN) {
        return on_down(self, muxer, LP2P_MSG_AS(*msg, &LP2P_MSG_DOWN, lp2p_msg_down));
    } else {
        (void)lp2p_muxer_on_owner_msg(self, muxer, *msg);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict muxer_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    enum lp2p_verdict verdict = dispatch(self, state, msg);
    if (verdict == LP2P_CONTINUE) {
        lp2p_timer_set(self, LP2P_MUXER_TIMER_PUMP, lp2p_now(self));
    }
    return verdict;
}

static enum lp2p_verdict on_close_timer(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    switch (muxer->state) {
    case LP2P_MUXER_OPEN:
        return LP2P_CONTINUE;
    case LP2P_MUXER_DRAINING:
        muxer->ops->go_away(muxer->session, 0);
        lp2p_muxer_end(self, muxer, muxer->reason);
        return LP2P_CONTINUE;
    case LP2P_MUXER_LAST:
        return finish(self, muxer, LP2P_ETIMEDOUT);
    case LP2P_MUXER_ENDED:
        return LP2P_STOP;
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict on_timer(struct lp2p_actor *self, struct lp2p_muxer *muxer, unsigned timer)
{
    switch (timer) {
    case LP2P_MUXER_TIMER_SESSION:
        muxer->ops->tick(muxer->session, lp2p_now(self));
        lp2p_muxer_events(self, muxer);
        lp2p_muxer_pump(self, muxer);
        return LP2P_CONTINUE;
    case LP2P_MUXER_TIMER_PUMP:
        lp2p_muxer_pump(self, muxer);
        return LP2P_CONTINUE;
    case LP2P_MUXER_TIMER_OUTBOX: {
        enum lp2p_verdict verdict = retry(self, muxer);
        if (verdict == LP2P_CONTINUE) {
            lp2p_muxer_pump(self, muxer);
        }
        return verdict;
    }
    case LP2P_MUXER_TIMER_NEGOTIATE:
        lp2p_muxer_negotiations_late(self, muxer);
        lp2p_muxer_pump(self, muxer);
        return LP2P_CONTINUE;
    case LP2P_MUXER_TIMER_STATUS:
        say_status(self, muxer);
        return LP2P_CONTINUE;
    case LP2P_MUXER_TIMER_CLOSE:
        return on_close_timer(self, muxer);
    default:
        return LP2P_CONTINUE;
    }
}

/** Whichever timer it was: what is kept for the next read must not need another message to be remembered. */
static enum lp2p_verdict muxer_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct lp2p_muxer *muxer = state;
    enum lp2p_verdict verdict = on_timer(self, muxer, timer);
    if (muxer->kept != NULL && muxer->kept_until < lp2p_timer_get(self, LP2P_MUXER_TIMER_PUMP)) {
        lp2p_timer_set(self, LP2P_MUXER_TIMER_PUMP, muxer->kept_until);
    }
    return verdict;
}

static enum lp2p_verdict muxer_on_stop(struct lp2p_actor *self, void *state)
{
    struct lp2p_muxer *muxer = state;
    if (muxer->state == LP2P_MUXER_ENDED) {
        return LP2P_STOP;
    }
    begin_close(self, muxer, LP2P_ECLOSED);
    lp2p_muxer_pump(self, muxer);
    return LP2P_CONTINUE;
}

/** Owners that had no room for the word of the end get it on the lane with a reserve. */
static void last_words(struct lp2p_actor *self, struct lp2p_muxer *muxer)
{
    for (struct lp2p_msg *it = muxer->outbox.first; it != NULL; it = next_of(it)) {
        struct lp2p_m_stream_reset *m =
            LP2P_IS(it, STREAM_RESET) ? LP2P_NEW(STREAM_RESET_URGENT, stream_reset) : NULL;
        if (m != NULL) {
            const struct lp2p_m_stream_reset *waiting = LP2P_AS(it, STREAM_RESET, stream_reset);
            m->id = waiting->id;
            m->reason = waiting->reason;
            m->code = waiting->code;
            struct lp2p_msg *msg = &m->msg;
            lp2p_send_or_drop(self, it->to, &msg);
        }
    }
}

static void muxer_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    struct lp2p_muxer *muxer = state;
    struct lp2p_list *it;
    struct lp2p_msg *msg;
    if (!muxer->told) {
        (void)finish(self, muxer, why == LP2P_FAIL ? LP2P_EFAILED : LP2P_ECLOSED);
    }
    last_words(self, muxer);
    lp2p_outbox_end(self, &muxer->outbox);
    while ((msg = unhold(muxer)) != NULL) {
        lp2p_msg_drop(&msg);
    }
    while ((it = lp2p_list_pop_front(&muxer->owners)) != NULL) {
        free(LP2P_LIST_ENTRY(it, struct lp2p_link_owner, link));
    }
    muxer->ops->destroy(muxer->session);
    lp2p_mux_map_fini(&muxer->by_handle);
    lp2p_heap_fini(&muxer->negotiations);
    lp2p_protocols_drop(&muxer->protocols);
    lp2p_muxer_arg_drop(muxer->arg);
}

const struct lp2p_actor_ops lp2p_muxer_ops = {
    .name = "muxer",
    .state_size = sizeof(struct lp2p_muxer),
    .init = muxer_init,
    .on_msg = muxer_on_msg,
    .on_timer = muxer_on_timer,
    .on_stop = muxer_on_stop,
    .fini = muxer_fini,
};
