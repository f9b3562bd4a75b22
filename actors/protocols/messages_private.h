/* SPDX-License-Identifier: MIT
 * The messages actor from the inside: state shared by its three parts. messages_in.c reads messages from
 * streams, messages_out.c sends them, messages_route.c hands received ones to protocols and to the event
 * queue; messages_actor.c is the actor. All of it runs on the actor's own thread. */
#ifndef LP2P_ACTORS_PROTOCOLS_MESSAGES_PRIVATE_H
#define LP2P_ACTORS_PROTOCOLS_MESSAGES_PRIVATE_H

#include "actors/protocols/lotus_message.h"
#include "actors/protocols/streams.h"

/* Limits of the sending side. A Lotus node never closes its side of a message stream and takes no more than
 * 32 of them on one connection, so ours are kept below that and cut off some time after our end (the bytes
 * are there by then). */
#define LP2P_SEND_UNCLOSED_MAX 28           /* streams to one peer that are not over on both sides */
#define LP2P_SEND_GRACE_NS LP2P_SEC(2)      /* from the last byte framed to the reset, when nobody waits */
#define LP2P_SEND_GRACE_MIN_NS LP2P_MS(500) /* the same when sends to that peer wait */
#define LP2P_SEND_WAITING_MAX 1024          /* sends waiting for one peer */
#define LP2P_SEND_TOTAL_MAX 16384           /* sends of the node, waiting or under way */
#define LP2P_SEND_BYTES_MAX (64u << 20)     /* bytes of messages kept for them; a broadcast counts once */
#define LP2P_SEND_OPEN_NS LP2P_SEC(30)      /* to reach the peer and agree on the protocol */
#define LP2P_SEND_LOST_NS LP2P_SEC(45)      /* no answer at all to the request for a stream: no memory for it, or a thread
                                               that had read the request hangs */
#define LP2P_SEND_FRAME_NS LP2P_SEC(30)     /* to get the bytes framed, from the stream's opening */

/* Limits of the receiving side. */
#define LP2P_RECEIVE_STREAMS_MAX 64        /* on one connection */
#define LP2P_RECEIVE_NS LP2P_SEC(60)       /* a whole message, from the stream's opening */
#define LP2P_RECEIVE_BYTES_MAX (16u << 20) /* bytes of incomplete messages of the whole node */
#define LP2P_RECEIVE_LOG_NS LP2P_SEC(1)    /* between two lines about messages that were not taken, for each of the kinds */

/* Limits of delivery. */
#define LP2P_ROUTES_MAX 256             /* protocols that receive messages */
#define LP2P_ROUTE_QUEUE_MAX 256        /* messages kept for one protocol that cannot take more */
#define LP2P_ROUTE_BYTES_MAX (4u << 20) /* bytes of them */
#define LP2P_ROUTE_RETRY_NS LP2P_MS(5)

enum {
    LP2P_MESSAGES_TIMER_OUTBOX,
    LP2P_MESSAGES_TIMER_STREAMS,
    LP2P_MESSAGES_TIMER_OPENING,
    LP2P_MESSAGES_TIMER_ROUTES
};

#define LP2P_SEND_BUCKETS 256u

struct lp2p_message_route {
    char name[128];
    struct lp2p_ref who;
    struct lp2p_msg **queue; /* ring of LP2P_ROUTE_QUEUE_MAX; NULL until it is needed */
    size_t first, len, bytes;
};

struct lp2p_message_routes {
    size_t len;
    struct lp2p_message_route items[LP2P_ROUTES_MAX];
};

struct lp2p_messages {
    struct lp2p_actor *self;
    struct lp2p_context *ctx;
    struct lp2p_outbox outbox;
    struct lp2p_pstreams streams;
    bool ending; /* fini */
    /* in */
    size_t receiving_bytes;
    struct lp2p_log_pace {
        lp2p_time next;  /* no line before that */
        uint64_t unsaid; /* since the last one */
    } refused_log, invalid_log;
    struct lp2p_lotus_seen *seen; /* NULL until the first message */
    /* out */
    struct lp2p_list peers[LP2P_SEND_BUCKETS], tags[LP2P_SEND_BUCKETS];
    struct lp2p_list opening; /* sends whose stream was asked for, oldest first */
    uint64_t next_tag;
    size_t sends, send_bytes;
    /* delivery */
    struct lp2p_message_routes *routes; /* the context's: kept over restarts; NULL until there is one */
};

/** What every stream of this actor begins with. */
struct lp2p_message_stream {
    struct lp2p_pstream stream;
    bool outbound;
};

/* messages_in.c */
void lp2p_messages_in_opened(struct lp2p_messages *state, struct lp2p_m_stream_opened *opened);
void lp2p_messages_in_data(struct lp2p_messages *state, struct lp2p_pstream *stream, struct lp2p_slice *data);
void lp2p_messages_in_eof(struct lp2p_messages *state, struct lp2p_pstream *stream);
void lp2p_messages_in_ended(struct lp2p_messages *state, struct lp2p_pstream *stream);

/* messages_out.c */
void lp2p_messages_out_init(struct lp2p_messages *state);
void lp2p_messages_out_send(struct lp2p_messages *state, struct lp2p_m_message_send *m);
void lp2p_messages_out_opened(struct lp2p_messages *state, struct lp2p_m_stream_opened *opened);
void lp2p_messages_out_open_failed(struct lp2p_messages *state, struct lp2p_m_stream_open_failed *m);
/** Credit came: perhaps all is framed. */
void lp2p_messages_out_writable(struct lp2p_messages *state, struct lp2p_pstream *stream);
void lp2p_messages_out_expired(struct lp2p_messages *state, struct lp2p_pstream *stream);
void lp2p_messages_out_ended(struct lp2p_messages *state, struct lp2p_pstream *stream, enum lp2p_err reason);
void lp2p_messages_out_tick(struct lp2p_messages *state);
/** After the streams are gone: ends what still waits. */
void lp2p_messages_out_fini(struct lp2p_messages *state);

/* messages_route.c */
void lp2p_messages_route_change(struct lp2p_messages *state, const struct lp2p_m_message_route *m);
/** To the protocol that is named by the message, if it is registered. */
void lp2p_messages_deliver(struct lp2p_messages *state, struct lp2p_span protocol,
                           const struct lp2p_peer_id *peer, const struct lp2p_slice *json);
/** The event. */
void lp2p_messages_notify(struct lp2p_messages *state, const struct lp2p_peer_id *peer,
                          const struct lp2p_slice *json);
void lp2p_messages_route_retry(struct lp2p_messages *state);
void lp2p_messages_route_fini(struct lp2p_messages *state);

#endif
