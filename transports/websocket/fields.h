/* SPDX-License-Identifier: MIT
 * One HTTP/1.1 message head, read by llhttp within limits; of its fields only those are kept that an upgrade looks at.
 * Part of an upgrade. */
#ifndef LP2P_WEBSOCKET_FIELDS_H
#define LP2P_WEBSOCKET_FIELDS_H

#include "websocket/upgrade.h"

#include <llhttp.h>

enum lp2p_http_field_id {
    LP2P_HTTP_CONNECTION,
    LP2P_HTTP_UPGRADE,
    LP2P_HTTP_VERSION,
    LP2P_HTTP_KEY,
    LP2P_HTTP_ACCEPT,
    LP2P_HTTP_EXTENSIONS,
    LP2P_HTTP_PROTOCOL,
    LP2P_HTTP_FORWARDED,
    LP2P_HTTP_FIELDS_KEPT,
};

struct lp2p_http_field {
    unsigned seen; /* how often it came */
    size_t len;
    bool cut;                             /* only its end is kept */
    char text[LP2P_WS_FORWARDED_MAX + 1]; /* values of several fields are joined by commas */
};

struct lp2p_http_head {
    llhttp_t parser;
    struct lp2p_ws_limits limits;
    size_t bytes, fields;
    char name[32]; /* of the field under way */
    size_t name_len;
    struct lp2p_http_field *field; /* where its value goes; NULL: nowhere */
    bool complete, too_many;
    struct lp2p_http_field kept[LP2P_HTTP_FIELDS_KEPT];
};

void lp2p_http_head_init(struct lp2p_http_head *head, llhttp_type_t type, const struct lp2p_ws_limits *limits);
/** Takes bytes up to the end of the head. OK: see `complete`. EMALFORMED, EOVERSIZE. */
enum lp2p_err lp2p_http_head_feed(struct lp2p_http_head *head, struct lp2p_span in, size_t *used) LP2P_MUST_CHECK;
/** The whole value without blanks around it. */
struct lp2p_span lp2p_http_value(const struct lp2p_http_head *head, enum lp2p_http_field_id id);
/** True when the value, a list with commas, holds the token in any case of letters. */
bool lp2p_http_has_token(const struct lp2p_http_head *head, enum lp2p_http_field_id id, const char *token);

#endif
