/* SPDX-License-Identifier: MIT */
#include "wire/multihash.h"

#include "wire/varint.h"

#include <sodium.h>
#ifdef LP2P_HAVE_LIBCRYPTO
#include <openssl/sha.h>
#endif

/* From here on libcrypto's instructions for SHA pay for what its one-shot call costs: some hundred bytes make up for a
 * call, and a node that hashes nothing larger never pays the 150 KiB of memory that the first call takes. */
#define LIBCRYPTO_MIN 1024 /* bytes */

enum lp2p_err lp2p_multihash_parse(struct lp2p_span in, struct lp2p_multihash *out)
{
    uint64_t len = 0;
    enum lp2p_err err = lp2p_varint_take(&in, &out->code);
    if (err == LP2P_OK) {
        err = lp2p_varint_take(&in, &len);
    }
    if (err != LP2P_OK) {
        return err;
    }
    if (in.len != len) {
        return in.len < len ? LP2P_ETRUNCATED : LP2P_EMALFORMED;
    }
    out->digest = in;
    return LP2P_OK;
}

void lp2p_sha256(struct lp2p_span in, uint8_t out[32])
{
#ifdef LP2P_HAVE_LIBCRYPTO
    if (in.len >= LIBCRYPTO_MIN && SHA256(in.ptr, in.len, out) != NULL) {
        return;
    }
#endif
    crypto_hash_sha256(out, in.ptr, in.len);
}
