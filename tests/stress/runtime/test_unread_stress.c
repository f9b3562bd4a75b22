/* SPDX-License-Identifier: MIT
 * Requests from several threads to actors that end all the time, of themselves, by failure, by drill, and for
 * good: every request that was taken gets exactly one answer. One that is lost makes its asker wait for ever. */
#include "fixture.h"

#include <string.h>

#if defined(LP2P_TSAN) || defined(__SANITIZE_ADDRESS__)
#define SCALE 1u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SCALE 1u
#endif
#endif
#ifndef SCALE
#define SCALE 8u
#endif

#define ASKERS 4u
#define NAMED 3u              /* targets with a name, restarted whenever they end */
#define UNDER_WAY_MAX 64u     /* questions of one asker */
#define QUESTIONS (4000u * SCALE) /* of one asker */

enum { TIMER_ASK };

struct question {
    struct lp2p_msg msg;
    unsigned number;
    bool unread;
};

static struct lp2p_msg *new_question(const struct lp2p_msg_class *cls, unsigned number)
{
    struct lp2p_msg *msg = lp2p_msg_new(cls);
    LP2P_CHECK(msg != NULL);
    ((struct question *)(void *)msg)->number = number;
    return msg;
}

static const struct lp2p_msg_class ANSWER = {"ANSWER", sizeof(struct question), LP2P_LANE_NORMAL, NULL, NULL};

static struct lp2p_msg *refuse(struct lp2p_msg **msg, enum lp2p_err why)
{
    LP2P_CHECK(why == LP2P_EGONE);
    struct lp2p_msg *answer = new_question(&ANSWER, ((struct question *)(void *)*msg)->number);
    ((struct question *)(void *)answer)->unread = true;
    answer->to = (*msg)->from;
    return answer;
}

static struct lp2p_msg *come_again(struct lp2p_msg **msg, enum lp2p_err why)
{
    (void)why;
    struct lp2p_msg *same = *msg;
    *msg = NULL;
    return same;
}

static const struct lp2p_msg_class QUESTION = {"QUESTION", sizeof(struct question), LP2P_LANE_NORMAL, NULL, refuse};
/* To names only: whoever holds the name at last answers it. */
static const struct lp2p_msg_class PATIENT = {"PATIENT", sizeof(struct question), LP2P_LANE_NORMAL, NULL, come_again};

/* ---- targets: they answer what they read, and end every now and then */

static unsigned read_len; /* atomic: over all targets */

static enum lp2p_verdict target_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)state;
    struct lp2p_msg *answer = new_question(&ANSWER, ((struct question *)(void *)*msg)->number);
    enum lp2p_err err = lp2p_reply(self, *msg, &answer);
    LP2P_CHECK(err == LP2P_OK); /* askers live on and have room for all they asked */
    unsigned n = __atomic_add_fetch(&read_len, 1, __ATOMIC_RELAXED);
    return n % 41 == 0 ? LP2P_FAIL : n % 37 == 0 ? LP2P_STOP : LP2P_CONTINUE;
}

static enum lp2p_err target_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self, (void)state, (void)arg;
    /* A generation that does not come up leaves its mail unread too. */
    return __atomic_load_n(&read_len, __ATOMIC_RELAXED) % 13 == 1 && arg != NULL ? LP2P_EIO : LP2P_OK;
}

static const struct lp2p_actor_ops target_ops = {.name = "target", .init = target_init, .on_msg = target_msg};
static const char may_fail; /* arg of targets whose init may fail: those that are spawned */

/* ---- askers */

struct asker {
    struct fixture *fixture;
    unsigned number;
    unsigned refused, read, unread;
    uint8_t state[QUESTIONS]; /* 1: asked, 2: answered */
    struct gate done;
};
struct asker_state {
    struct asker *asker;
    unsigned asked, under_way;
    struct lp2p_ref named[NAMED], own;
};

static void spawn_own(struct lp2p_actor *self, struct asker_state *s)
{
    const struct lp2p_child_spec spec = {.id = "own",
                                         .ops = &target_ops,
                                         .arg = &may_fail,
                                         .restart = LP2P_TEMPORARY,
                                         .shutdown_ms = 1000,
                                         .placement = {.place = LP2P_PLACE_GROUP, .group = 0}};
    if (lp2p_spawn(self, lp2p_whereis(lp2p_actor_rt(self), "root"), &spec, &s->own) != LP2P_OK) {
        s->own = LP2P_REF_NONE;
    }
}

