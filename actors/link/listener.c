/* SPDX-License-Identifier: MIT
 * The listener: one listening socket for all listen addresses with its IP address and port; each accepted connection
 * becomes an upgrade actor, within limits that cost no cryptography. */
#include "actors/context.h"
#include "actors/link/limits.h"
#include "actors/link/refusals.h"
#include "actors/link/web_files.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMER_ACCEPT, TIMER_OUTBOX, TIMER_ANNOUNCE, TIMER_WEB };

#define ANNOUNCE_AGAIN_NS LP2P_SEC(1) /* after the swarm has ended: its successor has to be told anew */

/** An upgrade that has not ended. */
struct pending {
    struct lp2p_ref upgrade;
    struct lp2p_ip_port remote;
    bool counted; /* by its address: it is neither exempt nor that of a proxy */
};

struct listener {
    struct lp2p_listener_arg *arg;
    struct lp2p_context *ctx;
    int fd;
    uint64_t accept_pause_ns; /* 0: accepting */
    uint64_t serial;          /* for ids of upgrades */
    struct lp2p_outbox outbox;
    unsigned doors; /* kinds that the socket serves */
    struct lp2p_web_files web;
    struct lp2p_inbound_limits limits;
    struct lp2p_admission *admission;
    struct lp2p_refusals refusals;
    size_t pending_len;
    struct pending pending[LP2P_PENDING_MAX];
};

static bool unspecified(const struct lp2p_ip_port *addr)
{
    static const uint8_t zero[16];
    return memcmp(addr->ip, zero, addr->ip_len) == 0;
}

static void to_multiaddr(const struct lp2p_ip_port *addr, struct lp2p_multiaddr *out)
{
    lp2p_multiaddr_from_ip_tcp(addr->ip, addr->ip_len, addr->port, out);
}

/** The bound address, or in its place one for each interface of the same family; as addresses of that door. */
static struct lp2p_addrs *addresses(const struct listener *listener, unsigned index)
{
    const struct lp2p_ip_port *bound = &listener->arg->bound;
    struct lp2p_ip_port found[64];
    struct lp2p_multiaddr addrs[64];
    size_t found_len = 1, len = 0;
    found[0] = *bound;
    if (unspecified(bound)) {
        const struct lp2p_net *net = listener->ctx->net;
        found_len = net->interfaces(net->ctx, found, LP2P_ARRAY_LEN(found));
    }
    for (size_t i = 0; i < found_len; i++) {
        if (found[i].ip_len == bound->ip_len) {
            found[i].port = bound->port;
            lp2p_door_move(&listener->ctx->config.listen[index], &found[i], &addrs[len++]);
        }
    }
    return lp2p_addrs_new(addrs, len);
}

static bool announce_one(struct lp2p_actor *self, struct listener *listener, unsigned index)
{
    struct lp2p_m_listening *m = LP2P_NEW(LISTENING, listening);
    if (m == NULL) {
        return false;
    }
    m->index = index;
    m->addrs = addresses(listener, index);
    struct lp2p_msg *msg = &m->msg;
    return lp2p_outbox_send(self, &listener->outbox, lp2p_names(listener->ctx)->swarm, &msg) == LP2P_OK;
}

static void announce(struct lp2p_actor *self, struct listener *listener)
{
    const struct lp2p_config *config = &listener->ctx->config;
    bool all = true;
    for (unsigned i = 0; i < config->listen_len; i++) {
        if (lp2p_door_served_by(config, i, listener->arg->index)) {
            all = announce_one(self, listener, i) && all;
        }
    }
    if (all) {
        lp2p_monitor(self, lp2p_names(listener->ctx)->swarm);
    } else {
        lp2p_timer_set(self, TIMER_ANNOUNCE, lp2p_time_add(lp2p_now(self), ANNOUNCE_AGAIN_NS));
    }
}

/** Which kinds the socket serves, and what they need. */
static enum lp2p_err open_doors(struct lp2p_actor *self, struct listener *listener)
{
    const struct lp2p_config *config = &listener->ctx->config;
    uint8_t secret[16];
    struct lp2p_door door;
    for (unsigned i = 0; i < config->listen_len; i++) {
        if (lp2p_door_served_by(config, i, listener->arg->index) &&
            lp2p_door_read(&config->listen[i], &door) == LP2P_OK) {
            listener->doors |= (unsigned)door.kind;
        }
    }
    lp2p_inbound_limits_fill(listener->arg->limits, &listener->limits);
    lp2p_rand_fill(lp2p_actor_rand(self), secret, sizeof(secret));
    listener->admission = lp2p_admission_new(&listener->limits, secret);
    if (listener->admission == NULL) {
        return LP2P_ENOMEM;
    }
    if ((listener->doors & LP2P_DOOR_WSS) == 0) {
        return LP2P_OK;
    }
    enum lp2p_err err =
        lp2p_web_files_load(&listener->web, listener->ctx, lp2p_actor_rand(self), (int64_t)(lp2p_wall_ms(self) / 1000));
    if (err == LP2P_OK) {
        lp2p_timer_set(self, TIMER_WEB, lp2p_time_add(lp2p_now(self), LP2P_WEB_CHECK_NS));
    }
    return err;
}

