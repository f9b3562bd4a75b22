/* SPDX-License-Identifier: MIT
 * Nodes that meet at every door: TCP, WebSocket and secure WebSocket, under Noise and TLS, each on a port of its own and all on
 * one; certificates from files that change; private networks. */
#include "kit.h"

#include "actors/link/web_files.h"
#include "actors/api/system_rand.h"
#include "vectors.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct lp2p_node *listening(const char *const *addrs, size_t len, const char *security, const char *psk)
{
    struct lp2p_config *config = kit_config();
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(lp2p_config_listen(config, addrs[i]), LP2P_OK);
    }
    assert_int_equal(lp2p_config_security(config, security), LP2P_OK);
    if (psk != NULL) {
        config->has_swarm_key = true;
        memset(config->swarm_key.bytes, *psk, sizeof(config->swarm_key.bytes));
    }
    struct lp2p_node *node = kit_node_of(config);
    kit_start(node);
    return node;
}

static enum lp2p_err dial(struct lp2p_node *from, const char *addr)
{
    struct lp2p_op *op = NULL;
    enum lp2p_err err = lp2p_node_connect(from, addr, &op);
    return err != LP2P_OK ? err : kit_finish(op);
}

static enum lp2p_err take(void *user, struct lp2p_node *node, const struct lp2p_message *message, const char *peer)
{
    (void)node, (void)peer;
    if (message->payload != NULL && strlen(message->payload) > 40000) {
        kit_count_up(user);
    }
    return LP2P_OK;
}

/** One large message over the connection that there is, and what both sides say of it. */
static void exchange(struct lp2p_node *from, struct lp2p_node *to, const char *security, const char *part)
{
    struct kit_count got = {0};
    static char payload[50000];
    memset(payload, 'x', sizeof(payload) - 1);
    payload[0] = payload[sizeof(payload) - 2] = '"';
    struct lp2p_handler handler = {.size = sizeof(handler), .name = "door", .user = &got, .handle_message = take};
    assert_int_equal(lp2p_node_register(to, &handler), LP2P_OK);
    const struct lp2p_message message = {.type = "t", .protocol = "door", .payload = payload};
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_send_to(from, lp2p_node_peer_id(to), &message, NULL, &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_OK);
    kit_count_wait(&got, 1, "the message arrives");
    struct lp2p_peer *peer = NULL;
    assert_int_equal(lp2p_node_peer(from, lp2p_node_peer_id(to), &peer), LP2P_OK);
    assert_string_equal(peer->security, security);
    assert_non_null(strstr(peer->remote_addr, part));
    lp2p_peers_free(peer, 1);
    assert_int_equal(lp2p_node_peer(to, lp2p_node_peer_id(from), &peer), LP2P_OK);
    assert_string_equal(peer->security, security);
    lp2p_peers_free(peer, 1);
}

static void test_doors_each(void **state)
{
    (void)state;
    static const char *const addrs[] = {"/ip4/127.0.0.1/tcp/0",        "/ip4/127.0.0.1/tcp/0/ws",
                                        "/ip6/::1/tcp/0/ws",           "/ip4/127.0.0.1/tcp/0/wss",
                                        "/ip4/127.0.0.1/tcp/0/tls/ws", "/ip4/127.0.0.1/tcp/0/tls/sni/example.org/ws"};
    for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++) {
        const char *security = i % 2 == 0 ? "noise" : "tls";
        char addr[LP2P_ADDR_TEXT_MAX];
        struct lp2p_node *a = listening(NULL, 0, "noise,tls", NULL), *b = listening(&addrs[i], 1, security, NULL);
        kit_addr(b, addr);
        assert_int_equal(dial(a, addr), LP2P_OK);
        exchange(a, b, i % 2 == 0 ? "/noise" : "/tls/1.0.0", strstr(addrs[i], "/tcp/0") + 6);
        lp2p_node_free(a);
        lp2p_node_free(b);
    }
}

static unsigned free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    close(fd);
    return ntohs(addr.sin_port);
}

static void test_doors_one_port(void **state)
{
    (void)state;
    static const char *const kinds[] = {"", "/ws", "/wss"};
    char texts[3][64];
    const char *addrs[3];
    unsigned port = free_port();
    for (int i = 0; i < 3; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "/ip4/127.0.0.1/tcp/%u%s", port, kinds[i]);
        addrs[i] = texts[i];
    }
    struct lp2p_node *b = listening(addrs, 3, "noise,tls", NULL);
    for (int i = 0; i < 3; i++) {
        char addr[LP2P_ADDR_TEXT_MAX];
        struct lp2p_node *a = listening(NULL, 0, "noise", NULL);
        (void)snprintf(addr, sizeof(addr), "%s/p2p/%s", texts[i], lp2p_node_peer_id(b));
        assert_int_equal(dial(a, addr), LP2P_OK);
        exchange(a, b, "/noise", texts[i]);
        assert_int_equal(lp2p_node_unregister(b, "door"), LP2P_OK);
        lp2p_node_free(a);
    }
    lp2p_node_free(b);
}

