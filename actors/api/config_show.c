/* SPDX-License-Identifier: MIT
 * A configuration in words, setting by setting, without its secrets. */
#include "actors/api/config_private.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

struct show {
    lp2p_setting_fn fn;
    void *user;
};

static void tell(const struct show *show, const char *name, const char *value, bool from_env)
{
    show->fn(show->user, name, value, from_env);
}

static void tell_number(const struct show *show, const char *name, unsigned value, bool from_env)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%u", value);
    tell(show, name, text, from_env);
}

static void tell_addrs(const struct show *show, const char *name, const struct lp2p_multiaddr *addrs, size_t len)
{
    char text[LP2P_MULTIADDR_TEXT_MAX];
    for (size_t i = 0; i < len; i++) {
        lp2p_multiaddr_text(&addrs[i], text);
        tell(show, name, text, false);
    }
    if (len == 0) {
        tell(show, name, "", false);
    }
}

static void tell_proxies(const struct show *show, const struct lp2p_config *config)
{
    char list[LP2P_PROXIES_MAX * 64] = "", text[64];
    for (size_t i = 0; i < config->proxies_len; i++) {
        const struct lp2p_cidr *net = &config->proxies[i];
        (void)inet_ntop(net->ip_len == 4 ? AF_INET : AF_INET6, net->ip, text, sizeof(text));
        size_t at = strlen(list);
        (void)snprintf(list + at, sizeof(list) - at, "%s%s/%u", i > 0 ? "," : "", text, net->bits);
    }
    tell(show, "trusted-proxies", list, false);
}

static void tell_lists(const struct show *show, const struct lp2p_config *config)
{
    char list[2 * LP2P_PROTOCOL_ID_MAX + 2] = "";
    for (size_t i = 0; i < config->security_len; i++) {
        size_t at = strlen(list);
        (void)snprintf(list + at, sizeof(list) - at, "%s%s", i > 0 ? "," : "", config->security[i]);
    }
    tell(show, "security", list[0] != '\0' ? list : "noise,tls", false);
    list[0] = '\0';
    for (size_t i = 0; i < config->muxers_len; i++) {
        const char *id = config->muxers[i][0] == '/' ? config->muxers[i] + 1 : config->muxers[i];
        size_t at = strlen(list);
        (void)snprintf(list + at, sizeof(list) - at, "%s%.*s", i > 0 ? "," : "", (int)strcspn(id, "/"), id);
    }
    tell(show, "muxers", list, false);
    (void)snprintf(list, sizeof(list), "%s%s%s", config->serve_echo ? "echo" : "",
                   config->serve_echo && config->serve_perf ? "," : "", config->serve_perf ? "perf" : "");
    tell(show, "serve", list, false);
}

/* Of the identity the peer id, of a private network's key its fingerprint: nothing of a secret is told. */
static void tell_keys(const struct show *show, const struct lp2p_config *config)
{
    char text[LP2P_PEER_ID_TEXT_MAX] = "";
    if (config->has_key) {
        struct lp2p_public_key key;
        struct lp2p_peer_id id;
        lp2p_private_key_public(&config->key, &key);
        lp2p_peer_id_from_key(&key, &id);
        lp2p_peer_id_text(&id, text);
    }
    tell(show, "key", text, config->env_key);
    text[0] = '\0';
    if (config->has_swarm_key) {
        uint8_t print[16];
        lp2p_pnet_fingerprint(&config->swarm_key, print);
        (void)sodium_bin2hex(text, sizeof(text), print, sizeof(print));
    }
    tell(show, "psk-file", text, false);
}

static void tell_key_type(const struct show *show, const struct lp2p_config *config)
{
    char text[32];
    (void)snprintf(text, sizeof(text), config->key_bits != 0 ? "%s-%u" : "%s", lp2p_key_type_name(config->key_type),
                   config->key_bits);
    for (char *at = text; *at != '\0'; at++) {
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    }
    tell(show, "key-type", text, false);
}

void lp2p_config_each(const struct lp2p_config *config, lp2p_setting_fn fn, void *user)
{
    static const char *const modes[] = {"off", "client", "server"}, *const levels[] = {"error", "warn", "info", "debug"};
    if (config == NULL || fn == NULL) {
        return;
    }
    const struct show show = {fn, user};
    tell_addrs(&show, "listen", config->listen, config->listen_len);
    tell_addrs(&show, "announce", config->announce, config->announce_len);
    tell_addrs(&show, "append-announce", config->append_announce, config->append_announce_len);
    tell(&show, "dns-servers", config->dns_servers, false);
    tell(&show, "public-only", config->public_only ? "yes" : "no", false);
    tell(&show, "no-port-reuse", config->no_port_reuse ? "yes" : "no", false);
    tell(&show, "mdns", config->mdns ? "yes" : "no", false);
    tell_addrs(&show, "bootstrap", config->bootstrap, config->bootstrap_len);
    tell(&show, "dht", modes[config->dht_mode], false);
    tell(&show, "dht-protocol", config->dht_protocol, false);
    tell_number(&show, "min-connections", config->connections_min, config->env_min);
    tell_number(&show, "max-connections", config->connections_max, config->env_max);
    tell_number(&show, "trim-grace", config->trim_grace_ms, false);
    unsigned threads = lp2p_config_io_threads_of(config);
    if (threads == 0) {
        tell(&show, "io-threads", "per-connection", false);
    } else {
        tell_number(&show, "io-threads", threads, false);
    }
    tell_lists(&show, config);
    tell(&show, "tls-cert", config->web_certificate, false);
    tell(&show, "tls-key", config->web_key, false);
    tell_proxies(&show, config);
    tell(&show, "data-dir", config->data_dir, false);
    tell_keys(&show, config);
    tell_key_type(&show, config);
    tell(&show, "agent", config->agent, false);
    tell(&show, "log-level", levels[config->log_level], false);
}
