/* SPDX-License-Identifier: MIT
 * Supervision: restart type by reason, intensity, escalation, starts that fail, the order of the end and its
 * deadlines. */
#include "fixture.h"

#include <string.h>

static const char *const restart_names[] = {"permanent", "transient", "temporary"};

static void start_sim(struct fixture *fixture, const struct lp2p_child_spec *children, size_t len)
{
    fixture_init(fixture, children, len);
    fixture->config.simulated = true;
    assert_int_equal(fixture_start(fixture), LP2P_OK);
}

static void settle(struct fixture *fixture)
{
    lp2p_sim_run(fixture->rt, lp2p_sim_now(fixture->rt) + LP2P_MS(1));
}

/* Which ends are followed by a restart, and by which error a later send is answered. */
static void test_supervisor_restart_rules(void **state)
{
    (void)state;
    static const struct {
        enum lp2p_restart restart;
        puppet_fn end; /* NULL: injected failure */
        bool restarted;
    } rows[] = {
        {LP2P_PERMANENT, puppet_stop, true},  {LP2P_PERMANENT, puppet_fail, true},
        {LP2P_PERMANENT, NULL, true},         {LP2P_TRANSIENT, puppet_stop, false},
        {LP2P_TRANSIENT, puppet_fail, true},  {LP2P_TRANSIENT, NULL, true},
        {LP2P_TEMPORARY, puppet_stop, false}, {LP2P_TEMPORARY, puppet_fail, false},
        {LP2P_TEMPORARY, NULL, false},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(rows); i++) {
        print_message("# %s, row %zu\n", restart_names[rows[i].restart], i);
        struct fixture fixture;
        struct puppet puppet = {0};
        struct lp2p_child_spec child = {
            .id = "a", .ops = &puppet_ops, .arg = &puppet, .restart = rows[i].restart};
        start_sim(&fixture, &child, 1);
        struct lp2p_ref a = lp2p_whereis(fixture.rt, "a");
        if (rows[i].end != NULL) {
            fixture_do(&fixture, a, rows[i].end, NULL);
        } else {
            assert_int_equal(lp2p_rt_fail(fixture.rt, a), LP2P_OK);
        }
        settle(&fixture);
        bool failed = rows[i].end != puppet_stop;
        assert_int_equal(puppet.finis, 1);
        assert_int_equal(puppet.fini_why, failed ? LP2P_FAIL : LP2P_STOP);
        assert_int_equal(fixture.events[1].kind, LP2P_SUP_ENDED);
        assert_int_equal(fixture.events[1].reason, failed ? LP2P_EFAILED : LP2P_OK);
        assert_int_equal(puppet.inits, rows[i].restarted ? 2 : 1);
        assert_int_equal(fixture_events(&fixture, LP2P_SUP_RESTARTED, "a"), rows[i].restarted ? 1 : 0);
        assert_int_equal(fixture_post(&fixture, a, puppet_stop, NULL, NULL), rows[i].restarted);
        if (rows[i].restarted) {
            assert_int_equal(fixture.events[2].ref.slot, fixture.events[0].ref.slot);
            assert_true(fixture.events[2].ref.gen != fixture.events[0].ref.gen);
        }
        assert_int_equal(lp2p_rt_fail(fixture.rt, fixture.events[0].ref),
                         LP2P_EGONE); /* the old generation */
        assert_int_equal(fixture_stop(&fixture), 0);
    }
}

/* restarts_max failures within the period are survived, one more is not; a failure outside of it does not
 * count. */
