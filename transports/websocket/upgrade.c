/* SPDX-License-Identifier: MIT */
#include "websocket/upgrade.h"

#include "base/check.h"
#include "websocket/fields.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_TEXT 24 /* base64 of 16 bytes */
#define HOW_TO_UPGRADE "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade, close\r\n"
#define SAID_MAX (LP2P_WS_HOST_MAX + LP2P_WS_PATH_MAX + 256)

const struct lp2p_ws_limits lp2p_ws_limits_default = {LP2P_WS_UPGRADE_BYTES_MAX, LP2P_WS_UPGRADE_FIELDS_MAX};

enum upgrade_state { UPGRADE_READING, UPGRADE_DONE, UPGRADE_FAILED };

struct lp2p_ws_upgrade {
    enum upgrade_state state;
    bool client;
    struct lp2p_http_head head;
    char accept[29]; /* client: what the server has to say */
    lp2p_ws_judge judge; /* server; NULL: any claim is good */
    void *judge_ctx;
    struct lp2p_ws_upgrade_event event;
    size_t said_at, said_len; /* request or answer that is being drained */
    char said[SAID_MAX];
};

static struct lp2p_ws_upgrade *upgrade_new(bool client, const struct lp2p_ws_limits *limits)
{
    struct lp2p_ws_upgrade *upgrade = calloc(1, sizeof(*upgrade));
    if (upgrade != NULL) {
        upgrade->client = client;
        lp2p_http_head_init(&upgrade->head, client ? HTTP_RESPONSE : HTTP_REQUEST,
                            limits == NULL ? &lp2p_ws_limits_default : limits);
    }
    return upgrade;
}

void lp2p_ws_upgrade_free(struct lp2p_ws_upgrade *upgrade)
{
    free(upgrade);
}

struct lp2p_ws_upgrade *lp2p_ws_upgrade_server(const struct lp2p_ws_limits *limits)
{
    return upgrade_new(false, limits);
}

/** What could end a line or a word of the request must not come in from an address. */
static bool sendable(const char *text, size_t max)
{
    size_t len = 0;
    for (; text[len] != '\0'; len++) {
        if (len == max || text[len] <= ' ' || text[len] >= 0x7f) {
            return false;
        }
    }
    return len > 0;
}

bool lp2p_ws_host_is_sendable(const char *host)
{
    return sendable(host, LP2P_WS_HOST_MAX);
}

