/* SPDX-License-Identifier: MIT
 * Varints: what is read is what would be written, and nothing of what follows is looked at. */
#include "base/check.h"
#include "wire/varint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t value = 0;
    size_t used = 0;
    enum lp2p_err err = lp2p_varint_get(lp2p_span(data, size), &value, &used);
    if (err == LP2P_OK) {
        uint8_t out[LP2P_VARINT_MAX];
        LP2P_CHECK(used <= size && lp2p_varint_size(value) == used);
        LP2P_CHECK(lp2p_varint_put(out, value) == used && memcmp(out, data, used) == 0);
    }
    struct lp2p_span rest = lp2p_span(data, size);
    enum lp2p_err taken = lp2p_varint_take(&rest, &value);
    LP2P_CHECK((taken == LP2P_OK) == (err == LP2P_OK) && (taken == LP2P_ETRUNCATED) == (err == LP2P_EAGAIN));
    LP2P_CHECK(rest.len == (taken == LP2P_OK ? size - used : size));
    return 0;
}