static void close_doors(struct listener *listener)
{
    lp2p_web_files_drop(&listener->web);
    lp2p_admission_free(listener->admission);
}

static enum lp2p_err bind_socket(struct listener *listener)
{
    const struct lp2p_net *net = listener->ctx->net;
    const struct lp2p_multiaddr *wanted = &listener->ctx->config.listen[listener->arg->index];
    struct lp2p_door door;
    enum lp2p_err err = lp2p_door_read(wanted, &door);
    if (err != LP2P_OK) {
        return err;
    }
    if (listener->arg->was_bound) {
        door.at.port = listener->arg->bound.port;
    }
    struct lp2p_ip_port bound;
    err = net->listen(net->ctx, &door.at, LP2P_ACCEPT_BACKLOG, &listener->fd, &bound);
    if (err != LP2P_OK && !listener->arg->was_bound) {
        return err; /* whoever starts the node is told which address it is */
    }
    if (err != LP2P_OK) {
        char text[LP2P_MULTIADDR_TEXT_MAX];
        lp2p_multiaddr_text(wanted, text);
        lp2p_log(listener->ctx, LP2P_LOG_ERROR, "listener", "cannot listen on %s: %s", text, lp2p_strerror(err));
        return err;
    }
    listener->arg->bound = bound;
    listener->arg->was_bound = true;
    return LP2P_OK;
}

static enum lp2p_err listener_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct listener *listener = state;
    /* The arg lives as long as the node; the address that was bound outlives this generation there. */
    listener->arg = (struct lp2p_listener_arg *)(uintptr_t)arg;
    listener->ctx = listener->arg->ctx;
    listener->fd = -1;
    const struct lp2p_net *net = listener->ctx->net;
    enum lp2p_err err = open_doors(self, listener);
    if (err == LP2P_OK) {
        err = bind_socket(listener);
    }
    if (err == LP2P_OK) {
        err = lp2p_fd_watch(self, listener->fd, LP2P_READABLE);
    }
    if (err != LP2P_OK) {
        if (listener->fd >= 0) {
            net->close(net->ctx, listener->fd);
        }
        close_doors(listener);
        return err;
    }
    lp2p_outbox_init(&listener->outbox, TIMER_OUTBOX, 8);
    announce(self, listener);
    return LP2P_OK;
}

static bool is_loopback(const struct lp2p_ip_port *addr)
{
    struct lp2p_multiaddr ma;
    to_multiaddr(addr, &ma);
    return lp2p_multiaddr_scope(&ma) == LP2P_SCOPE_LOOPBACK;
}

/** Loopback is exempt from the limits by address: whole test networks live behind it. So is a proxy that we trust, until it
 * has told who is behind it, or has missed the time to: then that address counts, whatever it is. */
static bool counts(const struct listener *listener, const struct lp2p_ip_port *remote)
{
    return (listener->limits.loopback_counts || !is_loopback(remote)) &&
           !lp2p_door_trusted(&listener->ctx->config, remote);
}

/** Whether one more from this address is within the limits; what is refused is counted, and logged now and then. `self_in`:
 * the entry of the connection itself, which is there already. */
static bool admits(struct lp2p_actor *self, struct listener *listener, const struct lp2p_ip_port *remote,
                   const struct pending *self_in)
{
    enum lp2p_refusal why = LP2P_REFUSED_FULL;
    enum lp2p_net_level level;
    uint32_t same[LP2P_NET_LEVELS] = {0};
    bool good = self_in != NULL || listener->pending_len < listener->limits.pending_max;
    if (good && (self_in != NULL || counts(listener, remote))) {
        for (size_t i = 0; i < listener->pending_len; i++) {
            const struct pending *it = &listener->pending[i];
            for (int at = 0; it != self_in && it->counted && at < LP2P_NET_LEVELS; at++) {
                same[at] += lp2p_net_same(&it->remote, remote, (enum lp2p_net_level)at);
            }
        }
        for (int at = 0; at < LP2P_NET_LEVELS; at++) {
            good = good && same[at] < listener->limits.pending[at];
        }
        why = LP2P_REFUSED_PENDING;
        if (good) {
            why = LP2P_REFUSED_RATE;
            good = lp2p_admission_take(listener->admission, remote, lp2p_now(self), &level) == LP2P_OK;
        }
    }
    if (!good) {
        LP2P_COUNT(listener->ctx, connections_refused, 1);
        lp2p_refusals_note(&listener->refusals, listener->ctx, why, remote, lp2p_now(self));
    }
    return good;
}

