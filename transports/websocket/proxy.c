/* SPDX-License-Identifier: MIT */
#include "websocket/proxy.h"

#include "base/check.h"
#include "wire/ip_text.h"

#define V1_MAX 107 /* bytes of a header of version 1 with its line end, as the protocol says */
#define V2_FIXED 16
#define V2_SIGNATURE 12

static const uint8_t v1_start[] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const uint8_t v2_start[V2_SIGNATURE] = "\r\n\r\n\0\r\nQUIT\n";

/** An IPv4 address in the clothes of IPv6 is the same client to every limit. */
static void unmap(struct lp2p_ip_port *addr)
{
    if (addr->ip_len == 16 && lp2p_ip6_is_mapped(addr->ip)) {
        memmove(addr->ip, addr->ip + 12, 4);
        memset(addr->ip + 4, 0, 12);
        addr->ip_len = 4;
    }
}

/** Decimal, 0..65535, no leading zeros. */
static bool port_from(struct lp2p_span text, uint16_t *port)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.ptr[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= 0xffff;
}

static bool ip_from(struct lp2p_span text, uint8_t ip_len, struct lp2p_ip_port *out)
{
    memset(out, 0, sizeof(*out));
    out->ip_len = ip_len;
    return ip_len == 4 ? lp2p_ip4_from_text(text, out->ip) : lp2p_ip6_from_text(text, out->ip);
}

/** Cuts the next word off the front of *line; words are separated by one blank each. */
static struct lp2p_span next_word(struct lp2p_span *line)
{
    const uint8_t *blank = line->len > 0 ? memchr(line->ptr, ' ', line->len) : NULL;
    size_t len = blank == NULL ? line->len : (size_t)(blank - line->ptr);
    struct lp2p_span word = lp2p_span(line->ptr, len);
    *line = lp2p_span_skip(*line, blank == NULL ? len : len + 1);
    return word;
}

static enum lp2p_err read_v1(struct lp2p_span in, struct lp2p_proxy_header *header)
{
    size_t here = LP2P_MIN(in.len, (size_t)V1_MAX);
    const uint8_t *feed = memchr(in.ptr, '\n', here);
    if (feed == NULL) {
        return here == V1_MAX ? LP2P_EMALFORMED : LP2P_OK;
    }
    size_t size = (size_t)(feed - in.ptr) + 1;
    if (size < sizeof(v1_start) + 2 || in.ptr[size - 2] != '\r') {
        return LP2P_EMALFORMED;
    }
    struct lp2p_span line = lp2p_span(in.ptr + sizeof(v1_start), size - 2 - sizeof(v1_start));
    struct lp2p_span family = next_word(&line);
    if (lp2p_span_eq_str(family, "UNKNOWN")) {
        header->size = size;
        return LP2P_OK;
    }
    bool ip4 = lp2p_span_eq_str(family, "TCP4");
    if (!ip4 && !lp2p_span_eq_str(family, "TCP6")) {
        return LP2P_EMALFORMED;
    }
    uint8_t ip_len = ip4 ? 4 : 16;
    struct lp2p_proxy_header read = {.size = size, .has_addresses = true};
    bool last = ip_from(next_word(&line), ip_len, &read.source) &&
                ip_from(next_word(&line), ip_len, &read.destination) &&
                port_from(next_word(&line), &read.source.port);
    if (!last || !port_from(line, &read.destination.port)) { /* nothing may follow the last word */
        return LP2P_EMALFORMED;
    }
    unmap(&read.source);
    unmap(&read.destination);
    *header = read;
    return LP2P_OK;
}

static void copy_address(const uint8_t *ip, const uint8_t *port, uint8_t ip_len, struct lp2p_ip_port *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->ip, ip, ip_len);
    out->ip_len = ip_len;
    out->port = (uint16_t)(port[0] << 8 | port[1]);
    unmap(out);
}

