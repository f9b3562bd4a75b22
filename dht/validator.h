/* SPDX-License-Identifier: MIT
 * Which values are accepted under which keys, and which of two is the better one. Pure functions over
 * borrowed spans. */
#ifndef LP2P_DHT_VALIDATOR_H
#define LP2P_DHT_VALIDATOR_H

#include "dht/kad.h"

struct lp2p_kad_rules {
    const struct lp2p_kad_validator *validators; /* borrowed; asked before the built-in "pk" */
    size_t validators_len;
};

/** OK: acceptable. EUNSUPPORTED: a namespace that nobody here validates. EBADRECORD or what the validator
 * said otherwise. A key that has fewer than three parts when split at '/' has no namespace and accepts every
 * value. */
enum lp2p_err lp2p_kad_validate(const struct lp2p_kad_rules *rules, struct lp2p_span key,
                                struct lp2p_span value) LP2P_MUST_CHECK;
/** True when `a` is better than `b`, both being valid. Without a namespace, and for "pk", no value is better
 * than another. */
bool lp2p_kad_better(const struct lp2p_kad_rules *rules, struct lp2p_span key, struct lp2p_span a,
                     struct lp2p_span b);

#endif
