/* SPDX-License-Identifier: MIT
 * What strangers can make the dialer do: the budget of a target (row AX3), and the places that are kept for dials which
 * somebody asked for. */
#include "link_raw.h"

#include "actors/link/dialer_budget.h"
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

/* ---- the table alone */

static const struct lp2p_dial_limits defaults = {{LP2P_DIAL_TARGET_NS, LP2P_DIAL_TARGET_BURST},
                                                 {LP2P_DIAL_NET_NS, LP2P_DIAL_NET_BURST},
                                                 LP2P_DIALS_RESERVED};

static struct lp2p_budget *budget_new(void)
{
    struct lp2p_budget *budget = calloc(1, sizeof(*budget));
    static struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 5);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    lp2p_budget_init(budget, &defaults, &rand);
    return budget;
}

/** How many of `tries` a second are allowed in `seconds` from `from`. */
static unsigned allowed(struct lp2p_budget *budget, const char *text, unsigned from, unsigned seconds, unsigned tries)
{
    struct lp2p_multiaddr to = addr(text);
    unsigned n = 0;
    for (unsigned s = from; s < from + seconds; s++) {
        for (unsigned i = 0; i < tries; i++) {
            n += lp2p_budget_take(budget, &to, LP2P_SEC(s)) == NULL;
        }
    }
    return n;
}

static void test_budget_of_a_target(void **state)
{
    (void)state;
    struct lp2p_budget *budget = budget_new();
    assert_in_range(allowed(budget, "/ip4/8.8.8.8/tcp/80", 100, 60, 10), 4, 6);
    assert_in_range(allowed(budget, "/ip4/8.8.8.8/tcp/80", 160, 60, 10), 2, 4); /* the burst is used up */
    /* Another way to write it, or to speak to it, is no other target; another port is one. */
    assert_int_equal(allowed(budget, "/ip4/8.8.8.8/tcp/80/ws", 219, 1, 10), 0);
    assert_int_equal(allowed(budget, "/ip6/::ffff:8.8.8.8/tcp/80", 219, 1, 10), 0);
    assert_int_equal(allowed(budget, "/ip4/8.8.8.8/tcp/81", 219, 1, 10), LP2P_DIAL_TARGET_BURST);
    assert_int_equal(allowed(budget, "/ip6/2001:db8::8/tcp/80", 219, 1, 10), LP2P_DIAL_TARGET_BURST);
    assert_int_equal(allowed(budget, "/ip4/127.0.0.1/tcp/80", 219, 1, 1000), 1000);
    assert_int_equal(allowed(budget, "/dns4/example.org/tcp/80", 219, 1, 1000), 1000); /* no target yet */
    free(budget);
}

static void test_budget_of_a_network(void **state)
{
    (void)state;
    static const char *const forms[] = {"/ip4/8.8.8.%u/tcp/%u", "/ip6/2001:db8:1:%x::1/tcp/%u"};
    for (size_t f = 0; f < LP2P_ARRAY_LEN(forms); f++) {
        struct lp2p_budget *budget = budget_new();
        unsigned n = 0;
        for (unsigned i = 0; i < 2000; i++) {
            char text[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            (void)snprintf(text, sizeof(text), forms[f], i % 256, 1000 + i);
#pragma GCC diagnostic pop
            n += allowed(budget, text, 100, 1, 1);
        }
        assert_int_equal(n, LP2P_DIAL_NET_BURST);
        assert_int_equal(allowed(budget, "/ip4/8.8.9.1/tcp/1", 100, 1, 1), 1); /* its neighbours are not */
        assert_int_equal(allowed(budget, "/ip6/2001:db8:2::1/tcp/1", 100, 1, 1), 1);
        free(budget);
    }
}

/** Who wants a bucket forgotten pays with more attempts than it brings. */
static void test_budget_table_is_bounded(void **state)
{
    (void)state;
    struct lp2p_budget *budget = budget_new();
    unsigned victim = 0, others = 0;
    for (unsigned i = 0; i < 100000; i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "/ip4/%u.%u.%u.1/tcp/1", 11 + i % 80, i / 80 % 256, i / 80 / 256);
        struct lp2p_multiaddr to = addr(text);
        others += lp2p_budget_take(budget, &to, LP2P_SEC(100)) == NULL;
        victim += allowed(budget, "/ip4/8.8.8.8/tcp/80", 100, 1, 1);
    }
    assert_true(victim * 20 < others);
    free(budget);
}

