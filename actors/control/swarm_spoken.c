/* SPDX-License-Identifier: MIT
 * Which protocols a peer does not speak, by what it told and by what it refused, so that it is not asked in vain: many refused
 * streams in a row look like an attack, and peers hang up on that.
 *
 * A peer that takes pushes sends them too: what is not in its list is not spoken, until it tells otherwise. Any other peer (Lotus
 * nodes have no push) may have begun to speak more since identify ran, and only a question can tell; its "na" counts for a while. */
#include "actors/control/swarm.h"

#include "actors/protocols/identify.h"

#include <stdlib.h>

static uint64_t hash_of(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a: the ids are those that this node's own user asks for */
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    }
    return hash;
}

static bool lists(const struct lp2p_strings *protocols, const char *id)
{
    for (uint32_t i = 0; i < protocols->len; i++) {
        if (strcmp(protocols->items[i], id) == 0) {
            return true;
        }
    }
    return false;
}

/** The list that we have of it is of now (and not of a connection before), and whole. */
static bool has_told_all(const struct lp2p_peer_entry *entry)
{
    if (entry->protocols == NULL || entry->protocols->len >= LP2P_IDENTIFY_PROTOCOLS_MAX) {
        return false;
    }
    LP2P_LIST_FOREACH(it, &entry->links)
    {
        const struct lp2p_link *link = LP2P_LIST_ENTRY(it, struct lp2p_link, of_peer);
        if (link->told && link->up && !link->closing) {
            return true;
        }
    }
    return false;
}

static bool has_refused(const struct lp2p_link *link, uint64_t hash, lp2p_time now)
{
    for (size_t i = 0; i < LP2P_REFUSALS_MAX && link->refusals != NULL; i++) {
        const struct lp2p_refusal *refusal = &link->refusals[i];
        if (refusal->until > now && refusal->protocol_hash == hash && refusal->told == link->peer->told) {
            return true;
        }
    }
    return false;
}

bool lp2p_swarm_is_unspoken(const struct lp2p_peer_entry *entry, const struct lp2p_link *link, const char *protocol, lp2p_time now)
{
    if (has_refused(link, hash_of(protocol), now)) {
        return true;
    }
    return has_told_all(entry) && lists(entry->protocols, LP2P_IDENTIFY_PUSH_PROTOCOL) && !lists(entry->protocols, protocol) &&
           lp2p_identify_keeps(lp2p_span_str(protocol));
}

void lp2p_swarm_told(struct lp2p_peer_entry *entry, struct lp2p_link *link)
{
    link->told = true;
    entry->told++; /* refusals of before have another number */
}

void lp2p_swarm_link_refused(struct lp2p_swarm *swarm, const struct lp2p_m_link_refused *m, lp2p_time now)
{
    struct lp2p_link *link = lp2p_swarm_link_find(swarm, m->conn);
    if (link == NULL || m->told != link->peer->told) {
        return; /* the stream was asked for before the peer told what it speaks now */
    }
    if (link->refusals == NULL && (link->refusals = calloc(LP2P_REFUSALS_MAX, sizeof(*link->refusals))) == NULL) {
        return; /* the next refusal may find memory */
    }
    uint64_t hash = hash_of(m->protocol);
    struct lp2p_refusal *at = NULL;
    for (size_t i = 0; i < LP2P_REFUSALS_MAX && at == NULL; i++) {
        at = link->refusals[i].protocol_hash == hash ? &link->refusals[i] : NULL;
    }
    if (at == NULL) {
        at = &link->refusals[link->refusals_at];
        link->refusals_at = (link->refusals_at + 1) % LP2P_REFUSALS_MAX;
    }
    *at = (struct lp2p_refusal){hash, lp2p_time_add(now, LP2P_REFUSAL_NS), m->told};
}
