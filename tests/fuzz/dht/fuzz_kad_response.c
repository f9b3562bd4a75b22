/* SPDX-License-Identifier: MIT
 * A query of each kind against peers that answer as the input says, with crafted or raw messages. It has to
 * end exactly once within its deadline, whatever they say. */
#include "craft.h"

#include "dht/kad.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lp2p_kad_event event;

static uint64_t begin(struct lp2p_kad *kad, unsigned kind, lp2p_time now)
{
    struct lp2p_span key = craft_key;
    struct lp2p_kad_peer self = craft_peer(0);
    struct lp2p_kad_peer target = craft_peer(99);
    switch (kind) {
    case 0:
        return lp2p_kad_find_peer(kad, &target.id, now);
    case 1:
        return lp2p_kad_get(kad, key, 0, now, 0);
    case 2:
        return lp2p_kad_put(kad, key, craft_value.len > 0 ? craft_value : lp2p_span_str("v"), now, 0);
    case 3:
        return lp2p_kad_provide(kad, key, &self, now);
    case 4:
        return lp2p_kad_find_providers(kad, key, 0, now);
    default:
        return lp2p_kad_closest(kad, key, now);
    }
}

/* The next answer: crafted to fit the request, or raw. */
static struct lp2p_span take_answer(struct lp2p_span request, const uint8_t **data, size_t *size)
{
    static uint8_t crafted[LP2P_KAD_REQUEST_MAX];
    size_t len = *size < 2 ? 0 : ((size_t)(*data)[0] << 8 | (*data)[1]);
    if (*size < 2) {
        return lp2p_span(NULL, 0);
    }
    len = LP2P_MIN(len, *size - 2);
    struct lp2p_span answer = {*data + 2, len};
    *data += 2 + len;
    *size -= 2 + len;
    if (len > 0 && answer.ptr[0] % 8 != 0) {
        uint8_t type = request.len > 1 && request.ptr[0] == 0x08 ? request.ptr[1] : 0;
        return craft_message(crafted, sizeof(crafted), (enum lp2p_kad_type)type, lp2p_span_skip(answer, 1));
    }
    return answer;
}

/* Runs until nothing is left to do; the number of ends that were told. */
static unsigned run(struct lp2p_kad *kad, uint64_t query, const uint8_t *data, size_t size, lp2p_time *now)
{
    unsigned done = 0;
    for (unsigned steps = 0; steps < 10000; steps++) {
        lp2p_kad_next(kad, &event, *now);
        if (event.kind == LP2P_KAD_SEND && !event.no_reply && size > 0) {
            lp2p_kad_feed(kad, event.request, take_answer(event.message, &data, &size), *now, 0);
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
        .self = craft_peer(0).id, .server = true, .refresh_interval_ns = LP2P_NEVER, .k = 4, .alpha = 3};
    struct lp2p_kad *kad = lp2p_kad_new(&config, &rand, 0);
    LP2P_CHECK(kad != NULL);
    for (uint8_t i = 1; i <= 8; i++) {
        struct lp2p_kad_peer peer = craft_peer(i);
        lp2p_kad_peer_seen(kad, &peer, 0);
    }
    lp2p_time now = LP2P_SEC(1);
    craft_about((enum craft_about)(data[0] >> 6), data[0] >> 3 & 7);
    uint64_t query = begin(kad, data[0] % 8 % 6, now);
    LP2P_CHECK(query != 0);
    LP2P_CHECK(run(kad, query, data + 1, size - 1, &now) == 1);
    LP2P_CHECK(now <= LP2P_SEC(130)); /* the query's minute, and one for the corrections after a get */
    lp2p_kad_free(kad);
    return 0;
}
