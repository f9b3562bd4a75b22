/* SPDX-License-Identifier: MIT
 * The perf responder (libp2p specs perf/perf.md) as a machine, and the names of the two test services. Pure;
 * no actor. Echo needs no machine: what comes in goes out. */
#ifndef LP2P_ACTORS_PROTOCOLS_SERVE_H
#define LP2P_ACTORS_PROTOCOLS_SERVE_H

#include "base/err.h"
#include "base/span.h"

#define LP2P_ECHO_PROTOCOL "/echo/1.0.0"
#define LP2P_PERF_PROTOCOL "/perf/1.0.0"

/** Zeroed is ready. First eight bytes: how many to send back, big-endian; then an upload that is thrown away;
 * then, after the peer's end, the download. */
struct lp2p_perf {
    uint8_t header_len; /* bytes of the number seen */
    uint64_t download;  /* still to be sent */
    uint64_t uploaded;  /* bytes behind the number */
};
void lp2p_perf_feed(struct lp2p_perf *perf, struct lp2p_span in);
/** The peer has ended. ETRUNCATED: before its number was complete. */
enum lp2p_err lp2p_perf_eof(const struct lp2p_perf *perf) LP2P_MUST_CHECK;
/** Takes up to max bytes off the download; 0: all was taken. */
size_t lp2p_perf_take(struct lp2p_perf *perf, size_t max);

#endif
