/* SPDX-License-Identifier: MIT */
#include "kit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct lp2p_config *kit_config(void)
{
    struct lp2p_config *config = lp2p_config_new();
    assert_non_null(config);
    assert_int_equal(lp2p_config_dht(config, "off", NULL), LP2P_OK);
    assert_int_equal(lp2p_config_connections(config, 0, 32), LP2P_OK);
    return config;
}

struct lp2p_node *kit_node_of(struct lp2p_config *config)
{
    char detail[LP2P_DETAIL_MAX];
    struct lp2p_node *node = NULL;
    if (lp2p_node_new(config, &node, detail) != LP2P_OK) {
        fail_msg("node_new: %s", detail);
    }
    lp2p_config_free(config);
    return node;
}

void kit_start(struct lp2p_node *node)
{
    char detail[LP2P_DETAIL_MAX];
    if (lp2p_node_start(node, detail) != LP2P_OK) {
        fail_msg("node_start: %s", detail);
    }
}

struct lp2p_node *kit_node(void)
{
    struct lp2p_config *config = kit_config();
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    struct lp2p_node *node = kit_node_of(config);
    kit_start(node);
    return node;
}

void kit_addr(struct lp2p_node *node, char out[LP2P_ADDR_TEXT_MAX])
{
    char addrs[4][LP2P_ADDR_TEXT_MAX];
    assert_true(lp2p_node_addrs(node, addrs, 4) >= 1);
    (void)snprintf(out, LP2P_ADDR_TEXT_MAX, "%s", addrs[0]);
}

void kit_until(bool (*holds)(void *arg), void *arg, const char *what)
{
    for (int waited_ms = 0; !holds(arg); waited_ms += 5) {
        if (waited_ms >= KIT_WAIT_MS) {
            fail_msg("did not come to pass: %s", what);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

struct pair {
    struct lp2p_node *node;
    const char *peer;
};

static bool is_connected(void *arg)
{
    struct pair *pair = arg;
    return lp2p_node_is_connected(pair->node, pair->peer);
}

void kit_connect(struct lp2p_node *a, struct lp2p_node *b)
{
    char addr[LP2P_ADDR_TEXT_MAX];
    kit_addr(b, addr);
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_connect(a, addr, &op), LP2P_OK);
    assert_int_equal(kit_finish(op), LP2P_OK);
    struct pair pair = {b, lp2p_node_peer_id(a)};
    kit_until(is_connected, &pair, "both sides know the connection");
}

enum lp2p_err kit_finish(struct lp2p_op *op)
{
    assert_non_null(op);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    enum lp2p_err err = lp2p_op_result(op);
    if (err != LP2P_OK) {
        print_message("# op: %s: %s\n", lp2p_errname(err), lp2p_op_detail(op));
    }
    lp2p_op_free(op);
    return err;
}

struct opening {
    struct lp2p_node *from, *to;
    const char *protocol;
    struct lp2p_stream *stream;
};

static bool opens(void *arg)
{
    struct opening *it = arg;
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_stream_open(it->from, lp2p_node_peer_id(it->to), &it->protocol, 1, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, KIT_WAIT_MS), LP2P_OK);
    enum lp2p_err err = lp2p_op_result(op);
    if (err != LP2P_OK && err != LP2P_ENEGOTIATION) {
        fail_msg("open %s: %s: %s", it->protocol, lp2p_errname(err), lp2p_op_detail(op));
    }
    it->stream = lp2p_op_stream(op);
    assert_true((it->stream != NULL) == (err == LP2P_OK));
    assert_null(lp2p_op_stream(op)); /* once */
    lp2p_op_free(op);
    return it->stream != NULL;
}

struct lp2p_stream *kit_open(struct lp2p_node *from, struct lp2p_node *to, const char *protocol)
{
    struct opening opening = {from, to, protocol, NULL};
    kit_until(opens, &opening, "the stream opens"); /* connections hear of a new protocol after register */
    return opening.stream;
}

void kit_count_up(struct kit_count *count)
{
    __atomic_add_fetch(&count->value, 1, __ATOMIC_SEQ_CST);
}

int kit_count_get(const struct kit_count *count)
{
    return __atomic_load_n(&count->value, __ATOMIC_SEQ_CST);
}

struct wanted {
    struct kit_count *count;
    int at_least;
};

static bool has_come(void *arg)
{
    struct wanted *wanted = arg;
    return kit_count_get(wanted->count) >= wanted->at_least;
}

void kit_count_wait(struct kit_count *count, int at_least, const char *what)
{
    struct wanted wanted = {count, at_least};
    kit_until(has_come, &wanted, what);
}
