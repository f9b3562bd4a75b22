/* SPDX-License-Identifier: MIT
 * lotus-p2p: a libp2p node to embed. This is the whole public interface; it is installed as <lotus/p2p.h>.
 *
 * Threads: every function may be called from any thread, also from callbacks, unless it says otherwise. Callbacks of a
 * protocol run on that protocol's own thread and may block: they stall only that protocol. Event and completion callbacks
 * run on the node's notifier thread and may block too: they delay only further events and completions.
 *
 * Ownership: a `const char *` or pointer given to a call is borrowed until the call returns. What a callback receives is
 * valid until the callback returns. What a function returns for keeping has a matching _free.
 *
 * Peers are named by the text of their peer id ("12D3KooW..."; CIDv1 text is read too), addresses by multiaddr text.
 *
 * Errors: what returns enum lp2p_err returns LP2P_OK or a negative code whose name, sentence and fault are told by lp2p_errname,
 * lp2p_strerror and lp2p_err_fault. NULL where something is required is EINVAL, no memory is ENOMEM, a node that does not run is
 * ESTATE; beside a function stand only the codes that are its own. A call that gives an operation checks its arguments at once and
 * tells everything else through the operation's result.
 *
 * Units are part of the name: _ns nanoseconds, _ms milliseconds, _s seconds, _len and cap bytes or entries. Texts end in NUL.
 *
 * Specs named here are those of libp2p (github.com/libp2p/specs). Messages and resources are those of Lotus nodes. */
#ifndef LOTUS_P2P_H
#define LOTUS_P2P_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LP2P_VERSION_STRING "0.1.0"
/** Version of the library that is linked, e.g. "0.1.0". */
const char *lp2p_version(void);
/** For daemons, after their start: gives memory back that only the start needed (the heap's free pages, and pages of programs
 *  and libraries that are the same in their files; those come back when they are touched). The library never does it unasked.
 *  Breakpoints that a debugger has set are lost. */
void lp2p_process_trim(void);

#define LP2P_PEER_TEXT_MAX 80  /* bytes of a peer id text with its NUL */
#define LP2P_ADDR_TEXT_MAX 512 /* bytes of a multiaddr text with its NUL */
#define LP2P_DETAIL_MAX 512    /* bytes of an error detail with its NUL */

struct lp2p_config;
struct lp2p_node;
struct lp2p_op;
struct lp2p_stream;

/* ---- Configuration: build one, set what differs from the defaults, create nodes from it, free it. One thread at a time. */

/** A configuration with the defaults: no listen address, DHT client, connections 10..50, noise and tls, yamux; NULL: no memory. */
struct lp2p_config *lp2p_config_new(void);
/** Frees and wipes it; nodes that were made from it go on. NULL-safe. */
void lp2p_config_free(struct lp2p_config *config);

/* Each setter returns LP2P_OK or LP2P_EINVAL with lp2p_config_detail telling which value was wrong and what was expected; those that
 * read a file also ENOTFOUND and EIO. After an error the configuration is as it was before. */
/** Adds an address to listen on, up to 16: /ip4|ip6/IP/tcp/PORT, alone or with /ws, /wss, /tls/ws or /tls/sni/NAME/ws behind it.
 *  Addresses with the same IP address and port (not 0) share one socket; the first bytes tell what is spoken. */
enum lp2p_err lp2p_config_listen(struct lp2p_config *config, const char *multiaddr);
/** Adds an address that identify and the DHT publish instead of those listened on and observed; up to 16. Port 0, unspecified and
 *  link-local addresses are refused here and below: nobody can dial them. */
enum lp2p_err lp2p_config_announce(struct lp2p_config *config, const char *multiaddr);
/** Adds an address that is published besides the others; up to 16. */
enum lp2p_err lp2p_config_append_announce(struct lp2p_config *config, const char *multiaddr);
/** Adds a peer that is dialed first, and again while it is not connected; must end in /p2p/ID; up to 64. */
enum lp2p_err lp2p_config_bootstrap(struct lp2p_config *config, const char *multiaddr);
/** Below `min` connections known peers are dialed, above `max` the least valuable are closed; 0 <= min <= max, 1 <= max <= 65536;
 *  defaults 10, 50. */
enum lp2p_err lp2p_config_connections(struct lp2p_config *config, unsigned min, unsigned max);
/** What is set now: by the call above, by lp2p_config_load_env, or the defaults. */
void lp2p_config_connections_of(const struct lp2p_config *config, unsigned *min, unsigned *max);
/** Tell and believe only public addresses: identify and the signed record leave out what is private or loopback (not what `announce`
 *  and `append_announce` name), and the DHT keeps no peer without a public address. For nodes of a public network; default false. */
