/* SPDX-License-Identifier: MIT
 * Mailboxes: order for each sender and lane, verdicts when full or gone, what a restart drops and what it
 * keeps. */
#include "fixture.h"

#include <sched.h>
#include <string.h>

struct number {
    struct lp2p_msg msg;
    unsigned sender, value;
};
static unsigned drops; /* atomic */

static void count_drop(struct lp2p_msg *msg)
{
    (void)msg;
    __atomic_fetch_add(&drops, 1, __ATOMIC_RELAXED);
}

static const struct lp2p_msg_class NORMAL = {"NORMAL", sizeof(struct number), LP2P_LANE_NORMAL, count_drop, NULL};
static const struct lp2p_msg_class URGENT = {"URGENT", sizeof(struct number), LP2P_LANE_URGENT, count_drop, NULL};

/** Collects numbers in the order of their arrival. */
struct sink {
    struct gate arrived;
    unsigned seen[4096], seen_len;
    struct gate hold; /* while blocking: raised to let it go */
    bool fail_next;
};

static enum lp2p_err sink_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    *(struct sink **)state = (struct sink *)(uintptr_t)arg;
    return LP2P_OK;
}

static enum lp2p_verdict sink_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct sink *sink = *(struct sink **)state;
    if ((*msg)->cls == &PUPPET_DO) {
        struct puppet_do *what = LP2P_MSG_AS(*msg, &PUPPET_DO, puppet_do);
        gate_raise(what->done);
        return what->fn(self, what->arg);
    }
    const struct number *number = (const struct number *)(const void *)*msg;
    sink->seen[sink->seen_len++ % 4096] =
        number->value | ((*msg)->cls == &URGENT ? 1u << 31 : 0) | number->sender << 24;
    gate_raise(&sink->arrived);
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops sink_ops = {
    .name = "sink", .state_size = sizeof(struct sink *), .init = sink_init, .on_msg = sink_msg};

static enum lp2p_err post(struct fixture *fixture, struct lp2p_ref to, const struct lp2p_msg_class *cls,
                          unsigned value)
{
    struct lp2p_msg *msg = lp2p_msg_new(cls);
    ((struct number *)(void *)msg)->value = value;
    enum lp2p_err err = lp2p_post(fixture->rt, to, &msg);
    assert_true((err == LP2P_OK) == (msg == NULL)); /* taken, or still ours */
    lp2p_msg_drop(&msg);
    return err;
}

static struct lp2p_ref start(struct fixture *fixture, struct sink *sink, struct lp2p_child_spec *spec,
                             bool simulated)
{
    *sink = (struct sink){.arrived = GATE_INIT, .hold = GATE_INIT};
    *spec = (struct lp2p_child_spec){
        .id = "sink", .ops = &sink_ops, .arg = sink, .restart = LP2P_PERMANENT, .mailbox_max = 8};
    fixture_init(fixture, spec, 1);
    fixture->config.simulated = simulated;
    assert_int_equal(fixture_start(fixture), LP2P_OK);
    return lp2p_whereis(fixture->rt, "sink");
}

static void test_mailbox_lanes(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sink sink;
    struct lp2p_child_spec spec;
    struct lp2p_ref to = start(&fixture, &sink, &spec, true);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(post(&fixture, to, &NORMAL, i), LP2P_OK);
    }
    /* Nothing has been served yet: the normal lane is full, the urgent one has as many places again. */
    assert_int_equal(post(&fixture, to, &NORMAL, 8), LP2P_EFULL);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(post(&fixture, to, &URGENT, i), LP2P_OK);
    }
    assert_int_equal(post(&fixture, to, &URGENT, 8), LP2P_EFULL);
    fixture_wait(&fixture, &sink.arrived, 16);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(sink.seen[i], i | 1u << 31);
        assert_int_equal(sink.seen[8 + i], i);
    }
    /* The places are free again. */
    assert_int_equal(post(&fixture, to, &NORMAL, 9), LP2P_OK);
    assert_int_equal(post(&fixture, to, &URGENT, 9), LP2P_OK);
    fixture_wait(&fixture, &sink.arrived, 18);
    assert_int_equal(fixture_stop(&fixture), 0);
}

static void test_mailbox_full_real(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sink sink;
    struct lp2p_child_spec spec;
    struct gate running = GATE_INIT;
    struct lp2p_ref to = start(&fixture, &sink, &spec, false);
    assert_true(fixture_post(&fixture, to, puppet_block, &sink.hold, &running));
    gate_wait(&running, 1); /* from here on it serves nothing, and its place is free again */
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(post(&fixture, to, &NORMAL, i), LP2P_OK);
    }
    assert_int_equal(post(&fixture, to, &NORMAL, 8), LP2P_EFULL);
    assert_int_equal(post(&fixture, to, &URGENT, 0), LP2P_OK);
    struct lp2p_actor_stats stats[4];
    size_t count = lp2p_rt_snapshot(fixture.rt, stats, 4);
    assert_int_equal(count, 2);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(stats[i].id, "sink") == 0) {
            found = true;
            assert_int_equal(stats[i].depth, 9);
            assert_true(stats[i].running_ns > 0);
            assert_string_equal(stats[i].kind, "sink");
            assert_string_equal(stats[i].thread, "sink");
        }
    }
    assert_true(found);
    gate_raise(&sink.hold);
    gate_wait(&sink.arrived, 9);
    assert_int_equal(sink.seen[0], 1u << 31);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(sink.seen[i + 1], i);
    }
    assert_int_equal(fixture_stop(&fixture), 0);
}

struct burst {
    struct fixture *fixture;
    struct lp2p_ref to;
    unsigned sender, count;
};

