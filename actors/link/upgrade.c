/* SPDX-License-Identifier: MIT
 * The upgrade actor: connects or takes an accepted socket, moves bytes for the steps in upgrade_steps.c, and
 * hands the result to the swarm. One absolute deadline. The descriptor has one owner on every path: the arg,
 * this actor, or the UPGRADED message. */
#include "actors/link/upgrade.h"

#include "actors/link/leftover.h"
#include "actors/link/limits.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMER_DEADLINE, TIMER_OUTBOX, TIMER_HANDOVER, TIMER_READ };

#define READ_MIN 2048u
#define HANDOVER_RETRY_NS LP2P_MS(5)
#define ENDING_NS LP2P_SEC(5) /* how long a dialer may be too full to hear how its attempt ended */

void lp2p_upgrade_arg_drop(void *arg)
{
    struct lp2p_upgrade_arg *a = arg;
    if (a->fd >= 0) {
        a->ctx->net->close(a->ctx->net->ctx, a->fd);
    }
    lp2p_tls_web_release(a->web);
    free(a);
}

static int fd_of(const struct lp2p_upgrade *upgrade)
{
    return upgrade->carrier != NULL ? upgrade->carrier->fd : upgrade->fd;
}

static void close_socket(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    if (fd_of(upgrade) >= 0) {
        lp2p_fd_unwatch(self, fd_of(upgrade));
    }
    lp2p_carrier_close(&upgrade->carrier);
    if (upgrade->fd >= 0) {
        const struct lp2p_net *net = upgrade->ctx->net;
        net->close(net->ctx, upgrade->fd);
        upgrade->fd = -1;
    }
}

/** One more connection, this time with all proposals and one step after the other. False: there is none. */
static bool begin_again(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    const struct lp2p_net *net = upgrade->ctx->net;
    struct lp2p_door door;
    const struct lp2p_ip_port any = {0};
    close_socket(self, upgrade);
    lp2p_mss_free(upgrade->mss);
    lp2p_secure_free(upgrade->secure);
    upgrade->mss = NULL;
    upgrade->secure = NULL;
    upgrade->secure_ops = NULL;
    upgrade->lazy = upgrade->heard = upgrade->eof = false;
    upgrade->careful = true;
    upgrade->in_at = upgrade->in_len = upgrade->out_at = upgrade->out_len = 0;
    upgrade->text[0] = '\0';
    upgrade->stage = LP2P_UPGRADE_CONNECT;
    if (lp2p_door_read(&upgrade->arg->remote, &door) != LP2P_OK ||
        net->connect(net->ctx, &door.at, &any, &upgrade->fd) != LP2P_OK) {
        upgrade->fd = -1;
        return false;
    }
    return lp2p_fd_watch(self, upgrade->fd, LP2P_WRITABLE) == LP2P_OK;
}

/** For the listener's counter and log: it can be lost. */
static void say_misled(struct lp2p_actor *self, const struct lp2p_upgrade *upgrade)
{
    struct lp2p_m_proxied *m = LP2P_NEW(PROXIED, proxied);
    if (m != NULL) {
        m->from = upgrade->from;
        m->misled = true;
        struct lp2p_msg *msg = &m->msg;
        lp2p_send_or_drop(self, upgrade->arg->listener, &msg);
    }
}