struct lp2p_ws_upgrade *lp2p_ws_upgrade_client(const char *host, const char *path, const struct lp2p_rand *rand,
                                               const struct lp2p_ws_limits *limits)
{
    if (!lp2p_ws_host_is_sendable(host) || !sendable(path, LP2P_WS_PATH_MAX) || path[0] != '/') {
        return NULL;
    }
    struct lp2p_ws_upgrade *upgrade = upgrade_new(true, limits);
    if (upgrade == NULL) {
        return NULL;
    }
    uint8_t bytes[16];
    char key[KEY_TEXT + 1];
    lp2p_rand_fill(rand, bytes, sizeof(bytes));
    sodium_bin2base64(key, sizeof(key), bytes, sizeof(bytes), sodium_base64_VARIANT_ORIGINAL);
    lp2p_ws_accept_value(lp2p_span_str(key), upgrade->accept);
    int len = snprintf(upgrade->said, sizeof(upgrade->said),
                       "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                       path, host, key);
    LP2P_CHECK(len > 0 && (size_t)len < sizeof(upgrade->said));
    upgrade->said_len = (size_t)len;
    return upgrade;
}

static enum lp2p_err finish(struct lp2p_ws_upgrade *upgrade, enum lp2p_err reason, unsigned status)
{
    upgrade->state = reason == LP2P_OK ? UPGRADE_DONE : UPGRADE_FAILED;
    upgrade->event = (struct lp2p_ws_upgrade_event){
        reason == LP2P_OK ? LP2P_WS_UPGRADED : LP2P_WS_UPGRADE_FAILED, reason, status};
    return reason;
}

static void accept_client(struct lp2p_ws_upgrade *upgrade)
{
    char accept[29];
    lp2p_ws_accept_value(lp2p_http_value(&upgrade->head, LP2P_HTTP_KEY), accept);
    int len = snprintf(upgrade->said, sizeof(upgrade->said),
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: %s\r\n\r\n",
                       accept);
    upgrade->said_len = (size_t)len;
}

/** The answer to what is no upgrade: for a person who looks, and for a client that reads the status. */
static enum lp2p_err refuse(struct lp2p_ws_upgrade *upgrade, enum lp2p_err reason)
{
    static const struct {
        enum lp2p_err reason;
        unsigned status;
        const char *phrase, *fields, *text;
    } answers[] = {
        {LP2P_ENEGOTIATION, 426, "Upgrade Required", HOW_TO_UPGRADE,
         "This port belongs to a libp2p node. It speaks WebSocket to libp2p clients and has no pages.\n"},
        {LP2P_EVERSION, 426, "Upgrade Required", HOW_TO_UPGRADE,
         "Only version 13 of WebSocket is spoken here.\n"},
        {LP2P_EOVERSIZE, 431, "Request Header Fields Too Large", "Connection: close\r\n", "The request is too large.\n"},
        {LP2P_EMALFORMED, 400, "Bad Request", "Connection: close\r\n", "This is no request that a libp2p node understands.\n"},
    };
    size_t i = 0;
    while (answers[i].reason != reason && i + 1 < LP2P_ARRAY_LEN(answers)) {
        i++;
    }
    /* A page is not sent in answer to HEAD; its length is. */
    bool page = upgrade->head.parser.method != HTTP_HEAD;
    int len = snprintf(upgrade->said, sizeof(upgrade->said),
                       "HTTP/1.1 %u %s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"
                       "Content-Length: %zu\r\nCache-Control: no-store\r\n\r\n%s",
                       answers[i].status, answers[i].phrase, answers[i].fields, strlen(answers[i].text),
                       page ? answers[i].text : "");
    upgrade->said_len = (size_t)len;
    return finish(upgrade, reason, answers[i].status);
}

static enum lp2p_err judge_request(const struct lp2p_http_head *head)
{
    if (head->parser.method != HTTP_GET || !lp2p_http_has_token(head, LP2P_HTTP_UPGRADE, "websocket") ||
        !lp2p_http_has_token(head, LP2P_HTTP_CONNECTION, "upgrade")) {
        return LP2P_ENEGOTIATION;
    }
    if (head->parser.http_major != 1 || head->parser.http_minor != 1) {
        return LP2P_EMALFORMED;
    }
    if (!lp2p_span_eq_str(lp2p_http_value(head, LP2P_HTTP_VERSION), "13")) {
        return LP2P_EVERSION;
    }
    struct lp2p_span key = lp2p_http_value(head, LP2P_HTTP_KEY);
    uint8_t bytes[16];
    size_t len = 0;
    bool valid = key.len == KEY_TEXT &&
                 sodium_base642bin(bytes, sizeof(bytes), (const char *)key.ptr, key.len, NULL, &len, NULL,
                                   sodium_base64_VARIANT_ORIGINAL) == 0;
    return valid && len == sizeof(bytes) ? LP2P_OK : LP2P_EMALFORMED;
}

static enum lp2p_err on_request(struct lp2p_ws_upgrade *upgrade)
{
    enum lp2p_err err = judge_request(&upgrade->head);
    if (err == LP2P_OK && upgrade->judge != NULL) {
        err = upgrade->judge(upgrade->judge_ctx, lp2p_ws_upgrade_forwarded(upgrade));
    }
    if (err != LP2P_OK) {
        return refuse(upgrade, err);
    }
    accept_client(upgrade);
    return finish(upgrade, LP2P_OK, 101);
}

static enum lp2p_err on_answer(struct lp2p_ws_upgrade *upgrade)
{
    const struct lp2p_http_head *head = &upgrade->head;
    unsigned status = head->parser.status_code;
    if (status != 101) { /* also a redirect: the address is what the user wants to reach */
        return finish(upgrade, LP2P_ENEGOTIATION, status);
    }
    bool agreed = lp2p_http_has_token(head, LP2P_HTTP_UPGRADE, "websocket") &&
                  lp2p_http_has_token(head, LP2P_HTTP_CONNECTION, "upgrade") &&
                  lp2p_span_eq_str(lp2p_http_value(head, LP2P_HTTP_ACCEPT), upgrade->accept);
    /* We asked for none; a server that agrees to one would send what we do not understand. */
    bool more = lp2p_http_value(head, LP2P_HTTP_EXTENSIONS).len > 0 ||
                lp2p_http_value(head, LP2P_HTTP_PROTOCOL).len > 0;
    return finish(upgrade, agreed && !more ? LP2P_OK : LP2P_EPROTO, status);
}

enum lp2p_err lp2p_ws_upgrade_feed(struct lp2p_ws_upgrade *upgrade, struct lp2p_span in, lp2p_time now,
                                   size_t *used)
{
    (void)now;
    *used = 0;
    if (upgrade->state != UPGRADE_READING) {
        return upgrade->state == UPGRADE_FAILED ? LP2P_ESTATE : LP2P_OK;
    }
    if (in.len == 0) {
        return LP2P_OK;
    }
    enum lp2p_err err = lp2p_http_head_feed(&upgrade->head, in, used);
    if (err != LP2P_OK) {
        return upgrade->client ? finish(upgrade, err, 0) : refuse(upgrade, err);
    }
    if (!upgrade->head.complete) {
        return LP2P_OK;
    }
    return upgrade->client ? on_answer(upgrade) : on_request(upgrade);
}

void lp2p_ws_upgrade_next(struct lp2p_ws_upgrade *upgrade, struct lp2p_ws_upgrade_event *event)
{
    *event = upgrade->event;
    upgrade->event = (struct lp2p_ws_upgrade_event){0};
}

size_t lp2p_ws_upgrade_drain(struct lp2p_ws_upgrade *upgrade, uint8_t *out, size_t cap, lp2p_time now)
{
    (void)now;
    size_t part = LP2P_MIN(cap, upgrade->said_len - upgrade->said_at);
    memcpy(out, upgrade->said + upgrade->said_at, part);
    upgrade->said_at += part;
    return part;
}

lp2p_time lp2p_ws_upgrade_deadline(const struct lp2p_ws_upgrade *upgrade)
{
    (void)upgrade;
    return LP2P_NEVER;
}

size_t lp2p_ws_upgrade_memory_bytes(void)
{
    return sizeof(struct lp2p_ws_upgrade);
}

const char *lp2p_ws_upgrade_forwarded(const struct lp2p_ws_upgrade *upgrade)
{
    return upgrade->head.kept[LP2P_HTTP_FORWARDED].text;
}

void lp2p_ws_upgrade_judge(struct lp2p_ws_upgrade *upgrade, lp2p_ws_judge judge, void *ctx)
{
    upgrade->judge = judge;
    upgrade->judge_ctx = ctx;
}
