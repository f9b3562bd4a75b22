/* SPDX-License-Identifier: MIT
 * Curve25519: X25519 and the verification of Ed25519, which are half of what a new connection costs. By lib25519 where the
 * option of that name is on, else by libsodium; the results and the verdicts are the same. Pure functions, any thread. */
#ifndef LP2P_WIRE_CURVE25519_H
#define LP2P_WIRE_CURVE25519_H

#include "base/err.h"
#include "base/span.h"

#include <stdbool.h>

#define LP2P_X25519_BYTES 32 /* secrets, public keys, and what two sides share */
#define LP2P_ED25519_KEY 32
#define LP2P_ED25519_SIGNATURE 64

/** The public key of 32 random bytes; clamping them is this function's business. */
void lp2p_x25519_public(const uint8_t secret[LP2P_X25519_BYTES], uint8_t out[LP2P_X25519_BYTES]);

/** What both sides share. EBADKEY: the point has a low order, so that the result would be known to everybody; `out` is wiped. */
enum lp2p_err lp2p_x25519(const uint8_t secret[LP2P_X25519_BYTES], const uint8_t point[LP2P_X25519_BYTES],
                          uint8_t out[LP2P_X25519_BYTES]) LP2P_MUST_CHECK;

/** Whether the signature is good, by libsodium's rules: S below the order, key in its only encoding, neither key nor R of a low
 *  order, R compared as bytes (without cofactor). */
bool lp2p_ed25519_verify(const uint8_t key[LP2P_ED25519_KEY], struct lp2p_span message,
                         const uint8_t signature[LP2P_ED25519_SIGNATURE]) LP2P_MUST_CHECK;

#endif
