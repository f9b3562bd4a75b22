/* SPDX-License-Identifier: MIT
 * The options of both programs as one table. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLAG, TEXT, NUMBER, LIST };

static const struct {
    const char *name, *value; /* value: word for the help; NULL: takes none */
    enum kind kind;
    uint64_t min, max; /* of a NUMBER */
    const char *help;
} OPTIONS[OPTIONS_LEN] = {
    [OPT_HELP] = {"help", NULL, FLAG, 0, 0, "show this help and exit (also -h)"},
    [OPT_VERSION] = {"version", NULL, FLAG, 0, 0, "show the version and exit (also -V)"},
    [OPT_JSON] = {"json", NULL, FLAG, 0, 0, "print JSON objects, one a line"},
    [OPT_PROGRESS] = {"progress", NULL, FLAG, 0, 0, "show progress also when standard error is no terminal"},
    [OPT_LISTEN] = {"listen", "MA", LIST, 0, 0,
                    "listen on this address, e.g. /ip4/0.0.0.0/tcp/4001 (may be repeated)"},
    [OPT_ANNOUNCE] = {"announce", "MA", LIST, 0, 0,
                      "publish this address instead of those listened on (may be repeated)"},
    [OPT_APPEND_ANNOUNCE] = {"append-announce", "MA", LIST, 0, 0,
                             "publish this address besides the others (may be repeated)"},
    [OPT_DNS_SERVERS] = {"dns-servers", "LIST", TEXT, 0, 0, "name servers ADDRESS[:PORT],... in place of the system's"},
    [OPT_PUBLIC_ONLY] = {"public-only", NULL, FLAG, 0, 0, "tell and believe only public addresses"},
    [OPT_NO_PORT_REUSE] = {"no-port-reuse", NULL, FLAG, 0, 0, "do not dial from the port that is listened on"},
    [OPT_MDNS] = {"mdns", NULL, FLAG, 0, 0, "find peers on the local network, and be found there"},
    [OPT_BOOTSTRAP] = {"bootstrap", "MA", LIST, 0, 0,
                       "peer to connect to, with /p2p/ID at its end (may be repeated)"},
    [OPT_PEER] = {"peer", "MA", LIST, 0, 0, "peer to dial (may be repeated)"},
    [OPT_DHT] = {"dht", "MODE", TEXT, 0, 0, "server, client or off (default client; off for commands that need no DHT)"},
    [OPT_DHT_PROTOCOL] = {"dht-protocol", "ID", TEXT, 0, 0,
                          "full protocol id of the DHT (default /lotus/kad/1.0.0)"},
    [OPT_MIN_CONNECTIONS] = {"min-connections", "N", NUMBER, 0, 65536,
                             "dial further peers below this (default 10)"},
    [OPT_MAX_CONNECTIONS] = {"max-connections", "N", NUMBER, 1, 65536,
                             "close the least valuable connections above this (default 50)"},
    [OPT_DATA_DIR] = {"data-dir", "DIR", TEXT, 0, 0, "where the identity (identity.key) and the known peers are kept (default: see below)"},
    [OPT_EPHEMERAL] = {"ephemeral", NULL, FLAG, 0, 0, "a throw-away identity; nothing is kept on disk"},
    [OPT_IO_THREADS] = {"io-threads", "N", TEXT, 0, 0,
                        "threads that carry the connections (1 to 1024), or per-connection"},
    [OPT_SECURITY] = {"security", "LIST", TEXT, 0, 0, "secure channels in order of preference (default noise,tls)"},
    [OPT_TLS_CERT] = {"tls-cert", "FILE", TEXT, 0, 0,
                      "certificate chain (PEM) of the wss addresses that are listened on; with --tls-key"},
    [OPT_TLS_KEY] = {"tls-key", "FILE", TEXT, 0, 0, "its key (PEM)"},
    [OPT_TRUSTED_PROXIES] = {"trusted-proxies", "LIST", TEXT, 0, 0,
                             "IP addresses and networks of proxies that may tell where a connection comes from"},
    [OPT_MUXERS] = {"muxers", "LIST", TEXT, 0, 0,
                    "muxers in order of preference (yamux,mplex; default yamux)"},
    [OPT_SERVE] = {"serve", "LIST", TEXT, 0, 0, "serve echo (/echo/1.0.0), perf (/perf/1.0.0) (default: neither)"},
    [OPT_LOG_LEVEL] = {"log-level", "LEVEL", TEXT, 0, 0,
                       "error, warn, info or debug, to standard error (default warn in lp2pd, error in lp2p)"},
    [OPT_KEY] = {"key", "FILE", TEXT, 0, 0, "file of the identity"},
    [OPT_KEY_TYPE] = {"key-type", "TYPE", TEXT, 0, 0,
                      "of a new identity: ed25519 (default), secp256k1, ecdsa, rsa, rsa-3072 or rsa-4096"},
    [OPT_PSK_FILE] = {"psk-file", "FILE", TEXT, 0, 0, "key of a private network: speak with nobody who has not the same"},
    [OPT_ENV] = {"env", "FILE", TEXT, 0, 0,
                 "read P2P_MIN_CONNECTIONS, P2P_MAX_CONNECTIONS and P2P_PRIVATE_KEY_BASE64 from this file"},
    [OPT_AGENT] = {"agent", "TEXT", TEXT, 0, 0, "agent version told by identify (default lotus-p2p/VERSION)"},
    [OPT_TIMEOUT] = {"timeout", "S", NUMBER, 1, 86400, "seconds before a step is given up (default 30)"},
    [OPT_COUNT] = {"count", "N", NUMBER, 1, 1000000, "messages to send, one after the other (default 1)"},
    [OPT_N] = {"number", "N", NUMBER, 1, 1000000, "pings to send (default 4; also -n N)"},
    [OPT_BYTES] = {"bytes", "N", NUMBER, 0, 1ull << 40, "bytes on each stream (default 1048576)"},
    [OPT_STREAMS] = {"streams", "N", NUMBER, 1, 1000000, "streams in all (default 1)"},
    [OPT_PARALLEL] = {"parallel", "N", NUMBER, 1, 1000, "streams open at one time (default 16)"},
    [OPT_UP] = {"up", "BYTES", NUMBER, 0, 1ull << 53, "bytes to send (default 10485760)"},
    [OPT_DOWN] = {"down", "BYTES", NUMBER, 0, 1ull << 53, "bytes to ask for (default 10485760)"},
    [OPT_PROTOCOL] = {"protocol", "NAME", TEXT, 0, 0, "name of the handler that shall get the message (default: none)"},
    [OPT_TYPE] = {"type", "T", TEXT, 0, 0, "type of the message (default data-message)"},
    [OPT_PAYLOAD] = {"payload", "JSON", TEXT, 0, 0, "payload of the message (default: none)"},
    [OPT_PROTOCOL_ID] = {"protocol-id", "ID", TEXT, 0, 0, "another stream protocol instead of the usual one"},
    [OPT_TTL] = {"ttl", "S", NUMBER, 0, 1ull << 32,
                 "seconds until the announcement expires (default 0: never)"},
    [OPT_TRIM_GRACE] = {"trim-grace", "MS", NUMBER, 0, 1ull << 31,
                        "milliseconds in which a new connection is not trimmed (default 20000)"},
    [OPT_MAX] = {"max", "N", NUMBER, 1, 1000, "enough providers (default 20)"},
    [OPT_PRINT_CONFIG] = {"print-config", NULL, FLAG, 0, 0, "print each setting, its value and where that comes from, and exit"},
};

