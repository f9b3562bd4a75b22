/* SPDX-License-Identifier: MIT
 * The resolver actor against a DNS server on loopback: records, cache, truncation, dead servers, garbage, floods; and whole nodes
 * that dial each other by name. */
#include "actors/context.h"
#include "actors/resolver/dns.h"
#include "dns_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <pthread.h>
#include <time.h>

#define PEER "12D3KooWCryG7Mon9orvQxcS1rYZjotPgpwoJNHHKcLLfE4Hf5mV"
#define OTHER "QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC"

struct kit {
    struct dns_server *server;
    struct lp2p_context ctx;
    struct lp2p_rt *rt;
    struct lp2p_child_spec children[2], root;
    struct lp2p_sup_spec sup;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned answers;
    struct lp2p_m_resolved *last;    /* valid until the next answer */
    struct lp2p_m_resolved *granted; /* the first one that is no ELIMIT, when `grant` is set; stays */
    bool grant;
};

/** Passes questions on, so that they come from an actor, and keeps the answers. */
static enum lp2p_err asker_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    *(struct kit **)state = (struct kit *)(uintptr_t)arg;
    return LP2P_OK;
}

static enum lp2p_verdict asker_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    struct kit *kit = *(struct kit **)state;
    if (LP2P_IS(*msg, RESOLVE)) {
        assert_int_equal(lp2p_send(self, lp2p_whereis(lp2p_actor_rt(self), "resolver"), msg), LP2P_OK);
    } else if (LP2P_IS(*msg, RESOLVED)) {
        struct lp2p_m_resolved *m = LP2P_AS(*msg, RESOLVED, resolved);
        pthread_mutex_lock(&kit->lock);
        bool first = kit->grant && kit->granted == NULL && m->reason != LP2P_ELIMIT;
        struct lp2p_m_resolved **place = first ? &kit->granted : &kit->last;
        struct lp2p_msg *old = *place != NULL ? &(*place)->msg : NULL;
        lp2p_msg_drop(&old);
        *place = m;
        kit->answers++;
        *msg = NULL;
        pthread_cond_broadcast(&kit->changed);
        pthread_mutex_unlock(&kit->lock);
    }
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops asker_ops = {
    .name = "asker", .state_size = sizeof(struct kit *), .init = asker_init, .on_msg = asker_on_msg};

static struct kit *kit_new(const char *servers)
{
    struct kit *kit = calloc(1, sizeof(*kit));
    assert_non_null(kit);
    kit->server = dns_server_new();
    (void)snprintf(kit->ctx.config.dns_servers, sizeof(kit->ctx.config.dns_servers), "%s%s", servers,
                   dns_server_text(kit->server));
    pthread_mutex_init(&kit->lock, NULL);
    pthread_cond_init(&kit->changed, NULL);
    kit->children[0] = (struct lp2p_child_spec){.id = "asker", .ops = &asker_ops, .arg = kit, .restart = LP2P_PERMANENT};
    kit->children[1] = (struct lp2p_child_spec){.id = "resolver", .ops = &lp2p_resolver_ops, .arg = &kit->ctx, .restart = LP2P_PERMANENT};
    kit->sup = (struct lp2p_sup_spec){.restarts_max = 1, .period_ms = 1000, .children = kit->children, .children_len = 2};
    kit->root = (struct lp2p_child_spec){.id = "root", .ops = &lp2p_supervisor_ops, .arg = &kit->sup};
    struct lp2p_rt_config config = {.root = &kit->root};
    char failed[64] = "";
    assert_int_equal(lp2p_rt_start(&config, &kit->rt, failed), LP2P_OK);
    return kit;
}

static void kit_free(struct kit *kit)
{
    assert_int_equal(lp2p_rt_stop(&kit->rt), 0);
    struct lp2p_msg *last = kit->last != NULL ? &kit->last->msg : NULL;
    struct lp2p_msg *granted = kit->granted != NULL ? &kit->granted->msg : NULL;
    lp2p_msg_drop(&last);
    lp2p_msg_drop(&granted);
    dns_server_free(kit->server);
    pthread_cond_destroy(&kit->changed);
    pthread_mutex_destroy(&kit->lock);
    free(kit);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return LP2P_SEC(ts.tv_sec) + (uint64_t)ts.tv_nsec;
}

