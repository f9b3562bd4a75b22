/* SPDX-License-Identifier: MIT
 * The dialer and the listener: which address is tried when, who wins, what people are told, and what a
 * restart keeps. */
#include "link_raw.h"

#include "actors/link/dialer_rank.h"
#include "actors/link/limits.h"

#include <string.h>

static struct lp2p_multiaddr addr(const char *text)
{
    struct lp2p_multiaddr out;
    char why[128] = "";
    if (lp2p_multiaddr_from_text(text, &out, why) != LP2P_OK) {
        fail_msg("%s: %s", text, why);
    }
    return out;
}

static const enum world_mode both[] = {WORLD_SIM, WORLD_THREADS};

static void test_dial_wrong_peer_and_self(void **state)
{
    (void)state;
    for (size_t m = 0; m < LP2P_ARRAY_LEN(both); m++) {
        struct world *world = world_new(both[m]);
        struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
        struct node *c = world_node(world, &lp2p_yamux_ops);
        node_dial(a, node_addr(b), 1, &node_ctx(c)->self);
        WAIT_FOR(world, at_least_dials_ended, a, 1);
        assert_int_equal(node_look(a).dial_reason, LP2P_EWRONGPEER);
        node_dial(a, node_addr(a), 1, NULL);
        WAIT_FOR(world, at_least_dials_ended, a, 2);
        assert_int_equal(node_look(a).dial_reason, LP2P_ESELF);
        struct lp2p_multiaddr named = *node_addr(b); /* an address that names a peer is meant so */
        assert_int_equal(lp2p_multiaddr_add_peer(&named, &node_ctx(c)->self), LP2P_OK);
        node_dial(a, &named, 1, NULL);
        WAIT_FOR(world, at_least_dials_ended, a, 3);
        assert_int_equal(node_look(a).dial_reason, LP2P_EWRONGPEER);
        node_dial(a, node_addr(a), 1, &node_ctx(a)->self);
        WAIT_FOR(world, at_least_dials_ended, a, 4);
        assert_int_equal(node_look(a).dial_reason, LP2P_ESELF);
        assert_true(world_until(world, no_upgrade_pending, a, NULL));
        assert_true(world_until(world, no_upgrade_pending, b, NULL));
        assert_int_equal(node_look(a).links_up + node_look(b).links_up, 0);
        assert_int_equal(LP2P_READ(node_ctx(a), dials), 4);
        assert_int_equal(LP2P_READ(node_ctx(a), dials_failed), 4);
        world_free(world);
    }
}

static void test_dial_text_lists_each_address(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    struct node *a = world_node(world, &lp2p_yamux_ops);
    const struct lp2p_multiaddr addrs[] = {addr("/ip4/10.0.9.9/udp/1/quic-v1"), addr("/ip4/10.0.9.9/tcp/1"),
                                           addr("/ip4/0.0.0.0/tcp/5"), addr("/dns4/example.org/tcp/1")};
    node_dial(a, addrs, LP2P_ARRAY_LEN(addrs), NULL);
    WAIT_FOR(world, at_least_dials_ended, a, 1);
    struct record record = node_look(a);
    assert_int_equal(record.dial_reason, LP2P_ECONNREFUSED);
    assert_string_equal(record.dial_text,
                        "/ip4/10.0.9.9/udp/1/quic-v1: address: QUIC is not spoken; "
                        "/ip4/0.0.0.0/tcp/5: address: not an address that can be dialed; "
                        "/dns4/example.org/tcp/1: address: names are not looked up; "
                        "/ip4/10.0.9.9/tcp/1: connect: connection refused");
    node_dial(a, NULL, 0, NULL);
    WAIT_FOR(world, at_least_dials_ended, a, 2);
    assert_int_equal(node_look(a).dial_reason, LP2P_ENOADDR);
    world_free(world);
}

/** A listener that lets connect but never answers. */
struct hole {
    const struct lp2p_net *net;
    int fd;
    struct lp2p_multiaddr addr;
};