enum lp2p_err lp2p_config_public_only(struct lp2p_config *config, bool public_only);
/** "server", "client" or "off" (default "client"); protocol is a full id, NULL: /lotus/kad/1.0.0. */
enum lp2p_err lp2p_config_dht(struct lp2p_config *config, const char *mode, const char *protocol);
/** Size of a bucket and of an answer (k), and requests of a lookup under way at one time (alpha), as in kad-dht; defaults 20, 10;
 *  0 keeps. */
enum lp2p_err lp2p_config_dht_params(struct lp2p_config *config, unsigned k, unsigned alpha);
/** Comma separated list in order of preference: "noise", "tls" or both (default "noise,tls"): dialers propose in this order,
 *  listeners take any of them. */
enum lp2p_err lp2p_config_security(struct lp2p_config *config, const char *list);
/** Certificate chain and key (PEM files) for the secure WebSocket addresses that are listened on; read at start, and again within
 *  seconds after a change. Without them such listeners show a certificate of their own making, for development. */
enum lp2p_err lp2p_config_tls_files(struct lp2p_config *config, const char *certificate, const char *key);
/** Comma separated list of IP addresses and networks (10.0.0.0/8) of proxies: what these say about where a connection comes from
 *  (PROXY protocol 1 and 2, X-Forwarded-For) is believed, and limits and identify go by it. What cannot be read is refused (400); a
 *  connection about which they say nothing counts as the proxy's own, within the limits of one address. Up to 16; default none. */
enum lp2p_err lp2p_config_trusted_proxies(struct lp2p_config *config, const char *list);
/** A private network: its pre-shared key file (spec pnet, /key/swarm/psk/1.0.0/). The node then speaks to nobody without that key.
 *  EINVAL: it is no such file; ENOTFOUND, EIO: it cannot be read. */
enum lp2p_err lp2p_config_swarm_key_file(struct lp2p_config *config, const char *path);
/** Comma separated list in order of preference: "yamux", "mplex" or both (default "yamux"). */
enum lp2p_err lp2p_config_muxers(struct lp2p_config *config, const char *list);
/** Identity: a PrivateKey protobuf (spec peer-ids) of any type. Copied. Without it each node gets a throw-away identity. */
enum lp2p_err lp2p_config_key(struct lp2p_config *config, const void *protobuf, size_t len);
/** Type of the identities that are made here (throw-away, or in a new key file): "ed25519" (default), "secp256k1", "ecdsa"
 *  (P-256), "rsa" (2048 bits), "rsa-3072", "rsa-4096". A key file that holds another type is then refused (EINVAL). Before
 *  lp2p_config_key_file. */
enum lp2p_err lp2p_config_key_type(struct lp2p_config *config, const char *type);
/** Identity from a file with the PrivateKey protobuf; created with mode 0600 if it does not exist and `create` is true. When others
 *  may read the file it is taken all the same, and lp2p_config_detail warns. */
enum lp2p_err lp2p_config_key_file(struct lp2p_config *config, const char *path, bool create);
/** Signs with a secret that stays elsewhere (a hardware key, another process): Ed25519 64 bytes; ECDSA and secp256k1 DER over
 *  the message's SHA-256; RSA PKCS#1 v1.5 with SHA-256. LP2P_OK with *len <= cap (1024). Called by lp2p_node_new, and by the
 *  node's threads when its addresses change: it may take milliseconds, it must not call the node. Every signature is checked
 *  before it is used. */
typedef enum lp2p_err (*lp2p_sign_fn)(void *user, const void *message, size_t message_len, uint8_t *out, size_t cap, size_t *len);
/** Identity: a PublicKey protobuf and what signs for it. fn and user must outlive the nodes. */
enum lp2p_err lp2p_config_signer(struct lp2p_config *config, const void *public_key, size_t len, lp2p_sign_fn fn, void *user);
/** True when an identity was given, by any of the calls above or by lp2p_config_load_env. */
bool lp2p_config_has_identity(const struct lp2p_config *config);
/** A directory of the node's own (made if need be, mode 0700; its parent must exist): the peers that it knows are kept there over
 *  restarts, and the identity too (identity.key, mode 0600) when no other was given. One process at a time: another one's start
 *  fails with EEXIST. Without it nothing is kept. */
enum lp2p_err lp2p_config_data_dir(struct lp2p_config *config, const char *path);
/** I/O threads that carry the connections: 0: one thread for each connection. Not called: one for each connection when max
 *  connections is at most 64 (and never more than 64 threads), else one for each core. */
