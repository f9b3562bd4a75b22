/* SPDX-License-Identifier: MIT
 * Handshakes on several threads with one identity, as the upgrade threads do it: identities are shared,
 * everything else is a connection's own. */
#include "tls_kit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define THREADS 4
#define ROUNDS 6

static const char *const YAMUX[] = {"/yamux/1.0.0"};

struct shared {
    struct kit_node a, b;
    struct lp2p_tls_web *server, *client;
    unsigned good[THREADS];
};
struct worker {
    struct shared *shared;
    unsigned number;
};

static bool web(struct shared *shared)
{
    struct lp2p_tls_session *a = lp2p_tls_session_new(shared->client, "localhost", &kit_rand, KIT_NOW);
    struct lp2p_tls_session *b = lp2p_tls_session_new(shared->server, NULL, &kit_rand, KIT_NOW);
    uint8_t bytes[8192];
    size_t used, len = 1;
    while (len > 0) {
        len = lp2p_tls_session_drain(a, bytes, sizeof(bytes), 0);
        bool good = lp2p_tls_session_feed(b, lp2p_span(bytes, len), 0, &used) == LP2P_OK;
        size_t back = lp2p_tls_session_drain(b, bytes, sizeof(bytes), 0);
        good = good && lp2p_tls_session_feed(a, lp2p_span(bytes, back), 0, &used) == LP2P_OK;
        len = good ? len + back : 0;
    }
    bool open = lp2p_tls_session_state(a) == LP2P_TLS_SESSION_OPEN &&
                lp2p_tls_session_state(b) == LP2P_TLS_SESSION_OPEN;
    lp2p_tls_session_free(a);
    lp2p_tls_session_free(b);
    return open;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct shared *shared = worker->shared;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct lp2p_secure *a = kit_start(&shared->a, true, &shared->b.id),
                           *b = kit_start(&shared->b, false, NULL);
        enum lp2p_err err_a, err_b;
        kit_shake(a, b, 9999, &err_a, &err_b);
        bool good =
            kit_next(a).kind == LP2P_SECURE_ESTABLISHED && kit_next(b).kind == LP2P_SECURE_ESTABLISHED;
        lp2p_secure_free(a);
        lp2p_secure_free(b);
        shared->good[worker->number] += good && web(shared);
    }
    return NULL;
}

static void test_tls_threads(void **state)
{
    (void)state;
    static const char *const names[] = {"localhost"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct shared shared = {.good = {0}};
        struct worker workers[THREADS];
        pthread_t threads[THREADS];
        kit_node_init(&shared.a, 1, kit_backends[i], YAMUX, 1);
        kit_node_init(&shared.b, 2, kit_backends[i], YAMUX, 1);
        assert_int_equal(
            lp2p_tls_web_self_made(kit_backends[i], names, 1, &kit_rand, KIT_NOW, &shared.server), LP2P_OK);
        assert_int_equal(lp2p_tls_web_client_unverified(kit_backends[i], &kit_rand, &shared.client), LP2P_OK);
        for (unsigned t = 0; t < THREADS; t++) {
            workers[t] = (struct worker){&shared, t};
            assert_int_equal(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
        }
        for (unsigned t = 0; t < THREADS; t++) {
            assert_int_equal(pthread_join(threads[t], NULL), 0);
            assert_int_equal(shared.good[t], ROUNDS);
        }
        lp2p_tls_web_release(shared.server);
        lp2p_tls_web_release(shared.client);
        lp2p_tls_identity_wipe(&shared.a.identity);
        lp2p_tls_identity_wipe(&shared.b.identity);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tls_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