/** Who is slow on purpose gets less time when places run short: from half of them on, down to a fifth. */
static uint64_t upgrade_span(const struct listener *listener)
{
    uint64_t half = LP2P_MAX(listener->limits.pending_max / 2, 1u), taken = listener->pending_len;
    uint64_t all = listener->limits.upgrade_ns;
    if (taken <= half || listener->limits.constant_deadline) {
        return all;
    }
    return all - all / 5 * 4 * LP2P_MIN(taken - half, half) / half;
}

static enum lp2p_err spawn_upgrade(struct lp2p_actor *self, struct listener *listener, int fd,
                                   const struct lp2p_ip_port *remote, const struct lp2p_ip_port *local,
                                   struct lp2p_ref *out)
{
    struct lp2p_upgrade_arg *arg = calloc(1, sizeof(*arg));
    if (arg == NULL) {
        return LP2P_ENOMEM;
    }
    arg->ctx = listener->ctx;
    arg->fd = fd;
    arg->deadline = lp2p_time_add(lp2p_now(self), upgrade_span(listener));
    arg->doors = listener->doors;
    arg->from_proxy = lp2p_door_trusted(&listener->ctx->config, remote);
    arg->listener = lp2p_self(self);
    arg->web = lp2p_web_files_hold(&listener->web);
    to_multiaddr(remote, &arg->remote);
    to_multiaddr(local, &arg->local);
    char id[40];
    (void)snprintf(id, sizeof(id), "upgrade-in-%u-%llu", listener->arg->index,
                   (unsigned long long)listener->serial++);
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
    enum lp2p_err err = lp2p_spawn(self, lp2p_names(listener->ctx)->links, &spec, out);
    if (err != LP2P_OK) {
        arg->fd = -1; /* that is the caller's again */
        lp2p_upgrade_arg_drop(arg);
    }
    return err;
}

static void admit(struct lp2p_actor *self, struct listener *listener, int fd,
                  const struct lp2p_ip_port *remote, const struct lp2p_ip_port *local)
{
    const struct lp2p_net *net = listener->ctx->net;
    struct lp2p_ref upgrade;
    if (!admits(self, listener, remote, NULL)) {
        net->close(net->ctx, fd);
        return;
    }
    if (spawn_upgrade(self, listener, fd, remote, local, &upgrade) != LP2P_OK) {
        LP2P_COUNT(listener->ctx, connections_refused, 1);
        net->close(net->ctx, fd);
        return;
    }
    listener->pending[listener->pending_len++] = (struct pending){upgrade, *remote, counts(listener, remote)};
    lp2p_monitor(self, upgrade);
}

/** Without descriptors the socket stays readable: stop looking for a while, or the thread would spin. */
static enum lp2p_verdict pause_accepting(struct lp2p_actor *self, struct listener *listener,
                                         enum lp2p_err why)
{
    listener->accept_pause_ns = listener->accept_pause_ns == 0
                                    ? LP2P_ACCEPT_PAUSE_MIN_NS
                                    : LP2P_MIN(listener->accept_pause_ns * 2, LP2P_ACCEPT_PAUSE_MAX_NS);
    lp2p_log(listener->ctx, LP2P_LOG_WARN, "listener", "cannot accept: %s; next try in %llu ms",
             lp2p_strerror(why), (unsigned long long)(listener->accept_pause_ns / 1000000));
    lp2p_timer_set(self, TIMER_ACCEPT, lp2p_time_add(lp2p_now(self), listener->accept_pause_ns));
    return lp2p_fd_watch(self, listener->fd, 0) == LP2P_OK ? LP2P_CONTINUE : LP2P_FAIL;
}

