/* SPDX-License-Identifier: MIT
 * Setters of the configuration: name servers, ports to dial from. */
#include "actors/api/config_private.h"
#include "wire/ip_text.h"

#include <string.h>

static bool is_port(struct lp2p_span text)
{
    unsigned value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || i >= 5) {
            return false;
        }
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    }
    return text.len > 0 && value > 0 && value <= UINT16_MAX;
}

/** ADDRESS, ADDRESS4:PORT or [ADDRESS6]:PORT. */
static bool is_server(struct lp2p_span item)
{
    uint8_t ip[16];
    if (lp2p_ip4_from_text(item, ip) || lp2p_ip6_from_text(item, ip)) {
        return true;
    }
    size_t colon = item.len;
    while (colon > 0 && item.ptr[colon - 1] != ':') {
        colon--;
    }
    if (colon < 2 || !is_port(lp2p_span_skip(item, colon))) {
        return false;
    }
    struct lp2p_span host = lp2p_span(item.ptr, colon - 1);
    if (host.ptr[0] == '[' && host.len > 2 && host.ptr[host.len - 1] == ']') {
        return lp2p_ip6_from_text(lp2p_span(host.ptr + 1, host.len - 2), ip);
    }
    return lp2p_ip4_from_text(host, ip);
}

enum lp2p_err lp2p_config_dns_servers(struct lp2p_config *config, const char *list)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    list = list == NULL ? "" : list;
    if (strlen(list) >= sizeof(config->dns_servers)) {
        return lp2p_config_fail(config, LP2P_EINVAL, "dns servers: expected at most %zu bytes",
                                sizeof(config->dns_servers) - 1);
    }
    for (const char *at = list; *at != '\0';) {
        size_t len = strcspn(at, ",");
        if (!is_server(lp2p_span(at, len)) || (at[len] == ',' && at[len + 1] == '\0')) {
            return lp2p_config_fail(config, LP2P_EINVAL,
                                    "dns servers \"%.200s\": expected ADDRESS[:PORT],..., IPv6 with a port as [ADDRESS]:PORT", list);
        }
        at += len + (at[len] == ',' ? 1 : 0);
    }
    memmove(config->dns_servers, list, strlen(list) + 1);
    return LP2P_OK;
}

enum lp2p_err lp2p_config_public_only(struct lp2p_config *config, bool public_only)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    config->public_only = public_only;
    return LP2P_OK;
}

enum lp2p_err lp2p_config_port_reuse(struct lp2p_config *config, bool reuse)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    config->no_port_reuse = !reuse;
    return LP2P_OK;
}

enum lp2p_err lp2p_config_mdns(struct lp2p_config *config, bool on)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    config->mdns = on;
    return LP2P_OK;
}
