/* SPDX-License-Identifier: MIT
 * What lp2p and lp2pd share: options, output for people and for machines, and the words for what went wrong.
 */
#ifndef LP2P_TOOLS_CLI_H
#define LP2P_TOOLS_CLI_H

#include <lotus/p2p.h>

#include <stdio.h>
#include <yyjson.h>

#define CLI_LIST_MAX 64 /* values of an option that may be repeated */
#define CLI_ARGS_MAX 4  /* arguments that are not options */

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/** Each option of both programs; which of them a command takes is told by a mask of 1 << id. */
enum cli_option {
    OPT_HELP,
    OPT_VERSION,
    OPT_JSON,
    OPT_PROGRESS,
    OPT_LISTEN,
    OPT_ANNOUNCE,
    OPT_APPEND_ANNOUNCE,
    OPT_DNS_SERVERS,
    OPT_NO_PORT_REUSE,
    OPT_MDNS,
    OPT_PUBLIC_ONLY,
    OPT_BOOTSTRAP,
    OPT_PEER,
    OPT_DHT,
    OPT_DHT_PROTOCOL,
    OPT_MIN_CONNECTIONS,
    OPT_MAX_CONNECTIONS,
    OPT_DATA_DIR,
    OPT_EPHEMERAL,
    OPT_IO_THREADS,
    OPT_SECURITY,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_TRUSTED_PROXIES,
    OPT_MUXERS,
    OPT_SERVE,
    OPT_LOG_LEVEL,
    OPT_KEY,
    OPT_KEY_TYPE,
    OPT_PSK_FILE,
    OPT_ENV,
    OPT_AGENT,
    OPT_TIMEOUT,
    OPT_COUNT,
    OPT_N,
    OPT_BYTES,
    OPT_STREAMS,
    OPT_PARALLEL,
    OPT_UP,
    OPT_DOWN,
    OPT_PROTOCOL,
    OPT_TYPE,
    OPT_PAYLOAD,
    OPT_PROTOCOL_ID,
    OPT_TTL,
    OPT_TRIM_GRACE,
    OPT_MAX,
    OPT_PRINT_CONFIG,
    OPTIONS_LEN,
};
#define CLI_BIT(option) (1ull << (option))

struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t len;
};

/** What was asked for; texts point into argv. Numbers hold the defaults that the command gave. */
struct cli {
    const char *program;      /* "lp2p" */
    const char *command;      /* "ping", "dht get"; NULL in lp2pd */
    const char *usage;        /* of the command, one line */
    unsigned long long given; /* CLI_BIT of each option that was there */
    bool json, progress, ephemeral;
    bool dir_from_environment; /* cli_config_identity: the data directory was found by HOME or XDG_STATE_HOME */
    struct cli_list listen, announce, append_announce, bootstrap, peers;
    const char *text[OPTIONS_LEN]; /* values of options with one text */
    uint64_t number[OPTIONS_LEN];  /* values of options with a number */
    const char *args[CLI_ARGS_MAX];
    size_t args_len;
};

/** Reads argv[1..] (argv[0] is skipped). `allowed` is a mask of options; exits with 2 when something is
 * wrong. */
void cli_parse(struct cli *cli, int argc, char **argv, unsigned long long allowed, size_t args_min,
               size_t args_max);
/** Tells wrong usage by name and what was expected, and exits with 2. */
_Noreturn void cli_usage(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** The option of that name; OPTIONS_LEN: none. */
enum cli_option cli_option_named(const char *name);
/** One line of help for each option of the mask. */
void cli_help_options(unsigned long long allowed);
/** True when the arguments hold --json: known before they are parsed, so that wrong usage is told in the
 * right form. */
bool cli_wants_json(int argc, char **argv);

/* ---- Output. One JSON object a line, or text; flushed at once. */

/** A line under way. Members are added in order; print ends it. */
struct line {
    yyjson_mut_doc *doc;
    yyjson_mut_val *root;
};
struct line line_new(const char *event);
void line_str(struct line *line, const char *name, const char *text); /* NULL and "": left out */
void line_uint(struct line *line, const char *name, uint64_t value);
void line_ms(struct line *line, const char *name, uint64_t ns); /* milliseconds with three decimals */
void line_real(struct line *line, const char *name, double value);
void line_bool(struct line *line, const char *name, bool value);
void line_strs(struct line *line, const char *name, const char *const *texts, size_t len);
/** NAME_base64, and NAME too where the bytes are valid UTF-8. */
void line_bytes(struct line *line, const char *name, const void *bytes, size_t len);
void line_base64(struct line *line, const char *name, const void *bytes, size_t len);
/** JSON text as a value; left out when it is none. */
void line_json(struct line *line, const char *name, const char *json, size_t len);
/** [{"peer","addrs"}, ..] */
void line_peers(struct line *line, const char *name, const struct lp2p_peer *peers, size_t len);
void line_print(struct line *line);

/** A text that may come from a peer, for a terminal: what would move the cursor or fake other text becomes
 * '?'. */
void put_clean(FILE *out, const char *text, size_t len);
/** printf to standard output, flushed, only without --json. */
void say(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Shows how far a command is: nothing in the first second, then at most once a second. With --json lines on
 * standard output, else on standard error if that is a terminal or --progress was given. `total` 0: not
 * known. */
void progress(const struct cli *cli, uint64_t done, uint64_t total, const char *unit);
/** Ends the progress line on the terminal. */
void progress_end(const struct cli *cli);
uint64_t cli_clock_ns(void);

/* ---- Failures */

/** What failed, for the last line. */
struct failure {
    enum lp2p_err code;
    const char *stage;   /* NULL: see detail */
    const char *address; /* NULL: none */
    char detail[LP2P_DETAIL_MAX];
};
/** "connect: connection refused" and the like, of an operation on `target` (a multiaddr or peer id). */
void failure_of_op(struct failure *failure, const struct lp2p_op *op, const char *target);
/** Prints it and returns CLI_FAILED. `line` (may be NULL) holds further members of the error line; it is used
 * up. */
int cli_fail(const struct cli *cli, const struct failure *failure, struct line *line);
int cli_fail_code(const struct cli *cli, enum lp2p_err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** A result line for a command: "event":"result","command","ok":true. */
struct line cli_result(const struct cli *cli);

/* ---- Nodes and events */

/** The configuration that the options ask for; exits with 2 when one of them is wrong. */
struct lp2p_config *cli_config(const struct cli *cli);
/** Adds the default or given identity directory of lp2pd. With --print-config nothing is made on disk. key_file: where the identity
 * is kept; "": it comes from elsewhere. */
void cli_config_identity(struct cli *cli, struct lp2p_config *config, char key_file[4096]);
/** Prints each setting, what it is, and where that comes from. key_file NULL: the identity is not kept in the data directory. */
void cli_print_config(const struct cli *cli, const struct lp2p_config *config, const char *key_file);
/** One line for an event; false when it prints nothing. */
bool print_event(const struct cli *cli, const struct lp2p_event *event, const char *self);
void print_listening(const struct cli *cli, const char *address, const char *self);
/** Prints a table of the node's actors to standard error. */
void print_actors(struct lp2p_node *node);
/** Runs until SIGINT or SIGTERM: prints events, and the actors on SIGUSR1. Returns the exit code.
 * cli_block_signals must have been called before the node was started. */
int run_until_signal(const struct cli *cli, struct lp2p_node *node);
void cli_block_signals(void);

#endif