static struct hole hole_new(struct world *world, unsigned number)
{
    struct hole hole = {.net = world_stranger(world)};
    struct lp2p_ip_port at = {0}, bound;
    assert_int_equal(hole.net->interfaces(hole.net->ctx, &at, 1), 1);
    at.port = (uint16_t)(3000 + number);
    assert_int_equal(hole.net->listen(hole.net->ctx, &at, 8, &hole.fd, &bound), LP2P_OK);
    lp2p_multiaddr_from_ip_tcp(bound.ip, bound.ip_len, bound.port, &hole.addr);
    return hole;
}

static void test_dial_next_address_after_a_delay(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
    struct hole holes[2] = {hole_new(world, 1), hole_new(world, 2)};
    const struct lp2p_multiaddr addrs[] = {holes[0].addr, holes[1].addr, *node_addr(b)};
    lp2p_time since = world_now(world);
    node_dial(a, addrs, 3, &node_ctx(b)->self);
    WAIT_FOR(world, at_least_links_up, a, 1);
    assert_in_range(world_now(world) - since, 2 * LP2P_RANK_GAP_PRIVATE_NS,
                    2 * LP2P_RANK_GAP_PRIVATE_NS + LP2P_MS(200));
    WAIT_FOR(world, at_least_dials_ended, a, 1);
    assert_int_equal(node_look(a).dial_reason, LP2P_OK);
    assert_true(world_until(world, no_upgrade_pending, a, NULL)); /* the others were stopped */
    assert_true(world_now(world) - since < LP2P_SEC(2));
    for (int i = 0; i < 2; i++) {
        holes[i].net->close(holes[i].net->ctx, holes[i].fd);
    }
    world_free(world);
}

static void test_dial_failure_brings_the_next_at_once(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
    const struct lp2p_multiaddr addrs[] = {addr("/ip4/10.0.9.9/tcp/1"), addr("/ip4/10.0.9.9/tcp/2"),
                                           *node_addr(b)};
    lp2p_time since = world_now(world);
    node_dial(a, addrs, 3, &node_ctx(b)->self);
    WAIT_FOR(world, at_least_links_up, a, 1);
    assert_true(world_now(world) - since <
                LP2P_RANK_GAP_PUBLIC_NS); /* two refusals and a handshake of 20 ms round trips */
    world_free(world);
}

static void test_dial_deadline_and_cancel(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    struct node *a = world_node(world, &lp2p_yamux_ops);
    struct hole hole = hole_new(world, 1);
    lp2p_time since = world_now(world);
    node_dial(a, &hole.addr, 1, NULL);
    WAIT_FOR(world, at_least_dials_ended, a, 1);
    assert_int_equal(node_look(a).dial_reason, LP2P_ETIMEDOUT);
    assert_non_null(strstr(node_look(a).dial_text, "multistream: the deadline passed"));
    assert_in_range(world_now(world) - since, LP2P_UPGRADE_OUT_NS, LP2P_UPGRADE_OUT_NS + LP2P_SEC(1));
    struct lp2p_m_dial_cancel *cancel = LP2P_NEW(DIAL_CANCEL, dial_cancel);
    cancel->dial = node_dial(a, &hole.addr, 1, NULL);
    world_pass(world, LP2P_SEC(1));
    assert_int_equal(LP2P_READ(node_ctx(a), upgrades_pending), 1);
    struct lp2p_msg *msg = &cancel->msg;
    assert_int_equal(lp2p_post(node_rt(a), lp2p_names(node_ctx(a))->dialer, &msg), LP2P_OK);
    WAIT_FOR(world, at_least_dials_ended, a, 2);
    assert_int_equal(node_look(a).dial_reason, LP2P_ECANCELED);
    assert_true(world_until(world, no_upgrade_pending, a, NULL));
    hole.net->close(hole.net->ctx, hole.fd);
    world_free(world);
}

