/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HANG_S 60

void gate_raise(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->count++;
    pthread_cond_broadcast(&gate->raised);
    pthread_mutex_unlock(&gate->lock);
}

unsigned gate_count(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    unsigned count = gate->count;
    pthread_mutex_unlock(&gate->lock);
    return count;
}

void gate_wait(struct gate *gate, unsigned count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HANG_S;
    pthread_mutex_lock(&gate->lock);
    while (gate->count < count) {
        if (pthread_cond_timedwait(&gate->raised, &gate->lock, &until) != 0) {
            fprintf(stderr, "gate hangs at %u of %u\n", gate->count, count);
            abort();
        }
    }
    pthread_mutex_unlock(&gate->lock);
}

static void on_event(void *user, const struct lp2p_sup_event *event)
{
    struct fixture *fixture = user;
    pthread_mutex_lock(&fixture->lock);
    if (fixture->events_len < EVENTS_MAX) {
        struct event *to = &fixture->events[fixture->events_len++];
        *to = (struct event){
            .kind = event->kind, .ref = event->ref, .reason = event->reason, .when = event->when};
        strncpy(to->supervisor, event->supervisor, sizeof(to->supervisor) - 1);
        strncpy(to->child, event->child, sizeof(to->child) - 1);
    }
    pthread_mutex_unlock(&fixture->lock);
    gate_raise(&fixture->event_gate);
}

static void on_root_failed(void *user)
{
    gate_raise(&((struct fixture *)user)->root_failed);
}

void fixture_init(struct fixture *fixture, const struct lp2p_child_spec *children, size_t children_len)
{
    *fixture = (struct fixture){
        .lock = PTHREAD_MUTEX_INITIALIZER, .event_gate = GATE_INIT, .root_failed = GATE_INIT};
    fixture->sup = (struct lp2p_sup_spec){.restarts_max = 3,
                                          .period_ms = 5000,
                                          .children = children,
                                          .children_len = children_len,
                                          .dynamic_max = 1000};
    fixture->root =
        (struct lp2p_child_spec){.id = "root", .ops = &lp2p_supervisor_ops, .restart = LP2P_PERMANENT};
    fixture->config = (struct lp2p_rt_config){.on_sup_event = on_event, .on_root_failed = on_root_failed};
}

enum lp2p_err fixture_start(struct fixture *fixture)
{
    fixture->root.arg = &fixture->sup;
    fixture->config.root = &fixture->root;
    fixture->config.user = fixture;
    return lp2p_rt_start(&fixture->config, &fixture->rt, fixture->failed_id);
}

unsigned fixture_stop(struct fixture *fixture)
{
    return lp2p_rt_stop(&fixture->rt);
}

void fixture_wait(struct fixture *fixture, struct gate *gate, unsigned count)
{
    if (!fixture->config.simulated) {
        gate_wait(gate, count);
        return;
    }
    while (gate_count(gate) < count) {
        assert_true(lp2p_sim_step(fixture->rt, LP2P_NEVER));
    }
}

unsigned fixture_events(struct fixture *fixture, enum lp2p_sup_event_kind kind, const char *child)
{
    unsigned count = 0;
    pthread_mutex_lock(&fixture->lock);
    for (size_t i = 0; i < fixture->events_len; i++) {
        const struct event *event = &fixture->events[i];
        count += event->kind == kind && (child == NULL || strcmp(event->child, child) == 0);
    }
    pthread_mutex_unlock(&fixture->lock);
    return count;
}

void fixture_wait_event(struct fixture *fixture, enum lp2p_sup_event_kind kind, const char *child,
                        unsigned count)
{
    while (fixture_events(fixture, kind, child) < count) {
        unsigned seen = gate_count(&fixture->event_gate);
        if (fixture_events(fixture, kind, child) < count) {
            fixture_wait(fixture, &fixture->event_gate, seen + 1);
        }
    }
}

void fixture_log(struct fixture *fixture, char *out, size_t cap)
{
    size_t len = 0;
    out[0] = '\0';
    pthread_mutex_lock(&fixture->lock);
    for (size_t i = 0; i < fixture->events_len && len < cap; i++) {
        const struct event *event = &fixture->events[i];
        len += (size_t)snprintf(out + len, cap - len, "%s%s/%s %s", i == 0 ? "" : ", ", event->supervisor,
                                event->child, lp2p_sup_event_name(event->kind));
    }
    pthread_mutex_unlock(&fixture->lock);
}

const struct lp2p_msg_class PUPPET_DO = {"DO", sizeof(struct puppet_do), LP2P_LANE_NORMAL, NULL, NULL};
const struct lp2p_msg_class PUPPET_DO_URGENT = {"DO_URGENT", sizeof(struct puppet_do), LP2P_LANE_URGENT,
                                                NULL, NULL};

struct puppet_state {
    struct puppet *puppet;
};

static void note(struct puppet *puppet, unsigned *counter)
{
    if (puppet != NULL) {
        __atomic_fetch_add(counter, 1, __ATOMIC_ACQ_REL);
        if (puppet->gate != NULL) {
            gate_raise(puppet->gate);
        }
    }
}