void cli_help_options(unsigned long long allowed)
{
    for (int i = 0; i < OPTIONS_LEN; i++) {
        if (allowed & CLI_BIT(i)) {
            char name[40];
            (void)snprintf(name, sizeof(name), "--%s%s%s", OPTIONS[i].name, OPTIONS[i].value ? " " : "",
                           OPTIONS[i].value ? OPTIONS[i].value : "");
            printf("  %-23s %s\n", name, OPTIONS[i].help);
        }
    }
}

enum cli_option cli_option_named(const char *name)
{
    int i = 0;
    while (i < OPTIONS_LEN && strcmp(OPTIONS[i].name, name) != 0) {
        i++;
    }
    return (enum cli_option)i;
}

bool cli_wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            return true;
        }
    }
    return false;
}

void cli_usage(const struct cli *cli, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (cli->json) {
        struct line line = line_new("error");
        line_bool(&line, "ok", false);
        line_str(&line, "code", "usage");
        line_str(&line, "text", text);
        line_print(&line);
    }
    const char *command = cli->command == NULL ? "" : cli->command;
    fprintf(stderr, "%s%s%s: ", cli->program, command[0] == '\0' ? "" : " ", command);
    put_clean(stderr, text, strlen(text));
    fprintf(stderr, "\nusage: %s\n`%s%s%s --help` tells more.\n", cli->usage, cli->program,
            command[0] == '\0' ? "" : " ", command);
    exit(CLI_USAGE);
}

