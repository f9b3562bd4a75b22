/* SPDX-License-Identifier: MIT
 * From a connected socket to what carries the connection's bytes: which layers are stacked on it, told by the address that was
 * dialed or listened on, or by the first bytes that come in. */
#include "actors/link/upgrade.h"

#include "actors/link/carrier_pnet.h"
#include "actors/link/carrier_tls.h"
#include "actors/link/carrier_ws.h"
#include "websocket/first_bytes.h"
#include "websocket/proxy.h"
#include "websocket/upgrade.h"
#include "wire/ip_text.h"

#include <stdio.h>

#define HOST_MAX (LP2P_HOST_MAX + 8) /* and a port */

/** Each layer takes the carrier below it, or leaves it where it is. */
static enum lp2p_err layer(struct lp2p_upgrade *upgrade, struct lp2p_carrier *above)
{
    if (above == NULL) {
        return LP2P_ENOMEM;
    }
    upgrade->carrier = above;
    return LP2P_OK;
}

/** The name that a dialed address had, or has in itself; "" if none. */
static const char *name_of(const struct lp2p_upgrade *upgrade, const struct lp2p_door *door)
{
    return door->name[0] != '\0' ? door->name : upgrade->arg->host;
}

/** The value of Host: the name or IP address, and the port. */
static void host_of(const struct lp2p_upgrade *upgrade, const struct lp2p_door *door, char out[HOST_MAX])
{
    char ip[LP2P_IP6_TEXT_MAX];
    const char *name = name_of(upgrade, door);
    if (name[0] != '\0') {
        (void)snprintf(out, HOST_MAX, "%s:%u", name, door->at.port);
    } else if (door->at.ip_len == 4) {
        lp2p_ip4_to_text(door->at.ip, ip);
        (void)snprintf(out, HOST_MAX, "%s:%u", ip, door->at.port);
    } else {
        lp2p_ip6_to_text(door->at.ip, ip);
        (void)snprintf(out, HOST_MAX, "[%s]:%u", ip, door->at.port);
    }
}

static enum lp2p_err add_tls(struct lp2p_upgrade *upgrade, const struct lp2p_door *door, const struct lp2p_rand *rand)
{
    const struct lp2p_upgrade_arg *arg = upgrade->arg;
    struct lp2p_tls_web *web = arg->outbound ? upgrade->ctx->web_client : arg->web;
    if (web == NULL) {
        return LP2P_EUNSUPPORTED;
    }
    const char *name = arg->outbound && name_of(upgrade, door)[0] != '\0' ? name_of(upgrade, door) : NULL;
    struct lp2p_tls_session *session = lp2p_tls_session_new(web, name, rand, upgrade->wall_s);
    if (session == NULL) {
        return LP2P_ENOMEM;
    }
    enum lp2p_err err = layer(upgrade, lp2p_carrier_tls(&upgrade->carrier, &session));
    lp2p_tls_session_free(session);
    return err;
}

static bool trusted(void *ctx, const struct lp2p_ip_port *hop)
{
    return lp2p_door_trusted(ctx, hop);
}

/** A proxy may say who is behind it, as long as nobody was named who is none of our proxies. */
static bool may_tell(const struct lp2p_upgrade *upgrade)
{
    return upgrade->arg->from_proxy && !upgrade->told;
}

/** What a trusted proxy wrote into the HTTP upgrade. What cannot be read is not taken for nothing: the connection would go
 *  on as the proxy's own. Where all are ours, or nobody is named, the farthest that is known counts. */
static enum lp2p_err judge_forwarded(void *ctx, const char *forwarded)
{
    struct lp2p_upgrade *upgrade = ctx;
    struct lp2p_upgrade_arg *arg = upgrade->arg;
    struct lp2p_ip_port client = upgrade->from;
    struct lp2p_door remote;
    if (!may_tell(upgrade)) {
        return LP2P_OK;
    }
    if (lp2p_forwarded_client(lp2p_span_str(forwarded), trusted, &upgrade->ctx->config, &client) == LP2P_EMALFORMED) {
        upgrade->misled = true;
        (void)snprintf(upgrade->text, sizeof(upgrade->text), "X-Forwarded-For names no address");
        return LP2P_EMALFORMED;
    }
    upgrade->from = client;
    if (lp2p_door_read(&arg->remote, &remote) == LP2P_OK) {
        lp2p_door_address(remote.kind, &client, &arg->remote);
    }
    return LP2P_OK;
}

static enum lp2p_err add_ws(struct lp2p_upgrade *upgrade, const struct lp2p_door *door, const struct lp2p_rand *rand)
{
    char host[HOST_MAX] = "";
    struct lp2p_ws_start start = {.client = upgrade->arg->outbound, .judge = judge_forwarded, .judge_ctx = upgrade};
    if (start.client) {
        host_of(upgrade, door, host);
        if (!lp2p_ws_host_is_sendable(host)) {
            (void)snprintf(upgrade->text, sizeof(upgrade->text), "a name that no request can carry");
            return LP2P_EUNSUPPORTED;
        }
        start.rand = rand;
        start.host = host;
    }
    return layer(upgrade, lp2p_carrier_ws(&upgrade->carrier, &start));
}

/** Where an inbound connection really comes from, as an address of this kind of door. */
static void name_ends(struct lp2p_upgrade *upgrade, enum lp2p_door_kind kind)
{
    struct lp2p_upgrade_arg *arg = upgrade->arg;
    struct lp2p_door local;
    lp2p_door_address(kind, &upgrade->from, &arg->remote);
    if (lp2p_door_read(&arg->local, &local) == LP2P_OK) {
        lp2p_door_address(kind, &local.at, &arg->local);
    }
}

