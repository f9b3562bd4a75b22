/* SPDX-License-Identifier: MIT
 * lp2p: one command each, through a throw-away node. */
#include "lp2p.h"

#include <string.h>

#define ALL (CLI_BIT(OPT_HELP) | CLI_BIT(OPT_VERSION) | CLI_BIT(OPT_JSON))
#define NODE                                                                                                 \
    (ALL | CLI_BIT(OPT_SECURITY) | CLI_BIT(OPT_MUXERS) | CLI_BIT(OPT_KEY) |                                  \
     CLI_BIT(OPT_KEY_TYPE) | CLI_BIT(OPT_PSK_FILE) | CLI_BIT(OPT_LOG_LEVEL) |                                \
     CLI_BIT(OPT_TIMEOUT) | CLI_BIT(OPT_DNS_SERVERS) | CLI_BIT(OPT_PROGRESS) | CLI_BIT(OPT_LISTEN) | CLI_BIT(OPT_IO_THREADS))
#define DHT (NODE | CLI_BIT(OPT_PEER) | CLI_BIT(OPT_DHT) | CLI_BIT(OPT_DHT_PROTOCOL))

static const struct command {
    const char *name, *args, *help;
    size_t args_min, args_max;
    unsigned long long options;
    int (*run)(struct cli *cli);
} COMMANDS[] = {
    {"ping", "MA [-n N]", "measure round trips to a peer", 1, 1, NODE | CLI_BIT(OPT_N), command_ping},
    {"identify", "MA", "show what a peer says of itself", 1, 1, NODE, command_identify},
    {"echo", "MA [--bytes N] [--streams N]", "send bytes over streams and compare what comes back", 1, 1,
     NODE | CLI_BIT(OPT_BYTES) | CLI_BIT(OPT_STREAMS) | CLI_BIT(OPT_PARALLEL) | CLI_BIT(OPT_PROTOCOL_ID),
     command_echo},
    {"perf", "MA [--up BYTES] [--down BYTES]", "measure throughput by /perf/1.0.0", 1, 1,
     NODE | CLI_BIT(OPT_UP) | CLI_BIT(OPT_DOWN), command_perf},
    {"send", "MA [--protocol NAME] [--type T] [--payload JSON] [--count N]", "send Lotus messages", 1, 1,
     NODE | CLI_BIT(OPT_PROTOCOL) | CLI_BIT(OPT_TYPE) | CLI_BIT(OPT_PAYLOAD) | CLI_BIT(OPT_COUNT) |
         CLI_BIT(OPT_PROTOCOL_ID),
     command_send},
    {"listen", "[--listen MA].. [--peer MA]..", "print every message and event until a signal", 0, 0,
     DHT | CLI_BIT(OPT_SERVE) | CLI_BIT(OPT_ANNOUNCE) | CLI_BIT(OPT_APPEND_ANNOUNCE), command_listen},
    {"announce", "TYPE ID JSON --peer MA [--ttl S]", "announce a resource in the DHT", 3, 3,
     DHT | CLI_BIT(OPT_TTL), command_announce},
    {"discover", "TYPE ID --peer MA", "find a resource in the DHT", 1, 2, DHT, command_discover},
    {"dht put", "KEY VALUE --peer MA", "store a value in the DHT", 2, 2, DHT, command_dht_put},
    {"dht get", "KEY --peer MA", "find a value in the DHT", 1, 1, DHT, command_dht_get},
    {"dht provide", "KEY --peer MA", "tell the DHT that this node provides a content", 1, 1, DHT,
     command_dht_provide},
    {"dht findprovs", "KEY --peer MA", "find providers of a content", 1, 1, DHT | CLI_BIT(OPT_MAX),
     command_dht_findprovs},
    {"dht findpeer", "PEERID --peer MA", "find the addresses of a peer", 1, 1, DHT, command_dht_findpeer},
    {"dht closest", "KEY --peer MA", "find the peers closest to a key", 1, 1, DHT, command_dht_closest},
    {"key gen", "[FILE | --key FILE] [--key-type TYPE]", "make an identity", 0, 1,
     ALL | CLI_BIT(OPT_KEY) | CLI_BIT(OPT_KEY_TYPE), command_key_gen},
    {"key show", "FILE", "show an identity", 0, 1, ALL | CLI_BIT(OPT_KEY), command_key_show},
};
#define COMMANDS_LEN (sizeof(COMMANDS) / sizeof(COMMANDS[0]))

