/* SPDX-License-Identifier: MIT
 * Random trees of supervisors and random faults, one seed each, under the simulated driver: after every step
 * the event log of the runtime must be the log of the model, with the same virtual times. LP2P_SEEDS and
 * LP2P_SEED (the first one) may be set to repeat a run. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#define SEEDS_DEFAULT 1500
#define STEPS_MAX 25

/** One run: the model, and the specs of the same tree for the runtime. */
struct run {
    uint64_t seed;
    struct model model;
    struct fixture fixture;
    struct lp2p_rand_seeded gen;
    struct lp2p_rand rand;
    struct lp2p_sup_spec sups[NODES_MAX];
    struct lp2p_child_spec specs[NODES_MAX][CHILDREN_MAX];
    unsigned spawned;
};

static unsigned below(struct run *run, unsigned bound)
{
    return (unsigned)lp2p_rand_below(&run->rand, bound);
}

static struct node *add_node(struct run *run, struct node *parent, const char *prefix)
{
    struct model *model = &run->model;
    struct node *node = &model->nodes[model->nodes_len];
    *node = (struct node){.parent = parent, .restart = (enum lp2p_restart)below(run, 3)};
    snprintf(node->id, sizeof(node->id), "%s%zu", prefix, model->nodes_len);
    model->nodes_len++;
    if (below(run, 6) == 0) {
        node->stubborn = true;
        node->shutdown_ms = 1 + below(run, 400);
        node->puppet.keeps_running = true;
    }
    return node;
}

static void make_supervisor(struct run *run, struct node *node, unsigned depth)
{
    node->supervisor = true;
    node->stubborn = false;
    node->restarts_max = below(run, 4);
    node->period_ms = 100 + below(run, 2000);
    node->dynamic_max = below(run, 4);
    unsigned count = 1 + below(run, CHILDREN_MAX - 1);
    for (unsigned i = 0; i < count && run->model.nodes_len < NODES_MAX / 2; i++) {
        struct node *child = add_node(run, node, "n");
        node->children[node->children_len++] = child;
        if (depth > 0 && below(run, 3) == 0) {
            snprintf(child->id, sizeof(child->id), "s%zu", (size_t)(child - run->model.nodes));
            make_supervisor(run, child, depth - 1);
        } else if (below(run, 150) == 0) {
            child->fail_inits = child->puppet.fail_inits = 1;
        }
    }
}

static struct lp2p_child_spec spec_of(struct run *run, struct node *node)
{
    return (struct lp2p_child_spec){
        .id = node->id,
        .ops = node->supervisor ? &lp2p_supervisor_ops : &puppet_ops,
        .arg = node->supervisor ? (const void *)&run->sups[node - run->model.nodes]
                                : (const void *)&node->puppet,
        .restart = node->restart,
        .shutdown_ms = node->shutdown_ms,
    };
}

static void make_specs(struct run *run)
{
    for (size_t i = 0; i < run->model.nodes_len; i++) {
        struct node *node = &run->model.nodes[i];
        for (size_t k = 0; k < node->children_len; k++) {
            run->specs[i][k] = spec_of(run, node->children[k]);
        }
        run->sups[i] = (struct lp2p_sup_spec){.restarts_max = node->restarts_max,
                                              .period_ms = node->period_ms,
                                              .children = run->specs[i],
                                              .children_len = node->children_len,
                                              .dynamic_max = node->dynamic_max};
    }
}

static void init_run(struct run *run, uint64_t seed)
{
    memset(run, 0, sizeof(*run));
    run->seed = seed;
    lp2p_rand_seeded_init(&run->gen, seed);
    run->rand = lp2p_rand_seeded_source(&run->gen);
    struct node *root = add_node(run, NULL, "root");
    strcpy(root->id, "root");
    /* The hand of the test: an actor that is never made to end, and that no random fault reaches. */
    struct node *hand = add_node(run, root, "hand");
    strcpy(hand->id, "hand");
    hand->restart = LP2P_PERMANENT;
    hand->stubborn = hand->puppet.keeps_running = false;
    root->children[root->children_len++] = hand;
    make_supervisor(run, root, 3);
    make_specs(run);
    fixture_init(&run->fixture, NULL, 0);
    run->fixture.sup = run->sups[0];
    run->fixture.config.simulated = true;
    run->fixture.config.seed = seed;
}

