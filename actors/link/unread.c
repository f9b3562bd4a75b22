/* SPDX-License-Identifier: MIT */
#include "actors/link/unread.h"

#include "actors/messages.h"

#include <stdio.h>

struct lp2p_msg *lp2p_unread_again(struct lp2p_msg **msg, enum lp2p_err why)
{
    (void)why;
    struct lp2p_msg *same = *msg;
    *msg = NULL;
    return same;
}

static bool ended(enum lp2p_err why)
{
    return why == LP2P_EGONE || why == LP2P_ECLOSED; /* everything else is the want of room */
}

/** As the actors say it themselves of what they had read. */
static enum lp2p_err reason_of(enum lp2p_err why)
{
    return ended(why) ? LP2P_EFAILED : why;
}

/** Answers to who sent the request. */
static struct lp2p_msg *reply(const struct lp2p_msg *request, struct lp2p_msg *answer)
{
    answer->to = request->from;
    answer->tag = request->tag;
    return answer;
}

/* ---- streams */

/** STREAM_OPEN_FAILED, with the op of the request; without memory, or to a resident, which is known to the muxer's thread only
 * and waits for nothing but the op, the op alone. */
static struct lp2p_msg *open_failed(struct lp2p_ref to, uint64_t tag, int resident, struct lp2p_op **op,
                                    enum lp2p_err reason, const char *protocol, const char *what)
{
    struct lp2p_m_stream_open_failed *m = resident >= 0 ? NULL : LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
    if (m == NULL) {
        lp2p_op_finish(*op, reason, "stream %.100s: %s", protocol, what);
        return NULL;
    }
    m->msg.to = to;
    m->msg.tag = tag;
    m->reason = reason;
    m->op = *op;
    *op = NULL;
    (void)snprintf(m->text, sizeof(m->text), "stream %.100s: %s", protocol, what);
    return &m->msg;
}

struct lp2p_msg *lp2p_unread_stream_open(struct lp2p_msg **msg, enum lp2p_err why)
{
    struct lp2p_m_stream_open *open = LP2P_AS(*msg, STREAM_OPEN, stream_open);
    return open_failed(open->reply_to, open->reply_tag, open->resident, &open->op, ended(why) ? LP2P_ENOCONN : why,
                       open->protocols[0],
                       ended(why) ? "the connection ended before the stream was opened" : lp2p_strerror(why));
}

struct lp2p_msg *lp2p_unread_peer_stream_open(struct lp2p_msg **msg, enum lp2p_err why)
{
    struct lp2p_m_peer_stream_open *open = LP2P_AS(*msg, PEER_STREAM_OPEN, peer_stream_open);
    struct lp2p_msg *answer =
        open_failed(open->reply_to, open->reply_tag, open->resident, &open->op, ended(why) ? LP2P_ECLOSED : why,
                    open->protocols[0], ended(why) ? "the swarm ended before it looked at it" : lp2p_strerror(why));
    if (answer != NULL) {
        LP2P_AS(answer, STREAM_OPEN_FAILED, stream_open_failed)->peer = open->peer;
    }
    return answer;
}

struct lp2p_msg *lp2p_unread_stream_opened(struct lp2p_msg **msg, enum lp2p_err why)
{
    struct lp2p_m_stream_opened *opened = LP2P_AS(*msg, STREAM_OPENED, stream_opened);
    if (!opened->outbound) {
        return NULL;
    }
    struct lp2p_msg *answer =
        open_failed(opened->msg.to, opened->msg.tag, LP2P_RESIDENT_NONE, &opened->op, ended(why) ? LP2P_ENOCONN : why,
                    opened->protocol, ended(why) ? "the connection ended" : "its owner does not keep up");
    if (answer != NULL) {
        LP2P_AS(answer, STREAM_OPEN_FAILED, stream_open_failed)->peer = opened->peer;
    }
    return answer;
}

/* ---- the others */

struct lp2p_msg *lp2p_unread_dial(struct lp2p_msg **msg, enum lp2p_err why)
{
    const struct lp2p_m_dial *dial = LP2P_AS(*msg, DIAL, dial);
    /* `more` is for a dial that is answered by itself. */
    struct lp2p_m_dial_ended *m = dial->more ? NULL : LP2P_NEW(DIAL_ENDED, dial_ended);
    if (m == NULL) {
        return NULL;
    }
    m->dial = dial->dial;
    m->peer = dial->peer;
    m->reason = reason_of(why);
    (void)snprintf(m->text, sizeof(m->text), "the dialer ended");
    return reply(*msg, &m->msg);
}

struct lp2p_msg *lp2p_unread_resolve(struct lp2p_msg **msg, enum lp2p_err why)
{
    struct lp2p_m_resolved *m = LP2P_NEW(RESOLVED, resolved);
    if (m == NULL) {
        return NULL;
    }
    m->reason = reason_of(why);
    (void)snprintf(m->text, sizeof(m->text), "the resolver ended");
    return reply(*msg, &m->msg);
}

struct lp2p_msg *lp2p_unread_dht_request(struct lp2p_msg **msg, enum lp2p_err why)
{
    struct lp2p_m_dht_request *request = LP2P_AS(*msg, DHT_REQUEST, dht_request);
    lp2p_op_finish(request->op, ended(why) ? LP2P_ECLOSED : why, "the DHT router ended");
    struct lp2p_m_dht_done *m =
        lp2p_ref_eq(request->msg.from, LP2P_REF_NONE) ? NULL : LP2P_NEW(DHT_DONE, dht_done);
    if (m == NULL) {
        return NULL;
    }
    m->result = reason_of(why);
    return reply(*msg, &m->msg);
}

struct lp2p_msg *lp2p_unread_proxied(struct lp2p_msg **msg, enum lp2p_err why)
{
    struct lp2p_m_admitted *m = LP2P_NEW(ADMITTED, admitted);
    if (m == NULL) {
        return NULL;
    }
    m->result = reason_of(why);
    return reply(*msg, &m->msg);
}
