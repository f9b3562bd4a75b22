/* SPDX-License-Identifier: MIT
 * Messages of the Kademlia protocol (libp2p specs kad-dht/README.md, "RPC messages"), without their length
 * prefix. Decoding copies nothing: spans borrow from the input, and only as many peers as a caller wants are
 * looked into. */
#ifndef LP2P_DHT_CODEC_H
#define LP2P_DHT_CODEC_H

#include "dht/contact.h"
#include "dht/record.h"

/* proto3 leaves type 0 off the wire: a message without a type is PUT_VALUE. */
enum lp2p_kad_type {
    LP2P_KAD_PUT_VALUE = 0,
    LP2P_KAD_GET_VALUE = 1,
    LP2P_KAD_ADD_PROVIDER = 2,
    LP2P_KAD_GET_PROVIDERS = 3,
    LP2P_KAD_FIND_NODE = 4,
    LP2P_KAD_PING = 5,
    LP2P_KAD_TYPES,
};

#define LP2P_KAD_K_MAX 64             /* largest k that can be configured */
#define LP2P_KAD_CLOSER_MAX 128       /* closerPeers looked at in one message (2k of the largest k) */
#define LP2P_KAD_PROVIDERS_IN_MAX 256 /* providerPeers looked at in one message */
#define LP2P_KAD_ADDRS_IN_MAX 16      /* addresses looked at in one peer */
/* Bytes: rust-libp2p refuses larger messages, so we trim down to this if we can. */
#define LP2P_KAD_SOFT_MAX (16u * 1024)

struct lp2p_kad_message {
    enum lp2p_kad_type type;
    struct lp2p_span key;
    struct lp2p_span record; /* encoded; ptr NULL: absent */
    size_t closer_len, providers_len;
    struct lp2p_span closer[LP2P_KAD_CLOSER_MAX];          /* encoded peers */
    struct lp2p_span providers[LP2P_KAD_PROVIDERS_IN_MAX]; /* encoded peers */
};

/** EMALFORMED; EUNSUPPORTED for a type that is not known. */
enum lp2p_err lp2p_kad_message_decode(struct lp2p_span in, struct lp2p_kad_message *out) LP2P_MUST_CHECK;
/** One encoded peer: strict peer id, and the first addresses that parse, cleaned as by lp2p_kad_peer_clean.
 * EMALFORMED. */
enum lp2p_err lp2p_kad_peer_decode(struct lp2p_span in, bool public_only,
                                   struct lp2p_kad_peer *out) LP2P_MUST_CHECK;

/** A message under construction in a caller's buffer. */
struct lp2p_kad_writer {
    uint8_t *out;
    size_t cap, len;
};

/** Starts a message with type, key (ptr NULL: left out) and record (NULL: left out). ELIMIT. */
enum lp2p_err lp2p_kad_write_head(struct lp2p_kad_writer *writer, enum lp2p_kad_type type,
                                  struct lp2p_span key, const struct lp2p_kad_record *record) LP2P_MUST_CHECK;

/** A peer to be listed in an answer; borrowed. */
struct lp2p_kad_listed {
    const struct lp2p_kad_contact *contact;
    bool connected;
    bool provider; /* in providerPeers instead of closerPeers */
};
/** Appends the peers. If need be the addresses of each are cut down (one is kept), so that the whole message
 * stays within LP2P_KAD_SOFT_MAX; peers that do not fit into the buffer even so are left out. */
void lp2p_kad_write_peers(struct lp2p_kad_writer *writer, const struct lp2p_kad_listed *peers,
                          size_t peers_len);

#endif
