/* SPDX-License-Identifier: MIT
 * Plain TLS 1.3 in memory, as the web has it (secure WebSocket): the server shows a certificate chain, the
 * client checks it against roots, and nobody proves a peer id. Credentials are counted, read-only and may be
 * shared by threads; a session has one owner and may be handed over. ALPN is "http/1.1" both ways. */
#ifndef LP2P_TLS_SESSION_H
#define LP2P_TLS_SESSION_H

#include "base/err.h"
#include "base/rand.h"
#include "base/span.h"
#include "base/time.h"

struct lp2p_tls_backend;

/* Credentials */

struct lp2p_tls_web; /* opaque */

/** A server's: certificates (its own first, then the intermediate ones) and the key as PEM texts, read during
 * the call. `backend` NULL: the build's own. EMALFORMED: no PEM, or no certificate; EUNSUPPORTED: a certificate
 * of a kind that the library does not know; EBADKEY: the key cannot be used or is not the certificate's; ELIMIT:
 * more than 10 certificates; ENOMEM. *out is held once. */
enum lp2p_err lp2p_tls_web_server(const struct lp2p_tls_backend *backend, struct lp2p_span chain_pem,
                                  struct lp2p_span key_pem, const struct lp2p_rand *rand,
                                  struct lp2p_tls_web **out) LP2P_MUST_CHECK;
/** A server's for development: a fresh key and a certificate signed with it, for these names (DNS names, or
 * IP addresses as text), one year from now on. Nothing is kept. */
enum lp2p_err lp2p_tls_web_self_made(const struct lp2p_tls_backend *backend, const char *const *names,
                                     size_t names_len, const struct lp2p_rand *rand, int64_t wall_s,
                                     struct lp2p_tls_web **out) LP2P_MUST_CHECK;
/** A client's: it trusts what these PEM certificates vouch for (the system's bundle), as long as the name
 * fits; what cannot be read in a bundle is skipped. EMALFORMED: there is not one certificate in it. */
enum lp2p_err lp2p_tls_web_client(const struct lp2p_tls_backend *backend, struct lp2p_span roots_pem,
                                  const struct lp2p_rand *rand, struct lp2p_tls_web **out) LP2P_MUST_CHECK;
/** A client's that takes any certificate: for self-made ones. The peer id is still proven by the channel
 * inside. */
enum lp2p_err lp2p_tls_web_client_unverified(const struct lp2p_tls_backend *backend,
                                             const struct lp2p_rand *rand,
                                             struct lp2p_tls_web **out) LP2P_MUST_CHECK;
/** The certificate that a server shows first, as PEM with its NUL; what a client needs to trust a self-made
 * one. Returns the length without the NUL; 0: it does not fit in cap. */
size_t lp2p_tls_web_certificate_pem(const struct lp2p_tls_web *web, char *out, size_t cap);
/** From when to when (seconds since 1970) the certificate that a server shows first is valid. EMALFORMED: it cannot be
 * read. */
enum lp2p_err lp2p_tls_web_validity(const struct lp2p_tls_web *web, int64_t *from_s, int64_t *to_s) LP2P_MUST_CHECK;
struct lp2p_tls_web *lp2p_tls_web_hold(struct lp2p_tls_web *web);
void lp2p_tls_web_release(struct lp2p_tls_web *web); /* may be NULL */

/* Sessions */

struct lp2p_tls_session; /* opaque; less than 1 KiB after the handshake when nothing lies in it */

enum lp2p_tls_session_state { LP2P_TLS_SESSION_HANDSHAKE, LP2P_TLS_SESSION_OPEN, LP2P_TLS_SESSION_ENDED };

/** `server_name` (client): sent as SNI and checked against the certificate; an IP address is only checked.
 * NULL: neither (only for an unverified client). Copied. Holds `web` until the handshake is over. `rand` must
 * outlive the handshake. NULL when memory is short, or when a verifying client has no name. */
struct lp2p_tls_session *lp2p_tls_session_new(struct lp2p_tls_web *web, const char *server_name,
                                              const struct lp2p_rand *rand, int64_t wall_s);
void lp2p_tls_session_free(struct lp2p_tls_session *session); /* wipes keys; may be NULL */

enum lp2p_tls_session_state lp2p_tls_session_state(const struct lp2p_tls_session *session);
/** Takes bytes from the other side; *used is less than in.len when read has to be called first: at most one
 * record is kept. Errors are final (drain once more: there may be an alert): EMALFORMED, EVERSION (no
 * TLS 1.3), ENEGOTIATION, EEXPIRED, EAUTH (not trusted, or a record was changed), EWRONGPEER (trusted, but
 * for another name), ECERTREFUSED, EOVERSIZE, ENOMEM. */
enum lp2p_err lp2p_tls_session_feed(struct lp2p_tls_session *session, struct lp2p_span in, lp2p_time now,
                                    size_t *used) LP2P_MUST_CHECK;
/** Bytes for the other side; 0: none. */
size_t lp2p_tls_session_drain(struct lp2p_tls_session *session, uint8_t *out, size_t cap, lp2p_time now);
/** True when drain has something. */
bool lp2p_tls_session_wants_drain(const struct lp2p_tls_session *session);
/** Decrypted bytes. EAGAIN: none yet; EEOF: the other side said that nothing follows; others as of feed. */
enum lp2p_err lp2p_tls_session_read(struct lp2p_tls_session *session, uint8_t *out, size_t cap,
                                    size_t *got) LP2P_MUST_CHECK;
/** True when read has bytes without another feed. */
bool lp2p_tls_session_holds_input(const struct lp2p_tls_session *session);
/** Takes bytes to encrypt, as many as fit beside what was not drained yet (64 KiB in all). EAGAIN: none
 * (drain first, or the handshake is not over); ECLOSED: after close. */
enum lp2p_err lp2p_tls_session_write(struct lp2p_tls_session *session, struct lp2p_span in,
                                     size_t *put) LP2P_MUST_CHECK;
/** Says that nothing follows; drain then has the last record. Idempotent. */
void lp2p_tls_session_close(struct lp2p_tls_session *session);
/** Heap bytes of the session, for accounting. */
size_t lp2p_tls_session_memory_bytes(const struct lp2p_tls_session *session);

#endif
