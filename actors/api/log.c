/* SPDX-License-Identifier: MIT */
#include "actors/api/node.h"

#include <stdarg.h>
#include <stdio.h>

void lp2p_log(const struct lp2p_context *ctx, enum lp2p_log_level level, const char *module,
              const char *format, ...)
{
    if (ctx->config.log_fn == NULL || level > ctx->config.log_level) {
        return;
    }
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pthread_mutex_t *lock =
        ctx->node == NULL ? NULL : &ctx->node->log_lock; /* tests of single actors have no node */
    if (lock != NULL) {
        pthread_mutex_lock(lock);
    }
    ctx->config.log_fn(ctx->config.log_user, level, module, text);
    if (lock != NULL) {
        pthread_mutex_unlock(lock);
    }
}

/* Length of the well-formed UTF-8 sequence at the front (Unicode 15, table 3-7), and its code point; 0:
 * ill-formed. */
static size_t utf8_next(struct lp2p_span text, uint32_t *point)
{
    uint8_t first = text.ptr[0];
    if (first < 0x80) {
        *point = first;
        return 1;
    }
    size_t len = first >= 0xC2 && first <= 0xDF   ? 2
                 : (first & 0xF0) == 0xE0         ? 3
                 : first >= 0xF0 && first <= 0xF4 ? 4
                                                  : 0;
    if (len == 0 || len > text.len) {
        return 0;
    }
    uint32_t value = first & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((text.ptr[i] & 0xC0) != 0x80) {
            return 0;
        }
        value = value << 6 | (text.ptr[i] & 0x3Fu);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < least[len] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
        return 0;
    }
    *point = value;
    return len;
}

/* Control characters move the cursor or ring the bell, and the bidirectional ones make a text look like
 * another. */
static bool is_harmful(uint32_t point)
{
    return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x200E || point == 0x200F ||
           (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069) || point == 0xFEFF;
}

void lp2p_printable(struct lp2p_span text, char *out, size_t cap)
{
    size_t used = 0;
    if (cap == 0) {
        return;
    }
    while (text.len > 0) {
        uint32_t point = 0;
        size_t len = utf8_next(text, &point);
        bool keep = len > 0 && !is_harmful(point);
        size_t need = keep ? len : 1;
        if (used + need >= cap) {
            break;
        }
        if (keep) {
            memcpy(out + used, text.ptr, len);
        } else {
            out[used] = '?';
        }
        used += need;
        text = lp2p_span_skip(text, len > 0 ? len : 1);
    }
    out[used] = '\0';
}
