/* SPDX-License-Identifier: MIT */
#include "actors/link/door.h"

/** The code of the next component, 0 at the end of the address; *value is what it holds. */
static uint32_t take(struct lp2p_span *rest, struct lp2p_span *value)
{
    struct lp2p_ma_component component;
    if (rest->len == 0 || lp2p_ma_next(rest, &component) != LP2P_OK) {
        return 0;
    }
    *value = component.value;
    return component.code;
}

/** What follows the port. EUNSUPPORTED: none of ours. */
static enum lp2p_err read_kind(struct lp2p_span rest, struct lp2p_door *out)
{
    struct lp2p_span value;
    uint32_t code = take(&rest, &value);
    out->kind = LP2P_DOOR_TCP;
    if (code == LP2P_MA_WS || code == LP2P_MA_WSS) {
        out->kind = code == LP2P_MA_WS ? LP2P_DOOR_WS : LP2P_DOOR_WSS;
        code = take(&rest, &value);
    } else if (code == LP2P_MA_TLS) {
        out->kind = LP2P_DOOR_WSS;
        code = take(&rest, &value);
        if (code == LP2P_MA_SNI) {
            if (value.len == 0 || value.len >= sizeof(out->name)) {
                return LP2P_EUNSUPPORTED;
            }
            memcpy(out->name, value.ptr, value.len);
            out->name[value.len] = '\0';
            code = take(&rest, &value);
        }
        if (code != LP2P_MA_WS) {
            return LP2P_EUNSUPPORTED;
        }
        code = take(&rest, &value);
    }
    if (code == LP2P_MA_P2P) {
        code = take(&rest, &value);
    }
    return code == 0 && rest.len == 0 ? LP2P_OK : LP2P_EUNSUPPORTED;
}

/** The front of the address up to the port; *rest is what follows. */
static enum lp2p_err read_ip_port(const struct lp2p_multiaddr *addr, struct lp2p_ip_port *at, struct lp2p_span *rest)
{
    struct lp2p_span value;
    struct lp2p_multiaddr front = {0};
    *rest = lp2p_multiaddr_span(addr);
    uint32_t code = take(rest, &value);
    if (code != LP2P_MA_IP4 && code != LP2P_MA_IP6) {
        return LP2P_EUNSUPPORTED;
    }
    if (take(rest, &value) != LP2P_MA_TCP) {
        return LP2P_EUNSUPPORTED;
    }
    front.len = (uint8_t)(addr->len - rest->len);
    memcpy(front.bytes, addr->bytes, front.len);
    return lp2p_multiaddr_ip_tcp(&front, at);
}

enum lp2p_err lp2p_door_read(const struct lp2p_multiaddr *addr, struct lp2p_door *out)
{
    struct lp2p_span rest;
    *out = (struct lp2p_door){0};
    enum lp2p_err err = read_ip_port(addr, &out->at, &rest);
    return err == LP2P_OK ? read_kind(rest, out) : err;
}

void lp2p_door_move(const struct lp2p_multiaddr *like, const struct lp2p_ip_port *at, struct lp2p_multiaddr *out)
{
    struct lp2p_ip_port ignored;
    struct lp2p_span rest;
    struct lp2p_multiaddr moved;
    lp2p_multiaddr_from_ip_tcp(at->ip, at->ip_len, at->port, &moved);
    if (read_ip_port(like, &ignored, &rest) == LP2P_OK && rest.len <= sizeof(moved.bytes) - moved.len) {
        memcpy(moved.bytes + moved.len, rest.ptr, rest.len);
        moved.len = (uint8_t)(moved.len + rest.len);
    }
    *out = moved;
}

/** Codes as varints of two bytes each. */
static const uint8_t WS_PART[] = {0xdd, 0x03}, TLS_WS_PART[] = {0xc0, 0x03, 0xdd, 0x03};

void lp2p_door_address(enum lp2p_door_kind kind, const struct lp2p_ip_port *at, struct lp2p_multiaddr *out)
{
    lp2p_multiaddr_from_ip_tcp(at->ip, at->ip_len, at->port, out);
    struct lp2p_span part = lp2p_span(NULL, 0);
    if (kind == LP2P_DOOR_WS) {
        part = lp2p_span(WS_PART, sizeof(WS_PART));
    } else if (kind == LP2P_DOOR_WSS) {
        part = lp2p_span(TLS_WS_PART, sizeof(TLS_WS_PART));
    }
    if (part.len > 0) {
        memcpy(out->bytes + out->len, part.ptr, part.len);
        out->len = (uint8_t)(out->len + part.len);
    }
}

bool lp2p_door_served_by(const struct lp2p_config *config, size_t index, size_t first)
{
    struct lp2p_door a, b;
    if (index == first) {
        return true;
    }
    return lp2p_door_read(&config->listen[index], &a) == LP2P_OK &&
           lp2p_door_read(&config->listen[first], &b) == LP2P_OK && a.at.port != 0 && a.at.port == b.at.port &&
           a.at.ip_len == b.at.ip_len && memcmp(a.at.ip, b.at.ip, a.at.ip_len) == 0;
}

bool lp2p_door_shares(const struct lp2p_config *config, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (lp2p_door_served_by(config, index, i)) {
            return true;
        }
    }
    return false;
}

bool lp2p_door_trusted(const struct lp2p_config *config, const struct lp2p_ip_port *from)
{
    for (size_t i = 0; i < config->proxies_len; i++) {
        const struct lp2p_cidr *net = &config->proxies[i];
        size_t whole = net->bits / 8;
        uint8_t mask = (uint8_t)(0xff00u >> net->bits % 8);
        if (net->ip_len == from->ip_len && memcmp(net->ip, from->ip, whole) == 0 &&
            (mask == 0 || ((net->ip[whole] ^ from->ip[whole]) & mask) == 0)) {
            return true;
        }
    }
    return false;
}
