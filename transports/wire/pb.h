/* SPDX-License-Identifier: MIT
 * Helpers around nanopb for fields of variable size, without dynamic memory: bytes and strings decode to spans that
 * borrow from the input. Only codecs include this. */
#ifndef LP2P_WIRE_PB_H
#define LP2P_WIRE_PB_H

#include "base/err.h"
#include "base/span.h"

#include <pb_decode.h>
#include <pb_encode.h>

/** Up to `max` spans of a repeated bytes/string field; what is beyond is counted in `dropped` and skipped. */
struct lp2p_pb_spans {
    struct lp2p_span *items;
    size_t len, max, dropped;
};

/** Callback that stores a bytes/string field in the `struct lp2p_span` (last one wins); ptr stays NULL when absent. */
pb_callback_t lp2p_pb_read_span(struct lp2p_span *out);
pb_callback_t lp2p_pb_read_spans(struct lp2p_pb_spans *out);
/** Callback that writes a bytes/string field from the span; a span with ptr NULL is left out. */
pb_callback_t lp2p_pb_write_span(const struct lp2p_span *in);
pb_callback_t lp2p_pb_write_spans(const struct lp2p_pb_spans *in);
/** Decodes a message from exactly these bytes; EMALFORMED on any error of nanopb. */
enum lp2p_err lp2p_pb_decode(struct lp2p_span in, const pb_msgdesc_t *desc, void *message) LP2P_MUST_CHECK;
/** Encodes into out; ELIMIT when cap is too small. */
enum lp2p_err lp2p_pb_encode(const pb_msgdesc_t *desc, const void *message, uint8_t *out, size_t cap, size_t *len) LP2P_MUST_CHECK;
/** Encoded size in bytes; 0 on an encoder error. */
size_t lp2p_pb_size(const pb_msgdesc_t *desc, const void *message);

#endif
