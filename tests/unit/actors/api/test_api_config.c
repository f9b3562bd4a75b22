/* SPDX-License-Identifier: MIT
 * Configuration: defaults, what is refused and in which words, .env files, identity files. */
#include "kit.h"

#include "actors/api/config_private.h"
#include "actors/context.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEER "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

static struct lp2p_config *config;
static char dir[64];

static int setup(void **state)
{
    (void)state;
    config = lp2p_config_new();
    (void)snprintf(dir, sizeof(dir), "/tmp/lotus-p2p-test-XXXXXX");
    return config == NULL || mkdtemp(dir) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    lp2p_config_free(config);
    char path[128];
    for (const char *const *name = (const char *const[]){"env", "key", NULL}; *name != NULL; name++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, *name);
        (void)unlink(path);
    }
    return rmdir(dir); /* fails when something was left behind */
}

/* The last refusal names the value and tells what was expected. */
static void refused(enum lp2p_err err, const char *value, const char *expected)
{
    assert_int_equal(err, LP2P_EINVAL);
    const char *detail = lp2p_config_detail(config);
    if (strstr(detail, value) == NULL || strstr(detail, expected) == NULL) {
        fail_msg("\"%s\" does not name \"%s\" and \"%s\"", detail, value, expected);
    }
}

static void test_config_defaults(void **state)
{
    (void)state;
    assert_int_equal(config->connections_min, 10);
    assert_int_equal(config->connections_max, 50);
    assert_int_equal(config->dht_mode, LP2P_DHT_CLIENT);
    assert_string_equal(config->dht_protocol, "/lotus/kad/1.0.0");
    assert_int_equal(config->muxers_len, 1);
    assert_string_equal(config->muxers[0], "/yamux/1.0.0");
    assert_int_equal(config->listen_len, 0);
    assert_false(config->io_threads_set);
    assert_string_equal(lp2p_config_detail(config), "");
    assert_non_null(lp2p_config_detail(NULL));
}

static void test_config_addresses(void **state)
{
    (void)state;
    assert_int_equal(lp2p_config_listen(config, "/ip4/0.0.0.0/tcp/0"), LP2P_OK);
    assert_int_equal(lp2p_config_listen(config, "/ip4/0.0.0.0/tcp/0"), LP2P_OK); /* two free ports */
    assert_int_equal(lp2p_config_listen(config, "/ip6/::1/tcp/4001"), LP2P_OK);
    refused(lp2p_config_listen(config, "/ip6/::1/tcp/4001"), "/ip6/::1/tcp/4001", "twice");
    refused(lp2p_config_listen(config, "nonsense"), "nonsense", "multiaddr");
    refused(lp2p_config_listen(config, NULL), "listen", "expected");
    refused(lp2p_config_listen(config, "/ip4/1.2.3.4/udp/4001/quic-v1"), "quic-v1", "/tcp/PORT");
    refused(lp2p_config_listen(config, "/ip4/1.2.3.4/tcp/1/p2p/" PEER), "/p2p/", "without /p2p/ID");
    refused(lp2p_config_listen(config, "/ip4/1.2.3.4/tcp/99999"), "99999", "tcp");
    assert_int_equal(lp2p_config_bootstrap(config, "/ip4/1.2.3.4/tcp/4001/p2p/" PEER), LP2P_OK);
    refused(lp2p_config_bootstrap(config, "/ip4/1.2.3.4/tcp/4001"), "/ip4/1.2.3.4/tcp/4001",
            "ends in /p2p/ID");
    refused(lp2p_config_bootstrap(config, "/tcp/443/p2p/" PEER), "/tcp/443",
            "cannot be dialed");
    assert_int_equal(lp2p_config_announce(config, "/dns4/example.org/tcp/443/wss/p2p/" PEER), LP2P_OK);
    refused(lp2p_config_announce(config, "/p2p/" PEER), "/p2p/", "before /p2p/ID");
    refused(lp2p_config_announce(config, "/ip4/203.0.113.4/tcp/0"), "203.0.113.4", "port 0");
    refused(lp2p_config_append_announce(config, "/ip4/0.0.0.0/tcp/4001/ws"), "0.0.0.0", "unspecified");
    for (int i = 3; i < LP2P_LISTEN_MAX; i++) {
        assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    }
    refused(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), "127.0.0.1", "more than 16");
    assert_int_equal(config->bootstrap_len, 1); /* a refused value changes nothing */
}