/** Bytes that were read already have to be seen again by the layers; bare TCP finds them where they are. */
static enum lp2p_err reread(struct lp2p_upgrade *upgrade)
{
    enum lp2p_err err = layer(upgrade, lp2p_carrier_preread(&upgrade->carrier, lp2p_upgrade_unread(upgrade)));
    if (err == LP2P_OK) {
        upgrade->in_at = upgrade->in_len = 0;
    }
    return err;
}

enum lp2p_err lp2p_upgrade_carry(struct lp2p_upgrade *upgrade, enum lp2p_door_kind kind, const struct lp2p_rand *rand)
{
    const struct lp2p_config *config = &upgrade->ctx->config;
    struct lp2p_door door = {0};
    if (upgrade->arg->outbound && lp2p_door_read(&upgrade->arg->remote, &door) != LP2P_OK) {
        return LP2P_EUNSUPPORTED;
    }
    enum lp2p_err err = layer(upgrade, lp2p_carrier_tcp(upgrade->ctx->net, upgrade->fd));
    if (err != LP2P_OK) {
        return err;
    }
    upgrade->fd = -1;
    upgrade->stage = LP2P_UPGRADE_CARRIER;
    if (kind == LP2P_DOOR_TCP && !config->has_swarm_key) {
        return LP2P_OK;
    }
    if (!upgrade->arg->outbound) {
        name_ends(upgrade, kind);
        err = reread(upgrade);
    }
    if (err == LP2P_OK && kind == LP2P_DOOR_WSS) {
        err = add_tls(upgrade, &door, rand);
    }
    if (err == LP2P_OK && kind != LP2P_DOOR_TCP) {
        err = add_ws(upgrade, &door, rand);
    }
    if (err == LP2P_OK && config->has_swarm_key) {
        err = layer(upgrade, lp2p_carrier_pnet(&upgrade->carrier, &config->swarm_key, rand));
    }
    return err;
}

static void ask_about(struct lp2p_upgrade *upgrade)
{
    upgrade->told = true;
    upgrade->stage = LP2P_UPGRADE_ADMISSION;
}

/** EAGAIN: more has to come. OK: a header was there and is consumed. */
static enum lp2p_err read_proxy_header(struct lp2p_upgrade *upgrade)
{
    struct lp2p_proxy_header header;
    enum lp2p_err err = lp2p_proxy_read(lp2p_upgrade_unread(upgrade), &header);
    if (err != LP2P_OK || header.size == 0) {
        upgrade->misled = err != LP2P_OK;
        return err != LP2P_OK ? err : LP2P_EAGAIN;
    }
    upgrade->in_at += header.size;
    upgrade->headed = true;
    if (header.has_addresses) {
        upgrade->from = header.source;
        lp2p_multiaddr_from_ip_tcp(header.source.ip, header.source.ip_len, header.source.port, &upgrade->arg->remote);
        if (!trusted(&upgrade->ctx->config, &header.source)) {
            ask_about(upgrade);
        } /* else one proxy told of another, which has yet to speak */
    }
    return LP2P_OK;
}

/** The only kind of a door that has one; else what the first bytes say. 0: cannot be told yet. */
static enum lp2p_err kind_of(const struct lp2p_upgrade *upgrade, enum lp2p_first_bytes first, unsigned *kind)
{
    unsigned doors = upgrade->arg->doors;
    *kind = 0;
    if ((doors & (doors - 1)) == 0) {
        *kind = doors;
        return LP2P_OK;
    }
    switch (first) {
    case LP2P_FIRST_MORE:
        return LP2P_EAGAIN;
    case LP2P_FIRST_HTTP:
        *kind = LP2P_DOOR_WS;
        break;
    case LP2P_FIRST_TLS:
        *kind = LP2P_DOOR_WSS;
        break;
    case LP2P_FIRST_MULTISTREAM:
        *kind = LP2P_DOOR_TCP;
        break;
    case LP2P_FIRST_UNKNOWN: /* a private network begins with random bytes */
        *kind = upgrade->ctx->config.has_swarm_key ? LP2P_DOOR_TCP : 0;
        break;
    case LP2P_FIRST_PROXY_V1: /* from somebody whom we do not trust, or a second one */
    case LP2P_FIRST_PROXY_V2:
        break;
    }
    return (doors & *kind) != 0 ? LP2P_OK : LP2P_EPROTO;
}

enum lp2p_err lp2p_upgrade_first_bytes(struct lp2p_upgrade *upgrade, const struct lp2p_rand *rand)
{
    unsigned kind = 0;
    enum lp2p_first_bytes first = lp2p_first_bytes_of(lp2p_upgrade_unread(upgrade));
    if (may_tell(upgrade) && !upgrade->headed) {
        if (first == LP2P_FIRST_MORE) {
            return LP2P_EAGAIN;
        }
        if (first == LP2P_FIRST_PROXY_V1 || first == LP2P_FIRST_PROXY_V2) {
            enum lp2p_err err = read_proxy_header(upgrade);
            if (err != LP2P_OK || upgrade->stage == LP2P_UPGRADE_ADMISSION) {
                return err;
            }
            first = lp2p_first_bytes_of(lp2p_upgrade_unread(upgrade));
        }
    }
    enum lp2p_err err = kind_of(upgrade, first, &kind);
    if (err == LP2P_OK && kind == LP2P_DOOR_TCP && may_tell(upgrade)) {
        ask_about(upgrade); /* nobody is named, nor will be */
        return LP2P_OK;
    }
    return err == LP2P_OK ? lp2p_upgrade_carry(upgrade, (enum lp2p_door_kind)kind, rand) : err;
}

bool lp2p_upgrade_forwarded(struct lp2p_upgrade *upgrade)
{
    bool now = may_tell(upgrade);
    upgrade->told = true;
    return now;
}
