/* SPDX-License-Identifier: MIT
 * Carriers when memory is short: the n-th allocation of ours fails, for every n, while two ends set up, exchange and close.
 * Nothing crashes, nothing is lost (the leak checker looks on), and what arrives is what was sent. */
#include "carrier_kit.h"

#include "actors/link/carrier_pnet.h"
#include "actors/link/carrier_tls.h"
#include "actors/link/carrier_ws.h"

#define NOW_S 1800000000
#define TOTAL 9000 /* bytes each way */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static unsigned fail_at, counted; /* 0: none fails */
static bool armed, failed;

static bool fails(void)
{
    bool now = armed && ++counted == fail_at;
    failed |= now;
    return now;
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

enum { WITH_TLS = 1, WITH_WS = 2, WITH_PNET = 4 };

static struct lp2p_tls_web *server_web, *client_web;
static struct lp2p_rand source; /* outlives all handshakes */

static int make_credentials(void **state)
{
    (void)state;
    static const char *const names[] = {"node.example"};
    source = kit_rand();
    assert_int_equal(lp2p_tls_web_self_made(NULL, names, 1, &source, NOW_S, &server_web), LP2P_OK);
    assert_int_equal(lp2p_tls_web_client_unverified(NULL, &source, &client_web), LP2P_OK);
    return 0;
}

static int release_credentials(void **state)
{
    (void)state;
    lp2p_tls_web_release(server_web);
    lp2p_tls_web_release(client_web);
    return 0;
}

/** One more layer, or the stack as it was when memory is short. */
static bool add(struct end *end, struct lp2p_carrier *above)
{
    if (above != NULL) {
        assert_null(end->carrier);
        end->carrier = above;
    } else {
        assert_non_null(end->carrier); /* still ours */
    }
    return above != NULL;
}

static bool add_tls(struct end *end, bool client)
{
    struct lp2p_tls_session *session =
        lp2p_tls_session_new(client ? client_web : server_web, client ? "node.example" : NULL, &source, NOW_S);
    bool good = session != NULL && add(end, lp2p_carrier_tls(&end->carrier, &session));
    lp2p_tls_session_free(session);
    return good;
}

static bool stack(struct end *end, unsigned layers, bool client)
{
    static const struct lp2p_pnet_key key = {{1, 2, 3}};
    const struct lp2p_ws_start start = {.client = client, .rand = &source, .host = "node.example:443"};
    end->carrier = lp2p_carrier_tcp(&end->cut.net, end->fd);
    if (end->carrier == NULL) {
        return false;
    }
    end->fd = -1;
    return ((layers & WITH_TLS) == 0 || add_tls(end, client)) &&
           ((layers & WITH_WS) == 0 || add(end, lp2p_carrier_ws(&end->carrier, &start))) &&
           ((layers & WITH_PNET) == 0 || add(end, lp2p_carrier_pnet(&end->carrier, &key, &source)));
}

/** Moves bytes of one end. False: it has failed. */
static bool move(struct end *end)
{
    static uint8_t bytes[TOTAL];
    size_t put = 0;
    enum lp2p_err err = LP2P_OK;
    for (size_t i = 0; i < TOTAL; i++) {
        bytes[i] = pattern(i);
    }
    if (end->sent < TOTAL || lp2p_carrier_wants_write(end->carrier)) {
        const struct iovec iov = {bytes + end->sent, TOTAL - end->sent};
        err = end->carrier->ops->writev(end->carrier, &iov, end->sent < TOTAL ? 1 : 0, &put);
        end->sent += put;
    }
    if (err != LP2P_OK && err != LP2P_EAGAIN) {
        return false;
    }
    receive_some(end, 4000);
    return end->err == LP2P_OK && !end->eof;
}

/** True when all went well. */
static bool meet(unsigned layers)
{
    struct end a, b;
    connect_ends(&a, &b);
    a.cut.read_max = b.cut.read_max = 1500;
    a.cut.write_max = b.cut.write_max = 2500;
    armed = true;
    bool good = stack(&a, layers, true) && stack(&b, layers, false);
    for (int i = 0; good && i < 100000 && (a.up != LP2P_OK || b.up != LP2P_OK); i++) {
        a.up = a.up == LP2P_EAGAIN ? a.carrier->ops->set_up(a.carrier, 0) : a.up;
        b.up = b.up == LP2P_EAGAIN ? b.carrier->ops->set_up(b.carrier, 0) : b.up;
        good = (a.up == LP2P_OK || a.up == LP2P_EAGAIN) && (b.up == LP2P_OK || b.up == LP2P_EAGAIN);
    }
    for (int i = 0; good && i < 100000 && (a.got < TOTAL || b.got < TOTAL); i++) {
        good = move(&a) && move(&b);
    }
    good = good && a.got == TOTAL && b.got == TOTAL;
    lp2p_carrier_close(&a.carrier); /* says good-bye, as far as memory allows */
    armed = false;
    close_ends(&a, &b);
    return good;
}

static void test_carrier_nomem_at_every_place(void **state)
{
    (void)state;
    static const unsigned stacks[] = {0, WITH_WS, WITH_PNET, WITH_WS | WITH_PNET, WITH_TLS, WITH_TLS | WITH_WS};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(stacks); i++) {
        fail_at = counted = 0;
        assert_true(meet(stacks[i]));
        assert_true(counted > 0);
        failed = true;
        unsigned refused = 0;
        for (fail_at = 1; failed; fail_at++) {
            counted = 0;
            failed = false;
            refused += !meet(stacks[i]);
        }
        fail_at = 0;
        assert_true(refused > 0);
        assert_true(meet(stacks[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_carrier_nomem_at_every_place),
    };
    return cmocka_run_group_tests_name("carriers without memory", tests, make_credentials, release_credentials);
}
