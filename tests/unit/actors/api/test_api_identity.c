/* SPDX-License-Identifier: MIT
 * The identity of a node: of every type, from Lotus's .env file, and with a secret that stays outside: two
 * nodes connect and one of them never sees its own private key. */
#include "actors/p2p.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static const char *const types[] = {"ed25519", "secp256k1", "ecdsa", "rsa"};
static const char *const beginnings[] = {"12D3KooW", "16Uiu2HA", "Qm", "Qm"};
#define TYPES (sizeof(types) / sizeof(types[0]))

static struct lp2p_node *node_of(struct lp2p_config *config, bool listen)
{
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX];
    if (listen) {
        assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    }
    if (lp2p_node_new(config, &node, detail) != LP2P_OK || lp2p_node_start(node, detail) != LP2P_OK) {
        fail_msg("%s", detail);
    }
    return node;
}

/* `b` dials `a`, proves who it is, and learns a's signed record. */
static void assert_talk(struct lp2p_node *a, struct lp2p_node *b)
{
    char addr[1][LP2P_ADDR_TEXT_MAX];
    struct lp2p_op *op = NULL;
    struct lp2p_peer *peer = NULL;
    assert_true(lp2p_node_addrs(a, addr, 1) >= 1);
    assert_int_equal(lp2p_node_connect(b, addr[0], &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, 60000), LP2P_OK);
    if (lp2p_op_result(op) != LP2P_OK) {
        fail_msg("%s", lp2p_op_detail(op));
    }
    lp2p_op_free(op);
    assert_int_equal(lp2p_node_peer(b, lp2p_node_peer_id(a), &peer), LP2P_OK);
    assert_true(peer->connected && peer->signed_record);
    lp2p_peers_free(peer, 1);
}

static void test_identity_of_every_type(void **state)
{
    (void)state;
    struct lp2p_node *nodes[TYPES];
    for (size_t i = 0; i < TYPES; i++) {
        struct lp2p_config *config = lp2p_config_new();
        assert_int_equal(lp2p_config_key_type(config, "dsa"), LP2P_EINVAL);
        assert_non_null(strstr(lp2p_config_detail(config), "dsa"));
        assert_int_equal(lp2p_config_key_type(config, types[i]), LP2P_OK);
        assert_false(lp2p_config_has_identity(config));
        nodes[i] = node_of(config, true);
        lp2p_config_free(config);
        assert_int_equal(strncmp(lp2p_node_peer_id(nodes[i]), beginnings[i], strlen(beginnings[i])), 0);
    }
    for (size_t i = 0; i < TYPES; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_talk(nodes[i], nodes[j]);
        }
    }
    for (size_t i = 0; i < TYPES; i++) {
        lp2p_node_free(nodes[i]);
    }
}

