/* SPDX-License-Identifier: MIT */
#include "actors/resolver/dns_text.h"

#include "base/check.h"

enum { TYPE_TXT = 16, CLASS_IN = 1, RCODE_NAME_ERROR = 3, HEADER_LEN = 12, LABEL_MAX = 63 };

static bool take16(struct lp2p_span *rest, uint32_t *out)
{
    if (rest->len < 2) {
        return false;
    }
    *out = (uint32_t)rest->ptr[0] << 8 | rest->ptr[1];
    *rest = lp2p_span_skip(*rest, 2);
    return true;
}

static bool take32(struct lp2p_span *rest, uint32_t *out)
{
    uint32_t high = 0, low = 0;
    bool ok = take16(rest, &high) && take16(rest, &low);
    *out = high << 16 | low;
    return ok;
}

static bool skip(struct lp2p_span *rest, size_t len)
{
    if (rest->len < len) {
        return false;
    }
    *rest = lp2p_span_skip(*rest, len);
    return true;
}

/** Passes over a name. A pointer ends it; where it points to is nobody's business, so that no loop can be made of them. */
static bool skip_name(struct lp2p_span *rest)
{
    while (rest->len > 0) {
        uint8_t first = rest->ptr[0];
        if ((first & 0xc0) == 0xc0) {
            return skip(rest, 2);
        }
        if (first > LABEL_MAX || !skip(rest, 1u + first)) {
            return false;
        }
        if (first == 0) {
            return true;
        }
    }
    return false;
}

/** Joins the strings of a record (RFC 1035 3.3.14); false when they do not add up or are too long. */
static bool join(struct lp2p_span data, char out[LP2P_DNS_TEXT_MAX])
{
    size_t len = 0;
    while (data.len > 0) {
        size_t part = data.ptr[0];
        data = lp2p_span_skip(data, 1);
        if (part > data.len || len + part >= LP2P_DNS_TEXT_MAX) {
            return false;
        }
        memcpy(out + len, data.ptr, part);
        len += part;
        data = lp2p_span_skip(data, part);
    }
    out[len] = '\0';
    return memchr(out, '\0', len) == NULL;
}

static bool read_record(struct lp2p_span data, struct lp2p_multiaddr *out)
{
    static const char prefix[] = "dnsaddr=";
    char text[LP2P_DNS_TEXT_MAX];
    return join(data, text) && strncmp(text, prefix, sizeof(prefix) - 1) == 0 &&
           lp2p_multiaddr_from_text(text + sizeof(prefix) - 1, out, NULL) == LP2P_OK;
}

/** One record of the answer section; false: the message is broken. */
static bool answer(struct lp2p_span *rest, struct lp2p_multiaddr *out, size_t cap, struct lp2p_dns_text *result)
{
    uint32_t type = 0, class = 0, ttl = 0, len = 0;
    if (!skip_name(rest) || !take16(rest, &type) || !take16(rest, &class) || !take32(rest, &ttl) ||
        !take16(rest, &len) || rest->len < len) {
        return false;
    }
    struct lp2p_span data = lp2p_span(rest->ptr, len);
    *rest = lp2p_span_skip(*rest, len);
    if (type != TYPE_TXT || class != CLASS_IN) {
        return true; /* an alias on the way to the texts */
    }
    if (result->len == cap || !read_record(data, &out[result->len])) {
        result->skipped++;
        return true;
    }
    ttl = (ttl & 0x80000000u) != 0 ? 0 : ttl; /* RFC 2181 8: a negative time to live is zero */
    result->ttl_s = result->len == 0 ? ttl : LP2P_MIN(result->ttl_s, ttl);
    result->len++;
    return true;
}

enum lp2p_err lp2p_dns_text_read(struct lp2p_span message, struct lp2p_multiaddr *out, size_t cap,
                                 struct lp2p_dns_text *result)
{
    *result = (struct lp2p_dns_text){0};
    if (message.len < HEADER_LEN || (message.ptr[2] & 0x80) == 0) {
        return LP2P_EMALFORMED;
    }
    unsigned rcode = message.ptr[3] & 0x0f;
    if (rcode != 0) {
        return rcode == RCODE_NAME_ERROR ? LP2P_ENOTFOUND : LP2P_EUNREACHABLE;
    }
    struct lp2p_span rest = lp2p_span_skip(message, 4);
    uint32_t questions = 0, answers = 0;
    if (!take16(&rest, &questions) || !take16(&rest, &answers) || !skip(&rest, 4)) {
        return LP2P_EMALFORMED;
    }
    /* Each turn takes bytes off, so the counts, which are the sender's, cannot make this long. */
    for (; questions > 0; questions--) {
        if (!skip_name(&rest) || !skip(&rest, 4)) {
            return LP2P_EMALFORMED;
        }
    }
    for (; answers > 0; answers--) {
        if (!answer(&rest, out, cap, result)) {
            return LP2P_EMALFORMED;
        }
    }
    return LP2P_OK;
}