static void test_config_values(void **state)
{
    (void)state;
    refused(lp2p_config_connections(config, 5, 0), "0", "1 to");
    refused(lp2p_config_connections(config, 5, 4), "5", "at most max");
    assert_int_equal(config->connections_max, 50);
    assert_int_equal(lp2p_config_connections(config, 5, 5), LP2P_OK);
    refused(lp2p_config_dht(config, "maybe", NULL), "maybe", "server, client or off");
    refused(lp2p_config_dht(config, "server", "kad"), "kad", "full protocol id");
    assert_int_equal(lp2p_config_dht(config, "server", "/x/kad/1.0.0"), LP2P_OK);
    assert_string_equal(config->dht_protocol, "/x/kad/1.0.0");
    refused(lp2p_config_security(config, "plaintext"), "plaintext", "noise, tls");
    refused(lp2p_config_security(config, ""), "\"\"", "noise");
    refused(lp2p_config_security(config, "noise,noise"), "noise", "noise");
    assert_int_equal(lp2p_config_security(config, "noise"), LP2P_OK);
    assert_int_equal(config->security_len, 1);
    assert_int_equal(lp2p_config_security(config, " tls, noise"), LP2P_OK);
    assert_string_equal(config->security[0], "tls");
    assert_string_equal(config->security[1], "noise");
    refused(lp2p_config_tls_files(config, "cert.pem", ""), "key", "two paths");
    assert_int_equal(lp2p_config_tls_files(config, "cert.pem", "key.pem"), LP2P_OK);
    refused(lp2p_config_trusted_proxies(config, "10.0.0.0/33"), "10.0.0.0/33", "networks");
    refused(lp2p_config_trusted_proxies(config, "proxy.example"), "proxy.example", "IP addresses");
    assert_int_equal(lp2p_config_trusted_proxies(config, "127.0.0.1, fd00::/8"), LP2P_OK);
    assert_int_equal(config->proxies_len, 2);
    assert_int_equal(config->proxies[1].bits, 8);
    refused(lp2p_config_muxers(config, "spdy"), "spdy", "yamux, mplex");
    refused(lp2p_config_muxers(config, "yamux,yamux"), "yamux", "at most once");
    refused(lp2p_config_muxers(config, NULL), "muxers", "expected");
    assert_int_equal(lp2p_config_muxers(config, "mplex, yamux"), LP2P_OK);
    assert_string_equal(config->muxers[0], "/mplex/6.7.0");
    assert_string_equal(config->muxers[1], "/yamux/1.0.0");
    refused(lp2p_config_serve(config, "echo,chat"), "chat", "echo, perf");
    assert_false(config->serve_echo);
    assert_int_equal(lp2p_config_serve(config, "echo,perf"), LP2P_OK);
    assert_true(config->serve_echo && config->serve_perf);
    refused(lp2p_config_io_threads(config, 100000), "100000", "at most");
    refused(lp2p_config_key(config, "x", 1), "key", "Ed25519");
    refused(lp2p_config_agent(config, NULL), "agent", "text");
    refused(lp2p_config_agent(config, ""), "agent", "1 to");
    assert_int_equal(lp2p_config_dht_params(config, 0, 3), LP2P_OK);
    assert_int_equal(config->dht_k, 20);
    assert_int_equal(config->dht_alpha, 3);
    assert_int_equal(lp2p_config_listen(NULL, "/ip4/0.0.0.0/tcp/0"), LP2P_EINVAL);
    assert_int_equal(lp2p_config_connections(NULL, 1, 2), LP2P_EINVAL);
}

/* ---- .env */

static void numbers(const char *text, double expected)
{
    double got = lp2p_env_number(text);
    if (isnan(expected) ? !isnan(got) : got != expected) {
        fail_msg("Number(\"%s\") is %g, not %g", text, got, expected);
    }
}

