/* SPDX-License-Identifier: MIT
 * SHAKE128 (FIPS 202) of one short input: what fingerprints need, and no library that every build has offers it. Pure. */
#ifndef LP2P_PNET_SHAKE128_H
#define LP2P_PNET_SHAKE128_H

#include <stddef.h>
#include <stdint.h>

#define LP2P_SHAKE128_RATE 168

/** len < LP2P_SHAKE128_RATE, out_len <= LP2P_SHAKE128_RATE. */
void lp2p_shake128(const uint8_t *in, size_t len, uint8_t *out, size_t out_len);

#endif