static void test_budget_is_given_back(void **state)
{
    (void)state;
    struct lp2p_budget *budget = budget_new();
    struct lp2p_multiaddr to = addr("/ip4/8.8.8.8/tcp/80");
    for (int i = 0; i < 100; i++) {
        assert_null(lp2p_budget_take(budget, &to, LP2P_SEC(100)));
        lp2p_budget_worked(budget, &to);
    }
    lp2p_budget_worked(budget, &to); /* once more than it was taken gives no more than a full one */
    assert_int_equal(allowed(budget, "/ip4/8.8.8.8/tcp/80", 100, 1, 10), LP2P_DIAL_TARGET_BURST);
    free(budget);
}

/* ---- the dialer */

#define SAMPLES 4096

/** Counts who is connected to, and when. */
static struct {
    enum lp2p_err (*connect)(void *ctx, const struct lp2p_ip_port *addr, const struct lp2p_ip_port *from, int *fd);
    struct world *world;
    struct lp2p_ip_port victim;
    lp2p_time when[SAMPLES];
    unsigned len, others;
} seen;

static enum lp2p_err counted_connect(void *ctx, const struct lp2p_ip_port *to, const struct lp2p_ip_port *from, int *fd)
{
    bool hit = to->ip_len == seen.victim.ip_len && to->port == seen.victim.port && memcmp(to->ip, seen.victim.ip, to->ip_len) == 0;
    if (hit && seen.len < SAMPLES) {
        seen.when[seen.len++] = world_now(seen.world);
    }
    seen.others += !hit;
    return seen.connect(ctx, to, from, fd);
}

static void count_connects(struct lp2p_net *net, void *arg)
{
    (void)arg;
    seen.connect = net->connect;
    net->connect = counted_connect;
}

/** The most attempts in any minute. */
static unsigned busiest_minute(void)
{
    unsigned most = 0;
    for (unsigned i = 0, from = 0; i < seen.len; i++) {
        while (seen.when[i] - seen.when[from] > LP2P_SEC(60)) {
            from++;
        }
        most = LP2P_MAX(most, i - from + 1);
    }
    return most;
}

static void use_limits(struct lp2p_context *ctx, struct lp2p_listener_arg *listener, void *arg)
{
    (void)listener;
    ctx->dial_limits = arg;
}

/** A machine that lets connect: nobody's backoff but that of one peer begins. */
static struct lp2p_multiaddr victim_new(struct world *world, const struct lp2p_net **net, int *fd)
{
    struct lp2p_ip_port at = {0};
    struct lp2p_multiaddr where;
    *net = world_stranger(world);
    assert_int_equal((*net)->interfaces((*net)->ctx, &at, 1), 1);
    at.port = 80;
    assert_int_equal((*net)->listen((*net)->ctx, &at, 8, fd, &seen.victim), LP2P_OK);
    lp2p_multiaddr_from_ip_tcp(seen.victim.ip, seen.victim.ip_len, seen.victim.port, &where);
    return where;
}

/** What has come is closed again. */
static void hang_up(const struct lp2p_net *net, int fd)
{
    struct lp2p_ip_port remote, local;
    int came = -1;
    while (net->accept(net->ctx, fd, &came, &remote, &local) == LP2P_OK) {
        net->close(net->ctx, came);
    }
}

static struct lp2p_peer_id stranger(unsigned n)
{
    struct lp2p_peer_id id = {.len = 34, .bytes = {0x12, 0x20, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16)}};
    return id;
}

