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
        *to = (struct event){.kind = event->kind, .ref = event->ref, .reason = event->reason};
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
    *fixture = (struct fixture){.lock = PTHREAD_MUTEX_INITIALIZER, .event_gate = GATE_INIT, .root_failed = GATE_INIT};
    fixture->sup = (struct lp2p_sup_spec){
        .restarts_max = 3, .period_ms = 5000, .children = children, .children_len = children_len, .dynamic_max = 1000};
    fixture->root = (struct lp2p_child_spec){.id = "root", .ops = &lp2p_supervisor_ops, .restart = LP2P_PERMANENT};
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

void fixture_wait_event(struct fixture *fixture, enum lp2p_sup_event_kind kind, const char *child, unsigned count)
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
        len += (size_t)snprintf(out + len, cap - len, "%s%s/%s %s", i == 0 ? "" : ", ", event->supervisor, event->child,
                                lp2p_sup_event_name(event->kind));
    }
    pthread_mutex_unlock(&fixture->lock);
}