static void post(struct kit *kit, const char *text, uint64_t patience_ns)
{
    struct lp2p_m_resolve *m = LP2P_NEW(RESOLVE, resolve);
    char why[128];
    assert_int_equal(lp2p_multiaddr_from_text(text, &m->addr, why), LP2P_OK);
    m->deadline = now_ns() + patience_ns;
    struct lp2p_msg *msg = &m->msg;
    assert_int_equal(lp2p_post(kit->rt, lp2p_whereis(kit->rt, "asker"), &msg), LP2P_OK);
}

static const struct lp2p_m_resolved *wait_for(struct kit *kit, unsigned answers)
{
    pthread_mutex_lock(&kit->lock);
    while (kit->answers < answers) {
        pthread_cond_wait(&kit->changed, &kit->lock);
    }
    const struct lp2p_m_resolved *last = kit->last;
    pthread_mutex_unlock(&kit->lock);
    return last;
}

/** The first answer that is no refusal: others may come while it is looked at. */
static const struct lp2p_m_resolved *wait_for_granted(struct kit *kit)
{
    pthread_mutex_lock(&kit->lock);
    while (kit->granted == NULL) {
        pthread_cond_wait(&kit->changed, &kit->lock);
    }
    const struct lp2p_m_resolved *m = kit->granted;
    pthread_mutex_unlock(&kit->lock);
    return m;
}

static const struct lp2p_m_resolved *resolve(struct kit *kit, const char *text)
{
    unsigned before = kit->answers;
    post(kit, text, LP2P_SEC(30));
    return wait_for(kit, before + 1);
}

static void expect(const struct lp2p_m_resolved *m, size_t at, const char *want)
{
    char text[LP2P_MULTIADDR_TEXT_MAX];
    assert_true(at < m->addrs->len);
    lp2p_multiaddr_text(&m->addrs->items[at], text);
    assert_string_equal(text, want);
}

static void test_resolver_records(void **state)
{
    (void)state;
    struct kit *kit = kit_new("");
    dns_server_a(kit->server, "host.example", "192.0.2.7", 60);
    dns_server_a(kit->server, "host.example", "2001:db8::7", 60);
    dns_server_txt(kit->server, "_dnsaddr.net.example", "dnsaddr=/dns4/host.example/tcp/443/wss/p2p/" PEER, 60);
    dns_server_txt(kit->server, "_dnsaddr.net.example", "dnsaddr=/ip4/192.0.2.9/tcp/1/p2p/" OTHER, 60);
    dns_server_txt(kit->server, "_dnsaddr.net.example", "something else", 60);
    const struct lp2p_m_resolved *m = resolve(kit, "/dns4/host.example/tcp/1");
    assert_int_equal(m->addrs->len, 1);
    expect(m, 0, "/ip4/192.0.2.7/tcp/1");
    m = resolve(kit, "/dns6/host.example/tcp/1");
    assert_int_equal(m->addrs->len, 1);
    expect(m, 0, "/ip6/2001:db8::7/tcp/1");
    assert_int_equal(resolve(kit, "/dns/host.example/tcp/1")->addrs->len, 2);
    m = resolve(kit, "/dnsaddr/net.example/p2p/" PEER);
    assert_int_equal(m->addrs->len, 1);
    expect(m, 0, "/ip4/192.0.2.7/tcp/443/wss/p2p/" PEER);
    /* One question for each kind; the rest came from the cache. */
    assert_int_equal(dns_server_questions(kit->server, "host.example"), 2);
    /* Numbers and the hosts file need no server. */
    expect(resolve(kit, "/dns4/127.0.0.1/tcp/5"), 0, "/ip4/127.0.0.1/tcp/5");
    unsigned before = dns_server_questions(kit->server, NULL);
    expect(resolve(kit, "/dns4/localhost/tcp/5"), 0, "/ip4/127.0.0.1/tcp/5");
    assert_int_equal(dns_server_questions(kit->server, NULL), before);
    kit_free(kit);
}

