/* SPDX-License-Identifier: MIT
 * What the programs of the official interop suites share (transport here, perf in bench/perf): the
 * environment, a node that is started or the program ends, and the redis server where both sides meet.
 * Standard output carries results only. */
#ifndef LP2P_CONTRACT_H
#define LP2P_CONTRACT_H

#include <lotus/p2p.h>

#include <stdbool.h>
#include <stdint.h>

uint64_t contract_now_ns(void);
/** Says why on standard error and ends the program with 1. */
_Noreturn void contract_die(const char *what, const char *detail);

/** SIGTERM and SIGINT end the program at once; without a handler the first process of a container would not
 * hear them. A peer that goes away does not. */
void contract_signals(void);
/** Waits until SIGTERM or SIGINT, which then leave the program to its caller, who frees the node: 128 and the
 * signal's number, the exit code. 0 when `end_ns` has come. */
int contract_wait_end(uint64_t end_ns);

/** A variable of the environment; the default when it is not set, empty or "null". */
const char *contract_variable(const char *name, const char *otherwise);
/** The same as a number; dies when it is none. */
uint64_t contract_number(const char *name, uint64_t otherwise);

/** What a node is started with; NULL: the default. */
struct contract_setup {
    const char *listen, *security, *muxers, *serve;
    const uint8_t *key; /* a PrivateKey protobuf */
    size_t key_len;
    bool log; /* what the node logs goes to standard error */
};
/** A node without a DHT. */
struct lp2p_node *contract_start(const struct contract_setup *setup);
/** The address to listen on for a transport (tcp, ws, wss), at any port. Dies when it is another transport.
 */
void contract_listen(const char *transport, const char *ip, char out[LP2P_ADDR_TEXT_MAX]);
/** The address that another container reaches: the first that is not of loopback, if there is one. */
const char *contract_published(struct lp2p_node *node);

/** The finished operation; dies when it failed or takes longer. */
struct lp2p_op *contract_finish(enum lp2p_err err, struct lp2p_op *op, const char *what, int timeout_ms);
/** Connects; *peer has the id of who answered. Dies when nobody does. */
void contract_connect(struct lp2p_node *node, const char *addr, int timeout_ms,
                      char peer[LP2P_PEER_TEXT_MAX]);

/* The redis server (addr: host:port) may start after us. Each dies when it is not there at `end_ns`. */

void contract_redis_set(const char *addr, const char *key, const char *value, uint64_t end_ns);
/** Polls until the key is there; the text is the caller's (free). */
char *contract_redis_get(const char *addr, const char *key, uint64_t end_ns);
/** A list with this value alone, in place of what was left by an earlier run. */
void contract_redis_push(const char *addr, const char *key, const char *value, uint64_t end_ns);
/** Takes the first value of a list, waits for it; the text is the caller's (free). */
char *contract_redis_pop(const char *addr, const char *key, uint64_t end_ns);

#endif
