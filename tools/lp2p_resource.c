/* SPDX-License-Identifier: MIT
 * lp2p announce, lp2p discover: Lotus resources in the DHT. */
#include "lp2p.h"

#include <string.h>

static void check_name(const struct cli *cli, const char *type, const char *id)
{
    size_t slashes = 0;
    for (const char *c = type; *c != '\0'; c++) {
        slashes += *c == '/';
    }
    for (const char *c = id; *c != '\0'; c++) {
        slashes += *c == '/';
    }
    if (type[0] == '\0' || id[0] == '\0' || strlen(type) > 127 || strlen(id) > 255 || slashes > 1) {
        cli_usage(cli,
                  "resource %.100s %.100s: expected a type of 1 to 127 and an id of 1 to 255 bytes with at "
                  "most one '/' together",
                  type, id);
    }
}

static void add_key(struct line *line, const char *type, const char *id)
{
    char key[512];
    (void)snprintf(key, sizeof(key), "resource:%s:%s", type, id);
    line_str(line, "key", key);
}

int command_announce(struct cli *cli)
{
    struct session session;
    const char *type = cli->args[0], *id = cli->args[1], *json = cli->args[2];
    check_name(cli, type, id);
    yyjson_doc *doc = yyjson_read(json, strlen(json), 0);
    bool bad = doc == NULL;
    yyjson_doc_free(doc);
    if (bad) {
        cli_usage(cli, "data %.200s: expected JSON (a text needs its own quotes)", json);
    }
    int code = session_start(&session, cli, "client");
    if (code == CLI_OK) {
        code = session_dial_peers(&session, true);
    }
    struct lp2p_op *op = NULL;
    if (code == CLI_OK) {
        enum lp2p_err err =
            lp2p_node_announce(session.node, type, id, json, cli->number[OPT_TTL] * 1000, &op);
        code = session_finish(&session, err, &op, "announcing");
    }
    if (code == CLI_OK) {
        char *resource = NULL;
        (void)lp2p_node_resource(session.node, type, id, &resource);
        if (cli->json) {
            struct line line = cli_result(cli);
            add_key(&line, type, id);
            if (resource != NULL) {
                line_json(&line, "resource", resource, strlen(resource));
            }
            line_uint(&line, "stored", lp2p_op_number(op));
            line_print(&line);
        } else {
            say(cli, "announced resource:%s:%s, stored by %llu peers: %s", type, id,
                (unsigned long long)lp2p_op_number(op), resource == NULL ? "" : resource);
        }
        lp2p_free(resource);
        lp2p_op_free(op);
    }
    session_end(&session);
    return code;
}

int command_discover(struct cli *cli)
{
    struct session session;
    const char *type = cli->args[0], *id = cli->args[1];
    if (cli->args_len == 1) {
        return cli_fail_code(cli, LP2P_EUNSUPPORTED,
                             "a Kademlia DHT cannot list resources by type; give the id too: lp2p discover "
                             "%.100s ID --peer MA",
                             type);
    }
    check_name(cli, type, id);
    int code = session_start(&session, cli, "client");
    if (code == CLI_OK) {
        code = session_dial_peers(&session, true);
    }
    struct lp2p_op *op = NULL;
    if (code == CLI_OK) {
        enum lp2p_err err =
            lp2p_node_discover(session.node, type, id, (uint64_t)session_timeout_ms(&session), &op);
        code = session_finish(&session, err, &op, "discovering");
    }
    if (code == CLI_OK) {
        size_t len = 0;
        const char *resource = lp2p_op_bytes(op, &len);
        if (cli->json) {
            struct line line = cli_result(cli);
            add_key(&line, type, id);
            line_json(&line, "resource", resource, len);
            line_print(&line);
        } else {
            say(cli, "%.*s", (int)len, resource);
        }
        lp2p_op_free(op);
    }
    session_end(&session);
    return code;
}
