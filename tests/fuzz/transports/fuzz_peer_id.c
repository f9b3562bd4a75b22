/* SPDX-License-Identifier: MIT
 * Peer ids: bytes and both texts name the same id. */
#include "base/check.h"
#include "wire/peer_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_id(const struct lp2p_peer_id *id)
{
    char text[LP2P_PEER_ID_TEXT_MAX];
    struct lp2p_peer_id again;
    LP2P_CHECK(lp2p_peer_id_parse(lp2p_peer_id_span(id), &again) == LP2P_OK && lp2p_peer_id_eq(id, &again));
    lp2p_peer_id_text(id, text);
    LP2P_CHECK(lp2p_peer_id_from_text(lp2p_span_str(text), &again) == LP2P_OK && lp2p_peer_id_eq(id, &again));
    lp2p_peer_id_cid_text(id, text);
    LP2P_CHECK(lp2p_peer_id_from_text(lp2p_span_str(text), &again) == LP2P_OK && lp2p_peer_id_eq(id, &again));
    struct lp2p_public_key key;
    if (lp2p_peer_id_key(id, &key) == LP2P_OK) {
        lp2p_peer_id_from_key(&key, &again);
        LP2P_CHECK(lp2p_peer_id_eq(id, &again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lp2p_span in = lp2p_span(data, size);
    struct lp2p_peer_id id;
    if (lp2p_peer_id_parse(in, &id) == LP2P_OK) {
        LP2P_CHECK(lp2p_span_eq(lp2p_peer_id_span(&id), in));
        check_id(&id);
    }
    if (lp2p_peer_id_from_text(in, &id) == LP2P_OK) {
        check_id(&id);
    }
    return 0;
}
