/* SPDX-License-Identifier: MIT */
#include "actors/link/upgrade.h"

#include "actors/link/limits.h"

#include <stdio.h>

#define SECURITY_PROTOCOL "/noise"
#define MSS_CHUNK                                                                                            \
    700u /* plaintext of one sealed piece: more than a negotiation ever has to say at one time */
#define SEALED_MAX (LP2P_NOISE_PREFIX + MSS_CHUNK + LP2P_NOISE_TAG)

const char *lp2p_upgrade_stage_name(enum lp2p_upgrade_stage stage)
{
    switch (stage) {
    case LP2P_UPGRADE_CONNECT:
        return "connect";
    case LP2P_UPGRADE_SECURITY:
        return "multistream";
    case LP2P_UPGRADE_NOISE:
        return "noise";
    case LP2P_UPGRADE_MUXER:
    case LP2P_UPGRADE_HANDOVER:
    case LP2P_UPGRADE_ENDING:
        return "muxer";
    }
    return "";
}

static int match_security(void *ctx, struct lp2p_span protocol)
{
    (void)ctx;
    return lp2p_span_eq_str(protocol, SECURITY_PROTOCOL) ? 0 : -1;
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
    /* Not lazy: the answer costs a round trip once per connection, and a refusal is known before keys are
     * made. */
    upgrade->mss = upgrade->arg->outbound ? lp2p_mss_new_dialer(upgrade->names, names_len, false)
                                          : lp2p_mss_new_listener(match, upgrade);
    return upgrade->mss != NULL ? LP2P_OK : LP2P_ENOMEM;
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
    upgrade->names[0] = SECURITY_PROTOCOL;
    return new_negotiation(upgrade, 1, match_security);
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
    end_negotiation(upgrade);
    const struct lp2p_peer_id *expected = upgrade->arg->peer.len > 0 ? &upgrade->arg->peer : NULL;
    upgrade->noise = lp2p_noise_new(&upgrade->ctx->noise, upgrade->arg->outbound, expected, rand);
    if (upgrade->noise == NULL) {
        return LP2P_ENOMEM;
    }
    upgrade->stage = LP2P_UPGRADE_NOISE;
    return LP2P_OK;
}

/** Whom we wanted, and who answered: without both a wrong address book is hard to find. */
static void name_both(struct lp2p_upgrade *upgrade, const struct lp2p_peer_id *answered)
{
    char expected[LP2P_PEER_ID_TEXT_MAX], got[LP2P_PEER_ID_TEXT_MAX];
    lp2p_peer_id_text(&upgrade->arg->peer, expected);
    lp2p_peer_id_text(answered, got);
    (void)snprintf(upgrade->text, sizeof(upgrade->text), "expected %s, got %s", expected, got);
}

static enum lp2p_err noise_events(struct lp2p_upgrade *upgrade)
{
    for (;;) {
        struct lp2p_noise_event event;
        lp2p_noise_next(upgrade->noise, &event);
        switch (event.kind) {
        case LP2P_NOISE_NONE:
            return LP2P_OK;
        case LP2P_NOISE_FAILED:
            if (event.reason == LP2P_EWRONGPEER) {
                name_both(upgrade, &event.peer);
            }
            return event.reason == LP2P_OK ? LP2P_EAUTH : event.reason;
        case LP2P_NOISE_ESTABLISHED:
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

/** The muxer that both lists in the Noise payloads agree on, as our table of it. */
static const struct lp2p_mux_ops *inlined_muxer(const struct lp2p_upgrade *upgrade)
{
    const struct lp2p_noise_identity *identity = &upgrade->ctx->noise;
    if (upgrade->muxer < 0 || (size_t)upgrade->muxer >= identity->muxers_len) {
        return NULL;
    }
    const char *name = identity->muxers[upgrade->muxer];
    int index = match_muxer((void *)(uintptr_t)upgrade, lp2p_span_str(name));
    return index < 0 ? NULL : upgrade->ctx->muxers[index];
}

static enum lp2p_err step_noise(struct lp2p_upgrade *upgrade, lp2p_time now)
{
    size_t used = 0;
    enum lp2p_err fed = LP2P_OK;
    if (!upgrade->established) {
        fed = lp2p_noise_feed(upgrade->noise, lp2p_upgrade_unread(upgrade), now, &used);
        upgrade->in_at += used;
    }
    enum lp2p_err err = noise_events(upgrade);
    if (err != LP2P_OK || fed != LP2P_OK) {
        return err != LP2P_OK ? err : fed;
    }
    size_t room = out_room(upgrade);
    size_t n = lp2p_noise_drain(upgrade->noise, upgrade->out + upgrade->out_len, room, now);
    upgrade->out_len += n;
    err = noise_events(upgrade); /* an initiator is done when its last message is out */
    if (err != LP2P_OK) {
        return err;
    }
    if (!upgrade->established || (n > 0 && n == room)) {
        return LP2P_EAGAIN;
    }
    upgrade->mux = inlined_muxer(upgrade);
    if (upgrade->mux != NULL) {
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
    while (out_room(upgrade) >= SEALED_MAX) {
        uint8_t *frame = upgrade->out + upgrade->out_len;
        size_t n = lp2p_mss_drain(upgrade->mss, frame + LP2P_NOISE_PREFIX, MSS_CHUNK, now), size = 0;
        if (n == 0) {
            break;
        }
        enum lp2p_err err = lp2p_noise_seal(upgrade->noise, frame, n, &size);
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
    enum lp2p_err err = lp2p_noise_frame_size(unread, &size);
    if (err != LP2P_OK) {
        return err;
    }
    if (size == 0 || size > unread.len) {
        return LP2P_EAGAIN;
    }
    struct lp2p_span plain;
    err = lp2p_noise_open(upgrade->noise, upgrade->in + upgrade->in_at, size, &plain);
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

enum lp2p_err lp2p_upgrade_advance(struct lp2p_upgrade *upgrade, const struct lp2p_rand *rand, lp2p_time now)
{
    for (;;) {
        enum lp2p_err err = LP2P_EAGAIN;
        switch (upgrade->stage) {
        case LP2P_UPGRADE_SECURITY:
            err = step_security(upgrade, rand, now);
            break;
        case LP2P_UPGRADE_NOISE:
            err = step_noise(upgrade, now);
            break;
        case LP2P_UPGRADE_MUXER:
            err = step_muxer(upgrade, now);
            break;
        case LP2P_UPGRADE_CONNECT:
        case LP2P_UPGRADE_HANDOVER:
        case LP2P_UPGRADE_ENDING:
            return LP2P_OK;
        }
        if (err != LP2P_OK) {
            return err == LP2P_EAGAIN ? LP2P_OK : err;
        }
    }
}
