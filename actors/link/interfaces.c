/* SPDX-License-Identifier: MIT
 * Follows the addresses of the machine: when some come or go, the listeners look again at what a wildcard means, and the resolver
 * asks anew. By a descriptor of the kernel where there is one, else by looking from time to time. */
#include "actors/context.h"
#include "actors/link/limits.h"

#include <stdio.h>

enum { TIMER_LOOK };

#define FOUND_MAX 64

struct interfaces {
    struct lp2p_context *ctx;
    int fd; /* -1: none */
    size_t len;
    struct lp2p_ip_port found[FOUND_MAX];
};

static size_t look(const struct interfaces *interfaces, struct lp2p_ip_port *out)
{
    const struct lp2p_net *net = interfaces->ctx->net;
    return net->interfaces(net->ctx, out, FOUND_MAX);
}

static enum lp2p_err interfaces_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct interfaces *interfaces = state;
    interfaces->ctx = (struct lp2p_context *)(uintptr_t)arg;
    interfaces->fd = -1;
    const struct lp2p_net *net = interfaces->ctx->net;
    interfaces->len = look(interfaces, interfaces->found);
    if (net->watch_interfaces != NULL && net->watch_interfaces(net->ctx, &interfaces->fd) != LP2P_OK) {
        interfaces->fd = -1;
    }
    if (interfaces->fd >= 0 && lp2p_fd_watch(self, interfaces->fd, LP2P_READABLE) != LP2P_OK) {
        net->close(net->ctx, interfaces->fd);
        interfaces->fd = -1;
    }
    if (interfaces->fd < 0) {
        lp2p_timer_set(self, TIMER_LOOK, lp2p_time_add(lp2p_now(self), LP2P_INTERFACES_LOOK_NS));
    }
    return LP2P_OK;
}

static void tell(struct lp2p_actor *self, struct lp2p_ref who)
{
    struct lp2p_m_interfaces_changed *m = LP2P_NEW(INTERFACES_CHANGED, interfaces_changed);
    struct lp2p_msg *msg = m != NULL ? &m->msg : NULL;
    if (msg != NULL) {
        lp2p_send_or_drop(self, who, &msg); /* who is that full looks again with the next change */
    }
}

static bool same(const struct interfaces *interfaces, const struct lp2p_ip_port *found, size_t len)
{
    for (size_t i = 0; i < len && len == interfaces->len; i++) {
        const struct lp2p_ip_port *old = &interfaces->found[i];
        if (old->ip_len != found[i].ip_len || memcmp(old->ip, found[i].ip, old->ip_len) != 0) {
            return false;
        }
    }
    return len == interfaces->len;
}

static void look_again(struct lp2p_actor *self, struct interfaces *interfaces)
{
    struct lp2p_ip_port found[FOUND_MAX];
    size_t len = look(interfaces, found);
    if (same(interfaces, found, len)) {
        return;
    }
    memcpy(interfaces->found, found, len * sizeof(found[0]));
    interfaces->len = len;
    lp2p_log(interfaces->ctx, LP2P_LOG_INFO, "interfaces", "the machine has other addresses now: %zu", len);
    tell(self, lp2p_names(interfaces->ctx)->resolver);
    if (interfaces->ctx->config.mdns) {
        tell(self, lp2p_whereis(lp2p_actor_rt(self), "mdns"));
    }
    for (unsigned i = 0; i < interfaces->ctx->config.listen_len; i++) {
        char id[24];
        (void)snprintf(id, sizeof(id), "listener-%u", i);
        tell(self, lp2p_whereis(lp2p_actor_rt(self), id));
    }
}

static enum lp2p_verdict interfaces_on_fd(struct lp2p_actor *self, void *state, int fd, unsigned ready)
{
    (void)ready;
    struct interfaces *interfaces = state;
    const struct lp2p_net *net = interfaces->ctx->net;
    net->drain_interfaces(net->ctx, fd);
    /* Changes come in bursts. The first one sets the time, so that an endless burst is not an endless wait. */
    lp2p_time soon = lp2p_time_add(lp2p_now(self), LP2P_INTERFACES_SETTLE_NS);
    lp2p_timer_set(self, TIMER_LOOK, lp2p_time_min(lp2p_timer_get(self, TIMER_LOOK), soon));
    return LP2P_CONTINUE;
}

static enum lp2p_verdict interfaces_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    (void)timer;
    struct interfaces *interfaces = state;
    look_again(self, interfaces);
    if (interfaces->fd < 0) {
        lp2p_timer_set(self, TIMER_LOOK, lp2p_time_add(lp2p_now(self), LP2P_INTERFACES_LOOK_NS));
    }
    return LP2P_CONTINUE;
}

static void interfaces_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)why;
    struct interfaces *interfaces = state;
    if (interfaces->fd >= 0) {
        lp2p_fd_unwatch(self, interfaces->fd);
        interfaces->ctx->net->close(interfaces->ctx->net->ctx, interfaces->fd);
    }
}

const struct lp2p_actor_ops lp2p_interfaces_ops = {
    .name = "interfaces",
    .state_size = sizeof(struct interfaces),
    .init = interfaces_init,
    .on_fd = interfaces_on_fd,
    .on_timer = interfaces_on_timer,
    .fini = interfaces_fini,
};