enum lp2p_err lp2p_config_io_threads(struct lp2p_config *config, unsigned threads);
/** Built-in services: comma separated list of "echo" (/echo/1.0.0) and "perf" (/perf/1.0.0); default none. */
enum lp2p_err lp2p_config_serve(struct lp2p_config *config, const char *list);
/** Name servers in place of the system's: "ADDRESS[:PORT],...", IPv6 with a port as "[ADDRESS]:PORT"; "" or NULL: the system's. */
enum lp2p_err lp2p_config_dns_servers(struct lp2p_config *config, const char *list);
/** Dial from the port that the node listens on, so that the addresses that peers observe can be used by others (default true). */
enum lp2p_err lp2p_config_port_reuse(struct lp2p_config *config, bool reuse);
/** Find peers on the local network by mDNS, and be found there (default false): tells everybody on it the peer id and addresses. */
enum lp2p_err lp2p_config_mdns(struct lp2p_config *config, bool on);
/** Text of identify's agentVersion, not empty; default "lotus-p2p/<version>". */
enum lp2p_err lp2p_config_agent(struct lp2p_config *config, const char *agent);
/** Connections younger than this are not trimmed; milliseconds, default 20,000. */
enum lp2p_err lp2p_config_trim_grace(struct lp2p_config *config, unsigned grace_ms);
/** Reads P2P_MIN_CONNECTIONS, P2P_MAX_CONNECTIONS and the identity (P2P_PRIVATE_KEY_BASE64: the protobuf, else
 *  P2P_PRIVATE_KEY_RAW_BASE64: 64 bytes of Ed25519) from a file of NAME=value lines (NULL: ".env" in the current directory).
 *  ENOTFOUND when there is no such file; a count that is 0 or not a number leaves the default, as Lotus does; a key that is
 *  none is EINVAL. OK with a warning in lp2p_config_detail when none of these names is in the file; "" otherwise. */
enum lp2p_err lp2p_config_load_env(struct lp2p_config *config, const char *path);
/** Calls fn for each setting, by the name of lp2pd's option for it, with what is in force: once for each address of a list, "" for
 *  nothing, "yes" or "no". Secrets are not told: of the identity the peer id, of a private network's key its fingerprint.
 *  from_env: the value is from the file of lp2p_config_load_env. */
typedef void (*lp2p_setting_fn)(void *user, const char *name, const char *value, bool from_env);
void lp2p_config_each(const struct lp2p_config *config, lp2p_setting_fn fn, void *user);

enum lp2p_log_level { LP2P_LOG_ERROR, LP2P_LOG_WARN, LP2P_LOG_INFO, LP2P_LOG_DEBUG };
/** Log lines without newline; `module` e.g. "dialer". Called by the node's threads, one call at a time (of each node: two nodes of one
 *  configuration may call at the same moment); must not call back into the node and should not block. The library prints nothing by
 *  itself. */
typedef void (*lp2p_log_fn)(void *user, enum lp2p_log_level level, const char *module, const char *text);
/** Lines up to max_level go to fn(user, ..), which must outlive the nodes; fn NULL (the default): nowhere. */
enum lp2p_err lp2p_config_log(struct lp2p_config *config, enum lp2p_log_level max_level, lp2p_log_fn fn, void *user);
/** What was wrong with the last setter that failed, or a warning of lp2p_config_key_file or lp2p_config_load_env; never NULL. */
const char *lp2p_config_detail(const struct lp2p_config *config);

/* ---- Node */

/** Creates a node; the configuration is copied. The peer id exists from here on. `detail` (may be NULL, LP2P_DETAIL_MAX bytes). */
enum lp2p_err lp2p_node_new(const struct lp2p_config *config, struct lp2p_node **out, char *detail);
/** Starts threads and listeners. EADDRINUSE, EADDRNOTAVAIL, EACCES..., with the address and the reason in `detail`. */
enum lp2p_err lp2p_node_start(struct lp2p_node *node, char *detail);
/** Closes connections and stops all threads; idempotent. Waits; not to be called from a callback (ESTATE). Operations that
 *  are still running finish with ECLOSED, streams end with it. ETIMEDOUT: a callback did not return within its time; its thread
 *  is left behind, the node's memory stays, and it cannot be started again. */
enum lp2p_err lp2p_node_stop(struct lp2p_node *node);
/** Stops if need be and frees; no other thread may use the node any more. Streams and operations must have been freed. */
void lp2p_node_free(struct lp2p_node *node);