/** The attempt is over: says so to the dialer if it was one, and ends when that is said. */
static enum lp2p_verdict end(struct lp2p_actor *self, struct lp2p_upgrade *upgrade, enum lp2p_err reason)
{
    if (lp2p_upgrade_try_again(upgrade, reason) && begin_again(self, upgrade)) {
        return LP2P_CONTINUE;
    }
    const char *text = upgrade->text[0] != '\0' ? upgrade->text : lp2p_strerror(reason);
    const char *stage = lp2p_upgrade_stage_name(upgrade);
    char addr[LP2P_MULTIADDR_TEXT_MAX];
    close_socket(self, upgrade);
    upgrade->stage = LP2P_UPGRADE_ENDING;
    if (upgrade->misled) {
        say_misled(self, upgrade);
    }
    if (reason != LP2P_OK) {
        lp2p_multiaddr_text(&upgrade->arg->remote, addr);
        lp2p_log(upgrade->ctx, LP2P_LOG_DEBUG, "upgrade", "%s %s: %s: %s",
                 upgrade->arg->outbound ? "to" : "from", addr, stage, text);
    }
    if (!upgrade->arg->outbound) {
        return LP2P_STOP;
    }
    struct lp2p_m_attempt_ended *m = LP2P_NEW(ATTEMPT_ENDED, attempt_ended);
    if (m == NULL) {
        return LP2P_STOP; /* the dialer monitors us */
    }
    m->dial = upgrade->arg->dial;
    m->addr = upgrade->arg->remote;
    m->reason = reason;
    (void)snprintf(m->stage, sizeof(m->stage), "%s", stage);
    (void)snprintf(m->text, sizeof(m->text), "%s", text);
    struct lp2p_msg *msg = &m->msg;
    lp2p_timer_set(self, TIMER_DEADLINE, lp2p_time_add(lp2p_now(self), ENDING_NS));
    (void)lp2p_outbox_send(self, &upgrade->outbox, lp2p_names(upgrade->ctx)->dialer, &msg);
    return lp2p_outbox_blocked(&upgrade->outbox) ? LP2P_CONTINUE : LP2P_STOP;
}

/** Who it was, for the listener's log of refusals: it can be lost. */
static void say_arrived(struct lp2p_actor *self, const struct lp2p_upgrade *upgrade)
{
    struct lp2p_m_arrived *m = LP2P_NEW(ARRIVED, arrived);
    if (m != NULL) {
        m->peer = upgrade->peer;
        m->from = upgrade->from;
        struct lp2p_msg *msg = &m->msg;
        lp2p_send_or_drop(self, upgrade->arg->listener, &msg);
    }
}

/** Offers UPGRADED to the swarm; if it is full, again a little later, until the deadline. */
static enum lp2p_verdict offer(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    enum lp2p_err err = lp2p_send(self, lp2p_names(upgrade->ctx)->swarm, &upgrade->handover);
    if (err == LP2P_EFULL) {
        lp2p_timer_set(self, TIMER_HANDOVER, lp2p_time_add(lp2p_now(self), HANDOVER_RETRY_NS));
        return LP2P_CONTINUE;
    }
    upgrade->delivered = err == LP2P_OK;
    if (upgrade->delivered && !upgrade->arg->outbound) {
        say_arrived(self, upgrade);
    }
    return end(self, upgrade, err);
}

static enum lp2p_verdict hand_over(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    struct lp2p_m_upgraded *m = LP2P_NEW(UPGRADED, upgraded);
    if (m == NULL) {
        return end(self, upgrade, LP2P_ENOMEM);
    }
    struct lp2p_upgrade_arg *arg = upgrade->arg;
    upgrade->handover = &m->msg;
    if (lp2p_leftover_pack(upgrade->plain, lp2p_upgrade_unread(upgrade), &m->leftover) != LP2P_OK) {
        return end(self, upgrade, LP2P_ENOMEM);
    }
    m->outbound = arg->outbound;
    m->dial = arg->dial;
    m->remote = arg->remote;
    m->local = arg->local;
    m->peer = upgrade->peer;
    m->mux = upgrade->mux;
    m->secure = upgrade->secure;
    upgrade->secure = NULL;
    lp2p_fd_unwatch(self, upgrade->carrier->fd);
    m->carrier = upgrade->carrier;
    upgrade->carrier = NULL;
    return offer(self, upgrade);
}

static enum lp2p_err flush(struct lp2p_upgrade *upgrade)
{
    struct lp2p_carrier *carrier = upgrade->carrier;
    while (upgrade->out_at < upgrade->out_len || lp2p_carrier_wants_write(carrier)) {
        struct iovec iov = {upgrade->out + upgrade->out_at, upgrade->out_len - upgrade->out_at};
        size_t put = 0;
        enum lp2p_err err = carrier->ops->writev(carrier, &iov, iov.iov_len > 0 ? 1 : 0, &put);
        if (err == LP2P_EAGAIN || (err == LP2P_OK && put == 0 && lp2p_carrier_wants_write(carrier))) {
            return LP2P_OK;
        }
        if (err != LP2P_OK) {
            return err;
        }
        LP2P_COUNT(upgrade->ctx, bytes_out, put);
        upgrade->out_at += put;
    }
    upgrade->out_at = upgrade->out_len = 0;
    return LP2P_OK;
}

