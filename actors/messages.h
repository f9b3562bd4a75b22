/* SPDX-License-Identifier: MIT
 * Every message between the node's actors: who sends it to whom, on which lane, and what it holds.
 *
 * Streams. A stream belongs to one owner (a protocol actor or a resident). From STREAM_OPENED on the owner gets STREAM_DATA in
 * order, then STREAM_EOF; STREAM_RESET ends it at any time (also when the connection ends). The owner answers with
 * STREAM_WRITE (at most as many bytes as it has credit), STREAM_CONSUMED for what it has used, STREAM_CLOSE_WRITE, STREAM_ABORT.
 * A stream is over when the owner has closed its side and got STREAM_EOF, or after a reset in either direction; nobody sends
 * anything for it afterwards. A message for a stream that the receiver does not know any more is ignored.
 *
 * Operations. A message that is dropped with its `op` still inside finishes it (ECLOSED, unless it is finished already), so that
 * nobody waits for ever: a handler that goes on with the work takes the op out of the message by nulling it there.
 *
 * Requests (LP2P_REQUESTS) are answered once, by the actor that read them, also from its fini; by the runtime when nobody did. */
#ifndef LP2P_ACTORS_MESSAGES_H
#define LP2P_ACTORS_MESSAGES_H

#include "actors/link/carrier.h"
#include "actors/op.h"
#include "actors/shared.h"
#include "mux/mux.h"
#include "runtime/actor.h"
#include "secure/secure.h"

/** Names a stream in the whole node. */
struct lp2p_stream_id {
    struct lp2p_ref muxer; /* exact: with generation */
    uint64_t stream;       /* handle of lp2p_mux */
};
static inline bool lp2p_stream_id_eq(struct lp2p_stream_id a, struct lp2p_stream_id b)
{
    return a.stream == b.stream && lp2p_ref_eq(a.muxer, b.muxer);
}
#define LP2P_SLICES_MAX 8          /* slices in one message */
#define LP2P_STREAM_CREDIT (128u * 1024) /* bytes that an owner may have queued and unsent on one stream */

/* ---- upgrade -> swarm, upgrade -> dialer */

/** upgrade -> swarm (normal): a connection is authenticated and has a muxer; the swarm takes everything over. */
struct lp2p_m_upgraded {
    struct lp2p_msg msg;
    bool outbound;
    uint64_t dial; /* of DIAL, 0 inbound */
    struct lp2p_carrier *carrier; /* these two are owned: closed and wiped when the message is dropped; taken by nulling */
    struct lp2p_secure *secure;
    struct lp2p_multiaddr remote, local;
    struct lp2p_peer_id peer;
    const struct lp2p_mux_ops *mux;
    struct lp2p_slice leftover; /* bytes read behind the handshake (actors/link/leftover.h) */
};
/** upgrade -> dialer (normal): how an attempt ended. reason OK: UPGRADED was sent to the swarm. */
struct lp2p_m_attempt_ended {
    struct lp2p_msg msg;
    uint64_t dial;
    struct lp2p_multiaddr addr;
    enum lp2p_err reason;
    char stage[24];  /* "connect", "ws", "wss", "pnet", "multistream", "noise", "tls", "muxer" */
    char text[128];  /* what happened, for people */
};

/* ---- swarm <-> dialer */

/** swarm -> dialer (normal): try these addresses; every attempt that succeeds arrives at the swarm as UPGRADED with `dial`. */
struct lp2p_m_dial {
    struct lp2p_msg msg;
    uint64_t dial;
    struct lp2p_peer_id peer; /* expected; len 0: whoever answers (only for tools) */
    bool more;                /* addresses for a dial that is under way; for nothing when it has ended */
    struct lp2p_addrs *named; /* given by the user or the configuration: tried without a budget, and names among them may
                                 lead to private addresses; may be NULL */
    struct lp2p_addrs *addrs; /* the others, in any order; those of `named` again do no harm; may be NULL */
    struct lp2p_addrs *own;   /* where this node listens: never dialed, and the ports to dial from; may be NULL */
    bool user;                /* somebody waits who asked for it: addresses that failed a moment ago are tried too */
    lp2p_time deadline;       /* absolute, for all attempts together */
};
/** dialer -> swarm (normal): the dial is over. reason OK: a connection was delivered. */
struct lp2p_m_dial_ended {
    struct lp2p_msg msg;
    uint64_t dial;
    struct lp2p_peer_id peer;
    enum lp2p_err reason;
    char text[512]; /* for each address: stage and reason */
};
/** swarm -> dialer (normal): give up what is left of a dial. */
struct lp2p_m_dial_cancel {
    struct lp2p_msg msg;
    uint64_t dial;
};

