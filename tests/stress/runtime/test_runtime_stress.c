/* SPDX-License-Identifier: MIT
 * The runtime under load on real threads: many senders, actors that come and go, failures, and an end in the
 * middle of it. Scaled down where a sanitizer makes each step dear. */
#include "fixture.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#if defined(LP2P_TSAN) || defined(__SANITIZE_ADDRESS__)
#define SCALE 1u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SCALE 1u
#endif
#endif
#ifndef SCALE
#define SCALE 20u
#endif

#define SENDERS 8u

struct parcel {
    struct lp2p_msg msg;
    unsigned sender, value;
};
static const struct lp2p_msg_class PARCEL = {"PARCEL", sizeof(struct parcel), LP2P_LANE_NORMAL, NULL, NULL};
static const struct lp2p_msg_class PARCEL_URGENT = {"PARCEL_URGENT", sizeof(struct parcel), LP2P_LANE_URGENT,
                                                    NULL, NULL};

/* Senders that keep a message when the mailbox is full and try again by timer; a receiver that checks the
 * order. */
struct receiver {
    unsigned next[SENDERS][2], left;
    struct gate done;
};
struct sender {
    unsigned number, count;
};
struct sender_state {
    const struct sender *sender;
    unsigned sent;
    struct lp2p_msg *kept;
};

static enum lp2p_err receiver_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    *(struct receiver **)state = (struct receiver *)(uintptr_t)arg;
    return LP2P_OK;
}

static enum lp2p_verdict receiver_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct receiver *receiver = *(struct receiver **)state;
    const struct parcel *parcel = (const struct parcel *)(const void *)*msg;
    (void)self;
    unsigned *next = &receiver->next[parcel->sender][(*msg)->cls == &PARCEL_URGENT];
    LP2P_CHECK(parcel->value >= *next);
    *next = parcel->value + 1;
    if (--receiver->left == 0) {
        gate_raise(&receiver->done);
    }
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops receiver_ops = {.name = "receiver",
                                                   .state_size = sizeof(struct receiver *),
                                                   .init = receiver_init,
                                                   .on_msg = receiver_msg};

static enum lp2p_verdict sender_go(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct sender_state *s = state;
    struct lp2p_ref to = lp2p_whereis(lp2p_actor_rt(self), "receiver");
    for (unsigned burst = 0; burst < 100; burst++) {
        if (s->kept == NULL) {
            if (s->sent == s->sender->count) {
                return LP2P_CONTINUE;
            }
            s->kept = lp2p_msg_new(s->sent % 7 == 0 ? &PARCEL_URGENT : &PARCEL);
            ((struct parcel *)(void *)s->kept)->sender = s->sender->number;
            ((struct parcel *)(void *)s->kept)->value = s->sent++;
        }
        if (lp2p_send(self, to, &s->kept) != LP2P_OK) {
            break;
        }
    }
    lp2p_timer_set(self, timer, lp2p_now(self) + LP2P_US(20));
    return LP2P_CONTINUE;
}

static enum lp2p_err sender_init(struct lp2p_actor *self, void *state, const void *arg)
{
    ((struct sender_state *)state)->sender = arg;
    lp2p_timer_set(self, 0, lp2p_now(self));
    return LP2P_OK;
}

static void sender_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)self, (void)why;
    lp2p_msg_drop(&((struct sender_state *)state)->kept);
}

static const struct lp2p_actor_ops sender_ops = {.name = "sender",
                                                 .state_size = sizeof(struct sender_state),
                                                 .init = sender_init,
                                                 .on_timer = sender_go,
                                                 .fini = sender_fini};

