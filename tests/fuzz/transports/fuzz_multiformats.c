/* SPDX-License-Identifier: MIT
 * Multihash, multibase and CID. The first byte chooses a base to encode with. */
#include "base/check.h"
#include "wire/cid.h"
#include "wire/multibase.h"
#include "wire/multihash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct lp2p_span text)
{
    uint8_t bytes[2048], again[2048];
    char out[4096];
    size_t len = 0, again_len = 0;
    if (lp2p_multibase_decode(text, bytes, sizeof(bytes), &len) == LP2P_OK) {
        LP2P_CHECK(lp2p_multibase_encode((char)text.ptr[0], lp2p_span(bytes, len), out, sizeof(out), NULL) ==
                   LP2P_OK);
        LP2P_CHECK(lp2p_multibase_decode(lp2p_span_str(out), again, sizeof(again), &again_len) == LP2P_OK);
        LP2P_CHECK(lp2p_span_eq(lp2p_span(bytes, len), lp2p_span(again, again_len)));
        LP2P_CHECK(strlen(out) == text.len); /* one text for one value, but for the case of letters */
    }
    struct lp2p_cid cid, back;
    if (lp2p_cid_from_text(text, &cid) == LP2P_OK) {
        LP2P_CHECK(lp2p_cid_text(&cid, 'k', out, sizeof(out)) == LP2P_OK);
        LP2P_CHECK(lp2p_cid_from_text(lp2p_span_str(out), &back) == LP2P_OK &&
                   memcmp(&cid, &back, sizeof(cid)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char bases[] = "zbBkKfFuUmM";
    struct lp2p_span in = lp2p_span(data, size);
    struct lp2p_multihash hash;
    if (lp2p_multihash_parse(in, &hash) == LP2P_OK) {
        LP2P_CHECK(hash.digest.ptr + hash.digest.len == data + size);
    }
    struct lp2p_cid cid;
    if (lp2p_cid_parse(in, &cid) == LP2P_OK) {
        LP2P_CHECK(lp2p_multihash_parse(lp2p_span(cid.multihash, cid.multihash_len), &hash) == LP2P_OK);
    }
    check_text(in);
    if (size > 0 && size <= 1024) {
        char text[4096];
        uint8_t back[1024];
        size_t len = 0;
        struct lp2p_span bytes = lp2p_span_skip(in, 1);
        char base = bases[data[0] % (sizeof(bases) - 1)];
        LP2P_CHECK(lp2p_multibase_encode(base, bytes, text, sizeof(text), &len) == LP2P_OK);
        if (len <= 1024) { /* longer numbers are refused */
            LP2P_CHECK(lp2p_multibase_decode(lp2p_span(text, len), back, sizeof(back), &len) == LP2P_OK);
            LP2P_CHECK(lp2p_span_eq(bytes, lp2p_span(back, len)));
        }
    }
    return 0;
}