/* A name that no request can carry is the address's fault and not a lack of memory. */
static void test_doors_name_that_cannot_be_asked_for(void **state)
{
    (void)state;
    char addr[64];
    unsigned port = free_port();
    (void)snprintf(addr, sizeof(addr), "/ip4/127.0.0.1/tcp/%u/wss", port);
    const char *listen = addr;
    struct lp2p_node *a = listening(NULL, 0, "noise", NULL), *b = listening(&listen, 1, "noise", NULL);
    (void)snprintf(addr, sizeof(addr), "/ip4/127.0.0.1/tcp/%u/tls/sni/a b/ws", port);
    assert_int_equal(dial(a, addr), LP2P_EUNSUPPORTED);
    (void)snprintf(addr, sizeof(addr), "/ip4/127.0.0.1/tcp/%u/tls/sni/ab/ws", port);
    assert_int_equal(dial(a, addr), LP2P_OK);
    lp2p_node_free(a);
    lp2p_node_free(b);
}

static void test_doors_private_network(void **state)
{
    (void)state;
    static const char *const addrs[] = {"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/0/ws"};
    for (int i = 0; i < 2; i++) {
        char addr[LP2P_ADDR_TEXT_MAX];
        struct lp2p_node *a = listening(NULL, 0, "noise", "a"), *b = listening(&addrs[i], 1, "noise", "a");
        struct lp2p_node *none = listening(NULL, 0, "noise", NULL), *wrong = listening(NULL, 0, "noise", "b");
        kit_addr(b, addr);
        assert_int_equal(dial(a, addr), LP2P_OK);
        exchange(a, b, "/noise", i == 0 ? "/tcp/" : "/ws");
        assert_int_not_equal(dial(none, addr), LP2P_OK);
        assert_int_not_equal(dial(wrong, addr), LP2P_OK);
        lp2p_node_free(a);
        lp2p_node_free(b);
        lp2p_node_free(none);
        lp2p_node_free(wrong);
    }
}

struct pair {
    char certificate[64], key[64];
};

static void write_file(const char *path, const char *text)
{
    char fresh[80];
    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    FILE *file = fopen(fresh, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(fresh, path), 0);
}

/** Puts one of the two servers of the vectors, or garbage, into the files. */
static void put_pair(const struct pair *pair, yyjson_doc *doc, size_t which, const char *garbage)
{
    yyjson_val *server = yyjson_arr_get(vectors_array(doc, "servers"), which);
    write_file(pair->key, vectors_str(server, "key"));
    write_file(pair->certificate, garbage != NULL ? garbage : vectors_str(server, "chain"));
}

static void pair_init(struct pair *pair)
{
    char base[] = "/tmp/doors-XXXXXX";
    int fd = mkstemp(base);
    assert_true(fd >= 0);
    close(fd);
    (void)snprintf(pair->certificate, sizeof(pair->certificate), "%s", base);
    (void)snprintf(pair->key, sizeof(pair->key), "%s.key", base);
}

static void pair_fini(const struct pair *pair)
{
    unlink(pair->certificate);
    unlink(pair->key);
}

static void shown(const struct lp2p_web_files *files, char out[8192])
{
    assert_true(lp2p_tls_web_certificate_pem(files->web, out, 8192) > 0);
}

