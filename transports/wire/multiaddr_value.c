/* SPDX-License-Identifier: MIT */
#include "wire/multiaddr_value.h"

#include "base/check.h"
#include "wire/ip_text.h"
#include "wire/multibase.h"
#include "wire/multibase_code.h"
#include "wire/multihash.h"
#include "wire/peer_id.h"

#include <stdio.h>

#define LOWER32 "abcdefghijklmnopqrstuvwxyz234567"
#define I2P64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~"

/* Go's decoders of these three ignore unused bits of the last character; published addresses have them. */
static const struct lp2p_base_code onion_code = {.alphabet = LOWER32, .bits = 5, .fold = true, .lax = true};
static const struct lp2p_base_code garlic32_code = {.alphabet = LOWER32, .bits = 5, .lax = true};
static const struct lp2p_base_code garlic64_code = {.alphabet = I2P64, .bits = 6, .pad = true, .lax = true};

#define ONION_CHARS 16
#define ONION3_CHARS 56
#define GARLIC64_MIN 386 /* bytes */
#define GARLIC32_HASH 32 /* bytes, or */
#define GARLIC32_MIN 35  /* at least so many for an encrypted lease set */

static const struct {
    size_t size;
    const char *expected;
} kinds[] = {
    [LP2P_MA_KIND_NONE] = {0, "no value"},
    [LP2P_MA_KIND_IP4] = {4, "an IPv4 address like 192.0.2.1"},
    [LP2P_MA_KIND_IP6] = {16, "an IPv6 address like 2001:db8::1"},
    [LP2P_MA_KIND_PORT] = {2, "a port number 0..65535"},
    [LP2P_MA_KIND_CIDR] = {1, "a prefix length 0..255"},
    [LP2P_MA_KIND_NAME] = {LP2P_MA_VARIABLE, "a name"},
    [LP2P_MA_KIND_PATH] = {LP2P_MA_VARIABLE, "a path"},
    [LP2P_MA_KIND_PEER] = {LP2P_MA_VARIABLE, "a peer id like 12D3KooW.., Qm.. or bafz.."},
    [LP2P_MA_KIND_ONION] = {12, "16 base32 characters, ':' and a port 1..65535"},
    [LP2P_MA_KIND_ONION3] = {37, "56 base32 characters, ':' and a port 1..65535"},
    [LP2P_MA_KIND_GARLIC64] = {LP2P_MA_VARIABLE, "an I2P destination in base64"},
    [LP2P_MA_KIND_GARLIC32] = {LP2P_MA_VARIABLE, "an I2P address in base32"},
    [LP2P_MA_KIND_CERTHASH] = {LP2P_MA_VARIABLE, "a multihash in multibase like uEi.."},
    [LP2P_MA_KIND_HTTP_PATH] = {LP2P_MA_VARIABLE, "a path with %2F in place of '/'"},
    [LP2P_MA_KIND_NUMBER64] = {8, "a number below 2^64"},
};

size_t lp2p_ma_value_size(enum lp2p_ma_kind kind)
{
    return kinds[kind].size;
}

const char *lp2p_ma_value_expected(enum lp2p_ma_kind kind)
{
    return kinds[kind].expected;
}

/* Names and paths. Control characters are refused on top of go-multiaddr's rules: addresses of strangers are
 * printed. */