/* Ends at one virtual time have no order among each other: what was asked together ends in the scheduler's
 * order. */
static int by_child(const void *a, const void *b)
{
    return strcmp(((const struct event *)a)->child, ((const struct event *)b)->child);
}

static void canonical(struct event *events, size_t len)
{
    for (size_t from = 0; from < len;) {
        size_t to = from + 1;
        while (to < len && events[to].kind == LP2P_SUP_ENDED && events[from].kind == LP2P_SUP_ENDED &&
               events[to].when == events[from].when &&
               strcmp(events[to].supervisor, events[from].supervisor) == 0) {
            to++;
        }
        qsort(events + from, to - from, sizeof(*events), by_child);
        from = to;
    }
}

static void print_log(const char *title, const struct event *events, size_t len)
{
    print_message("%s\n", title);
    for (size_t i = 0; i < len; i++) {
        print_message("  %llu.%06llu %s/%s %s %s\n", (unsigned long long)(events[i].when / LP2P_SEC(1)),
                      (unsigned long long)(events[i].when % LP2P_SEC(1) / 1000), events[i].supervisor,
                      events[i].child, lp2p_sup_event_name(events[i].kind), lp2p_errname(events[i].reason));
    }
}

static void compare(struct run *run, const char *step)
{
    struct model *model = &run->model;
    struct fixture *fixture = &run->fixture;
    canonical(model->events, model->events_len);
    canonical(fixture->events, fixture->events_len);
    bool same = model->events_len == fixture->events_len;
    for (size_t i = 0; same && i < model->events_len; i++) {
        const struct event *a = &model->events[i], *b = &fixture->events[i];
        same = a->kind == b->kind && a->when == b->when && a->reason == b->reason &&
               strcmp(a->supervisor, b->supervisor) == 0 && strcmp(a->child, b->child) == 0;
    }
    if (!same) {
        print_log("model", model->events, model->events_len);
        print_log("runtime", fixture->events, fixture->events_len);
        fail_msg("LP2P_SEED=%llu: logs differ after: %s", (unsigned long long)run->seed, step);
    }
}

/* Runs until nothing is left to happen; the model's clock has come as far by itself. */
static void settle(struct run *run, const char *step)
{
    while (lp2p_sim_step(run->fixture.rt, LP2P_NEVER)) {
    }
    compare(run, step);
    assert_int_equal(gate_count(&run->fixture.root_failed), run->model.root_failed);
}

static struct lp2p_ref address(struct run *run, const struct node *node)
{
    return node->dynamic ? node->ref : lp2p_whereis(run->fixture.rt, node->id);
}

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

static void step_spawn(struct run *run, struct node *sup)
{
    struct model *model = &run->model;
    if (model->nodes_len == NODES_MAX) {
        return;
    }
    struct node *node = add_node(run, sup, "d");
    node->dynamic = true;
    node->fail_inits = node->puppet.fail_inits = below(run, 8) == 0;
    struct spawning spawning = {.sup = address(run, sup), .spec = spec_of(run, node)};
    enum lp2p_err expected = !sup->up                                             ? LP2P_EGONE
                             : model_dynamics(model, sup) - 1 >= sup->dynamic_max ? LP2P_ELIMIT
                                                                                  : LP2P_OK;
    fixture_do(&run->fixture, lp2p_whereis(run->fixture.rt, "hand"), spawn_it, &spawning);
    assert_int_equal(spawning.err, expected);
    node->ref = spawning.out;
    if (expected == LP2P_OK) {
        run->spawned++;
        model_spawn(model, node);
    } else {
        node->gone = true;
    }
    settle(run, "spawn");
}

static void step_stop(struct run *run, struct node *node)
{
    struct lp2p_ref ref = address(run, node);
    fixture_do(&run->fixture, lp2p_whereis(run->fixture.rt, "hand"), stop_it, &ref);
    if (!node->gone && node->parent->up) {
        model_forget(&run->model, node);
    }
    settle(run, "stop");
}

