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

#define GROUP 5 /* digits that are made with one division of the number: radix^5 fits 32 bits up to 84 */
#define WORDS_MAX ((LP2P_BASE_NUMBER_MAX + 3) / 4)

/* The number as words, the most significant first. */
static size_t words_of(struct lp2p_span in, uint32_t words[WORDS_MAX])
{
    size_t len = (in.len + 3) / 4;
    memset(words, 0, len * sizeof(words[0]));
    for (size_t i = 0; i < in.len; i++) {
        size_t place = in.len - 1 - i; /* of the byte, counted from the least one */
        words[len - 1 - place / 4] |= (uint32_t)in.ptr[i] << (place % 4 * 8);
    }
    return len;
}

/* Divides the number by `by`, in place; returns the rest. */
static uint32_t divide(uint32_t *words, size_t len, uint32_t by)
{
    uint64_t rest = 0;
    for (size_t i = 0; i < len; i++) {
        uint64_t part = rest << 32 | words[i];
        words[i] = (uint32_t)(part / by);
        rest = part % by;
    }
    return (uint32_t)rest;
}

/* The digits of the number, least first; returns how many there are. */
static size_t digits_of(const struct lp2p_base_code *code, struct lp2p_span in,
                        uint8_t digits[LP2P_BASE_NUMBER_MAX * 2 + GROUP])
{
    uint32_t words[WORDS_MAX], group = 1;
    for (int i = 0; i < GROUP; i++) {
        group *= code->radix;
    }
    size_t len = words_of(in, words), first = 0, count = 0;
    while (first < len) {
        uint32_t rest = divide(words + first, len - first, group);
        for (int i = 0; i < GROUP; i++) {
            digits[count++] = (uint8_t)(rest % code->radix);
            rest /= code->radix;
        }
        while (first < len && words[first] == 0) {
            first++;
        }
    }
    while (count > 0 && digits[count - 1] == 0) {
        count--;
    }
    return count;
}

static enum lp2p_err encode_number(const struct lp2p_base_code *code, struct lp2p_span in, char *out,
                                   size_t cap, size_t *len)
{
    if (in.len > LP2P_BASE_NUMBER_MAX) {
        return LP2P_ELIMIT;
    }
    size_t zeros = 0;
    while (zeros < in.len && in.ptr[zeros] == 0) {
        zeros++;
    }
    /* A byte gives at most 1.55 digits of base 36. */
    uint8_t number[LP2P_BASE_NUMBER_MAX * 2 + GROUP];
    size_t digits = digits_of(code, lp2p_span_skip(in, zeros), number);
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
