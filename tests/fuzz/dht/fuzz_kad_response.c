/* SPDX-License-Identifier: MIT
 * A query of each kind against peers that answer with the input, cut at lengths that the input itself gives. It has to end
 * exactly once within its deadline, whatever they say. */
#include "base/check.h"
#include "dht/kad.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lp2p_kad_event event;

static struct lp2p_kad_peer peer_of(uint8_t number)
{
    struct lp2p_kad_peer peer = {.id = {.len = 38, .bytes = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20, number}}, .addrs_len = 1};
    lp2p_multiaddr_from_ip_tcp((const uint8_t[]){9, 9, 9, number}, 4, 4001, &peer.addrs[0]);
    return peer;
}

static uint64_t begin(struct lp2p_kad *kad, unsigned kind, lp2p_time now)
{
    struct lp2p_span key = lp2p_span_str("k");
    struct lp2p_kad_peer self = peer_of(0);
    struct lp2p_kad_peer target = peer_of(99);
    switch (kind) {
    case 0:
        return lp2p_kad_find_peer(kad, &target.id, now);
    case 1:
        return lp2p_kad_get(kad, key, 0, now, 0);
    case 2:
        return lp2p_kad_put(kad, key, lp2p_span_str("v"), now, 0);
    case 3:
        return lp2p_kad_provide(kad, key, &self, now);
    case 4:
        return lp2p_kad_find_providers(kad, key, 0, now);
    default:
        return lp2p_kad_closest(kad, key, now);
    }
}

static struct lp2p_span take_answer(const uint8_t **data, size_t *size)
{
    size_t len = *size < 2 ? 0 : ((size_t)(*data)[0] << 8 | (*data)[1]);
    if (*size < 2) {
        return lp2p_span(NULL, 0);
    }
    len = LP2P_MIN(len, *size - 2);
    struct lp2p_span answer = {*data + 2, len};
    *data += 2 + len;
    *size -= 2 + len;
    return answer;
}

/* Runs until nothing is left to do; the number of ends that were told. */
static unsigned run(struct lp2p_kad *kad, uint64_t query, const uint8_t *data, size_t size, lp2p_time *now)
{
    unsigned done = 0;
    for (unsigned steps = 0; steps < 10000; steps++) {
        lp2p_kad_next(kad, &event, *now);
        if (event.kind == LP2P_KAD_SEND && !event.no_reply && size > 0) {
            lp2p_kad_feed(kad, event.request, take_answer(&data, &size), *now, 0);
        } else if (event.kind == LP2P_KAD_QUERY_DONE) {
            LP2P_CHECK(event.query == query);
            done++;
        } else if (event.kind == LP2P_KAD_NONE) {
            lp2p_time when = lp2p_kad_deadline(kad);
            if (when > LP2P_SEC(200)) {
                return done;
            }
            LP2P_CHECK(when > *now);
            *now = when;
            lp2p_kad_tick(kad, *now, 0);
        }
    }
    LP2P_CHECK(!"the query goes on for ever");
    return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_kad_config config = {
        .self = peer_of(0).id, .server = true, .refresh_interval_ns = LP2P_NEVER, .k = 4, .alpha = 3};
    struct lp2p_kad *kad = lp2p_kad_new(&config, &rand, 0);
    LP2P_CHECK(kad != NULL);
    for (uint8_t i = 1; i <= 8; i++) {
        struct lp2p_kad_peer peer = peer_of(i);
        lp2p_kad_peer_seen(kad, &peer, 0);
    }
    lp2p_time now = LP2P_SEC(1);
    uint64_t query = begin(kad, data[0] % 6, now);
    LP2P_CHECK(query != 0);
    LP2P_CHECK(run(kad, query, data + 1, size - 1, &now) == 1);
    LP2P_CHECK(now <= LP2P_SEC(130)); /* the query's minute, and one for the corrections after a get */
    lp2p_kad_free(kad);
    return 0;
}
