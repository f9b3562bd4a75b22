/* SPDX-License-Identifier: MIT */
#include "tls/names.h"

#include "wire/ip_text.h"

#include <sodium.h>

size_t lp2p_tls_name_address(const char *name, uint8_t out[16])
{
    struct lp2p_span text = lp2p_span_str(name);
    return lp2p_ip4_from_text(text, out) ? 4 : lp2p_ip6_from_text(text, out) ? 16 : 0;
}

/** Cuts `text` behind the first `mark`; what stood before it. False: there is none. */
static bool cut(struct lp2p_span *text, const char *mark, struct lp2p_span *before)
{
    const uint8_t *found = text->len == 0 ? NULL : memmem(text->ptr, text->len, mark, strlen(mark));
    if (found == NULL) {
        return false;
    }
    *before = lp2p_span(text->ptr, (size_t)(found - text->ptr));
    *text = lp2p_span_skip(*text, before->len + strlen(mark));
    return true;
}

static bool ends_with(struct lp2p_span text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && memcmp(text.ptr + text.len - len, end, len) == 0;
}

enum lp2p_err lp2p_tls_pem_take(struct lp2p_span *text, const char *label, uint8_t *out, size_t cap,
                                size_t *len)
{
    struct lp2p_span before, name, body;
    *len = 0;
    do {
        if (!cut(text, "-----BEGIN ", &before) || !cut(text, "-----", &name) ||
            !cut(text, "-----END ", &body)) {
            return LP2P_ENOTFOUND;
        }
    } while (!ends_with(name, label));
    if (body.len / 4 * 3 > cap + 1024) { /* line ends and spaces are in it */
        return LP2P_EOVERSIZE;
    }
    const char *end = NULL;
    if (sodium_base642bin(out, cap, (const char *)body.ptr, body.len, "\r\n\t ", len, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != (const char *)body.ptr + body.len) {
        return LP2P_EMALFORMED;
    }
    return LP2P_OK;
}
