/* SPDX-License-Identifier: MIT
 * The frame reader: the same bytes give the same messages and the same end whether they come at once or in
 * pieces. The first two bytes are the limit and the size of the pieces. */
#include "base/check.h"
#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
    enum lp2p_err err;
    size_t messages;
    uint32_t sum; /* of all messages, position and order included */
};

static struct result read_all(struct lp2p_span in, size_t max, size_t piece)
{
    struct result result = {LP2P_EAGAIN, 0, 1};
    struct lp2p_frame_reader reader;
    lp2p_frame_reader_init(&reader, max);
    while (in.len > 0 && result.err == LP2P_EAGAIN) {
        struct lp2p_span part = lp2p_span(in.ptr, LP2P_MIN(piece, in.len)), message;
        in = lp2p_span_skip(in, part.len);
        while ((result.err = lp2p_frame_read(&reader, &part, &message)) == LP2P_OK) {
            LP2P_CHECK(message.len <= max);
            result.messages++;
            result.sum = result.sum * 31 + (uint32_t)message.len;
            for (size_t i = 0; i < message.len; i++) {
                result.sum = result.sum * 31 + message.ptr[i];
            }
        }
        LP2P_CHECK(result.err != LP2P_EAGAIN || part.len == 0);
        LP2P_CHECK(reader.body_cap <= max);
    }
    lp2p_frame_reader_fini(&reader);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct lp2p_span in = lp2p_span(data + 2, size - 2);
    size_t max = (size_t)data[0] * 16;
    struct result whole = read_all(in, max, SIZE_MAX), pieces = read_all(in, max, 1 + (size_t)data[1] % 64);
    LP2P_CHECK(whole.err == pieces.err && whole.messages == pieces.messages && whole.sum == pieces.sum);
    return 0;
}