static enum lp2p_err init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct puppet *puppet = (struct puppet *)(uintptr_t)arg;
    (void)self;
    ((struct puppet_state *)state)->puppet = puppet;
    if (puppet == NULL) {
        return LP2P_OK;
    }
    unsigned fails = __atomic_load_n(&puppet->fail_inits, __ATOMIC_ACQUIRE);
    if (fails > 0) {
        __atomic_store_n(&puppet->fail_inits, fails - 1, __ATOMIC_RELEASE);
    }
    note(puppet, &puppet->inits);
    return fails > 0 ? LP2P_EADDRINUSE : LP2P_OK;
}

static enum lp2p_verdict on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct puppet *puppet = ((struct puppet_state *)state)->puppet;
    if ((*msg)->cls == &LP2P_MSG_DOWN) {
        struct lp2p_msg_down *down = LP2P_MSG_AS(*msg, &LP2P_MSG_DOWN, lp2p_msg_down);
        if (puppet != NULL) {
            puppet->down_reason = down->reason;
            puppet->down_who = down->who;
            note(puppet, &puppet->downs);
        }
        return LP2P_CONTINUE;
    }
    LP2P_CHECK((*msg)->cls == &PUPPET_DO || (*msg)->cls == &PUPPET_DO_URGENT);
    struct puppet_do *what = (struct puppet_do *)(void *)*msg;
    enum lp2p_verdict verdict = what->fn(self, what->arg);
    if (what->done != NULL) {
        gate_raise(what->done);
    }
    return verdict;
}

static enum lp2p_verdict on_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct puppet *puppet = ((struct puppet_state *)state)->puppet;
    return puppet->on_timer(self, puppet, timer);
}

static enum lp2p_verdict on_fd(struct lp2p_actor *self, void *state, int fd, unsigned ready)
{
    struct puppet *puppet = ((struct puppet_state *)state)->puppet;
    return puppet->on_fd(self, puppet, fd, ready);
}

static enum lp2p_verdict on_stop(struct lp2p_actor *self, void *state)
{
    struct puppet *puppet = ((struct puppet_state *)state)->puppet;
    (void)self;
    if (puppet == NULL) {
        return LP2P_STOP;
    }
    note(puppet, &puppet->stops);
    return puppet->keeps_running ? LP2P_CONTINUE : LP2P_STOP;
}

static void fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    struct puppet *puppet = ((struct puppet_state *)state)->puppet;
    (void)self;
    if (puppet != NULL) {
        __atomic_store_n(&puppet->fini_why, why, __ATOMIC_RELAXED); /* one puppet may serve several actors */
        note(puppet, &puppet->finis);
    }
}

const struct lp2p_actor_ops puppet_ops = {.name = "puppet",
                                          .state_size = sizeof(struct puppet_state),
                                          .init = init,
                                          .on_msg = on_msg,
                                          .on_timer = on_timer,
                                          .on_fd = on_fd,
                                          .on_stop = on_stop,
                                          .fini = fini};

bool fixture_post(struct fixture *fixture, struct lp2p_ref who, puppet_fn fn, void *arg, struct gate *done)
{
    struct lp2p_msg *msg = lp2p_msg_new(&PUPPET_DO);
    struct puppet_do *what = LP2P_MSG_AS(msg, &PUPPET_DO, puppet_do);
    what->fn = fn;
    what->arg = arg;
    what->done = done;
    enum lp2p_err err = lp2p_post(fixture->rt, who, &msg);
    assert_true(err == LP2P_OK || err == LP2P_EGONE);
    lp2p_msg_drop(&msg);
    return err == LP2P_OK;
}

void fixture_do(struct fixture *fixture, struct lp2p_ref who, puppet_fn fn, void *arg)
{
    struct gate done = GATE_INIT;
    assert_true(fixture_post(fixture, who, fn, arg, &done));
    fixture_wait(fixture, &done, 1);
}

enum lp2p_verdict puppet_stop(struct lp2p_actor *self, void *arg)
{
    (void)self, (void)arg;
    return LP2P_STOP;
}

enum lp2p_verdict puppet_fail(struct lp2p_actor *self, void *arg)
{
    (void)self, (void)arg;
    return LP2P_FAIL;
}

enum lp2p_verdict puppet_block(struct lp2p_actor *self, void *arg)
{
    (void)self;
    gate_wait(arg, 1);
    return LP2P_CONTINUE;
}

enum lp2p_verdict puppet_tell_and_block(struct lp2p_actor *self, void *arg)
{
    struct gate *tell = ((struct gate **)arg)[0], *block = ((struct gate **)arg)[1];
    gate_raise(tell);
    return puppet_block(self, block);
}

enum lp2p_verdict puppet_stop_other(struct lp2p_actor *self, void *arg)
{
    lp2p_stop(self, lp2p_whereis(lp2p_actor_rt(self), arg));
    return LP2P_CONTINUE;
}

enum lp2p_verdict puppet_nothing(struct lp2p_actor *self, void *arg)
{
    (void)self, (void)arg;
    return LP2P_CONTINUE;
}
