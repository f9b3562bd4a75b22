/* SPDX-License-Identifier: MIT */
#include "wire/pb.h"

/* A reader of our own, so that the callbacks know where the bytes are: nanopb's state is then our position in
 * the input. It also tells a field of bytes from a scalar that came in its place (a wrong wire type): nanopb
 * hands such a scalar over in a stream on its own stack, from which nothing may be borrowed. */
static bool read_input(pb_istream_t *stream, pb_byte_t *out, size_t count)
{
    const pb_byte_t *from = stream->state;
    if (out != NULL && count > 0) {
        memcpy(out, from, count);
    }
    stream->state = (void *)(uintptr_t)(from + count);
    return true;
}

static bool take_rest(pb_istream_t *stream, struct lp2p_span *out)
{
    if (stream->callback != read_input) {
        PB_RETURN_ERROR(stream, "wrong wire type");
    }
    *out = lp2p_span(stream->state, stream->bytes_left);
    stream->state = (void *)(uintptr_t)(out->ptr + out->len);
    stream->bytes_left = 0;
    return true;
}

static bool read_span(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    (void)field;
    return take_rest(stream, *arg);
}

static bool read_spans(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    (void)field;
    struct lp2p_pb_spans *spans = *arg;
    struct lp2p_span item;
    if (!take_rest(stream, &item)) {
        return false;
    }
    if (spans->len == spans->max) {
        spans->dropped++;
    } else {
        spans->items[spans->len++] = item;
    }
    return true;
}

static bool write_span(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
    const struct lp2p_span *in = *arg;
    if (in->ptr == NULL) {
        return true;
    }
    return pb_encode_tag_for_field(stream, field) && pb_encode_string(stream, in->ptr, in->len);
}

static bool write_spans(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
    const struct lp2p_pb_spans *spans = *arg;
    for (size_t i = 0; i < spans->len; i++) {
        if (!pb_encode_tag_for_field(stream, field) ||
            !pb_encode_string(stream, spans->items[i].ptr, spans->items[i].len)) {
            return false;
        }
    }
    return true;
}

pb_callback_t lp2p_pb_read_span(struct lp2p_span *out)
{
    *out = lp2p_span(NULL, 0);
    return (pb_callback_t){.funcs.decode = read_span, .arg = out};
}

pb_callback_t lp2p_pb_read_spans(struct lp2p_pb_spans *out)
{
    out->len = out->dropped = 0;
    return (pb_callback_t){.funcs.decode = read_spans, .arg = out};
}

pb_callback_t lp2p_pb_write_span(const struct lp2p_span *in)
{
    return (pb_callback_t){.funcs.encode = write_span, .arg = (void *)(uintptr_t)in};
}

pb_callback_t lp2p_pb_write_spans(const struct lp2p_pb_spans *in)
{
    return (pb_callback_t){.funcs.encode = write_spans, .arg = (void *)(uintptr_t)in};
}

enum lp2p_err lp2p_pb_decode(struct lp2p_span in, const pb_msgdesc_t *desc, void *message)
{
    /* An empty input may have no address, but an empty field that is present needs one. */
    const uint8_t *from = in.ptr == NULL ? (const uint8_t *)"" : in.ptr;
    pb_istream_t stream = {.callback = read_input, .state = (void *)(uintptr_t)from, .bytes_left = in.len};
    return pb_decode(&stream, desc, message) ? LP2P_OK : LP2P_EMALFORMED;
}

enum lp2p_err lp2p_pb_encode(const pb_msgdesc_t *desc, const void *message, uint8_t *out, size_t cap,
                             size_t *len)
{
    pb_ostream_t stream = pb_ostream_from_buffer(out, cap);
    if (!pb_encode(&stream, desc, message)) {
        return LP2P_ELIMIT;
    }
    *len = stream.bytes_written;
    return LP2P_OK;
}

size_t lp2p_pb_size(const pb_msgdesc_t *desc, const void *message)
{
    size_t size = 0;
    return pb_get_encoded_size(&size, desc, message) ? size : 0;
}
