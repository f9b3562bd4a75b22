/* SPDX-License-Identifier: MIT
 * A server that gets a series of requests: two bytes of length, then the request. Every answer must be a message of the
 * request's type within the limits, and the store must stay within its bounds. */
#include "base/check.h"
#include "dht/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lp2p_kad_message request, answer;

static struct lp2p_kad_peer peer_of(uint8_t number)
{
    struct lp2p_kad_peer peer = {.id = {.len = 38, .bytes = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20, number}}, .addrs_len = 1};
    lp2p_multiaddr_from_ip_tcp((const uint8_t[]){9, 9, 9, number}, 4, 4001, &peer.addrs[0]);
    return peer;
}

static void serve(struct lp2p_kad *kad, struct lp2p_span in, lp2p_time now)
{
    static uint8_t out[LP2P_KAD_REQUEST_MAX];
    size_t len = 0;
    struct lp2p_kad_peer from = peer_of(3);
    enum lp2p_err err = lp2p_kad_serve(kad, &from.id, in, now, 1700000000000, out, sizeof(out), &len);
    LP2P_CHECK(err == LP2P_OK || len == 0);
    if (err == LP2P_OK && len > 0) {
        LP2P_CHECK(lp2p_kad_message_decode(in, &request) == LP2P_OK);
        LP2P_CHECK(lp2p_kad_message_decode(lp2p_span(out, len), &answer) == LP2P_OK);
        LP2P_CHECK(answer.type == request.type && answer.closer_len <= 21);
    }
    struct lp2p_kad_stats stats;
    lp2p_kad_stats_get(kad, &stats);
    LP2P_CHECK(stats.records <= 4 && stats.provider_records <= 4 && stats.table_peers == 30);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_kad_config config = {
        .self = peer_of(0).id, .server = true, .records_max = 4, .providers_max = 4, .providers_per_key_max = 2};
    struct lp2p_kad *kad = lp2p_kad_new(&config, &rand, 0);
    LP2P_CHECK(kad != NULL);
    for (uint8_t i = 1; i <= 30; i++) {
        struct lp2p_kad_peer peer = peer_of(i);
        lp2p_kad_peer_seen(kad, &peer, 0);
    }
    for (lp2p_time now = 1; size >= 2; now += LP2P_SEC(3600)) {
        size_t len = (size_t)data[0] << 8 | data[1];
        len = LP2P_MIN(len, size - 2);
        serve(kad, lp2p_span(data + 2, len), now);
        data += 2 + len;
        size -= 2 + len;
    }
    lp2p_kad_free(kad);
    return 0;
}
