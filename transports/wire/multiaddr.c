/* SPDX-License-Identifier: MIT */
#include "wire/multiaddr.h"

#include "base/check.h"
#include "wire/multiaddr_value.h"
#include "wire/varint.h"

#include <stdarg.h>
#include <stdio.h>

/* multiformats/multiaddr protocols.csv; text rules of go-multiaddr. */
static const struct protocol {
    uint32_t code;
    enum lp2p_ma_kind kind;
    const char *name;
} protocols[] = {
    {LP2P_MA_IP4, LP2P_MA_KIND_IP4, "ip4"},
    {LP2P_MA_TCP, LP2P_MA_KIND_PORT, "tcp"},
    {33, LP2P_MA_KIND_PORT, "dccp"},
    {LP2P_MA_IP6, LP2P_MA_KIND_IP6, "ip6"},
    {LP2P_MA_IP6ZONE, LP2P_MA_KIND_NAME, "ip6zone"},
    {43, LP2P_MA_KIND_CIDR, "ipcidr"},
    {LP2P_MA_DNS, LP2P_MA_KIND_NAME, "dns"},
    {LP2P_MA_DNS4, LP2P_MA_KIND_NAME, "dns4"},
    {LP2P_MA_DNS6, LP2P_MA_KIND_NAME, "dns6"},
    {LP2P_MA_DNSADDR, LP2P_MA_KIND_NAME, "dnsaddr"},
    {132, LP2P_MA_KIND_PORT, "sctp"},
    {LP2P_MA_UDP, LP2P_MA_KIND_PORT, "udp"},
    {275, LP2P_MA_KIND_NONE, "p2p-webrtc-star"},
    {276, LP2P_MA_KIND_NONE, "p2p-webrtc-direct"},
    {280, LP2P_MA_KIND_NONE, "webrtc-direct"},
    {281, LP2P_MA_KIND_NONE, "webrtc"},
    {LP2P_MA_CIRCUIT, LP2P_MA_KIND_NONE, "p2p-circuit"},
    {301, LP2P_MA_KIND_NONE, "udt"},
    {302, LP2P_MA_KIND_NONE, "utp"},
    {400, LP2P_MA_KIND_PATH, "unix"},
    {LP2P_MA_P2P, LP2P_MA_KIND_PEER, "p2p"},
    {LP2P_MA_P2P, LP2P_MA_KIND_PEER, "ipfs"}, /* the old name: read, never written */
    {443, LP2P_MA_KIND_NONE, "https"},
    {444, LP2P_MA_KIND_ONION, "onion"},
    {445, LP2P_MA_KIND_ONION3, "onion3"},
    {446, LP2P_MA_KIND_GARLIC64, "garlic64"},
    {447, LP2P_MA_KIND_GARLIC32, "garlic32"},
    {LP2P_MA_TLS, LP2P_MA_KIND_NONE, "tls"},
    {LP2P_MA_SNI, LP2P_MA_KIND_NAME, "sni"},
    {454, LP2P_MA_KIND_NONE, "noise"},
    {460, LP2P_MA_KIND_NONE, "quic"},
    {LP2P_MA_QUIC_V1, LP2P_MA_KIND_NONE, "quic-v1"},
    {465, LP2P_MA_KIND_NONE, "webtransport"},
    {466, LP2P_MA_KIND_CERTHASH, "certhash"},
    {LP2P_MA_WS, LP2P_MA_KIND_NONE, "ws"},
    {LP2P_MA_WSS, LP2P_MA_KIND_NONE, "wss"},
    {479, LP2P_MA_KIND_NONE, "p2p-websocket-star"},
    {480, LP2P_MA_KIND_NONE, "http"},
    {481, LP2P_MA_KIND_HTTP_PATH, "http-path"},
    {777, LP2P_MA_KIND_NUMBER64, "memory"},
};

static const struct protocol *by_code(uint64_t code)
{
    for (size_t i = 0; i < LP2P_ARRAY_LEN(protocols); i++) {
        if (protocols[i].code == code) {
            return &protocols[i];
        }
    }
    return NULL;
}

static const struct protocol *by_name(struct lp2p_span name)
{
    for (size_t i = 0; i < LP2P_ARRAY_LEN(protocols); i++) {
        if (lp2p_span_eq_str(name, protocols[i].name)) {
            return &protocols[i];
        }
    }
    return NULL;
}

/* Binary */