/** Sixty-four attempts at a time over all dials; the others wait for their turn, and none is forgotten. */
static void test_dial_attempts_are_bounded(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    struct node *a = world_node(world, &lp2p_yamux_ops);
    struct hole holes[12];
    struct lp2p_multiaddr addrs[12];
    for (unsigned i = 0; i < LP2P_ARRAY_LEN(addrs); i++) {
        holes[i] = hole_new(world, i);
        addrs[i] = holes[i].addr;
    }
    for (int i = 0; i < 10; i++) {
        node_dial(a, addrs, LP2P_ARRAY_LEN(addrs), NULL);
    }
    world_pass(world, LP2P_SEC(5));
    assert_int_equal(LP2P_READ(node_ctx(a), upgrades_pending), LP2P_DIALS_PARALLEL);
    WAIT_FOR(world, at_least_dials_ended, a, 10);
    assert_true(world_until(world, no_upgrade_pending, a, NULL));
    for (size_t i = 0; i < LP2P_ARRAY_LEN(addrs); i++) {
        holes[i].net->close(holes[i].net->ctx, holes[i].fd);
    }
    world_free(world);
}

static bool restarted(struct node *node, const void *arg)
{
    struct lp2p_rt_stats stats;
    lp2p_rt_stats_get(node_rt(node), &stats);
    return stats.restarts >= *(const unsigned *)arg;
}

static void test_dial_failed_dialer_says_so(void **state)
{
    (void)state;
    for (size_t m = 0; m < LP2P_ARRAY_LEN(both); m++) {
        struct world *world = world_new(both[m]);
        struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
        if (both[m] == WORLD_SIM) {
            struct hole hole = hole_new(world, 1);
            node_dial(a, &hole.addr, 1, NULL);
            world_pass(world, LP2P_SEC(1));
            node_fail(a, lp2p_names(node_ctx(a))->dialer);
            WAIT_FOR(world, at_least_dials_ended, a, 1);
            assert_int_equal(node_look(a).dial_reason, LP2P_EFAILED);
            hole.net->close(hole.net->ctx, hole.fd);
        } else {
            node_fail(a, lp2p_names(node_ctx(a))->dialer);
        }
        WAIT_FOR(world, restarted, a, 1); /* what was sent to the one that failed went with it */
        node_connect(a, b);               /* its successor works */
        world_free(world);
    }
}

static bool listening_again(struct node *node, const void *arg)
{
    return node_look(node).listening >= *(const unsigned *)arg;
}

static void test_listener_keeps_its_port(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_THREADS);
    struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
    struct lp2p_multiaddr before = *node_addr(b);
    node_connect(a, b);
    node_fail(b, lp2p_whereis(node_rt(b), "listener"));
    WAIT_FOR(world, listening_again, b, 2);
    assert_true(lp2p_multiaddr_eq(&before, node_addr(b)));
    node_connect(a, b);
    world_free(world);
}

struct shortage {
    enum lp2p_err (*accept)(void *ctx, int fd, int *out, struct lp2p_ip_port *remote,
                            struct lp2p_ip_port *local);
    unsigned refusals, calls;
};
static struct shortage shortage;

static enum lp2p_err short_accept(void *ctx, int fd, int *out, struct lp2p_ip_port *remote,
                                  struct lp2p_ip_port *local)
{
    shortage.calls++;
    if (shortage.refusals > 0) {
        shortage.refusals--;
        return LP2P_ELIMIT;
    }
    return shortage.accept(ctx, fd, out, remote, local);
}

static void make_short(struct lp2p_net *net, void *arg)
{
    (void)arg;
    shortage = (struct shortage){.accept = net->accept, .refusals = UINT32_MAX};
    net->accept = short_accept;
}