/** The node's peer id text; valid as long as the node. */
const char *lp2p_node_peer_id(const struct lp2p_node *node);
/** Addresses it listens on, interfaces expanded, each with /p2p/ID: copies up to cap texts, returns how many there are. */
size_t lp2p_node_addrs(struct lp2p_node *node, char (*out)[LP2P_ADDR_TEXT_MAX], size_t cap);

/* ---- Operations: the handle of a call that takes time. Any thread; each is freed once with lp2p_op_free, also when it was
 *      not waited for (it then goes on without you). A call with `op` == NULL is fire and forget. */

/** Waits until done or timeout_ms passed (<0: for ever, 0: poll). OK: done (ask lp2p_op_result); ETIMEDOUT: not yet. */
enum lp2p_err lp2p_op_wait(struct lp2p_op *op, int timeout_ms);
/** A descriptor that becomes readable when done; owned by the op. -1: no descriptor could be made. */
int lp2p_op_fd(struct lp2p_op *op);
/** Calls fn on the notifier thread when done (soon, if it is done already), also when the op was freed meanwhile: so `then`
 *  followed by `free` is fire and be told. At most one; fn must not free the op. What is left when the node is stopped is
 *  called by the thread that stops it. */
typedef void (*lp2p_op_fn)(void *user, struct lp2p_op *op);
enum lp2p_err lp2p_op_then(struct lp2p_op *op, lp2p_op_fn fn, void *user);
/** Finishes it with ECANCELED unless it is done; what was sent stays sent. NULL-safe. */
void lp2p_op_cancel(struct lp2p_op *op);
/** Gives the handle up; what runs goes on without it. NULL-safe. */
void lp2p_op_free(struct lp2p_op *op);
/** How it ended: LP2P_OK or why it failed; EAGAIN while it runs. */
enum lp2p_err lp2p_op_result(const struct lp2p_op *op);
/** What was tried, on which address, at which stage, and why it failed; "" if there is nothing to add. Valid while op lives. */
const char *lp2p_op_detail(const struct lp2p_op *op);
/** Result bytes (a DHT value, a resource's JSON); NULL if none. Valid while op lives. */
const void *lp2p_op_bytes(const struct lp2p_op *op, size_t *len);
/** Result number (ping: nanoseconds; broadcast: peers reached; put and announce: peers that stored it). */
uint64_t lp2p_op_number(const struct lp2p_op *op);
/** Of a broadcast: connected peers that did not get it because they do not speak the stream protocol. */
uint64_t lp2p_op_left_out(const struct lp2p_op *op);
/** Result stream of lp2p_stream_open, once: the caller owns it. */
struct lp2p_stream *lp2p_op_stream(struct lp2p_op *op);

/* ---- Peers and connections */

enum lp2p_direction { LP2P_INBOUND, LP2P_OUTBOUND };

struct lp2p_peer {
    char id[LP2P_PEER_TEXT_MAX];
    bool connected;
    enum lp2p_direction direction; /* of the oldest connection */
    unsigned connections, streams; /* open now */
    char remote_addr[LP2P_ADDR_TEXT_MAX]; /* of the oldest connection; "" when not connected */
    char observed_addr[LP2P_ADDR_TEXT_MAX]; /* our address as the peer sees it; "" if unknown */
    char agent[128], protocol_version[64];  /* from identify, control characters replaced; "" if unknown */
    const char *security, *muxer;  /* "/noise", "/yamux/1.0.0"; "" when not connected */
    bool signed_record;            /* identify brought a signed record that was valid */
    uint64_t rtt_ns;               /* 0: unknown */
    uint64_t connected_ms, last_seen_ms; /* wall clock, ms since 1970; 0: never */
    size_t addrs_len, protocols_len;
    const char *const *addrs;      /* known multiaddrs */
    const char *const *protocols;  /* ids from identify */
};

/** Dials a multiaddr that ends in /p2p/ID, or a bare peer id whose addresses are known. Done when the connection is usable and
 *  identify has run (or failed). Connecting to a connected peer succeeds at once. Result bytes: the peer id as text. A
 *  multiaddr without /p2p/ID takes whoever answers there: for tools that then look at the result. */
