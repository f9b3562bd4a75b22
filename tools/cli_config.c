/* SPDX-License-Identifier: MIT
 * From options to a configuration of the library. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool has(const struct cli *cli, enum cli_option option)
{
    return (cli->given & CLI_BIT(option)) != 0;
}

/* Ends the program when a setter refused: its detail names the value and what was expected. */
static void check(const struct cli *cli, const struct lp2p_config *config, enum lp2p_err err,
                  const char *option)
{
    if (err == LP2P_EINVAL) {
        cli_usage(cli, "option --%s: %s", option, lp2p_config_detail(config));
    }
    if (err != LP2P_OK) {
        exit(cli_fail_code(cli, err, "--%s: %s", option, lp2p_config_detail(config)));
    }
}

/* What a setter that succeeded has to say all the same. */
static void warn(const struct cli *cli, const struct lp2p_config *config)
{
    if (lp2p_config_detail(config)[0] != '\0') {
        fprintf(stderr, "%s: warning: ", cli->program);
        put_clean(stderr, lp2p_config_detail(config), strlen(lp2p_config_detail(config)));
        fputc('\n', stderr);
    }
}

static void log_line(void *user, enum lp2p_log_level level, const char *module, const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    (void)user;
    struct timespec now;
    struct tm tm;
    char date[32] = "";
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &tm) != NULL) {
        (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    }
    flockfile(stderr);
    fprintf(stderr, "%s.%03ldZ %-5s %s: ", date, now.tv_nsec / 1000000, names[level], module);
    put_clean(stderr, text, strlen(text));
    fputc('\n', stderr);
    funlockfile(stderr);
}

static void set_log(const struct cli *cli, struct lp2p_config *config)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    const char *wanted = cli->text[OPT_LOG_LEVEL] != NULL ? cli->text[OPT_LOG_LEVEL]
                         : cli->command != NULL           ? "error"
                                                          : "warn";
    for (int level = 0; level < 4; level++) {
        if (strcmp(wanted, names[level]) == 0) {
            check(cli, config, lp2p_config_log(config, (enum lp2p_log_level)level, log_line, NULL),
                  "log-level");
            return;
        }
    }
    cli_usage(cli, "option --log-level %.100s: expected error, warn, info or debug", wanted);
}

static void set_io_threads(const struct cli *cli, struct lp2p_config *config)
{
    const char *text = cli->text[OPT_IO_THREADS];
    char *end = NULL;
    unsigned long threads = 0;
    if (strcmp(text, "per-connection") != 0) {
        threads = strtoul(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end != '\0' || threads == 0 || threads > 1024) {
            cli_usage(cli, "option --io-threads %.100s: expected a number from 1 to 1024, or per-connection",
                      text);
        }
    }
    check(cli, config, lp2p_config_io_threads(config, (unsigned)threads), "io-threads");
}

/* A file first, then what was given on the command line. */
static void set_connections(const struct cli *cli, struct lp2p_config *config)
{
    if (has(cli, OPT_ENV)) {
        check(cli, config, lp2p_config_load_env(config, cli->text[OPT_ENV]), "env");
        warn(cli, config);
    }
    if (has(cli, OPT_MIN_CONNECTIONS) || has(cli, OPT_MAX_CONNECTIONS)) {
        unsigned min, max; /* what is not given here stays as the file or the defaults have it */
        lp2p_config_connections_of(config, &min, &max);
        min = has(cli, OPT_MIN_CONNECTIONS) ? (unsigned)cli->number[OPT_MIN_CONNECTIONS] : min;
        max = has(cli, OPT_MAX_CONNECTIONS) ? (unsigned)cli->number[OPT_MAX_CONNECTIONS]
              : min > max                   ? min
                                            : max;
        if (!has(cli, OPT_MIN_CONNECTIONS) && min > max) {
            min = max; /* a maximum alone, below that minimum */
        }
        check(cli, config, lp2p_config_connections(config, min, max),
              has(cli, OPT_MIN_CONNECTIONS) ? "min-connections" : "max-connections");
    }
}

