/* SPDX-License-Identifier: MIT
 * The runtime alone: what a message, a round trip, and the start of an actor cost. One JSON line for each case, in
 * nanoseconds for one of them.
 *
 *   bench_runtime [SECONDS]     SECONDS: how long the longer cases run, about */
#include "figures.h"
#include "runtime_queues.h"

#include "runtime/runtime.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SENDERS_MAX 8u

struct note {
    struct lp2p_msg msg;
};
static const struct lp2p_msg_class NOTE = {"NOTE", sizeof(struct note), LP2P_LANE_NORMAL, NULL, NULL};

static sem_t finished;
static uint64_t wanted; /* what the measured actor counts to */

static uint64_t now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

_Noreturn static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_runtime: %s\n", what);
    exit(1);
}

static struct lp2p_msg *note_new(void)
{
    struct lp2p_msg *msg = lp2p_msg_new(&NOTE);
    if (msg == NULL) {
        fail("no memory");
    }
    return msg;
}

static void await(void)
{
    while (sem_wait(&finished) != 0) {
    }
}

static enum lp2p_err empty_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    (void)state;
    (void)arg;
    return LP2P_OK;
}

/* ---- a runtime for each case */

static void on_sup_event(void *user, const struct lp2p_sup_event *event)
{
    (void)user;
    if (event->kind == LP2P_SUP_RESTARTED) {
        (void)sem_post(&finished);
    }
}

struct house {
    struct lp2p_sup_spec sup;
    struct lp2p_child_spec root;
    struct lp2p_rt *rt;
};

static void open_house(struct house *house, const struct lp2p_child_spec *children, size_t len, unsigned group_threads)
{
    char failed[64] = "";
    house->sup = (struct lp2p_sup_spec){
        .restarts_max = 60000, .period_ms = 1, .children = children, .children_len = len, .dynamic_max = 1000};
    house->root = (struct lp2p_child_spec){.id = "root", .ops = &lp2p_supervisor_ops, .restart = LP2P_PERMANENT, .arg = &house->sup};
    struct lp2p_rt_config config = {.root = &house->root,
                                    .groups = {{.name = "io", .threads = group_threads}},
                                    .groups_len = group_threads > 0 ? 1 : 0,
                                    .on_sup_event = on_sup_event};
    if (lp2p_rt_start(&config, &house->rt, failed) != LP2P_OK) {
        fail(failed);
    }
}

/* ---- mailbox: foreign threads push, one actor pops */

static enum lp2p_verdict sink_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    uint64_t *count = state;
    (void)self;
    (void)msg;
    if (++*count == wanted) {
        *count = 0;
        (void)sem_post(&finished);
    }
    return LP2P_CONTINUE;
}
static const struct lp2p_actor_ops SINK = {
    .name = "sink", .state_size = sizeof(uint64_t), .init = empty_init, .on_msg = sink_on_msg};

struct pusher {
    pthread_t thread;
    struct lp2p_rt *rt;
    struct lp2p_ref to;
    uint64_t count;
};

static void *push(void *arg)
{
    struct pusher *p = arg;
    for (uint64_t i = 0; i < p->count; i++) {
        struct lp2p_msg *msg = note_new();
        while (lp2p_post(p->rt, p->to, &msg) != LP2P_OK) {
            (void)sched_yield(); /* the mailbox is full: its verdict, not an error */
        }
    }
    return NULL;
}

