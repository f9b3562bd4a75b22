/* SPDX-License-Identifier: MIT */
#include "wire/der.h"

#include "base/check.h"

enum lp2p_err lp2p_der_take(struct lp2p_span *in, uint8_t tag, struct lp2p_span *content)
{
    if (in->len < 2 || in->ptr[0] != tag) {
        return LP2P_EMALFORMED;
    }
    size_t len = in->ptr[1];
    struct lp2p_span rest = lp2p_span_skip(*in, 2);
    if (len >= 0x80) {
        size_t bytes = len & 0x7f;
        if (bytes < 1 || bytes > 2 || rest.len < bytes) {
            return LP2P_EMALFORMED;
        }
        len = bytes == 1 ? rest.ptr[0] : (size_t)rest.ptr[0] << 8 | rest.ptr[1];
        if (len < (bytes == 1 ? 0x80u : 0x100u)) {
            return LP2P_EMALFORMED; /* X.690 section 10.1: the shortest form of the length */
        }
        rest = lp2p_span_skip(rest, bytes);
    }
    if (rest.len < len) {
        return LP2P_EMALFORMED;
    }
    *content = lp2p_span(rest.ptr, len);
    *in = lp2p_span_skip(rest, len);
    return LP2P_OK;
}

enum lp2p_err lp2p_der_take_positive(struct lp2p_span *in, struct lp2p_span *number)
{
    enum lp2p_err err = lp2p_der_take(in, LP2P_DER_INTEGER, number);
    if (err != LP2P_OK) {
        return err;
    }
    if (number->len == 0 || number->ptr[0] >= 0x80) {
        return LP2P_EMALFORMED;
    }
    if (number->ptr[0] == 0) {
        /* One zero byte keeps the sign of a number with its top bit set, and may stand nowhere else. */
        if (number->len < 2 || number->ptr[1] < 0x80) {
            return LP2P_EMALFORMED;
        }
        *number = lp2p_span_skip(*number, 1);
    }
    return LP2P_OK;
}

enum lp2p_err lp2p_der_public_key_info(struct lp2p_span in, struct lp2p_span *oid, struct lp2p_span *params,
                                       struct lp2p_span *key)
{
    struct lp2p_span info, bits;
    if (lp2p_der_take(&in, LP2P_DER_SEQUENCE, &info) != LP2P_OK || in.len != 0 ||
        lp2p_der_take(&info, LP2P_DER_SEQUENCE, params) != LP2P_OK ||
        lp2p_der_take(params, LP2P_DER_OID, oid) != LP2P_OK ||
        lp2p_der_take(&info, LP2P_DER_BIT_STRING, &bits) != LP2P_OK || info.len != 0) {
        return LP2P_EMALFORMED;
    }
    if (bits.len < 1 || bits.ptr[0] != 0) {
        return LP2P_EMALFORMED; /* keys are whole bytes: no unused bits */
    }
    *key = lp2p_span_skip(bits, 1);
    return LP2P_OK;
}

void lp2p_der_put(struct lp2p_der_out *out, const uint8_t *bytes, size_t len)
{
    LP2P_CHECK(len <= out->at);
    out->at -= len;
    memcpy(out->bytes + out->at, bytes, len);
}

void lp2p_der_wrap(struct lp2p_der_out *out, uint8_t tag, size_t end)
{
    size_t len = end - out->at;
    LP2P_CHECK(len <= 0xffff);
    const uint8_t head[] = {tag, 0x82, (uint8_t)(len >> 8), (uint8_t)len};
    if (len >= 0x100) {
        lp2p_der_put(out, head, 4);
    } else if (len >= 0x80) {
        lp2p_der_put(out, (const uint8_t[]){tag, 0x81, (uint8_t)len}, 3);
    } else {
        lp2p_der_put(out, (const uint8_t[]){tag, (uint8_t)len}, 2);
    }
}

void lp2p_der_put_positive(struct lp2p_der_out *out, struct lp2p_span number)
{
    size_t end = out->at;
    lp2p_der_put(out, number.ptr, number.len);
    if (number.ptr[0] >= 0x80) {
        lp2p_der_put(out, (const uint8_t[]){0}, 1); /* the sign */
    }
    lp2p_der_wrap(out, LP2P_DER_INTEGER, end);
}