/** Steps and writes for as long as one gives the other something to do. */
static enum lp2p_err step_and_write(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    for (;;) {
        upgrade->wall_s = (int64_t)(lp2p_wall_ms(self) / 1000);
        enum lp2p_err err = lp2p_upgrade_advance(upgrade, lp2p_actor_rand(self), lp2p_now(self));
        bool said = upgrade->out_len > 0;
        /* Even after a failure our last words go out: they tell the other side which proposal was refused. */
        enum lp2p_err flushed = flush(upgrade);
        if (err != LP2P_OK || flushed != LP2P_OK) {
            return err != LP2P_OK ? err : flushed;
        }
        if (!said || upgrade->out_len > 0 || upgrade->stage == LP2P_UPGRADE_HANDOVER) {
            return LP2P_OK;
        }
    }
}

static enum lp2p_verdict proceed(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    enum lp2p_err err = step_and_write(self, upgrade);
    if (err != LP2P_OK) {
        return end(self, upgrade, err);
    }
    bool waiting = upgrade->out_len > 0 || lp2p_carrier_wants_write(upgrade->carrier);
    bool done = upgrade->stage == LP2P_UPGRADE_HANDOVER;
    if (done && !waiting) {
        return hand_over(self, upgrade);
    }
    if (upgrade->eof && !done) {
        (void)snprintf(upgrade->text, sizeof(upgrade->text), "the remote side closed the connection");
        return end(self, upgrade, LP2P_EEOF);
    }
    /* What comes behind the handshake stays in the kernel until the connection reads it. */
    unsigned interest = (done ? 0 : LP2P_READABLE) | (waiting ? LP2P_WRITABLE : 0);
    return lp2p_fd_watch(self, upgrade->carrier->fd, interest) == LP2P_OK ? LP2P_CONTINUE
                                                                 : end(self, upgrade, LP2P_EIO);
}

/** Makes room for one read behind what is unread. */
static enum lp2p_err make_room(struct lp2p_upgrade *upgrade)
{
    size_t unread = upgrade->in_len - upgrade->in_at;
    if (upgrade->in_at > 0) {
        memmove(upgrade->in, upgrade->in + upgrade->in_at, unread);
        upgrade->in_at = 0;
        upgrade->in_len = unread;
    }
    if (upgrade->in_cap - unread >= READ_MIN / 2) {
        return LP2P_OK;
    }
    size_t cap = LP2P_MIN(upgrade->in_cap * 2, (size_t)LP2P_UPGRADE_BUFFER_MAX);
    if (cap == upgrade->in_cap) {
        /* Full with less than one frame: possible only for a muxer's negotiation inside a frame of the
         * largest size. */
        return unread == cap ? LP2P_EOVERSIZE : LP2P_OK;
    }
    uint8_t *grown = realloc(upgrade->in, cap);
    if (grown == NULL) {
        return LP2P_ENOMEM;
    }
    upgrade->in = grown;
    upgrade->in_cap = cap;
    return LP2P_OK;
}

static enum lp2p_verdict read_once(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    size_t got = 0;
    enum lp2p_err err = make_room(upgrade);
    if (err != LP2P_OK) {
        return end(self, upgrade, err);
    }
    err = upgrade->carrier->ops->read(upgrade->carrier, upgrade->in + upgrade->in_len,
                                      upgrade->in_cap - upgrade->in_len, &got);
    if (err == LP2P_EAGAIN) {
        return LP2P_CONTINUE;
    }
    if (err != LP2P_OK) {
        return end(self, upgrade, err);
    }
    LP2P_COUNT(upgrade->ctx, bytes_in, got);
    upgrade->in_len += got;
    upgrade->heard = upgrade->heard || got > 0;
    upgrade->eof = got == 0;
    return proceed(self, upgrade);
}

/** Bytes of the negotiation lie in the carrier, and the socket will not call for them. */
static bool holds_input(const struct lp2p_upgrade *upgrade)
{
    return upgrade->carrier != NULL && !upgrade->eof && upgrade->stage >= LP2P_UPGRADE_SECURITY &&
           upgrade->stage < LP2P_UPGRADE_HANDOVER && lp2p_carrier_holds_input(upgrade->carrier);
}

