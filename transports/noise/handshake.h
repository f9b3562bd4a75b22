/* SPDX-License-Identifier: MIT
 * The symmetric part of Noise_XX_25519_ChaChaPoly_SHA256 (Noise spec revision 34, sections 5 and 7) with free
 * payloads and prologue: what libp2p puts into the payloads is another file's business. Internal to the room
 * and its tests.
 *
 *   XX:  -> e      <- e, ee, s, es      -> s, se */
#ifndef LP2P_NOISE_HANDSHAKE_H
#define LP2P_NOISE_HANDSHAKE_H

#include "noise/aead.h"

#define LP2P_XX_DH 32 /* bytes: keys, hashes and shared secrets */
#define LP2P_XX_MESSAGES 3

struct lp2p_xx {
    bool initiator, keyed; /* keyed: payloads are encrypted from here on */
    uint8_t messages;      /* written and read so far; the initiator writes the even ones */
    uint8_t ck[LP2P_XX_DH], h[LP2P_XX_DH];
    struct lp2p_aead cipher;
    uint8_t s_secret[LP2P_XX_DH], s_public[LP2P_XX_DH], e_secret[LP2P_XX_DH], e_public[LP2P_XX_DH];
    uint8_t rs[LP2P_XX_DH], re[LP2P_XX_DH]; /* the other side's; rs is authenticated once it was read */
};

/** Keys are copied. The secrets are 32 random bytes; clamping is the curve's business. */
void lp2p_xx_init(struct lp2p_xx *xx, bool initiator, struct lp2p_span prologue,
                  const uint8_t s_secret[LP2P_XX_DH], const uint8_t s_public[LP2P_XX_DH],
                  const uint8_t e_secret[LP2P_XX_DH]);
void lp2p_xx_wipe(struct lp2p_xx *xx);

/** Bytes that message `index` (0..2) adds to its payload. */
size_t lp2p_xx_overhead(unsigned index);
/** Writes the next message: out has room for payload.len + overhead. EBADKEY: the other side's key has no
 * order. ESTATE: it is not this side's turn. */
enum lp2p_err lp2p_xx_write(struct lp2p_xx *xx, struct lp2p_span payload, uint8_t *out,
                            size_t *len) LP2P_MUST_CHECK;
/** Reads the next message, decrypting inside of it; *payload points into the message. EMALFORMED: too short.
 * EAUTH, EBADKEY: the handshake is over. */
enum lp2p_err lp2p_xx_read(struct lp2p_xx *xx, uint8_t *message, size_t len,
                           struct lp2p_span *payload) LP2P_MUST_CHECK;
/** After three messages: the keys of the two directions as seen from this side. */
void lp2p_xx_split(const struct lp2p_xx *xx, uint8_t send_key[LP2P_AEAD_KEY],
                   uint8_t recv_key[LP2P_AEAD_KEY]);

struct lp2p_noise;
/** The key of one direction of an established channel, for tests that move its counter; NULL before. */
struct lp2p_aead *lp2p_noise_key(struct lp2p_noise *noise, bool receiving);

#endif
