/* SPDX-License-Identifier: MIT
 * The swarm actor from the inside: table of connections, peer store, protocol table, self information, subscribers, and the
 * population rule. Only control messages pass here; the bytes of streams go from muxer to owner directly.
 *
 * All of it belongs to the swarm's own thread. The files: swarm.c (actor), swarm_links.c (connections), swarm_dials.c (dials and
 * who waits for them), swarm_spoken.c (which protocols a peer does not speak), swarm_self.c (what we say of ourselves,
 * subscribers), swarm_population.c (min and max), swarm_store.c (what is kept on disk). */
#ifndef LP2P_CONTROL_SWARM_H
#define LP2P_CONTROL_SWARM_H

#include "actors/context.h"
#include "actors/control/observed.h"
#include "actors/control/peers.h"
#include "actors/control/population.h"
#include "base/heap.h"

#include <stdlib.h>

#define LP2P_SWARM_SUBSCRIBERS_MAX 16384 /* each io thread has one: its identify */
#define LP2P_SWARM_PROTOCOLS_MAX 256
#define LP2P_SWARM_WAITERS_MAX 16384
#define LP2P_SWARM_DIALS_MAX 256
#define LP2P_SWARM_DIALS_RESERVED 64 /* of these: for the user only */
#define LP2P_SWARM_CONN_BUCKETS 256 /* numbers are ours and sequential: no keyed hash needed */
#define LP2P_LINKS_PER_PEER_MAX 4
#define LP2P_DIAL_TIMEOUT_NS LP2P_SEC(15)
#define LP2P_SELF_DEBOUNCE_NS LP2P_MS(20)
#define LP2P_REFUSALS_MAX 8            /* protocols remembered that a connection's peer refused; beyond: the oldest is forgotten */
#define LP2P_REFUSAL_NS LP2P_SEC(30)   /* how long: for a peer that cannot tell when it speaks more than before */
#define LP2P_LINK_GOOD_NS LP2P_SEC(60) /* who hangs up earlier, again and again, is not dialed at once again */

enum lp2p_swarm_timer { LP2P_SWARM_OUTBOX, LP2P_SWARM_SELF, LP2P_SWARM_POPULATION, LP2P_SWARM_WAITERS, LP2P_SWARM_STORE };

/** The peer refused a stream for a protocol. */
struct lp2p_refusal {
    uint64_t protocol_hash;
    lp2p_time until; /* 0: free */
    uint32_t told;   /* of the peer, when the stream was asked for */
};

/** One connection. */
struct lp2p_link {
    struct lp2p_list all, of_peer, by_conn, by_muxer;
    uint64_t conn;
    struct lp2p_ref connection, muxer;
    struct lp2p_peer_entry *peer;
    struct lp2p_multiaddr remote;
    struct lp2p_ip_port local; /* our end */
    const char *muxer_name, *security_name;
    bool outbound, up, closing, identified; /* identified: identify has ended, well or not */
    bool told;                              /* the peer has said on it what it speaks */
    struct lp2p_refusal *refusals;          /* LP2P_REFUSALS_MAX, made with the first: an idle connection has none; the link's own */
    unsigned refusals_at;                   /* the next to be overwritten */
    unsigned streams;
    uint64_t rtt_ns;
    lp2p_time since;
    uint64_t since_ms;
};

/** Someone who waits for a connection to a peer (in peer->waiters), or for a dial to an unknown peer (in dial->waiters). */
struct lp2p_waiter {
    struct lp2p_list list;
    struct lp2p_heap_node deadline;
    struct lp2p_op *op;                    /* CONNECT; finished when the link is identified */
    struct lp2p_m_peer_stream_open *open;  /* or a stream to be opened */
};

struct lp2p_dial_job {
    struct lp2p_list list;
    uint64_t id;
    struct lp2p_peer_entry *peer; /* NULL: whoever answers */
    struct lp2p_list waiters;     /* only with peer NULL */
    struct lp2p_addrs *told;      /* what the dialer was given */
    lp2p_time lost_at;            /* no answer comes any more: there was no memory for it, or the dialer hangs */
    bool population;
    bool user; /* asked for by the user: may go beyond the hard maximum */
};