/* Decimal digits with an optional K, M, G (1024, ..). */
static uint64_t parse_number(const struct cli *cli, enum cli_option option, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = 0;
    if (end != text && *end != '\0' && end[1] == '\0') {
        shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
        end += shift > 0;
    }
    bool digits = text[0] >= '0' && text[0] <= '9';
    if (!digits || *end != '\0' || errno != 0 || value > UINT64_MAX >> shift ||
        value << shift < OPTIONS[option].min || value << shift > OPTIONS[option].max) {
        cli_usage(cli, "option --%s %.100s: expected a number from %llu to %llu", OPTIONS[option].name, text,
                  (unsigned long long)OPTIONS[option].min, (unsigned long long)OPTIONS[option].max);
    }
    return value << shift;
}

static struct cli_list *list_of(struct cli *cli, enum cli_option option)
{
    return option == OPT_LISTEN     ? &cli->listen
           : option == OPT_ANNOUNCE ? &cli->announce
           : option == OPT_APPEND_ANNOUNCE ? &cli->append_announce
           : option == OPT_PEER     ? &cli->peers
                                    : &cli->bootstrap;
}

static void take(struct cli *cli, enum cli_option option, const char *value)
{
    bool again = (cli->given & CLI_BIT(option)) != 0;
    cli->given |= CLI_BIT(option);
    struct cli_list *list = list_of(cli, option);
    if (OPTIONS[option].kind != LIST && OPTIONS[option].kind != FLAG && again) {
        cli_usage(cli, "option --%s: given twice", OPTIONS[option].name);
    }
    switch (OPTIONS[option].kind) {
    case FLAG:
        break;
    case TEXT:
        cli->text[option] = value;
        break;
    case NUMBER:
        cli->number[option] = parse_number(cli, option, value);
        break;
    case LIST:
        if (list->len == CLI_LIST_MAX) {
            cli_usage(cli, "option --%s: given more than %d times", OPTIONS[option].name, CLI_LIST_MAX);
        }
        list->items[list->len++] = value;
        break;
    }
}

static _Noreturn void unknown(const struct cli *cli, int got, char **argv)
{
    const char *text = argv[optind - 1];
    if (got == ':') {
        cli_usage(cli, "option %.100s: a value is missing", text);
    }
    if (optopt != 0 && optopt < 256 && text[1] != '-') {
        cli_usage(cli, "unknown option -%c; --help lists the options", optopt);
    }
    if (optopt > 256) {
        cli_usage(cli, "option %.100s: takes no value", text);
    }
    cli_usage(cli, "unknown option %.100s; --help lists the options", text);
}

void cli_parse(struct cli *cli, int argc, char **argv, unsigned long long allowed, size_t args_min,
               size_t args_max)
{
    struct option table[OPTIONS_LEN + 1] = {{0}};
    size_t len = 0;
    for (int i = 0; i < OPTIONS_LEN; i++) {
        if (allowed & CLI_BIT(i)) {
            table[len++] = (struct option){
                OPTIONS[i].name, OPTIONS[i].value != NULL ? required_argument : no_argument, NULL, 1000 + i};
        }
    }
    opterr = 0;
    optind = 1;
    int got;
    while ((got = getopt_long(argc, argv, ":hVn:", table, NULL)) != -1) {
        enum cli_option option = got == 'h'   ? OPT_HELP
                                 : got == 'V' ? OPT_VERSION
                                 : got == 'n' ? OPT_N
                                              : (enum cli_option)(got - 1000);
        if (got == '?' || got == ':' || (got == 'n' && !(allowed & CLI_BIT(OPT_N)))) {
            unknown(cli, got, argv);
        }
        take(cli, option, optarg);
        if (option == OPT_HELP || option == OPT_VERSION) {
            return; /* the caller looks at `given` */
        }
    }
    cli->json = (cli->given & CLI_BIT(OPT_JSON)) != 0;
    cli->progress = (cli->given & CLI_BIT(OPT_PROGRESS)) != 0;
    cli->ephemeral = (cli->given & CLI_BIT(OPT_EPHEMERAL)) != 0;
    size_t args = (size_t)(argc - optind);
    if (args > args_max) {
        cli_usage(cli, "unexpected argument %.100s", argv[optind + (int)args_max]);
    }
    if (args < args_min) {
        cli_usage(cli, "an argument is missing: expected %zu, got %zu", args_min, args);
    }
    for (cli->args_len = 0; cli->args_len < args; cli->args_len++) {
        cli->args[cli->args_len] = argv[optind + (int)cli->args_len];
    }
}
