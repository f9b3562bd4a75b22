/* SPDX-License-Identifier: MIT
 * The web's TLS in memory: chains, names, dates, self-made certificates, and bytes in any pieces; all pairs
 * of backends. */
#include "tls_kit.h"
#include "vectors.h"

#include "tls/buffer.h"
#include "tls/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define WEB_NOW ((int64_t)1800000000) /* 2027: the certificates of the vectors are valid */

#define FOR_PAIRS(i, j)                                                                                      \
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++)                                                \
        for (size_t j = 0; j < LP2P_ARRAY_LEN(kit_backends); j++)

struct talk {
    struct lp2p_tls_web *client_web, *server_web;
    struct lp2p_tls_session *client, *server;
    enum lp2p_err err_client, err_server;
};

static void talk_fini(struct talk *talk)
{
    lp2p_tls_session_free(talk->client);
    lp2p_tls_session_free(talk->server);
    lp2p_tls_web_release(talk->client_web);
    lp2p_tls_web_release(talk->server_web);
}

/** Carries what waits, in pieces; whether anything moved. */
static bool carry(struct lp2p_tls_session *from, struct lp2p_tls_session *to, size_t piece,
                  enum lp2p_err *err)
{
    uint8_t bytes[5000];
    size_t len = lp2p_tls_session_drain(from, bytes, LP2P_MIN(piece, sizeof(bytes)), 0), used = 0;
    for (size_t at = 0; at < len && *err == LP2P_OK && !lp2p_tls_session_holds_input(to); at += used) {
        *err = lp2p_tls_session_feed(to, lp2p_span(bytes + at, len - at), 0, &used);
        if (used == 0) {
            break;
        }
    }
    return len > 0;
}

static void shake(struct talk *talk, const char *name, int64_t wall_s, size_t piece)
{
    talk->client = lp2p_tls_session_new(talk->client_web, name, &kit_rand, wall_s);
    talk->server = lp2p_tls_session_new(talk->server_web, NULL, &kit_rand, wall_s);
    assert_true(talk->client != NULL && talk->server != NULL);
    bool moved = true;
    while (moved) {
        moved = carry(talk->client, talk->server, piece, &talk->err_server);
        moved |= carry(talk->server, talk->client, piece, &talk->err_client);
    }
}

static void web_of_vectors(struct talk *talk, size_t client, size_t server, yyjson_doc *doc, size_t which)
{
    yyjson_val *one = yyjson_arr_get(vectors_array(doc, "servers"), which);
    assert_int_equal(lp2p_tls_web_client(kit_backends[client], vectors_text(yyjson_doc_get_root(doc), "root"),
                                         &kit_rand, &talk->client_web),
                     LP2P_OK);
    assert_int_equal(lp2p_tls_web_server(kit_backends[server], vectors_text(one, "chain"),
                                         vectors_text(one, "key"), &kit_rand, &talk->server_web),
                     LP2P_OK);
}

struct name_case {
    const char *name;
    int64_t wall_s;
    enum lp2p_err err; /* the client's */
};

static void test_tls_session_names_and_dates(void **state)
{
    (void)state;
    static const struct name_case cases[] = {
        {"node.example", WEB_NOW, LP2P_OK},
        {"a.wild.example", WEB_NOW, LP2P_OK},
        {"127.0.0.1", WEB_NOW, LP2P_OK},
        {"::1", WEB_NOW, LP2P_OK},
        {"other.example", WEB_NOW, LP2P_EWRONGPEER},
        {"127.0.0.2", WEB_NOW, LP2P_EWRONGPEER},
        {"node.example", 5000000000, LP2P_EEXPIRED},
        {"node.example", 1000000000, LP2P_EEXPIRED},
    };
    yyjson_doc *doc = vectors_load("tls-web.json");
    FOR_PAIRS(i, j)
    {
        for (size_t k = 0; k < LP2P_ARRAY_LEN(cases); k++) {
            for (size_t which = 0; which < 2; which++) {
                struct talk talk = {.client = NULL};
                web_of_vectors(&talk, i, j, doc, which);
                shake(&talk, cases[k].name, cases[k].wall_s, 1 + 700 * k);
                assert_int_equal(talk.err_client, cases[k].err);
                assert_int_equal(lp2p_tls_session_state(talk.client),
                                 cases[k].err == LP2P_OK ? LP2P_TLS_SESSION_OPEN : LP2P_TLS_SESSION_ENDED);
                if (cases[k].err == LP2P_OK) {
                    assert_int_equal(lp2p_tls_session_state(talk.server), LP2P_TLS_SESSION_OPEN);
                } else {
                    /* The server is told by an alert why nothing comes of it. */
                    assert_int_equal(talk.err_server, LP2P_ECERTREFUSED);
                }
                talk_fini(&talk);
            }
        }
    }
    yyjson_doc_free(doc);
}

