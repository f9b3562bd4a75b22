/* SPDX-License-Identifier: MIT
 * lp2p dht: the DHT as a client. The peers given by --peer become its routing table. */
#include "lp2p.h"

#include <string.h>
#include <time.h>

/* Starts a node and dials; then the caller makes its request. */
static int prepare(struct session *session, const struct cli *cli)
{
    int code = session_start(session, cli, "client");
    if (code == CLI_OK) {
        code = session_dial_peers(session, true);
    }
    if (code != CLI_OK) {
        session_end(session);
    }
    session->target = NULL; /* a failed query is nobody's address */
    return code;
}

static struct line result_with_key(const struct cli *cli, const struct key *key)
{
    struct line line = cli_result(cli);
    line_bytes(&line, "key", key->bytes, key->len);
    return line;
}

static int done(struct session *session, struct lp2p_op *op)
{
    lp2p_op_free(op);
    session_end(session);
    return CLI_OK;
}

static int failed(struct session *session, int code)
{
    session_end(session);
    return code;
}

int command_dht_put(struct cli *cli)
{
    struct session session;
    struct key key;
    struct lp2p_op *op = NULL;
    parse_key(cli, cli->args[0], &key);
    const char *value = cli->args[1];
    if (strlen(value) > 16384) {
        cli_usage(cli, "value: expected at most 16384 bytes, got %zu", strlen(value));
    }
    int code = prepare(&session, cli);
    if (code != CLI_OK) {
        return code;
    }
    code = session_finish(&session, lp2p_dht_put(session.node, key.bytes, key.len, value, strlen(value), &op),
                          &op, "storing");
    if (code != CLI_OK) {
        return failed(&session, code);
    }
    if (cli->json) {
        struct line line = result_with_key(cli, &key);
        line_uint(&line, "stored", lp2p_op_number(op));
        line_print(&line);
    } else {
        say(cli, "stored by %llu peer%s", (unsigned long long)lp2p_op_number(op), lp2p_op_number(op) == 1 ? "" : "s");
    }
    return done(&session, op);
}

int command_dht_get(struct cli *cli)
{
    struct session session;
    struct key key;
    struct lp2p_op *op = NULL;
    parse_key(cli, cli->args[0], &key);
    int code = prepare(&session, cli);
    if (code != CLI_OK) {
        return code;
    }
    code = session_finish(&session, lp2p_dht_get(session.node, key.bytes, key.len, &op), &op,
                          "looking for the value");
    if (code != CLI_OK) {
        return failed(&session, code);
    }
    size_t len = 0;
    const void *value = lp2p_op_bytes(op, &len);
    if (cli->json) {
        struct line line = result_with_key(cli, &key);
        line_bytes(&line, "value", value == NULL ? "" : value, len);
        line_print(&line);
    } else {
        (void)fwrite(value == NULL ? "" : value, 1, len, stdout); /* as it is: for pipes */
        putchar('\n');
    }
    return done(&session, op);
}

int command_dht_provide(struct cli *cli)
{
    struct session session;
    struct key key;
    struct lp2p_op *op = NULL;
    parse_key(cli, cli->args[0], &key);
    int code = prepare(&session, cli);
    if (code != CLI_OK) {
        return code;
    }
    /* What this node listens on is published a moment after its start. */
    enum lp2p_err err = LP2P_OK;
    for (int tries = 0; tries < 50; tries++) {
        err = lp2p_dht_provide(session.node, key.bytes, key.len, &op);
        if (cli->listen.len == 0 || err != LP2P_OK || session_wait(&session, op, "providing") != LP2P_OK ||
            lp2p_op_result(op) != LP2P_ENOADDR) {
            break;
        }
        lp2p_op_free(op);
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    code = session_finish(&session, err, &op, "providing");
    if (code != CLI_OK) {
        return failed(&session, code);
    }
    session_settle(&session); /* there is no reply: a connection closed at once could take the record along */
    if (cli->json) {
        struct line line = result_with_key(cli, &key);
        line_str(&line, "provider", lp2p_node_peer_id(session.node));
        line_uint(&line, "stored", lp2p_op_number(op));
        line_print(&line);
    } else {
        say(cli, "told %llu peers that %s provides it", (unsigned long long)lp2p_op_number(op),
            lp2p_node_peer_id(session.node));
    }
    return done(&session, op);
}

static void say_peers(const struct cli *cli, const struct lp2p_peer *peers, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        say(cli, "%s", peers[i].id);
        for (size_t j = 0; j < peers[i].addrs_len; j++) {
            say(cli, "    %s", peers[i].addrs[j]);
        }
    }
}