static void test_supervisor_intensity(void **state)
{
    (void)state;
    for (unsigned max = 0; max < 4; max++) {
        for (int spread = 0; spread < 2; spread++) {
            struct fixture fixture;
            struct lp2p_child_spec child = {.id = "a", .ops = &puppet_ops, .restart = LP2P_PERMANENT};
            fixture_init(&fixture, &child, 1);
            fixture.config.simulated = true;
            fixture.sup.restarts_max = max;
            fixture.sup.period_ms = 1000;
            assert_int_equal(fixture_start(&fixture), LP2P_OK);
            struct lp2p_ref a = lp2p_whereis(fixture.rt, "a");
            for (unsigned i = 0; i < max; i++) {
                fixture_do(&fixture, a, puppet_fail, NULL);
                settle(&fixture);
            }
            assert_int_equal(gate_count(&fixture.root_failed), 0);
            assert_int_equal(fixture_events(&fixture, LP2P_SUP_RESTARTED, "a"), max);
            if (spread != 0) {
                lp2p_sim_run(fixture.rt, lp2p_sim_now(fixture.rt) + LP2P_SEC(1));
            }
            fixture_do(&fixture, a, puppet_fail, NULL);
            settle(&fixture);
            bool survives = spread != 0 && max > 0;
            assert_int_equal(gate_count(&fixture.root_failed), survives ? 0 : 1);
            assert_int_equal(fixture_events(&fixture, LP2P_SUP_GAVE_UP, "a"), survives ? 0 : 1);
            assert_int_equal(fixture_post(&fixture, a, puppet_fail, NULL, NULL), survives);
            assert_int_equal(fixture_stop(&fixture), 0);
        }
    }
}

/* The period is inclusive: a restart exactly that long ago still counts, one nanosecond more does not. */
static void test_supervisor_period_boundary(void **state)
{
    (void)state;
    for (unsigned late_ns = 0; late_ns < 2; late_ns++) {
        struct fixture fixture;
        struct lp2p_child_spec child = {.id = "a", .ops = &puppet_ops, .restart = LP2P_PERMANENT};
        fixture_init(&fixture, &child, 1);
        fixture.config.simulated = true;
        fixture.sup.restarts_max = 1;
        fixture.sup.period_ms = 1000;
        assert_int_equal(fixture_start(&fixture), LP2P_OK);
        struct lp2p_ref a = lp2p_whereis(fixture.rt, "a");
        lp2p_time first = lp2p_sim_now(fixture.rt);
        assert_int_equal(lp2p_rt_fail(fixture.rt, a), LP2P_OK);
        lp2p_sim_run(fixture.rt, first + LP2P_SEC(1) + late_ns);
        assert_int_equal(lp2p_rt_fail(fixture.rt, a), LP2P_OK);
        settle(&fixture);
        assert_int_equal(gate_count(&fixture.root_failed), 1 - late_ns);
        assert_int_equal(fixture_stop(&fixture), 0);
    }
}

/* Two levels: the inner supervisor gives up, the outer one restarts it with its children under their old
 * addresses. */
static void test_supervisor_escalation(void **state)
{
    (void)state;
    struct fixture fixture;
    char log[2048];
    struct lp2p_child_spec inner[] = {
        {.id = "x", .ops = &puppet_ops, .restart = LP2P_PERMANENT},
        {.id = "y", .ops = &puppet_ops, .restart = LP2P_PERMANENT},
    };
    struct lp2p_sup_spec inner_sup = {
        .restarts_max = 1, .period_ms = 1000, .children = inner, .children_len = 2};
    struct lp2p_child_spec children[] = {
        {.id = "a", .ops = &puppet_ops, .restart = LP2P_PERMANENT},
        {.id = "in", .ops = &lp2p_supervisor_ops, .arg = &inner_sup, .restart = LP2P_PERMANENT},
    };
    fixture_init(&fixture, children, 2);
    fixture.config.simulated = true;
    fixture.sup.restarts_max = 1;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref x = lp2p_whereis(fixture.rt, "x"), y = lp2p_whereis(fixture.rt, "y");
    for (int round = 0; round < 2; round++) {
        fixture_do(&fixture, x, puppet_fail, NULL);
        settle(&fixture);
        fixture_do(&fixture, x, puppet_fail, NULL);
        settle(&fixture);
    }
    fixture_log(&fixture, log, sizeof(log));
    assert_string_equal(log,
                        "root/a started, in/x started, in/y started, root/in started, "
                        "in/x ended, in/x restarted, in/x ended, in/x gave up, in/y stopping, in/y ended, "
                        "root/in ended, in/x started, in/y started, root/in restarted, "
                        "in/x ended, in/x restarted, in/x ended, in/x gave up, in/y stopping, in/y ended, "
                        "root/in ended, root/in gave up, root/a stopping, root/a ended");
    assert_int_equal(gate_count(&fixture.root_failed), 1);
    assert_int_equal(fixture.events[11].ref.slot, x.slot);
    assert_int_equal(fixture.events[12].ref.slot, y.slot);
    assert_int_equal(fixture_stop(&fixture), 0);
}

