/* SPDX-License-Identifier: MIT */
#include "actors/link/upgrade.h"

#include "actors/link/limits.h"

#include <stdio.h>

#define MSS_CHUNK                                                                                            \
    700u /* plaintext of one sealed piece: more than a negotiation ever has to say at one time */
#define SEALED_MAX (LP2P_SECURE_HEAD_MAX + MSS_CHUNK + LP2P_SECURE_TAIL_MAX)

/** A short word for "/noise" or "/tls/1.0.0". */
static const char *channel_name(const struct lp2p_secure_ops *ops)
{
    return ops == NULL ? "security" : strncmp(ops->protocol, "/tls/", 5) == 0 ? "tls" : ops->protocol + 1;
}

const char *lp2p_upgrade_stage_name(const struct lp2p_upgrade *upgrade)
{
    switch (upgrade->stage) {
    case LP2P_UPGRADE_CONNECT:
    case LP2P_UPGRADE_DOOR:
    case LP2P_UPGRADE_ADMISSION:
        return "connect";
    case LP2P_UPGRADE_CARRIER:
        return upgrade->carrier != NULL ? upgrade->carrier->ops->name : "connect";
    case LP2P_UPGRADE_SECURITY:
        return "multistream";
    case LP2P_UPGRADE_SECURE:
        return upgrade->lazy ? "multistream" : channel_name(upgrade->secure_ops);
    case LP2P_UPGRADE_MUXER:
    case LP2P_UPGRADE_HANDOVER:
    case LP2P_UPGRADE_ENDING:
        return "muxer";
    }
    return "";
}

static int match_security(void *ctx, struct lp2p_span protocol)
{
    const struct lp2p_upgrade *upgrade = ctx;
    for (size_t i = 0; i < upgrade->ctx->security_len; i++) {
        if (lp2p_span_eq_str(protocol, upgrade->ctx->security[i].ops->protocol)) {
            return (int)i;
        }
    }
    return -1;
}

static int match_muxer(void *ctx, struct lp2p_span protocol)
{
    const struct lp2p_upgrade *upgrade = ctx;
    for (size_t i = 0; i < upgrade->ctx->muxers_len; i++) {
        if (lp2p_span_eq_str(protocol, upgrade->ctx->muxers[i]->protocol)) {
            return (int)i;
        }
    }
    return -1;
}

static enum lp2p_err new_negotiation(struct lp2p_upgrade *upgrade, size_t names_len, lp2p_mss_match match)
{
    upgrade->mss = upgrade->arg->outbound ? lp2p_mss_new_dialer(upgrade->names, names_len, upgrade->lazy)
                                          : lp2p_mss_new_listener(match, upgrade);
    if (upgrade->mss == NULL) {
        return LP2P_ENOMEM;
    }
    if (!upgrade->arg->outbound) {
        lp2p_mss_limit(upgrade->mss, upgrade->ctx->negotiation);
    }
    return LP2P_OK;
}

static void end_negotiation(struct lp2p_upgrade *upgrade)
{
    lp2p_mss_free(upgrade->mss);
    upgrade->mss = NULL;
}

enum lp2p_err lp2p_upgrade_begin(struct lp2p_upgrade *upgrade, const struct lp2p_rand *rand)
{
    (void)rand;
    upgrade->stage = LP2P_UPGRADE_SECURITY;
    for (size_t i = 0; i < upgrade->ctx->security_len; i++) {
        upgrade->names[i] = upgrade->ctx->security[i].ops->protocol;
    }
    /* A dialer says with its first proposal what it would say after the acceptance: that saves a round trip, and stock
     * rust-libp2p does the same to everybody. A refusal costs another connection, with all proposals. */
    upgrade->lazy = upgrade->arg->outbound && !upgrade->careful;
    return new_negotiation(upgrade, upgrade->lazy ? 1 : upgrade->ctx->security_len, match_security);
}

static size_t out_room(const struct lp2p_upgrade *upgrade)
{
    return sizeof(upgrade->out) - upgrade->out_len;
}

