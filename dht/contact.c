/* SPDX-License-Identifier: MIT */
#include "dht/contact.h"

#include "base/check.h"
#include "wire/endpoint.h"

#include <stdlib.h>

static bool named_after(const struct lp2p_multiaddr *addr, const struct lp2p_peer_id *id, bool *has_suffix)
{
    struct lp2p_peer_id owner;
    *has_suffix = lp2p_multiaddr_peer(addr, &owner) == LP2P_OK;
    return !*has_suffix || lp2p_peer_id_eq(&owner, id);
}

void lp2p_kad_peer_add(struct lp2p_kad_peer *peer, const struct lp2p_multiaddr *addr, bool public_only)
{
    bool has_suffix;
    if (peer->addrs_len >= LP2P_KAD_ADDRS_MAX || addr->len == 0 ||
        !named_after(addr, &peer->id, &has_suffix)) {
        return;
    }
    struct lp2p_multiaddr *slot = &peer->addrs[peer->addrs_len];
    if (slot != addr) {
        *slot = *addr;
    }
    if (has_suffix) {
        lp2p_multiaddr_strip_peer(slot);
    }
    if (slot->len == 0 || (public_only && lp2p_multiaddr_scope(slot) != LP2P_SCOPE_PUBLIC)) {
        return;
    }
    for (size_t i = 0; i < peer->addrs_len; i++) {
        if (lp2p_multiaddr_eq(&peer->addrs[i], slot)) {
            return;
        }
    }
    peer->addrs_len++;
}

void lp2p_kad_peer_clean(struct lp2p_kad_peer *peer, bool public_only)
{
    size_t len = LP2P_MIN(peer->addrs_len, LP2P_KAD_ADDRS_MAX);
    peer->addrs_len = 0;
    for (size_t i = 0; i < len; i++) {
        lp2p_kad_peer_add(peer, &peer->addrs[i], public_only);
    }
}

void lp2p_kad_peer_filter(struct lp2p_kad_peer *peer, enum lp2p_ma_scope source)
{
    size_t len = peer->addrs_len;
    peer->addrs_len = 0;
    for (size_t i = 0; i < len; i++) {
        if (lp2p_addr_plausible(&peer->addrs[i], source)) {
            peer->addrs[peer->addrs_len++] = peer->addrs[i];
        }
    }
}

struct lp2p_kad_contact *lp2p_kad_contact_new(const struct lp2p_kad_peer *peer)
{
    size_t len = 0;
    size_t addrs_len = LP2P_MIN(peer->addrs_len, LP2P_KAD_ADDRS_MAX);
    for (size_t i = 0; i < addrs_len; i++) {
        len += 1u + peer->addrs[i].len;
    }
    struct lp2p_kad_contact *contact = malloc(sizeof(*contact) + len);
    if (contact == NULL) {
        return NULL;
    }
    contact->key = lp2p_kad_key_of(lp2p_peer_id_span(&peer->id));
    contact->id = peer->id;
    contact->addrs_len = (uint8_t)addrs_len;
    contact->packed_len = (uint16_t)len;
    uint8_t *out = contact->packed;
    for (size_t i = 0; i < addrs_len; i++) {
        *out++ = peer->addrs[i].len;
        memcpy(out, peer->addrs[i].bytes, peer->addrs[i].len);
        out += peer->addrs[i].len;
    }
    return contact;
}

size_t lp2p_kad_contact_bytes(const struct lp2p_kad_contact *contact)
{
    return sizeof(*contact) + contact->packed_len;
}

struct lp2p_kad_contact *lp2p_kad_contact_copy(const struct lp2p_kad_contact *contact)
{
    struct lp2p_kad_contact *copy = malloc(lp2p_kad_contact_bytes(contact));
    if (copy != NULL) {
        memcpy(copy, contact, lp2p_kad_contact_bytes(contact));
    }
    return copy;
}

void lp2p_kad_contact_free(struct lp2p_kad_contact *contact)
{
    free(contact);
}

void lp2p_kad_contact_unpack(const struct lp2p_kad_contact *contact, struct lp2p_kad_peer *out)
{
    out->id = contact->id;
    out->connected = false;
    out->addrs_len = contact->addrs_len;
    const uint8_t *in = contact->packed;
    for (size_t i = 0; i < contact->addrs_len; i++) {
        out->addrs[i].len = *in++;
        memcpy(out->addrs[i].bytes, in, out->addrs[i].len);
        in += out->addrs[i].len;
    }
}