/* ---- dialer <-> resolver */

/** dialer -> resolver (normal): what addresses are behind the names in this one? */
struct lp2p_m_resolve {
    struct lp2p_msg msg; /* the tag comes back with the answer */
    struct lp2p_multiaddr addr;
    bool urgent;        /* somebody waits, or asked for this name: in front of the names that strangers told */
    lp2p_time deadline; /* absolute */
};
/** resolver -> dialer (normal). */
struct lp2p_m_resolved {
    struct lp2p_msg msg;
    enum lp2p_err reason;     /* not OK: no address was found */
    struct lp2p_addrs *addrs; /* with IPs; may be NULL */
    struct lp2p_addrs *names; /* beside each: the address with the last name that led to it; may be NULL */
    char text[256];           /* for each name that failed: why */
};

/* ---- interfaces -> listeners, resolver, mdns */

/** (normal): addresses of the machine came or went. */
struct lp2p_m_interfaces_changed {
    struct lp2p_msg msg;
};

/* ---- listener -> swarm */

/** listener -> swarm (normal): bound; `addrs` with wildcards expanded to interfaces. */
struct lp2p_m_listening {
    struct lp2p_msg msg;
    unsigned index; /* of the listen address in the config */
    struct lp2p_addrs *addrs;
};

/* ---- upgrade <-> listener */

/** upgrade -> listener (normal): a trusted proxy says that the connection comes from there, or says nothing and `from` is the proxy
 *  itself. The answer is ADMITTED, or the end. `misled`: what `from` said cannot be read; no answer. */
struct lp2p_m_proxied {
    struct lp2p_msg msg;
    struct lp2p_ip_port from;
    bool misled;
};
/** listener -> upgrade (normal): OK: within the limits; go on. Otherwise nobody is there to judge it: the end. */
struct lp2p_m_admitted {
    struct lp2p_msg msg;
    enum lp2p_err result;
};
/** upgrade -> listener (normal): who it was, for the log of refusals. */
struct lp2p_m_arrived {
    struct lp2p_msg msg;
    struct lp2p_peer_id peer;
    struct lp2p_ip_port from;
};

/* ---- connection <-> muxer (same thread: no wake-up) */

/** muxer -> connection (urgent): your muxer is there; begin to read. */
struct lp2p_m_conn_attach {
    struct lp2p_msg msg;
    struct lp2p_ref muxer;
};
/** connection -> muxer (normal): decrypted bytes, in order. */
struct lp2p_m_conn_bytes {
    struct lp2p_msg msg;
    bool more; /* the connection reads on in its next turn, and the kernel has more */
    unsigned slices_len;
    struct lp2p_slice slices[LP2P_SLICES_MAX];
};
/** muxer -> connection (urgent): that many plaintext bytes were dealt with: the connection may read on. */
struct lp2p_m_conn_credit {
    struct lp2p_msg msg;
    uint32_t bytes;
};
/** muxer -> connection (normal): one frame to seal in place: plain_len bytes (at most the channel's plain_max) lie
 *  LP2P_SECURE_HEAD_MAX bytes behind the slab's start, and LP2P_SECURE_TAIL_MAX bytes of room behind them. `last`: flush
 *  and close afterwards. buf may be NULL with `last`. */
struct lp2p_m_conn_write {
    struct lp2p_msg msg;
    struct lp2p_buf *buf;
    uint32_t plain_len;
    uint32_t sealed_len; /* the connection's own: bytes of the sealed frame */
    struct lp2p_mux_holes holes; /* of the plaintext; none once it is sealed */
    bool last;
};
/** connection -> muxer (urgent): that many plaintext bytes went to the socket: the muxer may frame more. */
struct lp2p_m_conn_wrote {
    struct lp2p_msg msg;
    uint32_t bytes;
};
/** connection -> muxer (normal): the connection is over (EEOF: the remote side ended cleanly). */
struct lp2p_m_conn_ended {
    struct lp2p_msg msg;
    enum lp2p_err reason;
};

