/* SPDX-License-Identifier: MIT
 * Requests and the end of who should have read them: each that was taken from its sender gets exactly one
 * answer, of the receiver or of the runtime, however the receiver ends. */
#include "fixture.h"

#include "runtime/mailbox.h"
#include "runtime/registry.h"

#include <string.h>

#define QUESTIONS_MAX 256

struct question {
    struct lp2p_msg msg;
    unsigned number;
    bool unread;
};
static struct lp2p_msg *refuse(struct lp2p_msg **msg, enum lp2p_err why);
static unsigned drops; /* atomic: of QUESTION and AGAIN */

static void count_drop(struct lp2p_msg *msg)
{
    (void)msg;
    __atomic_fetch_add(&drops, 1, __ATOMIC_RELAXED);
}

static struct lp2p_msg *come_again(struct lp2p_msg **msg, enum lp2p_err why)
{
    assert_int_equal(why, LP2P_EGONE);
    struct lp2p_msg *same = *msg;
    *msg = NULL;
    return same;
}

static const struct lp2p_msg_class QUESTION = {"QUESTION", sizeof(struct question), LP2P_LANE_NORMAL, count_drop, refuse};
static const struct lp2p_msg_class AGAIN = {"AGAIN", sizeof(struct question), LP2P_LANE_NORMAL, count_drop, come_again};
static const struct lp2p_msg_class ANSWER = {"ANSWER", sizeof(struct question), LP2P_LANE_NORMAL, NULL, NULL};

static struct lp2p_msg *new_question(const struct lp2p_msg_class *cls, unsigned number)
{
    struct lp2p_msg *msg = lp2p_msg_new(cls);
    assert_non_null(msg);
    ((struct question *)(void *)msg)->number = number;
    return msg;
}

static struct lp2p_msg *refuse(struct lp2p_msg **msg, enum lp2p_err why)
{
    assert_int_equal(why, LP2P_EGONE);
    struct lp2p_msg *answer = new_question(&ANSWER, ((struct question *)(void *)*msg)->number);
    ((struct question *)(void *)answer)->unread = true;
    answer->to = (*msg)->from;
    answer->tag = (*msg)->tag;
    return answer;
}

/** Asks, and counts what it hears. */
struct asker {
    struct fixture *fixture;
    struct lp2p_ref target;
    unsigned asked, refused, read, unread; /* atomics */
    unsigned taken[QUESTIONS_MAX], answers[QUESTIONS_MAX];
    struct gate answered;
    /* the course of the simulated tests */
    unsigned tick, end_at;
    void (*end)(struct lp2p_actor *self, struct asker *asker);
};

static void ask(struct lp2p_actor *self, struct asker *asker)
{
    unsigned number = asker->asked++;
    assert_true(number < QUESTIONS_MAX);
    struct lp2p_msg *msg = new_question(&QUESTION, number);
    msg->tag = 7000 + number;
    asker->taken[number] = lp2p_send(self, asker->target, &msg) == LP2P_OK;
    asker->refused += !asker->taken[number];
    assert_true((msg == NULL) == asker->taken[number]);
    lp2p_msg_drop(&msg);
}

static enum lp2p_err asker_init(struct lp2p_actor *self, void *state, const void *arg)
{
    *(struct asker **)state = (struct asker *)(uintptr_t)arg;
    if ((*(struct asker **)state)->end != NULL) {
        lp2p_timer_set(self, 0, lp2p_now(self) + LP2P_MS(1));
    }
    return LP2P_OK;
}

