/* SPDX-License-Identifier: MIT
 * A network below the platform boundary: TCP-like connections between hosts in one process, in virtual time, with latency and
 * bounded socket buffers. The same seed and the same calls give the same run. Everything runs on one thread. */
#ifndef LP2P_TESTS_SIMNET_H
#define LP2P_TESTS_SIMNET_H

#include "actors/net.h"
#include "runtime/runtime.h"

struct simnet;
struct simhost;

/** Each byte arrives after latency_ns, plus up to jitter_ns (order in a connection is kept). */
struct simnet *simnet_new(uint64_t seed, uint64_t latency_ns, uint64_t jitter_ns);
/** From now on each direction of a connection carries so many bytes in a second; 0: any number. */
void simnet_slow(struct simnet *net, uint64_t bytes_per_s);
void simnet_free(struct simnet *net);

/** A host with the address 10.0.(n / 256).(n % 256); owned by the net. */
struct simhost *simnet_host(struct simnet *net, unsigned n);
/** The tables that a node's context and runtime configuration take; valid as long as the net. */
const struct lp2p_net *simhost_net(struct simhost *host);
struct lp2p_sim_io simhost_io(struct simhost *host);
/** Cuts the host off: its connections end (the other sides see a reset), and nobody can connect, until it is plugged in again. */
void simhost_unplug(struct simhost *host, bool unplugged);
/** Gives the host one more interface with this IPv4 address, or (NULL) takes it away. It is only listed, nobody can connect there. */
void simhost_interface(struct simhost *host, const uint8_t ip[4]);
/** Descriptors that are open on the host: a stopped node must leave none. */
size_t simhost_fds(const struct simhost *host);

/** Runs several simulated runtimes side by side to the virtual time `until`, in slices shorter than the latency. */
void simnet_run(struct simnet *net, struct lp2p_rt *const *rts, size_t len, lp2p_time until);

#endif
