/* SPDX-License-Identifier: MIT */
#include "multistream/multistream.h"

#include "base/check.h"
#include "wire/varint.h"

#include <stdlib.h>

#define HEADER "/multistream/1.0.0"
#define NOT_AVAILABLE "na"

/* A proposal of ours, or one that `match` is asked about: length prefix of two bytes, id, newline. */
#define PROPOSAL_MAX (2 + LP2P_MSS_PROTOCOL_MAX)
/* All that can ever wait to be sent: our header, each refusal (a byte of length, "na", a newline), and one
 * proposal or acceptance. So nothing has to wait for room. */
#define OUT_MAX (1 + sizeof(HEADER) + LP2P_MSS_REFUSALS_MAX * (1 + sizeof(NOT_AVAILABLE)) + PROPOSAL_MAX)

enum mss_state {
    MSS_HEADER, /* the remote side's header comes next */
    MSS_TOKEN,  /* listener: a proposal; dialer: the answer to ours */
    MSS_DONE,   /* agreed: not a byte more is ours */
    MSS_FAILED,
};

struct lp2p_mss {
    enum lp2p_mss_role role;
    enum mss_state state;
    enum lp2p_err reason; /* of MSS_FAILED */
    int index;            /* dialer: the proposal under way; listener: what match returned */
    size_t refusals;
    struct lp2p_mss_limits limits; /* no 0 among them */
    bool tell_selected, tell_failed; /* events that next has not handed out yet */

    const char *const *protocols; /* dialer, borrowed */
    size_t protocols_len;
    bool lazy;

    lp2p_mss_match match; /* listener */
    void *match_ctx;

    /* The token under way. Of a long one only the beginning is kept: it can be no protocol of ours. */
    uint8_t prefix[2], prefix_len, last;
    uint16_t want, have; /* want 0: the length is not known yet */
    uint8_t token[LP2P_MSS_PROTOCOL_MAX];

    uint16_t out_at, out_len;
    uint8_t out[OUT_MAX];
};

static struct lp2p_mss *new_machine(enum lp2p_mss_role role)
{
    struct lp2p_mss *mss = calloc(1, sizeof(*mss));
    if (mss != NULL) {
        mss->role = role;
        mss->limits = (struct lp2p_mss_limits){LP2P_MSS_TOKEN_MAX, LP2P_MSS_REFUSALS_MAX};
    }
    return mss;
}

void lp2p_mss_limit(struct lp2p_mss *mss, const struct lp2p_mss_limits *limits)
{
    if (limits != NULL && limits->token_max != 0) {
        mss->limits.token_max = limits->token_max;
    }
    if (limits != NULL && limits->refusals_max != 0) {
        mss->limits.refusals_max = limits->refusals_max;
    }
}

static void fail(struct lp2p_mss *mss, enum lp2p_err reason)
{
    mss->state = MSS_FAILED;
    mss->reason = reason;
    mss->tell_failed = true;
}

static void queue_token(struct lp2p_mss *mss, struct lp2p_span text)
{
    LP2P_CHECK(mss->out_len + 3 + text.len <= sizeof(mss->out));
    mss->out_len = (uint16_t)(mss->out_len + lp2p_varint_put(mss->out + mss->out_len, text.len + 1));
    memcpy(mss->out + mss->out_len, text.ptr, text.len);
    mss->out_len = (uint16_t)(mss->out_len + text.len);
    mss->out[mss->out_len++] = '\n';
}

/* Sends the proposal at mss->index. With the last one a lazy dialer is done as far as its caller can see. */
static void propose(struct lp2p_mss *mss)
{
    struct lp2p_span id = lp2p_span_str(mss->protocols[mss->index]);
    if (id.len == 0 || id.len >= LP2P_MSS_PROTOCOL_MAX || memchr(id.ptr, '\n', id.len) != NULL) {
        fail(mss, LP2P_EINVAL);
        return;
    }
    queue_token(mss, id);
    mss->tell_selected = mss->lazy && (size_t)mss->index + 1 == mss->protocols_len;
}

struct lp2p_mss *lp2p_mss_new_dialer(const char *const *protocols, size_t n, bool lazy)
{
    struct lp2p_mss *mss = new_machine(LP2P_MSS_DIALER);
    if (mss == NULL) {
        return NULL;
    }
    mss->protocols = protocols;
    mss->protocols_len = n;
    mss->lazy = lazy;
    if (n == 0 || n > INT16_MAX) {
        fail(mss, LP2P_EINVAL);
        return mss;
    }
    /* The README allows header and first proposal together; never wait for the listener's header: it may wait
     * for ours. */
    queue_token(mss, lp2p_span_str(HEADER));
    propose(mss);
    return mss;
}

struct lp2p_mss *lp2p_mss_new_listener(lp2p_mss_match match, void *ctx)
{
    struct lp2p_mss *mss = new_machine(LP2P_MSS_LISTENER);
    if (mss == NULL) {
        return NULL;
    }
    mss->match = match;
    mss->match_ctx = ctx;
    return mss;
}

void lp2p_mss_free(struct lp2p_mss *mss)
{
    free(mss);
}

/* Takes one byte of the length prefix. */
static void take_length(struct lp2p_mss *mss, uint8_t byte)
{
    mss->prefix[mss->prefix_len++] = byte;
    uint64_t want = 0;
    size_t used = 0;
    enum lp2p_err err = lp2p_varint_get(lp2p_span(mss->prefix, mss->prefix_len), &want, &used);
    if (err == LP2P_EAGAIN && mss->prefix_len < sizeof(mss->prefix)) {
        return;
    }
    mss->prefix_len = 0;
    if (err == LP2P_EMALFORMED || (err == LP2P_OK && want == 0)) {
        fail(mss, LP2P_EMALFORMED); /* not even a newline */
    } else if (err == LP2P_EAGAIN || want > mss->limits.token_max) {
        fail(mss, LP2P_EOVERSIZE);
    } else {
        mss->want = (uint16_t)want;
        mss->have = 0;
    }
}

