/* SPDX-License-Identifier: MIT */
#include "actors/config.h"
#include "actors/api/config_private.h"
#include "actors/link/door.h"
#include "mux/mux.h"
#include "wire/endpoint.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 65536
#define IO_THREADS_MAX 1024
#define DHT_K_MAX 256

struct lp2p_config *lp2p_config_new(void)
{
    struct lp2p_config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        return NULL;
    }
    config->connections_min = LP2P_CONNECTIONS_MIN_DEFAULT;
    config->connections_max = LP2P_CONNECTIONS_MAX_DEFAULT;
    config->trim_grace_ms = 20000;
    config->dht_mode = LP2P_DHT_CLIENT;
    (void)snprintf(config->dht_protocol, sizeof(config->dht_protocol), "/lotus/kad/1.0.0");
    config->dht_k = 20;
    config->dht_alpha = 10;
    (void)snprintf(config->muxers[0], sizeof(config->muxers[0]), "%s", lp2p_yamux_ops.protocol);
    config->muxers_len = 1;
    (void)snprintf(config->agent, sizeof(config->agent), "lotus-p2p/%s", LP2P_VERSION_STRING);
    config->log_level = LP2P_LOG_INFO;
    config->key_type = LP2P_KEY_ED25519;
    return config;
}

void lp2p_config_free(struct lp2p_config *config)
{
    if (config != NULL) {
        sodium_memzero(config, sizeof(*config)); /* it may hold a private key */
        free(config);
    }
}

const char *lp2p_config_detail(const struct lp2p_config *config)
{
    return config == NULL ? "no configuration was given" : config->detail;
}

enum lp2p_err lp2p_config_fail(struct lp2p_config *config, enum lp2p_err err, const char *format, ...)
{
    if (config != NULL) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(config->detail, sizeof(config->detail), format, args);
        va_end(args);
    }
    return err;
}

/* ---- addresses */

/* A multiaddr, with a text for people when it is none. */
static enum lp2p_err parse(struct lp2p_config *config, const char *what, const char *text,
                           struct lp2p_multiaddr *out)
{
    char why[128] = "";
    if (text == NULL || text[0] == '\0') {
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "%s: an address is missing; expected e.g. /ip4/0.0.0.0/tcp/4001", what);
    }
    if (lp2p_multiaddr_from_text(text, out, why) != LP2P_OK) {
        return lp2p_config_fail(config, LP2P_EINVAL, "%s %.300s: not a multiaddr: %s", what, text,
                                why[0] ? why : "cannot be read");
    }
    return LP2P_OK;
}

enum lp2p_err lp2p_config_listen(struct lp2p_config *config, const char *multiaddr)
{
    struct lp2p_multiaddr addr;
    struct lp2p_peer_id peer;
    struct lp2p_door door;
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    enum lp2p_err err = parse(config, "listen", multiaddr, &addr);
    if (err != LP2P_OK) {
        return err;
    }
    if (lp2p_multiaddr_peer(&addr, &peer) == LP2P_OK) {
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "listen %.300s: expected an address without /p2p/ID at its end", multiaddr);
    }
    if (lp2p_door_read(&addr, &door) != LP2P_OK) {
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "listen %.300s: expected /ip4/ADDRESS/tcp/PORT or /ip6/ADDRESS/tcp/PORT (port 0: "
                                "any), perhaps with /ws, /wss, /tls/ws or /tls/sni/NAME/ws",
                                multiaddr);
    }
    for (size_t i = 0; i < config->listen_len; i++) {
        if (lp2p_multiaddr_eq(&config->listen[i], &addr) && door.at.port != 0) {
            return lp2p_config_fail(config, LP2P_EINVAL, "listen %.300s: given twice", multiaddr);
        }
    }
    if (config->listen_len == LP2P_LISTEN_MAX) {
        return lp2p_config_fail(config, LP2P_EINVAL, "listen %.300s: more than %d addresses", multiaddr,
                                LP2P_LISTEN_MAX);
    }
    config->listen[config->listen_len++] = addr;
    return LP2P_OK;
}

/** Adds to one of the two lists of addresses to be published. */
static enum lp2p_err add_announced(struct lp2p_config *config, const char *what, const char *multiaddr,
                                   struct lp2p_multiaddr list[LP2P_LISTEN_MAX], size_t *len)
{
    struct lp2p_multiaddr addr;
    enum lp2p_err err = parse(config, what, multiaddr, &addr);
    if (err != LP2P_OK) {
        return err;
    }
    lp2p_multiaddr_strip_peer(&addr); /* whose address it is goes without saying */
    if (addr.len == 0) {
        return lp2p_config_fail(config, LP2P_EINVAL, "%s %.300s: expected an address before /p2p/ID", what,
                                multiaddr);
    }
    enum lp2p_transport transport = lp2p_endpoint_of(&addr).transport;
    bool understood = transport != LP2P_TRANSPORT_NONE && transport != LP2P_TRANSPORT_NAME;
    if (understood && !lp2p_addr_plausible(&addr, LP2P_SCOPE_LOOPBACK)) {
        return lp2p_config_fail(config, LP2P_EINVAL, "%s %.300s: nobody can dial port 0, an unspecified or a link-local address",
                                what, multiaddr);
    }
    if (*len == LP2P_LISTEN_MAX) {
        return lp2p_config_fail(config, LP2P_EINVAL, "%s %.300s: more than %d addresses", what, multiaddr,
                                LP2P_LISTEN_MAX);
    }
    list[(*len)++] = addr;
    return LP2P_OK;
}