/** A dial that nobody waits for, to an address that others told. */
static void dial_gossip(struct node *node, const struct lp2p_multiaddr *addrs, size_t len, unsigned who)
{
    struct lp2p_m_dial *m = LP2P_NEW(DIAL, dial);
    m->dial = 1000 + who;
    m->addrs = lp2p_addrs_new(addrs, len);
    m->peer = stranger(who);
    struct lp2p_msg *msg = &m->msg;
    if (lp2p_post(node_rt(node), lp2p_names(node_ctx(node))->dialer, &msg) != LP2P_OK) {
        lp2p_msg_drop(&msg);
    }
}

struct flood {
    unsigned busiest, dialed, limited, ended;
    char text[512];
};

/** 10,000 peers are said to live at the victim, in several forms of its address, over ten minutes. */
static struct flood gossip_flood(const struct lp2p_dial_limits *limits, bool named)
{
    struct world *world = world_new(WORLD_SIM);
    const struct lp2p_net *net = NULL;
    int fd = -1;
    memset(&seen, 0, sizeof(seen));
    seen.world = world;
    world_prepare_nodes(world, use_limits, (void *)(uintptr_t)limits);
    struct node *a = world_node_with(world, &lp2p_yamux_ops, count_connects, NULL);
    const struct lp2p_multiaddr plain = victim_new(world, &net, &fd);
    char text[LP2P_MULTIADDR_TEXT_MAX + 8];
    lp2p_multiaddr_text(&plain, text);
    (void)strcat(text, "/ws");
    const struct lp2p_multiaddr forms[] = {plain, addr(text)};
    for (unsigned i = 0; i < 10000; i++) {
        if (named) {
            const struct lp2p_peer_id peer = stranger(i);
            node_dial(a, &forms[i % 2], 1, &peer);
        } else {
            dial_gossip(a, &forms[i % 2], 1, i);
        }
        world_pass(world, LP2P_MS(60));
        hang_up(net, fd);
    }
    struct flood out = {.busiest = busiest_minute(), .dialed = seen.len, .ended = node_look(a).dials_ended,
                        .limited = (unsigned)LP2P_READ(node_ctx(a), dials_limited)};
    (void)snprintf(out.text, sizeof(out.text), "%s", node_look(a).dial_text);
    hang_up(net, fd);
    assert_true(world_until(world, no_upgrade_pending, a, NULL));
    net->close(net->ctx, fd);
    world_free(world);
    return out;
}

static void test_AX3_reflected_dials(void **state)
{
    (void)state;
    struct flood flood = gossip_flood(NULL, false);
    assert_in_range(flood.busiest, 3, 6);
    assert_in_range(flood.dialed, 10, 6 * 11);
    assert_true(flood.limited > 9000);
    assert_int_equal(flood.limited + flood.dialed, 10000); /* each of them got its verdict */
    assert_non_null(strstr(flood.text, "not tried: others made us try this address too often"));
    /* The control: without the limits the victim is flooded. */
    static const struct lp2p_dial_limits lifted = {.reserved = LP2P_DIALS_RESERVED};
    flood = gossip_flood(&lifted, false);
    assert_true(flood.busiest > 100);
    assert_int_equal(flood.limited, 0);
}

/** What the user names is tried as often as the user likes. */
static void test_AX3_named_addresses_have_no_budget(void **state)
{
    (void)state;
    struct flood flood = gossip_flood(NULL, true);
    assert_true(flood.busiest > 100);
    assert_int_equal(flood.limited, 0);
}