static void test_identity_files_of_every_type(void **state)
{
    (void)state;
    char dir[] = "/tmp/test-identity-XXXXXX", path[64], peer[LP2P_PEER_TEXT_MAX];
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < TYPES; i++) {
        struct lp2p_config *config = lp2p_config_new();
        (void)snprintf(path, sizeof(path), "%s/%s", dir, types[i]);
        /* What a process of the same number left behind that was killed while it made the file, as in a container. */
        char stale[96];
        (void)snprintf(stale, sizeof(stale), "%s.%ld.new", path, (long)getpid());
        int left = open(stale, O_WRONLY | O_CREAT | O_EXCL, 0600);
        assert_true(left >= 0);
        (void)close(left);
        assert_int_equal(lp2p_config_key_type(config, types[i]), LP2P_OK);
        assert_int_equal(lp2p_config_key_file(config, path, true), LP2P_OK);
        assert_true(lp2p_config_has_identity(config));
        struct lp2p_node *node = NULL;
        assert_int_equal(lp2p_node_new(config, &node, NULL), LP2P_OK);
        (void)snprintf(peer, sizeof(peer), "%s", lp2p_node_peer_id(node));
        lp2p_node_free(node);
        lp2p_config_free(config);

        config = lp2p_config_new(); /* without a type: what the file holds */
        assert_int_equal(lp2p_config_key_file(config, path, true), LP2P_OK);
        assert_int_equal(lp2p_node_new(config, &node, NULL), LP2P_OK);
        assert_string_equal(lp2p_node_peer_id(node), peer);
        lp2p_node_free(node);
        assert_int_equal(lp2p_config_key_type(config, types[(i + 1) % TYPES]), LP2P_OK);
        assert_int_equal(lp2p_config_key_file(config, path, true), LP2P_EINVAL);
        assert_non_null(strstr(lp2p_config_detail(config), types[i]));
        lp2p_config_free(config);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(unlink(stale), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

static enum lp2p_err load(struct lp2p_config *config, const char *text)
{
    char path[] = "/tmp/test-env-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
    enum lp2p_err err = lp2p_config_load_env(config, path);
    assert_int_equal(unlink(path), 0);
    return err;
}

/* The seed of zeros, as a protobuf and bare; its id is the same in every implementation. */
#define RAW "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA7aie8zrakLWKjqNAqbw1zZTIVdx3iQ6Y6wEihi1naKQ=="
#define PROTOBUF                                                                                             \
    "CAESQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAO2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik="

static void test_identity_of_a_lotus_env_file(void **state)
{
    (void)state;
    struct lp2p_config *config = lp2p_config_new();
    assert_int_equal(load(config, "P2P_MAX_CONNECTIONS=9\nP2P_PRIVATE_KEY_BASE64=\n"), LP2P_OK);
    assert_false(lp2p_config_has_identity(config));
    assert_int_equal(load(config, "P2P_PRIVATE_KEY_BASE64=nonsense\n"), LP2P_EINVAL);
    assert_non_null(strstr(lp2p_config_detail(config), "P2P_PRIVATE_KEY_BASE64"));
    assert_int_equal(load(config, "P2P_PRIVATE_KEY_RAW_BASE64=AAAA\n"), LP2P_EINVAL);
    assert_non_null(strstr(lp2p_config_detail(config), "P2P_PRIVATE_KEY_RAW_BASE64"));
    assert_null(strstr(lp2p_config_detail(config), "AAAA")); /* a secret is not repeated */
    assert_false(lp2p_config_has_identity(config));

    /* Both forms of one key give one identity. */
    char line[256], peers[2][LP2P_PEER_TEXT_MAX];
    static const char *const values[] = {PROTOBUF, RAW};
    for (int i = 0; i < 2; i++) {
        struct lp2p_node *node = NULL;
        (void)snprintf(line, sizeof(line),
                       i == 0 ? "P2P_PRIVATE_KEY_BASE64=\"%s\"\n" : "P2P_PRIVATE_KEY_RAW_BASE64=%s\n",
                       values[i]);
        assert_int_equal(load(config, line), LP2P_OK);
        assert_true(lp2p_config_has_identity(config));
        assert_int_equal(lp2p_node_new(config, &node, NULL), LP2P_OK);
        (void)snprintf(peers[i], sizeof(peers[i]), "%s", lp2p_node_peer_id(node));
        lp2p_node_free(node);
    }
    assert_string_equal(peers[0], peers[1]);
    lp2p_config_free(config);
}

/* ---- a secret that stays outside */

struct signer {
    pthread_mutex_t lock;
    uint8_t key[LP2P_KEY_MAX];
    size_t len;
    unsigned calls;
    bool broken;
};

static enum lp2p_err sign(void *user, const void *message, size_t message_len, uint8_t *out, size_t cap,
                          size_t *len)
{
    struct signer *signer = user;
    pthread_mutex_lock(&signer->lock);
    signer->calls++;
    enum lp2p_err err = lp2p_key_sign(signer->key, signer->len, message, message_len, out, cap, len);
    out[5] ^= signer->broken;
    pthread_mutex_unlock(&signer->lock);
    return err;
}

static void test_identity_signed_for_outside(void **state)
{
    (void)state;
    static struct signer signer = {.lock = PTHREAD_MUTEX_INITIALIZER};
    for (size_t i = 0; i < TYPES; i++) {
        uint8_t public_key[LP2P_KEY_PUBLIC_MAX];
        char peer[LP2P_PEER_TEXT_MAX];
        size_t len = 0;
        const char *type = NULL;
        assert_int_equal(lp2p_key_generate_type(types[i], signer.key, sizeof(signer.key), &signer.len),
                         LP2P_OK);
        assert_int_equal(lp2p_key_public(signer.key, signer.len, public_key, sizeof(public_key), &len, &type),
                         LP2P_OK);
        assert_string_equal(type, types[i]);
        assert_int_equal(lp2p_key_peer_id(signer.key, signer.len, peer), LP2P_OK);

        struct lp2p_config *config = lp2p_config_new(), *other = lp2p_config_new();
        assert_int_equal(lp2p_config_signer(config, public_key, len, NULL, NULL), LP2P_EINVAL);
        assert_int_equal(lp2p_config_signer(config, public_key, len - 1, sign, &signer), LP2P_EINVAL);
        assert_int_equal(lp2p_config_signer(config, public_key, len, sign, &signer), LP2P_OK);
        signer.broken = false;
        signer.calls = 0;
        struct lp2p_node *a = node_of(config, true), *b = node_of(other, true);
        assert_string_equal(lp2p_node_peer_id(a), peer);
        assert_talk(a, b);
        assert_talk(b, a);
        lp2p_node_free(a);
        lp2p_node_free(b);
        assert_true(signer.calls >= 2); /* the Noise key and the peer record */

        /* A signer that signs wrongly is found out at once, not by peers. */
        signer.broken = true;
        char detail[LP2P_DETAIL_MAX];
        assert_int_equal(lp2p_node_new(config, &a, detail), LP2P_ESIGNATURE);
        assert_non_null(strstr(detail, "signer"));
        lp2p_config_free(config);
        lp2p_config_free(other);
    }
}

static void test_identity_texts(void **state)
{
    (void)state;
    char base58[LP2P_PEER_TEXT_MAX], cid[LP2P_PEER_TEXT_MAX];
    const char *id = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq";
    assert_int_equal(lp2p_peer_texts(id, base58, cid), LP2P_OK);
    assert_string_equal(base58, id);
    assert_string_equal(cid, "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6");
    assert_int_equal(lp2p_peer_texts(cid, base58, NULL), LP2P_OK);
    assert_string_equal(base58, id);
    assert_int_equal(lp2p_peer_texts("nonsense", base58, cid), LP2P_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity_of_every_type),
        cmocka_unit_test(test_identity_files_of_every_type),
        cmocka_unit_test(test_identity_of_a_lotus_env_file),
        cmocka_unit_test(test_identity_signed_for_outside),
        cmocka_unit_test(test_identity_texts),
    };
    return cmocka_run_group_tests_name("api_identity", tests, NULL, NULL);
}
