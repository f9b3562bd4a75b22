/* SPDX-License-Identifier: MIT
 * Inside of the load client's link: link.c (life and upgrade), link_io.c (the socket), link_streams.c (streams). */
#ifndef LP2P_BENCH_LINK_IO_H
#define LP2P_BENCH_LINK_IO_H

#include "link.h"

#define BENCH_READ_BYTES (256u * 1024)
#define BENCH_FRAME_BYTES (LP2P_NOISE_PREFIX + LP2P_NOISE_FRAME_MAX)

/** Time of this round of the loop. */
lp2p_time bench_loop_now(void);
_Noreturn void bench_fatal(const char *what);
void bench_link_end(struct bench_link *link, const char *why);
void bench_link_blocked(struct bench_link *link, bool blocked);
bool bench_link_input(struct bench_link *link);

void bench_link_receive(struct bench_link *link);
/** Frames and sends whatever the muxer has, as far as the socket takes it. */
void bench_link_flush(struct bench_link *link);
void bench_send_handshake(struct bench_link *link);
void bench_send_sealed_mss(struct bench_link *link);

/** Tells the streams what the muxer has for them. */
void bench_streams_pump(struct bench_link *link);

#endif