static void test_stress_mailbox(void **state)
{
    (void)state;
    struct fixture fixture;
    struct receiver receiver = {.done = GATE_INIT};
    struct sender senders[SENDERS];
    char ids[SENDERS][16];
    struct lp2p_child_spec children[SENDERS + 1] = {
        {.id = "receiver", .ops = &receiver_ops, .arg = &receiver, .mailbox_max = 64}};
    for (unsigned i = 0; i < SENDERS; i++) {
        snprintf(ids[i], sizeof(ids[i]), "sender-%u", i);
        senders[i] = (struct sender){i, 2500 * SCALE};
        receiver.left += senders[i].count;
        children[i + 1] = (struct lp2p_child_spec){.id = ids[i], .ops = &sender_ops, .arg = &senders[i]};
        if (i % 2 == 1) {
            children[i + 1].placement = (struct lp2p_placement){.place = LP2P_PLACE_GROUP};
        }
    }
    fixture_init(&fixture, children, SENDERS + 1);
    fixture.config.groups[0] = (struct lp2p_group_config){.name = "shared", .threads = 2};
    fixture.config.groups_len = 1;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    gate_wait(&receiver.done, 1);
    assert_int_equal(fixture_stop(&fixture), 0);
    assert_int_equal(receiver.left, 0);
}

/* Spawners on several threads: pairs of actors, one on a thread of the group and one with it, that talk to
 * the resident of their thread and end. */
struct churn {
    unsigned started, ended, refused; /* atomics */
    unsigned rounds;
    struct gate done;
};

static enum lp2p_err short_init(struct lp2p_actor *self, void *state, const void *arg)
{
    *(struct churn **)state = (struct churn *)(uintptr_t)arg;
    __atomic_fetch_add(&(*(struct churn **)state)->started, 1, __ATOMIC_RELAXED);
    struct lp2p_ref resident = lp2p_resident(self, 0);
    if (resident.slot != 0) {
        struct lp2p_msg *msg = lp2p_msg_new(&PARCEL);
        lp2p_send_or_drop(self, resident, &msg);
        lp2p_monitor(self, resident);
    }
    lp2p_timer_set(self, 0, lp2p_now(self) + LP2P_US(100));
    return LP2P_OK;
}

static enum lp2p_verdict short_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    (void)self, (void)state, (void)timer;
    return (lp2p_now(self) & 4) != 0 ? LP2P_STOP : LP2P_FAIL;
}

static void short_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)self, (void)why;
    __atomic_fetch_add(&(*(struct churn **)state)->ended, 1, __ATOMIC_RELAXED);
}

static const struct lp2p_actor_ops short_ops = {.name = "short",
                                                .state_size = sizeof(struct churn *),
                                                .init = short_init,
                                                .on_timer = short_timer,
                                                .fini = short_fini};

static enum lp2p_verdict churn_go(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct churn *churn = *(struct churn **)state;
    static const enum lp2p_place places[] = {LP2P_PLACE_OWN, LP2P_PLACE_GROUP, LP2P_PLACE_GROUP};
    struct lp2p_ref sup = lp2p_whereis(lp2p_actor_rt(self), "root"), one, two;
    unsigned round = __atomic_fetch_sub(&churn->rounds, 1, __ATOMIC_RELAXED);
    if (round == 0 || round > 1u << 30) {
        __atomic_store_n(&churn->rounds, 0, __ATOMIC_RELAXED);
        gate_raise(&churn->done);
        return LP2P_CONTINUE;
    }
    struct lp2p_child_spec spec = {.id = "short",
                                   .ops = &short_ops,
                                   .arg = churn,
                                   .restart = LP2P_TEMPORARY,
                                   .placement = {.place = places[round % 3], .group = round % 2}};
    if (lp2p_spawn(self, sup, &spec, &one) == LP2P_OK) {
        spec.id = "with";
        spec.placement = (struct lp2p_placement){.place = LP2P_PLACE_WITH, .with = one};
        if (lp2p_spawn(self, sup, &spec, &two) == LP2P_OK && round % 5 == 0) {
            lp2p_stop(self, two);
        }
    } else {
        __atomic_fetch_add(&churn->refused, 1, __ATOMIC_RELAXED);
    }
    lp2p_timer_set(self, timer, lp2p_now(self) + LP2P_US(30));
    return LP2P_CONTINUE;
}

static enum lp2p_err churn_init(struct lp2p_actor *self, void *state, const void *arg)
{
    *(struct churn **)state = (struct churn *)(uintptr_t)arg;
    lp2p_timer_set(self, 0, lp2p_now(self));
    return LP2P_OK;
}

static const struct lp2p_actor_ops churn_ops = {
    .name = "churn", .state_size = sizeof(struct churn *), .init = churn_init, .on_timer = churn_go};

