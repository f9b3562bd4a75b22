/* SPDX-License-Identifier: MIT */
#include "wire/varint.h"

#include "base/check.h"

size_t lp2p_varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

size_t lp2p_varint_put(uint8_t *out, uint64_t value)
{
    LP2P_CHECK(value >> 63 == 0);
    size_t size = 0;
    while (value >= 0x80) {
        out[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[size++] = (uint8_t)value;
    return size;
}

enum lp2p_err lp2p_varint_get(struct lp2p_span in, uint64_t *value, size_t *used)
{
    uint64_t sum = 0;
    size_t limit = LP2P_MIN(in.len, (size_t)LP2P_VARINT_MAX);
    for (size_t i = 0; i < limit; i++) {
        uint8_t byte = in.ptr[i];
        sum |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            /* unsigned-varint README: the shortest form only, so a longer one may not end in a zero group. */
            if (byte == 0 && i > 0) {
                return LP2P_EMALFORMED;
            }
            *value = sum;
            *used = i + 1;
            return LP2P_OK;
        }
    }
    return limit == LP2P_VARINT_MAX ? LP2P_EMALFORMED : LP2P_EAGAIN;
}

enum lp2p_err lp2p_varint_take(struct lp2p_span *in, uint64_t *value)
{
    size_t used = 0;
    enum lp2p_err err = lp2p_varint_get(*in, value, &used);
    if (err == LP2P_EAGAIN) {
        return LP2P_ETRUNCATED;
    }
    if (err == LP2P_OK) {
        *in = lp2p_span_skip(*in, used);
    }
    return err;
}
