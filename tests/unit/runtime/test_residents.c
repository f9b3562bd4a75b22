/* SPDX-License-Identifier: MIT
 * Residents on threads that come and go, when the supervisor that answers for them is started again. */
#include "fixture.h"

#include <string.h>

#define RESIDENT 5

struct asking {
    struct lp2p_ref found;
    enum lp2p_verdict verdict; /* when it may go on */
    struct gate asked, go_on;
};

static enum lp2p_verdict ask(struct lp2p_actor *self, void *arg)
{
    *(struct lp2p_ref *)arg = lp2p_resident(self, RESIDENT);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict ask_and_block(struct lp2p_actor *self, void *arg)
{
    struct asking *asking = arg;
    asking->found = lp2p_resident(self, RESIDENT);
    gate_raise(&asking->asked);
    gate_wait(&asking->go_on, 1);
    return asking->verdict;
}

static enum lp2p_verdict spawn(struct lp2p_actor *self, void *arg)
{
    const struct lp2p_child_spec spec = {.id = "conn",
                                         .ops = &puppet_ops,
                                         .restart = LP2P_TEMPORARY,
                                         .placement = {.place = LP2P_PLACE_GROUP, .group = 0}};
    LP2P_CHECK(lp2p_spawn(self, lp2p_whereis(lp2p_actor_rt(self), "root"), &spec, arg) == LP2P_OK);
    return LP2P_CONTINUE;
}

/* What inits of residents do: `calm` more of them what puppets do, the next one waits for the gate and fails. */
static struct {
    struct gate *gate; /* NULL: none of them */
    unsigned calm;
} inits;

static enum lp2p_err service_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct gate *gate = __atomic_load_n(&inits.gate, __ATOMIC_ACQUIRE);
    if (gate == NULL || __atomic_fetch_sub(&inits.calm, 1, __ATOMIC_RELAXED) > 0) {
        return puppet_ops.init(self, state, arg);
    }
    __atomic_store_n(&inits.gate, NULL, __ATOMIC_RELEASE);
    gate_wait(gate, 1);
    return LP2P_EADDRINUSE;
}

/** A supervisor of residents, an actor that can keep its thread busy, and one that starts connections. */
struct scene {
    struct lp2p_child_spec services[1], children[3];
    struct lp2p_sup_spec services_sup;
    struct lp2p_actor_ops service_ops;
    struct fixture fixture;
    struct lp2p_ref conn, supervisor;
};

static void scene_start(struct scene *scene)
{
    scene->service_ops = puppet_ops;
    scene->service_ops.init = service_init;
    scene->services[0] = (struct lp2p_child_spec){
        .id = "svc",
        .ops = &scene->service_ops,
        .restart = LP2P_PERMANENT,
        .placement = {.place = LP2P_PLACE_RESIDENT, .group = 0, .resident = RESIDENT}};
    scene->services_sup = (struct lp2p_sup_spec){
        .restarts_max = 3, .period_ms = 5000, .children = scene->services, .children_len = 1};
    const struct lp2p_placement shared = {.place = LP2P_PLACE_GROUP, .group = 1};
    scene->children[0] = (struct lp2p_child_spec){.id = "services",
                                                  .ops = &lp2p_supervisor_ops,
                                                  .arg = &scene->services_sup,
                                                  .restart = LP2P_PERMANENT,
                                                  .placement = shared};
    scene->children[1] = (struct lp2p_child_spec){.id = "busy", .ops = &puppet_ops, .placement = shared};
    scene->children[2] = (struct lp2p_child_spec){.id = "spawner", .ops = &puppet_ops};
    fixture_init(&scene->fixture, scene->children, 3);
    scene->fixture.config.groups[0] = (struct lp2p_group_config){.name = "io", .threads_max = 3};
    scene->fixture.config.groups[1] = (struct lp2p_group_config){.name = "shared", .threads = 1};
    scene->fixture.config.groups_len = 2;
    assert_int_equal(fixture_start(&scene->fixture), LP2P_OK);
    scene->supervisor = lp2p_whereis(scene->fixture.rt, "services");
    fixture_do(&scene->fixture, lp2p_whereis(scene->fixture.rt, "spawner"), spawn, &scene->conn);
}

/** What the thread finds now is there and answers. */
static struct lp2p_ref find_living(struct scene *scene)
{
    struct lp2p_ref found;
    fixture_do(&scene->fixture, scene->conn, ask, &found);
    assert_true(found.slot != 0);
    fixture_do(&scene->fixture, found, puppet_nothing, NULL);
    return found;
}