/** Changed files are read, files that are no good change nothing, and who holds the old certificate keeps it. */
static void test_doors_certificate_follows_files(void **state)
{
    (void)state;
    static char before[8192], after[8192];
    static struct lp2p_context ctx;
    struct lp2p_web_files files = {0};
    struct pair pair;
    yyjson_doc *doc = vectors_load("tls-web.json");
    pair_init(&pair);
    put_pair(&pair, doc, 0, NULL);
    assert_int_equal(lp2p_config_tls_files(&ctx.config, pair.certificate, pair.key), LP2P_OK);
    assert_int_equal(lp2p_web_files_load(&files, &ctx, &lp2p_system_rand, 0), LP2P_OK);
    struct lp2p_tls_web *held = lp2p_web_files_hold(&files);
    shown(&files, before);
    lp2p_web_files_refresh(&files, &ctx, &lp2p_system_rand, 0);
    assert_ptr_equal(files.web, held);
    put_pair(&pair, doc, 1, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    lp2p_web_files_refresh(&files, &ctx, &lp2p_system_rand, 0);
    assert_ptr_equal(files.web, held);
    unlink(pair.key);
    lp2p_web_files_refresh(&files, &ctx, &lp2p_system_rand, 0);
    assert_ptr_equal(files.web, held);
    put_pair(&pair, doc, 1, NULL);
    lp2p_web_files_refresh(&files, &ctx, &lp2p_system_rand, 0);
    assert_ptr_not_equal(files.web, held);
    shown(&files, after);
    assert_string_not_equal(before, after);
    lp2p_web_files_drop(&files);
    lp2p_tls_web_release(held);
    yyjson_doc_free(doc);
    pair_fini(&pair);
}

struct said {
    unsigned lines;
    enum lp2p_log_level level;
    char last[512];
};

static void note_dates(void *user, enum lp2p_log_level level, const char *module, const char *text)
{
    struct said *said = user;
    (void)module;
    if (strstr(text, "browsers refuse it") != NULL) {
        said->lines++;
        said->level = level;
        (void)snprintf(said->last, sizeof(said->last), "%s", text);
    }
}

/** A certificate of ours that no browser takes any more, or yet, is told of with file and date: once at the start, once when its
 * time ends under way, and anew for another file. */
static void test_doors_certificate_dates_are_told(void **state)
{
    (void)state;
    static struct lp2p_context ctx;
    struct said said = {0};
    struct lp2p_web_files files = {0};
    struct pair pair;
    int64_t from = 0, to = 0;
    yyjson_doc *doc = vectors_load("tls-web.json");
    pair_init(&pair);
    put_pair(&pair, doc, 0, NULL);
    assert_int_equal(lp2p_config_tls_files(&ctx.config, pair.certificate, pair.key), LP2P_OK);
    assert_int_equal(lp2p_config_log(&ctx.config, LP2P_LOG_WARN, note_dates, &said), LP2P_OK);
    assert_int_equal(lp2p_web_files_load(&files, &ctx, &lp2p_system_rand, 1), LP2P_OK); /* it may become valid */
    assert_int_equal(said.lines, 1);
    assert_int_equal(said.level, LP2P_LOG_ERROR);
    assert_non_null(strstr(said.last, pair.certificate));
    assert_non_null(strstr(said.last, "is not valid before 2026-11-"));
    assert_int_equal(lp2p_tls_web_validity(files.web, &from, &to), LP2P_OK);
    const int64_t quiet[] = {from - 1, from, from + 1, to - 1, to};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(quiet); i++) {
        lp2p_web_files_refresh(&files, &ctx, &lp2p_system_rand, quiet[i]);
        assert_int_equal(said.lines, 1);
    }
    for (int i = 0; i < 3; i++) { /* it ends while the node runs */
        lp2p_web_files_refresh(&files, &ctx, &lp2p_system_rand, to + 1 + i);
        assert_int_equal(said.lines, 2);
    }
    assert_non_null(strstr(said.last, pair.certificate));
    assert_non_null(strstr(said.last, "expired on 2126-"));
    put_pair(&pair, doc, 1, NULL); /* another one, as old */
    lp2p_web_files_refresh(&files, &ctx, &lp2p_system_rand, to + 10 * 86400);
    assert_int_equal(said.lines, 3);
    lp2p_web_files_drop(&files);
    files = (struct lp2p_web_files){0};
    assert_int_equal(lp2p_web_files_load(&files, &ctx, &lp2p_system_rand, to + 10 * 86400), LP2P_OK);
    assert_int_equal(said.lines, 4); /* a node that starts with it */
    lp2p_web_files_drop(&files);
    yyjson_doc_free(doc);
    pair_fini(&pair);
}

static void note_reload(void *user, enum lp2p_log_level level, const char *module, const char *text)
{
    (void)level, (void)module;
    if (strstr(text, "a new certificate was read") != NULL) {
        kit_count_up(user);
    }
}

/** A running node reads the new certificate, and its connections stay. */
static void test_doors_certificate_changes_under_way(void **state)
{
    (void)state;
    struct kit_count reloads = {0};
    struct pair pair;
    char addr[LP2P_ADDR_TEXT_MAX];
    yyjson_doc *doc = vectors_load("tls-web.json");
    pair_init(&pair);
    put_pair(&pair, doc, 0, NULL);
    struct lp2p_config *config = kit_config();
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0/wss"), LP2P_OK);
    assert_int_equal(lp2p_config_tls_files(config, pair.certificate, pair.key), LP2P_OK);
    assert_int_equal(lp2p_config_log(config, LP2P_LOG_INFO, note_reload, &reloads), LP2P_OK);
    struct lp2p_node *b = kit_node_of(config);
    struct lp2p_node *a = listening(NULL, 0, "noise", NULL), *c = listening(NULL, 0, "noise", NULL);
    kit_start(b);
    kit_addr(b, addr);
    assert_int_equal(dial(a, addr), LP2P_OK);
    put_pair(&pair, doc, 1, NULL);
    kit_count_wait(&reloads, 1, "the new certificate is read");
    assert_int_equal(dial(c, addr), LP2P_OK);
    exchange(a, b, "/noise", "/wss");
    struct lp2p_peer *peer = NULL;
    assert_int_equal(lp2p_node_peer(b, lp2p_node_peer_id(a), &peer), LP2P_OK);
    assert_int_equal(peer->connections, 1);
    lp2p_peers_free(peer, 1);
    lp2p_node_free(a);
    lp2p_node_free(c);
    lp2p_node_free(b);
    yyjson_doc_free(doc);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doors_each),
        cmocka_unit_test(test_doors_one_port),
        cmocka_unit_test(test_doors_name_that_cannot_be_asked_for),
        cmocka_unit_test(test_doors_private_network),
        cmocka_unit_test(test_doors_certificate_follows_files),
        cmocka_unit_test(test_doors_certificate_dates_are_told),
        cmocka_unit_test(test_doors_certificate_changes_under_way),
    };
    return cmocka_run_group_tests_name("api_doors", tests, NULL, NULL);
}