/** Asks the negotiation what happened. EAGAIN: it goes on. */
static enum lp2p_err negotiated(struct lp2p_upgrade *upgrade, int *index)
{
    for (;;) {
        struct lp2p_mss_event event;
        lp2p_mss_next(upgrade->mss, &event);
        switch (event.kind) {
        case LP2P_MSS_NONE:
            return LP2P_EAGAIN;
        case LP2P_MSS_SELECTED:
            *index = event.index;
            return LP2P_OK;
        case LP2P_MSS_FAILED:
            return event.reason == LP2P_OK ? LP2P_ENEGOTIATION : event.reason;
        }
    }
}

/** Who pays for the verification of an inbound handshake; false: nobody (our own dial, loopback). */
static bool payer(const struct lp2p_upgrade *upgrade, struct lp2p_ip_port *from)
{
    return !upgrade->arg->outbound && lp2p_rate_source(&upgrade->arg->remote, from);
}

static struct lp2p_rate verify_rate(const struct lp2p_upgrade *upgrade)
{
    return upgrade->ctx->verify_rate != NULL ? *upgrade->ctx->verify_rate : LP2P_VERIFY_RATE;
}

/** Before a costly kind of certificate is verified, whoever the peer then proves to be. */
static enum lp2p_err pay(void *ctx, lp2p_time now)
{
    const struct lp2p_upgrade *upgrade = ctx;
    const struct lp2p_rate rate = verify_rate(upgrade), no_limit = {0, 0};
    struct lp2p_ip_port from;
    bool good = !payer(upgrade, &from) ||
                lp2p_rate_shared_take(&upgrade->ctx->verify_rates, &rate, &no_limit, &from, now);
    return good ? LP2P_OK : LP2P_ELIMIT;
}

static enum lp2p_err step_security(struct lp2p_upgrade *upgrade, const struct lp2p_rand *rand, lp2p_time now)
{
    size_t used = 0;
    int index = 0;
    enum lp2p_err fed = lp2p_mss_feed(upgrade->mss, lp2p_upgrade_unread(upgrade), now, &used);
    upgrade->in_at += used;
    upgrade->out_len += lp2p_mss_drain(upgrade->mss, upgrade->out + upgrade->out_len, out_room(upgrade), now);
    enum lp2p_err err = negotiated(upgrade, &index);
    if (err != LP2P_OK) {
        return err == LP2P_EAGAIN && fed != LP2P_OK ? fed : err;
    }
    if (!upgrade->lazy) {
        end_negotiation(upgrade);
    }
    if (index < 0 || (size_t)index >= upgrade->ctx->security_len) {
        return LP2P_ENEGOTIATION;
    }
    const struct lp2p_security *security = &upgrade->ctx->security[index];
    const struct lp2p_rate rate = verify_rate(upgrade);
    struct lp2p_ip_port from;
    if (payer(upgrade, &from) && !lp2p_rate_shared_allows(&upgrade->ctx->verify_rates, &rate, &from, now)) {
        return LP2P_ELIMIT;
    }
    const struct lp2p_secure_start start = {
        .identity = security->identity,
        .initiator = upgrade->arg->outbound,
        .expected = upgrade->arg->peer.len > 0 ? &upgrade->arg->peer : NULL,
        .rand = rand,
        .wall_s = upgrade->wall_s,
        .costly = pay,
        .costly_ctx = upgrade,
    };
    upgrade->secure_ops = security->ops;
    upgrade->stage = LP2P_UPGRADE_SECURE;
    upgrade->secure = security->ops->start(&start);
    return upgrade->secure != NULL ? LP2P_OK : LP2P_ENOMEM;
}

/** How a handshake ended, OK: well. RSA and ECDSA identities, and signatures that do not verify, use up what an address may
 * cost. */
static enum lp2p_err handshake_ended(struct lp2p_upgrade *upgrade, enum lp2p_err reason, lp2p_time now)
{
    const struct lp2p_rate rate = verify_rate(upgrade);
    struct lp2p_ip_port from;
    if (reason != LP2P_EAGAIN && lp2p_verify_was_costly(&upgrade->peer, reason) && payer(upgrade, &from)) {
        lp2p_rate_shared_charge(&upgrade->ctx->verify_rates, &rate, &from, now);
    }
    return reason;
}