static bool is_printable(struct lp2p_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_name(struct lp2p_span text)
{
    return text.len > 0 && memchr(text.ptr, '/', text.len) == NULL && is_printable(text);
}

static bool is_path(struct lp2p_span text)
{
    return text.len >= 2 && text.ptr[0] == '/' && text.ptr[text.len - 1] != '/' && is_printable(text);
}

static bool is_peer(struct lp2p_span value)
{
    struct lp2p_peer_id id;
    return lp2p_peer_id_parse(value, &id) == LP2P_OK;
}

static bool is_multihash(struct lp2p_span value)
{
    struct lp2p_multihash hash;
    return lp2p_multihash_parse(value, &hash) == LP2P_OK && value.len <= LP2P_BASE_NUMBER_MAX;
}

static bool has_port(struct lp2p_span value)
{
    return value.ptr[value.len - 2] != 0 || value.ptr[value.len - 1] != 0;
}

bool lp2p_ma_value_check(enum lp2p_ma_kind kind, struct lp2p_span value)
{
    if (kinds[kind].size != LP2P_MA_VARIABLE && value.len != kinds[kind].size) {
        return false;
    }
    switch (kind) {
    case LP2P_MA_KIND_NONE:
    case LP2P_MA_KIND_IP4:
    case LP2P_MA_KIND_IP6:
    case LP2P_MA_KIND_PORT:
    case LP2P_MA_KIND_CIDR:
    case LP2P_MA_KIND_NUMBER64:
        return true;
    case LP2P_MA_KIND_NAME:
        return is_name(value);
    case LP2P_MA_KIND_PATH:
        return is_path(value);
    case LP2P_MA_KIND_PEER:
        return is_peer(value);
    case LP2P_MA_KIND_ONION:
    case LP2P_MA_KIND_ONION3:
        return has_port(value);
    case LP2P_MA_KIND_GARLIC64:
        return value.len >= GARLIC64_MIN;
    case LP2P_MA_KIND_GARLIC32:
        return value.len == GARLIC32_HASH || value.len >= GARLIC32_MIN;
    case LP2P_MA_KIND_CERTHASH:
        return is_multihash(value);
    case LP2P_MA_KIND_HTTP_PATH:
        return value.len > 0;
    }
    return false;
}

/* Text to bytes */

static bool take_number(struct lp2p_span text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit > 9 || value > (max - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return text.len > 0;
}

static bool put_number(struct lp2p_span text, uint64_t max, size_t size, uint8_t *out)
{
    uint64_t value = 0;
    if (!take_number(text, max, &value)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    }
    return true;
}

/* <base32>:<port> with exactly `chars` characters before the colon, into bytes and port. */
static bool put_onion(struct lp2p_span text, size_t chars, uint8_t *out)
{
    if (text.len < chars + 2 || text.ptr[chars] != ':') {
        return false;
    }
    size_t bytes = chars * 5 / 8, len = 0;
    return lp2p_base_decode(&onion_code, lp2p_span(text.ptr, chars), out, bytes, &len) == LP2P_OK &&
           len == bytes && put_number(lp2p_span_skip(text, chars + 1), UINT16_MAX, 2, out + bytes);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decoding as Go's url.QueryUnescape: '+' is a space. */
static enum lp2p_err put_http_path(struct lp2p_span text, uint8_t *out, size_t cap, size_t *len)
{
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        int byte = text.ptr[i] == '+' ? ' ' : text.ptr[i];
        if (byte == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return LP2P_EMALFORMED;
            }
            byte = high << 4 | low;
            i += 2;
        }
        if (at == cap) {
            return LP2P_ELIMIT;
        }
        out[at++] = (uint8_t)byte;
    }
    *len = at;
    return LP2P_OK;
}

static enum lp2p_err put_bytes(struct lp2p_span text, uint8_t *out, size_t cap, size_t *len)
{
    if (text.len > cap) {
        return LP2P_ELIMIT;
    }
    memcpy(out, text.ptr, text.len);
    *len = text.len;
    return LP2P_OK;
}

static enum lp2p_err put_peer(struct lp2p_span text, uint8_t *out, size_t cap, size_t *len)
{
    struct lp2p_peer_id id;
    if (lp2p_peer_id_from_text(text, &id) != LP2P_OK) {
        return LP2P_EMALFORMED;
    }
    return put_bytes(lp2p_peer_id_span(&id), out, cap, len);
}

/* Values of fixed size; out has room for it. */
static bool put_fixed(enum lp2p_ma_kind kind, struct lp2p_span text, uint8_t *out)
{
    switch (kind) {
    case LP2P_MA_KIND_IP4:
        return lp2p_ip4_from_text(text, out);
    case LP2P_MA_KIND_IP6:
        return lp2p_ip6_from_text(text, out);
    case LP2P_MA_KIND_PORT:
        return put_number(text, UINT16_MAX, 2, out);
    case LP2P_MA_KIND_CIDR:
        return put_number(text, UINT8_MAX, 1, out);
    case LP2P_MA_KIND_NUMBER64:
        return put_number(text, UINT64_MAX, 8, out);
    case LP2P_MA_KIND_ONION:
        return put_onion(text, ONION_CHARS, out);
    case LP2P_MA_KIND_ONION3:
        return put_onion(text, ONION3_CHARS, out);
    case LP2P_MA_KIND_NONE:
    case LP2P_MA_KIND_NAME:
    case LP2P_MA_KIND_PATH:
    case LP2P_MA_KIND_PEER:
    case LP2P_MA_KIND_GARLIC64:
    case LP2P_MA_KIND_GARLIC32:
    case LP2P_MA_KIND_CERTHASH:
    case LP2P_MA_KIND_HTTP_PATH:
        break;
    }
    return false;
}

static enum lp2p_err put_variable(enum lp2p_ma_kind kind, struct lp2p_span text, uint8_t *out, size_t cap,
                                  size_t *len)
{
    switch (kind) {
    case LP2P_MA_KIND_NAME:
    case LP2P_MA_KIND_PATH:
        return put_bytes(text, out, cap, len);
    case LP2P_MA_KIND_PEER:
        return put_peer(text, out, cap, len);
    case LP2P_MA_KIND_GARLIC64:
        return lp2p_base_decode(&garlic64_code, text, out, cap, len);
    case LP2P_MA_KIND_GARLIC32:
        return lp2p_base_decode(&garlic32_code, text, out, cap, len);
    case LP2P_MA_KIND_CERTHASH:
        return lp2p_multibase_decode(text, out, cap, len);
    case LP2P_MA_KIND_HTTP_PATH:
        return put_http_path(text, out, cap, len);
    case LP2P_MA_KIND_NONE:
    case LP2P_MA_KIND_IP4:
    case LP2P_MA_KIND_IP6:
    case LP2P_MA_KIND_PORT:
    case LP2P_MA_KIND_CIDR:
    case LP2P_MA_KIND_NUMBER64:
    case LP2P_MA_KIND_ONION:
    case LP2P_MA_KIND_ONION3:
        break;
    }
    return LP2P_EMALFORMED;
}

enum lp2p_err lp2p_ma_value_from_text(enum lp2p_ma_kind kind, struct lp2p_span text, uint8_t *out, size_t cap,
                                      size_t *len)
{
    *len = kinds[kind].size;
    if (*len != LP2P_MA_VARIABLE) {
        if (cap < *len) {
            return LP2P_ELIMIT;
        }
        bool good = put_fixed(kind, text, out) && lp2p_ma_value_check(kind, lp2p_span(out, *len));
        return good ? LP2P_OK : LP2P_EMALFORMED;
    }
    enum lp2p_err err = put_variable(kind, text, out, cap, len);
    if (err != LP2P_OK) {
        return err == LP2P_ELIMIT ? err : LP2P_EMALFORMED;
    }
    return lp2p_ma_value_check(kind, lp2p_span(out, *len)) ? LP2P_OK : LP2P_EMALFORMED;
}

/* Bytes to text */

static enum lp2p_err write_bytes(struct lp2p_span value, char *out, size_t cap, size_t *len)
{
    if (value.len >= cap) {
        return LP2P_ELIMIT;
    }
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    *len = value.len;
    return LP2P_OK;
}

static enum lp2p_err write_number(struct lp2p_span value, char *out, size_t cap, size_t *len)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value.len; i++) {
        number = number << 8 | value.ptr[i];
    }
    char text[24];
    int size = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return write_bytes(lp2p_span(text, (size_t)size), out, cap, len);
}