/* The whole tree comes up, or nothing stays. */
static void test_supervisor_start_fails(void **state)
{
    (void)state;
    for (int simulated = 0; simulated < 2; simulated++) {
        struct fixture fixture;
        char log[2048];
        struct puppet good = {0}, bad = {.fail_inits = 1};
        struct lp2p_child_spec inner[] = {
            {.id = "x", .ops = &puppet_ops, .arg = &good, .restart = LP2P_PERMANENT},
            {.id = "bad", .ops = &puppet_ops, .arg = &bad, .restart = LP2P_PERMANENT},
            {.id = "z", .ops = &puppet_ops, .restart = LP2P_PERMANENT},
        };
        struct lp2p_sup_spec inner_sup = {
            .restarts_max = 1, .period_ms = 1000, .children = inner, .children_len = 3};
        struct lp2p_child_spec children[] = {
            {.id = "a", .ops = &puppet_ops, .restart = LP2P_PERMANENT},
            {.id = "in", .ops = &lp2p_supervisor_ops, .arg = &inner_sup, .restart = LP2P_PERMANENT},
        };
        fixture_init(&fixture, children, 2);
        fixture.config.simulated = simulated != 0;
        assert_int_equal(fixture_start(&fixture), LP2P_EADDRINUSE);
        assert_null(fixture.rt);
        assert_string_equal(fixture.failed_id, "bad");
        assert_int_equal(good.inits, 1);
        assert_int_equal(good.finis, 1);
        assert_int_equal(bad.finis, 0);
        assert_int_equal(gate_count(&fixture.root_failed), 0);
        fixture_log(&fixture, log, sizeof(log));
        assert_string_equal(log,
                            "root/a started, in/x started, in/bad start failed, in/x stopping, in/x ended, "
                            "root/in start failed, root/a stopping, root/a ended");
        assert_int_equal(fixture_stop(&fixture), 0);
    }
}

/* A failing init at a restart is a restart that failed: tried again, and counted. */
static void test_supervisor_restart_fails(void **state)
{
    (void)state;
    for (unsigned fails = 1; fails <= 3; fails++) {
        struct fixture fixture;
        struct puppet puppet = {0};
        struct lp2p_child_spec child = {
            .id = "a", .ops = &puppet_ops, .arg = &puppet, .restart = LP2P_TRANSIENT};
        start_sim(&fixture, &child, 1); /* 3 restarts at most */
        puppet.fail_inits = fails;
        fixture_do(&fixture, lp2p_whereis(fixture.rt, "a"), puppet_fail, NULL);
        settle(&fixture);
        assert_int_equal(fixture_events(&fixture, LP2P_SUP_START_FAILED, "a"), fails);
        assert_int_equal(fixture_events(&fixture, LP2P_SUP_RESTARTED, "a"), fails < 3 ? 1 : 0);
        assert_int_equal(gate_count(&fixture.root_failed), fails < 3 ? 0 : 1);
        assert_int_equal(fixture_stop(&fixture), 0);
    }
}

static enum lp2p_verdict end_by_timer(struct lp2p_actor *self, void *puppet, unsigned timer)
{
    (void)self, (void)puppet, (void)timer;
    return LP2P_STOP;
}

static enum lp2p_verdict set_timer(struct lp2p_actor *self, void *arg)
{
    lp2p_timer_set(self, 0, *(lp2p_time *)arg);
    return LP2P_CONTINUE;
}