struct lp2p_subscriber {
    struct lp2p_ref who;
    unsigned what;
};

/** What others told the swarm once and would not tell again: it survives a restart of the swarm (ctx keeps it, only the swarm
 *  touches it). Connections are not in it: a swarm that failed closes them and starts with none. */
struct lp2p_swarm_heir {
    struct lp2p_subscriber *subscribers;
    unsigned subscribers_len, subscribers_cap;
    struct lp2p_protocols *protocols;
    struct lp2p_addrs *listening[LP2P_LISTEN_MAX];
    uint64_t self_version, record_seq;
    uint64_t next_conn, next_dial; /* numbers are never given twice */
};

struct lp2p_swarm {
    uint32_t magic;
    struct lp2p_context *ctx;
    struct lp2p_outbox outbox;
    struct lp2p_peers peers;
    struct lp2p_population population;
    struct lp2p_observed observed;
    struct lp2p_list links, dials;
    struct lp2p_list by_conn[LP2P_SWARM_CONN_BUCKETS];
    struct lp2p_list by_muxer[LP2P_SWARM_CONN_BUCKETS]; /* by its slot */
    unsigned links_len, links_in, dials_len, dials_population;
    struct lp2p_heap waiters;
    struct lp2p_self *self;
    struct lp2p_swarm_heir *heir; /* of ctx */
    struct lp2p_rand rand;
    struct lp2p_list dirty; /* entries that the store has to hear of */
    size_t dirty_len;
    bool storing;           /* a batch is at the store */
    lp2p_time storing_until, sweep_at;
    uint64_t seq_kept, seq_storing; /* number of our own record that the disk has, and that the batch at the store has */
    struct lp2p_peer_id forgotten[64]; /* to be taken off the disk; beyond: they expire there */
    size_t forgotten_len;
};

/* swarm_links.c */
void lp2p_swarm_upgraded(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_upgraded *m);
void lp2p_swarm_link_up(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_link_up *m);
void lp2p_swarm_link_ended(struct lp2p_actor *self, struct lp2p_swarm *swarm, uint64_t conn, enum lp2p_err reason);
void lp2p_swarm_down(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_msg_down *m);
void lp2p_swarm_link_status(struct lp2p_swarm *swarm, const struct lp2p_m_link_status *m);
void lp2p_swarm_identified(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_identified *m);
void lp2p_swarm_link_close(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_link *link, enum lp2p_err reason);
void lp2p_swarm_disconnect(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_disconnect *m);
/** The link that new streams to the peer use: the one with the fewest streams that is up and not closing; NULL: none. */
struct lp2p_link *lp2p_swarm_best_link(const struct lp2p_peer_entry *entry);
/** Identify has ended on one of the links that new streams can use. */
bool lp2p_swarm_is_identified(const struct lp2p_peer_entry *entry);
/** Snapshot with connection data; NULL: no memory. */
struct lp2p_peer_info *lp2p_swarm_peer_info(const struct lp2p_peer_entry *entry);
void lp2p_swarm_list_peers(struct lp2p_swarm *swarm, struct lp2p_m_list_peers *m);

/** The connection with that number; NULL: none. */
struct lp2p_link *lp2p_swarm_link_find(struct lp2p_swarm *swarm, uint64_t conn);

/* swarm_spoken.c */
/** It is known that the peer does not speak the protocol, so that asking it on this link is in vain. */
bool lp2p_swarm_is_unspoken(const struct lp2p_peer_entry *entry, const struct lp2p_link *link, const char *protocol, lp2p_time now);
/** Identify or a push brought what the peer speaks: what it refused before says nothing any more. */
void lp2p_swarm_told(struct lp2p_peer_entry *entry, struct lp2p_link *link);
void lp2p_swarm_link_refused(struct lp2p_swarm *swarm, const struct lp2p_m_link_refused *m, lp2p_time now);

/* swarm_dials.c */
void lp2p_swarm_connect(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_connect *m);
void lp2p_swarm_stream_open(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_msg **msg);
void lp2p_swarm_dial_ended(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_dial_ended *m);
/** Who wants a dial. Only the user's may exceed the hard maximum of connections. */
enum lp2p_dial_reason { LP2P_DIAL_USER, LP2P_DIAL_INTERNAL, LP2P_DIAL_POPULATION };
/** Starts a dial to a known peer unless one is under way. `given`: addresses that the user names for it; may be NULL. ENOADDR,
 *  ELIMIT (too many connections or dials). */
