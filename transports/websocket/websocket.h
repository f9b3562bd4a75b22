/* SPDX-License-Identifier: MIT
 * Frames of WebSocket (RFC 6455), both roles, after the upgrade: a byte stream in, a byte stream out, whatever messages
 * the peer cuts it into. A machine of a few dozen bytes without a buffer: payload is unmasked where it lies or where it goes,
 * control frames are answered from a place for one of each kind. Owned by one actor; may be handed over. */
#ifndef LP2P_WEBSOCKET_H
#define LP2P_WEBSOCKET_H

#include "base/err.h"
#include "base/rand.h"
#include "base/span.h"
#include "base/time.h"

#define LP2P_WS_HEADER_MAX 14      /* bytes in front of a frame's payload */
#define LP2P_WS_CONTROL_MAX 125    /* bytes of a control frame's payload (RFC 6455, 5.5) */
#define LP2P_WS_MESSAGE_MAX 65536u /* bytes of payload that one of our messages carries */
#define LP2P_WS_MESSAGE_IN_MAX (256u << 20) /* of one message of the peer's, which is never held as a whole; more: EOVERSIZE */
#define LP2P_WS_DRAIN_MAX (2 * (LP2P_WS_HEADER_MAX + LP2P_WS_CONTROL_MAX)) /* bytes: all that drain can have to say */

enum lp2p_ws_code { /* of close frames (RFC 6455, 7.4) */
    LP2P_WS_NORMAL = 1000,
    LP2P_WS_GOING_AWAY = 1001,
    LP2P_WS_PROTOCOL_ERROR = 1002,
    LP2P_WS_TOO_BIG = 1009,
    LP2P_WS_NO_STATUS = 1005, /* never on the wire: a close frame without a code */
};

enum lp2p_ws_event_kind { LP2P_WS_NONE, LP2P_WS_CLOSED, LP2P_WS_FAILED };
struct lp2p_ws_event {
    enum lp2p_ws_event_kind kind;
    enum lp2p_err reason; /* CLOSED: EEOF (codes 1000 and 1005) or ECONNRESET (others); FAILED: EPROTO, EOVERSIZE, ENOMEM */
    unsigned code;        /* CLOSED: the peer's code */
};

struct lp2p_ws_pong {
    uint8_t len;
    uint8_t payload[LP2P_WS_CONTROL_MAX];
};

enum lp2p_ws_state { LP2P_WS_OPEN, LP2P_WS_CLOSING /* ours is said, the peer's not seen */, LP2P_WS_ENDED };

/** Fields are the machine's own. */
struct lp2p_ws {
    enum lp2p_ws_state state;
    bool client;
    bool in_frame, in_message;      /* a frame of the peer's is under way; a fragmented message is */
    bool masked, fin;               /* of the frame under way */
    uint8_t opcode, key[4];
    uint64_t at, left;              /* bytes of its payload that are through, and that it still lacks */
    uint64_t message_len, message_max; /* bytes announced of the message under way; the limit, lifted by nobody but tests */
    uint8_t head_len, head[LP2P_WS_HEADER_MAX + 1]; /* the beginning of a header that is not complete yet */
    uint8_t *control;               /* a control frame's payload under way; NULL: none */
    struct lp2p_ws_pong *pong;      /* the answer to the latest ping; NULL: none is due */
    unsigned close_code;            /* to be said; 0: none is due */
    struct lp2p_ws_event event;
    struct lp2p_rand_seeded masks;  /* masks hide nothing (our payload is ciphertext); they only have to vary */
};

/** `rand` seeds the masks of a client; read during the call. */
void lp2p_ws_init(struct lp2p_ws *ws, bool client, const struct lp2p_rand *rand);
void lp2p_ws_fini(struct lp2p_ws *ws);

/** Takes all of `in` and writes its payload to `out`, which has room for in.len bytes and may be where `in` lies (then in.ptr
 *  == out, or behind it). *got: bytes of payload, also when an error or the end follows them. After the end OK and 0 bytes.
 *  EPROTO: the peer broke a rule, a close frame with 1002 waits to be drained; EOVERSIZE: a message is too long, 1009; ENOMEM. */
enum lp2p_err lp2p_ws_feed(struct lp2p_ws *ws, struct lp2p_span in, uint8_t *out, size_t *got, lp2p_time now) LP2P_MUST_CHECK;
/** CLOSED or FAILED, once. */
void lp2p_ws_next(struct lp2p_ws *ws, struct lp2p_ws_event *event);
/** Control frames that are due, whole ones only; at most LP2P_WS_DRAIN_MAX. Not between the header and the end of a frame of
 *  ours: the caller keeps them apart. Only the latest ping is answered (RFC 6455, 5.5.3), so a flood of pings costs its sender
 *  more than us. */
size_t lp2p_ws_drain(struct lp2p_ws *ws, uint8_t *out, size_t cap, lp2p_time now);
static inline bool lp2p_ws_has_control(const struct lp2p_ws *ws)
{
    return ws->pong != NULL || ws->close_code != 0;
}
/** LP2P_NEVER: the caller owns all deadlines. */
lp2p_time lp2p_ws_deadline(const struct lp2p_ws *ws);
/** True inside a frame or a fragmented message of the peer: an end of the connection here cuts something off. false after the end. */
bool lp2p_ws_in_frame(const struct lp2p_ws *ws);

/** The header of a binary message of `len` (1..LP2P_WS_MESSAGE_MAX) bytes; those and nothing else have to follow, masked by
 *  `key` if we are the client. Returns its size; 0: memory is short. */
size_t lp2p_ws_header(struct lp2p_ws *ws, size_t len, uint8_t out[LP2P_WS_HEADER_MAX], uint8_t key[4]);
/** out[i] = in[i] XOR the key's byte for place at + i. `out` may be `in` or lie in front of it. */
void lp2p_ws_mask(const uint8_t key[4], uint64_t at, const uint8_t *in, uint8_t *out, size_t len);

/** Queues a close frame; what we send ends here. Idempotent. */
void lp2p_ws_close(struct lp2p_ws *ws, enum lp2p_ws_code code);

#endif