int command_dht_findprovs(struct cli *cli)
{
    struct session session;
    struct key key;
    struct lp2p_op *op = NULL;
    parse_key(cli, cli->args[0], &key);
    unsigned max = (cli->given & CLI_BIT(OPT_MAX)) ? (unsigned)cli->number[OPT_MAX] : 20;
    int code = prepare(&session, cli);
    if (code != CLI_OK) {
        return code;
    }
    enum lp2p_err err = lp2p_dht_find_providers(session.node, key.bytes, key.len, max, &op);
    code = session_finish(&session, err, &op, "looking for providers");
    size_t len = 0;
    const struct lp2p_peer *peers = code == CLI_OK ? lp2p_op_peers(op, &len) : NULL;
    if (code == CLI_OK && len == 0) {
        lp2p_op_free(op);
        code = cli_fail_code(cli, LP2P_ENOTFOUND, "no provider of %.100s is known", cli->args[0]);
    }
    if (code != CLI_OK) {
        return failed(&session, code);
    }
    if (cli->json) {
        for (size_t i = 0; i < len; i++) {
            struct line line = line_new("provider");
            line_str(&line, "peer", peers[i].id);
            line_strs(&line, "addrs", peers[i].addrs, peers[i].addrs_len);
            line_print(&line);
        }
        struct line line = result_with_key(cli, &key);
        line_peers(&line, "providers", peers, len);
        line_print(&line);
    } else {
        say_peers(cli, peers, len);
    }
    return done(&session, op);
}

int command_dht_findpeer(struct cli *cli)
{
    struct session session;
    struct lp2p_op *op = NULL;
    int code = prepare(&session, cli);
    if (code != CLI_OK) {
        return code;
    }
    enum lp2p_err err = lp2p_dht_find_peer(session.node, cli->args[0], &op);
    if (err == LP2P_EINVAL) {
        session_end(&session);
        cli_usage(cli, "peer id %.100s: expected one such as 12D3KooW...", cli->args[0]);
    }
    code = session_finish(&session, err, &op, "looking for the peer");
    size_t len = 0;
    const struct lp2p_peer *peers = code == CLI_OK ? lp2p_op_peers(op, &len) : NULL;
    if (code == CLI_OK && len == 0) {
        lp2p_op_free(op);
        code = cli_fail_code(cli, LP2P_ENOTFOUND, "no address of %.100s is known", cli->args[0]);
    }
    if (code != CLI_OK) {
        return failed(&session, code);
    }
    if (cli->json) {
        struct line line = cli_result(cli);
        line_str(&line, "peer", peers[0].id);
        line_strs(&line, "addrs", peers[0].addrs, peers[0].addrs_len);
        line_print(&line);
    } else {
        say_peers(cli, peers, 1);
    }
    return done(&session, op);
}

int command_dht_closest(struct cli *cli)
{
    struct session session;
    struct key key;
    struct lp2p_op *op = NULL;
    parse_key(cli, cli->args[0], &key);
    int code = prepare(&session, cli);
    if (code != CLI_OK) {
        return code;
    }
    code = session_finish(&session, lp2p_dht_closest(session.node, key.bytes, key.len, &op), &op,
                          "looking for the closest peers");
    if (code != CLI_OK) {
        return failed(&session, code);
    }
    size_t len = 0;
    const struct lp2p_peer *peers = lp2p_op_peers(op, &len);
    if (cli->json) {
        struct line line = result_with_key(cli, &key);
        line_peers(&line, "peers", peers, len);
        line_print(&line);
    } else {
        say_peers(cli, peers, len);
    }
    return done(&session, op);
}