static enum lp2p_err deaf_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self, (void)state, (void)arg;
    return LP2P_OK;
}
static const struct lp2p_actor_ops deaf_ops = {.name = "deaf", .state_size = 1, .init = deaf_init};

static void test_stress_churn(void **state)
{
    (void)state;
    struct fixture fixture;
    struct churn churn = {.done = GATE_INIT, .rounds = 300 * SCALE};
    struct lp2p_placement resident = {.place = LP2P_PLACE_RESIDENT, .group = 1};
    struct lp2p_child_spec children[] = {
        {.id = "svc", .ops = &deaf_ops, .restart = LP2P_PERMANENT, .placement = resident},
        {.id = "churn-1", .ops = &churn_ops, .arg = &churn},
        {.id = "churn-2", .ops = &churn_ops, .arg = &churn},
        {.id = "churn-3", .ops = &churn_ops, .arg = &churn},
    };
    fixture_init(&fixture, children, 4);
    fixture.sup.dynamic_max = 40;
    fixture.config.on_sup_event = NULL;
    fixture.config.groups[0] = (struct lp2p_group_config){.name = "fixed", .threads = 2};
    fixture.config.groups[1] = (struct lp2p_group_config){.name = "each", .threads_max = 12};
    fixture.config.groups_len = 2;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    gate_wait(&churn.done, 3);
    struct lp2p_rt_stats stats;
    do { /* all short lives end by themselves, and the threads made for them */
        sched_yield();
        lp2p_rt_stats_get(fixture.rt, &stats);
    } while (stats.actors > 4 || stats.threads > 6);
    assert_int_equal(stats.abandoned, 0);
    assert_int_equal(fixture_stop(&fixture), 0);
    assert_int_equal(churn.started, churn.ended);
    print_message("# %u short lives, %u refused at the limit\n", churn.started, churn.refused);
    assert_true(churn.started > 0);
}

/* Talkers: each passes a parcel on to another one, for ever, across all placements. */
#define TALKERS 12u
static enum lp2p_err talker_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)state, (void)arg;
    lp2p_timer_set(self, 0, lp2p_now(self));
    return LP2P_OK;
}

static void pass_on(struct lp2p_actor *self, struct lp2p_msg **msg)
{
    char id[16];
    snprintf(id, sizeof(id), "talker-%u", (unsigned)lp2p_rand_below(lp2p_actor_rand(self), TALKERS));
    lp2p_send_or_drop(self, lp2p_whereis(lp2p_actor_rt(self), id), msg);
}

static enum lp2p_verdict talker_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)state;
    if ((*msg)->cls == &PARCEL || (*msg)->cls == &PARCEL_URGENT) {
        pass_on(self, msg);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict talker_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    (void)state;
    struct lp2p_msg *msg = lp2p_msg_new(&PARCEL);
    pass_on(self, &msg);
    lp2p_timer_set(self, timer, lp2p_now(self) + LP2P_US(200));
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops talker_ops = {
    .name = "talker", .state_size = 64, .init = talker_init, .on_msg = talker_msg, .on_timer = talker_timer};

struct crowd {
    char ids[TALKERS][16];
    struct lp2p_child_spec children[TALKERS];
};

static void make_crowd(struct fixture *fixture, struct crowd *crowd)
{
    for (unsigned i = 0; i < TALKERS; i++) {
        snprintf(crowd->ids[i], sizeof(crowd->ids[i]), "talker-%u", i);
        crowd->children[i] = (struct lp2p_child_spec){
            .id = crowd->ids[i], .ops = &talker_ops, .mailbox_max = 32, .restart = LP2P_PERMANENT};
        if (i % 3 != 0) {
            crowd->children[i].placement =
                (struct lp2p_placement){.place = LP2P_PLACE_GROUP, .group = i % 3 - 1};
        }
    }
    fixture_init(fixture, crowd->children, TALKERS);
    fixture->sup.restarts_max = 60000;
    fixture->config.groups[0] = (struct lp2p_group_config){.name = "fixed", .threads = 2};
    fixture->config.groups[1] = (struct lp2p_group_config){.name = "each", .threads_max = 2};
    fixture->config.groups_len = 2;
}

static void test_stress_failures(void **state)
{
    (void)state;
    struct fixture fixture;
    struct crowd crowd;
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 5);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    make_crowd(&fixture, &crowd);
    fixture.config.on_sup_event = NULL;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_actor_stats stats[TALKERS + 1];
    struct lp2p_rt_stats totals = {0};
    while (totals.restarts < 100 * SCALE) {
        struct lp2p_ref who = lp2p_whereis(fixture.rt, crowd.ids[lp2p_rand_below(&rand, TALKERS)]);
        enum lp2p_err err = lp2p_rt_fail(fixture.rt, who);
        assert_true(err == LP2P_OK || err == LP2P_EGONE);
        /* The snapshot is read all the while: never more than there can be, and never a torn name. */
        size_t count = lp2p_rt_snapshot(fixture.rt, stats, TALKERS + 1);
        assert_true(count <= TALKERS + 1);
        for (size_t k = 0; k < count; k++) {
            assert_true(strncmp(stats[k].id, "talker-", 7) == 0 || strcmp(stats[k].id, "root") == 0);
        }
        lp2p_rt_stats_get(fixture.rt, &totals);
    }
    assert_int_equal(gate_count(&fixture.root_failed), 0);
    assert_int_equal(fixture_stop(&fixture), 0);
}