static void post_urgent(struct kit *kit, const char *text)
{
    struct lp2p_m_resolve *m = LP2P_NEW(RESOLVE, resolve);
    char why[128];
    assert_int_equal(lp2p_multiaddr_from_text(text, &m->addr, why), LP2P_OK);
    m->deadline = now_ns() + LP2P_SEC(60);
    m->urgent = true;
    struct lp2p_msg *msg = &m->msg;
    assert_int_equal(lp2p_post(kit->rt, lp2p_whereis(kit->rt, "asker"), &msg), LP2P_OK);
}

/** Names from strangers that no server answers for, more than there are places: who waits for a name does not wait behind them. */
static void test_resolver_strangers_names_wait_behind(void **state)
{
    (void)state;
    struct kit *kit = kit_new("");
    dns_server_a(kit->server, "host.example", "192.0.2.7", 60);
    dns_server_behave(kit->server, "host.example", DNS_RECORDS);
    dns_server_behave(kit->server, "*", DNS_SILENCE);
    char text[96];
    kit->grant = true;
    for (int i = 0; i < 400; i++) {
        (void)snprintf(text, sizeof(text), "/dns4/s%d.silent.example/tcp/1", i);
        post(kit, text, LP2P_SEC(60));
    }
    post_urgent(kit, "/dns4/host.example/tcp/1");
    const struct lp2p_m_resolved *m = wait_for_granted(kit); /* the strangers' beyond the limit are refused at once */
    assert_int_equal(m->reason, LP2P_OK);
    expect(m, 0, "/ip4/192.0.2.7/tcp/1");
    kit_free(kit);
}

static void test_resolver_long_text_in_strings(void **state)
{
    (void)state;
    struct kit *kit = kit_new("");
    char text[512], label[64];
    (void)snprintf(label, sizeof(label), "%063d", 7);
    int n = snprintf(text, sizeof(text), "dnsaddr=/dns4/%s.%s/tcp/443/tls/sni/%s/ws/p2p/" PEER, label, label, label);
    assert_true(n > 255); /* more than one string of TXT */
    dns_server_txt(kit->server, "_dnsaddr.long.example", text, 60);
    char name[160];
    (void)snprintf(name, sizeof(name), "%s.%s", label, label);
    dns_server_a(kit->server, name, "192.0.2.8", 60);
    const struct lp2p_m_resolved *m = resolve(kit, "/dnsaddr/long.example/p2p/" PEER);
    assert_int_equal(m->reason, LP2P_OK);
    assert_int_equal(m->addrs->len, 1);
    kit_free(kit);
}

static void test_resolver_no_such_name(void **state)
{
    (void)state;
    struct kit *kit = kit_new("");
    dns_server_a(kit->server, "six.example", "2001:db8::7", 60);
    dns_server_behave(kit->server, "bad.example", DNS_FAILURE);
    const struct lp2p_m_resolved *m = resolve(kit, "/dns4/none.example/tcp/1");
    assert_int_equal(m->reason, LP2P_ENOTFOUND);
    assert_string_equal(m->text, "none.example: the name does not exist");
    m = resolve(kit, "/dns4/six.example/tcp/1");
    assert_int_equal(m->reason, LP2P_ENOTFOUND);
    assert_string_equal(m->text, "six.example: the name has no such records");
    m = resolve(kit, "/dns4/bad.example/tcp/1");
    assert_int_not_equal(m->reason, LP2P_OK); /* c-ares takes a server that says so for one that is not there */
    kit_free(kit);
}

static void test_resolver_truncated_goes_over_tcp(void **state)
{
    (void)state;
    struct kit *kit = kit_new("");
    dns_server_behave(kit->server, "_dnsaddr.cut.example", DNS_CUT);
    dns_server_txt(kit->server, "_dnsaddr.cut.example", "dnsaddr=/ip4/192.0.2.9/tcp/1", 60);
    /* The server's own switch between "cut" and records is the transport: behind it the records are given. */
    const struct lp2p_m_resolved *m = resolve(kit, "/dnsaddr/cut.example");
    assert_int_equal(m->reason, LP2P_OK);
    expect(m, 0, "/ip4/192.0.2.9/tcp/1");
    assert_int_equal(dns_server_questions(kit->server, "_dnsaddr.cut.example"), 2);
    kit_free(kit);
}

