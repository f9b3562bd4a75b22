/* SPDX-License-Identifier: MIT */
#include "wire/cid.h"

#include "base/check.h"
#include "wire/multibase.h"
#include "wire/multihash.h"
#include "wire/varint.h"

#define CODEC_DAG_PB 0x70
#define CID_BYTES_MAX (2 * LP2P_VARINT_MAX + LP2P_CID_MAX) /* version, codec, multihash */

static enum lp2p_err set_multihash(struct lp2p_cid *out, struct lp2p_span multihash)
{
    struct lp2p_multihash parsed;
    enum lp2p_err err = lp2p_multihash_parse(multihash, &parsed);
    if (err != LP2P_OK) {
        return err;
    }
    if (multihash.len > LP2P_CID_MAX) {
        return LP2P_ELIMIT;
    }
    memcpy(out->multihash, multihash.ptr, multihash.len);
    out->multihash_len = (uint8_t)multihash.len;
    return LP2P_OK;
}

static bool is_version_0(struct lp2p_span bytes)
{
    return bytes.len == 34 && bytes.ptr[0] == LP2P_MH_SHA2_256 && bytes.ptr[1] == 32;
}

enum lp2p_err lp2p_cid_parse(struct lp2p_span bytes, struct lp2p_cid *out)
{
    *out = (struct lp2p_cid){.version = 0, .codec = CODEC_DAG_PB};
    if (is_version_0(bytes)) {
        return set_multihash(out, bytes);
    }
    uint64_t version = 0;
    enum lp2p_err err = lp2p_varint_take(&bytes, &version);
    if (err != LP2P_OK) {
        return err;
    }
    if (version != 1) {
        return LP2P_EUNSUPPORTED;
    }
    out->version = 1;
    err = lp2p_varint_take(&bytes, &out->codec);
    return err != LP2P_OK ? err : set_multihash(out, bytes);
}

enum lp2p_err lp2p_cid_from_text(struct lp2p_span text, struct lp2p_cid *out)
{
    uint8_t bytes[CID_BYTES_MAX];
    size_t len = 0;
    bool version_0 = text.len == 46 && text.ptr[0] == 'Q' && text.ptr[1] == 'm';
    enum lp2p_err err = version_0 ? lp2p_base58_decode(text, bytes, sizeof(bytes), &len)
                                  : lp2p_multibase_decode(text, bytes, sizeof(bytes), &len);
    if (err != LP2P_OK) {
        return err;
    }
    /* A version 0 id has no multibase form (multiformats/cid README, decoding algorithm). */
    if (is_version_0(lp2p_span(bytes, len)) != version_0) {
        return LP2P_EMALFORMED;
    }
    return lp2p_cid_parse(lp2p_span(bytes, len), out);
}

enum lp2p_err lp2p_cid_text(const struct lp2p_cid *cid, char base, char *out, size_t cap)
{
    LP2P_CHECK(cid->multihash_len <= LP2P_CID_MAX);
    if (cid->version == 0) {
        return lp2p_base58_encode(lp2p_span(cid->multihash, cid->multihash_len), out, cap, NULL);
    }
    uint8_t bytes[CID_BYTES_MAX];
    size_t len = lp2p_varint_put(bytes, cid->version);
    len += lp2p_varint_put(bytes + len, cid->codec);
    memcpy(bytes + len, cid->multihash, cid->multihash_len);
    return lp2p_multibase_encode(base, lp2p_span(bytes, len + cid->multihash_len), out, cap, NULL);
}
