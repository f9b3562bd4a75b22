/* SPDX-License-Identifier: MIT
 * TLS when memory is short: the n-th allocation of ours fails, for every n, in a handshake with traffic and
 * in a session of the web. Nothing crashes, nothing is lost (the leak checker looks on), and who fails says
 * so. */
#include "tls_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static unsigned fail_at, counted; /* 0: none fails */
static bool armed;

static bool fails(void)
{
    return armed && ++counted == fail_at;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return fails() ? NULL : __real_realloc(ptr, size);
}

static const char *const YAMUX[] = {"/yamux/1.0.0"};
static uint8_t wire[70000];

/** Carries once; the test's own allocations are none. */
static bool carry(struct lp2p_secure *from, struct lp2p_secure *to, enum lp2p_err *err)
{
    size_t used = 0, len = lp2p_tls_secure.drain(from, wire, sizeof(wire), 0);
    for (size_t at = 0; at < len && *err == LP2P_OK; at += used) {
        *err = lp2p_tls_secure.feed(to, lp2p_span(wire + at, LP2P_MIN((size_t)700, len - at)), 0, &used);
        if (used == 0) {
            break;
        }
    }
    return len > 0;
}

static struct lp2p_secure *start(const struct kit_node *node, bool initiator)
{
    const struct lp2p_secure_start how = {
        .identity = &node->identity, .initiator = initiator, .rand = &kit_rand, .wall_s = KIT_NOW};
    return lp2p_tls_secure.start(&how);
}

/** True when all went well. */
static bool channel(const struct kit_node *a, const struct kit_node *b)
{
    enum lp2p_err err_a = LP2P_OK, err_b = LP2P_OK;
    struct lp2p_secure *dialer = start(a, true), *listener = start(b, false);
    bool good = dialer != NULL && listener != NULL, moved = good;
    while (moved && err_a == LP2P_OK && err_b == LP2P_OK) {
        moved = carry(dialer, listener, &err_b);
        moved |= carry(listener, dialer, &err_a);
    }
    good = good && kit_next(dialer).kind == LP2P_SECURE_ESTABLISHED &&
           kit_next(listener).kind == LP2P_SECURE_ESTABLISHED;
    if (good) {
        struct lp2p_span plain;
        size_t size = 0;
        good = lp2p_tls_secure.seal(dialer, wire, 100, &size) == LP2P_OK &&
               lp2p_tls_secure.open(listener, wire, size, &plain) == LP2P_OK;
    }
    lp2p_secure_free(dialer);
    lp2p_secure_free(listener);
    return good;
}

static bool web(const struct lp2p_tls_backend *backend)
{
    static const char *const names[] = {"localhost"};
    struct lp2p_tls_web *server = NULL, *client = NULL;
    struct lp2p_tls_session *a = NULL, *b = NULL;
    size_t used = 0, len = 1;
    bool good = lp2p_tls_web_self_made(backend, names, 1, &kit_rand, KIT_NOW, &server) == LP2P_OK &&
                lp2p_tls_web_client_unverified(backend, &kit_rand, &client) == LP2P_OK &&
                (a = lp2p_tls_session_new(client, "localhost", &kit_rand, KIT_NOW)) != NULL &&
                (b = lp2p_tls_session_new(server, NULL, &kit_rand, KIT_NOW)) != NULL;
    while (good && len > 0) {
        len = lp2p_tls_session_drain(a, wire, sizeof(wire), 0);
        good = lp2p_tls_session_feed(b, lp2p_span(wire, len), 0, &used) == LP2P_OK;
        size_t back = lp2p_tls_session_drain(b, wire, sizeof(wire), 0);
        good = good && lp2p_tls_session_feed(a, lp2p_span(wire, back), 0, &used) == LP2P_OK;
        len += back;
    }
    if (good) {
        uint8_t got[10];
        good = lp2p_tls_session_write(a, lp2p_span("hello", 5), &used) == LP2P_OK;
        len = lp2p_tls_session_drain(a, wire, sizeof(wire), 0);
        good = good && lp2p_tls_session_feed(b, lp2p_span(wire, len), 0, &used) == LP2P_OK &&
               lp2p_tls_session_read(b, got, sizeof(got), &used) == LP2P_OK && used == 5;
    }
    lp2p_tls_session_free(a);
    lp2p_tls_session_free(b);
    lp2p_tls_web_release(server);
    lp2p_tls_web_release(client);
    return good;
}

static void test_tls_nomem_channel(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct kit_node a, b;
        kit_node_init(&a, 1, kit_backends[i], YAMUX, 1);
        kit_node_init(&b, 2, kit_backends[i], YAMUX, 1);
        bool good = false;
        for (fail_at = 1; !good && fail_at < 1000; fail_at++) {
            counted = 0;
            armed = true;
            good = channel(&a, &b);
            armed = false;
            assert_true(good == (counted < fail_at));
        }
        assert_true(fail_at > 8); /* some did fail */
        lp2p_tls_identity_wipe(&a.identity);
        lp2p_tls_identity_wipe(&b.identity);
    }
}

static void test_tls_nomem_web(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        bool good = false;
        for (fail_at = 1; !good && fail_at < 1000; fail_at++) {
            counted = 0;
            armed = true;
            good = web(kit_backends[i]);
            armed = false;
            assert_true(good == (counted < fail_at));
        }
        assert_true(fail_at > 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tls_nomem_channel),
                                       cmocka_unit_test(test_tls_nomem_web)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