static enum lp2p_err take_component(struct lp2p_span *rest, const struct protocol **protocol,
                                    struct lp2p_span *value)
{
    if (rest->len == 0) {
        return LP2P_ENOTFOUND;
    }
    struct lp2p_span in = *rest;
    uint64_t code = 0, size = 0;
    enum lp2p_err err = lp2p_varint_take(&in, &code);
    if (err != LP2P_OK) {
        return err;
    }
    *protocol = by_code(code);
    if (*protocol == NULL) {
        return LP2P_EUNSUPPORTED;
    }
    size = lp2p_ma_value_size((*protocol)->kind);
    if (size == LP2P_MA_VARIABLE) {
        err = lp2p_varint_take(&in, &size);
        if (err != LP2P_OK) {
            return err;
        }
    }
    if (size > in.len) {
        return LP2P_ETRUNCATED;
    }
    *value = lp2p_span(in.ptr, (size_t)size);
    *rest = lp2p_span_skip(in, (size_t)size);
    return LP2P_OK;
}

/* As take_component, with the value checked too. */
static enum lp2p_err take_checked(struct lp2p_span *rest, const struct protocol **protocol,
                                  struct lp2p_span *value)
{
    enum lp2p_err err = take_component(rest, protocol, value);
    if (err != LP2P_OK) {
        return err;
    }
    /* A path in text reaches to the end, so in bytes nothing may follow it either. */
    bool last = (*protocol)->kind != LP2P_MA_KIND_PATH || rest->len == 0;
    return last && lp2p_ma_value_check((*protocol)->kind, *value) ? LP2P_OK : LP2P_EMALFORMED;
}

enum lp2p_err lp2p_ma_next(struct lp2p_span *rest, struct lp2p_ma_component *out)
{
    const struct protocol *protocol = NULL;
    enum lp2p_err err = take_component(rest, &protocol, &out->value);
    if (err == LP2P_OK) {
        out->code = protocol->code;
        out->name = protocol->name;
    }
    return err;
}

enum lp2p_err lp2p_ma_check(struct lp2p_span bytes)
{
    if (bytes.len > LP2P_MULTIADDR_WIRE_MAX) {
        return LP2P_EOVERSIZE;
    }
    enum lp2p_err err = bytes.len == 0 ? LP2P_EMALFORMED : LP2P_OK;
    for (size_t count = 0; err == LP2P_OK; count++) {
        const struct protocol *protocol = NULL;
        struct lp2p_span value;
        if (count == LP2P_MULTIADDR_COMPONENTS_MAX && bytes.len > 0) {
            return LP2P_EOVERSIZE;
        }
        err = take_checked(&bytes, &protocol, &value);
    }
    return err == LP2P_ENOTFOUND ? LP2P_OK : err;
}

/* Binary to text */

static enum lp2p_err write_component(const struct protocol *protocol, struct lp2p_span value, char *out,
                                     size_t cap, size_t *len)
{
    int size = snprintf(out, cap, "/%s", protocol->name);
    if ((size_t)size >= cap) {
        return LP2P_ELIMIT;
    }
    *len = (size_t)size;
    if (protocol->kind == LP2P_MA_KIND_NONE) {
        return LP2P_OK;
    }
    if (protocol->kind != LP2P_MA_KIND_PATH) { /* a path brings its own slash */
        if (*len + 1 >= cap) {
            return LP2P_ELIMIT;
        }
        out[(*len)++] = '/';
    }
    size_t written = 0;
    enum lp2p_err err = lp2p_ma_value_to_text(protocol->kind, value, out + *len, cap - *len, &written);
    *len += written;
    return err;
}

enum lp2p_err lp2p_ma_to_text(struct lp2p_span bytes, char *out, size_t cap)
{
    enum lp2p_err err = lp2p_ma_check(bytes);
    if (err == LP2P_OK && cap == 0) {
        err = LP2P_ELIMIT;
    }
    size_t at = 0;
    while (err == LP2P_OK && bytes.len > 0) {
        const struct protocol *protocol = NULL;
        struct lp2p_span value;
        size_t written = 0;
        err = take_component(&bytes, &protocol, &value);
        if (err == LP2P_OK) {
            err = write_component(protocol, value, out + at, cap - at, &written);
            at += written;
        }
    }
    return err;
}

/* Text to binary */

/* Where the reader of a text is, and whom it tells what is wrong. */
struct text_reader {
    struct lp2p_span rest; /* begins with '/' */
    size_t component;      /* 1-based, for messages */
    uint8_t *out;
    size_t cap, len;
    char *why; /* LP2P_MULTIADDR_WHY_MAX bytes or NULL */
};

__attribute__((format(printf, 3, 4))) static enum lp2p_err
complain(struct text_reader *reader, enum lp2p_err err, const char *format, ...)
{
    if (reader->why != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(reader->why, LP2P_MULTIADDR_WHY_MAX, format, args);
        va_end(args);
    }
    return err;
}

/* A part of the user's text made fit for a message: short, and without control characters. */
struct excerpt {
    char text[28];
};

static struct excerpt excerpt_of(struct lp2p_span part)
{
    struct excerpt excerpt = {{0}};
    size_t room = sizeof(excerpt.text) - 1, len = LP2P_MIN(part.len, room);
    for (size_t i = 0; i < len; i++) {
        excerpt.text[i] = part.ptr[i] >= 0x20 && part.ptr[i] < 0x7f ? (char)part.ptr[i] : '?';
    }
    if (part.len > room) {
        memcpy(excerpt.text + room - 2, "..", 2);
    }
    return excerpt;
}

