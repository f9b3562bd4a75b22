/* SPDX-License-Identifier: MIT
 * What every secure channel (Noise, TLS) offers, as one interface over pure machines: a handshake with the four verbs, then
 * frames that are opened and sealed in place. The upgrade drives the handshake, the connection the frames; neither knows
 * which channel it is. Owned by one actor; may be handed over between actors when the handshake is done. */
#ifndef LP2P_SECURE_H
#define LP2P_SECURE_H

#include "base/rand.h"
#include "base/time.h"
#include "wire/peer_id.h"

struct lp2p_secure_ops;

/** Every channel begins with this; the rest is its own. */
struct lp2p_secure {
    const struct lp2p_secure_ops *ops;
};

enum lp2p_secure_event_kind { LP2P_SECURE_NONE, LP2P_SECURE_ESTABLISHED, LP2P_SECURE_FAILED };
struct lp2p_secure_event {
    enum lp2p_secure_event_kind kind;
    enum lp2p_err reason;     /* FAILED: EMALFORMED, EAUTH, ESIGNATURE, EBADKEY, EWRONGPEER, EOVERSIZE, ENEGOTIATION */
    struct lp2p_peer_id peer; /* ESTABLISHED: proven; FAILED with EWRONGPEER: who answered */
    int muxer;                /* ESTABLISHED: index in the identity's list, agreed inside the handshake; -1: negotiate it */
};

/** One handshake to come. Read during the call. */
struct lp2p_secure_start {
    const void *identity; /* what the node brings to each handshake of this kind; shared, read-only, outlives the channel */
    bool initiator;
    const struct lp2p_peer_id *expected; /* whom the dialer wants; NULL: anyone */
    const struct lp2p_rand *rand;
    int64_t wall_s; /* seconds since 1970, for the validity of certificates */
    /** Asked during `feed`, before the signature of a kind of key is verified that costs more than those that peers have as a
     *  rule. Other than OK: nothing is verified, and the handshake fails with it. NULL: never asked. */
    enum lp2p_err (*costly)(void *ctx, lp2p_time now);
    void *costly_ctx;
};

/** Bytes that belong to a plaintext and are not there yet. */
struct lp2p_secure_part {
    size_t at; /* in the plaintext; parts are in order and do not overlap */
    struct lp2p_span bytes;
};

struct lp2p_secure_ops {
    const char *protocol; /* "/noise", "/tls/1.0.0" */
    /* One sealed frame: the plaintext, at most plain_max bytes, lies `head` bytes behind its start, and `tail` bytes of room
     * lie behind it. */
    unsigned head, tail, plain_max;
    /** NULL when memory is short. */
    struct lp2p_secure *(*start)(const struct lp2p_secure_start *start);
    void (*free)(struct lp2p_secure *secure); /* wipes keys */

    /* Handshake. */
    /** Consumes handshake bytes, never a byte of the first frame behind it. An error is also reported as FAILED. */
    enum lp2p_err (*feed)(struct lp2p_secure *secure, struct lp2p_span in, lp2p_time now, size_t *used);
    void (*next)(struct lp2p_secure *secure, struct lp2p_secure_event *event);
    /** Bytes to send, also a last alert after FAILED; 0: none. */
    size_t (*drain)(struct lp2p_secure *secure, uint8_t *out, size_t cap, lp2p_time now);

    /* Frames, after ESTABLISHED. */
    /** Bytes of the frame at the front of `in`; 0: its header is not complete. EMALFORMED. */
    enum lp2p_err (*frame_size)(struct lp2p_span in, size_t *size);
    /** Opens one whole frame. *plain points into the frame's own memory and may be empty. EEOF: the other side said that
     *  nothing follows. Other errors are final. */
    enum lp2p_err (*open)(struct lp2p_secure *secure, uint8_t *frame, size_t size, struct lp2p_span *plain);
    /** Seals in place; *size: bytes of the frame. ELIMIT: the key is used up. */
    enum lp2p_err (*seal)(struct lp2p_secure *secure, uint8_t *frame, size_t plain_len, size_t *size);
    /** The same for a plaintext parts of which still lie elsewhere. NULL: fill it in first and use `seal`. */
    enum lp2p_err (*seal_parts)(struct lp2p_secure *secure, uint8_t *frame, size_t plain_len, const struct lp2p_secure_part *parts,
                                size_t parts_len, size_t *size);
    /** Writes the last frame, which says that nothing follows (at most LP2P_SECURE_FINISH_MAX bytes), as a courtesy before
     *  closing; 0: it was said, or cannot be. NULL: this channel has no such word. */
    size_t (*finish)(struct lp2p_secure *secure, uint8_t *out);
};

/** The largest head and tail of all channels: who frames without knowing the channel keeps that much room. */
#define LP2P_SECURE_HEAD_MAX 5
#define LP2P_SECURE_TAIL_MAX 44 /* TLS: type and tag, and the shift when new keys are announced in front */
#define LP2P_SECURE_FINISH_MAX 24

static inline void lp2p_secure_free(struct lp2p_secure *secure)
{
    if (secure != NULL) {
        secure->ops->free(secure);
    }
}

#endif