/* ---- muxer <-> swarm */

/** muxer -> swarm (normal): the link is in use from now on. Also muxer -> identify resident of its thread. */
struct lp2p_m_link_up {
    struct lp2p_msg msg;
    uint64_t conn; /* number given by the swarm */
    struct lp2p_ref muxer;
    struct lp2p_peer_id peer;
    struct lp2p_multiaddr remote;
    bool outbound;
};
/** muxer -> swarm (urgent), muxer -> identify (normal): the link has ended. */
struct lp2p_m_link_ended {
    struct lp2p_msg msg;
    uint64_t conn;
    struct lp2p_ref muxer;
    struct lp2p_peer_id peer;
    enum lp2p_err reason; /* OK: we closed it */
};
/** muxer -> swarm (normal): counts changed; at most one each second. */
struct lp2p_m_link_status {
    struct lp2p_msg msg;
    uint64_t conn;
    uint32_t streams;      /* open, negotiated, other than identify's */
    uint64_t rtt_ns;
};
/** muxer -> swarm (normal): the peer refused a stream for this protocol. Sent before the word to who asked. */
struct lp2p_m_link_refused {
    struct lp2p_msg msg;
    uint64_t conn;
    uint32_t told; /* of STREAM_OPEN */
    char protocol[LP2P_PROTOCOL_ID_MAX];
};
/** swarm -> muxer (normal): close the connection: go-away, flush, end. */
struct lp2p_m_link_close {
    struct lp2p_msg msg;
    enum lp2p_err reason; /* told to owners of streams and in LINK_ENDED */
};
/** swarm -> muxers and residents (normal): the table of inbound protocols changed. */
struct lp2p_m_protocols_changed {
    struct lp2p_msg msg;
    struct lp2p_protocols *protocols;
};

/* ---- streams: owner <-> muxer */

/** owner -> muxer (normal), swarm -> muxer (forwarded): open a stream and negotiate. The answer (STREAM_OPENED or
 *  STREAM_OPEN_FAILED with the same tag) goes to `reply_to`, or to the resident `resident` of the muxer's thread if >= 0. */
struct lp2p_m_stream_open {
    struct lp2p_msg msg;
    struct lp2p_ref reply_to;
    int resident;
    uint64_t reply_tag;
    struct lp2p_op *op;  /* rides along to the answer; may be NULL */
    lp2p_time deadline;  /* absolute; 0: 10 s from arrival */
    bool lazy;           /* the peer is known to speak the only protocol: opened at once, its answer is checked when it comes */
    bool tell_refusal;   /* the swarm hears LINK_REFUSED, with `told`, when the peer says that it does not speak the only protocol */
    uint32_t told;
    unsigned protocols_len;
    char protocols[4][LP2P_PROTOCOL_ID_MAX]; /* in order of preference */
};
/** muxer -> owner (normal): msg.tag is reply_tag for an outbound stream. */
struct lp2p_m_stream_opened {
    struct lp2p_msg msg;
    struct lp2p_stream_id id;
    bool outbound;
    uint64_t conn;
    struct lp2p_peer_id peer;
    struct lp2p_multiaddr remote;
    char protocol[LP2P_PROTOCOL_ID_MAX];
    struct lp2p_ref actor;  /* inbound: `actor` of the protocol entry (the user's protocol actor) */
    uint32_t credit_bytes;  /* that many bytes may be written at once */
    struct lp2p_op *op;     /* of STREAM_OPEN; the receiver takes it over */
};
struct lp2p_m_stream_open_failed {
    struct lp2p_msg msg; /* tag is reply_tag */
    struct lp2p_peer_id peer; /* len 0: the connection ended before its muxer read the request */
    enum lp2p_err reason; /* ENEGOTIATION, ETIMEDOUT, ELIMIT, ENOCONN, ERESET, ... */
    char text[256];       /* for people: what was tried, where, why */
    struct lp2p_op *op;
};
/** muxer -> owner (normal). */
struct lp2p_m_stream_data {
    struct lp2p_msg msg;
    struct lp2p_stream_id id;
    unsigned slices_len;
    struct lp2p_slice slices[LP2P_SLICES_MAX];
};
/** Messages that only name a stream. STREAM_EOF: muxer -> owner (normal): the remote side will send no more. STREAM_CLOSE_WRITE:
 *  owner -> muxer (normal): send FIN after what is queued. */