static enum lp2p_err read_v2(struct lp2p_span in, struct lp2p_proxy_header *header)
{
    if (in.len < V2_FIXED) {
        return in.len > V2_SIGNATURE && in.ptr[V2_SIGNATURE] >> 4 != 2 ? LP2P_EVERSION : LP2P_OK;
    }
    unsigned version = in.ptr[12] >> 4, command = in.ptr[12] & 15u, family = in.ptr[13] >> 4,
             transport = in.ptr[13] & 15u;
    size_t len = (size_t)in.ptr[14] << 8 | in.ptr[15];
    if (version != 2) {
        return LP2P_EVERSION;
    }
    if (command > 1 || family > 3 || transport > 2) {
        return LP2P_EMALFORMED;
    }
    if (len > LP2P_PROXY_BYTES_MAX - V2_FIXED) {
        return LP2P_EOVERSIZE;
    }
    if (in.len < V2_FIXED + len) {
        return LP2P_OK;
    }
    struct lp2p_proxy_header read = {.size = V2_FIXED + len};
    const uint8_t *at = in.ptr + V2_FIXED;
    bool tcp = command == 1 && transport == 1 && (family == 1 || family == 2);
    if (tcp) {
        uint8_t ip_len = family == 1 ? 4 : 16;
        if (len < 2u * ip_len + 4u) {
            return LP2P_EMALFORMED;
        }
        read.has_addresses = true; /* type-length-values may follow; none of them is needed */
        copy_address(at, at + 2 * ip_len, ip_len, &read.source);
        copy_address(at + ip_len, at + 2 * ip_len + 2, ip_len, &read.destination);
    }
    *header = read;
    return LP2P_OK;
}

enum lp2p_err lp2p_proxy_read(struct lp2p_span in, struct lp2p_proxy_header *header)
{
    *header = (struct lp2p_proxy_header){0};
    if (in.len == 0) {
        return LP2P_OK;
    }
    if (memcmp(in.ptr, v1_start, LP2P_MIN(in.len, sizeof(v1_start))) == 0) {
        return in.len < sizeof(v1_start) ? LP2P_OK : read_v1(in, header);
    }
    if (memcmp(in.ptr, v2_start, LP2P_MIN(in.len, sizeof(v2_start))) == 0) {
        return in.len < sizeof(v2_start) ? LP2P_OK : read_v2(in, header);
    }
    return LP2P_EMALFORMED;
}

static struct lp2p_span trim(struct lp2p_span text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = lp2p_span_skip(text, 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/** 1.2.3.4, 1.2.3.4:5, ::1, [::1], [::1]:5. */
static bool hop_from(struct lp2p_span text, struct lp2p_ip_port *out)
{
    uint16_t port = 0;
    bool good;
    if (text.len > 0 && text.ptr[0] == '[') {
        const uint8_t *end = memchr(text.ptr, ']', text.len);
        if (end == NULL) {
            return false;
        }
        size_t inside = (size_t)(end - text.ptr) - 1;
        struct lp2p_span behind = lp2p_span_skip(text, inside + 2);
        good = ip_from(lp2p_span(text.ptr + 1, inside), 16, out) &&
               (behind.len == 0 || (behind.ptr[0] == ':' && port_from(lp2p_span_skip(behind, 1), &port)));
    } else {
        const uint8_t *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
        if (colon != NULL && memchr(text.ptr, '.', (size_t)(colon - text.ptr)) != NULL) {
            size_t len = (size_t)(colon - text.ptr);
            good = ip_from(lp2p_span(text.ptr, len), 4, out) &&
                   port_from(lp2p_span_skip(text, len + 1), &port);
        } else {
            good = ip_from(text, colon == NULL ? 4 : 16, out);
        }
    }
    out->port = port;
    unmap(out);
    return good;
}

enum lp2p_err lp2p_forwarded_client(struct lp2p_span value, bool (*trusted)(void *ctx, const struct lp2p_ip_port *hop),
                                    void *ctx, struct lp2p_ip_port *client)
{
    while (value.len > 0) {
        size_t start = value.len;
        while (start > 0 && value.ptr[start - 1] != ',') {
            start--;
        }
        struct lp2p_span hop = trim(lp2p_span(value.ptr + start, value.len - start));
        value.len = start > 0 ? start - 1 : 0;
        if (hop.len == 0) {
            continue; /* an empty entry of a list means nothing (RFC 9110, 5.6.1) */
        }
        if (!hop_from(hop, client)) {
            return LP2P_EMALFORMED;
        }
        if (!trusted(ctx, client)) {
            return LP2P_OK;
        }
    }
    return LP2P_ENOTFOUND;
}