enum lp2p_err lp2p_swarm_dial_peer(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_peer_entry *entry,
                                   const struct lp2p_addrs *given, enum lp2p_dial_reason why);
/** Ends jobs that the dialer must have lost with a restart of its own. */
void lp2p_swarm_dials_sweep(struct lp2p_actor *self, struct lp2p_swarm *swarm);
struct lp2p_dial_job *lp2p_swarm_dial_find(struct lp2p_swarm *swarm, uint64_t id);
/** A link to the peer is up: streams that wait are opened. With `identified`, connects that wait are finished too. */
void lp2p_swarm_waiters_serve(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_peer_entry *entry, bool identified);
/** The user is among those who wait, and not only the node itself. */
bool lp2p_swarm_user_waits(const struct lp2p_peer_entry *entry);
void lp2p_swarm_waiters_fail(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_list *waiters,
                             enum lp2p_err reason, const char *text);
void lp2p_swarm_waiters_expire(struct lp2p_actor *self, struct lp2p_swarm *swarm);
/** Moves the waiters of a dial to an unknown peer to the peer that answered. */
void lp2p_swarm_dial_answered(struct lp2p_swarm *swarm, struct lp2p_dial_job *job, struct lp2p_peer_entry *entry);
void lp2p_swarm_dials_fini(struct lp2p_actor *self, struct lp2p_swarm *swarm);

/* swarm_self.c */
void lp2p_swarm_register(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_register *m);
void lp2p_swarm_subscribe(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_subscribe *m);
/** The actor has ended: it is told nothing any more. */
void lp2p_swarm_unsubscribe(struct lp2p_swarm *swarm, struct lp2p_ref who);
void lp2p_swarm_listening(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_listening *m);
void lp2p_swarm_list_addrs(struct lp2p_swarm *swarm, struct lp2p_m_list_addrs *m);
/** A peer told at which address it sees us. */
void lp2p_swarm_observe(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_link *link,
                        const struct lp2p_multiaddr *seen);
/** Where the node listens; NULL: nowhere, or no memory. */
struct lp2p_addrs *lp2p_swarm_own_addrs(const struct lp2p_swarm *swarm);
void lp2p_swarm_self_rebuild(struct lp2p_actor *self, struct lp2p_swarm *swarm);
/** Tells all subscribers of peers; takes the reference to info (NULL: no memory, counted). */
void lp2p_swarm_publish_peer(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_msg_class *cls,
                             struct lp2p_peer_info *info, enum lp2p_err reason);
/** Reports a peer as discovered, the first time it is known by an address or a connection. */
void lp2p_swarm_discovered(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_peer_entry *entry);

/* swarm_store.c */
/** Something of the peer that outlives the process has changed. */
void lp2p_swarm_changed(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_peer_entry *entry);
void lp2p_swarm_store_init(struct lp2p_actor *self, struct lp2p_swarm *swarm);
void lp2p_swarm_store_fini(struct lp2p_swarm *swarm);
void lp2p_swarm_store_tick(struct lp2p_actor *self, struct lp2p_swarm *swarm);
void lp2p_swarm_store_loaded(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_store_batch *m);
/** A record of our own was signed: its number goes to the disk with the next batch. */
void lp2p_swarm_signed(struct lp2p_actor *self, struct lp2p_swarm *swarm);
void lp2p_swarm_store_written(struct lp2p_actor *self, struct lp2p_swarm *swarm, const struct lp2p_m_store_mark *m);
void lp2p_swarm_tag(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_tag *m);
void lp2p_swarm_forget(struct lp2p_actor *self, struct lp2p_swarm *swarm, struct lp2p_m_tag *m);

/* swarm_population.c */
void lp2p_swarm_population_run(struct lp2p_actor *self, struct lp2p_swarm *swarm);
/** Something changed: run the rule soon. */
void lp2p_swarm_population_poke(struct lp2p_actor *self);

#endif