struct lp2p_m_stream_mark {
    struct lp2p_msg msg;
    struct lp2p_stream_id id;
};
/** STREAM_RESET: muxer -> owner (normal; STREAM_RESET_URGENT when that lane is full). STREAM_ABORT: owner -> muxer (normal): reset. */
struct lp2p_m_stream_reset {
    struct lp2p_msg msg;
    struct lp2p_stream_id id;
    enum lp2p_err reason; /* ERESET: by the peer; ECLOSED and others: the connection ended */
    uint32_t code;        /* yamux error code */
};
/** owner -> muxer (normal): bytes to send; `fin`: half close behind them. */
struct lp2p_m_stream_write {
    struct lp2p_msg msg;
    struct lp2p_stream_id id;
    struct lp2p_stream_source *source; /* NULL: the slices are here already */
    bool fin;
    unsigned slices_len;
    struct lp2p_slice slices[LP2P_SLICES_MAX];
};
/** An owner whose bytes are fetched when the message is handled: all that it wrote meanwhile travels with one message. Both calls
 *  end the message's hold on it. */
struct lp2p_stream_source {
    void (*fill)(struct lp2p_stream_source *source, struct lp2p_m_stream_write *m);
    void (*drop)(struct lp2p_stream_source *source); /* the message was not handled */
};
/** STREAM_CONSUMED: owner -> muxer (urgent): bytes used, grants window; may be told in steps of up to 32 KiB. STREAM_CREDIT: muxer ->
 *  owner (urgent): bytes were framed, that many more may be written; comes at a quarter of the credit, and for the last bytes in front of
 *  the owner's end. */
struct lp2p_m_stream_bytes {
    struct lp2p_msg msg;
    struct lp2p_stream_id id;
    uint32_t bytes;
};

/* ---- anyone -> swarm */

/** (normal): open a stream to a peer, dialing if need be; forwarded to the best connection's muxer. */
struct lp2p_m_peer_stream_open {
    struct lp2p_msg msg;
    struct lp2p_peer_id peer;
    struct lp2p_addrs *hints; /* addresses to dial besides the known ones; may be NULL */
    bool no_dial;             /* fail with ENOCONN instead */
    bool if_spoken;           /* fail with EUNSUPPORTED when the peer is known not to speak the only protocol */
    bool internal;            /* does not count as use of the connection when trimming */
    struct lp2p_ref reply_to;
    int resident;
    uint64_t reply_tag;
    struct lp2p_op *op;
    lp2p_time deadline;
    unsigned protocols_len;
    char protocols[4][LP2P_PROTOCOL_ID_MAX];
};
/** (normal): connect to a peer. The op finishes when the connection was identified. */
struct lp2p_m_connect {
    struct lp2p_msg msg;
    struct lp2p_peer_id peer; /* len 0: whoever answers at addrs (tools) */
    struct lp2p_addrs *addrs; /* may be NULL: known ones */
    struct lp2p_op *op;
};
struct lp2p_m_disconnect {
    struct lp2p_msg msg;
    struct lp2p_peer_id peer;
    struct lp2p_op *op;
};
struct lp2p_m_protect {
    struct lp2p_msg msg;
    struct lp2p_peer_id peer;
    bool protect;
};
/** (normal): this id is spoken (or, with remove, no longer). Answered by REGISTERED with the tag when `from` is an actor, and by op. */
struct lp2p_m_register {
    struct lp2p_msg msg;
    bool remove;
    struct lp2p_protocol_entry entry;
    struct lp2p_op *op;
};
struct lp2p_m_registered {
    struct lp2p_msg msg;
    enum lp2p_err result; /* EEXIST */
};
/** (normal): send me these notifications from now on (the sender's ref with gen 0 is kept, so that restarts stay subscribed).
 *  All connected peers are reported at once as PEER_CONNECTED, and the present self and protocols. */
