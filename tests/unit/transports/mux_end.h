/* SPDX-License-Identifier: MIT
 * One end of a muxer for tests: bytes in as hex or in pieces, bytes out as hex, events as a line of text. */
#ifndef LP2P_TESTS_MUX_END_H
#define LP2P_TESTS_MUX_END_H

#include "mux/core.h"
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>

struct mux_end {
    const struct lp2p_mux_ops *ops;
    struct lp2p_mux *mux;
    struct lp2p_rand_seeded gen;
    lp2p_time now;
    char text[1 << 16]; /* of the last events or output */
};

static inline void end_init(struct mux_end *end, const struct lp2p_mux_ops *ops,
                            const struct lp2p_mux_config *config, bool initiator)
{
    end->ops = ops;
    end->now = LP2P_SEC(1000);
    lp2p_rand_seeded_init(&end->gen, initiator ? 1 : 2);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&end->gen);
    end->mux = ops->create(config, initiator, &rand, end->now);
    LP2P_CHECK(end->mux != NULL);
}

static inline void end_fini(struct mux_end *end)
{
    end->ops->destroy(end->mux);
    end->mux = NULL;
}

/** Feeds bytes in a slab of their own. */
static inline enum lp2p_err end_feed(struct mux_end *end, const void *bytes, size_t len)
{
    struct lp2p_slice slice = lp2p_slice_copy(bytes, len);
    enum lp2p_err err = end->ops->feed(end->mux, &slice, end->now);
    lp2p_slice_drop(&slice);
    return err;
}

static inline enum lp2p_err end_feed_hex(struct mux_end *end, const char *hex)
{
    struct lp2p_span bytes = vectors_hex_text(hex);
    enum lp2p_err err = end_feed(end, bytes.ptr, bytes.len);
    vectors_free(bytes);
    return err;
}

static inline void end_say(struct mux_end *end, size_t *at, const char *what, uint64_t stream)
{
    *at += (size_t)snprintf(end->text + *at, sizeof(end->text) - *at, "%s%s %llu", *at == 0 ? "" : "; ", what,
                            (unsigned long long)stream);
    LP2P_CHECK(*at < sizeof(end->text) - 1024);
}

/** All events as text, e.g. "opened 1; data 1 5; eof 1". Data is dropped, and consumed when `consume` is set.
 */
static inline const char *end_events(struct mux_end *end, bool consume)
{
    size_t at = 0;
    end->text[0] = '\0';
    for (;;) {
        struct lp2p_mux_event event;
        end->ops->next(end->mux, &event);
        switch (event.kind) {
        case LP2P_MUX_NONE:
            return end->text;
        case LP2P_MUX_STREAM_OPENED:
            end_say(end, &at, "opened", event.stream);
            break;
        case LP2P_MUX_STREAM_DATA:
            end_say(end, &at, "data", event.stream);
            at += (size_t)sprintf(end->text + at, " %u", event.data.len);
            lp2p_slice_drop(&event.data);
            if (consume) {
                (void)end->ops->consumed(end->mux, event.stream, event.bytes, end->now);
            }
            break;
        case LP2P_MUX_STREAM_EOF:
            end_say(end, &at, "eof", event.stream);
            break;
        case LP2P_MUX_STREAM_RESET:
            end_say(end, &at, "reset", event.stream);
            at += (size_t)sprintf(end->text + at, " %u", event.code);
            break;
        case LP2P_MUX_STREAM_WRITABLE:
            end_say(end, &at, "writable", event.stream);
            at += (size_t)sprintf(end->text + at, " %u", event.bytes);
            break;
        case LP2P_MUX_STREAM_CLOSED:
            end_say(end, &at, "closed", event.stream);
            break;
        case LP2P_MUX_GOAWAY:
            end_say(end, &at, "goaway", event.code);
            break;
        case LP2P_MUX_FAILED:
            end_say(end, &at, lp2p_errname(event.reason), 0);
            break;
        }
    }
}

static inline size_t end_drain(struct mux_end *end, uint8_t *out, size_t cap)
{
    bool wanted = end->ops->wants_write(end->mux);
    size_t len = end->ops->drain(end->mux, out, cap, end->now);
    LP2P_CHECK(len <= cap);
    LP2P_CHECK(wanted || len == 0);
    return len;
}

/** What leaves in one drain of up to 8 KiB, as hex. */
static inline const char *end_output(struct mux_end *end)
{
    uint8_t out[8192];
    size_t len = end_drain(end, out, sizeof(out));
    end->text[0] = '\0';
    for (size_t i = 0; i < len; i++) {
        sprintf(end->text + 2 * i, "%02x", out[i]);
    }
    return end->text;
}

static inline enum lp2p_err end_write(struct mux_end *end, uint64_t stream, const void *bytes, size_t len)
{
    struct lp2p_slice slice = lp2p_slice_copy(bytes, len);
    enum lp2p_err err = end->ops->write(end->mux, stream, &slice);
    LP2P_CHECK(err != LP2P_OK || slice.buf == NULL);
    lp2p_slice_drop(&slice);
    return err;
}

/** Moves what `from` has to send to `to` in one piece of up to cap bytes; returns the number. */
static inline size_t end_carry(struct mux_end *from, struct mux_end *to, size_t cap)
{
    struct lp2p_buf *buf = lp2p_buf_new(cap);
    size_t len = end_drain(from, buf->bytes, cap);
    if (len > 0) {
        struct lp2p_slice slice = {buf, buf->bytes, (uint32_t)len};
        (void)to->ops->feed(to->mux, &slice, to->now);
    }
    lp2p_buf_drop(&buf);
    return len;
}

static inline struct lp2p_mux_stats end_stats(const struct mux_end *end)
{
    struct lp2p_mux_stats stats;
    end->ops->stats(end->mux, &stats);
    return stats;
}

#endif