static enum lp2p_verdict asker_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct asker *asker = *(struct asker **)state;
    if ((*msg)->cls == &PUPPET_DO) {
        struct puppet_do *what = LP2P_MSG_AS(*msg, &PUPPET_DO, puppet_do);
        enum lp2p_verdict verdict = what->fn(self, what->arg);
        if (what->done != NULL) {
            gate_raise(what->done);
        }
        return verdict;
    }
    if ((*msg)->cls == &ANSWER) {
        const struct question *answer = LP2P_MSG_AS(*msg, &ANSWER, question);
        assert_int_equal(answer->msg.tag, 7000 + answer->number);
        asker->answers[answer->number]++;
        *(answer->unread ? &asker->unread : &asker->read) += 1;
        gate_raise(&asker->answered);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict asker_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct asker *asker = *(struct asker **)state;
    ask(self, asker);
    if (asker->tick++ == asker->end_at) {
        asker->end(self, asker);
    }
    ask(self, asker);
    if (asker->tick < 20) {
        lp2p_timer_set(self, timer, lp2p_now(self) + LP2P_MS(1));
    }
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops asker_ops = {
    .name = "asker", .state_size = sizeof(void *), .init = asker_init, .on_msg = asker_msg, .on_timer = asker_timer};

/** Answers. */
struct target {
    unsigned fail_inits; /* so many of the next ones */
    bool keeps_running;  /* is not done when it is asked to stop */
    unsigned again[QUESTIONS_MAX], again_len, inits;
};

static enum lp2p_err target_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    struct target *target = (struct target *)(uintptr_t)arg;
    *(struct target **)state = target;
    return target->inits++ > 0 && target->fail_inits > 0 && target->fail_inits-- > 0 ? LP2P_EIO : LP2P_OK;
}

static enum lp2p_verdict target_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct target *target = *(struct target **)state;
    if ((*msg)->cls == &PUPPET_DO) {
        struct puppet_do *what = LP2P_MSG_AS(*msg, &PUPPET_DO, puppet_do);
        return what->fn(self, what->arg);
    }
    unsigned number = ((struct question *)(void *)*msg)->number;
    if ((*msg)->cls == &AGAIN) {
        target->again[target->again_len++] = number;
        return LP2P_CONTINUE;
    }
    struct lp2p_msg *answer = new_question(&ANSWER, number);
    assert_int_equal(lp2p_reply(self, *msg, &answer), LP2P_OK);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict target_stop(struct lp2p_actor *self, void *state)
{
    (void)self;
    return (*(struct target **)state)->keeps_running ? LP2P_CONTINUE : LP2P_STOP;
}

static const struct lp2p_actor_ops target_ops = {
    .name = "target", .state_size = sizeof(void *), .init = target_init, .on_msg = target_msg, .on_stop = target_stop};

/** root over asker and sub, sub over target. */
struct stage {
    struct fixture fixture;
    struct asker asker;
    struct target target;
    struct lp2p_child_spec top[2], below;
    struct lp2p_sup_spec sub;
};

static void stage_start(struct stage *stage, uint64_t seed, unsigned restarts_max, unsigned asker_max)
{
    stage->asker.fixture = &stage->fixture;
    stage->asker.answered = (struct gate)GATE_INIT;
    stage->below = (struct lp2p_child_spec){
        .id = "target", .ops = &target_ops, .arg = &stage->target, .restart = LP2P_PERMANENT, .shutdown_ms = 5};
    stage->sub = (struct lp2p_sup_spec){
        .restarts_max = restarts_max, .period_ms = 1000, .children = &stage->below, .children_len = 1};
    stage->top[0] = (struct lp2p_child_spec){.id = "asker",
                                             .ops = &asker_ops,
                                             .arg = &stage->asker,
                                             .restart = LP2P_PERMANENT,
                                             .mailbox_max = asker_max};
    stage->top[1] = (struct lp2p_child_spec){
        .id = "sub", .ops = &lp2p_supervisor_ops, .arg = &stage->sub, .restart = LP2P_PERMANENT};
    fixture_init(&stage->fixture, stage->top, 2);
    stage->fixture.config.simulated = seed != 0;
    stage->fixture.config.seed = seed;
    assert_int_equal(fixture_start(&stage->fixture), LP2P_OK);
    stage->asker.target = lp2p_whereis(stage->fixture.rt, "target");
}

/** The present one by that name, with its generation. */
static struct lp2p_ref fixture_ref(struct fixture *fixture, const char *id)
{
    size_t i = fixture->events_len;
    while (i-- > 0 && (strcmp(fixture->events[i].child, id) != 0 || fixture->events[i].kind == LP2P_SUP_ENDED)) {
    }
    assert_true(i < fixture->events_len);
    return fixture->events[i].ref;
}

