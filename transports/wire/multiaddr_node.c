/* SPDX-License-Identifier: MIT
 * Addresses by value: what the node stores, dials and publishes. */
#include "wire/multiaddr.h"

#include "base/check.h"
#include "wire/ip_text.h"
#include "wire/varint.h"

/* The densest component is /p2p-websocket-star: 19 characters of text for 2 bytes. An address of at most this
 * size has a text that fits without looking. */
#define SURELY_FITS ((LP2P_MULTIADDR_TEXT_MAX - 1) / 19 * 2)

enum lp2p_err lp2p_multiaddr_parse(struct lp2p_span bytes, struct lp2p_multiaddr *out)
{
    enum lp2p_err err = lp2p_ma_check(bytes);
    if (err != LP2P_OK) {
        return err;
    }
    if (bytes.len > LP2P_MULTIADDR_MAX) {
        return LP2P_ELIMIT;
    }
    if (bytes.len > SURELY_FITS) {
        char text[LP2P_MULTIADDR_TEXT_MAX];
        err = lp2p_ma_to_text(bytes, text, sizeof(text));
        if (err != LP2P_OK) {
            return err;
        }
    }
    *out = (struct lp2p_multiaddr){.len = (uint8_t)bytes.len};
    memcpy(out->bytes, bytes.ptr, bytes.len);
    return LP2P_OK;
}

enum lp2p_err lp2p_multiaddr_from_text(const char *text, struct lp2p_multiaddr *out, char *why)
{
    uint8_t bytes[LP2P_MULTIADDR_MAX];
    size_t len = 0;
    enum lp2p_err err = lp2p_ma_from_text(lp2p_span_str(text), bytes, sizeof(bytes), &len, why);
    if (err != LP2P_OK) {
        return err;
    }
    err = lp2p_multiaddr_parse(lp2p_span(bytes, len), out);
    if (err != LP2P_OK && why != NULL) {
        static const char too_long[] = "the address is too long";
        memcpy(why, too_long, sizeof(too_long));
    }
    return err;
}

void lp2p_multiaddr_text(const struct lp2p_multiaddr *addr, char out[LP2P_MULTIADDR_TEXT_MAX])
{
    out[0] = '\0';
    if (addr->len > 0) {
        enum lp2p_err err = lp2p_ma_to_text(lp2p_multiaddr_span(addr), out, LP2P_MULTIADDR_TEXT_MAX);
        LP2P_CHECK(err == LP2P_OK); /* parse let in only what has a text of this size */
    }
}

enum lp2p_err lp2p_multiaddr_find(const struct lp2p_multiaddr *addr, uint32_t code, struct lp2p_span *value)
{
    struct lp2p_span rest = lp2p_multiaddr_span(addr);
    struct lp2p_ma_component component;
    while (lp2p_ma_next(&rest, &component) == LP2P_OK) {
        if (component.code == code) {
            *value = component.value;
            return LP2P_OK;
        }
    }
    return LP2P_ENOTFOUND;
}

/* Start of the last component, and the component; false when the address is empty. */
static bool last_component(const struct lp2p_multiaddr *addr, size_t *start, struct lp2p_ma_component *last)
{
    struct lp2p_span rest = lp2p_multiaddr_span(addr);
    bool found = false;
    for (;;) {
        size_t at = addr->len - rest.len;
        if (lp2p_ma_next(&rest, last) != LP2P_OK) {
            return found;
        }
        *start = at;
        found = true;
    }
}

enum lp2p_err lp2p_multiaddr_peer(const struct lp2p_multiaddr *addr, struct lp2p_peer_id *out)
{
    size_t start = 0;
    struct lp2p_ma_component last;
    if (!last_component(addr, &start, &last) || last.code != LP2P_MA_P2P) {
        return LP2P_ENOTFOUND;
    }
    return lp2p_peer_id_parse(last.value, out);
}

void lp2p_multiaddr_strip_peer(struct lp2p_multiaddr *addr)
{
    size_t start = 0;
    struct lp2p_ma_component last;
    if (last_component(addr, &start, &last) && last.code == LP2P_MA_P2P) {
        memset(addr->bytes + start, 0, addr->len - start);
        addr->len = (uint8_t)start;
    }
}

enum lp2p_err lp2p_multiaddr_add_peer(struct lp2p_multiaddr *addr, const struct lp2p_peer_id *id)
{
    uint8_t bytes[LP2P_MULTIADDR_MAX + 2 * LP2P_VARINT_MAX + LP2P_PEER_ID_MAX];
    size_t len = addr->len;
    memcpy(bytes, addr->bytes, len);
    len += lp2p_varint_put(bytes + len, LP2P_MA_P2P);
    len += lp2p_varint_put(bytes + len, id->len);
    memcpy(bytes + len, id->bytes, id->len);
    return lp2p_multiaddr_parse(lp2p_span(bytes, len + id->len), addr);
}