enum lp2p_err lp2p_node_connect(struct lp2p_node *node, const char *multiaddr, struct lp2p_op **op);
/** Closes all connections to a peer (peer id, or multiaddr with /p2p/ID). ENOCONN in the result if there was none. */
enum lp2p_err lp2p_node_disconnect(struct lp2p_node *node, const char *peer_or_multiaddr, struct lp2p_op **op);
/** Snapshot of known peers, NULL-safe free. `connected_only`: without those that are only known. Waits for the node (bounded). */
enum lp2p_err lp2p_node_peers(struct lp2p_node *node, bool connected_only, struct lp2p_peer **out, size_t *len);
/** Frees what lp2p_node_peers and lp2p_node_peer gave, with all texts in it. NULL-safe. */
void lp2p_peers_free(struct lp2p_peer *peers, size_t len);
/** One peer; ENOTFOUND. Free with lp2p_peers_free(peer, 1). */
enum lp2p_err lp2p_node_peer(struct lp2p_node *node, const char *peer, struct lp2p_peer **out);
/** True while there is a usable connection to the peer. Waits for the node (bounded). */
bool lp2p_node_is_connected(struct lp2p_node *node, const char *peer);
/** Keeps a peer's connections from being trimmed, or gives that up. Counted: as many unprotects as protects. */
enum lp2p_err lp2p_node_protect(struct lp2p_node *node, const char *peer, bool protect);
/** Gives a peer's connections a value when some have to be closed (the sum of its tags; a bootstrap peer has 50 besides); 0 takes
 *  the tag away. Kept over restarts with a data directory. At most 8 tags a peer, names of at most 31 bytes; ELIMIT. */
enum lp2p_err lp2p_node_tag(struct lp2p_node *node, const char *peer, const char *tag, int value, struct lp2p_op **op);
/** Forgets all that is known of a peer that is not connected, also on disk. ENOTFOUND; ESTATE: it is connected or dialed. */
enum lp2p_err lp2p_node_forget(struct lp2p_node *node, const char *peer, struct lp2p_op **op);
/** One round trip on a fresh stream of /ipfs/ping/1.0.0; number: nanoseconds. Dials if need be. */
enum lp2p_err lp2p_node_ping(struct lp2p_node *node, const char *peer, struct lp2p_op **op);

/* ---- Messages (`/lotus/message/1.0.0`: one JSON object on a stream of its own) */

struct lp2p_message {
    const char *type;       /* required */
    const char *protocol;   /* name of the receiving handler; NULL: only the message event fires there */
    const char *payload;    /* JSON text; NULL: none */
    const char *to;         /* informational peer id; NULL: none */
    /* Filled by the receiver's node, ignored when sending (made by the sender's node): */
    const char *from;       /* as claimed in the message; NOT proven: compare with the peer the callback names */
    const char *message_id;
    uint64_t timestamp_ms;
    const char *json; size_t json_len; /* the whole message as received */
};

/** Sends one message; dials if need be. Done when it was handed to the network (there is no acknowledgement in the protocol).
 *  stream_protocol NULL: /lotus/message/1.0.0. Result bytes: the JSON text as it was sent. ELIMIT: more than 100,000 bytes of it. */
enum lp2p_err lp2p_node_send_to(struct lp2p_node *node, const char *peer, const struct lp2p_message *message,
                                const char *stream_protocol, struct lp2p_op **op);

struct lp2p_broadcast {
    const char *const *exclude; size_t exclude_len;           /* peers that do not get it */
    const char *const *include_only; size_t include_only_len; /* if not empty: only these (connected) peers get it */
    const char *stream_protocol;                              /* NULL: /lotus/message/1.0.0 */
};
/** Sends to every connected peer that speaks the stream protocol; afterwards this node's own handler for message->protocol gets it
 *  too, as in Lotus. Peers that are known not to speak it are not asked: identify, or a push, said so, or they refused it on this
 *  connection (of a peer that sends no pushes a refusal counts for 30 s). The number of the op is how many peers it was handed to,
 *  lp2p_op_left_out how many do not speak it. options may be NULL. */
enum lp2p_err lp2p_node_broadcast(struct lp2p_node *node, const struct lp2p_message *message,
                                  const struct lp2p_broadcast *options, struct lp2p_op **op);

/* ---- Protocols of the user. Each registered protocol is an actor with a thread of its own, restarted if it fails. */