static void check_answers(const struct asker *asker)
{
    for (unsigned i = 0; i < asker->asked; i++) {
        assert_int_equal(asker->answers[i], asker->taken[i]);
    }
    assert_int_equal(asker->read + asker->unread + asker->refused, asker->asked);
}

/* ---- every kind of end, with mail before and after it, in many orders */

static void tell(struct lp2p_actor *self, struct asker *asker, puppet_fn fn)
{
    struct lp2p_msg *msg = lp2p_msg_new(&PUPPET_DO);
    LP2P_MSG_AS(msg, &PUPPET_DO, puppet_do)->fn = fn;
    lp2p_send_or_drop(self, asker->target, &msg);
}

static void by_verdict_stop(struct lp2p_actor *self, struct asker *asker)
{
    tell(self, asker, puppet_stop);
}

static void by_verdict_fail(struct lp2p_actor *self, struct asker *asker)
{
    tell(self, asker, puppet_fail);
}

static void by_drill(struct lp2p_actor *self, struct asker *asker)
{
    assert_int_equal(lp2p_rt_fail(lp2p_actor_rt(self), asker->target), LP2P_OK);
}

static void by_supervisor(struct lp2p_actor *self, struct asker *asker)
{
    lp2p_stop(self, asker->target);
}

static void by_death_of_supervisor(struct lp2p_actor *self, struct asker *asker)
{
    (void)asker;
    assert_int_equal(lp2p_rt_fail(lp2p_actor_rt(self), lp2p_whereis(lp2p_actor_rt(self), "sub")), LP2P_OK);
}

struct way {
    const char *name;
    void (*end)(struct lp2p_actor *self, struct asker *asker);
    unsigned restarts_max, fail_inits;
    bool keeps_running, exact;
};

static unsigned run_way(const struct way *way, uint64_t seed)
{
    struct stage stage = {.asker = {.end = way->end, .end_at = 3 + (unsigned)(seed % 10)},
                          .target = {.fail_inits = way->fail_inits, .keeps_running = way->keeps_running}};
    stage_start(&stage, seed, way->restarts_max, 0);
    if (way->exact) {
        stage.asker.target = fixture_ref(&stage.fixture, "target");
    }
    lp2p_sim_run(stage.fixture.rt, lp2p_sim_now(stage.fixture.rt) + LP2P_SEC(1));
    assert_int_equal(stage.asker.asked, 40);
    check_answers(&stage.asker);
    assert_int_equal(fixture_stop(&stage.fixture), 0);
    return stage.asker.unread;
}

static void test_unread_every_end(void **state)
{
    (void)state;
    static const struct way ways[] = {
        {"stops", by_verdict_stop, 100, 0, false, false},
        {"stops, exact", by_verdict_stop, 100, 0, false, true},
        {"fails", by_verdict_fail, 100, 0, false, false},
        {"fails, exact", by_verdict_fail, 100, 0, false, true},
        {"is failed", by_drill, 100, 0, false, true},
        {"cannot come up again at first", by_verdict_fail, 100, 3, false, false},
        {"is given up", by_verdict_fail, 0, 0, false, false},
        {"is stopped", by_supervisor, 100, 0, false, false},
        {"is killed", by_supervisor, 100, 0, true, false},
        {"ends with its supervisor", by_death_of_supervisor, 100, 0, false, false},
        {"ends with its supervisor, exact", by_death_of_supervisor, 100, 0, true, true},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(ways); i++) {
        unsigned unread = 0;
        for (uint64_t seed = 1; seed <= 60; seed++) {
            unread += run_way(&ways[i], seed);
        }
        if (unread == 0) {
            print_message("%s: nothing was left unread\n", ways[i].name);
        }
        assert_true(unread > 0); /* or the orders tried prove nothing */
    }
}

/* A child whose first init fails: what was sent to the address that lp2p_spawn gave comes back. */
static struct lp2p_child_spec stillborn;

