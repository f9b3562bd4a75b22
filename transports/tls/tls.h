/* SPDX-License-Identifier: MIT
 * The TLS 1.3 channel of libp2p, `/tls/1.0.0` (libp2p specs tls/tls.md): both sides show a self-signed
 * certificate in which the identity key vouches for the certificate's key, and agree on a muxer by ALPN. An
 * identity is made once for a node and shared; a channel is owned by one actor. */
#ifndef LP2P_TLS_H
#define LP2P_TLS_H

#include "base/rand.h"
#include "secure/secure.h"

#define LP2P_TLS_MUXERS_MAX 4

struct lp2p_tls_backend;
struct lp2p_tls_credentials;

/** What a node brings to each handshake: `identity` of lp2p_secure_start. Read-only and shared by all
 * threads. */
struct lp2p_tls_identity {
    const struct lp2p_tls_backend *backend;
    struct lp2p_tls_credentials *credentials;
    const char *alpn[LP2P_TLS_MUXERS_MAX + 2]; /* our muxers in preference order, "libp2p", NULL */
    size_t muxers_len;
    /* Limits of what the other side may send in a handshake; set by init, and lifted by nobody but tests. */
    size_t handshake_bytes_max, certificate_bytes_max;
};

struct lp2p_tls_identity_options {
    const struct lp2p_tls_backend *backend; /* NULL: the build's own */
    struct lp2p_span public_key;            /* of the identity: its protobuf */
    /** Signs with the identity key. `out` has LP2P_SIGNATURE_MAX bytes. */
    enum lp2p_err (*sign)(void *ctx, struct lp2p_span message, uint8_t *out, size_t *len);
    void *sign_ctx;
    const char *const *muxers; /* their ids, preference order; they outlive the identity */
    size_t muxers_len;         /* 0: muxers are always negotiated inside the channel */
    const struct lp2p_rand *rand;
    int64_t wall_s; /* the certificate is valid from an hour before until a hundred years after */
};

/** Makes the certificate's key and the certificate. Once per process before the first handshake of any
 * thread. EINVAL: too many muxers, or a key that is none; ENOMEM; what `sign` says. */
enum lp2p_err lp2p_tls_identity_init(struct lp2p_tls_identity *identity,
                                     const struct lp2p_tls_identity_options *options) LP2P_MUST_CHECK;
void lp2p_tls_identity_wipe(struct lp2p_tls_identity *identity);

/** The channel behind the interface of all channels. A frame is one record. Errors of a handshake beside
 * those of secure.h: EVERSION (no TLS 1.3 over there), EEXPIRED (the certificate is not valid now),
 * EUNSUPPORTED (a kind of key that this build cannot check), ECERTREFUSED (the other side did not accept our
 * certificate). A dialer is established before the listener has looked at its certificate: a refusal then
 * shows as ECERTREFUSED of the first `open`. */
extern const struct lp2p_secure_ops lp2p_tls_secure;

/** The same with one certificate as it comes from outside, for tests and fuzzing: the checks of the spec in
 * its order, without a handshake. */
enum lp2p_err lp2p_tls_check_certificate(struct lp2p_span certificate, int64_t wall_s,
                                         struct lp2p_peer_id *peer) LP2P_MUST_CHECK;

#endif
