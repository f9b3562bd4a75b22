/* SPDX-License-Identifier: MIT
 * Private networks through the public API: key files, nodes of one network, and strangers. */
#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "/key/swarm/psk/1.0.0/\n/base16/\n"
#define KEY "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef683\n"
#define OTHER_KEY "6189c5cf0b87fb800c1a9feeda73c6ab5e998db48fb9e6a978575c770ceef684\n"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/test-api-psk-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static void write_key(const char *name, const char *text, char path[128])
{
    (void)snprintf(path, 128, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(setvbuf(file, NULL, _IONBF, 0), 0); /* no copy of it in the test's memory */
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int teardown(void **state)
{
    (void)state;
    char path[128];
    static const char *const names[] = {"key", "other", "bad"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

static void refused(struct lp2p_config *config, const char *path, enum lp2p_err why)
{
    assert_int_equal(lp2p_config_swarm_key_file(config, path), why);
    assert_true(path == NULL || strstr(lp2p_config_detail(config), path) != NULL);
    assert_null(strstr(lp2p_config_detail(config), "1234"));
}

static void test_psk_files(void **state)
{
    (void)state;
    struct lp2p_config *config = kit_config();
    char path[128];
    write_key("key", HEAD KEY, path);
    assert_int_equal(lp2p_config_swarm_key_file(config, path), LP2P_OK);
    write_key("bad", HEAD "1234\n", path);
    refused(config, path, LP2P_EINVAL);
    assert_non_null(strstr(lp2p_config_detail(config), "/key/swarm/psk/1.0.0/"));
    assert_int_equal(unlink(path), 0);
    refused(config, path, LP2P_ENOTFOUND);
    refused(config, dir, LP2P_EIO);
    refused(config, "/dev/zero", LP2P_EINVAL); /* bounded */
    refused(config, NULL, LP2P_EINVAL);
    assert_int_equal(lp2p_config_swarm_key_file(NULL, path), LP2P_EINVAL);
    lp2p_config_free(config);
}

/* Nothing of a key stays in memory that was given back: here the library of files would have kept its buffer. */
static void test_psk_key_is_not_left_behind(void **state)
{
    (void)state;
    struct lp2p_config *config = kit_config();
    char path[128];
    write_key("key", HEAD KEY, path);
    assert_int_equal(lp2p_config_swarm_key_file(config, path), LP2P_OK);
    enum { SEEN = 16384 };
    void *volatile heap = malloc(SEEN); /* what comes back first */
    assert_non_null(heap);
    assert_null(memmem(heap, SEEN, KEY, strlen(KEY)));
    free(heap);
    lp2p_config_free(config);
}

/* A started node on loopback; `key` NULL: of no private network. */
static struct lp2p_node *node_with(const char *name, const char *key)
{
    struct lp2p_config *config = kit_config();
    char path[128];
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    if (key != NULL) {
        write_key(name, key, path);
        assert_int_equal(lp2p_config_swarm_key_file(config, path), LP2P_OK);
    }
    struct lp2p_node *node = kit_node_of(config);
    kit_start(node);
    return node;
}

static struct lp2p_op *dial(struct lp2p_node *from, struct lp2p_node *to)
{
    char addr[LP2P_ADDR_TEXT_MAX];
    struct lp2p_op *op = NULL;
    kit_addr(to, addr);
    assert_int_equal(lp2p_node_connect(from, addr, &op), LP2P_OK);
    return op;
}

static void test_psk_one_network(void **state)
{
    (void)state;
    struct lp2p_node *a = node_with("key", HEAD KEY), *b = node_with("key", HEAD KEY);
    struct lp2p_op *op = NULL;
    kit_connect(a, b);
    assert_int_equal(lp2p_node_ping(a, lp2p_node_peer_id(b), &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_OK);
    lp2p_node_free(a);
    lp2p_node_free(b);
}

/* A node with a key never speaks to one without, nor to one with another, whoever dials. */
static void test_psk_strangers(void **state)
{
    (void)state;
    struct lp2p_node *inside = node_with("key", HEAD KEY), *other = node_with("other", HEAD OTHER_KEY),
                     *outside = node_with(NULL, NULL);
    struct lp2p_node *strangers[] = {other, outside};
    struct lp2p_op *ops[4]; /* all at once: garbage may look like the beginning of a message and wait for its end */
    for (size_t i = 0; i < 2; i++) {
        ops[2 * i] = dial(inside, strangers[i]);
        ops[2 * i + 1] = dial(strangers[i], inside);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_not_equal(kit_finish(ops[i]), LP2P_OK);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_false(lp2p_node_is_connected(inside, lp2p_node_peer_id(strangers[i])));
        assert_false(lp2p_node_is_connected(strangers[i], lp2p_node_peer_id(inside)));
    }
    lp2p_node_free(inside);
    lp2p_node_free(other);
    lp2p_node_free(outside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_psk_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_psk_key_is_not_left_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_psk_one_network, setup, teardown),
        cmocka_unit_test_setup_teardown(test_psk_strangers, setup, teardown),
    };
    return cmocka_run_group_tests_name("api_psk", tests, NULL, NULL);
}
