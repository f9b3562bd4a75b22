/* SPDX-License-Identifier: MIT
 * mDNS on the machine's networks: two sockets, IPv4 and IPv6, in front of the machine in mdns.h. What it finds is a hint for the swarm,
 * which dials when it wants more connections; nobody is believed before the handshake. */
#include "actors/context.h"
#include "actors/discovery/mdns.h"
#include "actors/protocols/streams.h"

#include <stdlib.h>

enum { TIMER_DUE, TIMER_OUTBOX };

#define INTERFACES_MAX 16 /* networks that are asked; beyond: not */
#define READS_MAX 16      /* datagrams of one socket in one turn */
#define OUTBOX_MAX 64

static const struct lp2p_ip_port GROUPS[2] = {
    {.ip = {224, 0, 0, 251}, .ip_len = 4, .port = LP2P_MDNS_PORT},
    {.ip = {0xff, 0x02, [15] = 0xfb}, .ip_len = 16, .port = LP2P_MDNS_PORT},
};

struct door {
    int fd; /* -1: none */
    size_t interfaces_len;
    unsigned interfaces[INTERFACES_MAX];
};

struct discovery {
    struct lp2p_context *ctx;
    struct door doors[LP2P_ARRAY_LEN(GROUPS)];
    struct lp2p_outbox outbox;
    bool complained;
    uint64_t limited, invalid, suppressed; /* of the machine's, what is counted already */
    uint8_t packet[LP2P_MDNS_PACKET_MAX];
    struct lp2p_mdns mdns;
};

/* ---- sockets */

static void open_door(struct lp2p_actor *self, struct discovery *discovery, unsigned n)
{
    const struct lp2p_net *net = discovery->ctx->net;
    struct door *door = &discovery->doors[n];
    enum lp2p_err err = net->multicast->open(net->ctx, &GROUPS[n], &door->fd);
    if (err == LP2P_OK && (err = lp2p_fd_watch(self, door->fd, LP2P_READABLE)) != LP2P_OK) {
        net->close(net->ctx, door->fd);
    }
    if (err != LP2P_OK) {
        door->fd = -1;
        /* Tried again with every query; said once. */
        lp2p_log(discovery->ctx, discovery->complained ? LP2P_LOG_DEBUG : LP2P_LOG_WARN, "mdns", "no socket for IPv%d: %s",
                 GROUPS[n].ip_len == 4 ? 4 : 6, lp2p_strerror(err));
        discovery->complained = true;
    }
}

/** Where there is no socket yet one is opened, and where there are new networks the group is joined. */
static void open_doors(struct lp2p_actor *self, struct discovery *discovery)
{
    const struct lp2p_net *net = discovery->ctx->net;
    for (unsigned n = 0; n < LP2P_ARRAY_LEN(GROUPS) && net->multicast != NULL; n++) {
        struct door *door = &discovery->doors[n];
        if (door->fd < 0) {
            open_door(self, discovery, n);
        }
        if (door->fd >= 0) {
            door->interfaces_len = net->multicast->join(net->ctx, door->fd, &GROUPS[n], door->interfaces, INTERFACES_MAX);
        }
    }
}

static void close_doors(struct lp2p_actor *self, struct discovery *discovery)
{
    const struct lp2p_net *net = discovery->ctx->net;
    for (unsigned n = 0; n < LP2P_ARRAY_LEN(GROUPS); n++) {
        if (discovery->doors[n].fd >= 0) {
            lp2p_fd_unwatch(self, discovery->doors[n].fd);
            net->close(net->ctx, discovery->doors[n].fd);
            discovery->doors[n].fd = -1;
        }
    }
}

/* ---- out: what cannot be sent is lost, as on any network; queries come again */

static void send_to_all(struct discovery *discovery, const uint8_t *bytes, size_t len)
{
    const struct lp2p_net *net = discovery->ctx->net;
    for (unsigned n = 0; n < LP2P_ARRAY_LEN(GROUPS); n++) {
        const struct door *door = &discovery->doors[n];
        for (size_t i = 0; door->fd >= 0 && i < door->interfaces_len; i++) {
            const struct lp2p_datagram_end to = {.addr = GROUPS[n], .interface = door->interfaces[i]};
            (void)net->multicast->send(net->ctx, door->fd, bytes, len, &to);
        }
    }
}

static void take_leave(struct discovery *discovery)
{
    uint8_t out[LP2P_MDNS_SEND_MAX];
    size_t len = lp2p_mdns_farewell(&discovery->mdns, out);
    if (len > 0) {
        send_to_all(discovery, out, len);
    }
}

