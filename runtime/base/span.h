/* SPDX-License-Identifier: MIT
 * Borrowed bytes. A span owns nothing and is valid as long as what it points into. Values: any thread. */
#ifndef LP2P_BASE_SPAN_H
#define LP2P_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lp2p_span {
    const uint8_t *ptr; /* may be NULL when len is 0 */
    size_t len;
};

static inline struct lp2p_span lp2p_span(const void *ptr, size_t len)
{
    return (struct lp2p_span){(const uint8_t *)ptr, len};
}

/** The bytes of a C string without its terminator. */
static inline struct lp2p_span lp2p_span_str(const char *text)
{
    return (struct lp2p_span){(const uint8_t *)text, strlen(text)};
}

static inline bool lp2p_span_eq(struct lp2p_span a, struct lp2p_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool lp2p_span_eq_str(struct lp2p_span a, const char *text)
{
    return lp2p_span_eq(a, lp2p_span_str(text));
}

/** The span without its first n bytes; n must be at most a.len. */
static inline struct lp2p_span lp2p_span_skip(struct lp2p_span a, size_t n)
{
    return n == 0 ? a : (struct lp2p_span){a.ptr + n, a.len - n};
}

#endif
