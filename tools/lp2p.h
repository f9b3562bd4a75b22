/* SPDX-License-Identifier: MIT
 * The commands of lp2p, and the throw-away node that they work through. */
#ifndef LP2P_TOOLS_LP2P_H
#define LP2P_TOOLS_LP2P_H

#include "cli.h"

/** A node for one command, and the peer that it works with. */
struct session {
    const struct cli *cli;
    struct lp2p_node *node;
    const char *target;            /* as given */
    char about[128];               /* what the DHT is asked for, for failures; "": nothing */
    char peer[LP2P_PEER_TEXT_MAX]; /* proven */
};

/** Starts the node; `dht` is "off" or "client" (an option may say otherwise). CLI_OK, or the failure was
 * told. */
int session_start(struct session *session, const struct cli *cli, const char *dht);
/** Dials and waits until the connection is identified. CLI_OK, or the failure was told. */
int session_dial(struct session *session, const char *target);
/** Dials every --peer; at least one must answer. With `dht`: waits until one of them is in the routing table.
 */
int session_dial_peers(struct session *session, bool dht);
void session_end(struct session *session);
/** Adds peer, remote_addr, security and muxer. */
void session_describe(struct session *session, struct line *line);
/** Waits for an operation as long as --timeout allows, showing that time passes. OK: it is done; ask for its
 * result. */
enum lp2p_err session_wait(struct session *session, struct lp2p_op *op, const char *doing);
/** As session_wait, then CLI_OK if the result is OK; else the failure is told and the op is freed. `err` is
 *  what making the op returned. */
int session_finish(struct session *session, enum lp2p_err err, struct lp2p_op **op, const char *doing);
/** Gives the peer time to take what it was sent without an answer: one ping behind it and a moment more. */
void session_settle(struct session *session);
int session_timeout_ms(const struct session *session);

/** A key as it is written on the command line: text, or hex:0a0b. Exits with 2 when it is wrong. */
struct key {
    uint8_t bytes[512];
    size_t len;
};
void parse_key(const struct cli *cli, const char *text, struct key *out);

/* One for each command; return the exit code. */
int command_ping(struct cli *cli);
int command_identify(struct cli *cli);
int command_echo(struct cli *cli);
int command_perf(struct cli *cli);
int command_send(struct cli *cli);
int command_listen(struct cli *cli);
int command_announce(struct cli *cli);
int command_discover(struct cli *cli);
int command_dht_put(struct cli *cli);
int command_dht_get(struct cli *cli);
int command_dht_provide(struct cli *cli);
int command_dht_findprovs(struct cli *cli);
int command_dht_findpeer(struct cli *cli);
int command_dht_closest(struct cli *cli);
int command_key_gen(struct cli *cli);
int command_key_show(struct cli *cli);

#endif