/** Whom we wanted, and who answered: without both a wrong address book is hard to find. */
static void name_both(struct lp2p_upgrade *upgrade, const struct lp2p_peer_id *answered)
{
    char expected[LP2P_PEER_ID_TEXT_MAX], got[LP2P_PEER_ID_TEXT_MAX];
    lp2p_peer_id_text(&upgrade->arg->peer, expected);
    lp2p_peer_id_text(answered, got);
    (void)snprintf(upgrade->text, sizeof(upgrade->text), "expected %s, got %s", expected, got);
}

static enum lp2p_err secure_events(struct lp2p_upgrade *upgrade)
{
    for (;;) {
        struct lp2p_secure_event event;
        upgrade->secure_ops->next(upgrade->secure, &event);
        switch (event.kind) {
        case LP2P_SECURE_NONE:
            return LP2P_OK;
        case LP2P_SECURE_FAILED:
            if (event.reason == LP2P_EWRONGPEER) {
                name_both(upgrade, &event.peer);
            }
            return event.reason == LP2P_OK ? LP2P_EAUTH : event.reason;
        case LP2P_SECURE_ESTABLISHED:
            upgrade->established = true;
            upgrade->peer = event.peer;
            upgrade->muxer = event.muxer;
            if (lp2p_peer_id_eq(&event.peer, &upgrade->ctx->self)) {
                return LP2P_ESELF;
            }
            break;
        }
    }
}

/** The answer to a lazy proposal, in front of the channel's. EAGAIN: it has not come. */
static enum lp2p_err confirm(struct lp2p_upgrade *upgrade, lp2p_time now)
{
    size_t used = 0;
    int index = 0;
    enum lp2p_err fed = lp2p_mss_feed(upgrade->mss, lp2p_upgrade_unread(upgrade), now, &used);
    upgrade->in_at += used;
    enum lp2p_err err = negotiated(upgrade, &index);
    if (err != LP2P_EAGAIN || fed != LP2P_OK) {
        return err != LP2P_EAGAIN ? err : fed;
    }
    if (!lp2p_mss_confirmed(upgrade->mss)) {
        return LP2P_EAGAIN;
    }
    upgrade->lazy = false;
    end_negotiation(upgrade);
    return LP2P_OK;
}

static enum lp2p_err step_secure(struct lp2p_upgrade *upgrade, lp2p_time now)
{
    const struct lp2p_secure_ops *ops = upgrade->secure_ops;
    size_t used = 0, room = out_room(upgrade);
    enum lp2p_err fed = upgrade->lazy ? confirm(upgrade, now) : LP2P_OK;
    if (fed != LP2P_OK && fed != LP2P_EAGAIN) {
        return fed;
    }
    fed = LP2P_OK;
    if (!upgrade->established && !upgrade->lazy) {
        fed = ops->feed(upgrade->secure, lp2p_upgrade_unread(upgrade), now, &used);
        upgrade->in_at += used;
    }
    enum lp2p_err err = secure_events(upgrade);
    /* Also after a failure: an alert tells the other side why. */
    size_t n = ops->drain(upgrade->secure, upgrade->out + upgrade->out_len, room, now);
    upgrade->out_len += n;
    if (err != LP2P_OK || fed != LP2P_OK) {
        return handshake_ended(upgrade, err != LP2P_OK ? err : fed, now);
    }
    err = secure_events(upgrade); /* an initiator may be done only when its last message is out */
    if (err != LP2P_OK) {
        return err;
    }
    if (!upgrade->established || (n > 0 && n == room)) {
        return LP2P_EAGAIN;
    }
    (void)handshake_ended(upgrade, LP2P_OK, now);
    if (upgrade->muxer >= 0 && (size_t)upgrade->muxer < upgrade->ctx->muxers_len) {
        upgrade->mux = upgrade->ctx->muxers[upgrade->muxer];
        upgrade->stage = LP2P_UPGRADE_HANDOVER;
        return LP2P_OK;
    }
    for (size_t i = 0; i < upgrade->ctx->muxers_len; i++) {
        upgrade->names[i] = upgrade->ctx->muxers[i]->protocol;
    }
    upgrade->stage = LP2P_UPGRADE_MUXER;
    return new_negotiation(upgrade, upgrade->ctx->muxers_len, match_muxer);
}