/* Takes bytes of the token; true when it is complete. */
static bool take_body(struct lp2p_mss *mss, struct lp2p_span in, size_t *took)
{
    *took = LP2P_MIN(in.len, (size_t)(mss->want - mss->have));
    if (mss->have < sizeof(mss->token)) {
        memcpy(mss->token + mss->have, in.ptr, LP2P_MIN(*took, sizeof(mss->token) - mss->have));
    }
    mss->last = in.ptr[*took - 1];
    mss->have = (uint16_t)(mss->have + *took);
    return mss->have == mss->want;
}

static void refused(struct lp2p_mss *mss)
{
    /* The room suffices for the default; with a larger limit it is what bounds the refusals that were not drained. */
    bool room = mss->out_len + 1 + sizeof(NOT_AVAILABLE) + PROPOSAL_MAX <= sizeof(mss->out);
    if (mss->refusals++ == mss->limits.refusals_max || !room) {
        fail(mss, LP2P_ELIMIT);
    } else if (mss->role == LP2P_MSS_LISTENER) {
        queue_token(mss, lp2p_span_str(NOT_AVAILABLE));
    } else if ((size_t)++mss->index == mss->protocols_len) {
        fail(mss, LP2P_ENEGOTIATION);
    } else {
        propose(mss);
    }
}

/* The remote side's answer to the proposal at mss->index. */
static void on_answer(struct lp2p_mss *mss, struct lp2p_span text)
{
    if (mss->out_at < mss->out_len) {
        fail(mss, LP2P_EPROTO); /* an answer before the question was sent is none */
    } else if (lp2p_span_eq_str(text, mss->protocols[mss->index])) {
        mss->state = MSS_DONE;
        mss->tell_selected =
            mss->tell_selected || !(mss->lazy && (size_t)mss->index + 1 == mss->protocols_len);
    } else if (lp2p_span_eq_str(text, NOT_AVAILABLE)) {
        refused(mss);
    } else {
        fail(mss, LP2P_EPROTO);
    }
}

/* "ls" is answered as any unknown protocol is, like go-multistream does. */
static void on_proposal(struct lp2p_mss *mss, struct lp2p_span text)
{
    int index = text.len < LP2P_MSS_PROTOCOL_MAX ? mss->match(mss->match_ctx, text) : -1;
    if (index < 0) {
        refused(mss);
        return;
    }
    queue_token(mss, text);
    mss->index = index;
    mss->tell_selected = true;
    mss->state = MSS_DONE;
}

static void on_token(struct lp2p_mss *mss)
{
    size_t len = mss->want - 1u; /* without the newline */
    bool whole = mss->want <= sizeof(mss->token);
    struct lp2p_span text = lp2p_span(mss->token, whole ? len : sizeof(mss->token));
    mss->want = 0;
    if (mss->last != '\n') {
        fail(mss, LP2P_EMALFORMED);
    } else if (mss->state == MSS_HEADER) {
        if (!whole || !lp2p_span_eq_str(text, HEADER)) {
            fail(mss, LP2P_EPROTO);
        } else {
            mss->state = MSS_TOKEN;
            if (mss->role == LP2P_MSS_LISTENER) {
                queue_token(mss, lp2p_span_str(HEADER)); /* leaves together with the answer to what mostly is here already */
            }
        }
    } else if (mss->role == LP2P_MSS_DIALER) {
        on_answer(mss, text);
    } else {
        on_proposal(mss, text);
    }
}

enum lp2p_err lp2p_mss_feed(struct lp2p_mss *mss, struct lp2p_span in, lp2p_time now, size_t *used)
{
    (void)now;
    *used = 0;
    while (*used < in.len && (mss->state == MSS_HEADER || mss->state == MSS_TOKEN)) {
        size_t took = 1;
        if (mss->want == 0) {
            take_length(mss, in.ptr[*used]);
        } else if (take_body(mss, lp2p_span_skip(in, *used), &took)) {
            on_token(mss);
        }
        *used += took;
    }
    return mss->state == MSS_FAILED ? mss->reason : LP2P_OK;
}

void lp2p_mss_next(struct lp2p_mss *mss, struct lp2p_mss_event *event)
{
    *event = (struct lp2p_mss_event){.kind = LP2P_MSS_NONE, .index = -1};
    if (mss->tell_selected) {
        mss->tell_selected = false;
        event->kind = LP2P_MSS_SELECTED;
        event->index = mss->index;
    } else if (mss->tell_failed) {
        mss->tell_failed = false;
        event->kind = LP2P_MSS_FAILED;
        event->reason = mss->reason;
    }
}

size_t lp2p_mss_drain(struct lp2p_mss *mss, uint8_t *out, size_t cap, lp2p_time now)
{
    (void)now;
    size_t len = LP2P_MIN(cap, (size_t)(mss->out_len - mss->out_at));
    if (len > 0) {
        memcpy(out, mss->out + mss->out_at, len);
        mss->out_at = (uint16_t)(mss->out_at + len);
    }
    if (mss->out_at == mss->out_len) {
        mss->out_at = mss->out_len = 0;
    }
    return len;
}

bool lp2p_mss_confirmed(const struct lp2p_mss *mss)
{
    return mss->state == MSS_DONE && mss->out_len == 0;
}

lp2p_time lp2p_mss_deadline(const struct lp2p_mss *mss)
{
    (void)mss;
    return LP2P_NEVER;
}
