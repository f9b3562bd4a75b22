/* SPDX-License-Identifier: MIT */
#include "actors/api/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(LP2P_PEER_TEXT_MAX >= LP2P_PEER_ID_TEXT_MAX && LP2P_ADDR_TEXT_MAX >= LP2P_MULTIADDR_TEXT_MAX,
               "the public texts are large enough");

static void addr_text(const struct lp2p_multiaddr *addr, char out[LP2P_ADDR_TEXT_MAX])
{
    out[0] = '\0';
    if (addr->len > 0) {
        lp2p_multiaddr_text(addr, out);
    }
}

/* One allocation for both lists: the pointers of addrs, those of protocols, then the texts. */
static enum lp2p_err fill_lists(struct lp2p_peer *peer, const struct lp2p_peer_info *info)
{
    size_t addrs = info->addrs == NULL ? 0 : info->addrs->len;
    size_t protocols = info->protocols == NULL ? 0 : info->protocols->len;
    size_t bytes = (addrs + protocols + 1) * sizeof(char *);
    char text[LP2P_ADDR_TEXT_MAX];
    for (size_t i = 0; i < addrs; i++) {
        addr_text(&info->addrs->items[i], text);
        bytes += strlen(text) + 1;
    }
    for (size_t i = 0; i < protocols; i++) {
        bytes += strlen(info->protocols->items[i]) + 1;
    }
    const char **list = malloc(bytes);
    if (list == NULL) {
        return LP2P_ENOMEM;
    }
    char *end = (char *)(list + addrs + protocols + 1);
    for (size_t i = 0; i < addrs; i++) {
        list[i] = end;
        addr_text(&info->addrs->items[i], end);
        end += strlen(end) + 1;
    }
    for (size_t i = 0; i < protocols; i++) {
        size_t len = strlen(info->protocols->items[i]) + 1;
        list[addrs + i] = memcpy(end, info->protocols->items[i], len);
        end += len;
    }
    peer->addrs = list;
    peer->addrs_len = addrs;
    peer->protocols = list + addrs;
    peer->protocols_len = protocols;
    return LP2P_OK;
}

static enum lp2p_err fill(struct lp2p_peer *peer, const struct lp2p_peer_info *info)
{
    lp2p_peer_id_text(&info->id, peer->id);
    peer->connected = info->connected;
    peer->direction = info->outbound ? LP2P_OUTBOUND : LP2P_INBOUND;
    peer->connections = info->connections;
    peer->streams = info->streams;
    addr_text(&info->remote, peer->remote_addr);
    addr_text(&info->observed, peer->observed_addr);
    (void)snprintf(peer->agent, sizeof(peer->agent), "%s", info->agent);
    (void)snprintf(peer->protocol_version, sizeof(peer->protocol_version), "%s", info->protocol_version);
    peer->muxer = info->muxer == NULL ? "" : info->muxer;
    peer->security = info->security;
    peer->signed_record = info->signed_record;
    peer->rtt_ns = info->rtt_ns;
    peer->connected_ms = info->connected_ms;
    peer->last_seen_ms = info->last_seen_ms;
    return fill_lists(peer, info);
}

struct lp2p_peer *lp2p_peers_view(struct lp2p_peer_info *const *infos, size_t len)
{
    struct lp2p_peer *peers = calloc(len == 0 ? 1 : len, sizeof(*peers));
    if (peers == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        if (fill(&peers[i], infos[i]) != LP2P_OK) {
            lp2p_peers_free(peers, len);
            return NULL;
        }
    }
    return peers;
}

void lp2p_peers_free(struct lp2p_peer *peers, size_t len)
{
    if (peers == NULL) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        free((void *)(uintptr_t)peers[i].addrs); /* the one allocation of fill_lists */
    }
    free(peers);
}