static void step_end(struct run *run, struct node *node)
{
    struct fixture *fixture = &run->fixture;
    struct lp2p_ref ref = address(run, node);
    unsigned how = below(run, 3);
    if (!node->up) {
        assert_int_equal(lp2p_rt_fail(fixture->rt, ref), LP2P_EGONE);
        return;
    }
    if (below(run, 4) == 0 && !node->supervisor) {
        node->fail_inits = node->puppet.fail_inits = 1 + below(run, 4); /* its restarts will fail, too */
    }
    if (node->supervisor || how == 0) {
        assert_int_equal(lp2p_rt_fail(fixture->rt, ref), LP2P_OK);
        if (node->supervisor) {
            model_fail_supervisor(&run->model, node);
        } else {
            model_end(&run->model, node, LP2P_EFAILED);
        }
        settle(run, "injected failure");
        return;
    }
    assert_true(fixture_post(fixture, ref, how == 1 ? puppet_fail : puppet_stop, NULL, NULL));
    model_end(&run->model, node, how == 1 ? LP2P_EFAILED : LP2P_OK);
    settle(run, how == 1 ? "failure" : "end by itself");
}

static void one_step(struct run *run)
{
    struct model *model = &run->model;
    if (below(run, 3) != 0) {
        lp2p_time until = model->now + LP2P_MS(below(run, 1500));
        lp2p_sim_run(run->fixture.rt, until);
        model->now = until;
    }
    struct node *node = &model->nodes[2 + below(run, (unsigned)model->nodes_len - 2)];
    unsigned what = below(run, 10);
    if (node->dynamic && node->gone) {
        return; /* its number may name another one by now: that is what gen 0 means */
    }
    if (what == 0) {
        step_stop(run, node);
    } else if (what <= 3) {
        struct node *sup = node->supervisor ? node : node->parent;
        step_spawn(run, sup);
    } else {
        step_end(run, node);
    }
}

static unsigned gave_up, root_failures, start_failures, spawned;

static void run_seed(struct run *run, uint64_t seed)
{
    init_run(run, seed);
    run->model.now = LP2P_SEC(1);
    bool starts = model_start(&run->model);
    enum lp2p_err err = fixture_start(&run->fixture);
    assert_int_equal(err, starts ? LP2P_OK : LP2P_EADDRINUSE);
    compare(run, "start");
    if (!starts) {
        start_failures++;
        return;
    }
    for (unsigned step = 0; step < STEPS_MAX && !run->model.root_failed; step++) {
        one_step(run);
    }
    if (!run->model.root_failed) {
        model_stop(&run->model);
    }
    root_failures += run->model.root_failed;
    gave_up += fixture_events(&run->fixture, LP2P_SUP_GAVE_UP, NULL) > 0;
    spawned += run->spawned;
    assert_int_equal(fixture_stop(&run->fixture), 0);
    compare(run, "end");
}

static unsigned long from_env(const char *name, unsigned long otherwise)
{
    const char *value = getenv(name);
    return value == NULL ? otherwise : strtoul(value, NULL, 10);
}

static void test_supervisor_follows_model(void **state)
{
    (void)state;
    unsigned long first = from_env("LP2P_SEED", 1), count = from_env("LP2P_SEEDS", SEEDS_DEFAULT);
    struct run *run = malloc(sizeof(*run));
    assert_non_null(run);
    for (unsigned long seed = first; seed < first + count; seed++) {
        run_seed(run, seed);
    }
    free(run);
    print_message(
        "# %lu runs: %u gave up somewhere, %u lost their root, %u did not start, %u children spawned\n",
        count, gave_up, root_failures, start_failures, spawned);
    if (count >= 1000) {
        /* The runs are worth something only if they come to these places. */
        assert_true(gave_up > count / 10 && root_failures > count / 50 && start_failures > 0 &&
                    spawned > count);
    }
}

/* What the log says of one child. */
enum seen { SEEN_DOWN, SEEN_UP, SEEN_STOPPING };

static struct node *node_by_id(struct run *run, const char *id)
{
    for (size_t i = 0; i < run->model.nodes_len; i++) {
        if (strcmp(run->model.nodes[i].id, id) == 0) {
            return &run->model.nodes[i];
        }
    }
    fail_msg("unknown child %s", id);
    return NULL;
}