/** Reads what the carrier holds, too; but who fills it as fast as we read gets neither the thread nor more time than
 * its deadline: what is left waits for the next turn. */
static enum lp2p_verdict on_readable(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    enum lp2p_verdict verdict = LP2P_CONTINUE;
    for (int i = 0; i < LP2P_UPGRADE_READS_MAX; i++) {
        verdict = read_once(self, upgrade);
        if (verdict != LP2P_CONTINUE || !holds_input(upgrade)) {
            return verdict;
        }
    }
    lp2p_timer_set(self, TIMER_READ, lp2p_now(self));
    return verdict;
}

/** The carrier is up and the address admitted: the negotiation begins, perhaps with bytes that lie in the carrier. */
static enum lp2p_verdict begin(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    enum lp2p_err err = lp2p_upgrade_begin(upgrade, lp2p_actor_rand(self));
    if (err != LP2P_OK) {
        return end(self, upgrade, err);
    }
    enum lp2p_verdict verdict = proceed(self, upgrade);
    return verdict == LP2P_CONTINUE && holds_input(upgrade) ? on_readable(self, upgrade) : verdict;
}

/** Asks the listener about the address that a proxy told; nothing is read meanwhile. */
static enum lp2p_verdict ask(struct lp2p_actor *self, struct lp2p_upgrade *upgrade, enum lp2p_upgrade_stage after)
{
    struct lp2p_m_proxied *m = LP2P_NEW(PROXIED, proxied);
    if (m == NULL) {
        return end(self, upgrade, LP2P_ENOMEM);
    }
    upgrade->stage = LP2P_UPGRADE_ADMISSION;
    upgrade->after = after;
    m->from = upgrade->from;
    struct lp2p_msg *msg = &m->msg;
    enum lp2p_err err = lp2p_send(self, upgrade->arg->listener, &msg);
    lp2p_msg_drop(&msg);
    if (err == LP2P_OK) {
        err = lp2p_fd_watch(self, fd_of(upgrade), 0);
    }
    return err == LP2P_OK ? LP2P_CONTINUE : end(self, upgrade, err);
}

static enum lp2p_verdict set_up(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    enum lp2p_err err = upgrade->carrier->ops->set_up(upgrade->carrier, lp2p_now(self));
    if (err == LP2P_OK) {
        return lp2p_upgrade_forwarded(upgrade) ? ask(self, upgrade, LP2P_UPGRADE_CARRIER) : begin(self, upgrade);
    }
    if (err == LP2P_EAGAIN) {
        unsigned writable = lp2p_carrier_wants_write(upgrade->carrier) ? LP2P_WRITABLE : 0;
        err = lp2p_fd_watch(self, upgrade->carrier->fd, LP2P_READABLE | writable);
    }
    return err == LP2P_OK ? LP2P_CONTINUE : end(self, upgrade, err);
}

static enum lp2p_verdict look_at_door(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    upgrade->wall_s = (int64_t)(lp2p_wall_ms(self) / 1000);
    enum lp2p_err err = lp2p_upgrade_first_bytes(upgrade, lp2p_actor_rand(self));
    if (err == LP2P_OK) {
        return upgrade->stage == LP2P_UPGRADE_ADMISSION ? ask(self, upgrade, LP2P_UPGRADE_DOOR) : set_up(self, upgrade);
    }
    if (err == LP2P_EAGAIN) {
        err = upgrade->eof ? LP2P_EEOF : lp2p_fd_watch(self, upgrade->fd, LP2P_READABLE);
    }
    return err == LP2P_OK ? LP2P_CONTINUE : end(self, upgrade, err);
}

/** The first bytes: as many as lie there, the carrier gets what it has to see again. */
static enum lp2p_verdict read_door(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    const struct lp2p_net *net = upgrade->ctx->net;
    size_t got = 0;
    enum lp2p_err err = net->read(net->ctx, upgrade->fd, upgrade->in + upgrade->in_len,
                                  upgrade->in_cap - upgrade->in_len, &got);
    if (err != LP2P_OK) {
        return err == LP2P_EAGAIN ? LP2P_CONTINUE : end(self, upgrade, err);
    }
    LP2P_COUNT(upgrade->ctx, bytes_in, got);
    upgrade->in_len += got;
    upgrade->eof = got == 0;
    return look_at_door(self, upgrade);
}

