/* SPDX-License-Identifier: MIT */
#include "websocket/fields.h"

#include "base/check.h"

#include <strings.h>

static const char *const names[LP2P_HTTP_FIELDS_KEPT] = {
    [LP2P_HTTP_CONNECTION] = "connection",
    [LP2P_HTTP_UPGRADE] = "upgrade",
    [LP2P_HTTP_VERSION] = "sec-websocket-version",
    [LP2P_HTTP_KEY] = "sec-websocket-key",
    [LP2P_HTTP_ACCEPT] = "sec-websocket-accept",
    [LP2P_HTTP_EXTENSIONS] = "sec-websocket-extensions",
    [LP2P_HTTP_PROTOCOL] = "sec-websocket-protocol",
    [LP2P_HTTP_FORWARDED] = "x-forwarded-for",
};

static struct lp2p_http_head *head_of(llhttp_t *parser)
{
    return parser->data;
}

/** Appends; of what is too long the end is kept: the last hops of X-Forwarded-For are the ones that count. What stands where it
 *  was cut may be a part of another address: a '?' in front makes it none. */
static void append(struct lp2p_http_field *field, const char *at, size_t len)
{
    const size_t cap = sizeof(field->text) - 1;
    if (len > cap) {
        at += len - cap;
        len = cap;
        field->cut = true;
    }
    if (field->len + len > cap) {
        size_t drop = field->len + len - cap;
        memmove(field->text, field->text + drop, field->len - drop);
        field->len -= drop;
        field->cut = true;
    }
    memcpy(field->text + field->len, at, len);
    field->len += len;
    if (field->cut) {
        field->text[0] = '?';
    }
    field->text[field->len] = '\0';
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct lp2p_http_head *head = head_of(parser);
    size_t part = LP2P_MIN(len, sizeof(head->name) - head->name_len);
    memcpy(head->name + head->name_len, at, part);
    head->name_len += part; /* a longer name fills it up and is none of ours */
    return 0;
}

static int on_name_end(llhttp_t *parser)
{
    struct lp2p_http_head *head = head_of(parser);
    head->fields++;
    if (head->fields > head->limits.fields_max) {
        head->too_many = true;
        return -1;
    }
    head->field = NULL;
    for (size_t i = 0; i < LP2P_HTTP_FIELDS_KEPT; i++) {
        if (strlen(names[i]) == head->name_len && strncasecmp(names[i], head->name, head->name_len) == 0) {
            head->field = &head->kept[i];
        }
    }
    if (head->field != NULL && head->field->seen++ > 0) {
        append(head->field, ",", 1);
    }
    head->name_len = 0;
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct lp2p_http_head *head = head_of(parser);
    if (head->field != NULL) {
        append(head->field, at, len);
    }
    return 0;
}

static int on_head_end(llhttp_t *parser)
{
    head_of(parser)->complete = true;
    return 2; /* no body: what follows is not HTTP, or of no interest */
}

void lp2p_http_head_init(struct lp2p_http_head *head, llhttp_type_t type, const struct lp2p_ws_limits *limits)
{
    static const llhttp_settings_t settings = {.on_header_field = on_name,
                                               .on_header_field_complete = on_name_end,
                                               .on_header_value = on_value,
                                               .on_headers_complete = on_head_end};
    memset(head, 0, sizeof(*head));
    head->limits = *limits;
    llhttp_init(&head->parser, type, &settings);
    head->parser.data = head;
}

enum lp2p_err lp2p_http_head_feed(struct lp2p_http_head *head, struct lp2p_span in, size_t *used)
{
    size_t part = LP2P_MIN(in.len, head->limits.bytes_max - head->bytes);
    *used = 0;
    llhttp_errno_t result = llhttp_execute(&head->parser, (const char *)in.ptr, part);
    if (head->complete) {
        /* HPE_PAUSED_UPGRADE; the place is behind the empty line. */
        const char *place = llhttp_get_error_pos(&head->parser);
        LP2P_CHECK(place >= (const char *)in.ptr && place <= (const char *)in.ptr + part);
        *used = (size_t)(place - (const char *)in.ptr);
        head->bytes += *used;
        return LP2P_OK;
    }
    *used = part;
    head->bytes += part;
    if (result != HPE_OK) {
        return head->too_many ? LP2P_EOVERSIZE : LP2P_EMALFORMED;
    }
    return head->bytes == head->limits.bytes_max ? LP2P_EOVERSIZE : LP2P_OK;
}

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct lp2p_span trim(struct lp2p_span text)
{
    while (text.len > 0 && blank(text.ptr[0])) {
        text = lp2p_span_skip(text, 1);
    }
    while (text.len > 0 && blank(text.ptr[text.len - 1])) {
        text.len--;
    }
    return text;
}

struct lp2p_span lp2p_http_value(const struct lp2p_http_head *head, enum lp2p_http_field_id id)
{
    return trim(lp2p_span(head->kept[id].text, head->kept[id].len));
}

bool lp2p_http_has_token(const struct lp2p_http_head *head, enum lp2p_http_field_id id, const char *token)
{
    struct lp2p_span rest = lp2p_span(head->kept[id].text, head->kept[id].len);
    while (rest.len > 0) {
        const uint8_t *comma = memchr(rest.ptr, ',', rest.len);
        size_t len = comma == NULL ? rest.len : (size_t)(comma - rest.ptr);
        struct lp2p_span one = trim(lp2p_span(rest.ptr, len));
        if (one.len == strlen(token) && strncasecmp((const char *)one.ptr, token, one.len) == 0) {
            return true;
        }
        rest = lp2p_span_skip(rest, comma == NULL ? len : len + 1);
    }
    return false;
}