/* The supervisor that was started again has had its first turn: it waits for an instance on a blocked thread, if it made one. */
static void wait_for_second_generation(struct scene *scene)
{
    struct lp2p_ref busy = lp2p_whereis(scene->fixture.rt, "busy");
    bool there = false;
    for (unsigned looks = 0; !there; looks++) {
        struct lp2p_actor_stats actors[16];
        size_t len = lp2p_rt_snapshot(scene->fixture.rt, actors, LP2P_ARRAY_LEN(actors));
        assert_true(len <= LP2P_ARRAY_LEN(actors) && looks < 1000000);
        for (size_t i = 0; i < len; i++) {
            there |= strcmp(actors[i].id, "services") == 0 && actors[i].restarts == 1;
        }
        fixture_do(&scene->fixture, busy, puppet_nothing, NULL); /* on the same thread: the turn is over */
    }
}

/* One that was in use comes back with its supervisor, without being asked for. */
static void test_residents_come_back_with_their_supervisor(void **state)
{
    (void)state;
    struct scene scene;
    scene_start(&scene);
    (void)find_living(&scene);
    fixture_wait_event(&scene.fixture, LP2P_SUP_STARTED, "svc@io-0", 1);
    assert_int_equal(lp2p_rt_fail(scene.fixture.rt, scene.supervisor), LP2P_OK);
    fixture_wait_event(&scene.fixture, LP2P_SUP_RESTARTED, "services", 1);
    fixture_wait_event(&scene.fixture, LP2P_SUP_STARTED, "svc@io-0", 2);
    (void)find_living(&scene);
    assert_int_equal(fixture_stop(&scene.fixture), 0);
}

/* An instance is made just when its supervisor ends, which never hears of it; the supervisor comes back while the thread is busy
 * and makes another one. */
static void replace_on_busy_thread(struct scene *scene, struct asking *asking, struct gate *done)
{
    struct gate busy = GATE_INIT, free_again = GATE_INIT;
    struct gate *pair[] = {&busy, &free_again};
    struct gate over = GATE_INIT;
    struct lp2p_ref neighbour = lp2p_whereis(scene->fixture.rt, "busy");
    assert_true(fixture_post(&scene->fixture, neighbour, puppet_tell_and_block, pair, &over));
    gate_wait(&busy, 1);
    assert_true(fixture_post(&scene->fixture, scene->conn, ask_and_block, asking, done));
    gate_wait(&asking->asked, 1);
    assert_true(asking->found.slot != 0);
    /* The word of the new child and the failure lie before the supervisor at the same time. */
    assert_int_equal(lp2p_rt_fail(scene->fixture.rt, scene->supervisor), LP2P_OK);
    gate_raise(&free_again);
    gate_wait(&over, 1);
    wait_for_second_generation(scene);
}

/* The first one ends later than the second one was made: the thread keeps the second. */
static void test_residents_made_while_their_supervisor_ends(void **state)
{
    (void)state;
    struct scene scene;
    struct asking asking = {.verdict = LP2P_CONTINUE, .asked = GATE_INIT, .go_on = GATE_INIT};
    struct gate done = GATE_INIT;
    scene_start(&scene);
    replace_on_busy_thread(&scene, &asking, &done);
    gate_raise(&asking.go_on);
    gate_wait(&done, 1);
    struct lp2p_ref found = asking.found;
    for (unsigned asked = 0; lp2p_ref_eq(found, asking.found); asked++) {
        assert_true(asked < 1000000);
        fixture_do(&scene.fixture, scene.conn, ask, &found);
    }
    (void)find_living(&scene);
    assert_int_equal(fixture_stop(&scene.fixture), 0);
}

/* The thread ends instead, the second one is told to end with it, and could not have started anyhow: nobody waits for it. */
static void test_residents_that_never_start_are_not_waited_for(void **state)
{
    (void)state;
    struct scene scene;
    struct asking asking = {.verdict = LP2P_STOP, .asked = GATE_INIT, .go_on = GATE_INIT};
    struct gate done = GATE_INIT, init = GATE_INIT;
    scene_start(&scene);
    replace_on_busy_thread(&scene, &asking, &done);
    inits.calm = 1; /* the first one's */
    __atomic_store_n(&inits.gate, &init, __ATOMIC_RELEASE);
    gate_raise(&asking.go_on);
    fixture_wait_event(&scene.fixture, LP2P_SUP_STOPPING, "svc@io-0", 1);
    gate_raise(&init);
    fixture_wait_event(&scene.fixture, LP2P_SUP_RESTARTED, "services", 1);
    assert_int_equal(fixture_stop(&scene.fixture), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_residents_come_back_with_their_supervisor),
        cmocka_unit_test(test_residents_made_while_their_supervisor_ends),
        cmocka_unit_test(test_residents_that_never_start_are_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
