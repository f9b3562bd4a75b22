/* SPDX-License-Identifier: MIT
 * Identify as a codec (libp2p specs identify/README.md): our message, and a reader of what a peer says. Pure;
 * no actor.
 *
 * What a peer sends is a stream of `uvarint length + message`, merged as protobufs merge: scalars by the
 * last, lists by appending. The reader keeps the bytes until the end of the stream and only then looks at
 * them. */
#ifndef LP2P_ACTORS_PROTOCOLS_IDENTIFY_H
#define LP2P_ACTORS_PROTOCOLS_IDENTIFY_H

#include "actors/context.h"
#include "wire/frame.h"

#define LP2P_IDENTIFY_PROTOCOL "/ipfs/id/1.0.0"
#define LP2P_IDENTIFY_PUSH_PROTOCOL "/ipfs/id/push/1.0.0"
#define LP2P_IDENTIFY_VERSION "ipfs/0.1.0" /* protocolVersion; nobody enforces it */

#define LP2P_IDENTIFY_MESSAGE_MAX 8192      /* bytes of one message that we read */
#define LP2P_IDENTIFY_MESSAGES_MAX 10       /* messages on one stream */
#define LP2P_IDENTIFY_TOTAL_MAX (32 * 1024) /* bytes of all messages of one stream */
#define LP2P_IDENTIFY_ADDRS_MAX 64          /* addresses kept of one peer */
#define LP2P_IDENTIFY_PROTOCOLS_MAX 256     /* protocol ids kept of one peer */
#define LP2P_IDENTIFY_BASE_MAX                                                                               \
    3700 /* bytes of our message: with observedAddr below the 4096 that rust reads */
#define LP2P_IDENTIFY_ONE_MAX 2048 /* a signed record travels in a second message beyond that sum */
#define LP2P_IDENTIFY_OUT_MAX 8192 /* bytes of what we send at the most, both messages and prefixes */

/** Encodes our Identify without observedAddr and signed record, without length prefix: struct lp2p_self's
 * message. addrs and protocols may be NULL. What does not fit into LP2P_IDENTIFY_BASE_MAX is left out, the
 * last addresses first. ENOMEM. */
enum lp2p_err lp2p_identify_encode(const struct lp2p_context *ctx, const struct lp2p_addrs *addrs,
                                   const struct lp2p_strings *protocols,
                                   struct lp2p_slice *message) LP2P_MUST_CHECK;

/** What goes out on an identify or push stream: one or two messages with their prefixes, made of an encoded
 * Identify, the address by which we see the receiver (len 0: none) and our signed record (may be empty). */
enum lp2p_err lp2p_identify_compose(struct lp2p_span message, const struct lp2p_multiaddr *observed,
                                    struct lp2p_span record, struct lp2p_slice *out) LP2P_MUST_CHECK;

/** Collects what a peer sends. */
struct lp2p_identify_reader {
    struct lp2p_frame_reader frames;
    struct lp2p_buf *buf; /* the messages, one behind the other; NULL: no byte yet */
    size_t len;
    size_t ends[LP2P_IDENTIFY_MESSAGES_MAX]; /* where each of them ends */
    unsigned messages;
};
void lp2p_identify_reader_init(struct lp2p_identify_reader *reader);
void lp2p_identify_reader_fini(struct lp2p_identify_reader *reader);
/** Takes bytes of the stream. EOVERSIZE (a message, their number, or their sum), EMALFORMED, ENOMEM. */
enum lp2p_err lp2p_identify_reader_feed(struct lp2p_identify_reader *reader,
                                        struct lp2p_span in) LP2P_MUST_CHECK;

/** A protocol id that is kept when a peer tells it; any other is passed over, as if it had not been told. */
bool lp2p_identify_keeps(struct lp2p_span id);

/** What a peer said, checked and cut to our limits. */
struct lp2p_identify_info {
    struct lp2p_addrs *addrs; /* NULL: none were given */
    bool certified;           /* addrs are from a valid signed record */
    uint64_t record_seq;
    struct lp2p_slice record; /* that record as it came, in the reader's memory, which it keeps; empty: none */
    struct lp2p_slice key;    /* the same of the PublicKey protobuf, when the peer id is only its hash */
    struct lp2p_strings *protocols;        /* NULL: none were given */
    struct lp2p_multiaddr observed;        /* len 0: none, or not an address */
    char agent[128], protocol_version[64]; /* harmless for terminals */
};
/** The stream has ended: reads everything. `peer` is who the connection proved to be and `remote` its
 * address: addresses that cannot be of use from there are left out (a loopback address told by a remote
 * machine). Drop with info_drop. EEOF: nothing was sent; ETRUNCATED: it ended inside of a message;
 * EMALFORMED; EWRONGPEER: the key belongs to another identity; EBADKEY; ENOMEM. */
enum lp2p_err lp2p_identify_reader_finish(struct lp2p_identify_reader *reader,
                                          const struct lp2p_peer_id *peer,
                                          const struct lp2p_multiaddr *remote,
                                          struct lp2p_identify_info *info) LP2P_MUST_CHECK;
void lp2p_identify_info_drop(struct lp2p_identify_info *info);

#endif