enum { LP2P_SUB_PEERS = 1, LP2P_SUB_SELF = 2, LP2P_SUB_PROTOCOLS = 4 };
struct lp2p_m_subscribe {
    struct lp2p_msg msg;
    struct lp2p_ref who; /* whom to notify */
    unsigned what;       /* 0: unsubscribe */
};
/** identify -> swarm (normal): what a peer said of itself. Absent parts are NULL / empty; `push`: partial update. */
struct lp2p_m_identified {
    struct lp2p_msg msg;
    uint64_t conn;
    struct lp2p_peer_id peer;
    enum lp2p_err result; /* not OK: identify failed; the rest is empty */
    bool push;
    struct lp2p_addrs *addrs;
    bool addrs_certified; /* from a signed record */
    uint64_t record_seq;
    struct lp2p_slice record; /* that record as it came */
    struct lp2p_slice key;    /* PublicKey protobuf, when the peer id is only its hash */
    struct lp2p_strings *protocols;
    struct lp2p_multiaddr observed;
    char agent[128], protocol_version[64];
};
/** router, mdns, bootstrap, user -> swarm (normal): addresses of a peer were learned. */
struct lp2p_m_peer_found {
    struct lp2p_msg msg;
    struct lp2p_peer_id peer;
    struct lp2p_addrs *addrs;
    bool local; /* told on the local network: void when the peer takes leave there */
};
/** mdns -> swarm (normal): the peer took leave of the local network; what was only told there is void. */
struct lp2p_m_peer_gone {
    struct lp2p_msg msg;
    struct lp2p_peer_id peer;
};
/** API -> swarm (normal): fill the op with peers (all, connected ones, or one). */
struct lp2p_m_list_peers {
    struct lp2p_msg msg;
    bool connected_only;
    struct lp2p_peer_id peer; /* len > 0: this one; the op ends with ENOTFOUND if unknown */
    struct lp2p_op *op;
};
/** API -> swarm (normal): the published addresses as bytes of the op: texts with /p2p/ID, one per line. */
struct lp2p_m_list_addrs {
    struct lp2p_msg msg;
    struct lp2p_op *op;
};

/** API -> swarm (normal). TAG: `value` counts for the peer's connections when some have to go; 0 takes the tag away. FORGET: all
 *  that is known of a peer that is not connected, also on disk (name and value do not count). */
struct lp2p_m_tag {
    struct lp2p_msg msg;
    struct lp2p_peer_id peer;
    char name[32];
    int32_t value;
    struct lp2p_op *op;
};

/* ---- swarm <-> store */

/** STORE_WRITE: swarm -> store (normal): changes to be written in one transaction (actors/store/db.h), answered by
 *  STORE_WRITTEN. STORE_LOADED: store -> swarm (normal): what is on disk, longest unseen first, in several messages; an empty
 *  value in front of a peer says that its signed record is not good. */
struct lp2p_m_store_batch {
    struct lp2p_msg msg;
    struct lp2p_buf *buf;
    uint32_t len;
    unsigned count;
    bool last; /* STORE_LOADED: nothing follows */
};
/** STORE_LOAD: swarm -> store (normal). STORE_WRITTEN: store -> swarm (normal): the disk has the batch, or why not. */
struct lp2p_m_store_mark {
    struct lp2p_msg msg;
    enum lp2p_err result;
};

/* ---- swarm -> subscribers (normal; dropped and counted when a subscriber's lane is full) */

/** PEER_CONNECTED (first connection is up), PEER_DISCONNECTED (last one ended), PEER_DISCOVERED, PEER_UPDATED. */
struct lp2p_m_peer {
    struct lp2p_msg msg;
    struct lp2p_peer_info *info;
    enum lp2p_err reason; /* PEER_DISCONNECTED */
};
struct lp2p_m_self_changed {
    struct lp2p_msg msg;
    struct lp2p_self *self;
};

/* ---- Lotus messages */

