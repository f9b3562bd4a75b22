/* SPDX-License-Identifier: MIT */
#include "actors/link/refusals.h"

#include "actors/link/limits.h"
#include "wire/ip_text.h"

#include <stdio.h>

static bool same_ip(const struct lp2p_ip_port *a, const struct lp2p_ip_port *b)
{
    return a->ip_len == b->ip_len && memcmp(a->ip, b->ip, a->ip_len) == 0;
}

void lp2p_refusals_arrived(struct lp2p_refusals *refusals, const struct lp2p_m_arrived *m)
{
    unsigned at = refusals->at;
    for (unsigned i = 0; i < LP2P_REFUSALS_PEERS; i++) {
        if (same_ip(&refusals->known[i].from, &m->from)) {
            at = i;
            break;
        }
    }
    if (at == refusals->at) {
        refusals->at = (refusals->at + 1) % LP2P_REFUSALS_PEERS;
    }
    refusals->known[at].from = m->from;
    refusals->known[at].peer = m->peer;
}

void lp2p_refusals_note(struct lp2p_refusals *refusals, const struct lp2p_context *ctx, enum lp2p_refusal why,
                        const struct lp2p_ip_port *from, lp2p_time now)
{
    static const char *const reasons[LP2P_REFUSALS] = {"full", "pending", "rate", "header"};
    if (now < refusals->next[why]) {
        refusals->unsaid[why]++;
        return;
    }
    char ip[LP2P_IP6_TEXT_MAX], peer[LP2P_PEER_ID_TEXT_MAX] = "?";
    if (from->ip_len == 4) {
        lp2p_ip4_to_text(from->ip, ip);
    } else {
        lp2p_ip6_to_text(from->ip, ip);
    }
    for (unsigned i = 0; i < LP2P_REFUSALS_PEERS; i++) {
        if (refusals->known[i].peer.len > 0 && same_ip(&refusals->known[i].from, from)) {
            lp2p_peer_id_text(&refusals->known[i].peer, peer);
        }
    }
    lp2p_log(ctx, LP2P_LOG_WARN, "listener", "refused %s=%s peer=%s reason=%s more=%llu",
             lp2p_door_trusted(&ctx->config, from) ? "proxy" : "addr", ip, peer, reasons[why],
             (unsigned long long)refusals->unsaid[why]);
    refusals->unsaid[why] = 0;
    refusals->next[why] = lp2p_time_add(now, LP2P_REFUSAL_LOG_NS);
}
