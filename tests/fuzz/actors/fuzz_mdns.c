/* SPDX-License-Identifier: MIT
 * mDNS: datagrams of the fuzzer's come in one after the other, each behind two bytes: how (HOW_..) and its length. Between them time
 * may go on, and what is due is written. Nothing is ever told that is not news, with an IP, of another peer; and never more than the
 * limits allow. */
#include "actors/discovery/mdns.h"
#include "base/check.h"
#include "wire/endpoint.h"

enum { HOW_WAIT = 1, HOW_LONG = 2, HOW_PORT = 4, HOW_HOST = 8 }; /* in the upper half of the first byte */

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

/** Who has left by now; each instance leaves once. */
static void check_gone(lp2p_time now)
{
    struct lp2p_peer_id gone;
    for (size_t count = 0; lp2p_mdns_next_gone(&mdns, now, &gone); count++) {
        LP2P_CHECK(gone.len > 0 && count < LP2P_MDNS_CACHE_MAX);
    }
}

/** All of our addresses, in as many packets as it takes; each can be read. */
static void check_answers(const struct lp2p_mdns_dress *dress)
{
    static struct lp2p_mdns_heard heard;
    uint8_t out[LP2P_MDNS_SEND_MAX];
    size_t len, read = 0;
    for (size_t next = 0; (len = lp2p_mdns_write_answer(mdns.service, mdns.name, dress, mdns.own, mdns.own_len, &next, out)) > 0;) {
        LP2P_CHECK(lp2p_mdns_read(lp2p_span(out, len), mdns.service, &heard) == LP2P_OK && heard.response);
        read += heard.addrs_len;
    }
    LP2P_CHECK(read == mdns.own_len);
}

/** What the actor does when it is woken. */
static void send_due(lp2p_time now)
{
    const struct lp2p_mdns_dress dress = {.legacy = false};
    uint8_t out[LP2P_MDNS_SEND_MAX];
    if (lp2p_mdns_query_due(&mdns, now)) {
        check_question(now);
    }
    if (lp2p_mdns_answer_due(&mdns, now)) {
        check_answers(&dress);
    }
    if (lp2p_mdns_services_due(&mdns, now)) {
        LP2P_CHECK(lp2p_mdns_write_services(mdns.service, &dress, out) > 0);
    }
    check_gone(now);
    LP2P_CHECK(lp2p_mdns_next(&mdns) > now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct lp2p_peer_id self = {.len = 34, .bytes = {0x12, 0x20, 7}};
    struct lp2p_rand_seeded seeded;
    lp2p_rand_seeded_init(&seeded, 1);
    const struct lp2p_rand rand = lp2p_rand_seeded_source(&seeded);
    struct lp2p_multiaddr own;
    lp2p_time now = LP2P_SEC(1);
    lp2p_mdns_init(&mdns, &self, NULL, NULL, &rand, now);
    lp2p_multiaddr_from_ip_tcp((const uint8_t[]){10, 0, 0, 9}, 4, 4001, &own);
    lp2p_mdns_publish(&mdns, &own, 1, now);
    struct lp2p_span rest = lp2p_span(data, size);
    size_t peers = 0, unicasts = 0;
    while (rest.len > 2) {
        unsigned how = rest.ptr[0] >> 4;
        size_t len = LP2P_MIN((size_t)(rest.ptr[0] & 15) << 8 | rest.ptr[1], rest.len - 2);
        const struct lp2p_ip_port from = {.ip = {10, 0, 0, how & HOW_HOST ? 8 : 9},
                                          .ip_len = 4,
                                          .port = how & HOW_PORT ? LP2P_MDNS_PORT : 40000};
        struct lp2p_mdns_dress dress;
        if ((how & (HOW_WAIT | HOW_LONG)) != 0) {
            now += (how & HOW_WAIT ? LP2P_MS(450) : 0) + (how & HOW_LONG ? LP2P_SEC(30) : 0);
            send_due(now);
        }
        unsigned wanted = lp2p_mdns_take(&mdns, lp2p_span(rest.ptr + 2, len), &from, now, &dress);
        if ((wanted & LP2P_MDNS_UNICAST_PEERS) != 0) {
            check_answers(&dress);
        }
        unicasts += wanted != 0;
        peers += drain(now);
        LP2P_CHECK(mdns.heard.addrs_len <= LP2P_MDNS_HEARD_MAX);
        LP2P_CHECK(mdns.heard.instances_len <= LP2P_MDNS_INSTANCES_HEARD_MAX);
        rest = lp2p_span_skip(rest, len + 2);
    }
    uint64_t seconds = 1 + (now - LP2P_SEC(1)) / LP2P_SEC(1), minutes = 1 + seconds / 60;
    LP2P_CHECK(unicasts <= LP2P_MDNS_LIMITS.unicasts_s * (1 + seconds) && peers <= LP2P_MDNS_LIMITS.peers_min * (1 + minutes));
    send_due(now + LP2P_MDNS_LEAVE_NS);
    LP2P_CHECK(lp2p_mdns_cache_next(&mdns.cache) == LP2P_NEVER);
    uint8_t out[LP2P_MDNS_SEND_MAX];
    size_t len = lp2p_mdns_farewell(&mdns, out);
    LP2P_CHECK(len > 0 && lp2p_mdns_farewell(&mdns, out) == 0); /* it was told by now, and takes leave once */
    LP2P_CHECK(lp2p_mdns_read(lp2p_span(out, len), mdns.service, &mdns.heard) == LP2P_OK && mdns.heard.instances_len == 1);
    return 0;
}