/** An address that was withheld is tried when somebody who waits for the dial names it. */
static void test_budget_named_later(void **state)
{
    (void)state;
    struct world *world = world_new(WORLD_SIM);
    const struct lp2p_net *net = NULL;
    int fd = -1;
    memset(&seen, 0, sizeof(seen));
    seen.world = world;
    struct node *a = world_node_with(world, &lp2p_yamux_ops, count_connects, NULL);
    const struct lp2p_multiaddr victim = victim_new(world, &net, &fd);
    for (unsigned i = 0; i < LP2P_DIAL_TARGET_BURST; i++) {
        dial_gossip(a, &victim, 1, i);
    }
    struct lp2p_ip_port at = {0}, bound;
    int other_fd = -1;
    assert_int_equal(net->interfaces(net->ctx, &at, 1), 1);
    at.port = 81;
    assert_int_equal(net->listen(net->ctx, &at, 8, &other_fd, &bound), LP2P_OK);
    struct lp2p_multiaddr both[2] = {victim};
    lp2p_multiaddr_from_ip_tcp(bound.ip, bound.ip_len, bound.port, &both[1]);
    dial_gossip(a, both, 2, 77); /* goes on by its other address */
    world_pass(world, LP2P_SEC(1));
    assert_int_equal(seen.len, LP2P_DIAL_TARGET_BURST);
    struct lp2p_m_dial *m = LP2P_NEW(DIAL, dial);
    m->dial = 1077;
    m->peer = stranger(77);
    m->more = m->user = true;
    m->named = lp2p_addrs_new(&victim, 1);
    struct lp2p_msg *msg = &m->msg;
    assert_int_equal(lp2p_post(node_rt(a), lp2p_names(node_ctx(a))->dialer, &msg), LP2P_OK);
    world_pass(world, LP2P_SEC(1));
    assert_int_equal(seen.len, LP2P_DIAL_TARGET_BURST + 1);
    world_pass(world, LP2P_SEC(30));
    net->close(net->ctx, fd);
    net->close(net->ctx, other_fd);
    world_free(world);
}

/* ---- places */

/** Peers at addresses where nobody answers are told by strangers; the user's dial must not wait until all of them time out. */
static bool user_gets_through(const struct lp2p_dial_limits *limits)
{
    struct world *world = world_new(WORLD_SIM);
    const struct lp2p_net *nets[16];
    int fds[16];
    struct lp2p_multiaddr holes[16];
    world_prepare_nodes(world, use_limits, (void *)(uintptr_t)limits);
    struct node *a = world_node(world, &lp2p_yamux_ops), *b = world_node(world, &lp2p_yamux_ops);
    for (size_t i = 0; i < LP2P_ARRAY_LEN(holes); i++) {
        holes[i] = victim_new(world, &nets[i], &fds[i]);
    }
    for (unsigned i = 0; i < 20; i++) {
        dial_gossip(a, holes, LP2P_ARRAY_LEN(holes), i);
    }
    world_pass(world, LP2P_SEC(5));
    unsigned pending = (unsigned)LP2P_READ(node_ctx(a), upgrades_pending);
    assert_int_equal(pending, LP2P_DIALS_PARALLEL - limits->reserved);
    node_dial(a, node_addr(b), 1, &node_ctx(b)->self);
    world_pass(world, LP2P_SEC(2));
    bool through = node_look(a).links_up == 1;
    world_pass(world, LP2P_SEC(60));
    for (size_t i = 0; i < LP2P_ARRAY_LEN(holes); i++) {
        nets[i]->close(nets[i]->ctx, fds[i]);
    }
    world_free(world);
    return through;
}

static void test_dial_places_are_kept_for_who_asks(void **state)
{
    (void)state;
    static const struct lp2p_dial_limits kept = {.reserved = LP2P_DIALS_RESERVED}, none = {.reserved = 0};
    assert_true(user_gets_through(&kept));
    assert_false(user_gets_through(&none)); /* the control */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_of_a_target),
        cmocka_unit_test(test_budget_of_a_network),
        cmocka_unit_test(test_budget_table_is_bounded),
        cmocka_unit_test(test_budget_is_given_back),
        cmocka_unit_test(test_AX3_reflected_dials),
        cmocka_unit_test(test_AX3_named_addresses_have_no_budget),
        cmocka_unit_test(test_budget_named_later),
        cmocka_unit_test(test_dial_places_are_kept_for_who_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