enum lp2p_err lp2p_config_announce(struct lp2p_config *config, const char *multiaddr)
{
    return config == NULL ? LP2P_EINVAL
                          : add_announced(config, "announce", multiaddr, config->announce, &config->announce_len);
}

enum lp2p_err lp2p_config_append_announce(struct lp2p_config *config, const char *multiaddr)
{
    return config == NULL ? LP2P_EINVAL
                          : add_announced(config, "append-announce", multiaddr, config->append_announce,
                                          &config->append_announce_len);
}

enum lp2p_err lp2p_config_bootstrap(struct lp2p_config *config, const char *multiaddr)
{
    struct lp2p_multiaddr addr;
    struct lp2p_peer_id peer;
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    enum lp2p_err err = parse(config, "bootstrap", multiaddr, &addr);
    if (err != LP2P_OK) {
        return err;
    }
    if (lp2p_multiaddr_peer(&addr, &peer) != LP2P_OK) {
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "bootstrap %.300s: expected an address that ends in /p2p/ID", multiaddr);
    }
    if (lp2p_endpoint_of(&addr).host_code == 0) { /* of transports that are not spoken the dial will tell */
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "bootstrap %.300s: cannot be dialed; expected e.g. /ip4/ADDRESS/tcp/PORT/p2p/ID, "
                                "/dns4/NAME/tcp/443/wss/p2p/ID or /dnsaddr/NAME/p2p/ID",
                                multiaddr);
    }
    if (config->bootstrap_len == LP2P_BOOTSTRAP_MAX) {
        return lp2p_config_fail(config, LP2P_EINVAL, "bootstrap %.300s: more than %d peers", multiaddr,
                                LP2P_BOOTSTRAP_MAX);
    }
    config->bootstrap[config->bootstrap_len++] = addr;
    return LP2P_OK;
}

/* ---- numbers */

enum lp2p_err lp2p_config_connections(struct lp2p_config *config, unsigned min, unsigned max)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    if (max == 0 || max > CONNECTIONS_MAX) {
        return lp2p_config_fail(config, LP2P_EINVAL, "max connections %u: expected 1 to %d", max,
                                CONNECTIONS_MAX);
    }
    if (min > max) {
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "min connections %u: expected at most max connections, which is %u", min,
                                max);
    }
    config->env_min = config->env_min && min == config->connections_min;
    config->env_max = config->env_max && max == config->connections_max;
    config->connections_min = min;
    config->connections_max = max;
    return LP2P_OK;
}

void lp2p_config_connections_of(const struct lp2p_config *config, unsigned *min, unsigned *max)
{
    *min = config == NULL ? LP2P_CONNECTIONS_MIN_DEFAULT : config->connections_min;
    *max = config == NULL ? LP2P_CONNECTIONS_MAX_DEFAULT : config->connections_max;
}

enum lp2p_err lp2p_config_io_threads(struct lp2p_config *config, unsigned threads)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    if (threads > IO_THREADS_MAX) {
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "io threads %u: expected at most %d (0: one for each connection)", threads,
                                IO_THREADS_MAX);
    }
    config->io_threads_set = true;
    config->io_threads = threads;
    return LP2P_OK;
}

enum lp2p_err lp2p_config_trim_grace(struct lp2p_config *config, unsigned grace_ms)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    config->trim_grace_ms = grace_ms;
    return LP2P_OK;
}

enum lp2p_err lp2p_config_dht_params(struct lp2p_config *config, unsigned k, unsigned alpha)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    if (k > DHT_K_MAX || alpha > DHT_K_MAX) {
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "dht k %u, alpha %u: expected at most %d each (0 keeps the default)", k,
                                alpha, DHT_K_MAX);
    }
    config->dht_k = k != 0 ? k : config->dht_k;
    config->dht_alpha = alpha != 0 ? alpha : config->dht_alpha;
    return LP2P_OK;
}

/* ---- names */