static void mailbox(unsigned senders, double seconds)
{
    static const struct lp2p_child_spec children[] = {
        {.id = "sink", .ops = &SINK, .restart = LP2P_PERMANENT, .placement = {.place = LP2P_PLACE_OWN}, .mailbox_max = 4096}};
    char name[32];
    struct house house;
    struct pusher pushers[SENDERS_MAX];
    uint64_t each = (uint64_t)(seconds * 1e6) / senders;
    wanted = each * senders;
    open_house(&house, children, 1, 0);
    uint64_t begun = now_ns();
    for (unsigned i = 0; i < senders; i++) {
        pushers[i] = (struct pusher){.rt = house.rt, .to = lp2p_whereis(house.rt, "sink"), .count = each};
        if (pthread_create(&pushers[i].thread, NULL, push, &pushers[i]) != 0) {
            fail("no thread");
        }
    }
    await();
    double ns = (double)(now_ns() - begun) / (double)wanted;
    for (unsigned i = 0; i < senders; i++) {
        (void)pthread_join(pushers[i].thread, NULL);
    }
    (void)lp2p_rt_stop(&house.rt);
    (void)snprintf(name, sizeof(name), "mailbox-%u", senders);
    bench_print(name, "ns", ns, NULL);
}

/* ---- ping-pong: two actors, one message */

struct player {
    struct lp2p_ref other;
    uint64_t count;
};

static enum lp2p_verdict player_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct player *player = state;
    if (player->other.slot == 0 && player->other.gen == 0) {
        player->other = lp2p_whereis(lp2p_actor_rt(self), "pong");
        if (player->other.slot == 0) {
            player->other = lp2p_resident(self, 0);
        }
    }
    if (player->count++ == wanted) {
        (void)sem_post(&finished);
        return LP2P_CONTINUE;
    }
    return lp2p_send(self, player->other, msg) == LP2P_OK ? LP2P_CONTINUE : LP2P_FAIL;
}

static enum lp2p_verdict pong_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)state;
    struct lp2p_ref back = (*msg)->from;
    return lp2p_send(self, back, msg) == LP2P_OK ? LP2P_CONTINUE : LP2P_FAIL;
}
static const struct lp2p_actor_ops PLAYER = {
    .name = "player", .state_size = sizeof(struct player), .init = empty_init, .on_msg = player_on_msg};
static const struct lp2p_actor_ops PONG = {.name = "pong", .state_size = 1, .init = empty_init, .on_msg = pong_on_msg};

static void ping_pong(const char *name, struct lp2p_placement ping, struct lp2p_placement pong, unsigned threads, double seconds)
{
    const struct lp2p_child_spec children[] = {
        {.id = pong.place == LP2P_PLACE_RESIDENT ? "pongs" : "pong", .ops = &PONG, .restart = LP2P_PERMANENT, .placement = pong},
        {.id = "ping", .ops = &PLAYER, .restart = LP2P_PERMANENT, .placement = ping}};
    struct house house;
    wanted = (uint64_t)(seconds * 1e5);
    open_house(&house, children, 2, threads);
    struct lp2p_msg *msg = note_new();
    uint64_t begun = now_ns();
    if (lp2p_post(house.rt, lp2p_whereis(house.rt, "ping"), &msg) != LP2P_OK) {
        fail("post");
    }
    await();
    double ns = (double)(now_ns() - begun) / (double)wanted;
    (void)lp2p_rt_stop(&house.rt);
    bench_print(name, "ns", ns, NULL);
}

/* ---- starting and restarting actors */

static enum lp2p_err short_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)state;
    (void)arg;
    struct lp2p_msg *msg = lp2p_msg_new(&NOTE);
    if (msg == NULL) {
        return LP2P_ENOMEM;
    }
    lp2p_send_or_drop(self, lp2p_self(self), &msg);
    return LP2P_OK;
}

static enum lp2p_verdict short_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)self;
    (void)state;
    (void)msg;
    return LP2P_STOP; /* born, one message, gone */
}
static const struct lp2p_actor_ops SHORT = {.name = "short", .state_size = 64, .init = short_init, .on_msg = short_on_msg};

struct spawner {
    enum lp2p_place place;
    uint64_t ended;
};

static enum lp2p_verdict spawn_one(struct lp2p_actor *self, const struct spawner *spawner)
{
    struct lp2p_ref ref;
    struct lp2p_child_spec spec = {
        .id = "short", .ops = &SHORT, .restart = LP2P_TEMPORARY, .placement = {.place = spawner->place}};
    if (lp2p_spawn(self, lp2p_whereis(lp2p_actor_rt(self), "nursery"), &spec, &ref) != LP2P_OK) {
        return LP2P_FAIL;
    }
    lp2p_monitor(self, ref);
    return LP2P_CONTINUE;
}

