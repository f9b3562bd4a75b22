/* SPDX-License-Identifier: MIT
 * mDNS: datagrams of the fuzzer's, each behind two bytes of length, come in one after the other. Nothing is ever told that is not news,
 * with an IP, of another peer; and never more than the limits allow. */
#include "actors/discovery/mdns.h"
#include "base/check.h"
#include "wire/endpoint.h"

static struct lp2p_mdns mdns;

static size_t drain(lp2p_time now)
{
    static struct lp2p_mdns_peer found;
    size_t peers = 0;
    for (; lp2p_mdns_next_peer(&mdns, now, &found); peers++) {
        LP2P_CHECK(found.addrs_len > 0 && found.addrs_len <= LP2P_MDNS_PEER_ADDRS_MAX && !lp2p_peer_id_eq(&found.id, &mdns.self));
        for (size_t i = 0; i < found.addrs_len; i++) {
            const struct lp2p_endpoint endpoint = lp2p_endpoint_of(&found.addrs[i]);
            LP2P_CHECK(endpoint.host_code == LP2P_MA_IP4 || endpoint.host_code == LP2P_MA_IP6);
            LP2P_CHECK(lp2p_multiaddr_scope(&found.addrs[i]) >= LP2P_SCOPE_PRIVATE);
        }
        LP2P_CHECK(peers <= LP2P_MDNS_HEARD_MAX);
    }
    return peers;
}

/** What is asked can be read, and names only what was heard. */
static void check_question(lp2p_time now)
{
    static struct lp2p_mdns_heard heard;
    uint8_t out[LP2P_MDNS_SEND_MAX];
    size_t len = lp2p_mdns_query(&mdns, now, out);
    LP2P_CHECK(lp2p_mdns_read(lp2p_span(out, len), mdns.service, &heard) == LP2P_OK);
    LP2P_CHECK(heard.asks_peers && !heard.response && heard.instances_len <= LP2P_MDNS_CACHE_MAX);
}

/** A farewell counts a second later, once for each instance. */
static void check_gone(lp2p_time now)
{
    struct lp2p_peer_id gone;
    LP2P_CHECK(!lp2p_mdns_next_gone(&mdns, now, &gone));
    size_t count = 0;
    for (; lp2p_mdns_next_gone(&mdns, now + LP2P_MDNS_LEAVE_NS, &gone); count++) {
        LP2P_CHECK(gone.len > 0 && count < LP2P_MDNS_CACHE_MAX);
    }
    LP2P_CHECK(lp2p_mdns_cache_next(&mdns.cache) == LP2P_NEVER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct lp2p_peer_id self = {.len = 34, .bytes = {0x12, 0x20, 7}};
    const struct lp2p_ip_port from = {.ip = {10, 0, 0, 9}, .ip_len = 4, .port = 40000};
    struct lp2p_rand_seeded seeded;
    lp2p_rand_seeded_init(&seeded, 1);
    const struct lp2p_rand rand = lp2p_rand_seeded_source(&seeded);
    struct lp2p_multiaddr own;
    lp2p_time now = LP2P_SEC(1);
    lp2p_mdns_init(&mdns, &self, NULL, NULL, &rand, now);
    lp2p_multiaddr_from_ip_tcp(from.ip, 4, 4001, &own);
    lp2p_mdns_publish(&mdns, &own, 1, now);
    struct lp2p_span rest = lp2p_span(data, size);
    size_t peers = 0, unicasts = 0;
    while (rest.len > 2) {
        size_t len = LP2P_MIN((size_t)rest.ptr[0] << 8 | rest.ptr[1], rest.len - 2);
        struct lp2p_mdns_dress dress;
        unicasts += lp2p_mdns_take(&mdns, lp2p_span(rest.ptr + 2, len), &from, now, &dress) != 0;
        peers += drain(now);
        LP2P_CHECK(mdns.heard.addrs_len <= LP2P_MDNS_HEARD_MAX);
        LP2P_CHECK(mdns.heard.instances_len <= LP2P_MDNS_INSTANCES_HEARD_MAX);
        rest = lp2p_span_skip(rest, len + 2);
    }
    LP2P_CHECK(unicasts <= LP2P_MDNS_LIMITS.unicasts_s && peers <= LP2P_MDNS_LIMITS.peers_min);
    LP2P_CHECK(lp2p_mdns_next(&mdns) <= now + LP2P_SEC(1));
    check_question(now);
    check_gone(now);
    return 0;
}