static void self_made(struct talk *talk, size_t client, size_t server, int trust)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "::1"};
    char pem[4096];
    assert_int_equal(
        lp2p_tls_web_self_made(kit_backends[server], names, 3, &kit_rand, WEB_NOW, &talk->server_web),
        LP2P_OK);
    size_t len = lp2p_tls_web_certificate_pem(talk->server_web, pem, sizeof(pem));
    assert_true(len > 0 && strlen(pem) == len);
    if (trust == 0) {
        assert_int_equal(lp2p_tls_web_client_unverified(kit_backends[client], &kit_rand, &talk->client_web),
                         LP2P_OK);
    } else {
        assert_int_equal(
            lp2p_tls_web_client(kit_backends[client], lp2p_span(pem, len), &kit_rand, &talk->client_web),
            LP2P_OK);
    }
}

static void test_tls_session_self_made(void **state)
{
    (void)state;
    FOR_PAIRS(i, j)
    {
        static const char *const good[] = {"localhost", "127.0.0.1", "::1"};
        for (size_t k = 0; k < 3; k++) {
            struct talk talk = {.client = NULL};
            self_made(&talk, i, j, 1);
            shake(&talk, good[k], WEB_NOW, 1000);
            assert_int_equal(talk.err_client, LP2P_OK);
            assert_int_equal(lp2p_tls_session_state(talk.server), LP2P_TLS_SESSION_OPEN);
            talk_fini(&talk);
        }
        struct talk talk = {.client = NULL}, other = {.client = NULL};
        self_made(&talk, i, j, 0);
        shake(&talk, NULL, WEB_NOW, 1000); /* anyone, without a name */
        assert_int_equal(talk.err_client, LP2P_OK);
        assert_int_equal(lp2p_tls_session_state(talk.client), LP2P_TLS_SESSION_OPEN);
        /* Another self-made one is not trusted because this one is. */
        self_made(&other, i, j, 1);
        lp2p_tls_web_release(other.server_web);
        other.server_web = lp2p_tls_web_hold(talk.server_web);
        shake(&other, "localhost", WEB_NOW, 1000);
        assert_int_equal(other.err_client, LP2P_EAUTH);
        talk_fini(&talk);
        talk_fini(&other);
    }
}

/** Writes `len` bytes on one side and reads them on the other, whatever fits. */
static void transfer(struct lp2p_tls_session *from, struct lp2p_tls_session *to, size_t len, size_t piece)
{
    uint8_t *said = malloc(len), *heard = malloc(len), wire[20000];
    size_t put_at = 0, got_at = 0, have = 0;
    randombytes_buf(said, len);
    while (got_at < len) {
        size_t put = 0, got = 0, used = 0;
        enum lp2p_err err = lp2p_tls_session_write(from, lp2p_span(said + put_at, len - put_at), &put);
        assert_true(err == LP2P_OK || err == LP2P_EAGAIN);
        put_at += put;
        have += lp2p_tls_session_drain(from, wire + have, LP2P_MIN(piece, sizeof(wire) - have), 0);
        assert_int_equal(lp2p_tls_session_feed(to, lp2p_span(wire, have), 0, &used), LP2P_OK);
        memmove(wire, wire + used, have - used);
        have -= used;
        err = lp2p_tls_session_read(to, heard + got_at, LP2P_MIN(len - got_at, (size_t)3000), &got);
        assert_true(err == LP2P_OK || err == LP2P_EAGAIN);
        assert_int_equal(got == 0, err == LP2P_EAGAIN);
        got_at += got;
    }
    assert_memory_equal(said, heard, len);
    free(said);
    free(heard);
}

static void test_tls_session_bytes_and_end(void **state)
{
    (void)state;
    FOR_PAIRS(i, j)
    {
        struct talk talk = {.client = NULL};
        uint8_t byte = 0;
        size_t n = 0;
        self_made(&talk, i, j, 1);
        assert_null(
            lp2p_tls_session_new(talk.client_web, NULL, &kit_rand, WEB_NOW)); /* whom should it check? */
        shake(&talk, "localhost", WEB_NOW, 1000);
        assert_int_equal(lp2p_tls_session_read(talk.client, &byte, 1, &n), LP2P_EAGAIN);
        transfer(talk.client, talk.server, 300000, 20000);
        transfer(talk.server, talk.client, 70000, 777);
        transfer(talk.server, talk.client, 40, 1);
        assert_true(lp2p_tls_session_memory_bytes(talk.server) < 4096);
        assert_false(lp2p_tls_session_wants_drain(talk.client));
        lp2p_tls_session_close(talk.client);
        lp2p_tls_session_close(talk.client);
        assert_true(lp2p_tls_session_wants_drain(talk.client));
        assert_int_equal(lp2p_tls_session_write(talk.client, lp2p_span(&byte, 1), &n), LP2P_ECLOSED);
        transfer(talk.server, talk.client, 10, 100); /* the other direction is still open */
        while (carry(talk.client, talk.server, 1000, &talk.err_server)) {
        }
        assert_int_equal(talk.err_server, LP2P_OK);
        assert_int_equal(lp2p_tls_session_read(talk.server, &byte, 1, &n), LP2P_EEOF);
        lp2p_tls_session_close(talk.client); /* again, when the first word is gone: nothing follows it */
        assert_false(lp2p_tls_session_wants_drain(talk.client));
        talk_fini(&talk);
    }
}