void lp2p_multiaddr_from_ip_tcp(const uint8_t *ip, size_t ip_len, uint16_t port, struct lp2p_multiaddr *out)
{
    LP2P_CHECK(ip_len == 4 || ip_len == 16);
    if (ip_len == 16 && lp2p_ip6_is_mapped(ip)) {
        ip += 12;
        ip_len = 4;
    }
    *out = (struct lp2p_multiaddr){.len = (uint8_t)(1 + ip_len + 3)};
    uint8_t *at = out->bytes;
    *at++ = ip_len == 4 ? LP2P_MA_IP4 : LP2P_MA_IP6;
    memcpy(at, ip, ip_len);
    at += ip_len;
    *at++ = LP2P_MA_TCP;
    *at++ = (uint8_t)(port >> 8);
    *at = (uint8_t)port;
}

enum lp2p_err lp2p_multiaddr_ip_tcp(const struct lp2p_multiaddr *addr, struct lp2p_ip_port *out)
{
    struct lp2p_span rest = lp2p_multiaddr_span(addr);
    struct lp2p_ma_component ip, tcp, peer;
    if (lp2p_ma_next(&rest, &ip) != LP2P_OK || (ip.code != LP2P_MA_IP4 && ip.code != LP2P_MA_IP6) ||
        lp2p_ma_next(&rest, &tcp) != LP2P_OK || tcp.code != LP2P_MA_TCP) {
        return LP2P_EUNSUPPORTED;
    }
    if (rest.len > 0 && (lp2p_ma_next(&rest, &peer) != LP2P_OK || peer.code != LP2P_MA_P2P || rest.len > 0)) {
        return LP2P_EUNSUPPORTED;
    }
    *out = (struct lp2p_ip_port){.ip_len = (uint8_t)ip.value.len,
                                 .port = (uint16_t)(tcp.value.ptr[0] << 8 | tcp.value.ptr[1])};
    memcpy(out->ip, ip.value.ptr, ip.value.len);
    return LP2P_OK;
}

/* Scope */

static enum lp2p_ma_scope scope_of_ip4(const uint8_t *ip)
{
    if (ip[0] == 127) {
        return LP2P_SCOPE_LOOPBACK;
    }
    if (ip[0] == 0 || ip[0] >= 224) {
        return LP2P_SCOPE_UNSPECIFIED; /* 0/8, multicast and reserved: nobody's address */
    }
    if (ip[0] == 169 && ip[1] == 254) {
        return LP2P_SCOPE_LINK_LOCAL;
    }
    /* RFC 1918, and RFC 6598 for carriers' translators. */
    bool is_private = ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
                      (ip[0] == 192 && ip[1] == 168) || (ip[0] == 100 && (ip[1] & 0xc0) == 64);
    return is_private ? LP2P_SCOPE_PRIVATE : LP2P_SCOPE_PUBLIC;
}

/** Addresses that stand for an IPv4 address, which somebody on the way turns them into (RFC 6052, RFC 3056). NULL: none. */
static const uint8_t *embedded_ip4(const uint8_t *ip)
{
    static const uint8_t translated[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(ip, translated, sizeof(translated)) == 0) {
        return ip + 12;
    }
    return ip[0] == 0x20 && ip[1] == 0x02 ? ip + 2 : NULL;
}

static enum lp2p_ma_scope scope_of_ip6(const uint8_t *ip)
{
    static const uint8_t zeros[15], local_translation[6] = {0, 0x64, 0xff, 0x9b, 0, 1}; /* RFC 8215 */
    const uint8_t *inside = embedded_ip4(ip);
    if (inside != NULL) {
        return scope_of_ip4(inside);
    }
    if (memcmp(ip, local_translation, sizeof(local_translation)) == 0) {
        return LP2P_SCOPE_PRIVATE;
    }
    if (lp2p_ip6_is_mapped(ip)) {
        return scope_of_ip4(ip + 12);
    }
    if (memcmp(ip, zeros, sizeof(zeros)) == 0 && ip[15] <= 1) {
        return ip[15] == 1 ? LP2P_SCOPE_LOOPBACK : LP2P_SCOPE_UNSPECIFIED;
    }
    if (ip[0] == 0xff || memcmp(ip, zeros, 12) == 0) {
        return LP2P_SCOPE_UNSPECIFIED; /* multicast, and IPv4 in a form that is given up (RFC 4291 2.5.5.1) */
    }
    if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) {
        return LP2P_SCOPE_LINK_LOCAL;
    }
    bool site = ip[0] == 0xfe && (ip[1] & 0xc0) == 0xc0; /* RFC 3879: as fc00::/7, which took their place */
    return site || (ip[0] & 0xfe) == 0xfc ? LP2P_SCOPE_PRIVATE : LP2P_SCOPE_PUBLIC;
}

enum lp2p_ma_scope lp2p_multiaddr_scope(const struct lp2p_multiaddr *addr)
{
    struct lp2p_span rest = lp2p_multiaddr_span(addr);
    struct lp2p_ma_component component;
    while (lp2p_ma_next(&rest, &component) == LP2P_OK) {
        if (component.code == LP2P_MA_IP4) {
            return scope_of_ip4(component.value.ptr);
        }
        if (component.code == LP2P_MA_IP6) {
            return scope_of_ip6(component.value.ptr);
        }
        if (component.code != LP2P_MA_IP6ZONE) { /* stands before its address */
            break;
        }
    }
    return LP2P_SCOPE_PUBLIC;
}
