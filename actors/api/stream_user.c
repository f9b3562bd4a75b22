/* SPDX-License-Identifier: MIT
 * The public calls on stream handles. */
#include "actors/api/stream.h"
#include "runtime/pool.h"

#include <string.h>

#define WRITE_SLICE_BYTES (64u * 1024)
#define COPY_IN_LOCK_BYTES 2048u /* shorter than giving the lock up and taking it */
#define SHARED_SLAB_BYTES 1000u  /* the second slab of what waits holds twice as much, and so on */

/* ---- reading */

/* Copies what is there, outside of the lock if it is much: the front slice is stable, because only its one
 * reader takes it away. */
static size_t take(struct lp2p_stream *stream, uint8_t *out, size_t cap)
{
    size_t got = 0;
    while (got < cap && !stream->local_reset) {
        struct lp2p_span front = lp2p_stream_front(stream);
        if (front.len == 0) {
            break;
        }
        size_t n = LP2P_MIN(front.len, cap - got);
        if (n <= COPY_IN_LOCK_BYTES) {
            memcpy(out + got, front.ptr, n);
        } else {
            pthread_mutex_unlock(&stream->lock);
            memcpy(out + got, front.ptr, n);
            lp2p_stream_lock(stream);
        }
        lp2p_stream_advance(stream, n);
        got += n;
    }
    return got;
}

enum lp2p_err lp2p_stream_read(struct lp2p_stream *stream, void *out, size_t cap, int timeout_ms, size_t *got)
{
    if (got != NULL) {
        *got = 0;
    }
    if (stream == NULL || out == NULL || cap == 0 || got == NULL) {
        return LP2P_EINVAL;
    }
    uint64_t deadline = LP2P_NEVER; /* the clock is asked only by who waits */
    enum lp2p_err err = LP2P_OK;
    lp2p_stream_lock(stream);
    for (;;) {
        *got = take(stream, out, cap);
        if (*got > 0) {
            err = LP2P_OK;
            break;
        }
        if (stream->ended && !(stream->eof && !stream->local_reset)) {
            stream->end_told = true;
            err = stream->end_reason;
            break;
        }
        if (stream->eof) {
            stream->eof_told = stream->end_told = true;
            err = LP2P_OK;
            break;
        }
        if (timeout_ms == 0 || err == LP2P_ETIMEDOUT) {
            err = timeout_ms == 0 ? LP2P_EAGAIN : LP2P_ETIMEDOUT;
            break;
        }
        deadline = deadline == LP2P_NEVER ? lp2p_deadline_after_ms(timeout_ms) : deadline;
        err = lp2p_bell_wait(&stream->readable, &stream->lock, deadline);
    }
    lp2p_stream_settle(stream);
    return err;
}

/* ---- writing */

/* A slab with a copy of much, made without the lock (there is one writer); *n: how much. */
static enum lp2p_err append_large(struct lp2p_stream *stream, const uint8_t *bytes, size_t *n)
{
    *n = LP2P_MIN(*n, (size_t)WRITE_SLICE_BYTES);
    pthread_mutex_unlock(&stream->lock);
    struct lp2p_buf *slab = lp2p_pool_buf(*n);
    if (slab != NULL) {
        memcpy(slab->bytes, bytes, *n);
    }
    lp2p_stream_lock(stream);
    if (slab == NULL || stream->ended) {
        lp2p_buf_drop(&slab);
        *n = 0;
        return stream->ended ? stream->end_reason : LP2P_ENOMEM;
    }
    enum lp2p_err err = lp2p_stream_post_write(stream);
    if (err != LP2P_OK) {
        lp2p_buf_drop(&slab);
        *n = 0;
        return err;
    }
    stream->written[stream->written_len++] = (struct lp2p_slice){slab, slab->bytes, (uint32_t)*n};
    return LP2P_OK;
}

/* Appends copies of the first bytes to what waits for the muxer; *n: how many it may be, and were. Fewer: all
 * places are taken. */
static enum lp2p_err append_small(struct lp2p_stream *stream, const uint8_t *bytes, size_t *n)
{
    size_t want = *n, done = 0;
    *n = 0;
    enum lp2p_err err = lp2p_stream_post_write(stream);
    if (err != LP2P_OK) {
        return err;
    }
    if (stream->written_len > 0) {
        struct lp2p_slice *last = &stream->written[stream->written_len - 1];
        size_t room = last->buf->cap - (size_t)(last->ptr - last->buf->bytes) - last->len;
        done = LP2P_MIN(room, want);
        memcpy(last->ptr + last->len, bytes, done);
        last->len += (uint32_t)done;
    }
    while (done < want && stream->written_len < LP2P_SLICES_MAX) {
        /* A write of its own gets what it needs, others that come before it has left share a larger slab. */
        size_t len = LP2P_MIN(want - done, (size_t)WRITE_SLICE_BYTES);
        size_t cap =
            stream->written_len == 0 ? len : LP2P_MAX(len, (size_t)SHARED_SLAB_BYTES << stream->written_len);
        struct lp2p_buf *slab = lp2p_pool_buf(LP2P_MIN(cap, (size_t)WRITE_SLICE_BYTES));
        if (slab == NULL) {
            err = LP2P_ENOMEM;
            break;
        }
        memcpy(slab->bytes, bytes + done, len);
        stream->written[stream->written_len++] = (struct lp2p_slice){slab, slab->bytes, (uint32_t)len};
        done += len;
    }
    *n = done;
    return done > 0 ? LP2P_OK : err;
}

