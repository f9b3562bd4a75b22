/* SPDX-License-Identifier: MIT */
#include "wire/multibase.h"

#include "wire/multibase_code.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define BASE58 "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
#define BASE64 UPPER LOWER "0123456789+/"
#define BASE64_URL UPPER LOWER "0123456789-_"

static const struct lp2p_base_code base58 = {.alphabet = BASE58, .radix = 58};

/* multibase.csv. Upper and lower case forms read both cases, as the published vectors demand. */
static const struct lp2p_base_code *code_of(char prefix)
{
    static const struct lp2p_base_code base16 = {.alphabet = "0123456789abcdef", .bits = 4, .fold = true},
                                       base16_upper = {.alphabet = "0123456789ABCDEF",
                                                       .bits = 4,
                                                       .fold = true},
                                       base32 = {.alphabet = LOWER "234567", .bits = 5, .fold = true},
                                       base32_upper = {.alphabet = UPPER "234567", .bits = 5, .fold = true},
                                       base36 = {.alphabet = "0123456789" LOWER, .radix = 36, .fold = true},
                                       base36_upper = {.alphabet = "0123456789" UPPER,
                                                       .radix = 36,
                                                       .fold = true},
                                       base64 = {.alphabet = BASE64, .bits = 6},
                                       base64_pad = {.alphabet = BASE64, .bits = 6, .pad = true},
                                       base64_url = {.alphabet = BASE64_URL, .bits = 6},
                                       base64_url_pad = {.alphabet = BASE64_URL, .bits = 6, .pad = true};
    switch (prefix) {
    case 'z':
        return &base58;
    case 'b':
        return &base32;
    case 'B':
        return &base32_upper;
    case 'k':
        return &base36;
    case 'K':
        return &base36_upper;
    case 'f':
        return &base16;
    case 'F':
        return &base16_upper;
    case 'u':
        return &base64_url;
    case 'U':
        return &base64_url_pad;
    case 'm':
        return &base64;
    case 'M':
        return &base64_pad;
    default: /* any character may come in */
        return NULL;
    }
}

enum lp2p_err lp2p_base58_encode(struct lp2p_span in, char *out, size_t cap, size_t *len)
{
    size_t written = 0;
    enum lp2p_err err = lp2p_base_encode(&base58, in, out, cap, &written);
    if (err == LP2P_OK && len != NULL) {
        *len = written;
    }
    return err;
}

enum lp2p_err lp2p_base58_decode(struct lp2p_span text, uint8_t *out, size_t cap, size_t *len)
{
    return lp2p_base_decode(&base58, text, out, cap, len);
}

enum lp2p_err lp2p_multibase_encode(char base, struct lp2p_span in, char *out, size_t cap, size_t *len)
{
    const struct lp2p_base_code *code = code_of(base);
    if (code == NULL) {
        return LP2P_EUNSUPPORTED;
    }
    if (cap < 2) {
        return LP2P_ELIMIT;
    }
    size_t written = 0;
    out[0] = base;
    enum lp2p_err err = lp2p_base_encode(code, in, out + 1, cap - 1, &written);
    if (err == LP2P_OK && len != NULL) {
        *len = written + 1;
    }
    return err;
}

enum lp2p_err lp2p_multibase_decode(struct lp2p_span text, uint8_t *out, size_t cap, size_t *len)
{
    if (text.len == 0) {
        return LP2P_EMALFORMED;
    }
    const struct lp2p_base_code *code = code_of((char)text.ptr[0]);
    return code == NULL ? LP2P_EUNSUPPORTED : lp2p_base_decode(code, lp2p_span_skip(text, 1), out, cap, len);
}