/* Foreign threads post while the runtime ends. They must be gone before lp2p_rt_stop returns: the end of the
 * first child, the last one to be stopped, waits for them. */
struct poster {
    struct fixture *fixture;
    unsigned taken, full, gone; /* of this thread */
};
static struct gate posters_done;

static void *post_all_the_time(void *arg)
{
    struct poster *poster = arg;
    struct lp2p_ref to = lp2p_whereis(poster->fixture->rt, "talker-7");
    struct lp2p_rt *rt = poster->fixture->rt;
    while (poster->gone < 100) {
        struct lp2p_msg *msg = lp2p_msg_new(&PARCEL);
        enum lp2p_err err = lp2p_post(rt, to, &msg);
        poster->taken += err == LP2P_OK;
        poster->full += err == LP2P_EFULL;
        poster->gone += err == LP2P_EGONE;
        lp2p_msg_drop(&msg);
    }
    gate_raise(&posters_done);
    return NULL;
}

static void wait_for_posters(void *user, const struct lp2p_sup_event *event)
{
    (void)user;
    if (event->kind == LP2P_SUP_ENDED && strcmp(event->child, "talker-0") == 0) {
        gate_wait(&posters_done, 3);
    }
}

static void test_stress_shutdown(void **state)
{
    (void)state;
    unsigned taken = 0;
    for (unsigned round = 0; round < 5 * SCALE; round++) {
        struct fixture fixture;
        struct crowd crowd;
        struct poster posters[3];
        pthread_t threads[3];
        posters_done = (struct gate)GATE_INIT;
        make_crowd(&fixture, &crowd);
        fixture.config.on_sup_event = wait_for_posters;
        assert_int_equal(fixture_start(&fixture), LP2P_OK);
        for (unsigned i = 0; i < 3; i++) {
            posters[i] = (struct poster){.fixture = &fixture};
            assert_int_equal(pthread_create(&threads[i], NULL, post_all_the_time, &posters[i]), 0);
        }
        struct lp2p_actor_stats stats[TALKERS + 1];
        uint64_t talked = 0;
        while (talked < 500) {
            size_t count = lp2p_rt_snapshot(fixture.rt, stats, TALKERS + 1);
            talked = 0;
            for (size_t i = 0; i < count; i++) {
                talked += stats[i].msgs_in;
            }
            sched_yield();
        }
        struct lp2p_rt *rt = fixture.rt; /* the posters keep reading fixture.rt until they are gone */
        assert_int_equal(lp2p_rt_stop(&rt), 0);
        for (unsigned i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
            taken += posters[i].taken;
        }
    }
    assert_true(taken > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stress_mailbox),
        cmocka_unit_test(test_stress_churn),
        cmocka_unit_test(test_stress_failures),
        cmocka_unit_test(test_stress_shutdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
