/* SPDX-License-Identifier: MIT
 * A peer with its point and addresses, packed: a struct lp2p_kad_peer is 2 KiB, a contact about 150 bytes.
 * Tables, queries and stores keep contacts and unpack one only to hand it to the owner. Heap objects with one
 * owner each. */
#ifndef LP2P_DHT_CONTACT_H
#define LP2P_DHT_CONTACT_H

#include "dht/kad.h"
#include "dht/key.h"

struct lp2p_kad_contact {
    struct lp2p_kad_key key;
    struct lp2p_peer_id id;
    uint8_t addrs_len;
    uint16_t packed_len;
    uint8_t packed[]; /* per address: one byte of length, then the address */
};

/** Cleans an address list in place: addresses that do not name this peer, doubles and, with public_only,
 * addresses that are not public are dropped, a final /p2p of the peer itself is cut off. */
void lp2p_kad_peer_clean(struct lp2p_kad_peer *peer, bool public_only);
/** Drops addresses that somebody at that distance is not believed. */
void lp2p_kad_peer_filter(struct lp2p_kad_peer *peer, enum lp2p_ma_scope source);
/** Adds an address under the same rules; a full list or an unfit address is left out silently. */
void lp2p_kad_peer_add(struct lp2p_kad_peer *peer, const struct lp2p_multiaddr *addr, bool public_only);

/** Packs a peer (addresses as they are) with its hashed point; NULL when memory is short. */
struct lp2p_kad_contact *lp2p_kad_contact_new(const struct lp2p_kad_peer *peer);
struct lp2p_kad_contact *lp2p_kad_contact_copy(const struct lp2p_kad_contact *contact);
void lp2p_kad_contact_free(struct lp2p_kad_contact *contact); /* NULL is fine */
/** Writes id and addresses; `connected` becomes false. */
void lp2p_kad_contact_unpack(const struct lp2p_kad_contact *contact, struct lp2p_kad_peer *out);
size_t lp2p_kad_contact_bytes(const struct lp2p_kad_contact *contact);

#endif