/* In reverse order; each child has its own deadline, and who does not keep it is ended. */
static void test_supervisor_ordered_stop(void **state)
{
    (void)state;
    struct fixture fixture;
    char log[2048];
    struct puppet slow = {.keeps_running = true, .on_timer = end_by_timer},
                  stubborn = {.keeps_running = true};
    struct lp2p_child_spec children[] = {
        {.id = "a", .ops = &puppet_ops, .restart = LP2P_PERMANENT},
        {.id = "slow", .ops = &puppet_ops, .arg = &slow, .restart = LP2P_PERMANENT, .shutdown_ms = 1000},
        {.id = "stubborn",
         .ops = &puppet_ops,
         .arg = &stubborn,
         .restart = LP2P_PERMANENT,
         .shutdown_ms = 300},
    };
    start_sim(&fixture, children, 3);
    lp2p_time begin = lp2p_sim_now(fixture.rt), timer = begin + LP2P_MS(700);
    fixture_do(&fixture, lp2p_whereis(fixture.rt, "slow"), set_timer, &timer);
    assert_int_equal(fixture_stop(&fixture), 0);
    fixture_log(&fixture, log, sizeof(log));
    assert_string_equal(log,
                        "root/a started, root/slow started, root/stubborn started, "
                        "root/stubborn stopping, root/stubborn ended, root/slow stopping, root/slow ended, "
                        "root/a stopping, root/a ended");
    assert_int_equal(fixture.events[4].reason, LP2P_EFAILED); /* it had to be ended */
    assert_int_equal(stubborn.fini_why, LP2P_FAIL);
    assert_int_equal(fixture.events[6].reason, LP2P_OK);
    assert_int_equal(slow.fini_why, LP2P_STOP);
}

/* A supervisor that is made to fail ends its children first. */
static void test_supervisor_injected_failure(void **state)
{
    (void)state;
    struct fixture fixture;
    char log[2048];
    struct lp2p_child_spec inner = {.id = "x", .ops = &puppet_ops, .restart = LP2P_PERMANENT};
    struct lp2p_sup_spec inner_sup = {
        .restarts_max = 1, .period_ms = 1000, .children = &inner, .children_len = 1};
    struct lp2p_child_spec child = {
        .id = "in", .ops = &lp2p_supervisor_ops, .arg = &inner_sup, .restart = LP2P_TRANSIENT};
    start_sim(&fixture, &child, 1);
    assert_int_equal(lp2p_rt_fail(fixture.rt, lp2p_whereis(fixture.rt, "in")), LP2P_OK);
    settle(&fixture);
    fixture_log(&fixture, log, sizeof(log));
    assert_string_equal(
        log, "in/x started, root/in started, in/x stopping, in/x ended, root/in ended, in/x started, "
             "root/in restarted");
    assert_int_equal(fixture_stop(&fixture), 0);
}

static void test_supervisor_stop_static(void **state)
{
    (void)state;
    struct fixture fixture;
    struct lp2p_child_spec children[] = {{.id = "a", .ops = &puppet_ops, .restart = LP2P_PERMANENT},
                                         {.id = "b", .ops = &puppet_ops, .restart = LP2P_PERMANENT}};
    start_sim(&fixture, children, 2);
    fixture_do(&fixture, lp2p_whereis(fixture.rt, "b"), puppet_stop_other, (char[]){"a"});
    settle(&fixture);
    assert_int_equal(fixture_events(&fixture, LP2P_SUP_ENDED, "a"), 1);
    assert_int_equal(fixture_events(&fixture, LP2P_SUP_RESTARTED, "a"), 0);
    assert_true(lp2p_ref_eq(lp2p_whereis(fixture.rt, "a"), LP2P_REF_NONE)); /* forgotten */
    assert_int_equal(fixture_stop(&fixture), 0);
}

/* A handler that blocks on a thread of its own is a failure after stall_ms: the slot goes on on a new thread,
 * and the old one finds out when it comes back. (So long that no busy machine takes a handler of this test for one.) */
static void test_supervisor_stall(void **state)
{
    (void)state;
    struct fixture fixture;
    struct gate blocked = GATE_INIT, gate = GATE_INIT;
    struct puppet puppet = {.gate = &gate};
    struct lp2p_child_spec child = {
        .id = "a", .ops = &puppet_ops, .arg = &puppet, .restart = LP2P_PERMANENT, .stall_ms = 1000};
    fixture_init(&fixture, &child, 1);
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref a = lp2p_whereis(fixture.rt, "a");
    assert_true(fixture_post(&fixture, a, puppet_block, &blocked, NULL));
    fixture_wait_event(&fixture, LP2P_SUP_ABANDONED, "a", 1);
    fixture_wait_event(&fixture, LP2P_SUP_RESTARTED, "a", 1);
    fixture_do(&fixture, a, puppet_nothing, NULL); /* served by the new thread while the old one blocks */
    gate_raise(&blocked);
    gate_wait(&gate, 3); /* two inits, and the fini of the first body on its old thread */
    assert_int_equal(puppet.finis, 1);
    fixture_do(&fixture, a, puppet_nothing, NULL);
    struct lp2p_rt_stats stats;
    lp2p_rt_stats_get(fixture.rt, &stats);
    assert_int_equal(stats.abandoned, 1);
    assert_int_equal(stats.restarts, 1);
    assert_int_equal(fixture_stop(&fixture), 0);
}

