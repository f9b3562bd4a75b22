/* SPDX-License-Identifier: MIT
 * lp2p ping, lp2p identify. */
#include "lp2p.h"

#include <string.h>
#include <time.h>

struct rtts {
    uint64_t sent, received, min_ns, max_ns, sum_ns;
};

static void note(struct rtts *rtts, uint64_t ns)
{
    rtts->min_ns = rtts->received == 0 || ns < rtts->min_ns ? ns : rtts->min_ns;
    rtts->max_ns = ns > rtts->max_ns ? ns : rtts->max_ns;
    rtts->sum_ns += ns;
    rtts->received++;
}

static void print_pong(const struct session *session, uint64_t seq, uint64_t ns)
{
    if (session->cli->json) {
        struct line line = line_new("ping");
        line_str(&line, "peer", session->peer);
        line_uint(&line, "seq", seq);
        line_ms(&line, "rtt_ms", ns);
        line_print(&line);
    } else {
        say(session->cli, "pong from %s: seq=%llu time=%.3f ms", session->peer, (unsigned long long)seq,
            (double)ns / 1e6);
    }
}

static int finish_ping(struct session *session, const struct rtts *rtts)
{
    if (rtts->received == 0) {
        return cli_fail_code(session->cli, LP2P_ETIMEDOUT, "no answer to %llu pings",
                             (unsigned long long)rtts->sent);
    }
    uint64_t average = rtts->sum_ns / rtts->received;
    if (session->cli->json) {
        struct line line = cli_result(session->cli);
        session_describe(session, &line);
        line_uint(&line, "sent", rtts->sent);
        line_uint(&line, "received", rtts->received);
        line_ms(&line, "rtt_min_ms", rtts->min_ns);
        line_ms(&line, "rtt_avg_ms", average);
        line_ms(&line, "rtt_max_ms", rtts->max_ns);
        line_print(&line);
    } else {
        say(session->cli, "%llu sent, %llu received, round trip min/avg/max %.3f/%.3f/%.3f ms",
            (unsigned long long)rtts->sent, (unsigned long long)rtts->received, (double)rtts->min_ns / 1e6,
            (double)average / 1e6, (double)rtts->max_ns / 1e6);
    }
    return CLI_OK;
}

int command_ping(struct cli *cli)
{
    struct session session;
    struct rtts rtts = {0};
    uint64_t count = (cli->given & CLI_BIT(OPT_N)) ? cli->number[OPT_N] : 4;
    int code = session_start(&session, cli, "off");
    if (code == CLI_OK) {
        code = session_dial(&session, cli->args[0]);
    }
    for (uint64_t seq = 1; code == CLI_OK && seq <= count; seq++) {
        struct lp2p_op *op = NULL;
        code = session_finish(&session, lp2p_node_ping(session.node, session.peer, &op), &op, "pinging");
        rtts.sent++;
        if (code == CLI_OK) {
            note(&rtts, lp2p_op_number(op));
            print_pong(&session, seq, lp2p_op_number(op));
            lp2p_op_free(op);
        }
    }
    if (code == CLI_OK) {
        code = finish_ping(&session, &rtts);
    }
    session_end(&session);
    return code;
}

/* ---- identify */

static void print_identity(const struct cli *cli, const struct lp2p_peer *peer)
{
    say(cli, "peer id           %s", peer->id);
    say(cli, "agent             %s", peer->agent);
    say(cli, "protocol version  %s", peer->protocol_version);
    say(cli, "connected to      %s (%s, %s)", peer->remote_addr, peer->security, peer->muxer);
    say(cli, "sees us as        %s", peer->observed_addr[0] == '\0' ? "-" : peer->observed_addr);
    say(cli, "signed record     %s", peer->signed_record ? "valid" : "none");
    for (size_t i = 0; i < peer->addrs_len; i++) {
        say(cli, "%s%s", i == 0 ? "listens on        " : "                  ", peer->addrs[i]);
    }
    for (size_t i = 0; i < peer->protocols_len; i++) {
        say(cli, "%s%s", i == 0 ? "speaks            " : "                  ", peer->protocols[i]);
    }
}

static void print_identity_json(struct session *session, const struct lp2p_peer *peer)
{
    struct line line = cli_result(session->cli);
    session_describe(session, &line);
    line_str(&line, "protocol_version", peer->protocol_version);
    line_str(&line, "agent_version", peer->agent);
    uint8_t key[2048];
    size_t len = 0;
    if (lp2p_peer_public_key(peer->id, key, sizeof(key), &len) == LP2P_OK) {
        line_base64(&line, "public_key_base64", key, len);
    }
    line_strs(&line, "listen_addrs", peer->addrs, peer->addrs_len);
    line_str(&line, "observed_addr", peer->observed_addr);
    line_strs(&line, "protocols", peer->protocols, peer->protocols_len);
    line_bool(&line, "signed_record", peer->signed_record);
    line_print(&line);
}

int command_identify(struct cli *cli)
{
    struct session session;
    struct lp2p_peer *peer = NULL;
    int code = session_start(&session, cli, "off");
    if (code == CLI_OK) {
        code = session_dial(&session, cli->args[0]);
    }
    if (code == CLI_OK) {
        enum lp2p_err err = lp2p_node_peer(session.node, session.peer, &peer);
        if (err == LP2P_OK && peer->protocols_len == 0 && peer->agent[0] == '\0') {
            struct failure failure = {.code = LP2P_EPROTO,
                                      .stage = "identify",
                                      .address = cli->args[0],
                                      .detail = "identify brought nothing"};
            code = cli_fail(cli, &failure, NULL);
        } else if (err != LP2P_OK) {
            code = cli_fail_code(cli, err, "the connection is gone");
        } else if (cli->json) {
            print_identity_json(&session, peer);
        } else {
            print_identity(cli, peer);
        }
    }
    lp2p_peers_free(peer, 1);
    session_end(&session);
    return code;
}