struct lp2p_handler {
    size_t size;         /* sizeof(struct lp2p_handler): lets the struct grow */
    const char *name;    /* messages with this `protocol` come here; unique */
    const char *stream_protocol; /* full protocol id for handle_stream, e.g. "/musig2/1.0.0"; NULL without handle_stream */
    void *user;          /* passed to every callback */
    /** A message; LP2P_OK, or an error that is logged (a failed handler does not end anything). */
    enum lp2p_err (*handle_message)(void *user, struct lp2p_node *node, const struct lp2p_message *message, const char *peer);
    /** An inbound stream; the callee owns it from here on and frees it. May be NULL. */
    void (*handle_stream)(void *user, struct lp2p_node *node, struct lp2p_stream *stream);
    void (*on_peer_discovered)(void *user, struct lp2p_node *node, const struct lp2p_peer *peer); /* each may be NULL */
    void (*on_peer_connected)(void *user, struct lp2p_node *node, const struct lp2p_peer *peer);
    void (*on_peer_disconnected)(void *user, struct lp2p_node *node, const struct lp2p_peer *peer);
    void (*on_peer_updated)(void *user, struct lp2p_node *node, const struct lp2p_peer *peer);
    /** Called when the actor (re)starts with restarts so far, 0 the first time; an error is a failure (supervisor acts). May be NULL. */
    enum lp2p_err (*on_start)(void *user, struct lp2p_node *node, unsigned restarts);
};
/** Before or after start. The struct is copied; `user` must live until the handler is unregistered or the node freed. EEXIST: the
 *  name or the stream protocol is taken. Connections that are already up hear of it a moment after the return: a stream that a peer
 *  proposes in that moment is still refused; peers learn of the protocol by identify push. */
enum lp2p_err lp2p_node_register(struct lp2p_node *node, const struct lp2p_handler *handler);
/** Returns after the last callback of the handler has returned (unless called from that handler itself). ENOTFOUND. */
enum lp2p_err lp2p_node_unregister(struct lp2p_node *node, const char *name);

/* ---- Streams. A stream is used by one reader thread and one writer thread at a time; free when neither uses it. */

/** Opens a stream; dials if need be. The first of the `protocols` that the peer speaks is taken. */
enum lp2p_err lp2p_stream_open(struct lp2p_node *node, const char *peer, const char *const *protocols, size_t protocols_len,
                               struct lp2p_op **op);
/** Reads 1..cap bytes. *got == 0 with OK: the peer closed its writing half. timeout_ms as lp2p_op_wait; ETIMEDOUT (0: EAGAIN).
 *  ERESET, ECLOSED. Credit is given to the peer as bytes are read: not reading is backpressure. */
enum lp2p_err lp2p_stream_read(struct lp2p_stream *stream, void *out, size_t cap, int timeout_ms, size_t *got);
/** Writes up to len bytes; waits while the peer gives no credit. *put is how many were taken, also with ETIMEDOUT. EAGAIN with
 *  timeout 0 when nothing could be taken. */
enum lp2p_err lp2p_stream_write(struct lp2p_stream *stream, const void *bytes, size_t len, int timeout_ms, size_t *put);
/** Half close: no more writes; what was written still goes out. Idempotent. */
enum lp2p_err lp2p_stream_close_write(struct lp2p_stream *stream);
/** Ends both directions at once; queued bytes may be lost. Idempotent. */
void lp2p_stream_reset(struct lp2p_stream *stream);
/** A descriptor that is readable when the stream may be readable, writable or has ended since the last read or write; owned by
 *  the stream. -1 if none could be made. */
int lp2p_stream_fd(struct lp2p_stream *stream);
/** The proven peer id of the other side; valid as long as the stream. */
const char *lp2p_stream_peer(const struct lp2p_stream *stream);
/** The protocol id that was agreed on; valid as long as the stream. */
const char *lp2p_stream_protocol(const struct lp2p_stream *stream);
/** Frees; a stream that is not yet closed on both sides is closed for writing and what arrives is thrown away (reset if unread
 *  data was lost). NULL-safe. */
void lp2p_stream_free(struct lp2p_stream *stream);

/* ---- Resources and the DHT. ESTATE in the result when the DHT is off. */

/** Announces JSON data under "resource:<type>:<id>". ttl_ms 0: no expiry. EINVAL: type and id hold more than one '/' together
 *  (js nodes drop such records). Kept in the local cache even when no peer stores it (EQUORUM in the result then). */
enum lp2p_err lp2p_node_announce(struct lp2p_node *node, const char *type, const char *id, const char *json, uint64_t ttl_ms,
                                 struct lp2p_op **op);
/** Local cache first, then the DHT. Result bytes: the announcement as JSON (resourceId, resourceType, creatorPeerId, data,
 *  createdAt, expiresAt). ENOTFOUND. */
enum lp2p_err lp2p_node_discover(struct lp2p_node *node, const char *type, const char *id, uint64_t timeout_ms, struct lp2p_op **op);
/** Local cache only; *json is the announcement (free with lp2p_free). ENOTFOUND. */
enum lp2p_err lp2p_node_resource(struct lp2p_node *node, const char *type, const char *id, char **json);

