/* SPDX-License-Identifier: MIT
 * What a TLS library has to do for the room, and nothing else: one TLS 1.3 handshake as bytes in and bytes
 * out, which ends in the two traffic secrets. Everything before (whom to trust) and after (records) is the
 * room's own, so that a library can be replaced by another, and costs nothing once its handshake is done. 1.3
 * only; no tickets, no resumption, no early data, no pre-shared keys. Credentials are shared and read-only;
 * an engine has one owner. */
#ifndef LP2P_TLS_BACKEND_H
#define LP2P_TLS_BACKEND_H

#include "base/err.h"
#include "base/rand.h"
#include "tls/buffer.h"

#define LP2P_TLS_SECRET 32 /* bytes: only suites with SHA-256 are offered */

enum lp2p_tls_suite { LP2P_TLS_AES_128_GCM = 0x1301, LP2P_TLS_CHACHA20 = 0x1303 };

/** Where a handshake ends: the traffic secrets of the two directions as seen from this side (RFC 8446
 * section 7.1). */
struct lp2p_tls_secrets {
    enum lp2p_tls_suite suite;
    uint8_t send[LP2P_TLS_SECRET], recv[LP2P_TLS_SECRET];
};

/** Whom the other side has to be. */
enum lp2p_tls_peer {
    LP2P_TLS_PEER_NOBODY, /* a server that asks for no certificate */
    LP2P_TLS_PEER_ASKED,  /* both sides: one certificate, judged by `judge` alone */
    LP2P_TLS_PEER_ROOTS,  /* a client: a chain to one of the roots, for the server's name */
    LP2P_TLS_PEER_ANY     /* a client that looks at nothing */
};

/** DER. Read during the call. */
struct lp2p_tls_material {
    const struct lp2p_span *chain; /* own certificate first; may be empty for a client */
    size_t chain_len;
    struct lp2p_span key; /* PKCS#8, SEC 1 or PKCS#1 */
    const struct lp2p_span *roots;
    size_t roots_len;
};

struct lp2p_tls_credentials; /* the library's */
struct lp2p_tls_engine;      /* the library's */

/** One handshake. What is pointed to outlives the engine. */
struct lp2p_tls_task {
    const struct lp2p_tls_credentials *credentials;
    bool server;
    enum lp2p_tls_peer peer;
    const char *const *alpn; /* preference order, ends with NULL */
    const char
        *server_name; /* PEER_ROOTS and PEER_ANY: what is asked for, and checked; NULL: nothing is sent */
    const struct lp2p_rand *rand; /* where the library takes random bytes from others */
    int64_t wall_s;
    /* PEER_ASKED: the one certificate of the other side, before anything is done with it. An error ends the
     * handshake. */
    enum lp2p_err (*judge)(void *ctx, struct lp2p_span certificate);
    void *judge_ctx;
    struct lp2p_tls_buffer *out; /* receives what has to be sent */
};

struct lp2p_tls_backend {
    const char *name;
    /** EBADKEY: the key cannot be used or is not the certificate's; EUNSUPPORTED: a kind of certificate that the library does
     * not know; EMALFORMED; ENOMEM. */
    enum lp2p_err (*credentials_new)(const struct lp2p_tls_material *material, const struct lp2p_rand *rand,
                                     struct lp2p_tls_credentials **out);
    void (*credentials_free)(struct lp2p_tls_credentials *credentials);
    /** NULL when memory is short. */
    struct lp2p_tls_engine *(*engine_new)(const struct lp2p_tls_task *task);
    /** Takes one whole record (none at the very start of a client). OK: the handshake is done; EAGAIN: it
     * goes on; else it failed, and `out` may hold an alert. ECERTREFUSED: the other side did not like our
     * certificate. */
    enum lp2p_err (*engine_step)(struct lp2p_tls_engine *engine, struct lp2p_span record);
    /** After OK: the secrets, and the index in `alpn` of what was agreed, or -1. */
    void (*engine_result)(const struct lp2p_tls_engine *engine, struct lp2p_tls_secrets *secrets, int *alpn);
    void (*engine_free)(struct lp2p_tls_engine *engine); /* wipes secrets */
};

extern const struct lp2p_tls_backend lp2p_tls_mbedtls, lp2p_tls_openssl;

/** The one that this build was configured with. */
const struct lp2p_tls_backend *lp2p_tls_backend_default(void);

#endif
