/* SPDX-License-Identifier: MIT
 * One peer as it is kept on disk: a version, then fields in a fixed order, numbers as varints. Pure. Version 2 has the signed
 * record and the public key at its end; version 1, without them, is read too.
 *
 * What is read was written by this node, but a disk may give back anything: every length is checked, and nothing may follow. */
#ifndef LP2P_STORE_RECORD_H
#define LP2P_STORE_RECORD_H

#include "actors/control/peers.h"
#include "wire/envelope.h"

#define LP2P_STORE_PEER_MAX 24576 /* bytes of one peer */
#define LP2P_STORE_PROTOCOLS_MAX LP2P_PEER_PROTOCOLS_GONE_MAX

/** A peer as it was kept; texts, protocols, record and key are borrowed from the input. */
struct lp2p_stored_peer {
    struct lp2p_peer_id id;
    uint64_t record_seq, last_seen_ms, connected_ms, rtt_ns;
    struct lp2p_span agent, protocol_version;
    size_t addrs_len, protocols_len, tags_len;
    struct lp2p_multiaddr addrs[LP2P_PEER_ADDRS_MAX];
    struct lp2p_addr_note notes[LP2P_PEER_ADDRS_MAX];
    struct lp2p_span protocols[LP2P_STORE_PROTOCOLS_MAX];
    struct lp2p_tag tags[LP2P_PEER_TAGS_MAX];
    struct lp2p_span record, key; /* not checked yet; may be empty */
};

/** Writes an entry; ELIMIT: cap is too small (LP2P_STORE_PEER_MAX is always enough). */
enum lp2p_err lp2p_stored_peer_write(const struct lp2p_peer_entry *entry, uint8_t *out, size_t cap,
                                     size_t *len) LP2P_MUST_CHECK;
/** EVERSION: written by another version. EMALFORMED. */
enum lp2p_err lp2p_stored_peer_read(struct lp2p_span in, struct lp2p_stored_peer *out) LP2P_MUST_CHECK;
/** False: its record is there and does not prove what goes by it: it is not signed by this peer, it has another number, or a
 *  certified address is not in it. Costs a signature check. `scratch` is for the record's contents. */
bool lp2p_stored_peer_genuine(const struct lp2p_stored_peer *peer, struct lp2p_peer_record *scratch) LP2P_MUST_CHECK;
/** Takes out the record, its number, and the certified addresses. */
void lp2p_stored_peer_distrust(struct lp2p_stored_peer *peer);
/** Only when it was last seen (ms since 1970); 0: not readable. */
uint64_t lp2p_stored_peer_seen(struct lp2p_span in);

#endif