/** What a second close has to say: nothing, which needs no memory. */
static void test_tls_session_buffer_takes_nothing(void **state)
{
    (void)state;
    struct lp2p_tls_buffer buffer = {.max = 10};
    assert_int_equal(lp2p_tls_buffer_append(&buffer, lp2p_span(NULL, 0)), LP2P_OK);
    assert_null(buffer.bytes);
}

static void test_tls_session_limits_what_waits(void **state)
{
    (void)state;
    struct talk talk = {.client = NULL};
    uint8_t *much = calloc(1, 200000);
    size_t put = 0, more = 1;
    self_made(&talk, 0, 0, 0);
    talk.client = lp2p_tls_session_new(talk.client_web, NULL, &kit_rand, WEB_NOW);
    assert_int_equal(lp2p_tls_session_write(talk.client, lp2p_span(much, 10), &put),
                     LP2P_EAGAIN); /* before the handshake */
    lp2p_tls_session_free(talk.client);
    shake(&talk, NULL, WEB_NOW, 1000);
    assert_int_equal(lp2p_tls_session_write(talk.client, lp2p_span(much, 200000), &put), LP2P_OK);
    assert_true(put > 16383 && put < 65536);
    assert_int_equal(lp2p_tls_session_write(talk.client, lp2p_span(much, 200000), &more), LP2P_EAGAIN);
    assert_int_equal(more, 0);
    talk_fini(&talk);
    free(much);
}

static void test_tls_session_changed_and_foreign_bytes(void **state)
{
    (void)state;
    static const char *const foreign[] = {"GET / HTTP/1.1\r\n\r\n", "\x13/multistream/1.0.0\n",
                                          "\x16\x03\x01\x00\x00", "SSH-2.0-x\r\n"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        for (size_t k = 0; k < LP2P_ARRAY_LEN(foreign); k++) {
            struct talk talk = {.client = NULL};
            size_t used = 0;
            self_made(&talk, i, i, 0);
            talk.server = lp2p_tls_session_new(talk.server_web, NULL, &kit_rand, WEB_NOW);
            struct lp2p_span bytes = k == 2 ? lp2p_span(foreign[k], 5) : lp2p_span_str(foreign[k]);
            assert_int_equal(lp2p_tls_session_feed(talk.server, bytes, 0, &used), LP2P_EMALFORMED);
            talk_fini(&talk);
        }
        struct talk talk = {.client = NULL};
        uint8_t wire[100];
        size_t put = 0, used = 0;
        self_made(&talk, i, i, 0);
        shake(&talk, NULL, WEB_NOW, 1000);
        assert_int_equal(lp2p_tls_session_write(talk.client, lp2p_span("hello", 5), &put), LP2P_OK);
        size_t len = lp2p_tls_session_drain(talk.client, wire, sizeof(wire), 0);
        wire[7] ^= 1;
        assert_int_equal(lp2p_tls_session_feed(talk.server, lp2p_span(wire, len), 0, &used), LP2P_EAUTH);
        assert_int_equal(lp2p_tls_session_read(talk.server, wire, 1, &used), LP2P_EAUTH);
        talk_fini(&talk);
    }
}

