/* SPDX-License-Identifier: MIT */
#include "wire/frame.h"

#include "base/check.h"
#include "wire/varint.h"

#include <stdlib.h>

#define FIRST_ALLOCATION 512 /* bytes; a declared length alone never costs more */

void lp2p_frame_reader_init(struct lp2p_frame_reader *reader, size_t max)
{
    *reader = (struct lp2p_frame_reader){.max = max};
}

static void drop_body(struct lp2p_frame_reader *reader)
{
    free(reader->body);
    reader->body = NULL;
    reader->body_len = reader->body_cap = 0;
}

void lp2p_frame_reader_fini(struct lp2p_frame_reader *reader)
{
    drop_body(reader);
    reader->have_want = LP2P_ECLOSED;
}

static enum lp2p_err end_reader(struct lp2p_frame_reader *reader, enum lp2p_err err)
{
    drop_body(reader);
    reader->have_want = (int)err;
    return err;
}

/* Takes prefix bytes until the length is known. */
static enum lp2p_err take_prefix(struct lp2p_frame_reader *reader, struct lp2p_span *in)
{
    while (in->len > 0) {
        reader->prefix[reader->prefix_len++] = in->ptr[0];
        *in = lp2p_span_skip(*in, 1);
        uint64_t want = 0;
        size_t used = 0;
        enum lp2p_err err = lp2p_varint_get(lp2p_span(reader->prefix, reader->prefix_len), &want, &used);
        if (err == LP2P_EAGAIN) {
            continue;
        }
        if (err != LP2P_OK) {
            return end_reader(reader, err);
        }
        if (want > reader->max) {
            return end_reader(reader, LP2P_EOVERSIZE);
        }
        reader->prefix_len = 0;
        reader->want = (size_t)want;
        reader->have_want = 1;
        return LP2P_OK;
    }
    return LP2P_EAGAIN;
}

/* Room for `more` bytes; doubles, but never beyond the declared length. */
static enum lp2p_err grow_body(struct lp2p_frame_reader *reader, size_t more)
{
    size_t need = reader->body_len + more;
    if (need <= reader->body_cap) {
        return LP2P_OK;
    }
    size_t cap = LP2P_MAX(LP2P_MAX(need, reader->body_cap * 2), (size_t)FIRST_ALLOCATION);
    cap = LP2P_MIN(cap, reader->want);
    uint8_t *body = realloc(reader->body, cap);
    if (body == NULL) {
        return LP2P_ENOMEM;
    }
    reader->body = body;
    reader->body_cap = cap;
    return LP2P_OK;
}

enum lp2p_err lp2p_frame_read(struct lp2p_frame_reader *reader, struct lp2p_span *in,
                              struct lp2p_span *message)
{
    if (reader->have_want < 0) {
        return (enum lp2p_err)reader->have_want;
    }
    if (reader->have_want == 0) {
        drop_body(reader); /* of the message that the last call returned */
        enum lp2p_err err = take_prefix(reader, in);
        if (err != LP2P_OK) {
            return err;
        }
    }
    size_t missing = reader->want - reader->body_len;
    if (reader->body_len == 0 && in->len >= missing) {
        *message = lp2p_span(in->ptr, missing);
        *in = lp2p_span_skip(*in, missing);
        reader->have_want = 0;
        return LP2P_OK;
    }
    size_t take = LP2P_MIN(in->len, missing);
    if (take > 0) {
        if (grow_body(reader, take) != LP2P_OK) {
            return end_reader(reader, LP2P_ENOMEM);
        }
        memcpy(reader->body + reader->body_len, in->ptr, take);
        reader->body_len += take;
        *in = lp2p_span_skip(*in, take);
    }
    if (reader->body_len < reader->want) {
        return LP2P_EAGAIN;
    }
    *message = lp2p_span(reader->body, reader->body_len);
    reader->have_want = 0;
    return LP2P_OK;
}

bool lp2p_frame_reader_idle(const struct lp2p_frame_reader *reader)
{
    return reader->have_want == 0 && reader->prefix_len == 0;
}

size_t lp2p_frame_prefix(uint8_t *out, size_t len)
{
    return lp2p_varint_put(out, len);
}
