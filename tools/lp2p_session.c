/* SPDX-License-Identifier: MIT
 * The throw-away node of a command. */
#include "lp2p.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_S 30

int session_timeout_ms(const struct session *session)
{
    uint64_t seconds = session->cli->number[OPT_TIMEOUT];
    return (int)((seconds == 0 ? TIMEOUT_S : seconds) * 1000);
}

int session_start(struct session *session, const struct cli *cli, const char *dht)
{
    *session = (struct session){.cli = cli};
    struct lp2p_config *config = cli_config(cli);
    if (!(cli->given & CLI_BIT(OPT_DHT))) {
        (void)lp2p_config_dht(config, dht, cli->text[OPT_DHT_PROTOCOL]);
    }
    (void)lp2p_config_connections(config, 0, 64); /* it connects only where it is told to */
    (void)signal(SIGPIPE, SIG_IGN);
    char detail[LP2P_DETAIL_MAX];
    enum lp2p_err err = lp2p_node_new(config, &session->node, detail);
    lp2p_config_free(config);
    if (err == LP2P_OK) {
        err = lp2p_node_start(session->node, detail);
    }
    if (err != LP2P_OK) {
        session_end(session);
        return cli_fail_code(cli, err, "%s", detail);
    }
    return CLI_OK;
}

void session_end(struct session *session)
{
    lp2p_node_free(session->node);
    session->node = NULL;
}

enum lp2p_err session_wait(struct session *session, struct lp2p_op *op, const char *doing)
{
    const int step_ms = 250, limit_ms = session_timeout_ms(session);
    for (int waited_ms = 0; waited_ms < limit_ms; waited_ms += step_ms) {
        if (lp2p_op_wait(op, step_ms < limit_ms - waited_ms ? step_ms : limit_ms - waited_ms) == LP2P_OK) {
            return LP2P_OK;
        }
        if (!session->cli->json && waited_ms >= 1000 && waited_ms % 1000 < step_ms &&
            (isatty(STDERR_FILENO) || session->cli->progress)) {
            fprintf(stderr, "lp2p %s: %s, %d s\n", session->cli->command, doing, waited_ms / 1000);
        }
    }
    lp2p_op_cancel(op);
    return LP2P_ETIMEDOUT;
}

static int told(struct session *session, enum lp2p_err waited, struct lp2p_op *op, const char *doing)
{
    if (waited != LP2P_OK) {
        lp2p_op_free(op);
        return cli_fail_code(session->cli, waited, "%s %s took longer than %d s (--timeout)", doing,
                             session->target == NULL ? "" : session->target,
                             session_timeout_ms(session) / 1000);
    }
    if (lp2p_op_result(op) != LP2P_OK) {
        struct failure failure;
        failure_of_op(&failure, op, session->target);
        if (session->about[0] != '\0') {
            (void)snprintf(failure.detail, sizeof(failure.detail), "%s: %s", session->about, lp2p_op_detail(op));
        }
        lp2p_op_free(op);
        return cli_fail(session->cli, &failure, NULL);
    }
    return CLI_OK;
}

int session_finish(struct session *session, enum lp2p_err err, struct lp2p_op **op, const char *doing)
{
    if (err != LP2P_OK) {
        return cli_fail_code(session->cli, err, "%s", doing);
    }
    return told(session, session_wait(session, *op, doing), *op, doing);
}

/* ---- dialing */

static void keep_peer(struct session *session, const struct lp2p_op *op)
{
    size_t len = 0;
    const char *text = lp2p_op_bytes(op, &len);
    const char *named = strstr(session->target, "/p2p/");
    if (text != NULL && len > 0 && len < sizeof(session->peer)) {
        (void)snprintf(session->peer, sizeof(session->peer), "%.*s", (int)len, text);
    } else {
        (void)snprintf(session->peer, sizeof(session->peer), "%s",
                       named == NULL ? session->target : named + 5);
    }
}

/* Which part of it is wrong tells only a configuration that is offered the same text. */
static _Noreturn void refuse_target(struct session *session, const char *target)
{
    struct lp2p_config *config = lp2p_config_new();
    const char *why = NULL;
    if (config != NULL && lp2p_config_append_announce(config, target) == LP2P_EINVAL) {
        why = strstr(lp2p_config_detail(config), "component "); /* its number, what stands there, what was expected */
    }
    char text[LP2P_DETAIL_MAX] = "expected a multiaddr such as /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...";
    if (why != NULL) {
        (void)snprintf(text, sizeof(text), "%s", why);
    }
    lp2p_config_free(config);
    session_end(session);
    cli_usage(session->cli, "address %.300s: %s", target, text);
}

static struct lp2p_op *begin(struct session *session, const char *target)
{
    struct lp2p_op *op = NULL;
    session->target = target;
    enum lp2p_err err = lp2p_node_connect(session->node, target, &op);
    if (err == LP2P_EINVAL) {
        refuse_target(session, target);
    }
    return op;
}

