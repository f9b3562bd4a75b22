/* SPDX-License-Identifier: MIT
 * Simulation: one seed is one run, virtual time moves only when nothing can run, and never beyond what was
 * allowed. */
#include "fixture.h"

#include <string.h>

#define PEERS 6u
#define TRACE_MAX 4000u

struct hop {
    struct lp2p_msg msg;
    unsigned left;
};
static const struct lp2p_msg_class HOP = {"HOP", sizeof(struct hop), LP2P_LANE_NORMAL, NULL, NULL};

struct trace {
    unsigned len;
    uint64_t of[TRACE_MAX]; /* who, and when */
};

static void send_on(struct lp2p_actor *self, unsigned left)
{
    char id[16];
    struct lp2p_msg *msg = lp2p_msg_new(&HOP);
    LP2P_MSG_AS(msg, &HOP, hop)->left = left;
    snprintf(id, sizeof(id), "peer-%u", (unsigned)lp2p_rand_below(lp2p_actor_rand(self), PEERS));
    lp2p_send_or_drop(self, lp2p_whereis(lp2p_actor_rt(self), id), &msg);
}

static enum lp2p_err peer_init(struct lp2p_actor *self, void *state, const void *arg)
{
    *(struct trace **)state = (struct trace *)(uintptr_t)arg;
    lp2p_timer_set(self, 0, lp2p_now(self) + LP2P_MS(10));
    return LP2P_OK;
}

static enum lp2p_verdict peer_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct trace *trace = *(struct trace **)state;
    unsigned left = LP2P_MSG_AS(*msg, &HOP, hop)->left;
    if (trace->len < TRACE_MAX) {
        trace->of[trace->len++] = (uint64_t)lp2p_self(self).slot << 48 | lp2p_now(self);
    }
    if (left > 0) {
        send_on(self, left - 1);
    }
    return lp2p_rand_below(lp2p_actor_rand(self), 50) == 0 ? LP2P_FAIL : LP2P_CONTINUE;
}

static enum lp2p_verdict peer_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    (void)state;
    send_on(self, 20);
    lp2p_timer_set(self, timer,
                   lp2p_now(self) + LP2P_MS(10) + lp2p_rand_below(lp2p_actor_rand(self), LP2P_MS(5)));
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops peer_ops = {.name = "peer",
                                               .state_size = sizeof(struct trace *),
                                               .init = peer_init,
                                               .on_msg = peer_msg,
                                               .on_timer = peer_timer};

static void run_seed(uint64_t seed, struct trace *trace)
{
    struct fixture fixture;
    char ids[PEERS][16];
    struct lp2p_child_spec children[PEERS];
    *trace = (struct trace){0};
    for (unsigned i = 0; i < PEERS; i++) {
        snprintf(ids[i], sizeof(ids[i]), "peer-%u", i);
        children[i] = (struct lp2p_child_spec){
            .id = ids[i], .ops = &peer_ops, .arg = trace, .restart = LP2P_PERMANENT, .mailbox_max = 4};
    }
    fixture_init(&fixture, children, PEERS);
    fixture.config.simulated = true;
    fixture.config.seed = seed;
    fixture.sup.restarts_max = 10000;
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    lp2p_sim_run(fixture.rt, LP2P_SEC(2));
    assert_int_equal(lp2p_sim_now(fixture.rt), LP2P_SEC(2));
    assert_int_equal(fixture_stop(&fixture), 0);
}

static void test_sim_one_seed_one_run(void **state)
{
    (void)state;
    static struct trace a, b, other;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_seed(seed, &a);
        run_seed(seed, &b);
        run_seed(seed + 1000, &other);
        assert_true(a.len > 500);
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.of, b.of, a.len * sizeof(a.of[0]));
        assert_true(a.len != other.len || memcmp(a.of, other.of, a.len * sizeof(a.of[0])) != 0);
    }
}

/* A simulated network: its next event moves the clock even if no actor waits for it. */
struct net {
    struct puppet puppet;
    lp2p_time at, advanced;
    unsigned seen;
};

static unsigned net_ready(void *ctx, int fd)
{
    struct net *net = ctx;
    return fd == 7 && net->advanced >= net->at && net->seen == 0 ? LP2P_READABLE : 0;
}

static lp2p_time net_next(void *ctx)
{
    struct net *net = ctx;
    return net->advanced < net->at ? net->at : LP2P_NEVER;
}

static void net_advance(void *ctx, lp2p_time now)
{
    ((struct net *)ctx)->advanced = now;
}

static enum lp2p_verdict net_fd(struct lp2p_actor *self, void *puppet, int fd, unsigned ready)
{
    struct net *net = puppet;
    LP2P_CHECK(fd == 7 && ready == LP2P_READABLE && lp2p_now(self) == net->at);
    net->seen++;
    return LP2P_CONTINUE;
}

static enum lp2p_verdict watch_seven(struct lp2p_actor *self, void *arg)
{
    (void)arg;
    LP2P_CHECK(lp2p_fd_watch(self, 7, LP2P_READABLE) == LP2P_OK);
    return LP2P_CONTINUE;
}

static void test_sim_network_moves_the_clock(void **state)
{
    (void)state;
    struct fixture fixture;
    struct net net = {.puppet = {.on_fd = net_fd}, .at = LP2P_SEC(3)};
    struct lp2p_child_spec child = {.id = "a", .ops = &puppet_ops, .arg = &net};
    fixture_init(&fixture, &child, 1);
    fixture.config.simulated = true;
    fixture.config.sim_io =
        (struct lp2p_sim_io){.ctx = &net, .ready = net_ready, .next = net_next, .advance = net_advance};
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    fixture_do(&fixture, lp2p_whereis(fixture.rt, "a"), watch_seven, NULL);
    lp2p_sim_run(fixture.rt, LP2P_SEC(2));
    assert_int_equal(lp2p_sim_now(fixture.rt), LP2P_SEC(2));
    assert_int_equal(net.seen, 0);
    lp2p_sim_run(fixture.rt, LP2P_SEC(4));
    assert_int_equal(net.seen, 1);
    assert_false(lp2p_sim_step(fixture.rt, LP2P_NEVER));
    assert_int_equal(lp2p_sim_now(fixture.rt), LP2P_SEC(4));
    assert_int_equal(fixture_stop(&fixture), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sim_one_seed_one_run),
        cmocka_unit_test(test_sim_network_moves_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