static enum lp2p_verdict accept_some(struct lp2p_actor *self, struct listener *listener)
{
    const struct lp2p_net *net = listener->ctx->net;
    bool many = unspecified(&listener->arg->bound); /* our end is one of several addresses */
    for (int i = 0; i < LP2P_ACCEPT_BATCH; i++) {
        struct lp2p_ip_port remote = {0}, local = listener->arg->bound;
        int fd = -1;
        enum lp2p_err err = net->accept(net->ctx, listener->fd, &fd, &remote, many ? &local : NULL);
        if (err == LP2P_EAGAIN) {
            break;
        }
        if (err != LP2P_OK) {
            return pause_accepting(self, listener, err);
        }
        listener->accept_pause_ns = 0;
        admit(self, listener, fd, &remote, &local);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict listener_on_fd(struct lp2p_actor *self, void *state, int fd, unsigned ready)
{
    (void)fd;
    (void)ready;
    struct listener *listener = state;
    /* A hang-up comes with any interest: while pausing it must not become a loop of tries. */
    return lp2p_timer_get(self, TIMER_ACCEPT) == LP2P_NEVER ? accept_some(self, listener) : LP2P_CONTINUE;
}

static enum lp2p_verdict listener_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct listener *listener = state;
    switch (timer) {
    case TIMER_ACCEPT:
        if (lp2p_fd_watch(self, listener->fd, LP2P_READABLE) != LP2P_OK) {
            return LP2P_FAIL;
        }
        return accept_some(self, listener);
    case TIMER_OUTBOX:
        lp2p_outbox_retry(self, &listener->outbox);
        return LP2P_CONTINUE;
    case TIMER_ANNOUNCE:
        announce(self, listener);
        return LP2P_CONTINUE;
    case TIMER_WEB:
        lp2p_web_files_refresh(&listener->web, listener->ctx, lp2p_actor_rand(self), (int64_t)(lp2p_wall_ms(self) / 1000));
        lp2p_timer_set(self, TIMER_WEB, lp2p_time_add(lp2p_now(self), LP2P_WEB_CHECK_NS));
        return LP2P_CONTINUE;
    default:
        return LP2P_CONTINUE;
    }
}

static struct pending *find_pending(struct listener *listener, struct lp2p_ref upgrade)
{
    for (size_t i = 0; i < listener->pending_len; i++) {
        if (lp2p_ref_eq(listener->pending[i].upgrade, upgrade)) {
            return &listener->pending[i];
        }
    }
    return NULL;
}

/** A trusted proxy has told whose connection it is: that address is judged as if it had come itself. If it has told nothing,
 * its own is. */
static void on_proxied(struct lp2p_actor *self, struct listener *listener, struct lp2p_m_proxied *m)
{
    if (m->misled) {
        LP2P_COUNT(listener->ctx, proxied_invalid, 1);
        lp2p_refusals_note(&listener->refusals, listener->ctx, LP2P_REFUSED_HEADER, &m->from, lp2p_now(self));
        return;
    }
    struct pending *pending = find_pending(listener, m->msg.from);
    if (pending == NULL) {
        return;
    }
    struct lp2p_m_admitted *answer = LP2P_NEW(ADMITTED, admitted);
    if (answer == NULL || !admits(self, listener, &m->from, pending)) {
        struct lp2p_msg *none = answer != NULL ? &answer->msg : NULL;
        lp2p_msg_drop(&none);
        lp2p_stop(self, pending->upgrade);
        return;
    }
    pending->remote = m->from;
    pending->counted = true;
    struct lp2p_msg *msg = &answer->msg;
    lp2p_send_or_drop(self, pending->upgrade, &msg); /* its mailbox is empty: nobody else writes to it */
}

static enum lp2p_verdict listener_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct listener *listener = state;
    if (LP2P_IS(*msg, INTERFACES_CHANGED) && unspecified(&listener->arg->bound)) {
        announce(self, listener);
    } else if (LP2P_IS(*msg, PROXIED)) {
        on_proxied(self, listener, LP2P_AS(*msg, PROXIED, proxied));
    } else if (LP2P_IS(*msg, ARRIVED)) {
        lp2p_refusals_arrived(&listener->refusals, LP2P_AS(*msg, ARRIVED, arrived));
    }
    if ((*msg)->cls != &LP2P_MSG_DOWN) {
        return LP2P_CONTINUE;
    }
    const struct lp2p_msg_down *down = LP2P_MSG_AS(*msg, &LP2P_MSG_DOWN, lp2p_msg_down);
    if (lp2p_ref_eq(down->who, lp2p_names(listener->ctx)->swarm)) {
        lp2p_timer_set(self, TIMER_ANNOUNCE, lp2p_time_add(lp2p_now(self), ANNOUNCE_AGAIN_NS));
        return LP2P_CONTINUE;
    }
    struct pending *pending = find_pending(listener, down->who);
    if (pending != NULL) {
        *pending = listener->pending[--listener->pending_len];
    }
    return LP2P_CONTINUE;
}

static void listener_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)why;
    struct listener *listener = state;
    const struct lp2p_net *net = listener->ctx->net;
    lp2p_fd_unwatch(self, listener->fd);
    net->close(net->ctx, listener->fd);
    close_doors(listener);
    lp2p_outbox_fini(&listener->outbox);
}

const struct lp2p_actor_ops lp2p_listener_ops = {
    .name = "listener",
    .state_size = sizeof(struct listener),
    .init = listener_init,
    .on_msg = listener_on_msg,
    .on_fd = listener_on_fd,
    .on_timer = listener_on_timer,
    .fini = listener_fini,
};