static enum lp2p_err spawner_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    ((struct spawner *)state)->place = *(const enum lp2p_place *)arg;
    return LP2P_OK;
}

static enum lp2p_verdict spawner_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct spawner *spawner = state;
    if ((*msg)->cls == &LP2P_MSG_DOWN && ++spawner->ended == wanted) {
        (void)sem_post(&finished);
        return LP2P_CONTINUE;
    }
    return spawn_one(self, spawner);
}
static const struct lp2p_actor_ops SPAWNER = {
    .name = "spawner", .state_size = sizeof(struct spawner), .init = spawner_init, .on_msg = spawner_on_msg};

static void start(const char *name, enum lp2p_place place, double seconds)
{
    static const struct lp2p_sup_spec nursery = {.restarts_max = 10, .period_ms = 1000, .dynamic_max = 16};
    const struct lp2p_child_spec children[] = {
        {.id = "nursery", .ops = &lp2p_supervisor_ops, .restart = LP2P_PERMANENT, .arg = &nursery},
        {.id = "spawner", .ops = &SPAWNER, .restart = LP2P_PERMANENT, .placement = {.place = LP2P_PLACE_OWN}, .arg = &place}};
    struct house house;
    wanted = (uint64_t)(seconds * 4e3);
    open_house(&house, children, 2, 1);
    struct lp2p_msg *msg = note_new();
    uint64_t begun = now_ns();
    if (lp2p_post(house.rt, lp2p_whereis(house.rt, "spawner"), &msg) != LP2P_OK) {
        fail("post");
    }
    await();
    double ns = (double)(now_ns() - begun) / (double)wanted;
    (void)lp2p_rt_stop(&house.rt);
    bench_print(name, "ns", ns, NULL);
}

static void restart(double seconds)
{
    static const struct lp2p_child_spec children[] = {
        {.id = "sink", .ops = &SINK, .restart = LP2P_PERMANENT, .placement = {.place = LP2P_PLACE_OWN}}};
    struct house house;
    uint64_t times = (uint64_t)(seconds * 2e3);
    open_house(&house, children, 1, 0);
    uint64_t begun = now_ns();
    for (uint64_t i = 0; i < times; i++) {
        if (lp2p_rt_fail(house.rt, lp2p_whereis(house.rt, "sink")) != LP2P_OK) {
            fail("the sink does not fail");
        }
        await();
    }
    double ns = (double)(now_ns() - begun) / (double)times;
    (void)lp2p_rt_stop(&house.rt);
    bench_print("restart-own", "ns", ns, NULL);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    const struct lp2p_placement own = {.place = LP2P_PLACE_OWN}, io = {.place = LP2P_PLACE_GROUP};
    const struct lp2p_placement resident = {.place = LP2P_PLACE_RESIDENT};
    if (seconds <= 0) {
        (void)fprintf(stderr, "usage: bench_runtime [SECONDS]\n");
        return 2;
    }
    if (sem_init(&finished, 0, 0) != 0) {
        fail("no semaphore");
    }
    for (unsigned senders = 1; senders <= SENDERS_MAX; senders *= 2) {
        mailbox(senders, seconds);
        bench_queue(false, senders, (uint64_t)(seconds * 1e6));
        bench_queue(true, senders, (uint64_t)(seconds * 1e6));
    }
    ping_pong("ping-pong-own", own, own, 0, seconds);
    ping_pong("ping-pong-io-apart", io, io, 2, seconds);
    ping_pong("ping-pong-io-together", io, io, 1, seconds);
    ping_pong("ping-pong-io-own", io, own, 1, seconds);
    ping_pong("ping-pong-resident", io, resident, 1, seconds);
    start("start-own", LP2P_PLACE_OWN, seconds);
    start("start-io", LP2P_PLACE_GROUP, seconds);
    restart(seconds);
    bench_print("end", NULL);
    return 0;
}