static enum lp2p_err born_dead(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self, (void)state, (void)arg;
    return LP2P_EIO;
}

static enum lp2p_verdict ask_stillborn(struct lp2p_actor *self, void *arg)
{
    struct asker *asker = arg;
    assert_int_equal(lp2p_spawn(self, lp2p_whereis(lp2p_actor_rt(self), "root"), &stillborn, &asker->target), LP2P_OK);
    for (unsigned i = 0; i < 5; i++) {
        ask(self, asker);
    }
    return LP2P_CONTINUE;
}

static void test_unread_failed_init(void **state)
{
    (void)state;
    static const struct lp2p_actor_ops ops = {.name = "stillborn", .init = born_dead};
    stillborn = (struct lp2p_child_spec){.id = "stillborn", .ops = &ops, .restart = LP2P_TEMPORARY};
    struct stage stage = {0};
    stage_start(&stage, 5, 100, 0);
    fixture_do(&stage.fixture, lp2p_whereis(stage.fixture.rt, "asker"), ask_stillborn, &stage.asker);
    fixture_wait(&stage.fixture, &stage.asker.answered, 5);
    lp2p_sim_run(stage.fixture.rt, lp2p_sim_now(stage.fixture.rt) + LP2P_SEC(1));
    assert_int_equal(stage.asker.unread, 5);
    check_answers(&stage.asker);
    assert_int_equal(fixture_stop(&stage.fixture), 0);
}

/* A handler that does not come back: its actor is taken off the thread, and its mail is answered. */
static enum lp2p_verdict ask_and_stop(struct lp2p_actor *self, void *arg)
{
    struct asker *asker = arg;
    for (unsigned i = 0; i < 5; i++) {
        ask(self, asker);
    }
    lp2p_stop(self, asker->target);
    return LP2P_CONTINUE;
}

static void test_unread_abandoned(void **state)
{
    (void)state;
    struct stage stage = {0};
    struct gate hold = GATE_INIT, running = GATE_INIT;
    struct gate *gates[] = {&running, &hold};
    stage_start(&stage, 0, 100, 0);
    assert_true(fixture_post(&stage.fixture, stage.asker.target, puppet_tell_and_block, gates, NULL));
    gate_wait(&running, 1);
    fixture_do(&stage.fixture, lp2p_whereis(stage.fixture.rt, "asker"), ask_and_stop, &stage.asker);
    fixture_wait_event(&stage.fixture, LP2P_SUP_ABANDONED, "target", 1);
    gate_wait(&stage.asker.answered, 5);
    gate_raise(&hold);
    assert_int_equal(fixture_stop(&stage.fixture), 0);
    assert_int_equal(stage.asker.unread, 5);
    check_answers(&stage.asker);
}

/* ---- the answer itself */

struct full {
    struct stage stage;
    struct gate asked, ended;
};

static enum lp2p_verdict ask_and_fill(struct lp2p_actor *self, void *arg)
{
    struct full *full = arg;
    struct asker *asker = &full->stage.asker;
    tell(self, asker, puppet_fail);
    for (unsigned i = 0; i < 8; i++) {
        ask(self, asker);
    }
    enum lp2p_err err = LP2P_OK;
    while (err == LP2P_OK) {
        struct lp2p_msg *msg = lp2p_msg_new(&PUPPET_DO);
        LP2P_MSG_AS(msg, &PUPPET_DO, puppet_do)->fn = puppet_nothing;
        err = lp2p_send(self, lp2p_self(self), &msg);
        lp2p_msg_drop(&msg);
    }
    assert_int_equal(err, LP2P_EFULL);
    gate_raise(&full->asked);
    gate_wait(&full->ended, 1);
    return LP2P_CONTINUE;
}

