/* SPDX-License-Identifier: MIT */
#include "wire/multibase_code.h"

/* Characters of a whole group, after which the bits fall on a byte again: 2, 8 and 4 for 4, 5 and 6 bits. */
static size_t group_chars(const struct lp2p_base_code *code)
{
    return code->bits == 4 ? 2 : code->bits == 5 ? 8 : 4;
}

static int digit_of(const struct lp2p_base_code *code, uint8_t c)
{
    int count = code->bits != 0 ? 1 << code->bits : code->radix;
    for (int i = 0; i < count; i++) {
        uint8_t mark = (uint8_t)code->alphabet[i];
        if (mark == c) {
            return i;
        }
        bool letter = (mark >= 'a' && mark <= 'z') || (mark >= 'A' && mark <= 'Z');
        if (code->fold && letter && (mark ^ 0x20) == c) {
            return i;
        }
    }
    return -1;
}

static enum lp2p_err encode_bits(const struct lp2p_base_code *code, struct lp2p_span in, char *out,
                                 size_t cap, size_t *len)
{
    if (in.len > SIZE_MAX / 16) {
        return LP2P_ELIMIT;
    }
    size_t chars = (in.len * 8 + code->bits - 1) / code->bits;
    size_t group = group_chars(code);
    size_t total = code->pad ? (chars + group - 1) / group * group : chars;
    if (total >= cap) {
        return LP2P_ELIMIT;
    }
    uint32_t held = 0;
    unsigned held_bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < in.len; i++) {
        held = (held << 8 | in.ptr[i]) & 0xffff;
        held_bits += 8;
        while (held_bits >= code->bits) {
            held_bits -= code->bits;
            out[at++] = code->alphabet[held >> held_bits & ((1u << code->bits) - 1)];
        }
    }
    if (held_bits > 0) {
        out[at++] = code->alphabet[held << (code->bits - held_bits) & ((1u << code->bits) - 1)];
    }
    while (at < total) {
        out[at++] = '=';
    }
    out[at] = '\0';
    *len = at;
    return LP2P_OK;
}

/* Takes the fill characters away; false when there are not exactly as many as the last group needs. */
static bool strip_pad(const struct lp2p_base_code *code, struct lp2p_span *text)
{
    size_t group = group_chars(code), fill = 0;
    if (text->len % group != 0) {
        return false;
    }
    while (text->len > 0 && text->ptr[text->len - 1] == '=') {
        text->len--;
        fill++;
    }
    return fill < group;
}

static enum lp2p_err decode_bits(const struct lp2p_base_code *code, struct lp2p_span text, uint8_t *out,
                                 size_t cap, size_t *len)
{
    if (code->pad && !strip_pad(code, &text)) {
        return LP2P_EMALFORMED;
    }
    uint32_t held = 0;
    unsigned held_bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(code, text.ptr[i]);
        if (digit < 0) {
            return LP2P_EMALFORMED;
        }
        held = (held << code->bits | (uint32_t)digit) & 0xffff;
        held_bits += code->bits;
        if (held_bits >= 8) {
            held_bits -= 8;
            if (at == cap) {
                return LP2P_ELIMIT;
            }
            out[at++] = (uint8_t)(held >> held_bits);
        }
    }
    /* A last character that adds no byte is no text of this code; bits that are left over must be zero. */
    if (held_bits >= code->bits || (!code->lax && (held & ((1u << held_bits) - 1)) != 0)) {
        return LP2P_EMALFORMED;
    }
    *len = at;
    return LP2P_OK;
}

static enum lp2p_err encode_number(const struct lp2p_base_code *code, struct lp2p_span in, char *out,
                                   size_t cap, size_t *len)
{
    if (in.len > LP2P_BASE_NUMBER_MAX) {
        return LP2P_ELIMIT;
    }
    size_t zeros = 0, digits = 0;
    while (zeros < in.len && in.ptr[zeros] == 0) {
        zeros++;
    }
    uint8_t
        number[LP2P_BASE_NUMBER_MAX * 2]; /* least digit first; a byte gives at most 1.55 digits of base 36 */
    for (size_t i = zeros; i < in.len; i++) {
        uint32_t carry = in.ptr[i];
        for (size_t k = 0; k < digits; k++) {
            carry += (uint32_t)number[k] << 8;
            number[k] = (uint8_t)(carry % code->radix);
            carry /= code->radix;
        }
        while (carry > 0) {
            number[digits++] = (uint8_t)(carry % code->radix);
            carry /= code->radix;
        }
    }
    if (zeros + digits >= cap) {
        return LP2P_ELIMIT;
    }
    memset(out, code->alphabet[0], zeros);
    for (size_t i = 0; i < digits; i++) {
        out[zeros + i] = code->alphabet[number[digits - 1 - i]];
    }
    out[zeros + digits] = '\0';
    *len = zeros + digits;
    return LP2P_OK;
}

static enum lp2p_err decode_number(const struct lp2p_base_code *code, struct lp2p_span text, uint8_t *out,
                                   size_t cap, size_t *len)
{
    if (text.len > LP2P_BASE_NUMBER_MAX) {
        return LP2P_ELIMIT;
    }
    size_t zeros = 0, bytes = 0;
    while (zeros < text.len && digit_of(code, text.ptr[zeros]) == 0) {
        zeros++;
    }
    uint8_t number[LP2P_BASE_NUMBER_MAX]; /* least byte first; a digit is less than a byte */
    for (size_t i = zeros; i < text.len; i++) {
        int digit = digit_of(code, text.ptr[i]);
        if (digit < 0) {
            return LP2P_EMALFORMED;
        }
        uint32_t carry = (uint32_t)digit;
        for (size_t k = 0; k < bytes; k++) {
            carry += (uint32_t)number[k] * code->radix;
            number[k] = (uint8_t)carry;
            carry >>= 8;
        }
        if (carry > 0) {
            number[bytes++] = (uint8_t)carry;
        }
    }
    if (zeros + bytes > cap) {
        return LP2P_ELIMIT;
    }
    memset(out, 0, zeros);
    for (size_t i = 0; i < bytes; i++) {
        out[zeros + i] = number[bytes - 1 - i];
    }
    *len = zeros + bytes;
    return LP2P_OK;
}

enum lp2p_err lp2p_base_encode(const struct lp2p_base_code *code, struct lp2p_span in, char *out, size_t cap,
                               size_t *len)
{
    return code->bits != 0 ? encode_bits(code, in, out, cap, len) : encode_number(code, in, out, cap, len);
}

enum lp2p_err lp2p_base_decode(const struct lp2p_base_code *code, struct lp2p_span text, uint8_t *out,
                               size_t cap, size_t *len)
{
    return code->bits != 0 ? decode_bits(code, text, out, cap, len)
                           : decode_number(code, text, out, cap, len);
}
