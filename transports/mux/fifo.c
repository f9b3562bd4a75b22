/* SPDX-License-Identifier: MIT */
#include "mux/fifo.h"

#include <stdlib.h>

#define OWN 2u
#define FIFO_CAP_MIN 8u

static struct lp2p_slice *at(const struct lp2p_fifo *fifo, uint32_t index)
{
    struct lp2p_fifo *f = (struct lp2p_fifo *)(uintptr_t)fifo;
    return f->slices == NULL ? &f->own[(f->head + index) & (OWN - 1)]
                             : &f->slices[(f->head + index) & (f->cap - 1)];
}

static enum lp2p_err grow(struct lp2p_fifo *fifo)
{
    if (fifo->cap > UINT32_MAX / 4) {
        return LP2P_ENOMEM;
    }
    uint32_t cap = fifo->cap == 0 ? FIFO_CAP_MIN : fifo->cap * 2;
    struct lp2p_slice *slices = malloc(cap * sizeof(*slices));
    if (slices == NULL) {
        return LP2P_ENOMEM;
    }
    for (uint32_t i = 0; i < fifo->len; i++) {
        slices[i] = *at(fifo, i);
    }
    free(fifo->slices);
    fifo->slices = slices;
    fifo->head = 0;
    fifo->cap = cap;
    return LP2P_OK;
}

enum lp2p_err lp2p_fifo_push(struct lp2p_fifo *fifo, struct lp2p_slice *slice)
{
    if (slice->len == 0) {
        lp2p_slice_drop(slice);
        return LP2P_OK;
    }
    if (fifo->len == LP2P_MAX(fifo->cap, OWN)) {
        enum lp2p_err err = grow(fifo);
        if (err != LP2P_OK) {
            return err;
        }
    }
    *at(fifo, fifo->len++) = *slice;
    fifo->bytes += slice->len;
    *slice = (struct lp2p_slice){0};
    return LP2P_OK;
}

/** Moves the front past n of its bytes; gives the ring back when nothing is left, so that an idle queue costs
 * nothing. */
static void advance(struct lp2p_fifo *fifo, size_t n)
{
    struct lp2p_slice *front = at(fifo, 0);
    LP2P_CHECK(n <= front->len);
    front->ptr += n;
    front->len -= (uint32_t)n;
    fifo->bytes -= n;
    if (front->len > 0) {
        return;
    }
    lp2p_slice_drop(front);
    fifo->head = (fifo->head + 1) & (LP2P_MAX(fifo->cap, OWN) - 1);
    fifo->len--;
    if (fifo->len == 0) {
        lp2p_fifo_clear(fifo);
    }
}

void lp2p_fifo_copy(struct lp2p_fifo *fifo, uint8_t *out, size_t n)
{
    LP2P_CHECK(n <= fifo->bytes);
    while (n > 0) {
        struct lp2p_span front = lp2p_fifo_front(fifo);
        size_t part = LP2P_MIN(front.len, n);
        memcpy(out, front.ptr, part);
        advance(fifo, part);
        out += part;
        n -= part;
    }
}

struct lp2p_slice lp2p_fifo_cut(struct lp2p_fifo *fifo, size_t n)
{
    if (fifo->len == 0 || n == 0) {
        return (struct lp2p_slice){0};
    }
    const struct lp2p_slice *front = at(fifo, 0);
    size_t part = LP2P_MIN(front->len, n);
    struct lp2p_slice cut = lp2p_slice_of(front->buf, front->ptr, part);
    advance(fifo, part);
    return cut;
}

size_t lp2p_fifo_skip(struct lp2p_fifo *fifo, size_t n)
{
    size_t done = 0;
    while (done < n && fifo->len > 0) {
        size_t part = LP2P_MIN((size_t)at(fifo, 0)->len, n - done);
        advance(fifo, part);
        done += part;
    }
    return done;
}

void lp2p_fifo_clear(struct lp2p_fifo *fifo)
{
    for (uint32_t i = 0; i < fifo->len; i++) {
        lp2p_slice_drop(at(fifo, i));
    }
    free(fifo->slices);
    *fifo = (struct lp2p_fifo){0};
}

struct lp2p_span lp2p_fifo_front(const struct lp2p_fifo *fifo)
{
    LP2P_CHECK(fifo->len > 0);
    return lp2p_slice_span(at(fifo, 0));
}