/** Without descriptors the listener waits longer and longer, and is there when there are some again. */
static void test_listener_out_of_descriptors(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    struct node *b = world_node_with(world, &lp2p_yamux_ops, make_short, NULL);
    struct node *a = world_node(world, &lp2p_yamux_ops);
    node_dial(a, node_addr(b), 1, &node_ctx(b)->self);
    world_pass(world, LP2P_SEC(8));
    assert_in_range(shortage.calls, 4, 20);
    shortage.refusals = 0;
    WAIT_FOR(world, at_least_links_up, a, 1);
    world_free(world);
}

/** A dial that nobody waits for: it heeds the backoff. */
static void dial_unasked(struct node *node, uint64_t number, const struct lp2p_multiaddr *addr, const struct lp2p_peer_id *peer,
                         struct lp2p_addrs *own)
{
    struct lp2p_m_dial *m = LP2P_NEW(DIAL, dial);
    m->dial = number;
    m->addrs = lp2p_addrs_new(addr, 1);
    m->own = own;
    if (peer != NULL) {
        m->peer = *peer;
    }
    struct lp2p_msg *msg = &m->msg;
    assert_int_equal(lp2p_post(node_rt(node), lp2p_names(node_ctx(node))->dialer, &msg), LP2P_OK);
}

static void test_dial_backoff(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
    const struct lp2p_multiaddr nobody = addr("/ip4/10.0.9.9/tcp/1");
    const struct lp2p_peer_id *peer = &node_ctx(b)->self;
    dial_unasked(a, 101, &nobody, peer, NULL);
    WAIT_FOR(world, at_least_dials_ended, a, 1);
    assert_int_equal(node_look(a).dial_reason, LP2P_ECONNREFUSED);
    dial_unasked(a, 102, &nobody, peer, NULL);
    WAIT_FOR(world, at_least_dials_ended, a, 2);
    assert_int_equal(node_look(a).dial_reason, LP2P_EBACKOFF);
    assert_string_equal(node_look(a).dial_text, "/ip4/10.0.9.9/tcp/1: address: tried too recently");
    dial_unasked(a, 103, &nobody, &node_ctx(a)->self, NULL); /* ourselves: told apart */
    dial_unasked(a, 104, &nobody, NULL, NULL);               /* nobody is there for others either */
    WAIT_FOR(world, at_least_dials_ended, a, 4);
    assert_int_equal(node_look(a).dial_reason, LP2P_EBACKOFF);
    node_dial(a, &nobody, 1, peer); /* somebody asks for it */
    WAIT_FOR(world, at_least_dials_ended, a, 5);
    assert_int_equal(node_look(a).dial_reason, LP2P_ECONNREFUSED);
    world_pass(world, LP2P_SEC(20)); /* 5 s + 2 * 2 s and a fifth */
    dial_unasked(a, 106, &nobody, peer, NULL);
    WAIT_FOR(world, at_least_dials_ended, a, 6);
    assert_int_equal(node_look(a).dial_reason, LP2P_ECONNREFUSED);
    world_free(world);
}

/** Row AI8: a stranger's name must not send us into our own network; the user's and the configuration's may. */
static void test_AI8_names_that_lead_inside(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    world_resolve(world);
    struct node *a = world_node(world, &lp2p_yamux_ops);
    const struct lp2p_multiaddr lan = addr("/dns4/lan.example/tcp/1"), wan = addr("/dns4/wan.example/tcp/1");
    dial_unasked(a, 101, &lan, NULL, NULL);
    WAIT_FOR(world, at_least_dials_ended, a, 1);
    assert_int_equal(node_look(a).dial_reason, LP2P_EUNSUPPORTED);
    assert_non_null(strstr(node_look(a).dial_text, "leads to an address that is not public"));
    dial_unasked(a, 102, &wan, NULL, NULL);
    WAIT_FOR(world, at_least_dials_ended, a, 2);
    assert_non_null(strstr(node_look(a).dial_text, "connect: "));
    struct lp2p_m_dial *m = LP2P_NEW(DIAL, dial); /* the user asks for the peer, and a stranger told where it is */
    m->dial = 103;
    m->user = true;
    m->addrs = lp2p_addrs_new(&lan, 1);
    struct lp2p_msg *msg = &m->msg;
    assert_int_equal(lp2p_post(node_rt(a), lp2p_names(node_ctx(a))->dialer, &msg), LP2P_OK);
    WAIT_FOR(world, at_least_dials_ended, a, 3);
    assert_int_equal(node_look(a).dial_reason, LP2P_EUNSUPPORTED);
    node_dial(a, &lan, 1, NULL); /* somebody names it: it is tried */
    WAIT_FOR(world, at_least_dials_ended, a, 4);
    assert_int_equal(node_look(a).dial_reason, LP2P_ECONNREFUSED);
    assert_non_null(strstr(node_look(a).dial_text, "connect: "));
    world_free(world);
}

