/* SPDX-License-Identifier: MIT */
#include "wire/endpoint.h"

#include "base/check.h"

#define MA_WEBRTC_DIRECT 280
#define MA_WEBRTC 281
#define MA_QUIC_DRAFT 460
#define MA_WEBTRANSPORT 465
#define MA_CERTHASH 466

static uint16_t port_of(struct lp2p_span value)
{
    return value.len == 2 ? (uint16_t)(value.ptr[0] << 8 | value.ptr[1]) : 0;
}

/** What has been read so far decides what may follow. */
enum state { HOST, PORT, OVER_TCP, OVER_TLS, OVER_UDP, OVER_QUIC, COMPLETE, STRANGE };

static enum state over_tcp(struct lp2p_endpoint *out, enum state state, const struct lp2p_ma_component *part)
{
    switch (part->code) {
    case LP2P_MA_WS:
        out->transport = state == OVER_TLS ? LP2P_TRANSPORT_WSS : LP2P_TRANSPORT_WS;
        return COMPLETE;
    case LP2P_MA_WSS:
        out->transport = LP2P_TRANSPORT_WSS;
        return COMPLETE;
    case LP2P_MA_TLS:
        return state == OVER_TCP ? OVER_TLS : STRANGE;
    case LP2P_MA_SNI:
        out->sni = part->value;
        return state == OVER_TLS ? OVER_TLS : STRANGE;
    default:
        return STRANGE;
    }
}

static enum state over_udp(struct lp2p_endpoint *out, enum state state, const struct lp2p_ma_component *part)
{
    if (state == OVER_UDP && part->code == LP2P_MA_QUIC_V1) {
        out->transport = LP2P_TRANSPORT_QUIC;
        return OVER_QUIC;
    }
    if (state == OVER_UDP && part->code == MA_WEBRTC_DIRECT) {
        out->transport = LP2P_TRANSPORT_WEBRTC;
        return OVER_QUIC;
    }
    if (state == OVER_QUIC && part->code == MA_WEBTRANSPORT) {
        out->transport = LP2P_TRANSPORT_WEBTRANSPORT;
        return OVER_QUIC;
    }
    return state == OVER_QUIC && part->code == MA_CERTHASH ? OVER_QUIC : STRANGE;
}

static enum state host(struct lp2p_endpoint *out, const struct lp2p_ma_component *part)
{
    switch (part->code) {
    case LP2P_MA_IP6ZONE:
        out->zoned = true;
        return HOST;
    case LP2P_MA_IP4:
    case LP2P_MA_IP6:
    case LP2P_MA_DNS:
    case LP2P_MA_DNS4:
    case LP2P_MA_DNS6:
        out->host_code = part->code;
        out->host = part->value;
        return PORT;
    case LP2P_MA_DNSADDR:
        out->host_code = part->code;
        out->host = part->value;
        out->transport = LP2P_TRANSPORT_NAME;
        return COMPLETE;
    default:
        return STRANGE;
    }
}

static enum state step(struct lp2p_endpoint *out, enum state state, const struct lp2p_ma_component *part)
{
    switch (state) {
    case HOST:
        return host(out, part);
    case PORT:
        out->port = port_of(part->value);
        if (part->code == LP2P_MA_TCP) {
            out->transport = LP2P_TRANSPORT_TCP;
            return OVER_TCP;
        }
        return part->code == LP2P_MA_UDP ? OVER_UDP : STRANGE;
    case OVER_TCP:
    case OVER_TLS:
        return over_tcp(out, state, part);
    case OVER_UDP:
    case OVER_QUIC:
        return over_udp(out, state, part);
    default:
        return STRANGE;
    }
}

struct lp2p_endpoint lp2p_endpoint_of(const struct lp2p_multiaddr *addr)
{
    struct lp2p_endpoint out = {0};
    struct lp2p_span rest = lp2p_multiaddr_span(addr);
    struct lp2p_ma_component part;
    enum state state = HOST;
    while (lp2p_ma_next(&rest, &part) == LP2P_OK) {
        if (part.code == LP2P_MA_CIRCUIT || part.code == MA_WEBRTC) {
            /* What stands before is the relay's address, not the peer's. */
            out.transport = part.code == MA_WEBRTC ? LP2P_TRANSPORT_WEBRTC : LP2P_TRANSPORT_RELAY;
            return out;
        }
        if (part.code != LP2P_MA_P2P) {
            state = step(&out, state, &part);
        }
    }
    /* TLS alone is no transport, and neither is UDP. */
    if (state == STRANGE || state == OVER_TLS || state == OVER_UDP || state == PORT || state == HOST) {
        out.transport = LP2P_TRANSPORT_NONE;
    }
    return out;
}

const char *lp2p_transport_name(enum lp2p_transport transport)
{
    static const char *const names[] = {
        [LP2P_TRANSPORT_NONE] = "unknown", [LP2P_TRANSPORT_NAME] = "dnsaddr",
        [LP2P_TRANSPORT_TCP] = "tcp", [LP2P_TRANSPORT_WS] = "ws",
        [LP2P_TRANSPORT_WSS] = "wss", [LP2P_TRANSPORT_QUIC] = "quic-v1",
        [LP2P_TRANSPORT_WEBTRANSPORT] = "webtransport", [LP2P_TRANSPORT_WEBRTC] = "webrtc",
        [LP2P_TRANSPORT_RELAY] = "p2p-circuit",
    };
    LP2P_CHECK((size_t)transport < sizeof(names) / sizeof(names[0]));
    return names[transport];
}

bool lp2p_endpoint_ip(const struct lp2p_endpoint *endpoint, struct lp2p_ip_port *out)
{
    if (endpoint->host_code != LP2P_MA_IP4 && endpoint->host_code != LP2P_MA_IP6) {
        return false;
    }
    *out = (struct lp2p_ip_port){.ip_len = (uint8_t)endpoint->host.len, .port = endpoint->port};
    memcpy(out->ip, endpoint->host.ptr, endpoint->host.len);
    return true;
}

/** Places of origin from the nearest to the farthest. */
static int width(enum lp2p_ma_scope scope)
{
    switch (scope) {
    case LP2P_SCOPE_LOOPBACK:
        return 0;
    case LP2P_SCOPE_LINK_LOCAL:
    case LP2P_SCOPE_PRIVATE:
        return 1;
    default:
        return 2;
    }
}

bool lp2p_addr_plausible(const struct lp2p_multiaddr *addr, enum lp2p_ma_scope source)
{
    struct lp2p_endpoint end = lp2p_endpoint_of(addr);
    if (end.host_code == 0) {
        return false;
    }
    bool has_port = end.host_code != LP2P_MA_DNSADDR;
    if (has_port && end.port == 0) {
        return false;
    }
    if (lp2p_endpoint_is_name(&end)) {
        return true;
    }
    enum lp2p_ma_scope scope = lp2p_multiaddr_scope(addr);
    if (scope == LP2P_SCOPE_UNSPECIFIED || scope == LP2P_SCOPE_LINK_LOCAL) {
        return false;
    }
    return width(scope) >= width(source);
}
