/* SPDX-License-Identifier: MIT
 * The steps of an upgrade, from a connected socket to an authenticated connection with a muxer:
 * the carrier's own set-up, multistream-select for the security protocol, the secure channel's handshake, and the
 * muxer, agreed inside the handshake or by multistream-select inside the channel. Pure but for memory:
 * bytes lie in `in` and `out`, the actor in upgrade.c moves them. Owned by that actor. */
#ifndef LP2P_ACTORS_LINK_UPGRADE_H
#define LP2P_ACTORS_LINK_UPGRADE_H

#include "actors/context.h"
#include "multistream/multistream.h"

enum lp2p_upgrade_stage {
    LP2P_UPGRADE_CONNECT,
    LP2P_UPGRADE_DOOR,      /* inbound: the first bytes tell what is spoken */
    LP2P_UPGRADE_ADMISSION, /* inbound: the listener judges the address that a proxy told */
    LP2P_UPGRADE_CARRIER,   /* what carries the bytes sets itself up */
    LP2P_UPGRADE_SECURITY,
    LP2P_UPGRADE_SECURE,
    LP2P_UPGRADE_MUXER,
    LP2P_UPGRADE_HANDOVER, /* done but for the last bytes out and the word to the swarm */
    LP2P_UPGRADE_ENDING,   /* only the word to the dialer is left */
};

#define LP2P_UPGRADE_OUT_MAX                                                                                 \
    4096u /* bytes; a handshake flight of the largest keys and a negotiation of the longest names */

struct lp2p_upgrade {
    struct lp2p_upgrade_arg *arg;
    struct lp2p_context *ctx;
    int fd; /* of the socket that is being connected; -1: the carrier has it, or none */
    struct lp2p_carrier *carrier;
    enum lp2p_upgrade_stage stage, after; /* after: where to go on from ADMISSION */
    struct lp2p_ip_port from;             /* inbound: the real remote side, as far as it is known */
    bool headed, told; /* inbound: a PROXY header was read; all has been heard that a proxy may say about `from` */
    bool misled;       /* inbound: a trusted proxy's words cannot be read */
    bool eof, delivered;
    enum lp2p_err failed; /* the socket could not be opened */

    struct lp2p_mss *mss;
    const char *names[2]; /* what a dialer proposes */
    bool lazy;            /* the first message of the channel went out with its proposal, unanswered so far */
    bool heard;           /* anything at all came from the other side */
    bool careful;         /* the second try of a dialer whose first was lazy and refused */
    struct lp2p_secure *secure;
    const struct lp2p_secure_ops *secure_ops;
    int64_t wall_s; /* of the handshake, for certificates */
    bool established;
    int muxer; /* agreed inside the handshake, index of the context's; -1 */
    struct lp2p_peer_id peer;
    const struct lp2p_mux_ops *mux;

    uint8_t *in; /* received, not yet consumed: in[in_at..in_len) */
    size_t in_at, in_len, in_cap;
    struct lp2p_span plain; /* what a lazy dialer sent behind the negotiation; points into `in` */
    uint8_t out[LP2P_UPGRADE_OUT_MAX];
    size_t out_at, out_len;

    struct lp2p_msg *handover; /* UPGRADED that the swarm was too full for */
    struct lp2p_outbox outbox;
    char text[128]; /* why it failed, beyond the reason's own words */
};

/** "connect", "ws", "wss", "pnet", "multistream", "noise", "tls", "muxer". */
const char *lp2p_upgrade_stage_name(const struct lp2p_upgrade *upgrade);

/* upgrade_door.c */

/** Dialed or accepted at a door of one kind: stacks the carrier on the socket; the stage is then CARRIER. ENOMEM;
 *  EUNSUPPORTED: no certificate, or a name that cannot be asked for. */
enum lp2p_err lp2p_upgrade_carry(struct lp2p_upgrade *upgrade, enum lp2p_door_kind kind, const struct lp2p_rand *rand) LP2P_MUST_CHECK;
/** Looks at the first bytes in `in`. OK: the stage is CARRIER, or ADMISSION with `from` to be judged; EAGAIN: more have to
 *  come. EPROTO: nothing that this door serves. EMALFORMED, EOVERSIZE, EVERSION: a trusted proxy's header (`misled`). */
enum lp2p_err lp2p_upgrade_first_bytes(struct lp2p_upgrade *upgrade, const struct lp2p_rand *rand) LP2P_MUST_CHECK;
/** The carrier is set up: true when it comes by a proxy and was not judged so far; `from` is then to be. */
bool lp2p_upgrade_forwarded(struct lp2p_upgrade *upgrade);

/* upgrade_steps.c */

/** Begins the negotiation on a connected socket. ENOMEM. */
enum lp2p_err lp2p_upgrade_begin(struct lp2p_upgrade *upgrade, const struct lp2p_rand *rand) LP2P_MUST_CHECK;
/** Whether this failure of a lazy dialer may be that its proposal was refused: then a careful one may find another channel. */
bool lp2p_upgrade_try_again(const struct lp2p_upgrade *upgrade, enum lp2p_err reason);
/** Goes as far as the bytes in `in` and the room in `out` allow. OK: more bytes are needed, or the stage is
 * HANDOVER. Errors are final. */
enum lp2p_err lp2p_upgrade_advance(struct lp2p_upgrade *upgrade, const struct lp2p_rand *rand,
                                   lp2p_time now) LP2P_MUST_CHECK;

static inline struct lp2p_span lp2p_upgrade_unread(const struct lp2p_upgrade *upgrade)
{
    return lp2p_span(upgrade->in + upgrade->in_at, upgrade->in_len - upgrade->in_at);
}

#endif