/** API -> messages actor (normal). */
struct lp2p_m_message_send {
    struct lp2p_msg msg;
    struct lp2p_peer_id peer;     /* len 0: broadcast to `peers` */
    struct lp2p_peer_info **peers; /* broadcast: owned array of owned references */
    size_t peers_len;
    char stream_protocol[LP2P_PROTOCOL_ID_MAX];
    struct lp2p_slice json;       /* the complete message */
    bool deliver_local;           /* afterwards to our own handler for its `protocol` */
    struct lp2p_op *op;
};
/** messages -> protocol actor of the user (normal): a valid, new message. Also messages -> notifier for the event. */
struct lp2p_m_message {
    struct lp2p_msg msg;
    struct lp2p_peer_id peer;
    struct lp2p_slice json;
};
/** protocol actor -> messages (normal): messages with this `protocol` name go to `who`; NONE: no longer. */
struct lp2p_m_message_route {
    struct lp2p_msg msg;
    char name[128];
    struct lp2p_ref who;
};

/* ---- DHT and resources */

enum lp2p_dht_verb { LP2P_DHT_PUT, LP2P_DHT_GET, LP2P_DHT_PROVIDE, LP2P_DHT_FIND_PROVIDERS, LP2P_DHT_FIND_PEER, LP2P_DHT_CLOSEST };
/** API or resources -> router (normal). Ends in op, and in DHT_DONE with the tag when `from` is an actor. */
struct lp2p_m_dht_request {
    struct lp2p_msg msg;
    enum lp2p_dht_verb verb;
    struct lp2p_slice key, value; /* FIND_PEER: key is the peer id */
    unsigned max;
    lp2p_time deadline; /* 0: the DHT's own */
    struct lp2p_op *op;
};
struct lp2p_m_dht_done {
    struct lp2p_msg msg;
    enum lp2p_err result;
    struct lp2p_slice value;
    size_t peers_len;
};
/** API -> resources (normal). */
struct lp2p_m_announce {
    struct lp2p_msg msg;
    char type[128], id[256];
    struct lp2p_slice json; /* the data */
    uint64_t ttl_ms;
    struct lp2p_op *op;
};
struct lp2p_m_discover {
    struct lp2p_msg msg;
    char type[128], id[256];
    uint64_t timeout_ms;
    bool local_only;
    struct lp2p_op *op;
};

/* ---- user streams and events */

/** streams resident -> user's protocol actor (normal): an inbound stream for handle_stream. */
struct lp2p_m_user_stream {
    struct lp2p_msg msg;
    struct lp2p_stream *stream;
};
/** anyone -> notifier (normal): something for the user's event queue or a completion callback. */
struct lp2p_m_notify {
    struct lp2p_msg msg;
    int kind; /* enum lp2p_event_kind, or -1: run the completion of op */
    struct lp2p_peer_info *info;
    struct lp2p_slice json; /* MESSAGE */
    enum lp2p_err err;
    uint64_t number; /* RESTART: the generation */
    struct lp2p_op *op;
    char detail[LP2P_DETAIL_MAX];
};

