/* SPDX-License-Identifier: MIT
 * Reference-counted slabs and slices of them. A slab may be shared by any threads: the count is atomic, the bytes
 * belong to whoever was handed a slice of them (slices of one slab never overlap while more than one is writable). */
#ifndef LP2P_BASE_BUF_H
#define LP2P_BASE_BUF_H

#include "base/check.h"
#include "base/span.h"

#include <stdint.h>

/** A slab: header and bytes in one allocation. */
struct lp2p_buf {
    uint32_t refs; /* atomic; the release that reaches 0 pairs with the acquire before `release` is called */
    uint32_t cap;  /* bytes */
    void (*release)(struct lp2p_buf *buf); /* gives the memory back to where it came from */
    uint8_t bytes[];
};

/** A part of a slab that holds one reference to it. len 0 with buf NULL is the empty slice. */
struct lp2p_slice {
    struct lp2p_buf *buf;
    uint8_t *ptr;
    uint32_t len;
};

/** A slab of at least cap bytes with one reference, from the heap; NULL when memory is short. */
struct lp2p_buf *lp2p_buf_new(size_t cap);

static inline struct lp2p_buf *lp2p_buf_ref(struct lp2p_buf *buf)
{
    __atomic_fetch_add(&buf->refs, 1, __ATOMIC_RELAXED);
    return buf;
}

/** Drops the reference in *buf and nulls it; *buf may be NULL. */
void lp2p_buf_drop(struct lp2p_buf **buf);

/** True when the caller holds the only reference and may write or grow its slice in place. */
static inline bool lp2p_buf_alone(const struct lp2p_buf *buf)
{
    return __atomic_load_n(&buf->refs, __ATOMIC_ACQUIRE) == 1;
}

/** A slice of buf that takes a reference of its own. */
static inline struct lp2p_slice lp2p_slice_of(struct lp2p_buf *buf, uint8_t *ptr, size_t len)
{
    LP2P_CHECK(ptr >= buf->bytes && ptr + len <= buf->bytes + buf->cap);
    return (struct lp2p_slice){lp2p_buf_ref(buf), ptr, (uint32_t)len};
}

/** A new slice in a slab of its own with a copy of the bytes; the empty slice with buf NULL when memory is short. */
struct lp2p_slice lp2p_slice_copy(const void *bytes, size_t len);

static inline void lp2p_slice_drop(struct lp2p_slice *slice)
{
    lp2p_buf_drop(&slice->buf);
    *slice = (struct lp2p_slice){0};
}

static inline struct lp2p_span lp2p_slice_span(const struct lp2p_slice *slice)
{
    return lp2p_span(slice->ptr, slice->len);
}

#endif