/** Seals what the negotiation wants to say. */
static enum lp2p_err seal_out(struct lp2p_upgrade *upgrade, lp2p_time now)
{
    const struct lp2p_secure_ops *ops = upgrade->secure_ops;
    while (out_room(upgrade) >= SEALED_MAX) {
        uint8_t *frame = upgrade->out + upgrade->out_len;
        size_t n = lp2p_mss_drain(upgrade->mss, frame + ops->head, MSS_CHUNK, now), size = 0;
        if (n == 0) {
            break;
        }
        enum lp2p_err err = ops->seal(upgrade->secure, frame, n, &size);
        if (err != LP2P_OK) {
            return err;
        }
        upgrade->out_len += size;
    }
    return LP2P_OK;
}

/** Opens the next whole frame and gives it to the negotiation. EAGAIN: it has not arrived, or is still
 * undecided. */
static enum lp2p_err feed_frame(struct lp2p_upgrade *upgrade, lp2p_time now)
{
    size_t size = 0, used = 0;
    struct lp2p_span unread = lp2p_upgrade_unread(upgrade);
    const struct lp2p_secure_ops *ops = upgrade->secure_ops;
    enum lp2p_err err = ops->frame_size(unread, &size);
    if (err != LP2P_OK) {
        return err;
    }
    if (size == 0 || size > unread.len) {
        return LP2P_EAGAIN;
    }
    struct lp2p_span plain;
    err = ops->open(upgrade->secure, upgrade->in + upgrade->in_at, size, &plain);
    if (err != LP2P_OK) {
        return err;
    }
    upgrade->in_at += size;
    err = lp2p_mss_feed(upgrade->mss, plain, now, &used);
    upgrade->plain = lp2p_span_skip(plain, used);
    return err;
}

static enum lp2p_err step_muxer(struct lp2p_upgrade *upgrade, lp2p_time now)
{
    enum lp2p_err err = seal_out(upgrade, now);
    if (err != LP2P_OK) {
        return err;
    }
    if (out_room(upgrade) < SEALED_MAX) {
        return LP2P_EAGAIN; /* the answer to the next frame needs room: wait until this peer reads */
    }
    enum lp2p_err fed = feed_frame(upgrade, now);
    if (fed == LP2P_EAGAIN) {
        return LP2P_EAGAIN;
    }
    err = seal_out(upgrade, now);
    if (err != LP2P_OK) {
        return err;
    }
    int index = -1;
    err = negotiated(upgrade, &index);
    if (err == LP2P_EAGAIN) {
        return fed; /* OK: look for a further frame */
    }
    if (err != LP2P_OK) {
        return err;
    }
    if (index < 0 || (size_t)index >= upgrade->ctx->muxers_len) {
        return LP2P_ENEGOTIATION;
    }
    upgrade->mux = upgrade->ctx->muxers[index];
    end_negotiation(upgrade);
    upgrade->stage = LP2P_UPGRADE_HANDOVER;
    return LP2P_OK;
}

bool lp2p_upgrade_try_again(const struct lp2p_upgrade *upgrade, enum lp2p_err reason)
{
    /* The other side takes the channel's first message for a proposal, and may hang up before its refusal is read. */
    return upgrade->lazy && upgrade->stage == LP2P_UPGRADE_SECURE && upgrade->ctx->security_len > 1 &&
           (reason == LP2P_ENEGOTIATION || (upgrade->heard && (reason == LP2P_EEOF || reason == LP2P_ECONNRESET)));
}

enum lp2p_err lp2p_upgrade_advance(struct lp2p_upgrade *upgrade, const struct lp2p_rand *rand, lp2p_time now)
{
    for (;;) {
        enum lp2p_err err = LP2P_EAGAIN;
        switch (upgrade->stage) {
        case LP2P_UPGRADE_SECURITY:
            err = step_security(upgrade, rand, now);
            break;
        case LP2P_UPGRADE_SECURE:
            err = step_secure(upgrade, now);
            break;
        case LP2P_UPGRADE_MUXER:
            err = step_muxer(upgrade, now);
            break;
        case LP2P_UPGRADE_CONNECT:
        case LP2P_UPGRADE_DOOR:
        case LP2P_UPGRADE_ADMISSION:
        case LP2P_UPGRADE_CARRIER:
        case LP2P_UPGRADE_HANDOVER:
        case LP2P_UPGRADE_ENDING:
            return LP2P_OK;
        }
        if (err != LP2P_OK) {
            return err == LP2P_EAGAIN ? LP2P_OK : err;
        }
    }
}