static void test_unread_answer_finds_room(void **state)
{
    (void)state;
    static struct full full;
    full = (struct full){.asked = GATE_INIT, .ended = GATE_INIT};
    stage_start(&full.stage, 0, 100, 8);
    struct lp2p_ref asker = lp2p_whereis(full.stage.fixture.rt, "asker");
    struct gate hold = GATE_INIT, running = GATE_INIT;
    struct gate *gates[] = {&running, &hold};
    assert_true(fixture_post(&full.stage.fixture, full.stage.asker.target, puppet_tell_and_block, gates, NULL));
    gate_wait(&running, 1); /* nothing is read before all is asked */
    assert_true(fixture_post(&full.stage.fixture, asker, ask_and_fill, &full, NULL));
    gate_wait(&full.asked, 1);
    gate_raise(&hold);
    fixture_wait_event(&full.stage.fixture, LP2P_SUP_RESTARTED, "target", 1);
    struct lp2p_msg *msg = new_question(&ANSWER, 0);
    assert_int_equal(lp2p_post(full.stage.fixture.rt, asker, &msg), LP2P_EFULL); /* it was, all the time */
    lp2p_msg_drop(&msg);
    gate_raise(&full.ended);
    gate_wait(&full.stage.asker.answered, 8);
    struct gate served = GATE_INIT; /* and the places are all free again */
    for (unsigned i = 0; i < 8; i++) {
        assert_true(fixture_post(&full.stage.fixture, asker, puppet_nothing, NULL, &served));
        gate_wait(&served, i + 1);
    }
    assert_int_equal(full.stage.asker.unread, 8);
    check_answers(&full.stage.asker);
    assert_int_equal(fixture_stop(&full.stage.fixture), 0);
}

static enum lp2p_verdict stop_target(struct lp2p_actor *self, void *arg)
{
    lp2p_stop(self, ((struct asker *)arg)->target);
    return LP2P_CONTINUE;
}

/* A sender has looked at the address, and the actor ends before it has put its message down: the order of steps that threads
 * seldom meet, made by hand on the one thread of a simulation. */
static void put_down_late(struct stage *stage, struct lp2p_ref to, unsigned number)
{
    struct lp2p_slot *slot = lp2p_slot_get(stage->fixture.rt, to.slot);
    struct lp2p_msg *msg = new_question(&QUESTION, number);
    uint32_t gen = slot->gen, open = slot->open;
    msg->from = fixture_ref(&stage->fixture, "asker");
    msg->tag = 7000 + number;
    slot->gen = to.gen;
    slot->open = 1;
    assert_int_equal(lp2p_mail_send(stage->fixture.rt, to, &msg, NULL), LP2P_OK);
    slot->gen = gen;
    slot->open = open;
    stage->asker.taken[number] = 1;
    stage->asker.asked++;
}

static void test_unread_late(void **state)
{
    (void)state;
    struct stage stage = {0};
    stage_start(&stage, 11, 100, 0);
    struct lp2p_ref named = stage.asker.target, exact = fixture_ref(&stage.fixture, "target");
    assert_true(fixture_post(&stage.fixture, named, puppet_fail, NULL, NULL));
    fixture_wait_event(&stage.fixture, LP2P_SUP_ENDED, "target", 1);
    put_down_late(&stage, exact, 0); /* between two generations */
    fixture_wait_event(&stage.fixture, LP2P_SUP_RESTARTED, "target", 1);
    put_down_late(&stage, exact, 1); /* the next one does not get it */
    fixture_do(&stage.fixture, fixture_ref(&stage.fixture, "asker"), stop_target, &stage.asker);
    fixture_wait_event(&stage.fixture, LP2P_SUP_ENDED, "target", 2);
    lp2p_sim_run(stage.fixture.rt, lp2p_sim_now(stage.fixture.rt) + LP2P_SEC(1));
    put_down_late(&stage, exact, 2); /* nobody holds the slot: its mail is the janitor's */
    put_down_late(&stage, named, 3);
    lp2p_sim_run(stage.fixture.rt, lp2p_sim_now(stage.fixture.rt) + LP2P_SEC(1));
    assert_int_equal(stage.asker.unread, 4);
    check_answers(&stage.asker);
    assert_int_equal(fixture_stop(&stage.fixture), 0);
}

/* Nobody is there to hear it: nothing is left over. */
static enum lp2p_verdict ask_and_end(struct lp2p_actor *self, void *arg)
{
    struct asker *asker = arg;
    tell(self, asker, puppet_fail);
    for (unsigned i = 0; i < 5; i++) {
        ask(self, asker);
    }
    return LP2P_STOP;
}