/* Where it listens, what it tells of that, and where it finds others. */
static void set_addresses(const struct cli *cli, struct lp2p_config *config)
{
    for (size_t i = 0; i < cli->listen.len; i++) {
        check(cli, config, lp2p_config_listen(config, cli->listen.items[i]), "listen");
    }
    for (size_t i = 0; i < cli->announce.len; i++) {
        check(cli, config, lp2p_config_announce(config, cli->announce.items[i]), "announce");
    }
    for (size_t i = 0; i < cli->append_announce.len; i++) {
        check(cli, config, lp2p_config_append_announce(config, cli->append_announce.items[i]), "append-announce");
    }
    if (has(cli, OPT_DNS_SERVERS)) {
        check(cli, config, lp2p_config_dns_servers(config, cli->text[OPT_DNS_SERVERS]), "dns-servers");
    }
    if (has(cli, OPT_PUBLIC_ONLY)) {
        check(cli, config, lp2p_config_public_only(config, true), "public-only");
    }
    if (has(cli, OPT_NO_PORT_REUSE)) {
        check(cli, config, lp2p_config_port_reuse(config, false), "no-port-reuse");
    }
    if (has(cli, OPT_MDNS)) {
        check(cli, config, lp2p_config_mdns(config, true), "mdns");
    }
    for (size_t i = 0; i < cli->bootstrap.len; i++) {
        check(cli, config, lp2p_config_bootstrap(config, cli->bootstrap.items[i]), "bootstrap");
    }
}

static void set_tls_files(const struct cli *cli, struct lp2p_config *config)
{
    bool used = false;
    if (!has(cli, OPT_TLS_CERT) || !has(cli, OPT_TLS_KEY)) {
        bool key = has(cli, OPT_TLS_KEY);
        cli_usage(cli, "option --tls-%s: expected --tls-%s FILE beside it", key ? "key" : "cert", key ? "cert" : "key");
    }
    check(cli, config, lp2p_config_tls_files(config, cli->text[OPT_TLS_CERT], cli->text[OPT_TLS_KEY]), "tls-cert");
    for (size_t i = 0; i < cli->listen.len; i++) {
        used = used || strstr(cli->listen.items[i], "/wss") != NULL || strstr(cli->listen.items[i], "/tls/") != NULL;
    }
    if (!used) {
        fprintf(stderr, "%s: warning: --tls-cert and --tls-key are not used: no --listen address ends in /wss or /tls/ws\n",
                cli->program);
    }
}

struct lp2p_config *cli_config(const struct cli *cli)
{
    struct lp2p_config *config = lp2p_config_new();
    if (config == NULL) {
        exit(cli_fail_code(cli, LP2P_ENOMEM, "%s", ""));
    }
    set_log(cli, config);
    set_addresses(cli, config);
    set_connections(cli, config);
    if (has(cli, OPT_DHT) || has(cli, OPT_DHT_PROTOCOL)) {
        const char *mode = has(cli, OPT_DHT) ? cli->text[OPT_DHT] : "client";
        check(cli, config, lp2p_config_dht(config, mode, cli->text[OPT_DHT_PROTOCOL]),
              has(cli, OPT_DHT) ? "dht" : "dht-protocol");
    }
    if (has(cli, OPT_IO_THREADS)) {
        set_io_threads(cli, config);
    }
    if (has(cli, OPT_SECURITY)) {
        check(cli, config, lp2p_config_security(config, cli->text[OPT_SECURITY]), "security");
    }
    if (has(cli, OPT_TLS_CERT) || has(cli, OPT_TLS_KEY)) {
        set_tls_files(cli, config);
    }
    if (has(cli, OPT_TRUSTED_PROXIES)) {
        check(cli, config, lp2p_config_trusted_proxies(config, cli->text[OPT_TRUSTED_PROXIES]), "trusted-proxies");
    }
    if (has(cli, OPT_MUXERS)) {
        check(cli, config, lp2p_config_muxers(config, cli->text[OPT_MUXERS]), "muxers");
    }
    if (has(cli, OPT_SERVE)) {
        check(cli, config, lp2p_config_serve(config, cli->text[OPT_SERVE]), "serve");
    }
    if (has(cli, OPT_AGENT)) {
        check(cli, config, lp2p_config_agent(config, cli->text[OPT_AGENT]), "agent");
    }
    if (has(cli, OPT_TRIM_GRACE)) {
        check(cli, config, lp2p_config_trim_grace(config, (unsigned)cli->number[OPT_TRIM_GRACE]),
              "trim-grace");
    }
    if (has(cli, OPT_KEY_TYPE)) {
        check(cli, config, lp2p_config_key_type(config, cli->text[OPT_KEY_TYPE]), "key-type");
    }
    if (has(cli, OPT_KEY)) {
        check(cli, config, lp2p_config_key_file(config, cli->text[OPT_KEY], false), "key");
        warn(cli, config);
    }
    if (has(cli, OPT_PSK_FILE)) {
        check(cli, config, lp2p_config_swarm_key_file(config, cli->text[OPT_PSK_FILE]), "psk-file");
    }
    return config;
}

