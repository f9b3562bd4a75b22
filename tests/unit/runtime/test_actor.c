/* SPDX-License-Identifier: MIT
 * Timers, descriptors, monitors, spawning and accounting of single actors. */
#include "fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Timers run in virtual time: the whole course is exact. */
struct timer_log {
    struct puppet puppet;
    lp2p_time start, when[16];
    unsigned timer[16], len;
};

static enum lp2p_verdict log_timer(struct lp2p_actor *self, void *puppet, unsigned timer)
{
    struct timer_log *log = puppet;
    log->when[log->len] = lp2p_now(self) - log->start;
    log->timer[log->len++] = timer;
    if (timer == 1 && log->len < 5) {
        lp2p_timer_set(self, 1, lp2p_now(self) + LP2P_MS(10)); /* periodic */
    }
    if (timer == 3) {
        lp2p_timer_set(self, 3,
                       lp2p_now(self) - 1); /* into the past: at the next turn, not for ever in this one */
        lp2p_timer_set(self, 3, log->len < 9 ? lp2p_now(self) : LP2P_NEVER);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict set_timers(struct lp2p_actor *self, void *arg)
{
    struct timer_log *log = arg;
    log->start = lp2p_now(self);
    lp2p_timer_set(self, 0, log->start + LP2P_MS(25));
    lp2p_timer_set(self, 1, log->start + LP2P_MS(10));
    lp2p_timer_set(self, 2, log->start + LP2P_MS(5));
    lp2p_timer_set(self, 7, log->start + LP2P_SEC(1));
    LP2P_CHECK(lp2p_timer_get(self, 7) == log->start + LP2P_SEC(1));
    lp2p_timer_set(self, 2, LP2P_NEVER);
    LP2P_CHECK(lp2p_timer_get(self, 2) == LP2P_NEVER);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict set_past_timer(struct lp2p_actor *self, void *arg)
{
    (void)arg;
    lp2p_timer_set(self, 3, 0);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict set_two_past_timers(struct lp2p_actor *self, void *arg)
{
    (void)arg;
    lp2p_timer_set(self, 4, lp2p_now(self) - 1);
    lp2p_timer_set(self, 5, lp2p_now(self) - 2);
    return LP2P_CONTINUE;
}

static void test_timers(void **state)
{
    (void)state;
    struct fixture fixture;
    struct timer_log log = {.puppet = {.on_timer = log_timer}};
    struct lp2p_child_spec child = {.id = "a", .ops = &puppet_ops, .arg = &log};
    fixture_init(&fixture, &child, 1);
    fixture.config.simulated = true;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    fixture_do(&fixture, lp2p_whereis(fixture.rt, "a"), set_timers, &log);
    lp2p_sim_run(fixture.rt, log.start + LP2P_MS(999));
    assert_int_equal(lp2p_sim_now(fixture.rt), log.start + LP2P_MS(999));
    const unsigned timers[] = {1, 1, 0, 1, 1}, at_ms[] = {10, 20, 25, 30, 40};
    assert_int_equal(log.len, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(log.timer[i], timers[i]);
        assert_int_equal(log.when[i], LP2P_MS(at_ms[i]));
    }
    assert_true(lp2p_sim_step(fixture.rt, log.start + LP2P_SEC(1)));
    lp2p_sim_run(fixture.rt, log.start + LP2P_SEC(1));
    assert_int_equal(log.len, 6);
    assert_int_equal(log.timer[5], 7);
    fixture_do(&fixture, lp2p_whereis(fixture.rt, "a"), set_past_timer, NULL);
    lp2p_sim_run(fixture.rt, log.start + LP2P_SEC(2));
    assert_int_equal(log.len, 9);
    /* Two that are due in one turn fire in the order of their deadlines. */
    fixture_do(&fixture, lp2p_whereis(fixture.rt, "a"), set_two_past_timers, NULL);
    lp2p_sim_run(fixture.rt, log.start + LP2P_SEC(3));
    assert_int_equal(log.len, 11);
    assert_int_equal(log.timer[9], 5);
    assert_int_equal(log.timer[10], 4);
    assert_int_equal(fixture_stop(&fixture), 0);
}

/* Descriptors. */
struct fd_log {
    struct puppet puppet;
    int fds[2];
    unsigned ready, calls; /* atomics */
    struct gate gate;
};

static enum lp2p_verdict log_fd(struct lp2p_actor *self, void *puppet, int fd, unsigned ready)
{
    struct fd_log *log = puppet;
    char bytes[64];
    LP2P_CHECK(fd == log->fds[0]);
    __atomic_store_n(&log->ready, ready, __ATOMIC_RELEASE);
    __atomic_fetch_add(&log->calls, 1, __ATOMIC_ACQ_REL);
    if ((ready & LP2P_READABLE) != 0) {
        ssize_t got = read(fd, bytes, sizeof(bytes));
        LP2P_CHECK(got >= 0);
    }
    if ((ready & LP2P_WRITABLE) != 0) {
        LP2P_CHECK(lp2p_fd_watch(self, fd, LP2P_READABLE) == LP2P_OK);
    }
    if ((ready & LP2P_HANGUP) != 0) {
        lp2p_fd_unwatch(self, fd);
    }
    gate_raise(&log->gate);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict watch_writable(struct lp2p_actor *self, void *arg)
{
    struct fd_log *log = arg;
    LP2P_CHECK(lp2p_fd_watch(self, log->fds[0], LP2P_WRITABLE) == LP2P_OK);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict watch_nothing(struct lp2p_actor *self, void *arg)
{
    struct fd_log *log = arg;
    LP2P_CHECK(lp2p_fd_watch(self, log->fds[0], 0) == LP2P_OK);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict watch_refused(struct lp2p_actor *self, void *arg)
{
    (void)arg;
    LP2P_CHECK(lp2p_fd_watch(self, 9999, LP2P_READABLE) == LP2P_EIO);
    lp2p_fd_unwatch(self, 9999); /* harmless */
    return LP2P_CONTINUE;
}

static void test_descriptors(void **state)
{
    (void)state;
    struct fixture fixture;
    struct fd_log log = {.puppet = {.on_fd = log_fd}, .gate = GATE_INIT};
    struct lp2p_child_spec child = {.id = "a", .ops = &puppet_ops, .arg = &log};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, log.fds), 0);
    fixture_init(&fixture, &child, 1);
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref who = lp2p_whereis(fixture.rt, "a");
    fixture_do(&fixture, who, watch_refused, NULL);
    fixture_do(&fixture, who, watch_writable, &log);
    gate_wait(&log.gate, 1);
    assert_int_equal(log.ready, LP2P_WRITABLE);
    assert_int_equal(write(log.fds[1], "x", 1), 1);
    gate_wait(&log.gate, 2);
    assert_int_equal(log.ready, LP2P_READABLE);
    /* With interest 0 bytes are not heard of, the hang-up is. */
    fixture_do(&fixture, who, watch_nothing, &log);
    assert_int_equal(write(log.fds[1], "x", 1), 1);
    fixture_do(&fixture, who, watch_nothing, &log);
    assert_int_equal(gate_count(&log.gate), 2);
    close(log.fds[1]);
    gate_wait(&log.gate, 3);
    assert_true((log.ready & LP2P_HANGUP) != 0);
    assert_true((log.ready & LP2P_READABLE) == 0);
    /* Woken through the eventfd while another descriptor keeps it on epoll. */
    for (int i = 0; i < 100; i++) {
        fixture_do(&fixture, who, watch_refused, NULL);
    }
    assert_int_equal(fixture_stop(&fixture), 0);
    close(log.fds[0]);
}

/* Monitors. */
static enum lp2p_verdict monitor_it(struct lp2p_actor *self, void *arg)
{
    lp2p_monitor(self, *(struct lp2p_ref *)arg);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict demonitor_it(struct lp2p_actor *self, void *arg)
{
    lp2p_demonitor(self, *(struct lp2p_ref *)arg);
    return LP2P_CONTINUE;
}

static void test_monitors(void **state)
{
    (void)state;
    struct fixture fixture;
    struct gate gate = GATE_INIT;
    struct puppet watcher = {.gate = &gate};
    struct lp2p_child_spec children[] = {
        {.id = "a", .ops = &puppet_ops, .restart = LP2P_TEMPORARY},
        {.id = "b", .ops = &puppet_ops, .restart = LP2P_PERMANENT},
        {.id = "w", .ops = &puppet_ops, .arg = &watcher},
    };
    fixture_init(&fixture, children, 3);
    fixture.config.simulated = true;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref a = lp2p_whereis(fixture.rt, "a"), b = lp2p_whereis(fixture.rt, "b"),
                    w = lp2p_whereis(fixture.rt, "w");
    fixture_do(&fixture, w, monitor_it, &b);
    fixture_do(&fixture, b, puppet_fail, NULL);
    fixture_wait(&fixture, &gate, 2); /* init, down */
    assert_int_equal(watcher.down_reason, LP2P_EFAILED);
    assert_true(lp2p_ref_eq(watcher.down_who, b));
    /* Once for each monitor: the next failure is not told. */
    fixture_wait_event(&fixture, LP2P_SUP_RESTARTED, "b", 1);
    fixture_do(&fixture, b, puppet_fail, NULL);
    fixture_wait_event(&fixture, LP2P_SUP_RESTARTED, "b", 2);
    lp2p_sim_run(fixture.rt, lp2p_sim_now(fixture.rt) + LP2P_SEC(1));
    assert_int_equal(watcher.downs, 1);
    /* Demonitored. */
    fixture_do(&fixture, w, monitor_it, &a);
    fixture_do(&fixture, w, monitor_it, &b);
    fixture_do(&fixture, w, demonitor_it, &a);
    lp2p_sim_run(fixture.rt, lp2p_sim_now(fixture.rt) + LP2P_SEC(1));
    struct lp2p_ref a_exact = fixture.events[0].ref;
    fixture_do(&fixture, a, puppet_stop, NULL);
    lp2p_sim_run(fixture.rt, lp2p_sim_now(fixture.rt) + LP2P_SEC(1));
    assert_int_equal(watcher.downs, 1);
    /* Gone already: at once, by the exact and by the empty address. */
    fixture_do(&fixture, w, monitor_it, &a_exact);
    fixture_wait(&fixture, &gate, 3);
    assert_int_equal(watcher.down_reason, LP2P_EGONE);
    struct lp2p_ref none = LP2P_REF_NONE;
    fixture_do(&fixture, w, monitor_it, &none);
    fixture_wait(&fixture, &gate, 4);
    assert_int_equal(watcher.down_reason, LP2P_EGONE);
    assert_int_equal(fixture_stop(&fixture), 0);
}

/* Spawning. */
struct spawning {
    struct lp2p_ref sup, out;
    struct lp2p_child_spec spec;
    enum lp2p_err err;
};

static enum lp2p_verdict spawn_it(struct lp2p_actor *self, void *arg)
{
    struct spawning *spawning = arg;
    spawning->err = lp2p_spawn(self, spawning->sup, &spawning->spec, &spawning->out);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict stop_it(struct lp2p_actor *self, void *arg)
{
    lp2p_stop(self, *(struct lp2p_ref *)arg);
    return LP2P_CONTINUE;
}

static unsigned args_dropped;
static void drop_arg(void *arg)
{
    free(arg);
    args_dropped++;
}

/* Takes the arg over and releases it. */
static enum lp2p_err owner_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self, (void)state;
    free((void *)(uintptr_t)arg);
    return LP2P_OK;
}
static const struct lp2p_actor_ops owner_ops = {.name = "owner", .state_size = 8, .init = owner_init};

static void run_spawns(bool simulated)
{
    struct fixture fixture;
    struct lp2p_child_spec spawner = {.id = "spawner", .ops = &puppet_ops};
    fixture_init(&fixture, &spawner, 1);
    fixture.config.simulated = simulated;
    fixture.sup.dynamic_max = 2;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref self = lp2p_whereis(fixture.rt, "spawner");
    struct spawning one = {.sup = lp2p_whereis(fixture.rt, "root"),
                           .spec = {.id = "one", .ops = &puppet_ops, .restart = LP2P_TEMPORARY}};
    fixture_do(&fixture, self, spawn_it, &one);
    assert_int_equal(one.err, LP2P_OK);
    assert_true(one.out.slot != 0 && one.out.gen != 0);
    fixture_do(&fixture, one.out, puppet_block,
               &(struct gate){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1});
    /* A permanent dynamic child is addressed by its slot: the address survives its restart. */
    struct spawning two = {.sup = one.sup,
                           .spec = {.id = "two", .ops = &puppet_ops, .restart = LP2P_PERMANENT}};
    fixture_do(&fixture, self, spawn_it, &two);
    assert_int_equal(two.err, LP2P_OK);
    assert_int_equal(two.out.gen, 0);
    fixture_do(&fixture, two.out, puppet_fail, NULL);
    fixture_wait_event(&fixture, LP2P_SUP_RESTARTED, "two", 1);
    fixture_do(&fixture, two.out, puppet_block,
               &(struct gate){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 1});
    /* The limit, and that nothing was taken. */
    struct spawning three = {.sup = one.sup,
                             .spec = {.id = "three",
                                      .ops = &owner_ops,
                                      .arg = malloc(10),
                                      .arg_drop = drop_arg,
                                      .restart = LP2P_TEMPORARY}};
    fixture_do(&fixture, self, spawn_it, &three);
    assert_int_equal(three.err, LP2P_ELIMIT);
    assert_true(lp2p_ref_eq(three.out, LP2P_REF_NONE));
    /* A place is free again once one has ended. */
    fixture_do(&fixture, self, stop_it, &one.out);
    fixture_wait_event(&fixture, LP2P_SUP_ENDED, "one", 1);
    fixture_do(&fixture, self, spawn_it, &three);
    while (three.err == LP2P_ELIMIT) { /* the supervisor tells of the end just before it frees the place */
        fixture_do(&fixture, self, spawn_it, &three);
    }
    assert_int_equal(three.err, LP2P_OK);
    fixture_wait_event(&fixture, LP2P_SUP_STARTED, "three", 1);
    assert_false(fixture_post(&fixture, one.out, puppet_stop, NULL, NULL));
    /* A permanent child that was asked to end is forgotten. */
    fixture_do(&fixture, self, stop_it, &two.out);
    fixture_wait_event(&fixture, LP2P_SUP_ENDED, "two", 2);
    /* Not a supervisor. */
    struct spawning wrong = {.sup = self, .spec = one.spec};
    fixture_do(&fixture, self, spawn_it, &wrong);
    assert_int_equal(wrong.err, LP2P_EGONE);
    assert_int_equal(fixture_stop(&fixture), 0);
    assert_int_equal(fixture_events(&fixture, LP2P_SUP_RESTARTED, NULL), 1);
    assert_int_equal(args_dropped, 0);
}

static void test_spawn(void **state)
{
    (void)state;
    run_spawns(true);
    run_spawns(false);
}

/* Fixed threads share the load; a companion stays with its actor; what cannot be placed is refused. */
static void test_spawn_placement(void **state)
{
    (void)state;
    struct fixture fixture;
    struct lp2p_child_spec spawner = {.id = "spawner", .ops = &puppet_ops};
    fixture_init(&fixture, &spawner, 1);
    fixture.config.groups[0] = (struct lp2p_group_config){.name = "io", .threads = 2};
    fixture.config.groups_len = 1;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref self = lp2p_whereis(fixture.rt, "spawner");
    struct spawning one = {.sup = lp2p_whereis(fixture.rt, "root"),
                           .spec = {.id = "conn",
                                    .ops = &puppet_ops,
                                    .restart = LP2P_TEMPORARY,
                                    .placement = {.place = LP2P_PLACE_GROUP}}};
    for (unsigned i = 0; i < 6; i++) {
        fixture_do(&fixture, self, spawn_it, &one);
        assert_int_equal(one.err, LP2P_OK);
        fixture_do(&fixture, one.out, puppet_nothing, NULL);
    }
    struct spawning with = {.sup = one.sup, .spec = one.spec};
    with.spec.placement = (struct lp2p_placement){.place = LP2P_PLACE_WITH, .with = one.out};
    fixture_do(&fixture, self, spawn_it, &with);
    fixture_do(&fixture, with.out, puppet_nothing, NULL);
    struct lp2p_actor_stats stats[16];
    size_t count = lp2p_rt_snapshot(fixture.rt, stats, 16);
    const char *thread_one = "", *thread_with = "?";
    unsigned on_first = 0;
    for (size_t i = 0; i < count; i++) {
        on_first += strcmp(stats[i].thread, "io-0") == 0;
        thread_one = lp2p_ref_eq(stats[i].ref, one.out) ? stats[i].thread : thread_one;
        thread_with = lp2p_ref_eq(stats[i].ref, with.out) ? stats[i].thread : thread_with;
    }
    assert_true(on_first == 3 || on_first == 4); /* and the companion */
    assert_string_equal(thread_one, thread_with);
    /* Nobody there, no such group, a resident that would end for good. */
    fixture_do(&fixture, one.out, puppet_stop, NULL);
    fixture_wait_event(&fixture, LP2P_SUP_ENDED, "conn", 1);
    fixture_do(&fixture, self, spawn_it, &with);
    assert_int_equal(with.err, LP2P_EGONE);
    one.spec.placement.group = 3;
    fixture_do(&fixture, self, spawn_it, &one);
    assert_int_equal(one.err, LP2P_EINVAL);
    one.spec.placement = (struct lp2p_placement){.place = LP2P_PLACE_RESIDENT};
    fixture_do(&fixture, self, spawn_it, &one);
    assert_int_equal(one.err, LP2P_EINVAL);
    assert_int_equal(fixture_stop(&fixture), 0);
}

static void test_spawn_failing_init(void **state)
{
    (void)state;
    struct fixture fixture;
    struct gate gate = GATE_INIT;
    struct puppet watcher = {.gate = &gate}, bad = {.fail_inits = 1};
    struct lp2p_child_spec spawner = {.id = "spawner", .ops = &puppet_ops, .arg = &watcher};
    fixture_init(&fixture, &spawner, 1);
    fixture.config.simulated = true;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref self = lp2p_whereis(fixture.rt, "spawner");
    struct spawning one = {.sup = lp2p_whereis(fixture.rt, "root"),
                           .spec = {.id = "bad", .ops = &puppet_ops, .arg = &bad, .restart = LP2P_PERMANENT}};
    fixture_do(&fixture, self, spawn_it, &one);
    assert_int_equal(one.err, LP2P_OK);
    fixture_do(&fixture, self, monitor_it, &one.out);
    fixture_wait(&fixture, &gate, 2);
    assert_true(watcher.down_reason == LP2P_EFAILED || watcher.down_reason == LP2P_EGONE);
    fixture_wait_event(&fixture, LP2P_SUP_START_FAILED, "bad", 1);
    lp2p_sim_run(fixture.rt, lp2p_sim_now(fixture.rt) + LP2P_SEC(1));
    assert_int_equal(bad.inits, 1); /* a child that never was is not kept */
    assert_int_equal(bad.finis, 0);
    assert_int_equal(fixture_stop(&fixture), 0);
}

/* Residents on a thread for each placement: there from the first question on, and gone with the thread. */
static enum lp2p_verdict find_resident(struct lp2p_actor *self, void *arg)
{
    *(struct lp2p_ref *)arg = lp2p_resident(self, 5);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict stop_resident(struct lp2p_actor *self, void *arg)
{
    (void)arg;
    lp2p_stop(self, lp2p_resident(self, 5));
    return LP2P_CONTINUE;
}

static void test_spawn_residents(void **state)
{
    (void)state;
    struct fixture fixture;
    struct puppet svc = {0};
    struct lp2p_child_spec children[] = {
        {.id = "svc",
         .ops = &puppet_ops,
         .arg = &svc,
         .restart = LP2P_PERMANENT,
         .placement = {.place = LP2P_PLACE_RESIDENT, .resident = 5}},
        {.id = "spawner", .ops = &puppet_ops},
    };
    fixture_init(&fixture, children, 2);
    fixture.config.groups[0] = (struct lp2p_group_config){.name = "io", .threads_max = 3};
    fixture.config.groups_len = 1;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref self = lp2p_whereis(fixture.rt, "spawner"), found[4];
    struct spawning conn[4];
    for (unsigned i = 0; i < 4; i++) {
        conn[i] = (struct spawning){.sup = lp2p_whereis(fixture.rt, "root"),
                                    .spec = {.id = "conn",
                                             .ops = &puppet_ops,
                                             .restart = LP2P_TEMPORARY,
                                             .placement = {.place = LP2P_PLACE_GROUP}}};
        fixture_do(&fixture, self, spawn_it, &conn[i]);
        assert_int_equal(conn[i].err, LP2P_OK);
        fixture_do(&fixture, conn[i].out, puppet_nothing, NULL);
        /* A thread that nobody asks for its resident has none. */
        assert_int_equal(__atomic_load_n(&svc.inits, __ATOMIC_ACQUIRE), i);
        fixture_do(&fixture, conn[i].out, find_resident, &found[i]);
        assert_true(found[i].slot != 0);
        fixture_do(&fixture, found[i], puppet_nothing, NULL);
        assert_int_equal(__atomic_load_n(&svc.inits, __ATOMIC_ACQUIRE), LP2P_MIN(i + 1, 3u));
    }
    /* Three threads at most: the fourth shares one of them, and its resident. */
    assert_true(found[3].slot == found[0].slot || found[3].slot == found[1].slot ||
                found[3].slot == found[2].slot);
    assert_true(found[0].slot != found[1].slot && found[1].slot != found[2].slot);
    fixture_wait_event(&fixture, LP2P_SUP_STARTED, "svc@io-2", 1);
    /* A resident that fails comes back on the same thread under the same address. */
    fixture_do(&fixture, found[1], puppet_fail, NULL);
    fixture_wait_event(&fixture, LP2P_SUP_RESTARTED, "svc@io-1", 1);
    struct lp2p_ref again;
    fixture_do(&fixture, conn[1].out, find_resident, &again);
    assert_true(lp2p_ref_eq(again, found[1]));
    struct lp2p_rt_stats stats;
    lp2p_rt_stats_get(fixture.rt, &stats);
    assert_int_equal(stats.threads, 5); /* root, spawner, three of the group */
    fixture_do(&fixture, conn[1].out, puppet_stop, NULL);
    fixture_wait_event(&fixture, LP2P_SUP_ENDED, "svc@io-1", 2);
    /* A new actor gets a thread again, with a resident of its own. */
    fixture_do(&fixture, self, spawn_it, &conn[1]);
    fixture_do(&fixture, conn[1].out, find_resident, &again);
    assert_true(again.slot != 0);
    /* An instance whose first init fails on a later thread is tried again: its spec is permanent. */
    fixture_do(&fixture, conn[2].out, puppet_stop, NULL);
    fixture_wait_event(&fixture, LP2P_SUP_ENDED, "svc@io-2", 1);
    __atomic_store_n(&svc.fail_inits, 1, __ATOMIC_RELEASE);
    fixture_do(&fixture, self, spawn_it, &conn[2]);
    fixture_do(&fixture, conn[2].out, find_resident, &again);
    fixture_wait_event(&fixture, LP2P_SUP_START_FAILED, NULL, 1);
    fixture_do(&fixture, again, puppet_nothing, NULL);
    /* One that was stopped for good is not made again by who asks for it. */
    fixture_do(&fixture, conn[0].out, stop_resident, NULL);
    for (unsigned asked = 0; found[0].slot != 0; asked++) {
        assert_true(asked < 1000000);
        fixture_do(&fixture, conn[0].out, find_resident, &found[0]);
    }
    assert_int_equal(fixture_stop(&fixture), 0);
    assert_int_equal(fixture_events(&fixture, LP2P_SUP_ABANDONED, NULL), 0);
}

/* Accounting. */
static enum lp2p_verdict account(struct lp2p_actor *self, void *arg)
{
    (void)arg;
    lp2p_account_bytes(self, 12345);
    struct lp2p_msg *msg = lp2p_msg_new(&PUPPET_DO);
    lp2p_send_or_drop(self, LP2P_REF_NONE, &msg);
    LP2P_CHECK(msg == NULL);
    return LP2P_CONTINUE;
}

static void test_accounting(void **state)
{
    (void)state;
    struct fixture fixture;
    struct lp2p_child_spec child = {.id = "a", .ops = &puppet_ops, .restart = LP2P_PERMANENT};
    fixture_init(&fixture, &child, 1);
    fixture.config.simulated = true;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref a = lp2p_whereis(fixture.rt, "a");
    struct lp2p_actor_stats stats[2];
    for (int i = 0; i < 3; i++) {
        fixture_do(&fixture, a, account, NULL);
    }
    assert_int_equal(lp2p_rt_snapshot(fixture.rt, stats, 1), 2);
    assert_int_equal(lp2p_rt_snapshot(fixture.rt, stats, 2), 2);
    assert_string_equal(stats[0].id, "root");
    assert_string_equal(stats[0].kind, "supervisor");
    assert_string_equal(stats[1].id, "a");
    assert_int_equal(stats[1].msgs_in, 3);
    assert_int_equal(stats[1].sends_dropped, 3);
    assert_int_equal(stats[1].bytes, 12345);
    assert_int_equal(stats[1].depth, 0);
    assert_int_equal(stats[1].depth_peak, 1);
    assert_int_equal(stats[1].restarts, 0);
    assert_int_equal(lp2p_rt_fail(fixture.rt, a), LP2P_OK);
    fixture_wait_event(&fixture, LP2P_SUP_RESTARTED, "a", 1);
    assert_int_equal(lp2p_rt_snapshot(fixture.rt, stats, 2), 2);
    assert_int_equal(stats[1].msgs_in, 0); /* a restart resets them */
    assert_int_equal(stats[1].restarts, 1);
    struct lp2p_rt_stats totals;
    lp2p_rt_stats_get(fixture.rt, &totals);
    assert_int_equal(totals.actors, 2);
    assert_int_equal(totals.actors_peak, 2);
    assert_int_equal(totals.restarts, 1);
    assert_int_equal(fixture_stop(&fixture), 0);
}

static enum lp2p_verdict check_environment(struct lp2p_actor *self, void *arg)
{
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    LP2P_CHECK(sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGTERM) == 1);
    char name[16];
    pthread_getname_np(pthread_self(), name, sizeof(name));
    LP2P_CHECK(strcmp(name, "a-long-name-tha") == 0);
    LP2P_CHECK(strcmp(lp2p_actor_id(self), "a-long-name-that-is-cut") == 0);
    LP2P_CHECK(lp2p_wall_ms(self) > 1600000000000u);
    uint64_t a = lp2p_rand_u64(lp2p_actor_rand(self)), b = lp2p_rand_u64(lp2p_actor_rand(self));
    LP2P_CHECK(a != b);
    uint8_t many[1000] = {0};
    lp2p_rand_fill(lp2p_actor_rand(self), many, sizeof(many));
    *(struct lp2p_ref *)arg = lp2p_self(self);
    return LP2P_CONTINUE;
}

static void test_environment(void **state)
{
    (void)state;
    struct fixture fixture;
    struct lp2p_ref self;
    struct lp2p_child_spec child = {.id = "a-long-name-that-is-cut", .ops = &puppet_ops};
    fixture_init(&fixture, &child, 1);
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    fixture_do(&fixture, lp2p_whereis(fixture.rt, child.id), check_environment, &self);
    assert_true(self.gen != 0);
    assert_int_equal(fixture_stop(&fixture), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_monitors),
        cmocka_unit_test(test_spawn),
        cmocka_unit_test(test_spawn_failing_init),
        cmocka_unit_test(test_spawn_placement),
        cmocka_unit_test(test_spawn_residents),
        cmocka_unit_test(test_accounting),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