static void test_unread_asker_gone(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct stage stage = {0};
        stage_start(&stage, seed, 100, 0);
        __atomic_store_n(&drops, 0, __ATOMIC_RELAXED);
        assert_true(fixture_post(&stage.fixture, lp2p_whereis(stage.fixture.rt, "asker"), ask_and_end, &stage.asker, NULL));
        fixture_wait_event(&stage.fixture, LP2P_SUP_RESTARTED, "target", 1);
        lp2p_sim_run(stage.fixture.rt, lp2p_sim_now(stage.fixture.rt) + LP2P_SEC(1));
        assert_int_equal(__atomic_load_n(&drops, __ATOMIC_RELAXED), 5);
        assert_int_equal(stage.asker.read, 0); /* all lay behind the failure */
        assert_int_equal(fixture_stop(&stage.fixture), 0);
    }
}

/* ---- messages that come again */

static void post_again(struct stage *stage, struct lp2p_ref to, unsigned number, enum lp2p_err expected)
{
    struct lp2p_msg *msg = new_question(&AGAIN, number);
    assert_int_equal(lp2p_post(stage->fixture.rt, to, &msg), expected);
    lp2p_msg_drop(&msg);
}

/* More arrives in the turn in which it ends: not sorted yet, and behind what is. */
static enum lp2p_verdict post_more_and_fail(struct lp2p_actor *self, void *arg)
{
    struct stage *stage = arg;
    for (unsigned i = 50; i < 100; i++) {
        struct lp2p_msg *msg = new_question(&AGAIN, i);
        assert_int_equal(lp2p_send(self, stage->asker.target, &msg), LP2P_OK);
    }
    return LP2P_FAIL;
}

static void test_unread_again(void **state)
{
    (void)state;
    struct stage stage = {.target = {.fail_inits = 2}};
    stage_start(&stage, 9, 100, 0);
    struct lp2p_ref named = stage.asker.target, exact = fixture_ref(&stage.fixture, "target");
    __atomic_store_n(&drops, 0, __ATOMIC_RELAXED);
    assert_true(fixture_post(&stage.fixture, named, post_more_and_fail, &stage, NULL));
    for (unsigned i = 0; i < 50; i++) {
        post_again(&stage, named, i, LP2P_OK);
    }
    post_again(&stage, exact, 1000, LP2P_OK); /* was for that generation only */
    fixture_wait_event(&stage.fixture, LP2P_SUP_ENDED, "target", 1);
    post_again(&stage, named, 100, LP2P_OK);
    post_again(&stage, exact, 1000, LP2P_EGONE);
    fixture_wait_event(&stage.fixture, LP2P_SUP_RESTARTED, "target", 1);
    lp2p_sim_run(stage.fixture.rt, lp2p_sim_now(stage.fixture.rt) + LP2P_SEC(1));
    assert_int_equal(stage.target.again_len, 101); /* each once, in their order, through two generations that did not come up */
    for (unsigned i = 0; i < 101; i++) {
        assert_int_equal(stage.target.again[i], i);
    }
    assert_int_equal(__atomic_load_n(&drops, __ATOMIC_RELAXED), 103);
    /* No generation follows: dropped at last. */
    assert_true(fixture_post(&stage.fixture, named, puppet_fail, NULL, NULL));
    for (unsigned i = 0; i < 5; i++) {
        post_again(&stage, named, 200 + i, LP2P_OK);
    }
    assert_int_equal(fixture_stop(&stage.fixture), 0);
    assert_int_equal(__atomic_load_n(&drops, __ATOMIC_RELAXED), 108);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unread_every_end),        cmocka_unit_test(test_unread_failed_init),
        cmocka_unit_test(test_unread_abandoned),        cmocka_unit_test(test_unread_answer_finds_room),
        cmocka_unit_test(test_unread_late),             cmocka_unit_test(test_unread_asker_gone),
        cmocka_unit_test(test_unread_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