/* One class object for each kind; defined in messages.c. */
#define LP2P_MESSAGES(X)                                                                                           \
    X(UPGRADED, upgraded, NORMAL) X(ATTEMPT_ENDED, attempt_ended, NORMAL) X(DIAL_CANCEL, dial_cancel, NORMAL)      \
    X(LISTENING, listening, NORMAL) X(INTERFACES_CHANGED, interfaces_changed, NORMAL)                              \
    X(ADMITTED, admitted, NORMAL) X(ARRIVED, arrived, NORMAL) X(CONN_ATTACH, conn_attach, URGENT)                  \
    X(CONN_BYTES, conn_bytes, NORMAL) X(CONN_CREDIT, conn_credit, URGENT) X(CONN_WRITE, conn_write, NORMAL)        \
    X(CONN_WROTE, conn_wrote, URGENT) X(CONN_ENDED, conn_ended, NORMAL) X(LINK_UP, link_up, NORMAL)                \
    X(LINK_ENDED, link_ended, URGENT) X(LINK_STATUS, link_status, NORMAL) X(LINK_REFUSED, link_refused, NORMAL)    \
    X(LINK_CLOSE, link_close, NORMAL) X(PROTOCOLS_CHANGED, protocols_changed, NORMAL)                              \
    X(STREAM_DATA, stream_data, NORMAL)                                                                            \
    X(STREAM_EOF, stream_mark, NORMAL) X(STREAM_CLOSE_WRITE, stream_mark, NORMAL)                                  \
    X(STREAM_RESET, stream_reset, NORMAL) X(STREAM_RESET_URGENT, stream_reset, URGENT)                             \
    X(STREAM_ABORT, stream_reset, NORMAL) X(STREAM_WRITE, stream_write, NORMAL)                                    \
    X(STREAM_CONSUMED, stream_bytes, URGENT) X(STREAM_CREDIT, stream_bytes, URGENT) X(CONNECT, connect, NORMAL)    \
    X(DISCONNECT, disconnect, NORMAL) X(PROTECT, protect, NORMAL) X(REGISTERED, registered, NORMAL)                \
    X(IDENTIFIED, identified, NORMAL) X(PEER_FOUND, peer_found, NORMAL) X(PEER_GONE, peer_gone, NORMAL)            \
    X(LIST_PEERS, list_peers, NORMAL) X(LIST_ADDRS, list_addrs, NORMAL) X(PEER_CONNECTED, peer, NORMAL)            \
    X(PEER_DISCONNECTED, peer, NORMAL) X(PEER_DISCOVERED, peer, NORMAL) X(PEER_UPDATED, peer, NORMAL)              \
    X(SELF_CHANGED, self_changed, NORMAL) X(MESSAGE_SEND, message_send, NORMAL) X(MESSAGE, message, NORMAL)        \
    X(ANNOUNCE, announce, NORMAL) X(DISCOVER, discover, NORMAL) X(USER_STREAM, user_stream, NORMAL)                \
    X(NOTIFY, notify, NORMAL) X(TAG, tag, NORMAL) X(FORGET, tag, NORMAL) X(STORE_LOADED, store_batch, NORMAL)      \
    X(STORE_WRITTEN, store_mark, NORMAL)

/* Those that somebody waits for, with what is done when their receiver has ended without reading them (unread.c): an answer is
 * made, or they come again: what names the node's parts to each other waits for the next generation, and the answer itself is
 * never refused for want of room. */
#define LP2P_REQUESTS(X)                                                                                           \
    X(DIAL, dial, NORMAL, dial) X(DIAL_ENDED, dial_ended, NORMAL, again) X(RESOLVE, resolve, NORMAL, resolve)      \
    X(RESOLVED, resolved, NORMAL, again) X(PROXIED, proxied, NORMAL, proxied)                                      \
    X(STREAM_OPEN, stream_open, NORMAL, stream_open) X(STREAM_OPENED, stream_opened, NORMAL, stream_opened)        \
    X(STREAM_OPEN_FAILED, stream_open_failed, NORMAL, again)                                                       \
    X(PEER_STREAM_OPEN, peer_stream_open, NORMAL, peer_stream_open) X(REGISTER, register, NORMAL, again)           \
    X(SUBSCRIBE, subscribe, NORMAL, again) X(MESSAGE_ROUTE, message_route, NORMAL, again)                          \
    X(DHT_REQUEST, dht_request, NORMAL, dht_request) X(DHT_DONE, dht_done, NORMAL, again)                          \
    X(STORE_WRITE, store_batch, NORMAL, again) X(STORE_LOAD, store_mark, NORMAL, again)

#define LP2P_DECLARE(NAME, ...) extern const struct lp2p_msg_class LP2P_M_##NAME;
LP2P_MESSAGES(LP2P_DECLARE)
LP2P_REQUESTS(LP2P_DECLARE)
#undef LP2P_DECLARE

/** A new message: `struct lp2p_m_dial *m = LP2P_NEW(DIAL, dial);` NULL when memory is short. */
#define LP2P_NEW(NAME, type) ((struct lp2p_m_##type *)(void *)lp2p_msg_new(&LP2P_M_##NAME))
#define LP2P_IS(msg, NAME) ((msg)->cls == &LP2P_M_##NAME)
#define LP2P_AS(msg, NAME, type) LP2P_MSG_AS(msg, &LP2P_M_##NAME, lp2p_m_##type)

#endif
