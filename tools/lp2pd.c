/* SPDX-License-Identifier: MIT
 * lp2pd: a node as a program. Prints what it listens on, then its events, until SIGTERM or SIGINT. */
#include "cli.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRS_MAX 64

static const unsigned long long ALLOWED =
    CLI_BIT(OPT_HELP) | CLI_BIT(OPT_VERSION) | CLI_BIT(OPT_JSON) | CLI_BIT(OPT_LISTEN) |
    CLI_BIT(OPT_APPEND_ANNOUNCE) | CLI_BIT(OPT_DNS_SERVERS) | CLI_BIT(OPT_NO_PORT_REUSE) | CLI_BIT(OPT_PUBLIC_ONLY) |
    CLI_BIT(OPT_MDNS) |
    CLI_BIT(OPT_ANNOUNCE) | CLI_BIT(OPT_BOOTSTRAP) | CLI_BIT(OPT_DHT) | CLI_BIT(OPT_DHT_PROTOCOL) |
    CLI_BIT(OPT_MIN_CONNECTIONS) | CLI_BIT(OPT_MAX_CONNECTIONS) | CLI_BIT(OPT_ENV) | CLI_BIT(OPT_TRIM_GRACE) |
    CLI_BIT(OPT_DATA_DIR) | CLI_BIT(OPT_EPHEMERAL) | CLI_BIT(OPT_KEY) | CLI_BIT(OPT_KEY_TYPE) | CLI_BIT(OPT_IO_THREADS) |
    CLI_BIT(OPT_PSK_FILE) |
    CLI_BIT(OPT_SECURITY) | CLI_BIT(OPT_TLS_CERT) | CLI_BIT(OPT_TLS_KEY) |
    CLI_BIT(OPT_TRUSTED_PROXIES) | CLI_BIT(OPT_MUXERS) | CLI_BIT(OPT_SERVE) | CLI_BIT(OPT_AGENT) |
    CLI_BIT(OPT_LOG_LEVEL) | CLI_BIT(OPT_PRINT_CONFIG);

static void help(const struct cli *cli)
{
    printf("usage: %s\n\nA libp2p node: keeps connections to its bootstrap and discovered peers, answers "
           "ping and identify, takes Lotus\n"
           "messages, and serves the DHT if asked to. Without --listen it listens on port 4001 of all "
           "interfaces.\n\n",
           cli->usage);
    cli_help_options(ALLOWED);
    printf("\nNumbers may end in K, M or G (1024, ...). SIGTERM or SIGINT end it, as does the end of its "
           "terminal (SIGHUP);\nSIGUSR1 prints its actors and counters to standard error.\n"
           "The identity is kept in identity.key (mode 0600) in the data directory: /var/lib/lotus-p2p for "
           "root, else\n"
           "$XDG_STATE_HOME/lotus-p2p or ~/.local/state/lotus-p2p.\n"
           "Exit status: 0 it was ended by a signal, 1 it failed, 2 wrong usage. See lp2pd(1).\n");
}

static bool machine_has_ip6(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&any, sizeof(any)) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return has;
}

/* In the order of the configuration, before anything else is printed. */
static void print_addresses(const struct cli *cli, struct lp2p_node *node)
{
    char(*addrs)[LP2P_ADDR_TEXT_MAX] = calloc(ADDRS_MAX, LP2P_ADDR_TEXT_MAX);
    size_t len = addrs == NULL ? 0 : lp2p_node_addrs(node, addrs, ADDRS_MAX);
    for (size_t i = 0; i < len && i < ADDRS_MAX; i++) {
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

int main(int argc, char **argv)
{
    struct cli cli = {.program = "lp2pd", .usage = "lp2pd [OPTION]...", .json = cli_wants_json(argc, argv)};
    cli_parse(&cli, argc, argv, ALLOWED, 0, 0);
    if (cli.given & CLI_BIT(OPT_HELP)) {
        help(&cli);
        return CLI_OK;
    }
    if (cli.given & CLI_BIT(OPT_VERSION)) {
        printf("lp2pd %s\n", lp2p_version());
        return CLI_OK;
    }
    if (cli.listen.len == 0) {
        cli.listen.items[cli.listen.len++] = "/ip4/0.0.0.0/tcp/4001";
        if (machine_has_ip6()) {
            cli.listen.items[cli.listen.len++] = "/ip6/::/tcp/4001";
        }
    }
    struct lp2p_config *config = cli_config(&cli);
    char key_file[4096];
    cli_config_identity(&cli, config, key_file);
    if (cli.given & CLI_BIT(OPT_PRINT_CONFIG)) {
        cli_print_config(&cli, config, key_file[0] != '\0' ? key_file : NULL);
        lp2p_config_free(config);
        return CLI_OK;
    }
    cli_block_signals();
    char detail[LP2P_DETAIL_MAX];
    struct lp2p_node *node = NULL;
    enum lp2p_err err = lp2p_node_new(config, &node, detail);
    lp2p_config_free(config);
    if (err == LP2P_OK) {
        err = lp2p_node_start(node, detail);
    }
    if (err != LP2P_OK) {
        lp2p_node_free(node);
        return cli_fail_code(&cli, err, "%s", detail);
    }
    print_addresses(&cli, node);
    lp2p_process_trim();
    int code = run_until_signal(&cli, node);
    lp2p_node_free(node);
    return code;
}