static void answer_all(struct discovery *discovery)
{
    const struct lp2p_mdns *mdns = &discovery->mdns;
    if (mdns->own_len == 0) {
        take_leave(discovery);
        return;
    }
    const struct lp2p_mdns_dress dress = {0};
    uint8_t out[LP2P_MDNS_SEND_MAX];
    size_t len;
    for (size_t next = 0;
         (len = lp2p_mdns_write_answer(mdns->service, mdns->name, &dress, mdns->own, mdns->own_len, &next, out)) > 0;) {
        send_to_all(discovery, out, len);
    }
    LP2P_COUNT(discovery->ctx, mdns_answers, 1);
}

/** To the asker alone: one packet, so that it is not worth much to ask in somebody else's name. */
static void answer_one(struct discovery *discovery, int fd, unsigned what, const struct lp2p_mdns_dress *dress,
                       const struct lp2p_datagram_end *to)
{
    const struct lp2p_net *net = discovery->ctx->net;
    const struct lp2p_mdns *mdns = &discovery->mdns;
    uint8_t out[LP2P_MDNS_SEND_MAX];
    size_t next = 0;
    size_t len = (what & LP2P_MDNS_UNICAST_PEERS) != 0
                     ? lp2p_mdns_write_answer(mdns->service, mdns->name, dress, mdns->own, mdns->own_len, &next, out)
                     : lp2p_mdns_write_services(mdns->service, dress, out);
    if (len > 0 && net->multicast->send(net->ctx, fd, out, len, to) == LP2P_OK) {
        LP2P_COUNT(discovery->ctx, mdns_answers, 1);
    }
}

static void tell_gone(struct lp2p_actor *self, struct discovery *discovery, const struct lp2p_peer_id *peer)
{
    struct lp2p_m_peer_gone *m = LP2P_NEW(PEER_GONE, peer_gone);
    if (m == NULL) {
        return;
    }
    m->peer = *peer;
    struct lp2p_msg *msg = &m->msg;
    lp2p_send_or_drop(self, lp2p_names(discovery->ctx)->swarm, &msg);
    char text[LP2P_PEER_ID_TEXT_MAX];
    lp2p_peer_id_text(peer, text);
    lp2p_log(discovery->ctx, LP2P_LOG_DEBUG, "mdns", "%s took leave", text);
    LP2P_COUNT(discovery->ctx, mdns_gone, 1);
}

static void send_due(struct lp2p_actor *self, struct discovery *discovery)
{
    struct lp2p_mdns *mdns = &discovery->mdns;
    uint8_t out[LP2P_MDNS_SEND_MAX];
    if (lp2p_mdns_query_due(mdns, lp2p_now(self))) {
        open_doors(self, discovery);
        send_to_all(discovery, out, lp2p_mdns_query(mdns, lp2p_now(self), out));
        LP2P_COUNT(discovery->ctx, mdns_queries, 1);
    }
    if (lp2p_mdns_answer_due(mdns, lp2p_now(self))) {
        answer_all(discovery);
    }
    if (lp2p_mdns_services_due(mdns, lp2p_now(self))) {
        const struct lp2p_mdns_dress dress = {0};
        send_to_all(discovery, out, lp2p_mdns_write_services(mdns->service, &dress, out));
        LP2P_COUNT(discovery->ctx, mdns_answers, 1);
    }
    struct lp2p_peer_id gone;
    while (lp2p_mdns_next_gone(mdns, lp2p_now(self), &gone)) {
        tell_gone(self, discovery, &gone);
    }
    lp2p_timer_set(self, TIMER_DUE, lp2p_mdns_next(mdns));
}

/* ---- in */

static void tell_swarm(struct lp2p_actor *self, struct discovery *discovery, const struct lp2p_mdns_peer *peer)
{
    struct lp2p_m_peer_found *m = LP2P_NEW(PEER_FOUND, peer_found);
    if (m == NULL) {
        return;
    }
    m->peer = peer->id;
    m->local = true;
    m->addrs = lp2p_addrs_new(peer->addrs, peer->addrs_len);
    struct lp2p_msg *msg = &m->msg;
    if (m->addrs == NULL) {
        lp2p_msg_drop(&msg);
        return;
    }
    lp2p_send_or_drop(self, lp2p_names(discovery->ctx)->swarm, &msg); /* the swarm can lose a hint */
    char text[LP2P_PEER_ID_TEXT_MAX];
    lp2p_peer_id_text(&peer->id, text);
    lp2p_log(discovery->ctx, LP2P_LOG_DEBUG, "mdns", "found %s", text);
    LP2P_COUNT(discovery->ctx, mdns_peers, 1);
}

