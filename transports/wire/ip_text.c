/* SPDX-License-Identifier: MIT */
#include "wire/ip_text.h"

#include <stdio.h>

bool lp2p_ip4_from_text(struct lp2p_span text, uint8_t out[4])
{
    size_t at = 0;
    for (size_t part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t digits = 0;
        if (part > 0 && (at == text.len || text.ptr[at++] != '.')) {
            return false;
        }
        for (; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++) {
            if (digits > 0 && value == 0) {
                return false; /* a leading zero: some read it as octal */
            }
            value = value * 10 + (text.ptr[at] - '0');
            digits++;
            if (value > 255) {
                return false;
            }
        }
        if (digits == 0) {
            return false;
        }
        out[part] = (uint8_t)value;
    }
    return at == text.len;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads one group of 1..4 hex digits at *at; false when there is none or it is too long. */
static bool take_group(struct lp2p_span text, size_t *at, unsigned *value)
{
    size_t digits = 0;
    *value = 0;
    while (*at < text.len && hex_digit(text.ptr[*at]) >= 0) {
        if (++digits > 4) {
            return false;
        }
        *value = *value << 4 | (unsigned)hex_digit(text.ptr[(*at)++]);
    }
    return digits > 0;
}

/* Makes room for the zeros that "::" stands for: `gap` is where, `len` how many bytes were read. */
static bool spread(uint8_t out[16], size_t gap, size_t len)
{
    if (gap == SIZE_MAX) {
        return len == 16;
    }
    if (len > 14) {
        return false; /* "::" stands for at least one group */
    }
    memmove(out + gap + (16 - len), out + gap, len - gap);
    memset(out + gap, 0, 16 - len);
    return true;
}

bool lp2p_ip6_from_text(struct lp2p_span text, uint8_t out[16])
{
    size_t at = 0, len = 0, gap = SIZE_MAX;
    if (text.len >= 2 && text.ptr[0] == ':' && text.ptr[1] == ':') {
        gap = 0;
        at = 2;
    }
    while (at < text.len) {
        size_t start = at;
        unsigned value = 0;
        if (len > 14 || !take_group(text, &at, &value)) {
            return false;
        }
        if (at < text.len && text.ptr[at] == '.') {
            if (len > 12 || !lp2p_ip4_from_text(lp2p_span_skip(text, start), out + len)) {
                return false;
            }
            return spread(out, gap, len + 4);
        }
        out[len++] = (uint8_t)(value >> 8);
        out[len++] = (uint8_t)value;
        if (at == text.len) {
            break;
        }
        if (text.ptr[at++] != ':' || at == text.len) {
            return false;
        }
        if (text.ptr[at] == ':') {
            if (gap != SIZE_MAX) {
                return false;
            }
            gap = len;
            at++;
        }
    }
    return spread(out, gap, len);
}

size_t lp2p_ip4_to_text(const uint8_t ip[4], char out[LP2P_IP4_TEXT_MAX])
{
    return (size_t)snprintf(out, LP2P_IP4_TEXT_MAX, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
}

bool lp2p_ip6_is_mapped(const uint8_t ip[16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(ip, prefix, sizeof(prefix)) == 0;
}

/* RFC 5952 section 4.2: the longest run of zero groups, the first one of equals, at least two groups. */
static size_t longest_zero_run(const unsigned groups[8], size_t *run)
{
    size_t best = 8, best_len = 1;
    for (size_t i = 0; i < 8;) {
        size_t len = 0;
        while (i + len < 8 && groups[i + len] == 0) {
            len++;
        }
        if (len > best_len) {
            best = i;
            best_len = len;
        }
        i += len + 1;
    }
    *run = best_len;
    return best;
}

size_t lp2p_ip6_to_text(const uint8_t ip[16], char out[LP2P_IP6_TEXT_MAX])
{
    if (lp2p_ip6_is_mapped(ip)) {
        memcpy(out, "::ffff:", 7);
        return 7 + lp2p_ip4_to_text(ip + 12, out + 7);
    }
    unsigned groups[8];
    for (size_t i = 0; i < 8; i++) {
        groups[i] = (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
    }
    size_t run = 0, gap = longest_zero_run(groups, &run), len = 0;
    for (size_t i = 0; i < 8; i++) {
        if (i == gap) {
            out[len++] = ':';
            i += run - 1;
            if (i == 7) {
                out[len++] = ':';
            }
            continue;
        }
        len += (size_t)snprintf(out + len, LP2P_IP6_TEXT_MAX - len, i == 0 ? "%x" : ":%x", groups[i]);
    }
    out[len] = '\0';
    return len;
}
