/* SPDX-License-Identifier: MIT
 * Private networks (libp2p specs pnet/Private-Networks-PSK-V1.md): the key file, and two XSalsa20 key streams over everything
 * that a connection carries. No authentication: a wrong key shows as garbage one layer higher. A key is read-only after it was
 * read; a session is owned by one actor. */
#ifndef LP2P_PNET_H
#define LP2P_PNET_H

#include "base/err.h"
#include "base/span.h"

#define LP2P_PNET_KEY_BYTES 32
#define LP2P_PNET_NONCE_BYTES 24
#define LP2P_PNET_FILE_MAX 256 /* bytes: the longest key file has 98 */

struct lp2p_pnet_key {
    uint8_t bytes[LP2P_PNET_KEY_BYTES];
};
/** Reads a key file: base16, base64 and bin. EMALFORMED: anything else; the key is then all zero. */
enum lp2p_err lp2p_pnet_key_read(struct lp2p_span file, struct lp2p_pnet_key *key) LP2P_MUST_CHECK;
void lp2p_pnet_key_wipe(struct lp2p_pnet_key *key);
/** 16 bytes that name a key without giving it away, as other implementations print them. */
void lp2p_pnet_fingerprint(const struct lp2p_pnet_key *key, uint8_t out[16]);

/** One direction's key stream. */
struct lp2p_pnet_stream {
    uint8_t subkey[32], nonce[8];
    uint64_t block;     /* the next one to be made */
    uint8_t used;       /* bytes of `rest` that are used up; 64: all */
    uint8_t rest[64];   /* the key stream of the block under way */
};
void lp2p_pnet_stream_init(struct lp2p_pnet_stream *stream, const struct lp2p_pnet_key *key,
                           const uint8_t nonce[LP2P_PNET_NONCE_BYTES]);
/** out = in XOR the next `len` bytes of the key stream; `out` may be `in`, and else does not overlap it. */
void lp2p_pnet_stream_xor(struct lp2p_pnet_stream *stream, const uint8_t *in, uint8_t *out, size_t len);
void lp2p_pnet_stream_wipe(struct lp2p_pnet_stream *stream);

#endif