/* The text between the slash at the front and the next one. */
static struct lp2p_span take_part(struct lp2p_span *rest)
{
    struct lp2p_span part = lp2p_span_skip(*rest, 1);
    const uint8_t *slash = part.len == 0 ? NULL : memchr(part.ptr, '/', part.len);
    if (slash != NULL) {
        part.len = (size_t)(slash - part.ptr);
    }
    *rest = lp2p_span_skip(*rest, 1 + part.len);
    return part;
}

static enum lp2p_err put_value(struct text_reader *reader, const struct protocol *protocol,
                               struct lp2p_span text)
{
    /* Variable values are decoded behind the longest possible length and then moved up to the real one. */
    bool variable = lp2p_ma_value_size(protocol->kind) == LP2P_MA_VARIABLE;
    size_t gap = variable ? LP2P_VARINT_MAX : 0, len = 0;
    if (reader->cap - reader->len < gap) {
        return complain(reader, LP2P_ELIMIT, "the address is too long");
    }
    uint8_t *at = reader->out + reader->len;
    enum lp2p_err err =
        lp2p_ma_value_from_text(protocol->kind, text, at + gap, reader->cap - reader->len - gap, &len);
    if (err == LP2P_ELIMIT) {
        return complain(reader, err, "the address is too long");
    }
    if (err != LP2P_OK) {
        return complain(reader, err, "component %zu: \"%s\" after /%s, expected %s", reader->component,
                        excerpt_of(text).text, protocol->name, lp2p_ma_value_expected(protocol->kind));
    }
    if (variable) {
        size_t prefix = lp2p_varint_put(at, len);
        memmove(at + prefix, at + gap, len);
        len += prefix;
    }
    reader->len += len;
    return LP2P_OK;
}

static enum lp2p_err put_component(struct text_reader *reader)
{
    reader->component++;
    struct lp2p_span name = take_part(&reader->rest);
    const struct protocol *protocol = by_name(name);
    if (protocol == NULL) {
        return complain(reader, LP2P_EUNSUPPORTED,
                        "component %zu: \"%s\" is not a protocol name like ip4, dns or tcp",
                        reader->component, excerpt_of(name).text);
    }
    if (reader->component > LP2P_MULTIADDR_COMPONENTS_MAX || reader->cap - reader->len < LP2P_VARINT_MAX) {
        return complain(reader, LP2P_ELIMIT, "the address is too long");
    }
    reader->len += lp2p_varint_put(reader->out + reader->len, protocol->code);
    if (protocol->kind == LP2P_MA_KIND_NONE) {
        return LP2P_OK;
    }
    if (reader->rest.len == 0) {
        return complain(reader, LP2P_EMALFORMED, "component %zu: nothing after /%s, expected %s",
                        reader->component, protocol->name, lp2p_ma_value_expected(protocol->kind));
    }
    struct lp2p_span text = reader->rest;
    if (protocol->kind == LP2P_MA_KIND_PATH) {
        reader->rest = lp2p_span_skip(text, text.len);
    } else {
        text = take_part(&reader->rest);
    }
    return put_value(reader, protocol, text);
}

enum lp2p_err lp2p_ma_from_text(struct lp2p_span text, uint8_t *out, size_t cap, size_t *len, char *why)
{
    /* Decoded in a buffer of its own: a component may need some bytes more than it will keep. */
    uint8_t bytes[LP2P_MULTIADDR_WIRE_MAX + 2 * LP2P_VARINT_MAX];
    struct text_reader reader = {.rest = text, .out = bytes, .cap = sizeof(bytes), .why = why};
    if (text.len == 0 || text.ptr[0] != '/') {
        return complain(&reader, LP2P_EMALFORMED,
                        "\"%s\" does not begin with '/', expected an address like /ip4/192.0.2.1/tcp/4001",
                        excerpt_of(text).text);
    }
    while (reader.rest.len > 0 && reader.rest.ptr[reader.rest.len - 1] == '/') {
        reader.rest.len--;
    }
    if (reader.rest.len == 0) {
        return complain(&reader, LP2P_EMALFORMED,
                        "the address is empty, expected one like /ip4/192.0.2.1/tcp/4001");
    }
    while (reader.rest.len > 0) {
        enum lp2p_err err = put_component(&reader);
        if (err != LP2P_OK) {
            return err;
        }
    }
    if (reader.len > LP2P_MIN(cap, (size_t)LP2P_MULTIADDR_WIRE_MAX)) {
        return complain(&reader, LP2P_ELIMIT, "the address is too long: %zu bytes", reader.len);
    }
    memcpy(out, bytes, reader.len);
    *len = reader.len;
    return LP2P_OK;
}
