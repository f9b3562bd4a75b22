/* SPDX-License-Identifier: MIT
 * The same two actors, client and echo, under every placement and in simulation: messages both ways, a timer,
 * a descriptor, a monitor, a failure and its restart. The actors do not know where they run. */
#include "fixture.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 200u

struct ask {
    struct lp2p_msg msg;
    uint32_t value;
};
static const struct lp2p_msg_class ASK = {"ASK", sizeof(struct ask), LP2P_LANE_NORMAL, NULL, NULL};
static const struct lp2p_msg_class ANSWER = {"ANSWER", sizeof(struct ask), LP2P_LANE_URGENT, NULL, NULL};

struct plan {
    const char *name;
    bool simulated;
    struct lp2p_placement client, echo;
    bool residents; /* the client finds its echo as a resident */
    int fds[2];
    bool fd_ready; /* simulated descriptor */
    struct gate done, rounds, failed;
    uint64_t virtual_fired;
};

struct client {
    struct plan *plan;
    struct lp2p_ref echo;
    uint32_t next;
    bool timer_fired, fd_seen;
};

static enum lp2p_err send_ask(struct lp2p_actor *self, struct lp2p_ref to, uint32_t value)
{
    struct lp2p_msg *msg = lp2p_msg_new(&ASK);
    msg->tag = value;
    LP2P_MSG_AS(msg, &ASK, ask)->value = value;
    enum lp2p_err err = lp2p_send(self, to, &msg);
    lp2p_msg_drop(&msg);
    return err;
}

static enum lp2p_err echo_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self, (void)state, (void)arg;
    return LP2P_OK;
}

/* Answers; fails when asked for the impossible. */
static enum lp2p_verdict echo_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    uint32_t *served = state;
    struct ask *ask = LP2P_MSG_AS(*msg, &ASK, ask);
    if (ask->value == UINT32_MAX) {
        return LP2P_FAIL;
    }
    struct lp2p_msg *answer = lp2p_msg_new(&ANSWER);
    LP2P_MSG_AS(answer, &ANSWER, ask)->value = (*served)++;
    LP2P_CHECK(lp2p_reply(self, *msg, &answer) == LP2P_OK);
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops echo_ops = {
    .name = "echo", .state_size = sizeof(uint32_t), .init = echo_init, .on_msg = echo_msg};

static enum lp2p_err client_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct client *client = state;
    client->plan = (struct plan *)(uintptr_t)arg;
    client->echo =
        client->plan->residents ? lp2p_resident(self, 3) : lp2p_whereis(lp2p_actor_rt(self), "echo");
    if (lp2p_ref_eq(client->echo, LP2P_REF_NONE)) {
        return LP2P_ENOTFOUND;
    }
    lp2p_timer_set(self, 2, lp2p_now(self) + LP2P_MS(2));
    LP2P_CHECK(lp2p_fd_watch(self, client->plan->fds[0], LP2P_READABLE) == LP2P_OK);
    lp2p_monitor(self, client->echo);
    return send_ask(self, client->echo, 0);
}

static enum lp2p_verdict client_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct client *client = state;
    if ((*msg)->cls == &LP2P_MSG_DOWN) {
        struct lp2p_msg_down *down = LP2P_MSG_AS(*msg, &LP2P_MSG_DOWN, lp2p_msg_down);
        LP2P_CHECK(lp2p_ref_eq(down->who, client->echo));
        LP2P_CHECK(down->reason == LP2P_EFAILED);
        gate_raise(&client->plan->failed);
        /* Same address, new generation: its count starts again. */
        client->next = 1000;
        LP2P_CHECK(send_ask(self, client->echo, 1000) == LP2P_OK);
        return LP2P_CONTINUE;
    }
    struct ask *answer = LP2P_MSG_AS(*msg, &ANSWER, ask);
    LP2P_CHECK(answer->msg.tag == client->next);
    if (client->next == 1000) {
        LP2P_CHECK(answer->value == 0);
        gate_raise(&client->plan->done);
        return LP2P_CONTINUE;
    }
    LP2P_CHECK(answer->value == client->next);
    if (++client->next < ROUNDS) {
        LP2P_CHECK(send_ask(self, client->echo, client->next) == LP2P_OK);
    } else {
        gate_raise(&client->plan->rounds);
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict client_fd(struct lp2p_actor *self, void *state, int fd, unsigned ready)
{
    struct client *client = state;
    LP2P_CHECK(fd == client->plan->fds[0]);
    LP2P_CHECK((ready & LP2P_READABLE) != 0);
    client->fd_seen = true;
    lp2p_fd_unwatch(self, fd);
    gate_raise(&client->plan->done);
    return LP2P_CONTINUE;
}

static enum lp2p_verdict client_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct client *client = state;
    LP2P_CHECK(timer == 2);
    LP2P_CHECK(!client->timer_fired);
    client->timer_fired = true;
    client->plan->virtual_fired = lp2p_now(self);
    gate_raise(&client->plan->done);
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops client_ops = {.name = "client",
                                                 .state_size = sizeof(struct client),
                                                 .init = client_init,
                                                 .on_msg = client_msg,
                                                 .on_fd = client_fd,
                                                 .on_timer = client_timer};

static unsigned sim_ready(void *ctx, int fd)
{
    struct plan *plan = ctx;
    return plan->fd_ready && fd == plan->fds[0] ? LP2P_READABLE : 0;
}

static struct lp2p_ref find_kind(struct lp2p_rt *rt, const char *kind)
{
    struct lp2p_actor_stats stats[64];
    size_t count = lp2p_rt_snapshot(rt, stats, 64);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(stats[i].kind, kind) == 0) {
            return stats[i].ref;
        }
    }
    return LP2P_REF_NONE;
}