/* ---- the identity of the daemon */

/* Makes the directory with its parents; only the last one is ours alone. */
static int make_dirs(char *path)
{
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            int bad = mkdir(path, 0755) != 0 && errno != EEXIST;
            *at = '/';
            if (bad) {
                return -1;
            }
        }
    }
    return mkdir(path, 0700) != 0 && errno != EEXIST ? -1 : 0;
}

/* Where nothing was said: a system's state directory for root, else the user's own. */
static bool default_dir(char *out, size_t cap)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int len = geteuid() == 0                     ? snprintf(out, cap, "/var/lib/lotus-p2p")
              : state != NULL && state[0] == '/' ? snprintf(out, cap, "%s/lotus-p2p", state)
              : home != NULL && home[0] == '/'   ? snprintf(out, cap, "%s/.local/state/lotus-p2p", home)
                                                 : -1;
    return len > 0 && (size_t)len < cap;
}

void cli_config_identity(struct cli *cli, struct lp2p_config *config, char key_file[4096])
{
    bool look_only = has(cli, OPT_PRINT_CONFIG);
    key_file[0] = '\0';
    /* An identity of the --env file counts as one that was given. */
    bool given = has(cli, OPT_KEY) || lp2p_config_has_identity(config);
    if (cli->ephemeral && (has(cli, OPT_KEY) || has(cli, OPT_DATA_DIR))) {
        cli_usage(cli, "option --ephemeral: excludes --%s", has(cli, OPT_KEY) ? "key" : "data-dir");
    }
    if (cli->ephemeral || (given && !has(cli, OPT_DATA_DIR))) {
        return;
    }
    char dir[3072];
    if (has(cli, OPT_DATA_DIR)) {
        (void)snprintf(dir, sizeof(dir), "%s", cli->text[OPT_DATA_DIR]);
        if (dir[0] == '\0' || strlen(cli->text[OPT_DATA_DIR]) >= sizeof(dir)) {
            cli_usage(cli, "option --data-dir %.100s: expected the path of a directory",
                      cli->text[OPT_DATA_DIR]);
        }
    } else if (!default_dir(dir, sizeof(dir))) {
        cli_usage(cli, "no place for the identity: HOME is not set; give --data-dir DIR or --ephemeral");
    }
    cli->dir_from_environment = !has(cli, OPT_DATA_DIR) && geteuid() != 0;
    if (!look_only && make_dirs(dir) != 0) {
        exit(cli_fail_code(cli, LP2P_EIO,
                           "data directory %.300s: %s; give another one with --data-dir, or --ephemeral", dir,
                           strerror(errno)));
    }
    check(cli, config, lp2p_config_data_dir(config, dir), "data-dir");
    if (given) {
        return; /* peers are kept there, the identity comes from elsewhere */
    }
    (void)snprintf(key_file, 4096, "%s/identity.key", dir);
    enum lp2p_err err = lp2p_config_key_file(config, key_file, !look_only);
    if (err == LP2P_ENOTFOUND && look_only) {
        return;
    }
    if (err != LP2P_OK) {
        exit(cli_fail_code(cli, err, "%s; give another directory with --data-dir, or another identity with --key",
                           lp2p_config_detail(config)));
    }
    warn(cli, config);
}