static void *send_burst(void *arg)
{
    struct burst *burst = arg;
    for (unsigned i = 0; i < burst->count; i++) {
        struct lp2p_msg *msg = lp2p_msg_new(i % 3 == 0 ? &URGENT : &NORMAL);
        ((struct number *)(void *)msg)->value = i;
        ((struct number *)(void *)msg)->sender = burst->sender;
        while (lp2p_post(burst->fixture->rt, burst->to, &msg) == LP2P_EFULL) {
            sched_yield();
        }
        LP2P_CHECK(msg == NULL);
    }
    return NULL;
}

static void test_mailbox_order_of_each_sender(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sink sink;
    struct lp2p_child_spec spec;
    struct lp2p_ref to = start(&fixture, &sink, &spec, false);
    struct burst bursts[4];
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++) {
        bursts[i] = (struct burst){&fixture, to, i, 1000};
        assert_int_equal(pthread_create(&threads[i], NULL, send_burst, &bursts[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    gate_wait(&sink.arrived, 4000);
    assert_int_equal(fixture_stop(&fixture), 0);
    int last[4][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    for (unsigned i = 0; i < 4000; i++) {
        unsigned lane = sink.seen[i] >> 31, sender = sink.seen[i] >> 24 & 0x7f;
        int value = (int)(sink.seen[i] & 0xffffff);
        assert_true(value > last[sender][lane]);
        last[sender][lane] = value;
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(last[i][0], 998);
        assert_int_equal(last[i][1], 999);
    }
}

static void test_mailbox_stale(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sink sink;
    struct lp2p_child_spec spec;
    struct lp2p_rt_stats stats;
    struct gate done = GATE_INIT;
    struct lp2p_ref named = start(&fixture, &sink, &spec, true);
    struct lp2p_ref exact = fixture.events[fixture.events_len - 1].ref;
    assert_int_equal(exact.slot, named.slot);
    assert_int_equal(post(&fixture, exact, &NORMAL, 1), LP2P_OK);
    fixture_wait(&fixture, &sink.arrived, 1);
    /* Behind the failing message: dropped with their generation, whatever their address. */
    __atomic_store_n(&drops, 0, __ATOMIC_RELAXED);
    assert_true(fixture_post(&fixture, named, puppet_fail, NULL, &done));
    assert_int_equal(post(&fixture, exact, &NORMAL, 2), LP2P_OK);
    assert_int_equal(post(&fixture, named, &NORMAL, 3), LP2P_OK);
    while (gate_count(&done) == 0) {
        assert_true(lp2p_sim_step(fixture.rt, LP2P_NEVER));
    }
    lp2p_rt_stats_get(fixture.rt, &stats);
    assert_int_equal(stats.stale_msgs, 2);
    assert_int_equal(__atomic_load_n(&drops, __ATOMIC_RELAXED), 2);
    /* Between the generations: the exact address is stale, the named one keeps its messages for the next. */
    assert_int_equal(post(&fixture, exact, &NORMAL, 4), LP2P_EGONE);
    assert_int_equal(post(&fixture, named, &NORMAL, 5), LP2P_OK);
    fixture_wait_event(&fixture, LP2P_SUP_RESTARTED, "sink", 1);
    fixture_wait(&fixture, &sink.arrived, 2);
    assert_int_equal(sink.seen[1], 5);
    assert_int_equal(post(&fixture, exact, &NORMAL, 6), LP2P_EGONE);
    assert_int_equal(post(&fixture, LP2P_REF_NONE, &NORMAL, 7), LP2P_EGONE);
    assert_int_equal(post(&fixture, (struct lp2p_ref){9999999, 0}, &NORMAL, 8), LP2P_EGONE);
    assert_int_equal(fixture_stop(&fixture), 0);
}

/* A turn serves a batch, so that a flood at one actor does not keep the others of its thread from running. */
static void test_mailbox_batch(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sink sink = {.arrived = GATE_INIT};
    struct lp2p_child_spec spec = {.id = "sink", .ops = &sink_ops, .arg = &sink, .mailbox_max = 1000};
    fixture_init(&fixture, &spec, 1);
    fixture.config.simulated = true;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref to = lp2p_whereis(fixture.rt, "sink");
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(post(&fixture, to, &NORMAL, i), LP2P_OK);
        assert_int_equal(post(&fixture, to, &URGENT, i), LP2P_OK);
    }
    assert_true(lp2p_sim_step(fixture.rt, LP2P_NEVER));
    assert_int_equal(sink.seen_len, 264); /* all that is urgent, and 64 */
    assert_true(lp2p_sim_step(fixture.rt, LP2P_NEVER));
    assert_int_equal(sink.seen_len, 328);
    fixture_wait(&fixture, &sink.arrived, 400);
    assert_int_equal(fixture_stop(&fixture), 0);
}

static void test_mailbox_undelivered_are_dropped(void **state)
{
    (void)state;
    struct fixture fixture;
    struct sink sink;
    struct lp2p_child_spec spec;
    struct lp2p_ref to = start(&fixture, &sink, &spec, true);
    __atomic_store_n(&drops, 0, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(post(&fixture, to, &NORMAL, i), LP2P_OK);
    }
    /* The stop may be served before or after them: each is dropped exactly once, by the handler's end or by
     * the drain. */
    assert_int_equal(fixture_stop(&fixture), 0);
    assert_int_equal(__atomic_load_n(&drops, __ATOMIC_RELAXED), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mailbox_lanes),
        cmocka_unit_test(test_mailbox_full_real),
        cmocka_unit_test(test_mailbox_order_of_each_sender),
        cmocka_unit_test(test_mailbox_stale),
        cmocka_unit_test(test_mailbox_batch),
        cmocka_unit_test(test_mailbox_undelivered_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