/** Stores a record (kad-dht, PUT_VALUE) at the peers closest to the key. Key and value are taken as they are, without a validator, as
 *  Lotus nodes have it. Number: peers that stored it. EQUORUM: none did. */
enum lp2p_err lp2p_dht_put(struct lp2p_node *node, const void *key, size_t key_len, const void *value, size_t value_len,
                           struct lp2p_op **op);
/** Looks a record up (kad-dht, GET_VALUE). Result bytes: the value. ENOTFOUND. */
enum lp2p_err lp2p_dht_get(struct lp2p_node *node, const void *key, size_t key_len, struct lp2p_op **op);
/** Tells the peers closest to the key that this node provides it (kad-dht, ADD_PROVIDER). key: a multihash, or a CID text (then
 *  key_len is strlen), which stands for its multihash; other bytes are EINVAL. Number: peers that it was sent to. */
enum lp2p_err lp2p_dht_provide(struct lp2p_node *node, const void *key, size_t key_len, struct lp2p_op **op);
/** Peers that provide a key, as for provide, until `max` are known (kad-dht, GET_PROVIDERS). See lp2p_op_peers. ENOTFOUND. */
enum lp2p_err lp2p_dht_find_providers(struct lp2p_node *node, const void *key, size_t key_len, unsigned max, struct lp2p_op **op);
/** The addresses of a peer (kad-dht, FIND_NODE). See lp2p_op_peers. ENOTFOUND. */
enum lp2p_err lp2p_dht_find_peer(struct lp2p_node *node, const char *peer, struct lp2p_op **op);
/** The peers closest to a key: any bytes, or the text of a peer id or a CID, which then stands for its binary form. */
enum lp2p_err lp2p_dht_closest(struct lp2p_node *node, const void *key, size_t key_len, struct lp2p_op **op);
/** Peers of a finished find_providers, find_peer, closest: id and addrs are set. Valid while op lives. */
const struct lp2p_peer *lp2p_op_peers(const struct lp2p_op *op, size_t *len);

/* ---- Events */

enum lp2p_event_kind {
    LP2P_EVENT_CONNECT, LP2P_EVENT_DISCONNECT, LP2P_EVENT_DISCOVERY, LP2P_EVENT_UPDATE, LP2P_EVENT_MESSAGE,
    LP2P_EVENT_ERROR,      /* detail: text; err */
    LP2P_EVENT_RESTART,    /* a component failed and was restarted; detail: its id, number: its generation */
    LP2P_EVENT_LISTENING,  /* detail: multiaddr with /p2p/ID */
    LP2P_EVENT_LOST,       /* the queue was full: `number` events were dropped before this one */
};
/** "peer:connect", "peer:disconnect", "message", "error", ...; static. */
const char *lp2p_event_name(enum lp2p_event_kind kind);
struct lp2p_event {
    enum lp2p_event_kind kind;
    const struct lp2p_peer *peer;       /* CONNECT, DISCONNECT, DISCOVERY, UPDATE, MESSAGE (id only) */
    const struct lp2p_message *message; /* MESSAGE */
    enum lp2p_err err;                  /* ERROR, DISCONNECT: why */
    const char *detail;                 /* never NULL */
    uint64_t number;
    uint64_t time_ms;                   /* wall clock */
};
typedef void (*lp2p_event_fn)(void *user, struct lp2p_node *node, const struct lp2p_event *event);
/** Events by callback on the notifier thread; NULL: by queue (the default). */
enum lp2p_err lp2p_node_on_event(struct lp2p_node *node, lp2p_event_fn fn, void *user);
/** Events by queue: readable while events wait. At most 4096 wait; then the oldest are dropped and LOST tells how many. */
int lp2p_node_event_fd(struct lp2p_node *node);
/** The next event, or NULL when none came in time or the node does not run; timeout_ms as lp2p_op_wait. Free it with lp2p_event_free. */
struct lp2p_event *lp2p_node_next_event(struct lp2p_node *node, int timeout_ms);
/** Frees an event of the queue and all that it points to. NULL-safe. */
void lp2p_event_free(struct lp2p_event *event);

/* ---- Statistics, read without stopping anything */