enum lp2p_err lp2p_config_dht(struct lp2p_config *config, const char *mode, const char *protocol)
{
    static const char *const names[] = {
        [LP2P_DHT_OFF] = "off", [LP2P_DHT_CLIENT] = "client", [LP2P_DHT_SERVER] = "server"};
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    size_t found = LP2P_ARRAY_LEN(names);
    for (size_t i = 0; mode != NULL && i < LP2P_ARRAY_LEN(names); i++) {
        found = strcmp(mode, names[i]) == 0 ? i : found;
    }
    if (found == LP2P_ARRAY_LEN(names)) {
        return lp2p_config_fail(config, LP2P_EINVAL, "dht %.100s: expected server, client or off",
                                mode == NULL ? "(nothing)" : mode);
    }
    protocol = protocol == NULL ? "/lotus/kad/1.0.0" : protocol;
    if (protocol[0] != '/' || strlen(protocol) < 2 || strlen(protocol) >= LP2P_PROTOCOL_ID_MAX) {
        return lp2p_config_fail(
            config, LP2P_EINVAL,
            "dht protocol %.200s: expected a full protocol id like /lotus/kad/1.0.0, at most %d bytes",
            protocol, LP2P_PROTOCOL_ID_MAX - 1);
    }
    config->dht_mode = (enum lp2p_dht_mode)found;
    memmove(config->dht_protocol, protocol, strlen(protocol) + 1);
    return LP2P_OK;
}

/* Walks over a comma separated list: the next item without surrounding blanks, false at the end. */
bool lp2p_config_next_item(const char **rest, struct lp2p_span *item)
{
    if (**rest == '\0') {
        return false;
    }
    const char *end = strchr(*rest, ',');
    const char *next = end == NULL ? *rest + strlen(*rest) : end + 1;
    const char *from = *rest, *to = end == NULL ? next : end;
    while (from < to && *from == ' ') {
        from++;
    }
    while (to > from && to[-1] == ' ') {
        to--;
    }
    *item = lp2p_span(from, (size_t)(to - from));
    *rest = next;
    return true;
}

enum lp2p_err lp2p_config_bad_item(struct lp2p_config *config, const char *what, struct lp2p_span item,
                                   const char *expected)
{
    return lp2p_config_fail(config, LP2P_EINVAL, "%s \"%.*s\": expected %s", what,
                            (int)LP2P_MIN(item.len, (size_t)100), item.len == 0 ? "" : (const char *)item.ptr,
                            expected);
}

enum lp2p_err lp2p_config_muxers(struct lp2p_config *config, const char *list)
{
    static const char expected[] = "a list of: yamux, mplex (each at most once)";
    const char *chosen[2];
    struct lp2p_span item = {0};
    size_t count = 0;
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    for (const char *rest = list == NULL ? "" : list; lp2p_config_next_item(&rest, &item); count++) {
        const char *id = lp2p_span_eq_str(item, "yamux")   ? lp2p_yamux_ops.protocol
                         : lp2p_span_eq_str(item, "mplex") ? lp2p_mplex_ops.protocol
                                                           : NULL;
        if (id == NULL || count == LP2P_ARRAY_LEN(chosen) || (count == 1 && id == chosen[0])) {
            return lp2p_config_bad_item(config, "muxers", item, expected);
        }
        chosen[count] = id;
    }
    if (count == 0) {
        return lp2p_config_bad_item(config, "muxers", lp2p_span("", 0), expected);
    }
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(config->muxers[i], sizeof(config->muxers[i]), "%s", chosen[i]);
    }
    config->muxers_len = count;
    return LP2P_OK;
}

enum lp2p_err lp2p_config_serve(struct lp2p_config *config, const char *list)
{
    struct lp2p_span item = {0};
    bool echo = false, perf = false;
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    for (const char *rest = list == NULL ? "" : list; lp2p_config_next_item(&rest, &item);) {
        if (lp2p_span_eq_str(item, "echo")) {
            echo = true;
        } else if (lp2p_span_eq_str(item, "perf")) {
            perf = true;
        } else {
            return lp2p_config_bad_item(config, "serve", item, "a list of: echo, perf");
        }
    }
    config->serve_echo = echo;
    config->serve_perf = perf;
    return LP2P_OK;
}

enum lp2p_err lp2p_config_agent(struct lp2p_config *config, const char *agent)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    if (agent == NULL || agent[0] == '\0' || strlen(agent) >= sizeof(config->agent)) {
        return lp2p_config_fail(config, LP2P_EINVAL, "agent: expected a text of 1 to %zu bytes",
                                sizeof(config->agent) - 1);
    }
    memmove(config->agent, agent, strlen(agent) + 1);
    return LP2P_OK;
}

enum lp2p_err lp2p_config_log(struct lp2p_config *config, enum lp2p_log_level max_level, lp2p_log_fn fn,
                              void *user)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    if ((unsigned)max_level > LP2P_LOG_DEBUG) {
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "log level %d: expected LP2P_LOG_ERROR to LP2P_LOG_DEBUG", (int)max_level);
    }
    config->log_level = max_level;
    config->log_fn = fn;
    config->log_user = user;
    return LP2P_OK;
}