int session_dial(struct session *session, const char *target)
{
    struct lp2p_op *op = begin(session, target);
    if (op == NULL) {
        return cli_fail_code(session->cli, LP2P_ENOMEM, "dialing %s", target);
    }
    int code = told(session, session_wait(session, op, "dialing"), op, "dialing");
    if (code == CLI_OK) {
        keep_peer(session, op);
        lp2p_op_free(op);
    }
    return code;
}

static bool in_table(struct session *session)
{
    struct lp2p_stats stats;
    return lp2p_node_stats(session->node, &stats) == LP2P_OK && stats.dht_peers > 0;
}

/* A peer enters the routing table when identify has told that it serves our DHT protocol, a moment after the
 * connection. */
static int wait_for_table(struct session *session)
{
    for (int waited_ms = 0; !in_table(session); waited_ms += 20) {
        if (waited_ms >= 5000) {
            const char *protocol = session->cli->text[OPT_DHT_PROTOCOL];
            return cli_fail_code(session->cli, LP2P_ENOCONN,
                                 "none of the peers given by --peer serves the DHT as %s",
                                 protocol == NULL ? "/lotus/kad/1.0.0" : protocol);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return CLI_OK;
}

int session_dial_peers(struct session *session, bool dht)
{
    const struct cli_list *peers = &session->cli->peers;
    struct lp2p_op *ops[CLI_LIST_MAX];
    size_t good = 0;
    struct failure failure = {0};
    const char *mode = session->cli->text[OPT_DHT];
    if (dht && mode != NULL && strcmp(mode, "off") == 0) {
        session_end(session);
        cli_usage(session->cli, "option --dht off: this command works with the DHT; expected server or client");
    }
    if (peers->len == 0) {
        session_end(session);
        cli_usage(session->cli, "option --peer: expected at least one address of a node of the DHT");
    }
    for (size_t i = 0; i < peers->len; i++) {
        ops[i] = begin(session, peers->items[i]);
    }
    for (size_t i = 0; i < peers->len; i++) {
        session->target = peers->items[i];
        bool done = ops[i] != NULL && session_wait(session, ops[i], "dialing") == LP2P_OK;
        if (done && lp2p_op_result(ops[i]) == LP2P_OK) {
            good += 1;
            keep_peer(session, ops[i]);
        } else if (ops[i] != NULL) {
            failure_of_op(&failure, ops[i], peers->items[i]);
        }
        lp2p_op_free(ops[i]);
    }
    if (good == 0) {
        return cli_fail(session->cli, &failure, NULL);
    }
    if (dht) {
        const char *const *args = session->cli->args; /* KEY, or TYPE ID of a resource */
        bool one = strncmp(session->cli->command, "dht ", 4) == 0 || session->cli->args_len < 2;
        (void)snprintf(session->about, sizeof(session->about), "%.60s%s%.60s", args[0], one ? "" : " ", one ? "" : args[1]);
    }
    return dht ? wait_for_table(session) : CLI_OK;
}

void session_describe(struct session *session, struct line *line)
{
    struct lp2p_peer *peer = NULL;
    line_str(line, "peer", session->peer);
    if (lp2p_node_peer(session->node, session->peer, &peer) == LP2P_OK) {
        line_str(line, "remote_addr", peer->remote_addr);
        line_str(line, "security", peer->security);
        line_str(line, "muxer", peer->muxer);
        lp2p_peers_free(peer, 1);
    }
}

void session_settle(struct session *session)
{
    struct lp2p_op *op = NULL;
    if (lp2p_node_ping(session->node, session->peer, &op) == LP2P_OK) {
        (void)lp2p_op_wait(op, 5000);
        lp2p_op_free(op);
    }
    (void)nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
}

/* ---- keys of the DHT */

static int nibble(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

void parse_key(const struct cli *cli, const char *text, struct key *out)
{
    size_t len = strlen(text);
    if (strncmp(text, "hex:", 4) != 0) {
        if (len == 0 || len > sizeof(out->bytes)) {
            cli_usage(cli, "key %.60s: expected 1 to %zu bytes", text, sizeof(out->bytes));
        }
        memcpy(out->bytes, text, len);
        out->len = len;
        return;
    }
    const char *hex = text + 4;
    out->len = (len - 4) / 2;
    bool bad = (len - 4) % 2 != 0 || out->len == 0 || out->len > sizeof(out->bytes);
    for (size_t i = 0; !bad && i < out->len; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
        bad = high < 0 || low < 0;
        out->bytes[i] = (uint8_t)(high << 4 | low);
    }
    if (bad) {
        cli_usage(cli, "key %.60s: expected hex: and 1 to %zu bytes as pairs of hexadecimal digits", text,
                  sizeof(out->bytes));
    }
}
