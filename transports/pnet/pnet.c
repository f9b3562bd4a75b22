/* SPDX-License-Identifier: MIT */
#include "pnet/pnet.h"

#include "base/check.h"
#include "pnet/shake128.h"

#include <sodium.h>

#define BLOCK 64

void lp2p_pnet_key_wipe(struct lp2p_pnet_key *key)
{
    sodium_memzero(key, sizeof(*key));
}

void lp2p_pnet_fingerprint(const struct lp2p_pnet_key *key, uint8_t out[16])
{
    static const uint8_t nonce[crypto_stream_salsa20_NONCEBYTES + 1] = "finprint";
    uint8_t stream[BLOCK];
    crypto_stream_salsa20(stream, sizeof(stream), nonce, key->bytes);
    lp2p_shake128(stream, sizeof(stream), out, 16);
    sodium_memzero(stream, sizeof(stream));
}

/** XSalsa20 is Salsa20 with a key that HSalsa20 makes of the first 16 bytes of the nonce: made once for each direction. */
void lp2p_pnet_stream_init(struct lp2p_pnet_stream *stream, const struct lp2p_pnet_key *key,
                           const uint8_t nonce[LP2P_PNET_NONCE_BYTES])
{
    *stream = (struct lp2p_pnet_stream){.used = BLOCK};
    (void)crypto_core_hsalsa20(stream->subkey, nonce, key->bytes, NULL);
    memcpy(stream->nonce, nonce + crypto_core_hsalsa20_INPUTBYTES, sizeof(stream->nonce));
}

static void xor_rest(struct lp2p_pnet_stream *stream, const uint8_t *in, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = in[i] ^ stream->rest[stream->used + i];
    }
    stream->used = (uint8_t)(stream->used + len);
}

void lp2p_pnet_stream_xor(struct lp2p_pnet_stream *stream, const uint8_t *in, uint8_t *out, size_t len)
{
    size_t first = LP2P_MIN(len, (size_t)(BLOCK - stream->used));
    xor_rest(stream, in, out, first);
    size_t whole = (len - first) / BLOCK * BLOCK, last = len - first - whole;
    if (whole > 0) {
        (void)crypto_stream_salsa20_xor_ic(out + first, in + first, whole, stream->nonce, stream->block,
                                           stream->subkey);
        stream->block += whole / BLOCK;
    }
    if (last > 0) {
        memset(stream->rest, 0, sizeof(stream->rest));
        (void)crypto_stream_salsa20_xor_ic(stream->rest, stream->rest, BLOCK, stream->nonce, stream->block,
                                           stream->subkey);
        stream->block++;
        stream->used = 0;
        xor_rest(stream, in + first + whole, out + first + whole, last);
    }
}

void lp2p_pnet_stream_wipe(struct lp2p_pnet_stream *stream)
{
    sodium_memzero(stream, sizeof(*stream));
}