static void test_tls_session_bad_pem(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("tls-web.json");
    yyjson_val *rsa = yyjson_arr_get(vectors_array(doc, "servers"), 0),
               *ec = yyjson_arr_get(vectors_array(doc, "servers"), 1);
    struct lp2p_span chain = vectors_text(rsa, "chain"), key = vectors_text(rsa, "key"),
                     other = vectors_text(ec, "key");
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct lp2p_tls_web *web = NULL;
        assert_int_equal(lp2p_tls_web_server(kit_backends[i], chain, other, &kit_rand, &web), LP2P_EBADKEY);
        assert_int_equal(lp2p_tls_web_server(kit_backends[i], key, key, &kit_rand, &web), LP2P_EMALFORMED);
        assert_int_equal(lp2p_tls_web_server(kit_backends[i], chain, chain, &kit_rand, &web),
                         LP2P_EMALFORMED);
        assert_int_equal(lp2p_tls_web_server(kit_backends[i], lp2p_span(NULL, 0), key, &kit_rand, &web),
                         LP2P_EMALFORMED);
        struct lp2p_span half = lp2p_span(chain.ptr, chain.len / 3);
        assert_int_equal(lp2p_tls_web_server(kit_backends[i], half, key, &kit_rand, &web), LP2P_EMALFORMED);
        assert_int_equal(lp2p_tls_web_client(kit_backends[i], key, &kit_rand, &web), LP2P_EMALFORMED);
        /* Junk in a bundle is passed over. */
        char bundle[8192];
        int len = snprintf(bundle, sizeof(bundle),
                           "# comment\n-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n%s",
                           vectors_str(yyjson_doc_get_root(doc), "root"));
        assert_int_equal(
            lp2p_tls_web_client(kit_backends[i], lp2p_span(bundle, (size_t)len), &kit_rand, &web), LP2P_OK);
        lp2p_tls_web_release(web);
    }
    yyjson_doc_free(doc);
}

/* An Ed25519 certificate and its key, made with OpenSSL. */
static const char ed25519_chain[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBUzCCAQWgAwIBAgIUFShxoVkzmTxLEOfgJnNLX+p43B4wBQYDK2VwMBQxEjAQ\n"
    "BgNVBAMMCWxvY2FsaG9zdDAeFw0yNjExMjYwMTM5NTRaFw0yNjEyMjYwMTM5NTRa\n"
    "MBQxEjAQBgNVBAMMCWxvY2FsaG9zdDAqMAUGAytlcAMhAFwZxzl7+rKKtdOsLuKL\n"
    "UrKqeRL4iiU3WMkfXWm5D/0lo2kwZzAdBgNVHQ4EFgQUi3sYfeW1VIrFy7j+jl6d\n"
    "1biD9QkwHwYDVR0jBBgwFoAUi3sYfeW1VIrFy7j+jl6d1biD9QkwDwYDVR0TAQH/\n"
    "BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwBQYDK2VwA0EAF95iFYAUILvh\n"
    "yGOpUwGa02C8AdXBmRhDzesG7H612MQLCcWoySVgrs7y8D7cGhCo3+9A8QdB6rb+\n"
    "z4CFteaNCA==\n"
    "-----END CERTIFICATE-----\n";
static const char ed25519_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIEBwCNHjdvtHG8zgH/oBcYIN5FU4Njk/rdCIpevyO02u\n"
    "-----END PRIVATE KEY-----\n";

/** A good certificate of a kind that the library does not know is told apart from a broken file. */
static void test_tls_session_unknown_kind_of_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct lp2p_tls_web *web = NULL;
        bool able = strcmp(kit_backends[i]->name, "openssl") == 0;
        assert_int_equal(lp2p_tls_web_server(kit_backends[i], lp2p_span_str(ed25519_chain),
                                             lp2p_span_str(ed25519_key), &kit_rand, &web),
                         able ? LP2P_OK : LP2P_EUNSUPPORTED);
        lp2p_tls_web_release(web);
    }
}

/** New credentials while old sessions live: a session keeps what it began with. */
static void test_tls_session_reload(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct talk talk = {.client = NULL};
        self_made(&talk, i, i, 1);
        talk.client = lp2p_tls_session_new(talk.client_web, "localhost", &kit_rand, WEB_NOW);
        talk.server = lp2p_tls_session_new(talk.server_web, NULL, &kit_rand, WEB_NOW);
        lp2p_tls_web_release(talk.server_web); /* in the middle of the handshake */
        talk.server_web = NULL;
        bool moved = true;
        while (moved) {
            moved = carry(talk.client, talk.server, 900, &talk.err_server);
            moved |= carry(talk.server, talk.client, 900, &talk.err_client);
        }
        assert_int_equal(lp2p_tls_session_state(talk.client), LP2P_TLS_SESSION_OPEN);
        transfer(talk.server, talk.client, 1000, 100);
        talk_fini(&talk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_session_names_and_dates),
        cmocka_unit_test(test_tls_session_self_made),
        cmocka_unit_test(test_tls_session_bytes_and_end),
        cmocka_unit_test(test_tls_session_buffer_takes_nothing),
        cmocka_unit_test(test_tls_session_limits_what_waits),
        cmocka_unit_test(test_tls_session_changed_and_foreign_bytes),
        cmocka_unit_test(test_tls_session_bad_pem),
        cmocka_unit_test(test_tls_session_unknown_kind_of_key),
        cmocka_unit_test(test_tls_session_reload),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