static enum lp2p_err write_ip(struct lp2p_span value, char *out, size_t cap, size_t *len)
{
    char text[LP2P_IP6_TEXT_MAX];
    size_t size = value.len == 4 ? lp2p_ip4_to_text(value.ptr, text) : lp2p_ip6_to_text(value.ptr, text);
    return write_bytes(lp2p_span(text, size), out, cap, len);
}

static enum lp2p_err write_onion(struct lp2p_span value, char *out, size_t cap, size_t *len)
{
    size_t host = value.len - 2, port = 0;
    enum lp2p_err err = lp2p_base_encode(&onion_code, lp2p_span(value.ptr, host), out, cap, len);
    if (err != LP2P_OK) {
        return err;
    }
    out[(*len)++] = ':'; /* in place of the NUL */
    err = write_number(lp2p_span_skip(value, host), out + *len, cap - *len, &port);
    *len += port;
    return err;
}

/* RFC 3986: unreserved characters stay, all others are percent-encoded. */
static enum lp2p_err write_http_path(struct lp2p_span value, char *out, size_t cap, size_t *len)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
    static const char hex[] = "0123456789ABCDEF";
    size_t at = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte = value.ptr[i];
        bool plain = memchr(unreserved, byte, sizeof(unreserved) - 1) != NULL;
        if (at + (plain ? 1 : 3) >= cap) {
            return LP2P_ELIMIT;
        }
        if (plain) {
            out[at++] = (char)byte;
        } else {
            out[at++] = '%';
            out[at++] = hex[byte >> 4];
            out[at++] = hex[byte & 15];
        }
    }
    out[at] = '\0';
    *len = at;
    return LP2P_OK;
}

enum lp2p_err lp2p_ma_value_to_text(enum lp2p_ma_kind kind, struct lp2p_span value, char *out, size_t cap,
                                    size_t *len)
{
    switch (kind) {
    case LP2P_MA_KIND_IP4:
    case LP2P_MA_KIND_IP6:
        return write_ip(value, out, cap, len);
    case LP2P_MA_KIND_PORT:
    case LP2P_MA_KIND_CIDR:
    case LP2P_MA_KIND_NUMBER64:
        return write_number(value, out, cap, len);
    case LP2P_MA_KIND_NAME:
    case LP2P_MA_KIND_PATH:
        return write_bytes(value, out, cap, len);
    case LP2P_MA_KIND_PEER:
        return lp2p_base58_encode(value, out, cap, len);
    case LP2P_MA_KIND_ONION:
    case LP2P_MA_KIND_ONION3:
        return write_onion(value, out, cap, len);
    case LP2P_MA_KIND_GARLIC64:
        return lp2p_base_encode(&garlic64_code, value, out, cap, len);
    case LP2P_MA_KIND_GARLIC32:
        return lp2p_base_encode(&garlic32_code, value, out, cap, len);
    case LP2P_MA_KIND_CERTHASH:
        return lp2p_multibase_encode('u', value, out, cap, len);
    case LP2P_MA_KIND_HTTP_PATH:
        return write_http_path(value, out, cap, len);
    case LP2P_MA_KIND_NONE:
        break;
    }
    return LP2P_EINVAL;
}
