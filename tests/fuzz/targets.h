/* SPDX-License-Identifier: MIT
 * All fuzz targets by name, for the program that replays the committed inputs. Each is LLVMFuzzerTestOneInput under a name of its own. */
#ifndef LP2P_FUZZ_TARGETS_H
#define LP2P_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

#define REPLAY_TARGETS(X)                                                                                              \
    X(carrier) X(dns) X(identify) X(lotus_message) X(mdns) X(resource) X(small_machines) X(stored_peer) X(upgrade)     \
    X(kad_message) X(kad_response) X(kad_serve)                                                                        \
    X(envelope) X(frame) X(mplex) X(multiaddr) X(multiformats) X(multistream) X(noise) X(noise_open) X(peer_id)        \
    X(private_key) X(proxy) X(psk) X(public_key) X(tls_certificate) X(tls_handshake) X(tls_records) X(varint)          \
    X(websocket_frames) X(websocket_upgrade) X(yamux)

#define X(name) int fuzz_##name(const uint8_t *data, size_t size);
REPLAY_TARGETS(X)
#undef X

#endif