struct lp2p_stats {
    char peer_id[LP2P_PEER_TEXT_MAX]; /* "not-started" before start, as in Lotus */
    uint64_t uptime_ms;
    unsigned connections, inbound, outbound, connections_min, connections_max, streams, known_peers, dht_peers;
    unsigned upgrades_pending, dials_pending;
    uint64_t connections_opened, connections_closed, connections_trimmed, connections_refused, dials, dials_failed;
    uint64_t dials_limited;    /* attempts not made: others wanted that address, or its network, tried too often */
    uint64_t upgrades_failed;  /* inbound ones, before a connection existed */
    uint64_t proxied_invalid;  /* of these: a trusted proxy's word about where it comes from cannot be read */
    uint64_t bytes_in, bytes_out; /* of sockets */
    uint64_t messages_in, messages_out, messages_invalid, messages_duplicate, messages_dropped;
    uint64_t messages_left_out; /* of broadcasts, not sent: the peer is known not to speak the stream protocol */
    uint64_t streams_opened, streams_refused, streams_reset;
    uint64_t dht_requests_in, dht_requests_refused, dht_records, dht_providers;
    uint64_t events_lost, restarts, actors, threads;
    uint64_t mdns_queries, mdns_answers, mdns_packets, mdns_invalid, mdns_limited, mdns_peers; /* packets: received; peers: heard of */
    uint64_t mdns_gone, mdns_suppressed; /* peers that took leave; answers that were known already */
};
/** Counters since the node was made, and gauges of now; all zero while the node is not started. */
enum lp2p_err lp2p_node_stats(struct lp2p_node *node, struct lp2p_stats *out);

/** Accounting of one actor of the node. */
struct lp2p_actor_info {
    char id[40], kind[16], thread[16];
    unsigned restarts;
    uint64_t msgs_in, msgs_out, sends_refused; /* refused: the receiver's mailbox was full */
    uint64_t busy_ns, longest_ns, turns;       /* in handlers: in all, the longest one, how often it was its turn */
    uint64_t bytes;                            /* held */
    uint32_t depth, depth_peak;                /* of its mailbox */
};
/** Copies up to cap entries, returns how many actors there are. */
size_t lp2p_node_actors(struct lp2p_node *node, struct lp2p_actor_info *out, size_t cap);
/** Makes the component with that id (e.g. "router", "listener-0", "proto:chat", "conn-7") fail, as a drill. ENOTFOUND. */
enum lp2p_err lp2p_node_fail_actor(struct lp2p_node *node, const char *id);

/** Frees text returned for keeping; NULL-safe. */
void lp2p_free(void *ptr);

/* ---- Keys (for tools) */

#define LP2P_KEY_MAX 4708        /* bytes of a PrivateKey protobuf: RSA of 8192 bits */
#define LP2P_KEY_PUBLIC_MAX 1100 /* bytes of a PublicKey protobuf */

/** A new Ed25519 identity as a 68-byte PrivateKey protobuf. */
enum lp2p_err lp2p_key_generate(uint8_t out[68]);
/** A new identity of a type as in lp2p_config_key_type, as a PrivateKey protobuf. RSA takes seconds. EINVAL, ELIMIT (cap). */
enum lp2p_err lp2p_key_generate_type(const char *type, uint8_t *out, size_t cap, size_t *len);
/** Peer id text of a PrivateKey protobuf. EINVAL, EUNSUPPORTED. */
enum lp2p_err lp2p_key_peer_id(const void *protobuf, size_t len, char out[LP2P_PEER_TEXT_MAX]);
/** PublicKey protobuf and name of the type ("ed25519", ..; may be NULL) of a PrivateKey protobuf. EINVAL, EUNSUPPORTED, ELIMIT. */
enum lp2p_err lp2p_key_public(const void *protobuf, size_t len, uint8_t *out, size_t cap, size_t *out_len, const char **type);
/** Signs with a PrivateKey protobuf; cap 1024 is enough for every type. For tools, tests and signers. */
enum lp2p_err lp2p_key_sign(const void *protobuf, size_t len, const void *message, size_t message_len, uint8_t *out, size_t cap,
                            size_t *out_len);
/** The PublicKey protobuf inside of a peer id text. ENOTFOUND: the id is only a hash of the key (RSA, ECDSA). EINVAL, ELIMIT (cap). */
enum lp2p_err lp2p_peer_public_key(const char *peer, uint8_t *out, size_t cap, size_t *len);
/** A peer id text of either form in both: base58 ("12D3Koo..", "Qm..") and CIDv1 ("bafz.."). Either out may be NULL. EINVAL. */
enum lp2p_err lp2p_peer_texts(const char *peer, char base58[LP2P_PEER_TEXT_MAX], char cid[LP2P_PEER_TEXT_MAX]);

#ifdef __cplusplus
}
#endif
#endif
