/* SPDX-License-Identifier: MIT
 * Nodes on loopback for tests of the public API. Everything waits for conditions with a generous deadline. */
#ifndef LP2P_TESTS_API_KIT_H
#define LP2P_TESTS_API_KIT_H

#include "actors/p2p.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KIT_WAIT_MS 30000

/** A configuration with small limits and no DHT. */
struct lp2p_config *kit_config(void);
/** A started node that listens on a free port of 127.0.0.1. */
struct lp2p_node *kit_node(void);
/** A node of that configuration, not started; the configuration is freed. */
struct lp2p_node *kit_node_of(struct lp2p_config *config);
void kit_start(struct lp2p_node *node);
/** Its first address with /p2p/ID. */
void kit_addr(struct lp2p_node *node, char out[LP2P_ADDR_TEXT_MAX]);
/** Connects a to b and waits until both know it. */
void kit_connect(struct lp2p_node *a, struct lp2p_node *b);
/** Waits for the op, frees it, and returns its result. */
enum lp2p_err kit_finish(struct lp2p_op *op);
/** Calls `holds` until it is true; fails the test after the deadline. */
void kit_until(bool (*holds)(void *arg), void *arg, const char *what);
/** An opened stream, or a failed test. */
struct lp2p_stream *kit_open(struct lp2p_node *from, struct lp2p_node *to, const char *protocol);

/** A counter that callbacks raise and tests wait for. */
struct kit_count {
    int value; /* atomic */
};
void kit_count_up(struct kit_count *count);
int kit_count_get(const struct kit_count *count);
void kit_count_wait(struct kit_count *count, int at_least, const char *what);

#endif