static void ask(struct lp2p_actor *self, struct asker_state *s)
{
    unsigned number = s->asked, which = number % (NAMED + 1);
    struct lp2p_ref to = which < NAMED ? s->named[which] : s->own;
    struct lp2p_msg *msg = new_question(which < NAMED && number % 5 == 0 ? &PATIENT : &QUESTION, number);
    if (lp2p_send(self, to, &msg) == LP2P_OK) {
        s->asker->state[number] = 1;
        s->asked++;
        s->under_way++;
        if (which == NAMED && number % 29 == 0) {
            lp2p_stop(self, s->own); /* behind it, and in front of what is asked meanwhile */
        }
        return;
    }
    s->asker->refused++;
    lp2p_msg_drop(&msg);
    if (which == NAMED) {
        spawn_own(self, s);
    }
}

static void go_on(struct lp2p_actor *self, struct asker_state *s)
{
    for (unsigned burst = 0; burst < 16 && s->asked < QUESTIONS && s->under_way < UNDER_WAY_MAX; burst++) {
        ask(self, s);
    }
    if (s->asked < QUESTIONS) {
        lp2p_timer_set(self, TIMER_ASK, lp2p_now(self) + LP2P_US(50));
    }
}

static enum lp2p_err asker_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct asker_state *s = state;
    s->asker = (struct asker *)(uintptr_t)arg;
    for (unsigned i = 0; i < NAMED; i++) {
        char id[16];
        snprintf(id, sizeof(id), "named-%u", i);
        s->named[i] = lp2p_whereis(lp2p_actor_rt(self), id);
    }
    lp2p_timer_set(self, TIMER_ASK, lp2p_now(self));
    return LP2P_OK;
}

static enum lp2p_verdict asker_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct asker_state *s = state;
    const struct question *answer = LP2P_MSG_AS(*msg, &ANSWER, question);
    LP2P_CHECK(answer->number < QUESTIONS && s->asker->state[answer->number] == 1); /* one answer for each */
    s->asker->state[answer->number] = 2;
    *(answer->unread ? &s->asker->unread : &s->asker->read) += 1;
    s->under_way--;
    if (s->asked == QUESTIONS && s->under_way == 0) {
        gate_raise(&s->asker->done);
    } else {
        go_on(self, s);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict asker_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    (void)timer;
    go_on(self, state);
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops asker_ops = {.name = "asker",
                                                .state_size = sizeof(struct asker_state),
                                                .init = asker_init,
                                                .on_msg = asker_msg,
                                                .on_timer = asker_timer};

static void test_unread_stress(void **state)
{
    (void)state;
    static struct fixture fixture;
    static struct asker askers[ASKERS];
    char ids[NAMED + ASKERS][16];
    struct lp2p_child_spec children[NAMED + ASKERS];
    memset(askers, 0, sizeof(askers));
    for (unsigned i = 0; i < NAMED + ASKERS; i++) {
        bool named = i < NAMED;
        struct asker *asker = named ? NULL : &askers[i - NAMED];
        snprintf(ids[i], sizeof(ids[i]), "%s-%u", named ? "named" : "asker", named ? i : i - NAMED);
        children[i] = (struct lp2p_child_spec){.id = ids[i],
                                               .ops = named ? &target_ops : &asker_ops,
                                               .arg = asker,
                                               .restart = LP2P_PERMANENT};
        if (asker != NULL) {
            asker->done = (struct gate)GATE_INIT;
        }
    }
    fixture_init(&fixture, children, NAMED + ASKERS);
    fixture.sup.restarts_max = 1000;
    fixture.sup.period_ms = 1; /* never too many */
    fixture.config.groups[0] = (struct lp2p_group_config){.name = "own", .threads = 2, .threads_max = 2};
    fixture.config.groups_len = 1;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    unsigned read = 0, unread = 0, refused = 0;
    for (unsigned i = 0; i < ASKERS; i++) {
        gate_wait(&askers[i].done, 1);
    }
    assert_int_equal(fixture_stop(&fixture), 0);
    for (unsigned i = 0; i < ASKERS; i++) {
        for (unsigned n = 0; n < QUESTIONS; n++) {
            assert_int_equal(askers[i].state[n], 2);
        }
        assert_int_equal(askers[i].read + askers[i].unread, QUESTIONS);
        read += askers[i].read;
        unread += askers[i].unread;
        refused += askers[i].refused;
    }
    print_message("%u read, %u unread, %u refused\n", read, unread, refused);
    assert_true(unread > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unread_stress)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
