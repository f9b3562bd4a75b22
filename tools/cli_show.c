/* SPDX-License-Identifier: MIT
 * The configuration as it is in force, setting by setting, and where each value comes from. */
#include "cli.h"

#include <string.h>

struct show {
    const struct cli *cli;
    const char *key_file; /* of the data directory; NULL: the identity is not kept there */
};

static void print(const struct cli *cli, const char *name, const char *value, const char *source)
{
    if (cli->json) {
        struct line line = line_new("setting");
        line_str(&line, "name", name);
        line_str(&line, "value", value);
        line_str(&line, "source", source);
        line_print(&line);
        return;
    }
    char text[1200];
    (void)snprintf(text, sizeof(text), "%-16s %-40s %s", name, value[0] != '\0' ? value : "-", source);
    put_clean(stdout, text, strlen(text));
    putchar('\n');
}

/* A limit that the other one moved is neither given nor a default. */
static bool follows(const char *name, const char *value)
{
    return (strcmp(name, "min-connections") == 0 && strcmp(value, "10") != 0) ||
           (strcmp(name, "max-connections") == 0 && strcmp(value, "50") != 0);
}

static void setting(void *user, const char *name, const char *value, bool from_env)
{
    const struct show *show = user;
    const struct cli *cli = show->cli;
    enum cli_option option = cli_option_named(name);
    const char *source = cli->given & CLI_BIT(option) ? "command line"
                         : from_env                   ? "env file"
                         : follows(name, value)       ? "the other limit"
                                                      : "default";
    bool own_key = option == OPT_KEY && !(cli->given & CLI_BIT(OPT_KEY)) && !from_env;
    char text[1024];
    if (own_key && value[0] == '\0') {
        (void)snprintf(text, sizeof(text), "(will be made%s%s)", show->key_file != NULL ? " in " : "",
                       show->key_file != NULL ? show->key_file : "");
        value = text;
    } else if (own_key && show->key_file != NULL) {
        source = "file";
    } else if (option == OPT_DATA_DIR && cli->dir_from_environment) {
        source = "environment";
    }
    print(cli, name, value, source);
}

void cli_print_config(const struct cli *cli, const struct lp2p_config *config, const char *key_file)
{
    struct show show = {cli, key_file};
    lp2p_config_each(config, setting, &show);
    print(cli, "ephemeral", cli->ephemeral ? "yes" : "no", cli->ephemeral ? "command line" : "default");
    bool env = (cli->given & CLI_BIT(OPT_ENV)) != 0;
    print(cli, "env", env ? cli->text[OPT_ENV] : "", env ? "command line" : "default");
    print(cli, "json", cli->json ? "yes" : "no", cli->json ? "command line" : "default");
    (void)fflush(stdout);
}