static enum lp2p_verdict on_connected(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    const struct lp2p_net *net = upgrade->ctx->net;
    struct lp2p_ip_port local = {.ip_len = 4};
    enum lp2p_err err = net->connect_result(net->ctx, upgrade->fd, &local);
    if (err == LP2P_EAGAIN) {
        return LP2P_CONTINUE;
    }
    if (err == LP2P_OK) {
        lp2p_multiaddr_from_ip_tcp(local.ip, local.ip_len, local.port, &upgrade->arg->local);
        struct lp2p_door door;
        upgrade->wall_s = (int64_t)(lp2p_wall_ms(self) / 1000);
        err = lp2p_door_read(&upgrade->arg->remote, &door);
        err = err == LP2P_OK ? lp2p_upgrade_carry(upgrade, door.kind, lp2p_actor_rand(self)) : err;
    }
    return err == LP2P_OK ? set_up(self, upgrade) : end(self, upgrade, err);
}

static enum lp2p_verdict upgrade_on_fd(struct lp2p_actor *self, void *state, int fd, unsigned ready)
{
    struct lp2p_upgrade *upgrade = state;
    if (fd != fd_of(upgrade)) {
        return LP2P_CONTINUE;
    }
    if (upgrade->stage == LP2P_UPGRADE_CONNECT) {
        return on_connected(self, upgrade);
    }
    if ((ready & (LP2P_READABLE | LP2P_WRITABLE)) != 0 && upgrade->stage == LP2P_UPGRADE_CARRIER) {
        return set_up(self, upgrade);
    }
    if ((ready & LP2P_READABLE) != 0 && upgrade->stage == LP2P_UPGRADE_DOOR) {
        return read_door(self, upgrade);
    }
    if (upgrade->stage == LP2P_UPGRADE_ADMISSION || upgrade->stage == LP2P_UPGRADE_DOOR) {
        return (ready & LP2P_HANGUP) != 0 ? end(self, upgrade, LP2P_ECONNRESET) : LP2P_CONTINUE;
    }
    if ((ready & LP2P_READABLE) != 0 && upgrade->stage != LP2P_UPGRADE_HANDOVER) {
        return on_readable(self, upgrade);
    }
    if ((ready & LP2P_WRITABLE) != 0) {
        return proceed(self, upgrade);
    }
    if ((ready & LP2P_HANGUP) != 0) {
        return end(self, upgrade, LP2P_ECONNRESET);
    }
    return LP2P_CONTINUE;
}

/** An accepted socket. Where only one thing is spoken its first bytes need no look. */
static enum lp2p_err open_door(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    const struct lp2p_upgrade_arg *arg = upgrade->arg;
    enum lp2p_err err = lp2p_multiaddr_ip_tcp(&arg->remote, &upgrade->from);
    upgrade->wall_s = (int64_t)(lp2p_wall_ms(self) / 1000);
    bool one = (arg->doors & (arg->doors - 1)) == 0;
    if (err == LP2P_OK && one && !arg->from_proxy) {
        err = lp2p_upgrade_carry(upgrade, (enum lp2p_door_kind)arg->doors, lp2p_actor_rand(self));
        if (err == LP2P_OK && arg->doors == LP2P_DOOR_TCP && !upgrade->ctx->config.has_swarm_key) {
            err = lp2p_upgrade_begin(upgrade, lp2p_actor_rand(self)); /* the bare socket needs no set-up */
        }
    } else {
        upgrade->stage = LP2P_UPGRADE_DOOR;
    }
    unsigned writable = upgrade->stage == LP2P_UPGRADE_CARRIER ? LP2P_WRITABLE : 0;
    return err == LP2P_OK ? lp2p_fd_watch(self, fd_of(upgrade), LP2P_READABLE | writable) : err;
}

/** Opens or takes the socket. A failure is told by the first timer: init itself must succeed for anyone to
 * hear why. */
