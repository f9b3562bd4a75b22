/* SPDX-License-Identifier: MIT */
#include "tls/buffer.h"

#include "base/check.h"

#include <stdlib.h>

uint8_t *lp2p_tls_buffer_reserve(struct lp2p_tls_buffer *buffer, size_t len)
{
    size_t waiting = lp2p_tls_buffer_waiting(buffer);
    if (buffer->max != 0 && (waiting > buffer->max || len > buffer->max - waiting)) {
        return NULL;
    }
    if (buffer->at > 0 && buffer->cap - buffer->len < len) {
        memmove(buffer->bytes, buffer->bytes + buffer->at, waiting);
        buffer->at = 0;
        buffer->len = waiting;
    }
    if (buffer->cap - buffer->len < len) {
        size_t cap = LP2P_MAX(waiting + len, waiting * 2);
        uint8_t *bytes = realloc(buffer->bytes, cap);
        if (bytes == NULL) {
            return NULL;
        }
        buffer->bytes = bytes;
        buffer->cap = cap;
    }
    return buffer->bytes + buffer->len;
}

enum lp2p_err lp2p_tls_buffer_append(struct lp2p_tls_buffer *buffer, struct lp2p_span bytes)
{
    if (bytes.len == 0) {
        return LP2P_OK; /* an empty buffer has no memory, and needs none for it */
    }
    uint8_t *to = lp2p_tls_buffer_reserve(buffer, bytes.len);
    if (to == NULL) {
        return buffer->max != 0 && bytes.len > buffer->max - lp2p_tls_buffer_waiting(buffer) ? LP2P_ELIMIT
                                                                                             : LP2P_ENOMEM;
    }
    memcpy(to, bytes.ptr, bytes.len);
    buffer->len += bytes.len;
    return LP2P_OK;
}

size_t lp2p_tls_buffer_take(struct lp2p_tls_buffer *buffer, uint8_t *out, size_t cap)
{
    size_t part = LP2P_MIN(cap, lp2p_tls_buffer_waiting(buffer));
    if (part > 0) {
        memcpy(out, buffer->bytes + buffer->at, part);
        buffer->at += part;
    }
    if (buffer->at == buffer->len) {
        lp2p_tls_buffer_fini(buffer);
    }
    return part;
}

void lp2p_tls_buffer_fini(struct lp2p_tls_buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct lp2p_tls_buffer){.max = buffer->max};
}