static void run_plan(struct plan *plan)
{
    struct fixture fixture;
    struct lp2p_child_spec children[] = {
        {.id = "echo", .ops = &echo_ops, .restart = LP2P_PERMANENT, .placement = plan->echo},
        {.id = "client",
         .ops = &client_ops,
         .arg = plan,
         .restart = LP2P_TEMPORARY,
         .placement = plan->client},
    };
    plan->done = plan->rounds = plan->failed = (struct gate)GATE_INIT;
    fixture_init(&fixture, children, 2);
    fixture.config.simulated = plan->simulated;
    fixture.config.sim_io = (struct lp2p_sim_io){.ctx = plan, .ready = sim_ready};
    fixture.config.groups[0] = (struct lp2p_group_config){.name = "io", .threads = 2};
    fixture.config.groups[1] = (struct lp2p_group_config){.name = "solo", .threads_max = 8};
    fixture.config.groups_len = 2;
    if (plan->simulated) {
        plan->fds[0] = 42;
    } else {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, plan->fds), 0);
    }
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    fixture_wait(&fixture, &plan->done, 1); /* the timer */
    plan->fd_ready = true;
    if (!plan->simulated) {
        assert_int_equal(write(plan->fds[1], "x", 1), 1);
    }
    fixture_wait(&fixture, &plan->done, 2);
    fixture_wait(&fixture, &plan->rounds, 1);
    plan->fd_ready = false;
    struct lp2p_ref echo = plan->residents ? find_kind(fixture.rt, "echo") : lp2p_whereis(fixture.rt, "echo");
    if (!plan->residents) {
        struct lp2p_msg *poison = lp2p_msg_new(&ASK);
        LP2P_MSG_AS(poison, &ASK, ask)->value = UINT32_MAX;
        assert_int_equal(lp2p_post(fixture.rt, echo, &poison), LP2P_OK);
        fixture_wait(&fixture, &plan->failed, 1);
        fixture_wait(&fixture, &plan->done, 3);
        fixture_wait_event(&fixture, LP2P_SUP_RESTARTED, "echo", 1);
    }
    assert_int_equal(fixture_stop(&fixture), 0);
    if (!plan->simulated) {
        close(plan->fds[0]);
        close(plan->fds[1]);
    }
}

static struct plan plans[] = {
    {.name = "own", .client = {.place = LP2P_PLACE_OWN}, .echo = {.place = LP2P_PLACE_OWN}},
    {.name = "group", .client = {.place = LP2P_PLACE_GROUP}, .echo = {.place = LP2P_PLACE_GROUP}},
    {.name = "group thread each",
     .client = {.place = LP2P_PLACE_GROUP, .group = 1},
     .echo = {.place = LP2P_PLACE_GROUP, .group = 1}},
    {.name = "with", .client = {.place = LP2P_PLACE_WITH}, .echo = {.place = LP2P_PLACE_WITH}},
    {.name = "resident",
     .residents = true,
     .client = {.place = LP2P_PLACE_GROUP},
     .echo = {.place = LP2P_PLACE_RESIDENT, .resident = 3}},
    {.name = "resident of a thread each",
     .residents = true,
     .client = {.place = LP2P_PLACE_GROUP, .group = 1},
     .echo = {.place = LP2P_PLACE_RESIDENT, .group = 1, .resident = 3}},
};

static void test_placement_same_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(plans); i++) {
        for (int simulated = 0; simulated < 2; simulated++) {
            print_message("# %s%s\n", plans[i].name, simulated ? ", simulated" : "");
            plans[i].simulated = simulated != 0;
            plans[i].fd_ready = false;
            run_plan(&plans[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_placement_same_code)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
