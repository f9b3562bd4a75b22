/* SPDX-License-Identifier: MIT
 * The listener: one listening socket; each accepted connection becomes an upgrade actor, within limits that
 * cost no cryptography. */
#include "actors/context.h"
#include "actors/link/limits.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMER_ACCEPT, TIMER_OUTBOX, TIMER_ANNOUNCE };

#define ANNOUNCE_AGAIN_NS LP2P_SEC(1) /* after the swarm has ended: its successor has to be told anew */

/** An upgrade that has not ended. */
struct pending {
    struct lp2p_ref upgrade;
    struct lp2p_ip_port remote;
};

struct listener {
    struct lp2p_listener_arg *arg;
    struct lp2p_context *ctx;
    int fd;
    uint64_t accept_pause_ns; /* 0: accepting */
    uint64_t serial;          /* for ids of upgrades */
    struct lp2p_outbox outbox;
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

/** The bound address, or in its place one for each interface of the same family. */
static struct lp2p_addrs *addresses(const struct listener *listener)
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
            to_multiaddr(&found[i], &addrs[len++]);
        }
    }
    return lp2p_addrs_new(addrs, len);
}

static void announce(struct lp2p_actor *self, struct listener *listener)
{
    struct lp2p_ref swarm = lp2p_names(listener->ctx)->swarm;
    struct lp2p_m_listening *m = LP2P_NEW(LISTENING, listening);
    if (m == NULL) {
        lp2p_timer_set(self, TIMER_ANNOUNCE, lp2p_time_add(lp2p_now(self), ANNOUNCE_AGAIN_NS));
        return;
    }
    m->index = listener->arg->index;
    m->addrs = addresses(listener);
    struct lp2p_msg *msg = &m->msg;
    if (lp2p_outbox_send(self, &listener->outbox, swarm, &msg) == LP2P_OK) {
        lp2p_monitor(self, swarm);
    } else {
        lp2p_timer_set(self, TIMER_ANNOUNCE, lp2p_time_add(lp2p_now(self), ANNOUNCE_AGAIN_NS));
    }
}

static enum lp2p_err listener_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct listener *listener = state;
    /* The arg lives as long as the node; the address that was bound outlives this generation there. */
    listener->arg = (struct lp2p_listener_arg *)(uintptr_t)arg;
    listener->ctx = listener->arg->ctx;
    listener->fd = -1;
    const struct lp2p_net *net = listener->ctx->net;
    struct lp2p_ip_port addr = {0};
    enum lp2p_err err = lp2p_multiaddr_ip_tcp(&listener->ctx->config.listen[listener->arg->index], &addr);
    if (err != LP2P_OK) {
        return err;
    }
    if (listener->arg->was_bound) {
        addr.port = listener->arg->bound.port;
    }
    struct lp2p_ip_port bound;
    err = net->listen(net->ctx, &addr, LP2P_ACCEPT_BACKLOG, &listener->fd, &bound);
    if (err != LP2P_OK) {
        char text[LP2P_MULTIADDR_TEXT_MAX];
        lp2p_multiaddr_text(&listener->ctx->config.listen[listener->arg->index], text);
        lp2p_log(listener->ctx, LP2P_LOG_ERROR, "listener", "cannot listen on %s: %s", text,
                 lp2p_strerror(err));
        return err;
    }
    err = lp2p_fd_watch(self, listener->fd, LP2P_READABLE);
    if (err != LP2P_OK) {
        net->close(net->ctx, listener->fd);
        return err;
    }
    listener->arg->bound = bound;
    listener->arg->was_bound = true;
    lp2p_outbox_init(&listener->outbox, TIMER_OUTBOX, 8);
    announce(self, listener);
    return LP2P_OK;
}

/** Same /32 or /64, and same /24 or /48: what one party can be expected to hold. */
static bool near(const struct lp2p_ip_port *a, const struct lp2p_ip_port *b, size_t bytes4, size_t bytes6)
{
    return a->ip_len == b->ip_len && memcmp(a->ip, b->ip, a->ip_len == 4 ? bytes4 : bytes6) == 0;
}

static bool is_loopback(const struct lp2p_ip_port *addr)
{
    struct lp2p_multiaddr ma;
    to_multiaddr(addr, &ma);
    return lp2p_multiaddr_scope(&ma) == LP2P_SCOPE_LOOPBACK;
}

/** Loopback is exempt from the limits by address: whole test networks live behind it. */
static bool admits(const struct listener *listener, const struct lp2p_ip_port *remote)
{
    bool exempt = is_loopback(remote);
    if (listener->pending_len == LP2P_PENDING_MAX) {
        return false;
    }
    size_t same_ip = 0, same_net = 0;
    for (size_t i = 0; !exempt && i < listener->pending_len; i++) {
        same_ip += near(&listener->pending[i].remote, remote, 4, 8);
        same_net += near(&listener->pending[i].remote, remote, 3, 6);
    }
    return same_ip < LP2P_PENDING_IP_MAX && same_net < LP2P_PENDING_NET_MAX;
}

/** Who is slow on purpose gets less time when places run short: from half of them on, down to a fifth. */
static uint64_t upgrade_span(const struct listener *listener)
{
    uint64_t half = LP2P_PENDING_MAX / 2, taken = listener->pending_len;
    if (taken <= half) {
        return LP2P_UPGRADE_IN_NS;
    }
    return LP2P_UPGRADE_IN_NS - LP2P_UPGRADE_IN_NS * 4 / 5 * (taken - half) / half;
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
        free(arg); /* without its descriptor: that is the caller's again */
    }
    return err;
}

static void admit(struct lp2p_actor *self, struct listener *listener, int fd,
                  const struct lp2p_ip_port *remote, const struct lp2p_ip_port *local)
{
    const struct lp2p_net *net = listener->ctx->net;
    struct lp2p_ref upgrade;
    if (!admits(listener, remote) || spawn_upgrade(self, listener, fd, remote, local, &upgrade) != LP2P_OK) {
        LP2P_COUNT(listener->ctx, connections_refused, 1);
        net->close(net->ctx, fd);
        return;
    }
    listener->pending[listener->pending_len++] = (struct pending){upgrade, *remote};
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
    for (int i = 0; i < LP2P_ACCEPT_BATCH; i++) {
        struct lp2p_ip_port remote = {0}, local = {0};
        int fd = -1;
        enum lp2p_err err = net->accept(net->ctx, listener->fd, &fd, &remote, &local);
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
    default:
        return LP2P_CONTINUE;
    }
}

static enum lp2p_verdict listener_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct listener *listener = state;
    if (LP2P_IS(*msg, INTERFACES_CHANGED) && unspecified(&listener->arg->bound)) {
        announce(self, listener);
    }
    if ((*msg)->cls != &LP2P_MSG_DOWN) {
        return LP2P_CONTINUE;
    }
    const struct lp2p_msg_down *down = LP2P_MSG_AS(*msg, &LP2P_MSG_DOWN, lp2p_msg_down);
    if (lp2p_ref_eq(down->who, lp2p_names(listener->ctx)->swarm)) {
        lp2p_timer_set(self, TIMER_ANNOUNCE, lp2p_time_add(lp2p_now(self), ANNOUNCE_AGAIN_NS));
        return LP2P_CONTINUE;
    }
    for (size_t i = 0; i < listener->pending_len; i++) {
        if (lp2p_ref_eq(listener->pending[i].upgrade, down->who)) {
            listener->pending[i] = listener->pending[--listener->pending_len];
            break;
        }
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