/* A handler that never comes back does not keep the runtime from ending: counted, and leaked on purpose. */
static void test_supervisor_blocked_for_ever(void **state)
{
    (void)state;
    static struct gate blocked = GATE_INIT, running = GATE_INIT; /* the thread outlives the test */
    static struct puppet puppet;
    static struct fixture fixture;
    static struct lp2p_child_spec child = {
        .id = "a", .ops = &puppet_ops, .arg = &puppet, .restart = LP2P_PERMANENT, .shutdown_ms = 20};
    fixture_init(&fixture, &child, 1);
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    assert_true(fixture_post(&fixture, lp2p_whereis(fixture.rt, "a"), puppet_tell_and_block,
                             (struct gate *[]){&running, &blocked}, NULL));
    gate_wait(&running, 1);
    assert_int_equal(fixture_stop(&fixture), 1);
    assert_int_equal(fixture_events(&fixture, LP2P_SUP_ABANDONED, "a"), 1);
    assert_int_equal(puppet.finis, 0);
    gate_raise(&blocked); /* it finds its way out: over memory that was left to it */
}

/* Two actors share a thread that is blocked for ever by one of them: the other one cannot be ended either. */
static void test_supervisor_blocked_thread(void **state)
{
    (void)state;
    static struct gate blocked = GATE_INIT, running = GATE_INIT, fini = GATE_INIT;
    static struct puppet a = {.gate = &fini}, b = {.gate = &fini};
    static struct fixture fixture;
    static struct lp2p_child_spec children[] = {
        {.id = "a",
         .ops = &puppet_ops,
         .arg = &a,
         .restart = LP2P_PERMANENT,
         .shutdown_ms = 10,
         .placement = {.place = LP2P_PLACE_GROUP}},
        {.id = "b",
         .ops = &puppet_ops,
         .arg = &b,
         .restart = LP2P_PERMANENT,
         .shutdown_ms = 10,
         .placement = {.place = LP2P_PLACE_GROUP}},
    };
    fixture_init(&fixture, children, 2);
    fixture.config.groups[0] = (struct lp2p_group_config){.name = "io", .threads = 1};
    fixture.config.groups_len = 1;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    assert_true(fixture_post(&fixture, lp2p_whereis(fixture.rt, "a"), puppet_tell_and_block,
                             (struct gate *[]){&running, &blocked}, NULL));
    gate_wait(&running, 1);
    assert_int_equal(fixture_stop(&fixture), 2);
    assert_int_equal(fixture_events(&fixture, LP2P_SUP_ABANDONED, "a"), 1);
    assert_int_equal(fixture_events(&fixture, LP2P_SUP_ABANDONED, "b"), 1);
    gate_raise(&blocked);
    gate_wait(&fini, 4); /* the thread comes back and finishes both bodies */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_supervisor_restart_rules),
        cmocka_unit_test(test_supervisor_intensity),
        cmocka_unit_test(test_supervisor_period_boundary),
        cmocka_unit_test(test_supervisor_escalation),
        cmocka_unit_test(test_supervisor_start_fails),
        cmocka_unit_test(test_supervisor_restart_fails),
        cmocka_unit_test(test_supervisor_ordered_stop),
        cmocka_unit_test(test_supervisor_injected_failure),
        cmocka_unit_test(test_supervisor_stop_static),
        cmocka_unit_test(test_supervisor_stall),
        cmocka_unit_test(test_supervisor_blocked_for_ever),
        cmocka_unit_test(test_supervisor_blocked_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
