/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdlib.h>

static void release_to_heap(struct lp2p_buf *buf)
{
    free(buf);
}

struct lp2p_buf *lp2p_buf_new(size_t cap)
{
    LP2P_CHECK(cap <= UINT32_MAX);
    struct lp2p_buf *buf = malloc(sizeof(*buf) + cap);
    if (buf != NULL) {
        buf->refs = 1;
        buf->cap = (uint32_t)cap;
        buf->release = release_to_heap;
    }
    return buf;
}

void lp2p_buf_drop(struct lp2p_buf **buf)
{
    struct lp2p_buf *gone = *buf;
    *buf = NULL;
    if (gone == NULL) {
        return;
    }
    uint32_t before = __atomic_fetch_sub(&gone->refs, 1, __ATOMIC_ACQ_REL);
    LP2P_CHECK(before != 0);
    if (before == 1) {
        gone->release(gone);
    }
}

struct lp2p_slice lp2p_slice_copy(const void *bytes, size_t len)
{
    struct lp2p_buf *buf = lp2p_buf_new(len == 0 ? 1 : len);
    if (buf == NULL) {
        return (struct lp2p_slice){0};
    }
    if (len > 0) {
        memcpy(buf->bytes, bytes, len);
    }
    return (struct lp2p_slice){buf, buf->bytes, (uint32_t)len};
}
