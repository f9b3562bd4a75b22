/* SPDX-License-Identifier: MIT
 * What the tests of the dht room share: made-up peers, keys and a seeded random source. Includes cmocka. */
#ifndef LP2P_TESTS_UNIT_DHT_KIT_H
#define LP2P_TESTS_UNIT_DHT_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "dht/machine.h"
#include "vectors.h"

/** A peer with one public address; equal numbers give equal peers. */
struct lp2p_kad_peer kit_peer(unsigned number);
struct lp2p_multiaddr kit_addr(const char *text);
/** A random source of its own for each seed; valid until the next call with the same slot (0 .. 3). */
struct lp2p_rand kit_rand(unsigned slot, uint64_t seed);
/** A point with the given bytes in front, the rest random. */
struct lp2p_kad_key kit_key(const struct lp2p_rand *rand, unsigned first_byte);
/** A default server machine with the identity kit_peer(0). */
struct lp2p_kad *kit_server(void);
/** One encoded message: head, then peers. Returns its length. */
size_t kit_message(uint8_t *out, size_t cap, enum lp2p_kad_type type, struct lp2p_span key,
                   const struct lp2p_kad_record *record, const struct lp2p_kad_peer *closer,
                   size_t closer_len, const struct lp2p_kad_peer *providers, size_t providers_len);

#endif
