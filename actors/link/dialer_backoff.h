/* SPDX-License-Identifier: MIT
 * Which addresses failed a moment ago, and until when they are left alone: 5 s + 1 s * tries^2, at most 5 min, with jitter. A
 * bounded table; when it is full the entry that ends first makes room. Pure; owned by the dialer. */
#ifndef LP2P_ACTORS_LINK_DIALER_BACKOFF_H
#define LP2P_ACTORS_LINK_DIALER_BACKOFF_H

#include "base/rand.h"
#include "base/time.h"
#include "wire/multiaddr.h"

#define LP2P_BACKOFFS_MAX 1024
#define LP2P_BACKOFF_FORGET_NS LP2P_SEC(600) /* after its end an entry's tries count on for that long */

struct lp2p_backoff_entry {
    uint64_t key; /* 0: free */
    lp2p_time until;
    unsigned tries;
};

struct lp2p_backoffs {
    uint8_t hash_key[16]; /* strangers choose addresses, but shall not choose places */
    size_t len;
    struct lp2p_backoff_entry entries[LP2P_BACKOFFS_MAX];
};

void lp2p_backoffs_init(struct lp2p_backoffs *backoffs, const struct lp2p_rand *rand);
/** When the address may be tried again for that peer; 0: now. peer NULL: for whichever peer. */
lp2p_time lp2p_backoff_until(const struct lp2p_backoffs *backoffs, const struct lp2p_peer_id *peer,
                             const struct lp2p_multiaddr *addr, lp2p_time now);
void lp2p_backoff_failed(struct lp2p_backoffs *backoffs, const struct lp2p_peer_id *peer, const struct lp2p_multiaddr *addr,
                         lp2p_time now, const struct lp2p_rand *rand);
void lp2p_backoff_worked(struct lp2p_backoffs *backoffs, const struct lp2p_peer_id *peer, const struct lp2p_multiaddr *addr);

#endif