/* Hands over as many bytes as there is credit for, once. With the lock held on entry and on return; *n is
 * what was taken. EAGAIN: no credit, or no place until the muxer has fetched what waits (if its mailbox is
 * full, the registrar sees to a retry). */
static enum lp2p_err put_once(struct lp2p_stream *stream, const uint8_t *bytes, size_t len, size_t *n)
{
    *n = 0;
    if (stream->ended) {
        return stream->end_reason;
    }
    if (stream->fin_wanted) {
        return LP2P_ESTATE;
    }
    size_t taken = LP2P_MIN(len, (size_t)stream->credit);
    if (taken == 0 || stream->written_len == LP2P_SLICES_MAX) {
        return LP2P_EAGAIN;
    }
    enum lp2p_err err = taken > COPY_IN_LOCK_BYTES ? append_large(stream, bytes, &taken)
                                                   : append_small(stream, bytes, &taken);
    if (err == LP2P_OK) {
        stream->credit -= (uint32_t)taken;
        *n = taken;
    } else if (err == LP2P_EFULL) {
        stream->retry = true;
        err = LP2P_EAGAIN;
    } else if (err == LP2P_EGONE || err == LP2P_ESTATE) {
        err = LP2P_ECLOSED;
    }
    return err;
}

enum lp2p_err lp2p_stream_write(struct lp2p_stream *stream, const void *bytes, size_t len, int timeout_ms,
                                size_t *put)
{
    if (put != NULL) {
        *put = 0;
    }
    if (stream == NULL || (bytes == NULL && len > 0) || put == NULL) {
        return LP2P_EINVAL;
    }
    uint64_t deadline = LP2P_NEVER; /* the clock is asked only by who waits */
    enum lp2p_err err = LP2P_OK, waited = LP2P_OK;
    lp2p_stream_lock(stream);
    stream->edge = false;
    while (*put < len) {
        size_t n = 0;
        err = put_once(stream, (const uint8_t *)bytes + *put, len - *put, &n);
        *put += n;
        if (err != LP2P_EAGAIN && err != LP2P_OK) {
            break;
        }
        if (err == LP2P_OK) {
            continue;
        }
        if (timeout_ms == 0 || waited == LP2P_ETIMEDOUT) {
            err = timeout_ms != 0 ? LP2P_ETIMEDOUT : *put == 0 ? LP2P_EAGAIN : LP2P_OK;
            break;
        }
        deadline = deadline == LP2P_NEVER ? lp2p_deadline_after_ms(timeout_ms) : deadline;
        uint64_t until = deadline;
        if (stream->retry) {
            /* Have it listed before sleeping. The lock is free for a moment, so a wake-up may be missed:
             * sleep shortly. */
            stream->blocked = true;
            lp2p_stream_settle(stream);
            lp2p_stream_lock(stream);
            until = LP2P_MIN(deadline, lp2p_gate_clock_ns() + LP2P_MS(10));
        }
        stream->blocked = true;
        waited = lp2p_bell_wait(&stream->writable, &stream->lock, until);
        waited = until < deadline ? LP2P_OK : waited;
    }
    stream->blocked = *put < len;
    lp2p_stream_settle(stream);
    return err;
}

enum lp2p_err lp2p_stream_close_write(struct lp2p_stream *stream)
{
    if (stream == NULL) {
        return LP2P_EINVAL;
    }
    lp2p_stream_lock(stream);
    enum lp2p_err err = stream->ended && !stream->fin_wanted ? stream->end_reason : LP2P_OK;
    stream->fin_wanted = true;
    lp2p_stream_settle(stream);
    return err;
}

void lp2p_stream_reset(struct lp2p_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    lp2p_stream_lock(stream);
    if (!stream->ended && !(stream->eof && stream->fin_sent)) {
        stream->abort_wanted = true;
        stream->ended = true;
        stream->end_reason = LP2P_ECLOSED;
    }
    stream->local_reset = true;
    lp2p_bell_ring(&stream->readable);
    lp2p_bell_ring(&stream->writable);
    lp2p_stream_settle(stream);
}

int lp2p_stream_fd(struct lp2p_stream *stream)
{
    if (stream == NULL) {
        return -1;
    }
    lp2p_stream_lock(stream);
    if (stream->fd < 0) {
        stream->fd = lp2p_signal_fd_new();
        stream->fd_set = false; /* settle sets it if something waits */
    }
    int fd = stream->fd;
    lp2p_stream_settle(stream);
    return fd;
}

const char *lp2p_stream_peer(const struct lp2p_stream *stream)
{
    return stream == NULL ? "" : stream->peer;
}

const char *lp2p_stream_protocol(const struct lp2p_stream *stream)
{
    return stream == NULL ? "" : stream->protocol;
}

void lp2p_stream_free(struct lp2p_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    lp2p_stream_lock(stream);
    LP2P_CHECK(stream->user_holds); /* freed twice */
    stream->user_holds = false;
    if (!stream->ended && stream->queue_len > 0) {
        stream->abort_wanted = true; /* unread data is lost: the peer shall know */
        stream->ended = true;
        stream->end_reason = LP2P_ECLOSED;
    }
    stream->fin_wanted = true;
    while (stream->queue_len > 0) { /* not to be kept until the peer ends its half */
        lp2p_stream_advance(stream, lp2p_stream_front(stream).len);
    }
    lp2p_stream_settle(stream);
    lp2p_stream_unref(stream);
}