static void test_config_env_numbers(void **state)
{
    (void)state;
    numbers("", 0);
    numbers("  ", 0);
    numbers(" 12 ", 12);
    numbers("007", 7);
    numbers("1e2", 100);
    numbers("-5", -5);
    numbers("+5", 5);
    numbers("10.5", 10.5);
    numbers(".5", .5);
    numbers("0x10", 16);
    numbers("0o17", 15);
    numbers("0b101", 5);
    numbers("0x", NAN);
    numbers("0xg", NAN);
    numbers("12abc", NAN);
    numbers("1 2", NAN);
    numbers("inf", NAN);
    numbers("nan", NAN);
    numbers("Infinity", INFINITY);
    numbers("1e", NAN);
    numbers("0x1p3", NAN);
}

static void finds(const char *text, const char *expected)
{
    char value[64] = "?";
    bool found = lp2p_env_find(lp2p_span_str(text), "NAME", value, sizeof(value));
    if (found != (expected != NULL) || (found && strcmp(value, expected) != 0)) {
        fail_msg("%s: \"%s\", not \"%s\"", text, found ? value : "(none)",
                 expected == NULL ? "(none)" : expected);
    }
}

static void test_config_env_lines(void **state)
{
    (void)state;
    finds("NAME=5", "5");
    finds("NAME=5\n", "5");
    finds("  export NAME = 5 \r\nOTHER=6\n", "5");
    finds("# NAME=4\nNAME=5 # why\n", "5");
    finds("NAME='a # b' # c", "a # b");
    finds("NAME=\"5\"", "5");
    finds("NAME=`x'y\"z`", "x'y\"z");
    finds("OTHER='\nNAME=4\n'\nNAME=5", "5"); /* inside of a quoted value is no line */
    finds("NAME=1\nNAME=2\n", "2");
    finds("NAME=\nOTHER=1", "");
    finds("XNAME=1\nNAMEX=2\n", NULL);
    finds("NAME\n", NULL);
    finds("=5\nNAME: 7", "7");
    finds("NAME='unfinished\n", "'unfinished");
    finds("", NULL);
    finds("export\nNAME=1", "1");
}

static void write_file(const char *name, const void *bytes, size_t len, mode_t mode, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", dir, name);
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);
    assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len && fchmod(fd, mode) == 0 && close(fd) == 0);
}

static void load(const char *text, unsigned min, unsigned max)
{
    char path[128];
    write_file("env", text, strlen(text), 0600, path);
    assert_int_equal(lp2p_config_load_env(config, path), LP2P_OK);
    if (config->connections_min != min || config->connections_max != max) {
        fail_msg("%s: %u..%u", text, config->connections_min, config->connections_max);
    }
}

static void test_config_env_file(void **state)
{
    (void)state;
    load("P2P_MIN_CONNECTIONS=3\nP2P_MAX_CONNECTIONS=\"30\"\n", 3, 30);
    load("P2P_MIN_CONNECTIONS=0\nP2P_MAX_CONNECTIONS=many\n", 10, 50);
    load("P2P_MIN_CONNECTIONS=-3\nP2P_MAX_CONNECTIONS=Infinity\n", 10, 50);
    load("P2P_MAX_CONNECTIONS=4\n", 4, 4);
    assert_string_equal(lp2p_config_detail(config), "");
    load("OTHER=1\n", 10, 50); /* as Lotus takes it, but not without a word */
    assert_non_null(strstr(lp2p_config_detail(config), "P2P_MAX_CONNECTIONS"));
    load("P2P_MIN_CONNECTIONS=\n", 10, 50);
    assert_string_equal(lp2p_config_detail(config), "");
    assert_int_equal(setenv("P2P_MAX_CONNECTIONS", "7", 1), 0); /* the process's environment does not count */
    load("P2P_MAX_CONNECTIONS=20\n", 10, 20);
    assert_int_equal(lp2p_config_load_env(config, "/nowhere/at/all"), LP2P_ENOTFOUND);
    assert_int_equal(lp2p_config_load_env(config, "/"), LP2P_EIO);
}

/* ---- identity */