static void help(void)
{
    printf("usage: lp2p COMMAND [ARGUMENT].. [OPTION]..\n\nTalks to libp2p and Lotus peers from the command "
           "line; each command is a node of its own.\n\n"
           "commands:\n");
    for (size_t i = 0; i < COMMANDS_LEN; i++) {
        printf("  %-14s %s\n", COMMANDS[i].name, COMMANDS[i].help);
    }
    printf("\n`lp2p COMMAND --help` tells the arguments and options of a command. MA is a multiaddr such as\n"
           "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...; without its /p2p part whoever answers is accepted.\n"
           "Exit status: 0 done, 1 it failed, 2 wrong usage. See lp2p(1).\n");
}

static void help_command(const struct command *command)
{
    printf("usage: lp2p %s %s\n\n%s\n\n", command->name, command->args, command->help);
    cli_help_options(command->options);
    printf("\nNumbers may end in K, M or G (1024, ...). Exit status: 0 done, 1 it failed, 2 wrong usage. See lp2p(1).\n");
}

/* How many words of argv are the command's name; 0: they are not. */
static int matches(const struct command *command, int argc, char **argv)
{
    const char *space = strchr(command->name, ' ');
    if (space == NULL) {
        return argc > 1 && strcmp(argv[1], command->name) == 0 ? 1 : 0;
    }
    size_t len = (size_t)(space - command->name);
    return argc > 2 && strlen(argv[1]) == len && strncmp(argv[1], command->name, len) == 0 &&
                   strcmp(argv[2], space + 1) == 0
               ? 2
               : 0;
}

static int usage(int argc, char **argv, bool json)
{
    struct cli cli = {.program = "lp2p", .usage = "lp2p COMMAND [ARGUMENT].. [OPTION]..", .json = json};
    if (argc < 2) {
        cli_usage(&cli, "a command is missing; expected one of: ping, identify, echo, perf, send, listen, "
                        "announce, discover, dht, key");
    }
    if (strcmp(argv[1], "dht") == 0) {
        cli_usage(&cli, "dht %.60s: expected put, get, provide, findprovs, findpeer or closest",
                  argc > 2 ? argv[2] : "(nothing)");
    }
    if (strcmp(argv[1], "key") == 0) {
        cli_usage(&cli, "key %.60s: expected gen or show", argc > 2 ? argv[2] : "(nothing)");
    }
    cli_usage(&cli,
              "unknown %s %.60s; expected one of: ping, identify, echo, perf, send, listen, announce, "
              "discover, dht, key",
              argv[1][0] == '-' ? "option" : "command", argv[1]);
}

int main(int argc, char **argv)
{
    bool json = cli_wants_json(argc, argv);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        help();
        return CLI_OK;
    }
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        printf("lp2p %s\n", lp2p_version());
        return CLI_OK;
    }
    for (size_t i = 0; i < COMMANDS_LEN; i++) {
        int words = matches(&COMMANDS[i], argc, argv);
        if (words > 0) {
            char text[160];
            (void)snprintf(text, sizeof(text), "lp2p %s %s", COMMANDS[i].name, COMMANDS[i].args);
            struct cli cli = {.program = "lp2p", .command = COMMANDS[i].name, .usage = text, .json = json};
            cli_parse(&cli, argc - words, argv + words, COMMANDS[i].options, COMMANDS[i].args_min,
                      COMMANDS[i].args_max);
            if (cli.given & CLI_BIT(OPT_HELP)) {
                help_command(&COMMANDS[i]);
                return CLI_OK;
            }
            if (cli.given & CLI_BIT(OPT_VERSION)) {
                printf("lp2p %s\n", lp2p_version());
                return CLI_OK;
            }
            return COMMANDS[i].run(&cli);
        }
    }
    return usage(argc, argv, json);
}
