/* SPDX-License-Identifier: MIT
 * Immutable values that several actors hold at once: reference-counted snapshots, never changed after they are published.
 * The count is atomic; any thread. `_drop` takes a pointer to the holder's pointer, nulls it, and accepts NULL inside. */
#ifndef LP2P_ACTORS_SHARED_H
#define LP2P_ACTORS_SHARED_H

#include "base/buf.h"
#include "runtime/message.h"
#include "wire/multiaddr.h"

#define LP2P_PROTOCOL_ID_MAX 160 /* bytes of a protocol id with its NUL; longer ones are refused or skipped */

/** A list of addresses. */
struct lp2p_addrs {
    uint32_t refs;
    uint32_t len;
    struct lp2p_multiaddr items[];
};
struct lp2p_addrs *lp2p_addrs_new(const struct lp2p_multiaddr *items, size_t len); /* copies; NULL: no memory */
struct lp2p_addrs *lp2p_addrs_ref(struct lp2p_addrs *addrs);                       /* NULL-safe */
void lp2p_addrs_drop(struct lp2p_addrs **addrs);
/** Drops those that somebody at that distance has nothing to say of (lp2p_addr_plausible). *addrs may be NULL; without memory
 *  nothing is left. */
void lp2p_addrs_filter(struct lp2p_addrs **addrs, enum lp2p_ma_scope source);
bool lp2p_addrs_have(const struct lp2p_addrs *addrs, const struct lp2p_multiaddr *addr); /* addrs may be NULL */

/** What is known of a peer at one moment. */
struct lp2p_peer_info {
    uint32_t refs;
    struct lp2p_peer_id id;
    bool connected, outbound; /* outbound: direction of the oldest connection */
    unsigned connections, streams;
    struct lp2p_multiaddr remote, observed; /* len 0: unknown */
    char agent[128], protocol_version[64];  /* made harmless for terminals */
    const char *muxer, *security;           /* protocol ids, static texts; "" when not connected */
    bool signed_record;                     /* its addresses came in a signed record that was valid */
    uint64_t rtt_ns, connected_ms, last_seen_ms;
    struct lp2p_addrs *addrs;               /* may be NULL */
    struct lp2p_strings *protocols;         /* may be NULL: identify has not run */
};
struct lp2p_peer_info *lp2p_peer_info_new(void); /* zeroed, one reference */
struct lp2p_peer_info *lp2p_peer_info_ref(struct lp2p_peer_info *info);
void lp2p_peer_info_drop(struct lp2p_peer_info **info);
bool lp2p_peer_info_speaks(const struct lp2p_peer_info *info, const char *protocol);

/** A list of texts. */
struct lp2p_strings {
    uint32_t refs;
    uint32_t len;
    const char *items[]; /* the texts follow in the same allocation */
};
struct lp2p_strings *lp2p_strings_new(const struct lp2p_span *items, size_t len); /* copies; an item with a NUL inside is skipped */
struct lp2p_strings *lp2p_strings_ref(struct lp2p_strings *strings);
void lp2p_strings_drop(struct lp2p_strings **strings);

/** Resident built-ins: index for lp2p_resident. */
enum lp2p_resident_index {
    LP2P_RESIDENT_PING,
    LP2P_RESIDENT_IDENTIFY,
    LP2P_RESIDENT_SERVE,   /* echo and perf */
    LP2P_RESIDENT_STREAMS, /* the bridge to the user's stream handles */
    LP2P_RESIDENT_NONE = -1,
};

/** One protocol id that this node speaks on inbound streams. */
struct lp2p_protocol_entry {
    char id[LP2P_PROTOCOL_ID_MAX];
    int resident;             /* index of the resident that handles it, or LP2P_RESIDENT_NONE: then `actor` does */
    struct lp2p_ref actor;    /* the handler; with resident STREAMS: the user's protocol actor, which is told of each stream */
    unsigned streams_in_max;  /* open at one time on one connection; beyond: reset and counted */
};
/** The table of them, as the muxers negotiate by it. */
struct lp2p_protocols {
    uint32_t refs;
    uint32_t len;
    struct lp2p_protocol_entry items[];
};
struct lp2p_protocols *lp2p_protocols_new(size_t len);
struct lp2p_protocols *lp2p_protocols_ref(struct lp2p_protocols *protocols);
void lp2p_protocols_drop(struct lp2p_protocols **protocols);
/** Index of the entry with that id, -1: none. */
int lp2p_protocols_find(const struct lp2p_protocols *protocols, struct lp2p_span id);

/** What this node says of itself: identify's content. */
struct lp2p_self {
    uint32_t refs;
    uint64_t version;           /* rises with each change */
    struct lp2p_addrs *addrs;   /* published addresses, without /p2p */
    struct lp2p_addrs *listening; /* what is listened on, wildcards expanded; may be NULL */
    struct lp2p_strings *protocols;
    struct lp2p_slice message;  /* encoded Identify without observedAddr and signed record (no length prefix) */
    struct lp2p_slice record;   /* signed peer record envelope */
};
struct lp2p_self *lp2p_self_info_new(void);
struct lp2p_self *lp2p_self_info_ref(struct lp2p_self *self_info);
void lp2p_self_info_drop(struct lp2p_self **self_info);

#endif
