/* SPDX-License-Identifier: MIT
 * The HTTP/1.1 upgrade in front of WebSocket frames (RFC 6455, 4), both roles. Bounded in bytes and fields; its deadline is the
 * caller's. A server takes any Host and Origin, agrees to no extension and no subprotocol, and answers whatever is no upgrade in
 * words that a person with a browser understands. Lives until the upgrade is over. Owned by one actor. */
#ifndef LP2P_WEBSOCKET_UPGRADE_H
#define LP2P_WEBSOCKET_UPGRADE_H

#include "base/err.h"
#include "base/rand.h"
#include "base/span.h"
#include "base/time.h"

#define LP2P_WS_UPGRADE_BYTES_MAX 8192   /* of a request or an answer; more: 431 or EOVERSIZE */
#define LP2P_WS_UPGRADE_FIELDS_MAX 64    /* header fields; more: 431 or EOVERSIZE */
#define LP2P_WS_HOST_MAX 263             /* bytes of a client's Host: a name and a port */
#define LP2P_WS_PATH_MAX 1024            /* bytes of a client's path */
#define LP2P_WS_FORWARDED_MAX 256        /* bytes of X-Forwarded-For that are kept: its end, which is what counts */

struct lp2p_ws_limits {
    size_t bytes_max, fields_max;
};
extern const struct lp2p_ws_limits lp2p_ws_limits_default;

enum lp2p_ws_upgrade_event_kind { LP2P_WS_UPGRADE_NONE, LP2P_WS_UPGRADED, LP2P_WS_UPGRADE_FAILED };
struct lp2p_ws_upgrade_event {
    enum lp2p_ws_upgrade_event_kind kind;
    enum lp2p_err reason; /* FAILED: EMALFORMED, EOVERSIZE, EVERSION, EPROTO (a wrong accept value), ENEGOTIATION (no upgrade) */
    unsigned status;      /* of the answer: ours or the server's; 0: there was none */
};

struct lp2p_ws_upgrade;

/** NULL: no memory. limits NULL: the defaults. */
struct lp2p_ws_upgrade *lp2p_ws_upgrade_server(const struct lp2p_ws_limits *limits);
/** Whether a request can carry this Host: printable ASCII without blanks, and not too long. */
bool lp2p_ws_host_is_sendable(const char *host);
/** `host`: value of Host, "name" or "name:port"; `path` begins with '/'. Both are printable ASCII without blanks, else NULL. */
struct lp2p_ws_upgrade *lp2p_ws_upgrade_client(const char *host, const char *path, const struct lp2p_rand *rand,
                                               const struct lp2p_ws_limits *limits);
void lp2p_ws_upgrade_free(struct lp2p_ws_upgrade *upgrade); /* may be NULL */

/** Takes bytes up to the end of the request or answer; those behind it (*used < in.len) are frames. An error is also reported as
 *  FAILED, and the server's answer to it waits to be drained. */
enum lp2p_err lp2p_ws_upgrade_feed(struct lp2p_ws_upgrade *upgrade, struct lp2p_span in, lp2p_time now,
                                   size_t *used) LP2P_MUST_CHECK;
void lp2p_ws_upgrade_next(struct lp2p_ws_upgrade *upgrade, struct lp2p_ws_upgrade_event *event);
size_t lp2p_ws_upgrade_drain(struct lp2p_ws_upgrade *upgrade, uint8_t *out, size_t cap, lp2p_time now);
lp2p_time lp2p_ws_upgrade_deadline(const struct lp2p_ws_upgrade *upgrade); /* LP2P_NEVER */
/** Heap bytes of one upgrade, for accounting. */
size_t lp2p_ws_upgrade_memory_bytes(void);

/** Server: what proxies wrote into X-Forwarded-For (all its fields, joined by commas), as it came: a claim that is worth what the
 *  sender of the request is. Of a long one the end, with a '?' in front of the entry that may not be whole. "": none. */
const char *lp2p_ws_upgrade_forwarded(const struct lp2p_ws_upgrade *upgrade);
/** Judges such a claim before the server agrees to an upgrade; not asked about requests that are none. OK, or EMALFORMED:
 *  the answer is 400. */
typedef enum lp2p_err (*lp2p_ws_judge)(void *ctx, const char *forwarded);
void lp2p_ws_upgrade_judge(struct lp2p_ws_upgrade *upgrade, lp2p_ws_judge judge, void *ctx);

/** Base64 of SHA-1 of key and the constant of RFC 6455: 28 characters and NUL. */
void lp2p_ws_accept_value(struct lp2p_span key, char out[29]);

#endif
