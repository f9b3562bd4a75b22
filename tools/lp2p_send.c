/* SPDX-License-Identifier: MIT
 * lp2p send, lp2p listen: Lotus messages. */
#include "lp2p.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW                                                                                               \
    8 /* messages handed over and not yet confirmed: more than one hides round trips, 32 would be a Lotus    \
         peer's limit */

struct sending {
    struct session *session;
    struct lp2p_message message;
    const char *stream_protocol;
    uint64_t count, sent;
    char id[128];
    size_t bytes;
};

/* The operation's bytes are the message as it was sent. */
static void keep_last(struct sending *sending, const struct lp2p_op *op)
{
    size_t len = 0;
    const char *json = lp2p_op_bytes(op, &len);
    yyjson_doc *doc = json == NULL ? NULL : yyjson_read(json, len, 0);
    const char *id =
        doc == NULL ? NULL : yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), "messageId"));
    if (id != NULL) {
        (void)snprintf(sending->id, sizeof(sending->id), "%s", id);
        sending->bytes = len;
    }
    yyjson_doc_free(doc);
}

static int send_all(struct sending *sending)
{
    struct session *session = sending->session;
    struct lp2p_op *ops[WINDOW];
    uint64_t started = 0;
    int code = CLI_OK;
    while (sending->sent < sending->count && code == CLI_OK) {
        while (started < sending->count && started - sending->sent < WINDOW && code == CLI_OK) {
            struct lp2p_op **op = &ops[started % WINDOW];
            enum lp2p_err err = lp2p_node_send_to(session->node, session->peer, &sending->message,
                                                  sending->stream_protocol, op);
            if (err == LP2P_EFULL) {
                break;
            }
            if (err != LP2P_OK) {
                code = cli_fail_code(session->cli, err, "the message could not be built or queued");
            }
            started += err == LP2P_OK;
        }
        if (code == CLI_OK && started > sending->sent) {
            struct lp2p_op *op = ops[sending->sent % WINDOW];
            code = session_finish(session, LP2P_OK, &op, "sending");
            if (code == CLI_OK) {
                keep_last(sending, op);
                lp2p_op_free(op);
            }
            sending->sent++;
            progress(session->cli, sending->sent, sending->count, "messages");
        }
    }
    for (; sending->sent < started; sending->sent++) { /* after a failure */
        lp2p_op_free(ops[sending->sent % WINDOW]);
    }
    return code;
}

static void report(struct sending *sending)
{
    const struct cli *cli = sending->session->cli;
    if (cli->json) {
        struct line line = cli_result(cli);
        session_describe(sending->session, &line);
        line_uint(&line, "sent", sending->sent);
        line_uint(&line, "bytes", sending->bytes);
        line_str(&line, "message_id", sending->id);
        line_str(&line, "protocol", sending->message.protocol);
        line_str(&line, "type", sending->message.type);
        line_print(&line);
    } else {
        progress_end(cli);
        say(cli, "sent %llu message%s of %zu bytes to %s (last id %s)", (unsigned long long)sending->sent,
            sending->sent == 1 ? "" : "s", sending->bytes, sending->session->peer, sending->id);
    }
}

int command_send(struct cli *cli)
{
    struct session session;
    const char *type = cli->text[OPT_TYPE] == NULL ? "data-message" : cli->text[OPT_TYPE];
    struct sending sending = {
        .session = &session,
        .stream_protocol = cli->text[OPT_PROTOCOL_ID],
        .message = {.type = type, .protocol = cli->text[OPT_PROTOCOL], .payload = cli->text[OPT_PAYLOAD]}};
    sending.count = (cli->given & CLI_BIT(OPT_COUNT)) ? cli->number[OPT_COUNT] : 1;
    if (sending.message.payload != NULL) {
        yyjson_doc *doc = yyjson_read(sending.message.payload, strlen(sending.message.payload), 0);
        bool bad = doc == NULL;
        yyjson_doc_free(doc);
        if (bad) {
            cli_usage(cli, "option --payload %.200s: expected JSON (a text needs its own quotes)",
                      sending.message.payload);
        }
    }
    if (type[0] == '\0') {
        cli_usage(cli, "option --type: expected a text that is not empty");
    }
    int code = session_start(&session, cli, "off");
    if (code == CLI_OK) {
        code = session_dial(&session, cli->args[0]);
    }
    if (code == CLI_OK) {
        progress(cli, 0, sending.count, "messages");
        code = send_all(&sending);
    }
    if (code == CLI_OK) {
        session_settle(&session); /* there is no acknowledgement: a connection closed at once could take
                                     messages along */
        report(&sending);
    }
    session_end(&session);
    return code;
}

/* ---- listen */

static void print_addresses(const struct cli *cli, struct lp2p_node *node)
{
    enum { MAX = 64 };
    char(*addrs)[LP2P_ADDR_TEXT_MAX] = calloc(MAX, LP2P_ADDR_TEXT_MAX);
    size_t len = addrs == NULL ? 0 : lp2p_node_addrs(node, addrs, MAX);
    for (size_t i = 0; i < len && i < MAX; i++) {
        print_listening(cli, addrs[i], lp2p_node_peer_id(node));
    }
    free(addrs);
    if (cli->json) {
        struct line line = line_new("ready");
        line_str(&line, "peer", lp2p_node_peer_id(node));
        line_print(&line);
    } else {
        say(cli, "ready: %s", lp2p_node_peer_id(node));
    }
}

int command_listen(struct cli *cli)
{
    struct session session;
    if (cli->listen.len == 0 && cli->peers.len == 0) {
        cli_usage(cli, "nothing to listen to: give --listen MA, --peer MA or both");
    }
    cli_block_signals();
    int code = session_start(&session, cli, "off");
    if (code != CLI_OK) {
        return code;
    }
    print_addresses(cli, session.node);
    for (size_t i = 0; i < cli->peers.len; i++) {
        code = session_dial(&session, cli->peers.items[i]);
        if (code != CLI_OK) {
            session_end(&session);
            return code;
        }
    }
    code = run_until_signal(cli, session.node);
    session_end(&session);
    return code;
}