static void check_course(struct run *run)
{
    enum seen seen[NODES_MAX] = {SEEN_DOWN};
    for (size_t i = 0; i < run->fixture.events_len; i++) {
        const struct event *event = &run->fixture.events[i];
        size_t at = (size_t)(node_by_id(run, event->child) - run->model.nodes);
        switch (event->kind) {
        case LP2P_SUP_STARTED:
        case LP2P_SUP_RESTARTED:
            assert_true(seen[at] != SEEN_UP);
            seen[at] = seen[at] == SEEN_DOWN ? SEEN_UP : seen[at]; /* asked to end before it was up */
            break;
        case LP2P_SUP_STOPPING:
            assert_true(seen[at] != SEEN_STOPPING);
            seen[at] = SEEN_STOPPING;
            break;
        case LP2P_SUP_ENDED:
            assert_true(seen[at] != SEEN_DOWN);
            seen[at] = SEEN_DOWN;
            break;
        case LP2P_SUP_START_FAILED:
        case LP2P_SUP_GAVE_UP:
            assert_true(seen[at] == SEEN_DOWN);
            break;
        case LP2P_SUP_ABANDONED:
            fail_msg("abandoned in simulation");
            break;
        }
    }
    for (size_t i = 0; i < NODES_MAX; i++) {
        assert_int_equal(seen[i], SEEN_DOWN);
    }
}

/* One fault into the running system, without waiting for what it does. */
static void throw_fault(struct run *run, struct spawning *spawnings, struct lp2p_ref *stops, unsigned step)
{
    struct model *model = &run->model;
    struct node *node = &model->nodes[2 + below(run, (unsigned)model->nodes_len - 2)];
    struct lp2p_ref ref = address(run, node), hand = lp2p_whereis(run->fixture.rt, "hand");
    unsigned what = below(run, 8);
    if (what == 0 && model->nodes_len < NODES_MAX) {
        struct node *sup = node->supervisor ? node : node->parent;
        struct node *child = add_node(run, sup, "d");
        child->dynamic = true;
        spawnings[step] = (struct spawning){.sup = address(run, sup), .spec = spec_of(run, child)};
        fixture_post(&run->fixture, hand, spawn_it, &spawnings[step], NULL);
    } else if (what == 1) {
        stops[step] = ref;
        fixture_post(&run->fixture, hand, stop_it, &stops[step], NULL);
    } else if (what == 2 && !node->supervisor) {
        node->puppet.fail_inits = below(run, 3);
    } else if (what <= 4 || node->supervisor) {
        (void)lp2p_rt_fail(run->fixture.rt, ref);
    } else {
        fixture_post(&run->fixture, ref, what == 5 ? puppet_fail : puppet_stop, NULL, NULL);
    }
}

/* Many faults at once, in every interleaving that the seeds give: no model says which order is right, but
 * each child's course must be a possible one, and in the end nothing is left. */
static void test_supervisor_storm(void **state)
{
    (void)state;
    enum { STEPS = 60 };
    unsigned long first = from_env("LP2P_SEED", 1), count = from_env("LP2P_SEEDS", SEEDS_DEFAULT);
    struct run *run = malloc(sizeof(*run));
    struct spawning spawnings[STEPS];
    struct lp2p_ref stops[STEPS];
    assert_non_null(run);
    for (unsigned long seed = first; seed < first + count; seed++) {
        init_run(run, seed);
        if (fixture_start(&run->fixture) != LP2P_OK) {
            check_course(run);
            continue;
        }
        for (unsigned step = 0; step < STEPS && gate_count(&run->fixture.root_failed) == 0; step++) {
            throw_fault(run, spawnings, stops, step);
            for (unsigned turns = below(run, 12); turns > 0; turns--) {
                lp2p_sim_step(run->fixture.rt, lp2p_sim_now(run->fixture.rt) + LP2P_MS(below(run, 300)));
            }
        }
        assert_int_equal(fixture_stop(&run->fixture), 0);
        check_course(run);
    }
    free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_supervisor_follows_model),
                                       cmocka_unit_test(test_supervisor_storm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