static void test_config_key_file(void **state)
{
    (void)state;
    char path[128], peer[LP2P_PEER_TEXT_MAX], again[LP2P_PEER_TEXT_MAX];
    (void)snprintf(path, sizeof(path), "%s/key", dir);
    assert_int_equal(lp2p_config_key_file(config, path, false), LP2P_ENOTFOUND);
    assert_non_null(strstr(lp2p_config_detail(config), path));
    assert_int_equal(lp2p_config_key_file(config, path, true), LP2P_OK);
    assert_string_equal(lp2p_config_detail(config), "");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 68);
    struct lp2p_node *node = NULL;
    assert_int_equal(lp2p_node_new(config, &node, NULL), LP2P_OK);
    (void)snprintf(peer, sizeof(peer), "%s", lp2p_node_peer_id(node));
    lp2p_node_free(node);
    struct lp2p_config *other = lp2p_config_new();
    assert_int_equal(lp2p_config_key_file(other, path, true), LP2P_OK); /* read, not made anew */
    assert_int_equal(lp2p_node_new(other, &node, NULL), LP2P_OK);
    (void)snprintf(again, sizeof(again), "%s", lp2p_node_peer_id(node));
    lp2p_node_free(node);
    lp2p_config_free(other);
    assert_string_equal(peer, again);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(lp2p_config_key_file(config, path, false), LP2P_OK); /* a warning, no refusal */
    assert_non_null(strstr(lp2p_config_detail(config), "0600"));
    write_file("key", "not a key", 9, 0600, path);
    refused(lp2p_config_key_file(config, path, true), path, "Ed25519");
    assert_int_equal(lp2p_config_key_file(config, "/nowhere/at/all", true), LP2P_EIO);
}

static void test_config_key(void **state)
{
    (void)state;
    uint8_t key[68];
    char peer[LP2P_PEER_TEXT_MAX];
    assert_int_equal(lp2p_key_generate(key), LP2P_OK);
    assert_int_equal(lp2p_key_peer_id(key, sizeof(key), peer), LP2P_OK);
    assert_int_equal(strncmp(peer, "12D3KooW", 8), 0);
    assert_int_equal(lp2p_config_key(config, key, sizeof(key)), LP2P_OK);
    struct lp2p_node *node = NULL;
    assert_int_equal(lp2p_node_new(config, &node, NULL), LP2P_OK);
    assert_string_equal(lp2p_node_peer_id(node), peer);
    lp2p_node_free(node);
    assert_int_equal(lp2p_key_peer_id(key, 67, peer), LP2P_EINVAL);
    uint8_t public_key[64];
    size_t len = 0;
    assert_int_equal(lp2p_peer_public_key(peer, public_key, sizeof(public_key), &len), LP2P_OK);
    assert_int_equal(len, 36);
    assert_int_equal(lp2p_peer_public_key(peer, public_key, 35, &len), LP2P_ELIMIT);
    assert_int_equal(
        lp2p_peer_public_key("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", public_key, 64, &len),
        LP2P_ENOTFOUND);
    assert_int_equal(lp2p_peer_public_key("nonsense", public_key, 64, &len), LP2P_EINVAL);
}

static void prints(const char *text, size_t len, size_t cap, const char *expected)
{
    char out[64];
    lp2p_printable(lp2p_span(text, len), out, cap);
    assert_string_equal(out, expected);
}

static void test_config_printable(void **state)
{
    (void)state;
    prints("plain", 5, 64, "plain");
    prints("gr\xc3\xbc\xc3\x9f"
           "e",
           7, 64,
           "gr\xc3\xbc\xc3\x9f"
           "e");
    prints("a\x1b[31mb\nc", 9, 64, "a?[31mb?c");
    prints("a\0b", 3, 64, "a?b");
    prints("\xc2\x9b", 2, 64, "?");       /* CSI as one code point */
    prints("\xe2\x80\xae", 3, 64, "?");   /* right-to-left override */
    prints("\xff\xc3", 2, 64, "??");      /* not UTF-8, cut sequence */
    prints("\xc0\xaf", 2, 64, "??");      /* overlong */
    prints("\xed\xa0\x80", 3, 64, "???"); /* surrogate */
    prints("ab\xc3\xbc", 4, 4, "ab");     /* a sequence is not cut in two */
    prints("abcd", 4, 3, "ab");
    prints("", 0, 1, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_config_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_config_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_config_values, setup, teardown),
        cmocka_unit_test(test_config_env_numbers),
        cmocka_unit_test(test_config_env_lines),
        cmocka_unit_test_setup_teardown(test_config_env_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_config_key_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_config_key, setup, teardown),
        cmocka_unit_test(test_config_printable),
    };
    return cmocka_run_group_tests_name("api_config", tests, NULL, NULL);
}