static void test_dial_own_address_is_passed_over(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
    dial_unasked(a, 101, node_addr(a), &node_ctx(b)->self, lp2p_addrs_new(node_addr(a), 1));
    WAIT_FOR(world, at_least_dials_ended, a, 1);
    assert_int_equal(node_look(a).dial_reason, LP2P_ENOADDR);
    assert_non_null(strstr(node_look(a).dial_text, "this node listens there itself"));
    assert_int_equal(LP2P_READ(node_ctx(a), upgrades_pending), 0);
    world_free(world);
}

/** Accepts and speaks as one who thinks that it dialed, as the other half of crossing connects does; tells from which port. */
static uint16_t meet_crossed(struct world *world, struct hole *hole)
{
    static const char words[] = "\x13/multistream/1.0.0\n\x07/noise\n\0\x20" "0123456789abcdef0123456789abcdef";
    struct lp2p_ip_port remote = {0}, local;
    int fd = -1;
    for (int i = 0; i < 1000 && hole->net->accept(hole->net->ctx, hole->fd, &fd, &remote, &local) != LP2P_OK; i++) {
        world_pass(world, LP2P_MS(5));
    }
    assert_true(fd >= 0);
    struct iovec iov = {(void *)(uintptr_t)words, sizeof(words) - 1};
    size_t put = 0;
    assert_int_equal(hole->net->writev(hole->net->ctx, fd, &iov, 1, &put), LP2P_OK);
    world_pass(world, LP2P_MS(100));
    hole->net->close(hole->net->ctx, fd);
    return remote.port;
}

static void test_dial_crossed_connects_are_tried_again(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    struct node *a = world_node(world, &lp2p_yamux_ops);
    struct hole hole = hole_new(world, 1);
    dial_unasked(a, 101, &hole.addr, NULL, lp2p_addrs_new(node_addr(a), 1));
    assert_int_equal(meet_crossed(world, &hole), 4001); /* from the port that it listens on */
    assert_int_not_equal(meet_crossed(world, &hole), 4001); /* again, from any, and that was the last time */
    WAIT_FOR(world, at_least_dials_ended, a, 1);
    assert_int_not_equal(node_look(a).dial_reason, LP2P_OK);
    assert_true(world_until(world, no_upgrade_pending, a, NULL));
    hole.net->close(hole.net->ctx, hole.fd);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dial_wrong_peer_and_self),
        cmocka_unit_test(test_dial_text_lists_each_address),
        cmocka_unit_test(test_dial_next_address_after_a_delay),
        cmocka_unit_test(test_dial_failure_brings_the_next_at_once),
        cmocka_unit_test(test_dial_deadline_and_cancel),
        cmocka_unit_test(test_dial_attempts_are_bounded),
        cmocka_unit_test(test_dial_failed_dialer_says_so),
        cmocka_unit_test(test_dial_backoff),
        cmocka_unit_test(test_AI8_names_that_lead_inside),
        cmocka_unit_test(test_dial_own_address_is_passed_over),
        cmocka_unit_test(test_dial_crossed_connects_are_tried_again),
        cmocka_unit_test(test_listener_keeps_its_port),
        cmocka_unit_test(test_listener_out_of_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
