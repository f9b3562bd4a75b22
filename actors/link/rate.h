/* SPDX-License-Identifier: MIT
 * Rates by address: how often something may happen for one source, in a table of fixed size. Pure; owned by one actor.
 *
 * A bucket is one number: the time at which it would be full again. A source is an IPv4 address or /24, or an IPv6 /64 or /48.
 * Sources that fall into the same set push each other out, the fullest bucket first: whoever rotates through many addresses
 * gains at the most what the table forgets, and it never grows. */
#ifndef LP2P_LINK_RATE_H
#define LP2P_LINK_RATE_H

#include "base/rand.h"
#include "base/time.h"
#include "wire/multiaddr.h"

#define LP2P_RATE_WAYS 4
#define LP2P_RATE_SETS 256 /* power of two */

struct lp2p_rate {
    uint64_t interval_ns; /* between two, on average; 0: without a limit */
    unsigned burst;       /* at once after a pause */
};

struct lp2p_bucket {
    lp2p_time full_at;
};

/** True when one more may happen now. */
bool lp2p_bucket_allows(const struct lp2p_bucket *bucket, const struct lp2p_rate *rate, lp2p_time now);
/** Counts one, also beyond the limit by one burst at the most. */
void lp2p_bucket_charge(struct lp2p_bucket *bucket, const struct lp2p_rate *rate, lp2p_time now);
/** Allows and charges, or neither. */
bool lp2p_bucket_take(struct lp2p_bucket *bucket, const struct lp2p_rate *rate, lp2p_time now);

struct lp2p_rate_table {
    struct lp2p_rate rate;
    bool wide; /* by /24 and /48 instead of /32 and /64 */
    uint8_t hash_key[16];
    struct {
        uint8_t source[9]; /* length and prefix; all zero: free */
        struct lp2p_bucket bucket;
    } slots[LP2P_RATE_SETS][LP2P_RATE_WAYS];
};

void lp2p_rate_table_init(struct lp2p_rate_table *table, struct lp2p_rate rate, bool wide, const struct lp2p_rand *rand);
bool lp2p_rate_allows(struct lp2p_rate_table *table, const struct lp2p_ip_port *from, lp2p_time now);
void lp2p_rate_charge(struct lp2p_rate_table *table, const struct lp2p_ip_port *from, lp2p_time now);
bool lp2p_rate_take(struct lp2p_rate_table *table, const struct lp2p_ip_port *from, lp2p_time now);

/** The same for actors on several threads: buckets of sources that fall together are one, and one bucket of all. Atomic. */
#define LP2P_RATE_SHARED 1024 /* power of two */
struct lp2p_rate_shared {
    uint8_t hash_key[16];
    uint64_t all, full_at[LP2P_RATE_SHARED];
};
/** Takes one from both buckets, or from none. `from` NULL: only from that of all. Any thread. */
bool lp2p_rate_shared_take(struct lp2p_rate_shared *shared, const struct lp2p_rate *each, const struct lp2p_rate *all,
                           const struct lp2p_ip_port *from, lp2p_time now);

/** Whether the source's bucket has one; and takes one from it, also when it has none (by one burst at the most). Any thread. */
bool lp2p_rate_shared_allows(struct lp2p_rate_shared *shared, const struct lp2p_rate *each, const struct lp2p_ip_port *from,
                             lp2p_time now);
void lp2p_rate_shared_charge(struct lp2p_rate_shared *shared, const struct lp2p_rate *each, const struct lp2p_ip_port *from,
                             lp2p_time now);

/** The source of a connection with this remote address, whatever carries it (TCP, WebSocket, secure WebSocket). False: nobody's
 *  limits count, because it is loopback or has no IP address. */
bool lp2p_rate_source(const struct lp2p_multiaddr *remote, struct lp2p_ip_port *from);

/** Identify pushes that the node takes: from one /24 or /48, and from everybody. */
#define LP2P_PUSH_RATE ((struct lp2p_rate){LP2P_SEC(5), 10})
#define LP2P_PUSH_RATE_ALL ((struct lp2p_rate){LP2P_US(500), 200})

/** Costly verifications: what an inbound handshake may cost beyond an Ed25519 signature. Ask `allows` before an inbound upgrade
 *  begins (refuse it otherwise), `take` before a costly kind of certificate is verified (RSA, P-384, P-521), and `charge` when a
 *  handshake ended in a way for which lp2p_verify_was_costly is true. */
#define LP2P_VERIFY_RATE ((struct lp2p_rate){LP2P_MS(500), 20})
/** `peer` is who was proven, len 0: nobody; `reason` is why the handshake failed. A hashed id (RSA, ECDSA), or a signature that
 *  did not verify. */
bool lp2p_verify_was_costly(const struct lp2p_peer_id *peer, enum lp2p_err reason);

#endif