static void take(struct lp2p_actor *self, struct discovery *discovery, int fd, size_t len, const struct lp2p_datagram_end *from)
{
    struct lp2p_mdns_dress dress;
    struct lp2p_mdns_peer peer;
    unsigned what = lp2p_mdns_take(&discovery->mdns, lp2p_span(discovery->packet, len), &from->addr, lp2p_now(self), &dress);
    if (what != 0) {
        answer_one(discovery, fd, what, &dress, from);
    }
    while (lp2p_mdns_next_peer(&discovery->mdns, lp2p_now(self), &peer)) {
        tell_swarm(self, discovery, &peer);
    }
    LP2P_COUNT(discovery->ctx, mdns_invalid, discovery->mdns.invalid - discovery->invalid);
    LP2P_COUNT(discovery->ctx, mdns_limited, discovery->mdns.limited - discovery->limited);
    LP2P_COUNT(discovery->ctx, mdns_suppressed, discovery->mdns.suppressed - discovery->suppressed);
    discovery->suppressed = discovery->mdns.suppressed;
    discovery->invalid = discovery->mdns.invalid;
    discovery->limited = discovery->mdns.limited;
}

static enum lp2p_verdict mdns_on_fd(struct lp2p_actor *self, void *state, int fd, unsigned ready)
{
    (void)ready;
    struct discovery *discovery = state;
    const struct lp2p_net *net = discovery->ctx->net;
    struct lp2p_datagram_end from;
    enum lp2p_err err = LP2P_OK;
    for (int i = 0; i < READS_MAX && err != LP2P_EAGAIN; i++) {
        size_t len = 0;
        err = net->multicast->receive(net->ctx, fd, discovery->packet, sizeof(discovery->packet), &len, &from);
        if (err == LP2P_EAGAIN) {
            break;
        }
        LP2P_COUNT(discovery->ctx, mdns_packets, 1);
        if (err != LP2P_OK || !from.to_group) {
            LP2P_COUNT(discovery->ctx, mdns_invalid, 1); /* sent to this machine alone it may come from anywhere */
            continue;
        }
        take(self, discovery, fd, len, &from);
    }
    lp2p_timer_set(self, TIMER_DUE, lp2p_mdns_next(&discovery->mdns));
    return LP2P_CONTINUE;
}

/* ---- the actor */

static enum lp2p_err mdns_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct discovery *discovery = state;
    struct lp2p_context *ctx = discovery->ctx = (struct lp2p_context *)(uintptr_t)arg;
    uint8_t fingerprint[16];
    if (ctx->config.has_swarm_key) {
        lp2p_pnet_fingerprint(&ctx->config.swarm_key, fingerprint);
    }
    lp2p_outbox_init(&discovery->outbox, TIMER_OUTBOX, OUTBOX_MAX);
    enum lp2p_err err = lp2p_protocol_subscribe(self, &discovery->outbox, ctx, LP2P_SUB_SELF);
    if (err != LP2P_OK) {
        lp2p_outbox_fini(&discovery->outbox);
        return err;
    }
    lp2p_mdns_init(&discovery->mdns, &ctx->self, ctx->config.has_swarm_key ? fingerprint : NULL, NULL, lp2p_actor_rand(self),
                   lp2p_now(self));
    for (unsigned n = 0; n < LP2P_ARRAY_LEN(GROUPS); n++) {
        discovery->doors[n].fd = -1;
    }
    open_doors(self, discovery);
    lp2p_timer_set(self, TIMER_DUE, lp2p_mdns_next(&discovery->mdns));
    return LP2P_OK;
}

static enum lp2p_verdict mdns_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct discovery *discovery = state;
    if (LP2P_IS(*msg, SELF_CHANGED)) {
        const struct lp2p_addrs *listening = LP2P_AS(*msg, SELF_CHANGED, self_changed)->self->listening;
        lp2p_mdns_publish(&discovery->mdns, listening == NULL ? NULL : listening->items, listening == NULL ? 0 : listening->len,
                          lp2p_now(self));
    } else if (LP2P_IS(*msg, INTERFACES_CHANGED)) {
        open_doors(self, discovery);
        lp2p_mdns_renew(&discovery->mdns, lp2p_now(self));
    }
    lp2p_timer_set(self, TIMER_DUE, lp2p_mdns_next(&discovery->mdns));
    return LP2P_CONTINUE;
}

static enum lp2p_verdict mdns_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct discovery *discovery = state;
    if (timer == TIMER_OUTBOX) {
        lp2p_outbox_retry(self, &discovery->outbox);
    } else {
        send_due(self, discovery);
    }
    return LP2P_CONTINUE;
}

static void mdns_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)why;
    struct discovery *discovery = state;
    take_leave(discovery);
    close_doors(self, discovery);
    lp2p_outbox_fini(&discovery->outbox);
}

const struct lp2p_actor_ops lp2p_mdns_ops = {
    .name = "mdns",
    .state_size = sizeof(struct discovery),
    .init = mdns_init,
    .on_msg = mdns_on_msg,
    .on_fd = mdns_on_fd,
    .on_timer = mdns_on_timer,
    .fini = mdns_fini,
};
