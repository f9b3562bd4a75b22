/* SPDX-License-Identifier: MIT */
#include "wire/peer_id.h"

#include "base/check.h"
#include "wire/cid.h"
#include "wire/multibase.h"
#include "wire/multihash.h"

#define CODEC_LIBP2P_KEY 0x72
#define INLINE_MAX 42 /* bytes: longer encoded keys are hashed (libp2p specs peer-ids/peer-ids.md) */

enum lp2p_err lp2p_peer_id_parse(struct lp2p_span bytes, struct lp2p_peer_id *out)
{
    struct lp2p_multihash hash;
    if (bytes.len > LP2P_PEER_ID_MAX || lp2p_multihash_parse(bytes, &hash) != LP2P_OK) {
        return LP2P_EMALFORMED;
    }
    bool inlined = hash.code == LP2P_MH_IDENTITY && hash.digest.len >= 1 && hash.digest.len <= INLINE_MAX;
    bool hashed = hash.code == LP2P_MH_SHA2_256 && hash.digest.len == 32;
    if (!inlined && !hashed) {
        return LP2P_EMALFORMED;
    }
    *out = (struct lp2p_peer_id){.len = (uint8_t)bytes.len};
    memcpy(out->bytes, bytes.ptr, bytes.len);
    return LP2P_OK;
}

void lp2p_peer_id_from_key(const struct lp2p_public_key *key, struct lp2p_peer_id *out)
{
    struct lp2p_span encoded = lp2p_public_key_encoded(key);
    *out = (struct lp2p_peer_id){0};
    if (encoded.len <= INLINE_MAX) {
        out->bytes[0] = LP2P_MH_IDENTITY;
        out->bytes[1] = (uint8_t)encoded.len;
        memcpy(out->bytes + 2, encoded.ptr, encoded.len);
        out->len = (uint8_t)(2 + encoded.len);
        return;
    }
    out->bytes[0] = LP2P_MH_SHA2_256;
    out->bytes[1] = 32;
    lp2p_sha256(encoded, out->bytes + 2);
    out->len = 34;
}

enum lp2p_err lp2p_peer_id_key(const struct lp2p_peer_id *id, struct lp2p_public_key *out)
{
    if (id->len < 2 || id->bytes[0] != LP2P_MH_IDENTITY) {
        return LP2P_ENOTFOUND;
    }
    struct lp2p_span inlined = lp2p_span(id->bytes + 2, id->len - 2u);
    if (lp2p_public_key_parse(inlined, out) != LP2P_OK) {
        return LP2P_EBADKEY;
    }
    /* Only the deterministic encoding names the key: another one would be a second id of the same peer. */
    return lp2p_span_eq(inlined, lp2p_public_key_encoded(out)) ? LP2P_OK : LP2P_EBADKEY;
}

enum lp2p_err lp2p_peer_id_from_text(struct lp2p_span text, struct lp2p_peer_id *out)
{
    bool plain =
        (text.len >= 1 && text.ptr[0] == '1') || (text.len >= 2 && text.ptr[0] == 'Q' && text.ptr[1] == 'm');
    if (plain) {
        uint8_t bytes[LP2P_PEER_ID_MAX];
        size_t len = 0;
        if (lp2p_base58_decode(text, bytes, sizeof(bytes), &len) != LP2P_OK) {
            return LP2P_EMALFORMED;
        }
        return lp2p_peer_id_parse(lp2p_span(bytes, len), out);
    }
    struct lp2p_cid cid;
    if (lp2p_cid_from_text(text, &cid) != LP2P_OK || cid.version != 1 || cid.codec != CODEC_LIBP2P_KEY) {
        return LP2P_EMALFORMED;
    }
    return lp2p_peer_id_parse(lp2p_span(cid.multihash, cid.multihash_len), out);
}

void lp2p_peer_id_text(const struct lp2p_peer_id *id, char out[LP2P_PEER_ID_TEXT_MAX])
{
    enum lp2p_err err = lp2p_base58_encode(lp2p_peer_id_span(id), out, LP2P_PEER_ID_TEXT_MAX, NULL);
    LP2P_CHECK(err == LP2P_OK);
}

void lp2p_peer_id_cid_text(const struct lp2p_peer_id *id, char out[LP2P_PEER_ID_TEXT_MAX])
{
    struct lp2p_cid cid = {.version = 1, .codec = CODEC_LIBP2P_KEY, .multihash_len = id->len};
    memcpy(cid.multihash, id->bytes, id->len);
    enum lp2p_err err = lp2p_cid_text(&cid, 'b', out, LP2P_PEER_ID_TEXT_MAX);
    LP2P_CHECK(err == LP2P_OK);
}