static void test_resolver_floods_and_loops(void **state)
{
    (void)state;
    struct kit *kit = kit_new("");
    dns_server_behave(kit->server, "_dnsaddr.flood.example", DNS_FLOOD);
    dns_server_behave(kit->server, "_dnsaddr.loop.example", DNS_LOOP);
    dns_server_behave(kit->server, "*", DNS_CHAIN);
    const struct lp2p_m_resolved *m = resolve(kit, "/dnsaddr/flood.example");
    assert_int_equal(m->reason, LP2P_OK);
    assert_int_equal(m->addrs->len, LP2P_RESOLVE_ADDRS_MAX);
    assert_int_not_equal(resolve(kit, "/dnsaddr/loop.example")->reason, LP2P_OK);
    assert_int_equal(dns_server_questions(kit->server, "_dnsaddr.loop.example"), 1);
    unsigned before = dns_server_questions(kit->server, NULL);
    m = resolve(kit, "/dnsaddr/c0.chain");
    assert_int_equal(m->reason, LP2P_ELIMIT);
    assert_int_equal(dns_server_questions(kit->server, NULL), before + LP2P_RESOLVE_DEPTH_MAX);
    kit_free(kit);
}

static void test_resolver_garbage_and_silence(void **state)
{
    (void)state;
    struct kit *kit = kit_new("");
    dns_server_behave(kit->server, "silent.example", DNS_SILENCE);
    dns_server_behave(kit->server, "garbage.example", DNS_GARBAGE);
    dns_server_behave(kit->server, "_dnsaddr.garbage.example", DNS_GARBAGE);
    /* The deadline is absolute: the answer comes then, whatever the server does. */
    post(kit, "/dns4/silent.example/tcp/1", LP2P_MS(300));
    const struct lp2p_m_resolved *m = wait_for(kit, 1);
    assert_int_equal(m->reason, LP2P_ETIMEDOUT);
    assert_int_not_equal(resolve(kit, "/dns4/garbage.example/tcp/1")->reason, LP2P_OK);
    assert_int_not_equal(resolve(kit, "/dnsaddr/garbage.example")->reason, LP2P_OK);
    kit_free(kit);
}

/** The first server of the list does not exist: the second one answers. */
static void test_resolver_dead_server(void **state)
{
    (void)state;
    struct dns_server *dead = dns_server_new(); /* a port that nobody has any more */
    char servers[64];
    (void)snprintf(servers, sizeof(servers), "%s,", dns_server_text(dead));
    dns_server_free(dead);
    struct kit *kit = kit_new(servers);
    dns_server_a(kit->server, "host.example", "192.0.2.7", 60);
    expect(resolve(kit, "/dns4/host.example/tcp/1"), 0, "/ip4/192.0.2.7/tcp/1");
    kit_free(kit);
}

/** Many at one time: each is answered, same ones share a question, and questions beyond the limit wait for their turn. */
static void test_resolver_many_at_once(void **state)
{
    (void)state;
    struct kit *kit = kit_new("");
    char text[64];
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(text, sizeof(text), "host%u.example", i);
        dns_server_a(kit->server, text, "192.0.2.7", 60);
    }
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(text, sizeof(text), "/dns4/host%u.example/tcp/1", i % 100);
        post(kit, text, LP2P_SEC(60));
    }
    assert_int_equal(wait_for(kit, 200)->reason, LP2P_OK);
    assert_int_equal(dns_server_questions(kit->server, "host5.example"), 1);
    kit_free(kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolver_records),
        cmocka_unit_test(test_resolver_strangers_names_wait_behind),
        cmocka_unit_test(test_resolver_long_text_in_strings),
        cmocka_unit_test(test_resolver_no_such_name),
        cmocka_unit_test(test_resolver_truncated_goes_over_tcp),
        cmocka_unit_test(test_resolver_floods_and_loops),
        cmocka_unit_test(test_resolver_garbage_and_silence),
        cmocka_unit_test(test_resolver_dead_server),
        cmocka_unit_test(test_resolver_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
