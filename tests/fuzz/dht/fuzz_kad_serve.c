/* SPDX-License-Identifier: MIT
 * A server that gets a series of requests: two bytes of length, then a request, crafted or raw. Every answer
 * must be a message of the request's type within the limits, and the store must stay within its bounds. */
#include "craft.h"

#include "dht/kad.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lp2p_kad_message request, answer;

static void serve(struct lp2p_kad *kad, struct lp2p_span in, lp2p_time now)
{
    static uint8_t out[LP2P_KAD_REQUEST_MAX];
    size_t len = 0;
    struct lp2p_kad_peer from = craft_peer(3);
    enum lp2p_err err = lp2p_kad_serve(kad, &from.id, in, now, 1700000000000 + now / LP2P_MS(1), out, sizeof(out), &len);
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
    struct lp2p_kad_config config = {.self = craft_peer(0).id,
                                     .server = true,
                                     .refresh_interval_ns = LP2P_NEVER,
                                     .records_max = 4,
                                     .providers_max = 4,
                                     .providers_per_key_max = 2};
    struct lp2p_kad *kad = lp2p_kad_new(&config, &rand, 0);
    LP2P_CHECK(kad != NULL);
    for (uint8_t i = 1; i <= 30; i++) {
        struct lp2p_kad_peer peer = craft_peer(i);
        lp2p_kad_peer_seen(kad, &peer, 0);
    }
    for (lp2p_time now = 1; size >= 2; now += LP2P_SEC(3600)) {
        size_t len = (size_t)data[0] << 8 | data[1];
        len = LP2P_MIN(len, size - 2);
        struct lp2p_span in = lp2p_span(data + 2, len);
        if (len > 0 && data[2] % 8 < LP2P_KAD_TYPES) {
            static uint8_t crafted[LP2P_KAD_REQUEST_MAX];
            craft_about((enum craft_about)(data[2] >> 6), data[2] >> 3 & 7);
            in = craft_message(crafted, sizeof(crafted), (enum lp2p_kad_type)(data[2] % 8),
                               lp2p_span_skip(in, 1));
        }
        lp2p_kad_tick(kad, now, 1700000000000 + now / LP2P_MS(1));
        serve(kad, in, now);
        data += 2 + len;
        size -= 2 + len;
    }
    lp2p_kad_free(kad);
    return 0;
}