static enum lp2p_err open_socket(struct lp2p_actor *self, struct lp2p_upgrade *upgrade)
{
    struct lp2p_upgrade_arg *arg = upgrade->arg;
    const struct lp2p_net *net = upgrade->ctx->net;
    if (!arg->outbound) {
        upgrade->fd = arg->fd;
        arg->fd = -1;
        return open_door(self, upgrade);
    }
    struct lp2p_door door;
    enum lp2p_err err = lp2p_door_read(&arg->remote, &door);
    if (err == LP2P_OK) {
        err = net->connect(net->ctx, &door.at, &arg->from, &upgrade->fd);
    }
    if (err != LP2P_OK) {
        upgrade->fd = -1;
        return err;
    }
    return lp2p_fd_watch(self, upgrade->fd, LP2P_WRITABLE);
}

static enum lp2p_err upgrade_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct lp2p_upgrade *upgrade = state;
    upgrade->arg = (struct lp2p_upgrade_arg *)(uintptr_t)arg; /* owned from here on */
    upgrade->ctx = upgrade->arg->ctx;
    upgrade->fd = -1;
    upgrade->muxer = -1;
    upgrade->stage = LP2P_UPGRADE_CONNECT;
    upgrade->in = malloc(READ_MIN);
    if (upgrade->in == NULL) {
        lp2p_upgrade_arg_drop(upgrade->arg);
        return LP2P_ENOMEM;
    }
    upgrade->in_cap = READ_MIN;
    LP2P_COUNT(upgrade->ctx, upgrades_pending, 1);
    lp2p_outbox_init(&upgrade->outbox, TIMER_OUTBOX, 2);
    enum lp2p_err err = open_socket(self, upgrade);
    if (err != LP2P_OK) {
        upgrade->failed = err;
        close_socket(self, upgrade);
    }
    lp2p_timer_set(self, TIMER_DEADLINE, err == LP2P_OK ? upgrade->arg->deadline : lp2p_now(self));
    return LP2P_OK;
}

static enum lp2p_verdict upgrade_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct lp2p_upgrade *upgrade = state;
    if (!LP2P_IS(*msg, ADMITTED) || upgrade->stage != LP2P_UPGRADE_ADMISSION) {
        return LP2P_CONTINUE;
    }
    enum lp2p_err result = LP2P_AS(*msg, ADMITTED, admitted)->result;
    if (result != LP2P_OK) {
        return end(self, upgrade, result);
    }
    upgrade->stage = upgrade->after;
    return upgrade->after == LP2P_UPGRADE_DOOR ? look_at_door(self, upgrade) : begin(self, upgrade);
}

static enum lp2p_verdict upgrade_on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct lp2p_upgrade *upgrade = state;
    switch (timer) {
    case TIMER_DEADLINE:
        if (upgrade->stage == LP2P_UPGRADE_ENDING) {
            return LP2P_STOP;
        }
        return end(self, upgrade, upgrade->failed != LP2P_OK ? upgrade->failed : LP2P_ETIMEDOUT);
    case TIMER_HANDOVER:
        return offer(self, upgrade);
    case TIMER_READ:
        return holds_input(upgrade) ? on_readable(self, upgrade) : LP2P_CONTINUE;
    case TIMER_OUTBOX:
        lp2p_outbox_retry(self, &upgrade->outbox);
        return lp2p_outbox_blocked(&upgrade->outbox) ? LP2P_CONTINUE : LP2P_STOP;
    default:
        return LP2P_CONTINUE;
    }
}

static void upgrade_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)why;
    struct lp2p_upgrade *upgrade = state;
    struct lp2p_context *ctx = upgrade->ctx;
    lp2p_msg_drop(&upgrade->handover); /* nobody took it */
    close_socket(self, upgrade);
    lp2p_outbox_fini(&upgrade->outbox);
    lp2p_mss_free(upgrade->mss);
    lp2p_secure_free(upgrade->secure);
    free(upgrade->in);
    if (!upgrade->arg->outbound && !upgrade->delivered) {
        LP2P_COUNT(ctx, upgrades_failed, 1);
    }
    LP2P_COUNT(ctx, upgrades_pending, -1);
    lp2p_upgrade_arg_drop(upgrade->arg);
}

const struct lp2p_actor_ops lp2p_upgrade_ops = {
    .name = "upgrade",
    .state_size = sizeof(struct lp2p_upgrade),
    .init = upgrade_init,
    .on_msg = upgrade_on_msg,
    .on_fd = upgrade_on_fd,
    .on_timer = upgrade_on_timer,
    .fini = upgrade_fini,
};
