/* SPDX-License-Identifier: MIT
 * A queue of slices seen as one run of bytes: what was fed and is not parsed yet, what was written and is not
 * framed yet. Holds one reference for each slice; takes no memory for the first two. Owned by one machine. */
#ifndef LP2P_MUX_FIFO_H
#define LP2P_MUX_FIFO_H

#include "base/buf.h"
#include "base/err.h"

/** Zeroed is empty and ready. */
struct lp2p_fifo {
    struct lp2p_slice
        own[2]; /* the ring while it is large enough: most queues are that short and allocate nothing */
    struct lp2p_slice *slices; /* a larger ring of cap entries; NULL: `own` */
    uint32_t head, len, cap;   /* entries; cap is 0 (`own`) or a power of two */
    uint64_t bytes;
};

/** Appends; ownership moves and *slice is emptied. An empty slice is only dropped. ENOMEM: *slice is still
 * the caller's. */
enum lp2p_err lp2p_fifo_push(struct lp2p_fifo *fifo, struct lp2p_slice *slice) LP2P_MUST_CHECK;
/** Copies the first n bytes to out and drops them; n must be at most fifo->bytes. */
void lp2p_fifo_copy(struct lp2p_fifo *fifo, uint8_t *out, size_t n);
/** Takes up to n bytes that lie together at the front as a slice of their own; the caller drops it. */
struct lp2p_slice lp2p_fifo_cut(struct lp2p_fifo *fifo, size_t n);
/** Drops up to n bytes; returns how many. */
size_t lp2p_fifo_skip(struct lp2p_fifo *fifo, size_t n);
/** Drops everything and gives the memory back. */
void lp2p_fifo_clear(struct lp2p_fifo *fifo);
/** The bytes that lie together at the front; fifo->bytes must not be 0. */
struct lp2p_span lp2p_fifo_front(const struct lp2p_fifo *fifo);

#endif
